"""Reading a table of texts and labels that a person made: CSV or TSV.

    text,label
    "A film to fall asleep in, and I did.",negative
    Bought it twice.,positive

Tables made by hand have empty cells, broken quotes and foreign encodings. Each bad row
is reported with the line it starts on, and no more of it is guessed: it is refused or
skipped as asked. The first line names the columns; the separator (comma, semicolon or
tab) is the one that makes it name them. Text is UTF-8 (UTF-16 if the file's first two
bytes say so, as spreadsheets write it).

Reference: RFC 4180, "Common Format and MIME Type for CSV Files" (quotes are doubled
inside quotes).
"""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lmcore.config import require
from lmcore.data import Labelled

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
MOST_LINES = 100  # that one row may run over
SHOWN = 10  # bad rows in a message


class BadRow(NamedTuple):
    """A row that cannot be used.

    Attributes:
        line: Where it starts, counted from 1.
        reason: What is wrong with it.
    """

    line: int
    reason: str

    def __str__(self) -> str:
        """As it is reported."""
        return f"line {self.line}: {self.reason}"


class Table(NamedTuple):
    """What was read, and what was not."""

    labelled: Labelled
    bad_rows: list[BadRow]


class Row(NamedTuple):
    """One row's cells and the line it starts on."""

    line: int
    cells: list[str]


def read_table(
    path: str | Path,
    text: str = "text",
    label: str = "label",
    bad_rows: str = "refuse",
) -> Table:
    """Texts and labels of a table, and the rows that are none.

    A row is bad if its bytes are no text, its quotes are broken, it has more or fewer
    cells than the first line, its text or its label is empty, or no other row has its
    label. Lines without anything on them do not count.

    Args:
        path: The file.
        text: Name of the column of texts.
        label: Name of the column of labels; they are taken as they are written, and
            numbered in the order of the alphabet.
        bad_rows: "refuse" the table if it has a bad row, or "skip" bad rows.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, a row is bad and ``bad_rows`` is "refuse"
            (lists the first ten), or there are not two labels left.
    """
    known = bad_rows in ("refuse", "skip")
    require(known, "bad_rows", bad_rows, "be 'refuse' or 'skip'")
    require(text != label, "label", label, "be another column than text")
    path = Path(path)
    lines, bad = decode_lines(path)
    require(len(lines) > 0, "path", str(path), "hold a table; the file is empty")
    separator, columns = read_columns(path, lines[0], bad, text, label)

    rows: list[Row] = []
    for found in parse_rows(lines[1:], separator, first_line=2):
        if isinstance(found, BadRow):
            bad.append(found)
        elif reason := find_fault(found.cells, columns, text, label):
            bad.append(BadRow(found.line, reason))
        else:
            rows.append(found)
    at_text, at_label = columns.index(text), columns.index(label)
    counts = Counter(row.cells[at_label].strip() for row in rows)
    for row in rows:
        name = row.cells[at_label].strip()
        if counts[name] == 1:
            bad.append(BadRow(row.line, f"no other row has the label {name!r}"))
    rows = [row for row in rows if counts[row.cells[at_label].strip()] > 1]

    bad.sort()
    if bad and bad_rows == "refuse":
        raise ValueError(f"{path}: {describe(bad)}\nbad_rows='skip' leaves them out")
    names = tuple(sorted(name for name, n in counts.items() if n > 1))
    rule = f"have at least two labels, each on two rows or more; {describe(bad)}"
    require(len(names) >= 2, f"{path}: labels", [*names], rule)
    texts = [row.cells[at_text].strip() for row in rows]
    labels = [names.index(row.cells[at_label].strip()) for row in rows]
    return Table(Labelled(texts, labels, names), bad)


def decode_lines(path: Path) -> tuple[list[str | None], list[BadRow]]:
    """The file's lines with their ends, None where the bytes are no text."""
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not UTF-16, as it begins ({error})") from error
    data = data.removeprefix(b"\xef\xbb\xbf")  # the mark that spreadsheets put in front
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines: list[str | None] = []
    bad: list[BadRow] = []
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            lines.append(None)
            byte = f"byte 0x{line[error.start]:02x} at column {error.start + 1}"
            bad.append(BadRow(number, f"not UTF-8 ({byte}); save the file as UTF-8"))
    return lines, bad


def read_columns(
    path: Path, line: str | None, bad: list[BadRow], text: str, label: str
) -> tuple[str, list[str]]:
    """The separator and the columns' names; the first line must have both names once.

    Raises:
        ValueError: If it has not.
    """
    if line is None:
        raise ValueError(f"{path}: {bad[0]}")
    best: list[str] = []
    for separator in SEPARATORS:
        cells = next(csv.reader([line], delimiter=separator), [])
        columns = [cell.strip() for cell in cells]
        if text in columns and label in columns:
            for name in (text, label):
                rule = "name one column, not several"
                require(columns.count(name) == 1, f"{path}: column", name, rule)
            return separator, columns
        best = max(best, columns, key=len)
    rule = f"name the columns {text!r} and {label!r}, or text= and label= name others"
    raise ValueError(f"{path}: first line {best}: must {rule}")


def parse_rows(
    lines: list[str | None], separator: str, first_line: int
) -> Iterator[Row | BadRow]:
    """Rows in order. Where quotes are broken, the next line is tried as a new row.

    An opening quote without its closing one would swallow all that follows; so a row
    may run over ``MOST_LINES`` lines at most, and only its first line is given up.
    """
    at = 0
    while at < len(lines):
        line = lines[at]
        if line is None or not line.strip():  # reported already, or nothing there
            at += 1
            continue
        few = []
        for following in lines[at : at + MOST_LINES]:
            if following is None:
                break
            few.append(following)
        reader = csv.reader(few, delimiter=separator, strict=True)
        try:
            cells = next(reader)
            yield Row(first_line + at, cells)
            at += reader.line_num
        except csv.Error as error:
            yield BadRow(first_line + at, f"broken quotes ({error})")
            at += 1


def find_fault(cells: list[str], columns: list[str], text: str, label: str) -> str:
    """What is wrong with a row's cells, in words; nothing if they can be used."""
    if len(cells) != len(columns):
        return f"{len(cells)} cells, where the first line has {len(columns)}"
    for name in (text, label):
        cell = cells[columns.index(name)]
        if not cell.strip():
            return f"the {name} is empty"
        if "\0" in cell:
            return f"the {name} holds a zero byte, which no text has"
    return ""


def describe(bad: list[BadRow]) -> str:
    """How many rows are bad, and the first of them."""
    if not bad:
        return "no bad row"
    rows = "1 bad row" if len(bad) == 1 else f"{len(bad)} bad rows"
    shown = "".join(f"\n  {row}" for row in bad[:SHOWN])
    more = f"\n  and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    return f"{rows}{shown}{more}"
