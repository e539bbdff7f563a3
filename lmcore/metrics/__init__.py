"""Measures of a model: one file for each kind of answer that it gives.

perplexity      probabilities of a text: nats, bits per byte
edits           a written sequence: edit distance, error rates
classification  one class for each item: accuracy, precision, recall, F1
entities        IOB2 tags for each word: F1 over whole entities
spans           a stretch of a text: exact match and F1
intervals       how far chance alone may have moved any of them
"""

from lmcore.metrics.classification import (
    PrecisionRecallF1,
    accuracy,
    confusion_matrix,
    f1_score,
    precision_recall_f1,
)
from lmcore.metrics.edits import ErrorRates, edit_distance, error_rates
from lmcore.metrics.entities import (
    Entity,
    entities,
    entity_f1,
    entity_scores,
    entity_scores_by_type,
)
from lmcore.metrics.intervals import Interval, bootstrap_interval, wilson_interval
from lmcore.metrics.perplexity import (
    bits_per_byte,
    bits_per_token,
    check_nats,
    cross_entropy_nats,
    perplexity,
)
from lmcore.metrics.spans import SpanScores, normalise_answer, span_scores

__all__ = [
    "Entity",
    "ErrorRates",
    "Interval",
    "PrecisionRecallF1",
    "SpanScores",
    "accuracy",
    "bits_per_byte",
    "bits_per_token",
    "bootstrap_interval",
    "check_nats",
    "confusion_matrix",
    "cross_entropy_nats",
    "edit_distance",
    "entities",
    "entity_f1",
    "entity_scores",
    "entity_scores_by_type",
    "error_rates",
    "f1_score",
    "normalise_answer",
    "perplexity",
    "precision_recall_f1",
    "span_scores",
    "wilson_interval",
]
