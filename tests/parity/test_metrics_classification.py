"""Accuracy, precision, recall and F1 against scikit-learn; what they refuse."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from lmcore.metrics import (
    accuracy,
    confusion_matrix,
    f1_score,
    precision_recall_f1,
)

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1)


@given(PAIRS)
def test_everything_equals_scikit_learn(pairs):
    """Five classes, of which some may neither occur nor be predicted."""
    targets, predictions = map(list, zip(*pairs, strict=True))
    labels = range(5)
    assert accuracy(targets, predictions) == sk.accuracy_score(targets, predictions)
    ours = confusion_matrix(targets, predictions, 5)
    assert (ours == sk.confusion_matrix(targets, predictions, labels=labels)).all()
    for average in ("macro", "micro", None):
        theirs = sk.precision_recall_fscore_support(
            targets, predictions, labels=labels, average=average, zero_division=0
        )
        ours = precision_recall_f1(targets, predictions, 5, average)
        for one, other in zip(ours, theirs[:3], strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
        assert np.array_equal(f1_score(targets, predictions, 5, average), ours.f1)


def test_by_hand():
    """Four of class 0, one of class 1; always saying 0."""
    targets, predictions = [0, 0, 0, 0, 1], [0] * 5
    assert accuracy(targets, predictions) == 0.8
    assert confusion_matrix(targets, predictions, 2).tolist() == [[4, 0], [1, 0]]
    macro = precision_recall_f1(targets, predictions, 2)
    assert macro.precision == pytest.approx(0.4)  # (4/5 + 0) / 2
    assert macro.recall == pytest.approx(0.5)
    assert macro.f1 == pytest.approx(4 / 9)  # (8/9 + 0) / 2
    assert f1_score(targets, predictions, 2, "micro") == pytest.approx(0.8)
    assert type(macro.f1) is float
    each = precision_recall_f1(targets, predictions, 2, None)
    assert each.f1.shape == (2,)


def test_rows_are_the_truth():
    assert confusion_matrix([2, 2, 0], [1, 1, 0], 3)[2, 1] == 2


def test_lists_arrays_and_tensors_are_alike():
    forms = [list, np.array, torch.tensor, lambda x: np.array(x, dtype=np.uint8)]
    figures = {f1_score(form([0, 1, 1]), form([1, 1, 1]), 2) for form in forms}
    assert len(figures) == 1
    wide = np.array([250, 251], dtype=np.uint8)
    assert confusion_matrix(wide, wide, 252)[251, 251] == 1  # no overflow


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: accuracy([], []), "targets='empty': must hold at least one item"),
        (lambda: accuracy([0, 1], [0]), r"len\(predictions\)=1: must be 2"),
        (lambda: accuracy([[0]], [[0]]), r"targets.shape=\(1, 1\)"),
        (lambda: f1_score([0, 1], [0, 2], 2), r"predictions\[1\]=2: must be a class"),
        (lambda: f1_score([0, -1], [0, 1], 2), r"targets\[1\]=-1: must be a class"),
        (lambda: f1_score([0, -100], [0, 1], 2), r"targets\[1\]=-100"),
        (lambda: confusion_matrix([0], [0], 0), "n_classes=0: must be an int"),
        (lambda: f1_score([0], [0], 1, "mean"), "average='mean': must be 'macro'"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("targets", [[0.0, 1.0], ["a", "b"], [True, False]])
def test_classes_are_integers(targets):
    with pytest.raises(TypeError, match="targets: must be integers"):
        accuracy(targets, [0, 1])
