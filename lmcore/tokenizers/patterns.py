r"""Cutting a text into words before any merging (pre-tokenisation).

Merges never cross the border of a word, so that "dog", "dog." and "dog!" share a token
(Radford et al. 2019, section 2.2). GPT-2's regular expression takes, in this order:

    's 't 're 've 'm 'll 'd    the English endings
    " ?" and letters           a space belongs to the word after it
    " ?" and digits
    " ?" and anything else that is neither space, letter nor digit
    spaces, but the last one is left for the word that follows

The `regex` package is needed for ``\p{L}`` (any letter) and ``\p{N}`` (any numeral).
"""

import regex

from lmcore.config import require

GPT2 = (
    r"'(?:[sdmt]|ll|ve|re)"
    r"| ?\p{L}+"
    r"| ?\p{N}+"
    r"| ?[^\s\p{L}\p{N}]+"
    r"|\s+(?!\S)"
    r"|\s+"
)

# SmolLM2 and others cut every digit off first, so that 1984 is always four tokens and
# arithmetic sees its digits. Spaces before a digit are then the end of a piece, and
# none of them is left for it.
SINGLE_DIGITS = (
    r"'(?:[sdmt]|ll|ve|re)"
    r"| ?\p{L}+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+"
    r"|\s+(?![^\s\p{N}])"
    r"|\s+"
)

PATTERNS: dict[str, str | None] = {
    "gpt2": GPT2,
    "single_digits": SINGLE_DIGITS,
    "none": None,
}


class Splitter:
    """Cuts texts into words; the words joined are the text again, whatever the pattern.

    Args:
        pattern: ``"gpt2"``, ``"single_digits"``, ``"none"`` (the text is one word), or
            a regular expression for the `regex` package, without capturing groups.

    Raises:
        ValueError: If it is no valid expression or has capturing groups.

    Example:
        >>> Splitter("gpt2").split("I'll pay 25  euros")
        ['I', "'ll", ' pay', ' 25', ' ', ' euros']
    """

    def __init__(self, pattern: str) -> None:
        require(isinstance(pattern, str), "pattern", pattern, "be a str")
        self.pattern = pattern
        expression = PATTERNS.get(pattern, pattern)
        try:
            self._regex = None if expression is None else regex.compile(expression)
        except regex.error as error:
            raise ValueError(
                f"pattern={pattern!r}: must be one of {sorted(PATTERNS)} or a regular "
                f"expression ({error})"
            ) from error
        require(
            self._regex is None or self._regex.groups == 0,
            "pattern",
            pattern,
            "have no capturing groups; write (?:...) for (...)",
        )

    def split(self, text: str) -> list[str]:
        """The words of a text. What the pattern leaves out becomes words as well."""
        if self._regex is None:
            return [text] if text else []
        words = self._regex.findall(text)
        if sum(map(len, words)) == len(text):
            return words
        words, end = [], 0
        for match in self._regex.finditer(text):
            words += [text[end : match.start()], match.group()]
            end = match.end()
        return [word for word in [*words, text[end:]] if word]
