"""A trained model as a folder of three files, to keep and to pass on.

    config.json          the shape: the model's configuration
    model.safetensors    the weights, in 16 or 32 bits
    tokenizer.json       what turns text into its ids

Reference: safetensors stores numbers alone, so that opening a file runs no code.
"""

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lmcore.config import Config, require
from lmcore.tokenizers import Tokenizer, load_tokenizer

FILES = ("config.json", "model.safetensors", "tokenizer.json")
Model = TypeVar("Model", bound=nn.Module)


def save_folder(
    folder: str | Path,
    model: nn.Module,
    tokenizer: Tokenizer,
    dtype: torch.dtype = torch.float32,
    leave_out: Collection[str] = (),
) -> Path:
    """Write model and tokenizer into a folder.

    Args:
        folder: Made if it does not exist.
        model: The model; its ``config`` has a ``vocab_size``.
        tokenizer: Its tokenizer.
        dtype: Number format of the stored weights; float16 halves the file.
        leave_out: Weights that are another weight (safetensors refuses shared ones).

    Raises:
        ValueError: If the tokenizer has more tokens than the model.
    """
    check_room(tokenizer, model.config)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stored = {
        name: weight.detach().cpu().to(dtype)
        for name, weight in model.state_dict().items()
        if name not in leave_out
    }
    save_file(stored, folder / "model.safetensors")
    tokenizer.save(folder / "tokenizer.json")
    text = json.dumps(model.config.to_dict(), indent=1)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    return folder


def load_folder(
    folder: str | Path,
    build: Callable[[Config], Model],
    config_class: type[Config],
    add_shared: Callable[[Config, dict[str, Tensor]], None] | None = None,
    device: torch.device | str | None = None,
) -> tuple[Model, Tokenizer]:
    """Read what ``save_folder`` wrote: the model, in float32 and ready to use.

    Args:
        folder: Where the three files lie.
        build: Makes the model from its configuration.
        config_class: What ``config.json`` holds.
        add_shared: Puts back the weights that were left out.
        device: Where the model goes; the CPU if not given.

    Raises:
        FileNotFoundError: If the folder or one of its files is missing.
        ValueError: If a file is damaged or the weights do not fit the configuration.
    """
    folder = Path(folder)
    check_files(folder, FILES, "save_folder or `lmcore train`")
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    try:
        fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config = config_class.from_dict(fields)
        model = build(config)
    except (json.JSONDecodeError, TypeError) as error:
        raise ValueError(f"{folder / 'config.json'}: damaged ({error})") from error
    check_room(tokenizer, config)
    weights = read_weights(folder / "model.safetensors")
    if add_shared is not None:
        add_shared(config, weights)
    fill(model, weights, folder)
    return model.to(device).eval(), tokenizer


def check_files(folder: Path, names: Sequence[str], writer: str) -> None:
    """Refuse a folder that lacks a file, and say what writes them."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"folder={str(folder)!r}: must hold {', '.join(names)}, as {writer} writes "
            f"them; missing: {', '.join(missing)}"
        )


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights in a file, by name.

    Raises:
        ValueError: If the file is damaged.
    """
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged or cut off ({error})") from error


def fill(model: nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
    """Put the weights into the model; each must be there, and have its shape.

    Raises:
        ValueError: If they do not fit.
    """
    try:
        model.load_state_dict(weights)
    except (RuntimeError, AttributeError) as error:
        raise ValueError(f"{folder}: weights do not fit the config: {error}") from error


def check_room(tokenizer: Tokenizer, config: Config) -> None:
    """Refuse a tokenizer with more tokens than the model has room for."""
    known, room = tokenizer.vocab_size, config.vocab_size
    require(known <= room, "tokenizer.vocab_size", known, f"be <= vocab_size={room}")
