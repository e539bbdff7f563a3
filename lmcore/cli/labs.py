"""``lmcore labs``: build labs from their sources, prove them, hand out, grade."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Build the labs, prove their checks, hand them out and grade them.",
    no_args_is_help=True,
)

Names = Annotated[
    list[str] | None,
    typer.Argument(help="Labs, such as 01 or 01_tokenizer; all if none is named."),
]
Root = Annotated[
    Path | None, typer.Option(help="The repository, if not the one you are in.")
]
NO_SANDBOX = """\
This is no sandbox. Each submission runs in a process of its own with limits on time,
memory and output, and cannot change its mark from there; but it can read and write
whatever you can. For submissions of strangers, run the grader in a container without a
network, where only the submissions and a folder for the reports are mounted:

  docker build -t lmcore-labs -f labs/Dockerfile .
  docker run --rm --network none --memory 3g --pids-limit 256 --read-only \\
    --tmpfs /tmp -v "$PWD/submitted:/in:ro" -v "$PWD/graded:/out" \\
    lmcore-labs grade /in --out /out
"""


@app.command()
def build(
    names: Names = None,
    solved: Annotated[
        Path | None, typer.Option(help="Also write the solved notebooks here.")
    ] = None,
    root: Root = None,
) -> None:
    """Write each lab's student notebook from its source."""
    import nbformat

    from lmcore.course.labs.build import LabError, build_lab, solved_notebook

    failures = 0
    for lab in _find(root, names):
        try:
            build_lab(lab)
            typer.echo(f"{lab.name}: {lab.notebook}")
            if solved is not None:
                solved.mkdir(parents=True, exist_ok=True)
                path = solved / f"{lab.name}.ipynb"
                text = nbformat.writes(solved_notebook(lab)) + "\n"
                path.write_text(text, encoding="utf-8", newline="\n")
                typer.echo(f"{lab.name}: {path} (solved)")
        except LabError as error:
            failures += 1
            typer.echo(str(error), err=True)
    if failures:
        raise typer.Exit(1)


@app.command()
def check(
    names: Names = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not run the solved notebooks whole.")
    ] = False,
    only: Annotated[
        str, typer.Option(help="Try only answers whose name or task holds this word.")
    ] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Labs at a time.")] = 1,
    root: Root = None,
) -> None:
    """Prove each lab: blank 0, solved full marks, every wrong answer rejected."""
    from lmcore.course.labs.prove import prove_labs

    problems = 0
    labs = _find(root, names)
    for proof in prove_labs(labs, run=not quick, only=only, jobs=jobs):
        typer.echo(proof.line())
        for problem in proof.problems:
            typer.echo(f"  {problem}", err=True)
        problems += len(proof.problems)
    typer.echo(f"{problems} problems")
    if problems:
        raise typer.Exit(1)


@app.command(epilog="See `lmcore labs grade --container` on running it safely.")
def grade(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Submissions: NAME.ipynb, or NAME/lab.ipynb."),
    ] = None,
    lab: Annotated[
        str | None, typer.Option(help="Which lab; else the notebooks say it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the reports go; FOLDER-graded if unset.")
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(help="Gives the same inputs again; else as before, or random."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="For each task.")] = 10.0,
    memory: Annotated[int, typer.Option(min=64, help="MiB for each submission.")] = (
        2048
    ),
    jobs: Annotated[int, typer.Option(min=1, help="Submissions at a time.")] = 1,
    again: Annotated[
        bool, typer.Option("--again", help="Grade also what was graded before.")
    ] = False,
    stretch: Annotated[
        bool, typer.Option("--stretch", help="Run the stretch tasks too.")
    ] = False,
    container: Annotated[
        bool, typer.Option("--container", help="Say how to run it in a container.")
    ] = False,
    root: Root = None,
) -> None:
    """Grade a folder of submissions; write marks.csv, junit.xml and feedback pages.

    Called again for the same folder, it grades only what is new or has changed, and
    keeps the marks that you typed into marks.csv.

    This is no sandbox: a submission runs as you. See --container.
    """
    from lmcore.course.labs.earlier import Earlier, earlier_secret, marks_by_hand
    from lmcore.course.labs.grade import Grader, Result, grade_folder
    from lmcore.course.labs.process import Limits
    from lmcore.course.labs.reports import safe, write_reports
    from lmcore.course.labs.submission import find_submissions, lab_of

    if container or folder is None:
        typer.echo(NO_SANDBOX)
        raise typer.Exit(0 if container else 2)
    try:
        name = lab or lab_of(find_submissions(folder))
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from None
    chosen = _find(root, [name])[0]
    limits = Limits(seconds=seconds, memory_mib=memory)
    place = out or folder.with_name(f"{folder.resolve().name}-graded")
    grader = Grader(chosen, limits, secret or earlier_secret(place), stretch)
    try:
        by_hand = marks_by_hand(chosen, place / "marks.csv")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    earlier = Earlier(grader, place, again)

    def tell(result: Result) -> None:
        flags = f"  {len(result.flags)} flags" if result.flags else ""
        marks = f"{result.points:3}/{chosen.points} {result.seconds:6.1f} s{flags}"
        typer.echo(f"{result.student:30} {marks}")

    try:
        results = grade_folder(earlier, folder, lab=chosen.name, jobs=jobs, done=tell)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    for result in results:
        result.by_hand = by_hand.get(safe(result.student), {})
    write_reports(chosen, results, place)
    typer.echo(f"{len(results)} submissions of {chosen.name} graded: {place}")
    if earlier.reused:
        typer.echo(f"{earlier.reused} of them as before (--again grades all anew)")
    typer.echo(f"the same inputs again: --secret {grader.secret}")
    typer.echo("No sandbox: submissions ran as you (lmcore labs grade --container).")


@app.command()
def release(
    names: Names = None,
    out: Annotated[Path, typer.Option(help="Where to write.")] = Path("release"),
    nbgrader: Annotated[
        bool,
        typer.Option(
            "--nbgrader", help="Write OUT/source for nbgrader instead: the SOLUTIONS."
        ),
    ] = False,
    root: Root = None,
) -> None:
    """Write the folder and the zip to hand out, without any line of a solution."""
    from lmcore.course.labs.build import LabError
    from lmcore.course.labs.release import nbgrader_source, release_lab

    for lab in _find(root, names):
        try:
            write = nbgrader_source if nbgrader else release_lab
            typer.echo(str(write(lab, out)))
        except LabError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None


@app.command()
def hint(
    name: Annotated[str, typer.Argument(help="The lab, such as 01.")],
    task: Annotated[str, typer.Argument(help="The task.")],
    level: Annotated[int, typer.Argument(min=1, max=3)] = 1,
    root: Root = None,
) -> None:
    """Print one of a task's three hints."""
    lab = _find(root, [name])[0]
    if task not in lab.tasks:
        raise typer.BadParameter(
            f"task={task!r}: must be one of {', '.join(lab.tasks)}"
        )
    typer.echo(lab.tasks[task].hints[level - 1])


def _find(root: Path | None, names: list[str] | None) -> list:
    """The labs that were named; a wrong name is an error of usage."""
    from lmcore.course.labs.definition import find_labs
    from lmcore.course.notebooks import find_root

    try:
        return find_labs(find_root(root), names)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
