"""Blocks and stacks against torch's, weights copied: outputs and gradients."""

import pytest
import torch
from torch import nn

from lmcore.attention import causal_mask
from lmcore.transformer import Block, Decoder, Encoder, EncoderDecoder

D, H, F, N_LAYERS = 12, 4, 20, 2
B, T, S = 3, 5, 7
HELD = {torch.float64: 1e-10, torch.float32: 1e-5}
pre_and_post = pytest.mark.parametrize("pre_norm", [True, False])
both = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
SIZES = {"dim_feedforward": F, "dropout": 0.0, "batch_first": True}

# torch's masks mean the opposite of ours: True = may not attend.
TARGET_REAL = torch.arange(T) < torch.tensor([T, 3, 1])[:, None]
SOURCE_REAL = torch.arange(S) < torch.tensor([4, S, 2])[:, None]


def assert_same(ours, theirs, atol=1e-10):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)


def torch_block(cross, pre_norm, activation="relu", bias=True, eps=1e-5):
    make = nn.TransformerDecoderLayer if cross else nn.TransformerEncoderLayer
    return make(
        D,
        H,
        **SIZES,
        norm_first=pre_norm,
        activation=activation,
        bias=bias,
        layer_norm_eps=eps,
    )


RENAMED = {"self_attn": "attn", "multihead_attn": "cross_attn", "layers": "blocks"}
RENAMED |= {"linear1": "ff.in_proj", "linear2": "ff.out_proj", "norm": "final_norm"}
RENAMED |= {"norm1": "attn_norm", "norm3": "ff_norm"}


def as_ours(theirs, read=lambda parameter: parameter):
    """Its parameters (or ``read`` of them: gradients) under our names."""
    named = {}
    for name, parameter in theirs.named_parameters():
        *path, last = name.split(".")
        layer = theirs.get_submodule(".".join(path[:-1]))
        norm2 = "cross_norm" if hasattr(layer, "multihead_attn") else "ff_norm"
        prefix = ".".join((RENAMED | {"norm2": norm2}).get(part, part) for part in path)
        value = read(parameter)
        if last.startswith("in_proj_"):
            for letter, part in zip("qkv", value.chunk(3), strict=True):
                named[f"{prefix}.{letter}_proj.{last[8:]}"] = part
        else:
            named[f"{prefix}.{last}"] = value
    return named


def same_weights(ours, theirs, dtype):
    torch.manual_seed(0)
    for name, parameter in theirs.named_parameters():  # so that no two norms agree
        nn.init.normal_(parameter, mean=float("norm" in name), std=0.3)
    ours.load_state_dict(as_ours(theirs))
    return ours.to(dtype), theirs.to(dtype)


def inputs(dtype):
    torch.manual_seed(1)
    target = torch.randn(B, T, D, dtype=dtype, requires_grad=True)
    source = torch.randn(B, S, D, dtype=dtype, requires_grad=True)
    return target, source


def assert_equal_with_gradients(ours, theirs, of, output, expected):
    """Padded positions' own outputs count too: both sides compute them alike."""
    atol = HELD[output.dtype]
    assert_same(output, expected, atol)
    slope = torch.cos(torch.arange(output.numel())).view_as(output).to(output.dtype)
    ours_of = torch.autograd.grad(output, of, slope, retain_graph=True)
    theirs_of = torch.autograd.grad(expected, of, slope, retain_graph=True)
    assert_same(ours_of, theirs_of, 30 * atol)
    output.backward(slope)
    expected.backward(slope)
    gradients = as_ours(theirs, lambda parameter: parameter.grad)
    assert gradients.keys() == dict(ours.named_parameters()).keys()
    for name, parameter in ours.named_parameters():
        assert_same(parameter.grad, gradients[name], 30 * atol)


@both
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pre_and_post
def test_a_block_equals_torchs_encoder_layer(pre_norm, activation, masked, dtype):
    ours, theirs = same_weights(
        Block(D, H, F, ff=activation, pre_norm=pre_norm),
        torch_block(False, pre_norm, activation),
        dtype,
    )
    x, _ = inputs(dtype)
    if masked:
        output = ours(x, mask=TARGET_REAL.unsqueeze(1), causal=True)
        expected = theirs(
            x, src_mask=~causal_mask(T), src_key_padding_mask=~TARGET_REAL
        )
    else:
        output, expected = ours(x), theirs(x)
    assert_equal_with_gradients(ours, theirs, [x], output, expected)


@both
@pytest.mark.parametrize("masked", [False, True])
@pre_and_post
def test_a_cross_block_equals_torchs_decoder_layer(pre_norm, masked, dtype):
    ours, theirs = same_weights(
        Block(D, H, F, pre_norm=pre_norm, cross=True),
        torch_block(True, pre_norm),
        dtype,
    )
    x, memory = inputs(dtype)
    if masked:
        output = ours(
            x,
            memory,
            mask=TARGET_REAL.unsqueeze(1),
            memory_mask=SOURCE_REAL.unsqueeze(1),
            causal=True,
        )
        expected = theirs(
            x,
            memory,
            tgt_mask=~causal_mask(T),
            tgt_key_padding_mask=~TARGET_REAL,
            memory_key_padding_mask=~SOURCE_REAL,
        )
    else:
        output, expected = ours(x, memory), theirs(x, memory)
    assert_equal_with_gradients(ours, theirs, [x, memory], output, expected)


@pre_and_post
def test_without_biases_and_with_another_eps(pre_norm):
    ours, theirs = same_weights(
        Block(D, H, F, pre_norm=pre_norm, cross=True, bias=False, norm_eps=0.1),
        torch_block(True, pre_norm, bias=False, eps=0.1),
        torch.float64,
    )
    x, memory = inputs(torch.float64)
    output, expected = ours(x, memory), theirs(x, memory)
    assert_equal_with_gradients(ours, theirs, [x, memory], output, expected)


def torch_stack(cross, pre_norm):
    """torch's stack; a pre-norm one ends with one more norm."""
    make = nn.TransformerDecoder if cross else nn.TransformerEncoder
    final = nn.LayerNorm(D) if pre_norm else None
    options = {} if cross else {"enable_nested_tensor": False}
    return make(torch_block(cross, pre_norm), N_LAYERS, norm=final, **options)


@both
@pre_and_post
def test_the_encoder_equals_torchs(pre_norm, dtype):
    ours, theirs = same_weights(
        Encoder(N_LAYERS, D, H, F, pre_norm=pre_norm),
        torch_stack(False, pre_norm),
        dtype,
    )
    _, x = inputs(dtype)
    output, expected = (
        ours(x, SOURCE_REAL),
        theirs(x, src_key_padding_mask=~SOURCE_REAL),
    )
    assert_equal_with_gradients(ours, theirs, [x], output, expected)


@both
@pre_and_post
def test_the_decoder_equals_torchs(pre_norm, dtype):
    ours, theirs = same_weights(
        Decoder(N_LAYERS, D, H, F, pre_norm=pre_norm),
        torch_stack(True, pre_norm),
        dtype,
    )
    x, memory = inputs(dtype)
    output = ours(x, memory, mask=TARGET_REAL, memory_mask=SOURCE_REAL)
    expected = theirs(
        x,
        memory,
        tgt_mask=~causal_mask(T),
        tgt_key_padding_mask=~TARGET_REAL,
        memory_key_padding_mask=~SOURCE_REAL,
    )
    assert_equal_with_gradients(ours, theirs, [x, memory], output, expected)


@both
@pre_and_post
def test_encoder_and_decoder_equal_torchs_transformer(pre_norm, dtype):
    ours, theirs = same_weights(
        EncoderDecoder(N_LAYERS, D, H, F, pre_norm=pre_norm),
        nn.Transformer(
            D,
            H,
            **SIZES,
            norm_first=pre_norm,
            custom_encoder=torch_stack(False, pre_norm),
            custom_decoder=torch_stack(True, pre_norm),
        ),
        dtype,
    )
    target, source = inputs(dtype)
    output = ours(source, target, SOURCE_REAL)
    expected = theirs(
        source,
        target,
        tgt_mask=~causal_mask(T),
        src_key_padding_mask=~SOURCE_REAL,
        memory_key_padding_mask=~SOURCE_REAL,
    )
    assert_equal_with_gradients(ours, theirs, [source, target], output, expected)
