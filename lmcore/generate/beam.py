"""Beam search: keep several beginnings, so that the best text is less often missed.

Greedy decoding takes the best token each time and cannot take it back, though the most
probable text may begin with the second-best one. Beam search keeps the ``n_beams``
most probable beginnings, extends each by every token, and again keeps the best.

A log probability is a sum of negative numbers, so a longer text has a lower one. To
compare texts of unequal length it is divided by a power of the length, the stop token
counted (Wu et al., 2016, section 7, without their constant 5):

    score = log p(text) / length^length_penalty

Reference: Graves, 2012, section 2.5 (the algorithm); Holtzman et al., 2020, section 4
(why it suits translation, with one right answer, and not stories).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmcore.config import require
from lmcore.generate.decode import check_length, check_prompts, device_of
from lmcore.generate.logits import check_logits
from lmcore.generate.readers import RereadingReader, make_reader


class Beam(NamedTuple):
    """One text that beam search found.

    Attributes:
        ids: Its tokens, without the stop token.
        log_prob: Its log probability in nats, the stop token's included.
        score: ``log_prob`` divided by the power of the length.
        stopped: Whether it came to a stop token; False if the tokens ran out.
    """

    ids: list[int]
    log_prob: float
    score: float
    stopped: bool


# Reads ids (N, T) after what ``state`` stands for; log probabilities (N, V) of what
# comes next, and the new state.
Step = Callable[[Int[Tensor, "N T"], Any], tuple[Float[Tensor, "N V"], Any]]
# The state with these rows only, in this order; a row may come twice.
Select = Callable[[Any, Int[Tensor, "N_new"]], Any]


def beam_search(
    step: Step,
    select: Select,
    state: Any,
    prompt: Sequence[int],
    max_new_tokens: int,
    *,
    n_beams: int,
    stop_ids: Sequence[int] = (),
    length_penalty: float = 1.0,
    device: torch.device | None = None,
) -> list[Beam]:
    """Search with any model that can be asked step by step.

    It ends when ``n_beams`` texts have stopped and no other can still overtake them.

    Args:
        step: Reads ids (N, T) and gives log probabilities (N, V) and the new state.
        select: ``select(state, rows)`` keeps these rows of a state.
        state: Of one row, before the prompt is read: an encoder's output, or None.
        prompt: What every text begins with; for an encoder-decoder the token that
            marks the beginning.
        max_new_tokens: Tokens to add at most, at least 1.
        n_beams: Beginnings kept; 1 is greedy decoding.
        stop_ids: Tokens that end a text.
        length_penalty: 0 compares log probabilities as they are and so prefers short
            texts; 1 compares their means per token; above 1 prefers long ones.
        device: Where ``step`` wants its ids.

    Returns:
        At most ``n_beams`` texts, the best first.

    Raises:
        ValueError: If an argument is out of its range, or ``step`` gives NaN.

    Example:
        With ``Seq2Seq``, whose state is a tuple of tensors (layers, B, hidden):

            def step(ids, state):
                logits, state = model.decode(ids, state)
                return logits[:, -1].log_softmax(-1), state

            def select(state, rows):
                return tuple(part[:, rows] for part in state)

            beam_search(step, select, model.encode(source_ids), [BEGIN], 30,
                        n_beams=4, stop_ids=[END])
    """
    for name, value in (("n_beams", n_beams), ("max_new_tokens", max_new_tokens)):
        require(type(value) is int and value >= 1, name, value, "be an int >= 1")
    require(len(prompt) > 0, "prompt", prompt, "hold at least one token")

    def best_possible(beam: Beam) -> float:
        """What no continuation's score can exceed: log p only falls."""
        shortest, longest = len(beam.ids) + 1, max_new_tokens
        length = longest if length_penalty > 0 else shortest
        return beam.log_prob / length**length_penalty

    live = [Beam([], 0.0, 0.0, False)]
    stopped: list[Beam] = []
    new = torch.tensor([list(prompt)], device=device)  # (1, T)
    for length in range(1, max_new_tokens + 1):
        log_probs, state = step(new, state)  # (N, V)
        check_logits(log_probs)
        rows, longer = [], []
        found = best_extensions(live, log_probs, (1 + len(stop_ids)) * n_beams)
        for rank, (row, token, log_prob) in enumerate(found):
            score = log_prob / length**length_penalty
            ids = live[row].ids
            if token in stop_ids:
                if rank < n_beams:
                    stopped.append(Beam(ids, log_prob, score, True))
            elif len(longer) < n_beams:
                rows.append(row)
                longer.append(Beam([*ids, token], log_prob, score, False))
        live = longer
        stopped = best_first(stopped)[:n_beams]
        if stopped and n_beams == 1:  # greedy decoding takes nothing back
            return stopped
        full = len(stopped) == n_beams
        if not live or (full and best_possible(live[0]) <= stopped[-1].score):
            break
        state = select(state, torch.tensor(rows, device=device))
        new = torch.tensor([[beam.ids[-1]] for beam in live], device=device)
    return best_first(stopped + live)[:n_beams]


def best_extensions(
    live: Sequence[Beam], log_probs: Float[Tensor, "N V"], n: int
) -> list[tuple[int, int, float]]:
    """The n most probable ways to lengthen a beam by one token, the best first.

    Returns:
        For each the beam's row, the token, and the log probability of the whole.
    """
    so_far = torch.tensor([beam.log_prob for beam in live], dtype=torch.float64)
    totals = so_far.unsqueeze(-1) + log_probs.cpu().double()  # (N, V)
    best = totals.flatten().topk(min(n, totals.numel()))
    vocab_size = totals.shape[1]
    return [
        (index // vocab_size, index % vocab_size, total)
        for index, total in zip(
            best.indices.tolist(), best.values.tolist(), strict=True
        )
        if total > float("-inf")
    ]


def best_first(beams: Sequence[Beam]) -> list[Beam]:
    """Sorted by score, falling."""
    return sorted(beams, key=lambda beam: beam.score, reverse=True)


def generate_beams(
    model: Callable,
    prompt: Sequence[int],
    max_new_tokens: int,
    *,
    n_beams: int,
    stop_ids: Sequence[int] = (),
    length_penalty: float = 1.0,
    use_cache: bool = True,
) -> list[Beam]:
    """Beam search with a language model that continues a prompt.

    Args:
        model: As for ``generate``.
        prompt: Ids to continue.
        max_new_tokens: Tokens to add at most.
        n_beams: See ``beam_search``.
        stop_ids: See ``beam_search``.
        length_penalty: See ``beam_search``; the prompt does not count.
        use_cache: See ``generate``.

    Raises:
        ValueError: As ``generate`` and ``beam_search``.
    """
    (row,) = check_prompts(model, [prompt])
    limit = check_length(model, len(row), max_new_tokens, slide=False)
    reader = make_reader(model, limit, 1, len(row) + max_new_tokens, use_cache)

    def step(ids: Tensor, reader: RereadingReader) -> tuple[Tensor, RereadingReader]:
        return reader.read(ids).log_softmax(-1), reader

    def select(reader: RereadingReader, rows: Tensor) -> RereadingReader:
        reader.select(rows)
        return reader

    return beam_search(
        step,
        select,
        reader,
        row,
        max_new_tokens,
        n_beams=n_beams,
        stop_ids=stop_ids,
        length_penalty=length_penalty,
        device=device_of(model),
    )
