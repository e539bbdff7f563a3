"""Sequence to sequence with attention: the decoder looks back at every source position.

Without attention, all that the decoder knows of the source is one vector of fixed size.
Here the encoder's outputs h_1 … h_S are all kept, and before each step the decoder asks
which of them it needs. Its last state s_{t-1} is compared with each of them by a small
network, and the answer c_t, the context, is their weighted mean:

    score_tj  = v · tanh(W s_{t-1} + U h_j)
    weight_tj = softmax over j of score_tj
    c_t       = Σ_j weight_tj h_j
    s_t       = LSTM([embedding of token t, c_t], s_{t-1})
    logits_t  = linear([s_t, c_t])

W s + U h is a sum where other kinds of attention take a product: additive attention.

Reference: Bahdanau et al., 2015, sections 3.1 and 3.2 and appendix A.1.2. Simplified in
three places: LSTM instead of GRU, no maxout layer before the scores, and the decoder
starts from the backward encoder's last state as it is.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmcore.attention import padding_mask
from lmcore.config import require
from lmcore.models.seq2seq import Seq2SeqConfig
from lmcore.rnn import Recurrent


@dataclass(frozen=True, kw_only=True)
class Seq2SeqAttentionConfig(Seq2SeqConfig):
    """Shape of encoder, decoder and attention.

    Attributes:
        attention_size: Width A of the comparison, the length of v.
        bidirectional: Read the source from both ends, so that h_j knows what stands
            before and after j: a letter's sound depends on both. False leaves the
            encoder as it is in ``Seq2Seq``.
    """

    attention_size: int = 64
    bidirectional: bool = True

    def validate(self) -> None:
        """Check every field."""
        super().validate()
        size = self.attention_size
        require(
            type(size) is int and size >= 1, "attention_size", size, "be an int >= 1"
        )
        rule = "be False: the scores are read from state and context together"
        require(not self.tie_weights, "tie_weights", self.tie_weights, rule)


class AttentionState(NamedTuple):
    """All that the decoder needs to go on.

    Attributes:
        memory: The encoder's outputs h_j; M is hidden_size, or twice that.
        keys: U h_j, computed once for all steps.
        mask: True = may attend: the source's real positions.
        state: The decoder's recurrent state.
    """

    memory: Float[Tensor, "B S M"]
    keys: Float[Tensor, "B S A"]
    mask: Bool[Tensor, "B S"]
    state: tuple[Float[Tensor, "layers B hidden"], ...]


class AttentionOutput(NamedTuple):
    """What the decoder wrote, and where it can go on."""

    logits: Float[Tensor, "B T V"]
    state: AttentionState


class AdditiveAttention(nn.Module):
    """v · tanh(W s + U h_j), a softmax, and the weighted mean of the h_j.

    Args:
        query_size: Width of s.
        memory_size: Width M of each h_j.
        attention_size: Width A in which they are compared.
    """

    def __init__(self, query_size: int, memory_size: int, attention_size: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(query_size, attention_size, bias=False)  # W
        self.k_proj = nn.Linear(memory_size, attention_size)  # U, with a bias
        self.v = nn.Linear(attention_size, 1, bias=False)

    def forward(
        self,
        query: Float[Tensor, "B Q"],
        keys: Float[Tensor, "B S A"],
        memory: Float[Tensor, "B S M"],
        mask: Bool[Tensor, "B S"],
    ) -> tuple[Float[Tensor, "B M"], Float[Tensor, "B S"]]:
        """Context and weights for one query.

        Args:
            query: The decoder's state s.
            keys: ``k_proj(memory)``, which does not depend on the query.
            memory: What the mean is taken of.
            mask: True = may attend; at least one position of each row.
        """
        q = self.q_proj(query).unsqueeze(1)  # (B, 1, A)
        scores = self.v(torch.tanh(q + keys)).squeeze(-1)  # (B, S)
        weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
        context = (weights.unsqueeze(1) @ memory).squeeze(1)  # (B, M)
        return context, weights


class Seq2SeqAttention(nn.Module):
    """The encoder-decoder with additive attention."""

    def __init__(self, config: Seq2SeqAttentionConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden_size
        memory = 2 * hidden if config.bidirectional else hidden
        self.source_emb = nn.Embedding(config.source_vocab_size, config.input_size)
        self.tok_emb = nn.Embedding(config.vocab_size, config.input_size)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = self._recurrent(config.input_size)
        if config.bidirectional:
            self.backward_encoder = self._recurrent(config.input_size)
        self.attention = AdditiveAttention(hidden, memory, config.attention_size)
        self.decoder = self._recurrent(config.input_size + memory)
        self.lm_head = nn.Linear(hidden + memory, config.vocab_size)

    def _recurrent(self, input_size: int) -> Recurrent:
        config = self.config
        return Recurrent(
            config.kind,
            input_size,
            config.hidden_size,
            config.n_layers,
            config.dropout,
            config.fused,
        )

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
            source_lengths: Real tokens of each source, at least 1; None if there is no
                padding.
        """
        return self.decode(ids, self.encode(source_ids, source_lengths)).logits

    def encode(
        self,
        source_ids: Int[Tensor, "B S"],
        source_lengths: Int[Tensor, "B"] | None = None,
    ) -> AttentionState:
        """The source as one vector per position, and where the decoder starts."""
        if source_lengths is None:
            source_lengths = torch.full_like(source_ids[:, 0], source_ids.shape[1])
        x = self.dropout(self.source_emb(source_ids))  # (B, S, input)
        memory, state = self.encoder(x, lengths=source_lengths)
        if self.config.bidirectional:
            order = reversed_order(source_lengths, x.shape[1])
            turned = take_positions(x, order)
            output, state = self.backward_encoder(turned, lengths=source_lengths)
            memory = torch.cat([memory, take_positions(output, order)], dim=-1)
        mask = padding_mask(source_lengths, x.shape[1])
        return AttentionState(memory, self.attention.k_proj(memory), mask, state)

    def decode(self, ids: Int[Tensor, "B T"], state: AttentionState) -> AttentionOutput:
        """Go on from a state: ``encode``'s, or what an earlier call returned."""
        logits, state, _ = self._decode(ids, state)
        return AttentionOutput(logits, state)

    def select(
        self, state: AttentionState, rows: Int[Tensor, "B_new"]
    ) -> AttentionState:
        """The state of these rows of the batch, in this order, for beam search."""
        recurrent = tuple(s[:, rows] for s in state.state)
        kept = (state.memory[rows], state.keys[rows], state.mask[rows])
        return AttentionState(*kept, recurrent)

    def attention_weights(
        self,
        source_ids: Int[Tensor, "B S"],
        ids: Int[Tensor, "B T"],
        source_lengths: Int[Tensor, "B"] | None = None,
    ) -> Float[Tensor, "B T S"]:
        """Where the decoder looked before each step: row t sums to 1.

        Takes what ``forward`` takes. Row t belongs to the token that is predicted
        after ``ids[:, t]``.
        """
        return self._decode(ids, self.encode(source_ids, source_lengths))[2]

    def _decode(
        self, ids: Tensor, given: AttentionState
    ) -> tuple[Tensor, AttentionState, Tensor]:
        """The loop over time: logits, the new state and the weights."""
        x = self.dropout(self.tok_emb(ids))  # (B, T, input)
        memory, keys, mask, state = given
        read, all_weights = [], []
        for t in range(ids.shape[1]):
            query = state[0][-1]  # h of the last layer, (B, hidden)
            context, weights = self.attention(query, keys, memory, mask)
            step_input = torch.cat([x[:, t], context], dim=-1).unsqueeze(1)
            output, state = self.decoder(step_input, state)
            read.append(torch.cat([output.squeeze(1), context], dim=-1))
            all_weights.append(weights)
        logits = self.lm_head(self.dropout(torch.stack(read, dim=1)))  # (B, T, V)
        return logits, given._replace(state=state), torch.stack(all_weights, dim=1)


def reversed_order(lengths: Int[Tensor, "B"], seq_len: int) -> Int[Tensor, "B S"]:
    """Positions that turn each row around and leave its padding where it is.

    Example:
        >>> reversed_order(torch.tensor([2, 3]), 3).tolist()
        [[1, 0, 2], [2, 1, 0]]
    """
    positions = torch.arange(seq_len, device=lengths.device).expand(len(lengths), -1)
    turned = lengths.unsqueeze(-1) - 1 - positions
    return torch.where(turned >= 0, turned, positions)


def take_positions(
    x: Float[Tensor, "B S N"], order: Int[Tensor, "B S"]
) -> Float[Tensor, "B S N"]:
    """Row b of the result is x[b, order[b]]."""
    return x.gather(1, order.unsqueeze(-1).expand_as(x))
