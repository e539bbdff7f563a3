# %% [markdown]
# # B · Notation
#
# **Question.** What does each symbol, letter and name of this course stand for, and what is it called in the papers and libraries that you will read next?
#
# **Prerequisites.** None to look something up; [07 Attention](07_attention.ipynb#11-Many-heads) for the letters of attention.
#
# **Time.** 15–20 minutes to read; under 20 s to run on two CPU cores.

# %% [markdown]
# One name for one thing, everywhere: in the prose, the code, the plots. This appendix is where the names are kept. Where a name stands
# in code or in a published file, a cell looks whether it still does, so that the tables cannot grow old unnoticed.

# %%
import dataclasses
import inspect
import json
import math
from html import escape

import torch
from IPython.display import HTML
from torch import nn
from torch.nn import functional as F

from lmcore.assets import fetch
from lmcore.attention import Attention, attention_explicit, causal_mask, padding_mask
from lmcore.config import TrainConfig
from lmcore.generate import Sampling, generate, generate_beams
from lmcore.losses import IGNORE_INDEX, cross_entropy
from lmcore.metrics import bits_per_byte, bits_per_token, perplexity
from lmcore.models.bert import BertConfig
from lmcore.models.gpt import GPT, GPTConfig
from lmcore.models.ngram import NGram
from lmcore.models.rnn_lm import RNNLMConfig
from lmcore.pretrained import llama
from lmcore.pretrained.bert import BERT_NAMES, bert_config
from lmcore.pretrained.gguf_file import GGUFFile
from lmcore.pretrained.gpt2 import GPT2_NAMES, gpt2_config
from lmcore.runtime import seed_everything

seed_everything(0)
torch.set_num_threads(1)

# %% [markdown]
# ## 1 Symbols
#
# | symbol | means |
# |---|---|
# | $x$ | a number: scalar (标量) |
# | $\mathbf{x}$ | a row of numbers: vector (向量); several are the rows of a matrix |
# | $W$, $X$ | a matrix (矩阵); $X$ holds one example a row |
# | $W^\top$ | its transpose (转置): rows and columns exchanged |
# | $\mathbf{x}W + \mathbf{b}$ | a linear layer (线性层) with weights $W$ and bias (偏置) $\mathbf{b}$ |
# | $\odot$ | elementwise product (逐元素积) |
# | $\log$ | the natural logarithm; $\log_2$ where bits are meant |
# | $p(x_t \mid x_{<t})$ | the probability (概率) of token (词元) $t$ given all before it |
# | $[i = j]$ | 1 if true, 0 if not |
# | $\sigma$ | the sigmoid (S 型函数), $1 / (1 + e^{-x})$; in statistics the standard deviation (标准差), and then the text says so |
# | $L$ | a loss (损失) |
# | $y$, $\hat y$ | a target (目标), and what the model says |
# | $\theta$ | all parameters (参数) of a model |
# | $\eta$ | the learning rate (学习率) |
# | $\partial L / \partial x$ | how $L$ changes with $x$; it has the shape of $x$ |
# | $\nabla_\theta L$ | all of these for $\theta$: the gradient (梯度) |
# | $\boldsymbol\delta$ | the error term (误差项) $\partial L / \partial \mathbf{z}$ of a layer with $\mathbf{z} = \mathbf{x}W + \mathbf{b}$ |
# | $h_t$, $c_t$ | a recurrent network's state (状态) and an LSTM's cell after step $t$ |
# | $Q$, $K$, $V$ | queries (查询), keys (键), values of attention (注意力), one a row |
#
# ## 2 Letters of the axes
#
# A comment such as `# (B, T, D)` gives a tensor's shape (形状) by letters. Each letter has one meaning:
#
# | letter | counts | name in code |
# |---|---|---|
# | B | sequences in a batch (批) | `batch_size` |
# | T | positions that ask: of the query, or of the target | `seq_len` |
# | S | positions that answer: of the key, or of the source | |
# | D | width of a position's vector | `d_model` |
# | H | attention heads (注意力头) | `n_heads` |
# | G | key and value heads, a divisor of H | `n_kv_heads` |
# | K | width of one head; D = H · K in most models | `d_head` |
# | F | inner width of the feed-forward network (前馈网络) | `d_ff` |
# | V | tokens in the vocabulary (词表) | `vocab_size` |
# | N | examples, where there is no sequence | |
#
# Give every letter a size of its own, run a layer of each kind, and read the letters off the shapes.

# %%
B, T, S, D, H, G, K, F_, V, N = SIZES = (2, 5, 7, 24, 6, 3, 4, 40, 11, 9)
# F_, because F is torch.nn.functional here
LETTERS = dict(zip(SIZES, "BTSDHGKFVN", strict=True))
assert len(LETTERS) == 10 and H * K == D and H % G == 0


def shape(tensor):
    """A tensor's shape in letters."""
    return f"({', '.join(LETTERS[size] for size in tensor.shape)})"


# %%
config = GPTConfig(
    vocab_size=V, max_seq_len=T, d_model=D, n_layers=1, n_heads=H, n_kv_heads=G, d_ff=F_
)
gpt = GPT(config)
ids = torch.randint(V, (B, T))
x = gpt.tok_emb(ids)
inner = gpt.blocks[0].ff.in_proj(x)
logits = gpt(ids)
loss = cross_entropy(logits, ids)

# %%
shown = {"ids": ids, "x": x, "inner": inner, "logits": logits, "loss": loss}
for name, tensor in shown.items():
    print(f"{name:8}{shape(tensor)}")
assert [shape(t) for t in (ids, x, inner)] == ["(B, T)", "(B, T, D)", "(B, T, F)"]
assert (shape(logits), shape(loss)) == ("(B, T, V)", "()")

# %%
layer = Attention(d_model=D, n_heads=H, n_kv_heads=G)
memory = torch.randn(B, S, D)  # what is attended to
q = layer.q_proj(x).unflatten(-1, (H, K)).transpose(1, 2)
k, v = (
    p(memory).unflatten(-1, (G, K)).transpose(1, 2)
    for p in (layer.k_proj, layer.v_proj)
)
output, weights = attention_explicit(q, k, v)
examples = torch.randn(N, D)

# %%
shown = {"memory": memory, "q": q, "k": k, "weights": weights, "output": output}
for name, tensor in (shown | {"examples": examples}).items():
    print(f"{name:9}{shape(tensor)}")
assert [shape(t) for t in (q, k)] == ["(B, H, T, K)", "(B, G, S, K)"]
assert (shape(weights), shape(output)) == ("(B, H, T, S)", "(B, H, T, K)")

# %% [markdown]
# Names of tensors are fixed too: `ids targets logits probs loss x h c q k v scores weights memory mask kv_cache`. A decoder (解码器) returns logits (未归一化的得分) (B, T, V), an encoder (编码器) hidden states (隐状态) (B, T, D).
#
# ## 3 Conventions
#
# ### Rows
#
# A vector is a row, and a layer multiplies from the right: $\mathbf{x}W + \mathbf{b}$. Many books write columns, $W\mathbf{x} + \mathbf{b}$; their $W$ is the transpose of ours. torch's `nn.Linear` *stores* the transpose, (outputs, inputs), and computes ours.

# %%
linear = nn.Linear(3, 2)
row = torch.tensor([[1.0, 2.0, 3.0]])
W = linear.weight.T  # (inputs, outputs)
print("stored", tuple(linear.weight.shape), " our W", tuple(W.shape))
assert torch.allclose(linear(row), row @ W + linear.bias)

# %% [markdown]
# ### Masks: True = may attend
#
# A mask (掩码) says which positions may look where. Beware: torch has two conventions, and one of them is the opposite of ours.
#
# | where | True (or 1) means |
# |---|---|
# | this course: `mask`, `causal_mask`, `padding_mask` | may attend |
# | torch: `scaled_dot_product_attention(attn_mask=…)` | may attend |
# | torch: `nn.MultiheadAttention(attn_mask=…, key_padding_mask=…)`, and its `nn.Transformer…` layers | may **not** attend |
# | Hugging Face: `attention_mask` | may attend |

# %%
print(causal_mask(3).int())
print(padding_mask(torch.tensor([2, 3]), 3).int())  # lengths 2 and 3

# %%
q = k = v = torch.randn(1, 1, 3, 4)
mask = causal_mask(3)
ours = attention_explicit(q, k, v, mask).output
assert torch.allclose(
    ours, F.scaled_dot_product_attention(q, k, v, attn_mask=mask), atol=1e-6
)

# %%
module = nn.MultiheadAttention(4, 1, batch_first=True)
_, seen = module(q[0], k[0], v[0], attn_mask=~mask)  # note the ~
print("may be seen, by our mask: ", mask.int().tolist())
print("seen by MultiheadAttention", (seen[0] > 0).int().tolist(), "given ~mask")
assert torch.equal(seen[0] > 0, mask)

# %% [markdown]
# ### Positions that do not count
#
# A target of `IGNORE_INDEX`, −100 as in torch, adds nothing to the loss: padding (填充), or tokens that a masked language model (掩码语言模型) is not asked for.

# %%
logits = torch.randn(1, 4, V)
targets = torch.tensor([[3, 8, IGNORE_INDEX, IGNORE_INDEX]])
assert IGNORE_INDEX == -100 == nn.CrossEntropyLoss().ignore_index
assert torch.equal(
    cross_entropy(logits, targets), cross_entropy(logits[:, :2], targets[:, :2])
)

# %% [markdown]
# Two more differences from torch: batch first, always (in `nn.LSTM` and `nn.MultiheadAttention` it must be asked for); and our `cross_entropy` has the classes on the last axis, torch's on the second.

# %%
for kind in (
    nn.LSTM(1, 1),
    nn.MultiheadAttention(1, 1),
    nn.TransformerEncoderLayer(2, 1),
):
    attention_inside = getattr(kind, "self_attn", kind)
    print(type(kind).__name__, "batch_first =", attention_inside.batch_first)
    assert not attention_inside.batch_first

# %%
logits, targets = torch.randn(B, T, V), torch.randint(V, (B, T))
swapped = logits.transpose(1, 2)  # (B, T, V) -> (B, V, T)
assert torch.allclose(cross_entropy(logits, targets), F.cross_entropy(swapped, targets))

# %% [markdown]
# ### Nats, bits, perplexity
#
# Losses are in **nats** (奈特), by the natural logarithm; the scoreboard is in **bits per byte** (每字节比特数). Take a text of 380 bytes that a model reads as 100 tokens, with a loss of 2 nats a token:
#
# | unit | from the loss | here |
# |---|---|---|
# | nats per token | $L$ | 2.00 |
# | bits (比特) per token | $L / \log 2$ | 2.89 |
# | perplexity (困惑度) | $e^L$ | 7.39 |
# | bits per byte | tokens · $L$ / (bytes · $\log 2$) | 0.76 |

# %%
L, n_tokens, n_bytes = 2.0, 100, 380
figures = (bits_per_token(L), perplexity(L), bits_per_byte(n_tokens * L, n_bytes))
print([round(figure, 2) for figure in figures])
assert [round(figure, 2) for figure in figures] == [2.89, 7.39, 0.76]
assert math.isclose(figures[2], n_tokens * L / (n_bytes * math.log(2)))

# %% [markdown]
# Only the last compares models with different tokens; [chapter 01, section 4](01_language_models.ipynb#4-Four-units-for-one-quantity) says why.
#
# ## 4 Names, and what others call them
#
# A row of the table below is one thing. "GPT-2" is OpenAI's own code, "paper" is Vaswani et al. (2017), "GGUF" are the facts and weights in a file for llama.cpp. The first rows are fields of a configuration or arguments; from `tok_emb` on (an embedding, 嵌入) they are parts of a model. Where a library has several names, models differ: `n_embd` in GPT-2's configuration, `hidden_size` in BERT's and Llama's.

# %%
CROSSWALK = """
ours | meaning | GPT-2 | paper | Hugging Face | GGUF | torch
vocab_size | number of tokens V | n_vocab | | vocab_size | vocab_size | num_embeddings
max_seq_len | longest sequence | n_ctx | | n_positions, max_position_embeddings | context_length |
d_model | width D of a position's vector | n_embd | d_model | n_embd, hidden_size | embedding_length | embed_dim, d_model
n_layers | blocks | n_layer | N | n_layer, num_hidden_layers | block_count | num_layers
n_heads | attention heads H | n_head | h | n_head, num_attention_heads | attention.head_count | num_heads, nhead
n_kv_heads | key and value heads G | | | num_key_value_heads | attention.head_count_kv |
d_head | width K of one head | | d_k | head_dim | |
d_ff | inner width F of the feed-forward | | d_ff | n_inner, intermediate_size | feed_forward_length | dim_feedforward
norm_eps | added to a variance | epsilon | | layer_norm_epsilon, layer_norm_eps, rms_norm_eps | attention.layer_norm_rms_epsilon | eps, layer_norm_eps
rope_base | base of RoPE's angles | | | rope_theta | rope.freq_base |
n_segments | kinds of segment | | | type_vocab_size | |
order | n of an n-gram | | | | |
input_size, hidden_size | widths of a recurrent layer | | | | | input_size, hidden_size
tok_emb | token embedding | wte | | wte, embed_tokens, word_embeddings | token_embd |
pos_emb | position embedding | wpe | PE | wpe, position_embeddings | |
q_proj, k_proj, v_proj | projections | c_attn | W^Q, W^K, W^V | c_attn, q_proj, k_proj, v_proj, query, key, value | attn_q, attn_k, attn_v | in_proj_weight
attn_norm, ff_norm | norms of a block | ln_1, ln_2 | | ln_1, ln_2, input_layernorm, post_attention_layernorm, LayerNorm | attn_norm, ffn_norm | norm1, norm2
attn.out_proj | projection after the heads | c_proj | W^O | c_proj, o_proj, output | attn_output | out_proj
ff.in_proj | D to F | c_fc | W_1 | c_fc, up_proj, intermediate | ffn_up | linear1
ff.gate_proj | SwiGLU's gate, D to F | | | gate_proj | ffn_gate |
ff.out_proj | F to D | c_proj | W_2 | c_proj, down_proj, output | ffn_down | linear2
final_norm | norm after the last block | ln_f | | ln_f, norm | output_norm |
lm_head | D to V scores | wte | | lm_head | |
"""

# %%
head, *rows = [
    [cell.strip() for cell in line.split("|")] for line in CROSSWALK.strip().split("\n")
]


def names(column):
    """Our name -> the names in a column, for each row that has some."""
    at = head.index(column)
    return {row[0]: row[at].split(", ") for row in rows if row[at]}


def html_row(cells, tag):
    left = f'<{tag} style="text-align:left">'
    return f"<tr>{''.join(f'{left}{escape(cell)}</{tag}>' for cell in cells)}</tr>"


# %%
assert all(len(row) == len(head) for row in rows)
HTML(
    f"<table>{html_row(head, 'th')}{''.join(html_row(row, 'td') for row in rows)}</table>"
)

# %% [markdown]
# (GPT-2's code uses `wte` transposed as the output matrix, and `c_attn` holds all three projections side by side. `attn.c_proj` and `mlp.c_proj` share a name there, and so do `attention.output` and `output` in BERT.)
#
# Is it true? First our own column: each name is a field of a configuration, or a part of a model.

# %%
fields = {
    field.name
    for config_class in (GPTConfig, BertConfig, RNNLMConfig)
    for field in dataclasses.fields(config_class)
}

# %%
gated = GPT(dataclasses.replace(config, ff="swiglu"))
paths = [name.split(".") for name, _ in gated.named_modules()]
parts = {part for path in paths for part in (path[-1], ".".join(path[-2:]))}
parts |= set(inspect.signature(NGram.train).parameters)
ours = {name for row in rows for name in row[0].split(", ")}
print("fields:", *sorted(ours & fields))
print("parts: ", *sorted(ours - fields))
assert ours <= fields | parts | {"lm_head"} and hasattr(gpt, "lm_head")

# %% [markdown]
# torch's column: which of its layers has an argument, or a weight, of that name?

# %%
LAYERS = (
    *(nn.Embedding, nn.LayerNorm, nn.RNNBase, nn.MultiheadAttention),
    *(nn.TransformerEncoderLayer, nn.TransformerEncoder),
)
state = nn.TransformerEncoderLayer(4, 1).state_dict()  # with attention inside
weights = {part for name in state for part in name.split(".")}
for name in sorted({name for found in names("torch").values() for name in found}):
    where = [c.__name__ for c in LAYERS if name in inspect.signature(c).parameters]
    where += ["TransformerEncoderLayer's weights"] * (name in weights)
    print(f"{name:16}", ", ".join(where))
    assert where

# %% [markdown]
# Hugging Face's column. Configurations of the three kinds are read by the functions that load published models. Give each field a number of its own, and see which of our fields receives it. BERT's are from a real file, MiniLM's.

# %%
common = {"vocab_size": 101, "intermediate_size": 107, "head_dim": 18}
samples = {
    gpt2_config: {"vocab_size": 101, "n_positions": 103, "n_embd": 96, "n_layer": 5}
    | {"n_head": 6, "n_inner": 107, "layer_norm_epsilon": 1e-3},
    llama.llama_config: common
    | {"max_position_embeddings": 103, "hidden_size": 96, "num_hidden_layers": 5}
    | {"num_attention_heads": 6, "num_key_value_heads": 3, "rms_norm_eps": 1e-3}
    | {"rope_theta": 5000.0},
}

# %%
minilm = json.loads((fetch("minilm") / "config.json").read_text("utf-8"))
read = [(fields, reader(fields)) for reader, fields in samples.items()]
read.append((minilm, bert_config(minilm, set())))


# %%
def same(a, b):
    """Equal, and both of one kind: 1 is not True, nor 1.0."""
    return type(a) is type(b) and a == b


found = {
    (ours, name)
    for theirs, config in read
    for name, value in theirs.items()
    for ours, our_value in vars(config).items()
    if value is not True and same(value, our_value)
}

# %%
table = {(ours, name) for ours, many in names("Hugging Face").items() for name in many}
renamed = sorted(f"{ours} = {name}" for ours, name in found if ours != name)
print(len(found), "pairs found:", *renamed[:4], "…", sep="  ")
assert {pair for pair in found if pair[0] in names("Hugging Face")} <= table

# %% [markdown]
# What the table has beyond configurations are names of weights. The functions that load published files know which of theirs becomes which of ours:


# %%
def weight_pairs(layout):
    """(our name, their name) for each part of a weight's path in a file."""
    pairs = set()
    for theirs, ours in layout.items():
        path = ours.replace("qkv", "q_proj").split(".")
        for our_name in (path[-1], ".".join(path[-2:])):
            pairs |= {(our_name, part) for part in theirs.split(".")}
    return pairs


def holds(row, name, pairs):
    """Whether a name in a table's row stands for one of that row's own names."""
    return any((our_name, name) in pairs for our_name in row.split(", "))


# %%
in_files = weight_pairs(GPT2_NAMES | llama.LLAMA_NAMES | BERT_NAMES)
of_weights = table - found
print(*sorted({name for _, name in of_weights}))
assert len(of_weights) > 20
assert all(holds(row, name, in_files) for row, name in of_weights)

# %% [markdown]
# And GGUF's, in SmolLM2's own file: its facts first, then the names of its weights.

# %%
file = GGUFFile(fetch("smollm2"))
smollm2 = llama.gguf_config(file.metadata, tied=True)
facts = {ours: theirs for theirs, ours in llama.GGUF_FACTS.items()}
for ours, theirs in names("GGUF").items():
    if ours in facts:
        value = getattr(smollm2, ours)
        print(f"{theirs[0]:34}{ours:12}{value}")
        assert theirs == [facts[ours]]
        assert math.isclose(file.metadata[f"llama.{theirs[0]}"], value, rel_tol=1e-6)

# %%
in_file = {part for name in file.tensors for part in name.split(".")}
gguf = weight_pairs(llama.GGUF_NAMES)
for row, many in names("GGUF").items():
    if row not in facts:
        print(f"{', '.join(many):24}{row}")
        assert all(name in in_file and holds(row, name, gguf) for name in many)

# %% [markdown]
# The columns "GPT-2" and "paper" cannot be run here; they were read in OpenAI's `src/model.py` and in the paper's sections 3.1 to 3.5 ($N$, $d_\mathrm{model}$; $h$, $d_k$, $W^Q$; $d_\mathrm{ff}$, $W_1$; PE).
#
# ## 5 Names of training and generation

# %%
training = (
    "batch_size lr min_lr warmup_steps max_steps "
    "weight_decay betas grad_clip grad_accum_steps seed"
)
print(training)
assert {field.name for field in dataclasses.fields(TrainConfig)} == set(
    training.split()
)

# %%
generation = "max_new_tokens temperature top_k top_p n_beams"
print(generation)
known = {field.name for field in dataclasses.fields(Sampling)}
for function in (generate, generate_beams):
    known |= set(inspect.signature(function).parameters)
assert set(generation.split()) <= known

# %% [markdown]
# | name | means |
# |---|---|
# | `lr`, `min_lr` | peak learning rate, and the one that a schedule ends at |
# | `warmup_steps` | steps over which it rises to the peak (预热) |
# | `betas` | Adam's two decay rates |
# | `grad_clip` | largest norm of the gradient |
# | `grad_accum_steps` | small batches added up before one step |
# | `temperature`, `top_k`, `top_p` | how the next token is drawn: [chapter 09, section 8](09_gpt.ipynb#8-Choosing-the-next-token) |
# | `n_beams` | beam search (束搜索): [chapter 08, section 11](08_transformer.ipynb#11-From-spelling-to-sound) |
#
# ## References
#
# - A. Vaswani et al., "Attention is all you need", *NeurIPS* (2017), sections 3.1–3.5: the paper's names.
# - A. Radford et al., "Language models are unsupervised multitask learners", OpenAI (2019), and its code, [openai/gpt-2](https://github.com/openai/gpt-2), `src/model.py`: GPT-2's names.
# - The configurations of [GPT-2](https://huggingface.co/docs/transformers/model_doc/gpt2), [BERT](https://huggingface.co/docs/transformers/model_doc/bert) and [Llama](https://huggingface.co/docs/transformers/model_doc/llama) in Hugging Face's `transformers`.
