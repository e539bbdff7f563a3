"""A lab as its notebook sees it: ``check``, ``hint`` and ``progress``."""

import os
import sys
from types import ModuleType
from typing import Any

from lmcore.config import require
from lmcore.course.labs.definition import (
    Lab,
    Outcome,
    Task,
    because,
    find_lab,
    run_task,
)
from lmcore.course.labs.seeds import seed_of
from lmcore.course.labs.serving import answer
from lmcore.course.labs.student import CheckFailed, NotWritten, Student
from lmcore.course.labs.wire import pack, unpack

WIDTH = 20  # characters of the progress bar


def open_lab(name: str) -> "OpenLab":
    """Open a lab in the notebook that calls this.

    Args:
        name: The whole name, such as ``01_tokenizer``.

    Raises:
        ValueError: If there is no such lab.
    """
    names = sys._getframe(1).f_globals
    return OpenLab(
        None if os.environ.get("LMCORE_LAB_GRADING") else find_lab(name), names
    )


class OpenLab:
    """One lab, open in a notebook.

    Args:
        lab: None while a grader runs the notebook: then nothing is checked here.
        names: The notebook's names.
    """

    def __init__(self, lab: Lab | None, names: dict[str, Any]) -> None:
        self.lab = lab
        self.names = names
        self.outcomes: dict[str, Outcome] = {}

    @property
    def checks(self) -> ModuleType:
        """The lab's ``checks.py``, for the data that it hands out."""
        require(self.lab is not None, "lab", None, "be open: no grader is running")
        return self.lab.checks

    def check(self, value: Any, task: str | None = None) -> None:
        """Check what the notebook has under a task's name.

        Args:
            value: The student's function, or the value of a task that asks for one.
            task: The task's name; not needed for a function.

        Raises:
            CheckFailed: If it is wrong; the message says where and why.
        """
        if self.lab is None:
            return
        name = task or getattr(value, "__name__", "")
        one = self._task(name)
        if self.names.get(name) is not value:
            raise CheckFailed(
                f"{name}: this is not what the notebook calls `{name}`: define it "
                f"under that name, then check it"
            )
        outcome = run_task(one, self._student(name))
        self.outcomes[name] = outcome
        if outcome.status != "right":
            kind = NotWritten if outcome.status == "blank" else CheckFailed
            statuses = {n: found.status for n, found in self.outcomes.items()}
            raise kind(outcome.message + because(one, statuses)) from None
        points = f"{one.points} point{'s' * (one.points != 1)}"
        told = points if outcome.figure is None else f"{outcome.figure:.3f}"
        print(f"✓ {name}: right ({told})")
        self.progress()

    def hint(self, task: str, level: int = 1) -> None:
        """Print a hint: level 1 points the way, level 3 all but says it.

        Raises:
            ValueError: If there is no such task or level.
        """
        if self.lab is None:
            return
        require(level in (1, 2, 3), "level", level, "be 1, 2 or 3")
        print(f"Hint {level} of 3 for {task}: {self._task(task).hints[level - 1]}")

    def progress(self) -> None:
        """Print how much of the lab is done."""
        if self.lab is None:
            return
        counted = [one for one in self.lab.tasks.values() if not one.stretch]
        done = sum(self._right(one.name) for one in counted)
        earned = sum(outcome.earned for outcome in self.outcomes.values())
        filled = round(WIDTH * earned / max(self.lab.points, 1))
        bar = "█" * filled + "░" * (WIDTH - filled)
        print(
            f"{bar} {done} of {len(counted)} tasks, "
            f"{earned} of {self.lab.points} points"
        )
        unknown = [one.name for one in counted if one.name not in self.outcomes]
        if unknown:
            print(f"not checked yet: {', '.join(unknown)}")

    def _right(self, name: str) -> bool:
        return name in self.outcomes and self.outcomes[name].status == "right"

    def _task(self, name: str) -> Task:
        tasks = self.lab.tasks
        require(name in tasks, "task", name, f"be one of {', '.join(tasks)}")
        return tasks[name]

    def _student(self, task: str) -> Student:
        who = self.names.get("STUDENT")
        name = who if isinstance(who, str) else ""
        student = Student(self._ask, name, task)
        student.rng.seed(seed_of(self.lab.name, name, task))
        return student

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer in this process, by the way that the grader's requests take."""
        return unpack(answer(self.names, pack(request)))
