"""``lmcore predict``: labels for texts, from what ``lmcore finetune`` saved."""

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

AT_ONCE = 512  # texts between two outputs


def predict(
    folder: Annotated[
        Path, typer.Argument(help="What `lmcore finetune --out` wrote.", metavar="DIR")
    ],
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            help="The texts; - or none at all reads standard input, one text a line.",
            metavar="TEXT",
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="A file with one text a line, in UTF-8.")
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One JSON object a text, with every label."),
    ] = False,
) -> None:
    """Print the likeliest label, its probability and the text, one line a text."""
    from lmcore.finetune import load_fine_tuned
    from lmcore.finetune import predict as probabilities

    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a console may lack a character
    try:
        wanted = find_texts(texts or [], file)
        tuned = load_fine_tuned(folder)
        names = tuned.names
        while some := list(islice(wanted, AT_ONCE)):
            for text, probs in zip(some, probabilities(tuned, some), strict=True):
                typer.echo(as_line(text, names, probs.tolist(), as_json))
    except BrokenPipeError:  # whoever read on has had enough, such as head
        sys.stderr.close()
    except (ValueError, OSError) as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def find_texts(texts: list[str], file: Path | None) -> Iterator[str]:
    """The arguments, the file's lines, or those of standard input.

    Raises:
        ValueError: If texts and a file are given, or a text is empty.
        FileNotFoundError: If there is no such file.
    """
    piped = not texts or texts == ["-"]
    if file is not None:
        if texts:
            raise ValueError(f"file={str(file)!r}: must stand alone, without texts")
        return read_lines(file.open("rb"), str(file))
    if piped:
        if sys.stdin.isatty():
            typer.echo("One text a line, then Ctrl-D:", err=True)
        return read_lines(sys.stdin.buffer, "standard input")
    for i, text in enumerate(texts, start=1):
        if not text.strip():
            raise ValueError(f"text {i}={text!r}: must hold a word")
    return iter(texts)


def read_lines(stream: BinaryIO, source: str) -> Iterator[str]:
    """The lines that have something on them; says how many had not.

    Raises:
        ValueError: If a line is not UTF-8 (names it), or there is no text at all.
    """
    n_texts = n_empty = 0
    with stream:
        for number, line in enumerate(stream, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                byte = f"byte 0x{line[error.start]:02x} at column {error.start + 1}"
                raise ValueError(
                    f"{source}, line {number}: not UTF-8 ({byte})"
                ) from None
            n_texts, n_empty = n_texts + bool(text), n_empty + (not text)
            if text:
                yield text
    if n_texts == 0:
        raise ValueError(f"{source}: must hold a text")
    if n_empty:
        typer.echo(f"{source}: empty lines left out: {n_empty}", err=True)


def as_line(text: str, names: Iterable[str], probs: list[float], as_json: bool) -> str:
    """One text's line: tabs between label, probability and text; or JSON."""
    each = dict(zip(names, probs, strict=True))
    label = max(each, key=each.__getitem__)
    if as_json:
        fields = {"text": text, "label": label, "probability": each[label]}
        return json.dumps(fields | {"probabilities": each}, ensure_ascii=False)
    return f"{label}\t{each[label]:.3f}\t{' '.join(text.split())}"
