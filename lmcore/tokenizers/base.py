"""What every tokenizer has in common: the interface, the checks and the files.

A tokenizer is a pair of functions between text and lists of integers. The integers
run from 0 to ``vocab_size - 1``, so that they can index the rows of an embedding.
"""

import json
import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Self

from lmcore.config import require

FORMAT = "lmcore-tokenizer"
VERSION = 1


class Tokenizer(ABC):
    """The interface. A subclass also has a class method ``train(texts, ...)``."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """One more than the largest id."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of a text.

        Raises:
            TypeError: If ``text`` is no str.
            ValueError: If it holds a lone surrogate, which is half a character.
        """

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids (a list, an array or a one-dimensional tensor).

        Raises:
            TypeError: If an id is no integer.
            ValueError: If an id is not in the vocabulary.
        """

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """Encode several texts."""
        return [self.encode(text) for text in texts]

    @abstractmethod
    def to_fields(self) -> dict[str, Any]:
        """What ``save`` writes, as plain JSON values."""

    @classmethod
    @abstractmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Rebuild the tokenizer from ``to_fields``'s output."""

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to a JSON file (UTF-8, readable, replaced at once)."""
        header = {"format": FORMAT, "version": VERSION, "kind": self.kind}
        body = json.dumps(header | self.to_fields(), ensure_ascii=False, indent=1)
        path = Path(path)
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        unfinished.write_text(body + "\n", encoding="utf-8", newline="\n")
        unfinished.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that ``save`` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is damaged or of another kind.
        """
        fields = read_tokenizer_file(path, cls.kind)
        try:
            return cls.from_fields(fields)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"path={str(path)!r}: a damaged {cls.kind} file "
                f"({type(error).__name__}: {error})"
            ) from error


def read_tokenizer_file(path: str | Path, *kinds: str) -> dict[str, Any]:
    """Read the JSON of a tokenizer file and check its header.

    Raises:
        ValueError: If it is no tokenizer file of one of the ``kinds``.
    """
    try:
        fields = json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"path={str(path)!r}: must be a JSON file written by save() ({error})"
        ) from error
    except RecursionError as error:
        raise ValueError(
            f"path={str(path)!r}: must be written by save() (nested too deep)"
        ) from error
    header = fields if isinstance(fields, dict) else {}
    require(
        header.get("format") == FORMAT,
        "path",
        str(path),
        f'be a file written by save() ("format": "{FORMAT}" is missing)',
    )
    require(
        header.get("version") == VERSION,
        "path",
        str(path),
        f"have version {VERSION} (its version is {header.get('version')!r})",
    )
    require(
        header.get("kind") in kinds,
        "path",
        str(path),
        f"hold a tokenizer of kind {' or '.join(kinds)} "
        f"(its kind is {header.get('kind')!r})",
    )
    return fields


def check_text(text: str) -> str:
    """Refuse what is no text; return it unchanged otherwise.

    Raises:
        TypeError: If ``text`` is no str.
        ValueError: If it holds a lone surrogate (U+D800 to U+DFFF): half of a UTF-16
            pair, which no UTF-8 file can hold. ``text.encode("utf-8", "replace")``
            and decoding again gives a text without them.
    """
    if not isinstance(text, str):
        raise TypeError(f"text={text!r:.50}: must be a str, not {type(text).__name__}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text[{error.start}]={text[error.start]!r}: must be a whole character, "
            "not a lone surrogate"
        ) from None
    return text


def check_texts(texts: str | Iterable[str]) -> list[str]:
    """One text or several as a list, each checked."""
    return [check_text(text) for text in ([texts] if isinstance(texts, str) else texts)]


def check_ids(ids: Iterable[int], vocab_size: int) -> list[int]:
    """The ids as a list of Python ints, each inside the vocabulary.

    Raises:
        TypeError: If an id is no integer.
        ValueError: If an id is negative or not below ``vocab_size``.
    """
    try:
        checked = list(map(operator.index, ids))
    except TypeError as error:
        raise TypeError(f"ids={ids!r:.50}: must be integers ({error})") from None
    if checked and not (min(checked) >= 0 and max(checked) < vocab_size):
        bad = next(i for i in checked if not 0 <= i < vocab_size)
        raise ValueError(
            f"id={bad}: must be at least 0 and below vocab_size={vocab_size}"
        )
    return checked
