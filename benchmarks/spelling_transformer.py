"""The Transformer of the comparison, trained for longer, with its weights kept.

``spelling_to_sound.py compare`` trains LSTM and Transformer side by side and keeps no
weights; chapter 08 looks into a Transformer's cross-attention and needs some. Same
model, data, batches and loss; half the learning rate, as in the recipe ``long``, and no
dropout, since no pair is read more than twice.

    python benchmarks/spelling_transformer.py

About five minutes on one core of a quiet CPU. Writes results/spelling_transformer/:
result.json, config.json and model.safetensors (16-bit). Test words are read once, for
the finished model.
"""

import argparse
import json
from pathlib import Path

import torch
from spelling_to_sound import best_rate, conditions, pronounce, recipe, score, train_one

from lmcore.data.pronunciations import pronunciation_splits
from lmcore.train import save_weights

FOLDER = Path(__file__).parents[1] / "results" / "spelling_transformer"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max-steps", type=int, default=3000)
    steps = parser.parse_args().max_steps
    torch.set_num_threads(1)
    config = recipe("transformer", steps, best_rate("transformer") / 2)
    model, record = train_one("transformer", config, 0.0, max(1, steps // 10))
    model.half().float()  # what is measured is what is stored
    test = pronunciation_splits().test
    record["test"] = score(pronounce(model, list(test)), test)
    FOLDER.mkdir(parents=True, exist_ok=True)
    command = f"python benchmarks/spelling_transformer.py --max-steps {steps}"
    record = conditions("") | record | {"command": command}
    text = json.dumps(record, indent=1)
    (FOLDER / "result.json").write_text(text + "\n", encoding="utf-8")
    text = json.dumps(model.config.to_dict())
    (FOLDER / "config.json").write_text(text + "\n", encoding="utf-8")
    save_weights(FOLDER / "model.safetensors", model.half())
    print(record["test"])


if __name__ == "__main__":
    main()
