"""One id per character: the smallest vocabulary and the longest sequences.

The rule for a character that the training text did not have is chosen once, with the
words of Python's own codecs:

- ``errors="replace"`` (the default): it becomes id 0, which decodes to U+FFFD, the
  replacement character that Unicode keeps for this purpose;
- ``errors="strict"``: it raises a ``ValueError``. There is then no id to spare, and
  every text that can be encoded decodes to itself.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, Literal, Self

from lmcore.config import require
from lmcore.tokenizers.base import Tokenizer, check_ids, check_text, check_texts

REPLACEMENT = "\ufffd"


class CharTokenizer(Tokenizer):
    """Characters (Unicode code points) as tokens.

    Args:
        characters: The vocabulary; the position of a character is its id.
        errors: ``"replace"`` needs U+FFFD as the first character.

    Raises:
        ValueError: If a character comes twice or is none, or ``errors`` is unknown.

    Example:
        >>> tokenizer = CharTokenizer.train("hello")
        >>> tokenizer.encode("hole!")
        [2, 4, 3, 1, 0]
        >>> tokenizer.decode([2, 4, 3, 1])
        'hole'
    """

    kind: ClassVar[str] = "characters"

    def __init__(
        self,
        characters: Iterable[str],
        *,
        errors: Literal["replace", "strict"] = "replace",
    ) -> None:
        self.characters = check_texts(list(characters))
        self.errors = errors
        self._ids = {char: i for i, char in enumerate(self.characters)}
        for char in self.characters:
            require(len(char) == 1, "characters", char, "hold single characters")
        require(
            len(self._ids) == len(self.characters),
            "characters",
            self.characters,
            "hold every character once",
        )
        require(
            errors in ("replace", "strict"), "errors", errors, "be replace or strict"
        )
        require(
            errors == "strict" or self.characters[:1] == [REPLACEMENT],
            "characters",
            self.characters[:1],
            "begin with U+FFFD where errors='replace'",
        )

    @classmethod
    def train(
        cls,
        texts: str | Iterable[str],
        *,
        errors: Literal["replace", "strict"] = "replace",
    ) -> Self:
        """Collect the characters of the texts, in the order of their code points."""
        found = set().union(*check_texts(texts)) - {REPLACEMENT}
        first = [REPLACEMENT] if errors == "replace" else []
        return cls(first + sorted(found), errors=errors)

    @property
    def vocab_size(self) -> int:
        """The number of characters, with U+FFFD where unknown ones are replaced."""
        return len(self.characters)

    def encode(self, text: str) -> list[int]:
        """The ids of a text, one per character.

        Raises:
            ValueError: If a character is unknown and ``errors="strict"``.
        """
        ids = [self._ids.get(char, -1) for char in check_text(text)]
        if -1 not in ids:
            return ids
        if self.errors == "strict":
            position = ids.index(-1)
            raise ValueError(
                f"text[{position}]={text[position]!r}: must be one of the "
                f"{self.vocab_size} characters seen in training"
            )
        return [max(i, 0) for i in ids]

    def decode(self, ids: Iterable[int]) -> str:
        """The characters with these ids."""
        return "".join([self.characters[i] for i in check_ids(ids, self.vocab_size)])

    def to_fields(self) -> dict[str, Any]:
        """The characters and the rule for unknown ones."""
        return {"errors": self.errors, "characters": self.characters}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Rebuild the tokenizer from ``to_fields``'s output."""
        return cls(fields["characters"], errors=fields["errors"])
