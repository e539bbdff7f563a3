"""The same GPT with fewer and faster products, for decoding on a CPU.

Queries, keys and values are three products of the same input; so are a gate and what
it gates. With their weights side by side each becomes one product, and RoPE turns
queries and keys in one go. The functions computed are the same; the logits differ by
rounding alone.

    model = fuse_for_inference(model)              the same numbers, faster
    model = fuse_for_inference(model, "int8")      a quarter of the bytes, rounded

References: Shoeybi et al., 2019, section 3 (fused query, key, value).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.attention import Attention, LayerCache, attention
from lmcore.config import require
from lmcore.generate.fast_linear import FAST_LINEAR
from lmcore.layers import FeedForward, SwiGLU
from lmcore.models.gpt import GPT
from lmcore.positions import Rotation, rotate


class FusedAttention(nn.Module):
    """``Attention`` to itself, with one product for q, k and v."""

    def __init__(self, attn: Attention, make_linear: type[nn.Module]) -> None:
        super().__init__()
        self.n_heads, self.n_kv_heads = attn.n_heads, attn.n_kv_heads
        self.d_head = attn.d_head
        self.qkv_proj = make_linear([attn.q_proj, attn.k_proj, attn.v_proj])
        self.out_proj = make_linear([attn.out_proj])

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        *,
        mask: Bool[Tensor, "..."] | None = None,
        causal: bool = False,
        rotation: Rotation | None = None,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "B T D"]:
        """What ``Attention.forward`` gives."""
        heads = self.qkv_proj(x).unflatten(-1, (-1, self.d_head)).transpose(1, 2)
        qk, v = heads.split([self.n_heads + self.n_kv_heads, self.n_kv_heads], dim=1)
        if rotation is not None:
            qk = rotate(qk, rotation)
        q, k = qk.split([self.n_heads, self.n_kv_heads], dim=1)  # (B, H or G, T, K)
        if cache is not None:
            k, v = cache.append(k, v)
        mask = None if mask is None else mask.unsqueeze(-3)
        h = attention(q, k, v, mask, causal)  # (B, H, T, K)
        return self.out_proj(h.transpose(1, 2).flatten(2))  # (B, T, D)


class FusedSwiGLU(nn.Module):
    """``SwiGLU`` with one product for the gate and what it gates."""

    def __init__(self, ff: SwiGLU, make_linear: type[nn.Module]) -> None:
        super().__init__()
        self.gate_and_in_proj = make_linear([ff.gate_proj, ff.in_proj])
        self.out_proj = make_linear([ff.out_proj])

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """What ``SwiGLU.forward`` gives."""
        gate, h = self.gate_and_in_proj(x).chunk(2, dim=-1)  # (..., F) each
        return self.out_proj(F.silu(gate) * h)


@torch.no_grad()
def fuse_for_inference(model: GPT, weights: str = "full") -> GPT:
    """Rearrange a model for decoding. It can no longer be trained or saved.

    Works in place, block by block, so that no second copy of all weights is needed.

    Args:
        model: A GPT in evaluation mode.
        weights: "full" keeps the numbers; "float16" and "int8" round the weights of all
            linear maps to 16 and 8 bits (the embedding stays as it is).

    Returns:
        The same object.

    Raises:
        ValueError: If ``weights`` is unknown, or the model is in training mode or was
            fused before.
    """
    require(weights in FAST_LINEAR, "weights", weights, f"be in {sorted(FAST_LINEAR)}")
    require(not model.training, "model.training", True, "be False: call model.eval()")
    make_linear = FAST_LINEAR[weights]
    for block in model.blocks:
        kind = type(block.attn).__name__
        require(kind == "Attention", "model", kind, "be a GPT that was not fused yet")
        block.attn = FusedAttention(block.attn, make_linear)
        if isinstance(block.ff, SwiGLU):
            block.ff = FusedSwiGLU(block.ff, make_linear)
        elif isinstance(block.ff, FeedForward):
            block.ff.in_proj = make_linear([block.ff.in_proj])
            block.ff.out_proj = make_linear([block.ff.out_proj])
        block.dropout = nn.Identity()
    model.lm_head = make_linear([model.lm_head])
    return model
