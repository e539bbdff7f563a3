"""The front pages' figures are what their files draw."""

import json
import platform
import runpy
from pathlib import Path

import pytest

from lmcore.course.scoreboard import read_scoreboard
from lmcore.plotting import save_svg

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "figures").glob("*.py"))
REFERENCE = platform.system() == "Linux" and platform.machine() == "x86_64"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_figure_is_what_its_file_draws(path: Path, tmp_path: Path) -> None:
    figure = runpy.run_path(str(path))
    assert 60 < len(figure["ALT"]) < 500
    save_svg(figure["draw"](), tmp_path / "figure.svg")
    drawn = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    stored = path.with_suffix(".svg").read_text(encoding="utf-8")
    if REFERENCE:  # elsewhere fonts and last digits differ
        assert drawn == stored, f"draw it anew: python run.py figures ({path.name})"


def test_no_figure_is_left_of_a_file_that_is_gone() -> None:
    drawn = {path.with_suffix(".svg") for path in FILES}
    assert drawn == set((ROOT / "figures").glob("*.svg"))
    assert len(drawn) >= 5


def test_figures_in_words_are_the_measured_ones() -> None:
    words = {path.stem: runpy.run_path(str(path))["ALT"] for path in FILES}
    bits = [row.bits_per_byte for row in read_scoreboard()]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    picture = next(x for x in readme.splitlines() if x.startswith("![Nine"))
    for text in (words["00_scoreboard"], picture):
        assert "Nine" in text and len(bits) == 9
        assert f"{max(bits):.2f}" in text and f"{min(bits):.2f}" in text
    record = json.loads((ROOT / "results" / "fine_tuning.json").read_text("utf-8"))
    shown = {row["strategy"]: row["mean"] for row in record["summary"]}
    shown |= {row["name"]: row["test_accuracy"] for row in record["baselines"]}
    for name in ("head", "LoRA", "all", "random weights", "bag of words"):
        assert f"{100 * shown[name]:.0f} %" in words["04_adaptation"], name
    path = ROOT / "results" / "gpt_course" / "history.json"
    curve = json.loads(path.read_text("utf-8"))["evaluations"]
    for row in (curve[0], curve[-1]):
        assert f"{row['bits_per_byte']:.2f}" in words["03_pretraining"]
