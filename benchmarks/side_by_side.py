"""Measuring libraries beside each other: in turn, in one process, several rounds.

A ``Pair`` is one piece of work and the runners that do it: ours first, then what a
reader would use instead. Each runner is made by a function, which returns the work, so
that a fresh process can make one alone and its peak memory be read.

Times are processor time on one thread, which other programs on the machine disturb
less than the clock on the wall. A ratio is the peer's time / our time of the same
round: above 1 we are faster.
"""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lmcore.runtime import peak_memory_mib

Work = Callable[[], object]


@dataclass(frozen=True)
class Pair:
    """One piece of work, and who does it.

    Attributes:
        what: The work, in words, with its size.
        runners: Makes each runner's work. Ours comes first; names of ours begin with
            "lmcore".
        same: Asserts on what the runners returned that they did the same work.
        calls: Calls of the work that are timed as one.
    """

    what: str
    runners: dict[str, Callable[[], Work]]
    same: Callable[[dict[str, object]], None]
    calls: int = 1

    @property
    def peer(self) -> str:
        """The runner that ratios refer to: the first that is not ours."""
        return next(name for name in self.runners if not name.startswith("lmcore"))


def seconds(work: Work, calls: int = 1) -> float:
    """Processor time of one call, on average."""
    gc.collect()
    start = time.process_time()
    for _ in range(calls):
        work()
    return (time.process_time() - start) / calls


def measure(pair: Pair, rounds: int) -> dict[str, dict]:
    """Median seconds of each runner, and ratios of the first peer's to them."""
    works = {name: make() for name, make in pair.runners.items()}
    pair.same({name: work() for name, work in works.items()})  # warms up, too
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(seconds(work, pair.calls))
    found = {}
    for name, ours in times.items():
        ratios = sorted(
            theirs / own for theirs, own in zip(times[pair.peer], ours, strict=True)
        )
        found[name] = {
            "seconds": float(f"{statistics.median(ours):.3g}"),
            "ratio": round(statistics.median(ratios), 2),
            "ratio_spread": [round(ratios[0], 2), round(ratios[-1], 2)],
        }
    return found


def own_peak_mib() -> float | None:
    """Peak memory since this program began (getrusage's includes its parent's)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return peak_memory_mib()
    lines = status.read_text(encoding="utf-8").splitlines()
    return next(int(x.split()[1]) / 1024 for x in lines if x.startswith("VmHWM"))
