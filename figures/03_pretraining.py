"""Part III: a GPT passes the models that count."""

import json
from pathlib import Path

from matplotlib.figure import Figure

from lmcore.course.scoreboard import read_scoreboard
from lmcore.plotting import COLOURS, new_plot, save_svg

ALT = (
    "A falling curve: bits per byte of a GPT on validation plays against millions of "
    "tokens read, from 2.29 to 1.95. Dashed lines mark a byte 3-gram, a byte LSTM and "
    "the best n-gram, measured on the test plays; the curve ends below them all."
)
HISTORY = Path(__file__).parents[1] / "results" / "gpt_course" / "history.json"
LINES = {
    "byte 3-gram, Kneser-Ney": "purple",
    "byte LSTM, 2 layers": "green",
    "512-token 6-gram, modified Kneser-Ney": "orange",
}


def draw() -> Figure:
    """The training's validation curve, with three rows of the scoreboard."""
    history = json.loads(HISTORY.read_text(encoding="utf-8"))
    rows = history["evaluations"]
    bits = {row.model: row.bits_per_byte for row in read_scoreboard()}
    figure, axes = new_plot(
        "A small GPT passes the n-grams and the LSTM",
        "tokens read (millions)",
        "bits per byte (curve: validation)",
        width=9.0,
    )
    tokens = [row["tokens"] / 1e6 for row in rows]
    curve = [row["bits_per_byte"] for row in rows]
    axes.plot(tokens, curve, marker="o")
    axes.annotate("GPT, 3.9 M parameters", (tokens[-1], curve[-1] - 0.08), ha="right")
    for (model, colour), dash in zip(LINES.items(), ("--", "-.", ":"), strict=True):
        axes.axhline(bits[model], color=COLOURS[colour], linestyle=dash)
        axes.annotate(model, (tokens[-1], bits[model] + 0.03), ha="right")
    axes.set_ylim(1.8, 3.1)
    return figure


if __name__ == "__main__":
    save_svg(draw(), Path(__file__).with_suffix(".svg"))
