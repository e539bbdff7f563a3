"""Put chapter 09's two GPTs on the scoreboard, from the records of their runs.

    lmcore train recipes/gpt_short.toml --out results/gpt_short
    lmcore train recipes/gpt_course.toml --out results/gpt_course
    python benchmarks/scoreboard_gpt.py

The two runs take minutes and more than an hour on a CPU. Each leaves a history.json
with its figures on the test works, which were read once, after the weights were chosen
on the validation works. Of the short run only that file is kept: the chapter makes the
model again.
"""

import json
from pathlib import Path

from lmcore.course.scoreboard import Row, add_rows
from lmcore.data import course_corpus

RESULTS = Path(__file__).parents[1] / "results"
MODELS = {"GPT, short run": "gpt_short", "GPT, {size} M parameters": "gpt_course"}


def read_row(model: str, folder: Path) -> Row:
    """The row that a run's record makes."""
    record = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    return Row(
        model=model.format(size=round(record["parameters"] / 1e6, 1)),
        chapter="09_gpt",
        bits_per_byte=record["test_bits"],
        train_seconds=record["seconds"],
        parameters=record["parameters"],
        command=record["command"],
        machine=record["machine"],
        date=record["date"],
    )


def main() -> None:
    rows = [
        read_row(model, RESULTS / name)
        for model, name in MODELS.items()
        if (RESULTS / name / "history.json").exists()
    ]
    add_rows(rows, course_corpus().test)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
