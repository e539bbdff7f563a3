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


def test_the_scoreboard_is_the_measured_one():
    measured = {row.model: f"{row.bits_per_byte:.2f}" for row in read_scoreboard()}
    shown = {model: bits for model, _, bits in table_rows("The scoreboard")}
    assert shown == measured


def markdown_files():
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


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
