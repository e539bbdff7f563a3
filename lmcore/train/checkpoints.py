"""Checkpoints that are whole or not there at all.

A run may be killed at any moment, in the middle of writing too. So a checkpoint is one
directory, written under another name and renamed when everything in it is on the disk:

    step_100.tmp/  ->  step_100/   model.safetensors      weights, tied ones once
                                   optimizer.safetensors  running means of AdamW
                                   history.json           every row so far
                                   state.json             step, settings, model's config
                                   manifest.json          size and SHA-256 of the others

Renaming is one action for the file system: before it there is no step_100, after it a
complete one. ``fsync`` first makes sure that the contents have left the computer's
memory, or a power cut could keep the name and lose the data (Pillai et al., 2014, "All
File Systems Are Not Created Equal"). The manifest tells a damaged copy from a good one.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from lmcore.train.history import History

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """A run as it was after some step.

    Attributes:
        path: The directory.
        weights: The model's ``state_dict``, on the CPU.
        optimizer: What the optimiser remembers: "m.NAME", "v.NAME", "t.NAME".
        history: Every row up to this step.
        state: "step", "settings" (what must not change on resuming), "model_config".
    """

    path: Path
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    history: History
    state: dict[str, Any]

    @property
    def step(self) -> int:
        """The optimiser steps made."""
        return self.state["step"]


def save_checkpoint(
    out_dir: str | Path,
    model: nn.Module,
    optimizer: dict[str, Tensor],
    history: History,
    settings: dict[str, Any],
) -> Path:
    """Write ``step_N`` for the history's last step N, whole or not at all.

    Raises:
        OSError: If the disk is full or the folder cannot be written to; nothing is
            left behind then, and older checkpoints stay.
    """
    final = Path(out_dir) / f"step_{history.last_step}"
    part = final.with_name(final.name + ".tmp")
    config = getattr(model, "config", None)
    state = {
        "step": history.last_step,
        "settings": settings,
        "model_config": config.to_dict() if hasattr(config, "to_dict") else None,
    }
    try:
        remove(part)
        part.mkdir(parents=True)
        files = {
            "model.safetensors": weights_to_bytes(model),
            "optimizer.safetensors": safetensors.torch.save(optimizer),
            "history.json": json.dumps(history.to_dict()).encode(),
            "state.json": json.dumps(state, indent=1).encode(),
        }
        manifest = {name: describe(data) for name, data in files.items()}
        listing = {"format": FORMAT, "files": manifest}
        files[MANIFEST] = json.dumps(listing, indent=1).encode()
        for name, data in files.items():
            write_through(part / name, data)
        flush_directory(part)
        remove(final)  # there is one only if it was found damaged
        os.replace(part, final)
        flush_directory(final.parent)
    except OSError as error:
        with suppress(OSError):
            remove(part)
        raise OSError(
            error.errno, f"cannot save {final.name}: {error.strerror}", str(out_dir)
        ) from error
    return final


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint, after checking it against its manifest.

    Raises:
        ValueError: If a file is missing or damaged (names it).
    """
    path = Path(path)
    damage = find_damage(path)
    if damage:
        raise ValueError(f"path={str(path)!r}: must be a complete checkpoint; {damage}")
    return Checkpoint(
        path=path,
        weights=load_weights(path / "model.safetensors"),
        optimizer=safetensors.torch.load_file(path / "optimizer.safetensors"),
        history=History.load(path / "history.json"),
        state=json.loads((path / "state.json").read_text(encoding="utf-8")),
    )


def list_checkpoints(out_dir: str | Path) -> dict[int, Path]:
    """The directories named ``step_N``, by N, the newest first, unchecked."""
    out_dir = Path(out_dir)
    names = os.listdir(out_dir) if out_dir.is_dir() else []
    steps = [int(match[1]) for n in names if (match := re.fullmatch(r"step_(\d+)", n))]
    return {step: out_dir / f"step_{step}" for step in sorted(steps, reverse=True)}


def latest_checkpoint(
    out_dir: str | Path, report: Callable[[str], None] = print
) -> Path | None:
    """The newest complete checkpoint, or None; ``report`` hears of damaged ones."""
    for path in list_checkpoints(out_dir).values():
        damage = find_damage(path)
        if not damage:
            return path
        report(f"skipped the checkpoint {path}: {damage}")
    return None


def best_checkpoint(out_dir: str | Path) -> Path | None:
    """The checkpoint with the lowest evaluation loss, as the newest one knows it."""
    newest = latest_checkpoint(out_dir)
    if newest is None:
        return None
    best = History.load(newest / "history.json").best
    return None if best is None else newest.with_name(f"step_{best['step']}")


def prune_checkpoints(out_dir: str | Path, keep_last: int, best: int | None) -> None:
    """Delete all but the last ``keep_last`` and the best one's step, and leftovers."""
    for step, path in list(list_checkpoints(out_dir).items())[keep_last:]:
        if step != best:
            remove(path)
    for leftover in Path(out_dir).glob("step_*.tmp"):
        remove(leftover)


def save_weights(path: str | Path, model: nn.Module) -> None:
    """Write a model's weights alone to a safetensors file, whole or not at all."""
    path = Path(path)
    part = path.with_name(path.name + ".tmp")
    write_through(part, weights_to_bytes(model))
    os.replace(part, path)
    flush_directory(path.parent)


def weights_to_bytes(model: nn.Module) -> bytes:
    """The model's weights in the format safetensors; tied weights are stored once.

    safetensors refuses tensors that share memory. A name that is tied to another is
    left out and noted in the file's header: {"lm_head.weight": "tok_emb.weight"}.
    """
    stored, tied, owners = {}, {}, {}
    for name, tensor in model.state_dict().items():
        place = (tensor.data_ptr(), tensor.shape, tensor.stride())
        owner = owners.setdefault(place, name) if tensor.numel() else name
        if owner == name:
            stored[name] = tensor.detach().cpu().clone().contiguous()
        else:
            tied[name] = owner
    return safetensors.torch.save(stored, metadata={"tied": json.dumps(tied)})


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a weights file for ``load_state_dict``; tied names get their tensor."""
    with safetensors.safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        tied = json.loads((file.metadata() or {}).get("tied", "{}"))
    return weights | {name: weights[owner] for name, owner in tied.items()}


def find_damage(path: Path) -> str | None:
    """What is wrong with a checkpoint, in words; None if it is complete."""
    try:
        listing = json.loads((path / MANIFEST).read_bytes())
        if listing["format"] != FORMAT:
            return f"format {listing['format']} is not {FORMAT}"
        for name, expected in listing["files"].items():
            if describe((path / name).read_bytes()) != expected:
                return f"{name} differs from what was written"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"incomplete ({type(error).__name__}: {error})"
    return None


def describe(data: bytes) -> dict[str, Any]:
    """Size and checksum, as the manifest lists them."""
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def write_through(path: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def flush_directory(path: Path) -> None:
    """Wait until the disk has a directory's list of names (Windows cannot be asked)."""
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove(path: Path) -> None:
    """Delete a directory if it is there; renamed first, so that no half one remains."""
    if not path.exists():
        return
    if path.suffix == ".tmp":
        shutil.rmtree(path)
    else:
        doomed = path.with_name(path.name + ".old.tmp")
        remove(doomed)
        os.replace(path, doomed)
        remove(doomed)
