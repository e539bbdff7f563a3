"""``lmcore generate`` and ``lmcore chat`` with a small saved model."""

import os
import signal
import subprocess
import sys

import pytest
import torch
from typer.testing import CliRunner

from lmcore.cli import app
from lmcore.cli.chat import Conversation
from lmcore.generate import Sampling, generate_beams, generate_text
from lmcore.models.gpt import GPT, GPTConfig
from lmcore.models.gpt_files import load_gpt, save_gpt
from lmcore.tokenizers import ByteBPETokenizer, CharTokenizer

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
run = CliRunner()


def save_small_model(path, max_seq_len):
    """A model of random weights: it says nonsense, but always the same."""
    tokenizer = ByteBPETokenizer.train("", 256 + len(SPECIAL), special_tokens=SPECIAL)
    torch.manual_seed(0)
    model = GPT(
        GPTConfig(
            vocab_size=tokenizer.vocab_size,
            max_seq_len=max_seq_len,
            d_model=16,
            n_layers=1,
            n_heads=2,
        )
    )
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return save_gpt(path, model, tokenizer)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small_model(tmp_path_factory.mktemp("model"), 256)


def cli(*arguments, **options):
    return run.invoke(app, [str(a) for a in arguments], **options)


def test_generate_prints_what_the_library_gives(folder):
    model, tokenizer = load_gpt(folder)
    stop_ids = list(tokenizer.special_tokens.values())
    found = cli("generate", "Hello", "--model", folder, "--greedy")
    expected = generate_text(model, tokenizer, "Hello", 100, stop_ids=stop_ids)
    assert (found.exit_code, found.stdout) == (0, expected + "\n")
    found = cli("generate", "Hello", "--model", folder, "--top-k", 5, "--seed", 3)
    expected = generate_text(
        model,
        tokenizer,
        "Hello",
        100,
        sampling=Sampling(temperature=0.8, top_k=5),
        stop_ids=stop_ids,
        generator=torch.Generator().manual_seed(3),
    )
    assert found.stdout == expected + "\n"
    found = cli(
        "generate", "Hello", "--model", folder, "--n-beams", 3, "--max-new-tokens", 8
    )
    best = generate_beams(
        model, tokenizer.encode("Hello"), 8, n_beams=3, stop_ids=stop_ids
    )[0]
    assert found.stdout == tokenizer.decode(best.ids) + "\n"


def test_generate_reads_a_pipe_and_goes_past_the_context(folder):
    options = ("--model", folder, "--greedy", "--max-new-tokens", 300)
    piped = cli("generate", *options, input="Hello\n")
    assert piped.exit_code == 0
    assert piped.stdout == cli("generate", "Hello", *options).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--temperature", "0"], "temperature=0.0"),
        (["--top-p", "2"], "top_p=2.0"),
        (["--max-new-tokens", "-1"], "max_new_tokens=-1"),
        (["--n-beams", "0"], "n_beams=0"),
        (["--stop", ""], "stop=''"),
        (["--model", "no/such"], "model='no/such'"),
        (["--weights", "int4"], "weights='int4'"),
    ],
)
def test_generate_names_what_is_wrong(folder, arguments, words):
    found = cli("generate", "Hello", "--model", folder, *arguments)
    assert found.exit_code == 2
    assert words in found.stderr and "Traceback" not in found.stderr


def test_generate_wants_a_prompt(folder):
    found = cli("generate", "--model", folder, input="\n")
    assert found.exit_code == 2 and "prompt=''" in found.stderr


def test_a_chat_from_the_first_line_to_ctrl_d(folder):
    lines = "Hello\n\n/reset\n/what now\nHello\n"
    found = cli(
        "chat", "--model", folder, "--greedy", "--max-new-tokens", 5, input=lines
    )
    assert found.exit_code == 0
    _, first, empty, reset, unknown, second, end = found.stdout.split("\n> ")
    assert (empty, end) == ("", "\n")
    assert reset == "(forgotten)\n"
    assert unknown.startswith("(/what is no command.")
    assert first == second != ""


def test_a_chat_needs_a_model_that_knows_chats(tmp_path):
    tokenizer = CharTokenizer.train(["abc"])
    config = GPTConfig(
        vocab_size=tokenizer.vocab_size, max_seq_len=8, d_model=4, n_layers=1, n_heads=1
    )
    save_gpt(tmp_path, GPT(config), tokenizer)
    found = cli("chat", "--model", tmp_path, input="a\n")
    assert found.exit_code == 2 and "<|im_start|>" in found.stderr


def test_old_turns_are_dropped_when_they_no_longer_fit(folder):
    talk = Conversation(*load_gpt(folder), system="Be brief.", max_new_tokens=20)
    dropped = []
    for n in range(8):
        assert len("".join(talk.ask(f"question {n}"))) > 0
        dropped.append(talk.n_dropped)
    assert dropped[0] == 0 and sum(dropped) > 0
    assert talk.turns[-2]["content"] == "question 7"
    assert len(talk.turns) == 16 - sum(dropped)


def test_a_question_that_never_fits_is_refused_and_forgotten(folder):
    talk = Conversation(*load_gpt(folder), system="", max_new_tokens=20)
    list(talk.ask("short"))
    with pytest.raises(ValueError, match=r"at most 236.*256 less 20"):
        talk.ask("x" * 300)
    assert talk.turns == []
    found = cli("chat", "--model", folder, input="x" * 300 + "\nHello\n")
    assert found.exit_code == 0 and "must have at most" in found.stderr


def test_a_stopped_answer_is_remembered_as_far_as_it_came(folder):
    talk = Conversation(*load_gpt(folder), system="", max_new_tokens=20)
    pieces = talk.ask("Hello")
    said = next(pieces) + next(pieces)
    pieces.close()
    assert talk.turns[-1] == {"role": "assistant", "content": said}


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_stops_the_answer_and_not_the_chat(tmp_path):
    save_small_model(tmp_path, 16_384)  # room for an answer of many seconds
    command = [sys.executable, "-u", "-c", "from lmcore.cli import main; main()"]
    options = ["chat", "--model", str(tmp_path), "--greedy"]
    options += ["--max-new-tokens", "8000"]
    on_cpu = dict(os.environ, LMCORE_DEVICE="cpu")
    with subprocess.Popen(
        [*command, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=on_cpu,
    ) as process:
        process.stdin.write(b"Hello\n")
        process.stdin.flush()
        out = b""
        while b"\n> " not in out or len(out.split(b"\n> ")[1]) < 3:
            out += os.read(process.stdout.fileno(), 1)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(b"/reset\n", timeout=60)
    assert process.returncode == 0
    assert "… (stopped)".encode() in out + rest
    assert b"(forgotten)" in rest
