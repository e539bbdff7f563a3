"""``lmcore notebooks``: build the chapters' notebooks, and check what they show."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Build the chapters' notebooks from their sources, and check them.",
    no_args_is_help=True,
)

Names = Annotated[
    list[str] | None,
    typer.Argument(
        help="Chapters, such as 03 or 03_activations; all if none is named."
    ),
]
Root = Annotated[
    Path | None, typer.Option(help="The repository, if not the one you are in.")
]
Threads = Annotated[int, typer.Option(min=1, help="Threads of a kernel's libraries.")]


@app.command()
def build(names: Names = None, root: Root = None, threads: Threads = 2) -> None:
    """Run each chapter's source and write its notebook with outputs."""
    from lmcore.course.notebooks import find_chapters, find_root, record_result
    from lmcore.course.notebooks_build import BuildError, build_notebook

    try:
        root = find_root(root)
        chapters = find_chapters(root, names)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    failures = 0
    for chapter in chapters:
        try:
            run = build_notebook(chapter, threads=threads)
        except BuildError as error:
            failures += 1
            typer.echo(f"{chapter.name}: FAILED\n{error}\n", err=True)
            continue
        record_result(
            root,
            chapter.name,
            seconds=run.seconds,
            cpu_seconds=run.cpu_seconds,
            peak_mib=run.peak_mib,
        )
        typer.echo(
            f"{chapter.name:30} {run.seconds:6.1f} s ({run.cpu_seconds:.1f} s of CPU) "
            f"{run.peak_mib:6.0f} MiB {run.cells:4} cells"
        )
    typer.echo(f"{len(chapters) - failures} of {len(chapters)} notebooks built")
    if failures:
        raise typer.Exit(1)


@app.command()
def check(
    names: Names = None,
    lax: Annotated[
        bool | None,
        typer.Option(
            "--lax/--strict",
            help="Run without comparing outputs. Without either: strict on the "
            "reference platform, lax elsewhere.",
        ),
    ] = None,
    rules_only: Annotated[
        bool, typer.Option("--rules-only", help="Run nothing: check the files.")
    ] = False,
    root: Root = None,
    threads: Threads = 2,
) -> None:
    """Check every rule, then run the notebooks and compare what they print."""
    from lmcore.course import notebooks_check
    from lmcore.course.notebooks import find_root

    try:
        root = find_root(root)
        if lax is None:
            lax = not notebooks_check.is_reference_platform(root)
        reports = notebooks_check.check_notebooks(
            root, names, lax=lax, threads=threads, run=not rules_only
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    problems = [problem for report in reports for problem in report.problems]
    if not names and (root / "README.md").exists():
        problems += notebooks_check.check_readme(root)
    for problem in problems:
        typer.echo(f"{problem}\n", err=True)
    for report in reports:
        typer.echo(report.line())
    if lax and not rules_only:
        typer.echo("Outputs were not compared: this is not the reference platform.")
    typer.echo(notebooks_check.summary(reports))
    if problems:
        typer.echo(f"{len(problems)} problems", err=True)
        raise typer.Exit(1)
