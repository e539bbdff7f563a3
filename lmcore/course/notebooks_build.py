"""Build a chapter: translate its source, run every cell, keep the outputs.

What is written is the same from run to run when the cells' outputs are: no times, no
paths of this machine, no widget state, ids that follow from the text. Nothing is
written unless every cell ran.
"""

import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from traitlets import default

import lmcore
from lmcore.course.notebooks import (
    NOTEBOOK_METADATA,
    Chapter,
    kernel_environment,
    notebook_from_source,
    write_atomically,
)

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
FRAME = re.compile(r"File (?P<path>.+?):(?P<line>\d+)(?P<rest>.*)", re.DOTALL)


class BuildError(RuntimeError):
    """A chapter that does not run; the message says where and why."""


@dataclass(frozen=True)
class Run:
    """What running one notebook took.

    Attributes:
        cells: Code cells that ran.
        seconds: Wall clock from starting the kernel to stopping it.
        cpu_seconds: Processor time of the kernel and its children.
        peak_mib: Largest resident memory seen of the kernel and its children, in MiB.
    """

    cells: int
    seconds: float
    cpu_seconds: float
    peak_mib: float


class OwnKernelManager(AsyncKernelManager):
    """Starts the Python that runs this code, whatever else is called ``python3``."""

    @default("kernel_spec_manager")
    def _own_kernel_only(self) -> KernelSpecManager:
        own = Path(sys.prefix) / "share" / "jupyter" / "kernels"
        return KernelSpecManager(kernel_dirs=[str(own)])

    @default("transport_encryption")  # jupyter_client 8.9 and later
    def _encrypt_where_supported(self) -> str:
        return "auto"


def build_notebook(chapter: Chapter, *, threads: int = 2, timeout: int = 600) -> Run:
    """Run a chapter's source and write its notebook with outputs.

    Args:
        chapter: Whose source to run; its working directory is the chapter's folder.
        threads: How many threads numerical libraries may use.
        timeout: Seconds that one cell may take.

    Raises:
        BuildError: If there is no source or a cell fails; the old notebook stays.
    """
    if not chapter.source.exists():
        raise BuildError(f"{chapter.source} is missing: a notebook is built from it")
    notebook = notebook_from_source(chapter.source.read_text(encoding="utf-8"))
    run = execute(notebook, chapter, threads=threads, timeout=timeout)
    clean_outputs(notebook)
    nbformat.validate(notebook)
    write_atomically(chapter.notebook, nbformat.writes(notebook) + "\n")
    return run


def execute(
    notebook: NotebookNode, chapter: Chapter, *, threads: int, timeout: int
) -> Run:
    """Run every cell of a notebook in a fresh kernel and fill in its outputs.

    Raises:
        BuildError: If a cell fails that is not tagged ``raises-exception``.
    """
    reached = 0

    def remember(cell: NotebookNode, cell_index: int) -> None:
        nonlocal reached
        reached = cell_index

    client = NotebookClient(
        notebook,
        kernel_manager_class=OwnKernelManager,
        resources={"metadata": {"path": str(chapter.folder)}},
        timeout=timeout,
        startup_timeout=120,
        store_widget_state=False,
        coalesce_streams=True,
        record_timing=False,
        on_cell_execute=remember,
    )
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        environment = kernel_environment(threads, Path(scratch))
        with watched(client) as usage:
            try:
                client.execute(env=environment)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                raise BuildError(_failure(chapter, notebook, reached, error)) from None
    seconds = time.perf_counter() - started
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    return Run(
        cells=cells,
        seconds=seconds,
        cpu_seconds=usage.cpu_seconds,
        peak_mib=usage.peak_bytes / 2**20,
    )


@dataclass
class Usage:
    """What a kernel and its children have used so far.

    Attributes:
        peak_bytes: Largest sum of resident sizes seen.
        cpu_seconds: Largest sum of processor times seen.
    """

    peak_bytes: int = 0
    cpu_seconds: float = 0.0

    def sample(self, pid: int) -> None:
        """Look once at a process and at all that it started."""
        resident, seconds = 0, 0.0
        try:
            process = psutil.Process(pid)
            for member in (process, *process.children(recursive=True)):
                resident += member.memory_info().rss
                times = member.cpu_times()
                seconds += times.user + times.system
        except psutil.Error:  # it ended meanwhile; what was seen still counts
            pass
        self.peak_bytes = max(self.peak_bytes, resident)
        self.cpu_seconds = max(self.cpu_seconds, seconds)


@contextmanager
def watched(client: NotebookClient, interval: float = 0.2) -> Iterator[Usage]:
    """Sample what a client's kernel uses while the block runs."""
    usage, finished = Usage(), threading.Event()

    def keep_sampling() -> None:
        while not finished.wait(interval):
            pid = getattr(getattr(client.km, "provisioner", None), "pid", None)
            if pid is not None:
                usage.sample(pid)

    thread = threading.Thread(target=keep_sampling, daemon=True)
    thread.start()
    try:
        yield usage
    finally:
        finished.set()
        thread.join()


def _failure(
    chapter: Chapter, notebook: NotebookNode, index: int, error: Exception
) -> str:
    """Say which cell failed, with its source and its traceback."""
    cell = notebook.cells[index]
    number = sum(c.cell_type == "code" for c in notebook.cells[: index + 1])
    tracebacks = [
        "\n".join(clean_traceback(output.traceback))
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    reason = "\n".join(tracebacks) or ANSI.sub("", str(error))
    source = "\n".join(f"    {line}" for line in cell.source.splitlines())
    return f"{chapter.name}, code cell {number} failed:\n\n{source}\n\n{reason}"


def clean_outputs(notebook: NotebookNode) -> None:
    """Make stored outputs stable: no times, no machine's paths, alt text on images."""
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        for output in cell.outputs:
            if output.output_type == "error":
                output.traceback = clean_traceback(output.traceback)
            for mime in output.get("data", {}):
                if mime.startswith("image/") and "alt" in cell.metadata:
                    entry = output.metadata.setdefault(mime, {})
                    entry["alt"] = cell.metadata["alt"]


def clean_traceback(frames: list[str]) -> list[str]:
    """Keep a traceback's frames in cells and lmcore; drop colours and other frames.

    Args:
        frames: As IPython sends them, one string a frame with a path and some source.
    """
    package = Path(lmcore.__file__).resolve().parent
    cleaned: list[str] = []
    foreign = 0
    for frame in (ANSI.sub("", frame) for frame in frames):
        found = FRAME.match(frame)
        if found:
            path = Path(found["path"]).expanduser()
            if not path.is_relative_to(package):
                foreign += 1
                continue
            shown = path.relative_to(package.parent).as_posix()
            frame = f"File {shown}:{found['line']}{found['rest']}"
        if foreign:
            cleaned.append(_left_out(foreign))
            foreign = 0
        cleaned.append(frame)
    return [*cleaned, _left_out(foreign)] if foreign else cleaned


def _left_out(frames: int) -> str:
    return f"[{frames} frame{'s' * (frames > 1)} in other packages left out]"
