"""``lmcore scoreboard``: every language model of the book on one held-out text."""

import typer


def scoreboard() -> None:
    """Print the scoreboard: bits per byte of every model, the best first."""
    from lmcore.course.scoreboard import read_scoreboard, scoreboard_table

    typer.echo(scoreboard_table(read_scoreboard()))
