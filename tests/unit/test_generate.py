"""The decoding loop: cache, padding, sliding, models of other kinds, bad arguments."""

import pytest
import torch
from torch import nn

from lmcore.generate import Sampling, generate, stream
from lmcore.models.gpt import GPT, GPTConfig
from lmcore.models.neural_ngram import NeuralNGram, NeuralNGramConfig
from lmcore.models.rnn_lm import RNNLM, RNNLMConfig

PROMPT = [3, 1, 4, 1, 5]


def small_gpt(seed=0, **changes):
    torch.manual_seed(seed)
    config = GPTConfig(
        vocab_size=50, max_seq_len=32, d_model=32, n_layers=2, n_heads=4
    ).replace(**changes)
    model = GPT(config).double()
    for p in model.parameters():  # wide, so that greedy texts do not stand still
        nn.init.normal_(p, std=0.3)
    return model


LLAMA = {
    "norm": "rms",
    "ff": "swiglu",
    "positions": "rope",
    "n_kv_heads": 2,
    "bias": False,
}


def small_rnn(kind="lstm"):
    torch.manual_seed(0)
    config = RNNLMConfig(vocab_size=50, kind=kind, input_size=8, hidden_size=16)
    model = RNNLM(config).double()
    for p in model.parameters():
        nn.init.normal_(p, std=0.7)
    return model


def small_ngram():
    torch.manual_seed(0)
    config = NeuralNGramConfig(vocab_size=50, order=4, d_model=8, hidden_size=16)
    return NeuralNGram(config).double()


def greedy_by_hand(model, prompt, n):
    ids = list(prompt)
    model.eval()
    with torch.no_grad():
        for _ in range(n):
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("changes", [{}, LLAMA, {"positions": "sinusoidal"}])
@pytest.mark.parametrize("use_cache", [True, False])
def test_greedy_is_what_the_model_scores_highest_each_time(changes, use_cache):
    model = small_gpt(**changes)
    expected = greedy_by_hand(model, PROMPT, 20)
    assert len(set(expected)) >= 3
    assert generate(model, [PROMPT], 20, use_cache=use_cache) == [expected]


@pytest.mark.parametrize("model", [small_rnn("lstm"), small_rnn("gru"), small_ngram()])
@pytest.mark.parametrize("use_cache", [True, False])
def test_models_without_a_kv_cache(model, use_cache):
    expected = greedy_by_hand(model, PROMPT, 20)
    assert generate(model, [PROMPT], 20, use_cache=use_cache) == [expected]
    twice = generate(model, [PROMPT, [9, 8, 7, 6, 5]], 20, use_cache=use_cache)
    assert twice == [expected, greedy_by_hand(model, [9, 8, 7, 6, 5], 20)]


def test_a_plain_function_is_a_model():
    def successor(ids):
        return nn.functional.one_hot((ids + 1) % 10, 10).float()

    assert generate(successor, [[3]], 9) == [[4, 5, 6, 7, 8, 9, 0, 1, 2]]


@pytest.mark.parametrize("changes", [{}, LLAMA])
@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("sampling", [None, Sampling(top_k=1, repetition_penalty=1.5)])
def test_in_a_padded_batch_each_text_is_what_it_is_alone(changes, use_cache, sampling):
    model = small_gpt(**changes)
    prompts = [[7], PROMPT, [0, 0, 2], list(range(12))]
    together = generate(model, prompts, 15, sampling=sampling, use_cache=use_cache)
    alone = [generate(model, [p], 15, sampling=sampling)[0] for p in prompts]
    assert together == alone


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0.7, top_k=10),
        Sampling(top_p=0.9),
        Sampling(temperature=2, top_k=20, top_p=0.8, repetition_penalty=1.3),
    ],
)
def test_a_seed_gives_the_same_text_with_and_without_cache(sampling):
    model = small_gpt()

    def text(seed, use_cache=True):
        g = torch.Generator().manual_seed(seed)
        return generate(
            model, [PROMPT], 20, sampling=sampling, generator=g, use_cache=use_cache
        )

    assert text(1) == text(1) == text(1, use_cache=False)
    assert any(text(1) != text(seed) for seed in range(2, 6))


@pytest.mark.parametrize("prompts", [[PROMPT], [PROMPT, [7], list(range(40))]])
def test_sliding_forgets_the_older_half_with_and_without_cache(prompts):
    model = small_gpt(positions="learned")
    cached = generate(model, prompts, 60, slide=True)
    assert cached == generate(model, prompts, 60, slide=True, use_cache=False)
    assert [len(text) for text in cached] == [60] * len(prompts)


def test_sliding_reads_what_it_says():
    model = small_gpt()  # max_seq_len 32: the 28th new token is the first too many
    new = generate(model, [PROMPT], 40, slide=True)[0]
    assert new[:27] == generate(model, [PROMPT], 27)[0]
    ids = PROMPT + new
    last_sixteen = torch.tensor([ids[33 - 16 : 33]])
    assert ids[33] == int(model.eval()(last_sixteen)[0, -1].argmax())


def test_stop_ids_end_each_text_on_its_own():
    model = small_gpt()
    prompts = [PROMPT, [7, 8], [2]]
    full = generate(model, prompts, 20)
    stop = full[0][4]
    ended = generate(model, prompts, 20, stop_ids=[stop])
    for whole, cut in zip(full, ended, strict=True):
        assert cut == (whole[: whole.index(stop)] if stop in whole else whole)
    assert len(ended[0]) <= 4


def test_streamed_ids_come_one_at_a_time_and_are_the_same():
    calls = []

    class Counting(GPT):
        def hidden_states(self, *args):
            calls.append(1)
            return super().hidden_states(*args)

    torch.manual_seed(0)
    model = Counting(
        GPTConfig(vocab_size=50, max_seq_len=32, d_model=32, n_layers=1, n_heads=4)
    )
    ids = stream(model, PROMPT, 10)
    assert calls == []
    first = [next(ids), next(ids)]
    assert len(calls) == 2
    assert [*first, *ids] == generate(model, [PROMPT], 10)[0]


def test_each_token_is_read_once_with_a_cache():
    n_read = []

    class Counting(GPT):
        def hidden_states(self, ids, *args):
            n_read.append(ids.shape[1])
            return super().hidden_states(ids, *args)

    torch.manual_seed(0)
    model = Counting(
        GPTConfig(vocab_size=50, max_seq_len=32, d_model=32, n_layers=1, n_heads=4)
    )
    generate(model, [PROMPT], 5)
    assert n_read == [5, 1, 1, 1, 1]


def test_dropout_is_off_while_generating_and_back_afterwards():
    model = small_gpt(dropout=0.5)
    model.blocks[0].eval()
    modes = [m.training for m in model.modules()]
    assert generate(model, [PROMPT], 10) == generate(model, [PROMPT], 10)
    assert [m.training for m in model.modules()] == modes
    assert model.training


def test_no_new_tokens():
    assert generate(small_gpt(), [PROMPT, [1]], 0) == [[], []]
    assert list(stream(small_gpt(), PROMPT, 0)) == []


def test_ids_may_be_a_tensor():
    model = small_gpt()
    expected = generate(model, [PROMPT, PROMPT[::-1]], 6)
    assert generate(model, torch.tensor([PROMPT, PROMPT[::-1]]), 6) == expected


@pytest.mark.parametrize(
    ("prompts", "n", "options", "words"),
    [
        ([[]], 5, {}, "prompt=.*at least one token"),
        ([], 5, {}, "prompts=.*at least one prompt"),
        ([[50]], 5, {}, "id=50.*below vocab_size=50"),
        ([[-1]], 5, {}, "id=-1"),
        ([PROMPT], -1, {}, "max_new_tokens=-1.*>= 0"),
        ([PROMPT], 1.5, {}, "max_new_tokens=1.5"),
        ([PROMPT], 28, {}, "max_new_tokens=28.*<= 27.*5 tokens.*max_seq_len=32"),
        ([[1] * 33], 1, {}, "prompt length=33.*max_seq_len=32"),
    ],
)
def test_bad_arguments_are_named(prompts, n, options, words):
    with pytest.raises(ValueError, match=words):
        generate(small_gpt(), prompts, n, **options)
    if len(prompts) == 1:
        with pytest.raises(ValueError, match=words):
            stream(small_gpt(), prompts[0], n, **options)  # before the first token


@pytest.mark.parametrize("prompts", [PROMPT, ["text"], "text", [[1.5]], [None]])
def test_prompts_of_the_wrong_type(prompts):
    with pytest.raises(TypeError, match=r"must be"):
        generate(small_gpt(), prompts, 5)


def test_a_model_without_mask_refuses_unequal_lengths():
    with pytest.raises(ValueError, match=r"lengths of prompts=\[1, 5\]"):
        generate(small_rnn(), [[1], PROMPT], 5)


def test_nan_weights_are_refused():
    model = small_gpt()
    with torch.no_grad():
        model.final_norm.weight[0] = float("nan")
    for sampling in (None, Sampling()):
        with pytest.raises(ValueError, match=r"largest logit=.*nan"):
            generate(model, [PROMPT], 5, sampling=sampling)


@pytest.mark.parametrize(
    "field",
    [
        {"temperature": 0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_k": 0},
        {"top_k": 2.0},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"top_p": float("nan")},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": float("nan")},
    ],
)
def test_bad_sampling_is_named(field):
    (name,) = field
    with pytest.raises(ValueError, match=f"{name}=.*must"):
        Sampling(**field)
