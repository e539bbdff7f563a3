"""Recipes: what a TOML file may say, what is measured, and how a run is kept."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lmcore.course import recipes
from lmcore.course.recipes import (
    DataConfig,
    Recipe,
    measure_bits,
    parse_value,
    read_recipe,
    read_texts,
    run_recipe,
    text_nats,
    thinned,
    to_ids,
)
from lmcore.data import course_corpus
from lmcore.models.gpt import GPT, GPTConfig
from lmcore.models.gpt_files import load_gpt, save_gpt
from lmcore.models.model_folder import FILES
from lmcore.tokenizers import ByteBPETokenizer
from lmcore.train import History

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
TEXT = "the king is near the queen and the queen is near the king. " * 40
SMALL = """
[data]
path = "{path}"
vocab_size = 270
seq_len = 16

[model]
d_model = 16
n_layers = 1
n_heads = 2
dropout = 0.1

[train]
batch_size = 4
max_steps = 20
lr = 1e-2
grad_clip = 1.0

[run]
eval_every = 5
save_every = 5
"""


@pytest.fixture(autouse=True)
def no_progress_bar(monkeypatch):
    monkeypatch.setenv("CI", "1")


@pytest.fixture
def recipe_file(tmp_path):
    """A small recipe that trains on a text of its own."""
    (tmp_path / "text.txt").write_text(TEXT)
    path = tmp_path / "small.toml"
    path.write_text(SMALL.format(path=(tmp_path / "text.txt").as_posix()))
    return path


def write(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


# What a file may say


def test_what_a_file_leaves_out_is_the_default(tmp_path):
    recipe = read_recipe(write(tmp_path, ""))
    assert recipe == Recipe.from_dict({})
    assert recipe.model.vocab_size == recipe.data.vocab_size == 1024
    assert recipe.model.max_seq_len == recipe.data.seq_len == 256


def test_the_model_takes_its_sizes_from_the_data(tmp_path):
    recipe = read_recipe(write(tmp_path, "[data]\nvocab_size = 300\nseq_len = 8"))
    assert (recipe.model.vocab_size, recipe.model.max_seq_len) == (300, 8)
    recipe = read_recipe(write(tmp_path, "[model]\nvocab_size = 2000"))
    assert recipe.model.vocab_size == 2000


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_of_the_course_is_usable(path):
    recipe = read_recipe(path)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    with torch.device("meta"):
        GPT(recipe.model)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[data", "must be a TOML file"),
        ("[trian]\nlr = 1.0", "part='trian': must be one of"),
        ("train = 3", r"train=3: must be a part, \[train\]"),
        ("[train]\nlearning_rate = 1.0", r"\[train\] learning_rate=1.0: must be one"),
        ("[train]\nlr = -1.0", r"\[train\] lr=-1.0: must be > 0"),
        ('[train]\nlr = "fast"', r"\[train\] .*'fast'"),
        ("[train]\nbetas = 0.9", r"\[train\] .*'betas': 0.9"),
        ('[model]\nnorm = "batch"', r"\[model\] norm='batch': must be 'layer' or"),
        ("[model]\nvocab_size = 100", "model.vocab_size=100: must be >= 1024"),
        ("[model]\nmax_seq_len = 128", "model.max_seq_len=128: must be >= 256"),
        ("[data]\nvocab_size = 255", r"\[data\] vocab_size=255: must be an int >= 256"),
        ("[data]\nseq_len = 1", r"\[data\] seq_len=1: must be an int >= 2"),
        ("[data]\npath = 3", r"\[data\] path=3: must be a text"),
        ('[data]\nextra = "shakespeare"', r"\[data\] extra='shakespeare': must be a"),
        ('[run]\ndtype = "float16"', r"\[run\] dtype='float16': must be one of"),
        ("[run]\neval_every = 0", r"\[run\] eval_every=0: must be an int >= 1"),
    ],
)
def test_an_impossible_recipe_is_refused_by_name(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_recipe(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.toml"):
        read_recipe(tmp_path / "nowhere.toml")


def test_fields_are_changed_from_outside(recipe_file):
    changes = ["train.lr = 2e-3", "run.dtype=auto", "data.extra=['python_reference']"]
    changed = read_recipe(recipe_file, [*changes, "model.bias=false"])
    assert changed.train.lr == 2e-3
    assert changed.run.dtype == "auto"
    assert changed.data.extra == ("python_reference",)
    assert changed.model.bias is False
    assert changed.train.max_steps == read_recipe(recipe_file).train.max_steps


@pytest.mark.parametrize("change", ["lr=1e-3", "train.lr", "train.speed=1", "lr.x=1"])
def test_an_unreadable_change_is_refused(recipe_file, change):
    with pytest.raises(ValueError, match=r"lr|speed"):
        read_recipe(recipe_file, [change])


def test_a_value_is_read_as_toml_or_as_a_text():
    values = ["3", "1e-3", "true", "[1, 2]", "'a'", "auto", ""]
    assert [parse_value(v) for v in values] == [3, 1e-3, True, [1, 2], "a", "auto", ""]


# What is read


def test_a_text_of_ones_own_is_cut_in_order(tmp_path):
    (tmp_path / "a.txt").write_text("a" * 10)
    (tmp_path / "b.txt").write_text("b" * 20)
    splits = read_texts(DataConfig(path=str(tmp_path)))
    assert splits.train == "a" * 8 + "\n" + "b" * 16
    assert splits.validation == "a\nbb"
    assert splits.test == "a\nbb"


def test_a_text_that_is_too_short_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(ValueError, match=r"a\.txt.*hold enough text for training"):
        read_texts(DataConfig(path=str(tmp_path / "a.txt")))


def test_a_text_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_texts(DataConfig(path=str(tmp_path / "nowhere")))


def test_extra_text_is_for_training_alone(real_asset):
    real_asset("shakespeare")
    plain, more = course_corpus(), read_texts(DataConfig(extra=("python_reference",)))
    assert more.train.startswith(plain.train)
    assert len(more.train) > len(plain.train) + 100_000
    assert (more.validation, more.test) == (plain.validation, plain.test)


def test_unknown_extra_text_is_refused(recipe_file):
    with pytest.raises(ValueError, match="'poems'"):
        read_texts(read_recipe(recipe_file, ["data.extra=['poems']"]).data)


# What is measured


def small_gpt(seed=0, vocab_size=270, **changes):
    torch.manual_seed(seed)
    shape = {"max_seq_len": 64, "d_model": 16, "n_layers": 2, "n_heads": 2}
    model = GPT(GPTConfig(vocab_size=vocab_size, **shape | changes))
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.3)
    return model.eval()


def one_long_pass(model, ids):
    with torch.no_grad():
        logits = model(ids[None, :-1])
    return F.cross_entropy(logits[0].double(), ids[1:], reduction="sum").item()


def test_the_first_byte_of_a_text_is_predicted_too():
    tokenizer = ByteBPETokenizer.train([TEXT], 270)
    ids = to_ids(tokenizer, "king")
    assert tokenizer.decode(ids.tolist()) == "\nking"
    assert tokenizer.decode(ids[1:].tolist()) == "king"


@pytest.mark.parametrize("seq_len", [40, 41, 64])
def test_a_short_text_is_one_long_pass(seq_len):
    model, ids = small_gpt(), torch.randint(270, (41,))
    nats = text_nats(model, ids, seq_len)
    assert nats == pytest.approx(one_long_pass(model, ids), rel=1e-5)


class Even(nn.Module):
    """Gives every token the same probability."""

    def __init__(self, vocab_size):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.vocab_size = vocab_size

    def forward(self, ids):
        return torch.zeros(*ids.shape, self.vocab_size) * self.scale


@given(
    n=st.integers(2, 90),
    seq_len=st.integers(1, 40),
    stride=st.none() | st.integers(1, 50),
    batch_size=st.integers(1, 7),
)
def test_every_id_but_the_first_counts_once(n, seq_len, stride, batch_size):
    ids = torch.randint(7, (n,), generator=torch.Generator().manual_seed(n))
    nats = text_nats(Even(7), ids, seq_len, stride, batch_size)
    assert nats == pytest.approx((n - 1) * math.log(7), rel=1e-5)


class Favourite(nn.Module):
    """Score of an id depends on the id alone: counting one twice would show."""

    def __init__(self, vocab_size):
        super().__init__()
        self.scores = nn.Parameter(torch.arange(float(vocab_size)))

    def forward(self, ids):
        return self.scores.expand(*ids.shape, len(self.scores))


@given(
    n=st.integers(2, 60),
    seq_len=st.integers(1, 20),
    stride=st.integers(1, 20),
)
def test_what_counts_once_is_each_id_itself(n, seq_len, stride):
    ids = torch.randint(9, (n,), generator=torch.Generator().manual_seed(n))
    right = F.cross_entropy(
        torch.arange(9.0).expand(n - 1, 9), ids[1:], reduction="sum"
    ).item()
    nats = text_nats(Favourite(9), ids, seq_len, stride)
    assert nats == pytest.approx(right, rel=1e-5)


@settings(max_examples=10)
@given(batch_size=st.integers(1, 30), stride=st.sampled_from([None, 8, 16, 5]))
def test_the_batch_size_changes_nothing(batch_size, stride):
    model = small_gpt()
    ids = torch.randint(270, (150,), generator=torch.Generator().manual_seed(1))
    alone = text_nats(model, ids, 16, stride, batch_size=1)
    assert text_nats(model, ids, 16, stride, batch_size) == pytest.approx(
        alone, rel=1e-5
    )


def test_a_prediction_counts_where_it_has_the_most_before_it():
    model = small_gpt(max_seq_len=16)
    ids = torch.randint(270, (41,), generator=torch.Generator().manual_seed(1))
    by_hand = one_long_pass(model, ids[:17])
    with torch.no_grad():
        for start in (4, 8, 12, 16, 20, 24):
            logits = model(ids[None, start : start + 16])[0, -4:].double()
            targets = ids[start + 13 : start + 17]
            by_hand += F.cross_entropy(logits, targets, reduction="sum").item()
    assert text_nats(model, ids, 16, stride=4) == pytest.approx(by_hand, rel=1e-5)


def test_bits_are_per_byte_of_the_text():
    ids = torch.randint(270, (31,))
    bits = measure_bits(Even(270), ids, "é" * 50, seq_len=16)
    assert bits == round(30 * math.log2(270) / 100, 4)


def test_a_thinned_history_keeps_every_tenth_step_and_all_evaluations():
    history = History([{"step": s, "loss": 1 / 3} for s in range(1, 26)], [{"step": 7}])
    rows = thinned(history)
    assert [row["step"] for row in rows["steps"]] == [10, 20]
    assert rows["steps"][0]["loss"] == 0.33333
    assert rows["evaluations"] == [{"step": 7.0}]


# A run from beginning to end


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A recipe, the folder of its run, and the record."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "text.txt").write_text(TEXT)
    path = folder / "small.toml"
    path.write_text(SMALL.format(path=(folder / "text.txt").as_posix()))
    recipe = read_recipe(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CI", "1")
        record = run_recipe(recipe, folder / "out", "the command")
    return recipe, folder / "out", record


def test_a_run_learns_and_says_what_it_did(finished):
    recipe, out, record = finished
    assert json.loads((out / "history.json").read_text()) == record
    assert record["command"] == "the command"
    assert record["recipe"] == recipe.to_dict()
    evaluations = record["evaluations"]
    assert [row["step"] for row in evaluations] == [5, 10, 15, 20]
    assert record["best_step"] == min(evaluations, key=lambda row: row["loss"])["step"]
    assert evaluations[-1]["bits_per_byte"] < evaluations[0]["bits_per_byte"] - 0.1
    assert 0 < record["test_bits"] < 8
    assert record["train_bytes"] == int(0.8 * len(TEXT))


def test_the_stored_model_is_the_one_that_was_measured(finished):
    recipe, out, record = finished
    model, tokenizer = load_gpt(out)
    assert not model.training
    assert model.config == recipe.model
    assert record["parameters"] == sum(p.numel() for p in model.parameters())
    text = read_texts(recipe.data).test
    assert measure_bits(model, to_ids(tokenizer, text), text, 16) == record["test_bits"]


def test_an_interrupted_run_ends_with_the_same_weights(finished, tmp_path, monkeypatch):
    recipe, out, _ = finished
    real, calls = recipes.text_nats, []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(recipes, "text_nats", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, tmp_path, "first")
    assert not (tmp_path / "model.safetensors").exists()
    record = run_recipe(recipe, tmp_path, "second")
    for ours, theirs in zip(
        load_gpt(tmp_path)[0].parameters(), load_gpt(out)[0].parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)
    assert [row["step"] for row in record["evaluations"]] == [5, 10, 15, 20]


def test_a_finished_run_is_not_trained_again(finished, tmp_path):
    recipe, out, record = finished
    shutil.copytree(out, tmp_path / "copy")
    again = run_recipe(recipe, tmp_path / "copy", "the command")
    assert again["steps"] == record["steps"]
    assert again["test_bits"] == record["test_bits"]


def test_a_run_does_not_go_on_with_another_text(finished, tmp_path, monkeypatch):
    recipe, out, _ = finished
    shutil.copytree(out, tmp_path / "copy")
    other = tmp_path / "text.txt"
    other.write_text(TEXT.replace("king", "earl"))
    changed = Recipe.from_dict(
        recipe.to_dict() | {"data": recipe.data.to_dict() | {"path": str(other)}}
    )
    with pytest.raises(ValueError, match=r"\[data\].*unlike: path, train_sha256"):
        run_recipe(changed, tmp_path / "copy", "the command")


def test_a_run_from_before_data_was_kept_goes_on(finished, tmp_path):
    recipe, out, record = finished
    shutil.copytree(out, tmp_path / "copy")
    (tmp_path / "copy" / "checkpoints" / "data.json").unlink()
    again = run_recipe(recipe, tmp_path / "copy", "the command")
    assert again["test_bits"] == record["test_bits"]


# The three files


@pytest.fixture
def saved(tmp_path):
    """A model, its tokenizer and its folder."""
    model, tokenizer = small_gpt(), ByteBPETokenizer.train([TEXT], 270)
    return model, tokenizer, save_gpt(tmp_path / "gpt", model, tokenizer)


@pytest.mark.parametrize("tie", [True, False])
def test_a_model_comes_back_as_it_was(tmp_path, tie):
    model, tokenizer = small_gpt(tie_weights=tie), ByteBPETokenizer.train([TEXT], 270)
    save_gpt(tmp_path, model, tokenizer)
    again, its_tokenizer = load_gpt(tmp_path)
    ids = torch.tensor([its_tokenizer.encode("the king")])
    assert its_tokenizer.encode(TEXT) == tokenizer.encode(TEXT)
    assert torch.equal(again(ids), model(ids))
    assert (again.lm_head.weight is again.tok_emb.weight) == tie


def test_sixteen_bits_halve_the_file_and_cost_little(saved, tmp_path):
    model, tokenizer, folder = saved
    half = save_gpt(tmp_path / "half", model, tokenizer, torch.float16)
    sizes = [(path / "model.safetensors").stat().st_size for path in (half, folder)]
    assert sizes[0] < 0.6 * sizes[1]
    again, _ = load_gpt(half)
    for ours, theirs in zip(again.parameters(), model.parameters(), strict=True):
        assert ours.dtype == torch.float32
        assert torch.equal(ours, theirs.half().float())


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tmp_path):
    tokenizer = ByteBPETokenizer.train([TEXT], 270)
    with pytest.raises(ValueError, match=r"tokenizer\.vocab_size=270"):
        save_gpt(tmp_path, small_gpt(vocab_size=269), tokenizer)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_of_a_model_is_named(saved, name):
    (saved[2] / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"missing: {name}"):
        load_gpt(saved[2])


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(saved, name):
    path = saved[2] / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=name):
        load_gpt(saved[2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_layers": 3}, "weights do not fit"),
        ({"d_ff": 7}, "weights do not fit"),
        ({"tie_weights": False}, "weights do not fit"),
        ({"vocab_size": 100}, r"tokenizer\.vocab_size=270: must be <= vocab_size=100"),
        ({"depth": 3}, "depth=3"),
        ({"n_heads": "two"}, "n_heads='two'"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(saved, changes, message):
    path = saved[2] / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ValueError, match=message):
        load_gpt(saved[2])
