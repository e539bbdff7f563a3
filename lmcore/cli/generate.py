"""``lmcore generate``: continue a text with a published or a trained model."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lmcore.config import require

MODEL_HELP = (
    "smollm2, or a folder that `lmcore train` wrote (config.json, model.safetensors, "
    "tokenizer.json)."
)
WEIGHTS_HELP = (
    "full; float16 or int8 are rounded and take less memory and time on a CPU."
)


def generate(
    prompt: Annotated[
        str | None,
        typer.Argument(
            help="The text to continue; read from standard input if not given, "
            "without its last line feed."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "smollm2",
    max_new_tokens: Annotated[int, typer.Option(help="Tokens to add at most.")] = 100,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Take the likeliest token each time.")
    ] = False,
    temperature: Annotated[
        float, typer.Option(help="Below 1 more careful, above 1 more daring.")
    ] = 0.8,
    top_k: Annotated[
        int | None, typer.Option(help="Draw among the k best tokens.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(help="Draw among the best tokens that together have p."),
    ] = None,
    repetition_penalty: Annotated[
        float, typer.Option(help="Above 1, tokens that came before get less likely.")
    ] = 1.0,
    n_beams: Annotated[
        int, typer.Option(help="Above 1, beam search instead of drawing.")
    ] = 1,
    stop: Annotated[
        list[str] | None,
        typer.Option(help="A text that ends the answer; may be given several times."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another text.")] = 0,
    weights: Annotated[str, typer.Option(help=WEIGHTS_HELP)] = "full",
) -> None:
    """Continue a text; past the model's context the oldest tokens are forgotten."""
    import torch

    from lmcore.generate import Sampling, generate_beams, stream_text
    from lmcore.generate.text import Writer, check_stop

    sys.stdout.reconfigure(errors="replace")  # a console may lack a character
    stop = stop or []
    try:
        sampling = Sampling(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            repetition_penalty=repetition_penalty,
        )
        check_stop(stop)
        gpt, tokenizer = load_model(model, weights)
        text = read_prompt(prompt)
        stop_ids = list(getattr(tokenizer, "special_tokens", {}).values())
        if n_beams != 1:
            beams = generate_beams(
                gpt,
                tokenizer.encode(text),
                max_new_tokens,
                n_beams=n_beams,
                stop_ids=stop_ids,
            )
            writer = Writer(tokenizer, stop)
            pieces = [*map(writer.push, beams[0].ids), writer.finish()]
        else:
            pieces = stream_text(
                gpt,
                tokenizer,
                text,
                max_new_tokens,
                sampling=None if greedy else sampling,
                stop=stop,
                stop_ids=stop_ids,
                generator=torch.Generator().manual_seed(seed),
                slide=True,
            )
        for piece in pieces:
            typer.echo(piece, nl=False)
        typer.echo()
    except (ValueError, OSError) as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo()
        raise typer.Exit(130) from None


def read_prompt(prompt: str | None) -> str:
    """The argument, or else what is piped into the command.

    Raises:
        ValueError: If nothing is given, or nothing but a line feed.
    """
    if prompt is None:
        if sys.stdin.isatty():
            typer.echo("The text to continue, then Ctrl-D:", err=True)
        prompt = sys.stdin.read().removesuffix("\n")
    if not prompt:
        raise ValueError("prompt='': must hold some text to continue")
    return prompt


def load_model(name: str, weights: str = "full"):
    """A model in evaluation mode and its tokenizer.

    Args:
        name: ``smollm2``, or the path of a folder with a saved GPT.
        weights: See ``fuse_for_inference``.

    Raises:
        ValueError: If it is neither, or a file is damaged.
        OSError: If a file is missing or cannot be had.
    """
    from lmcore.generate import fuse_for_inference
    from lmcore.generate.fast_linear import FAST_LINEAR
    from lmcore.models.gpt_files import load_gpt
    from lmcore.pretrained import load_smollm2
    from lmcore.runtime import pick_device

    require(weights in FAST_LINEAR, "weights", weights, f"be in {sorted(FAST_LINEAR)}")
    device = pick_device()
    if name == "smollm2":
        model, tokenizer = load_smollm2(device=device)
    else:
        rule = "be 'smollm2' or an existing folder"
        require(Path(name).is_dir(), "model", name, rule)
        model, tokenizer = load_gpt(name, device)
    return fuse_for_inference(model, weights), tokenizer
