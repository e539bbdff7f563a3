"""Training: a loop that can be read in one sitting, and what surrounds it.

    history = train(model, get_batch, loss_fn, TrainConfig(max_steps=1000),
                    evaluate=evaluate, eval_every=100, out_dir="runs/first")

``loop`` is the loop itself, ``gradients`` what one step computes, ``run_state`` what a
step changes, ``checkpoints`` how that is kept on a disk, ``history`` what a run leaves
behind as numbers, ``distributed`` several processes, ``interrupt`` Ctrl-C, ``progress``
the bar.
"""

from lmcore.train.checkpoints import (
    Checkpoint,
    best_checkpoint,
    latest_checkpoint,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)
from lmcore.train.history import History
from lmcore.train.loop import train

__all__ = [
    "Checkpoint",
    "History",
    "best_checkpoint",
    "latest_checkpoint",
    "load_checkpoint",
    "load_weights",
    "save_checkpoint",
    "save_weights",
    "train",
]
