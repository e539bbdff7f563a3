"""Discounting: Kneser-Ney and the two ways to back off.

Idea: a count on unseen text is about a constant smaller than the one on the training
text, whatever its size. So take a constant D off every count, and give what is saved
to the shorter context. ``ngram_smoothing`` explains the notation and the table.
"""

import numpy as np

from lmcore.models.ngram_counts import NGramCounts
from lmcore.models.ngram_smoothing import (
    Table,
    divide,
    interpolate,
    relative_frequencies,
    shorter_prob,
)

FALLBACK_DISCOUNT = 0.5  # where the text is too small or too uniform to estimate D


def estimate_discounts(counts: np.ndarray, *, modified: bool = False) -> np.ndarray:
    """How much to take off a count of 0, 1, 2, and 3 or more.

    With n_r the number of n-grams seen exactly r times, D = n_1 / (n_1 + 2 n_2) for
    every count. Modified, D depends on the count: D_r = r - (r + 1) D n_{r+1} / n_r for
    r = 1, 2 and 3 (for 3 or more). Where one of these n_r is 0 there is no estimate,
    and 0.5 is taken off. Each D is kept between 0 and the count it is taken off.

    Args:
        counts: (N,) counts of the n-grams of one length.
        modified: One constant (False) or three (True).

    Returns:
        (4,) the discounts D_0 = 0, D_1, D_2, D_3.

    Reference: Ney, Essen & Kneser (1994); Chen & Goodman (1999), equations 14 and 17.
    """
    n = [np.count_nonzero(counts == r) for r in range(5)]
    one = np.array([0.0, FALLBACK_DISCOUNT, FALLBACK_DISCOUNT, FALLBACK_DISCOUNT])
    if n[1] == 0 or n[2] == 0:
        return one
    d = n[1] / (n[1] + 2 * n[2])
    one[1:] = d
    if modified and n[3] > 0 and n[4] > 0:
        three = [r - (r + 1) * d * n[r + 1] / n[r] for r in (1, 2, 3)]
        one[1:] = np.clip(three, 0.0, [1.0, 2.0, 3.0])
    return one


def adjusted_counts(counts: NGramCounts) -> list[np.ndarray]:
    """Kneser-Ney's counts: the longest n-grams as they are, the others by *kinds*.

    A shorter n-gram g is consulted where the longer context failed, so what matters
    is not how often it occurs but after how many different tokens: N1+(• g), its
    continuation count. ("Francisco" may be frequent, yet it follows little but "San".)
    """
    lower = [counts.n_left_neighbours(k) for k in range(1, counts.order)]
    return [*lower, counts.levels[-1].counts]


def kneser_ney(
    counts: NGramCounts, discount: float | None = None, *, modified: bool = False
) -> Table:
    """Interpolated Kneser-Ney, the best of the count-based methods.

        p(w | h) = max(a(hw) - D, 0) / a(h •) + weight(h) p(w | h')
        weight(h) = D N1+(h •) / a(h •)

    with a = the adjusted counts. Each length has its own D; modified, its own three,
    and weight(h) = (D_1 N_1(h •) + D_2 N_2(h •) + D_3 N_3+(h •)) / a(h •).

    Args:
        counts: What was counted.
        discount: One D for all lengths, from 0 to 1; None estimates them.
        modified: Three discounts per length.

    Reference: Kneser & Ney (1995); Chen & Goodman (1999), sections 2.7 and 3.
    """
    own, weight = [], []
    for k, adjusted in enumerate(adjusted_counts(counts), start=1):
        d = estimate_discounts(adjusted, modified=modified)
        if discount is not None:
            d = np.array([0.0, discount, discount, discount])
        taken = d[np.minimum(adjusted, 3)]  # never more than the count itself
        total = counts.sum_by_context(k, adjusted)
        saved = counts.sum_by_context(k, taken)
        share = divide(adjusted - taken, total[counts.contexts(k)], otherwise=0.0)
        own.append(share)
        weight.append(divide(saved, total, otherwise=1.0))
    return interpolate(counts, own, weight)


def backoff(counts: NGramCounts) -> Table:
    """Katz's backoff, with an absolute discount in place of Good-Turing's.

        p(w | h) = (c(hw) - D) / c(h •)     if hw was seen
                 = weight(h) * p(w | h')    otherwise

    weight(h) = what the discount saved, over the mass that h' gives to the tokens not
    seen after h; so the probabilities sum to 1. Katz takes off Good-Turing's discounts
    instead; over bytes those are undefined, since hardly any byte was seen just once.
    Where all V tokens were seen after h, nothing has to be saved and nothing is.

    Reference: Katz (1987); Chen & Goodman (1999), sections 2.4 and 2.6.
    """
    prob, weight = [], []
    for k, level in enumerate(counts.levels, start=1):
        contexts = counts.contexts(k)
        total = counts.sum_by_context(k, level.counts)
        kinds = counts.sum_by_context(k, level.counts > 0)
        d = estimate_discounts(level.counts)[np.minimum(level.counts, 3)]
        d = np.where((kinds == counts.vocab_size)[contexts], 0.0, d)
        saved = divide(counts.sum_by_context(k, d), total, otherwise=1.0)
        lower_of_seen = counts.sum_by_context(k, shorter_prob(counts, prob, k))
        weight.append(divide(saved, 1 - lower_of_seen, otherwise=0.0))
        prob.append((level.counts - d) / total[contexts])
    return Table(prob, weight)


def stupid_backoff(counts: NGramCounts, factor: float = 0.4) -> Table:
    """Relative frequency if hw was seen, else 0.4 times that of the shorter context.

    These are scores, not probabilities: they do not sum to 1, so that no perplexity
    can be had from them. It was made for trillions of tokens, where nothing else could
    be afforded.

    Reference: Brants, Popat, Xu, Och & Dean (2007), section 4.
    """
    weight = [np.full(counts.n_contexts(k), factor) for k in range(1, counts.order + 1)]
    return Table(relative_frequencies(counts), weight, unseen_weight=factor)
