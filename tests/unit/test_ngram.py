"""The n-gram model against hand-computed examples, and what each method must keep."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.models.ngram import SMOOTHING, NGram
from lmcore.models.ngram_counts import NGramCounts
from lmcore.models.ngram_discounting import estimate_discounts
from lmcore.models.ngram_smoothing import fit_weights, jelinek_mercer

TEXT = [0, 1, 0, 1, 2]  # the bigrams 01 twice, 10 once, 12 once
PROSE = (
    b"Shall I compare thee to a summer's day? Thou art more lovely and more temperate: "
    b"Rough winds do shake the darling buds of May, And summer's lease hath all too "
    b"short a date: Sometime too hot the eye of heaven shines, And often is his gold "
    b"complexion dimm'd; And every fair from fair sometime declines."
)
ALWAYS_SUM_TO_ONE = [
    name for name in SMOOTHING if name not in ("maximum_likelihood", "stupid_backoff")
]


def train(smoothing, ids=TEXT, order=2, vocab_size=3, **options):
    if smoothing == "jelinek_mercer":
        options.setdefault("validation", ids)
    return NGram.train(ids, order, vocab_size, smoothing, **options)


# Counting


def test_counts_of_a_small_text():
    counts = NGramCounts(b"abracadabra", order=3)
    assert [len(level.keys) for level in counts.levels] == [5, 7, 7]
    assert counts.count(b"a") == 5
    assert counts.count(b"abr") == 2
    assert counts.count(b"bra") == 2
    assert counts.count(b"aa") == 0
    assert counts.count(b"zzz") == 0
    totals = {
        bytes([g]): counts.n_left_neighbours(1)[i] for i, g in enumerate(b"abcdr")
    }
    assert totals == {b"a": 3, b"b": 1, b"c": 1, b"d": 1, b"r": 1}


def test_no_ngram_spans_two_documents():
    counts = NGramCounts([b"ab", b"cd"], order=2)
    assert counts.count(b"bc") == 0
    assert counts.count(b"ab") == counts.count(b"cd") == 1
    assert counts.levels[1].counts.sum() == 2


@given(
    st.lists(st.lists(st.integers(0, 4), max_size=30), min_size=1, max_size=3),
    st.integers(1, 6),
)
def test_counts_equal_a_dictionary(documents, order):
    if sum(map(len, documents)) == 0:
        return
    expected = {}
    for ids in documents:
        for k in range(1, order + 1):
            for i in range(len(ids) - k + 1):
                gram = tuple(ids[i : i + k])
                expected[gram] = expected.get(gram, 0) + 1
    counts = NGramCounts([np.array(d, dtype=int) for d in documents], order, 5)
    assert sum(len(level.keys) for level in counts.levels) == len(expected)
    for gram, n in expected.items():
        assert counts.count(gram) == n
        assert (
            counts.find(gram[1:])
            == counts.levels[len(gram) - 1].suffix[counts.find(gram)]
        )


@pytest.mark.parametrize("table_size", [0, 600])
def test_a_table_counts_what_sorting_counts(monkeypatch, table_size):
    plain = NGramCounts(PROSE, 4)
    monkeypatch.setattr("lmcore.models.ngram_counts.TABLE_SIZE", table_size)
    for a, b in zip(plain.levels, NGramCounts(PROSE, 4).levels, strict=True):
        for name in ("keys", "counts", "suffix"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_large_vocabulary_and_order():
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 200_000, size=3000)
    model = NGram.train(np.concatenate([ids, ids]), 7, 200_000)
    assert model.counts.count(ids[10:17]) == 2
    assert model.probs(ids[10:16]).argmax() == ids[16]


# Estimates computed by hand


def test_maximum_likelihood_by_hand():
    model = train("maximum_likelihood")
    np.testing.assert_allclose(model.probs([0]), [0, 1, 0])
    np.testing.assert_allclose(model.probs([1]), [1 / 2, 0, 1 / 2])
    np.testing.assert_allclose(model.probs([]), [2 / 5, 2 / 5, 1 / 5])
    np.testing.assert_array_equal(model.probs([2]), [0, 0, 0])  # 2 has no successor
    assert model.perplexity([0, 0]) == math.inf
    assert model.log_probs([0, 0])[1] == -math.inf


def test_add_k_by_hand():
    np.testing.assert_allclose(train("add_k").probs([0]), [1 / 5, 3 / 5, 1 / 5])
    half = train("add_k", k=0.5)
    np.testing.assert_allclose(half.probs([0]), [0.5 / 3.5, 2.5 / 3.5, 0.5 / 3.5])
    np.testing.assert_allclose(half.probs([2]), [1 / 3, 1 / 3, 1 / 3])


def test_witten_bell_by_hand():
    model = train("witten_bell")
    unigram = np.array([2 + 1, 2 + 1, 1 + 1]) / 8  # 3 kinds, each adds 3 * 1/3
    np.testing.assert_allclose(model.probs([]), unigram)
    expected = (np.array([1, 0, 1]) + 2 * unigram) / (2 + 2)
    np.testing.assert_allclose(model.probs([1]), expected)


def test_kneser_ney_by_hand():
    model = train("kneser_ney")
    # Each token follows one kind of token: continuation counts 1, 1, 1 and D falls
    # back to 1/2. Bigrams: n1 = 2, n2 = 1, so D = 2 / (2 + 2) = 1/2.
    np.testing.assert_allclose(model.probs([]), [1 / 3, 1 / 3, 1 / 3])
    after_1 = [0.5 / 2 + 0.5 / 3, 0.5 / 3, 0.5 / 2 + 0.5 / 3]
    np.testing.assert_allclose(model.probs([1]), after_1)
    after_0 = [0.25 / 3, 1.5 / 2 + 0.25 / 3, 0.25 / 3]
    np.testing.assert_allclose(model.probs([0]), after_0)
    np.testing.assert_allclose(model.probs([2]), model.probs([]))


def test_backoff_by_hand():
    model = train("backoff")
    # Unigrams 2, 2, 1: n1 = 1, n2 = 2 would give D = 1/5, but all 3 tokens were seen.
    unigram = np.array([2, 2, 1]) / 5
    np.testing.assert_allclose(model.probs([]), unigram)
    saved = 0.5 / 2  # after 0: one kind, D = 1/2, twice seen
    rest = saved / (1 - unigram[1])
    expected = [rest * unigram[0], 1.5 / 2, rest * unigram[2]]
    np.testing.assert_allclose(model.probs([0]), expected)


def test_stupid_backoff_by_hand():
    model = train("stupid_backoff")
    np.testing.assert_allclose(model.probs([0]), [0.4 * 2 / 5, 1, 0.4 * 1 / 5])
    np.testing.assert_allclose(model.probs([2]), 0.4 * np.array([2, 2, 1]) / 5)
    with pytest.raises(ValueError, match="smoothing='stupid_backoff'"):
        model.perplexity(TEXT)


def test_discounts_by_hand():
    counts = np.array([1, 1, 1, 1, 2, 2, 3, 4, 9])
    d = 4 / (4 + 2 * 2)
    np.testing.assert_allclose(estimate_discounts(counts), [0, d, d, d])
    three = [1 - 2 * d * 2 / 4, 2 - 3 * d * 1 / 2, 3 - 4 * d * 1 / 1]
    expected = [0, *three]
    np.testing.assert_allclose(estimate_discounts(counts, modified=True), expected)
    np.testing.assert_allclose(estimate_discounts(np.array([7, 9])), [0, 0.5, 0.5, 0.5])


def test_continuation_counts_and_not_frequency_decide_after_the_unknown():
    # "c" is frequent but stands after "b" alone; "a" is rarer, after b, c and a.
    text = b"bcbcbcbcbcbcbabcaa"
    model = NGram.train(text, 2)
    p = model.probs(b"z")
    assert text.count(b"c") > text.count(b"a")
    assert p[ord("a")] > p[ord("c")]


def test_one_em_step_by_hand():
    # Held out: 0, then 1 after 0 (always so in TEXT), then 1 after 1 (never).
    p1 = 0.5 * 2 / 5 + 0.5 / 3  # of 0 and of 1 alike
    stop_1 = 0.5 * 2 / 5 / p1
    stop_2 = 0.5 * 1 / (0.5 * 1 + 0.5 * p1)
    visits_1 = 1 + (1 - stop_2) + 1
    expected = [visits_1 * stop_1 / (visits_1 + 1), stop_2 / (2 + 1)]
    counts = NGramCounts(TEXT, 2, 3)
    fitted = fit_weights(counts, [np.array([0, 1, 1])], max_steps=1)
    np.testing.assert_allclose(fitted, expected)


def test_em_finds_the_best_weights_of_a_grid():
    counts = NGramCounts(PROSE[:200], 2)
    held_out = np.frombuffer(PROSE[200:], dtype=np.uint8).astype(np.int64)

    def loss(weights):
        table = jelinek_mercer(counts, weights)
        return -NGram(counts, table, "jelinek_mercer").log_probs(held_out).mean()

    fitted = fit_weights(counts, [held_out], max_steps=1000)
    steps = np.linspace(0.02, 0.98, 49)
    grid = [loss(np.array([a, b])) for a in steps for b in steps]
    assert loss(fitted) < min(grid) + 1e-3
    assert loss(fitted) < loss(np.array([0.5, 0.5])) - 0.01
    assert fitted.max() < 1


# What every method keeps


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=40),
    st.integers(1, 4),
    st.lists(st.integers(0, 5), max_size=6),
)
def test_probabilities_sum_to_one_after_any_context(ids, order, context):
    for smoothing in ALWAYS_SUM_TO_ONE:
        p = train(smoothing, ids, order, vocab_size=6).probs(context)
        assert p.shape == (6,)
        assert p.min() >= 0
        assert abs(p.sum() - 1) < 1e-12, smoothing
    p = train("maximum_likelihood", ids, order, vocab_size=6).probs(context)
    assert min(abs(p.sum() - 1), p.sum()) < 1e-12


@pytest.mark.parametrize("smoothing", ALWAYS_SUM_TO_ONE)
@pytest.mark.parametrize(
    "context", [b"", b"th", b"summer", b"zqx", b"thz", b"\xff\x00"]
)
def test_probabilities_over_bytes_sum_to_one(smoothing, context):
    p = train(smoothing, PROSE, 5, vocab_size=256).probs(context)
    assert abs(p.sum() - 1) < 1e-12
    assert p.min() > 0


@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_log_probs_equal_one_token_at_a_time(smoothing):
    model = train(smoothing, PROSE[:200], 4, vocab_size=256)
    text = PROSE[150:260] + b"\xff\xfeq "
    with np.errstate(divide="ignore"):
        one_by_one = [np.log(model.prob(text[:t], text[t])) for t in range(len(text))]
    np.testing.assert_allclose(model.log_probs(text), one_by_one, rtol=1e-12)


@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_nothing_is_learned_from_the_future(smoothing):
    model = train(smoothing, PROSE, 5, vocab_size=256)
    text = PROSE[30:80]
    whole = model.log_probs(text)
    for t in (1, 3, 20, 49):
        np.testing.assert_array_equal(model.log_probs(text[:t]), whole[:t])
        changed = text[:t] + bytes(len(text) - t)
        np.testing.assert_array_equal(model.log_probs(changed)[:t], whole[:t])


def test_only_the_last_tokens_of_a_context_count():
    model = train("kneser_ney", PROSE, 3, vocab_size=256)
    np.testing.assert_array_equal(model.probs(b"abcd th"), model.probs(b"th"))
    assert not np.array_equal(model.probs(b"h"), model.probs(b"th"))


def test_documents_are_scored_apart():
    model = train("kneser_ney", PROSE, 3, vocab_size=256)
    apart = np.concatenate([model.log_probs(b"winds"), model.log_probs(b"shake")])
    np.testing.assert_array_equal(model.log_probs([b"winds", b"shake"]), apart)
    assert not np.array_equal(model.log_probs(b"windsshake"), apart)


def test_shorter_counts_give_the_shorter_model():
    counts = NGramCounts(PROSE, 5).up_to(3)
    np.testing.assert_array_equal(
        NGram.from_counts(counts).log_probs(PROSE),
        NGram.train(PROSE, 3).log_probs(PROSE),
    )


def test_bytes_lists_arrays_and_tensors_are_the_same_ids():
    scores = [
        NGram.train(ids, 3).log_probs(ids)
        for ids in (
            PROSE,
            list(PROSE),
            np.frombuffer(PROSE, dtype=np.uint8),
            torch.tensor(list(PROSE)),
        )
    ]
    for other in scores[1:]:
        np.testing.assert_array_equal(scores[0], other)


def test_order_longer_than_the_text():
    model = NGram.train([0, 1], 5, 2)
    assert abs(model.probs([0, 1, 0, 1, 1]).sum() - 1) < 1e-12
    assert model.log_probs([0, 1, 0, 1, 0, 1]).shape == (6,)


def test_perplexity_of_a_uniform_model_is_the_vocabulary():
    assert train("add_k", k=1e12).perplexity(TEXT) == pytest.approx(3, rel=1e-9)


# Sampling


def test_samples_follow_the_probabilities():
    model = train("kneser_ney", PROSE, 3, vocab_size=256)
    drawn = [int(model.sample(b"th", 1, seed=s)[0]) for s in range(2000)]
    observed = np.bincount(drawn, minlength=256) / 2000
    p = model.probs(b"th")
    error = np.sqrt(p * (1 - p) / 2000)
    assert (np.abs(observed - p) <= 5 * error + 1e-3).all()


def test_sampling_options():
    model = train("kneser_ney", PROSE, 3, vocab_size=256)
    a = model.sample(b"th", 30, seed=1)
    np.testing.assert_array_equal(a, model.sample(b"th", 30, seed=1))
    assert not np.array_equal(a, model.sample(b"th", 30, seed=2))
    greedy = model.sample(b"th", 30, temperature=0)
    np.testing.assert_array_equal(greedy, model.sample(b"th", 30, top_k=1, seed=9))
    assert greedy[0] == model.probs(b"th").argmax()
    best = set(np.argsort(-model.probs(b"th"))[:3].tolist())
    drawn = [int(model.sample(b"th", 1, top_k=3, seed=s)[0]) for s in range(200)]
    assert set(drawn) == best
    cold = [int(model.sample(b"th", 1, temperature=1e-4, seed=s)[0]) for s in range(20)]
    assert set(cold) == {int(greedy[0])}
    assert len(model.sample(b"", 0)) == 0


def test_sampling_stops_where_maximum_likelihood_knows_nothing():
    model = train("maximum_likelihood", [0, 1, 2], 2)
    assert model.sample([0], 10).tolist() == [1, 2]


# Refusals


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((TEXT, 0, 3), ValueError, "order=0"),
        ((TEXT, 2.0, 3), ValueError, "order=2.0"),
        ((TEXT, 2, 0), ValueError, "vocab_size=0"),
        ((TEXT, 2, 2), ValueError, "id in ids=2"),
        (([0, -1], 2, 2), ValueError, "id in ids=-1"),
        (([], 2, 3), ValueError, "ids='empty'"),
        ((b"", 2, 256), ValueError, "ids='empty'"),
        (([b"", b""], 2, 256), ValueError, "ids='empty'"),
        (("text", 2, 256), TypeError, "encode text first"),
        (([0.5, 1.0], 2, 3), TypeError, "float64"),
        ((np.zeros((2, 2), dtype=int), 2, 3), ValueError, "one-dimensional"),
        ((TEXT, 2, 3, "good_turing"), ValueError, "smoothing='good_turing'"),
        ((TEXT, 2, 3, "jelinek_mercer"), ValueError, "validation=None"),
    ],
)
def test_what_train_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        NGram.train(*arguments)


def test_options_that_are_refused():
    with pytest.raises(ValueError, match="k=0"):
        train("add_k", k=0)
    with pytest.raises(ValueError, match="discount=1"):
        train("kneser_ney", discount=1.5)
    with pytest.raises(ValueError, match="order=3"):
        NGramCounts(TEXT, 2, 3).up_to(3)
    with pytest.raises(ValueError, match=r"len\(ids\)=3"):
        NGramCounts(TEXT, 2, 3).count([0, 1, 2])


def test_what_using_a_model_refuses():
    model = train("kneser_ney")
    with pytest.raises(ValueError, match="id in context=3"):
        model.probs([3])
    with pytest.raises(ValueError, match="id in token=-1"):
        model.prob([0], -1)
    with pytest.raises(ValueError, match="id in ids=7"):
        model.log_probs([0, 7])
    with pytest.raises(ValueError, match="ids='empty'"):
        model.perplexity([])
    with pytest.raises(ValueError, match="max_new_tokens=-1"):
        model.sample([0], -1)
    with pytest.raises(ValueError, match="temperature=-1"):
        model.sample([0], 1, temperature=-1)
    with pytest.raises(ValueError, match="top_k=0"):
        model.sample([0], 1, top_k=0)
