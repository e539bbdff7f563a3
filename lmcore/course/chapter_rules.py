"""The rules for what a reader sees: parts, prose, lengths, alt text and times.

As in ``notebook_rules``, a rule returns what is wrong, as pairs of a place and a
message.
"""

import re
from collections.abc import Iterator
from statistics import median

from nbformat import NotebookNode

from lmcore.course.notebook_rules import Problems, code_cells, numbered
from lmcore.course.notebooks import BANDS, band_holds, bands_in

LONGEST_CELL = 30
MEDIAN_CELL = 10
LARGEST_FILE = 1_000_000
SECONDS = 40
SECONDS_TRAINING = 90
TRAINING_CHAPTERS = ("06", "08", "09", "10", "13")
HEADER_PARTS = ("Question", "Prerequisites", "Time")
SECTIONS = ("Summary", "Exercises", "References")
APPENDIX_SECTIONS = ("References",)


def markdown_cells(notebook: NotebookNode) -> Iterator[tuple[str, str]]:
    """Each text cell's place, counted by the code cell above it, and its text."""
    number = 0
    for cell in notebook.cells:
        number += cell.cell_type == "code"
        if cell.cell_type == "markdown":
            place = f"text after code cell {number}" if number else "text at the top"
            yield place, cell.source


def images_described(notebook: NotebookNode) -> Problems:
    """Every image has alt text: ``# %% alt="..."`` in the source."""
    problems = []
    for place, cell in numbered(notebook):
        outputs = [o for o in cell.outputs if "data" in o]
        for output in outputs:
            for mime in (m for m in output.data if m.startswith("image/")):
                text = output.metadata.get(mime, {}).get("alt", "")
                if not text.strip() or text != cell.metadata.get("alt"):
                    problems.append((place, 'shows an image without alt="..."'))
    return problems


def cells_short(notebook: NotebookNode) -> Problems:
    """No code cell is over 30 lines, and half of them have 10 or fewer."""
    lengths = [len(cell.source.splitlines()) for cell in code_cells(notebook)]
    problems = [
        (f"code cell {number}", f"has {length} lines, over {LONGEST_CELL}")
        for number, length in enumerate(lengths, start=1)
        if length > LONGEST_CELL
    ]
    if lengths and median(lengths) > MEDIAN_CELL:
        problems.append(
            ("notebook", f"median code cell has {median(lengths)} lines, over 10")
        )
    return problems


def file_small(size: int) -> Problems:
    """The file with its outputs is at most 1 MB."""
    if size <= LARGEST_FILE:
        return []
    return [("notebook", f"has {size:,} bytes, over {LARGEST_FILE:,}")]


def not_simply(notebook: NotebookNode) -> Problems:
    """The prose never says that something is simple."""
    return [
        (place, f'says "{found[0]}": {found.string.splitlines()[0][:50]!r}')
        for place, text in markdown_cells(notebook)
        if (found := re.search(r"\bsimply\b", text, re.IGNORECASE))
    ]


def header_text(notebook: NotebookNode) -> str:
    """What stands above the first code cell."""
    texts = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            break
        texts.append(cell.source)
    return "\n\n".join(texts)


def parts_present(notebook: NotebookNode, name: str) -> Problems:
    """Title, header and closing sections stand where readers look for them.

    Chapter 00 needs a title, its question and a summary; an appendix, whose name begins
    with a letter, is for looking things up and has neither summary nor exercises.
    """
    short = name.startswith("00")
    sections = APPENDIX_SECTIONS if name[0].isalpha() else SECTIONS
    header = header_text(notebook)
    prose = "\n\n".join(text for _, text in markdown_cells(notebook))
    problems = []
    if not header.startswith("# "):
        problems.append(("top", "must begin with a title, '# ...'"))
    for part in HEADER_PARTS[:1] if short else HEADER_PARTS:
        if not re.search(rf"^[\W_]*{part}\b", header, re.MULTILINE):
            problems.append(("top", f"has no line that begins with **{part}.**"))
    for section in sections[:1] if short else sections:
        if not re.search(rf"^#{{2,4}} .*\b{section}\b", prose, re.MULTILINE):
            problems.append(("notebook", f"has no heading '## {section}'"))
    return problems


def time_kept(name: str, seconds: float | None) -> Problems:
    """The last build took no longer than a reader may be asked to wait."""
    limit = SECONDS_TRAINING if name[:2] in TRAINING_CHAPTERS else SECONDS
    if seconds is None:
        return [("results/notebooks.json", "has no time for it; build it")]
    if seconds > limit:
        return [("notebook", f"took {seconds} s to build, over {limit} s")]
    return []


def band_quoted(notebook: NotebookNode, name: str) -> Problems:
    """The header quotes a time band, in ``time_band``'s words (chapter 00 may)."""
    if name.startswith("00") or bands_in(header_text(notebook)):
        return []
    bands = ", ".join(band for _, band in BANDS)
    return [("top", f"quotes no time band; write one of: {bands}")]


def band_true(text: str, seconds: float | None) -> Problems:
    """Every time band that a header or a README row quotes agrees with the results."""
    if seconds is None:
        return []
    return [
        ("time band", f"says {band!r}, but it took {seconds} s")
        for band in bands_in(text)
        if not band_holds(band, seconds)
    ]


FORM_RULES = (images_described, cells_short, not_simply)
