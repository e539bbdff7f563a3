"""One step's loss and gradient, in as many pieces as memory asks for.

Gradient accumulation cuts a batch into micro-batches, runs them one after the other and
adds up their gradients. The result has to be the whole batch's gradient, and a mean of
means is not the mean: a micro-batch with 10 counted targets must not weigh as much as
one with 500. So every piece contributes the gradient of its *sum*, and the sum of all
counts divides at the end:

    g = (1 / sum_i n_i) * sum_i grad(loss summed over the n_i targets of piece i)

The same holds for the shares of several processes.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lmcore.config import require
from lmcore.train.distributed import World
from lmcore.train.interrupt import Interrupt

GetBatch = Callable[[int, int], tuple[Tensor, ...]]
Loss = Tensor | tuple[Tensor, Tensor | float]


class StepResult(NamedTuple):
    """What a step computed, over all micro-batches and processes."""

    loss: float  # mean over everything counted
    tokens: int  # elements of the batches' first tensor
    interrupted: bool  # in this process or another one


def compute_gradients(
    model: nn.Module,
    get_batch: GetBatch,
    loss_fn: Callable[..., Loss],
    step: int,
    n_micro: int,
    world: World,
    dtype: torch.dtype,
    interrupt: Interrupt,
) -> StepResult:
    """Leave the whole batch's gradient in ``parameter.grad``.

    Args:
        model: The model as ``world.wrap`` gave it.
        get_batch: Gives the micro-batch for (step, micro).
        loss_fn: Gives a mean over the rows, or (sum, count).
        step: The step, from 1 on.
        n_micro: Micro-batches in a step.
        world: Who else computes.
        dtype: bfloat16 for mixed precision; else the weights' own format.
        interrupt: Whether this process was asked to stop.
    """
    total, count, tokens = 0.0, 0.0, 0
    for micro in range(n_micro):
        batch = world.share(to_device(get_batch(step, micro), world.device))
        with world.exchange(model, now=micro == n_micro - 1):
            with mixed_precision(world.device, dtype):
                loss, n = as_sum(loss_fn(model, *batch), batch)
            loss.backward()
        total, count = total + loss.detach(), count + n
        tokens += batch[0].numel()
    sums = world.sum([float(total), float(count), tokens, interrupt.requested])
    total, count, tokens, interruptions = sums
    require(count > 0, "count", count, f"be > 0 (step {step} counts no target)")
    for p in model.parameters():
        if p.grad is not None:
            p.grad *= world.size / count  # DistributedDataParallel divided by its size
    return StepResult(total / count, int(tokens), interruptions > 0)


def as_sum(loss: Loss, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor | float]:
    """A loss as (sum, count): a mean counts once for each row of the batch."""
    is_mean = isinstance(loss, Tensor)
    total, count = (loss, len(batch[0])) if is_mean else loss
    fits = isinstance(total, Tensor) and total.ndim == 0
    found = tuple(total.shape) if isinstance(total, Tensor) else total
    require(fits, "loss_fn", found, "return one number: a mean, or (sum, count)")
    rule = "compute the loss in float32 at least: logits.float()"
    require(total.dtype.itemsize >= 4, "loss_fn", total.dtype, rule)
    return (total * count if is_mean else total), count


def mixed_precision(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Matrix products in bfloat16, if asked for; weights and sums stay in float32."""
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16
    )


def to_device(batch: Any, device: torch.device) -> tuple[Tensor, ...]:
    """The batch's tensors where the model is."""
    tensors = isinstance(batch, tuple | list) and len(batch) > 0
    if not tensors or not all(isinstance(t, Tensor) and t.ndim for t in batch):
        raise TypeError(
            f"get_batch={type(batch).__name__}: must return a tuple of tensors, rows "
            "first"
        )
    rows = [len(t) for t in batch]
    require(len(set(rows)) == 1 and rows[0] > 0, "rows", rows, "be equal and > 0")
    return tuple(t.to(device) for t in batch)


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seed torch's generator from the step, so that resuming repeats dropout's masks.

    Each process draws masks of its own: its rows are others.
    """
    digest = hashlib.sha256(f"{seed} {step} {rank}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:8], "little", signed=True))


@contextmanager
def own_random_numbers(device: torch.device) -> Iterator[None]:
    """Give torch's generators back to the caller as they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
