"""Heads, the choice of weights, and LoRA: what changes and what does not."""

import copy

import pytest
import torch
from safetensors.torch import save_file

from lmcore.finetune import (
    LoRALinear,
    SequenceClassifier,
    SpanExtractor,
    TokenLabeller,
    add_lora,
    best_spans,
    choose_parameters,
    load_lora,
    lora_state_dict,
    merge_lora,
    parameter_groups,
    save_lora,
    unmerge_lora,
)
from lmcore.models.bert import Bert, BertConfig, mean_pool
from lmcore.models.gpt import GPT, GPTConfig

IDS = torch.tensor([[2, 7, 8, 3, 0], [2, 9, 10, 11, 3]])
MASK = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]).bool()


def tiny_bert(seed=0, **changes):
    torch.manual_seed(seed)
    shape = {"vocab_size": 20, "max_seq_len": 12, "d_model": 8, "n_layers": 3}
    return Bert(BertConfig(**shape | {"n_heads": 2} | changes)).eval()


def tiny_gpt(**changes):
    torch.manual_seed(0)
    shape = {"vocab_size": 20, "max_seq_len": 12, "d_model": 8, "n_layers": 2}
    return GPT(GPTConfig(**shape | {"n_heads": 2} | changes)).eval()


def classifier(seed=0, **changes):
    return SequenceClassifier(tiny_bert(seed), 3, **changes).eval()


def step(model, lr=0.1):
    """One step of plain gradient descent on a classifier."""
    loss = torch.nn.functional.cross_entropy(model(IDS, MASK), torch.tensor([0, 2]))
    loss.backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr).step()


def changed(before, model):
    """Names of the weights that differ from what they were."""
    now = model.state_dict()
    return {name for name, w in before.items() if not torch.equal(w, now[name])}


# ---- heads


def test_each_head_is_a_linear_map_of_the_hidden_states():
    encoder = tiny_bert()
    h = encoder(IDS, MASK)
    model = SequenceClassifier(encoder, 3).eval()
    close = torch.testing.assert_close
    close(model(IDS, MASK), model.head(mean_pool(h, MASK)))
    first = SequenceClassifier(encoder, 3, pooling="first").eval()
    close(first(IDS, MASK), first.head(h[:, 0]))
    labeller = TokenLabeller(encoder, 4).eval()
    close(labeller(IDS, MASK), labeller.head(h))
    extractor = SpanExtractor(encoder).eval()
    kinds = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 1, 1, 1]])
    close(extractor(IDS, MASK, kinds), extractor.head(encoder(IDS, MASK, kinds)))
    assert extractor(IDS, MASK).shape == (2, 5, 2)


def test_padding_does_not_change_a_text_s_scores():
    model = classifier()
    alone = model(IDS[:1, :4], MASK[:1, :4])
    torch.testing.assert_close(model(IDS, MASK)[:1], alone, atol=1e-6, rtol=0)


def test_dropout_acts_in_training_alone():
    model = classifier(dropout=0.5)
    assert torch.equal(model(IDS, MASK), model(IDS, MASK))
    model.train()
    assert not torch.equal(model(IDS, MASK), model(IDS, MASK))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_labels": 1}, "n_labels=1: must be an int >= 2"),
        ({"n_labels": 2, "pooling": "max"}, "pooling='max'"),
        ({"n_labels": 2, "dropout": 1.0}, "dropout=1.0"),
    ],
)
def test_a_head_refuses_what_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        SequenceClassifier(tiny_bert(), **arguments)


def brute_force(scores, allowed, max_len):
    """The best span of one text, by trying all."""
    spans = [
        (float(scores[i, 0] + scores[j, 1]), -i, -j)
        for i in range(len(scores))
        for j in range(i, min(len(scores), i + max_len))
        if allowed[i] and allowed[j]
    ]
    best = max(spans)
    return -best[1], -best[2], best[0]


@pytest.mark.parametrize("max_len", [1, 2, 4, 20])
def test_best_spans_are_those_of_trying_all(max_len):
    draw = torch.Generator().manual_seed(max_len)
    scores = torch.randn(30, 9, 2, generator=draw)
    allowed = torch.rand(30, 9, generator=draw) < 0.6
    allowed[:, 4] = True
    found = best_spans(scores, allowed, max_len)
    for row in range(30):
        start, end, score = brute_force(scores[row], allowed[row], max_len)
        assert (int(found.start[row]), int(found.end[row])) == (start, end)
        assert float(found.score[row]) == pytest.approx(score, abs=1e-6)


def test_best_spans_refuses_a_row_without_room():
    allowed = torch.tensor([[True, True], [False, False]])
    with pytest.raises(ValueError, match=r"rows \[1\].*allow a token in every row"):
        best_spans(torch.zeros(2, 2, 2), allowed, 2)
    with pytest.raises(ValueError, match="max_len=0"):
        best_spans(torch.zeros(2, 2, 2), ~allowed, 0)


# ---- which weights are trained


def test_head_alone_leaves_the_encoder_bit_equal():
    model = classifier()
    assert choose_parameters(model, "head") == 8 * 3 + 3
    before = copy.deepcopy(model.state_dict())
    step(model)
    assert changed(before, model) == {"head.weight", "head.bias"}


def test_last_trains_the_last_blocks_and_the_head():
    model = classifier()
    n_trained = choose_parameters(model, "last", n_last=2)
    before = copy.deepcopy(model.state_dict())
    step(model)
    moved = changed(before, model)
    in_blocks = ("encoder.encoder.blocks.1.", "encoder.encoder.blocks.2.", "head.")
    assert {name for name in before if name.startswith(in_blocks)} - moved <= {
        f"encoder.encoder.blocks.{i}.attn.k_proj.bias" for i in (1, 2)
    }  # a key's bias adds the same to all scores: its gradient is 0 up to rounding
    assert all(name.startswith(in_blocks) for name in moved)
    assert n_trained == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_all_trains_everything_but_the_unread_pooler():
    model = classifier()
    n_trained = choose_parameters(model, "all")
    everything = sum(p.numel() for p in model.parameters())
    assert n_trained == everything - sum(
        p.numel() for p in model.encoder.pooler.parameters()
    )
    before = copy.deepcopy(model.state_dict())
    step(model)
    moved = changed(before, model)
    assert {"encoder.tok_emb.weight", "encoder.emb_norm.weight"} <= moved
    assert not any(name.startswith("encoder.pooler") for name in moved)


@pytest.mark.parametrize("n_last", [0, 4, 1.5])
def test_last_refuses_blocks_that_are_not_there(n_last):
    with pytest.raises(
        ValueError, match=f"n_last={n_last}: must be an int from 1 to 3"
    ):
        choose_parameters(classifier(), "last", n_last)


def test_an_unknown_strategy_is_named():
    with pytest.raises(ValueError, match="strategy='everything'"):
        choose_parameters(classifier(), "everything")


def test_rates_fall_from_layer_to_layer():
    model = classifier()
    choose_parameters(model, "all")
    groups = parameter_groups(model, 0.1, layer_decay=0.5, weight_decay=0.01)
    rate_of = {id(p): g["lr"] for g in groups for p in g["params"]}
    decay_of = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    named = dict(model.named_parameters())
    wanted = {
        "head.weight": 0.1,
        "encoder.encoder.blocks.2.attn.q_proj.weight": 0.05,
        "encoder.encoder.blocks.1.ff.in_proj.bias": 0.025,
        "encoder.encoder.blocks.0.ff_norm.weight": 0.0125,
        "encoder.tok_emb.weight": 0.00625,
        "encoder.seg_emb.weight": 0.00625,
        "encoder.emb_norm.bias": 0.00625,
    }
    assert {n: rate_of[id(named[n])] for n in wanted} == pytest.approx(wanted)
    for name, p in named.items():
        if p.requires_grad:
            assert decay_of[id(p)] == (0.01 if p.ndim >= 2 else 0.0), name
    trained = [p for p in model.parameters() if p.requires_grad]
    assert sorted(rate_of) == sorted(map(id, trained))


def test_a_norm_behind_the_last_block_learns_as_fast_as_that():
    model = SequenceClassifier(tiny_bert(pre_norm=True), 2)
    choose_parameters(model, "last", 1)
    depths = {
        id(p): g["depth"] for g in parameter_groups(model, 1.0) for p in g["params"]
    }
    assert depths[id(model.encoder.encoder.final_norm.weight)] == 1


def test_nothing_to_train_is_refused():
    model = classifier().requires_grad_(False)
    with pytest.raises(ValueError, match="have a weight to train"):
        parameter_groups(model, 0.1)


# ---- LoRA


def shake(model, seed=1):
    """Give every B some numbers, as training would."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("lora_b"):
                p.copy_(torch.randn(p.shape, generator=draw, dtype=p.dtype))


def test_a_correction_is_what_the_paper_writes():
    torch.manual_seed(0)
    linear = torch.nn.Linear(6, 4).double()
    layer = LoRALinear(linear, rank=2, alpha=5)
    shake(layer)
    x = torch.randn(3, 6, dtype=torch.float64)
    a, b = layer.lora_a, layer.lora_b
    wanted = x @ linear.weight.T + linear.bias + 5 / 2 * (x @ a.T @ b.T)
    torch.testing.assert_close(layer(x), wanted, atol=1e-12, rtol=0)


@pytest.mark.parametrize("make", [classifier, tiny_gpt])
def test_lora_changes_nothing_at_first_and_can_be_merged(make):
    model = make().double()
    arguments = (IDS, MASK) if make is classifier else (IDS,)
    plain = model(*arguments)
    add_lora(model, rank=2, alpha=4, targets=("q_proj", "v_proj", "in_proj"))
    assert torch.equal(model(*arguments), plain)
    shake(model)
    corrected = model(*arguments)
    assert not torch.allclose(corrected, plain, atol=1e-3)
    before = copy.deepcopy(model.state_dict())
    merge_lora(model)
    merge_lora(model)  # the second call changes nothing
    exact = {"atol": 1e-12, "rtol": 0}
    torch.testing.assert_close(model(*arguments), corrected, **exact)
    assert changed(before, model)
    unmerge_lora(model)
    unmerge_lora(model)
    torch.testing.assert_close(model.state_dict(), before, **exact)
    torch.testing.assert_close(model(*arguments), corrected, **exact)


def test_merging_is_exact_to_1e_5_in_float32():
    model = classifier()
    before = copy.deepcopy(model.state_dict())
    add_lora(model, rank=4)
    shake(model)
    corrected = model(IDS, MASK)
    merge_lora(model)
    torch.testing.assert_close(model(IDS, MASK), corrected, atol=1e-5, rtol=0)
    unmerge_lora(model)
    weights = {n.replace(".linear", ""): w for n, w in model.state_dict().items()}
    for name, weight in before.items():
        torch.testing.assert_close(weights[name], weight, atol=1e-5, rtol=0)


def test_lora_trains_its_own_weights_and_the_head():
    model = classifier()
    n_trained = add_lora(model, rank=2)
    assert n_trained == 3 * 2 * (2 * 8 + 8 * 2) + 8 * 3 + 3
    shake(model)  # with B = 0, A has no gradient
    before = copy.deepcopy(model.state_dict())
    step(model)
    assert changed(before, model) == set(lora_state_dict(model))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (("query",), r"'query'.*'in_proj', 'k_proj', 'out_proj', 'proj', 'q_proj'"),
        (("q_proj", "attn"), "targets='attn'.*name linear maps"),
        ((), "sequence of one name or more"),
        ("q_proj", "sequence of one name or more"),
    ],
)
def test_bad_targets_are_refused_and_the_model_stays(targets, message):
    model = classifier()
    names = set(model.state_dict())
    with pytest.raises(ValueError, match=message):
        add_lora(model, targets=targets)
    assert set(model.state_dict()) == names
    assert all(p.requires_grad for p in model.parameters())


def test_lora_refuses_a_tied_matrix_a_second_time_and_a_rank_too_wide():
    with pytest.raises(ValueError, match="'lm_head': must not share its weights"):
        add_lora(tiny_gpt(), targets=("lm_head",))
    add_lora(tiny_gpt(tie_weights=False), targets=("lm_head",))
    model = classifier()
    with pytest.raises(ValueError, match="rank=9: must be an int from 1 to 8"):
        add_lora(model, rank=9)
    add_lora(model)
    with pytest.raises(ValueError, match="have no LoRA yet"):
        add_lora(model)
    with pytest.raises(ValueError, match="have LoRA"):
        merge_lora(classifier())


def test_saved_corrections_fit_on_the_published_weights(tmp_path):
    model = classifier()
    add_lora(model, rank=2, alpha=6, targets=("k_proj",))
    shake(model)
    path = save_lora(tmp_path / "lora.safetensors", model)
    other = classifier(seed=0)  # the same encoder
    load_lora(path, other)
    assert torch.equal(other(IDS, MASK), model(IDS, MASK))
    load_lora(path, other)  # into a model that has LoRA already
    assert torch.equal(other(IDS, MASK), model(IDS, MASK))


def test_a_file_that_does_not_fit_is_refused(tmp_path):
    model = classifier()
    add_lora(model, rank=2)
    path = save_lora(tmp_path / "lora.safetensors", model)
    wider = classifier()
    add_lora(wider, rank=4)
    with pytest.raises(ValueError, match=r"rank 4.*must be the file's: rank 2"):
        load_lora(path, wider)
    merge_lora(model)
    with pytest.raises(ValueError, match="unmerged before loading"):
        load_lora(path, model)
    with pytest.raises(ValueError, match="these differ"):
        load_lora(path, SequenceClassifier(tiny_bert(n_layers=2), 3))
    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="a file that save_lora wrote"):
        load_lora(tmp_path / "other.safetensors", classifier())
    (tmp_path / "broken.safetensors").write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="damaged"):
        load_lora(tmp_path / "broken.safetensors", classifier())
    with pytest.raises(FileNotFoundError):
        load_lora(tmp_path / "none.safetensors", classifier())
    with pytest.raises(ValueError, match="have LoRA"):
        save_lora(path, classifier())
