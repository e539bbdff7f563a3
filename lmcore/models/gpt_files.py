"""A trained GPT as a folder of three files (see ``model_folder``)."""

from pathlib import Path

import torch
from torch import Tensor

from lmcore.models.gpt import GPT, GPTConfig
from lmcore.models.model_folder import load_folder, save_folder
from lmcore.tokenizers import Tokenizer


def save_gpt(
    folder: str | Path,
    model: GPT,
    tokenizer: Tokenizer,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Write model and tokenizer into a folder; a tied weight is stored once.

    Args:
        folder: Made if it does not exist.
        model: The model.
        tokenizer: Its tokenizer.
        dtype: Number format of the stored weights; float16 halves the file.

    Raises:
        ValueError: If the tokenizer has more tokens than the model.
    """
    tied = ["lm_head.weight"] if model.config.tie_weights else []
    return save_folder(folder, model, tokenizer, dtype, leave_out=tied)


def load_gpt(
    folder: str | Path, device: torch.device | None = None
) -> tuple[GPT, Tokenizer]:
    """Read what ``save_gpt`` wrote: the model, in float32 and ready to use.

    Args:
        folder: Where the three files lie.
        device: Where the model goes; the CPU if not given.

    Raises:
        FileNotFoundError: If the folder or one of its files is missing.
        ValueError: If a file is damaged or the weights do not fit the configuration.
    """
    return load_folder(folder, GPT, GPTConfig, tie, device)


def tie(config: GPTConfig, weights: dict[str, Tensor]) -> None:
    """Put the output matrix back where it is the embedding."""
    if config.tie_weights:
        weights["lm_head.weight"] = weights.get("tok_emb.weight")
