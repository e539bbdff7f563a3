"""A run between two steps: all that must be kept so that it can go on elsewhere.

Weights, the optimiser's running means, and the rows so far. Nothing else: the learning
rate, the batch and dropout's masks follow from the step's number, so they need no
keeping.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lmcore.config import TrainConfig, require
from lmcore.optim import AdamW
from lmcore.train.checkpoints import (
    Checkpoint,
    latest_checkpoint,
    list_checkpoints,
    load_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)
from lmcore.train.history import History


@dataclass
class RunState:
    """What one step changes.

    Attributes:
        model: The model that is trained.
        config: How.
        names: Of the trained parameters, in the optimiser's order.
        optimizer: AdamW over them.
        settings: What has to be the same when the run goes on.
        history: The rows so far.
    """

    model: nn.Module
    config: TrainConfig
    names: list[str]
    optimizer: AdamW
    settings: dict[str, Any]
    history: History = field(default_factory=History)

    def save(self, out_dir: str | Path, keep_last: int) -> Path:
        """Write a checkpoint, then delete those that are no longer wanted.

        Raises:
            FloatingPointError: If a weight is no finite number.
        """
        for name, p in self.model.named_parameters():
            if not torch.isfinite(p).all():
                raise FloatingPointError(
                    f"{name} is no longer finite after step {self.history.last_step}; "
                    "nothing was saved. Train with a lower learning rate"
                )
        path = save_checkpoint(
            out_dir, self.model, self.optimizer_tensors(), self.history, self.settings
        )
        best = self.history.best
        prune_checkpoints(out_dir, keep_last, best["step"] if best else None)
        return path

    def restore(self, checkpoint: Checkpoint) -> None:
        """Become the run that was saved.

        Raises:
            ValueError: If it was made with other settings or another model.
        """
        refuse_changes(checkpoint, self.settings)
        refuse_other_model(checkpoint, self.model, self.names)
        self.model.load_state_dict(checkpoint.weights)
        state = {quantity: {} for quantity in self.optimizer.state_names}
        for key, tensor in checkpoint.optimizer.items():
            quantity, name = key.split(".", 1)
            index = self.names.index(name)
            is_mean = tensor.is_floating_point()  # else it counts steps
            device = self.optimizer.params[index].device
            state[quantity][index] = tensor.to(device) if is_mean else int(tensor)
        self.optimizer.load_state_dict(state)
        self.history = checkpoint.history

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """The optimiser's state by name: "m.lm_head.weight" and so on."""
        return {
            f"{quantity}.{self.names[index]}": torch.as_tensor(value).detach().cpu()
            for quantity, kept in self.optimizer.state_dict().items()
            for index, value in kept.items()
        }


def new_run(
    model: nn.Module,
    config: TrainConfig,
    decays: Callable[[str, nn.Parameter], bool],
    settings: dict[str, Any],
) -> RunState:
    """A run before its first step; parameters without ``requires_grad`` stay out."""
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    require(len(trained) > 0, "model", type(model).__name__, "have a trained parameter")
    optimizer = AdamW(
        trained.values(),
        lr=config.lr,
        betas=config.betas,
        weight_decay=[
            config.weight_decay if decays(n, p) else 0.0 for n, p in trained.items()
        ],
    )
    return RunState(model, config, list(trained), optimizer, settings)


def open_folder(out_dir: str | Path | None, resume: bool) -> Checkpoint | None:
    """Make sure that checkpoints can be written, and find the newest one.

    Raises:
        OSError: If the folder cannot be made or written to.
        ValueError: If ``resume`` is False and there are checkpoints already.
    """
    if out_dir is None:
        return None
    try:
        Path(out_dir).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out_dir).close()
    except OSError as error:
        text = f"cannot write checkpoints: {error.strerror}"
        raise OSError(error.errno, text, str(out_dir)) from error
    found = [path.name for path in list_checkpoints(out_dir).values()]
    rule = f"be a folder without checkpoints unless resume=True; has {found[:3]}"
    require(resume or not found, "out_dir", str(out_dir), rule)
    path = latest_checkpoint(out_dir)
    if path is None:
        return None
    print(f"going on from {path}")
    return load_checkpoint(path)


def refuse_changes(checkpoint: Checkpoint, settings: dict[str, Any]) -> None:
    """Name every setting that differs from the checkpoint's."""
    kept = checkpoint.state["settings"]
    changed = [
        f"{name}={settings.get(name)!r}, there {kept.get(name)!r}"
        for name in sorted(settings | kept)
        if settings.get(name) != kept.get(name)
    ]
    if changed:
        raise ValueError(
            f"config: must be the one that {checkpoint.path} was made with; "
            f"{'; '.join(changed)}. Take another out_dir for another run"
        )


def refuse_other_model(
    checkpoint: Checkpoint, model: nn.Module, trained: list[str]
) -> None:
    """Name every weight that is missing, left over or of another shape."""
    ours = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    theirs = {name: tuple(t.shape) for name, t in checkpoint.weights.items()}
    wrong = [
        f"{name}: {ours.get(name, 'none')}, there {theirs.get(name, 'none')}"
        for name in sorted(ours | theirs)
        if ours.get(name) != theirs.get(name)
    ]
    known = {key.split(".", 1)[1] for key in checkpoint.optimizer}
    wrong += [f"{name}: not trained now" for name in sorted(known - set(trained))]
    if wrong:
        raise ValueError(
            f"model: must have the weights of {checkpoint.path}; {'; '.join(wrong)}"
        )
