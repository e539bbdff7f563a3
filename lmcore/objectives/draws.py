"""Random draws that depend on a seed and a step alone, and checks of their arguments.

An objective that hides tokens anew at every step (Liu et al., 2019, section 4.1,
"dynamic masking") needs new draws at every step, and the same ones again when a
training goes on from a checkpoint: so the generator is made from (seed, step).
"""

from collections.abc import Collection

import numpy as np
import torch
from jaxtyping import Integer
from torch import Tensor

from lmcore.config import require


def generator_at(seed: int, step: int = 0) -> torch.Generator:
    """A CPU generator whose draws are a function of ``(seed, step)``.

    Raises:
        ValueError: If a number is no int or is negative.
    """
    for name, value in (("seed", seed), ("step", step)):
        require(type(value) is int and value >= 0, name, value, "be an int >= 0")
    state = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


def draw_below(n: int, generator: torch.Generator) -> int:
    """A whole number from 0 to n - 1, each as likely."""
    return int(torch.randint(n, (), generator=generator, device=generator.device))


def draw_order(n: int, generator: torch.Generator) -> list[int]:
    """The numbers from 0 to n - 1 in a random order, each order as likely."""
    return torch.randperm(n, generator=generator, device=generator.device).tolist()


def check_generator(generator: torch.Generator) -> None:
    """Refuse what is no generator, such as a bare seed."""
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator={generator!r:.50}: must be a torch.Generator, "
            "such as generator_at(seed, step)"
        )


def check_rate(name: str, rate: float) -> None:
    """Refuse a share of tokens that is not above 0 and at most 1."""
    require(0 < rate <= 1, name, rate, "be > 0 and <= 1")


def check_ids(ids: Integer[Tensor, "*shape"], n_axes: int) -> Integer[Tensor, "*shape"]:
    """The ids as int64.

    Raises:
        TypeError: If they are no tensor of integers.
        ValueError: If there are none, or the number of axes is another.
    """
    known = isinstance(ids, Tensor) and not ids.is_floating_point()
    if not known or ids.is_complex() or ids.dtype == torch.bool:
        raise TypeError(f"ids={ids!r:.50}: must be a tensor of integers")
    shape = tuple(ids.shape)
    require(ids.dim() == n_axes, "ids", f"shape {shape}", f"have {n_axes} axes")
    require(ids.numel() > 0, "ids", f"shape {shape}", "hold at least one id")
    return ids.long()


def check_text(
    ids: Integer[Tensor, "N"], kept_out: Collection[int], at_least: int = 1
) -> Integer[Tensor, "N"]:
    """The ids of one text as int64, without padding or any other special token.

    Raises:
        TypeError: If they are no tensor of integers.
        ValueError: If there are fewer than ``at_least``, or one is in ``kept_out``.
    """
    ids = check_ids(ids, 1)
    rule = f"be at least {at_least} ids"
    require(len(ids) >= at_least, "ids", f"{len(ids)} ids", rule)
    special = torch.isin(ids, torch.tensor(sorted(kept_out), device=ids.device).long())
    if special.any():
        at = int(special.nonzero()[0])
        require(False, f"ids[{at}]", int(ids[at]), "be no special token or padding")
    return ids
