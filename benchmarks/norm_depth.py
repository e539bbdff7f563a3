"""Pre- against post-norm by depth: which trains, and with how much warm-up?

The same stack of blocks as a byte language model of the course's corpus, with the norm
before each layer or behind each sum (chapter 08). Same data, seed, steps and peak
learning rate; what changes is the number of blocks, the place of the norm and whether
the learning rate rises over the first steps or starts at its peak.

    python benchmarks/norm_depth.py

About five minutes on one core of a CPU. Writes results/norm_depth.json: for each run
the loss every 10 steps, the mean of the last 30 and the norm of the first gradient.

References: Xiong et al., 2020, sections 3 and 4. Vaswani et al., 2017, section 5.3.
"""

import json
import math
import os
import time
from datetime import date
from itertools import product
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from lmcore.config import TrainConfig
from lmcore.course.notebooks import describe_machine
from lmcore.data import course_corpus
from lmcore.layers import LayerNorm
from lmcore.losses import cross_entropy
from lmcore.positions import SinusoidalPositions
from lmcore.runtime import pick_device, seed_everything
from lmcore.transformer import Block

PATH = Path(__file__).parents[1] / "results" / "norm_depth.json"
DEPTHS = (2, 6, 12)
KINDS = (("pre", 0), ("post", 0), ("post", 150))  # norm, warm-up steps
D_MODEL, N_HEADS, SEQ_LEN = 64, 4, 32


class ByteModel(nn.Module):
    """Bytes to scores for the next byte, with the norm in either place."""

    def __init__(self, n_layers: int, pre_norm: bool) -> None:
        super().__init__()
        self.tok_emb = nn.Embedding(256, D_MODEL)
        self.pos_emb = SinusoidalPositions(SEQ_LEN, D_MODEL)
        self.blocks = nn.ModuleList(
            Block(D_MODEL, N_HEADS, 4 * D_MODEL, pre_norm=pre_norm)
            for _ in range(n_layers)
        )
        self.final_norm = LayerNorm(D_MODEL) if pre_norm else nn.Identity()
        self.lm_head = nn.Linear(D_MODEL, 256)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, 256)."""
        x = self.tok_emb(ids) + self.pos_emb(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x, causal=True)
        return self.lm_head(self.final_norm(x))


def draw_windows(
    text: torch.Tensor, n: int, generator: torch.Generator
) -> torch.Tensor:
    """n windows of SEQ_LEN + 1 bytes from random places, (n, SEQ_LEN + 1)."""
    starts = torch.randint(len(text) - SEQ_LEN, (n, 1), generator=generator)
    return text[starts + torch.arange(SEQ_LEN + 1)]


def train_once(n_layers: int, pre_norm: bool, train: TrainConfig) -> dict:
    """One run: its losses in nats per byte."""
    device = pick_device()
    generator = seed_everything(train.seed)
    raw = bytearray(course_corpus().train.encode())
    text = torch.frombuffer(raw, dtype=torch.uint8).long()
    model = ByteModel(n_layers, pre_norm).to(device)
    for parameter in model.blocks.parameters():
        if parameter.dim() == 2:
            nn.init.xavier_uniform_(parameter)
    optimizer = torch.optim.Adam(model.parameters(), lr=train.lr)
    losses, first_norm, started = [], None, time.perf_counter()
    for step in tqdm(range(1, train.max_steps + 1), disable="CI" in os.environ):
        window = draw_windows(text, train.batch_size, generator).to(device)
        loss = cross_entropy(model(window[:, :-1]), window[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), train.grad_clip).item()
        first_norm = norm if first_norm is None else first_norm
        rising = min(1.0, step / train.warmup_steps) if train.warmup_steps else 1.0
        optimizer.param_groups[0]["lr"] = train.lr * rising
        optimizer.step()
        losses.append(loss.item())
    return {
        "n_layers": n_layers,
        "norm": "pre" if pre_norm else "post",
        "warmup_steps": train.warmup_steps,
        "first_gradient": round(first_norm, 3),
        "nats_last_30": round(sum(losses[-30:]) / 30, 4),
        "nats": [round(loss, 3) for loss in losses[9::10]],
        "seconds": round(time.perf_counter() - started, 1),
    }


def main() -> None:
    train = TrainConfig(batch_size=16, max_steps=300, lr=1e-3, grad_clip=1.0, seed=0)
    torch.set_num_threads(1)
    runs = []
    for n_layers, (norm, warmup) in product(DEPTHS, KINDS):
        run = train_once(n_layers, norm == "pre", train.replace(warmup_steps=warmup))
        print({k: v for k, v in run.items() if k != "nats"}, flush=True)
        runs.append(run)
    result = {
        "command": "python benchmarks/norm_depth.py",
        "date": date.today().isoformat(),
        "machine": describe_machine(),
        "corpus": "course corpus, training works, bytes",
        "d_model": D_MODEL,
        "n_heads": N_HEADS,
        "seq_len": SEQ_LEN,
        "parameters_per_block": sum(
            p.numel() for p in Block(D_MODEL, N_HEADS, 4 * D_MODEL).parameters()
        ),
        "even_guess_nats": round(math.log(256), 4),
        "train_config": train.to_dict(),
        "runs": runs,
    }
    PATH.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
