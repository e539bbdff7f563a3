"""The model against textbook formulas, written out over plain dictionaries, and nltk.

The dictionaries hold n-grams as tuples; every probability is computed by recursion
from the formula, with nothing prepared and nothing shared with lmcore.
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.models.ngram import NGram


class Formulas:
    """Counts of one text, and each smoothing formula as one recursive function."""

    def __init__(self, ids, order, vocab_size):
        self.order, self.V = order, vocab_size
        self.c = Counter(
            tuple(ids[i : i + k])
            for k in range(1, order + 1)
            for i in range(len(ids) - k + 1)
        )
        # a(g) of Kneser-Ney: the count at the top, the left neighbours below it.
        self.a = Counter({g: n for g, n in self.c.items() if len(g) == order})
        self.a.update(g[1:] for g in self.c if len(g) > 1)

    def after(self, h, counts):
        """The counts of everything that follows h."""
        n = len(h) + 1
        return {g[-1]: v for g, v in counts.items() if len(g) == n and g[:-1] == h}

    def discounts(self, counts, k, modified):
        values = [v for g, v in counts.items() if len(g) == k]
        n1, n2, n3, n4 = (values.count(r) for r in (1, 2, 3, 4))
        if n1 == 0 or n2 == 0:
            return 0.5, 0.5, 0.5
        y = n1 / (n1 + 2 * n2)
        if not modified or n3 == 0 or n4 == 0:
            return y, y, y
        three = 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
        return tuple(min(max(d, 0), r) for d, r in zip(three, (1, 2, 3), strict=True))

    def witten_bell(self, h, w):
        lower = self.witten_bell(h[1:], w) if h else 1 / self.V
        followers = self.after(h, self.c)
        if not followers:
            return lower
        n, kinds = sum(followers.values()), len(followers)
        return (followers.get(w, 0) + kinds * lower) / (n + kinds)

    def kneser_ney(self, h, w, modified=False):
        lower = self.kneser_ney(h[1:], w, modified) if h else 1 / self.V
        followers = self.after(h, self.a)
        if not followers:
            return lower
        d = self.discounts(self.a, len(h) + 1, modified)
        saved = sum(d[min(n, 3) - 1] for n in followers.values())
        n = followers.get(w, 0)
        own = n - d[min(n, 3) - 1] if n else 0
        return (own + saved * lower) / sum(followers.values())

    def modified_kneser_ney(self, h, w):
        return self.kneser_ney(h, w, modified=True)

    def backoff(self, h, w):
        followers = self.after(h, self.c)

        def lower(token):
            return self.backoff(h[1:], token) if h else 1 / self.V

        if not followers:
            return lower(w)
        total = sum(followers.values())
        if len(followers) == self.V:
            return followers[w] / total
        d = self.discounts(self.c, len(h) + 1, False)[0]
        if w in followers:
            return (followers[w] - d) / total
        free = sum(lower(v) for v in range(self.V) if v not in followers)
        return d * len(followers) / total * lower(w) / free


@pytest.mark.parametrize(
    "method", ["witten_bell", "kneser_ney", "modified_kneser_ney", "backoff"]
)
@settings(max_examples=40, deadline=None)
@given(
    ids=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    order=st.integers(1, 4),
    context=st.lists(st.integers(0, 4), max_size=3),
)
def test_equal_to_the_formula(method, ids, order, context):
    h = tuple(context[max(0, len(context) - order + 1) :])
    formulas = Formulas(ids, order, 5)
    expected = [getattr(formulas, method)(h, w) for w in range(5)]
    model = NGram.train(ids, order, 5, method)
    np.testing.assert_allclose(model.probs(context), expected, rtol=1e-9, atol=1e-12)


def test_kneser_ney_equals_nltk():
    """With the same fixed discount, where nltk's formula is the same.

    nltk's differs in three points that this text avoids: it takes one D for all orders
    and does not estimate it; its unigrams are not mixed with 1/V (the same once each of
    the V tokens has been seen, for what is taken off then comes back evenly); and its
    number of followers counts those that stand only at the text's beginning (the text
    repeats its beginning at its end, so there are none).
    """
    nltk_lm = pytest.importorskip("nltk.lm")
    from nltk.util import everygrams

    rng = np.random.default_rng(3)
    text = rng.choice(5, size=150, p=[0.4, 0.3, 0.15, 0.1, 0.05]).tolist()
    text += text[:3]
    names = [str(token) for token in text]
    peer = nltk_lm.KneserNeyInterpolated(order=3, discount=0.3)
    peer.fit([list(everygrams(names, max_len=3))], vocabulary_text=names)
    ours = NGram.train(text, 3, 5, "kneser_ney", discount=0.3)
    for context in [[], [0], [4], [0, 1], [3, 4], [4, 4], [2, 4]]:
        expected = [peer.score(str(w), [str(t) for t in context]) for w in range(5)]
        np.testing.assert_allclose(ours.probs(context), expected, rtol=1e-12)


def test_witten_bell_equals_nltk_above_the_unigrams():
    """nltk does not mix 1/V into its unigrams; the rest is equal."""
    nltk_lm = pytest.importorskip("nltk.lm")
    from nltk.util import everygrams

    rng = np.random.default_rng(4)
    text = rng.choice(4, size=80, p=[0.5, 0.3, 0.15, 0.05]).tolist()
    names = [str(token) for token in text]
    peer = nltk_lm.WittenBellInterpolated(order=2)
    peer.fit([list(everygrams(names, max_len=2))], vocabulary_text=names)
    ours = NGram.train(text, 2, 4, "witten_bell")
    n, frequencies = len(text), np.bincount(text, minlength=4)
    for h in range(4):
        after = np.array([peer.counts[[str(h)]][str(w)] for w in range(4)])
        weight = np.count_nonzero(after) / (after.sum() + np.count_nonzero(after))
        unigram = (frequencies + 1) / (n + 4)
        expected = np.array([peer.score(str(w), [str(h)]) for w in range(4)])
        expected += weight * (unigram - frequencies / n)
        np.testing.assert_allclose(ours.probs([h]), expected, rtol=1e-12)
