"""How much of a GPU does a training step use? Tokens a second, and the share of peak.

    python benchmarks/gpu_throughput.py               on a CUDA device; about 5 minutes
    python benchmarks/gpu_throughput.py --try-on-cpu  that the script works, on the CPU

GPT-2's shape (124 M parameters), 16 sequences of 1,024 tokens: forward, loss, backward,
AdamW; in float32, in bfloat16, and compiled. Then SmolLM2's decoding. The share of peak
(model FLOPs utilisation, MFU) is

    (6 N + 12 n_layers d_model T) * tokens per second / the card's peak

with N the parameters without the embeddings (Chowdhery et al., 2022, appendix B). Peaks
are the makers' figures for dense bfloat16 products; for float32 runs the share is of
that same peak. Writes results/gpu_throughput.json; without a GPU it says so and writes
nothing.
"""

import argparse
import json
import time
from datetime import date
from pathlib import Path

import torch

from lmcore.course.notebooks import describe_machine
from lmcore.generate import generate
from lmcore.losses import cross_entropy
from lmcore.models.gpt import GPT, GPTConfig
from lmcore.optim import AdamW
from lmcore.pretrained import load_smollm2
from lmcore.runtime import describe_device

PATH = Path(__file__).parents[1] / "results" / "gpu_throughput.json"
PEAK_TFLOPS = {  # dense bfloat16, from NVIDIA's data sheets
    "H200": 989,
    "H100": 989,
    "A100": 312,
    "L40S": 362,
    "L4": 121,
    "RTX 4090": 165,
}
SHAPE = {"vocab_size": 50304, "max_seq_len": 1024, "d_model": 768, "n_layers": 12}
SHAPE |= {"n_heads": 12}
TINY = {"vocab_size": 512, "max_seq_len": 64, "d_model": 64, "n_layers": 2}
TINY |= {"n_heads": 2}


def find_peak(name: str) -> float | None:
    """The card's peak in FLOP/s, if it is in the table."""
    found = [tflops for card, tflops in PEAK_TFLOPS.items() if card in name]
    return found[0] * 1e12 if found else None


def flops_per_token(model: GPT) -> float:
    """Of a training step: products with each weight, and attention's own."""
    c = model.config
    inner = [p for name, p in model.named_parameters() if "emb" not in name]
    n = sum(p.numel() for p in inner) + model.lm_head.weight.numel() * c.tie_weights
    return 6 * n + 12 * c.n_layers * c.d_model * c.max_seq_len


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def train_step(shape: dict, batch_size: int, device, dtype, compiled: bool, steps: int):
    """Seconds a step, peak memory in GiB, and FLOPs per token."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(**shape)).to(device)
    forward = torch.compile(model) if compiled else model
    optimizer = AdamW(model.parameters(), lr=1e-4)
    size = (batch_size, shape["max_seq_len"] + 1)
    ids = torch.randint(shape["vocab_size"], size, device=device)

    def step() -> float:
        optimizer.zero_grad()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = cross_entropy(forward(ids[:, :-1]), ids[:, 1:].contiguous())
        loss.backward()
        optimizer.step()
        return loss.item()

    first = step()
    for _ in range(3):
        last = step()
    assert last < first, "the model does not learn"
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    synchronise(device)
    started = time.perf_counter()
    for _ in range(steps):
        step()
    synchronise(device)
    seconds = (time.perf_counter() - started) / steps
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0
    return seconds, memory, flops_per_token(model)


def decode(device: torch.device, dtype: torch.dtype, n_tokens: int) -> float:
    """Tokens a second of SmolLM2, greedily, one text."""
    model, _ = load_smollm2(dtype, device=device)
    ids = list(range(1000, 1032))
    generate(model, [ids], 8)
    synchronise(device)
    started = time.perf_counter()
    generate(model, [ids], n_tokens)
    synchronise(device)
    return n_tokens / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--try-on-cpu", action="store_true")
    args = parser.parse_args()
    if not (torch.cuda.is_available() or args.try_on_cpu):
        print("No CUDA device: nothing to measure (--try-on-cpu tries the script).")
        return
    small = args.try_on_cpu
    device = torch.device("cpu" if small else "cuda")
    name = describe_device(device)
    peak = None if small else find_peak(name)
    shape, batch_size, steps = (TINY, 4, 3) if small else (SHAPE, 16, args.steps)
    rows = {}
    for label, dtype, compiled in (
        ("float32", torch.float32, False),
        ("bfloat16", torch.bfloat16, False),
        ("bfloat16, compiled", torch.bfloat16, True),
    ):
        if small and compiled:
            continue
        seconds, memory, flops = train_step(
            shape, batch_size, device, dtype, compiled, steps
        )
        tokens = batch_size * shape["max_seq_len"] / seconds
        rows[label] = {
            "seconds_per_step": round(seconds, 4),
            "tokens_per_second": round(tokens),
            "mfu": round(flops * tokens / peak, 3) if peak else None,
            "peak_gib": round(memory, 2),
        }
        print(label, rows[label], flush=True)
    for dtype in (torch.float32, torch.bfloat16):
        speed = decode(device, dtype, 8 if small else 128)
        label = f"SmolLM2 decodes, {str(dtype).split('.')[1]}"
        rows[label] = {"tokens_per_second": round(speed, 1)}
        print(label, rows[label], flush=True)
    if small:
        return
    record = {
        "command": f"python benchmarks/gpu_throughput.py --steps {steps}",
        "date": date.today().isoformat(),
        "machine": describe_machine(),
        "device": name,
        "torch": torch.__version__,
        "batch_size": batch_size,
        "shape": shape,
        "measured": rows,
    }
    PATH.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
