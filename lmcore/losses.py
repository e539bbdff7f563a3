"""Losses: how far a prediction is from what happened, as one number to minimise.

Classes (tokens) always stand on the last axis, unlike in ``torch.nn.functional``, where
they stand second. Each loss is the mean over everything it is given.

``cross_entropy_explicit`` is the equation; ``cross_entropy`` gives the same numbers
through torch's fused kernel, which goes over the (B, T, V) scores fewer times.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from lmcore.activations import log_softmax

IGNORE_INDEX = -100
PIECE = 2**21  # numbers: 8 MB in float32


def cross_entropy_explicit(
    logits: Float[Tensor, "*batch V"],
    targets: Int[Tensor, "*batch"],
    *,
    ignore_index: int = IGNORE_INDEX,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """The mean of -log p(target), in nats; p is the softmax of the logits.

    With label smoothing s, the target distribution is (1 - s) on the target plus s / V
    on every class (Szegedy et al., 2016, section 7).

    Args:
        logits: Scores, one per class, any number of leading axes.
        targets: Class numbers from 0 to V-1, or ``ignore_index``.
        ignore_index: Positions with this target do not count.
        label_smoothing: From 0 (none) up to 1.

    Returns:
        A scalar; NaN if every position is ignored (0 / 0), as in torch.
    """
    counts = targets != ignore_index  # (*batch)
    picked = targets.where(counts, 0).unsqueeze(-1)  # (*batch, 1)
    log_probs = log_softmax(logits)
    loss = -log_probs.gather(-1, picked).squeeze(-1)
    if label_smoothing:
        loss = (1 - label_smoothing) * loss - label_smoothing * log_probs.mean(-1)
    return loss.where(counts, 0).sum() / counts.sum()


def cross_entropy(
    logits: Float[Tensor, "*batch V"],
    targets: Int[Tensor, "*batch"],
    *,
    ignore_index: int = IGNORE_INDEX,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """``cross_entropy_explicit`` in torch's kernel: the same arguments and number.

    The rows are taken some at a time, since (N, V) scores are large: pieces of PIECE
    numbers use the same memory again, where one of all rows would ask for more.
    """
    n_rows = max(1, PIECE // logits.shape[-1])
    pieces = zip(
        logits.reshape(-1, logits.shape[-1]).split(n_rows),  # (n_rows, V) each
        targets.reshape(-1).split(n_rows),  # (n_rows,) each
        strict=True,
    )
    sums = [
        F.cross_entropy(
            some_logits,
            some_targets,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            reduction="sum",
        )
        for some_logits, some_targets in pieces
    ]
    return torch.stack(sums).sum() / (targets != ignore_index).sum()


def binary_cross_entropy(
    logits: Float[Tensor, "*shape"], targets: Float[Tensor, "*shape"]
) -> Float[Tensor, ""]:
    """-y log p - (1 - y) log(1 - p), averaged, in nats; p is the sigmoid of the logits.

    Written as log(1 + e^z) - y z, which does not overflow. Both terms are needed: with
    -y log p alone, an example with y = 0 would teach nothing.
    """
    return (torch.logaddexp(logits, torch.zeros_like(logits)) - targets * logits).mean()


def mse(
    predictions: Float[Tensor, "*shape"], targets: Float[Tensor, "*shape"]
) -> Float[Tensor, ""]:
    """Mean squared error: the mean of (prediction - target)^2, without a factor 1/2."""
    return ((predictions - targets) ** 2).mean()
