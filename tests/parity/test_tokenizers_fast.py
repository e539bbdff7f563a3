"""The `tokenizers` library behind our interface: same file, same ids, same merges."""

import pydoc_data.topics
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.tokenizers import ByteBPETokenizer, load_tokenizer
from lmcore.tokenizers.bpe_train import train_merges
from lmcore.tokenizers.byte_alphabet import BYTE_ORDER
from lmcore.tokenizers.fast import FastBPETokenizer
from lmcore.tokenizers.patterns import Splitter

REFERENCE = "\n".join(text for _, text in sorted(pydoc_data.topics.topics.items()))
LINES = REFERENCE.splitlines(keepends=True)
SPECIAL = ["<|end|>", "<|e", "<|user|>"]
TEXT = st.text(
    st.sampled_from("ab 12\n\t'!<|end>user字é🙂")
    | st.characters(exclude_categories=["Cs", "Cn"])
)


@pytest.fixture(scope="module", params=["gpt2", "single_digits", "none", r"\w+"])
def slow(request):
    return ByteBPETokenizer.train(
        REFERENCE[:100_000], 800, special_tokens=SPECIAL, pattern=request.param
    )


@pytest.fixture(scope="module")
def fast(slow, tmp_path_factory):
    path = tmp_path_factory.mktemp("fast") / "bpe.json"
    slow.save(path)
    return FastBPETokenizer.load(path)


def test_the_same_ids_on_real_lines(slow, fast):
    assert len(LINES) > 10_000
    assert fast.vocab_size == slow.vocab_size == 800
    assert fast.encode_batch(LINES) == slow.encode_batch(LINES)
    assert fast.decode(fast.encode(REFERENCE)) == REFERENCE


@settings(max_examples=300, deadline=None)
@given(text=TEXT, allowed=st.sets(st.sampled_from(SPECIAL)))
def test_the_same_ids_on_any_text(slow, fast, text, allowed):
    assert fast.encode(text) == slow.encode(text)
    for some in ("all", allowed):
        text = f"a<|end|>{text}<|e<|user|>"
        want = slow.encode(text, allowed_special=some)
        assert fast.encode(text, allowed_special=some) == want
        assert fast.decode(want) == text


def test_our_training_is_the_librarys():
    """With the bytes numbered as the library does, the merges are the same."""
    fast = FastBPETokenizer.train(REFERENCE, 256 + 2000)
    number = {byte: i for i, byte in enumerate(BYTE_ORDER)}
    words = Counter(Splitter("gpt2").split(REFERENCE))
    coded = [([number[b] for b in word.encode()], n) for word, n in words.items()]
    tokens = [bytes([byte]) for byte in BYTE_ORDER]
    merges = []
    for left, right in train_merges(coded, 2000, first_id=256):
        merges.append((tokens[left], tokens[right]))
        tokens.append(tokens[left] + tokens[right])
    assert merges == fast.slow.merges


def test_training_lays_out_ids_alike(tmp_path):
    texts = (line for line in LINES[:2000])
    fast = FastBPETokenizer.train(texts, 500, special_tokens=SPECIAL)
    assert fast.vocab_size == 500
    assert [fast.slow.token_bytes(i) for i in (0, 255)] == [b"\x00", b"\xff"]
    assert fast.slow.special_tokens == {"<|end|>": 497, "<|e": 498, "<|user|>": 499}
    fast.save(tmp_path / "bpe.json")
    slow = load_tokenizer(tmp_path / "bpe.json")
    assert slow.encode(REFERENCE) == fast.encode(REFERENCE)


def test_bad_input_is_named(fast, monkeypatch):
    with pytest.raises(ValueError, match="allowed_special='<pad>'"):
        fast.encode("a", allowed_special=["<pad>"])
    with pytest.raises(ValueError, match="surrogate"):
        fast.encode_batch(["ok", "\ud800"])
    with pytest.raises(ValueError, match="vocab_size=100"):
        FastBPETokenizer.train("a", 100)
    with pytest.raises(ValueError, match="vocab="):
        FastBPETokenizer(ByteBPETokenizer({b"a": 0}, []))
    clash = ByteBPETokenizer(
        {bytes([b]): b for b in range(256)}, [], special_tokens={"a": 256}
    )
    with pytest.raises(ValueError, match="special_tokens='a'"):
        FastBPETokenizer(clash)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match="pip install tokenizers"):
        FastBPETokenizer(fast.slow)
