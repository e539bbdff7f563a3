"""Set up the course and run one of its commands, with nothing but Python installed.

    python run.py lab       read the chapters in JupyterLab
    python run.py test      run every check

Each command first makes the folder .venv beside this file and installs the exact
versions of constraints.txt into it. That takes minutes once; afterwards a stamp in
.venv says that all is in place, and set-up does nothing until pyproject.toml or
constraints.txt changes. To start afresh, delete .venv and run a command again.

This file needs the standard library alone, so that it runs on a bare machine.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - this is what an older Python prints
    sys.exit(
        "The course needs Python 3.11 or newer; {} is Python {}.{}.\n"
        "Install one from https://www.python.org/downloads/ and run this again "
        "with it, for instance: python3.12 run.py lab".format(
            sys.executable, *sys.version_info[:2]
        )
    )

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
WINDOWS = sys.platform == "win32"
INTERRUPTED = 130  # the exit code that shells give to Ctrl-C


class SetupError(Exception):
    """Set-up cannot go on; the message says why and what to type."""


# ------------------------------------------------------------------ the commands


def lab(options: argparse.Namespace, rest: list[str]) -> int:
    """Open the chapters in JupyterLab."""
    server = ["-m", "lmcore.course.server", "reader", "--root", str(ROOT)]
    return run([python(), *server, *rest])


def author(options: argparse.Namespace, rest: list[str]) -> int:
    """Open the sources themselves in JupyterLab, paired by jupytext."""
    server = ["-m", "lmcore.course.server", "author", "--root", str(ROOT)]
    return run([python(), *server, *rest])


def notebooks(options: argparse.Namespace, rest: list[str]) -> int:
    """Build or check the chapters' notebooks: notebooks build 03."""
    return run([script("lmcore"), "notebooks", *rest])


def labs(options: argparse.Namespace, rest: list[str]) -> int:
    """Build, prove, hand out or grade the labs: labs check 01."""
    return run([script("lmcore"), "labs", *rest])


def doctor(options: argparse.Namespace, rest: list[str]) -> int:
    """Say what is wrong with this machine and which command mends it."""
    return run([script("lmcore"), "doctor", *rest])


def bench(options: argparse.Namespace, rest: list[str]) -> int:
    """Measure lmcore beside its peers, or run one of benchmarks: bench bench_ngram."""
    files = {path.stem: path for path in sorted((ROOT / "benchmarks").glob("*.py"))}
    named = rest and not rest[0].startswith("-")
    name, *arguments = rest if named else ["bench", *rest]
    if name not in files:
        say(f"No benchmark {name!r}; there are: {', '.join(files)}")
        return 2
    return run([python(), str(files[name]), *arguments])


def figures(options: argparse.Namespace, rest: list[str]) -> int:
    """Draw the figures of the front pages anew, from results/ and lmcore."""
    files = sorted((ROOT / "figures").glob("*.py"))
    return max(run([python(), str(path)]) for path in files)


def book(options: argparse.Namespace, rest: list[str]) -> int:
    """Build the web edition in book/_build/html."""
    return run([python(), str(ROOT / "book" / "build.py"), *rest])


def test(options: argparse.Namespace, rest: list[str]) -> int:
    """Run every check, all of them even if one fails, and sum up."""
    parts = checks(options.lax)
    results = []
    for name in options.only or parts:
        tool, *arguments = parts[name]
        heading(name, shlex.join(parts[name]))
        started = time.perf_counter()
        code = run([script(tool), *arguments], LMCORE_DEVICE="cpu", CI="true")
        results.append((name, code, time.perf_counter() - started))
        if code == INTERRUPTED:
            break
    heading("summary")
    for name, code, seconds in results:
        verdict = "passed" if code == 0 else f"FAILED (exit {code})"
        say(f"{name:12} {seconds:7.1f} s  {verdict}")
    failed = sum(code != 0 for _, code, _ in results)
    say(f"checks: {len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


def checks(lax: bool = False) -> dict[str, list[str]]:
    """The parts of ``test`` in order: name, and the program of .venv with arguments."""
    return {
        "format": ["ruff", "format", "--check", "."],
        "lint": ["ruff", "check", "."],
        "imports": ["lint-imports"],
        "book": ["python", "book/build.py"],
        "tests": ["pytest", "-q", "-n", "2", "--dist", "loadscope", "tests"],
        "notebooks": ["lmcore", "notebooks", "check"] + ["--lax"] * lax,
        "labs": ["lmcore", "labs", "check", "--jobs", "2"],
        "nbgrader": ["python", "-m", "lmcore.course.labs.nbgrader_job"],
    }


# Name: (function, extras of pyproject.toml that it needs, takes further arguments).
COMMANDS = {
    "lab": (lab, {"course"}, True),
    "book": (book, {"course", "book"}, True),
    "test": (test, {"course", "dev", "book"}, False),
    "notebooks": (notebooks, {"course", "dev"}, True),
    "labs": (labs, {"course", "dev"}, True),
    "author": (author, {"course", "dev"}, True),
    "figures": (figures, {"course"}, False),
    "bench": (bench, {"course", "bench"}, True),
    "doctor": (doctor, {"course"}, True),
}


# ------------------------------------------------------------------------- set-up


def set_up(extras: set[str], torch_index: str | None = None) -> None:
    """Make .venv hold what is wanted; do nothing if it does already.

    Args:
        extras: Extras of pyproject.toml, such as {"course"}.
        torch_index: Address of a package index to take torch from.

    Raises:
        SetupError: If a step fails; the message has the command to repeat.
    """
    with only_one_at_a_time():
        stamp = read_stamp()
        reason = why_set_up(stamp, extras, torch_index)
        if reason is None:
            return
        started = time.perf_counter()
        say(f"Setting up {VENV}: {reason}")
        index_changed = torch_index is not None and torch_index != stamp.get("index")
        extras = extras | set(stamp.get("extras", []))
        torch_index = torch_index or stamp.get("index")
        afresh = why_afresh(stamp)
        if afresh:
            make_venv(afresh)
            index_changed = False
        (VENV / "stamp.json").write_text(json.dumps({"state": "installing"}))
        install(extras, torch_index, index_changed)
        write_stamp(extras, torch_index)
        say(f"Set-up took {time.perf_counter() - started:.0f} s.")


def why_set_up(stamp: dict, extras: set[str], torch_index: str | None) -> str | None:
    """Why set-up has work to do, in words, or None if .venv is as wanted."""
    if not VENV.exists():
        return "it is not there yet"
    afresh = why_afresh(stamp)
    if afresh:
        return afresh
    if not stamp:
        return "it was made by other means"
    if stamp["key"] != requirements_key():
        return "pyproject.toml or constraints.txt changed"
    missing = extras - set(stamp["extras"])
    if missing:
        return f"it lacks {', '.join(sorted(missing))}"
    if torch_index is not None and torch_index != stamp.get("index"):
        return "torch is wanted from another index"
    return None


def why_afresh(stamp: dict) -> str | None:
    """Why .venv cannot be built upon, in words, or None if it can."""
    if not VENV.exists():
        return "it is not there yet"
    if stamp.get("state") == "installing":
        return "an earlier set-up was interrupted"
    if stamp and stamp["root"] != str(ROOT):
        return f"it was moved here from {stamp['root']}"
    found = venv_version()
    if found is None:
        return "it does not run any more"
    wanted = "{}.{}".format(*sys.version_info[:2])
    if found != wanted:
        return f"it has Python {found}, and this is Python {wanted}"
    return None


def make_venv(reason: str) -> None:
    """Make an empty .venv, in place of one that may be there."""
    # From inside a virtual environment, the Python that it was made from is wanted.
    base = getattr(sys, "_base_executable", None) or sys.executable
    remedy = (
        "On Debian and Ubuntu, first: apt-get install python3-venv. "
        "If programs still use .venv, close them."
    )
    command = [base, "-m", "venv", "--clear", str(VENV)]
    step(f"making .venv with Python {sys.version.split()[0]}", command, remedy)


def install(extras: set[str], torch_index: str | None, reinstall: bool) -> None:
    """Install lmcore from this folder with its extras, at the constrained versions."""
    pip = [python(), "-m", "pip", "--disable-pip-version-check"]
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    if torch_index is not None:
        if reinstall:
            step("removing torch", [*pip, "uninstall", "--yes", "--quiet", "torch"])
        remedy = "Does that index hold this version for this machine and Python?"
        torch = f"torch=={constrained_version('torch')}"
        command = [*pip, "install", *quiet, "--index-url", torch_index, torch]
        step(f"installing {torch} from {torch_index}", command, remedy)
    project = f"{ROOT}[{','.join(sorted(extras))}]"
    constraints = ["-c", str(ROOT / "constraints.txt")]
    remedy = "Is there a network, and room on the disk? Nothing that worked is lost."
    command = [*pip, "install", *quiet, *constraints, "-e", project]
    step(f"installing the course ({', '.join(sorted(extras))})", command, remedy)


def requirements_key() -> str:
    """A hash of the two files that say what has to be installed."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        text = (ROOT / name).read_text(encoding="utf-8")  # CRLF or LF: the same
        digest.update(text.encode())
    return digest.hexdigest()


def constrained_version(package: str) -> str:
    """The version of a package in constraints.txt."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    found = re.search(rf"^{re.escape(package)}==(\S+)", text, re.MULTILINE)
    if found is None:
        raise SetupError(f"constraints.txt has no line {package}==VERSION")
    return found.group(1)


def read_stamp() -> dict:
    """What the last set-up left in .venv; empty if it left nothing."""
    try:
        stamp = json.loads((VENV / "stamp.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):  # cut off while it was written
        return {"state": "installing"}
    return stamp


def write_stamp(extras: set[str], torch_index: str | None) -> None:
    """Note in .venv what it holds; the last thing that set-up does."""
    stamp = {
        "state": "complete",
        "key": requirements_key(),
        "extras": sorted(extras),
        "index": torch_index,
        "root": str(ROOT),
    }
    path = VENV / "stamp.json"
    path.write_text(json.dumps(stamp, indent=1), encoding="utf-8")


def venv_version() -> str | None:
    """The Python version of .venv, such as "3.12"; None if it or its pip is broken."""
    code = "import pip, sys; print('{}.{}'.format(*sys.version_info[:2]))"
    try:
        answer = subprocess.run(
            [python(), "-c", code],
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


@contextlib.contextmanager
def only_one_at_a_time():
    """Wait while another run.py sets up: both would write into the same .venv.

    The lock lies on this file itself and ends with the process, however that ends.
    """
    with open(__file__, "rb") as file:
        try:
            if WINDOWS:
                import msvcrt

                file.seek(2**30)  # past the end: nobody reads there
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks
        yield


# ------------------------------------------------------------------------ helpers


def python() -> str:
    """The Python of .venv."""
    return script("python")


def script(name: str) -> str:
    """A program of .venv."""
    folder, ending = ("Scripts", ".exe") if WINDOWS else ("bin", "")
    return str(VENV / folder / (name + ending))


def environment(**changes: str) -> dict[str, str]:
    """The environment for what runs in .venv: nothing of other Pythons leaks in."""
    env = {**os.environ, **changes}
    for name in ("PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__"):
        env.pop(name, None)
    env["PATH"] = os.pathsep.join([os.path.dirname(python()), env.get("PATH", "")])
    env["VIRTUAL_ENV"] = str(VENV)
    env["PYTHONNOUSERSITE"] = "1"
    env["PYTHONUTF8"] = "1"  # else Windows writes in its old code pages
    return env


def run(command: list[str], **changes: str) -> int:
    """Run a command in .venv's environment, wait for it, return its exit code.

    Ctrl-C reaches the command too, which decides when to end; the code is then 130.
    """
    process = subprocess.Popen(command, cwd=ROOT, env=environment(**changes))
    interrupted = False
    while True:
        try:
            code = process.wait()
            return INTERRUPTED if interrupted else code
        except KeyboardInterrupt:
            interrupted = True


def step(title: str, command: list[str], remedy: str = "") -> None:
    """Run one step of set-up and print its title and seconds."""
    say(f"  {title} ...")
    started = time.perf_counter()
    try:
        code = subprocess.call(command, cwd=ROOT, env=environment())
    except OSError as error:
        say(str(error))
        code = 127
    seconds = time.perf_counter() - started
    if code != 0:
        join = subprocess.list2cmdline if WINDOWS else shlex.join
        raise SetupError(
            f"\nSet-up stopped after {seconds:.0f} s: {title} failed (exit {code}).\n"
            f"The messages above say why. {remedy}\n"
            f"To try again: {join([sys.executable, *sys.argv])}\n"
            f"To repeat this step alone: {join(command)}"
        )
    say(f"  {title}: {seconds:.0f} s")


def say(text: str) -> None:
    """Print at once, so that lines stand in order with those of the commands."""
    print(text, flush=True)


def heading(title: str, detail: str = "") -> None:
    """Print a line that a reader finds again in a long output."""
    say(f"\n=== {title} {'=' * (70 - len(title))}")
    if detail:
        say(detail)


def parser() -> argparse.ArgumentParser:
    """What can be typed."""
    top = argparse.ArgumentParser(
        prog="python run.py",
        description="Set up the course (once, in .venv) and run one of its commands.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (function, _, takes_rest) in COMMANDS.items():
        summary = (function.__doc__ or "").strip()
        ending = " Further arguments are handed on." if takes_rest else ""
        sub = commands.add_parser(
            name, help=summary, description=summary + ending, allow_abbrev=False
        )
        sub.add_argument(
            "--torch-index",
            metavar="URL",
            help="take torch from this package index; kept for later set-ups",
        )
        if name == "test":
            sub.add_argument(
                "--only",
                action="append",
                choices=list(checks()),
                help="run this part alone; may be given several times",
            )
            sub.add_argument(
                "--lax",
                action="store_true",
                help="run the notebooks without comparing their outputs",
            )
    return top


def main(arguments: list[str] | None = None) -> int:
    """Set up, then run the command; returns its exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")
    top = parser()
    options, rest = top.parse_known_args(arguments)
    function, extras, takes_rest = COMMANDS[options.command]
    if rest and not takes_rest:
        top.error(f"{options.command} does not know {' '.join(rest)}")
    try:
        set_up(extras, options.torch_index)
        return function(options, rest)
    except SetupError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("\nStopped. The next run takes it up again.")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
