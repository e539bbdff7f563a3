"""Code of the course's own is recognised under other names, and little else is."""

import inspect

import pytest

from lmcore.course.labs.copying import copies, functions_in, imports_of, names_of
from lmcore.tokenizers import bpe_merge

PASTED = inspect.getsource(bpe_merge.merge_short)
RENAMED = '''
def my_own_idea(numbers, order, made):
    """Entirely mine."""
    numbers = list(numbers)
    nothing = len(made)
    where: list = [order.get(two, nothing) for two in pairwise(numbers)]
    while where:
        lowest = min(where)
        if lowest == nothing:
            break
        spot = where.index(lowest)
        numbers[spot : spot + 2] = [made[lowest]]
        del where[spot]
        if spot > 0:
            where[spot - 1] = order.get((numbers[spot - 1], numbers[spot]), nothing)
        if spot < len(where):
            where[spot] = order.get((numbers[spot], numbers[spot + 1]), nothing)
    return numbers
'''
OWN = """
def merge(ids, pair, new_id):
    out = []
    for x in ids:
        if out and (out[-1], x) == pair:
            out[-1] = new_id
        else:
            out.append(x)
    return out
"""


@pytest.mark.parametrize("source", [PASTED, RENAMED])
def test_pasted_code_is_flagged_with_its_place(source):
    (flag,) = copies([source])
    assert "lmcore/tokenizers/bpe_merge.py: merge_short" in flag


def test_own_code_is_not_flagged():
    assert copies([OWN]) == []


def test_one_changed_operator_makes_it_another_function():
    assert copies([RENAMED.replace("spot > 0", "spot >= 0")]) == []


def test_the_course_solution_is_flagged():
    (flag,) = copies([OWN.replace("out", "found")], [OWN])
    assert flag == "`merge` is the same code as the course's solution: merge"


def test_short_functions_are_nobodys():
    assert functions_in("def f(x):\n    return x + 1") == {}


def test_imports_of_lmcore_and_of_what_was_not_given_are_flagged():
    source = "from lmcore.tokenizers import ByteBPETokenizer\nimport lmcore.data, os"
    assert imports_of(source) == ["lmcore.tokenizers", "lmcore.data", "os"]
    flags = ["imports lmcore.tokenizers", "imports lmcore.data"]
    assert copies([source], given=["import lmcore"]) == flags
    assert copies(["from lmcores import x"]) == ["imports lmcores"]
    assert copies(["import torch.nn"]) == ["imports torch.nn"]
    assert copies(["import torch.nn"], given=["import torch"]) == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("C = type(lab).check.__globals__['find_lab']('01')", "__globals__"),
        ("from importlib import import_module", "import_module"),
        ("exec('x = 1')", "exec"),
    ],
)
def test_ways_to_the_course_s_own_code_are_flagged(source, name):
    (flag,) = copies([source])
    assert flag.startswith(f"uses `{name}`")


@pytest.mark.parametrize("source", ["def (", "\x00", "(" * 5000, "é = '\ud800'"])
def test_code_that_does_not_parse_has_no_functions(source):
    assert functions_in(source) == {}
    assert imports_of(source) == []
    assert names_of(source) == set()
