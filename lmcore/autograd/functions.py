"""Losses on the engine's tensors; each is a formula over operations it already has."""

import numpy as np

from lmcore.autograd.engine import Tensor


def mse(predictions: Tensor, targets: np.ndarray) -> Tensor:
    """The mean of (prediction - target)^2 over all entries.

    Raises:
        ValueError: If the shapes differ (broadcasting here is nearly always a mistake).
    """
    targets = np.asarray(targets)
    if targets.shape != predictions.shape:
        raise ValueError(
            f"targets of shape {targets.shape}: must have the shape of predictions, "
            f"{predictions.shape}"
        )
    return ((predictions - targets) ** 2).mean()


def cross_entropy(logits: Tensor, targets: np.ndarray) -> Tensor:
    """The mean of -log p(target), in nats.

    Args:
        logits: (N, V), one score per class.
        targets: (N,) integers from 0 to V-1.

    Raises:
        ValueError: If the shapes do not fit or a target is no class.
    """
    targets = np.asarray(targets)
    if logits.ndim != 2 or targets.shape != logits.shape[:1]:
        raise ValueError(
            f"targets of shape {targets.shape} for logits of shape {logits.shape}: "
            "must be one integer for each row of an (N, V) matrix"
        )
    if targets.size == 0 or targets.min() < 0 or targets.max() >= logits.shape[1]:
        raise ValueError(f"targets: must lie from 0 to {logits.shape[1] - 1}")
    return -logits.log_softmax()[np.arange(len(targets)), targets].mean()
