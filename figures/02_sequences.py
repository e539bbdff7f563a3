"""Part II: where a trained Transformer looks while it spells a word out."""

import json
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lmcore.data import pronunciations as cmu
from lmcore.models.seq2seq_transformer import (
    TransformerSeq2Seq,
    TransformerSeq2SeqConfig,
)
from lmcore.plotting import new_plots, save_svg
from lmcore.train import load_weights

ALT = (
    "Two heat maps, for the words mechanism and philosophy: letters from left to "
    "right, the phonemes that a Transformer writes from top to bottom. The bright "
    "cells run down the diagonal: each sound is written while looking at its letters, "
    "K at c and h, F at p and h."
)
FOLDER = Path(__file__).parents[1] / "results" / "spelling_transformer"
WORDS = ("mechanism", "philosophy")
LETTERS, PHONEMES = cmu.letter_symbols(), cmu.phoneme_symbols()


def load_model() -> TransformerSeq2Seq:
    """Chapter 08's speller, as it was trained."""
    fields = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    fields.pop("model", None)
    model = TransformerSeq2Seq(TransformerSeq2SeqConfig(**fields))
    model.load_state_dict(load_weights(FOLDER / "model.safetensors"))
    return model.eval()


@torch.no_grad()
def spell(model: TransformerSeq2Seq, word: str) -> tuple[list[str], Tensor]:
    """The phonemes written greedily, and where the last block looked, (T, S)."""
    source = torch.tensor([LETTERS.encode(word)])
    ids = [cmu.START]
    while ids[-1] != cmu.END:
        ids.append(int(model(source, torch.tensor([ids]))[0, -1].argmax()))
    weights = model.attention_weights(source, torch.tensor([ids[:-1]]))
    return [*PHONEMES.decode(ids[1:-1]), "END"], weights[-1, 0].mean(0)


def draw() -> Figure:
    """A heat map for each word."""
    model = load_model()
    figure, grid = new_plots(1, 2, width=9.0, height=4.4)
    for axes, word in zip(grid, WORDS, strict=True):
        phonemes, weights = spell(model, word)
        axes.grid(False)
        image = axes.pcolormesh(weights.numpy().round(2), vmin=0, vmax=1)
        axes.invert_yaxis()
        axes.set_xticks([i + 0.5 for i in range(len(word))], list(word))
        axes.set_yticks([i + 0.5 for i in range(len(phonemes))], phonemes)
        axes.set(title=word, xlabel="letter read", ylabel="sound about to be written")
    figure.colorbar(image, ax=grid, label="attention weight, mean of the heads")
    return figure


if __name__ == "__main__":
    save_svg(draw(), Path(__file__).with_suffix(".svg"))
