"""Span corruption, shuffling, deletion and infilling; and what all objectives share."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.data import course_corpus
from lmcore.objectives import (
    corrupt_spans,
    delete_tokens,
    fill_spans,
    generator_at,
    infill_text,
    masked_tokens,
    next_sentence_pairs,
    noise_counts,
    permute_sentences,
    shuffle_tokens,
)
from lmcore.tokenizers import WordPieceTokenizer

SENTINELS = range(1000, 1100)
END, MASK = 1, 2
TEXTS = st.lists(st.integers(3, 60), min_size=2, max_size=80).map(torch.tensor)
SEEDS = st.integers(0, 10**6)


def corrupt(ids, seed=0, **changes):
    settings = {"sentinel_ids": SENTINELS, "generator": generator_at(seed)}
    return corrupt_spans(ids, **settings | changes)


@settings(max_examples=40)
@given(
    ids=TEXTS,
    seed=SEEDS,
    rate=st.floats(0.01, 1),
    mean_span=st.floats(1, 10),
    end_id=st.sampled_from([None, END]),
)
def test_input_and_target_together_give_the_text_back(
    ids, seed, rate, mean_span, end_id
):
    inputs, targets = corrupt(ids, seed, rate=rate, mean_span=mean_span, end_id=end_id)
    filled = fill_spans(inputs, targets, sentinel_ids=SENTINELS, end_id=end_id)
    assert filled == ids.tolist()
    n_noise, n_spans = noise_counts(len(ids), rate, mean_span)
    closing = 0 if end_id is None else 1
    assert len(inputs) == len(ids) - n_noise + n_spans + closing
    assert len(targets) == n_noise + n_spans + closing
    for side in (inputs, targets):  # the same sentinels in the same order on each side
        assert side[side >= 1000].tolist() == list(SENTINELS[:n_spans])
    assert inputs[0] < 1000 and targets[0] == SENTINELS[0]
    both = (inputs >= 1000).nonzero().squeeze(1).diff()
    assert (both > 1).all()  # a kept token stands between two spans


@settings(max_examples=40)
@given(ids=TEXTS, seed=SEEDS)
def test_spans_leak_nothing_either_way(ids, seed):
    """Changed hidden tokens leave the input as it was, changed kept ones the target."""
    inputs, targets = corrupt(ids, seed)
    positions = torch.arange(3, 3 + len(ids))
    hidden = corrupt(positions, seed)[1]
    hidden = hidden[hidden < 1000] - 3
    changed = ids.clone()
    changed[hidden] += 100
    assert torch.equal(corrupt(changed, seed)[0], inputs)
    changed = ids + 100
    changed[hidden] -= 100
    assert torch.equal(corrupt(changed, seed)[1], targets)


def test_lengths_are_those_of_the_release():
    """T5's default: 568 tokens give 512 inputs and 114 targets, both with their end."""
    inputs, targets = corrupt(torch.full((568,), 7), end_id=END)
    assert (len(inputs), len(targets)) == (512, 114)
    assert noise_counts(512, 0.15, 3.0) == (77, 26)
    assert noise_counts(2, 0.15, 3.0) == (1, 1)
    assert noise_counts(10, 1.0, 3.0) == (9, 1)  # one token and one span are left
    assert noise_counts(10, 0.8, 1.0) == (8, 2)  # not more spans than kept tokens


def test_every_way_of_cutting_is_as_likely():
    """3 noise tokens in 2 spans, 3 kept ones likewise: 2 * 2 ways."""
    ids = torch.arange(3, 9)
    seen: dict[tuple[int, ...], int] = {}
    generator = generator_at(4)
    for _ in range(600):
        inputs, _ = corrupt(ids, generator=generator, rate=0.5, mean_span=1.5)
        way = tuple(inputs.tolist())
        seen[way] = seen.get(way, 0) + 1
    assert len(seen) == 4
    deviation = (600 * 0.25 * 0.75) ** 0.5
    assert all(abs(count - 150) < 4 * deviation for count in seen.values())


def test_filling_takes_what_a_model_wrote():
    inputs = [5, 1000, 6, 1001, END]
    fill = {"sentinel_ids": SENTINELS, "end_id": END}
    assert fill_spans(inputs, [9, 1001, 8, END, 7], **fill) == [5, 6, 8]
    assert fill_spans(inputs, [1000, 8, 8, 1000, 9], **fill) == [5, 8, 8, 6]
    assert fill_spans(inputs, [], **fill) == [5, 6]


STOP = 3


def sentences_of(ids):
    """By hand: a sentence ends behind a run of STOPs."""
    found, sentence = [], []
    for i, id in enumerate(ids):
        sentence.append(id)
        if id == STOP and (i + 1 == len(ids) or ids[i + 1] != STOP):
            found.append(tuple(sentence))
            sentence = []
    return found + ([tuple(sentence)] if sentence else [])


@settings(max_examples=40)
@given(
    ids=st.lists(st.integers(STOP, 7), min_size=1, max_size=40).map(torch.tensor),
    seed=SEEDS,
)
def test_sentences_are_permuted_whole_and_the_target_is_the_text(ids, seed):
    permute = {"end_ids": [STOP], "generator": generator_at(seed)}
    inputs, targets = permute_sentences(ids, **permute)
    assert torch.equal(targets, ids)
    rest, shuffled = sentences_of(ids.tolist()), inputs.tolist()
    orders = {
        tuple(itertools.chain.from_iterable(order))
        for order in itertools.islice(itertools.permutations(rest), 5040)
    }
    assert len(rest) > 7 or tuple(shuffled) in orders
    # what the words are has no part in the order
    other = ids.where(ids == STOP, ids + 10)
    permute["generator"] = generator_at(seed)
    again, _ = permute_sentences(other, **permute)
    assert torch.equal(again, inputs.where(inputs == STOP, inputs + 10))


def test_every_order_of_sentences_and_of_tokens_is_as_likely():
    generator = generator_at(2)
    calls = (
        lambda: permute_sentences(
            torch.tensor([5, STOP, 6, 6, STOP, 7]), end_ids=[STOP], generator=generator
        ),
        lambda: shuffle_tokens(torch.tensor([5, 6, 7]), generator=generator),
    )
    for call in calls:
        seen: dict[tuple[int, ...], int] = {}
        for _ in range(600):
            order = tuple(call()[0].tolist())
            seen[order] = seen.get(order, 0) + 1
        assert len(seen) == 6
        deviation = (600 * 5 / 36) ** 0.5
        assert all(abs(count - 100) < 4 * deviation for count in seen.values())


@settings(max_examples=30)
@given(ids=TEXTS, seed=SEEDS)
def test_shuffled_tokens_are_the_same_tokens_in_a_blind_order(ids, seed):
    inputs, targets = shuffle_tokens(ids, generator=generator_at(seed))
    assert torch.equal(targets, ids)
    assert torch.equal(inputs.sort().values, ids.sort().values)
    again, _ = shuffle_tokens(ids * 2, generator=generator_at(seed))
    assert torch.equal(again, inputs * 2)


@settings(max_examples=30)
@given(ids=TEXTS, seed=SEEDS, rate=st.floats(0.01, 1))
def test_deletion_leaves_the_others_in_their_order(ids, seed, rate):
    numbered = torch.arange(3, 3 + len(ids))
    call = {"rate": rate, "special_ids": [END]}
    inputs, targets = delete_tokens(ids, generator=generator_at(seed), **call)
    kept, _ = delete_tokens(numbered, generator=generator_at(seed), **call)
    assert torch.equal(targets, ids)
    assert (kept.diff() > 0).all()
    assert torch.equal(inputs, ids[kept - 3])
    n_deleted = min(max(round(rate * len(ids)), 1), len(ids) - 1)
    assert len(inputs) == len(ids) - n_deleted


@settings(max_examples=40)
@given(ids=TEXTS, seed=SEEDS, rate=st.floats(0.01, 1), mean=st.floats(0.2, 8))
def test_infilling_hides_the_stated_number_behind_masks_that_do_not_touch(
    ids, seed, rate, mean
):
    call = {"mask_id": MASK, "rate": rate, "mean_span": mean}
    inputs, targets = infill_text(ids, generator=generator_at(seed), **call)
    assert torch.equal(targets, ids)
    numbered = torch.arange(3, 3 + len(ids))
    places, _ = infill_text(numbered, generator=generator_at(seed), **call)
    kept = places[places != MASK]
    assert (kept.diff() > 0).all()
    assert len(kept) == len(ids) - min(max(round(rate * len(ids)), 1), len(ids) - 1)
    assert torch.equal(inputs[inputs != MASK], ids[kept - 3])
    is_mask = (places == MASK).tolist()
    assert not any(a and b for a, b in itertools.pairwise(is_mask))
    for a, b in itertools.pairwise(kept.tolist()):  # what is missing has its mask
        assert b == a + 1 or MASK in places[places.tolist().index(a) :][:2]


def test_infilled_spans_have_a_poisson_mean_of_three():
    ids = torch.arange(3, 6003)
    inputs, _ = infill_text(ids, mask_id=MASK, generator=generator_at(0))
    n_masks = int((inputs == MASK).sum())  # 1800 tokens in spans of 3, some of 0
    assert abs(n_masks - 600) < 4 * (600 / 3) ** 0.5
    at = (inputs == MASK).nonzero().squeeze(1)
    at = at[(at > 0) & (at < len(inputs) - 1)]
    empty = (inputs[at + 1] - inputs[at - 1] == 1).float().mean()
    assert 0.02 < float(empty) < 0.09  # e^-3 = 0.05


def test_real_text_survives_every_denoiser(real_asset):
    real_asset("shakespeare")
    tokenizer = WordPieceTokenizer.from_vocab(real_asset("bert-uncased-vocab"))
    text = course_corpus().validation[5000:25_000]
    ids = torch.tensor(tokenizer.encode(text))
    special = tokenizer.special_tokens
    sentinels = range(tokenizer.vocab_size, tokenizer.vocab_size + 26)
    rows = ids[: len(ids) // 128 * 128].view(-1, 128)
    assert len(rows) > 20
    stops = [tokenizer.vocab[mark] for mark in ".?!"]
    generator = generator_at(0)
    for row in rows:
        call = {"sentinel_ids": sentinels, "end_id": special["[SEP]"]}
        inputs, targets = corrupt_spans(row, generator=generator, **call)
        assert (len(inputs), len(targets)) == (128 - 19 + 6 + 1, 19 + 6 + 1)
        filled = fill_spans(inputs, targets, **call)
        assert tokenizer.decode(filled) == tokenizer.decode(row)
        call = {"generator": generator, "special_ids": special.values()}
        inputs, targets = permute_sentences(row, end_ids=stops, **call)
        assert torch.equal(targets, row)
        assert torch.equal(inputs.bincount(), row.bincount())
        assert torch.equal(shuffle_tokens(row, **call)[1], row)


IDS = torch.arange(3, 60)
ROWS = IDS.view(3, 19)
OBJECTIVES = {
    "masked": lambda g: masked_tokens(
        ROWS, mask_id=MASK, special_ids=[END], vocab_size=60, generator=g
    ),
    "spans_masked": lambda g: masked_tokens(
        ROWS, mask_id=MASK, special_ids=[], vocab_size=60, generator=g, max_span=5
    ),
    "next_sentence": lambda g: next_sentence_pairs(
        [[[3], [4], [5]], [[6], [7], [8]], [[9], [10]]],
        8,
        max_seq_len=9,
        cls_id=1,
        sep_id=2,
        pad_id=0,
        generator=g,
    ),
    "spans": lambda g: corrupt_spans(IDS, sentinel_ids=SENTINELS, generator=g),
    "sentences": lambda g: permute_sentences(
        IDS, end_ids=IDS[::5].tolist(), generator=g
    ),
    "tokens": lambda g: shuffle_tokens(IDS, generator=g),
    "deletion": lambda g: delete_tokens(IDS, generator=g),
    "infilling": lambda g: infill_text(IDS, mask_id=MASK, generator=g),
}


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_the_seed_and_the_step_alone_decide(objective):
    def same(one, other):
        return all(map(torch.equal, one, other))

    torch.manual_seed(0)
    before = torch.get_rng_state()
    text_before = IDS.clone()
    found = objective(generator_at(3, step=7))
    assert torch.equal(torch.get_rng_state(), before)  # the global one did not move
    torch.manual_seed(1)
    assert same(objective(generator_at(3, step=7)), found)
    others = [objective(generator_at(3, step)) for step in (8, 9)]
    others += [objective(generator_at(seed, 7)) for seed in (4, 7)]
    assert not any(same(other, found) for other in others)
    assert torch.equal(IDS, text_before)  # what was given is left alone
    with pytest.raises(TypeError, match=r"generator=3: must be a torch.Generator"):
        objective(3)


SHORT = torch.tensor([5, 6, 7])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: corrupt(SHORT[:1]), "ids='1 ids': must be at least 2 ids"),
        (lambda: corrupt(SHORT[:0]), "ids=.*must hold at least one id"),
        (
            lambda: corrupt(torch.tensor([5, 1000])),
            r"ids\[1\]=1000: must be no special",
        ),
        (lambda: corrupt(SHORT, end_id=7), r"ids\[2\]=7: must be no special"),
        (lambda: corrupt(SHORT, sentinel_ids=[9, 9]), "sentinel_ids=.*be different"),
        (lambda: corrupt(SHORT, sentinel_ids=[]), "must be at least 1, one for each"),
        (lambda: corrupt(SHORT, rate=0), "rate=0: must be > 0 and <= 1"),
        (lambda: corrupt(SHORT, mean_span=0.5), "mean_span=0.5: must be >= 1"),
        (lambda: noise_counts(1, 0.15, 3), "length=1: must be an int >= 2"),
        (
            lambda: permute_sentences(SHORT, end_ids=[], generator=generator_at(0)),
            r"end_ids=\[\]: must hold",
        ),
        (
            lambda: shuffle_tokens(
                SHORT, generator=generator_at(0), special_ids=[0, 6]
            ),
            r"ids\[1\]=6: must be no special token or padding",
        ),
        (
            lambda: delete_tokens(SHORT[:1], generator=generator_at(0)),
            "must be at least 2 ids",
        ),
        (
            lambda: infill_text(SHORT, mask_id=5, generator=generator_at(0)),
            r"ids\[0\]=5: must be no special",
        ),
        (
            lambda: infill_text(
                SHORT, mask_id=2, generator=generator_at(0), mean_span=0
            ),
            "mean_span=0: must be > 0",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
