"""Shuffling: the input is out of order, the target is the text as it was.

    permute_sentences   he slept . it rained .   ->   it rained . he slept .
    shuffle_tokens      he slept . it rained .   ->   rained . he it . slept

BART shuffles whole sentences. T5 tried to shuffle all tokens ("deshuffling") as one
objective of three, and measured it as the worst by far. The order is drawn without a
look at the tokens, and may by chance be the one it was.

References:
    Lewis et al., 2020, section 2.2 (BART). Raffel et al., 2020, section 3.3.1 and
    table 4 (T5). Wang et al., 2020, section 2.2 (StructBERT: the order of three tokens
    in a row, beside masking).
"""

from collections.abc import Collection
from itertools import pairwise

import torch
from jaxtyping import Int, Integer
from torch import Tensor

from lmcore.config import require
from lmcore.objectives.draws import check_generator, check_text, draw_order


def permute_sentences(
    ids: Integer[Tensor, "N"],
    *,
    end_ids: Collection[int],
    generator: torch.Generator,
    special_ids: Collection[int] = (),
) -> tuple[Int[Tensor, "N"], Int[Tensor, "N"]]:
    """The sentences in a random order, each order as likely.

    A sentence ends with a run of end marks, such as ``? !``; what stands behind the
    last one is a sentence too. A text of one sentence comes back as it was.

    Args:
        ids: One text, without special tokens or padding.
        end_ids: Ids of the marks that end a sentence.
        generator: Decides the order.
        special_ids: Ids that must not stand in the text.

    Returns:
        ``inputs`` and ``targets``, the original.

    Raises:
        TypeError: If ``ids`` is no tensor of integers, or ``generator`` no generator.
        ValueError: If the text is empty or holds a special token, or there are no
            ``end_ids``.
    """
    check_generator(generator)
    require(len(end_ids) > 0, "end_ids", end_ids, "hold at least one id")
    ids = check_text(ids, special_ids)
    marks = torch.isin(ids, torch.tensor(sorted(end_ids), device=ids.device))
    last = marks[:-1] & ~marks[1:]  # an end mark, and behind it none
    cuts = (last.nonzero().squeeze(1) + 1).tolist()
    sentences = [ids[a:b] for a, b in pairwise([0, *cuts, len(ids)])]
    order = draw_order(len(sentences), generator)
    return torch.cat([sentences[i] for i in order]), ids.clone()


def shuffle_tokens(
    ids: Integer[Tensor, "N"],
    *,
    generator: torch.Generator,
    special_ids: Collection[int] = (),
) -> tuple[Int[Tensor, "N"], Int[Tensor, "N"]]:
    """All tokens in a random order, each order as likely.

    Args:
        ids: One text, without special tokens or padding.
        generator: Decides the order.
        special_ids: Ids that must not stand in the text.

    Returns:
        ``inputs`` and ``targets``, the original. A text of one token comes back as it
        was.

    Raises:
        TypeError: If ``ids`` is no tensor of integers, or ``generator`` no generator.
        ValueError: If the text is empty or holds a special token.
    """
    check_generator(generator)
    ids = check_text(ids, special_ids)
    order = torch.tensor(draw_order(len(ids), generator), device=ids.device)
    return ids[order], ids.clone()
