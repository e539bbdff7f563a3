"""The rules that make stored outputs worth comparing, each a small function.

A rule takes a notebook (and what else it needs) and returns what is wrong, as pairs of
a place and a message; an empty list means that the rule holds. The rules on form are in
``chapter_rules``; ``notebooks_check`` applies them all and has nbval run the cells.
"""

import ast
import difflib
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

from lmcore.course.notebooks import (
    NOTEBOOK_METADATA,
    source_from_notebook,
)

Problems = list[tuple[str, str]]

IGNORED_ONE_IN = 10
NBVAL_COMMENT = re.compile(r"^\s*#+\s*(NBVAL_\w+|PYTEST_VALIDATE_IGNORE_OUTPUT)\s*$")
ABSOLUTE = r"(?<![\w.:/<])"
MACHINE_PATH = re.compile(
    ABSOLUTE + r"/(home|Users|root|tmp|usr|opt|mnt|private|var)/\w"
    "|" + ABSOLUTE + r"/[\w./-]*(site-packages|lmcore|chapters)/"
    r"|[A-Z]:\\(Users|Windows|Program)|ipykernel_\d"
)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells, in order; the first is code cell 1, as its ``In [1]`` says."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def numbered(notebook: NotebookNode) -> Iterator[tuple[str, NotebookNode]]:
    """Each code cell with the words that name its place."""
    for number, cell in enumerate(code_cells(notebook), start=1):
        yield f"code cell {number}", cell


def has_tag(cell: NotebookNode, tag: str) -> bool:
    """Whether a cell carries a tag."""
    return tag in cell.metadata.get("tags", [])


def asserts(cell: NotebookNode) -> bool:
    """Whether a cell checks something: ``assert``, or a call of ``assert_...``."""
    try:
        tree = ast.parse(cell.source)
    except SyntaxError:  # an IPython magic, or a cell that shows a syntax error
        return re.search(r"^\s*assert\b", cell.source, re.MULTILINE) is not None
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name.startswith("assert_"):
                return True
    return False


def asserted_here_or_next(notebook: NotebookNode) -> list[bool]:
    """For each code cell, whether it or the next code cell checks something."""
    found = [asserts(cell) for cell in code_cells(notebook)]
    following = [*found[1:], False]
    return [here or after for here, after in zip(found, following, strict=True)]


def image_types(cell: NotebookNode) -> list[str]:
    """The kinds of image among a cell's outputs."""
    return [
        mime
        for output in cell.outputs
        for mime in output.get("data", {})
        if mime.startswith("image/")
    ]


def ignored_outputs(notebook: NotebookNode) -> tuple[int, int]:
    """How many cells with outputs are not compared, and how many have outputs."""
    with_outputs = [cell for cell in code_cells(notebook) if cell.outputs]
    ignored = [c for c in with_outputs if has_tag(c, "nbval-ignore-output")]
    return len(ignored), len(with_outputs)


def executed(notebook: NotebookNode) -> Problems:
    """Every code cell has run, in order: nbval compares nothing in one that has not."""
    return [
        (f"code cell {number}", f"execution_count is {cell.execution_count}: build it")
        for number, cell in enumerate(code_cells(notebook), start=1)
        if cell.execution_count != number
    ]


def errors_tagged(notebook: NotebookNode) -> Problems:
    """A traceback is stored where ``raises-exception`` announces it, and only there."""
    problems = []
    for place, cell in numbered(notebook):
        raised = any(output.output_type == "error" for output in cell.outputs)
        if raised and not has_tag(cell, "raises-exception"):
            problems.append((place, "stores an error without the tag raises-exception"))
        if not raised and has_tag(cell, "raises-exception"):
            problems.append((place, "is tagged raises-exception but raises none"))
    return problems


def no_stderr(notebook: NotebookNode) -> Problems:
    """Nothing stored from stderr: its text names this machine, and nbval skips it."""
    return [
        (place, "stores stderr: catch the warning and print it, or avoid it")
        for place, cell in numbered(notebook)
        if any(output.get("name") == "stderr" for output in cell.outputs)
    ]


def in_sync(notebook: NotebookNode, source: str) -> Problems:
    """The notebook, written as text, is the source: the pair has not come apart."""
    text = source_from_notebook(notebook)
    if text == source:
        return []
    lines = difflib.unified_diff(
        source.splitlines(), text.splitlines(), ".py", ".ipynb", lineterm="", n=0
    )
    shown = [line for line in lines if not line.startswith(("---", "+++"))][:6]
    return [("pair", "differs from its source; build it\n    " + "\n    ".join(shown))]


def ignored_bounded(notebook: NotebookNode) -> Problems:
    """What is not compared is bounded by an assert, here or in the next code cell."""
    return [
        (place, "is tagged nbval-ignore-output with no assert in it or the next cell")
        for (place, cell), bounded in zip(
            numbered(notebook), asserted_here_or_next(notebook), strict=True
        )
        if has_tag(cell, "nbval-ignore-output") and not bounded
    ]


def few_ignored(notebook: NotebookNode) -> Problems:
    """Of the cells that have outputs, under one in ten is ignored."""
    ignored, total = ignored_outputs(notebook)
    if ignored == 0 or ignored * IGNORED_ONE_IN < total:
        return []
    return [("notebook", f"ignores {ignored} of {total} outputs: under one in ten may")]


def none_skipped(notebook: NotebookNode) -> Problems:
    """No cell is left out, and none is marked by a comment that readers would see."""
    problems = []
    for place, cell in numbered(notebook):
        if has_tag(cell, "nbval-skip"):
            problems.append((place, "is tagged nbval-skip"))
        if any(NBVAL_COMMENT.match(line) for line in cell.source.splitlines()):
            problems.append((place, "has a comment for nbval: use a cell tag"))
    return problems


def no_machine_path(notebook: NotebookNode) -> Problems:
    """No path of a machine stands in code or in outputs."""
    own = {str(Path.home()), sys.prefix, tempfile.gettempdir()}
    here = re.compile("|".join(ABSOLUTE + re.escape(p) for p in own if len(p) > 3))
    problems = []
    for place, cell in numbered(notebook):
        for text in (cell.source, *output_texts(cell)):
            for line in text.splitlines():
                if MACHINE_PATH.search(line) or here.search(line):
                    problems.append((place, f"has a machine's path: {line.strip()}"))
    return problems


def output_texts(cell: NotebookNode) -> Iterator[str]:
    """Every text among a cell's outputs (an image's bytes are none)."""
    for output in cell.outputs:
        yield output.get("text", "")
        yield output.get("evalue", "")
        yield "\n".join(output.get("traceback", []))
        for mime, data in output.get("data", {}).items():
            if mime.startswith("text/") or mime == "image/svg+xml":
                yield data


def no_trailing_semicolon(notebook: NotebookNode) -> Problems:
    """A cell ends without ``;``: it hides an output that nbval then misses."""
    problems = []
    for place, cell in numbered(notebook):
        lines = [line.split("  #")[0].rstrip() for line in cell.source.splitlines()]
        code = [line for line in lines if line and not line.lstrip().startswith("#")]
        if code and code[-1].endswith(";"):
            problems.append((place, "ends with a semicolon: end with plt.show()"))
    return problems


def images_checked(notebook: NotebookNode) -> Problems:
    """What a picture shows is asserted, here or next, since nbval skips pictures."""
    return [
        (place, "shows an image with no assert on its data in it or the next cell")
        for (place, cell), checked in zip(
            numbered(notebook), asserted_here_or_next(notebook), strict=True
        )
        if image_types(cell) and not checked
    ]


def metadata_plain(notebook: NotebookNode) -> Problems:
    """Metadata are those that build writes: no versions, no times, no widgets."""
    problems: Problems = []
    if notebook.metadata != NOTEBOOK_METADATA:
        problems.append(("notebook", "has metadata of its own; build it"))
    for place, cell in numbered(notebook):
        if "execution" in cell.metadata:
            problems.append((place, "stores when it ran (metadata.execution)"))
        if any("widget" in m for o in cell.outputs for m in o.get("data", {})):
            problems.append((place, "shows a widget: readers would see nothing"))
    return problems


OUTPUT_RULES = (
    executed,
    errors_tagged,
    no_stderr,
    ignored_bounded,
    few_ignored,
    none_skipped,
    no_machine_path,
    no_trailing_semicolon,
    images_checked,
    metadata_plain,
)
