"""One class for each item: accuracy, and what it hides.

Count how often an item of class i was called class j: the confusion matrix M. All else
follows from it. For one class c,

    precision = M[c, c] / Σ_i M[i, c]    of those called c, how many are c
    recall    = M[c, c] / Σ_j M[c, j]    of those that are c, how many were found
    F1        = 2 precision recall / (precision + recall)

and F1, the harmonic mean, is high only where both are. Over several classes, "macro" is
the plain mean of the classes' figures, so that a rare class counts as much as a common
one. "micro" counts all items together; with one class per item that is the accuracy.

A ratio 0/0 is taken for 0, as scikit-learn does (with a warning there): a class that
was never predicted has no precision to speak of, and none to be proud of.

Reference: van Rijsbergen (1979), "Information Retrieval", chapter 7; Sokolova and
Lapalme (2009), "A systematic analysis of performance measures for classification".
"""

from typing import Literal, NamedTuple

import numpy as np

from lmcore.config import require

Average = Literal["macro", "micro"]


class PrecisionRecallF1(NamedTuple):
    """Three figures between 0 and 1: floats, or arrays with one number a class.

    Attributes:
        precision: Of what was predicted, the share that is right.
        recall: Of what was to be found, the share that was.
        f1: Their harmonic mean (macro: the mean of the classes' harmonic means).
    """

    precision: float | np.ndarray
    recall: float | np.ndarray
    f1: float | np.ndarray


def accuracy(targets: object, predictions: object) -> float:
    """The share of items that got their class.

    Args:
        targets: (N,) class numbers, as an array, list or CPU tensor.
        predictions: (N,) likewise.

    Raises:
        ValueError: If there is no item, or the numbers of items differ.
        TypeError: If the classes are no integers.
    """
    targets, predictions = check_classes(targets, predictions)
    return float((targets == predictions).mean())


def confusion_matrix(
    targets: object, predictions: object, n_classes: int
) -> np.ndarray:
    """M[i, j]: how many items of class i were called j; rows are the truth.

    Args:
        targets: (N,) class numbers from 0 to ``n_classes - 1``.
        predictions: (N,) likewise.
        n_classes: Number of classes C, whether or not each of them occurs.

    Returns:
        (C, C) int64.

    Raises:
        ValueError: If there is no item, the numbers of items differ, or a class is
            unknown.
        TypeError: If the classes are no integers.

    Example:
        >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2).tolist()
        [[1, 1], [0, 1]]
    """
    usable = type(n_classes) is int and n_classes >= 1
    require(usable, "n_classes", n_classes, "be an int of at least 1")
    targets, predictions = check_classes(targets, predictions, n_classes)
    cells = targets * n_classes + predictions  # each pair (i, j) has a number
    counts = np.bincount(cells, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes)


def precision_recall_f1(
    targets: object,
    predictions: object,
    n_classes: int,
    average: Average | None = "macro",
) -> PrecisionRecallF1:
    """Precision, recall and F1 over ``n_classes`` classes.

    Equal to scikit-learn's with ``labels=range(n_classes)`` and ``zero_division=0``. So
    a class that neither occurs nor is predicted has an F1 of 0 and lowers the macro
    mean: leave it out of ``n_classes``, or use a test set that has every class.

    Args:
        targets: (N,) class numbers from 0 to ``n_classes - 1``.
        predictions: (N,) likewise.
        n_classes: Number of classes C.
        average: "macro", "micro", or None for arrays (C,) with one figure per class.

    Raises:
        ValueError: As ``confusion_matrix``, or if ``average`` is another.
        TypeError: If the classes are no integers.
    """
    known = average in ("macro", "micro", None)
    require(known, "average", average, "be 'macro', 'micro' or None")
    matrix = confusion_matrix(targets, predictions, n_classes)
    right = np.diag(matrix)  # (C,)
    found, wanted = matrix.sum(0), matrix.sum(1)
    if average == "micro":
        return ratios(right.sum(), found.sum(), wanted.sum())
    each = ratios(right, found, wanted)
    if average is None:
        return each
    return PrecisionRecallF1(*(float(figure.mean()) for figure in each))


def f1_score(
    targets: object,
    predictions: object,
    n_classes: int,
    average: Average | None = "macro",
) -> float | np.ndarray:
    """The third figure of ``precision_recall_f1`` alone; the same arguments."""
    return precision_recall_f1(targets, predictions, n_classes, average).f1


def ratios(right: object, found: object, wanted: object) -> PrecisionRecallF1:
    """The three figures from counts; F1 = 2 right / (found + wanted); 0/0 is 0.

    Args:
        right: How many were found and are right; a number or an array (C,).
        found: How many were predicted.
        wanted: How many there were to find.
    """
    figures = []
    for above, below in ((right, found), (right, wanted), (2 * right, found + wanted)):
        below = np.asarray(below, dtype=np.float64)
        figure = np.where(below > 0, above / np.maximum(below, 1), 0.0)
        figures.append(figure if figure.ndim else float(figure))
    return PrecisionRecallF1(*figures)


def check_classes(
    targets: object, predictions: object, n_classes: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Both as int64 arrays (N,), refused if they cannot be compared."""
    arrays = []
    for name, given in (("targets", targets), ("predictions", predictions)):
        values = np.asarray(given)
        require(values.ndim == 1, f"{name}.shape", values.shape, "be one-dimensional")
        require(values.size > 0, name, "empty", "hold at least one item")
        if values.dtype == bool or not np.issubdtype(values.dtype, np.integer):
            raise TypeError(f"{name}: must be integers, not {values.dtype}")
        if n_classes is not None:
            unknown = np.flatnonzero((values < 0) | (values >= n_classes))
            if unknown.size:
                place = f"{name}[{unknown[0]}]"
                rule = f"be a class from 0 to {n_classes - 1}"
                require(False, place, int(values[unknown[0]]), rule)
        arrays.append(values.astype(np.int64))
    n, rule = len(arrays[0]), f"be {len(arrays[0])}, as many as targets"
    require(len(arrays[1]) == n, "len(predictions)", len(arrays[1]), rule)
    return arrays[0], arrays[1]
