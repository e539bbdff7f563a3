"""A label for each word: data from Python's standard library, and how to batch it.

The words and labels are those of ``python_roles``. A split by lines would put half of a
file into training and ask for the other half, whose names are the same; so whole files
are split, by a hash of their path, and a block that stands in several files is kept in
one.

A model reads pieces, not words. The label of a word stands at its first piece; at its
other pieces, and at special tokens, stands IGNORE_INDEX, so that neither the loss nor a
score counts a word twice:

    word      fetch     (        url                def
    pieces    fetch     (        ur      ##l        def
    targets   function  operator argument -100      keyword

Reference: Devlin et al., 2019, section 5.3 (the first piece stands for the word).
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lmcore.config import require
from lmcore.data.corpora import python_stdlib
from lmcore.data.python_roles import ROLES, python_blocks
from lmcore.losses import IGNORE_INDEX
from lmcore.tokenizers import ByteBPETokenizer, Tokenizer, WordPieceTokenizer

MIN_WORDS = 4  # shorter blocks, such as a lone comment, are left out
MAX_PIECES = 6  # of one word: a docstring would fill the whole sequence


class TokenLabels(NamedTuple):
    """Sequences of words with one label number each.

    Attributes:
        words: N sequences.
        labels: As many, each as long as its words.
        names: What the C labels are called.
    """

    words: list[list[str]]
    labels: list[list[int]]
    names: tuple[str, ...]

    def rows(self, index: Sequence[int]) -> "TokenLabels":
        """These sequences, in this order."""
        words = [self.words[i] for i in index]
        return TokenLabels(words, [self.labels[i] for i in index], self.names)


class TokenLabelSplits(NamedTuple):
    """Three sets that share no file and no sequence."""

    train: TokenLabels
    validation: TokenLabels
    test: TokenLabels


class TokenLabelBatch(NamedTuple):
    """Sequences as tensors, padded on the right to the longest.

    Attributes:
        ids: Pieces.
        mask: True where there is a piece.
        targets: The label at a word's first piece, else IGNORE_INDEX.
    """

    ids: Int[Tensor, "B T"]
    mask: Bool[Tensor, "B T"]
    targets: Int[Tensor, "B T"]


def python_token_labels(
    n_train: int | None = None,
    n_validation: int | None = None,
    n_test: int | None = None,
    max_words: int = 64,
) -> TokenLabelSplits:
    """Blocks of the standard library's source, each word with its role.

    Of all files about 80 % are for training, 10 % for validation and 10 % for testing.
    Within each side they are in the order of their hashes, so that the first 20 are a
    fair sample of the side. Reading all takes about half a minute.

    Args:
        n_train: How many files of the training side to read; all if not given.
        n_validation: Likewise.
        n_test: Likewise.
        max_words: Longest block; see ``python_blocks``.

    Raises:
        ValueError: If a number is below 1.
    """
    wanted = {"test": n_test, "validation": n_validation, "train": n_train}
    for side, n in wanted.items():
        usable = n is None or (type(n) is int and n >= 1)
        require(usable, f"n_{side}", n, "be None or an int of at least 1")
    usable = type(max_words) is int and max_words >= MIN_WORDS
    require(usable, "max_words", max_words, f"be an int of at least {MIN_WORDS}")
    files = python_stdlib().parts
    paths: dict[str, list[str]] = {side: [] for side in wanted}
    for path in sorted(files, key=path_hash):
        paths[side_of(path)].append(path)
    seen: set[tuple[str, ...]] = set()  # the test side comes first and keeps a block
    sides = {}
    for side, n in wanted.items():
        texts = [files[path] for path in paths[side][:n]]
        sides[side] = label_files(texts, max_words, seen)
    return TokenLabelSplits(**sides)


def label_files(
    texts: Sequence[str], max_words: int, seen: set[tuple[str, ...]]
) -> TokenLabels:
    """The blocks of some files, without those in ``seen``, which takes up the new.

    A file that this Python cannot parse is left out (lib2to3 has one).
    """
    number = {role: i for i, role in enumerate(ROLES)}
    words, labels = [], []
    for text in texts:
        try:
            blocks = python_blocks(text, max_words)
        except SyntaxError:
            continue
        for block in blocks:
            key = tuple(word.text for word in block)
            if len(block) >= MIN_WORDS and key not in seen:
                seen.add(key)
                words.append(list(key))
                labels.append([number[word.role] for word in block])
    return TokenLabels(words, labels, ROLES)


def path_hash(path: str) -> int:
    """A number that the path alone decides."""
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "big")


def side_of(path: str) -> str:
    """On which side of the split a file stands, for ever."""
    number = path_hash(path) % 100
    return "test" if number < 10 else "validation" if number < 20 else "train"


def word_pieces(
    tokenizer: Tokenizer, words: Sequence[str], max_pieces: int = MAX_PIECES
) -> list[list[int]]:
    """The first ``max_pieces`` pieces of each word, at least one.

    Byte-level BPE writes the space before a word into its first piece, so each word is
    encoded with one. A word of which WordPiece leaves nothing becomes ``[UNK]``.

    Args:
        tokenizer: WordPiece or byte-level BPE.
        words: Any texts that are not empty.
        max_pieces: The rest of a longer word is left out.

    Raises:
        TypeError: If the tokenizer is another.
    """
    if isinstance(tokenizer, WordPieceTokenizer):
        unknown = [tokenizer.vocab["[UNK]"]]
        return [(tokenizer.encode(word) or unknown)[:max_pieces] for word in words]
    if isinstance(tokenizer, ByteBPETokenizer):
        return [tokenizer.encode(" " + word)[:max_pieces] for word in words]
    kind = type(tokenizer).__name__
    raise TypeError(f"tokenizer: must be WordPiece or byte-level BPE, not {kind}")


def label_first_pieces(
    pieces: Sequence[Sequence[int]], labels: Sequence[int]
) -> tuple[list[int], list[int]]:
    """One row of ids, and its targets: the label, then IGNORE_INDEX, word by word.

    Args:
        pieces: For each word its pieces, at least one.
        labels: For each word its label.

    Raises:
        ValueError: If their numbers differ or a word has no piece.

    Example:
        >>> label_first_pieces([[7], [8, 9], [4]], [0, 1, 2])
        ([7, 8, 9, 4], [0, 1, -100, 2])
    """
    n = len(pieces)
    require(len(labels) == n, "len(labels)", len(labels), f"be {n}, one a word")
    ids: list[int] = []
    targets: list[int] = []
    for index, (word, label) in enumerate(zip(pieces, labels, strict=True)):
        require(len(word) > 0, f"pieces[{index}]", word, "hold a piece")
        ids += word
        targets += [label] + [IGNORE_INDEX] * (len(word) - 1)
    return ids, targets


def token_label_batch(
    tokenizer: Tokenizer,
    data: TokenLabels,
    rows: Sequence[int],
    max_seq_len: int = 128,
) -> TokenLabelBatch:
    """Some sequences as a padded batch; WordPiece's get ``[CLS]`` and ``[SEP]``.

    What goes beyond ``max_seq_len`` is cut off, with its labels.

    Args:
        tokenizer: WordPiece or byte-level BPE.
        data: Words and labels.
        rows: Which of the sequences.
        max_seq_len: Longest row, special tokens included.

    Raises:
        ValueError: If there is no row, or ``max_seq_len`` is below 3.
        TypeError: As ``word_pieces``.
    """
    require(len(rows) > 0, "rows", rows, "hold at least one number")
    require(max_seq_len >= 3, "max_seq_len", max_seq_len, "be at least 3")
    before: list[int] = []
    after: list[int] = []
    if isinstance(tokenizer, WordPieceTokenizer):
        before, after = [tokenizer.vocab["[CLS]"]], [tokenizer.vocab["[SEP]"]]
    room = max_seq_len - len(before) - len(after)
    filled = []
    for row in rows:
        pieces = word_pieces(tokenizer, data.words[row])
        ids, targets = label_first_pieces(pieces, data.labels[row])
        filled.append(
            (
                [*before, *ids[:room], *after],
                [IGNORE_INDEX] * len(before)
                + targets[:room]
                + [IGNORE_INDEX] * len(after),
            )
        )
    length = max(len(ids) for ids, _ in filled)
    shape = (len(filled), length)
    batch = TokenLabelBatch(
        torch.zeros(shape, dtype=torch.long),
        torch.zeros(shape, dtype=torch.bool),
        torch.full(shape, IGNORE_INDEX),
    )
    for i, (ids, targets) in enumerate(filled):
        batch.ids[i, : len(ids)] = torch.tensor(ids)
        batch.mask[i, : len(ids)] = True
        batch.targets[i, : len(ids)] = torch.tensor(targets)
    return batch
