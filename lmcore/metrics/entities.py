"""Names of things in a sentence: right only if the whole name is right.

Entities are written down as one tag for each word, in the form IOB2: B-PER begins a
person, I-PER goes on inside it, O is outside of all.

    Ada    Lovelace  wrote  to  Charles  Babbage  in  London
    B-PER  I-PER     O      O   B-PER    I-PER    O   B-LOC

Most words are O, so the share of right tags says little. What counts is the entities: a
predicted one is right if its type, its first word and its last word all are.

A tag that IOB2 forbids, an I-PER that follows no B-PER or I-PER, begins an entity. That
is what the CoNLL script and seqeval's default mode do; a model may well predict it.

Reference: Tjong Kim Sang and De Meulder (2003), "Introduction to the CoNLL-2003 shared
task", section 2.2 (F1 over entities); Ramshaw and Marcus (1995) for the tags.
"""

from collections.abc import Sequence
from typing import NamedTuple

from lmcore.config import require
from lmcore.metrics.classification import PrecisionRecallF1, ratios


class Entity(NamedTuple):
    """One entity of a sentence.

    Attributes:
        type: What stands behind B- and I-.
        start: Its first word, counted from 0.
        end: The word behind its last.
    """

    type: str
    start: int
    end: int


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of one sentence, from left to right.

    Args:
        tags: One of "O", "B-TYPE" and "I-TYPE" for each word.

    Raises:
        ValueError: If a tag has another form.

    Example:
        >>> entities(["B-PER", "I-PER", "O", "I-LOC"])
        [Entity(type='PER', start=0, end=2), Entity(type='LOC', start=3, end=4)]
    """
    found: list[Entity] = []
    type_before = ""  # of the word before; "" outside of entities
    for index, tag in enumerate(tags):
        mark, type_ = split_tag(tag, index)
        if type_ and mark == "I" and type_ == type_before:
            found[-1] = found[-1]._replace(end=index + 1)
        elif type_:
            found.append(Entity(type_, index, index + 1))
        type_before = type_
    return found


def entity_scores(
    targets: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]]
) -> PrecisionRecallF1:
    """Precision, recall and F1 over the entities of all sentences together.

    Equal to seqeval's default (mode None, micro average).

    Args:
        targets: For each sentence its tags.
        predictions: Likewise, as many.

    Raises:
        ValueError: If there is no sentence, the numbers of sentences or of a
            sentence's tags differ, or a tag is no IOB2.
    """
    counts = entity_counts(targets, predictions).values()
    return ratios(*(sum(column) for column in zip((0, 0, 0), *counts, strict=True)))


def entity_f1(
    targets: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]]
) -> float:
    """The third figure of ``entity_scores`` alone; the same arguments.

    Example:
        >>> entity_f1([["B-PER", "I-PER", "O"]], [["B-PER", "O", "O"]])
        0.0
    """
    return entity_scores(targets, predictions).f1


def entity_scores_by_type(
    targets: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]]
) -> dict[str, PrecisionRecallF1]:
    """``entity_scores`` for each type that occurs or is predicted, by name."""
    counts = entity_counts(targets, predictions)
    return {type_: ratios(*counts[type_]) for type_ in sorted(counts)}


def entity_counts(
    targets: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]]
) -> dict[str, list[int]]:
    """For each type: entities that are right, were predicted, were to be found."""
    n = len(targets)
    require(n > 0, "targets", "empty", "hold at least one sentence")
    rule = f"be {n}, as many as targets"
    require(len(predictions) == n, "len(predictions)", len(predictions), rule)
    counts: dict[str, list[int]] = {}
    for index, (right, given) in enumerate(zip(targets, predictions, strict=True)):
        rule = f"be {len(right)}, as many tags as targets[{index}] has"
        place = f"len(predictions[{index}])"
        require(len(given) == len(right), place, len(given), rule)
        wanted, found = set(entities(right)), set(entities(given))
        for column, group in enumerate((wanted & found, found, wanted)):
            for entity in group:
                counts.setdefault(entity.type, [0, 0, 0])[column] += 1
    return counts


def split_tag(tag: str, index: int) -> tuple[str, str]:
    """("B", "PER") of "B-PER"; ("O", "") of "O"."""
    if tag == "O":
        return "O", ""
    mark, dash, type_ = str(tag).partition("-")
    usable = isinstance(tag, str) and mark in ("B", "I") and dash and type_
    require(bool(usable), f"tags[{index}]", tag, "be 'O', 'B-TYPE' or 'I-TYPE'")
    return mark, type_
