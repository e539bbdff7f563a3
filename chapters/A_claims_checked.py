# %% [markdown]
# # A · Claims checked
#
# **Question.** Of the statements on language models that are repeated everywhere, which ones hold when you run them?
#
# **Prerequisites.** None to look a row up; each row links to the chapter that explains it.
#
# **Time.** 40–60 minutes to read from end to end; under 20 s to run on two CPU cores.

# %% [markdown]
# Tutorials, posts and answers copy from each other, mistakes included. This appendix takes 34 claims (说法) that
# you are likely to meet, and runs them. Each row has a number, so that you can cite it, and four parts: the claim; cells
# that compute what it says, and beside it what is right; the verdict (结论) in one sentence; a link.
#
# A row splits its claim into parts and tests each one. If all hold, the claim is *right*; if some do, *half right*; if none
# does, *wrong*. A claim that offers nothing to test is *unsupported*. The table below is made from these results when all
# cells have run, and a test of the course holds the words in the text against them.
#
# Some parts are facts of history: a date, a name, whether something was ever published. No cell can compute these. They were
# looked up, in the places that the row names, and the table says so.
#
# Run the cells from the top: some rows use what an earlier one made. Claims keep the letters in which you meet them: $\alpha$ for the learning rate (学习率), $J$ for the loss (损失). The course's own are
# $\eta$ and $L$ ([appendix B](B_notation.ipynb#1-Symbols)).

# %%
import json
import math
from collections import Counter
from html import escape
from pathlib import Path

import torch
from IPython.display import HTML, display
from torch import nn
from torch.nn import functional as F

from lmcore.assets import fetch
from lmcore.attention import Attention, attention_explicit, causal_mask
from lmcore.generate import generate
from lmcore.losses import IGNORE_INDEX, cross_entropy
from lmcore.models.glove import GloVe
from lmcore.models.gpt import GPT, PRESETS, GPTConfig
from lmcore.models.rnn_lm import RNNLM, RNNLMConfig
from lmcore.models.word2vec import Word2Vec
from lmcore.objectives import causal_pairs, generator_at, masked_tokens, shuffle_tokens
from lmcore.optim import AdamW
from lmcore.positions import sinusoidal_positions
from lmcore.pretrained import load_minilm
from lmcore.pretrained.checkpoint_files import tensor_names
from lmcore.pretrained.gguf_file import GGUFFile
from lmcore.runtime import seed_everything
from lmcore.transformer import Encoder

# %%
torch.set_default_dtype(torch.float64)  # small sums, exact to the digits shown
torch.set_num_threads(1)
ROWS = {}


def settle(row, chapter, claim, parts, how="computed"):
    """Enter a claim's parts and whether each holds; the verdict follows from them."""
    holding = sum(map(bool, parts.values()))
    verdict = "half right" if holding else "wrong"
    if holding == len(parts):
        verdict = "right" if parts else "unsupported"
    ROWS[row] = (chapter, claim, verdict, how)
    for part, holds in parts.items():
        print(f"{'holds' if holds else 'fails'}: {part}")
    print(f"{row}: {verdict}")


# %%
def verdict_table():
    """All rows so far, as a table in HTML."""

    def line(cells, tag):
        left = f'<{tag} style="text-align:left">'
        return f"<tr>{''.join(f'{left}{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    lines = [line(("row", "claim", "verdict", "how", "chapter"), "th")]
    for row, (chapter, claim, verdict, how) in ROWS.items():
        lines.append(line((row, claim, verdict, how, chapter), "td"))
    return HTML(f"<table>{''.join(lines)}</table>")


# %% [markdown]
# ## All verdicts
#
# Empty until the last cell has run. "Chapter" is where the row's subject is taught; the rows themselves have the links.

# %% tags=["nbval-ignore-output"]
verdicts = display(verdict_table(), display_id="verdicts")  # filled by the last cell
assert not ROWS

# %% [markdown]
# ## 1 Architecture
#
# ### A1 An autoencoder at the core
#
# **Claim.** "The core of a large language model is an autoencoder (自编码器)."
#
# An autoencoder gives back what it reads, through something narrower. Look at what is asked of each kind of model.

# %%
ids = torch.arange(10, 26)[None]  # one text of 16 tokens
read, asked = causal_pairs(ids)
given, hidden = masked_tokens(
    ids, mask_id=0, special_ids=(), vocab_size=40, generator=generator_at(0)
)
damaged = given != ids
states = Encoder(n_layers=1, d_model=64, n_heads=2, d_ff=64)(torch.zeros(1, 16, 64))

# %%
parts = {
    "GPT is asked for the tokens that it reads": (read == asked).any(),
    "BERT is asked for what was damaged": (hidden == ids)[damaged].all(),
    "a text passes through fewer vectors than tokens": states.shape[1] < ids.shape[1],
}
assert asked[0, 0] == ids[0, 1] and damaged.any() and (hidden == IGNORE_INDEX).any()
settle("A1", "11", "The core of a large language model is an autoencoder.", parts)

# %% [markdown]
# **Half right.** GPT is autoregressive (自回归), asked for the *next* token (词元); BERT is a denoising autoencoder (去噪自编码器), though one
# that is asked for the hidden tokens alone; and neither squeezes the text. Shown on trained models in
# [chapter 11, section 10](11_pretraining_objectives.ipynb#10-Two-common-misconceptions).
#
# ### A2 RNNs or CNNs as hidden layers
#
# **Claim.** "Large language models usually have recurrent (循环) or convolutional (卷积) layers as hidden layers", with BERT and GPT as examples.
#
# Ask published files what layers they hold: MiniLM, a BERT, and SmolLM2, a GPT of the Llama kind.

# %%
names = {
    "MiniLM": tensor_names(fetch("minilm")),
    "SmolLM2": GGUFFile(fetch("smollm2")).tensors,
}
parts = {}
for model, tensors in names.items():
    found = Counter(
        kind for kind in ("att", "rnn", "lstm", "conv") for n in tensors if kind in n
    )
    print(model, dict(found), "of", len(tensors), "tensors")
    parts[f"{model} has recurrent or convolutional weights"] = set(found) - {"att"}
    assert found["att"] > 50
settle("A2", "08", "LLMs usually use RNNs or CNNs as hidden layers.", parts)

# %% [markdown]
# **Wrong.** The models named are Transformers: attention (注意力) and feed-forward networks (前馈网络), with norms between them, from the embedding (嵌入) to the output.
# [Chapter 08, section 6](08_transformer.ipynb#6-The-block) builds the block.
#
# ### A3 A simple GPT-2 of LSTM layers
#
# **Claim.** "A simple GPT-2: embedding, layers of LSTM (长短期记忆网络), softmax (归一化指数函数)."
#
# Build both, equally wide, and look for a place for each of GPT-2's weights (a matrix, or a row of biases) in the stack.

# %%
with torch.device("meta"):  # shapes without memory
    gpt2 = GPT(PRESETS["gpt2"])
    sizes = {"vocab_size": 50257, "input_size": 768, "hidden_size": 768}
    stack = RNNLM(RNNLMConfig(**sizes, n_layers=2, tie_weights=True))
n_gpt2, n_stack = (sum(p.numel() for p in m.parameters()) for m in (gpt2, stack))
print(f"GPT-2 {n_gpt2 / 1e6:.1f} M weights, the stack {n_stack / 1e6:.1f} M")
assert round(n_gpt2 / 1e6, 1) == 124.4

# %%
needed, places = (
    Counter(tuple(p.shape) for p in m.parameters()) for m in (gpt2, stack)
)
left_over = needed - places
print(left_over.total(), "of GPT-2's", needed.total(), "weights find no place")
parts = {
    "GPT-2's weights fit into it": not left_over,
    "it has attention": any(isinstance(m, Attention) for m in stack.modules()),
}
assert any(isinstance(m, Attention) for m in gpt2.modules())
settle("A3", "09", "A simple GPT-2 is embedding, LSTM, softmax.", parts)

# %% [markdown]
# **Wrong.** That is an LSTM language model; GPT-2 is a Transformer, its decoder (解码器) alone, and in the smallest size has 124 million weights.
# [Chapter 09, section 14](09_gpt.ipynb#14-Two-common-misconceptions), and what an LSTM of one's own can do:
# [chapter 06, section 6](06_lstm.ipynb#6-An-LSTM-language-model,-made-to-work).
#
# ### A4 Training code that does not train
#
# **Claim.** "Simplified GPT-3 training code", above lines that load GPT-2 and let it continue a sentence.
#
# A model of random weights will do, for the question is whether such lines change them.

# %%
seed_everything(0)
tiny = GPT(GPTConfig(vocab_size=20, max_seq_len=8, d_model=8, n_layers=1, n_heads=2))
start = [p.detach().clone() for p in tiny.parameters()]


def changed():
    return any(
        not torch.equal(p, q) for p, q in zip(tiny.parameters(), start, strict=True)
    )


# %%
generate(tiny, [[1, 2, 3]], 4)  # what the quoted code does
with torch.device("meta"):
    n_gpt3 = sum(p.numel() for p in GPT(PRESETS["gpt3-175b"]).parameters())
parts = {
    "it trains: a weight changes": changed(),
    "what it loads is GPT-3": n_gpt2 == n_gpt3,
}
optimizer = AdamW(tiny.parameters(), lr=0.01)  # what training does
cross_entropy(tiny(torch.tensor([[1, 2, 3]])), torch.tensor([[2, 3, 4]])).backward()
optimizer.step()
assert changed()
settle("A4", "09", "Loading GPT-2 and calling it is GPT-3 training code.", parts)

# %% [markdown]
# **Wrong.** To train is to compute a loss, its gradient (梯度) and a step, many times; the quoted code runs inference (推理), and the weights stay as they were.
# [Chapter 09, section 4](09_gpt.ipynb#4-A-short-run) trains one.
#
# ### A5 The Revenue Language Model
#
# **Claim.** "Methods of pretraining (预训练) are MLM, the Revenue Language Model (RLM), … RLM: shuffle the text, predict the original."

# %%
ids = torch.arange(10)
inputs, targets = shuffle_tokens(ids, generator=generator_at(0))
print("goes in ", inputs.tolist(), "\nasked for", targets.tolist())
assert not torch.equal(inputs, ids)

# %%
parts = {
    "there is such an objective": torch.equal(targets, ids)
    and torch.equal(inputs.sort().values, ids),
    "a method of this name was published": False,  # looked up: none found
}
claim = "RLM (Revenue Language Model) shuffles a text and predicts the original."
settle("A5", "11", claim, parts, how="computed and looked up")

# %% [markdown]
# **Half right.** A search of papers, code and web pages finds no method of this name; the idea is deshuffling (乱序还原), published under other names (T5's ablations, BART's sentence permutation,
# StructBERT's word order). [Chapter 11, section 10](11_pretraining_objectives.ipynb#10-Two-common-misconceptions) trains it small.
#
# ### A6 The size of GPT-3
#
# **Claim.** "GPT-3 has 175 billion parameters (参数)."

# %%
c = PRESETS["gpt3-175b"]
print(c.n_layers, "layers,", c.d_model, "wide,", c.vocab_size, "tokens,", end=" ")
print(c.max_seq_len, f"positions: {n_gpt3 / 1e9:.1f} billion")
by_hand = c.vocab_size * c.d_model + c.max_seq_len * c.d_model
by_hand += c.n_layers * (12 * c.d_model**2 + 13 * c.d_model) + 2 * c.d_model
assert by_hand == n_gpt3 and round(n_gpt3 / 1e9, 1) == 174.6
parts = {"175 billion, rounded": round(n_gpt3 / 1e9) == 175}
settle("A6", "08", "GPT-3 has 175 billion parameters.", parts)

# %% [markdown]
# **Right.** The published shape (Brown et al. 2020, table 2.1) gives 174.6 billion.
# [Chapter 08, section 9](08_transformer.ipynb#9-Counting-parameters-and-operations) counts piece by piece.
#
# ## 2 Worked numbers
#
# ### A7 A forward pass of four numbers
#
# **Claim.** "$x = [1, 2]$, $W_1 = [[.1, .2], [.3, .4]]$, $b_1 = [.1, .2]$ give $z_1 = [0.5, 1.2, 1.1, 2.6]$, and with $W_2 = [.5, .6]$, $b_2 = .1$ and ReLU (修正线性单元)
# the output is four numbers, $[0.3, 0.72, 0.65, 1.56]$."

# %%
x, W1 = torch.tensor([1.0, 2.0]), torch.tensor([[0.1, 0.2], [0.3, 0.4]])
z1 = x @ W1 + torch.tensor([0.1, 0.2])
y = z1.relu() @ torch.tensor([0.5, 0.6]) + 0.1
print("z1 =", [round(v, 2) for v in z1.tolist()], " y =", round(y.item(), 2))
assert torch.allclose(z1, torch.tensor([0.8, 1.2]))
assert torch.isclose(y, torch.tensor(1.22))
parts = {"z1 has four numbers": z1.numel() == 4, "y has four numbers": y.numel() == 4}
settle("A7", "04", "A 2-2-1 network turns [1, 2] into four numbers.", parts)

# %% [markdown]
# **Wrong.** Two inputs through a 2 × 2 matrix (矩阵) are two numbers, $[0.8, 1.2]$, and the output is one, 1.22.
# [Chapter 04, section 1](04_backpropagation.ipynb#1-The-forward-pass).
#
# ### A8 One cross-entropy for two classes and many
#
# **Claim.** "For two classes and for many, the loss is cross-entropy (交叉熵), $L = -\frac 1m \sum y_i \log a_i$."
#
# Take one example of class 0 that the model calls class 1 with probability (概率) 0.99.

# %%
y, a = torch.tensor(0.0), torch.tensor(0.99)
one_output = -(y * a.log())
whole = -(y * a.log() + (1 - y) * (1 - a).log())
y2, a2 = torch.tensor([1.0, 0.0]), torch.tensor([0.01, 0.99])
two_outputs = -(y2 * a2.log()).sum()
print(f"the formula {abs(one_output):.2f}, with its second term {whole:.2f}", end=", ")
print(f"on two outputs {two_outputs:.2f}")
assert torch.isclose(whole, F.binary_cross_entropy(a, y))
assert round(whole.item(), 2) == 4.61

# %%
parts = {
    "with one output for each class": torch.isclose(two_outputs, whole),
    "with one output for two classes": torch.isclose(one_output, whole),
}
settle("A8", "04", "Cross-entropy is −1/m Σ y log a, for two classes too.", parts)

# %% [markdown]
# **Half right.** It holds where each class has its own output; with one output the term $(1 - y) \log (1 - a)$ is missing, and the worst mistake costs 0.
# [Chapter 04, section 2](04_backpropagation.ipynb#2-A-loss:-one-number-to-make-smaller).
#
# ### A9 A mean squared error with half
#
# **Claim.** "The mean squared error (均方误差) of $[1, 2, 3, 4]$ and $[1.1, 1.9, 3.1, 4.2]$ is 0.00875" (with the convention $\frac{1}{2m}$).

# %%
y, a = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([1.1, 1.9, 3.1, 4.2])
half = ((y - a) ** 2).sum() / (2 * 4)
line_before = ((1 - a) ** 2).sum() / 8  # as printed there: every target is 1
print(f"{half:.5f}; the line before it {line_before:.2f}; torch {F.mse_loss(a, y):.4f}")
assert round(line_before.item(), 2) == 1.93
assert torch.isclose(F.mse_loss(a, y), torch.tensor(0.0175))
parts = {"0.00875, with 1/2m": torch.isclose(half, torch.tensor(0.00875))}
settle("A9", "04", "The halved MSE of that example is 0.00875.", parts)

# %% [markdown]
# **Right.** The number holds, though the line printed above it, $\sum (1 - a_i)^2$, would give 1.93; and `torch.nn.functional.mse_loss` has no ½: 0.0175.
# [Chapter 04, section 2](04_backpropagation.ipynb#2-A-loss:-one-number-to-make-smaller).
#
# ## 3 Backpropagation
#
# ### A10 An error with the wrong sign
#
# **Claim.** "$\delta_2 = (y - a)(1 - a) = (2 - 1.9)(1 - 1.9) = 0.001$. Then $\delta_1 = 0.001 \cdot ((1 - 0.5)^2 + (1 - 1.2)^2 + (1 - 1.1)^2 + (1 - 2.6)^2)$
# $= 0.001 \cdot (0.25 + 0.64 + 0.09 + 1.96) = 0.00214$." Here $\delta$ (误差项) is the derivative of the loss $\frac12 (y - a)^2$ by a layer's $z$, and
# the layer is a ReLU.

# %%
z = torch.tensor(1.9, requires_grad=True)
(0.5 * (2 - z.relu()) ** 2).backward()  # what the derivative is
product = (2 - 1.9) * (1 - 1.9)
print(f"derivative {z.grad:.2f}, the product {product:.2f}")
assert round(product, 2) == -0.09
assert torch.isclose(z.grad, torch.tensor(1.9 - 2))  # a - y

# %%
squares = [(1 - v) ** 2 for v in (0.5, 1.2, 1.1, 2.6)]
printed = (0.25, 0.64, 0.09, 1.96)
by_squares, by_printed = 0.001 * sum(squares), 0.001 * sum(printed)
print("the squares", [round(v, 2) for v in squares], f"give {by_squares:.5f}")
print("the numbers printed", list(printed), f"give {by_printed:.5f}")
assert (round(by_squares, 5), round(by_printed, 5)) == (0.00286, 0.00294)

# %%
parts = {
    "the product is 0.001": math.isclose(product, 0.001),
    "it is the derivative": math.isclose(product, z.grad.item()),
    "the squares give 0.00214": round(by_squares, 5) == 0.00214,
    "the numbers printed give 0.00214": round(by_printed, 5) == 0.00214,
}
settle("A10", "04", "δ2 = (y − a)(1 − a) = 0.001, δ1 = 0.00214.", parts)

# %% [markdown]
# **Wrong.** The derivative is $a - y = -0.1$, for ReLU's slope is 1 here. (The sigmoid (S 型函数) has the slope $a(1-a)$, and no sigmoid gives 1.9.) The
# product is −0.09. The sum is 0.00286, or 0.00294 with the numbers printed, and a vector should stand in its place. (The example also has two targets and a
# network with one output.) [Chapter 04, section 14](04_backpropagation.ipynb#14-Two-common-misconceptions).
#
# ### A11 A delta that goes forward
#
# **Claim.** "$\delta_{n-1} = (\delta_n \cdot W_n) \cdot \sigma'(z_{n-1})$, and the gradient is $\sum_i \delta_i x_i$", for a forward pass $z_n = a_{n-1} W_n$.
#
# First the kindest case for the sum: one layer with one output, and the sum runs over five examples.

# %%
seed_everything(0)
x, w = torch.randn(5, 3), torch.randn(3, 1, requires_grad=True)
(0.5 * (x @ w) ** 2).sum().backward()
delta = x @ w.detach()  # ∂L/∂z, one number for each example
one_layer = torch.isclose(w.grad[:, 0], (delta * x).sum(0)).all()

# %% [markdown]
# Then two layers. The matrices are square, so that the product without the transpose (转置) runs without complaint.

# %%
W1, W2 = (torch.randn(3, 3, requires_grad=True) for _ in range(2))
z1 = x @ W1
z1.retain_grad()
a1 = z1.sigmoid()
delta2 = a1 @ W2  # ∂L/∂z2, for L is half the square of z2
(0.5 * delta2**2).sum().backward()
slope = a1 * (1 - a1)
assert torch.allclose(z1.grad, (delta2 @ W2.T) * slope)
assert torch.allclose(W2.grad, a1.T @ delta2)
outer = torch.allclose(W2.grad, x.T @ delta2)  # read as every δ times every x

# %%
parts = {
    "δ1 comes from δ2 W2": torch.allclose(z1.grad, (delta2 @ W2) * slope),
    "Σ δ x, in one layer with one output": one_layer,
    "Σ δ x, in the second of two layers": outer,
}
settle("A11", "04", "δ goes back by δW, and the gradient is Σ δ x.", parts)

# %% [markdown]
# **Half right.** The sum is the gradient of one layer with one output. In general, going back takes $W^\top$ and an elementwise product (逐元素积), and a layer's gradient is the
# outer product (外积) $\mathbf a_{n-1}^\top \boldsymbol\delta_n$, a matrix of $W$'s shape, summed over the examples: what the *layer* was given, not the network's $x$.
# [Chapter 04, section 5](04_backpropagation.ipynb#5-Batches-and-matrices).
#
# ### A12 A 2-3-1 network that puts out 4 and 8 numbers
#
# **Claim.** "A network with 2, 3 and 1 neurons: the first layer gives $[0.5, 1.2, 1.1, 2.6]$, the second, with a 3 × 3 matrix, eight numbers;
# $\delta_3 = 0.643^2 = 0.412449$; $\delta_2$ is a sum of eight terms, 1.658076."

# %%
try:
    torch.tensor([0.5, 1.2, 1.1, 2.6]) @ torch.ones(3, 3)
    fits = True
except RuntimeError as error:
    fits = False
    print(error)
terms = (0.348774, 0.237357, 0.274375, 0.193769, 0.312364, 0.141221, 0.180526, 0.335851)
print(f"0.643² = {0.643**2:.6f}; the eight terms add up to {sum(terms):.4f}")
assert round(0.643**2, 6) == 0.413449 and round(sum(terms), 4) == 2.0242

# %%
parts = {
    "four numbers fit a 3 × 3 matrix": fits,
    "0.643² is 0.412449": round(0.643**2, 6) == 0.412449,
    "the terms add up to 1.658076": math.isclose(sum(terms), 1.658076),
}
settle("A12", "04", "The 2-3-1 example with layers of 4 and 8 numbers.", parts)

# %% [markdown]
# With right shapes, the same input $[1, 2]$ and ReLU, first layer without bias, target 1:

# %%
x = torch.tensor([1.0, 2.0])
W1 = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], requires_grad=True)
W2 = torch.tensor([[0.1], [0.2], [0.3]], requires_grad=True)
a1 = (x @ W1)[None].relu()  # (1, 3)
y = a1 @ W2 + 0.1  # (1, 1)
loss = 0.5 * ((y - 1) ** 2).sum()
loss.backward()
delta2 = y - 1
delta1 = (delta2 @ W2.T) * (a1 > 0)
assert torch.allclose(W2.grad, a1.T @ delta2)
assert torch.allclose(W1.grad, x[None].T @ delta1)
print("a1", [round(v, 2) for v in a1[0].tolist()], "y", round(y.item(), 2))
print("δ2", round(delta2.item(), 2), "δ1", [round(v, 3) for v in delta1[0].tolist()])

# %% [markdown]
# **Wrong.** The shapes are impossible, the square is 0.413449, and the terms add up to 2.0242.
# [Chapter 04, section 4](04_backpropagation.ipynb#4-Backpropagation-by-hand) does such a network by hand.
#
# ## 4 Recurrent networks
#
# ### A13 The RNN's derivative
#
# **Claim.** "In a recurrent network (循环神经网络) with $h_t = \sigma(W_h [h_{t-1}, x_t] + b_h)$, the error is $\delta_h = \partial L / \partial h_t \cdot (1 - \sigma'(h_t))$."
#
# The claim does not say which activation $\sigma$ is. Try the two that recurrent networks use, tanh (双曲正切) and the sigmoid, on one step.

# %%
parts = {}
z = torch.tensor(0.8, requires_grad=True)
for activation in (torch.tanh, torch.sigmoid):
    h = activation(z)
    (slope,) = torch.autograd.grad(h, z)  # ∂h/∂z, what should stand there
    at_h = h.detach().requires_grad_()
    (slope_at_h,) = torch.autograd.grad(activation(at_h), at_h)
    claimed, name = 1 - slope_at_h, activation.__name__
    print(f"{name}: slope {slope:.3f}, the claim {claimed:.3f}")
    parts[f"1 − σ′(h) is the slope of {name}"] = torch.isclose(slope, claimed)

# %% [markdown]
# Then two steps of tanh, with a loss at both.

# %%
w = 0.5  # from one step to the next
z1 = torch.tensor(0.8, requires_grad=True)
h1 = z1.tanh()
h2 = (w * h1).tanh()
(h1 + h2).backward()  # ∂L/∂h_1 = ∂L/∂h_2 = 1, each by itself
assert torch.isclose(z1.grad, (1 + w * (1 - h2**2)) * (1 - h1**2))
parts["nothing comes back from the next step"] = torch.isclose(z1.grad, 1 - h1**2)
settle("A13", "06", "In an RNN, δ = ∂L/∂h · (1 − σ′(h)).", parts)

# %% [markdown]
# **Wrong.** The slope of tanh is $1 - h_t^2$, and the step after sends back a second term, through the weights between steps.
# [Chapter 06, section 3](06_lstm.ipynb#3-The-gradient-goes-back-through-time).
#
# ### A14 The LSTM's cell
#
# **Claim.** "$C_t = f_t \cdot \tilde C_{t-1} + i_t \cdot \tilde C_t$, where $\tilde C_{t-1} = \tanh(W_C [h_{t-1}, x_t] + b_C)$ is computed in the forget gate (遗忘门)."

# %%
seed_everything(0)
cell = nn.LSTMCell(2, 3)
x_t, h, c = torch.randn(1, 2), torch.randn(1, 3), torch.randn(1, 3)
z = x_t @ cell.weight_ih.T + cell.bias_ih + h @ cell.weight_hh.T + cell.bias_hh
i, f, candidate, o = z.chunk(4, dim=1)
i, f, candidate = i.sigmoid(), f.sigmoid(), candidate.tanh()
claimed, right = f * candidate + i * candidate, f * c + i * candidate
new = cell(x_t, (h, c))[1]
assert torch.allclose(new, right)

# %%
parts = {"the claimed cell is the LSTM's": torch.allclose(new, claimed)}
settle("A14", "06", "An LSTM's cell is f · C̃(t−1) + i · C̃(t).", parts)

# %% [markdown]
# **Wrong.** $C_t = f_t \odot C_{t-1} + i_t \odot \tilde C_t$: the forget gate multiplies the *old cell*. In the claim the old cell does not occur, so the cell remembers nothing.
# [Chapter 06, section 5](06_lstm.ipynb#5-A-cell-that-is-added-to).
#
# ### A15 An LSTM in nn.Sequential
#
# **Claim.** "`nn.Sequential(Embedding, LSTM, Linear)` with `CrossEntropyLoss` is a language model."

# %%
chain = nn.Sequential(nn.Embedding(20, 8), nn.LSTM(8, 8), nn.Linear(8, 20))
ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
logits = torch.randn(2, 3, 20)  # (B, T, V), as our models return them
trials = {
    "the chain runs": lambda: chain(ids),
    "the loss takes classes on the last axis": lambda: F.cross_entropy(logits, ids),
}
assert torch.isclose(F.cross_entropy(logits.mT, ids), cross_entropy(logits, ids))

# %%
parts = {}
for trial, run in trials.items():
    try:
        parts[trial] = run() is not None
    except (TypeError, RuntimeError) as error:
        parts[trial] = False
        print(type(error).__name__, str(error).splitlines()[0][:60])
settle("A15", "06", "nn.Sequential(Embedding, LSTM, Linear) runs.", parts)

# %% [markdown]
# **Wrong.** `nn.LSTM` returns a tuple, which the linear layer refuses; and torch's loss wants the classes on the second axis.
# [Chapter 06, section 6](06_lstm.ipynb#6-An-LSTM-language-model,-made-to-work).
#
# ## 5 Attention and positions
#
# ### A16 A softmax of one number
#
# **Claim.** Attention worked by hand, in which each single score $w_i \cdot w_j / \sqrt{d_k}$ gets a softmax of its own and is then multiplied with $w_i \cdot w_j$.

# %%
words = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
scores = words @ words.T / math.sqrt(2)
each = scores[..., None].softmax(-1)[..., 0]  # a softmax over one number
rows = scores.softmax(-1)
print("each by itself", each[0].tolist())
print("by row        ", [round(v, 2) for v in rows[0].tolist()])
assert torch.allclose(rows @ words, F.scaled_dot_product_attention(words, words, words))

# %%
claimed = (words @ words.T) * each  # each product times the softmax of its score
print("the claim", tuple(claimed.shape), " attention", tuple((rows @ words).shape))
parts = {
    "the weights differ from each other": each.unique().numel() > 1,
    "the result is one vector for each word": claimed.shape == words.shape,
}
settle("A16", "07", "Attention takes the softmax of each score.", parts)

# %% [markdown]
# **Wrong.** The softmax of one number is 1, whatever the number; it must run over a row, all keys (键) of one query (查询). And its weights multiply the values, which
# in the claim do not occur: what is left is the table of products.
# [Chapter 07, section 6](07_attention.ipynb#6-A-worked-example,-and-a-wrong-one).
#
# ### A17 Head weights made of word embeddings
#
# **Claim.** "In multi-head attention (多头注意力) the matrices are $W_i^Q = \mathrm{emb}(w_i)$, one for each word."

# %%
layer = Attention(d_model=8, n_heads=2)
of_a_head = layer.q_proj.weight.T[:, :4]  # (D, K): the first of two heads
word = nn.Embedding(20, 8)(torch.tensor(5))  # (D,)
print("a head's W_Q", tuple(of_a_head.shape), " emb(w)", tuple(word.shape))

in_file = [name for name in names["MiniLM"] if name.endswith("query.weight")]
n_words = len((fetch("minilm") / "vocab.txt").read_text("utf-8").splitlines())
print("MiniLM:", len(in_file), "matrices of queries, one a layer;", n_words, "tokens")

# %%
parts = {
    "an embedding has the shape of a head's W_Q": of_a_head.shape == word.shape,
    "a published file has a W_Q for each word": len(in_file) == n_words,
}
settle("A17", "07", "The head matrices are the words' embeddings.", parts)

# %% [markdown]
# **Wrong.** They are learned matrices, one for each head (a layer's stand side by side in one) and the same for every word; the embeddings are what they multiply.
# [Chapter 07, section 11](07_attention.ipynb#11-Many-heads).
#
# ### A18 Heads that share out the sequence
#
# **Claim.** "Multi-head attention splits the input sequence into sub-sequences, one for each head."
#
# If so, a head that works on the first words cannot notice that the last word changes.


# %%
def split(x):
    """Queries, keys and values of the layer's two heads."""
    projections = (layer.q_proj, layer.k_proj, layer.v_proj)
    # (B, T, D) -> (B, H, T, K)
    return [p(x).unflatten(-1, (2, 4)).transpose(1, 2) for p in projections]


# %%
seed_everything(0)
x = torch.randn(1, 6, 8)  # (B, T, D)
other = x.clone()
other[0, -1] = torch.randn(8)  # another last word
q, k, v = split(x)
heads, weights = attention_explicit(q, k, v)  # (B, H, T, K), (B, H, T, S)
moved = (attention_explicit(*split(other)).output - heads).abs().amax(-1)[0]  # (H, T)
print("weights", tuple(weights.shape), " what a head gives", tuple(heads.shape))
parts = {"some head does not notice, at the first word": (moved[:, 0] == 0).any()}
settle("A18", "07", "Heads split the sequence among them.", parts)

# %% [markdown]
# **Wrong.** The *width* is split, 8 into 2 × 4; each head has a weight for all 6 positions, and notices a change at any of them.
# [Chapter 07, section 11](07_attention.ipynb#11-Many-heads).
#
# ### A19 The formula without a mask
#
# **Claim.** "Self-attention is $\mathrm{softmax}(QK^\top / \sqrt{d_k})\,V$", for the encoder (编码器) and the decoder alike.

# %%
by_formula = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) @ v
assert torch.allclose(by_formula, attention_explicit(q, k, v).output)
q2, k2, v2 = split(other)  # another last word
moves = {}
for name, mask in (("no mask", None), ("causal mask", causal_mask(6))):
    before = attention_explicit(q, k, v, mask).output
    after = attention_explicit(q2, k2, v2, mask).output
    moves[name] = (after - before)[..., :-1, :].abs().max().item()
    print(f"{name}: earlier positions move by up to {moves[name]:.2f}")
assert moves["causal mask"] == 0

# %%
parts = {
    "the formula": torch.allclose(by_formula, F.scaled_dot_product_attention(q, k, v)),
    "earlier positions do not see a later one": moves["no mask"] == 0,
}
settle("A19", "07", "Self-attention is softmax(QKᵀ/√d) V, in a decoder too.", parts)

# %% [markdown]
# **Half right.** The formula holds; a decoder needs the causal mask (因果掩码) in it, or each position sees the token that it is to predict.
# [Chapter 07, section 10](07_attention.ipynb#10-What-happens-without-the-mask).
#
# ### A20 An encoder with one vector
#
# **Claim.** "The Transformer's encoder turns the input into a vector of fixed length."

# %%
encoder = Encoder(n_layers=1, d_model=8, n_heads=2, d_ff=16)
shapes = [tuple(encoder(torch.randn(1, length, 8)).shape) for length in (3, 7)]
print(shapes)
assert [shape[1] for shape in shapes] == [3, 7]
parts = {"3 and 7 tokens give results of one shape": shapes[0] == shapes[1]}
settle("A20", "07", "The encoder yields a vector of fixed length.", parts)

# %% [markdown]
# **Wrong.** One vector for each position. The single vector was the older sequence-to-sequence model's bottleneck, and attention did away with it:
# [chapter 07, section 1](07_attention.ipynb#1-The-wall,-once-more).
#
# ### A21 Positions in the exponent
#
# **Claim.** For an encoding of width $d = 2$: "$\mathrm{PE}(1, 2) = \cos(1 / 10000^{2 \cdot 1/2})$, $\mathrm{PE}(2, 2) = \cos(2 / 10000^{2 \cdot 2/2})$", and so on, with the position in the exponent (指数);
# the pair of sine and cosine is said to be concatenated (拼接) with a word's vector of 4, and then added to it.

# %%
table = sinusoidal_positions(5, 2).double()  # (T, D): a row is one sine, one cosine
same = []
for position in (1, 2, 4):
    claimed = math.cos(position / 10000 ** (2 * position / 2))
    right = math.cos(position / 10000 ** (2 * 0 / 2))  # the first pair: i = 0
    print(f"PE({position}, 2): the claim {claimed:.4f}, right {right:.4f}")
    assert math.isclose(table[position, 1].item(), right, abs_tol=1e-6)
    same.append(math.isclose(claimed, right, abs_tol=0.01))

# %%
word, pair = torch.zeros(4), table[1]
assert (word + sinusoidal_positions(5, 4)[1]).shape == word.shape
parts = {
    "the claimed numbers are the encoding": any(same),
    "a pair can be added to a vector of 4": pair.shape == word.shape,
}
settle("A21", "08", "In PE the exponent follows the position.", parts)

# %% [markdown]
# **Wrong.** The exponent is $2i/D$ and follows the *dimension* (pair $i$, counted from 0), so the claimed numbers are all nearly 1 where the right ones turn with the position; and the encoding is as wide as the embedding, so that it can be added.
# [Chapter 08, section 7](08_transformer.ipynb#7-Where-a-token-stands).
#
# ## 6 Training
#
# ### A22 An update divided by nothing
#
# **Claim.** "$\theta = \theta - \alpha \cdot \frac{\nabla_\theta J(\theta)}{()}$", with a fraction and nothing below its line.

# %%
theta = 0.0
for _ in range(60):  # J = (θ - 3)², without the division
    theta = theta - 0.1 * 2 * (theta - 3)
nothing = ()
try:
    divided = 0.1 * 2 * (0.0 - 3) / nothing
except TypeError as error:
    divided = None
    print(error)

# %%
parts = {
    "minus rate times gradient descends": round(theta, 3) == 3,
    "the division can be computed": divided is not None,
}
settle("A22", "04", "θ ← θ − α ∇J(θ) / ().", parts)

# %% [markdown]
# **Half right.** Without the empty denominator it is gradient descent (梯度下降), $\theta \leftarrow \theta - \alpha \nabla J(\theta)$; Adam has a denominator there (row A24).
# [Chapter 04, section 8](04_backpropagation.ipynb#8-Gradient-descent).
#
# ### A23 SGD over all samples
#
# **Claim.** "SGD (随机梯度下降) improves on gradient descent: it averages the gradients of all $m$ training samples. It is faster, but may converge to a local minimum (局部极小值)."
#
# First the average: a line through 1000 points, its squared error, and the gradient at $w = 0$.

# %%
generator = seed_everything(0)
x = torch.randn(1000, generator=generator)
y = 2 * x + torch.randn(1000, generator=generator)
w = torch.zeros((), requires_grad=True)
((y - w * x) ** 2).mean().backward()  # gradient descent: the loss of all
each = -2 * x * y  # the gradient of each sample
batches = torch.randint(1000, (2000, 8), generator=generator)
estimates = each[batches].mean(1)  # SGD: from 8 samples, 2000 times
print(f"all {w.grad:.1f}; batches of 8: {estimates.mean():.1f} on average,", end=" ")
print(f"with a standard deviation of {estimates.std():.1f}")
assert torch.isclose(each.mean(), w.grad)  # the claim's formula
assert abs(estimates.mean() - w.grad) < 0.2 < 1 < estimates.std()

# %% [markdown]
# Then the local minimum, on $\theta^4 - 2\theta^2 + \theta/2$, which is lowest near −1.06 and has a second, higher valley.

# %%
theta = 1.5
for _ in range(200):  # gradient descent: the full gradient, no noise
    theta -= 0.02 * (4 * theta**3 - 4 * theta + 0.5)
print(f"gradient descent ends at {theta:.2f}")
parts = {
    "SGD's gradient is that of all samples": torch.allclose(estimates, w.grad),
    "gradient descent is spared local minima": theta < 0,
}
settle("A23", "04", "SGD averages over all samples; local minima mark it.", parts)

# %% [markdown]
# **Wrong.** The average over everything *is* gradient descent. SGD may end in a local minimum, but so does gradient descent; SGD's mark is the noise (噪声) of an estimate from one sample or a few.
# [Chapter 04, section 14](04_backpropagation.ipynb#14-Two-common-misconceptions).
#
# ### A24 Adam without its correction
#
# **Claim.** "Adam: $m \leftarrow \beta_1 m + (1 - \beta_1) g$, $v \leftarrow \beta_2 v + (1 - \beta_2) g^2$, $\theta \leftarrow \theta - \alpha\, m / (\sqrt v + \epsilon)$."

# %%
m = v = 0.0
steps = []
for _ in range(10_000):  # the gradient is 1 all the time, α = 1
    m, v = 0.9 * m + 0.1, 0.999 * v + 0.001
    steps.append(m / math.sqrt(v))
print("step 1, 10, 100, 10000:", [round(steps[t - 1], 2) for t in (1, 10, 100, 10_000)])
weight = nn.Parameter(torch.zeros(1))
adam = torch.optim.Adam([weight], lr=1.0)
weight.grad = torch.ones(1)
adam.step()
assert round(steps[0], 2) == 3.16 and round(weight.item(), 4) == -1
assert 6 < max(steps) < 7 and steps[99] > 3

# %%
parts = {
    "after 10,000 steps it is Adam's step": round(steps[-1], 2) == 1,
    "at the first step it is": round(steps[0], 2) == 1,
}
settle("A24", "04", "Adam is m / √v, without bias correction.", parts)

# %% [markdown]
# **Half right.** Late in a run the two agree; at the start the corrections $\hat m = m / (1 - \beta_1^t)$ and $\hat v = v / (1 - \beta_2^t)$ are missing, and the first hundred steps are 3 to 7 times too long.
# [Chapter 04, section 11](04_backpropagation.ipynb#11-Adam).
#
# ### A25 Learning random integers
#
# **Claim.** Integer labels (标签) with `categorical_crossentropy`; the label of a sequence is its last token, while the model returns a prediction at every position; the data are uniform random integers below 10,000; the loss falls, so
# training "improves the accuracy of its predictions".
#
# First the loss. That name means $-\sum_v y_v \log p_v$ with a one-hot (独热) row $y$: 0s and a single 1.

# %%
log_p = torch.tensor([0.7, 0.2, 0.1]).log()
label = torch.tensor(2)
with_integer = -(label * log_p).sum()  # 2 times every logarithm
one_hot = -(F.one_hot(label, 3) * log_p).sum()
sparse = F.nll_loss(log_p, label)  # takes the integer
print(f"integer {with_integer:.2f}, one-hot {one_hot:.2f}, sparse {sparse:.2f}")
assert torch.isclose(one_hot, sparse) and round(sparse.item(), 2) == 2.30
loss_fits = torch.isclose(with_integer, sparse)

# %% [markdown]
# Then the labels: one for a sequence, against a prediction at every position.

# %%
predictions = torch.randn(2, 5, 3)  # (B, T, V)
try:
    F.cross_entropy(predictions.mT, torch.tensor([0, 2]))  # (B,): the last tokens
    one_label_fits = True
except (RuntimeError, ValueError) as error:
    one_label_fits = False
    print(error)

# %% [markdown]
# Then the data: 16 sequences of 17 random integers to learn from, with targets shifted by one, and 16 more to test on. On new ones nothing beats the even guess, $\log 10000 = 9.21$ nats.

# %%
torch.set_default_dtype(torch.float32)
generator = seed_everything(0)
noise = torch.randint(10_000, (2, 16, 17), generator=generator)
shape = {"vocab_size": 10_000, "input_size": 64, "hidden_size": 64, "n_layers": 1}
parrot = RNNLM(RNNLMConfig(**shape, dropout=0.0))
optimizer = AdamW(parrot.parameters(), lr=0.03)
for _ in range(60):
    loss = cross_entropy(parrot(noise[0, :, :-1]), noise[0, :, 1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# %%
with torch.no_grad():
    learned, new = (
        cross_entropy(parrot(part[:, :-1]), part[:, 1:]).item() for part in noise
    )
torch.set_default_dtype(torch.float64)
print(f"training below 0.5: {learned < 0.5}; held out above 9.21: {new > 9.21}")
assert learned < 0.5 and new > 12 and round(math.log(10_000), 2) == 9.21

# %%
parts = {
    "categorical cross-entropy takes integers": loss_fits,
    "one label fits a prediction at every position": one_label_fits,
    "with the falling loss, new text is predicted better": new < math.log(10_000),
}
settle("A25", "09", "The loss on random integers falls, so the model learns.", parts)

# %% [markdown]
# **Wrong.** Integers need the sparse form and targets shifted by one; and a training loss near 0 on random integers is learned by heart: on new ones it is worse than guessing.
# [Chapter 09, section 14](09_gpt.ipynb#14-Two-common-misconceptions).
#
# ### A26 Choosing an architecture by cross-validation
#
# **Claim.** "Choose a large language model's architecture by cross-validation (交叉验证)."
#
# One training takes about $6ND$ operations ($N$ weights, $D$ tokens), and five folds are five trainings, for each architecture that is compared. Take a
# machine of $10^{11}$ operations a second for the laptop, and $10^{15}$ for one fast accelerator.

# %%
small = 6 * 22.7e6 * 200 * 20 * 3  # MiniLM, 200 sentences of 20 tokens, 3 rounds
large = 6 * n_gpt3 * 300e9  # GPT-3: 300 billion tokens
minutes, years = 5 * small / 1e11 / 60, 5 * large / 1e15 / (365 * 86_400)
print(f"fine-tuning: {minutes:.1f} minutes of the laptop")
print(f"pretraining: {years:.0f} years of the accelerator")
assert round(minutes, 1) == 1.4 and round(years) == 50

# %% [markdown]
# And what does it buy? A surer estimate. How unsure is *one* split: 40 of the 200 sentences, nine in ten of them answered right; or ten million held-out (留出)
# tokens, whose losses have a standard deviation (标准差) of, say, 3 nats?

# %%
accuracy_error, loss_error = math.sqrt(0.9 * 0.1 / 40), 3 / math.sqrt(10_000_000)
print(f"± {accuracy_error:.1%} of accuracy; ± {loss_error:.4f} nats")
parts = {
    "fine-tuning: one split is unsure, and five take under an hour": minutes < 60
    and accuracy_error > 0.01,
    "pretraining: so too": years < 1 and loss_error > 0.01,
}
settle("A26", "14", "Choose an LLM's architecture by cross-validation.", parts)

# %% [markdown]
# **Half right.** For a small labelled set it is the right tool; pretraining, of which even one run is dear, uses one held-out split, which is large enough, and small runs that are extrapolated.
# [Chapter 14, section 8](14_heads_and_tasks.ipynb#8-Cross-validation,-where-it-belongs).
#
# ### A27 PyTorch is slower than TensorFlow
#
# **Claim.** "When large models are trained, PyTorch may be slower than TensorFlow", without a program, a machine or a number.
#
# What would count as evidence? A measurement that names them. Ours is of decoding (解码): one published model, SmolLM2, on one machine, by several programs and
# with its weights stored in several ways, *all in PyTorch*. It says how much is decided before the framework matters.

# %%
path = Path("../results/bench_decoding.json")
measured = json.loads(path.read_text("utf-8"))["measured"]
in_torch = ("lmcore", "transformers")
speeds = [
    row["tokens_per_second"]
    for name, row in measured.items()
    if name.startswith(in_torch)
]
ratio = max(speeds) / min(speeds)
print("the fastest is more than 1.5 times as fast as the slowest:", ratio > 1.5)
assert len(speeds) >= 3 and ratio > 1.5
claim = "PyTorch is slower than TensorFlow on large models."
settle("A27", "09", claim, {}, how="nothing to test")

# %% [markdown]
# **Unsupported.** Within one framework, program and number format make more than a factor of 1.5; a sentence on two frameworks that names no program can be neither confirmed nor refuted. Leave it out. What decides speed in
# decoding: [chapter 09, section 9](09_gpt.ipynb#9-The-KV-cache).
#
# ## 7 Word vectors
#
# ### A28 Which of them counts
#
# **Claim.** "Of the methods for word vectors (词向量), Word2Vec is the statistical one, GloVe the neural one."
#
# Look at what each is fitted to. (Section 13 of chapter 05 holds our code beside gensim's.)

# %%
kinds = {
    name: [kind for kind in fit.__annotations__.values() if kind not in (None, bool)]
    for name, fit in (("Word2Vec", Word2Vec.fit), ("GloVe", GloVe.fit))
}
takes = {name: [kind.__name__ for kind in kinds[name]] for name in kinds}
print(takes)
parts = {
    "Word2Vec is fitted to counts": "Cooccurrences" in takes["Word2Vec"],
    "GloVe is trained on running text": "Cooccurrences" not in takes["GloVe"],
}
settle("A28", "05", "Word2Vec is statistical, GloVe neural.", parts)

# %% [markdown]
# **Wrong.** The other way round: Word2Vec trains a shallow network to predict words from running text, GloVe fits a table of co-occurrence counts (共现计数).
# [Chapter 05, section 6](05_word_vectors.ipynb#6-A-common-misconception:-which-of-them-counts?) shows it on one text, and why the two are nearer than these words
# suggest: both are fitted in gradient steps, and Word2Vec's best scores are a formula of counts (Levy and Goldberg 2014).
#
# ## 8 History and published models
#
# ### A29 The year of GPT-2
#
# **Claim.** "OpenAI released GPT-2 in 2018."

# %%
announced = {"GPT": (2018, 6), "GPT-2": (2019, 2), "GPT-3": (2020, 5)}  # looked up
parts = {"GPT-2 is of 2018": announced["GPT-2"][0] == 2018}
settle("A29", "09", "GPT-2 was released in 2018.", parts, how="looked up")

# %% [markdown]
# **Wrong.** GPT: 11 June 2018; GPT-2: 14 February 2019; GPT-3: 28 May 2020 (OpenAI's announcements, and arXiv 2005.14165). What each of them is:
# [chapter 09](09_gpt.ipynb).
#
# ### A30 GPT-3 on the model hub
#
# **Claim.** "GPT-3 is among the pretrained models that Hugging Face offers."

# %%
published = ("BERT", "GPT", "GPT-2", "T5")  # weights that anyone can fetch: looked up
print(f"GPT-3's weights in 16 bits would be {2 * n_gpt3 / 1e9:.0f} GB")
assert round(2 * n_gpt3 / 1e9) == 349
parts = {"GPT-3's weights are published": "GPT-3" in published}
settle("A30", "09", "Hugging Face offers GPT-3.", parts, how="looked up")

# %% [markdown]
# **Wrong.** BERT, GPT-2 and T5 are there, but GPT-3's weights were never published; it was a paid service. (A request to add it, issue 4658 of `transformers`, was opened the day after the paper appeared, and
# closed.) [Chapter 09, section 14](09_gpt.ipynb#14-Two-common-misconceptions).
#
# ### A31 Three samples, all alike
#
# **Claim.** `pipeline("text-generation", model="gpt3")`, with a printed result: three sampled (采样) texts, word for word the same.
#
# Let a model be so sure of itself that its best token has probability 0.9 at every step. How likely is it that three samples of 50 tokens agree?

# %%
generator = seed_everything(0)
chance = (0.9**3 + 0.1**3) ** 50  # three draws agree, 50 times (two tokens: 0.9, 0.1)
draws = torch.rand(3, 50, 10_000, generator=generator) < 0.9
agree = (draws == draws[:1]).all(0).all(0).double().mean().item()
print(f"chance {chance:.0e}; in 10,000 trials {agree:.0%}")
assert chance < 1e-6 and agree == 0
parts = {
    "the line can have run": False,  # looked up: A30
    "three samples agree by chance": chance > 0.001,
}
claim = "pipeline(model='gpt3') prints three equal samples."
settle("A31", "09", claim, parts, how="computed and looked up")

# %% [markdown]
# **Wrong.** No such model can be loaded (A30), and three equal samples mean that nothing was sampled.
# [Chapter 09, section 14](09_gpt.ipynb#14-Two-common-misconceptions).
#
# ### A32 Answers from a head that nobody trained
#
# **Claim.** "`distilbert-base-uncased` answers the question from the text, with a score of 0.999998."
#
# That checkpoint was pretrained and no more (its model card names three objectives, none of them answers). It has no layer for extractive question
# answering (抽取式问答), and loading makes one up, with random weights. The score is the probability of the start times that of the end. MiniLM is an
# encoder without such a layer as well, and lies here: let made-up layers answer from its states.

# %%
encoder, tokenizer = load_minilm(torch.float64)
question = "what is artificial intelligence ?"
text = "it is the science of machines that do what otherwise takes a human mind ."
batch = tokenizer.batch([question], [text])
with torch.no_grad():
    states = encoder(batch.ids, batch.mask, batch.token_type_ids)[0]  # (T, D)
states = states[len(tokenizer.encode(question)) + 2 : -1]  # the text's alone
heads = [name for name in names["MiniLM"] if "qa_outputs" in name]
print(len(states), "tokens of text;", len(heads), "layers for answers in the file")
assert not heads

# %%
generator = seed_everything(0)
spans, scores = set(), []
for _ in range(20):  # 20 times "load the model": BERT's layers start at 0.02 · N(0, 1)
    head = 0.02 * torch.randn(states.shape[1], 2, generator=generator)
    start, end = (states @ head).softmax(0).T
    joint = (start[:, None] * end[None, :]).triu()  # the end not before the start
    spans.add(divmod(int(joint.argmax()), len(states)))
    scores.append(joint.max().item())
print(f"{len(spans)} different answers in 20 loads; highest score {max(scores):.2f}")
assert len(spans) > 8 and max(scores) < 0.2

# %%
parts = {
    "the answer is the same each time": len(spans) == 1,
    "a score near 1 is possible": max(scores) > 0.9,
}
claim = "distilbert-base-uncased answers with a score of 0.999998."
settle("A32", "10", claim, parts, how="computed and looked up")

# %% [markdown]
# **Wrong.** Without a trained head the spans are random and their scores low; such a figure does not come from this checkpoint as it is published.
# [Chapter 10, section 12](10_bert.ipynb#12-Two-common-misconceptions); how to train a head: [chapter 14, section 6](14_heads_and_tasks.ipynb#6-An-answer-cut-out-of-a-text).
#
# ### A33 Whose PLATO
#
# **Claim.** "ERNIE is Baidu's (百度), PLATO is Alibaba's (阿里巴巴)."

# %%
made_by = {"ERNIE": "Baidu", "PLATO": "Baidu"}  # looked up
parts = {
    "ERNIE is Baidu's": made_by["ERNIE"] == "Baidu",
    "PLATO is Alibaba's": made_by["PLATO"] == "Alibaba",
}
settle("A33", "10", "ERNIE is Baidu's, PLATO Alibaba's.", parts, how="looked up")

# %% [markdown]
# **Half right.** Both are Baidu's: ERNIE (Sun et al. 2019, arXiv 1904.09223) and PLATO (Bao et al. 2020, arXiv 1910.07931; both have their code in Baidu's PaddlePaddle repositories). On ERNIE's masking:
# [chapter 10, section 7](10_bert.ipynb#7-What-to-hide-together).
#
# ### A34 References that lead elsewhere
#
# **Claim.** Five references, as you find them copied in lists of further reading: three titles with numbers of arXiv papers, "Improving language understanding" (GPT)
# as arXiv 1809.04144, and T5 by Józefowicz.

# %%
arxiv = {  # looked up
    "2005.14165": "Language Models are Few-Shot Learners",
    "1910.10683": "Exploring the Limits of Transfer Learning with a Unified …",
}
quoted = {
    "Language Models are Unsupervised Multitask Learners": "2005.14165",
    "Generative Pre-trained Transformers": "2005.14165",
    "Transformers: State-of-the-Art Models (Vaswani 2019)": "1910.10683",
}
for title, number in quoted.items():
    print(f"{number}\n  quoted: {title}\n      is: {arxiv[number]}")
on_arxiv, t5_by = {"BERT", "T5", "GPT-3"}, "Raffel et al."  # looked up

# %%
parts = {title: arxiv[number] == title for title, number in quoted.items()}
parts["GPT is arXiv 1809.04144"] = "GPT" in on_arxiv
parts["T5 is by Józefowicz"] = "Józefowicz" in t5_by
settle("A34", "09", "Five references and their numbers.", parts, how="looked up")

# %% [markdown]
# **Wrong.** 2005.14165 is the paper of GPT-3 (Brown et al. 2020), 1910.10683 that of T5 (Raffel et al. 2020). "Improving Language Understanding by Generative Pre-Training" (GPT) and "Language Models are
# Unsupervised Multitask Learners" (GPT-2) stand on OpenAI's own site and not on arXiv. *Attention Is All You Need* is 1706.03762 (Vaswani et al. 2017), BERT 1810.04805. Each chapter ends with its
# references: [chapter 09](09_gpt.ipynb#References).
#
# ## 9 The count

# %%
verdicts.update(verdict_table())  # fills the table at the top
count = Counter(verdict for _, _, verdict, _ in ROWS.values())
for verdict in ("right", "half right", "wrong", "unsupported"):
    rows = [row for row, entry in ROWS.items() if entry[2] == verdict]
    print(f"{verdict:>11} {count[verdict]:2}  {' '.join(rows)}")
looked_up = [row for row, entry in ROWS.items() if "looked up" in entry[3]]
print(f"  looked up {len(looked_up):2}  {' '.join(looked_up)} (all or in part)")
assert list(ROWS) == [f"A{n}" for n in range(1, 35)]
assert looked_up == ["A5", "A29", "A30", "A31", "A32", "A33", "A34"]

# %% [markdown]
# Most mistakes are of few kinds: a formula without its transpose or its mask, shapes that cannot be, a name on the wrong
# thing, a result that no run can have printed. A few lines of code find each.
#
# ## 10 Where each idea is taught
#
# Where this course treats each idea of the field, and where it does not yet:
#
# | idea | chapter and section |
# |---|---|
# | language models as distributions, maximum likelihood (最大似然), cross-entropy | [01, section 2](01_language_models.ipynb#2-The-probability-of-a-text), [section 4](01_language_models.ipynb#4-Four-units-for-one-quantity) |
# | n-grams and smoothing; grammars | [01, section 5](01_language_models.ipynb#5-Longer-contexts-on-real-text), [section 6](01_language_models.ipynb#6-Room-for-the-unseen); [section 10](01_language_models.ipynb#10-The-other-road:-grammars) |
# | cleaning text and the quality of data; stop words, stems, tokens | [02, section 1](02_text_into_tokens.ipynb#1-Cleaning,-and-what-it-destroys), [section 2](02_text_into_tokens.ipynb#2-Stop-words-and-stems,-and-why-language-models-keep-them), [section 4](02_text_into_tokens.ipynb#4-Byte-pair-encoding,-step-by-step) |
# | word vectors: Word2Vec, GloVe, FastText | [05, section 4](05_word_vectors.ipynb#4-Predict-the-company:-skip-gram), [section 5](05_word_vectors.ipynb#5-Count-first:-GloVe), [section 7](05_word_vectors.ipynb#7-Pieces-of-words:-FastText) |
# | activations: sigmoid, tanh, ReLU | [03, section 2](03_activations.ipynb#2-Sigmoid-and-tanh,-and-gradients-that-shrink), [section 3](03_activations.ipynb#3-ReLU-and-its-relatives) |
# | neuron, layers, forward pass | [04, section 1](04_backpropagation.ipynb#1-The-forward-pass) |
# | losses: cross-entropy, mean squared error | [04, section 2](04_backpropagation.ipynb#2-A-loss:-one-number-to-make-smaller) |
# | backpropagation | [04, section 4](04_backpropagation.ipynb#4-Backpropagation-by-hand), [section 5](04_backpropagation.ipynb#5-Batches-and-matrices) |
# | gradient descent, SGD, Adam | [04, section 8](04_backpropagation.ipynb#8-Gradient-descent), [section 9](04_backpropagation.ipynb#9-Stochastic-gradient-descent), [section 11](04_backpropagation.ipynb#11-Adam) |
# | recurrent networks, LSTM, convolution | [06, section 2](06_lstm.ipynb#2-A-network-with-a-memory), [section 5](06_lstm.ipynb#5-A-cell-that-is-added-to), [section 9](06_lstm.ipynb#9-A-convolution-beside-it) |
# | an LSTM language model, two layers with dropout | [06, section 6](06_lstm.ipynb#6-An-LSTM-language-model,-made-to-work) |
# | attention: queries, keys, values, scaling; many heads; cost and context window | [07, section 5](07_attention.ipynb#5-A-soft-dictionary), [section 7](07_attention.ipynb#7-Why-divide-by-a-square-root?); [section 11](07_attention.ipynb#11-Many-heads); [section 13](07_attention.ipynb#13-What-it-costs) |
# | the Transformer: residuals, norm, feed-forward, positions, encoder and decoder | [08, section 2](08_transformer.ipynb#2-A-way-around-each-layer), [section 3](08_transformer.ipynb#3-LayerNorm,-forward-and-back), [section 5](08_transformer.ipynb#5-A-network-at-every-position), [section 7](08_transformer.ipynb#7-Where-a-token-stands), [section 8](08_transformer.ipynb#8-Encoder,-decoder-and-the-bridge-between-them) |
# | autoencoders | [11, section 9](11_pretraining_objectives.ipynb#9-What-is-an-autoencoder?) |
# | ELMo | [06, section 8](06_lstm.ipynb#8-One-word,-several-vectors) |
# | BERT, masked language modelling, next-sentence prediction; DistilBERT | [10, section 2](10_bert.ipynb#2-Hide-it,-then-ask), [section 5](10_bert.ipynb#5-Two-texts,-one-vector,-and-a-second-task); [section 11](10_bert.ipynb#11-A-smaller-one-that-learns-from-a-larger-one) |
# | GPT, GPT-2, GPT-3 | [09, section 3](09_gpt.ipynb#3-The-model,-from-chapter-08's-blocks), [section 12](09_gpt.ipynb#12-A-published-model-in-the-same-code), [section 13](09_gpt.ipynb#13-Learning-from-examples-in-the-prompt) |
# | ChatGPT | 16, not yet written |
# | T5: span corruption; text-to-text | [11, section 4](11_pretraining_objectives.ipynb#4-Span-corruption,-from-its-definition); 15, not yet written |
# | multi-task learning | [13, section 8](13_fine_tuning.ipynb#8-When-labels-are-few) |
# | ERNIE: hiding names, knowledge enhancement | [10, section 7](10_bert.ipynb#7-What-to-hide-together) |
# | PLATO: dialogue with a latent variable | 16, not yet written |
# | CLIP, DALL·E, multimodal models | 17, not yet written |
# | pretraining objectives | [11, section 2](11_pretraining_objectives.ipynb#2-One-text,-eleven-questions), [section 6](11_pretraining_objectives.ipynb#6-One-question-for-all) |
# | data, preprocessing, training, evaluation, tuning | [09, section 2](09_gpt.ipynb#2-From-files-to-batches), [section 4](09_gpt.ipynb#4-A-short-run), [section 5](09_gpt.ipynb#5-Three-knobs) |
# | regularisation (正则化), learning rate, batch size (批大小) | [13, section 3](13_fine_tuning.ipynb#3-A-run-that-you-can-watch); [09, section 5](09_gpt.ipynb#5-Three-knobs) |
# | scaling: how large, how long | [09, section 6](09_gpt.ipynb#6-What-training-costs); 12, not yet written |
# | fine-tuning the head, some layers, all of it | [13, section 4](13_fine_tuning.ipynb#4-Which-numbers-are-trained?), [section 6](13_fine_tuning.ipynb#6-The-table) |
# | sequence labelling; accuracy and F1; cross-validation | [14, section 2](14_heads_and_tasks.ipynb#2-A-label-for-every-word); [section 4](14_heads_and_tasks.ipynb#4-What-accuracy-hides); [section 8](14_heads_and_tasks.ipynb#8-Cross-validation,-where-it-belongs) |
# | generating text, with the course's own model and a published one | [09, section 8](09_gpt.ipynb#8-Choosing-the-next-token), [section 12](09_gpt.ipynb#12-A-published-model-in-the-same-code) |
# | text classification, sentiment | [13, section 3](13_fine_tuning.ipynb#3-A-run-that-you-can-watch), [section 12](13_fine_tuning.ipynb#12-Into-use) |
# | named entities; reading comprehension | [14, section 5](14_heads_and_tasks.ipynb#5-Names-of-several-words); [section 6](14_heads_and_tasks.ipynb#6-An-answer-cut-out-of-a-text) |
# | text similarity, search queries | [10, section 9](10_bert.ipynb#9-A-small-search-engine), [14, section 7](14_heads_and_tasks.ipynb#7-Search,-and-what-it-is-compared-with) |
# | one sequence into another (spelling into sound) | [08, section 11](08_transformer.ipynb#11-From-spelling-to-sound) |
# | translation, summarisation | 15, not yet written |
# | dialogue and chatbots | 16, not yet written |
# | recommendation, speech recognition | 18, not yet written |
# | few labels: augmentation, transfer, a second task | [13, section 7](13_fine_tuning.ipynb#7-How-many-labels?), [section 8](13_fine_tuning.ipynb#8-When-labels-are-few) |
# | cost in compute and memory; deployment | [07, section 13](07_attention.ipynb#13-What-it-costs), [09, section 6](09_gpt.ipynb#6-What-training-costs); [09, section 9](09_gpt.ipynb#9-The-KV-cache), [13, section 12](13_fine_tuning.ipynb#12-Into-use) |
# | bias in vectors; repeating the training text | [05, section 10](05_word_vectors.ipynb#10-What-the-vectors-learned-about-people); [09, section 11](09_gpt.ipynb#11-Does-it-repeat-what-it-read?) |
# | privacy, fairness, interpretability, safety as subjects of their own | 19, not yet written |
#
# ## References
#
# Of the rows that were looked up, and of A28:
#
# - T. Brown et al., "Language models are few-shot learners", arXiv 2005.14165 (28 May 2020): GPT-3, table 2.1.
# - A. Radford et al., "Improving language understanding by generative pre-training", OpenAI (June 2018): GPT.
# - A. Radford et al., "Language models are unsupervised multitask learners", OpenAI (February 2019): GPT-2.
# - C. Raffel et al., "Exploring the limits of transfer learning with a unified text-to-text Transformer", *JMLR* 21 (2020); arXiv 1910.10683: T5, section 3.3.1 (deshuffling).
# - M. Lewis et al., "BART: denoising sequence-to-sequence pre-training", *ACL* (2020), section 2.2. W. Wang et al., "StructBERT", *ICLR* (2020).
# - A. Vaswani et al., "Attention is all you need", *NeurIPS* (2017); arXiv 1706.03762.
# - J. Devlin et al., "BERT: pre-training of deep bidirectional Transformers for language understanding", *NAACL* (2019); arXiv 1810.04805.
# - Y. Sun et al., "ERNIE: enhanced representation through knowledge integration", arXiv 1904.09223 (2019), Baidu.
# - S. Bao et al., "PLATO: pre-trained dialogue generation model with discrete latent variable", *ACL* (2020), pages 85–96; arXiv 1910.07931, Baidu.
# - O. Levy and Y. Goldberg, "Neural word embedding as implicit matrix factorization", *NeurIPS* (2014): A28.
