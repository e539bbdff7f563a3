"""``lmcore finetune``: from a table of texts and labels to a tested classifier."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lmcore.config import require

MODEL_HELP = (
    "minilm, or a folder with an encoder: one that this course saved (config.json, "
    "model.safetensors, tokenizer.json) or a published BERT with its vocab.txt."
)
STRATEGY_HELP = (
    "What is trained. head: a new last layer, in seconds. last: it and the last "
    "blocks. lora: it and small corrections. all: everything, best and slowest."
)


def finetune(
    data: Annotated[
        Path,
        typer.Argument(help="A CSV or TSV file whose first line names its columns."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the model and its report.")],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "minilm",
    strategy: Annotated[str, typer.Option(help=STRATEGY_HELP)] = "all",
    text: Annotated[str, typer.Option(help="Column of the texts.")] = "text",
    label: Annotated[str, typer.Option(help="Column of the labels.")] = "label",
    bad_rows: Annotated[
        str, typer.Option(help="refuse a table with rows that cannot be used, or skip.")
    ] = "refuse",
    epochs: Annotated[
        int | None, typer.Option(help="Passes at most; the strategy's if not given.")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate; the strategy's if not given.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Texts per step.")] = 32,
    max_seq_len: Annotated[
        int, typer.Option(help="Longer texts are cut after so many tokens.")
    ] = 128,
    class_weights: Annotated[
        str, typer.Option(help="none, or balanced: rare labels count for more.")
    ] = "none",
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, or auto: what is faster here.")
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Another seed, another model.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write into a folder that holds files.")
    ] = False,
) -> None:
    """Fine-tune an encoder on labelled texts, test it once, and write a report.

    A fifth of the texts is kept apart for the test and another part to choose the best
    epoch. The folder then holds the model for `lmcore predict`, and report.md.
    """
    from lmcore.finetune import FineTuneConfig, fine_tune_table
    from lmcore.finetune.report import summary

    sys.stdout.reconfigure(errors="replace")  # a console may lack a character
    try:
        config = FineTuneConfig(
            strategy=strategy,
            epochs=epochs,
            lr=lr,
            batch_size=batch_size,
            max_seq_len=max_seq_len,
            class_weights=class_weights,
            dtype=dtype,
            seed=seed,
        )
        check_places(data, out, overwrite)
        encoder, tokenizer = load_encoder(model)
        report = fine_tune_table(
            data,
            out,
            encoder,
            tokenizer,
            config,
            text=text,
            label=label,
            bad_rows=bad_rows,
            command=["lmcore", *sys.argv[1:]],
            progress=True,
        )
    except (ValueError, OSError, FloatingPointError) as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("\nstopped; nothing was saved", err=True)
        raise typer.Exit(130) from None
    typer.echo(summary(report))
    typer.echo(f"report: {out / 'report.md'}")
    typer.echo(f"use it: lmcore predict {out} 'a text'")


def check_places(data: Path, out: Path, overwrite: bool) -> None:
    """Refuse what could not be read or written, before any work is done.

    Raises:
        FileNotFoundError: If there is no table.
        ValueError: If the folder for the model holds something already.
    """
    if not data.is_file():
        raise FileNotFoundError(f"data={str(data)!r}: must be an existing file")
    rule = "be a folder, or not exist yet"
    require(not out.exists() or out.is_dir(), "out", str(out), rule)
    free = overwrite or not out.is_dir() or not any(out.iterdir())
    require(free, "out", str(out), "be empty, or --overwrite be given")


def load_encoder(name: str):
    """An encoder and its tokenizer.

    Args:
        name: ``minilm``, or the path of a folder.

    Raises:
        ValueError: If it is neither, or a file is damaged.
        OSError: If a file is missing or cannot be had.
    """
    from lmcore.models.bert import Bert, BertForPretraining
    from lmcore.models.bert_files import load_bert_files
    from lmcore.pretrained import load_checkpoint, load_minilm
    from lmcore.tokenizers import WordPieceTokenizer

    if name == "minilm":
        return load_minilm()
    folder = Path(name)
    require(folder.is_dir(), "model", name, "be 'minilm' or an existing folder")
    if (folder / "vocab.txt").is_file():
        tokenizer = WordPieceTokenizer.from_vocab(folder / "vocab.txt")
        model = load_checkpoint(folder)
    else:
        try:
            model, tokenizer = load_bert_files(folder)
        except ValueError as error:
            raise ValueError(f"model={name!r}: must hold an encoder; {error}") from None
    encoder = model.bert if isinstance(model, BertForPretraining) else model
    rule = "hold a BERT or DistilBERT"
    require(isinstance(encoder, Bert), "model", name, rule)
    return encoder, tokenizer
