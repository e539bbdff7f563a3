"""Small random checkpoints that `transformers` saves give the same numbers here.

The hub cannot be reached from the machines that run these tests; its files have the
same form as these, which `transformers` itself writes.
"""

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from lmcore.models.bert import Bert, BertForPretraining
from lmcore.models.gpt import GPT
from lmcore.pretrained import load_bert, load_checkpoint, load_gpt2

TINY_GPT2 = {"vocab_size": 61, "n_positions": 40, "n_embd": 24, "n_layer": 2}
TINY_LLAMA = {
    "vocab_size": 61,
    "max_position_embeddings": 40,
    "hidden_size": 24,
    "intermediate_size": 50,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
}
TINY_BERT = {
    "vocab_size": 61,
    "max_position_embeddings": 40,
    "hidden_size": 24,
    "intermediate_size": 50,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
TINY_DISTILBERT = {
    "vocab_size": 61,
    "max_position_embeddings": 40,
    "dim": 24,
    "hidden_dim": 50,
    "n_layers": 2,
    "n_heads": 4,
}
DECODERS = {
    "gpt2": transformers.GPT2Config(**TINY_GPT2, n_head=4),
    "gpt2, odd": transformers.GPT2Config(
        **TINY_GPT2,
        n_head=3,
        n_inner=50,
        layer_norm_epsilon=1e-3,
        activation_function="gelu",
        tie_word_embeddings=False,
    ),
    "llama": transformers.LlamaConfig(**TINY_LLAMA, num_key_value_heads=6),
    "llama, tied": transformers.LlamaConfig(
        **TINY_LLAMA, num_key_value_heads=2, tie_word_embeddings=True
    ),
    "llama, grouped": transformers.LlamaConfig(
        **TINY_LLAMA,
        num_key_value_heads=2,
        head_dim=8,
        rms_norm_eps=1e-3,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
    ),
}


def randomise(model):
    """Every parameter random, those too that start as zeros and ones."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(0.3 * noise + (parameter.ndim == 1))
    return model.eval()


def saved(model, folder):
    randomise(model).save_pretrained(folder)
    return model


def some_ids(batch_size=3, seq_len=17):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(61, (batch_size, seq_len), generator=generator)


def rewrite(folder, change):
    """Change the tensors of a saved checkpoint."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


@pytest.fixture
def gpt2_folder(tmp_path):
    saved(transformers.GPT2LMHeadModel(DECODERS["gpt2"]), tmp_path)
    return tmp_path


# --- decoders


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoders_logits_equal_those_of_transformers(name, tmp_path):
    theirs = saved(
        transformers.AutoModelForCausalLM.from_config(DECODERS[name]), tmp_path
    )
    ours = load_checkpoint(tmp_path)
    assert isinstance(ours, GPT) and not ours.training
    tied = ours.lm_head.weight is ours.tok_emb.weight
    assert tied == DECODERS[name].tie_word_embeddings
    ids = some_ids()
    with torch.no_grad():
        torch.testing.assert_close(ours(ids), theirs(ids).logits, atol=1e-5, rtol=1e-5)


def test_float64_agrees_to_its_own_digits(gpt2_folder):
    theirs = transformers.GPT2LMHeadModel.from_pretrained(gpt2_folder).double()
    ours = load_checkpoint(gpt2_folder, dtype=torch.float64)
    with torch.no_grad():
        got, wanted = ours(some_ids()), theirs(some_ids()).logits
    torch.testing.assert_close(got, wanted, atol=1e-10, rtol=0)


def test_the_forms_of_gpt2s_files_give_one_model(gpt2_folder):
    """safetensors, a pickle, several files, no prefix, and masks among the tensors."""
    wanted = load_checkpoint(gpt2_folder).state_dict()
    weights = gpt2_folder / "model.safetensors"
    tensors = load_file(weights)

    def loads_the_same():
        found = load_checkpoint(gpt2_folder).state_dict()
        return all(torch.equal(found[name], wanted[name]) for name in wanted)

    def leave_out_the_prefix(tensors):
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)
        tensors["h.0.attn.bias"] = torch.ones(1, 1, 40, 40).tril()
        tensors["h.0.attn.masked_bias"] = torch.tensor(-1e4)

    rewrite(gpt2_folder, leave_out_the_prefix)
    assert loads_the_same()

    weights.unlink()
    both_names = tensors | {"lm_head.weight": tensors["transformer.wte.weight"]}
    torch.save(both_names, gpt2_folder / "pytorch_model.bin")
    assert loads_the_same()

    (gpt2_folder / "pytorch_model.bin").unlink()
    names = sorted(tensors)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for shard, part in shards.items():
        save_file({name: tensors[name] for name in part}, gpt2_folder / shard)
    index = {name: shard for shard, part in shards.items() for name in part}
    (gpt2_folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": index})
    )
    assert loads_the_same()


def test_a_sharded_checkpoint_of_transformers_loads(tmp_path):
    theirs = randomise(transformers.GPT2LMHeadModel(DECODERS["gpt2"]))
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert not (tmp_path / "model.safetensors").exists()
    with torch.no_grad():
        got = load_checkpoint(tmp_path)(some_ids())
        torch.testing.assert_close(got, theirs(some_ids()).logits, atol=1e-5, rtol=1e-5)


def test_dtype_is_the_callers_choice(gpt2_folder):
    model = load_checkpoint(gpt2_folder, dtype=torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


@pytest.mark.assets
def test_load_gpt2_brings_the_tokenizer(gpt2_folder, real_asset):
    real_asset("gpt2-ranks")
    tokenizer = load_gpt2(gpt2_folder).tokenizer
    assert tokenizer.encode(" world") == [995]


# --- encoders


def masked(seq_len=17):
    mask = torch.ones(3, seq_len, dtype=torch.bool)
    mask[1, 9:] = False
    segments = torch.zeros(3, seq_len, dtype=torch.long)
    segments[:, 5:] = 1
    return mask, segments


@pytest.mark.parametrize("dtype, atol", [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_bert_with_both_heads(tmp_path, dtype, atol):
    config = transformers.BertConfig(**TINY_BERT)
    theirs = saved(transformers.BertForPreTraining(config), tmp_path).to(dtype)
    ours = load_checkpoint(tmp_path, dtype=dtype)
    assert isinstance(ours, BertForPretraining)
    ids, (mask, segments) = some_ids(), masked()
    with torch.no_grad():
        wanted = theirs(ids, attention_mask=mask.long(), token_type_ids=segments)
        hidden = ours.bert(ids, mask, segments)
        got = ours(ids, mask, segments)
        follows = ours.follows(hidden)
    close = {"atol": atol, "rtol": atol}
    torch.testing.assert_close(got[mask], wanted.prediction_logits[mask], **close)
    torch.testing.assert_close(follows, wanted.seq_relationship_logits, **close)
    asked = ours.fill_in(hidden[:, 3])
    torch.testing.assert_close(asked, got[:, 3], **close)


@pytest.mark.assets
def test_load_bert_brings_the_tokenizer(tmp_path, real_asset):
    real_asset("bert-uncased-vocab")
    config = transformers.BertConfig(**TINY_BERT)
    saved(transformers.BertForPreTraining(config), tmp_path)
    assert load_bert(tmp_path).tokenizer.encode("Hello") == [7592]


def test_bert_with_the_mlm_head_alone(tmp_path):
    config = transformers.BertConfig(**TINY_BERT, hidden_act="gelu_new")
    theirs = saved(transformers.BertForMaskedLM(config), tmp_path)
    ours = load_checkpoint(tmp_path)
    assert ours.nsp_head is None and ours.bert.pooler is None
    with torch.no_grad():
        got, wanted = ours(some_ids()), theirs(some_ids()).logits
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)


def test_a_bare_bert_has_hidden_states_and_a_pooler(tmp_path):
    theirs = saved(
        transformers.BertModel(transformers.BertConfig(**TINY_BERT)), tmp_path
    )
    ours = load_checkpoint(tmp_path)
    assert isinstance(ours, Bert)
    ids, (mask, segments) = some_ids(), masked()
    with torch.no_grad():
        wanted = theirs(ids, attention_mask=mask.long(), token_type_ids=segments)
        hidden = ours(ids, mask, segments)
        pooled = ours.pooler(hidden)
    close = {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(hidden[mask], wanted.last_hidden_state[mask], **close)
    torch.testing.assert_close(pooled, wanted.pooler_output, **close)


@pytest.mark.parametrize("dtype, atol", [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_distilbert_with_its_mlm_head(tmp_path, dtype, atol):
    config = transformers.DistilBertConfig(**TINY_DISTILBERT)
    theirs = saved(transformers.DistilBertForMaskedLM(config), tmp_path).to(dtype)
    ours = load_checkpoint(tmp_path, dtype=dtype)
    assert ours.bert.seg_emb is None
    ids, (mask, segments) = some_ids(), masked()
    with torch.no_grad():
        wanted = theirs(ids, attention_mask=mask.long()).logits[mask]
        torch.testing.assert_close(ours(ids, mask)[mask], wanted, atol=atol, rtol=atol)
    with pytest.raises(ValueError, match="no segment embeddings"):
        ours(ids, mask, segments)


def test_a_bare_distilbert(tmp_path):
    config = transformers.DistilBertConfig(**TINY_DISTILBERT)
    theirs = saved(transformers.DistilBertModel(config), tmp_path)
    ours = load_checkpoint(tmp_path)
    assert isinstance(ours, Bert)
    with torch.no_grad():
        wanted = theirs(some_ids()).last_hidden_state
        torch.testing.assert_close(ours(some_ids()), wanted, atol=1e-5, rtol=1e-5)


def test_the_old_names_of_bert_base_uncased(tmp_path):
    """Its file calls a norm's parameters gamma and beta, and keeps numbers twice.

    The output matrix and its bias stand under both of their names, and the positions
    are a tensor.
    """
    config = transformers.BertConfig(**TINY_BERT)
    saved(transformers.BertForPreTraining(config), tmp_path)
    wanted = load_checkpoint(tmp_path).state_dict()

    def grow_old(tensors):
        for name in list(tensors):
            old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            old = old.replace("LayerNorm.bias", "LayerNorm.beta")
            tensors[old] = tensors.pop(name)
        embedding = tensors["bert.embeddings.word_embeddings.weight"]
        tensors["cls.predictions.decoder.weight"] = embedding.clone()
        bias = tensors["cls.predictions.bias"]
        tensors["cls.predictions.decoder.bias"] = bias.clone()
        tensors["bert.embeddings.position_ids"] = torch.arange(40).unsqueeze(0)

    rewrite(tmp_path, grow_old)
    found = load_checkpoint(tmp_path).state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_an_untied_output_matrix_is_refused(tmp_path):
    """Our MLM head has none of its own: to drop theirs would change the numbers."""
    config = transformers.BertConfig(**TINY_BERT)
    saved(transformers.BertForMaskedLM(config), tmp_path)

    def untie(tensors):
        embedding = tensors["bert.embeddings.word_embeddings.weight"]
        tensors["cls.predictions.decoder.weight"] = embedding + 1

    rewrite(tmp_path, untie)
    with pytest.raises(ValueError, match=r"not tied: bert\.tok_emb\.weight"):
        load_checkpoint(tmp_path)


# --- what does not fit


def test_what_does_not_fit_is_listed(gpt2_folder):
    def spoil(tensors):
        del tensors["transformer.h.1.attn.c_attn.bias"]
        del tensors["transformer.ln_f.weight"]
        tensors["transformer.h.0.adapter.weight"] = torch.zeros(2, 3)
        tensors["transformer.h.2.ln_1.weight"] = torch.zeros(24)
        tensors["transformer.wpe.weight"] = torch.zeros(39, 24)

    rewrite(gpt2_folder, spoil)
    with pytest.raises(ValueError) as caught:
        load_checkpoint(gpt2_folder)
    lines = str(caught.value).splitlines()
    assert lines[0] == "tensors: must be those of GPT, but 7 do not fit"
    assert sorted(line.strip() for line in lines[1:]) == [
        "missing: blocks.1.attn.k_proj.bias [24]",
        "missing: blocks.1.attn.q_proj.bias [24]",
        "missing: blocks.1.attn.v_proj.bias [24]",
        "missing: final_norm.weight [24]",
        "unexpected: blocks.2.attn_norm.weight [24]",
        "unexpected: transformer.h.0.adapter.weight [2, 3]",
        "wrong shape: pos_emb.weight is [39, 24] in the file, [40, 24] in the model",
    ]


@pytest.mark.parametrize(
    "field, value",
    [
        ("model_type", "mamba"),
        ("model_type", None),
        ("activation_function", "swish2"),
        ("scale_attn_by_inverse_layer_idx", True),
        ("add_cross_attention", True),
        ("n_head", 5),
    ],
)
def test_a_gpt2_unlike_ours_is_refused(gpt2_folder, field, value):
    path = gpt2_folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(ValueError, match="n_heads" if field == "n_head" else field):
        load_checkpoint(gpt2_folder)


@pytest.mark.parametrize(
    "field, value",
    [
        ("attention_bias", True),
        ("hidden_act", "gelu"),
        ("rope_parameters", {"rope_type": "llama3", "rope_theta": 1e4}),
    ],
)
def test_a_llama_unlike_ours_is_refused(tmp_path, field, value):
    saved(transformers.LlamaForCausalLM(DECODERS["llama"]), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(ValueError, match="rope_type" if "rope" in field else field):
        load_checkpoint(tmp_path)


def test_a_missing_field_is_named(gpt2_folder):
    path = gpt2_folder / "config.json"
    fields = json.loads(path.read_text())
    del fields["n_layer"]
    path.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match="n_layer"):
        load_checkpoint(gpt2_folder)


def test_a_pickle_that_runs_code_is_refused(gpt2_folder, tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))

    (gpt2_folder / "model.safetensors").unlink()
    torch.save({"transformer.wte.weight": Attack()}, gpt2_folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="must be tensors saved by torch"):
        load_checkpoint(gpt2_folder)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("n_bytes", [0, 5, 500, 20_000])
def test_a_file_cut_short_is_refused(gpt2_folder, n_bytes):
    path = gpt2_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(ValueError, match="damaged"):
        load_checkpoint(gpt2_folder)


def test_a_folder_without_weights_says_which_files_it_lacks(gpt2_folder):
    (gpt2_folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        load_checkpoint(gpt2_folder)


def test_an_index_names_no_file_outside_its_folder(gpt2_folder):
    (gpt2_folder / "model.safetensors").unlink()
    index = {"weight_map": {"x": "../elsewhere.safetensors"}}
    (gpt2_folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="beside"):
        load_checkpoint(gpt2_folder)
