"""The table of word vectors, its files, and what is measured on it."""

import gzip
import hashlib
import math

import numpy as np
import pytest
from scipy import stats

from lmcore.models import word_evaluation as evaluation
from lmcore.models.parquet_strings import read_strings, run_lengths, unsnap
from lmcore.models.word_vectors import WordVectors

TABLE = WordVectors(
    ["man", "woman", "king", "queen", "apple"],
    np.array([[1, 0, 0], [0, 2, 0], [3, 0, 3], [0, 1, 1], [-1, -1, 0]], np.float32),
)


@pytest.fixture(scope="module")
def glove_folder(real_asset):
    return real_asset("glove")


@pytest.fixture(scope="module")
def relations(real_asset):
    return real_asset("word-relations")


def test_similarity_is_the_cosine_whatever_the_lengths():
    assert TABLE.similarity("man", "woman") == 0
    assert TABLE.similarity("man", "king") == pytest.approx(math.cos(math.pi / 4))
    assert TABLE.similarity("queen", "queen") == pytest.approx(1)


def test_nearest_leaves_the_word_itself_out_and_is_sorted():
    found = TABLE.nearest("queen", k=10)
    assert [word for word, _ in found] == ["woman", "king", "man", "apple"]
    assert found[1][1] == pytest.approx(0.5)
    assert TABLE.nearest(TABLE["queen"], k=1)[0][0] == "queen"


def test_the_analogy_never_answers_with_its_own_words():
    assert TABLE.analogy("man", "king", "woman", k=1)[0][0] == "queen"
    words = [word for word, _ in TABLE.analogy("man", "king", "woman", k=5)]
    assert words == ["queen", "apple"]


def test_a_vector_of_zeros_is_near_nothing():
    table = WordVectors(["a", "b"], np.array([[0.0, 0.0], [1.0, 0.0]]))
    assert table.similarity("a", "b") == 0
    assert table.nearest("a", k=1) == [("b", 0.0)]


@pytest.mark.parametrize(
    ("words", "matrix", "message"),
    [
        (["a"], np.zeros((2, 3)), "have a row for each of 1"),
        (["a", "a"], np.zeros((2, 3)), "all differ"),
        (["a"], np.full((1, 3), np.nan), "finite"),
        (["a"], np.zeros(3), "matrix.shape"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(words, matrix, message):
    with pytest.raises(ValueError, match=message):
        WordVectors(words, matrix)


def test_questions_about_unknown_words_and_wrong_vectors_are_refused():
    with pytest.raises(KeyError, match="'emperor'"):
        TABLE.nearest("emperor")
    with pytest.raises(ValueError, match=r"query.shape=\(2,\): must be \(3,\)"):
        TABLE.nearest(np.zeros(2))
    with pytest.raises(ValueError, match="k=0"):
        TABLE.nearest("king", k=0)


def test_saved_and_loaded_vectors_are_bit_equal(tmp_path):
    rng = np.random.default_rng(0)
    words = ["naïve", "王", "don't", "\u2028x".strip(), "#"]
    matrix = (rng.normal(size=(5, 7)) * 10.0 ** rng.integers(-20, 20)).astype("float32")
    WordVectors(words, matrix).save(tmp_path / "v.txt")
    loaded = WordVectors.load(tmp_path / "v.txt")
    assert loaded.words == tuple(words)
    assert (loaded.matrix == matrix).all() and loaded.matrix.dtype == np.float32


def test_gloves_text_has_no_first_line(tmp_path):
    (tmp_path / "v.txt").write_text("the 0.5 -1\nof 2 3e-2\n", encoding="utf-8")
    loaded = WordVectors.load(tmp_path / "v.txt")
    assert loaded.words == ("the", "of")
    assert loaded.matrix.tolist() == [[0.5, -1], [2, np.float32(0.03)]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 1 2\nof 1\n", "line 2: 1 numbers: must be 2"),
        ("2 2\nthe 1 2\n", r"1 words.*must be \(2, 2\)"),
        ("1 3\nthe 1 2\n", "line 2: 2 numbers: must be 3"),
        ("the 1 x\n", "line 1: "),
        ("", "no vectors"),
    ],
)
def test_broken_text_files_are_refused_by_line(tmp_path, text, message):
    (tmp_path / "v.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        WordVectors.load(tmp_path / "v.txt")


def test_a_word_with_a_space_cannot_be_saved_as_text(tmp_path):
    with pytest.raises(ValueError, match="New York"):
        WordVectors(["New York"], np.zeros((1, 2))).save(tmp_path / "v.txt")


@pytest.mark.assets
def test_the_published_words_are_those_that_pyarrow_reads(glove_folder):
    """The digest is of the words as pyarrow 25.0.1 gives them, a line each."""
    table = WordVectors.load_glove(glove_folder)
    digest = hashlib.sha256("\n".join(table.words).encode()).hexdigest()
    assert digest == "029a7168ebc71f71e23e1f6ae94967234a13dcd64717754746c171be20d31a77"
    assert table.matrix.shape == (400_000, 50)
    # The numbers of "the" in GloVe's own glove.6B.50d.txt.
    assert table["the"][:3].tolist() == pytest.approx([0.418, 0.24968, -0.41242])
    assert table.analogy("man", "king", "woman", k=1)[0][0] == "queen"


@pytest.mark.assets
def test_a_broken_parquet_file_is_refused(glove_folder, tmp_path):
    data = (glove_folder / "glove_6B_index.parquet").read_bytes()
    broken = tmp_path / "x.parquet"
    for damage in (b"", b"PAR1", data[:-9] + data[-8:], data[:100] + data[-2000:]):
        broken.write_bytes(damage)
        with pytest.raises(ValueError, match=r"must |page"):
            read_strings(broken)
    broken.write_bytes(gzip.compress(data[:1000]))
    with pytest.raises(ValueError, match="be a Parquet file"):
        read_strings(broken)


def test_snappy_from_its_format_description():
    # 9 bytes: the literal "ab", then "copy 7 bytes from 2 ago", which overlaps itself.
    assert unsnap(bytes([9, 0b00000100, *b"ab", 0b00001101, 2])) == b"ababababa"
    with pytest.raises(ValueError, match="Snappy offset"):
        unsnap(bytes([9, 0b00000100, *b"ab", 0b00001101, 3]))
    with pytest.raises(ValueError, match="Snappy length"):
        unsnap(bytes([3, 0b00000100, *b"ab"]))


def test_run_lengths_from_parquets_own_example():
    # Encodings.md: the numbers 0 to 7 in 3 bits, packed into 3 bytes.
    packed = bytes([0b00000011, 0b10001000, 0b11000110, 0b11111010])
    assert run_lengths(packed, 3, 8) == list(range(8))
    assert run_lengths(bytes([5 << 1, 6]), 3, 5) == [6] * 5


def test_spearman_is_scipys_ties_and_all():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(0, 6, 30), rng.normal(size=30)
        assert evaluation.spearman(a, b) == pytest.approx(
            stats.spearmanr(a, b).statistic, abs=1e-12
        )
    assert evaluation.spearman([1, 2, 3], [10, 20, 25]) == pytest.approx(1)
    assert math.isnan(evaluation.spearman([1, 1, 1], [1, 2, 3]))


def test_similarity_counts_only_pairs_with_vectors_and_says_how_many():
    pairs = [
        ("King", "queen", 9.0),
        ("man", "woman", 5.0),
        ("man", "apple", 1.0),
        ("man", "emperor", 7.0),
    ]
    result = evaluation.evaluate_similarity(TABLE, pairs)
    assert (result.n_pairs, result.n_total) == (3, 4)
    assert result.spearman == pytest.approx(1)
    with pytest.raises(ValueError, match="at least 2"):
        evaluation.evaluate_similarity(TABLE, pairs[3:])


def test_analogies_by_section():
    sections = {
        "right": [("man", "king", "woman", "queen")],
        "wrong": [("man", "king", "woman", "apple"), ("man", "king", "x", "queen")],
        "unknown": [("a", "b", "c", "d")],
    }
    results = evaluation.evaluate_analogies(TABLE, sections, batch_size=1)
    right, wrong, unknown = (results[name] for name in sections)
    assert (right.n_right, right.n_asked, right.accuracy) == (1, 1, 1)
    assert (wrong.n_right, wrong.n_asked, wrong.n_total) == (0, 1, 2)
    assert math.isnan(unknown.accuracy)


def test_batched_analogies_answer_as_the_single_one_does():
    rng = np.random.default_rng(1)
    words = [f"w{i}" for i in range(40)]
    table = WordVectors(words, rng.normal(size=(40, 4)))
    questions = []
    for _ in range(50):
        a, b, c = rng.choice(words, 3, replace=False)
        answer = table.analogy(a, b, c, k=2)[rng.integers(2)][0]
        questions.append((a, b, c, answer))
    expected = sum(table.analogy(*q[:3], k=1)[0][0] == q[3] for q in questions)
    result = evaluation.evaluate_analogies(table, {"x": questions}, batch_size=7)["x"]
    assert 0 < expected < 50 and result.n_right == expected


def test_the_association_test_by_hand():
    # x leans fully to a, y fully to b: s = 1, 1, -1, -1 with a spread of 2 / sqrt(3).
    words = ["a", "b", "x1", "x2", "y1", "y2"]
    table = WordVectors(words, np.eye(2)[[0, 1, 0, 0, 1, 1]])
    groups = (["x1", "x2"], ["y1", "y2"], ["a"], ["b"])
    d = evaluation.association_test(table, *groups)
    assert d == pytest.approx(2 / (2 / math.sqrt(3)))
    x, y, a, b = groups
    assert evaluation.association_test(table, y, x, a, b) == pytest.approx(-d)
    each = evaluation.association_per_word(table, ["x1", "y1"], a, b)
    assert each.tolist() == pytest.approx([math.sqrt(2), -math.sqrt(2)])
    with pytest.raises(KeyError, match="z"):
        evaluation.association(table, ["z"], a, b)


@pytest.mark.assets
def test_the_published_tests_are_whole(relations):
    assert len(evaluation.read_pairs(relations / "wordsim353.tsv")) == 353
    assert len(evaluation.read_pairs(relations / "simlex999.txt")) == 999
    sections = evaluation.read_analogies(relations / "questions-words.txt")
    assert len(sections) == 14 and sum(map(len, sections.values())) == 19_544


def test_broken_test_files_are_refused_by_line(tmp_path):
    (tmp_path / "pairs").write_text("# title\na\tb\t1\na\tb\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 3"):
        evaluation.read_pairs(tmp_path / "pairs")
    (tmp_path / "questions").write_text(": x\na b c\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 2"):
        evaluation.read_analogies(tmp_path / "questions")
    (tmp_path / "questions").write_text("a b c d\n", encoding="utf-8")
    with pytest.raises(ValueError, match="in a section"):
        evaluation.read_analogies(tmp_path / "questions")
