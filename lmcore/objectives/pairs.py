"""Inputs and targets of different lengths as one batch for an encoder-decoder.

    the encoder reads   source_ids   thank you <X> me            [PAD]
    the decoder reads   ids          <start>  <X>  for  inviting
    and should say      targets      <X>      for  inviting  <end>

The decoder reads the target one place late ("teacher forcing"): at each position it
has seen what comes before what it is asked for.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int, Integer
from torch import Tensor

from lmcore.config import require
from lmcore.losses import IGNORE_INDEX
from lmcore.objectives.draws import check_ids


class PairBatch(NamedTuple):
    """One batch for an encoder-decoder, padded on the right.

    Attributes:
        source_ids: What the encoder reads.
        source_lengths: Ids of each source.
        ids: What the decoder reads: the start token and the target but its last id.
        targets: What it should say; ``IGNORE_INDEX`` at padding.
    """

    source_ids: Int[Tensor, "B S"]
    source_lengths: Int[Tensor, "B"]
    ids: Int[Tensor, "B T"]
    targets: Int[Tensor, "B T"]


def pad_pairs(
    pairs: Sequence[tuple[Integer[Tensor, "_"], Integer[Tensor, "_"]]],
    *,
    pad_id: int,
    start_id: int,
) -> PairBatch:
    """Lay pairs of inputs and targets side by side, padded to the longest.

    Args:
        pairs: From ``corrupt_spans``, ``permute_sentences`` and the like.
        pad_id: Fills ``source_ids`` and ``ids``.
        start_id: The decoder's first id (T5: the padding id).

    Raises:
        TypeError: If something in a pair is no tensor of integers.
        ValueError: If there is no pair, or a side of one is empty.
    """
    require(len(pairs) > 0, "pairs", pairs, "hold at least one pair")
    sources = [check_ids(source, 1) for source, _ in pairs]
    targets = [check_ids(target, 1) for _, target in pairs]
    late = [torch.cat([t.new_tensor([start_id]), t[:-1]]) for t in targets]
    lengths = torch.tensor([len(s) for s in sources], device=sources[0].device)
    return PairBatch(
        pad(sources, pad_id), lengths, pad(late, pad_id), pad(targets, IGNORE_INDEX)
    )


def pad(rows: list[Int[Tensor, "_"]], value: int) -> Int[Tensor, "B T"]:
    """Rows of different lengths as one tensor, filled up on the right."""
    return torch.nn.utils.rnn.pad_sequence(rows, True, float(value))
