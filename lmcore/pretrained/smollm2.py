"""SmolLM2-135M-Instruct: a published chat model in the modules of this course.

135 million weights, trained by others on 2 trillion tokens, in a file of 98 MB with
5 bits per weight. Everything comes from that one file: the shape of the model, its
weights, its vocabulary. What runs is ``lmcore.models.gpt.GPT``.

    model, tokenizer = load_smollm2()
    ids = encode_chat(tokenizer, [{"role": "user", "content": "Hello!"}])

Reference: Ben Allal et al., 2025, "SmolLM2: When Smol goes big".
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmcore.assets import fetch
from lmcore.config import require
from lmcore.models.gpt import GPT
from lmcore.pretrained.gguf_file import GGUFFile
from lmcore.pretrained.llama import from_gguf, gguf_config
from lmcore.pretrained.loaded import Loaded
from lmcore.pretrained.weights import blank, fill
from lmcore.tokenizers import ByteBPETokenizer
from lmcore.tokenizers.byte_alphabet import unshow

CONTROL = 3  # GGUF's number for the type of a control token
# How GGUF calls the rule by which a text is cut into words, and how we call it.
PATTERNS = {"smollm": "single_digits", "gpt-2": "gpt2", "gpt2": "gpt2"}


def load_smollm2(
    dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> Loaded:
    """SmolLM2-135M-Instruct, ready to be asked.

    Args:
        dtype: Of the weights. float32 takes 538 MB, bfloat16 half of it.
        device: Where the model shall lie.

    Returns:
        The model in evaluation mode, and its tokenizer.

    Raises:
        AssetError: If the file is not there and cannot be fetched.
    """
    return load_gguf(fetch("smollm2"), dtype, device)


def load_gguf(
    path: str | Path,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Loaded:
    """A Llama-style model with a byte-level BPE vocabulary, from a GGUF file.

    Args:
        path: The file.
        dtype: Of the weights.
        device: Where the model shall lie.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or holds another kind of model.
    """
    file = GGUFFile(path)
    config = gguf_config(file.metadata, tied="output.weight" not in file.tensors)
    model = blank(GPT, config, dtype, device)
    fill(model, from_gguf(read_tensors(file), config))
    return Loaded(model, gguf_tokenizer(file.metadata))


def read_tensors(file: GGUFFile) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a file as float32, one after the other."""
    for name in file.tensors:
        yield name, torch.from_numpy(file.read(name))


def gguf_tokenizer(metadata: Mapping[str, Any]) -> ByteBPETokenizer:
    """The tokenizer in a GGUF file's facts.

    Control tokens such as ``<|im_end|>`` become special tokens: no text is merged into
    them.

    Raises:
        ValueError: If it is no byte-level BPE, or cuts texts by an unknown rule.
    """
    kind = metadata.get("tokenizer.ggml.model")
    require(kind == "gpt2", "tokenizer.ggml.model", kind, "be 'gpt2'")
    rule = metadata.get("tokenizer.ggml.pre")
    require(rule in PATTERNS, "tokenizer.ggml.pre", rule, f"be in {sorted(PATTERNS)}")
    vocab: dict[bytes, int] = {}
    special: dict[str, int] = {}
    tokens = metadata["tokenizer.ggml.tokens"]
    types = metadata["tokenizer.ggml.token_type"]
    for i, (token, token_type) in enumerate(zip(tokens, types, strict=True)):
        if token_type == CONTROL:
            special[token] = i
        else:
            vocab[unshow(token)] = i
    merges = [merge.split(" ") for merge in metadata["tokenizer.ggml.merges"]]
    return ByteBPETokenizer(
        vocab,
        [(unshow(left), unshow(right)) for left, right in merges],
        pattern=PATTERNS[rule],
        special_tokens=special,
    )
