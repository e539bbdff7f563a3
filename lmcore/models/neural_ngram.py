"""Bengio's neural n-gram: an n-gram model that can compare contexts.

Idea: a counting n-gram learns nothing about "the dog ran" from "the cat ran", for the
two contexts are different keys of a table. Here each token is a vector, learnt with the
rest; the n - 1 vectors before a place, side by side, go through one hidden layer to a
score for every token. Contexts whose vectors are near get near predictions.

    x = (C(w_{t-1}), C(w_{t-2}), …, C(w_{t-n+1}))          (n-1) D numbers
    y = b + W x + U tanh(d + H x)                           V scores
    p(w_t | context) = softmax(y)

W, straight from the vectors to the scores, may be left out (``direct=False``). Before
the beginning of a text there is no token: its place in x holds zeros.

The model gives scores for all places at once. Position t of the output predicts token
t + 1, from the tokens t, t - 1, …, t - n + 2.

Reference: Bengio, Ducharme, Vincent & Jauvin (2003), "A neural probabilistic language
model", section 2, equation 1.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.config import Config, require


@dataclass(frozen=True, kw_only=True)
class NeuralNGramConfig(Config):
    """The model's sizes.

    Attributes:
        vocab_size: V; 256 for bytes.
        order: n: a token is predicted from the n - 1 before it; at least 2.
        d_model: Length D of a token's vector (the paper's m).
        hidden_size: Units of the hidden layer (the paper's h).
        direct: Whether W connects the vectors to the scores.
    """

    vocab_size: int = 256
    order: int = 8
    d_model: int = 32
    hidden_size: int = 512
    direct: bool = False

    def validate(self) -> None:
        """Check every field."""
        for name in ("vocab_size", "d_model", "hidden_size"):
            value = getattr(self, name)
            require(type(value) is int and value >= 1, name, value, "be an int >= 1")
        usable = type(self.order) is int and self.order >= 2
        require(usable, "order", self.order, "be an int >= 2")


class NeuralNGram(nn.Module):
    """Scores for the next token from the last n - 1 tokens.

    Attributes:
        tok_emb: C, the vectors.
        hidden: H and d.
        lm_head: U and b.
        direct: W, or None.
    """

    def __init__(self, config: NeuralNGramConfig) -> None:
        super().__init__()
        self.config = config
        width = (config.order - 1) * config.d_model
        self.tok_emb = nn.Embedding(config.vocab_size, config.d_model)
        self.hidden = nn.Linear(width, config.hidden_size)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.direct = (
            nn.Linear(width, config.vocab_size, bias=False) if config.direct else None
        )

    def contexts(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T width"]:
        """x for every position: the vectors of the last n - 1 tokens, newest first."""
        n_before = self.config.order - 2
        emb = F.pad(self.tok_emb(ids), (0, 0, n_before, 0))  # (B, n - 2 + T, D)
        length = ids.shape[1]
        moved = [emb[:, n_before - k :][:, :length] for k in range(n_before + 1)]
        return torch.cat(moved, dim=-1)  # (B, T, (n - 1) * D)

    def forward(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Logits: position t scores what comes after the tokens up to t."""
        x = self.contexts(ids)
        y = self.lm_head(torch.tanh(self.hidden(x)))
        return y if self.direct is None else y + self.direct(x)
