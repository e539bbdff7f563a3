"""Pages of the book that are made from the notebooks and results: nothing typed twice.

The front page with the contents, the scoreboard, the labs, the glossary and the
references. Their prose stands in ``texts/``; the functions here fill in the rest.
"""

import ast
import json
import re
from collections.abc import Iterable
from pathlib import Path

from glossary import Glossary
from notebook_pages import chapter_number
from references import References

from lmcore.course.desk import read_heading
from lmcore.course.notebooks import Chapter, find_chapters, read_results, time_band
from lmcore.course.scoreboard import read_scoreboard

HERE = Path(__file__).resolve().parent
PARTS = (  # a chapter belongs to the last part that begins no later
    ("00", "I Foundations"),
    ("06", "II Sequences"),
    ("09", "III Pretraining"),
    ("13", "IV Adaptation"),
    ("17", "V Beyond"),
    ("A", "Appendices"),
)


def chapters(root: Path) -> list[Chapter]:
    """Chapters whose notebook stands, in book order."""
    return [c for c in find_chapters(root) if c.notebook.exists()]


def by_part(root: Path) -> list[tuple[str, list[Chapter]]]:
    """The parts that have chapters, with them."""
    parts: dict[str, list[Chapter]] = {}
    for chapter in chapters(root):
        number = chapter_number(chapter.name)
        title = [name for first, name in PARTS if first <= number][-1]
        parts.setdefault(title, []).append(chapter)
    return list(parts.items())


def cells_of(notebook: Path, kind: str = "markdown") -> list[str]:
    """The texts of a notebook's cells of one kind."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == kind]


def fill(page: str, **parts: str) -> str:
    """The text of ``texts/PAGE.md`` with ``{{ name }}`` replaced by each part."""
    text = (HERE / "texts" / f"{page}.md").read_text(encoding="utf-8")
    for name, part in parts.items():
        text = text.replace(f"{{{{ {name} }}}}", part)
    return text


def table(head: str, rows: Iterable[Iterable[str]], align: str = "") -> str:
    """A Markdown table.

    Args:
        head: The names of its columns, with commas between.
        rows: Its cells.
        align: ``r`` for each column of figures, ``l`` for others; none: all left.
    """
    names = head.split(", ")
    rules = {"r": "--:", "l": "---"}
    lines = [names, [rules[letter] for letter in align or "l" * len(names)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def unbroken(text: str) -> str:
    """The text with spaces at which no line is broken."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def all_pages(root: Path) -> dict[str, str]:
    """File name and text of every page that is made here."""
    references = References.read(HERE / "references.bib")
    speed = root / "results" / "bench.md"
    return {
        "index.md": front_page(root),
        "scoreboard.md": scoreboard_page(root),
        **({"speed.md": speed.read_text(encoding="utf-8")} if speed.exists() else {}),
        "labs.md": labs_page(root),
        "glossary.md": glossary_page(root),
        "references.md": fill("references", others=references.others(root)),
    }


def front_page(root: Path) -> str:
    """What the course is, a picture, the two commands and the contents.

    The opening is the README's; a part's figure has the part's name.
    """
    readme = (root / "README.md").read_text(encoding="utf-8")
    paragraphs = [p.strip() for p in readme.split("\n\n")[1:]]
    results = read_results(root)
    contents = []
    for part, members in by_part(root):
        rows = []
        for chapter in members:
            heading, question = read_heading(chapter.notebook)
            seconds = results.get(chapter.name, {}).get("seconds")
            rows.append(
                (
                    f"[{heading.replace(' · ', ' ')}](chapters/{chapter.name}.ipynb)",
                    question.replace("|", "\\|"),
                    "" if seconds is None else unbroken(time_band(seconds)),
                    ", ".join(
                        f"[{n[:2]}](labs/{n}/lab.ipynb)" for n in labs_of(chapter)
                    ),
                )
            )
        contents += [f"### {part}", figure(root, part.split()[-1].lower())]
        contents += [table("chapter, question, to run, lab", rows)]
    return fill(
        "index",
        title=re.search(r"^# (.+)$", readme, re.MULTILINE)[1],
        opening=next(p for p in paragraphs if re.match(r"[A-Za-z]", p)),
        picture=figure(root, "scoreboard"),
        contents="\n\n".join(contents),
        toctrees="\n".join(toctrees(root)),
    )


def figure(root: Path, name: str) -> str:
    """The figure ``figures/NN_NAME.svg``, if there is one.

    The program beside it that draws it has its alt text, and its title as docstring.
    """
    for picture in root.glob(f"figures/*_{name}.svg"):
        program = ast.parse(picture.with_suffix(".py").read_text(encoding="utf-8"))
        named = [n for n in program.body if isinstance(n, ast.Assign)]
        alt = next(n.value for n in named if ast.unparse(n.targets[0]) == "ALT")
        caption = ast.get_docstring(program).split("\n")[0]
        head = f"```{{figure}} figures/{picture.name}\n:alt: {ast.literal_eval(alt)}"
        return f"{head}\n\n{caption}\n```"
    return ""


def toctrees(root: Path) -> list[str]:
    """The order of all pages, for the contents at the left and previous/next."""
    groups = [
        (part, [f"chapters/{chapter.name}" for chapter in members])
        for part, members in by_part(root)
        if part != PARTS[-1][1]
    ]
    labs = [path.parent.name for path in sorted(root.glob("labs/*/lab.ipynb"))]
    groups.append(("Labs", ["labs", *(f"labs/{name}/lab" for name in labs)]))
    about = ["scoreboard"]
    about += ["speed"] if (root / "results" / "bench.md").exists() else []
    about += [n for n in ("INSTRUCTORS", "CONTRIBUTING") if (root / f"{n}.md").exists()]
    groups.append(("About the course", about))
    appendices = dict(by_part(root)).get(PARTS[-1][1], [])
    back = [f"chapters/{chapter.name}" for chapter in appendices]
    groups.append(("Appendices", [*back, "glossary", "references", "genindex"]))
    lines = []
    for caption, names in groups:
        lines += ["```{toctree}", ":hidden:", f":caption: {caption}", "", *names]
        lines += ["```", ""]
    return lines


def scoreboard_page(root: Path) -> str:
    """Every language model of the book on the same held-out text."""
    names = {chapter.name for chapter in chapters(root)}
    rows, commands = [], []
    for row in read_scoreboard(root / "results" / "scoreboard.json"):
        number = chapter_number(row.chapter)
        link = f"[{number}](chapters/{row.chapter}.ipynb)"
        rows.append(
            (
                row.model,
                link if row.chapter in names else number,
                f"{row.bits_per_byte:.2f}",
                f"{row.train_seconds:,.0f} s",
                f"{row.parameters:,}",
            )
        )
        commands.append(f"- {row.model}: `{row.command}` ({row.machine}; {row.date})")
    head = "model, chapter, bits per byte, training, parameters"
    return fill(
        "scoreboard",
        table=table(head, rows, "llrrr"),
        commands="\n".join(commands),
    )


def labs_of(chapter: Chapter) -> list[str]:
    """Names of the labs that a chapter sends its readers to."""
    found = re.findall(r"\.\./labs/(\w+)/lab\.ipynb", prose(chapter))
    return list(dict.fromkeys(found))


def labs_page(root: Path) -> str:
    """The labs: what each is, how long, how many points, and the file to take."""
    goes_with = {c.name: labs_of(c) for c in chapters(root)}
    rows = []
    for path in sorted(root.glob("labs/*/lab.ipynb")):
        name = path.relative_to(root).as_posix()
        time = re.search(r"\*\*Time\.\*\* (.+?)\.\s", cells_of(path)[0])
        names = [n for n, labs in goes_with.items() if path.parent.name in labs]
        marks, by_hand = points(path)
        rows.append(
            (
                f"[{read_heading(path)[0].replace(' · ', ' ')}]({name})",
                ", ".join(f"[{n[:2]}](chapters/{n}.ipynb)" for n in names),
                unbroken(time[1].replace("minutes", "min")) if time else "",
                f"{marks} + {by_hand}",
                f"{{download}}`download <{name}>`",
            )
        )
    return fill("labs", table=table("lab, goes with, time, points, notebook", rows))


def points(lab: Path) -> tuple[int, int]:
    """A lab's points: those that the grader gives, and those given by a person."""
    cells = json.loads(lab.read_text(encoding="utf-8"))["cells"]
    graded = [c["metadata"].get("nbgrader", {}) for c in cells]
    graded = [g for g in graded if g.get("grade")]
    by_hand = sum(g["points"] for g in graded if g["solution"])
    return round(sum(g["points"] for g in graded) - by_hand), round(by_hand)


def glossary_page(root: Path) -> str:
    """Each term with its Chinese name, one sentence, and where chapters name it."""
    glossary = Glossary.read(HERE / "glossary.yaml")
    uses: dict[str, list[str]] = {}
    for chapter in chapters(root):
        for name in {term.name for term in glossary.terms_in(prose(chapter))}:
            uses.setdefault(name, []).append(chapter.name)
    count = str(len(glossary.terms))
    return fill("glossary", count=count, terms="\n".join(glossary.lines(uses)))


def prose(chapter: Chapter) -> str:
    """All Markdown of a chapter."""
    return "\n\n".join(cells_of(chapter.notebook))


def description(source: Path, pagename: str) -> str:
    """One or two sentences on a page, for search engines and link previews."""
    notebook = source / f"{pagename}.ipynb"
    if not notebook.exists():
        name = pagename.split("/")[-1].capitalize()
        return f"{name} of a course on large language models that runs on a laptop."
    title, question = read_heading(notebook)
    if not question:
        goal = re.search(
            r"\*\*Goal\.\*\*\s*(.+?)\.\s", cells_of(notebook)[0], re.DOTALL
        )
        question = " ".join(goal[1].split()) + "." if goal else ""
    plain = re.sub(r"[*`$\\]", "", question)
    return f"{title}. {plain}"


def gaps(root: Path) -> list[str]:
    """Where the chapters and the glossary or the references differ, in words."""
    glossary = Glossary.read(HERE / "glossary.yaml")
    text = "\n".join(prose(chapter) for chapter in chapters(root))
    chinese = re.findall(r"[(]([\u4e00-\u9fff][^(),;\n]*)[),;]", text)
    missing = {w.strip() for w in chinese} - set(glossary.by_chinese)
    unused = {t.name for t in glossary.terms} - {
        t.name for t in glossary.terms_in(text)
    }
    unknown = References.read(HERE / "references.bib").unknown(root)
    lines = []
    if missing:
        lines.append(f"glossary.yaml lacks: {', '.join(sorted(missing))}")
    if unused:
        lines.append(f"no chapter names: {', '.join(sorted(unused))}")
    return lines + [
        f"references.bib lacks, of {where}: {item}" for where, item in unknown
    ]
