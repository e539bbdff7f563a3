"""Byte-level BPE: training against recounting, merging against its rule, files."""

import copy
import json
import pickle
import pydoc_data.topics
import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.tokenizers import ByteBPETokenizer, load_tokenizer
from lmcore.tokenizers.bpe_files import merges_of_ranks
from lmcore.tokenizers.bpe_merge import merge_long, merge_short, merge_word
from lmcore.tokenizers.bpe_train import PairTable, train_merges
from lmcore.tokenizers.byte_alphabet import BYTE_ORDER, show, unshow
from lmcore.tokenizers.patterns import PATTERNS, Splitter

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
REFERENCE = "\n".join(text for _, text in sorted(pydoc_data.topics.topics.items()))


@pytest.fixture(scope="module")
def tokenizer():
    return ByteBPETokenizer.train(
        REFERENCE, 1300, special_tokens=["<|end|>", "<|user|>"]
    )


# --- training


def recount(words):
    """Count every pair of neighbours from the start."""
    counts = Counter()
    for ids, count in words:
        for pair in pairwise(ids):
            counts[pair] += count
    return counts


def replace(ids, pair, new):
    """Replace a pair in a list, from left to right."""
    out = []
    for token in ids:
        # a right-hand token that was just made is above every id of the pair
        if out and (out[-1], token) == pair:
            out[-1] = new
        else:
            out.append(token)
    return out


def naive_merges(words, n_merges, first_id, min_count):
    words = [(list(ids), count) for ids, count in words]
    merges = []
    for new in range(first_id, first_id + n_merges):
        counts = recount(words)
        if not counts or max(counts.values()) < min_count:
            break
        pair = min(counts, key=lambda pair: (-counts[pair], pair))
        words = [(replace(ids, pair, new), count) for ids, count in words]
        merges.append(pair)
    return merges


WORDS = st.lists(
    st.tuples(st.lists(st.integers(0, 2), max_size=12), st.integers(1, 4)), max_size=8
)


@settings(max_examples=300)
@given(WORDS, st.integers(1, 3))
def test_training_equals_recounting(words, min_count):
    got = train_merges(words, 12, first_id=3, min_count=min_count)
    assert got == naive_merges(words, 12, 3, min_count)


def test_training_equals_recounting_on_real_text():
    words = Counter(Splitter("gpt2").split(REFERENCE[:30_000]))
    words = [(list(word.encode()), count) for word, count in words.items()]
    got = train_merges(words, 150, first_id=256)
    assert len(got) == 150
    assert got == naive_merges(words, 150, 256, 2)


@settings(max_examples=200)
@given(WORDS, st.randoms(use_true_random=False))
def test_pair_table_counts_stay_true_after_any_merge(words, rng):
    table = PairTable(words)
    words = [(list(ids), count) for ids, count in words]
    for new in range(3, 8):
        counts = recount(words)
        assert {p: c for p, c in table.counts.items() if c} == dict(counts)
        if not counts:
            break
        pair = rng.choice(sorted(counts))
        table.merge(pair, new)
        words = [(replace(ids, pair, new), count) for ids, count in words]


def test_ties_go_to_the_smallest_ids():
    tokenizer = ByteBPETokenizer.train(["dc", "dc", "ba", "ba", "bc", "bc"], 300)
    assert tokenizer.merges == [(b"b", b"a"), (b"b", b"c"), (b"d", b"c")]


def test_training_is_deterministic_and_ignores_the_order_of_texts():
    texts = REFERENCE[:60_000].split("\n\n")
    first = ByteBPETokenizer.train(texts, 400)
    second = ByteBPETokenizer.train(iter(texts[::-1]), 400)
    assert first.merges == second.merges


def test_ids_are_bytes_then_merges_then_special_tokens(tokenizer):
    assert tokenizer.vocab_size == 1300
    assert all(tokenizer.token_bytes(i) == bytes([i]) for i in range(256))
    for i, (left, right) in enumerate(tokenizer.merges):
        assert tokenizer.token_bytes(256 + i) == left + right
    assert tokenizer.special_tokens == {"<|end|>": 1298, "<|user|>": 1299}
    assert len(tokenizer.vocab) == 1298  # no token was made twice


def test_training_stops_when_the_text_runs_out():
    assert ByteBPETokenizer.train("abab", 300).vocab_size == 257
    assert ByteBPETokenizer.train("", 300).vocab_size == 256
    with pytest.raises(ValueError, match=r"vocab_size=256: .* 1 special"):
        ByteBPETokenizer.train("abab", 256, special_tokens=["<|end|>"])
    with pytest.raises(ValueError, match="special_tokens="):
        ByteBPETokenizer.train("abab", 300, special_tokens=["<s>", "<s>"])
    with pytest.raises(ValueError, match="min_count=0"):
        ByteBPETokenizer.train("abab", 300, min_count=0)


# --- merging


@settings(max_examples=500)
@given(st.lists(st.integers(0, 3), max_size=60), st.integers(0, 10_000))
def test_both_ways_to_merge_follow_the_same_rule(ids, seed):
    rng = random.Random(seed)
    pairs = [(a, b) for a in range(9) for b in range(9)]
    ranks = {pair: rank for rank, pair in enumerate(rng.sample(pairs, 10))}
    merged = [rng.randrange(9) for _ in ranks]
    expected = list(ids)
    while True:
        neighbours = enumerate(pairwise(expected))
        found = [(ranks[pair], i) for i, pair in neighbours if pair in ranks]
        if not found:
            break
        rank, i = min(found)
        expected[i : i + 2] = [merged[rank]]
    assert merge_short(ids, ranks, merged) == expected
    assert merge_long(ids, ranks, merged) == expected


def test_real_words_merge_alike_in_both_ways(tokenizer):
    ids = list(REFERENCE[:3000].encode())
    args = ids, tokenizer._ranks, tokenizer._merged
    assert merge_short(*args) == merge_long(*args)
    assert len(merge_long(*args)) < len(ids) / 2


@pytest.mark.parametrize("unit", ["a", " ", "ab", "字", "!?"])
def test_a_long_word_is_looked_up_a_few_times_per_byte(unit):
    class CountingRanks(dict):
        lookups = 0

        def get(self, pair, default=None):
            self.lookups += 1
            return super().get(pair, default)

        def __contains__(self, pair):
            self.lookups += 1
            return super().__contains__(pair)

    tokenizer = ByteBPETokenizer.train(unit * 600, 300, pattern="none")
    ids = list((unit * 10_000).encode())
    ranks = CountingRanks(tokenizer._ranks)
    left = merge_word(ids, ranks, tokenizer._merged)
    assert len(left) < len(ids) / 100
    assert ranks.lookups < 6 * len(ids)  # quadratic would be thousands of times more
    assert tokenizer.encode(unit * 10_000) == left


# --- round trips and special tokens


@settings(max_examples=500)
@given(text=TEXT)
@pytest.mark.parametrize("pattern", [*PATTERNS, r"\w+", "", "a|", r"(?i:the)\s"])
def test_every_text_round_trips(pattern, text):
    tokenizer = ByteBPETokenizer.train("the theme of this", 262, pattern=pattern)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode_bytes(ids) == text.encode()
    assert "".join(Splitter(pattern).split(text)) == text


@given(text=TEXT)
def test_round_trip_after_real_training(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_special_tokens_come_only_where_allowed(tokenizer):
    text = "a<|end|><|user|>b"
    plain = tokenizer.encode(text)
    assert not {1298, 1299} & set(plain)
    assert tokenizer.decode(plain) == text
    one = tokenizer.encode(text, allowed_special={"<|end|>"})
    assert 1298 in one and 1299 not in one
    both = tokenizer.encode(text, allowed_special="all")
    assert both == [97, 1298, 1299, 98]
    assert tokenizer.decode(one) == tokenizer.decode(both) == text
    with pytest.raises(ValueError, match="allowed_special='<pad>'"):
        tokenizer.encode(text, allowed_special=["<pad>"])


def test_the_longest_special_token_wins():
    tokenizer = ByteBPETokenizer.train("", 258, special_tokens=["<s", "<s>"])
    assert tokenizer.encode("<s><s", allowed_special="all") == [257, 256]


@given(st.binary())
def test_bytes_that_are_no_utf8_decode_as_python_decodes_them(raw):
    tokenizer = ByteBPETokenizer.train("", 256)
    assert tokenizer.decode_bytes(list(raw)) == raw
    assert tokenizer.decode(list(raw)) == raw.decode("utf-8", errors="replace")


def test_bad_input_is_named(tokenizer):
    for bad in (-1, 1300):
        with pytest.raises(ValueError, match=f"id={bad}: .*vocab_size=1300"):
            tokenizer.decode([5, bad])
    with pytest.raises(TypeError, match="ids="):
        tokenizer.decode(["a"])
    with pytest.raises(TypeError, match="text=3: must be a str, not int"):
        tokenizer.encode(3)
    with pytest.raises(ValueError, match=r"text\[2\]='\\ud83d'.*surrogate"):
        tokenizer.encode("ab\ud83d")


def test_a_vocabulary_with_gaps_and_missing_bytes():
    tokenizer = ByteBPETokenizer({b"a": 0, b"b": 3, b"ab": 5}, [(b"a", b"b")])
    assert tokenizer.vocab_size == 6
    assert tokenizer.encode("aba") == [5, 0]
    with pytest.raises(ValueError, match="id=4: must be the id of a token"):
        tokenizer.decode([0, 4])
    with pytest.raises(ValueError, match="byte 0x63"):
        tokenizer.encode("abc")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocab": {b"a": 0, b"b": 0}}, "id=0"),
        ({"vocab": {b"a": -1}}, "id=-1"),
        ({"vocab": {b"a": True}}, "id=True"),
        ({"vocab": {b"": 0}}, "vocab="),
        ({"vocab": {}}, "vocab="),
        ({"merges": [(b"a", b"b")]}, "merges="),
        ({"merges": [(b"a", b"a")] * 2, "vocab": {b"a": 0, b"aa": 1}}, "come once"),
        ({"special_tokens": {"<s>": 0}}, "id=0"),
        ({"special_tokens": {"": 7}}, "special_tokens"),
        ({"pattern": "("}, r"pattern='\('"),
        ({"pattern": "(a)"}, "capturing"),
    ],
)
def test_impossible_vocabularies_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ByteBPETokenizer(**({"vocab": {b"a": 0}, "merges": []} | arguments))


def test_the_cache_stays_bounded(monkeypatch):
    monkeypatch.setattr("lmcore.tokenizers.byte_bpe.MAX_CACHED_WORDS", 10)
    tokenizer = ByteBPETokenizer.train("", 256)
    text = " ".join(map(str, range(1000))) + " " + "x" * 100
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer._cache) <= 10
    assert "x" * 100 not in tokenizer._cache


# --- patterns


def test_the_patterns_cut_where_they_should():
    text = "I'll pay 1984  euros\n\n  x=42!!\r\n"
    assert Splitter("gpt2").split(text) == [
        *("I", "'ll", " pay", " 1984", " ", " euros", "\n\n ", " x", "=", "42"),
        *("!!", "\r\n"),
    ]
    assert Splitter("single_digits").split("pay  19 x") == [
        *("pay", "  ", "1", "9", " x"),
    ]
    assert Splitter("none").split(text) == [text]
    assert Splitter(r"\d+").split("ab12c") == ["ab", "12", "c"]


# --- files


def test_byte_alphabet_is_a_bijection():
    assert sorted(BYTE_ORDER) == list(range(256))
    everything = bytes(range(256))
    assert unshow(show(everything)) == everything
    assert len(set(show(everything))) == 256
    assert show(b" hello\n") == "ĠhelloĊ"
    with pytest.raises(ValueError, match="not ' '"):
        unshow("a b")


def test_save_and_load(tokenizer, tmp_path):
    path = tmp_path / "bpe.json"
    tokenizer.save(path)
    assert '"Ġ t"' in path.read_text(encoding="utf-8")
    for loaded in (ByteBPETokenizer.load(path), load_tokenizer(path)):
        assert type(loaded) is ByteBPETokenizer
        assert loaded.to_fields() == tokenizer.to_fields()
        sample = REFERENCE[:5000] + "<|end|>"
        assert loaded.encode(sample, allowed_special="all") == tokenizer.encode(
            sample, allowed_special="all"
        )


def test_copies_work_alone(tokenizer):
    sample = REFERENCE[5000:9000]
    expected = tokenizer.encode(sample)
    for twin in (pickle.loads(pickle.dumps(tokenizer)), copy.deepcopy(tokenizer)):
        assert twin.encode(sample) == expected
        assert twin._cache is not tokenizer._cache


@pytest.mark.parametrize(
    "change",
    [
        {"vocab": {"a": 0}},
        {"vocab": {"a b": 0}},
        {"vocab": []},
        {"merges": ["Ġ"]},
        {"merges": [3]},
        {"merges": ["a b c"]},
        {"merges": ["ż ź"]},
        {"pattern": "("},
        {"pattern": None},
        {"special_tokens": {"<s>": "x"}},
        {"special_tokens": ["<s>"]},
    ],
)
def test_load_refuses_damaged_fields(tokenizer, tmp_path, change):
    path = tmp_path / "bpe.json"
    tokenizer.save(path)
    fields = json.loads(path.read_text("utf-8")) | change
    path.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match="a damaged byte_bpe file"):
        ByteBPETokenizer.load(path)
    del fields["merges"]
    path.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match="a damaged byte_bpe file"):
        ByteBPETokenizer.load(path)


def test_merges_follow_from_the_ranks(tokenizer):
    assert merges_of_ranks(tokenizer.vocab) == tokenizer.merges
    with pytest.raises(ValueError, match=r"token=b'abc'.*leave 3"):
        merges_of_ranks({b"a": 0, b"b": 1, b"c": 2, b"abc": 3})


def test_published_forms_are_checked(tmp_path):
    ranks = tmp_path / "x.tiktoken"
    for content in (b"IQ==", b"IQ== x", b"!! 3", b"\xff\x00 1"):
        ranks.write_bytes(b"Ig== 0\n" + content)
        with pytest.raises(ValueError, match="line 2: must be a token in base64"):
            ByteBPETokenizer.from_ranks(ranks)
    vocab, merges = tmp_path / "vocab.json", tmp_path / "merges.txt"
    merges.write_text("#version: 0.2\na b\n", encoding="utf-8")
    for content in ("[]", '{"a": "b"}', "{"):
        vocab.write_text(content)
        with pytest.raises(ValueError, match="vocab_path="):
            ByteBPETokenizer.from_vocab_and_merges(vocab, merges)
    vocab.write_text('{"a": 0, "b": 1, "ab": 2, "<|end|>": 3}')
    tokenizer = ByteBPETokenizer.from_vocab_and_merges(
        vocab, merges, special_tokens=["<|end|>"]
    )
    assert tokenizer.encode("abb<|end|>"[:3]) == [2, 1]
    assert tokenizer.encode("ab<|end|>", allowed_special="all") == [2, 3]
    with pytest.raises(ValueError, match="special_tokens='<pad>'"):
        ByteBPETokenizer.from_vocab_and_merges(vocab, merges, special_tokens=["<pad>"])
    merges.write_text("a b\nabb\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 2: must be two tokens"):
        ByteBPETokenizer.from_vocab_and_merges(vocab, merges, special_tokens=[])
