"""Masked language modelling: hide some tokens, and ask for them from both sides.

    inputs    [CLS]  king  [MASK]  falls   [SEP]
    targets     -      -     duncan    -      -       (- is IGNORE_INDEX)

Fifteen tokens of a hundred are chosen. If all of them became ``[MASK]``, a model could
learn to do its work at ``[MASK]`` alone, and later texts have none. So of the chosen
tokens 80 % become ``[MASK]``, 10 % a random token, and 10 % stay as they are; the loss
asks for the original token at each of them, and the model cannot tell which of the
ordinary-looking tokens it will be asked for.

The number chosen is exact, as in the released code: max(1, round(rate * L)) of the L
tokens of a row. (The release counts [CLS] and [SEP] in L; here only what may be hidden
counts.) What is chosen, and what becomes of it, is drawn for a unit as a whole (see
``units``): a word is never half hidden.

References:
    Devlin et al., 2019, section 3.1 and appendix A.1. Sun et al., 2019, section 3.2
    (ERNIE). Joshi et al., 2020, section 3.1 (SpanBERT).
"""

from collections.abc import Collection

import numpy as np
import torch
from jaxtyping import Int, Integer
from torch import Tensor

from lmcore.config import require
from lmcore.losses import IGNORE_INDEX
from lmcore.objectives.draws import (
    check_generator,
    check_ids,
    check_rate,
    draw_order,
)
from lmcore.objectives.units import is_special, token_units


def masked_tokens(
    ids: Integer[Tensor, "B T"],
    *,
    mask_id: int,
    special_ids: Collection[int],
    vocab_size: int,
    generator: torch.Generator,
    rate: float = 0.15,
    mask_share: float = 0.8,
    random_share: float = 0.1,
    units: Int[Tensor, "B T"] | None = None,
    max_span: int = 1,
) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """Inputs with hidden tokens, and the hidden tokens as targets.

    Args:
        ids: Tokens with their special tokens and padding.
        mask_id: The id of ``[MASK]``.
        special_ids: Ids that are never chosen nor put in by chance: ``[CLS]``,
            ``[SEP]``, ``[PAD]`` and so on. ``mask_id`` belongs to them unasked.
        vocab_size: V.
        generator: Decides what is hidden.
        rate: Share of a row's tokens that is chosen.
        mask_share: Share of the chosen units that becomes ``[MASK]``.
        random_share: Share that becomes random tokens; the rest stays as it is.
        units: What is hidden together; every token for itself if not given. See
            ``word_units`` (whole words) and ``merge_units`` (ERNIE).
        max_span: Most units in one stretch; 10 for SpanBERT.

    Returns:
        ``inputs``, and ``targets``: the original id at chosen positions, elsewhere
        ``IGNORE_INDEX``. A row of special tokens alone is given back without targets.

    Raises:
        TypeError: If ``ids`` is no tensor of integers, or ``generator`` no generator.
        ValueError: If no row has a token that may be hidden, an id is not in the
            vocabulary, or a number is out of range.
    """
    ids = check_ids(ids, 2)
    check_generator(generator)
    usable = type(vocab_size) is int and vocab_size >= 1
    require(usable, "vocab_size", vocab_size, "be an int >= 1")
    for name, value in (("mask_id", mask_id), ("ids", int(ids.min()))):
        require(0 <= value < vocab_size, name, value, f"be from 0 to {vocab_size - 1}")
    rule = f"be below vocab_size={vocab_size}"
    require(int(ids.max()) < vocab_size, "ids", int(ids.max()), rule)
    for name, value in (("mask_share", mask_share), ("random_share", random_share)):
        require(0 <= value <= 1, name, value, "be from 0 to 1")
    rule = f"be at most 1 - mask_share={mask_share}"
    require(mask_share + random_share <= 1 + 1e-9, "random_share", random_share, rule)

    special_ids = {*special_ids, mask_id}
    units = token_units(ids, special_ids) if units is None else units
    units = units.masked_fill(is_special(ids, special_ids), -1)
    rule = "hold at least one token that is not special"
    require(bool((units >= 0).any()), "ids", f"{tuple(ids.shape)}", rule)
    stretches = choose_stretches(units, rate, generator, max_span)
    chosen = stretches >= 0

    shape, device = tuple(ids.shape), generator.device  # draw where it lives
    fate = torch.rand(shape, generator=generator, device=device).to(ids.device)
    fate = fate.gather(1, stretches.clamp(min=0))  # (B, T): one for each stretch
    to_mask = chosen & (fate < mask_share)
    to_random = chosen & ~to_mask & (fate < mask_share + random_share)
    taken = sorted(i for i in special_ids if 0 <= i < vocab_size)
    n_ordinary = vocab_size - len(taken)  # ids that may be put in
    picks = torch.randint(n_ordinary, shape, generator=generator, device=device)
    for special_id in taken:  # the k-th ordinary id: step over the special ones
        picks += picks >= special_id

    inputs = ids.masked_fill(to_mask, mask_id)
    inputs = picks.to(ids).where(to_random, inputs)
    return inputs, ids.masked_fill(~chosen, IGNORE_INDEX)


def choose_stretches(
    units: Int[Tensor, "B T"],
    rate: float,
    generator: torch.Generator,
    max_span: int = 1,
    stop: float = 0.2,
) -> Int[Tensor, "B T"]:
    """Choose units until the row's budget of tokens is spent.

    Units are tried in a random order. From each, up to n units in a row are taken, n
    being drawn with P(n) proportional to (1 - stop)^(n-1), n <= ``max_span``: SpanBERT
    has 10 and 0.2, on average 3.8 words; with 1 single units are taken, as in BERT. A
    unit that does not fit into what is left of the budget is passed over. If none of
    the units fits, the first one tried is taken all the same.

    Args:
        units: From ``token_units``, ``word_units`` or ``merge_units``.
        rate: Share of the tokens with a unit that is chosen.
        generator: Decides the choice.
        max_span: Most units in one stretch.
        stop: Of the lengths' distribution; the higher, the shorter.

    Returns:
        At each chosen token the position of its stretch's first token, else -1.

    Raises:
        ValueError: If a number is out of range.
    """
    check_generator(generator)
    check_rate("rate", rate)
    usable = type(max_span) is int and max_span >= 1
    require(usable, "max_span", max_span, "be an int >= 1")
    require(0 < stop < 1, "stop", stop, "be > 0 and < 1")
    odds = (1 - stop) ** torch.arange(max_span, dtype=torch.float64)
    odds = odds.to(generator.device)
    rows = []
    for row in units.tolist():
        pieces = whole_units(row)
        order = draw_order(len(pieces), generator)
        lengths = [1] * len(pieces)
        if pieces and max_span > 1:
            drawn = odds.multinomial(len(pieces), True, generator=generator)
            lengths = (drawn + 1).tolist()
        n_tokens = sum(end - start for start, end in pieces)
        budget = max(1, round(rate * n_tokens))
        rows.append(choose_in_row(len(row), pieces, order, lengths, budget))
    return torch.from_numpy(np.array(rows)).to(units.device)  # faster than tensor()


def choose_in_row(
    length: int,
    pieces: list[tuple[int, int]],
    order: list[int],
    lengths: list[int],
    budget: int,
) -> list[int]:
    """``choose_stretches`` for one row, all draws made."""
    stretch_of = [-1] * length
    left = budget
    for first, n_units in zip(order, lengths, strict=True):
        begin = expected = pieces[first][0]
        for start, end in pieces[first : first + n_units]:
            taken = stretch_of[start] >= 0
            if taken or start != expected or end - start > left:
                break
            stretch_of[start:end] = [begin] * (end - start)
            left -= end - start
            expected = end
        if left == 0:
            break
    if order and left == budget:  # no unit is small enough
        start, end = pieces[order[0]]
        stretch_of[start:end] = [start] * (end - start)
    return stretch_of


def whole_units(row: list[int]) -> list[tuple[int, int]]:
    """The (start, end) of each unit of a row, from left to right."""
    cuts = [i for i in range(1, len(row)) if row[i] != row[i - 1]]
    bounds = zip([0, *cuts], [*cuts, len(row)], strict=True)
    return [(start, end) for start, end in bounds if row[start] >= 0]
