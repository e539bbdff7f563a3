"""Checks of lab 5: a Transformer decoder. The references are lmcore's own layers.

A student may read this file: it holds inputs, common mistakes and hints, and no
solution. The grader runs its own copy, with inputs drawn from a secret. Functions whose
name begins with ``probe_`` run beside the student's code.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import lmcore
from lmcore.attention import attention_explicit
from lmcore.course.labs import Student, Written, task
from lmcore.course.labs.compare import is_array, kind_of, same
from lmcore.course.labs.student import CheckFailed, NotWritten
from lmcore.models.gpt import GPT, GPTConfig
from lmcore.positions import rotate
from lmcore.transformer import Block as CourseBlock

LAB = "05_transformer"
RESULTS = Path(lmcore.__file__).resolve().parents[1] / "results"

f64 = torch.float64
MATRICES = ("q_proj", "k_proj", "v_proj", "out_proj")
CLOSE = {"rtol": 1e-4, "atol": 1e-5}

# ------------------------------------------------------------------------- helpers


def _random(student: Student) -> Callable[..., Tensor]:
    """A function that draws normal numbers of float64 from the check's seed."""
    generator = torch.Generator().manual_seed(student.torch_seed)
    return lambda *shape: torch.randn(*shape, dtype=f64, generator=generator)


def _call(student: Student, words: str, errors: dict[str, str], *args: Any) -> Any:
    """Call a function; where it raises, say what that often comes from.

    Args:
        student: Whose function.
        words: The call in words; it begins with the function's name.
        errors: What to tell the student if the message contains the key.
        *args: Arguments.
    """
    try:
        got = student.call(re.split(r"\W", words)[0], *args)
    except NotWritten:
        raise
    except CheckFailed as failure:
        _explain(failure, errors)
    student.called = words
    return got


def _explain(failure: CheckFailed, errors: dict[str, str]) -> None:
    """Raise the failure again, with the first cause that fits its words."""
    for part, cause in errors.items():
        if part in str(failure):
            raise CheckFailed(f"{failure}\nLikely cause: {cause}") from None
    raise failure


def _hold(student: Student, got: Any, expected: Tensor, **options: Any) -> None:
    """Values by ``expect``, then the dtype."""
    student.expect(got, expected, **(CLOSE | options))
    if expected.is_floating_point():
        student.demand(
            str(got.dtype) == str(expected.dtype),
            f"the numbers are right, their dtype is {got.dtype}; it must be that of "
            f"the input, {expected.dtype}, or the next product fails",
        )


def _has_nan(got: Any) -> bool:
    return is_array(got) and bool(torch.as_tensor(got).isnan().any())


# ---------------------------------------------------------------- task 1: attention


def true_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """lmcore's attention with any axes in front."""
    front = torch.broadcast_shapes(q.shape[:-2], k.shape[:-2])
    parts = [part.expand(*front, *part.shape[-2:]) for part in (q, k, v)]
    flat = [part.reshape(-1, 1, *part.shape[-2:]) for part in parts]
    if mask is not None:
        mask = mask.expand(*front, q.shape[-2], k.shape[-2])
        mask = mask.reshape(-1, 1, *mask.shape[-2:])
    found = attention_explicit(*flat, mask)
    return tuple(part.reshape(*front, *part.shape[-2:]) for part in found)


def _wrong_weights(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> dict:
    """What mistakes make of the weights, by what to tell the student."""
    width, n_keys = q.shape[-1], k.shape[-2]
    raw = q @ k.mT
    allowed = torch.ones_like(raw).bool() if mask is None else mask.expand(raw.shape)

    def masked(scores: Tensor, keep: Tensor, dim: int = -1) -> Tensor:
        return scores.masked_fill(~keep, -math.inf).softmax(dim)

    def fits(*options: Tensor) -> Callable[[Any], bool]:
        return lambda got: any(same(got, option, **CLOSE) for option in options)

    scaled = raw / math.sqrt(width)
    plain = scaled.softmax(-1)
    causes: dict[str, Any] = {
        "the scores are not divided by the square root of K": fits(
            masked(raw, allowed)
        ),
        "the scores are divided by K; its square root is wanted": fits(
            masked(raw / width, allowed)
        ),
        "the scores are multiplied by the square root of K": fits(
            masked(raw * math.sqrt(width), allowed)
        ),
        "under the root stands the width of a query, the last axis of q; not the "
        "number of positions, nor another axis": fits(
            *(masked(raw / math.sqrt(n), allowed) for n in {*q.shape, n_keys, *v.shape})
        ),
        "softmax runs over the wrong axis: each *row* of weights sums to 1, so it must "
        "run over the keys, the last axis": fits(
            *(
                masked(scores, allowed, dim)
                for dim in range(raw.ndim - 1)
                for scores in (scaled, raw)
            )
        ),
    }
    if mask is not None:
        rest = (~allowed).any(-1)  # rows that an inverted mask does not empty
        causes = {
            "the mask is ignored": fits(plain),
            "the mask is upside down: True = may attend": lambda got: same(
                got[rest], masked(scaled, ~allowed)[rest], **CLOSE
            ),
            "the mask came after the softmax, so the rows no longer sum to 1; mask the "
            "scores": fits(plain * allowed),
            "masked scores became 0, and e to the power of 0 is 1; they need a score so "
            "low that its exponential is 0": fits((scaled * allowed).softmax(-1)),
            "the mask was added to the scores as ones and zeros: that is only a slight "
            "preference": fits((scaled + allowed.double()).softmax(-1)),
        } | causes
    return causes


def _empty_rows(mask: Tensor, shape: torch.Size) -> Tensor:
    """True in rows in which nothing may be attended to."""
    return ~mask.expand(shape).any(-1)


def probe_attention(
    names: dict[str, Any], q: Tensor, k: Tensor, v: Tensor, mask: Tensor, pull: Tensor
) -> dict[str, Any]:
    """Gradients of q, k and v where the output is pulled at, weight by weight."""
    leaves = [part.clone().requires_grad_() for part in (q, k, v)]
    output, _ = names["attention"](*leaves, mask)
    if not output.requires_grad:
        return {"cut": ["q", "k", "v"]}
    (output * pull).sum().backward()
    cut = [n for n, leaf in zip("qkv", leaves, strict=True) if leaf.grad is None]
    return {"cut": cut, "grads": [leaf.grad for leaf in leaves]}


ATTENTION_ERRORS = {
    "bad operand type for unary ~": "the mask may be None: then everything is allowed",
    "NoneType": "the mask may be None: then everything is allowed",
    "mat1 and mat2": "to compare queries with keys, swap the last two axes of k",
    "size of tensor": "to compare queries with keys, swap the last two axes of k; and "
    "the mask only has to broadcast: its shape may be smaller than that of the scores",
    "Expected size for first two dimensions": "to compare queries with keys, swap the "
    "last two axes of k",
    "imension out of range": "there may be any axes in front, or none: count axes from "
    "the end",
    "values to unpack": "there may be any axes in front, or none: count axes from the "
    "end",
    "without overflow": "the number for masked scores must exist in float32, too",
    "The shape of the mask": "the mask broadcasts to the scores; indexing with it does "
    "not, masked_fill and torch.where do",
}


@task(
    "attention",
    points=4,
    hints=(
        "Four steps: scores, scale, mask, softmax; then mix the values. Look at each "
        "shape: the scores are (..., T, S).",
        "Swap the last two axes of k for the scores. Before the softmax give masked "
        "scores a value so low that its exponential is 0. A row with nothing but -inf "
        "gives 0/0, so take the lowest finite number instead, and look after what is "
        "left.",
        "transpose(-2, -1), math.sqrt, masked_fill with ~mask and "
        "torch.finfo(dtype).min, softmax over the last axis. In a row of equal numbers "
        "the softmax is a plain mean: so set masked weights to 0 once more, after it.",
    ),
)
def check_attention(student: Student) -> None:
    """Output, weights and gradients, against lmcore's."""
    draw = _random(student)
    one = torch.ones(1, 1, dtype=f64)
    causal = torch.arange(4)[:, None] >= torch.arange(4)
    some = torch.tensor([[True, False, True, True, False]])
    holes = torch.tensor([[True, True, False, True], [False] * 4, [False, True] * 2])
    lengths = torch.tensor([3, 5])[:, None, None, None]
    cases = [
        ("K = 1, no mask", 0 * one, one * torch.tensor([[1.0], [2.0]]), None, None),
        ("no mask", draw(3, 4), draw(5, 4), draw(5, 2), None),
        ("no mask", *(draw(2, 3, n, 8) for n in (4, 5, 5)), None),
        ("a mask of shape (4, 4)", *(2 * draw(4, 9) for _ in range(3)), causal),
        ("a mask of shape (1, 5)", draw(3, 4), draw(5, 4), draw(5, 6), some),
        (
            "a mask of shape (2, 1, 1, 5)",
            *(draw(2, 3, n, 4) for n in (4, 5, 5)),
            torch.arange(5) < lengths,
        ),
        ("row 1 of the mask is empty", draw(3, 4), draw(4, 4), draw(4, 4), holes),
        (
            "float32, row 1 of the mask is empty",
            *(draw(n, 4).float() for n in (3, 4, 4)),
            holes,
        ),
    ]
    for words, q, k, v, mask in cases:
        v = 10 * k if v is None else v
        _hold_attention(student, words, q, k, v, mask)
    _large_scores(student, draw)
    _gradients(student, draw, holes)


def _hold_attention(
    student: Student, words: str, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None
) -> None:
    """One call of ``attention``: kind, weights, then the output."""
    shapes = f"{tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}"
    words = f"attention(q, k, v, mask) with shapes {shapes}, {words}"
    got = _call(student, words, ATTENTION_ERRORS, q, k, v, mask)
    output, weights = true_attention(q, k, v, mask)
    missing = " (is there a `return`?)" if got is None else ""
    student.demand(
        isinstance(got, tuple | list) and len(got) == 2,
        f"expected two tensors, output and weights, got {kind_of(got)}{missing}",
    )
    swapped = same(got[0], weights, **CLOSE) and same(got[1], output, **CLOSE)
    student.demand(
        not swapped or same(output, weights, **CLOSE),
        "the output comes first, then the weights; yours are the other way round",
    )
    student.called = f"{words}: the weights"
    causes: dict[str, Any] = {}
    if mask is not None:
        empty = _empty_rows(mask, weights.shape)
        causes = {
            "where a row may attend to nothing, softmax divides 0 by 0: use a very low "
            "finite number instead of -inf": lambda got: (
                empty.any() and _has_nan(got) and not _has_nan(got[..., ~empty[0], :])
                if empty.ndim > 1
                else _has_nan(got[empty]) and not _has_nan(got[~empty])
            ),
            "a row that may attend to nothing looks everywhere instead: a softmax of "
            "equal numbers is a plain mean. Its weights must be 0": lambda got: (
                bool(empty.any())
                and same(got[~empty], weights[~empty], **CLOSE)
                and got[empty].min() > 0
            ),
        }
    _hold(student, got[1], weights, causes=causes | _wrong_weights(q, k, v, mask))
    student.called = f"{words}: the output"
    _hold(
        student,
        got[0],
        output,
        causes={
            "this is the plain mean of the values: mix them with the weights": (
                v.mean(-2, keepdim=True).expand(output.shape)
            ),
            "the weights must mix the values, and yours mix the keys": (
                lambda got: same(got, weights @ k, **CLOSE)
            ),
            "where a row may attend to nothing, the output must be 0": _has_nan,
        },
    )


def _large_scores(student: Student, draw: Callable[..., Tensor]) -> None:
    """Scores of thousands, masked ones far above and far below the others."""
    q = torch.tensor([[1.0], [-1.0]], dtype=f64)
    k = torch.tensor([[6000.0], [3000.0], [-6000.0], [-6000.0]], dtype=f64)
    v = draw(4, 2)
    for mask in (None, torch.tensor([[False, False, True, True]])):
        words = "attention with scores from -6000 to 6000"
        words += "" if mask is None else ", the first two keys masked"
        got = _call(student, words, ATTENTION_ERRORS, q, k, v, mask)
        output, weights = true_attention(q, k, v, mask)
        causes = {
            "e to the power of thousands is infinite, and of minus thousands 0: "
            "torch.softmax subtracts the largest score first": _has_nan,
            "large scores are cut off: 6000 and 3000 must stay different": (
                lambda got, m=mask: m is None and 0.01 < got[0, 0] < 0.99
            ),
            "masked scores are not low enough: here other scores are lower still": (
                lambda got, m=mask: m is not None and got[0, 0] > 0
            ),
            "row 0 lost its weights: masked scores are not low enough, or they count "
            "in the softmax and are removed only after it; and the largest score, if "
            "you subtract it, is that of the row": (
                lambda got, m=mask: m is not None and got[0].sum() < 0.5
            ),
        }
        for name, mine, true in zip(
            ("weights", "output"), got[::-1], (weights, output), strict=True
        ):
            student.called = f"{words}: the {name}"
            _hold(student, mine, true, causes=causes)


def _gradients(student: Student, draw: Callable[..., Tensor], mask: Tensor) -> None:
    """Gradients with an empty row: no nan, and those of lmcore."""
    q, k, v, pull = draw(3, 4), draw(4, 4), draw(4, 4), draw(3, 4)
    got = student.probe(probe_attention, q, k, v, mask, pull)
    student.called = "attention(q, k, v, mask), row 1 of the mask empty"
    student.demand(
        not got["cut"],
        f"no gradient reaches {', '.join(got['cut'])}\nLikely cause: .detach(), .item(), "
        ".numpy(), torch.tensor(...) or no_grad cut the computation",
    )
    leaves = [part.clone().requires_grad_() for part in (q, k, v)]
    (true_attention(*leaves, mask)[0] * pull).sum().backward()
    for name, mine, leaf in zip("qkv", got["grads"], leaves, strict=True):
        student.called = f"attention, row 1 of the mask empty: the gradient of {name}"
        nan = (
            "the result is repaired after the softmax (nan_to_num), and its gradient "
            "is not: let no nan arise, use a very low finite number instead of -inf"
        )
        student.expect(mine, leaf.grad, causes={nan: _has_nan}, **CLOSE)


# -------------------------------------------------------------------- task 2: masks


@task(
    "decoder_mask",
    points=3,
    hints=(
        "A mask is a comparison. Which two numbers does each of the first two masks "
        "compare, for query t, key s and length n?",
        "Compare a column of positions with a row of positions, and positions with a "
        "column of lengths: broadcasting makes the table. Axes of size 1 come from "
        "indexing with None.",
        "torch.arange(n) is a row, the same with [:, None] a column. Or start from "
        "ones and keep a triangle (tril). For the third: where both are True, `&`.",
    ),
)
def check_decoder_mask(student: Student) -> None:
    """Three masks for several sizes."""
    errors = {
        "bool": "`&` joins booleans; is each of the two masks boolean?",
        "size of tensor": "shapes (B, 1, 1, n) and (n, n) broadcast to (B, 1, n, n)",
    }
    for n in (2, 1, 5):
        got = _call(student, f"causal_mask({n})", errors, n)
        place = torch.arange(n)
        gap = place[:, None] - place
        _hold(
            student,
            got,
            gap >= 0,
            causes={
                "a query may see itself, too: the diagonal is True": gap > 0,
                "a query sees one key too many, the one after it": gap >= -1,
                "queries are rows and keys are columns; yours shows the future": gap
                <= 0,
                "upside down: True = may attend": gap < 0,
                "masks are boolean, not ones and zeros": (
                    lambda got: got.dtype != torch.bool
                ),
                "a row of n numbers is not enough: each query has a row of its own": (
                    lambda got: got.ndim == 1
                ),
            },
        )
    n = 4
    drawn = [student.rng.randint(0, n) for _ in range(3)]
    lists = [[2, 1, 4], drawn, [4, 0, 2, 3], [1, 3]]
    for given in lists:
        lengths = torch.tensor(given)
        real = torch.arange(n) < lengths[:, None]
        got = _call(student, f"padding_mask({given}, {n})", errors, lengths, n)
        _hold(
            student,
            got,
            real[:, None, None],
            causes={
                f"the shape must be (B, 1, 1, n): axes for heads and queries are "
                f"missing. With B = {n} yours would pass for a mask of queries": (
                    lambda got, real=real: got.numel() == real.numel() and got.ndim < 4
                ),
                "the n must stand on the last axis, that of the keys: padding is what "
                "nobody may look at": lambda got: got.shape[-1] == 1,
                "upside down: True at real tokens": ~real[:, None, None],
                "with length n nothing is padding; a slice that begins at -0 is the whole "
                "row": lambda got, real=real: (
                    got.shape == (len(real), 1, 1, n)
                    and not got[real.all(-1)].any()
                    and same(got[~real.all(-1)], real[~real.all(-1)][:, None, None])
                ),
                "a length may be 0, and then no token is real": (
                    torch.arange(n) < lengths.clamp(min=1)[:, None]
                )[:, None, None],
                "the second argument says how many keys there are; the longest sequence "
                "may be shorter": lambda got, given=given: (
                    got.shape[-1] == max(given) < n
                ),
                "one too many: positions count from 0, so with length 2 they are 0 and "
                "1": (torch.arange(n) <= lengths[:, None])[:, None, None],
                "the padding stands at the right": real.flip(-1)[:, None, None],
                "masks are boolean, not ones and zeros": (
                    lambda got: got.dtype != torch.bool
                ),
                "padding is masked as a key; queries of padding are left alone": (
                    lambda got: got.shape[-2] > 1
                ),
            },
        )
    gap = torch.arange(n)[:, None] - torch.arange(n)
    for given in lists:
        lengths = torch.tensor(given)
        key = (torch.arange(n) < lengths[:, None])[:, None, None]
        got = _call(student, f"decoder_mask({given}, {n})", errors, lengths, n)
        _hold(
            student,
            got,
            key & (gap >= 0),
            causes={
                "this allows what *one* of the masks allows; both must": key
                | (gap >= 0),
                "only the causal mask is left": (gap >= 0).expand(len(given), 1, n, n),
                "only the padding mask is left": key.expand(len(given), 1, n, n),
                "padding is masked as a key; queries of padding are left alone": (
                    key & (gap >= 0) & key.mT
                ),
                "masks are boolean, not ones and zeros": (
                    lambda got: got.dtype != torch.bool
                ),
            },
        )


# --------------------------------------------------------------------- task 3: rope


def true_rope(x: Tensor, positions: Tensor) -> Tensor:
    """lmcore's rotation, with angles in float64."""
    return _turned(x, positions, _angles(positions, x.shape[-1]))


def _angles(positions: Tensor, width: int) -> Tensor:
    return positions[:, None].double() * _speeds(width)


def _speeds(width: int) -> Tensor:
    return 10000.0 ** (-torch.arange(0, width, 2, dtype=f64) / width)


def _turned(x: Tensor, positions: Tensor, angles: Tensor) -> Tensor:
    rotation = angles.cos(), angles.sin()
    flat = x.reshape(-1, 1, *x.shape[-2:])
    return rotate(flat, rotation).reshape(x.shape).to(x.dtype)


def _wrong_turns(x: Tensor, positions: Tensor) -> dict[str, Any]:
    """What mistakes make of a rotation."""
    width, half = x.shape[-1], x.shape[-1] // 2
    angles, steps = _angles(positions, width), torch.arange(half, dtype=f64)
    t = positions[:, None].double()
    cos, sin = (part.to(x.dtype) for part in (angles.cos(), angles.sin()))
    a, b = x.chunk(2, dim=-1)
    apart = torch.arange(width).view(2, half).T.flatten()
    renumbered = torch.arange(width).view(half, 2).T.flatten()
    doubled = angles.repeat_interleave(2, dim=-1)
    swapped = torch.cat([-b, a], dim=-1)
    n_rows = torch.arange(len(positions))

    def speeds(values: Tensor) -> Tensor:
        return _turned(x, positions, values)

    joined = _turned(x[..., renumbered], positions, angles)
    neighbours = joined[..., apart]
    return {
        "you turn neighbours, 2i with 2i + 1; here number i goes with i + K/2": (
            lambda got: any(same(got, way, **CLOSE) for way in (neighbours, joined))
        ),
        "the angle has the wrong sign: this turns backwards": speeds(-angles),
        "the positions are ignored: row t stands at positions[t], not at t": (
            _turned(x, n_rows, _angles(n_rows, width))
        ),
        "positions count from 0: at position 0 nothing turns": (
            _turned(x, positions, _angles(positions + 1, width))
        ),
        "the exponent is -2i/K; the 2 is missing": speeds(
            t * 10000.0 ** (-steps / width)
        ),
        "the exponent has the wrong sign: later pairs turn more slowly": speeds(
            t * 10000.0 ** (2 * steps / width)
        ),
        "all pairs turn at the same speed": speeds(t.expand(-1, half)),
        "a sign or a partner is wrong in the second half of the pair": (
            lambda got: (
                same(got[..., :half], a * cos - b * sin, **CLOSE)
                and not same(got[..., half:], b * cos + a * sin, **CLOSE)
            )
        ),
        "a sign or a partner is wrong in the first half of the pair": (
            lambda got: (
                same(got[..., half:], b * cos + a * sin, **CLOSE)
                and not same(got[..., :half], a * cos - b * sin, **CLOSE)
            )
        ),
        "each angle is repeated beside itself (repeat_interleave), as for neighbours; "
        "here both halves have the same angles in the same order": (
            x * doubled.cos() + swapped * doubled.sin()
        ),
        "the exponent follows the number i of the pair, not the position": speeds(
            t / 10000.0 ** (2 * t / width)
        ),
    }


def probe_way_back(
    names: dict[str, Any], function: str, leaves: dict[str, Any], rest: dict
) -> list[str]:
    """Which of the inputs no gradient reaches."""
    own = {name: leaf.clone().requires_grad_() for name, leaf in leaves.items()}
    matrices = {name: own[name] for name in MATRICES if name in own}
    inputs = {name: own[name] for name in own if name not in matrices}
    if matrices:
        inputs["attn"] = matrices
    output = names[function](**inputs, **rest)
    if output.requires_grad:
        output.square().sum().backward()
    return [name for name, leaf in own.items() if leaf.grad is None]


def _demand_way_back(
    student: Student, function: str, leaves: dict, **rest: Any
) -> None:
    """After the values: a gradient reaches everything."""
    cut = student.probe(probe_way_back, function, leaves, rest)
    student.called = function
    student.demand(
        not cut,
        f"the values are right, and no gradient reaches {', '.join(cut)}: detach, .data, "
        "no_grad and torch.tensor(...) cut the way back",
    )


@task(
    "rope",
    points=3,
    hints=(
        "Three steps: one speed for each pair, a table of angles (T, K/2), then the "
        "two halves of x and the formula.",
        "The angles are a column of positions times a row of speeds. The first half of "
        "x holds all the a, the second all the b; the two results stand side by side "
        "again.",
        "torch.arange(K // 2), a power of 10000, positions[:, None]. Cut x with "
        "x[..., :half] and x[..., half:] (or chunk), and join with torch.cat along the "
        "last axis. .to(x.dtype) keeps the dtype.",
    ),
)
def check_rope(student: Student) -> None:
    """Rotations, against lmcore's."""
    draw = _random(student)
    far = torch.tensor([student.rng.randint(0, 60) for _ in range(5)])
    cases = [
        (torch.tensor([[1.0, 0.0]], dtype=f64), torch.tensor([1])),
        (draw(3, 2), torch.arange(3)),
        (draw(5, 8), torch.arange(5)),
        (draw(4, 8), torch.tensor([7, 3, 50, 3])),
        (draw(5, 2, 5, 6), far),
        (draw(2, 4, 4, 4).float(), torch.arange(4)),
    ]
    errors = {
        "size of tensor": "positions belong to the rows of x, the axis before the last: "
        "the table of angles is (T, K/2)",
        "dtype": "the angles are of another dtype than x",
    }
    for x, positions in cases:
        words = f"rope(x, {positions.tolist()}) with x of shape {tuple(x.shape)}"
        got = _call(student, words, errors, x, positions)
        causes = {
            text: wrong
            if callable(wrong)
            else lambda got, wrong=wrong: same(got, wrong, **CLOSE)
            for text, wrong in _wrong_turns(x, positions).items()
        }
        _hold(
            student,
            got,
            true_rope(x, positions),
            causes=causes,
            rtol=1e-4,
            atol=1e-4,
        )
    x, positions = cases[2]
    _demand_way_back(student, "rope", {"x": x}, positions=positions)


# --------------------------------------------------------------------- task 4: heads


def true_multi_head(
    x: Tensor,
    memory: Tensor,
    attn: dict[str, Tensor],
    n_heads: int,
    mask: Tensor | None = None,
    positions: Tensor | None = None,
    *,
    turned: str = "qk",
    places: str = "",
    own: str = "",
    turn_whole: bool = False,
    join: bool = True,
) -> Tensor:
    """Multi-head attention from lmcore's parts; with mistakes, to recognise them.

    Args:
        x: Asks.
        memory: Answers.
        attn: The four matrices.
        n_heads: Heads.
        mask: True = may attend.
        positions: For the rotation.
        turned: Which of q, k and v are turned.
        places: Which of them are turned as if row t stood at t.
        own: Which of k and v come from ``x``.
        turn_whole: Whether they are turned before the split.
        join: Whether the last projection takes place.
    """
    parts = {"q": x, "k": memory, "v": memory}
    for name, part in parts.items():
        h = F.linear(x if name in own else part, attn[f"{name}_proj"])
        there = torch.arange(x.shape[1]) if name in places else positions
        turns = positions is not None and name in turned
        if turns and turn_whole:
            h = true_rope(h, there)
        h = torch.stack(h.chunk(n_heads, dim=-1), dim=1)
        if turns and not turn_whole:
            h = true_rope(h, there)
        parts[name] = h
    output, _ = true_attention(parts["q"], parts["k"], parts["v"], mask)
    h = torch.cat(output.unbind(1), dim=-1)
    return F.linear(h, attn["out_proj"]) if join else h


def _split(x: Tensor, n_heads: int) -> Tensor:
    return torch.stack(x.chunk(n_heads, dim=-1), dim=1)


def _wrong_multi_heads(args: tuple) -> dict[str, Any]:
    """What mistakes make of multi-head attention."""
    x, memory, attn, n_heads, mask, positions = args
    turned = {name: matrix.T for name, matrix in attn.items()}
    k_and_v = attn | {"k_proj": attn["v_proj"], "v_proj": attn["k_proj"]}
    allowed = None if mask is None else ~mask

    def wrong(*changed: Any, **mistakes: Any) -> Callable[[Any], bool]:
        def fits(got: Any) -> bool:
            return same(got, true_multi_head(*changed, **mistakes), **CLOSE)

        return fits

    rest = n_heads, mask, positions
    root = math.sqrt(x.shape[-1] // n_heads)
    return {
        "the matrices are stored (outputs, inputs), as in nn.Linear: x @ W.T": wrong(
            x, memory, turned, *rest
        ),
        "some of the four matrices are transposed, and some are not: all are stored as "
        "nn.Linear stores them": lambda got: any(
            same(
                got,
                true_multi_head(
                    x,
                    memory,
                    attn | {n: turned[n] for n in MATRICES if (bits >> i(n)) & 1},
                    *rest,
                ),
                **CLOSE,
            )
            for i in (MATRICES.index,)
            for bits in range(1, 15)
        ),
        "out_proj is missing": wrong(x, memory, attn, *rest, join=False),
        "keys and values must come from memory": wrong(x, x, attn, *rest),
        "queries come from x, and memory answers": wrong(memory, memory, attn, *rest),
        "the mask is not handed on to attention": wrong(
            x, memory, attn, n_heads, None, positions
        ),
        "the mask is turned upside down on its way": wrong(
            x, memory, attn, n_heads, allowed, positions
        ),
        "k_proj and v_proj are swapped": wrong(x, memory, k_and_v, *rest),
        "positions are ignored: queries and keys must be turned": wrong(
            x, memory, attn, n_heads, mask, None
        ),
        "row t stands at positions[t], not at t, among queries and among keys": (
            lambda got: (
                positions is not None
                and any(
                    same(
                        got,
                        true_multi_head(
                            x, memory, attn, n_heads, mask, positions, places=places
                        ),
                        **CLOSE,
                    )
                    for places in ("q", "k", "qk")
                )
            )
        ),
        "without positions nothing is turned": lambda got: (
            positions is None
            and x.shape[1] == memory.shape[1]
            and wrong(x, memory, attn, n_heads, mask, torch.arange(x.shape[1]))(got)
        ),
        "your attention divides by the root of K already": wrong(
            x, memory, attn | {"q_proj": attn["q_proj"] / root}, *rest
        ),
        "either keys or values come from x; both come from memory": lambda got: (
            x.shape == memory.shape
            and any(
                same(got, true_multi_head(x, memory, attn, *rest, own=name), **CLOSE)
                for name in "kv"
            )
        ),
        "the mask may differ from head to head, and from sequence to sequence": (
            lambda got: (
                mask is not None
                and any(
                    wrong(x, memory, attn, n_heads, part, positions)(got)
                    for part in (mask[:, :1], mask[:1])
                    if mask.ndim == 4
                )
            )
        ),
        "values are not turned, only queries and keys": wrong(
            x, memory, attn, *rest, turned="qkv"
        ),
        "keys are turned as well as queries": wrong(x, memory, attn, *rest, turned="q"),
        "queries are turned as well as keys": wrong(x, memory, attn, *rest, turned="k"),
        "turned before the split: each head must be turned alone, with its own width "
        "K": wrong(x, memory, attn, *rest, turn_whole=True),
        "there is only one head: split the width before attending": wrong(
            x, memory, attn, 1, mask, positions
        ),
    }


@task(
    "multi_head",
    points=4,
    needs=("attention", "rope"),
    hints=(
        "Write down the shape after each step. Splitting takes two: first the last axis "
        "becomes two, then the heads move in front of the positions.",
        "A view never moves a number: (B, T, D) can only become (B, T, H, K). Then swap "
        "axes 1 and 2. Merging does the same in reverse order.",
        "split: unflatten or view, then transpose(1, 2). merge: transpose(1, 2), then "
        "flatten or reshape. multi_head: three products with transposed matrices, split "
        "each, rope on the first two if there are positions, your attention, whose first "
        "result you merge, and the last product.",
    ),
)
def check_multi_head(student: Student) -> None:
    """The split, the merge, and the whole."""
    draw = _random(student)
    _check_split(student)
    errors = {
        "mat1 and mat2": "memory may have another length than x: S is not T",
        "shape '": "memory may have another length than x: take sizes from the tensor "
        "that is split",
        "'tuple' object": "attention gives two tensors, output and weights",
        "size of tensor": "compare the shapes of queries and keys: is each split into "
        "heads (B, H, T, K)? The mask broadcasts to (B, H, T, S)",
    }
    attn = {name: draw(6, 6) for name in MATRICES}
    more = {name: draw(8, 8) * 0.7 for name in MATRICES}
    x, y, memory = draw(2, 4, 6), draw(3, 5, 8), draw(3, 7, 8)
    past = torch.arange(4)[:, None] >= torch.arange(4)
    real = (torch.arange(7) < torch.tensor([7, 4, 2])[:, None])[:, None, None]
    near = torch.arange(5)[:, None] - torch.arange(5)
    each = torch.stack([torch.stack([near >= b, near <= 1]) for b in (0, -1, -2)])
    places = torch.tensor([3, 0, 9, 4, 4])
    cases = [
        ("self-attention", x, x, attn, 1, None, None),
        ("self-attention, no mask", x, x, attn, 3, None, None),
        ("self-attention, causal mask", x, x, attn, 3, past, None),
        ("cross-attention, no mask", y, memory, more, 2, None, None),
        ("cross-attention, padding mask", y, memory, more, 2, real, None),
        ("cross-attention, memory as long as x", x, draw(2, 4, 6), attn, 3, None, None),
        ("self-attention, a mask for each head", y, y, more, 2, each, None),
        (f"self-attention, positions {places.tolist()}", y, y, more, 2, None, places),
    ]
    for words, *args in cases:
        words = (
            f"multi_head(...), {words}, n_heads = {args[3]}, x {tuple(args[0].shape)}"
        )
        got = _call(student, words, errors, *args)
        expected = true_multi_head(*args)
        _hold(student, got, expected, causes=_wrong_multi_heads(tuple(args)))
    leaves = {"x": y, "memory": memory} | more
    _demand_way_back(student, "multi_head", leaves, n_heads=2, mask=real)


def _check_split(student: Student) -> None:
    """Small whole numbers, so that the message says what stands where."""
    errors = {
        "view size is not compatible": "after a transpose the numbers no longer lie in "
        "order, and view refuses: reshape or flatten, or contiguous() before view",
        "shape '": "the sizes must multiply to the same number: D = H times K",
    }
    for B, T, H, K in ((1, 4, 2, 2), (2, 3, 2, 4), (2, 5, 3, 2)):
        D = H * K
        x = torch.arange(B * T * D, dtype=f64).view(B, T, D)
        heads = _split(x, H)
        words = f"split_heads(x, {H}) with x of shape {(B, T, D)}, numbered from 0"
        got = _call(student, words, errors, x, H)
        _hold(
            student,
            got,
            heads,
            causes={
                "a view alone cuts the *positions* apart: head 0 got the first "
                "positions whole. Make it (B, T, H, K) first, then swap axes": x.reshape(
                    B, H, T, K
                ),
                "neighbouring numbers went to different heads; head 0 has the first K "
                "columns": x.reshape(B, T, K, H).permute(0, 3, 1, 2),
                "the heads must stand before the positions: (B, H, T, K)": (
                    x.reshape(B, T, H, K)
                ),
                "the last two axes are swapped": heads.mT,
            },
        )
        words = f"merge_heads(h) with h of shape {(B, H, T, K)}"
        got = _call(student, words, errors, heads.contiguous())
        _hold(
            student,
            got,
            x,
            causes={
                "reshaped without swapping axes first: a position's row now mixes "
                "positions of one head": heads.reshape(B, T, D),
                "swap heads and positions back; other axes are swapped here": (
                    lambda got, x=x: (
                        got.shape == x.shape
                        and torch.equal(got.flatten().sort()[0], x.flatten().sort()[0])
                    )
                ),
                "the two last axes must become one, of width D": (
                    lambda got: got.ndim == 4
                ),
            },
        )


# ------------------------------------------------------------ task 5: block, decoder


def _build(names: dict[str, Any], kind: str, args: Sequence, weights: dict) -> Any:
    """One of the student's modules with these weights; None if names were changed."""
    made = names[kind](*args).to(f64)
    own = {name: tuple(p.shape) for name, p in made.named_parameters()}
    if own != {name: tuple(p.shape) for name, p in weights.items()}:
        return None
    made.load_state_dict(weights)
    return made


def probe_block(
    names: dict[str, Any], args: list, weights: dict[str, Tensor], inputs: list
) -> Any:
    """What ``forward`` gives, and what backward does after it."""
    block = _build(names, "Block", args, weights)
    if block is None:
        return "changed"
    x, *rest = inputs
    leaf = x.clone().requires_grad_()
    given = leaf * 1
    return _forward_and_back(block, leaf, given, rest)


def probe_decoder(
    names: dict[str, Any], args: list, weights: dict[str, Tensor], ids: Tensor
) -> Any:
    """Likewise."""
    model = _build(names, "Decoder", args, weights)
    if model is None:
        return "changed"
    found = _forward_and_back(model, None, ids, [])
    grad = model.tok_emb.weight.grad
    found["grad"] = None if grad is None else grad.clone()
    with torch.no_grad():
        found["longer"] = model(torch.cat([ids, ids[:, :2]], dim=1))
        found["eval"] = model.eval()(ids)
        model.causal, model.rotary = not model.causal, not model.rotary
        found["switched"] = model(ids)
    return found


def _forward_and_back(model: Any, leaf: Any, given: Tensor, rest: list) -> Any:
    """The output, whether the input stayed, and what no gradient reached."""
    before = given.detach().clone()
    output = model(given, *rest)
    if not isinstance(output, Tensor):
        return {"output": output, "kept": True, "cut": []}
    kept = torch.equal(given.detach(), before)
    if output.requires_grad:
        output.square().sum().backward()
    leaves = dict(model.named_parameters()) | ({} if leaf is None else {"x": leaf})
    cut = [name for name, value in leaves.items() if value.grad is None]
    return {"output": output, "kept": kept, "cut": cut}


def _plain_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """lmcore's names of parameters as those of the lab's modules."""
    return {
        name.removesuffix(".weight") if "_proj" in name else name: value.detach()
        for name, value in weights.items()
        if name != "lm_head.weight"
    }


def _fill(module: torch.nn.Module, draw: Callable[..., Tensor]) -> None:
    """Random parameters, norms included, so that no two layers are alike."""
    with torch.no_grad():
        for name, p in module.named_parameters():
            if "norm" in name:
                p.copy_(1 + 0.5 * draw(*p.shape))
            elif "tok_emb" in name:
                p.copy_(draw(*p.shape))
            else:
                p.copy_(draw(*p.shape) / p.shape[-1] ** 0.5)


def _rotation(width: int, n: int, start: int = 0) -> tuple[Tensor, Tensor]:
    angles = _angles(torch.arange(start, start + n), width)
    return angles.cos(), angles.sin()


def _block_parts(block: CourseBlock, mask: Tensor | None, rotation: Any) -> tuple:
    """Attention and feed-forward of lmcore's block, as functions of one tensor."""
    return (
        lambda x: block.attn(x, mask=mask, rotation=rotation),
        block.ff,
        block.attn_norm,
        block.ff_norm,
    )


def _wrong_blocks(
    block: CourseBlock,
    x: Tensor,
    mask: Tensor | None,
    rotation: Any,
    positions: Tensor | None,
) -> dict[str, Any]:
    """What mistakes make of a block."""
    attn, ff, n1, n2 = _block_parts(block, mask, rotation)
    weights = {name: getattr(block.attn, name).weight for name in MATRICES}
    place = torch.arange(x.shape[1])
    past = place[:, None] >= place

    def with_heads(n_heads: int) -> Callable[[Tensor], Tensor]:
        return lambda h: true_multi_head(h, h, weights, n_heads, mask, positions)

    matrices = block.ff.gate_proj, block.ff.in_proj, block.ff.out_proj

    def other_ff(way: str) -> Callable[[Tensor], Tensor]:
        gate, inner, out = matrices

        def compute(h: Tensor) -> Tensor:
            if way == "swapped":
                return out(F.silu(inner(h)) * gate(h))
            if way == "sum":
                return out(F.silu(gate(h)) + inner(h))
            if way == "no gate":
                return out(F.silu(inner(h)))
            if way == "late":
                return out(F.silu(gate(h) * inner(h)))
            kinds = {"relu": F.relu, "sigmoid": torch.sigmoid, "none": lambda h: h}
            return out(kinds.get(way, F.gelu)(gate(h)) * inner(h))

        return compute

    def run(
        attn: Callable = attn,
        ff: Callable = ff,
        n1: Callable = n1,
        n2: Callable = n2,
        keep: tuple[int, int] = (1, 1),
    ) -> Tensor:
        h = keep[0] * x + attn(n1(x))
        return keep[1] * h + ff(n2(h))

    def same_thing(h: Tensor) -> Tensor:
        return h

    h = x + attn(n1(x))
    normed = n1(x)
    inside = normed + attn(normed)
    post = n1(x + attn(x))
    return {
        "the norms stand behind the sums (post-norm); here each layer *reads* a "
        "normalised copy": n2(post + ff(post)),
        "the sum starts from the normalised x: the residual connection must add to x "
        "itself": lambda got: any(
            same(got, option, **CLOSE)
            for option in (
                n2(inside) + ff(n2(inside)),
                inside + ff(n2(inside)),
                n2(h) + ff(n2(h)),
            )
        ),
        "the first residual connection is missing: x + ...": run(keep=(0, 1)),
        "the second residual connection is missing: h + ...": run(keep=(1, 0)),
        "both residual connections are missing": run(keep=(0, 0)),
        "the second sum adds to x; it must add to h, or attention is lost": (
            x + ff(n2(h))
        ),
        "the feed-forward reads x; it must read what attention left, h": (
            h + ff(n2(x))
        ),
        "the feed-forward must read a normalised copy": run(n2=same_thing),
        "attention must read a normalised copy": run(n1=same_thing),
        "both layers must read normalised copies": run(n1=same_thing, n2=same_thing),
        "attn_norm is used twice; the feed-forward has a norm of its own": run(n2=n1),
        "the two norms are swapped": run(n1=n2, n2=n1),
        "the feed-forward is missing": h,
        "attention is missing": x + ff(n2(x)),
        "silu belongs around the gate, not around the other product": run(
            ff=other_ff("swapped")
        ),
        "gate and in are multiplied, not added": run(ff=other_ff("sum")),
        "the gate is missing: silu(gate) times in": run(ff=other_ff("no gate")),
        "silu comes before the product of the two": run(ff=other_ff("late")),
        "the gate needs silu, x times sigmoid(x), not another activation": (
            lambda got: any(
                same(got, run(ff=other_ff(way)), **CLOSE)
                for way in ("relu", "sigmoid", "none", "gelu")
            )
        ),
        "queries come from the raw x: normalise it for queries, keys and values": run(
            attn=lambda h: block.attn(x, h, mask=mask, rotation=rotation)
        ),
        "queries are normalised, and keys and values are not: memory is the same "
        "normalised x": run(
            attn=lambda h: block.attn(h, x, mask=mask, rotation=rotation)
        ),
        "the number of heads is self.n_heads": lambda got: any(
            same(got, run(attn=with_heads(n)), **CLOSE) for n in (1, 4)
        ),
        "mask and positions are handed on as they are: None means no mask and no rope": (
            lambda got: any(
                same(got, run(attn=_block_parts(block, m, r)[0]), **CLOSE)
                for m in (mask, past)
                for r in (rotation, _rotation(4, x.shape[1]))
            )
        ),
        "the mask is not handed on": run(attn=_block_parts(block, None, rotation)[0]),
        "positions are not handed on": run(attn=_block_parts(block, mask, None)[0]),
    }


@task(
    "Block",
    points=3,
    needs=("attention", "rope", "multi_head"),
    hints=(
        "Two lines for the two sums. Each right side has x (or h) itself, plus a layer "
        "that reads its norm.",
        "multi_head wants x and memory: for self-attention both are the same normalised "
        "tensor. The matrices are self.attn and self.ff, by name; hand on mask and "
        "positions.",
        "h = x plus multi_head of the normalised x, twice, with self.attn, "
        "self.n_heads, mask and positions. Then normalise h with the other norm, "
        "multiply F.silu of one product by the other product, project, and add h.",
    ),
)
def check_block(student: Student) -> None:
    """Blocks with random weights, against lmcore's."""
    draw = _random(student)
    past = torch.arange(5)[:, None] >= torch.arange(5)
    cases = [("no mask", None, None), ("causal mask", past, None)]
    cases += [("causal mask, positions", past, torch.arange(5))]
    for words, mask, positions in cases:
        block = CourseBlock(8, 2, 12, bias=False, norm="rms", ff="swiglu").to(f64)
        _fill(block, draw)
        x = 2 * draw(2, 5, 8)
        weights = _plain_names(block.state_dict())
        inputs = [x, mask, positions]
        words = f"Block(8, 2, 12), x of shape (2, 5, 8), {words}"
        got = _probe_module(student, words, probe_block, [8, 2, 12], weights, inputs)
        rotation = None if positions is None else _rotation(4, 5)
        with torch.no_grad():
            expected = block(x, mask=mask, rotation=rotation)
            causes = _wrong_blocks(block, x, mask, rotation, positions)
            _hold(student, got["output"], expected, causes=causes)
        _demand_gradients(student, got)


MODULE_ERRORS = {
    "inplace operation": "x += ... changes a tensor that the way back still needs; "
    "x = x + ... makes a new one",
    "to have the same dtype": "no layer is made in forward: all parameters are given",
    "must match the size": "is the mask for T positions of this call, and are there T of them?",
    "'function' object": "a function is handed on where its result is needed",
    "'tuple' object": "attention gives two tensors, multi_head one",
}


def _probe_module(student: Student, words: str, probe: Callable, *args: Any) -> Any:
    """What a module did; where it raises, what that often comes from."""
    try:
        got = student.probe(probe, *args)
    except NotWritten:
        raise
    except CheckFailed as failure:
        _explain(failure, MODULE_ERRORS)
    student.called = words
    _demand_names(student, got)
    return got


def _demand_gradients(student: Student, got: dict[str, Any]) -> None:
    """After the values: the input stayed, and a gradient reaches everything."""
    student.demand(
        got["kept"],
        "the input was changed in place: x = x + ... instead of x += ...",
    )
    student.demand(
        not got["cut"],
        f"the values are right, and no gradient reaches {', '.join(got['cut'][:3])}: "
        "detach, .data and no_grad cut the way back",
    )


def _demand_names(student: Student, got: Any) -> None:
    student.demand(
        not isinstance(got, str),
        "the parameters have other names or shapes than those given: leave __init__ "
        "as it is, or the trained weights do not fit",
    )


@task(
    "Decoder",
    points=2,
    needs=("attention", "decoder_mask", "rope", "multi_head", "Block"),
    hints=(
        "Ids become vectors, the vectors go through the blocks one after another, and "
        "the last step compares them with every token's vector.",
        "Mask and positions are the same for all blocks: make them once, from T = "
        "ids.shape[1] and the two switches. The scores are a product with the "
        "transposed embedding matrix.",
        "x = the embedding of ids; in a loop over self.blocks, x becomes block(x, mask, "
        "positions); then self.final_norm, then @ with self.tok_emb.weight, transposed. "
        "No softmax: logits are wanted.",
    ),
)
def check_decoder(student: Student) -> None:
    """Decoders with random weights and all switches, against lmcore's GPT."""
    draw = _random(student)
    generator = torch.Generator().manual_seed(student.torch_seed)
    for causal, rotary in ((True, True), (True, False), (False, True), (False, False)):
        model = _course_decoder(draw, n_layers=3)
        B, T = {True: (2, 5), False: (3, 4)}[rotary]
        ids = torch.randint(7, (B, T), generator=generator)
        weights = _plain_names(model.state_dict())
        args = [7, 8, 3, 2, 12, causal, rotary]
        words = f"Decoder(7, 8, 3, 2, 12, causal={causal}, rotary={rotary})"
        words += f", ids of shape {(B, T)}"
        got = _probe_module(student, words, probe_decoder, args, weights, ids)
        with torch.no_grad():
            causes = _wrong_logits(model, ids, causal, rotary)
            right = true_logits(model, ids, causal, rotary)
            _hold(student, got["output"], right, causes=causes)
            _later_calls(student, words, got, model, (ids, causal, rotary))
        _demand_gradients(student, got)
        student.called = f"{words}: the gradient of tok_emb.weight"
        true_logits(model, ids, causal, rotary).square().sum().backward()
        cause = "the matrix is used twice, and both uses have a gradient: no .data"
        grad = model.tok_emb.weight.grad
        student.expect(got["grad"], grad, causes={cause: lambda got: True}, **CLOSE)


def _later_calls(
    student: Student, words: str, got: dict[str, Any], model: GPT, args: tuple
) -> None:
    """What the same decoder gives when it is called again."""
    ids, causal, rotary = args
    longer = torch.cat([ids, ids[:, :2]], dim=1)
    again = {
        "longer": (f"called again, with {longer.shape[1]} ids", longer, causal, rotary),
        "eval": ("called again after .eval()", ids, causal, rotary),
        "switched": (
            f"called again after causal = {not causal}, rotary = {not rotary}",
            ids,
            not causal,
            not rotary,
        ),
    }
    cause = (
        "something is kept from the first call, or from __init__; the length and the "
    )
    cause += "switches may change, so look at them in forward"
    before = true_logits(model, ids, causal, rotary)
    for key, (when, *now) in again.items():
        student.called = f"{words}, {when}"
        causes: dict[str, Any] = _wrong_logits(model, *now)
        if key == "switched":
            causes = {cause: before} | causes
        causes[f"the first call was right; {cause}"] = lambda got: True
        _hold(student, got[key], true_logits(model, *now), causes=causes)


def _course_decoder(draw: Callable[..., Tensor], n_layers: int = 2) -> GPT:
    """A small GPT of the lab's kind."""
    config = GPTConfig(
        vocab_size=7,
        max_seq_len=8,
        d_model=8,
        n_layers=n_layers,
        n_heads=2,
        d_ff=12,
        bias=False,
        norm="rms",
        ff="swiglu",
        positions="rope",
    )
    model = GPT(config).to(f64)
    _fill(model, draw)
    return model


def true_logits(
    model: GPT,
    ids: Tensor,
    causal: bool,
    rotary: bool,
    *,
    start: int = 0,
    which: slice = slice(None),
    scale: float = 1.0,
    norm: bool = True,
    scores: bool = True,
) -> Tensor:
    """A GPT's logits with parts switched off; with mistakes, to recognise them.

    Args:
        model: lmcore's.
        ids: (B, T).
        causal: Whether positions see only the past.
        rotary: Whether RoPE turns.
        start: The first position.
        which: The blocks that run.
        scale: What the embeddings are multiplied by.
        norm: Whether the final norm does.
        scores: Whether the product with the embedding does.
    """
    x = model.tok_emb(ids) * scale
    width = model.config.head_width
    rotation = None
    if rotary:
        rotation = tuple(r.to(x.dtype) for r in _rotation(width, ids.shape[1], start))
    for block in model.blocks[which]:
        x = block(x, causal=causal, rotation=rotation)
    x = model.final_norm(x) if norm else x
    return model.lm_head(x) if scores else x


def _wrong_logits(model: GPT, ids: Tensor, causal: bool, rotary: bool) -> dict:
    """What mistakes make of the logits."""
    right = true_logits(model, ids, causal, rotary)

    def wrong(causal: bool = causal, rotary: bool = rotary, **mistakes: Any) -> Tensor:
        return true_logits(model, ids, causal, rotary, **mistakes)

    states = wrong(scores=False)
    return {
        "these are the hidden states; the product with the embedding matrix is "
        "missing": states,
        "final_norm is missing": wrong(norm=False),
        "some blocks do not run, or their result is lost: x = block(x, ...), for all "
        "of self.blocks": lambda got: any(
            same(got, wrong(which=part), **CLOSE)
            for part in (slice(0), slice(1), slice(2), slice(-1, None))
        ),
        "the embeddings are used as they are, without a factor": (
            lambda got: same(got, wrong(scale=model.config.d_model**0.5), **CLOSE)
        ),
        "self.causal is for the mask and self.rotary for the positions": (
            lambda got: (
                causal != rotary
                and same(got, wrong(causal=rotary, rotary=causal), **CLOSE)
            )
        ),
        "without self.causal there must be no mask": wrong(causal=True),
        "with self.causal each block must get the causal mask": wrong(causal=False),
        "self.rotary switches the positions on and off": wrong(rotary=not rotary),
        "positions count from 0": wrong(start=1),
        "this is a softmax; logits are wanted, the losses do the rest": (
            lambda got: same(got, right.softmax(-1), **CLOSE)
        ),
        "this is a log softmax; logits are wanted": (
            lambda got: same(got, right.log_softmax(-1), **CLOSE)
        ),
        "only the last position came back; logits of all positions are wanted": (
            lambda got: same(got.flatten(), right[:, -1].flatten(), **CLOSE)
        ),
    }


# -------------------------------------------------------------------- task 6: leaks

N_TOKENS, N_PLACES = 51, 12


class Mixer:
    """A language model whose scores at t are a sum over positions, A[t, s] of each.

    Args:
        A: (T, T), who hears whom.
        table: What a token says, (V, V).
        noise: How far two runs may lie apart, as on a GPU.
        quiet: Weight of a mean over the whole sequence that raises the score of token
            0 at position 3 and lowers that of token 1. Both are so low that they never
            become the most probable, and their sum stays.
        fall: How far all scores fall when one later 0 becomes another token.
    """

    def __init__(
        self,
        A: Tensor,
        table: Tensor,
        noise: float = 0.0,
        quiet: float = 0.0,
        fall: float = 0.0,
    ) -> None:
        self.A, self.table, self.noise = A, table, noise
        self.quiet, self.fall = quiet, fall
        self.generator = torch.Generator().manual_seed(0)

    def __call__(self, ids: Tensor) -> Tensor:
        """(B, T) to (B, T, V)."""
        n, says = ids.shape[1], self.table[ids]
        logits = self.A[:n, :n] @ says
        if self.quiet:
            heard = self.quiet * says[..., 0].mean(1, keepdim=True)
            logits[..., :2] -= 60
            logits[:, 3:4, 0] += heard
            logits[:, 3:4, 1] -= heard
        zeros = (ids == 0).long()
        later = zeros.flip(1).cumsum(1).flip(1) - zeros
        logits = logits + self.fall * later[..., None]
        moved = torch.rand(logits.shape, dtype=f64, generator=self.generator) - 0.5
        return logits + self.noise * moved


def _one(t: int, s: int, size: float = 6.0) -> Tensor:
    """A matrix with one entry."""
    matrix = torch.zeros(N_PLACES, N_PLACES, dtype=f64)
    matrix[t, s] = size
    return matrix


SOUND = {
    "a sound model": "",
    "a sound model in which each position sees only itself": "",
    "a sound model that does not see its own token, only earlier ones": "",
    "a sound model, two runs of which differ by a millionth": "rounding is no leak: "
    "compare with a tolerance, not for equality",
    "a sound Transformer": "",
}
BROKEN = {
    "a model in which each position sees the whole text": "",
    "a model whose mask is off by one, so that each position sees the next": "at t the "
    "token t + 1 is the future already; do the rows that you compare reach far enough?",
    "a model with the mask transposed": "",
    "a model in which only position 3 sees position 4": "try every position, not only "
    "one; and compare all rows before it",
    "a model in which only position 0 sees position 1": "begin with the token at 1: row "
    "0 must not hear it",
    "a model in which only position 0 sees the last token": "compare all rows before "
    "the token that you change, not only the neighbour; and change the last one, too",
    "a model in which only the last but one sees the last token": "change the last "
    "token, too, and compare the row before it",
    "a model in which each position sees the one 7 places ahead": "the leak may be "
    "anywhere: compare all earlier rows, not only the neighbour",
    "a model in which two scores at position 3 hear the whole text": "the change is "
    "small, a few thousandths in two scores, up in one and down in the other: is the "
    "tolerance too large, or are differences averaged, summed or squared, or only the "
    "most probable tokens compared?",
    "a model whose scores fall when a later 0 is replaced": "",
    "a Transformer without a mask": "",
}


@lru_cache
def suspects(seed: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """The models, by what they are."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=f64, generator=generator)

    A, table = draw(N_PLACES, N_PLACES), draw(N_TOKENS, N_TOKENS)
    A = A + 2 * A.sign()  # no entry is small
    past, ahead = A.tril(), torch.ones_like(A).triu(7).tril(7)
    last = N_PLACES - 1
    transformers: list = []
    for causal in (True, False):
        config = _course_decoder(draw).config.replace(vocab_size=N_TOKENS)
        model = GPT(config.replace(max_seq_len=N_PLACES)).to(f64)
        _fill(model, draw)
        transformers.append(
            lambda ids, m=model, c=causal: true_logits(m, ids, c, True).detach()
        )
    made = [
        Mixer(past, table),
        Mixer(torch.eye(N_PLACES, dtype=f64), table),
        Mixer(A.tril(-1), table),
        Mixer(past, table, noise=2e-6),
        transformers[0],
        Mixer(A, table),
        Mixer(A.tril(1), table),
        Mixer(A.triu(), table),
        Mixer(past + _one(3, 4), table),
        Mixer(past + _one(0, 1), table),
        Mixer(past + _one(0, last), table),
        Mixer(past + _one(last - 1, last), table),
        Mixer(past + 0.5 * ahead, table),
        Mixer(past, table, quiet=0.024),
        Mixer(past, table, fall=0.5),
        transformers[1],
    ]
    return dict(zip([*SOUND, *BROKEN], made, strict=True))


def probe_leaks(
    names: dict[str, Any], seed: int, ids: Tensor, words: str
) -> dict[str, Any]:
    """What the student's test says of one model, and whether ids stayed."""
    given = ids.clone()
    said = names["leaks"](suspects(seed)[words], given)
    if isinstance(said, Tensor) and said.numel() == 1 and said.dtype == torch.bool:
        said = bool(said)
    if type(said).__name__ in ("bool", "bool_"):
        said = bool(said)
    return {"said": said, "kept": torch.equal(given, ids)}


LEAK_ERRORS = {
    "index out of range": "ids go from 0 to V - 1, and V is the last size of the "
    "logits: the token that you put in must be one of them",
    "out of bounds": "ids go from 0 to V - 1, and V is the last size of the logits: the "
    "token that you put in must be one of them",
    "backward": "ids are whole numbers and have no gradient; change a token and compare",
    "require grad": "ids are whole numbers and have no gradient; change a token and "
    "compare",
    "requires_grad": "ids are whole numbers and have no gradient; change a token and "
    "compare",
    "non-empty": "no token stands before position 0: begin with position 1",
    "numel() == 0": "no token stands before position 0: begin with position 1",
}


@task(
    "leaks",
    points=4,
    hints=(
        "Run the model twice, on ids that differ in one place. Which rows of the logits "
        "should not have moved?",
        "If the token at t changes, all rows before t must stay. Do this for every t, "
        "and make sure that the new token is another one, and a valid one.",
        "In a loop over positions: clone ids, put another token there (the old id plus "
        "one, modulo V), run the model, take the largest absolute difference of the rows "
        "before it, and compare with a tolerance between 0.00001 and 0.001.",
    ),
)
def check_leaks(student: Student) -> None:
    """The student's test against sound and broken models."""
    seed = student.torch_seed
    generator = torch.Generator().manual_seed(student.torch_seed)
    ids = torch.randint(N_TOKENS, (2, N_PLACES), generator=generator)
    ids[0, :6] = torch.tensor([0, 1, N_TOKENS - 1, 0, N_TOKENS - 1, 0])
    falling = next(name for name in BROKEN if "fall" in name)
    order = [name for pair in zip(SOUND, BROKEN, strict=False) for name in pair]
    order += [name for name in BROKEN if name not in order and name != falling]
    alike = [*SOUND][:2] + [*BROKEN][:4]
    for words in order:
        _hold_leaks(student, seed, ids, words, "random ids")
    for token in (0, N_TOKENS - 1, N_TOKENS // 2):
        names = [*alike, falling] if token == 0 else alike
        title = f"ids that are all {token}, V = {N_TOKENS}"
        for words in names:
            _hold_leaks(student, seed, torch.full_like(ids, token), words, title)


def _hold_leaks(
    student: Student, seed: int, ids: Tensor, words: str, title: str
) -> None:
    """One model."""
    try:
        got = student.probe(probe_leaks, seed, ids, words)
    except NotWritten:
        raise
    except CheckFailed as failure:
        _explain(failure, LEAK_ERRORS)
    student.called = f"leaks(model, ids) with {title} and {words}"
    student.demand(got["kept"], "ids were changed: work on a copy, ids.clone()")
    said, broken = got["said"], words in BROKEN
    if not isinstance(said, bool):
        missing = " (is there a `return`?)" if said is None else ""
        student.fail(f"expected True or False, got {kind_of(said)}{missing}")
    if said == broken:
        return
    cause = (BROKEN if broken else SOUND)[words]
    if not cause and not broken:
        cause = (
            "when the token at t changes, row t and those after it may change; only "
            "the rows before t must not"
        )
    if not cause:
        cause = (
            "no earlier row was seen to move. Is the new token another one than the "
            "old, and are the right rows compared?"
        )
    if broken and "fall" in words:
        cause = (
            "here every change makes scores smaller; how far they move, .abs(), counts"
        )
    elif broken and title != "random ids":
        cause = "the token that you put in may be the one that stood there already"
    student.fail(f"expected {broken}, got {said}\nLikely cause: {cause}")


# ------------------------------------------------------------ task 7: the measurement

ROWS = ("trained", "no mask", "no positions", "no scale")


@lru_cache
def trained_model() -> tuple[GPT, Any]:
    """The course's GPT and its tokenizer; see ``results/gpt_course``."""
    from lmcore.models.gpt_files import load_gpt

    model, tokenizer = load_gpt(RESULTS / "gpt_course")
    return model.eval(), tokenizer


def trained_weights() -> dict[str, Tensor]:
    """The trained weights under the names of the lab's Decoder, as copies."""
    weights = _plain_names(trained_model()[0].state_dict())
    return {name: value.clone() for name, value in weights.items()}


def trained_tokenizer() -> Any:
    """The tokenizer that it was trained with."""
    return trained_model()[1]


@lru_cache
def own_passages(name: str) -> tuple[Tensor, int]:
    """A student's eight passages of plays that the model has not seen.

    Args:
        name: What ``STUDENT`` says.

    Returns:
        Ids (8, 129), and the bytes of all tokens but the first of each row.
    """
    from lmcore.data import course_corpus

    text, tokenizer = course_corpus().test, trained_tokenizer()
    rng = Student(lambda request: {}, name, "").own_rng("passages of lab 5")
    rows = []
    for _ in range(8):
        start = rng.randrange(len(text) - 1_200)
        start = text.index("\n", start) + 1
        rows.append(tokenizer.encode(text[start : start + 1_000])[:129])
    n_bytes = sum(len(tokenizer.decode(row[1:]).encode()) for row in rows)
    return torch.tensor(rows), n_bytes


@lru_cache
@torch.no_grad()
def true_table(name: str) -> dict[str, float]:
    """Bits per byte of lmcore's own GPT on a student's passages, by row."""
    ids, n_bytes = own_passages(name)
    model, _ = trained_model()
    root = math.sqrt(model.config.head_width)

    def bits(causal: bool = True, rotary: bool = True) -> float:
        logits = true_logits(model, ids[:, :-1], causal, rotary).flatten(0, 1)
        nats = F.cross_entropy(logits, ids[:, 1:].flatten(), reduction="sum")
        return nats.item() / math.log(2) / n_bytes

    table = {
        "trained": bits(),
        "no mask": bits(causal=False),
        "no positions": bits(rotary=False),
    }
    projections = [block.attn.q_proj for block in model.blocks]
    kept = [projection.weight.clone() for projection in projections]
    for projection in projections:
        projection.weight.mul_(root)
    table["no scale"] = bits()
    for projection, weight in zip(projections, kept, strict=True):
        projection.weight.copy_(weight)
    return table


@task(
    "table",
    points=3,
    needs=("attention", "rope", "multi_head", "Block", "Decoder"),
    hints=(
        "Run the two cells of the experiment and copy what they print.",
        "STUDENT must be your name before you measure, and every task before this one "
        "must be right: the model is the course's, the code is yours.",
        'The form is {"trained": ..., "no mask": ..., "no positions": ..., '
        '"no scale": ...}, numbers with two digits after the point.',
    ),
)
def check_table(student: Student) -> None:
    """The student's four measurements, on passages of their own."""
    got = student.get("table")
    student.demand(
        isinstance(got, dict) and set(got) == set(ROWS),
        f"must be a dict with the keys {', '.join(ROWS)}",
    )
    numbers = [isinstance(got[row], int | float) for row in ROWS]
    student.demand(
        all(numbers), "must hold four numbers, as the experiment prints them"
    )
    expected = true_table(student.name)
    _, n_bytes = own_passages(student.name)

    def swapped(one: str, other: str) -> dict[str, float]:
        return expected | {one: expected[other], other: expected[one]}

    close = {"rtol": 0, "atol": 0.016}

    def fits(table: dict[str, float]) -> Callable[[Any], bool]:
        return lambda got: same(got, table, **close)

    per_token = {row: v * n_bytes / 1024 for row, v in expected.items()}
    nats = {row: v * math.log(2) for row, v in expected.items()}
    causes: dict[str, Callable[[], bool]] = {
        "give two digits after the point": (
            lambda: all(round(got[row], 1) == got[row] for row in ROWS)
        ),
        "these are bits per token; divide by the bytes of the text": (
            lambda: same(got, per_token, **close)
        ),
        "these are nats; bits are wanted": lambda: same(got, nats, **close),
        "two rows are swapped": lambda: any(
            same(got, swapped(one, other), **close) for one in ROWS for other in ROWS
        ),
        "the row before was not set back: was the cell run twice, or in parts?": (
            lambda: abs(got["trained"] - expected["trained"]) < 0.016
        ),
        "was it measured with another STUDENT, or before the tasks above were "
        "right?": lambda: True,
    }
    got = {row: float(got[row]) for row in ROWS}
    for row in ROWS:
        if not abs(got[row] - expected[row]) <= 0.016:  # nan is not close either
            cause = next(text for text, fits in causes.items() if fits())
            student.fail(
                f"[{row!r}] is {got[row]:.2f}, which does not fit your passages"
                f"\nLikely cause: {cause}"
            )


@lru_cache
def own_bytes(name: str) -> tuple[Tensor, Tensor]:
    """A student's three plays to train on, and passages of another one.

    Args:
        name: What ``STUDENT`` says.

    Returns:
        Windows of bytes (N, 65) and (64, 65).
    """
    from lmcore.data import shakespeare_split

    train, validation, _ = shakespeare_split()
    rng = Student(lambda request: {}, name, "").own_rng("plays of lab 5")
    long = [
        sorted(n for n in c.parts if len(c.parts[n]) > 9e4) for c in (train, validation)
    ]
    chosen = rng.sample(long[0], 3)
    text = "\n".join(train.parts[n][:90_000] for n in chosen)
    held_out = validation.parts[rng.choice(long[1])]
    return _windows(text), _windows(held_out)[::20][:64]


def _windows(text: str) -> Tensor:
    """Bytes below 128 in rows of 65 that overlap by one."""
    ids = torch.tensor(list(text.encode("ascii", errors="ignore")))
    return ids.unfold(0, 65, 64)


analysis = Written(
    "analysis",
    points=6,
    rubric=(
        "2 points: quotes `no mask` beside `trained` of task 7 and the small model's "
        "loss; says that the trained weights never learned to use what stands to the "
        "right (the extra keys only disturb the mix), while the small model was trained "
        "to copy it.",
        "2 points: quotes the loss as in writing, says that the answer was in the input, "
        "and names two other signs: for example a loss far below that of much larger "
        "models, samples that are rubbish, a last position much worse than the others, "
        "attention one place ahead.",
        "2 points: quotes the two losses, says that a causal model can tell how much "
        "stands before it (or: its own token from the others, through the residual "
        "connection) but not in which order, and that the trained model of task 7 had "
        "learned to rely on rope while the small one learned to do without.",
    ),
)

# -------------------------------------------------------------------- the stretch


def probe_pronounce(names: dict[str, Any], words: list[str]) -> Any:
    """The student's pronunciations; the words to learn from are read here."""
    from lmcore.data import pronunciation_splits

    return names["pronounce"](pronunciation_splits(stress=False).train, words)


def course_figures() -> list[tuple[float, str]]:
    """Phoneme error rates of chapter 08's Transformer, and under which conditions."""
    path = RESULTS / "spelling_transformer" / "result.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    early = record["validation_curve"][1]
    rate = "phoneme_error_rate"
    return [
        (record["test"][rate], f"after {record['cpu_seconds']:.0f} s of CPU time"),
        (early[rate], f"after {early['cpu_seconds']:.0f} s (on validation words)"),
    ]


@task(
    "pronounce",
    points=0,
    stretch=True,
    needs=("Block", "Decoder"),
    hints=(
        "Your Decoder continues a sequence. What must stand in a row so that what comes "
        "after the letters is the pronunciation? Which positions count in the loss?",
        "One vocabulary for letters, phonemes, a start and an end. Targets in front of "
        "the start are ignored. Words of one length can be continued together, without "
        "padding.",
        "Batches of similar length save half of the time. Warm up, then let the rate "
        "fall to 0; try learning rates around 0.004, batches of 32, widths of 64 to 128, "
        "and F.scaled_dot_product_attention for speed.",
    ),
)
def check_pronounce(student: Student) -> float:
    """Pronunciations of test words; gives the phoneme error rate."""
    from lmcore.data import pronunciation_splits
    from lmcore.metrics import error_rates

    test = pronunciation_splits(stress=False).test
    words = list(test)[::12]
    got = student.probe(probe_pronounce, words)
    student.called = "pronounce(known, words)"
    student.demand(
        isinstance(got, list | tuple) and len(got) == len(words),
        f"must give a list of {len(words)} tuples of phonemes, one for each word",
    )
    known = {p for sounds in test.values() for sound in sounds for p in sound}
    for word, sound in zip(words, got, strict=True):
        fine = isinstance(sound, list | tuple) and all(p in known for p in sound)
        student.demand(fine, f"{word!r}: a tuple of phonemes, such as ('Z', 'OW', 'N')")
    return error_rates([tuple(s) for s in got], [test[w] for w in words]).symbol
