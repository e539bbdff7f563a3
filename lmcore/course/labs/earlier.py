"""What an earlier grading of the same folder found, so that none is done twice.

Two things outlive a run in the reports' folder. ``grading.jsonl`` holds a line for each
submission that was graded: whoever starts again after an interruption, a late hand-in
or a mark by hand waits only for what is new. And the marks that a person typed into
``marks.csv`` for written answers stand there again after the next run.
"""

import csv
import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import lmcore
from lmcore.config import require
from lmcore.course.labs.definition import Lab, Outcome
from lmcore.course.labs.grade import Grader, Result

FILE = "grading.jsonl"
KEPT = ("written", "flags", "problems", "seconds", "name", "functions")


def earlier_secret(folder: Path) -> str | None:
    """The secret of the last grading into a folder; None if there was none."""
    secrets = [line["secret"] for line in _lines(folder / FILE) if "secret" in line]
    return secrets[-1] if secrets and isinstance(secrets[-1], str) else None


class Earlier:
    """Results by what they came from: the file, the lab, the secret and the limits.

    Args:
        grader: Who grades.
        folder: Where the reports go.
        again: Whether to grade all anew.

    Attributes:
        reused: How many results were found and not made.
    """

    def __init__(self, grader: Grader, folder: Path, again: bool = False) -> None:
        self.grader = grader
        self.path = folder / FILE
        self._lab = _digest(
            *(grader.lab.folder / f"{name}.py" for name in ("checks", "source")),
            *(grader.secret, repr(grader.limits), grader.stretch, lmcore.__version__),
        )
        lines = [] if again else _lines(self.path)
        self._found = {line["digest"]: line for line in lines if "digest" in line}
        self._lock = threading.Lock()
        self.reused = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._write({"secret": grader.secret})

    def grade_file(self, student: str, path: Path) -> Result:
        """The result of this very file from before, or a new one, which is kept."""
        try:
            digest = _digest(self._lab, student, path)
        except OSError:
            return self.grader.grade_file(student, path)
        try:
            result = self._result(student, self._found[digest])
            self.reused += 1
        except (LookupError, TypeError):  # not graded yet, or by another version
            result = self.grader.grade_file(student, path)
            self._keep(digest, result)
        return result

    def _keep(self, digest: str, result: Result) -> None:
        outcomes = [
            {"task": o.task.name, "status": o.status, "message": o.message}
            | {"figure": o.figure}
            for o in result.outcomes
        ]
        line = {"digest": digest, "student": result.student, "outcomes": outcomes}
        self._write(line | {name: getattr(result, name) for name in KEPT})

    def _result(self, student: str, line: dict[str, Any]) -> Result:
        tasks = self.grader.lab.tasks
        outcomes = [
            Outcome(**one | {"task": tasks[one["task"]]}) for one in line["outcomes"]
        ]
        return Result(student, outcomes, **{name: line[name] for name in KEPT})

    def _write(self, line: dict[str, Any]) -> None:
        with self._lock, self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(line) + "\n")


def marks_by_hand(lab: Lab, path: Path) -> dict[str, dict[str, float]]:
    """What a person typed into ``marks.csv`` for written answers, by student.

    Args:
        lab: Which one.
        path: Of the table; it may be missing.

    Raises:
        ValueError: If a mark is no number from 0 to the question's points, or the table
            is that of another lab.
    """
    if not path.exists():
        return {}
    marks: dict[str, dict[str, float]] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        own = set(table.fieldnames or []) >= {
            one.name for one in lab.tasks.values() if not one.stretch
        }
        require(own, "out", str(path.parent), f"hold no other table than {lab.name}'s")
        for row in table:
            for question in lab.written.values():
                typed = (row.get(column(question.name, question.points)) or "").strip()
                if typed in ("", "0"):  # 0 is what the grader writes for no answer
                    continue
                value = _number(typed)
                where = f"{path.name}, {row.get('student')}, {question.name}"
                rule = f"be a number from 0 to {question.points}"
                fits = value is not None and 0 <= value <= question.points
                require(fits, where, typed, rule)
                marks.setdefault(row.get("student") or "", {})[question.name] = value
    return marks


def column(question: str, points: int) -> str:
    """The heading of a written question in ``marks.csv``."""
    return f"{question} (of {points})"


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def _digest(*parts: Path | str | bool) -> str:
    """Of texts, and of what stands in files."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else str(part).encode()
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()


def _lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file that are whole; the last may have been cut off."""
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for text in texts:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            found.append(line)
    return found
