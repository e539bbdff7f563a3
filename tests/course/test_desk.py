"""The reader's edits survive every update, and the contents page links each chapter."""

import json
import stat
from datetime import date
from pathlib import Path

import pytest

from lmcore.course.desk import lay_desk, read_heading

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)
NAME = "04_backpropagation"


def notebook(*code: str, outputs: str = "", title: str = "04 · Backpropagation") -> str:
    """A notebook in a chapter's form, with its outputs."""
    first = (
        f"# {title}\n\n**Question.** How does a net\nlearn, or | not?\n\n**Time.** 1"
    )
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": [first]}]
    for number, source in enumerate(code):
        stream = {"name": "stdout", "output_type": "stream", "text": [outputs]}
        cells.append(
            {
                "cell_type": "code",
                "execution_count": number + 1,
                "id": f"c{number}",
                "metadata": {},
                "outputs": [stream] if outputs else [],
                "source": source.splitlines(keepends=True),
            }
        )
    return json.dumps(
        {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    )


class Course:
    """A small course in a folder, and the reader's folder in it."""

    def __init__(self, root: Path) -> None:
        self.root, self.work = root, root / "work"
        self.source = root / "chapters" / f"{NAME}.ipynb"
        self.copy = self.work / "chapters" / f"{NAME}.ipynb"
        self.source.parent.mkdir()

    def lay(self, today: date = MONDAY) -> list[str]:
        before = {p: p.read_bytes() for p in self.files(self.root / "chapters")}
        messages = lay_desk(self.root, self.work, today)
        after = {p: p.read_bytes() for p in self.files(self.root / "chapters")}
        assert after == before, "laying copies must not touch the repository"
        assert not list(self.work.rglob("*.tmp"))
        return messages

    def names(self) -> list[str]:
        return sorted(p.name for p in self.copy.parent.iterdir())

    def contents(self) -> str:
        return (self.work / "Contents.md").read_text(encoding="utf-8")

    @staticmethod
    def files(folder: Path) -> list[Path]:
        return [p for p in folder.rglob("*") if p.is_file()]


@pytest.fixture
def course(tmp_path: Path) -> Course:
    course = Course(tmp_path)
    course.source.write_text(notebook("print(1)", outputs="1\n"), encoding="utf-8")
    return course


def test_first_time_lays_a_writable_copy(course: Course) -> None:
    course.source.chmod(stat.S_IRUSR)
    assert course.lay() == [f"laid: {NAME}.ipynb"]
    assert course.copy.read_bytes() == course.source.read_bytes()
    assert course.copy.stat().st_mode & stat.S_IWUSR


def test_second_time_does_nothing(course: Course) -> None:
    course.lay()
    stamp = course.copy.stat().st_mtime_ns
    assert course.lay(TUESDAY) == []
    assert course.copy.stat().st_mtime_ns == stamp


def test_unedited_copy_is_updated_in_place(course: Course) -> None:
    course.lay()
    course.source.write_text(notebook("print(2)"))
    assert course.lay(TUESDAY) == [f"updated: {NAME}.ipynb"]
    assert course.copy.read_bytes() == course.source.read_bytes()
    assert course.names() == [f"{NAME}.ipynb"]


def test_new_outputs_reach_an_untouched_copy(course: Course) -> None:
    course.lay()
    course.source.write_text(notebook("print(1)", outputs="one\n"))
    course.lay(TUESDAY)
    assert course.copy.read_bytes() == course.source.read_bytes()


def test_running_a_copy_is_no_edit(course: Course) -> None:
    course.lay()
    course.copy.write_text(notebook("print(1)", outputs="1 (run here)\n"))
    assert course.lay(TUESDAY) == []
    assert "run here" in course.copy.read_text()
    course.source.write_text(notebook("print(2)"))
    assert course.lay(TUESDAY) == [f"updated: {NAME}.ipynb"]


def test_edited_copy_is_kept_and_the_new_version_laid_beside(course: Course) -> None:
    course.lay()
    mine = notebook("print(1)", "print('mine')")
    course.copy.write_text(mine)
    assert course.lay(TUESDAY) == [], "the course did not change"
    course.source.write_text(notebook("print(2)"))
    new = f"{NAME} (new 2026-11-24).ipynb"
    assert course.lay(TUESDAY) == [f"new version beside your edited copy: {new}"]
    assert course.copy.read_text() == mine
    beside = course.copy.with_name(new)
    assert beside.read_bytes() == course.source.read_bytes()
    assert f"chapters/{NAME}%20%28new%202026-11-24%29.ipynb" in course.contents()
    assert course.lay(TUESDAY) == [], "offered once"
    assert course.copy.read_text() == mine


def test_deleted_new_version_is_not_offered_again(course: Course) -> None:
    course.lay()
    course.copy.write_text(notebook("mine"))
    course.source.write_text(notebook("print(2)"))
    course.lay()
    course.copy.with_name(f"{NAME} (new 2026-11-23).ipynb").unlink()
    assert course.lay(TUESDAY) == []
    assert course.names() == [f"{NAME}.ipynb"]
    assert "newer version" not in course.contents()


def test_untouched_new_version_makes_room_for_the_next(course: Course) -> None:
    course.lay()
    course.copy.write_text(notebook("mine"))
    course.source.write_text(notebook("print(2)"))
    course.lay(MONDAY)
    course.source.write_text(notebook("print(3)"))
    course.lay(TUESDAY)
    assert course.names() == [f"{NAME} (new 2026-11-24).ipynb", f"{NAME}.ipynb"]


def test_edited_new_version_is_kept_too(course: Course) -> None:
    course.lay()
    course.copy.write_text(notebook("mine"))
    course.source.write_text(notebook("print(2)"))
    course.lay(MONDAY)
    beside = course.copy.with_name(f"{NAME} (new 2026-11-23).ipynb")
    beside.write_text(notebook("mine, again"))
    course.source.write_text(notebook("print(3)"))
    course.lay(MONDAY)
    assert beside.read_text() == notebook("mine, again")
    assert f"{NAME} (new 2026-11-23, 2).ipynb" in course.names()


def test_edits_survive_a_lost_memory(course: Course) -> None:
    course.lay()
    course.copy.write_text(notebook("mine"))
    (course.work / ".laid.json").write_text("{ cut o")
    course.source.write_text(notebook("print(2)"))
    course.lay(TUESDAY)
    assert course.copy.read_text() == notebook("mine")
    assert f"{NAME} (new 2026-11-24).ipynb" in course.names()


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"cells": 3}', '{"cells": [{}]}'])
def test_a_copy_that_is_no_notebook_is_kept(course: Course, broken: str) -> None:
    course.lay()
    course.copy.write_text(broken)
    course.source.write_text(notebook("print(2)"))
    course.lay()
    assert course.copy.read_text() == broken


def test_deleted_copy_is_laid_again(course: Course) -> None:
    course.lay()
    course.copy.unlink()
    assert course.lay() == [f"laid: {NAME}.ipynb"]


def test_figures_and_results_lie_where_a_chapter_looks(course: Course) -> None:
    for name in ("figures/01_x.svg", "results/a.json", "labs/04_x/lab.ipynb"):
        path = course.root / name
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    (course.root / "labs/04_x/source.py").write_text("solution = 1")
    course.lay()
    assert (course.work / "figures/01_x.svg").exists()
    assert (course.work / "results/a.json").exists()
    assert (course.work / "labs/04_x/lab.ipynb").exists()
    assert not (course.work / "labs/04_x/source.py").exists(), "solutions stay away"


def test_contents_page_links_every_chapter_with_question_and_band(
    course: Course,
) -> None:
    (course.root / "results").mkdir()
    table = {"notebooks": {NAME: {"seconds": 12.0}}}
    (course.root / "results/notebooks.json").write_text(json.dumps(table))
    other = course.source.with_name("03_activations.ipynb")
    other.write_text(notebook(title="03 · Activations"))
    course.lay()
    rows = [row for row in course.contents().splitlines() if row.startswith("| [")]
    question = "How does a net learn, or \\| not?"
    assert rows == [
        f"| [03 · Activations](chapters/03_activations.ipynb) | {question} |  |",
        f"| [04 · Backpropagation](chapters/{NAME}.ipynb) | {question} | under 20 s |",
    ]
    assert "Labs:" not in course.contents()


def test_contents_page_links_every_lab_by_its_title(course: Course) -> None:
    lab = course.root / "labs/03_autograd/lab.ipynb"
    lab.parent.mkdir(parents=True)
    lab.write_text(notebook(title="Lab 3 · Autograd"))
    course.lay()
    assert "- [Lab 3 · Autograd](labs/03_autograd/lab.ipynb)" in course.contents()


def test_a_notebook_without_heading_is_listed_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "05_word_vectors.ipynb"
    path.write_text(json.dumps({"cells": []}))
    assert read_heading(path) == ("05_word_vectors", "")
