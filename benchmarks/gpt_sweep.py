"""Which settings suit a small GPT? Learning rate, batch size and size, one at a time.

Every run is chapter 09's short recipe, ``recipes/gpt_short.toml``, with 160 steps
instead of 300 and a few fields changed: five learning rates (the recipe's own is the
run "base"); three batch sizes that read equally many tokens; three sizes that read
equally many tokens, and the smallest once more with as much computation as the middle
one; the newer parts of the course's own model.

    OMP_NUM_THREADS=1 python benchmarks/gpt_sweep.py

Ten minutes on one quiet core. Writes results/gpt_sweep.json after every run;
called again, it goes on with the runs that are missing. Measured on the first 30,000
tokens of the validation works; the test works are not read.
"""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor, nn

from lmcore.config import require
from lmcore.course.notebooks import describe_machine
from lmcore.course.recipes import Recipe, read_recipe, text_nats, thinned, to_ids
from lmcore.data import batches, course_corpus, next_token_pairs
from lmcore.losses import cross_entropy
from lmcore.metrics import bits_per_byte
from lmcore.models.gpt import GPT
from lmcore.runtime import pick_device, seed_everything
from lmcore.tokenizers import ByteBPETokenizer
from lmcore.train import train

ROOT = Path(__file__).parents[1]
PATH = ROOT / "results" / "gpt_sweep.json"
RECIPE = "recipes/gpt_short.toml"
VALIDATION_TOKENS = 30_000

# What is varied, the value, and the fields of the recipe that it changes.
SHORTER = ["train.max_steps=160", "train.warmup_steps=16"]
SMALL = ["model.d_model=64", "model.n_layers=2", "model.n_heads=2"]
LARGE = ["model.d_model=192", "model.n_layers=4", "model.n_heads=6"]
NEWER = [
    "model.positions='rope'",
    "model.norm='rms'",
    "model.ff='swiglu'",
    "model.d_ff=341",
    "model.bias=false",
]
RUNS: list[tuple[str, str, list[str]]] = [
    ("base", "base", SHORTER),
    *(
        (
            "learning rate",
            f"{lr:g}",
            [*SHORTER, f"train.lr={lr:g}", f"train.min_lr={lr / 10:g}"],
        )
        for lr in (3e-4, 1e-3, 1e-2, 3e-2)
    ),
    ("size", "small", [*SHORTER, *SMALL]),
    ("size", "large", [*SHORTER, *LARGE]),
    (
        "batch size",
        "64",
        ["train.batch_size=64", "train.max_steps=40", "train.warmup_steps=4"],
    ),
    (
        "batch size",
        "4",
        ["train.batch_size=4", "train.max_steps=640", "train.warmup_steps=64"],
    ),
    ("newer parts", "RoPE, RMSNorm, SwiGLU", [*SHORTER, *NEWER]),
    (
        "size",
        "small, longer",
        [*SMALL, "train.max_steps=684", "train.warmup_steps=16"],
    ),
]


def run(
    recipe: Recipe, ids: Tensor, validation: Tensor, n_bytes: int, device: torch.device
) -> dict:
    """Train one model, and what it came to."""
    seed_everything(recipe.train.seed)
    model, config = GPT(recipe.model), recipe.train
    seq_len = recipe.data.seq_len
    inputs, targets = next_token_pairs(ids, seq_len, stride=seq_len // 2)

    def get_batch(step: int, micro: int) -> tuple[Tensor, ...]:
        size = config.batch_size
        return next(
            batches(inputs, targets, batch_size=size, seed=config.seed, step=step - 1)
        )

    def loss_fn(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(model(x), y)

    def evaluate(model: nn.Module) -> dict[str, float]:
        nats = text_nats(model, validation, seq_len)
        bits = bits_per_byte(nats, n_bytes)
        return {"loss": nats / (len(validation) - 1), "bits_per_byte": bits}

    started, worked = time.perf_counter(), time.process_time()
    history = train(
        model,
        get_batch,
        loss_fn,
        config,
        evaluate=evaluate,
        eval_every=config.max_steps // 2,
        device=device,
    )
    parameters = sum(p.numel() for p in model.parameters())
    tokens = int(history.total("tokens"))
    return {
        "parameters": parameters,
        "tokens": tokens,
        "flops": 6 * parameters * tokens,
        "cpu_seconds": round(time.process_time() - worked, 1),
        "seconds": round(time.perf_counter() - started, 1),
        "validation_bits": round(history.evaluations[-1]["bits_per_byte"], 4),
        **thinned(history),
    }


def main() -> None:
    device = pick_device()
    splits = course_corpus()
    recipe = read_recipe(ROOT / RECIPE)
    tokenizer = ByteBPETokenizer.train([splits.train], recipe.data.vocab_size)
    ids = to_ids(tokenizer, splits.train)
    validation = to_ids(tokenizer, splits.validation)[: VALIDATION_TOKENS + 1]
    n_bytes = len(tokenizer.decode_bytes(validation[1:].tolist()))
    record = {
        "command": "OMP_NUM_THREADS=1 python benchmarks/gpt_sweep.py",
        "recipe": recipe.to_dict(),
        "machine": f"{describe_machine()}, {device.type}, "
        f"{torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "date": datetime.now(UTC).date().isoformat(),
        "validation_bytes": n_bytes,
        "runs": [],
    }
    if PATH.exists():
        old = json.loads(PATH.read_text(encoding="utf-8"))
        rule = f"be the one of the runs in {PATH.name}; move that file away"
        require(old["recipe"] == record["recipe"], RECIPE, "this recipe", rule)
        record = old
    done = {(row["varied"], row["value"]) for row in record["runs"]}
    for varied, value, changes in RUNS:
        if (varied, value) in done:
            continue
        print(f"{varied}: {value}", flush=True)
        changed = read_recipe(ROOT / RECIPE, changes)
        row = run(changed, ids, validation, n_bytes, device)
        record["runs"].append(
            {"varied": varied, "value": value, "changes": changes} | row
        )
        part = PATH.with_suffix(".tmp")
        part.write_text(json.dumps(record, indent=None) + "\n", encoding="utf-8")
        os.replace(part, PATH)
        print(f"{row['validation_bits']:.3f} bits per byte, {row['cpu_seconds']} s")


if __name__ == "__main__":
    main()
