# %% [markdown]
# # Lab 5 · Build a Transformer, and test that it cannot see the future
#
# **Goal.** You write a Transformer decoder (解码器) from matrix products: attention
# (注意力), masks (掩码), rotary positions, heads, blocks. Then the course's trained GPT
# runs in your code. You also write a test that finds a model which looks ahead, and
# train models with and without such a mistake.
#
# **Time.** 90–120 minutes. All of it runs in under a minute.
#
# **Given.** The trained weights, the training loop, the layers' parameters. Chapters 07,
# *Attention*, and 08, *The Transformer*, explain the ideas.
#
# **How it works.** Each task has a description, a cell to write in, and a cell that
# checks it at once. `hint("rope", 1)` gives a hint, up to level 3. Your teacher's grader
# runs the same checks with other inputs.
#
# | task | you write | points |
# |---|---|---|
# | 1 | `attention`: scaled, masked, safe | 4 |
# | 2 | `causal_mask`, `padding_mask`, `decoder_mask` | 3 |
# | 3 | `rope`: turn queries and keys by their position | 3 |
# | 4 | `split_heads`, `merge_heads`, `multi_head` | 4 |
# | 5 | `Block`, `Decoder`: what `forward` does | 3 + 2 |
# | 6 | `leaks`: a test for causality | 4 |
# | 7 | `table`: your measurements on the trained model | 3 |
# | 8 | a written analysis | 6 |
# | stretch | spell words aloud with a decoder alone | the board |
#
# Write your name first. Your texts depend on it.

# %%
STUDENT = "your name"

# %%
import math

import torch
from torch import nn
from torch.nn import functional as F

from lmcore.course.labs import open_lab

lab = open_lab("05_transformer")
check, hint, progress = lab.check, lab.hint, lab.progress

# %% [markdown]
# Axes, as in the chapters: B batch, T positions of queries (查询), S positions of keys (键)
# and values (值), D width of the model, H heads, K width of a head, V vocabulary. `...`
# means any axes in front, or none.
#
# ## Task 1 · Attention (4 points)
#
# $$\mathrm{attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{K}}\right)V
# \qquad\text{(under the root: the width of one query)}$$
#
# `attention(q, k, v, mask)` gives **two** tensors: the output and the attention weights
# (注意力权重). Write it out with products and a softmax; PyTorch's own kernel gives no
# weights.
#
# - `mask` is boolean, **True = may attend**. It broadcasts to the scores (..., T, S);
#   `None` means that everything is allowed.
# - What is masked has the weight 0, exactly; the other weights of a row sum to 1.
# - A query that may attend to **nothing** gets weights 0 and output 0.
# - Neither the results nor the gradients (梯度) may ever hold `nan`, and scores may be
#   in the thousands, of either sign. Both results have the dtype of q.
#
# Example, with K = 1: `q = [[0.0]]`, `k = [[1.0], [2.0]]`, `v = [[10.0], [20.0]]`. All
# scores are 0, so the weights are `[[0.5, 0.5]]` and the output is `[[15.0]]`. With
# `mask = [[True, False]]` they are `[[1.0, 0.0]]` and `[[10.0]]`.
#
# **Predict.** What is the softmax of a row in which every score is $-\infty$?


# %% task="attention"
def attention(q, k, v, mask=None):
    """Scaled dot-product attention.

    q: (..., T, K); k: (..., S, K); v: (..., S, M)
    mask: booleans that broadcast to (..., T, S), True = may attend; None = no mask
    returns: output (..., T, M) and weights (..., T, S)
    """
    ### BEGIN SOLUTION
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is None:
        weights = scores.softmax(dim=-1)
    else:
        lowest = torch.finfo(scores.dtype).min
        weights = scores.masked_fill(~mask, lowest).softmax(dim=-1)
        weights = weights.masked_fill(~mask, 0.0)
    return weights @ v, weights
    ### END SOLUTION


# %% check="attention"
check(attention)

# %% [markdown]
# ## Task 2 · Masks (3 points)
#
# All masks are boolean, and True = may attend.
#
# - `causal_mask(n)` gives (n, n): query $t$ may see the keys $0 \dots t$, itself included
#   (causal mask, 因果掩码).
# - `padding_mask(lengths, n)`: sequence $b$ has `lengths[b]` real tokens at the left and
#   is filled up to n with padding (填充). True at the real ones, as **keys**. Its shape is
#   (B, 1, 1, n), so that it broadcasts to scores (B, H, T, S): the same for all heads
#   and all queries.
# - `decoder_mask(lengths, n)`: both at once, (B, 1, n, n).
#
# `causal_mask(2)` is `[[True, False], [True, True]]`; `padding_mask` of lengths
# `[2, 1]` with n = 2 holds `[True, True]` and `[True, False]`.
#
# **Predict.** Suppose that `padding_mask` had the shape (B, n) and met scores (B, H, T, S).
# With B = 4 and T = S = 4, is there an error? What would the mask mean?


# %% task="decoder_mask"
def causal_mask(n):
    """(n, n): True where the key does not stand after the query."""
    ### BEGIN SOLUTION
    positions = torch.arange(n)
    return positions[:, None] >= positions
    ### END SOLUTION


def padding_mask(lengths, n):
    """(B, 1, 1, n): True at real tokens.

    lengths: tensor of B ints, from 0 to n
    """
    ### BEGIN SOLUTION
    real = torch.arange(n) < lengths[:, None]
    return real[:, None, None, :]
    ### END SOLUTION


def decoder_mask(lengths, n):
    """(B, 1, n, n): neither the future nor padding."""
    ### BEGIN SOLUTION
    return padding_mask(lengths, n) & causal_mask(n)
    ### END SOLUTION


# %% check="decoder_mask"
check(decoder_mask)

# %% [markdown]
# ## Task 3 · Rotary positions (3 points)
#
# RoPE (旋转位置编码; Su et al. 2021) turns pairs of numbers by an angle that grows with the
# position. With K the width, number $i$ and number $i + K/2$ are a pair, for
# $i = 0 \dots K/2 - 1$. (The paper pairs neighbours; most published weights pair halves,
# as here.) At position $t$ the pair $(a, b)$ becomes
#
# $$\big(a\cos\varphi - b\sin\varphi,\;\; b\cos\varphi + a\sin\varphi\big)
# \qquad\text{with}\qquad \varphi = t \cdot 10000^{-2i/K}.$$
#
# `rope(x, positions)`: row $t$ of `x` stands at `positions[t]`, which need not be $t$.
# The result has the shape and the dtype of `x`.
#
# With K = 2 there is one pair, and its angle is $t$ itself:
# `rope([[1.0, 0.0]], [1])` is `[[0.5403, 0.8415]]`, cosine and sine of 1.
#
# **Predict.** A query at position 3 and a key at 1, or the same vectors at 13 and 11: is
# their product the same?


# %% task="rope"
def rope(x, positions):
    """Turn each pair of numbers by the angle of its position.

    x: (..., T, K), K even
    positions: tensor of T ints
    returns: (..., T, K), of the dtype of x
    """
    ### BEGIN SOLUTION
    half = x.shape[-1] // 2
    speeds = 10000.0 ** (-torch.arange(half) / half)
    angles = positions[:, None] * speeds
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
    ### END SOLUTION


# %% check="rope"
check(rope)

# %% [markdown]
# ## Task 4 · Many heads (4 points)
#
# Each head (头) works on its own part of the **width**. Head $h$ has the columns
# $hK \dots hK + K - 1$, and every head sees all positions.
#
# - `split_heads(x, n_heads)`: (B, T, D) to (B, H, T, K), with K = D / H.
# - `merge_heads(h)`: back again, (B, H, T, K) to (B, T, D).
# - `multi_head(x, memory, attn, n_heads, mask, positions)`: queries come from `x`, keys
#   and values from `memory`. Project, split, turn, attend, merge, project.
#
# `attn` holds four matrices under the names `q_proj`, `k_proj`, `v_proj`, `out_proj`,
# each (D, D) and stored as `nn.Linear` stores it: (outputs, inputs). So a row vector
# $\mathbf{x}$ becomes $\mathbf{x}W^\top$. Since they are square, a missing transpose
# raises no error.
#
# For self-attention (自注意力) `memory` is `x`; for cross-attention (交叉注意力) it is what an
# encoder (编码器) wrote, with a length of its own. If `positions` is not None, queries and
# keys are turned by your `rope`, each head alone; values never are.
#
# **Predict.** `x.view(B, H, T, K)` has the right shape as well. With T = 4, D = 4 and
# H = 2: which numbers would land in head 0?


# %% task="multi_head"
def split_heads(x, n_heads):
    """(B, T, D) to (B, H, T, K)."""
    ### BEGIN SOLUTION
    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)
    ### END SOLUTION


def merge_heads(h):
    """(B, H, T, K) to (B, T, D)."""
    ### BEGIN SOLUTION
    return h.transpose(1, 2).flatten(2)
    ### END SOLUTION


def multi_head(x, memory, attn, n_heads, mask=None, positions=None):
    """Attention with several heads.

    x: (B, T, D), asks
    memory: (B, S, D), answers
    attn: four matrices (D, D) by name
    mask: broadcasts to (B, H, T, S), True = may attend
    positions: tensor of T ints, for self-attention with rope; None = no rope
    returns: (B, T, D)
    """
    ### BEGIN SOLUTION
    q = split_heads(x @ attn["q_proj"].T, n_heads)
    k = split_heads(memory @ attn["k_proj"].T, n_heads)
    v = split_heads(memory @ attn["v_proj"].T, n_heads)
    if positions is not None:
        q, k = rope(q, positions), rope(k, positions)
    output, _ = attention(q, k, v, mask)
    return merge_heads(output) @ attn["out_proj"].T
    ### END SOLUTION


# %% check="multi_head"
check(multi_head)

# %% [markdown]
# ## Task 5 · A block, and a decoder (3 + 2 points)
#
# A block in **pre-norm** (前归一化) order adds to each position what attention finds, and
# then what a feed-forward network (前馈网络) makes of it. Each of the two reads a
# *normalised* copy; the sum itself is left as it is (residual connection, 残差连接):
#
# $$\mathbf{h} = \mathbf{x} + \mathrm{attn}(\mathrm{norm}_1(\mathbf{x})), \qquad
# \mathbf{y} = \mathbf{h} + \mathrm{ff}(\mathrm{norm}_2(\mathbf{h})).$$
#
# The course's GPT uses the feed-forward of Llama, SwiGLU (Shazeer 2020), where $\odot$
# multiplies number by number:
#
# $$\mathrm{ff}(\mathbf{x}) = \big(\mathrm{silu}(\mathbf{x}\,W_\text{gate}^\top) \odot
# \mathbf{x}\,W_\text{in}^\top\big)\, W_\text{out}^\top.$$
#
# The parameters are given, with the matrices stored as in task 4; `self.attn` is what
# your `multi_head` takes. `self.attn_norm` and `self.ff_norm` are functions of x. `F.silu`
# exists. `Block` inherits the parameters, so write `forward` alone.


# %%
def matrices(**shapes):
    """Random matrices by name, small enough to keep the size of what they read."""
    made = {
        name: nn.Parameter(torch.randn(n_out, n_in) / math.sqrt(n_in))
        for name, (n_out, n_in) in shapes.items()
    }
    return nn.ParameterDict(made)


class BlockParameters(nn.Module):
    """All that a block learns."""

    def __init__(self, d_model, n_heads, d_ff):
        super().__init__()
        self.n_heads = n_heads
        square, wide = (d_model, d_model), (d_ff, d_model)
        self.attn_norm = nn.RMSNorm(d_model, eps=1e-5)
        self.attn = matrices(
            q_proj=square, k_proj=square, v_proj=square, out_proj=square
        )
        self.ff_norm = nn.RMSNorm(d_model, eps=1e-5)
        self.ff = matrices(gate_proj=wide, in_proj=wide, out_proj=(d_model, d_ff))


# %% task="Block"
class Block(BlockParameters):
    """Self-attention and a feed-forward network, pre-norm, without biases."""

    def forward(self, x, mask=None, positions=None):
        """(B, T, D) to (B, T, D); mask and positions as for multi_head."""
        ### BEGIN SOLUTION
        normed = self.attn_norm(x)
        x = x + multi_head(normed, normed, self.attn, self.n_heads, mask, positions)
        normed = self.ff_norm(x)
        gate = F.silu(normed @ self.ff["gate_proj"].T)
        return x + (gate * (normed @ self.ff["in_proj"].T)) @ self.ff["out_proj"].T
        ### END SOLUTION


# %% check="Block"
check(Block)

# %% [markdown]
# The decoder: embed the ids (`self.tok_emb`, embedding 嵌入), send them through all blocks, and through
# `self.final_norm`. The scores (logits) for the next token are products with the
# **same** matrix that embedded them, `self.tok_emb.weight`, (V, D): tied weights (权重绑定).
#
# - If `self.causal`, each block gets your `causal_mask` of the right length, else None.
# - If `self.rotary`, each block gets the positions $0 \dots T-1$, else None.
#
# Task 7 turns the switches on a finished model, and T may change from call to call: look
# at both in `forward`.


# %%
class DecoderParameters(nn.Module):
    """All that a decoder learns, and its two switches."""

    def __init__(
        self, vocab_size, d_model, n_layers, n_heads, d_ff, causal=True, rotary=True
    ):
        super().__init__()
        self.causal, self.rotary = causal, rotary
        self.tok_emb = nn.Embedding(vocab_size, d_model)
        nn.init.normal_(self.tok_emb.weight, std=0.05)
        self.blocks = nn.ModuleList(
            Block(d_model, n_heads, d_ff) for _ in range(n_layers)
        )
        self.final_norm = nn.RMSNorm(d_model, eps=1e-5)


# %% task="Decoder"
class Decoder(DecoderParameters):
    """A language model: ids to scores for the next token at each position."""

    def forward(self, ids):
        """ids (B, T) to logits (B, T, V)."""
        ### BEGIN SOLUTION
        n = ids.shape[1]
        mask = causal_mask(n) if self.causal else None
        positions = torch.arange(n) if self.rotary else None
        x = self.tok_emb(ids)
        for block in self.blocks:
            x = block(x, mask, positions)
        return self.final_norm(x) @ self.tok_emb.weight.T
        ### END SOLUTION


# %% check="Decoder"
check(Decoder)

# %% [markdown]
# Does it work on something real? The course's GPT has 3.9 million parameters and was
# trained on Shakespeare (chapter 09). Its weights now go into your decoder, and it
# writes, one token after another: always the most probable one.

# %% tags=["experiment"]
trained = Decoder(vocab_size=1024, d_model=256, n_layers=5, n_heads=8, d_ff=600)
trained.load_state_dict(lab.checks.trained_weights())
tokenizer = lab.checks.trained_tokenizer()


@torch.no_grad()
def write(model, ids, n_tokens):
    """Append the most probable token, again and again."""
    for _ in range(n_tokens):
        ids = torch.cat([ids, model(ids)[:, -1:].argmax(dim=-1)], dim=1)
    return ids


prompt = "ROMEO.\nMy lord, I "
written = write(trained, torch.tensor([tokenizer.encode(prompt)]), 40)
print(tokenizer.decode(written[0].tolist()))

# %% [markdown]
# ## Task 6 · Does a model see the future? (4 points)
#
# A mask that is missing, or wrong by one, raises no error. It even makes the training
# loss better. So write a test: `leaks(model, ids)` is **True** if, for any position
# $t$, the scores at $t$ depend on a token **after** $t$, and False otherwise.
#
# - `model(ids)` takes (B, T) and gives logits (B, T, V). Any ids from 0 to V − 1 are
#   allowed. You see nothing else of the model, and it may be any model, not a Transformer.
# - A leak may be anywhere: all positions may see everything, or only position 3 may see
#   position 4, or each may see the one seven places ahead.
# - Scores may differ by less than $10^{-5}$ between two runs without any leak: on a GPU,
#   sums are not always added in the same order. A leak in the check moves some score by
#   more than $10^{-3}$, and perhaps only one or two of them.
# - Leave `ids` as it is.
#
# **Predict.** You change the token at position $t$. Which rows of the logits may change
# in a sound model, and which must not?


# %% task="leaks"
def leaks(model, ids):
    """Whether a model's scores depend on later tokens.

    model: callable, ids (B, T) to logits (B, T, V)
    ids: (B, T)
    returns: bool
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        before = model(ids)
        for t in range(1, ids.shape[1]):
            changed = ids.clone()
            changed[:, t] = (changed[:, t] + 1) % before.shape[-1]
            moved = (model(changed) - before)[:, :t].abs()
            if moved.max() > 1e-4:
                return True
    return False
    ### END SOLUTION


# %% check="leaks"
check(leaks)

# %% tags=["experiment"]
sample = torch.tensor([tokenizer.encode("To be, or not to be, that is")])
print("the trained model as it is:", leaks(trained, sample))
trained.causal = False
print("without its mask:", leaks(trained, sample))
trained.causal = True

# %% [markdown]
# ## Task 7 · Measure: what does a trained model need? (3 points)
#
# Your text: eight passages of 128 tokens from plays that the model has never seen. The
# figure is the loss in **bits per byte** (每字节比特数): how many bits the model needs for a
# byte of the text; lower is better. From the same weights you take away one thing:
#
# | row | what is different |
# |---|---|
# | `trained` | nothing |
# | `no mask` | each position sees the later ones too |
# | `no positions` | no rope |
# | `no scale` | scores are not divided by $\sqrt K$ |
#
# For the last row your `attention` stays as it is: multiply the query matrices by
# $\sqrt K$, and the division is undone.
#
# **Predict.** Without the mask the answer stands one place to the right, in plain sight.
# Will the loss fall? Which of the three does most harm?

# %% tags=["experiment"]
passages, n_bytes = lab.checks.own_passages(STUDENT)  # (8, 129); bytes of 8 × 128


@torch.no_grad()
def bits_per_byte(model):
    """The model's loss on your passages."""
    logits = model(passages[:, :-1])
    nats = F.cross_entropy(
        logits.flatten(0, 1), passages[:, 1:].flatten(), reduction="sum"
    )
    return round(nats.item() / math.log(2) / n_bytes, 2)


# %% tags=["experiment"]
measured = {"trained": bits_per_byte(trained)}
trained.causal = False
measured["no mask"] = bits_per_byte(trained)
trained.causal, trained.rotary = True, False
measured["no positions"] = bits_per_byte(trained)
trained.rotary = True
with torch.no_grad():
    for block in trained.blocks:
        block.attn["q_proj"] *= math.sqrt(256 / 8)
measured["no scale"] = bits_per_byte(trained)
trained.load_state_dict(lab.checks.trained_weights())
print(measured)

# %% [markdown]
# Type the four numbers into the next cell, as `table = {"trained": …, "no mask": …,
# "no positions": …, "no scale": …}`. (The grader does not run the experiment; it
# measures your passages itself, and compares.)

# %% task="table"
### BEGIN SOLUTION
table = {"trained": 1.89, "no mask": 2.46, "no positions": 2.86, "no scale": 2.03}
### END SOLUTION

# %% check="table"
check(table, "table")

# %% [markdown]
# Now the other way round: what does a model learn if a part is missing **in training**?
# Three small decoders read the bytes of three plays (which ones depends on your name),
# 120 steps each, from the same start. Then each is measured on passages of another play:
# once as it was trained, and once **as in writing**, where nothing stands to the right
# yet, so that every model has to do with the past.
#
# **Predict.** Fill in before you run it. Which loss will be the lowest as trained? Which
# one will be the highest as in writing?
#
# | trained | `leaks`? | as trained | as in writing |
# |---|---|---|---|
# | with mask and rope | | | |
# | without rope | | | |
# | without mask | | | |

# %% tags=["experiment"]
import os

from tqdm import tqdm

train_ids, held_out = lab.checks.own_bytes(STUDENT)  # (N, 65) and (64, 65), ids < 128


def bits(model, ids):
    """Loss of a model in bits per byte."""
    logits = model(ids[:, :-1]).flatten(0, 1)
    return F.cross_entropy(logits, ids[:, 1:].flatten()) / math.log(2)


# %% tags=["experiment"]
def train_small(causal, rotary, steps=120):
    """A small decoder, trained; and its loss at each step."""
    torch.manual_seed(0)
    model = Decoder(128, 64, 2, 4, 160, causal=causal, rotary=rotary)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in tqdm(range(steps), disable="CI" in os.environ):
        rows = torch.randint(len(train_ids), (16,))
        loss = bits(model, train_ids[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses


# %% tags=["experiment"]
ROWS = {
    "with mask and rope": (True, True),
    "without rope": (True, False),
    "without mask": (False, True),
}
curves, small = {}, {}
print("trained              leaks?   as trained   as in writing")
for name, (causal, rotary) in ROWS.items():
    small[name], curves[name] = model, losses = train_small(causal, rotary)
    with torch.no_grad():
        verdict = leaks(model, held_out[:2, :-1])
        as_trained = bits(model, held_out)
        model.causal = True
        as_in_writing = bits(model, held_out)
    print(f"{name:20} {verdict!s:6} {as_trained:11.1f} {as_in_writing:14.1f}")

# %% tags=["experiment"]
import matplotlib.pyplot as plt

from lmcore.plotting import new_plot

figure, axes = new_plot(
    "Too good to be true: the model that sees the answer",
    "training step",
    "bits per byte",
)
for name, losses in curves.items():
    smooth = [sum(losses[i : i + 5]) / 5 for i in range(len(losses) - 4)]
    axes.plot(range(5, len(losses) + 1), smooth, label=name)
axes.legend()
plt.show()

# %% [markdown]
# **How to read it.** Each point is the mean of five steps; lower is better. What two of
# them write, most probable byte after most probable byte:

# %% tags=["experiment"]
start = torch.tensor([list(b"What is the ")])
for name in ("with mask and rope", "without mask"):
    text = bytes(write(small[name], start, 40)[0].tolist())
    print(f"{name:20} {text.decode()!r}")

# %% [markdown]
# ## Task 8 · Analysis (6 points, marked by your teacher)
#
# In about 180 words, with numbers of your own:
#
# 1. Task 7: the trained model gets *worse* when it may see the answer, and the small one
#    that was trained without a mask gets almost everything right. How do the two go
#    together? (2 points)
# 2. The small model without a mask has the best loss of all, on text that it has not
#    seen. Why is that worth nothing? Quote its loss as in writing, and name two signs,
#    apart from `leaks`, by which you would have found the mistake. (2 points)
# 3. Without rope, a model with a causal mask is not blind to order. Which of your
#    numbers shows that it lost something, and what can it still know about the order of
#    the past? Compare with the harm in task 7, and explain the difference. (2 points)

# %% [markdown] written="analysis"
# ### BEGIN SOLUTION
# The trained model goes from 1.89 to 2.46 bits per byte when it may see the answer. Its
# weights never met a key on the right, so nothing in them looks for the next token; the
# new keys only take weight away from useful ones. The small model was trained without a
# mask, and the quickest way down for it was to look one place to the right and copy:
# 0.2 bits. What a model may see does not matter, but what it learned to use.
#
# As in writing it needs 6.5 bits, more than the 3.4 of the honest one: nothing stands to
# the right, and it has learned little else. Two signs: 0.2 bits is far below the 1.89 of
# a model with 38 times as many parameters; and what it writes is rubbish, although the
# loss says that it hardly ever errs. (A third: only the last position has a large loss.)
#
# 3.7 against 3.4 bits. Without rope a position still tells its own token apart, by the
# residual connection, and finds the tokens before it as a set. The mask says how many
# they are, and a second layer can ask how many stood before each of them: a rough order,
# and not which one was the last. The trained model lost 0.97 bits in task 7, three times as
# much. Its weights rely on the angles, and after only 120 steps the small one has not
# yet learned much from them, so there is little to lose.
# ### END SOLUTION

# %% [markdown]
# ## Stretch · Spell it aloud, with a decoder alone
#
# Chapter 08 turns spelling into sound with an encoder and a decoder. A decoder alone can
# do it as well, if it reads letters and sounds as one sequence:
#
#     p h o n e <start> F OW N <end>
#
# Write `pronounce(known, words)`. `known` is a dict with 113,281 words of the CMU
# dictionary, each with a tuple of its pronunciations, without stress: `known["zone"]` is
# `(("Z", "OW", "N"),)`. `words` is a list of new ones, and the result a list with a tuple
# of phonemes (音素) for each. 45 seconds of processor time are yours, training included.
# Use PyTorch and your own code, no other model and no other dictionary.
#
# The figure is the **phoneme error rate** (音素错误率): how many phonemes must be changed,
# added or taken away to get the nearest right pronunciation, per phoneme of it. Lower is
# better. Earns no points. The course's own is chapter 08's encoder-decoder.

# %% tags=["experiment"]
for figure, words in lab.checks.course_figures():
    print(f"the course's own: {figure:.1%} {words}")


# %% task="pronounce"
### BEGIN SOLUTION
def pronounce(known, words):
    """Train a decoder on letters and phonemes in a row, then let it go on."""
    spoken = [(word, sound) for word, sounds in known.items() for sound in sounds]
    phonemes = sorted({phoneme for _, sound in spoken for phoneme in sound})
    symbols = ["<pad>", "<start>", "<end>", *sorted(set("".join(known))), *phonemes]
    ids = {symbol: i for i, symbol in enumerate(symbols)}
    rows = [
        [ids[s] for s in (*word, "<start>", *sound, "<end>")] for word, sound in spoken
    ]
    torch.manual_seed(0)
    model = Decoder(len(symbols), d_model=96, n_layers=2, n_heads=4, d_ff=192)
    learn(model, rows, n_steps=500)
    return continue_words(model, words, symbols, ids)


def learn(model, rows, n_steps, batch_size=32, lr=4e-3):
    """Batches of sequences of similar length; only what follows <start> counts."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, betas=(0.9, 0.98))
    waiting = []
    for step in range(n_steps):
        if not waiting:
            pool = torch.randint(len(rows), (50 * batch_size,)).tolist()
            pool = sorted((rows[i] for i in pool), key=len)
            starts = range(0, len(pool), batch_size)
            chunks = [pool[i : i + batch_size] for i in starts]
            waiting = [chunks[i] for i in torch.randperm(len(chunks)).tolist()]
        chosen = [torch.tensor(row) for row in waiting.pop()]
        x = nn.utils.rnn.pad_sequence(chosen, batch_first=True)
        said = (x == 1).cumsum(dim=1)[:, :-1] > 0
        targets = x[:, 1:].masked_fill(~said, 0)
        logits = model(x[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=0)
        for group in optimizer.param_groups:
            group["lr"] = lr * min((step + 1) / 50, (n_steps - step) / (n_steps - 50))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


@torch.no_grad()
def continue_words(model, words, symbols, ids):
    """Words of one length at a time, so that nothing needs padding."""
    said = {}
    for length in sorted({len(word) for word in words}):
        group = [word for word in words if len(word) == length]
        x = torch.tensor([[ids[letter] for letter in word] + [1] for word in group])
        while x.shape[1] < 3 * length + 5 and not (x == 2).any(dim=1).all():
            x = torch.cat([x, model(x)[:, -1:].argmax(dim=-1)], dim=1)
        for word, row in zip(group, x[:, length + 1 :].tolist()):  # noqa: B905
            row = row[: row.index(2)] if 2 in row else row
            said[word] = tuple(symbols[i] for i in row if i > 2)
    return [said[word] for word in words]


### END SOLUTION


# %% check="pronounce"
check(pronounce)

# %%
progress()
