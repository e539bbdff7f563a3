"""Span corruption: short stretches are cut out, and the model writes them down.

    text     thank you for inviting me to your party last week
    input    thank you <X> me to your party <Y> week
    target   <X> for inviting <Y> last

Each stretch leaves a sentinel, a token of its own, in the input; the target names the
sentinel and what stood there. So the target is short, and a step costs less than
writing the whole text back (BART) would.

How much is cut out is fixed by the length L, as in the released code; only where is
drawn:

    n_noise = round(rate * L), at least 1 and at most L - 1
    n_spans = round(n_noise / mean_span), at least 1
    n_noise tokens are cut into n_spans spans, L - n_noise kept ones likewise, every way
    of cutting being as likely; kept and cut spans take turns, a kept one first.

So texts of the same length give inputs of the same length and targets of the same
length. The paper's figure 2 closes the target with one more sentinel; the released
code with the end token, as here.

Reference: Raffel et al., 2020, sections 3.1.4 and 3.3.4 (T5), and
``random_spans_noise_mask`` in the release.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

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


def corrupt_spans(
    ids: Integer[Tensor, "N"],
    *,
    sentinel_ids: Sequence[int],
    generator: torch.Generator,
    end_id: int | None = None,
    rate: float = 0.15,
    mean_span: float = 3.0,
) -> tuple[Int[Tensor, "S"], Int[Tensor, "T"]]:
    """Input with sentinels, and the target that says what they stand for.

    Args:
        ids: One text, without special tokens or padding.
        sentinel_ids: The sentinels in the order of their use, at least ``n_spans``.
        generator: Decides where the spans are.
        end_id: Closes input and target, as in T5; left out if not given.
        rate: Share of the tokens that is cut out.
        mean_span: Mean length of a span, in tokens.

    Returns:
        ``inputs`` of L - n_noise + n_spans ids and ``targets`` of n_noise + n_spans,
        each with one more for ``end_id``.

    Raises:
        TypeError: If ``ids`` is no tensor of integers, or ``generator`` no generator.
        ValueError: If the text has fewer than two ids, holds a sentinel or ``end_id``,
            needs more sentinels than there are, or a number is out of range.
    """
    check_generator(generator)
    end = [] if end_id is None else [end_id]
    kept_out = [*sentinel_ids, *end]
    rule = "be different from one another and from end_id"
    require(len(set(kept_out)) == len(kept_out), "sentinel_ids", sentinel_ids, rule)
    ids = check_text(ids, kept_out, at_least=2)
    n_noise, n_spans = noise_counts(len(ids), rate, mean_span)
    rule = f"be at least {n_spans}, one for each span of {len(ids)} ids"
    n_sentinels = len(sentinel_ids)
    require(n_sentinels >= n_spans, "sentinel_ids", f"{n_sentinels} sentinels", rule)

    kept = draw_segments(len(ids) - n_noise, n_spans, generator)
    cut = draw_segments(n_noise, n_spans, generator)
    text, position = ids.tolist(), 0
    inputs: list[int] = []
    targets: list[int] = []
    for n_kept, n_cut, sentinel in zip(kept, cut, sentinel_ids, strict=False):
        span = position + n_kept
        inputs += [*text[position:span], sentinel]
        targets += [sentinel, *text[span : span + n_cut]]
        position = span + n_cut
    device = ids.device
    return (
        torch.tensor(inputs + end, device=device),
        torch.tensor(targets + end, device=device),
    )


def noise_counts(length: int, rate: float, mean_span: float) -> tuple[int, int]:
    """How many tokens are cut out of a text of ``length``, and in how many spans.

    Never more spans than kept tokens, since a kept span stands before each.

    Raises:
        ValueError: If a number is out of range.
    """
    usable = type(length) is int and length >= 2
    require(usable, "length", length, "be an int >= 2")
    check_rate("rate", rate)
    require(1 <= mean_span < float("inf"), "mean_span", mean_span, "be >= 1")
    n_noise = min(max(round(length * rate), 1), length - 1)
    n_spans = max(round(n_noise / mean_span), 1)
    return n_noise, min(n_spans, length - n_noise)


def draw_segments(n: int, n_segments: int, generator: torch.Generator) -> list[int]:
    """Lengths >= 1 with sum n, every such list as likely: n_segments - 1 cuts."""
    cuts = sorted(draw_order(n - 1, generator)[: n_segments - 1])
    return [end - start for start, end in pairwise([0, *(c + 1 for c in cuts), n])]


def fill_spans(
    inputs: Iterable[int],
    targets: Iterable[int],
    *,
    sentinel_ids: Sequence[int],
    end_id: int | None = None,
) -> list[int]:
    """The text again: each sentinel of the input replaced by what the target says.

    Good for a model's output too: what stands before its first sentinel, or behind
    ``end_id``, is left out, a sentinel that it does not name stands for nothing, and of
    two answers to one sentinel the first counts.

    Args:
        inputs: From ``corrupt_spans``.
        targets: From ``corrupt_spans``, or what a model wrote.
        sentinel_ids: The sentinels.
        end_id: As given to ``corrupt_spans``.
    """
    sentinels = set(sentinel_ids)
    answers: dict[int, list[int]] = {}
    answer: list[int] = []
    for token in map(int, targets):
        if token == end_id:
            break
        if token in sentinels:
            answer = []
            answers.setdefault(token, answer)
        else:
            answer.append(token)
    text = []
    for token in map(int, inputs):
        if token in sentinels:
            text += answers.get(token, [])
        elif token != end_id:
            text.append(token)
    return text
