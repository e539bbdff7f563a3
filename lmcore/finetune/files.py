"""A fine-tuned classifier as a folder, to keep, to pass on and to use.

    config.json          the encoder's shape, the labels' names, the settings
    model.safetensors    all weights, the encoder's and the head's
    tokenizer.json       what turns text into the encoder's ids
    history.json         every step and epoch of the training

Nothing else is needed to predict: not the published files, not the training texts.

Reference: safetensors stores numbers alone, so that opening a file runs no code.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from lmcore.config import require
from lmcore.finetune.config import FineTuneConfig
from lmcore.finetune.fit import new_classifier
from lmcore.finetune.lora import lora_layers
from lmcore.finetune.tuned import FineTuned
from lmcore.models.bert import Bert, BertConfig
from lmcore.models.model_folder import (
    check_files,
    check_room,
    fill,
    read_weights,
)
from lmcore.runtime import pick_device
from lmcore.tokenizers import WordPieceTokenizer, load_tokenizer
from lmcore.train import History
from lmcore.train.gradients import own_random_numbers

FORMAT, VERSION = "lmcore-fine-tuned", 1
FILES = ("config.json", "model.safetensors", "tokenizer.json", "history.json")


def save_fine_tuned(folder: str | Path, fine_tuned: FineTuned) -> Path:
    """Write the classifier into a folder; files of an earlier one are replaced.

    Args:
        folder: Made if it does not exist.
        fine_tuned: What ``fine_tune`` gave.

    Raises:
        OSError: If the folder cannot be written to.
    """
    folder, model = Path(folder), fine_tuned.model
    folder.mkdir(parents=True, exist_ok=True)
    fields = {
        "format": FORMAT,
        "version": VERSION,
        "names": list(fine_tuned.names),
        "encoder": model.encoder.config.to_dict(),
        "fine_tuning": fine_tuned.config.to_dict(),
        "merged": any(layer.merged for layer in lora_layers(model).values()),
        "n_trained": fine_tuned.n_trained,
    }
    weights = {n: w.detach().cpu().contiguous() for n, w in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    fine_tuned.tokenizer.save(folder / "tokenizer.json")
    fine_tuned.history.save(folder / "history.json")
    text = json.dumps(fields, indent=1, ensure_ascii=False)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    return folder


def load_fine_tuned(
    folder: str | Path, device: torch.device | str | None = None
) -> FineTuned:
    """Read what ``save_fine_tuned`` wrote, ready to predict.

    Args:
        folder: Where the files lie.
        device: Where the model goes; ``pick_device()`` if not given.

    Raises:
        FileNotFoundError: If the folder or one of its files is missing.
        ValueError: If a file is damaged, or they do not belong together.
    """
    folder = Path(folder)
    check_files(folder, FILES, "`lmcore finetune`")
    fields = read_fields(folder / "config.json")
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    usable = isinstance(tokenizer, WordPieceTokenizer)
    rule = "be a WordPieceTokenizer"
    require(usable, str(folder / "tokenizer.json"), type(tokenizer).__name__, rule)
    device = pick_device() if device is None else torch.device(device)
    try:
        names = tuple(fields["names"])
        config = FineTuneConfig.from_dict(fields["fine_tuning"])
        shape = BertConfig.from_dict(fields["encoder"])
        history = History.load(folder / "history.json")
        with own_random_numbers(device):  # the first weights are replaced at once
            model, n_trained = new_classifier(Bert(shape), len(names), config)
        merged = bool(fields["merged"])
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder}: damaged ({error!r})") from error
    check_room(tokenizer, shape)
    fill(model, read_weights(folder / "model.safetensors"), folder)
    for layer in lora_layers(model).values():
        layer.merged = merged
    model = model.to(device).eval()
    return FineTuned(model, tokenizer, names, history, config, n_trained)


def read_fields(path: Path) -> dict[str, Any]:
    """What ``config.json`` holds, after checking that it is a classifier's."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: damaged ({error})") from error
    found = fields.get("format") if isinstance(fields, dict) else type(fields).__name__
    rule = f"be {FORMAT!r}: this folder holds another kind of model"
    require(found == FORMAT, f"{path.name}: format", found, rule)
    found = fields.get("version")
    require(found == VERSION, f"{path.name}: version", found, f"be {VERSION}")
    return fields
