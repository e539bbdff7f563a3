"""Learning the merges of byte-pair encoding without recounting.

Training repeats one step: find the pair of neighbouring tokens that occurs most often
and replace it everywhere by a new token (Sennrich et al. 2016, section 3.2). Counting
all pairs again in each step reads the whole text thousands of times. Three facts make
that unnecessary:

1. Pairs never cross a word, so each distinct word is kept once, with its count.
2. A merge at one place changes at most two neighbouring pairs: in ``x a b y`` the
   pairs (x, a) and (b, y) go, (x, ab) and (ab, y) come. ``PairTable`` keeps the
   tokens as a linked list and the places of each pair, and visits only those.
3. A pair's count grows only in the step that makes one of its two tokens; after that
   it can only fall. So a heap entry is never too small: when the top one is out of
   date, it goes back with its true count.

Ties: among pairs with the same count the one with the smallest ids wins, left id
first. Training is therefore deterministic. (`tokenizers` uses the same rule.)
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence

from tqdm import tqdm

Pair = tuple[int, int]
GONE = -1  # stands at the borders of words and at places that a merge used up


class PairTable:
    """Words as one linked list of tokens, with the count and the places of each pair.

    Args:
        words: Each distinct word as its token ids, with the number of times it occurs.

    Attributes:
        counts: How often each pair stands in the text (overlaps count: "aaa" has two).
        token_counts: How often each token stands in the text.
        places: For each pair, the positions of its left token, in rising order. Some
            may be out of date; ``merge`` checks before it believes.
    """

    def __init__(self, words: Iterable[tuple[Sequence[int], int]]) -> None:
        self.tokens = [GONE]
        self.weights = [0]  # of each position: the count of its word
        for ids, count in words:
            self.tokens += ids
            self.tokens.append(GONE)
            self.weights += [count] * (len(ids) + 1)
        self.next = list(range(1, len(self.tokens) + 1))
        self.previous = list(range(-1, len(self.tokens) - 1))
        self.token_counts: dict[int, int] = defaultdict(int)
        for token, weight in zip(self.tokens, self.weights, strict=True):
            if token != GONE:
                self.token_counts[token] += weight
        self.counts: dict[Pair, int] = defaultdict(int)
        self.places: dict[Pair, list[int]] = defaultdict(list)
        for at, pair in enumerate(zip(self.tokens, self.tokens[1:], strict=False)):
            if GONE not in pair:
                self.counts[pair] += self.weights[at]
                self.places[pair].append(at)

    def merge(self, pair: Pair, new: int) -> set[Pair]:
        """Replace a pair by a new token everywhere, from left to right.

        Returns:
            The pairs that came into being; each has ``new`` in it.
        """
        tokens, following, previous = self.tokens, self.next, self.previous
        counts, places, weights = self.counts, self.places, self.weights
        left, right = pair
        created = set()
        merged = 0
        for at in places.pop(pair):
            after = following[at]
            if tokens[at] != left or tokens[after] != right:
                continue  # out of date: an earlier merge took one of the two
            before, beyond = previous[at], following[after]
            x, y, weight = tokens[before], tokens[beyond], weights[at]
            merged += weight
            tokens[at], tokens[after] = new, GONE
            following[at], previous[beyond] = beyond, at
            if x != GONE:
                counts[x, left] -= weight
                counts[x, new] += weight
                places[x, new].append(before)
                created.add((x, new))
            if y != GONE:
                counts[right, y] -= weight
                counts[new, y] += weight
                places[new, y].append(at)
                created.add((new, y))
        del counts[pair]
        self.token_counts[left] -= merged
        self.token_counts[right] -= merged
        self.token_counts[new] += merged
        return created


def train_merges(
    words: Iterable[tuple[Sequence[int], int]],
    n_merges: int,
    *,
    first_id: int,
    min_count: int = 2,
    progress: bool = False,
) -> list[Pair]:
    """Learn up to ``n_merges`` merges; the k-th one makes the token ``first_id + k``.

    Args:
        words: Each distinct word as its token ids, with the number of times it occurs.
        n_merges: How many to learn. There are fewer if the text runs out of pairs.
        first_id: Id of the first new token; above every id in ``words``.
        min_count: Stop when the best pair occurs less often than this.
        progress: Whether to show a progress bar (on stderr).

    Returns:
        The pairs in the order in which they were merged.

    Reference:
        Sennrich, Haddow and Birch 2016, "Neural machine translation of rare words
        with subword units", algorithm 1.
    """
    table = PairTable(words)
    heap = [(-count, pair) for pair, count in table.counts.items()]
    heapq.heapify(heap)
    merges: list[Pair] = []
    with tqdm(total=n_merges, desc="merges", disable=not progress) as bar:
        while heap and len(merges) < n_merges:
            negative, pair = heapq.heappop(heap)
            count = table.counts.get(pair, 0)
            if count < min_count:
                continue
            if count != -negative:
                heapq.heappush(heap, (-count, pair))
                continue
            created = table.merge(pair, first_id + len(merges))
            merges.append(pair)
            for fresh in created:
                heapq.heappush(heap, (-table.counts[fresh], fresh))
            bar.update()
    return merges
