"""Encoders, T5 and fine-tuning on a GPU: the CPU's numbers."""

import copy

import pytest
import torch
from torch import nn

from lmcore.data import Labelled
from lmcore.finetune import FineTuneConfig, fine_tune, predict
from lmcore.models.bert import BertConfig, BertForPretraining
from lmcore.models.t5 import T5, T5Config
from lmcore.objectives import generator_at, masked_tokens
from lmcore.tokenizers import WordPieceTokenizer

V, B, T = 40, 3, 32
SHAPE = {"vocab_size": V, "max_seq_len": T, "d_model": 32, "n_layers": 2, "n_heads": 4}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tokens():
    torch.manual_seed(1)
    return torch.randint(5, V, (B, T))


def large(model):
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.1)
    return model.eval()


@pytest.mark.parametrize("positions", ["learned", "rope"])
def test_bert_and_its_gradients_equal_the_cpus(positions, cuda):
    cpu = large(BertForPretraining(BertConfig(**SHAPE, positions=positions)))
    gpu, ids = copy.deepcopy(cpu).to(cuda), tokens()
    mask = torch.arange(T) < torch.tensor([[T], [T - 5], [3]])
    expected = cpu(ids, mask)
    logits = gpu(ids.to(cuda), mask.to(cuda))
    torch.testing.assert_close(logits.cpu(), expected, rtol=0, atol=1e-4)
    expected.square().mean().backward()
    logits.square().mean().backward()
    for a, b in zip(gpu.mlm_head.parameters(), cpu.mlm_head.parameters(), strict=True):
        torch.testing.assert_close(a.grad.cpu(), b.grad, rtol=0, atol=1e-4)


def test_t5_equals_the_cpus_all_at_once_and_token_by_token(cuda):
    cpu = large(T5(T5Config(**SHAPE)))
    gpu, source, ids = copy.deepcopy(cpu).to(cuda), tokens(), tokens()[:, :6]
    lengths = torch.tensor([T, 9, 4])
    expected = cpu(source, ids, lengths)
    logits = gpu(source.to(cuda), ids.to(cuda), lengths.to(cuda))
    torch.testing.assert_close(logits.cpu(), expected, rtol=0, atol=1e-4)
    state = gpu.encode(source.to(cuda), lengths.to(cuda))
    for t in range(6):
        logits, state = gpu.decode(ids[:, t : t + 1].to(cuda), state)
        torch.testing.assert_close(
            logits[:, 0].cpu(), expected[:, t], rtol=0, atol=1e-4
        )


def test_the_same_tokens_are_hidden_on_the_gpu(cuda):
    arguments = {"mask_id": 4, "special_ids": range(5), "vocab_size": V}
    here = masked_tokens(tokens(), generator=generator_at(0, 1), **arguments)
    there = masked_tokens(tokens().to(cuda), generator=generator_at(0, 1), **arguments)
    for a, b in zip(here, there, strict=True):
        assert b.is_cuda and torch.equal(a, b.cpu())


@pytest.mark.parametrize("strategy", ["head", "all", "lora"])
def test_fine_tuning_learns_what_it_learns_on_the_cpu(strategy, cuda):
    words = [f"w{i}" for i in range(20)]
    tokenizer = WordPieceTokenizer([*SPECIAL, *words])
    texts = [f"{a} {b}" for a in words for b in words]
    labels = [int(int(text.split()[0][1:]) < 10) for text in texts]
    labelled = Labelled(texts, labels, ("high", "low"))
    torch.manual_seed(0)
    config = BertConfig(**{**SHAPE, "vocab_size": tokenizer.vocab_size})
    encoder = BertForPretraining(config).bert
    settings = FineTuneConfig(strategy=strategy, epochs=4, lr=3e-3, dropout=0.0)
    probs = [
        predict(
            fine_tune(encoder, tokenizer, labelled, labelled, settings, device=device),
            texts,
        )
        for device in ("cpu", cuda)
    ]
    assert not probs[1].is_cuda
    agree = (probs[0].argmax(1) == probs[1].argmax(1)).float().mean()
    assert agree > 0.9
