"""Where computations run: device, number format, seeds and memory.

One rule for the whole course: the caller decides, and ``pick_device()`` is the default
decision (a CUDA GPU if there is one, else Apple's MPS, else the CPU). The environment
variable ``LMCORE_DEVICE`` overrides it; it is read when the function is called, never
at import.
"""

import functools
import os
import random
import sys
import time

import numpy as np
import psutil
import torch


def available_devices() -> list[str]:
    """The kinds of device this machine offers, best first."""
    found = []
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def pick_device(name: str | None = None) -> torch.device:
    """Choose the device: ``name``, else ``LMCORE_DEVICE``, else the best there is.

    Args:
        name: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"`` or None.

    Raises:
        ValueError: If the device does not exist on this machine.
    """
    argument, wanted = "name", name
    if wanted is None:
        argument, wanted = "LMCORE_DEVICE", os.environ.get("LMCORE_DEVICE") or None
    found = available_devices()
    if wanted is None:
        return torch.device(found[0])
    try:
        device = torch.device(wanted)
    except RuntimeError:
        device = None
    missing = device is None or device.type not in found
    if not missing and device.type == "cuda" and device.index is not None:
        missing = device.index >= torch.cuda.device_count()
    if missing:
        raise ValueError(
            f"{argument}={wanted!r}: must name a device of this machine "
            f"({', '.join(found)})"
        )
    return device


def pick_dtype(device: torch.device) -> torch.dtype:
    """The number format to train in: bfloat16 where it pays, else float32.

    It pays on a CUDA GPU that has it. On a CPU only a timed trial can tell: with
    matrix instructions for it (AMX, AVX512-BF16) bfloat16 is faster, without them many
    times slower.
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported(
        including_emulation=False
    ):
        return torch.bfloat16
    if device.type == "cpu" and probe_bf16() > 1.2:
        return torch.bfloat16
    return torch.float32


@functools.cache
def probe_bf16(size: int = 192, rounds: int = 4) -> float:
    """How many times faster a layer's training step is in bfloat16, on this CPU.

    The product of a linear layer, forward and backward, is timed in float32 and under
    autocast by turns; of each the fastest round counts, the one that other programs
    disturbed least. Takes some tens of milliseconds, once per process, and where
    bfloat16 is emulated up to a second.

    Args:
        size: Width of the layer; it reads ``4 * size`` rows.
        rounds: Of each format.
    """
    x = torch.ones(4 * size, size, requires_grad=True)
    weight = torch.ones(4 * size, size, requires_grad=True)
    best = {torch.float32: float("inf"), torch.bfloat16: float("inf")}
    for _ in range(rounds):
        for dtype in best:
            started = time.perf_counter()
            mixed = dtype == torch.bfloat16
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
                y = x @ weight.T
            y.backward(torch.ones_like(y))
            best[dtype] = min(best[dtype], time.perf_counter() - started)
        if best[torch.bfloat16] > 4 * best[torch.float32]:
            break  # emulated: no further round would make up for that
    return best[torch.float32] / best[torch.bfloat16]


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, NumPy and torch, and return a fresh CPU generator with that seed.

    Args:
        seed: An integer from 0 to 2**32 - 1 (NumPy's range).

    Returns:
        A generator for the code that takes one, so that it does not depend on who
        drew from torch's global generator before.

    Raises:
        ValueError: If the seed is out of range.
    """
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed!r}: must be an int from 0 to 2**32 - 1")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - seeds what others draw from
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def describe_device(device: torch.device) -> str:
    """One line on the device for a report: name and memory in GiB."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"cuda: {properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    memory = psutil.virtual_memory().total / 2**30
    return f"{device.type}: {os.cpu_count()} cores, {memory:.0f} GiB of memory"


def peak_memory_mib() -> float | None:
    """This process's largest resident memory so far, in MiB (None on Windows)."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
