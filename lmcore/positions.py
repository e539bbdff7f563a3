"""Where a token stands: attention alone sees a set, positions make it a sequence.

Three ways to tell a model the order:

- **learned**: one vector per position, added to the token's (``LearnedPositions``);
- **sinusoidal**: the same, but computed from sines and cosines and never trained;
- **rotary** (RoPE): nothing is added; queries and keys are turned by an angle that
  grows with the position, so that their product depends only on the distance.

References:
    Vaswani et al., 2017, section 3.5 (sinusoidal). Su et al., 2021, section 3.2 (RoPE).
    Radford et al., 2018, section 4.1 (learned).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.config import require


def sinusoidal_positions(
    seq_len: int, d_model: int, base: float = 10000.0
) -> Float[Tensor, "T D"]:
    """PE[t, 2i] = sin(t / base^(2i/D)), PE[t, 2i+1] = cos(t / base^(2i/D)).

    The exponent follows the dimension i, not the position t: the first pair turns once
    in 2 pi positions, the last once in almost 2 pi * base.

    Args:
        seq_len: Positions, T.
        d_model: Width D, even.
        base: Sets the slowest turn.
    """
    angles = position_angles(torch.arange(seq_len), d_model, base)  # (T, D/2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)  # (T, D)


def position_angles(
    positions: Int[Tensor, "*batch"], width: int, base: float
) -> Float[Tensor, "*batch half"]:
    """t * base^(-2i/width) for every position t and every i below width / 2."""
    require(width % 2 == 0, "width", width, "be even, for sines and cosines in pairs")
    steps = torch.arange(0, width, 2, device=positions.device).float()
    return positions.unsqueeze(-1) * base ** (-steps / width)


class LearnedPositions(nn.Module):
    """One trained vector for each of ``max_seq_len`` positions, and none beyond."""

    def __init__(self, max_seq_len: int, d_model: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(max_seq_len, d_model))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, positions: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch D"]:
        """The vectors of these positions."""
        return nn.functional.embedding(positions, self.weight)


class SinusoidalPositions(nn.Module):
    """The fixed table of ``sinusoidal_positions``, as a layer."""

    def __init__(self, max_seq_len: int, d_model: int) -> None:
        super().__init__()
        table = sinusoidal_positions(max_seq_len, d_model)
        self.register_buffer("table", table, persistent=False)

    def forward(self, positions: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch D"]:
        """The rows of these positions."""
        return self.table[positions]


Rotation = tuple[Tensor, Tensor]  # cosines and sines, each (T, K/2) or (B, T, K/2)


class RoPE(nn.Module):
    """Cosines and sines of the angles by which RoPE turns a position.

    Coordinates i and i + K/2 of a head form a pair, turned by t * base^(-2i/K) at
    position t. (The paper pairs neighbours 2i and 2i+1; the halves are the layout of
    most published weights. One is the other with its coordinates renumbered.)

    Args:
        d_head: Width K of a head, even.
        max_seq_len: Positions there are.
        base: Sets the slowest turn.
    """

    def __init__(self, d_head: int, max_seq_len: int, base: float = 10000.0) -> None:
        super().__init__()
        angles = position_angles(torch.arange(max_seq_len), d_head, base)
        self.register_buffer("cos", angles.cos(), persistent=False)  # (max, K/2)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, positions: Int[Tensor, "*batch"]) -> Rotation:
        """Cosines and sines, each (*batch, K/2)."""
        return self.cos[positions], self.sin[positions]


def rotate(x: Float[Tensor, "B H T K"], rotation: Rotation) -> Float[Tensor, "B H T K"]:
    """Turn each pair (x_i, x_{i + K/2}) by its position's angle.

    Args:
        x: Queries or keys, split into heads.
        rotation: ``RoPE``'s answer for their positions, (T, K/2) or (B, T, K/2).
    """
    cos, sin = (part.unsqueeze(-3).to(x.dtype) for part in rotation)  # same for heads
    first, second = x.chunk(2, dim=-1)  # (B, H, T, K/2)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
