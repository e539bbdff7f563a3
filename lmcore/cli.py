"""The ``lmcore`` command; ``lmcore --help`` lists what it can do.

Each group of commands lives in a file of its own beside what it calls; this file only
gathers them.
"""

import typer

app = typer.Typer(
    name="lmcore",
    help="The course's command: check this machine, build notebooks, fetch data.",
    no_args_is_help=True,
    add_completion=False,
)


def main() -> None:
    """Run the command line."""
    app()
