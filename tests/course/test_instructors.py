"""The instructor's page agrees with what exists: chapters, labs, times, commands."""

import importlib.util
import json
import re
import shlex
from pathlib import Path

import click
import pytest
import typer

from lmcore.cli import app
from lmcore.course.labs.definition import Lab, find_labs
from lmcore.course.notebooks import band_holds

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "INSTRUCTORS.md").read_text(encoding="utf-8")
MEASURED = json.loads((ROOT / "results/notebooks.json").read_text("utf-8"))["notebooks"]
GRADED = json.loads((ROOT / "results/grading.json").read_text("utf-8"))["labs"]
READING = (1, 2)  # hours a chapter, as the page says


def rows(heading):
    section = PAGE.split(f"# {heading}\n")[1].split("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def targets(cell):
    return [Path(target) for target in re.findall(r"\]\((.+?)\)", cell)]


def minutes_of(lab):
    """What a lab's first cell says, such as ``(60, 120)``."""
    said = re.search(
        r"\*\*Time\.\*\* (\d+)–(\d+) minutes", lab.source.read_text("utf-8")
    )
    return int(said[1]), int(said[2])


def spans(text):
    return tuple(float(number) for number in text.split("–"))


# ------------------------------------------------------------------- the syllabus


@pytest.mark.parametrize("heading", ["Fourteen weeks", "Seven weeks"])
def test_a_syllabus_has_every_chapter_and_every_lab_once_in_order(heading):
    chapters = [path for row in rows(heading) for path in targets(row[1])]
    known = sorted(ROOT.glob("chapters/[0-9]*.ipynb"))
    assert [ROOT / path for path in chapters] == known
    labs = [path.parent.name for row in rows(heading) for path in targets(row[2])]
    assert labs == [lab.name for lab in find_labs(ROOT)]


@pytest.mark.parametrize("heading", ["Fourteen weeks", "Seven weeks"])
def test_a_week_s_hours_and_runs_are_those_of_its_chapters_and_lab(heading):
    assert "one to two hours" in PAGE
    for row in rows(heading):
        chapters, labs = targets(row[1]), targets(row[2])
        hours = [len(chapters) * each for each in READING]
        for path in labs:
            for i, minutes in enumerate(minutes_of(Lab(ROOT / path.parent))):
                hours[i] += minutes / 60
        assert spans(row[3]) == tuple(hours), row[0]
        seconds = sum(MEASURED[path.stem]["seconds"] for path in chapters)
        assert band_holds(row[4], seconds), f"{row[0]}: {seconds:.0f} s"


def test_a_lab_comes_no_earlier_than_the_chapters_it_builds_on():
    needed = {
        path.parent.name: row[1].split(", ")
        for row in rows("The labs")
        for path in targets(row[0])
    }
    for heading in ("Fourteen weeks", "Seven weeks"):
        read = set()
        for row in rows(heading):
            read |= {path.name[:2] for path in targets(row[1])}
            for path in targets(row[2]):
                assert set(needed[path.parent.name]) <= read, (heading, row[0])


def test_the_labs_have_the_points_and_minutes_that_are_listed():
    listed = rows("The labs")
    labs = find_labs(ROOT)
    assert [targets(row[0])[0].parent.name for row in listed] == [x.name for x in labs]
    for lab, row in zip(labs, listed, strict=True):
        by_hand = sum(question.points for question in lab.written.values())
        assert spans(row[2]) == minutes_of(lab), lab.name
        assert (int(row[3]), int(row[4])) == (lab.points, by_hand), lab.name


# ---------------------------------------------------------------- figures in prose


def test_times_of_grading_are_the_measured_ones():
    said = re.search(
        r"hand-ins of lab 1 took (\d+) s .* of lab 7 took (\d+) s .*?"
        r"200 hand-ins take (\d+) minutes and (\d+) minutes",
        PAGE,
        re.DOTALL,
    )
    measured = [GRADED["01_tokenizer"], GRADED["07_fine_tuning"]]
    assert all(one["submissions"] == 12 for one in measured)
    seconds = [one["cpu_seconds"] for one in measured]
    expected = [round(s) for s in seconds]
    expected += [round(200 * s / 12 / 60) for s in seconds]
    assert [int(number) for number in said.groups()] == expected


def test_memory_and_disk_are_the_measured_ones():
    from lmcore.assets import ASSETS, needed_by_the_book

    most = max(one["peak_mib"] for one in MEASURED.values()) / 1024
    assert f"largest\n   chapter takes {most:.1f} GiB" in PAGE
    size = sum(ASSETS[name].size for name in needed_by_the_book()) / 1e6
    assert f"`lmcore fetch` ({size:.0f} MB)" in PAGE


def test_minutes_are_stated_nowhere_else():
    """A new figure on the page needs a test that holds it to a measurement."""
    prose = re.sub(r"^\s*\|.*$", "", PAGE, flags=re.MULTILINE)
    found = re.findall(r"\d[\d–]*\s+(?:min\b|minutes?)", prose)
    assert found == ["4 minutes", "11 minutes"]


# ---------------------------------------------------------------------- commands


def commands():
    """Every command on the page that is the course's own."""
    fenced = re.findall(r"^ *```\n(.*?)^ *```$", PAGE, re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in fenced for line in block.splitlines()]
    lines += [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`", PAGE)]
    found = []
    for line in lines:
        plain = re.sub(r"^(\w+=\S+ )+", "", line)  # settings before the command
        if re.match(r"(lmcore|python run\.py|python -m lmcore\S*) [^ ]", plain):
            found.append(plain)
    return sorted(set(found))


def test_the_page_has_commands_of_each_kind():
    assert len(commands()) >= 15
    for beginning in ("lmcore labs grade", "lmcore labs release", "python run.py lab"):
        assert any(line.startswith(beginning) for line in commands()), beginning


@pytest.mark.parametrize("line", commands())
def test_a_command_exists_with_these_options(line):
    words = shlex.split(line)
    if words[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(words[2])
        return
    if words[0] == "python":
        rest = run_py_rest(words[2:])
        if words[2] != "labs" or rest in (["…"], []):
            return
        words = ["lmcore", "labs", *rest]
    parse(words[1:])


def run_py_rest(words):
    """Parse with run.py's own parser; what it hands on."""
    spec = importlib.util.spec_from_file_location("course_run", ROOT / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    known, rest = module.parser().parse_known_args(words)
    assert not rest or module.COMMANDS[known.command][2]
    return rest


def parse(words):
    """Parse a command of lmcore without running it."""
    command, words = typer.main.get_command(app), list(words)
    while hasattr(command, "commands"):
        name = words.pop(0)
        assert name in command.commands, name
        command = command.commands[name]
    with command.make_context(command.name, words):
        pass


@pytest.mark.parametrize(
    "words",
    ["labs grad x", "labs grade x --job 2", "labs grade x --jobs two", "fetch --some"],
)
def test_a_command_that_does_not_exist_would_be_found(words):
    with pytest.raises((AssertionError, click.UsageError, Exception)) as failure:
        parse(words.split())
    kinds = {kind.__name__ for kind in type(failure.value).__mro__}
    assert kinds & {"AssertionError", "UsageError"}


def test_messages_that_are_quoted_are_those_of_the_code():
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in (ROOT / "lmcore/course/labs", ROOT / "labs/01_tokenizer")
        for path in folder.glob("*.py")
    )
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # strings that go on in the next line
    page = " ".join(PAGE.replace("\n  > ", " ").replace("\n   > ", " ").split())
    for words in (
        "the file is no notebook: open it in Jupyter, save it, hand it in again",
        "in the notebook: was it renamed or deleted?",
        "functions are the same code as in",
        "was it measured with another STUDENT",
        "which it builds on,",
        "this answer could not be checked",
    ):
        assert words in page, words
        assert words in code, words
