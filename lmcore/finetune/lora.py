"""LoRA: leave a layer's weights alone, and learn a small correction beside them.

    h = W x + b + (alpha / rank) B A x        A: rank x D_in,  B: D_out x rank

W stays as it was published. A starts random and B at zero, so that at first nothing
changes; then A and B alone are trained. With rank 8 and D = 384 they hold 6,144 numbers
where W has 147,456. The correction B A is a matrix like W: it can be added to W
(``merge``), so that using the model costs no more than before, and taken off again.

Reference: Hu et al., 2022, "LoRA", section 4.1. The library ``peft`` computes the same.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lmcore.config import require
from lmcore.finetune.parameters import count_trained

TARGETS = ("q_proj", "v_proj")


class LoRALinear(nn.Module):
    """A linear map with a correction of low rank beside it.

    Args:
        linear: The map; its weights are frozen.
        rank: Width of the correction.
        alpha: The correction is scaled by alpha / rank, so that another rank needs no
            other learning rate.
        dropout: Share of the correction's input set to 0, in training.
    """

    def __init__(
        self, linear: nn.Linear, rank: int, alpha: float, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if not isinstance(linear, nn.Linear):
            raise TypeError(f"linear={type(linear).__name__}: must be an nn.Linear")
        d_out, d_in = linear.weight.shape
        usable = type(rank) is int and 1 <= rank <= min(d_in, d_out)
        rule = f"be an int from 1 to {min(d_in, d_out)}, the map's smaller side"
        require(usable, "rank", rank, rule)
        require(alpha > 0, "alpha", alpha, "be > 0")
        require(0 <= dropout < 1, "dropout", dropout, "be from 0 to below 1")
        self.linear = linear.requires_grad_(False)
        self.rank, self.alpha = rank, alpha
        self.dropout = nn.Dropout(dropout)
        self.lora_a = nn.Parameter(linear.weight.new_empty(rank, d_in))
        self.lora_b = nn.Parameter(linear.weight.new_zeros(d_out, rank))
        nn.init.kaiming_uniform_(self.lora_a, a=5**0.5)  # as nn.Linear's own weights
        self.merged = False

    def forward(self, x: Float[Tensor, "... D_in"]) -> Float[Tensor, "... D_out"]:
        """The map's answer, corrected."""
        if self.merged:
            return self.linear(x)
        low = self.dropout(x) @ self.lora_a.T  # (..., rank)
        return self.linear(x) + self.alpha / self.rank * (low @ self.lora_b.T)

    def correction(self) -> Float[Tensor, "D_out D_in"]:
        """(alpha / rank) B A: what is added to the weights."""
        return self.alpha / self.rank * (self.lora_b @ self.lora_a)

    @torch.no_grad()
    def merge(self) -> None:
        """Add the correction to the weights; a second call changes nothing."""
        if not self.merged:
            self.linear.weight += self.correction()
            self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take the correction off the weights again, to train on."""
        if self.merged:
            self.linear.weight -= self.correction()
            self.merged = False


def add_lora(
    model: nn.Module,
    rank: int = 8,
    alpha: float = 16,
    targets: Sequence[str] = TARGETS,
    dropout: float = 0.0,
) -> int:
    """Put a correction beside every map with one of these names; freeze the rest.

    A ``head`` of the model, if it has one, stays trained: it is new. Works on any model
    of this course; the default targets are the two that the paper recommends.

    Args:
        model: Changed in place.
        rank: See ``LoRALinear``.
        alpha: See ``LoRALinear``.
        targets: Names of linear maps, without what stands before the last dot.
        dropout: See ``LoRALinear``.

    Returns:
        How many numbers are trained.

    Raises:
        ValueError: If there is no map of such a name, the model has LoRA already, or a
            map shares its weights with another layer (a tied ``lm_head``).
    """
    usable = not isinstance(targets, str) and len(targets) > 0
    require(usable, "targets", targets, "be a sequence of one name or more")
    require(not lora_layers(model), "model", type(model).__name__, "have no LoRA yet")
    found = {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear)}
    names = sorted({name.rpartition(".")[2] for name in found})
    for target in targets:
        rule = f"name linear maps of the model, which are {names}"
        require(target in names, "targets", target, rule)
    owners = [id(p) for m in model.modules() for p in m.parameters(recurse=False)]
    for name, linear in found.items():
        parent, _, last = name.rpartition(".")
        if last in targets:
            rule = "not share its weights with another layer"
            require(owners.count(id(linear.weight)) == 1, "targets", name, rule)
            corrected = LoRALinear(linear, rank, alpha, dropout)
            setattr(model.get_submodule(parent), last, corrected)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_learned(name))
    return count_trained(model)


def lora_layers(model: nn.Module) -> dict[str, LoRALinear]:
    """The model's corrected maps, by name."""
    return {n: m for n, m in model.named_modules() if isinstance(m, LoRALinear)}


def is_learned(name: str) -> bool:
    """Whether a weight of that name is trained: A, B, or the head."""
    return name.endswith((".lora_a", ".lora_b")) or name.startswith("head.")


def merge_lora(model: nn.Module) -> None:
    """Add all corrections to the weights they stand beside."""
    for layer in corrected(model).values():
        layer.merge()


def unmerge_lora(model: nn.Module) -> None:
    """Take all corrections off again."""
    for layer in corrected(model).values():
        layer.unmerge()


def lora_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """All that was trained: every A and B, and the head if there is one.

    Raises:
        ValueError: If the model has no LoRA.
    """
    corrected(model)
    return {name: w for name, w in model.state_dict().items() if is_learned(name)}


def save_lora(path: str | Path, model: nn.Module) -> Path:
    """Write what was trained, a few hundred kB, without the published weights.

    Raises:
        ValueError: If the model has no LoRA.
        OSError: If the file cannot be written.
    """
    layers = corrected(model)
    first = next(iter(layers.values()))
    targets = sorted({name.rpartition(".")[2] for name in layers})
    shape = {"rank": first.rank, "alpha": first.alpha, "targets": targets}
    state = lora_state_dict(model).items()
    tensors = {name: w.detach().cpu().contiguous() for name, w in state}
    save_file(tensors, path, metadata={"lora": json.dumps(shape)})
    return Path(path)


def load_lora(path: str | Path, model: nn.Module) -> None:
    """Put saved corrections into a model of the same shape; adds LoRA if need be.

    Args:
        path: What ``save_lora`` wrote.
        model: The model as it was published, or one that has LoRA, not merged.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, holds something else or does not fit.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged, or no safetensors ({error})") from error
    require("lora" in metadata, "path", str(path), "be a file that save_lora wrote")
    shape = json.loads(metadata["lora"])
    if not lora_layers(model):
        add_lora(model, shape["rank"], shape["alpha"], tuple(shape["targets"]))
    for name, layer in lora_layers(model).items():
        require(not layer.merged, name, "merged", "be unmerged before loading")
        fits = (layer.rank, layer.alpha) == (shape["rank"], shape["alpha"])
        found = f"rank {layer.rank}, alpha {layer.alpha}"
        rule = f"be the file's: rank {shape['rank']}, alpha {shape['alpha']}"
        require(fits, name, found, rule)
    wanted = {name: w.shape for name, w in lora_state_dict(model).items()}
    if {name: w.shape for name, w in tensors.items()} != wanted:
        differ = sorted(wanted.keys() ^ tensors.keys()) or "the shapes"
        raise ValueError(f"{path}: must fit the model; these differ: {differ}")
    model.load_state_dict(tensors, strict=False)


def corrected(model: nn.Module) -> dict[str, LoRALinear]:
    """``lora_layers``, refusing a model that has none."""
    layers = lora_layers(model)
    require(len(layers) > 0, "model", type(model).__name__, "have LoRA (add_lora)")
    return layers
