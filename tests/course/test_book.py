"""The web edition before Sphinx: which pages there are, and what their texts become."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book"))
pytest.importorskip("sphinx")

import build  # noqa: E402 - they lie in book/
import notebook_pages  # noqa: E402
import pages  # noqa: E402
from glossary import Glossary, Term  # noqa: E402
from references import References  # noqa: E402

GLOSSARY = Glossary.read(ROOT / "book" / "glossary.yaml")
REFERENCES = References.read(ROOT / "book" / "references.bib")
AT_HOME = {"repository": "", "branch": "main"}
ON_GITHUB = {"repository": "https://github.com/someone/course", "branch": "main"}


def notebook(*cells: str | tuple[str, str]) -> str:
    """A notebook's JSON: a text is a Markdown cell, a pair is code with alt text."""
    made = []
    for cell in cells:
        if isinstance(cell, str):
            made.append({"cell_type": "markdown", "metadata": {}, "source": cell})
        else:
            source, alt = cell
            rest = {"outputs": [], "execution_count": 1, "source": source}
            made.append({"cell_type": "code", "metadata": {"alt": alt}, **rest})
    return json.dumps(
        {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    )


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A small course: one chapter, a README, and a file that the chapter links to."""
    (tmp_path / "chapters").mkdir()
    (tmp_path / "README.md").write_text("# A course\n\nIt is small.\n")
    (tmp_path / "helper.py").write_text("x = 1\n")
    write_chapter(tmp_path, "00_first", "See [helper](../helper.py).")
    return tmp_path


def write_chapter(course: Path, name: str, text: str) -> None:
    number, title = name.split("_")
    head = f"# {number} · {title.title()}\n\n**Question.** What is {title}?"
    (course / "chapters" / f"{name}.ipynb").write_text(notebook(head, text))


def text_of(text: str, course: Path, settings: dict = AT_HOME) -> str:
    """What a page of ``chapters/`` becomes, as one text."""
    page = notebook_pages.page_text(
        "chapters/00_first",
        notebook("# 00 · First", text),
        settings,
        course,
        REFERENCES,
    )
    return "\n".join(cell["source"] for cell in json.loads(page)["cells"])


def test_a_new_chapter_appears_by_itself(course: Path) -> None:
    write_chapter(course, "07_seventh", "Do [lab 2](../labs/02_two/lab.ipynb).")
    write_chapter(course, "C_third", "Text.")
    front = pages.front_page(course)
    order = ["00 First", "07 Seventh", "C Third"]
    found = re.findall(r"\[(\w+ \w+)\]\(chapters/", front)
    assert found == order
    assert "| What is seventh? |  | [02](labs/02_two/lab.ipynb) |" in front
    assert re.findall(r"^### (.*)$", front, re.M) == [
        "I Foundations",
        "II Sequences",
        "Appendices",
    ]
    assert front.index("chapters/07_seventh\n") < front.index("chapters/C_third\n")


def test_pages_and_linked_files_are_laid_out(course: Path, tmp_path: Path) -> None:
    source = tmp_path / "laid"
    source.mkdir()
    build.lay_out(course, source)
    laid = {p.relative_to(source).as_posix() for p in source.rglob("*") if p.is_file()}
    assert {"chapters/00_first.ipynb", "helper.py", "index.md", "glossary.md"} <= laid
    before = build.fingerprint(source)
    assert build.fingerprint(source) == before
    (source / "helper.py").write_text("x = 2\n")
    assert build.fingerprint(source) != before


def test_a_warning_stops_the_build(course: Path, capfd: pytest.CaptureFixture) -> None:
    write_chapter(course, "01_second", "A [heading](00_first.ipynb#nowhere).")
    with pytest.raises(RuntimeError, match="Sphinx stopped"):
        build.build(course / "out", course)
    assert "nowhere" in capfd.readouterr().err
    assert not (course / "out" / "stamp.json").exists(), "the next run builds again"


@pytest.mark.parametrize(
    ("link", "at_home", "on_github"),
    [
        ("[a](00_first.ipynb#2-A-loss:-one)", "[a](00_first.ipynb#2-a-loss-one)", None),
        ("[a](../README.md)", "[a](../index.md)", None),
        ("[a](../helper.py)", "[a](../helper.py)", "/blob/main/helper.py)"),
        ("[the `x`](../results/)", "the `x`", "/tree/main/results)"),
        ("[a](https://example.org)", "[a](https://example.org)", None),
        ("`f[a](../helper.py)`", "`f[a](../helper.py)`", None),
        ("So:\n\n    [a](nowhere)\n", "    [a](nowhere)", None),
    ],
)
def test_links(link: str, at_home: str, on_github: str | None, course: Path) -> None:
    assert at_home in text_of(link, course)
    assert (on_github or at_home) in text_of(link, course, ON_GITHUB)


def test_colab_is_offered_where_the_repository_is_known(course: Path) -> None:
    assert "olab" not in text_of("", course)
    place = (
        "colab.research.google.com/github/someone/course/blob/main/chapters/00_first"
    )
    assert place in text_of("", course, ON_GITHUB)


def test_a_plot_gets_alt_text_a_number_and_its_caption() -> None:
    cells = json.loads(
        notebook(
            "# T", ("plot()", "A line."), "**How to read it.** Up\nis more.\n\nNext."
        )
    )["cells"]
    notebook_pages.name_figures(cells, "03")
    shown = cells[1]["metadata"]["mystnb"]
    assert shown["image"] == {"alt": "A line."}
    assert shown["figure"]["caption"] == "**Figure 3.1.** Up\nis more."
    assert cells[2]["source"] == "Next."


def test_a_chain_is_drawn_and_nothing_else() -> None:
    drawn = notebook_pages.steps_in_a_row('A["a<br/>b & c"] -->|by| B["d"]')
    assert re.sub("<[^>]+>", "|", drawn).split("|") != []
    assert "<b>a</b><small>b &amp; c</small>" in drawn
    assert drawn.index(">by<") < drawn.index("<b>d</b>")
    for diagram in ('A["a"] --> B["b"]\nA --> C["c"]', "sequenceDiagram"):
        with pytest.raises(ValueError, match="only a chain"):
            notebook_pages.steps_in_a_row(diagram)


def test_tex_does_not_take_a_bracket_for_an_option(course: Path) -> None:
    text = "$$\\begin{aligned}\n[a] &= b\n\\end{aligned}$$"
    assert "\\begin{aligned}\n{}[a]" in text_of(text, course)


def test_terms_are_found_by_the_chinese_in_brackets() -> None:
    text = "a **gate** (门; Gers 2000), the cell (记忆单元), no (门槛), 门"
    assert [term.name for term in GLOSSARY.terms_in(text)] == ["gate", "cell"]
    with pytest.raises(ValueError, match="门 stands there twice"):
        Glossary([Term("gate", ("门",), "A."), Term("door", ("门",), "B.")])


def test_every_term_is_explained_in_one_sentence() -> None:
    assert len(GLOSSARY.terms) > 250
    for term in GLOSSARY.terms:
        assert re.fullmatch(r"[^.].*[.$]", term.means), term.heading


def test_titles_are_cited_where_they_stand() -> None:
    item = (
        '## References\n\n- A. Vaswani, "Attention is all you need", *NeurIPS*.\n'
        "- X. Glorot, 2010. *Understanding the difficulty of training deep\n"
        "  feedforward neural networks.* Section 4."
    )
    cited = REFERENCES.cite(item)
    assert '"Attention is all you need" {cite:p}`vaswani2017attention`, *Neur' in cited
    assert "networks.* {cite:p}`glorot2010understanding` Section 4." in cited
    assert REFERENCES.cite("Attention is all you need") == "Attention is all you need"


def test_a_title_within_a_title_is_not_cited() -> None:
    item = 'B. Zhang, "Root mean square layer normalization", *NeurIPS* (2019)'
    assert REFERENCES.keys_in(item) == ["zhang2019root"]


def test_references_are_whole_and_say_who_cites_them() -> None:
    for entry in re.split(r"^(?=@)", REFERENCES.text, flags=re.M)[1:]:
        for name in ("author", "title", "year"):
            assert re.search(rf"^  {name} = \{{.+\}},$", entry, re.M), entry
    noted = REFERENCES.with_chapters(ROOT)
    found = re.search(r"vaswani2017attention,\n  note = \{Chapters (.+)\}", noted)
    assert {"07", "08"} <= set(found[1].split(", "))


def test_points_of_a_lab_are_those_of_its_notebook() -> None:
    assert pages.points(ROOT / "labs" / "01_tokenizer" / "lab.ipynb") == (22, 6)
