"""Words with roles from Python's own parser, splits by file, labels on first pieces."""

import sys

import pytest
import torch

from lmcore.data import python_token_labels, token_label_batch
from lmcore.data.python_roles import ROLES, python_blocks, python_words
from lmcore.data.token_labels import (
    TokenLabels,
    label_files,
    label_first_pieces,
    side_of,
    word_pieces,
)
from lmcore.losses import IGNORE_INDEX
from lmcore.tokenizers import ByteBPETokenizer, CharTokenizer, WordPieceTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def roles_of(source, *texts):
    """Role of each word of the source that is one of the texts, in order."""
    return [w.role for w in python_words(source) if w.text in texts]


def test_one_function_by_hand():
    source = "def fetch(url, n=2):  # get\n    return url.read(n, 'x', size=len(url))\n"
    assert [(w.text, w.role) for w in python_words(source)] == [
        ("def", "keyword"),
        ("fetch", "function"),
        ("(", "operator"),
        ("url", "argument"),
        (",", "operator"),
        ("n", "argument"),
        ("=", "operator"),
        ("2", "number"),
        (")", "operator"),
        (":", "operator"),
        ("# get", "comment"),
        ("return", "keyword"),
        ("url", "argument"),
        (".", "operator"),
        ("read", "method"),
        ("(", "operator"),
        ("n", "argument"),
        (",", "operator"),
        ("'x'", "string"),
        (",", "operator"),
        ("size", "option"),
        ("=", "operator"),
        ("len", "call"),
        ("(", "operator"),
        ("url", "argument"),
        (")", "operator"),
        (")", "operator"),
    ]


@pytest.mark.parametrize(
    ("source", "text", "roles"),
    [
        ("x = 1\ndef f(x=x): x\nx", "x", "name argument name argument name"),
        ("def f(a):\n    def g(b): a + b\n    a", "a", "argument name argument"),
        ("lambda k: k + 1", "k", "argument argument"),
        ("def f(*args, **kw): args, kw", "args", "argument argument"),
        ("def f(fn): fn(1)", "fn", "argument argument"),
        ("a.b.c(d).e", "b", "attribute"),
        ("a.b.c(d).e", "c", "method"),
        ("a.b.c(d).e", "e", "attribute"),
        ("(a\n .go)(1)", "go", "method"),
        ("from os import (path as p,\n  sep)\nsep", "p", "module"),
        ("from os import (path as p,\n  sep)\nsep", "sep", "module name"),
        ("import os; os", "os", "module name"),
        ("from . import util", "util", "module"),
        ("class A(B): pass", "A", "class"),
        ("class A(B): pass", "B", "name"),
        ("@deco\ndef f(): pass", "deco", "name"),
        ("async def f(): await g()", "g", "call"),
        ("try: pass\nexcept E as err: pass", "err", "name"),
        ("f(**{'x': 1}, x=2)", "x", "option"),
        ("é = f(x=1)", "f", "call"),  # é has two bytes and is one character
        ("s = 'ü'; t = f(x=1)", "x", "option"),
        ("a = 1\n\x0c\nb = f(2)", "f", "call"),  # a form feed ends no line
        ("match x:\n  case 1: pass", "match", "keyword"),
        ("match x:\n  case 1: pass", "case", "keyword"),
        ("match = re.match(x)", "match", "name method"),
        ("match(1)", "match", "call"),
        ("x = type(y)", "type", "call"),
        ("class C:\n    type = 1", "type", "name"),
        ("print(None, True)", "None", "keyword"),
        ("x = 1_000.5e3", "1_000.5e3", "number"),
        ("def f(a: int = 3) -> int: pass", "int", "name name"),
    ],
)
def test_roles(source, text, roles):
    assert roles_of(source, text) == roles.split()


def test_an_f_string_is_one_word_with_all_it_holds():
    source = "x = f'{y!r:>{w}} {f(z)}' + rf'''a\n{b}''' + g(1)\n"
    words = python_words(source)
    texts = [w.text for w in words if w.role == "string"]
    assert texts == ["f'{y!r:>{w}} {f(z)}'", "rf'''a\n{b}'''"]
    assert roles_of(source, "y", "z", "b") == []
    assert roles_of(source, "g") == ["call"]


SOURCE = '''"""A module."""
import os

class A:
    x = 1

    @property
    def one(self):
        def inner(): return 1
        return self.x

    def two(self): return 2

y = A()
'''


def test_blocks_begin_where_functions_and_classes_do():
    blocks = python_blocks(SOURCE, max_words=100)
    firsts = [block[0].text for block in blocks]
    assert firsts == ['"""A module."""', "class", "@", "def", "y"]
    assert "inner" in [w.text for w in blocks[2]]
    together = [w for block in blocks for w in block]
    assert together == python_words(SOURCE)
    cut = python_blocks(SOURCE, max_words=5)
    assert [len(block) for block in cut] == [3, 5, 5, 5, 5]
    assert [b[:5] for b in blocks] == cut


def test_a_block_stands_once_and_broken_files_are_left_out():
    seen = set()
    first = label_files([SOURCE, "def broken(:", SOURCE], 50, seen)
    assert len(first.words) == 4  # not the first block, which has three words
    assert first.words[1][:4] == ["@", "property", "def", "one"]
    assert label_files([SOURCE], 50, seen).words == []
    names = [ROLES[i] for i in first.labels[1][:4]]
    assert names == ["operator", "name", "keyword", "function"]


def test_the_standard_library_is_split_by_file():
    splits = python_token_labels(3, 2, 2)
    keys = [{tuple(words) for words in side.words} for side in splits]
    assert all(keys)
    assert not (keys[0] & keys[1] or keys[0] & keys[2] or keys[1] & keys[2])
    for side in splits:
        assert side.names == ROLES
        for words, labels in zip(side.words, side.labels, strict=True):
            assert 4 <= len(words) == len(labels) <= 64
            assert all(words)
    used = {i for labels in splits.train.labels for i in labels}
    assert len(used) > 10
    more = python_token_labels(1, 1, 2)  # the test side does not depend on the others
    assert more.test == splits.test
    assert more.train.words == splits.train.words[: len(more.train.words)]


def test_the_side_of_a_file_never_changes():
    assert [side_of(path) for path in ("ast.py", "json/decoder.py", "turtle.py")] == [
        "train",
        "train",
        "test",
    ]
    sides = [side_of(f"{i}.py") for i in range(1000)]
    assert [round(sides.count(s) / 100) for s in ("train", "validation", "test")] == [
        8,
        1,
        1,
    ]


def wordpiece():
    pieces = ["def", "fetch", "ur", "##l", "(", "self"]
    return WordPieceTokenizer([*SPECIAL, *pieces])


def test_the_label_stands_at_the_first_piece():
    tokenizer = wordpiece()
    pieces = word_pieces(tokenizer, ["def", "url", "\x00", "zzz", "((("])
    assert pieces == [[5], [7, 8], [1], [1], [9, 9, 9]]
    ids, targets = label_first_pieces(pieces, [0, 1, 2, 3, 4])
    assert ids == [5, 7, 8, 1, 1, 9, 9, 9]
    assert targets == [0, 1, IGNORE_INDEX, 2, 3, 4, IGNORE_INDEX, IGNORE_INDEX]
    assert word_pieces(tokenizer, ["((("], max_pieces=2) == [[9, 9]]


def test_byte_level_bpe_puts_the_space_into_the_first_piece():
    tokenizer = ByteBPETokenizer.train("url url url def def def", 268)
    pieces = word_pieces(tokenizer, ["url", "def", "urx"])
    assert [tokenizer.decode(word) for word in pieces] == [" url", " def", " urx"]
    assert len(pieces[0]) == 1 < len(pieces[2])


def test_a_batch_says_the_same_as_its_words():
    tokenizer = wordpiece()
    data = TokenLabels(
        [["def", "url"], ["self"], ["def", "fetch", "(", "url", "("]],
        [[0, 2], [2], [0, 1, 3, 2, 3]],
        ("keyword", "function", "argument", "operator"),
    )
    batch = token_label_batch(tokenizer, data, [0, 2])
    n = IGNORE_INDEX
    assert batch.ids.tolist() == [[2, 5, 7, 8, 3, 0, 0, 0], [2, 5, 6, 9, 7, 8, 9, 3]]
    assert batch.targets.tolist() == [
        [n, 0, 2, n, n, n, n, n],
        [n, 0, 1, 3, 2, n, 3, n],
    ]
    assert batch.mask.sum(1).tolist() == [5, 8]
    for row, labels in zip(
        batch.targets, (data.labels[0], data.labels[2]), strict=True
    ):
        assert row[row != n].tolist() == labels  # every word has one target
    cut = token_label_batch(tokenizer, data, [2], max_seq_len=5)
    assert cut.ids.tolist() == [[2, 5, 6, 9, 3]]
    assert cut.targets.tolist() == [[n, 0, 1, 3, n]]
    assert data.rows([1]).words == [["self"]]


def test_a_byte_level_batch_has_no_special_tokens():
    tokenizer = ByteBPETokenizer.train("url def", 256)
    data = TokenLabels([["a"], ["b"]], [[0], [1]], ("x", "y"))
    batch = token_label_batch(tokenizer, data, [0, 1])
    assert batch.ids.tolist() == [[32, 97], [32, 98]]
    assert torch.equal(batch.targets, torch.tensor([[0, -100], [1, -100]]))


DATA = TokenLabels([["a"]], [[0]], ("x",))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: python_token_labels(0), ValueError, "n_train=0: must be None or"),
        (lambda: python_token_labels(1, 1, 1.5), ValueError, "n_test=1.5"),
        (lambda: python_token_labels(1, 1, 1, 3), ValueError, "max_words=3"),
        (lambda: label_first_pieces([[1]], [0, 1]), ValueError, "be 1, one a word"),
        (
            lambda: label_first_pieces([[1], []], [0, 1]),
            ValueError,
            r"pieces\[1\]=\[\]",
        ),
        (lambda: token_label_batch(wordpiece(), DATA, []), ValueError, r"rows=\[\]"),
        (lambda: token_label_batch(wordpiece(), DATA, [0], 2), ValueError, "max_seq_l"),
        (
            lambda: token_label_batch(CharTokenizer.train("a"), DATA, [0]),
            TypeError,
            "not CharTokenizer",
        ),
        (lambda: python_words("def f(:"), SyntaxError, "invalid syntax"),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="f-strings nest since 3.12")
def test_nested_f_strings_are_one_word():
    words = python_words("x = f'{f'{y}'}'\n")
    assert [w.text for w in words] == ["x", "=", "f'{f'{y}'}'"]
