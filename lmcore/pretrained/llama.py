"""Llama-style weights: as Hugging Face writes them, and as GGUF files do.

Both keep one matrix per projection, so that a table of names is nearly all there is to
say. What differs is the order of rows in q and k. RoPE turns pairs of coordinates by an
angle. Our code and Hugging Face's pair i with i + K/2; a GGUF file pairs 2i with
2i + 1, and so it has the rows of each head in another order. With the wrong order
nothing fails: the shapes fit, and only the loss tells.

Reference: Touvron et al., 2023, section 2.2; ``LlamaModel.permute`` in llama.cpp's
``convert_hf_to_gguf.py``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from lmcore.config import require
from lmcore.models.gpt import GPTConfig
from lmcore.pretrained.weights import Named, convert

LLAMA_NAMES = {
    "model.embed_tokens": "tok_emb",
    "model.layers.N.input_layernorm": "blocks.N.attn_norm",
    "model.layers.N.self_attn.q_proj": "blocks.N.attn.q_proj",
    "model.layers.N.self_attn.k_proj": "blocks.N.attn.k_proj",
    "model.layers.N.self_attn.v_proj": "blocks.N.attn.v_proj",
    "model.layers.N.self_attn.o_proj": "blocks.N.attn.out_proj",
    "model.layers.N.post_attention_layernorm": "blocks.N.ff_norm",
    "model.layers.N.mlp.gate_proj": "blocks.N.ff.gate_proj",
    "model.layers.N.mlp.up_proj": "blocks.N.ff.in_proj",
    "model.layers.N.mlp.down_proj": "blocks.N.ff.out_proj",
    "model.norm": "final_norm",
    "lm_head": "lm_head",
}

GGUF_NAMES = {
    "token_embd": "tok_emb",
    "blk.N.attn_norm": "blocks.N.attn_norm",
    "blk.N.attn_q": "blocks.N.attn.q_proj",
    "blk.N.attn_k": "blocks.N.attn.k_proj",
    "blk.N.attn_v": "blocks.N.attn.v_proj",
    "blk.N.attn_output": "blocks.N.attn.out_proj",
    "blk.N.ffn_norm": "blocks.N.ff_norm",
    "blk.N.ffn_gate": "blocks.N.ff.gate_proj",
    "blk.N.ffn_up": "blocks.N.ff.in_proj",
    "blk.N.ffn_down": "blocks.N.ff.out_proj",
    "output_norm": "final_norm",
    "output": "lm_head",
}

GGUF_FACTS = {
    "vocab_size": "vocab_size",
    "context_length": "max_seq_len",
    "embedding_length": "d_model",
    "block_count": "n_layers",
    "attention.head_count": "n_heads",
    "attention.head_count_kv": "n_kv_heads",
    "feed_forward_length": "d_ff",
    "rope.freq_base": "rope_base",
    "attention.layer_norm_rms_epsilon": "norm_eps",
}
LLAMA_STYLE = {"bias": False, "norm": "rms", "ff": "swiglu", "positions": "rope"}


def pairs_to_halves(rows: Float[Tensor, "HK D"], n_heads: int) -> Float[Tensor, "HK D"]:
    """Order each head's rows 0 2 4 ... 1 3 5 ...: pairs apart, one half each.

    Args:
        rows: q's or k's matrix, pairs side by side.
        n_heads: Heads in it (of k: key/value heads).
    """
    pairs = rows.unflatten(0, (n_heads, -1, 2))  # (H, K/2, 2, D)
    return pairs.transpose(1, 2).flatten(0, 2)  # (H, 2, K/2, D) -> (HK, D)


def from_gguf(tensors: Named, config: GPTConfig) -> Iterator[tuple[str, Tensor]]:
    """A GGUF file's Llama tensors under our names and in our order."""
    heads = {"q_proj.weight": config.n_heads, "k_proj.weight": config.kv_heads}
    for name, tensor in convert(tensors, GGUF_NAMES):
        n_heads = heads.get(name[-len("q_proj.weight") :], 0)
        # of another shape it goes on as it is, for `fill` to report
        if n_heads and tensor.shape == (n_heads * config.head_width, config.d_model):
            tensor = pairs_to_halves(tensor, n_heads)
        yield name, tensor


def gguf_config(metadata: Mapping[str, Any], tied: bool) -> GPTConfig:
    """The shape of the model that a GGUF file's facts describe.

    Args:
        metadata: The file's facts.
        tied: Whether the file has no output matrix of its own.

    Raises:
        ValueError: If the file holds another kind of model, or a fact is missing.
    """
    kind = metadata.get("general.architecture")
    require(kind == "llama", "general.architecture", kind, "be 'llama'")
    missing = [name for name in GGUF_FACTS if f"llama.{name}" not in metadata]
    require(not missing, "metadata", sorted(metadata)[:9], f"have llama.{missing}")
    facts = {ours: metadata[f"llama.{name}"] for name, ours in GGUF_FACTS.items()}
    # 0.00001 went through float32 and came back as 0.00000999999974737875
    facts["norm_eps"] = float(f"{facts['norm_eps']:.6g}")
    return GPTConfig(**facts, **LLAMA_STYLE, tie_weights=tied)


def llama_config(fields: Mapping[str, Any]) -> GPTConfig:
    """The shape that a ``config.json`` of model_type llama describes.

    Raises:
        ValueError: If the model has a part that lmcore's GPT does not.
    """
    rope = fields.get("rope_parameters") or fields.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    require(kind == "default", "rope_type", kind, "be 'default'")
    for name, wanted in (
        ("attention_bias", False),
        ("mlp_bias", False),
        ("hidden_act", "silu"),
    ):
        value = fields.get(name, wanted)
        require(value == wanted, name, value, f"be {wanted!r}")
    return GPTConfig(
        vocab_size=fields["vocab_size"],
        max_seq_len=fields["max_position_embeddings"],
        d_model=fields["hidden_size"],
        n_layers=fields["num_hidden_layers"],
        n_heads=fields["num_attention_heads"],
        n_kv_heads=fields.get("num_key_value_heads"),
        d_head=fields.get("head_dim"),
        d_ff=fields["intermediate_size"],
        norm_eps=fields["rms_norm_eps"],
        rope_base=float(rope.get("rope_theta", fields.get("rope_theta", 10000.0))),
        tie_weights=fields.get("tie_word_embeddings", False),
        **LLAMA_STYLE,
    )


def from_llama(tensors: Named) -> Iterator[tuple[str, Tensor]]:
    """Hugging Face's Llama tensors under our names; the order is ours already."""
    return convert(tensors, LLAMA_NAMES, lambda name: name.endswith("inv_freq"))
