"""How long does one training step of a small GPT take? lmcore beside `transformers`.

    python benchmarks/bench_gpt_step.py

4 layers, d_model 128, 4 heads, T 128, batch 32, vocabulary 4,096, float32, no dropout:
forward, loss, backward, AdamW. Writes results/bench_gpt_step.json.

lmcore's step is GPT, cross_entropy and AdamW of this library; the peer's is GPT-2 of
`transformers` with its own loss and torch's AdamW (its default, one loop over tensors,
and "fused"). "explicit loss" is lmcore with the loss written out as its equation.

Everything runs in this process, several rounds, each runner in each round, on the same
batch. On one thread (the default) times are processor time, which other programs on the
machine disturb less than the clock on the wall; with --threads above 1 they are wall
time. A ratio is the time of `transformers` / our time of the same round: above 1 we are
faster. Peak memory is that of a process of its own which takes two steps.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch
from side_by_side import own_peak_mib

from lmcore.course.notebooks import describe_machine
from lmcore.losses import cross_entropy, cross_entropy_explicit
from lmcore.models.gpt import GPT, GPTConfig
from lmcore.optim import AdamW

PATH = Path(__file__).parents[1] / "results" / "bench_gpt_step.json"
BATCH_SIZE, SEQ_LEN, VOCAB_SIZE = 32, 128, 4096
SIZES = {"d_model": 128, "n_layers": 4, "n_heads": 4}
PEER = "transformers"
RUNNERS = ("lmcore", "lmcore, explicit loss", PEER, "transformers, fused AdamW")
OPTIONS = {"lr": 1e-3, "betas": (0.9, 0.95), "weight_decay": 0.1}


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(
        VOCAB_SIZE, (BATCH_SIZE, SEQ_LEN + 1), generator=generator
    )  # speed does not depend on what the tokens say
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def make_ours(loss_fn: Callable) -> tuple[torch.nn.Module, Callable[[], float]]:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=VOCAB_SIZE, max_seq_len=SEQ_LEN, **SIZES))
    optimizer = AdamW(model.parameters(), **OPTIONS)
    ids, targets = batch()

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_fn(model(ids), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return model, step


def make_peer(fused: bool) -> tuple[torch.nn.Module, Callable[[], float]]:
    import transformers

    config = transformers.GPT2Config(
        vocab_size=VOCAB_SIZE,
        n_positions=SEQ_LEN,
        n_embd=SIZES["d_model"],
        n_layer=SIZES["n_layers"],
        n_head=SIZES["n_heads"],
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=fused, **OPTIONS)
    ids, targets = batch()

    def step() -> float:
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=ids, shift_labels=targets).loss
        loss.backward()
        optimizer.step()
        return loss.item()

    return model, step


def make(runner: str) -> tuple[torch.nn.Module, Callable[[], float]]:
    if runner.startswith(PEER):
        return make_peer(fused=runner != PEER)
    explicit = runner.endswith("explicit loss")
    return make_ours(cross_entropy_explicit if explicit else cross_entropy)


def measure_memory(runner: str) -> float:
    """Peak memory in MiB of a fresh process that takes two steps."""
    command = [sys.executable, __file__, "--only", runner]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(out.splitlines()[-1])


def profile(runner: str) -> None:
    """Where the time of a step goes, from torch's profiler."""
    _, step = make(runner)
    step()
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU]
    ) as found:
        step()
    table = found.key_averages().table(sort_by="self_cpu_time_total", row_limit=15)
    print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--beside", default="", help="what else ran on the machine")
    parser.add_argument("--profile", choices=RUNNERS, help="show where time goes")
    parser.add_argument("--only", choices=RUNNERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.profile:
        profile(args.profile)
        return
    if args.only:
        _, step = make(args.only)
        step(), step()
        print(own_peak_mib())
        return
    load = [round(x, 1) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None
    clock = time.process_time if args.threads == 1 else time.perf_counter
    models, steps = {}, {}
    for runner in RUNNERS:
        models[runner], steps[runner] = make(runner)
        first, second = steps[runner](), steps[runner]()
        assert second < first, f"{runner} does not learn"
    sizes = {sum(p.numel() for p in model.parameters()) for model in models.values()}
    assert len(sizes) == 1, f"models of unequal size: {sizes}"
    seconds: dict[str, list[float]] = {runner: [] for runner in RUNNERS}
    for _ in range(args.rounds):
        for runner, step in steps.items():
            start = clock()
            for _ in range(args.steps):
                step()
            seconds[runner].append((clock() - start) / args.steps)
    measured: dict[str, dict] = {}
    for runner in RUNNERS:
        ratios = sorted(
            theirs / ours
            for theirs, ours in zip(seconds[PEER], seconds[runner], strict=True)
        )
        measured[runner] = {
            "seconds_per_step": round(statistics.median(seconds[runner]), 3),
            "ratio": round(statistics.median(ratios), 2),
            "ratio_spread": [round(ratios[0], 2), round(ratios[-1], 2)],
            "peak_mib": round(measure_memory(runner)),
        }
        print(runner.ljust(28), measured[runner], flush=True)
    record = {
        "command": "python benchmarks/bench_gpt_step.py "
        f"--rounds {args.rounds} --steps {args.steps} --threads {args.threads}",
        "date": date.today().isoformat(),
        "machine": describe_machine(),
        "clock": "processor seconds" if args.threads == 1 else "wall seconds",
        "threads": args.threads,
        "rounds": args.rounds,
        "steps_per_round": args.steps,
        "parameters": sizes.pop(),
        "load_before": load,
        "beside": args.beside,
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "measured": measured,
    }
    PATH.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
