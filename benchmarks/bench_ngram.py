"""How fast are the n-grams? lmcore beside nltk, in turn, in one process.

Three comparisons on the beginning of the course corpus, each over several rounds with
the median ratio and its spread: counting all n-grams up to 5, scoring with Witten-Bell,
and scoring with Kneser-Ney. nltk's Kneser-Ney walks through all contexts for each token
(its continuation counts are not stored), so its text is shorter. Then lmcore alone on
the whole corpus: the times that a reader of chapter 01 waits.

    python benchmarks/bench_ngram.py

About two minutes on two CPU cores. Writes results/bench_ngram.json.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

import nltk.lm
from nltk.util import everygrams

from lmcore.course.notebooks import describe_machine
from lmcore.data import course_corpus
from lmcore.models.ngram import NGram
from lmcore.models.ngram_counts import NGramCounts
from lmcore.runtime import peak_memory_mib

PATH = Path(__file__).parents[1] / "results" / "bench_ngram.json"
ORDER = 5


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(ours: Callable, peer: Callable, rounds: int) -> dict:
    """Run both in turn; the ratio says how many times as long the peer takes."""
    times = [(seconds(ours), seconds(peer)) for _ in range(rounds)]
    ratios = sorted(b / a for a, b in times)
    return {
        "lmcore_seconds": round(statistics.median(a for a, _ in times), 4),
        "nltk_seconds": round(statistics.median(b for _, b in times), 4),
        "nltk_over_lmcore": round(statistics.median(ratios), 1),
        "spread": [round(ratios[0], 1), round(ratios[-1], 1)],
        "rounds": rounds,
    }


def nltk_model(kind: type, text: bytes) -> nltk.lm.api.LanguageModel:
    names = [chr(byte) for byte in text]
    model = kind(ORDER)
    model.fit([everygrams(names, max_len=ORDER)], vocabulary_text=names)
    return model


def nltk_scores(model: nltk.lm.api.LanguageModel, text: bytes) -> list[float]:
    names = [chr(byte) for byte in text]
    return [
        model.score(name, names[max(0, i - ORDER + 1) : i])
        for i, name in enumerate(names)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    splits = course_corpus()
    train, test = splits.train.encode(), splits.test.encode()
    names = [chr(byte) for byte in train[:200_000]]
    results = {
        "count 5-grams, 200 kB": compare(
            lambda: NGramCounts(train[:200_000], ORDER),
            lambda: nltk.lm.NgramCounter([everygrams(names, max_len=ORDER)]),
            args.rounds,
        )
    }
    for name, smoothing, kind, n_train, n_test in (
        ("Witten-Bell", "witten_bell", nltk.lm.WittenBellInterpolated, 200_000, 5_000),
        ("Kneser-Ney", "kneser_ney", nltk.lm.KneserNeyInterpolated, 20_000, 100),
    ):
        ours = NGram.train(train[:n_train], ORDER, smoothing=smoothing)
        peer = nltk_model(kind, train[:n_train])
        text = test[:n_test]
        results[f"score {n_test:,} bytes, {name}, {n_train // 1000} kB trained"] = (
            compare(
                lambda ours=ours, text=text: ours.log_probs(text),
                lambda peer=peer, text=text: nltk_scores(peer, text),
                args.rounds,
            )
        )
    counts = [seconds(lambda: NGramCounts(train, ORDER)) for _ in range(args.rounds)]
    model = NGram.train(train, ORDER)
    scores = [seconds(lambda: model.log_probs(test)) for _ in range(args.rounds)]
    long = [seconds(lambda: model.log_probs(train)) for _ in range(args.rounds)]
    record = {
        "command": f"python benchmarks/bench_ngram.py --rounds {args.rounds}",
        "machine": describe_machine(),
        "date": date.today().isoformat(),
        "nltk": version("nltk"),
        "compared": results,
        "lmcore_alone": {
            "count_5grams_bytes": len(train),
            "count_5grams_seconds": [round(t, 2) for t in sorted(counts)],
            "score_test_bytes": len(test),
            "score_test_seconds": [round(t, 2) for t in sorted(scores)],
            "score_train_bytes": len(train),
            "score_train_seconds": [round(t, 2) for t in sorted(long)],
            "peak_memory_mib": round(peak_memory_mib() or 0),
        },
    }
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
