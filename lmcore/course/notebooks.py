"""Chapter notebooks: where they lie, how text and notebook translate, what they take.

A chapter is a pair of files. ``chapters/NN_slug.py`` is the source that people edit
(jupytext's percent format: ``# %%`` starts a cell); ``chapters/NN_slug.ipynb`` is
built from it by ``lmcore notebooks build`` and keeps the outputs. The direction is
fixed, from the source to the notebook, and no file's date has a say in it.
"""

import hashlib
import json
import os
import platform
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import nbformat
import psutil
from nbformat import NotebookNode

import lmcore
from lmcore.config import require

CHAPTER_NAME = re.compile(r"(\d\d|[A-Z])_[a-z0-9_]+")
BANDS = (
    (20, "under 20 s"),
    (60, "20–60 s"),
    (120, "1–2 min"),
    (300, "2–5 min"),
    (float("inf"), "over 5 min"),
)
CELL_METADATA = ("tags", "alt", "lines_to_next_cell")
NOTEBOOK_METADATA = {
    "jupytext": {  # how to write the text again; no "formats", so a copy is unpaired
        "cell_metadata_filter": "tags,alt,-all",
        "notebook_metadata_filter": "-all",
    },
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
    },
}


@dataclass(frozen=True)
class Chapter:
    """One chapter's pair of files.

    Attributes:
        folder: The folder that both lie in.
        name: Their common name without ending, such as ``03_activations``.
    """

    folder: Path
    name: str

    @property
    def source(self) -> Path:
        """The text that people edit."""
        return self.folder / f"{self.name}.py"

    @property
    def notebook(self) -> Path:
        """The notebook with outputs that is built from it."""
        return self.folder / f"{self.name}.ipynb"


def find_root(start: Path | None = None) -> Path:
    """The repository: the nearest folder upwards of ``start`` that has ``chapters/``.

    Args:
        start: Where to look first; None means the working directory, and then the
            folder that this lmcore was installed from.

    Raises:
        ValueError: If there is none.
    """
    package = Path(lmcore.__file__).resolve().parent
    starts = [start.resolve()] if start else [Path.cwd(), package]
    for folder in starts:
        for candidate in (folder, *folder.parents):
            if (candidate / "chapters").is_dir():
                return candidate
    raise ValueError(f"start={start}: must lie in the course's repository")


def find_chapters(root: Path, names: list[str] | None = None) -> list[Chapter]:
    """The chapters of ``root/chapters``, all of them or those named, in book order.

    Args:
        root: The repository.
        names: Each a name, its beginning (``03``), or the path of either file.

    Raises:
        ValueError: If a name fits no chapter or more than one.
    """
    folder = root / "chapters"
    files = [*folder.glob("*.py"), *folder.glob("*.ipynb")]
    known = sorted({f.stem for f in files if CHAPTER_NAME.fullmatch(f.stem)})
    if not names:
        return [Chapter(folder, name) for name in known]
    chosen = set()
    for name in names:
        stem = re.sub(r"\.(py|ipynb)$", "", re.split(r"[\\/]", name)[-1])
        fitting = [k for k in known if k == stem] or [
            k for k in known if stem and k.startswith(stem)
        ]
        require(len(fitting) == 1, "name", name, f"name one of {', '.join(known)}")
        chosen.update(fitting)
    return [Chapter(folder, name) for name in sorted(chosen)]


def notebook_from_source(text: str) -> NotebookNode:
    """Translate a chapter's source into a notebook without outputs.

    The same text gives the same notebook, ids included: a cell's id is a hash of what
    stands in it, so an edit elsewhere does not change it.
    """
    import jupytext

    notebook = jupytext.reads(text, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        digest = hashlib.sha256(f"{cell.cell_type}:{cell.source}".encode()).hexdigest()
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = f"{digest[:8]}-{seen[digest]}"
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in CELL_METADATA if key in cell.metadata}
        )
    return notebook


def source_from_notebook(notebook: NotebookNode) -> str:
    """The inverse: the text that ``jupytext --to py:percent`` writes for a notebook."""
    import jupytext

    return jupytext.writes(notebook, fmt="py:percent")


def write_atomically(path: Path, text: str) -> None:
    """Write a whole file or leave the old one as it was."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    os.replace(temporary, path)


def kernel_environment(threads: int, scratch: Path) -> dict[str, str]:
    """The environment in which a chapter runs, the same in ``build`` and ``check``.

    Args:
        threads: How many threads numerical libraries may use.
        scratch: An empty folder, so that no personal IPython profile takes part.
    """
    unwanted = ("PYTEST_", "COLUMNS", "LINES", "MPLBACKEND", "PYTHONHASHSEED")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return kept | {
        "CI": "true",
        "LMCORE_DEVICE": "cpu",
        "IPYTHONDIR": str(scratch),
        "OMP_WAIT_POLICY": "PASSIVE",  # or threads on a busy core burn time waiting
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        **dict.fromkeys(names, str(threads)),
    }


def time_band(seconds: float) -> str:
    """The coarse band that headers and the README quote, such as ``"20–60 s"``.

    Raises:
        ValueError: If ``seconds`` is negative or no number.
    """
    require(seconds >= 0, "seconds", seconds, "be a number >= 0")
    return next(band for limit, band in BANDS if seconds < limit)


def band_holds(band: str, seconds: float) -> bool:
    """Whether a quoted band agrees with a measurement.

    A band is meant for machines that differ, so a measurement just across its edge
    (by half of it) does not make the prose wrong.

    Raises:
        ValueError: If there is no such band.
    """
    names = [name for _, name in BANDS]
    require(band in names, "band", band, f"be one of {names}")
    index = names.index(band)
    low = BANDS[index - 1][0] if index else 0
    return low / 1.5 <= seconds < BANDS[index][0] * 1.5


def bands_in(text: str) -> list[str]:
    """The bands that a text quotes, in order; "1–2 minutes" is none."""
    return [band for _, band in BANDS if re.search(rf"(?<!\w){band}(?!\w)", text)]


def describe_machine() -> str:
    """One line on what the times were measured on."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{platform.system()} {platform.machine()}, {_processor()}, "
        f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"
    )


def _processor() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*:\s*(.+)", info.read_text())
        if found:
            return found[1]
    return platform.processor() or "unknown processor"


def results_path(root: Path) -> Path:
    """Where the measured times are kept."""
    return root / "results" / "notebooks.json"


def read_results(root: Path) -> dict[str, dict]:
    """Measured seconds, peak memory and date of each chapter, by name."""
    path = results_path(root)
    if not path.exists():
        return {}
    return json.loads(path.read_text(encoding="utf-8"))["notebooks"]


def record_result(
    root: Path, name: str, *, seconds: float, cpu_seconds: float, peak_mib: float
) -> None:
    """Add one chapter's measurement to ``results/notebooks.json``.

    Args:
        root: The repository.
        name: The chapter.
        seconds: Wall clock, which a busy machine makes longer.
        cpu_seconds: Processor time, which it hardly does.
        peak_mib: Peak resident memory, in MiB.
    """
    machine = describe_machine()
    entry = {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "peak_mib": round(peak_mib),
        "date": date.today().isoformat(),
        "machine": machine,
    }
    notebooks = read_results(root) | {name: entry}
    exists = {chapter.name for chapter in find_chapters(root)}
    table = {
        "command": "lmcore notebooks build",
        "machine": machine,
        "notebooks": {
            key: notebooks[key] for key in sorted(notebooks) if key in exists
        },
    }
    results_path(root).parent.mkdir(exist_ok=True)
    write_atomically(
        results_path(root), json.dumps(table, indent=2, ensure_ascii=False) + "\n"
    )
