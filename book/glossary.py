"""The glossary: English and Chinese terms, and where the chapters name them.

A chapter writes a term at its first use as "softmax (归一化指数函数)"; the Chinese in
brackets is what finds it. ``glossary.yaml`` holds the terms and their meanings.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Term:
    """One entry of the glossary.

    Attributes:
        name: The English term.
        chinese: The Chinese term; more than one where chapters differ.
        means: One sentence.
    """

    name: str
    chinese: tuple[str, ...]
    means: str

    @property
    def heading(self) -> str:
        """The line that it is listed under."""
        return f"{self.name} ({', '.join(self.chinese)})"


class Glossary:
    """The terms of ``glossary.yaml``, and where a text names one."""

    def __init__(self, terms: list[Term]) -> None:
        """Raises ValueError if two terms share a Chinese word."""
        self.terms = sorted(terms, key=lambda term: term.name.lower())
        self.by_chinese: dict[str, Term] = {}
        for term in terms:
            for word in term.chinese:
                if word in self.by_chinese:
                    raise ValueError(f"glossary.yaml: {word} stands there twice")
                self.by_chinese[word] = term
        words = sorted(self.by_chinese, key=len, reverse=True)
        self.bracket = re.compile(
            rf"[(]\s*({'|'.join(map(re.escape, words))})(?=[\s,;:)])"
        )

    @classmethod
    def read(cls, path: Path) -> "Glossary":
        """Read the file: a list of entries with ``term``, ``zh`` and ``means``."""
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
        terms = []
        for entry in entries:
            words = entry["zh"] if isinstance(entry["zh"], list) else [entry["zh"]]
            terms.append(Term(entry["term"], tuple(words), entry["means"].strip()))
        return cls(terms)

    def terms_in(self, text: str) -> list[Term]:
        """Terms that a text names with the Chinese in brackets, in order."""
        return [self.by_chinese[m[1]] for m in self.bracket.finditer(text)]

    def lines(self, uses: dict[str, list[str]]) -> list[str]:
        """All terms as MyST's glossary.

        Args:
            uses: The names of the chapters that name a term, by its name.
        """
        lines = ["```{glossary}"]
        for term in self.terms:
            links = [
                f"{{first}}`{where}:{term.name}`" for where in uses.get(term.name, [])
            ]
            lines += [term.heading, f"  {term.means} {', '.join(links)}".rstrip(), ""]
        return [*lines, "```"]
