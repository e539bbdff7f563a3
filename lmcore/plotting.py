"""The course's plots: one style, one palette, one place.

The colours are the eight of Okabe and Ito (2008), which readers with any common form
of colour blindness can tell apart; lines also differ in dash, so that a plot survives
a black-and-white printer. No other file of lmcore imports matplotlib.
"""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "black": "#000000",
    "yellow": "#F0E442",
}
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), "-")

STYLE = {
    "figure.figsize": (7.2, 4.0),
    "figure.dpi": 80,
    "savefig.dpi": 80,
    "figure.constrained_layout.use": True,
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.labelsize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.7,
    "lines.linewidth": 2.2,
    "legend.frameon": False,
    "image.cmap": "cividis",
    "svg.hashsalt": "lmcore",
}


def use_style() -> None:
    """Set the house style for every plot drawn after this call."""
    mpl.rcParams.update(STYLE)
    mpl.rcParams["axes.prop_cycle"] = mpl.cycler(
        color=list(COLOURS.values()), linestyle=list(DASHES)
    )


def line_styles() -> Iterator[dict]:
    """Endless pairs of colour and dash, for curves drawn one at a time."""
    return cycle(
        {"color": colour, "linestyle": dash}
        for colour, dash in zip(COLOURS.values(), DASHES, strict=True)
    )


def new_plot(
    title: str,
    xlabel: str,
    ylabel: str,
    *,
    width: float = 7.2,
    height: float = 4.0,
) -> tuple[Figure, Axes]:
    """One plot with its message as title and both axes labelled, units included.

    Args:
        title: The one thing the plot says.
        xlabel: What the horizontal axis shows, with its unit.
        ylabel: What the vertical axis shows, with its unit.
        width: In inches.
        height: In inches.
    """
    use_style()
    figure, axes = plt.subplots(figsize=(width, height))
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    return figure, axes


def new_plots(
    rows: int,
    columns: int,
    *,
    width: float = 10.0,
    height: float = 3.4,
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[Figure, list[Axes]]:
    """A grid of small plots as a flat list; label each with ``axes.set(...)``.

    Args:
        rows: Plots from top to bottom.
        columns: Plots from left to right.
        width: Of the whole figure, in inches.
        height: Of the whole figure, in inches.
        sharex: One horizontal axis for all.
        sharey: One vertical axis for all.
    """
    use_style()
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(width, height),
        squeeze=False,
        sharex=sharex,
        sharey=sharey,
    )
    return figure, list(grid.flat)


def save_svg(figure: Figure, path: str | Path) -> None:
    """Write a figure; the same figure gives the same file, without a date."""
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)


def plotted(axes: Axes) -> dict[str, list[float]]:
    """What the lines of a plot show, label to y values: for the cell that checks it."""
    return {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}
