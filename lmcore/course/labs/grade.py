"""Grading: each submission in a process of its own, and none stops the batch.

The student's process only runs functions on inputs that the grader sends; every answer
is compared in the grader's process, with a reference that the student's code cannot
reach. A student who redefines ``check`` or patches lmcore changes nothing but their own
process. Inputs come from a secret, so they cannot be known in advance.

This is no sandbox: a submission may read and write whatever the user may who runs the
grader. ``lmcore labs grade --help`` says how to run it in a container.
"""

import secrets
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lmcore.course.labs.build import TEXT_STUB, solved_notebook, student_notebook
from lmcore.course.labs.copying import copies, own_functions
from lmcore.course.labs.definition import Lab, Outcome, because, run_task
from lmcore.course.labs.process import Limits, ProcessEnded
from lmcore.course.labs.seeds import seed_of
from lmcore.course.labs.session import Session
from lmcore.course.labs.student import Student
from lmcore.course.labs.submission import (
    Cell,
    UnreadableError,
    cells_of,
    cells_to_run,
    double_names,
    find_submissions,
    read_submission,
    task_cells,
)

STRETCH_TIMES = 6  # a stretch task may take a minute where others may take 10 s
SHARED = 3  # functions that two submissions may have in common by chance
PRINTED = 2**20  # characters; who prints more is told so


@dataclass
class Result:
    """What grading one submission gave.

    Attributes:
        student: The submission's name.
        outcomes: One for each task.
        written: For each written question the answer; empty if there is none.
        flags: For the instructor: copied code, a name that does not fit.
        problems: For the student: cells that do not run, a file that is no notebook.
        seconds: Wall clock.
        name: What the notebook's ``STUDENT`` says.
        by_hand: Marks that a person gave for written questions.
        functions: Digests of the student's own functions, by name; see ``copying``.
    """

    student: str
    outcomes: list[Outcome]
    written: dict[str, str] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    name: str = ""
    by_hand: dict[str, float] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)

    @property
    def points(self) -> int:
        """Points for the tasks that code can check."""
        return sum(outcome.earned for outcome in self.outcomes)


class Grader:
    """Grades submissions of one lab.

    Args:
        lab: Which one.
        limits: For each submission's process.
        secret: From which the inputs of the checks are drawn; a random one if not
            given. The same secret gives the same inputs again.
        stretch: Whether to run the stretch tasks as well.
    """

    def __init__(
        self,
        lab: Lab,
        limits: Limits | None = None,
        secret: str | None = None,
        stretch: bool = False,
    ) -> None:
        self.lab = lab
        self.limits = limits or Limits()
        self.secret = secret or secrets.token_hex(8)
        self.stretch = stretch
        self.blank = cells_of(student_notebook(lab))
        solved = task_cells(cells_of(solved_notebook(lab)))
        self.solutions = [solved[name].source for name in lab.tasks]
        if torch := sys.modules.get("torch"):  # if the lab's checks use it
            torch.set_num_threads(1)  # their tensors are small, and others want cores

    def grade_file(self, student: str, path: Path) -> Result:
        """Grade one submission; whatever it is, there is a result."""
        started = time.monotonic()
        try:
            result = self.grade_cells(student, read_submission(path))
        except UnreadableError as error:
            result = self._nothing(student, str(error))
        except Exception as error:  # one bad submission never stops the batch
            words = f"grading failed ({type(error).__name__}: {error})"[:300]
            result = self._nothing(student, words)
            result.flags.append(words)
        result.seconds = time.monotonic() - started
        return result

    def grade_cells(self, student: str, cells: list[Cell]) -> Result:
        """Grade the cells of one submission."""
        result = Result(student, [], self._written(cells))
        with Session(cells_to_run(cells, self.blank), self.limits) as session:
            try:
                session.start()
                result.name = _name(session)
            except ProcessEnded as ended:
                session.problems[0] = f"the notebook {ended}"
            for one in self.lab.tasks.values():
                if one.stretch and not self.stretch:
                    continue
                result.outcomes.append(self._check(one.name, session, result))
            result.problems += _describe_problems(session, cells)
            self._explain(result, session, cells)
        own = self._own_code(cells)
        result.functions = own_functions(own, self.solutions)
        result.flags += self._flags(result, cells, own)
        return result

    def _check(self, name: str, session: Session, result: Result) -> Outcome:
        one = self.lab.tasks[name]
        student = Student(session.ask, result.name, name)
        student.rng.seed(seed_of(self.lab.name, self.secret, result.student, name))
        session.begin_task(STRETCH_TIMES if one.stretch else 1)
        try:
            return run_task(one, student)
        except ProcessEnded as ended:
            called = student.called or f"`{name}`"
            return Outcome(one, "ended", f"{name}: {called} {ended}")

    def _explain(self, result: Result, session: Session, cells: list[Cell]) -> None:
        """Add to messages what lies behind them: a broken cell, an earlier task."""
        statuses = {o.task.name: o.status for o in result.outcomes}
        cell_of = task_cells(cells)
        for i, outcome in enumerate(result.outcomes):
            if outcome.status == "right":
                continue
            name, message = outcome.task.name, outcome.message
            cell = cell_of.get(name)
            problem = session.problems.get(cell.index) if cell else None
            if problem and not problem.startswith("NotImplementedError"):
                message += f"\nIts cell does not run: {problem}"
            message += because(outcome.task, statuses)
            result.outcomes[i] = Outcome(outcome.task, outcome.status, message)

    def _written(self, cells: list[Cell]) -> dict[str, str]:
        """The answers in words; one that was left as handed out is empty."""
        mine, given = task_cells(cells), task_cells(self.blank)
        answers = {}
        for name in self.lab.written:
            text = mine[name].source.strip() if name in mine else ""
            unchanged = text == given[name].source.strip() or text in TEXT_STUB
            answers[name] = "" if unchanged else text
        return answers

    def _own_code(self, cells: list[Cell]) -> list[str]:
        """The code cells that are not as they were handed out."""
        given = {cell.source.strip() for cell in self.blank}
        return [
            cell.source
            for cell in cells
            if cell.kind == "code" and cell.source.strip() not in given
        ]

    def _flags(self, result: Result, cells: list[Cell], own: list[str]) -> list[str]:
        """What the instructor should look at; none of it changes a mark."""
        given = [cell.source for cell in self.blank if cell.kind == "code"]
        flags = copies(own, self.solutions, given)
        for name in double_names(cells):
            flags.append(f"several cells are called {name}: the last one counts")
        if result.name and result.name == self._given_name():
            flags.append(f"STUDENT is {result.name!r}, as it was handed out")
        broken = [o.message for o in result.outcomes if o.status == "broken"]
        return flags + broken

    def _given_name(self) -> str:
        for cell in self.blank:
            for line in cell.source.splitlines():
                if line.startswith("STUDENT = "):
                    return line.removeprefix("STUDENT = ").split("#")[0].strip(" \"'")
        return ""

    def _nothing(self, student: str, problem: str) -> Result:
        outcomes = [
            Outcome(one, "blank", f"{one.name}: nothing could be checked")
            for one in self.lab.tasks.values()
            if not one.stretch or self.stretch
        ]
        written = dict.fromkeys(self.lab.written, "")
        return Result(student, outcomes, written, problems=[problem])


class Grades(Protocol):
    """Whoever grades one file: a ``Grader``, or ``Earlier``, which remembers."""

    def grade_file(self, student: str, path: Path) -> Result:
        """Grade one submission; whatever it is, there is a result."""


def grade_folder(
    grader: Grades,
    folder: Path,
    *,
    lab: str = "",
    jobs: int = 1,
    done: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Grade every submission of a folder.

    Args:
        grader: For the lab.
        folder: See ``find_submissions``.
        lab: Likewise.
        jobs: Submissions at a time.
        done: Called after each submission, in order.

    Raises:
        ValueError: If the folder holds no notebook.
    """
    submissions = find_submissions(folder, lab)
    results: list[Result] = []
    with ThreadPoolExecutor(jobs) as pool:
        for result in pool.map(grader.grade_file, submissions, submissions.values()):
            results.append(result)
            done(result)
    _flag_shared_names(results)
    _flag_shared_code(results)
    return results


def _flag_shared_names(results: list[Result]) -> None:
    """Flag submissions whose STUDENT is the same: one may have the other's data."""
    for result in results:
        others = [r.student for r in results if r is not result]
        same = [r.student for r in results if r.name == result.name]
        shared = sorted(set(same) & set(others))
        if result.name and shared:
            flag = f"STUDENT is {result.name!r} here and in {', '.join(shared)}"
            result.flags.append(flag)


def _flag_shared_code(results: list[Result]) -> None:
    """Flag submissions that have most of their functions in common."""
    digests = [set(result.functions.values()) for result in results]
    for result, mine in zip(results, digests, strict=True):
        for other, theirs in zip(results, digests, strict=True):
            shared = len(mine & theirs)
            if other is not result and shared >= max(SHARED, len(mine) / 2):
                words = f"{shared} of {len(mine)} functions are the same code as in"
                result.flags.append(f"{words} {other.student}'s")


def _name(session: Session) -> str:
    """What the notebook calls its student; empty if it says nothing of use."""
    answer = session.ask({"op": "get", "name": "STUDENT"})
    value = answer.get("value")
    return value[:200] if isinstance(value, str) else ""


def _describe_problems(session: Session, cells: list[Cell]) -> list[str]:
    """What the cells ended with, in words; an unwritten task is no problem."""
    problems = []
    for index, text in sorted(session.problems.items()):
        if text.startswith("NotImplementedError"):
            continue
        problems.append(f"cell {index}: {text}" if index else text)
    if session.printed > PRINTED:
        problems.append(f"printed {session.printed:,} characters, which were dropped")
    return problems
