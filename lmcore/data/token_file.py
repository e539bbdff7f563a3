"""Token ids in a file, for texts that do not fit into memory.

The file is memory-mapped: the operating system loads the pages that are read and
drops them again, so that sampling from 100 GB of ids takes as much memory as from
100 kB. An id takes 2 bytes if the vocabulary has at most 65,536 entries, else 4.

Layout: 8 bytes that name the format, a JSON header filled up with spaces to byte 512,
then the ids, little-endian.
"""

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from lmcore.config import require

MAGIC = b"LMTOKEN1"
HEADER_SIZE = 512  # bytes, the format's name included


def write_token_file(
    path: str | Path,
    chunks: Iterable[Sequence[int] | np.ndarray],
    vocab_size: int,
    tokenizer: str = "",
) -> "TokenFile":
    """Write ids chunk by chunk; only one chunk is in memory at a time.

    The file gets its name when it is complete, never before.

    Args:
        path: The file to write; an old one is replaced.
        chunks: Runs of ids, for instance one per document.
        vocab_size: Number of entries; every id must be below it.
        tokenizer: Name of the tokenizer that made the ids, kept in the header.

    Returns:
        The file, open for reading.

    Raises:
        ValueError: If an id is out of range (names it and its position), there are
            no ids at all, or the header's fields are refused.
        TypeError: If a chunk is no row of integers.
        OSError: If the disk is full or the folder cannot be written to.
    """
    require(
        type(vocab_size) is int and 1 <= vocab_size <= 2**32,
        "vocab_size",
        vocab_size,
        "be an int from 1 to 2**32",
    )
    path = Path(path)
    part = path.with_name(path.name + ".part")
    dtype = np.dtype("<u2" if vocab_size <= 2**16 else "<u4")
    count = 0
    try:
        with part.open("wb") as file:
            file.write(header(dtype, count, vocab_size, tokenizer))
            for chunk in chunks:
                ids = np.asarray(chunk)
                if not ids.size:
                    continue
                if ids.ndim != 1 or ids.dtype.kind not in "iu":
                    raise TypeError(f"a chunk must be a row of integers: {chunk!r}")
                wrong = np.flatnonzero((ids < 0) | (ids >= vocab_size))
                if len(wrong):
                    require(
                        False,
                        f"id at position {count + wrong[0]}",
                        int(ids[wrong[0]]),
                        f"be from 0 to vocab_size - 1 = {vocab_size - 1}",
                    )
                file.write(ids.astype(dtype).tobytes())
                count += len(ids)
            require(count > 0, "chunks", "no ids", "hold at least one id")
            file.seek(0)
            file.write(header(dtype, count, vocab_size, tokenizer))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return TokenFile(path)


def header(dtype: np.dtype, count: int, vocab_size: int, tokenizer: str) -> bytes:
    """The file's first ``HEADER_SIZE`` bytes."""
    fields = {
        "dtype": dtype.str,
        "count": count,
        "vocab_size": vocab_size,
        "tokenizer": tokenizer,
    }
    text = json.dumps(fields).encode("ascii")
    room = HEADER_SIZE - len(MAGIC) - 32  # digits that the count may still grow by
    require(len(text) <= room, "tokenizer", tokenizer, "be a shorter name")
    return (MAGIC + text).ljust(HEADER_SIZE)


class TokenFile:
    """A file of ids, read in place.

    Attributes:
        path: Where it lies.
        ids: All ids, memory-mapped, unsigned; index it like an array.
        vocab_size: Number of entries of the vocabulary.
        tokenizer: Name of the tokenizer that made the ids.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file.

        Raises:
            FileNotFoundError: If it does not exist.
            ValueError: If it is no token file, or is cut off; names the file.
        """
        self.path = Path(path)
        with self.path.open("rb") as file:
            start = file.read(HEADER_SIZE)
        if not start.startswith(MAGIC) or len(start) < HEADER_SIZE:
            raise ValueError(
                f"{self.path} is no token file: it does not start with {MAGIC!r} and "
                f"a header of {HEADER_SIZE} bytes; make one with write_token_file"
            )
        try:
            fields = json.loads(start[len(MAGIC) :])
            dtype = {"<u2": np.dtype("<u2"), "<u4": np.dtype("<u4")}[fields["dtype"]]
            count, self.vocab_size = int(fields["count"]), int(fields["vocab_size"])
            self.tokenizer = str(fields["tokenizer"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.path}: its header is damaged ({error})") from error
        expected = HEADER_SIZE + count * dtype.itemsize
        size = self.path.stat().st_size
        if size != expected or count < 1:
            raise ValueError(
                f"{self.path} has {size} bytes, but its header announces {count} ids, "
                f"which take {expected}: it was cut off or changed; write it again"
            )
        self.ids = np.memmap(self.path, dtype, "r", HEADER_SIZE, (count,))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, part: slice) -> Int64[Tensor, "n"]:
        return torch.from_numpy(self.ids[part].astype(np.int64))

    def sample_pairs(
        self, seq_len: int, batch_size: int, seed: int, step: int
    ) -> tuple[Int64[Tensor, "B T"], Int64[Tensor, "B T"]]:
        """Inputs and targets of windows at random places of the file.

        The places are a function of ``(seed, step)`` alone. They are drawn with
        replacement, so an epoch has no meaning here; only the windows are read.

        Args:
            seq_len: Predictions per window, T.
            batch_size: Windows, B.
            seed: Of the whole training.
            step: Of this batch.

        Raises:
            ValueError: If a number is out of range or the file too short.
        """
        for name, value in (("seq_len", seq_len), ("batch_size", batch_size)):
            require(type(value) is int and value >= 1, name, value, "be an int >= 1")
        for name, value in (("seed", seed), ("step", step)):
            require(type(value) is int and value >= 0, name, value, "be an int >= 0")
        last = len(self) - seq_len  # a window takes seq_len + 1 ids
        require(last >= 1, "seq_len", seq_len, f"be < {len(self)}, the ids in the file")
        starts = np.random.default_rng([seed, step]).integers(0, last, batch_size)
        rows = np.stack([self.ids[s : s + seq_len + 1] for s in starts])  # (B, T + 1)
        ids = torch.from_numpy(rows.astype(np.int64))
        return ids[:, :-1], ids[:, 1:]
