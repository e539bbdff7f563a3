"""How far chance may have moved a measured figure: two kinds of interval.

A share measured on n items would come out otherwise on n others. For k successes of n,
Wilson's interval holds every p that would not make k a surprise at the given level:

    centre ± half = (k + z²/2)/(n + z²) ± z/(n + z²) sqrt(k (n - k)/n + z²/4)

with z = 1.96 for 95 %. Unlike k/n ± z sqrt(p (1 - p)/n), it stays between 0 and 1 and
is not of width 0 at k = n. For any other figure (an F1, a difference), the bootstrap
draws n items with replacement, again and again, and looks how the figure spreads.

Both are about the choice of test items alone. They say nothing on other seeds of the
training, or on text of another kind.

Reference: Wilson (1927); Efron (1979); Dror et al. (2018), "The hitchhiker's guide to
testing statistical significance in NLP".
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from lmcore.config import require


class Interval(NamedTuple):
    """From ``low`` to ``high``."""

    low: float
    high: float


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's interval for a share: accuracy, recall, exact match, ….

    Args:
        successes: k, from 0 to n.
        n: Items, each a success or not, independent of each other.
        confidence: How often such intervals hold the true share.

    Raises:
        ValueError: If a number is out of range.

    Example:
        >>> [round(x, 3) for x in wilson_interval(90, 100)]
        [0.826, 0.945]
    """
    whole = isinstance(n, int | np.integer) and n >= 1
    require(whole, "n", n, "be an int of at least 1")
    whole = isinstance(successes, int | np.integer) and 0 <= successes <= n
    require(whole, "successes", successes, f"be an int from 0 to n={n}")
    check_confidence(confidence)
    k, n = int(successes), int(n)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (k + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * math.sqrt(k * (n - k) / n + z**2 / 4)
    low = 0.0 if k == 0 else centre - half
    return Interval(low, 1.0 if k == n else centre + half)


def bootstrap_interval(
    statistic: Callable[..., float],
    *arrays: object,
    confidence: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """The percentile bootstrap: the middle part of what resampled items give.

    Args:
        statistic: From arrays to the figure, such as
            ``lambda targets, predictions: f1_score(targets, predictions, 3)``.
        *arrays: Each (N, ...), one row per item; the same items are drawn from all, so
            two models' predictions on the same items stay paired.
        confidence: Share of the resampled figures inside.
        n_resamples: How often N items are drawn.
        seed: Decides the draws.

    Raises:
        ValueError: If there is no array or no item, the numbers of rows differ, or a
            number is out of range.
    """
    require(len(arrays) > 0, "arrays", arrays, "be at least one")
    columns = [np.asarray(array) for array in arrays]
    rows = [len(column) for column in columns]
    require(len(set(rows)) == 1, "rows", rows, "be the same number in every array")
    require(rows[0] > 0, "arrays", "empty", "hold at least one item")
    usable = type(n_resamples) is int and n_resamples >= 2
    require(usable, "n_resamples", n_resamples, "be an int of at least 2")
    check_confidence(confidence)
    draw = np.random.default_rng(seed)
    figures = []
    for _ in range(n_resamples):
        chosen = draw.integers(rows[0], size=rows[0])
        figures.append(statistic(*(column[chosen] for column in columns)))
    outside = (1 - confidence) / 2
    low, high = np.quantile(figures, [outside, 1 - outside])
    return Interval(float(low), float(high))


def check_confidence(confidence: float) -> None:
    """Refuse what is no share between 0 and 1."""
    require(0 < confidence < 1, "confidence", confidence, "be above 0 and below 1")
