"""Devices, seeds, and what importing lmcore costs."""

import subprocess
import sys

import pytest
import torch

from lmcore import runtime


def test_lmcore_device_is_honoured_and_checked(monkeypatch):
    monkeypatch.setenv("LMCORE_DEVICE", "cpu")
    assert runtime.pick_device() == torch.device("cpu")
    monkeypatch.setenv("LMCORE_DEVICE", "abacus")
    with pytest.raises(ValueError, match=r"LMCORE_DEVICE='abacus': must name a device"):
        runtime.pick_device()
    assert runtime.pick_device("cpu") == torch.device("cpu")  # the caller decides
    monkeypatch.setenv("LMCORE_DEVICE", "")
    assert runtime.pick_device().type == runtime.available_devices()[0]


def test_a_missing_gpu_is_named(monkeypatch):
    monkeypatch.setattr(runtime, "available_devices", lambda: ["cpu"])
    with pytest.raises(ValueError, match=r"name='cuda': must .*\(cpu\)"):
        runtime.pick_device("cuda")


def test_best_device_first(monkeypatch):
    monkeypatch.delenv("LMCORE_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert runtime.pick_device().type == "cuda"


def test_a_seed_fixes_every_generator():
    import random

    import numpy as np

    def draw():
        generator = runtime.seed_everything(7)
        return (
            random.random(),
            np.random.rand(),  # noqa: NPY002
            torch.rand(1).item(),
            torch.rand(1, generator=generator).item(),
        )

    assert draw() == draw()
    with pytest.raises(ValueError, match="seed=-1"):
        runtime.seed_everything(-1)


def test_peak_memory_is_that_of_a_process_with_torch():
    if sys.platform != "win32":
        assert 50 < runtime.peak_memory_mib() < 100_000


def test_importing_lmcore_prints_nothing_and_loads_no_torch():
    code = "import sys, lmcore; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert (result.stdout, result.stderr) == ("[]\n", "")
