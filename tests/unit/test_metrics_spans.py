"""Exact match and F1 of answers, by hand; the old names of lmcore.metrics."""

import pytest

import lmcore.metrics
from lmcore.metrics import SpanScores, normalise_answer, span_scores


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("The Iliad", "iliad"),
        ("  a  man, an idea; THE end. ", "man idea end"),
        ("theatre and anthem", "theatre and anthem"),  # articles are whole words
        ("don't", "dont"),
        ("the", ""),
    ],
)
def test_what_answers_are_compared_by(text, normalised):
    assert normalise_answer(text) == normalised


@pytest.mark.parametrize(
    ("prediction", "answers", "exact", "f1"),
    [
        ("the Iliad", ["Iliad."], 1, 1),
        ("Iliad of Homer", ["Iliad"], 0, 2 * 1 / (3 + 1)),
        ("in Troy", ["Iliad", "Troy", "near Troy"], 0, 2 / 3),  # the best counts
        ("New New York", ["New York"], 0, 2 * 2 / (3 + 2)),  # once, not twice
        ("Athens", ["Troy"], 0, 0),
        ("", [""], 1, 1),
        ("", ["Troy"], 0, 0),
        ("Troy", [""], 0, 0),
        ("the", ["Troy"], 0, 0),
    ],
)
def test_one_question_by_hand(prediction, answers, exact, f1):
    scores = span_scores([prediction], [answers])
    assert scores == pytest.approx(SpanScores(exact, f1))


def test_the_mean_is_over_questions():
    scores = span_scores(["Troy", "Athens"], [["Troy"], ["Troy"]])
    assert scores == (0.5, 0.5)


@pytest.mark.parametrize(
    ("predictions", "answers", "message"),
    [
        ([], [], "answers='empty': must hold at least one question"),
        (["a"], [["a"], ["b"]], r"len\(predictions\)=1: must be 2"),
        (["a"], [[]], r"answers\[0\]=\[\]: must hold an answer"),
    ],
)
def test_what_is_refused(predictions, answers, message):
    with pytest.raises(ValueError, match=message):
        span_scores(predictions, answers)


def test_a_bare_text_is_no_list_of_answers():
    with pytest.raises(TypeError, match=r"answers\[0\]='Troy': must be a list"):
        span_scores(["T"], ["Troy"])


def test_every_exported_name_is_there():
    assert all(hasattr(lmcore.metrics, name) for name in lmcore.metrics.__all__)
    old = "bits_per_byte bits_per_token cross_entropy_nats perplexity ErrorRates"
    assert set(f"{old} edit_distance error_rates".split()) <= set(
        lmcore.metrics.__all__
    )
