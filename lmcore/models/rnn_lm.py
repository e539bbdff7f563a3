"""A recurrent language model: embedding, a stack of recurrent layers, scores.

    ids -> tok_emb -> Recurrent -> lm_head -> logits

The state carries what was read so far, so a text of any length can be read piece by
piece. Training on long texts cuts the gradient at the end of each piece but hands on
the state (truncated backpropagation through time; Mikolov et al., 2010, section 2).

Reference: Zaremba et al., 2014, section 3.1 (dropout between layers only).
"""

from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.config import Config, require
from lmcore.rnn import CELLS, Recurrent


@dataclass(frozen=True, kw_only=True)
class RNNLMConfig(Config):
    """The shape of a recurrent language model.

    Attributes:
        vocab_size: Number of tokens.
        kind: "rnn", "lstm" or "gru".
        input_size: Width of a token's embedding.
        hidden_size: Width of each layer's state.
        n_layers: Recurrent layers.
        dropout: On the embedding, between layers and before the scores.
        tie_weights: Use the embedding as the output matrix too (Press and Wolf, 2017);
            needs ``input_size == hidden_size``.
        fused: Run torch's kernel; the same numbers, faster.
    """

    vocab_size: int
    kind: str = "lstm"
    input_size: int = 128
    hidden_size: int = 256
    n_layers: int = 2
    dropout: float = 0.2
    tie_weights: bool = False
    fused: bool = True

    def validate(self) -> None:
        """Check every field."""
        for name in ("vocab_size", "input_size", "hidden_size", "n_layers"):
            value = getattr(self, name)
            require(type(value) is int and value >= 1, name, value, "be an int >= 1")
        require(self.kind in CELLS, "kind", self.kind, f"be one of {sorted(CELLS)}")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "be from 0 to below 1")
        require(
            not self.tie_weights or self.input_size == self.hidden_size,
            "tie_weights",
            self.tie_weights,
            f"be False unless input_size={self.input_size} equals "
            f"hidden_size={self.hidden_size}",
        )


class RNNLMOutput(NamedTuple):
    """Logits (B, T, V) and the state after the last position."""

    logits: Float[Tensor, "B T V"]
    state: tuple[Float[Tensor, "layers B hidden"], ...]


class RNNLM(nn.Module):
    """The language model; ``model(ids)`` starts from an empty state."""

    def __init__(self, config: RNNLMConfig) -> None:
        super().__init__()
        self.config = config
        self.tok_emb = nn.Embedding(config.vocab_size, config.input_size)
        self.dropout = nn.Dropout(config.dropout)
        self.rnn = Recurrent(
            config.kind,
            config.input_size,
            config.hidden_size,
            config.n_layers,
            config.dropout,
            config.fused,
        )
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        if config.tie_weights:
            self.lm_head.weight = self.tok_emb.weight

    def forward(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Scores for the token after each position."""
        return self.read(ids).logits

    def read(
        self,
        ids: Int[Tensor, "B T"],
        state: tuple[Float[Tensor, "layers B hidden"], ...] | None = None,
    ) -> RNNLMOutput:
        """Read on from ``state`` (None: from the beginning)."""
        x = self.dropout(self.tok_emb(ids))  # (B, T, input)
        output, state = self.rnn(x, state)
        return RNNLMOutput(self.lm_head(self.dropout(output)), state)


def detach_state(state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The same numbers without their history: where truncated BPTT cuts."""
    return tuple(s.detach() for s in state)
