"""One submission's code, kept running: what ends it is left out, and it goes on.

A cell that never ends, or that ends its process, would take every task with it. So the
process is started anew without that cell, and the tasks that do not need it still
count. Likewise after a task that ended the process.
"""

from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from lmcore.course.labs.process import Limits, ProcessEnded, StudentProcess
from lmcore.course.labs.serving import where
from lmcore.course.labs.submission import Cell

MOST_RESTARTS = 3  # for cells; a notebook with more such cells is given up


@dataclass
class Session:
    """A process that has run a submission's cells.

    Attributes:
        cells: To run, in order.
        limits: What the process may use.
        problems: For each cell that failed, by its place, what it ended with.
        printed: Characters that the cells printed.
        kept: Whether the process has kept its names, to restore them.
    """

    cells: list[Cell]
    limits: Limits
    problems: dict[int, str] = field(default_factory=dict)
    printed: int = 0
    kept: bool = False
    _process: StudentProcess | None = None
    _times: float = 1.0
    _left_out: set[int] = field(default_factory=set)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request, after the cells have run.

        Raises:
            ProcessEnded: If the process broke a limit or ended; the next request
                finds a new one.
        """
        if self._process is None:
            self.start()
        try:
            return self._process.ask(request)
        except ProcessEnded:
            self._process, self.kept = None, False
            raise

    def start(self) -> None:
        """Run the cells in a new process, without those that ended one before.

        Raises:
            ProcessEnded: If too many cells end it.
        """
        while self._process is None:
            if len(self._left_out) > MOST_RESTARTS:
                raise ProcessEnded("could not be run: too many of its cells end it")
            self._process = self._run_cells()
        self._process.begin(self._times)

    def begin_task(self, times: float = 1.0) -> None:
        """Give the next task its own time: so many times the usual seconds."""
        self._times = times
        if self._process is not None:
            self._process.begin(times)

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _run_cells(self) -> StudentProcess | None:
        """A process in which every cell ran that can; None if one ended it."""
        process = StudentProcess(self.limits)
        for cell in self.cells:
            if cell.index in self._left_out:
                continue
            process.begin()
            request = {"op": "run", "source": cell.source, "file": cell.place}
            try:
                answer = process.ask(request)
            except ProcessEnded as ended:
                self._left_out.add(cell.index)
                self.problems[cell.index] = f"the cell {ended}"
                return None
            if "error" in answer:
                line = where(answer.get("line", ""), answer.get("number", 0))
                text = f"{answer['error']}: {answer['message']}{line}"
                self.problems[cell.index] = text
            elif isinstance(answer["value"], int):
                self.printed = answer["value"]
        return process
