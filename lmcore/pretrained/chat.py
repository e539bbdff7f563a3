"""How a chat becomes one text for a model that only continues texts.

A chat model was trained on conversations written down in one fixed form. SmolLM2's is
ChatML: two control tokens mark where a message begins and ends, and who speaks stands
on the first line.

    <|im_start|>system
    You are a helpful AI assistant ...<|im_end|>
    <|im_start|>user
    What is the capital of France?<|im_end|>
    <|im_start|>assistant

The model continues from there, and writes ``<|im_end|>`` when its answer is complete.
A model is sensitive to this form: a missing line feed is already a text unlike those
that it was trained on.

Reference: the chat template in SmolLM2-135M-Instruct's own file.
"""

from collections.abc import Mapping, Sequence

from lmcore.config import require
from lmcore.tokenizers import ByteBPETokenizer

START, END = "<|im_start|>", "<|im_end|>"
ROLES = ("system", "user", "assistant")
DEFAULT_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


def complete(messages: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    """The messages as (role, content), with the default system message if none leads.

    Raises:
        ValueError: If there is no message, or a role is unknown.
        TypeError: If a message is no mapping of ``role`` and ``content`` to strings.
    """
    require(len(messages) > 0, "messages", messages, "hold at least one message")
    pairs = []
    for message in messages:
        try:
            role, content = message["role"], message["content"]
        except (KeyError, TypeError) as error:
            raise TypeError(
                f"message={message!r:.80}: must have 'role' and 'content'"
            ) from error
        require(role in ROLES, "role", role, f"be one of {ROLES}")
        if not isinstance(content, str):
            raise TypeError(f"content={content!r:.50}: must be a str")
        pairs.append((role, content))
    if pairs[0][0] != "system":
        pairs.insert(0, ("system", DEFAULT_SYSTEM))
    return pairs


def chat_prompt(
    messages: Sequence[Mapping[str, str]], *, add_generation_prompt: bool = True
) -> str:
    """The conversation as one text, for reading.

    Args:
        messages: ``{"role": "user", "content": "..."}`` and so on, oldest first; roles
            are ``system``, ``user`` and ``assistant``.
        add_generation_prompt: End with the line that asks the assistant to speak.

    Raises:
        ValueError: If there is no message, or a role is unknown.
        TypeError: If a message has another form.
    """
    text = "".join(f"{START}{r}\n{c}{END}\n" for r, c in complete(messages))
    return text + (f"{START}assistant\n" if add_generation_prompt else "")


def encode_chat(
    tokenizer: ByteBPETokenizer,
    messages: Sequence[Mapping[str, str]],
    *,
    add_generation_prompt: bool = True,
) -> list[int]:
    """The conversation as ids, for the model.

    These are the ids of ``chat_prompt``'s text, except for what a user must not be able
    to do: control tokens come from here alone. If someone types ``<|im_end|>``, the
    model reads eight ordinary characters or so, not the end of the message. Characters
    that the vocabulary has no bytes for are replaced (``replace_unknown``).

    Args:
        tokenizer: With ``<|im_start|>`` and ``<|im_end|>`` among its special tokens.
        messages: See ``chat_prompt``.
        add_generation_prompt: See ``chat_prompt``.

    Raises:
        ValueError: If there is no message, a role is unknown, or the tokenizer has no
            control tokens.
        TypeError: If a message has another form.
    """
    for name in (START, END):
        known = tokenizer.special_tokens
        require(name in known, "tokenizer", tokenizer, f"have the special token {name}")
    start, end = tokenizer.special_tokens[START], tokenizer.special_tokens[END]
    line_feed = tokenizer.encode("\n")
    ids = []
    for role, content in complete(messages):
        text = replace_unknown(tokenizer, f"{role}\n{content}")
        ids += [start, *tokenizer.encode(text), end, *line_feed]
    if add_generation_prompt:
        ids += [start, *tokenizer.encode("assistant\n")]
    return ids


def replace_unknown(tokenizer: ByteBPETokenizer, text: str) -> str:
    """The text with U+FFFD for each character that the tokenizer cannot write.

    A vocabulary that kept only the bytes seen in its training text may lack a few:
    SmolLM2's has no token for six control characters and for the planes of Unicode
    that are still empty. A lone surrogate, which is half a character, becomes "?".
    """
    known = {byte for byte in range(256) if bytes([byte]) in tokenizer.vocab}
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if known.issuperset(c.encode()) else "\ufffd" for c in whole)
