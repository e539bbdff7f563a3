"""Is a gradient right? Move each number a little and see what the loss does."""

from collections.abc import Callable

import numpy as np

from lmcore.autograd.engine import Tensor


def numerical_gradient(
    function: Callable[[], Tensor], leaf: Tensor, step: float = 1e-6
) -> np.ndarray:
    """d function / d leaf by central differences: two evaluations for each number.

    Args:
        function: Computes a scalar tensor from the present value of ``leaf.data``.
        leaf: The tensor whose entries are moved, one at a time, and moved back.
        step: Half the distance between the two points.
    """
    gradient = np.zeros(leaf.shape)
    for index in np.ndindex(leaf.shape):
        kept = leaf.data[index]
        leaf.data[index] = kept + step
        above = function().item()
        leaf.data[index] = kept - step
        below = function().item()
        leaf.data[index] = kept
        gradient[index] = (above - below) / (2 * step)
    return gradient


def gradient_check(
    function: Callable[[], Tensor], leaves: list[Tensor], tolerance: float = 1e-6
) -> float:
    """The largest difference between ``backward`` and central differences.

    Each difference is divided by the larger of 1 and the gradient itself.

    Raises:
        AssertionError: If it exceeds ``tolerance``; the message says where.
    """
    for leaf in leaves:
        leaf.zero_grad()
    function().backward()
    worst = 0.0
    for position, leaf in enumerate(leaves):
        expected = numerical_gradient(function, leaf)
        got = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad
        error = np.abs(got - expected) / np.maximum(1, np.abs(expected))
        if not (error <= tolerance).all():  # NaN fails too
            index = tuple(int(i) for i in np.unravel_index(error.argmax(), error.shape))
            raise AssertionError(
                f"leaves[{position}]{list(index)}: backward gives {got[index]:.8g}, "
                f"central differences {expected[index]:.8g}"
            )
        worst = max(worst, error.max(initial=0.0))
    return worst
