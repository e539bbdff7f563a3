"""A model reads token after token and says each time how it would go on.

Without memory, every new token means to read everything again: ``RereadingReader``.
A decoder with a KV cache keeps keys and values of what it read, and a recurrent network
keeps its state; both then read the new token alone. The scores are the same.

When a model with ``max_seq_len`` has read that much and may forget, the older half of
what it read is dropped and the newer half read again from position 0. (To drop one
token at a time would mean to read everything again for each new one.)
"""

from collections.abc import Callable
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


@contextmanager
def evaluating(model: Callable):
    """Without dropout inside the ``with``; afterwards each module is as it was."""
    modules = model.modules() if isinstance(model, nn.Module) else ()
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


class RereadingReader:
    """Reads everything again for every token: works with any model.

    Args:
        model: ``model(ids)`` or, if there is padding, ``model(ids, mask)`` gives
            logits (B, T, V).
        limit: Tokens that the model can read at once; None if any number.
    """

    def __init__(self, model: Callable, limit: int | None = None) -> None:
        self.model = model
        self.limit = limit
        self.ids: Tensor | None = None  # (B, T), all that counts
        self.mask: Tensor | None = None  # (B, T), True at real tokens

    @torch.inference_mode()
    def read(
        self, ids: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B V"]:
        """Read on, and score what could come next.

        Args:
            ids: The prompt, or the tokens that were chosen since.
            mask: True at real tokens; given with the prompt if it is padded.
        """
        if self.ids is None:
            self.ids, self.mask = ids, mask
        else:
            self.ids = torch.cat([self.ids, ids], dim=1)
        if self.mask is not None and self.mask.shape != self.ids.shape:
            real = torch.ones_like(ids, dtype=torch.bool)
            self.mask = torch.cat([self.mask, real], dim=1)
        if self.limit is not None and self.ids.shape[1] > self.limit:
            ids = self.ids = self.ids[:, -max(1, self.limit // 2) :]
            if self.mask is not None:
                self.mask = self.mask[:, -ids.shape[1] :]
            self.forget()
        if getattr(self.model, "training", False):
            with evaluating(self.model):
                return self.score(ids)
        return self.score(ids)

    def score(self, new: Int[Tensor, "B T"]) -> Float[Tensor, "B V"]:
        """Scores after ``self.ids``, whose last tokens ``new`` were not read before."""
        if self.mask is None:
            return self.model(self.ids)[:, -1]
        return self.model(self.ids, self.mask)[:, -1]

    def forget(self) -> None:
        """Drop what the model remembers."""

    def select(self, rows: Int[Tensor, "B_new"]) -> None:
        """Keep these rows of the batch, in this order; a row may come twice."""
        self.ids = self.ids[rows]
        self.mask = None if self.mask is None else self.mask[rows]


class CachedReader(RereadingReader):
    """Reads each token once: keys and values of earlier ones wait in a KV cache.

    Args:
        model: A decoder with ``new_cache`` and ``model(ids, mask, kv_cache)``.
        limit: Its ``max_seq_len``.
        batch_size: Rows to make room for.
        max_len: Positions to make room for.
    """

    def __init__(
        self, model: Callable, limit: int | None, batch_size: int, max_len: int
    ) -> None:
        super().__init__(model, limit)
        self.cache = model.new_cache(batch_size, max_len)

    def score(self, new: Int[Tensor, "B T"]) -> Float[Tensor, "B V"]:
        """Read the new tokens; of a prompt only the last position needs scores."""
        if hasattr(self.model, "hidden_states"):
            x = self.model.hidden_states(new, self.mask, self.cache)  # (B, T, D)
            return self.model.lm_head(x[:, -1])
        return self.model(new, self.mask, self.cache)[:, -1]

    def forget(self) -> None:
        """Empty the cache; its memory stays."""
        self.cache.truncate(0)

    def select(self, rows: Int[Tensor, "B_new"]) -> None:
        """Reorder what was read and the cache."""
        super().select(rows)
        self.cache.select(rows)


class RecurrentReader(RereadingReader):
    """Reads each token once: a recurrent network's state is all it remembers.

    Args:
        model: With ``read(ids, state)``, which returns logits and the new state, a
            tuple of tensors (layers, B, hidden).
    """

    def __init__(self, model: Callable) -> None:
        super().__init__(model)
        self.state: tuple[Tensor, ...] | None = None

    def score(self, new: Int[Tensor, "B T"]) -> Float[Tensor, "B V"]:
        """Read the new tokens from where the state stands."""
        logits, self.state = self.model.read(new, self.state)
        return logits[:, -1]

    def select(self, rows: Int[Tensor, "B_new"]) -> None:
        """Reorder what was read and the state."""
        super().select(rows)
        self.state = tuple(part[:, rows] for part in self.state)


def make_reader(
    model: Callable,
    limit: int | None,
    batch_size: int,
    max_len: int,
    use_cache: bool = True,
) -> RereadingReader:
    """The reader that fits the model.

    Args:
        model: A decoder with a cache, a recurrent model, or any callable from ids to
            logits.
        limit: Tokens that the model can read at once; None if any number.
        batch_size: Rows.
        max_len: Tokens that will be read in all.
        use_cache: False reads everything again for every token.
    """
    if use_cache and hasattr(model, "new_cache"):
        room = max_len if limit is None else min(max_len, limit)
        return CachedReader(model, limit, batch_size, room)
    if use_cache and hasattr(model, "read"):
        return RecurrentReader(model)
    return RereadingReader(model, limit)
