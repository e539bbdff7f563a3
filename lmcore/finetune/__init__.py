"""Fine-tuning: from a published encoder to a classifier of one's own.

    tuned = fine_tune(encoder, tokenizer, train, validation, FineTuneConfig())
    evaluate(tuned, test)
    predict(tuned, ["A film to fall asleep in."])

``heads`` turn hidden states into answers, ``parameters`` says which weights are
trained, ``lora`` puts small corrections beside frozen ones, ``loop`` goes through the
epochs and stops in time, ``batching`` saves padding, ``fit`` puts these together, and
``tuned`` uses what came of it. ``folds`` tests each text of a small set once, ``files``
keeps a classifier in a folder. ``table`` reads what a person wrote into a table,
``from_table`` goes all the way from there to a tested classifier, and ``report`` writes
it down.
"""

from lmcore.finetune.batching import batches_by_length, sorted_batches
from lmcore.finetune.config import FineTuneConfig
from lmcore.finetune.files import load_fine_tuned, save_fine_tuned
from lmcore.finetune.fit import class_weights, fine_tune, new_classifier
from lmcore.finetune.folds import Fold, cross_validate, k_folds
from lmcore.finetune.from_table import fine_tune_table, split_table
from lmcore.finetune.heads import (
    SequenceClassifier,
    SpanExtractor,
    Spans,
    TokenLabeller,
    best_spans,
)
from lmcore.finetune.loop import best_evaluation, fit_epochs
from lmcore.finetune.lora import (
    LoRALinear,
    add_lora,
    load_lora,
    lora_state_dict,
    merge_lora,
    save_lora,
    unmerge_lora,
)
from lmcore.finetune.parameters import (
    choose_parameters,
    count_trained,
    parameter_groups,
)
from lmcore.finetune.table import BadRow, Table, read_table
from lmcore.finetune.tuned import FineTuned, evaluate, predict

__all__ = [
    "BadRow",
    "FineTuneConfig",
    "FineTuned",
    "Fold",
    "LoRALinear",
    "SequenceClassifier",
    "SpanExtractor",
    "Spans",
    "Table",
    "TokenLabeller",
    "add_lora",
    "batches_by_length",
    "best_evaluation",
    "best_spans",
    "choose_parameters",
    "class_weights",
    "count_trained",
    "cross_validate",
    "evaluate",
    "fine_tune",
    "fine_tune_table",
    "fit_epochs",
    "k_folds",
    "load_fine_tuned",
    "load_lora",
    "lora_state_dict",
    "merge_lora",
    "new_classifier",
    "parameter_groups",
    "predict",
    "read_table",
    "save_fine_tuned",
    "save_lora",
    "sorted_batches",
    "split_table",
    "unmerge_lora",
]
