"""Masks, rows with nothing to attend to, dropout and the cache."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.attention import (
    Attention,
    KVCache,
    attention,
    attention_explicit,
    causal_mask,
    padding_mask,
)
from lmcore.positions import RoPE

B, T, S, D, H = 2, 6, 9, 16, 4
FORMS = {
    "fused": attention,
    "explicit": lambda q, k, v, mask: attention_explicit(q, k, v, mask).output,
}
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def assert_close(a, b, atol=1e-10):
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


# Masks


def test_a_causal_mask_written_out():
    assert causal_mask(3).tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert causal_mask(2, 4).tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert causal_mask(1, 3).tolist() == [[1, 1, 1]]
    assert causal_mask(3).dtype == torch.bool


def test_more_queries_than_keys_are_named():
    with pytest.raises(ValueError, match="n_keys=2: must be >= n_queries=3"):
        causal_mask(3, 2)


def test_a_padding_mask_written_out():
    mask = padding_mask(torch.tensor([2, 0, 3]), 3)
    assert mask.tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 1]]
    assert mask.dtype == torch.bool


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_kv_heads", [4, 2])
@pytest.mark.parametrize("d_head", [5, 16])
@pytest.mark.parametrize("form", FORMS)
def test_a_query_with_nothing_to_attend_to_gets_zeros(form, d_head, n_kv_heads, dtype):
    """Its gradient is zero too, and nobody's is NaN."""
    torch.manual_seed(0)
    q = torch.randn(B, H, T, d_head, dtype=dtype, requires_grad=True)
    k, v = (
        torch.randn(B, n_kv_heads, S, d_head, dtype=dtype, requires_grad=True)
        for _ in range(2)
    )
    mask = torch.rand(B, 1, T, S) < 0.5
    mask[:, :, 1:, 0] = True
    mask[0, :, 0] = False  # one query of the first sequence
    mask[1] = False  # all of the second
    output = FORMS[form](q, k, v, mask)
    assert (output[0, :, 0] == 0).all()
    assert (output[1] == 0).all()
    assert (output[0, :, 1:] != 0).any(-1).all()
    output.float().square().sum().backward()
    for x in (q, k, v):
        assert x.grad.isfinite().all()
        assert (x.grad[1] == 0).all()
        assert (x.grad[0] != 0).any()
    assert (q.grad[0, :, 0] == 0).all()
    if form == "explicit":
        weights = attention_explicit(q, k, v, mask).weights
        assert (weights[1] == 0).all()
        assert_close(weights[0, :, 1].double().sum(-1), torch.ones(H).double(), 0.02)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.bfloat16, 0.02), (torch.float16, 0.003)]
)
def test_half_precision_within_a_few_roundings(form, dtype, atol):
    """Outputs of size 1; bf16 rounds to 2^-9 of a number, fp16 to 2^-12."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(B, H, T, 16) for _ in range(3))
    exact = attention_explicit(q.double(), k.double(), v.double(), causal_mask(T))
    rounded = FORMS[form](q.to(dtype), k.to(dtype), v.to(dtype), causal_mask(T))
    assert rounded.dtype == dtype
    assert_close(rounded.double(), exact.output, atol)


# The module


def make(**options):
    torch.manual_seed(0)
    return Attention(D, H, **options).double()


def sequence(length=T, batch=B):
    return torch.randn(batch, length, D, dtype=torch.float64)


@pytest.mark.parametrize("options", [{}, {"n_kv_heads": 2}, {"d_head": 6}])
def test_without_positions_attention_is_permutation_equivariant(options):
    layer, x = make(**options), sequence()
    order = torch.randperm(T)
    assert_close(layer(x[:, order]), layer(x)[:, order])


def test_positions_and_causality_break_permutation_equivariance():
    layer, x, order = make(), sequence(), torch.tensor([1, 0, *range(2, T)])
    rotation = RoPE(D // H, T)(torch.arange(T))
    for options in ({"rotation": rotation}, {"causal": True}):
        permuted, plain = layer(x[:, order], **options), layer(x, **options)
        assert (permuted - plain[:, order]).abs().max() > 1e-3


def test_a_mask_holds_together_with_causality():
    layer, x = make(), sequence()
    mask = torch.rand(B, T, T) < 0.7
    both = layer(x, mask=mask & causal_mask(T))
    assert_close(layer(x, mask=mask, causal=True), both)
    assert (layer(x, mask=mask) - both).abs().max() > 1e-3


def test_every_head_sees_every_position():
    weights = make().weights(sequence())
    assert weights.shape == (B, H, T, T)
    assert (weights > 0).all()


def test_the_weights_shown_are_those_of_forward():
    """Values from the identity: forward's answer is then the weights themselves."""
    layer = Attention(T, 1, bias=False).double()
    x = torch.eye(T, dtype=torch.float64).unsqueeze(0)
    rotation = RoPE(T, 2 * T)(torch.arange(T))
    for name in ("v_proj", "out_proj"):
        getattr(layer, name).weight.data = torch.eye(T, dtype=torch.float64)
    for options in (
        {},
        {"causal": True},
        {"rotation": rotation},
        {"causal": True, "mask": torch.rand(T, T) < 0.6},
    ):
        assert_close(layer(x, **options), layer.weights(x, **options)[:, 0])


def test_the_weights_shown_stop_at_the_querys_own_place_in_the_memory():
    weights = make().weights(sequence(2), sequence(4), causal=True)
    assert ((weights > 0) == causal_mask(2, 4)).all()


def test_dropout_zeroes_weights_in_training_only():
    layer, x = make(dropout=0.5), sequence()
    assert (layer.train()(x) - layer(x)).abs().max() > 1e-3
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    assert_close(layer(x), make()(x))


def test_dropped_weights_are_made_up_for():
    """Equal scores over 4 keys and values of 1: each weight kept adds 1/4 / (1/2)."""
    torch.manual_seed(0)
    q, k = torch.zeros(1, 1, 4000, 2), torch.zeros(1, 1, 4, 2)
    output = attention(q, k, torch.ones(1, 1, 4, 2), dropout=0.5)
    assert set(output.unique().tolist()) == {0, 0.5, 1, 1.5, 2}
    assert output.mean().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_heads": 3}, "n_heads=3: must be a divisor of d_model=16"),
        ({"n_heads": 4, "n_kv_heads": 3}, "n_kv_heads=3: must be a divisor of n_heads"),
        ({"n_heads": 2, "n_kv_heads": 4}, "n_kv_heads=4: must be a divisor of n_heads"),
    ],
)
def test_heads_that_do_not_divide_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Attention(D, **options)
    Attention(D, 3, d_head=5)


# The cache


def new_cache(layer, batch=B, max_len=T):
    return KVCache(
        1, batch, layer.n_kv_heads, max_len, layer.d_head, dtype=torch.float64
    )


@settings(max_examples=25)
@given(
    cuts=st.sets(st.integers(1, T - 1)),
    n_kv_heads=st.sampled_from([1, 2, 4]),
    rotary=st.booleans(),
    spare=st.integers(0, 3),
)
def test_reading_in_any_pieces_equals_reading_at_once(cuts, n_kv_heads, rotary, spare):
    layer, x = make(n_kv_heads=n_kv_heads), sequence()
    rope, cache = RoPE(D // H, T), new_cache(layer, max_len=T + spare)

    def rotation(start, end):
        return rope(torch.arange(start, end)) if rotary else None

    pieces, bounds = [], [0, *sorted(cuts), T]
    with torch.no_grad():
        for start, end in itertools.pairwise(bounds):
            piece = layer(
                x[:, start:end],
                causal=True,
                rotation=rotation(start, end),
                cache=cache.layers[0],
            )
            pieces.append(piece)
            assert cache.length == end
        whole = layer(x, causal=True, rotation=rotation(0, T))
    assert_close(torch.cat(pieces, 1), whole)


def test_cross_attention_reads_the_memory_once():
    layer, x, memory = make(), sequence(), sequence(S)
    cache = new_cache(layer, max_len=S).layers[0]
    with torch.no_grad():
        first = layer(x[:, :2], memory, cache=cache)
        rest = layer(x[:, 2:], torch.full_like(memory, torch.nan), cache=cache)
        assert_close(torch.cat([first, rest], 1), layer(x, memory))
    assert cache.length == S


def test_the_caches_memory_is_taken_once():
    layer = make(n_kv_heads=2)
    cache = new_cache(layer)
    k = cache.layers[0].k
    assert k.shape == (B, 2, T, D // H)
    address = k.data_ptr()
    with torch.no_grad():
        for _ in range(T):
            layer(sequence(1), causal=True, cache=cache.layers[0])
    assert cache.layers[0].k.data_ptr() == address
    assert cache.layers[0].all()[0].data_ptr() == address


def test_a_full_cache_and_a_wrong_batch_are_named():
    layer = make()
    cache = new_cache(layer)
    with torch.no_grad():
        layer(sequence(4), causal=True, cache=cache.layers[0])
        with pytest.raises(
            ValueError, match=r"kv_cache=7: must hold at most max_len=6"
        ):
            layer(sequence(3), causal=True, cache=cache.layers[0])
        assert cache.length == 4
        with pytest.raises(ValueError, match=r"batch size=1: must be kv_cache's, 2"):
            layer(sequence(1, batch=1), causal=True, cache=cache.layers[0])
        layer(sequence(2), causal=True, cache=cache.layers[0])  # exactly full


def test_a_truncated_cache_goes_on_from_there():
    layer, x = make(), sequence()
    cache = new_cache(layer)
    with torch.no_grad():
        layer(x, causal=True, cache=cache.layers[0])
        assert cache.truncate(2) is cache
        again = layer(x[:, 2:], causal=True, cache=cache.layers[0])
        assert_close(again, layer(x, causal=True)[:, 2:])
    for length in (-1, T + 1):
        with pytest.raises(ValueError, match=f"length={length}"):
            cache.truncate(length)


def test_selected_rows_go_on_as_their_own_sequences():
    layer, x = make(), sequence(batch=3)
    cache, rows = new_cache(layer, batch=3), torch.tensor([2, 0, 2, 1])
    with torch.no_grad():
        layer(x[:, :4], causal=True, cache=cache.layers[0])
        assert cache.select(rows) is cache
        rest = layer(x[rows, 4:], causal=True, cache=cache.layers[0])
        assert_close(rest, layer(x, causal=True)[rows, 4:])
