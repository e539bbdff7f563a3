"""The table itself, the real files behind it, and the commands."""

import json
import os
from pathlib import PurePosixPath

import numpy as np
import pytest
from typer.testing import CliRunner

from lmcore import cli
from lmcore.assets import ASSETS, is_cached, needed_by_the_book
from lmcore.assets.table import read_members

run = CliRunner()


@pytest.mark.parametrize("asset", ASSETS.values(), ids=list(ASSETS))
def test_every_row_is_complete(asset):
    assert ASSETS[asset.name] is asset
    assert asset.what and asset.licence and len(asset.what) < 80
    assert asset.name not in ("locks", "downloads")
    assert asset.archive.size > 0 and len(asset.archive.sha256) == 64
    files = [m.file for m in asset.members]
    assert files and len(set(files)) == len(files)
    for member in asset.members:
        path = PurePosixPath(member.file)
        assert not path.is_absolute() and ".." not in path.parts
        assert not set(member.file) & set('\\:*?"<>|'), "no file name on Windows"
        assert len(member.sha256) == 64 and int(member.sha256, 16) and member.size > 0


def test_every_listed_file_belongs_to_an_asset():
    assert set(read_members()) == set(ASSETS)


@pytest.mark.assets
@pytest.mark.parametrize("name", ASSETS)
def test_the_real_file_can_be_had(name, real_asset):
    wanted = name in needed_by_the_book() or os.environ.get("LMCORE_ALL_ASSETS")
    if not (is_cached(name) or wanted):
        pytest.skip(f"{name} is not in the cache: lmcore fetch --all gets it")
    path = real_asset(name)
    asset = ASSETS[name]
    found = path.parent if path.is_file() else path
    sizes = {
        p.relative_to(found).as_posix(): p.stat().st_size
        for p in found.rglob("*")
        if p.is_file()
    }
    assert sizes == {m.file: m.size for m in asset.members}
    if name in CONTENT:
        count, expected = CONTENT[name]
        assert count(path) == expected


def lines(path):
    return len(path.read_bytes().splitlines())


def vectors(path):
    return np.load(path / "glove_6B_50d_emb.npy", mmap_mode="r").shape


CONTENT = {  # what the table's second column promises
    "shakespeare": (lambda p: len(list(p.iterdir())), 42),
    "sanguo": (lambda p: len(json.loads(p.read_text("utf-8"))), 120),
    "gpt2-ranks": (lines, 50_256),
    "cl100k-ranks": (lines, 100_256),
    "bert-uncased-vocab": (lines, 30_522),
    "minilm": (
        lambda p: json.loads((p / "config.json").read_text())["hidden_size"],
        384,
    ),
    "smollm2": (lambda p: p.open("rb").read(4), b"GGUF"),
    "glove": (vectors, (400_000, 50)),
    "cmudict": (lines, 135_166),
    "movie-sentences": (lines, 10_605),
    "chinese-reviews": (
        lambda p: (lines(p / "pos.txt"), lines(p / "neg.txt")),
        (16_548, 18_576),
    ),
    "mnist": (
        lambda p: (p / "train-labels.idx1-ubyte").read_bytes()[4:8].hex(),
        "0000ea60",
    ),
    "word-relations": (
        lambda p: (
            lines(p / "wordsim353.tsv"),
            lines(p / "simlex999.txt"),
            lines(p / "questions-words.txt"),
        ),
        (353 + 2, 999 + 2, 19_544 + 14),
    ),
    "dialogues": (lambda p: len(list(p.rglob("*.yml"))), 38),
}


@pytest.fixture
def no_sources(tmp_path, monkeypatch):
    """An empty cache, and no place that a file could come from."""
    monkeypatch.setenv("LMCORE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "none"))


def test_lmcore_assets_lists_every_asset(no_sources, tmp_path):
    result = run.invoke(cli.app, ["assets"])
    assert result.exit_code == 0, result.output
    for asset in ASSETS.values():
        assert asset.name in result.output and asset.what in result.output
    assert str(tmp_path) in result.output.replace("\n", "")


def test_lmcore_fetch_goes_on_after_a_failure_and_says_so(no_sources):
    result = run.invoke(cli.app, ["fetch", "mnist", "glove"])
    assert result.exit_code == 1
    for name in ("mnist", "glove"):
        assert f"could not get '{name}'" in result.output
    assert "not fetched: mnist, glove" in result.output


def test_lmcore_fetch_without_names_takes_what_the_book_reads(no_sources):
    result = run.invoke(cli.app, ["fetch"])
    assert result.exit_code == 1
    missing = result.output.rpartition("not fetched: ")[2].strip().split(", ")
    # gensim, where it is installed, holds one of them: nothing has to be fetched
    found = [name for name in needed_by_the_book() if is_cached(name)]
    assert set(found) <= {"word-relations"}
    assert missing == [name for name in needed_by_the_book() if name not in found]
    assert needed_by_the_book() and len(needed_by_the_book()) < len(ASSETS)


def test_lmcore_fetch_refuses_a_mistyped_name_before_any_download(no_sources, tmp_path):
    result = run.invoke(cli.app, ["fetch", "mnist", "glvoe"])
    assert result.exit_code == 2
    assert "glove" in result.output and "not fetched" not in result.output
    assert list(tmp_path.iterdir()) == []
    assert run.invoke(cli.app, ["fetch", "mnist", "--all"]).exit_code == 2
