"""Sequence to sequence as a Transformer: attention alone, no recurrence.

    source ids -> source_emb + positions -> Encoder -> memory
    ids -> tok_emb + positions -> Decoder(memory) -> lm_head -> logits

In training all target positions are computed at once, for the decoder's mask keeps each
from the later ones. In writing, one token at a time, a cache keeps what was computed
for the earlier ones.

Embeddings are drawn with a standard deviation of 1 / sqrt(D) and multiplied by sqrt(D)
on their way in, so that the same matrix serves as ``lm_head``.

Reference: Vaswani et al., 2017, section 3 and figure 1. Norms stand before the layers
(pre-norm) unless asked otherwise.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmcore.attention import KVCache, padding_mask
from lmcore.config import Config, require
from lmcore.layers import FUSED_ACTIVATIONS
from lmcore.positions import LearnedPositions, SinusoidalPositions
from lmcore.transformer import EncoderDecoder


@dataclass(frozen=True, kw_only=True)
class TransformerSeq2SeqConfig(Config):
    """The shape of an encoder-decoder Transformer.

    Attributes:
        source_vocab_size: Number of source tokens.
        vocab_size: Number of target tokens V.
        max_seq_len: Longest source and longest target.
        d_model: Width D of a position's vector.
        n_layers: Blocks of the encoder, and of the decoder.
        n_heads: Attention heads H, a divisor of D.
        d_ff: Inner width F of the feed-forward networks; None for 4 D.
        dropout: On embeddings, inside the feed-forward, and on what each layer adds.
        ff: "relu", "gelu", "gelu_tanh", "silu" or "swiglu".
        pre_norm: Norms before the layers, or behind the sums as in 2017.
        positions: "sinusoidal" or "learned".
        tie_weights: Use the target embedding as the output matrix too.
    """

    source_vocab_size: int
    vocab_size: int
    max_seq_len: int = 64
    d_model: int = 128
    n_layers: int = 3
    n_heads: int = 4
    d_ff: int | None = None
    dropout: float = 0.1
    ff: str = "relu"
    pre_norm: bool = True
    positions: str = "sinusoidal"
    tie_weights: bool = True

    def validate(self) -> None:
        """Check every field."""
        names = ("source_vocab_size", "vocab_size", "max_seq_len", "d_model")
        for name in (*names, "n_layers", "n_heads", "ff_width"):
            value = getattr(self, name)
            require(type(value) is int and value >= 1, name, value, "be an int >= 1")
        rule = f"be a divisor of d_model={self.d_model}"
        require(self.d_model % self.n_heads == 0, "n_heads", self.n_heads, rule)
        require(0 <= self.dropout < 1, "dropout", self.dropout, "be from 0 to below 1")
        kinds = [*FUSED_ACTIVATIONS, "swiglu"]
        require(self.ff in kinds, "ff", self.ff, f"be one of {kinds}")
        kinds = ["sinusoidal", "learned"]
        require(
            self.positions in kinds, "positions", self.positions, f"be one of {kinds}"
        )
        even = self.d_model % 2 == 0 or self.positions != "sinusoidal"
        require(even, "d_model", self.d_model, "be even for sinusoidal positions")

    @property
    def ff_width(self) -> int:
        """Inner width of the feed-forward networks, the default filled in."""
        return 4 * self.d_model if self.d_ff is None else self.d_ff


class TransformerState(NamedTuple):
    """All that the decoder needs to go on.

    Attributes:
        memory: The encoder's hidden states.
        mask: True = may attend: the source's real positions.
        kv_cache: Keys and values of the target tokens read so far.
        cross_cache: The memory's keys and values.
    """

    memory: Float[Tensor, "B S D"]
    mask: Bool[Tensor, "B S"]
    kv_cache: KVCache
    cross_cache: KVCache

    def select(self, rows: Int[Tensor, "B_new"]) -> "TransformerState":
        """The state of these rows of the batch, in this order."""
        return TransformerState(
            self.memory[rows],
            self.mask[rows],
            self.kv_cache.select(rows),
            self.cross_cache.select(rows),
        )


class TransformerOutput(NamedTuple):
    """What the decoder wrote, and where it can go on."""

    logits: Float[Tensor, "B T V"]
    state: TransformerState


class TransformerSeq2Seq(nn.Module):
    """The encoder-decoder; takes and gives what ``Seq2Seq`` takes and gives."""

    def __init__(self, config: TransformerSeq2SeqConfig) -> None:
        super().__init__()
        self.config = config
        width = config.d_model
        kinds = {"sinusoidal": SinusoidalPositions, "learned": LearnedPositions}
        self.source_emb = nn.Embedding(config.source_vocab_size, width)
        self.tok_emb = nn.Embedding(config.vocab_size, width)
        self.source_pos_emb = kinds[config.positions](config.max_seq_len, width)
        self.pos_emb = kinds[config.positions](config.max_seq_len, width)
        self.dropout = nn.Dropout(config.dropout)
        self.transformer = EncoderDecoder(
            config.n_layers,
            width,
            config.n_heads,
            config.ff_width,
            dropout=config.dropout,
            ff=config.ff,
            pre_norm=config.pre_norm,
        )
        self.lm_head = nn.Linear(width, config.vocab_size, bias=False)
        self.init_weights()
        if config.tie_weights:
            self.lm_head.weight = self.tok_emb.weight

    def init_weights(self) -> None:
        """Linear maps after Glorot and Bengio (2010); embeddings of size 1/sqrt(D)."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=self.config.d_model**-0.5)

    def forward(
        self,
        source_ids: Int[Tensor, "B S"],
        ids: Int[Tensor, "B T"],
        source_lengths: Int[Tensor, "B"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Scores for the target token after each position, the source being known.

        Args:
            source_ids: What to read, padded on the right.
            ids: The target so far; its first token marks the beginning.
            source_lengths: Real tokens of each source; None if there is no padding.

        Raises:
            ValueError: If source or target is longer than ``max_seq_len``.
        """
        mask = source_mask(source_ids, source_lengths)
        h = self.transformer(self.embed_source(source_ids), self.embed(ids), mask)
        return self.lm_head(h)

    def encode(
        self,
        source_ids: Int[Tensor, "B S"],
        source_lengths: Int[Tensor, "B"] | None = None,
    ) -> TransformerState:
        """Read the source, and make room for the target."""
        mask = source_mask(source_ids, source_lengths)
        memory = self.transformer.encoder(self.embed_source(source_ids), mask)
        return first_state(memory, mask, self.config)

    def decode(
        self, ids: Int[Tensor, "B T"], state: TransformerState
    ) -> TransformerOutput:
        """Go on from a state: ``encode``'s, or what an earlier call returned.

        The caches inside are filled in place, so a state is continued only once.
        """
        x = self.embed(ids, state.kv_cache.length)
        h = self.transformer.decoder(
            x,
            state.memory,
            memory_mask=state.mask,
            kv_cache=state.kv_cache,
            cross_cache=state.cross_cache,
        )
        return TransformerOutput(self.lm_head(h), state)

    def select(
        self, state: TransformerState, rows: Int[Tensor, "B_new"]
    ) -> TransformerState:
        """The state of these rows of the batch, in this order, for beam search."""
        return state.select(rows)

    @torch.no_grad()
    def attention_weights(
        self,
        source_ids: Int[Tensor, "B S"],
        ids: Int[Tensor, "B T"],
        source_lengths: Int[Tensor, "B"] | None = None,
    ) -> Float[Tensor, "layers B H T S"]:
        """Where each layer and head of the cross-attention looked: rows sum to 1."""
        mask = source_mask(source_ids, source_lengths)
        memory = self.transformer.encoder(self.embed_source(source_ids), mask)
        x, mask = self.embed(ids), mask.unsqueeze(-2)  # (B, 1, S)
        weights = []
        for block in self.transformer.decoder.blocks:
            h = block.add(x, block.attn_norm, lambda y, b=block: b.attn(y, causal=True))
            asks = block.cross_norm(h) if block.pre_norm else h
            weights.append(block.cross_attn.weights(asks, memory, mask=mask))
            x = block(x, memory, memory_mask=mask, causal=True)
        return torch.stack(weights)

    def embed_source(self, source_ids: Int[Tensor, "B S"]) -> Float[Tensor, "B S D"]:
        """Source tokens and their positions as vectors."""
        return self._embed(self.source_emb, self.source_pos_emb, source_ids, 0)

    def embed(self, ids: Int[Tensor, "B T"], start: int = 0) -> Float[Tensor, "B T D"]:
        """Target tokens as vectors, the first of them at position ``start``."""
        return self._embed(self.tok_emb, self.pos_emb, ids, start)

    def _embed(
        self, emb: nn.Embedding, pos_emb: nn.Module, ids: Tensor, start: int
    ) -> Tensor:
        end, longest = start + ids.shape[1], self.config.max_seq_len
        require(end <= longest, "sequence length", end, f"be <= max_seq_len={longest}")
        positions = torch.arange(start, end, device=ids.device)
        x = emb(ids) * math.sqrt(self.config.d_model)
        return self.dropout(x + pos_emb(positions))


def source_mask(
    source_ids: Int[Tensor, "B S"], lengths: Int[Tensor, "B"] | None
) -> Bool[Tensor, "B S"]:
    """True at real tokens; without lengths, everywhere."""
    if lengths is None:
        return torch.ones_like(source_ids, dtype=torch.bool)
    return padding_mask(lengths, source_ids.shape[1])


def first_state(
    memory: Float[Tensor, "B S D"], mask: Bool[Tensor, "B S"], config: Config
) -> TransformerState:
    """A read source, and empty caches for what will be written.

    Args:
        memory: The encoder's hidden states.
        mask: True at the source's real positions.
        config: Has ``n_layers``, ``n_heads``, ``d_model`` and ``max_seq_len``.
    """

    def new_cache(max_len: int) -> KVCache:
        return KVCache(
            config.n_layers,
            len(memory),
            config.n_heads,
            max_len,
            config.d_model // config.n_heads,
            memory.device,
            memory.dtype,
        )

    caches = new_cache(config.max_seq_len), new_cache(memory.shape[1])
    return TransformerState(memory, mask, *caches)
