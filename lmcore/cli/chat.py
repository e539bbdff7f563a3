"""``lmcore chat``: talk to SmolLM2 in the terminal.

A chat model remembers nothing between two questions: each time it reads the whole
conversation again, written down in the form that it was trained on (``chat_prompt``).
When the conversation grows past the model's context, its oldest turns are dropped.
"""

import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from lmcore.cli.generate import MODEL_HELP, WEIGHTS_HELP, load_model
from lmcore.config import require

HELP = "/reset forgets the conversation · Ctrl-C stops an answer · Ctrl-D ends"


class Conversation:
    """The turns so far, kept within what the model can read.

    Args:
        model: A GPT trained on chats.
        tokenizer: Its tokenizer, with ChatML's control tokens.
        system: What the model is told before the first turn; None for its default.
        max_new_tokens: Room kept for each answer, at most half of the context.
        sampling: How to draw; None takes the best token each time.
        generator: Of the CPU, for draws that can be repeated.

    Attributes:
        turns: Question, answer, question, answer …
        n_dropped: Turns that were dropped before the last answer.
    """

    def __init__(
        self,
        model,
        tokenizer,
        system: str | None = None,
        max_new_tokens: int = 512,
        sampling=None,
        generator=None,
    ) -> None:
        from lmcore.pretrained.chat import END, START

        known = getattr(tokenizer, "special_tokens", {})
        for name in (START, END):
            require(name in known, "tokenizer", tokenizer, f"have the token {name}")
        self.model, self.tokenizer = model, tokenizer
        self.lead = [] if system is None else [{"role": "system", "content": system}]
        self.context = model.config.max_seq_len
        self.max_new_tokens = min(max_new_tokens, self.context // 2)
        self.sampling, self.generator = sampling, generator
        self.turns: list[dict[str, str]] = []
        self.n_dropped = 0

    def reset(self) -> None:
        """Forget every turn."""
        self.turns = []

    def ask(self, question: str) -> Iterator[str]:
        """Pieces of the answer; however it ends, what was said is remembered.

        Raises:
            ValueError: If the question alone is too long; it is then not remembered.
        """
        from lmcore.generate import stream_text

        self.turns.append({"role": "user", "content": question})
        pieces = stream_text(
            self.model,
            self.tokenizer,
            self.fitting_prompt(),
            self.max_new_tokens,
            sampling=self.sampling,
            stop_ids=list(self.tokenizer.special_tokens.values()),
            generator=self.generator,
        )
        answer = {"role": "assistant", "content": ""}
        self.turns.append(answer)

        def remembered() -> Iterator[str]:
            for piece in pieces:
                answer["content"] += piece
                yield piece

        return remembered()

    def fitting_prompt(self) -> list[int]:
        """The conversation as ids, after dropping the oldest turns that do not fit."""
        from lmcore.pretrained import encode_chat

        self.n_dropped = 0
        room = self.context - self.max_new_tokens
        while True:
            ids = encode_chat(self.tokenizer, self.lead + self.turns)
            if len(ids) <= room:
                return ids
            if len(self.turns) == 1:
                self.turns.pop()
                raise ValueError(
                    f"question of {len(ids)} tokens: must have at most {room}, the "
                    f"model's {self.context} less {self.max_new_tokens} for the answer"
                )
            del self.turns[:2]  # a question and its answer
            self.n_dropped += 2


def chat(
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "smollm2",
    system: Annotated[
        str | None, typer.Option(help="What the model is told beforehand.")
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens of an answer at most.")
    ] = 512,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Take the likeliest token each time.")
    ] = False,
    temperature: Annotated[
        float, typer.Option(help="Below 1 more careful, above 1 more daring.")
    ] = 0.2,
    top_p: Annotated[
        float, typer.Option(help="Draw among the best tokens that together have p.")
    ] = 0.9,
    seed: Annotated[int, typer.Option(help="Another seed, other answers.")] = 0,
    weights: Annotated[str, typer.Option(help=WEIGHTS_HELP)] = "full",
) -> None:
    """Talk to SmolLM2, a small published chat model, in the book's own Transformer."""
    import torch

    from lmcore.generate import Sampling

    sys.stdout.reconfigure(errors="replace")  # a console may lack a character
    try:
        sampling = Sampling(temperature=temperature, top_p=top_p)
        gpt, tokenizer = load_model(model, weights)
        conversation = Conversation(
            gpt,
            tokenizer,
            system,
            max_new_tokens,
            None if greedy else sampling,
            torch.Generator().manual_seed(seed),
        )
    except (ValueError, OSError) as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(2) from None
    typer.echo(HELP)
    while (question := read_question()) is not None:
        if question == "/reset":
            conversation.reset()
            typer.echo("(forgotten)")
        elif question.startswith("/"):
            typer.echo(f"({question.split()[0]} is no command. {HELP})")
        elif question:
            answer(conversation, question)


def read_question() -> str | None:
    """A line from the reader, without blanks around it; None at the end."""
    try:
        return input("\n> ").strip()
    except EOFError:
        typer.echo()
        return None
    except KeyboardInterrupt:
        typer.echo("\n(Ctrl-D ends)")
        return ""


def answer(conversation: Conversation, question: str) -> None:
    """Print the answer while it is being written."""
    try:
        pieces = conversation.ask(question)
        if conversation.n_dropped:
            n = conversation.n_dropped
            typer.echo(f"(the oldest {n} turns no longer fit and are forgotten)")
        for piece in pieces:
            typer.echo(piece, nl=False)
        typer.echo()
    except KeyboardInterrupt:
        typer.echo(" … (stopped)")
    except ValueError as error:
        typer.secho(str(error), fg="red", err=True)
