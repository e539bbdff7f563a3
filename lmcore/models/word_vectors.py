"""A table of word vectors, and what can be asked of it.

Idea: a word is a point, and nearness of points stands for nearness of meaning. What
counts is direction, not length (length mostly tells how frequent a word is), so words
are compared by the cosine of the angle between them:

    cos(a, b) = a·b / (|a| |b|)

An analogy "a is to b as c is to ?" asks for the word nearest to b - a + c, all three
scaled to length 1 first (3CosAdd). The three words themselves are left out of the
answer: without that rule the answer is b or c most of the time.

References: Mikolov, Yih & Zweig (2013), "Linguistic regularities in continuous space
word representations", section 3; Levy & Goldberg (2014), "Linguistic regularities in
sparse and explicit word representations", section 3, for the name 3CosAdd.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from lmcore.config import require
from lmcore.models import word_vector_files


class WordVectors:
    """Words and their vectors.

        table = WordVectors.load("vectors.txt")
        table["king"]                              # (D,)
        table.similarity("king", "queen")          # cosine, from -1 to 1
        table.nearest("king", k=5)                 # [(word, cosine), ...]
        table.analogy("man", "king", "woman")      # the same, nearest first

    Attributes:
        words: V different words, the most frequent first where that is known.
        matrix: (V, D) one row for each word.
        index: The row of each word.
    """

    def __init__(self, words: Sequence[str], matrix: np.ndarray) -> None:
        """Put words and vectors side by side.

        Args:
            words: V words.
            matrix: (V, D) one row for each.

        Raises:
            ValueError: If they do not fit, a word stands twice, or a number is not
                finite.
        """
        self.words = tuple(words)
        self.matrix = np.asarray(matrix)
        require(self.matrix.ndim == 2, "matrix.shape", self.matrix.shape, "be (V, D)")
        rule = f"have a row for each of {len(self.words)} words"
        fits = len(self.matrix) == len(self.words)
        require(fits, "matrix.shape", self.matrix.shape, rule)
        self.index = {word: row for row, word in enumerate(self.words)}
        distinct = len(self.index)
        fits = distinct == len(self.words)
        require(fits, "words", f"{distinct} different", f"all differ ({len(words)})")
        finite = bool(np.isfinite(self.matrix).all())
        require(finite, "matrix", "NaN or infinity", "hold finite numbers")
        # A vector of zeros has no direction; it stays zero and is near nothing.
        lengths = np.linalg.norm(self.matrix, axis=1, keepdims=True)
        self.unit = self.matrix / np.where(lengths > 0, lengths, 1)

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self.index

    def __getitem__(self, word: str) -> Float[np.ndarray, "D"]:
        """The word's vector.

        Raises:
            KeyError: If the table does not have the word.
        """
        return self.matrix[self.row(word)]

    def row(self, word: str) -> int:
        """The word's row.

        Raises:
            KeyError: If the table does not have the word.
        """
        if word not in self.index:
            raise KeyError(f"word={word!r}: must be one of the {len(self)} words")
        return self.index[word]

    def first(self, n: int) -> "WordVectors":
        """A table of the first ``n`` words (of the most frequent, in most files)."""
        return WordVectors(self.words[:n], self.matrix[:n])

    def similarity(self, a: str, b: str) -> float:
        """The cosine between two words, from -1 to 1."""
        return float(self.unit[self.row(a)] @ self.unit[self.row(b)])

    def nearest(
        self,
        query: str | Float[np.ndarray, "D"],
        k: int = 10,
        exclude: Sequence[str] = (),
    ) -> list[tuple[str, float]]:
        """The words with the largest cosine to a word or a vector, the nearest first.

        Args:
            query: A word, which is left out of the answer, or a vector.
            k: How many.
            exclude: Words to leave out.

        Returns:
            Words and cosines; fewer than ``k`` if the table is that small.
        """
        require(k >= 1, "k", k, "be >= 1")
        if isinstance(query, str):
            exclude = [query, *exclude]
            query = self[query]
        query = np.asarray(query, dtype=self.unit.dtype)
        d_model = self.unit.shape[1]
        rule = f"be ({d_model},)"
        require(query.shape == (d_model,), "query.shape", query.shape, rule)
        length = np.linalg.norm(query)
        cosines = self.unit @ (query / (length if length > 0 else 1))
        left_out = {self.index[word] for word in exclude if word in self.index}
        order = np.argsort(-cosines, kind="stable")[: k + len(left_out)]
        rows = [row for row in order if row not in left_out][:k]
        return [(self.words[row], float(cosines[row])) for row in rows]

    def analogy(self, a: str, b: str, c: str, k: int = 5) -> list[tuple[str, float]]:
        """``a`` is to ``b`` as ``c`` is to what? The words nearest to b - a + c.

        Args:
            a: "man"
            b: "king"
            c: "woman"
            k: How many answers.

        Returns:
            Words and cosines, without ``a``, ``b`` and ``c`` themselves.
        """
        unit_a, unit_b, unit_c = (self.unit[self.row(word)] for word in (a, b, c))
        return self.nearest(unit_b - unit_a + unit_c, k, exclude=(a, b, c))

    def save(self, path: str | Path) -> None:
        """Write the table in word2vec's text format."""
        word_vector_files.write_text(path, self.words, self.matrix)

    @classmethod
    def load(cls, path: str | Path) -> "WordVectors":
        """Read word2vec's text format, or GloVe's (the same without a first line).

        Raises:
            ValueError: If a line does not fit the others; names the file and the line.
        """
        return cls(*word_vector_files.read_text(path))

    @classmethod
    def load_glove(cls, folder: str | Path) -> "WordVectors":
        """Read the published GloVe vectors, the folder that ``fetch("glove")`` gives.

        Raises:
            ValueError: If the files are not what they should be.
        """
        return cls(*word_vector_files.read_glove(folder))
