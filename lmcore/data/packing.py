"""Sentences packed into rows of one length, so that little is padded.

    [CLS] a sentence [SEP] the next one [SEP] the first half
    [CLS] of a long one [SEP] … [PAD]

Rows are filled with sentences in reading order, across the borders of documents, as
RoBERTa's are (Liu et al., 2019, section 4.2, "FULL-SENTENCES"). What does not fit goes
on in the next row: only the last row is padded.
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from lmcore.config import require


def pack_sentences(
    sentences: Iterable[Sequence[int]],
    seq_len: int,
    *,
    cls_id: int,
    sep_id: int,
    pad_id: int,
) -> Int[Tensor, "N T"]:
    """Rows of ``seq_len`` ids.

    Args:
        sentences: Ids of each sentence, without special tokens, in reading order.
        seq_len: T, at least 3.
        cls_id: Begins a row.
        sep_id: Ends a sentence.
        pad_id: Fills a row's end.

    Raises:
        ValueError: If ``seq_len`` is too small or there is no sentence.
    """
    usable = type(seq_len) is int and seq_len >= 3
    require(usable, "seq_len", seq_len, "be an int >= 3")
    text = [token for sentence in sentences for token in (*sentence, sep_id)]
    require(len(text) > 0, "sentences", "empty", "hold at least one sentence")
    room = seq_len - 1
    text += [pad_id] * (-len(text) % room)
    rows = torch.tensor(text).view(-1, room)
    return torch.nn.functional.pad(rows, (1, 0), value=cls_id)  # (N, T)
