"""Characters: the rule for unknown ones, round trips, files."""

import doctest
import importlib
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmcore.tokenizers import CharTokenizer, load_tokenizer

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def test_ids_are_the_order_of_the_code_points():
    tokenizer = CharTokenizer.train(["hello", "héllo"])
    assert tokenizer.characters == ["\ufffd", "e", "h", "l", "o", "é"]
    assert tokenizer.vocab_size == 6
    assert tokenizer.encode("hole") == [2, 4, 3, 1]


@given(TEXT)
def test_every_text_round_trips_through_its_own_vocabulary(text):
    for errors in ("replace", "strict"):
        tokenizer = CharTokenizer.train(text, errors=errors)
        ids = tokenizer.encode(text)
        assert len(ids) == len(text)
        assert tokenizer.decode(ids) == text


def test_unknown_characters_follow_the_rule():
    replacing = CharTokenizer.train("abc")
    assert replacing.encode("axb") == [1, 0, 2]
    assert replacing.decode([1, 0, 2]) == "a\ufffdb"
    strict = CharTokenizer.train("abc", errors="strict")
    assert strict.vocab_size == 3
    with pytest.raises(ValueError, match=r"text\[1\]='x'.*3 characters"):
        strict.encode("axb")


def test_the_replacement_character_itself_is_id_0():
    tokenizer = CharTokenizer.train("a\ufffd")
    assert tokenizer.vocab_size == 2
    assert tokenizer.encode("\ufffda") == [0, 1]


def test_decode_takes_arrays_and_tensors_and_checks_ids():
    tokenizer = CharTokenizer.train("abc")
    assert tokenizer.decode(np.array([1, 2])) == "ab"
    assert tokenizer.decode(torch.tensor([3, 3])) == "cc"
    assert tokenizer.decode(i for i in (1, 3)) == "ac"
    assert tokenizer.decode([]) == ""
    for bad in (-1, 4):
        with pytest.raises(ValueError, match=f"id={bad}: .*vocab_size=4"):
            tokenizer.decode([1, bad])
    for bad in ([1.0], ["a"], 3, None):
        with pytest.raises(TypeError, match="ids="):
            tokenizer.decode(bad)


def test_encode_refuses_what_is_no_text():
    tokenizer = CharTokenizer.train("abc")
    with pytest.raises(TypeError, match="not bytes"):
        tokenizer.encode(b"abc")
    with pytest.raises(ValueError, match=r"text\[1\].*surrogate"):
        tokenizer.encode("a\ud800")
    with pytest.raises(ValueError, match="surrogate"):
        CharTokenizer.train(["ok", "\udfff"])


@pytest.mark.parametrize("errors", ["replace", "strict"])
def test_save_and_load(tmp_path, errors):
    text = 'nul \x00, quote ", back \\, line \u2028, emoji 🙂, return \r\n'
    tokenizer = CharTokenizer.train(text, errors=errors)
    tokenizer.save(tmp_path / "chars.json")
    assert [p.name for p in tmp_path.iterdir()] == ["chars.json"]
    assert "🙂" in (tmp_path / "chars.json").read_text(encoding="utf-8")
    for loaded in (
        CharTokenizer.load(tmp_path / "chars.json"),
        load_tokenizer(str(tmp_path / "chars.json")),
    ):
        assert type(loaded) is CharTokenizer
        assert loaded.characters == tokenizer.characters
        assert loaded.errors == errors


@pytest.mark.parametrize(
    "change",
    [
        {"characters": ["\ufffd", "a", "a"]},
        {"characters": ["\ufffd", "ab"]},
        {"characters": ["\ufffd", ""]},
        {"characters": ["\ufffd", 3]},
        {"characters": ["a", "b"]},
        {"characters": None},
        {"errors": "ignore"},
    ],
)
def test_load_refuses_damaged_fields(tmp_path, change):
    path = tmp_path / "chars.json"
    CharTokenizer.train("ab").save(path)
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | change))
    with pytest.raises(ValueError, match=r"path='.*chars.json': a damaged characters"):
        CharTokenizer.load(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"3",
        b"{}",
        b'{"format": "other"}',
        b'{"format": "lmcore-tokenizer", "version": 99, "kind": "characters"}',
        b'{"format": "lmcore-tokenizer", "version": 1, "kind": "byte_bpe"}',
        b'{"format": "lmcore-tokenizer", "version": 1, "kind": ["x"]}',
        b"[" * 100_000,
    ],
)
def test_load_refuses_foreign_files(tmp_path, content):
    path = tmp_path / "foreign.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"path='.*foreign.json'"):
        CharTokenizer.load(path)


def test_load_of_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.json"):
        CharTokenizer.load(tmp_path / "nothing.json")


def test_encode_batch():
    tokenizer = CharTokenizer.train("ab")
    assert tokenizer.encode_batch(["a", "", "ba"]) == [[1], [], [2, 1]]


@pytest.mark.parametrize(
    "module",
    [
        *("characters", "byte_bpe", "patterns", "byte_alphabet"),
        *("wordpiece", "bert_text"),
    ],
)
def test_the_examples_in_docstrings(module):
    found = doctest.testmod(importlib.import_module(f"lmcore.tokenizers.{module}"))
    assert found.attempted > 0
    assert found.failed == 0
