"""Attention: every position asks, every position answers, the answers are mixed.

A query q is compared with all keys; the softmax of the scores says how much of each
value goes into the answer (Vaswani et al., 2017, section 3.2.1):

    attention(q, k, v) = softmax(q k^T / sqrt(K)) v

A mask says which keys a query may attend to: boolean, **True = may attend**. A query
that may attend to nothing gets zeros, never NaN.

``attention_explicit`` is the equation; ``attention`` gives the same numbers through
torch's fused kernel, which never stores the (T, S) scores. ``Attention`` adds the
learned projections and the heads; ``KVCache`` keeps keys and values of what was read,
so that a decoder reads each token once.

References:
    Vaswani et al., 2017, section 3.2 (scaled dot-product, multi-head). Ainslie et al.,
    2023, section 2 (grouped-query). Dao et al., 2022 (why a fused kernel is faster).
"""

import math
from typing import NamedTuple, Self

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.config import require
from lmcore.positions import Rotation, rotate


def causal_mask(
    n_queries: int, n_keys: int | None = None, device: torch.device | None = None
) -> Bool[Tensor, "T S"]:
    """True where a key stands at the query's own position or before it.

    Args:
        n_queries: T; the queries are the last T of the S positions.
        n_keys: S, at least T; T if not given.
        device: Where to make the mask.
    """
    n_keys = n_queries if n_keys is None else n_keys
    require(n_keys >= n_queries, "n_keys", n_keys, f"be >= n_queries={n_queries}")
    everything = torch.ones(n_queries, n_keys, dtype=torch.bool, device=device)
    return everything.tril(n_keys - n_queries)


def padding_mask(lengths: Int[Tensor, "B"], seq_len: int) -> Bool[Tensor, "B S"]:
    """True at real tokens, for sequences padded on the right to ``seq_len``."""
    return torch.arange(seq_len, device=lengths.device) < lengths.unsqueeze(-1)


class Attended(NamedTuple):
    """What ``attention_explicit`` returns: the answers and the weights of the mix."""

    output: Float[Tensor, "B H T K"]
    weights: Float[Tensor, "B H T S"]


def attention_explicit(
    q: Float[Tensor, "B H T K"],
    k: Float[Tensor, "B G S K"],
    v: Float[Tensor, "B G S K"],
    mask: Bool[Tensor, "..."] | None = None,
) -> Attended:
    """Scaled dot-product attention, step by step.

    Args:
        q: Queries.
        k: Keys; each of the G key/value heads serves H / G query heads.
        v: Values.
        mask: True = may attend; two axes or more that broadcast to (B, H, T, S).

    Returns:
        The output, and the weights: each row sums to 1, or is 0 throughout where
        nothing may be attended to.
    """
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # (B, H, T, S)
    if mask is None:
        weights = scores.softmax(-1)
    else:
        lowest = torch.finfo(scores.dtype).min  # -inf would turn an empty row to NaN
        weights = scores.masked_fill(~mask, lowest).softmax(-1) * mask
    return Attended(weights @ v, weights)


def attention(
    q: Float[Tensor, "B H T K"],
    k: Float[Tensor, "B G S K"],
    v: Float[Tensor, "B G S K"],
    mask: Bool[Tensor, "..."] | None = None,
    causal: bool = False,
    dropout: float = 0.0,
) -> Float[Tensor, "B H T K"]:
    """``attention_explicit``'s output from torch's fused kernel.

    Args:
        q: Queries, the last T of the S positions if ``causal``.
        k: Keys, from G heads.
        v: Values, from G heads.
        mask: True = may attend; two axes or more that broadcast to (B, H, T, S).
        causal: Let no query see a later key; together with ``mask``, both hold.
        dropout: Share of the weights set to 0; the caller passes 0 outside training.
    """
    n_queries, n_keys = q.shape[2], k.shape[2]
    in_kernel = causal and mask is None and n_queries == n_keys
    if causal and not in_kernel and n_queries > 1:  # one query is the last: sees all
        past = causal_mask(n_queries, n_keys, q.device)
        mask = past if mask is None else mask & past
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=mask,
        dropout_p=dropout,
        is_causal=in_kernel,
        enable_gqa=q.shape[1] != k.shape[1],
    )


class LayerCache:
    """Keys and values of one layer, in memory taken once for ``max_len`` positions."""

    def __init__(self, k: Tensor, v: Tensor) -> None:
        self.k = k  # (B, G, max_len, K)
        self.v = v
        self.length = 0

    def append(
        self, k: Float[Tensor, "B G T K"], v: Float[Tensor, "B G T K"]
    ) -> tuple[Float[Tensor, "B G S K"], Float[Tensor, "B G S K"]]:
        """Write T new positions behind the old ones and return all of them.

        Raises:
            ValueError: If they do not fit.
        """
        batch, end, room = len(self.k), self.length + k.shape[2], self.k.shape[2]
        require(len(k) == batch, "batch size", len(k), f"be kv_cache's, {batch}")
        require(end <= room, "kv_cache", end, f"hold at most max_len={room} positions")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.all()

    def all(self) -> tuple[Float[Tensor, "B G S K"], Float[Tensor, "B G S K"]]:
        """Keys and values of the positions written so far, as views."""
        return self.k[:, :, : self.length], self.v[:, :, : self.length]


class KVCache:
    """Keys and values of everything a decoder has read, layer by layer.

    Args:
        n_layers: Layers of the decoder.
        batch_size: Sequences, B.
        n_kv_heads: Key/value heads, G.
        max_len: Positions there is room for.
        d_head: Width of a head, K.
        device: Where the memory is taken.
        dtype: Number format of keys and values.
    """

    def __init__(
        self,
        n_layers: int,
        batch_size: int,
        n_kv_heads: int,
        max_len: int,
        d_head: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        shape = (batch_size, n_kv_heads, max_len, d_head)

        def room() -> Tensor:
            return torch.zeros(shape, device=device, dtype=dtype)

        self.layers = [LayerCache(room(), room()) for _ in range(n_layers)]

    @property
    def length(self) -> int:
        """Positions read so far."""
        return self.layers[0].length

    def truncate(self, length: int) -> Self:
        """Forget everything from position ``length`` on."""
        require(0 <= length <= self.length, "length", length, f"be <= {self.length}")
        for layer in self.layers:
            layer.length = length
        return self

    def select(self, rows: Int[Tensor, "B_new"]) -> Self:
        """Keep these sequences of the batch, in this order; a row may come twice."""
        for layer in self.layers:
            layer.k, layer.v = layer.k[rows], layer.v[rows]
        return self


class Attention(nn.Module):
    """Multi-head attention: project, split into heads, attend, join, project.

    Every head sees every position; what is split is the width, D = H * K. With fewer
    key/value heads than heads (grouped-query attention) the cache shrinks by H / G.

    Args:
        d_model: Width D of a position's vector.
        n_heads: Query heads, H.
        n_kv_heads: Key and value heads, G, a divisor of H; H if not given.
        d_head: Width K of a head; D / H if not given.
        bias: Whether the four projections have one.
        dropout: On the weights, in training.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        n_kv_heads: int | None = None,
        d_head: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
        rule = f"be a divisor of d_model={d_model} unless d_head is given"
        require(d_head is not None or d_model % n_heads == 0, "n_heads", n_heads, rule)
        rule = f"be a divisor of n_heads={n_heads}"
        require(n_heads % self.n_kv_heads == 0, "n_kv_heads", n_kv_heads, rule)
        self.d_head = d_model // n_heads if d_head is None else d_head
        self.dropout = dropout
        q_width, kv_width = n_heads * self.d_head, self.n_kv_heads * self.d_head
        self.q_proj = nn.Linear(d_model, q_width, bias=bias)
        self.k_proj = nn.Linear(d_model, kv_width, bias=bias)
        self.v_proj = nn.Linear(d_model, kv_width, bias=bias)
        self.out_proj = nn.Linear(q_width, d_model, bias=bias)

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        memory: Float[Tensor, "B S D"] | None = None,
        *,
        mask: Bool[Tensor, "..."] | None = None,
        causal: bool = False,
        rotation: Rotation | None = None,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "B T D"]:
        """What each position of ``x`` learns from the others, or from ``memory``.

        Args:
            x: Asks.
            memory: Answers (cross-attention); ``x`` itself if not given.
            mask: True = may attend; (T, S) or what broadcasts to (B, T, S), the same
                for all heads.
            causal: Let no position see a later one.
            rotation: Cosines and sines of RoPE for the positions of ``x``.
            cache: Keys and values of earlier calls. Self-attention adds its own;
                cross-attention fills it once and then leaves ``memory`` alone.
        """
        q = self.split_heads(self.q_proj(x))  # (B, H, T, K)
        if memory is not None and cache is not None and cache.length:
            k, v = cache.all()
        else:
            source = x if memory is None else memory
            k = self.split_heads(self.k_proj(source))  # (B, G, S, K)
            v = self.split_heads(self.v_proj(source))
            if rotation is not None:
                q, k = rotate(q, rotation), rotate(k, rotation)
            if cache is not None:
                k, v = cache.append(k, v)
        mask = None if mask is None else mask.unsqueeze(-3)  # the same for all heads
        dropout = self.dropout if self.training else 0.0
        h = attention(q, k, v, mask, causal, dropout)  # (B, H, T, K)
        return self.out_proj(h.transpose(1, 2).flatten(2))  # (B, T, D)

    @torch.no_grad()
    def weights(
        self,
        x: Float[Tensor, "B T D"],
        memory: Float[Tensor, "B S D"] | None = None,
        *,
        mask: Bool[Tensor, "..."] | None = None,
        causal: bool = False,
        rotation: Rotation | None = None,
    ) -> Float[Tensor, "B H T S"]:
        """Who looks where: the weights behind ``forward``, for looking at them."""
        source = x if memory is None else memory
        q = self.split_heads(self.q_proj(x))
        k = self.split_heads(self.k_proj(source))
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        n_queries, n_keys = x.shape[1], source.shape[1]
        allowed = torch.ones(n_queries, n_keys, dtype=torch.bool, device=x.device)
        if causal:
            allowed = causal_mask(n_queries, n_keys, x.device)
        if mask is not None:
            allowed = allowed & mask.unsqueeze(-3)
        return attention_explicit(q, k, torch.zeros_like(k), allowed).weights

    def split_heads(self, x: Float[Tensor, "B T HK"]) -> Float[Tensor, "B H T K"]:
        """Cut the last axis into heads of width K and put them before the positions."""
        return x.unflatten(-1, (-1, self.d_head)).transpose(1, 2)
