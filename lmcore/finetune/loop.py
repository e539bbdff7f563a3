"""Epochs with early stopping: the loop behind every fine-tuning here.

    for each epoch:
        one AdamW step for each batch of the training set
        evaluate on the validation set; keep the weights if they are the best so far
        stop if several epochs in a row brought no better score and no lower loss
    put the best weights back

``lmcore.train`` trains for hours from random weights, counts in steps and keeps all of
it on a disk. Here a run takes minutes, a small training set is seen several times, and
what matters is to stop before it is known by heart.

Reference: Prechelt, 1998, "Early Stopping — But When?".
"""

import math
import os
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from tqdm import tqdm

from lmcore.config import require
from lmcore.finetune.config import FineTuneConfig
from lmcore.finetune.parameters import parameter_groups
from lmcore.optim import linear_schedule
from lmcore.runtime import pick_dtype
from lmcore.train import History
from lmcore.train.gradients import mixed_precision

Batch = tuple[Tensor, ...]


def fit_epochs(
    model: nn.Module,
    get_batches: Callable[[int], Sequence[Batch]],
    loss_fn: Callable[..., Tensor],
    evaluate: Callable[[nn.Module], dict[str, float]],
    config: FineTuneConfig,
    progress: bool = False,
) -> History:
    """Train the weights that have ``requires_grad``; keep those of the best epoch.

    Args:
        model: Ends with its best epoch's weights, in evaluation mode.
        get_batches: ``get_batches(epoch)``, from 1 on, gives tuples of tensors, rows
            first; the same number of them in every epoch.
        loss_fn: ``loss_fn(model, *batch)`` gives the batch's mean loss.
        evaluate: Numbers by name, measured on the validation set: the best epoch is the
            one with the highest "score", and of these the one with the lowest "loss".
        config: Epochs, rates, patience, number format.
        progress: Whether to show a bar (never where CI is set).

    Returns:
        A row for each step, and one for each epoch in ``history.evaluations``.

    Raises:
        FloatingPointError: If the loss is no finite number; says at which step.
    """
    config, history = config.with_defaults(), History()
    groups = parameter_groups(model, config.lr, config.layer_decay, config.weight_decay)
    peaks = [group["lr"] for group in groups]
    optimizer = torch.optim.AdamW(groups)
    trained = [p for group in groups for p in group["params"]]
    device = trained[0].device
    dtype = choose_dtype(config.dtype, device)
    best, kept = None, []
    with tqdm(
        desc="training", unit="step", disable=not progress or "CI" in os.environ
    ) as bar:
        for epoch in range(1, config.epochs + 1):
            batches = get_batches(epoch)
            require(len(batches) > 0, "get_batches", epoch, "give at least one batch")
            bar.total = config.epochs * len(batches)
            model.train()
            for batch in batches:
                started, step = time.perf_counter(), history.last_step + 1
                share = rate_share(step, bar.total, config.warmup_share)
                for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                    group["lr"] = share * peak
                with mixed_precision(device, dtype):
                    loss = loss_fn(model, *batch)
                refuse_non_finite(loss, step, share * config.lr)
                optimizer.zero_grad()
                loss.backward()
                if config.grad_clip:
                    nn.utils.clip_grad_norm_(trained, config.grad_clip)
                optimizer.step()
                passed = time.perf_counter() - started
                row = {"step": step, "epoch": epoch, "loss": loss.item()}
                row["lr"] = share * config.lr
                row["tokens"] = history.total("tokens") + batch[0].numel()
                row["seconds"] = history.total("seconds") + passed
                history.steps.append(row)
                bar.update()
            row = {"step": history.last_step, "epoch": epoch}
            row["seconds"] = history.total("seconds")
            row |= measure(model, evaluate, device, dtype)
            history.evaluations.append(row)
            if best is None or merit(row) > merit(best):
                best, kept = row, [p.detach().clone() for p in trained]
            bar.set_postfix_str(f"score {row['score']:.3f}, best {best['score']:.3f}")
            lowest = min(history.evaluations, key=lambda row: row["loss"])
            if epoch - max(best["epoch"], lowest["epoch"]) >= config.patience:
                break
    with torch.no_grad():
        for parameter, weights in zip(trained, kept, strict=True):
            parameter.copy_(weights)
    return history


def merit(row: dict[str, float]) -> tuple[float, float]:
    """What a better epoch has more of."""
    return row["score"], -row["loss"]


def best_evaluation(history: History) -> dict[str, float]:
    """The row of the epoch whose weights were kept."""
    return max(history.evaluations, key=merit)


def rate_share(step: int, max_steps: int, warmup_share: float) -> float:
    """How much of the peak rate a step has: up during the warm-up, then down to 0."""
    warmup_steps = round(warmup_share * max_steps)
    return linear_schedule(
        step, lr=1.0, max_steps=max_steps + 1, warmup_steps=warmup_steps
    )


def measure(
    model: nn.Module,
    evaluate: Callable[[nn.Module], dict[str, float]],
    device: torch.device,
    dtype: torch.dtype,
) -> dict[str, float]:
    """What ``evaluate`` gives, in evaluation mode and without gradients."""
    model.eval()
    with torch.no_grad(), mixed_precision(device, dtype):
        figures = evaluate(model)
    for name in ("score", "loss"):
        require(name in figures, "evaluate", figures, f"give a {name!r}")
    return figures


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The number format of that name; "auto" takes what is faster here."""
    return pick_dtype(device) if name == "auto" else getattr(torch, name)


def refuse_non_finite(loss: Tensor, step: int, lr: float) -> None:
    """Stop before a number that is none gets into the weights."""
    if not math.isfinite(loss.item()):
        raise FloatingPointError(
            f"the loss is {loss.item()} at step {step}, learning rate {lr:.3g}. "
            "The step was not made. Try a lower lr or a smaller grad_clip"
        )
