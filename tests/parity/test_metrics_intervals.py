"""Wilson's interval against scipy's; the bootstrap against what it must cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from lmcore.metrics import (
    accuracy,
    bootstrap_interval,
    f1_score,
    wilson_interval,
)


@given(st.integers(1, 5000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_equals_scipy(n, share, confidence):
    k = round(share * n)
    theirs = binomtest(k, n).proportion_ci(confidence, method="wilson")
    ours = wilson_interval(k, n, confidence)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_by_hand():
    low, high = wilson_interval(0, 10)
    assert low == 0
    assert high == pytest.approx(1.959964**2 / (10 + 1.959964**2), abs=1e-6)
    assert wilson_interval(10, 10).high == 1
    assert wilson_interval(np.int64(10), np.int64(10)).low == pytest.approx(1 - high)


def test_the_bootstrap_of_an_accuracy_is_near_wilsons():
    rng = np.random.default_rng(0)
    targets = rng.integers(2, size=2000)
    predictions = np.where(rng.random(2000) < 0.8, targets, 1 - targets)
    right = int((targets == predictions).sum())
    ours = bootstrap_interval(accuracy, targets, predictions)
    assert ours == pytest.approx(wilson_interval(right, 2000), abs=0.004)


def test_the_bootstrap_draws_the_same_items_from_both():
    """Items whose prediction is right stay right, however they are drawn."""
    targets = np.arange(50) % 5
    interval = bootstrap_interval(lambda t, p: f1_score(t, p, 5), targets, targets)
    assert interval == (1, 1)


def test_the_bootstrap_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    held = 0
    for seed in range(200):
        sample = rng.exponential(size=100)
        interval = bootstrap_interval(
            np.mean, sample, confidence=0.8, n_resamples=200, seed=seed
        )
        held += interval.low < 1 < interval.high
    assert 0.7 < held / 200 < 0.87


def test_the_seed_decides():
    values = np.random.default_rng(0).normal(size=30)
    first, again, other = (
        bootstrap_interval(np.median, values, seed=s) for s in (0, 0, 1)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wilson_interval(5, 0), "n=0: must be an int of at least 1"),
        (lambda: wilson_interval(6, 5), "successes=6: must be an int from 0 to n=5"),
        (lambda: wilson_interval(-1, 5), "successes=-1"),
        (lambda: wilson_interval(0.5, 5), "successes=0.5"),
        (lambda: wilson_interval(1, 5, 95), "confidence=95: must be above 0"),
        (lambda: bootstrap_interval(np.mean), r"arrays=\(\): must be at least one"),
        (lambda: bootstrap_interval(np.mean, []), "arrays='empty'"),
        (lambda: bootstrap_interval(np.mean, [1], [1, 2]), r"rows=\[1, 2\]"),
        (lambda: bootstrap_interval(np.mean, [1], n_resamples=1), "n_resamples=1"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
