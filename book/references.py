"""The references: one file, ``references.bib``, and where chapters cite its entries.

A chapter lists its references itself, for it is read alone too. In the book, an item of
such a list whose title stands in ``references.bib`` gets a link to that entry, and the
entry says which chapters cite it. ``shorttitle`` is what chapters shorten a title to,
as in J. Devlin et al., "BERT", *NAACL* (2019); ``alias`` any other way they write it.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from lmcore.course.notebooks import find_chapters

SECTION = re.compile(r"^## References\n(.*?)(?=^\*\*(?:Next|Lab)|\Z)", re.M | re.S)
ITEM = re.compile(r"^- .*(?:\n(?!- |\n).*)*", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """One entry of the file: its key, and a pattern that finds its title in a text."""

    key: str
    pattern: re.Pattern


class References:
    """The entries of ``references.bib``."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.entries = []
        for body in re.split(r"^(?=@)", text, flags=re.MULTILINE)[1:]:
            key = re.match(r"@\w+\{([^,]+),", body)[1]
            fields = dict(re.findall(r"^ *(\w+) *= *\{(.+)\},?$", body, re.MULTILINE))
            self.entries.append(Entry(key, title_pattern(fields)))

    @classmethod
    def read(cls, path: Path) -> "References":
        """Read the file."""
        return cls(path.read_text(encoding="utf-8"))

    def find(self, item: str) -> list[tuple[int, str]]:
        """Where in an item titles end, and their keys; a title in a title is none."""
        found = [(e.pattern.search(item), e.key) for e in self.entries]
        spans = [(match.span(), key) for match, key in found if match]
        return sorted(
            (end, key)
            for (start, end), key in spans
            if not any(a <= start and end <= b for (a, b), k in spans if k != key)
        )

    def cite(self, markdown: str) -> str:
        """A cell's text, with a link to the entry after each title in its list."""

        def cited(item: re.Match) -> str:
            text = item[0]
            for end, key in reversed(self.find(text)):
                text = f"{text[:end]} {{cite:p}}`{key}`{text[end:]}"
            return text

        return SECTION.sub(lambda m: ITEM.sub(cited, m[0]), markdown)

    def keys_in(self, item: str) -> list[str]:
        """Keys of the entries whose title stands in an item of a list."""
        return [key for _, key in self.find(item)]

    def unknown(self, root: Path) -> list[tuple[str, str]]:
        """Chapter and text of each item that has no entry."""
        return [
            (chapter, item) for chapter, item in items(root) if not self.keys_in(item)
        ]

    def others(self, root: Path) -> str:
        """Items that have no entry, as a list for the end of the page."""
        unknown = self.unknown(root)
        lines = [f"- {item} (Chapter {c.split('_')[0]})" for c, item in unknown]
        return "\n".join(
            ["## Without an entry of their own", "", *lines] if lines else []
        )

    def with_chapters(self, root: Path) -> str:
        """The file's text, with a note in each entry on the chapters that cite it."""
        uses: dict[str, list[str]] = {}
        for chapter, item in items(root):
            for key in self.keys_in(item):
                numbers = uses.setdefault(key, [])
                number = chapter.split("_")[0]
                if number not in numbers:
                    numbers.append(number)

        def noted(match: re.Match) -> str:
            numbers = uses.get(match[1])
            if not numbers:
                return match[0]
            word = "Chapter" if len(numbers) == 1 else "Chapters"
            return f"{match[0]}\n  note = {{{word} {', '.join(numbers)}}},"

        return re.sub(r"^@\w+\{([^,]+),", noted, self.text, flags=re.MULTILINE)


def title_pattern(fields: dict[str, str]) -> re.Pattern:
    """A pattern for a work's title as chapters write it.

    Args:
        fields: Of its entry. The whole ``title`` or ``alias`` fits whatever its case
            and punctuation, ``shorttitle`` between quotation marks alone.
    """
    ways = []
    for name in ("title", "alias"):
        words = re.findall(r"[^\W_]+", re.sub(r"[{}]", "", fields.get(name, "")))
        if words:
            ways.append(r"[\W_]+".join(map(re.escape, words)) + r"(?:[`.?!)]*[\"*”)])?")
    if "shorttitle" in fields:
        ways.append(f'"{re.escape(fields["shorttitle"])}"')
    return re.compile(rf"(?<!\w)(?:{'|'.join(ways)})(?!\w)", re.IGNORECASE)


def items(root: Path) -> list[tuple[str, str]]:
    """Chapter and text of each item in the chapters' lists of references."""
    found = []
    for chapter in find_chapters(root):
        if not chapter.notebook.exists():
            continue
        for cell in json.loads(chapter.notebook.read_text(encoding="utf-8"))["cells"]:
            section = SECTION.search("".join(cell["source"]))
            if cell["cell_type"] == "markdown" and section:
                texts = [m[0] for m in ITEM.finditer(section[1])]
                found += [(chapter.name, " ".join(t[2:].split())) for t in texts]
    return found
