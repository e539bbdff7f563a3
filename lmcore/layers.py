"""The layers between attention: normalisation and feed-forward networks.

Both work on each position alone. A norm gives every vector the same size, so that the
next layer sees numbers of a known scale; a feed-forward network is a two-layer
perceptron, wider inside than outside, in which most of a Transformer's weights stand.

Equations come first (``layer_norm``, ``rms_norm``); the modules give the same numbers
through torch's fused kernels.

References:
    LayerNorm: Ba et al., 2016, section 3. RMSNorm: Zhang and Sennrich, 2019, section 4.
    Feed-forward: Vaswani et al., 2017, section 3.3. SwiGLU: Shazeer, 2020, section 2.
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.config import require

# torch's one-pass versions of lmcore.activations' functions: the same numbers, faster.
FUSED_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
}


def layer_norm(
    x: Float[Tensor, "... D"],
    weight: Float[Tensor, "D"],
    bias: Float[Tensor, "D"] | None = None,
    eps: float = 1e-5,
) -> Float[Tensor, "... D"]:
    """(x - mean) / sqrt(variance + eps) * weight + bias, over the last axis.

    The variance is the mean squared deviation (divided by D, not by D - 1).
    """
    centred = x - x.mean(-1, keepdim=True)
    variance = (centred**2).mean(-1, keepdim=True)
    normed = centred / torch.sqrt(variance + eps) * weight
    return normed if bias is None else normed + bias


def rms_norm(
    x: Float[Tensor, "... D"], weight: Float[Tensor, "D"], eps: float = 1e-5
) -> Float[Tensor, "... D"]:
    """x / sqrt(mean of x^2 + eps) * weight: LayerNorm without centring and bias."""
    return x / torch.sqrt((x**2).mean(-1, keepdim=True) + eps) * weight


class LayerNorm(nn.Module):
    """``layer_norm`` with a learned weight (from 1) and bias (from 0)."""

    def __init__(self, d_model: int, eps: float = 1e-5, bias: bool = True) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model)) if bias else None

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """Normalise each vector."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class RMSNorm(nn.Module):
    """``rms_norm`` with a learned weight (from 1)."""

    def __init__(self, d_model: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """Normalise each vector."""
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def make_norm(kind: str, d_model: int, eps: float = 1e-5, bias: bool = True):
    """``LayerNorm`` for "layer", ``RMSNorm`` for "rms"."""
    require(kind in ("layer", "rms"), "norm", kind, "be 'layer' or 'rms'")
    return RMSNorm(d_model, eps) if kind == "rms" else LayerNorm(d_model, eps, bias)


class FeedForward(nn.Module):
    """out_proj(activation(in_proj(x))): D -> F -> D at every position alone.

    Args:
        d_model: Width D outside.
        d_ff: Width F inside, 4 D in most models.
        activation: A name of ``FUSED_ACTIVATIONS``.
        dropout: On the inner activations.
        bias: Whether the two maps have one.
    """

    def __init__(
        self,
        d_model: int,
        d_ff: int,
        activation: str = "gelu",
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        names = sorted(FUSED_ACTIVATIONS)
        require(activation in names, "activation", activation, f"be one of {names}")
        self.activation = FUSED_ACTIVATIONS[activation]
        self.in_proj = nn.Linear(d_model, d_ff, bias=bias)
        self.out_proj = nn.Linear(d_ff, d_model, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """One vector in, one vector out, for each position."""
        return self.out_proj(self.dropout(self.activation(self.in_proj(x))))


class SwiGLU(nn.Module):
    """out_proj(silu(gate_proj(x)) * in_proj(x)): a feed-forward with a gate.

    Args:
        d_model: Width D outside.
        d_ff: Width F inside; 8/3 D costs what 4 D costs without a gate.
        dropout: On the inner activations.
        bias: Whether the three maps have one.
    """

    def __init__(
        self, d_model: int, d_ff: int, dropout: float = 0.0, bias: bool = False
    ) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(d_model, d_ff, bias=bias)
        self.in_proj = nn.Linear(d_model, d_ff, bias=bias)
        self.out_proj = nn.Linear(d_ff, d_model, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """One vector in, one vector out, for each position."""
        h = F.silu(self.gate_proj(x)) * self.in_proj(x)  # (..., F)
        return self.out_proj(self.dropout(h))


def make_feed_forward(
    kind: str, d_model: int, d_ff: int, dropout: float = 0.0, bias: bool = True
) -> FeedForward | SwiGLU:
    """``SwiGLU`` for "swiglu", else ``FeedForward`` with that activation."""
    if kind == "swiglu":
        return SwiGLU(d_model, d_ff, dropout, bias)
    return FeedForward(d_model, d_ff, kind, dropout, bias)
