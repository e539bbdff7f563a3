"""A corpus of numbered words: what every method of word vectors reads.

Idea: a text becomes one row of word numbers, and a second row says which sentence each
word stands in, so that a window never reaches into another sentence. Words seen less
than ``min_count`` times are dropped before any window is cut: a vector could not be
learnt for them, and their neighbours move together.

    sentences = split_sentences(text)
    vocabulary = Vocabulary.count(sentences, min_count=5)
    stream = vocabulary.encode(sentences)
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lmcore.config import require

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")  # letters, with apostrophes inside
PARAGRAPH = re.compile(r"\n\s*\n")


def split_sentences(text: str) -> list[list[str]]:
    r"""A text as lists of lower-case words, one list for each paragraph.

    A paragraph ends at an empty line: in a play, with a speech. Punctuation and digits
    are dropped. Languages that put no spaces between words need another splitter.

    >>> split_sentences("To be, or not:\n\nthat's it.")
    [['to', 'be', 'or', 'not'], ["that's", 'it']]
    """
    paragraphs = (WORD.findall(part.lower()) for part in PARAGRAPH.split(text))
    return [words for words in paragraphs if words]


@dataclass(frozen=True)
class Vocabulary:
    """Words and how often each was seen, the most frequent first.

    Attributes:
        words: V different words.
        counts: V numbers of occurrences, descending.
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def count(
        cls, sentences: Iterable[Sequence[str]], min_count: int = 5
    ) -> "Vocabulary":
        """Count the words of a corpus.

        Args:
            sentences: Lists of words.
            min_count: Words seen less often are left out.

        Raises:
            TypeError: If a sentence is a string instead of a list of words.
            ValueError: If no word is frequent enough.
        """
        require(min_count >= 1, "min_count", min_count, "be >= 1")
        seen: Counter[str] = Counter()
        for sentence in sentences:
            if isinstance(sentence, str):
                rule = "must be a list of words (split it first)"
                raise TypeError(f"sentence={sentence[:30]!r}: {rule}")
            seen.update(sentence)
        # Ties in alphabetical order, so that the numbers do not depend on the text's.
        kept = sorted((-n, word) for word, n in seen.items() if n >= min_count)
        rule = f"hold a word that occurs {min_count} times"
        require(len(kept) > 0, "sentences", f"{len(seen)} words", rule)
        return cls(tuple(word for _, word in kept), tuple(-n for n, _ in kept))

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def index(self) -> dict[str, int]:
        """The number of each word."""
        return {word: number for number, word in enumerate(self.words)}

    def encode(self, sentences: Iterable[Sequence[str]]) -> "WordStream":
        """Number the words of a corpus; words that are not in the vocabulary go."""
        ids, sentence_numbers = [], []
        for number, sentence in enumerate(sentences):
            known = [self.index[word] for word in sentence if word in self.index]
            ids += known
            sentence_numbers += [number] * len(known)
        return WordStream(torch.tensor(ids), torch.tensor(sentence_numbers))


@dataclass(frozen=True)
class WordStream:
    """A corpus as one row of numbers.

    Attributes:
        ids: (N,) the words.
        sentences: (N,) the number of the sentence that each stands in, ascending.
    """

    ids: Int[Tensor, "N"]
    sentences: Int[Tensor, "N"]

    def __len__(self) -> int:
        return len(self.ids)

    def keep(self, kept: Bool[Tensor, "N"]) -> "WordStream":
        """Only the marked words; the rest closes up."""
        return WordStream(self.ids[kept], self.sentences[kept])
