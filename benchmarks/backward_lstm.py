"""Train a small LSTM that reads the course corpus backwards, for chapter 06's ELMo.

A bidirectional language model is two models: one predicts the next byte from those
before it, the other the previous byte from those after it. The forward one is there
(benchmarks/scoreboard_lstm.py). This one is the same recipe on the reversed text,
smaller and shorter.

    python benchmarks/backward_lstm.py

A few minutes on a CPU core. Writes results/lstm_backward/: model.safetensors,
config.json and history.json.
"""

import argparse
import json
import math
import os
import time
from datetime import date
from pathlib import Path

import torch
from safetensors.torch import save_file
from tqdm import tqdm

from lmcore.config import TrainConfig
from lmcore.course.notebooks import describe_machine
from lmcore.data import batches, course_corpus, next_token_pairs
from lmcore.losses import cross_entropy
from lmcore.models.rnn_lm import RNNLM, RNNLMConfig
from lmcore.optim import Adam, clip_grad_norm, cosine_schedule
from lmcore.runtime import pick_device, seed_everything

FOLDER = Path(__file__).parents[1] / "results" / "lstm_backward"
SEQ_LEN = 64


def reversed_ids(text: str) -> torch.Tensor:
    """The bytes of a text from the last to the first, (n,)."""
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).long().flip(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max-steps", type=int, default=1500)
    args = parser.parse_args()
    train = TrainConfig(
        batch_size=32,
        max_steps=args.max_steps,
        lr=4e-3,
        warmup_steps=50,
        grad_clip=1.0,
        seed=0,
    )
    config = RNNLMConfig(vocab_size=256, input_size=64, hidden_size=128, dropout=0.0)
    device = pick_device()
    seed_everything(train.seed)
    splits = course_corpus()
    pairs = next_token_pairs(reversed_ids(splits.train), SEQ_LEN)
    stream = batches(*pairs, batch_size=train.batch_size, seed=train.seed)
    model = RNNLM(config).to(device)
    optimizer = Adam(model.parameters(), lr=train.lr)
    history, started = [], time.perf_counter()
    for step in tqdm(range(1, train.max_steps + 1), disable="CI" in os.environ):
        inputs, targets = (part.to(device) for part in next(stream))
        loss = cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm(model.parameters(), train.grad_clip)
        optimizer.lr = cosine_schedule(
            step, lr=train.lr, max_steps=train.max_steps, warmup_steps=50
        )
        optimizer.step()
        if step % 25 == 0:
            bits = loss.item() / math.log(2)
            history.append({"step": step, "train_bits": round(bits, 4)})
    seconds = time.perf_counter() - started
    model.eval()
    inputs, targets = next_token_pairs(reversed_ids(splits.validation), 1024)
    with torch.no_grad():
        nats = cross_entropy(model(inputs[:128].to(device)), targets[:128].to(device))
    FOLDER.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), FOLDER / "model.safetensors")
    (FOLDER / "config.json").write_text(json.dumps(config.to_dict()) + "\n")
    record = {
        "command": f"python benchmarks/backward_lstm.py --max-steps {train.max_steps}",
        "machine": describe_machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "date": date.today().isoformat(),
        "train_config": train.to_dict(),
        "seq_len": SEQ_LEN,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(seconds, 1),
        "validation_bits": round(nats.item() / math.log(2), 4),
        "history": history,
    }
    (FOLDER / "history.json").write_text(json.dumps(record) + "\n")
    print(f"validation: {record['validation_bits']} bits per byte, {seconds:.0f} s")


if __name__ == "__main__":
    main()
