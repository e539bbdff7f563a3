"""The settings of a fine-tuning, with defaults that suit the strategy."""

from dataclasses import dataclass

from lmcore.config import Config, require
from lmcore.finetune.heads import POOLINGS
from lmcore.finetune.parameters import STRATEGIES

DTYPES = ("float32", "bfloat16", "auto")

# A head alone starts from nothing and may run; published weights may only stroll.
DEFAULTS = {
    "head": {"lr": 3e-3, "epochs": 30},
    "last": {"lr": 2e-4, "epochs": 6},
    "all": {"lr": 1e-4, "epochs": 4},
    "lora": {"lr": 1e-3, "epochs": 10},
}


@dataclass(frozen=True, kw_only=True)
class FineTuneConfig(Config):
    """How a classifier is fine-tuned.

    Attributes:
        strategy: What is trained: "head", "last" (the last blocks and the head), "all",
            or "lora" (low-rank corrections and the head).
        n_last: Blocks that "last" trains.
        rank: LoRA's rank.
        alpha: LoRA's scale; the correction is multiplied by alpha / rank.
        pooling: "mean" or "first"; see ``SequenceClassifier``.
        lr: Peak learning rate of the head; None for the strategy's default.
        layer_decay: Factor on the learning rate from one layer to the next below.
        batch_size: Texts per step.
        epochs: Passes over the training set at most; None for the strategy's default.
        warmup_share: Share of all steps over which the learning rate rises.
        weight_decay: AdamW's decay, of matrices only.
        grad_clip: Largest gradient norm; 0 leaves gradients alone.
        patience: Stop after so many epochs in a row with no better score and no lower
            loss on the validation set.
        max_seq_len: Longer texts are cut after so many tokens (or after as many as the
            encoder can read).
        class_weights: "none", or "balanced": a rare label's errors cost more.
        dropout: In front of the head, and inside the encoder where that is trained.
        seed: Of the head's first weights, the order of batches and dropout.
        dtype: "float32", "bfloat16" (mixed precision) or "auto" (what is faster here).
    """

    strategy: str = "all"
    n_last: int = 2
    rank: int = 8
    alpha: float = 16.0
    pooling: str = "mean"
    lr: float | None = None
    layer_decay: float = 1.0
    batch_size: int = 32
    epochs: int | None = None
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    grad_clip: float = 1.0
    patience: int = 3
    max_seq_len: int = 128
    class_weights: str = "none"
    dropout: float = 0.1
    seed: int = 0
    dtype: str = "float32"

    def validate(self) -> None:
        """Check every field."""
        choices = {
            "strategy": (*STRATEGIES, "lora"),
            "pooling": POOLINGS,
            "class_weights": ("none", "balanced"),
            "dtype": DTYPES,
        }
        for name, known in choices.items():
            value = getattr(self, name)
            require(value in known, name, value, f"be one of {[*known]}")
        for name in ("n_last", "rank", "batch_size", "patience"):
            value = getattr(self, name)
            require(type(value) is int and value >= 1, name, value, "be an int >= 1")
        usable = self.epochs is None or (type(self.epochs) is int and self.epochs >= 1)
        require(usable, "epochs", self.epochs, "be None or an int >= 1")
        usable = type(self.max_seq_len) is int and self.max_seq_len >= 3
        require(usable, "max_seq_len", self.max_seq_len, "be an int >= 3")
        usable = type(self.seed) is int and self.seed >= 0
        require(usable, "seed", self.seed, "be an int >= 0")
        require(self.lr is None or self.lr > 0, "lr", self.lr, "be None or > 0")
        require(self.alpha > 0, "alpha", self.alpha, "be > 0")
        rule = "be above 0 and at most 1"
        require(0 < self.layer_decay <= 1, "layer_decay", self.layer_decay, rule)
        for name in ("warmup_share", "dropout"):
            value = getattr(self, name)
            require(0 <= value < 1, name, value, "be from 0 to below 1")
        for name in ("weight_decay", "grad_clip"):
            value = getattr(self, name)
            require(value >= 0, name, value, "be >= 0")

    def with_defaults(self) -> "FineTuneConfig":
        """The same with the strategy's ``lr`` and ``epochs`` where they are None."""
        chosen = DEFAULTS[self.strategy]
        return self.replace(
            lr=chosen["lr"] if self.lr is None else self.lr,
            epochs=chosen["epochs"] if self.epochs is None else self.epochs,
        )
