"""The grader's side of a submission's process: asks, waits, and ends it in time.

A limit is held by watching from outside: processor time and resident memory of the
process and its children, time spent asleep (code may wait for what never comes), and
the size of an answer. A busy machine costs a student nothing: waiting for a processor
counts as neither.
"""

import contextlib
import os
import queue
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import Any

import psutil

from lmcore.course.labs.wire import WireError, pack, unpack

POLL = 0.05
ASLEEP = 3  # seconds asleep for each second of the limit
PATIENCE = 30  # seconds of wall clock, for systems that do not tell sleep from work


@dataclass(frozen=True)
class Limits:
    """What one submission's process may use.

    Attributes:
        seconds: Processor time of a task and of a cell; three times that asleep.
        memory_mib: Resident memory of the process and its children.
        answer_mib: Size of one value that a function returns.
        file_mib: Size of one file that it writes.
    """

    seconds: float = 10.0
    memory_mib: int = 2048
    answer_mib: int = 64
    file_mib: int = 64


class ProcessEnded(RuntimeError):
    """The process is gone: it ended itself, or broke a limit. The message says why."""


class StudentProcess:
    """One Python process for one submission.

    Args:
        limits: What it may use.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._too_large = False
        self._answers: queue.Queue[bytes | None] = queue.Queue()
        environment = os.environ | {
            "LMCORE_LAB_GRADING": "1",
            "LMCORE_DEVICE": "cpu",
            "MPLBACKEND": "agg",
            "PYTHONUTF8": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "lmcore.course.labs.worker"),
                *(str(limits.memory_mib), str(limits.file_mib)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.folder.name,
            env=environment,
            start_new_session=os.name == "posix",
        )
        threading.Thread(target=self._read_answers, daemon=True).start()
        self.begin()

    def begin(self, times: float = 1.0) -> None:
        """Start counting time afresh: a new task, or a new cell.

        Args:
            times: How many times the usual seconds it may take.
        """
        self._seconds = times * self.limits.seconds
        self._begun = time.monotonic()
        self._asleep = 0.0
        self._used_before = self._usage()[0]

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for the answer.

        Raises:
            ProcessEnded: If none comes within the limits.
        """
        data = pack(request)
        try:
            self.process.stdin.write(struct.pack(">Q", len(data)) + data)
            self.process.stdin.flush()
        except OSError:
            self._end("ended itself (os._exit, or a crash)")
        while True:
            try:
                received = self._answers.get(timeout=POLL)
            except queue.Empty:
                self._hold_limits()
                continue
            if received is None and self._too_large:
                self._end(f"returned more than {self.limits.answer_mib} MiB")
            if received is None:
                self._end("ended itself (os._exit, or a crash)")
            try:
                answer = unpack(received)
            except WireError:
                answer = None
            if not _is_answer(answer):
                self._end("wrote into the grader's channel")
            return answer

    def stop(self) -> None:
        """End the process and whatever it started."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:
            children = []
        if os.name == "posix":
            with contextlib.suppress(OSError):  # its own session: nobody else's
                os.killpg(self.process.pid, signal.SIGKILL)
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.kill()
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()
        self.folder.cleanup()

    def _end(self, reason: str) -> None:
        self.stop()
        raise ProcessEnded(reason)

    def _hold_limits(self) -> None:
        cpu, resident, asleep = self._usage()
        seconds = self._seconds
        self._asleep += POLL * asleep
        if cpu - self._used_before > seconds:
            self._end(f"took longer than {seconds:g} s: is there a loop without end?")
        waited = time.monotonic() - self._begun
        if self._asleep > ASLEEP * seconds or waited > PATIENCE * seconds:
            self._end(f"waited longer than {ASLEEP * seconds:g} s for something")
        if resident > self.limits.memory_mib * 2**20:
            self._end(f"took more than {self.limits.memory_mib} MiB of memory")

    def _usage(self) -> tuple[float, int, bool]:
        """Processor seconds and resident bytes, with children; whether all sleep."""
        seconds, resident, asleep = 0.0, 0, True
        try:
            process = psutil.Process(self.process.pid)
            for member in (process, *process.children(recursive=True)):
                times = member.cpu_times()
                seconds += times.user + times.system
                resident += member.memory_info().rss
                asleep &= member.status() == psutil.STATUS_SLEEPING
        except psutil.Error:  # it ended meanwhile
            asleep = False
        return seconds, resident, asleep

    def _read_answers(self) -> None:
        """Put each answer into the queue, None at the end; a thread of its own."""
        stream = self.process.stdout
        most = self.limits.answer_mib * 2**20
        try:
            while True:
                head = stream.read(8)
                if len(head) < 8:
                    break
                size = struct.unpack(">Q", head)[0]
                if size > most:
                    self._too_large = True
                    break
                body = stream.read(size)
                if len(body) < size:
                    break
                self._answers.put(body)
        except (OSError, ValueError):  # closed while it waited
            pass
        self._answers.put(None)


def _is_answer(answer: Any) -> bool:
    """Whether a dict has what ``Student`` reads from an answer, of the right types."""
    if not isinstance(answer, dict):
        return False
    if "error" in answer:
        texts = [answer["error"], answer.get("message"), answer.get("line", "")]
        counted = isinstance(answer.get("number", 0), int)
        return all(isinstance(text, str) for text in texts) and counted
    words = [answer.get("changed", []), answer.get("warned", [])]
    plain = all(isinstance(some, list) for some in words)
    plain = plain and all(isinstance(w, str) for some in words for w in some)
    return "value" in answer and plain
