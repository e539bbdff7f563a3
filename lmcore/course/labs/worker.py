"""The process in which one submission's code runs, started by ``process``.

It reads requests from stdin and answers on stdout, each a length and that many bytes.
The student's own prints go nowhere: they are counted, and their text is dropped. What
the student's code does to this process cannot reach the grader, which only takes
values from it and compares them itself.

This is no sandbox: the code may read and write whatever this user may.
"""

import builtins
import io
import linecache
import os
import re
import struct
import sys
import types
from collections.abc import Callable
from typing import Any, BinaryIO

from lmcore.course.labs.serving import answer, reply
from lmcore.course.labs.wire import pack, unpack

MAGIC = re.compile(r"^(\s*)([%!].*)$", re.MULTILINE)


class Counter(io.TextIOBase):
    """A stream that keeps only the number of characters written to it."""

    def __init__(self) -> None:
        self.characters = 0

    def writable(self) -> bool:
        """It is a stream to write to."""
        return True

    def write(self, text: str) -> int:
        """Count a text and forget it."""
        self.characters += len(text)
        return len(text)


def main() -> None:
    """Answer requests until stdin ends."""
    requests, answers = _take_streams()
    _limit_resources(int(sys.argv[1]), int(sys.argv[2]))
    printed = Counter()
    sys.stdout = sys.stderr = printed
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    names = module.__dict__
    kept: dict[str, Any] = {}
    while (data := _read(requests)) is not None:
        request = unpack(data)
        op = request["op"]
        if op == "run":
            done = reply(_runner(names, request, printed), names)
        elif op == "keep":  # remember the names, for ``restore``
            kept = dict(names)
            done = pack({"value": None})
        elif op == "restore":
            names.clear()
            names.update(kept)
            done = pack({"value": None})
        else:
            done = answer(names, data)
        answers.write(struct.pack(">Q", len(done)) + done)
        answers.flush()


def _runner(
    names: dict[str, Any], request: dict[str, Any], printed: Counter
) -> Callable[[], dict[str, Any]]:
    """Runs one cell; IPython's magics and shell lines are left out."""

    def run() -> dict[str, Any]:
        source = MAGIC.sub(r"\1pass  # \2", request["source"])
        file = request["file"]
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        exec(compile(source, file, "exec"), names)
        return {"value": printed.characters}

    return run


def _take_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep stdin and stdout for requests, and give the student empty ones."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - open to the end
    return requests, answers


def _limit_resources(memory_mib: int, file_mib: int) -> None:
    """Let the system refuse memory and files beyond a bound, where it can.

    The bound on memory counts from what is mapped now and is generous, since torch
    maps gigabytes that it never touches; the grader watches what is really used.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    spare = 8 * 2**30
    for limit, size in (
        (resource.RLIMIT_AS, memory_mib * 2**20 + spare),
        (resource.RLIMIT_FSIZE, file_mib * 2**20),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            resource.setrlimit(limit, (size, size))
        except (ValueError, OSError):  # macOS refuses some of them
            continue


def _read(stream: BinaryIO) -> bytes | None:
    """One message; None at the end."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    return stream.read(struct.unpack(">Q", head)[0])


if __name__ == "__main__":
    main()
