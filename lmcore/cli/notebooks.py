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
        record_result(root, chapter.name, run.seconds, run.peak_mib)
        typer.echo(
            f"{chapter.name:30} {run.seconds:6.1f} s {run.peak_mib:6.0f} MiB "
            f"{run.cells:4} cells"
        )
    typer.echo(f"{len(chapters) - failures} of {len(chapters)} notebooks built")
    if failures:
        raise typer.Exit(1)
