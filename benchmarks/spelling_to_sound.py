"""From spelling to sound: LSTM with attention against Transformer, on CMUdict.

Both models have 0.43 million parameters (within 1 %) and get the same batches, label
smoothing, warm-up and schedule; each gets the learning rate that did best for it on
validation words. All words of the dictionary, split by word; every vowel with its
stress. Errors are counted twice, with stress and, as published figures are, without:
then predictions and references lose their digits. Of several pronunciations the nearest
counts.

    python benchmarks/spelling_to_sound.py rates
    python benchmarks/spelling_to_sound.py compare
    python benchmarks/spelling_to_sound.py long

``rates`` tries four learning rates for each; ``compare`` trains both for equal steps,
and the faster one again for as long as the slower one took; ``long`` is the recipe
whose weights the book uses. One CPU core, about 2, 6 and 6 minutes if the machine is
quiet. Time is counted in CPU seconds of the training steps alone: a busy machine
stretches them less than time on the clock, but by a fifth it may. Writes
results/spelling_to_sound/NAME.json, and ``long`` also model.safetensors (16-bit) and
config.json (chapter 08); interrupted, it goes on where it was. Test words are read once
for each finished model.
"""

import argparse
import hashlib
import json
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import median

import torch

from lmcore.assets import fetch
from lmcore.config import TrainConfig
from lmcore.course.notebooks import describe_machine
from lmcore.data.pronunciations import (
    END,
    START,
    Dictionary,
    SpellingPairs,
    drop_stress,
    letter_symbols,
    phoneme_symbols,
    pronunciation_splits,
)
from lmcore.generate import beam_search
from lmcore.losses import IGNORE_INDEX, cross_entropy
from lmcore.metrics import error_rates
from lmcore.models.seq2seq_attention import Seq2SeqAttention, Seq2SeqAttentionConfig
from lmcore.models.seq2seq_transformer import (
    TransformerSeq2Seq,
    TransformerSeq2SeqConfig,
)
from lmcore.optim import AdamW, clip_grad_norm
from lmcore.train import best_checkpoint, load_weights, save_weights, train

FOLDER = Path(__file__).parents[1] / "results" / "spelling_to_sound"
LONGEST = 32  # phonemes that may be written; the dictionary's longest word has 28
MODELS = ("lstm", "transformer")
RATES = (1e-3, 2e-3, 4e-3, 8e-3)
VALIDATION_WORDS = 1000  # for the curves; the choices are made by loss on the same

Model = Seq2SeqAttention | TransformerSeq2Seq


def new_model(kind: str, dropout: float) -> Model:
    """LSTM with additive attention, or Transformer, of the same number of weights."""
    sizes = {
        "source_vocab_size": len(letter_symbols()),
        "vocab_size": len(phoneme_symbols()),
        "dropout": dropout,
    }
    if kind == "lstm":
        return Seq2SeqAttention(
            Seq2SeqAttentionConfig(
                input_size=32, hidden_size=128, n_layers=1, attention_size=64, **sizes
            )
        )
    return TransformerSeq2Seq(
        TransformerSeq2SeqConfig(
            d_model=96,
            n_layers=2,
            n_heads=4,
            d_ff=256,
            max_seq_len=LONGEST,
            **sizes,
        )
    )


def loss_fn(model, source_ids, source_lengths, ids, targets):
    """Sum and count of the cross-entropy, with label smoothing while training."""
    logits = model(source_ids, ids, source_lengths).float()
    n = (targets != IGNORE_INDEX).sum()
    smoothing = 0.1 if model.training else 0.0
    return cross_entropy(logits, targets, label_smoothing=smoothing) * n, n


@torch.no_grad()
def pronounce(model: Model, words: list[str], batch_size: int = 128) -> list[tuple]:
    """Greedy decoding: for each word the likeliest phoneme, again and again."""
    model.eval()
    letters, phonemes = letter_symbols(), phoneme_symbols()
    device = model.lm_head.weight.device
    order = sorted(range(len(words)), key=lambda i: len(words[i]))
    spoken: dict[int, tuple] = {}
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        sources = [torch.tensor(letters.encode(words[i])) for i in rows]
        lengths = torch.tensor([len(source) for source in sources])
        source_ids = torch.nn.utils.rnn.pad_sequence(sources, batch_first=True)
        state = model.encode(source_ids.to(device), lengths.to(device))
        ids = torch.full((len(rows), 1), START, device=device)
        written = []
        ended = torch.zeros(len(rows), dtype=torch.bool, device=device)
        while len(written) < LONGEST and not ended.all():
            logits, state = model.decode(ids, state)
            ids = logits[:, -1:].argmax(-1)
            ended |= ids.squeeze(1) == END
            written.append(ids)
        for row, line in zip(rows, torch.cat(written, 1).tolist(), strict=True):
            spoken[row] = phonemes.decode(line)
    return [spoken[i] for i in range(len(words))]


@torch.no_grad()
def pronounce_by_beams(model: Model, words: list[str], n_beams: int) -> list[tuple]:
    """Beam search, one word at a time."""
    model.eval()
    letters, phonemes = letter_symbols(), phoneme_symbols()

    def step(ids, state):
        logits, state = model.decode(ids, state)
        return logits[:, -1].log_softmax(-1), state

    spoken = []
    for word in words:
        state = model.encode(torch.tensor([letters.encode(word)]))
        found = beam_search(
            step, model.select, state, [START], LONGEST, n_beams=n_beams, stop_ids=[END]
        )
        spoken.append(phonemes.decode(found[0].ids))
    return spoken


def score(spoken: list[tuple], dictionary: Dictionary) -> dict[str, float]:
    """Phoneme and word error rates, with stress and without."""
    variants = list(dictionary.values())
    plain = [[drop_stress(one) for one in right] for right in variants]
    with_stress = error_rates(spoken, variants)
    without = error_rates([drop_stress(one) for one in spoken], plain)
    return {
        "phoneme_error_rate": round(without.symbol, 4),
        "word_error_rate": round(without.sequence, 4),
        "phoneme_error_rate_with_stress": round(with_stress.symbol, 4),
        "word_error_rate_with_stress": round(with_stress.sequence, 4),
    }


@cache
def words_to_learn() -> tuple[SpellingPairs, Dictionary]:
    """All training pairs, and every sixth validation word or so, for the curves."""
    splits = pronunciation_splits()
    names = list(splits.validation)[:: len(splits.validation) // VALIDATION_WORDS]
    some = {word: splits.validation[word] for word in names[:VALIDATION_WORDS]}
    return SpellingPairs(splits.train), some


def train_one(
    kind: str,
    config: TrainConfig,
    dropout: float,
    eval_every: int,
    out_dir: Path | None = None,
) -> tuple[Model, dict]:
    """Train one model; what it learnt, by step and by CPU second."""
    torch.manual_seed(config.seed)
    model, pairs, some = new_model(kind, dropout), *words_to_learn()
    held_out = SpellingPairs(some)
    curve, clock = [], {"spent": 0.0, "since": time.process_time()}

    def get_batch(step: int, micro: int):
        return pairs.batch(step - 1, batch_size=config.batch_size, seed=config.seed)

    def evaluate(model: Model) -> dict[str, float]:
        clock["spent"] += time.process_time() - clock["since"]
        nats, n = loss_fn(model, *held_out.rows(torch.arange(len(held_out))))
        figures = {"loss": (nats / n).item(), "cpu_seconds": clock["spent"]}
        figures |= score(pronounce(model, list(some)), some)
        print(kind, {name: round(value, 4) for name, value in figures.items()})
        clock["since"] = time.process_time()
        return figures

    history = train(
        model,
        get_batch,
        loss_fn,
        config,
        evaluate=evaluate,
        eval_every=eval_every,
        out_dir=out_dir,
        schedule="linear",
        device="cpu",
        description=kind,
    )
    for row in history.evaluations:
        curve.append({k: round(v, 4) for k, v in row.items() if k != "tokens"})
    record = {
        "model": kind,
        "parameters": sum(p.numel() for p in model.parameters()),
        "model_config": model.config.to_dict(),
        "train_config": config.to_dict() | {"schedule": "linear"},
        "label_smoothing": 0.1,
        "epochs": round(config.max_steps * config.batch_size / len(pairs), 2),
        "cpu_seconds": round(history.evaluations[-1]["cpu_seconds"], 1),
        "validation_curve": curve,
        "train_loss": [
            [row["step"], round(row["loss"], 4)] for row in history.steps[9::10]
        ],
    }
    return model, record


def conditions(arguments: str) -> dict:
    """What a reader needs in order to repeat a run."""
    splits = pronunciation_splits()
    words = "\n".join(splits.test)
    return {
        "command": f"python benchmarks/spelling_to_sound.py {arguments}",
        "machine": describe_machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "date": datetime.now(UTC).date().isoformat(),
        "cmudict_sha256": hashlib.sha256(fetch("cmudict").read_bytes()).hexdigest(),
        "test_words_sha256": hashlib.sha256(words.encode()).hexdigest(),
        "words": {name: len(split) for name, split in splits._asdict().items()},
        "trained_on": "pronunciations with stress",
        "scored": "nearest pronunciation of each word; greedy decoding unless it says "
        "otherwise; rates without stress unless they say otherwise",
    }


def save(name: str, record: dict) -> None:
    """Write one result, whole."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def best_rate(kind: str) -> float:
    """The learning rate that ``rates`` found best."""
    tried = json.loads((FOLDER / "rates.json").read_text(encoding="utf-8"))["runs"]
    mine = [run for run in tried if run["model"] == kind]
    best = min(mine, key=lambda run: run["validation_curve"][-1]["loss"])
    return best["train_config"]["lr"]


def recipe(kind: str, max_steps: int, lr: float | None = None) -> TrainConfig:
    """What all runs share."""
    return TrainConfig(
        batch_size=64,
        max_steps=max_steps,
        lr=best_rate(kind) if lr is None else lr,
        warmup_steps=max_steps // 10,
        betas=(0.9, 0.98),
        grad_clip=1.0,
        seed=0,
    )


def run_rates(args: argparse.Namespace) -> None:
    """Four learning rates for each model, in short runs."""
    runs = []
    for kind in MODELS:
        for lr in RATES:
            config = recipe(kind, args.max_steps or 150, lr)
            runs.append(train_one(kind, config, 0.0, config.max_steps)[1])
    save("rates", conditions("rates") | {"runs": runs})


def step_seconds(kind_a: str, kind_b: str, n: int = 40) -> tuple[float, float]:
    """CPU seconds of one training step of each, measured in turn, the median of n."""
    pairs, config = words_to_learn()[0], TrainConfig(batch_size=64)
    models = [new_model(kind, 0.0) for kind in (kind_a, kind_b)]
    optimizers = [AdamW(model.parameters(), lr=1e-3) for model in models]
    seconds: tuple[list, list] = ([], [])
    for step in range(n):
        batch = pairs.batch(step, batch_size=config.batch_size, seed=0)
        for model, optimizer, mine in zip(models, optimizers, seconds, strict=True):
            began = time.process_time()
            nats, count = loss_fn(model, *batch)
            (nats / count).backward()
            clip_grad_norm(optimizer.params, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            mine.append(time.process_time() - began)
    return median(seconds[0]), median(seconds[1])


def compare_one(kind: str, steps: int, budget: str) -> dict:
    """One row of the comparison."""
    config, test = recipe(kind, steps), pronunciation_splits().test
    model, record = train_one(kind, config, 0.0, max(1, steps // 6))
    return (
        {"budget": budget} | record | {"test": score(pronounce(model, [*test]), test)}
    )


def run_compare(args: argparse.Namespace) -> None:
    """Equal steps for both; then the faster one for as long as the slower one took."""
    n = args.max_steps or 1500
    seconds = dict(zip(MODELS, step_seconds(*MODELS), strict=True))
    fast, slow = sorted(MODELS, key=seconds.get)
    more = round(n * seconds[slow] / seconds[fast])
    record = conditions("compare") | {"cpu_seconds_per_step": seconds, "runs": []}
    for kind, steps, budget in (
        *((kind, n, "equal steps") for kind in MODELS),
        (fast, more, "equal time"),
    ):
        record["runs"].append(compare_one(kind, steps, budget))
        save("compare", record)


def run_long(args: argparse.Namespace) -> None:
    """The longer recipe; the best weights by validation loss are kept.

    Half the learning rate of the short runs: more steps leave time for smaller ones.
    """
    kind, steps = args.model, args.max_steps or 4000
    out_dir = FOLDER / "checkpoints" / kind
    config = recipe(kind, steps, best_rate(kind) / 2)
    model, record = train_one(kind, config, 0.1, max(1, steps // 10), out_dir)
    model.load_state_dict(load_weights(best_checkpoint(out_dir) / "model.safetensors"))
    save_weights(FOLDER / "model.safetensors", model.half())
    model.float()  # what is measured is what was stored
    (FOLDER / "config.json").write_text(
        json.dumps({"model": kind} | model.config.to_dict()) + "\n", encoding="utf-8"
    )
    test = pronunciation_splits().test
    record["test"] = score(pronounce(model, list(test)), test)
    some = dict(list(test.items())[::6])  # word by word, beams take their time
    record["test_every_sixth_word"] = {
        "words": len(some),
        "greedy": score(pronounce(model, list(some)), some),
        "beams_4": score(pronounce_by_beams(model, list(some), 4), some),
    }
    save("long", conditions(f"long --model {kind} --max-steps {steps}") | record)
    print(record["test"], record["test_every_sixth_word"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("rates", "compare", "long"))
    parser.add_argument("--model", choices=MODELS, default="lstm")
    parser.add_argument("--max-steps", type=int, help="fewer or more than usual")
    args = parser.parse_args()
    torch.set_num_threads(1)  # so that CPU seconds are seconds of work, not of waiting
    {"rates": run_rates, "compare": run_compare, "long": run_long}[args.what](args)


if __name__ == "__main__":
    main()
