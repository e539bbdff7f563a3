"""The NumPy engine: each operation against torch and central differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.autograd import Tensor, cross_entropy, gradient_check, mse

rng = np.random.default_rng(0)
A, B = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
ROW, COLUMN = rng.normal(size=4), rng.normal(size=(3, 1))
POSITIVE = np.abs(A) + 0.5
STACK = rng.normal(size=(5, 3, 4))

CASES = {
    "add": (lambda a, b: a + b, A, ROW),
    "add column": (lambda a, b: a + b, A, COLUMN),
    "add to scalar": (lambda a, b: a + b, A, np.array(2.0)),
    "subtract": (lambda a, b: a - b, A, ROW),
    "multiply": (lambda a, b: a * b, A, COLUMN),
    "multiply outer": (lambda a, b: a * b, COLUMN, ROW),
    "divide": (lambda a, b: a / b, A, POSITIVE),
    "power": (lambda a: a**3, A),
    "square root": (lambda a: a**0.5, POSITIVE),
    "negate": (lambda a: -a, A),
    "constant left": (lambda a: 2 - 3 / (1 + a), POSITIVE),
    "matmul": (lambda a, b: a @ b, A, B),
    "matmul vector": (lambda a, b: a @ b, ROW, B),
    "matmul stack": (lambda a, b: a @ b, STACK, B),
    "matmul vector stack": (lambda a, b: a @ b, np.ones(3), STACK),
    "exp": (lambda a: a.exp(), A),
    "log": (lambda a: a.log(), POSITIVE),
    "tanh": (lambda a: a.tanh(), A),
    "sigmoid": (lambda a: a.sigmoid(), A),
    "relu": (lambda a: a.relu(), A),
    "sum": (lambda a: a.sum(), A),
    "sum axis": (lambda a: a.sum(0), A),
    "sum last axis": (lambda a: a.sum(-1), STACK),
    "sum keepdims": (lambda a: a / a.sum(1, True), POSITIVE),
    "mean": (lambda a: a.mean(), A),
    "mean axis": (lambda a: a.mean(1), A),
    "reshape": (lambda a: a.reshape(2, 6), A),
    "transpose": (lambda a: a.T, A),
    "slice": (lambda a: a[1:, ::2], A),
    "pick twice": (lambda a: a[[0, 0, 2]], A),
    "used twice": (lambda a: a * a + a, A),
    "diamond": (lambda a: a.tanh() * a.sigmoid() + a.tanh(), A),
    "log_softmax": (lambda a: a.log_softmax(), 100 * A),
}


def torch_log_softmax(x):
    return x.log_softmax(-1)


def weights_like(shape):
    return np.cos(np.arange(np.prod(shape, dtype=int))).reshape(shape)


def run_torch(function, arrays):
    leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = function(*leaves)
    (y * torch.tensor(weights_like(y.shape))).sum().backward()
    return y.detach().numpy(), [leaf.grad.numpy() for leaf in leaves]


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_equal_torch(name):
    function, *arrays = CASES[name]
    leaves = [Tensor(a, requires_grad=True) for a in arrays]
    y = function(*leaves)
    (y * weights_like(y.shape)).sum().backward()
    if name == "log_softmax":
        expected, gradients = run_torch(torch_log_softmax, arrays)
    else:
        expected, gradients = run_torch(function, arrays)
    np.testing.assert_allclose(y.data, expected, rtol=0, atol=1e-10)
    for leaf, gradient in zip(leaves, gradients, strict=True):
        assert leaf.grad.shape == leaf.shape
        np.testing.assert_allclose(leaf.grad, gradient, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_gradients_equal_central_differences(name):
    function, *arrays = CASES[name]
    leaves = [Tensor(a, requires_grad=True) for a in arrays]

    def loss():
        y = function(*leaves)
        return (y * weights_like(y.shape)).sum()

    gradient_check(loss, leaves, tolerance=1e-6)


def test_an_mlp_with_cross_entropy_equals_torch_and_central_differences():
    x, targets = rng.normal(size=(6, 4)), np.array([0, 1, 2, 2, 1, 0])
    arrays = [rng.normal(size=s) for s in [(4, 5), (5,), (5, 3), (3,)]]

    def logits(w1, b1, w2, b2, x):
        return (x @ w1 + b1).tanh() @ w2 + b2

    leaves = [Tensor(a, requires_grad=True) for a in arrays]
    assert (
        gradient_check(
            lambda: cross_entropy(logits(*leaves, Tensor(x)), targets), leaves
        )
        < 1e-6
    )
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    torch.nn.functional.cross_entropy(
        logits(*theirs, torch.tensor(x)), torch.tensor(targets)
    ).backward()
    for ours, reference in zip(leaves, theirs, strict=True):
        np.testing.assert_allclose(ours.grad, reference.grad, rtol=0, atol=1e-10)


def test_mse_equals_torch():
    a, y = Tensor(A, requires_grad=True), A[::-1]
    loss = mse(a, y)
    loss.backward()
    b = torch.tensor(A, requires_grad=True)
    expected = torch.nn.functional.mse_loss(b, torch.tensor(y.copy()))
    expected.backward()
    np.testing.assert_allclose(loss.item(), expected.item(), atol=1e-12)
    np.testing.assert_allclose(a.grad, b.grad, rtol=0, atol=1e-12)


shapes = st.lists(st.integers(1, 3), max_size=3).map(tuple)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), shape=shapes)
def test_broadcasting_gradients_equal_torch_for_any_shapes(data, shape):
    keep = data.draw(st.integers(0, len(shape)))
    other = tuple(data.draw(st.sampled_from([1, s])) for s in shape[keep:])
    a, b = rng.normal(size=shape), rng.normal(size=other)
    ours = [Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)]
    (ours[0] * ours[1] + ours[1]).tanh().sum().backward()
    theirs = [torch.tensor(v, requires_grad=True) for v in (a, b)]
    (theirs[0] * theirs[1] + theirs[1]).tanh().sum().backward()
    for x, y in zip(ours, theirs, strict=True):
        assert x.grad.shape == x.shape
        np.testing.assert_allclose(x.grad, y.grad.numpy(), rtol=0, atol=1e-10)


def test_a_deep_chain_does_not_hit_the_recursion_limit():
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(20_000):
        y = y + 1e-6
    y.backward()
    assert x.grad == 1.0


def test_gradients_add_up_over_losses_until_zero_grad():
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * 3).sum().backward()
    (x * 4).sum().backward()
    assert x.grad.tolist() == [7, 7]
    x.zero_grad()
    assert x.grad is None


def test_constants_get_no_gradient_and_arrays_may_stand_left():
    x, c = Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0, 4.0])
    (np.array([5.0, 6.0]) * x * c).sum().backward()
    assert x.grad.tolist() == [15, 24] and c.grad is None


def test_the_callers_array_is_copied():
    array = np.ones(2)
    x = Tensor(array, requires_grad=True)
    x.data -= 1
    assert array.tolist() == [1, 1]


def test_backward_from_a_non_scalar():
    with pytest.raises(ValueError, match=r"shape \(2,\).*\.mean\(\)"):
        (Tensor([1.0, 2.0], requires_grad=True) * 2).backward()


def test_backward_twice_through_one_graph():
    x = Tensor(2.0, requires_grad=True)
    y = x * x
    loss = y * 3
    loss.backward()
    with pytest.raises(RuntimeError, match="already used"):
        loss.backward()
    with pytest.raises(RuntimeError, match="already used"):
        (y + 1).backward()  # shares y with the used graph
    assert x.grad == 12.0  # the refused calls changed nothing


def test_backward_without_any_parameter():
    with pytest.raises(RuntimeError, match="requires_grad"):
        (Tensor(1.0) * 2).backward()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: Tensor(A) + Tensor(B), r"\+ of shapes \(3, 4\) and \(4, 2\)"),
        (lambda: Tensor(A) * Tensor(B), r"\* of shapes \(3, 4\) and \(4, 2\)"),
        (lambda: Tensor(A) @ Tensor(A), r"@ of shapes \(3, 4\) and \(3, 4\)"),
        (lambda: Tensor(A) @ Tensor(ROW), r"@ of shapes \(3, 4\) and \(4,\)"),
        (lambda: cross_entropy(Tensor(A), [0, 1]), r"targets of shape \(2,\)"),
        (lambda: cross_entropy(Tensor(A), [0, 1, 4]), "from 0 to 3"),
        (lambda: cross_entropy(Tensor(A), [0, -1, 2]), "from 0 to 3"),
        (lambda: mse(Tensor(A), ROW), r"targets of shape \(4,\)"),
    ],
)
def test_shape_errors_name_the_shapes(function, message):
    with pytest.raises(ValueError, match=message):
        function()


def test_power_refuses_a_tensor():
    with pytest.raises(TypeError, match="power="):
        Tensor(A) ** Tensor(A)


class _WrongTanh(Tensor):
    def tanh(self):
        y = np.tanh(self.data)
        return Tensor._result(y, (self, lambda g: g * (1 - y)))  # not 1 - y^2


def test_gradient_check_finds_a_wrong_derivative():
    x = _WrongTanh([[0.3, -0.8]], requires_grad=True)
    with pytest.raises(AssertionError, match=r"leaves\[0\]\[0, 1\].*central"):
        gradient_check(lambda: x.tanh().sum(), [x])


def test_gradient_check_refuses_nan():
    x = Tensor([-1.0], requires_grad=True)
    with np.errstate(invalid="ignore"), pytest.raises(AssertionError, match="nan"):
        gradient_check(lambda: (x**0.5).sum(), [x])
