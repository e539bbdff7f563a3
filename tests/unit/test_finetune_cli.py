"""`lmcore finetune` and `lmcore predict`, as someone at a terminal meets them."""

import json
import random

import pytest
import torch
from typer.testing import CliRunner

from lmcore.cli import app
from lmcore.data import Labelled
from lmcore.finetune import load_fine_tuned, predict, split_table
from lmcore.models.bert import BertConfig, BertForPretraining
from lmcore.models.bert_files import save_bert
from lmcore.models.gpt import GPT, GPTConfig
from lmcore.models.gpt_files import save_gpt
from lmcore.tokenizers import WordPieceTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
GOOD, BAD, NEUTRAL = ["fine", "lovely"], ["dull", "awful"], list("abcdefghij")


@pytest.fixture(scope="module")
def tokenizer():
    return WordPieceTokenizer([*SPECIAL, *GOOD, *BAD, *NEUTRAL])


@pytest.fixture(scope="module")
def encoder(tokenizer, tmp_path_factory):
    """A small encoder of random weights, as a folder."""
    torch.manual_seed(0)
    shape = {"vocab_size": 20, "max_seq_len": 16, "d_model": 16, "n_layers": 2}
    model = BertForPretraining(BertConfig(**shape, n_heads=2))
    return save_bert(tmp_path_factory.mktemp("encoder"), model, tokenizer)


def rows(n=120):
    draw = random.Random(0)
    lines = []
    for i in range(n):
        words = [*draw.choices(NEUTRAL, k=5), draw.choice([BAD, GOOD][i % 2])]
        draw.shuffle(words)
        lines.append(f"{' '.join(words)},{('negative', 'positive')[i % 2]}")
    return lines


def run(*arguments, **options):
    return CliRunner().invoke(app, [str(a) for a in arguments], **options)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "data.csv"
    lines = ["text,label", *rows(), ",positive", "a | b *c*,neutral", rows()[0]]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(table, encoder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "model"
    done = run(
        "finetune", table, "--out", out, "--model", encoder, "--bad-rows", "skip",
        "--epochs", 6, "--lr", 1e-2, "--batch-size", 16, "--dtype", "float32",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return out, done


def test_one_command_gives_a_model_and_an_honest_report(trained, table):
    out, done = trained
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["rows_read"] == 121 and report["repeats_dropped"] == 1
    assert [row["line"] for row in report["rows_skipped"]] == [122, 123]
    counts = report["labels"]
    assert sum(counts["negative"].values()) + sum(counts["positive"].values()) == 120
    test = report["test"]
    assert test["n"] == 24 == sum(map(sum, test["confusion"]))
    right = sum(test["confusion"][i][i] for i in range(2))
    assert test["accuracy"] == right / 24 > 0.8 > report["majority"]["accuracy"]
    low, high = test["interval"]
    assert low < test["accuracy"] <= high
    assert len(report["errors"]) == 24 - right
    assert report["seconds"]["all"] > 0
    assert f"accuracy {100 * right / 24:.1f} %" in done.output
    assert f"lmcore predict {out}" in done.output

    page = (out / "report.md").read_text(encoding="utf-8")
    assert "line 122: the text is empty" in page
    assert "line 123: no other row has the label 'neutral'" in page
    assert "\n**Note.** Only 24 texts could be tested" in page
    assert "\nnote: Only 24 texts could be tested" in done.output
    for row in ("| `negative` | ", "always `"):
        assert row in page


def test_the_test_set_is_unseen_and_predictions_are_the_report_s(trained, table):
    from lmcore.finetune import read_table
    from lmcore.metrics import confusion_matrix

    out, _ = trained
    splits = split_table(read_table(table, bad_rows="skip").labelled)
    parts = [set(part.texts) for part in splits]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    tuned = load_fine_tuned(out)
    guesses = predict(tuned, splits.test.texts).argmax(1)
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    found = confusion_matrix(splits.test.labels, guesses, 2).tolist()
    assert found == report["test"]["confusion"]


def test_predict_reads_arguments_a_file_and_standard_input(trained, tmp_path):
    out, _ = trained
    texts = ["a lovely b", "c awful d", "a fine\tj"]
    probs = predict(load_fine_tuned(out), texts)
    wanted = [
        f"{('negative', 'positive')[int(row.argmax())]}\t{float(row.max()):.3f}"
        for row in probs
    ]
    done = run("predict", out, *texts)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert [line.rpartition("\t")[0] for line in lines] == wanted
    assert lines[2].endswith("\ta fine j")  # a tab would look like a column

    lines = "\ufeff" + "\r\n".join([*texts[:2], "", texts[2]]) + "\r\n"
    (tmp_path / "texts.txt").write_bytes(lines.encode())
    from_file = run("predict", out, "--file", tmp_path / "texts.txt")
    assert from_file.stdout == done.stdout
    assert "empty lines left out: 1" in from_file.stderr
    assert run("predict", out, "-", input="\n".join(texts)).stdout == done.stdout
    assert run("predict", out, input="\n".join(texts)).stdout == done.stdout


def test_predict_speaks_json(trained):
    out, _ = trained
    done = run("predict", out, "--json", "电影 fine", "dull")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["text"] for row in found] == ["电影 fine", "dull"]
    assert "电影" in done.stdout  # readable, not \u7535
    for row in found:
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert row["probabilities"][row["label"]] == row["probability"] >= 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "none", "a"], "missing: config.json"),
        (["predict", "{out}", ""], "text 1='': must hold a word"),
        (["predict", "{out}", "--file", "none.txt"], "none.txt"),
        (["predict", "{out}", "a", "--file", "{table}"], "must stand alone"),
        (["predict", "{encoder}", "a"], "missing: history.json"),
    ],
)
def test_predict_says_what_is_wrong(trained, table, encoder, arguments, message):
    places = {"out": trained[0], "table": table, "encoder": encoder}
    done = run(*(a.format(**places) for a in arguments))
    assert done.exit_code == 2 and message in done.stderr and not done.stdout


def test_predict_refuses_an_empty_or_foreign_input(trained, tmp_path):
    out, _ = trained
    done = run("predict", out, input="\n\n")
    assert done.exit_code == 2 and "standard input: must hold a text" in done.stderr
    (tmp_path / "latin.txt").write_bytes(b"fine\ncaf\xe9\n")
    done = run("predict", out, "--file", tmp_path / "latin.txt")
    assert done.exit_code == 2
    assert "latin.txt, line 2: not UTF-8 (byte 0xe9 at column 4)" in done.stderr


def test_finetune_says_what_is_wrong_before_it_works(
    trained, table, encoder, tokenizer, tmp_path
):
    def refused(message, *arguments):
        done = run("finetune", *arguments)
        assert done.exit_code == 2, done.output
        assert message in done.stderr

    out, model = ["--out", tmp_path / "new"], ["--model", encoder]
    refused("2 bad rows\n  line 122: ", table, *out, *model)
    refused("data='none.csv': must be an existing file", "none.csv", *out)
    refused("must be empty, or --overwrite", table, "--out", trained[0], *model)
    refused("out=", table, "--out", table, *model)
    refused("strategy='some'", table, *out, "--strategy", "some")
    refused("dtype='int8'", table, *out, "--dtype", "int8")
    refused("'review'", table, *out, *model, "--text", "review")
    refused("model='none': must be 'minilm' or", table, *out, "--model", "none")
    config = GPTConfig(vocab_size=20, d_model=8, n_layers=1, n_heads=2)
    gpt = save_gpt(tmp_path / "gpt", GPT(config), tokenizer)
    refused("gpt': must hold an encoder; ", table, *out, "--model", gpt)
    few = tmp_path / "few.csv"
    few.write_text("\n".join(["text,label", *rows(12)]))
    refused("different texts=12: must be at least 20", few, *out, *model)
    assert not (tmp_path / "new").exists()


def test_a_label_without_a_text_to_learn_from_is_refused():
    texts = [f"text {i}" for i in range(30)]
    once = Labelled(texts, [0] * 30, ("common", "rare"))
    where = split_table(once._replace(names=("common", "other"), labels=[0, 1] * 15))
    held_out = {*where.validation.texts, *where.test.texts}
    labels = [int(text in set(list(held_out)[:3])) for text in texts]
    with pytest.raises(
        ValueError, match=r"the label 'rare' to train on=0.*3 were held"
    ):
        split_table(once._replace(labels=labels))
