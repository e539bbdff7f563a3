# ruff: noqa: B023 - the lambdas run in the round that makes them
"""How fast are our tokenizers? lmcore beside `tokenizers` and `tiktoken`, in turn.

    python benchmarks/bench_tokenizers.py

About five minutes of one core. Writes results/bench_tokenizers.json.

Everything runs in this process on one thread, several rounds, each peer in each round.
Times are processor time (``time.process_time``), which other programs on the machine
disturb less than the clock on the wall; on a quiet machine the two are the same. A
ratio is peer time / our time of the same round: above 1 we are faster. "New" is a text
that the tokenizer meets for the first time, with nothing in its word cache, "again" the
same text once more.
"""

import argparse
import base64
import json
import math
import os
import pickle
import statistics
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

os.environ["RAYON_NUM_THREADS"] = "1"  # before `tokenizers` starts its threads
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tiktoken
import tokenizers

from lmcore.assets import fetch
from lmcore.course.notebooks import describe_machine
from lmcore.data.corpora import chinese_novel, python_reference, shakespeare
from lmcore.tokenizers import ByteBPETokenizer, WordPieceTokenizer
from lmcore.tokenizers.fast import FastBPETokenizer, pre_tokenizer
from lmcore.tokenizers.patterns import GPT2

PATH = Path(__file__).parents[1] / "results" / "bench_tokenizers.json"
HOSTILE = {
    "1 MB of 'a'": "a" * 1_000_000,
    "1 MB of spaces": " " * 1_000_000,
    "100 kB word": "abcdefghij" * 10_000,
}


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call; infinite if a library gives up."""
    start = time.process_time()
    try:
        work()
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Rust's, no Exception
            raise
        return math.inf
    return time.process_time() - start


def train_library(texts: list[str], n_merges: int) -> None:
    """What ``FastBPETokenizer.train`` asks of the library, and nothing around it."""
    learner = tokenizers.Tokenizer(tokenizers.models.BPE())
    learner.pre_tokenizer = pre_tokenizer("gpt2")
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=256 + n_merges,
        min_frequency=2,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    assert learner.get_vocab_size() == 256 + n_merges


def summary(rounds: list[dict[str, float]], n_bytes: int | None = None) -> dict:
    """Median seconds (or MB/s) of each runner, and the peers' ratios with spread."""
    found: dict = {"rounds": len(rounds)}
    for name in rounds[0]:
        times = [one[name] for one in rounds]
        if math.inf in times:
            found[name] = "failed (a panic inside the library)"
            continue
        found[name] = {"seconds": round(statistics.median(times), 3)}
        if n_bytes and "half" not in name:
            speed = n_bytes / 1e6 / statistics.median(times)
            found[name]["megabytes_per_second"] = round(speed, 2)
        if not name.startswith("lmcore"):
            ratios = sorted(one[name] / one["lmcore"] for one in rounds)
            found[name]["ratio"] = round(statistics.median(ratios), 3)
            found[name]["ratio_spread"] = [round(ratios[0], 3), round(ratios[-1], 3)]
    return found


def bench_training(n_rounds: int) -> dict:
    """The two targets of byte-level BPE, and WordPiece by itself."""
    results = {}
    reference = list(python_reference().parts.values())
    plays = list(shakespeare().parts.values())
    for name, texts, n_merges in (
        ("BPE, 1,000 merges, Python reference", reference, 1_000),
        ("BPE, 10,000 merges, Shakespeare", plays, 10_000),
    ):
        rounds = []
        for _ in range(n_rounds):
            size = 256 + n_merges
            ours = seconds(lambda: ByteBPETokenizer.train(texts, size))
            peer = seconds(lambda: train_library(texts, n_merges))
            rounds.append({"lmcore": ours, "tokenizers": peer})
        results[name] = summary(rounds)
    for score in ("gain", "ratio"):
        rounds = [
            {
                "lmcore": seconds(
                    lambda: WordPieceTokenizer.train(plays, 10_000, score=score)
                )
            }
            for _ in range(max(1, n_rounds // 3))
        ]
        results[f"WordPiece ({score}), 10,000 pieces, Shakespeare"] = summary(rounds)
    return results


def bench_gpt2(n_rounds: int) -> dict:
    """GPT-2's vocabulary on three texts, document by document."""
    path = fetch("gpt2-ranks")
    fresh = pickle.dumps(ByteBPETokenizer.from_ranks(path))
    fast = FastBPETokenizer(pickle.loads(fresh))
    lines = [line.split() for line in path.read_bytes().splitlines()]
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    rust = tiktoken.Encoding(
        "g", pat_str=GPT2, mergeable_ranks=ranks, special_tokens={}
    )
    results = {}
    for corpus in (python_reference(), shakespeare(), chinese_novel()):
        texts = list(corpus.parts.values())
        n_bytes = sum(len(text.encode()) for text in texts)
        ids = pickle.loads(fresh).encode_batch(texts)
        assert ids == rust.encode_ordinary_batch(texts) == fast.encode_batch(texts)
        rounds = []
        for _ in range(n_rounds):
            ours = pickle.loads(fresh)
            fast = FastBPETokenizer(ours)
            rounds.append(
                {
                    "lmcore": seconds(lambda: ours.encode_batch(texts)),
                    "lmcore, again": seconds(lambda: ours.encode_batch(texts)),
                    "lmcore, decode": seconds(
                        lambda: [ours.decode(some) for some in ids]
                    ),
                    "tiktoken": seconds(
                        lambda: [rust.encode_ordinary(text) for text in texts]
                    ),
                    "tokenizers": seconds(lambda: fast.encode_batch(texts)),
                }
            )
        results[f"GPT-2 encodes {corpus.name}, new"] = summary(rounds, n_bytes)
    for name, text in HOSTILE.items():
        ours = pickle.loads(fresh)
        rounds = [
            {
                "lmcore": seconds(lambda: ours.encode(text)),
                "lmcore, half of it": seconds(lambda: ours.encode(text[::2])),
                "tiktoken": seconds(lambda: rust.encode_ordinary(text)),
                "tokenizers": seconds(lambda: fast.encode(text)),
            }
            for _ in range(max(1, n_rounds // 3))
        ]
        results[f"GPT-2 encodes {name}"] = summary(rounds, len(text))
    return results


def bench_bert(n_rounds: int) -> dict:
    """BERT's vocabulary on the same texts."""
    path = fetch("bert-uncased-vocab")
    fresh = pickle.dumps(WordPieceTokenizer.from_vocab(path))
    library = tokenizers.BertWordPieceTokenizer(str(path), lowercase=True)
    saved = library.to_str()
    results = {}
    for corpus in (python_reference(), shakespeare(), chinese_novel()):
        texts = list(corpus.parts.values())
        n_bytes = sum(len(text.encode()) for text in texts)
        rounds = []
        for _ in range(n_rounds):
            ours = pickle.loads(fresh)
            peer = tokenizers.Tokenizer.from_str(saved)
            rounds.append(
                {
                    "lmcore": seconds(lambda: ours.encode_batch(texts)),
                    "lmcore, again": seconds(lambda: ours.encode_batch(texts)),
                    "tokenizers": seconds(
                        lambda: peer.encode_batch_fast(texts, add_special_tokens=False)
                    ),
                }
            )
        results[f"BERT encodes {corpus.name}, new"] = summary(rounds, n_bytes)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    load = [round(x, 1) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None
    measured: dict = {}
    for bench in (bench_training, bench_gpt2, bench_bert):
        part = bench(args.rounds)
        measured |= part
        for name, row in part.items():
            print(name)
            for runner, values in row.items():
                if runner != "rounds":
                    print("   ", runner.ljust(20), values, flush=True)
    record = {
        "command": "python benchmarks/bench_tokenizers.py",
        "date": date.today().isoformat(),
        "machine": describe_machine(),
        "clock": "processor seconds, one thread",
        "load_before": load,
        "versions": {name: version(name) for name in ("tokenizers", "tiktoken")},
        "measured": measured,
    }
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
