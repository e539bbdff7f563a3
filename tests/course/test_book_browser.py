"""The web edition in a real browser: every page, on a phone's width, in light and dark.

The book is built once (as ``run.py book`` builds it) and served from this machine. A
walk over all pages collects what a reader would stumble over; each test below asks for
one kind of it.
"""

import functools
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SYSTEM_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
PATIENCE = 120_000  # milliseconds; CI's two cores may be busy
AXE_RULES = {"resultTypes": ["violations"], "preload": False}  # all rules of axe
COLOURS = AXE_RULES | {"runOnly": ["color-contrast"]}
INSPECT = r"""() => {
  const text = [], root = document.documentElement;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!parent.closest("code, pre, script, style, mjx-container, title, annotation"))
      text.push(walker.currentNode.data);
  }
  const prose = text.join(" ");
  const images = [...document.querySelectorAll("main img")];
  return {
    rawMath: prose.match(/.{0,30}(\$\$|\\\(|\\\[|\\frac|\\mathbf).{0,30}/g) || [],
    rawMarkdown: prose.match(/.{0,20}(\]\([\w./]+\)|\*\*\w|\{\w+\}`).{0,20}/g) || [],
    mathErrors: [...document.querySelectorAll("mjx-merror")].map(e => e.textContent),
    overflow: root.scrollWidth - root.clientWidth,
    noAlt: images.filter(i => !i.alt.trim()).map(i => i.src),
    broken: images.filter(i => i.complete && !i.naturalWidth).map(i => i.src),
    ids: [...document.querySelectorAll("[id]")].map(e => e.id),
    links: [...document.querySelectorAll("a[href]")].map(a => a.href),
    title: document.title,
    headings: document.querySelectorAll("article h1").length,
    description: document.querySelector("meta[name=description]")?.content || "",
    formulas: document.querySelectorAll("mjx-container").length,
    toFormulas: document.querySelectorAll(".math").length,
  };
}"""
TO_READY = """async () => {
  document.querySelectorAll("img[loading=lazy]").forEach(i => i.loading = "eager");
  if (window.MathJax?.startup) await MathJax.startup.promise;
  await Promise.all([...document.images].map(i => i.decode().catch(() => null)));
}"""

# axe takes a minute for a long chapter. So formulas go (MathJax brings its own ways of
# access); of words that stand out (code, links) each kind stays once for each kind of
# block; and of blocks that then differ in nothing but their words, two stay.
THIN_OUT = """() => {
  document.querySelectorAll("mjx-container").forEach(e => e.remove());
  const blocks = "pre, p, li, dt, dd, tr, .math, .citation";
  const seen = new Map();
  const again = kind => seen.set(kind, (seen.get(kind) || 0) + 1).get(kind);
  const name = e => e ? e.tagName + "." + e.className : "";
  for (const e of document.querySelectorAll("article :is(span, code, em, strong, a)")) {
    const block = e.closest(blocks);
    const kind = name(e) + name(block) + name(block?.parentElement.closest("[class]"));
    if (block && again(kind) > 1) e.replaceWith(e.textContent);
  }
  for (const e of document.querySelectorAll(blocks)) {
    const own = e.outerHTML.replace(/>[^<]*</g, "><");
    const kind = own.replace(/ (id|href|title)="[^"]*"/g, "") + name(e.parentElement);
    if (e.isConnected && again(kind) > 2) e.remove();
  }
}"""


@dataclass
class Walk:
    """What was found on all pages, each finding with its page's name."""

    pages: dict[str, dict] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    barriers: list[str] = field(default_factory=list)

    def all(self, kind: str) -> list[str]:
        """Findings of one kind of ``INSPECT``."""
        return [f"{name}: {x}" for name, page in self.pages.items() for x in page[kind]]


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Path:
    """The folder of the built book."""
    pytest.importorskip("sphinx")
    command = [sys.executable, str(ROOT / "book" / "build.py")]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return ROOT / "book" / "_build" / "html"


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the book is served."""
    handler = functools.partial(Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """The system's browser."""
    found = [path for path in map(shutil.which, SYSTEM_BROWSERS) if path]
    if not found:
        pytest.skip(f"no browser: none of {', '.join(SYSTEM_BROWSERS)} is installed")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=found[0], args=[*FLAGS])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def walk(browser, address: str, site: Path) -> Walk:
    """Open every page once, as a phone shows it, and look at it in light and dark."""
    from axe_playwright_python.sync_playwright import Axe

    axe, walk = Axe(), Walk()
    page = browser.new_page(viewport=PHONE, color_scheme="light")
    page.set_default_timeout(PATIENCE)
    here = ""
    page.on("pageerror", lambda error: walk.complaints.append(f"{here}: {error}"))
    page.on(
        "console",
        lambda message: (
            walk.complaints.append(f"{here}: {message.text}")
            if message.type in ("error", "warning")
            else None
        ),
    )
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((address, "data:", "blob:"))
            else walk.strangers.append(f"{here}: {request.url}")
        ),
    )
    for path in sorted(site.rglob("*.html")):
        here = path.relative_to(site).as_posix()
        if here.startswith("_"):
            continue
        page.goto(address + here)
        page.evaluate(TO_READY)
        walk.pages[here] = page.evaluate(INSPECT)
        page.evaluate(THIN_OUT)
        walk.barriers += [f"{here}: {x}" for x in barriers(axe, page, AXE_RULES)]
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        walk.barriers += [f"{here} (dark): {x}" for x in barriers(axe, page, COLOURS)]
    page.close()
    return walk


def barriers(axe, page, options: dict) -> list[str]:
    """Serious and critical findings of axe."""
    found = axe.run(page, options=options).response["violations"]
    return [
        f"{rule['id']} at {node['target']}: {node['failureSummary']}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"][:3]
    ]


def test_every_page_is_there(walk: Walk) -> None:
    names = {p.stem for p in (ROOT / "chapters").glob("*.ipynb")}
    assert {f"chapters/{name}.html" for name in names} <= set(walk.pages)
    for name in ("index", "labs", "glossary", "references", "scoreboard", "genindex"):
        assert f"{name}.html" in walk.pages


def test_nothing_is_fetched_from_elsewhere(walk: Walk) -> None:
    assert walk.strangers == []


def test_no_page_complains(walk: Walk) -> None:
    assert walk.complaints == []


def test_formulas_are_drawn(walk: Walk) -> None:
    assert walk.all("rawMath") == []
    assert walk.all("mathErrors") == []
    assert sum(page["formulas"] for page in walk.pages.values()) > 500
    for name, page in walk.pages.items():
        assert page["formulas"] >= page["toFormulas"], name


def test_no_markdown_is_left(walk: Walk) -> None:
    assert walk.all("rawMarkdown") == []


def test_pictures_are_seen_and_described(walk: Walk) -> None:
    assert walk.all("broken") == []
    assert walk.all("noAlt") == []


def test_a_phone_shows_every_page_without_scrolling_sideways(walk: Walk) -> None:
    wide = {n: p["overflow"] for n, p in walk.pages.items() if p["overflow"] > 0}
    assert wide == {}


def test_pages_have_titles_and_descriptions(walk: Walk) -> None:
    titles = [page["title"] for page in walk.pages.values()]
    assert len(set(titles)) == len(titles)
    for name, page in walk.pages.items():
        assert page["headings"] == 1 or name == "search.html", name
        assert len(page["description"]) > 30, name


def test_every_link_within_the_book_leads_somewhere(
    walk: Walk, site: Path, address: str
) -> None:
    broken = set()
    for name, page in walk.pages.items():
        for link in page["links"]:
            if not link.startswith(address):
                continue
            place, anchor = urldefrag(link.removeprefix(address).split("?")[0])
            target = unquote(place) or "index.html"
            ids = walk.pages.get(target, {"ids": [anchor]})["ids"]
            if not (site / target).is_file() or (anchor and unquote(anchor) not in ids):
                broken.add(f"{name}: {target}#{anchor}")
    assert broken == set()


def test_no_barrier_to_access(walk: Walk) -> None:
    assert walk.barriers == []


def test_search_finds_a_word(browser, address: str) -> None:
    page = browser.new_page(viewport=DESK)
    page.goto(f"{address}search.html?q=backpropagation")
    result = page.locator("#search-results li a", has_text="Backpropagation").first
    result.wait_for(timeout=PATIENCE)
    result.click()
    page.wait_for_url("**/04_backpropagation.html*")
    page.close()


def test_a_click_makes_it_dark_and_stays_so(browser, address: str) -> None:
    page = browser.new_page(viewport=DESK, color_scheme="light")
    page.goto(f"{address}chapters/03_activations.html")
    shade = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(shade)
    theme = "document.documentElement.dataset.theme"
    page.locator(".theme-switch-button:visible").first.click()
    page.locator(".theme-change-button[data-mode=dark]:visible").first.click()
    assert page.evaluate(theme) == "dark"
    dark = page.evaluate(shade)
    assert brightness(dark) < 60 < 200 < brightness(light)
    page.reload()
    assert page.evaluate(shade) == dark
    plate = "getComputedStyle(document.querySelector('figure img')).backgroundColor"
    assert brightness(page.evaluate(plate)) > 200, "plots are drawn on white"
    page.close()


def brightness(colour: str) -> float:
    """The mean of red, green and blue in ``rgb(r, g, b)``."""
    parts = colour[colour.index("(") + 1 :].rstrip(")").split(",")
    return sum(float(part) for part in parts[:3]) / 3
