"""The scoreboard: every language model of the book, measured on one held-out text.

One file, ``results/scoreboard.json``, holds the name, size and SHA-256 of the test text
and one row per model. A recipe in ``benchmarks/`` trains a model, measures it and adds
its row; chapters read the file and print it. A figure measured on another text is
refused, for it would say nothing beside the others.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from lmcore.config import require
from lmcore.course.notebooks import find_root, write_atomically

TEXT_NAME = "lmcore.data.course_corpus().test"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model's result.

    Attributes:
        model: Its name on the board; a later row of the same name replaces it.
        chapter: Where it is explained, such as ``"01_language_models"``.
        bits_per_byte: On the whole test text (``lmcore.metrics.bits_per_byte``).
        train_seconds: Time to train it, by the clock.
        parameters: Numbers that the model keeps; for an n-gram model one per n-gram
            and one per context.
        command: What makes this row again.
        machine: What it ran on (``lmcore.course.notebooks.describe_machine``).
        date: Of the measurement, YYYY-MM-DD.
    """

    model: str
    chapter: str
    bits_per_byte: float
    train_seconds: float
    parameters: int
    command: str
    machine: str
    date: str

    def __post_init__(self) -> None:
        for name in ("model", "chapter", "command", "machine", "date"):
            value = getattr(self, name)
            usable = isinstance(value, str) and value.strip() != ""
            require(usable, name, value, "be a text that is not empty")
        for name in ("bits_per_byte", "train_seconds"):
            value = getattr(self, name)
            usable = isinstance(value, int | float) and math.isfinite(value)
            require(usable and value >= 0, name, value, "be a finite number >= 0")
        usable = type(self.parameters) is int and self.parameters >= 0
        require(usable, "parameters", self.parameters, "be an int >= 0")
        try:
            date.fromisoformat(self.date)
        except ValueError:
            require(False, "date", self.date, "be a day as YYYY-MM-DD")


def row_from_dict(fields: dict[str, object]) -> Row:
    """A row from what a JSON file holds.

    Raises:
        ValueError: If a field is missing, unknown or not usable.
    """
    names = {field.name for field in dataclasses.fields(Row)}
    missing, unknown = sorted(names - set(fields)), sorted(set(fields) - names)
    require(not missing, "row", fields, f"have the fields {', '.join(missing)}")
    require(not unknown, "row", fields, f"not have the fields {', '.join(unknown)}")
    return Row(**fields)


def scoreboard_path() -> Path:
    """``results/scoreboard.json`` of the repository one is in."""
    return find_root() / "results" / "scoreboard.json"


def read_scoreboard(path: Path | None = None) -> list[Row]:
    """All rows, the best model first.

    Args:
        path: The file; None means the repository's own.

    Returns:
        Rows in ascending bits per byte; none if there is no file yet.

    Raises:
        ValueError: If the file is damaged or a row incomplete.
    """
    path = path or scoreboard_path()
    if not path.exists():
        return []
    try:
        board = json.loads(path.read_text(encoding="utf-8"))
        rows = [row_from_dict(fields) for fields in board["rows"]]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: must be a scoreboard ({error!r})") from error
    return sorted(rows, key=lambda row: (row.bits_per_byte, row.model))


def add_rows(rows: Iterable[Row], test_text: str, path: Path | None = None) -> None:
    """Write rows to the board; a row whose model stands there replaces the old one.

    Args:
        rows: What was measured.
        test_text: The text that it was measured on.
        path: The file; None means the repository's own.

    Raises:
        ValueError: If the rows on the board were measured on another text.
    """
    path = path or scoreboard_path()
    data = test_text.encode()
    text = {
        "name": TEXT_NAME,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    by_model = {row.model: row for row in read_scoreboard(path)}
    if by_model:
        known = json.loads(path.read_text(encoding="utf-8"))["test_text"]["sha256"]
        rule = f"be {known}, the text that every row of {path.name} was measured on"
        require(text["sha256"] == known, "SHA-256 of test_text", text["sha256"], rule)
    by_model |= {row.model: row for row in rows}
    board = {
        "test_text": text,
        "rows": [dataclasses.asdict(by_model[name]) for name in sorted(by_model)],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(board, indent=2, ensure_ascii=False) + "\n")


def scoreboard_table(rows: Iterable[Row]) -> str:
    """The rows as a table of text, in the order given.

    Returns:
        One line of headings and one line per row: bits per byte, model, seconds of
        training, parameters and chapter.
    """
    rows = list(rows)
    width = max([len("model"), *(len(row.model) for row in rows)])
    lines = [
        f"{'bits/byte':>9}  {'model':<{width}}  {'train s':>8}  {'parameters':>11}"
        "  chapter"
    ]
    for row in rows:
        lines.append(
            f"{row.bits_per_byte:>9.3f}  {row.model:<{width}}  "
            f"{row.train_seconds:>8,.0f}  {row.parameters:>11,}  {row.chapter}"
        )
    return "\n".join(lines)
