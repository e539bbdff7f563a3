"""The chain of functions on logits, each against what its definition says."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmcore.generate import (
    Sampling,
    draw,
    keep_top_k,
    keep_top_p,
    penalise_repeats,
    with_temperature,
)

PROBS = torch.tensor([[0.1, 0.4, 0.05, 0.3, 0.15]], dtype=torch.float64)
LOGITS = PROBS.log()


def kept(logits):
    return (logits > float("-inf")).nonzero()[:, 1].tolist()


def test_top_k_keeps_the_best():
    assert kept(keep_top_k(LOGITS, 1)) == [1]
    assert kept(keep_top_k(LOGITS, 3)) == [1, 3, 4]
    assert torch.equal(keep_top_k(LOGITS, 99), LOGITS)


@pytest.mark.parametrize(
    ("p", "expected"),
    [(0.01, [1]), (0.39, [1]), (0.41, [1, 3]), (0.84, [1, 3, 4]), (0.94, [0, 1, 3, 4])],
)
def test_top_p_keeps_the_fewest_that_have_p_together(p, expected):
    left = keep_top_p(LOGITS, p)
    assert kept(left) == expected
    assert torch.equal(left[0, expected], LOGITS[0, expected])


def test_top_p_of_one_changes_nothing_even_far_from_the_best():
    logits = torch.tensor([[0.0, -200.0, 30.0, -1e4]])
    assert torch.equal(keep_top_p(logits, 1.0), logits)


@given(
    st.lists(st.floats(-30, 30), min_size=1, max_size=20),
    st.floats(0.01, 1),
    st.integers(1, 25),
)
def test_what_is_kept_is_never_empty_and_holds_the_best(scores, p, k):
    logits = torch.tensor([scores], dtype=torch.float64)
    best = logits.max()
    for left in (keep_top_p(logits, p), keep_top_k(logits, k)):
        assert left.max() == best
    assert len(kept(keep_top_k(logits, k))) == min(k, len(scores))
    assert keep_top_p(logits, p).exp().sum() >= p * logits.exp().sum() * (1 - 1e-9)


def test_temperature_sharpens_and_flattens():
    for t in (0.5, 1.0, 2.0):
        expected = PROBS ** (1 / t)
        expected = expected / expected.sum()
        torch.testing.assert_close(with_temperature(LOGITS, t).softmax(-1), expected)


def test_a_tiny_temperature_is_greedy_and_not_nan():
    logits = torch.tensor([[30.0, 31.0, float("-inf")]])
    probs = with_temperature(logits, 1e-38).softmax(-1)
    assert probs.tolist() == [[0, 1, 0]]


def test_a_penalty_lowers_positive_and_negative_scores_once():
    logits = torch.tensor([[2.0, -2.0, 0.0, 1.0]])
    ids = torch.tensor([[0, 1, 1, 0, 2]])
    assert penalise_repeats(logits, ids, 2.0).tolist() == [[1.0, -4.0, 0.0, 1.0]]
    assert logits.tolist() == [[2.0, -2.0, 0.0, 1.0]]


def test_draws_have_the_models_probabilities():
    generator = torch.Generator().manual_seed(0)
    n = 20_000
    drawn = draw(LOGITS.expand(n, -1), generator)
    found = drawn.bincount(minlength=5) / n
    for share, p in zip(found.tolist(), PROBS[0].tolist(), strict=True):
        assert abs(share - p) < 5 * (p * (1 - p) / n) ** 0.5


def test_what_was_ruled_out_is_never_drawn():
    generator = torch.Generator().manual_seed(0)
    drawn = draw(keep_top_k(LOGITS, 2).expand(5000, -1), generator)
    assert set(drawn.tolist()) == {1, 3}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_broken_scores_are_refused(bad):
    logits = torch.tensor([[0.0, 1.0], [bad, 0.0]])
    with pytest.raises(ValueError, match="largest logit"):
        draw(logits)
    with pytest.raises(ValueError, match="largest logit"):
        draw(torch.full((1, 3), float("-inf")))


def test_bad_settings_are_named():
    for function, value, name in (
        (with_temperature, 0.0, "temperature"),
        (keep_top_k, 0, "top_k"),
        (keep_top_p, 0.0, "top_p"),
        (keep_top_p, 1.5, "top_p"),
    ):
        with pytest.raises(ValueError, match=f"{name}={value}"):
            function(LOGITS, value)
    with pytest.raises(ValueError, match="repetition_penalty=0"):
        penalise_repeats(LOGITS, torch.tensor([[0]]), 0.0)


def test_the_nucleus_is_taken_of_what_top_k_left_at_the_temperature():
    sampling = Sampling(temperature=2.0, top_k=3, top_p=0.6)
    ids = torch.tensor([[0]])
    flat = (PROBS[0, [1, 3, 4]] ** 0.5) / (PROBS[0, [1, 3, 4]] ** 0.5).sum()
    assert flat[0] < 0.6 <= flat[0] + flat[1]
    assert kept(sampling.adjust(LOGITS, ids)) == [1, 3]
