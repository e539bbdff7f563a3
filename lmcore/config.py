"""Configurations: frozen dataclasses that refuse impossible values.

A configuration is checked once, when it is made, so that everything behind it may
trust its numbers. It can be written to JSON and read back, and it never changes:
``config.replace(lr=1e-3)`` gives a new one.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self


def require(condition: bool, argument: str, value: object, rule: str) -> None:
    """Raise a ``ValueError`` that names the argument, its value and the rule.

    Args:
        condition: What has to hold.
        argument: The argument's name, as the caller wrote it.
        value: What was given.
        rule: The rule in words, to be read after "must".

    Raises:
        ValueError: If ``condition`` is false.

    Example:
        >>> require(0.5 < 1, "dropout", 0.5, "be at least 0 and below 1")
    """
    if not condition:
        raise ValueError(f"{argument}={value!r}: must {rule}")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base of every configuration; subclasses check themselves in ``validate``."""

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        """Check every field; a subclass calls ``require`` for each rule."""

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """The fields as a plain dictionary, ready for JSON (tuples become lists)."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Build the configuration from ``to_dict``'s output.

        Raises:
            ValueError: If a key is no field of this configuration.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        for key in fields:
            require(key in known, key, fields[key], f"be one of {sorted(known)}")
        return cls(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        )


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Config):
    """How a model is trained: the same names in every chapter, lab and recipe.

    Attributes:
        batch_size: Examples (or windows) per step.
        max_steps: Optimiser steps.
        lr: Peak learning rate.
        min_lr: Learning rate that a schedule ends at.
        warmup_steps: Steps over which the learning rate rises to ``lr``.
        weight_decay: AdamW's decoupled decay per step, times the learning rate.
        betas: Adam's two decay rates.
        grad_clip: Largest gradient norm; 0 leaves gradients alone.
        grad_accum_steps: Micro-batches added up before one step.
        seed: Of the weights and of the order of the batches.
    """

    batch_size: int = 32
    max_steps: int = 1000
    lr: float = 1e-3
    min_lr: float = 0.0
    warmup_steps: int = 0
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    grad_clip: float = 0.0
    grad_accum_steps: int = 1
    seed: int = 0

    def validate(self) -> None:
        """Check every field."""
        for name in ("batch_size", "max_steps", "grad_accum_steps"):
            value = getattr(self, name)
            require(type(value) is int and value >= 1, name, value, "be an int >= 1")
        for name in ("warmup_steps", "seed"):
            value = getattr(self, name)
            require(type(value) is int and value >= 0, name, value, "be an int >= 0")
        require(self.lr > 0, "lr", self.lr, "be > 0")
        for name in ("min_lr", "weight_decay", "grad_clip"):
            value = getattr(self, name)
            require(value >= 0, name, value, "be >= 0")
        require(self.min_lr <= self.lr, "min_lr", self.min_lr, f"be <= lr={self.lr}")
        require(
            self.warmup_steps <= self.max_steps,
            "warmup_steps",
            self.warmup_steps,
            f"be <= max_steps={self.max_steps}",
        )
        require(
            len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas),
            "betas",
            self.betas,
            "be two numbers, each at least 0 and below 1",
        )
