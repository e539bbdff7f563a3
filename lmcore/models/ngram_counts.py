"""Counting n-grams: how often each run of n tokens stands in a text.

Idea: number the distinct n-grams of every length and let each point to the one it
extends. The 3-gram ``t h e`` is then a pair: the number of the 2-gram ``t h``, its
*context*, and the token ``e``. Packed into one integer,

    key = number of the context * vocab_size + token

and sorted, the keys of one length are a table that NumPy searches in one call for
millions of positions at once. Because they are sorted, all tokens that follow one
context lie side by side. Length k needs only the numbers of length k - 1, so a text is
counted in ``order`` sweeps. Seen from above the tables form a tree (a *trie*): the root
is the empty context, and each n-gram is a path of tokens away from it.

Documents: an n-gram never spans two documents, and nothing is padded. The first token
of a document is predicted from the empty context, the second from one token, and so on.
To let a model learn how documents begin, put a token that marks the beginning into the
ids yourself.
"""

import copy
from dataclasses import dataclass

import numpy as np

from lmcore.config import require

UNSEEN = -1
TABLE_SIZE = 2**25  # places in a counting table: 256 MiB per array of it


@dataclass(frozen=True)
class Level:
    """All distinct n-grams of one length k, in sorted order; N of them.

    Attributes:
        keys: (N,) context number * vocab_size + token, ascending.
        counts: (N,) how often each n-gram occurs.
        suffix: (N,) number of the n-gram of length k - 1 left when the first token is
            dropped. It is what a model backs off to.
    """

    keys: np.ndarray
    counts: np.ndarray
    suffix: np.ndarray

    def find(self, wanted: np.ndarray) -> np.ndarray:
        """The numbers of the n-grams with these keys, ``UNSEEN`` where there is none.

        Args:
            wanted: (T,) keys; a negative key is never found.

        Returns:
            (T,) positions in ``keys``, or -1.
        """
        if len(self.keys) == 0:  # no document is as long as this level's n-grams
            return np.full(len(wanted), UNSEEN)
        at = np.searchsorted(self.keys, wanted)
        at[at == len(self.keys)] = 0
        return np.where(self.keys[at] == wanted, at, UNSEEN)


def take(values: np.ndarray, numbers: np.ndarray, otherwise: float) -> np.ndarray:
    """``values[numbers]``, and ``otherwise`` where the number is ``UNSEEN``."""
    taken = np.full(len(numbers), otherwise, dtype=values.dtype)
    seen = numbers != UNSEEN
    taken[seen] = values[numbers[seen]]
    return taken


def as_ids(ids: object, vocab_size: int, argument: str = "ids") -> np.ndarray:
    """Check token ids and return them as one int64 array.

    Args:
        ids: A sequence of ints, ``bytes``, a NumPy array or a CPU tensor; 1-D.
        vocab_size: Every id has to be below it.
        argument: The name to use in a message.

    Returns:
        (T,) the ids.

    Raises:
        TypeError: If the ids are no integers.
        ValueError: If they are not 1-D, or one is outside the vocabulary.
    """
    if isinstance(ids, bytes | bytearray | memoryview):
        ids = np.frombuffer(ids, dtype=np.uint8)
    array = np.asarray(ids)
    if array.size == 0 and array.ndim == 1:
        return np.zeros(0, dtype=np.int64)
    if array.dtype.kind not in "iu":
        rule = "must be integers (encode text first)"
        raise TypeError(f"{argument} of type {array.dtype}: {rule}")
    require(array.ndim == 1, f"{argument}.shape", array.shape, "be one-dimensional")
    for value in (int(array.min()), int(array.max())):
        rule = f"be at least 0 and below vocab_size={vocab_size}"
        require(0 <= value < vocab_size, f"id in {argument}", value, rule)
    return array.astype(np.int64)


def as_documents(ids: object, vocab_size: int) -> list[np.ndarray]:
    """One document or a list of documents, as a list of int64 arrays.

    Raises:
        ValueError: If there is no token at all.
    """
    first = ids[0] if isinstance(ids, list | tuple) and ids else 0
    several = isinstance(first, bytes) or np.ndim(first) > 0
    documents = [as_ids(d, vocab_size) for d in (ids if several else [ids])]
    require(sum(map(len, documents)) > 0, "ids", "empty", "hold at least one token")
    return documents


def number_distinct(
    keys: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number the distinct keys in ascending order and count each.

    Keys below a bound that memory allows are counted in a table with a place for every
    key there could be: no sorting, so a short n-gram costs next to nothing. Others are
    sorted.

    Args:
        keys: (T,) integers from 0.
        size: All keys are below it.

    Returns:
        (N,) the distinct keys, (T,) the number of each key, (N,) counts.
    """
    if size > TABLE_SIZE:
        return np.unique(keys, return_inverse=True, return_counts=True)
    counts = np.bincount(keys, minlength=size)
    unique = np.flatnonzero(counts)
    numbers = np.zeros(size, dtype=np.int64)
    numbers[unique] = np.arange(len(unique))
    return unique, numbers[keys], counts[unique]


class NGramCounts:
    """The counts of every n-gram of a text up to length ``order``.

    Attributes:
        order: The longest n-gram counted.
        vocab_size: Number of different tokens, V.
        levels: ``levels[k - 1]`` holds the n-grams of length k.

    Example:
        >>> counts = NGramCounts(b"abab", order=2)
        >>> counts.count(b"ab"), counts.count(b"ba"), counts.count(b"aa")
        (2, 1, 0)
    """

    def __init__(self, ids: object, order: int, vocab_size: int = 256) -> None:
        """Count.

        Args:
            ids: One document (ints, ``bytes``, array or tensor), or a list of them.
            order: The longest n-gram to count, at least 1.
            vocab_size: Number of different tokens; 256 for bytes.

        Raises:
            ValueError: If a number is out of range or there is no token.
        """
        rule = "be an int of at least 1"
        require(type(order) is int and order >= 1, "order", order, rule)
        rule = "be an int from 1 to 2**31"
        usable = type(vocab_size) is int and 1 <= vocab_size <= 2**31
        require(usable, "vocab_size", vocab_size, rule)
        self.order = order
        self.vocab_size = vocab_size
        documents = as_documents(ids, vocab_size)
        tokens = np.concatenate(documents)
        # left[i] tokens remain in i's document: an n-gram that starts at i fits if
        # it is no longer than that.
        left = np.concatenate([np.arange(len(d), 0, -1) for d in documents])
        self.levels: list[Level] = []
        starts = np.arange(len(tokens))  # where the n-grams of this length start
        numbers = np.zeros(len(tokens) + 1, dtype=np.int64)  # all start at the root
        for k in range(1, order + 1):
            starts = starts[left[starts] >= k]
            keys = numbers[starts] * vocab_size + tokens[starts + k - 1]
            size = len(self.levels[-1].keys) * vocab_size if k > 1 else vocab_size
            unique, inverse, counts = number_distinct(keys, size)
            suffix = np.zeros(len(unique), dtype=np.int64)
            suffix[inverse] = numbers[starts + 1] if k > 1 else 0
            self.levels.append(Level(unique, counts, suffix))
            numbers[starts] = inverse

    def up_to(self, order: int) -> "NGramCounts":
        """The same counts without the n-grams longer than ``order`` (no copy)."""
        rule = f"be an int from 1 to {self.order}, the order counted"
        require(type(order) is int and 1 <= order <= self.order, "order", order, rule)
        shorter = copy.copy(self)
        shorter.order, shorter.levels = order, self.levels[:order]
        return shorter

    def contexts(self, k: int) -> np.ndarray:
        """(N,) for each n-gram of length k, the number of its context, its parent."""
        return self.levels[k - 1].keys // self.vocab_size

    def n_contexts(self, k: int) -> int:
        """How many contexts n-grams of length k can have (1, the root, if k = 1)."""
        return 1 if k == 1 else len(self.levels[k - 2].keys)

    def sum_by_context(self, k: int, values: np.ndarray) -> np.ndarray:
        """Add up values of the n-grams of length k that share a context.

        With the counts as values it gives c(h •), how often anything follows h.

        Args:
            k: Length of the n-grams.
            values: (N,) one value for each.

        Returns:
            (n_contexts(k),) the sums, float64.
        """
        return np.bincount(
            self.contexts(k), weights=values, minlength=self.n_contexts(k)
        )

    def n_left_neighbours(self, k: int) -> np.ndarray:
        """N1+(• g): after how many different tokens each n-gram g of length k stood.

        Returns:
            (N,) counts, for k below ``order``.
        """
        n = len(self.levels[k - 1].keys)
        return np.bincount(self.levels[k].suffix, minlength=n)

    def find(self, ids: np.ndarray) -> int:
        """The number of one n-gram among those of its length, or -1.

        The empty n-gram is the root, number 0.
        """
        number = 0
        for level, token in zip(self.levels, ids, strict=False):
            number = int(level.find(np.array([number * self.vocab_size + token]))[0])
            if number == UNSEEN:
                break
        return number

    def find_all(self, ids: np.ndarray) -> list[np.ndarray]:
        """Look up every n-gram of a text.

        Args:
            ids: (T,) checked ids of one document.

        Returns:
            ``order + 1`` arrays. Array k is (T - k + 1,): at i the number of the n-gram
            of length k that starts at i, or -1. Array 0 is (T + 1,), all root.
        """
        found = [np.zeros(len(ids) + 1, dtype=np.int64)]
        for k, level in enumerate(self.levels[: len(ids)], start=1):
            contexts = found[-1][:-1]
            keys = contexts * self.vocab_size + ids[k - 1 :]
            found.append(level.find(np.where(contexts == UNSEEN, UNSEEN, keys)))
        return found

    def followers(self, k: int, context: int) -> slice:
        """Where in level k the n-grams with this context number stand: side by side."""
        ends = np.array([context, context + 1]) * self.vocab_size
        first, last = np.searchsorted(self.levels[k - 1].keys, ends)
        return slice(int(first), int(last))

    def count(self, ids: object) -> int:
        """How often this n-gram occurs (0 if never)."""
        array = as_ids(ids, self.vocab_size)
        rule = f"have a length from 1 to order={self.order}"
        require(1 <= len(array) <= self.order, "len(ids)", len(array), rule)
        number = self.find(array)
        if number == UNSEEN:
            return 0
        return int(self.levels[len(array) - 1].counts[number])
