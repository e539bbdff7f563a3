"""Recipes: a GPT's whole training in one readable file, run by one command.

A recipe is a TOML file with four parts, each checked when it is read:

    [data]    what it reads, and the tokenizer
    [model]   the shape: the fields of GPTConfig
    [train]   the fields of TrainConfig
    [run]     how often to measure and to save

``run_recipe`` trains the tokenizer and the model, keeps the weights that were best on
the validation text, and measures those on the test text once, at the end.
"""

import hashlib
import json
import os
import time
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from lmcore.config import Config, TrainConfig, require
from lmcore.course.measuring import measure_bits, text_nats, to_ids
from lmcore.course.notebooks import describe_machine
from lmcore.data import (
    Splits,
    batches,
    course_corpus,
    load,
    next_token_pairs,
    text_files,
)
from lmcore.losses import cross_entropy
from lmcore.metrics import bits_per_byte
from lmcore.models.gpt import GPT, GPTConfig
from lmcore.models.gpt_files import load_gpt, save_gpt
from lmcore.runtime import pick_device, seed_everything
from lmcore.tokenizers import ByteBPETokenizer
from lmcore.train import History, best_checkpoint, load_checkpoint, train

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "auto": None}


@dataclass(frozen=True, kw_only=True)
class DataConfig(Config):
    """What is read.

    Attributes:
        path: A text file or a folder of texts; empty for the course corpus. Of each
            file, the first 80 % train, 10 % choose, and the last 10 % measure.
        extra: Names of ``lmcore.data.load``, added to the training text alone.
        vocab_size: Tokens of the byte-level BPE tokenizer, learned on the training
            text.
        seq_len: Tokens in a training window.
    """

    path: str = ""
    extra: tuple[str, ...] = ()
    vocab_size: int = 1024
    seq_len: int = 256

    def validate(self) -> None:
        """Check every field."""
        require(isinstance(self.path, str), "path", self.path, "be a text")
        names = isinstance(self.extra, tuple) and all(
            isinstance(name, str) for name in self.extra
        )
        require(names, "extra", self.extra, "be a list of names")
        rule = "be an int >= 256, the number of bytes"
        usable = type(self.vocab_size) is int and self.vocab_size >= 256
        require(usable, "vocab_size", self.vocab_size, rule)
        usable = type(self.seq_len) is int and self.seq_len >= 2
        require(usable, "seq_len", self.seq_len, "be an int >= 2")


@dataclass(frozen=True, kw_only=True)
class RunConfig(Config):
    """How a run is watched and kept.

    Attributes:
        eval_every: Steps between measurements on the validation text.
        save_every: Steps between checkpoints.
        dtype: "float32", "bfloat16" (mixed precision) or "auto".
        compile: Whether to use ``torch.compile``.
        half: Store the final weights in 16 bits.
    """

    eval_every: int = 250
    save_every: int = 250
    dtype: str = "float32"
    compile: bool = False
    half: bool = False

    def validate(self) -> None:
        """Check every field."""
        for name in ("eval_every", "save_every"):
            value = getattr(self, name)
            require(type(value) is int and value >= 1, name, value, "be an int >= 1")
        require(self.dtype in DTYPES, "dtype", self.dtype, f"be one of {list(DTYPES)}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The four parts, checked."""

    data: DataConfig
    model: GPTConfig
    train: TrainConfig
    run: RunConfig

    @classmethod
    def from_dict(cls, parts: dict[str, dict[str, Any]]) -> Self:
        """Build the recipe from nested fields, as a TOML file holds them.

        Raises:
            ValueError: If a part or field is unknown or a value impossible.
        """
        known = ("data", "model", "train", "run")
        for name, part in parts.items():
            require(name in known, "part", name, f"be one of {list(known)}")
            require(isinstance(part, dict), name, part, f"be a part, [{name}]")
        data = read_part(DataConfig, "data", parts.get("data", {}))
        shape = {"vocab_size": data.vocab_size, "max_seq_len": data.seq_len}
        model = read_part(GPTConfig, "model", shape | parts.get("model", {}))
        for name, least in shape.items():
            value = getattr(model, name)
            require(value >= least, f"model.{name}", value, f"be >= {least}, [data]'s")
        return cls(
            data=data,
            model=model,
            train=read_part(TrainConfig, "train", parts.get("train", {})),
            run=read_part(RunConfig, "run", parts.get("run", {})),
        )

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Nested fields, ready for JSON."""
        parts = {"data": self.data, "model": self.model}
        parts |= {"train": self.train, "run": self.run}
        return {name: part.to_dict() for name, part in parts.items()}


def read_part(kind: type[Config], name: str, fields: dict[str, Any]) -> Any:
    """One part of a recipe; a text where a number belongs is refused too.

    Raises:
        ValueError: If a field is unknown or a value impossible; names the part.
    """
    try:
        return kind.from_dict(fields)
    except (TypeError, ValueError) as error:
        raise ValueError(f"[{name}] {error}; the part is {fields}") from error


def read_recipe(path: str | Path, changes: list[str] | None = None) -> Recipe:
    """Read a TOML file.

    Args:
        path: The file.
        changes: Fields to set otherwise, each as ``"train.lr=1e-3"``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no TOML, or a part, field or value is impossible.
    """
    try:
        parts = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: must be a TOML file ({error})") from error
    for change in changes or []:
        name, equals, value = change.partition("=")
        part, dot, field = name.strip().partition(".")
        require(bool(equals and dot), "change", change, "look like train.lr=1e-3")
        old = parts.get(part, {})
        require(isinstance(old, dict), part, old, f"be a part, [{part}]")
        parts[part] = old | {field: parse_value(value.strip())}
    return Recipe.from_dict(parts)


def parse_value(text: str) -> Any:
    """A value as TOML reads it; what TOML does not know is a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def read_texts(data: DataConfig) -> Splits:
    """Training, validation and test text.

    Raises:
        FileNotFoundError: If nothing lies at ``data.path``.
        ValueError: If the text there is too short to be split, or ``data.extra`` has an
            unknown name.
    """
    if data.path:
        sides: list[list[str]] = [[], [], []]
        for text in text_files(data.path).parts.values():
            cuts = (0, int(0.8 * len(text)), int(0.9 * len(text)), len(text))
            for side, start, end in zip(sides, cuts, cuts[1:], strict=False):
                side.append(text[start:end])
        splits = Splits(*("\n".join(side) for side in sides))
        rule = "hold enough text for training, validation and test"
        require(splits.validation.strip() != "", "path", data.path, rule)
    else:
        splits = course_corpus()
    extra = [load(name).text for name in data.extra]
    return Splits("\n".join([splits.train, *extra]), splits.validation, splits.test)


def run_recipe(recipe: Recipe, out_dir: str | Path, command: str) -> dict[str, Any]:
    """Train, choose on the validation text, measure on the test text, and save.

    Args:
        recipe: What to do.
        out_dir: Gets ``save_gpt``'s files, ``history.json`` and ``checkpoints/``; an
            interrupted run goes on from there.
        command: What to write down as the command that made this.

    Returns:
        The record that ``history.json`` holds; nothing in the further processes of a
        run under torchrun.
    """
    out_dir = Path(out_dir)
    device = pick_device()
    seed_everything(recipe.train.seed)
    splits = read_texts(recipe.data)
    tokenizer = ByteBPETokenizer.train([splits.train], recipe.data.vocab_size)
    texts = (splits.train, splits.validation, splits.test)
    ids, validation, test = (to_ids(tokenizer, text) for text in texts)
    seq_len, train_config = recipe.data.seq_len, recipe.train
    inputs, targets = next_token_pairs(ids, seq_len, stride=seq_len // 2)
    model = GPT(recipe.model)
    parameters = sum(p.numel() for p in model.parameters())
    say = print if process_number() == 0 else lambda *_: None
    say(
        f"{parameters:,} parameters, {len(ids):,} tokens of training text "
        f"({len(splits.train.encode()):,} bytes), on {device}"
    )

    def get_batch(step: int, micro: int) -> tuple[Tensor, ...]:
        index = (step - 1) * train_config.grad_accum_steps + micro
        size, seed = train_config.batch_size, train_config.seed
        return next(batches(inputs, targets, batch_size=size, seed=seed, step=index))

    def loss_fn(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(model(x).float(), y)

    def evaluate(model: nn.Module) -> dict[str, float]:
        nats = text_nats(model, validation, seq_len)
        bits = bits_per_byte(nats, len(splits.validation.encode()))
        print(f"\nvalidation: {bits:.3f} bits per byte", flush=True)
        return {"loss": nats / (len(validation) - 1), "bits_per_byte": bits}

    if process_number() == 0:
        keep_data(recipe.data, splits.train, out_dir / "checkpoints" / "data.json")
    started = time.perf_counter()
    history = train(
        model,
        get_batch,
        loss_fn,
        train_config,
        evaluate=evaluate,
        eval_every=recipe.run.eval_every,
        out_dir=out_dir / "checkpoints",
        save_every=recipe.run.save_every,
        dtype=DTYPES[recipe.run.dtype],
        compile=recipe.run.compile,
        device=device,
    )
    if process_number() > 0:
        return {}  # under torchrun, process 0 measures and saves for all
    best = best_checkpoint(out_dir / "checkpoints")
    model.load_state_dict(load_checkpoint(best).weights)
    save_gpt(
        out_dir, model, tokenizer, torch.float16 if recipe.run.half else torch.float32
    )
    model, _ = load_gpt(out_dir, device)  # measure what was stored
    record = {
        "command": command,
        "recipe": recipe.to_dict(),
        "machine": f"{describe_machine()}, {device.type}, "
        f"{torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "date": datetime.now(UTC).date().isoformat(),
        "parameters": parameters,
        "train_tokens": len(ids),
        "train_bytes": len(splits.train.encode()),
        "train_sha256": sha256(splits.train),
        "seconds": round(history.total("seconds")),
        "seconds_here": round(time.perf_counter() - started),
        "best_step": history.best["step"],
        "validation_bits": measure_bits(model, validation, splits.validation, seq_len),
        "test_bits": measure_bits(model, test, splits.test, seq_len),
        **thinned(history),
    }
    text = json.dumps(record, indent=None) + "\n"
    (out_dir / "history.json").write_text(text, encoding="utf-8")
    return record


def sha256(text: str) -> str:
    """A text's fingerprint."""
    return hashlib.sha256(text.encode()).hexdigest()


def keep_data(data: DataConfig, text: str, path: Path) -> None:
    """Write down what a run reads, or refuse to go on with something else.

    Raises:
        ValueError: If the run in that folder was made on another text.
    """
    now = data.to_dict() | {"train_sha256": sha256(text)}
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        changed = sorted(name for name in now if now[name] != kept.get(name))
        rule = f"be the data of the run in {path.parent}, unlike: {', '.join(changed)}"
        require(not changed, "[data]", now, f"{rule}. Take another folder (--out)")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")


def process_number() -> int:
    """Which process of torchrun's this is; 0 without torchrun."""
    return int(os.environ.get("RANK", "0"))


def thinned(history: History, every: int = 10) -> dict[str, list[dict[str, float]]]:
    """Every tenth step and every evaluation, rounded: what a plot needs."""
    rows = [row for row in history.steps if row["step"] % every == 0]
    tables = {"steps": rows, "evaluations": history.evaluations}
    return {
        name: [{k: float(f"{v:.5g}") for k, v in row.items()} for row in table]
        for name, table in tables.items()
    }
