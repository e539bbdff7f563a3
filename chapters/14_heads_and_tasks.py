# %% [markdown]
# # 14 · Heads and tasks
#
# **Question.** How does one encoder label words, cut out answers and find texts, and which number says whether it does so well?
#
# **Prerequisites.** [05 Word vectors](05_word_vectors.ipynb): cosine; [08 The Transformer](08_transformer.ipynb): positions, operations of a training; [10 BERT](10_bert.ipynb): the encoder, `[CLS]`, pairs of texts; [13 Fine-tuning](13_fine_tuning.ipynb): a head on a frozen encoder, baselines, intervals.
#
# **Time.** 90 minutes to read; 20–60 s to run on two CPU cores.

# %% [markdown]
# After this chapter you can
#
# - put the right head on an encoder for a label per word, for a span, and for a search;
# - carry labels from words over to pieces, train a labeller, and hold it against two baselines;
# - say what accuracy, macro F1 and entity F1 each count, move a threshold, and read a calibration plot;
# - compute the score of an answer span, and show that a head without training cannot be sure of one;
# - measure a search with easy and with hard negatives, and say where cross-validation belongs.

# %%
import ast
import json
import math
import os
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import torch
from sklearn.feature_extraction import FeatureHasher
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import StratifiedKFold
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

# %%
from lmcore.data import (
    movie_sentences,
    python_reference,
    python_stdlib,
    python_token_labels,
    token_label_batch,
)
from lmcore.data.token_labels import path_hash, side_of
from lmcore.finetune import (
    SpanExtractor,
    TokenLabeller,
    batches_by_length,
    best_spans,
)
from lmcore.losses import IGNORE_INDEX, cross_entropy
from lmcore.metrics import (
    accuracy,
    confusion_matrix,
    entities,
    entity_f1,
    f1_score,
    precision_recall_f1,
    span_scores,
    wilson_interval,
)
from lmcore.models.bert import Bert, BertConfig
from lmcore.plotting import new_plot, new_plots, plt
from lmcore.pretrained import embed_sentences, load_minilm
from lmcore.runtime import pick_device, seed_everything
from lmcore.tokenizers import WordPieceTokenizer

# %%
seed_everything(0)
device, RESULTS = pick_device(), Path("..") / "results"
minilm, english = load_minilm(device=device)  # a published encoder and its tokenizer

# %% [markdown]
# ## 1 One encoder, three questions
#
# A classifier gives a whole text one label. Many questions have their answer *inside* the text: what is each word,
# where does the answer stand? Others have it in *another* text: which of a thousand fits this one? An encoder
# (编码器) serves all of them, because it gives every token a vector. What differs is the small map behind it, the
# **head** (任务头).
#
# **Number.** One sentence, MiniLM (Wang et al. 2020; 6 layers, width 384):

# %%
sentence = 'Division by zero raises the "ZeroDivisionError" exception.'
batch = english.batch([sentence])
with torch.no_grad():
    h = minilm(batch.ids.to(device), batch.mask.to(device))  # (B, T, D)
print("hidden states:", tuple(h.shape))
assert h.shape == (1, batch.ids.shape[1], 384)

# %% [markdown]
# The sentence has 16 tokens, `[CLS]` and `[SEP]` included, and each has a vector of 384 numbers.
#
# **Code.** A label per token: the same matrix $W$ and bias $\mathbf{b}$ for every position, here for the 14 labels of
# section 2.

# %%
labeller = TokenLabeller(minilm, n_labels=14).eval()
W, b = labeller.head.weight, labeller.head.bias  # (C, D) and (C,)
by_hand = torch.stack([W @ h_t + b for h_t in h[0]])  # (T, C)
with torch.no_grad():
    logits = labeller(batch.ids.to(device), batch.mask.to(device))[0]
assert (logits - by_hand).abs().max() < 1e-5
print(f"head: {W.numel() + b.numel():,} numbers")
print(f"encoder: {sum(p.numel() for p in minilm.parameters()):,}")

# %% [markdown]
# **Equation.** With hidden states $\mathbf{h}_t$ of width $D$, for $t = 1 \dots T$, $C$ labels, and $W$ of shape $(C, D)$ as
# torch stores it:
#
# | the answer is | head | shape |
# |---|---|---|
# | a label for the text (文本分类) | $\frac1T\sum_t \mathbf{h}_t W^\top + \mathbf{b}$ | $(C)$ |
# | a label for each token (序列标注) | $\mathbf{h}_t W^\top + \mathbf{b}$ | $(T, C)$ |
# | a span, start and end (抽取式问答) | $\mathbf{h}_t W^\top + \mathbf{b}$ with $C = 2$ | $(T, 2)$ |
# | another text (检索) | no head: the mean of $\mathbf{h}_t$, scaled to length 1 | $(D)$ |
#
# The first three are BERT's (Devlin et al. 2019, section 4), which took the vector of `[CLS]` where the first row has
# the mean; the last is Sentence-BERT's (Reimers and Gurevych 2019). Chapter 13 was about the first row. A head is a few
# thousand numbers behind 23 million, and at first they are random. Section 6 comes back to that.
#
# ## 2 A label for every word
#
# Labelling words usually starts with people who label words. Here a program does it, without a mistake: Python's own
# parser knows of every word in Python's standard library what role it plays. The words come from `tokenize`,
# the roles from the syntax tree (`ast`).

# %%
data = python_token_labels(n_train=40, n_validation=1, n_test=20)
roles = data.test.names
for words, labels in zip(data.test.words, data.test.labels, strict=True):
    if len(words) < 40 and roles.index("option") in labels:
        break
print("  ".join(f"{w}·{roles[i]}" for w, i in zip(words, labels, strict=True)))
n_train = sum(map(len, data.train.words))
print(f"{n_train:,} words to train on; {len(roles)} roles:", *roles)
assert 15_000 < n_train < 30_000

# %%
counts = Counter(label for labels in data.test.labels for label in labels)
n_words = counts.total()
for label, n in counts.most_common():
    print(f"{roles[label]:>10} {n:5} {n / n_words:6.1%}")
assert counts[roles.index("operator")] > 0.4 * n_words

# %% [markdown]
# *operator* is every mark, *option* the name in `f(name=value)`, *call* the `f` of `f(x)`, *method* that of `x.f(y)`,
# and *argument* a function's parameter, where it is declared and wherever its function uses it. A sequence is one block: a
# function, the head of a class, or the code in between (at most its first
# 64 words). Whole files are split, by a hash (哈希) of their path: half a file in training would give away
# the names in the other half. The figures are of the test files. A block that stands in several files is kept once.
#
# **Words are not pieces.** The model reads **pieces** (子词), and a word may be several. Which of them gets the label?
# The usual answer: the first one, and the loss skips the rest (Devlin et al. 2019, section 5.3). So each word counts once,
# however it is cut. In the targets, −100 means "does not count". By hand, and then beside lmcore's `token_label_batch`:


# %%
def first_pieces_by_hand(tokenizer, words, labels):
    """[CLS] pieces [SEP], and a target for each of them."""
    ids, targets = [tokenizer.vocab["[CLS]"]], [-100]
    for word, label in zip(words, labels, strict=True):
        pieces = tokenizer.encode(word)[:6]  # a docstring would fill the sequence
        ids += pieces
        targets += [label] + [-100] * (len(pieces) - 1)
    return [*ids, tokenizer.vocab["[SEP]"]], [*targets, -100]


# %%
texts = [" ".join(words) for words in data.train.words]
code = WordPieceTokenizer.train(texts, 2000, lowercase=False)
ids, targets = first_pieces_by_hand(code, words, labels)
for id, target in list(zip(ids, targets, strict=True))[:12]:
    print(f"{code.pieces[id]:>12}  {roles[target] if target >= 0 else target}")

# %%
row = data.test.words.index(words)
batch = token_label_batch(code, data.test, [row], max_seq_len=160)
assert batch.ids[0].tolist() == ids and batch.targets[0].tolist() == targets
assert (batch.targets[0] != IGNORE_INDEX).sum() == len(words)

# %% [markdown]
# ## 3 Two baselines, then the encoder
#
# **Counting.** Give each word the role that it had most often in training. Words that training never saw get the
# role that is most frequent for their first letter: a quote begins a string, `#` a comment.


# %%
def most_frequent_roles(train):
    """For each word, and for each first letter, the most frequent role."""
    seen = defaultdict(Counter)
    for words, labels in zip(train.words, train.labels, strict=True):
        for word, label in zip(words, labels, strict=True):
            seen[word][label] += 1
    best = {word: c.most_common(1)[0][0] for word, c in seen.items()}
    letters = defaultdict(Counter)
    for word, label in best.items():
        letters[word[0]][label] += 1
    return best, {letter: c.most_common(1)[0][0] for letter, c in letters.items()}


# %%
best, by_letter = most_frequent_roles(data.train)
truth = np.concatenate(data.test.labels)
name = roles.index("name")
flat = [word for words in data.test.words for word in words]
counted = np.array([best.get(w, by_letter.get(w[0], name)) for w in flat])
unseen = np.mean([word not in best for word in flat])
print(f"words that training never saw: {unseen:.0%}")
print(f"counting: accuracy {accuracy(truth, counted):.2f}")

# %% [markdown]
# **A window.** The n-grams of [chapter 01](01_language_models.ipynb) looked at neighbours; so can a classifier. The
# features are the word, two neighbours on each side, the nearest two as a pair, and the word's shape (first
# character, capitals, underscore). The model is logistic regression (逻辑回归), with the features hashed into $2^{16}$ columns.


# %%
def window(words):
    """Features of each word: itself, its shape, two neighbours on each side."""
    w = ["<", "<", *words, ">", ">"]
    return [
        [f"{k}={w[i + k][:20]}" for k in (-2, -1, 0, 1, 2)]
        + [f"around={w[i - 1][:20]}|{w[i + 1][:20]}"]
        + [f"shape={w[i][0]}{w[i].isupper()}{w[i][0].isupper()}{'_' in w[i]}"]
        for i in range(2, len(w) - 2)
    ]


# %%
hasher = FeatureHasher(2**16, input_type="string", alternate_sign=False)


def features(side):
    """Hashed window features of every word."""
    return hasher.transform([row for words in side.words for row in window(words)])


regression = SGDClassifier(loss="log_loss", alpha=1e-6, max_iter=5, tol=None)
regression.set_params(random_state=0)
regression.fit(features(data.train), np.concatenate(data.train.labels))
windowed = regression.predict(features(data.test))
print(f"window: accuracy {accuracy(truth, windowed):.2f}")

# %% [markdown]
# **The encoder.** Two blocks of width 96 from random weights (MiniLM's vocabulary is lower-case English; `self._x`
# and `SELF._X` are one to it), with `TokenLabeller` on top. Positions are told by RoPE (旋转位置编码, [chapter
# 08](08_transformer.ipynb), section 7), so that a distance looks alike wherever it stands. Two passes over the training words.

# %%
torch.manual_seed(0)
shape = BertConfig(
    vocab_size=code.vocab_size,
    max_seq_len=160,
    d_model=96,
    n_layers=2,
    n_heads=4,
    n_segments=0,
    dropout=0.1,
    pre_norm=True,
    positions="rope",
    pooler=False,
)
model = TokenLabeller(Bert(shape), len(roles)).to(device)
lengths = [len(words) for words in data.train.words]
epochs = [batches_by_length(lengths, 8, seed) for seed in (1, 2)]
plan = [rows for epoch in epochs for rows in epoch]
print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(plan)} steps")

# %%
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, len(plan))
losses = []
for rows in tqdm(plan, disable="CI" in os.environ):
    ids, mask, targets = (
        x.to(device) for x in token_label_batch(code, data.train, rows, 160)
    )
    loss = cross_entropy(model(ids, mask), targets)  # skips the targets of -100
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    losses.append(loss.item())
assert np.mean(losses[-20:]) < 0.3 * np.mean(losses[:5])


# %%
@torch.no_grad()
def word_probs(model, side, batch_size=32):
    """p(role) of every word, (words, C)."""
    model.eval()
    found = []
    for start in range(0, len(side.words), batch_size):
        rows = range(start, min(start + batch_size, len(side.words)))
        batch = token_label_batch(code, side, rows, 999)
        logits = model(batch.ids[:, :160].to(device), batch.mask[:, :160].to(device))
        short = batch.ids.shape[1] - logits.shape[1]  # words beyond 160 pieces
        logits = F.pad(logits.cpu(), (0, 0, 0, max(short, 0)))
        found.append(logits[batch.targets != IGNORE_INDEX].softmax(-1))
    return torch.cat(found).numpy()


# %% tags=["nbval-ignore-output"]
probs = word_probs(model, data.test)
encoded = probs.argmax(-1)
labellers = {"counting": counted, "window": windowed, "encoder": encoded}
for who, predictions in labellers.items():
    both = accuracy(truth, predictions), f1_score(truth, predictions, len(roles))
    print(f"{who:>9}: accuracy {both[0]:.2f}, macro F1 {both[1]:.2f}")
f1s = [f1_score(truth, p, len(roles)) for p in labellers.values()]
assert f1s[0] + 0.02 < f1s[2] < f1s[1] and f1s[1] > 0.85

# %% [markdown]
# The encoder beats counting, and loses to the window by a wide margin. Pause here: this is what happens with few data, and
# whoever skips the baselines never learns it. The window is *told* where the neighbours stand. The encoder starts
# without any notion of "the word before", and some twenty thousand words are few to learn it from.
#
# The same three, with these 40 training files and with 160, made by one command. (Its first rows are not quite the figures
# above: it holds out 20 validation files instead of one, and blocks that they share with training go.)

# %%
record = json.loads((RESULTS / "token_labelling.json").read_text())
print(record["command"], "on", record["date"])
for run in record["runs"]:
    score = run["test"]
    low, high = score["macro_f1_interval"]
    print(
        f"{run['labeller']:>9}, {run['files']:3} files: "
        f"accuracy {score['accuracy']:.3f}, macro F1 {score['macro_f1']:.3f} "
        f"({low:.2f} to {high:.2f}), {run['cpu_seconds']:5.1f} CPU s"
    )

# %%
few_files, many_files = (
    {r["labeller"]: r["test"]["macro_f1"] for r in record["runs"] if r["files"] == n}
    for n in (40, 160)
)
gains = {who: many_files[who] - few_files[who] for who in few_files}
assert gains["counting"] < 0.05 and gains["window"] < 0.06 and gains["encoder"] > 0.2
assert abs(many_files["encoder"] - many_files["window"]) < 0.06
window_f1, encoder_f1 = (run["test"]["f1"] for run in record["runs"][-2:])
ahead = [r for r in roles if encoder_f1[r] > window_f1[r] + 0.02]
assert ahead == ["argument", "name"]
assert encoder_f1["option"] < 0.5 < 0.75 < window_f1["option"]
seconds = [run["cpu_seconds"] for run in record["runs"]]
assert all(5 < seconds[i + 1] / seconds[i] < 10 for i in (1, 4))
assert [round(run["words"] / 1000) for run in record["runs"][::3]] == [21, 134]

# %% [markdown]
# With four times the files, counting gains next to nothing, the window a few points, and the encoder more than twenty:
# somewhere between 21 thousand words and 134 thousand it finds out about neighbours, and comes within a few points of the
# window that was told.
#
# On two roles it is ahead, *argument* and *name*. A likely reason: to tell a parameter from another name, one must remember
# the signature, which lies outside of a window. It is far behind on the rare *option*. Nobody had to think up features for
# it; in exchange it wants data, and five to ten times the window's computing. The intervals are at 95 % and drawn over whole blocks
# (bootstrap, 自助法), for the words of one block are not independent.
#
# ## 4 What accuracy hides
#
# **Number.** Call every word an operator. That needs no model at all:

# %%
operator = np.full_like(truth, roles.index("operator"))
print(f"accuracy {accuracy(truth, operator):.2f}")
print(f"macro F1 {f1_score(truth, operator, len(roles)):.2f}")
assert accuracy(truth, operator) > 0.4 > 0.06 > f1_score(truth, operator, 14)

# %% [markdown]
# Almost half of the words are right, and the macro F1 is near 0. It is the mean over the roles of a score that is 0 for the
# thirteen roles never named. How is that score made?
#
# **Code.** Take one rare role, *option*, and what counting makes of it. How many are there, how many were found, how many
# of those are right?

# %%
role = roles.index("option")
wanted, found = (truth == role).sum(), (counted == role).sum()
right = ((truth == role) & (counted == role)).sum()
precision, recall = right / found, right / wanted
f1 = 2 * precision * recall / (precision + recall)
print(f"{wanted} options; {found} words called so, {right} of them rightly")
print(f"precision {precision:.2f}, recall {recall:.2f}, F1 {f1:.2f}")
ours = precision_recall_f1(truth, counted, len(roles), average=None)
assert np.allclose([precision, recall, f1], [figure[role] for figure in ours])

# %% [markdown]
# **Equation.** For one class $c$, with the **confusion matrix** (混淆矩阵) $M_{ij}$, the number of items of class $i$ that were
# called $j$ (and 0 in place of 0/0):
#
# $$\text{precision} = \frac{M_{cc}}{\sum_i M_{ic}}, \qquad \text{recall} = \frac{M_{cc}}{\sum_j M_{cj}}, \qquad
# F_1 = \frac{2\,\text{precision}\cdot\text{recall}}{\text{precision} + \text{recall}}.$$
#
# **Precision** (精确率) asks whether what was found is right, **recall** (召回率) whether what is there was found; $F_1$ is
# their harmonic mean (调和平均), low as soon as one of them is. **Macro F1**
# (宏平均) is the mean over classes: each class counts the same, however rare. **Micro F1** (微平均) adds up the counts first.
# With one label a word, a wrong word is a false find for one class and a miss for another, so micro F1 is the accuracy (准确率):

# %%
micro = f1_score(truth, counted, len(roles), average="micro")
assert abs(micro - accuracy(truth, counted)) < 1e-12
matrix = confusion_matrix(truth, counted, len(roles))
wrong = matrix - np.diag(np.diag(matrix))
for cell in np.argsort(-wrong.ravel())[:4]:
    i, j = divmod(int(cell), len(roles))
    print(f"{wrong[i, j]:3} × {roles[i]} taken for {roles[j]}")

# %% [markdown]
# lmcore's figures equal scikit-learn's (`tests/parity/test_metrics_classification.py`). Neither macro nor micro is
# the right one as such. Macro F1 answers "does it work for every role?", and one role of twenty words can move it by
# up to 1/14, seven points; accuracy answers "how many words will be wrong?".
#
# Counting and the other two agree on marks and keywords, and part where a role depends on what stands around the
# word:

# %% alt="Dots for fourteen roles and three labellers: all near 1 for keyword, operator and number; counting far below for option, attribute, method and module."
each = {who: f1_score(truth, p, len(roles), None) for who, p in labellers.items()}
order = np.argsort(each["counting"])
figure, axes = new_plot(
    "Counting fails where the neighbours decide", "F1 on test words", "", height=4.6
)
for (who, f1s), marker in zip(each.items(), "os^", strict=True):
    axes.plot(f1s[order], range(len(roles)), marker, linestyle="none", label=who)
axes.set_yticks(range(len(roles)), [roles[i] for i in order])
axes.set_ylabel("role")
axes.legend(loc="upper left")
plt.show()
assert each["counting"][order[:4]].mean() < each["window"][order[:4]].mean() - 0.2
assert each["encoder"][role] < each["counting"][role]  # of option

# %% [markdown]
# **How to read it.** One row a role, sorted by counting's F1. The further the window lies to the right of counting, the more
# there is to learn from the neighbours. On *option* the encoder is behind even counting: 40 files show it too few of them.
#
# **A threshold** (阈值). The encoder gives probabilities (概率), and taking the likeliest label is only one way to use them. To
# find as many attributes as possible, call a word one as soon as $p$(attribute) passes 0.1; to be surer of each, wait for 0.9.
# **Predict.** What does a higher threshold do to precision, what to recall? Can either move both ways?
#
# **Calibration** (校准). When the model says 0.8, is it right in 80 % of such cases? Sort the words by the probability of
# the label chosen into ten bins and compare, bin by bin (those of fewer than 30 words are left out). The mean distance, weighted by the bins' sizes, is the **expected calibration error**
# (期望校准误差; Guo et al. 2017).

# %%
attribute = roles.index("attribute")
p_role, is_role = probs[:, attribute], truth == attribute
kept = [p_role >= cut for cut in np.linspace(0.02, 0.98, 49)]
kept = [k for k in kept if k.sum() >= 50]  # a precision of a few words is chance
precisions = np.array([is_role[k].mean() for k in kept])
recalls = np.array([k[is_role].mean() for k in kept])
sure, hit = probs.max(1), encoded == truth
bins = np.minimum((sure * 10).astype(int), 9)
filled = [b for b in range(1, 10) if (bins == b).sum() >= 30]
said = np.array([sure[bins == b].mean() for b in filled])
held = np.array([hit[bins == b].mean() for b in filled])
error = sum(
    (bins == b).mean() * abs(s - h) for b, s, h in zip(filled, said, held, strict=True)
)
assert (np.diff(recalls) <= 0).all() and precisions[-1] > precisions[0] + 0.2
print(f"expected calibration error {error:.2f}")
assert error < 0.15

# %% alt="Left: precision of attributes falls as recall rises. Right: the share of right labels against the probability said, near the diagonal."
figure, (left, right_) = new_plots(1, 2, height=3.8)
left.plot(recalls, precisions)
left.set(title="A threshold trades precision for recall", ylim=(0, 1.03))
left.set(xlabel="recall of attributes", ylabel="precision of attributes")
right_.plot([0, 1], [0, 1], ":", color="grey", label="calibrated")
right_.plot(said, held, "o-", label="encoder")
right_.set(title="How sure, and how often right", xlabel="probability said")
right_.set_ylabel("share of words labelled right")
right_.legend()
plt.show()
assert len(said) >= 4 and np.corrcoef(said, held)[0, 1] > 0.8

# %% [markdown]
# **How to read it.** Left: each point is a threshold, high ones at the left. Right: below the dotted line the model is
# surer than it should be, as here in the middle bins; at the top, it is right as often as it says.
#
# A higher threshold can only lower recall. Precision mostly rises, but need not: a threshold may throw out more right words
# than wrong ones, and where few words are left, the curve can turn down again. Nor does a threshold of 0.9 promise a
# precision of 0.9; only calibrated probabilities would. Two models of equal F1 can differ in both plots, so look at both where
# something acts on the probabilities.
#
# ## 5 Names of several words
#
# A role belongs to one word. A name often has several: *Ada Lovelace*, *New York Times*. Words are then tagged in
# the form **IOB2**: `B-PER` begins a person, `I-PER` goes on inside, `O` is outside. Finding them is **named entity
# recognition** (命名实体识别; Tjong Kim Sang and De Meulder 2003).
#
# **Number.** A sentence of twelve words with two names, and a model that loses the middle of one:

# %%
sentence = "Yesterday Ada King Countess of Lovelace met Charles Babbage at his house"
lines = {
    "right": "O B-PER I-PER I-PER I-PER I-PER O B-PER I-PER O O O",
    "model": "O B-PER I-PER O O B-PER O B-PER I-PER O O O",
}
words = sentence.split()
right_tags, model_tags = (line.split() for line in lines.values())
tags_right = np.mean([a == b for a, b in zip(right_tags, model_tags, strict=True)])
print(
    f"tags right: {tags_right:.2f}; names right: {entity_f1([right_tags], [model_tags]):.2f}"
)
for who, tags in (("right", right_tags), ("model", model_tags)):
    print(f"{who}:", [" ".join(words[e.start : e.end]) for e in entities(tags)])
assert tags_right == 0.75 and entity_f1([right_tags], [model_tags]) == 0.4

# %% [markdown]
# Three of four tags are right, but only one name of the two. The model predicted three names, one of them right: precision 1/3,
# recall 1/2, F1 0.4. **Entity F1** (实体级 F1) counts a name only if its type, first and last word are right, which is
# what a reader of the output would say too. Accuracy over tags also rewards `O`. Tag every word `O`, and five tags of twelve are
# right; in news text, where names are rare, most would be. Entity F1 is 0:

# %%
nothing = ["O"] * len(words)
print(sum(tag == "O" for tag in right_tags), "of", len(words), "tags are O")
assert entity_f1([right_tags], [nothing]) == 0

# %% [markdown]
# (lmcore's figure equals that of the package seqeval, also on broken tags: `tests/parity/test_metrics_entities.py`. An `I-PER`
# that continues no person begins one.)
#
# ## 6 An answer cut out of a text
#
# **Extractive question answering** (抽取式问答) returns a piece of the given text. The head gives each position two scores: as
# the answer's first token, $s_i$, and as its last, $e_j$. A span's score is $s_i + e_j$ with $i \le j$. The two
# maxima taken singly may be no span at all. Here the best start stands after the best end:

# %%
starts, ends = [0.1, 2.0, 0.3, 1.9], [1.5, 0.2, 0.4, 1.2]
print("best start:", np.argmax(starts), " best end:", np.argmax(ends))
spans = {
    (i, j): starts[i] + ends[j] for i in range(4) for j in range(i, 4) if j - i < 3
}
best_by_hand = max(spans, key=spans.get)
scores = torch.tensor([starts, ends]).T[None]  # (B, T, 2)
found = best_spans(scores, torch.ones(1, 4, dtype=torch.bool), max_len=3)
print(best_by_hand, round(spans[best_by_hand], 1))
assert best_by_hand == (found.start.item(), found.end.item()) == (1, 3)

# %% [markdown]
# (`max_len=3`: a span of at most three tokens.) As a probability: softmax over all positions for the start, another for
# the end, and
#
# $$p(i, j) = \frac{e^{s_i}}{\sum_k e^{s_k}} \cdot \frac{e^{e_j}}{\sum_k e^{e_k}}.$$
#
# That is the "score" that question-answering pipelines print (tools leave out positions of the question first).
#
# **A claim that readers meet.** Articles show a pipeline with `distilbert-base-uncased` that answers a question with a
# score of 0.999998. That checkpoint was pretrained to fill gaps. It has no trained question-answering head, so
# loading it for that task makes one of random numbers (with a warning). [Chapter 10](10_bert.ipynb) asked four such heads
# and got different answers; now look at the score. **Predict.** How sure can such a head be? Take a published
# encoder, a question, a paragraph of Python's reference, and ask twenty random heads.

# %%
topics = python_reference().parts
parts = topics["assert"].split("\n\n")
paragraph = " ".join(next(part for part in parts if "normal" in part).split())
question = "What is the value of __debug__ when optimization is requested?"
batch = english.batch([question], [paragraph])
with torch.no_grad():
    h = minilm(*(x.to(device) for x in (batch.ids, batch.mask, batch.token_type_ids)))
allowed = (batch.token_type_ids == 1) & (batch.ids != english.vocab["[SEP]"])
n = int(allowed.sum())
n_spans = sum(min(15, n - i) for i in range(n))
print(f"{n} tokens, {n_spans} spans of at most 15 tokens; chance {1 / n_spans:.4f}")


# %%
def best_answer(scores):
    """The best span of the paragraph and its probability; scores (1, T, 2)."""
    scores = scores.cpu().masked_fill(~allowed[..., None], -torch.inf)
    found = best_spans(scores, allowed, max_len=15)
    log_p = scores.log_softmax(1)[0]
    p = (log_p[found.start, 0] + log_p[found.end, 1]).exp().item()
    return p, batch.ids[0, found.start : found.end + 1].tolist()


answers = []
for seed in range(20):
    torch.manual_seed(seed)
    with torch.no_grad():
        answers.append(best_answer(SpanExtractor(minilm).eval().head(h)))
random_p = [p for p, _ in answers]
print(f"score of the best span: {min(random_p):.5f} to {max(random_p):.5f}")
for _, ids in answers[:4]:
    print("  answer:", english.decode(ids))

# %%
different = len({tuple(ids) for _, ids in answers})
print(f"{different} different answers from 20 heads")
assert (
    n == 127
    and max(random_p) < 0.001
    and max(random_p) < 1 / n_spans
    and different >= 10
)

# %% [markdown]
# No head comes near 0.001. The probability lies almost evenly on all pairs of a start and an end, 127 × 127 of them, most
# of which are no span; that is why even the best span gets less than the 1 in 1800 of a blind choice among spans. And the answers are
# arbitrary. The reason is the size of the weights: a new head draws them with standard deviation 0.02, as BERT does. That gives
# scores that differ by tenths, and softmax makes tenths almost uniform.
#
# For a score of 0.999998, the best start and the best end must each beat *all others together* by more than 13 nats. How much
# larger would random weights have to be?

# %%
assert 13 < -math.log(1 - math.sqrt(0.999998)) < 14
for factor in (1, 10, 100, 1000):
    reached = []
    for seed in range(20):
        torch.manual_seed(seed)
        with torch.no_grad():
            scores = factor * SpanExtractor(minilm).eval().head(h)
        reached.append(best_answer(scores)[0])
    sure = sum(p > 0.99999 for p in reached)
    print(
        f"weights × {factor:4}: at best {max(reached):.3f}; {sure} heads above 0.99999"
    )
    assert factor > 10 or (max(reached) < 0.5 and sure == 0)

# %% [markdown]
# A thousand times larger, and even then only a few heads of the twenty. (With the others, the best start and the best end
# mostly form no span of at most 15 tokens.) Such certainty has nothing to do with the question. DistilBERT is twice as wide as
# MiniLM, which makes the scores' spread larger by about $\sqrt 2$, not by hundreds. So a printed 0.999998 did not come from that
# checkpoint with a new head: another checkpoint or other code made it. **While a head is new, its confidence is noise.**
#
# **Train one.** Spans need real answers. Sentences of Python's reference name exceptions: "Division by zero raises
# the "ZeroDivisionError" exception." Which exception does a sentence name? The answers come from a pattern (a capital letter,
# `Error` at the end), so a pattern would also score 1.0: this shows how a head learns, and is no feat. The head cannot use that
# pattern, for MiniLM's vocabulary has no capital letters. The encoder is frozen (冻结), so its vectors are computed once.

# %%
pattern = re.compile(r'"([A-Z][a-z]\w*(?:Error|Exit|Iteration|Interrupt))"')
asked = {}  # sentence: (topic, answer)
for topic, text in topics.items():
    for part in text.split("\n\n"):
        for s in re.split(r"(?<=[.;:]) (?=[A-Z(])", " ".join(part.split())):
            names = pattern.findall(s)
            if len(names) == 1 and 40 <= len(s) <= 300 and ">>>" not in s:
                asked.setdefault(s, (topic, names[0]))
sentences = list(asked)
held_out = torch.tensor([path_hash(asked[s][0]) % 3 == 0 for s in sentences])
print(
    f"{len(sentences)} sentences, {held_out.sum()} of them, from other topics, to test on"
)

# %%
batch = english.batch(sentences, max_seq_len=96)
with torch.no_grad():
    rows = torch.arange(len(sentences)).split(16)
    h = torch.cat(
        [minilm(batch.ids[r].to(device), batch.mask[r].to(device)) for r in rows]
    )
starts, ends = [], []
for s in sentences:
    answer = asked[s][1]
    starts.append(1 + len(english.encode(s[: s.index(answer)])))
    ends.append(starts[-1] + len(english.encode(answer)) - 1)
where = torch.tensor([starts, ends]).T.to(device)  # (N, 2)
allowed = batch.mask.clone()
allowed[:, 0] = False  # [CLS]
allowed[torch.arange(len(sentences)), batch.mask.sum(1) - 1] = False  # [SEP]


# %%
def answer_all(head):
    """The text of each sentence's best span."""
    with torch.no_grad():
        best = best_spans(head(h).cpu(), allowed, max_len=8)
    pairs = zip(batch.ids.tolist(), best.start, best.end, strict=True)
    return [english.decode(ids[i : j + 1]) for ids, i, j in pairs]


right = [[english.decode(english.encode(asked[s][1]))] for s in sentences]
test = held_out.nonzero().flatten().tolist()


def test_scores(head):
    """Exact match and F1 on the held-out topics."""
    written = answer_all(head)
    return span_scores([written[i] for i in test], [right[i] for i in test])


# %%
torch.manual_seed(0)
head, h = SpanExtractor(minilm).head.double(), h.double()
train_rows = (~held_out).to(device)
before = test_scores(head)
optimizer = torch.optim.AdamW(head.parameters(), lr=1e-2)
for _ in range(150):
    scores = head(h[train_rows]).masked_fill(
        ~allowed[~held_out][..., None].to(device), -1e4
    )
    loss = sum(F.cross_entropy(scores[..., k], where[train_rows, k]) for k in (0, 1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
after = test_scores(head)
print(
    f"before: exact {before.exact:.2f}; after: exact {after.exact:.2f}, F1 {after.f1:.2f}"
)
assert before.exact < 0.2 and after.f1 > after.exact > 0.8

# %%
written = answer_all(head)
low, high = wilson_interval(round(after.exact * len(test)), len(test))
print(f"exact on {len(test)} sentences: between {low:.2f} and {high:.2f}")
assert sum(p.numel() for p in head.parameters()) == 770 and train_rows.sum() == 46

# %%
known = {asked[s][1] for s, out in zip(sentences, held_out, strict=True) if not out}
new = [i for i in test if asked[sentences[i]][1] not in known]
n_found = sum(written[i] == right[i][0] for i in new)
print(f"{len(new)} of {len(test)} name an exception new to the head; found: {n_found}")
assert len(new) == 4 and n_found <= 3
for i in [i for i in test if written[i] != right[i][0]][:4]:
    print(f"  wanted {right[i][0]!r}, got {written[i]!r}")

# %% [markdown]
# From one answer in twenty to about nine in ten, with 770 trained numbers and 46 sentences: the frozen vectors
# held what tells an exception's name from its surroundings, and the head learned where to look. Do not read more into it. The topics
# are new, but the names of all but four sentences also stand in training, and with new names it does worse. A split by name
# would be the stricter test.
#
# The misses are instructive. A long name in several pieces is cut; another answer begins too early, at another quoted word. **Exact
# match** (完全匹配) counts all of them as wrong. F1 over words (Rajpurkar et al. 2016) gives points for an overlap: half a point to the
# answer that is too long, none to `##visionerror`, which shares no whole word with the right one. Both are means over few sentences, and
# the 95 % interval (Wilson 1927) says how few.
#
# ## 7 Search, and what it is compared with
#
# For a search no head is needed: texts become vectors, and the nearest wins (检索). Real pairs are in the standard library: a
# function's docstring says what it does, its name and arguments say what it is. Query: the docstring's first paragraph. To
# find: the function.


# %%
def described_functions(path, source):
    """(docstring's first paragraph, "name(arguments)") of a file's functions."""
    pairs = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("__"):
            words = (ast.get_docstring(node) or "").split("\n\n")[0].split()
            arguments = ", ".join(a.arg for a in node.args.args if a.arg != "self")
            if 20 <= len(text := " ".join(words)) <= 120:
                pairs.setdefault(text, f"{node.name}({arguments})".replace("_", " "))
    return list(pairs.items())


# %%
files, sides = python_stdlib().parts, {"train": [], "test": []}
for path in sorted(files, key=path_hash):
    side, n_files = ("train", 15) if side_of(path) == "train" else ("test", 12)
    if len(sides[side]) < n_files and files[path].count('"""') > 40:
        pairs = described_functions(path, files[path])
        sides[side] += [pairs[:20]] if len(pairs) >= 20 else []
pairs = [pair for group in sides["test"] for pair in group]
queries, functions = zip(*pairs, strict=True)
for query, function in pairs[3:100:32]:
    print(f"{query}  ->  {function}")
assert len(pairs) == 240

# %%
q, f = (embed_sentences(minilm, english, texts).cpu() for texts in (queries, functions))
similarity = q @ f.T  # (240, 240): cosines
own, group = torch.arange(240), torch.arange(240) // 20


def recall_at_1(similarity, among=None):
    """Share of queries whose own function is the nearest, among those of one set."""
    if among is not None:
        similarity = similarity.masked_fill(among[:, None] != among[None], -2)
    return (similarity.argmax(1) == own).double().mean().item()


# %% [markdown]
# **Recall at 1** is the share of queries whose own function is the nearest; **recall at 10**, the share that find it among the
# ten nearest.
#
# **Predict.** Each query chooses among 20 functions: its own and 19 **negatives** (负例). Does it matter whether the
# negatives are drawn at random or from the same file?

# %%
torch.manual_seed(0)
draws = [group[torch.randperm(240)] for _ in range(20)]
recalls = {
    "19 at random": np.mean([recall_at_1(similarity, among) for among in draws]),
    "19 of the same file": recall_at_1(similarity, group),
    "all 239": recall_at_1(similarity),
}
for negatives, recall in recalls.items():
    print(f"against {negatives:>20}: recall at 1 = {recall:.2f}")
low, high = wilson_interval(round(240 * recalls["19 of the same file"]), 240)
print(f"interval of the second: {low:.2f} to {high:.2f}")
assert recalls["19 at random"] > recalls["19 of the same file"] + 0.2
assert recalls["19 of the same file"] > recalls["all 239"]

# %% [markdown]
# One model, one set of queries, and three results: more than twenty points lie between the first and the second. **Hard
# negatives** (难负例) are those that look right:
# functions of the same file share their subject and their words. "Recall 0.8" means nothing until you
# know against what. Measure on negatives like those of the real use.
#
# **Training with negatives.** The others in a batch serve as negatives, at no cost (批内负例): for query $i$ of $B$, with
# cosines $S_{ij}$ between query $i$ and function $j$ and a temperature $\tau$ (温度; 0.05 here),
#
# $$L = -\frac1B \sum_i \log \frac{e^{S_{ii}/\tau}}{\sum_j e^{S_{ij}/\tau}},$$
#
# a cross-entropy (交叉熵) whose right class is the diagonal (van den Oord et al. 2018; the published MiniLM was
# trained so, on a billion pairs of sentences). Start from something weaker than MiniLM: the mean of its *word vectors*, without any layer. Learn one
# matrix on 300 pairs from other files, with random batches, or with batches from one file each.


# %%
def bag(texts):
    """The mean of a text's piece embeddings, scaled to length 1; no layer is run."""
    table = minilm.tok_emb.weight.detach().cpu().double()
    return F.normalize(
        torch.stack([table[english.encode(t)].mean(0) for t in texts]), dim=-1
    )


def fit_map(q, f, hard, tau=0.05, epochs=10):
    """A matrix that brings each query near its function."""
    W = nn.Parameter(torch.eye(q.shape[1], dtype=q.dtype))
    optimizer, generator = (
        torch.optim.Adam([W], lr=1e-3),
        torch.Generator().manual_seed(0),
    )
    for _ in range(epochs):
        order = (
            torch.arange(len(q))
            if hard
            else torch.randperm(len(q), generator=generator)
        )
        for rows in order.reshape(-1, 20):
            S = F.normalize(q[rows] @ W, dim=-1) @ F.normalize(f[rows] @ W, dim=-1).T
            loss = F.cross_entropy(S / tau, torch.arange(20))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return W.detach()


# %%
learn_q, learn_f = zip(
    *[pair for group in sides["train"] for pair in group], strict=True
)
bags = [bag(texts) for texts in (learn_q, learn_f, queries, functions)]
maps = {"word vectors": torch.eye(384, dtype=torch.float64)}
for kind in ("random", "hard"):
    maps[f"+ map, {kind} batches"] = fit_map(*bags[:2], hard=kind == "hard")
found = {}
for name, W in maps.items():
    S = F.normalize(bags[2] @ W, dim=-1) @ F.normalize(bags[3] @ W, dim=-1).T
    top10 = (S.topk(10).indices == own[:, None]).any(1).double().mean().item()
    found[name] = top10, recall_at_1(S), recall_at_1(S, group)
top10 = (similarity.topk(10).indices == own[:, None]).any(1).double().mean().item()
found["MiniLM"] = top10, recalls["all 239"], recalls["19 of the same file"]

# %%
print("recall                    at 10   at 1   at 1, same file")
for name, row in found.items():
    print(f"{name:<24}", *(f"{figure:6.2f}" for figure in row))
start, random_, hard, published = found.values()
assert random_[0] > start[0] + 0.07 and hard[0] > start[0] + 0.05
assert abs(random_[2] - hard[2]) < 0.06 > published[0] - random_[0]  # the interval

# %% [markdown]
# The map learns on 300 pairs: recall at 10 rises by about a tenth, and word vectors with one matrix draw level with MiniLM and its
# six layers. (For a name of two or three words, order matters little.) Hard batches were no better than random ones
# here; the difference is well inside the interval. Published retrievers do gain from hard negatives, with tens of
# thousands of pairs and more (Karpukhin et al. 2020, sections 3.2 and 5.2). One thing speaks against them at any size: a function
# that fits the query *too*, drawn as a negative (a false negative, 假负例), teaches the wrong thing, and files are full of near twins.
#
# ## 8 Cross-validation, where it belongs
#
# **Number.** You have 200 labelled sentences. Hold out 40 to measure on: the standard error of an accuracy of 0.75 is then
# $\sqrt{0.75 \cdot 0.25/40} = 0.07$. **k-fold cross-validation** (交叉验证) uses each sentence once for testing and
# $k-1$ times for training: split into $k$ parts, train $k$ times, average.

# %%
movies = movie_sentences()
few, many = movies.train.rows(range(200)), movies.test.rows(range(300))
x, x_new = (
    embed_sentences(minilm, english, side.texts).cpu().double().numpy()
    for side in (few, many)
)
y, y_new = np.array(few.labels), np.array(many.labels)


def fit_and_score(train, test):
    """Accuracy on rows ``test`` of a logistic regression on rows ``train``."""
    model = LogisticRegression(C=3.0).fit(x[train], y[train])
    return model.score(x[test], y[test])


# %%
one_split, five_folds = [], []
for seed in range(20):
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    scores = [fit_and_score(train, test) for train, test in folds.split(x, y)]
    one_split.append(scores[0])  # the first fold alone is one split
    five_folds.append(np.mean(scores))
real = LogisticRegression(C=3.0).fit(x, y).score(x_new, y_new)
for name, figures in (("40 held out", one_split), ("5 folds", five_folds)):
    print(f"{name:>11}: from {min(figures):.2f} to {max(figures):.2f}")
print(f"300 new sentences: {real:.2f}")

# %%
assert round(math.sqrt(0.75 * 0.25 / 40), 2) == 0.07
spread = np.std(one_split), np.std(five_folds)
print(f"standard deviation: {spread[0]:.3f} and {spread[1]:.3f}")
assert spread[1] < 0.5 * spread[0] and real > max(five_folds)
assert round(math.sqrt(0.7 * 0.3 / 200), 2) == 0.03

# %% [markdown]
# The same 200 sentences; only the seed of the split differs. A single split can flatter or scold by ten points and more, and the
# averages of five folds agree with each other, at the price of five small trainings. Agreeing is not being right: all twenty averages
# share the same 200 sentences, and the accuracy on new ones lies above every one of them. (The folds trained on 160
# sentences, not 200, and 200 test sentences have a standard error of 0.03 of their own.) And what was *chosen* by cross-validation
# needs other data for its final figure.
#
# **A claim that readers meet.** "Choose the architecture of a large language model by cross-validation." Do the sum. GPT-3's training
# took about $6 N D$ operations ([chapter 08](08_transformer.ipynb), section 9) for $N$ = 174.6 billion parameters and $D$ = 300 billion tokens (Brown et al. 2020, appendix D):

# %%
operations = 6 * 174.6e9 * 300e9
print(f"one training {operations:.2e}, five folds {5 * operations:.1e} operations")
for n_tokens in (
    40,
    10_000,
    10_000_000,
):  # if one token's loss has standard deviation 3
    print(f"held out {n_tokens:>10,}: standard error {3 / math.sqrt(n_tokens):.3f}")
assert round(operations / 1e23, 2) == 3.14

# %% [markdown]
# Five folds would be five such trainings for each architecture, and would buy nothing. With a standard deviation of 3 nats a token,
# ten million held-out tokens, a vanishing part of the data, have a standard error of a thousandth of a nat. (Tokens of one text are not
# independent, so take ten times that; it is still small.) Cross-validation is for when *data to test on* are scarce and training is cheap.
# Pretraining is the opposite: one held-out split, and small runs whose losses are extrapolated (scaling laws, 缩放定律; Kaplan et
# al. 2020).
#
# ## 9 Two pitfalls
#
# **Scoring what does not count.** Targets hold −100 at second pieces and padding. Handed to a metric as they are, they would be
# a class of their own; lmcore refuses. The next cell fails on purpose.

# %% tags=["raises-exception"]
batch = token_label_batch(code, data.test, range(4))
f1_score(batch.targets.flatten(), torch.zeros(batch.targets.numel(), dtype=int), 14)

# %% [markdown]
# (Take `targets[targets != IGNORE_INDEX]`, and the same places of the predictions.)
#
# **A tag without B or I.** Entity F1 is defined on IOB2 tags. Plain types would let two neighbouring names melt into one;
# this fails too:

# %% tags=["raises-exception"]
entity_f1([["PER", "PER", "O"]], [["PER", "PER", "O"]])

# %% [markdown]
# ## Summary
#
# - One encoder serves many tasks; a head is one matrix, applied to the pooled vector or to each token. For a span it has two
#   rows, one for the start and one for the end.
# - A word's label stands at its first piece; the rest is −100 and counts neither in the loss nor in the score.
# - Baselines first: counting, then neighbours. Where neighbours decide, a window is hard to beat with few data.
# - Accuracy counts words, macro F1 counts classes, entity F1 counts whole names. State which, and on how many items.
# - A span's score is the sum of its ends'. An untrained head answers at random and with a score near 0; 0.999998 is no result of one.
# - A recall is worth what its negatives are worth. Hard ones are those of the real use.
# - Cross-validation is for scarce data and cheap training; pretraining has the opposite problem.
#
# ## Exercises
#
# Conceptual
#
# 1. Why does the loss skip second pieces, where it could give them the word's label too?
# 2. A test for a disease that 1 % have is "99 % accurate". Give a test that needs no blood and has that accuracy. What is its
#    macro F1?
# 3. A colleague tunes the threshold on the test set "because it is only one number". What is wrong?
#
# Coding
#
# 4. Write entity F1 by hand with sets of (type, start, end), and check it on section 5's sentence.
# 5. Give section 3's counting the word before as a second key, falling back to the word alone. How much of the way to the
#    window does it go?
# 6. Find the temperature that calibrates the encoder of section 3 best (divide the logits by $T$; here $\log p$ will do).
#
# Open
#
# 7. Build a harder span task from the standard library: the question names an argument, the answer is its default
#    value in the signature. What does the head need that section 6's did not?
#
# ## Answers
#
# <details><summary>1</summary>
#
# It could, and some do. But long words would weigh more than short ones in the loss, and the model would be asked to label fragments
# whose word it has already labelled. What must not happen is to train one way and score the other.
# </details>
#
# <details><summary>2</summary>
#
# Say "healthy" to everyone. Accuracy 0.99. F1 of "healthy" is $2 \cdot 0.99/(0.99 + 1) = 0.995$, of "ill" 0, so macro F1
# is 0.497. Recall of the ill is what matters, and it is 0.
# </details>
#
# <details><summary>3</summary>
#
# The threshold then fits this test set's chance, and the figure is too good. Choose it on validation data, and report the test once.
# </details>
#
# **4.**


# %%
def names_by_hand(tags):
    """{(type, start, end)} of IOB2 tags."""
    found, start = set(), None
    for i, tag in enumerate([*tags, "O"]):
        goes_on = start is not None and tag == f"I-{tags[start][2:]}"
        if start is not None and not goes_on:
            found.add((tags[start][2:], start, i))
            start = None
        if tag != "O" and not goes_on:
            start = i
    return found


a, b = names_by_hand(right_tags), names_by_hand(model_tags)
f1 = 2 * len(a & b) / (len(a) + len(b))
assert f1 == entity_f1([right_tags], [model_tags]) == 0.4

# %% [markdown]
# **5.**

# %%
seen = defaultdict(Counter)
for words, labels in zip(data.train.words, data.train.labels, strict=True):
    for before_, word, label in zip(["<", *words], words, labels, strict=False):
        seen[before_, word][label] += 1
before_flat = [w for words in data.test.words for w in ["<", *words[:-1]]]
pairs_counted = [
    seen[key].most_common(1)[0][0] if key in seen else old
    for key, old in zip(zip(before_flat, flat, strict=True), counted, strict=True)
]
gain = accuracy(truth, pairs_counted) - accuracy(truth, counted)
print(f"accuracy {accuracy(truth, pairs_counted):.2f}, {gain:+.2f}")
assert 0.01 < gain < accuracy(truth, windowed) - accuracy(truth, counted)

# %% [markdown]
# About two points of thirteen: pairs of words are sparser than words, and the words that follow are missing. The window adds up what
# each neighbour says alone, and need not have seen the pair.
#
# **6.**

# %% tags=["nbval-ignore-output"]
half = len(truth) // 2  # choose on one half, look at the other
log_p = torch.tensor(np.log(probs + 1e-9))
target = torch.tensor(truth)
temperatures = np.linspace(0.5, 2.5, 41)
nats = [cross_entropy(log_p[:half] / t, target[:half]).item() for t in temperatures]
chosen = temperatures[int(np.argmin(nats))]
then, now = (cross_entropy(log_p[half:] / t, target[half:]).item() for t in (1, chosen))
print(f"temperature {chosen:.2f}: {then:.2f} nats before, {now:.2f} after, other half")
assert 0.5 <= chosen <= 2.5 and now < then + 0.02

# %% [markdown]
# One number does not change which label is likeliest, so accuracy and F1 stay; only the sureness moves (Guo et al.
# 2017). Here the best temperature is near 1, and there is little to gain. Too sure in some bins (section 4), the encoder is not so
# on the whole, and one number cannot mend single bins.
#
# **7.** No answer is given; a hint: the head must find the argument's name in the question and again in the signature, so
# question and text have to be read together, as a pair of segments.
#
# ## References
#
# - J. Devlin, M.-W. Chang, K. Lee and K. Toutanova, "BERT", *NAACL* (2019), sections 4 and 5.3.
# - E. Tjong Kim Sang and F. De Meulder, "Introduction to the CoNLL-2003 shared task", *CoNLL* (2003), section 2.
# - P. Rajpurkar et al., "SQuAD: 100,000+ questions for machine comprehension of text", *EMNLP* (2016), section 6.
# - V. Sanh et al., "DistilBERT", arXiv 1910.01108 (2019), section 3.
# - W. Wang et al., "MiniLM", *NeurIPS* (2020), section 3.
# - N. Reimers and I. Gurevych, "Sentence-BERT", *EMNLP* (2019), section 3.
# - A. van den Oord, Y. Li and O. Vinyals, "Representation learning with contrastive predictive coding", arXiv
#   1807.03748 (2018), section 2.
# - V. Karpukhin et al., "Dense passage retrieval for open-domain question answering", *EMNLP* (2020), sections 3.2
#   and 5.2 (in-batch and hard negatives).
# - C. Guo, G. Pleiss, Y. Sun and K. Weinberger, "On calibration of modern neural networks", *ICML* (2017), section 2.
# - E. B. Wilson, "Probable inference, the law of succession, and statistical inference", *JASA* 22 (1927).
# - T. Brown et al., "Language models are few-shot learners", *NeurIPS* (2020), appendix D.
# - J. Kaplan et al., "Scaling laws for neural language models", arXiv 2001.08361 (2020).
#
# **Lab:** [Lab 7, Fine-tune an encoder](../labs/07_fine_tuning/lab.ipynb).
#
# **Next:** [Appendix A](A_claims_checked.ipynb): statements that are repeated everywhere, each of them run. (Chapter 15, on models that answer with a text, is being written.)
