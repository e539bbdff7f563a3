"""WordPiece: BERT's vocabulary of words and word ends.

A word is cut into the longest piece that begins it, then the longest piece (marked
with ##) that goes on from there, to its end. A word that cannot be cut this way becomes
``[UNK]``: unlike byte-level BPE, WordPiece loses text, and ``decode`` gives back
cleaned words with single spaces.

Reference:
    Schuster and Nakajima 2012, "Japanese and Korean voice search"; Devlin et al. 2019,
    "BERT", section 3 and the released ``tokenization.py``.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import regex
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lmcore.config import require
from lmcore.tokenizers.base import Tokenizer, check_ids, check_text, check_texts
from lmcore.tokenizers.bert_text import split_words
from lmcore.tokenizers.byte_bpe import WordCache
from lmcore.tokenizers.wordpiece_train import train_pieces

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_WORD_CHARS = 100


@dataclass(frozen=True)
class TokenBatch:
    """Texts as tensors, padded on the right to the longest.

    Attributes:
        ids: ``[CLS] first [SEP]`` or ``[CLS] first [SEP] second [SEP]``, then
            ``[PAD]``.
        token_type_ids: 0 up to the first ``[SEP]`` and for padding, else 1.
        mask: True where there is a token, False where there is padding.
    """

    ids: Int[Tensor, "B T"]
    token_type_ids: Int[Tensor, "B T"]
    mask: Bool[Tensor, "B T"]


class WordPieceTokenizer(Tokenizer):
    """WordPiece with BERT's special tokens.

    Args:
        pieces: The vocabulary; the position of a piece is its id. It must contain
            ``[PAD]``, ``[UNK]``, ``[CLS]``, ``[SEP]`` and ``[MASK]``.
        lowercase: Whether to take accents off and make letters small.

    Raises:
        ValueError: If a piece comes twice or a special token is missing.

    Example:
        >>> special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        >>> tokenizer = WordPieceTokenizer([*special, "play", "##ing", "##ed"])
        >>> tokenizer.encode("Playing, played")
        [5, 6, 1, 5, 7]
    """

    kind: ClassVar[str] = "wordpiece"

    def __init__(self, pieces: Iterable[str], *, lowercase: bool = True) -> None:
        self.pieces = check_texts(list(pieces))
        require(type(lowercase) is bool, "lowercase", lowercase, "be a bool")
        self.lowercase = lowercase
        self.vocab = {piece: i for i, piece in enumerate(self.pieces)}
        if len(self.vocab) < len(self.pieces):
            twice = Counter(self.pieces).most_common(1)[0][0]
            require(False, "pieces", twice, "come once")
        for name in SPECIAL_TOKENS:
            require(name in self.vocab, "pieces", name, "stand in the vocabulary")
        self.special_tokens = {name: self.vocab[name] for name in SPECIAL_TOKENS}
        self._longest = max(map(len, self.pieces))
        self._cache = WordCache(self._encode_word)

    @classmethod
    def train(
        cls,
        texts: str | Iterable[str],
        vocab_size: int,
        *,
        lowercase: bool = True,
        score: Literal["gain", "ratio"] = "gain",
        min_count: int = 2,
        progress: bool = False,
    ) -> Self:
        """Learn pieces from texts by a likelihood score (``wordpiece_train``).

        Ids: the special tokens, the characters in the order of their code points
        (first in a word, then ##), the merged pieces as they were learned.

        Args:
            texts: One text or several.
            vocab_size: Pieces wanted in all. There are fewer if the texts run out of
                pairs that occur ``min_count`` times.
            lowercase: Whether to take accents off and make letters small.
            score: Which pair is merged: the one with the highest ``"gain"`` of the
                log-likelihood, or the highest ``"ratio"`` (as often described).
            min_count: How often a pair must occur to be merged.
            progress: Whether to show a progress bar.
        """
        require(min_count >= 1, "min_count", min_count, "be >= 1")
        words: Counter[str] = Counter()
        for text in check_texts(texts):
            words.update(split_words(text, lowercase=lowercase))
        marked = {word: [word[0], *(f"##{c}" for c in word[1:])] for word in words}
        found = sorted(set(chain.from_iterable(marked.values())), key=_plain_first)
        pieces = [*SPECIAL_TOKENS, *found]
        n_merges = vocab_size - len(pieces)
        rule = f"be at least 5 special tokens + {len(found)} characters"
        require(n_merges >= 0, "vocab_size", vocab_size, rule)
        ids = {piece: i for i, piece in enumerate(pieces)}
        coded = [([ids[c] for c in marked[w]], count) for w, count in words.items()]
        merges = train_pieces(
            coded,
            n_merges,
            first_id=len(pieces),
            score=score,
            min_count=min_count,
            progress=progress,
        )
        for left, right in merges:
            pieces.append(pieces[left] + pieces[right].removeprefix("##"))
        return cls(pieces, lowercase=lowercase)

    @classmethod
    def from_vocab(cls, path: str | Path, *, lowercase: bool = True) -> Self:
        """Read a ``vocab.txt``: one piece a line, the line number is its id.

        Raises:
            ValueError: If a piece comes twice or a special token is missing.
        """
        text = Path(path).read_text(encoding="utf-8")
        return cls(text.removesuffix("\n").split("\n"), lowercase=lowercase)

    @property
    def special_ids(self) -> tuple[int, ...]:
        """Ids of ``[PAD]``, ``[UNK]``, ``[CLS]``, ``[SEP]`` and ``[MASK]``."""
        return tuple(self.vocab[name] for name in SPECIAL_TOKENS)

    @property
    def mask_id(self) -> int:
        """Id of ``[MASK]``."""
        return self.vocab["[MASK]"]

    @property
    def vocab_size(self) -> int:
        """The number of pieces, special tokens included."""
        return len(self.pieces)

    def encode(
        self, text: str, *, allowed_special: Literal["all"] | Iterable[str] = ()
    ) -> list[int]:
        """The ids of a text, without ``[CLS]`` and ``[SEP]`` around it.

        Args:
            text: Any str without lone surrogates.
            allowed_special: Special tokens that may come out of the text, such as
                ``{"[MASK]"}``, or ``"all"``. By default none.

        Raises:
            ValueError: If a name in ``allowed_special`` is no special token.
        """
        check_text(text)
        allowed = set(SPECIAL_TOKENS if allowed_special == "all" else allowed_special)
        for name in allowed:
            known = name in SPECIAL_TOKENS
            require(known, "allowed_special", name, f"be one of {SPECIAL_TOKENS}")
        if not allowed:
            return self._encode_plain(text)
        names = "|".join(regex.escape(name) for name in sorted(allowed))
        ids = []
        for part in regex.split(f"({names})", text):
            ids += [self.vocab[part]] if part in allowed else self._encode_plain(part)
        return ids

    def _encode_plain(self, text: str) -> list[int]:
        words = split_words(text, lowercase=self.lowercase)
        return list(chain.from_iterable(map(self._cache.__getitem__, words)))

    def _encode_word(self, word: str) -> tuple[int, ...]:
        """Longest match first; ``[UNK]`` if nothing matches or the word is too long."""
        unknown = (self.vocab["[UNK]"],)
        if len(word) > MAX_WORD_CHARS:
            return unknown
        ids: list[int] = []
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                id = self.vocab.get(mark + word[start:end])
                if id is not None:
                    break
            else:
                return unknown
            ids.append(id)
            start = end
        return tuple(ids)

    def batch(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        max_seq_len: int | None = None,
        allowed_special: Literal["all"] | Iterable[str] = (),
    ) -> TokenBatch:
        """Texts, or pairs of texts, as a padded batch with their special tokens.

        Args:
            texts: The first (or only) text of each row.
            pairs: The second text of each row.
            max_seq_len: Cut to this many tokens, taking from the longer text first.
            allowed_special: See ``encode``.

        Raises:
            ValueError: If there is no text, ``pairs`` has another length, or
                ``max_seq_len`` leaves no room.
        """
        require(len(texts) > 0, "texts", texts, "hold at least one text")
        seconds = [None] * len(texts) if pairs is None else pairs
        rule = f"hold {len(texts)} texts, as many as texts"
        require(len(seconds) == len(texts), "pairs", pairs, rule)
        n_special = 2 if pairs is None else 3
        if max_seq_len is not None:
            rule = f"leave room for {n_special} special tokens"
            require(max_seq_len >= n_special, "max_seq_len", max_seq_len, rule)
        cls_id, sep_id = self.vocab["[CLS]"], self.vocab["[SEP]"]
        rows, types = [], []
        for text, other in zip(texts, seconds, strict=True):
            first = self.encode(text, allowed_special=allowed_special)
            second = []
            if other is not None:
                second = self.encode(other, allowed_special=allowed_special)
            if max_seq_len is not None:
                first, second = shorten(first, second, max_seq_len - n_special)
            row = [cls_id, *first, sep_id]
            kinds = [0] * len(row)
            if other is not None:
                row += [*second, sep_id]
                kinds += [1] * (len(second) + 1)
            rows.append(row)
            types.append(kinds)
        length = max(map(len, rows))
        pad = self.vocab["[PAD]"]
        return TokenBatch(
            torch.tensor([row + [pad] * (length - len(row)) for row in rows]),
            torch.tensor([kinds + [0] * (length - len(kinds)) for kinds in types]),
            torch.tensor([[i < len(row) for i in range(length)] for row in rows]),
        )

    def decode(self, ids: Iterable[int]) -> str:
        """The pieces joined to words, with a space between words."""
        checked = check_ids(ids, self.vocab_size)
        return " ".join([self.pieces[i] for i in checked]).replace(" ##", "")

    def to_fields(self) -> dict[str, Any]:
        """The pieces in the order of their ids, and whether text is made small."""
        return {"lowercase": self.lowercase, "pieces": self.pieces}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Rebuild the tokenizer from ``to_fields``'s output."""
        return cls(fields["pieces"], lowercase=fields["lowercase"])


def _plain_first(piece: str) -> tuple[bool, str]:
    """Sort key: characters that begin a word, then those with ##."""
    return (piece.startswith("##") and len(piece) > 2, piece)


def shorten(
    first: list[int], second: list[int], room: int
) -> tuple[list[int], list[int]]:
    """Cut two texts to ``room`` tokens together, the longer one first."""
    if len(first) + len(second) <= room:
        return first, second
    short = min(len(first), len(second), room // 2)
    if len(first) > len(second):
        return first[: room - short], second[:short]
    return first[:short], second[: room - short]
