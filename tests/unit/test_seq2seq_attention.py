"""The encoder-decoder with additive attention."""

import pytest
import torch

from lmcore.losses import cross_entropy
from lmcore.models.seq2seq_attention import (
    AdditiveAttention,
    Seq2SeqAttention,
    Seq2SeqAttentionConfig,
    reversed_order,
)
from lmcore.optim import Adam

SMALL = {
    "source_vocab_size": 7,
    "vocab_size": 11,
    "input_size": 6,
    "hidden_size": 8,
    "attention_size": 5,
    "n_layers": 2,
    "dropout": 0.0,
}


def new_model(**changes):
    torch.manual_seed(0)
    config = Seq2SeqAttentionConfig(**{**SMALL, **changes})
    return Seq2SeqAttention(config).double()


def batch():
    torch.manual_seed(1)
    lengths = torch.tensor([3, 5, 1])
    return torch.randint(7, (3, 5)), torch.randint(11, (3, 4)), lengths


def close(a, b, atol=1e-10):
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def test_additive_attention_equals_its_equation():
    torch.manual_seed(0)
    layer = AdditiveAttention(query_size=4, memory_size=3, attention_size=5).double()
    query = torch.randn(2, 4, dtype=torch.float64)
    memory = torch.randn(2, 6, 3, dtype=torch.float64)
    mask = torch.arange(6) < torch.tensor([[6], [4]])
    context, weights = layer(query, layer.k_proj(memory), memory, mask)
    w, u, bias = layer.q_proj.weight, layer.k_proj.weight, layer.k_proj.bias
    v = layer.v.weight[0]
    for b, n in ((0, 6), (1, 4)):
        e = [torch.exp(v @ torch.tanh(w @ query[b] + u @ h + bias)) for h in memory[b]]
        total = sum(e[:n])
        for j in range(6):
            close(weights[b, j], e[j] / total if j < n else torch.zeros_like(total))
        close(context[b], sum(e[j] / total * memory[b, j] for j in range(n)))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_model_equals_a_loop_over_words_and_steps(bidirectional):
    """One word at a time, without padding, through torch's own cells."""
    model = new_model(bidirectional=bidirectional, n_layers=1)
    source, ids, lengths = batch()
    logits = model(source, ids, lengths)
    weights = model.attention_weights(source, ids, lengths)

    def cell(recurrent, x, h, c):
        p = recurrent.cells[0]
        sizes = (p.weight_ih, p.weight_hh, p.bias_ih, p.bias_hh)
        return torch.lstm_cell(x[None], (h[None], c[None]), *sizes)

    def read(recurrent, xs):
        h = c = torch.zeros(8, dtype=torch.float64)
        outputs = []
        for x in xs:
            h, c = (state[0] for state in cell(recurrent, x, h, c))
            outputs.append(h)
        return outputs, h, c

    for b in range(3):
        xs = list(model.source_emb(source[b, : lengths[b]]))
        memory, h, c = read(model.encoder, xs)
        if bidirectional:
            back, h, c = read(model.backward_encoder, xs[::-1])
            memory = [torch.cat(pair) for pair in zip(memory, back[::-1], strict=True)]
        memory = torch.stack(memory)
        for t in range(4):
            q = model.attention.q_proj(h) + model.attention.k_proj(memory)
            weight = model.attention.v(torch.tanh(q)).squeeze(-1).softmax(0)
            close(weights[b, t, : lengths[b]], weight)
            context = weight @ memory
            x = torch.cat([model.tok_emb(ids[b, t]), context])
            h, c = (state[0] for state in cell(model.decoder, x, h, c))
            close(logits[b, t], model.lm_head(torch.cat([h, context])))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_changes_nothing(bidirectional):
    model = new_model(bidirectional=bidirectional)
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


def test_weights_sum_to_one_and_padding_gets_none():
    model = new_model()
    source, ids, lengths = batch()
    weights = model.attention_weights(source, ids, lengths)
    assert weights.shape == (3, 4, 5)
    close(weights.sum(-1), torch.ones(3, 4, dtype=torch.float64))
    for row, length in enumerate(lengths):
        assert (weights[row, :, length:] == 0).all()
        assert (weights[row, :, :length] > 0).all()


def test_decoding_step_by_step_equals_decoding_at_once():
    model = new_model()
    source, ids, lengths = batch()
    state, steps = model.encode(source, lengths), []
    for t in range(4):
        logits, state = model.decode(ids[:, t : t + 1], state)
        steps.append(logits)
    close(torch.cat(steps, 1), model(source, ids, lengths))


def test_no_target_sees_a_later_one():
    model = new_model()
    source, ids, lengths = batch()
    changed = ids.clone()
    changed[:, 2:] = (changed[:, 2:] + 1) % 11
    before, after = (model(source, one, lengths) for one in (ids, changed))
    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2:], after[:, 2:])


def test_the_first_letter_reaches_the_last_step_only_through_attention():
    """With the decoder's start held fixed, the memory alone still matters."""
    model = new_model()
    source, ids, lengths = batch()
    state = model.encode(source, lengths)
    moved = state._replace(memory=state.memory + 1)
    a, b = (model.decode(ids, one).logits for one in (state, moved))
    assert not torch.allclose(a[:, -1], b[:, -1])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_reach_every_parameter(bidirectional):
    model = new_model(bidirectional=bidirectional)
    source, ids, lengths = batch()
    cross_entropy(model(source, ids, lengths), torch.randint(11, (3, 4))).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_one_batch_overfits():
    torch.manual_seed(0)
    config = Seq2SeqAttentionConfig(
        source_vocab_size=8,
        vocab_size=8,
        input_size=16,
        hidden_size=32,
        attention_size=16,
        n_layers=1,
        dropout=0.0,
    )
    model = Seq2SeqAttention(config)
    source = torch.randint(1, 8, (8, 5))
    target = torch.cat([torch.zeros(8, 1, dtype=torch.long), source.flip(1)], 1)
    optimizer = Adam(model.parameters(), lr=1e-2)
    for _ in range(120):
        optimizer.zero_grad()
        loss = cross_entropy(model(source, target[:, :-1]), target[:, 1:])
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_reversed_order_leaves_padding_alone():
    order = reversed_order(torch.tensor([2, 3, 1]), 3)
    assert order.tolist() == [[1, 0, 2], [2, 1, 0], [0, 1, 2]]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"attention_size": 0}, "attention_size=0"),
        ({"source_vocab_size": 0}, "source_vocab_size=0"),
        ({"input_size": 8, "tie_weights": True}, "tie_weights=True: must be False"),
    ],
)
def test_impossible_shapes_are_named(fields, named):
    with pytest.raises(ValueError, match=named):
        Seq2SeqAttentionConfig(**{**SMALL, **fields})
