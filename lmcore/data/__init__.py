"""Real corpora, windows and batches."""

from lmcore.data.corpora import (
    Corpus,
    Splits,
    chinese_novel,
    course_corpus,
    load,
    python_reference,
    python_stdlib,
    shakespeare,
    shakespeare_split,
    text_files,
)

__all__ = [
    "Corpus",
    "Splits",
    "chinese_novel",
    "course_corpus",
    "load",
    "python_reference",
    "python_stdlib",
    "shakespeare",
    "shakespeare_split",
    "text_files",
]
