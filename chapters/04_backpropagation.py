# %% [markdown]
# # 04 · Backpropagation
#
# **Question.** A network has thousands of weights: how does it find out, in one sweep, in which direction to move each of them?
#
# **Prerequisites.** [00 Preliminaries](00_preliminaries.ipynb): arrays, broadcasting, tensors; [03 Activations](03_activations.ipynb): ReLU (修正线性单元), softmax (归一化指数函数) and its Jacobian (雅可比矩阵), He initialisation (He 初始化).
#
# **Time.** 90–120 minutes to read; under 20 s to run on two CPU cores.

# %% [markdown]
# ## What you will be able to do
#
# - Compute every gradient of a small network with pencil and paper, and check the
#   result in two independent ways.
# - Write the backward pass of a network of any depth as matrix products, and say from
#   the shapes alone where each transpose belongs.
# - Build a small automatic differentiation engine, and say why it needs an order.
# - Write SGD, momentum and Adam from their equations, and predict what Adam's first
#   steps do without bias correction.
# - Train a network on real images with an engine you can read whole, and get the same
#   numbers as PyTorch.

# %%
import inspect
import math
from itertools import pairwise

import numpy as np
import torch
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from lmcore import autograd, losses, optim, plotting, runtime

runtime.seed_everything(0)
# Gradients are compared to 10 digits here, so everything is float64 and on the CPU.
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)  # the matrices are small: more threads wait for each other

# %% [markdown]
# ## 0 What a gradient costs when you have no better idea
#
# To **train** a network is to make one number, its **loss** (损失), smaller by changing
# its **parameters** (参数): the entries of its **weight** (权重) matrices and **bias** (偏置)
# vectors. For that you need to know, for each parameter, whether to turn it up or down,
# and how much it matters. The list of these answers is the **gradient** (梯度).
#
# So far PyTorch's `loss.backward()` gave it to you. Without it, you could turn each
# parameter up a little, run the network, turn it down a little, run it again, and look
# at the difference. At the end of this chapter you train a network that reads
# handwritten digits. It has layers of 64, 64 and 10 numbers. What would this cost
# there?

# %%
sizes = [64, 64, 10]
n_parameters = sum(n_in * n_out + n_out for n_in, n_out in pairwise(sizes))
n_forward_passes = 2 * n_parameters
assert (n_parameters, n_forward_passes) == (4_810, 9_620)
print(f"{n_parameters:,} parameters: {n_forward_passes:,} runs for one gradient")

# %% [markdown]
# You would run the network 9,620 times to take **one** step, and training takes more
# than a thousand steps.
# **Backpropagation** (反向传播; Linnainmaa, 1970; for networks Rumelhart, Hinton and
# Williams, 1986) gets the whole gradient from one run forward and one sweep back. This
# chapter derives it, builds an engine that does it for any formula, and then uses the
# gradient.

# %% [markdown]
# ## 1 The forward pass
#
# Two numbers go in, two neurons look at both of them, one number comes out: a 2-2-1
# network. Its parameters are nine numbers.

# %%
x = np.array([1.0, 2.0])
W1 = np.array([[0.1, 0.2], [0.3, 0.4]])
b1 = np.array([0.1, 0.2])
W2 = np.array([[0.5], [0.6]])
b2 = np.array([0.1])

# %% [markdown]
# Each **neuron** (神经元) multiplies its inputs by its weights, adds them up and adds its
# bias. The weights of the first neuron stand in the first *column* of `W1`.

# %%
first = 1.0 * 0.1 + 2.0 * 0.3 + 0.1
second = 1.0 * 0.2 + 2.0 * 0.4 + 0.2
assert np.allclose([first, second], [0.8, 1.2])
print(round(first, 4), round(second, 4))

# %% [markdown]
# Both are positive, so ReLU leaves them as they are. The output neuron does the same
# with these two numbers: $0.8 \cdot 0.5 + 1.2 \cdot 0.6 + 0.1 = 1.22$. Two matrix
# products say it all at once:

# %%
z1 = x @ W1 + b1  # (2,)
h = np.maximum(z1, 0)  # (2,), ReLU
prediction = h @ W2 + b2  # (1,)
assert np.allclose(z1, [0.8, 1.2]) and np.allclose(prediction, [1.22])
print("z1", z1.round(4), " h", h.round(4), " prediction", prediction.round(4))

# %% [markdown]
# In general, with layers numbered $l = 1, \dots, \text{depth}$ and
# $\mathbf{h}_0 = \mathbf{x}$,
#
# $$\mathbf{z}_l = \mathbf{h}_{l-1} W_l + \mathbf{b}_l, \qquad
# \mathbf{h}_l = f(\mathbf{z}_l).$$
#
# Here $f$ is the **activation** (激活函数) of the layer, $\mathbf{z}_l$ its
# **pre-activation** (预激活值), and $\mathbf{h}_l$ its output. Layers between input and
# output are called **hidden** (隐藏层). Our output layer has no activation: its $f$ is
# the identity, and its output is the prediction $\hat y$. Going through the layers in
# this order is the **forward pass** (前向传播).
#
# A row of 2 numbers times a $2 \times 2$ matrix is a row of 2 numbers: if you meet four
# there, something is wrong before you check a single one of them.

# %% [markdown]
# ## 2 A loss: one number to make smaller
#
# ### Mean squared error
#
# Suppose that four values should be 1, 2, 3, 4 and a model says 1.1, 1.9, 3.1, 4.2. The
# errors are 0.1, −0.1, 0.1, 0.2. Square them, so that signs do not cancel, and take the
# mean.

# %%
wanted = np.array([1.0, 2.0, 3.0, 4.0])
said = np.array([1.1, 1.9, 3.1, 4.2])
mean_square = ((said - wanted) ** 2).mean()
torch_value = torch.nn.functional.mse_loss(torch.tensor(said), torch.tensor(wanted))
assert np.isclose(mean_square, 0.0175) and np.isclose(torch_value.item(), 0.0175)
assert np.isclose(mean_square / 2, 0.00875)
print(round(mean_square, 5), round(mean_square / 2, 5))

# %% [markdown]
# With $N$ examples, targets $y_i$ and predictions $\hat y_i$, the **mean squared
# error** (均方误差, MSE) is
#
# $$L = \frac{1}{N} \sum_{i=1}^{N} (\hat y_i - y_i)^2 .$$
#
# Many textbooks put $\frac{1}{2N}$ in front, so that the 2 that comes down when you
# differentiate cancels. The example then gives 0.00875, and every gradient is half as
# large. We use the form without the half, as PyTorch and `lmcore` do.
#
# For our network, let the **target** (目标值) be $y = 1$.

# %%
target = 1.0
loss = (prediction.item() - target) ** 2
assert np.isclose(loss, 0.0484)
print(round(loss, 4))

# %% [markdown]
# ### Cross-entropy
#
# A classifier gives one score per class, its **logits** (未归一化的分数). Softmax turns them
# into probabilities. The loss is the surprise at the right class: minus the natural
# logarithm of the probability it got, in **nats** (奈特). Take three classes with logits
# 2, 1, 0 and let class 0 be right.

# %%
logits = np.array([2.0, 1.0, 0.0])
probs = np.exp(logits) / np.exp(logits).sum()
surprise = -np.log(probs[0])
assert np.allclose(probs, [0.665, 0.245, 0.090], atol=5e-4)
assert round(surprise, 3) == 0.408
ready = losses.cross_entropy(torch.tensor(logits[None]), torch.tensor([0]))
assert np.isclose(ready.item(), surprise)
print("probs", probs.round(3), " loss", round(surprise, 3), "nats")

# %% [markdown]
# The **cross-entropy** (交叉熵) of $N$ examples, where example $i$ has the class $y_i$ and
# the model gives that class the probability $p_{i,y_i}$, is
#
# $$L = -\frac{1}{N} \sum_{i=1}^{N} \log p_{i,\,y_i} .$$
#
# With two classes and *one* output $p$, the probability that $y = 1$, the term
# $-y \log p$ alone is not enough. **Predict.** The right class is 0, so $y = 0$, and the
# model says $p = 0.9$. What is $-y \log p$?

# %%
y, p = 0.0, 0.9
one_term = abs(y * np.log(p))
both_terms = -y * np.log(p) - (1 - y) * np.log(1 - p)
print("one term:", one_term, "  both terms:", round(both_terms, 2))

# %% [markdown]
# Zero: a confident wrong answer would cost nothing. The loss here is
# $-y \log p - (1 - y) \log (1 - p)$, 2.30 nats. With one output per class, as in the
# formula above, the problem does not arise.

# %%
logit = torch.tensor([np.log(p / (1 - p))])  # the number whose sigmoid is p
ready = losses.binary_cross_entropy(logit, torch.tensor([y]))
assert one_term == 0 and round(both_terms, 2) == 2.30
assert np.isclose(ready.item(), both_terms)

# %% [markdown]
# ## 3 The chain rule on a graph
#
# ### One path: multiply
#
# Take $L = (w x + b - y)^2$ with $w = 3$, $x = 2$, $b = -1$, $y = 4$, and break it into
# single operations:
#
# ```text
# w ──┐
#     × ── r ── + ── q ── − ── e ── square ── L
# x ──┘         │         │
#               b         y
# ```
#
# Such a drawing is a **computation graph** (计算图). Forward: $r = 6$, $q = 5$, $e = 1$,
# $L = 1$. Now ask of each operation how fast its output moves when its input moves. The
# square moves $2e = 2$ times as fast as $e$. The two sums pass a change on as it is: 1
# and 1. The product moves $x = 2$ times as fast as $w$. So $L$ moves
# $2 \cdot 1 \cdot 1 \cdot 2 = 4$ times as fast as $w$. Nudge $w$ and look:


# %%
def squared_error(w, x=2.0, b=-1.0, y=4.0):
    return (w * x + b - y) ** 2


by_chain_rule = 2 * 1 * 1 * 2
s = 1e-4
by_nudging = (squared_error(3 + s) - squared_error(3 - s)) / (2 * s)
assert squared_error(3) == 1 and by_chain_rule == 4 and np.isclose(by_nudging, 4)
print(by_chain_rule, round(by_nudging, 6))

# %% [markdown]
# Along a path the derivatives of the single steps multiply. This is the **chain rule**
# (链式法则):
#
# $$\frac{\partial L}{\partial w} = \frac{\partial L}{\partial e} \cdot
# \frac{\partial e}{\partial q} \cdot \frac{\partial q}{\partial r} \cdot
# \frac{\partial r}{\partial w} .$$
#
# The nudge on both sides, $\bigl(L(w + s) - L(w - s)\bigr) / 2s$ with a small step $s$,
# is a **central difference** (中心差分). It knows nothing of the chain rule, so it can
# judge it.

# %% [markdown]
# ### Several paths: add
#
# Let $L = x \cdot (x + 1)$ at $x = 3$. Here $x$ reaches $L$ on two paths.
#
# **Predict.** The left factor moves $L$ by $x + 1 = 4$, the right one by $x = 3$. Is
# the derivative 4, 3, 12 or 7?


# %%
def product(x):
    return x * (x + 1)


slope = (product(3 + s) - product(3 - s)) / (2 * s)
print(round(slope, 6))

# %%
assert np.isclose(slope, 4 + 3)

# %% [markdown]
# 7: what arrives on different paths adds up. (And indeed $(x^2 + x)' = 2x + 1 = 7$.) In
# general, if $x$ feeds the nodes $u_1, u_2, \dots$, then
#
# $$\frac{\partial L}{\partial x} = \sum_k \frac{\partial L}{\partial u_k} \cdot
# \frac{\partial u_k}{\partial x} .$$
#
# **Multiply along a path, add over paths.** Backpropagation is these two rules, applied
# in a good order.

# %% [markdown]
# ## 4 Backpropagation by hand
#
# Back to the 2-2-1 network with $\hat y = 1.22$, $y = 1$, $L = 0.0484$. Start at the
# loss and walk back.
#
# **Output layer.** Write $\delta_2$ for the derivative of $L$ with respect to the
# pre-activation $z_2$. The activation there is the identity, so
# $\delta_2 = 2(\hat y - y) = 2 \cdot 0.22 = 0.44$. It is positive: the prediction is
# too high, and raising it makes things worse. The weight $0.5$ was multiplied by the
# first hidden output, $0.8$, so its derivative is $0.8 \cdot 0.44 = 0.352$. The other
# gets $1.2 \cdot 0.44 = 0.528$, the bias $1 \cdot 0.44$.

# %%
delta2 = 2 * (prediction - target)  # (1,)
grad_W2 = np.outer(h, delta2)  # (2, 1)
grad_b2 = delta2  # (1,)
assert np.allclose(delta2, [0.44])
assert np.allclose(grad_W2, [[0.352], [0.528]])
print("delta2", delta2.round(4), " grad_W2", grad_W2.round(4).ravel())

# %% [markdown]
# **Hidden layer.** The path back to the first hidden output goes through the weight
# 0.5, to the second through 0.6: $0.44 \cdot 0.5 = 0.22$ and $0.44 \cdot 0.6 = 0.264$.
# Then it goes through ReLU, whose derivative is 1 where $z > 0$ and 0 elsewhere; both
# are positive here. So $\boldsymbol\delta_1 = [0.22, 0.264]$: one number for each
# hidden neuron. Each weight of `W1` gets its input times the delta of its neuron.

# %%
delta1 = (delta2 @ W2.T) * (z1 > 0)  # (2,)
grad_W1 = np.outer(x, delta1)  # (2, 2)
grad_b1 = delta1  # (2,)
assert np.allclose(delta1, [0.22, 0.264])
assert np.allclose(grad_W1, [[0.22, 0.264], [0.44, 0.528]])
print("delta1", delta1.round(4))
print(grad_W1.round(4))

# %% [markdown]
# In general, with $\boldsymbol\delta_l = \partial L / \partial \mathbf{z}_l$,
#
# $$\boldsymbol\delta_{l-1} = \bigl(\boldsymbol\delta_l W_l^\top\bigr) \odot
# f'(\mathbf{z}_{l-1}), \qquad
# \frac{\partial L}{\partial W_l} = \mathbf{h}_{l-1}^\top\, \boldsymbol\delta_l, \qquad
# \frac{\partial L}{\partial \mathbf{b}_l} = \boldsymbol\delta_l .$$
#
# The first delta, $\boldsymbol\delta_{\text{depth}}$, comes from the loss. $\odot$ is
# the **elementwise product** (逐元素乘积).
# $\mathbf{h}_{l-1}^\top \boldsymbol\delta_l$ is a column times a row, an **outer
# product** (外积): every input of the layer with every delta, the shape of $W_l$. Forward
# multiplies by $W_l$, backward by its transpose: forward sums over the inputs of a
# neuron, backward over the neurons that an input feeds.
#
# ### Are they right?
#
# Nudge all nine parameters, one after another.


# %%
def network_loss(W1, b1, W2, b2):
    h = np.maximum(x @ W1 + b1, 0)
    return ((h @ W2 + b2).item() - target) ** 2


def nudge_each(function, arrays, which, step=1e-6):
    """Central differences of ``function(*arrays)`` for each entry of one array."""
    slopes = np.zeros(arrays[which].shape)
    for index in np.ndindex(slopes.shape):
        up, down = [a.copy() for a in arrays], [a.copy() for a in arrays]
        up[which][index] += step
        down[which][index] -= step
        slopes[index] = (function(*up) - function(*down)) / (2 * step)
    return slopes


# %%
params = [W1, b1, W2, b2]
by_hand = [grad_W1, grad_b1, grad_W2, grad_b2]
nudged = [nudge_each(network_loss, params, which) for which in range(4)]
worst = max(np.abs(a - b).max() for a, b in zip(by_hand, nudged, strict=True))
assert worst < 1e-6
print("nine derivatives agree with central differences to 1e-6")

# %% [markdown]
# And PyTorch, a more precise witness:

# %%
leaves = [torch.tensor(a, requires_grad=True) for a in params]
tW1, tb1, tW2, tb2 = leaves
out = torch.relu(torch.tensor(x) @ tW1 + tb1) @ tW2 + tb2
losses.mse(out, torch.tensor([target])).backward()
for ours, leaf in zip(by_hand, leaves, strict=True):
    assert np.abs(ours - leaf.grad.numpy()).max() < 1e-10
print("and with torch to 1e-10")

# %% [markdown]
# ## 5 Batches and matrices
#
# Real training looks at several examples at once, a **batch** (批). Stack them as the
# rows of a matrix $X$. Then $\mathbf{z}$, $\mathbf{h}$ and $\boldsymbol\delta$ become
# matrices $Z, H, \Delta$ with one row per example, and the formulas stay. Take a 2-3-1
# network and two examples.

# %%
X = np.array([[1.0, 2.0], [2.0, -1.0]])  # N=2 examples of 2 numbers
Y = np.array([[0.8], [0.5]])
Ws = [np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]), np.array([[0.1], [0.2], [0.3]])]
bs = [np.array([0.1, 0.2, 0.3]), np.array([0.1])]
Z1 = X @ Ws[0] + bs[0]  # (2, 3)
out = np.maximum(Z1, 0) @ Ws[1] + bs[1]  # (2, 1)
assert np.allclose(Z1, [[1.0, 1.4, 1.8], [-0.1, 0.1, 0.3]])
assert np.allclose(out, [[1.02], [0.21]])
print(Z1.round(4), out.round(4), sep="\n")

# %% [markdown]
# The network has layers of 2, 3 and 1 numbers, so $Z_1$ has 3 columns and the output 1.
# In the second example the first neuron is off: ReLU's derivative is 0 there, so this
# example sends its weights no gradient. (A neuron that is off for every example stays
# off: the dead ReLU of chapter 03.) Now both passes, for any number of layers.


# %%
def forward_mlp(X, Ws, bs):
    """All Z and all H of a ReLU network with a linear output layer; H[0] is X."""
    H, Z = [X], []
    for layer, (W, b) in enumerate(zip(Ws, bs, strict=True), start=1):
        Z.append(H[-1] @ W + b)
        H.append(np.maximum(Z[-1], 0) if layer < len(Ws) else Z[-1])
    return H, Z


# %%
def backward_mlp(H, Z, Ws, delta):
    """Gradients of every W and b, given delta = dL/dZ of the last layer."""
    grads = []
    for layer in reversed(range(len(Ws))):
        grads.append((H[layer].T @ delta, delta.sum(0)))
        if layer:
            delta = (delta @ Ws[layer].T) * (Z[layer - 1] > 0)
    return grads[::-1]


# %% [markdown]
# `H[layer].T @ delta` does two things in one product: it forms the outer product for
# each example and adds them over the batch. The bias is used by every row, so its
# gradient is the sum over rows: paths add. The mean in the loss is where the $1/N$
# comes from.

# %%
H, Z = forward_mlp(X, Ws, bs)
delta = 2 * (H[-1] - Y) / len(X)  # dL/dZ for the MSE, (N, 1)
batch_grads = backward_mlp(H, Z, Ws, delta)
print([g.shape for pair in batch_grads for g in pair])

# %%
leaves = [torch.tensor(a, requires_grad=True) for a in (Ws[0], bs[0], Ws[1], bs[1])]
tW1, tb1, tW2, tb2 = leaves
out = torch.relu(torch.tensor(X) @ tW1 + tb1) @ tW2 + tb2
losses.mse(out, torch.tensor(Y)).backward()
flat = [g for pair in batch_grads for g in pair]
for ours, leaf in zip(flat, leaves, strict=True):
    assert np.abs(ours - leaf.grad.numpy()).max() < 1e-10
print("all four equal to torch's, to 1e-10")

# %% [markdown]
# $$\Delta_{l-1} = \bigl(\Delta_l W_l^\top\bigr) \odot f'(Z_{l-1}), \qquad
# \frac{\partial L}{\partial W_l} = H_{l-1}^\top \Delta_l, \qquad
# \frac{\partial L}{\partial \mathbf{b}_l} = \sum_{i=1}^{N} \Delta_{l,i}$$
#
# The shapes say where the transposes go. With $j$ inputs and $k$ neurons,
# $\Delta_l$ is $N \times k$ and $W_l$ is $j \times k$. The result must be $N \times j$,
# like $Z_{l-1}$; only $\Delta_l W_l^\top$ has that shape. The gradient of $W_l$ must be
# $j \times k$; of $H_{l-1}$ ($N \times j$) and $\Delta_l$ only
# $H_{l-1}^\top \Delta_l$ has it.
#
# The matrix form must equal a loop over single examples, averaged. It does:

# %%
one_by_one = []
for i in range(len(X)):
    H_i, Z_i = forward_mlp(X[i : i + 1], Ws, bs)
    delta_i = 2 * (H_i[-1] - Y[i : i + 1])  # a batch of one: N is 1
    one_by_one.append(backward_mlp(H_i, Z_i, Ws, delta_i))
for layer in range(2):
    for which in range(2):  # the weights, then the bias
        averaged = (one_by_one[0][layer][which] + one_by_one[1][layer][which]) / 2
        assert np.abs(averaged - batch_grads[layer][which]).max() < 1e-12
print("the batch's gradient is the mean of the examples' gradients")

# %% [markdown]
# ## 6 An engine, in small steps
#
# `backward_mlp` knows one kind of network. A new layer would need new formulas. But you
# only ever used two rules, *multiply along a path* and *add over paths*, and each
# operation only had to know its own derivative. So let a program apply the rules to
# whatever you write. This is **automatic differentiation** (自动微分); going back from the
# output is its **reverse mode** (反向模式).
#
# ### Step 1: a number that remembers
#
# A node keeps its value, its parents and, for each parent, the local derivative.


# %%
class ScalarNode:
    """A number that remembers what it was computed from, and how fast it moves."""

    def __init__(self, data, parents=()):
        self.data = data
        self.parents = parents  # pairs (node, local derivative)
        self.grad = 0.0

    def __add__(self, other):
        return ScalarNode(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        local = (self, other.data), (other, self.data)
        return ScalarNode(self.data * other.data, local)


# %% [markdown]
# To get all gradients, start at the result with 1 and hand it on: to each parent what
# arrived, times the local derivative. What arrives is *added*.


# %%
def backward_by_paths(node, arriving=1.0):
    """Follow every path from ``node`` to its inputs; return how many visits it took."""
    node.grad += arriving
    visits = 1
    for parent, local in node.parents:
        visits += backward_by_paths(parent, arriving * local)
    return visits


a = ScalarNode(3.0)
result = a * (a + ScalarNode(1.0))
backward_by_paths(result)
assert (result.data, a.grad) == (12.0, 7.0)
print("result", result.data, "  gradient", a.grad)

# %% [markdown]
# 12 and 7, as in section 3. But there is a catch.
#
# **Predict.** Start with $a = 1$ and double it 16 times by $a \leftarrow a + a$. The
# graph has 17 nodes. How many visits does `backward_by_paths` make?


# %%
def double(times):
    start = end = ScalarNode(1.0)
    for _ in range(times):
        end = end + end
    return start, end


start, end = double(16)
visits = backward_by_paths(end)
print(f"{visits:,} visits for 17 nodes; the gradient is {start.grad:,.0f}")

# %% [markdown]
# The gradient, $2^{16}$, is right, but each doubling doubles the number of paths. A
# network is such a graph: every neuron feeds every neuron of the next layer.
#
# ### Step 2: an order
#
# The cure: visit each node **once**, and only after everything that uses it has handed
# over its part. Then its gradient is complete, and one visit is enough. An order in
# which every node stands after its parents is a **topological order** (拓扑序). Go through
# it backwards.


# %%
def order_nodes(root):
    """Every node that ``root`` depends on, parents first, each once."""
    order, seen = [], set()

    def visit(node):
        if id(node) not in seen:
            seen.add(id(node))
            for parent, _ in node.parents:
                visit(parent)
            order.append(node)

    visit(root)
    return order


# %%
def backward_in_order(root):
    """Backpropagation: each node once, after everything that depends on it."""
    root.grad = 1.0
    order = order_nodes(root)
    for node in reversed(order):
        for parent, local in node.parents:
            parent.grad += node.grad * local
    return len(order)


# %%
assert visits == 2**17 - 1 and start.grad == 2**16  # what the paths gave
start, end = double(16)
visits = backward_in_order(end)
edges = sum(len(node.parents) for node in order_nodes(end))
assert (visits, edges, start.grad) == (17, 2 * 16, 2**16)
print(f"{visits} visits, {edges} edges, the same gradient: {start.grad:,.0f}")

# %% [markdown]
# This is the whole idea of backpropagation as an algorithm. The sweep does one product
# and one sum for each edge of the graph: 32 edges for the 16 additions of the forward
# pass, two for each.
#
# ### Step 3: arrays instead of numbers
#
# One node per number is slow in Python, so let a node hold a whole array. Then a local
# derivative is no longer one number: for $C = AB$ there is one for each pair of an
# entry of $A$ and an entry of $C$, far too many to store. But you need only one thing:
# given the gradient $G$ at the result, what is it at the parent? So store a
# **function** for each parent. It is called a **vector-Jacobian product** (向量-雅可比积,
# vjp), since it multiplies the row $G$ by the matrix of all those derivatives (the
# Jacobian) without ever writing the matrix down.
#
# For the product of matrices you know the two functions from section 5:
# $G \mapsto G B^\top$ and $G \mapsto A^\top G$.


# %%
class ArrayNode:
    """An array that remembers, for each parent, how a gradient travels to it."""

    def __init__(self, data, parents=()):
        self.data = np.array(data, dtype=float)
        self.parents = parents  # pairs (node, vjp)
        self.grad = np.zeros_like(self.data)


# %%
def matmul_node(a, b):
    to_a = lambda g: g @ b.data.T
    to_b = lambda g: a.data.T @ g
    return ArrayNode(a.data @ b.data, ((a, to_a), (b, to_b)))


def backward_arrays(root):
    root.grad = np.ones_like(root.data)
    for node in reversed(order_nodes(root)):
        for parent, vjp in node.parents:
            parent.grad = parent.grad + vjp(node.grad)


# %% [markdown]
# Compare with `backward_in_order`: where it said `node.grad * local`, there is now
# `vjp(node.grad)`. `order_nodes` did not change at all.
#
# ### Step 4: the sum, and a bias
#
# For the sum $Z = H W + \mathbf{b}$ the derivative is 1, so let both parents get $G$ as
# it is. **Predict.** With 5 examples and 3 neurons, $G$ has the shape (5, 3). Does this
# fit $\mathbf{b}$?

# %%
bias = np.array([0.1, 0.2, 0.3])
G = np.ones((5, 3))
assert (np.zeros((5, 3)) + bias).shape == G.shape
print("arrives:", G.shape, "  needed:", bias.shape)

# %% [markdown]
# It does not. **Broadcasting** (广播) used each bias five times, once a row. Five uses
# are five paths, and paths add. So the rule is: whatever broadcasting repeated, the
# gradient sums.


# %%
def undo_broadcast(g, shape):
    """Sum ``g`` over the axes along which an array of ``shape`` was repeated."""
    while g.ndim > len(shape):
        g = g.sum(0)
    for axis, size in enumerate(shape):
        if size == 1:
            g = g.sum(axis, keepdims=True)
    return g


assert undo_broadcast(G, (3,)).tolist() == [5, 5, 5]
assert undo_broadcast(G, (5, 1)).tolist() == [[3]] * 5
assert undo_broadcast(G, ()).item() == 15


# %%
def add_node(a, b):
    to_a = lambda g: undo_broadcast(g, a.data.shape)
    to_b = lambda g: undo_broadcast(g, b.data.shape)
    return ArrayNode(a.data + b.data, ((a, to_a), (b, to_b)))


def mul_node(a, b):
    to_a = lambda g: undo_broadcast(g * b.data, a.data.shape)
    to_b = lambda g: undo_broadcast(g * a.data, b.data.shape)
    return ArrayNode(a.data * b.data, ((a, to_a), (b, to_b)))


def relu_array(a):
    return ArrayNode(np.maximum(a.data, 0), ((a, lambda g: g * (a.data > 0)),))


# %% [markdown]
# These four operations are enough for the 2-3-1 network and its loss: the mean of the
# squared errors is a product with a row of numbers $1/N$.

# %%
U1, c1, U2, c2 = (ArrayNode(a) for a in (Ws[0], bs[0], Ws[1], bs[1]))
H1 = relu_array(add_node(matmul_node(ArrayNode(X), U1), c1))
errors = add_node(add_node(matmul_node(H1, U2), c2), ArrayNode(-Y))
row_of_means = ArrayNode(np.full((1, len(X)), 1 / len(X)))
mean_loss = matmul_node(row_of_means, mul_node(errors, errors))  # (1, 1)
backward_arrays(mean_loss)
for node, hand in zip((U1, c1, U2, c2), flat, strict=True):
    assert np.abs(node.grad - hand).max() < 1e-12
print("the engine's gradients are those of backward_mlp")

# %% [markdown]
# ### Step 5: `lmcore`'s engine
#
# `lmcore.autograd` is this engine with methods instead of functions, so that you can
# write `x @ W + b`. Here is its `*`, your `mul_node`, and the method `_result` that
# every operation ends with:

# %%
print(inspect.getsource(autograd.Tensor.__mul__))
print(inspect.getsource(autograd.Tensor._result))

# %% [markdown]
# `_check_broadcast` refuses shapes that do not fit. `_result` makes the new node, and
# here is the first thing that is new: a parent that needs no gradient, such as the
# data, is left out of `_parents`. The sums over broadcast axes are taken in one place
# for all operations, in the sweep (`sum_to_shape` is your `undo_broadcast`):

# %%
source = inspect.getsource(autograd.Tensor.backward)
print(source[source.index("        order = ") :])

# %% [markdown]
# The second new thing: the sweep marks each node as `_used` and refuses a graph that
# has such a node; section 15 shows why. The third: `topological_order` uses a stack
# where your `order_nodes` calls itself, because Python stops at about a thousand nested
# calls.
#
# ### Equal to PyTorch
#
# A function that uses only what both engines have, here `@`, `+`, `-`, `*`, `/`, `**`,
# `tanh`, `exp`, `sum` and `mean`, runs in both as it stands. Broadcasting and a value
# used twice are in it too.


# %%
def expression(A, B, c):
    hidden = (A @ B + c).tanh()
    return (hidden * hidden.exp()).sum() / (B**2).mean() - c.sum()


rng = np.random.default_rng(0)
arrays = [rng.normal(size=shape) for shape in ((4, 3), (3, 5), (5,))]
ours = [autograd.Tensor(a, requires_grad=True) for a in arrays]
theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
value, torch_value = expression(*ours), expression(*theirs)
value.backward()
torch_value.backward()

# %%
assert abs(value.item() - torch_value.item()) < 1e-10
gaps = [
    np.abs(a.grad - t.grad.numpy()).max() for a, t in zip(ours, theirs, strict=True)
]
assert max(gaps) < 1e-10
print("one value and", sum(a.size for a in arrays), "gradients: equal to 1e-10")

# %% [markdown]
# Every operation of the engine has such a test against PyTorch and against central
# differences, in `tests/parity/test_autograd.py`.
#
# ### The gradient of cross-entropy
#
# What does a classifier's sweep start with? Take again the logits 2, 1, 0 and the right
# class 0. Two links of a chain: the loss $-\log p_0$ moves $-1/p_0$ times as fast as
# $p_0$, and $p_0$ moves with the logits as row 0 of softmax's Jacobian says (chapter
# 03).

# %%
jacobian = np.diag(probs) - np.outer(probs, probs)  # row i: how p_i moves
by_chain = -1 / probs[0] * jacobian[0]
assert np.allclose(by_chain, probs - [1, 0, 0])
assert np.allclose(by_chain, [-0.335, 0.245, 0.090], atol=5e-4)
print("gradient", by_chain.round(3), "  probs", probs.round(3))

# %% [markdown]
# The gradient is what the model said, minus what happened: 0.665 − 1, 0.245 − 0, 0.090
# − 0. In general, with $[j = y]$ for 1 if $j = y$ and 0 otherwise,
#
# $$\frac{\partial (-\log p_y)}{\partial z_j}
# = -\frac{1}{p_y} \cdot \frac{\partial p_y}{\partial z_j}
# = -\frac{1}{p_y} \cdot p_y \bigl([j = y] - p_j\bigr) = p_j - [j = y] .$$
#
# Over a batch of $N$ rows the loss is a mean. With the targets as **one-hot** (独热) rows
# $Y$, 1 at the class and 0 elsewhere, and $P$ for the probabilities,
#
# $$\Delta_{\text{depth}} = \frac{1}{N} \bigl(P - Y\bigr) .$$

# %%
rows, classes = rng.normal(size=(3, 4)), np.array([1, 3, 3])
P = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
by_formula = (P - np.eye(4)[classes]) / 3
leaf = torch.tensor(rows, requires_grad=True)
torch.nn.functional.cross_entropy(leaf, torch.tensor(classes)).backward()
scores = autograd.Tensor(rows, requires_grad=True)
autograd.cross_entropy(scores, classes).backward()
assert np.abs(by_formula - leaf.grad.numpy()).max() < 1e-12
assert np.abs(by_formula - scores.grad).max() < 1e-12
print("the formula, torch and lmcore agree on a batch of 3")

# %% [markdown]
# It has the form of the MSE's $\frac{2}{N}(\hat Y - Y)$. The MSE pushes the *output* by
# as much as it is off; cross-entropy pushes the *logits* by as much as the
# probabilities are off.

# %% [markdown]
# ## 7 Checking a gradient
#
# A wrong gradient seldom crashes. Often the loss still falls, only not as far as it
# could. So check each new backward pass once against central differences. This is a
# **gradient check** (梯度检验). How large should the step $s$ be?
#
# **Predict.** The derivative of $e^w$ at $w = 1$ is $e$. Is a smaller step always
# better?

# %%
steps = 10.0 ** -np.arange(1, 14)
forward_error = np.abs((np.exp(1 + steps) - np.exp(1)) / steps - np.e)
central_error = np.abs((np.exp(1 + steps) - np.exp(1 - steps)) / (2 * steps) - np.e)
for s, one, both in zip(steps[:3], forward_error, central_error, strict=False):
    print(f"s = {s:.3f}: one side {one:.0e}, both sides {both:.0e}")
print("s = 1e-13 better than s = 0.001:", bool(central_error[12] < central_error[2]))

# %% [markdown]
# No. A large step sees the curve bend: ten times smaller, it is 10 times more exact on
# one side and 100 times on both, since these errors shrink with $s$ and with $s^2$. A
# tiny step subtracts two numbers that agree in nearly all their 16 digits; what is left
# is rounding noise (噪声), divided by something tiny. With both sides, the best steps lie
# from $10^{-5}$ to $10^{-7}$.

# %%
for k in (0, 1):
    assert 9 < forward_error[k] / forward_error[k + 1] < 11
    assert 95 < central_error[k] / central_error[k + 1] < 105
assert central_error[4:7].max() < 1e-8  # s from 1e-5 to 1e-7
assert central_error[-1] > 1e-5

# %% alt="Two V-shaped curves on log-log axes: the error of one-sided differences has its minimum near step 1e-8, that of central differences lies lower, with its minimum between 1e-7 and 1e-5; both rise again for smaller steps."
figure, axes = plotting.new_plot(
    "A step can be too small",
    "step s",
    "absolute error of the derivative",
    height=3.4,
)
axes.loglog(steps, forward_error, marker="o", label="one side: w and w+s")
axes.loglog(steps, central_error, marker="s", label="both sides: w−s and w+s")
axes.legend()
assert list(plotting.plotted(axes).values())[1] == list(central_error)
plt.show()

# %% [markdown]
# **How to read it.** Each dot is one step size; lower is better. From right to left the
# error first falls, by one decade a decade (one side) or two (both sides), and then
# noise takes over.
#
# Now check a network with `nudge_each` from section 4. Each entry costs two forward
# passes, so take a small one: the code does not know how wide the layers are. Here they
# have 5, 4 and 3 numbers.

# %%
rng = np.random.default_rng(1)
shapes = [(5, 4), (4,), (4, 3), (3,)]
small = [autograd.Tensor(rng.normal(size=s), requires_grad=True) for s in shapes]
small_x, small_y = rng.normal(size=(6, 5)), np.array([0, 2, 1, 1, 0, 2])


def small_loss(W1, b1, W2, b2):
    hidden = (small_x @ W1 + b1).relu()
    return autograd.cross_entropy(hidden @ W2 + b2, small_y)


def small_value(*arrays):
    return small_loss(*map(autograd.Tensor, arrays)).item()


# %%
small_loss(*small).backward()
for which, p in enumerate(small):
    nudged = nudge_each(small_value, [p.data for p in small], which)
    assert np.abs(nudged - p.grad).max() < 1e-6
assert autograd.gradient_check(lambda: small_loss(*small), small) < 1e-6
print(sum(p.data.size for p in small), "entries checked; all agree to 1e-6")

# %% [markdown]
# `autograd.gradient_check` does the same and raises an error that says where they
# differ. But a failed check may be the check's own fault. ReLU has a corner at 0, and a
# nudge that steps over it measures neither slope. Take $z = 10^{-7}$, where the slope
# is 1:

# %%
z, s = 1e-7, 1e-6
nudged = (max(z + s, 0) - max(z - s, 0)) / (2 * s)
assert np.isclose(nudged, 0.55)
print("central difference:", round(nudged, 4), " true slope: 1")

# %% [markdown]
# So when a check fails, look first for a pre-activation within $s$ of 0, and repeat it
# with other inputs.

# %% [markdown]
# ## 8 Gradient descent
#
# You have the gradient. Now use it: it points uphill, so step the other way. To see the
# steps, take a loss with only two parameters, $a$ and $b$: a long valley, 25 times more
# curved across than along.
#
# $$L(a, b) = \tfrac{1}{2} \left(a^2 + 25\, b^2\right)$$
#
# Start at $(-4, 2)$. The gradient is $(a, 25 b) = (-4, 50)$. With a step of 0.03 times
# that, the next point is $(-4 + 0.12,\; 2 - 1.5) = (-3.88,\; 0.5)$.


# %%
def valley(theta):
    return ((theta * np.array([1.0, 5.0])) ** 2).sum() * 0.5


# %%
def descend(make_optimizer, steps=40, scale=1.0):
    """The points that an optimiser visits in the valley, from (-4, 2) on."""
    theta = autograd.Tensor([-4.0, 2.0], requires_grad=True)
    optimizer = make_optimizer([theta])
    path = [theta.data.copy()]
    for _ in range(steps):
        (valley(theta) * scale).backward()
        optimizer.step()
        optimizer.zero_grad()
        path.append(theta.data.copy())
    return np.array(path)


path = descend(lambda params: optim.SGD(params, lr=0.03))
assert np.allclose(path[1], [-3.88, 0.5])

# %% [markdown]
# With all parameters as one vector $\theta$ and the **learning rate** (学习率) $\eta$,
# **gradient descent** (梯度下降) is
#
# $$\theta \leftarrow \theta - \eta\, \nabla_\theta L .$$
#
# `optim.SGD` does this; it uses only `.data` and `.grad`, so it moves the parameters of
# our engine as well as PyTorch's.
#
# **Predict.** Take 40 steps with each of the rates 0.03, 0.07 and 0.081. Which ends
# lowest, and does one of them diverge?

# %%
for lr in (0.03, 0.07, 0.081):
    path = descend(lambda params, lr=lr: optim.SGD(params, lr=lr))
    print(f"rate {lr:<5}  loss {valley(path[0]):.0f} -> {valley(path[-1]):.3g}")
    if lr == 0.07:
        assert (np.sign(path[:6, 1]) == [1, -1, 1, -1, 1, -1]).all()

# %%
assert valley(path[-1]) > 300 and valley(path[0]) == 58  # the last path: rate 0.081

# %% [markdown]
# 0.07 is better than 0.03, and 0.081 diverges. A coordinate with the **curvature** (曲率,
# second derivative) $c$ has the gradient $c\,\theta$, so each step multiplies it by
# $1 - \eta c$. Across the valley $c = 25$, and the factor is below 1 in size only if
# $\eta < 2/25 = 0.08$. Along it $c = 1$, and with so small a rate each step keeps 92 % or
# more of the distance. The steepest direction limits the rate; the flattest then crawls.

# %% [markdown]
# ## 9 Stochastic gradient descent
#
# Now real data: 1,797 images of handwritten digits, 8 × 8 pixels (Alpaydin and Kaynak,
# 1998). One in five is set aside as the **validation set** (验证集); training never sees
# it.

# %%
digits = load_digits()
x_train, x_val, y_train, y_val = train_test_split(
    digits.data / 16,  # pixels from 0 to 1
    digits.target.astype(np.int64),
    test_size=360,
    random_state=0,
    stratify=digits.target,
)
assert x_train.shape == (1437, 64) and x_val.shape == (360, 64)
print(x_train.shape, x_val.shape)

# %% [markdown]
# The network has 64 inputs, 64 hidden neurons with ReLU and 10 logits, one for each
# digit. It is a **multi-layer perceptron** (多层感知机, MLP). The weights start with He
# initialisation (chapter 03). `digits_logits` runs in both engines.


# %%
def new_weights(seed):
    rng = np.random.default_rng(seed)
    W1 = rng.normal(size=(64, 64)) * np.sqrt(2 / 64)
    W2 = rng.normal(size=(64, 10)) * np.sqrt(2 / 64)
    return [W1, np.zeros(64), W2, np.zeros(10)]


def digits_logits(x, params):
    W1, b1, W2, b2 = params
    return (x @ W1 + b1).relu() @ W2 + b2


params = [autograd.Tensor(a, requires_grad=True) for a in new_weights(seed=0)]
assert sum(p.data.size for p in params) == n_parameters

# %% [markdown]
# The gradient over all 1,437 training images is the mean of 1,437 gradients. It is
# exact, and you pay for all of them to take one step. What if you take a few images at
# random, and use their gradient instead?
#
# **Predict.** Take *one* image. Its gradient differs from the full one by an error
# vector. Is this error shorter or longer than the full gradient itself?


# %%
def gradient_of(ids):
    """The gradient over some training images, as one long vector."""
    loss = autograd.cross_entropy(digits_logits(x_train[ids], params), y_train[ids])
    loss.backward()
    gradient = np.concatenate([p.grad.ravel() for p in params])
    for p in params:
        p.zero_grad()
    return gradient


full = gradient_of(np.arange(1437))
singles = np.array([gradient_of([i]) for i in range(1437)])  # (1437, 4810)
assert np.allclose(singles.mean(0), full, atol=1e-12)


# %%
def relative_error(batch_size, n_batches=200):
    """Root mean square error of a batch's gradient, in units of the full one."""
    ids = np.random.default_rng(0).integers(0, 1437, (n_batches, batch_size))
    errors = [singles[i].mean(0) - full for i in ids]
    return np.sqrt(np.mean(np.sum(np.square(errors), 1))) / np.linalg.norm(full)


noise = {size: relative_error(size) for size in (1, 4, 16, 64)}
for size, error in noise.items():
    print(f"batch of {size:2}: error = {error:.1f} x the length of the full gradient")

# %% [markdown]
# Five times longer. A single image's gradient is mostly noise. But on average the noise
# is zero (that is what the `allclose` above says), so with a small enough rate many
# noisy steps still go downhill. And it shrinks with the batch:

# %%
assert 4.5 < noise[1] < 5.5 and 0.5 < noise[64] < 0.75
sigma = np.sqrt(np.mean(np.sum((singles - full) ** 2, 1))) / np.linalg.norm(full)
for size, error in noise.items():
    assert abs(error / (sigma / np.sqrt(size)) - 1) < 0.1
del singles
print("error x sqrt(batch size) is the same for all four, within 10 %")

# %% [markdown]
# Write $\mathbf{g}_i$ for the gradient of example $i$, $\mathbf{g}$ for the mean over
# all, and $\sigma_g^2$ for the mean of $\lVert \mathbf{g}_i - \mathbf{g} \rVert^2$. For
# $B$ examples drawn at random, each from all (so one may come twice),
#
# $$\mathbf{g}_B = \frac{1}{B} \sum_{i \in \text{batch}} \mathbf{g}_i, \qquad
# \mathbb{E}\,[\mathbf{g}_B] = \mathbf{g}, \qquad
# \mathbb{E}\, \lVert \mathbf{g}_B - \mathbf{g} \rVert^2 = \frac{\sigma_g^2}{B} .$$
#
# Four times the batch halves the noise and costs up to four times as much; less on a
# GPU, which works on a whole batch in parallel. **Stochastic gradient descent**
# (随机梯度下降, SGD; Robbins and Monro, 1951) is
# $\theta \leftarrow \theta - \eta\, \mathbf{g}_B$ with a fresh random batch, called a
# **mini-batch** (小批量), at every step. In practice one shuffles the training set and cuts
# it into batches, as section 13 does: no image comes twice in an **epoch** (轮), one
# passage through the set. The noise is then a little smaller than the formula says.

# %% [markdown]
# ## 10 Momentum
#
# With the rate 0.07, plain descent zigzags down the valley (section 8 asserts it).
# Across, the gradient changes its sign at every step; along, it always says the same.
# So keep a running sum of gradients that slowly forgets. What changes sign cancels,
# what persists builds up. With a gradient that is always 1 and a memory of 0.9:

# %%
velocity, history = 0.0, []
for _ in range(100):
    velocity = 0.9 * velocity + 1.0
    history.append(velocity)
assert np.allclose(history[:3], [1, 1.9, 2.71]) and round(history[-1], 2) == 10.0
print([round(v, 3) for v in history[:3]], "...", round(history[-1], 2))

# %% [markdown]
# It grows to $1 / (1 - 0.9) = 10$: the steps become ten times as long. **Momentum**
# (动量; Polyak, 1964) with the parameter $\mu$ and the velocity (速度) $\mathbf{v}$, zero
# at the start, is
#
# $$\mathbf{v} \leftarrow \mu\, \mathbf{v} + \nabla_\theta L, \qquad
# \theta \leftarrow \theta - \eta\, \mathbf{v} .$$
#
# In `lmcore` this is `optim.SGD` with `momentum`. In the valley, by hand and by `lmcore`:

# %%
theta, velocity = np.array([-4.0, 2.0]), 0.0
for _ in range(40):
    velocity = 0.7 * velocity + theta * np.array([1, 25])  # the gradient is (a, 25 b)
    theta = theta - 0.07 * velocity
path = descend(lambda params: optim.SGD(params, lr=0.07, momentum=0.7))
assert np.abs(theta - path[-1]).max() < 1e-10
print("the same point, to 1e-10; its loss is below 1e-4:", bool(valley(theta) < 1e-4))

# %% [markdown]
# ## 11 Adam
#
# Momentum still uses one rate for all parameters, and the steepest one sets it.
# **Adam** (from *adaptive moment estimation*, 自适应矩估计; Kingma and Ba, 2015) divides
# each parameter's step by the size that its gradients usually have. It keeps two running
# means, of the gradient and of its square.
#
# Let the first two gradients of a parameter be 4 and 2. The running mean keeps 0.9 of
# what it was and takes 0.1 of what is new: 0.4, then
# $0.9 \cdot 0.4 + 0.1 \cdot 2 = 0.56$. It started at 0, and $0.9^2 = 0.81$ of it is still
# that 0, so divide by the rest: $0.56 / 0.19 = 2.95$, nearly the mean of 4 and 2. For
# the squares 16 and 4, with 0.999 instead of 0.9, the same gives 10.0, the mean of 16
# and 4. The second step is $2.95 / \sqrt{10.0} = 0.93$ times the learning rate.


# %%
def adam_by_hand(g, m, v, t, lr, betas=(0.9, 0.999), eps=1e-8, correct=True):
    """One step of Adam: the change of theta, and the two running means."""
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * g**2
    m_hat = m / (1 - betas[0] ** t) if correct else m
    v_hat = v / (1 - betas[1] ** t) if correct else v
    return -lr * m_hat / (np.sqrt(v_hat) + eps), m, v


_, m, v = adam_by_hand(4.0, 0.0, 0.0, t=1, lr=1.0)
change, m, v = adam_by_hand(2.0, m, v, t=2, lr=1.0)
assert np.isclose(m, 0.56) and round(m / 0.19, 2) == 2.95
assert round(v / (1 - 0.999**2), 1) == 10.0 and round(-change, 2) == 0.93
print("m", round(m, 4), " v", round(v, 6), " step", round(-change, 4))

# %% [markdown]
# In general:
#
# $$\mathbf{m} \leftarrow \beta_1 \mathbf{m} + (1 - \beta_1)\, \mathbf{g}, \qquad
# \mathbf{v} \leftarrow \beta_2 \mathbf{v} + (1 - \beta_2)\, \mathbf{g}^2,$$
#
# $$\hat{\mathbf{m}} = \frac{\mathbf{m}}{1 - \beta_1^t}, \qquad
# \hat{\mathbf{v}} = \frac{\mathbf{v}}{1 - \beta_2^t}, \qquad
# \theta \leftarrow \theta - \eta\, \frac{\hat{\mathbf{m}}}{\sqrt{\hat{\mathbf{v}}} + \epsilon} .$$
#
# Here $\mathbf{g}$ is the gradient, $t = 1, 2, \dots$ counts the steps, and squares and
# roots are elementwise. The division by $1 - \beta^t$ is the **bias correction** (偏差修正);
# $\epsilon = 10^{-8}$ prevents a division by zero. The usual $\beta_1$ is 0.9, $\beta_2$
# 0.999. Adam's $\mathbf{m}$ is a mean where momentum's $\mathbf{v}$ was a sum; the paper's
# letter $\mathbf{v}$ now stands for the mean of the squares.
#
# **Predict.** Three parameters have the gradients 1000, 0.001 and $10^{-12}$. How long
# is Adam's first step for each, with $\eta = 0.1$?

# %%
for g in (1000.0, 0.001, 1e-12):
    change, _, _ = adam_by_hand(g, 0.0, 0.0, t=1, lr=0.1)
    print(f"gradient {g:g}: change {change:.5f}")

# %%
assert np.isclose(change, -0.1 * 1e-4, rtol=1e-3)  # the last one

# %% [markdown]
# The same 0.1 for the first two: $\hat m / \sqrt{\hat v} = g / |g|$ at the first step,
# so the size of the gradient drops out. For the third it does not: against $10^{-12}$,
# $\epsilon$ is large, and the step is 10,000 times shorter. (Chapter 03 met such
# gradients at the bottom of a deep sigmoid network.) Forty steps in the valley, by hand
# and by `lmcore`:

# %%
theta, m, v = np.array([-4.0, 2.0]), 0.0, 0.0
for t in range(1, 41):
    change, m, v = adam_by_hand(theta * np.array([1, 25]), m, v, t, lr=0.28)
    theta = theta + change
adam_path = descend(lambda params: optim.Adam(params, lr=0.28))
assert np.abs(theta - adam_path[-1]).max() < 1e-10
print("after 40 steps both stand at", theta.round(3))

# %% [markdown]
# ### What Adam buys
#
# Where gradients are well above $\epsilon$, the right rate does not depend on the scale
# of the loss. Multiply the loss by 1,000, as a change of units might:

# %%
scaled_adam = descend(lambda p: optim.Adam(p, lr=0.28), scale=1000)
scaled_descent = descend(lambda p: optim.SGD(p, lr=0.07), scale=1000)
assert np.abs(scaled_adam - adam_path).max() < 1e-5
assert valley(scaled_descent[-1]) > 1e100
print("Adam: the same path.  Gradient descent: loss above 1e100")

# %% [markdown]
# ### What bias correction is for
#
# Some descriptions of Adam leave out the two divisions by $1 - \beta^t$. At the first
# step $m = 0.1\,g$ instead of $g$: ten times too small.
#
# **Predict.** Without the correction, are Adam's first steps shorter or longer than
# $\eta$?

# %%
t = np.arange(1, 2001)
length = (1 - 0.9**t) / np.sqrt(1 - 0.999**t)  # for a constant gradient
change, _, _ = adam_by_hand(1.0, 0.0, 0.0, t=1, lr=1.0, correct=False)
assert np.isclose(-change, length[0])
print("step 1, 12, 100, 1000:", length[[0, 11, 99, 999]].round(2))

# %% [markdown]
# **Longer**: 3.16 times. $v$ is 1,000 times too small, and its root, 32 times too
# small, stands below the line: $0.1 / \sqrt{0.001} = 3.16$. It gets worse up to step
# 12, where the steps are 6.57 times too long. At step 100 it is still 3.24, at step
# 1,000 it is 1.26. The longest steps come while the weights are still nearly random.

# %%
assert [round(x, 2) for x in length[[0, 11, 99, 999]]] == [3.16, 6.57, 3.24, 1.26]
assert t[length.argmax()] == 12

# %% [markdown]
# ## 12 Three methods in one valley
#
# To be fair, each gets the best of eleven learning rates, from 0.0011 to 1.12, each
# twice the one before. Momentum enters twice, with $\mu = 0.7$ and with the more usual
# 0.9. **Predict.** Which is lowest after 40 steps?


# %%
def best_path(make_optimizer):
    """The path with the lowest final loss over the rates, and its rate."""
    rates = [0.07 * 2.0**k for k in range(-6, 5)]
    paths = [descend(lambda p, lr=lr: make_optimizer(p, lr)) for lr in rates]
    final = [valley(path[-1]) for path in paths]
    return paths[int(np.argmin(final))], rates[int(np.argmin(final))]


# %%
methods = {
    "gradient descent": lambda p, lr: optim.SGD(p, lr=lr),
    "momentum 0.7": lambda p, lr: optim.SGD(p, lr=lr, momentum=0.7),
    "Adam": lambda p, lr: optim.Adam(p, lr=lr),
    "momentum 0.9": lambda p, lr: optim.SGD(p, lr=lr, momentum=0.9),
}
paths = {name: best_path(method) for name, method in methods.items()}
curves = {name: [valley(x) for x in path] for name, (path, _) in paths.items()}
for name, (_, lr) in paths.items():
    print(f"{name:17} rate {lr:<8} loss after 40 steps {curves[name][-1]:.1e}")

# %% [markdown]
# Momentum 0.7 wins by far, and momentum 0.9 is last. Near a minimum momentum swings,
# and a swing shrinks by the factor $\sqrt\mu$ a step, whatever the rate. Measure it
# across the valley, where the second parameter swings, over 100 steps:

# %%
assert min(curves, key=lambda name: curves[name][-1]) == "momentum 0.7"
assert max(curves, key=lambda name: curves[name][-1]) == "momentum 0.9"
for mu in (0.7, 0.9):
    path = descend(lambda p, mu=mu: optim.SGD(p, lr=0.07, momentum=mu), steps=200)
    b = np.abs(path[:, 1])
    factor = (b[150:].max() / b[50:101].max()) ** (1 / 100)
    assert abs(factor - np.sqrt(mu)) < 0.01
    print(f"momentum {mu}: factor {factor:.2f} a step, {mu**20:.4f} left after 40")
assert round(0.9**20, 2) == 0.12 and round(0.7**20, 4) == 0.0008

# %% [markdown]
# After 40 steps 0.9 keeps 12 % of its swing, 0.7 less than a thousandth. A valley of two
# parameters shows how methods move, not which one is best for your network.

# %% alt="Left: contour lines of a long valley with three paths of 12 steps from the upper left towards the minimum: gradient descent zigzags across the floor, momentum makes wider swings and comes closest, Adam moves diagonally and overshoots. Right: loss against step on a logarithmic axis; momentum 0.7 falls to 1e-5, the other three end between 0.01 and 0.4."
figure, (left, right) = plotting.new_plots(1, 2, height=4.0)
grid_a, grid_b = np.meshgrid(np.linspace(-4.6, 2.2, 120), np.linspace(-2.2, 2.6, 120))
levels = [0.1, 0.5, 2, 6, 14, 28, 50, 80]
heights = 0.5 * (grid_a**2 + 25 * grid_b**2)
left.contour(grid_a, grid_b, heights, levels, colors="#BBBBBB", linewidths=0.8)
for (name, curve), marker in zip(curves.items(), "os^D", strict=True):
    right.semilogy(curve, label=name)
    if name != "momentum 0.9":
        a, b = paths[name][0][:13].T
        left.plot(a, b, marker=marker, markersize=5, linewidth=1.5)
left.plot(0, 0, marker="*", markersize=14, color="black", linestyle="none")
left.set(title="Descent zigzags and crawls", xlabel="parameter a", ylabel="parameter b")
right.set(title="Momentum 0.7 swings to the goal", xlabel="step", ylabel="loss")
right.legend()
assert plotting.plotted(right) == curves
plt.show()

# %% [markdown]
# **How to read it.** Left: grey lines join points of equal loss, the star is the
# minimum, and the markers are the first twelve steps from the upper left. Right: the
# loss on a logarithmic axis, lower is better.

# %% [markdown]
# ## 13 Reading digits, with an engine you can read
#
# Everything is there: forward pass, loss, sweep, optimiser. First, what must the
# network beat? Two **baselines** (基线): always say the most frequent digit, and logistic
# regression (逻辑回归), which is our network without the hidden layer. Scikit-learn adds a
# **penalty** (正则化惩罚项) on large weights, the weaker the larger its parameter $C$. For
# the network, the learning rate and the number of epochs were chosen from a few trials
# on the validation set; $C$ is chosen in the same way.

# %%
most_frequent = np.bincount(y_train).argmax()
wrong = {"most frequent digit": int((y_val != most_frequent).sum())}
trials = {}
for C in (0.1, 1, 10, 100):
    model = LogisticRegression(C=C, max_iter=1000).fit(x_train, y_train)
    right_class = model.predict_proba(x_val)[np.arange(360), y_val]
    trials[C] = -np.log(right_class).mean(), int((model.predict(x_val) != y_val).sum())
    print(f"C = {C:<4} loss {trials[C][0]:.2f} nats, {trials[C][1]} of 360 wrong")
logistic_loss, wrong["logistic regression"] = min(trials.values())
assert min(trials, key=trials.get) == 10 and wrong["most frequent digit"] >= 320

# %% [markdown]
# Now the training loop. It takes the parameters, an optimiser, a loss and a function
# that turns an array into what the engine wants, so the same lines train both. The
# batches are a function of the seed, so both see the same images in the same order: 30
# epochs of 44 batches of 32. The 29 images left over in an epoch are dropped; the next
# epoch shuffles anew.


# %%
def batches(epochs, seed):
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(x_train))
        for first in range(0, len(order) - 31, 32):
            yield order[first : first + 32]


assert sum(1 for _ in batches(epochs=1, seed=0)) == 44 and 1437 - 44 * 32 == 29


# %%
def train_digits(params, optimizer, loss_function, wrap, epochs=30):
    """The loss of every batch, and the validation loss after every epoch."""
    batch_losses, val_losses = [], []
    for count, ids in enumerate(batches(epochs, seed=0), start=1):
        logits = digits_logits(wrap(x_train[ids]), params)
        loss = loss_function(logits, wrap(y_train[ids]))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        batch_losses.append(loss.item())
        if count % 44 == 0:
            val_logits = digits_logits(wrap(x_val), params)
            val_losses.append(loss_function(val_logits, wrap(y_val)).item())
    return np.array(batch_losses), np.array(val_losses)


# %% [markdown]
# Once with our engine, on plain NumPy arrays:

# %%
numpy_params = [autograd.Tensor(a, requires_grad=True) for a in new_weights(seed=0)]
numpy_losses, numpy_val = train_digits(
    numpy_params,
    optim.Adam(numpy_params, lr=3e-3),
    autograd.cross_entropy,
    np.asarray,
)
assert len(numpy_losses) == 30 * 44 and numpy_losses[0] > 2 > 0.2 > numpy_val[-1]
print(f"validation loss {numpy_val[0]:.2f} after epoch 1, {numpy_val[-1]:.2f} after 30")

# %% [markdown]
# And once in PyTorch, with its engine and its Adam, from the same weights:

# %%
torch_params = [torch.tensor(a, requires_grad=True) for a in new_weights(seed=0)]
torch_losses, torch_val = train_digits(
    torch_params,
    torch.optim.Adam(torch_params, lr=3e-3),
    torch.nn.functional.cross_entropy,
    torch.tensor,
)
assert np.abs(numpy_losses[:100] - torch_losses[:100]).max() < 1e-10
assert np.abs(numpy_losses - torch_losses).max() < 1e-6
print("first 100 losses equal to 1e-10, all", len(torch_losses), "to 1e-6")

# %% [markdown]
# Two programs that share no line of differentiation, and step for step the same loss.
# So they also read the same digits:

# %%
numpy_says = digits_logits(x_val, numpy_params).data.argmax(-1)
torch_says = digits_logits(torch.tensor(x_val), torch_params).argmax(-1).numpy()
assert (numpy_says == torch_says).all()
wrong["network, NumPy engine"] = int((numpy_says != y_val).sum())
wrong["network, torch"] = int((torch_says != y_val).sum())
for name, count in wrong.items():
    print(f"{name:22} {count:4} of 360 wrong, {1 - count / 360:6.1%} right")
assert 0 < wrong["logistic regression"] - wrong["network, NumPy engine"] < 6

# %% [markdown]
# The network makes a few errors fewer than logistic regression. So few images of one
# split prove little; exercise 7 does it better. Images of 8 × 8 pixels are an easy task,
# where a linear model is hard to beat. How did the training go?

# %% alt="Loss against epoch on a logarithmic axis: the training loss falls steadily to about 0.02; the validation loss lies above it from epoch 4 on and falls to about 0.09, a little below the level of logistic regression at 0.12."
per_epoch = numpy_losses.reshape(30, 44).mean(1)
epoch = np.arange(1, 31)
figure, axes = plotting.new_plot(
    "Training loss falls further than validation loss",
    "epoch (44 steps)",
    "cross-entropy (nats)",
    height=3.4,
)
axes.semilogy(epoch, per_epoch, label="training, mean over the epoch")
axes.semilogy(epoch, numpy_val, label="validation")
axes.semilogy(
    epoch, np.full(30, logistic_loss), label="logistic regression, validation"
)
axes.set_yticks([0.02, 0.1, 0.2, 1], ["0.02", "0.1", "0.2", "1"])
axes.legend()
assert (per_epoch[3:] < numpy_val[3:]).all() and per_epoch[0] > numpy_val[0]
assert per_epoch[-1] < 0.03 < 0.08 < numpy_val[-1] < 0.105 < logistic_loss < 0.125
assert numpy_val[:20].min() > numpy_val[20:].min()
plt.show()

# %% [markdown]
# **How to read it.** Lower is better; the axis is logarithmic. From epoch 4 on, training
# loss is below validation loss: part of what is learned holds only for the training
# images. As long as the validation curve falls too, training still helps. (At the start
# the order is reversed, because the training mean is taken during the epoch and the
# validation loss after it.)
#
# And the price? Section 0 counted 9,620 runs of the network for one gradient. All 1,320
# steps of this training took 1,320 forward passes and 1,320 sweeps back.

# %% [markdown]
# ## 14 Two common misconceptions
#
# ### "The output's delta is target minus prediction"
#
# You meet $\delta = y - \hat y$ in many texts, and $\hat y - y$ in as many. The
# derivative is $\hat y - y$ (times 2, section 4). With the other sign the update must be
# $\theta \leftarrow \theta + \eta\,\delta\, h$, and the two reversals cancel. The mistake
# is to mix the two.
#
# **Predict.** Take our 2-2-1 network, reverse the sign of the output's delta, and run
# gradient descent for ten steps. What does the loss do?


# %%
def ten_steps(sign):
    Ws, bs = [W1.copy(), W2.copy()], [b1.copy(), b2.copy()]
    history = []
    for _ in range(11):
        H, Z = forward_mlp(x[None], Ws, bs)
        history.append(((H[-1] - target) ** 2).item())
        grads = backward_mlp(H, Z, Ws, sign * 2 * (H[-1] - target))
        Ws = [W - 0.02 * g for W, (g, _) in zip(Ws, grads, strict=True)]
        bs = [b - 0.02 * g for b, (_, g) in zip(bs, grads, strict=True)]
    return history


# %%
kept, reversed_sign = ten_steps(+1), ten_steps(-1)
print("right", round(kept[0], 4), "->", round(kept[-1], 4))
print("reversed", round(reversed_sign[0], 4), "->", round(reversed_sign[-1], 2))

# %%
assert kept[-1] < 0.01 < kept[0] < reversed_sign[-1]
assert all(after > before for before, after in pairwise(reversed_sign))

# %% [markdown]
# It climbs at every step. A gradient check finds the mistake before you train.

# %% [markdown]
# ### "SGD averages the gradient over all training samples"
#
# This is often written under the name of SGD:
#
# $$\theta \leftarrow \theta - \eta\, \frac{1}{N} \sum_{i=1}^{N} \nabla_\theta L_i
# \quad\text{with } N \text{ the number of training samples.}$$
#
# It is gradient descent over the full batch. The *stochastic* in SGD is the random
# choice of a few examples. Let both go once through the training images, each with the
# rates 0.3 and 1.


# %%
def loss_after_one_epoch(batch_ids, lr):
    params = [autograd.Tensor(a, requires_grad=True) for a in new_weights(seed=0)]
    optimizer = optim.SGD(params, lr=lr)
    for ids in batch_ids:
        logits = digits_logits(x_train[ids], params)
        autograd.cross_entropy(logits, y_train[ids]).backward()
        optimizer.step()
        optimizer.zero_grad()
    return autograd.cross_entropy(digits_logits(x_train, params), y_train).item()


# %%
for lr in (0.3, 1.0):
    full_batch = loss_after_one_epoch([np.arange(1437)], lr)
    mini_batches = loss_after_one_epoch(batches(epochs=1, seed=0), lr)
    assert full_batch > 2.0 and mini_batches < 1.0
    print(f"rate {lr}: 1 step on all images, {full_batch:.2f} nats;", end=" ")
    print(f"44 steps on 32 each, {mini_batches:.2f} nats")

# %% [markdown]
# For the price of one step, SGD takes 44. It is also said that SGD "may converge to a
# local minimum (局部极小值)". So may the full batch. What marks SGD is the noise: with a
# fixed rate it keeps moving as long as the gradients of the examples disagree.

# %% [markdown]
# ## 15 Pitfalls
#
# **Using a graph twice.** The next cell fails on purpose. After `backward`, the nodes
# between the parameters and the loss still hold their gradients. A second sweep would
# add to them and count everything again. PyTorch refuses too, unless you ask it to keep
# the graph: it has freed the values that the sweep needs.

# %% tags=["raises-exception"]
w = autograd.Tensor([1.0, 2.0], requires_grad=True)
loss = (w * w).sum()
loss.backward()
loss.backward()

# %% [markdown]
# Compute the loss anew for each `backward`.
#
# **Forgetting `zero_grad`.** This one does not fail, which makes it worse. Gradients
# are added to what `grad` already holds, here as in PyTorch. **Predict.** The gradient
# of $w^2$ at $w = 3$ is 6: what do you read after three rounds without `zero_grad`?

# %%
w = autograd.Tensor(3.0, requires_grad=True)
read = []
for _ in range(3):
    (w * w).backward()
    read.append(w.grad.item())
print(read)

# %%
assert read == [6 * rounds for rounds in (1, 2, 3)]

# %% [markdown]
# 6, 12, 18: each step would use the sum of all gradients so far, a momentum that never
# forgets. (Exercise 6 puts this to use, for a batch that does not fit into memory.)

# %% [markdown]
# ## Summary
#
# - The forward pass computes $\mathbf{z}_l = \mathbf{h}_{l-1} W_l + \mathbf{b}_l$ and
#   $\mathbf{h}_l = f(\mathbf{z}_l)$ layer by layer and ends in one number, the
#   loss.
# - Backpropagation is the chain rule in a good order: multiply along a path, add over
#   paths, visit each node once, after everything that uses it.
# - For a layer: $\boldsymbol\delta_{l-1} = (\boldsymbol\delta_l W_l^\top) \odot
#   f'(\mathbf{z}_{l-1})$, and the gradient of $W_l$ is the outer product of its
#   input and its delta, summed over the batch. Cross-entropy starts it with
#   probabilities minus targets.
# - An engine needs three things: a record of what was computed, a vjp for each
#   operation, and a topological order. What broadcasting repeated, the gradient sums.
# - Central differences know nothing of your derivation. Check every new backward pass
#   with them once, on a small case, with a step of about $10^{-6}$.
# - SGD uses the noisy gradient of a mini-batch; the error falls with $1/\sqrt{B}$.
#   Momentum adds up what persists. Adam makes the step independent of the gradient's
#   scale, as long as that is well above $\epsilon$, and needs its bias correction.
# - With the same weights and batches, a NumPy engine and PyTorch give the same numbers.

# %% [markdown]
# ## Exercises
#
# **Conceptual**
#
# 1. Somewhere you read that $[1, 2]$ times
#    $\begin{pmatrix} 0.1 & 0.2 \\ 0.3 & 0.4 \end{pmatrix}$ plus $[0.1, 0.2]$ is
#    $[0.5, 1.2, 1.1, 2.6]$. How do you know, before any arithmetic, that this is wrong?
#    What is it?
# 2. All weights *and* biases of a ReLU network with one hidden layer start at zero, the
#    loss is cross-entropy. Which of its parameters get a gradient other than zero in
#    the first step? Does the network ever learn more than that?
# 3. One could also carry derivatives *forward* through the graph: for one input, the
#    derivative of every node with respect to it. Each such pass costs about as much as
#    the forward pass. When is that better than going backward, and why is it hopeless
#    here?
#
# **Coding**
#
# 4. Write `tanh_node(a)` for the array engine of section 6. Check it against PyTorch.
# 5. Replace the MSE of the 2-2-1 network by $|\hat y - y|$ and compute all four
#    gradients by hand. Check them with `nudge_each`. How do they compare with those of
#    the MSE?
# 6. Show that two half batches, without `zero_grad` between them, give the gradient of
#    the whole batch, once you have scaled it right. Use the digits.
#
# **Open**
#
# 7. One split cannot tell whether the network really beats logistic regression. Design
#    and run an experiment on the digits that says more, and say what it still does not
#    say.

# %% [markdown]
# ## Answers
#
# <details><summary>1. Four numbers from two columns</summary>
#
# A row of 2 numbers times a matrix with 2 columns is a row of 2 numbers, and so is the
# sum with a row of 2. It is $[1 \cdot 0.1 + 2 \cdot 0.3 + 0.1,\; 1 \cdot 0.2 + 2 \cdot
# 0.4 + 0.2] = [0.8, 1.2]$, the $\mathbf{z}_1$ of section 1.
# </details>
#
# <details><summary>2. A network that starts at zero</summary>
#
# The hidden layer outputs 0, so the gradient of $W_2$ (outer product with the hidden
# layer's output) is zero. $W_2$ is zero, so
# $\boldsymbol\delta_1 = \boldsymbol\delta_2 W_2^\top$ is zero, and with it the
# gradients of $W_1$ and $\mathbf{b}_1$. Only $\mathbf{b}_2$ gets one. The next step
# finds the same, so the network only ever learns how frequent each class is.
# </details>
#
# <details><summary>3. Forward or backward</summary>
#
# A forward pass of derivatives serves one input and all outputs; a sweep back serves
# one output and all inputs. With few inputs and many outputs, forward wins. Training
# has one output, the loss, and as many inputs as parameters: 4,810 forward passes
# against one sweep. The price of going backward is memory, because all values of the
# forward pass must be kept until the sweep.
# </details>
#
# **4.** The derivative is $1 - \tanh^2$, and the output is at hand:


# %%
def tanh_node(a):
    out = np.tanh(a.data)
    return ArrayNode(out, ((a, lambda g: g * (1 - out**2)),))


node = ArrayNode([[-2.0, 0.5, 1.0]])
leaf = torch.tensor(node.data, requires_grad=True)
backward_arrays(matmul_node(tanh_node(node), ArrayNode([[1.0], [2.0], [3.0]])))
(leaf.tanh() @ torch.tensor([[1.0], [2.0], [3.0]])).sum().backward()
assert np.abs(node.grad - leaf.grad.numpy()).max() < 1e-10
print(node.grad.round(4))

# %% [markdown]
# **5.** The derivative of $|\hat y - y|$ is the sign of $\hat y - y$, here $+1$ instead
# of 0.44. All that follows is a product with it, so every gradient is that of the MSE
# divided by 0.44:


# %%
def absolute_loss(W1, b1, W2, b2):
    return abs((np.maximum(x @ W1 + b1, 0) @ W2 + b2).item() - target)


for which, of_mse in enumerate(by_hand):
    nudged = nudge_each(absolute_loss, [W1, b1, W2, b2], which)
    assert np.abs(nudged - of_mse / 0.44).max() < 1e-6
    print(("W1", "b1", "W2", "b2")[which], nudged.round(4).tolist())

# %% [markdown]
# **6.** Each half averages over its own images, so the sum of the two is twice the
# average over all:

# %%
params = [autograd.Tensor(a, requires_grad=True) for a in new_weights(seed=0)]
whole = gradient_of(np.arange(64))  # it calls zero_grad at its end
for half in (np.arange(32), np.arange(32, 64)):
    logits = digits_logits(x_train[half], params)
    autograd.cross_entropy(logits, y_train[half]).backward()
added = np.concatenate([p.grad.ravel() for p in params]) / 2
assert np.abs(added - whole).max() < 1e-12
print("two halves, added and divided by 2: the gradient of the whole batch")

# %% [markdown]
# **7.** One design: five-fold cross-validation (五折交叉验证). Split all images in five, let
# each fifth be the validation set once, and count the errors on all 1,797. Both models
# get the same splits. To run it, the loop of section 13 needs the training set as an
# argument:


# %%
images = digits.data / 16


def errors_of_network(train, held_out, epochs=30):
    params = [autograd.Tensor(a, requires_grad=True) for a in new_weights(seed=0)]
    optimizer, rng = optim.Adam(params, lr=3e-3), np.random.default_rng(0)
    for _ in range(epochs):
        for ids in np.array_split(rng.permutation(train), len(train) // 32):
            logits = digits_logits(images[ids], params)
            autograd.cross_entropy(logits, digits.target[ids]).backward()
            optimizer.step()
            optimizer.zero_grad()
    says = digits_logits(images[held_out], params).data.argmax(-1)
    return says != digits.target[held_out]


# %%
folds = np.array_split(np.random.default_rng(0).permutation(1797), 5)
network_errors, logistic_errors = [], []
for held_out in folds:
    train = np.setdiff1d(np.arange(1797), held_out)
    network_errors.append(errors_of_network(train, held_out))
    model = LogisticRegression(C=10, max_iter=1000)
    model.fit(images[train], digits.target[train])
    logistic_errors.append(model.predict(images[held_out]) != digits.target[held_out])
# %%
network_wrong = np.concatenate(network_errors)
logistic_wrong = np.concatenate(logistic_errors)
print(network_wrong.sum(), "wrong; logistic regression:", logistic_wrong.sum())
only_network = int((network_wrong & ~logistic_wrong).sum())
only_logistic = int((logistic_wrong & ~network_wrong).sum())
tosses = only_network + only_logistic
chance = 2 * sum(math.comb(tosses, k) for k in range(only_network + 1)) / 2**tosses
assert chance < 0.1 and 0 < only_logistic - only_network < 0.01 * 1797
print(f"one alone wrong: {only_network} and {only_logistic}; chance {chance:.2f}")
about = " ".join(digits.DESCR.split())
assert "copy of the test set" in about and "different 13 to the test set" in about

# %% [markdown]
# The network is wrong less often. Is it luck? Only images on which exactly one of the
# two is wrong can tell them apart. If both were equally good, each of these would be
# the toss of a coin, and the printed chance is that of so uneven a split (a **sign
# test**, 符号检验). It is small, but optimistic: it takes the images as independent, and
# images by the same writer are not. So the network is perhaps better, by less than one
# image in a hundred.
#
# What it does not say: each network had the same random start, so the spread over
# starts is missing. The learning rate and $C$ were chosen on some of these images. And
# this set holds the digits of 13 writers, without saying who wrote which. The same
# hands are in training and in the held-out fifth, so no split of it can say how well
# either model reads a hand it has never seen.

# %% [markdown]
# ## References
#
# - Linnainmaa, S. (1976). Taylor expansion of the accumulated rounding error. *BIT* 16.
#   (Reverse mode, first in his master's thesis of 1970.)
# - Rumelhart, D. E., Hinton, G. E., Williams, R. J. (1986). Learning representations by
#   back-propagating errors. *Nature* 323. Equations 4–7: the deltas of section 4.
# - Baydin, A. G., Pearlmutter, B. A., Radul, A. A., Siskind, J. M. (2018). Automatic
#   differentiation in machine learning: a survey. *JMLR* 18. Section 3.1: forward mode;
#   3.2: reverse mode.
# - Goodfellow, I., Bengio, Y., Courville, A. (2016). *Deep Learning*. MIT Press.
#   Section 6.5: backpropagation; 8.1.3: mini-batches; 8.3.2: momentum.
# - Robbins, H., Monro, S. (1951). A stochastic approximation method. *Annals of
#   Mathematical Statistics* 22. The root of SGD.
# - Polyak, B. T. (1964). Some methods of speeding up the convergence of iteration
#   methods. *USSR Computational Mathematics and Mathematical Physics* 4. Momentum.
# - Kingma, D. P., Ba, J. (2015). Adam: a method for stochastic optimization. *ICLR*.
#   Algorithm 1; section 3: bias correction.
# - Alpaydin, E., Kaynak, C. (1998). Optical recognition of handwritten digits. UCI
#   Machine Learning Repository. The data of section 9.
#
# **Lab:** [Lab 2, Activations and initialisation](../labs/02_activations/lab.ipynb) · [Lab 3, Build an autograd engine](../labs/03_autograd/lab.ipynb).
#
# **Next:** [05 Word vectors](05_word_vectors.ipynb): the same gradients, applied to words.
