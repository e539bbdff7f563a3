"""GPT: what it sees, what it caches, its sizes, its start, and what it refuses."""

import json
import math

import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lmcore.losses import cross_entropy
from lmcore.models.gpt import GPT, PRESETS, GPTConfig
from lmcore.positions import sinusoidal_positions

B, T, V = 2, 7, 13
SHAPE = {"vocab_size": V, "max_seq_len": 16, "d_model": 16, "n_layers": 2, "n_heads": 4}
CONFIGS = {
    "gpt2": GPTConfig(**SHAPE),
    "llama": GPTConfig(
        **SHAPE,
        n_kv_heads=2,
        d_ff=24,
        bias=False,
        norm="rms",
        ff="swiglu",
        positions="rope",
    ),
    "sinusoidal": GPTConfig(
        **SHAPE, d_head=6, positions="sinusoidal", ff="relu", tie_weights=False
    ),
    "no positions": GPTConfig(**SHAPE, n_kv_heads=1, positions="none", ff="gelu"),
}
all_configs = pytest.mark.parametrize("name", CONFIGS)


def make(name, **changes):
    """A model with weights large enough that nothing hides in the rounding."""
    torch.manual_seed(0)
    model = GPT(CONFIGS[name].replace(**changes))
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.3)
    return model


def tokens(length=T, batch=B):
    torch.manual_seed(1)
    return torch.randint(V, (batch, length))


def assert_close(a, b, atol=1e-10):
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


# What a position sees


@all_configs
@pytest.mark.parametrize("masked", [False, True])
def test_causality_logits_before_a_changed_token_are_bit_equal(name, masked):
    model, ids = make(name), tokens()
    mask = torch.arange(T) >= torch.tensor([[0], [2]]) if masked else None
    before = model(ids, mask)
    for t in range(T):
        changed = ids.clone()
        changed[:, t] = (changed[:, t] + 1) % V
        after = model(changed, mask)
        assert torch.equal(after[:, :t], before[:, :t])
        assert (after[0, t:] != before[0, t:]).any(-1).all()  # and the past is seen


@all_configs
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(name, side, dtype):
    model, ids = make(name).to(dtype), tokens(batch=3)
    lengths = torch.tensor([T, 4, 1])
    mask = torch.arange(T) < lengths[:, None]
    mask = mask.flip(1) if side == "left" else mask
    padded = model(ids, mask)
    other = model(torch.where(mask, ids, (ids + 1) % V), mask)
    assert padded.isfinite().all()
    for row, length in enumerate(lengths):
        real = slice(T - length, T) if side == "left" else slice(0, length)
        assert torch.equal(padded[row, real], other[row, real])
        alone = model(ids[row : row + 1, real])[0]
        assert_close(
            padded[row, real], alone, 1e-10 if dtype == torch.float64 else 1e-5
        )


def test_a_row_of_padding_gives_numbers_and_gradients():
    for name in CONFIGS:
        model, ids = make(name), tokens()
        mask = torch.ones(B, T, dtype=torch.bool)
        mask[1] = False
        logits = model(ids, mask)
        cross_entropy(logits[:, :-1], ids[:, 1:]).backward()
        assert logits.isfinite().all()
        assert all(p.grad.isfinite().all() for p in model.parameters())


@all_configs
def test_only_positions_tell_the_order_of_the_past(name):
    """The last logits, the tokens before having changed places."""
    model, ids = make(name, n_layers=1).double(), tokens()
    swapped = ids[:, [1, 0, *range(2, T)]]
    difference = (model(ids)[:, -1] - model(swapped)[:, -1]).abs().max()
    assert (difference < 1e-10) == (name == "no positions")
    assert difference < 1e-10 or difference > 1e-4


# The cache


@all_configs
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("chunk", range(1, T + 1))
def test_cached_equals_uncached_at_every_position(name, chunk, dtype):
    model, ids = make(name).to(dtype), tokens()
    cache = model.new_cache(B, max_len=T)
    with torch.no_grad():
        pieces = [model(piece, kv_cache=cache) for piece in ids.split(chunk, 1)]
        whole = model(ids)
    assert_close(torch.cat(pieces, 1), whole, 1e-10 if dtype == torch.float64 else 1e-5)
    assert cache.length == T


@settings(max_examples=10)
@given(
    name=st.sampled_from(list(CONFIGS)),
    lengths=st.tuples(st.integers(1, T), st.integers(1, T), st.integers(1, T)),
    chunk=st.integers(1, T),
)
def test_cached_equals_alone_for_prompts_padded_on_the_left(name, lengths, chunk):
    model, ids = make(name).double(), tokens(batch=3)
    mask = torch.arange(T) >= T - torch.tensor(lengths)[:, None]
    cache, pieces = model.new_cache(3), []
    with torch.no_grad():
        for start in range(0, T, chunk):
            end = min(start + chunk, T)
            pieces.append(model(ids[:, start:end], mask[:, :end], cache))
        together = torch.cat(pieces, 1)
        for row, length in enumerate(lengths):
            alone = model(ids[row : row + 1, T - length :])[0]
            assert_close(together[row, T - length :], alone)


@all_configs
def test_a_cache_cut_back_and_reordered_goes_on_from_there(name):
    """In every layer: beams take each other's place, and a wrong guess is forgotten."""
    model, ids = make(name).double(), tokens(batch=3)
    cache, rows = model.new_cache(3), torch.tensor([2, 0, 2])
    with torch.no_grad():
        model(ids[:, :6], kv_cache=cache)
        rest = model(ids[rows, 4:], kv_cache=cache.select(rows).truncate(4))
        assert_close(rest, model(ids[rows])[:, 4:])


def test_a_new_cache_has_the_models_sizes_and_number_format():
    model = make("llama").bfloat16()
    cache = model.new_cache(3)
    assert len(cache.layers) == 2
    assert cache.layers[0].k.shape == cache.layers[1].v.shape == (3, 2, 16, 4)
    assert cache.layers[0].k.dtype == torch.bfloat16
    assert make("sinusoidal").new_cache(1, max_len=5).layers[0].k.shape == (1, 4, 5, 6)
    assert cache.length == 0


# Learning


@all_configs
def test_one_batch_overfits(name):
    torch.manual_seed(0)
    model = GPT(CONFIGS[name].replace(d_model=32, n_layers=1))
    ids = tokens(9, batch=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def loss():
        return cross_entropy(model(ids[:, :-1]), ids[:, 1:])

    assert loss().item() == pytest.approx(math.log(V), rel=0.05)  # knows nothing
    for _ in range(40):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < 0.1


@all_configs
def test_every_parameter_is_used(name):
    model, ids = make(name), tokens()
    cross_entropy(model(ids), ids.roll(-1)).backward()
    for parameter_name, parameter in model.named_parameters():
        if not parameter_name.endswith("k_proj.bias"):  # softmax does not see it
            assert (parameter.grad.abs() > 1e-9).any(), parameter_name


def test_dropout_acts_in_training_only():
    model, ids = make("gpt2", dropout=0.5), tokens()
    assert not torch.equal(model.train()(ids), model(ids))
    assert torch.equal(model.eval()(ids), make("gpt2")(ids))
    dropped = [m.p for m in model.modules() if isinstance(m, nn.Dropout)]
    assert dropped == [0.5] * 5  # embeddings; in two blocks: what is added, inside ff
    nothing = make("gpt2", dropout=0.999999)
    with torch.no_grad():
        logits = nothing.train()(ids)
    assert (logits == logits[0, 0]).all()  # the embeddings are dropped too


# Sizes


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("gpt2", 124_439_808),
        ("gpt2-medium", 354_823_168),
        ("gpt2-large", 774_030_080),
        ("gpt2-xl", 1_557_611_200),
        ("smollm2-135m", 134_515_008),
        ("gpt3-175b", 174_604_259_328),
    ],
)
def test_presets_have_the_published_number_of_parameters(name, count):
    """On the meta device, which has shapes and takes no memory.

    GPT-2: Hugging Face's checkpoints (Radford et al., 2019, table 2, has them rounded
    and, for two, wrong); GPT-3: Brown et al., 2020, table 2.1, "175.0B".
    """
    before = psutil.Process().memory_info().rss
    with torch.device("meta"):
        model = GPT(PRESETS[name])
    assert sum(p.numel() for p in model.parameters()) == count
    assert all(p.is_meta for p in [*model.parameters(), *model.buffers()])
    assert psutil.Process().memory_info().rss - before < 100 * 2**20


def test_presets_are_the_published_shapes():
    """Radford et al., 2019, table 2; Brown et al., 2020, table 2.1; SmolLM2's file."""
    shapes = {
        name: (c.n_layers, c.d_model, c.n_heads, c.head_width, c.max_seq_len)
        for name, c in PRESETS.items()
    }
    assert shapes == {
        "gpt2": (12, 768, 12, 64, 1024),
        "gpt2-medium": (24, 1024, 16, 64, 1024),
        "gpt2-large": (36, 1280, 20, 64, 1024),
        "gpt2-xl": (48, 1600, 25, 64, 1024),
        "gpt3-175b": (96, 12288, 96, 128, 2048),
        "smollm2-135m": (30, 576, 9, 64, 8192),
    }
    gpt2, smollm2 = PRESETS["gpt2"], PRESETS["smollm2-135m"]
    assert (gpt2.ff, gpt2.positions, gpt2.norm) == ("gelu_tanh", "learned", "layer")
    assert (gpt2.norm_eps, gpt2.bias, gpt2.tie_weights) == (1e-5, True, True)
    assert (smollm2.ff, smollm2.positions, smollm2.norm) == ("swiglu", "rope", "rms")
    assert (smollm2.kv_heads, smollm2.ff_width, smollm2.rope_base) == (3, 1536, 1e5)
    assert (smollm2.norm_eps, smollm2.bias, smollm2.tie_weights) == (1e-5, False, True)


# Weights


def test_tied_weights_are_one_tensor_and_untied_two():
    tied, untied = make("gpt2"), make("sinusoidal")
    assert tied.lm_head.weight is tied.tok_emb.weight
    assert untied.lm_head.weight is not untied.tok_emb.weight
    with torch.no_grad():
        tied.tok_emb.weight[3] = 0
    assert (tied(tokens())[..., 3] == 0).all()


@all_configs
def test_a_state_dict_makes_the_trip(name, tmp_path):
    model, ids = make(name), tokens()
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other = GPT(CONFIGS[name])
    assert not torch.equal(other(ids), model(ids))
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(other(ids), model(ids))
    assert (other.lm_head.weight is other.tok_emb.weight) == other.config.tie_weights


def test_names_are_the_documented_ones():
    names = set(make("llama").state_dict())
    layers = {
        *(f"attn.{part}_proj" for part in ("q", "k", "v", "out")),
        *(f"ff.{part}_proj" for part in ("gate", "in", "out")),
        *("attn_norm", "ff_norm"),
    }
    blocks = {f"blocks.{i}.{layer}.weight" for i in range(2) for layer in layers}
    assert names == blocks | {"tok_emb.weight", "lm_head.weight", "final_norm.weight"}
    gpt2 = set(make("gpt2").state_dict())
    assert {"pos_emb.weight", "blocks.1.attn.q_proj.bias", "final_norm.bias"} <= gpt2
    assert not any("gate" in name for name in gpt2)
    sinusoidal = make("sinusoidal")
    assert not any(name.startswith("pos_emb") for name in sinusoidal.state_dict())
    table = sinusoidal_positions(16, 16)  # never trained, so it is not stored
    assert torch.equal(sinusoidal.pos_emb(torch.arange(16)), table)


@pytest.mark.parametrize("tie_weights", [False, True])
def test_initial_weights(tie_weights):
    """0.02; layers that add to x smaller by sqrt(2 n_layers); biases 0, norms 1."""
    torch.manual_seed(0)
    config = GPTConfig(
        vocab_size=300,
        max_seq_len=128,
        d_model=128,
        n_layers=8,
        n_heads=4,
        tie_weights=tie_weights,
    )
    for name, parameter in GPT(config).named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0).all()
        elif "norm" in name:
            assert (parameter == 1).all()
        else:
            std = 0.02 / 4 if name.endswith("out_proj.weight") else 0.02
            assert parameter.std().item() == pytest.approx(std, rel=0.03), name
            assert abs(parameter.mean().item()) < std / 20, name


# Refusals


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vocab_size": 0}, "vocab_size=0: must be an int >= 1"),
        ({"n_layers": 1.5}, "n_layers=1.5: must be an int >= 1"),
        ({"max_seq_len": True}, "max_seq_len=True: must be an int >= 1"),
        ({"d_model": -16}, "d_model=-16: must be an int >= 1"),
        ({"n_heads": 3}, "n_heads=3: must be a divisor of d_model=16"),
        ({"n_heads": 0}, "n_heads=0: must be an int >= 1"),
        ({"n_kv_heads": 3}, "n_kv_heads=3: must be a divisor of n_heads=4"),
        ({"n_kv_heads": 8}, "n_kv_heads=8: must be a divisor of n_heads=4"),
        ({"n_kv_heads": 0}, "n_kv_heads=0: must be None or an int >= 1"),
        ({"d_head": 0}, "d_head=0: must be None or an int >= 1"),
        ({"d_ff": 2.0}, "d_ff=2.0: must be None or an int >= 1"),
        ({"dropout": 1.0}, "dropout=1.0: must be from 0 to below 1"),
        ({"dropout": -0.1}, "dropout=-0.1: must be from 0 to below 1"),
        ({"norm": "batch"}, "norm='batch': must be 'layer' or 'rms'"),
        ({"norm_eps": 0.0}, "norm_eps=0.0: must be > 0"),
        ({"ff": "swish"}, "ff='swish': must be one of"),
        ({"positions": "alibi"}, "positions='alibi': must be one of"),
        ({"positions": "rope", "d_head": 5}, "d_head=5: must be even"),
        (
            {"positions": "sinusoidal", "d_model": 15, "n_heads": 5},
            "d_model=15: must be even",
        ),
        ({"rope_base": 0.0}, "rope_base=0.0: must be > 0"),
    ],
)
def test_impossible_shapes_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        GPTConfig(**{**SHAPE, **fields})


def test_defaults_are_filled_in():
    config = GPTConfig(**SHAPE)
    assert (config.kv_heads, config.head_width, config.ff_width) == (4, 4, 64)
    config = config.replace(n_kv_heads=2, d_head=6, d_ff=10)
    assert (config.kv_heads, config.head_width, config.ff_width) == (2, 6, 10)


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_makes_the_trip_through_json(name):
    written = json.dumps(PRESETS[name].to_dict())
    assert GPTConfig.from_dict(json.loads(written)) == PRESETS[name]


@all_configs
def test_too_long_a_sequence_is_named(name):
    model = make(name)
    model(tokens(16))
    with pytest.raises(ValueError, match=r"sequence length=17: must be <= max_seq_len"):
        model(tokens(17))
    cache = model.new_cache(B)
    with torch.no_grad():
        model(tokens(10), kv_cache=cache)
        with pytest.raises(ValueError, match=r"sequence length=17"):
            model(tokens(7), kv_cache=cache)
        model(tokens(6), kv_cache=cache)


def test_a_cache_too_small_or_of_another_batch_is_named():
    model = make("llama")
    with torch.no_grad():
        with pytest.raises(
            ValueError, match=r"kv_cache=7: must hold at most max_len=3"
        ):
            model(tokens(), kv_cache=model.new_cache(B, max_len=3))
        with pytest.raises(ValueError, match=r"batch size=2: must be kv_cache's, 3"):
            model(tokens(), kv_cache=model.new_cache(3))


def test_a_mask_without_what_the_cache_holds_is_named():
    model = make("llama")
    cache, mask = model.new_cache(B), torch.ones(B, T, dtype=torch.bool)
    with torch.no_grad():
        model(tokens(), mask, cache)
        with pytest.raises(ValueError, match=r"mask's shape=\(2, 1\): must be \(batch"):
            model(tokens(1), mask[:, :1], cache)
