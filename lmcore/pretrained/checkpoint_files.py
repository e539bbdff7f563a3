"""The files of a Hugging Face checkpoint: a ``config.json`` and tensors beside it.

Tensors lie in ``model.safetensors`` or, in older checkpoints, ``pytorch_model.bin``;
large ones are spread over several files, with an index that says which tensor is in
which. A ``.bin`` file is a pickle, which can run code when it is opened: it is read
with ``weights_only=True``, which allows tensors and nothing else. Where both are there,
safetensors is read.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds something else.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"path={str(path)!r}: must be JSON ({error})") from error
    if not isinstance(fields, dict):
        raise ValueError(f"path={str(path)!r}: must hold a JSON object")
    return fields


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the tensors.

    Raises:
        FileNotFoundError: If there is none of ``WEIGHT_FILES``.
        ValueError: If an index is damaged or names a file outside the folder.
    """
    for name in WEIGHT_FILES:
        path = folder / name
        if not path.exists():
            continue
        if not name.endswith(".index.json"):
            return [path]
        return [folder / shard for shard in shards_of(path)]
    raise FileNotFoundError(f"{folder} holds none of {', '.join(WEIGHT_FILES)}")


def shards_of(index: Path) -> list[str]:
    """The names of the files that an index names.

    Raises:
        ValueError: If it is damaged or names a file outside its folder.
    """
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise ValueError(f"path={str(index)!r}: must have a 'weight_map'")
    shards = sorted(set(names.values()))
    for shard in shards:
        if Path(shard).name != shard:
            raise ValueError(f"shard={shard!r}: must be a file beside {index}")
    return shards


def read_checkpoint(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors, one after the other.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged.
    """
    for path in weight_files(folder):
        read = read_safetensors if path.suffix == ".safetensors" else read_pickle
        yield from read(path)


def tensor_names(folder: Path) -> set[str]:
    """The names alone, read from the headers of the files.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged.
    """
    names: set[str] = set()
    for path in weight_files(folder):
        if path.suffix == ".safetensors":
            with open_safetensors(path) as file:
                names.update(file.keys())
        else:
            names.update(name for name, _ in read_pickle(path))
    return names


def open_safetensors(path: Path) -> safe_open:
    """The opened file; its tensors stay on the disk.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged.
    """
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise ValueError(f"path={str(path)!r}: damaged ({error})") from error


def read_safetensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a safetensors file, read from the disk one by one."""
    with open_safetensors(path) as file:
        for name in file.keys():  # noqa: SIM118 - the file is no dictionary
            yield name, file.get_tensor(name)


def read_pickle(path: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a ``.bin`` file, which stay on the disk until they are used."""
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # torch names no single kind
        raise ValueError(
            f"path={str(path)!r}: must be tensors saved by torch ({error})"
        ) from error
    yield from tensors.items()
