"""Byte-level byte-pair encoding: a vocabulary between bytes and words.

The 256 bytes are the first tokens, so that every text in every language can be written
and nothing is ever unknown. Each further token is a merge of two earlier ones, learned
from how often they stand side by side. Frequent words end up as one token, rare words
as a few, and a text decodes to exactly what was encoded.

Reference:
    Sennrich et al. 2016, "Neural machine translation of rare words with subword units";
    Radford et al. 2019, "Language models are unsupervised multitask learners", 2.2.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import regex

from lmcore.config import require
from lmcore.tokenizers import bpe_files
from lmcore.tokenizers.base import Tokenizer, check_ids, check_text, check_texts
from lmcore.tokenizers.bpe_merge import merge_word
from lmcore.tokenizers.bpe_train import train_merges
from lmcore.tokenizers.byte_alphabet import show, unshow
from lmcore.tokenizers.patterns import Splitter

MAX_CACHED_WORDS = 500_000
MAX_CACHED_CHARS = 64


class WordCache(dict[str, tuple[int, ...]]):
    """Remembers the ids of words: a text repeats its words, so each is merged once.

    Long words are not kept, and a full cache is emptied, so that memory stays bounded.
    """

    def __init__(self, encode_word: Callable[[str], tuple[int, ...]]) -> None:
        super().__init__()
        self.encode_word = encode_word

    def __missing__(self, word: str) -> tuple[int, ...]:
        ids = self.encode_word(word)
        if len(word) <= MAX_CACHED_CHARS:
            if len(self) >= MAX_CACHED_WORDS:
                self.clear()
            self[word] = ids
        return ids


class ByteBPETokenizer(Tokenizer):
    """Byte-level BPE.

    Args:
        vocab: The id of each token, a token being one or more bytes.
        merges: Pairs of tokens, first learned first.
        pattern: How a text is cut into words; see ``patterns.Splitter``.
        special_tokens: Names and ids of tokens that no text is merged into, such as
            ``<|endoftext|>``. ``encode`` makes them only where it is allowed to.

    Raises:
        ValueError: If ids collide, or a merge's tokens are not in the vocabulary.

    Example:
        >>> tokenizer = ByteBPETokenizer.train("low lower lowest", vocab_size=258)
        >>> [tokenizer.token_bytes(i) for i in tokenizer.encode("slow")]
        [b's', b'low']
    """

    kind: ClassVar[str] = "byte_bpe"

    def __init__(
        self,
        vocab: Mapping[bytes, int],
        merges: Sequence[tuple[bytes, bytes]],
        *,
        pattern: str = "gpt2",
        special_tokens: Mapping[str, int] | None = None,
    ) -> None:
        self.vocab = dict(vocab)
        self.merges = [(left, right) for left, right in merges]
        self.special_tokens = dict(special_tokens or {})
        self.pattern = pattern
        self._splitter = Splitter(pattern)
        self._bytes_of = self._index_ids()
        self._byte_ids = [self.vocab.get(bytes([byte]), -1) for byte in range(256)]
        self._ranks: dict[tuple[int, int], int] = {}
        self._merged: list[int] = []
        for left, right in self.merges:
            for token in (left, right, left + right):
                require(
                    token in self.vocab, "merges", (left, right), "use known tokens"
                )
            pair = self.vocab[left], self.vocab[right]
            require(pair not in self._ranks, "merges", (left, right), "come once")
            self._ranks[pair] = len(self._merged)
            self._merged.append(self.vocab[left + right])
        self._cache = WordCache(self._encode_word)

    def _index_ids(self) -> list[bytes | None]:
        """For each id its bytes; None for the gaps that some vocabularies have."""
        specials = {name.encode(): i for name, i in self.special_tokens.items()}
        require(b"" not in specials, "special_tokens", "", "be no empty text")
        require(b"" not in self.vocab, "vocab", b"", "be no empty token")
        pairs = [*self.vocab.items(), *specials.items()]
        require(len(pairs) > 0, "vocab", {}, "have a token")
        for token, i in pairs:
            require(type(i) is int and 0 <= i < 2**31, "id", i, f"be an id ({token!r})")
        table: list[bytes | None] = [None] * (max(i for _, i in pairs) + 1)
        for token, i in pairs:
            require(table[i] is None, "id", i, f"be of one token, not also {token!r}")
            table[i] = token
        return table

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
        """Learn merges from texts.

        Ids 0 to 255 are the bytes themselves, then come the merges in the order in
        which they were learned, then the special tokens.

        Args:
            texts: One text or several; merges never cross from one to the next.
            vocab_size: Tokens wanted in all. There are fewer if the texts run out of
                pairs that occur ``min_count`` times.
            special_tokens: Names, in the order of their ids.
            pattern: How a text is cut into words; see ``patterns.Splitter``.
            min_count: How often a pair must occur to be merged.
            progress: Whether to show a progress bar.
        """
        n_merges = vocab_size - 256 - len(special_tokens)
        rule = f"be at least 256 bytes + {len(special_tokens)} special tokens"
        require(n_merges >= 0, "vocab_size", vocab_size, rule)
        once = len(set(special_tokens)) == len(special_tokens)
        require(once, "special_tokens", special_tokens, "name each token once")
        require(min_count >= 1, "min_count", min_count, "be >= 1")
        splitter = Splitter(pattern)
        words: Counter[str] = Counter()
        for text in check_texts(texts):
            words.update(splitter.split(text))
        coded = [(list(word.encode()), count) for word, count in words.items()]
        pairs = train_merges(
            coded, n_merges, first_id=256, min_count=min_count, progress=progress
        )
        tokens = [bytes([byte]) for byte in range(256)]
        for left, right in pairs:
            tokens.append(tokens[left] + tokens[right])
        return cls(
            {token: i for i, token in enumerate(tokens)},
            [(tokens[left], tokens[right]) for left, right in pairs],
            pattern=pattern,
            special_tokens={s: len(tokens) + i for i, s in enumerate(special_tokens)},
        )

    @classmethod
    def from_ranks(
        cls,
        path: str | Path,
        *,
        pattern: str = "gpt2",
        special_tokens: Sequence[str] = ("<|endoftext|>",),
    ) -> Self:
        """Read a ``.tiktoken`` file; special tokens take the ids after its last."""
        vocab, merges = bpe_files.read_ranks(path)
        first = max(vocab.values(), default=-1) + 1
        specials = {name: first + i for i, name in enumerate(special_tokens)}
        return cls(vocab, merges, pattern=pattern, special_tokens=specials)

    @classmethod
    def from_vocab_and_merges(
        cls,
        vocab_path: str | Path,
        merges_path: str | Path,
        *,
        pattern: str = "gpt2",
        special_tokens: Sequence[str] = ("<|endoftext|>",),
    ) -> Self:
        """Read ``vocab.json`` (with the special tokens) and ``merges.txt``."""
        shown, merges = bpe_files.read_vocab_and_merges(vocab_path, merges_path)
        for name in special_tokens:
            require(name in shown, "special_tokens", name, f"stand in {vocab_path}")
        specials = {name: shown.pop(name) for name in special_tokens}
        vocab = {unshow(token): i for token, i in shown.items()}
        return cls(vocab, merges, pattern=pattern, special_tokens=specials)

    @property
    def vocab_size(self) -> int:
        """One more than the largest id, special tokens included."""
        return len(self._bytes_of)

    def encode(
        self, text: str, *, allowed_special: Literal["all"] | Iterable[str] = ()
    ) -> list[int]:
        """The ids of a text.

        Args:
            text: Any str without lone surrogates.
            allowed_special: Special tokens that may come out of the text, or
                ``"all"``. By default none: text from a stranger that spells
                ``<|endoftext|>`` becomes ordinary tokens.

        Raises:
            ValueError: If a name in ``allowed_special`` is no special token, or the
                text needs a byte that a published vocabulary lacks.
        """
        check_text(text)
        allowed = self.check_special(allowed_special)
        if not allowed:
            return self._encode_plain(text)
        longest_first = sorted(allowed, key=len, reverse=True)
        names = "|".join(regex.escape(name) for name in longest_first)
        ids = []
        for part in regex.split(f"({names})", text):
            if part in allowed:
                ids.append(self.special_tokens[part])
            else:
                ids += self._encode_plain(part)
        return ids

    def check_special(
        self, allowed_special: Literal["all"] | Iterable[str]
    ) -> set[str]:
        """The names that ``allowed_special`` stands for; see ``encode``."""
        if allowed_special == "all":
            return set(self.special_tokens)
        known = sorted(self.special_tokens)
        for name in (allowed := set(allowed_special)):
            require(name in known, "allowed_special", name, f"be one of {known}")
        return allowed

    def _encode_plain(self, text: str) -> list[int]:
        words = self._splitter.split(text)
        return list(chain.from_iterable(map(self._cache.__getitem__, words)))

    def _encode_word(self, word: str) -> tuple[int, ...]:
        ids = [self._byte_ids[byte] for byte in word.encode()]
        if -1 in ids:
            byte = word.encode()[ids.index(-1)]
            raise ValueError(
                f"text={word!r:.50}: must not need the byte 0x{byte:02x}, which this "
                "vocabulary has no token for"
            )
        return tuple(merge_word(ids, self._ranks, self._merged))

    def token_bytes(self, id: int) -> bytes:
        """The bytes of one token (of a special token, its name)."""
        return self.decode_bytes([id])

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of some ids, which may begin or end inside a character."""
        checked = check_ids(ids, self.vocab_size)
        tokens = [self._bytes_of[i] for i in checked]
        if None in tokens:
            bad = checked[tokens.index(None)]
            raise ValueError(f"id={bad}: must be the id of a token; this one is unused")
        return b"".join(tokens)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; bytes that are no UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def to_fields(self) -> dict[str, Any]:
        """Pattern, special tokens, vocabulary and merges, in GPT-2's byte alphabet."""
        return {
            "pattern": self.pattern,
            "special_tokens": self.special_tokens,
            "merges": [f"{show(left)} {show(right)}" for left, right in self.merges],
            "vocab": {show(token): i for token, i in self.vocab.items()},
        }

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Rebuild the tokenizer from ``to_fields``'s output."""
        merges = [merge.split(" ") for merge in fields["merges"]]
        return cls(
            {unshow(token): i for token, i in fields["vocab"].items()},
            [(unshow(left), unshow(right)) for left, right in merges],
            pattern=fields["pattern"],
            special_tokens=fields["special_tokens"],
        )
