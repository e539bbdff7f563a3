"""Entity F1 against seqeval, on valid and on broken IOB2 tags."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval import metrics as seqeval
from seqeval.metrics.sequence_labeling import get_entities

from lmcore.metrics import (
    entities,
    entity_f1,
    entity_scores,
    entity_scores_by_type,
)

TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-CO-OP", "I-CO-OP"])
SENTENCES = st.lists(
    st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=9), min_size=1, max_size=5
)


def sides(sentences):
    return [[[pair[side] for pair in s] for s in sentences] for side in (0, 1)]


@given(st.lists(TAGS, max_size=12))
def test_the_same_entities_as_seqeval(tags):
    ours = [(e.type, e.start, e.end - 1) for e in entities(tags)]
    assert ours == (get_entities(tags) if tags else [])


@given(SENTENCES)
def test_scores_equal_seqeval(sentences):
    targets, predictions = sides(sentences)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 0 / 0, which it takes for 0 as we do
        theirs = [
            measure(targets, predictions)
            for measure in (
                seqeval.precision_score,
                seqeval.recall_score,
                seqeval.f1_score,
            )
        ]
        report = seqeval.classification_report(targets, predictions, output_dict=True)
    assert list(entity_scores(targets, predictions)) == pytest.approx(theirs)
    assert entity_f1(targets, predictions) == pytest.approx(theirs[2])
    for type_, scores in entity_scores_by_type(targets, predictions).items():
        row = [report[type_][key] for key in ("precision", "recall", "f1-score")]
        assert list(scores) == pytest.approx(row)


def test_a_name_counts_whole_or_not_at_all():
    targets = [["B-PER", "I-PER", "O", "B-LOC", "O", "O"]]
    cut = [["B-PER", "O", "O", "B-LOC", "O", "O"]]
    assert entity_scores(targets, cut) == (0.5, 0.5, 0.5)  # 5 of 6 tags are right
    typed = [["B-PER", "I-PER", "O", "B-PER", "O", "O"]]
    assert entity_scores(targets, typed) == (0.5, 0.5, 0.5)
    nothing = [["O"] * 6]
    assert entity_scores(targets, nothing) == (0, 0, 0)  # 3 of 6 tags are right
    assert entity_scores(nothing, nothing) == (0, 0, 0)
    assert entity_scores(targets, targets) == (1, 1, 1)


def test_two_neighbours_are_two_and_a_broken_tag_begins_one():
    assert len(entities(["B-PER", "B-PER"])) == 2
    assert len(entities(["I-PER", "I-PER"])) == 1
    assert len(entities(["B-PER", "I-LOC"])) == 2
    assert len(entities(["I-PER", "O", "I-PER"])) == 2


def test_entities_do_not_cross_sentences():
    one = entity_scores([["B-PER"], ["I-PER"]], [["B-PER"], ["B-PER"]])
    assert one == (1, 1, 1)


@pytest.mark.parametrize(
    ("targets", "predictions", "message"),
    [
        ([], [], "targets='empty': must hold at least one sentence"),
        ([["O"]], [["O"], ["O"]], r"len\(predictions\)=2: must be 1"),
        ([["O", "O"]], [["O"]], r"len\(predictions\[0\]\)=1: must be 2"),
        ([["B"]], [["O"]], r"tags\[0\]='B': must be 'O', 'B-TYPE' or 'I-TYPE'"),
        ([["O", "B-"]], [["O", "O"]], r"tags\[1\]='B-'"),
        ([["S-PER"]], [["O"]], r"tags\[0\]='S-PER'"),
        ([["O"]], [["PER"]], r"tags\[0\]='PER'"),
    ],
)
def test_what_is_refused(targets, predictions, message):
    with pytest.raises(ValueError, match=message):
        entity_f1(targets, predictions)
