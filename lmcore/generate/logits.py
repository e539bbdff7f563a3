"""How one token is chosen from the scores of all: functions from logits to logits.

A language model ends in one score per token. Drawing from their softmax as it is gives
lively text with slips, for the many unlikely tokens together get a good share; always
taking the best gives text that goes round in circles. The functions here lie between
the two. Each takes logits and returns logits, so they can be chained and looked at one
by one; a token that may not come gets -infinity, so that its probability is 0.

References:
    Temperature: Ackley et al., 1985, section 2. Top-k: Fan et al., 2018, section 5.4.
    Top-p (nucleus): Holtzman et al., 2020, section 3.1. Penalty: Keskar et al., 2019,
    section 4.1.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmcore.config import require


def greedy(logits: Float[Tensor, "B V"]) -> Int[Tensor, "B"]:
    """The token with the highest score; of equal ones, one of them."""
    check_logits(logits)
    return logits.argmax(-1)


def with_temperature(
    logits: Float[Tensor, "B V"], temperature: float
) -> Float[Tensor, "B V"]:
    """Divide by the temperature: below 1 the likely get likelier, above 1 less so.

    The best score is subtracted first. That changes no probability, and a tiny
    temperature then leads to 0 and -infinity instead of infinity / infinity.

    Args:
        logits: Scores.
        temperature: Above 0. Near 0 only the best remains; 1 changes nothing.
    """
    require(temperature > 0, "temperature", temperature, "be > 0")
    return (logits - logits.amax(-1, keepdim=True)) / temperature


def keep_top_k(logits: Float[Tensor, "B V"], k: int) -> Float[Tensor, "B V"]:
    """Only the k best tokens may come.

    Args:
        logits: Scores.
        k: At least 1; more than there are tokens changes nothing.
    """
    require(k >= 1, "top_k", k, "be >= 1")
    best = logits.topk(min(k, logits.shape[-1]), dim=-1)
    removed = torch.full_like(logits, float("-inf"))
    return removed.scatter(-1, best.indices, best.values)


def keep_top_p(logits: Float[Tensor, "B V"], p: float) -> Float[Tensor, "B V"]:
    """Only the nucleus may come: the fewest best tokens that together have p.

    Where the model is sure that may be one token, where it is not, hundreds; top-k
    keeps the same number everywhere.

    Args:
        logits: Scores.
        p: Above 0, at most 1; 1 changes nothing.
    """
    require(0 < p <= 1, "top_p", p, "be > 0 and <= 1")
    if p == 1:
        return logits  # rounded sums of probabilities may come to 1 too early
    ordered, order = logits.sort(dim=-1, descending=True, stable=True)
    probs = ordered.softmax(-1)
    before = probs.cumsum(-1) - probs  # what the better tokens have together
    kept = ordered.masked_fill(before >= p, float("-inf"))
    return torch.empty_like(logits).scatter(-1, order, kept)


def penalise_repeats(
    logits: Float[Tensor, "B V"], ids: Int[Tensor, "B T"], penalty: float
) -> Float[Tensor, "B V"]:
    """Lower the scores of tokens that came before, prompt included.

    A positive score is divided by the penalty and a negative one multiplied, so that
    both fall. Once is enough: a token that came ten times is not lowered further.

    Args:
        logits: Scores.
        ids: All tokens read so far.
        penalty: Above 0; 1 changes nothing, 1.1 to 1.3 is usual, and below 1 tokens
            that came before get likelier.
    """
    require(penalty > 0, "repetition_penalty", penalty, "be > 0")
    seen = logits.gather(-1, ids)  # (B, T)
    lowered = torch.where(seen > 0, seen / penalty, seen * penalty)
    return logits.scatter(-1, ids, lowered)


def draw(
    logits: Float[Tensor, "B V"], generator: torch.Generator | None = None
) -> Int[Tensor, "B"]:
    """Draw one token per row, with the probabilities softmax(logits).

    Args:
        logits: Scores; -infinity for what may not come.
        generator: Of the CPU, for draws that can be repeated; torch's own if None.
            Drawing happens on the CPU, so a seed means the same on every device.

    Raises:
        ValueError: If a row has NaN, +infinity, or nothing above -infinity.
    """
    check_logits(logits)
    device = "cpu" if generator is None else generator.device.type
    require(device == "cpu", "generator", device, "be a generator of the CPU")
    probs = logits.float().softmax(-1).cpu()
    drawn = torch.multinomial(probs, 1, generator=generator)
    return drawn.squeeze(-1).to(logits.device)


def check_logits(logits: Float[Tensor, "B V"]) -> None:
    """Refuse scores that no token can be chosen from.

    Raises:
        ValueError: If the best score of a row is NaN or infinite.
    """
    best = logits.amax(-1)  # NaN if there is one in the row
    usable = bool(best.isfinite().all())
    rule = "be finite: the model's weights are broken, or every token was ruled out"
    require(usable, "largest logit", best.tolist(), rule)
