"""Metrics against their formulas, and what they refuse."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmcore.metrics import (
    bits_per_byte,
    bits_per_token,
    cross_entropy_nats,
    edit_distance,
    error_rates,
    perplexity,
)


def test_cross_entropy_by_hand():
    log_probs = [math.log(1 / 2), math.log(1 / 8)]
    assert cross_entropy_nats(log_probs) == pytest.approx(2 * math.log(2))
    assert cross_entropy_nats(np.array(log_probs)) == cross_entropy_nats(log_probs)
    tensor = torch.tensor(log_probs, dtype=torch.float64)
    assert cross_entropy_nats(tensor) == cross_entropy_nats(log_probs)
    assert cross_entropy_nats([0.0]) == 0
    assert cross_entropy_nats([-1.0, -math.inf]) == math.inf


def test_units():
    uniform = math.log(256)
    assert perplexity(uniform) == pytest.approx(256)
    assert bits_per_token(uniform) == pytest.approx(8)
    assert bits_per_byte(10 * uniform, 10) == pytest.approx(8)
    assert perplexity(0) == 1
    assert perplexity(math.inf) == math.inf
    assert perplexity(1e4) == math.inf
    assert bits_per_byte(math.inf, 3) == math.inf
    assert type(bits_per_byte(np.float64(3.0), np.int64(3))) is float


def test_bits_per_byte_does_not_depend_on_the_tokens():
    """Two tokens or six: the same probability of the text gives the same figure."""
    text = "naïve"  # 6 bytes, 5 characters
    p = 1 / 4096
    as_words = [math.log(p)]
    as_bytes = [math.log(p) / 6] * 6
    n_bytes = len(text.encode())
    figures = [
        bits_per_byte(len(x) * cross_entropy_nats(x), n_bytes)
        for x in (as_words, as_bytes)
    ]
    assert figures[0] == pytest.approx(figures[1]) == pytest.approx(2)
    assert perplexity(cross_entropy_nats(as_words)) > perplexity(
        cross_entropy_nats(as_bytes)
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cross_entropy_nats([]), "log_probs='empty'"),
        (lambda: cross_entropy_nats([[-1.0]]), "one-dimensional"),
        (lambda: cross_entropy_nats([0.5]), "logarithm of a probability"),
        (lambda: cross_entropy_nats([math.nan, -1.0]), "logarithm of a probability"),
        (lambda: perplexity(-0.1), "nats_per_token=-0.1"),
        (lambda: perplexity(math.nan), "nats_per_token=nan"),
        (lambda: bits_per_token(-1), "nats_per_token=-1"),
        (lambda: bits_per_byte(1.0, 0), "n_bytes=0"),
        (lambda: bits_per_byte(1.0, 2.5), "n_bytes=2.5"),
        (lambda: bits_per_byte(-1.0, 5), "total_nats=-1.0"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("kitten", "sitting", 3),
        ("abc", "bc", 1),
        ("abc", "acb", 2),
        ("intention", "execution", 5),
        (["OW1", "N"], ("OW1", "M"), 1),
    ],
)
def test_edit_distance_by_hand(a, b, distance):
    assert edit_distance(a, b) == distance


WORDS = st.text(alphabet="abc", max_size=7)


@given(WORDS, WORDS, WORDS)
def test_edit_distance_is_a_distance(a, b, c):
    ab = edit_distance(a, b)
    assert ab == edit_distance(b, a)
    assert (ab == 0) == (a == b)
    assert abs(len(a) - len(b)) <= ab <= max(len(a), len(b))
    assert edit_distance(a, c) <= ab + edit_distance(b, c)


@given(WORDS, WORDS)
def test_edit_distance_equals_its_definition(a, b):
    def slow(x, y):
        if not x or not y:
            return len(x) + len(y)
        replaced = slow(x[1:], y[1:]) + (x[0] != y[0])
        return min(replaced, slow(x[1:], y) + 1, slow(x, y[1:]) + 1)

    assert edit_distance(a[:5], b[:5]) == slow(a[:5], b[:5])


def test_error_rates_take_the_nearest_reference_and_its_length():
    references = [["abcd"], ["xxxxxxxx", "ab"], ["abc"]]
    rates = error_rates(["abcd", "abc", "a"], references)
    assert rates.symbol == pytest.approx((0 + 1 + 2) / (4 + 2 + 3))
    assert rates.sequence == pytest.approx(2 / 3)
    assert error_rates(["ab"], [["cd", "ab"]]) == (0, 0)
    assert error_rates(["aaaa"], [["b"]]).symbol == 4  # above 1: too much written
    tie = error_rates(["ab"], [["a", "abc"]])
    assert tie.symbol == 1  # of two equally near ones the first counts


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([], [], "references='empty': must hold at least one item"),
        (["a"], [["a"], ["b"]], r"len\(predictions\)=1: must be 2"),
        (["a"], [[]], r"references\[0\]=\[\]: must hold a sequence"),
        (["a"], [[""]], "must hold a symbol"),
    ],
)
def test_error_rates_refuse_what_has_no_rate(predictions, references, message):
    with pytest.raises(ValueError, match=message):
        error_rates(predictions, references)
