"""k-fold cross-validation: with few texts, let each of them be tested once.

A test set of 60 texts has an interval of ±10 points. So the texts are cut into k parts
(folds); k times a model is trained without one of them and tested on it. Each fold gets
its share of every label (stratified).

What is tested may have had no part in any choice, early stopping included. So of the
k - 1 other folds, one serves as the validation set and k - 2 train:

    fold 0   test | validation | train | train | train
    fold 1   train | test | validation | train | train     and so on

Reference: Kohavi, 1995, "A Study of Cross-Validation and Bootstrap for Accuracy
Estimation and Model Selection".
"""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lmcore.config import require
from lmcore.data import Labelled
from lmcore.finetune.config import FineTuneConfig
from lmcore.finetune.fit import fine_tune
from lmcore.finetune.tuned import evaluate
from lmcore.models.bert import Bert
from lmcore.tokenizers import WordPieceTokenizer


class Fold(NamedTuple):
    """Row numbers: those to learn from, and those to test on."""

    train: list[int]
    test: list[int]


def k_folds(n_or_labels: int | Sequence[int], k: int, seed: int = 0) -> list[Fold]:
    """k ways to cut rows in two, each row in the test part of exactly one.

    Args:
        n_or_labels: Number of rows, or the label of each row, to give every fold its
            share of each label: no two folds differ by more than one text of a label.
        k: Number of folds, from 2 to the number of rows.
        seed: Of the order in which rows are dealt out.

    Raises:
        ValueError: If ``k`` is out of range.
    """
    plain = isinstance(n_or_labels, int)
    labels = [0] * n_or_labels if plain else list(n_or_labels)
    n = len(labels)
    usable = type(k) is int and 2 <= k <= n
    require(usable, "k", k, f"be an int from 2 to {n}, the number of rows")
    draw = random.Random(seed)
    rows = list(range(n))
    draw.shuffle(rows)
    rows.sort(key=lambda row: labels[row])  # by label, shuffled within each
    parts = [sorted(rows[i::k]) for i in range(k)]  # dealt out like cards
    return [Fold(join(parts, i), parts[i]) for i in range(k)]


def join(parts: list[list[int]], *left_out: int) -> list[int]:
    """The rows of all parts but some."""
    return sorted(r for i, part in enumerate(parts) if i not in left_out for r in part)


def cross_validate(
    make_encoder: Callable[[], Bert],
    tokenizer: WordPieceTokenizer,
    labelled: Labelled,
    config: FineTuneConfig,
    k: int = 5,
) -> list[dict[str, float]]:
    """Fine-tune k times and test each time on another fold.

    Args:
        make_encoder: Gives the encoder to start from; called for each fold, so that
            none starts from what another has learned.
        tokenizer: The encoder's.
        labelled: All texts, without duplicates (one in another fold would be known).
        config: The settings; its seed also deals out the folds.
        k: Number of folds, at least 3.

    Returns:
        What ``evaluate`` gives on each fold. Their mean is the result; their spread
        says more about the folds' size than about another text collection.

    Raises:
        ValueError: If ``k`` is out of range or a label has too few texts.
    """
    rule = "be an int >= 3: one fold to test, one to choose the epoch, one to train"
    require(type(k) is int and k >= 3, "k", k, rule)
    parts = [fold.test for fold in k_folds(labelled.labels, k, config.seed)]
    scores = []
    for i in range(k):
        validation = (i + 1) % k
        tuned = fine_tune(
            make_encoder(),
            tokenizer,
            labelled.rows(join(parts, i, validation)),
            labelled.rows(parts[validation]),
            config,
        )
        scores.append(evaluate(tuned, labelled.rows(parts[i])))
    return scores
