"""The encoder-decoder Transformer."""

import pytest
import torch

from lmcore.losses import cross_entropy
from lmcore.models.seq2seq import Seq2Seq, Seq2SeqConfig
from lmcore.models.seq2seq_attention import Seq2SeqAttention, Seq2SeqAttentionConfig
from lmcore.models.seq2seq_transformer import (
    TransformerSeq2Seq,
    TransformerSeq2SeqConfig,
)
from lmcore.optim import Adam

SMALL = {
    "source_vocab_size": 7,
    "vocab_size": 11,
    "max_seq_len": 12,
    "d_model": 16,
    "n_layers": 2,
    "n_heads": 4,
    "dropout": 0.0,
}
RECURRENT = {
    "source_vocab_size": 7,
    "vocab_size": 11,
    "input_size": 6,
    "hidden_size": 8,
    "dropout": 0.0,
}


def new_model(**changes):
    torch.manual_seed(0)
    return TransformerSeq2Seq(TransformerSeq2SeqConfig(**{**SMALL, **changes})).double()


def batch():
    torch.manual_seed(1)
    lengths = torch.tensor([3, 5, 1])
    return torch.randint(7, (3, 5)), torch.randint(11, (3, 4)), lengths


def close(a, b, atol=1e-10):
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_source_padding_changes_nothing(positions, pre_norm):
    model = new_model(positions=positions, pre_norm=pre_norm)
    source, ids, lengths = batch()
    other = source.clone()
    for row, length in enumerate(lengths):
        other[row, length:] = (other[row, length:] + 1) % 7
    longer = torch.cat([other, other[:, :2]], dim=1)
    logits = model(source, ids, lengths)
    close(logits, model(other, ids, lengths))
    close(logits, model(longer, ids, lengths))
    for row, length in enumerate(lengths):
        alone = model(source[row : row + 1, :length], ids[row : row + 1])
        close(logits[row : row + 1], alone)
    assert not torch.allclose(model(source, ids), model(other, ids))


def test_no_target_sees_a_later_one():
    model = new_model()
    source, ids, lengths = batch()
    changed = ids.clone()
    changed[:, 2:] = (changed[:, 2:] + 1) % 11
    before, after = (model(source, one, lengths) for one in (ids, changed))
    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2:], after[:, 2:])


@pytest.mark.parametrize("pieces", [[1, 1, 1, 1], [3, 1], [4]])
def test_cached_equals_uncached_at_every_position(pieces):
    model = new_model()
    source, ids, lengths = batch()
    state, steps = model.encode(source, lengths), []
    for piece in ids.split(pieces, dim=1):
        logits, state = model.decode(piece, state)
        steps.append(logits)
    close(torch.cat(steps, 1), model(source, ids, lengths))
    assert state.kv_cache.length == 4


def test_the_order_of_the_source_matters():
    model = new_model()
    source, ids, _ = batch()
    assert not torch.allclose(model(source, ids), model(source.flip(1), ids))


def test_positions_are_counted_from_the_cache_on():
    model = new_model()
    source, ids, _ = batch()
    _, state = model.decode(ids, model.encode(source))
    same = ids[:, :1]
    first = model.decode(same, model.encode(source)).logits
    assert not torch.allclose(model.decode(same, state).logits, first)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_cross_attention_weights_sum_to_one_and_padding_gets_none(pre_norm):
    model = new_model(pre_norm=pre_norm)
    source, ids, lengths = batch()
    weights = model.attention_weights(source, ids, lengths)
    assert weights.shape == (2, 3, 4, 4, 5)  # layers, B, heads, T, S
    close(weights.sum(-1), torch.ones(2, 3, 4, 4, dtype=torch.float64))
    for row, length in enumerate(lengths):
        assert (weights[:, row, ..., length:] == 0).all()


@pytest.mark.parametrize("pre_norm", [False, True])
def test_the_weights_shown_are_those_of_forward(pre_norm):
    """Mixing the values by them gives what the last cross-attention hands on."""
    model = new_model(pre_norm=pre_norm)
    source, ids, lengths = batch()
    seen = {}
    attn = model.transformer.decoder.blocks[-1].cross_attn
    attn.v_proj.register_forward_hook(lambda *a: seen.update(v=a[2]))
    attn.out_proj.register_forward_hook(lambda *a: seen.update(mixed=a[1][0]))
    model(source, ids, lengths)
    weights = model.attention_weights(source, ids, lengths)[-1]  # (B, H, T, S)
    v = attn.split_heads(seen["v"])
    close(seen["mixed"], (weights @ v).transpose(1, 2).flatten(2))


def test_gradients_reach_every_parameter():
    model = new_model(positions="learned", tie_weights=False)
    source, ids, lengths = batch()
    cross_entropy(model(source, ids, lengths), torch.randint(11, (3, 4))).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if not name.endswith("k_proj.bias"):  # adds the same to every score
            assert parameter.grad.abs().sum() > 1e-12, name


def test_one_batch_overfits():
    torch.manual_seed(0)
    model = TransformerSeq2Seq(
        TransformerSeq2SeqConfig(
            source_vocab_size=8,
            vocab_size=8,
            d_model=32,
            n_layers=1,
            n_heads=2,
            dropout=0.0,
        )
    )
    source = torch.randint(1, 8, (8, 5))
    target = torch.cat([torch.zeros(8, 1, dtype=torch.long), source.flip(1)], 1)
    optimizer = Adam(model.parameters(), lr=5e-3)
    for _ in range(100):
        optimizer.zero_grad()
        loss = cross_entropy(model(source, target[:, :-1]), target[:, 1:])
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_tied_weights_are_one_tensor():
    model = new_model()
    assert model.lm_head.weight is model.tok_emb.weight
    apart = new_model(tie_weights=False)
    assert apart.lm_head.weight is not apart.tok_emb.weight


def test_too_long_a_target_is_named():
    model = new_model(max_seq_len=4)
    source, ids, _ = batch()
    with pytest.raises(ValueError, match="sequence length=5: must be <= max_seq_len=4"):
        model(source, ids)
    _, state = model.decode(ids, model.encode(source[:, :4]))
    with pytest.raises(ValueError, match="sequence length=5"):
        model.decode(ids[:, :1], state)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"vocab_size": 0}, "vocab_size=0"),
        ({"n_heads": 3}, "n_heads=3: must be a divisor of d_model=16"),
        ({"d_ff": 0}, "ff_width=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"ff": "tanh"}, "ff='tanh'"),
        ({"positions": "rope"}, "positions='rope'"),
        ({"d_model": 15, "n_heads": 3}, "d_model=15: must be even"),
    ],
)
def test_impossible_shapes_are_named(fields, named):
    with pytest.raises(ValueError, match=named):
        TransformerSeq2SeqConfig(**{**SMALL, **fields})


@pytest.mark.parametrize(
    "model",
    [
        Seq2Seq(Seq2SeqConfig(**RECURRENT)),
        Seq2SeqAttention(Seq2SeqAttentionConfig(**RECURRENT)),
        TransformerSeq2Seq(TransformerSeq2SeqConfig(**SMALL)),
    ],
    ids=["none", "additive", "transformer"],
)
def test_selected_rows_go_on_as_their_own(model):
    """What beam search needs: the state of row 2, twice, and of row 0."""
    source, ids, lengths = batch()
    rows = torch.tensor([2, 2, 0])
    _, state = model.decode(ids[:, :2], model.encode(source, lengths))
    logits = model.decode(ids[rows, 2:], model.select(state, rows)).logits
    whole = model(source, ids, lengths)
    torch.testing.assert_close(logits, whole[rows, 2:], rtol=0, atol=1e-5)
