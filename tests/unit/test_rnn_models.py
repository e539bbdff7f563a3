"""The recurrent language model and the encoder-decoder."""

import pytest
import torch

from lmcore.losses import cross_entropy
from lmcore.models.rnn_lm import RNNLM, RNNLMConfig, detach_state
from lmcore.models.seq2seq import Seq2Seq, Seq2SeqConfig
from lmcore.optim import Adam

SMALL = {"vocab_size": 11, "input_size": 6, "hidden_size": 8, "dropout": 0.0}


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_fused_and_written_out_give_the_same_logits(kind):
    torch.manual_seed(0)
    written = RNNLM(RNNLMConfig(kind=kind, fused=False, **SMALL)).double()
    fused = RNNLM(RNNLMConfig(kind=kind, fused=True, **SMALL)).double()
    fused.load_state_dict(written.state_dict())
    ids = torch.randint(11, (3, 9))
    torch.testing.assert_close(written(ids), fused(ids), rtol=0, atol=1e-10)
    assert written(ids).shape == (3, 9, 11)


def test_reading_in_pieces_equals_reading_at_once():
    model = RNNLM(RNNLMConfig(**SMALL))
    ids = torch.randint(11, (2, 12))
    first = model.read(ids[:, :5])
    second = model.read(ids[:, 5:], detach_state(first.state))
    whole = model(ids)
    torch.testing.assert_close(torch.cat([first.logits, second.logits], 1), whole)
    assert not any(s.requires_grad for s in detach_state(first.state))


def test_tied_weights_are_one_tensor():
    config = RNNLMConfig(vocab_size=11, input_size=8, hidden_size=8, tie_weights=True)
    model = RNNLM(config)
    assert model.lm_head.weight is model.tok_emb.weight


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"vocab_size": 0}, "vocab_size=0"),
        ({"kind": "transformer"}, "kind='transformer'"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"tie_weights": True}, "tie_weights=True"),
        ({"n_layers": 1.5}, "n_layers=1.5"),
    ],
)
def test_impossible_shapes_are_named(fields, named):
    with pytest.raises(ValueError, match=named):
        RNNLMConfig(**{**SMALL, **fields})


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_one_batch_overfits(kind):
    torch.manual_seed(0)
    config = RNNLMConfig(**{**SMALL, "hidden_size": 32}, kind=kind)
    model, ids = RNNLM(config), torch.randint(11, (2, 13))
    optimizer = Adam(model.parameters(), lr=2e-2)
    for _ in range(150):
        optimizer.zero_grad()
        loss = cross_entropy(model(ids[:, :-1]), ids[:, 1:])
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_source_padding_does_not_reach_the_target():
    torch.manual_seed(0)
    model = Seq2Seq(Seq2SeqConfig(source_vocab_size=7, **SMALL)).double()
    ids, lengths = torch.randint(11, (2, 4)), torch.tensor([3, 5])
    source = torch.randint(1, 7, (2, 5))
    other = source.clone()
    other[0, 3:] = 0
    a, b = (model(s, ids, lengths) for s in (source, other))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    assert not torch.allclose(model(source, ids), model(other, ids))


def test_the_decoder_sees_the_source_only_through_the_state():
    torch.manual_seed(0)
    model = Seq2Seq(Seq2SeqConfig(source_vocab_size=7, **SMALL))
    state = model.encode(torch.randint(7, (2, 5)))
    assert [tuple(s.shape) for s in state] == [(2, 2, 8), (2, 2, 8)]
    ids = torch.randint(11, (2, 4))
    step_by_step, now = [], state
    for t in range(4):
        logits, now = model.decode(ids[:, t : t + 1], now)
        step_by_step.append(logits)
    whole = model.decode(ids, state).logits
    torch.testing.assert_close(torch.cat(step_by_step, 1), whole)


def test_seq2seq_learns_to_reverse_one_batch():
    torch.manual_seed(0)
    config = Seq2SeqConfig(
        source_vocab_size=8, vocab_size=8, hidden_size=32, input_size=16, dropout=0.0
    )
    model = Seq2Seq(config)
    source = torch.randint(1, 8, (8, 5))
    target = torch.cat([torch.zeros(8, 1, dtype=torch.long), source.flip(1)], 1)
    optimizer = Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        loss = cross_entropy(model(source, target[:, :-1]), target[:, 1:])
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_seq2seq_names_a_bad_source_vocabulary():
    with pytest.raises(ValueError, match="source_vocab_size=0"):
        Seq2SeqConfig(source_vocab_size=0, **SMALL)
