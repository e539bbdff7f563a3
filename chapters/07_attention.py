# %% [markdown]
# # 07 · Attention
#
# **Question.** How can every position of a text look at every other one, pick out what it needs, and learn by gradient descent what to pick?
#
# **Prerequisites.** [03 Activations](03_activations.ipynb): softmax (归一化指数函数) and its Jacobian (雅可比矩阵); [06 Recurrent networks and the LSTM](06_lstm.ipynb): encoder, decoder, the bottleneck (瓶颈).
#
# **Time.** 90–120 minutes to read; 20–60 s to run on two CPU cores.

# %% [markdown]
# After this chapter you can
#
# - compute attention (注意力) with pencil and paper, and prove a loop, a matrix product and a fused kernel equal;
# - say what the square root in the formula prevents, and show it with two numbers;
# - write a causal and a padding mask, and recognise a model that was trained without the first;
# - read multi-head and grouped-query attention off their shapes, and compute a cache's size from a config;
# - state what attention costs in time and memory, and what it cannot see at all.

# %%
import inspect
import json
import math
import os
import re
import string
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

# %%
from lmcore.assets import fetch
from lmcore.attention import (
    Attention,
    attention,
    attention_explicit,
    causal_mask,
    padding_mask,
)
from lmcore.course.scoreboard import read_scoreboard
from lmcore.data import batches, course_corpus, next_token_pairs
from lmcore.losses import cross_entropy
from lmcore.models.gpt import PRESETS
from lmcore.models.seq2seq_attention import (
    AdditiveAttention,
    Seq2SeqAttention,
    Seq2SeqAttentionConfig,
)
from lmcore.models.word_evaluation import read_pairs, spearman
from lmcore.optim import Adam, cosine_schedule
from lmcore.plotting import new_plot, new_plots, plt
from lmcore.positions import sinusoidal_positions
from lmcore.pretrained.minilm import load_minilm
from lmcore.runtime import pick_device, seed_everything

# %%
generator = seed_everything(0)
torch.set_num_threads(1)  # many small products: a second thread would mostly wait
device, f64 = pick_device(), torch.float64
splits, RESULTS = course_corpus(), Path("..") / "results"

# %% [markdown]
# ## 1 The wall, once more
#
# Chapter 06 ended with a task that needs all of its source: read "so foul and fair", write "riaf dna luof os". An
# LSTM (长短期记忆网络), the **encoder** (编码器), read the letters; another one, the **decoder** (解码器), wrote them. All that
# the decoder got was the encoder's last state.

# %%
bottleneck = json.loads((RESULTS / "seq2seq_bottleneck.json").read_text())
lengths = bottleneck["lengths"]
at = {length: place for place, length in enumerate(lengths)}
narrow, wide = bottleneck["runs"]
for length in (4, 10, 20):
    share = narrow["spans_right"][at[length]]
    print(f"{length:2} letters, 32 units: {share:.0%} written without a mistake")
assert narrow["hidden_size"] == 32 and narrow["spans_right"][at[20]] < 0.01

# %% [markdown]
# Half of the spans of 10 letters come back, none of those of 20. But the encoder did not only have a *last* state: it
# had one after each letter, and threw all but one away.
#
# ## 2 Look back at every state
#
# **Number.** Say that the encoder read three letters and had the states $\mathbf{h}_1, \mathbf{h}_2, \mathbf{h}_3$,
# two numbers each. The decoder is about to write and gives each of them a **score** (得分): 2 for the first, 0 for the
# second, 1 for the third. A softmax turns the scores into shares of 1, the **weights** (权重), and the decoder gets the
# mean of the three states under these weights: the **context** (上下文向量) $\mathbf{c}$.

# %%
states = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], dtype=f64)
scores = torch.tensor([2.0, 0.0, 1.0], dtype=f64)
weights = scores.exp() / scores.exp().sum()
context = weights @ states
print("weights", weights.numpy().round(3), " context", context.numpy().round(3))
assert weights.numpy().round(3).tolist() == [0.665, 0.09, 0.245]
assert torch.allclose(context[0], weights[0] - weights[2])

# %% [markdown]
# The context has two numbers, like each state, however many states there are. Nothing is chosen outright: a mean
# under weights has a gradient (梯度), so what to look at can be learned.
#
# Where do scores come from? From a small network that compares the decoder's state $\mathbf{s}$ with each
# $\mathbf{h}_j$. **Code.** Two matrices bring both to the same width, a tanh joins them, and a vector $\mathbf{v}$
# makes one number of it.


# %%
def additive_loop(s, states, W, U, b, v):
    """Context and weights for one query s (Q,), over states (S, M)."""
    scores = [torch.tanh(s @ W + h @ U + b) @ v for h in states]
    weights = torch.stack(scores).softmax(-1)
    return sum(w * h for w, h in zip(weights, states, strict=True)), weights


# %% [markdown]
# **Equation.** This is **additive attention** (加性注意力; Bahdanau et al. 2015, section 3.1 and appendix A.1.2):
#
# $$e_j = \tanh(\mathbf{s}W + \mathbf{h}_jU + \mathbf{b}) \cdot \mathbf{v}, \qquad
# \alpha_j = \frac{\exp e_j}{\sum_i \exp e_i}, \qquad
# \mathbf{c} = \sum_j \alpha_j \mathbf{h}_j.$$
#
# $e_j$ is the score, $\alpha_j$ the weight; $W$, $U$, $\mathbf{b}$ and $\mathbf{v}$ are learned with everything
# else (the paper writes no $\mathbf{b}$). lmcore's module does it for a whole batch (批). `query` is $\mathbf{s}$, `memory` holds the $\mathbf{h}_j$, and
# `keys` are $\mathbf{h}_jU + \mathbf{b}$, computed once, since they do not depend on $\mathbf{s}$. `mask` marks the
# real positions; A is the width in which they are compared.

# %%
print(inspect.getsource(AdditiveAttention.__init__))
source = inspect.getsource(AdditiveAttention.forward)
print(source[source.index("        q = ") :])

# %%
module = AdditiveAttention(query_size=4, memory_size=6, attention_size=5).to(f64)
s, h = torch.randn(4, dtype=f64), torch.randn(7, 6, dtype=f64)
with torch.no_grad():
    everything = torch.ones(1, 7, dtype=torch.bool)
    theirs = module(s[None], module.k_proj(h)[None], h[None], everything)
    # torch keeps W and U transposed
    W, U, b = module.q_proj.weight.T, module.k_proj.weight.T, module.k_proj.bias
    ours = additive_loop(s, h, W, U, b, module.v.weight[0])
for mine, lmcores in zip(ours, theirs, strict=True):
    assert (mine - lmcores[0]).abs().max() < 1e-10

# %% [markdown]
# The two agree. At each letter that it writes, the decoder asks anew, and reads the context beside the letter before.
# You may still read that an encoder turns its source into "a fixed-length vector". That is what attention did away
# with: what is handed over now has one vector *per position*. (Here of 96 numbers: an LSTM of 48 units reads forwards,
# a second one backwards.)

# %%
config = Seq2SeqAttentionConfig(
    source_vocab_size=27,
    vocab_size=28,
    input_size=32,
    hidden_size=48,
    n_layers=1,
    dropout=0.0,
)
model = Seq2SeqAttention(config)
for length in (3, 24):
    memory = model.encode(torch.randint(27, (1, length))).memory
    print(f"{length:2} letters become {memory.shape[1]} vectors of {memory.shape[2]}")
    assert memory.shape == (1, length, 96)

# %% [markdown]
# ## 3 The second curve
#
# The same task, the same data, the same 3,000 steps, the same encoder, in one direction; only the decoder may look
# back. **Predict.**
# With 32 units and without attention, spans of 20 letters were hopeless. Where will the curve of 32 units *with*
# attention cross one half?

# %%
looking = bottleneck["with_attention"]["runs"][0]
assert looking["hidden_size"] == 32
assert bottleneck["with_attention"]["train_config"] == bottleneck["train_config"]
assert bottleneck["with_attention"]["lengths"] == lengths

# %% alt="Share of spans written without a mistake against their length, 2 to 24 letters. Without attention the curve of 32 units falls to a hundredth at 18 letters and to zero at 20, that of 128 units to a third at 24. The curve of 32 units with attention stays above nine tenths everywhere."
figure, axes = new_plot(
    "With attention, length hardly matters",
    "letters in the source",
    "share written without a mistake",
)
named = [
    (looking, "32 units, with attention"),
    (wide, "128 units, without"),
    (narrow, "32 units, without"),
]
for result, label in named:
    axes.plot(lengths, result["spans_right"], marker="o", label=label)
axes.legend()
axes.set_ylim(-0.03, 1.03)
assert min(looking["spans_right"]) > 0.9 and narrow["spans_right"][-1] == 0
plt.show()
print(bottleneck["with_attention"]["command"])

# %% [markdown]
# **How to read it.** Higher is better; each point is the share of 300 spans from works that the training did not see.

# %%
gain = looking["parameters"] - narrow["parameters"]
print(f"{gain:,} parameters more; 128 units have {wide['parameters']:,}")
assert gain == 7_104 and looking["parameters"] == 26_684
assert wide["parameters"] > 6 * looking["parameters"]
better = [
    a > b for a, b in zip(looking["spans_right"], wide["spans_right"], strict=True)
]
assert all(better[at[9] :]) and not all(better) and wide["spans_right"][at[24]] < 0.4

# %% [markdown]
# It never does. For 7,104 parameters more, 32 units that look back beat 128 that do not, six times as many parameters,
# on every length from 9 letters on. (The curve still falls a little towards 24.) Two things were mended at once: no
# state has to carry the whole span, and the gradient goes from a letter written to the letter read in one step; the
# plot does not tell which counted more. Bahdanau et al. (2015, figure 2) found the same with translations from English
# to French: with attention, and trained on sentences of up to 50 words, their model held its quality on long ones.
#
# ## 4 Where it looks
#
# A weight is a share of attention, so it can be drawn. Train a small model, for 250 steps, on spans of up to 16
# letters. Its encoder reads in both directions, so that each $\mathbf{h}_j$ knows both neighbours. The decoder reads,
# at each place, the right letters so far, not its own.

# %%
LETTERS = " " + string.ascii_lowercase
START = len(LETTERS)


def letter_ids(text):
    """Letters and spaces of a text, as ids."""
    plain = " ".join(re.findall("[a-z]+", text.lower()))
    return torch.tensor([LETTERS.index(letter) for letter in plain])


# %%
def mirrored(ids, length, n):
    """n random spans, what the decoder reads, and what it must write."""
    starts = torch.randint(len(ids) - length, (n, 1), generator=generator)
    source = ids[starts + torch.arange(length)]  # (n, length)
    targets = source.flip(1)
    start = torch.full((n, 1), START)
    return source, torch.cat([start, targets[:, :-1]], dim=1), targets


# %%
letters, optimizer = letter_ids(splits.train), Adam(model.parameters(), lr=1e-2)
for step in tqdm(range(1, 251), disable="CI" in os.environ):
    length = int(torch.randint(2, 17, (), generator=generator))
    source, ids, targets = mirrored(letters, length, 32)
    loss = cross_entropy(model(source, ids), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.lr = cosine_schedule(step, lr=1e-2, max_steps=250, warmup_steps=20)
    optimizer.step()

# %%
line = "so foul and fair"
source = letter_ids(line)[None]
ids = torch.cat([torch.tensor([[START]]), source.flip(1)[:, :-1]], dim=1)
with torch.no_grad():
    where = model.attention_weights(source, ids)[0]  # (T, S)
assert torch.allclose(where.sum(-1), torch.ones(16))

# %% alt="A heat map of 16 written letters against 16 read letters of 'so foul and fair'. The bright cells run from the upper right to the lower left."
figure, axes = new_plot(
    "Each letter is looked up near its own place",
    "letter read",
    "letter written",
    width=5.6,
    height=5.0,
)
image = axes.imshow(where, vmin=0, vmax=1)
axes.set_xticks(range(16), line.replace(" ", "_"))
axes.set_yticks(range(16), line[::-1].replace(" ", "_"))
axes.grid(visible=False)
figure.colorbar(image, label="weight")
mirror = torch.arange(15, -1, -1)
assert ((where.argmax(-1) - mirror).abs() <= 1).double().mean() > 0.85
plt.show()

# %% [markdown]
# **How to read it.** One row per letter written, from top to bottom; bright cells show which letters were looked at.
# Each row sums to 1.
#
# Nobody told the model which source letter belongs to which target letter. One sentence may be luck, so count on 200
# spans of the test works, of 8 letters each: in how many rows is the largest weight at the mirrored place, and in how
# many at most one place off?

# %% tags=["nbval-ignore-output"]
source, ids, _ = mirrored(letter_ids(splits.test), 8, 200)
with torch.no_grad():
    largest = model.attention_weights(source, ids).argmax(-1)  # (200, 8)
off = (largest - torch.arange(7, -1, -1)).abs()
hits, near = (off == 0).double().mean(), (off <= 1).double().mean()
print(f"at its place: {hits:.0%}, by chance {1 / 8:.0%}; at most one off: {near:.0%}")
assert hits > 0.6 and near > 0.85

# %% [markdown]
# One place off need not be a mistake: each state was made from its neighbours as well, and can hold their letters. A
# weight says which *vector* was read, not which letter the vector is about.
#
# ## 5 A soft dictionary
#
# A Python dictionary is a lookup, too: a **query** (查询) is compared with every **key** (键), and the **value** (值) of
# the key that is *equal* comes back. If none is, there is an error. Attention is the same with "equal" made soft:
# keys and queries are vectors, the score says how well they match, and every value comes back, in proportion.
#
# **Number.** Two keys that point in different directions, their values 10 and 20, and a query that is closer to the
# first. Here the score is a dot product (点积; Luong et al. 2015, section 3.1): cheaper than the small network of
# section 2, and one matrix product for all pairs.

# %%
keys = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=f64)
values = torch.tensor([10.0, 20.0], dtype=f64)
query = torch.tensor([1.0, 0.5], dtype=f64)
answers = []
for sharpness in (0, 1, 4, 100):
    weights = (sharpness * query @ keys.T).softmax(-1)
    answers.append((weights @ values).item())
    print(f"query × {sharpness:3}: weights {weights.numpy().round(3)}", end="")
    print(f" → {answers[-1]:.2f}")
assert [round(a, 1) for a in answers] == [15.0, 13.8, 11.2, 10.0]

# %% [markdown]
# A query of length zero gets the plain mean; a very long one gets the hard lookup. In between lies everything that
# can be learned.
#
# In section 2, keys and values were the same vectors, the $\mathbf{h}_j$. It pays to let them differ: what a word is
# *found by* need not be what it *tells*. So each position makes three vectors from its own $\mathbf{x}$ with three
# learned matrices:
#
# $$\mathbf{q} = \mathbf{x}W_Q, \qquad \mathbf{k} = \mathbf{x}W_K, \qquad \mathbf{v} = \mathbf{x}W_V.$$
#
# (From here on $\mathbf{v}$ is a value; section 2's $\mathbf{v}$, which made scores, is not needed any more.)
#
# If queries come from the same sequence as keys and values, this is **self-attention** (自注意力). If a decoder asks and
# an encoder's output answers, it is **cross-attention** (交叉注意力): section 2 was one.
#
# **Predict.** Without the matrices, with $\mathbf{q} = \mathbf{k} = \mathbf{x}$, "chases" gives "cat" a high score.
# What does "cat" give "chases"? And which word does each find best, if all vectors have length 1?

# %%
x = torch.randn(3, 4, dtype=f64)  # 3 words
W_Q, W_K = torch.randn(2, 4, 4, dtype=f64)
plain, learned = x @ x.T, (x @ W_Q) @ (x @ W_K).T
assert torch.allclose(plain, plain.T) and not torch.allclose(learned, learned.T)
unit = x / x.norm(dim=1, keepdim=True)
assert (unit @ unit.T).argmax(-1).tolist() == [0, 1, 2]
print("symmetric without W_Q and W_K, free with them")

# %% [markdown]
# The scores would be symmetric: as high from the verb to its subject as back. And each word would find itself best:
# among vectors of one length, none has a larger dot product with $\mathbf{x}$ than $\mathbf{x}$. Asking and being
# found need different vectors.
#
# ## 6 A worked example, and a wrong one
#
# You may meet attention "worked by hand" as follows: multiply a query with a key, take the softmax of this number,
# multiply with the value; do this for each pair. Run it. Three words, two numbers each; to keep the arithmetic easy,
# $W_Q$, $W_K$ and $W_V$ change nothing.

# %%
x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=f64)
claimed = torch.empty(3, 3, dtype=f64)
for t in range(3):
    for j in range(3):
        score = x[t] @ x[j] / math.sqrt(2)
        claimed[t, j] = torch.softmax(score[None], dim=0)[0]
print(claimed.numpy())
assert (claimed == 1).all()

# %% [markdown]
# All ones: $e^z/e^z = 1$, whatever $z$ is. The three scores made no difference, and each output is the *sum* of all
# values. A softmax compares the numbers of a **row**: one query, all keys. By hand, for the first word: its scores
# are $1, 0, 1$, divided by $\sqrt 2$ (the next section says why) $0.71, 0, 0.71$. The exponentials are $2.03, 1,
# 2.03$, their sum $5.06$, and so the weights $0.40, 0.20, 0.40$.

# %%
scores = x @ x.T / math.sqrt(2)
weights = scores.softmax(-1)  # along the keys
output = weights @ x
print(weights.numpy().round(2), output[0].numpy().round(2), sep="\n")
assert scores[0].exp().numpy().round(2).tolist() == [2.03, 1.0, 2.03]
assert weights[0].numpy().round(2).tolist() == [0.40, 0.20, 0.40]
assert torch.allclose(weights.sum(-1), torch.ones(3, dtype=f64))
assert output[0].numpy().round(2).tolist() == [0.80, 0.60]

# %% [markdown]
# The first word's answer is $0.40\,(1, 0) + 0.20\,(0, 1) + 0.40\,(1, 1) = (0.80, 0.60)$: a mean of all three values,
# itself included.
#
# ## 7 Why divide by a square root?
#
# **Number.** Take queries and keys whose numbers are drawn independently, with mean 0 and variance (方差) 1. How far do
# their dot products spread, if the vectors have $K$ numbers?


# %%
def random_scores(width, n_queries=500, n_keys=64):
    """Dot products of random queries with n_keys random keys each, unscaled."""
    rng = torch.Generator().manual_seed(width)
    q = torch.randn(n_queries, 1, width, dtype=f64, generator=rng)
    k = torch.randn(n_queries, n_keys, width, dtype=f64, generator=rng)
    return (q * k).sum(-1)  # (n_queries, n_keys)


# %%
WIDTHS = [1, 4, 16, 64, 256, 1024]
unscaled = {width: random_scores(width) for width in WIDTHS}
for width in (4, 64, 1024):
    spread = unscaled[width].std().item()
    print(f"K = {width:4}: standard deviation {spread:.0f}")
    assert abs(spread / math.sqrt(width) - 1) < 0.05

# %% [markdown]
# **Equation.** $\mathbf{q} \cdot \mathbf{k} = \sum_{i=1}^{K} q_i k_i$. Each term has mean 0 and variance 1, the terms
# are independent, and variances add up: $\mathrm{Var}(\mathbf{q} \cdot \mathbf{k}) = K$. The standard deviation
# (标准差) is $\sqrt K$, and dividing by it makes it 1 for every width (Vaswani et al. 2017, section 3.2.1).
#
# What is wrong with large scores? **Predict.** A softmax over 64 keys, with scores of standard deviation 32: how many
# keys share the weight? Measure two things: the **entropy** (熵) of the weights, $-\sum_j \alpha_j \log \alpha_j$,
# which is $\log 64 = 4.16$ nats if all share and 0 if one has all; and how much of a gradient passes through the
# softmax, as the length (root of the sum of squares) of its Jacobian $\mathrm{diag}(\boldsymbol\alpha) -
# \boldsymbol\alpha^\top\boldsymbol\alpha$ (chapter 03).


# %%
def saturation(scores):
    """Mean entropy in nats of the softmax's rows; length of each row's Jacobian."""
    w = scores.softmax(-1)
    entropy = -torch.special.xlogy(w, w).sum(-1).mean().item()
    jacobian = torch.diag_embed(w) - w.unsqueeze(-1) * w.unsqueeze(-2)
    return entropy, jacobian.flatten(1).norm(dim=-1)


# %%
raw = [saturation(unscaled[width]) for width in WIDTHS]
scaled = [saturation(unscaled[width] / math.sqrt(width)) for width in WIDTHS]

# %% alt="Two plots against the width K from 1 to 1,024. Left: without scaling, the entropy falls from 3.7 nats to nearly 0, with scaling it stays at 3.7. Right: without scaling, the gradient rises to 0.33 at K = 16 and falls to a thousandth at 1,024; with scaling it stays near 0.18."
figure, (left, right) = new_plots(1, 2)
for rows, label in ((raw, "q · k"), (scaled, "q · k / √K")):
    medians = [lengths.median() for _, lengths in rows]
    left.semilogx(WIDTHS, [entropy for entropy, _ in rows], marker="o", label=label)
    right.semilogx(WIDTHS, medians, marker="o", label=label)
for axes in (left, right):
    axes.set_xlabel("K, width of query and key")
    axes.legend()
left.set(title="Without scaling one key takes all", ylabel="entropy of a row, nats")
right.set(title="… and wide vectors freeze", ylabel="length of the Jacobian")
assert raw[-1][0] < 0.25 and all(3.5 < entropy < 3.9 for entropy, _ in scaled)
assert raw[-1][1].median() < 0.005
assert all(0.1 < lengths.median() < 0.25 for _, lengths in scaled)
plt.show()

# %% [markdown]
# **How to read it.** Left: higher means that more keys share the weight. Right: a gradient that comes to the weights
# reaches the scores multiplied by this at most (the median of 500 rows).

# %%
for name, (entropy, _) in (("unscaled", raw[-1]), ("scaled", scaled[-1])):
    as_many = math.exp(entropy)  # keys with equal shares that give this entropy
    print(f"K = 1024, {name}: {entropy:.1f} nats, as of {as_many:.0f} equal keys")
medians = [(r[1].median(), s[1].median()) for r, s in zip(raw, scaled, strict=True)]
assert all(medians[i][0] > medians[i][1] for i in (1, 2, 3)) and WIDTHS[3] == 64
assert 0.15 < (raw[-1][1] > 0.1).double().mean() < 0.35
assert PRESETS["gpt2"].head_width == 64

# %% [markdown]
# Without the root, wide vectors with numbers of variance 1 make attention a hard choice before anything was learned,
# and through most of these choices hardly any gradient comes back: the softmax is **saturated** (饱和). Look closely,
# though: about one row in four, where a second key comes close, passes a gradient at $K = 1{,}024$, too; and from
# $K = 4$ to $64$ the unscaled gradient is the *larger* one, since rows with one moderate winner pass more than flat
# ones. The harm begins above that. GPT-2 has $K = 64$.
#
# ## 8 All queries at once
#
# Put everything together, one query and one number at a time.


# %%
def attention_loop(q, k, v):
    """Scaled dot-product attention; q (T, K), k and v (S, K), without any matrix."""
    output = torch.zeros(len(q), v.shape[1], dtype=q.dtype)
    for t in range(len(q)):
        scores = [sum(q[t] * key) / math.sqrt(q.shape[1]) for key in k]
        total = sum(math.exp(score) for score in scores)
        for j in range(len(k)):
            output[t] += math.exp(scores[j]) / total * v[j]
    return output


# %% [markdown]
# **Equation.** With all queries as rows of $Q$ $(T \times K)$, all keys and values as rows of $K$ and $V$ $(S \times
# K)$, **scaled dot-product attention** (缩放点积注意力) is two matrix products with a softmax of each row between them:
#
# $$\mathrm{attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt K}\right)V.$$
#
# (Two customs collide: $K$ is the matrix of keys, and, under the root, the width of one key, which the paper calls
# $d_k$.) lmcore writes it down as it stands. B is the batch, H the heads of section 11, G the same for now; the mask
# comes next.

# %%
source = inspect.getsource(attention_explicit)
print(source[source.index("    group = ") :])

# %%
q = torch.randn(1, 1, 5, 8, dtype=f64)  # B, H, T, K
k, v = torch.randn(2, 1, 1, 7, 8, dtype=f64)
explicit = attention_explicit(q, k, v)
by_loop = attention_loop(q[0, 0], k[0, 0], v[0, 0])
assert (by_loop - explicit.output[0, 0]).abs().max() < 1e-10
assert (attention(q, k, v) - explicit.output).abs().max() < 1e-10
print("scores", explicit.weights.shape, " output", explicit.output.shape)

# %% [markdown]
# `attention` gives the same numbers through PyTorch's **fused kernel** (融合内核), `scaled_dot_product_attention`, which
# never writes the $T \times S$ scores to memory. Section 13 measures what that is worth.
#
# ## 9 Who may look where
#
# A language model (语言模型) that writes from left to right must not look to the right: while it trains, the next
# token (词元) stands there, ready to be copied. The formula alone does not forbid it. A **mask** (掩码) does: boolean,
# and in this course always **True = may attend**. The **causal mask** (因果掩码) lets position $t$ see positions up to
# $t$.

# %%
print(causal_mask(5).int().numpy())
assert torch.equal(causal_mask(5), torch.arange(5)[:, None] >= torch.arange(5))

# %% [markdown]
# Masked scores become, before the softmax, the lowest number there is; their exponential is 0, and the rest of the
# row shares the weight. A test for any causal model: change the last token, and no earlier output may move. Not even
# in the last bit.

# %%
q, k, v = torch.randn(3, 1, 1, 5, 8, dtype=f64)
before = attention_explicit(q, k, v, causal_mask(5))
k2, v2 = k.clone(), v.clone()
k2[0, 0, -1] += 1
v2[0, 0, -1] += 1
after = attention_explicit(q, k2, v2, causal_mask(5)).output
assert torch.equal(before.output[0, 0, :4], after[0, 0, :4])
assert not torch.allclose(before.output[0, 0, 4], after[0, 0, 4])
fused = attention(q, k, v, causal=True)
assert (before.output - fused).abs().max() < 1e-10
print(before.weights[0, 0].numpy().round(2))

# %% [markdown]
# The first position sees only itself, with weight 1.
#
# The second kind of mask is for batches. Sentences differ in length; the shorter ones are filled up with **padding**
# (填充), and nobody may attend to that.

# %%
lengths_here = torch.tensor([5, 3])
q, k, v = torch.randn(3, 2, 1, 5, 8, dtype=f64)
mask = padding_mask(lengths_here, seq_len=5)  # (B, S)
padded = attention_explicit(q, k, v, mask[:, None, None])
alone = attention_explicit(q[1:], k[1:, :, :3], v[1:, :, :3])
print(padded.weights[1, 0, 0].numpy().round(2))
assert (padded.weights[1, ..., 3:] == 0).all()
assert (padded.output[1] - alone.output[0]).abs().max() < 1e-10

# %% [markdown]
# The last two weights are exactly 0, and the sentence of 3 gets what it would get alone.
#
# What if a row may attend to *nothing*, as when a whole sentence is padding? **Predict.** Masked scores are often set
# to $-\infty$. What is the softmax of a row of nothing but $-\infty$?

# %%
nothing = torch.zeros(5, 5, dtype=torch.bool)
naive = torch.full((5,), -math.inf).softmax(-1)
ours = attention_explicit(q, k, v, nothing).output
fused = attention(q, k, v, nothing)
print("with -inf:", naive[0].item(), " lmcore:", ours.abs().max().item())
assert naive.isnan().all() and (ours == 0).all() and (fused == 0).all()

# %% [markdown]
# $0/0$, not a number, and one of them turns the whole batch's loss into NaN. lmcore's rule: nothing to attend to
# gives zeros.
#
# ## 10 What happens without the mask
#
# Here is the smallest language model that attention makes: a vector for the byte, plus one for its position (section
# 14 says why), one layer of self-attention, and scores from both, "what I am" and "what I found".


# %%
class Reader(nn.Module):
    """Bytes to scores for the next byte through one layer of self-attention."""

    def __init__(self, causal, width=64, seq_len=64):
        super().__init__()
        self.causal = causal
        self.tok_emb = nn.Embedding(256, width)
        self.pos_emb = nn.Embedding(seq_len, width)
        self.attn = Attention(width, n_heads=4)
        self.lm_head = nn.Linear(2 * width, 256)

    def forward(self, ids):
        h = self.tok_emb(ids) + self.pos_emb.weight[: ids.shape[1]]
        found = self.attn(h, causal=self.causal)
        return self.lm_head(torch.cat([h, found], dim=-1))  # (B, T, V)


# %%
def byte_ids(text):
    """A text's UTF-8 bytes as ids."""
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).long()


def train_reader(causal, steps=150):
    """Train on this many batches of 32 windows of 64 bytes."""
    seed_everything(0)
    reader = Reader(causal).to(device)
    optimizer = Adam(reader.parameters(), lr=1e-2)
    pairs = next_token_pairs(byte_ids(splits.train), 64)
    stream = batches(*pairs, batch_size=32, seed=0)
    for _ in tqdm(range(steps), disable="CI" in os.environ):
        inputs, targets = (part.to(device) for part in next(stream))
        loss = cross_entropy(reader(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return reader


# %%
@torch.no_grad()
def reader_bits(reader, causal):
    """Bits per byte on validation text; causal says what it may see now."""
    text = byte_ids(splits.validation)[: 200 * 64 + 1]
    inputs, targets = next_token_pairs(text, 64)
    reader.causal = causal
    loss = cross_entropy(reader(inputs.to(device)), targets.to(device))
    return loss.item() / math.log(2)


# %% [markdown]
# **Predict.** Two of them train for 150 steps, one with the causal mask and one without. Which one has the better
# loss on validation text, and what can it be used for?

# %% tags=["nbval-ignore-output"]
honest, leaky = train_reader(causal=True), train_reader(causal=False)
bits = {
    "with mask": reader_bits(honest, causal=True),
    "without mask": reader_bits(leaky, causal=False),
    "without, but asked as in writing": reader_bits(leaky, causal=True),
}
for name, value in bits.items():
    print(f"{name:>32}: {value:4.1f} bits per byte")
board = [row.bits_per_byte for row in read_scoreboard() if row.chapter[:2] < "07"]
assert min(board) > 2
assert bits["without mask"] < 0.5 and 3 < bits["with mask"] < 4
assert bits["without, but asked as in writing"] > 8

# %% [markdown]
# 0.1 bits per byte, on held-out text, after 150 steps! No model of the chapters so far got below 2. Was English
# learned? The byte to be predicted stands one place to the right. Only the last of the 64 has nothing there. See
# whether, at each place, one of the four heads looks to the right, and what the loss is without the last place:

# %%
pairs = next_token_pairs(byte_ids(splits.validation)[: 20 * 64 + 1], 64)
ids, targets = (part.to(device) for part in pairs)
leaky.causal = False
with torch.no_grad():
    weights = leaky.attn.weights(leaky.tok_emb(ids) + leaky.pos_emb.weight)
    inside = cross_entropy(leaky(ids)[:, :-1], targets[:, :-1]).item() / math.log(2)
ahead = weights.diagonal(1, -2, -1).amax(dim=1).mean().item()
print(f"weight one place ahead, best head of each place: {ahead:.1f} on average")
print(f"without the last place: {inside:.1f} bits per byte")
assert ahead > 0.9 and inside < 0.03

# %% [markdown]
# The model copies; nearly all of the 0.1 bits are last places. When it writes, there is nothing to the right; then it
# is worse than the 8 bits of an even guess.


# %%
@torch.no_grad()
def write(reader, prompt, n=60):
    """n bytes, each drawn from the model's distribution."""
    rng, ids = torch.Generator().manual_seed(1), byte_ids(prompt)[None]
    for _ in range(n):
        probs = reader(ids[:, -64:].to(device))[0, -1].softmax(-1).cpu()
        ids = torch.cat([ids, probs.multinomial(1, generator=rng)[None]], dim=1)
    return bytes(ids[0].tolist()).decode(errors="replace")


# %% tags=["nbval-ignore-output"]
honest.causal = leaky.causal = True
for name, reader in (("with mask", honest), ("without", leaky)):
    print(f"{name:>10}: {write(reader, 'What is the ')!r}")
assert bits["without, but asked as in writing"] - bits["with mask"] > 4

# %% [markdown]
# A mask that is missing raises no error and gives the best loss you ever had. If a decoder's loss is too good to be
# true, first suspect a mask that is missing or shifted by one. The test of section 9 finds both.
#
# ## 11 Many heads
#
# One softmax gives one mean. A word may need two things at once, its verb and its neighbour; a mean of the two would
# blur them. So attend several times side by side, each **head** (头) with its own, smaller $W_Q$, $W_K$ and $W_V$:
# **multi-head attention** (多头注意力; Vaswani et al. 2017, section 3.2.2). With $H$ heads on vectors of width $D$, each
# head has width $K = D/H$. What the heads found is laid side by side and mixed by one more matrix, $W_O$ (the rows of
# $X$ are the positions):
#
# $$\mathrm{head}_i = \mathrm{attention}(XW_Q^{(i)}, XW_K^{(i)}, XW_V^{(i)}), \qquad
# \mathrm{output} = [\mathrm{head}_1, \dots, \mathrm{head}_H]\,W_O.$$


# %%
def multi_head_loop(x, attn):
    """x (T, D) through the weights of an Attention without biases, head by head."""
    heads = []
    for i in range(attn.n_heads):
        rows = slice(
            i * attn.d_head, (i + 1) * attn.d_head
        )  # W is transposed here, too
        q = x @ attn.q_proj.weight[rows].T
        k = x @ attn.k_proj.weight[rows].T
        v = x @ attn.v_proj.weight[rows].T
        heads.append(attention_loop(q, k, v))
    return torch.cat(heads, dim=-1) @ attn.out_proj.weight.T


# %%
attn, x = Attention(12, n_heads=3, bias=False).to(f64), torch.randn(6, 12, dtype=f64)
with torch.no_grad():
    assert (multi_head_loop(x, attn) - attn(x[None])[0]).abs().max() < 1e-10

# %% [markdown]
# lmcore multiplies once for all heads and then cuts the width:

# %%
source = inspect.getsource(Attention.split_heads)
print(source[source.index("        return") :])
heads = attn.split_heads(attn.q_proj(x[None]))
print("x", tuple(x[None].shape), "→ heads", tuple(heads.shape))
assert heads.shape == (1, 3, 6, 4)

# %% [markdown]
# **A common misconception.** You may read that multi-head attention splits the *sequence* into parts, one for each
# head; and that a head's weights are made from the words, as in "$W_i^Q$ = embedding of word $i$". What is cut in the
# cell above is the last axis, 12 into 3 × 4; all 6 positions are still there. Settle it by experiment: touch one
# position, and see which heads notice, at a position far away.

# %%
sizes = {name: tuple(p.shape) for name, p in attn.named_parameters()}
touched = x.clone()
touched[0] += 1
with torch.no_grad():
    weights = attn.weights(x[None])[0]  # (H, T, S)
    moved = (weights - attn.weights(touched[None])[0])[:, 5, 0].abs()
print("weights", tuple(weights.shape), " noticed by", int((moved > 1e-9).sum()))
assert weights.shape == (3, 6, 6) and (weights > 0).all() and (moved > 1e-9).all()
assert set(sizes.values()) == {(12, 12)}  # there before any word was seen
for n_heads in (1, 2, 6):
    again = Attention(12, n_heads, bias=False).named_parameters()
    assert {name: tuple(p.shape) for name, p in again} == sizes
print(sizes)

# %% [markdown]
# Each head has its own 6 × 6 weights, none of them zero: every head sees every position. And the four matrices are
# parameters of shape 12 × 12, three heads of 4 rows each, the same for every sentence. (How many heads there are does
# not change the count of parameters.)
#
# **Fewer keys than queries.** A model that writes must keep the keys and values of everything that it has read: its
# **KV cache** (键值缓存), chapter 09's subject. How large is it? For each token and layer, $G$ heads of width $K$, times
# 2 for keys and values.


# %%
def cache_bytes_per_token(config, n_kv_heads=None, bytes_per_number=2):
    """Keys and values of one token in all layers; 2 bytes: a 16-bit format."""
    heads = config.kv_heads if n_kv_heads is None else n_kv_heads
    return 2 * config.n_layers * heads * config.head_width * bytes_per_number


# %%
for name in ("gpt2", "gpt3-175b", "smollm2-135m"):
    config = PRESETS[name]
    token = cache_bytes_per_token(config)
    full = token * config.max_seq_len / 2**20
    print(f"{name:>12}: {token:9,} bytes a token, {full:5,.0f} MiB for a full context")
assert cache_bytes_per_token(PRESETS["gpt3-175b"]) == 4_718_592
assert PRESETS["gpt3-175b"].max_seq_len == 2048

# %% [markdown]
# For GPT-3 that is 9 GiB for one full context, beside the weights. **Grouped-query attention** (分组查询注意力; Ainslie et
# al. 2023) lets several query heads share one key and value head. SmolLM2-135M has $H = 9$ and $G = 3$, so its cache
# is a third:

# %%
config = PRESETS["smollm2-135m"]
shared = cache_bytes_per_token(config)
full = cache_bytes_per_token(config, n_kv_heads=config.n_heads)
print(f"{shared:,} bytes a token instead of {full:,}")
assert 3 * shared == full and (config.n_heads, config.kv_heads) == (9, 3)

# %% [markdown]
# Nothing else changes: sharing is the same as giving the heads of a group equal keys and values.

# %%
grouped = Attention(12, n_heads=4, n_kv_heads=2, bias=False).to(f64)
spread = Attention(12, n_heads=4, bias=False).to(f64)
with torch.no_grad():
    for mine, theirs in zip(spread.children(), grouped.children(), strict=True):
        rows = theirs.weight.unflatten(0, (-1, 3))  # heads of width 3
        if len(rows) == 2:  # keys and values: each head twice
            rows = rows.repeat_interleave(2, dim=0)
        mine.weight.copy_(rows.flatten(0, 1))
    assert (spread(x[None]) - grouped(x[None])).abs().max() < 1e-10
print(tuple(grouped.k_proj.weight.shape), "for the keys; all 4 heads use them")

# %% [markdown]
# ## 12 Heads of a published model
#
# What do heads learn? all-MiniLM-L6-v2 is an encoder that turns sentences into vectors (Wang et al. 2020; Reimers and
# Gurevych 2019; chapter 10 explains the kind). Each of its 6 layers has 12 heads. Look into the first layer alone:
# what goes into it is a vector per token plus one per position (plus a constant), normalised; chapter 08 has the
# rest.

# %%
minilm, tokenizer = load_minilm()
first = minilm.encoder.blocks[0].attn


@torch.no_grad()
def first_input(ids, positions):
    """What the first layer reads, for tokens at these positions."""
    x = minilm.tok_emb(ids) + minilm.pos_emb(positions) + minilm.seg_emb.weight[0]
    return minilm.emb_norm(x)


def look(text):
    """A text's tokens, and the 12 heads' weights (H, T, T) in the first layer."""
    ids = tokenizer.batch([text]).ids
    weights = first.weights(first_input(ids, torch.arange(ids.shape[1])))[0]
    return [tokenizer.decode([i]) for i in ids[0].tolist()], weights


# %% alt="Two heat maps over the tokens of 'The power of man, for none of woman born'. Left: a bright line directly below the diagonal. Right: dark cells, with one bright cell in the row of man and the column of woman."
tokens, weights = look("The power of man, for none of woman born")
figure, two = new_plots(1, 2, width=11.0, height=5.2)
for axes, head, title in (
    (two[0], 2, "Head 3: one place back"),
    (two[1], 1, "Head 2: man → woman"),
):
    axes.imshow(weights[head], vmin=0, vmax=1)
    axes.set_xticks(range(len(tokens)), tokens, rotation=60)
    axes.set_yticks(range(len(tokens)), tokens)
    axes.set(title=title, xlabel="looked at", ylabel="asking")
    axes.grid(visible=False)
assert weights[2].diagonal(-1).min() > 0.9
assert weights[1, tokens.index("man"), tokens.index("woman")] > 0.8
plt.show()

# %% [markdown]
# **How to read it.** One row per token that asks; dark is 0, bright is 1. `[CLS]` and `[SEP]` mark the beginning and
# the end of every text that this model reads.
#
# The line is from *Macbeth*, and it was chosen because head 2 does something striking on it. A chosen picture proves
# little. So state two claims and count.
#
# **Head 3 looks at the token before, whatever it is.** Take 100 lines; then take the same lines with their words in
# random order.

# %%
lines = [line for line in splits.test.splitlines() if 40 < len(line) < 60][:100]
shuffled = []
for line in lines:
    words = line.split()
    order = torch.randperm(len(words), generator=generator).tolist()
    shuffled.append(" ".join(words[i] for i in order))
back = [
    min(look(text)[1][2].diagonal(-1).min() for text in texts).item()
    for texts in (lines, shuffled)
]
print(f"smallest weight one place back: {back[0]:.1f}, shuffled: {back[1]:.1f}")
assert min(back) > 0.9

# %% [markdown]
# In every one of these rows the weight is almost 1: this head reads positions, not words. Where does it get them?
# From the position vectors. Give all tokens the same one, and it is lost:

# %%
ids = tokenizer.batch([lines[0]]).ids
without = first.weights(first_input(ids, torch.zeros_like(ids[0])))[0, 2]
print(f"one place back, without positions: {without.diagonal(-1).mean().item():.1f}")
assert without.diagonal(-1).mean() < 0.3

# %% [markdown]
# **Head 2 looks at related words.** People have rated how related two words are, for the 353 pairs of WordSim
# (chapter 05). Compare their ratings with each head's score, query of the one word against key of the other, by the
# rank correlation (秩相关) of Spearman. **Predict.** What will it be for head 3?

# %%
pairs = []
for one, other, rating in read_pairs(fetch("word-relations") / "wordsim353.tsv"):
    ids = [tokenizer.encode(word.lower()) for word in (one, other)]
    if len(ids[0]) == len(ids[1]) == 1 and one != other:
        pairs.append((ids[0][0], ids[1][0], rating))
ones, others = (torch.tensor(column) for column in list(zip(*pairs, strict=True))[:2])
ratings = [rating for *_, rating in pairs]
assert len(pairs) == 328 and round(1 / math.sqrt(328), 2) == 0.06

# %%
with torch.no_grad():
    asking = first_input(ones, torch.full_like(ones, 5))  # as if at position 5
    found = first_input(others, torch.full_like(others, 9))  # and at position 9
    q = first.q_proj(asking).unflatten(-1, (12, -1))  # (pairs, H, K)
    k = first.k_proj(found).unflatten(-1, (12, -1))
    pair_scores = (q * k).sum(-1) / math.sqrt(first.d_head)  # (pairs, H)
agreement = [spearman(pair_scores[:, head].numpy(), ratings) for head in range(12)]

# %% alt="Twelve bars, one per head: heads 2 and 9 at about 0.4 and 0.5, head 11 at about 0.2, heads 8 and 12 clearly below zero, the others near zero."
figure, axes = new_plot(
    "A few heads follow the meaning of words",
    "head of the first layer",
    "Spearman's correlation with ratings",
)
axes.bar(range(1, 13), agreement)
axes.set_axisbelow(True)
axes.set_xticks(range(1, 13))
axes.axhline(0, color="black", linewidth=1)
best = sorted(range(1, 13), key=lambda head: -agreement[head - 1])[:2]
assert sorted(best) == [2, 9] and min(agreement[1], agreement[8]) > 0.35
assert abs(agreement[2]) < 0.15 and agreement[7] < -0.25
plt.show()

# %% [markdown]
# **How to read it.** At 1 a head would order all pairs as people do, at 0 it takes no notice; below 0 it prefers
# unrelated words. Chance alone gives about $\pm 1/\sqrt{328} = \pm 0.06$.
#
# Heads 2 and 9 give related words higher scores; head 3 hardly cares; head 8 looks *away* from them. No label asked
# for any of this; it came out of training. The next layer can use it: a position that found its
# neighbour now knows a word *pair*.
#
# A caution. Weights say what is mixed, not what it does to the answer: the values, and everything above, have their
# say. Whether attention may be read as an explanation is disputed (Jain and Wallace 2019; Wiegreffe and Pinter 2019).
# Clark et al. (2019) did this section's kind of counting for all 144 heads of BERT.
#
# ## 13 What it costs
#
# Every query meets every key: a text of $T$ tokens has $T^2$ scores in each head. Count their bytes, in float32, with
# 8 heads of width 64.

# %%
for length in (256, 512, 1024):
    q, k, v = torch.randn(3, 1, 8, length, 64)
    held = attention_explicit(q, k, v).weights.nbytes
    print(f"T = {length:5,}: {held / 2**20:4.0f} MiB for one array of scores")
    assert held == 8 * length**2 * 4
at_4096 = 8 * 4096**2 * 4 / 2**20
assert at_4096 == 512

# %% [markdown]
# Twice the length, four times the memory: 512 MiB at $T = 4{,}096$, and the softmax needs more than one such array at
# a time. Do the scores have to be there all at once? **Predict.** Could you compute a softmax's weighted mean while
# you read the keys block by block, knowing nothing of the scores to come?
#
# **Code.** Keep three things: the largest score so far, the sum of exponentials relative to it, and the mean's
# numerator. When a larger score $m'$ turns up, rescale what you have: $e^{z - m'} = e^{z - m} \cdot e^{m - m'}$.


# %%
def attention_in_blocks(q, k, v, block=16):
    """Exact attention; no more than (T, block) scores exist at any time."""
    largest = torch.full((len(q), 1), -math.inf, dtype=q.dtype)
    total, numerator = torch.zeros_like(largest), torch.zeros_like(q)
    for start in range(0, len(k), block):
        now = slice(start, start + block)
        scores = q @ k[now].T / math.sqrt(q.shape[1])  # (T, block)
        new_largest = torch.maximum(largest, scores.amax(-1, keepdim=True))
        shrink = (largest - new_largest).exp()  # of what was summed before
        parts = (scores - new_largest).exp()
        total = shrink * total + parts.sum(-1, keepdim=True)
        numerator = shrink * numerator + parts @ v[now]
        largest = new_largest
    return numerator / total


# %%
q, k, v = torch.randn(3, 100, 8, dtype=f64)
by_equation = attention_explicit(*(part[None, None] for part in (q, k, v))).output
assert (attention_in_blocks(q, k, v) - by_equation[0, 0]).abs().max() < 1e-12

# %% [markdown]
# Not an approximation: the same numbers (Milakov and Gimelshein 2018; Rabe and Staats 2021). A fused kernel does this
# with blocks that fit into the processor's fastest memory, and on a GPU that saves time too (**FlashAttention**; Dao
# et al. 2022). The measured cost, with the causal mask, on a CPU; each peak memory was measured in a process of its
# own:

# %%
cost = json.loads((RESULTS / "attention_cost.json").read_text())
forward = [row for row in cost["rows"] if not row["backward"]]
print(cost["command"])
print("    T | explicit MiB | fused MiB | explicit ÷ fused, time")
for row in forward:
    ratio = row["explicit_cpu_seconds"] / row["fused_cpu_seconds"]
    mib = f"{row['explicit_mib']:12,.1f} | {row['fused_mib']:9.1f}"
    print(f"{row['length']:5,} | {mib} | {ratio:.1f}")
assert (cost["n_heads"], cost["d_head"], cost["dtype"]) == (8, 64, "float32")

# %% alt="Two plots against length from 128 to 4,096, all axes logarithmic. Left: peak memory. The explicit line rises fourfold for each doubling, to about 1,650 MiB; the fused line rises about twofold, to about 9 MiB. Right: CPU time. Both lines rise steeply, the fused one a factor of 2 to 10 below the explicit one."
figure, panels = new_plots(1, 2)
lengths_measured = [row["length"] for row in forward]
for axes, unit in zip(panels, ("mib", "cpu_seconds"), strict=True):
    for way in ("explicit", "fused"):
        measured = [row[f"{way}_{unit}"] for row in forward]
        axes.loglog(lengths_measured, measured, marker="o", label=way)
    axes.set_xticks(lengths_measured, lengths_measured)
    axes.minorticks_off()
    axes.set_xlabel("T, length of the text, tokens")
    axes.legend()
panels[0].set(title="Memory: T² if explicit, T if fused", ylabel="peak memory, MiB")
panels[1].set(title="Time: about T² either way", ylabel="CPU seconds")
longest, half, quarter = forward[-1], forward[-2], forward[-3]
assert 3.5 < longest["explicit_mib"] / half["explicit_mib"] < 4.5
assert longest["fused_mib"] / half["fused_mib"] < 2.5
assert longest["length"] == 4096 and 3 < longest["explicit_mib"] / at_4096 < 3.5
assert longest["fused_mib"] < at_4096 / 50
plt.show()

# %% [markdown]
# **How to read it.** On these axes a straight line is a power of $T$, and its steepness is the exponent.
#
# At $T = 4{,}096$ the explicit form needs a little more than three arrays of 512 MiB: the scores, their masked copy,
# its softmax. The fused kernel needs less than a fiftieth of one. With a backward pass the picture is the same:

# %%
training = [row for row in cost["rows"] if row["backward"]][-1]
for way in ("explicit", "fused"):
    print(f"{way:>8}: {training[f'{way}_mib']:,.0f} MiB forward and backward")
assert training["explicit_mib"] > 3 * at_4096 > 25 * training["fused_mib"]
assert cost["largest_difference"] < 1e-5

# %% [markdown]
# The *time* still grows with $T^2$: fused or not, each pair is multiplied. From 1,024 tokens on, twice the length costs
# the fused kernel, too, three to four times the time; at 4,096 it is ten times faster, but on the same kind of curve.
# For short texts this hardly matters, since the four projections cost more: $8TD^2$ multiplications and additions for
# them against $4T^2D$ for scores and mix. The two are equal at $T = 2D$.

# %%
D = PRESETS["gpt2"].d_model
for row, shorter in ((longest, half), (half, quarter)):
    assert 3 < row["fused_cpu_seconds"] / shorter["fused_cpu_seconds"] < 4.2
assert 9 < longest["explicit_cpu_seconds"] / longest["fused_cpu_seconds"] < 11
assert 8 * (2 * D) * D**2 == 4 * (2 * D) ** 2 * D
print(f"GPT-2: attention's own products are the smaller part up to T = {2 * D:,}")

# %% [markdown]
# An LSTM's time grows with $T$, and so does its memory in training. What attention buys with $T^2$: any two positions
# are *one* step apart, instead of up to $T$, and all positions are computed at once (Vaswani et al. 2017, section 4
# and table 1).
#
# ## 14 What attention cannot see
#
# "Fair is foul, and foul is fair". **Predict.** Self-attention, no mask, no positions: does the first "fair" get the
# same answer as the last?

# %%
words = ["fair", "is", "foul", "and", "foul", "is", "fair"]
table = {word: torch.randn(12, dtype=f64) for word in sorted(set(words))}
x = torch.stack([table[word] for word in words])
order = torch.randperm(7, generator=generator)
with torch.no_grad():
    out, out_permuted = attn(x[None])[0], attn(x[order][None])[0]
assert torch.allclose(out[0], out[6], atol=1e-12)
assert torch.allclose(out_permuted, out[order], atol=1e-12)
print("same word, same answer; other order, same answers in that order")

# %% [markdown]
# It does, and more: permute the words in any way, and the outputs are permuted with them, otherwise unchanged.
# **Equation.** For a permutation matrix (置换矩阵) $P$, which reorders rows, $\mathrm{attention}(PQ, PK, PV) =
# P\,\mathrm{attention}(Q, K, V)$: the scores become $PQK^\top P^\top$, a softmax of rows does not care in which order
# a row stands, and $P^\top P$ is the identity. This is **permutation equivariance** (置换等变性). Attention reads a *set*, in which a
# word may stand twice. "Dog bites man" is the same set as "man bites dog".
#
# The cure is to write the position into the vector. Chapter 08 derives how; as a foretaste, add to each vector
# another one that is different at each place:

# %%
with torch.no_grad():
    placed = attn((x + sinusoidal_positions(7, 12).to(f64))[None])[0]
gap = (placed[0] - placed[6]).abs().max().item()
print(f"first and last 'fair' now differ by up to {gap:.2f}")
assert gap > 0.01 and (out[0] - out[6]).abs().max() < 1e-12

# %% [markdown]
# Not by much: untrained, this layer mixes all words almost evenly. But before, it was by nothing. The `Reader` of
# section 10 had learned vectors of this kind, MiniLM has them, and head 3 read little else. (A causal mask breaks the symmetry as
# well: position $t$ sees $t$ keys. Decoders without any positions do learn from that; Haviv et al. 2022.)
#
# ## 15 Pitfalls
#
# **A mask of the wrong type.** True and False, not ones and zeros: lmcore's equation refuses these. The next cell
# fails on purpose.

# %% tags=["raises-exception"]
q, k, v = torch.randn(3, 1, 1, 5, 8)
attention_explicit(q, k, v, mask=causal_mask(5).float())

# %% [markdown]
# PyTorch's kernel accepts them, and *adds* them to the scores. Then 1 and 0 are no mask at all, only a slight
# preference:

# %%
summed = nn.functional.scaled_dot_product_attention(
    q, k, v, attn_mask=causal_mask(5).float()
)
k2, v2 = k.clone(), v.clone()
k2[0, 0, -1] += 1
v2[0, 0, -1] += 1
changed = nn.functional.scaled_dot_product_attention(
    q, k2, v2, attn_mask=causal_mask(5).float()
)
moved = int(((summed - changed)[0, 0].abs().amax(-1) > 1e-6).sum())
print(f"the last token was touched; {moved} of 5 positions moved")
assert moved == 5

# %% [markdown]
# **The mask upside down.** In `scaled_dot_product_attention` and here, True = may attend. In `nn.MultiheadAttention`,
# of the same library, True = may *not*. Hand it our causal mask, and every position sees the future and nothing else, the
# last one nothing at all, which makes it NaN:

# %%
theirs = nn.MultiheadAttention(12, 3, batch_first=True, dtype=f64)
with torch.no_grad():
    _, wrong = theirs(x[None], x[None], x[None], attn_mask=causal_mask(7))
    _, right = theirs(x[None], x[None], x[None], attn_mask=~causal_mask(7))
print("first row as given:", wrong[0, 0].numpy().round(1))
print("first row inverted:", right[0, 0].numpy().round(1))
assert wrong[0, 0, 0] == 0 and right[0, 0, 0] == 1
assert wrong[0, 6].isnan().all()  # nothing left to see: -inf throughout

# %% [markdown]
# ## Summary
#
# - Attention keeps one vector per position and lets each query take a weighted mean of them; the weights are a softmax of scores,
#   so what to look at is learned. It takes the bottleneck away.
# - Query, key, value: what I ask, what I am found by, what I tell. Three learned matrices, the same for every word.
# - Dot products of width $K$ spread by $\sqrt K$; without dividing by it, wide heads saturate the softmax.
# - Masks are boolean, True = may attend. A decoder without the causal mask has a wonderful loss and cannot write.
# - Heads split the width, not the sequence. Sharing keys and values among heads makes the cache smaller.
# - $T^2$ scores: a fused kernel saves their memory, and time by a factor; the time still grows with $T^2$.
# - Without positions, attention reads a set.
#
# ## Exercises
#
# Conceptual
#
# 1. Two colleagues initialise queries and keys with variance $1/\sqrt K$ each instead of 1 and drop the division by $\sqrt K$. Is that the
#    same at the start? And after training?
# 2. In section 2, the decoder's *state* asks. Why could the answer for all target letters not be computed at once in training, as it can be
#    in self-attention?
# 3. A decoder has 0.3 bits per byte on held-out text after an hour. Name three explanations, and the test for each.
#
# Coding
#
# 4. Write a mask that lets each position see itself and the three before it. Check the causality test of section 9, and that tokens outside the window do
#    not matter. How many scores are left at $T = 4{,}096$?
# 5. In MiniLM's second layer, how much weight goes to `[CLS]`, on average over the 100 lines? What may such a head be doing?
# 6. Give `attention_in_blocks` a causal mask.
#
# Open
#
# 7. Cut out one head of MiniLM's first layer at a time (set its columns of `out_proj.weight` to zero). Which one changes the sentence vectors
#    most: head 3, head 2, or one that seemed to do nothing? Decide beforehand how to measure "most". (Michel et al. 2019 did this
#    for a translator and for BERT.)
#
# ## Answers
#
# <details><summary>1</summary>
#
# At the start yes: each product $q_i k_i$ then has variance $1/K$, and their sum has variance 1. In training no: the
# same step on the parameters moves the scores by another amount, so the two take different paths. And neither bounds
# the scores later: nothing keeps queries and keys at the variance they had at the start.
# </details>
#
# <details><summary>2</summary>
#
# The state $\mathbf{s}_t$ depends on the context of step $t - 1$, which depends on $\mathbf{s}_{t-1}$: a chain, one
# step after the other. In self-attention, the queries of a layer come from the layer below, which is known for all
# positions.
# </details>
#
# <details><summary>3</summary>
#
# The mask is missing or shifted: touch a token, and see whether earlier outputs move. The targets are not shifted, so
# that it predicts its own input: print one pair. The held-out text stands in the training text: search for its lines
# there. (A fourth, the unit: bits per byte were divided by the bytes per token once more, or nats printed as bits.)
# </details>
#
# **4.**

# %%
positions = torch.arange(10)
gap = positions[:, None] - positions
window = (gap >= 0) & (gap <= 3)
q, k, v = torch.randn(3, 1, 1, 10, 8, dtype=f64)
v2 = v.clone()
v2[0, 0, 2] += 1
seen = (attention(q, k, v, window) != attention(q, k, v2, window))[0, 0].any(-1)
print("positions that see token 2:", seen.nonzero().flatten().tolist())
assert seen.nonzero().flatten().tolist() == [2, 3, 4, 5]
left = 4 * 4096 - 6  # the first three rows have 3, 2 and 1 fewer
print(f"{left:,} of {4096**2:,} scores")
assert left == sum(min(t + 1, 4) for t in range(4096))

# %% [markdown]
# From $T^2$ to $4T$. Stacked layers reach further, as in the convolutions of chapter 06. (Given as a boolean mask,
# the kernel still computes all pairs; saving the time takes a kernel that skips blocks.)
#
# **5.**

# %%
second, shares = minilm.encoder.blocks[1].attn, []
with torch.no_grad():
    for text in lines:
        ids = tokenizer.batch([text]).ids
        x = first_input(ids, torch.arange(ids.shape[1]))
        weights = second.weights(minilm.encoder.blocks[0](x))[0]  # (H, T, S)
        shares.append(weights[:, 1:-1, 0].mean(-1))
to_cls = torch.stack(shares).mean(0)
print(f"mean over heads {to_cls.mean():.1f}, largest {to_cls.max():.1f}")
assert 0.4 < to_cls.mean() < 0.7 and 0.75 < to_cls.max() < 0.9

# %% [markdown]
# About half; in one head, four fifths. The weights of a row must sum to 1, so a head with nothing to say must look
# *somewhere*; a token that is always there is a good place to park. Clark et al. (2019, section 3.2) suppose the same
# of BERT's `[SEP]`.
#
# **6.** A block that begins behind the query adds nothing:


# %%
def causal_in_blocks(q, k, v, block=16):
    """Exact causal attention, block by block of the keys; as many queries as keys."""
    largest = torch.full((len(q), 1), -math.inf, dtype=q.dtype)
    total, numerator = torch.zeros_like(largest), torch.zeros_like(q)
    places = torch.arange(len(k))
    for now in places.split(block):
        scores = q @ k[now].T / math.sqrt(q.shape[1])
        scores = scores.masked_fill(places[:, None] < now, -math.inf)
        new_largest = torch.maximum(largest, scores.amax(-1, keepdim=True))
        shrink, parts = (largest - new_largest).exp(), (scores - new_largest).exp()
        total = shrink * total + parts.sum(-1, keepdim=True)
        numerator, largest = shrink * numerator + parts @ v[now], new_largest
    return numerator / total


q, k, v = torch.randn(3, 100, 8, dtype=f64)
whole = attention(*(part[None, None] for part in (q, k, v)), causal=True)[0, 0]
assert (causal_in_blocks(q, k, v) - whole).abs().max() < 1e-12

# %% [markdown]
# No row is ever $-\infty - (-\infty)$: the first block holds key 0, which every query may see.
#
# **7.** No answer is given. A hint: the sentence vectors come from `lmcore.pretrained.minilm.embed_sentences`;
# compare their cosines with those of the whole model, over pairs of lines.
#
# ## References
#
# - D. Bahdanau, K. Cho and Y. Bengio, "Neural machine translation by jointly learning to align and translate", *ICLR* (2015), section 3, figure 2,
#   appendix A.1.2.
# - M.-T. Luong, H. Pham and C. D. Manning, "Effective approaches to attention-based neural machine translation", *EMNLP* (2015), section 3.1.
# - A. Vaswani et al., "Attention is all you need", *NeurIPS* (2017), sections 3.2 and 4.
# - M. Milakov and N. Gimelshein, "Online normalizer calculation for softmax", arXiv 1805.02867 (2018).
# - M. N. Rabe and C. Staats, "Self-attention does not need O(n²) memory", arXiv 2112.05682 (2021).
# - T. Dao et al., "FlashAttention: fast and memory-efficient exact attention with IO-awareness", *NeurIPS* (2022), section 3.1.
# - J. Ainslie et al., "GQA: training generalized multi-query Transformer models from multi-head checkpoints", *EMNLP* (2023), section 2.2.
# - W. Wang et al., "MiniLM: deep self-attention distillation for task-agnostic compression of pre-trained Transformers", *NeurIPS* (2020).
# - N. Reimers and I. Gurevych, "Sentence-BERT: sentence embeddings using Siamese BERT-networks", *EMNLP* (2019).
# - K. Clark et al., "What does BERT look at? An analysis of BERT's attention", *BlackboxNLP* (2019), section 3.
# - S. Jain and B. C. Wallace, "Attention is not explanation", *NAACL* (2019).
# - S. Wiegreffe and Y. Pinter, "Attention is not not explanation", *EMNLP* (2019).
# - P. Michel, O. Levy and G. Neubig, "Are sixteen heads really better than one?", *NeurIPS* (2019).
# - A. Haviv et al., "Transformer language models without positional encodings still learn positional information", *Findings of EMNLP* (2022).
# - L. Finkelstein et al., "Placing search in context: the concept revisited", *ACM TOIS* 20 (2002). WordSim-353.
#
# **Lab:** [Lab 5, Build a Transformer](../labs/05_transformer/lab.ipynb).
#
# **Next:** [08 The Transformer](08_transformer.ipynb): positions, and what is built around attention.
