"""The doctor notices each broken thing, names it, and gives the command that mends it.

Each test breaks one thing for real where it can (a folder without permission, a kernel
of another Python), and otherwise at the point where the machine is asked.
"""

import json
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import psutil
import pytest
import torch
from typer.testing import CliRunner

from lmcore.cli import app
from lmcore.course import doctor
from lmcore.course.doctor import FAIL, OK, WARN, Finding

PYTHON = f'"{sys.executable}"'


def test_a_sound_machine_passes() -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    assert "This machine can run every chapter." in result.output
    for name in ("Python", "torch", "device", "memory", "disk", "kernel", "cache"):
        assert f" {name}" in result.output


def test_a_failure_is_shown_with_its_remedy_and_the_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def check_x() -> Finding:
        return Finding("x", FAIL, "x is broken", "mend x")

    def check_y() -> Finding:
        raise OSError("y broke the doctor")

    monkeypatch.setattr(doctor, "CHECKS", (check_x, check_y))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "x is broken" in result.output
    assert "→ mend x" in result.output
    assert "y broke the doctor" in result.output
    assert "A chapter could not run: x, y." in result.output


def test_a_warning_leaves_the_exit_code_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_x() -> Finding:
        return Finding("x", WARN, "x is odd", "mend x")

    monkeypatch.setattr(doctor, "CHECKS", (check_x,))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0
    assert "→ mend x" in result.output


@pytest.mark.parametrize(
    ("version", "status", "words"),
    [
        ((3, 10, 4), FAIL, "3.11 or newer is needed"),
        ((3, 11, 0), OK, "3.11.0"),
        ((3, 14, 1), OK, "3.14.1"),
        ((3, 15, 0), WARN, "tested up to 3.14"),
    ],
)
def test_python(
    monkeypatch: pytest.MonkeyPatch, version: tuple, status: str, words: str
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    finding = doctor.check_python()
    assert (finding.status, words in finding.found) == (status, True)
    assert bool(finding.remedy) == (status != OK)


@pytest.mark.parametrize(
    ("error", "words", "remedy"),
    [
        (ImportError("No module named 'torch'"), "No module", "pip install torch"),
        (OSError("libgomp.so.1: cannot open"), "libgomp", "--force-reinstall torch"),
    ],
)
def test_torch_that_does_not_load(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str, remedy: str
) -> None:
    def fail(name: str) -> None:
        raise error

    monkeypatch.setattr(doctor.importlib, "import_module", fail)
    finding = doctor.check_torch()
    assert finding.status == FAIL
    assert words in finding.found
    assert finding.remedy.startswith(PYTHON)
    assert finding.remedy.endswith(remedy)


def test_old_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    finding = doctor.check_torch()
    assert finding.status == FAIL
    assert "2.6 or newer" in finding.found
    assert '"torch>=2.6"' in finding.remedy


@pytest.mark.parametrize("name", ["tpu", "cuda:7"])
def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("LMCORE_DEVICE", name)
    finding = doctor.check_device()
    assert finding.status == FAIL
    assert name in finding.found
    assert "LMCORE_DEVICE" in finding.remedy
    assert "cpu" in finding.remedy


def test_a_device_that_does_not_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*shape: int, device: torch.device) -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old\nmore")

    monkeypatch.setattr(torch, "ones", fail)
    finding = doctor.check_device()
    assert finding.status == FAIL
    assert "driver on your system is too old" in finding.found
    assert "\n" not in finding.found


@pytest.mark.parametrize(("free_mib", "status"), [(300, FAIL), (700, WARN), (900, OK)])
def test_memory(monkeypatch: pytest.MonkeyPatch, free_mib: int, status: str) -> None:
    memory = namedtuple("Memory", "available")(free_mib * 2**20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(doctor, "hungriest_chapter_mib", lambda: 400)
    finding = doctor.check_memory()
    assert finding.status == status
    assert "0.4 GiB needed" in finding.found


def test_memory_needed_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "chapters").mkdir()
    (tmp_path / "results").mkdir()
    table = {"notebooks": {"a": {"peak_mib": 3000}, "b": {"peak_mib": 200}}}
    (tmp_path / "results/notebooks.json").write_text(json.dumps(table))
    monkeypatch.chdir(tmp_path)
    assert doctor.hungriest_chapter_mib() == 3000


@pytest.mark.parametrize(("free", "status"), [(0.05, FAIL), (0.5, WARN), (5, OK)])
def test_disk(monkeypatch: pytest.MonkeyPatch, free: float, status: str) -> None:
    usage = namedtuple("Usage", "free")(free * 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    assert doctor.check_disk().status == status


def test_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)  # importing it now fails
    monkeypatch.setitem(sys.modules, "nbclient", None)
    finding = doctor.check_packages()
    assert finding.status == FAIL
    assert finding.remedy == f"{PYTHON} -m pip install nbclient scikit-learn"


def write_kernel(folder: Path, argv: list[str]) -> None:
    """A kernel named python3, as other tools leave it in a reader's home."""
    spec = folder / "kernels" / "python3"
    spec.mkdir(parents=True)
    kernel = {"argv": argv, "display_name": "Python 3", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(kernel))


def test_a_kernel_of_another_python(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = "import sys; sys.prefix = '/elsewhere'; import ipykernel.kernelapp as a; "
    code += "a.launch_new_instance()"
    write_kernel(tmp_path, [sys.executable, "-c", code, "-f", "{connection_file}"])
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    finding = doctor.check_kernel()
    assert finding.status == FAIL
    assert "would run in /elsewhere" in finding.found
    assert finding.remedy.startswith(f"{PYTHON} -m ipykernel install --sys-prefix")


def test_a_kernel_that_does_not_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_kernel(tmp_path, [sys.executable, "-c", "raise SystemExit(3)"])
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    finding = doctor.check_kernel()
    assert finding.status == FAIL
    assert "does not start" in finding.found


def test_a_matplotlib_that_does_not_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    def fail(figure: Figure) -> None:
        raise ValueError("findfont: no fonts")

    monkeypatch.setattr(Figure, "subplots", fail)
    finding = doctor.check_matplotlib()
    assert finding.status == FAIL
    assert "no fonts" in finding.found
    assert "matplotlib" in finding.remedy


def test_a_cache_folder_that_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("LMCORE_HOME", str(file))
    finding = doctor.check_cache()
    assert finding.status == FAIL
    assert str(file) in finding.found
    assert "LMCORE_HOME" in finding.remedy


def test_the_cache_check_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LMCORE_HOME", str(tmp_path / "new"))
    assert doctor.check_cache().status == OK
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_commands_fit_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert doctor.set_variable("A", "b") == '$env:A = "b"'
    monkeypatch.setattr(sys, "platform", "linux")
    assert doctor.set_variable("A", "b") == 'export A="b"'


def test_versions_are_numbers() -> None:
    assert doctor.version_of("2.13.0+cpu") == (2, 13, 0)
    assert doctor.version_of("2.13.0a0+git1") == (2, 13, 0)
    assert doctor.version_of("unknown") == ()
