"""Next-sentence prediction: does the second segment follow the first?

    ids          [CLS]  A A A  [SEP]  B B  [SEP]  [PAD]
    segment_ids    0    0 0 0    0    1 1    1      0
    target       0: B follows A in its document; 1: B is from another document

Half of the pairs are of each kind. "Sentence" means a stretch of sentences in a row
that fills its share of the length. That B comes from another document makes the task
easy: the topic alone tells. Liu et al. (2019) found that it helps little or harms, and
Lan et al. (2020) ask for the order of two neighbours instead.

References:
    Devlin et al., 2019, section 3.1 (task 2) and appendix A.2. Liu et al., 2019,
    section 4.2 (RoBERTa). Lan et al., 2020, section 3.1 (ALBERT).
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lmcore.config import require
from lmcore.objectives.draws import check_generator, draw_below
from lmcore.tokenizers.wordpiece import shorten

FOLLOWS, FOLLOWS_NOT = 0, 1
N_SPECIAL = 3  # [CLS], [SEP], [SEP]

Document = Sequence[Sequence[int]]


class SentencePairs(NamedTuple):
    """Pairs of segments for BERT, padded on the right to ``max_seq_len``.

    Attributes:
        ids: ``[CLS] A [SEP] B [SEP]``.
        segment_ids: 1 for B and the ``[SEP]`` behind it, else 0.
        mask: True at real tokens.
        targets: 0 if B follows A, 1 if it is from another document.
    """

    ids: Int[Tensor, "B T"]
    segment_ids: Int[Tensor, "B T"]
    mask: Bool[Tensor, "B T"]
    targets: Int[Tensor, "B"]


def next_sentence_pairs(
    documents: Sequence[Document],
    n_pairs: int,
    *,
    max_seq_len: int,
    cls_id: int,
    sep_id: int,
    pad_id: int,
    generator: torch.Generator,
    follow_share: float = 0.5,
) -> SentencePairs:
    """Draw pairs of segments; hide tokens in them with ``masked_tokens`` afterwards.

    A begins at any sentence that is not its document's last one, each as likely, and
    takes whole sentences up to half of the room. B takes whole sentences up to the rest
    of the room, from the sentence behind A, or from any sentence of any other document.
    A segment has at least one sentence; what is then too long is cut at its end, the
    longer segment first.

    Args:
        documents: Documents of sentences of ids, without special tokens.
        n_pairs: Pairs to draw, B.
        max_seq_len: T; at least 5, for one token on each side.
        cls_id: The id of ``[CLS]``.
        sep_id: The id of ``[SEP]``.
        pad_id: The id of ``[PAD]``.
        generator: Decides everything.
        follow_share: Probability that B follows A.

    Raises:
        TypeError: If ``generator`` is no generator.
        ValueError: If there are fewer than two documents, one holds no sentence, a
            sentence no id, none has two sentences, or a number is out of range.
    """
    check_generator(generator)
    check_documents(documents)
    usable = type(n_pairs) is int and n_pairs >= 1
    require(usable, "n_pairs", n_pairs, "be an int >= 1")
    usable = type(max_seq_len) is int and max_seq_len >= N_SPECIAL + 2
    require(usable, "max_seq_len", max_seq_len, f"be an int >= {N_SPECIAL + 2}")
    require(0 <= follow_share <= 1, "follow_share", follow_share, "be from 0 to 1")

    room = max_seq_len - N_SPECIAL
    places = [(d, i) for d, doc in enumerate(documents) for i in range(len(doc))]
    starts = [(d, i) for d, i in places if i + 1 < len(documents[d])]
    first_place = [0, *accumulate(map(len, documents))]  # of each document
    rows, segments, targets = [], [], []
    for _ in range(n_pairs):
        d, i = starts[draw_below(len(starts), generator)]
        first, behind = take_sentences(documents[d][:-1], i, room // 2)
        follows = draw_share(follow_share, generator)
        if follows:
            other, start = d, behind
        else:
            place = draw_below(len(places) - len(documents[d]), generator)
            if place >= first_place[d]:
                place += len(documents[d])  # jump over A's document
            other, start = places[place]
        rest = room - min(len(first), room // 2)
        second, _ = take_sentences(documents[other], start, rest)
        first, second = shorten(first, second, room)
        row = [cls_id, *first, sep_id, *second, sep_id]
        rows.append(row)
        n_second = len(second) + 1
        segments.append([0] * (len(row) - n_second) + [1] * n_second)
        targets.append(FOLLOWS if follows else FOLLOWS_NOT)

    missing = [max_seq_len - len(row) for row in rows]
    return SentencePairs(
        torch.tensor([r + [pad_id] * n for r, n in zip(rows, missing, strict=True)]),
        torch.tensor([s + [0] * n for s, n in zip(segments, missing, strict=True)]),
        torch.arange(max_seq_len) < max_seq_len - torch.tensor(missing).unsqueeze(1),
        torch.tensor(targets),
    )


def take_sentences(document: Document, start: int, room: int) -> tuple[list[int], int]:
    """Whole sentences while they fit, at least one; and the number behind the last."""
    ids = list(document[start])
    end = start + 1
    while end < len(document) and len(ids) + len(document[end]) <= room:
        ids += document[end]
        end += 1
    return ids, end


def draw_share(share: float, generator: torch.Generator) -> bool:
    """True with probability ``share``."""
    drawn = torch.rand((), generator=generator, device=generator.device)
    return float(drawn) < share


def check_documents(documents: Sequence[Document]) -> None:
    """Refuse documents from which no pair of each kind can be drawn."""
    rule = "be at least two documents"
    require(len(documents) >= 2, "documents", f"{len(documents)} documents", rule)
    for d, document in enumerate(documents):
        require(len(document) > 0, f"documents[{d}]", document, "hold a sentence")
        for i, sentence in enumerate(document):
            name = f"documents[{d}][{i}]"
            require(len(sentence) > 0, name, sentence, "hold at least one id")
    longest = max(map(len, documents))
    rule = "hold a document of at least two sentences"
    require(longest >= 2, "documents", "one sentence each", rule)
