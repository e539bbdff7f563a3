"""Using a fine-tuned classifier: probabilities for texts, figures for a set."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from lmcore.config import require
from lmcore.data import Labelled
from lmcore.finetune.batching import longest, sorted_batches, text_lengths
from lmcore.finetune.config import FineTuneConfig
from lmcore.finetune.heads import SequenceClassifier
from lmcore.metrics import accuracy, f1_score
from lmcore.tokenizers import WordPieceTokenizer
from lmcore.train import History

BATCH_SIZE = 64  # without gradients there is room for more


@dataclass
class FineTuned:
    """A classifier with all that it takes to use it.

    Attributes:
        model: In evaluation mode.
        tokenizer: The encoder's.
        names: What the labels are called.
        history: A row for each step and one for each epoch.
        config: The settings, defaults filled in.
        n_trained: How many numbers were trained.
    """

    model: SequenceClassifier
    tokenizer: WordPieceTokenizer
    names: tuple[str, ...]
    history: History
    config: FineTuneConfig
    n_trained: int


def predict(fine_tuned: FineTuned, texts: Sequence[str]) -> Float[Tensor, "N C"]:
    """Each label's probability for each text, on the CPU.

    Args:
        fine_tuned: What ``fine_tune`` or ``load_fine_tuned`` gave.
        texts: At least one; long ones are cut after ``config.max_seq_len`` tokens.

    Raises:
        TypeError: If ``texts`` is one str, or one of them is none.
        ValueError: If there is no text.
    """
    if isinstance(texts, str):
        raise TypeError("texts: must be a sequence of texts, not one str: [text]")
    fine_tuned.model.eval()
    return class_logits(fine_tuned, texts).float().softmax(-1).cpu()


def evaluate(fine_tuned: FineTuned, labelled: Labelled) -> dict[str, float]:
    """Loss (nats), accuracy and macro F1 on labelled texts, and their number n.

    Raises:
        ValueError: If the set is empty or names its labels differently.
    """
    same = labelled.names == fine_tuned.names
    require(same, "labelled.names", labelled.names, f"be {fine_tuned.names}")
    fine_tuned.model.eval()
    logits = class_logits(fine_tuned, labelled.texts)
    return figures(logits, labelled) | {"n": len(labelled.texts)}


def class_logits(fine_tuned: FineTuned, texts: Sequence[str]) -> Float[Tensor, "N C"]:
    """Scores of each label for each text."""
    with torch.no_grad():
        return fine_tuned.model.classify(pooled_vectors(fine_tuned, texts))


@torch.no_grad()
def pooled_vectors(
    fine_tuned: FineTuned, texts: Sequence[str], progress: bool = False
) -> Float[Tensor, "N D"]:
    """The vector in front of the head for each text; ``progress`` shows a bar."""
    require(len(texts) > 0, "texts", texts, "hold at least one text")
    model, tokenizer = fine_tuned.model, fine_tuned.tokenizer
    device = model.head.weight.device
    max_seq_len = longest(model.encoder, fine_tuned.config.max_seq_len)
    vectors = torch.empty(0)
    batches = sorted_batches(text_lengths(tokenizer, texts, max_seq_len), BATCH_SIZE)
    hide = not progress or "CI" in os.environ
    for rows in tqdm(batches, "encoder", unit="batch", disable=hide):
        batch = tokenizer.batch([texts[i] for i in rows], max_seq_len=max_seq_len)
        pooled = model.pool(batch.ids.to(device), batch.mask.to(device))  # (B, D)
        if len(vectors) == 0:
            vectors = pooled.new_empty(len(texts), pooled.shape[1])
        vectors[rows] = pooled
    return vectors


def figures(
    logits: Float[Tensor, "N C"], labelled: Labelled, weights: Tensor | None = None
) -> dict[str, float]:
    """How good scores are: the loss in nats, accuracy and macro F1."""
    logits = logits.float()
    targets = torch.tensor(labelled.labels, device=logits.device)
    guesses = logits.argmax(-1).tolist()
    return {
        "loss": F.cross_entropy(logits, targets, weights).item(),
        "accuracy": accuracy(labelled.labels, guesses),
        "macro_f1": f1_score(labelled.labels, guesses, len(labelled.names)),
    }
