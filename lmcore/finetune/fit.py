"""Fine-tuning a published encoder on labelled texts, in one call.

    tuned = fine_tune(encoder, tokenizer, train, validation, FineTuneConfig())
    predict(tuned, ["A film to fall asleep in."])       probabilities (N, C)
    evaluate(tuned, test)                               loss, accuracy, macro F1

The encoder given is copied and stays as it is. With the strategy "head" the encoder is
fixed, so each text's vector is computed once and the epochs run over vectors: seconds
instead of minutes.

References:
    Devlin et al., 2019, sections 3 and 4 (fine-tuning). Sun et al., 2019, "How to
    Fine-Tune BERT for Text Classification?".
"""

import copy

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.config import require
from lmcore.data import Labelled
from lmcore.finetune.batching import batches_by_length, longest, text_lengths
from lmcore.finetune.config import FineTuneConfig
from lmcore.finetune.heads import SequenceClassifier
from lmcore.finetune.loop import Batch, fit_epochs
from lmcore.finetune.lora import add_lora
from lmcore.finetune.parameters import choose_parameters
from lmcore.finetune.tuned import FineTuned, class_logits, figures, pooled_vectors
from lmcore.models.bert import Bert
from lmcore.runtime import pick_device
from lmcore.tokenizers import WordPieceTokenizer
from lmcore.train import History
from lmcore.train.gradients import own_random_numbers


def fine_tune(
    encoder: Bert,
    tokenizer: WordPieceTokenizer,
    train: Labelled,
    validation: Labelled,
    config: FineTuneConfig,
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> FineTuned:
    """Train a classifier on ``train``; the epoch that does best on ``validation`` wins.

    "Best" is the highest macro F1, and among equals the lowest loss. The same arguments
    give the same weights, on the same machine with the same number of threads.

    Args:
        encoder: Copied, not changed.
        tokenizer: The one that the encoder was trained with.
        train: Texts to learn from; every label of ``names`` must occur.
        validation: Texts to choose the epoch on. What is reported belongs to a third
            set that no choice has seen.
        config: The settings.
        device: Where to compute; ``pick_device()`` if not given.
        progress: Whether to show a bar.

    Raises:
        ValueError: If a set is empty, a label has no name or no example, the two sets
            name their labels differently, or tokenizer and encoder do not fit.
        FloatingPointError: If the loss is no finite number.
    """
    config = config.with_defaults()
    check_set(train, "train")
    check_set(validation, "validation")
    same = train.names == validation.names
    require(same, "validation.names", validation.names, f"be train's, {train.names}")
    absent = [n for i, n in enumerate(train.names) if i not in set(train.labels)]
    require(not absent, "train", f"no text with {absent}", "have one of every label")
    known, room = tokenizer.vocab_size, encoder.config.vocab_size
    require(known <= room, "tokenizer.vocab_size", known, f"be <= vocab_size={room}")
    device = pick_device() if device is None else torch.device(device)

    with own_random_numbers(device):
        torch.manual_seed(config.seed)
        model, n_trained = new_classifier(encoder, len(train.names), config)
        model = model.to(device).eval()
        tuned = FineTuned(model, tokenizer, train.names, History(), config, n_trained)
        fit = fit_head if config.strategy == "head" else fit_whole
        tuned.history = fit(tuned, train, validation, progress)
    return tuned


def new_classifier(
    encoder: Bert, n_labels: int, config: FineTuneConfig
) -> tuple[SequenceClassifier, int]:
    """A copy of the encoder under a new head, and how many numbers will be trained."""
    model = SequenceClassifier(
        copy.deepcopy(encoder), n_labels, config.pooling, config.dropout
    )
    if config.strategy != "head":
        for module in model.encoder.modules():
            if isinstance(module, nn.Dropout):
                module.p = config.dropout
    if config.strategy == "lora":
        return model, add_lora(model, config.rank, config.alpha)
    return model, choose_parameters(model, config.strategy, config.n_last)


def fit_whole(
    tuned: FineTuned, train: Labelled, validation: Labelled, progress: bool
) -> History:
    """Run each batch of texts through encoder and head; train what is not frozen."""
    config, tokenizer = tuned.config, tuned.tokenizer
    device = tuned.model.head.weight.device
    max_seq_len = longest(tuned.model.encoder, config.max_seq_len)
    lengths = text_lengths(tokenizer, train.texts, max_seq_len)
    labels = torch.tensor(train.labels, device=device)
    weights = class_weights(train, config.class_weights).to(device)

    def get_batches(epoch: int) -> list[Batch]:
        seed = f"{config.seed} {epoch}"
        batches = []
        for rows in batches_by_length(lengths, config.batch_size, seed):
            texts = [train.texts[i] for i in rows]
            batch = tokenizer.batch(texts, max_seq_len=max_seq_len)
            batches.append((batch.ids.to(device), batch.mask.to(device), labels[rows]))
        return batches

    def loss_fn(
        model: SequenceClassifier,
        ids: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B T"],
        targets: Int[Tensor, "B"],
    ) -> Float[Tensor, ""]:
        return F.cross_entropy(model(ids, mask).float(), targets, weights)

    def score(model: SequenceClassifier) -> dict[str, float]:
        row = figures(class_logits(tuned, validation.texts), validation, weights)
        return row | {"score": row["macro_f1"]}

    return fit_epochs(tuned.model, get_batches, loss_fn, score, config, progress)


def fit_head(
    tuned: FineTuned, train: Labelled, validation: Labelled, progress: bool
) -> History:
    """Train the head alone, on vectors that are computed once."""
    config, device = tuned.config, tuned.model.head.weight.device
    vectors = pooled_vectors(tuned, train.texts, progress)  # (N, D)
    held_out = pooled_vectors(tuned, validation.texts)
    labels = torch.tensor(train.labels, device=device)
    weights = class_weights(train, config.class_weights).to(device)

    def get_batches(epoch: int) -> list[Batch]:
        seed = f"{config.seed} {epoch}"
        batches = batches_by_length([1] * len(labels), config.batch_size, seed)
        return [(vectors[rows], labels[rows]) for rows in batches]

    def loss_fn(
        model: SequenceClassifier, pooled: Float[Tensor, "B D"], targets: Tensor
    ) -> Float[Tensor, ""]:
        return F.cross_entropy(model.classify(pooled).float(), targets, weights)

    def score(model: SequenceClassifier) -> dict[str, float]:
        row = figures(model.classify(held_out), validation, weights)
        return row | {"score": row["macro_f1"]}

    return fit_epochs(tuned.model, get_batches, loss_fn, score, config, progress)


def class_weights(train: Labelled, kind: str) -> Float[Tensor, "C"]:
    """How much an error on each class costs.

    Args:
        train: Examples of every class.
        kind: "none" for 1 each; "balanced" for N / (C * examples of the class), as
            scikit-learn has it, so that each class weighs the same in all.
    """
    n_classes = len(train.names)
    if kind == "none":
        return torch.ones(n_classes)
    counts = torch.tensor(train.labels).bincount(minlength=n_classes)
    return len(train.labels) / (n_classes * counts.float())


def check_set(labelled: Labelled, argument: str) -> None:
    """Refuse an empty set, texts without labels, and labels without names."""
    texts, labels, names = labelled
    require(len(texts) > 0, f"{argument}.texts", texts, "hold at least one text")
    rule = f"be {len(texts)} labels, one for each text"
    require(len(labels) == len(texts), f"{argument}.labels", len(labels), rule)
    require(len(names) >= 2, f"{argument}.names", names, "name at least 2 labels")
    for i, label in enumerate(labels):
        usable = type(label) is int and 0 <= label < len(names)
        rule = f"be an int from 0 to {len(names) - 1}"
        require(usable, f"{argument}.labels[{i}]", label, rule)
