"""Which weights a fine-tuning trains, and how fast each layer learns.

    head   the new head alone; the encoder is a fixed map from texts to vectors
    last   the last n blocks and the head; what lies below is fixed
    all    everything

What is frozen costs no memory for gradients and optimiser, cannot be forgotten, and
cannot adapt either. Between "frozen" and "trained" lies a slope: layers near the words
hold what all tasks need and may learn slower than those near the head,

    lr of a group = lr * layer_decay ** depth       (head: depth 0)

References:
    Howard and Ruder, 2018, section 3.2 (rates that differ by layer). Peters, Ruder and
    Smith, 2019 (to freeze or not to freeze). Devlin et al., 2019, section 5.3.
"""

import re
from typing import Any

from torch import nn

from lmcore.config import require

STRATEGIES = ("head", "last", "all")
EMBEDDINGS = re.compile(r"(^|\.)(tok_emb|pos_emb|seg_emb|emb_norm)\.")
BLOCK = re.compile(r"(^|\.)blocks\.(\d+)\.")
HEAD = re.compile(r"^(head|lm_head)\.")


def choose_parameters(model: nn.Module, strategy: str, n_last: int = 2) -> int:
    """Set ``requires_grad`` of every weight of a model that has an encoder and a head.

    The encoder's pooler is never trained: no head of this package reads it.

    Args:
        model: A ``SequenceClassifier``, ``TokenLabeller`` or ``SpanExtractor``.
        strategy: "head", "last" or "all".
        n_last: Blocks that "last" trains.

    Returns:
        How many numbers are trained.

    Raises:
        ValueError: If there is no such strategy, or there are not ``n_last`` blocks.
    """
    known = strategy in STRATEGIES
    require(known, "strategy", strategy, f"be one of {[*STRATEGIES]}")
    stack = model.encoder.encoder
    trained = {"head": [model.head], "all": [model.encoder, model.head]}
    if strategy == "last":
        n = len(stack.blocks)
        usable = type(n_last) is int and 1 <= n_last <= n
        require(usable, "n_last", n_last, f"be an int from 1 to {n}, the blocks")
        trained["last"] = [*stack.blocks[n - n_last :], stack.final_norm, model.head]
    model.requires_grad_(False)
    for part in trained[strategy]:
        part.requires_grad_(True)
    if model.encoder.pooler is not None:
        model.encoder.pooler.requires_grad_(False)
    return count_trained(model)


def count_trained(model: nn.Module) -> int:
    """How many numbers of a model are trained."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def depth_of(name: str, n_blocks: int) -> int:
    """How far a weight lies below the head.

    The head has depth 0, the last block 1, the first block ``n_blocks``, and the
    embeddings one more. What is left, a norm behind the last block, counts with that.
    """
    if HEAD.search(name):
        return 0
    if match := BLOCK.search(name):
        return n_blocks - int(match[2])
    return n_blocks + 1 if EMBEDDINGS.search(name) else 1


def parameter_groups(
    model: nn.Module, lr: float, layer_decay: float = 1.0, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """The trained weights by depth, each group with its learning rate.

    Args:
        model: Only its weights with ``requires_grad`` are taken.
        lr: The head's learning rate.
        layer_decay: Factor from one depth to the next; 1 for the same rate everywhere.
        weight_decay: Of matrices; biases and norms do not decay.

    Returns:
        Groups for ``torch.optim.AdamW``, from the head down; each also has its "depth".

    Raises:
        ValueError: If a rate is out of range or nothing is trained.
    """
    require(lr > 0, "lr", lr, "be > 0")
    rule = "be above 0 and at most 1"
    require(0 < layer_decay <= 1, "layer_decay", layer_decay, rule)
    require(weight_decay >= 0, "weight_decay", weight_decay, "be >= 0")
    names = [name for name, _ in model.named_parameters()]
    n_blocks = 1 + max((int(m[2]) for m in map(BLOCK.search, names) if m), default=-1)
    members: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = (depth_of(name, n_blocks), parameter.ndim >= 2)
            members.setdefault(key, []).append(parameter)
    require(len(members) > 0, "model", type(model).__name__, "have a weight to train")
    return [
        {
            "params": parameters,
            "lr": lr * layer_decay**depth,
            "weight_decay": weight_decay if is_matrix else 0.0,
            "depth": depth,
        }
        for (depth, is_matrix), parameters in sorted(
            members.items(), key=lambda item: item[0]
        )
    ]
