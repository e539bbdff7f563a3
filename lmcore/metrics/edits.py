"""How much of a written sequence is wrong? Edit distance and error rates.

A model that writes a sequence of its own is compared with what it should have written:
the fewest insertions, deletions and replacements that turn one into the other.

Reference: Levenshtein (1966); Wagner & Fischer (1974).
"""

from collections.abc import Sequence
from typing import NamedTuple

from lmcore.config import require


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
