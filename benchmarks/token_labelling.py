"""Token labelling on Python's standard library: what does an encoder add to counting?

Each word of a function gets its role (lmcore/data/python_roles.py). Four labellers, the
same test files for all, which none of them was chosen on:

    counting   each word's most frequent role in training; unseen words by first letter
    window     logistic regression on a word, its shape and two neighbours on each side
    encoder    a Transformer with RoPE from random weights, 0.42 million parameters, two
               epochs
    encoder    the same on four times as many files

    python benchmarks/token_labelling.py

One core, about 2 minutes of CPU if the machine is quiet; it is counted in CPU seconds,
since a busy machine stretches them less than the clock. Intervals are bootstrapped over
whole blocks of code, because the words of one block are not independent. Writes
results/token_labelling.json (chapter 14).
"""

import json
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from sklearn.feature_extraction import FeatureHasher
from sklearn.linear_model import SGDClassifier

from lmcore.course.notebooks import describe_machine
from lmcore.data import TokenLabels, python_token_labels, token_label_batch
from lmcore.finetune import (
    FineTuneConfig,
    TokenLabeller,
    batches_by_length,
    fit_epochs,
)
from lmcore.losses import IGNORE_INDEX, cross_entropy
from lmcore.metrics import bootstrap_interval, confusion_matrix
from lmcore.models.bert import Bert, BertConfig
from lmcore.tokenizers import WordPieceTokenizer

RESULT = Path(__file__).parents[1] / "results" / "token_labelling.json"
MAX_SEQ_LEN = 160
SMALL, LARGE, HELD_OUT = 40, 160, 20  # files
SHAPE = {
    "lr": 2e-3,
    "batch_size": 8,
    "epochs": 2,
    "max_seq_len": MAX_SEQ_LEN,
    "dropout": 0.1,
}

Predictions = list[list[int]]


def count_words(train: TokenLabels, test: TokenLabels) -> Predictions:
    """The most frequent role of each word; of unseen ones, that of the first letter.

    The first letter tells what is a string, a comment or a number.
    """
    by_word, by_letter = defaultdict(Counter), defaultdict(Counter)
    for words, labels in zip(train.words, train.labels, strict=True):
        for word, label in zip(words, labels, strict=True):
            by_word[word][label] += 1
    for word, counts in by_word.items():  # each word once: unseen words are rare ones
        by_letter[word[0]][counts.most_common(1)[0][0]] += 1
    anything = Counter()
    for counts in by_letter.values():
        anything.update(counts)

    def guess(word: str) -> int:
        counts = by_word.get(word) or by_letter.get(word[0]) or anything
        return counts.most_common(1)[0][0]

    return [[guess(word) for word in words] for words in test.words]


def window_features(words: list[str]) -> list[list[str]]:
    """For each word: itself, its shape, and two neighbours on each side."""
    padded = ["<", "<", *(word[:20] for word in words), ">", ">"]
    rows = []
    for i, word in enumerate(padded[2:-2]):
        near = [f"{k}={padded[i + 2 + k]}" for k in (-2, -1, 0, 1, 2)]
        pair = f"pair={padded[i + 1]}|{padded[i + 3]}"
        shape = f"shape={word[0]}{word.isupper()}{word[0].isupper()}{'_' in word}"
        rows.append([*near, pair, shape])
    return rows


def fit_window(train: TokenLabels, test: TokenLabels) -> Predictions:
    """Logistic regression on hashed window features, five passes."""
    hasher = FeatureHasher(2**16, input_type="string", alternate_sign=False)
    x = hasher.transform(
        [row for words in train.words for row in window_features(words)]
    )
    y = np.concatenate(train.labels)
    model = SGDClassifier(loss="log_loss", alpha=1e-6, max_iter=5, tol=None)
    model.set_params(random_state=0).fit(x, y)
    return [
        model.predict(hasher.transform(window_features(words))).tolist()
        for words in test.words
    ]


def predict(
    model: TokenLabeller, tokenizer: WordPieceTokenizer, data: TokenLabels
) -> Predictions:
    """Labels of the words that fit into the sequence; the rest counts as the first."""
    predictions = []
    with torch.no_grad():
        for start in range(0, len(data.words), 32):
            rows = range(start, min(start + 32, len(data.words)))
            batch = token_label_batch(tokenizer, data, rows, MAX_SEQ_LEN)
            best = model(batch.ids, batch.mask).argmax(-1)
            for row, ids, targets in zip(rows, best, batch.targets, strict=True):
                found = ids[targets != IGNORE_INDEX].tolist()
                found += [0] * (len(data.words[row]) - len(found))
                predictions.append(found)
    return predictions


def fit_encoder(
    train: TokenLabels, validation: TokenLabels, test: TokenLabels
) -> tuple[Predictions, dict]:
    """A small encoder from random weights, with pieces learned from the same files."""
    texts = [" ".join(words) for words in train.words]
    tokenizer = WordPieceTokenizer.train(texts, 2000, lowercase=False)
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=tokenizer.vocab_size,
        max_seq_len=MAX_SEQ_LEN,
        d_model=96,
        n_layers=2,
        n_heads=4,
        n_segments=0,
        dropout=0.1,
        pre_norm=True,
        positions="rope",
        pooler=False,
    )
    model = TokenLabeller(Bert(shape), len(train.names))
    lengths = [len(words) for words in train.words]

    def get_batches(epoch: int) -> list:
        rows = batches_by_length(lengths, SHAPE["batch_size"], epoch)
        return [
            tuple(token_label_batch(tokenizer, train, r, MAX_SEQ_LEN)) for r in rows
        ]

    def loss_fn(model, ids, mask, targets):
        return cross_entropy(model(ids, mask), targets)

    def evaluate(model) -> dict[str, float]:
        score = figures(validation, predict(model, tokenizer, validation))
        print(
            f"  validation: {score['accuracy']:.3f}, macro F1 {score['macro_f1']:.3f}"
        )
        return {"score": score["macro_f1"], "loss": 0.0}

    history = fit_epochs(
        model, get_batches, loss_fn, evaluate, FineTuneConfig(patience=9, **SHAPE)
    )
    extra = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "model_config": shape.to_dict(),
        "train_config": SHAPE,
        "steps": history.last_step,
        "validation_macro_f1": [round(r["score"], 4) for r in history.evaluations],
    }
    return predict(model, tokenizer, test), extra


def f1_of(matrix: np.ndarray) -> np.ndarray:
    """F1 of each class from a confusion matrix."""
    return 2 * np.diag(matrix) / np.maximum(matrix.sum(0) + matrix.sum(1), 1)


def figures(data: TokenLabels, predictions: Predictions) -> dict:
    """Accuracy and F1, with intervals from blocks drawn anew."""
    matrices = np.stack(
        [
            confusion_matrix(right, found, len(data.names))
            for right, found in zip(data.labels, predictions, strict=True)
        ]
    )
    total = matrices.sum(0)
    low, high = bootstrap_interval(
        lambda some: f1_of(some.sum(0)).mean(), matrices, n_resamples=300
    )
    return {
        "accuracy": round(float(np.diag(total).sum() / total.sum()), 4),
        "macro_f1": round(float(f1_of(total).mean()), 4),
        "macro_f1_interval": [round(low, 4), round(high, 4)],
        "f1": dict(zip(data.names, f1_of(total).round(3).tolist(), strict=True)),
        "confusion": total.tolist(),
    }


def main() -> None:
    torch.set_num_threads(1)  # so that CPU seconds are seconds of work, not of waiting
    splits = python_token_labels(LARGE, HELD_OUT, HELD_OUT)
    fewer = python_token_labels(SMALL, HELD_OUT, HELD_OUT).train
    test, runs = splits.test, []
    for name, train, n_files in (
        ("counting", fewer, SMALL),
        ("window", fewer, SMALL),
        ("encoder", fewer, SMALL),
        ("counting", splits.train, LARGE),
        ("window", splits.train, LARGE),
        ("encoder", splits.train, LARGE),
    ):
        began, extra = time.process_time(), {}
        if name == "encoder":
            predictions, extra = fit_encoder(train, splits.validation, test)
        else:
            labeller = count_words if name == "counting" else fit_window
            predictions = labeller(train, test)
        spent = round(time.process_time() - began, 1)
        words = sum(map(len, train.words))
        run = {"labeller": name, "files": n_files, "words": words, "cpu_seconds": spent}
        runs.append(run | extra | {"test": figures(test, predictions)})
        print(run, {k: runs[-1]["test"][k] for k in ("accuracy", "macro_f1")})
    counts = Counter(label for labels in test.labels for label in labels)
    record = {
        "command": "python benchmarks/token_labelling.py",
        "machine": describe_machine(),
        "threads": 1,
        "torch": torch.__version__,
        "date": datetime.now(UTC).date().isoformat(),
        "names": list(test.names),
        "test_files": HELD_OUT,
        "test_blocks": len(test.words),
        "test_words": {name: counts[i] for i, name in enumerate(test.names)},
        "runs": runs,
    }
    RESULT.write_text(json.dumps(record) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
