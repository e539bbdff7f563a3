"""Labelled texts, their splits, and the plain English of chapters 10 and 11."""

from itertools import chain

import pytest
import torch

from lmcore.data import (
    Labelled,
    chinese_reviews,
    movie_sentences,
    pack_sentences,
    plain_english,
    product_reviews,
    sentiment_lexicon,
    split_by_hash,
)
from lmcore.data.labelled import normalise, read_ratings

NAMES = ("negative", "positive")


def some(n):
    return Labelled([f"text {i}" for i in range(n)], [i % 2 for i in range(n)], NAMES)


def all_texts(splits):
    return list(chain.from_iterable(side.texts for side in splits))


def test_a_split_has_the_sizes_asked_for_and_keeps_labels_beside_texts():
    splits = split_by_hash(some(50), n_validation=7, n_test=13)
    assert [len(side.texts) for side in splits] == [30, 7, 13]
    assert sorted(all_texts(splits)) == sorted(some(50).texts)
    for side in splits:
        assert [int(t.split()[1]) % 2 for t in side.texts] == side.labels


def test_the_order_of_the_lines_does_not_matter():
    rows = some(50)
    backwards = rows.rows(range(49, -1, -1))
    assert split_by_hash(rows, 7, 13) == split_by_hash(backwards, 7, 13)


def test_more_lines_move_few_of_the_old_ones():
    before = set(split_by_hash(some(1000), 0, 200).test.texts)
    after = set(split_by_hash(some(1010), 0, 200).test.texts)
    assert len(before & after) >= 190


def test_duplicates_are_dropped_and_contradictions_with_them():
    texts = ["A good film.", "a  GOOD film.", "dull", "dull", "so so", "so so", "fine"]
    labels = [1, 1, 0, 0, 0, 1, 1]
    splits = split_by_hash(Labelled(texts, labels, NAMES), 1, 1)
    assert sorted(all_texts(splits)) == ["A good film.", "dull", "fine"]


@pytest.mark.parametrize(
    "labels, sizes, named",
    [
        ([0, 1], (0, 0), "labels=2: must be 3 labels"),
        ([0, 1, 2], (0, 0), r"labels\[2\]=2: must be an int from 0 to 1"),
        ([0, 1, True], (0, 0), r"labels\[2\]=True"),
        ([0, 1, 0], (-1, 0), "n_validation=-1"),
        ([0, 1, 0], (1, 2), r"n_validation \+ n_test=3: must be below 3"),
    ],
)
def test_bad_sets_are_refused(labels, sizes, named):
    with pytest.raises(ValueError, match=named):
        split_by_hash(Labelled(["a", "b", "c"], labels, NAMES), *sizes)


def test_a_line_without_three_columns_is_named(tmp_path):
    path = tmp_path / "ratings.txt"
    path.write_text("1\t0.5\tgood\r\n2\t-1.0\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"ratings.txt, line 2='2\\t-1.0'"):
        read_ratings(path)


@pytest.mark.assets
@pytest.mark.parametrize(
    "load, asset, sizes, share",
    [
        (movie_sentences, "movie-sentences", (7070, 1000, 2000), 0.4960),
        (product_reviews, "opinion-sentences", (2077, 300, 600), 0.5858),
        (chinese_reviews, "chinese-reviews", (14361, 1000, 2000), 0.4798),
    ],
)
def test_the_real_sets(load, asset, sizes, share, real_asset):
    real_asset(asset)
    splits = load()
    assert tuple(len(side.texts) for side in splits) == sizes
    keys = [normalise(text) for text in all_texts(splits)]
    assert len(set(keys)) == len(keys) and all(keys)
    labels = list(chain.from_iterable(side.labels for side in splits))
    assert sum(labels) / len(labels) == pytest.approx(share, abs=1e-4)


@pytest.mark.assets
def test_signs_of_ratings_agree_with_the_lexicon_more_often_than_not(real_asset):
    real_asset("movie-sentences")
    real_asset("opinion-sentences")
    lexicon, test = sentiment_lexicon(), movie_sentences().test
    assert lexicon["good"] > 0 > lexicon["terrible"] and len(lexicon) > 7000
    right = known = 0
    for text, label in zip(test.texts, test.labels, strict=True):
        rating = sum(lexicon.get(word, 0.0) for word in text.lower().split())
        known += rating != 0
        right += rating != 0 and (rating > 0) == bool(label)
    assert known > 1000 and right > 0.65 * known


@pytest.mark.assets
def test_plain_english_holds_no_sentence_that_film_reviews_are_judged_on(real_asset):
    for name in ("bible-web", "movie-sentences", "opinion-sentences"):
        real_asset(name)
    english = plain_english()
    n_bytes = [sum(len(s) for d in side for s in d) for side in english]
    assert n_bytes[0] > 5_000_000 and min(n_bytes[1:]) > 200_000
    sides = [{normalise(s) for d in side for s in d} for side in english]
    films = movie_sentences()
    for side in sides:
        for held_out in films[1:]:
            assert side.isdisjoint(normalise(text) for text in held_out.texts)
    assert len(sides[0] & {normalise(t) for t in films.train.texts}) > 7000
    for held_out in sides[1:]:  # a verse or a tweet may stand in two places
        assert len(held_out & sides[0]) < 0.02 * len(held_out)
    verse = "In the beginning God created the heavens and the earth."
    assert any(side[0][0] == verse for side in zip(english.train, strict=True))
    assert all(sentence.strip() for side in english for d in side for sentence in d)


MARKS = {"cls_id": 1, "sep_id": 2, "pad_id": 0}


def test_rows_are_filled_and_nothing_is_lost():
    sentences = [[5, 6, 7], [8], [9, 10, 11, 12, 13]]
    rows = pack_sentences(sentences, 5, **MARKS)
    expected = [[1, 5, 6, 7, 2], [1, 8, 2, 9, 10], [1, 11, 12, 13, 2]]
    assert rows.tolist() == expected
    rows = pack_sentences([[5]], 5, **MARKS)
    assert rows.tolist() == [[1, 5, 2, 0, 0]]
    assert rows.dtype == torch.int64


def test_nothing_to_pack_is_refused():
    with pytest.raises(ValueError, match="sentences='empty'"):
        pack_sentences([], 5, **MARKS)
    with pytest.raises(ValueError, match="seq_len=2"):
        pack_sentences([[5]], 2, **MARKS)
