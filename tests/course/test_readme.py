"""The README agrees with the repository, and so do the lists of versions."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from lmcore.course.scoreboard import read_scoreboard

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table_rows(heading):
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_every_chapter_stands_in_the_contents_with_its_title():
    expected = {}
    for path in sorted((ROOT / "chapters").glob("*.ipynb")):
        first = "".join(json.loads(path.read_text("utf-8"))["cells"][0]["source"])
        title = re.match(r"# (\d\d|[A-Z]) · (.+)", first)
        expected[f"chapters/{path.name}"] = f"{title[1]} {title[2]}"
    listed = {}
    for cell, *_ in table_rows("Contents"):
        text, target = re.fullmatch(r"\[(.+)\]\((.+)\)", cell).groups()
        listed[target] = text
    assert listed == expected


def labs_of_chapter(path):
    """Names of the labs that a chapter sends its readers to."""
    text = path.with_suffix(".py").read_text(encoding="utf-8")
    lines = re.findall(r"^# \*\*Lab:\*\* .+$", text, re.MULTILINE)
    return re.findall(r"\.\./labs/(\w+)/lab\.ipynb", "".join(lines))


def test_chapters_and_contents_name_the_same_labs():
    for chapter, _, _, labs in table_rows("Contents"):
        path = ROOT / re.search(r"\((.+)\)", chapter)[1]
        assert re.findall(r"labs/(\w+)/", labs) == labs_of_chapter(path), path.name


def test_every_lab_stands_in_its_table_with_title_chapters_and_points():
    expected = {}
    chapters = sorted((ROOT / "chapters").glob("*.ipynb"))
    for lab in sorted(path.parent for path in (ROOT / "labs").glob("*/lab.ipynb")):
        cells = json.loads((lab / "lab.ipynb").read_text("utf-8"))["cells"]
        title = re.match(r"# Lab (\d) · (.+)", "".join(cells[0]["source"]))
        graded = [cell["metadata"].get("nbgrader", {}) for cell in cells]
        points = {True: 0, False: 0}  # by hand or not
        for fields in graded:
            if fields.get("grade"):
                points[fields["solution"]] += round(fields["points"])
        goes_with = [p.name[:2] for p in chapters if lab.name in labs_of_chapter(p)]
        expected[f"labs/{lab.name}/lab.ipynb"] = [
            f"{title[1]} {title[2]}",
            ", ".join(goes_with),
            f"{points[False]}, and {points[True]} by hand",
        ]
    listed = {}
    for cell, goes_with, points in table_rows("Labs"):
        text, target = re.fullmatch(r"\[(.+)\]\((.+)\)", cell).groups()
        listed[target] = [text, goes_with, points]
    assert listed == expected


def test_the_speed_shown_is_the_measured_one():
    path = ROOT / "results" / "bench.json"
    measured = json.loads(path.read_text(encoding="utf-8"))["measured"]
    for work, runner, peer, ratio in table_rows("Speed"):
        runners = measured[work]["runners"]
        times = runners[peer]["seconds"] / runners[runner]["seconds"]
        first = next(name for name in runners if not name.startswith("lmcore"))
        shown = runners[runner]["ratio"] if peer == first else round(times, 2)
        assert float(ratio) == shown, work


def test_the_scoreboard_is_the_measured_one():
    measured = {row.model: f"{row.bits_per_byte:.2f}" for row in read_scoreboard()}
    shown = {model: bits for model, _, bits in table_rows("The scoreboard")}
    assert shown == measured


def markdown_files():
    return [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "INSTRUCTORS")]


@pytest.mark.parametrize("path", markdown_files(), ids=lambda path: path.name)
def test_every_relative_link_leads_to_a_file(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    prose = "\n".join(line for line in lines if not line.startswith("    "))
    for target in re.findall(r"\]\(([^)#]+)\)", prose):
        if not target.startswith("https://"):
            assert (path.parent / target).exists(), target


def test_chapters_link_only_to_chapters_that_exist():
    for path in (ROOT / "chapters").glob("*.py"):
        for target in re.findall(r"\]\(([\w./]+\.ipynb)", path.read_text("utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_constraints_pin_every_dependency_without_a_local_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        wanted += extra
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    pinned = {re.sub(r"[-_.]+", "-", name).lower() for name in pins}
    for requirement in wanted:
        name = re.match(r"[\w.-]+", requirement)[0]
        assert re.sub(r"[-_.]+", "-", name).lower() in pinned, requirement
    assert pins["torch"] == "2.13.0"
    assert not any("+" in version or "://" in version for version in pins.values())
