"""A reader's first minutes, in a real browser, against JupyterLab as ``lab`` starts it.

The contents page opens, a click opens a chapter, Run All Cells runs it without an
error, and what is saved is the reader's copy: the repository stays as it was.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmcore.course.desk import read_heading
from lmcore.course.notebooks import read_results

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
SYSTEM_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",  # root has no sandbox; the only page opened is our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 120_000  # milliseconds; CI's two cores may be busy


def find_browser() -> str | None:
    """The system's browser, if it has one of Chromium's kin."""
    found = [shutil.which(name) for name in SYSTEM_BROWSERS]
    return next((path for path in found if path), None)


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """The course's own chapters in a repository of their own, outputs cleared.

    A copy, so that a person who edits chapters meanwhile does not look like a stray
    write; cleared, so that every output seen afterwards is the reader's.
    """
    root = tmp_path / "a reader's cöurse"
    for name in ("chapters", "results", "figures", "labs"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name)
    for path in (root / "chapters").glob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in code_cells(notebook):
            cell.update(execution_count=None, outputs=[])
        path.write_text(json.dumps(notebook), encoding="utf-8")
    return root


def shortest_chapter(root: Path) -> Path:
    """The chapter that runs fastest, by the measured times."""
    seconds = {k: v["seconds"] for k, v in read_results(root).items()}
    chapters = sorted((root / "chapters").glob("*.ipynb"))
    if not chapters:
        pytest.skip("no chapter has been built yet")
    return min(chapters, key=lambda path: seconds.get(path.stem, float("inf")))


def fingerprints(folder: Path) -> dict[str, str]:
    """A hash of each file outside ``work/``, which a reader must not change."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    files = [p for p in files if p.relative_to(folder).parts[0] != "work"]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@contextlib.contextmanager
def jupyterlab(root: Path) -> Iterator[str]:
    """JupyterLab as ``run.py lab`` starts it; gives the address with its token."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "lmcore.course.server", "reader"]
    command += ["--root", str(root), f"--port={port}"]
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "CI")}
    log = root.with_suffix(".log")
    with log.open("w") as file:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=env
        )
    try:
        yield wait_for_address(log, server)
    finally:
        server.terminate()
        server.wait(timeout=60)


def wait_for_address(log: Path, server: subprocess.Popen) -> str:
    """The address that the server prints when it is ready."""
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline and server.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\S+\?token=\w+", log.read_text())
        if found:
            return found[0]
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab printed no address:\n{log.read_text()}")


@pytest.fixture
def page() -> Iterator[object]:
    """A fresh page of the system's browser."""
    browser_path = find_browser()
    if browser_path is None:
        pytest.skip(f"no browser: none of {', '.join(SYSTEM_BROWSERS)} is installed")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=browser_path, args=[*FLAGS])
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        page.set_default_timeout(PATIENCE)
        yield page
        browser.close()


@pytest.mark.timeout(480)
def test_a_reader_opens_a_chapter_and_runs_it(page, course: Path) -> None:
    chapter = shortest_chapter(course)
    title, _ = read_heading(chapter)
    before = fingerprints(course)
    complaints: list[str] = []
    strangers: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text) if message.type == "error" else None
        ),
    )

    with jupyterlab(course) as address:
        host = address.split("/lab")[0]

        def note_stranger(request) -> None:
            local = request.url.startswith((host, "data:", "blob:"))
            if not local:
                strangers.append(request.url)

        page.on("request", note_stranger)
        page.goto(address)
        page.get_by_role("heading", name="Contents").wait_for()
        page.get_by_role("link", name=title, exact=True).click()

        status = page.locator(".jp-StatusBar-TextItem", has_text="(ipykernel) | Idle")
        status.wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        ran = wait_and_save(page, course / "work" / "chapters" / chapter.name)
        assert page.locator(".jp-Dialog").count() == 0

    assert unexpected_errors(ran) == [], "the chapter ran with an error"
    assert complaints == []
    assert strangers == [], "a reader may have no network"
    assert fingerprints(course) == before, "the repository must stay as it was"
    assert not list(course.glob("work/chapters/*.py")), "the copy must not be paired"


def code_cells(notebook: dict) -> list[dict]:
    """The cells that Run All Cells executes: those of code that are not empty."""
    cells = notebook["cells"]
    return [c for c in cells if c["cell_type"] == "code" and "".join(c["source"])]


def unexpected_errors(notebook: dict) -> list[str]:
    """Tracebacks in cells that are not there to fail."""
    return [
        output["evalue"]
        for cell in code_cells(notebook)
        if "raises-exception" not in cell["metadata"].get("tags", [])
        for output in cell["outputs"]
        if output["output_type"] == "error"
    ]


def wait_and_save(page, copy: Path) -> dict:
    """Wait until every cell has run or one failed, save, and read the saved copy."""
    idle = page.locator(".jp-StatusBar-TextItem", has_text="(ipykernel) | Idle")
    deadline = time.monotonic() + 2 * PATIENCE / 1000
    counts: list[int | None] = []
    while time.monotonic() < deadline:
        page.wait_for_timeout(1000)
        if idle.count() == 0:
            continue
        page.keyboard.press("Control+s")
        page.wait_for_timeout(1000)
        saved = json.loads(copy.read_text(encoding="utf-8"))
        counts = [cell["execution_count"] for cell in code_cells(saved)]
        if counts == list(range(1, len(counts) + 1)) or unexpected_errors(saved):
            return saved
    raise AssertionError(f"not every cell ran, one after the other: {counts}")


def test_the_token_guards_the_server(course: Path) -> None:
    import urllib.error
    import urllib.request

    with jupyterlab(course) as address:
        host, token = address.split("/lab")[0], address.split("token=")[1]
        assert len(token) >= 32
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{host}/api/contents", timeout=30)
        url = f"{host}/api/contents?token={token}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            names = {entry["name"] for entry in json.load(answer)["content"]}
        assert {"Contents.md", "chapters"} <= names
