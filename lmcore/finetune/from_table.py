"""From a table of texts and labels to a classifier and an account of it.

    read the table  ->  drop duplicates, split by hash  ->  fine-tune, the best epoch
    on the validation set  ->  test once  ->  save model, report.json, report.md

This is what ``lmcore finetune`` runs.
"""

import platform
import shlex
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lmcore.config import require
from lmcore.data import Labelled, LabelledSplits, split_by_hash
from lmcore.data.labelled import drop_duplicates
from lmcore.finetune.batching import longest
from lmcore.finetune.config import FineTuneConfig
from lmcore.finetune.files import save_fine_tuned
from lmcore.finetune.fit import fine_tune
from lmcore.finetune.loop import best_evaluation
from lmcore.finetune.report import write_report
from lmcore.finetune.table import Table, read_table
from lmcore.finetune.tuned import FineTuned, predict
from lmcore.metrics import (
    accuracy,
    confusion_matrix,
    f1_score,
    precision_recall_f1,
    wilson_interval,
)
from lmcore.models.bert import Bert
from lmcore.runtime import describe_device
from lmcore.tokenizers import WordPieceTokenizer

FEWEST = 20  # different texts: 4 of them to test on
TEST_SHARE, MOST_TEST = 0.2, 2000
VALIDATION_SHARE, MOST_VALIDATION = 0.15, 1000
ERRORS_SHOWN = 20


def fine_tune_table(
    data: str | Path,
    out: str | Path,
    encoder: Bert,
    tokenizer: WordPieceTokenizer,
    config: FineTuneConfig,
    *,
    text: str = "text",
    label: str = "label",
    bad_rows: str = "refuse",
    command: Sequence[str] = (),
    progress: bool = False,
) -> dict[str, Any]:
    """Fine-tune on a table, test once, and write model and report into a folder.

    Args:
        data: A CSV or TSV file; see ``read_table``.
        out: Folder for the classifier (``save_fine_tuned``) and its report.
        encoder: What to start from.
        tokenizer: The encoder's.
        config: The settings.
        text: Name of the column of texts.
        label: Name of the column of labels.
        bad_rows: "refuse" or "skip".
        command: What was typed, for the report.
        progress: Whether to show bars.

    Returns:
        The report, as ``report.json`` has it.

    Raises:
        ValueError: If the table cannot be used; see ``read_table``.
        OSError: If a file cannot be read or written.
    """
    started = time.perf_counter()
    table = read_table(data, text, label, bad_rows)
    splits = split_table(table.labelled)
    tuned = fine_tune(
        encoder, tokenizer, splits.train, splits.validation, config, progress=progress
    )
    report = {
        "command": shlex.join(command),
        "data": Path(data).name,
        "strategy": tuned.config.strategy,
        **describe_data(table, splits, tuned),
        **describe_model(tuned),
        **final_test(tuned, splits),
    }
    report["seconds"] = {
        "training": round(tuned.history.total("seconds"), 1),
        "all": round(time.perf_counter() - started, 1),
    }
    save_fine_tuned(out, tuned)
    write_report(out, report)
    return report


def split_table(labelled: Labelled) -> LabelledSplits:
    """Two thirds to learn from, 15 % to choose the epoch on, 20 % to test on.

    Large tables test on 2,000 and choose on 1,000 texts: more would say little more.

    Raises:
        ValueError: If there are too few different texts, or a label has none left to
            learn from.
    """
    n = len(drop_duplicates(labelled).texts)
    require(n >= FEWEST, "different texts", n, f"be at least {FEWEST}")
    n_test = min(MOST_TEST, round(TEST_SHARE * n))
    n_validation = min(MOST_VALIDATION, round(VALIDATION_SHARE * n))
    splits = split_by_hash(labelled, n_validation, n_test)
    for i, name in enumerate(labelled.names):
        held_out = [*splits.validation.labels, *splits.test.labels].count(i)
        rule = f"be 1 at least ({held_out} were held out): give more of this label"
        n_left = splits.train.labels.count(i)
        require(n_left > 0, f"texts with the label {name!r} to train on", n_left, rule)
    return splits


def describe_data(
    table: Table, splits: LabelledSplits, tuned: FineTuned
) -> dict[str, Any]:
    """What was read, what was left out, and what the encoder can make of it."""
    names, tokenizer = tuned.names, tuned.tokenizer
    texts = [text for part in splits for text in part.texts]
    limit = longest(tuned.model.encoder, tuned.config.max_seq_len)
    rows = [tokenizer.encode(text) for text in texts]
    n_ids = sum(len(ids) for ids in rows)
    unknown = sum(ids.count(tokenizer.vocab["[UNK]"]) for ids in rows)
    return {
        "rows_read": len(table.labelled.texts),
        "rows_skipped": [row._asdict() for row in table.bad_rows],
        "repeats_dropped": len(table.labelled.texts) - len(texts),
        "texts_cut": sum(len(ids) + 2 > limit for ids in rows),  # [CLS], [SEP]
        "unknown_tokens": unknown / max(1, n_ids),
        "labels": {
            name: {
                part: split.labels.count(i) for part, split in splits._asdict().items()
            }
            for i, name in enumerate(names)
        },
    }


def describe_model(tuned: FineTuned) -> dict[str, Any]:
    """What was trained, how, and where."""
    device = tuned.model.head.weight.device
    return {
        "n_parameters": sum(p.numel() for p in tuned.model.parameters()),
        "n_trained": tuned.n_trained,
        "config": tuned.config.to_dict(),
        "epochs": tuned.history.evaluations,
        "best_epoch": best_evaluation(tuned.history)["epoch"],
        "machine": f"{describe_device(device)}; Python {platform.python_version()}, "
        f"torch {torch.__version__}",
    }


def final_test(tuned: FineTuned, splits: LabelledSplits) -> dict[str, Any]:
    """The figures on the texts that no choice has seen, beside the majority's."""
    test, names = splits.test, tuned.names
    n, n_classes = len(test.texts), len(names)
    probs, guesses = predict(tuned, test.texts).max(1)
    probs, guesses = probs.tolist(), guesses.tolist()
    common = Counter(splits.train.labels).most_common(1)[0][0]
    right = sum(g == y for g, y in zip(guesses, test.labels, strict=True))
    each = precision_recall_f1(test.labels, guesses, n_classes, None)
    wrong = [i for i in range(n) if guesses[i] != test.labels[i]]
    wrong.sort(key=lambda i: -probs[i])
    return {
        "majority": {
            "label": names[common],
            "accuracy": accuracy(test.labels, [common] * n),
            "macro_f1": f1_score(test.labels, [common] * n, n_classes),
        },
        "test": {
            "n": n,
            "accuracy": right / n,
            "interval": list(wilson_interval(right, n)),
            "macro_f1": float(each.f1.mean()),
            "per_label": {
                name: {
                    "precision": float(each.precision[i]),
                    "recall": float(each.recall[i]),
                    "f1": float(each.f1[i]),
                }
                for i, name in enumerate(names)
            },
            "confusion": confusion_matrix(test.labels, guesses, n_classes).tolist(),
        },
        "errors": [
            {
                "text": test.texts[i],
                "label": names[test.labels[i]],
                "predicted": names[guesses[i]],
                "probability": probs[i],
            }
            for i in wrong[:ERRORS_SHOWN]
        ],
    }
