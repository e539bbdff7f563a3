"""The training loop.

    for each step:
        gradient of the mean loss over the batch     (gradients.py)
        clip it, look up the learning rate, AdamW's step
        every so often: evaluate, save, stop early

Everything else is there so that a run of hours can be trusted: it may be killed and
goes on as if nothing had happened, it stops when the loss is no number, and it keeps
what it measured.

References: AdamW, Loshchilov and Hutter, 2019. Clipping, Pascanu et al., 2013. Warm-up
and cosine as in Radford et al., 2018, section 4.1. Mixed precision, Micikevicius et
al., 2018.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from lmcore.config import TrainConfig, require
from lmcore.optim import clip_grad_norm, cosine_schedule, linear_schedule
from lmcore.runtime import pick_dtype
from lmcore.train.checkpoints import Checkpoint
from lmcore.train.distributed import World, join_world
from lmcore.train.gradients import (
    GetBatch,
    Loss,
    compute_gradients,
    mixed_precision,
    own_random_numbers,
    seed_step,
)
from lmcore.train.history import History
from lmcore.train.interrupt import Interrupt, catch_interrupt
from lmcore.train.progress import progress_bar, show
from lmcore.train.run_state import RunState, new_run, open_folder

Evaluate = Callable[[nn.Module], dict[str, float]]


def constant_schedule(
    step: int, *, lr: float, max_steps: int, warmup_steps: int, min_lr: float
) -> float:
    """Up from 0 to ``lr`` over the warm-up, and there it stays."""
    return lr * min(1.0, step / max(1, warmup_steps))


SCHEDULES = {
    "cosine": cosine_schedule,
    "linear": linear_schedule,
    "constant": constant_schedule,
}


def is_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Which weights decay unless told otherwise: all but biases and norms' gains."""
    return parameter.ndim >= 2


def train(
    model: nn.Module,
    get_batch: GetBatch,
    loss_fn: Callable[..., Loss],
    config: TrainConfig,
    *,
    evaluate: Evaluate | None = None,
    eval_every: int = 0,
    out_dir: str | Path | None = None,
    save_every: int = 0,
    keep_last: int = 2,
    resume: bool = True,
    patience: int | None = None,
    dtype: torch.dtype | None = torch.float32,
    compile: bool = False,
    device: str | torch.device | None = None,
    schedule: str = "cosine",
    weight_decay_filter: Callable[[str, nn.Parameter], bool] = is_matrix,
    description: str = "train",
) -> History:
    """Train ``model`` in place for ``config.max_steps`` steps, or until told to stop.

    Called again with the same arguments after an interruption, it goes on from the
    newest complete checkpoint in ``out_dir``, and the result has the same bits as an
    undisturbed run's (on the same machine, with the same number of threads). Under
    ``torchrun``, each process takes its share of every batch's rows; process 0 alone
    evaluates, writes and shows progress.

    Args:
        model: Moved to ``device``. Ends with the last step's weights, not the best's.
        get_batch: ``get_batch(step, micro)`` gives a tuple of tensors, rows first; a
            function of its arguments alone. Steps count from 1, micro-batches from 0.
            ``config.batch_size`` is for it to use: the loop does not read it.
        loss_fn: ``loss_fn(model, *batch)`` gives the mean over the batch's rows, or,
            where rows count different numbers of targets, ``(sum, count)``. In mixed
            precision it has to compute from ``logits.float()``. It calls ``model(...)``
            and nothing else of it, since DistributedDataParallel may stand around it.
        config: Learning rate, decay, steps and the like.
        evaluate: Gives numbers by name, the one to minimise as "loss". Called in
            ``eval()`` mode without gradients, in training's number format.
        eval_every: Steps between evaluations; there is one after the last step anyway.
        out_dir: Where checkpoints go; None keeps nothing.
        save_every: Steps between checkpoints; the best and the last step are kept
            anyway.
        keep_last: Checkpoints to keep, besides the best.
        resume: Go on from what is in ``out_dir``; else it must hold no checkpoint.
        patience: Stop after so many evaluations in a row without a better one.
        dtype: float32 computes in the weights' own format, bfloat16 in mixed
            precision, None in what ``pick_dtype`` finds.
        compile: Run the model through ``torch.compile``.
        device: None for the best there is.
        schedule: "cosine", "linear" or "constant", after a linear warm-up.
        weight_decay_filter: Whether the parameter of that name decays.
        description: What the progress bar is called.

    Raises:
        ValueError: If an argument is out of range, or ``out_dir`` holds a run with
            other settings (names them).
        FloatingPointError: If loss or gradient is not finite; says at which step and
            learning rate. Nothing of that step is saved.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, when the step is finished and
            saved.
        OSError: If a checkpoint cannot be written.
    """
    require(schedule in SCHEDULES, "schedule", schedule, f"be one of {[*SCHEDULES]}")
    check_plan(evaluate, eval_every, out_dir, save_every, keep_last, patience, dtype)
    was_training = model.training
    with (
        join_world(device) as world,
        own_random_numbers(world.device),
        catch_interrupt() as interrupt,
    ):
        settings = config.to_dict() | {"schedule": schedule}
        run = new_run(model.to(world.device), config, weight_decay_filter, settings)
        checkpoint = world.from_first(lambda: open_folder(out_dir, resume))
        dtype = world.from_first(lambda: choose_dtype(dtype, checkpoint, world.device))
        settings["dtype"] = str(dtype)
        if checkpoint is not None:
            run.restore(checkpoint)
        history, forward = run.history, world.wrap(model)
        forward = torch.compile(forward) if compile else forward

        with progress_bar(description, history, config, world) as progress:
            while history.last_step < config.max_steps:
                if out_of_patience(history, patience):
                    break
                interrupted = take_step(
                    run, forward, get_batch, loss_fn, schedule, world, dtype, interrupt
                )
                show(progress, history)
                step, better = history.last_step, False
                last = step == config.max_steps
                if evaluate and (last or is_due(step, eval_every)):
                    row = measure(evaluate, run, world, dtype)
                    better = row is history.best
                stopping = last or interrupted or out_of_patience(history, patience)
                if out_dir and (stopping or better or is_due(step, save_every)):
                    world.from_first(lambda: run.save(out_dir, keep_last))
                if interrupted:
                    raise KeyboardInterrupt(how_to_resume(step, out_dir))
    model.train(was_training)
    return history


def take_step(
    run: RunState,
    forward: nn.Module,
    get_batch: GetBatch,
    loss_fn: Callable[..., Loss],
    schedule: str,
    world: World,
    dtype: torch.dtype,
    interrupt: Interrupt,
) -> bool:
    """One optimiser step and its row; whether any process was asked to stop."""
    started = time.perf_counter()
    step, config, history = run.history.last_step + 1, run.config, run.history
    run.model.train()
    seed_step(config.seed, step, world.rank)
    loss, tokens, interrupted = compute_gradients(
        forward,
        get_batch,
        loss_fn,
        step,
        config.grad_accum_steps,
        world,
        dtype,
        interrupt,
    )
    lr = run.optimizer.lr = SCHEDULES[schedule](
        step,
        lr=config.lr,
        max_steps=config.max_steps,
        warmup_steps=config.warmup_steps,
        min_lr=config.min_lr,
    )
    norm = clip_grad_norm(run.optimizer.params, config.grad_clip or math.inf)
    refuse_non_finite({"loss": loss, "gradient's norm": norm}, step, lr)
    run.optimizer.step()
    run.optimizer.zero_grad()
    history.steps.append(
        {
            "step": step,
            "loss": loss,
            "lr": lr,
            "grad_norm": norm,
            "tokens": history.total("tokens") + tokens,
            "seconds": history.total("seconds") + time.perf_counter() - started,
        }
    )
    return interrupted


def measure(
    evaluate: Evaluate, run: RunState, world: World, dtype: torch.dtype
) -> dict[str, float]:
    """Call ``evaluate`` in process 0, and keep what it gives as a row."""
    run.model.eval()
    with torch.no_grad(), mixed_precision(world.device, dtype):
        figures = world.from_first(lambda: evaluate(run.model))
    if not isinstance(figures, dict) or "loss" not in figures:
        raise TypeError(f"evaluate={figures!r}: must return a dictionary with a 'loss'")
    step = run.history.last_step
    row = {"step": step} | {n: run.history.total(n) for n in ("tokens", "seconds")}
    row |= {name: float(value) for name, value in figures.items()}
    refuse_non_finite({"evaluation's loss": row["loss"]}, step, run.optimizer.lr)
    run.history.evaluations.append(row)
    return row


def refuse_non_finite(figures: dict[str, float], step: int, lr: float) -> None:
    """Stop before a number that is none gets into the weights or onto the disk."""
    for name, value in figures.items():
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the {name} is {value} at step {step}, learning rate {lr:.3g}. The "
                "step was not made. Look at this batch, or train with a lower learning "
                "rate, a longer warm-up or a smaller grad_clip, in another out_dir"
            )


def choose_dtype(
    dtype: torch.dtype | None, checkpoint: Checkpoint | None, device: torch.device
) -> torch.dtype:
    """What was asked for, else what the run began in, else what is faster here."""
    if dtype is None and checkpoint is not None:
        return getattr(torch, checkpoint.state["settings"]["dtype"].split(".")[1])
    return dtype or pick_dtype(device)


def out_of_patience(history: History, patience: int | None) -> bool:
    """Whether so many evaluations in a row have brought nothing better."""
    return patience is not None and history.evaluations_since_best >= patience


def is_due(step: int, every: int) -> bool:
    """Whether something that happens ``every`` so many steps (0: never) is due."""
    return every > 0 and step % every == 0


def how_to_resume(step: int, out_dir: str | Path | None) -> str:
    """What to tell someone who pressed Ctrl-C."""
    if out_dir is None:
        return f"stopped after step {step}; without out_dir nothing was saved"
    return (
        f"stopped after step {step}, which is saved in {out_dir}; the same call "
        "(or command) goes on from there"
    )


def check_plan(
    evaluate: Evaluate | None,
    eval_every: int,
    out_dir: str | Path | None,
    save_every: int,
    keep_last: int,
    patience: int | None,
    dtype: torch.dtype | None,
) -> None:
    """Refuse arguments that are out of range or contradict each other."""
    counts = {"eval_every": eval_every, "save_every": save_every}
    for name, value in counts.items():
        require(type(value) is int and value >= 0, name, value, "be an int >= 0")
    counts = {"keep_last": keep_last, "patience": 1 if patience is None else patience}
    for name, value in counts.items():
        require(type(value) is int and value >= 1, name, value, "be an int >= 1")
    needs = "be 0 unless there is evaluate"
    require(evaluate or not eval_every, "eval_every", eval_every, needs)
    needs = "be None unless there is evaluate"
    require(evaluate or patience is None, "patience", patience, needs)
    needs = "be 0 unless there is out_dir"
    require(out_dir or not save_every, "save_every", save_every, needs)
    known = (None, torch.float32, torch.bfloat16)
    require(dtype in known, "dtype", dtype, "be float32, bfloat16 or None")
