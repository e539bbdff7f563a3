"""Applying learned merges to one word.

The rule: as long as two neighbours can be merged, merge the pair that was learned
first (the lowest rank); where it occurs more than once, the leftmost. The two functions
below follow this rule in different ways and give the same tokens. ``merge_short`` looks
through the whole word after each merge: quick for a word of ten bytes, but a million
times "a" would take it a million looks at a million pairs. ``merge_long`` keeps the
pairs in a heap and the tokens in a linked list: n log n.
"""

import heapq
from itertools import pairwise

Pair = tuple[int, int]
LONG = 256  # tokens; from here on the heap is the faster of the two (measured)


def merge_word(ids: list[int], ranks: dict[Pair, int], merged: list[int]) -> list[int]:
    """Merge a word's tokens as far as they go.

    Args:
        ids: The word, one token per byte.
        ranks: For each pair that can be merged, when it was learned: 0 is the first.
        merged: For each rank, the id of the token that the merge makes.

    Returns:
        The ids that are left.
    """
    merge = merge_short if len(ids) < LONG else merge_long
    return merge(ids, ranks, merged)


def merge_short(ids: list[int], ranks: dict[Pair, int], merged: list[int]) -> list[int]:
    """Look for the lowest rank, merge there, look again."""
    ids = list(ids)
    never = len(merged)
    rank_at = [ranks.get(pair, never) for pair in pairwise(ids)]
    while rank_at:
        rank = min(rank_at)
        if rank == never:
            break
        i = rank_at.index(rank)  # the leftmost
        ids[i : i + 2] = [merged[rank]]
        del rank_at[i]
        if i > 0:
            rank_at[i - 1] = ranks.get((ids[i - 1], ids[i]), never)
        if i < len(rank_at):
            rank_at[i] = ranks.get((ids[i], ids[i + 1]), never)
    return ids


def merge_long(ids: list[int], ranks: dict[Pair, int], merged: list[int]) -> list[int]:
    """Take the lowest (rank, position) from a heap; skip what is out of date."""
    ids = [*ids, -1]  # -1 pairs with nothing: it ends the list and marks used places
    following = list(range(1, len(ids) + 1))
    previous = list(range(-1, len(ids) - 1))
    heap = [(ranks[pair], i) for i, pair in enumerate(pairwise(ids)) if pair in ranks]
    heapq.heapify(heap)
    while heap:
        rank, i = heapq.heappop(heap)
        j = following[i]
        if ids[i] == -1 or ranks.get((ids[i], ids[j])) != rank:
            continue  # a merge next to it came first
        ids[i], ids[j] = merged[rank], -1
        following[i] = following[j]
        previous[following[i]] = i
        for left in (previous[i], i):
            if left >= 0:
                pair = ids[left], ids[following[left]]
                if pair in ranks:
                    heapq.heappush(heap, (ranks[pair], left))
    return [token for token in ids if token != -1]
