"""Windows: the words around a position, and words drawn against them.

Idea: a word is known by its neighbours ("You shall know a word by the company it
keeps", Firth, 1957). word2vec and FastText learn from many small cases of the form

    contexts   words within reach of a position: all of them in CBOW, one in skip-gram
               (so a position makes as many cases as it has neighbours); the reach is
               drawn anew from 1 to ``window``, so that near neighbours count more
    targets    the word that stands there, then K *negatives*: words drawn at random,
               p(word) proportional to count^0.75, which lifts rare words a little

The order of the cases is random. That matters in skip-gram: the neighbours of one
position say nearly the same, and in one batch they would all be answered at once, in
full, where one after another each would find less left to correct.

Before a pass each occurrence of a word of relative frequency f stays with probability

    min(1, √(t/f) + t/f)

so that "the" leaves room for others. The paper gives √(t/f); the program its authors
published adds t/f, and so do we. At t = 1e-3, one "the" in five stays if f = 1/30.

Reference: Mikolov et al. (2013b), sections 2.2 and 2.3.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcore.config import require
from lmcore.models.word_corpus import WordStream

POSITIONS_AT_A_TIME = 50_000  # whose pairs are shuffled together; bounds the memory


@dataclass(frozen=True)
class WindowBatch:
    """P cases that a step learns from.

    Attributes:
        contexts: (P, C) the words around; C = 1 in skip-gram.
        present: (P, C) True where there is one.
        targets: (P, 1 + K) the word that stands there, then the negatives.
    """

    contexts: Int[Tensor, "P C"]
    present: Bool[Tensor, "P C"]
    targets: Int[Tensor, "P K"]

    def to(self, device: torch.device) -> "WindowBatch":
        """The same on another device."""
        moved = (t.to(device) for t in (self.contexts, self.present, self.targets))
        return WindowBatch(*moved)


def window_batches(
    stream: WordStream,
    counts: Sequence[int],
    *,
    pairs: bool,
    window: int,
    n_negatives: int,
    subsample: float,
    batch_size: int,
    generator: torch.Generator,
) -> Iterator[tuple[WindowBatch, float]]:
    """One pass over a text in random order, newly subsampled.

    Args:
        stream: The corpus, on the CPU.
        counts: Occurrences of each word of the vocabulary.
        pairs: One neighbour a case (skip-gram) instead of all (CBOW).
        window: The furthest neighbour, in words.
        n_negatives: K.
        subsample: t; 0 keeps every word.
        batch_size: P; some batches may be smaller.
        generator: Of everything drawn here.

    Yields:
        A batch, and the share of the pass that was done before it.
    """
    keep = torch.from_numpy(keep_probabilities(counts, subsample))
    table = torch.from_numpy(noise_table(counts))
    survives = torch.rand(len(stream), generator=generator) < keep[stream.ids]
    text = stream.keep(survives)
    done = 0
    for positions in torch.randperm(len(text), generator=generator).split(
        POSITIONS_AT_A_TIME
    ):
        reach = torch.randint(1, window + 1, positions.shape, generator=generator)
        contexts, present = context_ids(text, positions, reach)  # (N, C)
        words = text.ids[positions]  # (N,)
        if pairs:
            rows, columns = present.nonzero(as_tuple=True)
            order = torch.randperm(len(rows), generator=generator)
            rows, columns = rows[order], columns[order]
            contexts = contexts[rows, columns].unsqueeze(1)  # (N, 1)
            present = torch.ones_like(contexts, dtype=torch.bool)
            words = words[rows]
        negatives = draw_negatives(table, len(words), n_negatives, generator)
        targets = torch.cat([words.unsqueeze(1), negatives], dim=1)  # (N, 1 + K)
        for start in range(0, len(words), batch_size):
            cut = slice(start, start + batch_size)
            share = (done + len(positions) * start / len(words)) / len(text)
            yield WindowBatch(contexts[cut], present[cut], targets[cut]), share
        done += len(positions)


def noise_table(counts: Sequence[int]) -> Int[np.ndarray, "M"]:
    """Word numbers, each as often as its share of p(k) proportional to count^0.75.

    A word drawn from a random place of the table is a word drawn from p. The table has
    M = 2^20 places (more for a large vocabulary), so that p is exact to one in M.
    """
    weights = np.asarray(counts, dtype=np.float64) ** 0.75
    size = max(2**20, 64 * len(weights))
    up_to = np.cumsum(weights) / weights.sum() * size  # where each word's places end
    numbers = np.searchsorted(up_to, np.arange(size) + 0.5)
    return np.minimum(numbers, len(weights) - 1).astype(np.int32)


def draw_negatives(
    table: Int[Tensor, "M"], n: int, k: int, generator: torch.Generator
) -> Int[Tensor, "n k"]:
    """Draw n times k words from the table."""
    return table[torch.randint(len(table), (n, k), generator=generator)].long()


def keep_probabilities(
    counts: Sequence[int], threshold: float
) -> Float[np.ndarray, "V"]:
    """How likely an occurrence of each word survives subsampling.

    Args:
        counts: Occurrences of each word.
        threshold: t, a relative frequency such as 1e-3; 0 keeps everything.
    """
    require(threshold >= 0, "threshold", threshold, "be >= 0")
    if threshold == 0:
        return np.ones(len(counts))
    ratio = threshold * sum(counts) / np.asarray(counts, dtype=np.float64)  # t / f
    return np.minimum(1.0, np.sqrt(ratio) + ratio)


def context_ids(
    stream: WordStream, positions: Int[Tensor, "P"], reach: Int[Tensor, "P"]
) -> tuple[Int[Tensor, "P C"], Bool[Tensor, "P C"]]:
    """The words around some positions, C = 2 * the largest reach.

    Args:
        stream: The corpus.
        positions: Where to look.
        reach: How far to look on both sides, for each position.

    Returns:
        The words' numbers, and True where there is a word: inside the corpus, in the
        same sentence and within reach (elsewhere the number means nothing).
    """
    furthest = int(reach.max())
    offsets = torch.arange(-furthest, furthest + 1, device=positions.device)
    offsets = offsets[offsets != 0]  # (C,)
    places = positions.unsqueeze(1) + offsets  # (P, C)
    inside = (places >= 0) & (places < len(stream))
    places = places.clamp(0, len(stream) - 1)
    same = stream.sentences[places] == stream.sentences[positions].unsqueeze(1)
    near = offsets.abs() <= reach.unsqueeze(1)
    return stream.ids[places], inside & same & near
