"""A language model measured on a text: the sum of its surprise, and bits per byte."""

import torch
from torch import Tensor, nn

from lmcore.data import next_token_pairs, ordered_batches
from lmcore.losses import IGNORE_INDEX, cross_entropy
from lmcore.metrics import bits_per_byte
from lmcore.tokenizers import Tokenizer


def to_ids(tokenizer: Tokenizer, text: str) -> Tensor:
    """A text's ids, (n,), behind a newline that predicts its first token."""
    return torch.tensor(tokenizer.encode("\n") + tokenizer.encode(text))


def text_nats(
    model: nn.Module,
    ids: Tensor,
    seq_len: int,
    stride: int | None = None,
    batch_size: int = 16,
) -> float:
    """The sum of -log p over every id but the first.

    The text is read in windows. With a stride below ``seq_len`` windows overlap, and a
    prediction counts where it has the most before it: at least ``seq_len - stride``
    ids, except at the text's beginning. That costs ``seq_len / stride`` times as much.

    Args:
        model: ``model(ids)`` gives logits (B, T, V).
        ids: The text, (n,).
        seq_len: Ids in a window.
        stride: From one window's start to the next one's; ``seq_len`` if not given.
        batch_size: Windows at a time.
    """
    device = next(model.parameters()).device
    seq_len = min(seq_len, len(ids) - 1)
    stride = min(stride or seq_len, seq_len)
    inputs, targets = next_token_pairs(ids, seq_len, stride, keep_rest=True)
    targets = targets.clone()
    targets[1:, : seq_len - stride] = IGNORE_INDEX  # counted in the window before
    nats = 0.0
    with torch.no_grad():
        for x, y in ordered_batches(inputs, targets, batch_size=batch_size):
            logits = model(x.to(device)).float()
            counted = (y != IGNORE_INDEX).sum().item()
            nats += cross_entropy(logits, y.to(device)).item() * counted
    return nats


def measure_bits(model: nn.Module, ids: Tensor, text: str, seq_len: int) -> float:
    """Bits per byte with at least half a window before each prediction."""
    nats = text_nats(model, ids, seq_len, stride=seq_len // 2)
    return round(bits_per_byte(nats, len(text.encode())), 4)
