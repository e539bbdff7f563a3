"""Reverse-mode automatic differentiation on NumPy arrays, small enough to read whole.

Every operation computes its result and remembers, for each input, how a gradient with
respect to the result becomes a gradient with respect to that input (its vector-Jacobian
product, ``vjp``). ``backward`` then walks from the loss to the leaves, each node after
everything that depends on it, and adds up what arrives. That is the chain rule.

All numbers are float64. The engine has what a multi-layer perceptron with cross-entropy
needs, and no more. Leave ``data`` as it is between the forward pass and ``backward``:
the vjps read it again.

Reference: Rumelhart, Hinton and Williams, 1986; Baydin et al., 2018, section 3.2.
"""

from collections.abc import Callable
from typing import Self

import numpy as np

Vjp = Callable[[np.ndarray], np.ndarray]


class Tensor:
    """A NumPy array that remembers how it was computed.

    Attributes:
        data: The values, float64.
        grad: d loss / d data, the same shape, after ``backward``; None before. A
            second loss adds to it: call ``zero_grad`` in between.
        requires_grad: Whether gradients flow into this node.
    """

    __array_ufunc__ = None  # so that `array * tensor` calls Tensor.__rmul__

    def __init__(self, data: object, requires_grad: bool = False) -> None:
        self.data = np.array(data, dtype=np.float64)
        self.grad: np.ndarray | None = None
        self.requires_grad = requires_grad
        self._parents: tuple[tuple[Tensor, Vjp], ...] = ()
        self._used = False

    @classmethod
    def _result(cls, data: np.ndarray, *parents: tuple["Tensor", Vjp]) -> Self:
        """The node for ``data``, computed from ``parents``, each with its vjp."""
        result = cls(data, any(parent.requires_grad for parent, _ in parents))
        if result.requires_grad:
            result._parents = tuple(p for p in parents if p[0].requires_grad)
        return result

    # -- what an array has ---------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    def item(self) -> float:
        """The one number of a tensor with one element."""
        return self.data.item()

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        flag = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({self.data.tolist()}{flag})"

    # -- arithmetic, with NumPy's broadcasting -------------------------------------

    def __add__(self, other: object) -> "Tensor":
        a, b = self, as_tensor(other)
        _check_broadcast("+", a, b)
        return Tensor._result(a.data + b.data, (a, lambda g: g), (b, lambda g: g))

    def __mul__(self, other: object) -> "Tensor":
        a, b = self, as_tensor(other)
        _check_broadcast("*", a, b)
        return Tensor._result(
            a.data * b.data, (a, lambda g: g * b.data), (b, lambda g: g * a.data)
        )

    def __pow__(self, power: float) -> "Tensor":
        if not isinstance(power, int | float):
            raise TypeError(f"power={power!r}: must be a Python number")
        a = self
        return Tensor._result(
            a.data**power, (a, lambda g: g * power * a.data ** (power - 1))
        )

    def __neg__(self) -> "Tensor":
        return self * -1.0

    def __sub__(self, other: object) -> "Tensor":
        return self + -as_tensor(other)

    def __truediv__(self, other: object) -> "Tensor":
        return self * as_tensor(other) ** -1

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: object) -> "Tensor":
        return as_tensor(other) - self

    def __rtruediv__(self, other: object) -> "Tensor":
        return as_tensor(other) / self

    def __matmul__(self, other: object) -> "Tensor":
        """Matrix product (..., n, k) @ (..., k, m); a vector counts as one row."""
        a, b = self, as_tensor(other)
        if a.ndim == 0 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
            raise ValueError(
                f"@ of shapes {a.shape} and {b.shape}: the right side must be a matrix "
                "whose rows are as many as the left side's last axis is long"
            )
        if a.ndim == 1:
            row = a.reshape(1, -1) @ b
            return row.reshape(*row.shape[:-2], row.shape[-1])
        return Tensor._result(
            a.data @ b.data,
            (a, lambda g: g @ b.data.swapaxes(-1, -2)),
            (b, lambda g: a.data.swapaxes(-1, -2) @ g),
        )

    def __rmatmul__(self, other: object) -> "Tensor":
        return as_tensor(other) @ self

    # -- elementwise functions -----------------------------------------------------

    def exp(self) -> "Tensor":
        """e^x."""
        y = np.exp(self.data)
        return Tensor._result(y, (self, lambda g: g * y))

    def log(self) -> "Tensor":
        """The natural logarithm."""
        return Tensor._result(np.log(self.data), (self, lambda g: g / self.data))

    def tanh(self) -> "Tensor":
        """tanh(x); its derivative is 1 - tanh(x)^2."""
        y = np.tanh(self.data)
        return Tensor._result(y, (self, lambda g: g * (1 - y**2)))

    def sigmoid(self) -> "Tensor":
        """1 / (1 + e^-x); its derivative is y (1 - y)."""
        y = np.exp(-np.logaddexp(0, -self.data))
        return Tensor._result(y, (self, lambda g: g * y * (1 - y)))

    def relu(self) -> "Tensor":
        """max(0, x); its derivative at 0 is taken to be 0."""
        return Tensor._result(
            np.maximum(self.data, 0), (self, lambda g: g * (self.data > 0))
        )

    # -- sums, shapes and picking --------------------------------------------------

    def sum(self, axis: int | None = None, keepdims: bool = False) -> "Tensor":
        """The sum over one axis, or over all."""

        def vjp(g: np.ndarray) -> np.ndarray:
            if axis is not None and not keepdims:
                g = np.expand_dims(g, axis)
            return np.broadcast_to(g, self.shape)

        return Tensor._result(self.data.sum(axis, keepdims=keepdims), (self, vjp))

    def mean(self, axis: int | None = None, keepdims: bool = False) -> "Tensor":
        """The mean over one axis, or over all."""
        count = self.data.size if axis is None else self.shape[axis]
        return self.sum(axis, keepdims) * (1 / count)

    def reshape(self, *shape: int) -> "Tensor":
        """The same numbers in another shape."""
        return Tensor._result(
            self.data.reshape(shape), (self, lambda g: g.reshape(self.shape))
        )

    @property
    def T(self) -> "Tensor":
        """The matrix transposed (the last two axes swapped)."""
        return Tensor._result(
            self.data.swapaxes(-1, -2), (self, lambda g: g.swapaxes(-1, -2))
        )

    def __getitem__(self, index: object) -> "Tensor":
        """The entries NumPy would pick; what is picked twice gets both gradients."""

        def vjp(g: np.ndarray) -> np.ndarray:
            full = np.zeros(self.shape)
            np.add.at(full, index, g)
            return full

        return Tensor._result(self.data[index], (self, vjp))

    def log_softmax(self) -> "Tensor":
        """log softmax along the last axis, shifted so that nothing overflows."""
        shifted = self.data - self.data.max(-1, keepdims=True)
        y = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
        return Tensor._result(
            y, (self, lambda g: g - np.exp(y) * g.sum(-1, keepdims=True))
        )

    # -- the reverse pass ----------------------------------------------------------

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def backward(self) -> None:
        """Put d self / d node into ``grad`` of every node that led to this one.

        Raises:
            ValueError: If this tensor is not one number.
            RuntimeError: If nothing here requires a gradient, or if part of this graph
                was already used by an earlier ``backward`` (compute the loss anew).
        """
        if self.data.size != 1:
            raise ValueError(
                f"backward from a tensor of shape {self.shape}: must start at one "
                "number, so reduce it first, for example with .mean()"
            )
        if not self.requires_grad:
            raise RuntimeError("backward: no tensor in this graph has requires_grad")
        order = topological_order(self)
        if any(node._used for node in order):
            raise RuntimeError(
                "backward through a graph that was already used: its gradients would "
                "be counted twice, so compute the loss anew first"
            )
        self.grad = np.ones(self.shape)
        for node in reversed(order):
            for parent, vjp in node._parents:
                arriving = sum_to_shape(vjp(node.grad), parent.shape)
                if parent.grad is None:
                    parent.grad = arriving.copy()
                else:
                    parent.grad = parent.grad + arriving
            node._used = bool(node._parents)


def as_tensor(value: object) -> Tensor:
    """``value`` itself if it is a Tensor, else a constant."""
    return value if isinstance(value, Tensor) else Tensor(value)


def topological_order(root: Tensor) -> list[Tensor]:
    """Every node that ``root`` depends on, inputs first, ``root`` last.

    A stack instead of recursion, so that deep graphs do not hit Python's limit.
    """
    order: list[Tensor] = []
    seen: set[int] = set()
    stack = [(root, False)]
    while stack:
        node, parents_done = stack.pop()
        if parents_done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((parent, False) for parent, _ in node._parents)
    return order


def sum_to_shape(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Undo broadcasting: sum over the axes along which an array was repeated."""
    extra = gradient.ndim - len(shape)
    gradient = gradient.sum(axis=tuple(range(extra)))
    repeated = tuple(
        axis
        for axis, size in enumerate(shape)
        if size == 1 and gradient.shape[axis] != 1
    )
    return gradient.sum(axis=repeated, keepdims=True)


def _check_broadcast(sign: str, a: Tensor, b: Tensor) -> None:
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ValueError(
            f"{sign} of shapes {a.shape} and {b.shape}: counted from the right, axes "
            "must be equally long, or one of them 1"
        ) from None
