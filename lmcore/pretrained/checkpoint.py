"""Load a Hugging Face checkpoint into the model of this course that it fits.

    model = load_checkpoint("folder/with/config.json")
    model = load_checkpoint("openai-community/gpt2")      # needs a connection

``config.json`` says which family it is, and the table below what that means here:

    model_type     becomes
    gpt2           lmcore.models.gpt.GPT
    llama          lmcore.models.gpt.GPT
    bert           lmcore.models.bert.BertForPretraining, or Bert if it has no MLM head
    distilbert     the same
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from lmcore.assets import fetch
from lmcore.config import require
from lmcore.models.bert import Bert, BertForPretraining
from lmcore.models.gpt import GPT
from lmcore.pretrained.bert import MLM_HEADS, bert_config, distilbert_config, from_bert
from lmcore.pretrained.checkpoint_files import read_checkpoint, read_json, tensor_names
from lmcore.pretrained.gpt2 import from_gpt2, gpt2_config
from lmcore.pretrained.hub import fetch_checkpoint
from lmcore.pretrained.llama import from_llama, llama_config
from lmcore.pretrained.loaded import Loaded
from lmcore.pretrained.weights import blank, fill
from lmcore.tokenizers import ByteBPETokenizer, WordPieceTokenizer

FAMILIES = ("gpt2", "llama", "bert", "distilbert")


def load_checkpoint(
    source: str | Path,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """A published model, in evaluation mode.

    Args:
        source: A folder with ``config.json`` and the weights, or the name of a model
            on the Hugging Face hub, as ``owner/model``.
        dtype: Of the weights.
        device: Where the model shall lie.

    Raises:
        FileNotFoundError: If a file of the folder is missing.
        AssetError: If the hub cannot be reached.
        ValueError: If it is another kind of model, or tensors do not fit; the message
            lists those that are missing, unexpected or of another shape.
    """
    folder = Path(source) if Path(source).is_dir() else fetch_checkpoint(str(source))
    fields = read_json(folder / "config.json")
    family = fields.get("model_type")
    require(family in FAMILIES, "model_type", family, f"be one of {FAMILIES}")
    try:
        if family in ("bert", "distilbert"):
            return load_encoder(folder, fields, dtype, device)
        config = gpt2_config(fields) if family == "gpt2" else llama_config(fields)
    except KeyError as error:
        raise ValueError(
            f"path={str(folder / 'config.json')!r}: must have the field {error}"
        ) from error
    model = blank(GPT, config, dtype, device)
    tensors = read_checkpoint(folder)
    fill(model, from_gpt2(tensors) if family == "gpt2" else from_llama(tensors))
    return model


def load_encoder(
    folder: Path,
    fields: dict[str, Any],
    dtype: torch.dtype,
    device: torch.device | str,
) -> nn.Module:
    """BERT or DistilBERT, with its heads if the file has the MLM's."""
    names = tensor_names(folder)
    with_heads = bool(names & MLM_HEADS)
    if fields["model_type"] == "bert":
        config = bert_config(fields, names)
    else:
        config = distilbert_config(fields)
    model = blank(BertForPretraining if with_heads else Bert, config, dtype, device)
    fill(model, from_bert(read_checkpoint(folder), with_heads))
    return model


def load_gpt2(
    source: str | Path = "openai-community/gpt2",
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Loaded:
    """GPT-2 and its tokenizer; the vocabulary is an asset and needs no hub.

    Args:
        source: See ``load_checkpoint``; the larger ones are ``openai-community/``
            ``gpt2-medium``, ``gpt2-large`` and ``gpt2-xl``.
        dtype: Of the weights.
        device: Where the model shall lie.

    Raises:
        AssetError: If the hub or the vocabulary cannot be reached.
        ValueError: See ``load_checkpoint``.
    """
    model = load_checkpoint(source, dtype, device)
    return Loaded(model, ByteBPETokenizer.from_ranks(fetch("gpt2-ranks")))


def load_bert(
    source: str | Path = "google-bert/bert-base-uncased",
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Loaded:
    """A BERT or DistilBERT with the uncased vocabulary, which is an asset.

    Args:
        source: See ``load_checkpoint``; DistilBERT is ``distilbert/`` with
            ``distilbert-base-uncased``.
        dtype: Of the weights.
        device: Where the model shall lie.

    Raises:
        AssetError: If the hub or the vocabulary cannot be reached.
        ValueError: See ``load_checkpoint``.
    """
    model = load_checkpoint(source, dtype, device)
    vocab = fetch("bert-uncased-vocab")
    return Loaded(model, WordPieceTokenizer.from_vocab(vocab))
