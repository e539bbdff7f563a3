"""FastText: a word's vector is the mean of its pieces' vectors.

Idea: word2vec knows "kingdom" only if the text has it often enough, and learns nothing
for it from "king". FastText gives vectors to runs of 3 to 6 characters too. A word is
put between < and >, so that the piece "<ki" at its beginning differs from "ki" inside:

    "king"  ->  <ki kin ing ng>   <kin king ing>   <king king>   <king>
    v_w = (z_w + Σ_{g∈pieces of w} z_g) / (1 + number of pieces)

A word that was never seen has pieces that were, so it gets a vector from them. Training
is skip-gram (or CBOW) with negative sampling as in ``word2vec``; the gradient of v_w
goes to z_w and to every piece alike, and whole. The mean's own gradient would be that
divided by the number of pieces; then v_w moves so much less than in word2vec that at
the same learning rate it hardly learns.

Distinct pieces are many, so a piece has no row of its own: a hash of its bytes (FNV-1a,
32 bits) modulo ``n_buckets`` says which row it shares with whatever else lands there.

The paper adds the pieces up. The authors' program takes the mean and passes the
gradient on whole; so does gensim, and so does this file.

Reference: Bojanowski, Grave, Joulin & Mikolov (2017), "Enriching word vectors with
subword information", section 3.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from lmcore.config import require
from lmcore.models.word2vec import Word2Vec, Word2VecConfig, add_rows
from lmcore.models.word_corpus import Vocabulary
from lmcore.models.word_vectors import WordVectors


@dataclass(frozen=True, kw_only=True)
class FastTextConfig(Word2VecConfig):
    """word2vec's settings and those of the pieces.

    Attributes:
        min_n: Characters in the shortest piece.
        max_n: Characters in the longest piece.
        n_buckets: Rows that all pieces share.
    """

    min_n: int = 3
    max_n: int = 6
    n_buckets: int = 50_000

    def validate(self) -> None:
        """Check every field."""
        super().validate()
        for name in ("min_n", "max_n", "n_buckets"):
            value = getattr(self, name)
            require(type(value) is int and value >= 1, name, value, "be an int >= 1")
        require(self.min_n <= self.max_n, "min_n", self.min_n, f"be <= {self.max_n}")


def pieces(word: str, min_n: int = 3, max_n: int = 6) -> list[str]:
    """The character n-grams of ``<word>``, without ``<`` and ``>`` by themselves.

    >>> pieces("where", 3, 3)
    ['<wh', 'whe', 'her', 'ere', 're>']
    """
    marked = f"<{word}>"
    return [
        marked[start : start + n]
        for n in range(min_n, max_n + 1)
        for start in range(len(marked) - n + 1)
        if marked[start : start + n] not in ("<", ">")
    ]


def fnv1a(text: str) -> int:
    """The 32-bit FNV-1a hash of a text's UTF-8 bytes.

    Like the authors' program, bytes above 127 count as negative numbers, which sets the
    upper bits too; on ASCII it is the usual hash.

    >>> hex(fnv1a("foobar"))
    '0xbf9cf968'
    """
    value = 2166136261
    for byte in text.encode():
        signed = byte if byte < 128 else byte | 0xFFFFFF00
        value = ((value ^ signed) * 16777619) & 0xFFFFFFFF
    return value


class FastText(Word2Vec):
    """word2vec whose input vectors are means of rows.

        model = FastText.train(sentences, FastTextConfig(d_model=100))
        model.vector("kinglike")             # never seen

    Attributes:
        v: (V + n_buckets, D) a row for each word, then the rows of the pieces.
        u: (V, D) output vectors, one for each word.
    """

    config: FastTextConfig

    def __init__(
        self,
        vocabulary: Vocabulary,
        config: FastTextConfig,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(vocabulary, config, device)
        self.v = self.random_rows(len(vocabulary) + config.n_buckets)
        rows = [self.rows_of(word) for word in vocabulary.words]
        # The rows of all words, one word after another, and where each word's begin.
        lengths = torch.tensor([len(row) for row in rows])
        self.rows = torch.tensor([row for word in rows for row in word]).to(self.device)
        self.lengths = lengths.to(self.device)
        self.starts = (lengths.cumsum(0) - lengths).to(self.device)

    def rows_of(self, word: str) -> list[int]:
        """The rows of ``v`` whose mean is the word's vector."""
        config, v = self.config, len(self.vocabulary)
        known = self.vocabulary.index.get(word)
        own = [] if known is None else [known]
        return own + [
            v + fnv1a(piece) % config.n_buckets
            for piece in pieces(word, config.min_n, config.max_n)
        ]

    def rows_of_ids(
        self, ids: Int[Tensor, "N"]
    ) -> tuple[Int[Tensor, "M"], Int[Tensor, "N"], Int[Tensor, "N"]]:
        """The rows of some words, one after another; where each begins; how many."""
        lengths = self.lengths[ids]
        starts = lengths.cumsum(0) - lengths
        shift = (self.starts[ids] - starts).repeat_interleave(lengths)
        places = torch.arange(len(shift), device=shift.device) + shift
        return self.rows[places], starts, lengths

    def look_up(self, ids: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape D"]:
        """The means of the words' rows; each distinct word is worked out once."""
        distinct, place = ids.unique(return_inverse=True)
        rows, starts, _ = self.rows_of_ids(distinct)
        means = F.embedding_bag(rows, self.v, starts, mode="mean")
        return F.embedding(place, means)

    def add_to_inputs(
        self, ids: Int[Tensor, "N"], values: Float[Tensor, "N D"]
    ) -> None:
        """Change the rows of some words: each row of a word gets the word's change."""
        distinct, place = ids.unique(return_inverse=True)
        change = values.new_zeros(len(distinct), values.shape[1])
        add_rows(change, place, values)
        rows, _, lengths = self.rows_of_ids(distinct)
        add_rows(self.v, rows, change.repeat_interleave(lengths, dim=0))

    def vector(self, word: str) -> Float[np.ndarray, "D"]:
        """The vector of any word, seen or not.

        Raises:
            ValueError: If the word is too short to have a piece, and was not seen.
        """
        rows = self.rows_of(word)
        rule = f"have at least {self.config.min_n - 2} characters"
        require(len(rows) > 0, "word", word, rule)
        return self.v[rows].mean(dim=0).cpu().numpy()

    def vectors_of(self, words: Sequence[str]) -> WordVectors:
        """A table of any words, seen or not."""
        return WordVectors(words, np.stack([self.vector(word) for word in words]))

    def vectors(self) -> WordVectors:
        """The vectors of the vocabulary as a table to ask questions of."""
        every_word = torch.arange(len(self.vocabulary), device=self.device)
        matrix = self.look_up(every_word).cpu().numpy()
        return WordVectors(self.vocabulary.words, matrix)
