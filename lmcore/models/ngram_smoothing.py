"""From counts to probabilities: ways to leave room for what was never seen.

Notation: h is a context, w the next token, hw the n-gram; h' is h without its first
token; c(hw) counts hw, c(h •) = sum over w of c(hw), N1+(h •) is the number of
different tokens seen after h. V is the size of the vocabulary.

Idea: every method here is a table of two columns, and they differ in how they fill it:

    p(w | h) = prob(hw)               if hw was seen
             = weight(h) * p(w | h')  otherwise

until the context is empty; below that lies the uniform distribution, 1 / V. Methods
that *interpolate* mix the shorter context in even where hw was seen,
``prob(hw) = share of its own count + weight(h) * p(w | h')``; methods that *back off*
do not. Since a suffix of a seen n-gram was seen too, the columns are filled from the
shortest n-grams upwards.

References: S. F. Chen and J. Goodman, "An empirical study of smoothing techniques for
language modeling", Computer Speech & Language 13 (1999), sections 2 and 3; and the
paper that each function names.
"""

from dataclasses import dataclass

import numpy as np

from lmcore.models.ngram_counts import NGramCounts, take


@dataclass
class Table:
    """What a model looks up; entry k - 1 of a list belongs to n-grams of length k.

    Attributes:
        prob: (N,) per seen n-gram hw, p(w | h).
        weight: (n_contexts,) per seen context h, what the shorter context is scaled by.
        unseen_weight: The same for a context that was never seen.
        shortens: Whether "shorter context" means h' (True), or at once the uniform
            distribution (False: add-k and maximum likelihood know one length only).
    """

    prob: list[np.ndarray]
    weight: list[np.ndarray]
    unseen_weight: float = 1.0
    shortens: bool = True


def divide(a: np.ndarray, b: np.ndarray, otherwise: float) -> np.ndarray:
    """``a / b``, and ``otherwise`` where b is 0."""
    return np.divide(a, b, out=np.full(len(b), otherwise), where=b > 0)


def shorter_prob(counts: NGramCounts, prob: list[np.ndarray], k: int) -> np.ndarray:
    """(N,) p(w | h') for every n-gram hw of length k, from the level below."""
    suffix = counts.levels[k - 1].suffix
    if k == 1:
        return np.full(len(suffix), 1 / counts.vocab_size)
    return prob[k - 2][suffix]


def interpolate(
    counts: NGramCounts, own: list[np.ndarray], weight: list[np.ndarray]
) -> Table:
    """Fill ``prob(hw) = own(hw) + weight(h) * p(w | h')``, shortest n-grams first."""
    prob: list[np.ndarray] = []
    for k in range(1, counts.order + 1):
        mixed_in = weight[k - 1][counts.contexts(k)] * shorter_prob(counts, prob, k)
        prob.append(own[k - 1] + mixed_in)
    return Table(prob, weight)


def relative_frequencies(counts: NGramCounts) -> list[np.ndarray]:
    """c(hw) / c(h •) for every n-gram of every length."""
    shares = []
    for k, level in enumerate(counts.levels, start=1):
        totals = counts.sum_by_context(k, level.counts)
        shares.append(level.counts / totals[counts.contexts(k)])
    return shares


def has_followers(counts: NGramCounts, k: int) -> np.ndarray:
    """(n_contexts(k),) whether anything follows this context; a text's end has none."""
    return counts.sum_by_context(k, counts.levels[k - 1].counts) > 0


def maximum_likelihood(counts: NGramCounts) -> Table:
    """p(w | h) = c(hw) / c(h •): the table under which the text is most probable.

    What was not seen gets probability 0, and a text that holds it an infinite loss.
    After a context that was never seen, 0 / 0, every token gets 0 here.
    """
    zeros = [np.zeros(counts.n_contexts(k)) for k in range(1, counts.order + 1)]
    prob = relative_frequencies(counts)
    return Table(prob, zeros, unseen_weight=0.0, shortens=False)


def add_k(counts: NGramCounts, k_added: float) -> Table:
    """p(w | h) = (c(hw) + k) / (c(h •) + k V): pretend to have seen each token k times.

    Reference: Lidstone (1920); k = 1 is Laplace's rule. Chen & Goodman, section 2.1.
    """
    prob, weight = [], []
    pretended = k_added * counts.vocab_size
    for k, level in enumerate(counts.levels, start=1):
        totals = counts.sum_by_context(k, level.counts)
        prob.append((level.counts + k_added) / (totals + pretended)[counts.contexts(k)])
        weight.append(pretended / (totals + pretended))
    return Table(prob, weight, shortens=False)


def jelinek_mercer(counts: NGramCounts, weights: np.ndarray) -> Table:
    """p(w | h) = λ_k c(hw) / c(h •) + (1 - λ_k) p(w | h'): one weight per length k.

    After a context never seen, p(w | h) = p(w | h').

    Args:
        counts: What was counted.
        weights: (order,) λ_1 … λ_order, each from 0 to 1.

    Reference: Jelinek & Mercer (1980); Chen & Goodman, section 2.3.
    """
    own, rest = [], []
    for k, share in enumerate(relative_frequencies(counts), start=1):
        own.append(weights[k - 1] * share)
        rest.append(np.where(has_followers(counts, k), 1 - weights[k - 1], 1.0))
    return interpolate(counts, own, rest)


def fit_weights(
    counts: NGramCounts, documents: list[np.ndarray], max_steps: int = 100
) -> np.ndarray:
    """Choose λ_1 … λ_order for ``jelinek_mercer`` by EM on text that was not counted.

    See each token as drawn in stages: stand at the longest context; with probability
    λ_k take the token from its relative frequencies and stop, else go on to the shorter
    one. Which stage a token came from is hidden. E-step: the probability of each
    stage, given the token. M-step: λ_k = expected stops at k / expected visits of k.
    One visit is added to the denominator, so that no λ reaches 1, which would leave
    nothing for the unseen.

    Args:
        counts: The counts of the training text.
        documents: Checked ids of the validation text.
        max_steps: EM steps at most; it stops when no weight moves by 1e-5.

    Returns:
        (order,) the weights.

    Reference: Dempster, Laird & Rubin (1977); Jelinek & Mercer (1980).
    """
    n_tokens = sum(map(len, documents))
    share = np.zeros((counts.order, n_tokens))  # c(hw) / c(h •) of each token
    known = np.zeros((counts.order, n_tokens), dtype=bool)  # was the context seen?
    frequencies = relative_frequencies(counts)
    begin = 0
    for ids in documents:
        found = counts.find_all(ids)
        for k in range(1, len(found)):
            at = slice(begin + k - 1, begin + len(ids))
            known[k - 1, at] = take(has_followers(counts, k), found[k - 1][:-1], False)
            share[k - 1, at] = take(frequencies[k - 1], found[k], 0.0)
        begin += len(ids)
    lambdas = np.full(counts.order, 0.5)
    for _ in range(max_steps):
        p = [np.full(n_tokens, 1 / counts.vocab_size)]
        for k in range(counts.order):
            mixed = lambdas[k] * share[k] + (1 - lambdas[k]) * p[-1]
            p.append(np.where(known[k], mixed, p[-1]))
        visit = np.ones(n_tokens)  # probability that the longest stages were passed
        updated = lambdas.copy()
        for k in reversed(range(counts.order)):
            stop = np.where(known[k], visit * lambdas[k] * share[k] / p[k + 1], 0.0)
            updated[k] = stop.sum() / (visit[known[k]].sum() + 1)
            visit = visit - stop
        moved = np.abs(updated - lambdas).max()
        lambdas = updated
        if moved < 1e-5:
            break
    return lambdas


def witten_bell(counts: NGramCounts) -> Table:
    """p(w | h) = (c(hw) + N1+(h •) p(w | h')) / (c(h •) + N1+(h •)).

    The more different tokens have followed h, the likelier is yet another one.

    Reference: Bell, Cleary & Witten (1990), Witten & Bell (1991), method C; Chen &
    Goodman, section 2.5.
    """
    own, weight = [], []
    for k, level in enumerate(counts.levels, start=1):
        total = counts.sum_by_context(k, level.counts)
        kinds = counts.sum_by_context(k, level.counts > 0)
        own.append(level.counts / (total + kinds)[counts.contexts(k)])
        weight.append(divide(kinds, total + kinds, otherwise=1.0))
    return interpolate(counts, own, weight)
