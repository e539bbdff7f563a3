"""The text-to-text Transformer."""

import pytest
import torch

from lmcore.models.t5 import T5, T5Config

SMALL = {"vocab_size": 11, "max_seq_len": 12, "d_model": 16, "n_layers": 2}


def new_model(**changes):
    torch.manual_seed(0)
    return T5(T5Config(**{**SMALL, **changes})).double()


def batch():
    torch.manual_seed(1)
    lengths = torch.tensor([3, 5, 1])
    return torch.randint(11, (3, 5)), torch.randint(11, (3, 4)), lengths


def close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "norm, bias, ff", [("rms", False, "relu"), ("layer", True, "gelu")]
)
def test_source_padding_changes_nothing(norm, bias, ff):
    model = new_model(norm=norm, bias=bias, ff=ff)
    source, ids, lengths = batch()
    other = source.clone()
    for row, length in enumerate(lengths):
        other[row, length:] = (other[row, length:] + 1) % 11
    close(model(source, ids, lengths), model(other, ids, lengths))
    one = model(source[2:, :1], ids[2:])
    close(model(source, ids, lengths)[2:], one)


def test_token_by_token_equals_all_at_once():
    model = new_model()
    source, ids, lengths = batch()
    whole = model(source, ids, lengths)
    state = model.encode(source, lengths)
    for t in range(ids.shape[1]):
        logits, state = model.decode(ids[:, t : t + 1], state)
        close(logits[:, 0], whole[:, t])


def test_a_target_position_sees_no_later_one_but_all_of_the_source():
    model = new_model()
    source, ids, _ = batch()
    before = model(source, ids)
    changed = ids.clone()
    changed[:, 2] = (ids[:, 2] + 1) % 11
    moved = (model(source, changed) - before).abs().amax(-1)
    assert (moved[:, :2] == 0).all() and (moved[:, 2:] > 0).all()
    other = source.clone()
    other[:, -1] = (source[:, -1] + 1) % 11
    assert ((model(other, ids) - before).abs().amax(-1) > 0).all()


def test_order_matters_on_both_sides():
    model = new_model()
    source, ids, _ = batch()
    source[:, 0], source[:, 1] = 1, 2
    ids[:, 0], ids[:, 1] = 3, 4
    before = model(source, ids)[:, -1]
    assert not torch.allclose(model(source[:, [1, 0, 2, 3, 4]], ids)[:, -1], before)
    assert not torch.allclose(model(source, ids[:, [1, 0, 2, 3]])[:, -1], before)


def test_one_embedding_reads_and_writes():
    model = new_model()
    assert model.lm_head.weight is model.tok_emb.weight
    names = [name for name, _ in model.named_parameters() if "emb" in name]
    assert names == ["tok_emb.weight"]
    assert not any(name.endswith("bias") for name, _ in model.named_parameters())


def test_select_takes_rows_in_the_order_asked_for():
    model = new_model()
    source, ids, lengths = batch()
    state = model.decode(ids[:, :2], model.encode(source, lengths)).state
    rows = torch.tensor([2, 0])
    logits, _ = model.decode(ids[rows, 2:3], model.select(state, rows))
    close(logits[:, 0], model(source, ids, lengths)[rows, 2])


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"n_heads": 3}, "n_heads=3"),
        ({"d_model": 6, "n_heads": 2}, "d_model / n_heads=3"),
        ({"norm": "batch"}, "norm='batch'"),
        ({"ff": "tanhh"}, "ff='tanhh'"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"vocab_size": 0}, "vocab_size=0"),
        ({"rope_base": 0.0}, "rope_base=0.0"),
    ],
)
def test_impossible_shapes_are_refused_by_name(changes, named):
    with pytest.raises(ValueError, match=named):
        T5Config(**{**SMALL, **changes})


def test_too_long_texts_are_refused():
    model = new_model()
    source, ids, _ = batch()
    with pytest.raises(ValueError, match="sequence length=13: must be <= max_seq_len"):
        model(torch.zeros(3, 13, dtype=torch.int64), ids)
    with pytest.raises(ValueError, match="sequence length=13"):
        model(source, torch.zeros(3, 13, dtype=torch.int64))
