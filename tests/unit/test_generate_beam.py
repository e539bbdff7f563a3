"""Beam search against looking at every text there is."""

import itertools

import pytest
import torch

from lmcore.generate import beam_search, generate, generate_beams
from lmcore.models.gpt import GPT, GPTConfig
from lmcore.models.seq2seq import Seq2Seq, Seq2SeqConfig

STOP = 0


def small_gpt(seed, vocab_size=4):
    torch.manual_seed(seed)
    config = GPTConfig(
        vocab_size=vocab_size, max_seq_len=16, d_model=16, n_layers=1, n_heads=2
    )
    model = GPT(config).double().eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return model


def log_prob(model, prompt, new):
    ids = torch.tensor([[*prompt, *new]])
    with torch.no_grad():
        log_probs = model(ids)[0].log_softmax(-1)
    first = len(prompt) - 1
    return sum(float(log_probs[first + i, token]) for i, token in enumerate(new))


def every_text(model, prompt, max_new_tokens, alpha):
    """All texts up to the stop token or the length, with their scores, best first."""
    vocab = range(model.config.vocab_size)
    texts = []
    for n in range(1, max_new_tokens + 1):
        all_new = torch.tensor(list(itertools.product(vocab, repeat=n)))  # (N, n)
        ids = torch.cat([torch.tensor([prompt]).expand(len(all_new), -1), all_new], 1)
        with torch.no_grad():
            log_probs = model(ids)[:, len(prompt) - 1 : -1].log_softmax(-1)
        totals = log_probs.gather(-1, all_new.unsqueeze(-1)).sum((1, 2))
        for new, total in zip(all_new.tolist(), totals.tolist(), strict=True):
            ends = new[-1] == STOP
            if STOP not in new[:-1] and (ends or n == max_new_tokens):
                texts.append((total / n**alpha, new[:-1] if ends else new, ends))
    return sorted(texts, reverse=True)


@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.0, 2.0, -1.0])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("use_cache", [True, False])
def test_wide_enough_it_is_exhaustive_search(alpha, seed, use_cache):
    model, prompt = small_gpt(seed), [1, 2]
    expected = every_text(model, prompt, 4, alpha)
    found = generate_beams(
        model,
        prompt,
        4,
        n_beams=4**4,
        stop_ids=[STOP],
        length_penalty=alpha,
        use_cache=use_cache,
    )
    assert len(found) == len(expected)
    for beam, (score, ids, ends) in zip(found, expected, strict=True):
        assert (beam.ids, beam.stopped) == (ids, ends)
        assert abs(beam.score - score) < 1e-10


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_the_models_and_in_order(seed):
    model, prompt = small_gpt(seed, vocab_size=30), [1, 2, 3]
    found = generate_beams(model, prompt, 8, n_beams=5, stop_ids=[STOP])
    assert len(found) == 5
    assert len({tuple(beam.ids) for beam in found}) == 5
    assert [beam.score for beam in found] == sorted(
        (beam.score for beam in found), reverse=True
    )
    for beam in found:
        new = [*beam.ids, STOP] if beam.stopped else beam.ids
        assert abs(beam.log_prob - log_prob(model, prompt, new)) < 1e-10
        assert abs(beam.score - beam.log_prob / len(new)) < 1e-10


def test_one_beam_is_greedy():
    for seed in range(40):  # few tokens: texts stop, and others could overtake them
        model = small_gpt(seed, vocab_size=20 if seed < 5 else 5)
        (beam,) = generate_beams(model, [1, 2], 10, n_beams=1, stop_ids=[STOP])
        assert beam.ids == generate(model, [[1, 2]], 10, stop_ids=[STOP])[0]


def test_more_beams_find_what_greedy_misses():
    # 1 is the better first token, but after 2 the text is certain
    table = torch.tensor([[0.05, 0.5, 0.45], [0.34, 0.33, 0.33], [1.0, 0.0, 0.0]])

    def step(ids, state):
        return table[ids[:, -1]].log(), state

    def search(n_beams):
        return beam_search(
            step,
            lambda state, rows: state,
            None,
            [0],
            5,
            n_beams=n_beams,
            stop_ids=[STOP],
            length_penalty=0.0,
        )

    assert search(1)[0].ids == [1]
    assert search(2)[0].ids == [2]
    assert abs(search(2)[0].log_prob - torch.tensor(0.45).log()) < 1e-6


def test_impossible_texts_are_not_found():
    table = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    found = beam_search(
        lambda ids, state: (table[ids[:, -1]].log(), state),
        lambda state, rows: state,
        None,
        [0],
        5,
        n_beams=3,
        stop_ids=[STOP],
    )
    assert [(beam.ids, beam.log_prob) for beam in found] == [([1], 0.0)]


def test_an_encoder_decoder_is_searched_with_its_state():
    torch.manual_seed(0)
    config = Seq2SeqConfig(
        vocab_size=4, source_vocab_size=6, input_size=8, hidden_size=8, n_layers=2
    )
    model = Seq2Seq(config).double().eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.9)
    source = torch.tensor([[5, 3, 2]])
    begin = 1

    def step(ids, state):
        logits, state = model.decode(ids, state)
        return logits[:, -1].log_softmax(-1), state

    def select(state, rows):
        return tuple(part[:, rows] for part in state)

    with torch.no_grad():
        found = beam_search(
            step,
            select,
            model.encode(source),
            [begin],
            4,
            n_beams=4**4,
            stop_ids=[STOP],
        )

    class Given:
        config = model.config

        def __call__(self, ids):
            return model(source.expand(len(ids), -1), ids)

    expected = every_text(Given(), [begin], 4, 1.0)
    assert [beam.ids for beam in found] == [ids for _, ids, _ in expected]


@pytest.mark.parametrize(
    "wrong", [{"n_beams": 0}, {"n_beams": 1.5}, {"max_new_tokens": 0}, {"prompt": []}]
)
def test_bad_arguments_are_named(wrong):
    right = {"prompt": [1], "max_new_tokens": 3, "n_beams": 2}
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name}=.*must"):
        generate_beams(small_gpt(0), **(right | wrong))
