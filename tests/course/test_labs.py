"""The labs' machinery on a small lab: every complaint about graders, sprung once."""

import csv
import json
import zipfile
from xml.etree import ElementTree as xml

import nbformat
import pytest
from typer.testing import CliRunner

from lmcore.cli import app
from lmcore.course.labs import build
from lmcore.course.labs.build import (
    LabError,
    build_lab,
    find_leaks,
    notebook_texts,
    solution_lines,
    solved_notebook,
    student_notebook,
)
from lmcore.course.labs.definition import Lab, find_labs
from lmcore.course.labs.grade import Grader, grade_folder
from lmcore.course.labs.process import Limits
from lmcore.course.labs.prove import prove_lab
from lmcore.course.labs.release import release_lab
from lmcore.course.labs.reports import csv_text, junit_text, page_text
from lmcore.course.labs.submission import cells_of, find_submissions

SOURCE = '''\
# %% [markdown]
# # A small lab

# %%
STUDENT = "your name"

# %%
from lmcore.course.labs import open_lab

lab = open_lab("90_small")
check, hint, progress = lab.check, lab.hint, lab.progress

# %% task="double"
def double(values):
    """Twice each value."""
    ### BEGIN SOLUTION
    secret_recipe = [2 * value for value in values]
    return secret_recipe
    ### END SOLUTION


# %% check="double"
check(double)

# %% task="total"
def total(values):
    """The sum of the doubled values."""
    ### BEGIN SOLUTION
    return sum(double(values))
    ### END SOLUTION


# %% check="total"
check(total)

# %% tags=["experiment"]
raise RuntimeError("an experiment ran in the grader")

# %% [markdown] written="words"
# ### BEGIN SOLUTION
# A model answer in words.
# ### END SOLUTION
'''
CHECKS = '''\
"""Checks."""

from lmcore.course.labs import Written, task

LAB = "90_small"
HINTS = ("one", "two", "three")


@task("double", points=3, hints=HINTS)
def check_double(student):
    for values in ([1, 2], [student.rng.randrange(100) for _ in range(5)]):
        got = student.call("double", values)
        causes = {"squared, not doubled": [v * v for v in values]}
        student.expect(got, [v + v for v in values], causes=causes)


@task("total", points=2, hints=HINTS, needs=("double",))
def check_total(student):
    values = [student.rng.randrange(100) for _ in range(5)]
    student.expect(student.call("total", values), 2 * sum(values))


words = Written("words", points=4, rubric=("2 points: <this>", "2 points: that"))
'''
MUTANTS = '''\
"""Wrong and right answers."""

from lmcore.course.labs import Equivalent, Mutant

MUTANTS = [
    Mutant("squares", "double", "squared", "def double(v): return [x * x for x in v]"),
    Mutant("dies", "double", "ended itself", """
import os
def double(v):
    os._exit(0)
"""),
    Mutant("zero", "total", "got 0", "def total(v): return 0"),
]
EQUIVALENTS = [
    Equivalent("a loop", "double", "def double(v): return [x + x for x in v]"),
    Equivalent("a tuple", "double", "def double(v): return tuple(x * 2 for x in v)"),
]
'''
RIGHT = "def double(values):\n    return [v + v for v in values]"
TOTAL = "def total(values):\n    return sum(v + v for v in values)"
FAST = Limits(seconds=1.5, memory_mib=300, answer_mib=4)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course") / "labs" / "90_small"
    folder.mkdir(parents=True)
    (folder.parents[1] / "chapters").mkdir()
    texts = {"source": SOURCE, "checks": CHECKS, "mutants": MUTANTS}
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    lab = Lab(folder)
    build_lab(lab)
    return lab


@pytest.fixture(scope="module")
def grader(lab):
    return Grader(lab, FAST, "a secret")


def notebook(lab, *, double=RIGHT, total=TOTAL, first="", written=""):
    """A submission: the student's notebook with some cells written."""
    made = student_notebook(lab)
    for cell in made.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name == "double" and double is not None:
            cell.source = double
        elif name == "total" and total is not None:
            cell.source = total
        elif name == "words" and written:
            cell.source = written
    made.cells[2].source += "\n" + first
    return made


def grade(grader, **cells):
    return grader.grade_cells("ada", cells_of(notebook(grader.lab, **cells)))


def messages(result):
    return {outcome.task.name: outcome.message for outcome in result.outcomes}


# ------------------------------------------------------------------ building


def test_the_student_notebook_has_stubs_and_no_line_of_a_solution(lab):
    made = student_notebook(lab)
    cells = {c.id: c for c in made.cells}
    assert cells["task-double"].source.endswith(
        '"""Twice each value."""\n    # YOUR CODE HERE\n    raise NotImplementedError()'
    )
    assert cells["written-words"].source == "YOUR ANSWER HERE"
    assert solution_lines(lab) == {
        "secret_recipe = [2 * value for value in values]",
        "return secret_recipe",
        "return sum(double(values))",
        "A model answer in words.",
    }
    assert find_leaks(lab, notebook_texts(made)) == []
    assert "SOLUTION" not in nbformat.writes(made)


def test_the_search_for_leaks_looks_everywhere(lab):
    solved = notebook_texts(solved_notebook(lab))
    assert len(find_leaks(lab, solved)) == 4
    for place in ("source", "output", "metadata"):
        made = student_notebook(lab)
        text = "x\n  return secret_recipe  # mine"
        if place == "source":
            made.cells[0].source += text
        elif place == "output":
            out = nbformat.v4.new_output("stream", text=text)
            made.cells[1].outputs = [out]
        else:
            made.cells[0].metadata["note"] = {"deep": [text]}
        assert len(find_leaks(lab, notebook_texts(made))) == 1, place


@pytest.mark.parametrize(
    ("solution", "text", "run", "leaks"),
    [
        ("return loss", "return losses", 1, 0),  # another word
        ("return loss", "  return loss  # mine", 1, 1),
        ("i += 1", "i += 1", 1, 1),
        ("i += 1", "then i += 1", 1, 0),  # short, so whole or not at all
        ("# scores", "scores", 1, 0),  # one word: the name of anything
        ("values = f(x)\ni += 1\nreturn values", "values = f(x)", 2, 0),
        ("values = f(x)\ni += 1\nreturn values",
         "values = f(x)\ni += 1\nreturn values", 2, 1),
        ("values = f(x)\ni += 1\nreturn values",
         "values = f(x)\nother()\nreturn values", 2, 0),
        ("i += 1\nj += 1", "i += 1\nj += 1", 2, 0),
    ],
)  # fmt: skip
def test_short_pieces_of_a_solution_are_told_from_chance(
    lab, monkeypatch, solution, text, run, leaks
):
    lines = {line.removeprefix("# ") for line in solution.splitlines()}
    monkeypatch.setattr(build, "solution_lines", lambda lab: lines)
    assert len(find_leaks(lab, {"a place": text}, run=run)) == leaks


def test_both_notebooks_carry_nbgrader_metadata(lab):
    for made in (student_notebook(lab), solved_notebook(lab)):
        cells = [c.metadata["nbgrader"] for c in made.cells if "nbgrader" in c.metadata]
        points = {c["grade_id"]: c["points"] for c in cells if c["grade"]}
        assert points == {"check_double": 3, "check_total": 2, "words": 4}
        assert [c["grade_id"] for c in cells if c["solution"]] == [
            *("double", "total", "words"),
        ]
        assert all(c["schema_version"] == 3 for c in cells)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    ### END SOLUTION\n", "", "turn"),
        ('# %% check="total"\n', "# %%\n", 'check="total"'),
        ('task="total"', 'task="sum"', "stands in no check"),
        ('# %% task="total"', "# %%", "no other"),
        ('# %% check="double"', '# %% check="total"', "cells have"),
    ],
)  # fmt: skip
def test_a_source_that_breaks_a_rule_is_refused(lab, old, new, words):
    text = lab.source.read_text(encoding="utf-8")
    assert old in text
    lab.source.write_text(text.replace(old, new), encoding="utf-8")
    try:
        with pytest.raises(LabError, match=words):
            student_notebook(lab)
    finally:
        lab.source.write_text(text, encoding="utf-8")


def test_a_release_holds_what_a_student_needs_and_no_solution(lab, tmp_path):
    path = release_lab(lab, tmp_path)
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert sorted(texts) == [
        *("90_small/README.md", "90_small/checks.py", "90_small/lab.ipynb"),
    ]
    for line in solution_lines(lab):
        assert all(line not in text for text in texts.values())
    assert sorted(p.name for p in (tmp_path / "90_small").iterdir()) == [
        *("README.md", "checks.py", "lab.ipynb"),
    ]


def test_what_nbgrader_gets_has_the_solutions_and_keeps_a_configuration(lab, tmp_path):
    root = str(lab.folder.parents[1])
    arguments = ["labs", "release", "90", "--nbgrader", "--out", str(tmp_path)]
    for text in ("c = get_config()", "# mine"):
        answer = CliRunner().invoke(app, [*arguments, "--root", root])
        assert answer.exit_code == 0, answer.output
        config = tmp_path / "nbgrader_config.py"
        assert text in config.read_text(encoding="utf-8")
        config.write_text("# mine", encoding="utf-8")
    made = nbformat.read(tmp_path / "source" / "90_small" / "lab.ipynb", as_version=4)
    assert made == solved_notebook(lab)
    checks = (tmp_path / "source" / "90_small" / "checks.py").read_text("utf-8")
    assert checks == (lab.folder / "checks.py").read_text("utf-8")


def test_a_release_with_a_solution_in_it_is_refused(lab, tmp_path):
    checks = lab.folder / "checks.py"
    text = checks.read_text(encoding="utf-8")
    lines = "secret_recipe = [2 * value for value in values]\nreturn secret_recipe"
    checks.write_text(f"{text}\n'''\n{lines}\n'''\n", encoding="utf-8")
    try:
        with pytest.raises(LabError, match="secret_recipe"):
            release_lab(lab, tmp_path)
    finally:
        checks.write_text(text, encoding="utf-8")


# ------------------------------------------------------------------- grading


def test_the_lab_is_proven_both_ways(lab):
    proof = prove_lab(lab, run=False, limits=FAST)
    assert proof.problems == []
    assert "blank 0/5  solved 5/5  mutants 3/3  equivalents 2/2" in proof.line()


def test_a_check_that_lets_a_mutant_pass_is_found(lab, monkeypatch):
    wrong = [m for m in lab.mutants.MUTANTS if m.name == "squares"]
    accepted = type(wrong[0])("fine", "double", "anything", RIGHT)
    vague = type(wrong[0])("vague", "double", "another cause", wrong[0].code)
    monkeypatch.setattr(lab.mutants, "MUTANTS", [accepted, vague])
    bad = type(lab.mutants.EQUIVALENTS[0])("bad", "double", wrong[0].code)
    monkeypatch.setattr(lab.mutants, "EQUIVALENTS", [bad])
    proof = prove_lab(lab, run=False, limits=FAST)
    assert proof.mutants == (0, 2)
    assert proof.equivalents == (0, 1)
    assert "it is accepted" in proof.problems[0]
    assert "squared" in proof.problems[1]
    assert len(proof.problems) == 3


def test_some_answers_alone_can_be_tried(lab):
    root = str(lab.folder.parents[1])

    def told(word):
        answer = CliRunner().invoke(
            app, ["labs", "check", "90", "--only", word, "--root", root]
        )
        return answer.exit_code, answer.output

    assert "only 'SQUARE'  mutants 1/1  equivalents 0/0" in told("SQUARE")[1]
    assert "mutants 2/2  equivalents 2/2" in told("double")[1]
    code, output = told("treble")
    assert code == 1
    assert "no answer's name or task holds 'treble'" in output


def test_right_answers_earn_all_and_the_experiment_is_not_run(grader):
    result = grade(grader, written="My words.")
    assert (result.points, result.problems) == (5, [])
    assert result.written == {"words": "My words."}
    assert result.flags == ["STUDENT is 'your name', as it was handed out"]


def test_partial_credit_with_the_cause(grader):
    result = grade(grader, double="def double(values): return [v * v for v in values]")
    assert result.points == 2
    assert "Likely cause: squared, not doubled" in messages(result)["double"]
    assert "double([1, 2]): expected 2 at [0], got 1" in messages(result)["double"]


def test_a_wrong_task_is_named_where_another_builds_on_it(grader):
    result = grade(grader, double="def double(values): return 0", total="total = len")
    assert "`double`, which it builds on, is not right yet" in messages(result)["total"]


@pytest.mark.parametrize(
    ("cells", "points", "task", "words"),
    [
        ({"double": "def double(:"}, 2, "double", "does not run: SyntaxError"),
        ({"double": "def doubl(v): return v"}, 2, "double", "There is a `doubl`"),
        ({"double": ""}, 2, "double", "renamed or deleted"),
        ({"double": "double = 3"}, 2, "double", "should be a function"),
        ({"double": "def double(v):\n  while 1: pass"}, 2, "double", "without end"),
        ({"double": "while True: pass"}, 2, "double", "renamed or deleted"),
        ({"double": "import os\nos._exit(0)"}, 2, "double", "ended itself"),
        ({"double": "raise SystemExit"}, 2, "double", "SystemExit"),
        ({"double": "def double(v): exit()"}, 2, "double", "SystemExit"),
        ({"double": "def double(v): input()"}, 2, "double", "EOFError"),
        ({"double": "def double(v): return double(v)"}, 2, "double", "RecursionError"),
        ({"double": "def double(v): return 'x' * 10**7"}, 2, "double", "than 4 MiB"),
        ({"double": "def double(v): v.append(1); return v"}, 2, "double", "on a copy"),
        ({"double": "def double(v): return (x for x in v)"}, 2, "double", "generator"),
        ({"double": "def double(v): 1 / 0"}, 2, "double", "in the line `def double(v)"),
        (
            {"double": "def double(v):\n    x = []\n"
             "    while True: x.append(b'1' * 2**24)"},
            *(2, "double", "300 MiB of memory"),
        ),
        (
            {"double": "import time\ndef double(v): time.sleep(1000)"},
            *(2, "double", "waited longer than 4.5 s"),
        ),
        (
            {"double": "class All(list):\n    __eq__ = lambda s, o: True\n"
             "def double(v): return All([0])"},
            *(2, "double", "expected 2 at [0], got 0"),
        ),
    ],
)  # fmt: skip
def test_a_hostile_or_broken_answer_costs_its_task_alone(
    grader, cells, points, task, words
):
    result = grade(grader, **cells)
    assert result.points == points
    text = messages(result)[task] + "\n".join(result.problems)
    assert words in text


@pytest.mark.parametrize(
    "first",
    [
        "check = lambda *a: None",
        "import lmcore.course.labs.student as s\ns.Student.expect = print",
        "import lmcore.course.labs.compare as c\nc.difference = lambda *a, **k: None",
        "import lmcore.course.labs.serving as s\ns.answer = lambda *a: b'[]'",
        "import lmcore.course.labs.wire as w\nw.pack = w.unpack = None",
        "import builtins\nbuiltins.isinstance = lambda *a: True",
        "import sys\nsys.modules.clear()",
    ],
)
def test_patching_the_grader_earns_nothing(grader, first):
    wrong = "def double(values): return [0] * len(values)"
    result = grade(grader, double=wrong, total="def total(v): return -1", first=first)
    assert result.points == 0
    assert all(message for message in messages(result).values())


def test_huge_output_is_dropped_and_told(grader):
    result = grade(grader, first="for _ in range(300): print('x' * 10**5)")
    assert result.points == 5
    assert any("which were dropped" in problem for problem in result.problems)


def test_inputs_cannot_be_known_in_advance(lab):
    double = "def double(v): return [2 * x for x in v] if len(v) == 2 else []"

    def message(secret):
        return messages(grade(Grader(lab, FAST, secret), double=double))["double"]

    assert message("one") == message("one")
    assert message("one") != message("two")


# ------------------------------------------------------------ files and reports


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_folder_of_anything_is_graded_to_the_end(lab, grader, tmp_path):
    good = nbformat.writes(notebook(lab))
    cells = [{"cell_type": "code", "source": 5, "metadata": []}, 7, None]
    write(tmp_path / "ada.ipynb", good)
    write(tmp_path / "bob" / "lab.ipynb", good.replace("your name", "bob"))
    write(tmp_path / "bob" / ".ipynb_checkpoints" / "lab-checkpoint.ipynb", "{")
    write(tmp_path / "cy" / "90_small" / "mine.ipynb", good.replace("your name", "bob"))
    write(tmp_path / "not_json.ipynb", "{")
    write(tmp_path / "no_cells.ipynb", '{"cells": 3}')
    write(tmp_path / "odd.ipynb", json.dumps({"cells": cells}))
    write(tmp_path / "deep.ipynb", "[" * 200_000)
    (tmp_path / "bytes.ipynb").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty").mkdir()
    seen = []
    results = grade_folder(grader, tmp_path, done=lambda r: seen.append(r.student))
    points = {result.student: result.points for result in results}
    assert points == {
        **{"ada": 5, "bob": 5, "cy": 5, "not_json": 0, "no_cells": 0, "odd": 0},
        **{"deep": 0, "bytes": 0},
    }
    assert seen == [result.student for result in results]
    flags = {result.student: result.flags for result in results}
    assert flags["bob"] == ["STUDENT is 'bob' here and in cy"]
    problems = {result.student: result.problems for result in results}
    assert "no notebook" in problems["not_json"][0]


def test_one_of_several_assignments_is_found_in_nbgrader_s_folders(tmp_path):
    for place in ("ada/89_other", "ada/90_small", "bob/89_other", "cy/mine"):
        write(tmp_path / place / "lab.ipynb", "{}")

    def found(lab):
        paths = find_submissions(tmp_path, lab)
        return {name: path.parent.name for name, path in paths.items()}

    assert found("90_small") == {"ada": "90_small", "cy": "mine"}
    assert found("89_other") == {"ada": "89_other", "bob": "89_other", "cy": "mine"}
    assert set(found("")) == {"ada", "bob", "cy"}


def test_reports_are_whole_whatever_a_student_writes(lab, grader):
    nasty = "raise ValueError('<script>alert(1)</script>]]>\\x00\\x1b\\ud800 \\n=1+1')"
    result = grade(grader, double=f"def double(v):\n    {nasty}", written="<b>=x</b>")
    result.student = "=cmd|' /C calc'!A0"
    rows = list(csv.DictReader(csv_text(lab, [result]).splitlines()))
    assert rows[0]["student"].startswith("'=")
    assert (rows[0]["points"], rows[0]["double"], rows[0]["total"]) == ("2", "0", "2")
    assert rows[0]["words (of 4)"] == ""
    tree = xml.fromstring(junit_text(lab, [result]).encode())
    suite = tree.find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    page = page_text(lab, result)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "2 of 5 points" in page
    assert "2 points: &lt;this&gt;" in page
    page.encode()


def test_an_unanswered_question_is_marked_0(lab, grader):
    result = grade(grader)
    row = next(csv.DictReader(csv_text(lab, [result]).splitlines()))
    assert row["words (of 4)"] == "0"
    assert "nothing was written" in page_text(lab, result)


def test_the_command_grades_and_says_that_it_is_no_sandbox(lab, tmp_path):
    write(tmp_path / "in" / "ada.ipynb", nbformat.writes(notebook(lab)))
    root = lab.folder.parents[1]
    arguments = ["labs", "grade", str(tmp_path / "in"), "--root", str(root)]
    arguments += ["--secret", "s", "--seconds", "1"]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    assert "5/5" in answer.output
    assert "No sandbox" in answer.output
    out = tmp_path / "in-graded"
    assert {p.name for p in out.rglob("*.*")} == {
        *("marks.csv", "junit.xml", "ada.html", "grading.jsonl"),
    }
    told = CliRunner().invoke(app, ["labs", "grade", "--container"])
    assert "docker run --rm --network none" in told.output
    hint = ["labs", "hint", "90", "double", "3", "--root", str(root)]
    assert CliRunner().invoke(app, hint).output == "three\n"


def test_a_second_run_grades_what_is_new_and_keeps_marks_by_hand(lab, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    root = str(lab.folder.parents[1])
    marks = out / "marks.csv"

    def run(*more):
        arguments = ["labs", "grade", str(folder), "--out", str(out), "--root", root]
        return CliRunner().invoke(app, [*arguments, *more])

    def row(student):
        table = csv.DictReader(marks.read_text(encoding="utf-8").splitlines())
        return next(r for r in table if r["student"] == student)

    text = nbformat.writes(notebook(lab, written="My words."))
    write(folder / "ada.ipynb", text)
    write(folder / "bob.ipynb", text.replace("v + v", "v * 3"))
    first = run()
    assert (row("ada")["words (of 4)"], row("ada")["total (of 9)"]) == ("", "")
    assert "as before" not in first.output
    typed = marks.read_text(encoding="utf-8").replace("ada,5,5,3,2,", "ada,5,5,3,2,3.5")
    marks.write_text(typed, encoding="utf-8-sig")  # as a spreadsheet saves it
    write(folder / "bob.ipynb", text)
    write(folder / "cy.ipynb", nbformat.writes(notebook(lab)))  # late, and no words
    second = run()
    assert "1 of them as before" in second.output, second.output
    assert (row("ada")["words (of 4)"], row("ada")["total (of 9)"]) == ("3.5", "8.5")
    assert (row("bob")["points"], row("bob")["total (of 9)"]) == ("5", "")
    assert (row("cy")["words (of 4)"], row("cy")["total (of 9)"]) == ("0", "5")
    page = (out / "feedback" / "ada.html").read_text(encoding="utf-8")
    assert "words (3.5 of 4 points)" in page
    secret = first.output.split("--secret ")[1].split()[0]
    assert secret in second.output  # the same inputs for those who come late
    third = run()
    assert "3 of them as before" in third.output
    assert row("ada")["words (of 4)"] == "3.5"
    assert "as before" not in run("--secret", "another").output
    assert "as before" not in run("--again").output
    with (out / "grading.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"digest": "cut off')  # the machine went down
    assert "3 of them as before" in run().output
    marks.write_text(typed.replace("3.5", "5"), encoding="utf-8")
    answer = run()
    assert answer.exit_code == 2
    assert "must be a number from 0 to 4" in answer.output.replace("\n", " ")
    marks.write_text("student,points\nada,3\n", encoding="utf-8")
    assert run().exit_code == 2  # another lab's marks are not written over
    assert marks.read_text(encoding="utf-8") == "student,points\nada,3\n"


def test_two_who_share_most_of_their_functions_are_told_and_keep_their_marks(
    lab, grader, tmp_path
):
    extra = """
def {0}one(x): return [x[i] * i + {1} for i in range(len(x)) if x[i] > {1} and i]
def {0}two(x): return {{k: v + k * {1} for k, v in enumerate(x) if v != k + {1}}}
def {0}three(x): return sorted(x, key=lambda v: (v * v - {1}, v + {1}, -v), reverse=v)
"""
    for name, letter, number in (("ada", "a", 3), ("bob", "b", 3), ("cy", "c", 4)):
        text = nbformat.writes(notebook(lab, first=extra.format(letter, number)))
        write(tmp_path / f"{name}.ipynb", text.replace("your name", name))
    results = {r.student: r for r in grade_folder(grader, tmp_path)}
    words = "3 of 3 functions are the same code as in"
    assert results["ada"].flags[1:] == [f"{words} bob's"]
    assert results["bob"].flags[1:] == [f"{words} ada's"]
    assert results["cy"].flags[1:] == []
    assert {result.points for result in results.values()} == {5}


def test_labs_are_found_by_their_number(lab):
    root = lab.folder.parents[1]
    assert [found.name for found in find_labs(root, ["90"])] == ["90_small"]
    with pytest.raises(ValueError, match="90_small"):
        find_labs(root, ["91"])


# -------------------------------------------------------------- in the notebook


@pytest.fixture
def opened(lab, monkeypatch):
    """The lab open in a notebook of names that a test fills."""
    from lmcore.course.labs.opened import OpenLab

    names = {"STUDENT": "ada"}
    return OpenLab(lab, names), names


def test_check_tells_at_once_and_counts(opened, capsys):
    open_lab, names = opened
    exec(f"{RIGHT}\n{TOTAL}", names)
    open_lab.check(names["double"])
    out = capsys.readouterr()
    assert out.err == ""
    assert "✓ double: right (3 points)" in out.out
    assert "1 of 2 tasks, 3 of 5 points\nnot checked yet: total\n" in out.out
    open_lab.check(names["total"])
    assert "2 of 2 tasks, 5 of 5 points" in (out := capsys.readouterr().out)
    assert "not checked" not in out
    open_lab.hint("double", 2)
    assert capsys.readouterr().out == "Hint 2 of 3 for double: two\n"
    with pytest.raises(ValueError, match="level=4"):
        open_lab.hint("double", 4)
    with pytest.raises(ValueError, match="be one of double, total"):
        open_lab.hint("triple")


def test_a_failed_check_shows_its_message_alone(opened, capsys):
    from lmcore.course.labs import CheckFailed

    open_lab, names = opened
    exec("def double(values): return [v * v for v in values]", names)
    with pytest.raises(CheckFailed, match="squared, not doubled") as failure:
        open_lab.check(names["double"])
    (shown,) = failure.value._render_traceback_()
    assert shown.startswith("✗ double: double([1, 2])")
    assert capsys.readouterr() == ("", "")
    names["double"] = lambda values: values
    with pytest.raises(ValueError, match="be one of"):
        open_lab.check(names["double"])  # a lambda has no name of a task
    with pytest.raises(CheckFailed, match="not what the notebook calls"):
        open_lab.check(len, "double")


def test_after_a_restart_an_earlier_task_is_not_checked_and_not_wrong(opened):
    open_lab, names = opened
    exec("def total(values): return 0", names)
    with pytest.raises(AssertionError, match=r"`double`, .* is not checked yet"):
        open_lab.check(names["total"])
    exec("def double(values): return 0", names)
    with pytest.raises(AssertionError):
        open_lab.check(names["double"])
    with pytest.raises(AssertionError, match=r"`double`, .* is not right yet"):
        open_lab.check(names["total"])


def test_a_check_in_the_notebook_sees_what_the_grader_sees(opened, grader):
    open_lab, names = opened
    code = "def double(values): return [v * v for v in values]"
    exec(code, names)
    outcome = messages(grade(grader, double=code))["double"]
    try:
        open_lab.check(names["double"])
    except AssertionError as failure:
        assert str(failure) == outcome
