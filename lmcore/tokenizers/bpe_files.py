"""Reading published byte-level BPE vocabularies.

Two forms are common. GPT-2 was released as ``vocab.json`` (token to id) and
``merges.txt`` (one pair a line, first learned first). `tiktoken` keeps only the tokens,
each in base64 with its rank; the merges follow from them, since the token of rank r
is what the merges of lower rank leave as two tokens.
"""

import base64
import binascii
import json
from pathlib import Path

from lmcore.tokenizers.bpe_merge import Pair, merge_word
from lmcore.tokenizers.byte_alphabet import unshow

Merges = list[tuple[bytes, bytes]]


def read_ranks(path: str | Path) -> tuple[dict[bytes, int], Merges]:
    """Read a ``.tiktoken`` file: the vocabulary and the merges that it implies.

    Raises:
        ValueError: If a line is not "base64 rank", or a token cannot be merged from
            tokens of lower rank.
    """
    vocab: dict[bytes, int] = {}
    for number, line in enumerate(Path(path).read_bytes().splitlines(), start=1):
        if not line:
            continue
        try:
            token, rank = line.split()
            vocab[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise ValueError(
                f"path={str(path)!r}, line {number}: must be a token in base64, a "
                f"space and its rank ({error})"
            ) from error
    return vocab, merges_of_ranks(vocab)


def merges_of_ranks(vocab: dict[bytes, int]) -> Merges:
    """The pair of tokens that each token of two or more bytes was merged from.

    Raises:
        ValueError: If a token does not come from exactly two tokens of lower rank.
    """
    tokens = sorted(vocab, key=vocab.__getitem__)
    token_of = {rank: token for token, rank in vocab.items()}
    ranks: dict[Pair, int] = {}
    merged: list[int] = []
    for token in tokens:
        if len(token) > 1:
            single = [vocab.get(token[i : i + 1], -1) for i in range(len(token))]
            parts = merge_word(single, ranks, merged)
            if len(parts) != 2 or -1 in parts:
                raise ValueError(
                    f"token={token!r}: must be a merge of two tokens of lower rank; "
                    f"the merges before it leave {len(parts)}"
                )
            ranks[parts[0], parts[1]] = len(merged)
            merged.append(vocab[token])
    return [(token_of[left], token_of[right]) for left, right in ranks]


def read_vocab_and_merges(
    vocab_path: str | Path, merges_path: str | Path
) -> tuple[dict[str, int], Merges]:
    """Read ``vocab.json`` and ``merges.txt``.

    Returns:
        The vocabulary as the file writes it (special tokens stand in it as they are,
        all others in GPT-2's byte alphabet), and the merges as bytes.

    Raises:
        ValueError: If one of the files has another form.
    """
    try:
        vocab = json.loads(Path(vocab_path).read_text(encoding="utf-8"))
        whole = isinstance(vocab, dict) and all(type(i) is int for i in vocab.values())
    except (json.JSONDecodeError, UnicodeDecodeError):
        whole = False
    if not whole:
        raise ValueError(
            f"vocab_path={str(vocab_path)!r}: must be a JSON object of tokens and ids"
        )
    merges: Merges = []
    text = Path(merges_path).read_text(encoding="utf-8")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        try:
            left, right = line.split(" ")
            merges.append((unshow(left), unshow(right)))
        except ValueError as error:
            raise ValueError(
                f"merges_path={str(merges_path)!r}, line {number}: must be two tokens "
                f"with a space between them ({error})"
            ) from error
    return vocab, merges
