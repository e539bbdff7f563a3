"""Activations and derivatives against torch and central differences."""

import math

import pytest
import torch
from torch.nn import functional as F

from lmcore import activations
from lmcore.activations import ACTIVATIONS

TORCH = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
}
GRID = torch.cat([torch.linspace(-40, 40, 801), torch.tensor([-0.0, 1e-9, -1e-9])])
EXTREME = torch.tensor([-1e4, -1e2, 1e2, 1e4], dtype=torch.float64)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_and_autograd_gradient_equal_torch(name):
    ours, theirs = (GRID.double().requires_grad_() for _ in range(2))
    ACTIVATIONS[name].function(ours).sum().backward()
    TORCH[name](theirs).sum().backward()
    torch.testing.assert_close(
        ACTIVATIONS[name].function(ours), TORCH[name](theirs), rtol=0, atol=1e-10
    )
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_equals_torch_autograd(name):
    x = GRID.double().requires_grad_()
    TORCH[name](x).sum().backward()
    torch.testing.assert_close(
        ACTIVATIONS[name].derivative(x.detach()), x.grad, rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_equals_central_differences(name):
    x = GRID.double()
    x = x[x.abs() > 1e-3]  # ReLU and its kin have no derivative at 0
    f, step = ACTIVATIONS[name].function, 1e-6
    expected = (f(x + step) - f(x - step)) / (2 * step)
    torch.testing.assert_close(
        ACTIVATIONS[name].derivative(x), expected, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_extreme_inputs_neither_overflow_nor_break_gradients(name, dtype):
    x = EXTREME.to(dtype, copy=True).requires_grad_()
    y = ACTIVATIONS[name].function(x)
    y.sum().backward()
    assert y.isfinite().all() and x.grad.isfinite().all()
    assert ACTIVATIONS[name].derivative(x.detach()).isfinite().all()
    torch.testing.assert_close(y, TORCH[name](x))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_propagates(name):
    assert ACTIVATIONS[name].function(torch.tensor([math.nan])).isnan().all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_float32_within_1e_5_and_dtype_kept(name):
    y = ACTIVATIONS[name].function(GRID)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, TORCH[name](GRID), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_output_range_is_the_range(name):
    low, high = ACTIVATIONS[name].output_range
    y = ACTIVATIONS[name].function(torch.linspace(-60, 60, 1_200_001).double())
    assert low - 1e-9 <= y.min() and y.max() <= high
    for bound, reached in [(low, y.min()), (high, y.max())]:
        if math.isfinite(bound):
            assert abs(reached - bound) < 1e-6  # the bound is tight


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_elu_alpha_and_leaky_slope(alpha):
    x = GRID.double()
    torch.testing.assert_close(activations.elu(x, alpha), F.elu(x, alpha))
    torch.testing.assert_close(activations.leaky_relu(x, alpha), F.leaky_relu(x, alpha))
    x.requires_grad_()
    F.elu(x, alpha).sum().backward()
    torch.testing.assert_close(activations.elu_derivative(x.detach(), alpha), x.grad)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax_equals_torch(dim):
    x = torch.randn(4, 5, 6, dtype=torch.float64) * 100
    torch.testing.assert_close(activations.softmax(x, dim), x.softmax(dim))
    torch.testing.assert_close(activations.log_softmax(x, dim), x.log_softmax(dim))


def test_softmax_survives_large_scores_and_masks():
    x = torch.tensor([1e4, 1e4 + 1, -math.inf])
    torch.testing.assert_close(activations.softmax(x), x.softmax(-1))
    torch.testing.assert_close(activations.log_softmax(x), x.log_softmax(-1))
    nothing = torch.full((2,), -math.inf)
    assert activations.softmax(nothing).isnan().all()


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_jacobian_equals_torch(name):
    x = torch.randn(5, dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(lambda z: getattr(z, name)(-1), x)
    ours = getattr(activations, f"{name}_jacobian")
    torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-10)
    batch = torch.stack([x, x])
    torch.testing.assert_close(ours(batch)[1], expected, rtol=0, atol=1e-10)
