"""Fused models give what the model itself gives; rounded weights nearly so."""

import copy

import pytest
import torch
from torch import nn

from lmcore.generate import generate
from lmcore.generate.fast_linear import FAST_LINEAR
from lmcore.generate.fuse import fuse_for_inference
from lmcore.models.gpt import GPT, GPTConfig

KINDS = {
    "gpt2": {},
    "llama": {
        "norm": "rms",
        "ff": "swiglu",
        "positions": "rope",
        "n_kv_heads": 2,
        "bias": False,
    },
    "wide heads": {"d_head": 12, "n_kv_heads": 1, "tie_weights": False},
}


def small_gpt(kind, dtype):
    torch.manual_seed(0)
    config = GPTConfig(
        vocab_size=60, max_seq_len=64, d_model=32, n_layers=2, n_heads=4
    ).replace(**KINDS[kind])
    model = GPT(config).to(dtype).eval()
    for p in model.parameters():
        nn.init.normal_(p, std=0.2)
    return model


PROMPTS = [[3, 1, 4, 1, 5], [9], [2, 6, 5]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_logits_are_the_same(kind):
    model = small_gpt(kind, torch.float64)
    fused = fuse_for_inference(copy.deepcopy(model))
    ids = torch.randint(60, (3, 20))
    mask = torch.arange(20) >= torch.tensor([[0], [4], [17]])
    with torch.no_grad():
        for given in (None, mask):
            ours, expected = fused(ids, given), model(ids, given)
            real = slice(None) if given is None else given
            torch.testing.assert_close(ours[real], expected[real], rtol=0, atol=1e-10)
    assert generate(fused, PROMPTS, 30) == generate(model, PROMPTS, 30)
    assert generate(fused, PROMPTS, 30) == generate(fused, PROMPTS, 30, use_cache=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("weights", "bits"), [("float16", 11), ("int8", 7)])
def test_rounded_weights_change_the_logits_by_their_rounding(kind, weights, bits):
    model = small_gpt(kind, torch.float32)
    fused = fuse_for_inference(copy.deepcopy(model), weights)
    ids = torch.randint(60, (4, 20))
    with torch.no_grad():
        expected, all_at_once = model(ids), fused(ids)
        cache = fused.new_cache(4)
        one_by_one = torch.cat([fused(i, None, cache) for i in ids.split(1, 1)], 1)
    for found in (all_at_once, one_by_one):
        error = (found - expected).std() / expected.std()
        assert 0 < error < 3 * 2**-bits


@pytest.mark.parametrize("weights", FAST_LINEAR)
@pytest.mark.parametrize("bias", [True, False])
def test_several_maps_become_one(weights, bias):
    torch.manual_seed(0)
    linears = [nn.Linear(48, n, bias=bias) for n in (32, 16, 8)]
    with torch.no_grad():
        linears[1].weight.mul_(100)  # a scale per row: big rows leave small ones alone
        linears[2].weight[0] = 0
        fast = FAST_LINEAR[weights](linears)
        for shape in ((1, 1, 48), (2, 5, 48), (1, 48)):
            x = torch.randn(shape)
            found = fast(x).split([32, 16, 8], dim=-1)
            for linear, ours in zip(linears, found, strict=True):
                expected = linear(x)
                bound = {"full": 1e-6, "float16": 2e-3, "int8": 1e-2}[weights]
                assert (ours - expected).abs().max() <= bound * expected.abs().max()


def test_what_cannot_be_fused_is_refused():
    model = small_gpt("gpt2", torch.float32)
    with pytest.raises(ValueError, match=r"weights='int4'.*int8"):
        fuse_for_inference(model, "int4")
    with pytest.raises(ValueError, match="training"):
        fuse_for_inference(copy.deepcopy(model).train())
    with pytest.raises(ValueError, match="not fused yet"):
        fuse_for_inference(fuse_for_inference(model))
