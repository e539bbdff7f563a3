"""Linear maps for decoding: the same product, arranged for one position at a time.

A decoder that writes one token multiplies every weight with one number each: two
operations for 4 bytes. It waits for memory, not for arithmetic, so what counts is how
the weights lie there and how many bytes they take.

Each class here takes the place of one ``nn.Linear``, or of several that read the same
input, whose results then stand side by side. Measured figures are in
results/bench_decoding.json.

Reference: Dettmers et al., 2022, section 2 (int8 with a scale per row; outliers).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


def stacked(linears: list[nn.Linear]) -> tuple[Tensor, Tensor | None]:
    """The weights (out, in) below one another, and the biases (out) if there are."""
    weight = torch.cat([linear.weight.detach() for linear in linears])
    if linears[0].bias is None:
        return weight, None
    return weight, torch.cat([linear.bias.detach() for linear in linears])


class TransposedLinear(nn.Module):
    """x W^T + b with W^T in memory row by row.

    The product then adds up rows of W^T, which are read from the first to the last
    number; ``nn.Linear`` takes one dot product per output. Nothing else changes.
    """

    def __init__(self, linears: list[nn.Linear]) -> None:
        super().__init__()
        weight, bias = stacked(linears)
        self.register_buffer("weight", weight.t().contiguous())  # (in, out)
        self.register_buffer("bias", bias)

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... N"]:
        """One row of results per row of ``x``."""
        y = x @ self.weight
        return y if self.bias is None else y + self.bias


class Float16Linear(nn.Module):
    """W in float16: half the bytes, 11 bits of each weight.

    A single position is multiplied in float16 and added up in float32. More of them
    (a prompt) are multiplied in float32, where large products are faster.
    """

    def __init__(self, linears: list[nn.Linear]) -> None:
        super().__init__()
        weight, bias = stacked(linears)
        self.register_buffer("weight", weight.half())  # (out, in)
        self.register_buffer("bias", bias)

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... N"]:
        """One row of results per row of ``x``."""
        if x.numel() == x.shape[-1]:
            y = F.linear(x.half(), self.weight).to(x.dtype)
        else:
            y = F.linear(x, self.weight.to(x.dtype))
        return y if self.bias is None else y + self.bias


class Int8Linear(nn.Module):
    """W in int8 with a scale per row: a quarter of the bytes.

    w_ij is about s_i * q_ij, with q from -127 to 127 and s_i the largest |w_ij| / 127.
    Only weights are rounded to 8 bits: a few numbers of ``x`` are far larger than the
    rest, and 8 bits for all of them would lose the others. A single position is
    multiplied in bfloat16 and added up in float32, more of them in float32.
    """

    def __init__(self, linears: list[nn.Linear]) -> None:
        super().__init__()
        weight, bias = stacked(linears)
        scale = weight.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127  # (out, 1)
        self.register_buffer("weight", (weight / scale).round().to(torch.int8))
        self.register_buffer("scale", scale.squeeze(1).bfloat16())
        self.register_buffer("bias", bias)

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... N"]:
        """One row of results per row of ``x``."""
        if x.numel() == x.shape[-1] and x.device.type == "cpu":
            row = x.reshape(1, -1).bfloat16()
            y = torch._weight_int8pack_mm(row, self.weight, self.scale)  # (1, N)
            y = y.to(x.dtype).reshape(*x.shape[:-1], -1)
        else:
            y = F.linear(x, self.weight.to(x.dtype)) * self.scale.to(x.dtype)
        return y if self.bias is None else y + self.bias


FAST_LINEAR = {"full": TransposedLinear, "float16": Float16Linear, "int8": Int8Linear}
