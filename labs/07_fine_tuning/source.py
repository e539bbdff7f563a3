# %% [markdown]
# # Lab 7 · Fine-tune an encoder, and find out where it errs
#
# **Goal.** You build LoRA (low-rank adaptation, 低秩适配) from scratch and put it into a
# published encoder (编码器). You train it on film sentences that people rated, stop in
# time, and compare it with a plain head and with counted words. Then you say which
# differences are more than luck, and you read the errors.
#
# **Time.** 90–120 minutes. All of it runs in under a minute.
#
# **Given.** MiniLM, an encoder of six blocks, with its tokenizer, and 10,000 rated
# sentences, all by way of lmcore. Chapters 13, *Fine-tuning*, and 14, *Heads and tasks*,
# explain the ideas. lmcore has LoRA too; look at it after you have written your own.
#
# **How it works.** Each task has a description, a cell to write in, and a cell that
# checks it at once. `hint("pool", 1)` gives a hint, up to level 3. Your teacher's grader
# runs the same checks with other inputs.
#
# | task | you write | points |
# |---|---|---|
# | 1 | `pool`: one vector for a text, whatever its padding | 3 |
# | 2 | `LoRALinear`, `merge`: a small correction beside a frozen map | 5 |
# | 3 | `inject_lora`: put it into a model, freeze the rest | 4 |
# | 4 | `fit`: early stopping, with the best weights kept | 4 |
# | 5 | `scores`: precision, recall, F1, also for classes that never occur | 4 |
# | 6 | `interval`: how far chance may have moved a difference | 2 |
# | 7 | `error_rates`: where the model errs | 3 |
# | 8 | `measured`: your measurements | 3 |
# | 9 | a written analysis | 6 |
# | stretch | 256 labels, one minute, 2,000 sentences | the board |
#
# Write your name first. Which sentences you get depends on it.

# %%
STUDENT = "your name"

# %%
import numpy as np
import torch
from torch import nn

from lmcore.course.labs import open_lab

lab = open_lab("07_fine_tuning")
check, hint, progress = lab.check, lab.hint, lab.progress

# %% [markdown]
# ## Task 1 · One vector for a text (3 points)
#
# An encoder gives a vector for each token: `h` of shape (B, T, D). A classifier wants one
# for each text. Two ways are common:
#
# - `"mean"`: the mean over the text's tokens (mean pooling, 平均池化).
# - `"first"`: the vector of the first token, [CLS], which BERT puts in front of every
#   text.
#
# The texts of a batch differ in length, so short ones are filled up with padding (填充).
# `mask` is True at real tokens, which come first, and False at padding. The encoder gives
# vectors at padding too; they mean nothing. A text's vector must be the same however much
# padding the batch brings.
#
# Training goes through `pool`: stay in torch, so that gradients come back through it.
#
# With D = 1: if `h[0]` holds 2, 4, 9 and `mask[0]` says True, True, False, the mean is 3.


# %% task="pool"
def pool(h, mask, kind="mean"):
    """One vector for each text.

    h: float tensor (B, T, D); stays as it was
    mask: bool tensor (B, T), True at real tokens; each text has at least one
    kind: "mean" or "first"
    returns: float tensor (B, D), of the dtype of h
    """
    ### BEGIN SOLUTION
    if kind == "first":
        return h[:, 0]
    real = mask.unsqueeze(-1).to(h.dtype)  # (B, T, 1)
    return (h * real).sum(dim=1) / real.sum(dim=1)
    ### END SOLUTION


# %% check="pool"
check(pool)

# %% [markdown]
# ## Task 2 · A correction beside a frozen map (5 points)
#
# A linear map of the encoder, $\mathbf{x}W^\top + \mathbf{b}$, has a weight $W$ of shape
# (D_out, D_in). Leave $W$ and $\mathbf{b}$ as they were published: they are frozen (冻结).
# Beside the map comes a correction of low rank (秩) $r$ (Hu et al. 2022, section 4.1):
#
# $$\mathbf{h} = \mathbf{x}W^\top + \mathbf{b} + \frac{\alpha}{r}\,
# \mathbf{x}A^\top B^\top, \qquad A: (r, D_\text{in}), \quad B: (D_\text{out}, r).$$
#
# $A$ starts random, normal with a standard deviation of $1/\sqrt{D_\text{in}}$: with much
# larger numbers the layer hardly learns. $B$ starts at zero. So at first the layer
# answers as the frozen map does.
#
# - `LoRALinear(linear, rank, alpha)` keeps the map as `self.linear`, and $A$ and $B$ as
#   the parameters `self.lora_a` and `self.lora_b`. Of all its parameters these two alone
#   are trained.
# - `merge(layer)` returns a new, plain `nn.Linear` that gives the same answers: the
#   correction is added to the weight (合并). The layer stays as it was.
#
# **Predict.** $W$ is 384 × 384. How many numbers are trained at rank 8? And which of $A$
# and $B$ has a gradient other than zero in the very first step?


# %% task="LoRALinear"
class LoRALinear(nn.Module):
    """A frozen linear map with a trained correction of low rank beside it.

    linear: nn.Linear, from D_in to D_out, with or without bias
    rank: int
    alpha: number; the correction is scaled by alpha / rank
    """

    def __init__(self, linear, rank, alpha):
        super().__init__()
        ### BEGIN SOLUTION
        d_out, d_in = linear.weight.shape
        self.linear = linear.requires_grad_(False)
        self.lora_a = nn.Parameter(torch.randn(rank, d_in) / d_in**0.5)
        self.lora_b = nn.Parameter(torch.zeros(d_out, rank))
        self.scale = alpha / rank
        ### END SOLUTION

    def forward(self, x):
        """x: (..., D_in); returns (..., D_out)."""
        ### BEGIN SOLUTION
        return self.linear(x) + self.scale * (x @ self.lora_a.T @ self.lora_b.T)
        ### END SOLUTION


def merge(layer):
    """A plain nn.Linear that answers as the layer does; the layer stays as it was."""
    ### BEGIN SOLUTION
    d_out, d_in = layer.linear.weight.shape
    plain = nn.Linear(d_in, d_out, bias=layer.linear.bias is not None)
    with torch.no_grad():
        change = layer.scale * (layer.lora_b @ layer.lora_a)
        plain.weight.copy_(layer.linear.weight + change)
        if plain.bias is not None:
            plain.bias.copy_(layer.linear.bias)
    return plain
    ### END SOLUTION


# %% check="LoRALinear"
check(LoRALinear)

# %% [markdown]
# ## Task 3 · Into a model (4 points)
#
# A model is a tree of modules. `model.named_modules()` walks over it, with names such as
# `blocks.0.attn.q_proj`: the projection of the queries in the first block. Its own name
# is what stands behind the last dot, `q_proj`; what stands before it is its parent's.
#
# `inject_lora(model, targets, rank, alpha)` changes the model in place:
#
# 1. Each `nn.Linear` whose own name is in `targets` gives way to a `LoRALinear` around it.
# 2. Everything in the model is frozen, except each `lora_a` and `lora_b`, and the
#    parameters of `model.head`, which is new and knows nothing yet.
# 3. It returns how many numbers are trained now.
#
# A target may lie at the top of the model, where it has no dot in its name. Own names are
# compared as a whole: `old_q_proj` is not `q_proj`.
#
# Useful: `model.get_submodule("blocks.0.attn")`, also with `""` for the model itself;
# `setattr(module, "q_proj", new)`; and the string method `rpartition`.


# %% task="inject_lora"
def inject_lora(model, targets, rank, alpha):
    """Put a LoRALinear in the place of each target, and freeze the rest.

    model: nn.Module with a `head`; changed in place
    targets: tuple of names, such as ("q_proj", "v_proj")
    rank, alpha: as LoRALinear takes them
    returns: int, how many numbers are trained
    """
    ### BEGIN SOLUTION
    model.requires_grad_(False)
    model.head.requires_grad_(True)
    for name, module in list(model.named_modules()):
        parent, _, own = name.rpartition(".")
        if own in targets and isinstance(module, nn.Linear):
            setattr(model.get_submodule(parent), own, LoRALinear(module, rank, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
    ### END SOLUTION


# %% check="inject_lora"
check(inject_lora)

# %% [markdown]
# ## Task 4 · Stop in time (4 points)
#
# Few labels are soon known by heart: overfitting (过拟合). So measure the loss on other
# sentences, the validation set (验证集), after each epoch (轮次). Stop when it no longer
# falls, and go back to the best epoch: early stopping (早停).
#
# `fit(model, train_epoch, evaluate, max_epochs, patience)`
#
# - `train_epoch()` trains `model` for one epoch, in place. `evaluate()` gives the
#   validation loss of the model as it stands, a float. Call it once after each epoch.
# - Stop after `max_epochs`, or earlier: as soon as `patience` epochs in a row have
#   brought no loss **below** the lowest one so far.
# - In the end `model` holds the weights that it had after the best epoch. Of equal losses
#   the earliest counts.
# - Returns the list of losses, one for each epoch that was trained.
#
# | losses, with `patience` = 2 | trained | weights of epoch |
# |---|---|---|
# | 0.9, 0.7, 0.8, 0.6, 0.7, 0.8, … | 6 epochs | 4 |
# | 0.5, 0.5, 0.5, … | 3 epochs | 1 |
#
# **Predict.** `model.state_dict()` gives a dict of tensors. Training goes on after you
# kept it. What does the kept dict hold then?


# %% task="fit"
def fit(model, train_epoch, evaluate, max_epochs, patience):
    """Train with early stopping, and leave the best weights in the model.

    model: nn.Module
    train_epoch: function without arguments, trains the model for one epoch
    evaluate: function without arguments, gives the validation loss
    max_epochs, patience: ints, at least 1
    returns: list of floats, the validation loss after each epoch
    """
    ### BEGIN SOLUTION
    losses, best_epoch, kept = [], 0, {}
    for epoch in range(max_epochs):
        train_epoch()  # changes the model in place
        losses.append(evaluate())
        if epoch == 0 or losses[-1] < losses[best_epoch]:
            best_epoch = epoch
            kept = {name: w.clone() for name, w in model.state_dict().items()}
        if epoch - best_epoch >= patience:
            break
    model.load_state_dict(kept)
    return losses
    ### END SOLUTION


# %% check="fit"
check(fit)

# %% [markdown]
# ## Task 5 · What the accuracy hides (4 points)
#
# `scores(targets, predictions, n_classes)` gives a dict. The confusion matrix (混淆矩阵)
# $M_{ij}$ says how many items of class $i$ were called class $j$: a row for each true
# class, a column for each class that was said. All else follows from it:
#
# | key | | |
# |---|---|---|
# | `"matrix"` | array (C, C) | |
# | `"accuracy"` | float | share of all items on the diagonal (准确率) |
# | `"precision"` | array (C,) | of those called $c$, the share that is $c$ (精确率) |
# | `"recall"` | array (C,) | of those that are $c$, the share that was found (召回率) |
# | `"f1"` | array (C,) | 2 · precision · recall / (precision + recall) |
# | `"macro_f1"` | float | the plain mean of the `f1` of **all** C classes |
#
# Where there is nothing to divide by, 0/0 counts as 0: a class that was never said has
# precision 0. No NaN may come out.
#
# For `scores([0, 0, 1], [0, 1, 1], 3)`: matrix `[[1, 1, 0], [0, 1, 0], [0, 0, 0]]`,
# precision `[1, 0.5, 0]`, recall `[0.5, 1, 0]`, accuracy 0.667, macro F1 0.444.


# %% task="scores"
def scores(targets, predictions, n_classes):
    """Confusion matrix, accuracy, and precision, recall and F1 of each class.

    targets: array of N ints from 0 to n_classes - 1, the truth
    predictions: array of N ints, what the model said
    n_classes: int, whether or not each class occurs
    returns: dict with the six keys above
    """
    ### BEGIN SOLUTION
    matrix = np.zeros((n_classes, n_classes), dtype=int)
    np.add.at(matrix, (targets, predictions), 1)
    right, said, true = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    f1 = 2 * right / np.maximum(said + true, 1)  # the same, without 0/0 half-way
    return {
        "matrix": matrix,
        "accuracy": float(right.sum() / matrix.sum()),
        "precision": right / np.maximum(said, 1),
        "recall": right / np.maximum(true, 1),
        "f1": f1,
        "macro_f1": float(f1.mean()),
    }
    ### END SOLUTION


# %% check="scores"
check(scores)

# %% [markdown]
# ## Task 6 · More than luck? (2 points)
#
# Two models on the same N sentences: `right_a` and `right_b` are arrays of N booleans,
# whether each got the sentence right. The accuracies differ by some amount. With N other
# sentences it would have been another one. The bootstrap (自助法; Efron 1979) draws such
# sets out of the one that you have: N sentences with replacement, again and again.
#
# `draws` is an int array (R, N); each row is one such set, N row numbers, some of them
# twice. For each of the R sets compute the accuracy of A minus that of B, **both on the
# same drawn sentences**. Return the 0.025 and the 0.975 quantile (分位数) of these R
# differences, `np.quantile` gives them: the 95 % interval (置信区间).


# %% task="interval"
def interval(right_a, right_b, draws):
    """95 % interval of the accuracy of A minus that of B, by the bootstrap.

    right_a, right_b: arrays of N bools
    draws: int array (R, N), each row the numbers of N sentences
    returns: (low, high), two floats
    """
    ### BEGIN SOLUTION
    gain = np.array(right_a, dtype=float) - np.array(right_b, dtype=float)
    low, high = np.quantile(gain[draws].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
    ### END SOLUTION


# %% check="interval"
check(interval)

# %% [markdown]
# ## Task 7 · Where does it err? (3 points)
#
# Reading errors gives you a suspicion, such as "it fails at *not*". Counting tests it. But
# "30 % wrong with *not*" says nothing by itself: how many are wrong without *not*?
#
# `error_rates(texts, targets, predictions, groups)`: `groups` is a dict from a name to a
# function that says of a text whether it belongs to the group. A text may belong to
# several groups or to none. The result is a dict with the same names, and for each a dict
#
# | key | |
# |---|---|
# | `"n"` | how many texts belong to the group |
# | `"errors"` | how many of these are wrong |
# | `"rate"` | `errors / n` |
# | `"others"` | the share of wrong ones among the texts **outside** the group |
#
# A share of no texts at all is `None`: nothing was measured.


# %% task="error_rates"
def error_rates(texts, targets, predictions, groups):
    """Error rate inside and outside of each group of texts.

    texts: list of N str
    targets, predictions: lists of N ints
    groups: dict, name -> function(text) -> bool
    returns: dict, name -> {"n": int, "errors": int, "rate": ..., "others": ...}
    """
    ### BEGIN SOLUTION
    wrong = [t != p for t, p in zip(targets, predictions)]  # noqa: B905
    table = {}
    for name, belongs in groups.items():
        sides = {True: [], False: []}
        for text, error in zip(texts, wrong):  # noqa: B905
            sides[bool(belongs(text))].append(error)
        inside, outside = sides[True], sides[False]
        table[name] = {
            "n": len(inside),
            "errors": sum(inside),
            "rate": sum(inside) / len(inside) if inside else None,
            "others": sum(outside) / len(outside) if outside else None,
        }
    return table
    ### END SOLUTION


# %% check="error_rates"
check(error_rates)

# %% [markdown]
# ## Task 8 · Measure (3 points)
#
# The task: does a sentence from a film review speak well of the film (1) or badly (0)?
# Twenty people rated each one (Hutto and Gilbert 2014). You get 500 sentences to learn
# from, 150 to choose on, and 400 to test on, drawn by your name.
#
# **Predict.** Half of the sentences are positive. Which accuracy will counted words reach
# with 500 labels, which a head on the frozen encoder, which LoRA? Write three numbers
# down.

# %% tags=["experiment"]
from lmcore.finetune import batches_by_length, sorted_batches
from lmcore.pretrained import load_minilm

films = lab.checks.own_sentences(STUDENT)
encoder, tokenizer = load_minilm()
truth = {name: np.array(part.labels) for name, part in films._asdict().items()}
for i in range(3):
    print(films.train.labels[i], films.train.texts[i])


# %% [markdown]
# **Counted words.** A number for each word and each pair of neighbours (TF-IDF,
# 词频–逆文档频率), and a logistic regression (逻辑回归) on top: the baseline (基线).

# %% tags=["experiment"]
from sklearn.linear_model import LogisticRegression

said = {}  # the labels that each model gives to the test sentences
words = lab.checks.bag_of_words(films.train)
said["bag of words"] = words.predict(films.test.texts)


# %% [markdown]
# **The first four blocks** stay frozen in all that follows, so each sentence goes through
# them once. What comes out is kept: a tensor (T, 384) for each sentence.


# %% tags=["experiment"]
@torch.no_grad()
def first_blocks(texts):
    """Each text's hidden states after four blocks, without padding."""
    kept = [None] * len(texts)
    for rows in sorted_batches([len(text) for text in texts], 32):
        batch = tokenizer.batch([texts[i] for i in rows], max_seq_len=48)
        ids, mask = batch.ids, batch.mask
        x = encoder.tok_emb(ids) + encoder.pos_emb(torch.arange(ids.shape[1]))
        h = encoder.emb_norm(x + encoder.seg_emb.weight[0])
        for block in encoder.encoder.blocks[:4]:
            h = block(h, mask=mask[:, None])
        for i, states, real in zip(rows, h, mask, strict=True):
            kept[i] = states[real].clone()
    return kept


def padded(states):
    """A batch of them: h (B, T, D) and mask (B, T)."""
    h = nn.utils.rnn.pad_sequence(states, batch_first=True)
    lengths = torch.tensor([len(one) for one in states])
    return h, torch.arange(h.shape[1]) < lengths[:, None]


# %% tags=["experiment"]
states = {name: first_blocks(part.texts) for name, part in films._asdict().items()}
x = {name: pool(*padded(rows)).double().numpy() for name, rows in states.items()}
print({name: rows.shape for name, rows in x.items()})

# %% [markdown]
# **A head on the frozen encoder**: logistic regression on your `pool` of these states.
# Nothing of the encoder is trained.

# %% tags=["experiment"]
head = LogisticRegression(C=0.1, max_iter=3000).fit(x["train"], truth["train"])
said["head"] = head.predict(x["test"])
print(f"{head.coef_.size + head.intercept_.size} numbers trained")

# %% [markdown]
# **LoRA in the last two blocks**, with a head behind them. Your `inject_lora` prepares
# the model, and your `fit` trains it. (To train anew, run from here on.)


# %% tags=["experiment"]
import copy


class Tail(nn.Module):
    """The encoder's last two blocks and a new head."""

    def __init__(self):
        super().__init__()
        self.blocks = copy.deepcopy(encoder.encoder.blocks[4:])
        self.head = nn.Linear(384, 2)

    def forward(self, h, mask):
        for block in self.blocks:
            h = block(h, mask=mask[:, None])
        return self.head(pool(h, mask))


torch.manual_seed(0)
model = Tail()
n_trained = inject_lora(model, ("q_proj", "v_proj"), rank=8, alpha=16)
n_all = sum(p.numel() for p in encoder.parameters())
print(f"{n_trained:,} numbers are trained; the encoder has {n_all:,}")


# %% tags=["experiment"]
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.01)
loss_of = nn.CrossEntropyLoss()
lengths = [len(one) for one in states["train"]]
history = {"training": [], "validation": []}


def train_epoch():
    """One pass over the training sentences."""
    losses = []
    for rows in batches_by_length(lengths, 16, seed=len(history["training"])):
        logits = model(*padded([states["train"][i] for i in rows]))
        loss = loss_of(logits, torch.tensor(truth["train"][rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    history["training"].append(np.mean(losses))


# %% tags=["experiment"]
@torch.no_grad()
def logits_of(part):
    """Logits of all sentences of a part, (N, 2)."""
    logits = torch.empty(len(states[part]), 2)
    for rows in sorted_batches([len(one) for one in states[part]], 50):
        logits[rows] = model(*padded([states[part][i] for i in rows]))
    return logits


def evaluate():
    """Loss on the validation sentences."""
    return loss_of(logits_of("validation"), torch.tensor(truth["validation"])).item()


# %% tags=["experiment"]
history["validation"] = fit(model, train_epoch, evaluate, max_epochs=4, patience=2)
said["LoRA"] = logits_of("test").argmax(dim=1).numpy()

# %% [markdown]
# The training loss is the mean over an epoch's batches, the validation loss is measured
# after it. Where the first falls and the second rises, the model learns its 500 sentences
# by heart. Did your run get there? And which epoch's weights does the model hold now?

# %% tags=["experiment"]
import matplotlib.pyplot as plt

from lmcore.plotting import new_plot

figure, axes = new_plot("Still learning, or by heart?", "epoch", "loss (nats)")
for name, losses in history.items():
    axes.plot(range(1, len(losses) + 1), losses, marker="o", label=name)
axes.set_xticks(range(1, len(history["training"]) + 1))
axes.set_ylim(bottom=0)
axes.legend()
plt.show()

# %% [markdown]
# Now the three side by side, on the 400 test sentences, and the two differences with
# their intervals.

# %% tags=["experiment"]
right = {name: labels == truth["test"] for name, labels in said.items()}
draws = lab.checks.own_draws(STUDENT)
for name, labels in said.items():
    found = scores(truth["test"], labels, 2)
    print(f'    "{name}": {found["accuracy"]:.4f},')
for a, b in (("head", "bag of words"), ("LoRA", "head")):
    low, high = interval(right[a], right[b], draws)
    print(f'    "{a} - {b}": ({low:.4f}, {high:.4f}),')
print(f'    "numbers trained": {n_trained},')

# %% [markdown]
# Type these six lines into the next cell, as a dict called `measured`. (The grader does
# not run the experiment. It counts words in your sentences itself, and looks whether the
# rest fits together.)

# %% task="measured"
### BEGIN SOLUTION
measured = {
    "bag of words": 0.6125,
    "head": 0.7600,
    "LoRA": 0.7700,
    "head - bag of words": (0.0925, 0.2050),
    "LoRA - head": (-0.0300, 0.0500),
    "numbers trained": 25346,
}
### END SOLUTION

# %% check="measured"
check(measured, "measured")

# %% [markdown]
# A point is a difference, its bar the interval. What lies on one side of the dashed line
# with all its bar is more than the luck of these 400 sentences.

# %% tags=["experiment"]
figure, axes = new_plot("Which difference is more than luck?", "accuracy gained", "")
pairs = [("LoRA", "head"), ("head", "bag of words")]
for row, (a, b) in enumerate(pairs):
    low, high = measured[f"{a} - {b}"]
    axes.plot([low, high], [row, row], color="black", linestyle="-")
    axes.plot([measured[a] - measured[b]], [row], "o", color="black")
axes.axvline(0, color="black", linestyle="--", linewidth=1)
axes.set_yticks(range(2), [f"{a} against\n{b}" for a, b in pairs])
axes.set_ylim(-0.6, 1.6)
plt.show()

# %% [markdown]
# Is that all that LoRA can do? The course measured head and LoRA (in all six blocks)
# with other numbers of labels too, on all 2,000 test sentences (chapter 13, section 7).

# %% tags=["experiment"]
for name, row in lab.checks.course_curve().items():
    print(f"{name:>13}", {f"{n:,}": round(share, 2) for n, share in row.items()})

# %% [markdown]
# Which label is taken for which?

# %% tags=["experiment"]
for name, labels in said.items():
    found = scores(truth["test"], labels, 2)
    print(f"{name}: macro F1 {found['macro_f1']:.2f}")
    for label, row in zip(films.test.names, found["matrix"], strict=True):
        print(f"    {label}: {row[0]:>3} called negative, {row[1]:>3} positive")

# %% [markdown]
# **Read the errors.** Here are the validation sentences on which LoRA is surest and
# wrong, at most twenty. You read validation errors, so that what you suspect can still be
# tested on the test sentences.

# %% tags=["experiment"]
sure = logits_of("validation").softmax(dim=1)[:, 1].numpy()  # of "positive"
wrong = np.flatnonzero((sure > 0.5) != truth["validation"])
for i in wrong[np.argsort(-abs(sure[wrong] - 0.5))][:20]:
    label = truth["validation"][i]
    is_so, called = films.validation.names[label], films.validation.names[1 - label]
    print(f"{is_so}, called {called} ({max(sure[i], 1 - sure[i]):.2f}): ", end="")
    print(films.validation.texts[i])

# %% [markdown]
# **Count them.** Five suspicions to begin with. Change them, and add your own.

# %% tags=["experiment"]
import re

from lmcore.data import sentiment_lexicon

rated = sentiment_lexicon()


def words_of(text):
    """The words of a text, in small letters."""
    return re.findall(r"[a-z']+", text.lower())


def holds(*wanted):
    """A function that says whether a text has one of these words."""
    return lambda text: any(word in wanted for word in words_of(text))


def negates(text):
    """Whether a text has a word such as "not" or "doesn't"."""
    some = holds("not", "no", "never", "nothing", "without", "hardly")
    return some(text) or any(word.endswith("n't") for word in words_of(text))


groups = {
    "negation": negates,
    "contrast": holds("but", "although", "though", "yet", "while", "despite"),
    "under 12 words": lambda text: len(words_of(text)) < 12,
    "over 24 words": lambda text: len(words_of(text)) > 24,
    "no rated word": lambda text: not any(word in rated for word in words_of(text)),
}

# %% tags=["experiment"]
for model_name in ("bag of words", "LoRA"):
    print(f"{model_name:>15}    n  errors  rate  others")
    labels = said[model_name].tolist()
    table = error_rates(films.test.texts, films.test.labels, labels, groups)
    for name, row in table.items():
        shares = [
            float("nan") if row[k] is None else row[k] for k in ("rate", "others")
        ]
        print(f"{name:>15} {row['n']:>4} {row['errors']:>7}", end="")
        print(f" {shares[0]:>5.2f} {shares[1]:>7.2f}")

# %% [markdown]
# ## Task 9 · Analysis (6 points, marked by your teacher)
#
# In about 200 words, with numbers and sentences of your own:
#
# 1. Which of the two differences is more than luck, and how do you see it? Name one
#    source of chance that the interval leaves out. What do the course's figures for
#    other numbers of labels say about the second difference? (2 points)
# 2. From the errors that you read, name two causes, with a sentence quoted for each, and
#    say which words mislead the model and which words it would have had to heed. (2 points)
# 3. Test one of the causes with `error_rates` on the test sentences. Give both rates and
#    the counts. Does the test bear it out, speak against it, or leave it open? (2 points)

# %% [markdown] written="analysis"
# ### BEGIN SOLUTION
# The head is ahead of counted words by 0.15, with an interval from 0.09 to 0.21: 0 lies
# far outside, so that is more than luck. LoRA is ahead of the head by 0.01, and the
# interval from -0.03 to 0.05 holds 0: these 400 sentences cannot tell the two apart. The
# interval leaves out which 500 sentences were drawn to learn from, and the seed of head
# and batches. In the course's figures LoRA is behind with 256 labels, and ahead by 0.05
# with 1,024. So 500 lie about where the curves cross.
#
# Cause 1: kind words in an unkind sentence. "A tedious parable about honesty and good
# sportsmanship" is called positive: honesty, good and sportsmanship are three words, and
# tedious is one. Cause 2: blame that is taken back. "The film's snags and stumblings are
# more than compensated for by its wryly subversive tone": snags and stumblings mislead,
# "more than compensated for" decides.
#
# Both need room, so I expected more errors in long sentences. Over 24 words: 33 of 104 wrong,
# 0.32, against 0.20 of the others. That bears it out. My first suspicion was negation, and
# the count speaks against it: 19 of 100, 0.19, against 0.24. Words such as "but": 23 of 86,
# 0.27, against 0.22, which is open with so few.
# ### END SOLUTION

# %% [markdown]
# ## Stretch · 256 labels, one minute
#
# Write `classify(texts, labels, new_texts)`, which learns from 256 film sentences and
# gives a label, 0 or 1, for each of 2,000 new ones: all test sentences of chapter 13. The
# figure is the share that is right: higher is better. It has 60 seconds of processor
# time, loading included. Allowed is whatever lmcore gives you, other data too, but no
# other film sentences to learn from.
#
# The course's own is the best of its four methods on the same 256 labels and the same
# test sentences (chapter 13, section 7): all weights of the encoder, trained. Its rate
# and its epoch were chosen on validation sentences, and so may yours be. Earns no points.

# %% tags=["experiment"]
print(f"the course's own: {lab.checks.course_figure():.3f} right")


# %% task="classify"
### BEGIN SOLUTION
def classify(texts, labels, new_texts):
    """A head on the mean over the tokens after two blocks, and on rated words.

    More blocks give better vectors, and take longer.
    """
    import re

    from sklearn.linear_model import LogisticRegression

    from lmcore.data import sentiment_lexicon
    from lmcore.finetune import sorted_batches
    from lmcore.pretrained import load_minilm

    encoder, tokenizer = load_minilm()
    rated = sentiment_lexicon()
    every = [*texts, *new_texts]
    vectors = np.empty((len(every), 384 + 1))
    for rows in sorted_batches([len(text) for text in every], 32):
        batch = tokenizer.batch([every[i] for i in rows], max_seq_len=48)
        ids, mask = batch.ids, batch.mask
        with torch.no_grad():
            x = encoder.tok_emb(ids) + encoder.pos_emb(torch.arange(ids.shape[1]))
            h = encoder.emb_norm(x + encoder.seg_emb.weight[0])
            for block in encoder.encoder.blocks[:2]:
                h = block(h, mask=mask[:, None])
        vectors[rows, :384] = pool(h, mask).numpy()
        for i in rows:
            found = re.findall(r"[a-z']+", every[i].lower())
            vectors[i, 384] = sum(rated.get(word, 0.0) for word in found) / 4
    model = LogisticRegression(C=0.1, max_iter=3000)
    model.fit(vectors[: len(texts)], labels)
    return model.predict(vectors[len(texts) :])


### END SOLUTION

# %% check="classify"
check(classify)

# %%
progress()
