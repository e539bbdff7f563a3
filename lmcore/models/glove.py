"""GloVe: vectors whose products give back how often words stand together.

Idea: word2vec walks through the text; GloVe counts first and then fits the counts. Let
X_ij be how often word j stands in the window around word i, a neighbour at distance d
counting 1/d. Ratios of these counts hold the meaning, so the vectors are fitted to
their logarithms, by weighted least squares:

    J = Σ_{X_ij > 0} f(X_ij) (w_i · w̃_j + b_i + b̃_j - log X_ij)²
    f(X) = min(1, (X / x_max)^0.75)

f leaves pairs that were never seen out, trusts rare ones little, and does not let the
most frequent ones outweigh all others. X is symmetric, so w and w̃ play the same part
and their sum is the word's vector.

With the residual r_ij = w_i·w̃_j + b_i + b̃_j - log X_ij, the gradient by hand is

    ∂J/∂w_i = Σ_j 2 f r_ij w̃_j      ∂J/∂b_i = Σ_j 2 f r_ij      (w̃, b̃ likewise)

The optimiser is the paper's AdaGrad: each number's step is divided by the root of the
sum of its squared gradients so far. The paper updates after every pair; here a batch of
pairs is added up first, and AdaGrad's sum takes the square of that total. Like the
authors' program, the code drops the factor 2 and starts AdaGrad's sum at 1.

References: Pennington, Socher & Manning (2014), "GloVe: global vectors for word
representation", sections 3 and 4.2; Duchi, Hazan & Singer (2011), AdaGrad.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from lmcore.config import Config, require
from lmcore.models.word_corpus import Vocabulary, WordStream
from lmcore.models.word_vectors import WordVectors


@dataclass(frozen=True, kw_only=True)
class GloVeConfig(Config):
    """How GloVe is trained.

    Attributes:
        d_model: Length D of a word's vector.
        window: The furthest neighbour that counts, in words.
        min_count: Rarer words get no vector.
        x_max: The count from which on a pair has full weight. The paper's 100 is for
            billions of words; a small corpus wants less.
        n_epochs: Passes over the pairs.
        batch_size: Pairs per step.
        lr: AdaGrad's learning rate. The paper's 0.05 is for one pair a step.
        seed: Of the vectors and of the order of the pairs.
    """

    d_model: int = 100
    window: int = 10
    min_count: int = 5
    x_max: float = 10.0
    n_epochs: int = 25
    batch_size: int = 16384
    lr: float = 0.1
    seed: int = 0

    def validate(self) -> None:
        """Check every field."""
        for name in ("d_model", "window", "min_count", "n_epochs", "batch_size"):
            value = getattr(self, name)
            require(type(value) is int and value >= 1, name, value, "be an int >= 1")
        require(self.x_max > 0, "x_max", self.x_max, "be > 0")
        require(self.lr > 0, "lr", self.lr, "be > 0")
        usable = type(self.seed) is int and self.seed >= 0
        require(usable, "seed", self.seed, "be an int >= 0")


@dataclass(frozen=True)
class Cooccurrences:
    """The entries of X that are above 0; N of them.

    Attributes:
        rows: (N,) word i.
        columns: (N,) word j.
        values: (N,) X_ij.
    """

    rows: Int[Tensor, "N"]
    columns: Int[Tensor, "N"]
    values: Float[Tensor, "N"]


def count_cooccurrences(
    stream: WordStream, vocab_size: int, window: int = 10
) -> Cooccurrences:
    """X_ij: for every pair of words in one window, add 1 / distance.

    One distance after another, the whole text against itself moved by d places. Each
    pair is packed into one integer, i * V + j, so that equal pairs can be sorted
    together and added up.

    Args:
        stream: The corpus.
        vocab_size: V.
        window: The largest distance.
    """
    require(window >= 1, "window", window, "be >= 1")
    ids, sentences = stream.ids.numpy(), stream.sentences.numpy()
    keys = np.zeros(0, dtype=np.int64)
    values = np.zeros(0)
    for distance in range(1, min(window, len(ids) - 1) + 1):
        same = sentences[distance:] == sentences[:-distance]
        left, right = ids[:-distance][same], ids[distance:][same]
        both = [left * vocab_size + right, right * vocab_size + left]
        found, times = np.unique(np.concatenate(both), return_counts=True)
        every_key = np.concatenate([keys, found])
        every_value = np.concatenate([values, times / distance])
        keys, place = np.unique(every_key, return_inverse=True)
        values = np.bincount(place, weights=every_value)
    rule = "have two words in one sentence"
    require(len(keys) > 0, "stream", f"{len(ids)} words", rule)
    return Cooccurrences(
        torch.from_numpy(keys // vocab_size),
        torch.from_numpy(keys % vocab_size),
        torch.from_numpy(values),
    )


def weight(x: Float[Tensor, "N"], x_max: float) -> Float[Tensor, "N"]:
    """f(X) = min(1, (X / x_max)^0.75)."""
    return (x / x_max).pow(0.75).clamp(max=1)


def least_squares(
    w: Float[Tensor, "N D"],
    w_tilde: Float[Tensor, "N D"],
    b: Float[Tensor, "N"],
    b_tilde: Float[Tensor, "N"],
    x: Float[Tensor, "N"],
    x_max: float,
) -> tuple[
    Float[Tensor, ""], Float[Tensor, "N D"], Float[Tensor, "N D"], Float[Tensor, "N"]
]:
    """J / 2 over N pairs, and its gradient, by hand.

    Returns:
        The halved loss, ∂/∂w, ∂/∂w̃, and ∂/∂b, which is also ∂/∂b̃.
    """
    residual = (w * w_tilde).sum(-1) + b + b_tilde - x.log()  # (N,)
    error = weight(x, x_max) * residual
    loss = 0.5 * (error * residual).sum()
    return loss, error.unsqueeze(-1) * w_tilde, error.unsqueeze(-1) * w, error


class AdaGradTable:
    """A table of which a step changes some rows: θ <- θ - lr g / sqrt(1 + Σ g²).

    Attributes:
        theta: (V, D) the numbers.
        squares: (V, D) 1 plus the sum of their squared gradients so far.
    """

    def __init__(self, theta: Float[Tensor, "V D"]) -> None:
        self.theta = theta
        self.squares = torch.ones_like(theta)

    def step(
        self, rows: Int[Tensor, "N"], gradients: Float[Tensor, "N D"], lr: float
    ) -> None:
        """Add up the gradients of each row that is named, then move these rows."""
        touched, place = rows.unique(return_inverse=True)
        g = gradients.new_zeros(len(touched), gradients.shape[1])
        g.scatter_add_(0, place.unsqueeze(1).expand_as(gradients), gradients)
        squares = self.squares[touched]
        self.theta[touched] -= lr * g / squares.sqrt()
        self.squares[touched] = squares + g * g


class GloVe:
    """Two tables of vectors with a bias each, and how to fit them.

        model = GloVe.train(sentences, GloVeConfig(d_model=100))
        model.vectors().nearest("king")

    Attributes:
        config: The settings.
        vocabulary: Its words.
        w: (V, D + 1) vectors w, with the bias b in the last column.
        w_tilde: (V, D + 1) vectors w̃, with b̃.
        losses: J / 2 per pair, one number for each epoch.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        config: GloVeConfig,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config = config
        self.vocabulary = vocabulary
        self.device = torch.device(device)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.w = self.random_table()
        self.w_tilde = self.random_table()
        self.losses: list[float] = []

    @classmethod
    def train(
        cls,
        sentences: Sequence[Sequence[str]],
        config: GloVeConfig,
        *,
        vocabulary: Vocabulary | None = None,
        device: torch.device | str = "cpu",
        progress: bool = False,
    ) -> "GloVe":
        """Count a corpus and fit vectors to the counts.

        Args:
            sentences: Lists of words; a window never crosses from one to the next.
            config: The settings.
            vocabulary: Words to use; None counts them.
            device: Where to compute.
            progress: Show a bar.

        Raises:
            TypeError: If a sentence is a string.
            ValueError: If no word occurs ``config.min_count`` times.
        """
        if vocabulary is None:
            vocabulary = Vocabulary.count(sentences, config.min_count)
        model = cls(vocabulary, config, device)
        stream = vocabulary.encode(sentences)
        pairs = count_cooccurrences(stream, len(vocabulary), config.window)
        model.fit(pairs, progress=progress)
        return model

    def random_table(self) -> AdaGradTable:
        """Vectors and bias, uniform in ±1 / (2 D)."""
        shape = (len(self.vocabulary), self.config.d_model + 1)
        drawn = torch.rand(shape, generator=self.generator)
        return AdaGradTable(((drawn - 0.5) / self.config.d_model).to(self.device))

    def fit(self, pairs: Cooccurrences, *, progress: bool = False) -> None:
        """Fit the vectors to counts for ``config.n_epochs`` passes."""
        config = self.config
        n = len(pairs.values)
        columns = (pairs.rows, pairs.columns, pairs.values.to(self.w.theta.dtype))
        with tqdm(
            total=n * config.n_epochs,
            unit="pair",
            unit_scale=True,
            disable=not progress,
        ) as bar:
            for _ in range(config.n_epochs):
                total = torch.zeros((), dtype=torch.float64)
                for batch in torch.randperm(n, generator=self.generator).split(
                    config.batch_size
                ):
                    i, j, x = (column[batch].to(self.device) for column in columns)
                    total += self.step(i, j, x).cpu()
                    bar.update(len(batch))
                self.losses.append(float(total / n))
                rule = "be smaller: the vectors diverged"
                finite = math.isfinite(self.losses[-1])
                require(finite, "lr", config.lr, rule)

    def step(
        self, i: Int[Tensor, "N"], j: Int[Tensor, "N"], x: Float[Tensor, "N"]
    ) -> Float[Tensor, ""]:
        """One AdaGrad step on a batch of pairs; returns J / 2 before it."""
        sizes = [self.config.d_model, 1]
        w, b = F.embedding(i, self.w.theta).split(sizes, dim=1)
        w_tilde, b_tilde = F.embedding(j, self.w_tilde.theta).split(sizes, dim=1)
        loss, grad_w, grad_w_tilde, grad_b = least_squares(
            w, w_tilde, b.squeeze(1), b_tilde.squeeze(1), x, self.config.x_max
        )
        lr, grad_b = self.config.lr, grad_b.unsqueeze(1)
        self.w.step(i, torch.cat([grad_w, grad_b], dim=1), lr)
        self.w_tilde.step(j, torch.cat([grad_w_tilde, grad_b], dim=1), lr)
        return loss

    def vectors(self) -> WordVectors:
        """w + w̃ as a table to ask questions of."""
        both = self.w.theta + self.w_tilde.theta
        return WordVectors(self.vocabulary.words, both[:, :-1].cpu().numpy())
