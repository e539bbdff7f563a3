"""BERT's and DistilBERT's weights, as Hugging Face keeps them.

Every layer is a torch ``Linear`` already, so names are all that differs. Files of the
first years call a norm's weight and bias gamma and beta. The output matrix of the MLM
head is the token embedding; some files hold it under both names, and then both must be
equal.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from lmcore.config import require
from lmcore.models.bert import BertConfig
from lmcore.pretrained.weights import Named, convert

BLOCK = "bert.encoder.blocks.N"

BERT_NAMES = {
    "bert.embeddings.word_embeddings": "bert.tok_emb",
    "bert.embeddings.position_embeddings": "bert.pos_emb",
    "bert.embeddings.token_type_embeddings": "bert.seg_emb",
    "bert.embeddings.LayerNorm": "bert.emb_norm",
    "bert.encoder.layer.N.attention.self.query": f"{BLOCK}.attn.q_proj",
    "bert.encoder.layer.N.attention.self.key": f"{BLOCK}.attn.k_proj",
    "bert.encoder.layer.N.attention.self.value": f"{BLOCK}.attn.v_proj",
    "bert.encoder.layer.N.attention.output.dense": f"{BLOCK}.attn.out_proj",
    "bert.encoder.layer.N.attention.output.LayerNorm": f"{BLOCK}.attn_norm",
    "bert.encoder.layer.N.intermediate.dense": f"{BLOCK}.ff.in_proj",
    "bert.encoder.layer.N.output.dense": f"{BLOCK}.ff.out_proj",
    "bert.encoder.layer.N.output.LayerNorm": f"{BLOCK}.ff_norm",
    "bert.pooler.dense": "bert.pooler.proj",
    "cls.predictions.transform.dense": "mlm_head.proj",
    "cls.predictions.transform.LayerNorm": "mlm_head.norm",
    "cls.predictions": "mlm_head",
    "cls.predictions.decoder.weight": "bert.tok_emb.weight",
    "cls.predictions.decoder.bias": "mlm_head.bias",
    "cls.seq_relationship": "nsp_head.proj",
}

DISTILBERT_NAMES = {
    "distilbert.embeddings.word_embeddings": "bert.tok_emb",
    "distilbert.embeddings.position_embeddings": "bert.pos_emb",
    "distilbert.embeddings.LayerNorm": "bert.emb_norm",
    "distilbert.transformer.layer.N.attention.q_lin": f"{BLOCK}.attn.q_proj",
    "distilbert.transformer.layer.N.attention.k_lin": f"{BLOCK}.attn.k_proj",
    "distilbert.transformer.layer.N.attention.v_lin": f"{BLOCK}.attn.v_proj",
    "distilbert.transformer.layer.N.attention.out_lin": f"{BLOCK}.attn.out_proj",
    "distilbert.transformer.layer.N.sa_layer_norm": f"{BLOCK}.attn_norm",
    "distilbert.transformer.layer.N.ffn.lin1": f"{BLOCK}.ff.in_proj",
    "distilbert.transformer.layer.N.ffn.lin2": f"{BLOCK}.ff.out_proj",
    "distilbert.transformer.layer.N.output_layer_norm": f"{BLOCK}.ff_norm",
    "vocab_transform": "mlm_head.proj",
    "vocab_layer_norm": "mlm_head.norm",
    "vocab_projector.weight": "bert.tok_emb.weight",
    "vocab_projector.bias": "mlm_head.bias",
}

MLM_HEADS = {"cls.predictions.bias", "vocab_projector.bias"}
ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "relu": "relu", "silu": "silu"}


def from_bert(tensors: Named, with_heads: bool) -> Iterator[tuple[str, Tensor]]:
    """BERT's or DistilBERT's tensors under our names.

    Args:
        tensors: As the file names them, with or without ``bert.`` in front.
        with_heads: Name them for ``BertForPretraining``, not for ``Bert`` alone.
    """
    layout = BERT_NAMES | DISTILBERT_NAMES
    for prefix in ("bert.", "distilbert."):  # a bare encoder's file leaves it out
        layout |= {
            name.removeprefix(prefix): ours
            for name, ours in layout.items()
            if name.startswith(prefix)
        }
    modern = ((in_todays_words(name), tensor) for name, tensor in tensors)
    for name, tensor in convert(modern, layout, lambda n: n.endswith("position_ids")):
        yield name if with_heads else name.removeprefix("bert."), tensor


def in_todays_words(name: str) -> str:
    """The norms of TensorFlow's days: gamma is weight, beta is bias."""
    if name.endswith(".gamma"):
        return name.removesuffix("gamma") + "weight"
    if name.endswith(".beta"):
        return name.removesuffix("beta") + "bias"
    return name


def bert_config(fields: Mapping[str, Any], names: set[str]) -> BertConfig:
    """The shape that a ``config.json`` of model_type bert describes.

    Args:
        fields: The file's fields.
        names: Of the tensors: they tell whether there is a pooler.

    Raises:
        ValueError: If the model has a part that lmcore's Bert does not.
    """
    position = fields.get("position_embedding_type", "absolute")
    require(position == "absolute", "position_embedding_type", position, "be absolute")
    return BertConfig(
        vocab_size=fields["vocab_size"],
        max_seq_len=fields["max_position_embeddings"],
        d_model=fields["hidden_size"],
        n_layers=fields["num_hidden_layers"],
        n_heads=fields["num_attention_heads"],
        d_ff=fields["intermediate_size"],
        n_segments=fields["type_vocab_size"],
        pooler=any(name.endswith("pooler.dense.weight") for name in names),
        norm_eps=fields["layer_norm_eps"],
        ff=our_activation("hidden_act", fields["hidden_act"]),
    )


def distilbert_config(fields: Mapping[str, Any]) -> BertConfig:
    """The shape that a ``config.json`` of model_type distilbert describes.

    DistilBERT has no segments and no pooler.

    Raises:
        ValueError: If its activation is unknown.
    """
    return BertConfig(
        vocab_size=fields["vocab_size"],
        max_seq_len=fields["max_position_embeddings"],
        d_model=fields["dim"],
        n_layers=fields["n_layers"],
        n_heads=fields["n_heads"],
        d_ff=fields["hidden_dim"],
        n_segments=0,
        pooler=False,
        norm_eps=1e-12,
        ff=our_activation("activation", fields["activation"]),
    )


def our_activation(field: str, name: str) -> str:
    """Our name of an activation.

    Raises:
        ValueError: If it is unknown.
    """
    require(name in ACTIVATIONS, field, name, f"be one of {sorted(ACTIVATIONS)}")
    return ACTIVATIONS[name]
