"""A pretrained BERT as a folder of three files (see ``model_folder``)."""

from pathlib import Path

import torch

from lmcore.config import require
from lmcore.models.bert import BertConfig, BertForPretraining
from lmcore.models.model_folder import load_folder, save_folder
from lmcore.tokenizers import WordPieceTokenizer


def save_bert(
    folder: str | Path,
    model: BertForPretraining,
    tokenizer: WordPieceTokenizer,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Write the encoder with its heads, and its tokenizer, into a folder.

    Args:
        folder: Made if it does not exist.
        model: The model.
        tokenizer: Its tokenizer.
        dtype: Number format of the stored weights; float16 halves the file.

    Raises:
        ValueError: If the tokenizer has more tokens than the model.
    """
    return save_folder(folder, model, tokenizer, dtype)


def load_bert_files(
    folder: str | Path, device: torch.device | None = None
) -> tuple[BertForPretraining, WordPieceTokenizer]:
    """Read what ``save_bert`` wrote: the model, in float32 and ready to use.

    Args:
        folder: Where the three files lie.
        device: Where the model goes; the CPU if not given.

    Raises:
        FileNotFoundError: If the folder or one of its files is missing.
        ValueError: If a file is damaged, the weights do not fit the configuration, or
            the tokenizer is no WordPiece tokenizer.
    """
    model, tokenizer = load_folder(
        folder, BertForPretraining, BertConfig, device=device
    )
    usable = isinstance(tokenizer, WordPieceTokenizer)
    require(usable, "tokenizer", type(tokenizer).__name__, "be a WordPieceTokenizer")
    return model, tokenizer
