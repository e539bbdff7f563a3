"""The reader's desk: copies of the course in ``work/``, and a contents page.

A reader changes what they read. So JupyterLab opens copies, and an update of the course
must never cost a reader their edits. For each file there are three versions: what was
laid on the desk, what the reader made of it, and what the course has now.

    reader's copy      course            what happens
    missing            any               the file is laid
    as it was laid     changed           the copy is replaced
    edited             as it was laid    nothing
    edited             changed           the new version is laid beside the copy

``work/.laid.json`` remembers what was laid. A notebook counts as edited if the text of
its cells changed; running it and saving its outputs is no edit.
"""

import hashlib
import json
import re
from datetime import date
from pathlib import Path
from urllib.parse import quote

from lmcore.course.notebooks import read_results, time_band, write_atomically

# A chapter finds figures and results by the same relative paths as in the repository.
LAID = ("chapters/*.ipynb", "labs/*/lab.ipynb", "figures/*.svg", "results/*.json")
CONTENTS = "Contents.md"
MEMORY = ".laid.json"


def lay_desk(root: Path, work: Path, today: date | None = None) -> list[str]:
    """Bring the reader's folder up to date with the course.

    Args:
        root: The course's repository.
        work: The reader's folder; made if it is not there.
        today: The date that a version laid beside an edited copy is named by.

    Returns:
        One line for each notebook that was laid or replaced.
    """
    work.mkdir(parents=True, exist_ok=True)
    memory = _read_memory(work)
    messages = []
    for pattern in LAID:
        for source in sorted(root.glob(pattern)):
            name = source.relative_to(root).as_posix()
            record = memory.setdefault(name, {})
            message = _lay_file(source, work / name, record, today or date.today())
            if message and source.suffix == ".ipynb":
                messages.append(message)
    write_atomically(work / MEMORY, json.dumps(memory, indent=1) + "\n")
    write_atomically(work / CONTENTS, contents_page(root, work, memory))
    return messages


def contents_page(root: Path, work: Path, memory: dict[str, dict]) -> str:
    """The contents page in Markdown: every chapter and lab, one click away.

    Args:
        root: The course's repository.
        work: The reader's folder.
        memory: What was laid, as ``lay_desk`` remembers it.
    """
    results = read_results(root)
    lines = [
        "# Contents",
        "",
        "Click a chapter to open your own copy of it; **Run → Run All Cells** runs it "
        "from the first cell to the last. What you change stays in this folder, "
        "and an update of the course never overwrites it.",
        "",
        "| chapter | the question it answers | to run |",
        "|---|---|---|",
    ]
    for source in sorted(root.glob("chapters/*.ipynb")):
        title, question = read_heading(source)
        name = source.relative_to(root).as_posix()
        seconds = results.get(source.stem, {}).get("seconds")
        band = "" if seconds is None else time_band(seconds)
        chapter = _links(title, name, work, memory)
        cells = (chapter, question.replace("|", "\\|"), band)
        lines.append(f"| {' | '.join(cells)} |")
    labs = sorted(root.glob("labs/*/lab.ipynb"))
    if labs:
        lines += ["", "Labs: you write the code, and each task is checked at once.", ""]
    for lab in labs:
        name = lab.relative_to(root).as_posix()
        lines.append(f"- {_links(read_heading(lab)[0], name, work, memory)}")
    lines += ["", "This page is written anew each time the course is opened.", ""]
    return "\n".join(lines)


def read_heading(notebook: Path) -> tuple[str, str]:
    """A notebook's title and question, from its first cell.

    Returns:
        The first heading (the file's name if there is none), and what follows
        ``**Question.**`` up to the end of the paragraph ("" if there is none).
    """
    try:
        first = json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]
        text = "".join(first["source"])
    except (OSError, ValueError, LookupError, TypeError):
        text = ""
    title = re.search(r"^# +(.+?) *$", text, re.MULTILINE)
    question = re.search(r"\*\*Question\.\*\*\s*(.+?)(?:\n\s*\n|\Z)", text, re.DOTALL)
    return (
        title[1] if title else notebook.stem,
        " ".join(question[1].split()) if question else "",
    )


def _lay_file(source: Path, copy: Path, record: dict, today: date) -> str | None:
    """Lay one file; ``record`` is what was laid before, and is brought up to date."""
    new = source.read_bytes()
    if copy.exists():
        old = copy.read_bytes()
        untouched = _hash(old) == record.get("bytes")
        unedited = _content(old) in (record.get("content"), _content(new))
        if old == new or (
            unedited and not untouched and _content(old) == _content(new)
        ):
            record.update(_describe(new))
            return None
        if not untouched and not unedited:
            return _lay_beside(new, copy, record, today)
    verb = "updated" if copy.exists() else "laid"
    _write(copy, new)
    record.update(_describe(new))
    return f"{verb}: {copy.name}"


def _lay_beside(new: bytes, copy: Path, record: dict, today: date) -> str | None:
    """Lay a new version beside an edited copy, unless this version was offered."""
    if _content(new) == record.get("offered"):
        return None
    before = record.get("beside")
    if before:  # an earlier new version that nobody edited makes room
        path = copy.with_name(before["name"])
        if path.exists() and _content(path.read_bytes()) == before["content"]:
            path.unlink()
    path = copy.with_name(f"{copy.stem} (new {today}){copy.suffix}")
    count = 1
    while path.exists():
        count += 1
        path = copy.with_name(f"{copy.stem} (new {today}, {count}){copy.suffix}")
    _write(path, new)
    record["offered"] = _content(new)
    record["beside"] = {"name": path.name, "content": _content(new)}
    return f"new version beside your edited copy: {path.name}"


def _links(title: str, name: str, work: Path, memory: dict[str, dict]) -> str:
    """A link to the reader's copy, and to a newer version beside it if there is one."""
    text = f"[{title}]({quote(name)})"
    beside = memory.get(name, {}).get("beside")
    if beside and (work / name).with_name(beside["name"]).exists():
        newer = Path(name).with_name(beside["name"]).as_posix()
        text += f" (yours; [newer version]({quote(newer)}))"
    return text


def _describe(data: bytes) -> dict[str, str]:
    """What to remember of a file that was laid."""
    return {"bytes": _hash(data), "content": _content(data), "offered": _content(data)}


def _content(data: bytes) -> str:
    """A hash of what a person edits: a notebook's cells without their outputs."""
    try:
        cells = json.loads(data)["cells"]
        text = [[cell["cell_type"], "".join(cell["source"])] for cell in cells]
    except (ValueError, LookupError, TypeError):
        return _hash(data)
    return _hash(json.dumps(text).encode())


def _hash(data: bytes) -> str:
    """The SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def _write(path: Path, data: bytes) -> None:
    """Write a whole file or leave the old one as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


def _read_memory(work: Path) -> dict[str, dict]:
    """What was laid before; without it, every copy that differs counts as edited."""
    try:
        return json.loads((work / MEMORY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
