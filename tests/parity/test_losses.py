"""Losses against torch's, values and gradients."""

import math

import pytest
import torch
from torch.nn import functional as F

from lmcore.losses import (
    binary_cross_entropy,
    cross_entropy,
    cross_entropy_explicit,
    mse,
)

both = pytest.mark.parametrize("loss", [cross_entropy, cross_entropy_explicit])


def check(ours, theirs, *leaves):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    for a, b in zip(
        torch.autograd.grad(ours, leaves),
        torch.autograd.grad(theirs, leaves),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


@both
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_over_sequences(loss, label_smoothing):
    logits = (30 * torch.randn(3, 7, 11, dtype=torch.float64)).requires_grad_()
    targets = torch.randint(11, (3, 7))
    targets[0, :3] = -100
    check(
        loss(logits, targets, label_smoothing=label_smoothing),
        F.cross_entropy(
            logits.transpose(1, 2), targets, label_smoothing=label_smoothing
        ),
        logits,
    )


@both
def test_cross_entropy_of_huge_logits_is_finite(loss):
    logits = torch.tensor([[1e6, 0.0, -1e6]])
    assert loss(logits, torch.tensor([2])) == 2e6


@both
def test_cross_entropy_with_everything_ignored_is_nan_as_in_torch(loss):
    logits, targets = torch.zeros(2, 3), torch.full((2,), -100)
    assert math.isnan(loss(logits, targets))
    assert math.isnan(F.cross_entropy(logits, targets))


@both
def test_an_ignored_position_gets_no_gradient_even_from_infinite_logits(loss):
    logits = torch.zeros(2, 3, requires_grad=True)
    loss(logits, torch.tensor([1, -100])).backward()
    assert (logits.grad[1] == 0).all() and (logits.grad[0] != 0).all()


@both
def test_another_ignore_index(loss):
    logits, targets = torch.randn(4, 5), torch.tensor([1, 0, 2, 0])
    torch.testing.assert_close(
        loss(logits, targets, ignore_index=0),
        F.cross_entropy(logits, targets, ignore_index=0),
    )


@both
def test_one_vector_of_logits_has_one_target(loss):
    logits = torch.randn(5)
    expected = -logits.log_softmax(-1)[3]
    torch.testing.assert_close(loss(logits, torch.tensor(3)), expected)


def test_binary_cross_entropy():
    logits = (50 * torch.randn(20, dtype=torch.float64)).requires_grad_()
    targets = torch.rand(20, dtype=torch.float64)
    check(
        binary_cross_entropy(logits, targets),
        F.binary_cross_entropy_with_logits(logits, targets),
        logits,
    )


def test_mse_has_no_factor_one_half():
    a = torch.tensor([1.1, 1.9, 3.1, 4.2], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    check(mse(a, y), F.mse_loss(a, y), a)
    assert round(mse(a, y).item(), 6) == 0.0175
