"""word2vec: vectors that tell a word's real neighbours from drawn ones.

Idea: every word has two vectors, v (input) and u (output). Let v·u be large for words
that stand near each other in the text and small for words that do not. A softmax over
the whole vocabulary would cost V dot products a step; *negative sampling* compares the
word that stands there with K words drawn at random instead:

    L = -log σ(u_w · x) - Σ_{k=1..K} log σ(-u_k · x),    k drawn from  p(k) ∝ count^0.75

    skip-gram   x = v_c, once for each word c in the window around w
    CBOW        x = the mean of v_c over the window ("continuous bag of words")

So a case is one x against its targets (the word and the K drawn ones), with label y = 1
for the word. With the scores s = x·u, the whole gradient is one line:

    e = σ(s) - y;    ∂L/∂x = Σ_k e_k u_k;    ∂L/∂u_k = e_k x

Only the rows of v and u that a batch touches change: their gradients are added where
they belong (``scatter_add``), and the other rows of the two tables are never read.

In the paper's skip-gram the centre predicts its neighbours; here, as in the authors'
program, the neighbours predict the centre. The pairs are the same. What is drawn, and
how, stands in ``word_windows``.

The mean in CBOW gives each input 1/C of the gradient. The authors' program and gensim
leave the 1/C out; the gradient here is the exact one, and it wants a larger learning
rate (İrsoy et al., 2021).

References: Mikolov, Chen, Corrado & Dean (2013a), "Efficient estimation of word
representations in vector space"; Mikolov, Sutskever, Chen, Corrado & Dean (2013b),
"Distributed representations of words and phrases and their compositionality",
equation 4; İrsoy, Benton & Stratos (2021), "Corrected CBOW performs as well as
skip-gram".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from lmcore.config import Config, require
from lmcore.models.word_corpus import Vocabulary, WordStream
from lmcore.models.word_vectors import WordVectors
from lmcore.models.word_windows import WindowBatch, window_batches

ARCHITECTURES = ("skipgram", "cbow")


@dataclass(frozen=True, kw_only=True)
class Word2VecConfig(Config):
    """How word2vec is trained.

    Attributes:
        architecture: ``"skipgram"`` or ``"cbow"``.
        d_model: Length D of a word's vector.
        window: The furthest neighbour that counts, in words.
        n_negatives: K, words drawn against each real one.
        min_count: Rarer words get no vector.
        subsample: Relative frequency above which occurrences are dropped; 0 for none.
        n_epochs: Passes over the text.
        batch_size: Cases per step: pairs of words in skip-gram, positions in CBOW.
            Their gradients are added up, so with few different words a large batch
            takes too long a step: use 16 for a vocabulary of 20 words.
        lr: Learning rate at the start; it falls in a straight line to ``min_lr``. CBOW
            wants about three times as much as skip-gram, for its inputs share it.
        min_lr: Learning rate at the end.
        seed: Of the vectors and of everything drawn.
    """

    architecture: str = "skipgram"
    d_model: int = 100
    window: int = 5
    n_negatives: int = 5
    min_count: int = 5
    subsample: float = 1e-3
    n_epochs: int = 5
    batch_size: int = 1024
    lr: float = 0.025
    min_lr: float = 1e-4
    seed: int = 0

    def validate(self) -> None:
        """Check every field."""
        rule = f"be one of {', '.join(ARCHITECTURES)}"
        named = self.architecture in ARCHITECTURES
        require(named, "architecture", self.architecture, rule)
        for name in (
            "d_model",
            "window",
            "n_negatives",
            "min_count",
            "n_epochs",
            "batch_size",
        ):
            value = getattr(self, name)
            require(type(value) is int and value >= 1, name, value, "be an int >= 1")
        require(
            0 <= self.subsample < 1, "subsample", self.subsample, "be >= 0 and below 1"
        )
        require(self.lr > 0, "lr", self.lr, "be > 0")
        rule = f"be from 0 to lr={self.lr}"
        require(0 <= self.min_lr <= self.lr, "min_lr", self.min_lr, rule)
        usable = type(self.seed) is int and self.seed >= 0
        require(usable, "seed", self.seed, "be an int >= 0")


def negative_sampling(
    x: Float[Tensor, "P D"],
    u: Float[Tensor, "P K D"],
    labels: Float[Tensor, "P K"],
    counts: Bool[Tensor, "P K"],
) -> tuple[Float[Tensor, ""], Float[Tensor, "P D"], Float[Tensor, "P K D"]]:
    """The loss of P cases and its gradient, by hand.

    Args:
        x: Input vectors.
        u: Vectors of the targets: the real word and the drawn ones.
        labels: y, 1 for the real word, 0 for a drawn one.
        counts: False where a target does not count: a drawn word is the real one.

    Returns:
        The loss summed over all scores (nats), ∂L/∂x and ∂L/∂u.
    """
    scores = (x.unsqueeze(1) @ u.transpose(1, 2)).squeeze(1)  # (P, K)
    # -log σ(s) = softplus(-s), and -log σ(-s) = softplus(s) = softplus(-s) + s
    loss = ((F.softplus(-scores) + (1 - labels) * scores) * counts).sum()
    error = (torch.sigmoid(scores) - labels) * counts  # (P, K)
    grad_x = (error.unsqueeze(1) @ u).squeeze(1)  # (P, D)
    return loss, grad_x, error.unsqueeze(-1) * x.unsqueeze(1)


def add_rows(
    table: Float[Tensor, "V D"], rows: Int[Tensor, "N"], values: Float[Tensor, "N D"]
) -> None:
    """``table[rows] += values`` in place, where a row may be named more than once."""
    table.scatter_add_(0, rows.unsqueeze(1).expand_as(values), values)


class Word2Vec:
    """Two tables of vectors, and how to train them.

        model = Word2Vec.train(sentences, Word2VecConfig(d_model=100))
        model.vectors().nearest("king")

    Attributes:
        config: The settings.
        vocabulary: Its words.
        v: (V, D) input vectors, the ones that are used afterwards.
        u: (V, D) output vectors.
        losses: Mean loss per score (nats), one number for each epoch.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        config: Word2VecConfig,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config = config
        self.vocabulary = vocabulary
        self.device = torch.device(device)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.v = self.random_rows(len(vocabulary))
        self.u = torch.zeros(len(vocabulary), config.d_model, device=self.device)
        self.losses: list[float] = []

    @classmethod
    def train(
        cls,
        sentences: Sequence[Sequence[str]],
        config: Word2VecConfig,
        *,
        vocabulary: Vocabulary | None = None,
        device: torch.device | str = "cpu",
        progress: bool = False,
    ) -> "Word2Vec":
        """Count the words of a corpus and train vectors for them.

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
        model.fit(vocabulary.encode(sentences), progress=progress)
        return model

    def fit(self, stream: WordStream, *, progress: bool = False) -> None:
        """Train on a corpus for ``config.n_epochs`` passes."""
        require(len(stream) > 0, "stream", "empty", "hold a word of the vocabulary")
        config = self.config
        total = config.n_epochs * len(stream)
        with tqdm(total=total, unit="word", disable=not progress) as bar:
            for epoch in range(config.n_epochs):
                loss, n_scores = 0.0, 0
                batches = window_batches(
                    stream,
                    self.vocabulary.counts,
                    pairs=config.architecture == "skipgram",
                    window=config.window,
                    n_negatives=config.n_negatives,
                    subsample=config.subsample,
                    batch_size=config.batch_size,
                    generator=self.generator,
                )
                for batch, share in batches:
                    done = (epoch + share) / config.n_epochs
                    lr = config.lr + done * (config.min_lr - config.lr)
                    batch_loss, batch_scores = self.step(batch.to(self.device), lr)
                    loss, n_scores = loss + float(batch_loss), n_scores + batch_scores
                    bar.update(round(done * total) - bar.n)
                self.losses.append(loss / max(n_scores, 1))
                rule = "be smaller, or batch_size: the vectors diverged"
                require(math.isfinite(loss), "lr", config.lr, rule)
            bar.update(total - bar.n)

    def step(self, batch: WindowBatch, lr: float) -> tuple[Float[Tensor, ""], int]:
        """One step of gradient descent.

        Returns:
            The summed loss before the step, and the number of scores in it.
        """
        loss, n_scores, grad_v, grad_u = self.gradients(batch)
        add_rows(self.u, batch.targets.flatten(), grad_u.mul_(-lr).flatten(0, 1))
        self.add_to_inputs(batch.contexts.flatten(), grad_v.mul_(-lr).flatten(0, 1))
        return loss, n_scores

    def gradients(
        self, batch: WindowBatch
    ) -> tuple[Float[Tensor, ""], int, Float[Tensor, "P C D"], Float[Tensor, "P K D"]]:
        """Loss, scores, and gradients of inputs (0 where one is missing) and targets.

        One function for both architectures: skip-gram's x is the mean of one vector.
        """
        targets = batch.targets
        mask = batch.present.unsqueeze(-1).to(self.u.dtype)  # (P, C, 1)
        share = mask / mask.sum(1, keepdim=True).clamp(min=1)  # (P, C, 1): 1/C or 0
        x = (self.look_up(batch.contexts) * share).sum(1)  # (P, D)
        u = F.embedding(targets, self.u)  # (P, K, D); the rows u[targets], faster
        labels = torch.zeros_like(targets, dtype=u.dtype)
        labels[:, 0] = 1
        counts = targets != targets[:, :1]  # a drawn word that is the real one: no
        counts[:, 0] = True
        counts &= batch.present.any(1, keepdim=True)
        loss, grad_x, grad_u = negative_sampling(x, u, labels, counts)
        return loss, int(counts.sum()), grad_x.unsqueeze(1) * share, grad_u

    def look_up(self, ids: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape D"]:
        """The input vectors of some words."""
        return F.embedding(ids, self.v)

    def add_to_inputs(
        self, ids: Int[Tensor, "N"], values: Float[Tensor, "N D"]
    ) -> None:
        """Change the input vectors of some words."""
        add_rows(self.v, ids, values)

    def random_rows(self, n: int) -> Float[Tensor, "n D"]:
        """Starting vectors, uniform in ±1 / (2 D) as in the authors' program."""
        d_model = self.config.d_model
        drawn = torch.rand(n, d_model, generator=self.generator)
        return ((drawn - 0.5) / d_model).to(self.device)

    def vectors(self) -> WordVectors:
        """The input vectors as a table to ask questions of."""
        return WordVectors(self.vocabulary.words, self.v.cpu().numpy())
