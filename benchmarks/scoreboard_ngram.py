"""Put the n-gram models on the scoreboard: what every later model has to beat.

Counts the bytes of the course corpus's training works, smooths, and measures bits per
byte on its test works. Each model is trained from nothing, so that its time is its own.

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

MODELS = (
    # name on the board, order, smoothing; results/ngram_smoothing.json has the others
    ("byte 1-gram", 1, "add_k"),
    ("byte 3-gram, Kneser-Ney", 3, "kneser_ney"),
    ("byte 5-gram, Kneser-Ney", 5, "kneser_ney"),
    ("byte 7-gram, modified Kneser-Ney", 7, "modified_kneser_ney"),
)


def main() -> None:
    splits = course_corpus()
    train, test = splits.train.encode(), splits.test.encode()
    rows = []
    for name, order, smoothing in MODELS:
        started = time.perf_counter()
        model = NGram.train(train, order, smoothing=smoothing)
        seconds = time.perf_counter() - started
        nats = -float(model.log_probs(test).sum())
        rows.append(
            Row(
                model=name,
                chapter="01_language_models",
                bits_per_byte=round(bits_per_byte(nats, len(test)), 4),
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
