"""The scoreboard keeps complete rows that were measured on one text."""

import json

import pytest

from lmcore.course.scoreboard import (
    Row,
    add_rows,
    read_scoreboard,
    row_from_dict,
    scoreboard_table,
)

FIELDS = {
    "model": "uniform over bytes",
    "chapter": "01_language_models",
    "bits_per_byte": 8.0,
    "train_seconds": 0.0,
    "parameters": 0,
    "command": "python benchmarks/scoreboard_ngram.py",
    "machine": "this one",
    "date": "2026-11-22",
}


def test_rows_come_back_best_first(tmp_path):
    path = tmp_path / "results" / "scoreboard.json"
    worse = Row(**FIELDS)
    better = Row(**FIELDS | {"model": "5-gram", "bits_per_byte": 2.25, "parameters": 7})
    add_rows([worse], "the text", path)
    add_rows([better], "the text", path)
    assert read_scoreboard(path) == [better, worse]


def test_a_model_has_one_row(tmp_path):
    path = tmp_path / "scoreboard.json"
    add_rows([Row(**FIELDS)], "the text", path)
    again = Row(**FIELDS | {"bits_per_byte": 7.5})
    add_rows([again], "the text", path)
    assert read_scoreboard(path) == [again]


def test_another_text_is_refused_and_the_board_stays(tmp_path):
    path = tmp_path / "scoreboard.json"
    add_rows([Row(**FIELDS)], "the text", path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="SHA-256 of test_text"):
        add_rows([Row(**FIELDS | {"model": "other"})], "the text, changed", path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", FIELDS)
def test_a_missing_field_is_refused(tmp_path, name):
    fields = {key: value for key, value in FIELDS.items() if key != name}
    with pytest.raises(ValueError, match=f"have the fields {name}"):
        row_from_dict(fields)
    path = tmp_path / "scoreboard.json"
    path.write_text(json.dumps({"test_text": {}, "rows": [fields]}))
    with pytest.raises(ValueError, match=name):
        read_scoreboard(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", " "),
        ("chapter", ""),
        ("command", None),
        ("bits_per_byte", float("nan")),
        ("bits_per_byte", float("inf")),
        ("bits_per_byte", "2.3"),
        ("train_seconds", -1),
        ("parameters", 1.5),
        ("date", "yesterday"),
    ],
)
def test_an_unusable_field_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        Row(**FIELDS | {name: value})


def test_an_unknown_field_is_refused():
    with pytest.raises(ValueError, match="not have the fields accuracy"):
        row_from_dict(FIELDS | {"accuracy": 1.0})


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"rows": [3]}', '{"rows": 3}'])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "scoreboard.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="scoreboard"):
        read_scoreboard(path)


def test_no_file_is_an_empty_board(tmp_path):
    assert read_scoreboard(tmp_path / "scoreboard.json") == []
    assert scoreboard_table([]).split() == [
        *("bits/byte", "model", "train", "s", "parameters", "chapter")
    ]


def test_the_table_shows_each_row():
    row = Row(**FIELDS | {"parameters": 1234567, "train_seconds": 61.7})
    line = scoreboard_table([row]).splitlines()[1]
    assert line.split() == [
        *("8.000", "uniform", "over", "bytes", "62", "1,234,567"),
        "01_language_models",
    ]
