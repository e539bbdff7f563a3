"""Fine-tuning: from a published encoder to a classifier of one's own.

    tuned = fine_tune(encoder, tokenizer, train, validation, FineTuneConfig())
    evaluate(tuned, test)
    predict(tuned, ["A film to fall asleep in."])

``heads`` turn hidden states into answers, ``parameters`` says which weights are
trained, ``lora`` puts small corrections beside frozen ones, ``loop`` goes through the
epochs and stops in time, ``fit`` puts these together, ``tuned`` uses what came of it,
``batching`` saves padding.
"""

from lmcore.finetune.batching import batches_by_length, sorted_batches
from lmcore.finetune.config import FineTuneConfig
from lmcore.finetune.fit import class_weights, fine_tune, new_classifier
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
from lmcore.finetune.tuned import FineTuned, evaluate, predict

__all__ = [
    "FineTuneConfig",
    "FineTuned",
    "LoRALinear",
    "SequenceClassifier",
    "SpanExtractor",
    "Spans",
    "TokenLabeller",
    "add_lora",
    "batches_by_length",
    "best_evaluation",
    "best_spans",
    "choose_parameters",
    "class_weights",
    "count_trained",
    "evaluate",
    "fine_tune",
    "fit_epochs",
    "load_lora",
    "lora_state_dict",
    "merge_lora",
    "new_classifier",
    "parameter_groups",
    "predict",
    "save_lora",
    "sorted_batches",
    "unmerge_lora",
]
