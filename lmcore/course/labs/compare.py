"""Where a student's value first differs from the right one, in words.

The words name the kind, the length or shape, the first place that differs, and what
stands there on both sides. They show one element of a right answer, never all of it.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lmcore.course.labs.wire import Opaque

SHOWN = 60  # characters of a value in a message
LARGE = 8  # elements of an array that is shown by its shape alone
LAZY = ("generator", "map", "filter", "zip", "range", "enumerate", "reversed")
VIEWS = ("dict_keys", "dict_values", "dict_items")
RETURN = " (is there a `return`?)"


def show(value: Any, limit: int = SHOWN) -> str:
    """A value in at most ``limit`` characters."""
    text = _written(value, limit)
    if is_array(value) and _size(value) > LARGE:
        text = f"{kind_of(value)} of shape {tuple(value.shape)}"
    return text if len(text) <= limit else f"{text[: limit - 2]} …"


def _written(value: Any, limit: int) -> str:
    """A value as Python writes it, but for arrays and what cannot be sent."""
    if isinstance(value, Opaque):
        return f"<{value.type_name}>"
    if is_array(value):
        word = kind_of(value).split()[1]
        large = _size(value) > LARGE
        return f"{word} {tuple(value.shape)}" if large else repr(_short(value.tolist()))
    if isinstance(value, Mapping):
        pairs = itertools.islice(value.items(), limit)
        parts = [f"{_written(k, limit)}: {_written(v, limit)}" for k, v in pairs]
        return f"{{{', '.join(parts)}}}"
    if isinstance(value, list | tuple):
        parts = [_written(item, limit) for item in value[:limit]]
        inside = ", ".join(parts)
        if isinstance(value, list):
            return f"[{inside}]"
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value)


def _short(value: Any) -> Any:
    """The numbers of a small array, which may be of 32 bits, with six digits."""
    if isinstance(value, list):
        return [_short(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def kind_of(value: Any) -> str:
    """A value's type in a reader's words, such as ``"a list"``."""
    if value is None:
        return "None"
    if isinstance(value, Opaque):
        name = value.type_name
    elif is_array(value):
        name = "tensor" if hasattr(value, "numel") else "array"
    else:
        name = type(value).__name__
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def is_array(value: Any) -> bool:
    """Whether a value is a torch tensor or a NumPy array (or a scalar of either)."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def difference(
    got: Any, expected: Any, *, rtol: float = 1e-5, atol: float = 1e-8, at: str = ""
) -> str | None:
    """The first difference in words; None if the two agree.

    A list and a tuple of the same items agree, and so do a tensor and an array, and so
    do a number and NumPy's scalar or array or a tensor without axes. An int does not
    agree with a float where an int is expected (ids are ints), nor a number with a
    tensor where a tensor is expected (it would have lost its gradient).

    Args:
        got: The student's value, of the types that ``wire`` sends.
        expected: The right one.
        rtol: Relative tolerance of floats.
        atol: Absolute tolerance of floats.
        at: Where in a larger value this one stands, such as ``"[3]"``.
    """
    tolerance = {"rtol": rtol, "atol": atol}
    place = f" at {at}" if at else ""
    if is_array(expected) and not hasattr(expected, "numel") and not expected.shape:
        expected = expected.item()  # NumPy's scalars; its mean() gives a plain float
    if is_array(expected):
        return _array_difference(got, expected, place, rtol, atol)
    if isinstance(expected, bool | int | float) and is_array(got) and not got.shape:
        got = got.item()  # a loss is often a tensor without axes
    if isinstance(expected, bool) or expected is None:
        if type(got) is type(expected) and got == expected:
            return None
        hint = RETURN if got is None else ""
        return f"expected {expected}{place}, got {show(got)}{hint}"
    if isinstance(expected, int | float):
        return _number_difference(got, expected, place, rtol, atol)
    if isinstance(expected, Mapping):
        if not isinstance(got, Mapping):
            return _kinds(got, expected, place)
        return _dict_difference(got, expected, at, tolerance)
    if isinstance(expected, set | frozenset):
        return _set_difference(got, expected, place)
    if isinstance(expected, str | bytes):
        if type(got) is not type(expected):
            return _kinds(got, expected, place)
        return _text_difference(got, expected, place)
    if isinstance(expected, Sequence):
        if not isinstance(got, list | tuple):
            return _kinds(got, expected, place)
        return _list_difference(got, expected, at, tolerance)
    raise TypeError(f"expected={expected!r:.60}: must be of a type that can be sent")


def same(got: Any, expected: Any, *, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
    """Whether two values agree; see ``difference``."""
    return difference(got, expected, rtol=rtol, atol=atol) is None


def _kinds(got: Any, expected: Any, place: str) -> str:
    hint = ""
    if got is None:
        hint = RETURN
    elif isinstance(got, Opaque) and got.type_name in LAZY + VIEWS:
        hint = " (wrap it in list(...))"
    return f"expected {kind_of(expected)}{place}, got {_kind_and_value(got)}{hint}"


def _kind_and_value(got: Any) -> str:
    if got is None or isinstance(got, Opaque):
        return kind_of(got)
    return f"{kind_of(got)}, {show(got)}"


def _number_difference(
    got: Any, expected: float, place: str, rtol: float, atol: float
) -> str | None:
    if isinstance(got, bool) or not isinstance(got, int | float):
        return _kinds(got, expected, place)
    if isinstance(expected, int):
        if isinstance(got, int) and got == expected:
            return None
        return f"expected {expected}{place}, got {show(got)}"
    if math.isclose(got, expected, rel_tol=rtol, abs_tol=atol):
        return None
    if math.isnan(got) and math.isnan(expected):
        return None
    return f"expected {expected:.6g}{place}, got {got:.6g}"


def _list_difference(
    got: Sequence, expected: Sequence, at: str, tolerance: dict[str, float]
) -> str | None:
    place = f" at {at}" if at else ""
    for i, (left, right) in enumerate(zip(got, expected, strict=False)):
        found = difference(left, right, at=f"{at}[{i}]", **tolerance)
        if found and len(got) != len(expected):
            return f"{found} (length {len(got)}, expected {len(expected)})"
        if found:
            return found
    if len(got) != len(expected):
        many = "more" if len(got) > len(expected) else "fewer"
        return (
            f"{len(got)} items{place}, {many} than the {len(expected)} expected; "
            f"the first {min(len(got), len(expected))} agree"
        )
    return None


def _text_difference(got: Any, expected: Any, place: str) -> str | None:
    if got == expected:
        return None
    pairs = zip(got, expected, strict=False)
    i = next(
        (i for i, (left, right) in enumerate(pairs) if left != right),
        min(len(got), len(expected)),
    )
    here, there = got[i : i + 12], expected[i : i + 12]
    return (
        f"{kind_of(got)} that first differs at index {i}{place}: "
        f"expected {there!r} there, got {here!r} "
        f"(length {len(got)}, expected {len(expected)})"
    )


def _dict_difference(
    got: Mapping, expected: Mapping, at: str, tolerance: dict[str, float]
) -> str | None:
    place = f" at {at}" if at else ""
    for key, value in expected.items():
        if key not in got:
            sizes = f"{len(got)} keys, expected {len(expected)}"
            return f"the key {show(key)} is missing{place} ({sizes})"
        found = difference(got[key], value, at=f"{at}[{show(key)}]", **tolerance)
        if found:
            return found
    extra = [key for key in got if key not in expected]
    if extra:
        return (
            f"the key {show(extra[0])} should not be there{place} "
            f"({len(got)} keys, expected {len(expected)})"
        )
    return None


def _set_difference(got: Any, expected: set | frozenset, place: str) -> str | None:
    if not isinstance(got, set | frozenset):
        return _kinds(got, expected, place)
    missing, extra = expected - got, got - expected
    if missing:
        return f"{show(min(missing, key=repr))} is missing{place}"
    return f"{show(min(extra, key=repr))} should not be there{place}" if extra else None


def _array_difference(
    got: Any, expected: Any, place: str, rtol: float, atol: float
) -> str | None:
    """Shape first, then kind of number, then the first element that differs."""
    import numpy

    if not is_array(got):
        return _kinds(got, expected, place)
    if tuple(got.shape) != tuple(expected.shape):
        return (
            f"shape {tuple(got.shape)}{place}, expected {tuple(expected.shape)}"
            + _transposed(tuple(got.shape), tuple(expected.shape))
        )
    left, right = numpy.asarray(got), numpy.asarray(expected)
    kinds = {"f": "floats", "i": "ints", "u": "ints", "b": "booleans", "c": "complex"}
    if kinds.get(left.dtype.kind) != kinds.get(right.dtype.kind):
        ours, theirs = kinds.get(right.dtype.kind), kinds.get(left.dtype.kind)
        return f"expected {ours}{place}, got {theirs} ({left.dtype})"
    if right.dtype.kind not in "fc":
        wrong = left != right
    else:
        wrong = ~numpy.isclose(left, right, rtol=rtol, atol=atol, equal_nan=True)
    if not wrong.any():
        return None
    index = tuple(int(i[0]) for i in numpy.nonzero(numpy.atleast_1d(wrong)))
    mine = numpy.atleast_1d(left)[index]
    true = numpy.atleast_1d(right)[index]
    nan = "; it holds NaN" if left.dtype.kind == "f" and numpy.isnan(left).any() else ""
    return (
        f"the first element that differs{place} is {list(index)}: "
        f"expected {true:.6g}, got {mine:.6g} "
        f"({int(wrong.sum())} of {wrong.size} differ{nan})"
        if right.dtype.kind in "fciu"
        else f"the first element that differs{place} is {list(index)}: "
        f"expected {true}, got {mine} ({int(wrong.sum())} of {wrong.size} differ)"
    )


def _transposed(got: tuple[int, ...], expected: tuple[int, ...]) -> str:
    if len(got) != len(expected):
        return f" ({len(got)} axes, expected {len(expected)})"
    return (
        " (the same axes in another order)" if sorted(got) == sorted(expected) else ""
    )


def _size(value: Any) -> int:
    size = 1
    for axis in value.shape:
        size *= axis
    return size
