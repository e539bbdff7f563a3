"""What grading leaves: a table for the instructor, JUnit, a page for each student."""

import csv
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as xml

from lmcore.course.labs.definition import Lab
from lmcore.course.labs.earlier import column
from lmcore.course.labs.grade import Result
from lmcore.course.notebooks import write_atomically

NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
MARKS = {"right": "✓", "wrong": "✗", "blank": "–", "ended": "✗", "broken": "?"}
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto;
  padding: 0 1rem }}
td, th {{ text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0 }}
pre {{ white-space: pre-wrap; background: #f4f4f4; padding: .6rem; margin: 0 }}
</style>
<h1>{title}</h1>
{body}
</html>
"""


def write_reports(lab: Lab, results: Sequence[Result], out: Path) -> None:
    """Write ``marks.csv``, ``junit.xml`` and ``feedback/NAME.html`` into a folder."""
    (out / "feedback").mkdir(parents=True, exist_ok=True)
    write_atomically(out / "marks.csv", csv_text(lab, results))
    write_atomically(out / "junit.xml", junit_text(lab, results))
    for result in results:
        page = out / "feedback" / f"{result.student}.html"
        write_atomically(page, page_text(lab, result))


def csv_text(lab: Lab, results: Sequence[Result]) -> str:
    """One line a student. A written answer's column is for the person who marks it.

    It is empty where there is something to read and 0 where there is none. The total is
    empty until all of them are marked.
    """
    tasks = [one for one in lab.tasks.values() if not one.stretch]
    stretch = [one for one in lab.tasks.values() if one.stretch]
    head = ["student", "points", "of", *(one.name for one in tasks)]
    head += [column(w.name, w.points) for w in lab.written.values()]
    head.append(
        f"total (of {lab.points + sum(w.points for w in lab.written.values())})"
    )
    head += [f"figure of {one.name}" for one in stretch]
    head += ["flags", "problems", "seconds"]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(head)
    for result in results:
        by_name = {outcome.task.name: outcome for outcome in result.outcomes}
        row = [safe(result.student), result.points, lab.points]
        row += [by_name[one.name].earned for one in tasks]
        by_hand = [_mark(result, name) for name in lab.written]
        row += ["" if mark is None else f"{mark:g}" for mark in by_hand]
        row.append("" if None in by_hand else f"{result.points + sum(by_hand):g}")
        for one in stretch:
            figure = by_name[one.name].figure if one.name in by_name else None
            row.append("" if figure is None else f"{figure:.4f}")
        row += [safe("; ".join(result.flags)), safe("; ".join(result.problems))]
        table.writerow([*row, f"{result.seconds:.1f}"])
    return text.getvalue()


def junit_text(lab: Lab, results: Sequence[Result]) -> str:
    """JUnit's XML: a suite for each student, a case for each task."""
    suites = xml.Element("testsuites", name=lab.name)
    for result in results:
        failed = [o for o in result.outcomes if o.status != "right"]
        suite = xml.SubElement(
            suites,
            "testsuite",
            name=_printable(result.student),
            tests=str(len(result.outcomes)),
            failures=str(len(failed)),
            time=f"{result.seconds:.1f}",
        )
        for outcome in result.outcomes:
            name = outcome.task.name
            case = xml.SubElement(suite, "testcase", classname=lab.name, name=name)
            if outcome.status != "right":
                first = _printable(outcome.message.split("\n")[0])
                failure = xml.SubElement(case, "failure", message=first)
                failure.set("type", outcome.status)
                failure.text = _printable(outcome.message)
    xml.indent(suites)
    return xml.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def page_text(lab: Lab, result: Result) -> str:
    """A student's page: points, a line a task, what to mend, what is still to mark."""
    parts = [
        f"<p><b>{result.points} of {lab.points} points</b> for the tasks that are "
        "checked by code."
    ]
    if result.problems:
        items = "".join(f"<li>{_text(problem)}" for problem in result.problems)
        parts.append(f"<h2>What went wrong first</h2><ul>{items}</ul>")
    parts.append("<h2>Tasks</h2><table><tr><th><th>task<th>points<th>")
    for outcome in result.outcomes:
        one = outcome.task
        points = "stretch" if one.stretch else f"{outcome.earned} of {one.points}"
        said = f"<pre>{_text(outcome.message)}</pre>" if outcome.message else ""
        if outcome.figure is not None:
            said = f"figure: {outcome.figure:.4f}"
        mark = MARKS[outcome.status]
        parts.append(f"<tr><td>{mark}<td>{_text(one.name)}<td>{points}<td>{said}")
    parts.append("</table>")
    for question in lab.written.values():
        answer = result.written.get(question.name, "")
        mark = _mark(result, question.name)
        state = f"up to {question.points} points, marked by a person"
        if not answer:
            state = f"0 of {question.points} points: nothing was written"
        elif mark is not None:
            state = f"{mark:g} of {question.points} points"
        rubric = "".join(f"<li>{_text(line)}" for line in question.rubric)
        shown = f"<pre>{_text(answer)}</pre>" if answer else ""
        title = f"{_text(question.name)} ({state})"
        parts.append(f"<h2>{title}</h2><ul>{rubric}</ul>{shown}")
    title = _text(f"{lab.name}: {result.student}")
    return PAGE.format(title=title, body="\n".join(parts))


def _mark(result: Result, question: str) -> float | None:
    """Of a written answer: by hand; 0 if there is none; None if it is to be marked."""
    return result.by_hand.get(question) if result.written.get(question) else 0


def _text(words: str) -> str:
    return html.escape(_printable(words))


def _printable(words: str) -> str:
    """Words without the characters that XML forbids."""
    return NOT_XML.sub("�", words)


def safe(words: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    words = _printable(words)
    return f"'{words}" if words[:1] in ("=", "+", "-", "@") else words
