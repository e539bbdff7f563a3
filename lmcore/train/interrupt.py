"""Ctrl-C without loss: the signal is noted, and the loop stops between two steps.

An exception in the middle of a step would leave half-changed weights behind. So while
training runs, the first SIGINT (Ctrl-C) or SIGTERM (a cluster that wants its machine
back) only raises a flag. The second one is not waited for.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Interrupt:
    """Whether someone has asked the run to stop."""

    requested: bool = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """What happens when the signal arrives."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def catch_interrupt() -> Iterator[Interrupt]:
    """Note signals instead of dying from them; the old handlers come back afterwards.

    Python hands signals to the main thread alone, so elsewhere nothing is caught.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    old = {s: signal.signal(s, interrupt.note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in old.items():
            signal.signal(number, handler or signal.SIG_DFL)
