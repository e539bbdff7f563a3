"""Positions and layers against formulas by hand, torch and lmcore.activations."""

import cmath
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lmcore import activations
from lmcore.layers import (
    FUSED_ACTIVATIONS,
    FeedForward,
    LayerNorm,
    RMSNorm,
    SwiGLU,
    layer_norm,
    make_feed_forward,
    make_norm,
    rms_norm,
)
from lmcore.positions import (
    LearnedPositions,
    RoPE,
    SinusoidalPositions,
    rotate,
    sinusoidal_positions,
)

HELD = {torch.float64: 1e-10, torch.float32: 1e-5}
both = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def assert_same(ours, theirs, atol=1e-10):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)


# Norms


def test_layer_norm_by_hand():
    """Mean 3, deviations -2 -1 0 3, variance (4 + 1 + 0 + 9) / 4 = 3.5."""
    x = torch.tensor([1.0, 2, 3, 6], dtype=torch.float64)
    weight = torch.tensor([1.0, 2, 1, 1], dtype=torch.float64)
    bias = torch.tensor([0.0, 0, 5, 0], dtype=torch.float64)
    root = math.sqrt(3.5 + 0.5)
    expected = torch.tensor([-2 / root, -2 / root, 5, 3 / root], dtype=torch.float64)
    assert_same(layer_norm(x, weight, bias, eps=0.5), expected)
    assert_same(layer_norm(x, weight, eps=0.5), expected - bias)


def test_rms_norm_by_hand():
    """Mean of 9 and 16 is 12.5; nothing is centred."""
    x = torch.tensor([3.0, 4], dtype=torch.float64)
    root = math.sqrt(12.5 + 3.5)
    expected = torch.tensor([3 / root, 8 / root], dtype=torch.float64)
    assert_same(rms_norm(x, torch.tensor([1.0, 2]).double(), eps=3.5), expected)


def ones_like_torchs(kind, theirs, ours):
    torch.manual_seed(0)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    equation = layer_norm if kind == "layer" else rms_norm
    return lambda x: equation(x, *ours.state_dict().values(), eps=ours.eps)


@both
@pytest.mark.parametrize("eps", [1e-5, 0.1])
@pytest.mark.parametrize("kind", ["layer", "layer without bias", "rms"])
def test_norms_equal_torch_and_their_equation(kind, eps, dtype):
    if kind == "rms":
        ours, theirs = RMSNorm(9, eps), nn.RMSNorm(9, eps)
    else:
        bias = kind == "layer"
        ours, theirs = LayerNorm(9, eps, bias), nn.LayerNorm(9, eps, bias=bias)
    equation = ones_like_torchs(kind.split()[0], theirs, ours)
    ours, theirs = ours.to(dtype), theirs.to(dtype)
    x = (3 * torch.randn(2, 4, 9, dtype=dtype) + 1).requires_grad_()
    assert_same(ours(x), theirs(x), HELD[dtype])
    assert_same(equation(x), theirs(x), HELD[dtype])
    slope = torch.cos(torch.arange(72.0)).view(2, 4, 9).to(dtype)
    gradients = [
        torch.autograd.grad(norm(x), [x, *norm.parameters()], slope)
        for norm in (ours, theirs)
    ]
    for a, b in zip(*gradients, strict=True):
        assert_same(a, b, HELD[dtype] * 10)


@settings(max_examples=25)
@given(
    width=st.integers(2, 12),
    scale=st.floats(0.1, 100),
    shift=st.floats(-100, 100),
    seed=st.integers(0, 2**16),
)
def test_what_norms_do_not_see(width, scale, shift, seed):
    """LayerNorm: neither size nor shift. RMSNorm: not the size."""
    torch.manual_seed(seed)
    x, one = torch.randn(3, width, dtype=torch.float64), torch.ones(width).double()
    seen = layer_norm(x, one, eps=1e-12)
    assert_same(layer_norm(scale * x + shift, one, eps=1e-12), seen, 1e-5)
    assert_same(rms_norm(scale * x, one, eps=1e-12), rms_norm(x, one, eps=1e-12), 1e-5)
    assert_same(seen.mean(-1), torch.zeros(3).double(), 1e-9)


def test_norms_start_as_plain_normalisation():
    assert (LayerNorm(5).weight == 1).all()
    assert (LayerNorm(5).bias == 0).all()
    assert (RMSNorm(5).weight == 1).all()
    assert LayerNorm(5, bias=False).bias is None
    assert dict(LayerNorm(5, bias=False).named_parameters()).keys() == {"weight"}


def test_norms_are_made_by_name_with_what_was_asked_for():
    assert isinstance(make_norm("rms", 5, 0.1), RMSNorm)
    assert isinstance(make_norm("layer", 5, 0.1), LayerNorm)
    assert make_norm("rms", 5, 0.1).eps == make_norm("layer", 5, 0.1).eps == 0.1
    assert make_norm("layer", 5, bias=False).bias is None
    with pytest.raises(ValueError, match="norm='batch': must be 'layer' or 'rms'"):
        make_norm("batch", 5)


# Feed-forward networks


@pytest.mark.parametrize("name", FUSED_ACTIVATIONS)
def test_fused_activations_equal_lmcore_activations(name):
    x = torch.linspace(-12, 12, 2001, dtype=torch.float64)
    assert_same(FUSED_ACTIVATIONS[name](x), getattr(activations, name)(x))


def test_the_two_gelus_differ():
    x = torch.linspace(-3, 3, 101)
    exact, tanh = (FUSED_ACTIVATIONS[name](x) for name in ("gelu", "gelu_tanh"))
    assert 1e-4 < (exact - tanh).abs().max() < 1e-3


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", FUSED_ACTIVATIONS)
def test_feed_forward_is_two_maps_around_the_activation(name, bias):
    torch.manual_seed(0)
    ours = FeedForward(4, 6, name, bias=bias).double()
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    state = ours.state_dict()
    h = x @ state["in_proj.weight"].T + state.get("in_proj.bias", 0)
    h = getattr(activations, name)(h)
    assert h.shape == (2, 3, 6)
    assert_same(ours(x), h @ state["out_proj.weight"].T + state.get("out_proj.bias", 0))


@pytest.mark.parametrize("bias", [False, True])
def test_swiglu_gates_with_silu_of_gate_proj(bias):
    torch.manual_seed(0)
    ours = SwiGLU(4, 6, bias=bias).double()
    x = torch.randn(2, 3, 4, dtype=torch.float64)

    def project(name, h):
        projection = getattr(ours, name)
        return h @ projection.weight.T + (projection.bias if bias else 0)

    gated = activations.silu(project("gate_proj", x)) * project("in_proj", x)
    assert_same(ours(x), project("out_proj", gated))


def test_feed_forwards_are_made_by_name_with_what_was_asked_for():
    gated = make_feed_forward("swiglu", 4, 6, dropout=0.3, bias=True)
    plain = make_feed_forward("gelu_tanh", 4, 6, dropout=0.3, bias=False)
    assert isinstance(gated, SwiGLU)
    assert isinstance(plain, FeedForward)
    assert gated.in_proj.bias is not None
    assert plain.in_proj.bias is None
    assert gated.dropout.p == plain.dropout.p == 0.3
    x = torch.linspace(-3, 3, 11)
    assert torch.equal(plain.activation(x), FUSED_ACTIVATIONS["gelu_tanh"](x))
    with pytest.raises(ValueError, match="activation='swish': must be one of"):
        FeedForward(4, 6, "swish")


@pytest.mark.parametrize("make", [FeedForward, SwiGLU])
def test_full_dropout_leaves_the_bias_alone(make):
    layer = make(4, 6, dropout=1.0, bias=True).train()
    x = torch.randn(3, 4)
    assert_same(layer(x), layer.out_proj.bias.expand(3, 4))
    assert (layer.eval()(x) != layer.out_proj.bias).all()


# Positions


@pytest.mark.parametrize("base", [10000.0, 50.0])
def test_sinusoidal_positions_by_hand(base):
    table = sinusoidal_positions(30, 6, base)
    for t in (0, 1, 7, 29):
        for i in range(3):
            angle = t / base ** (2 * i / 6)
            assert table[t, 2 * i] == pytest.approx(math.sin(angle), abs=1e-5)
            assert table[t, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-5)
    assert table.shape == (30, 6)


def test_a_sinusoidal_shift_is_a_rotation_that_does_not_depend_on_where():
    """Vaswani et al., 3.5: PE[t + c] is a linear function of PE[t]."""
    table = sinusoidal_positions(64, 8).double().view(64, 4, 2)
    as_complex = torch.complex(table[..., 1], table[..., 0])  # cos + i sin
    turns = as_complex[5:] / as_complex[:-5]
    assert (turns - turns[0]).abs().max() < 1e-4
    assert (turns[0] - 1).abs().max() > 0.1


def test_position_layers_give_the_rows_asked_for():
    positions = torch.tensor([[0, 2, 2], [4, 1, 0]])
    table = sinusoidal_positions(5, 6)
    assert torch.equal(SinusoidalPositions(5, 6)(positions), table[positions])
    assert not list(SinusoidalPositions(5, 6).parameters())
    learned = LearnedPositions(5, 6)
    assert torch.equal(learned(positions), learned.weight[positions])
    learned(positions).sum().backward()
    assert learned.weight.grad[:, 0].tolist() == [2, 1, 2, 0, 1]


def test_an_odd_width_is_named():
    for make in (lambda: sinusoidal_positions(4, 5), lambda: RoPE(5, 4)):
        with pytest.raises(ValueError, match="width=5: must be even"):
            make()


@pytest.mark.parametrize("base", [10000.0, 100000.0])
def test_rope_is_a_rotation_of_complex_numbers(base):
    """Pair i as x_i + j x_{i + K/2}, times e^{j t base^(-2i/K)}."""
    torch.manual_seed(0)
    x = torch.randn(1, 1, 20, 8)
    turned = rotate(x, RoPE(8, 20, base)(torch.arange(20)))
    for t in (0, 1, 19):
        for i in range(4):
            number = complex(x[0, 0, t, i], x[0, 0, t, i + 4])
            number *= cmath.exp(1j * t * base ** (-2 * i / 8))
            assert turned[0, 0, t, i] == pytest.approx(number.real, abs=1e-5)
            assert turned[0, 0, t, i + 4] == pytest.approx(number.imag, abs=1e-5)


def test_rope_equals_hugging_faces_half_split_form():
    """q * cos + rotate_half(q) * sin, with angles written twice in a row."""
    torch.manual_seed(0)
    x, n, width = torch.randn(2, 3, 9, 6), 9, 6
    inv_freq = 1.0 / (10000.0 ** (torch.arange(0, width, 2).float() / width))
    freqs = torch.arange(n).float()[:, None] * inv_freq[None, :]
    emb = torch.cat((freqs, freqs), dim=-1)
    x1, x2 = x[..., : width // 2], x[..., width // 2 :]
    rotate_half = torch.cat((-x2, x1), dim=-1)
    expected = x * emb.cos() + rotate_half * emb.sin()
    assert_same(rotate(x, RoPE(width, n)(torch.arange(n))), expected, 1e-5)


@settings(max_examples=25)
@given(
    m=st.integers(0, 40),
    n=st.integers(0, 40),
    shift=st.integers(1, 80),
    half=st.integers(1, 8),
    seed=st.integers(0, 2**16),
)
def test_rope_products_depend_on_the_offset_only(m, n, shift, half, seed):
    """Angles are float32, so that one near 100 is known to 1e-5 or so."""
    torch.manual_seed(seed)
    rope = RoPE(2 * half, 128)
    q, k = nn.functional.normalize(torch.randn(2, 2 * half), dim=-1)

    def product(at_q, at_k):
        def turn(x, t):
            return rotate(x.view(1, 1, 1, -1), rope(torch.tensor([t]))).flatten()

        return turn(q, at_q) @ turn(k, at_k)

    assert_same(product(m, n), product(m + shift, n + shift), 1e-4)
    assert_same(product(m, m), q @ k, 1e-5)


def test_rope_products_fall_and_rise_with_the_offset():
    """For ones: two pairs, one turning by 1, one by 1/100: 2 cos(t) + 2 cos(t/100)."""
    t = torch.arange(8.0)
    turned = rotate(torch.ones(1, 1, 8, 4), RoPE(4, 8)(t.long()))[0, 0]
    assert_same(turned @ turned[0], 2 * t.cos() + 2 * (t / 100).cos(), 1e-5)
    assert turned.norm(dim=-1).tolist() == pytest.approx([2.0] * 8)


def test_rope_takes_positions_of_its_own_for_each_sequence():
    torch.manual_seed(0)
    x, rope = torch.randn(2, 3, 4, 6), RoPE(6, 10)
    positions = torch.tensor([[0, 1, 2, 3], [6, 7, 8, 9]])
    together = rotate(x, rope(positions))
    for row in range(2):
        alone = rotate(x[row : row + 1], rope(positions[row]))
        assert torch.equal(together[row : row + 1], alone)


def test_rope_keeps_the_number_format():
    x = torch.randn(1, 1, 3, 4, dtype=torch.bfloat16)
    assert rotate(x, RoPE(4, 3)(torch.arange(3))).dtype == torch.bfloat16
