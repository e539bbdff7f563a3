"""Files, neighbours and evaluations against gensim's, on the published vectors."""

import numpy as np
import pytest

from lmcore.assets import AssetError, fetch
from lmcore.models import word_evaluation as evaluation
from lmcore.models.word_vectors import WordVectors

models = pytest.importorskip("gensim.models", reason="gensim is in the bench extra")
pytestmark = pytest.mark.assets
N_WORDS = 12_000


@pytest.fixture(scope="module")
def relations():
    try:
        return fetch("word-relations")
    except AssetError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def ours():
    try:
        return WordVectors.load_glove(fetch("glove")).first(N_WORDS)
    except AssetError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def theirs(ours, tmp_path_factory):
    path = tmp_path_factory.mktemp("vectors") / "glove.txt"
    ours.save(path)
    return models.KeyedVectors.load_word2vec_format(path, binary=False)


def test_gensim_reads_the_saved_file(ours, theirs):
    assert tuple(theirs.index_to_key) == ours.words
    assert (theirs.vectors == ours.matrix).all()


def test_neighbours_and_analogies_of_single_words(ours, theirs):
    for word in ("king", "water", "monday", "the"):
        expected = theirs.most_similar(word, topn=10)
        found = ours.nearest(word, k=10)
        assert [w for w, _ in found] == [w for w, _ in expected]
        np.testing.assert_allclose(
            [c for _, c in found], [c for _, c in expected], atol=1e-5
        )
    expected = theirs.most_similar(positive=["woman", "king"], negative=["man"], topn=5)
    found = ours.analogy("man", "king", "woman", k=5)
    assert [w for w, _ in found] == [w for w, _ in expected]


@pytest.mark.parametrize("file", ["wordsim353.tsv", "simlex999.txt"])
def test_similarity_and_its_coverage(ours, theirs, relations, file):
    result = evaluation.evaluate_similarity(
        ours, evaluation.read_pairs(relations / file)
    )
    _, spearman, missing = theirs.evaluate_word_pairs(
        str(relations / file), restrict_vocab=N_WORDS, case_insensitive=True
    )
    assert result.spearman == pytest.approx(spearman.statistic, abs=1e-5)
    assert 100 * (1 - result.n_pairs / result.n_total) == pytest.approx(missing)


def test_analogies_section_by_section(ours, theirs, relations):
    path = relations / "questions-words.txt"
    found = evaluation.evaluate_analogies(ours, evaluation.read_analogies(path))
    _, sections = theirs.evaluate_word_analogies(
        str(path), restrict_vocab=N_WORDS, case_insensitive=True
    )
    expected = {
        section["section"]: (len(section["correct"]), len(section["incorrect"]))
        for section in sections[:-1]  # the last one is the total
    }
    for name, result in found.items():
        right, wrong = expected[name]
        assert (result.n_right, result.n_asked) == (right, right + wrong), name
