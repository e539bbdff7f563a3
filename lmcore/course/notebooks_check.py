"""Check chapters: first every rule, then every output against a fresh run.

The second part is nbval's: it runs each notebook in a new kernel and compares what the
cells print with what is stored. It runs in a pytest process of its own, so that nothing
of this process, its options or its working directory takes part.
"""

import json
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import nbformat

from lmcore.config import require
from lmcore.course.chapter_rules import (
    FORM_RULES,
    band_quoted,
    band_true,
    file_small,
    header_text,
    parts_present,
    time_kept,
)
from lmcore.course.notebook_rules import (
    OUTPUT_RULES,
    code_cells,
    has_tag,
    ignored_outputs,
    in_sync,
)
from lmcore.course.notebooks import (
    Chapter,
    bands_in,
    find_chapters,
    kernel_environment,
    read_results,
)


@dataclass
class Report:
    """What the check of one chapter came to.

    Attributes:
        name: The chapter.
        problems: What is wrong, one message each.
        cells: Code cells.
        compared: Those whose outputs a fresh run gave again.
        outputs: Cells that have outputs.
        ignored: Those of them that are not compared.
        seconds: What running it took.
        whole: Whether every cell ran and, unless ignored, gave its outputs again.
    """

    name: str
    problems: list[str] = field(default_factory=list)
    cells: int = 0
    compared: int = 0
    outputs: int = 0
    ignored: int = 0
    seconds: float = 0.0
    whole: bool = False

    def line(self) -> str:
        """One line for the screen."""
        state = "ok" if not self.problems else f"FAILED ({len(self.problems)})"
        return (
            f"{self.name:30} {self.seconds:6.1f} s {self.compared:4} of {self.cells} "
            f"cells compared, {self.ignored} of {self.outputs} outputs ignored: {state}"
        )


def is_reference_platform(root: Path) -> bool:
    """Whether outputs are compared here: where the stored ones were made.

    That is Linux on x86-64, with the oldest Python that the course supports (its own
    documentation, which chapters read, differs between versions) and the pinned torch.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return False
    if sys.version_info[:2] != (3, 11):
        return False
    pins = root / "constraints.txt"
    torch = f"torch=={version('torch').split('+')[0]}"
    return pins.exists() and torch in pins.read_text(encoding="utf-8").split()


def check_notebooks(
    root: Path,
    names: list[str] | None = None,
    *,
    lax: bool = False,
    threads: int = 2,
    run: bool = True,
) -> list[Report]:
    """Check chapters against the rules and against a fresh run.

    Args:
        root: The repository.
        names: Chapters to check; None means all of them.
        lax: Run the cells without comparing what they print.
        threads: How many threads each kernel's libraries may use.
        run: Whether to run at all; without it only the rules are checked.

    Raises:
        ValueError: If a name fits no chapter, or there is none to check.
    """
    results = read_results(root)
    chapters = find_chapters(root, names)
    require(
        bool(chapters), "root", str(root), "hold chapters: there is nothing to check"
    )
    reports = {}
    for chapter in chapters:
        seconds = results.get(chapter.name, {}).get("seconds")
        report = Report(chapter.name, problems=check_rules(chapter, seconds))
        if chapter.notebook.exists():
            notebook = nbformat.read(chapter.notebook, as_version=4)
            report.cells = len(code_cells(notebook))
            report.ignored, report.outputs = ignored_outputs(notebook)
        reports[chapter.name] = report
    existing = [chapter for chapter in chapters if chapter.notebook.exists()]
    if run and existing:
        _run_nbval(existing, reports, lax=lax, threads=threads)
    return list(reports.values())


def check_rules(chapter: Chapter, seconds: float | None) -> list[str]:
    """Apply every rule to one chapter.

    Args:
        chapter: The pair to check.
        seconds: What its last build took, from ``results/notebooks.json``.

    Returns:
        Messages that name the file, the cell and the rule; none if all hold.
    """
    for path in (chapter.source, chapter.notebook):
        if not path.exists():
            return [f"{path.name}: is missing [pair]"]
    notebook = nbformat.read(chapter.notebook, as_version=4)
    found = {rule.__name__: rule(notebook) for rule in (*OUTPUT_RULES, *FORM_RULES)}
    found["in_sync"] = in_sync(notebook, chapter.source.read_text(encoding="utf-8"))
    found["file_small"] = file_small(chapter.notebook.stat().st_size)
    found["parts_present"] = parts_present(notebook, chapter.name)
    found["time_kept"] = time_kept(chapter.name, seconds)
    found["band_quoted"] = band_quoted(notebook, chapter.name)
    found["band_true"] = band_true(header_text(notebook), seconds)
    return [
        f"{chapter.notebook.name}, {place}: {message} [{rule}]"
        for rule, problems in found.items()
        for place, message in problems
    ]


def check_readme(root: Path) -> list[str]:
    """Every row of the README's table that names a chapter quotes a true time band."""
    results = read_results(root)
    rows = (root / "README.md").read_text(encoding="utf-8").splitlines()
    problems = []
    for name, result in results.items():
        for row in (r for r in rows if r.startswith("|") and name in r):
            if not bands_in(row):
                problems.append(f"README.md: the row of {name} quotes no time band")
            for _, message in band_true(row, result["seconds"]):
                problems.append(f"README.md: the row of {name} {message}")
    return problems


def _run_nbval(
    chapters: list[Chapter], reports: dict[str, Report], *, lax: bool, threads: int
) -> None:
    """Run nbval over the notebooks and add what it found to the reports."""
    folder = chapters[0].folder
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        written = Path(scratch) / "report.json"
        settings = Path(scratch) / "pytest.ini"
        settings.write_text("[pytest]\n", encoding="utf-8")
        options = ["--nbval-lax" if lax else "--nbval", "--nbval-current-env"]
        if len(chapters) > 1:
            options += ["--numprocesses=2", "--dist=loadscope"]
        command = [
            *(sys.executable, "-m", "pytest", "-q", "--color=no", "--noconftest"),
            *("-c", str(settings), "--rootdir", str(folder)),
            *("-p", "no:cacheprovider", "-p", "nbval.plugin", "-p", "xdist.plugin"),
            *("-p", "lmcore.course.nbval_plugin"),
            *("--nbval-cell-timeout=600", "--nbval-kernel-startup-timeout=120"),
            *("--notebook-report", str(written), *options),
            *(str(chapter.notebook) for chapter in chapters),
        ]
        environment = kernel_environment(threads, Path(scratch) / "ipython")
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # some reorder tests
        finished = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        if not written.exists():
            text = finished.stdout + finished.stderr
            raise RuntimeError(f"nbval did not run:\n{text}")
        results = json.loads(written.read_text(encoding="utf-8"))
    for chapter in chapters:
        _add_results(chapter, reports[chapter.name], results, lax=lax)


def _add_results(chapter: Chapter, report: Report, results: dict, *, lax: bool) -> None:
    """Enter nbval's outcome for one notebook into its report."""
    report.problems += [e for e in results["errors"] if chapter.notebook.name in e]
    cells = code_cells(nbformat.read(chapter.notebook, as_version=4))
    tagged = 0
    for number, cell in enumerate(cells):  # nbval counts from 0
        place = f"{chapter.notebook.name}, code cell {number + 1}"
        outcome = results["cells"].get(f"{chapter.notebook.name}::Cell {number}")
        if outcome is None:
            report.problems.append(f"{place}: did not run [nbval]")
            continue
        report.seconds += outcome["seconds"]
        if not outcome["passed"]:
            message = outcome["message"].strip() or "was skipped"
            report.problems.append(f"{place}: [nbval]\n{message}")
        elif has_tag(cell, "nbval-ignore-output"):
            tagged += 1
        elif not lax and cell.execution_count is not None:
            report.compared += 1
    report.whole = not lax and report.compared + tagged == len(cells) > 0


def summary(reports: list[Report]) -> str:
    """The last line: how much of the book was compared with a fresh run."""
    whole = sum(report.whole for report in reports)
    ignored = sum(report.ignored for report in reports)
    outputs = sum(report.outputs for report in reports)
    return (
        f"{whole} of {len(reports)} chapter notebooks compared, "
        f"{ignored} of {outputs} output cells ignored"
    )
