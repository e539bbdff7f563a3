"""What a lab consists of: its folder, its tasks with their checks, its questions.

``labs/NN_slug/checks.py`` holds the tasks in the order of the notebook:

    @task("count_pairs", points=2, hints=("...", "...", "..."))
    def check_count_pairs(student):
        got = student.call("count_pairs", [[1, 2, 1]])
        student.expect(got, {(1, 2): 1, (2, 1): 1}, causes={"...": ...})

A check returns if the answer is right and raises ``CheckFailed`` if it is wrong.
"""

import contextlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import lmcore
from lmcore.config import require
from lmcore.course.labs.serving import load_module
from lmcore.course.labs.student import CheckFailed, NotWritten, Student

LAB_NAME = re.compile(r"\d\d_[a-z0-9_]+")


@dataclass(frozen=True)
class Task:
    """One task of a lab.

    Attributes:
        name: Of the function (or value) that the student writes.
        points: For a right answer.
        hints: Three, each saying more than the one before.
        check: Raises if the answer is wrong; may return a figure for the leaderboard.
        needs: Tasks that the student's answer builds on.
        stretch: Whether it is the voluntary one at the end, which earns no points and
            which the grader runs only if asked to.
    """

    name: str
    points: int
    hints: tuple[str, str, str]
    check: Callable[[Student], float | None]
    needs: tuple[str, ...] = ()
    stretch: bool = False


@dataclass(frozen=True)
class Written:
    """A question that is answered in words and marked by a person.

    Attributes:
        name: Of its cell.
        points: At most.
        rubric: What earns them, one line a criterion.
    """

    name: str
    points: int
    rubric: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What checking one task gave.

    Attributes:
        task: Which one.
        status: ``"right"``, ``"wrong"``, ``"blank"`` (not written), ``"ended"`` (the
            process did), or ``"broken"`` (the check itself failed on this answer).
        message: For the student; empty if right.
        figure: For the leaderboard, from a stretch task.
    """

    task: Task
    status: str
    message: str = ""
    figure: float | None = None

    @property
    def earned(self) -> int:
        """Points: all or none."""
        return self.task.points if self.status == "right" else 0


def task(
    name: str,
    *,
    points: int,
    hints: tuple[str, str, str],
    needs: tuple[str, ...] = (),
    stretch: bool = False,
) -> Callable[[Callable[[Student], Any]], Task]:
    """Make a check of ``checks.py`` into a task; see ``Task`` for the arguments.

    Raises:
        ValueError: If there are not three hints, or a stretch task has points.
    """
    require(name.isidentifier(), "name", name, "be the name of a function or value")
    require(len(hints) == 3, "hints", hints, "be three")
    fitting = points == 0 if stretch else points >= 1
    require(fitting, "points", points, "be 0 for a stretch task, else at least 1")
    return lambda check: Task(name, points, hints, check, needs, stretch)


@dataclass(frozen=True)
class Lab:
    """One lab's folder.

    Attributes:
        folder: ``labs/NN_slug``, or a release of it.
    """

    folder: Path

    @property
    def name(self) -> str:
        """Such as ``01_tokenizer``, as ``checks.py`` says it."""
        return self.checks.LAB

    @property
    def source(self) -> Path:
        """The text with solutions that people edit."""
        return self.folder / "source.py"

    @property
    def notebook(self) -> Path:
        """The student's notebook that is built from it."""
        return self.folder / "lab.ipynb"

    @property
    def checks(self) -> ModuleType:
        """The module ``checks.py``."""
        return load_module(self.folder / "checks.py")

    @property
    def mutants(self) -> ModuleType:
        """The module ``mutants.py``: wrong answers, and right ones in other styles."""
        return load_module(self.folder / "mutants.py")

    @property
    def tasks(self) -> dict[str, Task]:
        """The tasks by name, in order."""
        found = [v for v in vars(self.checks).values() if isinstance(v, Task)]
        return {one.name: one for one in found}

    @property
    def written(self) -> dict[str, Written]:
        """The written questions by name, in order."""
        found = [v for v in vars(self.checks).values() if isinstance(v, Written)]
        return {one.name: one for one in found}

    @property
    def points(self) -> int:
        """Points of all tasks that are checked by code."""
        return sum(one.points for one in self.tasks.values())


def find_labs(root: Path, names: Sequence[str] | None = None) -> list[Lab]:
    """The labs of ``root/labs``, all of them or those named, in order.

    Args:
        root: The repository.
        names: Each a name or its beginning (``01``).

    Raises:
        ValueError: If a name fits no lab or more than one.
    """
    known = sorted(
        folder.name
        for folder in (root / "labs").glob("*")
        if LAB_NAME.fullmatch(folder.name) and (folder / "checks.py").exists()
    )
    if not names:
        return [Lab(root / "labs" / name) for name in known]
    chosen = []
    for name in names:
        fitting = [k for k in known if k == name] or [
            k for k in known if name and k.startswith(name)
        ]
        require(len(fitting) == 1, "name", name, f"name one of {', '.join(known)}")
        chosen.append(Lab(root / "labs" / fitting[0]))
    return chosen


def find_lab(name: str) -> Lab:
    """A lab for a notebook: from the folder it runs in, or from the repository.

    Args:
        name: The whole name, such as ``01_tokenizer``.

    Raises:
        ValueError: If its ``checks.py`` lies in neither.
    """
    here = Path.cwd() / "checks.py"
    if here.exists() and f'LAB = "{name}"' in here.read_text(encoding="utf-8"):
        return Lab(Path.cwd())
    course = Path(lmcore.__file__).resolve().parents[1] / "labs" / name
    rule = f"be a lab whose checks.py lies in {Path.cwd().name}/ or in the course"
    require((course / "checks.py").exists(), "name", name, rule)
    return Lab(course)


def run_task(one: Task, student: Student) -> Outcome:
    """Check one task; whatever the student's code does, there is an outcome.

    ``ProcessEnded`` passes through: the grader deals with it.
    """
    try:
        with _quiet():
            figure = one.check(student)
    except NotWritten as failure:
        return Outcome(one, "blank", str(failure))
    except CheckFailed as failure:
        return Outcome(one, "wrong", str(failure))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return Outcome(
            one,
            "broken",
            f"{one.name}: this answer could not be checked "
            f"({type(error).__name__}: {error})"[:300],
        )
    return Outcome(one, "right", figure=figure)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep a check's own arithmetic off stderr: candidates may overflow or be NaN.

    The student's code warns as ever, into ``student.warned``.
    """
    import numpy

    with numpy.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def because(one: Task, statuses: Mapping[str, str]) -> str:
    """Words on tasks that this one builds on and that are not right yet.

    Args:
        one: The task.
        statuses: Of the tasks that were checked, by name.
    """
    wrong = [name for name in one.needs if statuses.get(name, "right") != "right"]
    unknown = [name for name in one.needs if name not in statuses]
    words = ""
    for names, state in ((wrong, "not right"), (unknown, "not checked")):
        if names:
            verb = "is" if len(names) == 1 else "are"
            listed = " and ".join(f"`{name}`" for name in names)
            words += f"\n{listed}, which it builds on, {verb} {state} yet."
    return words
