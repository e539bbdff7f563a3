"""WordPiece: training against rescoring, longest match, special tokens, files."""

import json
import pydoc_data.topics
from collections import Counter
from itertools import pairwise
from math import log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.tokenizers import WordPieceTokenizer, load_tokenizer
from lmcore.tokenizers.bert_text import split_words
from lmcore.tokenizers.wordpiece import SPECIAL_TOKENS, shorten
from lmcore.tokenizers.wordpiece_train import SCORES, likelihood_gain, train_pieces

REFERENCE = "\n".join(text for _, text in sorted(pydoc_data.topics.topics.items()))


@pytest.fixture(scope="module")
def tokenizer():
    return WordPieceTokenizer.train(REFERENCE[:100_000], 1000)


# --- training


def replace(ids, pair, new):
    out = []
    for token in ids:
        if out and (out[-1], token) == pair:
            out[-1] = new
        else:
            out.append(token)
    return out


def naive_pieces(words, n_merges, first_id, score, min_count):
    """Count and score everything again in each step."""
    merges = []
    for new in range(first_id, first_id + n_merges):
        tokens, counts = Counter(), Counter()
        for ids, count in words:
            for token in ids:
                tokens[token] += count
            for pair in pairwise(ids):
                counts[pair] += count
        total = sum(tokens.values())
        ranked = [
            (-SCORES[score](n, tokens[a], tokens[b], total), -n, (a, b))
            for (a, b), n in counts.items()
            if n >= min_count
        ]
        if not ranked:
            break
        pair = min(ranked)[2]
        words = [(replace(ids, pair, new), count) for ids, count in words]
        merges.append(pair)
    return merges


# distinct letters in a word: in "aaa" fewer pairs can be merged than are counted
WORDS = st.lists(
    st.tuples(st.lists(st.integers(0, 9), max_size=9, unique=True), st.integers(1, 5)),
    max_size=10,
)


@settings(max_examples=200)
@given(words=WORDS, min_count=st.integers(1, 3))
@pytest.mark.parametrize("score", ["ratio", "gain"])
def test_training_equals_rescoring(score, words, min_count):
    got = train_pieces(words, 15, first_id=10, score=score, min_count=min_count)
    assert got == naive_pieces(words, 15, 10, score, min_count)


@pytest.mark.parametrize("score", ["ratio", "gain"])
def test_training_equals_rescoring_on_real_text(score):
    words = Counter(split_words(REFERENCE[:20_000]))
    words = [([ord(char) for char in word], count) for word, count in words.items()]
    got = train_pieces(words, 100, first_id=1000, score=score)
    assert len(got) == 100
    assert got == naive_pieces(words, 100, 1000, score, 2)


def test_the_gain_is_the_change_of_the_log_likelihood():
    def log_likelihood(tokens):
        counts = Counter(tokens)
        return sum(n * log(n / len(tokens)) for n in counts.values())

    before = list("abcabdabeaxyzb")
    after = ["ab", "c", "ab", "d", "ab", *"eaxyzb"]
    want = log_likelihood(after) - log_likelihood(before)
    assert likelihood_gain(3, 4, 4, 14) == pytest.approx(want, rel=1e-12)
    assert likelihood_gain(3, 3, 3, 6) == pytest.approx(6 * log(2))  # ababab


def test_a_pair_with_itself_is_trained_too():
    words = [([0, 0, 0, 0], 5), ([0, 1], 3)]
    for score in SCORES:
        merges = train_pieces(words, 9, first_id=2, score=score)
        assert (0, 0) in merges
        doubled = 2 + merges.index((0, 0))
        assert (doubled, doubled) in merges


def test_ids_are_special_tokens_then_characters_then_pieces(tokenizer):
    assert tokenizer.vocab_size == 1000
    assert tuple(tokenizer.pieces[:5]) == SPECIAL_TOKENS
    assert tokenizer.vocab["[UNK]"] == 1
    words = split_words(REFERENCE[:100_000])
    first = {word[0] for word in words}
    inner = {f"##{char}" for word in words for char in word[1:]}
    n_characters = len(first) + len(inner)
    assert tokenizer.pieces[5 : 5 + n_characters] == sorted(first) + sorted(inner)
    assert "[UNK]" not in tokenizer.decode(tokenizer.encode(REFERENCE[:100_000]))
    text = " ".join(words)
    assert tokenizer.decode(tokenizer.encode(REFERENCE[:100_000])) == text


def test_training_refuses_what_cannot_be():
    with pytest.raises(ValueError, match=r"vocab_size=6: .* 2 characters"):
        WordPieceTokenizer.train("ab", 6)
    with pytest.raises(ValueError, match="min_count=0"):
        WordPieceTokenizer.train("ab", 10, min_count=0)
    assert WordPieceTokenizer.train("ab ab", 100).pieces[5:] == ["a", "##b", "ab"]


# --- encoding


PIECES = [*SPECIAL_TOKENS, "un", "##aff", "##able", "##a", "a", "able", "!", "東"]


def test_the_longest_piece_wins_and_dead_ends_are_unknown():
    tokenizer = WordPieceTokenizer(PIECES)

    def pieces(text):
        return [tokenizer.pieces[i] for i in tokenizer.encode(text)]

    assert pieces("unaffable!") == ["un", "##aff", "##able", "!"]
    assert pieces("UNÀ") == ["un", "##a"]
    assert pieces("unx a") == ["[UNK]", "a"]
    assert pieces("able") == ["able"]
    assert pieces("ablea") == ["able", "##a"]
    assert pieces("東東") == ["東", "東"]
    assert pieces("a" * 100) == ["a"] + ["##a"] * 99
    assert pieces("a" * 101) == ["[UNK]"]
    assert pieces("") == []
    cased = WordPieceTokenizer(PIECES, lowercase=False)
    assert cased.encode("Un un") == [1, 5]


def test_special_tokens_come_only_where_allowed():
    tokenizer = WordPieceTokenizer(PIECES)
    assert tokenizer.encode("a [MASK]") == [9, 1, 1, 1]
    assert tokenizer.encode("a [MASK]a", allowed_special={"[MASK]"}) == [9, 4, 9]
    assert tokenizer.encode("[CLS]", allowed_special="all") == [2]
    with pytest.raises(ValueError, match="allowed_special='un'"):
        tokenizer.encode("a", allowed_special=["un"])


def test_decode_joins_pieces_and_checks_ids():
    tokenizer = WordPieceTokenizer(PIECES)
    assert tokenizer.decode([2, 5, 6, 7, 11, 3]) == "[CLS] unaffable ! [SEP]"
    assert tokenizer.decode(torch.tensor([5, 8])) == "una"
    for bad in (-1, 13):
        with pytest.raises(ValueError, match=f"id={bad}: .*vocab_size=13"):
            tokenizer.decode([bad])


def test_batch_pads_and_marks():
    tokenizer = WordPieceTokenizer(PIECES)
    one = tokenizer.batch(["a", "una !"])
    assert one.ids.tolist() == [[2, 9, 3, 0, 0], [2, 5, 8, 11, 3]]
    assert one.mask.tolist() == [[True, True, True, False, False], [True] * 5]
    assert one.token_type_ids.tolist() == [[0] * 5] * 2
    two = tokenizer.batch(["a", ""], ["!", "una"])
    assert two.ids.tolist() == [[2, 9, 3, 11, 3], [2, 3, 5, 8, 3]]
    assert two.token_type_ids.tolist() == [[0, 0, 0, 1, 1], [0, 0, 1, 1, 1]]
    assert two.ids.dtype == two.token_type_ids.dtype == torch.int64
    assert two.mask.dtype == torch.bool
    short = tokenizer.batch(["una able a"], max_seq_len=4)
    assert short.ids.tolist() == [[2, 5, 8, 3]]
    with pytest.raises(ValueError, match="texts="):
        tokenizer.batch([])
    with pytest.raises(ValueError, match="pairs="):
        tokenizer.batch(["a"], ["a", "a"])
    with pytest.raises(ValueError, match="max_seq_len=2"):
        tokenizer.batch(["a"], ["a"], max_seq_len=2)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 40))
def test_shorten_fills_the_room_and_takes_from_the_longer(n_first, n_second, room):
    first, second = shorten([1] * n_first, [2] * n_second, room)
    assert len(first) + len(second) == min(room, n_first + n_second)
    if len(first) < n_first:
        assert len(first) >= len(second) - 1
    if len(second) < n_second:
        assert len(second) >= len(first) - 1


@settings(max_examples=300)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_gives_valid_ids_and_cleaned_words(tokenizer, text):
    ids = tokenizer.encode(text)
    assert all(0 <= i < tokenizer.vocab_size for i in ids)
    if 1 not in ids:
        assert tokenizer.decode(ids) == " ".join(split_words(text))


# --- cleaning


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Héllo,  World!", ["hello", ",", "world", "!"]),
        ("a\x00b\ufffdc\u200bd", ["abcd"]),
        ("a\tb\nc\u00a0d\u3000e", ["a", "b", "c", "d", "e"]),
        ("中文a", ["中", "文", "a"]),
        ("İstanbul ΑΣ", ["istanbul", "ασ"]),
        ("$5^x", ["$", "5", "^", "x"]),
        ("한", ["\u1112\u1161\u11ab"]),
    ],
)
def test_cleaning(text, words):
    assert split_words(text) == words


def test_cased_text_keeps_accents_and_capitals():
    assert split_words("Héllo!", lowercase=False) == ["Héllo", "!"]


# --- files


def test_save_and_load(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "wp.json")
    for loaded in (
        WordPieceTokenizer.load(tmp_path / "wp.json"),
        load_tokenizer(tmp_path / "wp.json"),
    ):
        assert type(loaded) is WordPieceTokenizer
        assert loaded.to_fields() == tokenizer.to_fields()
        assert loaded.encode(REFERENCE[:999]) == tokenizer.encode(REFERENCE[:999])


def test_from_vocab(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    assert WordPieceTokenizer.from_vocab(path).pieces == PIECES
    path.write_text("\n".join([*PIECES, "un"]), encoding="utf-8")
    with pytest.raises(ValueError, match="pieces='un': must come once"):
        WordPieceTokenizer.from_vocab(path)
    path.write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"pieces='\[PAD\]'"):
        WordPieceTokenizer.from_vocab(path)


@pytest.mark.parametrize(
    "change", [{"pieces": ["a"]}, {"pieces": None}, {"lowercase": "yes"}]
)
def test_load_refuses_damaged_fields(tokenizer, tmp_path, change):
    path = tmp_path / "wp.json"
    tokenizer.save(path)
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | change))
    with pytest.raises(ValueError, match="a damaged wordpiece file"):
        WordPieceTokenizer.load(path)
