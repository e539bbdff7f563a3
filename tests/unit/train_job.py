"""A small real run: a tied, dropped-out LSTM on Python's own manual, byte by byte.

Tests call these functions; as a script (``python train_job.py OUT_DIR RESULT.json``,
alone or under torchrun) it makes the run and writes down what came out.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

import torch

from lmcore.config import TrainConfig
from lmcore.data import next_token_pairs, python_reference
from lmcore.losses import cross_entropy
from lmcore.models.rnn_lm import RNNLM, RNNLMConfig
from lmcore.train import train

TEXT = "".join(list(python_reference().parts.values())[:8]).encode()
IDS = torch.frombuffer(bytearray(TEXT[:20_000]), dtype=torch.uint8)
INPUTS, TARGETS = next_token_pairs(IDS, seq_len=16)
CONFIG = TrainConfig(
    max_steps=24,
    lr=1e-2,
    min_lr=1e-3,
    warmup_steps=4,
    weight_decay=0.1,
    grad_clip=1.0,
    grad_accum_steps=2,
    batch_size=8,
    seed=5,
)


def make_model(seed: int = 0, dropout: float = 0.2) -> RNNLM:
    torch.manual_seed(seed)
    return RNNLM(
        RNNLMConfig(
            vocab_size=256,
            input_size=16,
            hidden_size=16,
            n_layers=1,
            dropout=dropout,
            tie_weights=True,
        )
    )


def get_batch(step: int, micro: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Eight windows, and a different number of ignored targets in each micro-batch."""
    generator = torch.Generator().manual_seed(1000 * step + micro)
    rows = torch.randint(len(INPUTS), (CONFIG.batch_size,), generator=generator)
    targets = TARGETS[rows].clone()  # (B, T)
    targets[: micro + 1, : (step * 5 + micro * 3) % 16] = -100
    return INPUTS[rows], targets


def loss_fn(model, inputs, targets):
    """The summed cross-entropy and how many targets it counts."""
    count = (targets != -100).sum()
    return cross_entropy(model(inputs).float(), targets) * count, count


def evaluate(model) -> dict[str, float]:
    loss = cross_entropy(model(INPUTS[:40]), TARGETS[:40])
    return {"loss": loss.item(), "bits": loss.item() / 0.6931}


def fingerprint(model) -> str:
    """One hash over all bits of all weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.detach().numpy().tobytes())
    return digest.hexdigest()


def main(out_dir: str, result: str) -> None:
    torch.set_num_threads(1)
    model = make_model(dropout=0.0)
    history = train(
        model,
        get_batch,
        loss_fn,
        CONFIG,
        evaluate=evaluate,
        eval_every=8,
        out_dir=out_dir,
        save_every=6,
        device="cpu",
    )
    weights = {n: t.tolist() for n, t in model.state_dict().items()}
    found = {"history": history.to_dict(), "weights": weights}
    path = Path(f"{result}.{os.environ.get('RANK', '0')}")
    path.write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
