"""Causal language modelling: every token from those before it.

    p(x_1 … x_T) = Π_t p(x_t | x_1 … x_{t-1})

    inputs   x_1  x_2  …  x_{T-1}
    targets  x_2  x_3  …  x_T

Nothing is drawn and nothing is lost: every token but the first is a target, where
masking has a target for one token in seven. The model's mask, not the data, keeps each
position from the tokens behind it.

For one long text cut into windows see ``lmcore.data.next_token_pairs``; here each row
is a text of its own.

Reference: Bengio et al., 2003, section 1; Radford et al., 2018, section 3.1.
"""

from jaxtyping import Bool, Int, Integer
from torch import Tensor

from lmcore.config import require
from lmcore.losses import IGNORE_INDEX
from lmcore.objectives.draws import check_ids


def causal_pairs(
    ids: Integer[Tensor, "B T"], mask: Bool[Tensor, "B T"] | None = None
) -> tuple[Int[Tensor, "B T-1"], Int[Tensor, "B T-1"]]:
    """Inputs and targets, shifted by one.

    Args:
        ids: One text a row, padded on either side.
        mask: True at real tokens; all are if not given. A prediction counts where the
            token read and the token asked for are both real.

    Returns:
        ``inputs`` and ``targets``; a row with fewer than two tokens has no target.

    Raises:
        TypeError: If ``ids`` is no tensor of integers.
        ValueError: If a row has fewer than two ids.
    """
    ids = check_ids(ids, 2)
    require(ids.shape[1] >= 2, "ids", f"{ids.shape[1]} a row", "be at least 2 a row")
    inputs, targets = ids[:, :-1], ids[:, 1:]  # (B, T-1) each
    if mask is not None:
        targets = targets.masked_fill(~(mask[:, :-1] & mask[:, 1:]), IGNORE_INDEX)
    return inputs, targets
