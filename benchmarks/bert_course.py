"""The course's small BERT: trained on plain English, measured by the words it fills in.

An encoder of 3.9 million parameters learns with masked words (whole words, 80/10/10)
on ``lmcore.data.plain_english``. Then one word of seven in held-out documents is hidden
and has to be named. Beside it stand three ways of counting, which see the same words:
the most frequent word; the most frequent one after the left neighbour; the best one
between both neighbours.

    python benchmarks/bert_course.py

About half an hour on one core of a CPU that multiplies in bfloat16. Writes
results/bert_course/: the model in 16 bits and history.json. Test documents are read
once, for the stored model.

References: Devlin et al., 2019, section 3.1. Liu et al., 2019, section 4 (no
next-sentence task, rows packed with sentences). Whole words: the note of May 2019 in
BERT's release.
"""

import argparse
import json
from datetime import date
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lmcore.config import TrainConfig
from lmcore.course.notebooks import describe_machine
from lmcore.course.recipes import thinned
from lmcore.data import ordered_batches, pack_sentences, plain_english
from lmcore.data.batches import batches
from lmcore.losses import IGNORE_INDEX, cross_entropy
from lmcore.models.bert import BertConfig, BertForPretraining
from lmcore.models.bert_files import load_bert_files, save_bert
from lmcore.objectives import generator_at, masked_tokens, word_starts, word_units
from lmcore.runtime import pick_device, seed_everything
from lmcore.tokenizers import WordPieceTokenizer
from lmcore.train import best_checkpoint, load_checkpoint, train

FOLDER = Path(__file__).parents[1] / "results" / "bert_course"
VOCAB_SIZE, SEQ_LEN = 4096, 64
MODEL = BertConfig(
    vocab_size=VOCAB_SIZE,
    max_seq_len=SEQ_LEN,
    d_model=256,
    n_layers=4,
    n_heads=4,
    d_ff=768,
    n_segments=0,
    dropout=0.0,
    norm_eps=1e-5,
    pre_norm=True,
    pooler=False,
    positions="rope",
)
TRAIN = TrainConfig(
    batch_size=64,
    max_steps=1600,
    lr=1.5e-3,
    min_lr=5e-5,
    warmup_steps=150,
    weight_decay=0.05,
    betas=(0.9, 0.98),
    grad_clip=1.0,
    seed=0,
)


class Rows(NamedTuple):
    """Packed rows of each side, (N, T), and how to hide words in them."""

    tokenizer: WordPieceTokenizer
    train: Tensor
    validation: Tensor
    test: Tensor

    def hide_words(
        self, ids: Tensor, generator: torch.Generator, mask_share: float = 0.8
    ) -> tuple[Tensor, Tensor]:
        """``masked_tokens`` for whole words; what is no [MASK] is half random."""
        special = self.tokenizer.special_ids
        return masked_tokens(
            ids,
            mask_id=self.tokenizer.mask_id,
            special_ids=special,
            vocab_size=self.tokenizer.vocab_size,
            generator=generator,
            mask_share=mask_share,
            random_share=(1 - mask_share) / 2,
            units=word_units(ids, word_starts(self.tokenizer.pieces), special),
        )


def prepare(vocab_size: int = VOCAB_SIZE, seq_len: int = SEQ_LEN) -> Rows:
    """Train the tokenizer, and pack each side's sentences into rows."""
    english = plain_english()
    sentences = [list(chain.from_iterable(side)) for side in english]
    tokenizer = WordPieceTokenizer.train(sentences[0], vocab_size)
    names = {"cls_id": "[CLS]", "sep_id": "[SEP]", "pad_id": "[PAD]"}
    marks = {argument: tokenizer.vocab[name] for argument, name in names.items()}
    rows = [
        pack_sentences(map(tokenizer.encode, side), seq_len, **marks)
        for side in sentences
    ]
    return Rows(tokenizer, *rows)


def masked_loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> tuple:
    """The sum over hidden tokens, and their number; scores for them alone."""
    hidden = targets != IGNORE_INDEX
    h = model.bert(inputs, inputs != 0)[hidden]  # (n_hidden, D)
    logits = model.fill_in(h).float()
    count = hidden.sum()
    return cross_entropy(logits, targets[hidden]) * count, count


@torch.no_grad()
def fill_in(model: nn.Module, inputs: Tensor) -> Tensor:
    """The model's first guess at every position, (N, T)."""
    model.eval()
    device = next(model.parameters()).device
    guesses = [
        model(x.to(device), x.to(device) != 0).argmax(-1).cpu()
        for (x,) in ordered_batches(inputs, batch_size=128)
    ]
    return torch.cat(guesses)


class Counts:
    """Pairs of neighbours in the training rows, as smoothed log-probabilities."""

    def __init__(
        self, ids: Tensor, vocab_size: int, special: list[int], prior_pairs: float = 100
    ) -> None:
        pairs = torch.zeros(vocab_size, vocab_size)
        flat = ids[:, :-1].flatten() * vocab_size + ids[:, 1:].flatten()
        pairs.view(-1).scatter_add_(0, flat, torch.ones(len(flat)))
        unigram = torch.bincount(ids.flatten(), minlength=vocab_size).float()
        unigram[special] = 0
        self.unigram = unigram / unigram.sum()
        smoothed = pairs + prior_pairs * self.unigram
        self.after = (smoothed / smoothed.sum(1, keepdim=True)).log()  # (left, word)
        pairs_before = pairs.T + prior_pairs * self.unigram
        self.before = (pairs_before / pairs_before.sum(1, keepdim=True)).log()

    def fill_in(self, inputs: Tensor, mask_id: int, sides: str) -> Tensor:
        """The best token at each position of (N, T), from "none", "left" or "both"."""
        prior = self.unigram.clamp(min=1e-12).log()
        guesses = torch.full_like(inputs, int(prior.argmax()))
        if sides == "none":
            return guesses
        for row, column in (inputs == mask_id).nonzero().tolist():
            left = inputs[row, column - 1]  # column 0 is [CLS], never hidden
            right = inputs[row, min(column + 1, inputs.shape[1] - 1)]
            scores = prior if left == mask_id else self.after[left]
            if sides == "both" and right != mask_id:
                scores = scores + self.before[right] - prior
            guesses[row, column] = scores.argmax()
        return guesses


def word_accuracy(guesses: Tensor, targets: Tensor, units: Tensor) -> float:
    """Share of hidden words of which every token was named."""
    right: dict[tuple[int, int], bool] = {}
    for row, column in (targets != IGNORE_INDEX).nonzero().tolist():
        word = (row, int(units[row, column]))
        hit = bool(guesses[row, column] == targets[row, column])
        right[word] = right.get(word, True) and hit
    return sum(right.values()) / len(right)


def measure(model: nn.Module, rows: Rows, side: Tensor) -> dict[str, float]:
    """Masked-word accuracy of the model and of counting, all hidden words [MASK]."""
    tokenizer = rows.tokenizer
    inputs, targets = rows.hide_words(side, generator_at(seed=1234), mask_share=1.0)
    special = list(tokenizer.special_ids)
    units = word_units(side, word_starts(tokenizer.pieces), special)
    counts = Counts(rows.train, tokenizer.vocab_size, special)
    guesses = {"bert": fill_in(model, inputs)}
    for name, sides in (("unigram", "none"), ("left", "left"), ("both_sides", "both")):
        guesses[name] = counts.fill_in(inputs, tokenizer.mask_id, sides)
    figures = {
        n: round(word_accuracy(g, targets, units), 4) for n, g in guesses.items()
    }
    return figures | {"hidden_tokens": int((targets != IGNORE_INDEX).sum())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max-steps", type=int, default=TRAIN.max_steps)
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    config = TRAIN.replace(max_steps=arguments.max_steps)
    torch.set_num_threads(1)
    device = pick_device()
    seed_everything(config.seed)
    rows = prepare()
    model = BertForPretraining(MODEL.replace(vocab_size=rows.tokenizer.vocab_size))
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{parameters:,} parameters, {len(rows.train):,} rows of {SEQ_LEN}")

    def get_batch(step: int, micro: int) -> tuple[Tensor, Tensor]:
        (ids,) = next(
            batches(
                rows.train,
                batch_size=config.batch_size,
                seed=config.seed,
                step=step - 1,
            )
        )
        return rows.hide_words(ids, generator_at(config.seed, step))

    hidden = rows.hide_words(rows.validation, generator_at(seed=99))

    def evaluate(model: nn.Module) -> dict[str, float]:
        total = count = 0
        for inputs, targets in ordered_batches(*hidden, batch_size=128):
            nats, n = masked_loss(model, inputs.to(device), targets.to(device))
            total, count = total + float(nats), count + int(n)
        return {"loss": total / count}

    out = arguments.out
    history = train(
        model,
        get_batch,
        masked_loss,
        config,
        evaluate=evaluate,
        eval_every=max(1, config.max_steps // 10),
        out_dir=out / "checkpoints",
        save_every=max(1, config.max_steps // 20),
        dtype=None,
        device=device,
    )
    best = best_checkpoint(out / "checkpoints")
    model.load_state_dict(load_checkpoint(best).weights)
    save_bert(out, model, rows.tokenizer, torch.float16)
    model, _ = load_bert_files(out, device)  # measure what was stored
    record = {
        "command": "python benchmarks/bert_course.py",
        "date": date.today().isoformat(),
        "machine": f"{describe_machine()}, {device.type}, one thread",
        "torch": torch.__version__,
        "corpus": "lmcore.data.plain_english",
        "parameters": parameters,
        "train_rows": len(rows.train),
        "train_tokens": int((rows.train != 0).sum()),
        "train_config": config.to_dict(),
        "seconds": round(history.total("seconds")),
        "best_step": history.best["step"],
        "word_accuracy": {
            "validation": measure(model, rows, rows.validation),
            "test": measure(model, rows, rows.test),
        },
        **thinned(history),
    }
    print(record["word_accuracy"])
    (out / "history.json").write_text(json.dumps(record) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
