"""What the loaders of published models return."""

from typing import NamedTuple

from torch import nn

from lmcore.tokenizers import Tokenizer


class Loaded(NamedTuple):
    """A published model in evaluation mode and the tokenizer it was trained with."""

    model: nn.Module
    tokenizer: Tokenizer
