"""The Transformer on a GPU: the CPU's numbers, whichever kernel torch picks there."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from lmcore.attention import attention, attention_explicit, causal_mask
from lmcore.models.gpt import GPT, GPTConfig
from lmcore.transformer import EncoderDecoder

B, T, V, H = 2, 64, 50, 4
SHAPE = {"vocab_size": V, "max_seq_len": 64, "d_model": 64, "n_layers": 2, "n_heads": H}
CONFIGS = {
    "gpt2": GPTConfig(**SHAPE),
    "llama": GPTConfig(
        **SHAPE, n_kv_heads=2, bias=False, norm="rms", ff="swiglu", positions="rope"
    ),
}
all_configs = pytest.mark.parametrize("name", CONFIGS)
MASKS = ["none", "causal", "padding", "empty rows"]


def make(config):
    torch.manual_seed(0)
    model = GPT(config)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.1)
    return model


def tokens():
    torch.manual_seed(1)
    return torch.randint(V, (B, T))


def left_padding():
    return torch.arange(T) >= torch.tensor([[0], [T // 2]])


@all_configs
@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float64, 1e-10), (torch.float32, 1e-4)]
)
@pytest.mark.parametrize("padded", [False, True])
def test_logits_and_gradients_equal_the_cpus(name, dtype, atol, padded, cuda):
    cpu = make(CONFIGS[name]).to(dtype)
    gpu, ids = copy.deepcopy(cpu).to(cuda), tokens()
    mask = left_padding() if padded else None
    expected = cpu(ids, mask)
    logits = gpu(ids.to(cuda), None if mask is None else mask.to(cuda))
    torch.testing.assert_close(logits.cpu(), expected, rtol=0, atol=atol)
    expected.square().mean().backward()
    logits.square().mean().backward()
    for a, b in zip(gpu.parameters(), cpu.parameters(), strict=True):
        torch.testing.assert_close(a.grad.cpu(), b.grad, rtol=0, atol=atol)


def test_an_encoder_decoder_equals_the_cpus(cuda):
    torch.manual_seed(0)
    cpu = EncoderDecoder(2, 64, H, 128)
    gpu = copy.deepcopy(cpu).to(cuda)
    source, target = torch.randn(2, B, T, 64)
    mask = left_padding()
    expected = cpu(source, target, mask)
    output = gpu(source.to(cuda), target.to(cuda), mask.to(cuda)).cpu()
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-4)


@all_configs
def test_bf16_logits_within_2_percent_of_their_size(name, cuda):
    model, ids = make(CONFIGS[name]), tokens()
    with torch.no_grad():
        exact = model.double()(ids)
        rough = model.to(cuda, torch.bfloat16)(ids.to(cuda)).double().cpu()
    error = (rough - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert 0 < error < 0.02


@pytest.mark.parametrize(
    ("dtype", "atol"),
    [
        (torch.float64, 1e-10),
        (torch.float32, 1e-4),
        (torch.float16, 0.02),
        (torch.bfloat16, 0.1),
    ],
)
@pytest.mark.parametrize("n_kv_heads", [H, 2])
@pytest.mark.parametrize("kind", MASKS)
def test_fused_attention_equals_explicit_and_empty_rows_are_zeros(
    kind, n_kv_heads, dtype, atol, cuda
):
    torch.manual_seed(0)
    q, k, v = (
        torch.randn(B, n, T, 32, dtype=dtype, device=cuda, requires_grad=True)
        for n in (H, n_kv_heads, n_kv_heads)
    )
    mask = None
    if kind == "causal":
        mask = causal_mask(T, device=cuda)
    elif kind == "padding":
        mask = left_padding()[:, None, None].to(cuda)
    elif kind == "empty rows":  # padding on the left: its queries see nothing
        mask = causal_mask(T, device=cuda) & left_padding()[:, None, None].to(cuda)
    fused = attention(q, k, v, None if kind == "causal" else mask, kind == "causal")
    exact = [x.detach().double().requires_grad_() for x in (q, k, v)]
    explicit = attention_explicit(*exact, mask).output
    torch.testing.assert_close(fused.double(), explicit, rtol=0, atol=atol)
    if kind == "empty rows":
        assert (fused[1, :, : T // 2] == 0).all()
    slope = torch.cos(torch.arange(fused.numel(), device=cuda)).view_as(fused)
    ours = torch.autograd.grad(fused, [q, k, v], slope.to(dtype))
    expected = torch.autograd.grad(explicit, exact, slope.double())
    for a, b in zip(ours, expected, strict=True):
        assert a.isfinite().all()
        torch.testing.assert_close(a.double(), b, rtol=0, atol=4 * atol)


@all_configs
def test_cached_equals_uncached(name, cuda):
    model, ids = make(CONFIGS[name]).to(cuda), tokens().to(cuda)
    mask, pieces = left_padding().to(cuda), []
    cache = model.new_cache(B)
    with torch.no_grad():
        for start in range(0, T, 16):
            end = start + 16
            pieces.append(model(ids[:, start:end], mask[:, :end], cache))
        whole = model(ids, mask)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=0, atol=1e-5)


@all_configs
def test_causality_is_bit_equal(name, cuda):
    model, ids = make(CONFIGS[name]).to(cuda), tokens().to(cuda)
    before = model(ids)
    for t in range(0, T, 7):
        changed = ids.clone()
        changed[:, t] = (changed[:, t] + 1) % V
        assert torch.equal(model(changed)[:, :t], before[:, :t])


def compare_compiled_with_eager():
    """Run below in a process of its own, without the tests' checking of shapes."""
    for config in CONFIGS.values():
        model, ids = make(config).cuda(), tokens().cuda()
        with torch.no_grad():
            compiled = torch.compile(model, fullgraph=True)(ids)
            torch.testing.assert_close(compiled, model(ids), rtol=0, atol=1e-4)


def test_compiled_is_within_1e_4():
    run = subprocess.run([sys.executable, __file__], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


if __name__ == "__main__":
    compare_compiled_with_eager()
