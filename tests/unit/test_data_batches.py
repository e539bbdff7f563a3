import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.data import batches, next_token_pairs, ordered_batches, windows
from lmcore.data.batches import IGNORE_INDEX


def test_windows_are_views_of_the_text():
    ids = torch.arange(10)
    found = windows(ids, seq_len=4, stride=3)
    assert found.tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert found.data_ptr() == ids.data_ptr()
    assert windows(ids, 4).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_next_token_pairs_on_a_small_text():
    inputs, targets = next_token_pairs(torch.arange(10), seq_len=4)
    assert inputs.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert targets.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    inputs, targets = next_token_pairs(torch.arange(10), seq_len=4, keep_rest=True)
    assert inputs[2].tolist() == [8, 0, 0, 0]
    assert targets[2].tolist() == [9, IGNORE_INDEX, IGNORE_INDEX, IGNORE_INDEX]
    assert inputs.dtype == targets.dtype == torch.int64


@settings(deadline=None)  # a busy machine is no failure
@given(n=st.integers(2, 200), seq_len=st.integers(1, 30))
def test_every_id_but_the_first_is_a_target_exactly_once(n, seq_len):
    ids = torch.arange(100, 100 + n, dtype=torch.int32)
    inputs, targets = next_token_pairs(ids, seq_len, keep_rest=True)
    counted = targets != IGNORE_INDEX
    assert targets[counted].tolist() == ids[1:].tolist()
    assert inputs[counted].tolist() == ids[:-1].tolist()
    assert inputs.shape[1] == seq_len


@settings(deadline=None)  # a busy machine is no failure
@given(n=st.integers(2, 200), seq_len=st.integers(1, 30), stride=st.integers(1, 30))
def test_targets_follow_inputs_at_every_stride(n, seq_len, stride):
    if n - 1 < seq_len:
        with pytest.raises(ValueError, match="must be at least"):
            next_token_pairs(torch.arange(n), seq_len, stride)
        return
    inputs, targets = next_token_pairs(torch.arange(n), seq_len, stride)
    assert torch.equal(targets, inputs + 1)
    assert len(inputs) == (n - 1 - seq_len) // stride + 1
    kept, kept_targets = next_token_pairs(torch.arange(n), seq_len, stride, True)
    assert torch.equal(kept[: len(inputs)], inputs)
    assert kept_targets.max() == n - 1 or stride > seq_len


def test_batches_cover_an_epoch_without_repeating():
    rows = torch.arange(23)
    stream = batches(rows, rows * 2, batch_size=5, seed=3)
    epoch = list(itertools.islice(stream, 4))  # 23 // 5 whole batches
    seen = torch.cat([x for x, _ in epoch])
    assert len(seen.unique()) == 20
    assert all(torch.equal(y, 2 * x) for x, y in epoch)
    second = torch.cat([x for x, _ in itertools.islice(stream, 4)])
    assert len(second.unique()) == 20
    assert not torch.equal(seen, second)  # another order in the next epoch


@settings(deadline=None)  # a busy machine is no failure
@given(
    n=st.integers(1, 40),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 2**40),
    step=st.integers(0, 100),
)
def test_resuming_gives_the_same_batches(n, batch_size, seed, step):
    rows = torch.arange(n)
    if batch_size > n:
        with pytest.raises(ValueError, match=f"batch_size={batch_size}: must be <="):
            batches(rows, batch_size=batch_size, seed=seed)
        return
    whole = batches(rows, batch_size=batch_size, seed=seed)
    resumed = batches(rows, batch_size=batch_size, seed=seed, step=step)
    expected = itertools.islice(whole, step, step + 5)
    for (a,), (b,) in zip(expected, itertools.islice(resumed, 5), strict=True):
        assert torch.equal(a, b)


def test_another_seed_is_another_order():
    rows = torch.arange(100)
    orders = {
        tuple(next(batches(rows, batch_size=100, seed=seed))[0].tolist())
        for seed in range(5)
    }
    assert len(orders) == 5


def test_the_global_generators_neither_decide_nor_move():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = next(batches(torch.arange(9), batch_size=3, seed=1))[0]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(next(batches(torch.arange(9), batch_size=3, seed=1))[0], first)


def test_ordered_batches_give_every_row_once():
    rows = torch.arange(7)
    found = [x.tolist() for (x,) in ordered_batches(rows, batch_size=3)]
    assert found == [[0, 1, 2], [3, 4, 5], [6]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: windows(torch.arange(3), 4), "seq_len=4: must be <= len"),
        (lambda: windows(torch.arange(3), 0), "seq_len=0: must be an int >= 1"),
        (lambda: windows(torch.arange(3), 2, 0), "stride=0: must be"),
        (lambda: next_token_pairs(torch.arange(1), 1, None, True), "at least 2 ids"),
        (
            lambda: batches(torch.arange(3), torch.arange(4), batch_size=1, seed=0),
            r"rows=\[3, 4\]: must be the same",
        ),
        (lambda: batches(torch.arange(3), batch_size=1, seed=-1), "seed=-1: must be"),
        (
            lambda: batches(torch.arange(3), batch_size=1, seed=0, step=-1),
            "step=-1: must be",
        ),
        (lambda: ordered_batches(torch.arange(3), batch_size=0), "batch_size=0"),
    ],
)
def test_bad_arguments_are_refused_before_the_first_batch(call, message):
    with pytest.raises(ValueError, match=message):
        call()
