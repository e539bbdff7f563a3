"""BERT's cleaning of a text and its cut into words.

In this order: control characters go, but for tabs and line ends; a space is put around
each CJK ideograph, since Chinese is written without them; accents are taken off and
letters made small (in "uncased" models); punctuation marks become words of their own;
the text is cut at every kind of space.
What a character becomes is looked up in a table that fills itself.

Reference: Devlin et al. 2019, the released ``tokenization.py``. Like the `tokenizers`
library, and unlike that file, this removes private-use characters, takes accents off
before it lowers, and lowers each character by itself (so that Σ is always σ).
"""

import unicodedata

IDEOGRAPHS = [  # first and last code points, as in the released BERT
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
]
REMOVED = ("Cc", "Cf", "Co")  # control, format, private use
ASCII_SYMBOLS = "$+<=>^`|~"  # not punctuation in Unicode, but BERT takes them for it


class CharTable(dict[int, str]):
    """A table for ``str.translate`` that works an entry out when it is first needed."""

    def __missing__(self, code: int) -> str:
        self[code] = replacement = self.replace(chr(code))
        return replacement

    def replace(self, char: str) -> str:
        """What a character becomes."""
        raise NotImplementedError


class Cleaned(CharTable):
    """No control characters; ideographs set apart."""

    def replace(self, char: str) -> str:
        """What a character becomes."""
        if char in "\t\n\r":
            return " "
        if char == "\ufffd" or unicodedata.category(char) in REMOVED:
            return ""
        if any(first <= ord(char) <= last for first, last in IDEOGRAPHS):
            return f" {char} "
        return char


class Lowered(CharTable):
    """Small letters, without the accents that NFD has split off."""

    def replace(self, char: str) -> str:
        """What a character becomes."""
        return "" if unicodedata.category(char) == "Mn" else char.lower()


class Spaced(CharTable):
    """Punctuation marks set apart."""

    def replace(self, char: str) -> str:
        """What a character becomes."""
        mark = char in ASCII_SYMBOLS or unicodedata.category(char).startswith("P")
        return f" {char} " if mark else char


CLEANED, LOWERED, SPACED = Cleaned(), Lowered(), Spaced()


def split_words(text: str, *, lowercase: bool = True) -> list[str]:
    """The words and punctuation marks of a text, cleaned.

    Args:
        text: Any text.
        lowercase: Whether to take accents off and make letters small.

    Example:
        >>> split_words("Café-Bar: 東京!")
        ['cafe', '-', 'bar', ':', '東', '京', '!']
    """
    text = text.translate(CLEANED)
    if lowercase:
        text = unicodedata.normalize("NFD", text).translate(LOWERED)
    return text.translate(SPACED).split()
