"""Checks of what cannot be sent (classes, modules, gradients), in both places."""

import pytest

from lmcore.course.labs.process import Limits
from lmcore.course.labs.serving import answer, load_module
from lmcore.course.labs.session import Session
from lmcore.course.labs.student import CheckFailed, NotWritten, Raised, Student
from lmcore.course.labs.submission import Cell
from lmcore.course.labs.wire import pack, unpack

CHECKS = """\
import torch

LAB = "91_probe"


def gradients(names, seed):
    torch.manual_seed(seed)
    layer = names["Scale"](3)
    x = torch.arange(3.0, requires_grad=True)
    y = layer(x).sum()
    y.backward()
    return {"y": y.item(), "x": x.grad, "sizes": [tuple(p.shape) for p in
            layer.parameters()], "layer": layer}


def missing(names):
    return names["Scaling"](3)
"""
CELL = """\
import torch
from torch import nn


class Scale(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.factor = nn.Parameter(torch.full((size,), 2.0))

    def forward(self, x):
        return x * self.factor


def mean(x, weights=None):
    x += 0 if weights is None else weights
    return x.mean()


def picky(n):
    raise ValueError(f"n={n}: too much")
"""


@pytest.fixture(scope="module")
def checks(tmp_path_factory):
    path = tmp_path_factory.mktemp("91_probe") / "checks.py"
    path.write_text(CHECKS, encoding="utf-8")
    return load_module(path)


@pytest.fixture(scope="module", params=["notebook", "process"])
def student(request):
    if request.param == "notebook":
        names = {}
        exec(CELL, names)
        yield Student(lambda r: unpack(answer(names, pack(r))), "ada", "a_task")
        return
    with Session([Cell(1, "code", CELL)], Limits(seconds=30)) as session:
        yield Student(session.ask, "ada", "a_task")


def test_a_probe_measures_beside_the_student_s_objects(student, checks):
    got = student.probe(checks.gradients, 3)
    student.expect(got["x"], checks.torch.full((3,), 2.0))
    assert got["y"] == 6.0
    assert got["sizes"] == [(3,)]
    assert got["layer"].type_name == "Scale"
    with pytest.raises(CheckFailed, match=r"a_task: .*\[0\]: expected 3, got 2"):
        student.expect(got["x"], checks.torch.full((3,), 3.0))


def test_a_name_that_is_missing_is_told(student, checks):
    with pytest.raises(NotWritten, match="there is no `nothing`"):
        student.get("nothing")
    with pytest.raises(NotWritten, match="there is no `Scaling`"):
        student.probe(checks.missing)


def test_tensors_go_and_come_back_and_changes_are_told(student, checks):
    x = checks.torch.tensor([1.0, 2.0, 6.0])
    assert student.call("mean", x).item() == 3.0
    assert student.call("mean", x, weights=x, may_change=True).item() == 6.0
    assert x.tolist() == [1.0, 2.0, 6.0]  # the student has a copy
    with pytest.raises(CheckFailed, match="changed argument 1"):
        student.call("mean", x, weights=x)


def test_an_exception_is_a_failure_or_a_value(student):
    assert student.call("picky", 3, raises=True) == Raised(
        "ValueError", "n=3: too much"
    )
    with pytest.raises(CheckFailed, match=r"picky\(3\) raised ValueError: n=3: too"):
        student.call("picky", 3)
