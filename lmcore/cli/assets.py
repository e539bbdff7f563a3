"""``lmcore fetch`` and ``lmcore assets``: the real data and models behind the book."""

import time
from typing import Annotated

import typer

from lmcore.assets import (
    ASSETS,
    AssetError,
    cache_folder,
    find_asset,
    is_cached,
    needed_by_the_book,
)
from lmcore.assets import fetch as fetch_asset

app = typer.Typer()


@app.command()
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Assets to fetch; none: those that the chapters read."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Fetch every asset there is.")
    ] = False,
) -> None:
    """Fetch real data and models into the cache; what is there is only checked."""
    if everything and names:
        raise typer.BadParameter("give names or --all, not both")
    wanted = list(ASSETS) if everything else names or needed_by_the_book()
    try:
        for name in wanted:  # refuse a mistyped name before the first download
            find_asset(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    failed = []
    for name in wanted:
        start = time.perf_counter()
        try:
            path = fetch_asset(name)
        except AssetError as error:
            typer.echo(str(error), err=True)
            failed.append(name)
            continue
        size = find_asset(name).size / 1e6
        seconds = time.perf_counter() - start
        typer.echo(f"{name:<20}{size:>8.1f} MB{seconds:>7.1f} s  {path}")
    if failed:
        typer.echo(f"not fetched: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


@app.command()
def assets() -> None:
    """List every asset: size, what is in the cache, chapters, licence, contents."""
    typer.echo(
        f"{'name':<20}{'MB':>7}{'download':>10}  cached  chapters            licence"
    )
    for asset in ASSETS.values():
        cached = "yes" if is_cached(asset.name) else "no"
        chapters = " ".join(f"{number:02d}" for number in asset.chapters) or "-"
        typer.echo(
            f"{asset.name:<20}{asset.size / 1e6:>7.1f}"
            f"{asset.download_size / 1e6:>10.1f}  {cached:<8}{chapters:<20}"
            f"{asset.licence}\n    {asset.what}"
        )
    typer.echo(f"\nCache: {cache_folder()} (LMCORE_HOME chooses another folder)")
