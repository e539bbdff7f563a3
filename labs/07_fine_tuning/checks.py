"""Checks of lab 7: LoRA, early stopping, measures and errors.

The references are torch, lmcore's own LoRA and lmcore's metrics. A student may read this
file: it holds inputs, common mistakes and hints, and no solution. The grader runs its own
copy, with inputs drawn from a secret. Functions whose name begins with ``probe_`` run
beside the student's code.
"""

import json
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import lmcore
from lmcore.course.labs import Student, Written, task
from lmcore.course.labs.compare import is_array, kind_of, same, show
from lmcore.course.labs.serving import describe_error
from lmcore.data import Labelled, movie_sentences
from lmcore.data.labelled import LabelledSplits
from lmcore.finetune import SequenceClassifier, add_lora
from lmcore.finetune.lora import lora_layers
from lmcore.metrics import (
    accuracy,
    bootstrap_interval,
    confusion_matrix,
    precision_recall_f1,
)
from lmcore.models.bert import Bert, BertConfig, mean_pool

LAB = "07_fine_tuning"

Array = np.ndarray
Names = dict[str, Any]  # what stands in the notebook


def _generator(student: Student) -> torch.Generator:
    """Torch's random numbers from the check's seed."""
    return torch.Generator().manual_seed(student.torch_seed)


def _numbers(student: Student) -> np.random.Generator:
    """NumPy's random numbers from the check's seed."""
    return np.random.default_rng(student.torch_seed)


# ------------------------------------------------------------------------ 1: pool


def probe_pool(
    names: Names, h: torch.Tensor, mask: torch.Tensor, kind: str
) -> torch.Tensor | None:
    """The gradient that comes back through ``pool``; None if none does."""
    h = h.clone().requires_grad_(True)
    pooled = names["pool"](h, mask, kind)
    if not pooled.requires_grad:
        return None
    pooled.square().sum().backward()
    return h.grad


@task(
    "pool",
    points=3,
    hints=(
        "Which positions may contribute? For the mean there are two numbers to get "
        "right: the sum over the real tokens, and how many of them there are.",
        "mask has the shape (B, T) and h (B, T, D): give mask a last axis of size 1, "
        "and the two multiply. The count differs from text to text.",
        "mask[:, :, None] is (B, T, 1); turned into floats it is 1 at real tokens and 0 "
        "at padding. Multiply, sum over axis 1, and divide by the sum of that mask over "
        'axis 1. For "first" one position of each text is enough: index axis 1.',
    ),
)
def check_pool(student: Student) -> None:
    """Means over real tokens, and first tokens."""
    draw = _generator(student)
    small = torch.tensor([[[2.0], [4.0], [9.0]], [[5.0], [3.0], [1.0]]])
    mask = torch.tensor([[True, True, False], [True, True, False]])
    cases = [(small, mask)]
    for lengths in ((3, 5, 1, 4), (4, 4), (2,)):
        n, longest = len(lengths), max(lengths) + (len(lengths) > 3)
        real = torch.arange(longest) < torch.tensor(lengths)[:, None]
        h = torch.randn(n, longest, 3, generator=draw)
        h[0, 0] = 0.0  # a real token may hold zeros
        cases.append((h, real))
    cases.append((cases[1][0].double() * 100, cases[1][1]))
    got = student.call("pool", small, mask)
    student.called = "pool(h, mask), without kind"
    if same(got, small[:, 0]):
        student.fail('this is the first token; kind is "mean" where it is not given')
    for h, mask in cases:
        for kind in ("mean", "first"):
            got = student.call("pool", h, mask, kind)
            counts = mask.sum(1).tolist()
            student.called = (
                f"pool(h, mask, {kind!r}) with h of shape {tuple(h.shape)} and "
                f"{counts} real tokens"
            )
            expected = mean_pool(h, mask) if kind == "mean" else h[:, 0]
            real = mask[..., None].to(h.dtype)
            n, length, width = h.shape
            sums = (h * real).sum(1)
            causes: dict[str, Any] = {
                "padding takes part in the mean: use mask": h.mean(1),
                "padding is set to 0, but still counted: divide by the number of real "
                "tokens, not by T": sums / length,
                "each text is divided by the number of real tokens of the longest; each "
                "has its own number": sums / real.sum(1).max(),
                "a real token may hold zeros: count True in mask, not what is not 0": (
                    sums / (h * real != 0).sum(1).clamp(min=1)
                ),
                "each text is divided by the number of real tokens of the whole batch; "
                "each has its own number": sums / real.sum(),
                "this is the sum; divide by the number of real tokens": sums,
                "this is the mean over the padding; mask is True at real tokens": (
                    lambda got, h=h, m=~mask: (
                        same(got[:1], mean_pool(h, m)[:1]) and bool(m[0].any())
                    )
                ),
                "this is one mean over all tokens of the batch; each text has its own": (
                    lambda got, h=h, m=mask, w=width: (
                        tuple(got.shape) == (w,)
                        or same(got, h[m].mean(0).expand(len(h), w))
                    )
                ),
                "the mean goes over the tokens (axis 1), not over the D numbers of each": (
                    lambda got, s=(n, length): tuple(got.shape) == s
                ),
                "each row has a number of its own to divide by: give the numbers a last "
                "axis of size 1 (keepdim=True), or (B, D) / (B,) pairs them wrongly": (
                    lambda got, n=n, w=width: tuple(got.shape) == (n, n) != (n, w)
                ),
                "this is the largest, not the mean": h.masked_fill(
                    ~mask[..., None], -torch.inf
                ).amax(1),
                "the first token takes part in the mean, as the others do": (
                    (sums - h[:, 0]) / (real.sum(1) - 1).clamp(min=1)
                ),
            }
            if kind == "first":
                causes = {
                    "this is the first text; the first token of each text is wanted: "
                    "index axis 1": h[0],
                    'this is the mean; kind is "first" here': mean_pool(h, mask),
                    "this is the last token": h[:, -1],
                    "one number of each token; the whole vector of the first token is "
                    "wanted": h[:, :, 0],
                    "the axis of tokens must be gone: (B, D)": h[:, :1],
                }
            student.expect(got, expected, causes=causes)
            student.demand(
                str(got.dtype) == str(h.dtype),
                f"the result is {got.dtype} and h is {h.dtype}: keep its kind of number",
            )
    for kind in ("mean", "first"):
        back = student.probe(probe_pool, *cases[0], kind)
        student.called = f"pool(h, mask, {kind!r})"
        student.demand(
            back is not None and bool(back.any()),
            "no gradient comes back through it, so nothing below the head would learn: "
            "stay in torch, without .detach(), .data, .numpy() or torch.no_grad()",
        )


# ------------------------------------------------------- 2: a layer, and its merge


def probe_layer(
    names: Names,
    weights: dict[str, torch.Tensor | None],
    rank: int,
    alpha: float,
    x: torch.Tensor,
) -> dict[str, Any]:
    """Make a layer, look at it, set its A and B, run it forward and back, merge it.

    Args:
        names: The notebook's.
        weights: ``weight`` and ``bias`` of the map, and ``a`` and ``b`` to put in.
        rank: Of the correction.
        alpha: Its scale.
        x: Input.
    """
    seen: dict[str, Any] = {}
    try:
        _measure_layer(seen, names, weights, rank, alpha, x)
    except NotImplementedError:
        raise
    except Exception as error:
        seen["error"] = describe_error(error, names)
    return seen


def _measure_layer(
    seen: dict[str, Any],
    names: Names,
    weights: dict[str, torch.Tensor | None],
    rank: int,
    alpha: float,
    x: torch.Tensor,
) -> None:
    """Put into ``seen`` whatever can be seen of the layer."""
    linear = _linear(weights["weight"], weights["bias"])
    layer = names["LoRALinear"](linear, rank, alpha)
    seen["is_module"] = isinstance(layer, nn.Module)
    for name in ("linear", "lora_a", "lora_b"):
        seen[name] = hasattr(layer, name)
    if not all(seen.values()):
        return
    parameters = dict(layer.named_parameters())
    seen["parameters"] = {n: tuple(p.shape) for n, p in parameters.items()}
    seen["trained"] = [n for n, p in parameters.items() if p.requires_grad]
    seen["a"] = layer.lora_a.detach().clone()
    another = names["LoRALinear"](
        _linear(weights["weight"], weights["bias"]), rank, alpha
    )
    seen["another_a"] = another.lora_a.detach().clone()
    seen["b"] = layer.lora_b.detach().clone()
    wanted = {"lora_a": weights["a"], "lora_b": weights["b"]}
    for name, value in wanted.items():
        if tuple(getattr(layer, name).shape) != tuple(value.shape):
            return
    start = layer(x)
    seen["start"] = start.detach().clone() if torch.is_tensor(start) else start
    if not torch.is_tensor(start):
        return
    for name, value in wanted.items():
        getattr(layer, name).data.copy_(value)
    x = x.clone().requires_grad_(True)
    answer = layer(x)
    seen["answer"] = answer.detach().clone()
    if answer.requires_grad:
        answer.square().sum().backward()
        seen["grads"] = {n: p.grad is not None for n, p in parameters.items()}
        seen["back"] = torch.zeros_like(x) if x.grad is None else x.grad
    seen["kept"] = torch.equal(linear.weight, weights["weight"])
    merged = names["merge"](layer)
    seen["merged_kind"] = kind_of(merged)
    if type(merged) is nn.Linear:
        seen["merged"] = {
            "weight": merged.weight.detach().clone(),
            "bias": None if merged.bias is None else merged.bias.detach().clone(),
        }
        places = {p.data_ptr() for p in layer.parameters()}
        new = merged.named_parameters()
        seen["merged"]["shared"] = [n for n, p in new if p.data_ptr() in places]
    seen["kept_by_merge"] = torch.equal(layer.linear.weight, weights["weight"])
    seen["after"] = layer(x).detach().clone()


def probe_spread(names: Names, d_in: int, rank: int) -> float:
    """Standard deviation of the numbers that A starts with."""
    layer = names["LoRALinear"](nn.Linear(d_in, 4), rank, 16)
    return float(layer.lora_a.detach().std())


def _linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    """A map with these numbers."""
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        linear.weight.copy_(weight)
        if bias is not None:
            linear.bias.copy_(bias)
    return linear


@task(
    "LoRALinear",
    points=5,
    hints=(
        "Three things to keep (the map, A, B) and one to compute. What is frozen is "
        "still a part of the module, but wants no gradient.",
        "linear.weight.shape is (D_out, D_in). nn.Parameter(tensor) makes a trained "
        "parameter; requires_grad_(False) freezes a whole module, its bias too. In "
        "forward x stands at the left: first A, then B, both transposed. merge needs B "
        "at the left of A, for weight has the shape (D_out, D_in).",
        "__init__: freeze the given map, torch.randn divided by the root of D_in for A "
        "of shape (rank, D_in), torch.zeros for B of shape (D_out, rank), and keep alpha "
        "divided by rank. "
        "forward: the map's answer plus the scaled product of x, A transposed and B "
        "transposed. merge: a new nn.Linear of the same sizes (with bias or without), "
        "whose weight is filled under torch.no_grad(), by copy_ or by way of .data.",
    ),
)
def check_lora_linear(student: Student) -> None:
    """The layer at its start, with A and B set, its gradients, and its merge."""
    draw = _generator(student)
    cases = [  # D_in, D_out, rank, alpha, bias, leading axes of x
        (4, 3, 2, 5, True, (5,)),
        (4, 4, 1, 16, True, (5,)),
        (3, 5, 2, 1, False, (2, 4)),
        (6, 4, 3, 4.5, True, ()),
    ]
    for d_in, d_out, rank, alpha, has_bias, leading in cases:
        weights = {
            "weight": torch.randn(d_out, d_in, generator=draw),
            "bias": torch.randn(d_out, generator=draw) if has_bias else None,
            "a": torch.randn(rank, d_in, generator=draw),
            "b": torch.randn(d_out, rank, generator=draw),
        }
        x = torch.randn(*leading, d_in, generator=draw)
        seen = student.probe(probe_layer, weights, rank, alpha, x)
        bias = ", bias=False" if not has_bias else ""
        call = (
            f"LoRALinear(nn.Linear({d_in}, {d_out}{bias}), rank={rank}, alpha={alpha})"
        )
        student.called = call
        if "error" in seen:
            _explain_error(student, seen["error"])
        _hold_start(student, seen, weights, x, alpha / rank, call)
        _hold_answer(student, seen, weights, x, alpha / rank, call)
        _hold_merge(student, seen, weights, x, alpha / rank, call)
    wide, rank = 384, 8
    student.called = f"LoRALinear(nn.Linear({wide}, 4), rank={rank}, alpha=16)"
    spread, wanted = student.probe(probe_spread, wide, rank), wide**-0.5
    student.demand(
        wanted / 10 < spread < 3 * wanted,
        f"the numbers of `lora_a` start with a standard deviation of {spread:.3f}, and "
        f"1 / sqrt(D_in) is {wanted:.3f}: with much larger ones the "
        "layer hardly learns, and with much smaller ones B gets next to no gradient",
    )


def _explain_error(student: Student, error: dict[str, str]) -> None:
    """Fail with the student's exception, and what it may come from."""
    where = f", in the line `{error['line']}`" if error["line"] else ""
    text = f"raised {error['error']}: {error['message']}{where}"
    if "object has no attribute" in text and "'Tanh'" in text:
        text += "\nLikely cause: only an nn.Linear is a target, whatever its name"
    elif "shapes cannot be multiplied" in text or "must match the size" in text:
        text += (
            "\nLikely cause: a transpose is missing, or two factors are exchanged: x is "
            "(..., D_in), A is (rank, D_in), B is (D_out, rank)"
        )
    elif "before Module.__init__()" in text:
        text += "\nLikely cause: `super().__init__()` must come first"
    student.fail(text)


def _hold_start(
    student: Student,
    seen: dict[str, Any],
    weights: dict[str, torch.Tensor],
    x: torch.Tensor,
    scale: float,
    call: str,
) -> None:
    """What the layer holds, and what it answers, before any training."""
    student.demand(seen["is_module"], "must be an nn.Module")
    for name in ("linear", "lora_a", "lora_b"):
        student.demand(seen[name], f"has no `self.{name}`")
    for name, wanted in (("lora_a", weights["a"]), ("lora_b", weights["b"])):
        student.demand(
            name in seen["parameters"],
            f"`{name}` is not among its parameters, so no optimiser would find it: "
            "wrap the tensor in nn.Parameter",
        )
        shape = seen["parameters"][name]
        student.demand(
            shape == tuple(wanted.shape),
            f"`{name}` has the shape {shape}, expected {tuple(wanted.shape)}: "
            "A is (rank, D_in) and B is (D_out, rank)",
        )
    for name in seen["parameters"]:
        mine, trained = name in ("lora_a", "lora_b"), name in seen["trained"]
        verb = "is frozen, and must be trained" if mine else "must be frozen"
        why = "" if mine else ": requires_grad_(False) on the map"
        student.demand(mine == trained, f"`{name}` {verb}{why}")
    student.demand(
        not seen["b"].any(),
        "`lora_b` must start at zero, or the layer does not start as the frozen map",
    )
    student.demand(
        bool(seen["a"].any()),
        "`lora_a` starts at zero, as B does: then neither gets a gradient, and nothing "
        "is ever learned. A must start random",
    )
    student.demand(
        len(torch.unique(seen["a"])) == seen["a"].numel(),
        "`lora_a` must start random, with other numbers at each place",
    )
    student.demand(
        not same(seen["another_a"], seen["a"]),
        "two layers made one after the other start with the same `lora_a`: draw it anew "
        "each time, and set no seed inside",
    )
    student.called = f"{call}, at its start: layer(x) with x of shape {tuple(x.shape)}"
    base = F.linear(x, weights["weight"], weights["bias"])
    student.expect(
        seen["start"],
        base,
        atol=1e-5,
        causes={
            "the frozen map's own answer is missing; the correction is added to it": (
                torch.zeros_like(base)
            ),
            "the bias is missing": F.linear(x, weights["weight"]),
            "alpha / rank scales the correction alone, not the frozen map": scale
            * base,
        },
    )


def _hold_answer(
    student: Student,
    seen: dict[str, Any],
    weights: dict[str, torch.Tensor],
    x: torch.Tensor,
    scale: float,
    call: str,
) -> None:
    """The answer with A and B other than zero, and who gets gradients."""
    rank = len(weights["a"])
    base = F.linear(x, weights["weight"], weights["bias"])
    low = F.linear(F.linear(x, weights["a"]), weights["b"])
    student.called = f"{call}, A and B set: layer(x) with x of shape {tuple(x.shape)}"
    student.expect(
        seen["answer"],
        base + scale * low,
        rtol=1e-4,
        atol=1e-4,
        causes={
            "A and B have no effect: does forward read self.lora_a and self.lora_b "
            "each time?": base,
            "alpha / rank is missing": base + low,
            "alpha is not divided by rank": base + scale * rank * low,
            "the scale is alpha / rank, not 1 / rank": base + low / rank,
            "the scale is alpha / rank, not rank / alpha": base + low / scale,
            "alpha // rank drops what is behind the point: divide with /": (
                base + math.floor(scale) * low
            ),
            "the correction is subtracted": base - scale * low,
            "the frozen map's own answer is missing": scale * low,
            "alpha / rank scales the correction alone, not the frozen map": (
                scale * (base + low)
            ),
            "the scale is applied twice": base + scale**2 * low,
        },
    )
    for name in ("lora_a", "lora_b"):
        student.demand(
            seen.get("grads", {}).get(name, False),
            f"no gradient reaches `{name}`: is .data, .detach() or torch.no_grad() in "
            "forward?",
        )
    student.called = f"{call}: the gradient that comes back to x"
    back = 2 * (base + scale * low)
    change = scale * weights["b"] @ weights["a"]
    student.expect(
        seen["back"],
        back @ (weights["weight"] + change),
        rtol=1e-3,
        atol=1e-3,
        causes={
            "none comes through the frozen map, so the layers below would not learn: "
            "freeze its parameters, and compute without torch.no_grad()": back @ change,
            "none comes through the correction: compute with x itself, not with "
            "x.detach()": back @ weights["weight"],
            "none comes back at all: the layers below would not learn": (
                torch.zeros_like(x)
            ),
        },
    )
    student.called = call
    student.demand(
        seen["kept"], "the frozen weight has changed: forward only computes with it"
    )


def _hold_merge(
    student: Student,
    seen: dict[str, Any],
    weights: dict[str, torch.Tensor],
    x: torch.Tensor,
    scale: float,
    call: str,
) -> None:
    """The merged map, and that the layer stayed as it was."""
    a, b, weight = weights["a"], weights["b"], weights["weight"]
    student.called = f"merge({call})"
    if seen["merged_kind"] == "None":
        student.fail("expected an nn.Linear, got None (is there a `return`?)")
    wanted = "a new, plain nn.Linear is wanted, in which the correction is inside"
    student.demand("merged" in seen, f"gave {seen['merged_kind']}; {wanted}")
    student.demand(
        seen["kept_by_merge"],
        "the layer's own weight has changed: work on a new nn.Linear, not in place (+=)",
    )
    merged, d_out = seen["merged"], len(weight)
    has_bias = weights["bias"] is not None
    wrong = "has no bias" if has_bias else "has a bias, and the layer's map has none"
    student.demand((merged["bias"] is not None) == has_bias, f"the result {wrong}")
    student.called = f"merge({call}), its weight"
    square = (b @ a).T if d_out == a.shape[1] else weight
    student.expect(
        merged["weight"],
        weight + scale * (b @ a),
        rtol=1e-4,
        atol=1e-4,
        causes={
            "alpha / rank is missing": weight + b @ a,
            "alpha is not divided by rank": weight + scale * len(a) * (b @ a),
            "the correction was not added": weight,
            "this is the correction alone; it is added to the weight": scale * (b @ a),
            "the correction is transposed: B stands at the left, A at the right": (
                weight + scale * square
            ),
            "these are new random numbers: nn.Linear starts so; put the weight in": (
                lambda got: float(got.abs().max()) <= a.shape[1] ** -0.5 + 1e-6
            ),
        },
    )
    student.called = f"merge({call}), its bias"
    if has_bias:
        causes = {"the map's bias must be copied too": lambda got: True}
        student.expect(merged["bias"], weights["bias"], causes=causes)
    student.called = f"merge({call})"
    for name in merged["shared"]:
        student.fail(
            f"its {name} is the layer's own tensor, so a change of one would change the "
            "other: copy the numbers"
        )
    student.called = f"merge({call}): the layer's answer after it"
    causes = {"merge changed the layer, which must stay as it was": lambda got: True}
    student.expect(seen["after"], seen["answer"], rtol=1e-4, atol=1e-4, causes=causes)


# -------------------------------------------------------------- 3: into a model


class Toy(nn.Module):
    """A small model with a target at its top, some in a list, and near misses.

    A near miss has almost the name of a target, or of the head, or is no linear map.
    """

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(4, 4)
        self.old_q_proj = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.parts = nn.ModuleList(
            nn.ModuleDict({"q_proj": nn.Linear(4, 4, bias=False), "v_proj": v_proj})
            for v_proj in (nn.Linear(4, 4), nn.Tanh())
        )
        self.head_norm = nn.LayerNorm(4)
        self.head = nn.Sequential(nn.Linear(4, 3), nn.Tanh())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 4) to (N, 3)."""
        h = self.norm(self.old_q_proj(self.q_proj(x)))
        for part in self.parts:
            h = part["v_proj"](part["q_proj"](h))
        return self.head(self.head_norm(h))


def _model(kind: str, seed: int) -> nn.Module:
    """A small model of random weights: ``"toy"``, or a classifier on an encoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "toy":
            return Toy()
        shape = {"vocab_size": 40, "max_seq_len": 12, "d_model": 8, "d_ff": 16}
        config = BertConfig(**shape, n_layers=2, n_heads=2)
        return SequenceClassifier(Bert(config), n_labels=3).eval()


def _answer(kind: str, model: nn.Module) -> torch.Tensor:
    """What a model says to a fixed input."""
    if kind == "toy":
        return model(torch.linspace(-1, 1, 20).view(5, 4)).detach()
    ids = torch.arange(12).view(2, 6)
    return model(ids, torch.ones(2, 6, dtype=torch.bool)).detach()


def probe_inject(
    names: Names,
    kind: str,
    seed: int,
    targets: tuple[str, ...],
    rank: int,
    alpha: float,
) -> dict[str, Any]:
    """Put the student's LoRA into a model, and list what became of it."""
    model = _model(kind, seed)
    published = {n: p.detach().clone() for n, p in model.named_parameters()}
    before = _answer(kind, model)
    try:
        returned = names["inject_lora"](model, targets, rank, alpha)
    except NotImplementedError:
        raise
    except Exception as error:
        return {"error": describe_error(error, names)}
    layer_class = names["LoRALinear"]
    layers = {n: m for n, m in model.named_modules() if isinstance(m, layer_class)}
    parameters = dict(model.named_parameters())
    plain = {n.replace(".linear.", "."): p for n, p in parameters.items()}
    return {
        "returned": returned if isinstance(returned, int) else kind_of(returned),
        "layers": sorted(layers),
        "ranks": sorted({len(m.lora_a) for m in layers.values()}),
        "trained": sorted(n for n, p in parameters.items() if p.requires_grad),
        "n_trained": sum(p.numel() for p in parameters.values() if p.requires_grad),
        "kept": all(
            n in plain and torch.equal(plain[n], p) for n, p in published.items()
        ),
        "before": before,
        "after": _answer(kind, model),
        "corrected": _corrected(kind, model, layers),
    }


def _corrected(kind: str, model: nn.Module, layers: dict[str, Any]) -> torch.Tensor:
    """The model's answer with every A and B set to numbers other than zero."""
    for layer in layers.values():
        for part in (layer.lora_a, layer.lora_b):
            part.data.copy_(torch.linspace(-1, 2, part.numel()).view_as(part).sin())
    return _answer(kind, model)


@lru_cache  # the same for all answers that are tried
def true_inject(
    kind: str, seed: int, targets: tuple[str, ...], rank: int, alpha: float
) -> dict[str, Any]:
    """The same by lmcore's own LoRA."""
    model = _model(kind, seed)
    n_trained = add_lora(model, rank, alpha, targets)
    layers = lora_layers(model)
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    return {
        "returned": n_trained,
        "layers": sorted(layers),
        "trained": sorted(trained),
        "all": sum(p.numel() for p in model.parameters()),
        "corrected": _corrected(kind, model, layers),
    }


@task(
    "inject_lora",
    points=4,
    needs=("LoRALinear",),
    hints=(
        "Two jobs, and their order matters: freeze what is there, and put new layers in. "
        "A layer's parameters that were made after the freezing are not touched by it.",
        "Make a list of named_modules() before you change anything. For each linear map "
        "whose own name is a target: find its parent, and set the parent's attribute of "
        "that name to a LoRALinear.",
        "model.requires_grad_(False) first, then model.head.requires_grad_(True), then "
        "the loop. 'a.b.c'.rpartition('.') gives 'a.b', '.' and 'c'; 'c'.rpartition('.') "
        "gives '', '' and 'c', and get_submodule('') is the model. In the end add up "
        "numel() of the parameters whose requires_grad is true.",
    ),
)
def check_inject_lora(student: Student) -> None:
    """Which maps are replaced, what is trained, and how much that is."""
    cases: list[tuple[str, tuple[str, ...], int, float]] = [
        ("encoder", ("q_proj", "v_proj"), 2, 4),
        ("encoder", ("out_proj",), 1, 3),
        ("toy", ("q_proj",), 2, 1),
        ("toy", ("q_proj", "v_proj"), 1, 2),
        ("encoder", ("q_proj", "k_proj", "v_proj", "out_proj", "in_proj"), 3, 16),
    ]
    about = {
        "encoder": "a classifier on an encoder of 2 blocks",
        "toy": "a model with `q_proj` at its top, `old_q_proj`, `parts.0.q_proj`, and "
        "`parts.1.v_proj`, which is an nn.Tanh",
    }
    for kind, targets, rank, alpha in cases:
        args = kind, student.torch_seed, targets, rank, alpha
        got, true = student.probe(probe_inject, *args), true_inject(*args)
        call = f"inject_lora(model, {targets}, {rank}, {alpha}) on {about[kind]}"
        student.called = call
        if "error" in got:
            _explain_error(student, got["error"])
        _hold_layers(student, got["layers"], true["layers"])
        student.demand(
            got["ranks"] == [rank],
            f"LoRALinear was made with rank {got['ranks'][0]}, and rank is {rank}: its "
            "arguments are (linear, rank, alpha)",
        )
        student.demand(
            got["kept"],
            "published weights have changed or gone; they must stay, inside of "
            "LoRALinear(the old map, …)",
        )
        _hold_trained(student, got["trained"], true["trained"])
        student.called = f"{call}, the model's answer right after it"
        student.expect(got["after"], got["before"], rtol=1e-4, atol=1e-5)
        student.called = f"{call}, the model's answer with A and B set"
        student.expect(
            got["corrected"],
            true["corrected"],
            rtol=1e-3,
            atol=1e-4,
            causes={
                "the new layers are not used: on the model itself, setattr with a dotted "
                "name makes something new; set the own name on the parent": got[
                    "before"
                ],
                "rank and alpha are handed on wrongly: LoRALinear(linear, rank, alpha)": (
                    lambda got: True
                ),
            },
        )
        student.called = call
        n, returned = got["n_trained"], got["returned"]
        if isinstance(returned, str):
            hint = " (is there a `return`?)" if returned == "None" else ""
            student.fail(f"returned {returned}, expected an int{hint}")
        causes = {
            "this counts all parameters, the frozen ones too": true["all"],
            "this counts tensors; numel() gives the numbers in each": len(
                true["trained"]
            ),
            "the head counts as well: it is trained": n
            - sum(p.numel() for p in _model(kind, 0).head.parameters()),
        }
        student.expect(returned, true["returned"], causes=causes)


def _hold_layers(student: Student, got: list[str], wanted: list[str]) -> None:
    """Which maps became LoRALinears."""
    nested = [n for n in got if ".linear" in n]
    student.demand(
        not nested,
        f"`{nested[:1]}` stands inside another LoRALinear: each target gets one. Collect "
        "the targets in a list before you replace any",
    )
    missing = sorted({*wanted} - {*got})
    extra = sorted({*got} - {*wanted})
    if missing and not got:
        student.fail(
            "no map was replaced\nLikely cause: a local variable has a new value, but "
            "not the parent's attribute (setattr), or the whole name is compared "
            "instead of what stands behind its last dot; or a copy of the model is changed"
        )
    if missing:
        top = "." not in missing[0]
        why = (
            "it lies at the top of the model, without a dot in its name" if top else ""
        )
        why = why or f"{len(got)} of {len(wanted)} maps were replaced"
        student.fail(f"`{missing[0]}` was not replaced: {why}")
    if extra:
        student.fail(
            f"`{extra[0]}` was replaced, and is no target: own names are compared as a "
            "whole"
        )


def _hold_trained(student: Student, got: list[str], wanted: list[str]) -> None:
    """Which parameters are trained."""
    missing = sorted({*wanted} - {*got})
    extra = sorted({*got} - {*wanted})
    if missing:
        is_head = missing[0].startswith("head")
        why = "the head is new and must learn" if is_head else "A and B must learn"
        order = "" if is_head else ". Was it frozen after it was put in?"
        student.fail(f"`{missing[0]}` is frozen: {why}{order}")
    if extra:
        student.fail(
            f"`{extra[0]}` is trained ({len(extra)} too many are): everything but A, B "
            "and `model.head` must be frozen, also what is no target (norms, embeddings)"
        )


# ------------------------------------------------------------- 4: early stopping


def probe_fit(
    names: Names, script: list[float], max_epochs: int, patience: int
) -> dict[str, Any]:
    """Run the student's loop on a model whose weight is the number of epochs trained.

    Args:
        names: The notebook's.
        script: Validation loss before training, and after each epoch.
        max_epochs: As given to ``fit``.
        patience: Likewise.
    """
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    frozen = model[0].weight.detach().clone()
    for p in model[1].parameters():
        p.data.zero_()
    log: list[str] = []

    def train_epoch() -> None:
        log.append("train")
        if log.count("train") >= len(script):
            raise RuntimeError("train_epoch was called without end")
        with torch.no_grad():
            for p in model[1].parameters():
                p.add_(1.0)

    def evaluate() -> float:
        log.append("evaluate")
        return script[log.count("train")]

    losses = names["fit"](model, train_epoch, evaluate, max_epochs, patience)
    return {
        "losses": losses,
        "log": log,
        "weight": model[1].weight.detach().clone(),
        "bias": model[1].bias.detach().clone(),
        "frozen": torch.equal(model[0].weight, frozen),
        "thawed": model[0].weight.requires_grad,
    }


def true_fit(script: list[float], max_epochs: int, patience: int) -> tuple[int, int]:
    """How many epochs are trained, and which one's weights are kept (from 1)."""
    for n in range(1, max_epochs + 1):
        best = min(range(1, n + 1), key=lambda k: (script[k], k))
        if n - best == patience:
            return n, best
    return n, best


@task(
    "fit",
    points=4,
    hints=(
        "Keep three things while you go: all losses, which epoch was best, and a copy of "
        "the weights it had.",
        "The tensors of state_dict() are the model's own: they change as training goes "
        "on, so clone each (or copy.deepcopy the dict). How many epochs have passed "
        "since the best one? When that reaches patience, stop.",
        "for epoch in range(max_epochs): train, evaluate, append. If this loss is below "
        "the lowest so far (or it is the first): note the epoch and keep clones. If the "
        "distance to the best epoch is patience: break. After the loop "
        "load_state_dict(the clones), and return the list.",
    ),
)
def check_fit(student: Student) -> None:
    """When it stops, what it returns, which weights it leaves."""
    rng = student.rng
    cases = [
        ([0.9, 0.7, 0.8, 0.6, 0.7, 0.8, 0.9, 0.95, 0.9], 8, 2),
        ([0.5, 0.5, 0.5, 0.5, 0.5], 4, 2),
        ([0.9, 0.8, 0.7, 0.6], 3, 2),
        ([0.8, 0.6, 0.7, 0.5], 3, 2),
        ([0.6004, 0.6002, 0.6001, 0.6], 3, 1),
        ([0.4, 0.6, 0.5, 0.3, 0.2], 4, 1),
        ([0.8, 0.9, 0.7, 0.8, 0.6, 0.9, 0.5, 0.9], 7, 2),
        ([0.7, 0.9, 0.85, 0.8, 0.75, 0.6, 0.5], 6, 3),
        ([3.0, 2.0, 2.5], 1, 1),
        ([round(rng.uniform(0.3, 1.0), 3) for _ in range(10)], 9, 3),
    ]
    for losses, max_epochs, patience in cases:
        spare = losses + [0.9] * 6
        script = [1.0, *spare]
        got = student.probe(probe_fit, script, max_epochs, patience)
        n, best = true_fit(script, max_epochs, patience)
        shown = ", ".join(map(str, losses[:max_epochs]))
        call = f"fit(…, max_epochs={max_epochs}, patience={patience}), losses {shown}"
        student.called = call
        trained = got["log"].count("train")
        if trained != n:
            _explain_stop(student, script, got["log"], n, best, (max_epochs, patience))
        student.demand(
            got["log"] == ["train", "evaluate"] * n,
            f"evaluate() was called {got['log'].count('evaluate')} times in {n} epochs: "
            "call it once after each, and keep what it gives",
        )
        student.called = f"{call}: what it returns"
        student.expect(
            got["losses"],
            script[1 : n + 1],
            causes={
                "only one loss came back; a list with each epoch's is wanted": (
                    lambda got: isinstance(got, float)
                ),
                "the loss before training is in the list: evaluate after each epoch": (
                    lambda got: got[0] == 1.0
                ),
                "the losses behind the best epoch are missing": script[1 : best + 1],
            },
        )
        weights = sorted({*got["weight"].flatten().tolist(), *got["bias"].tolist()})
        student.called = f"{call}: the weights in the end"
        student.demand(got["frozen"], "the frozen weights have changed")
        student.demand(not got["thawed"], "the frozen weights are no longer frozen")
        student.demand(len(weights) == 1, "weights of different epochs are mixed")
        if weights[0] == best:
            continue
        found = int(weights[0])
        what = "those before training" if found == 0 else f"those of epoch {found}"
        text = f"they are {what}, and epoch {best} was best"
        if found == 0:
            text += (
                "\nLikely cause: the first loss is the lowest so far, however high it is: "
                'start from float("inf")'
            )
        elif found == n:
            text += (
                "\nLikely cause: they were not put back; or what was kept was no copy: "
                "the tensors of state_dict() change with the model (clone them, or "
                "copy.deepcopy)"
            )
        elif script[found] == script[best] and found:
            text += "\nLikely cause: of equal losses the earliest counts: below, not <="
        student.fail(text)


def _explain_stop(
    student: Student,
    script: list[float],
    log: list[str],
    n: int,
    best: int,
    limits: tuple[int, int],
) -> None:
    """Say why training stopped at the wrong epoch."""
    trained, (max_epochs, patience) = log.count("train"), limits
    text = f"trained {trained} epochs, expected {n} (the best is epoch {best})"
    fell = [script[k] < min(script[1:k]) for k in range(2, n + 1)]
    idle = fell[: max(trained - 1, 0)].count(False)
    if trained == 0:
        cause = "train_epoch was never called"
    elif log[0] == "evaluate":
        cause = "it measures before it trains: train_epoch comes first in each epoch"
    elif trained > max_epochs:
        cause = "it goes on beyond max_epochs"
    elif trained == n + 1:
        cause = (
            "one too many: stop as soon as patience epochs have brought nothing (>=, not "
            ">). And an equal loss is no improvement"
        )
    elif trained > n:
        cause = (
            "does it stop at all? Compare with the lowest loss so far, not with the loss "
            "of the epoch before. And an equal loss is no improvement"
        )
    elif idle == patience:
        cause = (
            "the count must go back to 0 when the loss falls below the lowest: patience "
            "epochs in a row"
        )
    else:
        cause = (
            "it stops too early: it may go on until patience epochs in a row have "
            "brought no loss below the lowest; a little below is enough"
        )
    student.fail(f"{text}\nLikely cause: {cause}")


# --------------------------------------------------------------------- 5: measures

KEYS = ("matrix", "accuracy", "precision", "recall", "f1", "macro_f1")


def true_scores(targets: Array, predictions: Array, n_classes: int) -> dict[str, Any]:
    """The six by lmcore."""
    each = precision_recall_f1(targets, predictions, n_classes, average=None)
    return {
        "matrix": confusion_matrix(targets, predictions, n_classes).astype(float),
        "accuracy": accuracy(targets, predictions),
        "precision": each.precision,
        "recall": each.recall,
        "f1": each.f1,
        "macro_f1": float(each.f1.mean()),
    }


@task(
    "scores",
    points=4,
    hints=(
        "Count the matrix first. The other five need nothing but it: its diagonal, the "
        "sums of its rows and the sums of its columns.",
        "Rows are the truth. A column's sum is how often the class was said (for the "
        "precision), a row's sum how often it is true (for the recall). Where a sum is "
        "0 the right answers above it are 0 too, so any other number below will do.",
        "np.zeros((C, C)), then in a loop over the pairs add 1 at [target, prediction]. "
        "np.diag gives the diagonal, sum(axis=0) the columns' sums. np.maximum(sum, 1) "
        "is never 0. F1 is also 2 · right / (said + true).",
    ),
)
def check_scores(student: Student) -> None:
    """Against lmcore's metrics, with classes that never occur."""
    rng = _numbers(student)
    cases = [
        ([0, 0, 0, 1], [0, 0, 1, 1], 2),
        ([0, 0, 1], [0, 1, 1], 3),
        ([0, 1, 1, 1], [1, 1, 1, 1], 2),
        ([2, 2, 2], [0, 0, 1], 4),
        ([1], [1], 3),
        (rng.integers(0, 3, 40), np.minimum(rng.integers(0, 4, 40), 2), 3),
        (rng.integers(1, 5, 60), rng.integers(0, 4, 60), 6),
    ]
    for targets, predictions, n_classes in cases:
        targets, predictions = np.array(targets), np.array(predictions)
        got = student.call("scores", targets, predictions, n_classes)
        call = student.called
        student.demand(
            isinstance(got, dict),
            f"expected a dict, got {kind_of(got)}"
            + (" (is there a `return`?)" if got is None else ""),
        )
        for key in KEYS:
            student.demand(key in got, f"the key {key!r} is missing")
        true = true_scores(targets, predictions, n_classes)
        causes = _score_causes(true, targets, predictions, n_classes)
        for key in KEYS:
            student.called = f"{call}[{key!r}]"
            student.expect(_as_floats(got[key]), true[key], causes=causes[key])


def _as_floats(value: Any) -> Any:
    """Lists, arrays and tensors of numbers as an array of floats; the rest as it is."""
    if isinstance(value, list) or (is_array(value) and np.ndim(value)):
        try:
            return np.asarray(value, dtype=float)
        except (TypeError, ValueError):
            return value
    return float(value) if is_array(value) else value


def _score_causes(
    true: dict[str, Any], targets: Array, predictions: Array, n_classes: int
) -> dict[str, dict[str, Any]]:
    """What mistakes make of each figure."""
    seen = sorted({*targets.tolist()})
    either = sorted({*targets.tolist(), *predictions.tolist()})
    n, right = len(targets), np.diag(true["matrix"])
    p, r = true["precision"].mean(), true["recall"].mean()
    true_count = true["matrix"].sum(1)
    nan = {
        "NaN: 0/0 counts as 0 here": lambda got: bool(np.isnan(got).any()),
        "this is a share of all items; divide by the class's own count": right / n,
    }

    def also(key: str) -> dict[str, Any]:
        """Causes that precision, recall and F1 share."""
        wanted = true[key]
        return nan | {
            "0/0 counts as 0, also for a class that never occurs or was never said": (
                lambda got: same(got[wanted > 0], wanted[wanted > 0])
            ),
            "it is close: something is rounded, or a small number is added below": (
                lambda got: np.allclose(got, wanted, atol=0.01)
            ),
        }

    swapped = (
        "precision and recall are swapped: rows are the truth, columns what was said"
    )
    return {
        "matrix": {
            "rows and columns are swapped: rows are the truth": true["matrix"].T,
            "these are shares; counts are wanted": true["matrix"] / n,
            "n_classes says how many rows there are, whether or not each class occurs": (
                lambda got: got.shape != (n_classes, n_classes)
            ),
            "each pair counts as often as it occurs, not once": np.minimum(
                true["matrix"], 1
            ),
        },
        "accuracy": {
            "in percent; a share is wanted": true["accuracy"] * 100,
            "this is the number of right ones; divide by N": float(right.sum()),
            "this is the share of wrong ones": 1 - true["accuracy"],
            "this is the mean of the recalls; the accuracy counts all items alike": r,
        },
        "precision": {swapped: true["recall"], **also("precision")},
        "recall": {swapped: true["precision"], **also("recall")},
        "f1": {
            "the harmonic mean is wanted, not the plain one": (
                (true["precision"] + true["recall"]) / 2
            ),
            "the factor 2 is missing": true["f1"] / 2,
            **also("f1"),
        },
        "macro_f1": {
            "the mean goes over all n_classes classes, not only over those that occur": (
                lambda got: any(
                    len(rows) < n_classes and same(got, float(true["f1"][rows].mean()))
                    for rows in (seen, either, np.flatnonzero(true["f1"]))
                )
            ),
            "this is F1 of the mean precision and the mean recall; macro F1 is the mean "
            "of the classes' F1": 2 * p * r / (p + r) if p + r else 0.0,
            "each class counts the same, however frequent it is": float(
                (true["f1"] * true_count).sum() / n
            ),
            "this is the accuracy": true["accuracy"],
            "NaN: 0/0 counts as 0 here": lambda got: math.isnan(got),
        },
    }


# --------------------------------------------------------------------- 6: interval


@task(
    "interval",
    points=2,
    hints=(
        "For one set of drawn sentences: how many did A get right, how many B? Do that "
        "for each row of draws.",
        "right_a[draws] has the shape (R, N): indexing with an array of row numbers "
        "draws. A mean over axis 1 gives R accuracies.",
        "Turn both into floats, draw from both with the same draws, take means over "
        "axis 1, subtract, and give the R differences to np.quantile with the list "
        "[0.025, 0.975].",
    ),
)
def check_interval(student: Student) -> None:
    """Against lmcore's bootstrap with the same draws."""
    rng = _numbers(student)
    for n, n_draws, p, q in (
        (8, 5, 0.9, 0.4),
        (60, 400, 0.8, 0.7),
        (90, 300, 0.5, 0.6),
    ):
        a = rng.random(n) < p
        b = np.where(rng.random(n) < 0.5, a, rng.random(n) < q)
        seed = int(rng.integers(2**31))
        own = np.random.default_rng(seed)
        draws = np.stack([own.integers(n, size=n) for _ in range(n_draws)])

        def gain(a: Array, b: Array) -> float:
            return float(a.mean() - b.mean())

        low, high = bootstrap_interval(gain, a, b, n_resamples=n_draws, seed=seed)
        got = student.call("interval", a, b, draws)
        student.called = (
            f"interval(right_a, right_b, draws) with N = {n}, R = {n_draws}"
        )
        if is_array(got) and np.shape(got) == (2,):
            got = np.asarray(got).tolist()
        if isinstance(got, list | tuple):
            got = [_as_floats(value) for value in got]
        causes = _interval_causes(a, b, draws, high - low)
        student.expect(got, [low, high], causes=causes)


def _interval_causes(a: Array, b: Array, draws: Array, width: float) -> dict[str, Any]:
    """What mistakes make of the interval."""

    def middle(values: Array, tail: float = 0.025) -> Array:
        return np.quantile(values, [tail, 1 - tail])

    single = a.astype(float) - b
    each_a, each_b = a[draws].mean(1), b[draws].mean(1)
    gains = each_a - each_b
    of_a, of_b = middle(each_a), middle(each_b)
    low, high = middle(gains)
    unpaired = np.ptp(middle(each_a - np.roll(each_b, 1)))
    known = {
        "the sign is reversed: A minus B": np.array([-high, -low]),
        "these are the 0.05 and 0.95 quantiles: 95 % in the middle leaves 2.5 % on each "
        "side": middle(gains, 0.05),
        "this is the smallest and the largest difference; quantiles are wanted": (
            np.array([gains.min(), gains.max()])
        ),
        "the two models' own intervals are subtracted: subtract within each draw, then "
        "take quantiles": of_a - of_b,
        "the two models' own intervals are put together: subtract within each draw, then "
        "take quantiles": np.array([of_a[0] - of_b[1], of_a[1] - of_b[0]]),
        "this is an interval of A alone": of_a,
        "these are the quantiles of the N single gains: first a mean for each draw": (
            middle(single)
        ),
        "the mean goes along each row of draws (axis=1), not over the draws": (
            middle(single[draws].mean(0))
        ),
        "low comes first": np.array([high, low]),
        "a sentence that is drawn twice counts twice": middle(
            np.array([single[np.unique(rows)].mean() for rows in draws])
        ),
        "the sign is lost: B may be ahead": middle(np.abs(gains)),
    }
    by_n = "divide by N: all that were drawn, also those on which the two agree"
    differ = np.maximum(np.abs(single[draws]).sum(1), 1)
    known |= {
        f"these are counts; {by_n}": middle(gains * len(a)),
        by_n: middle(single[draws].sum(1) / differ),
    }
    return {text: value.tolist() for text, value in known.items()} | {
        "these are percentages; differences of shares are wanted": (
            lambda got: max(abs(got[0]), abs(got[1])) > 1
        ),
        "this is the mean and some standard deviations on each side; the quantiles are "
        "asked for": lambda got: abs(got[0] + got[1] - 2 * gains.mean()) < 1e-9,
        "both models must be measured on the same drawn sentences": (
            lambda got: got[1] - got[0] > 0.9 * unpaired > width
        ),
    }


# ------------------------------------------------------------------ 7: error rates

TEXTS = (
    "a film to remember",
    "not a bad film , but not a good one",
    "the plot is thin",
    "never dull",
    "it is slow and it is long and it is not for me",
    "A joy .",
    "NOT my film",
    "knots and nothing else",
)


def _has_not(text: str) -> bool:
    return "not" in text.split()


def _is_short(text: str) -> bool:
    return len(text.split()) < 4


def _is_any(text: str) -> bool:
    return True


def _asks(text: str) -> bool:
    return "?" in text


SHARES = ("rate", "others")
GROUPS = {"not": _has_not, "short": _is_short, "question": _asks, "any": _is_any}


def probe_error_rates(
    names: Names,
    texts: list[str],
    targets: list[int],
    predictions: list[int],
    chosen: list[str],
) -> Any:
    """The student's table; functions cannot be sent, so they are taken from here."""
    groups = {name: GROUPS[name] for name in chosen}
    return names["error_rates"](texts, targets, predictions, groups)


def true_error_rates(
    texts: Sequence[str],
    targets: Sequence[int],
    predictions: Sequence[int],
    groups: dict[str, Callable[[str], Any]],
) -> dict[str, dict[str, Any]]:
    """The table, counted with arrays."""
    error = np.array(targets) != np.array(predictions)
    found = {}
    for name, belongs in groups.items():
        member = np.array([bool(belongs(text)) for text in texts])
        found[name] = {
            "n": int(member.sum()),
            "errors": int((error & member).sum()),
            "rate": _share(error, member),
            "others": _share(error, ~member),
        }
    return found


def _share(error: Array, member: Array) -> float | None:
    return float(error[member].mean()) if member.any() else None


@task(
    "error_rates",
    points=3,
    hints=(
        "For each group the texts fall into two heaps, those inside and those outside; "
        "count texts and errors in each.",
        "An error is a target that differs from its prediction. Go through texts, "
        "targets and predictions together (zip). Look out for an empty heap: its share "
        "is None, not 0.",
        "For one group: inside = a list with one truth value an error or not for each "
        "text that belongs, outside = the same for the rest. Then len, sum, and sum "
        "divided by len where len is not 0.",
    ),
)
def check_error_rates(student: Student) -> None:
    """Counts and shares, inside and outside."""
    rng = student.rng
    more = [rng.choice(TEXTS) for _ in range(30)]
    cases = [
        (list(TEXTS[:4]), [1, 1, 0, 1], [1, 0, 0, 0], ["not"]),
        (
            list(TEXTS),
            [1, 0, 0, 1, 0, 1, 0, 0],
            [0, 1, 0, 0, 0, 1, 1, 0],
            ["not", "short"],
        ),
        (list(TEXTS[:5]), [1, 1, 0, 1, 0], [1, 0, 1, 0, 0], ["question", "any"]),
        (list(TEXTS[:4]), [1, 1, 0, 1], [1, 0, 0, 1], ["not", "short"]),
        (list(TEXTS[3:]), [0, 1, 1, 0, 0], [1, 1, 1, 1, 0], ["any", "not", "short"]),
        (
            more,
            [rng.randrange(3) for _ in more],
            [rng.randrange(3) for _ in more],
            ["short", "question", "not", "any"],
        ),
    ]
    for texts, targets, predictions, chosen in cases:
        got = student.probe(probe_error_rates, texts, targets, predictions, chosen)
        student.called = f"error_rates on {len(texts)} texts, groups {chosen}"
        groups = {name: GROUPS[name] for name in chosen}
        true = true_error_rates(texts, targets, predictions, groups)
        n_wrong = sum(t != p for t, p in zip(targets, predictions, strict=True))
        causes = _pair_causes(texts, targets, predictions, groups)
        causes |= _rate_causes(true, len(texts), n_wrong)
        student.expect(_plain(got), true, causes=causes)


def _rate_causes(true: dict[str, dict], n: int, n_wrong: int) -> dict[str, Any]:
    """How mistakes show in a row of the table."""

    def shows(fits: Callable[[dict, dict], bool]) -> Callable[[Any], bool]:
        return lambda got: _any_row(got, true, fits)

    def empty(g: dict, t: dict, fits: Callable[[Any], bool]) -> bool:
        return any(t[k] is None and fits(g[k]) for k in SHARES)

    return {
        "a text may belong to several groups: ask each group's function": (
            lambda got: (
                all(got[name]["n"] <= row["n"] for name, row in true.items())
                and any(got[name]["n"] < row["n"] for name, row in true.items())
            )
        ),
        "None is for a share of no texts at all; no errors among some texts is 0.0": (
            shows(
                lambda g, t: (
                    g["n"] == t["n"] and any(t[k] == 0 and g[k] is None for k in SHARES)
                )
            )
        ),
        "in percent; shares are wanted": shows(
            lambda g, t: _near(g["rate"], 100 * (t["rate"] or math.nan))
        ),
        "a share of no texts at all is None, not 0": shows(
            lambda g, t: empty(g, t, lambda share: share == 0)
        ),
        "a share of no texts at all is None, not NaN": shows(
            lambda g, t: empty(g, t, math.isnan)
        ),
        "these are the right ones; errors are wanted": lambda got: all(
            got[name]["errors"] == t["n"] - t["errors"] for name, t in true.items()
        ),
        "the rate is errors of the group by texts of the group, not by all texts": shows(
            lambda g, t: _near(g["rate"], t["errors"] / n, not_=t["rate"])
        ),
        "the rate is errors of the group by texts of the group, not by all errors": (
            shows(
                lambda g, t: _near(
                    g["rate"], t["errors"] / max(n_wrong, 1), not_=t["rate"]
                )
            )
        ),
        "`others` is the error rate of all texts; of those outside the group is wanted": (
            shows(lambda g, t: _near(g["others"], n_wrong / n, not_=t["others"]))
        ),
        "`others` is a share of all texts; divide by the number outside": shows(
            lambda g, t: _near(
                g["others"], (n_wrong - t["errors"]) / n, not_=t["others"]
            )
        ),
    }


def _plain(value: Any) -> Any:
    """NumPy's and torch's single numbers inside a dict of dicts as Python's."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.item() if is_array(value) and not value.shape else value


def _any_row(got: Any, true: dict, fits: Callable[[dict, dict], bool]) -> bool:
    """Whether a mistake shows in a row that differs."""
    return any(
        not same(got[name], row) and fits(got[name], row) for name, row in true.items()
    )


def _near(value: Any, other: float, not_: float | None = None) -> bool:
    """Whether a share is this one, and not the right one."""
    if not isinstance(value, float) or value == not_:
        return False
    return math.isclose(value, other)


def _pair_causes(
    texts: list[str], targets: list[int], predictions: list[int], groups: dict
) -> dict[str, Any]:
    """Tables that come out when pairs of target and prediction are misread."""
    pairs = list(zip(targets, predictions, strict=True))

    def table(pairs: list[tuple[int, int]], texts: list[str] = texts) -> dict:
        return true_error_rates(texts, *zip(*pairs, strict=True), groups)

    def errors_of(table: dict) -> Callable[[Any], bool]:
        return lambda got: all(
            got[n]["errors"] == t["errors"] for n, t in table.items()
        )

    both = "an error is any prediction other than the target, whichever is larger"
    causes: dict[str, Any] = {
        both: table([(max(t, p), p) for t, p in pairs]),
        f"{both} of the two": table([(min(t, p), p) for t, p in pairs]),
    }
    if len({*texts}) < len(texts):
        last = dict(zip(texts, pairs, strict=True))
        found = [pairs[texts.index(text)] for text in texts]
        causes |= {
            "a text may occur twice, and a dict keeps one of the two": table(
                list(last.values()), list(last)
            ),
            "a text may occur twice, and texts.index gives the first: go through texts, "
            "targets and predictions together": errors_of(table(found)),
        }
    return causes


# ------------------------------------------------------------------ the measurement

SIZES = {"train": 500, "validation": 150, "test": 400}
MODELS = ("bag of words", "head", "LoRA")
PAIRS = (("head", "bag of words"), ("LoRA", "head"))
N_TRAINED = 2 * 2 * 8 * (384 + 384) + 2 * 384 + 2


@lru_cache
def own_sentences(name: str) -> LabelledSplits:
    """A student's own film sentences: to learn from, to choose on, to test on.

    Args:
        name: What ``STUDENT`` says.
    """
    rng = Student(lambda request: {}, name, "").own_rng("sentences of lab 7")
    whole = movie_sentences()._asdict()
    rows = {p: rng.sample(range(len(whole[p].texts)), n) for p, n in SIZES.items()}
    return LabelledSplits(**{part: whole[part].rows(rows[part]) for part in SIZES})


def own_draws(name: str) -> Array:
    """A student's own 2,000 draws of 400 row numbers, for the bootstrap."""
    rng = Student(lambda request: {}, name, "").own_rng("draws of lab 7")
    numbers = np.random.default_rng(rng.getrandbits(31))
    return numbers.integers(SIZES["test"], size=(2000, SIZES["test"]))


def bag_of_words(train: Labelled) -> Any:
    """TF-IDF of words and pairs of words, then a logistic regression (chapter 13)."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = make_pipeline(vectors, LogisticRegression(C=10, max_iter=2000))
    return model.fit(train.texts, train.labels)


@lru_cache
def own_count(name: str) -> float:
    """What counted words reach on a student's sentences."""
    films = own_sentences(name)
    return bag_of_words(films.train).score(films.test.texts, films.test.labels)


@task(
    "measured",
    points=3,
    needs=("pool", "inject_lora", "fit", "scores", "interval"),
    hints=(
        "Run the cells of the experiment, all of them in order, and copy the six lines.",
        "STUDENT must be your name before you measure, and the tasks before this one must "
        "be right: the experiment uses your functions.",
        'The form is {"bag of words": 0.…, "head": 0.…, "LoRA": 0.…, "head - bag of '
        'words": (…, …), "LoRA - head": (…, …), "numbers trained": …}.',
    ),
)
def check_measured(student: Student) -> None:
    """The counted words exactly; of the rest, that it fits together."""
    got = student.get("measured")
    student.called = ""
    keys = [*MODELS, *(f"{a} - {b}" for a, b in PAIRS), "numbers trained"]
    student.demand(isinstance(got, dict), "must be a dict")
    for key in keys:
        student.demand(key in got, f"the key {key!r} is missing")
    for name in MODELS:
        value = got[name]
        usable = isinstance(value, int | float) and not isinstance(value, bool)
        student.demand(usable, f"[{name!r}] must be a number, not {show(value)}")
        student.demand(
            0 <= value <= 1, f"[{name!r}] is {value}: a share is wanted, not percent"
        )
        n_right = value * SIZES["test"]
        student.demand(
            abs(n_right - round(n_right)) < 0.05,
            f"[{name!r}] is {value}, which no number of right ones out of 400 gives: "
            "keep four digits",
        )
    counted = own_count(student.name)
    text = f"your sentences give {counted:.2f}\nLikely cause: "
    why = "measured with another STUDENT, or on other sentences?"
    for other in MODELS[1:]:
        if abs(got[other] - counted) < 0.008:
            why = f"swapped with {other!r}?"
    student.demand(
        abs(got["bag of words"] - counted) < 0.008,
        f"['bag of words'] is {got['bag of words']}, and {text}{why}",
    )
    for name in MODELS[1:]:
        student.demand(
            0.6 <= got[name] <= 0.9,
            f"[{name!r}] is {got[name]}, outside of what this model reaches with 500 "
            "labels (0.6 to 0.9): did it train at all, on your `pool`?",
        )
    for a, b in PAIRS:
        _hold_interval(student, f"{a} - {b}", got[f"{a} - {b}"], got[a] - got[b])
    student.called = "measured['numbers trained']"
    student.expect(
        got["numbers trained"],
        N_TRAINED,
        causes={
            "A and B of four maps at rank 8, and a head of 2 outputs: two blocks, "
            "queries and values": lambda got: True
        },
    )


def _hold_interval(student: Student, key: str, pair: Any, gain: float) -> None:
    """Whether a typed-in interval fits the typed-in accuracies."""
    usable = isinstance(pair, list | tuple) and len(pair) == 2
    usable = usable and all(isinstance(one, int | float) for one in pair)
    student.demand(usable, f"[{key!r}] must be a pair of numbers, (low, high)")
    low, high = pair
    student.demand(low < high, f"[{key!r}]: low must be below high")
    student.demand(
        low < gain < high,
        f"[{key!r}] is ({low}, {high}), and does not hold the difference of your two "
        f"accuracies, {gain:.4f}\nLikely cause: the other way round (A minus B), or "
        "other models",
    )
    student.demand(
        0.03 < high - low < 0.16,
        f"[{key!r}] is {high - low:.3f} wide, which does not fit 400 sentences\n"
        "Likely cause: it is not the 95 % interval of one difference",
    )


analysis = Written(
    "analysis",
    points=6,
    rubric=(
        "2 points: decides both differences by whether the own interval holds 0, with "
        "its numbers (1); names a chance that it leaves out (the 500 labels drawn, the "
        "seed of head and batches, the epoch chosen on 150 sentences, other kinds of "
        "text), and sees that LoRA needs more labels to get ahead (1).",
        "2 points: two causes, each with a sentence quoted from the own errors, with the "
        "misleading words and those that decide; a cause explains how the model came to "
        "its answer, and does not only name a topic.",
        "2 points: one cause turned into a group and counted on the test sentences: both "
        "rates, n and errors; a conclusion that minds how few the sentences are, and "
        "that may be 'open'.",
    ),
)

# -------------------------------------------------------------------- the stretch

STRETCH_LABELS = 256


def course_report() -> dict[str, Any]:
    """What chapter 13 reads: ``results/fine_tuning.json``."""
    root = Path(lmcore.__file__).resolve().parents[1]
    return json.loads((root / "results" / "fine_tuning.json").read_text("utf-8"))


def first_draws() -> list[dict[str, Any]]:
    """Rows of the course's learning curve, first draw of the labels."""
    return [row for row in course_report()["learning_curve"] if row["seed"] == 0]


def course_curve() -> dict[str, dict[int, float]]:
    """Accuracy of the course's methods by number of labels; with 3,000, of three seeds."""
    report, curve = course_report(), {name: {} for name in MODELS}
    for row in first_draws():
        if row["strategy"] in curve and row["n_labels"] >= STRETCH_LABELS:
            curve[row["strategy"]][row["n_labels"]] = row["test_accuracy"]
    n = report["sentences"]["train"]
    whole = {row["strategy"]: row["mean"] for row in report["summary"]}
    whole |= {row["name"]: row["test_accuracy"] for row in report["baselines"]}
    return {name: row | {n: whole[name]} for name, row in curve.items()}


def course_figure() -> float:
    """The best accuracy that the course reached with the same 256 labels.

    From ``results/fine_tuning.json`` (its "command" says how it was made): the best of
    bag of words, head, all weights and LoRA, first draw of the labels, all test
    sentences.
    """
    rows = [row for row in first_draws() if row["n_labels"] == STRETCH_LABELS]
    return max(row["test_accuracy"] for row in rows)


@task(
    "classify",
    points=0,
    stretch=True,
    needs=("pool",),
    hints=(
        "Where is the most to be gained with 256 labels: in the vectors, in the labels, or "
        "in the training? Chapter 13 has a section on each.",
        "2,000 sentences through six blocks take about 15 seconds. A head on good vectors "
        "is trained in no time, so try several depths and sizes of the penalty; choose on "
        "a part of the 256, or on validation sentences of your own.",
        "More labels may come from product reviews (lmcore.data.product_reviews). Or "
        "train the last blocks for a few epochs, on states that you computed once.",
    ),
)
def check_classify(student: Student) -> float:
    """Gives the share of test sentences that are right."""
    films = movie_sentences()
    few = films.train.rows(range(STRETCH_LABELS))
    got = student.call("classify", few.texts, few.labels, films.test.texts)
    student.called = "classify(texts, labels, new_texts)"
    got = np.asarray(got) if isinstance(got, list | tuple) or is_array(got) else got
    wanted = (len(films.test.texts),)
    student.demand(
        is_array(got) and got.shape == wanted and set(got.tolist()) <= {0, 1},
        f"must give {wanted[0]:,} labels, each 0 or 1, in the order of new_texts",
    )
    return accuracy(films.test.labels, got.astype(int))
