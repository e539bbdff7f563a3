"""Plain English: the text on which the small encoders of chapters 10 and 11 learn.

Shakespeare's words are not those of a film review, and an encoder can help only with a
language that it has read. So these learn from a modern Bible (4.2 MB), and from
editorials, product reviews, tweets and film reviews (2.4 MB), as documents of
sentences, which next-sentence prediction needs.

What is held out is held out by document. Of the film reviews, only what
``movie_sentences`` trains on is read here, and what it leaves out as neutral: its
validation and test sentences are seen by no one before their time.
"""

import ast
import re
from itertools import groupby
from typing import NamedTuple

from lmcore.assets import fetch
from lmcore.data.corpora import read_text
from lmcore.data.labelled import (
    LEAST_RATING,
    fingerprint,
    movie_sentences,
    normalise,
    read_ratings,
)

Document = list[str]  # its sentences

HELD_OUT = 20  # of 20 documents, one is for validation and one for the test


class EnglishSplits(NamedTuple):
    """Documents, each a list of sentences; no document is on two sides."""

    train: list[Document]
    validation: list[Document]
    test: list[Document]


def plain_english() -> EnglishSplits:
    """Documents of sentences: 90 % to learn from, 5 % to choose on, 5 % to report on.

    Licences: public domain (World English Bible), MIT (the rest).

    Raises:
        AssetError: If an asset can be had from nowhere.
    """
    splits = EnglishSplits([], [], [])
    for document in [*bible_chapters(), *rated_documents()]:
        place = int(fingerprint(document[0])[:8], 16) % HELD_OUT
        side = {0: splits.test, 1: splits.validation}.get(place, splits.train)
        side.append(document)
    splits.train.extend(film_documents())
    return splits


def bible_chapters() -> list[Document]:
    """The World English Bible, a chapter a document, a verse a sentence.

    The package holds it as one Python expression: the text, then for each verse (book,
    chapter and verse in one number) where it begins and ends. It is read, never run.
    """
    path = fetch("bible-web")
    tree = ast.parse(read_text(path))
    call = next(node for node in ast.walk(tree) if isinstance(node, ast.Call))
    text, starts, ends = (ast.literal_eval(part) for part in call.args[1:4])
    chapters: dict[int, Document] = {}
    for verse, start in starts.items():
        words = re.sub(r"^\s*\d+\.\s*", "", text[start : ends[verse]])
        words = " ".join(words.replace("`", "'").split())
        if words:
            chapters.setdefault(verse // 1000, []).append(words)
    return list(chapters.values())


def rated_documents() -> list[Document]:
    """Editorials and product reviews as documents, and each tweet as one."""
    folder = fetch("opinion-sentences")
    documents: list[Document] = []
    for name in ("nytEditorial", "amazonReview"):
        rows = read_ratings(folder / f"{name}Snippets_GroundTruth.txt")
        for _, group in groupby(rows, key=lambda row: row[0].split("_")[0]):
            documents.append([text for _, _, text in group if text])
    tweets = read_ratings(folder / "tweets_GroundTruth.txt")
    return [*documents, *([text] for _, _, text in tweets if text)]


def film_documents() -> list[Document]:
    """Film sentences that may be learnt from, each a document."""
    splits = movie_sentences()
    held_out = {normalise(t) for part in splits[1:] for t in part.texts}
    rows = read_ratings(fetch("movie-sentences"))
    neutral = [text for _, rating, text in rows if abs(rating) < LEAST_RATING]
    neutral = [text for text in neutral if normalise(text) not in held_out]
    return [[text] for text in [*splits.train.texts, *neutral] if text]
