"""Checks of lab 2: activations, their slopes, first weights, layers that keep records.

The reference is lmcore's own activations, and NumPy where a line of it is enough. A
student may read this file: it holds inputs, common mistakes and hints, and no solution.
The grader runs its own copy, with inputs drawn from a secret. torch and scikit-learn are
imported where they are used: the student's process loads this file too, and needs neither.
"""

import linecache
import math
import warnings
from collections.abc import Callable
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple

import numpy as np

from lmcore.course.labs import Student, Written, task

LAB = "02_activations"
KINDS = ("sigmoid", "tanh", "relu")

# ------------------------------------------------------------------- the reference


def course(function: str, x: np.ndarray, **kwargs: Any) -> np.ndarray:
    """One of the functions of ``lmcore.activations``, for an array."""
    import torch

    from lmcore import activations

    tensor = torch.from_numpy(np.asarray(x, dtype=np.float64))
    return getattr(activations, function)(tensor, **kwargs).numpy()


def true_activation(z: np.ndarray, kind: str) -> np.ndarray:
    """lmcore's activation of that name."""
    return course(kind, z)


def true_slope(z: np.ndarray, kind: str) -> np.ndarray:
    """lmcore's derivative of it."""
    return course(f"{kind}_derivative", z)


def true_log_softmax(z: np.ndarray, axis: int) -> np.ndarray:
    """lmcore's log-softmax."""
    return course("log_softmax", z, dim=axis)


def true_variance(n_in: int, n_out: int, scheme: str) -> float:
    """The variance of a layer's first weights."""
    if scheme == "small":
        return 0.01**2
    return 1 / (0.5 * n_in + (0.5 * n_out if scheme == "xavier" else 0))


# --------------------------------------------------------------- inputs and helpers


def normals(rng: Random, *shape: int, scale: float = 1.0) -> np.ndarray:
    """Normal numbers from a seed that ``rng`` gives, short enough for a message."""
    draws = np.random.default_rng(rng.getrandbits(31)).standard_normal(shape)
    return np.round(draws * scale, 2)


def as_floats(got: Any) -> Any:
    """Ints and booleans as floats, to say which number differs."""
    plain = isinstance(got, np.ndarray) and got.dtype.kind in "biu"
    return got.astype(float) if plain else got


def has_nan(got: np.ndarray) -> bool:
    """Whether there is a NaN in an array."""
    return bool(np.isnan(got).any())


def warnings_of(names: dict, function: str, *args: Any) -> list[list[str]]:
    """What NumPy warns of in a call: the text and the line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with np.errstate(all="warn", under="ignore"):
            names[function](*args)
    return [
        [str(w.message), linecache.getline(w.filename, w.lineno).strip()]
        for w in caught
        if issubclass(w.category, RuntimeWarning)
    ]


def in_float32(right: np.ndarray) -> Callable[[Any], bool]:
    """Recognises numbers that agree to float32's seven digits and no further."""
    return lambda got: np.allclose(got, right, rtol=1e-5, atol=1e-6)


COARSE = (
    "right to a few digits only: float32, a rounded constant, or a difference quotient; "
    "float64 and the exact formula are wanted"
)
NO_RETURN = {"nothing was given back: does every way through it `return`?": None}


def demand_no_warning(student: Student, advice: str, *args: Any) -> None:
    """Fail if NumPy warns of an overflow although the numbers come out right."""
    found = student.probe(warnings_of, student.task, *args)
    if found:
        text, line = found[0]
        where = f", in the line `{line}`" if line else ""
        shown = ", ".join(repr(a.tolist() if hasattr(a, "tolist") else a) for a in args)
        student.called = f"{student.task}({shown})"
        student.fail(f"the numbers are right, but NumPy warns: {text}{where}. {advice}")


# ------------------------------------------------------------------------ task 1


@task(
    "sigmoid",
    points=2,
    hints=(
        "One formula for all x overflows on one side. Which power of e can never "
        "overflow, whatever the sign of x?",
        "For x >= 0 use 1 / (1 + e^-x). For x < 0 multiply top and bottom by e^x. In "
        "both, the exponent is minus the size of x. (np.where computes both of its "
        "branches for every x, so each must be safe everywhere.)",
        "Take e to the power -|x| once and call it small; the denominator is 1 + small "
        "in both cases, the numerator is 1 where x >= 0 and small elsewhere. Or use "
        "tanh: the sigmoid is a tanh of x / 2, moved and shrunk.",
    ),
)
def check_sigmoid(student: Student) -> None:
    """Small numbers, ints, then numbers whose exponentials overflow."""
    rng = student.rng
    cases = [
        np.array([0.0, 1.0, -2.0]),
        np.array([-2, 0, 1]),
        normals(rng, 2, 3, scale=3.0),
        np.array([-1000.0, -30.0, 30.0, 1000.0]),
        np.array([-1.0, 1.0]) * rng.randint(710, 5000),
        np.array([-math.inf, math.inf]),
    ]
    for x in cases:
        got = student.call("sigmoid", x)
        expected = true_activation(x, "sigmoid")
        student.expect(
            as_floats(got),
            expected,
            causes=NO_RETURN
            | {
                "e to the power of a large number overflows, and infinity / infinity is "
                "NaN; take e only to powers that are at most 0": has_nan,
                "the result has taken over the ints of x, so 0.88 became 0; "
                "np.zeros_like(x) and x.copy() do that": np.trunc(expected),
                "the sign of the exponent: this is sigmoid(-x)": 1 - expected,
                "the brackets: this is 1 / 1 + e^-x": lambda got, x=x: np.allclose(
                    got, 1 + np.exp(-np.clip(x, -50, 50))
                ),
                "this is softmax: e^x divided by the sum over all of x": (
                    lambda got, x=x: np.allclose(got, np.exp(true_log_softmax(x, -1)))
                ),
                "this is tanh; the sigmoid runs from 0 to 1": np.tanh(x),
                "this is tanh moved to 0 … 1; the sigmoid is half as steep": (
                    (1 + np.tanh(x)) / 2
                ),
                "large x were clipped too early, and there the result differs": (
                    lambda got, x=x, expected=expected: (
                        np.abs(x).max() > 20 and np.allclose(got, expected, atol=1e-3)
                    )
                ),
                COARSE: in_float32(expected),
            },
            rtol=1e-9,
            atol=1e-15,
        )
    advice = (
        "Take e only to powers that are at most 0; np.where computes both branches for "
        "every x"
    )
    demand_no_warning(student, advice, np.array([-1000.0, 1000.0]))


def _gelu(x: np.ndarray, inner: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + inner)


def _gelu_mistakes(x: np.ndarray, approximate: bool) -> dict[str, Any]:
    """What usual slips lead to."""
    forms = course("gelu", x), course("gelu_tanh", x)
    right, other = forms[approximate], forms[not approximate]
    erf = 2 * course("normal_cdf", math.sqrt(2) * x) - 1
    root = math.sqrt(2 / math.pi)
    sizes = {
        "sqrt(2) / pi instead of sqrt(2 / pi)": (math.sqrt(2) / math.pi, 3, 0.044715),
        "2 / pi without the root": (2 / math.pi, 3, 0.044715),
        "x^2 instead of x^3": (root, 2, 0.044715),
        "the term 0.044715 x^3 is missing": (root, 3, 0.0),
        "0.44715 instead of 0.044715": (root, 3, 0.44715),
        "0.044715 belongs outside the cube": (root, 3, 0.044715**3),
        "sqrt(pi / 2) instead of sqrt(2 / pi)": (1 / root, 3, 0.044715),
    }
    slips = {
        f"inside tanh: {name}": _gelu(x, np.tanh(factor * (x + share * x**power)))
        for name, (factor, power, share) in sizes.items()
    }
    outside = np.tanh(root * x + 0.044715 * x**3)
    return NO_RETURN | {
        "approximate=False wants the form with erf, True the one with tanh": other,
        "erf of x / sqrt(2) is wanted, not of x": _gelu(x, erf),
        **slips,
        "x^3 keeps the sign of x": _gelu(
            x, np.tanh(root * (x + 0.044715 * np.abs(x) ** 3))
        ),
        "sqrt(2 / pi) multiplies both x and 0.044715 x^3": _gelu(x, outside),
        "the factor x is missing: this is Phi(x)": lambda got: np.allclose(
            got * x, right
        ),
        "the factor 1/2 is missing": 2 * right,
        "x sigmoid(1.702 x) is a third form, further away": x
        * true_activation(1.702 * x, "sigmoid"),
        "x sigmoid(x) is SiLU": x * true_activation(x, "sigmoid"),
        "GELU is below 0 for negative x: nothing is cut off": np.maximum(right, 0),
        COARSE: lambda got: np.allclose(got, right, rtol=1e-3, atol=1e-4),
    }


@task(
    "gelu",
    points=2,
    hints=(
        "Both forms are x times an estimate of Phi(x). Write Phi first, then multiply.",
        "np.sqrt(2 / np.pi) multiplies the whole bracket. The exact form takes erf of x "
        "divided by the root of 2. Type in no rounded roots.",
        "Exact: half of x, times (1 + erf of x / root 2). Approximate: half of x, times "
        "(1 + np.tanh of root (2 / pi) times (x + 0.044715 x cubed)).",
    ),
)
def check_gelu(student: Student) -> None:
    """Both forms, told apart by less than 0.0005."""
    rng = student.rng
    xs = [
        np.array([1.0, 0.0, -2.0]),
        normals(rng, 2, 4, scale=2.0),
        np.array([-40.0, 40.0]),
        normals(rng, 2, 1, 3),
    ]
    for x in xs:
        for approximate in (False, True):
            student.expect(
                student.call("gelu", x, approximate),
                course("gelu_tanh" if approximate else "gelu", x),
                causes=_gelu_mistakes(x, approximate),
                rtol=1e-9,
                atol=1e-13,
            )


# ------------------------------------------------------------------------ task 2


def _slope_mistakes(z: np.ndarray, kind: str) -> dict[str, Any]:
    y, right = true_activation(z, kind), true_slope(z, kind)
    causes: dict[str, Any] = NO_RETURN | {
        "this is the activation itself, not its derivative": y,
        "minus the derivative": lambda got: np.allclose(got, -right),
    }
    if kind == "sigmoid":
        causes |= {
            "e to the power of a large number overflows; your sigmoid survives it": (
                has_nan
            ),
            "this is the slope of tanh; kind says which activation": true_slope(
                z, "tanh"
            ),
            "z is the pre-activation: apply the sigmoid first, then y (1 - y)": (
                z * (1 - z)
            ),
            "y (1 - y), not 1 - y": 1 - y,
            "y (1 - y), not y^2": y**2,
            "the sigmoid was applied twice": (
                lambda got: np.allclose(got, true_slope(y, kind))
            ),
        }
    if kind == "tanh":
        causes |= {
            "z is the pre-activation: apply tanh first, then 1 - y^2": 1 - z**2,
            "1 - y^2; the square is missing": 1 - y,
            "the square of tanh(z), not tanh of the square": 1 - np.tanh(z**2),
            "tanh was applied twice": lambda got: np.allclose(got, true_slope(y, kind)),
            "this is the sigmoid's y (1 - y)": y * (1 - y),
        }
    if kind == "relu":
        causes |= {
            "NaN at z = 0: dividing by z has no meaning there; compare instead": has_nan,
            "the slope at exactly 0 is 0 here": np.where(z >= 0, 1.0, 0.0),
            "the slope at exactly 0 is 0 here, not 1/2": np.heaviside(z, 0.5),
            "the sign of z; to the left of 0 the slope is 0": np.sign(z),
        }
    return causes | {COARSE: lambda got: np.allclose(got, right, rtol=1e-3, atol=1e-4)}


@task(
    "slope",
    points=3,
    needs=("sigmoid",),
    hints=(
        "Differentiate on paper, then write the derivative with the activation's own "
        "value y. Mind that the function is given z, not y.",
        "With y the activation at z: the sigmoid has y (1 - y), tanh has 1 - y^2. "
        "ReLU's slope is 1 to the right of 0, else 0.",
        "Compute y from z first (your sigmoid, np.tanh). For ReLU compare z with 0 and "
        "let np.where choose between two floats; > or >= decides what stands at 0.",
    ),
)
def check_slope(student: Student) -> None:
    """Each kind on small numbers, at 0, on two axes and far out."""
    rng = student.rng
    for kind in KINDS:
        for z in (
            np.array([0.5, 0.0, -1.0, 2.0]),
            normals(rng, 3, 2, scale=2.0),
            np.array([-800.0, 0.0, 800.0]),
        ):
            got = student.call("slope", z, kind)
            right = true_slope(z, kind)
            student.expect(
                as_floats(got),
                right,
                causes=_slope_mistakes(z, kind),
                rtol=1e-9,
                atol=1e-14,
            )
            casts = {
                "the numbers are right; cast them with .astype(float)": lambda got: True
            }
            student.expect(got, right, causes=casts, rtol=1e-9, atol=1e-14)


# ------------------------------------------------------------------------ task 3


def _log_softmax_mistakes(z: np.ndarray, axis: int) -> dict[str, Any]:
    right = true_log_softmax(z, axis)

    def other_axis(got: np.ndarray) -> bool:
        others = [true_log_softmax(z, a) for a in range(z.ndim)]
        others.append(true_log_softmax(z.reshape(-1), 0).reshape(z.shape))
        return any(np.allclose(got, other) for other in others)

    def lost_axis(got: np.ndarray) -> bool:
        largest, kept = z.max(axis=axis), z.max(axis=axis, keepdims=True)
        with np.errstate(all="ignore"):
            log_sum = np.log(np.exp(z - kept).sum(axis=axis))
            usual = [
                z - largest - log_sum,
                z - kept - log_sum,
                z - largest - np.log(np.exp(z - largest).sum(axis=axis)),
                true_log_softmax(z - largest, axis),
            ]
        return any(np.allclose(got, wrong) for wrong in usual)

    def no_logarithm(got: np.ndarray) -> bool:
        shift = z.max(axis=axis, keepdims=True)
        with np.errstate(all="ignore"):
            log_sum = (z - right).max(axis=axis, keepdims=True)
            sums = [np.log(z - got), np.log(z - shift - got) + shift]
        return any(np.allclose(one, log_sum) for one in sums)

    return NO_RETURN | {
        "NaN: infinity / infinity or infinity - infinity; subtract the largest score "
        "of the axis before you take e": has_nan,
        "infinity where a finite number belongs: a probability became 0 before the "
        "logarithm, or the exponentials overflowed. Subtract the largest score of the "
        "same axis (not of the whole array), and do not take the log of softmax": (
            lambda got: np.isinf(got[np.isfinite(right)]).any()
        ),
        COARSE: lambda got: np.allclose(got, right, rtol=1e-3, atol=1e-3),
        f"the sum runs over the wrong axis: axis={axis} is wanted": other_axis,
        "the sum lost its axis and was subtracted from the wrong rows: keepdims": (
            lost_axis
        ),
        "small probabilities have a floor: no constant belongs into the logarithm; do "
        "not take the log of softmax": (
            lambda got: right.min() < -500 < -100 < got.min()
        ),
        "-infinity stays -infinity: put no number in its place": lambda got: (
            np.isneginf(right).any() and np.isfinite(got[np.isneginf(right)]).any()
        ),
        "np.log is the logarithm of this formula, not log2 or log10": lambda got: (
            any(np.allclose(got - z, (right - z) / math.log(base)) for base in (2, 10))
            or any(np.allclose(_in_base(z, axis, base), got) for base in (2, 10))
        ),
        "this is softmax; its logarithm is wanted": np.exp(right),
        "the logarithm of the sum is missing": no_logarithm,
        "the sign": -right,
    }


def _in_base(z: np.ndarray, axis: int, base: float) -> np.ndarray:
    """Scores less the largest one, less the logarithm of the sum in another base."""
    shifted = z - z.max(axis=axis, keepdims=True)
    return shifted + (true_log_softmax(z, axis) - shifted) / math.log(base)


@task(
    "log_softmax",
    points=3,
    hints=(
        "Adding one number to all scores of an axis changes nothing. Which number makes "
        "every exponential at most 1?",
        "Subtract the largest score along the axis, with keepdims=True so that it "
        "broadcasts. Then subtract the logarithm of the sum of exponentials along the "
        "same axis. Never form a probability: it may round to 0.",
        "Two steps: shift z by its maximum (axis=axis, keepdims=True); from the shifted "
        "scores subtract np.log of the sum of their np.exp, with the same two "
        "arguments.",
    ),
)
def check_log_softmax(student: Student) -> None:
    """Both axes of a small array, levels far apart, −∞, three axes."""
    rng = student.rng
    level = rng.randint(1000, 3000)
    far = normals(rng, 2, 3) + np.array([[-level], [level]])
    masked = np.array([[1.0, -math.inf, 2.0], [-math.inf, 0.0, -math.inf]])
    cases = [
        (np.array([[0.0, 1.0], [3.0, 1.0]]), 1),
        (np.array([[0.0, 1.0], [3.0, 1.0]]), 0),
        (normals(rng, 2, 3), -1),
        (normals(rng, 4), 0),
        (np.array([[0.0, 1000.0]]), 1),
        (far, 1),
        (far, -2),
        (masked, 1),
        (normals(rng, 3, 3, 3), 1),
        (normals(rng, 2, 3, 4), 0),
    ]
    for z, axis in cases:
        got = student.call("log_softmax", z, axis)
        causes = _log_softmax_mistakes(z, axis)
        student.expect(got, true_log_softmax(z, axis), causes=causes, rtol=1e-9)
    advice = "Subtract the largest score of the axis before you take e"
    demand_no_warning(student, advice, np.array([[0.0, 1000.0], [-900.0, 1.0]]), 1)
    demand_no_warning(student, "A score of -infinity is legal", masked, 1)


# ------------------------------------------------------------------------ task 4

FUNCTIONS: dict[str, Callable] = {
    "z": lambda z: z,
    "3 z": lambda z: 3 * z,
    "relu(z)": lambda z: np.maximum(z, 0),
    "tanh(z)": np.tanh,
    "z + 1": lambda z: z + 1,
    "|z|": np.abs,
}


def gain_of(names: dict, which: str, z: np.ndarray) -> list:
    """The student's gain of one of the functions above, and whether z was changed."""
    given = z.copy()
    return [names["gain"](FUNCTIONS[which], given), not np.array_equal(given, z)]


def standardised(draws: np.ndarray) -> np.ndarray:
    """The same numbers moved to mean 0 and scaled to variance 1."""
    return (draws - draws.mean()) / draws.std()


@task(
    "gain",
    points=2,
    hints=(
        "Put s = g / sqrt(n) into the formula for Var(z_j), set the result to 1, and "
        "solve for g.",
        "n s^2 E[x^2] is g^2 E[x^2], with x = f(z). So g^2 is one over the mean of the "
        "squares. The mean of f(z) is not 0 for ReLU, so its variance is another number.",
        "Square f(z), take np.mean of it, then the root, then one over that.",
    ),
)
def check_gain(student: Student) -> None:
    """Functions whose mean is 0, and functions where it is not."""
    z = standardised(normals(student.rng, 20_000))
    skewed = standardised(np.exp(normals(student.rng, 20_000, scale=0.5)))
    cases = [(which, z, "") for which in FUNCTIONS]
    cases += [("relu(z)", skewed, ", a sample that is not normal")]
    cases += [("tanh(z)", z.reshape(100, 200), " of shape (100, 200)")]
    for which, z, about in cases:
        function = FUNCTIONS[which]
        got, changed = student.probe(gain_of, which, z)
        student.called = f"gain(f, z) with f(z) = {which}{about}"
        student.demand(not changed, "`gain` changed z that it was given")
        x = function(z)
        square = float(np.mean(x**2))
        student.expect(
            got,
            square**-0.5,
            rtol=0.003,
            causes={
                "the variance of f(z) takes its mean away; the sum over inputs needs "
                "E[x^2], and the mean of ReLU is not 0": float(x.std() ** -1),
                "one over the root of the mean square: the root is missing": 1 / square,
                "one over it is wanted: a function that shrinks needs larger weights": (
                    square**0.5
                ),
                "the square comes before the mean: E[x^2], not E[x]^2": (
                    lambda got, x=x: math.isclose(got, 1 / abs(x.mean()), rel_tol=0.01)
                ),
                "the sum of squares grows with the sample; take the mean": (
                    float(np.sum(x**2)) ** -0.5
                ),
                "the mean is over the z that is given, not over numbers of your own": (
                    lambda got, about=about: "not normal" in about and got > 1.35
                ),
                "z may have several axes, and len(z) is the first alone; np.mean takes "
                "the mean over all": lambda got, z=z: z.ndim > 1,
                "the gain depends on f; this is ReLU's": math.sqrt(2),
                "the square comes first, then the mean: this is 1 / E[|x|]": float(
                    1 / np.mean(np.abs(x))
                ),
                "f was not applied": lambda got, which=which: (
                    which != "z" and math.isclose(got, 1.0, rel_tol=0.003)
                ),
            },
        )


@task(
    "init_std",
    points=2,
    hints=(
        "All three are standard deviations. Two of the schemes prescribe a variance.",
        "Xavier: the mean of inputs and outputs is (n_in + n_out) / 2, and the variance "
        "is one over that. He: s = g / sqrt(n) with ReLU's g, whose square is 2.",
        "Roots of two fractions, each with 2 on top: below it stand the inputs and "
        "outputs together for Xavier, the inputs alone for He.",
    ),
)
def check_init_std(student: Student) -> None:
    """Layers that narrow and widen, so that inputs and outputs are told apart."""
    rng = student.rng
    sizes = [(64, 10), (100, 300), (4, 3), (rng.randint(20, 50), rng.randint(60, 500))]
    for n_in, n_out in sizes:
        for scheme in ("small", "xavier", "he"):
            variance = true_variance(n_in, n_out, scheme)
            back = true_variance(n_out, n_in, scheme)
            causes = {
                "this is the variance; the standard deviation is its root": variance,
                "// cuts off what stands after the point; use /": (
                    lambda got, n=(n_in + n_out) // 2: got in (0.0, n**-0.5)
                ),
                "the limit of a uniform distribution, sqrt(3) times the standard "
                "deviation": math.sqrt(3 * variance),
            }
            if scheme == "he":
                causes |= {
                    "gain 1: half of what ReLU gives is 0, so twice the variance is "
                    "needed": math.sqrt(variance / 2),
                    "n_out is not n_in: He counts the inputs of the layer": (
                        math.sqrt(back)
                    ),
                    "gain 2: the gain is sqrt(2), its square 2": math.sqrt(
                        2 * variance
                    ),
                    "this is Xavier's": true_variance(n_in, n_out, "xavier") ** 0.5,
                    "He counts the inputs alone, not their mean with the outputs": (
                        2 / math.sqrt(n_in + n_out)
                    ),
                }
            if scheme == "xavier":
                causes |= {
                    "one over the sum of inputs and outputs; one over their mean is "
                    "wanted": math.sqrt(variance / 2),
                    "1 / n_in; Xavier takes the outputs in as well": n_in**-0.5,
                    "1 / n_out; Xavier takes the inputs in as well": n_out**-0.5,
                    "this is He's": true_variance(n_in, n_out, "he") ** 0.5,
                    "the mean of two standard deviations; take the mean of inputs and "
                    "outputs first": (n_in**-0.5 + n_out**-0.5) / 2,
                }
            causes["near it, and not exact: neither round nor measure"] = (
                lambda got, variance=variance: abs(got / variance**0.5 - 1) < 0.02
            )
            got = student.call("init_std", n_in, n_out, scheme)
            expected = math.sqrt(variance)
            student.expect(got, expected, causes=causes, rtol=1e-9, atol=0)


# ------------------------------------------------------------------------ task 5


def records(
    x: np.ndarray,
    weights: list[np.ndarray],
    kind: str,
    measure: Callable[[np.ndarray], float] = np.std,
    of: str = "z",
    order: str = "later layers",
) -> list[float]:
    """One number of each layer; the arguments are for common mistakes."""
    found = []
    before = true_activation(x, kind) if order == "all layers" else x
    for W in weights:
        product = before @ W
        result = true_activation(product, kind)
        found.append(float(measure(product if of == "z" else result)))
        before = product if order == "no layer" else result
    return found


@task(
    "spread",
    points=3,
    needs=("sigmoid",),
    hints=(
        "Keep one variable for what the next layer gets. It begins as x; after each "
        "layer it is the activated result.",
        "In the loop: multiply by the layer's matrix, note the standard deviation of the "
        "product, and only then activate. z.std() of an array is over all its numbers "
        "and divides by N.",
        "Start with an empty list. For each W: z is the current input times W (@); "
        "append float(z.std()); the next input is activate(z, kind). Return the list.",
    ),
)
def check_spread(student: Student) -> None:
    """One small layer, two small layers, then each kind on random stacks."""
    rng = student.rng
    x = np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 1.0]])
    first = np.array([[1.0, -1.0, 0.5], [0.0, 2.0, 1.0]])
    second = np.array([[1.0, 2.0], [-1.0, 1.0], [2.0, 0.0]])
    cases = [(x, [first], "relu"), (x, [first, second], "relu")]
    for kind in KINDS:
        sizes = [rng.randint(3, 6) for _ in range(5)]
        weights = [normals(rng, *pair) for pair in zip(sizes, sizes[1:], strict=False)]
        cases.append((normals(rng, 4, sizes[0]), weights, kind))
    earlier: list[float] = []
    for x, weights, kind in cases:
        got = student.call("spread", x, weights, kind)
        got = got.tolist() if isinstance(got, np.ndarray) and got.ndim == 1 else got
        sizes = " → ".join(
            str(n) for n in [len(weights[0]), *(W.shape[1] for W in weights)]
        )
        student.called = (
            f"spread(x, weights, {kind!r}), {len(x)} examples, {sizes} units"
        )
        by_unit = records(x, weights, kind, lambda z: z.std(axis=0).mean())
        expected = records(x, weights, kind)
        causes: dict[str, Any] = {
            "the list still holds the numbers of an earlier call: begin with an empty "
            "one": lambda got, both=earlier + expected: (
                len(got) == len(both) and np.allclose(got, both)
            ),
            "rounded; give the number as it is": lambda got, expected=expected: (
                len(got) == len(expected) and np.allclose(got, expected, atol=0.006)
            ),
            "kind says which activation; this is always ReLU": records(
                x, weights, "relu"
            ),
            "this divides by N - 1; by N is wanted": records(
                x, weights, kind, lambda z: z.std(ddof=1)
            ),
            "measured after the activation; z, before it, is wanted": records(
                x, weights, kind, of="h"
            ),
            "each layer after the first gets the activated result of the one before; "
            "here it gets z": records(x, weights, kind, order="no layer"),
            "the input x itself is not activated": records(
                x, weights, kind, order="all layers"
            ),
            "this is the variance; the standard deviation is its root": records(
                x, weights, kind, np.var
            ),
            "the root of the mean square; a standard deviation takes the mean away": (
                records(x, weights, kind, lambda z: np.sqrt(np.mean(z**2)))
            ),
            "the standard deviation is taken unit by unit; take it over all numbers of "
            "the layer at once": by_unit,
            "the input's own standard deviation does not belong in the list": (
                lambda got, weights=weights: len(got) == len(weights) + 1
            ),
            "one number for each layer, the last one included": (
                lambda got, weights=weights: len(got) < len(weights)
            ),
        }
        student.expect(got, expected, causes=causes, rtol=1e-6)
        earlier = expected


@task(
    "count_dead",
    points=2,
    hints=(
        "Ask of each column whether all of its numbers are at most 0.",
        "z <= 0 gives an array of booleans; .all has an axis. Which axis runs over the "
        "examples?",
        "Compare with <= (not <), take all over axis 0, so that one boolean is left for "
        "each unit, and count the True ones with sum.",
    ),
)
def check_count_dead(student: Student) -> None:
    """A small array in which each mistake gives another number, then random ones."""
    rng = student.rng
    small = np.array(
        [
            [-1.0, 2.0, 0.0, -1.0, 3.0, 1.0, 1.0],
            [-3.0, -1.0, 0.0, -2.0, 1.0, 2.0, 5.0],
            [-2.0, 1.0, -1.0, -1.0, -4.0, 1.0, 2.0],
        ]
    )
    tiny = np.array([[-1.0, 0.0, -2.0, 3.0], [-2.0, 0.0, -1.0, 4.0]])
    faint = np.array([[-1.0, 1e-9, -3.0], [-2.0, -4.0, -1e-9]])
    cases = [tiny, small, np.array([[0.0, 0.0]]), np.array([[1.0, -1.0]]), faint]
    for _ in range(4):
        z = normals(rng, rng.randint(3, 6), rng.randint(7, 12))
        z[:, :3] = -np.abs(z[:, :3])
        z[:2, 1] = 0.0
        cases.append(z)
    for z in cases:
        silent = z <= 0
        got = student.call("count_dead", z)
        if isinstance(got, np.ndarray) and got.ndim == 0:
            got = got.item()
        if isinstance(got, float) and got.is_integer():
            got = int(got)
        causes = {
            "a pre-activation of exactly 0 is silent too: <= and not <": int(
                (z < 0).all(axis=0).sum()
            ),
            "a unit with a small positive number is alive: compare with 0 itself": (
                lambda got, z=z: z is faint and got == 3
            ),
            "one example is not enough: a dead unit is silent on every one": (
                lambda got, silent=silent: (
                    got in (silent[0].sum(), silent[:2].all(axis=0).sum())
                )
            ),
            "the mean of a unit says little: it must be silent on every example": int(
                (z.mean(axis=0) <= 0).sum()
            ),
            "these are the units that are alive": int((~silent).any(axis=0).sum()),
            "silent on every example, not on some": int(silent.any(axis=0).sum()),
            "this counts numbers; count units (columns)": int(silent.sum()),
            "this counts examples; the columns are the units": int(
                silent.all(axis=1).sum()
            ),
            "a share; a number of units is wanted": float(silent.all(axis=0).mean()),
        }
        student.expect(got, int(silent.all(axis=0).sum()), causes=causes)


# -------------------------------------------------------------- the measurement

ROWS = (
    ("sigmoid", "xavier"),
    ("tanh", "small"),
    ("tanh", "xavier"),
    ("relu", "xavier"),
    ("relu", "he"),
)
DEPTHS, SEEDS, WIDTH = (2, 8), (1, 2, 3), 32
N_TRAIN = 1_200


class Digits(NamedTuple):
    """8×8 digits: images (N, 64) with mean 0 and variance 1, labels (N,)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def split_digits(seed: int) -> Digits:
    """1,200 digits to train on and 597 held out, chosen by a seed."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x - x.mean()) / x.std()
    order = np.random.default_rng(seed).permutation(len(x))
    train, test = order[:N_TRAIN], order[N_TRAIN:]
    return Digits(x[train], y[train], x[test], y[test])


def own_seed(name: str, purpose: str) -> int:
    """A seed that depends on what ``STUDENT`` says."""
    rng = Student(lambda request: {}, name, "table").own_rng(f"{purpose} of lab 2")
    return rng.getrandbits(31)


def own_digits(name: str) -> Digits:
    """A student's own split."""
    return split_digits(own_seed(name, "digits"))


def standard_draws(name: str, sizes: list[int], seed: int) -> list[np.ndarray]:
    """Matrices (n_in, n_out) of normal numbers with variance 1, a student's own."""
    rng = np.random.default_rng([own_seed(name, "weights"), seed])
    pairs = zip(sizes, sizes[1:], strict=False)
    return [rng.standard_normal(pair) for pair in pairs]


def train_network(
    digits: Digits,
    weights: list[np.ndarray],
    kind: str,
    functions: tuple[Callable, Callable, Callable],
    seed: int,
    lr: float = 0.03,
    steps: int = 300,
    batch_size: int = 50,
) -> float:
    """Train by gradient descent; gives the held-out accuracy in percent."""
    activate, slope, log_softmax = functions
    weights = [W.copy() for W in weights]
    biases = [np.zeros(W.shape[1]) for W in weights]
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        rows = rng.integers(len(digits.x_train), size=batch_size)
        zs, inputs = [], [digits.x_train[rows]]  # of each layer
        for W, b in zip(weights, biases, strict=True):
            zs.append(inputs[-1] @ W + b)
            inputs.append(activate(zs[-1], kind))
        delta = np.exp(log_softmax(zs[-1], -1))  # the loss by z, for each example:
        delta[np.arange(batch_size), digits.y_train[rows]] -= 1  # p minus the target
        delta /= batch_size
        for layer in reversed(range(len(weights))):
            weight_gradient = inputs[layer].T @ delta
            bias_gradient = delta.sum(axis=0)
            if layer > 0:
                delta = delta @ weights[layer].T * slope(zs[layer - 1], kind)
            weights[layer] -= lr * weight_gradient
            biases[layer] -= lr * bias_gradient
    h = digits.x_test
    for W, b in zip(weights[:-1], biases[:-1], strict=True):
        h = activate(h @ W + b, kind)
    guesses = (h @ weights[-1] + biases[-1]).argmax(axis=1)
    return 100 * float((guesses == digits.y_test).mean())


@lru_cache
def true_functions() -> tuple[Callable, Callable, Callable]:
    """torch's own kernels for the training: activation, slope, log-softmax."""
    import torch

    def activate(z: np.ndarray, kind: str) -> np.ndarray:
        return getattr(torch, kind)(torch.from_numpy(z)).numpy()

    def slope(z: np.ndarray, kind: str) -> np.ndarray:
        y = getattr(torch, kind)(torch.from_numpy(z))
        if kind == "relu":
            return torch.ops.aten.threshold_backward(torch.ones_like(y), y, 0).numpy()
        backward = getattr(torch.ops.aten, f"{kind}_backward")
        return backward(torch.ones_like(y), y).numpy()

    def log_softmax(z: np.ndarray, axis: int) -> np.ndarray:
        return torch.log_softmax(torch.from_numpy(z), axis).numpy()

    return activate, slope, log_softmax


@lru_cache
def true_table(name: str) -> dict[str, dict[int, float]]:
    """A student's ten accuracies, measured with lmcore's functions."""
    digits = own_digits(name)
    found: dict[str, dict[int, float]] = {}
    for kind, scheme in ROWS:
        row = found[f"{kind} {scheme}"] = {}
        for depth in DEPTHS:
            sizes = [64] + [WIDTH] * depth + [10]
            figures = []
            for seed in SEEDS:
                draws = standard_draws(name, sizes, seed)
                weights = [W * true_variance(*W.shape, scheme) ** 0.5 for W in draws]
                figures.append(
                    train_network(digits, weights, kind, true_functions(), seed)
                )
            row[depth] = sum(figures) / len(figures)
    return found


@task(
    "table",
    points=4,
    needs=("sigmoid", "slope", "log_softmax", "init_std"),
    hints=(
        "Run the experiment's cells and copy the lines that the last one prints.",
        "STUDENT must be your name before you measure, and tasks 1 to 4 must be right: "
        "the training uses them all.",
        'The form is table = {"sigmoid xavier": {2: ..., 8: ...}, "tanh small": ...} '
        "with five rows; accuracies in percent.",
    ),
)
def check_table(student: Student) -> None:
    """The student's ten accuracies, up to three points."""
    got = student.get("table")
    if got in ({}, None):
        student.fail("the table is empty: type in what the experiment printed")
    expected = true_table(student.name)
    _demand_form(student, got, expected)
    wrong = [
        (name, depth)
        for name, row in expected.items()
        for depth, figure in row.items()
        if not abs(got[name][depth] - figure) <= 3.0
    ]
    if not wrong:
        return
    relus = {"relu xavier": expected["relu he"], "relu he": expected["relu xavier"]}
    tanhs = {
        "tanh xavier": expected["tanh small"],
        "tanh small": expected["tanh xavier"],
    }
    depths = {name: {2: row[8], 8: row[2]} for name, row in expected.items()}
    errors = {n: {d: 100 - v for d, v in row.items()} for n, row in expected.items()}
    causes = {
        "These are shares; percent are wanted.": max(
            v for row in got.values() for v in row.values()
        )
        <= 1,
        "The depths are swapped.": _near(got, depths),
        "The rows of relu are swapped.": _near(got, expected | relus),
        "The rows of tanh are swapped.": _near(got, expected | tanhs),
        "These are errors in percent; accuracies are wanted.": _near(got, errors),
        "relu with he is the same as with xavier: measured before init_std was right?": (
            got["relu he"] == got["relu xavier"]
        ),
        "Copy the line as printed.": len(wrong) == 1,
        "Measured with another STUDENT, or before the tasks above were right?": True,
    }
    name, depth = wrong[0]  # the right figure stays out of the message:
    about = next(text for text, fits in causes.items() if fits)  # it is to be measured
    student.fail(
        f'"{name}" with {depth} hidden layers: {got[name][depth]} is not what your '
        f"digits and weights give. {about}"
    )


def _demand_form(student: Student, got: Any, expected: dict) -> None:
    """Five rows of two numbers."""
    student.demand(isinstance(got, dict), "must be a dict of five rows")
    for name, row in expected.items():
        mine = got.get(name)
        student.demand(
            isinstance(mine, dict) and set(mine) == set(row),
            f'the row "{name}" is missing, or is no dict with the keys 2 and 8 (ints)',
        )
        for depth in row:
            number = isinstance(mine[depth], int | float)
            student.demand(
                number and not isinstance(mine[depth], bool),
                f'"{name}" with {depth} hidden layers must be a number, got '
                f"{mine[depth]!r:.40}",
            )
    extra = [name for name in got if name not in expected]
    student.demand(not extra, f"five rows are wanted; {extra[:1]} is none of them")


def _near(got: dict, table: dict[str, dict[int, float]]) -> bool:
    return all(
        abs(got[name][depth] - figure) <= 3.0
        for name, row in table.items()
        for depth, figure in row.items()
    )


analysis = Written(
    "analysis",
    points=6,
    rubric=(
        "2 points: predicts 1/sqrt(2), about 0.71, a layer for xavier and 1 for he, "
        "quotes the measured factors, and ties them to the accuracies at depth 8.",
        "2 points: the slope of the sigmoid is at most 1/4, so the gradient (and the "
        "differences between examples) shrink by about 4 or more a layer; the spread "
        "stays because all outputs are near 1/2, which tells nothing about the example. "
        "One point for the slope alone.",
        "2 points: quotes the numbers that seem to favour tanh, and names two of: more "
        "seeds, learning rate, steps, width, data, optimiser; compares the difference "
        "with the distance between seeds.",
    ),
)

# -------------------------------------------------------------------- the stretch

STRETCH_SIZES = [64] + [WIDTH] * 30 + [10]


@lru_cache
def stretch_digits() -> Digits:
    """The stretch task's digits, the same for everybody."""
    return split_digits(2)


def course_figure() -> float:
    """Held-out accuracy of 30 layers of tanh with Xavier's weights, in percent."""
    figures = []
    for seed in SEEDS:
        draws = standard_draws("the course", STRETCH_SIZES, seed)
        weights = [W * true_variance(*W.shape, "xavier") ** 0.5 for W in draws]
        figures.append(
            train_network(stretch_digits(), weights, "tanh", true_functions(), seed)
        )
    return sum(figures) / len(figures)


@task(
    "deep_start",
    points=0,
    stretch=True,
    hints=(
        "Look at the spread of 30 layers of your candidates, and at what is left of the "
        "differences between two images. The right standard deviation keeps lengths on "
        "average, and not for each direction.",
        "A product of 30 random matrices stretches a few directions and flattens the "
        "others. A matrix whose columns are orthogonal and of length 1 does neither.",
        "np.linalg.qr of a square matrix of normal numbers gives an orthogonal matrix. "
        "An activation with slope near 1 around 0 leaves most of that intact; try "
        "gains a little above 1, and learning rates from 0.01 to 0.1.",
    ),
)
def check_deep_start(student: Student) -> float:
    """Trains with lmcore's functions from the student's weights; gives the accuracy."""
    digits = stretch_digits()
    shapes = list(zip(STRETCH_SIZES, STRETCH_SIZES[1:], strict=False))
    figures, firsts = [], []
    for seed in SEEDS:
        got = student.call("deep_start", digits.x_train, STRETCH_SIZES, seed)
        keys = {"weights", "kind", "lr"}
        fits = isinstance(got, dict) and set(got) == keys
        student.demand(fits, "must give a dict with weights, kind and lr")
        student.demand(got["kind"] in KINDS, f"kind must be one of {', '.join(KINDS)}")
        lr = got["lr"]
        student.demand(isinstance(lr, float) and 0 < lr < 10, "lr must be a float > 0")
        weights = got["weights"]
        mine = [getattr(W, "shape", None) for W in weights]
        student.demand(
            mine == shapes, f"weights must be {len(shapes)} arrays (n_in, n_out)"
        )
        finite = all(np.isfinite(W).all() for W in weights)
        student.demand(finite, "the weights must be finite numbers")
        firsts.append(weights[0].tobytes())
        with np.errstate(all="ignore"):  # it may blow up: then the figure says so
            figures.append(
                train_network(digits, weights, got["kind"], true_functions(), seed, lr)
            )
    student.demand(len(set(firsts)) == len(SEEDS), "each seed must give other weights")
    return sum(figures) / len(figures)
