"""Text in pieces: whole characters, stop strings, batches."""

import itertools

import pytest
import torch

from lmcore.generate import Sampling, generate, generate_text, generate_texts
from lmcore.generate.text import Writer, longest_beginning, stream_text
from lmcore.models.gpt import GPT, GPTConfig
from lmcore.tokenizers import ByteBPETokenizer, CharTokenizer, WordPieceTokenizer

BYTES = ByteBPETokenizer.train("", 256)
TEXT = "naïve 中文 🙂 end\nUser: stop"


class Parrot:
    """Says a fixed text, token by token, whatever the prompt."""

    def __init__(self, ids, vocab_size):
        self.ids, self.vocab_size, self.start = ids, vocab_size, None

    def __call__(self, ids):
        self.start = ids.shape[1] if self.start is None else self.start
        logits = torch.zeros(*ids.shape, self.vocab_size)
        at = ids.shape[1] - self.start
        logits[:, -1, self.ids[at % len(self.ids)]] = 9.0
        return logits


def parrot(text, tokenizer=BYTES):
    return Parrot(tokenizer.encode(text), tokenizer.vocab_size)


def pieces(text, **options):
    n = len(BYTES.encode(text))
    return list(stream_text(parrot(text), BYTES, "x", n, **options))


def test_pieces_are_whole_characters_and_join_to_the_text():
    found = pieces(TEXT)
    assert "".join(found) == TEXT
    assert len(found) == len(TEXT)  # one byte a token: a character a piece


@pytest.mark.parametrize("n", range(1, 30))
def test_a_text_cut_inside_a_character_decodes_as_a_whole_would(n):
    ids = BYTES.encode(TEXT)[:n]
    found = stream_text(parrot(TEXT), BYTES, "x", n)
    assert "".join(found) == BYTES.decode(ids)


@pytest.mark.parametrize(
    "stop",
    [["\nUser:"], ["end", "\nUser:"], ["\n"], ["文"], ["st", "op"], ["User: stop"]],
)
def test_no_piece_shows_any_part_of_a_stop_string(stop):
    expected = TEXT[: min(TEXT.index(s) for s in stop)]
    found = pieces(TEXT, stop=stop)
    assert "".join(found) == expected
    assert all(found)


def test_a_false_beginning_of_a_stop_string_is_shown_in_the_end():
    assert "".join(pieces("ababac", stop=["abac!"])) == "ababac"
    assert "".join(pieces("ababac", stop=["abac"])) == "ab"
    assert "".join(pieces("one\nUse", stop=["\nUser:"])) == "one\nUse"


def test_every_way_to_cut_a_text_gives_the_same():
    text, stops = "aabaaab", ["aaab", "bb"]
    for cuts in itertools.product([0, 1], repeat=len(text) - 1):
        parts = [text[0]]
        for cut, char in zip(cuts, text[1:], strict=True):
            if cut:
                parts.append(char)
            else:
                parts[-1] += char
        writer = Writer(CharTokenizer.train(["ab"]), stops)
        writer.decode = lambda ids, at_end, parts=parts: "".join(parts[i] for i in ids)
        shown = "".join(writer.push(i) for i in range(len(parts)))
        assert shown + writer.finish() == "aab"
        assert writer.stopped


def test_longest_beginning():
    assert longest_beginning("one\nUse", ["\nUser:"]) == 4
    assert longest_beginning("aaa", ["aab", "aaab"]) == 3
    assert longest_beginning("one", ["\nUser:"]) == longest_beginning("", ["a"]) == 0


@pytest.mark.parametrize(
    "tokenizer",
    [
        CharTokenizer.train(["abc defg"]),
        WordPieceTokenizer.train(["bad cafe bead bead cafes"] * 5, 40),
        ByteBPETokenizer.train(["bad cafe bead"] * 5, 270),
    ],
)
def test_pieces_of_every_kind_of_tokenizer_join_to_what_it_decodes(tokenizer):
    torch.manual_seed(0)
    config = GPTConfig(
        vocab_size=tokenizer.vocab_size,
        max_seq_len=64,
        d_model=16,
        n_layers=1,
        n_heads=2,
    )
    model = GPT(config)
    prompt = tokenizer.encode("bad cafe")

    def options():
        g = torch.Generator().manual_seed(1)
        return {"sampling": Sampling(temperature=3), "generator": g}

    ids = generate(model, [prompt], 40, **options())[0]
    found = list(stream_text(model, tokenizer, prompt, 40, **options()))
    assert "".join(found) == tokenizer.decode(ids)
    assert all(found)
    text = generate_text(model, tokenizer, "bad cafe", 40, **options())
    assert text == tokenizer.decode(ids)


def test_texts_of_a_batch_stop_each_on_its_own():
    torch.manual_seed(3)
    config = GPTConfig(
        vocab_size=256, max_seq_len=64, d_model=32, n_layers=2, n_heads=4
    )
    model = GPT(config)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    prompts = ["a", "bcd efg", "hi"]
    alone = [generate_text(model, BYTES, p, 40) for p in prompts]
    assert generate_texts(model, BYTES, prompts, 40) == alone
    stop = [alone[0][5:7]]
    cut = generate_texts(model, BYTES, prompts, 40, stop=stop)
    assert cut == [text.split(stop[0])[0] for text in alone]
    stop_id = generate(model, [BYTES.encode("bcd efg")], 8)[0][-1]
    cut = generate_texts(model, BYTES, prompts, 40, stop_ids=[stop_id])
    assert cut == [
        generate_text(model, BYTES, p, 40, stop_ids=[stop_id]) for p in prompts
    ]


@pytest.mark.parametrize(
    ("error", "options"),
    [(TypeError, {"stop": "ab"}), (ValueError, {"stop": [""]})],
)
def test_bad_stop_strings_are_refused_at_once(error, options):
    with pytest.raises(error, match="stop="):
        stream_text(parrot("x"), BYTES, "x", 3, **options)


def test_an_empty_prompt_is_refused_at_once():
    with pytest.raises(ValueError, match=r"prompt=.*at least one token"):
        stream_text(parrot("x"), BYTES, "", 3)
    with pytest.raises(TypeError, match="list of texts"):
        generate_texts(parrot("x"), BYTES, "x", 3)
