"""Learning word pieces: merge the pair that makes the text most likely.

A word begins as its characters, all but the first marked: ``h ##u ##g ##s``. Each step
merges one pair of neighbours. Byte-pair encoding takes the most frequent pair. Schuster
and Nakajima (2012, section 4) take the one that "increases the likelihood on the
training data the most" if tokens are drawn one by one, each with its share of the text.
Google's trainer was never published; two readings of that sentence are here.

``score="gain"``: the log-likelihood of a text of N tokens is the sum over tokens t of
c(t) log(c(t) / N), which is F = sum of f(c(t)) - f(N) with f(x) = x log x. Merging n
pairs (a, b) takes n from c(a), from c(b) and from N, and makes a token with count n:

    gain = f(n) + f(c(a)-n) - f(c(a)) + f(c(b)-n) - f(c(b)) + f(N) - f(N-n)

(a pair of a token with itself is scored as if it were two tokens).

``score="ratio"``: what most texts on WordPiece give,

    ratio = n / (c(a) * c(b))

which is, but for a constant, how much more often a and b stand together than chance
would have it. It leaves n itself out, so it begins with the rarest characters.

Pairs below ``min_count`` are left alone. Ties: higher count first, then smaller ids.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import log
from typing import Literal

from tqdm import tqdm

from lmcore.config import require
from lmcore.tokenizers.bpe_train import Pair, PairTable


def f(x: int) -> float:
    """``x log x``, and 0 for 0."""
    return x * log(x) if x else 0.0


def likelihood_gain(n: int, left: int, right: int, total: int) -> float:
    """Increase of the log-likelihood (nats) if ``n`` pairs become one token each.

    Args:
        n: Count of the pair.
        left: Count of its first token.
        right: Count of its second token.
        total: Number of tokens in the text.
    """
    change_left = f(left - n) - f(left)
    change_right = f(right - n) - f(right)
    return f(n) + change_left + change_right + f(total) - f(total - n)


def ratio(n: int, left: int, right: int, total: int) -> float:
    """Count of the pair by the product of the counts of its tokens."""
    return n / (left * right)


SCORES = {"gain": likelihood_gain, "ratio": ratio}


def train_pieces(
    words: Iterable[tuple[Sequence[int], int]],
    n_merges: int,
    *,
    first_id: int,
    score: Literal["gain", "ratio"] = "gain",
    min_count: int = 2,
    progress: bool = False,
) -> list[Pair]:
    """Learn up to ``n_merges`` merges, each time of the pair with the highest score.

    Args:
        words: Each distinct word as its token ids, with the number of times it occurs.
        n_merges: How many to learn. There are fewer if the text runs out of pairs.
        first_id: Id of the first new token; above every id in ``words``.
        score: ``"gain"`` or ``"ratio"``, see above.
        min_count: Leave pairs alone that occur less often than this.
        progress: Whether to show a progress bar (on stderr).

    Returns:
        The pairs in the order in which they were merged.
    """
    require(score in SCORES, "score", score, f"be one of {sorted(SCORES)}")
    score_of = SCORES[score]
    table = PairTable(words)
    tokens = table.token_counts
    pairs_with: dict[int, set[Pair]] = defaultdict(set)
    heap: list[tuple[float, int, Pair]] = []

    def push(pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            heapq.heappush(heap, entry(pair))

    def entry(pair: Pair) -> tuple[float, int, Pair]:
        count = table.counts[pair]
        left, right = pair
        return -score_of(count, tokens[left], tokens[right], total), -count, pair

    def frequent(pairs: Iterable[Pair]) -> set[Pair]:
        return {pair for pair in pairs if table.counts.get(pair, 0) >= min_count}

    total = sum(tokens.values())
    for pair in frequent(table.counts):
        for token in pair:
            pairs_with[token].add(pair)
    # An entry of the heap is never too low: a score falls with the total, and where a
    # token's count changes, its pairs are pushed again.
    push(frequent(table.counts))
    merges: list[Pair] = []
    with tqdm(total=n_merges, desc="merges", disable=not progress) as bar:
        while heap and len(merges) < n_merges:
            top = heapq.heappop(heap)
            pair = top[2]
            if not frequent([pair]):
                continue
            if top != entry(pair):
                push([pair])
                continue
            new = first_id + len(merges)
            created = table.merge(pair, new)
            total -= tokens[new]
            for fresh in frequent(created):
                for token in fresh:
                    pairs_with[token].add(fresh)
            # fewer of its two tokens are left: their other pairs score anew
            for token in {*pair, new}:
                pairs_with[token] = frequent(pairs_with[token])
                push(pairs_with[token])
            merges.append(pair)
            bar.update()
    return merges
