"""A reverse-mode automatic differentiation engine on NumPy arrays."""

from lmcore.autograd.check import gradient_check, numerical_gradient
from lmcore.autograd.engine import Tensor, as_tensor, sum_to_shape, topological_order
from lmcore.autograd.functions import cross_entropy, mse

__all__ = [
    "Tensor",
    "as_tensor",
    "cross_entropy",
    "gradient_check",
    "mse",
    "numerical_gradient",
    "sum_to_shape",
    "topological_order",
]
