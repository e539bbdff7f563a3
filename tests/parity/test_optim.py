"""Optimisers and schedules step by step against torch.optim's."""

import math

import numpy as np
import pytest
import torch

from lmcore import autograd, optim

CASES = [
    (optim.SGD, torch.optim.SGD, {"lr": 0.1}),
    (optim.SGD, torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.3}),
    (optim.SGD, torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}),
    (optim.Adam, torch.optim.Adam, {"lr": 0.1}),
    (optim.Adam, torch.optim.Adam, {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-3}),
    (optim.Adam, torch.optim.Adam, {"lr": 0.1, "weight_decay": 0.2}),
    (optim.AdamW, torch.optim.AdamW, {"lr": 0.1}),
    (optim.AdamW, torch.optim.AdamW, {"lr": 0.1, "weight_decay": 0.5}),
]


def rosenbrock(xy):
    x, y = xy[0], xy[1]
    return (1 - x) ** 2 + 10 * (y - x**2) ** 2


@pytest.mark.parametrize(("ours", "theirs", "options"), CASES)
def test_fifty_steps_equal_torch(ours, theirs, options):
    options = {**options, "lr": options["lr"] * 0.1}
    a, b = (
        torch.tensor([-1.0, 1.5], dtype=torch.float64, requires_grad=True)
        for _ in range(2)
    )
    mine, reference = ours([a], **options), theirs([b], **options)
    for _ in range(50):
        for optimizer, p in [(mine, a), (reference, b)]:
            optimizer.zero_grad()
            rosenbrock(p).backward()
            optimizer.step()
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
    assert (a != torch.tensor([-1.0, 1.5])).all()


@pytest.mark.parametrize(("ours", "theirs", "options"), CASES)
def test_the_same_class_trains_the_numpy_engine(ours, theirs, options):
    options = {**options, "lr": options["lr"] * 0.1}
    a = autograd.Tensor([-1.0, 1.5], requires_grad=True)
    b = torch.tensor([-1.0, 1.5], dtype=torch.float64, requires_grad=True)
    mine, reference = ours([a], **options), theirs([b], **options)
    for _ in range(50):
        for optimizer, p in [(mine, a), (reference, b)]:
            optimizer.zero_grad()
            rosenbrock(p).backward()
            optimizer.step()
    np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("cls", [optim.SGD, optim.Adam, optim.AdamW])
def test_a_parameter_without_gradient_stays(cls):
    used, unused = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    optimizer = cls([used, unused], lr=0.1)
    for _ in range(3):
        used.sum().backward()
        optimizer.step()
    assert (unused == 1).all() and (used != 1).all()


def test_a_parameter_that_joins_late_gets_its_own_bias_correction():
    def run(cls):
        p, q = (torch.ones(1, dtype=torch.float64, requires_grad=True) for _ in "pq")
        optimizer = cls([p, q], lr=0.1)
        for step in range(6):
            optimizer.zero_grad()
            (p**2 + (q**3 if step >= 3 else 0)).sum().backward()
            optimizer.step()
        return torch.cat([p, q]).detach()

    torch.testing.assert_close(run(optim.Adam), run(torch.optim.Adam))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda p: optim.SGD([], lr=0.1), "params"),
        (lambda p: optim.SGD([p], lr=-1), "lr=-1"),
        (lambda p: optim.SGD([p], lr=0.1, momentum=1.0), "momentum=1.0"),
        (lambda p: optim.Adam([p], betas=(0.9, 1.0)), "betas"),
        (lambda p: optim.AdamW([p], weight_decay=-0.1), "weight_decay=-0.1"),
        (lambda p: optim.clip_grad_norm([p], 0), "max_norm=0"),
        (lambda p: optim.cosine_schedule(-1, lr=1, max_steps=3), "step=-1"),
        (lambda p: optim.cosine_schedule(1, lr=1, max_steps=3, min_lr=2), "min_lr=2"),
        (
            lambda p: optim.linear_schedule(1, lr=1, max_steps=3, warmup_steps=4),
            "warmup_steps=4",
        ),
    ],
)
def test_bad_values_are_named(make, named):
    with pytest.raises(ValueError, match=named):
        make(torch.ones(1, requires_grad=True))


@pytest.mark.parametrize("max_norm", [0.5, 1e3])
def test_clip_grad_norm_equals_torch(max_norm):
    torch.manual_seed(0)
    ours = [torch.zeros(s, dtype=torch.float64, requires_grad=True) for s in (3, 4)]
    for p in ours:
        p.grad = torch.randn_like(p)
    theirs = [p.detach().clone() for p in ours]
    for p, q in zip(ours, theirs, strict=True):
        q.grad = p.grad.clone()
    norm = optim.clip_grad_norm(ours, max_norm)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm)
    assert math.isclose(norm, expected.item(), rel_tol=1e-12)
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-12)


def test_cosine_equals_torch():
    p = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=0.3)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, T_max=20, eta_min=0.1
    )
    for step in range(21):
        ours = optim.cosine_schedule(step, lr=0.3, max_steps=20, min_lr=0.1)
        assert math.isclose(ours, optimizer.param_groups[0]["lr"], abs_tol=1e-12)
        optimizer.step()
        reference.step()


def test_linear_equals_torch():
    p = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=0.4)
    reference = torch.optim.lr_scheduler.LinearLR(
        optimizer, start_factor=1.0, end_factor=0.25, total_iters=12
    )
    for step in range(15):
        ours = optim.linear_schedule(step, lr=0.4, max_steps=12, min_lr=0.1)
        assert math.isclose(ours, optimizer.param_groups[0]["lr"], abs_tol=1e-12)
        optimizer.step()
        reference.step()


@pytest.mark.parametrize("schedule", [optim.linear_schedule, optim.cosine_schedule])
def test_warm_up_peak_and_end(schedule):
    def rate(step):
        return schedule(step, lr=1.0, max_steps=100, warmup_steps=10, min_lr=0.1)

    assert [rate(0), rate(5), rate(10)] == [0.0, 0.5, 1.0]
    assert math.isclose(rate(55), 0.55) and math.isclose(rate(100), 0.1)
    assert math.isclose(rate(10_000), 0.1)
    rates = [rate(step) for step in range(10, 101)]
    assert rates == sorted(rates, reverse=True)
    assert schedule(3, lr=1.0, max_steps=3, warmup_steps=3) == 1.0
