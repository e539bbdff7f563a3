"""The folder and the zip that an instructor hands out: no solution in any of it."""

import zipfile
from pathlib import Path

import nbformat

from lmcore.course.labs.build import (
    LabError,
    find_leaks,
    notebook_texts,
    solved_notebook,
    student_notebook,
)
from lmcore.course.labs.definition import Lab
from lmcore.course.notebooks import write_atomically

README = """# {name}

Open `lab.ipynb` in JupyterLab, write your name into the first code cell, and work from
top to bottom. `check(...)` tells you at once whether an answer is right, and
`hint("task", 1)` helps, up to level 3. Hand in `lab.ipynb` alone.

It needs the course's package, `lmcore`: the course's own environment, which `python
run.py lab` makes, or the one that your instructor names. `checks.py` has to lie beside
the notebook; leave it as it is. The grader uses its own copy, and other inputs.
"""


NBGRADER = """c = get_config()
c.CourseDirectory.course_id = "course"
c.ExecutePreprocessor.timeout = 120
c.ClearSolutions.enforce_metadata = True
"""


def release_lab(lab: Lab, out: Path) -> Path:
    """Write ``out/NAME/`` and ``out/NAME.zip``; returns the zip.

    Raises:
        LabError: If any line of a solution stands in any of the files.
    """
    files = release_files(lab)
    leaks = leaks_of(lab, files)
    if leaks:
        raise LabError(f"{lab.name}: solutions stand in the release: {leaks[:5]}")
    folder = out / lab.name
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_atomically(folder / name, text)
    path = out / f"{lab.name}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(f"{lab.name}/{name}", (2026, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text)
    return path


def nbgrader_source(lab: Lab, course: Path) -> Path:
    """Write ``course/source/NAME/`` for nbgrader; returns the folder.

    It holds the solved notebook, from which ``nbgrader generate_assignment`` makes the
    students', and ``checks.py``. A configuration is written if there is none.
    """
    folder = course / "source" / lab.name
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "lab.ipynb", nbformat.writes(solved_notebook(lab)) + "\n")
    checks = (lab.folder / "checks.py").read_text(encoding="utf-8")
    write_atomically(folder / "checks.py", checks)
    if not (course / "nbgrader_config.py").exists():
        write_atomically(course / "nbgrader_config.py", NBGRADER)
    return folder


def release_files(lab: Lab) -> dict[str, str]:
    """What a student gets, by name."""
    return {
        "lab.ipynb": nbformat.writes(student_notebook(lab)) + "\n",
        "checks.py": (lab.folder / "checks.py").read_text(encoding="utf-8"),
        "README.md": README.format(name=lab.name),
    }


def leaks_of(lab: Lab, files: dict[str, str]) -> list[str]:
    """Lines of solutions in a release, in any cell, output or metadata."""
    leaks = []
    for name, text in files.items():
        if name.endswith(".ipynb"):
            texts = notebook_texts(nbformat.reads(text, as_version=4))
            leaks += find_leaks(lab, texts)
        else:
            leaks += find_leaks(lab, {name: text}, run=2)
    return leaks
