"""Units: tokens that are hidden together or not at all.

If "macbeth" is cut into "mac" "##beth" and only the second piece is hidden, the first
gives it away: the model learns spelling. So whole words are hidden (Devlin et al., in
their release of May 2019), or whole names and phrases (ERNIE: Sun et al., 2019, section
3.2: basic, phrase and entity level). All three are one thing here: a number for each
position, the same for tokens that share a fate.

    tokens     [CLS]  king  mac  ##beth  falls  [SEP]
    by token     -1     1    2      3      4     -1
    by word      -1     1    2      2      4     -1
    by name      -1     1    1      1      4     -1

The number is the position of the unit's first token; -1 is never hidden.
"""

from collections.abc import Collection, Sequence

import torch
from jaxtyping import Bool, Int, Integer
from torch import Tensor

from lmcore.config import require
from lmcore.objectives.draws import check_ids

Spans = list[list[tuple[int, int]]]


def token_units(
    ids: Integer[Tensor, "B T"], special_ids: Collection[int]
) -> Int[Tensor, "B T"]:
    """Every token for itself; special tokens never."""
    positions = torch.arange(ids.shape[1], device=ids.device).expand(ids.shape)
    return positions.masked_fill(is_special(ids, special_ids), -1)


def word_starts(pieces: Sequence[str]) -> Bool[Tensor, "V"]:
    """For each WordPiece id whether it begins a word: it has no ``##``.

    Args:
        pieces: The vocabulary, such as ``WordPieceTokenizer.pieces``.
    """
    return torch.tensor([not piece.startswith("##") for piece in pieces])


def word_units(
    ids: Integer[Tensor, "B T"],
    starts: Bool[Tensor, "V"],
    special_ids: Collection[int],
) -> Int[Tensor, "B T"]:
    """The tokens of a word together; special tokens never.

    A row that begins inside a word, as windows do, begins with a unit of its own.

    Args:
        ids: Tokens.
        starts: For each id whether it begins a word.
        special_ids: Ids that are never hidden; a word ends there.

    Raises:
        ValueError: If an id is not below ``len(starts)``.
    """
    ids = check_ids(ids, 2)
    in_table = int(ids.min()) >= 0 and int(ids.max()) < len(starts)
    rule = f"be from 0 to below {len(starts)}, the length of starts"
    require(in_table, "ids", f"{int(ids.min())} to {int(ids.max())}", rule)
    special = is_special(ids, special_ids)
    begins = starts.to(ids.device)[ids] | special
    begins[:, 0] = True
    begins[:, 1:] |= special[:, :-1]
    positions = torch.arange(ids.shape[1], device=ids.device)
    units = positions.where(begins, 0).cummax(1).values  # (B, T): the latest beginning
    return units.masked_fill(special, -1)


def find_phrases(
    ids: Integer[Tensor, "B T"],
    phrases: Sequence[Sequence[int]],
    units: Int[Tensor, "B T"],
) -> Spans:
    """Where given phrases stand, such as the names of a play's people.

    From left to right, the longest phrase first, without overlap; a match that would
    cut a unit, or holds a special token, does not count.

    Args:
        ids: Tokens.
        phrases: The ids of each phrase.
        units: Of the words, from ``word_units``.

    Returns:
        For each row the (start, end) of its matches, end not included.

    Raises:
        ValueError: If a phrase is empty.
    """
    for i, phrase in enumerate(phrases):
        require(len(phrase) > 0, f"phrases[{i}]", phrase, "hold at least one id")
    longest_first = sorted(map(list, phrases), key=len, reverse=True)
    found: Spans = []
    for row, row_units in zip(ids.tolist(), units.tolist(), strict=True):
        spans, start = [], 0
        while start < len(row):
            end = start + 1
            for phrase in longest_first:
                stop = start + len(phrase)
                if row[start:stop] == phrase and is_whole(row_units, start, stop):
                    spans.append((start, stop))
                    end = stop
                    break
            start = end
        found.append(spans)
    return found


def merge_units(
    units: Int[Tensor, "B T"], spans: Sequence[Sequence[tuple[int, int]]]
) -> Int[Tensor, "B T"]:
    """Each span becomes one unit, as in ERNIE's phrases and entities.

    Args:
        units: Of the tokens or words.
        spans: For each row (start, end) of its spans, end not included; from
            ``find_phrases``, or from any annotation.

    Raises:
        ValueError: If there are not as many rows of spans as of units, or a span is
            empty, leaves the row, holds a special token, cuts a unit or meets
            another span.
    """
    rule = f"hold {len(units)} rows, as many as units"
    require(len(spans) == len(units), "spans", f"{len(spans)} rows", rule)
    merged = units.clone()
    for b, row_spans in enumerate(spans):
        row, free_from = units[b].tolist(), 0
        for start, end in sorted(row_spans):
            name, given = f"spans[{b}]", (start, end)
            inside = 0 <= start < end <= len(row)
            require(inside, name, given, f"be (start, end) inside 0 to {len(row)}")
            require(start >= free_from, name, given, "not overlap another span")
            rule = "hold whole units and no special token"
            require(is_whole(row, start, end), name, given, rule)
            merged[b, start:end] = start
            free_from = end
    return merged


def is_whole(row_units: list[int], start: int, end: int) -> bool:
    """Whether no unit is cut at ``start`` or ``end``, and nothing special is inside."""
    if end > len(row_units) or min(row_units[start:end]) < 0:
        return False
    cut_left = start > 0 and row_units[start - 1] == row_units[start]
    cut_right = end < len(row_units) and row_units[end] == row_units[end - 1]
    return not (cut_left or cut_right)


def is_special(
    ids: Integer[Tensor, "B T"], special_ids: Collection[int]
) -> Bool[Tensor, "B T"]:
    """True where a special token stands."""
    table = torch.tensor(sorted(special_ids), dtype=torch.long, device=ids.device)
    return torch.isin(ids, table)
