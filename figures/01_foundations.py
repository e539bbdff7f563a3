"""Part I: a neuron's answer, and the slope by which it learns."""

from pathlib import Path

import torch
from matplotlib.figure import Figure

from lmcore.activations import (
    gelu,
    gelu_derivative,
    relu,
    relu_derivative,
    sigmoid,
    sigmoid_derivative,
    tanh,
    tanh_derivative,
)
from lmcore.plotting import line_styles, new_plots, save_svg

ALT = (
    "Two panels over inputs from -4 to 4. Left, four activations: sigmoid and tanh "
    "level off on both sides, ReLU and GELU rise without end on the right. Right, "
    "their slopes: the sigmoid's is at most a quarter, those of ReLU and GELU stay "
    "near 1."
)
CURVES = {
    "sigmoid": (sigmoid, sigmoid_derivative),
    "tanh": (tanh, tanh_derivative),
    "ReLU": (relu, relu_derivative),
    "GELU": (gelu, gelu_derivative),
}


def draw() -> Figure:
    """Each activation, and its derivative beside it."""
    x = torch.linspace(-4, 4, 401, dtype=torch.float64)
    figure, (left, right) = new_plots(1, 2, width=9.0, height=3.6)
    for (name, functions), style in zip(CURVES.items(), line_styles(), strict=False):
        for axes, function in zip((left, right), functions, strict=True):
            axes.plot(x, function(x), label=name, **style)
    left.set(title="What a neuron says", xlabel="input z", ylabel="activation")
    left.set_ylim(-1.3, 3)
    right.set(title="How well it learns there", xlabel="input z", ylabel="slope")
    left.legend()
    return figure


if __name__ == "__main__":
    save_svg(draw(), Path(__file__).with_suffix(".svg"))
