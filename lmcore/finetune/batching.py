"""Batches of texts of similar length.

A batch is as long as its longest text, and padding costs as much time as words do. So
texts of similar length are put together: within pools of some batches they are sorted,
then cut, and the batches are shuffled. With movie sentences this halves the time of an
epoch (``tests/unit/test_finetune_fit.py`` counts the padding).
"""

import random
from collections.abc import Sequence

from lmcore.config import require
from lmcore.models.bert import Bert
from lmcore.tokenizers import WordPieceTokenizer

POOL = 50  # batches that are sorted together


def text_lengths(
    tokenizer: WordPieceTokenizer, texts: Sequence[str], max_seq_len: int
) -> list[int]:
    """Tokens of each text, with the two special ones, after cutting."""
    return [min(len(tokenizer.encode(text)) + 2, max_seq_len) for text in texts]


def batches_by_length(
    lengths: Sequence[int], batch_size: int, seed: int | str
) -> list[list[int]]:
    """Row numbers of each batch: every row once, in an order that the seed decides.

    Args:
        lengths: Of each text, in tokens.
        batch_size: Rows in a batch; the last one may have fewer.
        seed: Another one for each epoch.
    """
    require(batch_size >= 1, "batch_size", batch_size, "be >= 1")
    draw = random.Random(seed)
    rows = list(range(len(lengths)))
    draw.shuffle(rows)
    batches = []
    for start in range(0, len(rows), POOL * batch_size):
        pool = rows[start : start + POOL * batch_size]
        pool.sort(key=lambda row: lengths[row])
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    draw.shuffle(batches)
    return batches


def sorted_batches(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """The same without chance, for evaluation: short texts first."""
    rows = sorted(range(len(lengths)), key=lambda row: lengths[row])
    return [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]


def longest(encoder: Bert, max_seq_len: int) -> int:
    """The longest sequence wanted, or that the encoder can read, if that is shorter."""
    return min(max_seq_len, encoder.config.max_seq_len)
