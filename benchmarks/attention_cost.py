"""What does attention cost in time and memory as the text grows: explicit or fused?

``attention_explicit`` writes down the (H, T, T) scores; ``attention`` goes through
torch's fused kernel, which works on a block of them at a time and keeps none. Both give
the same numbers. Measured for lengths T from 128 to 4,096 (and for the longest with the
backward pass too), eight heads of width 64, causal, float32, on the CPU.

    python benchmarks/attention_cost.py

About a minute, on Linux or macOS. Memory: every case runs in a process of its own,
which attends once at length 64 (so that libraries have what they need), makes the
inputs, notes its peak and attends at length T; the peak's growth counts. Time: both
ways in turn in one process, the median of the rounds, in seconds of processor time,
which a busy machine stretches less than the clock. Writes results/attention_cost.json.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from datetime import date
from pathlib import Path

import torch
from torch import Tensor

from lmcore.attention import attention, attention_explicit, causal_mask
from lmcore.course.notebooks import describe_machine
from lmcore.runtime import peak_memory_mib

PATH = Path(__file__).parents[1] / "results" / "attention_cost.json"
LENGTHS = [128, 256, 512, 1024, 2048, 4096]
N_HEADS, D_HEAD = 8, 64
CASES = [(length, False) for length in LENGTHS] + [(LENGTHS[-1], True)]  # backward?
WAYS = ("explicit", "fused")


def inputs(length: int, backward: bool) -> list[Tensor]:
    """Random queries, keys and values, (1, H, T, K) each."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, N_HEADS, length, D_HEAD)
    qkv = [torch.randn(shape, generator=generator) for _ in range(3)]
    return [part.requires_grad_(backward) for part in qkv]


def attend(way: str, qkv: list[Tensor], backward: bool) -> Tensor:
    """Causal attention one way or the other, and its gradients if asked for."""
    with torch.set_grad_enabled(backward):
        if way == "explicit":
            mask = causal_mask(qkv[0].shape[2])
            output = attention_explicit(*qkv, mask=mask).output
        else:
            output = attention(*qkv, causal=True)
    if backward:
        output.sum().backward()
    return output.detach()


def peak_growth(way: str, length: int, backward: bool) -> float:
    """MiB by which this process's peak memory grows while it attends once."""
    attend(way, inputs(64, backward), backward)
    qkv = inputs(length, backward)
    before = peak_memory_mib()
    attend(way, qkv, backward)
    return peak_memory_mib() - before


def measured_apart(way: str, length: int, backward: bool) -> float:
    """``peak_growth`` in a process of its own, which ends with the measurement."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return round(pool.apply(peak_growth, (way, length, backward)), 1)


def median_seconds(length: int, backward: bool, rounds: int) -> dict[str, float]:
    """Median processor time of each way, in turn, after one round to warm up."""
    qkv = inputs(length, backward)
    seconds = {way: [] for way in WAYS}
    for _ in range(rounds + 1):
        for way in WAYS:
            started = time.process_time()
            attend(way, qkv, backward)
            seconds[way].append(time.process_time() - started)
    return {way: statistics.median(seconds[way][1:]) for way in WAYS}


def largest_difference(length: int) -> float:
    """Between the two outputs, forward."""
    qkv = inputs(length, backward=False)
    outputs = [attend(way, qkv, backward=False) for way in WAYS]
    return (outputs[0] - outputs[1]).abs().max().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []  # memory first: a child begins with all the memory of its parent
    for length, backward in CASES:
        row = {"length": length, "backward": backward}
        for way in WAYS:
            row[f"{way}_mib"] = measured_apart(way, length, backward)
        rows.append(row)
    for row in rows:
        times = median_seconds(row["length"], row["backward"], args.rounds)
        row |= {f"{way}_cpu_seconds": round(t, 6) for way, t in times.items()}
        print(row, flush=True)
    record = {
        "command": f"python benchmarks/attention_cost.py --threads {args.threads}"
        f" --rounds {args.rounds}",
        "machine": describe_machine(),
        "threads": args.threads,
        "torch": torch.__version__,
        "date": date.today().isoformat(),
        "n_heads": N_HEADS,
        "d_head": D_HEAD,
        "dtype": "float32",
        "causal": True,
        "largest_difference": largest_difference(LENGTHS[-1]),
        "rows": rows,
    }
    PATH.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
