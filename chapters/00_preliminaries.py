# %% [markdown]
# # 00 · Preliminaries
#
# **Question.** Which pieces of array code, probability and PyTorch does the rest of the book take for granted?
#
# **Prerequisites.** Python, and school calculus: what a derivative is.
#
# **Time.** 10 minutes if the self-test goes well, 60–90 if not; under 20 s to run on two CPU cores.

# %% [markdown]
# ## What you will be able to do
#
# - Predict the shape of an array expression, and spot a broadcast that went wrong.
# - Turn counts from a text into a distribution, and compute expectations and conditional probabilities from it.
# - Let PyTorch compute a derivative, and check it with two subtractions.
# - Write an `nn.Module`, train it, and know what its loss can reach at best.

# %% [markdown]
# ## Test yourself first
#
# Six questions. Answer each before you open it. **Five or six right:** go on to [01 Language models](01_language_models.ipynb). **Fewer:** each answer names the section to read here.
#
# **1.** `a` has shape `(3, 1)`, `b` has shape `(4,)`. What is the shape of `a + b`?
#
# <details><summary>Answer</summary>
#
# `(3, 4)`: every entry of `a` meets every entry of `b`. → Section 1
#
# </details>
#
# **2.** After `y = x[:2]` and `y[0] = 9`, with `x` a NumPy array: has `x` changed?
#
# <details><summary>Answer</summary>
#
# Yes. A slice is a view of the same memory; a Python list would have been copied. → Section 1.3
#
# </details>
#
# **3.** Nearly every *q* in English is followed by *u*. Is nearly every *u* preceded by *q*? Which formula connects the two probabilities (概率)?
#
# <details><summary>Answer</summary>
#
# No: *u* is far more frequent than *q*. Bayes' rule (贝叶斯公式), with $P(q \mid u)$ for the probability of *q* where *u* follows: $P(q \mid u) = P(u \mid q)\,P(q) / P(u)$. → Section 2
#
# </details>
#
# **4.** Why do language models add logarithms of probabilities instead of multiplying the probabilities?
#
# <details><summary>Answer</summary>
#
# A product of many numbers below 1 falls below the smallest number that the computer can hold, and becomes 0. → Section 2
#
# </details>
#
# **5.** `x` holds 2.0 and requires its gradient. You compute `(3 * x**2).backward()` twice, each time from scratch, and clear nothing. What is `x.grad`?
#
# <details><summary>Answer</summary>
#
# 24. The derivative is 12, and PyTorch adds each new gradient (梯度, the derivative it keeps) to the old one. → Section 3
#
# </details>
#
# **6.** Why does an `nn.Module` keep its weights in `nn.Parameter` and not in plain tensors?
#
# <details><summary>Answer</summary>
#
# A parameter is registered: `parameters()` finds it, so that the optimiser (优化器) trains it, `.to(device)` moves it, and a checkpoint saves it. → Sections 4 and 5
#
# </details>

# %%
import inspect
import math
from collections import Counter
from itertools import pairwise
from pydoc_data.topics import topics

import numpy as np
import torch
from matplotlib import pyplot as plt
from torch import nn

from lmcore import runtime
from lmcore.activations import log_softmax, softmax
from lmcore.optim import Adam
from lmcore.plotting import new_plot, plotted

runtime.seed_everything(0)
rng = np.random.default_rng(0)
device = runtime.pick_device()
print("device:", device.type)

# %% [markdown]
# ## 1 Arrays and broadcasting
#
# An **array** (数组) is a block of numbers of one type, arranged along **axes** (轴). Its **shape** (形状) gives the length of each axis.

# %%
scores = np.array([[7.0, 9.0, 5.0], [4.0, 6.0, 8.0]])  # 2 students, 3 tests
print("shape", scores.shape, "type", scores.dtype)
print("mean of each test:   ", scores.mean(axis=0))
print("mean of each student:", scores.mean(axis=1))
assert scores.mean(axis=0).shape == (3,) and scores.mean(axis=1).shape == (2,)

# %% [markdown]
# The axis that you name is the one that disappears. Axis 0 runs down the rows, and taking the mean along it leaves one number per column.
#
# ### 1.1 Broadcasting
#
# How far is each score from the mean of its test? First with loops, then in one expression. The shapes `(2, 3)` and `(3,)` differ, and still it works.


# %%
def centre_loop(table):
    result = np.empty_like(table)
    for i in range(table.shape[0]):
        for j in range(table.shape[1]):
            result[i, j] = table[i, j] - table[:, j].mean()
    return result


centred = scores - scores.mean(axis=0)  # (2, 3) - (3,)
print(centred)
assert np.array_equal(centred, centre_loop(scores))

# %% [markdown]
# The rule is called **broadcasting** (广播). Write the two shapes right-aligned. Each pair of lengths must be equal, or one of them must be 1 or missing; that one is then repeated.
#
# ```text
# (2, 3)        (3, 1)        (2, 3)
#    (3,)          (4,)          (2,)
# ------        ------        ------
# (2, 3)        (3, 4)        error: 3 against 2
# ```
#
# **Predict.** You want each score relative to its *student's* mean: `scores - scores.mean(axis=1)`. What happens?

# %% tags=["raises-exception"]
scores - scores.mean(axis=1)  # (2, 3) - (2,)

# %% [markdown]
# `keepdims=True` keeps the axis with length 1, and the shapes fit again.

# %%
by_student = scores - scores.mean(axis=1, keepdims=True)  # (2, 3) - (2, 1)
print(by_student)
assert np.allclose(by_student.sum(axis=1), 0)

# %% [markdown]
# ### 1.2 Pitfall: `(n,)` against `(n, 1)`
#
# An error is the lucky case. Here is the unlucky one, which costs every newcomer an afternoon: four predictions as a column, four targets as a flat array.
#
# **Predict.** All predictions are right. What is the mean squared error (均方误差)?

# %%
predictions = np.array([[1.0], [2.0], [3.0], [4.0]])  # (4, 1), as a network returns
targets = np.array([1.0, 2.0, 3.0, 4.0])  # (4,), as a file gives them
error = ((predictions - targets) ** 2).mean()
print("mean squared error:", error, "  shape:", (predictions - targets).shape)

# %% [markdown]
# Not 0, but 2.5, and no warning: each prediction was compared with every target. The line `assert predictions.shape == targets.shape` before the subtraction turns the silent error into a loud one.
#
# ### 1.3 Views and copies
#
# A slice of an array is a **view** (视图): a second window on the same numbers. An index with a list of positions makes a **copy** (副本).
#
# **Predict.** What does `x` hold at the end?

# %%
assert error == 2.5 and (predictions - targets).shape == (4, 4)

x = np.arange(6)
view, copy = x[:3], x[[3, 4, 5]]
view[0] = 100
copy[0] = 100
print(x, " shares memory:", np.shares_memory(x, view), np.shares_memory(x, copy))
assert np.shares_memory(x, view) and not np.shares_memory(x, copy)

# %% [markdown]
# Write `x[:3].copy()` (in PyTorch `.clone()`) when you mean to change a part and keep the whole.
#
# ## 2 Probability in four cells
#
# A language model is a machine for probabilities, so we take ours from a text: the reference manual that comes with every Python. We keep the letters a to z.
#
# ### Distribution
#
# A **distribution** (分布) assigns each outcome $x$ a probability $p(x) \ge 0$, and all of them add up to 1. Counting gives one.

# %%
assert x.tolist() == [100, 1, 2, 3, 4, 5]

text = " ".join(topics[key] for key in sorted(topics)).lower()
letters = [c for c in text if "a" <= c <= "z"]
alphabet = sorted(set(letters))
counts = Counter(letters)
p = np.array([counts[c] / len(letters) for c in alphabet])
for c, n in counts.most_common(3):
    print(f"p({c}) = {n / len(letters):.2f}")
assert len(alphabet) == 26 and abs(p.sum() - 1) < 1e-12

# %% [markdown]
# ### Expectation
#
# The **expectation** (期望) of a number $g(x)$ that depends on the outcome is its mean, weighted by probability: $\mathbb{E}[g] = \sum_x p(x)\,g(x)$. Two examples. With $g = 1$ for vowels and 0 otherwise, it is the share of vowels. With $g = -\log p(x)$, the **surprise** (自信息) at an outcome, it is the **entropy** (熵) of the distribution. Logarithms are natural here, and the unit is the **nat** (奈特).

# %%
is_vowel = np.array([c in "aeiou" for c in alphabet])
share_of_vowels = (p * is_vowel).sum()
entropy = (p * -np.log(p)).sum()
print(f"share of vowels {share_of_vowels:.2f}")
print(f"entropy {entropy:.2f} nats; 26 equally likely letters: {math.log(26):.2f}")
assert 0.3 < share_of_vowels < 0.5 and 2.5 < entropy < math.log(26)

# %% [markdown]
# ### Sampling
#
# To **sample** (采样) is to draw outcomes so that each comes up with its probability. The generator has a fixed seed, so that you see what we saw.
#
# **Predict.** With a hundred times as many draws, how much closer does the share of *e* come to $p(e)$?

# %%
e = alphabet.index("e")
drawn = rng.choice(26, size=1_000_000, p=p)
for n in (100, 10_000, 1_000_000):
    share = (drawn[:n] == e).mean()
    expected_error = math.sqrt(p[e] * (1 - p[e]) / n)
    print(f"{n:9,} draws: off by {abs(share - p[e]):.5f}, typical {expected_error:.5f}")
    assert abs(share - p[e]) < 5 * expected_error

# %% [markdown]
# That the share approaches the probability is the **law of large numbers** (大数定律). The typical error is $\sqrt{p(1-p)/n}$: ten times closer for a hundred times as many draws.

# %% alt="Share of the letter e among the first n draws, n on a logarithmic axis from 10 to a million. The line starts far off and settles on the dotted line of the true probability, inside a narrowing band."
n = np.unique(np.logspace(1, 6, 200).astype(int))
share = np.cumsum(drawn == e)[n - 1] / n
band = np.sqrt(p[e] * (1 - p[e]) / n)
figure, ax = new_plot("The share settles on the probability", "draws n", "share of e")
ax.plot(n, share, label="share in the first n draws")
ax.fill_between(n, p[e] - 2 * band, p[e] + 2 * band, color="0.85", label="±2 errors")
ax.axhline(p[e], color="black", ls=":", label="p(e)")
ax.set(xscale="log", ylim=(0, 0.3))
ax.legend()
assert abs(plotted(ax)["share in the first n draws"][-1] - p[e]) < 0.002
plt.show()

# %% [markdown]
# **How to read it.** The grey band is where the line should be about 95 % of the time.
#
# ### Conditional probability
#
# $P(y \mid x)$, the **conditional probability** (条件概率) of $y$ given $x$, is the share of $y$ among the cases where $x$ happened. Count pairs of neighbouring letters inside words.
#
# **Predict.** Which is larger, $P(\text{next is } u \mid q)$ or $P(\text{previous is } q \mid u)$?

# %%
pairs = Counter(a + b for a, b in pairwise(text) if a in counts and b in counts)
total = sum(pairs.values())
p_q = sum(k for pair, k in pairs.items() if pair[0] == "q") / total
p_u = sum(k for pair, k in pairs.items() if pair[1] == "u") / total
u_given_q = pairs["qu"] / total / p_q
q_given_u = pairs["qu"] / total / p_u
print(f"P(next u | q) = {u_given_q:.2f}   P(previous q | u) = {q_given_u:.2f}")
assert abs(q_given_u - u_given_q * p_q / p_u) < 1e-12  # Bayes' rule
assert u_given_q > 0.9 and q_given_u < 0.2

# %% [markdown]
# Both are the same pairs, divided by different totals. Solving one for the other gives **Bayes' rule** (贝叶斯公式):
#
# $$P(x \mid y) = \frac{P(y \mid x)\,P(x)}{P(y)}$$
#
# Multiplying conditional probabilities along a text gives the probability of the whole text, and that is what [chapter 01](01_language_models.ipynb) is about. One thing has to be settled first: such products are small.
#
# **Predict.** Multiply the probabilities of the first 1,000 letters: about $10^{-10}$, $10^{-100}$, or something else?

# %%
ids = [alphabet.index(c) for c in letters[:1000]]
product = np.prod(p[ids])
log_sum = np.log(p[ids]).sum()
print("product:", product, "  sum of logs:", round(log_sum))
assert product == 0 and -3500 < log_sum < -2000

# %% [markdown]
# The smallest positive float64 is about $5\cdot10^{-324}$; the product fell below it and became 0. Logarithms turn the product into a sum, $\log \prod_i p_i = \sum_i \log p_i$, and nothing is lost. Every language model computes in log-probabilities.
#
# ## 3 Tensors and autograd
#
# A **tensor** (张量) is PyTorch's array. Indexing and broadcasting work as above. It can do two more things: live on a GPU, and remember how it was computed, so that derivatives come for free. The second is called **automatic differentiation** (自动微分), in PyTorch **autograd**.
#
# Take $y = 3x^2$ at $x = 2$. The derivative is $6x = 12$. Central differences, the slope between two points close by, need no calculus and serve as the check.


# %%
def f(x):
    return 3 * x**2


x = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
y = f(x)
y.backward()
by_differences = (f(2.0 + 1e-6) - f(2.0 - 1e-6)) / 2e-6
print("autograd:", x.grad.item(), "  differences:", round(by_differences, 4))
assert x.grad == 12 and abs(by_differences - 12) < 1e-6

# %% [markdown]
# `backward()` walks back from $y$ to everything that $y$ was made from and leaves $\partial y / \partial x$ in `x.grad`. For a tensor of many numbers, `x.grad` has the shape of `x`: one partial derivative (偏导数) for each number. Together they are the **gradient** (梯度).

# %%
w = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
h = torch.tensor([3.0, 1.0, 2.0], dtype=torch.float64)
loss = (w * h).sum() ** 2
loss.backward()
print("loss:", loss.item(), "  gradient:", w.grad.tolist())
assert torch.equal(w.grad, 2 * (w * h).sum().detach() * h)  # 2 (w·h) h

# %% [markdown]
# $$L = (\mathbf{w}\cdot\mathbf{h})^2 \qquad \frac{\partial L}{\partial \mathbf{w}} = 2\,(\mathbf{w}\cdot\mathbf{h})\,\mathbf{h}$$
#
# **Predict.** Now call backward a second time, on a freshly computed $y$, without clearing anything. What is `x.grad`?

# %%
f(x).backward()
print("second call:  ", x.grad.item())
assert x.grad == 24
x.grad = None  # what an optimiser's zero_grad() does
f(x).backward()
print("cleared first:", x.grad.item())
assert x.grad == 12

# %% [markdown]
# Gradients are *added*. That is useful when one step is made from several small batches, and a bug everywhere else. How autograd works inside is the subject of [chapter 04](04_backpropagation.ipynb).
#
# ## 4 `nn.Module`: parameters with a name
#
# An `nn.Module` holds **parameters** (参数), the tensors that training changes, and a `forward` method. Here is about the smallest model of a text: one score per letter (a **logit**, 未归一化的得分) turned into probabilities by **softmax** (归一化指数函数), $p_i = e^{z_i} / \sum_j e^{z_j}$. It ignores all context.


# %%
class LetterModel(nn.Module):
    def __init__(self, n_letters):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(n_letters))
        self.note = torch.zeros(3)  # a plain tensor: not a parameter

    def forward(self):
        return log_softmax(self.logits)


model = LetterModel(26).to(device)
print([(name, tuple(q.shape)) for name, q in model.named_parameters()])
assert [name for name, _ in model.named_parameters()] == ["logits"]

# %% [markdown]
# The plain tensor is missing from the list: no optimiser would see it.
#
# Now train. The **loss** (损失), the one number to be made small, is the expectation of the surprise, $L = -\sum_x p(x) \log q(x)$, where $q$ is the model's distribution and $p$ the text's. It is called **cross-entropy** (交叉熵).
#
# **Predict.** What is the loss before training, when all letters are equally likely? And what is the best loss that any such model can reach?

# %%
target = torch.tensor(p, dtype=torch.float32, device=device)
optimizer = Adam(model.parameters(), lr=0.05)
losses = []
for _ in range(300):
    loss = -(target * model()).sum()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
q = softmax(model.logits).detach().cpu().numpy()
print(f"first loss {losses[0]:.2f}   log 26 = {math.log(26):.2f}")
print(f"last loss  {losses[-1]:.2f}   entropy = {entropy:.2f}")
assert abs(q - p).max() < 0.01
assert abs(losses[0] - math.log(26)) < 1e-4 and 0 <= losses[-1] - entropy + 1e-5 < 1e-3

# %% [markdown]
# It starts at $\log 26$ and ends at the entropy of section 2. Lower is impossible: cross-entropy is smallest when $q = p$, and then it *is* the entropy. The model has learned the counts: `q`, its softmax, is within 0.01 of `p` for every letter, which the last cell asserts.
#
# Every model of this book is trained by the first four lines of this loop: loss, `backward()`, `step()`, `zero_grad()`. Only `forward` grows.
#
# ## 5 Devices
#
# A tensor lives on a **device** (设备): the CPU, an NVIDIA GPU (`cuda`) or an Apple GPU (`mps`). The book asks `pick_device` once per chapter; set the environment variable `LMCORE_DEVICE` to overrule it. It takes the first of these that the machine has:

# %%
print(inspect.getsource(runtime.available_devices))
assert runtime.pick_device("cpu") == torch.device("cpu")
assert next(model.parameters()).device.type == device.type

# %% [markdown]
# Two rules are enough. Move a model once, with `model.to(device)`, which moves every parameter. Move data as you use it, with `x.to(device)`, which returns the tensor there and leaves `x` where it was. An operation on tensors of two devices is refused. To show that on any machine we use PyTorch's `meta` device, whose tensors have a shape and no numbers. The cell fails on purpose.

# %% tags=["raises-exception"]
here = torch.ones(2, 2, device="cpu")
there = torch.ones(2, 2, device="meta")
here + there

# %% [markdown]
# ## 6 A common misconception: "luck evens out"
#
# After many draws, so people say, the number of *e*'s has caught up with what was expected. The law of large numbers seems to say so. Look at the *count*, not the share, over 200 repetitions.

# %%
for n in (100, 10_000, 1_000_000):
    found = rng.binomial(n, p[e], size=200)
    off = np.abs(found - n * p[e]).mean()
    print(f"{n:9,} draws: count off by {off:6.1f}, share off by {off / n:.5f}")
    assert 0.6 < off / math.sqrt(n * p[e] * (1 - p[e])) < 1.0

# %% [markdown]
# **What holds.** The count drifts *away* from its expectation, like $\sqrt n$. The share comes closer, because one divides by $n$. Nothing is made up for; early luck is diluted. The same arithmetic tells how far to trust an accuracy measured on $n$ examples.
#
# ## Summary
#
# - Right-align shapes to broadcast; equal or 1. `(n,)` against `(n, 1)` gives `(n, n)` without a warning.
# - A slice is a view; change it and you change the whole.
# - Counts divided by their total are a distribution. Expectation is a weighted mean; entropy is the expected surprise.
# - $P(x \mid y)$ and $P(y \mid x)$ differ; Bayes' rule connects them. Multiply probabilities as sums of logarithms.
# - `backward()` adds derivatives into `.grad`. Check with central differences, clear between steps.
# - A module's parameters are what the optimiser trains and `.to(device)` moves. Cross-entropy cannot fall below entropy.
#
# ## Exercises
#
# **Conceptual**
#
# 1. Which of these broadcast, and to what: `(5, 1, 3)` with `(4, 3)`; `(5, 4)` with `(5,)`; `()` with `(2, 2)`?
# 2. A letter model is trained on this text and tested on another one. Can its loss there be lower than the entropy of the training text?
# 3. Why must a loss be a single number before `backward()`?
#
# **Coding**
#
# 4. Compute all squared distances between the rows of `a` (m, d) and of `b` (n, d) by broadcasting, as a table (m, n).
# 5. Turn the pair counts into a 26 × 26 table of $P(\text{next} \mid \text{letter})$, and find the letter whose successor is most certain, and the one whose successor is least certain.
# 6. Minimise $(x - 3)^2 + 1$ from $x = 0$ by 50 steps of $x \leftarrow x - 0.1 \cdot \partial y/\partial x$ with autograd.
#
# **Open**
#
# 7. How does the entropy of the letters of another text compare: your own mail, another language, source code? What makes it higher or lower?
#
# ## Answers
#
# <details><summary>1. Shapes</summary>
#
# `(5, 4, 3)`; an error (4 against 5); `(2, 2)`.
#
# </details>
#
# <details><summary>2. Below the entropy?</summary>
#
# Yes. The bound is about the same distribution on both sides. If the other text consists mostly of letters to which the model gives a high probability (all *e*, say), its loss there is low.
#
# </details>
#
# <details><summary>3. A single number</summary>
#
# The gradient says in which direction *one* number grows. For several outputs there is a table of derivatives, one row for each, and `backward()` would have to be told how to weigh the rows.
#
# </details>
#
# Answer 4. Give each array an axis of length 1 where the other one has its rows.

# %%
a, b = (
    np.array([[0.0, 0.0], [1.0, 1.0]]),
    np.array([[3.0, 4.0], [1.0, 0.0], [1.0, 1.0]]),
)
squared = ((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=-1)  # (2, 3)
print(squared)
assert squared[0, 0] == 25 and squared[1, 2] == 0

# %% [markdown]
# Answer 5. Divide each row by its sum, and measure certainty by the entropy of the row.

# %%
table = np.array([[pairs[a + b] for b in alphabet] for a in alphabet], dtype=float)
conditional = table / table.sum(axis=1, keepdims=True)
logs = np.log(np.where(conditional > 0, conditional, 1))  # 0 log 0 counts as 0
row_entropy = -(conditional * logs).sum(axis=1)
print("most certain:", alphabet[row_entropy.argmin()])
print("least certain entropy:", round(row_entropy.max(), 1), "nats")
assert alphabet[row_entropy.argmin()] == "q"

# %% [markdown]
# Answer 6. Detached from the graph by `no_grad`, because the update itself is not to be differentiated.

# %%
x = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
for _ in range(50):
    ((x - 3) ** 2 + 1).backward()
    with torch.no_grad():
        x -= 0.1 * x.grad
    x.grad = None
print(f"x = {x.item():.4f}")
assert abs(x.item() - 3) < 1e-4

# %% [markdown]
# Answer 7 is open. Code has higher shares of rare letters than prose; a language with fewer vowels or more letters shifts the counts. Report the length of each text with its entropy: short texts give entropies that are too low.
#
# ## References
#
# - C. R. Harris et al., 2020. *Array programming with NumPy.* Nature 585.
# - A. Paszke et al., 2019. *PyTorch: an imperative style, high-performance deep learning library.* NeurIPS.
# - C. E. Shannon, 1948. *A mathematical theory of communication.* Section 6 (entropy).
# - D. P. Kingma, J. Ba, 2015. *Adam: a method for stochastic optimization.* (The optimiser used here; chapter 04 derives it.)
# - The text: Python's language reference, module `pydoc_data.topics`, Python Software Foundation.
#
# **Next:** [01 Language models](01_language_models.ipynb).
