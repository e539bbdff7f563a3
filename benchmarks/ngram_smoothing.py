"""Every way to smooth, every order from 1 to 7, in bits per byte on held-out plays.

Trains on the course corpus's training works, over bytes, and measures on its validation
and test works. Counts once; each method then fills its own table. Also counts how many
of the test text's n-grams the training text never had, for bytes and for words.

    python benchmarks/ngram_smoothing.py

Some minutes on two CPU cores. Writes results/ngram_smoothing.json.
"""

import hashlib
import json
import re
from datetime import date
from pathlib import Path

import numpy as np

from lmcore.course.notebooks import describe_machine
from lmcore.data import course_corpus
from lmcore.metrics import bits_per_byte
from lmcore.models.ngram import NGram
from lmcore.models.ngram_counts import UNSEEN, NGramCounts

PATH = Path(__file__).parents[1] / "results" / "ngram_smoothing.json"
MAX_ORDER = 7
METHODS = (
    "maximum_likelihood",
    "add_one",
    "add_k",
    "witten_bell",
    "jelinek_mercer",
    "backoff",
    "kneser_ney",
    "modified_kneser_ney",
)
K_GRID = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)


def bits(model: NGram, text: bytes) -> float | None:
    """Bits per byte; None, JSON's null, for an infinite loss."""
    nats = -float(model.log_probs(text).sum())
    return round(bits_per_byte(max(nats, 0.0), len(text)), 4) if nats < np.inf else None


def fit(counts: NGramCounts, method: str, validation: bytes) -> tuple[NGram, dict]:
    """Train one cell of the table; what has to be chosen is chosen on validation."""
    if method == "add_one":
        return NGram.from_counts(counts, "add_k", k=1.0), {}
    if method == "add_k":
        models = {k: NGram.from_counts(counts, "add_k", k=k) for k in K_GRID}
        best = min(K_GRID, key=lambda k: bits(models[k], validation))
        return models[best], {"k": best}
    return NGram.from_counts(counts, method, validation=validation), {}


def unseen_shares(train: np.ndarray, test: np.ndarray, size: int, order: int) -> dict:
    """Of the test text's n-grams, as they run, the share that training never had."""
    counts = NGramCounts(train, order, size)
    found = counts.find_all(test)[1:]
    return {
        "unseen_share": [round(float((f == UNSEEN).mean()), 4) for f in found],
        "distinct_in_training": [len(level.keys) for level in counts.levels],
    }


def words(text: str) -> list[str]:
    """Words and punctuation marks in lower case."""
    return re.findall(r"[a-z']+|[^\sa-z']", text.lower())


def main() -> None:
    splits = course_corpus()
    train, validation = splits.train.encode(), splits.validation.encode()
    test = splits.test.encode()
    counts = NGramCounts(train, MAX_ORDER)
    table: dict[str, dict[str, list]] = {}
    for method in METHODS:
        row = table[method] = {"validation": [], "test": [], "chosen": []}
        for order in range(1, MAX_ORDER + 1):
            model, chosen = fit(counts.up_to(order), method, validation)
            row["validation"].append(bits(model, validation))
            row["test"].append(bits(model, test))
            row["chosen"].append(chosen)
        shown = " ".join(f"{b:6.3f}" if b else "   inf" for b in row["test"])
        print(f"{method:<20}{shown}", flush=True)

    lexicon = {w: i for i, w in enumerate(dict.fromkeys(words(splits.train)))}
    new = len(lexicon)  # one id for every word that training never had: not found
    word_ids = [
        np.array([lexicon.get(w, new) for w in words(text)])
        for text in (splits.train, splits.test)
    ]
    byte_ids = [np.frombuffer(text, dtype=np.uint8) for text in (train, test)]
    record = {
        "command": "python benchmarks/ngram_smoothing.py",
        "machine": describe_machine(),
        "date": date.today().isoformat(),
        "unit": "bits per byte; null: infinite, a byte had probability 0",
        "train_bytes": len(train),
        "test_sha256": hashlib.sha256(test).hexdigest(),
        "orders": list(range(1, MAX_ORDER + 1)),
        "note": "add_k's k and jelinek_mercer's weights were chosen on validation",
        "bits_per_byte": table,
        "bytes": unseen_shares(*(x.astype(np.int64) for x in byte_ids), 256, 12),
        "words": {
            "train_words": len(word_ids[0]),
            "lexicon": len(lexicon),
            **unseen_shares(*word_ids, new + 1, 6),
        },
    }
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print("bytes unseen", record["bytes"]["unseen_share"])
    print("words unseen", record["words"]["unseen_share"])


if __name__ == "__main__":
    main()
