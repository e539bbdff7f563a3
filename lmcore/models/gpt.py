"""GPT: a stack of causal blocks between an embedding and its transpose.

    ids -> tok_emb (+ pos_emb) -> blocks -> final_norm -> lm_head -> logits

One class, two families by configuration:

- GPT-2: learned positions, LayerNorm, GELU, biases, tied weights;
- Llama: rotary positions, RMSNorm, SwiGLU, no biases, grouped key/value heads.

``PRESETS`` names published models; ``GPT(PRESETS["gpt3-175b"])`` under
``torch.device("meta")`` has every shape and takes no memory.

References:
    Radford et al., 2018 and 2019, section 2 (GPT, GPT-2). Brown et al., 2020, table 2.1
    (GPT-3). Touvron et al., 2023, section 2.2 (Llama). Press and Wolf, 2017 (tying).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmcore.attention import KVCache
from lmcore.config import Config, require
from lmcore.layers import FUSED_ACTIVATIONS, make_norm
from lmcore.positions import LearnedPositions, RoPE, SinusoidalPositions
from lmcore.transformer import Block

POSITIONS = ("learned", "sinusoidal", "rope", "none")


@dataclass(frozen=True, kw_only=True)
class GPTConfig(Config):
    """The shape of a decoder-only Transformer.

    Attributes:
        vocab_size: Number of tokens V.
        max_seq_len: Longest sequence it can read.
        d_model: Width D of a position's vector.
        n_layers: Blocks.
        n_heads: Attention heads H.
        n_kv_heads: Key/value heads G, a divisor of H; None for H.
        d_head: Width K of a head, None for D / H.
        d_ff: Inner width F of the feed-forward networks; None for 4 D.
        dropout: On embeddings, inside feed-forwards and on what each layer adds.
        bias: Whether linear maps and LayerNorm have one.
        norm: "layer" or "rms".
        norm_eps: Added to the variance in a norm.
        ff: "relu", "gelu", "gelu_tanh", "silu" or "swiglu".
        positions: "learned", "sinusoidal", "rope" or "none".
        rope_base: Base of RoPE's angles.
        tie_weights: Use the embedding as the output matrix too.
    """

    vocab_size: int
    max_seq_len: int = 1024
    d_model: int = 768
    n_layers: int = 12
    n_heads: int = 12
    n_kv_heads: int | None = None
    d_head: int | None = None
    d_ff: int | None = None
    dropout: float = 0.0
    bias: bool = True
    norm: str = "layer"
    norm_eps: float = 1e-5
    ff: str = "gelu_tanh"
    positions: str = "learned"
    rope_base: float = 10000.0
    tie_weights: bool = True

    def validate(self) -> None:
        """Check every field."""
        for name in ("vocab_size", "max_seq_len", "d_model", "n_layers", "n_heads"):
            value = getattr(self, name)
            require(type(value) is int and value >= 1, name, value, "be an int >= 1")
        for name in ("n_kv_heads", "d_head", "d_ff"):
            value = getattr(self, name)
            usable = value is None or (type(value) is int and value >= 1)
            require(usable, name, value, "be None or an int >= 1")
        rule = f"be a divisor of d_model={self.d_model}, or d_head be given"
        fits = self.d_head is not None or self.d_model % self.n_heads == 0
        require(fits, "n_heads", self.n_heads, rule)
        rule = f"be a divisor of n_heads={self.n_heads}"
        fits = self.n_heads % self.kv_heads == 0
        require(fits, "n_kv_heads", self.n_kv_heads, rule)
        require(0 <= self.dropout < 1, "dropout", self.dropout, "be from 0 to below 1")
        require(self.norm in ("layer", "rms"), "norm", self.norm, "be 'layer' or 'rms'")
        require(self.norm_eps > 0, "norm_eps", self.norm_eps, "be > 0")
        kinds = [*FUSED_ACTIVATIONS, "swiglu"]
        require(self.ff in kinds, "ff", self.ff, f"be one of {kinds}")
        rule = f"be one of {list(POSITIONS)}"
        require(self.positions in POSITIONS, "positions", self.positions, rule)
        if self.positions == "rope":
            require(self.head_width % 2 == 0, "d_head", self.head_width, "be even")
        if self.positions == "sinusoidal":
            require(self.d_model % 2 == 0, "d_model", self.d_model, "be even")
        require(self.rope_base > 0, "rope_base", self.rope_base, "be > 0")

    @property
    def kv_heads(self) -> int:
        """Key/value heads, the default filled in."""
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def head_width(self) -> int:
        """Width of a head, the default filled in."""
        return self.d_model // self.n_heads if self.d_head is None else self.d_head

    @property
    def ff_width(self) -> int:
        """Inner width of the feed-forward networks, the default filled in."""
        return 4 * self.d_model if self.d_ff is None else self.d_ff


class GPT(nn.Module):
    """The model; ``model(ids)`` gives scores for the token after each position."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.tok_emb = nn.Embedding(config.vocab_size, config.d_model)
        self.pos_emb, self.rope = None, None
        if config.positions == "learned":
            self.pos_emb = LearnedPositions(config.max_seq_len, config.d_model)
        elif config.positions == "sinusoidal":
            self.pos_emb = SinusoidalPositions(config.max_seq_len, config.d_model)
        elif config.positions == "rope":
            self.rope = RoPE(config.head_width, config.max_seq_len, config.rope_base)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(
                config.d_model,
                config.n_heads,
                config.ff_width,
                n_kv_heads=config.n_kv_heads,
                d_head=config.d_head,
                dropout=config.dropout,
                bias=config.bias,
                norm=config.norm,
                norm_eps=config.norm_eps,
                ff=config.ff,
            )
            for _ in range(config.n_layers)
        )
        self.final_norm = make_norm(
            config.norm, config.d_model, config.norm_eps, config.bias
        )
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.init_weights()
        if config.tie_weights:
            self.lm_head.weight = self.tok_emb.weight

    def init_weights(self) -> None:
        """Normal numbers of size 0.02; maps that add to x smaller by sqrt(2 n_layers).

        2 n_layers numbers are added up on the way to the top; scaled so, their sum has
        the size that one of them would have (Radford et al., 2019, section 2.3).
        """
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                adds_to_x = name.endswith("out_proj")
                depth = 2 * self.config.n_layers if adds_to_x else 1
                nn.init.normal_(module.weight, std=0.02 / depth**0.5)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B S"] | None = None,
        kv_cache: KVCache | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Scores for the token after each position.

        Args:
            ids: Tokens; with a cache, those that come after what was read.
            mask: True at real tokens, over all S positions read so far and now; for
                batches of prompts padded on the left. Padding takes no position number.
            kv_cache: From ``new_cache``; filled by this call.

        Raises:
            ValueError: If there are more positions than ``max_seq_len``, or ``mask`` or
                ``kv_cache`` is of another size.
        """
        return self.lm_head(self.hidden_states(ids, mask, kv_cache))

    def hidden_states(
        self,
        ids: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B S"] | None = None,
        kv_cache: KVCache | None = None,
    ) -> Float[Tensor, "B T D"]:
        """What ``lm_head`` reads: one vector per position, after the final norm."""
        start = 0 if kv_cache is None else kv_cache.length
        end = start + ids.shape[1]
        longest = self.config.max_seq_len
        require(end <= longest, "sequence length", end, f"be <= max_seq_len={longest}")
        if mask is None:
            positions = torch.arange(start, end, device=ids.device)  # (T,)
        else:
            shape, rule = tuple(mask.shape), "be (batch size, positions read so far)"
            require(shape == (len(ids), end), "mask's shape", shape, rule)
            positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, start:]  # (B, T)
            mask = mask.unsqueeze(-2)  # (B, 1, S)
        x = self.tok_emb(ids)  # (B, T, D)
        if self.pos_emb is not None:
            x = x + self.pos_emb(positions)
        x = self.dropout(x)
        rotation = None if self.rope is None else self.rope(positions)
        for i, block in enumerate(self.blocks):
            cache = None if kv_cache is None else kv_cache.layers[i]
            x = block(x, mask=mask, causal=True, rotation=rotation, cache=cache)
        return self.final_norm(x)

    def new_cache(self, batch_size: int = 1, max_len: int | None = None) -> KVCache:
        """An empty cache for this model, on its device and in its number format.

        Args:
            batch_size: Sequences.
            max_len: Positions to make room for; ``max_seq_len`` if not given.
        """
        config, weight = self.config, self.tok_emb.weight
        return KVCache(
            config.n_layers,
            batch_size,
            config.kv_heads,
            config.max_seq_len if max_len is None else max_len,
            config.head_width,
            weight.device,
            weight.dtype,
        )


def gpt2(d_model: int, n_layers: int, n_heads: int) -> GPTConfig:
    """A member of the GPT-2 family."""
    return GPTConfig(
        vocab_size=50257, d_model=d_model, n_layers=n_layers, n_heads=n_heads
    )


PRESETS = {
    "gpt2": gpt2(768, 12, 12),
    "gpt2-medium": gpt2(1024, 24, 16),
    "gpt2-large": gpt2(1280, 36, 20),
    "gpt2-xl": gpt2(1600, 48, 25),
    "gpt3-175b": gpt2(12288, 96, 96).replace(max_seq_len=2048),
    "smollm2-135m": GPTConfig(
        vocab_size=49152,
        max_seq_len=8192,
        d_model=576,
        n_layers=30,
        n_heads=9,
        n_kv_heads=3,
        d_ff=1536,
        bias=False,
        norm="rms",
        ff="swiglu",
        positions="rope",
        rope_base=100000.0,
    ),
}
