"""The account of a fine-tuning: ``report.json`` for programs, ``report.md`` to read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmcore.finetune.table import SHOWN

FEW = 100  # test texts: below, the interval is wide


def write_report(folder: str | Path, report: dict[str, Any]) -> None:
    """Write ``report.json`` and ``report.md``.

    Raises:
        OSError: If the folder cannot be written to.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1, ensure_ascii=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    (folder / "report.md").write_text(report_markdown(report), encoding="utf-8")


def report_markdown(report: dict[str, Any]) -> str:
    """The report as a page of Markdown."""
    names = ", ".join(map(code, report["labels"]))
    parts = [
        f"# A classifier for {names}",
        f"    {report['command']}",
        "## Result",
        *result_section(report),
        "## Label by label",
        *label_section(report),
        "## The most confident errors",
        *error_section(report),
        "## Data",
        *data_section(report),
        "## Training",
        *training_section(report),
    ]
    return "\n\n".join(parts) + "\n"


def result_section(report: dict[str, Any]) -> list[str]:
    """Accuracy and macro F1 beside those of always guessing the same."""
    test, majority = report["test"], report["majority"]
    low, high = map(percent, test["interval"])
    rows = [
        [f"always {code(majority['label'])} (the majority)", majority],
        [f"this classifier ({report['strategy']})", test],
    ]
    return [
        table(
            ["on the test set", "accuracy", "macro F1"],
            [
                [who, percent(row["accuracy"]), percent(row["macro_f1"])]
                for who, row in rows
            ],
        ),
        f"{test['n']:,} texts were tested once, after every choice had been made. With "
        f"so many, the 95 % interval of the accuracy is {low} to {high}.",
        *(f"**Note.** {text}" for text in warnings(report)),
    ]


def label_section(report: dict[str, Any]) -> list[str]:
    """Each label's figures, and which was taken for which."""
    each, names = report["test"]["per_label"], [*report["labels"]]
    confusion = zip(names, report["test"]["confusion"], strict=True)
    return [
        table(
            ["label", "precision", "recall", "F1"],
            [[code(name), *map(percent, each[name].values())] for name in names],
        ),
        "Confusion: rows are the true labels, columns what was predicted.",
        table(
            ["", *map(code, names)],
            [[code(name), *(f"{n:,}" for n in row)] for name, row in confusion],
        ),
    ]


def error_section(report: dict[str, Any]) -> list[str]:
    """Test texts that the classifier was sure about, and wrong."""
    if not report["errors"]:
        return ["There were none."]
    return [
        "Read them: some are the classifier's, some are the labels'.",
        table(
            ["probability", "predicted", "label", "text"],
            [
                [
                    f"{error['probability']:.3f}",
                    code(error["predicted"]),
                    code(error["label"]),
                    plain(error["text"]),
                ]
                for error in report["errors"]
            ],
        ),
    ]


def data_section(report: dict[str, Any]) -> list[str]:
    """What was read and what was left out."""
    skipped = report["rows_skipped"]
    rows = [f"- line {row['line']}: {plain(row['reason'])}" for row in skipped[:SHOWN]]
    if len(skipped) > SHOWN:
        rows.append(f"- and {len(skipped) - SHOWN:,} more, in report.json")
    head = ["label", "train", "validation", "test"]
    counts = report["labels"].items()
    return [
        f"{plain(report['data'])}: {report['rows_read']:,} rows read, {len(skipped):,} "
        f"skipped. {report['repeats_dropped']:,} were dropped as repeats of another (a "
        "text with two different labels counts as none). Which set a text belongs to "
        "depends on its own letters alone. "
        f"{report['texts_cut']:,} texts were longer than the classifier reads.",
        *(["Skipped:", "\n".join(rows)] if rows else []),
        table(head, [[code(k), *(f"{n:,}" for n in v.values())] for k, v in counts]),
    ]


def training_section(report: dict[str, Any]) -> list[str]:
    """What was trained, for how long, and how each epoch did."""
    seconds = report["seconds"]
    return [
        f"{report['n_trained']:,} of {report['n_parameters']:,} weights were trained. "
        f"Epoch {report['best_epoch']} did best on the validation set and was kept. "
        f"{seconds['training']:,} s of training, {seconds['all']:,} s in all, on "
        f"{report['machine']}.",
        table(
            ["epoch", "validation loss (nats)", "accuracy", "macro F1"],
            [
                [
                    str(row["epoch"]),
                    f"{row['loss']:.3f}",
                    percent(row["accuracy"]),
                    percent(row["macro_f1"]),
                ]
                for row in report["epochs"]
            ],
        ),
    ]


def warnings(report: dict[str, Any]) -> list[str]:
    """What a reader should know before trusting the figures."""
    test, found = report["test"], []
    if test["n"] < FEW:
        found.append(
            f"Only {test['n']} texts could be tested. More labelled texts, or "
            "cross-validation (`lmcore.finetune.cross_validate`), would tell more."
        )
    if test["interval"][0] <= report["majority"]["accuracy"]:
        found.append(
            "The interval reaches down to the majority's accuracy: these texts do not "
            "show that the classifier has learned anything."
        )
    if report["unknown_tokens"] > 0.05:
        found.append(
            f"{percent(report['unknown_tokens'])} of the tokens are unknown to this "
            "encoder: it was trained on another language or other symbols."
        )
    absent = [name for name, n in report["labels"].items() if n["test"] == 0]
    if absent:
        found.append(
            f"No test text has the label {', '.join(map(code, absent))}: its F1 counts "
            "as 0 in the macro mean."
        )
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(share: float) -> str:
    """A share with one digit behind the point."""
    return f"{100 * share:.1f} %"


def plain(text: str) -> str:
    """A text on one line that Markdown shows as it is, inside a table too."""
    text = " ".join(text.split())
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return text


def code(name: str) -> str:
    """A label's name, set apart from the words around it."""
    inner = " ".join(name.split()).replace("`", "'").replace("|", "\\|")
    return f"`{inner}`"


def summary(report: dict[str, Any]) -> str:
    """The result in a few lines, for a terminal."""
    test, majority = report["test"], report["majority"]
    low, high = map(percent, test["interval"])
    lines = [
        f"{report['rows_read']:,} rows read, {len(report['rows_skipped']):,} skipped, "
        f"{report['repeats_dropped']:,} repeats dropped",
        f"test on {test['n']:,} texts: accuracy {percent(test['accuracy'])} (95 % "
        f"interval {low} to {high}), macro F1 {percent(test['macro_f1'])}",
        f"always {majority['label']!r}: accuracy {percent(majority['accuracy'])}",
        *(f"note: {text}" for text in warnings(report)),
    ]
    return "\n".join(lines)
