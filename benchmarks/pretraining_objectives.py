"""One encoder, four ways to pretrain it: which helps a task most?

Losses of different objectives do not compare, since each predicts other things. So
encoders of the same size (2 blocks of width 128) read the same rows of plain English in
the same order for the same number of steps, each under its own objective; then each is
asked the same question, whether a sentence from a film review is positive:

- linear probe: the encoder is frozen, logistic regression reads the mean of its states;
- fine-tuning: encoder and a linear head are trained on 3,000 of the labelled ones.

"none" is the encoder as it was drawn. Everything (weights, batches, fine-tuning) is
drawn anew for each seed. Settings are chosen on the validation sentences; the 2,000
test sentences are read once for each finished run.

    python benchmarks/pretraining_objectives.py

About three quarters of an hour on one core of a CPU that multiplies in bfloat16;
interrupted, it goes on with the next run. Writes results/pretraining_objectives.json.

References: the objectives' files in lmcore/objectives. A comparison of this kind, much
larger: Raffel et al., 2020, section 3.3.
"""

import argparse
import copy
import json
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple

import torch
from bert_course import SEQ_LEN, Rows, masked_loss, prepare
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from lmcore.config import TrainConfig
from lmcore.course.notebooks import describe_machine
from lmcore.data import LabelledSplits, movie_sentences, ordered_batches
from lmcore.data.batches import batches
from lmcore.losses import cross_entropy
from lmcore.models.bert import BertConfig, BertForPretraining, mean_pool
from lmcore.models.gpt import GPT, GPTConfig
from lmcore.models.t5 import T5, T5Config
from lmcore.objectives import (
    causal_pairs,
    corrupt_spans,
    generator_at,
    masked_tokens,
    pad_pairs,
    shuffle_tokens,
)
from lmcore.runtime import seed_everything
from lmcore.train import train

PATH = Path(__file__).parents[1] / "results" / "pretraining_objectives.json"
N_SENTINELS = 8  # added behind the vocabulary, for every model alike
SIZE = {"d_model": 128, "n_layers": 2, "n_heads": 4, "d_ff": 512, "dropout": 0.0}
PRETRAIN = TrainConfig(
    batch_size=32,
    max_steps=800,
    lr=2e-3,
    min_lr=1e-4,
    warmup_steps=80,
    weight_decay=0.05,
    betas=(0.9, 0.98),
    grad_clip=1.0,
    seed=0,
)
FINE_TUNE_LR, FINE_TUNE_EPOCHS, FINE_TUNE_BATCH = 5e-4, 2, 32
N_LABELS = 3000
PENALTIES = (0.001, 0.01, 0.1, 1.0)  # C of the logistic regression


class Objective(NamedTuple):
    """What is asked of the encoder.

    Attributes:
        build: Makes the model for a vocabulary of that size.
        make_batch: Rows (B, T) and a generator to what ``loss`` wants.
        loss: Sum over targets, and their number.
        encode: The encoder's hidden states of ids (B, T) with a mask, (B, T, D).
    """

    build: Callable[[int], nn.Module]
    make_batch: Callable[[Rows, Tensor, torch.Generator], tuple[Tensor, ...]]
    loss: Callable[..., tuple[Tensor, Tensor]]
    encode: Callable[[nn.Module, Tensor, Tensor], Tensor]


# --- an encoder that sees both sides


def build_bert(vocab_size: int) -> BertForPretraining:
    config = BertConfig(
        vocab_size=vocab_size,
        max_seq_len=SEQ_LEN,
        n_segments=0,
        pooler=False,
        norm_eps=1e-5,
        pre_norm=True,
        positions="rope",
        **SIZE,
    )
    return BertForPretraining(config)


def encode_bert(model: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    return model.bert(ids, mask)


def mask_tokens(rows: Rows, ids: Tensor, generator: torch.Generator) -> tuple:
    tokenizer = rows.tokenizer
    return masked_tokens(
        ids,
        mask_id=tokenizer.mask_id,
        special_ids=tokenizer.special_ids,
        vocab_size=tokenizer.vocab_size,
        generator=generator,
    )


# --- the same blocks, each position seeing only what stands before it


def build_gpt(vocab_size: int) -> GPT:
    config = GPTConfig(
        vocab_size=vocab_size,
        max_seq_len=SEQ_LEN,
        norm="layer",
        ff="gelu",
        positions="rope",
        tie_weights=True,
        **SIZE,
    )
    return GPT(config)


def shift(rows: Rows, ids: Tensor, generator: torch.Generator) -> tuple:
    return causal_pairs(ids, ids != 0)


def causal_loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> tuple:
    count = (targets >= 0).sum()
    return cross_entropy(model(inputs).float(), targets) * count, count


def encode_gpt(model: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    return model.hidden_states(ids)  # padding stands behind, where nobody looks


# --- the same encoder with a decoder of the same size, which is thrown away


def build_t5(vocab_size: int) -> T5:
    config = T5Config(
        vocab_size=vocab_size,
        max_seq_len=SEQ_LEN,
        norm="layer",
        bias=True,
        ff="gelu",
        **SIZE,
    )
    return T5(config)


def t5_batch(rows: Rows, ids: Tensor, corrupt: Callable) -> tuple[Tensor, ...]:
    vocab = rows.tokenizer.vocab
    texts = [row[1:] for row in ids]  # without [CLS]
    pairs = [corrupt(text[text != vocab["[PAD]"]]) for text in texts]
    return tuple(pad_pairs(pairs, pad_id=vocab["[PAD]"], start_id=vocab["[CLS]"]))


def cut_spans(rows: Rows, ids: Tensor, generator: torch.Generator) -> tuple:
    first = rows.tokenizer.vocab_size
    sentinels = range(first, first + N_SENTINELS)

    def corrupt(text: Tensor) -> tuple[Tensor, Tensor]:
        return corrupt_spans(text, sentinel_ids=sentinels, generator=generator)

    return t5_batch(rows, ids, corrupt)


def shuffle(rows: Rows, ids: Tensor, generator: torch.Generator) -> tuple:
    return t5_batch(rows, ids, lambda text: shuffle_tokens(text, generator=generator))


def t5_loss(
    model: nn.Module, source: Tensor, lengths: Tensor, ids: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    count = (targets >= 0).sum()
    logits = model(source, ids, lengths).float()
    return cross_entropy(logits, targets) * count, count


def encode_t5(model: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    return model.hidden_states(ids, mask.sum(1))


OBJECTIVES = {
    "none": Objective(build_bert, mask_tokens, masked_loss, encode_bert),
    "causal": Objective(build_gpt, shift, causal_loss, encode_gpt),
    "masked tokens": Objective(build_bert, mask_tokens, masked_loss, encode_bert),
    "span corruption": Objective(build_t5, cut_spans, t5_loss, encode_t5),
    "deshuffling": Objective(build_t5, shuffle, t5_loss, encode_t5),
}


# --- pretraining, and the two questions


def pretrain(name: str, rows: Rows, config: TrainConfig) -> tuple[nn.Module, dict]:
    """The model after its objective; "none" takes no step."""
    seed_everything(config.seed)
    objective = OBJECTIVES[name]
    model = objective.build(rows.tokenizer.vocab_size + N_SENTINELS)
    if name == "none":
        return model, {"pretrain_loss": None, "pretrain_seconds": 0}

    def get_batch(step: int, micro: int) -> tuple[Tensor, ...]:
        size, seed = config.batch_size, config.seed
        (ids,) = next(batches(rows.train, batch_size=size, seed=seed, step=step - 1))
        return objective.make_batch(rows, ids, generator_at(seed, step))

    started = time.process_time()
    history = train(model, get_batch, objective.loss, config, dtype=None)
    losses = [row["loss"] for row in history.steps[-50:]]
    return model, {
        "pretrain_loss": round(sum(losses) / len(losses), 3),
        "pretrain_seconds": round(time.process_time() - started),
    }


class Sentences(NamedTuple):
    """The labelled sentences as padded ids, with their labels."""

    ids: Tensor
    labels: Tensor


def encode_sentences(rows: Rows, splits: LabelledSplits) -> dict[str, Sentences]:
    sides = {}
    for side, labelled in zip(splits._fields, splits, strict=True):
        batch = rows.tokenizer.batch(labelled.texts, max_seq_len=SEQ_LEN)
        sides[side] = Sentences(batch.ids, torch.tensor(labelled.labels))
    return sides


def pooled(objective: Objective, model: nn.Module, ids: Tensor) -> Tensor:
    """The mean of the states of real tokens, (B, D); padded columns are dropped."""
    mask = ids != 0
    longest = int(mask.sum(1).max())
    ids, mask = ids[:, :longest], mask[:, :longest]
    return mean_pool(objective.encode(model, ids, mask).float(), mask)


@torch.no_grad()
def features(objective: Objective, model: nn.Module, ids: Tensor) -> Tensor:
    model.eval()
    order = (ids != 0).sum(1).argsort()
    parts = [
        pooled(objective, model, x)
        for (x,) in ordered_batches(ids[order], batch_size=128)
    ]
    return torch.cat(parts)[order.argsort()]


def linear_probe(
    objective: Objective, model: nn.Module, sides: dict[str, Sentences]
) -> dict[str, float]:
    """Logistic regression on frozen states; its penalty chosen on validation."""
    inputs = {
        side: features(objective, model, s.ids).numpy() for side, s in sides.items()
    }
    scale = StandardScaler().fit(inputs["train"])
    inputs = {side: scale.transform(x) for side, x in inputs.items()}
    labels = {side: s.labels.numpy() for side, s in sides.items()}

    def fitted(penalty: float) -> LogisticRegression:
        probe = LogisticRegression(C=penalty, max_iter=1000)
        return probe.fit(inputs["train"], labels["train"])

    probes = [fitted(penalty) for penalty in PENALTIES]
    scores = [p.score(inputs["validation"], labels["validation"]) for p in probes]
    best = max(range(len(probes)), key=lambda i: scores[i])
    return {
        "probe_validation": round(scores[best], 4),
        "probe_test": round(probes[best].score(inputs["test"], labels["test"]), 4),
        "probe_penalty": PENALTIES[best],
    }


def fine_tune(
    objective: Objective, model: nn.Module, sides: dict[str, Sentences], seed: int
) -> dict[str, float]:
    """All weights trained for two epochs; the epoch chosen on validation."""
    generator = seed_everything(seed)
    head = nn.Linear(SIZE["d_model"], 2)
    parameters = [*model.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=FINE_TUNE_LR, weight_decay=0.01)
    ids, labels = sides["train"]
    n_steps = FINE_TUNE_EPOCHS * (len(ids) // FINE_TUNE_BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, 10 * step / n_steps) * (1 - step / n_steps)
    )
    best_score, best_state = -1.0, None
    for _ in range(FINE_TUNE_EPOCHS):
        model.train()
        order = torch.randperm(len(ids), generator=generator)
        for index in order.split(FINE_TUNE_BATCH)[: n_steps // FINE_TUNE_EPOCHS]:
            logits = head(pooled(objective, model, ids[index]))
            cross_entropy(logits, labels[index]).backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        score = accuracy(objective, model, head, sides["validation"])
        if score > best_score:
            best_score = score
            best_state = copy.deepcopy((model.state_dict(), head.state_dict()))
    model.load_state_dict(best_state[0])
    head.load_state_dict(best_state[1])
    return {
        "fine_tune_validation": round(best_score, 4),
        "fine_tune_test": round(accuracy(objective, model, head, sides["test"]), 4),
    }


@torch.no_grad()
def accuracy(
    objective: Objective, model: nn.Module, head: nn.Module, side: Sentences
) -> float:
    guesses = head(features(objective, model, side.ids)).argmax(-1)
    return (guesses == side.labels).float().mean().item()


def encoder_parameters(model: nn.Module) -> int:
    """What is kept of the model: all that ``encode`` goes through."""
    if isinstance(model, BertForPretraining):
        parts = [model.bert]
    elif isinstance(model, T5):
        parts = [model.tok_emb, model.transformer.encoder]
    else:
        parts = [model]  # GPT: the output matrix is the embedding
    return sum(p.numel() for part in parts for p in part.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max-steps", type=int, default=PRETRAIN.max_steps)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=PATH)
    arguments = parser.parse_args()
    steps = arguments.max_steps
    pretrain_config = PRETRAIN.replace(max_steps=steps, warmup_steps=steps // 10)
    torch.set_num_threads(1)
    rows = prepare()
    films = movie_sentences()
    films = films._replace(train=films.train.rows(range(N_LABELS)))
    sides = encode_sentences(rows, films)
    record = {
        "command": "python benchmarks/pretraining_objectives.py",
        "date": date.today().isoformat(),
        "machine": f"{describe_machine()}, one thread",
        "torch": torch.__version__,
        "pretraining_text": "lmcore.data.plain_english, packed into rows",
        "row_tokens": SEQ_LEN,
        "task": "lmcore.data.movie_sentences",
        "sentences": {side: len(s.ids) for side, s in sides.items()},
        "size": SIZE,
        "pretrain_config": pretrain_config.to_dict(),
        "fine_tune": {
            "lr": FINE_TUNE_LR,
            "epochs": FINE_TUNE_EPOCHS,
            "batch_size": FINE_TUNE_BATCH,
        },
        "runs": [],
    }
    if arguments.out.exists():
        record["runs"] = json.loads(arguments.out.read_text())["runs"]
    done = {(run["objective"], run["seed"]) for run in record["runs"]}
    for seed in range(arguments.seeds):
        for name, objective in OBJECTIVES.items():
            if (name, seed) in done:
                continue
            config = pretrain_config.replace(seed=seed)
            model, row = pretrain(name, rows, config)
            run = {"objective": name, "seed": seed, **row}
            run["encoder_parameters"] = encoder_parameters(model)
            run |= linear_probe(objective, model, sides)
            run |= fine_tune(objective, model, sides, seed)
            record["runs"].append(run)
            print(run, flush=True)
            arguments.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
