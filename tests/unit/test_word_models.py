"""Corpus, windows, and the behaviour of the three methods and the neural n-gram."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from lmcore.losses import cross_entropy
from lmcore.models import word_windows
from lmcore.models.fasttext import FastText, FastTextConfig, fnv1a, pieces
from lmcore.models.glove import GloVe, GloVeConfig, count_cooccurrences
from lmcore.models.neural_ngram import NeuralNGram, NeuralNGramConfig
from lmcore.models.word2vec import Word2Vec, Word2VecConfig
from lmcore.models.word_corpus import Vocabulary, WordStream, split_sentences
from lmcore.models.word_windows import (
    context_ids,
    draw_negatives,
    keep_probabilities,
    noise_table,
    window_batches,
)

SENTENCES = [
    ["the", "cat", "sat", "on", "the", "mat"],
    ["the", "dog", "sat", "on", "the", "log"],
    ["a", "rare", "bird"],
]


def two_topics(n=400, seed=0):
    """Sentences about one of two topics, whose words never mix; glue words in both."""
    rng = np.random.default_rng(seed)
    topics = [[f"sea{i}" for i in range(8)], [f"land{i}" for i in range(8)]]
    return [
        [*rng.choice(topics[rng.integers(2)], 5).tolist(), "and", "the"]
        for _ in range(n)
    ]


def separation(vectors):
    """Mean cosine inside a topic less mean cosine between the two."""
    sea = [vectors.unit[vectors.row(f"sea{i}")] for i in range(8)]
    land = [vectors.unit[vectors.row(f"land{i}")] for i in range(8)]
    inside = np.mean([a @ b for side in (sea, land) for a in side for b in side])
    return inside - np.mean([a @ b for a in sea for b in land])


def test_paragraphs_become_sentences_of_lower_case_words():
    text = "O, that's\nHAMLET's  café-bar.\n \n\n1603: 'Tis he_!\n\n--\n"
    assert split_sentences(text) == [
        ["o", "that's", "hamlet's", "café", "bar"],
        ["tis", "he"],
    ]


def test_the_vocabulary_is_sorted_by_frequency_and_cut():
    vocabulary = Vocabulary.count(SENTENCES, min_count=2)
    assert vocabulary.words == ("the", "on", "sat")
    assert vocabulary.counts == (4, 2, 2)
    stream = vocabulary.encode(SENTENCES)
    assert stream.ids.tolist() == [0, 2, 1, 0, 0, 2, 1, 0]
    assert stream.sentences.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_text_that_was_not_split_into_words_is_refused():
    with pytest.raises(TypeError, match="must be a list of words"):
        Vocabulary.count(["the cat sat"], min_count=1)
    with pytest.raises(ValueError, match="occurs 9 times"):
        Vocabulary.count(SENTENCES, min_count=9)


def test_subsampling_keeps_rare_words_and_drops_frequent_ones():
    keep = keep_probabilities([900, 99, 1], threshold=1e-2)
    ratio = 1e-2 / 0.9
    assert keep[0] == pytest.approx(ratio**0.5 + ratio)
    assert keep[2] == 1
    assert (keep_probabilities([900, 1], threshold=0) == 1).all()


def test_windows_stop_at_sentences_and_at_their_reach():
    stream = WordStream(torch.arange(6), torch.tensor([0, 0, 0, 0, 1, 1]))
    positions, reach = torch.tensor([0, 2, 4]), torch.tensor([2, 1, 2])
    ids, present = context_ids(stream, positions, reach)
    found = [row[there].tolist() for row, there in zip(ids, present, strict=True)]
    assert found == [[1, 2], [1, 3], [5]]


def test_negatives_follow_count_to_the_three_quarters():
    counts = [8000, 1000, 100, 1]
    table = torch.from_numpy(noise_table(counts))
    generator = torch.Generator().manual_seed(0)
    drawn = draw_negatives(table, 40_000, 5, generator)
    share = torch.bincount(drawn.flatten(), minlength=4) / drawn.numel()
    expected = np.array(counts) ** 0.75 / (np.array(counts) ** 0.75).sum()
    assert np.abs(share.numpy() - expected).max() < 0.004  # about 4 standard errors
    places = torch.bincount(table, minlength=4) / len(table)
    assert np.abs(places.numpy() - expected).max() < 1e-6


@pytest.mark.parametrize("size", [3, 50_000])
@pytest.mark.parametrize("pairs", [True, False])
def test_a_pass_visits_every_neighbourhood_once(pairs, size, monkeypatch):
    monkeypatch.setattr(word_windows, "POSITIONS_AT_A_TIME", size)
    vocabulary = Vocabulary.count(SENTENCES, min_count=1)
    stream = vocabulary.encode(SENTENCES)
    expected = Counter()
    for sentence in SENTENCES:
        numbers = [vocabulary.index[word] for word in sentence]
        for t, word in enumerate(numbers):
            around = sorted(numbers[max(0, t - 1) : t] + numbers[t + 1 : t + 2])
            cases = [[c] for c in around] if pairs else [around]
            expected.update((word, *case) for case in cases)
    batches = list(
        window_batches(
            stream,
            vocabulary.counts,
            pairs=pairs,
            window=1,
            n_negatives=3,
            subsample=0,
            batch_size=4,
            generator=torch.Generator().manual_seed(0),
        )
    )
    found = Counter()
    for batch, share in batches:
        assert 0 <= share < 1 and len(batch.targets) <= 4
        assert batch.targets.shape[1] == 1 + 3
        for row, there, target in zip(
            batch.contexts, batch.present, batch.targets, strict=True
        ):
            found[(int(target[0]), *sorted(row[there].tolist()))] += 1
    assert found == expected
    shares = [share for _, share in batches]
    assert shares[0] == 0 and shares == sorted(shares)


@pytest.mark.parametrize("architecture", ["skipgram", "cbow"])
def test_word2vec_learns_which_words_share_a_topic(architecture):
    config = Word2VecConfig(
        architecture=architecture, d_model=16, batch_size=16, lr=0.1, subsample=0.0
    )
    model = Word2Vec.train(two_topics(), config)
    assert separation(model.vectors()) > 0.5
    assert model.losses[-1] < model.losses[0]
    untrained = Word2Vec(model.vocabulary, config)
    assert abs(separation(untrained.vectors())) < 0.3


def test_the_same_seed_gives_the_same_vectors_and_another_does_not():
    config = Word2VecConfig(d_model=8, n_epochs=1)
    runs = [
        Word2Vec.train(two_topics(100), config.replace(seed=seed)).v
        for seed in (1, 1, 2)
    ]
    assert (runs[0] == runs[1]).all() and not (runs[0] == runs[2]).any()


def test_cooccurrences_by_hand():
    vocabulary = Vocabulary(("a", "b", "c"), (3, 2, 1))
    stream = vocabulary.encode([["a", "b", "a"], ["c", "a"]])
    pairs = count_cooccurrences(stream, 3, window=2)
    dense = torch.zeros(3, 3, dtype=torch.float64)
    dense[pairs.rows, pairs.columns] = pairs.values
    # a-b at distance 1 twice; a with itself at distance 2, from both ends; c-a once.
    assert dense.tolist() == [[1, 2, 1], [2, 0, 0], [1, 0, 0]]


def test_cooccurrences_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, (60,), generator=generator)
    sentences = torch.arange(60) // 7
    expected = torch.zeros(5, 5, dtype=torch.float64)
    for i in range(60):
        for j in range(60):
            if 0 < abs(i - j) <= 4 and sentences[i] == sentences[j]:
                expected[ids[i], ids[j]] += 1 / abs(i - j)
    pairs = count_cooccurrences(WordStream(ids, sentences), 5, window=4)
    dense = torch.zeros(5, 5, dtype=torch.float64)
    dense[pairs.rows, pairs.columns] = pairs.values
    torch.testing.assert_close(dense, expected, rtol=0, atol=1e-12)


def test_words_without_a_neighbour_cannot_be_counted():
    stream = WordStream(torch.tensor([0, 1]), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="two words in one sentence"):
        count_cooccurrences(stream, 2)


def test_glove_that_diverges_says_so_and_names_the_rate():
    config = GloVeConfig(d_model=16, n_epochs=20, batch_size=32, lr=1e6)
    with pytest.raises(ValueError, match=r"lr=1000000\.0: must be smaller"):
        GloVe.train(two_topics(), config)


def test_glove_learns_which_words_share_a_topic():
    config = GloVeConfig(d_model=16, n_epochs=100, batch_size=32)
    model = GloVe.train(two_topics(), config)
    assert separation(model.vectors()) > 0.5
    assert model.losses[-1] < 0.1 * model.losses[0]


def test_pieces_are_those_of_the_papers_example():
    # Bojanowski et al. (2017), section 3.2, n = 3
    assert pieces("where", 3, 3) == ["<wh", "whe", "her", "ere", "re>"]
    assert pieces("a", 3, 6) == ["<a>"]
    assert pieces("a", 1, 2) == ["a", "<a", "a>"]


def test_fnv1a_gives_its_authors_published_values():
    assert fnv1a("") == 0x811C9DC5
    assert fnv1a("a") == 0xE40C292C
    assert fnv1a("foobar") == 0xBF9CF968


def test_fasttext_has_vectors_for_unseen_words_and_they_are_near_their_kin():
    config = FastTextConfig(
        d_model=16, batch_size=16, lr=0.1, n_buckets=2000, subsample=0.0
    )
    model = FastText.train(two_topics(), config)
    vectors = model.vectors()
    assert separation(vectors) > 0.5
    np.testing.assert_allclose(model.vector("sea3"), vectors["sea3"], atol=1e-6)
    assert "seaside" not in vectors
    assert model.vectors_of(["seaside", "sea3"]).similarity("seaside", "sea3") > 0.5
    nearest = [word for word, _ in vectors.nearest(model.vector("seaside"), k=5)]
    assert all(word.startswith("sea") for word in nearest)
    with pytest.raises(ValueError, match="at least 1 characters"):
        model.vector("")


def test_the_neural_ngram_never_looks_ahead_nor_further_back_than_its_order():
    model = NeuralNGram(NeuralNGramConfig(vocab_size=9, order=4, d_model=3))
    ids = torch.randint(9, (1, 12), generator=torch.Generator().manual_seed(0))
    logits = model(ids)
    assert logits.shape == (1, 12, 9)
    changed = ids.clone()
    changed[0, 5] = (ids[0, 5] + 1) % 9
    differs = (model(changed) != logits).any(-1)[0]
    assert differs.nonzero().flatten().tolist() == [5, 6, 7]  # n - 1 = 3 places


def test_the_neural_ngram_learns_a_rule_that_needs_its_whole_context():
    # The next token is the sum of the last three, modulo 5: 125 contexts.
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(5, (3, 64), generator=generator)]
    for _ in range(40):
        last = torch.cat(rows)[-3:]
        rows.append(last.sum(0, keepdim=True) % 5)
    ids = torch.cat(rows).T  # (64, 43)
    torch.manual_seed(0)
    config = NeuralNGramConfig(vocab_size=5, order=4, d_model=8, hidden_size=64)
    model = NeuralNGram(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = cross_entropy(model(ids[:, :-1])[:, 2:], ids[:, 3:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (Word2VecConfig, {"architecture": "cbov"}, "architecture='cbov'"),
        (Word2VecConfig, {"window": 0}, "window=0"),
        (Word2VecConfig, {"subsample": 1.0}, "subsample=1.0"),
        (Word2VecConfig, {"min_lr": 1.0}, "min_lr=1.0"),
        (Word2VecConfig, {"seed": -1}, "seed=-1"),
        (FastTextConfig, {"min_n": 7}, "min_n=7"),
        (FastTextConfig, {"n_buckets": 0}, "n_buckets=0"),
        (GloVeConfig, {"x_max": 0.0}, "x_max=0.0"),
        (GloVeConfig, {"d_model": 1.5}, "d_model=1.5"),
        (NeuralNGramConfig, {"order": 1}, "order=1"),
        (NeuralNGramConfig, {"hidden_size": 0}, "hidden_size=0"),
    ],
)
def test_impossible_settings_are_refused(config, changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_the_measured_word2vec_is_gensims_equal_within_gensims_own_spread():
    path = Path(__file__).parents[2] / "results" / "word_vectors.json"
    summary = json.loads(path.read_text(encoding="utf-8"))["skipgram"]["summary"]
    for test in ("WordSim-353", "SimLex-999"):
        ours, gensims = summary["lmcore, lr 0.025"][test], summary["gensim"][test]
        spread = gensims["max"] - gensims["min"]
        assert ours["mean"] >= gensims["mean"] - spread, test
