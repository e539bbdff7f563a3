"""Text in, text out, piece by piece as it comes.

Two things may be cut in the middle by the border between two tokens: a character, whose
UTF-8 bytes may be spread over several tokens, and a stop string. So a piece of text is
handed out only when its characters are whole and when it can no longer be the beginning
of a stop string.
"""

import codecs
from collections.abc import Callable, Iterator, Sequence

import torch

from lmcore.config import require
from lmcore.generate.decode import decoding_steps, stream
from lmcore.generate.sampling import Sampling
from lmcore.tokenizers import Tokenizer


def stream_text(
    model: Callable,
    tokenizer: Tokenizer,
    prompt: str | Sequence[int],
    max_new_tokens: int,
    *,
    sampling: Sampling | None = None,
    stop: Sequence[str] = (),
    stop_ids: Sequence[int] = (),
    generator: torch.Generator | None = None,
    use_cache: bool = True,
    slide: bool = False,
) -> Iterator[str]:
    """Continue a text, giving each piece of it as soon as it is certain.

    Args:
        model: See ``generate``.
        tokenizer: The one that the model was trained with.
        prompt: A text, or its ids (a chat's control tokens come as ids).
        max_new_tokens: Tokens to add at most.
        sampling: How to draw; None takes the best token each time.
        stop: Texts that end the answer; they are not part of it.
        stop_ids: Tokens that end the answer.
        generator: Of the CPU, seeded, for texts that can be repeated.
        use_cache: See ``generate``.
        slide: See ``generate``.

    Yields:
        Pieces of text, none of them empty; joined they are the answer.

    Raises:
        ValueError: As ``generate``, and if a stop string is empty.
    """
    check_stop(stop)
    ids = stream(
        model,
        encode_prompt(tokenizer, prompt),
        max_new_tokens,
        sampling=sampling,
        stop_ids=stop_ids,
        generator=generator,
        use_cache=use_cache,
        slide=slide,
    )

    def pieces() -> Iterator[str]:
        writer = Writer(tokenizer, stop)
        for i in ids:
            if piece := writer.push(i):
                yield piece
            if writer.stopped:
                return
        if piece := writer.finish():
            yield piece

    return pieces()


def generate_text(
    model: Callable,
    tokenizer: Tokenizer,
    prompt: str | Sequence[int],
    max_new_tokens: int,
    *,
    sampling: Sampling | None = None,
    stop: Sequence[str] = (),
    stop_ids: Sequence[int] = (),
    generator: torch.Generator | None = None,
    use_cache: bool = True,
    slide: bool = False,
) -> str:
    """The continuation of one text; arguments as in ``stream_text``."""
    texts = generate_texts(
        model,
        tokenizer,
        [prompt],
        max_new_tokens,
        sampling=sampling,
        stop=stop,
        stop_ids=stop_ids,
        generator=generator,
        use_cache=use_cache,
        slide=slide,
    )
    return texts[0]


def generate_texts(
    model: Callable,
    tokenizer: Tokenizer,
    prompts: Sequence[str | Sequence[int]],
    max_new_tokens: int,
    *,
    sampling: Sampling | None = None,
    stop: Sequence[str] = (),
    stop_ids: Sequence[int] = (),
    generator: torch.Generator | None = None,
    use_cache: bool = True,
    slide: bool = False,
) -> list[str]:
    """The continuations of several texts, written side by side in one batch.

    Takes a list of prompts, otherwise the arguments of ``stream_text``.
    """
    if isinstance(prompts, str):
        raise TypeError(f"prompts={prompts!r:.50}: must be a list of texts")
    check_stop(stop)
    rows = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    steps = decoding_steps(
        model, rows, max_new_tokens, sampling, generator, use_cache, slide
    )
    ended = frozenset(stop_ids)
    writers = [Writer(tokenizer, stop) for _ in rows]
    texts = [""] * len(rows)
    for tokens in steps:
        for row, (writer, token) in enumerate(zip(writers, tokens, strict=True)):
            if not writer.stopped:
                at_end = token in ended
                texts[row] += writer.finish() if at_end else writer.push(token)
        if all(writer.stopped for writer in writers):
            break
    return [text + w.finish() for text, w in zip(texts, writers, strict=True)]


def encode_prompt(tokenizer: Tokenizer, prompt: str | Sequence[int]) -> Sequence[int]:
    """Ids of a text; ids stay what they are."""
    return tokenizer.encode(prompt) if isinstance(prompt, str) else prompt


def check_stop(stop: Sequence[str]) -> None:
    """Refuse a lone string (it would be read as its letters) and empty ones."""
    if isinstance(stop, str):
        raise TypeError(f"stop={stop!r:.50}: must be a list of texts")
    for text in stop:
        require(isinstance(text, str) and text != "", "stop", text, "be no empty text")


class Writer:
    """Turns ids into text that is safe to show.

    Args:
        tokenizer: Says what an id stands for.
        stop: Texts that end the answer.

    Attributes:
        stopped: Whether a stop string was met, or ``finish`` was called.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()) -> None:
        self.decode = make_decoder(tokenizer)
        self.stop = stop
        self.held = ""  # may be the beginning of a stop string
        self.stopped = False

    def push(self, id: int) -> str:
        """One more token; returns the text that is now certain, often ""."""
        return self._show(self.held + self.decode([id], False))

    def finish(self) -> str:
        """No more tokens; returns what was held back, "" when called again."""
        if self.stopped:
            return ""
        shown = self._show(self.held + self.decode([], True))
        if not self.stopped:
            shown, self.held, self.stopped = shown + self.held, "", True
        return shown

    def _show(self, text: str) -> str:
        found = [at for stop in self.stop if (at := text.find(stop)) >= 0]
        if found:
            self.held, self.stopped = "", True
            return text[: min(found)]
        n_held = longest_beginning(text, self.stop)
        self.held = text[len(text) - n_held :]
        return text[: len(text) - n_held]


def longest_beginning(text: str, stops: Sequence[str]) -> int:
    r"""How many characters at the end of the text may be the beginning of a stop.

    Example:
        >>> longest_beginning("one\nUse", ["\nUser:"])
        4
    """
    longest = max((len(stop) - 1 for stop in stops), default=0)
    for n in range(min(longest, len(text)), 0, -1):
        if any(stop.startswith(text[-n:]) for stop in stops):
            return n
    return 0


def make_decoder(tokenizer: Tokenizer) -> Callable[[Sequence[int], bool], str]:
    """A function from new ids to new text: ``decode(ids, at_end)``.

    Over bytes it keeps back an unfinished character until its last byte has come; at
    the end, what is still unfinished becomes U+FFFD. Other tokenizers decode all ids
    so far, and what is new is cut off.
    """
    if hasattr(tokenizer, "decode_bytes"):
        utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        return lambda ids, at_end: utf8.decode(tokenizer.decode_bytes(ids), at_end)
    so_far: list[int] = []

    def decode(ids: Sequence[int], at_end: bool) -> str:
        n_shown = len(tokenizer.decode(so_far))
        so_far.extend(ids)
        return tokenizer.decode(so_far)[n_shown:]

    return decode
