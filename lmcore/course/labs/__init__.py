"""Labs: exercises that check the student's own code, and an instructor's tools.

    source.py ──build──▶ lab.ipynb (student) and the solved notebook
    lab.ipynb ──grade──▶ marks and feedback, each submission in its own process

In a lab's notebook: ``open_lab``. In its ``checks.py``: ``task``, ``Written``. In its
``mutants.py``: ``Mutant``, ``Equivalent``. CONTRIBUTING.md says how to write a lab.
"""

from lmcore.course.labs.answers import Equivalent, Mutant
from lmcore.course.labs.definition import Written, task
from lmcore.course.labs.opened import open_lab
from lmcore.course.labs.student import CheckFailed, Raised, Student

__all__ = [
    "CheckFailed",
    "Equivalent",
    "Mutant",
    "Raised",
    "Student",
    "Written",
    "open_lab",
    "task",
]
