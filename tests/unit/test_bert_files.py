"""A BERT written into a folder and read again."""

import pytest
import torch

from lmcore.models.bert import BertConfig, BertForPretraining
from lmcore.models.bert_files import load_bert_files, save_bert
from lmcore.models.model_folder import FILES
from lmcore.tokenizers import CharTokenizer, WordPieceTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture
def parts():
    tokenizer = WordPieceTokenizer([*SPECIAL, "play", "##ing"])
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=7, max_seq_len=8, d_model=8, n_layers=1, n_heads=2, positions="rope"
    )
    return BertForPretraining(config).eval(), tokenizer


def test_what_is_read_answers_as_what_was_written(tmp_path, parts):
    model, tokenizer = parts
    save_bert(tmp_path, model, tokenizer)
    again, its_tokenizer = load_bert_files(tmp_path)
    ids = tokenizer.batch(["playing play"]).ids
    assert torch.equal(again(ids), model(ids)) and not again.training
    assert its_tokenizer.pieces == tokenizer.pieces
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)


def test_sixteen_bits_halve_the_file_and_move_little(tmp_path, parts):
    model, tokenizer = parts
    save_bert(tmp_path / "full", model, tokenizer)
    save_bert(tmp_path / "half", model, tokenizer, torch.float16)
    sizes = [
        (tmp_path / n / "model.safetensors").stat().st_size for n in ("full", "half")
    ]
    assert sizes[1] < 0.75 * sizes[0]
    ids = torch.tensor([[2, 5, 6, 3]])
    again, _ = load_bert_files(tmp_path / "half")
    torch.testing.assert_close(again(ids), model(ids), atol=1e-3, rtol=0)


def test_special_ids(parts):
    assert parts[1].special_ids == (0, 1, 2, 3, 4) and parts[1].mask_id == 4


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tmp_path, parts, name):
    save_bert(tmp_path, *parts)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"missing: {name}"):
        load_bert_files(tmp_path)


def test_damaged_files_are_refused(tmp_path, parts):
    save_bert(tmp_path, *parts)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-10])
    with pytest.raises(ValueError, match="damaged or cut off"):
        load_bert_files(tmp_path)
    weights.write_bytes(whole)
    config = tmp_path / "config.json"
    text = config.read_text()
    config.write_text(text.replace('"n_layers": 1', '"n_layers": 2'))
    with pytest.raises(ValueError, match="weights do not fit the config"):
        load_bert_files(tmp_path)
    config.write_text("{")
    with pytest.raises(ValueError, match=r"config.json: damaged"):
        load_bert_files(tmp_path)


def test_another_kind_of_tokenizer_is_refused(tmp_path, parts):
    save_bert(tmp_path, *parts)
    CharTokenizer.train("abc").save(tmp_path / "tokenizer.json")
    with pytest.raises(ValueError, match="tokenizer='CharTokenizer'"):
        load_bert_files(tmp_path)


def test_a_tokenizer_too_large_for_the_model_is_refused(tmp_path, parts):
    model, _ = parts
    large = WordPieceTokenizer([*SPECIAL, "a", "b", "c"])
    with pytest.raises(ValueError, match=r"tokenizer.vocab_size=8: must be <= vocab"):
        save_bert(tmp_path, model, large)
