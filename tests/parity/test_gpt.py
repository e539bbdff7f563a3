"""GPT against torch's encoder and a Llama written out, and as compiled and in bf16."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lmcore.losses import cross_entropy
from lmcore.models.gpt import GPT, GPTConfig

B, T, V, D = 2, 8, 13, 16
SHAPE = {"vocab_size": V, "max_seq_len": 12, "d_model": D, "n_layers": 2, "n_heads": 4}
GPT2 = GPTConfig(**SHAPE, norm_eps=0.1)  # no default, so that it counts
LLAMA = GPTConfig(
    **SHAPE,
    n_kv_heads=2,
    d_ff=20,
    bias=False,
    norm="rms",
    norm_eps=0.1,
    ff="swiglu",
    positions="rope",
    rope_base=500.0,
    tie_weights=False,
)
CONFIGS = {"gpt2": GPT2, "llama": LLAMA}
HELD = {torch.float64: 1e-10, torch.float32: 1e-5}


def make(config, std=0.3):
    """A model with weights large enough that every one of them matters."""
    torch.manual_seed(0)
    model = GPT(config)
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, mean=float("norm.weight" in name), std=std)
    return model


def tokens():
    torch.manual_seed(1)
    return torch.randint(V, (B, T))


def assert_same(ours, theirs, atol=1e-10):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)


# GPT-2 is torch's pre-norm encoder with a causal mask, between two embeddings.


def torch_gpt2(model, dtype):
    layer = nn.TransformerEncoderLayer(
        D,
        4,
        4 * D,
        dropout=0.0,
        activation=lambda x: F.gelu(x, approximate="tanh"),
        batch_first=True,
        norm_first=True,
        layer_norm_eps=GPT2.norm_eps,
    )
    final = nn.LayerNorm(D, GPT2.norm_eps)
    stack = nn.TransformerEncoder(layer, 2, norm=final, enable_nested_tensor=False)
    state = model.state_dict()
    torchs = {"attn.out_proj": "self_attn.out_proj", "attn_norm": "norm1"}
    torchs |= {"ff_norm": "norm2", "ff.in_proj": "linear1", "ff.out_proj": "linear2"}
    renamed = {
        f"norm.{kind}": state[f"final_norm.{kind}"] for kind in ("weight", "bias")
    }
    for i in range(2):
        for kind in ("weight", "bias"):
            parts = [state[f"blocks.{i}.attn.{n}_proj.{kind}"] for n in "qkv"]
            renamed[f"layers.{i}.self_attn.in_proj_{kind}"] = torch.cat(parts)
            for ours, theirs in torchs.items():
                renamed[f"layers.{i}.{theirs}.{kind}"] = state[
                    f"blocks.{i}.{ours}.{kind}"
                ]
    stack.load_state_dict(renamed)
    return stack.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gpt2_equals_torchs_encoder_between_embeddings(dtype):
    model, ids = make(GPT2).to(dtype), tokens()
    stack = torch_gpt2(model, dtype)
    mask = nn.Transformer.generate_square_subsequent_mask(T, dtype=dtype)
    embedding = model.tok_emb.weight.detach().clone().requires_grad_()
    x = embedding[ids] + model.pos_emb.weight.detach()[:T]
    expected = stack(x, mask=mask) @ embedding.T  # tied: one matrix at both ends
    logits = model(ids)
    assert logits.shape == (B, T, V)
    assert_same(logits, expected, HELD[dtype] * 10)
    slope = torch.cos(torch.arange(logits.numel())).view_as(logits).to(dtype)
    logits.backward(slope)
    expected.backward(slope)
    assert_same(model.tok_emb.weight.grad, embedding.grad, HELD[dtype] * 1000)
    assert_same(
        model.blocks[0].attn_norm.weight.grad,
        stack.layers[0].norm1.weight.grad,
        HELD[dtype] * 1000,
    )


def llama_logits(state, ids, config):
    """Touvron et al., 2023, section 2.2, one head at a time."""

    def norm(x, weight):
        return x / (x.pow(2).mean(-1, keepdim=True) + config.norm_eps).sqrt() * weight

    def turn(x):  # (B, T, K): pairs (i, i + K/2) as complex numbers
        half = x.shape[-1] // 2
        angle = torch.arange(x.shape[1])[:, None] * config.rope_base ** (
            -torch.arange(half, dtype=torch.float64) / half
        )
        turned = torch.complex(x[..., :half], x[..., half:]) * torch.exp(1j * angle)
        return torch.cat([turned.real, turned.imag], -1)

    width = config.d_model // config.n_heads
    x = state["tok_emb.weight"][ids]
    future = torch.ones(ids.shape[1], ids.shape[1]).triu(1).bool()
    for i in range(config.n_layers):
        block = {n[9:]: p for n, p in state.items() if n.startswith(f"blocks.{i}.")}
        h = norm(x, block["attn_norm.weight"])
        q, k, v = (h @ block[f"attn.{n}_proj.weight"].T for n in "qkv")
        heads = []
        for j in range(config.n_heads):
            shared = j * config.n_kv_heads // config.n_heads
            one = slice(j * width, (j + 1) * width)
            its = slice(shared * width, (shared + 1) * width)
            scores = turn(q[..., one]) @ turn(k[..., its]).mT / width**0.5
            heads.append(
                scores.masked_fill(future, -torch.inf).softmax(-1) @ v[..., its]
            )
        x = x + torch.cat(heads, -1) @ block["attn.out_proj.weight"].T
        h = norm(x, block["ff_norm.weight"])
        gate = h @ block["ff.gate_proj.weight"].T
        h = gate * torch.sigmoid(gate) * (h @ block["ff.in_proj.weight"].T)
        x = x + h @ block["ff.out_proj.weight"].T
    return norm(x, state["final_norm.weight"]) @ state["lm_head.weight"].T


def test_llama_equals_its_equations():
    """To 1e-5: the angles of RoPE are float32, here they are float64."""
    model, ids = make(LLAMA).double(), tokens()
    expected = llama_logits(model.state_dict(), ids, LLAMA)
    assert_same(model(ids), expected, 1e-5)
    assert_same(make(LLAMA)(ids).double(), expected, 3e-5)


# torch.compile cannot look into the checking of shapes, which is for tests alone: so
# this file runs itself in a process without it. One process, since it starts slowly.


def logits_and_gradients(function, model, ids):
    model.zero_grad()
    logits = function(ids)
    cross_entropy(logits[:, :-1], ids[:, 1:]).backward()
    return logits.detach(), {n: p.grad.clone() for n, p in model.named_parameters()}


def compare_compiled_with_eager(inductor):
    """Print one line for each comparison that held."""
    ids = tokens()
    for name, config in CONFIGS.items():
        model = make(config.replace(n_layers=1))
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        logits, gradients = logits_and_gradients(compiled, model, ids)
        expected, expected_gradients = logits_and_gradients(model, model, ids)
        assert torch.equal(logits, expected)
        assert_same(gradients, expected_gradients, 1e-6)
        print("aot_eager", name)
    if inductor:
        model = make(GPT2.replace(n_layers=1))  # few kernels: each takes C++ seconds
        compiled = torch.compile(model, backend="inductor", fullgraph=True)
        with torch.no_grad():
            assert_same(compiled(ids), model(ids), 1e-5)
        print("inductor gpt2")


def has_compiler():
    """What inductor needs to make code for the CPU."""
    return any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl"))


@pytest.fixture(scope="module")
def compiled_run():
    command = [sys.executable, __file__, *(["inductor"] if has_compiler() else [])]
    one = {**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "1"}  # no pool of workers
    return subprocess.run(command, capture_output=True, text=True, env=one)


@pytest.mark.parametrize("name", CONFIGS)
def test_compiled_to_aot_eager_equals_eager(name, compiled_run):
    assert f"aot_eager {name}" in compiled_run.stdout, compiled_run.stderr


@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler for inductor")
def test_compiled_by_inductor_is_within_1e_5(compiled_run):
    assert "inductor gpt2" in compiled_run.stdout, compiled_run.stderr


# bf16


@pytest.mark.parametrize("cast", ["weights", "autocast"])
@pytest.mark.parametrize("name", CONFIGS)
def test_bf16_logits_within_2_percent_of_their_size(name, cast):
    """Stated tolerance: root mean square of the difference over that of the logits."""
    model, ids = make(CONFIGS[name], std=0.1).eval(), tokens()
    with torch.no_grad():
        exact = model.double()(ids)
        if cast == "weights":
            rough = model.bfloat16()(ids)
        else:
            with torch.autocast("cpu", torch.bfloat16):
                rough = model.float()(ids)
    assert rough.dtype == torch.bfloat16
    error = (rough.double() - exact).square().mean().sqrt()
    share = error / exact.square().mean().sqrt()
    assert 0 < share < 0.02


if __name__ == "__main__":
    torch.set_num_threads(1)
    compare_compiled_with_eager("inductor" in sys.argv)
