"""Sampling and beam search beside Hugging Face's, on the same scores."""

import pytest
import torch
import transformers

from lmcore.generate import (
    Sampling,
    generate,
    generate_beams,
    keep_top_k,
    keep_top_p,
    penalise_repeats,
    with_temperature,
)
from lmcore.models.gpt import GPT, GPTConfig

B, V = 64, 300
STOP = 0


def scores():
    torch.manual_seed(0)
    return 5 * torch.randn(B, V, dtype=torch.float64), torch.randint(V, (B, 12))


@pytest.mark.parametrize("k", [1, 7, V, 2 * V])
def test_top_k(k):
    logits, ids = scores()
    theirs = transformers.TopKLogitsWarper(k)(ids, logits)
    assert torch.equal(keep_top_k(logits, k), theirs)


@pytest.mark.parametrize("p", [0.001, 0.3, 0.9, 0.999])
def test_top_p(p):
    logits, ids = scores()
    theirs = transformers.TopPLogitsWarper(p)(ids, logits)
    assert torch.equal(keep_top_p(logits, p), theirs)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 3.0])
def test_temperature(temperature):
    logits, ids = scores()
    theirs = transformers.TemperatureLogitsWarper(temperature)(ids, logits)
    ours = with_temperature(logits, temperature)
    torch.testing.assert_close(ours.softmax(-1), theirs.softmax(-1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("penalty", [0.8, 1.0, 1.3])
def test_repetition_penalty(penalty):
    logits, ids = scores()
    theirs = transformers.RepetitionPenaltyLogitsProcessor(penalty)(ids, logits)
    assert torch.equal(penalise_repeats(logits, ids, penalty), theirs)


def test_the_whole_chain():
    logits, ids = scores()
    chain = transformers.LogitsProcessorList(
        [
            transformers.RepetitionPenaltyLogitsProcessor(1.2),
            transformers.TemperatureLogitsWarper(0.7),
            transformers.TopKLogitsWarper(40),
            transformers.TopPLogitsWarper(0.9),
        ]
    )
    sampling = Sampling(temperature=0.7, top_k=40, top_p=0.9, repetition_penalty=1.2)
    ours = sampling.adjust(logits, ids).softmax(-1)
    theirs = chain(ids, logits).softmax(-1)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def twins(seed):
    """The same small Llama-style model, theirs and ours."""
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.4,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=STOP,
        pad_token_id=STOP,
    )
    theirs = transformers.LlamaForCausalLM(config).double().eval()
    ours = GPT(
        GPTConfig(
            vocab_size=40,
            max_seq_len=64,
            d_model=32,
            n_layers=2,
            n_heads=4,
            n_kv_heads=2,
            d_ff=48,
            bias=False,
            norm="rms",
            ff="swiglu",
            positions="rope",
            tie_weights=False,
        )
    ).double()
    names = {
        "model.embed_tokens": "tok_emb",
        "model.layers": "blocks",
        "self_attn.o_proj": "attn.out_proj",
        "self_attn": "attn",
        "mlp.gate_proj": "ff.gate_proj",
        "mlp.up_proj": "ff.in_proj",
        "mlp.down_proj": "ff.out_proj",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ff_norm",
        "model.norm": "final_norm",
    }
    weights = {}
    for name, tensor in theirs.state_dict().items():
        for old, new in names.items():
            name = name.replace(old, new)
        weights[name] = tensor
    ours.load_state_dict(weights)
    return ours.eval(), theirs


def their_answer(model, prompt, **options):
    with torch.no_grad():
        return model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            **options,
        )


def cut(ids):
    """Without the stop token and what pads behind it."""
    ids = ids.tolist()
    return ids[: ids.index(STOP)] if STOP in ids else ids


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_greedy_text(penalty):
    ours, theirs = twins(0)
    for prompt in ([1, 2, 3], [7], list(range(1, 20))):
        options = {"max_new_tokens": 30, "repetition_penalty": penalty}
        expected = cut(their_answer(theirs, prompt, **options)[0, len(prompt) :])
        sampling = Sampling(top_k=1, repetition_penalty=penalty)
        assert generate(ours, [prompt], 30, sampling=sampling, stop_ids=[STOP]) == [
            expected
        ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_beams", [2, 4])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_beam_search(seed, n_beams, length_penalty):
    ours, theirs = twins(seed)
    prompt = [1, 2, 3]
    found = their_answer(
        theirs,
        prompt,
        max_new_tokens=8,
        num_beams=n_beams,
        num_return_sequences=n_beams,
        length_penalty=length_penalty,
        early_stopping="never",
        return_dict_in_generate=True,
        output_scores=True,
    )
    beams = generate_beams(
        ours,
        prompt,
        8,
        n_beams=n_beams,
        stop_ids=[STOP],
        length_penalty=length_penalty,
    )
    expected = [cut(row[len(prompt) :]) for row in found.sequences]
    assert [beam.ids for beam in beams] == expected
    for beam, score in zip(beams, found.sequences_scores.tolist(), strict=True):
        assert abs(beam.score - score) < 1e-5  # theirs are kept in float32
