"""The same model from another program: modified Kneser-Ney by kenlm, token by token.

kenlm (Heafield 2011) is what speech and translation systems used. Its estimator,
``lmplz``, is C++ and comes in no Python wheel: build it from the source archive of the
package ``kenlm`` 0.3.0 (cmake, boost), with KENLM_MAX_ORDER at least 7, then

    python benchmarks/ngram_against_kenlm.py --kenlm build/bin

Both read the training works as one document of bytes and score the test works. kenlm
puts marks around the document and counts the one at the end as a token, which moves a
few probabilities a little. Writes results/ngram_against_kenlm.json.
"""

import argparse
import json
import re
import subprocess
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np

from lmcore.course.notebooks import describe_machine
from lmcore.data import course_corpus
from lmcore.metrics import bits_per_byte
from lmcore.models.ngram import NGram

PATH = Path(__file__).parents[1] / "results" / "ngram_against_kenlm.json"
ORDERS = (3, 5, 7)


def kenlm_log_probs(
    programs: Path, order: int, train: str, test: str
) -> tuple[np.ndarray, float]:
    """ln p of each test token, and the seconds that lmplz took."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("train", "test", "arpa")]
        for file, text in zip(files, (train, test), strict=False):
            file.write_text(text)
        estimate = [programs / "lmplz", "-o", str(order), "-S", "2G", "-T", folder]
        estimate += ["--discount_fallback", "--text", files[0], "--arpa", files[2]]
        started = time.perf_counter()
        subprocess.run(estimate, check=True, capture_output=True)
        seconds = time.perf_counter() - started
        with files[1].open() as source:
            query = [programs / "query", "-v", "word", files[2]]
            done = subprocess.run(
                query, stdin=source, check=True, capture_output=True, text=True
            )
    scores = re.findall(r"b\d+=\d+ \d+ (-?[\d.e+-]+)", done.stdout)
    return np.array(scores, dtype=float) * np.log(10), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kenlm", type=Path, required=True, help="lmplz's folder")
    programs = parser.parse_args().kenlm
    splits = course_corpus()
    train, test = splits.train.encode(), splits.test.encode()
    # kenlm's vocabulary is what it saw; so that 1/V is the same, ours is too, with one
    # place each for its end mark and its unknown word.
    alphabet = sorted(set(train))
    number = {byte: i for i, byte in enumerate(alphabet)}
    ids, test_ids = ([number[byte] for byte in text] for text in (train, test))
    words, test_words = (
        " ".join(f"b{byte}" for byte in text) + "\n" for text in (train, test)
    )
    rows = []
    for order in ORDERS:
        theirs, their_seconds = kenlm_log_probs(programs, order, words, test_words)
        started = time.perf_counter()
        model = NGram.train(ids, order, len(alphabet) + 2, "modified_kneser_ney")
        seconds = time.perf_counter() - started
        ours = model.log_probs(test_ids)
        difference = np.abs(ours - theirs)
        rows.append(
            {
                "order": order,
                "bits_per_byte": round(bits_per_byte(-ours.sum(), len(test)), 5),
                "kenlm_bits_per_byte": round(
                    bits_per_byte(-theirs.sum(), len(test)), 5
                ),
                "median_difference_nats": float(f"{np.median(difference):.1e}"),
                "share_within_1e-4_nats": round(float((difference < 1e-4).mean()), 4),
                "largest_difference_nats": round(float(difference[order:].max()), 4),
                "train_seconds": round(seconds, 1),
                "kenlm_train_seconds": round(their_seconds, 1),
            }
        )
        print(rows[-1], flush=True)
    record = {
        "command": "python benchmarks/ngram_against_kenlm.py --kenlm build/bin",
        "machine": describe_machine(),
        "date": date.today().isoformat(),
        "kenlm": "0.3.0",
        "note": "largest difference: without the document's first tokens, before which "
        "kenlm sees its begin mark and lmcore a shorter context",
        "rows": rows,
    }
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
