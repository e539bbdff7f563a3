"""Files of word vectors: word2vec's text format, and GloVe's published table.

The text format has a first line with V and D, and then a line for each word:

    3 2
    the 0.418 0.24968
    of 0.70853 0.57088
    to 0.68047 -0.039263

GloVe's text files are the same without the first line. The published vectors that the
course reads come as two files instead: a NumPy array and a Parquet table of words.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from lmcore.config import require
from lmcore.models.parquet_strings import read_strings

GLOVE_MATRIX = "glove_6B_50d_emb.npy"
GLOVE_WORDS = "glove_6B_index.parquet"


def write_text(
    path: str | Path, words: tuple[str, ...], matrix: Float[np.ndarray, "V D"]
) -> None:
    """Write word2vec's text format, with digits enough for float32 to come back equal.

    Raises:
        ValueError: If a word is empty or holds white space, which ends a word here.
    """
    for word in words:
        usable = word != "" and not any(character.isspace() for character in word)
        require(usable, "word", word, "hold no white space, to be written as text")
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(f"{matrix.shape[0]} {matrix.shape[1]}\n")
        for word, row in zip(words, matrix, strict=True):
            file.write(word + " " + " ".join(f"{x:.9g}" for x in row) + "\n")


def read_text(path: str | Path) -> tuple[list[str], Float[np.ndarray, "V D"]]:
    """Read word2vec's or GloVe's text format.

    Returns:
        The words, and a float32 matrix with a row for each.

    Raises:
        ValueError: If the file is empty, or a line has another length than the first
            one; names the file and the line.
    """
    words: list[str] = []
    rows: list[np.ndarray] = []
    promised = None
    with open(path, encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            word, *values = line.rstrip().split(" ")
            if number == 1 and len(values) == 1:  # word2vec's first line
                promised = (int(word), int(values[0]))
                continue
            d_model = promised[1] if promised else len(rows[0]) if rows else len(values)
            try:
                row = np.array(values, dtype=np.float32)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
            if len(row) != d_model or d_model == 0:
                found = f"{path}, line {number}: {len(row)} numbers"
                raise ValueError(f"{found}: must be {d_model or 'at least 1'}")
            words.append(word)
            rows.append(row)
    require(len(rows) > 0, str(path), "no vectors", "hold at least one line")
    fits = promised is None or promised[0] == len(rows)
    require(fits, str(path), f"{len(rows)} words", f"be {promised} as its line 1 says")
    return words, np.stack(rows)


def read_glove(folder: str | Path) -> tuple[list[str], Float[np.ndarray, "V D"]]:
    """Read the published GloVe vectors: 400,000 words, the most frequent first.

    Args:
        folder: Holds ``glove_6B_50d_emb.npy`` and ``glove_6B_index.parquet``.

    Returns:
        The words, and a float32 matrix (400000, 50).

    Raises:
        FileNotFoundError: If one of the two is missing.
        ValueError: If one is not what its name says.
    """
    matrix = np.load(Path(folder) / GLOVE_MATRIX, allow_pickle=False)
    words = read_strings(Path(folder) / GLOVE_WORDS)
    return words, matrix
