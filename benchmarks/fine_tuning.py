"""Six ways to adapt one encoder to one task, and what each buys and costs.

The task: is a sentence from a film review positive? 3,000 sentences to learn from (of
the 7,070 there are: a core has its limits), 1,000 to choose on (learning rate, epoch),
2,000 that are read once for each finished run. The encoder: all-MiniLM-L6-v2, 22.6
million weights.

    python benchmarks/fine_tuning.py

About an hour on one core of a CPU that multiplies in bfloat16; interrupted, it goes
on with the next run. Each run is a process of its own, so that its peak of memory can
be read. Writes results/fine_tuning.json with

- baselines that train no network: the commoner label, a lexicon, a bag of words;
- rates: for each strategy its learning rates, compared on validation with one seed
  and half of the labels;
- runs: every strategy with three seeds, and summary: mean, spread, 95 % interval;
- learning_curve: the same question with 16 to 1,024 labels;
- chinese: the English encoder on Chinese product reviews.

References: Devlin et al., 2019, section 4.1 (few rates and epochs, chosen on a held-out
set). Howard and Ruder, 2018, section 3.2 (layer-wise rates). Hu et al., 2022 (LoRA).
"""

import argparse
import json
import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from lmcore.course.notebooks import describe_machine
from lmcore.data import (
    Labelled,
    LabelledSplits,
    chinese_reviews,
    movie_sentences,
    sentiment_lexicon,
)
from lmcore.finetune import (
    FineTuneConfig,
    best_evaluation,
    evaluate,
    fine_tune,
)
from lmcore.metrics import accuracy, f1_score, wilson_interval
from lmcore.models.bert import Bert
from lmcore.pretrained import load_minilm
from lmcore.runtime import seed_everything

PATH = Path(__file__).parents[1] / "results" / "fine_tuning.json"
BASE = FineTuneConfig(max_seq_len=64, dtype="auto", patience=2)
STRATEGIES = {
    "random weights": BASE.replace(strategy="all", epochs=2),
    "head": BASE.replace(strategy="head", epochs=20),
    "last 2": BASE.replace(strategy="last", n_last=2, epochs=2),
    "all": BASE.replace(strategy="all", epochs=2),
    "all, layer-wise rates": BASE.replace(strategy="all", epochs=2, layer_decay=0.8),
    "LoRA": BASE.replace(strategy="lora", rank=8, epochs=2),
}
RATES = {
    "random weights": (3e-4,),
    "head": (3e-3, 1e-2, 3e-2),
    "last 2": (1e-4, 3e-4),
    "all": (5e-5, 1.5e-4),
    "all, layer-wise rates": (1.5e-4,),
    "LoRA": (5e-4, 1.5e-3),
}
CURVE = {16: 15, 64: 10, 256: 6, 1024: 3}  # labels: epochs
PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0)  # C of the logistic regression


def run_once(
    strategy: str,
    config: FineTuneConfig,
    train: Labelled,
    validation: Labelled,
    test: Labelled | None,
) -> dict[str, Any]:
    """One fine-tuning in a process of its own; the test set only where it is given."""
    torch.set_num_threads(1)
    encoder, tokenizer = load_minilm()
    if strategy == "random weights":
        seed_everything(config.seed)
        encoder = Bert(encoder.config)
    started = time.process_time()
    tuned = fine_tune(encoder, tokenizer, train, validation, config)
    seconds = time.process_time() - started
    best = best_evaluation(tuned.history)
    row = {
        "strategy": strategy,
        "seed": config.seed,
        "lr": config.lr,
        "trained_parameters": tuned.n_trained,
        "saved_bytes": 4 * tuned.n_trained,  # what has to be kept for the task
        "seconds": round(seconds),
        "peak_mib": round(peak_mib()),
        "best_epoch": best["epoch"],
        "validation_accuracy": round(best["accuracy"], 4),
    }
    if test is not None:
        figures = evaluate(tuned, test)
        row["test_accuracy"] = round(figures["accuracy"], 4)
        row["test_macro_f1"] = round(figures["macro_f1"], 4)
    return row


def peak_mib() -> float:
    """The most memory this process ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def in_own_process(*arguments: Any) -> dict[str, Any]:
    """``run_once`` in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(run_once, *arguments).result()


# --- without a network


def bag_of_words(splits: LabelledSplits, analyzer: str = "word") -> dict[str, float]:
    """TF-IDF of words and pairs (or characters and pairs), logistic regression."""

    def fitted(penalty: float) -> Any:
        vectors = TfidfVectorizer(
            analyzer=analyzer, ngram_range=(1, 2), sublinear_tf=True
        )
        model = make_pipeline(vectors, LogisticRegression(C=penalty, max_iter=2000))
        return model.fit(splits.train.texts, splits.train.labels)

    models = [fitted(penalty) for penalty in PENALTIES]
    scores = [
        m.score(splits.validation.texts, splits.validation.labels) for m in models
    ]
    best = models[max(range(len(models)), key=lambda i: scores[i])]
    guesses = best.predict(splits.test.texts).tolist()
    return {"validation_accuracy": round(max(scores), 4)} | score(splits.test, guesses)


def lexicon_guess(text: str, lexicon: dict[str, float]) -> int:
    """1 if the ratings of the text's words sum to more than 0."""
    words = text.lower().split()
    return int(sum(lexicon.get(word.strip(".,;:!?'\"()"), 0.0) for word in words) > 0)


def score(labelled: Labelled, guesses: list[int]) -> dict[str, float]:
    return {
        "test_accuracy": round(accuracy(labelled.labels, guesses), 4),
        "test_macro_f1": round(f1_score(labelled.labels, guesses, 2), 4),
    }


def baselines(splits: LabelledSplits) -> list[dict[str, Any]]:
    """What no network reaches."""
    _, validation, test = splits
    commoner = int(sum(splits.train.labels) * 2 > len(splits.train.labels))
    lexicon = sentiment_lexicon()
    rows = []
    for name, guess in (
        ("majority", lambda text: commoner),
        ("lexicon", lambda text: lexicon_guess(text, lexicon)),
    ):
        held_out = accuracy(validation.labels, [guess(t) for t in validation.texts])
        row = {"name": name, "validation_accuracy": round(held_out, 4)}
        rows.append(row | score(test, [guess(t) for t in test.texts]))
    return [*rows, {"name": "bag of words"} | bag_of_words(splits)]


# --- the parts of the result; each adds what is missing and saves


class Record:
    """The file of results, written after every run."""

    def __init__(self, path: Path, fields: dict[str, Any]) -> None:
        self.path = path
        parts = ("rates", "runs", "learning_curve", "chinese")
        self.fields = fields | {name: [] for name in parts}
        if path.exists():
            known = json.loads(path.read_text(encoding="utf-8"))
            self.fields |= {name: known[name] for name in parts}

    def missing(self, part: str, **key: Any) -> bool:
        """Whether no row of that part has these values."""
        return not any(key.items() <= row.items() for row in self.fields[part])

    def add(self, part: str, row: dict[str, Any]) -> None:
        """One more row of that part, on the disk at once."""
        self.fields[part].append(row)
        print(part, row, flush=True)
        self.save()

    def save(self) -> None:
        """Write the file."""
        text = json.dumps(self.fields, indent=1, ensure_ascii=False)
        self.path.write_text(text + "\n", encoding="utf-8")


def choose_rates(record: Record, splits: LabelledSplits) -> dict[str, float]:
    """Each strategy's learning rate, by validation accuracy on half of the labels."""
    half = splits.train.rows(range(len(splits.train.texts) // 2))
    for strategy, config in STRATEGIES.items():
        for lr in RATES[strategy]:
            if record.missing("rates", strategy=strategy, lr=lr):
                sets = (half, splits.validation, None)
                if len(RATES[strategy]) > 1:
                    row = in_own_process(strategy, config.replace(lr=lr), *sets)
                else:
                    row = {"strategy": strategy, "lr": lr, "validation_accuracy": None}
                names = ("strategy", "lr", "validation_accuracy")
                record.add("rates", {name: row[name] for name in names})
    rates = {}
    for strategy in STRATEGIES:
        rows = [row for row in record.fields["rates"] if row["strategy"] == strategy]
        rates[strategy] = max(rows, key=lambda r: r["validation_accuracy"] or 0)["lr"]
    return rates


def run_strategies(
    record: Record, splits: LabelledSplits, rates: dict[str, float], n_seeds: int
) -> None:
    """Every strategy with every seed, the seeds outermost; then the summary."""
    for seed in range(n_seeds):
        for strategy, config in STRATEGIES.items():
            if record.missing("runs", strategy=strategy, seed=seed):
                config = config.replace(lr=rates[strategy], seed=seed)
                record.add("runs", in_own_process(strategy, config, *splits))
    n = len(splits.test.texts)
    record.fields["summary"] = []
    for strategy in STRATEGIES:
        rows = [row for row in record.fields["runs"] if row["strategy"] == strategy]
        scores = [row["test_accuracy"] for row in rows]
        mean = sum(scores) / len(scores)
        summary = {"strategy": strategy, "seeds": len(scores), "mean": round(mean, 4)}
        summary |= {"min": min(scores), "max": max(scores)}
        low, high = wilson_interval(round(mean * n), n)
        record.fields["summary"].append(
            summary | {"interval": [round(low, 4), round(high, 4)]}
        )
    record.save()


def learning_curve(
    record: Record, splits: LabelledSplits, rates: dict[str, float]
) -> None:
    """Fewer labels: other ones for each seed, and a quarter as many to choose on."""
    for seed in range(3):
        for n, epochs in CURVE.items():
            if n > 256 and seed > 0:
                continue  # with many labels, which ones they are matters little
            train = splits.train.rows(range(seed * n, (seed + 1) * n))
            n_validation = min(1000, max(16, n // 4))
            validation = splits.validation.rows(range(n_validation))
            small = LabelledSplits(train, validation, splits.test)
            key = {"n_labels": n, "seed": seed}
            if record.missing("learning_curve", strategy="bag of words", **key):
                row = {"strategy": "bag of words", **key} | bag_of_words(small)
                record.add("learning_curve", row)
            for strategy in ("head", "all", "LoRA"):
                if record.missing("learning_curve", strategy=strategy, **key):
                    config = STRATEGIES[strategy].replace(
                        lr=rates[strategy],
                        seed=seed,
                        epochs=20 if strategy == "head" else epochs,
                        batch_size=min(32, n // 4),
                        patience=100,
                    )
                    row = in_own_process(strategy, config, *small)
                    names = ("test_accuracy", "seconds")
                    row = {"strategy": strategy, **key} | {k: row[k] for k in names}
                    record.add("learning_curve", row)


def on_chinese(record: Record, rates: dict[str, float]) -> None:
    """The same encoder, which was trained on English, on 1,500 Chinese reviews."""
    train, validation, test = chinese_reviews()
    splits = LabelledSplits(train.rows(range(1500)), validation, test)
    tokenizer = load_minilm().tokenizer
    ids = [token for text in test.texts for token in tokenizer.encode(text)]
    share = round(ids.count(tokenizer.vocab["[UNK]"]) / len(ids), 4)
    record.fields["chinese_unknown_share"] = share
    if record.missing("chinese", strategy="bag of words"):
        row = {"strategy": "bag of words"} | bag_of_words(splits, analyzer="char")
        record.add("chinese", row)
    for strategy in ("head", "all"):
        if record.missing("chinese", strategy=strategy):
            config = STRATEGIES[strategy].replace(lr=rates[strategy])
            record.add("chinese", in_own_process(strategy, config, *splits))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--n-train", type=int, default=3000)
    parser.add_argument("--out", type=Path, default=PATH)
    arguments = parser.parse_args()
    train, validation, test = movie_sentences()
    train = train.rows(range(arguments.n_train))
    splits = LabelledSplits(train, validation, test)
    record = Record(
        arguments.out,
        {
            "command": "python benchmarks/fine_tuning.py",
            "date": date.today().isoformat(),
            "machine": f"{describe_machine()}, one thread",
            "torch": torch.__version__,
            "task": "lmcore.data.movie_sentences",
            "sentences": {k: len(v.texts) for k, v in splits._asdict().items()},
            "configs": {name: c.to_dict() for name, c in STRATEGIES.items()},
            "baselines": baselines(splits),
        },
    )
    print(record.fields["baselines"], flush=True)
    rates = choose_rates(record, splits)
    run_strategies(record, splits, rates, arguments.seeds)
    on_chinese(record, rates)
    learning_curve(record, splits, rates)


if __name__ == "__main__":
    main()
