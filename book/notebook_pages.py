"""What a page of the book has beyond its file: figures, numbers, links, citations.

Sphinx reads each file and hands its text to ``page_text`` before it is parsed; the
files themselves stay as they are, so that a download is the notebook itself.
"""

import html
import json
import re
from itertools import pairwise
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from references import References

CODE_OR_LINK = re.compile(  # whichever begins first: code may hold a link, and it code
    r"""
    ```.*?```                                           # code between fences,
    | (?<=\n\n) (?:[ ]{4}[^\n]*\n)+                    # code indented by four,
    | (?<!!) \[( (?: `[^`\n]*` | [^\]`] )* )\] \(([^)\s]+)\)   # a link, no picture,
    | ``.*?`` | `[^`\n]*`                               # code within a line
    """,
    re.DOTALL | re.VERBOSE,
)
MERMAID = re.compile(r"```mermaid\n(.*?)```", re.DOTALL)
BRACKET = re.compile(r"(\\begin\{aligned\}\s*)\[")  # or TeX takes it for an option
HOW_TO_READ = re.compile(r"\*\*How to read it\.\*\*.*?(?=\n\s*\n|\Z)", re.DOTALL)
GITHUB = "https://github.com/"
COLAB = "https://colab.research.google.com/github/"
PAGES = (".ipynb", ".md")


def chapter_number(name: str) -> str:
    """``"03"`` of ``03_activations``, ``"A"`` of ``A_claims_checked``."""
    return name.split("_")[0]


def markdown_cells(path: Path) -> list[str]:
    """The texts of a notebook's Markdown cells, or the whole of an ``.md``."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return [text]
    cells = json.loads(text)["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]


def links_of(text: str) -> list[str]:
    """Targets of a text's relative links, as written."""
    found = [m[2] for m in CODE_OR_LINK.finditer(text) if m[2]]
    return [link for link in found if not re.match(r"[a-z]+:|#|<", link)]


def linked_files(root: Path, path: Path) -> list[Path]:
    """Files of the repository that a page links to and that are no pages."""
    targets = [t for text in markdown_cells(path) for t in links_of(text)]
    files = [(path.parent / unquote(t.split("#")[0])).resolve() for t in targets]
    inside = [f for f in files if f.is_file() and f.is_relative_to(root)]
    return [f for f in inside if f.suffix not in PAGES]


def page_text(
    docname: str, text: str, settings: dict, source: Path, references: References
) -> str:
    """The text that Sphinx parses in place of the file's own.

    Args:
        docname: The page, such as ``chapters/03_activations``.
        text: The file's text: Markdown, or a notebook's JSON.
        settings: Of ``settings.toml``.
        source: The folder that holds all pages.
        references: Whose entries the page's own list is linked to.
    """

    def prose(markdown: str) -> str:
        markdown = BRACKET.sub(r"\1{}[", markdown)
        markdown = MERMAID.sub(lambda m: steps_in_a_row(m[1]), markdown)
        return CODE_OR_LINK.sub(
            lambda m: book_link(m, docname, settings, source), markdown
        )

    if not text.lstrip().startswith("{"):
        return prose(text)
    notebook = json.loads(text)
    cells = notebook["cells"]
    for cell in cells:
        cell["source"] = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            cell["source"] = references.cite(prose(cell["source"]))
    number = chapter_number(PurePosixPath(docname).name)
    if docname.startswith("chapters/"):
        name_figures(cells, number)
        cells[0]["source"] += "\n\n" + ways_to_run(docname, settings)
    return json.dumps(notebook)


def book_link(match: re.Match, docname: str, settings: dict, source: Path) -> str:
    """A link as it must be written in the book; most stay as they are."""
    label, target = match.groups()
    if target is None or re.match(r"[a-z]+:|<", target):
        return match[0]
    if target.startswith("#"):
        return f"[{label}]({slug(target)})"
    place, _, anchor = target.partition("#")
    folder = PurePosixPath(docname).parent
    path = PurePosixPath(_normal((folder / unquote(place)).as_posix()))
    up = "../" * len(folder.parts)
    if path.as_posix() in ("README.md", "."):
        return f"[{label}]({up}index.md)"
    if path.suffix in PAGES and (source / path).is_file():
        return f"[{label}]({place}{slug('#' + anchor) if anchor else ''})"
    if settings["repository"]:
        kind = "blob" if path.suffix else "tree"
        address = f"{settings['repository']}/{kind}/{settings['branch']}/{path}"
        return f"[{label}]({address}{'#' + anchor if anchor else ''})"
    if (source / path).is_file():
        return f"[{label}]({place})"  # a copy in the site
    return label


def slug(anchor: str) -> str:
    """MyST's name of a heading, from JupyterLab's (``#2-A-loss:-one-number``)."""
    return "#" + re.sub(r"[^\w-]", "", unquote(anchor).lower())


def _normal(path: str) -> str:
    """A path without ``..`` in it."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) or "."


def name_figures(cells: list[dict], number: str) -> None:
    """Give each plot its alt text, a number, and its line "How to read it" as caption.

    Args:
        cells: The notebook's; changed in place.
        number: The chapter's.
    """
    plots = [i for i, cell in enumerate(cells) if "alt" in cell["metadata"]]
    for count, (i, end) in enumerate(pairwise([*plots, len(cells)]), 1):
        caption = f"**Figure {number.lstrip('0') or '0'}.{count}.**"
        texts = (c for c in cells[i + 1 : end] if c["cell_type"] == "markdown")
        following = next(texts, {"source": ""})  # the next text before the next plot
        found = HOW_TO_READ.match(following["source"].lstrip())
        if found:
            caption += " " + found[0].removeprefix("**How to read it.**").strip()
            rest = following["source"].lstrip()[found.end() :]
            following["source"] = rest.lstrip("\n")
        cells[i]["metadata"]["mystnb"] = {
            "image": {"alt": cells[i]["metadata"]["alt"]},
            "figure": {"caption": caption, "name": f"figure-{number}-{count}"},
        }


def ways_to_run(docname: str, settings: dict) -> str:
    """The line under a chapter's head that says how to open it."""
    name = PurePosixPath(docname).name
    line = (
        "**Run it.** `python run.py lab` opens your own copy in JupyterLab; "
        f"{{download}}`download this notebook <{name}.ipynb>`"
    )
    address = settings["repository"]
    if address.startswith(GITHUB):
        place = f"{address.removeprefix(GITHUB)}/blob/{settings['branch']}"
        line += (
            f"; or [open it in Colab]({COLAB}{place}/{docname}.ipynb) and begin with "
            f"`%pip install git+{address}`"
        )
    return line + "."


def steps_in_a_row(diagram: str) -> str:
    """A Mermaid flowchart that is one chain, as a list that any browser shows.

    Raises:
        ValueError: If it is anything else.
    """
    names = dict(re.findall(r"\b(\w+)\[\"(.*?)\"\]", diagram))
    arrows = re.findall(r"(\w+)(?:\[\".*?\"\])? *-->(?:\|(.*?)\|)? *(\w+)", diagram)
    chain = [arrows[0][0], *(end for _, _, end in arrows)] if arrows else []
    starts = [start for start, _, _ in arrows]
    if not chain or chain[:-1] != starts or set(chain) != set(names):
        raise ValueError(f"only a chain A --> B --> C can be drawn, not:\n{diagram}")
    items = []
    for name, how in zip(chain, ["", *(how for _, how, _ in arrows)], strict=True):
        lines = [html.escape(part) for part in names[name].split("<br/>")]
        arrow = f'<span class="how">{html.escape(how)}</span>' if items else ""
        detail = "".join(f"<small>{part}</small>" for part in lines[1:])
        items.append(f"<li>{arrow}<div><b>{lines[0]}</b>{detail}</div></li>")
    return f'<ol class="steps">{"".join(items)}</ol>'
