"""A pytest plugin for ``lmcore notebooks check``: how nbval compares, what it found.

nbval compares stderr unless told otherwise. No chapter stores any (a rule), so what a
library prints there on one machine and not on another is left out. What each cell came
to is written to the file that ``--notebook-report`` names, as JSON.
"""

import json
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the report."""
    parser.addoption("--notebook-report", help="write each cell's outcome to this file")


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Take stderr out of what nbval compares."""
    if type(collector).__name__ == "IPyNbFile":
        collector.skip_compare = (*collector.skip_compare, "stderr")


def pytest_configure(config: pytest.Config) -> None:
    """Record results once, in the process that gathers them from all workers."""
    path = config.getoption("--notebook-report")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(path)))


class Recorder:
    """Gathers the outcome, the seconds and the message of every cell."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cells: dict[str, dict] = {}
        self.errors: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a notebook that could not even be read."""
        if report.failed:
            self.errors.append(f"{report.nodeid}: {report.longreprtext}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add one phase (set-up, call or tear-down) of one cell."""
        empty = {"seconds": 0.0, "passed": False, "message": ""}
        cell = self.cells.setdefault(report.nodeid, empty)
        cell["seconds"] += report.duration
        if report.when == "call":
            cell["passed"] = report.passed
        if report.failed:
            cell["passed"] = False
            cell["message"] += report.longreprtext

    def pytest_sessionfinish(self) -> None:
        """Write the report."""
        report = {"cells": self.cells, "errors": self.errors}
        self.path.write_text(json.dumps(report), encoding="utf-8")
