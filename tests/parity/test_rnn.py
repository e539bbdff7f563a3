"""Recurrent layers against torch's, weights copied: outputs, states, gradients."""

import pytest
import torch
from torch import nn

from lmcore.rnn import CELLS, Recurrent

TORCH = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
B, T, INPUT, HIDDEN = 4, 7, 3, 5
LENGTHS = torch.tensor([3, 7, 1, 5])


def pair(kind, n_layers=2, dtype=torch.float64, **options):
    """Ours and torch's with the same weights."""
    torch.manual_seed(0)
    theirs = TORCH[kind](INPUT, HIDDEN, n_layers, batch_first=True, **options)
    ours = Recurrent(kind, INPUT, HIDDEN, n_layers, **options)
    with torch.no_grad():
        for layer, cell in enumerate(ours.cells):
            for name, parameter in cell.named_parameters():
                parameter.copy_(getattr(theirs, f"{name}_l{layer}"))
    return ours.to(dtype), theirs.to(dtype)


def inputs(n_states, n_layers=2):
    torch.manual_seed(1)
    x = torch.randn(B, T, INPUT, dtype=torch.float64, requires_grad=True)
    state = tuple(
        torch.randn(n_layers, B, HIDDEN, dtype=torch.float64) for _ in range(n_states)
    )
    return x, state


def run_torch(module, x, state, lengths=None):
    hx = state if isinstance(module, nn.LSTM) else state[0]
    if lengths is not None:
        x = nn.utils.rnn.pack_padded_sequence(
            x, lengths, batch_first=True, enforce_sorted=False
        )
    output, last = module(x, hx)
    if lengths is not None:
        output, _ = nn.utils.rnn.pad_packed_sequence(
            output, batch_first=True, total_length=T
        )
    return output, last if isinstance(last, tuple) else (last,)


def assert_same(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_outputs_states_and_gradients_equal_torch(kind, fused, padded):
    ours, theirs = pair(kind)
    ours.fused = fused
    x, state = inputs(ours.cells[0].n_states)
    lengths = LENGTHS if padded else None
    output, last = ours(x, state, lengths)
    expected, expected_last = run_torch(theirs, x, state, lengths)
    assert_same(output, expected)
    assert_same(last, expected_last)

    weights = torch.cos(torch.arange(output.numel())).view_as(output)
    loss = (output * weights).sum() + last[0].sum()
    reference = (expected * weights).sum() + expected_last[0].sum()
    ours_grads = torch.autograd.grad(loss, [x, *ours.parameters()])
    named = [
        f"{n}_l{layer}"
        for layer in range(2)
        for n, _ in ours.cells[0].named_parameters()
    ]
    their_grads = torch.autograd.grad(
        reference, [x, *(getattr(theirs, name) for name in named)]
    )
    for a, b in zip(ours_grads, their_grads, strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("kind", CELLS)
def test_float32_within_1e_5(kind):
    ours, theirs = pair(kind, dtype=torch.float32)
    x = torch.randn(B, 50, INPUT)
    torch.testing.assert_close(ours(x).output, theirs(x)[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_carried_state_equals_one_long_run(kind, fused):
    ours, _ = pair(kind)
    ours.fused = fused
    x, state = inputs(ours.cells[0].n_states)
    whole = ours(x, state)
    first = ours(x[:, :4], state)
    second = ours(x[:, 4:], first.state)
    assert_same(torch.cat([first.output, second.output], dim=1), whole.output)
    assert_same(second.state, whole.state)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_padding_changes_nothing(kind, fused):
    ours, _ = pair(kind)
    ours.fused = fused
    x, _ = inputs(1)
    garbage = x.detach().clone()
    for row, length in enumerate(LENGTHS):
        garbage[row, length:] = 1e6
    clean, dirty = (ours(v, lengths=LENGTHS) for v in (x.detach(), garbage))
    assert_same(clean.output, dirty.output)
    assert_same(clean.state, dirty.state)
    alone = ours(x[:1, :3].detach())
    assert_same(alone.output, clean.output[:1, :3])
    assert_same(alone.state[0], clean.state[0][:, :1])


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_the_future_does_not_reach_the_past(kind, fused):
    ours, _ = pair(kind)
    ours.fused = fused
    x = inputs(1)[0].detach()
    changed = x.clone()
    changed[:, 4:] += 1
    assert torch.equal(ours(x).output[:, :4], ours(changed).output[:, :4])
    assert not torch.equal(ours(x).output[:, 4:], ours(changed).output[:, 4:])


@pytest.mark.parametrize("fused", [False, True])
def test_dropout_stands_between_layers_only(fused):
    x = torch.randn(2, 3, INPUT)
    one = Recurrent("lstm", INPUT, HIDDEN, n_layers=1, dropout=0.9, fused=fused)
    assert torch.equal(one(x).output, one.eval()(x).output)  # one layer: none to drop
    two = Recurrent("lstm", INPUT, HIDDEN, n_layers=2, dropout=0.9, fused=fused)
    assert not torch.equal(two.train()(x).output, two.eval()(x).output)
    assert (two.train()(x).output != 0).all()  # nothing dropped after the last layer


def test_full_dropout_cuts_the_layers_apart():
    two = Recurrent("rnn", INPUT, HIDDEN, n_layers=2, dropout=1.0).train()
    a, b = torch.randn(2, 1, 3, INPUT)
    assert torch.equal(two(a).output, two(b).output)


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="kind='ltsm': must be one of"):
        Recurrent("ltsm", 3, 5)


@pytest.mark.parametrize("kind", CELLS)
def test_initial_weights_lie_within_torchs_bound(kind):
    cell = CELLS[kind](INPUT, 400)
    bound = 1 / 20
    for parameter in cell.parameters():
        assert parameter.abs().max() <= bound
        assert parameter.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)
