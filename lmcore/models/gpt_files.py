"""A trained GPT as a folder of three files, to keep and to pass on.

    config.json          the shape: GPTConfig
    model.safetensors    the weights, in 16 or 32 bits
    tokenizer.json       what turns text into its ids

Reference: safetensors stores numbers alone, so that opening a file runs no code.
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lmcore.config import require
from lmcore.models.gpt import GPT, GPTConfig
from lmcore.tokenizers import Tokenizer, load_tokenizer

FILES = ("config.json", "model.safetensors", "tokenizer.json")


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
    known, room = tokenizer.vocab_size, model.config.vocab_size
    require(known <= room, "tokenizer.vocab_size", known, f"be <= vocab_size={room}")
    weights = model.state_dict()
    if model.config.tie_weights:
        del weights["lm_head.weight"]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stored = {name: w.detach().cpu().to(dtype) for name, w in weights.items()}
    save_file(stored, folder / "model.safetensors")
    tokenizer.save(folder / "tokenizer.json")
    text = json.dumps(model.config.to_dict(), indent=1)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    return folder


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
    folder = Path(folder)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"folder={str(folder)!r}: must hold {', '.join(FILES)}, as save_gpt or "
            f"`lmcore train` writes them; missing: {', '.join(missing)}"
        )
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    try:
        fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model = GPT(GPTConfig.from_dict(fields))
    except (json.JSONDecodeError, TypeError) as error:
        raise ValueError(f"{folder / 'config.json'}: damaged ({error})") from error
    known, room = tokenizer.vocab_size, model.config.vocab_size
    require(known <= room, "tokenizer.vocab_size", known, f"be <= vocab_size={room}")
    try:
        weights = load_file(folder / "model.safetensors")
    except SafetensorError as error:
        path = folder / "model.safetensors"
        raise ValueError(f"{path}: damaged or cut off ({error})") from error
    if model.config.tie_weights:
        weights["lm_head.weight"] = weights.get("tok_emb.weight")
    try:
        model.load_state_dict(weights)
    except (RuntimeError, AttributeError) as error:
        raise ValueError(f"{folder}: weights do not fit the config: {error}") from error
    return model.to(device).eval(), tokenizer
