"""What a check sees of a student: functions to call, and ways to say what is wrong.

A check never holds the student's objects, only copies of plain values that came
through ``wire``. So a check reads the same whether the student's code runs in this
process (in the notebook) or in one of its own (in the grader), and no object of the
student's can call itself equal to the right answer.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from lmcore.course.labs.compare import difference, same, show
from lmcore.course.labs.seeds import seed_of
from lmcore.course.labs.serving import where

Ask = Callable[[dict[str, Any]], dict[str, Any]]


class CheckFailed(AssertionError):
    """The student's answer is wrong; the message says what differs and why.

    IPython shows the message alone: a traceback would show the check's own source.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"✗ {self}"]


class NotWritten(CheckFailed):
    """The student has not written this task yet."""


@dataclass(frozen=True)
class Raised:
    """What a call with ``raises=True`` gives where the student's function raised.

    ``str`` of it is for messages: type, text and the student's line.

    Attributes:
        type_name: Such as ``"ValueError"``.
        message: The exception's text.
        line: The student's line that raised it, or that called what did.
        number: Its place in its cell, from 1; 0 if it is not known.
    """

    type_name: str
    message: str
    line: str = field(default="", compare=False)
    number: int = field(default=0, compare=False)

    def __str__(self) -> str:
        text = f"{self.type_name}: {self.message}" if self.message else self.type_name
        return text + where(self.line, self.number)


@dataclass
class Student:
    """One student's code, as a check sees it.

    Attributes:
        ask: Carries a request to where the code runs and brings the answer.
        name: The student's name, from ``STUDENT`` in the notebook.
        task: The task that is being checked.
        rng: Random numbers for inputs: in the notebook the same each time for the same
            student; in the grader others, which nobody can know in advance.
        called: The last call in words; ``expect`` puts it into its message.
        warned: What Python or NumPy warned of in the last ``call`` or ``probe``, such
            as ``"RuntimeWarning: overflow encountered in exp"``; none of it is printed.
        gave_back: Whether the last ``call`` returned one of its arguments itself, and
            no copy.
    """

    ask: Ask
    name: str
    task: str
    rng: random.Random = field(default_factory=random.Random)
    called: str = ""
    warned: list[str] = field(default_factory=list)
    gave_back: bool = False

    @property
    def torch_seed(self) -> int:
        """A fresh seed for ``torch.Generator().manual_seed`` from ``rng``."""
        return self.rng.getrandbits(31)

    def own_rng(self, purpose: str) -> random.Random:
        """Random numbers that depend on the student's name alone.

        For data that differ from student to student and that the student sees.
        """
        return random.Random(seed_of(purpose, self.name))

    def call(
        self,
        function: str,
        *args: Any,
        raises: bool = False,
        may_change: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Call one of the student's functions with plain values.

        Args:
            function: Its name in the notebook.
            *args: Values that ``wire`` sends.
            raises: Whether it may raise; the exception then comes back as ``Raised``.
            may_change: Whether it may change its arguments. Else that is a failure.
            **kwargs: Likewise.

        Returns:
            What it returned, as plain values.

        Raises:
            NotWritten: If the function is missing or raises ``NotImplementedError``.
            CheckFailed: If it raises, or changes an argument.
        """
        parts = [show(value, 40) for value in args]
        parts += [f"{name}={show(value, 40)}" for name, value in kwargs.items()]
        self.called = f"{function}({', '.join(parts)})"
        request = {"op": "call", "name": function, "args": list(args), "kwargs": kwargs}
        answer = self.ask(request)
        self.warned = answer.get("warned", [])
        self.gave_back = answer.get("itself") is True
        if "error" in answer:
            if raises and answer["error"] not in ("NotImplementedError", "missing"):
                return _raised(answer)
            self._raise(answer, function)
        changed = answer.get("changed")
        if changed and not may_change:
            self.fail(
                f"`{function}` changed {', '.join(changed)} that it was given: "
                "work on a copy"
            )
        return answer["value"]

    def probe(self, function: Callable, *args: Any) -> Any:
        """Run a function of ``checks.py`` beside the student's code.

        For what cannot be sent: classes, modules, functions as arguments.

        Args:
            function: Of the top level of ``checks.py``; its first argument is the
                notebook's names, and what it returns must be plain values.
            *args: Plain values.

        Raises:
            NotWritten, CheckFailed: As ``call`` does.
        """
        self.called = ""
        code = function.__code__
        request = {
            "op": "probe",
            "file": code.co_filename,
            "name": function.__name__,
            "args": list(args),
        }
        answer = self.ask(request)
        self.warned = answer.get("warned", [])
        if "error" in answer:
            self._raise(answer, self.task)
        return answer["value"]

    def get(self, name: str) -> Any:
        """A plain value of the notebook.

        Raises:
            NotWritten: If there is no such name.
        """
        self.called = name
        answer = self.ask({"op": "get", "name": name})
        if "error" in answer:
            self._raise(answer, name)
        return answer["value"]

    def expect(
        self,
        got: Any,
        expected: Any,
        *,
        causes: Mapping[str, Any] | None = None,
        rtol: float = 1e-5,
        atol: float = 1e-8,
    ) -> None:
        """Hold the student's value against the right one.

        Args:
            got: From ``call``, ``probe`` or ``get``.
            expected: From an independent reference, never from the student.
            causes: For likely mistakes: what to tell the student, and the value that
                the mistake leads to, or a function of ``got`` that recognises it.
            rtol: Relative tolerance of floats.
            atol: Absolute tolerance of floats.

        Raises:
            CheckFailed: If they differ. The message has the call, the first
                difference, and the first cause that fits.
        """
        if isinstance(got, Raised):
            found = f"raised {got}"
        else:
            found = difference(got, expected, rtol=rtol, atol=atol)
        if found is None:
            return
        lines = [f"{self.called}: {found}" if self.called else found]
        for text, cause in (causes or {}).items():
            if _fits(cause, got, rtol, atol):
                lines.append(f"Likely cause: {text}")
                break
        raise CheckFailed(f"{self.task}: " + "\n".join(lines))

    def demand(self, holds: bool, message: str) -> None:
        """Fail with a message unless a condition holds."""
        if not holds:
            self.fail(message)

    def fail(self, message: str) -> NoReturn:
        """Say that the answer is wrong, and why."""
        where = f"{self.called}: " if self.called else ""
        raise CheckFailed(f"{self.task}: {where}{message}")

    def _raise(self, answer: dict[str, Any], function: str) -> NoReturn:
        """Turn an error of the student's side into a failure."""
        kind, message = answer["error"], answer["message"]
        if kind == "NotImplementedError":
            raise NotWritten(f"{self.task}: `{function}` is not written yet")
        if kind == "missing":
            raise NotWritten(f"{self.task}: {message}")
        subject = self.called or f"`{function}`"
        raise CheckFailed(f"{self.task}: {subject} raised {_raised(answer)}")


def _raised(answer: dict[str, Any]) -> Raised:
    """The exception that an answer tells of."""
    line, number = answer.get("line", ""), answer.get("number", 0)
    return Raised(answer["error"], answer["message"], line, number)


def _fits(cause: Any, got: Any, rtol: float, atol: float) -> bool:
    """Whether a value is what a mistake leads to."""
    try:
        if callable(cause):
            return bool(cause(got))
        return same(got, cause, rtol=rtol, atol=atol)
    except Exception:  # a recogniser that this strange value breaks does not fit it
        return False
