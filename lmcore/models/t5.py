"""T5: an encoder-decoder that turns text into text, with one vocabulary for both.

    source ids -> tok_emb -> Encoder -> memory
    ids        -> tok_emb -> Decoder(memory) -> lm_head -> logits

Against the encoder-decoder of 2017 (``seq2seq_transformer``): one embedding serves
source, target and output; norms are RMSNorm and stand before the layers; linear maps
have no bias. T5 adds a learned number for the distance between query and key to each
score; here distances enter by RoPE, as in decoders since 2021.

It takes and gives what ``Seq2Seq`` and ``TransformerSeq2Seq`` take and give.

References: Raffel et al., 2020, section 2.1 (T5). Su et al., 2021, section 3.2 (RoPE).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.config import Config, require
from lmcore.layers import FUSED_ACTIVATIONS
from lmcore.models.seq2seq_transformer import (
    TransformerOutput,
    TransformerState,
    first_state,
    source_mask,
)
from lmcore.positions import RoPE
from lmcore.transformer import EncoderDecoder


@dataclass(frozen=True, kw_only=True)
class T5Config(Config):
    """The shape of a text-to-text model.

    Attributes:
        vocab_size: Number of tokens V, sentinels included.
        max_seq_len: Longest source and longest target.
        d_model: Width D of a position's vector.
        n_layers: Blocks of the encoder, and of the decoder.
        n_heads: Attention heads H, a divisor of D.
        d_ff: Inner width F of the feed-forward networks; None for 4 D.
        dropout: On embeddings, inside the feed-forward, and on what each layer adds.
        bias: Whether linear maps and norms have one.
        norm: "rms" or "layer".
        ff: "relu", "gelu", "gelu_tanh", "silu" or "swiglu".
        rope_base: Base of RoPE's angles.
    """

    vocab_size: int
    max_seq_len: int = 512
    d_model: int = 128
    n_layers: int = 4
    n_heads: int = 4
    d_ff: int | None = None
    dropout: float = 0.0
    bias: bool = False
    norm: str = "rms"
    ff: str = "relu"
    rope_base: float = 10000.0

    def validate(self) -> None:
        """Check every field."""
        names = ("vocab_size", "max_seq_len", "d_model", "n_layers", "n_heads")
        for name in (*names, "ff_width"):
            value = getattr(self, name)
            require(type(value) is int and value >= 1, name, value, "be an int >= 1")
        rule = f"be a divisor of d_model={self.d_model}"
        require(self.d_model % self.n_heads == 0, "n_heads", self.n_heads, rule)
        rule = "be even for RoPE"
        require(self.d_head % 2 == 0, "d_model / n_heads", self.d_head, rule)
        require(0 <= self.dropout < 1, "dropout", self.dropout, "be from 0 to below 1")
        for name, kinds in (
            ("norm", ["rms", "layer"]),
            ("ff", [*FUSED_ACTIVATIONS, "swiglu"]),
        ):
            value = getattr(self, name)
            require(value in kinds, name, value, f"be one of {kinds}")
        require(self.rope_base > 0, "rope_base", self.rope_base, "be > 0")

    @property
    def d_head(self) -> int:
        """Width of a head."""
        return self.d_model // self.n_heads

    @property
    def ff_width(self) -> int:
        """Inner width of the feed-forward networks, the default filled in."""
        return 4 * self.d_model if self.d_ff is None else self.d_ff


class T5(nn.Module):
    """The model; ``model(source_ids, ids)`` gives scores for each next target token."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = config
        self.tok_emb = nn.Embedding(config.vocab_size, config.d_model)
        self.rope = RoPE(config.d_head, config.max_seq_len, config.rope_base)
        self.dropout = nn.Dropout(config.dropout)
        self.transformer = EncoderDecoder(
            config.n_layers,
            config.d_model,
            config.n_heads,
            config.ff_width,
            dropout=config.dropout,
            bias=config.bias,
            norm=config.norm,
            ff=config.ff,
        )
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.init_weights()
        self.lm_head.weight = self.tok_emb.weight

    def init_weights(self) -> None:
        """Normal numbers of size 0.02, as in GPT-2, less where a layer adds."""
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                adds = name.endswith("out_proj.weight")
                n_sums = 3 * self.config.n_layers if adds else 1
                nn.init.normal_(parameter, std=0.02 / math.sqrt(n_sums))

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
        memory = self.hidden_states(source_ids, source_lengths)
        x, rotation = self.embed(ids)
        h = self.transformer.decoder(
            x,
            memory,
            memory_mask=source_mask(source_ids, source_lengths),
            rotation=rotation,
        )
        return self.lm_head(h)

    def hidden_states(
        self,
        source_ids: Int[Tensor, "B S"],
        source_lengths: Int[Tensor, "B"] | None = None,
    ) -> Float[Tensor, "B S D"]:
        """What the encoder makes of the source: the decoder's memory."""
        x, rotation = self.embed(source_ids)
        mask = source_mask(source_ids, source_lengths)
        return self.transformer.encoder(x, mask, rotation)

    def encode(
        self,
        source_ids: Int[Tensor, "B S"],
        source_lengths: Int[Tensor, "B"] | None = None,
    ) -> TransformerState:
        """Read the source, and make room for the target."""
        memory = self.hidden_states(source_ids, source_lengths)
        mask = source_mask(source_ids, source_lengths)
        return first_state(memory, mask, self.config)

    def decode(
        self, ids: Int[Tensor, "B T"], state: TransformerState
    ) -> TransformerOutput:
        """Go on from a state: ``encode``'s, or what an earlier call returned.

        The caches inside are filled in place, so a state is continued only once.
        """
        x, rotation = self.embed(ids, state.kv_cache.length)
        h = self.transformer.decoder(
            x,
            state.memory,
            memory_mask=state.mask,
            rotation=rotation,
            kv_cache=state.kv_cache,
            cross_cache=state.cross_cache,
        )
        return TransformerOutput(self.lm_head(h), state)

    def select(
        self, state: TransformerState, rows: Int[Tensor, "B_new"]
    ) -> TransformerState:
        """The state of these rows of the batch, in this order, for beam search."""
        return state.select(rows)

    def embed(
        self, ids: Int[Tensor, "B T"], start: int = 0
    ) -> tuple[Float[Tensor, "B T D"], tuple[Tensor, Tensor]]:
        """Tokens as vectors, and the angles of their positions from ``start`` on."""
        end, longest = start + ids.shape[1], self.config.max_seq_len
        require(end <= longest, "sequence length", end, f"be <= max_seq_len={longest}")
        positions = torch.arange(start, end, device=ids.device)
        return self.dropout(self.tok_emb(ids)), self.rope(positions)
