"""Code of the course's own is recognised under other names, and little else is."""

import inspect

import pytest

from lmcore.course.labs.copying import copies, functions_in, imports_of_lmcore
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


def test_imports_of_lmcore_are_flagged():
    source = "from lmcore.tokenizers import ByteBPETokenizer\nimport lmcore.data, os"
    assert imports_of_lmcore(source) == ["lmcore.tokenizers", "lmcore.data"]
    assert imports_of_lmcore("from lmcores import x") == []


@pytest.mark.parametrize("source", ["def (", "\x00", "(" * 5000, "é = '\ud800'"])
def test_code_that_does_not_parse_has_no_functions(source):
    assert functions_in(source) == {}
    assert imports_of_lmcore(source) == []
