"""Attention against its equation worked by hand, and against torch's own module."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lmcore.attention import (
    Attention,
    attention,
    attention_explicit,
    causal_mask,
)

D, H, K = 12, 4, 3
B, T, S = 2, 5, 7
HELD = {torch.float64: 1e-10, torch.float32: 1e-5}


def assert_same(ours, theirs, atol=1e-10):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)


def by_hand(q, k, v, mask):
    """softmax(q k^T / sqrt(K)) v for one head, one number at a time."""
    rows = []
    for t, query in enumerate(q.tolist()):
        e = [
            math.exp(
                sum(a * b for a, b in zip(query, key, strict=True)) / len(query) ** 0.5
            )
            if mask[t][s]
            else 0.0
            for s, key in enumerate(k.tolist())
        ]
        shares = [x / sum(e) if sum(e) else 0.0 for x in e]
        rows.append(
            [
                sum(
                    share * value[j]
                    for share, value in zip(shares, v.tolist(), strict=True)
                )
                for j in range(v.shape[1])
            ]
        )
    return torch.tensor(rows, dtype=torch.float64)


def heads(n, length, width=K):
    return torch.randn(B, n, length, width, dtype=torch.float64)


def test_a_worked_example():
    """Scores 1 and 0, divided by sqrt(4): weights e^0.5 : 1."""
    q = torch.tensor([[[[1.0, 0, 0, 0]]]])
    k = torch.tensor([[[[1.0, 0, 0, 0], [0, 1, 0, 0]]]])
    v = torch.tensor([[[[10.0, 0, 0, 0], [0, 10, 0, 0]]]])
    share = math.exp(0.5) / (math.exp(0.5) + 1)
    output, weights = attention_explicit(q, k, v)
    assert_same(weights, torch.tensor([[[[share, 1 - share]]]]), 1e-6)
    assert_same(
        output[0, 0, 0], torch.tensor([10 * share, 10 - 10 * share, 0, 0]), 1e-5
    )


@pytest.mark.parametrize("n_kv_heads", [4, 2, 1])
def test_both_forms_equal_the_equation_by_hand(n_kv_heads):
    torch.manual_seed(0)
    q, k, v = heads(H, T), heads(n_kv_heads, S), heads(n_kv_heads, S)
    mask = torch.rand(B, H, T, S) < 0.6
    mask[0, 1, 2] = False  # one query may attend to nothing
    explicit, fused = attention_explicit(q, k, v, mask), attention(q, k, v, mask)
    for b in range(B):
        for h in range(H):
            g = h // (H // n_kv_heads)  # query heads next to each other share
            expected = by_hand(q[b, h], k[b, g], v[b, g], mask[b, h])
            assert_same(explicit.output[b, h], expected)
            assert_same(fused[b, h], expected)


@settings(max_examples=40)
@given(
    group=st.integers(1, 3),
    n_kv_heads=st.integers(1, 3),
    n_queries=st.integers(1, 6),
    n_more_keys=st.integers(0, 4),
    width=st.integers(1, 9),
    causal=st.booleans(),
    axes=st.sampled_from([None, "TS", "HTS", "B11S", "BHTS"]),
    seed=st.integers(0, 2**16),
)
def test_fused_equals_explicit_for_all_shapes_and_masks(
    group, n_kv_heads, n_queries, n_more_keys, width, causal, axes, seed
):
    torch.manual_seed(seed)
    n_heads, n_keys = group * n_kv_heads, n_queries + n_more_keys
    q = heads(n_heads, n_queries, width).requires_grad_()
    k, v = (heads(n_kv_heads, n_keys, width).requires_grad_() for _ in range(2))
    mask = None
    if axes is not None:
        sizes = {"B": B, "H": n_heads, "T": n_queries, "S": n_keys, "1": 1}
        mask = torch.rand([sizes[axis] for axis in axes]) < 0.5
    fused = attention(q, k, v, mask, causal)
    allowed = causal_mask(n_queries, n_keys) if causal else torch.tensor(True)
    allowed = allowed if mask is None else allowed & mask
    allowed = allowed.expand(B, n_heads, n_queries, n_keys)
    explicit = attention_explicit(q, k, v, allowed).output
    assert_same(fused, explicit)
    slope = torch.cos(torch.arange(fused.numel())).view_as(fused)
    gradients = [torch.autograd.grad(x, [q, k, v], slope) for x in (fused, explicit)]
    for ours, theirs in zip(*gradients, strict=True):
        assert_same(ours, theirs)


def test_weights_sum_to_one_over_the_keys_and_obey_the_mask():
    torch.manual_seed(0)
    mask = torch.rand(B, 1, T, S) < 0.5
    mask[..., 0] = True
    weights = attention_explicit(heads(H, T), heads(H, S), heads(H, S), mask).weights
    assert_same(weights.sum(-1), torch.ones(B, H, T, dtype=torch.float64))
    assert (weights[~mask.expand_as(weights)] == 0).all()
    assert (weights[mask.expand_as(weights)] > 0).all()


# torch.nn.MultiheadAttention with the same weights. Its masks mean the opposite.


def as_ours(theirs, read=lambda parameter: parameter):
    """Its parameters (or ``read`` of them: gradients) under our names."""
    named = {
        "out_proj.weight": read(theirs.out_proj.weight),
        **zip_parts("weight", read(theirs.in_proj_weight)),
    }
    if theirs.in_proj_bias is not None:
        named |= zip_parts("bias", read(theirs.in_proj_bias))
        named["out_proj.bias"] = read(theirs.out_proj.bias)
    return named


def zip_parts(kind, stacked):
    names = [f"{name}_proj.{kind}" for name in "qkv"]
    return dict(zip(names, stacked.chunk(3), strict=True))


def pair(dtype=torch.float64, bias=True):
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(D, H, bias=bias, batch_first=True)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.5)  # its biases would be 0
    ours = Attention(D, H, bias=bias)
    ours.load_state_dict(as_ours(theirs))
    return ours.to(dtype), theirs.to(dtype)


def inputs(dtype=torch.float64):
    torch.manual_seed(1)
    x = torch.randn(B, T, D, dtype=dtype, requires_grad=True)
    memory = torch.randn(B, S, D, dtype=dtype, requires_grad=True)
    return x, memory


def real_keys(n):
    """The last keys of the second sequence are padding."""
    mask = torch.ones(B, n, dtype=torch.bool)
    mask[1, n - 2 :] = False
    return mask


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_self_attention_equals_torch(bias, causal, padded, dtype):
    ours, theirs = pair(dtype, bias)
    x, _ = inputs(dtype)
    real = real_keys(T) if padded else None
    output = ours(x, mask=None if real is None else real.unsqueeze(1), causal=causal)
    expected, _ = theirs(
        x,
        x,
        x,
        key_padding_mask=None if real is None else ~real,
        attn_mask=~causal_mask(T) if causal else None,
    )
    assert_same(output, expected, HELD[dtype])
    assert_same_gradients(ours, theirs, [x], output, expected, HELD[dtype] * 10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("padded", [False, True])
def test_cross_attention_equals_torch(padded, dtype):
    ours, theirs = pair(dtype)
    x, memory = inputs(dtype)
    real = real_keys(S) if padded else None
    output = ours(x, memory, mask=None if real is None else real.unsqueeze(1))
    expected, _ = theirs(
        x, memory, memory, key_padding_mask=None if real is None else ~real
    )
    assert_same(output, expected, HELD[dtype])
    assert_same_gradients(ours, theirs, [x, memory], output, expected, HELD[dtype] * 10)


def assert_same_gradients(ours, theirs, of, output, expected, atol):
    slope = torch.cos(torch.arange(output.numel())).view_as(output).to(output.dtype)
    their_inputs = torch.autograd.grad(expected, of, slope, retain_graph=True)
    our_inputs = torch.autograd.grad(output, of, slope, retain_graph=True)
    output.backward(slope)
    expected.backward(slope)
    assert_same(our_inputs, their_inputs, atol)
    gradients = as_ours(theirs, lambda parameter: parameter.grad)
    for name, parameter in ours.named_parameters():
        assert_same(parameter.grad, gradients[name], atol)


@pytest.mark.parametrize("causal", [False, True])
def test_the_weights_shown_are_torchs_and_those_of_forward(causal):
    ours, theirs = pair()
    x, _ = inputs()
    shown = ours.weights(x, mask=real_keys(T).unsqueeze(1), causal=causal)
    _, expected = theirs(
        x,
        x,
        x,
        key_padding_mask=~real_keys(T),
        attn_mask=~causal_mask(T) if causal else None,
        average_attn_weights=False,
    )
    assert_same(shown, expected)
    assert shown.shape == (B, H, T, T)


def test_the_weights_shown_across_to_a_memory_are_torchs():
    ours, theirs = pair()
    x, memory = inputs()
    shown = ours.weights(x, memory, mask=real_keys(S).unsqueeze(1))
    expected = theirs(
        x, memory, memory, key_padding_mask=~real_keys(S), average_attn_weights=False
    )[1]
    assert_same(shown, expected)


@pytest.mark.parametrize("n_kv_heads", [1, 2])
def test_grouped_heads_equal_torch_with_each_kv_head_copied_to_its_group(n_kv_heads):
    """Query heads 0 and 1 share key/value head 0, heads 2 and 3 head 1."""
    torch.manual_seed(0)
    grouped = Attention(D, H, n_kv_heads).double()
    _, theirs = pair()
    with torch.no_grad():
        stacked = {"weight": [], "bias": []}
        for name in "qkv":
            projection = getattr(grouped, f"{name}_proj")
            for kind in stacked:
                rows = getattr(projection, kind).unflatten(0, (-1, K))  # (heads, K, ..)
                group = H // rows.shape[0]
                stacked[kind].append(rows.repeat_interleave(group, 0).flatten(0, 1))
        theirs.in_proj_weight.copy_(torch.cat(stacked["weight"]))
        theirs.in_proj_bias.copy_(torch.cat(stacked["bias"]))
        theirs.out_proj.load_state_dict(grouped.out_proj.state_dict())
    x, memory = inputs()
    assert_same(grouped(x, memory), theirs(x, memory, memory)[0])
    assert grouped.k_proj.weight.shape == (n_kv_heads * K, D)
