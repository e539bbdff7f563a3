"""Train Bengio's neural n-gram on the course corpus and put it on the scoreboard.

Chapter 05's recipe: bytes as tokens, the last 7 as context, a vector of 32 numbers
for each byte, one hidden layer, Adam. The number of steps is fixed; the test works are
read once, at the end.

    python benchmarks/scoreboard_neural_ngram.py

About five minutes on one quiet CPU core. Its time is the processor's, on one thread:
what the clock would show with nothing else running. Writes its row of
results/scoreboard.json, and results/neural_ngram.json (settings, losses, machine).
"""

import argparse
import json
import math
import os
import time
from datetime import date
from pathlib import Path

import torch
from tqdm import tqdm

from lmcore.config import TrainConfig
from lmcore.course.notebooks import describe_machine
from lmcore.course.scoreboard import Row, add_rows
from lmcore.data import course_corpus
from lmcore.data.batches import batches, next_token_pairs
from lmcore.losses import cross_entropy
from lmcore.metrics import bits_per_byte
from lmcore.models.neural_ngram import NeuralNGram, NeuralNGramConfig
from lmcore.optim import Adam, cosine_schedule
from lmcore.runtime import pick_device, seed_everything

PATH = Path(__file__).parents[1] / "results" / "neural_ngram.json"
SEQ_LEN = 128


def to_ids(text: str) -> torch.Tensor:
    """UTF-8 bytes as ids, (n,); a newline stands first, so that byte 1 is predicted."""
    return torch.frombuffer(bytearray(b"\n" + text.encode()), dtype=torch.uint8).long()


@torch.no_grad()
def measure(model: NeuralNGram, text: str, device: torch.device) -> float:
    """Bits per byte of a whole text, each byte predicted from those before it."""
    ids = to_ids(text).to(device)
    before = model.config.order - 2  # bytes that a piece needs from the one before it
    nats = 0.0
    for start in range(0, len(ids) - 1, 8192):
        stop = min(start + 8192, len(ids) - 1)
        first = max(0, start - before)
        logits = model(ids[first:stop].unsqueeze(0))[:, start - first :]
        targets = ids[start + 1 : stop + 1].unsqueeze(0)
        nats += cross_entropy(logits, targets).item() * targets.numel()
    return bits_per_byte(nats, len(ids) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max-steps", type=int, default=4000)
    args = parser.parse_args()
    config = NeuralNGramConfig(order=8, d_model=32, hidden_size=512)
    train = TrainConfig(
        batch_size=16, max_steps=args.max_steps, lr=3e-3, warmup_steps=50, seed=0
    )
    torch.set_num_threads(1)
    device = pick_device("cpu")
    seed_everything(train.seed)
    splits = course_corpus()
    pairs = next_token_pairs(to_ids(splits.train), SEQ_LEN)
    model = NeuralNGram(config).to(device)
    optimizer = Adam(model.parameters(), lr=train.lr)
    stream = batches(*pairs, batch_size=train.batch_size, seed=train.seed)
    history = []
    clock, processor = time.perf_counter(), time.process_time()
    progress = tqdm(range(1, train.max_steps + 1), disable="CI" in os.environ)
    for step in progress:
        inputs, targets = (part.to(device) for part in next(stream))
        loss = cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.lr = cosine_schedule(
            step,
            lr=train.lr,
            max_steps=train.max_steps,
            warmup_steps=train.warmup_steps,
        )
        optimizer.step()
        if step % 20 == 0:
            bits = loss.item() / math.log(2)
            history.append({"step": step, "train_bits": round(bits, 4)})
            progress.set_postfix(bits=f"{bits:.3f}")
    seconds = time.perf_counter() - clock
    processor_seconds = time.process_time() - processor
    command = (
        f"python benchmarks/scoreboard_neural_ngram.py --max-steps {args.max_steps}"
    )
    row = Row(
        model=f"neural {config.order}-gram over bytes",
        chapter="05_word_vectors",
        bits_per_byte=round(measure(model, splits.test, device), 4),
        train_seconds=round(processor_seconds, 1),
        parameters=sum(p.numel() for p in model.parameters()),
        command=command,
        machine=f"{describe_machine()}, one thread, processor's time",
        date=date.today().isoformat(),
    )
    record = {
        "command": command,
        "machine": row.machine,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "date": row.date,
        "config": config.to_dict(),
        "train_config": train.to_dict(),
        "seq_len": SEQ_LEN,
        "processor_seconds": row.train_seconds,
        "clock_seconds": round(seconds, 1),
        "validation_bits": round(measure(model, splits.validation, device), 4),
        "test_bits": row.bits_per_byte,
        "history": history,
    }
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    add_rows([row], splits.test)
    print(row)


if __name__ == "__main__":
    main()
