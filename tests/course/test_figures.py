"""The front pages' figures are what their files draw."""

import platform
import runpy
from pathlib import Path

import pytest

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
