"""What Sphinx does here beyond its own.

- Texts are changed before they are parsed (``notebook_pages.py``).
- Each equation of a chapter gets a number, (3.4).
- A term's first use in a chapter, "softmax (归一化指数函数)", becomes a place that the
  index and the glossary lead to.
- Each page gets a description, and Chinese words are marked as Chinese, for screen
  readers and for the choice of glyphs.
"""

import html
import re
import tomllib
from pathlib import Path

from docutils import nodes
from glossary import Glossary
from notebook_pages import chapter_number, page_text
from pages import description
from references import References
from sphinx.util.docutils import SphinxRole

HERE = Path(__file__).resolve().parent
SETTINGS = tomllib.loads((HERE / "settings.toml").read_text(encoding="utf-8"))
CHINESE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff][\u3000-\u9fff\uf900-\uffef]*")
MARKED = r'<span lang="zh-Hans">\g<0></span>'
FORMULA = re.compile(r"\\[(\[]")
BETWEEN_TAGS = re.compile(r">[^<]+(?=<)")


NO_PLACE_FOR_TERMS = (
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.title,
)


class FirstUse(nodes.Inline, nodes.Element):
    """Stands for a link to a term's first use in a chapter until all pages are read."""


class FirstUseRole(SphinxRole):
    """``{first}`03_activations:softmax``` in the glossary."""

    def run(self):
        """A node that ``link_first_uses`` replaces."""
        name, term = self.text.split(":", 1)
        return [FirstUse(docname=f"chapters/{name}", term=term)], []


def change_text(app, docname: str, content: list[str]) -> None:
    """Sphinx's ``source-read``: what it parses in place of the file's text."""
    content[0] = page_text(docname, content[0], SETTINGS, Path(app.srcdir), REFERENCES)


def number_and_index(app, document: nodes.document) -> None:
    """Sphinx's ``doctree-read``: number the equations, note where terms are named."""
    docname = app.env.docname
    if not docname.startswith("chapters/"):
        return
    chapter = chapter_number(docname.split("/")[-1])
    for count, block in enumerate(document.findall(nodes.math_block), start=1):
        block["number"] = f"{chapter.lstrip('0') or '0'}.{count}"
        block["ids"] = block["ids"] or [f"equation-{chapter}-{count}"]
    note_terms(app, docname, document)


def note_terms(app, docname: str, document: nodes.document) -> None:
    """Put a place before the first use of each term, and an entry into the index."""
    places = app.env.__dict__.setdefault("course_terms", {})
    index = app.env.get_domain("index").entries.setdefault(docname, [])
    seen = set()
    for text in list(document.findall(nodes.Text)):
        if isinstance(text.parent, NO_PLACE_FOR_TERMS):
            continue
        for term in GLOSSARY.terms_in(text.astext()):
            if term.name in seen:
                continue
            seen.add(term.name)
            place = f"term-{nodes.make_id(term.name)}"
            target = nodes.target("", "", ids=[place])
            text.parent.insert(text.parent.index(text), target)
            index.append(("single", term.heading, place, "", None))
            places[docname, term.name] = place


def link_first_uses(app, document: nodes.document, docname: str) -> None:
    """Sphinx's ``doctree-resolved``: the glossary's links, as places are known."""
    places = app.env.__dict__.get("course_terms", {})
    for node in list(document.findall(FirstUse)):
        address = app.builder.get_relative_uri(docname, node["docname"])
        place = places.get((node["docname"], node["term"]))
        number = chapter_number(node["docname"].split("/")[-1])
        label = (
            f"{'chapter' if number.isdigit() else 'appendix'}\N{NO-BREAK SPACE}{number}"
        )
        link = nodes.reference("", label, internal=True)
        link["refuri"] = address + (f"#{place}" if place else "")
        node.replace_self(link)


def describe_page(app, pagename, templatename, context, doctree) -> None:
    """Sphinx's ``html-page-context``: the description, and which words are Chinese."""
    text = html.escape(description(Path(app.srcdir), pagename), quote=True)
    context["metatags"] = context.get("metatags", "") + (
        f'\n<meta name="description" content="{text}" />'
    )
    if context.get("body"):
        # Roles of which docutils leaves half out, so that they say something wrong.
        for role in ("doc-biblioentry", "list"):
            context["body"] = context["body"].replace(f' role="{role}"', "")
        context["body"] = BETWEEN_TAGS.sub(
            lambda m: m[0] if FORMULA.search(m[0]) else CHINESE.sub(MARKED, m[0]),
            context["body"],
        )


REFERENCES = References.read(HERE / "references.bib")
GLOSSARY = Glossary.read(HERE / "glossary.yaml")


def setup(app) -> dict:
    """Connect all of the above."""
    # That with the chapters in it, which build.py wrote beside the pages.
    app.config.bibtex_bibfiles = [str(Path(app.srcdir) / "references.bib")]
    app.add_role("first", FirstUseRole())
    app.add_node(FirstUse)
    app.connect("source-read", change_text)
    app.connect("doctree-read", number_and_index)
    app.connect("doctree-resolved", link_first_uses)
    app.connect("html-page-context", describe_page)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
