"""Heads: what turns an encoder's hidden states into answers to a task.

An encoder gives one vector per token, h of shape (B, T, D). One linear map more makes
it answer a question; which one depends only on where the answer stands:

    one label a text     logits = W pool(h) + b        (B, C)     SequenceClassifier
    one label a token    logits = W h_t + b            (B, T, C)  TokenLabeller
    a piece of the text  start and end = W h_t + b     (B, T, 2)  SpanExtractor

These are the three heads of BERT's paper. A new head knows nothing: until it has been
trained, its answers are those of random weights, however good the encoder is.

References:
    Devlin et al., 2019, section 4 (the heads) and 4.2 (a span's score is the sum of its
    ends' scores). Reimers and Gurevych, 2019, section 3 (the mean instead of [CLS]).
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmcore.config import require
from lmcore.models.bert import Bert, init_weights, mean_pool

POOLINGS = ("mean", "first")


def new_head(encoder: Bert, n_outputs: int) -> nn.Linear:
    """A linear map from the encoder's width to some scores, of small random weights."""
    usable = type(n_outputs) is int and n_outputs >= 1
    require(usable, "n_labels", n_outputs, "be an int >= 1")
    head = nn.Linear(encoder.config.d_model, n_outputs)
    init_weights(head)
    weight = encoder.tok_emb.weight
    return head.to(weight.device, weight.dtype)


class SequenceClassifier(nn.Module):
    """One label for a whole text: pool, then a linear map.

    Args:
        encoder: Gives the hidden states; its own pooler is not used.
        n_labels: Number of labels C, at least 2.
        pooling: "mean" over the real tokens, or the "first" token's vector ([CLS]).
        dropout: Share of the pooled vector set to 0, in training.
    """

    def __init__(
        self,
        encoder: Bert,
        n_labels: int,
        pooling: str = "mean",
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        usable = type(n_labels) is int and n_labels >= 2
        require(usable, "n_labels", n_labels, "be an int >= 2")
        require(pooling in POOLINGS, "pooling", pooling, f"be one of {[*POOLINGS]}")
        self.encoder = encoder
        self.pooling = pooling
        self.dropout = nn.Dropout(check_dropout(dropout))
        self.head = new_head(encoder, n_labels)

    def forward(
        self, ids: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B C"]:
        """Scores for each label; ``mask`` is True at real tokens."""
        return self.classify(self.pool(ids, mask))

    def pool(
        self, ids: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        """One vector per text; a frozen encoder always gives the same."""
        h = self.encoder(ids, mask)  # (B, T, D)
        return mean_pool(h, mask) if self.pooling == "mean" else h[:, 0]

    def classify(self, pooled: Float[Tensor, "B D"]) -> Float[Tensor, "B C"]:
        """Scores for each label, from the pooled vectors."""
        return self.head(self.dropout(pooled))


class TokenLabeller(nn.Module):
    """One label for each token.

    Args:
        encoder: Gives the hidden states.
        n_labels: Number of labels C.
        dropout: Share of each token's vector set to 0, in training.
    """

    def __init__(self, encoder: Bert, n_labels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(check_dropout(dropout))
        self.head = new_head(encoder, n_labels)

    def forward(
        self, ids: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T C"]:
        """Scores for each token's labels; those at padding mean nothing."""
        return self.head(self.dropout(self.encoder(ids, mask)))


class SpanExtractor(nn.Module):
    """Where an answer starts and where it ends, in a text that holds it.

    Args:
        encoder: Gives the hidden states.
        dropout: Share of each token's vector set to 0, in training.
    """

    def __init__(self, encoder: Bert, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(check_dropout(dropout))
        self.head = new_head(encoder, 2)

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B T"],
        segment_ids: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T 2"]:
        """Each token's score as the answer's first (0) and as its last token (1)."""
        return self.head(self.dropout(self.encoder(ids, mask, segment_ids)))


class Spans(NamedTuple):
    """The best span of each text: its first token, its last token, its score."""

    start: Int[Tensor, "B"]
    end: Int[Tensor, "B"]
    score: Float[Tensor, "B"]


def best_spans(
    scores: Float[Tensor, "B T 2"], allowed: Bool[Tensor, "B T"], max_len: int
) -> Spans:
    """The span whose start and end together score highest.

    The best start and the best end, each taken for itself, need not be a span: the end
    may come first. So all pairs are scored, score[i, j] = start_i + end_j, and those
    with j < i, with more than ``max_len`` tokens, or with an end that is not allowed,
    are left out. Of equal ones the first wins.

    Args:
        scores: Start and end scores, as ``SpanExtractor`` gives them.
        allowed: Where a span may start and end: the text, not the question, the
            special tokens or padding.
        max_len: The most tokens a span may have.

    Raises:
        ValueError: If ``max_len`` is below 1 or a row allows nothing.
    """
    usable = type(max_len) is int and max_len >= 1
    require(usable, "max_len", max_len, "be an int >= 1")
    empty = (~allowed.any(1)).nonzero().flatten().tolist()
    require(not empty, "allowed", f"rows {empty}", "allow a token in every row")
    length = scores.shape[1]
    pairs = scores[:, :, None, 0] + scores[:, None, :, 1]  # (B, T, T)
    ones = torch.ones(length, length, dtype=torch.bool, device=scores.device)
    in_order = ones.triu() & ones.tril(max_len - 1)  # i <= j < i + max_len
    fits = in_order & allowed[:, :, None] & allowed[:, None, :]
    best = pairs.masked_fill(~fits, -torch.inf).flatten(1).max(1)
    return Spans(best.indices // length, best.indices % length, best.values)


def check_dropout(dropout: float) -> float:
    """The share, if it is one."""
    require(0 <= dropout < 1, "dropout", dropout, "be from 0 to below 1")
    return dropout
