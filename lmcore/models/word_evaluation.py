"""How good are word vectors? Similarity, analogies and bias, as published tests.

Similarity: people rated how alike two words are. The vectors' cosines should put the
pairs in the same order, which Spearman's ρ measures (1: the same order, 0: none). Words
without a vector cannot be judged, so every figure comes with its coverage.
    WordSim-353 asks for *relatedness* (coffee and cup), SimLex-999 for *similarity*
(coffee and tea); a table can be good at one and poor at the other.

Analogies: "Athens is to Greece as Baghdad is to …" counts as right only if the nearest
word to b - a + c is the expected one.

Bias: the Word-Embedding Association Test asks whether words of two groups X and Y (say
careers and family) lean differently towards two poles A and B (male and female names):

    s(w) = mean_{a∈A} cos(w, a) - mean_{b∈B} cos(w, b)
    d = (mean_{x∈X} s(x) - mean_{y∈Y} s(y)) / std_{w∈X∪Y} s(w)

References: Finkelstein et al. (2002), WordSim-353; Hill, Reichart & Korhonen (2015),
SimLex-999; Mikolov et al. (2013a), section 4.1, the analogies; Caliskan, Bryson &
Narayanan (2017), "Semantics derived automatically from language corpora contain
human-like biases", equations of the WEAT and the WEFAT.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from lmcore.config import require
from lmcore.models.word_vectors import WordVectors


def ranks(values: Sequence[float] | np.ndarray) -> Float[np.ndarray, "N"]:
    """1 for the smallest, N for the largest; equal values share their mean rank."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return (last - (sizes - 1) / 2)[group]


def spearman(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    """Spearman's ρ: the correlation of the ranks, from -1 to 1.

    Returns:
        NaN if all values on one side are equal: they have no order.

    Raises:
        ValueError: If the two differ in length, or hold fewer than two values.
    """
    require(len(a) == len(b), "len(b)", len(b), f"be len(a)={len(a)}")
    require(len(a) >= 2, "len(a)", len(a), "be at least 2")
    x, y = ranks(a), ranks(b)
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x**2).sum() * (y**2).sum())
    return float((x * y).sum() / scale) if scale > 0 else float("nan")


@dataclass(frozen=True)
class SimilarityResult:
    """Spearman's ρ and on how much of the test it rests.

    Attributes:
        spearman: ρ over the pairs that have vectors.
        n_pairs: How many these are.
        n_total: Pairs in the test.
    """

    spearman: float
    n_pairs: int
    n_total: int


def read_pairs(path: str | Path) -> list[tuple[str, str, float]]:
    """Read WordSim-353 or SimLex-999: word, word, rating, with tabs between.

    Raises:
        ValueError: If a line is anything else; names the file and the line.
    """
    pairs = []
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        if line.startswith("#") or not line.strip():
            continue
        try:
            a, b, rating = line.split("\t")
            pairs.append((a, b, float(rating)))
        except ValueError as error:
            message = f"{path}, line {number}: {line!r}: must be word, word, rating"
            raise ValueError(message) from error
    return pairs


def find_word(table: WordVectors, word: str) -> str | None:
    """The word as the table spells it: as given, else in lower case, else None."""
    return next((w for w in (word, word.lower()) if w in table), None)


def evaluate_similarity(
    table: WordVectors, pairs: Sequence[tuple[str, str, float]]
) -> SimilarityResult:
    """Compare the table's cosines with people's ratings.

    Args:
        table: The vectors.
        pairs: Word, word, rating, from ``read_pairs``.

    Raises:
        ValueError: If fewer than two pairs have vectors.
    """
    cosines, ratings = [], []
    for first, second, rating in pairs:
        a, b = find_word(table, first), find_word(table, second)
        if a is not None and b is not None:
            cosines.append(table.similarity(a, b))
            ratings.append(rating)
    rho = spearman(cosines, ratings)
    return SimilarityResult(rho, len(ratings), len(pairs))


@dataclass(frozen=True)
class AnalogyResult:
    """How many questions of one section were answered right.

    Attributes:
        n_right: The nearest word was the expected one.
        n_asked: Questions whose four words all have vectors.
        n_total: Questions in the section.
    """

    n_right: int
    n_asked: int
    n_total: int

    @property
    def accuracy(self) -> float:
        """Right over asked, from 0 to 1; NaN if nothing could be asked."""
        return self.n_right / self.n_asked if self.n_asked else float("nan")


def read_analogies(path: str | Path) -> dict[str, list[tuple[str, ...]]]:
    """Read ``questions-words.txt``: sections ``: name``, then four words a line.

    Raises:
        ValueError: If a line is anything else; names the file and the line.
    """
    sections: dict[str, list[tuple[str, ...]]] = {}
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        words = tuple(line.split())
        if line.startswith(":"):
            sections[line[1:].strip()] = questions = []
        elif words:
            usable = len(words) == 4 and len(sections) > 0
            rule = "be four words, in a section"
            require(usable, f"{path}, line {number}", line, rule)
            questions.append(words)
    return sections


def evaluate_analogies(
    table: WordVectors,
    sections: dict[str, list[tuple[str, ...]]],
    batch_size: int = 64,
) -> dict[str, AnalogyResult]:
    """Answer every question "a is to b as c is to ?" with the nearest word (3CosAdd).

    Args:
        table: The vectors; every word of it may be the answer, except a, b and c.
        sections: From ``read_analogies``.
        batch_size: Questions at a time; each costs V numbers of memory.

    Returns:
        A result for each section.
    """
    results = {}
    for name, questions in sections.items():
        found = [[find_word(table, word) for word in words] for words in questions]
        rows = [
            [table.index[word] for word in words]
            for words in found
            if all(word is not None for word in words)
        ]
        n_right = 0
        for start in range(0, len(rows), batch_size):
            a, b, c, expected = np.array(rows[start : start + batch_size]).T
            query = table.unit[b] - table.unit[a] + table.unit[c]  # (B, D)
            scores = query @ table.unit.T  # (B, V)
            for asked in (a, b, c):
                scores[np.arange(len(scores)), asked] = -np.inf
            n_right += int((scores.argmax(axis=1) == expected).sum())
        results[name] = AnalogyResult(n_right, len(rows), len(questions))
    return results


def association(
    table: WordVectors, words: Sequence[str], a: Sequence[str], b: Sequence[str]
) -> Float[np.ndarray, "N"]:
    """s(w): how much nearer each word is to the words of A than to those of B.

    Returns:
        (N,) mean cosine to A less mean cosine to B; above 0 leans towards A.

    Raises:
        KeyError: If the table does not have one of the words.
    """
    of_words, of_a, of_b = (unit_rows(table, group) for group in (words, a, b))
    return (of_words @ of_a.T).mean(axis=1) - (of_words @ of_b.T).mean(axis=1)


def association_per_word(
    table: WordVectors, words: Sequence[str], a: Sequence[str], b: Sequence[str]
) -> Float[np.ndarray, "N"]:
    """s(w) / std_{x∈A∪B} cos(w, x): an effect size for each word by itself (WEFAT)."""
    cosines = unit_rows(table, words) @ unit_rows(table, [*a, *b]).T
    return association(table, words, a, b) / cosines.std(axis=1, ddof=1)


def association_test(
    table: WordVectors,
    x: Sequence[str],
    y: Sequence[str],
    a: Sequence[str],
    b: Sequence[str],
) -> float:
    """WEAT's effect size d, from -2 to 2 about: X leans to A and Y to B if d > 0.

    Args:
        table: The vectors.
        x: Words of the first group, such as careers.
        y: Words of the second group, such as family.
        a: Words of the first pole, such as male names.
        b: Words of the second pole, such as female names.

    Returns:
        The difference of the groups' means in standard deviations (with N - 1).
    """
    of_x, of_y = association(table, x, a, b), association(table, y, a, b)
    spread = np.concatenate([of_x, of_y]).std(ddof=1)
    return float((of_x.mean() - of_y.mean()) / spread)


def unit_rows(table: WordVectors, words: Sequence[str]) -> Float[np.ndarray, "N D"]:
    """The words' vectors at length 1, in float64."""
    return table.unit[[table.row(word) for word in words]].astype(np.float64)
