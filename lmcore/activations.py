"""Activation functions and their derivatives, written from their equations.

A stack of linear maps is one linear map; an activation between them is what makes depth
worth having. Every function here takes a tensor of any shape and works elementwise,
except ``softmax`` and ``log_softmax``, which work along one axis. Each has its
derivative beside it, so that the chapter on backpropagation can use it and a test can
compare both with ``torch``.

Overflow is avoided in one way throughout: e^x is taken only where x <= 0. So the
functions that need an exponential treat the two halves of the axis apart.

References:
    ReLU: Nair and Hinton, 2010. Leaky ReLU: Maas et al., 2013, section 2.
    ELU: Clevert et al., 2016, section 3. GELU: Hendrycks and Gimpel, 2016, section 2.
    SiLU: Elfwing et al., 2018, section 2 (also "swish": Ramachandran et al., 2017).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

SQRT_2 = math.sqrt(2)
SQRT_2_OVER_PI = math.sqrt(2 / math.pi)


def sigmoid(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """sigma(x) = 1 / (1 + e^-x), between 0 and 1."""
    right = 1 / (1 + torch.exp(-x.clamp(min=0)))
    e = torch.exp(x.clamp(max=0))
    return torch.where(x >= 0, right, e / (1 + e))


def sigmoid_derivative(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """sigma'(x) = sigma(x) (1 - sigma(x)), at most 1/4."""
    return sigmoid(x) * sigmoid(-x)


def tanh(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """tanh(x) = (e^x - e^-x) / (e^x + e^-x), between -1 and 1.

    ``expm1`` is e^x - 1 without the rounding error that the subtraction has near 0.
    """
    e_right = torch.expm1(-2 * x.clamp(min=0))
    e_left = torch.expm1(2 * x.clamp(max=0))
    return torch.where(x >= 0, -e_right / (e_right + 2), e_left / (e_left + 2))


def tanh_derivative(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """tanh'(x) = 1 - tanh(x)^2, at most 1."""
    return 1 - tanh(x) ** 2


def relu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """max(0, x)."""
    return torch.where(x <= 0, 0.0, x)


def relu_derivative(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """0 up to and including x = 0, else 1 (at 0 itself a choice; torch's is 0 too)."""
    return torch.where(x <= 0, torch.zeros_like(x), torch.ones_like(x))


def leaky_relu(x: Float[Tensor, "..."], slope: float = 0.01) -> Float[Tensor, "..."]:
    """x where x > 0, else slope * x."""
    return torch.where(x <= 0, slope * x, x)


def leaky_relu_derivative(
    x: Float[Tensor, "..."], slope: float = 0.01
) -> Float[Tensor, "..."]:
    """1 where x > 0, else the slope."""
    return torch.where(x <= 0, torch.full_like(x, slope), torch.ones_like(x))


def elu(x: Float[Tensor, "..."], alpha: float = 1.0) -> Float[Tensor, "..."]:
    """x where x > 0, else alpha (e^x - 1), which tends to -alpha."""
    return torch.where(x <= 0, alpha * torch.expm1(x.clamp(max=0)), x)


def elu_derivative(x: Float[Tensor, "..."], alpha: float = 1.0) -> Float[Tensor, "..."]:
    """1 where x > 0, else alpha e^x."""
    return torch.where(x <= 0, alpha * torch.exp(x.clamp(max=0)), torch.ones_like(x))


def normal_cdf(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Phi(x): the probability that a standard normal variable is at most x."""
    return 0.5 * torch.special.erfc(-x / SQRT_2)


def gelu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """GELU(x) = x Phi(x): x times the share of a normal distribution below it."""
    return x * normal_cdf(x)


def gelu_derivative(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Phi(x) + x phi(x), with phi the normal density."""
    density = torch.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    return normal_cdf(x) + x * density


def gelu_tanh(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """GELU's tanh approximation, the one in GPT-2's published code.

    x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
    """
    return 0.5 * x * (1 + tanh(SQRT_2_OVER_PI * (x + 0.044715 * x**3)))


def gelu_tanh_derivative(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The derivative of the approximation (not an approximation of GELU's)."""
    inner = SQRT_2_OVER_PI * (x + 0.044715 * x**3)
    inner_derivative = SQRT_2_OVER_PI * (1 + 3 * 0.044715 * x**2)
    return 0.5 * (1 + tanh(inner)) + 0.5 * x * tanh_derivative(inner) * inner_derivative


def silu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """SiLU(x) = x sigma(x), also called swish."""
    return x * sigmoid(x)


def silu_derivative(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """sigma(x) + x sigma'(x)."""
    return sigmoid(x) + x * sigmoid_derivative(x)


def softmax(x: Float[Tensor, "..."], dim: int = -1) -> Float[Tensor, "..."]:
    """e^x_i / sum_j e^x_j along one axis: numbers turned into probabilities.

    Subtracting the largest entry first changes nothing in exact arithmetic and keeps
    every exponential at most 1. An axis that is -inf throughout gives NaN, as in torch.
    """
    e = torch.exp(x - x.amax(dim, keepdim=True))
    return e / e.sum(dim, keepdim=True)


def log_softmax(x: Float[Tensor, "..."], dim: int = -1) -> Float[Tensor, "..."]:
    """log softmax(x), without taking the logarithm of a number that became 0."""
    shifted = x - x.amax(dim, keepdim=True)
    return shifted - torch.exp(shifted).sum(dim, keepdim=True).log()


def softmax_jacobian(x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n n"]:
    """Row i, column j: d softmax_i / d x_j = p_i ([i = j] - p_j), on the last axis."""
    p = softmax(x)
    return torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)


def log_softmax_jacobian(x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n n"]:
    """Row i, column j: d log softmax_i / d x_j = [i = j] - p_j, on the last axis."""
    return torch.eye(x.shape[-1], dtype=x.dtype, device=x.device) - softmax(
        x
    ).unsqueeze(-2)


@dataclass(frozen=True)
class Activation:
    """An elementwise activation as the course compares them.

    Attributes:
        function: The activation.
        derivative: Its derivative.
        output_range: Smallest and largest value (a limit where it is never reached).
    """

    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    output_range: tuple[float, float]


ACTIVATIONS = {
    "sigmoid": Activation(sigmoid, sigmoid_derivative, (0, 1)),
    "tanh": Activation(tanh, tanh_derivative, (-1, 1)),
    "relu": Activation(relu, relu_derivative, (0, math.inf)),
    "leaky_relu": Activation(leaky_relu, leaky_relu_derivative, (-math.inf, math.inf)),
    "elu": Activation(elu, elu_derivative, (-1, math.inf)),
    "gelu": Activation(gelu, gelu_derivative, (-0.16997121, math.inf)),
    "gelu_tanh": Activation(gelu_tanh, gelu_tanh_derivative, (-0.17004076, math.inf)),
    "silu": Activation(silu, silu_derivative, (-0.27846455, math.inf)),
}
