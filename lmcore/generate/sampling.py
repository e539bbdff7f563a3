"""The chain from scores to a token, in its usual order.

    penalise_repeats -> with_temperature -> keep_top_k -> keep_top_p -> draw

The order matters: the nucleus is measured among what top-k left, at the temperature
asked for. It is the order of Hugging Face's ``generate``, so settings carry over.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmcore.config import Config, require
from lmcore.generate.logits import (
    draw,
    greedy,
    keep_top_k,
    keep_top_p,
    penalise_repeats,
    with_temperature,
)


@dataclass(frozen=True, kw_only=True)
class Sampling(Config):
    """How tokens are drawn. ``Sampling()`` draws from the model's own probabilities.

    ``Sampling(top_k=1, repetition_penalty=1.2)`` is greedy with a penalty.

    Attributes:
        temperature: Above 0; below 1 more careful, above 1 more daring.
        top_k: Draw among the k best tokens; None for all.
        top_p: Draw among the best tokens that together have this probability; None
            for all.
        repetition_penalty: Above 1, tokens that came before get less likely.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0

    def validate(self) -> None:
        """Check every field."""
        require(
            0 < self.temperature < float("inf"),
            "temperature",
            self.temperature,
            "be > 0 and finite (for greedy decoding leave sampling out)",
        )
        k, p = self.top_k, self.top_p
        usable = k is None or (type(k) is int and k >= 1)
        require(usable, "top_k", k, "be None or an int >= 1")
        require(p is None or 0 < p <= 1, "top_p", p, "be None, or > 0 and <= 1")
        penalty = self.repetition_penalty
        usable = 0 < penalty < float("inf")
        require(usable, "repetition_penalty", penalty, "be > 0 and finite")

    def adjust(
        self, logits: Float[Tensor, "B V"], ids: Int[Tensor, "B T"]
    ) -> Float[Tensor, "B V"]:
        """The scores that are drawn from.

        Args:
            logits: The model's.
            ids: All tokens read so far.
        """
        if self.repetition_penalty != 1:
            logits = penalise_repeats(logits, ids, self.repetition_penalty)
        if self.temperature != 1:
            logits = with_temperature(logits, self.temperature)
        if self.top_k is not None:
            logits = keep_top_k(logits, self.top_k)
        if self.top_p is not None:
            logits = keep_top_p(logits, self.top_p)
        return logits


def choose(
    logits: Float[Tensor, "B V"],
    ids: Int[Tensor, "B T"],
    sampling: Sampling | None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "B"]:
    """The next token of each row: the best if ``sampling`` is None, else drawn."""
    if sampling is None:
        return greedy(logits)
    return draw(sampling.adjust(logits, ids), generator)
