"""The Transformer: one block, stacked; an encoder reads, a decoder writes.

A block adds to each position what attention finds and then what a feed-forward network
makes of it. Two orders of the norm are in use:

    post-norm (2017)    x <- norm(x + attn(x))        then the same with ff
    pre-norm  (GPT-2)   x <- x + attn(norm(x))        and one norm behind the last block

In a pre-norm stack x runs from bottom to top through additions alone, and so does its
gradient. A decoder's block has cross-attention between the two: it asks the encoder's
output (``memory``).

References:
    Vaswani et al., 2017, section 3.1 (post-norm). Xiong et al., 2020, section 3 (why
    pre-norm trains without warm-up). Radford et al., 2019, section 2.3 (final norm).
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from lmcore.attention import Attention, KVCache, LayerCache
from lmcore.config import require
from lmcore.layers import make_feed_forward, make_norm
from lmcore.positions import Rotation


class Block(nn.Module):
    """Attention, then cross-attention if asked for, then feed-forward.

    Args:
        d_model: Width D of a position's vector.
        n_heads: Attention heads.
        d_ff: Inner width of the feed-forward network.
        n_kv_heads: Key/value heads of self-attention; ``n_heads`` if not given.
        d_head: Width of a head; ``d_model / n_heads`` if not given.
        dropout: Inside the feed-forward, and on what each layer adds. Not on attention
            weights: that needs all (T, S) of them in memory and no fused kernel has it
            on a CPU (``Attention`` offers it).
        bias: Whether projections and LayerNorm have one.
        norm: "layer" or "rms".
        norm_eps: Added to the variance.
        ff: "relu", "gelu", "gelu_tanh", "silu" or "swiglu".
        pre_norm: Where the norms stand; see the top of this file.
        cross: Whether there is cross-attention.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        d_ff: int,
        *,
        n_kv_heads: int | None = None,
        d_head: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        norm: str = "layer",
        norm_eps: float = 1e-5,
        ff: str = "relu",
        pre_norm: bool = True,
        cross: bool = False,
    ) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.attn_norm = make_norm(norm, d_model, norm_eps, bias)
        self.attn = Attention(d_model, n_heads, n_kv_heads, d_head, bias)
        self.cross_norm = self.cross_attn = None
        if cross:
            self.cross_norm = make_norm(norm, d_model, norm_eps, bias)
            self.cross_attn = Attention(d_model, n_heads, d_head=d_head, bias=bias)
        self.ff_norm = make_norm(norm, d_model, norm_eps, bias)
        self.ff = make_feed_forward(ff, d_model, d_ff, dropout, bias)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        memory: Float[Tensor, "B S D"] | None = None,
        *,
        mask: Bool[Tensor, "..."] | None = None,
        memory_mask: Bool[Tensor, "..."] | None = None,
        causal: bool = False,
        rotation: Rotation | None = None,
        cache: LayerCache | None = None,
        cross_cache: LayerCache | None = None,
    ) -> Float[Tensor, "B T D"]:
        """One pass; masks broadcast to (B, T, S), True = may attend.

        Raises:
            ValueError: If a block with cross-attention gets no memory.
        """
        alone = memory is None and self.cross_attn is not None
        require(not alone, "memory", None, "be given to a block with cross-attention")

        def attend(h: Tensor) -> Tensor:
            return self.attn(
                h, mask=mask, causal=causal, rotation=rotation, cache=cache
            )

        def attend_memory(h: Tensor) -> Tensor:
            return self.cross_attn(h, memory, mask=memory_mask, cache=cross_cache)

        x = self.add(x, self.attn_norm, attend)
        if self.cross_attn is not None:
            x = self.add(x, self.cross_norm, attend_memory)
        return self.add(x, self.ff_norm, self.ff)

    def add(self, x: Tensor, norm: nn.Module, layer) -> Float[Tensor, "B T D"]:
        """x + layer(x), with the norm before the layer or behind the sum."""
        if self.pre_norm:
            return x + self.dropout(layer(norm(x)))
        return norm(x + self.dropout(layer(x)))


class Encoder(nn.Module):
    """Blocks in which every position sees every other.

    Args:
        n_layers: Number of blocks.
        d_model: Width D.
        n_heads: Attention heads.
        d_ff: Inner width of the feed-forward networks.
        dropout: See ``Block``.
        bias: See ``Block``.
        norm: See ``Block``.
        norm_eps: See ``Block``.
        ff: See ``Block``.
        pre_norm: See ``Block``; a pre-norm stack ends with one more norm.
    """

    cross = False

    def __init__(
        self,
        n_layers: int,
        d_model: int,
        n_heads: int,
        d_ff: int,
        *,
        dropout: float = 0.0,
        bias: bool = True,
        norm: str = "layer",
        norm_eps: float = 1e-5,
        ff: str = "relu",
        pre_norm: bool = True,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(
                d_model,
                n_heads,
                d_ff,
                dropout=dropout,
                bias=bias,
                norm=norm,
                norm_eps=norm_eps,
                ff=ff,
                pre_norm=pre_norm,
                cross=self.cross,
            )
            for _ in range(n_layers)
        )
        self.final_norm = (
            make_norm(norm, d_model, norm_eps, bias) if pre_norm else nn.Identity()
        )

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        mask: Bool[Tensor, "B T"] | None = None,
        rotation: Rotation | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Hidden states.

        Args:
            x: Embedded tokens.
            mask: True at real tokens; padding is attended to by nobody.
            rotation: RoPE's cosines and sines, if positions are rotary.
        """
        mask = None if mask is None else mask.unsqueeze(-2)  # (B, 1, T)
        for block in self.blocks:
            x = block(x, mask=mask, rotation=rotation)
        return self.final_norm(x)


class Decoder(Encoder):
    """Blocks in which no position sees a later one, with cross-attention to a memory.

    Takes the arguments of ``Encoder``.
    """

    cross = True

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        memory: Float[Tensor, "B S D"],
        *,
        mask: Bool[Tensor, "B T_all"] | None = None,
        memory_mask: Bool[Tensor, "B S"] | None = None,
        rotation: Rotation | None = None,
        kv_cache: KVCache | None = None,
        cross_cache: KVCache | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Hidden states.

        Args:
            x: Embedded target tokens.
            memory: The encoder's hidden states.
            mask: True at real target tokens, those in the cache included.
            memory_mask: True at real source tokens.
            rotation: RoPE's cosines and sines, if positions are rotary.
            kv_cache: What was written before; ``x`` goes on from there.
            cross_cache: The memory's keys and values, filled by the first call.
        """
        mask = None if mask is None else mask.unsqueeze(-2)  # (B, 1, T)
        memory_mask = None if memory_mask is None else memory_mask.unsqueeze(-2)
        for i, block in enumerate(self.blocks):
            x = block(
                x,
                memory,
                mask=mask,
                memory_mask=memory_mask,
                causal=True,
                rotation=rotation,
                cache=None if kv_cache is None else kv_cache.layers[i],
                cross_cache=None if cross_cache is None else cross_cache.layers[i],
            )
        return self.final_norm(x)


class EncoderDecoder(nn.Module):
    """An encoder for the source and a decoder for the target, of the same sizes.

    Takes the arguments of ``Encoder``.
    """

    def __init__(
        self,
        n_layers: int,
        d_model: int,
        n_heads: int,
        d_ff: int,
        *,
        dropout: float = 0.0,
        bias: bool = True,
        norm: str = "layer",
        norm_eps: float = 1e-5,
        ff: str = "relu",
        pre_norm: bool = True,
    ) -> None:
        super().__init__()
        sizes = (n_layers, d_model, n_heads, d_ff)
        choices = {
            "dropout": dropout,
            "bias": bias,
            "norm": norm,
            "norm_eps": norm_eps,
            "ff": ff,
            "pre_norm": pre_norm,
        }
        self.encoder = Encoder(*sizes, **choices)
        self.decoder = Decoder(*sizes, **choices)

    def forward(
        self,
        source: Float[Tensor, "B S D"],
        target: Float[Tensor, "B T D"],
        source_mask: Bool[Tensor, "B S"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Hidden states of the target, the source being known.

        Args:
            source: Embedded source tokens.
            target: Embedded target tokens.
            source_mask: True at real source tokens.
        """
        memory = self.encoder(source, source_mask)
        return self.decoder(target, memory, memory_mask=source_mask)
