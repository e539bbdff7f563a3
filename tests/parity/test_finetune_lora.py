"""LoRA gives what `peft` gives, on MiniLM too; how little it keeps."""

import copy
import json
import subprocess
import sys

import peft
import pytest
import torch
from torch import nn

from lmcore.data import Labelled
from lmcore.finetune import (
    FineTuneConfig,
    LoRALinear,
    SequenceClassifier,
    add_lora,
    fine_tune,
    merge_lora,
    predict,
    save_fine_tuned,
    save_lora,
    unmerge_lora,
)
from lmcore.pretrained import load_minilm

TEXTS = [
    "A film to fall asleep in.",
    "I laughed, and then I cried.",
    "Café 東京 🙂",
    "No.",
]
IDS = torch.tensor([[101, 2054, 1037, 2143, 102]])
MASK = torch.ones(1, 5, dtype=torch.bool)


class Two(nn.Module):
    """A small model for both libraries."""

    def __init__(self):
        super().__init__()
        self.q_proj = nn.Linear(6, 8)
        self.v_proj = nn.Linear(8, 5)

    def forward(self, x):
        return self.v_proj(torch.tanh(self.q_proj(x)))


@pytest.mark.parametrize(("rank", "alpha"), [(2, 16), (4, 3), (5, 5)])
def test_outputs_gradients_and_merged_weights_are_peft_s(rank, alpha):
    torch.manual_seed(0)
    ours, x = Two().double(), torch.randn(7, 6, dtype=torch.float64)
    config = peft.LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=["q_proj", "v_proj"], lora_dropout=0.0
    )
    theirs = peft.get_peft_model(copy.deepcopy(ours), config)
    add_lora(ours, rank, alpha)
    pairs = []
    for name, layer in ours.named_modules():
        if isinstance(layer, LoRALinear):
            twin = theirs.get_submodule(f"base_model.model.{name}")
            a, b = twin.lora_A["default"].weight, twin.lora_B["default"].weight
            nn.init.normal_(b)
            with torch.no_grad():
                layer.lora_a.copy_(a)
                layer.lora_b.copy_(b)
            pairs += [(layer.lora_a, a), (layer.lora_b, b)]
    trained = sum(p.numel() for p in theirs.parameters() if p.requires_grad)
    assert trained == sum(p.numel() for p in ours.parameters() if p.requires_grad)

    exact = {"atol": 1e-10, "rtol": 0}
    torch.testing.assert_close(ours(x), theirs(x), check_dtype=False, **exact)
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    assert len(pairs) == 4
    for mine, other in pairs:
        torch.testing.assert_close(mine.grad, other.grad, check_dtype=False, **exact)

    merge_lora(ours)
    merged = theirs.merge_and_unload().state_dict()
    for name, weight in merged.items():
        mine = ours.state_dict()[name.replace("proj.", "proj.linear.")]
        torch.testing.assert_close(mine, weight, **exact)


def test_the_first_weights_are_drawn_as_peft_draws_them():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(400, 300))
    ours = LoRALinear(copy.deepcopy(model[0]), 40, 16)
    theirs = peft.get_peft_model(model, peft.LoraConfig(r=40, target_modules=["0"]))
    twin = theirs.base_model.model[0]
    assert not ours.lora_b.any() and not twin.lora_B["default"].weight.any()
    for a in (ours.lora_a, twin.lora_A["default"].weight):
        assert a.abs().max() <= 1 / 400**0.5
        assert float(a.detach().std()) == pytest.approx(1 / (3 * 400) ** 0.5, rel=0.02)


# ---- on the published encoder


@pytest.fixture(scope="module")
def minilm(real_asset):
    real_asset("minilm")
    return load_minilm()


@pytest.mark.assets
def test_minilm_s_corrections_take_a_few_hundred_kb(minilm, tmp_path):
    model = SequenceClassifier(copy.deepcopy(minilm.model), 2).eval()
    plain = model(IDS, MASK)
    n_trained = add_lora(model, rank=8)
    assert n_trained == 6 * 2 * 8 * (384 + 384) + 384 * 2 + 2
    assert torch.equal(model(IDS, MASK), plain)
    size = save_lora(tmp_path / "lora.safetensors", model).stat().st_size
    assert 4 * n_trained < size < 320_000

    nn.init.normal_(model.encoder.encoder.blocks[0].attn.q_proj.lora_b, std=0.02)
    corrected = model(IDS, MASK)
    assert not torch.allclose(corrected, plain, atol=1e-4)
    merge_lora(model)
    torch.testing.assert_close(model(IDS, MASK), corrected, atol=1e-5, rtol=0)
    unmerge_lora(model)
    torch.testing.assert_close(model(IDS, MASK), corrected, atol=1e-5, rtol=0)


@pytest.mark.assets
def test_a_saved_minilm_predicts_the_same_bits_in_a_fresh_process(minilm, tmp_path):
    labelled = Labelled(TEXTS, [0, 1, 1, 0], ("negative", "positive"))
    config = FineTuneConfig(strategy="lora", epochs=2)
    tuned = fine_tune(minilm.model, minilm.tokenizer, labelled, labelled, config)
    save_fine_tuned(tmp_path, tuned)
    code = (
        "import sys, json, torch; torch.set_num_threads(1)\n"
        "from lmcore.finetune import load_fine_tuned, predict\n"
        "probs = predict(load_fine_tuned(sys.argv[1]), json.loads(sys.argv[2]))\n"
        "print(json.dumps(probs.tolist()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path), json.dumps(TEXTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == predict(tuned, TEXTS).tolist()
