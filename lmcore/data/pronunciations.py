"""The CMU pronouncing dictionary: how 126,052 English words are spoken.

    spelling       p   h   o   n   e
    phonemes       F   OW1     N

A model reads letters and writes phonemes. Neither side gives the other's length, and a
letter's sound depends on its neighbours: a small task of translation.

    splits = pronunciation_splits()
    pairs = SpellingPairs(splits.train)
    batch = pairs.batch(step=0, batch_size=64, seed=0)

The words are those of the dictionary, in small letters. 8,559 of them hold an
apostrophe, a hyphen or a dot (o'clock, zig-zag, a.m.); these three are symbols like the
letters, and no word is left out. A vowel carries a digit: 1 main stress, 2 secondary
stress, 0 none. ``stress=False`` drops the digits and leaves 39 phonemes of 69 symbols;
published error rates for this dictionary are mostly without stress.

Reference: the Carnegie Mellon Pronouncing Dictionary (BSD-style licence).
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from lmcore.assets import fetch
from lmcore.config import require
from lmcore.data.batches import epoch_order
from lmcore.losses import IGNORE_INDEX

LETTERS = ("'", "-", ".", *"abcdefghijklmnopqrstuvwxyz")
VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
PAD, START, END = 0, 1, 2  # ids, in every vocabulary below
BATCHES_PER_POOL = 50

Pronunciation = tuple[str, ...]
Dictionary = dict[str, tuple[Pronunciation, ...]]


class PronunciationSplits(NamedTuple):
    """Three dictionaries that share no word."""

    train: Dictionary
    validation: Dictionary
    test: Dictionary


class SpellingBatch(NamedTuple):
    """One batch for an encoder-decoder, padded on the right.

    Attributes:
        source_ids: Letters.
        source_lengths: Letters of each word.
        ids: START and the phonemes: what the decoder reads.
        targets: The phonemes and END: what it should say; -100 at padding.
    """

    source_ids: Int[Tensor, "B S"]
    source_lengths: Int[Tensor, "B"]
    ids: Int[Tensor, "B T"]
    targets: Int[Tensor, "B T"]


class Symbols:
    """Names and numbers of letters or phonemes; 0, 1, 2 are padding, start and end."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = ("<pad>", "<start>", "<end>", *names)
        self.ids = {name: index for index, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, symbols: Iterable[str]) -> list[int]:
        """Their ids, without start and end.

        Raises:
            ValueError: If a symbol is unknown.
        """
        ids = []
        for symbol in symbols:
            if symbol not in self.ids:
                known = " ".join(self.names[3:])
                raise ValueError(f"symbol={symbol!r}: must be one of {known}")
            ids.append(self.ids[symbol])
        return ids

    def decode(self, ids: Iterable[int]) -> Pronunciation:
        """The names up to the first END; padding and START are left out."""
        names = []
        for index in map(int, ids):
            if index == END:
                break
            if index not in (PAD, START):
                names.append(self.names[index])
        return tuple(names)


def letter_symbols() -> Symbols:
    """The 26 letters, apostrophe, hyphen and dot: 32 ids."""
    return Symbols(LETTERS)


def phoneme_symbols(stress: bool = True) -> Symbols:
    """39 phonemes (42 ids), or 69 with the vowels' three degrees of stress (72 ids)."""
    digits = "012" if stress else ("",)
    vowels = [vowel + digit for vowel in VOWELS.split() for digit in digits]
    return Symbols([*vowels, *CONSONANTS.split()])


def drop_stress(phonemes: Iterable[str]) -> Pronunciation:
    """("F", "OW1", "N") becomes ("F", "OW", "N")."""
    return tuple(phoneme.rstrip("012") for phoneme in phonemes)


def read_cmudict(text: str, stress: bool = True) -> Dictionary:
    """The dictionary's text as words with all their pronunciations.

    A line is ``word PH ON EMES # comment``; the second pronunciation of a word stands
    under ``word(2)``. Pronunciations that are alike become one; without stress, those
    are more.

    Args:
        text: The file's content.
        stress: Whether vowels keep their digit.
    """
    dictionary: dict[str, list[Pronunciation]] = {}
    for line in text.splitlines():
        entry, *phonemes = line.split("#")[0].split()
        word = re.sub(r"\(\d+\)$", "", entry)
        spoken = tuple(phonemes) if stress else drop_stress(phonemes)
        variants = dictionary.setdefault(word, [])
        if spoken not in variants:
            variants.append(spoken)
    return {word: tuple(variants) for word, variants in dictionary.items()}


def split_name(word: str) -> str:
    """In which split a word stands: decided by a hash of the word, for ever.

    A word's possessive (king's, kings') goes where the word goes. Other relatives, such
    as king and kingly, may part: a held-out word is new, its parts need not be.
    """
    stem = word.removesuffix("'s").removesuffix("'") or word
    number = int.from_bytes(hashlib.sha256(stem.encode()).digest()[:4], "big") % 100
    return "test" if number < 5 else "validation" if number < 10 else "train"


def pronunciation_splits(stress: bool = True) -> PronunciationSplits:
    """The dictionary in three: about 90 % of the words to train, 5 % and 5 % held out.

    Args:
        stress: Whether vowels keep their digit; the split does not depend on it.

    Raises:
        AssetError: If the asset can be had from nowhere.
    """
    text = fetch("cmudict").read_text(encoding="utf-8")
    splits = PronunciationSplits({}, {}, {})
    for word, variants in read_cmudict(text, stress).items():
        getattr(splits, split_name(word))[word] = variants
    return splits


class SpellingPairs:
    """Words and pronunciations as padded ids; a word with two has two rows.

    Every word stands with every one of its pronunciations, in the dictionary's order.

    Args:
        dictionary: Words and pronunciations.
        stress: Whether the pronunciations carry digits (and the ids know them).

    Attributes:
        source_ids: Letters (N, S).
        source_lengths: Letters of each word (N,).
        target_ids: START, phonemes, END (N, T + 1).
        target_lengths: Phonemes and END (N,).
    """

    def __init__(self, dictionary: Dictionary, stress: bool = True) -> None:
        letters, phonemes = letter_symbols(), phoneme_symbols(stress)
        sources, targets = [], []
        for word, variants in dictionary.items():
            for spoken in variants:
                sources.append(letters.encode(word))
                targets.append([START, *phonemes.encode(spoken), END])
        self.source_ids, self.source_lengths = padded(sources)
        self.target_ids, lengths = padded(targets)
        self.target_lengths = lengths - 1
        self._epoch: tuple[tuple[int, int, int], np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.source_ids)

    def batch(self, step: int, *, batch_size: int, seed: int) -> SpellingBatch:
        """Batch number ``step`` of an endless row: a function of (seed, step) alone.

        Words of similar length share a batch, so that little is computed on padding:
        an epoch is a random order, cut into pools of 50 batches; each pool is sorted by
        length, and the batches come in random order. A rest too small for a batch is
        left out of the epoch.

        Args:
            step: Counted from 0.
            batch_size: Pairs in a batch.
            seed: Decides every order.

        Raises:
            ValueError: If there are fewer pairs than ``batch_size``.
        """
        rule = f"be from 1 to {len(self)}, the pairs"
        require(1 <= batch_size <= len(self), "batch_size", batch_size, rule)
        epoch, index = divmod(step, len(self) // batch_size)
        key = (batch_size, seed, epoch)
        if self._epoch is None or self._epoch[0] != key:  # sorting takes some ms
            lengths = (self.source_lengths + self.target_lengths).numpy()
            self._epoch = key, bucketed_order(lengths, batch_size, seed, epoch)
        return self.rows(torch.from_numpy(self._epoch[1][index]))

    def rows(self, rows: Int[Tensor, "B"]) -> SpellingBatch:
        """Chosen pairs as a batch, cut to the longest of them."""
        source_lengths, n_targets = self.source_lengths[rows], self.target_lengths[rows]
        source_ids = self.source_ids[rows, : source_lengths.max()]
        both = self.target_ids[rows, : n_targets.max() + 1]
        targets = both[:, 1:].masked_fill(both[:, 1:] == PAD, IGNORE_INDEX)
        return SpellingBatch(source_ids, source_lengths, both[:, :-1], targets)


def bucketed_order(
    lengths: np.ndarray, batch_size: int, seed: int, epoch: int
) -> np.ndarray:
    """Which rows stand in which batch of an epoch, (batches, batch_size)."""
    order = epoch_order(len(lengths), seed, epoch)
    order = order[: len(order) // batch_size * batch_size]
    pool = BATCHES_PER_POOL * batch_size
    for start in range(0, len(order), pool):
        rows = order[start : start + pool]
        order[start : start + pool] = rows[np.argsort(lengths[rows], kind="stable")]
    batches = order.reshape(-1, batch_size)
    return batches[epoch_order(len(batches), seed, epoch)]


def padded(
    rows: Sequence[Sequence[int]],
) -> tuple[Int[Tensor, "N L"], Int[Tensor, "N"]]:
    """Rows of ids filled up with PAD to the longest, and their lengths."""
    lengths = np.array([len(row) for row in rows])
    ids = np.full((len(rows), lengths.max()), PAD)
    ids[np.arange(lengths.max()) < lengths[:, None]] = [i for row in rows for i in row]
    return torch.from_numpy(ids), torch.from_numpy(lengths)
