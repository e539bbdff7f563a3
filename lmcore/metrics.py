"""How good is a language model? Cross-entropy in four units; error rates.

A model gives each token of a text a probability, p_t. Their mean surprise is the
cross-entropy in nats, H = -(1/T) Σ ln p_t, and the others follow from it:

    perplexity     = exp(H)       as unsure as among so many equally likely tokens
    bits per token = H / ln 2
    bits per byte  = T H / (ln 2 * n_bytes)

Only the last is comparable between tokenizers: tokens differ in length, and a model
over bytes has an easier guess 5 times as often as one over words. Bits per byte spread
the whole text's surprise over the bytes of its UTF-8 form, which no tokenizer changes.

A model that writes a sequence of its own is compared with what it should have written:
the fewest insertions, deletions and replacements that turn one into the other.

Reference: Shannon (1948), section 7; Jelinek, Mercer, Bahl & Baker (1977). Edit
distance: Levenshtein (1966); Wagner & Fischer (1974).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lmcore.config import require


def cross_entropy_nats(log_probs: object) -> float:
    """The mean of -ln p over tokens: H = -(1/T) Σ ln p_t.

    Args:
        log_probs: (T,) ln p_t of each token, as an array, list or CPU tensor. One of
            -inf, a token that was held impossible, makes the result inf.

    Returns:
        Nats per token.

    Raises:
        ValueError: If it is empty, not 1-D, or holds NaN or a value above 0.
    """
    values = np.asarray(log_probs, dtype=np.float64)
    require(values.ndim == 1, "log_probs.shape", values.shape, "be one-dimensional")
    require(values.size > 0, "log_probs", "empty", "hold at least one token")
    largest = float(values.max())  # NaN if there is one
    rule = "be at most 0, being the logarithm of a probability"
    require(largest <= 1e-6, "largest of log_probs", largest, rule)
    return float(-values.mean())


def perplexity(nats_per_token: float) -> float:
    """exp(H): the number of equally likely tokens that would be as hard to guess among.

    Args:
        nats_per_token: Cross-entropy H, at least 0; inf gives inf.

    Raises:
        ValueError: If it is negative or NaN.
    """
    check_nats(nats_per_token, "nats_per_token")
    try:
        return math.exp(nats_per_token)
    except OverflowError:
        return math.inf


def bits_per_token(nats_per_token: float) -> float:
    """H / ln 2: the same cross-entropy in bits.

    Raises:
        ValueError: If it is negative or NaN.
    """
    check_nats(nats_per_token, "nats_per_token")
    return float(nats_per_token) / math.log(2)


def bits_per_byte(total_nats: float, n_bytes: int) -> float:
    """-Σ ln p_t / (ln 2 * n_bytes): bits needed per byte of the text.

    Args:
        total_nats: The *sum* over all tokens, T times the cross-entropy.
        n_bytes: Length of the whole text in UTF-8, whatever the tokens are.

    Raises:
        ValueError: If the nats are negative or NaN, or ``n_bytes`` is below 1.

    Example:
        >>> bits_per_byte(3 * math.log(256), 3)  # a uniform guess among 256 bytes
        8.0
    """
    check_nats(total_nats, "total_nats")
    usable = isinstance(n_bytes, int | np.integer) and n_bytes >= 1
    require(usable, "n_bytes", n_bytes, "be an int of at least 1")
    return float(total_nats) / math.log(2) / int(n_bytes)


def check_nats(value: float, argument: str) -> None:
    """Refuse what no cross-entropy can be: a negative number or NaN."""
    require(value >= 0, argument, value, "be at least 0")


def edit_distance(a: Sequence, b: Sequence) -> int:
    """The fewest insertions, deletions and replacements that make ``a`` into ``b``.

    distance[i][j] for the first i symbols of a and the first j of b is the least of
    distance[i-1][j] + 1 (delete), distance[i][j-1] + 1 (insert) and distance[i-1][j-1]
    + 1 (replace; + 0 if the two symbols are equal). Two rows are enough.

    Example:
        >>> edit_distance("kitten", "sitting")
        3
    """
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        above, row = row, [i]
        for j, y in enumerate(b, start=1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (x != y)))
    return row[-1]


class ErrorRates(NamedTuple):
    """Shares of what was written wrong.

    Attributes:
        symbol: Edits per symbol of the references: the phoneme error rate if the
            symbols are phonemes. Above 1 if far too much was written.
        sequence: Share of sequences with an error: the word error rate if each is one
            word's pronunciation.
    """

    symbol: float
    sequence: float


def error_rates(
    predictions: Sequence[Sequence], references: Sequence[Sequence[Sequence]]
) -> ErrorRates:
    """Edits per symbol, and the share of sequences that are not right.

    Each prediction is scored against the nearest of its references (the first of them
    if two are equally near), for a word may be spoken in several ways. The symbol error
    rate is the sum of these distances over the sum of these references' lengths, so
    that a long word counts for more than a short one.

    Args:
        predictions: One sequence of symbols for each item.
        references: For each item, all the sequences that would be right.

    Raises:
        ValueError: If there is no item, the numbers of items differ, an item has no
            reference, or every nearest reference is empty.

    Example:
        >>> error_rates(["cat", "dg"], [["cat", "kat"], ["dog"]])
        ErrorRates(symbol=0.16666666666666666, sequence=0.5)
    """
    n = len(references)
    require(n > 0, "references", "empty", "hold at least one item")
    require(len(predictions) == n, "len(predictions)", len(predictions), f"be {n}")
    edits = symbols = wrong = 0
    for index, (written, right) in enumerate(zip(predictions, references, strict=True)):
        require(len(right) > 0, f"references[{index}]", right, "hold a sequence")
        distance, length = min(
            ((edit_distance(written, one), len(one)) for one in right),
            key=lambda pair: pair[0],
        )
        edits += distance
        symbols += length
        wrong += distance > 0
    require(symbols > 0, "references", "empty sequences", "hold a symbol")
    return ErrorRates(edits / symbols, wrong / n)
