"""Byte-level BPE on the `tokenizers` library, for millions of documents.

The same interface and the same file as ``byte_bpe``, on a library written in Rust that
uses every core in ``encode_batch``. Install it with ``pip install tokenizers``; nothing
else in lmcore needs it.

A tokenizer trained by ``ByteBPETokenizer`` gives the same ids here. Training here can
give a slightly other vocabulary: both take the most frequent pair and break ties by the
smallest ids, but the library numbers the bytes in another order.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, Self

from lmcore.config import require
from lmcore.tokenizers.base import Tokenizer, check_text
from lmcore.tokenizers.byte_alphabet import show, unshow
from lmcore.tokenizers.byte_bpe import ByteBPETokenizer
from lmcore.tokenizers.patterns import PATTERNS


class FastBPETokenizer(Tokenizer):
    """A ``ByteBPETokenizer`` whose texts are encoded by the `tokenizers` library.

    Args:
        slow: Vocabulary, merges, pattern and special tokens.

    Raises:
        ImportError: If the library is not installed.
        ValueError: If the vocabulary lacks one of the 256 bytes, which the library
            would leave out of a text without a word.
    """

    kind: ClassVar[str] = ByteBPETokenizer.kind

    def __init__(self, slow: ByteBPETokenizer) -> None:
        missing = [i for i in range(256) if bytes([i]) not in slow.vocab]
        require(not missing, "vocab", missing, "have a token for each of these bytes")
        self.slow = slow
        self._engines = {frozenset(): build(slow, frozenset())}

    @classmethod
    def train(
        cls,
        texts: str | Iterable[str],
        vocab_size: int,
        *,
        special_tokens: Sequence[str] = (),
        pattern: str = "gpt2",
        min_count: int = 2,
        progress: bool = False,
    ) -> Self:
        """Learn merges from texts; see ``ByteBPETokenizer.train``.

        The texts may come from a generator and need not fit into memory. The ids are
        laid out as there: bytes, merges, special tokens.
        """
        n_merges = vocab_size - 256 - len(special_tokens)
        rule = f"be at least 256 bytes + {len(special_tokens)} special tokens"
        require(n_merges >= 0, "vocab_size", vocab_size, rule)
        require(min_count >= 1, "min_count", min_count, "be >= 1")
        library = import_library()
        learner = library.Tokenizer(library.models.BPE())
        learner.pre_tokenizer = pre_tokenizer(pattern)
        trainer = library.trainers.BpeTrainer(
            vocab_size=256 + n_merges,
            min_frequency=min_count,
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=progress,
        )
        each = [texts] if isinstance(texts, str) else texts
        learner.train_from_iterator(map(check_text, each), trainer)
        pairs = json.loads(learner.to_str())["model"]["merges"]
        merges = [(unshow(left), unshow(right)) for left, right in pairs]
        tokens = [bytes([byte]) for byte in range(256)]
        tokens += [left + right for left, right in merges]
        vocab = {token: i for i, token in enumerate(tokens)}
        specials = {name: len(tokens) + i for i, name in enumerate(special_tokens)}
        return cls(
            ByteBPETokenizer(vocab, merges, pattern=pattern, special_tokens=specials)
        )

    @property
    def vocab_size(self) -> int:
        """One more than the largest id, special tokens included."""
        return self.slow.vocab_size

    def encode(
        self, text: str, *, allowed_special: Literal["all"] | Iterable[str] = ()
    ) -> list[int]:
        """The ids of a text; see ``ByteBPETokenizer.encode``."""
        return self.encode_batch([text], allowed_special=allowed_special)[0]

    def encode_batch(
        self,
        texts: Iterable[str],
        *,
        allowed_special: Literal["all"] | Iterable[str] = (),
    ) -> list[list[int]]:
        """Encode several texts, on every core; see ``encode``."""
        allowed = frozenset(self.slow.check_special(allowed_special))
        if allowed not in self._engines:
            self._engines[allowed] = build(self.slow, allowed)
        checked = [check_text(text) for text in texts]
        found = self._engines[allowed].encode_batch_fast(checked)
        return [encoding.ids for encoding in found]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; bytes that are no UTF-8 become U+FFFD."""
        return self.slow.decode(ids)

    def to_fields(self) -> dict[str, Any]:
        """The same file as ``ByteBPETokenizer`` writes."""
        return self.slow.to_fields()

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Rebuild the tokenizer from ``to_fields``'s output."""
        return cls(ByteBPETokenizer.from_fields(fields))


def import_library() -> Any:
    """The `tokenizers` module.

    Raises:
        ImportError: If it is not installed; says how to install it.
    """
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError(
            "FastBPETokenizer needs the tokenizers library: pip install tokenizers "
            "(ByteBPETokenizer does the same without it, more slowly)"
        ) from error
    return tokenizers


def pre_tokenizer(pattern: str) -> Any:
    """The library's way to cut a text by one of our patterns."""
    library = import_library()
    split = library.pre_tokenizers
    as_bytes = split.ByteLevel(add_prefix_space=False, use_regex=False)
    expression = PATTERNS.get(pattern, pattern)
    if expression is None:
        return as_bytes
    by_pattern = split.Split(library.Regex(expression), "isolated")
    return split.Sequence([by_pattern, as_bytes])


def build(slow: ByteBPETokenizer, allowed_special: Iterable[str]) -> Any:
    """The library's tokenizer with the same vocabulary, merges and pattern."""
    library = import_library()
    vocab = {show(token): i for token, i in slow.vocab.items()}
    for name, i in slow.special_tokens.items():
        require(name not in vocab, "special_tokens", name, "be no ordinary token")
        vocab[name] = i  # the library finds the id of a special token here
    merges = [(show(left), show(right)) for left, right in slow.merges]
    engine = library.Tokenizer(library.models.BPE(vocab, merges))
    engine.pre_tokenizer = pre_tokenizer(slow.pattern)
    for name in sorted(allowed_special):
        engine.add_special_tokens([library.AddedToken(name, normalized=False)])
    return engine
