"""``lmcore train``: run a recipe, or go on with one that was interrupted."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[
        Path, typer.Argument(help="A TOML file, such as those in recipes/.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the model; work/NAME if not given.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a field: --set train.lr=1e-3."),
    ] = None,
) -> None:
    """Train a GPT as a recipe says; the same command goes on after an interruption."""
    from lmcore.course.recipes import read_recipe, run_recipe

    changes = set_ or []
    try:
        plan = read_recipe(recipe, changes)
        parts = ["lmcore train", recipe.as_posix(), *(f"--set {c}" for c in changes)]
        parts += [f"--out {out.as_posix()}"] if out else []
        record = run_recipe(plan, out or Path("work") / recipe.stem, " ".join(parts))
    except (ValueError, OSError) as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt as stop:
        typer.echo(f"\n{stop}")
        raise typer.Exit(130) from None
    if not record:
        return  # a further process under torchrun: process 0 speaks
    typer.echo(
        f"best at step {record['best_step']}: validation "
        f"{record['validation_bits']:.3f}, test {record['test_bits']:.3f} bits per byte"
    )
