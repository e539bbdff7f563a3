"""Sequence to sequence with two recurrent networks: one reads, the other writes.

The encoder reads the source and hands over its last state, and nothing else: whatever
the target depends on must fit into that one vector, however long the source was. The
decoder is a recurrent language model that starts from this state.

    source ids -> encoder -> state -> decoder(target ids so far) -> logits

Reference: Sutskever et al., 2014, section 2; Cho et al., 2014, section 2.2.
"""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.config import require
from lmcore.models.rnn_lm import RNNLM, RNNLMConfig, RNNLMOutput
from lmcore.rnn import Recurrent


@dataclass(frozen=True, kw_only=True)
class Seq2SeqConfig(RNNLMConfig):
    """Shape of encoder and decoder; ``vocab_size`` is the target's.

    Attributes:
        source_vocab_size: Number of source tokens.
    """

    source_vocab_size: int

    def validate(self) -> None:
        """Check every field."""
        super().validate()
        size = self.source_vocab_size
        rule = "be an int >= 1"
        require(type(size) is int and size >= 1, "source_vocab_size", size, rule)


class Seq2Seq(nn.Module):
    """The encoder-decoder; both sides have the same sizes and number of layers."""

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        self.config = config
        self.source_emb = nn.Embedding(config.source_vocab_size, config.input_size)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = Recurrent(
            config.kind,
            config.input_size,
            config.hidden_size,
            config.n_layers,
            config.dropout,
            config.fused,
        )
        self.decoder = RNNLM(config)

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
        """
        return self.decode(ids, self.encode(source_ids, source_lengths)).logits

    def encode(
        self,
        source_ids: Int[Tensor, "B S"],
        source_lengths: Int[Tensor, "B"] | None = None,
    ) -> tuple[Float[Tensor, "layers B hidden"], ...]:
        """The source as one state of fixed size."""
        x = self.dropout(self.source_emb(source_ids))  # (B, S, input)
        return self.encoder(x, lengths=source_lengths).state

    def decode(
        self,
        ids: Int[Tensor, "B T"],
        state: tuple[Float[Tensor, "layers B hidden"], ...],
    ) -> RNNLMOutput:
        """Go on from a state: the encoder's, or what an earlier call returned."""
        return self.decoder.read(ids, state)

    def select(
        self,
        state: tuple[Float[Tensor, "layers B hidden"], ...],
        rows: Int[Tensor, "B_new"],
    ) -> tuple[Float[Tensor, "layers B_new hidden"], ...]:
        """The state of these rows of the batch, in this order, for beam search."""
        return tuple(s[:, rows] for s in state)
