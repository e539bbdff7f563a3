"""What crosses between a student's process and a check, and how it is compared."""

import math
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch

from lmcore.course.labs.compare import difference, same, show
from lmcore.course.labs.wire import Opaque, WireError, pack, unpack

VALUES = [
    None,
    True,
    -3,
    2**200,
    0.1,
    math.inf,
    "naïve \ud800 你好",
    b"\x00\xff",
    [1, [2.0, "x"], ()],
    {(1, 2): {"a": b"b"}},
    {1, 2},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plain_values_arrive_as_they_were(value):
    arrived = unpack(pack(value))
    assert arrived == value
    assert type(arrived) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        torch.arange(6).reshape(2, 3),
        torch.tensor(1.5),
        torch.empty(0, 4),
        torch.tensor([True, False]),
        torch.arange(6).reshape(3, 2)[:, :1],  # one column: an odd stride
        torch.ones(2, dtype=torch.bfloat16),
        torch.ones(3, 2).T,
    ],
)
def test_tensors_arrive_with_shape_and_dtype(value):
    arrived = unpack(pack(value))
    assert arrived.dtype == value.dtype
    assert torch.equal(arrived, value)


def test_a_parameter_arrives_as_a_tensor():
    arrived = unpack(pack(torch.nn.Parameter(torch.ones(2))))
    assert type(arrived) is torch.Tensor
    assert not arrived.requires_grad


def test_arrays_and_their_scalars_arrive():
    array = np.arange(6, dtype=np.int32).reshape(3, 2)
    arrived = unpack(pack(array))
    assert arrived.dtype == array.dtype
    assert np.array_equal(arrived, array)
    assert unpack(pack(np.float32(0.5))) == 0.5
    assert isinstance(unpack(pack(np.array([None]))), Opaque)


class EqualToAll(list):
    def __eq__(self, other):
        return True

    def __iter__(self):
        return iter([1, 2, 3])

    __hash__ = None


def test_a_subclass_cannot_call_itself_equal():
    arrived = unpack(pack(EqualToAll([9])))
    assert type(arrived) is list
    assert arrived == [9]
    assert type(unpack(pack(Counter("aab")))) is dict
    assert type(unpack(pack(OrderedDict(a=1)))) is dict
    assert type(unpack(pack(np.float64(2.0)))) is float


def test_what_is_not_sent_equals_nothing():
    arrived = unpack(pack(object()))
    assert isinstance(arrived, Opaque)
    assert arrived != unpack(pack(object()))
    assert difference(unpack(pack(x for x in [1])), [1]) == (
        "expected a list, got a generator (wrap it in list(...))"
    )


def test_a_value_that_holds_itself_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(WireError):
        pack(loop)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b'"x"', b'["int", "x"]', b'["os.system", "ls"]', b"[" * 100_000),
        *(b'["tensor", "float32", [9], "AAAA"]', b'["set", [["list", []]]]'),
    ],
)
def test_bytes_that_are_no_value_are_refused(data):
    with pytest.raises(WireError):
        unpack(data)


@pytest.mark.parametrize(
    ("got", "expected", "words"),
    [
        (None, [1], "expected a list, got None (is there a `return`?)"),
        ([1, 2, 4], [1, 2, 3], "expected 3 at [2], got 4"),
        ([1, 2], [1, 2, 3], "2 items, fewer than the 3 expected; the first 2 agree"),
        ([1.0], [1], "expected 1 at [0], got 1.0"),
        (True, 1, "expected an int, got a bool, True"),
        (1, True, "expected True, got 1"),
        ("abd", "abc", "index 2"),
        (b"a", "a", "expected a str, got a bytes, b'a'"),
        ({1: 2}, {1: 3}, "expected 3 at [1], got 2"),
        ({1: 2, 5: 1}, {1: 2}, "the key 5 should not be there"),
        ({}, {1: 2}, "the key 1 is missing"),
        ({1}, {1, 2}, "2 is missing"),
        ([[1, 2], [3, 5]], [[1, 2], [3, 4]], "expected 4 at [1][1], got 5"),
        (0.5, 0.25, "expected 0.25, got 0.5"),
    ],
)
def test_the_first_difference_is_told(got, expected, words):
    assert words in difference(got, expected)


def test_tensors_tell_shape_then_dtype_then_element():
    right = torch.zeros(2, 3)
    wrong = right.clone()
    wrong[1, 2] = 1
    nan = right.clone()
    nan[0, 1] = math.nan
    assert difference(right.T, right) == (
        "shape (3, 2), expected (2, 3) (the same axes in another order)"
    )
    assert "3 axes, expected 2" in difference(right[None], right)
    assert difference(right.long(), right) == "expected floats, got ints (int64)"
    found = difference(wrong, right)
    assert found.endswith("[1, 2]: expected 0, got 1 (1 of 6 differ)")
    assert "it holds NaN" in difference(nan, right)
    assert "expected a tensor" in difference([0.0], right)
    assert difference(torch.tensor(3), torch.tensor(4)).startswith("the first element")
    assert same(right.numpy(), right)
    assert same(right + 1e-9, right)


def test_close_floats_and_either_kind_of_sequence_agree():
    assert same((1, [2.0]), [1, (2.0 + 1e-9,)])
    assert same(torch.tensor(0.5), 0.5)
    assert not same(0.5001, 0.5)
    assert same(0.51, 0.5, atol=0.011, rtol=0)


def test_long_values_are_shown_short():
    assert len(show(list(range(1000)))) <= 60
    assert show(torch.zeros(4, 5)) == "a tensor of shape (4, 5)"
