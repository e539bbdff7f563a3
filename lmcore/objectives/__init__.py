"""Pretraining objectives: what is hidden from a model, and what it has to say.

Each is a pure function from ids to inputs and targets. What it draws, it draws from
the generator it is given, so that the same seed hides the same tokens on every device.
Where nothing is predicted, targets are ``IGNORE_INDEX``, which losses leave out.

    causal            every token from those before it         GPT
    masked            some tokens from both sides               BERT, ERNIE, SpanBERT
    next_sentence     does B follow A?                          BERT
    span_corruption   the spans that sentinels stand for        T5
    shuffling         the right order of sentences, of tokens   BART, T5's ablation
    noising           the text from one with gaps               BART

from lmcore.objectives import generator_at, masked_tokens

inputs, targets = masked_tokens(
    ids, mask_id=103, special_ids=[0, 101, 102], vocab_size=30522,
    generator=generator_at(seed=0, step=7),
)
"""

from lmcore.objectives.causal import causal_pairs
from lmcore.objectives.draws import generator_at
from lmcore.objectives.masked import choose_stretches, masked_tokens
from lmcore.objectives.next_sentence import SentencePairs, next_sentence_pairs
from lmcore.objectives.noising import delete_tokens, infill_text
from lmcore.objectives.pairs import PairBatch, pad_pairs
from lmcore.objectives.shuffling import permute_sentences, shuffle_tokens
from lmcore.objectives.span_corruption import corrupt_spans, fill_spans, noise_counts
from lmcore.objectives.units import (
    find_phrases,
    merge_units,
    token_units,
    word_starts,
    word_units,
)

__all__ = [
    "PairBatch",
    "SentencePairs",
    "causal_pairs",
    "choose_stretches",
    "corrupt_spans",
    "delete_tokens",
    "fill_spans",
    "find_phrases",
    "generator_at",
    "infill_text",
    "masked_tokens",
    "merge_units",
    "next_sentence_pairs",
    "noise_counts",
    "pad_pairs",
    "permute_sentences",
    "shuffle_tokens",
    "token_units",
    "word_starts",
    "word_units",
]
