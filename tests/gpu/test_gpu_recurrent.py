"""Models without a Transformer, and the losses, on a GPU: the CPU's numbers."""

import copy

import pytest
import torch
from torch.nn import functional as F

from lmcore.losses import (
    binary_cross_entropy,
    cross_entropy,
    cross_entropy_explicit,
    mse,
)
from lmcore.models.neural_ngram import NeuralNGram, NeuralNGramConfig
from lmcore.models.rnn_lm import RNNLM, RNNLMConfig
from lmcore.models.seq2seq import Seq2Seq, Seq2SeqConfig
from lmcore.models.seq2seq_attention import Seq2SeqAttention, Seq2SeqAttentionConfig
from lmcore.models.seq2seq_transformer import (
    TransformerSeq2Seq,
    TransformerSeq2SeqConfig,
)
from lmcore.rnn import Recurrent

B, T, S, V = 3, 12, 9, 40
ATOL = 1e-10  # in float64, where kernels differ in the order of sums alone


def tokens(*size, seed=1):
    return torch.randint(V, size, generator=torch.Generator().manual_seed(seed))


def on_both(make, cuda):
    torch.manual_seed(0)
    cpu = make().double().eval()
    return cpu, copy.deepcopy(cpu).to(cuda)


def assert_equal(cpu, gpu, *inputs):
    """Outputs and gradients of one call, with the inputs on either device."""
    device = next(gpu.parameters()).device
    expected = cpu(*inputs)
    found = gpu(*(x.to(device) for x in inputs))
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=ATOL)
    expected.square().mean().backward()
    found.square().mean().backward()
    for a, b in zip(gpu.parameters(), cpu.parameters(), strict=True):
        torch.testing.assert_close(a.grad.cpu(), b.grad, rtol=0, atol=ATOL)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("fused", [False, True])
def test_recurrent_layers_equal_the_cpus(kind, fused, cuda):
    cpu, gpu = on_both(lambda: Recurrent(kind, 16, 24, 2, fused=fused), cuda)
    x = torch.randn(B, T, 16, dtype=torch.float64)
    lengths = torch.tensor([T, 5, 1])
    expected = cpu(x, lengths=lengths)
    # cuDNN wants training mode for a backward pass; here only the forward one.
    with torch.no_grad():
        found = gpu(x.to(cuda), lengths=lengths)
    torch.testing.assert_close(found.output.cpu(), expected.output, rtol=0, atol=ATOL)
    for a, b in zip(found.state, expected.state, strict=True):
        torch.testing.assert_close(a.cpu(), b, rtol=0, atol=ATOL)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_a_recurrent_language_model_equals_the_cpus(kind, cuda):
    config = RNNLMConfig(
        vocab_size=V, kind=kind, input_size=16, hidden_size=24, dropout=0.0
    )
    cpu, gpu = on_both(lambda: RNNLM(config), cuda)
    assert_equal(cpu.train(), gpu.train(), tokens(B, T))


def test_a_neural_ngram_equals_the_cpus(cuda):
    config = NeuralNGramConfig(vocab_size=V, order=4, d_model=8, hidden_size=16)
    assert_equal(*on_both(lambda: NeuralNGram(config), cuda), tokens(B, T))


SEQ2SEQ = {
    "fixed vector": (Seq2Seq, Seq2SeqConfig, {"input_size": 16, "hidden_size": 24}),
    "attention": (
        Seq2SeqAttention,
        Seq2SeqAttentionConfig,
        {"input_size": 16, "hidden_size": 24},
    ),
    "Transformer": (
        TransformerSeq2Seq,
        TransformerSeq2SeqConfig,
        {"d_model": 16, "n_layers": 2},
    ),
}


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_sequence_to_sequence_equals_the_cpus(name, cuda):
    model, config, sizes = SEQ2SEQ[name]
    shape = config(source_vocab_size=V, vocab_size=V, dropout=0.0, **sizes)
    cpu, gpu = on_both(lambda: model(shape), cuda)
    source, lengths = tokens(B, S, seed=2), torch.tensor([S, 4, 1])
    assert_equal(cpu.train(), gpu.train(), source, tokens(B, T), lengths)


@pytest.mark.parametrize("loss_fn", [cross_entropy, cross_entropy_explicit])
def test_cross_entropy_and_its_gradient_equal_the_cpus(loss_fn, cuda):
    logits = torch.randn(B, T, V, dtype=torch.float64) * 30
    targets = tokens(B, T)
    targets[0, :5] = -100
    a, b = logits.clone().requires_grad_(), logits.to(cuda).requires_grad_()
    expected, found = loss_fn(a, targets), loss_fn(b, targets.to(cuda))
    expected.backward()
    found.backward()
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=ATOL)
    torch.testing.assert_close(b.grad.cpu(), a.grad, rtol=0, atol=ATOL)
    library = F.cross_entropy(b.flatten(0, 1), targets.flatten().to(cuda))
    torch.testing.assert_close(found, library, rtol=0, atol=ATOL)


@pytest.mark.parametrize("loss_fn", [binary_cross_entropy, mse])
def test_losses_of_numbers_equal_the_cpus(loss_fn, cuda):
    x, y = torch.randn(B, T, dtype=torch.float64) * 30, torch.rand(B, T).double()
    a, b = x.clone().requires_grad_(), x.to(cuda).requires_grad_()
    expected, found = loss_fn(a, y), loss_fn(b, y.to(cuda))
    expected.backward()
    found.backward()
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=ATOL)
    torch.testing.assert_close(b.grad.cpu(), a.grad, rtol=0, atol=ATOL)
