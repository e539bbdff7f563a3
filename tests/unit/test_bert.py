"""BERT's shapes, its heads, and the sizes that were published."""

import pytest
import torch

from lmcore.models.bert import Bert, BertConfig, BertForPretraining, mean_pool

SMALL = BertConfig(vocab_size=50, max_seq_len=12, d_model=16, n_layers=2, n_heads=4)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return BertForPretraining(SMALL).eval()


def some_ids():
    return torch.randint(50, (3, 9), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "shape, n_parameters",
    [
        ({}, 109_482_240),  # BERT-base, uncased
        ({"d_model": 1024, "n_layers": 24, "n_heads": 16}, 335_141_888),  # large
        ({"n_layers": 6, "n_segments": 0, "pooler": False}, 66_362_880),  # DistilBERT
        ({"d_model": 384, "n_layers": 6}, 22_713_216),  # MiniLM-L6
    ],
)
def test_published_models_have_their_published_sizes(shape, n_parameters):
    with torch.device("meta"):
        model = Bert(BertConfig(**shape))
    assert sum(p.numel() for p in model.parameters()) == n_parameters


def test_the_heads_add_their_own_weights_and_no_second_embedding():
    with torch.device("meta"):
        model = BertForPretraining(BertConfig())
    assert sum(p.numel() for p in model.parameters()) == 110_106_428


def test_shapes(model):
    ids = some_ids()
    hidden = model.bert(ids)
    assert hidden.shape == (3, 9, 16)
    assert model(ids).shape == (3, 9, 50)
    assert model.follows(hidden).shape == (3, 2)
    asked = torch.rand(3, 9) < 0.4
    torch.testing.assert_close(model.fill_in(hidden[asked]), model(ids)[asked])


def test_every_position_sees_both_sides(model):
    """Changing any one token changes every hidden state, to its left and right."""
    ids = some_ids()
    before = model.bert(ids)
    for position in range(9):
        changed = ids.clone()
        changed[:, position] = (ids[:, position] + 1) % 50
        moved = (model.bert(changed) - before).abs().amax(-1)
        assert (moved > 1e-6).all()


def test_padding_is_attended_to_by_nobody(model):
    ids = some_ids()
    mask = torch.ones(3, 9, dtype=torch.bool)
    mask[1, 6:] = False
    padded = model.bert(ids, mask)
    torch.testing.assert_close(padded[1:2, :6], model.bert(ids[1:2, :6]))
    torch.testing.assert_close(
        mean_pool(padded, mask)[1:2], model.bert(ids[1:2, :6]).mean(1)
    )


def test_segments_are_told_apart(model):
    ids = some_ids()
    segments = torch.zeros_like(ids)
    torch.testing.assert_close(model.bert(ids, None, segments), model.bert(ids))
    segments[:, 4:] = 1
    assert (model.bert(ids, None, segments) - model.bert(ids)).abs().amin() > 0


def test_the_embedding_learns_from_the_output_side_too(model):
    """The MLM head's output matrix is the embedding: tokens that were not read move."""
    ids = torch.zeros(1, 4, dtype=torch.long)
    model(ids)[0, 0, 33].backward()
    assert model.bert.tok_emb.weight.grad[33].abs().max() > 0


def test_what_a_model_lacks_is_refused():
    bare = BertForPretraining(SMALL.replace(n_segments=0, pooler=False))
    ids = some_ids()
    assert bare(ids).shape == (3, 9, 50)
    with pytest.raises(ValueError, match="no segment embeddings"):
        bare(ids, None, torch.zeros_like(ids))
    with pytest.raises(ValueError, match="pooler=False"):
        bare.follows(bare.bert(ids))
    with pytest.raises(ValueError, match="max_seq_len=12"):
        bare(torch.zeros(1, 13, dtype=torch.long))


@pytest.mark.parametrize(
    "field, value",
    [
        ("vocab_size", 0),
        ("n_layers", 1.0),
        ("n_heads", 5),
        ("d_ff", 0),
        ("n_segments", -1),
        ("dropout", 1.0),
        ("norm_eps", 0.0),
        ("ff", "tanh"),
    ],
)
def test_impossible_shapes_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        SMALL.replace(**{field: value})


ROPE = SMALL.replace(positions="rope", pre_norm=True)


def test_rotary_positions_take_the_place_of_learned_ones():
    torch.manual_seed(0)
    model = Bert(ROPE).double().eval()
    assert model.pos_emb is None
    assert not any("pos_emb" in name for name in model.state_dict())
    ids = some_ids()
    ids[:, 0], ids[:, 1] = 1, 2
    swapped = ids[:, [1, 0, *range(2, 9)]]
    assert not torch.allclose(model(ids)[:, 5], model(swapped)[:, 5], atol=1e-6)


def test_rotary_positions_know_distances_not_places():
    """Padding in front that nobody may attend to moves all, and changes nothing."""
    torch.manual_seed(0)
    model = Bert(ROPE).double().eval()
    ids = some_ids()
    shifted = torch.cat([torch.zeros_like(ids[:, :3]), ids], dim=1)
    mask = torch.arange(12).expand(3, 12) >= 3
    torch.testing.assert_close(model(shifted, mask)[:, 3:], model(ids))


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"positions": "sinusoidal"}, "positions='sinusoidal'"),
        ({"positions": "rope", "n_heads": 16}, "d_model / n_heads=1"),
        ({"rope_base": -1.0}, "rope_base=-1.0"),
    ],
)
def test_impossible_positions_are_refused(changes, named):
    with pytest.raises(ValueError, match=named):
        SMALL.replace(**changes)
