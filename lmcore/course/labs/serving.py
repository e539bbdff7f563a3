"""The side where the student's code runs: answers a check's requests.

A request is a dict with ``op``: ``call`` a function, ``get`` a value, ``probe`` with a
function of the lab's ``checks.py``. The notebook answers in its own process, the grader
starts ``worker``; both use this file, so a check sees the same in both.
"""

import contextlib
import difflib
import importlib.util
import linecache
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lmcore.course.labs.wire import WireError, pack, unpack

MESSAGE = 300  # characters of an exception's text
PLAIN = (type(None), bool, int, float, str, bytes)  # of which copies are no matter
WARNINGS = 10  # that a request gives back
_modules: dict[Path, types.ModuleType] = {}


def answer(names: dict[str, Any], data: bytes) -> bytes:
    """Answer one packed request, packed.

    Args:
        names: The notebook's names.
        data: A request.
    """
    request = unpack(data)
    kinds: dict[str, Callable] = {"call": _call, "get": _get, "probe": _probe}
    return reply(lambda: kinds[request["op"]](names, request), names)


def reply(work: Callable[[], dict[str, Any]], names: dict[str, Any]) -> bytes:
    """Pack what some work gives, or the error that it ends with."""
    try:
        result = work()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a student's sys.exit() is an answer too
        result = describe_error(error, names)
    try:
        return pack(result)
    except WireError as error:
        return pack({"error": "WireError", "message": str(error), "line": ""})


def load_module(path: Path) -> types.ModuleType:
    """Import a file by its path, once; ``checks.py`` of every lab has the same name."""
    path = path.resolve()
    if path not in _modules:
        name = f"lmcore_lab_{path.parent.name}_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        _modules[path] = module
    return _modules[path]


def describe_error(error: BaseException, names: dict[str, Any]) -> dict[str, Any]:
    """An exception in words: its type, its text, and the student's line."""
    try:
        message = str(error)
    except BaseException:  # a student's own exception may fail at this too
        message = ""
    line, number = "", 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals is names:
            name, number = trace.tb_frame.f_code.co_filename, trace.tb_lineno
            line = linecache.getline(name, number).strip()
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and not line:
        line, number = (error.text or "").strip(), error.lineno or 0
        message = error.msg or ""
    return {
        "error": type(error).__name__,
        "message": message[:MESSAGE],
        "line": line[:MESSAGE],
        "number": number,
    }


def where(line: str, number: int) -> str:
    """The student's line in the words of a message; empty if it is not known."""
    if not line:
        return ""
    counted = f" (line {number} of its cell)" if number else ""
    return f", in the line `{line}`{counted}"


def _call(names: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    name, args, kwargs = request["name"], request["args"], request["kwargs"]
    if name not in names:
        return _missing(names, name)
    if not callable(names[name]):
        text = f"`{name}` is {type(names[name]).__name__}, and should be a function"
        return {"error": "missing", "message": text}
    before = [pack(value) for value in args]
    with _heard() as warned:
        value = names[name](*args, **kwargs)
    changed = [
        f"argument {i}"
        for i, (old, new) in enumerate(zip(before, args, strict=True), start=1)
        if old != pack(new)
    ]
    itself = any(value is arg for arg in args if not isinstance(arg, PLAIN))
    told = {"changed": changed, "warned": _texts(warned), "itself": itself}
    return {"value": value, **told}


def _get(names: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    name = request["name"]
    return {"value": names[name]} if name in names else _missing(names, name)


def _probe(names: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    module = load_module(Path(request["file"]))
    try:
        with _heard() as warned:
            value = getattr(module, request["name"])(names, *request["args"])
        return {"value": value, "warned": _texts(warned)}
    except KeyError as error:
        if error.args and error.args[0] not in names and error.__traceback__.tb_next:
            frame = error.__traceback__.tb_next
            if frame.tb_next is None and isinstance(error.args[0], str):
                return _missing(names, error.args[0])
        raise


@contextlib.contextmanager
def _heard() -> Iterator[list[warnings.WarningMessage]]:
    """Keep what is warned of, which would else reach the reader's stderr."""
    numpy = sys.modules.get("numpy")
    errors = (
        numpy.errstate(all="warn", under="ignore")
        if numpy
        else contextlib.nullcontext()
    )
    with warnings.catch_warnings(record=True) as heard, errors:
        warnings.simplefilter("always")
        yield heard


def _texts(heard: list[warnings.WarningMessage]) -> list[str]:
    """Each warning's kind and text, once."""
    texts = [f"{one.category.__name__}: {one.message}"[:MESSAGE] for one in heard]
    return [*dict.fromkeys(texts)][:WARNINGS]


def _missing(names: dict[str, Any], name: str) -> dict[str, Any]:
    text = f"there is no `{name}` in the notebook: was it renamed or deleted?"
    mine = [k for k, v in names.items() if isinstance(v, types.FunctionType)]
    near = difflib.get_close_matches(name, mine, n=1)
    if near:
        text += f" There is a `{near[0]}`."
    return {"error": "missing", "message": text}
