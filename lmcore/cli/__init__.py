"""The ``lmcore`` command; ``lmcore --help`` lists what it can do.

Each command stands in a file of its own in this folder, reads its arguments, calls the
module that does the work and prints what came of it. This file gathers them.
"""

import typer

from lmcore.cli import (
    assets,
    chat,
    doctor,
    finetune,
    generate,
    labs,
    notebooks,
    predict,
    scoreboard,
    train,
)

app = typer.Typer(
    name="lmcore",
    help="The course's command: check this machine, build notebooks, fetch data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(assets.app)  # lmcore fetch, lmcore assets
app.add_typer(notebooks.app, name="notebooks")
app.add_typer(labs.app, name="labs")
app.command()(doctor.doctor)
app.command()(scoreboard.scoreboard)
app.command()(train.train)
app.command()(generate.generate)
app.command()(chat.chat)
app.command()(finetune.finetune)
app.command()(predict.predict)


def main() -> None:
    """Run the command line."""
    app()
