"""Weights in a few bits: the block formats of GGUF files, turned back into float32.

A quantised tensor is cut into blocks of 32 neighbouring weights. Each block keeps one
scale d (and, in Q4_1, one smallest value m) as float16 and 32 small integers q:

    Q8_0    w = d q          q from -128 to 127       34 bytes: 8.5 bits per weight
    Q4_1    w = d q + m      q from 0 to 15           20 bytes: 5 bits per weight

What rounding took away is gone: the result has float32's form, not the precision of
the weights that were quantised.

Reference: ggml's ``ggml-common.h`` and ``ggml-quants.c``, block_q8_0 and block_q4_1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from lmcore.config import require


@dataclass(frozen=True)
class Block:
    """One block format.

    Attributes:
        name: As GGUF's specification calls it.
        weights: Weights in one block.
        bytes: Bytes of one block.
        decode: Turns blocks (n, bytes) into weights (n, weights).
    """

    name: str
    weights: int
    bytes: int
    decode: Callable[[np.ndarray], np.ndarray]


def plain_float32(
    blocks: UInt8[np.ndarray, "n 4"],
) -> Float32[np.ndarray, "n 1"]:
    """Four bytes a weight, nothing to decode: a copy."""
    return blocks.copy().view("<f4")


def plain_float16(
    blocks: UInt8[np.ndarray, "n 2"],
) -> Float32[np.ndarray, "n 1"]:
    """Two bytes a weight."""
    return blocks.copy().view("<f2").astype(np.float32)


def q8_0(blocks: UInt8[np.ndarray, "n 34"]) -> Float32[np.ndarray, "n 32"]:
    """A scale, then 32 signed bytes."""
    d = blocks[:, :2].copy().view("<f2").astype(np.float32)  # (n, 1)
    weights = blocks[:, 2:].view(np.int8).astype(np.float32)  # (n, 32)
    weights *= d
    return weights


def q4_1(blocks: UInt8[np.ndarray, "n 20"]) -> Float32[np.ndarray, "n 32"]:
    """A scale, a smallest value, then 16 bytes: q_0 to q_15 low, q_16 to q_31 high."""
    d_and_m = blocks[:, :4].copy().view("<f2").astype(np.float32)  # (n, 2)
    packed = blocks[:, 4:]  # (n, 16)
    weights = np.empty((len(blocks), 32), dtype=np.float32)
    weights[:, :16] = packed & 0x0F
    weights[:, 16:] = packed >> 4
    weights *= d_and_m[:, :1]
    weights += d_and_m[:, 1:]
    return weights


BLOCKS = {  # by the specification's number
    0: Block("F32", 1, 4, plain_float32),
    1: Block("F16", 1, 2, plain_float16),
    3: Block("Q4_1", 32, 20, q4_1),
    8: Block("Q8_0", 32, 34, q8_0),
}


def dequantise(
    raw: UInt8[np.ndarray, "bytes"], block_type: int
) -> Float32[np.ndarray, "weights"]:
    """The weights that these bytes stand for, as one row.

    Args:
        raw: Whole blocks, one behind the other.
        block_type: Which format; a key of ``BLOCKS``.

    Raises:
        ValueError: If the format is unknown or the last block is cut off.
    """
    require(block_type in BLOCKS, "block_type", block_type, f"be in {sorted(BLOCKS)}")
    block = BLOCKS[block_type]
    rule = f"be a multiple of {block.bytes}, the bytes of a {block.name} block"
    require(len(raw) % block.bytes == 0, "len(raw)", len(raw), rule)
    return block.decode(raw.reshape(-1, block.bytes)).reshape(-1)
