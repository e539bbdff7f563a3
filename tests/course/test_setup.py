"""run.py without a real install: when it sets up, what it asks pip for, what it says.

pip and venv are recorded here instead of run. Where .venv has to run, it is a link to
this Python, so that what run.py asks it is really answered.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
HERE = "{}.{}".format(*sys.version_info[:2])


class Recorder:
    """run.py in a small checkout, with its steps recorded."""

    def __init__(self, module: ModuleType, root: Path, patch: pytest.MonkeyPatch):
        self.module, self.root, self.venv = module, root, root / ".venv"
        self.steps: list[list[str]] = []
        self.break_at = ""
        root.mkdir()
        (root / "pyproject.toml").write_text("[project]\nname = 'lmcore'\n")
        (root / "constraints.txt").write_text("# pins\nnumpy==2.4.6\ntorch==2.13.0\n")
        patch.setattr(module, "ROOT", root)
        patch.setattr(module, "VENV", self.venv)
        patch.setattr(module.subprocess, "call", self.call)
        patch.setattr(module, "venv_version", self.version)

    def call(self, command: list[str], **options: object) -> int:
        self.steps.append(command)
        if self.break_at and self.break_at in " ".join(command):
            raise KeyboardInterrupt
        if "venv" in command:
            self.venv.mkdir(exist_ok=True)
            for path in self.venv.iterdir():
                path.unlink()
            (self.venv / "python").write_text(HERE)
        return 0

    def version(self) -> str | None:
        python = self.venv / "python"
        return python.read_text() if python.exists() else None

    def set_up(self, *extras: str, **options: str) -> list[str]:
        """Set up and give the steps taken, each in a word."""
        self.steps = []
        self.module.set_up(set(extras), **options)
        words = {"venv": "venv", "uninstall": "uninstall", "-e": "install"}
        return [
            next((w for key, w in words.items() if key in step), "torch")
            for step in self.steps
        ]


def load_run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("course_run", ROOT / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run() -> ModuleType:
    return load_run()


@pytest.fixture
def checkout(
    run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Recorder:
    return Recorder(run, tmp_path / "a cöurse, cloned", monkeypatch)


def test_first_time_makes_venv_and_installs(checkout: Recorder) -> None:
    assert checkout.set_up("course") == ["venv", "install"]
    pip = checkout.steps[-1]
    assert pip[-2:] == ["-e", f"{checkout.root}[course]"]
    assert pip[pip.index("-c") + 1] == str(checkout.root / "constraints.txt")


def test_second_time_does_nothing(checkout: Recorder) -> None:
    checkout.set_up("course", "dev")
    assert checkout.set_up("course", "dev") == []
    assert checkout.set_up("course") == [], "lab after test needs nothing more"


def test_a_further_extra_keeps_the_others(checkout: Recorder) -> None:
    checkout.set_up("course")
    assert checkout.set_up("dev") == ["install"]
    assert checkout.steps[-1][-1].endswith("[course,dev]")
    assert checkout.set_up("course") == []


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_change_of_requirements_installs_again(checkout: Recorder, name: str) -> None:
    checkout.set_up("course")
    with (checkout.root / name).open("a") as file:
        file.write("# changed\n")
    assert checkout.set_up("course") == ["install"]
    assert checkout.set_up("course") == []


def test_line_endings_are_no_change(checkout: Recorder) -> None:
    checkout.set_up("course")
    path = checkout.root / "constraints.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert checkout.set_up("course") == []


@pytest.mark.parametrize("where", ["venv", "-e"])
def test_an_interrupted_install_starts_afresh(checkout: Recorder, where: str) -> None:
    checkout.break_at = where
    with pytest.raises(KeyboardInterrupt):
        checkout.set_up("course")
    checkout.break_at = ""
    assert checkout.set_up("course") == ["venv", "install"]
    assert checkout.set_up("course") == []


def test_an_interrupted_update_starts_afresh(checkout: Recorder) -> None:
    checkout.set_up("course")
    checkout.break_at = "-e"
    with pytest.raises(KeyboardInterrupt):
        checkout.set_up("dev")
    checkout.break_at = ""
    assert checkout.set_up("course") == ["venv", "install"]


def test_a_stamp_cut_off_starts_afresh(checkout: Recorder) -> None:
    checkout.set_up("course")
    (checkout.venv / "stamp.json").write_text('{"state": "comp')
    assert checkout.set_up("course") == ["venv", "install"]


def test_a_moved_checkout_starts_afresh(
    checkout: Recorder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    checkout.set_up("course")
    old = checkout.root
    checkout.root = old.rename(old.with_name("moved"))
    checkout.venv = checkout.root / ".venv"
    monkeypatch.setattr(checkout.module, "ROOT", checkout.root)
    monkeypatch.setattr(checkout.module, "VENV", checkout.venv)
    assert checkout.set_up("course") == ["venv", "install"]
    assert f"it was moved here from {old}" in capsys.readouterr().out


def test_a_venv_that_does_not_run_starts_afresh(checkout: Recorder) -> None:
    checkout.set_up("course")
    (checkout.venv / "python").unlink()
    assert checkout.set_up("course") == ["venv", "install"]


def test_another_python_starts_afresh(checkout: Recorder) -> None:
    checkout.set_up("course")
    (checkout.venv / "python").write_text("3.99")
    assert checkout.set_up("course") == ["venv", "install"]


def test_a_venv_made_by_hand_is_kept_and_completed(checkout: Recorder) -> None:
    checkout.venv.mkdir()
    (checkout.venv / "python").write_text(HERE)
    assert checkout.set_up("course") == ["install"]


def test_torch_from_an_index_comes_first_and_alone(checkout: Recorder) -> None:
    index = "https://example.org/cpu"
    assert checkout.set_up("course", torch_index=index) == ["venv", "torch", "install"]
    torch, rest = checkout.steps[1:]
    assert torch[-3:] == ["--index-url", index, "torch==2.13.0"]
    assert index not in rest
    assert checkout.set_up("course") == [], "the index is remembered"
    assert checkout.set_up("course", torch_index=index) == []
    assert checkout.set_up("dev") == ["torch", "install"]


def test_another_index_replaces_torch(checkout: Recorder) -> None:
    checkout.set_up("course")
    steps = checkout.set_up("course", torch_index="https://example.org/cpu")
    assert steps == ["uninstall", "torch", "install"]


def test_a_failing_pip_says_how_to_repeat(
    checkout: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        checkout.module.subprocess, "call", lambda c, **_: 23 if "pip" in c else 0
    )
    checkout.venv.mkdir()
    (checkout.venv / "python").write_text(HERE)
    with pytest.raises(checkout.module.SetupError) as caught:
        checkout.module.set_up({"course"})
    message = str(caught.value)
    assert "failed (exit 23)" in message
    assert "To try again: " in message
    assert "-m pip" in message
    assert f"{checkout.root}[course]" in message


def test_a_missing_pin_is_named(checkout: Recorder) -> None:
    with pytest.raises(
        checkout.module.SetupError, match=r"no line tensorflow==VERSION"
    ):
        checkout.module.constrained_version("tensorflow")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for Python")
@pytest.mark.parametrize("body", ["exit 1", "echo", None])
def test_a_broken_venv_is_noticed(
    run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str | None
) -> None:
    monkeypatch.setattr(run, "VENV", tmp_path / ".venv")
    python = tmp_path / ".venv" / "bin" / "python"
    if body:
        python.parent.mkdir(parents=True)
        python.write_text(f"#!/bin/sh\n{body}\n")
        python.chmod(0o755)
    assert run.venv_version() in (None, "")


def test_a_running_venv_tells_its_version(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "python", lambda: sys.executable)
    assert run.venv_version() == HERE


def test_other_pythons_do_not_leak_in(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PYTHONHOME", "/elsewhere")
    env = run.environment(LMCORE_DEVICE="cpu")
    assert not {"PYTHONPATH", "PYTHONHOME"} & set(env)
    assert env["PATH"].split(os.pathsep)[0] == os.path.dirname(run.python())
    assert env["PYTHONUTF8"] == "1"
    assert env["LMCORE_DEVICE"] == "cpu"


def test_programs_lie_where_the_system_keeps_them(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "WINDOWS", True)
    assert Path(run.script("lmcore")) == run.VENV / "Scripts" / "lmcore.exe"
    monkeypatch.setattr(run, "WINDOWS", False)
    assert Path(run.script("lmcore")) == run.VENV / "bin" / "lmcore"


def outcome(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, list[list[str]]]:
    """What ``run.py ARGUMENTS`` runs once set up, with parts named bad* failing."""
    commands: list[list[str]] = []

    def record(command: list[str], **changes: str) -> int:
        commands.append([Path(command[0]).stem, *command[1:]])
        return 3 if "lint-imports" in command[0] else 0

    monkeypatch.setattr(run, "set_up", lambda extras, index: None)
    monkeypatch.setattr(run, "run", record)
    return run.main([*arguments]), commands


def test_test_runs_every_part_and_fails_if_one_does(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    code, commands = outcome(run, monkeypatch, "test")
    assert code == 1
    programs = ["ruff", "ruff", "lint-imports", "python", "pytest", "lmcore", "lmcore"]
    assert [command[0] for command in commands] == [*programs, "python"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "checks: 7 passed, 1 failed"
    assert re.match(r"imports +\d+\.\d s  FAILED \(exit 3\)", lines[-7])


def test_test_runs_what_is_asked_for(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("test", "--only", "notebooks", "--only", "lint", "--lax")
    code, commands = outcome(run, monkeypatch, *arguments)
    assert code == 0
    assert [c[:2] for c in commands] == [["lmcore", "notebooks"], ["ruff", "check"]]
    assert commands[0][-1] == "--lax"


def test_ctrl_c_stops_the_parts_that_follow(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    class Interrupted:
        waits = 0

        def wait(self) -> int:
            self.waits += 1
            if self.waits == 1:
                raise KeyboardInterrupt
            return 2  # what pytest answers to Ctrl-C

    monkeypatch.setattr(run, "set_up", lambda extras, index: None)
    monkeypatch.setattr(run.subprocess, "Popen", lambda *_, **__: Interrupted())
    assert run.main(["test"]) == 1
    assert "checks: 0 passed, 1 failed" in capsys.readouterr().out


def test_arguments_are_handed_on(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, commands = outcome(run, monkeypatch, "lab", "--port", "9999", "--no-browser")
    assert commands[0][-3:] == ["--port", "9999", "--no-browser"]
    _, commands = outcome(run, monkeypatch, "notebooks", "build", "03")
    assert commands == [["lmcore", "notebooks", "build", "03"]]


def test_bench_runs_what_exists(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    code, commands = outcome(run, monkeypatch, "bench", "bench_ngram", "--rounds", "5")
    assert code == 0
    assert Path(commands[0][1]) == ROOT / "benchmarks" / "bench_ngram.py"
    assert commands[0][2:] == ["--rounds", "5"]
    assert outcome(run, monkeypatch, "bench", "nothing") == (2, [])
    assert "there are: attention_cost, " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--rounds", "3"]])
def test_bench_without_a_name_measures_the_whole_table(
    arguments: list[str], run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, commands = outcome(run, monkeypatch, "bench", *arguments)
    assert code == 0
    assert commands[0][1:] == [str(ROOT / "benchmarks" / "bench.py"), *arguments]


@pytest.mark.parametrize("arguments", [[], ["learn"], ["test", "--lay"], ["test", "x"]])
def test_what_run_does_not_know_is_refused(
    run: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    capsys: pytest.CaptureFixture,
) -> None:
    with pytest.raises(SystemExit) as caught:
        outcome(run, monkeypatch, *arguments)
    assert caught.value.code == 2
    assert "usage: python run.py" in capsys.readouterr().err


def test_an_old_python_is_told_what_to_do(tmp_path: Path) -> None:
    source = (ROOT / "run.py").read_text(encoding="utf-8")
    code = f"import sys; sys.version_info = (3, 10, 1); exec({source!r})"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 1
    assert "needs Python 3.11 or newer" in answer.stderr
    assert "is Python 3.10." in answer.stderr


def test_run_needs_the_standard_library_alone() -> None:
    source = (ROOT / "run.py").read_text(encoding="utf-8")
    imported = re.findall(r"^\s*(?:import|from) (\w+)", source, re.MULTILINE)
    assert imported
    assert set(imported) <= set(sys.stdlib_module_names)


def test_conda_has_no_second_list_of_versions() -> None:
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()
    entries = [x.strip()[2:] for x in lines if x.strip().startswith("- ")]
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert entries[0] == "conda-forge"
    python, *rest = entries[1:]
    assert rest == ["pip", "pip:", "-c constraints.txt", "-e .[course]"]
    assert python.startswith("python" + requires["project"]["requires-python"])


def test_constraints_pin_one_version_each_and_name_no_index() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [x for x in text.splitlines() if x and not x.startswith("#")]
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line), line
    assert "torch==2.13.0" in lines
    names = [re.sub(r"[._-]+", "-", x.split("==")[0]).lower() for x in lines]
    assert len(names) == len(set(names))


def test_every_requirement_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = {
        re.sub(r"[._-]+", "-", x.split("==")[0]).lower() for x in text.split("\n")
    }
    extras = project["optional-dependencies"].values()
    for requirement in [*project["dependencies"], *(r for e in extras for r in e)]:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)[0]
        assert re.sub(r"[._-]+", "-", name).lower() in pinned, requirement


def test_ci_runs_the_readme_s_own_command() -> None:
    assert 'exec "$python" run.py test' in (ROOT / ".ci" / "run").read_text()
    assert "python run.py test" in (ROOT / "README.md").read_text(encoding="utf-8")
    workflow = (ROOT / ".github/workflows/test.yml").read_text()
    assert "python run.py test" in workflow
    for version in ("3.11", "3.12", "3.13", "3.14"):
        assert f'"{version}"' in workflow
    json.loads(re.search(r"python: (\[.*\])", workflow)[1])


def test_shapes_are_checked_in_tests() -> None:
    import torch
    from jaxtyping import TypeCheckError

    from lmcore.losses import mse

    with pytest.raises(TypeCheckError):
        mse(torch.zeros(2, 3), torch.zeros(3, 2))


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_test_may_do_without() -> None:
    import torch

    from lmcore.losses import mse

    with pytest.raises(RuntimeError, match="must match the size"):  # torch's own
        mse(torch.zeros(2, 3), torch.zeros(3, 2))
