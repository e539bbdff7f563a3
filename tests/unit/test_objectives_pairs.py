"""Causal pairs, next-sentence pairs, and batches for an encoder-decoder."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.data import shakespeare_split
from lmcore.losses import IGNORE_INDEX, cross_entropy
from lmcore.models.seq2seq_transformer import (
    TransformerSeq2Seq,
    TransformerSeq2SeqConfig,
)
from lmcore.objectives import (
    causal_pairs,
    corrupt_spans,
    generator_at,
    next_sentence_pairs,
    pad_pairs,
)
from lmcore.tokenizers import WordPieceTokenizer

CLS, SEP, PAD = 1, 2, 0


def draw_pairs(documents, n_pairs, seed=0, **changes):
    settings = {"max_seq_len": 24, "cls_id": CLS, "sep_id": SEP, "pad_id": PAD}
    settings |= {"generator": generator_at(seed)} | changes
    return next_sentence_pairs(documents, n_pairs, **settings)


@settings(max_examples=15)
@given(n=st.integers(2, 30), rows=st.integers(1, 3))
def test_causal_inputs_know_nothing_of_their_targets(n, rows):
    ids = torch.arange(rows * n, dtype=torch.int32).view(rows, n)
    inputs, targets = causal_pairs(ids)
    assert torch.equal(targets, inputs + 1)  # the token behind each
    assert inputs.dtype == targets.dtype == torch.int64
    for t in range(n - 1):
        changed = ids.clone()
        changed[:, t + 1] = 999  # the target at t
        assert torch.equal(causal_pairs(changed)[0][:, : t + 1], inputs[:, : t + 1])


def test_causal_padding_counts_for_nothing_on_either_side():
    ids = torch.tensor([[5, 6, 7, 0, 0], [0, 0, 5, 6, 7], [0, 0, 0, 0, 5]])
    mask = ids != 0
    _, targets = causal_pairs(ids, mask)
    out = IGNORE_INDEX
    assert targets.tolist() == [
        [6, 7, out, out],
        [out, out, 6, 7],
        [out, out, out, out],
    ]


@st.composite
def numbered_documents(draw):
    """Documents whose ids tell where they stand: 3, 4, 5 … through all of them."""
    sizes = st.lists(st.integers(1, 15), min_size=1, max_size=12)
    shapes = draw(st.lists(sizes, min_size=2, max_size=5))
    if all(len(shape) < 2 for shape in shapes):
        shapes[0] = [*shapes[0], 3]
    documents, n = [], 3
    for shape in shapes:
        document = []
        for size in shape:
            document.append(list(range(n, n + size)))
            n += size
        documents.append(document)
    return documents


@settings(max_examples=40)
@given(
    documents=numbered_documents(),
    max_seq_len=st.integers(5, 40),
    seed=st.integers(0, 10**6),
)
def test_pairs_are_neighbours_or_from_different_documents(documents, max_seq_len, seed):
    pairs = draw_pairs(documents, 12, seed, max_seq_len=max_seq_len)
    place = {}
    for d, document in enumerate(documents):
        for i, sentence in enumerate(document):
            place |= {id: (d, i, k) for k, id in enumerate(sentence)}
    assert pairs.ids.shape == pairs.segment_ids.shape == (12, max_seq_len)
    assert torch.equal(pairs.mask, pairs.ids != PAD)
    for row, segment, target in zip(
        pairs.ids.tolist(),
        pairs.segment_ids.tolist(),
        pairs.targets.tolist(),
        strict=True,
    ):
        first_end = row.index(SEP)
        second_end = row.index(SEP, first_end + 1)
        first, second = row[1:first_end], row[first_end + 1 : second_end]
        n_rest = max_seq_len - second_end - 1
        assert row == [CLS, *first, SEP, *second, SEP] + [PAD] * n_rest
        n_first, n_second = len(first) + 2, len(second) + 1
        assert segment == [0] * n_first + [1] * n_second + [0] * n_rest
        for part in (first, second):
            assert part == list(range(part[0], part[0] + len(part)))  # unbroken text
            assert place[part[0]][2] == 0  # from the beginning of a sentence
            assert place[part[0]][0] == place[part[-1]][0]  # of one document
        doc_a, last_of_a, _ = place[first[-1]]
        doc_b, first_of_b, _ = place[second[0]]
        if target == 0:
            assert (doc_b, first_of_b) == (doc_a, last_of_a + 1)
        else:
            assert doc_b != doc_a


def test_half_of_the_pairs_follow_and_every_other_sentence_may_stand_in():
    documents = [[[10 * d + i] for i in range(10)] for d in range(1, 5)]
    pairs = draw_pairs(documents, 6000, max_seq_len=5)
    share = float((pairs.targets == 0).float().mean())
    assert abs(share - 0.5) < 4 * (0.25 / 6000) ** 0.5
    strangers = pairs.ids[pairs.targets == 1]
    a, b = strangers[:, 1], strangers[:, 3]
    counts = b[a // 10 == 2].bincount(minlength=50)
    assert counts[20:30].sum() == 0
    expected = int(counts.sum()) / 30
    others = torch.cat([counts[10:20], counts[30:50]])
    assert (others - expected).abs().max() < 5 * expected**0.5
    starts = a.bincount(minlength=50)[10:50].view(4, 10)
    assert starts[:, 9].sum() == 0  # the last sentence has none behind it
    assert starts[:, :9].min() > 0
    for follow_share in (0.0, 1.0):
        rest = draw_pairs(documents, 50, follow_share=follow_share)
        assert (rest.targets == (0 if follow_share else 1)).all()


@pytest.fixture(scope="module")
def plays(real_asset):
    """The validation plays as documents of sentences of WordPiece ids."""
    real_asset("shakespeare")
    tokenizer = WordPieceTokenizer.from_vocab(real_asset("bert-uncased-vocab"))
    texts = shakespeare_split()[1].parts.values()
    documents = []
    for text in texts:
        sentences = (tokenizer.encode(part) for part in text[:40_000].split("."))
        documents.append([sentence for sentence in sentences if sentence])
    return documents


def test_lengths_do_not_tell_whether_b_follows(plays):
    """What a model could read off the segments' lengths is no better than chance."""
    pairs = draw_pairs(plays, 1500, max_seq_len=64, cls_id=101, sep_id=102)
    for lengths in (pairs.segment_ids.sum(1), pairs.mask.sum(1)):
        one, other = lengths[pairs.targets == 0], lengths[pairs.targets == 1]
        error = (one.float().var() / len(one) + other.float().var() / len(other)) ** 0.5
        assert abs(one.float().mean() - other.float().mean()) < 4 * error
        assert error < 1


def test_a_batch_for_an_encoder_decoder():
    pairs = [
        (torch.tensor([5, 6, 7]), torch.tensor([8, 9])),
        (torch.tensor([5]), torch.tensor([8, 9, 4])),
    ]
    batch = pad_pairs(pairs, pad_id=0, start_id=1)
    assert batch.source_ids.tolist() == [[5, 6, 7], [5, 0, 0]]
    assert batch.source_lengths.tolist() == [3, 1]
    assert batch.ids.tolist() == [[1, 8, 0], [1, 8, 9]]
    assert batch.targets.tolist() == [[8, 9, IGNORE_INDEX], [8, 9, 4]]


def test_a_small_transformer_reads_corrupted_spans():
    texts = [torch.arange(5, 35), torch.arange(6, 26)]
    pairs = [
        corrupt_spans(t, sentinel_ids=[40, 41, 42], generator=generator_at(0), end_id=2)
        for t in texts
    ]
    batch = pad_pairs(pairs, pad_id=0, start_id=0)
    config = TransformerSeq2SeqConfig(
        source_vocab_size=43, vocab_size=43, d_model=8, n_layers=1, n_heads=2
    )
    logits = TransformerSeq2Seq(config)(
        batch.source_ids, batch.ids, batch.source_lengths
    )
    assert cross_entropy(logits, batch.targets).isfinite()


DOCS = [[[3, 4], [5]], [[6]]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: causal_pairs(torch.tensor([[1]])), "must be at least 2 a row"),
        (lambda: causal_pairs(torch.ones(0, 3).long()), "must hold at least one id"),
        (lambda: draw_pairs(DOCS[:1], 1), "must be at least two documents"),
        (lambda: draw_pairs([[[3]], [[4]]], 1), "a document of at least two sentences"),
        (lambda: draw_pairs([*DOCS, []], 1), r"documents\[2\]=\[\]: must hold"),
        (lambda: draw_pairs([*DOCS, [[3], []]], 1), r"documents\[2\]\[1\]=\[\]"),
        (lambda: draw_pairs(DOCS, 0), "n_pairs=0: must be an int >= 1"),
        (lambda: draw_pairs(DOCS, 1, max_seq_len=4), "max_seq_len=4: must be an int"),
        (lambda: draw_pairs(DOCS, 1, follow_share=2), "follow_share=2: must be from 0"),
        (lambda: pad_pairs([], pad_id=0, start_id=1), r"pairs=\[\]: must hold"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
