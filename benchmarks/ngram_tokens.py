"""Which vocabulary suits a counting model, and does it depend on the training text?

A modified Kneser-Ney model on byte-level BPE tokens, for several vocabulary sizes and
amounts of training text. For each, the order is chosen on the validation works; the
figure reported is the one on the test works, in bits per byte.

    python benchmarks/ngram_tokens.py

Some minutes on one CPU core. Writes results/ngram_tokens.json; chapter 02 plots it.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

from lmcore.course.notebooks import describe_machine
from lmcore.data import course_corpus
from lmcore.metrics import bits_per_byte
from lmcore.models.ngram import NGram
from lmcore.tokenizers import ByteBPETokenizer

RESULT = Path(__file__).parents[1] / "results" / "ngram_tokens.json"
VOCAB_SIZES = (256, 512, 1024, 2048, 4096, 8192)
TRAIN_BYTES = (250_000, 1_000_000, 4_000_000)
ORDERS = {256: (4, 5, 6, 7, 8), 512: (3, 4, 5, 6), 1024: (2, 3, 4, 5)}


def bits(model: NGram, ids: list[int], text: str) -> float:
    """Bits per byte of a text, given its ids."""
    return bits_per_byte(-model.log_probs(ids).sum(), len(text.encode()))


def main() -> None:
    splits = course_corpus()
    rows = []
    for train_bytes in TRAIN_BYTES:
        text = splits.train[:train_bytes]
        full = ByteBPETokenizer.train(text, vocab_size=max(VOCAB_SIZES))
        for vocab_size in VOCAB_SIZES:
            vocab = {t: i for t, i in full.vocab.items() if i < vocab_size}
            tokenizer = ByteBPETokenizer(vocab, full.merges[: vocab_size - 256])
            train, validation, test = (
                tokenizer.encode(part)
                for part in (text, splits.validation, splits.test)
            )
            tried = []
            for order in ORDERS.get(vocab_size, (2, 3, 4)):
                model = NGram.train(
                    train, order, vocab_size, smoothing="modified_kneser_ney"
                )
                found = bits(model, validation, splits.validation)
                tried.append((found, order, bits(model, test, splits.test)))
            best = min(tried)
            row = {
                "train_bytes": train_bytes,
                "vocab_size": vocab_size,
                "order": best[1],
                "validation": round(best[0], 4),
                "test": round(best[2], 4),
            }
            print(row, flush=True)
            rows.append(row)
    record = {
        "command": "python benchmarks/ngram_tokens.py",
        "machine": describe_machine(),
        "date": datetime.now(UTC).date().isoformat(),
        "unit": "bits per byte, order chosen on validation",
        "rows": rows,
    }
    RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
