"""BERT: an encoder that sees both sides, and the two heads that pretrain it.

    ids -> tok_emb + pos_emb + seg_emb -> norm -> encoder -> hidden states (B, T, D)

Nothing is causal: every position sees the whole text, so it cannot be trained to
predict the next token. Instead some tokens are hidden and the masked-language-model
head guesses them; the next-sentence head says, from the first position alone, whether
the second segment follows the first.

References:
    Devlin et al., 2019, section 3 (BERT). Sanh et al., 2019, section 3 (DistilBERT:
    half the layers, no segments, no pooler). Reimers and Gurevych, 2019, section 3
    (mean pooling for sentences).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmcore.config import Config, require
from lmcore.layers import FUSED_ACTIVATIONS, LayerNorm
from lmcore.positions import LearnedPositions, RoPE
from lmcore.transformer import Encoder


@dataclass(frozen=True, kw_only=True)
class BertConfig(Config):
    """The shape of an encoder; the defaults are BERT-base's.

    Attributes:
        vocab_size: Number of tokens V.
        max_seq_len: Longest sequence it can read.
        d_model: Width D of a position's vector.
        n_layers: Blocks.
        n_heads: Attention heads, a divisor of ``d_model``.
        d_ff: Inner width of the feed-forward networks; None for 4 D.
        n_segments: Kinds of segment; 0 for none (DistilBERT).
        dropout: On embeddings, inside feed-forwards and on what each layer adds.
        norm_eps: Added to the variance in a norm.
        ff: "gelu", "relu", …
        pre_norm: Where the norms stand; published BERTs are post-norm.
        pooler: Whether there is the map that the next-sentence head reads.
        positions: "learned" as in BERT, or "rope", which a small encoder learns with
            much sooner (Warner et al., 2024, ModernBERT).
        rope_base: Base of RoPE's angles.
    """

    vocab_size: int = 30522
    max_seq_len: int = 512
    d_model: int = 768
    n_layers: int = 12
    n_heads: int = 12
    d_ff: int | None = None
    n_segments: int = 2
    dropout: float = 0.0
    norm_eps: float = 1e-12
    ff: str = "gelu"
    pre_norm: bool = False
    pooler: bool = True
    positions: str = "learned"
    rope_base: float = 10000.0

    def validate(self) -> None:
        """Check every field."""
        for name in ("vocab_size", "max_seq_len", "d_model", "n_layers", "n_heads"):
            value = getattr(self, name)
            require(type(value) is int and value >= 1, name, value, "be an int >= 1")
        rule = f"be a divisor of d_model={self.d_model}"
        require(self.d_model % self.n_heads == 0, "n_heads", self.n_heads, rule)
        usable = self.d_ff is None or (type(self.d_ff) is int and self.d_ff >= 1)
        require(usable, "d_ff", self.d_ff, "be None or an int >= 1")
        usable = type(self.n_segments) is int and self.n_segments >= 0
        require(usable, "n_segments", self.n_segments, "be an int >= 0")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "be from 0 to below 1")
        require(self.norm_eps > 0, "norm_eps", self.norm_eps, "be > 0")
        kinds = [*FUSED_ACTIVATIONS, "swiglu"]
        require(self.ff in kinds, "ff", self.ff, f"be one of {kinds}")
        kinds = ["learned", "rope"]
        usable = self.positions in kinds
        require(usable, "positions", self.positions, f"be one of {kinds}")
        usable = self.positions != "rope" or self.d_head % 2 == 0
        require(usable, "d_model / n_heads", self.d_head, "be even for RoPE")
        require(self.rope_base > 0, "rope_base", self.rope_base, "be > 0")

    @property
    def d_head(self) -> int:
        """Width of a head."""
        return self.d_model // self.n_heads


class Bert(nn.Module):
    """The encoder; ``model(ids, mask)`` gives hidden states."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        width = config.d_model
        self.tok_emb = nn.Embedding(config.vocab_size, width)
        self.pos_emb, self.rope = None, None
        if config.positions == "learned":
            self.pos_emb = LearnedPositions(config.max_seq_len, width)
        else:
            self.rope = RoPE(config.d_head, config.max_seq_len, config.rope_base)
        self.seg_emb = None
        if config.n_segments:
            self.seg_emb = nn.Embedding(config.n_segments, width)
        self.emb_norm = LayerNorm(width, config.norm_eps)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = Encoder(
            config.n_layers,
            width,
            config.n_heads,
            4 * width if config.d_ff is None else config.d_ff,
            dropout=config.dropout,
            norm_eps=config.norm_eps,
            ff=config.ff,
            pre_norm=config.pre_norm,
        )
        self.pooler = Pooler(width) if config.pooler else None
        self.apply(init_weights)

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B T"] | None = None,
        segment_ids: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Hidden states.

        Args:
            ids: Tokens, padded on the right.
            mask: True at real tokens; all are if not given.
            segment_ids: Which segment a token belongs to; 0 everywhere if not given.

        Raises:
            ValueError: If the sequence is longer than ``max_seq_len``, or segments are
                given to a model without them.
        """
        length, longest = ids.shape[1], self.config.max_seq_len
        rule = f"be <= max_seq_len={longest}"
        require(length <= longest, "sequence length", length, rule)
        rule = "be None: this model has no segment embeddings (n_segments=0)"
        usable = segment_ids is None or self.seg_emb is not None
        require(usable, "segment_ids", "a tensor", rule)
        positions = torch.arange(length, device=ids.device)
        x = self.tok_emb(ids)
        if self.pos_emb is not None:
            x = x + self.pos_emb(positions)
        if self.seg_emb is not None:
            segments = torch.zeros_like(ids) if segment_ids is None else segment_ids
            x = x + self.seg_emb(segments)
        rotation = None if self.rope is None else self.rope(positions)
        return self.encoder(self.dropout(self.emb_norm(x)), mask, rotation)


class Pooler(nn.Module):
    """tanh(proj(h at the first position)): what stands for the whole text in BERT."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.proj = nn.Linear(d_model, d_model)

    def forward(self, h: Float[Tensor, "B T D"]) -> Float[Tensor, "B D"]:
        """One vector per text."""
        return torch.tanh(self.proj(h[:, 0]))


class MaskedLMHead(nn.Module):
    """From a hidden state to scores: D -> D, activation, norm, then the embedding.

    The output matrix is the token embedding, handed in at the call (tied weights).
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.proj = nn.Linear(config.d_model, config.d_model)
        self.activation = FUSED_ACTIVATIONS[
            "gelu" if config.ff == "swiglu" else config.ff
        ]
        self.norm = LayerNorm(config.d_model, config.norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(
        self, h: Float[Tensor, "... D"], tok_emb: Float[Tensor, "V D"]
    ) -> Float[Tensor, "... V"]:
        """Scores for the token that stands at each position."""
        return self.norm(self.activation(self.proj(h))) @ tok_emb.T + self.bias


class NextSentenceHead(nn.Module):
    """Two scores from the pooled vector: 0 "it follows", 1 "it does not"."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.proj = nn.Linear(d_model, 2)

    def forward(self, pooled: Float[Tensor, "B D"]) -> Float[Tensor, "B 2"]:
        """The two scores."""
        return self.proj(pooled)


class BertForPretraining(nn.Module):
    """The encoder with its heads; ``model(ids)`` scores the token at each position.

    Without a pooler (``config.pooler=False``) there is no next-sentence head.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = Bert(config)
        self.mlm_head = MaskedLMHead(config)
        self.nsp_head = NextSentenceHead(config.d_model) if config.pooler else None
        self.apply(init_weights)

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B T"] | None = None,
        segment_ids: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Scores for the token that stands at each position."""
        return self.fill_in(self.bert(ids, mask, segment_ids))

    def fill_in(self, h: Float[Tensor, "... D"]) -> Float[Tensor, "... V"]:
        """The same from hidden states; give it those of masked positions alone."""
        return self.mlm_head(h, self.bert.tok_emb.weight)

    def follows(self, h: Float[Tensor, "B T D"]) -> Float[Tensor, "B 2"]:
        """Scores for "the second segment follows the first" (0) and "it does not" (1).

        Raises:
            ValueError: If the model was made without a pooler.
        """
        require(self.nsp_head is not None, "pooler", False, "be True in the config")
        return self.nsp_head(self.bert.pooler(h))


def mean_pool(
    h: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
) -> Float[Tensor, "B D"]:
    """One vector per text: the mean over its real tokens (0 if there is none)."""
    weights = mask.to(h.dtype).unsqueeze(-1)  # (B, T, 1)
    return (h * weights).sum(1) / weights.sum(1).clamp(min=1)


def init_weights(module: nn.Module) -> None:
    """Normal numbers of size 0.02, biases 0 (Devlin et al., 2019, in their code)."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
