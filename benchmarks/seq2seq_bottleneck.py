"""How much fits through the bottleneck of an encoder-decoder? Accuracy against length.

An LSTM encoder reads a span of the corpus (letters and spaces, from a word's beginning
on); the decoder writes it backwards. All the decoder gets is the encoder's last state,
the same 2 * hidden_size numbers for 2 letters and for 24. Spans of the training works
train, spans of the test works measure.

    python benchmarks/seq2seq_bottleneck.py
    python benchmarks/seq2seq_bottleneck.py --attention

Some minutes on a CPU each. With --attention the decoder looks back at the encoder's
output for every letter (additive attention); data, seed, steps and the encoder are the
same. Writes results/seq2seq_bottleneck.json: for each size of the state, the share of
spans written without a mistake and the share of right letters, by length (chapter 06);
the runs with attention stand under "with_attention" (chapter 07). Either command leaves
the other's runs as they are.
"""

import argparse
import json
import os
import re
import time
from datetime import date
from pathlib import Path

import torch
from tqdm import tqdm

from lmcore.config import TrainConfig
from lmcore.course.notebooks import describe_machine
from lmcore.data import course_corpus
from lmcore.losses import cross_entropy
from lmcore.models.seq2seq import Seq2Seq, Seq2SeqConfig
from lmcore.models.seq2seq_attention import Seq2SeqAttention, Seq2SeqAttentionConfig
from lmcore.optim import Adam, clip_grad_norm, cosine_schedule
from lmcore.runtime import pick_device, seed_everything

PATH = Path(__file__).parents[1] / "results" / "seq2seq_bottleneck.json"
LETTERS = " abcdefghijklmnopqrstuvwxyz"
START = len(LETTERS)  # the id that begins every target
LENGTHS = range(2, 25)
SPANS_PER_LENGTH = 300


def letter_ids(text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A text as letter ids (n,), and the places where its words begin (words,)."""
    plain = " ".join(re.findall("[a-z]+", text.lower()))
    ids = torch.tensor([LETTERS.index(letter) for letter in plain])
    starts = torch.cat([torch.tensor([0]), (ids == 0).nonzero().squeeze(-1) + 1])
    return ids, starts[starts < len(ids) - max(LENGTHS)]


def draw_spans(
    ids: torch.Tensor,
    starts: torch.Tensor,
    length: int,
    n: int,
    generator: torch.Generator,
) -> torch.Tensor:
    """n spans of one length, (n, length), each from the beginning of a word on."""
    chosen = starts[torch.randint(len(starts), (n,), generator=generator)]
    return ids[chosen.unsqueeze(-1) + torch.arange(length)]


def with_start(targets: torch.Tensor) -> torch.Tensor:
    """What the decoder reads: START, then the targets up to the last but one."""
    first = torch.full_like(targets[:, :1], START)
    return torch.cat([first, targets[:, :-1]], dim=1)


@torch.no_grad()
def write(model: Seq2Seq | Seq2SeqAttention, source: torch.Tensor) -> torch.Tensor:
    """Greedy decoding: as many letters as the source has, each the likeliest."""
    state = model.encode(source)
    ids = torch.full_like(source[:, :1], START)
    written = []
    for _ in range(source.shape[1]):
        logits, state = model.decode(ids, state)
        ids = logits.argmax(-1)
        written.append(ids)
    return torch.cat(written, dim=1)


def new_model(hidden_size: int, attention: bool) -> Seq2Seq | Seq2SeqAttention:
    """The encoder-decoder; with attention, only the way to the source is new."""
    config = Seq2SeqConfig(
        source_vocab_size=len(LETTERS),
        vocab_size=len(LETTERS) + 1,
        input_size=32,
        hidden_size=hidden_size,
        n_layers=1,
        dropout=0.0,
    )
    if not attention:
        return Seq2Seq(config)
    return Seq2SeqAttention(
        Seq2SeqAttentionConfig(
            **config.to_dict(), attention_size=hidden_size, bidirectional=False
        )
    )


def train_and_measure(hidden_size: int, attention: bool, train: TrainConfig) -> dict:
    """One size of the state: its losses and, by length, its accuracy."""
    device = pick_device()
    generator = seed_everything(train.seed)
    splits = course_corpus()
    ids, starts = letter_ids(splits.train)
    model = new_model(hidden_size, attention).to(device)
    optimizer = Adam(model.parameters(), lr=train.lr)
    history, started = [], time.perf_counter()
    for step in tqdm(range(1, train.max_steps + 1), disable="CI" in os.environ):
        length = LENGTHS[torch.randint(len(LENGTHS), (), generator=generator)]
        source = draw_spans(ids, starts, length, train.batch_size, generator)
        source = source.to(device)
        targets = source.flip(1)
        loss = cross_entropy(model(source, with_start(targets)), targets)
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm(model.parameters(), train.grad_clip)
        optimizer.lr = cosine_schedule(
            step, lr=train.lr, max_steps=train.max_steps, warmup_steps=100
        )
        optimizer.step()
        if step % 50 == 0:
            history.append({"step": step, "nats": round(loss.item(), 4)})
    seconds = time.perf_counter() - started
    model.eval()
    ids, starts = letter_ids(splits.test)
    whole, letters = [], []
    for length in LENGTHS:
        source = draw_spans(ids, starts, length, SPANS_PER_LENGTH, generator)
        right = write(model, source.to(device)).cpu() == source.flip(1)
        whole.append(round(right.all(-1).double().mean().item(), 4))
        letters.append(round(right.double().mean().item(), 4))
    return {
        "model": "LSTM encoder-decoder, "
        + ("additive attention" if attention else "no attention"),
        "hidden_size": hidden_size,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(seconds, 1),
        "spans_right": whole,
        "letters_right": letters,
        "history": history,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max-steps", type=int, default=3000)
    parser.add_argument("--hidden-sizes", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--attention", action="store_true")
    args = parser.parse_args()
    train = TrainConfig(
        batch_size=64, max_steps=args.max_steps, lr=3e-3, grad_clip=1.0, seed=0
    )
    runs = [
        train_and_measure(size, args.attention, train) for size in args.hidden_sizes
    ]
    sizes = " ".join(str(size) for size in args.hidden_sizes)
    record = {
        "command": "python benchmarks/seq2seq_bottleneck.py"
        f" --max-steps {train.max_steps} --hidden-sizes {sizes}"
        + (" --attention" if args.attention else ""),
        "machine": describe_machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "date": date.today().isoformat(),
        "task": "write a span of the corpus backwards; greedy decoding",
        "lengths": list(LENGTHS),
        "spans_per_length": SPANS_PER_LENGTH,
        "train_config": train.to_dict(),
        "runs": runs,
    }
    kept = json.loads(PATH.read_text()) if PATH.exists() else {}
    if args.attention:
        record = {**kept, "with_attention": record}
    elif "with_attention" in kept:
        record["with_attention"] = kept["with_attention"]
    PATH.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for run in runs:
        print(run["hidden_size"], run["spans_right"])


if __name__ == "__main__":
    main()
