"""GPT-2's weights, as OpenAI published them and Hugging Face keeps them.

Two habits of that code have to be undone. Its ``Conv1D`` layers compute x W + b with W
of shape (in, out), where torch's ``Linear`` keeps (out, in): every matrix is turned.
And one matrix, ``c_attn``, makes queries, keys and values at once: it is cut in three.
The output matrix is the embedding, so the files do not hold it twice.

Reference: Radford et al., 2019; the released ``src/model.py``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from lmcore.config import require
from lmcore.models.gpt import GPTConfig
from lmcore.pretrained.weights import Named, convert

GPT2_NAMES = {
    "wte": "tok_emb",
    "wpe": "pos_emb",
    "h.N.ln_1": "blocks.N.attn_norm",
    "h.N.attn.c_attn": "blocks.N.attn.qkv",  # cut into q_proj, k_proj, v_proj below
    "h.N.attn.c_proj": "blocks.N.attn.out_proj",
    "h.N.ln_2": "blocks.N.ff_norm",
    "h.N.mlp.c_fc": "blocks.N.ff.in_proj",
    "h.N.mlp.c_proj": "blocks.N.ff.out_proj",
    "ln_f": "final_norm",
}
# Most files write transformer.wte, a few wte; the output matrix never has the prefix.
GPT2_NAMES |= {f"transformer.{name}": ours for name, ours in GPT2_NAMES.items()}
GPT2_NAMES["lm_head"] = "lm_head"

ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu": "gelu", "relu": "relu", "silu": "silu"}
MASKS = (".attn.bias", ".attn.masked_bias")  # old files keep the causal mask as well


def from_gpt2(tensors: Named) -> Iterator[tuple[str, Tensor]]:
    """GPT-2's tensors under our names, turned and cut."""
    for name, tensor in convert(tensors, GPT2_NAMES, lambda name: name.endswith(MASKS)):
        in_a_layer = ".attn." in name or ".ff." in name
        if in_a_layer and name.endswith(".weight"):
            tensor = tensor.T  # (in, out) -> (out, in)
        if ".attn.qkv." in name:
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                yield name.replace("qkv", f"{part}_proj"), piece
        else:
            yield name, tensor


def gpt2_config(fields: Mapping[str, Any]) -> GPTConfig:
    """The shape that a ``config.json`` of model_type gpt2 describes.

    Raises:
        ValueError: If the model has a part that lmcore's GPT does not.
    """
    activation = fields.get("activation_function", "gelu_new")
    rule = f"be one of {sorted(ACTIVATIONS)}"
    require(activation in ACTIVATIONS, "activation_function", activation, rule)
    for name, wanted in (
        ("scale_attn_weights", True),
        ("scale_attn_by_inverse_layer_idx", False),
        ("add_cross_attention", False),
    ):
        value = fields.get(name, wanted)
        require(value == wanted, name, value, f"be {wanted!r}")
    return GPTConfig(
        vocab_size=fields["vocab_size"],
        max_seq_len=fields["n_positions"],
        d_model=fields["n_embd"],
        n_layers=fields["n_layer"],
        n_heads=fields["n_head"],
        d_ff=fields.get("n_inner"),
        norm_eps=fields.get("layer_norm_epsilon", 1e-5),
        ff=ACTIVATIONS[activation],
        tie_weights=fields.get("tie_word_embeddings", True),
    )
