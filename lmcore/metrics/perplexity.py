"""How good is a language model? Cross-entropy in four units.

A model gives each token of a text a probability, p_t. Their mean surprise is the
cross-entropy in nats, H = -(1/T) Σ ln p_t, and the others follow from it:

    perplexity     = exp(H)       as unsure as among so many equally likely tokens
    bits per token = H / ln 2
    bits per byte  = T H / (ln 2 * n_bytes)

Only the last is comparable between tokenizers: tokens differ in length, and a model
over bytes has an easier guess 5 times as often as one over words. Bits per byte spread
the whole text's surprise over the bytes of its UTF-8 form, which no tokenizer changes.

Reference: Shannon (1948), section 7; Jelinek, Mercer, Bahl & Baker (1977).
"""

import math

import numpy as np

from lmcore.config import require


def cross_entropy_nats(log_probs: object) -> float:
    """The mean of -ln p over tokens: H = -(1/T) Σ ln p_t.

    Args:
        log_probs: (T,) ln p_t of each token, as an array, list or CPU tensor. One of
            -inf, a token that was held impossible, makes the result inf.

    Returns:
        Nats per token.

    Raises:
        ValueError: If it is empty, not 1-D, or holds NaN or a value above 0.
    """
    values = np.asarray(log_probs, dtype=np.float64)
    require(values.ndim == 1, "log_probs.shape", values.shape, "be one-dimensional")
    require(values.size > 0, "log_probs", "empty", "hold at least one token")
    largest = float(values.max())  # NaN if there is one
    rule = "be at most 0, being the logarithm of a probability"
    require(largest <= 1e-6, "largest of log_probs", largest, rule)
    return float(-values.mean())


def perplexity(nats_per_token: float) -> float:
    """exp(H): the number of equally likely tokens that would be as hard to guess among.

    Args:
        nats_per_token: Cross-entropy H, at least 0; inf gives inf.

    Raises:
        ValueError: If it is negative or NaN.
    """
    check_nats(nats_per_token, "nats_per_token")
    try:
        return math.exp(nats_per_token)
    except OverflowError:
        return math.inf


def bits_per_token(nats_per_token: float) -> float:
    """H / ln 2: the same cross-entropy in bits.

    Raises:
        ValueError: If it is negative or NaN.
    """
    check_nats(nats_per_token, "nats_per_token")
    return float(nats_per_token) / math.log(2)


def bits_per_byte(total_nats: float, n_bytes: int) -> float:
    """-Σ ln p_t / (ln 2 * n_bytes): bits needed per byte of the text.

    Args:
        total_nats: The *sum* over all tokens, T times the cross-entropy.
        n_bytes: Length of the whole text in UTF-8, whatever the tokens are.

    Raises:
        ValueError: If the nats are negative or NaN, or ``n_bytes`` is below 1.

    Example:
        >>> bits_per_byte(3 * math.log(256), 3)  # a uniform guess among 256 bytes
        8.0
    """
    check_nats(total_nats, "total_nats")
    usable = isinstance(n_bytes, int | np.integer) and n_bytes >= 1
    require(usable, "n_bytes", n_bytes, "be an int of at least 1")
    return float(total_nats) / math.log(2) / int(n_bytes)


def check_nats(value: float, argument: str) -> None:
    """Refuse what no cross-entropy can be: a negative number or NaN."""
    require(value >= 0, argument, value, "be at least 0")
