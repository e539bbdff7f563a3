"""What encoder and decoder stacks see, what they cache, and that they learn."""

import pytest
import torch
from torch import nn

from lmcore.attention import KVCache
from lmcore.positions import RoPE, sinusoidal_positions
from lmcore.transformer import Block, Decoder, Encoder, EncoderDecoder

B, T, S, D, H, F, N_LAYERS = 2, 6, 5, 16, 4, 24, 2
KINDS = {
    "post-norm": {"pre_norm": False},
    "pre-norm": {"pre_norm": True},
    "rms and swiglu": {"norm": "rms", "ff": "swiglu", "bias": False},
}
all_kinds = pytest.mark.parametrize("kind", KINDS)


def make(stack, kind, **options):
    torch.manual_seed(0)
    return stack(N_LAYERS, D, H, F, **KINDS[kind], **options).double()


def sequence(length, seed=1):
    torch.manual_seed(seed)
    return torch.randn(B, length, D, dtype=torch.float64)


def assert_close(a, b, atol=1e-10):
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


@all_kinds
def test_an_encoder_without_positions_is_permutation_equivariant(kind):
    encoder, x = make(Encoder, kind), sequence(T)
    order = torch.randperm(T)
    assert_close(encoder(x[:, order]), encoder(x)[:, order])


@all_kinds
@pytest.mark.parametrize("positions", ["sinusoidal", "rope"])
def test_positions_break_permutation_equivariance(kind, positions):
    encoder, x = make(Encoder, kind), sequence(T)
    order = torch.tensor([1, 0, *range(2, T)])
    added, rotation = 0, None
    if positions == "rope":
        rotation = RoPE(D // H, T)(torch.arange(T))
    else:
        added = sinusoidal_positions(T, D).double()
    permuted = encoder(x[:, order] + added, rotation=rotation)
    plain = encoder(x + added, rotation=rotation)[:, order]
    assert (permuted - plain).abs().max() > 1e-3


@all_kinds
def test_an_encoder_sees_both_directions_and_a_decoder_the_past_alone(kind):
    encoder, decoder = make(Encoder, kind), make(Decoder, kind)
    x, memory = sequence(T), sequence(S, 2)
    for t in range(T):
        changed = x.clone()
        changed[:, t] += torch.randn(D, dtype=torch.float64)
        assert (encoder(changed) != encoder(x)).any(-1).all()
        before, after = decoder(x, memory), decoder(changed, memory)
        assert torch.equal(before[:, :t], after[:, :t])
        assert (before[:, t:] != after[:, t:]).any(-1).all()


@all_kinds
def test_padding_on_either_side_changes_nothing(kind):
    encoder, decoder = make(Encoder, kind), make(Decoder, kind)
    x, memory = sequence(T), sequence(S, 2)
    for side, real in (("right", slice(0, 4)), ("left", slice(2, 6))):
        mask = torch.zeros(B, T, dtype=torch.bool)
        mask[:, real] = True
        garbage = torch.where(mask.unsqueeze(-1), x, 100.0)
        assert_close(encoder(garbage, mask)[:, real], encoder(x[:, real]))
        assert_close(
            decoder(memory, garbage, memory_mask=mask), decoder(memory, x[:, real])
        )
        padded = decoder(garbage, memory, mask=mask)
        assert padded.isfinite().all(), side
        assert_close(padded[:, real], decoder(x[:, real], memory))


@all_kinds
def test_a_source_without_tokens_gives_numbers(kind):
    model = make(EncoderDecoder, kind)
    source, target = sequence(S), sequence(T, 2)
    mask = torch.ones(B, S, dtype=torch.bool)
    mask[1] = False
    output = model(source, target, mask)
    assert output.isfinite().all()
    output.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    other = model(torch.randn_like(source), target, mask)
    assert torch.equal(other[1], output[1])
    assert not torch.equal(other[0], output[0])


@all_kinds
def test_every_parameter_of_an_encoder_decoder_is_used(kind):
    model = make(EncoderDecoder, kind)
    weights = torch.randn(B, T, D, dtype=torch.float64)  # a norm's outputs sum to 0
    (model(sequence(S), sequence(T, 2)) * weights).sum().backward()
    for name, parameter in model.named_parameters():
        if name.endswith("k_proj.bias"):  # adds the same to all scores of a query
            assert_close(parameter.grad, torch.zeros_like(parameter))
        else:
            assert (parameter.grad.abs() > 1e-12).any(), name


@all_kinds
@pytest.mark.parametrize("chunk", range(1, T + 1))
def test_cached_equals_uncached_at_every_position(kind, chunk):
    decoder, x, memory = make(Decoder, kind), sequence(T), sequence(S, 2)
    memory_mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]).bool()
    mask = torch.ones(B, T, dtype=torch.bool)
    mask[1, :2] = False  # the second target is padded on the left
    rope = RoPE(D // H, T)
    sizes = {"d_head": D // H, "dtype": torch.float64}
    kv_cache = KVCache(N_LAYERS, B, H, T, **sizes)
    cross_cache = KVCache(N_LAYERS, B, H, S, **sizes)
    pieces = []
    with torch.no_grad():
        for start in range(0, T, chunk):
            end = min(start + chunk, T)
            piece = decoder(
                x[:, start:end],
                memory if start == 0 else torch.full_like(memory, torch.nan),
                mask=mask[:, :end],
                memory_mask=memory_mask,
                rotation=rope(torch.arange(start, end)),
                kv_cache=kv_cache,
                cross_cache=cross_cache,
            )
            pieces.append(piece)
        whole = decoder(
            x,
            memory,
            mask=mask,
            memory_mask=memory_mask,
            rotation=rope(torch.arange(T)),
        )
    assert_close(torch.cat(pieces, 1), whole)
    assert (kv_cache.length, cross_cache.length) == (T, S)


def test_a_pre_norm_block_carries_x_through_and_a_post_norm_block_ends_normed():
    x = sequence(T)
    for pre_norm in (True, False):
        block = Block(D, H, F, pre_norm=pre_norm).double()
        for layer in (block.attn.out_proj, block.ff.out_proj):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        normed = nn.functional.layer_norm(x, (D,))
        assert_close(block(x), x if pre_norm else normed, 1e-4)


def test_only_a_pre_norm_stack_ends_with_one_more_norm():
    assert isinstance(make(Encoder, "post-norm").final_norm, nn.Identity)
    output = make(Encoder, "pre-norm")(sequence(T))
    assert_close(output.mean(-1), torch.zeros(B, T).double(), 1e-6)
    assert_close(output.var(-1, correction=0), torch.ones(B, T).double(), 1e-3)


@all_kinds
def test_dropout_acts_in_training_only_and_on_what_is_added(kind):
    encoder, x = make(Encoder, kind, dropout=0.3), sequence(T)
    assert not torch.equal(encoder.train()(x), encoder(x))
    assert_close(encoder.eval()(x), make(Encoder, kind)(x))
    dropped = [m.p for m in encoder.modules() if isinstance(m, nn.Dropout)]
    assert dropped == [0.3] * (2 * N_LAYERS)  # what is added, and inside ff
    assert all(block.attn.dropout == 0 for block in encoder.blocks)  # see Block
    nothing = Block(D, H, F, dropout=1.0).double().train()
    assert torch.equal(nothing(x), x)  # all that was added is dropped


def test_grouped_heads_and_head_width_are_those_of_self_attention():
    block = Block(D, H, F, n_kv_heads=2, d_head=6, cross=True)
    assert block.attn.k_proj.out_features == 2 * 6
    assert block.cross_attn.k_proj.out_features == H * 6
    assert block(torch.randn(B, T, D), torch.randn(B, S, D)).shape == (B, T, D)


def test_a_block_with_cross_attention_asks_for_its_memory():
    with pytest.raises(ValueError, match="memory=None: must be given to a block with"):
        Block(D, H, F, cross=True)(torch.randn(B, T, D))


@all_kinds
def test_one_batch_overfits(kind):
    """To reverse 4 sequences, the decoder has to find each symbol in the source."""
    torch.manual_seed(0)
    model = EncoderDecoder(1, 32, H, 64, **KINDS[kind])
    embedding, head = nn.Embedding(9, 32), nn.Linear(32, 9)
    source = torch.randint(1, 9, (4, 6))
    target = torch.cat([torch.zeros(4, 1).long(), source.flip(1)], 1)
    parts = nn.ModuleList([model, embedding, head])
    optimizer = torch.optim.Adam(parts.parameters(), lr=1e-2)
    places = sinusoidal_positions(7, 32)

    def loss():
        read = embedding(source) + places[:6]
        logits = head(model(read, embedding(target[:, :-1]) + places[:6]))
        return nn.functional.cross_entropy(logits.transpose(1, 2), target[:, 1:])

    assert loss().item() > 1.5
    for _ in range(60):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < 0.1
