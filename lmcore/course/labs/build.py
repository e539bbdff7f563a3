"""From a lab's source to the student's notebook and the solved one.

Both have nbgrader's cell metadata. In the student's, each solution region is replaced
by the stub that ``nbgrader generate_assignment`` would write, so that both ways of
making an assignment give the same cells.
"""

import hashlib
import re
from collections import Counter

import nbformat
from nbformat import NotebookNode

from lmcore.course.labs.definition import Lab
from lmcore.course.notebooks import NOTEBOOK_METADATA, write_atomically

BEGIN, END = "BEGIN SOLUTION", "END SOLUTION"
CODE_STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")
TEXT_STUB = ("YOUR ANSWER HERE",)
SHORT = 10  # characters; a shorter line of a solution may stand anywhere by chance
ROLES = ("task", "check", "written")  # keys of a cell's metadata in the source


class LabError(ValueError):
    """A lab whose files do not fit together; the message says what to mend."""


def build_lab(lab: Lab) -> NotebookNode:
    """Write a lab's student notebook; returns it.

    Raises:
        LabError: If the source breaks a rule.
    """
    notebook = student_notebook(lab)
    write_atomically(lab.notebook, nbformat.writes(notebook) + "\n")
    return notebook


def student_notebook(lab: Lab) -> NotebookNode:
    """The notebook with stubs in place of the solutions."""
    notebook = solved_notebook(lab)
    for cell in notebook.cells:
        stub = CODE_STUB if cell.cell_type == "code" else TEXT_STUB
        cell.source = without_solutions(cell.source, stub)
    return notebook


def solved_notebook(lab: Lab) -> NotebookNode:
    """The notebook with solutions, regions marked, as nbgrader's source wants it.

    Raises:
        LabError: If the source breaks a rule.
    """
    import jupytext

    text = lab.source.read_text(encoding="utf-8")
    notebook = jupytext.reads(text, fmt="py:percent")
    kept = {k: v for k, v in NOTEBOOK_METADATA.items() if k != "jupytext"}
    notebook.metadata = nbformat.from_dict({**kept, "lmcore": {"lab": lab.name}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: Counter[str] = Counter()
    roles: Counter[tuple[str, str]] = Counter()
    for cell in notebook.cells:
        role, name = _role(lab, cell)
        roles[role, name] += 1
        _check_regions(lab, cell, role)
        metadata = {"tags": cell.metadata["tags"]} if "tags" in cell.metadata else {}
        if role:
            metadata["nbgrader"] = nbgrader_metadata(lab, role, name)
            cell.id = f"{role}-{name}"
        else:
            digest = hashlib.sha256(cell.source.encode()).hexdigest()[:8]
            seen[digest] += 1
            cell.id = f"{digest}-{seen[digest]}"
        cell.metadata = nbformat.from_dict(metadata)
    _check_roles(lab, roles)
    nbformat.validate(notebook)
    return notebook


def nbgrader_metadata(lab: Lab, role: str, name: str) -> dict:
    """What nbgrader wants to know of a cell (its schema 3).

    Args:
        lab: Its lab.
        role: ``"task"``, ``"check"`` or ``"written"``.
        name: Of the task or question.
    """
    metadata = {
        "grade": role != "task",
        "grade_id": f"check_{name}" if role == "check" else name,
        "locked": role == "check",
        "schema_version": 3,
        "solution": role != "check",
        "task": False,
    }
    if role == "check":
        metadata["points"] = lab.tasks[name].points
    elif role == "written":
        metadata["points"] = lab.written[name].points
    return metadata


def without_solutions(source: str, stub: tuple[str, ...]) -> str:
    """A cell's text with each solution region replaced by a stub."""
    kept, inside = [], False
    for line in source.split("\n"):
        if BEGIN in line:
            indent = line[: len(line) - len(line.lstrip())]
            kept += [indent + text for text in stub]
            inside = True
        elif END in line:
            inside = False
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def solution_lines(lab: Lab) -> set[str]:
    """Every line that stands in solution regions and nowhere else in the source."""
    inside, outside, solving = set(), set(), False
    for raw in lab.source.read_text(encoding="utf-8").splitlines():
        line = re.sub(r"^#\s?", "", raw).strip()  # a written answer is commented out
        if BEGIN in line or END in line:
            solving = BEGIN in line
        elif re.search(r"\w", line):
            (inside if solving else outside).add(line)
    return inside - outside


def find_leaks(lab: Lab, texts: dict[str, str], run: int = 1) -> list[str]:
    """Places where a solution stands in what a student gets.

    A line of a solution is looked for inside longer ones too, but not inside longer
    words. One of under ten characters (``i += 1``) is looked for as a whole line, and a
    single word is not looked for: it may be the name of anything. Where more than one
    line makes a leak, a short one adds nothing, and does not end the run either.

    Args:
        lab: Whose solutions to look for.
        texts: Texts by the name of their place.
        run: How many lines of solutions in a row make a leak. One in a notebook; two
            in ``checks.py``, which is Python too and shares idioms with any solution.
    """
    lines = {line for line in solution_lines(lab) if not line.isidentifier()}
    long = [_whole(line) for line in lines if len(line) >= SHORT]
    leaks = []
    for place, text in texts.items():
        in_a_row = 0
        for raw in text.splitlines():
            inside = any(pattern.search(raw) for pattern in long)
            short = not inside and raw.strip() in lines
            if inside or (short and run == 1):
                in_a_row += 1
                if in_a_row >= run:
                    leaks.append(f"{place}: {raw.strip()}")
            elif not short:
                in_a_row = 0
    return leaks


def _whole(line: str) -> re.Pattern[str]:
    """Finds a line that is not part of a longer word at either end."""
    begin = r"(?<!\w)" if re.match(r"\w", line) else ""
    end = r"(?!\w)" if re.search(r"\w$", line) else ""
    return re.compile(begin + re.escape(line) + end)


def notebook_texts(notebook: NotebookNode) -> dict[str, str]:
    """Every text in a notebook by its place: sources, outputs, metadata."""
    texts = {}

    def walk(value: object, place: str) -> None:
        if isinstance(value, str):
            texts[place] = value
        elif isinstance(value, dict):
            for key, item in value.items():
                texts[f"{place}.{key} (key)"] = str(key)
                walk(item, f"{place}.{key}")
        elif isinstance(value, list):
            for i, item in enumerate(value):
                walk(item, f"{place}[{i}]")

    walk(notebook, "notebook")
    return texts


def _role(lab: Lab, cell: NotebookNode) -> tuple[str, str]:
    """A cell's part in the lab and the task's name; empty for a given cell."""
    found = [role for role in ROLES if role in cell.metadata]
    if len(found) > 1:
        raise LabError(f"{lab.name}: a cell has the metadata {' and '.join(found)}")
    if not found:
        return "", ""
    role, name = found[0], cell.metadata[found[0]]
    known = lab.written if role == "written" else lab.tasks
    if name not in known:
        raise LabError(f"{lab.name}: {role}={name!r} stands in no check of checks.py")
    return role, name


def _check_regions(lab: Lab, cell: NotebookNode, role: str) -> None:
    """Regions begin and end in turn, and stand where they are looked for."""
    marks = re.findall(rf"({BEGIN}|{END})", cell.source)
    first = cell.source.strip().splitlines()[0] if cell.source.strip() else "(empty)"
    place = f"{lab.name}, the cell that begins {first!r:.60}"
    if marks != [BEGIN, END] * (len(marks) // 2):
        raise LabError(f"{place}: BEGIN and END SOLUTION must come in turn")
    if bool(marks) != (role in ("task", "written")):
        raise LabError(
            f"{place}: a solution region stands in each cell with task= or written=, "
            "and in no other"
        )


def _check_roles(lab: Lab, roles: Counter[tuple[str, str]]) -> None:
    """Each task has one cell to write in and one that checks it."""
    wanted = [(role, name) for name in lab.tasks for role in ("task", "check")]
    wanted += [("written", name) for name in lab.written]
    for role, name in wanted:
        if roles[role, name] != 1:
            raise LabError(
                f'{lab.name}: {roles[role, name]} cells have {role}="{name}", '
                "and one should"
            )
