"""Reading GGUF files: those that the `gguf` package writes, and damaged ones."""

import struct

import gguf
import numpy as np
import pytest
import torch

from lmcore.models.gpt import GPTConfig
from lmcore.pretrained.gguf_file import GGUFFile
from lmcore.pretrained.llama import gguf_config, pairs_to_halves
from lmcore.pretrained.quantised import BLOCKS, dequantise
from lmcore.pretrained.smollm2 import gguf_tokenizer, load_gguf

KINDS = gguf.GGMLQuantizationType
FACTS = {
    "block_count": 1,
    "context_length": 16,
    "embedding_length": 8,
    "feed_forward_length": 32,
    "vocab_size": 5,
}


def random(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def write(path, tensors=(), kind=KINDS.F32, facts=None):
    """A GGUF file as the published package writes it."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    for name, value in (FACTS if facts is None else facts).items():
        writer.add_uint32(f"llama.{name}", value)
    writer.add_bool("a.bool", True)
    writer.add_array("a.list", ["eins", "zwei ½", ""])
    writer.add_int8("an.int8", -3)
    writer.add_uint64("a.uint64", 2**40)
    writer.add_float64("a.float64", 0.1)
    for name, array in tensors:
        quantised = gguf.quantize(array, kind)
        writer.add_tensor(name, quantised, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", [KINDS.F32, KINDS.F16, KINDS.Q8_0, KINDS.Q4_1])
def test_tensors_equal_what_the_gguf_package_reads(tmp_path, kind):
    arrays = [("a", random(3, 64)), ("b.weight", random(2, 5, 32)), ("c", random(96))]
    path = write(tmp_path / "x.gguf", arrays, kind)
    file = GGUFFile(path)
    assert list(file.tensors) == ["a", "b.weight", "c"]
    for tensor in gguf.GGUFReader(path).tensors:
        wanted = gguf.dequantize(tensor.data, tensor.tensor_type)
        got = file.read(tensor.name)
        assert got.dtype == np.float32
        assert got.shape == dict(arrays)[tensor.name].shape
        assert np.array_equal(got, wanted.reshape(got.shape))
        assert np.abs(got - dict(arrays)[tensor.name]).max() < 0.3


def test_facts_of_every_type(tmp_path):
    facts = GGUFFile(write(tmp_path / "x.gguf")).metadata
    assert facts["general.architecture"] == "llama"
    assert facts["a.bool"] is True
    assert facts["a.list"] == ["eins", "zwei ½", ""]
    assert facts["an.int8"] == -3
    assert facts["a.uint64"] == 2**40
    assert facts["a.float64"] == 0.1
    assert facts["llama.rope.freq_base"] == 10000.0


def test_what_is_read_is_a_copy(tmp_path):
    path = write(tmp_path / "x.gguf", [("a", random(32))])
    file = GGUFFile(path)
    first = file.read("a")
    first[:] = 0
    assert file.read("a").any()
    with pytest.raises(KeyError):
        file.read("b")


def test_a_file_cut_anywhere_is_refused(tmp_path):
    path = write(tmp_path / "x.gguf", [("a", random(3, 32))])
    whole = path.read_bytes()
    padding = len(whole) - (GGUFFile(path).tensors["a"].start + 3 * 32 * 4)
    for n_bytes in range(len(whole) - padding):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(ValueError, match="GGUF"):
            GGUFFile(path)


def test_absurd_lengths_are_refused_at_once(tmp_path):
    """A text of 2^60 bytes, 2^60 facts: nothing is allocated for them."""
    path = tmp_path / "x.gguf"
    head = b"GGUF" + struct.pack("<I", 3)
    path.write_bytes(head + struct.pack("<QQQ", 0, 1, 2**60) + b"abc")
    with pytest.raises(ValueError, match="whole GGUF file"):
        GGUFFile(path)
    path.write_bytes(head + struct.pack("<QQ", 2**60, 2**60))
    with pytest.raises(ValueError, match="whole GGUF file"):
        GGUFFile(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="begin with 'GGUF'"):
        GGUFFile(path)
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(ValueError, match="begin with 'GGUF'"):
        GGUFFile(path)
    path.write_bytes(b"GGUF" + struct.pack("<I", 9) + bytes(100))
    with pytest.raises(ValueError, match="version 2 or 3, not 9"):
        GGUFFile(path)
    with pytest.raises(FileNotFoundError):
        GGUFFile(tmp_path / "none.gguf")


def test_a_block_format_that_we_do_not_know_is_named(tmp_path):
    path = write(tmp_path / "x.gguf", [("a", random(32))], KINDS.Q5_0)
    with pytest.raises(ValueError, match=r"F32, F16, Q4_1, Q8_0; a has type 6"):
        GGUFFile(path)


def test_dequantise_refuses_half_a_block():
    with pytest.raises(ValueError, match="block_type"):
        dequantise(np.zeros(20, dtype=np.uint8), 6)
    with pytest.raises(ValueError, match="multiple of 20"):
        dequantise(np.zeros(30, dtype=np.uint8), 3)


def test_bits_per_weight_are_as_stated():
    sizes = {block.name: 8 * block.bytes / block.weights for block in BLOCKS.values()}
    assert sizes == {"F32": 32, "F16": 16, "Q8_0": 8.5, "Q4_1": 5}


def test_one_block_by_hand():
    """Scale 0.5, smallest -1, the number 0x?3 first: 0.5 * 3 - 1."""
    block = np.zeros(20, dtype=np.uint8)
    block[:4] = np.array([0.5, -1.0], dtype="<f2").view(np.uint8)
    block[4] = 0xF3  # low half: weight 0; high half: weight 16
    weights = dequantise(block, 3)
    assert weights[0] == 0.5 * 3 - 1
    assert weights[16] == 0.5 * 15 - 1
    assert (np.delete(weights, [0, 16]) == -1).all()


# --- from the file to a model


def test_pairs_to_halves_undoes_what_llama_cpp_does():
    """``LlamaModel.permute``, as its converter writes it."""
    for n_heads, d_head in [(1, 2), (3, 8), (9, 64)]:
        rows = torch.randn(n_heads * d_head, 5)
        permuted = (
            rows.reshape(n_heads, 2, d_head // 2, 5).swapaxes(1, 2).reshape(rows.shape)
        )
        assert torch.equal(pairs_to_halves(permuted, n_heads), rows)


def tensors_of_a_tiny_llama():
    yield "token_embd.weight", random(5, 8)
    yield "blk.0.attn_norm.weight", random(8)
    yield "blk.0.attn_q.weight", random(8, 8)
    yield "blk.0.attn_k.weight", random(4, 8)
    yield "blk.0.attn_v.weight", random(4, 8)
    yield "blk.0.attn_output.weight", random(8, 8)
    yield "blk.0.ffn_norm.weight", random(8)
    yield "blk.0.ffn_gate.weight", random(32, 8)
    yield "blk.0.ffn_up.weight", random(32, 8)
    yield "blk.0.ffn_down.weight", random(8, 32)
    yield "output_norm.weight", random(8)


def test_the_facts_make_a_config(tmp_path):
    facts = GGUFFile(write(tmp_path / "x.gguf")).metadata
    wanted = GPTConfig(
        vocab_size=5,
        max_seq_len=16,
        d_model=8,
        n_layers=1,
        n_heads=2,
        n_kv_heads=1,
        d_ff=32,
        bias=False,
        norm="rms",
        norm_eps=1e-5,
        ff="swiglu",
        positions="rope",
        tie_weights=False,
    )
    assert gguf_config(facts, tied=False) == wanted
    with pytest.raises(ValueError, match=r"general\.architecture='mamba'"):
        gguf_config(facts | {"general.architecture": "mamba"}, tied=True)
    del facts["llama.block_count"]
    with pytest.raises(ValueError, match="block_count"):
        gguf_config(facts, tied=True)


def test_a_file_without_some_tensors_says_which(tmp_path):
    tensors = dict(tensors_of_a_tiny_llama())
    del tensors["blk.0.attn_q.weight"]
    tensors["blk.0.attn_q.bias"] = random(8)
    path = write(tmp_path / "x.gguf", tensors.items())
    with pytest.raises(ValueError) as caught:
        load_gguf(path)
    assert "missing: blocks.0.attn.q_proj.weight [8, 8]" in str(caught.value)
    assert "unexpected: blocks.0.attn.q_proj.bias [8]" in str(caught.value)


def test_a_tokenizer_of_another_kind_is_refused():
    facts = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": ["<|x|>", "a", "b", "Ġ", "ab"],
        "tokenizer.ggml.token_type": [3, 1, 1, 1, 1],
        "tokenizer.ggml.merges": ["a b"],
    }
    tokenizer = gguf_tokenizer(facts)
    assert tokenizer.encode("ab ba") == [4, 3, 2, 1]
    assert tokenizer.special_tokens == {"<|x|>": 0}
    with pytest.raises(ValueError, match=r"tokenizer\.ggml\.model='llama'"):
        gguf_tokenizer(facts | {"tokenizer.ggml.model": "llama"})
    with pytest.raises(ValueError, match=r"tokenizer\.ggml\.pre='qwen2'"):
        gguf_tokenizer(facts | {"tokenizer.ggml.pre": "qwen2"})
