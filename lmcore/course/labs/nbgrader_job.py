"""nbgrader's own commands, run on the labs: assignment out, submissions back, marks.

    python -m lmcore.course.labs.nbgrader_job 01

nbgrader brings a notebook server with extensions that would start in every reader's
JupyterLab. So it is installed into an environment of its own, ``.venv/nbgrader``, which
sees lmcore and torch in the course's. For each lab the job makes a course folder with
the solved notebook in ``source/``, runs ``nbgrader generate_assignment``, hands in the
result as it is (blank) and the solved notebook, runs ``nbgrader autograde``, and wants
0 points for the one and all for the other.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import nbformat

from lmcore.course.labs.build import student_notebook
from lmcore.course.labs.definition import Lab, find_labs
from lmcore.course.labs.release import nbgrader_source
from lmcore.course.notebooks import find_root

DEFAULT = ("01", "03")  # two labs prove the way; name others to try them too


def main(names: list[str]) -> int:
    """Run the job on some labs; returns the exit code."""
    root = find_root()
    python = install(root)
    labs = find_labs(root, names or list(DEFAULT))
    failures = 0
    for lab in labs:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            problems = try_lab(lab, python, Path(folder))
        seconds = time.monotonic() - started
        print(
            f"{lab.name}: {'; '.join(problems) or 'as it should be'} ({seconds:.0f} s)"
        )
        failures += bool(problems)
    return 1 if failures else 0


def install(root: Path) -> Path:
    """Make the environment, if it is not there; returns its Python."""
    folder = Path(sys.prefix) / "nbgrader"
    binaries = folder / ("Scripts" if os.name == "nt" else "bin")
    python = binaries / ("python.exe" if os.name == "nt" else "python")
    done = folder / "complete"
    if done.exists():
        return python
    started = time.monotonic()
    venv = [sys.executable, "-m", "venv", "--clear", str(folder)]
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    pip += ["-c", str(root / "constraints.txt"), "nbgrader"]
    for command in (venv, pip):
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{answer.stderr[-3000:]}")
    inside = "import sysconfig; print(sysconfig.get_path('purelib'))"
    answer = subprocess.run(
        [str(python), "-c", inside], check=True, capture_output=True, text=True
    )
    path = Path(answer.stdout.strip()) / "course.pth"
    path.write_text(f"{sysconfig.get_path('purelib')}\n{root}\n", encoding="utf-8")
    done.touch()
    print(f"nbgrader installed in {time.monotonic() - started:.0f} s")
    return python


def try_lab(lab: Lab, python: Path, folder: Path) -> list[str]:
    """Put one lab through nbgrader; returns what is not as it should be."""
    source = nbgrader_source(lab, folder)
    solved = (source / "lab.ipynb").read_text(encoding="utf-8")
    run(python, folder, "generate_assignment", lab.name)
    problems = []
    released = folder / "release" / lab.name
    given = nbformat.read(released / "lab.ipynb", as_version=4)
    ours = student_notebook(lab)
    if [c.source for c in given.cells] != [c.source for c in ours.cells]:
        problems.append("nbgrader's release differs from lab.ipynb")
    for student in ("blank", "solved"):
        place = folder / "submitted" / student / lab.name
        shutil.copytree(released, place)
    place = folder / "submitted" / "solved" / lab.name
    (place / "lab.ipynb").write_text(solved, encoding="utf-8")
    run(python, folder, "autograde", lab.name)
    scores = read_scores(folder / "gradebook.db")
    for student, expected in (("blank", 0), ("solved", lab.points)):
        if scores.get(student) != expected:
            problems.append(f"{student}: {scores.get(student)} and not {expected}")
    return problems


def run(python: Path, folder: Path, command: str, name: str) -> None:
    """Run one of nbgrader's commands.

    Raises:
        RuntimeError: If it fails; the message has the end of what it printed.
    """
    environment = os.environ | {
        "PATH": os.pathsep.join([str(python.parent), os.environ.get("PATH", "")]),
        "LMCORE_DEVICE": "cpu",
        "JUPYTER_PLATFORM_DIRS": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "IPYTHONDIR": str(folder / "ipython"),
    }
    answer = subprocess.run(
        [str(python), "-m", "nbgrader", command, name],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    if answer.returncode:
        text = (answer.stdout + answer.stderr)[-3000:]
        raise RuntimeError(f"nbgrader {command} {name} failed:\n{text}")


def read_scores(path: Path) -> dict[str, float]:
    """Each student's points for cells that code checks, from nbgrader's database."""
    query = """
        SELECT submitted_assignment.student_id, COALESCE(SUM(grade.auto_score), 0)
        FROM grade
        JOIN submitted_notebook ON grade.notebook_id = submitted_notebook.id
        JOIN submitted_assignment
          ON submitted_notebook.assignment_id = submitted_assignment.id
        GROUP BY submitted_assignment.student_id
    """
    with sqlite3.connect(path) as database:
        return dict(database.execute(query).fetchall())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
