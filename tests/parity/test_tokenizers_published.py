"""Published vocabularies give the ids that the published libraries give.

GPT-2's byte-level BPE against `tiktoken` and `tokenizers`, BERT's WordPiece against
`tokenizers`: on hard text, on real lines, on hypothesis' texts, and for every code
point there is. Where two libraries carry tables of different Unicode versions, the
code points that they disagree on are named here, and nothing else is left out.
"""

import base64
import functools
import json
import pydoc_data.topics
import sysconfig
import unicodedata
from pathlib import Path

import pytest
import tiktoken
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers

from lmcore.tokenizers import ByteBPETokenizer, WordPieceTokenizer
from lmcore.tokenizers.bert_text import split_words
from lmcore.tokenizers.byte_alphabet import show
from lmcore.tokenizers.patterns import GPT2, Splitter

pytestmark = pytest.mark.assets

HARD = [
    "",
    " ",
    "🙂 👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪🇫🇷 ☺️ ❤\ufe0f\u200d🔥",
    "東京都に行く。北京大学 한국어 각 𠀀𪛖 ㍿ ﬁ Ⅷ ①",
    "e\u0301 é n\u0303 \u0301 a\u0323\u0302 Å Å ṩ s\u0323\u0307 q\u0307\u0323",
    "नमस्ते क्षत्रिय ภาษาไทย العربية עִבְרִית ไม้ ་བོད",
    "İstanbul ΑΣ ς ΌΣΟΣ Straße ẞ ǅ ŉ ﬀ",
    "1 12 123 12345678901234567890 3.14159 1e-9 ٣٤٥ ½ ²  ⅓ 一二三",
    "def f(x):\n\treturn {k: v**2 for k, v in x.items()}  # -> dict\n\n\n",
    "    if a != b and c<=d:\r\n        x[i:=3] += 0x_FF // ~y;\r\n\r\n",
    "tab\tnewline\nreturn\rboth\r\nform\x0cfeed\x0bvertical",
    "   leading, trailing   \n   \n\n  x  \t \t y",
    "nul\x00bell\x07escape\x1b[0mdelete\x7f\x85next\x1c\x1d\x1e\x1fsep",
    "\u00a0\u2003\u2028\u2029\u202f\u3000wide\u200bzero\u200c\u200d\u2060\ufeff",
    "\ufffd\ufffe\uffff\ue000\U000f0000\U0010fffd \u00ad soft",
    "I'm you're HE'LL it’s o'clock 'tis ''quoted'' rock'n'roll",
    "$100+5<6=^`|~ «guillemets» — – … 。、！？「」",
    "a" * 99 + " " + "b" * 100 + " " + "c" * 101,
    "x" * 3000 + " " * 3000 + "1" * 3000 + "-" * 3000 + "字" * 300,
    "<|endoftext|> [CLS] [SEP] [MASK] [UNK] ## ##ing #",
    "https://example.org/a?b=c&d=%20#frag user@mail.example",
    " SolidGoldMagikarp petertodd TheNitromeFan",
]
# letters that are frequent, and every kind of trouble that a code point can make
ALPHABET = st.sampled_from(sorted(set("".join(HARD)))) | st.characters(
    exclude_categories=["Cs", "Cn"]
)

# every code point but surrogates, and of the large empty and private planes the ends
CODE_POINTS = [*range(0xD800), *range(0xE000, 0x34000), *range(0xDFF00, 0xE0200)]
CODE_POINTS += [*range(0xFFF00, 0x100100), *range(0x10FF00, 0x110000)]
BLOCKS = [
    [chr(c) for c in CODE_POINTS[i : i + 256]] for i in range(0, len(CODE_POINTS), 256)
]


@pytest.fixture(scope="module")
def real_lines(real_asset):
    """Lines of four real texts: English, code, Shakespeare, Chinese."""
    library = Path(sysconfig.get_paths()["stdlib"])
    modules = ["argparse", "typing", "pickle", "_pydecimal", "html/entities", "tarfile"]
    plays = real_asset("shakespeare")
    novel = json.loads(real_asset("sanguo").read_text("utf-8"))
    texts = {
        "reference": "\n".join(pydoc_data.topics.topics.values()),
        "code": "".join((library / f"{m}.py").read_text("utf-8") for m in modules),
        "shakespeare": "".join(
            (plays / f"{play}.txt").read_text("utf-8", errors="replace")
            for play in ("hamlet", "tempest", "sonnets")
        ),
        "chinese": "\n".join(novel[:40]),
    }
    lines = {name: text.splitlines(keepends=True) for name, text in texts.items()}
    assert all(len(some) >= 900 for some in lines.values()), "each text counts"
    assert sum(map(len, lines.values())) >= 30_000
    return [line for some in lines.values() for line in some]


# --- GPT-2


@pytest.fixture(scope="module")
def ranks_path(real_asset):
    return real_asset("gpt2-ranks")


@pytest.fixture(scope="module")
def gpt2(ranks_path):
    return ByteBPETokenizer.from_ranks(ranks_path)


@pytest.fixture(scope="module")
def tiktoken_gpt2(ranks_path):
    lines = [line.split() for line in ranks_path.read_bytes().splitlines()]
    return tiktoken.Encoding(
        "gpt2-from-file",
        pat_str=GPT2,
        mergeable_ranks={base64.b64decode(token): int(rank) for token, rank in lines},
        special_tokens={"<|endoftext|>": 50256},
        explicit_n_vocab=50257,
    )


@pytest.fixture(scope="module")
def tokenizers_gpt2(gpt2):
    vocab = {show(token): i for token, i in gpt2.vocab.items()}
    merges = [(show(left), show(right)) for left, right in gpt2.merges]
    library = tokenizers.Tokenizer(models.BPE(vocab, merges))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    return library


def test_gpt2_has_its_50257_tokens(gpt2):
    assert gpt2.vocab_size == 50257
    assert len(gpt2.merges) == 50_000
    assert gpt2.special_tokens == {"<|endoftext|>": 50256}
    assert gpt2.encode("Hello world") == [15496, 995]


def test_gpt2_hard_text(gpt2, tiktoken_gpt2, tokenizers_gpt2):
    for text in [*HARD, "".join(HARD), " ".join(HARD)]:
        ids = gpt2.encode(text)
        assert ids == tiktoken_gpt2.encode_ordinary(text), repr(text)
        assert ids == tokenizers_gpt2.encode(text).ids, repr(text)
        assert gpt2.decode(ids) == text == tiktoken_gpt2.decode(ids)


def test_gpt2_special_tokens(gpt2, tiktoken_gpt2):
    text = "a<|endoftext|> b<|endoftext|><|endoftext|>\n"
    want = tiktoken_gpt2.encode(text, allowed_special="all")
    assert gpt2.encode(text, allowed_special="all") == want
    assert want.count(50256) == 3
    assert gpt2.encode(text) == tiktoken_gpt2.encode_ordinary(text)


def test_gpt2_real_lines(gpt2, tiktoken_gpt2, tokenizers_gpt2, real_lines):
    ours = gpt2.encode_batch(real_lines)
    assert ours == tiktoken_gpt2.encode_ordinary_batch(real_lines, num_threads=1)
    others = tokenizers_gpt2.encode_batch(real_lines, add_special_tokens=False)
    assert ours == [encoding.ids for encoding in others]
    whole = "".join(real_lines)
    assert gpt2.encode(whole) == tiktoken_gpt2.encode_ordinary(whole)


@settings(max_examples=1000, deadline=None)
@given(text=st.text(ALPHABET))
def test_gpt2_any_text(gpt2, tiktoken_gpt2, tokenizers_gpt2, text):
    ids = gpt2.encode(text)
    assert ids == tiktoken_gpt2.encode_ordinary(text)
    assert ids == tokenizers_gpt2.encode(text).ids


@settings(max_examples=500, deadline=None)
@given(ids=st.lists(st.integers(0, 50256)))
def test_gpt2_decodes_any_ids(gpt2, tiktoken_gpt2, ids):
    assert gpt2.decode_bytes(ids) == tiktoken_gpt2.decode_bytes(ids)
    assert gpt2.decode(ids) == tiktoken_gpt2.decode(ids)  # mostly invalid UTF-8


def test_gpt2_every_code_point_is_split_alike():
    """The only differences: letters and numerals newer than Python's own tables.

    `regex` learns new Unicode versions before the libraries do. Every code point that
    Python's ``unicodedata`` knows is split alike, after a letter, a digit and a sign.
    """
    library = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str
    ours = Splitter("gpt2").split

    def alike(text):
        words = [text[start:end] for _, (start, end) in library(text)]
        return words == ours(text)

    for block in BLOCKS:
        samples = {char: f"a{char}1{char}!{char} {char}\n" for char in block}
        if not alike("".join(samples.values())):
            for char, text in samples.items():
                assert alike(text) or unicodedata.category(char) == "Cn", ascii(char)


def test_gpt2_as_vocab_and_merges(gpt2, tmp_path):
    vocab = {show(token): i for token, i in gpt2.vocab.items()}
    vocab["<|endoftext|>"] = 50256
    lines = [f"{show(left)} {show(right)}" for left, right in gpt2.merges]
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    (tmp_path / "merges.txt").write_text(
        "\n".join(["#version: 0.2", *lines, ""]), encoding="utf-8"
    )
    loaded = ByteBPETokenizer.from_vocab_and_merges(
        tmp_path / "vocab.json", tmp_path / "merges.txt"
    )
    assert loaded.to_fields() == gpt2.to_fields()


def test_another_vocabulary_and_pattern(real_lines, real_asset):
    """cl100k's 100,256 tokens, with the expression that `tiktoken` has for them."""
    path = real_asset("cl100k-ranks")
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    ours = ByteBPETokenizer.from_ranks(path, pattern=pattern, special_tokens=())
    lines = [line.split() for line in path.read_bytes().splitlines()]
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    library = tiktoken.Encoding(
        "cl100k-from-file", pat_str=pattern, mergeable_ranks=ranks, special_tokens={}
    )
    assert ours.vocab_size == 100_256
    for text in [*HARD, "".join(real_lines)]:
        assert ours.encode(text) == library.encode_ordinary(text)


@settings(max_examples=500, deadline=None)
@given(text=st.text(ALPHABET | st.sampled_from(" 0123456789\n")))
def test_single_digits_as_tokenizers_splits_them(text):
    library = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    ours = ByteBPETokenizer({b"a": 0}, [], pattern="single_digits")._splitter
    want = [word for word, _ in library.pre_tokenize_str(text)]
    assert [show(word.encode()) for word in ours.split(text)] == want


# --- BERT


@pytest.fixture(scope="module")
def vocab_path(real_asset):
    return real_asset("bert-uncased-vocab")


@pytest.fixture(scope="module")
def bert(vocab_path):
    return WordPieceTokenizer.from_vocab(vocab_path)


@pytest.fixture(scope="module")
def tokenizers_bert(vocab_path):
    return tokenizers.BertWordPieceTokenizer(str(vocab_path), lowercase=True)


NORMALIZE = normalizers.BertNormalizer().normalize_str
SPLIT = pre_tokenizers.BertPreTokenizer().pre_tokenize_str

# Categories that changed since the library's tables: (So, Po), (Mc, Mn), (Mn, Po) ...
CHANGED = "\u166d\u1734\U000111c9"
# ... and ideographs (extension E) that the library forgets to space: it has 0x2B920
# where BERT's released code has 0x2B820.
FORGOTTEN = range(0x2B820, 0x2B920)


def library_words(text):
    return [word for word, _ in SPLIT(NORMALIZE(text))]


@functools.cache
def tables_agree(char):
    """Whether Python's tables and the library's say the same of a code point.

    They disagree where Python has not assigned it yet, and where Python calls it a
    mark, a punctuation sign or a format character, or takes it apart, and the library,
    with older tables, knows nothing of it: it leaves it inside the word as it is.
    """
    category = unicodedata.category(char)
    special = category[0] == "P" or category in ("Mn", "Cf")
    special = special or unicodedata.normalize("NFD", char) != char
    unknown = special and library_words(f"a{char}b") == [f"a{char}b"]
    named = char in CHANGED or ord(char) in FORGOTTEN
    return not (category in ("Cn", "Cs") or unknown or named)


def test_bert_every_code_point():
    disagreements = []
    for block in BLOCKS:
        text = " ".join(f"a{char}b" for char in block)
        if library_words(text) != split_words(text):
            for char in block:
                if library_words(f"a{char}b") != split_words(f"a{char}b"):
                    assert not tables_agree(char), ascii(char)
                    disagreements.append(char)
    assert set(CHANGED) <= set(disagreements)
    assert {chr(c) for c in FORGOTTEN} <= set(disagreements)
    if unicodedata.unidata_version == "14.0.0" and tokenizers.__version__ == "0.23.3":
        assert len(disagreements) == 815


def test_bert_hard_text(bert, tokenizers_bert):
    assert bert.vocab_size == 30_522
    for text in [*HARD, "".join(HARD), " ".join(HARD)]:
        agreed = "".join(filter(tables_agree, text))
        assert len(agreed) >= len(text) - 4  # U+FFFE, U+FFFF, never assigned
        want = tokenizers_bert.encode(agreed, add_special_tokens=False).ids
        if not any(name in agreed for name in bert.special_tokens):
            assert bert.encode(agreed) == want, repr(text)
        assert bert.encode(agreed, allowed_special="all") == want, repr(text)


def test_bert_real_lines(bert, tokenizers_bert, real_lines):
    encodings = tokenizers_bert.encode_batch(real_lines, add_special_tokens=False)
    assert bert.encode_batch(real_lines) == [encoding.ids for encoding in encodings]


@settings(max_examples=1000, deadline=None)
@given(text=st.text(ALPHABET.filter(tables_agree)))
def test_bert_any_text(bert, tokenizers_bert, text):
    want = tokenizers_bert.encode(text, add_special_tokens=False).ids
    assert bert.encode(text, allowed_special="all") == want


def test_bert_pairs_padding_and_truncation(bert, vocab_path, real_lines):
    library = tokenizers.BertWordPieceTokenizer(str(vocab_path), lowercase=True)
    texts = [line for line in real_lines if line.strip()][::97]
    seconds = texts[1:] + texts[:1]
    pairs = list(zip(texts, seconds, strict=True))
    library.enable_padding()
    for max_seq_len in (None, 3, 4, 5, 8, 17, 64):
        if max_seq_len:
            library.enable_truncation(max_seq_len)
        for got, want in (
            (bert.batch(texts, max_seq_len=max_seq_len), library.encode_batch(texts)),
            (
                bert.batch(texts, seconds, max_seq_len=max_seq_len),
                library.encode_batch(pairs),
            ),
        ):
            assert got.ids.tolist() == [e.ids for e in want]
            assert got.token_type_ids.tolist() == [e.type_ids for e in want]
            assert got.mask.int().tolist() == [e.attention_mask for e in want]
            assert got.mask.dtype == torch.bool
