"""Real corpora, windows and batches.

from lmcore.data import batches, course_corpus, next_token_pairs

splits = course_corpus()
inputs, targets = next_token_pairs(ids, seq_len=128)
for step, (x, y) in enumerate(batches(inputs, targets, batch_size=32, seed=0)):
    ...
"""

from lmcore.data.batches import batches, next_token_pairs, ordered_batches, windows
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
from lmcore.data.labelled import (
    Labelled,
    LabelledSplits,
    chinese_reviews,
    movie_sentences,
    product_reviews,
    sentiment_lexicon,
    split_by_hash,
)
from lmcore.data.packing import pack_sentences
from lmcore.data.plain_english import EnglishSplits, plain_english
from lmcore.data.pronunciations import (
    SpellingBatch,
    SpellingPairs,
    Symbols,
    drop_stress,
    letter_symbols,
    phoneme_symbols,
    pronunciation_splits,
    read_cmudict,
)
from lmcore.data.token_file import TokenFile, write_token_file
from lmcore.data.token_labels import (
    TokenLabels,
    TokenLabelSplits,
    python_token_labels,
    token_label_batch,
)

__all__ = [
    "Corpus",
    "EnglishSplits",
    "Labelled",
    "LabelledSplits",
    "SpellingBatch",
    "SpellingPairs",
    "Splits",
    "Symbols",
    "TokenFile",
    "TokenLabelSplits",
    "TokenLabels",
    "batches",
    "chinese_novel",
    "chinese_reviews",
    "course_corpus",
    "drop_stress",
    "letter_symbols",
    "load",
    "movie_sentences",
    "next_token_pairs",
    "ordered_batches",
    "pack_sentences",
    "phoneme_symbols",
    "plain_english",
    "product_reviews",
    "pronunciation_splits",
    "python_reference",
    "python_stdlib",
    "python_token_labels",
    "read_cmudict",
    "sentiment_lexicon",
    "shakespeare",
    "shakespeare_split",
    "split_by_hash",
    "text_files",
    "token_label_batch",
    "windows",
    "write_token_file",
]
