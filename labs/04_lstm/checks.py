"""Checks of lab 4: an LSTM by hand. The reference is torch's own cell and its autograd.

A student may read this file: it holds inputs, common mistakes and hints, and no
solution. The grader runs its own copy, with inputs drawn from a secret. Functions whose
name begins with ``probe_`` run beside the student's code.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import permutations
from random import Random
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._functorch import eager_transforms

from lmcore.course.labs import CheckFailed, Student, Written, task
from lmcore.course.labs.compare import same
from lmcore.course.labs.serving import describe_error
from lmcore.course.labs.student import NotWritten
from lmcore.models.rnn_lm import RNNLM, RNNLMConfig, detach_state
from lmcore.optim import SGD, Adam, AdamW, Optimizer
from lmcore.rnn import Recurrent

LAB = "04_lstm"

State = tuple[Tensor, Tensor]
Weights = tuple[Tensor, Tensor, Tensor]

GATES = ("input gate", "forget gate", "candidate", "output gate")
f64 = torch.float64

# ------------------------------------------------------------------------- inputs


def draws(student: Student) -> Callable[..., Tensor]:
    """A function that draws normal numbers of a shape, from the check's seed."""
    generator = torch.Generator().manual_seed(student.torch_seed)
    return lambda *shape: torch.randn(shape, dtype=f64, generator=generator)


def new_weights(normal: Callable[..., Tensor], D: int, H: int) -> Weights:
    """Random weights of a layer."""
    return 0.7 * normal(4 * H, D), 0.7 * normal(4 * H, H), 0.7 * normal(4 * H)


def clear_weights(*biases: float) -> Weights:
    """One unit, one input, no weights: the biases alone decide."""
    b = torch.tensor(biases, dtype=f64)
    return torch.zeros(4, 1, dtype=f64), torch.zeros(4, 1, dtype=f64), b


def call(
    student: Student, words: str, slips: Mapping[str, str], *args: Any, **kwargs: Any
) -> Any:
    """Call the task's function; where it raises, add what that may come from.

    Args:
        student: Whose function.
        words: The call, as the message shall name it.
        slips: For words in the exception's text, their likely cause.
        *args: For the function.
        **kwargs: Likewise.
    """
    try:
        got = student.call(student.task, *args, **kwargs)
    except NotWritten:
        raise
    except CheckFailed as failure:
        text = str(failure)
        text = f"{student.task}: " + text.split(": ", 1)[1].replace(
            student.called, words
        )
        raise CheckFailed(text + likely(text, slips)) from None
    student.called = words
    return got


def probed(
    student: Student, slips: Mapping[str, str], function: Callable, *args: Any
) -> Any:
    """Probe; where the student's code raises, add what that may come from."""
    try:
        return student.probe(function, *args)
    except NotWritten:
        raise
    except CheckFailed as failure:
        text = str(failure)
        raise CheckFailed(text + likely(text, slips)) from None


def likely(text: str, slips: Mapping[str, str]) -> str:
    """The first cause whose words stand in a text."""
    if "raised " not in text:
        return ""
    found = next((cause for words, cause in slips.items() if words in text), "")
    return f"\nLikely cause: {found}" if found else ""


SHAPES = {
    "shapes cannot be multiplied": "W_x is (4H, D), one row for each number that comes "
    "out, so a product with a batch of rows needs its transpose; so does W_h",
    "size mismatch": "W_x is (4H, D), one row for each number that comes out, so a "
    "product with a batch of rows needs its transpose; so does W_h",
    "values to unpack": "what is taken apart has another number of parts. The four "
    "blocks lie side by side in the columns (dim=1); rows are the batch",
    "must match the size": "two tensors do not fit. Are the four blocks cut from the "
    "columns (dim=1), each (B, H)?",
}


def hold_digits(student: Student, got: Any, expected: Tensor) -> None:
    """Numbers of the type that was given, right to the last digits."""
    mine, given = (str(t.dtype).removeprefix("torch.") for t in (got, expected))
    student.demand(
        mine == given,
        f"the numbers are {mine}, and {given} is what was given\nLikely cause: "
        "torch.zeros makes float32 unless it is told a dtype (zeros_like keeps it); "
        ".float() and .int() change it",
    )
    gap = (torch.as_tensor(got) - expected).abs().max().item()
    student.demand(
        gap <= 1e-12 * max(1.0, expected.abs().max().item()),
        "the first digits are right and the last ones are not\nLikely cause: differences "
        "of finite steps, or float32 on the way; the formula in float64 is right to 14 "
        "digits",
    )


# ------------------------------------------------------------------- 1 · lstm_step


def true_step(x: Tensor, state: State, weights: Weights) -> State:
    """One step by torch's own cell."""
    W_x, W_h, b = weights
    return torch.lstm_cell(x, state, W_x, W_h, b, torch.zeros_like(b))


def scores(x: Tensor, state: State, weights: Weights) -> dict[str, Tensor]:
    """What goes into the sigmoids and the tanh, by letter."""
    W_x, W_h, b = weights
    z = nn.functional.linear(x, W_x, b) + nn.functional.linear(state[0], W_h)
    return dict(zip("ifgo", z.split(len(b) // 4, -1), strict=True))


def rows(weights: Weights, order: Tensor) -> Weights:
    """The weights with their rows in another order."""
    W_x, W_h, b = weights
    return W_x[order], W_h[order], b[order]


def opened(weights: Weights, gate: int) -> Weights:
    """The weights with one gate always at 1, as if it were not there."""
    W_x, W_h, b = (w.clone() for w in weights)
    H = len(b) // 4
    here = slice(gate * H, (gate + 1) * H)
    W_x[here], W_h[here], b[here] = 0.0, 0.0, 100.0
    return W_x, W_h, b


def wrong_steps(x: Tensor, state: State, weights: Weights) -> dict[str, Any]:
    """What mistakes in one step lead to."""
    h, c = state
    z, sigma = scores(x, state, weights), torch.sigmoid
    H = c.shape[1]
    blocks = torch.arange(4 * H).view(4, H)
    orders = [rows(weights, blocks[list(p)].flatten()) for p in permutations(range(4))]
    right_h, right_c = true_step(x, state, weights)
    closed = (
        sigma(z["f"]) * c + sigma(z["i"]) * sigma(z["g"]),
        torch.tanh(z["f"]) * c + torch.tanh(z["i"]) * torch.tanh(z["g"]),
        sigma(z["f"]) * c + sigma(z["i"]) * z["g"],
    )

    def ramp(z: Tensor) -> Tensor:
        return (0.2 * z + 0.5).clamp(0, 1)

    def shown(cell: Tensor, gate: Callable[[Tensor], Tensor] = sigma) -> State:
        return gate(z["o"]) * torch.tanh(cell), cell

    def is_state(value: State) -> Callable[[Any], bool]:
        return lambda got: same(got, value)

    return {
        "both h' and c' are wanted, as a pair": lambda got: (
            not isinstance(got, list | tuple)
        ),
        "a state has two axes, (B, H), also for one row or one unit: squeeze takes them "
        "away": lambda got: any(getattr(part, "ndim", 2) < 2 for part in got),
        "h' comes first, then c'": (right_c, right_h),
        "the candidate g goes through tanh, not through the sigmoid": shown(closed[0]),
        "gates go through the sigmoid; tanh is for the candidate": lambda got: (
            same(got[1], closed[1]) and not same(right_c, closed[1])
        ),
        "the candidate goes through tanh": shown(closed[2]),
        "the old c must be kept: c' has a term with the forget gate": (
            true_step(x, (h, torch.zeros_like(c)), weights)
        ),
        "the old h does not matter in your step: the term with W_h": (
            true_step(x, (torch.zeros_like(h), c), weights)
        ),
        "the bias b is missing": (
            true_step(x, state, (*weights[:2], torch.zeros_like(weights[2])))
        ),
        "the bias b is added twice": (
            true_step(x, state, (*weights[:2], 2 * weights[2]))
        ),
        "what is let in is i times g; the input gate is not 1 - f": shown(
            sigma(z["f"]) * c + (1 - sigma(z["f"])) * torch.tanh(z["g"])
        ),
        "the sigmoid is 1 / (1 + exp(-z)); a ramp of straight lines is not it": shown(
            ramp(z["f"]) * c + ramp(z["i"]) * torch.tanh(z["g"]), ramp
        ),
        "the input gate is missing: what is added is i times g": (
            true_step(x, state, opened(weights, 0))
        ),
        "the forget gate is missing: what is kept is f times c": (
            true_step(x, state, opened(weights, 1))
        ),
        "the output gate is missing: h' is o times tanh(c')": (
            true_step(x, state, opened(weights, 3))
        ),
        "h' is o times tanh(c'); the tanh is missing": (
            sigma(z["o"]) * right_c,
            right_c,
        ),
        "h' is computed from the old c; it shows the new one": (
            sigma(z["o"]) * torch.tanh(c),
            right_c,
        ),
        "the four blocks are taken in another order; it is i, f, g, o (input, forget, "
        "candidate, output)": lambda got: any(
            same(got, true_step(x, state, other)) for other in orders[1:]
        ),
        "each gate is a block of H neighbouring rows of W_x, not every fourth row": (
            is_state(
                true_step(
                    x, state, rows(weights, blocks.flatten().view(H, 4).T.flatten())
                )
            )
        ),
    }


@task(
    "lstm_step",
    points=3,
    hints=(
        "One matrix product with W_x, one with W_h, a bias: that gives all four blocks "
        "side by side, (B, 4H). The rest goes number by number.",
        "Rows of W_x are what comes out, so the batch is multiplied by its transpose. "
        "Tensor.chunk(4, dim=1) cuts (B, 4H) into four of (B, H), in the order i, f, g, "
        "o. Three of them go through torch.sigmoid, the third one through torch.tanh.",
        "The new cell is forget gate times old cell plus input gate times candidate; "
        "what it shows is output gate times tanh of the new cell. Return the shown one "
        "first. Make new tensors: c *= ... would change what you were given.",
    ),
)
def check_lstm_step(student: Student) -> None:
    """Gates by hand, then random weights."""
    normal = draws(student)
    one = torch.tensor([[0.3]], dtype=f64), torch.tensor([[0.5]], dtype=f64)
    x = torch.tensor([[1.0]], dtype=f64)
    cases = [
        (x, one, clear_weights(0.0, 100.0, 0.0, 100.0)),
        (x, one, clear_weights(100.0, -100.0, 1.0, 100.0)),
    ]
    cases += [
        (normal(B, D), (normal(B, H), normal(B, H)), new_weights(normal, D, H))
        for B, D, H in ((1, 2, 1), (3, 2, 5), (2, 4, 3))
    ]
    for x, state, weights in cases:
        if x.numel() == 1:
            words = f"lstm_step with the biases {weights[2].tolist()}, W_x and W_h zero"
        else:
            B, D = x.shape
            words = f"lstm_step with B = {B}, D = {D}, H = {state[0].shape[1]}"
        got = call(student, words, SHAPES, x, state, weights)
        right = true_step(x, state, weights)
        causes = {} if same(got, right) else wrong_steps(x, state, weights)
        labelled(student, got, right, ("c'", "h'"), (1, 0), causes)


def labelled(
    student: Student,
    got: Any,
    expected: State,
    names: Sequence[str],
    places: Sequence[int],
    causes: Mapping[str, Any],
) -> None:
    """Hold a pair against the right one, each part under its name.

    Args:
        student: Whose result.
        got: The result; causes are tried on the whole of it.
        expected: The right pair.
        names: Of the parts, in the order in which they are looked at.
        places: Where each stands in the pair.
        causes: Of a difference.
    """
    whole = {
        text: (lambda _, cause=cause: fits(cause, got))
        for text, cause in causes.items()
    }
    if not isinstance(got, list | tuple) or len(got) != 2:
        student.expect(got, expected, causes=whole)
    call_words = student.called
    for name, place in zip(names, places, strict=True):
        student.called = f"{call_words}, {name}"
        student.expect(got[place], expected[place], causes=whole, atol=1e-7)
        hold_digits(student, got[place], expected[place])
    student.called = call_words


def fits(cause: Any, got: Any) -> bool:
    """Whether a whole result is what a mistake leads to."""
    return bool(cause(got)) if callable(cause) else same(got, cause, atol=1e-7)


# -------------------------------------------------------------------- 2 · run_lstm


def true_run(
    x: Tensor, state: State, weights: Weights, lengths: Tensor | None = None
) -> tuple[Tensor, State]:
    """A layer by lmcore's own."""
    W_x, W_h, b = weights
    layer = Recurrent("lstm", x.shape[2], W_h.shape[1]).to(x.dtype)
    cell = layer.cells[0]
    with torch.no_grad():
        for mine, given in (
            (cell.weight_ih, W_x),
            (cell.weight_hh, W_h),
            (cell.bias_ih, b),
            (cell.bias_hh, torch.zeros_like(b)),
        ):
            mine.copy_(given)
        output, (h, c) = layer(x, tuple(s[None] for s in state), lengths)
    return output, (h[0], c[0])


def wrong_runs(
    x: Tensor, state: State, weights: Weights, lengths: Tensor | None
) -> dict[str, Any]:
    """What mistakes on the way through a sequence lead to."""
    T = x.shape[1]
    zeros = torch.zeros_like(state[0])
    right, (h, c) = true_run(x, state, weights, lengths)
    cells = torch.stack(
        [true_run(x[:, : t + 1], state, weights)[1][1] for t in range(T)], 1
    )
    causes: dict[str, Any] = {
        "two things are wanted: output, (h, c)": lambda got: (
            not isinstance(got, list | tuple) or len(got) != 2
        ),
        "output is one tensor: put the steps together with torch.stack": lambda got: (
            isinstance(got[0], list | tuple)
        ),
        "the steps start from zeros; they should start from the state that is given": (
            true_run(x, (zeros, zeros), weights, lengths)
        ),
        "output holds the c of each step, and h is wanted": lambda got: same(
            got[0][:, 0], cells[:, 0]
        ),
        "every step starts from the first state; it should start from what the step "
        "before left": lambda got: same(
            got[0][:, 1],
            true_run(x[:, 1:2], state, weights)[0][:, 0],
        ),
        "c is not carried from step to step": lambda got: same(
            got[0][:, 1],
            true_run(x[:, 1:2], (right[:, 0], state[1]), weights)[0][:, 0],
        ),
        "the last step is missing: are there T - 1 of them?": lambda got: same(
            got[0], right[:, :-1]
        ),
        "the state's parts are in the wrong order: (h, c)": lambda got: same(
            got[1], (c, h)
        ),
        "output holds the state before each step, and that after it is wanted": (
            lambda got: same(got[0][:, 0], state[0])
        ),
        "steps run backwards; the first step is x[:, 0]": lambda got: same(
            got[0][:, 0], true_run(x.flip(1), state, weights)[0][:, -1]
        ),
    }
    if lengths is None:
        return causes
    free, (free_h, free_c) = true_run(x, state, weights)
    real = torch.arange(T) < lengths[:, None]
    shifted = [true_run(x, state, weights, (lengths + k).clamp(1, T)) for k in (1, -1)]
    held = torch.where(real[..., None], right, h[:, None])
    over = lengths < T
    return causes | {
        "lengths are not used: this is the result without padding": (
            free,
            (free_h, free_c),
        ),
        "the last state is the one after the padding; it must stand still when a "
        "sequence is over": (right, (free_h, free_c)),
        "h stands still at the end of a sequence, c does not": lambda got: (
            same(got[0], right) and same(got[1][0], h)
        ),
        "c stands still at the end of a sequence, h does not": lambda got: (
            same(got[0], right) and same(got[1][1], c)
        ),
        "at padding the output must be 0; it repeats the last h": lambda got: same(
            got[0], held
        ),
        "a sequence is over one step too late or too early: steps count from 0, so t is "
        "real if t < length": lambda got: any(same(got, other) for other in shifted),
        "at padding the state becomes 0; it must stand still": lambda got: bool(
            (got[1][1][over] == 0).all() or (got[1][0][over] == 0).all()
        ),
        "at padding the output must be 0; what happens there is shown": lambda got: (
            same(got[0] * real[..., None], right)
        ),
        "the output is right, the last state is not: take each row's own last real "
        "step": lambda got: same(got[0], right),
    }


@task(
    "run_lstm",
    points=3,
    needs=("lstm_step",),
    hints=(
        "A loop over the steps, one call of lstm_step in each, the new h into a list. "
        "Then make it right for padding.",
        "x[:, t] is step t of all sequences, (B, D). torch.stack(..., dim=1) puts the "
        "list together as (B, T, H). Row by row: as long as t < length take the new "
        "state, afterwards keep the old one, h and c both.",
        "(t < lengths) is a vector of B booleans; unsqueeze(1) makes it (B, 1), which "
        "broadcasts over H. torch.where(condition, new, old) chooses number by number. "
        "Use it for h and for c; for the output choose between the new h and 0.",
    ),
)
def check_run_lstm(student: Student) -> None:
    """Without padding, then with it."""
    normal = draws(student)
    slips = {
        "'NoneType'": "lengths is None where nothing is padded: then every step is real",
        "NoneType": "lengths is None where nothing is padded: then every step is real",
        "at non-singleton dimension": "lengths has the shape (B,); to go with (B, H) it "
        "needs a second axis: unsqueeze(1)",
        "out of bounds": "x is (B, T, D), so the steps are x[:, t], and T is x.shape[1]",
        "ambiguous": "t < lengths is a vector with one answer for each row, not one for "
        "all: choose row by row with torch.where",
    } | SHAPES
    cases: list[tuple[int, int, list[int] | None, bool]] = [
        (1, 2, None, False),
        (2, 4, None, True),
        (2, 3, [1, 3], False),
        (4, 5, [3, 1, 5, 4], True),
        (3, 4, [2, 2, 2], True),
        (1, 3, [2], True),
    ]
    for B, T, counts, started in cases:
        D, H = 2, 3
        x, weights = normal(B, T, D), new_weights(normal, D, H)
        state = normal(B, H) * started, normal(B, H) * started
        words = f"run_lstm with B = {B}, T = {T}, D = {D}, H = {H}"
        words += ", from a given state" if started else ", from zeros"
        if counts is None:
            lengths = None
            got = call(student, words, slips, x, state, weights)
        else:
            lengths = torch.tensor(counts)
            words += f", lengths = {counts}"
            got = call(student, words, slips, x, state, weights, lengths)
        output, last = true_run(x, state, weights, lengths)
        fine = same(got, (output, last))
        causes = {} if fine else wrong_runs(x, state, weights, lengths)
        whole = {
            text: (lambda _, cause=cause, got=got: fits(cause, got))
            for text, cause in causes.items()
        }
        if not isinstance(got, list | tuple) or len(got) != 2:
            student.expect(got, (output, last), causes=whole)
        student.called = f"{words}; output"
        student.expect(got[0], output, causes=whole, atol=1e-7)
        hold_digits(student, got[0], output)
        student.called = f"{words}; the last state"
        labelled(student, got[1], last, ("h", "c"), (0, 1), whole)


# ------------------------------------------------------- 3 · step_back and 4 · bptt

NAMES = ("d_c", "d_b", "d_W_x", "d_W_h", "d_x", "d_h")  # in the order of looking


def probe_by_hand(names: dict[str, Any], function: str, *args: Any) -> dict[str, Any]:
    """Call a function with autograd switched off, and see whether it left its inputs."""
    before = [t.clone() for t in tensors_in(args)]
    with no_autograd():
        value = names[function](*args)
    kept = all(
        torch.equal(old, new) for old, new in zip(before, tensors_in(args), strict=True)
    )
    return {"value": value, "kept": kept}


@contextmanager
def no_autograd() -> Iterator[None]:
    """Autograd off, also for enable_grad and for the transforms of torch.func."""

    def refuse() -> None:
        raise RuntimeError("autograd is switched off")

    entrances = ("grad_increment_nesting", "jvp_increment_nesting")
    closed = mock.patch.multiple(eager_transforms, **dict.fromkeys(entrances, refuse))
    with torch.inference_mode(), closed:
        yield


def tensors_in(args: Sequence) -> list[Tensor]:
    """All tensors of nested tuples, in order."""
    found = []
    for one in args:
        found += [one] if isinstance(one, Tensor) else tensors_in(one)
    return found


def by_hand(student: Student, words: str, *args: Any) -> dict[str, Any]:
    """The task's gradients by name, after a look at their bundles."""
    slips = SHAPES | {
        "does not require grad": "this task is done by hand; autograd is switched off",
        "is switched off": "this task is done by hand; autograd is switched off",
        "NoneType": "what comes from later is zeros, not None, at the last step",
        "does not have a grad_fn": "this task is done by hand; autograd is switched off",
        "shapes cannot be multiplied": "a transpose is missing or stands at the wrong "
        "factor. d_z is (B, 4H), and d_W_x needs (4H, D), d_x needs (B, D)",
    }
    try:
        got = probed(student, slips, probe_by_hand, student.task, *args)
    except NotWritten:
        raise
    except CheckFailed as failure:
        text = str(failure).replace(f"`{student.task}` raised", f"{words} raised")
        raise CheckFailed(text) from None
    student.called = words
    value = got["value"]
    form = "expected d_x, (d_h, d_c), (d_W_x, d_W_h, d_b)"
    if value is None:
        student.fail(f"{form}, got None (is there a `return`?)")
    sizes = [len(part) if isinstance(part, list | tuple) else 1 for part in value]
    if not isinstance(value, list | tuple) or sizes != [1, 2, 3]:
        student.fail(f"{form}, got bundles of {sizes} tensors")
    student.demand(got["kept"], "what was given has changed: work on a copy")
    d_x, (d_h, d_c), (d_W_x, d_W_h, d_b) = value
    found = (d_c, d_b, d_W_x, d_W_h, d_x, d_h)
    return dict(zip(NAMES, found, strict=True))


def gradients(
    x: Tensor, state: State, weights: Weights, loss: Callable[..., Tensor]
) -> dict[str, Tensor]:
    """Gradients of a loss of (x, state, weights) by autograd, by name."""
    leaves = [t.clone().requires_grad_() for t in (x, *state, *weights)]
    x, h, c, *weights = leaves
    found = torch.autograd.grad(
        loss(x, (h, c), tuple(weights)), leaves, allow_unused=True
    )
    filled = [
        torch.zeros_like(leaf) if grad is None else grad
        for leaf, grad in zip(leaves, found, strict=True)
    ]
    d_x, d_h, d_c, d_W_x, d_W_h, d_b = filled
    return dict(zip(NAMES, (d_c, d_b, d_W_x, d_W_h, d_x, d_h), strict=True))


def true_back(
    x: Tensor, state: State, weights: Weights, d_state: State
) -> dict[str, Tensor]:
    """The gradients of one step."""

    def loss(*args: Any) -> Tensor:
        h, c = true_step(*args)
        return (h * d_state[0]).sum() + (c * d_state[1]).sum()

    return gradients(x, state, weights, loss)


def hold_gradients(
    student: Student,
    got: dict[str, Any],
    expected: dict[str, Tensor],
    mistakes: Callable[[], Callable[[str], dict[str, Any]]],
    order: Sequence[str] = NAMES,
) -> None:
    """Compare one gradient after the other.

    Args:
        student: Whose.
        got: By name.
        expected: The right ones.
        mistakes: Gives what mistakes lead to, by name; asked only if one differs.
        order: In which they are looked at.
    """
    words = student.called
    close = {"rtol": 1e-5, "atol": 1e-7}
    fine = all(same(got[name], expected[name], **close) for name in order)
    causes = (lambda name: {}) if fine else mistakes()
    h, c = expected["d_h"], expected["d_c"]
    if same(got["d_h"], c) and same(got["d_c"], h) and not same(h, c):
        student.fail("d_h and d_c are in the wrong order: (d_h, d_c)")
    for name in order:
        student.called = f"{words}, {name}"
        student.expect(got[name], expected[name], causes=causes(name), **close)
        hold_digits(student, got[name], expected[name])
    student.called = words


def wrong_back(
    x: Tensor, state: State, weights: Weights, d_state: State
) -> Callable[[str], dict[str, Any]]:
    """What mistakes in one step back lead to, by the gradient's name."""
    c, (d_h, d_c) = state[1], d_state
    z = scores(x, state, weights)
    i, f, o = (torch.sigmoid(z[k]) for k in "ifo")
    g = torch.tanh(z["g"])
    new_h, new_c = true_step(x, state, weights)
    zeros = torch.zeros_like(d_h)
    expected = true_back(x, state, weights, d_state)
    no_later = true_back(x, state, weights, (d_h, zeros))
    no_shown = true_back(x, state, weights, (zeros, d_c))
    flat = d_c + d_h * o
    delta = expected["d_c"] / f
    H, B = c.shape[1], len(x)
    blocks = torch.arange(4 * H).view(4, H)
    orders = [blocks[list(p)].flatten() for p in permutations(range(4))][1:]

    def factors(k: int) -> list[tuple[str, Tensor]]:
        """Mistakes in a block of d_z, as what would stand there."""
        cases: list[list[tuple[str, Tensor]]] = [
            [
                ("the slope of the sigmoid is missing", delta * g),
                (
                    "the slope is that of tanh; a gate has σ(1 - σ)",
                    delta * g * (1 - i**2),
                ),
                (
                    "the slope is taken of z; it needs σ(z)",
                    delta * g * z["i"] * (1 - z["i"]),
                ),
                ("the other factor of i in c' is g, not c", delta * c * i * (1 - i)),
                ("the factor g is missing", delta * i * (1 - i)),
            ],
            [
                ("the slope of the sigmoid is missing", delta * c),
                (
                    "the slope is that of tanh; a gate has σ(1 - σ)",
                    delta * c * (1 - f**2),
                ),
                (
                    "the slope is taken of z; it needs σ(z)",
                    delta * c * z["f"] * (1 - z["f"]),
                ),
                (
                    "the forget gate multiplies the old c, not the new one",
                    delta * new_c * f * (1 - f),
                ),
                ("the factor c is missing", delta * f * (1 - f)),
            ],
            [
                ("the slope of tanh is missing", delta * i),
                (
                    "g is tanh(z) already; the slope 1 - g² takes no tanh more",
                    delta * i * (1 - g.tanh() ** 2),
                ),
                (
                    "the slope is that of the sigmoid; the candidate has 1 - tanh²",
                    delta * i * g * (1 - g),
                ),
                (
                    "the slope is taken of z; it needs tanh(z)",
                    delta * i * (1 - z["g"] ** 2),
                ),
                ("1 - g² is wanted, not 1 - g", delta * i * (1 - g)),
                ("the factor i is missing", delta * (1 - g**2)),
            ],
            [
                ("the slope of the sigmoid is missing", d_h * new_c.tanh()),
                (
                    "the slope is that of tanh; a gate has σ(1 - σ)",
                    d_h * new_c.tanh() * (1 - o**2),
                ),
                (
                    "the slope is taken of z; it needs σ(z)",
                    d_h * new_c.tanh() * z["o"] * (1 - z["o"]),
                ),
                (
                    "the output gate multiplies tanh(c'), not c'",
                    d_h * new_c * o * (1 - o),
                ),
                (
                    "it shows the new cell, tanh(c'), not the old one",
                    d_h * c.tanh() * o * (1 - o),
                ),
                (
                    "o matters through h' alone, so it gets its share of what arrives "
                    "at h', not of δ",
                    delta * new_c.tanh() * o * (1 - o),
                ),
                ("the factor tanh(c') is missing", d_h * o * (1 - o)),
            ],
        ]
        return cases[k]

    def first_wrong_block(got: Any) -> int | None:
        for k in range(4):
            if not same(got[blocks[k]], expected["d_b"][blocks[k]], atol=1e-7):
                return k
        return None

    def in_block(k: int, block: Tensor) -> Callable[[Any], bool]:
        return lambda got: (
            first_wrong_block(got) == k
            and same(got[blocks[k]], block.sum(0), atol=1e-7)
        )

    def causes(name: str) -> dict[str, Any]:
        known: dict[str, Any] = {
            "the batch's rows are averaged; the gradient of a weight is their sum": (
                lambda got: B > 1 and same(got, expected[name] / B)
            )
        }
        if name == "d_c":
            bare = (*weights[:2], torch.zeros_like(weights[2]))
            known = {
                "the gates are computed without the bias b": (
                    true_back(x, state, bare, d_state)["d_c"]
                ),
                "what comes to c' by way of h' is missing in δ": no_shown["d_c"],
                "what arrives at c' from later steps is missing in δ": no_later["d_c"],
                "on its way from h' to c' the gradient passes tanh: the slope of tanh "
                "is missing": flat * f,
                "the slope of tanh is 1 - tanh²(c'), not 1 - c'²": (
                    (d_c + d_h * o * (1 - new_c**2)) * f
                ),
                "the slope of tanh is 1 - tanh²(c'); here it is taken of h'": (
                    (d_c + d_h * o * (1 - new_h**2)) * f
                ),
                "the slope of tanh is taken at the old c": (
                    (d_c + d_h * o * (1 - c.tanh() ** 2)) * f
                ),
                "h' is o times tanh(c'), so the factor o is missing in δ": (
                    (d_c + d_h * (1 - new_c.tanh() ** 2)) * f
                ),
                "this is δ, the gradient of c'; the old c is kept by the forget gate, "
                "so one factor is missing": delta,
                "the old c is multiplied by f, not by i": delta * i,
            }
        elif name == "d_b":
            known |= {
                "b was added to every row of the batch: sum over the batch": (
                    lambda got: got.ndim == 2 and got.shape[0] == B
                ),
                "the four blocks are put together in another order; it is i, f, g, o": (
                    lambda got: any(same(got, expected["d_b"][p]) for p in orders)
                ),
            }
            for k, gate in enumerate(GATES):
                for words, block in factors(k):
                    known[f"in the block of the {gate}: {words}"] = in_block(k, block)
            for k, gate in enumerate(GATES):
                known[
                    f"the block of the {gate} is wrong, the first of the four that is"
                ] = lambda got, k=k: first_wrong_block(got) == k
        elif name == "d_W_h":
            known |= {
                "W_h is multiplied by the old h, not by the new one": lambda got: same(
                    got,
                    torch.outer(expected["d_b"], new_h[0])
                    if B == 1
                    else got * math.nan,
                ),
                "d_W_x and d_W_h are in the wrong order": expected["d_W_x"],
            }
        elif name == "d_W_x":
            known |= {"d_W_x and d_W_h are in the wrong order": expected["d_W_h"]}
        elif name == "d_h":
            known = {
                "what arrives at h' is added; the old h matters through z alone": (
                    expected["d_h"] + d_h
                ),
                "this is what arrived at h', handed on as it came": d_h,
            }
        if name.startswith("d_W"):
            known["a gradient has the shape of what it belongs to: transpose it"] = (
                lambda got: (
                    got.shape != expected[name].shape and same(got.T, expected[name])
                )
            )
        if name in ("d_x", "d_h"):
            known["all four blocks lead back to it: multiply the whole of d_z"] = (
                lambda got: got.shape == expected[name].shape
            )
        return known

    return causes


@task(
    "step_back",
    points=4,
    needs=("lstm_step",),
    hints=(
        "Compute the step anew and keep i, f, g, o and tanh(c'). Then go back in the "
        "order of the list: δ first, then the four gates, then z, then the linear layer.",
        "δ is what arrives at c' plus what arrives at h' times o times (1 - tanh²(c')). "
        "Each product hands on what arrives times its other factor: f gets δ times the "
        "old c, the old c gets δ times f, and so on. o gets what arrives at h' times "
        "tanh(c'). Each gate then multiplies by its own slope.",
        "torch.cat of the four blocks along dim=1, in the order i, f, g, o, is d_z, "
        "(B, 4H). Then as for any linear layer, and the shapes tell where the transposes "
        "stand: d_x is (B, D) from (B, 4H) and (4H, D); d_W_x is (4H, D) from (B, 4H) "
        "and (B, D); d_b sums the rows. W_h and h go like W_x and x.",
    ),
)
def check_step_back(student: Student) -> None:
    """Against autograd, in float64."""
    normal = draws(student)
    for B, D, H in ((1, 2, 1), (1, 2, 3), (3, 4, 2)):
        state, d_state = (normal(B, H), normal(B, H)), (normal(B, H), normal(B, H))
        args = normal(B, D), state, new_weights(normal, D, H), d_state
        words = f"step_back with B = {B}, D = {D}, H = {H}"
        got = by_hand(student, words, *args)
        hold_gradients(student, got, true_back(*args), partial(wrong_back, *args))


def true_bptt(
    x: Tensor,
    state: State,
    weights: Weights,
    d_output: Tensor,
    *,
    through_h: bool = True,
    through_c: bool = True,
    shift: int = 0,
    forwards: bool = False,
) -> dict[str, Tensor]:
    """Gradients through time by autograd; with mistakes, to recognise them.

    Args:
        x: Inputs.
        state: The first state.
        weights: Of the layer.
        d_output: What arrives at each h.
        through_h: Whether gradients go from step to step through h.
        through_c: Likewise through c.
        shift: How many steps too late the states are taken that a step starts from.
        forwards: Whether the sweep goes from the first step to the last.
    """
    T = x.shape[1]
    values = [state]
    for t in range(T + 1):
        values.append(true_step(x[:, min(t, T - 1)], values[-1], weights))

    def loss(x: Tensor, first: State, weights: Weights) -> Tensor:
        linked, total = first, torch.zeros((), dtype=f64)
        for t in reversed(range(T)) if forwards else range(T):
            start = tuple(  # the value from the table, the gradient from the link
                value.detach() + passes * (link - link.detach())
                for value, link, passes in zip(
                    values[t + shift], linked, (through_h, through_c), strict=True
                )
            )
            if t == 0 and not forwards:
                start = tuple(
                    value.detach() + link - link.detach()
                    for value, link in zip(values[shift], first, strict=True)
                )
            linked = true_step(x[:, t], start, weights)
            total = total + (linked[0] * d_output[:, t]).sum()
        return total

    return gradients(x, state, weights, loss)


def wrong_bptt(
    x: Tensor, state: State, weights: Weights, d_output: Tensor
) -> Callable[[str], dict[str, Any]]:
    """What mistakes on the way back through time lead to."""
    args = x, state, weights, d_output
    T = x.shape[1]
    right = true_bptt(*args)
    last = torch.zeros_like(d_output)
    last[:, -1] = d_output[:, -1]
    doubled = d_output.clone()
    doubled[:, -1] *= 2
    variants = {
        "the gradient of the last output counts twice": true_bptt(
            x, state, weights, doubled
        ),
        "what comes back from the next step is missing: what step_back gives for the "
        "state arrives at the step before": true_bptt(
            *args, through_h=False, through_c=False
        ),
        "what comes back through h is missing: the d_h of the later step adds to "
        "d_output[:, t]": true_bptt(*args, through_h=False),
        "what comes back through c is missing: hand on d_c too": true_bptt(
            *args, through_c=False
        ),
        "only the last output sends a gradient; each step has its own d_output[:, t]": (
            true_bptt(x, state, weights, last)
        ),
        "step t must start from the state before it; here it is the one after it": (
            true_bptt(*args, shift=1)
        ),
        "the steps are walked from the first to the last; go from the last to the "
        "first": true_bptt(*args, forwards=True),
    }
    zeros = torch.zeros_like(state[0])
    variants["the steps start from zeros; they should start from the state given"] = (
        true_bptt(x, (zeros, zeros), weights, d_output)
    )
    shares = _shares(*args)

    def causes(name: str) -> dict[str, Any]:
        known: dict[str, Any] = {text: found[name] for text, found in variants.items()}
        known["the steps' shares are averaged; they add up"] = right[name] / T
        if name in shares[0]:
            known[
                "the first step, t = 0, is left out; or is `return` inside of the loop?"
            ] = lambda got: (
                same(got, 0)
                or (T > 1 and same(got, sum(share[name] for share in shares[1:])))
            )
            known[
                "one step's share alone is left: the weights are the same at all steps, "
                "so the shares add up (+)"
            ] = lambda got: T > 1 and any(same(got, share[name]) for share in shares)
        if name == "d_x":
            known["the steps are in reversed order; the last one was made first"] = (
                lambda got: same(got, right["d_x"].flip(1))
            )
        if name in ("d_h", "d_c"):
            known[
                "the gradient of the first state is what step_back gives at the first "
                "step"
            ] = lambda got: True
        return known

    return causes


def _shares(
    x: Tensor, state: State, weights: Weights, d_output: Tensor
) -> list[dict[str, Tensor]]:
    """What each step adds to the gradients of the weights."""
    T = x.shape[1]
    copies = [tuple(w.clone().requires_grad_() for w in weights) for _ in range(T)]
    total = torch.zeros((), dtype=f64)
    for t in range(T):
        state = true_step(x[:, t], state, copies[t])
        total = total + (state[0] * d_output[:, t]).sum()
    return [
        dict(
            zip(
                ("d_W_x", "d_W_h", "d_b"),
                torch.autograd.grad(total, one, retain_graph=True),
                strict=True,
            )
        )
        for one in copies
    ]


@task(
    "bptt",
    points=3,
    needs=("lstm_step", "step_back"),
    hints=(
        "Two loops. Forwards with lstm_step, to keep the state before each step. "
        "Backwards with step_back, from the last step to the first.",
        "At step t arrives at h: d_output[:, t] plus the d_h that step t + 1 handed back; "
        "at c: the d_c that it handed back. At the last step nothing comes from later. "
        "The three gradients of the weights are sums over the steps.",
        "Start d_h and d_c at zeros and the three sums at zeros. In the loop over "
        "reversed(range(T)) call step_back with x[:, t], the state kept before step t, "
        "and the pair of what arrives; put d_x in its place, overwrite d_h and d_c, add "
        "to the sums. After the loop d_h and d_c belong to the first state.",
    ),
)
def check_bptt(student: Student) -> None:
    """Against autograd, in float64."""
    normal = draws(student)
    for B, T, D, H in ((1, 1, 2, 2), (1, 2, 2, 1), (1, 4, 2, 3), (3, 9, 4, 2)):
        x, state = normal(B, T, D), (normal(B, H), normal(B, H))
        args = x, state, new_weights(normal, D, H), normal(B, T, H)
        words = f"bptt with B = {B}, T = {T}, D = {D}, H = {H}"
        got = by_hand(student, words, *args)
        order = ("d_b", "d_W_x", "d_W_h", "d_x", "d_h", "d_c")
        mistakes = partial(wrong_bptt, *args)
        hold_gradients(student, got, true_bptt(*args), mistakes, order)


# --------------------------------------------------------------------- 5 · ByteLM

V, D, H = 12, 3, 5
WANTED = {
    "tok_emb.weight": (V, D),
    "W_x": (4 * H, D),
    "W_h": (4 * H, H),
    "b": (4 * H,),
    "lm_head.weight": (V, H),
    "lm_head.bias": (V,),
}


def probe_parameters(names: dict[str, Any], seed: int) -> dict[str, Any]:
    """Names and shapes of a small model's parameters, and a large one's first values."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        small = names["ByteLM"](V, D, H)
        large, other = (names["ByteLM"](256, 32, 64) for _ in range(2))
    first = {name: p.detach().clone() for name, p in large.named_parameters()}
    others = dict(other.named_parameters())
    return {
        "repeated": [
            name
            for name in ("tok_emb.weight", "W_x", "W_h", "lm_head.weight")
            if name in first and torch.equal(first[name], others[name])
        ],
        "shapes": {name: tuple(p.shape) for name, p in small.named_parameters()},
        "plain": [name for name in ("W_x", "W_h", "b") if hasattr(small, name)],
        "first": first,
    }


def probe_read(
    names: dict[str, Any], weights: dict[str, Tensor], ids: Tensor, at: int
) -> dict[str, Any]:
    """What a model with given weights makes of ids, whole and in two pieces."""
    model = names["ByteLM"](V, D, H)
    model.load_state_dict(weights, strict=False)  # buffers of one's own are fine
    found: dict[str, Any] = {}
    try:
        found["whole"] = model.read(ids)
        if len(found["whole"]) != 2:
            return found
        state = model.read(ids[:, :at])[1]
        found["second"] = model.read(ids[:, at:], state)
        found["forward"] = model(ids)
        for _ in range(8):  # chance may give the same once
            found["again"] = model.read(ids)[0].detach()
            if not torch.equal(found["again"], found["whole"][0]):
                break
        loss = found["whole"][0].logsumexp(-1).sum() - found["whole"][0][..., 0].sum()
        loss.backward()
    except NotImplementedError:
        raise
    except Exception as error:
        return {**found, "error": describe_error(error, names)}
    found["without"] = [
        name
        for name, p in model.named_parameters()
        if p.grad is None or not p.grad.any()
    ]
    return found


def course_model(weights: dict[str, Tensor]) -> RNNLM:
    """lmcore's model with these weights."""
    config = RNNLMConfig(
        vocab_size=V, input_size=D, hidden_size=H, n_layers=1, dropout=0.0, fused=False
    )
    model = RNNLM(config)
    cell = model.rnn.cells[0]
    pairs = [
        (model.tok_emb.weight, weights["tok_emb.weight"]),
        (cell.weight_ih, weights["W_x"]),
        (cell.weight_hh, weights["W_h"]),
        (cell.bias_ih, weights["b"]),
        (cell.bias_hh, torch.zeros_like(weights["b"])),
        (model.lm_head.weight, weights["lm_head.weight"]),
        (model.lm_head.bias, weights["lm_head.bias"]),
    ]
    with torch.no_grad():
        for mine, given in pairs:
            mine.copy_(given)
    return model


@task(
    "ByteLM",
    points=4,
    needs=("lstm_step", "run_lstm"),
    hints=(
        "__init__ makes five things and names them as the table does. read is a chain: "
        "ids to vectors, vectors through run_lstm, its output through lm_head.",
        "A tensor becomes a parameter, which an optimiser finds, when it is wrapped in "
        "nn.Parameter and given to self. torch.empty(...).uniform_(-a, a) draws evenly. "
        "The forget gate is the second of four blocks of H rows. With state=None start "
        "from two tensors of zeros, (B, H).",
        "self.tok_emb(ids) is (B, T, D), which is what run_lstm takes, together with the "
        "state and the bundle of W_x, W_h and b. Its first result goes through "
        "self.lm_head; its second is the state to return. Set b to zeros, then the slice "
        "from H to 2H of its data to 1.",
    ),
)
def check_byte_lm(student: Student) -> None:
    """Parameters, first values, logits against lmcore's, pieces, gradients."""
    got = student.probe(probe_parameters, student.torch_seed)
    student.called = f"ByteLM({V}, {D}, {H})"
    for name, shape in WANTED.items():
        if name not in got["shapes"]:
            extra = sorted(set(got["shapes"]) - set(WANTED))
            cause = (
                f"it has {', '.join(extra)}; see the table of names" if extra else ""
            )
            if name in got["plain"]:
                cause = f"{name} is a plain tensor: wrap it in nn.Parameter(...)"
            if name == "lm_head.bias" and "lm_head.weight" in got["shapes"]:
                cause = "lm_head has a bias"
            student.fail(
                f"no parameter `{name}`" + f"\nLikely cause: {cause}" * bool(cause)
            )
        if got["shapes"][name] != shape:
            student.fail(
                f"the parameter `{name}` has the shape {got['shapes'][name]}, expected "
                f"{shape}"
            )
    extra = sorted(set(got["shapes"]) - set(WANTED))
    student.demand(not extra, f"a parameter `{extra[:1]}` that the table does not have")
    student.called = "ByteLM(256, 32, 64)"
    _hold_first_values(student, got["first"])
    student.called = "ByteLM(256, 32, 64)"
    student.demand(
        not got["repeated"],
        f"a second model begins with the same {', '.join(got['repeated'])}\nLikely cause: "
        "torch.manual_seed in __init__; whoever makes the model chooses the seed",
    )
    normal, rng = draws(student), student.rng
    weights = {name: normal(*shape).float() for name, shape in WANTED.items()}
    for B, T in ((1, 4), (3, 5)):
        ids = torch.tensor([[rng.randrange(V) for _ in range(T)] for _ in range(B)])
        _hold_reading(student, weights, ids)


def _hold_first_values(student: Student, first: dict[str, Tensor]) -> None:
    """Even over ±1/√H, the forget gate's bias at 1, and PyTorch's as they are."""
    H = 64
    b = first["b"]
    expected = torch.zeros(4 * H)
    expected[H : 2 * H] = 1
    words = student.called
    student.called = f"{words}, the first value of b"
    ones = {tuple(expected.roll(k * H).tolist()) for k in (1, 2, 3)}
    student.expect(
        b,
        expected,
        causes={
            "the forget gate's bias begins at 1": torch.zeros(4 * H),
            "the blocks are i, f, g, o, so the forget gate is the second one: rows H to "
            "2H": lambda got: tuple(got.tolist()) in ones,
            "only the forget gate's bias begins at 1": torch.ones(4 * H),
        },
    )
    for name in ("W_x", "W_h"):
        values, bound = first[name], H**-0.5
        student.called = f"{words}, first values of {name}"
        most, spread = values.abs().max().item(), values.std().item()
        known = f"; they reach {most:.3f}, with a standard deviation of {spread:.3f}"
        student.demand(most > 0, "all are 0: draw them at random")
        student.demand(
            values.unique().numel() > 0.9 * values.numel(),
            "many numbers are equal\nLikely cause: one block is drawn and repeated; the "
            "four gates begin with different weights",
        )
        student.demand(
            most <= bound * 1.0001 and abs(spread / (bound / 3**0.5) - 1) < 0.05,
            f"they should be uniform over ±1/√H, ±{bound:.3f} here{known}\nLikely cause: "
            + _why_spread(values, bound),
        )

    for name, right in (
        ("tok_emb.weight", 1.0),  # normal
        ("lm_head.weight", (3 * H) ** -0.5),  # uniform over ±1/√H
    ):
        spread = first[name].std().item()
        student.called = f"{words}, first values of {name}"
        student.demand(
            abs(spread / right - 1) < 0.1,
            f"PyTorch's have a standard deviation of {right:.3f}, these {spread:.3f}: "
            "leave them as nn.Embedding and nn.Linear make them",
        )


def _why_spread(values: Tensor, bound: float) -> str:
    if values.min() >= 0:
        return "none is negative: torch.rand gives 0 to 1"
    if values.abs().max() > bound * 1.5:
        return "too wide: normal numbers (randn), or not divided by the root of H?"
    if values.abs().max() < bound * 0.9:
        return "too narrow: 1/√H with H the hidden size, not 4H, and not 1/H"
    if values.abs().max() > bound * 1.0001:
        return "another bound: it is 1/√H, with H the hidden size"
    return "are they uniform, not normal?"


def _hold_reading(student: Student, weights: dict[str, Tensor], ids: Tensor) -> None:
    """The logits of a model with these weights."""
    B, T = ids.shape
    at = T // 2
    got = student.probe(probe_read, weights, ids, at)
    words = student.called = f"model.read(ids) with ids of shape {(B, T)}"
    if "error" in got:
        error = got["error"]
        where = f", in the line `{error['line']}`" if error["line"] else ""
        text = f"raised {error['error']}: {error['message']}{where}"
        slips = {
            "does not require grad": "detach, .data or no_grad in `read`: no gradient "
            "can reach the parameters",
            "values to unpack": "a state is a pair, (h, c), and so is what read gives",
            "shapes cannot be multiplied": "are ids turned into vectors by tok_emb, and is "
            "the state (B, H)?",
        }
        student.fail(text + likely(text, slips))
    whole = got["whole"]
    if not isinstance(whole, list | tuple) or len(whole) != 2:
        student.fail("expected a pair: logits, and the state after the last id")
    student.called = f"{words} a second time"
    student.demand(
        same(got["again"], whole[0]),
        "the logits are others\nLikely cause: without a state nothing has been read; is "
        "one kept in self, or is there chance in `read`?",
    )
    student.called = words
    model = course_model(weights)
    with torch.no_grad():
        logits, (h, c) = model.read(ids)
        swapped = model.read(ids.T)[0].transpose(0, 1) if B > 1 else None
        output = model.rnn(model.tok_emb(ids)).output
    bare = logits - weights["lm_head.bias"]
    close = {"rtol": 1e-3, "atol": 1e-4}
    student.expect(
        whole[0],
        logits,
        causes={
            "these are the logits of the last position alone; every position has its "
            "own": lambda got: same(got.squeeze(1), logits[:, -1], **close),
            "softmax is applied; logits are wanted": (
                lambda got: same(got, logits.softmax(-1), **close)
            ),
            "log_softmax is applied; logits are wanted": (
                lambda got: same(got, logits.log_softmax(-1), **close)
            ),
            "this is what the LSTM gives; lm_head makes logits of it": (
                lambda got: same(got, output, **close)
            ),
            "lm_head has a bias, and it is missing": lambda got: same(
                got, bare, **close
            ),
            "batch and time are swapped: ids are (B, T)": (
                lambda got: swapped is not None and same(got, swapped, **close)
            ),
            "position 0 is right and later ones are not: is the state handed on from "
            "step to step?": lambda got: same(got[:, 0], logits[:, 0], **close),
            "`read` should use W_x, W_h and b as run_lstm takes them, from a state of "
            "zeros": lambda got: got.shape == logits.shape,
        },
        **close,
    )
    student.called = f"{words}, the state after the last id"
    student.expect(
        whole[1],
        (h[0], c[0]),
        causes={
            "h and c are in the wrong order": lambda got: same(
                got, (c[0], h[0]), **close
            ),
            "the state is that from the beginning: return the one after the last id": (
                lambda got: not any(part.any() for part in got)
            ),
        },
        **close,
    )
    student.called = f"model.read(ids[:, {at}:], state) after model.read(ids[:, :{at}])"
    with torch.no_grad():
        fresh = model.read(ids[:, at:])[0]
    student.expect(
        got["second"][0],
        logits[:, at:],
        causes={
            "the state that is given is not used": lambda got: same(got, fresh, **close)
        },
        **close,
    )
    student.called = "the gradient of a loss"
    student.demand(
        not got["without"],
        f"nothing reaches {', '.join(got['without'])}\nLikely cause: detach, .data or "
        "no_grad in `read`, or a copy of the weights that is made in __init__",
    )


# ------------------------------------------------------------------------- 6 · cut


@task(
    "cut",
    points=2,
    hints=(
        "First the streams: how many inputs has each, if the last id can only be a "
        "target? Then cut inputs and targets alike into pieces.",
        "With N ids there are N - 1 inputs that have a target. Each stream gets "
        "(N - 1) // n_streams of them. Targets are the same ids, one place further on.",
        "Take the first n_streams times that many ids and reshape them to "
        "(n_streams, steps): each row is contiguous. Do the same from the second id on. "
        "Tensor.split(length, dim=1) gives the pieces, and the last may be shorter.",
    ),
)
def check_cut(student: Student) -> None:
    """Contiguous rows, targets one further on."""
    rng = student.rng
    cases = [(11, 2, 3), (13, 3, 4), (8, 1, 3), (30, 4, 7), (29, 4, 100)]
    for N, n_streams, length in cases:
        ids = torch.arange(N)
        if N == 30:
            ids = torch.tensor([rng.randrange(256) for _ in range(N)])
        what = f"{N} ids" if N == 30 else f"torch.arange({N})"
        slips = {
            "is invalid for input": "each stream has (N - 1) // n_streams steps, since "
            "the last id can only be a target; cut off what is left over first"
        }
        words = f"cut({what}, {n_streams}, {length})"
        got = call(student, words, slips, ids, n_streams, length)
        right = true_cut(ids, n_streams, length)
        student.expect(got, right, causes=wrong_cuts(ids, n_streams, length))
        for mine, true in zip(got, right, strict=True):
            for part, expected in zip(mine, true, strict=True):
                hold_digits(student, part, expected)


def true_cut(
    ids: Tensor, n_streams: int, length: int, ahead: int = 1
) -> list[tuple[Tensor, Tensor]]:
    """The pieces, place by place; ``ahead`` is how far on the target stands."""
    n = (len(ids) - 1) // n_streams
    pieces = []
    for start in range(0, n, length):
        places = [
            [r * n + t for t in range(start, min(start + length, n))]
            for r in range(n_streams)
        ]
        inputs = torch.tensor(places)
        pieces.append((ids[inputs], ids[(inputs + ahead).clamp(max=len(ids) - 1)]))
    return pieces


def wrong_cuts(ids: Tensor, n_streams: int, length: int) -> dict[str, Any]:
    """What mistakes in cutting lead to."""
    right = true_cut(ids, n_streams, length)
    n = (len(ids) - 1) // n_streams
    per_row = len(ids) // n_streams
    whole = [p for p in right if p[0].shape[1] == length]
    jumping = torch.arange(n * n_streams).view(n, n_streams).T
    return {
        "the targets are the inputs themselves; each target is the id after": (
            lambda got: same([a for a, b in got], [b for a, b in got])
        ),
        "a list of pairs (inputs, targets) is wanted, not a pair of lists": lambda got: (
            len(got) == 2 and same(got[0], [a for a, b in right])
        ),
        "inputs and targets are swapped": [(b, a) for a, b in right],
        "the targets stand two places further on, or one before": lambda got: any(
            same(got, true_cut(ids, n_streams, length, k)) for k in (2, -1)
        ),
        "the last piece is missing; it may be shorter": lambda got: (
            len(whole) < len(right) and same(got, whole)
        ),
        "each row must be a contiguous part of the text; here neighbours in time lie "
        "in different rows": lambda got: (
            n_streams > 1 and same(got[0][0][:, 0], ids[jumping[:, 0]])
        ),
        "the streams are one step too short: the last id of a stream has a target too, "
        "the first id of the next one": lambda got: (
            sum(a.shape[1] for a, b in got) == n - 1
        ),
        "the streams run on at the wrong place: each has (N - 1) // n_streams steps": (
            lambda got: (
                n_streams > 1
                and int(got[0][0][1, 0]) == int(ids[per_row])
                and per_row != n
            )
        ),
        "the target of a stream's or piece's last id is wrong: it is the id that comes "
        "next in the text": lambda got: all(
            same(a, c) and same(b[:, :-1], d[:, :-1])
            for (a, b), (c, d) in zip(got, right, strict=True)
        ),
        "pieces follow each other in time: row r goes on in row r of the next piece": (
            lambda got: same(got[0][0], ids[: got[0][0].numel()].view(n_streams, -1))
        ),
        "time runs along the columns: (n_streams, steps)": lambda got: same(
            got[0][0].T, right[0][0]
        ),
    }


# ----------------------------------------------------------------------- 6 · train

CONFIG = {
    "vocab_size": 9,
    "input_size": 4,
    "hidden_size": 6,
    "n_layers": 1,
    "dropout": 0.0,
    "fused": False,
}


def small_model(seed: int) -> RNNLM:
    """lmcore's model, with scores large enough for clipping to matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = RNNLM(RNNLMConfig(**CONFIG)).double()
    with torch.no_grad():
        model.lm_head.weight *= 20.0
    return model


class Watched(nn.Module):
    """A model that notes how it is read."""

    def __init__(self, inner: RNNLM) -> None:
        super().__init__()
        self.inner = inner
        self.log: list[dict[str, Any]] = []
        self.left: tuple[Tensor, ...] | None = None

    def read(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Read on, and note where from."""
        carried = state is not None and self.left is not None
        self.log.append(
            {
                "fresh": state is None or not any(bool(s.any()) for s in state),
                "carried": carried
                and all(
                    torch.equal(a.detach(), b)
                    for a, b in zip(state, self.left, strict=True)
                ),
                "history": state is not None and any(s.requires_grad for s in state),
                "ids": ids.detach().clone(),
            }
        )
        logits, state = self.inner.read(ids, state)
        self.left = tuple(s.detach().clone() for s in state)
        return logits, state

    def forward(self, ids: Tensor) -> Tensor:
        """Logits alone."""
        return self.read(ids)[0]


def probe_train(
    names: dict[str, Any], seed: int, pieces: list[tuple[Tensor, Tensor]], lr: float
) -> dict[str, Any]:
    """Train a small model by the student's loop."""
    model = Watched(small_model(seed))
    found: dict[str, Any] = {}
    try:
        found["bits"] = names["train"](model, pieces, lr)
    except NotImplementedError:
        raise
    except Exception as error:
        found["error"] = describe_error(error, names)
    found["log"] = model.log
    found["params"] = [p.detach().clone() for p in model.parameters()]
    return found


def true_training(
    seed: int,
    pieces: list[tuple[Tensor, Tensor]],
    lr: float,
    *,
    clip: float = 1.0,
    way: Callable[[Any, float], Any] = nn.utils.clip_grad_norm_,
    empty: bool = True,
    after: bool = False,
    optimizer: Callable[..., Optimizer] = Adam,
    fresh: bool = False,
) -> tuple[list[float], list[Tensor]]:
    """Training by lmcore; with mistakes, to recognise them."""
    model, left, bits = small_model(seed), None, []
    chosen = optimizer(model.parameters(), lr)

    def measure(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Any]:
        start = None if left is None else tuple(s.detach() for s in left)
        logits, state = model.read(inputs, start)
        right = logits.log_softmax(-1).gather(-1, targets[..., None])
        return -right.mean(), state

    for inputs, targets in pieces:
        loss, new = measure(inputs, targets)
        loss.backward()
        way(model.parameters(), clip)
        chosen = optimizer(model.parameters(), lr) if fresh else chosen
        chosen.step()
        if empty:
            chosen.zero_grad()
        shown = measure(inputs, targets)[0] if after else loss
        bits.append(shown.item() / math.log(2))
        left = new
    return bits, [p.detach() for p in model.parameters()]


@task(
    "train",
    points=3,
    needs=("cut",),
    hints=(
        "The usual loop: logits, loss, empty the gradients, backward, clip, step. New is "
        "only the state, which lives outside of the loop.",
        "Begin with state = None. Each read gives a new state; its two tensors carry "
        "numbers and a history. tensor.detach() gives the same numbers without the "
        "history. cross_entropy wants (N, V) and (N,): flatten the batch and time axes.",
        "In the loop: read from the state; make the state a tuple of its detached "
        "tensors; the loss from logits.flatten(0, 1) and targets.flatten(); zero_grad, "
        "backward, clip_grad_norm_ of the model's parameters to 1.0, step; append "
        "loss.item() divided by math.log(2).",
    ),
)
def check_train(student: Student) -> None:
    """A short training of lmcore's model by the student's loop."""
    rng, seed, lr = student.rng, student.torch_seed, 0.1
    ids = torch.tensor([rng.randrange(9) for _ in range(3 * 24 + 1)])
    pieces = true_cut(ids, 3, 4)
    got = student.probe(probe_train, seed, pieces, lr)
    words = student.called = f"train(model, pieces, lr={lr}) with 6 pieces"
    if "error" in got:
        error = got["error"]
        where = f", in the line `{error['line']}`" if error["line"] else ""
        text = f"raised {error['error']}: {error['message']}{where}"
        message, cause = error["message"], ""
        if "second time" in message or "inplace" in message:
            cause = (
                "the state still drags the history of the piece before along; only its "
                "numbers go on: detach. (retain_graph=True would keep the whole text)"
            )
        elif "256" in message:
            cause = "the number of tokens is logits.shape[-1], here 9 and not 256"
        elif "batch_size" in message or "target" in message.lower():
            cause = (
                "cross_entropy wants (N, V) and (N,): flatten batch and time of logits "
                "and of targets alike"
            )
        elif "'tuple' object has no attribute 'detach'" in message:
            cause = "the state is a pair; detach each of its tensors"
        student.fail(text + (f"\nLikely cause: {cause}" if cause else ""))
    _hold_log(student, got["log"], pieces)
    bits, params = true_training(seed, pieces, lr)

    def gives(**mistake: Any) -> Callable[[Any], bool]:
        return lambda got: same(
            got, true_training(seed, pieces, lr, **mistake)[0], rtol=1e-4
        )

    student.called = f"{words}, the bits per byte"
    if isinstance(got["bits"], list):
        student.demand(
            not any(isinstance(b, Tensor) for b in got["bits"]),
            "floats are wanted, and these are tensors: loss.item() is the number",
        )
    student.expect(
        got["bits"],
        bits,
        rtol=1e-4,
        causes={
            "a list with one figure for each piece is wanted: is `return` inside of the "
            "loop?": lambda got: isinstance(got, float) or len(got) == 1,
            "these are nats; divide by ln 2": [b * math.log(2) for b in bits],
            "bits are nats divided by ln 2, not by log10(2)": (
                [b * math.log(2) / math.log10(2) for b in bits]
            ),
            "each figure is its piece's own, not a mean over the pieces so far": (
                [sum(bits[: k + 1]) / (k + 1) for k in range(len(bits))]
            ),
            "bits are nats divided by ln 2, not multiplied": (
                [b * math.log(2) ** 2 for b in bits]
            ),
            "each figure is that after its step; the one before it is wanted": (
                gives(after=True)
            ),
            "the gradient is not clipped, or not between backward and step": (
                gives(clip=math.inf)
            ),
            "all parameters together have one length: clip_grad_norm_ of all of them, "
            "not one by one, and not number by number": (
                lambda got: any(gives(way=way)(got) for way in (_one_by_one, _by_value))
            ),
            "gradients of earlier pieces are still there: zero_grad": (
                gives(empty=False)
            ),
            "nothing was learned: is step called, after backward?": (
                gives(optimizer=_Idle)
            ),
            "this is plain gradient descent (SGD); Adam is wanted": (
                gives(optimizer=SGD)
            ),
            "this is AdamW, which shrinks the weights besides; Adam is wanted": (
                gives(optimizer=AdamW)
            ),
            "a new optimiser for each piece forgets its averages; make it once": (
                gives(fresh=True)
            ),
            "the first loss is already another: the mean cross-entropy of logits and "
            "targets is wanted, over all positions": lambda got: (
                not same(got[0], bits[0])
            ),
            "the first loss is right, what comes after a step is not": (
                lambda got: same(got[0], bits[0])
            ),
        },
    )
    student.called = f"{words}, the parameters after it"
    student.expect(
        got["params"],
        params,
        rtol=1e-3,
        atol=1e-5,
        causes={
            "the figures are right, the steps are not quite: Adam's step is that of the "
            "loss in nats, scaled to length 1.0 only where it is longer": lambda got: (
                True
            )
        },
    )


class _Idle(Optimizer):
    """Takes no step."""

    def update(self, index: int, theta: Any, g: Any) -> None:
        """Nothing."""


def _one_by_one(parameters: Any, longest: float) -> None:
    """Clips each parameter's gradient by itself."""
    for one in parameters:
        nn.utils.clip_grad_norm_(one, longest)


def _by_value(parameters: Any, longest: float) -> None:
    """Clips each number of the gradient."""
    nn.utils.clip_grad_value_(parameters, longest)


def _hold_log(
    student: Student, log: list[dict[str, Any]], pieces: list[tuple[Tensor, Tensor]]
) -> None:
    """How the model was read: every piece once, from the state of the one before."""
    student.demand(
        len(log) == len(pieces),
        f"the model was read {len(log)} times; {len(pieces)} pieces are read once each"
        + {
            1: "\nLikely cause: `return` inside of the loop",
            2 * len(pieces): "\nLikely cause: logits and state come from one read",
        }.get(len(log), ""),
    )
    for k, (one, (inputs, targets)) in enumerate(zip(log, pieces, strict=True)):
        if not same(one["ids"], inputs):
            cause = (
                "the targets were read"
                if same(one["ids"], targets)
                else "another order?"
            )
            student.fail(
                f"reading {k} got other ids than the inputs of piece {k}: {cause}"
            )
        if k == 0:
            continue
        student.demand(
            not one["fresh"],
            f"piece {k} is read from an empty state\nLikely cause: the state of the piece "
            "before is not handed on",
        )
        student.demand(
            one["carried"],
            f"piece {k} is read from another state than the piece before left",
        )
        student.demand(
            not one["history"],
            f"piece {k} is read from a state that carries its history\nLikely cause: "
            "detach is missing, so the gradient would go back through the whole text",
        )


# ---------------------------------------------------------------------- 7 · sample

LIVE = {97: 0.0, 98: -1.0, 99: -2.5, 32: -0.4}  # bytes of the constant model: logits


class Counting(nn.Module):
    """Scores that depend on every byte read so far, in order.

    The state is a pair of tensors, (B, 1) each, as that of ByteLM with one unit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.n_read = 0
        self.calls = 0

    def read(self, ids: Tensor, state: Any = None) -> tuple[Tensor, State]:
        """Logits (B, T, 256) and the state."""
        self.n_read += ids.shape[1]
        self.calls += 1
        value = int(state[0]) if state is not None else 0
        logits = []
        for byte in ids[0].tolist():
            value = after(value, byte)
            logits.append(scores_of(value))
        number = torch.tensor([[float(value)]])
        return torch.stack(logits)[None], (number, number.clone())

    def forward(self, ids: Tensor) -> Tensor:
        """Logits alone."""
        return self.read(ids)[0]


def after(value: int, byte: int) -> int:
    """The counting model's state after one more byte."""
    return (31 * value + byte + 7) % 997


def scores_of(value: int) -> Tensor:
    """The counting model's logits: one byte stands out."""
    favourite = (value * 7 + 3) % 256
    logits = torch.linspace(-1.0, 0.0, 256).roll(value % 256)
    logits[favourite] = 3.0
    return logits


class Constant(nn.Module):
    """The same scores whatever was read."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = torch.full((256,), -60.0)
        self.logits[list(LIVE)] = torch.tensor(list(LIVE.values()))

    def read(self, ids: Tensor, state: Any = None) -> tuple[Tensor, State]:
        """Logits (B, T, 256) and a state that says nothing."""
        nothing = torch.zeros(len(ids), 1)
        return self.logits.expand(*ids.shape, 256).clone(), (nothing, nothing)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits alone."""
        return self.read(ids)[0]


SAMPLE_SLIPS = {
    "inf": "temperature 0 divides by 0: it is a case of its own, the likeliest byte",
    "division by zero": "temperature 0 divides by 0: it is a case of its own, the "
    "likeliest byte",
    "prob_dist must be 1 or 2 dim": "multinomial wants one row of probabilities: take "
    "the last position of the logits",
    "codec can't decode": "the answer is bytes; a byte alone need not be a character",
    "tuple index out of range": "ids have two axes, (B, T), also for a single byte",
    "too many indices": "read gives logits (B, T, V), and wants ids (B, T)",
    "not enough values to unpack": "ids have two axes, (B, T), also for a single byte",
    "Expected a 'cuda'": "the generator that is given is one for the CPU",
}


def probe_greedy(names: dict[str, Any], prompt: bytes, n: int) -> dict[str, Any]:
    """The likeliest bytes, and how much was read for them."""
    model = Counting()
    value = names["sample"](model, prompt, n, 0, torch.Generator().manual_seed(0))
    return {"value": value, "n_read": model.n_read, "calls": model.calls}


def probe_draws(
    names: dict[str, Any], n: int, temperature: float, seeds: list[int]
) -> list[Any]:
    """Draws from the constant model, with the global seed changed each time."""
    found = []
    with torch.random.fork_rng(devices=[]):
        for k, seed in enumerate(seeds):
            torch.manual_seed(k)
            generator = torch.Generator().manual_seed(seed)
            found.append(names["sample"](Constant(), b"ab", n, temperature, generator))
    return found


def greedy(prompt: bytes, n: int, *, start: int = 0, memory: bool = True) -> bytes:
    """What the counting model finds likeliest; without memory it sees one byte."""
    value = start
    for byte in prompt:
        value = after(value if memory else 0, byte)
    written = []
    for _ in range(n):
        written.append(int(scores_of(value).argmax()))
        value = after(value if memory else 0, written[-1])
    return bytes(written)


@task(
    "sample",
    points=3,
    hints=(
        "Read the prompt once. What you draw first depends on the logits of its last "
        "position. Then read what you drew, from the state that the last read left.",
        "A batch of one: ids (1, T) for the prompt, (1, 1) for each drawn byte. Of the "
        "logits (1, T, V) take position -1. Divide by the temperature, then softmax, "
        "then torch.multinomial with generator=; temperature 0 would divide by 0, so it "
        "is a case of its own, argmax.",
        "In a loop of n turns: read ids from the state; take the last position; choose a "
        "byte; put it into a list; make it the next ids, (1, 1). bytes(...) makes a list "
        "of ints into bytes. The prompt is not part of the answer.",
    ),
)
def check_sample(student: Student) -> None:
    """Greedy on a model that remembers everything; then frequencies."""
    rng = student.rng
    prompts = (
        (b"a", 1),
        (b"ab", 5),
        (b"ab", 0),
        (bytes(rng.choices(range(256), k=6)), 8),
    )
    for prompt, n in prompts:
        got = probed(student, SAMPLE_SLIPS, probe_greedy, prompt, n)
        student.called = f"sample(model, {prompt}, {n}, 0, generator)"
        value = got["value"]
        right = greedy(prompt, n)
        student.expect(
            value,
            right,
            causes={
                "a list of ints becomes bytes by bytes(...)": lambda got: isinstance(
                    got, list | tuple
                ),
                "str; the answer is bytes": lambda got: isinstance(got, str),
                "the prompt is not part of the answer": prompt + right,
                "one byte too many or too few; n new ones are wanted": lambda got: (
                    len(got) != n
                ),
                "the state is not carried: the model sees the last byte alone": (
                    lambda got: (
                        got[:1] == right[:1]
                        and got[1:] == greedy(got[:1], n - 1, memory=False)
                    )
                ),
                "the prompt is not read to its end: its last position decides": (
                    lambda got: got[:1] == greedy(prompt[:1], 1)
                ),
                "what was drawn must be read next; is it drawn again from the same "
                "logits, or the prompt read again?": lambda got: (
                    len(set(got)) == 1 or got[:1] == right[:1]
                ),
                "temperature 0 means the likeliest byte each time": lambda got: True,
            },
        )
        most = len(prompt) + n
        student.demand(
            got["n_read"] <= most,
            f"{got['n_read']} bytes were read where {most} are enough: each byte is read "
            "once\nLikely cause: the whole text is read again for each byte; carry the "
            "state instead",
        )
    seed = student.torch_seed
    for temperature, n in ((1.0, 300), (0.3, 300), (3.0, 700)):
        _hold_draws(student, n, temperature, seed)


def _hold_draws(student: Student, n: int, temperature: float, seed: int) -> None:
    """Frequencies of the constant model's bytes, and where chance comes from."""
    seeds = [seed, seed, seed + 1] if temperature == 1 else [seed]
    slips = SAMPLE_SLIPS | {
        "inf": "multinomial wants probabilities: softmax is missing"
    }
    first, *others = probed(student, slips, probe_draws, n, temperature, seeds)
    student.called = f"sample(model, b'ab', {n}, {temperature}, generator)"
    student.demand(isinstance(first, bytes) and len(first) == n, f"must give {n} bytes")
    again, other = others or (first, None)
    student.demand(
        first == again,
        "two generators with the same seed draw different bytes\nLikely cause: chance "
        "does not come from the generator that is given",
    )
    student.demand(
        first != other,
        "generators with different seeds draw the same bytes\nLikely cause: the likeliest "
        "byte is taken each time, or a generator of your own is used",
    )
    for byte in LIVE:
        share = first.count(byte) / n
        right = _share(byte, temperature)
        if abs(share - right) <= 6 * math.sqrt(right * (1 - right) / n):
            continue
        cause = "is it softmax of the logits divided by the temperature?"
        if temperature > 0 and share == 1:
            cause = "only at temperature 0 the likeliest byte is taken each time"
        for words, slip in (
            ("the temperature has no effect; divide the logits, before softmax", 1.0),
            ("the temperature is upside down: divide by it", 1 / temperature),
            ("the temperature acts squared or twice", temperature**2),
        ):
            if (
                share < 1
                and temperature != 1
                and abs(share - _share(byte, slip)) < 0.04
            ):
                cause = words
                break
        student.fail(
            f"the byte {bytes([byte])} came in {share:.0%} of {n} draws, expected about "
            f"{right:.0%}\nLikely cause: {cause}"
        )


def _share(byte: int, temperature: float) -> float:
    """The probability of a byte of the constant model."""
    powers = {b: math.exp(score / temperature) for b, score in LIVE.items()}
    return powers[byte] / sum(powers.values())


# ---------------------------------------------------------------------- 8 · figures

TEXT_BYTES, HELD_OUT_BYTES = 16 * 32 * 600 + 1, 30_001
ORDERS = (1, 3, 5)
STEPS = (10, 25, 50)
LAYERS = ("RNN", "LSTM, bias 0", "LSTM, bias 3")


@lru_cache
def works() -> tuple[dict[str, str], dict[str, str]]:
    """Works of the course corpus that are long enough: to train on, held out."""
    from lmcore.data import shakespeare_split

    train, validation, _ = shakespeare_split()
    long = {name: text for name, text in train.parts.items() if len(text) > 80_000}
    return long, {k: v for k, v in validation.parts.items() if len(v) > 80_000}


def opening(texts: Sequence[str]) -> bytes:
    """Equal parts of some texts, ``TEXT_BYTES`` in all."""
    each = -(-TEXT_BYTES // len(texts))
    return b"".join(text.encode()[:each] for text in texts)[:TEXT_BYTES]


@lru_cache
def own_texts(name: str) -> tuple[bytes, bytes]:
    """A student's own bytes to train on, and held-out ones.

    Args:
        name: What ``STUDENT`` says.
    """
    rng = own_rng(name, "texts of lab 4")
    train, held_out = works()
    chosen = rng.sample(sorted(train), 4)
    play = rng.choice(sorted(set(held_out) - {"tempest"}))
    return opening([train[one] for one in chosen]), passage(held_out[play])


def passage(play: str) -> bytes:
    """``HELD_OUT_BYTES`` of a play, from a line behind its list of persons on."""
    data = play.encode()
    start = data.index(b"\n", 2_000) + 1
    return data[start : start + HELD_OUT_BYTES]


def own_rng(name: str, purpose: str) -> Random:
    """Random numbers that depend on the student's name alone."""
    return Student(lambda request: {}, name, "").own_rng(purpose)


@lru_cache
def own_layers(name: str) -> dict[str, Any]:
    """A student's own fresh layers, in float64.

    Args:
        name: What ``STUDENT`` says.

    Returns:
        ``x`` (1, 50, 16): a vector for each of 50 bytes of the held-out text; ``v``
        (1, 64), of length 1; and weights by the names in ``LAYERS``.
    """
    generator = torch.Generator().manual_seed(
        own_rng(name, "layers of lab 4").getrandbits(31)
    )

    def even(*shape: int) -> Tensor:
        return torch.rand(shape, dtype=f64, generator=generator) / 4 - 1 / 8  # ±1/√64

    vectors = torch.randn(256, 16, dtype=f64, generator=generator)
    _, held_out = own_texts(name)
    W_x, W_h = even(256, 16), even(256, 64)
    biases = {}
    for k in (0, 3):
        biases[k] = torch.zeros(256, dtype=f64)
        biases[k][64:128] = k
    return {
        "x": vectors[list(held_out[:50])][None],
        "v": torch.full((1, 64), 1 / 8, dtype=f64),
        "RNN": (even(64, 16), even(64, 64), torch.zeros(64, dtype=f64)),
        "LSTM, bias 0": (W_x, W_h, biases[0]),
        "LSTM, bias 3": (W_x, W_h, biases[3]),
    }


@lru_cache
def true_bits(name: str) -> dict[str, float]:
    """Bits per byte of the n-grams."""
    from lmcore.models.ngram import NGram

    text, held_out = own_texts(name)
    return {
        f"{order}-gram": -float(NGram.train(text, order).log_probs(held_out).mean())
        / math.log(2)
        for order in ORDERS
    }


@lru_cache
def true_reach(name: str) -> dict[str, dict[int, float]]:
    """Length of the gradient of the state, by layer and steps back."""
    own = own_layers(name)
    table = {}
    for layer in LAYERS:
        W_x, W_h, b = own[layer]
        first = torch.zeros(1, 64, dtype=f64, requires_grad=True)
        kept: list[Tensor] = [first]
        h = torch.zeros(1, 64, dtype=f64)
        for x in own["x"].unbind(1):
            if layer == "RNN":
                h = torch.rnn_tanh_cell(x, kept[-1], W_x, W_h, b, torch.zeros_like(b))
                kept.append(h)
            else:
                h, c = true_step(x, (h, kept[-1]), (W_x, W_h, b))
                kept.append(c.clone())  # the way through h is not its own
        grads = torch.autograd.grad((h * own["v"]).sum(), kept[:-1])
        table[layer] = {k: grads[-k].norm().item() for k in STEPS}
    return table


@task(
    "figures",
    points=3,
    needs=("bptt", "ByteLM", "cut", "train"),
    hints=(
        "Run the cells of the experiment and copy what two of them print.",
        "STUDENT must be your name before you measure, and every task before this one "
        "must be right. After a change, run the training again as well.",
        'The form is {"bits": {...five figures...}, "reach": {...three rows...}}.',
    ),
)
def check_figures(student: Student) -> None:
    """The n-grams and lengths to the digit; the model's figures within bounds."""
    got = student.get("figures")
    student.demand(
        isinstance(got, dict) and set(got) == {"bits", "reach"},
        'must be a dict with the keys "bits" and "reach"',
    )
    bits, reach = got["bits"], got["reach"]
    rows = [*(f"{order}-gram" for order in ORDERS), "LSTM", "LSTM emptied"]
    student.demand(
        isinstance(bits, dict) and set(bits) == set(rows) and _numbers(bits),
        f'["bits"] must hold numbers for {", ".join(rows)}',
    )
    student.demand(
        isinstance(reach, dict)
        and set(reach) == set(LAYERS)
        and all(
            isinstance(row, dict) and set(row) == set(STEPS) and _numbers(row)
            for row in reach.values()
        ),
        f'["reach"] must hold {", ".join(LAYERS)}, each with the steps 10, 25 and 50',
    )
    student.called = ""
    expected = true_bits(student.name)
    for row, true in expected.items():
        if abs(bits[row] - true) > 0.011:
            cause = "was it measured with another STUDENT?"
            if abs(bits[row] - true * math.log(2)) < 0.02:
                cause = "these are nats; divide by ln 2"
            student.fail(
                f'["bits"][{row!r}] is {bits[row]:.2f}, which does not fit your texts'
                f"\nLikely cause: {cause}"
            )
    for layer, row in true_reach(student.name).items():
        for k, true in row.items():
            if abs(reach[layer][k] - true) > 0.06 * true:
                student.fail(
                    f'["reach"][{layer!r}][{k}] is {reach[layer][k]:.1e}, which does not '
                    "fit your layers\nLikely cause: was it measured with another STUDENT, "
                    "or with a bptt that was not right yet?"
                )
    _hold_model(student, bits, expected)


def _numbers(row: dict) -> bool:
    return all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in row.values()
    )


def _hold_model(
    student: Student, bits: dict[str, float], expected: dict[str, float]
) -> None:
    """What a right model has after 600 steps, whatever its first weights."""
    mine, emptied = bits["LSTM"], bits["LSTM emptied"]
    gap = mine - expected["3-gram"]
    student.demand(
        gap > -0.45,
        f'["bits"]["LSTM"] is {mine:.2f}, better than a model of this size gets from 600 '
        "steps\nLikely cause: nats instead of bits, or measured on the training text",
    )
    student.demand(
        gap < 0.1,
        f'["bits"]["LSTM"] is {mine:.2f}, and a right model is below the 3-gram after 600 '
        "steps\nLikely cause: was it trained with all of the text, with lr=1e-2, and is "
        "its state carried while it is measured?",
    )
    student.demand(
        emptied > mine + 0.1,
        f'["bits"]["LSTM emptied"] is {emptied:.2f}, no worse than with the state carried, '
        f"{mine:.2f}\nLikely cause: the two are swapped, or read does not use its state",
    )


analysis = Written(
    "analysis",
    points=6,
    rubric=(
        "2 points: names the n-gram that is beaten and the one that wins, with figures; "
        "says why counts are strong on little text, seen once, and what the state could "
        "hold that a window cannot.",
        "2 points: gives the cost of emptying, compares with the n-grams, and says that "
        "the first positions after emptying pay most, having seen a byte or two; proposes "
        "a mean for each of the 8 positions (or the like).",
        "2 points: three factors per step (the 40th root of a ratio); compares the "
        "LSTMs' with 0.5 and 0.95 and sees the forget gate in them; judges the statement: "
        "it depends on the gates, which are learned.",
    ),
)

# --------------------------------------------------------------------- the stretch

MOST_PARAMETERS = 400_000


@lru_cache
def stretch_texts() -> tuple[bytes, bytes]:
    """The same for everybody: to learn from, and the held-out bytes of The Tempest."""
    train, held_out = works()
    first = [train[name] for name in sorted(train)[:4]]
    return opening(first), passage(held_out["tempest"])


def held_out_bits(read: Callable[..., Any], data: bytes) -> float:
    """Bits per byte of a text that is read from end to end."""
    ids, state, total = torch.tensor([list(data)]), None, 0.0
    with torch.no_grad():
        for inputs, targets in true_cut(ids[0], 1, 500):
            logits, state = read(inputs, state)
            right = logits.double().log_softmax(-1).gather(-1, targets[..., None])
            total -= right.sum().item()
    return total / (len(data) - 1) / math.log(2)


def probe_learn(names: dict[str, Any], text: bytes, data: bytes) -> dict[str, Any]:
    """Train the student's model and measure it."""
    model = names["learn"](text)
    if isinstance(model, nn.Module):
        model.eval()
    read = model.read
    head = torch.tensor([list(data[:40])])
    other = head.clone()
    other[0, -1] = (other[0, -1] + 1) % 256
    with torch.no_grad():
        ahead = (read(head, None)[0] - read(other, None)[0])[:, :-1].abs().max().item()
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "ahead": ahead,
        "bits": held_out_bits(read, data),
    }


@lru_cache
def course_figure() -> float:
    """Bits per byte of lmcore's own LSTM with 128 units, after one pass."""
    from lmcore.optim import clip_grad_norm, cosine_schedule

    text, data = stretch_texts()
    config = RNNLMConfig(
        vocab_size=256, input_size=64, hidden_size=128, n_layers=1, dropout=0.0
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = RNNLM(config)
    optimizer = Adam(model.parameters(), lr=1e-2)
    pieces = true_cut(torch.tensor(list(text)), 16, 32)
    n_steps, left = len(pieces), None
    for step, (inputs, targets) in enumerate(pieces):
        logits, left = model.read(inputs, left and detach_state(left))
        log_probs = logits.log_softmax(-1)
        optimizer.zero_grad()
        (-log_probs.gather(-1, targets[..., None]).mean()).backward()
        clip_grad_norm(model.parameters(), 1.0)
        optimizer.lr = cosine_schedule(
            step, lr=1e-2, max_steps=n_steps, warmup_steps=20, min_lr=3e-4
        )
        optimizer.step()
    return held_out_bits(model.eval().read, data)


def counted_figure() -> float:
    """Bits per byte of lmcore's 5-gram of the same text."""
    from lmcore.models.ngram import NGram

    text, data = stretch_texts()
    return -float(NGram.train(text, 5).log_probs(data).mean()) / math.log(2)


@task(
    "learn",
    points=0,
    stretch=True,
    needs=("cut", "train"),
    hints=(
        "Your own loop is the slow part. nn.LSTM with batch_first=True computes the same "
        "in a fraction of the time, which can go into a larger model or more passes.",
        "A learning rate that falls to near 0 towards the end is worth much. So are "
        "smaller batches, since one pass then holds more steps; from the second pass on "
        "a little dropout.",
        "Nobody says that the model must be an LSTM alone. Its probabilities and those of "
        "counts, mixed, are better than either (Mikolov et al. 2010).",
    ),
)
def check_learn(student: Student) -> float:
    """Bits per byte on The Tempest."""
    text, data = stretch_texts()
    got = student.probe(probe_learn, text, data)
    student.called = "learn(text)"
    student.demand(
        got["parameters"] <= MOST_PARAMETERS,
        f"the model has {got['parameters']:,} parameters, and at most "
        f"{MOST_PARAMETERS:,} are allowed",
    )
    student.demand(
        got["ahead"] < 1e-4, "scores depend on bytes that come later: it looks ahead"
    )
    return got["bits"]
