"""Read a GGUF file: the format in which small computers keep large models.

A GGUF file holds a whole model: facts about it, its tokenizer, and its tensors, most
of them with a few bits per weight. From the first byte to the last:

    "GGUF", version, number of tensors, number of facts
    for each fact:    key, type, value                 (counts, names, the vocabulary)
    for each tensor:  name, shape, type, offset        (where its bytes begin)
    the tensors' bytes, each starting at a multiple of the alignment

Numbers are little-endian; a text is its length in bytes and then the bytes. Nothing in
the file is ever executed, and every length is compared with what the file has left.

Reference: the GGUF specification, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmcore.pretrained.quantised import BLOCKS, dequantise

MAGIC = b"GGUF"
VERSIONS = (2, 3)
TEXT, LIST = 8, 9
DAMAGE = (
    struct.error,  # the file ends too early
    UnicodeDecodeError,
    KeyError,  # an unknown type
    TypeError,  # an alignment that is no number
    ZeroDivisionError,
    RecursionError,  # lists in lists in lists
)
SCALARS = {  # the specification's number of each type: how `struct` reads it
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies in the file.

    Attributes:
        shape: As torch writes it (the file has the dimensions in reverse).
        block_type: Number of the block format; see ``quantised.BLOCKS``.
        start: Position of its first byte.
        n_bytes: How many bytes it takes.
    """

    shape: tuple[int, ...]
    block_type: int
    start: int
    n_bytes: int


class GGUFFile:
    """An open GGUF file: its facts in memory, its tensors left on the disk.

    Attributes:
        metadata: The facts, such as ``llama.block_count`` or ``tokenizer.ggml.tokens``.
        tensors: Where each tensor lies, by its name.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no GGUF file, is cut short, or uses a block format that
            this course does not know.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self.path.open("rb") as file:
            begins_well = file.read(4) == MAGIC
        if not begins_well:
            raise self._refusal("begin with 'GGUF'")
        self._data = np.memmap(self.path, dtype=np.uint8, mode="r")
        self._view = memoryview(self._data)
        self._at = 4
        self.metadata: dict[str, Any] = {}
        self.tensors: dict[str, TensorInfo] = {}
        try:
            self._read_header()
        except DAMAGE as error:
            raise self._refusal(f"be a whole GGUF file ({error!r})") from error

    def _refusal(self, rule: str) -> ValueError:
        return ValueError(f"path={str(self.path)!r}: must {rule}")

    def read(self, name: str) -> np.ndarray:
        """One tensor as float32, in a fresh array of its own.

        Raises:
            KeyError: If the file has no tensor of that name.
        """
        info = self.tensors[name]
        raw = self._data[info.start : info.start + info.n_bytes]
        return dequantise(raw, info.block_type).reshape(info.shape)

    # --- reading the header, front to back

    def _read_header(self) -> None:
        version = self._scalar("<I")
        if version not in VERSIONS:
            raise self._refusal(f"have version 2 or 3, not {version}")
        n_tensors, n_facts = self._scalar("<Q"), self._scalar("<Q")
        for _ in range(n_facts):
            key = self._text()
            self.metadata[key] = self._value(self._scalar("<I"))
        found = [self._tensor_entry() for _ in range(n_tensors)]
        alignment = self.metadata.get("general.alignment", 32)
        data_start = math.ceil(self._at / alignment) * alignment
        for name, shape, block_type, offset in found:
            if block_type not in BLOCKS:
                known = ", ".join(block.name for block in BLOCKS.values())
                raise self._refusal(
                    f"keep its weights as {known}; {name} has type {block_type}"
                )
            block, size = BLOCKS[block_type], math.prod(shape)
            start, n_bytes = data_start + offset, size // block.weights * block.bytes
            if size % block.weights or start + n_bytes > len(self._data):
                raise self._refusal(f"be a whole GGUF file ({name} does not fit)")
            self.tensors[name] = TensorInfo(shape, block_type, start, n_bytes)

    def _tensor_entry(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._text()
        n_dims = self._scalar("<I")
        dims = [self._scalar("<Q") for _ in range(n_dims)]
        return name, tuple(reversed(dims)), self._scalar("<I"), self._scalar("<Q")

    def _value(self, kind: int) -> Any:
        if kind == TEXT:
            return self._text()
        if kind == LIST:
            item, count = self._scalar("<I"), self._scalar("<Q")
            return [self._value(item) for _ in range(count)]
        return self._scalar(SCALARS[kind])

    def _scalar(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self._view, self._at)
        self._at += struct.calcsize(form)
        return value

    def _text(self) -> str:
        length = self._scalar("<Q")
        end = self._at + length
        if end > len(self._data):
            raise struct.error(f"a text of {length} bytes does not fit")
        text = bytes(self._view[self._at : end]).decode("utf-8")
        self._at = end
        return text
