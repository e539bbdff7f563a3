"""``lmcore doctor``: can this machine run a chapter, and what mends it if not?"""

import typer


def doctor() -> None:
    """Look at everything a chapter needs; say what is wrong and what mends it."""
    from lmcore.course.doctor import FAIL, OK, examine

    findings = examine()
    for finding in findings:
        typer.echo(f"{finding.status:5} {finding.name:13} {finding.found}")
        if finding.status != OK:
            typer.echo(f"{'':19} → {finding.remedy}")
    failed = [finding.name for finding in findings if finding.status == FAIL]
    if failed:
        typer.echo(f"\nA chapter could not run: {', '.join(failed)}.")
        raise typer.Exit(1)
    typer.echo("\nThis machine can run every chapter.")
