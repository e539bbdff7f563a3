"""Masked language modelling: rates, whole units, no leak, real text."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.data import shakespeare_split
from lmcore.losses import IGNORE_INDEX, cross_entropy
from lmcore.models.bert import BertConfig, BertForPretraining
from lmcore.objectives import (
    choose_stretches,
    find_phrases,
    generator_at,
    masked_tokens,
    merge_units,
    token_units,
    word_starts,
    word_units,
)
from lmcore.tokenizers import WordPieceTokenizer

PAD, CLS, SEP, MASK = 0, 1, 2, 3
VOCAB = 40
SPECIAL = (PAD, CLS, SEP, MASK)
STARTS = torch.tensor([i % 3 != 0 for i in range(VOCAB)])  # 6, 9, 12 … go on a word
STARTS[list(SPECIAL)] = True


def hide(ids, seed=0, **changes):
    # mask_id is special unasked
    settings = {"mask_id": MASK, "special_ids": SPECIAL[:3], "vocab_size": VOCAB}
    settings |= {"generator": generator_at(seed)} | changes
    return masked_tokens(ids, **settings)


@st.composite
def padded_rows(draw):
    """[CLS] tokens [SEP] padding, at least one token a row."""
    width = draw(st.integers(1, 40))
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        tokens = draw(st.lists(st.integers(4, VOCAB - 1), min_size=1, max_size=width))
        rows.append([CLS, *tokens, SEP] + [PAD] * (width - len(tokens)))
    return torch.tensor(rows)


@settings(max_examples=40)
@given(ids=padded_rows(), seed=st.integers(0, 10**6), rate=st.floats(0.01, 1))
def test_the_number_of_targets_is_exact_and_nothing_special_is_one(ids, seed, rate):
    inputs, targets = hide(ids, seed, rate=rate)
    chosen = targets != IGNORE_INDEX
    for row, row_chosen in zip(ids, chosen, strict=True):
        n_tokens = int((row >= 4).sum())
        assert int(row_chosen.sum()) == max(1, round(rate * n_tokens))
    assert not torch.isin(ids[chosen], torch.tensor(SPECIAL)).any()
    assert torch.equal(targets[chosen], ids[chosen])
    assert torch.equal(inputs[~chosen], ids[~chosen])
    put_in = inputs[chosen & (inputs != MASK)]
    assert not torch.isin(put_in, torch.tensor(SPECIAL)).any()


@settings(max_examples=40)
@given(ids=padded_rows(), seed=st.integers(0, 10**6), max_span=st.sampled_from([1, 4]))
def test_a_changed_hidden_token_changes_no_input_but_where_it_is_kept(
    ids, seed, max_span
):
    """A model that reads the inputs cannot know what was hidden."""
    units = word_units(ids, STARTS, SPECIAL)
    inputs, targets = hide(ids, seed, units=units, max_span=max_span)
    chosen = targets != IGNORE_INDEX
    other = ids.where(~chosen, 4 + (ids - 4 + 3) % (VOCAB - 4))  # same kind of piece
    units_again = word_units(other, STARTS, SPECIAL)
    assert torch.equal(units_again, units)
    inputs_again, targets_again = hide(other, seed, units=units, max_span=max_span)
    moved = inputs_again != inputs
    assert torch.equal(targets_again[chosen], other[chosen])
    assert (inputs[moved] == ids[moved]).all()  # these were kept as they are
    assert chosen[moved].all()


@settings(max_examples=40)
@given(
    ids=padded_rows(),
    seed=st.integers(0, 10**6),
    rate=st.floats(0.05, 1),
    max_span=st.sampled_from([1, 2, 10]),
)
def test_words_are_hidden_whole_and_within_the_budget(ids, seed, rate, max_span):
    units = word_units(ids, STARTS, SPECIAL)
    inputs, targets = hide(ids, seed, units=units, rate=rate, max_span=max_span)
    chosen = targets != IGNORE_INDEX
    for b in range(len(ids)):
        sizes = []
        for unit in units[b][units[b] >= 0].unique():
            inside = units[b] == unit
            sizes.append(int(inside.sum()))
            assert chosen[b][inside].all() or not chosen[b][inside].any()
            hidden = inputs[b][inside] == MASK
            assert hidden.all() or not hidden.any()
        budget = max(1, round(rate * sum(sizes)))
        n_chosen = int(chosen[b].sum())
        one_too_long = n_chosen in sizes and min(sizes) > budget
        assert 0 < n_chosen <= budget or one_too_long


def test_the_shares_are_80_10_10_and_can_be_others():
    ids = torch.randint(4, VOCAB, (200, 100), generator=generator_at(5))
    for mask_share, random_share in ((0.8, 0.1), (1.0, 0.0), (0.0, 1.0), (0.5, 0.2)):
        inputs, targets = hide(ids, mask_share=mask_share, random_share=random_share)
        chosen = targets != IGNORE_INDEX
        assert chosen.sum() == 200 * 15
        # a random token is the old one by chance in one case of VOCAB - 4
        same = (1 - mask_share - random_share) + random_share / (VOCAB - 4)
        for found, expected in (
            (inputs[chosen] == MASK, mask_share),
            (inputs[chosen] == ids[chosen], same),
        ):
            deviation = (expected * (1 - expected) / 3000) ** 0.5
            assert abs(float(found.float().mean()) - expected) <= 4 * deviation


def test_every_position_is_chosen_as_often_and_every_token_put_in_as_often():
    ids = torch.arange(4, 24).expand(6000, 20)
    inputs, targets = hide(ids, mask_share=0.0, random_share=1.0)
    chosen = targets != IGNORE_INDEX
    assert (chosen.sum(1) == 3).all()
    by_position = chosen.sum(0)  # binomial: 6000 draws with p = 0.15
    assert (by_position - 900).abs().max() < 5 * (6000 * 0.15 * 0.85) ** 0.5
    counts = inputs[chosen].bincount(minlength=VOCAB)
    assert counts[:4].sum() == 0
    expected = 18_000 / (VOCAB - 4)
    assert (counts[4:] - expected).abs().max() < 5 * expected**0.5


def test_spans_have_the_published_mean_length():
    """SpanBERT, section 3.1: a geometric distribution up to 10 has a mean of 3.8."""
    units = torch.arange(20_000).expand(20, -1)
    stretches = choose_stretches(units, 0.01, generator_at(1), max_span=10)
    lengths = []
    for row in stretches:
        assert int((row >= 0).sum()) == 200
        lengths += row[row >= 0].unique(return_counts=True)[1].tolist()
    mean = sum(lengths) / len(lengths)
    assert max(lengths) == 10
    assert abs(mean - 3.8) < 4 * 2.7 / len(lengths) ** 0.5  # a deviation of 2.7 each


def test_a_stretch_does_not_cross_a_special_token():
    ids = torch.tensor([[CLS, 4, 5, SEP, 7, 8, SEP]])
    for seed in range(30):
        units = token_units(ids, SPECIAL)
        found = choose_stretches(units, 1.0, generator_at(seed), 10)[0].tolist()
        assert found[3] == -1
        assert {found[4], found[5]} <= {4, 5}


def test_padding_counts_for_nothing():
    ids = torch.tensor([[CLS, *range(4, 24), SEP]])
    padded = torch.cat([ids, torch.full((1, 100), PAD)], 1)
    for seed in range(10):
        plain = hide(ids, seed)[1]
        wide = hide(padded, seed)[1]
        assert torch.equal(wide[:, : ids.shape[1]], plain)
        assert (wide[:, ids.shape[1] :] == IGNORE_INDEX).all()


def test_rows_of_special_tokens_have_no_target():
    ids = torch.tensor([[CLS, SEP, PAD], [CLS, 9, SEP], [CLS, MASK, SEP]])
    inputs, targets = hide(ids)
    assert torch.equal(inputs[[0, 2]], ids[[0, 2]])
    assert (targets != IGNORE_INDEX).sum(1).tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="must hold at least one token that is not"):
        hide(ids[[0, 2]])


def test_units_by_word_and_by_phrase():
    # 7 and 10 begin words; 9 goes on a word
    ids = torch.tensor([[9, 7, 9, 9, 10, SEP, 9, 7, PAD]])
    units = word_units(ids, STARTS, SPECIAL)
    assert units.tolist() == [[0, 1, 1, 1, 4, -1, 6, 7, -1]]
    phrases = [[7, 9], [7, 9, 9], [7, 9, 9, 10], [7]]  # the longest wins
    assert find_phrases(ids, phrases, units) == [[(1, 5), (7, 8)]]
    assert find_phrases(ids, [[7, 9], [9, 10], [10, SEP]], units) == [[]]
    merged = merge_units(units, [[(1, 5)]])
    assert merged.tolist() == [[0, 1, 1, 1, 1, -1, 6, 7, -1]]
    assert units[0, 4] == 4  # what was given is left alone


@pytest.fixture(scope="module")
def tokenizer(real_asset):
    return WordPieceTokenizer.from_vocab(real_asset("bert-uncased-vocab"))


@pytest.fixture(scope="module")
def play(tokenizer, real_asset):
    """Julius Caesar in rows of [CLS], 126 tokens, [SEP]."""
    real_asset("shakespeare")
    text = shakespeare_split()[1].parts["julius_caesar"]
    tokens = torch.tensor(tokenizer.encode(text))
    rows = tokens[: len(tokens) // 126 * 126].view(-1, 126)
    special = tokenizer.special_tokens
    edge = rows.new_ones(len(rows), 1)
    return torch.cat([edge * special["[CLS]"], rows, edge * special["[SEP]"]], 1)


def published(tokenizer, seed=0):
    return {
        "mask_id": tokenizer.special_tokens["[MASK]"],
        "special_ids": tokenizer.special_tokens.values(),
        "vocab_size": tokenizer.vocab_size,
        "generator": generator_at(seed),
    }


def test_real_text_is_hidden_at_the_stated_rates(tokenizer, play):
    """15 % of the tokens; of these 80, 10 and 10 %, the kept share being the leak."""
    starts = word_starts(tokenizer.pieces)
    special = tokenizer.special_tokens.values()
    units = word_units(play, starts, special)
    mask_id = tokenizer.special_tokens["[MASK]"]
    for given_units in (None, units):
        inputs, targets = masked_tokens(play, units=given_units, **published(tokenizer))
        chosen = targets != IGNORE_INDEX
        assert 0.148 < chosen.sum() / (len(play) * 126) <= 0.151  # 19 of 126
        fates = [inputs[chosen] == mask_id, inputs[chosen] == play[chosen]]
        for found, expected in zip(fates, (0.8, 0.1), strict=True):
            # words of several pieces share a fate: fewer draws than tokens, a little
            n_draws = 0.75 * int(chosen.sum())
            deviation = (expected * (1 - expected) / n_draws) ** 0.5
            assert abs(float(found.float().mean()) - expected) < 4 * deviation
            assert 4 * deviation < 0.04
    pieces = torch.tensor([p.startswith("##") for p in tokenizer.pieces])
    inner = pieces[play]  # ##… are hidden exactly when the piece before is
    inner[:, :2] = False  # a window may begin inside a word
    assert inner.sum() > 1000
    assert torch.equal(chosen[inner], chosen.roll(1, 1)[inner])


def test_real_names_are_hidden_whole_as_in_ernie(tokenizer, play):
    special = tokenizer.special_tokens.values()
    words = word_units(play, word_starts(tokenizer.pieces), special)
    names = ["Mark Antony", "Julius Caesar", "Caius Cassius", "Marcus Brutus", "Caesar"]
    spans = find_phrases(play, tokenizer.encode_batch(names), words)
    assert sum(map(len, spans)) > 100
    units = merge_units(words, spans)
    inputs, targets = masked_tokens(play, units=units, **published(tokenizer))
    chosen = targets != IGNORE_INDEX
    n_hidden = 0
    for b, row_spans in enumerate(spans):
        for start, end in row_spans:
            assert chosen[b, start:end].unique().numel() == 1
            is_mask = inputs[b, start:end] == tokenizer.special_tokens["[MASK]"]
            assert is_mask.unique().numel() == 1
            n_hidden += int(chosen[b, start])
            kept_name = tokenizer.decode(play[b, start:end])
            assert kept_name in {name.lower() for name in names}
    assert 0.05 < n_hidden / sum(map(len, spans)) < 0.3


def test_a_small_bert_reads_them(play, tokenizer):
    inputs, targets = masked_tokens(play[:2], **published(tokenizer))
    config = BertConfig(
        vocab_size=tokenizer.vocab_size, d_model=8, n_layers=1, n_heads=2
    )
    loss = cross_entropy(BertForPretraining(config)(inputs), targets)
    assert loss.isfinite()


def test_ids_of_another_kind_are_refused_by_name(unchecked_shapes):
    for ids in (torch.rand(1, 3), torch.ones(1, 3, dtype=torch.bool), [[4, 5]]):
        with pytest.raises(TypeError, match=r"ids=.*must be a tensor of integers"):
            hide(ids)
    with pytest.raises(ValueError, match=r"ids='shape .3,.': must have 2 axes"):
        hide(torch.tensor([4, 5, 6]))


TWO = torch.tensor([[CLS, 5, 6, SEP]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hide(TWO[:, :0]), "must hold at least one id"),
        (lambda: hide(TWO, rate=0), "rate=0: must be > 0 and <= 1"),
        (lambda: hide(TWO, rate=1.1), "rate=1.1: must be"),
        (lambda: hide(TWO, mask_id=VOCAB), "mask_id=40: must be from 0 to 39"),
        (lambda: hide(TWO, vocab_size=0), "vocab_size=0: must be an int >= 1"),
        (lambda: hide(TWO, vocab_size=6), "ids=6: must be below vocab_size=6"),
        (lambda: hide(TWO, mask_share=-0.1), "mask_share=-0.1: must be from 0"),
        (lambda: hide(TWO, random_share=0.3), "random_share=0.3: must be at most"),
        (lambda: hide(TWO, max_span=0), "max_span=0: must be an int >= 1"),
        (lambda: generator_at(-1), "seed=-1: must be an int >= 0"),
        (lambda: generator_at(0, 1.5), "step=1.5: must be an int >= 0"),
        (lambda: word_units(TWO, STARTS[:6], SPECIAL), "must be from 0 to below 6"),
        (lambda: find_phrases(TWO, [[5], []], TWO), r"phrases\[1\]=\[\]: must hold"),
        (lambda: merge_units(TWO, []), "spans='0 rows': must hold 1 rows"),
        (lambda: merge_units(TWO, [[(2, 5)]]), r"spans\[0\]=\(2, 5\): must be"),
        (lambda: merge_units(TWO, [[(2, 2)]]), r"spans\[0\]=\(2, 2\): must be"),
        (lambda: merge_units(TWO, [[(1, 3), (2, 4)]]), "must not overlap"),
        (
            lambda: merge_units(torch.tensor([[0, 1, 1, -1]]), [[(0, 2)]]),
            "must hold whole units",
        ),
        (
            lambda: merge_units(torch.tensor([[0, 1, 1, -1]]), [[(1, 4)]]),
            "must hold whole units",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
