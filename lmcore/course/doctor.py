"""The doctor: can this machine run a chapter, and if not, which command mends it?

Each check looks at one thing and tries it: it computes with torch, starts the kernel,
draws a figure, writes into the cache folder. A check imports what it looks at only
when it runs, so that the doctor can speak of a torch that does not load.
"""

import importlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

OK, WARN, FAIL = "ok", "warn", "fail"
OLDEST, NEWEST = (3, 11), (3, 14)  # the Pythons that CI runs
GIB = 2**30
PACKAGES = ("jupyterlab", "ipykernel", "nbformat", "nbclient", "jupytext", "sklearn")


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        name: What was looked at.
        status: ``"ok"``, ``"warn"`` (chapters run, with a restriction) or ``"fail"``
            (a chapter could not run).
        found: What is there, or what is wrong.
        remedy: The command that mends it; "" if nothing needs mending.
    """

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""


def check_python() -> Finding:
    """A Python that the course is tested with."""
    version = ".".join(map(str, sys.version_info[:3]))
    found = f"{version} in {sys.prefix}"
    again = "delete the folder .venv, then: python3.12 run.py lab"
    if sys.version_info[:2] < OLDEST:
        return Finding("Python", FAIL, f"{found}: 3.11 or newer is needed", again)
    if sys.version_info[:2] > NEWEST:
        newest = "{}.{}".format(*NEWEST)
        return Finding("Python", WARN, f"{found}: tested up to {newest}", again)
    return Finding("Python", OK, found)


def check_torch() -> Finding:
    """A torch that loads and multiplies."""
    install = pip_install("torch")
    try:
        torch = importlib.import_module("torch")
        result = float((torch.ones(2, 3) @ torch.ones(3, 2)).sum())
    except ImportError as error:
        return Finding("torch", FAIL, f"does not load: {error}", install)
    except OSError as error:  # a library of the system that torch needs is missing
        reinstall = pip_install("--force-reinstall", "torch")
        return Finding("torch", FAIL, f"does not load: {error}", reinstall)
    except RuntimeError as error:
        return Finding("torch", FAIL, f"does not compute: {error}", install)
    if result != 12.0:
        return Finding("torch", FAIL, f"computes 2·2·3 = {result}", install)
    if version_of(torch.__version__) < (2, 6):
        found = f"{torch.__version__}: 2.6 or newer is needed"
        return Finding("torch", FAIL, found, pip_install("--upgrade", "torch>=2.6"))
    return Finding("torch", OK, torch.__version__)


def check_device() -> Finding:
    """A device that computes: the one that experiments will take."""
    use_cpu = set_variable("LMCORE_DEVICE", "cpu")
    try:
        import torch

        from lmcore.runtime import describe_device, pick_device

        device = pick_device()
        torch.ones(2, device=device).sum().item()
    except ImportError:
        return Finding(
            "device", FAIL, "unknown, since torch does not load", "see torch"
        )
    except ValueError as error:
        return Finding("device", FAIL, str(error), use_cpu)
    except RuntimeError as error:  # found, but does not compute: an old driver
        found = f"does not compute: {error}".split("\n")[0]
        return Finding("device", FAIL, found, use_cpu)
    return Finding("device", OK, describe_device(device))


def check_memory() -> Finding:
    """Memory for the hungriest chapter."""
    import psutil

    needed_mib = hungriest_chapter_mib()
    free = psutil.virtual_memory().available
    found = f"{free / GIB:.1f} GiB free, {needed_mib / 1024:.1f} GiB needed"
    remedy = "close other programs; in a container, give it more memory"
    if free < needed_mib * 2**20:
        return Finding("memory", FAIL, found, remedy)
    if free < 2 * needed_mib * 2**20:
        return Finding("memory", WARN, f"{found}: little to spare", remedy)
    return Finding("memory", OK, found)


def check_disk(folder: Path | None = None) -> Finding:
    """Room on the disk for copies, results and fetched data."""
    folder = folder or Path.cwd()
    free = shutil.disk_usage(folder).free / GIB
    found = f"{free:.1f} GiB free at {folder}"
    remedy = f'"{sys.executable}" -m pip cache purge'
    if free < 0.1:
        return Finding("disk", FAIL, f"{found}: 0.1 GiB is needed", remedy)
    if free < 1:
        return Finding("disk", WARN, f"{found}: fetched models need up to 1", remedy)
    return Finding("disk", OK, found)


def check_packages() -> Finding:
    """The packages that chapters and JupyterLab need, besides torch."""
    missing = []
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append({"sklearn": "scikit-learn"}.get(name, name))
    if missing:
        found = f"missing: {', '.join(missing)}"
        return Finding("packages", FAIL, found, pip_install(*missing))
    return Finding("packages", OK, f"JupyterLab and {len(PACKAGES) - 1} others")


def check_kernel() -> Finding:
    """A kernel that starts, answers, and is this Python."""
    remedy = f'"{sys.executable}" -m ipykernel install --sys-prefix --name python3'
    started = time.perf_counter()
    try:
        prefix = ask_kernel("import sys; print(sys.prefix)")
    except Exception as error:  # whatever Jupyter says, the reader has to see it
        return Finding("kernel", FAIL, f"does not start: {error!r}", remedy)
    if Path(prefix).resolve() != Path(sys.prefix).resolve():
        found = f"notebooks would run in {prefix}, not in {sys.prefix}"
        return Finding("kernel", FAIL, found, remedy)
    return Finding("kernel", OK, f"answered in {time.perf_counter() - started:.1f} s")


def check_matplotlib() -> Finding:
    """A matplotlib that draws."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(1, 1))
        figure.subplots().plot([0, 1])
        FigureCanvasAgg(figure).print_png(io.BytesIO())
    except ImportError as error:
        found, remedy = f"does not load: {error}", pip_install("matplotlib")
        return Finding("matplotlib", FAIL, found, remedy)
    except Exception as error:  # fonts, configuration files, caches
        found = f"does not draw: {error!r}"
        remedy = pip_install("--force-reinstall", "matplotlib")
        return Finding("matplotlib", FAIL, found, remedy)
    return Finding("matplotlib", OK, importlib.import_module("matplotlib").__version__)


def check_cache() -> Finding:
    """A folder for fetched data that can be written to."""
    from lmcore.assets.cache import cache_folder

    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"lmcore")
    except OSError as error:
        found = f"{folder}: {error.strerror or error}"
        remedy = set_variable("LMCORE_HOME", str(Path(tempfile.gettempdir(), "lmcore")))
        return Finding("cache folder", FAIL, found, remedy)
    return Finding("cache folder", OK, str(folder))


CHECKS: tuple[Callable[[], Finding], ...] = (
    check_python,
    check_torch,
    check_device,
    check_memory,
    check_disk,
    check_packages,
    check_kernel,
    check_matplotlib,
    check_cache,
)


def ask_kernel(code: str, timeout: float = 60) -> str:
    """What the kernel that notebooks open with prints for ``code``.

    Raises:
        RuntimeError: If it does not start or answer in time.
    """
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(
        startup_timeout=timeout, kernel_name="python3", stderr=subprocess.DEVNULL
    )
    printed: list[str] = []

    def listen(message: dict) -> None:
        printed.append(message["content"].get("text", ""))

    try:
        client.execute_interactive(code, timeout=timeout, output_hook=listen)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return "".join(printed).strip()


def pip_install(*arguments: str) -> str:
    """The command that installs something into this very Python."""
    quoted = " ".join(f'"{a}"' if re.search(r"[<>= ]", a) else a for a in arguments)
    return f'"{sys.executable}" -m pip install {quoted}'


def set_variable(name: str, value: str) -> str:
    """The command that sets an environment variable in the shell of this system."""
    if sys.platform == "win32":
        return f'$env:{name} = "{value}"'
    return f'export {name}="{value}"'


def version_of(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: "2.13.0+cpu" gives (2, 13, 0)."""
    numbers = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(n) for n in numbers[0].split(".")) if numbers else ()


def hungriest_chapter_mib() -> float:
    """The largest peak in ``results/notebooks.json``; 1 GiB if there is none."""
    from lmcore.course.notebooks import find_root, read_results

    try:
        results = read_results(find_root())
    except (ValueError, OSError):
        results = {}
    return max((entry["peak_mib"] for entry in results.values()), default=1024)


def examine() -> list[Finding]:
    """Run every check; one that breaks is a finding too."""
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # as run.py lab has it
    findings = []
    for check in CHECKS:
        name = check.__name__.removeprefix("check_")
        try:
            findings.append(check())
        except Exception as error:  # a doctor who faints helps nobody
            findings.append(Finding(name, FAIL, repr(error), "python run.py doctor"))
    return findings
