"""A student's notebook as a grader reads it: whatever a file holds, there is an answer.

The file comes from a stranger, so nothing about its form is taken for granted, and it
is read as plain JSON.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

LAB_FOLDER = re.compile(r"\d\d_[a-z0-9_]+")
OPENS = re.compile(r"open_lab\(\s*[\"']([\w]+)[\"']")
LARGEST = 20 * 2**20  # bytes of a submission


class UnreadableError(ValueError):
    """A file that is no notebook; the message says why, in words for the student."""


@dataclass(frozen=True)
class Cell:
    """One cell of a submission.

    Attributes:
        index: Its place in the notebook, from 1.
        kind: ``"code"`` or ``"markdown"``.
        source: What stands in it.
        grade_id: nbgrader's name of it; empty if it has none.
        tags: Its tags.
    """

    index: int
    kind: str
    source: str
    grade_id: str = ""
    tags: frozenset[str] = frozenset()

    @property
    def place(self) -> str:
        """Its name in messages."""
        return f"<cell {self.index}>"


def find_submissions(folder: Path, lab: str = "") -> dict[str, Path]:
    """Each student's notebook: ``NAME.ipynb``, or the one in a folder ``NAME/``.

    In a folder, ``lab.ipynb`` comes first, then any other; nbgrader's
    ``submitted/NAME/ASSIGNMENT/lab.ipynb`` is found too.

    Args:
        folder: Where they lie.
        lab: A lab's name. Where a student has folders for several assignments, only
            what lies in the one of this name counts.

    Raises:
        ValueError: If there is no notebook at all.
    """
    found = {path.stem: path for path in sorted(folder.glob("*.ipynb"))}
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        inside = [
            path
            for path in sorted(place.rglob("*.ipynb"))
            if ".ipynb_checkpoints" not in path.parts
        ]
        if lab:
            inside = [path for path in inside if _assignment(path) in ("", lab)]
        inside.sort(key=lambda path: (path.name != "lab.ipynb", len(path.parts)))
        if inside:
            name = place.name if place.name not in found else f"{place.name} (folder)"
            found[name] = inside[0]
    if not found:
        raise ValueError(f"folder={str(folder)!r}: must hold notebooks of students")
    return found


def _assignment(path: Path) -> str:
    """The lab whose name the notebook's folder has; empty if it has none."""
    folder = path.parent.name
    return folder if LAB_FOLDER.fullmatch(folder) else ""


def lab_of(submissions: dict[str, Path]) -> str:
    """The lab that most of the submissions open.

    Raises:
        ValueError: If none of them opens a lab.
    """
    counts: Counter[str] = Counter()
    for path in submissions.values():
        try:
            sources = [cell.source for cell in read_submission(path)]
        except UnreadableError:
            continue
        counts.update(set(OPENS.findall("\n".join(sources))))
    if not counts:
        raise ValueError("lab: must be named; no submission says open_lab(...)")
    return counts.most_common(1)[0][0]


def read_submission(path: Path) -> list[Cell]:
    """The cells of a student's file.

    Raises:
        UnreadableError: If it is no notebook.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise UnreadableError(f"the file is larger than {LARGEST >> 20} MiB")
        data = json.loads(path.read_bytes())
        cells = data["cells"]
    except OSError as error:
        raise UnreadableError(f"the file cannot be read: {error.strerror}") from None
    except UnreadableError:
        raise
    except (ValueError, LookupError, TypeError, RecursionError):
        raise UnreadableError(
            "the file is no notebook: open it in Jupyter, save it, hand it in again"
        ) from None
    if not isinstance(cells, list):
        raise UnreadableError("the file is no notebook: it has no list of cells")
    return [_read_cell(i, cell) for i, cell in enumerate(cells, start=1)]


def cells_of(notebook: NotebookNode) -> list[Cell]:
    """The cells of a notebook that the course built."""
    return [_read_cell(i, cell) for i, cell in enumerate(notebook.cells, start=1)]


def cells_to_run(cells: Sequence[Cell], blank: Sequence[Cell]) -> list[Cell]:
    """The code cells that the grader runs: no experiments and no checks.

    A cell counts as one of them by its metadata, or by its text where an editor lost
    the metadata.

    Args:
        cells: The submission's.
        blank: The student notebook's, as it was handed out.
    """
    given = {cell.source.strip() for cell in blank if _left_out(cell)}
    return [
        cell
        for cell in cells
        if cell.kind == "code"
        and not _left_out(cell)
        and cell.source.strip() not in given
    ]


def task_cells(cells: Sequence[Cell]) -> dict[str, Cell]:
    """The cells with nbgrader names; of several with the same name, the last."""
    return {cell.grade_id: cell for cell in cells if cell.grade_id}


def double_names(cells: Sequence[Cell]) -> list[str]:
    """nbgrader names that more than one cell has (nbgrader refuses such a notebook)."""
    counts = Counter(cell.grade_id for cell in cells if cell.grade_id)
    return [name for name, count in counts.items() if count > 1]


def _left_out(cell: Cell) -> bool:
    return cell.kind == "code" and (
        "experiment" in cell.tags or cell.grade_id.startswith("check_")
    )


def _read_cell(index: int, cell: Any) -> Cell:
    """One cell; what is not as it should be becomes empty."""
    if not isinstance(cell, dict):
        return Cell(index, "", "")
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    metadata = cell.get("metadata", {})
    metadata = metadata if isinstance(metadata, dict) else {}
    nbgrader = metadata.get("nbgrader", {})
    grade_id = nbgrader.get("grade_id", "") if isinstance(nbgrader, dict) else ""
    tags = metadata.get("tags", [])
    return Cell(
        index,
        str(cell.get("cell_type", "")),
        source if isinstance(source, str) else "",
        grade_id if isinstance(grade_id, str) else "",
        frozenset(t for t in tags if isinstance(t, str))
        if isinstance(tags, list)
        else frozenset(),
    )
