"""Build the web edition: ``python run.py book`` calls this.

The book's pages are the committed notebooks, shown with their outputs, and a few pages
made from them (``pages.py``). They are laid out in ``book/_build/source`` by the same
relative paths as in the repository, so that a link that works there works here; then
Sphinx runs over that folder, and any warning is an error. The site is
``book/_build/html``: plain files, which need no server and no network.
"""

import argparse
import hashlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))

import pages  # noqa: E402 - it lies beside this file, wherever that is
from notebook_pages import linked_files  # noqa: E402
from references import References  # noqa: E402

SHOWN = ("chapters/*.ipynb", "labs/*/lab.ipynb", "INSTRUCTORS.md", "CONTRIBUTING.md")
PICTURES = ("figures/*.svg",)
TOOLS = ("sphinx", "myst-nb", "sphinx-book-theme", "sphinxcontrib-bibtex")


def lay_out(root: Path, source: Path) -> None:
    """Fill ``source`` with every page of the book and the files that they link to.

    Args:
        root: The repository.
        source: An empty folder.
    """
    shown = [path for pattern in SHOWN for path in sorted(root.glob(pattern))]
    pictures = [path for pattern in PICTURES for path in sorted(root.glob(pattern))]
    linked = [file for path in shown for file in linked_files(root, path)]
    for path in [*shown, *pictures, *linked]:
        copy = source / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    references = References.read(HERE / "references.bib").with_chapters(root)
    (source / "references.bib").write_text(references, encoding="utf-8")
    for name, text in pages.all_pages(root).items():
        (source / name).write_text(text, encoding="utf-8")


def fingerprint(source: Path) -> str:
    """A hash of all that the site is made from: pages, configuration and tools."""
    digest = hashlib.sha256()
    ours = [path for path in HERE.rglob("*") if "_build" not in path.parts]
    for path in sorted([*ours, *source.rglob("*")]):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.name}\0".encode() + path.read_bytes())
    for tool in TOOLS:
        digest.update(importlib.metadata.version(tool).encode())
    return digest.hexdigest()


def build(out: Path, root: Path = ROOT) -> Path:
    """Build the site unless it stands already, of the same pages.

    Args:
        out: The folder for it; made if it is not there.
        root: The repository.

    Returns:
        The folder with the site's ``index.html``.

    Raises:
        RuntimeError: If Sphinx has an error or a warning; it has printed them.
    """
    source, site, stamp = out / "source", out / "html", out / "stamp.json"
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / "lock"):
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir()
        lay_out(root, source)
        key = fingerprint(source)
        if stamp.exists() and json.loads(stamp.read_text())["key"] == key:
            return site
        stamp.unlink(missing_ok=True)
        for folder in (site, out / "doctrees"):
            shutil.rmtree(folder, ignore_errors=True)
        run_sphinx(source, site, out / "doctrees")
        stamp.write_text(json.dumps({"key": key}))
    return site


def run_sphinx(source: Path, site: Path, doctrees: Path) -> None:
    """Let Sphinx write the site; every warning is shown, and one is enough to fail."""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q"]
    command += ["-c", str(HERE), "-d", str(doctrees), str(source), str(site)]
    if subprocess.run(command, cwd=HERE, check=False).returncode != 0:
        raise RuntimeError("Sphinx stopped with an error or a warning (above).")


def main() -> int:
    """Build the site and say where it lies, how large it is and how long it took."""
    parser = argparse.ArgumentParser(description="Build the web edition of the book.")
    parser.add_argument(
        "--out", type=Path, default=HERE / "_build", help="folder for what is built"
    )
    started = time.perf_counter()
    try:
        site = build(parser.parse_args().out.resolve())
    except RuntimeError as error:
        print(error)
        return 1
    seconds = time.perf_counter() - started
    count = len(list(site.rglob("*.html")))
    print(f"book: {count} pages in {seconds:.0f} s: {site / 'index.html'}")
    for line in pages.gaps(ROOT):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
