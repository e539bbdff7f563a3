"""From one long row of token ids to batches of inputs and targets.

A language model reads ids x_1 … x_T and predicts, at every position, the next one:

    inputs   x_1  x_2  …  x_T
    targets  x_2  x_3  …  x_{T+1}

So a text of N ids has N - 1 predictions, cut into windows of ``seq_len`` each. The
order of the batches is a function of ``(seed, step)`` alone: a training that stopped
at step 500 and goes on there sees exactly what it would have seen.
"""

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Int, Integer
from torch import Tensor

from lmcore.config import require
from lmcore.losses import IGNORE_INDEX


def windows(
    ids: Integer[Tensor, "N"], seq_len: int, stride: int | None = None
) -> Integer[Tensor, "W T"]:
    """All windows of ``seq_len`` ids, one every ``stride``; a view, nothing is copied.

    Args:
        ids: The text's ids.
        seq_len: Ids in a window, T.
        stride: From one window's start to the next one's; ``seq_len`` if not given,
            so that no id is in two windows. Ids behind the last whole window are
            left out.

    Returns:
        W = floor((N - T) / stride) + 1 windows.

    Raises:
        ValueError: If a number is below 1, or the text is shorter than one window.
    """
    stride = check_sizes(seq_len, stride)
    require(len(ids) >= seq_len, "seq_len", seq_len, f"be <= len(ids)={len(ids)}")
    return ids.unfold(0, seq_len, stride)  # (W, T)


def next_token_pairs(
    ids: Integer[Tensor, "N"],
    seq_len: int,
    stride: int | None = None,
    keep_rest: bool = False,
) -> tuple[Int[Tensor, "W T"], Int[Tensor, "W T"]]:
    """Inputs and targets for next-token prediction, as views of the text.

    With the default stride every id but the first is a target exactly once. With a
    smaller stride targets repeat: good for training, wrong for measuring.

    Args:
        ids: The text's ids.
        seq_len: Predictions per window, T.
        stride: From one window's start to the next one's; default ``seq_len``.
        keep_rest: Keep the predictions behind the last whole window too, in a window
            filled up with id 0 as inputs and -100 as targets, which losses ignore.
            For measuring on a whole text.

    Returns:
        ``inputs`` and ``targets``, int64.

    Raises:
        ValueError: If a number is below 1, or the text gives no window.
    """
    stride = check_sizes(seq_len, stride)
    n_predictions = len(ids) - 1
    needed = 1 if keep_rest else seq_len
    require(
        n_predictions >= needed,
        "ids",
        f"{len(ids)} ids",
        f"be at least {needed + 1} ids for seq_len={seq_len}",
    )
    ids = ids.long()
    inputs, targets = ids[:-1], ids[1:]  # (N - 1,) each
    missing = seq_len - n_predictions
    if n_predictions > seq_len:
        missing = -(n_predictions - seq_len) % stride
    if keep_rest and missing:
        inputs = torch.cat([inputs, inputs.new_zeros(missing)])
        targets = torch.cat([targets, targets.new_full((missing,), IGNORE_INDEX)])
    return windows(inputs, seq_len, stride), windows(targets, seq_len, stride)


def epoch_order(n_rows: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the rows in one epoch: a permutation drawn from (seed, epoch)."""
    return np.random.default_rng([seed, epoch]).permutation(n_rows)


def batches(
    *tensors: Tensor, batch_size: int, seed: int, step: int = 0
) -> Iterator[tuple[Tensor, ...]]:
    """Shuffled batches without end, from a given step on.

    An epoch is a permutation of the rows, drawn from ``(seed, epoch)`` and cut into
    whole batches. Rows that do not fill a batch at its end are left out of this
    epoch; in the next one they stand elsewhere. So every batch has the same shape.

    Args:
        *tensors: One or more tensors (W, ...) with the same number of rows, such as
            inputs and targets.
        batch_size: Rows per batch.
        seed: Decides every permutation.
        step: The first batch to give; batch number ``step`` is always the same.

    Yields:
        The chosen rows of each tensor.

    Raises:
        ValueError: If the numbers of rows differ, there are fewer rows than
            ``batch_size``, or a number is out of range.
    """
    n_rows = check_rows(tensors, batch_size)
    require(batch_size <= n_rows, "batch_size", batch_size, f"be <= {n_rows}, the rows")
    for name, value in (("seed", seed), ("step", step)):
        require(type(value) is int and value >= 0, name, value, "be an int >= 0")
    return shuffled(tensors, n_rows, batch_size, seed, step)


def shuffled(
    tensors: tuple[Tensor, ...], n_rows: int, batch_size: int, seed: int, step: int
) -> Iterator[tuple[Tensor, ...]]:
    """The generator behind ``batches``, which has checked the arguments."""
    per_epoch = n_rows // batch_size
    first_epoch, first = divmod(step, per_epoch)
    for epoch in itertools.count(first_epoch):
        order = torch.from_numpy(epoch_order(n_rows, seed, epoch))
        for index in range(first, per_epoch):
            rows = order[index * batch_size : (index + 1) * batch_size]
            yield tuple(tensor[rows] for tensor in tensors)
        first = 0


def ordered_batches(*tensors: Tensor, batch_size: int) -> Iterator[tuple[Tensor, ...]]:
    """Every row once, in order, for measuring; the last batch may be smaller.

    Raises:
        ValueError: If the numbers of rows differ or ``batch_size`` is below 1.
    """
    n_rows = check_rows(tensors, batch_size)
    starts = range(0, n_rows, batch_size)
    return (tuple(t[start : start + batch_size] for t in tensors) for start in starts)


def check_sizes(seq_len: int, stride: int | None) -> int:
    """Refuse sizes below 1; return the stride, which is ``seq_len`` if not given."""
    stride = seq_len if stride is None else stride
    for name, value in (("seq_len", seq_len), ("stride", stride)):
        require(type(value) is int and value >= 1, name, value, "be an int >= 1")
    return stride


def check_rows(tensors: tuple[Tensor, ...], batch_size: int) -> int:
    """The number of rows that all tensors share."""
    rows = {len(tensor) for tensor in tensors}
    require(len(rows) == 1, "rows", sorted(rows), "be the same number in every tensor")
    require(
        type(batch_size) is int and batch_size >= 1,
        "batch_size",
        batch_size,
        "be an int >= 1",
    )
    return rows.pop()
