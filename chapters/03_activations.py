# %% [markdown]
# # 03 · Activations
#
# **Question.** Why does a network need anything besides matrix products, and which function should that be?
#
# **Prerequisites.** [00 Preliminaries](00_preliminaries.ipynb): arrays, broadcasting, autograd.
#
# **Time.** 60–90 minutes to read; 20–60 s to run on two CPU cores.

# %% [markdown]
# ## What you will be able to do
#
# - Show that a stack of linear layers is one linear layer, and repair it with one function.
# - Write the usual activation functions and their derivatives, and name the range of each.
# - Predict how fast a signal and its gradient grow or shrink with depth, and choose initial weights that prevent both.
# - Count dead ReLUs, and say what brings them back and what does not.
# - Compute softmax without overflow, and say what temperature does to it.

# %%
import inspect
import math
import os
from functools import partial
from itertools import combinations, pairwise

import torch
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from torch import nn
from tqdm import tqdm

from lmcore import activations
from lmcore.activations import ACTIVATIONS
from lmcore.losses import cross_entropy
from lmcore.optim import SGD, Adam
from lmcore.plotting import new_plot, new_plots, plotted
from lmcore.runtime import pick_device, seed_everything

generator = seed_everything(0)
device = pick_device()
torch.set_num_threads(1)  # tensors this small gain nothing from a second thread
f64 = torch.float64
print("experiments run on:", device.type)

# %% [markdown]
# ## 1 Why linear is not enough
#
# A **linear layer** (线性层) takes a row of numbers $\mathbf{x}$ and returns $\mathbf{x}W + \mathbf{b}$. The matrix $W$ and the row $\mathbf{b}$ are its **weights** (权重) and **bias** (偏置).
#
# Ask one to learn *exclusive or*: the target is 1 when exactly one of two inputs is 1. There are four examples, and the best linear layer can be computed, not only searched for: least squares gives it.
#
# **Predict.** What will it answer for each of the four?

# %%
x_xor = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=f64)
y_xor = torch.tensor([[0], [1], [1], [0]], dtype=f64)

with_ones = torch.cat([x_xor, torch.ones(4, 1, dtype=f64)], dim=1)  # 1 carries the bias
best = torch.linalg.lstsq(with_ones, y_xor).solution
predictions = with_ones @ best
error = ((predictions - y_xor) ** 2).mean()
print("predictions:", [round(p.item(), 3) for p in predictions])
print("mean squared error:", round(error.item(), 3))

# %% [markdown]
# It answers 0.5 everywhere: no better than a guess. The natural next thought is to add layers. Here are two of them with fixed numbers, and then one layer whose weights are the product of theirs.

# %%
assert torch.allclose(predictions, torch.full((4, 1), 0.5, dtype=f64))

W1 = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=f64)
b1 = torch.tensor([0.5, -1.0], dtype=f64)
W2 = torch.tensor([[2.0], [-1.0]], dtype=f64)
b2 = torch.tensor([0.25], dtype=f64)

two_layers = (x_xor @ W1 + b1) @ W2 + b2
one_layer = x_xor @ (W1 @ W2) + (b1 @ W2 + b2)
print("two layers:", two_layers.flatten().tolist())
print("one layer: ", one_layer.flatten().tolist())
assert torch.equal(two_layers, one_layer)

# %% [markdown]
# The second layer has bought nothing. Multiply out to see that this holds for any weights:
#
# $$(\mathbf{x}W_1 + \mathbf{b}_1)W_2 + \mathbf{b}_2 = \mathbf{x}\,\underbrace{W_1W_2}_{W} + \underbrace{\mathbf{b}_1W_2 + \mathbf{b}_2}_{\mathbf{b}}$$
#
# Apply this again and again, and a hundred linear layers are one. Depth is wasted, and exclusive or stays out of reach.
#
# Now put one function between the two layers: replace every negative number by 0. That is the **ReLU** (修正线性单元), one of the **activation functions** (激活函数) of this chapter. With weights chosen by hand, two layers are enough. A column of the first layer is called a **unit** (神经元), a **hidden** one (隐藏), since it is neither input nor output.

# %%
W1 = torch.tensor([[1.0, 1.0], [1.0, 1.0]], dtype=f64)  # both units add the inputs
b1 = torch.tensor([0.0, -1.0], dtype=f64)  # the second one subtracts 1
W2 = torch.tensor([[1.0], [-2.0]], dtype=f64)

h = (x_xor @ W1 + b1).clamp(min=0)  # the activation
y = h @ W2
print("hidden:", h.tolist())
print("output:", y.flatten().tolist())
assert torch.equal(y, y_xor)

# %% [markdown]
# The first unit counts the ones. The second is silent unless both inputs are 1, and then it takes both counts back. In general, a layer of a network computes
#
# $$\mathbf{h} = f(\mathbf{x}W + \mathbf{b})$$
#
# with $f$ applied to every number on its own. We call the argument $\mathbf{z} = \mathbf{x}W + \mathbf{b}$ the **pre-activation** (预激活值). The rest of the chapter asks what $f$ should be. Two properties decide: what $f$ does to the numbers that go forward, and what its slope $f'$ does to the gradient that comes back in training.
#
# **Training in five lines.** A **loss** (损失) is one number that says how wrong the answers are; training makes it small. For digits it is the cross-entropy of chapter 00. The **gradient** (梯度) is the loss's derivative with respect to every weight. One step of **gradient descent** (梯度下降), in code `SGD`, sets each weight to *weight − learning rate · derivative*, where the **learning rate** (学习率) is chosen by us; `Adam` also adapts the step to each weight. Examples **held out** (留出) from training judge the result. Chapter 04 derives all of it.

# %% [markdown]
# ## 2 Sigmoid and tanh, and gradients that shrink
#
# ### 2.1 Two curves that level off
#
# The **sigmoid** (S 型函数) squeezes every number into the range from 0 to 1. Here it is, naively, at five points, with its slope measured by moving a little to both sides.


# %%
def sigmoid_naive(x):
    return 1 / (1 + torch.exp(-x))


def slope(f, x, step=1e-6):
    """The derivative by central differences."""
    return (f(x + step) - f(x - step)) / (2 * step)


x = torch.tensor([-5.0, -2.0, 0.0, 2.0, 5.0], dtype=f64)
for point, value, steepness in zip(
    x, sigmoid_naive(x), slope(sigmoid_naive, x), strict=True
):
    print(f"x = {point:4.0f}   sigmoid {value:.4f}   slope {steepness:.4f}")

# %% [markdown]
# $$\sigma(x) = \frac{1}{1 + e^{-x}} \qquad \sigma'(x) = \frac{e^{-x}}{(1 + e^{-x})^2} = \sigma(x)\,\bigl(1 - \sigma(x)\bigr)$$
#
# The second form needs no new exponential. A product $p(1-p)$ is largest at $p = \tfrac12$, so the slope never exceeds $\tfrac14$. Remember this number.
#
# **tanh** (双曲正切) has the same shape, stretched to the range from −1 to 1:
#
# $$\tanh(x) = \frac{e^x - e^{-x}}{e^x + e^{-x}} = 2\sigma(2x) - 1 \qquad \tanh'(x) = 1 - \tanh^2(x)$$
#
# Its outputs are centred on 0 and its slope reaches 1.


# %%
def tanh_naive(x):
    return 2 * sigmoid_naive(2 * x) - 1


p = sigmoid_naive(x)
assert torch.allclose(slope(sigmoid_naive, x), p * (1 - p), atol=1e-8)
assert torch.allclose(tanh_naive(x), torch.tanh(x), atol=1e-12)
assert torch.allclose(slope(torch.tanh, x), 1 - tanh_naive(x) ** 2, atol=1e-8)
assert round((p * (1 - p))[4].item(), 4) == 0.0066
largest = slope(tanh_naive, torch.zeros(1, dtype=f64)).item()
print("slope at 0: sigmoid", (p * (1 - p))[2].item(), "  tanh", round(largest, 4))
assert round(largest, 4) == 1 and (p * (1 - p))[2] == 0.25

# %% [markdown]
# ### 2.2 Small slopes: gradients that shrink layer by layer
#
# A unit is **saturated** (饱和) when its pre-activation lies where the curve is flat. At $x = 5$ the sigmoid's slope was 0.0066.
#
# In training the gradient travels from the loss back to the first layer. By the chain rule (链式法则) it is multiplied by every slope and every weight matrix on its way. Let us measure what arrives: 20 layers, 128 units wide, real images (8×8 pixels of handwritten digits) at the bottom. The weights are drawn from a normal distribution with standard deviation $g/\sqrt{n}$, where $n$ is the number of inputs of a layer and $g$ is a factor called the **gain** (增益). Section 5 explains that choice; here $g = 1$.

# %%
images, labels = load_digits(return_X_y=True)  # 1797 rows of 64 pixels, 0 to 16
pixels = torch.tensor(images, dtype=f64)
pixels = (pixels - pixels.mean()) / pixels.std()  # mean 0, standard deviation 1
digits = torch.tensor(labels)


def random_stack(depth, gain, width=128):
    """Weights of a deep network, standard deviation gain / sqrt(inputs)."""
    g = torch.Generator().manual_seed(0)
    sizes = [pixels.shape[1]] + [width] * depth
    return [
        torch.randn(n, m, generator=g, dtype=f64) * gain / math.sqrt(n)
        for n, m in pairwise(sizes)
    ]


# %% [markdown]
# The next cell keeps the pre-activations of every layer and asks autograd for the gradient at each of them. Instead of a loss we take a random direction at the top: we want the factor per layer, not a particular task.


# %%
def pre_activations(f, weights, x):
    zs = [x @ weights[0]]
    for W in weights[1:]:
        zs.append(f(zs[-1]) @ W)
    return zs


def gradient_by_layer(f, gain, depth=20):
    """Gradient norms at layers 1 … depth, divided by the one at the top."""
    x = pixels[:256].clone().requires_grad_()
    zs = pre_activations(f, random_stack(depth, gain), x)
    direction = torch.Generator().manual_seed(1)
    top = torch.randn(zs[-1].shape, generator=direction, dtype=f64)
    norms = [g.norm().item() for g in torch.autograd.grad((zs[-1] * top).sum(), zs)]
    return [norm / norms[-1] for norm in norms]


# %% [markdown]
# **Predict.** Which part of the gradient at layer 20 arrives at layer 1: about $10^{-1}$, $10^{-4}$, $10^{-8}$ or $10^{-12}$? Choose one for sigmoid and one for tanh.

# %%
measured = {
    "sigmoid": gradient_by_layer(sigmoid_naive, gain=1),
    "tanh": gradient_by_layer(tanh_naive, gain=1),
}
for name, norms in measured.items():
    print(f"{name:8} layer 1 / layer 20: {norms[0]:.1e}")
print(f"the largest slope, 19 times: {0.25**19:.1e}")

# %%
assert measured["sigmoid"][0] < 1e-11 and measured["tanh"][0] > 0.1
zs = pre_activations(sigmoid_naive, random_stack(20, gain=1), pixels[:256])
p = sigmoid_naive(torch.stack(zs[:-1]))
mean_slope = (p * (1 - p)).mean().item()
print(f"mean slope in the sigmoid's layers: {mean_slope:.2f}")
p_5 = sigmoid_naive(torch.tensor(5.0, dtype=f64)).item()
print(f"if every unit sat at z = 5: {(p_5 * (1 - p_5)) ** 19:.0e}")
assert 0.22 < mean_slope < 0.25

# %% [markdown]
# Between layer 1 and layer 20 lie 19 activations. The sigmoid costs a factor of about four at each, and less than $10^{-11}$ of the gradient is left. Tanh, whose slope is 1 at 0, keeps more than a tenth. This is the **vanishing gradient** (梯度消失) problem. The units are not saturated: their mean slope is close to the best that a sigmoid has, and that is 1/4. Saturation makes it worse, as the last line shows.

# %% alt="Gradient norm by layer on a logarithmic axis. The sigmoid's line falls steadily from 1 at layer 20 to below 1e-11 at layer 1, close to the dashed line for 0.25 per layer. The tanh line stays near 1."
layers = range(1, 21)
figure, ax = new_plot(
    "Through 20 sigmoid layers the gradient is lost",
    "layer (20 is the top)",
    "gradient norm, top = 1",
)
ax.plot(layers, measured["tanh"], label="tanh, measured")
ax.plot(layers, measured["sigmoid"], label="sigmoid, measured")
ax.plot(layers, [0.25 ** (20 - k) for k in layers], label="0.25 a layer")
ax.set(yscale="log", xticks=range(2, 21, 2))
ax.legend()
assert plotted(ax)["sigmoid, measured"][0] < 1e-11
plt.show()

# %% [markdown]
# **How to read it.** Read from right to left, the way the gradient travels; each horizontal line is a power of ten.
#
# One caution: $0.25^{19}$ bounds the slopes, not the whole gradient. A weight matrix stretches a vector at most by its **spectral norm** (谱范数) $\lVert W\rVert_2$, which is about 2 here. A typical direction is stretched by about 1, and so the measured line runs along 0.25 a layer.

# %%
W = random_stack(2, gain=1)[1]
norm = torch.linalg.matrix_norm(W, ord=2).item()
g = torch.Generator().manual_seed(1)
directions = torch.randn(1000, 128, generator=g, dtype=f64)
stretch = (directions @ W.T).norm(dim=1) / directions.norm(dim=1)
print(
    f"128 × 128 weights stretch at most by {norm:.1f}, on average {stretch.mean():.1f}"
)
assert 1.8 < norm < 2.1 and 0.9 < stretch.mean() < 1.1

# %% [markdown]
# ## 3 ReLU and its relatives
#
# A function whose slope is 1 over half of the axis shrinks nothing there. That is the idea behind the rest of the family.
#
# ### 3.1 ReLU, leaky ReLU, ELU
#
# The **ReLU** (rectified linear unit; Nair and Hinton 2010) keeps positive numbers and drops negative ones. Two relatives keep something of the left side: the **leaky ReLU** (带泄漏的 ReLU; Maas et al. 2013) a small share of it, the **ELU** (exponential linear unit, 指数线性单元; Clevert et al. 2016) a curve that levels off at $-\alpha$.


# %%
def relu_where(x):
    return torch.where(x > 0, x, 0.0)


def leaky_relu_where(x, slope=0.01):
    return torch.where(x > 0, x, slope * x)


def elu_where(x, alpha=1.0):
    return torch.where(x > 0, x, alpha * (torch.exp(x) - 1))


for name, y in [
    ("relu", relu_where(x)),
    ("leaky relu", leaky_relu_where(x)),
    ("elu", elu_where(x)),
]:
    print(f"{name:10}", [round(v, 3) for v in y.tolist()])

# %% [markdown]
# | | for $x > 0$ | for $x \le 0$ | slope for $x > 0$ | slope for $x \le 0$ |
# |---|---|---|---|---|
# | ReLU | $x$ | $0$ | 1 | 0 |
# | leaky ReLU, with a small $s$ such as 0.01 | $x$ | $s x$ | 1 | $s$ |
# | ELU, with $\alpha > 0$ | $x$ | $\alpha(e^x - 1)$ | 1 | $\alpha e^x$ |
#
# At $x = 0$ ReLU has a corner, and no slope in the strict sense. Libraries choose 0 there.

# %%
corner = torch.zeros(1, dtype=f64, requires_grad=True)
torch.relu(corner).backward()
print("torch's slope of ReLU at 0:", corner.grad.item())
assert corner.grad.item() == 0

# %% [markdown]
# ### 3.2 GELU and SiLU
#
# ReLU is a gate: it multiplies $x$ by 1 or by 0, and $x$ itself decides which. The **GELU** (Gaussian error linear unit, 高斯误差线性单元; Hendrycks and Gimpel 2016) makes the gate soft. It multiplies $x$ by the probability that a draw from the standard **normal distribution** (正态分布) is smaller than $x$.
#
# With $\Phi$ for that probability and $\varphi$ for the normal density,
#
# $$\mathrm{GELU}(x) = x\,\Phi(x) \qquad \mathrm{GELU}'(x) = \Phi(x) + x\,\varphi(x)$$
#
# The second term is the product rule at work: $\Phi' = \varphi$. The same paper gives a second formula, which imitates $\Phi$ by a tanh:
#
# $$\mathrm{GELU}_{\tanh}(x) = \frac{x}{2}\left(1 + \tanh\!\left(\sqrt{2/\pi}\,\bigl(x + 0.044715\,x^3\bigr)\right)\right)$$
#
# Take the sigmoid as the gate instead, and you have the **SiLU** (sigmoid linear unit, S 型加权线性单元; Elfwing et al. 2018), also called *swish*:
#
# $$\mathrm{SiLU}(x) = x\,\sigma(x) \qquad \mathrm{SiLU}'(x) = \sigma(x) + x\,\sigma'(x)$$
#
# **Predict.** How far apart are the two GELUs at most: 0.05, 0.005 or 0.0005?

# %%
grid = torch.linspace(-6, 6, 12_001, dtype=f64)
gap = (activations.gelu(grid) - activations.gelu_tanh(grid)).abs()
print(f"largest gap {gap.max():.5f}, at |x| = {grid[gap.argmax()].abs():.1f}")
assert round(gap.max().item(), 5) == 0.00047

# %% [markdown]
# Small, and still a difference: run a published model with the formula that it was trained with.
#
# ### 3.3 The same functions in lmcore
#
# `lmcore.activations` has all of these, each with its derivative beside it, and takes exponentials of numbers $\le 0$ only, so that none can overflow (section 6 shows what happens otherwise).
#
# Now the check: our small versions, lmcore's, and torch's agree on a grid, and each derivative agrees with the slope we measure. (`in_torch` holds torch's versions. They are faster, and section 7 uses them.)

# %%
ours = {"sigmoid": sigmoid_naive, "tanh": tanh_naive, "relu": relu_where}
ours |= {"leaky_relu": leaky_relu_where, "elu": elu_where}
for name, function in ours.items():
    assert torch.allclose(function(grid), ACTIVATIONS[name].function(grid), atol=1e-12)

F = nn.functional
in_torch = {"gelu_tanh": partial(F.gelu, approximate="tanh")}
in_torch |= {name: getattr(F, name) for name in ACTIVATIONS if name != "gelu_tanh"}

away = grid[grid.abs() > 1e-3]  # a corner at 0 has no slope to measure
for name, a in ACTIVATIONS.items():
    assert torch.allclose(a.function(grid), in_torch[name](grid), atol=1e-12), name
    assert torch.allclose(a.derivative(away), slope(a.function, away), atol=1e-6), name
print(len(ours), "of ours equal,", len(ACTIVATIONS), "equal to torch, with derivatives")

# %% [markdown]
# Extreme inputs and float32 are checked in `tests/parity/test_activations.py`.
#
# ### 3.4 All of them side by side
#
# Three families appear. Sigmoid and tanh are flat on both sides. ReLU, leaky ReLU and ELU have slope exactly 1 on the right. GELU and SiLU approach slope 1 there, dip below 0 on the left, and even slope downwards for a stretch.

# %%
wide = torch.linspace(-40, 40, 80_001, dtype=f64)
print(f"{'':11}{'range':>18}{'smallest slope':>17}{'largest slope':>16}")
for name, a in ACTIVATIONS.items():
    low, high = a.output_range
    slopes = a.derivative(wide)
    span = f"{low:.2f} … {high:.2f}".replace("inf", "∞")
    print(f"{name:11}{span:>18}{slopes.min():17.2f}{slopes.max():16.2f}")
assert round(activations.gelu_derivative(wide).max().item(), 2) == 1.13
assert round(activations.silu_derivative(wide).min().item(), 2) == -0.10

# %% alt="Eight small plots, one for each activation, each with the function as a solid line and its derivative as a dashed line, from -4 to 4. Sigmoid and tanh flatten on both sides; the ReLU family is straight on the right; GELU and SiLU are smooth and dip below zero."
near = torch.linspace(-4, 4, 401, dtype=f64)
figure, axes = new_plots(2, 4, width=11, height=5.4, sharex=True, sharey=True)
for ax, (name, a) in zip(axes, ACTIVATIONS.items(), strict=True):
    ax.plot(near, a.function(near), label="f(x)")
    ax.plot(near, a.derivative(near), label="slope f'(x)")
    ax.set(title=name, ylim=(-1.3, 2.2), xticks=[-4, -2, 0, 2, 4])
    assert max(plotted(ax)["slope f'(x)"]) <= 1.13
axes[0].legend(loc="upper left", fontsize=11)
axes[0].set_ylabel("value")
axes[4].set_ylabel("value")
for ax in axes[4:]:
    ax.set_xlabel("x")
figure.suptitle("Flat on both sides; straight on the right; smooth with a dip")
plt.show()

# %% [markdown]
# **How to read it.** Where the dashed line lies on 0, no gradient passes: both ends of sigmoid and tanh, the left half of ReLU, and the far left of ELU, GELU and SiLU.

# %% [markdown]
# ### 3.5 Who uses which
#
# | activation | where | reference |
# |---|---|---|
# | sigmoid, tanh | the gates and the cell of the LSTM, in today's form | Hochreiter and Schmidhuber 1997 (with sigmoids scaled to other ranges) |
# | ReLU | the original Transformer; T5 in its first version; OPT | Vaswani et al. 2017, eq. 2; Raffel et al. 2020, section 3.1.1; Zhang et al. 2022 |
# | GELU | GPT and BERT, and GPT-2 | Radford et al. 2018, section 4.1; Devlin et al. 2019, appendix A.2; GPT-2's published code |
# | GELU as a gate (GEGLU) | T5 version 1.1; Gemma | `released_checkpoints.md` of T5's repository; Gemma Team 2024, section 2 |
# | SiLU as a gate (SwiGLU) | PaLM; the Llama models | Chowdhery et al. 2022, section 2; Touvron et al. 2023, section 2.2 |
#
# GPT-2's code holds the tanh form. "As a gate" (Shazeer 2020) means that one linear layer's output, passed through the activation, multiplies another one's: $f(\mathbf{x}W) \odot \mathbf{x}V$, where $\odot$ is the product number by number. The paper reports better scores and, in its conclusion, offers no explanation for them.

# %% [markdown]
# ## 4 Dead ReLUs
#
# ReLU has slope 0 on the left. A unit whose pre-activation is negative for *every* training example outputs 0, passes no gradient, and cannot change its weights: it is **dead** (死亡).
#
# How does a unit get there? A few large steps are enough. We train one hidden layer of 100 units on 1,200 digits by gradient descent: four runs, each with a larger learning rate. We count after 10 steps and after 100.

# %%
order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
train_rows, test_rows = order[:1200], order[1200:]


def small_network(hidden_bias=0.0):
    g = torch.Generator().manual_seed(0)
    W1 = torch.randn(64, 100, generator=g, dtype=f64) * math.sqrt(2 / 64)
    W2 = torch.randn(100, 10, generator=g, dtype=f64) * math.sqrt(1 / 100)
    b1 = torch.full((100,), hidden_bias, dtype=f64)
    return [p.requires_grad_() for p in (W1, b1, W2, torch.zeros(10, dtype=f64))]


# %%
def train_and_count(f, lr, hidden_bias=0.0, steps=100):
    """Share of training digits read right, and units silent on all of them."""
    W1, b1, W2, b2 = params = small_network(hidden_bias)
    optimizer = SGD(params, lr=lr)
    x, y = pixels[train_rows], digits[train_rows]
    for _ in range(steps):
        cross_entropy(f(x @ W1 + b1) @ W2 + b2, y).backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        z = x @ W1 + b1
        right = ((f(z) @ W2 + b2).argmax(-1) == y).double().mean().item()
        return right, (z <= 0).all(dim=0).sum().item()


# %%
dead_by_lr = {}
for lr in (0.1, 1.0, 2.0, 4.0):
    _, early = train_and_count(activations.relu, lr, steps=10)
    right, dead = train_and_count(activations.relu, lr)
    dead_by_lr[lr] = (early, dead, right)
    print(f"lr {lr}: {early:2}, then {dead:3} of 100 units dead, {right:4.0%} right")

# %%
assert dead_by_lr[0.1][1] <= 3 < dead_by_lr[1.0][1] < 10
assert 30 < dead_by_lr[2.0][0] < dead_by_lr[2.0][1] < 70 and dead_by_lr[2.0][2] > 0.98
assert dead_by_lr[4.0][0] > 60 and dead_by_lr[4.0][1] > 90 and dead_by_lr[4.0][2] < 0.2

# %% [markdown]
# At a learning rate of 0.1 hardly a unit is lost. At 2 about half of them are, and nothing in the accuracy tells: the other half is enough for this task. At 4 nearly all are dead, and the network has become a guess.
#
# Do dead units come back at a learning rate of 1, which killed only a few? Start with a hidden bias of −8, so that all 100 units are silent on every image.
#
# **Predict.** Which of these will learn: ReLU, GELU, leaky ReLU with slope 0.01, with slope 0.1?


# %%
def leakier_relu(x):
    return activations.leaky_relu(x, slope=0.1)


cases = {
    "relu": activations.relu,
    "gelu": activations.gelu,
    "leaky, 0.01": activations.leaky_relu,
    "leaky, 0.1": leakier_relu,
}
revived = {}
for name, f in cases.items():
    right, silent = train_and_count(f, lr=1.0, hidden_bias=-8.0)
    revived[name] = right
    print(f"{name:12} {silent:3} of 100 still silent, {right:4.0%} right")

# %%
W1, b1, W2, b2 = small_network(hidden_bias=-8.0)
h = activations.relu(pixels @ W1 + b1)
cross_entropy(h @ W2 + b2, digits).backward()
print(
    "largest gradient: hidden",
    W1.grad.abs().max().item(),
    "output",
    W2.grad.max().item(),
)
assert W1.grad.abs().max() == W2.grad.abs().max() == 0 < b2.grad.abs().max()
assert max(revived["relu"], revived["gelu"]) < 0.2
assert 0.4 < revived["leaky, 0.01"] < 0.7 and revived["leaky, 0.1"] > 0.95

# %% [markdown]
# ReLU stays where it is: the gradient of all weights is exactly 0, and only the output bias learns. GELU fares no better, since so far to the left its slope is 0 for all practical purposes; a smooth curve is no insurance. Leaky ReLU passes a gradient. With slope 0.01 it has not yet pulled a unit across, and what it reads right it reads as a linear network, on the left branch. With slope 0.1 nearly half of the units are back, and the task is solved.

# %% [markdown]
# ## 5 Initialisation against depth
#
# Training starts from random weights; choosing them is called **initialisation** (初始化). How large should they be? Look at one layer of 128 inputs, in numbers.

# %%
x = torch.randn(10_000, 128, generator=generator, dtype=f64)
for s in (0.01, 1 / math.sqrt(128), 1.0):
    W = torch.randn(128, 128, generator=generator, dtype=f64) * s
    predicted, found = s * math.sqrt(128), (x @ W).std().item()
    print(f"weights {s:5.3f}   output predicted {predicted:6.3f}, found {found:6.3f}")
    assert abs(found / predicted - 1) < 0.02

# %% [markdown]
# The prediction takes two lines. The inputs $x_1 \dots x_n$ are random. The weights $W_{ij}$ are independent of them and of each other, with mean 0 and variance $s^2$. Write $\mathbb{E}[x^2]$ for the mean of the $n$ numbers $\mathbb{E}[x_i^2]$.
#
# $$\begin{aligned}
# z_j &= \textstyle\sum_{i=1}^{n} x_i W_{ij} \\
# \mathrm{Var}(z_j) &= \textstyle\sum_i \mathbb{E}[x_i^2]\,\mathrm{Var}(W_{ij}) = n\, s^2\, \mathbb{E}[x^2]
# \end{aligned}$$
#
# The inputs are $x = f(z^{\text{below}})$, where $z^{\text{below}}$ are the pre-activations of the layer below. We want both layers to have the same variance: $n\,s^2\,\mathbb{E}[x^2] = \mathrm{Var}(z^{\text{below}})$. Here $f$ enters:
#
# - If $f$ is nearly the identity around 0, as tanh is, $\mathbb{E}[x^2] \approx \mathrm{Var}(z^{\text{below}})$, and $s^2 = 1/n$. For the gradient, which runs the other way, the same sum goes over the $m$ outputs and asks for $s^2 = 1/m$. **Xavier initialisation** (Xavier 初始化; Glorot and Bengio 2010) puts the mean of $n$ and $m$ below: $s^2 = 2/(n + m)$. Where we say Xavier, the code uses $1/n$, which is the same for $n = m$.
# - ReLU sets half of a symmetric distribution to 0, so $\mathbb{E}[x^2] = \tfrac12\mathrm{Var}(z^{\text{below}})$, and $s^2 = 2/n$. That is **He initialisation** (He 初始化; He et al. 2015).
#
# **Predict.** In a stack of ReLUs with $s^2 = 1/n$, by what factor does the standard deviation change per layer?


# %%
def spread_by_layer(f, gain, depth=30):
    """Standard deviation of the pre-activations at layers 1 … depth."""
    with torch.no_grad():
        zs = pre_activations(f, random_stack(depth, gain), pixels[:256])
    return [z.std().item() for z in zs]


gains = {
    "std 0.01": 0.01 * math.sqrt(128),  # of the weights from layer 2 on
    "torch default": math.sqrt(1 / 3),
    "Xavier": 1.0,
    "He": math.sqrt(2),
}
spread = {
    f: {name: spread_by_layer(ACTIVATIONS[f].function, g) for name, g in gains.items()}
    for f in ("tanh", "relu")
}

# %%
print("ReLU, factor a layer    predicted  measured")
for name, gain in gains.items():
    predicted = gain / math.sqrt(2)
    s = spread["relu"][name]
    factor = (s[-1] / s[0]) ** (1 / 29)
    print(f"  {name:20} {predicted:9.2f} {factor:9.2f}")
    assert abs(factor / predicted - 1) < 0.03

# %% [markdown]
# A factor of $1/\sqrt2 \approx 0.71$ with Xavier, and 1 with He, as derived. `torch default` is what `nn.Linear` does when you do not ask: uniform between $\pm 1/\sqrt n$, whose variance is $1/(3n)$. (We draw from a normal distribution with that variance; the derivation uses nothing else.) It costs a ReLU stack a factor of about 0.41 a layer.

# %%
default = nn.Linear(128, 128, dtype=f64).weight
ratio = default.var().item() / (1 / (3 * 128))
print(f"variance of nn.Linear's weights, in units of 1/(3n): {ratio:.1f}")
assert abs(ratio - 1) < 0.05

# %% [markdown]
# Over depth these factors are powers, and the choice of initial weights decides whether anything arrives. Over 30 layers Xavier costs a tanh stack a factor of ten, He keeps a ReLU stack level, and the small fixed value that looks harmless loses everything.

# %% alt="Two plots of the standard deviation of pre-activations over 30 layers, logarithmic axis. Left, tanh: Xavier ends near 0.1 and He near 1; torch default and 0.01 fall steeply. Right, ReLU: He stays near 1, Xavier falls slowly, torch default faster, 0.01 steepest."
figure, axes = new_plots(1, 2, width=11, height=4.2, sharey=True)
for ax, (f, by_name) in zip(axes, spread.items(), strict=True):
    for name, values in by_name.items():
        ax.plot(range(1, 31), values, label=name)
    ax.set(title=f, xlabel="layer", yscale="log")
    assert plotted(ax)["He"][-1] > 0.5 and plotted(ax)["std 0.01"][-1] < 1e-20
assert spread["tanh"]["Xavier"][-1] > 0.1
axes[0].set_ylabel("standard deviation of z")
axes[0].legend(loc="lower left")
figure.suptitle("Initial weights decide whether a signal reaches layer 30")
plt.show()

# %% [markdown]
# **How to read it.** A straight line on this axis is a constant factor a layer; level is what we want.
#
# Under He weights tanh stays level too, because it bends: the larger $z$, the more tanh shrinks it, until shrinking balances the gain of $\sqrt2$. Level going forward is not enough there; look at the gradient as well (exercise 5). Large models add two more remedies, which later chapters build: normalisation (归一化) and residual connections (残差连接).

# %% [markdown]
# ## 6 Softmax
#
# The last layer of a classifier, and of every neural language model, has to turn scores into a **probability distribution** (概率分布): numbers from 0 to 1 that add up to 1. The scores are called **logits** (未归一化的得分), the function **softmax** (归一化指数函数).


# %%
def softmax_naive(z):
    e = torch.exp(z)
    return e / e.sum()


logits = torch.tensor([2.0, 1.0, 0.1], dtype=f64)
probs = softmax_naive(logits)
print(
    "probabilities:", [round(p, 3) for p in probs.tolist()], "sum", probs.sum().item()
)
assert [round(p, 3) for p in probs.tolist()] == [0.659, 0.242, 0.099]

# %% [markdown]
# $$\mathrm{softmax}(\mathbf{z})_i = \frac{e^{z_i}}{\sum_j e^{z_j}}$$
#
# A difference of 1 between two logits is a factor of $e \approx 2.72$ between their probabilities, wherever the two lie. In particular, adding one constant to all logits changes nothing.
#
# **Predict.** What does the naive code give for `[1000, 999, 998.1]`, which are our logits plus 998?

# %%
large = logits + 998
naive = softmax_naive(large)
print("naive:", naive.tolist())
assert naive.isnan().all()

# %% [markdown]
# $e^{1000}$ is beyond the largest float64 (about $1.8\cdot10^{308}$), becomes infinity, and $\infty/\infty$ is `nan`. The cure uses the freedom just found: subtract the largest logit first. Then every exponential is at most 1.

# %%
print(inspect.getsource(activations.softmax))
cured = activations.softmax(large)
print("lmcore:", [round(p, 3) for p in cured.tolist()])
assert torch.allclose(cured, probs)
assert torch.equal(activations.softmax(logits), torch.softmax(logits, dim=-1))

# %% [markdown]
# One danger is left. A loss takes the logarithm of a probability, and a probability can become 0 by **underflow** (下溢). **log-softmax** (对数 softmax) does both at once and never forms the small number:
#
# $$\log \mathrm{softmax}(\mathbf{z})_i = z_i - m - \log \sum_j e^{z_j - m}, \qquad m = \max_j z_j$$

# %%
far_apart = torch.tensor([0.0, 1000.0], dtype=f64)
print("log of softmax:", activations.softmax(far_apart).log().tolist())
print("log_softmax:   ", activations.log_softmax(far_apart).tolist())
assert activations.log_softmax(far_apart).tolist() == [-1000.0, 0.0]

# %% [markdown]
# ### 6.1 Temperature
#
# Divide the logits by a number $T$, the **temperature** (温度), before softmax.
#
# **Predict.** Does a large $T$ make the winner more certain or less?

# %%
for T in (0.1, 0.5, 1.0, 2.0, 10.0):
    p = activations.softmax(logits / T)
    print(f"T = {T:4}  ", "  ".join(f"{v:.3f}" for v in p.tolist()))
    assert p.argsort().tolist() == logits.argsort().tolist()
assert activations.softmax(logits / 0.1)[0] > 0.9999
assert activations.softmax(logits / 1000).std() < 0.001

# %% [markdown]
# As $T \to 0$ all probability goes to the largest logit, if there is only one; as $T \to \infty$ all outcomes become equally likely. Text generators use this to trade safe words against surprising ones. The order of the outcomes never changes.

# %% [markdown]
# ### 6.2 The derivative is a matrix
#
# Every output of softmax depends on every logit, so its derivative is a table: the **Jacobian** (雅可比矩阵), with row $i$ for output $p_i$ and column $j$ for logit $z_j$. The quotient rule gives
#
# $$\frac{\partial p_i}{\partial z_j} = p_i\,(\delta_{ij} - p_j), \qquad \delta_{ij} = 1 \text{ if } i = j, \text{ else } 0$$
#
# First with loops, straight from the equation; then as one expression for whole matrices.


# %%
def softmax_jacobian_loop(z):
    p = activations.softmax(z)
    J = torch.zeros(len(p), len(p), dtype=z.dtype)
    for i in range(len(p)):
        for j in range(len(p)):
            J[i, j] = p[i] * (float(i == j) - p[j])
    return J


J = softmax_jacobian_loop(logits)
vectorised = torch.diag(probs) - torch.outer(probs, probs)
print(J.numpy().round(3))
assert torch.allclose(J, vectorised, atol=1e-12)

# %%
by_autograd = torch.autograd.functional.jacobian(activations.softmax, logits)
assert torch.allclose(J, by_autograd, atol=1e-12)
assert torch.allclose(J, activations.softmax_jacobian(logits), atol=1e-12)
assert J.sum(dim=1).abs().max() < 1e-12 and J.sum(dim=0).abs().max() < 1e-12
print("loop, one expression, autograd and lmcore agree; rows and columns sum to 0")

# %% [markdown]
# Rows sum to 0: raise all logits together and nothing changes. Columns too: what one outcome gains, the others lose. Softmax saturates like the sigmoid: with one $p_i$ near 1, all entries are near 0. That is why a loss pairs it with the logarithm, whose Jacobian $\delta_{ij} - p_j$ does not fade ([chapter 04](04_backpropagation.ipynb) uses it). In attention, chapter 07, softmax stands alone, and there it can saturate.

# %% [markdown]
# ## 7 An experiment: the same network with each activation
#
# Which activation is best? We train one network on the digits with each of the eight: 1,200 images to learn from, 597 held out, 32 units a layer, 200 steps of Adam. Two versions: 2 hidden layers and 10. Each with **five seeds** (随机种子), because one run tells nothing about luck. Seed 3 means the same draws and the same batches for every activation.
#
# One thing is not equal: the gain of the initial weights. Section 5 derives it for tanh (1) and ReLU ($\sqrt2$). We chose $\sqrt2$ for ReLU's relatives too. The sigmoid gets two rows: gain 1, and gain 4 to make up for its slope of 1/4.
#
# The five seeds are trained at once: weights get a leading axis of size 5. The hidden layers, all of one shape, share one tensor.

# %%
dtype = torch.float32 if device.type == "mps" else f64  # Apple's GPUs lack float64
x_all, y_all = pixels.to(device, dtype), digits.to(device)
n_seeds = 5


def make_networks(depth, gain, width=32):
    """Weights (seed, inputs, outputs) and zero biases of five networks at once."""
    g = torch.Generator().manual_seed(1)
    shapes = [
        (n_seeds, 64, width),
        (depth - 1, n_seeds, width, width),
        (n_seeds, width, 10),
    ]
    weights = [
        torch.randn(shape, generator=g, dtype=f64) * gain / math.sqrt(shape[-2])
        for shape in shapes
    ]
    biases = [torch.zeros_like(W[..., :1, :]) for W in weights]
    return [p.to(device, dtype).requires_grad_() for p in weights + biases]


def forward(params, f, x):
    W_in, W_hidden, W_out, b_in, b_hidden, b_out = params
    h = f(x @ W_in + b_in)  # (seed, N, width)
    for W, b in zip(W_hidden, b_hidden, strict=True):
        h = f(h @ W + b)
    return h @ W_out + b_out  # (seed, N, 10)


# %%
def train_and_test(name, gain, depth, steps=200, batch_size=50, lr=0.003):
    """Held-out accuracy of five networks, in percent."""
    f = in_torch[name]
    params = make_networks(depth, gain)
    optimizer = Adam(params, lr=lr)
    g = torch.Generator().manual_seed(2)
    for _ in range(steps):
        pick = torch.randint(len(train_rows), (n_seeds, batch_size), generator=g)
        rows = train_rows[pick].to(device)  # (seed, batch): each seed its own batches
        loss = n_seeds * cross_entropy(forward(params, f, x_all[rows]), y_all[rows])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        rows = test_rows.to(device)
        right = forward(params, f, x_all[rows]).argmax(-1) == y_all[rows]
    return (100 * right.double().mean(dim=1)).cpu()


# %% [markdown]
# The loss is multiplied by the number of seeds because `cross_entropy` takes the mean over all of them; so each network gets the gradient it would get alone.
#
# **Predict.** Which activation will fail, and at which depth? And will the order of the others be clear?

# %%
rows = {"sigmoid": ("sigmoid", 1.0), "sigmoid, gain 4": ("sigmoid", 4.0)}
rows |= {"tanh": ("tanh", 1.0)}
others = [name for name in ACTIVATIONS if name != "sigmoid"]
rows |= {name: (name, math.sqrt(2)) for name in others if name != "tanh"}
accuracy = {
    (row, depth): train_and_test(*rows[row], depth)
    for row in tqdm(rows, desc="training", disable="CI" in os.environ)
    for depth in (2, 10)
}
print("held-out accuracy in %, mean ± standard deviation over 5 seeds")
print(f"{'':16}{'2 layers':>12}{'10 layers':>13}")
for row in rows:
    cells = [accuracy[row, depth] for depth in (2, 10)]
    print(f"{row:16}" + "".join(f"{c.mean():8.0f} ± {c.std():.0f}" for c in cells))

# %%
means = {run: values.mean().item() for run, values in accuracy.items()}
assert means["sigmoid", 2] < 93 and means["sigmoid", 10] < 30
assert 30 < means["sigmoid, gain 4", 10] < 70
assert all(means[row, 10] < means[row, 2] for row in rows)
assert all(means[name, depth] > 90 for name in others for depth in (2, 10))

# %% [markdown]
# Can the other seven be ranked? Compare seed by seed, since seed 3 has the same draws and batches everywhere. By luck alone, five differences have the same sign once in 16 pairs of activations. There are 21 pairs.

# %% tags=["nbval-ignore-output"]
for depth in (2, 10):
    clear = []
    for one, other in combinations(others, 2):
        differences = accuracy[one, depth] - accuracy[other, depth]
        if (differences > 0).all() or (differences < 0).all():
            clear.append(f"{one} / {other}")
    print(f"{depth:2} layers, same sign in all seeds:", ", ".join(clear))
    assert len(clear) <= 3
twins = (accuracy["gelu", 10] - accuracy["gelu_tanh", 10]).abs().max()
print(f"the two GELUs, same seed, 10 layers: up to {twins:.1f} points apart")
assert twins > 1

# %% alt="Held-out accuracy by activation, five marks for each at depth 2 and at depth 10, in two panels. Left, from 0 to 100: at depth 10 the sigmoid lies near guessing, with gain 4 between 25 and 70, all others above 85. Right, from 86 to 98: the other seven overlap, depth 10 a little below depth 2."
figure, axes = new_plots(1, 2, width=11, height=4.2)
for ax, names in zip(axes, (list(rows), others), strict=True):
    for offset, depth, colour, marker in [(-0.15, 2, "C0", "o"), (0.15, 10, "C1", "s")]:
        for i, row in enumerate(names):
            label = f"{depth} hidden layers" if i == 0 else None
            style = {"color": colour, "marker": marker, "ls": "", "label": label}
            ax.plot([i + offset] * 5, accuracy[row, depth], **style)
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right")
axes[0].axhline(10, color="black", lw=1, ls=":", label="guessing")
axes[0].set(ylabel="held-out accuracy (%)", ylim=(0, 102))
axes[1].set(title="the other seven, enlarged", ylim=(86, 98))
axes[0].legend(loc="center right")
figure.suptitle("At depth 10 only sigmoid fails; the rest overlap")
assert max(plotted(axes[0])["10 hidden layers"]) < 30  # sigmoid's five marks
assert all(86 < v < 98 for name in others for v in accuracy[name, 10])
plt.show()

# %% [markdown]
# **How to read it.** One mark is one seed. Compare the distance between two columns with the height of a column.
#
# Four things can be read off, and no more.
#
# - **Sigmoid** lags at depth 2 and is hardly better than guessing at depth 10. That agrees with section 2. (Adam removes the gradient's scale, so a small gradient alone need not stop it.) With gain 4 it gets further, and still loses. So the sigmoid's row mixes activation and initialisation.
# - **The other seven** are not ranked reliably by five seeds. About as many pairs are printed above as luck alone gives; where one is, such as ELU and ReLU at depth 10, the lead may be real, but needs more seeds.
# - **The two GELUs** give a yardstick: functions less than 0.0005 apart, and yet one seed's accuracies differ by more than a point.
# - **Depth 10 gains nothing here.** Every mean is lower than at depth 2: the task is small, and more layers are harder to train.
#
# What the experiment does not say: that the choice never matters. One learning rate, one width and 200 steps were tried (exercise 7). Nor does it say anything of gated layers: Shazeer (2020) reports quality improvements over ReLU and GELU for them, but there the layer changed with the activation.

# %% [markdown]
# ## 8 Two common misconceptions
#
# ### "ReLU is a linear activation function"
#
# You can read this in introductions, perhaps because of the L in its name. A function $f$ is linear if $f(a + b) = f(a) + f(b)$ and $f(c\,a) = c\,f(a)$ for all numbers.

# %%
a, b = torch.tensor(2.0), torch.tensor(-1.0)
print("f(a + b):   ", activations.relu(a + b).item())
print("f(a) + f(b):", (activations.relu(a) + activations.relu(b)).item())
assert activations.relu(a + b) != activations.relu(a) + activations.relu(b)

# %% [markdown]
# **What holds.** ReLU is *piecewise* linear: straight on each side of a corner. The corner is the point of it. If it were linear, section 1 could not have computed exclusive or.

# %% [markdown]
# ### "ReLU avoids vanishing gradients"
#
# The argument: its slope is 1, so nothing shrinks. We repeat section 2's measurement with ReLU, through 30 layers, for three initialisations. The activation is the same in all three.

# %%
relu_gradients = {
    name: gradient_by_layer(activations.relu, gains[name], depth=30)[0]
    for name in ("torch default", "Xavier", "He")
}
for name, ratio in relu_gradients.items():
    print(f"{name:14} gradient at layer 1 / layer 30: {ratio:.1e}")
assert relu_gradients["torch default"] < 1e-11
assert relu_gradients["Xavier"] < 1e-4 and 0.3 < relu_gradients["He"] < 3

# %% [markdown]
# **What holds.** The slope is 1 on the positive side and 0 on the other, so on average a layer of ReLUs removes half of the squared gradient. The weights have to make up for that. With He's they do; with the default of `nn.Linear`, thirty layers lose eleven powers of ten, although the activation is ReLU. What ReLU removes is one cause, saturation for large positive inputs. It also adds a new one, dead units.

# %% [markdown]
# ## 9 Pitfalls
#
# ### Softmax over the wrong axis
#
# Three images, ten scores each: a matrix with one image a row. Along the wrong axis the numbers still lie between 0 and 1, nothing crashes, and the result is nonsense. The check that would have caught it fails here on purpose.

# %% tags=["raises-exception"]
scores = torch.randn(3, 10, generator=generator, dtype=f64)
wrong = activations.softmax(scores, dim=0)  # over the images, not over the classes
row_sums = wrong.sum(dim=-1)
assert torch.allclose(row_sums, torch.ones(3, dtype=f64)), "rows must sum to 1"

# %% [markdown]
# The right call is `softmax(scores, dim=-1)`. Name the axis every time, and assert the sums once.

# %% [markdown]
# ## Summary
#
# - Linear layers in a row are one linear layer. A non-linear function between them makes depth useful.
# - Sigmoid's slope is at most 0.25, tanh's at most 1; both are flat at the ends. ReLU's slope is 1 or 0. GELU and SiLU are soft gates, $x$ times a number between 0 and 1.
# - The gradient is multiplied by the slopes and the weights of every layer on its way down. Through 20 sigmoid layers less than $10^{-11}$ of it arrived.
# - A ReLU that is negative on all examples is dead. Large steps kill units; a leak gives them a way back.
# - Weights of variance $1/n$ (for $n = m$ that is Xavier, for tanh) keep the signal's size nearly constant with depth, and $2/n$ (He, for ReLU) constant. The default of `nn.Linear` does not.
# - Softmax: subtract the maximum, use log-softmax in losses, name the axis.
# - In our small experiment only the sigmoid lost: a little at depth 2, almost everything at depth 10.

# %% [markdown]
# ## Exercises
#
# **Conceptual**
#
# 1. Sigmoid outputs are all positive. Consider one unit of the next layer: what does that say about the signs of the gradients of its incoming weights? Why is tanh better here?
# 2. GELU's slope exceeds 1 in places (1.13). Can gradients therefore explode through a GELU stack? What decides?
# 3. Two models give the same logits up to a constant that depends on the input. Can you tell them apart by their probabilities? By their most likely class?
#
# **Coding**
#
# 4. *Softplus* is $\log(1 + e^x)$. Write it so that it does not overflow, and show that its derivative is the sigmoid.
# 5. Tanh with He weights looked level in section 5. Measure the share of saturated units ($|\tanh z| > 0.95$) at layer 30. Then, for Xavier and He, the gradient at layer 1 relative to the top, through 30 layers and through 300.
# 6. Find the gain that keeps a SiLU stack at standard deviation 1: if $z$ is standard normal, which $g$ makes $g^2\,\mathbb{E}[\mathrm{SiLU}(z)^2] = 1$? What does a layer with this gain do to inputs of standard deviation 0.5 and 2?
#
# **Open**
#
# 7. Section 7 used one learning rate for all. Give each activation its best out of 0.001, 0.003 and 0.01, chosen on a part of the training images, never on the held-out ones. What remains of the differences? How many seeds would you need to tell two activations apart that differ by half a percent?

# %% [markdown]
# ## Answers
#
# <details><summary>1. Signs</summary>
#
# The gradient of weight $W_{ij}$ for one example is $h_i\,\partial L/\partial z_j$. All $h_i$ are positive, so for one unit $j$ all its incoming weights get the sign of $\partial L/\partial z_j$: they rise together or fall together. If one weight ought to rise and another to fall, the path zigzags. Tanh's outputs have both signs. Over a batch the effect is weaker, because the $\partial L/\partial z_j$ of its examples differ in sign.
#
# </details>
#
# <details><summary>2. GELU's slope</summary>
#
# The slope is above 1 for every $x$ above about 0.75, and tends to 1; it is at most 1.13, at $\sqrt2$. For negative $x$ it lies between −0.13 and 0.5 (all asserted in the next cell). What counts is the mean of the *squared* slope over the inputs that occur, times $n s^2$ from the weights. With small weights the gradient vanishes, with large ones it explodes, whatever the largest slope is.
#
# </details>
#
# <details><summary>3. A constant</summary>
#
# No, and no. Softmax removes any constant added to all logits of one input, and the order of the logits is unchanged.
#
# </details>

# %%
gelu_slope = activations.gelu_derivative(grid)
above = grid[gelu_slope > 1]
print(f"slope above 1 from x = {above.min():.2f} to the end of the grid")
assert 0.75 < above.min() < 0.76 and len(above) == (grid >= above.min()).sum()
assert abs(grid[gelu_slope.argmax()] - math.sqrt(2)) < 1e-3
assert gelu_slope[grid < 0].min() > -0.13 and gelu_slope[grid < 0].max() < 0.5

# %% [markdown]
# Answer 4. With $\max(x, 0)$ taken out, the exponential's argument is never positive. `torch.maximum` shares the gradient between equal arguments; with `clamp` autograd's slope at 0 would be 1 and not 0.5.


# %%
def softplus(x):
    return torch.maximum(x, torch.zeros_like(x)) + torch.log1p(torch.exp(-x.abs()))


assert torch.allclose(softplus(grid), torch.log(1 + torch.exp(grid)))
assert softplus(torch.tensor(1000.0)) == 1000
points = grid.clone().requires_grad_()
softplus(points).sum().backward()
difference = (points.grad - activations.sigmoid(grid)).abs().max().item()
print("derivative equals sigmoid, at 0 too:", difference < 1e-12)
assert difference < 1e-12 and grid.abs().min() < 1e-12

# %% [markdown]
# Answer 5. Level forward, yet almost no unit lies on a flat end: tanh pulls values in before they get there.

# %%
with torch.no_grad():
    z = pre_activations(torch.tanh, random_stack(30, gains["He"]), pixels[:256])[-1]
saturated = (torch.tanh(z).abs() > 0.95).double().mean().item()
print(f"He: {saturated:.0%} of the units saturated at layer 30")
found = {}
for name, depth in [("Xavier", 30), ("Xavier", 300), ("He", 30), ("He", 300)]:
    ratio = gradient_by_layer(torch.tanh, gains[name], depth)[0]
    found[name, depth] = ratio
    text = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0e}"
    print(f"{name:7}{depth:4} layers: gradient at layer 1 / top {text}")
assert saturated < 0.03
assert 0.13 < found["Xavier", 30] < 0.17 and 0.03 < found["Xavier", 300] < 0.06
assert 3 < found["He", 30] < 4 and found["He", 300] > 1e6

# %% [markdown]
# Going back, the gradient *grows* with He weights by a few percent a layer: mild over 30 layers, millions over 300. With Xavier it shrinks to a seventh over 30, and over 300 to a twentieth: as the values get smaller, tanh comes closer to the identity, and the decay slows down.
#
# Answer 6. The expectation is a sum over a fine grid, weighted by the normal density.

# %%
density = torch.exp(-(wide**2) / 2) / math.sqrt(2 * math.pi)
second_moment = (activations.silu(wide) ** 2 * density).sum() * (wide[1] - wide[0])
silu_gain = 1 / math.sqrt(second_moment)
print(f"gain {silu_gain:.2f}")
for size in (0.5, 1.0, 2.0):
    z = size * torch.randn(1_000_000, dtype=f64, generator=generator)
    out = silu_gain * (activations.silu(z) ** 2).mean().sqrt().item()
    print(f"standard deviation {size} in, {out:.2f} out")
assert round(silu_gain, 2) == 1.68

# %% [markdown]
# The gain holds a standard deviation of exactly 1, as a pencil holds on its tip: what comes in smaller leaves smaller still, what comes in larger leaves larger. ReLU has no such trouble, because $\mathrm{ReLU}(2z) = 2\,\mathrm{ReLU}(z)$. For SiLU the gain alone does not hold a deep stack; normalisation does. Tanh bends the other way, and there a gain above 1 does hold.
#
# Answer 7 is open. A start: `train_and_test(name, gain, depth, lr=...)` takes the learning rate; split `train_rows` in two for the choice. The standard error of a mean over $k$ seeds is the standard deviation divided by $\sqrt{k}$.

# %% [markdown]
# ## References
#
# - X. Glorot, Y. Bengio, 2010. *Understanding the difficulty of training deep feedforward neural networks.* Section 4.2.1, eq. 12 and 16.
# - K. He, X. Zhang, S. Ren, J. Sun, 2015. *Delving deep into rectifiers.* Section 2.2, eq. 10.
# - V. Nair, G. Hinton, 2010. *Rectified linear units improve restricted Boltzmann machines.*
# - A. Maas, A. Hannun, A. Ng, 2013. *Rectifier nonlinearities improve neural network acoustic models.* Section 2 (leaky ReLU).
# - D.-A. Clevert, T. Unterthiner, S. Hochreiter, 2016. *Fast and accurate deep network learning by exponential linear units.* Section 3.
# - D. Hendrycks, K. Gimpel, 2016. *Gaussian error linear units.* arXiv 1606.08415, section 2.
# - S. Elfwing, E. Uchibe, K. Doya, 2018. *Sigmoid-weighted linear units for neural network function approximation in reinforcement learning.* P. Ramachandran, B. Zoph, Q. Le, 2017. *Searching for activation functions* (swish).
# - S. Hochreiter, J. Schmidhuber, 1997. *Long short-term memory.*
# - A. Vaswani et al., 2017. *Attention is all you need.* Section 3.3. C. Raffel et al., 2020 (T5), section 3.1.1. S. Zhang et al., 2022 (OPT). A. Radford et al., 2018 (GPT), section 4.1. J. Devlin et al., 2019 (BERT), appendix A.2. GPT-2: `src/model.py` of the repository openai/gpt-2. T5 1.1: `released_checkpoints.md` of google-research/text-to-text-transfer-transformer.
# - N. Shazeer, 2020. *GLU variants improve Transformer.* arXiv 2002.05202. A. Chowdhery et al., 2022 (PaLM), section 2. H. Touvron et al., 2023 (LLaMA), section 2.2. Gemma Team, 2024, section 2.
#
# **Lab:** [Lab 2, Activations and initialisation](../labs/02_activations/lab.ipynb).
#
# **Next:** [04 Backpropagation](04_backpropagation.ipynb), where the slopes of this chapter are put to work.
