"""Train the course's LSTM language model on the course corpus and put it on the board.

The recipe of chapter 06: bytes as tokens, an embedding, two LSTM layers, dropout 0.2,
Adam, truncated backpropagation through time with carried state. The weights are chosen
on the validation works; the test works are read once, at the end.

    python benchmarks/scoreboard_lstm.py
    python benchmarks/scoreboard_lstm.py --row-only    # the saved run's row once more

About twenty minutes on two quiet CPU cores. Writes results/lstm_lm/: model.safetensors,
config.json and history.json (losses by step, command, machine, date, data hash), and
the row of results/scoreboard.json.
"""

import argparse
import hashlib
import json
import math
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from lmcore.config import TrainConfig
from lmcore.course.notebooks import describe_machine
from lmcore.course.scoreboard import Row, add_rows
from lmcore.data import course_corpus
from lmcore.losses import cross_entropy
from lmcore.models.rnn_lm import RNNLM, RNNLMConfig, detach_state
from lmcore.optim import Adam, clip_grad_norm, cosine_schedule
from lmcore.runtime import pick_device, seed_everything

FOLDER = Path(__file__).parents[1] / "results" / "lstm_lm"
SEQ_LEN = 128


def to_ids(text: str) -> torch.Tensor:
    """UTF-8 bytes as ids, (n,); a newline stands first, so that byte 1 is predicted."""
    return torch.frombuffer(bytearray(b"\n" + text.encode()), dtype=torch.uint8).long()


@torch.no_grad()
def bits_per_byte(model: RNNLM, ids: torch.Tensor, device: torch.device) -> float:
    """Read the whole text once, state carried from its first byte to its last."""
    model.eval()
    state, nats = None, 0.0
    for start in range(0, len(ids) - 1, 8192):
        piece = ids[start : start + 8193].to(device).unsqueeze(0)
        logits, state = model.read(piece[:, :-1], state)
        nats += cross_entropy(logits, piece[:, 1:]).item() * (piece.shape[1] - 1)
    return nats / math.log(2) / (len(ids) - 1)


def add_row(record: dict, test_text: str) -> None:
    """Put a finished run on the scoreboard."""
    row = Row(
        model="byte LSTM, 2 layers",
        chapter="06_lstm",
        bits_per_byte=round(record["test_bits"], 4),
        train_seconds=record["seconds"],
        parameters=record["parameters"],
        command="python benchmarks/scoreboard_lstm.py",
        machine=record["machine"],
        date=record["date"],
    )
    add_rows([row], test_text)
    print(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max-steps", type=int, default=3000)
    parser.add_argument("--eval-every", type=int, default=250)
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--row-only", action="store_true", help="train nothing")
    args = parser.parse_args()
    if args.row_only:
        add_row(json.loads((FOLDER / "history.json").read_text()), course_corpus().test)
        return
    train = TrainConfig(
        batch_size=args.batch_size,
        max_steps=args.max_steps,
        lr=3e-3,
        min_lr=1e-4,
        warmup_steps=50,
        grad_clip=1.0,
        seed=0,
    )
    config = RNNLMConfig(vocab_size=256, hidden_size=args.hidden_size)
    device = pick_device()
    seed_everything(train.seed)
    splits = course_corpus()
    ids = to_ids(splits.train)
    per_stream = (len(ids) - 1) // train.batch_size
    inputs = ids[: train.batch_size * per_stream].view(train.batch_size, per_stream)
    targets = ids[1 : train.batch_size * per_stream + 1].view_as(inputs)
    model = RNNLM(config).to(device)
    optimizer = Adam(model.parameters(), lr=train.lr)

    FOLDER.mkdir(parents=True, exist_ok=True)
    history, best, state, at = [], math.inf, None, 0
    started = time.perf_counter()
    progress = tqdm(range(1, train.max_steps + 1), disable="CI" in os.environ)
    for step in progress:
        if at + SEQ_LEN > per_stream:  # an epoch is over: begin anew, remember nothing
            at, state = 0, None
        x = inputs[:, at : at + SEQ_LEN].to(device)
        y = targets[:, at : at + SEQ_LEN].to(device)
        at += SEQ_LEN
        model.train()
        logits, state = model.read(x, state)
        state = detach_state(state)
        loss = cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        norm = clip_grad_norm(model.parameters(), train.grad_clip)
        optimizer.lr = cosine_schedule(
            step,
            lr=train.lr,
            min_lr=train.min_lr,
            warmup_steps=train.warmup_steps,
            max_steps=train.max_steps,
        )
        optimizer.step()
        row = {"step": step, "train_bits": loss.item() / math.log(2), "norm": norm}
        if step % args.eval_every == 0 or step == train.max_steps:
            bits = bits_per_byte(model, to_ids(splits.validation), device)
            row["validation_bits"] = bits
            if bits < best:
                best = bits
                save_file(model.state_dict(), FOLDER / "model.safetensors")
                (FOLDER / "config.json").write_text(json.dumps(config.to_dict()) + "\n")
            progress.write(
                f"step {step}: train {row['train_bits']:.3f}, val {bits:.3f}"
            )
        if step % 10 == 0 or "validation_bits" in row:
            history.append(row)
            progress.set_postfix(bits=f"{row['train_bits']:.3f}")
    seconds = time.perf_counter() - started

    model.load_state_dict(load_file(FOLDER / "model.safetensors"))
    record = {
        "command": f"python benchmarks/scoreboard_lstm.py --max-steps {train.max_steps}"
        f" --hidden-size {config.hidden_size}",
        "machine": f"{describe_machine()}, {device.type}, "
        f"{torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "date": datetime.now(UTC).date().isoformat(),
        "train_config": train.to_dict(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "train_sha256": hashlib.sha256(splits.train.encode()).hexdigest(),
        "seconds": round(seconds),
        "validation_bits": best,
        "test_bits": bits_per_byte(model, to_ids(splits.test), device),
        "history": history,
    }
    (FOLDER / "history.json").write_text(json.dumps(record) + "\n")
    add_row(record, splits.test)
    print(f"test: {record['test_bits']:.3f} bits per byte, {seconds / 60:.0f} minutes")


if __name__ == "__main__":
    main()
