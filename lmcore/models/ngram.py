"""An n-gram language model: the next token from the n - 1 tokens before it.

Idea: the chain rule writes the probability of a text as a product,
p(w_1 … w_T) = Π p(w_t | w_1 … w_{t-1}). An n-gram model keeps only the last n - 1
tokens of each context and estimates p(w | h) from how often h was followed by w.
It knows nothing of a token but its number: bytes, characters and word pieces are alike.

    model = NGram.train(b"to be or not to be", order=3)
    model.probs(b"to")                  # (256,) p(next byte | "to"), summing to 1
    model.log_probs(b"not to be")       # (9,) ln p of each byte, given those before it
    model.sample(b"to", max_new_tokens=20, seed=0)

Counting stands in ``ngram_counts``, the ways to smooth in ``ngram_smoothing`` and
``ngram_discounting``. All of them end in one table of probabilities of the n-grams seen
and of weights of their contexts (the form that ARPA files have), read here.

References: Shannon (1948), section 3; Jelinek & Mercer (1980); Chen & Goodman (1999).
"""

import numpy as np

from lmcore.config import require
from lmcore.metrics import cross_entropy_nats, perplexity
from lmcore.models.ngram_counts import UNSEEN, NGramCounts, as_documents, as_ids, take
from lmcore.models.ngram_discounting import backoff, kneser_ney, stupid_backoff
from lmcore.models.ngram_smoothing import (
    Table,
    add_k,
    fit_weights,
    jelinek_mercer,
    maximum_likelihood,
    witten_bell,
)

SMOOTHING = (
    "maximum_likelihood",
    "add_k",
    "jelinek_mercer",
    "witten_bell",
    "backoff",
    "stupid_backoff",
    "kneser_ney",
    "modified_kneser_ney",
)
"""The methods. After any context the probabilities sum to 1, with two exceptions:
``stupid_backoff`` gives scores, not probabilities, and ``maximum_likelihood`` gives
every token 0 after a context it has not seen."""


class NGram:
    """A table of probabilities, and how to read it.

    Attributes:
        counts: What the table was estimated from.
        table: Probabilities and weights (``ngram_smoothing.Table``).
        smoothing: The method's name.
        order: n: a token is predicted from at most n - 1 before it.
        vocab_size: V, number of different tokens.
    """

    def __init__(self, counts: NGramCounts, table: Table, smoothing: str) -> None:
        self.counts = counts
        self.table = table
        self.smoothing = smoothing
        self.order = counts.order
        self.vocab_size = counts.vocab_size

    @classmethod
    def train(
        cls,
        ids: object,
        order: int,
        vocab_size: int = 256,
        smoothing: str = "kneser_ney",
        *,
        k: float = 1.0,
        discount: float | None = None,
        validation: object = None,
    ) -> "NGram":
        """Count a text and estimate the probabilities.

        Args:
            ids: One document (ints, ``bytes``, an array or a tensor) or a list of them.
            order: n, at least 1.
            vocab_size: V; 256 for bytes.
            smoothing: One of ``SMOOTHING``.
            k: For ``add_k``: what is added to each count, above 0.
            discount: For ``kneser_ney``: one D from 0 to 1; None estimates it.
            validation: For ``jelinek_mercer``: documents that are not in ``ids``, on
                which the weights are chosen.

        Raises:
            ValueError: If a number, an id or the name is not usable, or nothing is
                there to count.
            TypeError: If the ids are no integers.
        """
        counts = NGramCounts(ids, order, vocab_size)
        return cls.from_counts(
            counts, smoothing, k=k, discount=discount, validation=validation
        )

    @classmethod
    def from_counts(
        cls,
        counts: NGramCounts,
        smoothing: str = "kneser_ney",
        *,
        k: float = 1.0,
        discount: float | None = None,
        validation: object = None,
    ) -> "NGram":
        """The same from counts at hand: count once, compare several methods."""
        match smoothing:
            case "maximum_likelihood":
                table = maximum_likelihood(counts)
            case "add_k":
                require(0 < k < float("inf"), "k", k, "be above 0 and finite")
                table = add_k(counts, k)
            case "jelinek_mercer":
                rule = "be given: text on which the weights are chosen"
                require(validation is not None, "validation", validation, rule)
                documents = as_documents(validation, counts.vocab_size)
                table = jelinek_mercer(counts, fit_weights(counts, documents))
            case "witten_bell":
                table = witten_bell(counts)
            case "backoff":
                table = backoff(counts)
            case "stupid_backoff":
                table = stupid_backoff(counts)
            case "kneser_ney":
                usable = discount is None or 0 <= discount <= 1
                require(usable, "discount", discount, "be from 0 to 1, or None")
                table = kneser_ney(counts, discount)
            case "modified_kneser_ney":
                table = kneser_ney(counts, modified=True)
            case _:
                rule = f"be one of {', '.join(SMOOTHING)}"
                require(False, "smoothing", smoothing, rule)
        return cls(counts, table, smoothing)

    @property
    def n_parameters(self) -> int:
        """How many numbers the table holds: one per n-gram, one per context."""
        columns = [*self.table.prob, *self.table.weight]
        return sum(len(column) for column in columns)

    def probs(self, context: object = ()) -> np.ndarray:
        """p(w | context) for every token w.

        Args:
            context: The ids before; the last ``order - 1`` count.

        Returns:
            (V,) probabilities; scores if the method is ``stupid_backoff``.
        """
        h = as_ids(context, self.vocab_size, "context")
        h = h[max(0, len(h) - self.order + 1) :]
        uniform = np.full(self.vocab_size, 1 / self.vocab_size)
        p = uniform
        for k in range(1, len(h) + 2):  # k - 1 tokens of context, shortest first
            shorter = p if self.table.shortens else uniform
            number = self.counts.find(h[len(h) - (k - 1) :])
            if number == UNSEEN:
                p = self.table.unseen_weight * shorter
                continue
            p = self.table.weight[k - 1][number] * shorter
            seen = self.counts.followers(k, number)
            tokens = self.counts.levels[k - 1].keys[seen] % self.vocab_size
            p[tokens] = self.table.prob[k - 1][seen]
        return p

    def prob(self, context: object, token: int) -> float:
        """p(token | context), one of ``probs(context)``."""
        as_ids([token], self.vocab_size, "token")
        return float(self.probs(context)[token])

    def log_probs(self, ids: object) -> np.ndarray:
        """ln p of each token of a text, given those before it in its document.

        Args:
            ids: One document or a list of them.

        Returns:
            (T,) natural logarithms, documents one after another; -inf for what the
            model holds impossible.
        """
        documents = as_documents(ids, self.vocab_size)
        return np.concatenate([self._log_probs(document) for document in documents])

    def _log_probs(self, ids: np.ndarray) -> np.ndarray:
        """``probs`` for all positions of one document at once, a length at a time."""
        found = self.counts.find_all(ids)
        p = np.full(len(ids), 1 / self.vocab_size)
        for k in range(1, len(found)):
            # Tokens k - 1 and later have a context of k - 1 tokens.
            contexts, ngrams = found[k - 1][:-1], found[k]
            shorter = p[k - 1 :] if self.table.shortens else 1 / self.vocab_size
            weight = take(self.table.weight[k - 1], contexts, self.table.unseen_weight)
            prob = take(self.table.prob[k - 1], ngrams, 0.0)
            p[k - 1 :] = np.where(ngrams == UNSEEN, weight * shorter, prob)
        with np.errstate(divide="ignore"):  # ln 0 = -inf is meant
            return np.log(p)

    def perplexity(self, ids: object) -> float:
        """exp of the mean -ln p of a text's tokens; inf if one has probability 0.

        Raises:
            ValueError: If the method's scores are no probabilities.
        """
        rule = "give probabilities, for a perplexity to exist"
        usable = self.smoothing != "stupid_backoff"
        require(usable, "smoothing", self.smoothing, rule)
        return perplexity(cross_entropy_nats(self.log_probs(ids)))

    def sample(
        self,
        prompt: object = (),
        max_new_tokens: int = 100,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 0,
    ) -> np.ndarray:
        """Continue a prompt, one drawn token after another.

        Args:
            prompt: Ids to begin with; empty begins from the shortest context.
            max_new_tokens: How many to draw. Fewer come back if a context is reached
                after which nothing has any probability (maximum likelihood only).
            temperature: p is raised to 1 / temperature; 0 takes the likeliest token.
            top_k: Draw among the likeliest ``top_k`` only; None, among all.
            seed: Of the draws.

        Returns:
            (T,) the new ids, without the prompt.
        """
        rule = "be an int of at least 0"
        usable = type(max_new_tokens) is int and max_new_tokens >= 0
        require(usable, "max_new_tokens", max_new_tokens, rule)
        rule = "be at least 0 and finite"
        require(0 <= temperature < np.inf, "temperature", temperature, rule)
        usable = top_k is None or (type(top_k) is int and top_k >= 1)
        require(usable, "top_k", top_k, "be an int of at least 1, or None")
        rng = np.random.default_rng(seed)
        begin = as_ids(prompt, self.vocab_size, "prompt")
        ids = begin.tolist()
        for _ in range(max_new_tokens):
            p = self.probs(ids[max(0, len(ids) - self.order + 1) :])
            if p.sum() == 0:
                break
            ids.append(draw(p, temperature, top_k, rng))
        return np.array(ids[len(begin) :], dtype=np.int64)


def draw(
    p: np.ndarray, temperature: float, top_k: int | None, rng: np.random.Generator
) -> int:
    """Draw one token from (V,) probabilities or scores."""
    if temperature == 0:
        return int(p.argmax())
    if top_k is not None:
        kept = np.argsort(-p, kind="stable")[:top_k]
        p = np.where(np.isin(np.arange(len(p)), kept), p, 0.0)
    p = (p / p.max()) ** (1 / temperature)  # the largest stays 1: no underflow
    return int(rng.choice(len(p), p=p / p.sum()))
