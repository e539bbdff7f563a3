"""Text to token ids and back: characters, byte-level BPE, WordPiece.

Every tokenizer has the same face (``base.Tokenizer``): ``encode``, ``decode``,
``vocab_size``, ``save``, ``load``, and a class method ``train``.
"""

from pathlib import Path

from lmcore.tokenizers.base import Tokenizer, read_tokenizer_file
from lmcore.tokenizers.byte_bpe import ByteBPETokenizer
from lmcore.tokenizers.characters import CharTokenizer
from lmcore.tokenizers.wordpiece import TokenBatch, WordPieceTokenizer

__all__ = [
    "ByteBPETokenizer",
    "CharTokenizer",
    "TokenBatch",
    "Tokenizer",
    "WordPieceTokenizer",
    "load_tokenizer",
]

CLASSES: tuple[type[Tokenizer], ...] = (
    CharTokenizer,
    ByteBPETokenizer,
    WordPieceTokenizer,
)


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Load a file that some tokenizer's ``save`` wrote, whatever its kind.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no tokenizer file of this library.
    """
    kinds = {cls.kind: cls for cls in CLASSES}
    kind = read_tokenizer_file(path, *kinds)["kind"]
    return kinds[kind].load(path)
