"""The written form of a chat; it equals the published template in tests/parity."""

import pytest

from lmcore.pretrained.chat import chat_prompt, encode_chat, replace_unknown
from lmcore.tokenizers import ByteBPETokenizer

USER = {"role": "user", "content": "Hi"}


@pytest.fixture(scope="module")
def tokenizer():
    return ByteBPETokenizer.train(
        "system user assistant hi hi",
        vocab_size=262,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        pattern="single_digits",
    )


def test_the_form():
    messages = [{"role": "system", "content": "Be brief."}, USER]
    assert chat_prompt(messages) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert chat_prompt([USER]).startswith("<|im_start|>system\nYou are a helpful")


def test_ids_are_those_of_the_text(tokenizer):
    for asks in (True, False):
        text = chat_prompt([USER], add_generation_prompt=asks)
        ids = encode_chat(tokenizer, [USER], add_generation_prompt=asks)
        assert tokenizer.encode(text, allowed_special="all") == ids


def test_messages_are_not_changed():
    messages = [USER]
    chat_prompt(messages)
    assert messages == [USER]


@pytest.mark.parametrize(
    "messages, error, match",
    [
        ([], ValueError, "messages"),
        ([{"role": "tool", "content": "x"}], ValueError, "role='tool'"),
        ([{"role": "user\n", "content": "x"}], ValueError, "role"),
        ([{"role": "user"}], TypeError, "'role' and 'content'"),
        (["Hi"], TypeError, "'role' and 'content'"),
        ([{"role": "user", "content": None}], TypeError, "content=None"),
    ],
)
def test_other_forms_are_refused(tokenizer, messages, error, match):
    with pytest.raises(error, match=match):
        chat_prompt(messages)
    with pytest.raises(error, match=match):
        encode_chat(tokenizer, messages)


def test_a_tokenizer_without_control_tokens_is_refused():
    plain = ByteBPETokenizer.train("abc", vocab_size=256)
    with pytest.raises(ValueError, match=r"<\|im_start\|>"):
        encode_chat(plain, [USER])


def test_every_text_has_ids(tokenizer):
    text = "nul \x00, surrogate \ud800, emoji 🙂, end"
    ids = encode_chat(tokenizer, [{"role": "user", "content": text}])
    assert "surrogate ?, emoji 🙂" in tokenizer.decode(ids)
    assert replace_unknown(tokenizer, "abc é 🙂") == "abc é 🙂"
