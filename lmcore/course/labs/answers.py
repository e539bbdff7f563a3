"""Wrong answers that real students give, and right ones in other styles."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A wrong answer; the check must reject it and point at the cause.

    Attributes:
        name: The mistake in a few words, such as ``"overlapping merges"``.
        task: Whose check must reject it.
        says: What the message must contain.
        code: Python that replaces the student's cell.
    """

    name: str
    task: str
    says: str
    code: str


@dataclass(frozen=True)
class Equivalent:
    """A right answer in another style; the check must accept it.

    Attributes:
        name: What is different about it.
        task: Whose check must accept it.
        code: Python that replaces the student's cell.
    """

    name: str
    task: str
    code: str
