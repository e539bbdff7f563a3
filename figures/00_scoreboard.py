"""The course in one picture: what each chapter's model makes of the same plays."""

from pathlib import Path

from matplotlib.figure import Figure

from lmcore.course.scoreboard import read_scoreboard
from lmcore.plotting import COLOURS, new_plot, save_svg

ALT = (
    "Nine horizontal bars, one a language model, from 4.78 bits per byte for counted "
    "bytes over n-grams, a neural n-gram and an LSTM down to 1.90 for a GPT of 3.9 "
    "million parameters; each names its chapter."
)
FAMILIES = {  # beginning or part of a model's name: colour
    "gram": "blue",
    "neural": "orange",
    "LSTM": "green",
    "GPT": "vermilion",
}


def colour_of(model: str) -> str:
    """The colour of the last family that the name belongs to."""
    return COLOURS[[c for part, c in FAMILIES.items() if part in model][-1]]


def draw() -> Figure:
    """A bar for each row of results/scoreboard.json, the best at the bottom."""
    rows = sorted(read_scoreboard(), key=lambda row: row.bits_per_byte)
    figure, axes = new_plot(
        "From counted bytes to a GPT, on unseen plays",
        "bits per byte (8 is blind guessing; lower is better)",
        "",
        width=9.0,
        height=4.6,
    )
    names = [f"{row.model}  ({row.chapter[:2]})" for row in rows]
    bits = [row.bits_per_byte for row in rows]
    axes.barh(names, bits, color=[colour_of(row.model) for row in rows], height=0.68)
    for place, value in enumerate(bits):
        axes.annotate(f"{value:.2f}", (value + 0.05, place), va="center")
    axes.set_ylabel("model (chapter)")
    axes.set_xlim(0, 5.3)
    axes.grid(axis="y", visible=False)
    return figure


if __name__ == "__main__":
    save_svg(draw(), Path(__file__).with_suffix(".svg"))
