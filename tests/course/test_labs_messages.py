"""What a check's message says: values, exceptions, warnings, what was not returned."""

import warnings

import numpy as np
import pytest
import torch

from lmcore.course.labs.compare import difference, show
from lmcore.course.labs.definition import Task, because, run_task
from lmcore.course.labs.serving import answer
from lmcore.course.labs.student import CheckFailed, Raised, Student
from lmcore.course.labs.wire import pack, unpack

CELL = '''\
import numpy as np


def picky(n):
    """Raises in its third line."""
    raise ValueError(f"n={n}: too much")


def careless(x):
    return np.exp(np.asarray(x))


def nothing(x):
    x + 1


def same(x):
    return x


def copied(x):
    return list(x)
'''


@pytest.fixture
def student(tmp_path):
    path = tmp_path / "cell.py"
    path.write_text(CELL, encoding="utf-8")
    names = {}
    exec(compile(CELL, str(path), "exec"), names)
    return Student(lambda r: unpack(answer(names, pack(r))), "ada", "a_task")


# ------------------------------------------------------------------- exceptions


def test_an_exception_carries_the_student_s_line_and_its_number(student):
    got = student.call("picky", 3, raises=True)
    line = 'raise ValueError(f"n={n}: too much")'
    assert (got.line, got.number) == (line, 6)
    said = f"ValueError: n=3: too much, in the line `{line}` (line 6 of its cell)"
    assert str(got) == said
    with pytest.raises(CheckFailed) as failure:
        student.call("picky", 3)
    assert str(failure.value) == f"a_task: picky(3) raised {said}"
    with pytest.raises(CheckFailed) as failure:
        student.expect(got, 3)
    assert str(failure.value) == f"a_task: picky(3): raised {said}"


def test_two_exceptions_of_the_same_kind_and_text_are_equal_whatever_the_line():
    assert Raised("ValueError", "no", "x", 1) == Raised("ValueError", "no", "y", 2)
    assert Raised("ValueError", "no") != Raised("TypeError", "no")


# --------------------------------------------------------------------- warnings


def test_a_warning_reaches_the_check_and_not_stderr(student):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        student.call("careless", [1.0, 1000.0])
        assert student.warned == ["RuntimeWarning: overflow encountered in exp"]
        student.call("careless", [1.0])
    assert student.warned == []


def test_a_check_s_own_arithmetic_warns_nobody(student):
    def check(student):
        got = student.call("careless", [1000.0])
        student.demand(bool(student.warned), "the student's code warns as ever")
        causes = {
            "a first": lambda got: (np.zeros(1) / 0 == got).all(),
            "another": np.log(np.zeros(1)),
        }
        student.expect(got, np.exp(np.array([2000.0])) * 0, causes=causes)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = run_task(Task("a_task", 1, ("", "", ""), check), student)
    assert outcome.status == "wrong"
    assert "expected nan, got inf" in outcome.message


def test_a_check_can_tell_an_argument_from_its_copy(student):
    student.call("same", [1])
    assert student.gave_back
    student.call("same", 1)
    assert not student.gave_back  # numbers have no copies
    student.call("copied", [1])
    assert not student.gave_back


# ------------------------------------------------------------- nothing returned


@pytest.mark.parametrize(
    "expected", [3, 3.5, True, [1], (1,), {1: 2}, {1}, "a", b"a", np.ones(2),
                 torch.ones(2), np.float64(3)],
    ids=repr,
)  # fmt: skip
def test_a_function_without_return_is_asked_for_it(student, expected):
    with pytest.raises(CheckFailed, match=r"got None \(is there a `return`\?\)"):
        student.expect(student.call("nothing", 1), expected)


# ------------------------------------------------------------- numbers and arrays


@pytest.mark.parametrize(
    ("got", "expected", "agree"),
    [
        (np.float64(2), 2.0, True),
        (np.float32(2), 2.0, True),
        (np.int64(2), 2, True),
        (np.bool_(True), True, True),
        (np.bool_(False), True, False),
        (np.array(2.0), 2.0, True),
        (np.array(True), True, True),
        (torch.tensor(2.0), 2.0, True),
        (torch.tensor(True), True, True),
        ([torch.tensor(2.0), np.float32(1)], [2.0, 1.0], True),
        ({np.int64(1): np.int64(2)}, {1: 2}, True),
        (2.0, np.float64(2), True),
        (2.0, np.array(2.0), True),
        (np.float64(2), 2, False),  # an int is wanted
        (np.int64(3), 2, False),
        (True, 1, False),
        (torch.tensor([2.0]), 2.0, False),  # it has an axis
        (2.0, torch.tensor(2.0), False),  # the gradient is lost
        (2.0, np.array([2.0]), False),
    ],
    ids=repr,
)  # fmt: skip
def test_numbers_of_numpy_and_torch_count_as_plain_ones(got, expected, agree):
    sent = unpack(pack(got))
    assert (difference(sent, expected) is None) is agree


def test_numpy_s_scalars_arrive_as_python_s():
    values = (np.float32(1.5), np.int8(-3), np.bool_(True), np.uint64(2**63))
    sent = unpack(pack(values))
    assert sent == (1.5, -3, True, 2**63)
    assert [type(value) for value in sent] == [float, int, bool, int]
    assert unpack(pack(np.bool_(False))) is False


# ------------------------------------------------------------------ shown values


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([1, "a", None], "[1, 'a', None]"),
        ((1,), "(1,)"),
        ({1: (2, 3)}, "{1: (2, 3)}"),
        ([np.zeros((3, 4)), np.zeros(2)], "[array (3, 4), [0.0, 0.0]]"),
        ((torch.zeros(9),), "(tensor (9,),)"),
        ({"w": torch.zeros(3, 3)}, "{'w': tensor (3, 3)}"),
        (torch.tensor([0.1, 2.0]), "[0.1, 2.0]"),
        (np.zeros((3, 4)), "an array of shape (3, 4)"),
        (list(range(10**4)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,"),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_values_are_shown_readably(value, shown):
    assert show(unpack(pack(value)))[:58].startswith(shown)


def test_a_generator_inside_a_list_is_shown_by_its_name():
    assert show(unpack(pack([iter([])]))) == "[<list_iterator>]"


# -------------------------------------------------------------- what it builds on


def test_a_task_not_checked_yet_is_not_called_wrong():
    one = Task("c", 1, ("", "", ""), lambda student: None, needs=("a", "b"))
    assert because(one, {"a": "right", "b": "right"}) == ""
    words = because(one, {"a": "wrong"})
    assert words == (
        "\n`a`, which it builds on, is not right yet."
        "\n`b`, which it builds on, is not checked yet."
    )
    assert "`a` and `b`, which it builds on, are not checked" in because(one, {})
