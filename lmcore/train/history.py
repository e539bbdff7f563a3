"""What a training run leaves behind as numbers: one row a step, one an evaluation.

Rows are plain dictionaries, so that a plot, a table or a JSON file needs nothing else:

    steps        {"step": 7, "loss": 2.31, "lr": 0.001, "grad_norm": 0.84,
                  "tokens": 28672, "seconds": 3.1}
    evaluations  {"step": 100, "tokens": 409600, "seconds": 44.0, "loss": 1.95, ...}

``loss`` is the step's mean over everything counted; ``grad_norm`` is taken before
clipping; ``tokens`` (elements of the batches' first tensor) and ``seconds`` (spent in
steps, not in evaluating or saving) add up from the run's beginning, over resumptions.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self


@dataclass
class History:
    """The rows of a run so far.

    Attributes:
        steps: One row per optimiser step, in order, from step 1 on.
        evaluations: One row per evaluation, with what ``evaluate`` gave.
    """

    steps: list[dict[str, float]] = field(default_factory=list)
    evaluations: list[dict[str, float]] = field(default_factory=list)

    @property
    def last_step(self) -> int:
        """Steps made so far."""
        return int(self.steps[-1]["step"]) if self.steps else 0

    @property
    def best(self) -> dict[str, float] | None:
        """The first evaluation with the lowest loss; None before any."""
        return min(self.evaluations, key=lambda row: row["loss"], default=None)

    @property
    def evaluations_since_best(self) -> int:
        """How many evaluations in a row have brought nothing better."""
        if self.best is None:
            return 0
        return sum(row["step"] > self.best["step"] for row in self.evaluations)

    def total(self, name: str) -> float:
        """``tokens`` or ``seconds`` so far."""
        return self.steps[-1][name] if self.steps else 0

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and dictionaries, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, rows: dict[str, Any]) -> Self:
        """The history that ``to_dict`` described."""
        return cls(**rows)

    def save(self, path: str | Path) -> None:
        """Write the rows as JSON."""
        Path(path).write_text(json.dumps(self.to_dict()), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what ``save`` wrote, or the ``history.json`` of a checkpoint."""
        return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
