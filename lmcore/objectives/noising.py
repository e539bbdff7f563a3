"""Deletion and infilling: the text has gaps, and the target is all of it.

    delete_tokens   thank you for inviting me   ->   thank for me
    infill_text     thank you for inviting me   ->   thank you [MASK] me

Beside masking, these ask for more: after deletion the model must find out where
something is missing, after infilling how much. BART was trained on infilling together
with permuted sentences.

Reference: Lewis et al., 2020, section 2.2 (BART).
"""

from collections.abc import Collection

import torch
from jaxtyping import Int, Integer
from torch import Tensor

from lmcore.config import require
from lmcore.objectives.draws import (
    check_generator,
    check_rate,
    check_text,
    draw_order,
)


def delete_tokens(
    ids: Integer[Tensor, "N"],
    *,
    generator: torch.Generator,
    rate: float = 0.15,
    special_ids: Collection[int] = (),
) -> tuple[Int[Tensor, "S"], Int[Tensor, "N"]]:
    """Leave out round(rate * N) tokens, at least 1 and at most N - 1.

    Args:
        ids: One text, without special tokens or padding.
        generator: Decides which tokens.
        rate: Share of the tokens that is left out (BART's paper gives none).
        special_ids: Ids that must not stand in the text.

    Returns:
        ``inputs``, shorter, and ``targets``, the original.

    Raises:
        TypeError: If ``ids`` is no tensor of integers, or ``generator`` no generator.
        ValueError: If the text has fewer than two ids or holds a special token, or the
            rate is out of range.
    """
    check_generator(generator)
    check_rate("rate", rate)
    ids = check_text(ids, special_ids, at_least=2)
    n_deleted = min(max(round(rate * len(ids)), 1), len(ids) - 1)
    kept = sorted(draw_order(len(ids), generator)[n_deleted:])
    return ids[torch.tensor(kept, device=ids.device)], ids.clone()


def infill_text(
    ids: Integer[Tensor, "N"],
    *,
    mask_id: int,
    generator: torch.Generator,
    rate: float = 0.3,
    mean_span: float = 3.0,
    special_ids: Collection[int] = (),
) -> tuple[Int[Tensor, "S"], Int[Tensor, "N"]]:
    """Replace spans of round(rate * N) tokens together by one ``[MASK]`` each.

    Lengths are drawn from a Poisson distribution until they use the tokens up; the last
    is cut to fit. A span of length 0 puts a ``[MASK]`` where nothing is missing. No two
    spans touch; every way of placing them is as likely. (Spans that find no place of
    their own, in short texts at high rates, join another.)

    Args:
        ids: One text, without special tokens or padding.
        mask_id: The id of ``[MASK]``.
        generator: Decides lengths and places.
        rate: Share of the tokens that is hidden; 0.3 in BART.
        mean_span: Mean of the Poisson distribution, in tokens.
        special_ids: Ids that must not stand in the text; ``mask_id`` is one of them.

    Returns:
        ``inputs`` and ``targets``, the original.

    Raises:
        TypeError: If ``ids`` is no tensor of integers, or ``generator`` no generator.
        ValueError: If the text has fewer than two ids or holds a special token, or a
            number is out of range.
    """
    check_generator(generator)
    check_rate("rate", rate)
    require(0 < mean_span < float("inf"), "mean_span", mean_span, "be > 0")
    ids = check_text(ids, {*special_ids, mask_id}, at_least=2)
    n_hidden = min(max(round(rate * len(ids)), 1), len(ids) - 1)
    n_places = len(ids) - n_hidden + 1  # before, between and behind the kept tokens
    lengths = draw_lengths(n_hidden, n_places, mean_span, generator)
    places = draw_order(n_places, generator)[: len(lengths)]
    length_at = dict(zip(places, lengths, strict=True))
    text, inputs, position = ids.tolist(), [], 0
    for place in range(n_places):
        if place in length_at:
            inputs.append(mask_id)
            position += length_at[place]
        inputs += text[position : position + 1]  # nothing behind the last token
        position += 1
    return torch.tensor(inputs, device=ids.device), ids.clone()


def draw_lengths(
    total: int, at_most: int, mean: float, generator: torch.Generator
) -> list[int]:
    """Poisson lengths with the given total, at most so many of them."""
    lengths: list[int] = []
    left = total
    rate = torch.tensor(float(mean), device=generator.device)
    while left > 0:
        length = min(int(torch.poisson(rate, generator=generator)), left)
        if len(lengths) < at_most:
            lengths.append(length)
        else:
            lengths[0] += length
        left -= length
    return lengths
