"""The whole encoder-decoder against torch.nn.Transformer, weights copied."""

import pytest
import torch
from torch import nn

from lmcore.models.seq2seq_transformer import (
    TransformerSeq2Seq,
    TransformerSeq2SeqConfig,
)


def copy_attention(ours, theirs):
    parts = (ours.q_proj, ours.k_proj, ours.v_proj)
    theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
    theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    theirs.out_proj.load_state_dict(ours.out_proj.state_dict())


@torch.no_grad()
def torch_copy(model, pre_norm):
    """torch's Transformer with our weights."""
    config, ours = model.config, model.transformer
    theirs = nn.Transformer(
        config.d_model,
        config.n_heads,
        config.n_layers,
        config.n_layers,
        config.ff_width,
        dropout=0.0,
        batch_first=True,
        norm_first=pre_norm,
    ).double()
    for side in ("encoder", "decoder"):
        stack, their_stack = getattr(ours, side), getattr(theirs, side)
        if pre_norm:
            their_stack.norm.load_state_dict(stack.final_norm.state_dict())
        else:
            their_stack.norm = nn.Identity()  # torch adds one in either case
        for block, layer in zip(stack.blocks, their_stack.layers, strict=True):
            copy_attention(block.attn, layer.self_attn)
            norms = [block.attn_norm, block.ff_norm]
            if side == "decoder":
                copy_attention(block.cross_attn, layer.multihead_attn)
                norms.insert(1, block.cross_norm)
            for number, norm in enumerate(norms, start=1):
                getattr(layer, f"norm{number}").load_state_dict(norm.state_dict())
            layer.linear1.load_state_dict(block.ff.in_proj.state_dict())
            layer.linear2.load_state_dict(block.ff.out_proj.state_dict())
    return theirs


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("pre_norm", [False, True])
def test_logits_and_gradients_equal_torchs_transformer(pre_norm):
    torch.manual_seed(0)
    config = TransformerSeq2SeqConfig(
        source_vocab_size=9,
        vocab_size=13,
        d_model=24,
        n_layers=2,
        n_heads=3,
        dropout=0.0,
        pre_norm=pre_norm,
    )
    model = TransformerSeq2Seq(config).double()
    for parameter in model.parameters():  # no bias stays at zero, no weight at one
        nn.init.normal_(parameter, std=0.3)
    theirs = torch_copy(model, pre_norm)
    source, ids = torch.randint(9, (3, 6)), torch.randint(13, (3, 5))
    lengths = torch.tensor([6, 2, 4])
    padding = torch.arange(6) >= lengths.unsqueeze(-1)  # torch: True = hide

    logits = model(source, ids, lengths)
    hidden = theirs(
        model.embed_source(source),
        model.embed(ids),
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(5).double(),
        src_key_padding_mask=padding,
        memory_key_padding_mask=padding,
    )
    expected = hidden @ model.tok_emb.weight.T
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)

    ours = torch.autograd.grad(logits.square().sum(), model.source_emb.weight)
    other = torch.autograd.grad(expected.square().sum(), model.source_emb.weight)
    torch.testing.assert_close(ours, other, rtol=1e-10, atol=1e-10)
