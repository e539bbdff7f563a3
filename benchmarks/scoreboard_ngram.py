"""Put the n-gram models on the scoreboard: what every later model has to beat.

Counts the bytes (or tokens) of the course corpus's training works, smooths, and
measures bits per byte on its test works. Each model is trained from nothing, its
tokenizer too, so that its time is its own.

    python benchmarks/scoreboard_ngram.py

Under a minute on two CPU cores. Writes results/scoreboard.json.
"""

import time
from datetime import date

from lmcore.course.notebooks import describe_machine
from lmcore.course.scoreboard import Row, add_rows, read_scoreboard, scoreboard_table
from lmcore.data import course_corpus
from lmcore.metrics import bits_per_byte
from lmcore.models.ngram import NGram
from lmcore.tokenizers import ByteBPETokenizer

MODELS = (
    # name, chapter, vocab_size, order, smoothing; results/ngram_*.json have the others
    ("byte 1-gram", "01_language_models", 256, 1, "add_k"),
    ("byte 3-gram, Kneser-Ney", "01_language_models", 256, 3, "kneser_ney"),
    ("byte 5-gram, Kneser-Ney", "01_language_models", 256, 5, "kneser_ney"),
    (
        "byte 7-gram, modified Kneser-Ney",
        "01_language_models",
        256,
        7,
        "modified_kneser_ney",
    ),
    (
        "512-token 6-gram, modified Kneser-Ney",
        "02_text_into_tokens",
        512,
        6,
        "modified_kneser_ney",
    ),
)


def main() -> None:
    splits = course_corpus()
    n_bytes = len(splits.test.encode())
    rows = []
    for name, chapter, vocab_size, order, smoothing in MODELS:
        started = time.perf_counter()
        tokenizer = ByteBPETokenizer.train(splits.train, vocab_size)
        ids = tokenizer.encode(splits.train)
        model = NGram.train(ids, order, vocab_size, smoothing)
        seconds = time.perf_counter() - started
        nats = -float(model.log_probs(tokenizer.encode(splits.test)).sum())
        rows.append(
            Row(
                model=name,
                chapter=chapter,
                bits_per_byte=round(bits_per_byte(nats, n_bytes), 4),
                train_seconds=round(seconds, 1),
                parameters=model.n_parameters,
                command="python benchmarks/scoreboard_ngram.py",
                machine=describe_machine(),
                date=date.today().isoformat(),
            )
        )
    add_rows(rows, splits.test)
    print(scoreboard_table(read_scoreboard()))


if __name__ == "__main__":
    main()
