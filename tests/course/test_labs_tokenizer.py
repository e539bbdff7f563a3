"""A class hands in lab 1: thirty submissions, six of them hostile, graded to the end.

The answers come from the lab itself (its solution, and its lists of wrong answers and
of right ones in other styles), put into the student's notebook.
"""

import csv
from collections import Counter
from xml.etree import ElementTree as xml

import nbformat
import pytest
from typer.testing import CliRunner

from lmcore.cli import app
from lmcore.course.labs.build import solved_notebook, student_notebook
from lmcore.course.labs.definition import find_labs
from lmcore.course.notebooks import find_root

HOSTILE = {
    "a loop in a cell": ("", "while True: pass"),
    "a loop in a task": ("encode", "def encode(text, merges):\n    while True: pass"),
    "an exit": ("", "import os; os._exit(0)"),
    "a flood of output": ("", "while True: print('x' * 10**6)"),
    "all the memory": (
        "decode",
        "def decode(*a):\n  x = []\n  while 1: x += [0] * 10**7",
    ),
    "a patched grader": (
        "",
        "import sys, types, lmcore.course.labs.student as s\n"
        "s.Student.expect = s.Student.fail = lambda *a, **k: None\n"
        "check = lambda *a: print('all right')\n"
        "b = types.SimpleNamespace(merge_word=lambda *a: [])\n"  # and no torch to load
        "sys.modules['lmcore.tokenizers.bpe_merge'] = b\n"
        "count_words = count_pairs = merge = train = encode = decode = lambda *a: []",
    ),
}
EXPECTED = {  # points of 22
    "a loop in a cell": 22,
    "a loop in a task": 18,
    "an exit": 22,
    "a flood of output": 22,
    "all the memory": 19,
    "a patched grader": 4,
}
ALONE = {"train": 18, "encode": 18, "decode": 19, "compression": 18}


@pytest.fixture(scope="module")
def lab(real_asset):
    real_asset("shakespeare")
    real_asset("sanguo")
    return find_labs(find_root(), ["01"])[0]


def hand_in(lab, *, solved=True, replaced=None, last=""):
    """A notebook in which the tasks are solved, but for those replaced."""
    notebook = student_notebook(lab)
    answers = {c.id: c.source for c in solved_notebook(lab).cells}
    for cell in notebook.cells:
        if solved and cell.id.startswith("task-"):
            cell.source = answers[cell.id]
        name = cell.id.removeprefix("task-")
        if name in (replaced or {}):
            cell.source = replaced[name]
    if last:
        notebook.cells.append(nbformat.v4.new_code_cell(last))
    return notebook


def submissions(lab):
    """Thirty notebooks by name, and the points that each must get."""
    handed = {f"solved {i}": (hand_in(lab), 22) for i in range(5)}
    handed |= {f"blank {i}": (hand_in(lab, solved=False), 0) for i in range(3)}
    others = [e for e in lab.mutants.EQUIVALENTS if e.task in ("train", "merge")]
    for other in others[:6]:
        notebook = hand_in(lab, replaced={other.task: other.code})
        handed[f"other {other.name}"] = notebook, 22
    mutants = [m for m in lab.mutants.MUTANTS if m.task in ALONE][::2]
    for mutant in mutants[:7]:
        notebook = hand_in(lab, replaced={mutant.task: mutant.code})
        handed[f"mutant {mutant.name}"] = notebook, ALONE[mutant.task]
    empty = nbformat.v4.new_notebook()
    handed["empty"] = empty, 0
    handed["broken"] = hand_in(lab, replaced={"encode": "def encode(text:"}), 18
    handed["deleted"] = hand_in(lab, replaced={"decode": "# nothing here"}), 19
    for name, (task, code) in HOSTILE.items():
        notebook = hand_in(
            lab, replaced={task: code} if task else {}, last="" if task else code
        )
        handed[name] = notebook, EXPECTED[name]
    return handed


def test_a_batch_of_thirty_with_six_hostile_is_graded_to_the_end(lab, tmp_path):
    handed = submissions(lab)
    assert len(handed) == 30
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name, (notebook, _) in handed.items():
        (folder / f"{name}.ipynb").write_text(nbformat.writes(notebook), "utf-8")
    arguments = ["labs", "grade", str(folder), "--out", str(out), "--seconds", "1"]
    answer = CliRunner().invoke(app, [*arguments, "--memory", "300"])
    assert answer.exit_code == 0, answer.output
    assert "30 submissions of 01_tokenizer graded" in answer.output
    rows = list(csv.DictReader((out / "marks.csv").open(encoding="utf-8")))
    marks = {row["student"]: int(row["points"]) for row in rows}
    assert marks == {name: points for name, (_, points) in handed.items()}
    suites = xml.parse(out / "junit.xml").getroot()
    assert len(suites) == 30
    assert all(suite.get("tests") == "7" for suite in suites)
    assert len(list((out / "feedback").glob("*.html"))) == 30
    page = (out / "feedback" / "a loop in a task.html").read_text(encoding="utf-8")
    assert "is there a loop without end?" in page


def test_the_notebook_is_what_its_source_gives(lab):
    built = nbformat.writes(student_notebook(lab)) + "\n"
    assert lab.notebook.read_text(encoding="utf-8") == built


def test_each_task_has_wrong_answers_and_three_right_ones(lab):
    wrong = Counter(mutant.task for mutant in lab.mutants.MUTANTS)
    right = Counter(other.task for other in lab.mutants.EQUIVALENTS)
    for name, one in lab.tasks.items():
        if not one.stretch:
            assert wrong[name] >= 3, name
            assert right[name] >= 3, name


def test_texts_differ_from_student_to_student_and_not_from_day_to_day(lab):
    ada, bob = (lab.checks.own_texts(name) for name in ("ada", "bob"))
    assert ada != bob
    assert ada == lab.checks.own_texts.__wrapped__("ada")
    for train, held_out in (*ada.values(), *bob.values()):
        assert 99_990 <= len(train.encode()) <= 100_000
        assert 29_990 <= len(held_out.encode()) <= 30_000
        assert held_out not in train
