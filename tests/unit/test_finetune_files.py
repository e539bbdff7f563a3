"""Folds, and classifiers that are kept in a folder."""

import json
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmcore.data import Labelled
from lmcore.finetune import (
    FineTuneConfig,
    cross_validate,
    fine_tune,
    k_folds,
    load_fine_tuned,
    merge_lora,
    predict,
    save_fine_tuned,
    unmerge_lora,
)
from lmcore.models.bert import Bert, BertConfig
from lmcore.models.bert_files import save_bert
from lmcore.tokenizers import WordPieceTokenizer

WORDS = ["fine", "dull", "a", "film", "电", "影"]
TEXTS = ["a fine film", "dull dull film", "电影 fine", "a dull 电影"] * 6
LABELLED = Labelled(TEXTS, [1, 0, 1, 0] * 6, ("坏", "good"))
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def new_encoder():
    torch.manual_seed(0)
    shape = {"vocab_size": 12, "max_seq_len": 16, "d_model": 16, "n_layers": 2}
    return Bert(BertConfig(**shape, n_heads=2)).eval()


@pytest.fixture(scope="module")
def tokenizer():
    return WordPieceTokenizer([*SPECIAL, *WORDS])


@pytest.fixture(scope="module", params=["head", "last", "all", "lora"])
def tuned(request, tokenizer):
    config = FineTuneConfig(strategy=request.param, epochs=2, n_last=1, rank=2, lr=1e-2)
    return fine_tune(new_encoder(), tokenizer, LABELLED, LABELLED, config)


# ---- files


def test_what_is_loaded_is_what_was_saved(tuned, tmp_path):
    save_fine_tuned(tmp_path / "new" / "model", tuned)
    torch.manual_seed(3)
    drawn = torch.rand(2)
    torch.manual_seed(3)
    loaded = load_fine_tuned(tmp_path / "new" / "model")
    assert torch.equal(torch.rand(2), drawn)  # nobody's dice were touched
    assert torch.equal(predict(loaded, TEXTS), predict(tuned, TEXTS))
    assert loaded.names == tuned.names == ("坏", "good")
    assert loaded.config == tuned.config and loaded.history == tuned.history
    assert loaded.n_trained == tuned.n_trained and not loaded.model.training
    kept = {n for n, p in tuned.model.named_parameters() if p.requires_grad}
    assert {n for n, p in loaded.model.named_parameters() if p.requires_grad} == kept


def test_a_fresh_process_predicts_the_same_bits(tuned, tmp_path):
    save_fine_tuned(tmp_path, tuned)
    code = (
        "import sys, json, torch; torch.set_num_threads(1)\n"
        "from lmcore.finetune import load_fine_tuned, predict\n"
        "texts = json.loads(sys.argv[2])\n"
        "probs = predict(load_fine_tuned(sys.argv[1]), texts)\n"
        "print(json.dumps(probs.tolist()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path), json.dumps(TEXTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == predict(tuned, TEXTS).tolist()


def test_merged_corrections_stay_merged(tokenizer, tmp_path):
    config = FineTuneConfig(strategy="lora", rank=2, epochs=2, lr=1e-2)
    tuned = fine_tune(new_encoder(), tokenizer, LABELLED, LABELLED, config)
    plain = predict(tuned, TEXTS)
    merge_lora(tuned.model)
    merged = predict(tuned, TEXTS)
    loaded = load_fine_tuned(save_fine_tuned(tmp_path, tuned))
    assert torch.equal(predict(loaded, TEXTS), merged)
    unmerge_lora(loaded.model)
    torch.testing.assert_close(predict(loaded, TEXTS), plain, atol=1e-5, rtol=0)


def edit(folder, **changes):
    path = folder / "config.json"
    fields = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(fields), encoding="utf-8")


def test_what_cannot_be_loaded_is_refused_by_name(tokenizer, tmp_path):
    config = FineTuneConfig(strategy="head", epochs=1)
    tuned = fine_tune(new_encoder(), tokenizer, LABELLED, LABELLED, config)

    def refused(message, kind=ValueError):
        with pytest.raises(kind, match=message):
            load_fine_tuned(tmp_path)
        save_fine_tuned(tmp_path, tuned)  # whole again
        load_fine_tuned(tmp_path)

    refused(r"missing: config.json, model.safetensors", FileNotFoundError)
    (tmp_path / "history.json").unlink()
    refused(r"missing: history.json", FileNotFoundError)
    (tmp_path / "config.json").write_text("{")
    refused(r"config.json: damaged")
    (tmp_path / "config.json").write_text("[]")
    refused("format='list'")
    edit(tmp_path, version=2)
    refused("version=2: must be 1")
    edit(tmp_path, names=["a", "b", "c"])
    refused("weights do not fit the config")
    edit(tmp_path, names=5)
    refused("damaged")
    edit(tmp_path, encoder=None)
    refused("damaged")
    edit(tmp_path, fine_tuning={"strategy": "none"})
    refused("strategy='none'")
    edit(tmp_path, fine_tuning={"colour": 1})
    refused("colour=1: must be one of")
    (tmp_path / "history.json").write_text("nonsense")
    refused("damaged")
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    refused(r"model.safetensors: damaged or cut off")
    (tmp_path / "tokenizer.json").write_text("{}")
    refused("tokenizer.json")
    WordPieceTokenizer([*SPECIAL, *"abcdefghijk"]).save(tmp_path / "tokenizer.json")
    refused("tokenizer.vocab_size=16")


def test_a_folder_with_another_model_is_refused(tokenizer, tmp_path):
    from lmcore.models.bert import BertForPretraining

    save_bert(tmp_path, BertForPretraining(new_encoder().config), tokenizer)
    (tmp_path / "history.json").write_text("{}")
    with pytest.raises(ValueError, match="another kind of model"):
        load_fine_tuned(tmp_path)


# ---- folds


@given(
    labels=st.lists(st.integers(0, 3), min_size=4, max_size=60),
    k=st.integers(2, 4),
    seed=st.integers(0, 3),
)
def test_each_row_is_tested_once_and_labels_are_shared_out(labels, k, seed):
    folds = k_folds(labels, k, seed)
    everything = list(range(len(labels)))
    assert sorted(row for fold in folds for row in fold.test) == everything
    for fold in folds:
        assert sorted(fold.train + fold.test) == everything
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for label in set(labels):
        shares = [sum(labels[i] == label for i in fold.test) for fold in folds]
        assert max(shares) - min(shares) <= 1


def test_folds_depend_on_the_seed_alone():
    assert k_folds(20, 4, seed=1) == k_folds(20, 4, seed=1)
    assert k_folds(20, 4, seed=1) != k_folds(20, 4, seed=2)
    assert k_folds(20, 4) == k_folds([0] * 20, 4)


@pytest.mark.parametrize("k", [0, 1, 5, 2.0])
def test_impossible_folds_are_refused(k):
    with pytest.raises(ValueError, match=f"k={k}"):
        k_folds(4, k)


def test_cross_validation_tests_each_fold_with_a_model_that_never_saw_it(
    tokenizer, monkeypatch
):
    from lmcore.finetune import folds

    seen = []

    def watch(encoder, tokenizer, train, validation, config):
        seen.append((set(train.texts), set(validation.texts)))
        return fine_tune(encoder, tokenizer, train, validation, config)

    monkeypatch.setattr(folds, "fine_tune", watch)
    texts = [f"{a} {b} {c}" for a in WORDS[2:] for b in WORDS[:2] for c in WORDS[2:]]
    labels = [int("fine" in text) for text in texts]
    labelled = Labelled(texts, labels, ("dull", "fine"))
    config = FineTuneConfig(strategy="all", epochs=8, lr=1e-2, dropout=0.0)
    scores = cross_validate(new_encoder, tokenizer, labelled, config, k=4)
    assert [score["n"] for score in scores] == [8, 8, 8, 8]
    assert sum(score["accuracy"] for score in scores) / 4 > 0.8
    tested = []
    for train, validation in seen:
        assert not train & validation
        tested += set(texts) - train - validation
    assert sorted(tested) == sorted(texts)
    with pytest.raises(ValueError, match="k=2: must be an int >= 3"):
        cross_validate(new_encoder, tokenizer, labelled, config, k=2)
