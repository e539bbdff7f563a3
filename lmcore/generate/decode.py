"""The loop: read, score, choose, and read what was chosen.

    ids <- prompt
    repeat: logits <- model(ids);  token <- choose(logits);  ids <- ids + token

Prompts of unequal length stand in one batch with padding on the left, so that all go on
at the same place; a mask hides the padding, and each text is what it would be alone.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lmcore.config import require
from lmcore.generate.readers import make_reader
from lmcore.generate.sampling import Sampling, choose
from lmcore.tokenizers.base import check_ids


def generate(
    model: Callable,
    prompts: Sequence[Sequence[int]] | Tensor,
    max_new_tokens: int,
    *,
    sampling: Sampling | None = None,
    stop_ids: Sequence[int] = (),
    generator: torch.Generator | None = None,
    use_cache: bool = True,
    slide: bool = False,
) -> list[list[int]]:
    """Continue each prompt.

    Args:
        model: A decoder such as ``GPT``, a recurrent ``RNNLM``, or any callable from
            ids (B, T) to logits (B, T, V).
        prompts: One list of ids per text; lengths may differ if the model takes a mask.
        max_new_tokens: Tokens to add at most.
        sampling: How to draw; None takes the best token each time (greedy).
        stop_ids: Tokens that end a text.
        generator: Of the CPU, seeded, for texts that can be repeated.
        use_cache: False reads everything again for every token: slower, the same.
        slide: Past the model's ``max_seq_len`` forget the oldest tokens, instead of
            refusing.

    Returns:
        The new ids of each text, without the prompt and without the stop token.

    Raises:
        ValueError: If an argument is out of its range, a prompt is empty or holds an
            id outside the vocabulary, or the text would not fit into the model.
        TypeError: If ``prompts`` is no list of lists of integers.
    """
    steps = decoding_steps(
        model, prompts, max_new_tokens, sampling, generator, use_cache, slide
    )
    ended = frozenset(stop_ids)
    texts: list[list[int]] = [[] for _ in range(len(prompts))]
    running = set(range(len(texts)))
    for tokens in steps:
        running -= {row for row in running if tokens[row] in ended}
        for row in running:
            texts[row].append(tokens[row])
        if not running:
            break
    return texts


def stream(
    model: Callable,
    prompt: Sequence[int],
    max_new_tokens: int,
    *,
    sampling: Sampling | None = None,
    stop_ids: Sequence[int] = (),
    generator: torch.Generator | None = None,
    use_cache: bool = True,
    slide: bool = False,
) -> Iterator[int]:
    """Continue one prompt, giving each new id as soon as it is chosen.

    Takes the arguments of ``generate`` and refuses the same, at once.
    """
    steps = decoding_steps(
        model, [prompt], max_new_tokens, sampling, generator, use_cache, slide
    )
    ended = frozenset(stop_ids)

    def ids() -> Iterator[int]:
        for (token,) in steps:
            if token in ended:
                return
            yield token

    return ids()


def decoding_steps(
    model: Callable,
    prompts: Sequence[Sequence[int]] | Tensor,
    max_new_tokens: int,
    sampling: Sampling | None,
    generator: torch.Generator | None,
    use_cache: bool,
    slide: bool,
) -> Iterator[list[int]]:
    """One list per step: the token chosen for each row. It ends when the caller stops.

    The arguments are those of ``generate``; they are checked here, before the first
    step is asked for.
    """
    rows = check_prompts(model, prompts)
    limit = check_length(model, max(map(len, rows)), max_new_tokens, slide)
    ids, mask = pad_left(rows)
    if mask is not None:
        rule = "have equal lengths, because this model takes no mask to hide padding"
        takes_mask = hasattr(model, "new_cache")
        require(takes_mask, "lengths of prompts", [len(row) for row in rows], rule)
    device = device_of(model)
    max_len = ids.shape[1] + max_new_tokens
    reader = make_reader(model, limit, len(rows), max_len, use_cache)

    def steps() -> Iterator[list[int]]:
        new, real = ids.to(device), None if mask is None else mask.to(device)
        for _ in range(max_new_tokens):
            logits = reader.read(new, real)  # (B, V)
            tokens = choose(logits, reader.ids, sampling, generator)
            yield tokens.tolist()
            new, real = tokens.unsqueeze(-1), None  # (B, 1)

    return steps()


def pad_left(
    rows: Sequence[Sequence[int]],
) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"] | None]:
    """Rows of unequal length as one tensor, and where its real tokens stand.

    A row is filled up with its own first token. The mask hides it from the model, and
    a penalty for repeats meets no token that is not in the text.

    Returns:
        The ids, and a mask that is True at real tokens, or None if nothing is padded.
    """
    longest = max(map(len, rows))
    ids = torch.tensor([[row[0]] * (longest - len(row)) + list(row) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    if bool((lengths == longest).all()):
        return ids, None
    return ids, torch.arange(longest) >= longest - lengths.unsqueeze(-1)


def check_prompts(
    model: Callable, prompts: Sequence[Sequence[int]] | Tensor
) -> list[list[int]]:
    """The prompts as lists of ints, each of them non-empty and in the vocabulary."""
    vocab_size = getattr(getattr(model, "config", None), "vocab_size", 2**31)
    require(len(prompts) > 0, "prompts", prompts, "hold at least one prompt")
    rows = []
    for prompt in prompts:
        if isinstance(prompt, str) or not hasattr(prompt, "__len__"):
            raise TypeError(f"prompt={prompt!r:.50}: must be a list of ids")
        if isinstance(prompt, Tensor) and prompt.ndim == 0:
            raise TypeError(f"prompt={prompt!r:.50}: must be a list of ids")
        rule = "hold at least one token: there is nothing to continue"
        require(len(prompt) > 0, "prompt", prompt, rule)
        rows.append(check_ids(prompt, vocab_size))
    return rows


def check_length(
    model: Callable, prompt_len: int, max_new_tokens: int, slide: bool
) -> int | None:
    """Refuse what does not fit; return how many tokens the model can read at once."""
    usable = type(max_new_tokens) is int and max_new_tokens >= 0
    require(usable, "max_new_tokens", max_new_tokens, "be an int >= 0")
    limit = getattr(getattr(model, "config", None), "max_seq_len", None)
    if limit is not None and not slide:
        rule = f"be <= max_seq_len={limit}, or slide=True forget its beginning"
        require(prompt_len <= limit, "prompt length", prompt_len, rule)
        rule = (
            f"be <= {limit - prompt_len}: the prompt has {prompt_len} tokens, the "
            f"model reads max_seq_len={limit}; or slide=True forget the oldest"
        )
        fits = prompt_len + max_new_tokens <= limit
        require(fits, "max_new_tokens", max_new_tokens, rule)
    return limit


def device_of(model: Callable) -> torch.device:
    """Where the model's weights are; the CPU if it has none."""
    if not hasattr(model, "parameters"):
        return torch.device("cpu")
    weights = [*model.parameters(), *model.buffers()]
    return weights[0].device if weights else torch.device("cpu")
