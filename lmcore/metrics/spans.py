"""An answer cut out of a text: exact match, and F1 over its words.

Both are computed on normalised answers: small letters, no punctuation marks, no
articles, single spaces. Of several right answers the best match counts.

    exact match   1 if the two are equal
    F1            2 shared / (words of one + words of the other)

Two answers without a word (a question that has no answer) match; one without matches no
other. That is the rule of SQuAD 2.0's script, and agrees with 1.1's wherever there is
an answer.

Reference: Rajpurkar et al. (2016), "SQuAD", section 6.1, and the evaluation scripts
that come with versions 1.1 and 2.0.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from lmcore.config import require

NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class SpanScores(NamedTuple):
    """Means over all questions, between 0 and 1.

    Attributes:
        exact: Share of questions whose answer is right to the word.
        f1: Mean overlap of words.
    """

    exact: float
    f1: float


def normalise_answer(text: str) -> str:
    """What two answers are compared by.

    Example:
        >>> normalise_answer("The  Iliad, of Homer!")
        'iliad of homer'
    """
    text = text.lower().translate(NO_PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def span_scores(
    predictions: Sequence[str], answers: Sequence[Sequence[str]]
) -> SpanScores:
    """Exact match and F1, each the best over a question's answers, then the mean.

    Args:
        predictions: One text for each question; "" for "there is no answer".
        answers: For each question, all texts that would be right.

    Raises:
        ValueError: If there is no question, the numbers of questions differ, or a
            question has no answer given.
        TypeError: If a question's answers are one str in place of a list.

    Example:
        >>> span_scores(["in the Iliad"], [["Iliad", "the Iliad of Homer"]])
        SpanScores(exact=0.0, f1=0.6666666666666666)
    """
    n = len(answers)
    require(n > 0, "answers", "empty", "hold at least one question")
    require(len(predictions) == n, "len(predictions)", len(predictions), f"be {n}")
    exact = f1 = 0.0
    for index, (given, right) in enumerate(zip(predictions, answers, strict=True)):
        if isinstance(right, str):
            raise TypeError(f"answers[{index}]={right!r}: must be a list of texts")
        require(len(right) > 0, f"answers[{index}]", right, "hold an answer")
        words = normalise_answer(given).split()
        goals = [normalise_answer(one).split() for one in right]
        exact += max(words == goal for goal in goals)
        f1 += max(overlap_f1(words, goal) for goal in goals)
    return SpanScores(exact / n, f1 / n)


def overlap_f1(words: Sequence[str], goal: Sequence[str]) -> float:
    """2 shared / (all words of both); a word counts as often as both have it."""
    if not words or not goal:
        return float(words == goal)
    shared = sum((Counter(words) & Counter(goal)).values())
    return 2 * shared / (len(words) + len(goal))
