"""Part IV: how much of a published encoder has to be trained?"""

import json
from pathlib import Path

from matplotlib.figure import Figure

from lmcore.plotting import COLOURS, new_plot, save_svg

ALT = (
    "Accuracy on 2,000 film sentences against the share of an encoder that is trained, "
    "on a logarithmic axis. A new head alone reaches 78 %, LoRA with 0.3 % of the "
    "weights 84 %, all weights 86 %; the same encoder from random weights 72 %, below "
    "a bag of words at 76 %. Bars show 95 % intervals."
)
RESULTS = Path(__file__).parents[1] / "results" / "fine_tuning.json"
SHOWN = {
    "head": ("head alone", "o"),
    "LoRA": ("LoRA", "D"),
    "last 2": ("last two blocks", "s"),
    "all": ("all weights", "^"),
    "random weights": ("all, from random weights", "v"),
}


def draw() -> Figure:
    """A point for each strategy, with its interval, and the bag of words as a line."""
    record = json.loads(RESULTS.read_text(encoding="utf-8"))
    trained = {run["strategy"]: run["trained_parameters"] for run in record["runs"]}
    rows = {row["strategy"]: row for row in record["summary"]}
    figure, axes = new_plot(
        "Small corrections to a published encoder do nearly all the work",
        "numbers trained",
        "accuracy (%)",
        width=9.0,
    )
    for (name, (label, marker)), colour in zip(
        SHOWN.items(), COLOURS.values(), strict=False
    ):
        low, high = (100 * bound for bound in rows[name]["interval"])
        mean, numbers = 100 * rows[name]["mean"], trained[name]
        bars = [[mean - low], [high - mean]]
        axes.errorbar(
            numbers, mean, bars, color=colour, fmt=marker, capsize=4, markersize=9
        )
        beside = (-10, 0) if numbers > 1e6 else (10, 0)
        side = "right" if numbers > 1e6 else "left"
        axes.annotate(
            label,
            (numbers, mean),
            beside,
            textcoords="offset points",
            ha=side,
            va="center",
        )
    baselines = {row["name"]: row["test_accuracy"] for row in record["baselines"]}
    counted = 100 * baselines["bag of words"]
    axes.axhline(counted, color=COLOURS["black"], linestyle=":")
    axes.annotate("bag of words", (2e5, counted + 0.4))
    axes.set_xscale("log")
    return figure


if __name__ == "__main__":
    save_svg(draw(), Path(__file__).with_suffix(".svg"))
