# %% [markdown]
# # 11 · Pretraining objectives
#
# **Question.** A text can be cut, hidden or shuffled in many ways before a model has to give it back. What does each way ask, and how can anyone tell which is best?
#
# **Prerequisites.** [08 The Transformer](08_transformer.ipynb): encoder and decoder; [09 GPT](09_gpt.ipynb): next-token prediction; [10 BERT](10_bert.ipynb): masked words.
#
# **Time.** 90 minutes to read; 20–60 s to run on two CPU cores.

# %% [markdown]
# After this chapter you can
#
# - say for eleven objectives what goes in, what is asked, and how many answers a token of reading buys;
# - write span corruption from its definition, and test any objective for leaks;
# - explain why a loss of 1 may be worse than a loss of 5, and compare objectives by a task instead;
# - tell what a model can do after each objective, and what not;
# - say what an autoencoder is, whether a language model is one, and what became of "shuffle the text, predict the original".

# %%
import inspect
import json
import math
import os
import re
import textwrap
from collections import Counter
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn
from tqdm import tqdm

# %%
from lmcore.data import (
    batches,
    course_corpus,
    movie_sentences,
    pack_sentences,
    plain_english,
)
from lmcore.generate import Sampling, generate_text
from lmcore.losses import IGNORE_INDEX, cross_entropy
from lmcore.models.bert import Bert, BertConfig, BertForPretraining, mean_pool
from lmcore.models.bert_files import load_bert_files
from lmcore.models.gpt_files import load_gpt
from lmcore.models.t5 import T5, T5Config

# %%
from lmcore.objectives import (
    causal_pairs,
    corrupt_spans,
    delete_tokens,
    fill_spans,
    find_phrases,
    generator_at,
    infill_text,
    masked_tokens,
    merge_units,
    next_sentence_pairs,
    noise_counts,
    pad_pairs,
    permute_sentences,
    shuffle_tokens,
    word_starts,
    word_units,
)
from lmcore.optim import Adam, AdamW, cosine_schedule
from lmcore.plotting import new_plots, plt
from lmcore.runtime import seed_everything

# %%
seed_everything(0)
torch.set_num_threads(1)  # many small products: a second thread would mostly wait
RESULTS = Path("..") / "results"
english, films = plain_english(), movie_sentences()
bert, tokenizer = load_bert_files(RESULTS / "bert_course")  # chapter 10's
V, vocab = tokenizer.vocab_size, tokenizer.vocab

# %% [markdown]
# ## 1 How many lessons are in a row?
#
# Chapter 09 trained a model to say the next token, chapter 10 one to name hidden tokens; the first BERT also had
# to say whether a sentence follows. Take 128 tokens of real text. How many answers does each **pretraining objective** (预训练目标) ask for?

# %%
chapter = list(chain.from_iterable(map(tokenizer.encode, english.validation[0])))
first_128 = torch.tensor([chapter[:128]])
hide = {
    "mask_id": tokenizer.mask_id,
    "special_ids": tokenizer.special_ids,
    "vocab_size": V,
}
_, next_tokens = causal_pairs(first_128)
_, hidden_tokens = masked_tokens(first_128, generator=generator_at(0), **hide)
for name, targets in (("next token", next_tokens), ("hidden tokens", hidden_tokens)):
    print(f"{name:>13}: {(targets != IGNORE_INDEX).sum()} answers")
assert next_tokens.numel() == 127 and (hidden_tokens != IGNORE_INDEX).sum() == 19

# %% [markdown]
# 127, 19, and for "does it follow?" a single one. Has the first model learned seven times as much from the row? Or
# is an answer that was worked out from both sides worth more? Their losses will not tell: they are losses on different
# questions. This chapter lays all the questions side by side, shows why their losses do not compare, and
# compares what can be compared.
#
# ## 2 One text, eleven questions
#
# Two sentences from a film review, 22 tokens. They hold a name of two words, and two words that the tokenizer cuts
# into pieces (`##` marks a piece that goes on a word).

# %%
text = "Undercover Brother doesn't go far enough. It's just a silly black genre spoof."
assert text in films.train.texts
ids = torch.tensor([tokenizer.encode(text)])
SENTINELS = range(V, V + 8)  # tokens of their own; used from "span corruption" on


def word(token):
    """How a token is shown."""
    return f"<{token - V}>" if token >= V else tokenizer.pieces[token]


def show(label, tokens):
    """A label and tokens, broken into lines."""
    line = f"{label:>16}  {' '.join(tokens)}"
    print(textwrap.fill(line, 90, subsequent_indent=" " * 18))


# %%
print(ids.shape)
show("the text", map(word, ids[0].tolist()))
assert ids.shape == (1, 22)

# %% [markdown]
# ### Name it where it stands
#
# Here input and targets have the same length. Where something is asked, the answer stands behind an arrow:
# `[MASK]→brother` means that the model reads `[MASK]` and should say "brother". Where no arrow stands, nothing is asked,
# and the loss leaves the position out.


# %%
def with_answers(inputs, targets):
    """Tokens of one row, each with its answer if one is asked for."""
    return [
        word(i) if t == IGNORE_INDEX else f"{word(i)}→{word(t)}"
        for i, t in zip(inputs.tolist(), targets.tolist(), strict=True)
    ]


# %%
inputs, targets = causal_pairs(ids)
show("causal (GPT)", with_answers(inputs[0], targets[0]))

# %% [markdown]
# **Causal** language modelling (因果语言建模) asks at every position. The next four hide a fifth of the tokens (BERT: 15 %; a
# bit more, so that a short text shows it). What differs is which tokens share a fate, their **unit**. From chapter 10:
# of what is chosen, 80 % becomes `[MASK]`, 10 % a random token, 10 % stays; the answer is asked for in all three cases.

# %%
by_word = word_units(ids, word_starts(tokenizer.pieces), tokenizer.special_ids)
names = find_phrases(ids, [tokenizer.encode("Undercover Brother")], by_word)
by_phrase = merge_units(by_word, names)
kinds = {
    "tokens (BERT)": (45, {}),
    "whole words": (14, {"units": by_word}),
    "phrases (ERNIE)": (4, {"units": by_phrase}),
    "spans (SpanBERT)": (21, {"units": by_word, "max_span": 10}),
}
for name, (seed, how) in kinds.items():
    how = how | hide | {"generator": generator_at(seed), "rate": 0.2}
    inputs, targets = masked_tokens(ids, **how)
    show(name, with_answers(inputs[0], targets[0]))
    assert (targets != IGNORE_INDEX).sum() == 4

# %% [markdown]
# **Masked** language modelling (掩码语言建模), four ways. **Whole-word masking** (全词掩码) never hides a piece and leaves
# its neighbour. ERNIE's **phrase masking** (短语掩码; Sun et al. 2019, section 3.2) hides a name as a whole. SpanBERT
# (Joshi et al. 2020, section 3.1) hides **spans** (跨度): stretches of words, with lengths drawn at random. (The seeds were
# chosen so that each line shows its point.)
#
# ### Write it down
#
# The other family has an **encoder** (编码器) that reads a damaged text, and a **decoder** (解码器) that writes.


# %%
def show_pair(name, pair):
    """What the encoder reads, and what the decoder has to write."""
    show(f"{name}: reads", map(word, pair[0].tolist()))
    show("writes", map(word, pair[1].tolist()))


# %%
tokens = ids[0]
marks = {"end_ids": [vocab["."]]}
cut = {"sentinel_ids": SENTINELS, "rate": 0.2, "mean_span": 2.0}
show_pair("T5", corrupt_spans(tokens, generator=generator_at(12), **cut))
gaps = {"mask_id": tokenizer.mask_id}
show_pair("infilling", infill_text(tokens, generator=generator_at(24), **gaps))
show_pair("deletion", delete_tokens(tokens, generator=generator_at(0)))
show_pair("sentences", permute_sentences(tokens, generator=generator_at(2), **marks))
show_pair("shuffling", shuffle_tokens(tokens, generator=generator_at(0)))

# %% [markdown]
# - **Span corruption** (跨度破坏; T5, Raffel et al. 2020) cuts spans out. A **sentinel** (哨兵符) `<0>`, `<1>`, … marks each cut,
#   and the decoder writes down only what was cut, each piece behind its sentinel.
# - **Text infilling** (文本填充), **token deletion** (词元删除) and **sentence permutation** (句子重排) are three of BART's
#   (Lewis et al. 2020, section 2.2). The decoder writes the *whole* text. In infilling, one `[MASK]` stands for a gap of
#   any length, even none.
# - **Deshuffling** (乱序还原): all tokens in a random order; one of the objectives that T5's authors tried.
#
# ### Say one thing about all of it
#
# **Next-sentence prediction** (下句预测; Devlin et al. 2019) asks one question about two segments: 0 for "the second follows the
# first", 1 for "it is from another document". Our text is one document here, another review the other.

# %%
start = "Human Resources was a good"
(other,) = (t for t in films.train.texts if t.startswith(start))
documents = [
    [tokenizer.encode(s) for s in re.split(r"(?<=\.) ", review)]
    for review in (text, other)
]
ends = {f"{name}_id": vocab[f"[{name.upper()}]"] for name in ("cls", "sep", "pad")}
pairs = next_sentence_pairs(
    documents, 2, max_seq_len=40, generator=generator_at(0), **ends
)
for pair, target in zip(pairs.ids, pairs.targets.tolist(), strict=True):
    real = [i for i in pair.tolist() if i != vocab["[PAD]"]]
    show(f"asked: {target}", map(word, real))

# %% [markdown]
# **Equation.** All eleven are one formula. Something is done to the text $x$, which gives $\tilde{x}$ and a list of
# answers $y_1, \dots, y_n$; the loss is
#
# $$L(\theta) = -\frac1n \sum_{i=1}^{n} \log p_\theta(y_i \mid \tilde{x}, s_i).$$
#
# Here $p_\theta(y_i \mid \dots)$ is the probability that the model with parameters $\theta$ gives the answer $y_i$. What differs is
# $\tilde x$ (what goes in), $y$ (what is asked), and $s_i$: what else may be seen at answer $i$. In a causal model
# it is the tokens before; in an encoder nothing; in a decoder the answers before.

# %% [markdown]
# ## 3 What a step teaches, and what stands in sight
#
# Two figures describe an objective before any training: how many **answers per token read** it asks for (the signal of a
# step), and how many of the answers stand **in sight**, in what the model reads. An answer in sight is a leak (泄漏) if
# the model can copy it, unless finding its place is the task.
#
# To count exactly, let 64 different numbers stand for 64 tokens. Every objective is a pure function of ids, so it
# does not care. For an encoder and decoder, both sides count as read. Sentinels that the decoder writes
# count as asked; what is in sight is counted among the other answers.

# %%
numbers, seen = torch.arange(10, 74), {}
how = {"generator": generator_at(3)}
fake = {"mask_id": 1, "special_ids": [0], "vocab_size": 100_000}
spans = {"sentinel_ids": range(100, 110)}
made = {
    "causal": causal_pairs(numbers[None]),
    "masked, 15 %": masked_tokens(numbers[None], **fake, generator=generator_at(0)),
    "span corruption": corrupt_spans(numbers, **spans, **how),
    "infilling": infill_text(numbers, mask_id=1, **how),
    "deletion": delete_tokens(numbers, **how),
    "sentences": permute_sentences(numbers, end_ids=[25, 41, 73], **how),
    "shuffling": shuffle_tokens(numbers, **how),
}

# %%
for name, (inputs, targets) in made.items():
    writes = targets.dim() == 1  # a decoder, which reads what it has written
    n_read = inputs.numel() + writes * targets.numel()
    n_asked = int((targets != IGNORE_INDEX).sum())
    answers = targets[(targets >= 10) & (targets < 74)]  # no sentinels
    in_sight = torch.isin(answers, inputs).double().mean().item()
    seen[name] = (n_asked / n_read, in_sight)
    print(f"{name:>15}: reads {n_read:3}, answers {n_asked:2}", end="")
    print(f" ({n_asked / n_read:4.0%}); {in_sight:4.0%} in sight")

# %% alt="Two bar charts over the same seven objectives. Answers per token read: causal 100 %, infilling, deletion, sentences and shuffling about half, span corruption a fifth, masked a sixth. Share of answers in sight: sentences and shuffling 100 %, causal nearly 100 %, deletion 84 %, infilling 70 %, masked one tenth, span corruption none."
figure, panels = new_plots(1, 2, sharey=True, height=3.6)
for panel, column, title in zip(
    panels, (0, 1), ("What a step asks", "What stands in sight"), strict=True
):
    panel.barh(list(seen), [100 * figures[column] for figures in seen.values()])
    panel.set(title=title, xlim=(0, 105))
    panel.set_axisbelow(True)
panels[0].set_xlabel("answers per token read, %")
panels[1].set_xlabel("answers in what is read, %")
panels[0].invert_yaxis()
assert seen["causal"][0] == 1 and seen["shuffling"] == (0.5, 1.0)
assert seen["span corruption"][1] == 0 and seen["masked, 15 %"][1] == 0.1
assert round(seen["infilling"][1], 1) == 0.7 and 0.8 < seen["deletion"][1] < 0.9
plt.show()

# %% [markdown]
# **How to read it.** Left: longer is more answers for the same reading. Right: longer is more that could be copied.
#
# - **Causal.** Every answer but the last stands in the input, one place to the right. The data do not hide it; the *model's*
#   causal mask does. The same pairs given to an encoder without that mask teach it to look one place to the right.
# - **Masked.** One answer in ten is in sight on purpose: what was chosen and left as it was.
# - **Shuffling, sentences.** Everything is in sight, and the order alone is asked.
# - **Span corruption.** Nothing is in sight, and only the cut tokens and their sentinels are written: the shortest targets of those who write.
#
# (Next-sentence prediction has one answer a row. What leaks there is the topic: ALBERT's authors found it enough for most
# pairs, and asked for the order of two neighbours instead; Lan et al. 2020, section 3.1.)
#
# The in-sight test is strict only because all numbers differ. A test that works on any text: **change an answer, and
# what goes in must stay the same, bit for bit.** (The same seed hides the same places.)


# %%
def leaks(objective, ids, place):
    """Whether what goes in changes with the token at a place."""
    changed = ids.clone()
    changed[..., place] = 99_999
    before, after = (objective(x, generator=generator_at(3))[0] for x in (ids, changed))
    return not torch.equal(before, after)


# %%
def cut_out(x, generator):
    return corrupt_spans(x, generator=generator, **spans)


inputs, targets = cut_out(numbers, generator_at(3))
asked = targets[targets < 74] - 10  # places, since number n stands at place n - 10
others = [place for place in range(64) if place not in asked]
assert not any(leaks(cut_out, numbers, place) for place in asked.tolist())
assert all(leaks(cut_out, numbers, place) for place in others)  # the test can fail
assert all(leaks(shuffle_tokens, numbers, place) for place in range(64))
print(f"{len(asked)} answers of span corruption: none leaks. Shuffling: all do.")

# %% [markdown]
# There is a softer leak that no such test sees: *part* of an answer. Hide `##over` alone, and `under ##c` gives it away.
# How much? Count which piece follows which in the training text. Then name the pieces of new text that go on a word: from
# the piece before, as when they are hidden alone, or without it, as when the whole word is hidden.

# %%
learned = [tokenizer.encode(s) for document in english.train for s in document]
unread = [tokenizer.encode(s) for document in english.test for s in document]
starts = word_starts(tokenizer.pieces)


def neighbours(sentences):
    """All pairs of a token and a piece behind it that goes on its word."""
    pairs = [pair for s in sentences for pair in pairwise(s)]
    return [(left, piece) for left, piece in pairs if not starts[piece]]


# %%
after, alone = {}, Counter()
for left, piece in neighbours(learned):
    after.setdefault(left, Counter())[piece] += 1
    alone[piece] += 1
usual = alone.most_common(1)[0][0]
test = neighbours(unread)
guesses = [
    after[left].most_common(1)[0][0] if left in after else usual for left, _ in test
]
given = np.mean(
    [guess == piece for guess, (_, piece) in zip(guesses, test, strict=True)]
)
blind = np.mean([piece == usual for _, piece in test])
print(
    f"{len(test)} pieces; named from the piece before {given:.0%}, without it {blind:.0%}"
)
assert 0.25 < given < 0.4 and blind < given / 2

# %% [markdown]
# A third of them takes no understanding, only a table of spellings; without the piece before, that falls by more than half. BERT's
# authors later released models trained with whole words hidden.
#
# ## 4 Span corruption, from its definition
#
# **Number.** A text of $N = 20$ tokens, a rate of 15 %, spans of 3 tokens on average. So $0.15 \cdot 20 = 3$ tokens are cut, in
# $3 / 3 = 1$ span; 17 are kept. With $N = 64$: 10 tokens, 3 spans.

# %%
for length in (20, 64, 512):
    n_noise, n_spans = noise_counts(length, rate=0.15, mean_span=3.0)
    print(f"{length:3} tokens: {n_noise} are cut, in {n_spans} spans")
assert noise_counts(64, 0.15, 3.0) == (10, 3)

# %% [markdown]
# How *many* is fixed; only *where* is drawn. **Code.** Cut the 10 tokens into 3 pieces, each way of cutting as likely: choose 2 of
# the 9 places between them. Cut the 54 kept ones into 3 pieces likewise. Then lay a kept piece, a cut piece, a kept
# piece, … one behind the other.


# %%
def pieces_naive(n, k, generator):
    """Lengths of k pieces of n tokens: k - 1 of the n - 1 places between them."""
    places = torch.randperm(n - 1, generator=generator)[: k - 1].sort().values + 1
    bounds = [0, *places.tolist(), n]
    return [bounds[i + 1] - bounds[i] for i in range(k)]


def corrupt_naive(tokens, sentinels, generator, rate=0.15, mean_span=3.0):
    """Input and target of T5, token by token."""
    n_cut = round(rate * len(tokens))
    k = max(1, round(n_cut / mean_span))
    kept = pieces_naive(len(tokens) - n_cut, k, generator)
    cut = pieces_naive(n_cut, k, generator)
    inputs, targets, left = [], [], list(tokens)
    for i in range(k):
        inputs += [left.pop(0) for _ in range(kept[i])] + [sentinels[i]]
        targets += [sentinels[i]] + [left.pop(0) for _ in range(cut[i])]
    return inputs, targets


# %% [markdown]
# lmcore's `corrupt_spans` does the same, with checks of its arguments. On the same seeds the two must agree. And
# `fill_spans` puts the text together again, so nothing is lost:

# %%
source = inspect.getsource(corrupt_spans)
print(source[source.index("    kept = ") :])

# %%
for seed in range(200):
    length = 10 + seed % 55
    tokens = numbers[:length]
    ours = corrupt_naive(tokens.tolist(), range(100, 110), generator_at(seed))
    theirs = corrupt_spans(tokens, generator=generator_at(seed), **spans)
    assert ours == tuple(t.tolist() for t in theirs)
    assert fill_spans(*theirs, sentinel_ids=range(100, 110)) == tokens.tolist()

# %% [markdown]
# **Equation.** With $n = \mathrm{round}(\rho N)$ tokens cut at rate $\rho$, in $k = \mathrm{round}(n / \mu)$ spans of mean length $\mu$
# (at least one of each), the lengths in tokens are
#
# $$|\text{input}| = N - n + k, \qquad |\text{target}| = n + k.$$
#
# BART's decoder would write all $N$ tokens. At T5's $N = 512$:

# %%
n_noise, n_spans = noise_counts(512, 0.15, 3.0)
print(f"T5 writes {n_noise + n_spans} tokens, BART 512")
assert n_noise + n_spans == 103

# %% [markdown]
# **Predict.** How often is the *last* token of a text among those cut out? It is one of 64, and 15 % are cut.

# %%
last = [int(cut_out(numbers, generator_at(seed))[1][-1] == 73) for seed in range(300)]
print(f"cut out in {np.mean(last):.0%} of 300 draws")
assert sum(last) == 300

# %% [markdown]
# Always. Kept and cut pieces take turns and a kept one comes first, so a cut one comes last; the released T5 code does the same. In a
# window out of a long text it hardly matters. In short texts it matters a lot, as section 8 will show.
#
# ## 5 Why losses do not compare
#
# **Number.** Someone knows an objective's rule and how frequent each token is, and nothing else. What loss do they get?
# Take real windows of 64 tokens.
#
# - Where a token has to be named out of nothing, they pay the **entropy** (熵) of the tokens' frequencies (to be exact, the cross-entropy
#   of the training text's frequencies on new text).
# - A token in sight costs nothing if its place is known.
# - An order costs the logarithm of the number of different orders: $\log N!$, less where tokens repeat.
#
# As in section 3: of 64 tokens, 10 are cut or deleted, and infilling hides 19. Lengths of gaps are taken as known, so the
# prices of span corruption and infilling are a little low.

# %%
counts = torch.bincount(torch.tensor(list(chain.from_iterable(learned))), minlength=V)
frequency = (counts + 1).double() / (counts + 1).sum()
stream = torch.tensor(list(chain.from_iterable(unread)))
windows = stream[: len(stream) // 64 * 64].view(-1, 64)
entropy = -frequency[windows].log().mean().item()
print(f"{len(windows)} windows; {entropy:.2f} nats to name a token from nothing")


# %%
def log_orders(amounts):
    """Log of the number of different orders of things, so many of each kind."""
    amounts = torch.as_tensor(amounts, dtype=torch.float64)
    return (torch.lgamma(amounts.sum() + 1) - torch.lgamma(amounts + 1).sum()).item()


token_orders = np.mean([log_orders(row.bincount()) for row in windows])
stops = (windows == vocab["."]).sum(1)
sentence_orders = np.mean([log_orders([1] * (int(n) + 1)) for n in stops])
where = log_orders([10, 54])  # which 10 of 64 are missing

# %%
price = {
    "causal": entropy,
    "masked": entropy,
    "span corruption": 10 * entropy / 13,  # 3 of 13 answers are sentinels
    "deletion": (10 * entropy + where) / 64,
    "infilling": 19 * entropy / 64,  # as if the lengths were known
    "shuffling": token_orders / 64,
    "sentences": sentence_orders / 64,
    "next sentence": math.log(2),
}
for name, nats in price.items():
    print(f"{name:>15}: {nats:5.2f} nats per answer")
assert price["masked"] > 5 and price["shuffling"] < 3.5 and price["sentences"] < 0.1
assert round(math.log(2), 2) == 0.69

# %% [markdown]
# The same ignorance costs 0.03 nats or 6, about two hundred times as much, because the questions differ. A loss of 3 from a
# deshuffling model is what anyone gets who reads the rule, and a loss of 1 in next-sentence prediction is worse than
# a coin; a masked model with a loss of 5 has learned a whole nat. So a loss is compared within one objective, on one
# text, and nowhere else.
#
# Not even the name of the objective is enough. **Predict.** BERT's masked loss is measured three times on the same rows: with 5, 15 and
# 50 % of the tokens hidden. The weights are the same. Which loss is the lowest, and by how much?

# %%
rows = pack_sentences(unread, 64, **ends)[:60]
rates, shared, losses = (0.05, 0.15, 0.5), None, {}
for rate in rates:
    inputs, targets = masked_tokens(
        rows,
        rate=rate,
        mask_share=1.0,
        random_share=0.0,
        generator=generator_at(0),
        **hide,
    )
    with torch.no_grad():
        logits = bert(inputs, inputs != vocab["[PAD]"])
    shared = targets != IGNORE_INDEX if shared is None else shared
    same = targets.masked_fill(~shared, IGNORE_INDEX)
    losses[rate] = (cross_entropy(logits, targets), cross_entropy(logits, same))
    assert bool((targets[shared] == rows[shared]).all())

# %%
for rate, (everything, the_same) in losses.items():
    print(
        f"{rate:4.0%} hidden: {everything:.1f} nats; on the same tokens {the_same:.1f}"
    )
assert losses[0.5][0] > losses[0.15][0] + 0.5 > losses[0.05][0] + 0.5
assert losses[0.5][1] > losses[0.15][1] + 0.5 > losses[0.05][1] + 0.5

# %% [markdown]
# From 3 nats to more than 4, with the same weights, and on the very same tokens: half of what could have helped is gone. A figure such as "masked loss 2.3" says nothing without the rate,
# the units and the text.
#
# ## 6 One question for all
#
# What can be compared is what a model is good for afterwards. So: encoders of one size read the same rows of
# English in the same order, for the same number of steps, each with its own objective:
# causal, masked tokens, span corruption, deshuffling. An encoder is 2 blocks of width 128, for the causal one with its mask; the
# last two train a decoder of the same size beside it, which is then thrown away. Then all are asked one and the
# same **downstream** (下游) question: is a sentence from a film review positive or negative? In two ways.
#
# - **Linear probe** (线性探针). The encoder is frozen. A logistic regression (逻辑回归) reads the mean of its hidden states. It shows what
#   is already there, in a form that a straight cut can use.
# - **Fine-tuning** (微调). Encoder and a new head are trained on the labels together. It shows what is a good start.
#
# Everything is drawn anew for each seed, since one run proves little (and the few here prove little more). Two yardsticks stand beside them: an
# encoder that was never trained, and counting words, which you can run here:

# %%
probe = json.loads((RESULTS / "pretraining_objectives.json").read_text())
print(probe["command"], f"({probe['machine']})")
n_labels, steps = probe["sentences"]["train"], probe["pretrain_config"]["max_steps"]
n_tokens = steps * probe["pretrain_config"]["batch_size"] * probe["row_tokens"]
print(f"{steps} steps, {n_tokens / 1e6:.1f} M tokens; {n_labels:,} labelled sentences")
assert sum(run["pretrain_seconds"] for run in probe["runs"]) > 20 * 60

# %%
bag = CountVectorizer(binary=True, min_df=2, ngram_range=(1, 2))
counts = bag.fit_transform(films.train.texts[:n_labels])
regression = LogisticRegression(C=0.3, max_iter=1000)
regression.fit(counts, films.train.labels[:n_labels])
counted = regression.score(bag.transform(films.test.texts), films.test.labels)
print(f"words and pairs of words, counted: {counted:.0%} of the test sentences")
assert 0.7 < counted < 0.8

# %%
runs = {}
for run in probe["runs"]:
    runs.setdefault(run["objective"], []).append(run)
n_seeds = min(map(len, runs.values()))
runs = {name: rows_[:n_seeds] for name, rows_ in runs.items()}  # the same seeds each
assert len(runs) == 5


def column(name, figure):
    """One figure of an objective, over its seeds."""
    return np.array([run[figure] for run in runs[name]], dtype=float)


# %%
print(f"{n_seeds} seeds: mean, half the range")
print(f"{'objective':>16}  loss   probe        fine-tuned")
for name in runs:
    cells = [
        f"{np.nanmean(column(name, 'pretrain_loss')):4.1f}"
        if name != "none"
        else "   -"
    ]
    for figure in ("probe_test", "fine_tune_test"):
        scores = 100 * column(name, figure)
        cells.append(f"{scores.mean():4.1f} ± {np.ptp(scores) / 2:3.1f}")
    print(f"{name:>16}  {'   '.join(cells)}")

# %% alt="Two panels with one row for each objective and one for no pretraining. Left: the linear probe's share of right test sentences, one dot a seed. Right: the same after fine-tuning, all farther right. A dotted line marks counting words."
figure, panels = new_plots(1, 2, sharex=True, sharey=True, height=3.6)
titles = {"probe_test": "Frozen, linear probe", "fine_tune_test": "Fine-tuned"}
for panel, (key, title) in zip(panels, titles.items(), strict=True):
    for place, name in enumerate(runs):
        scores = 100 * column(name, key)
        panel.plot(scores, [place] * len(scores), "o", color="black", alpha=0.5)
        panel.plot(scores.mean(), place, "|", color="black", markersize=18)
    panel.axvline(100 * counted, color="black", linestyle=":")
    panel.set(title=title, xlabel="test sentences right, %")
figure.suptitle(
    "After so little text, no objective is clearly a better start than none"
)
panels[0].set_yticks(range(len(runs)), list(runs))
panels[0].invert_yaxis()
assert panels[0].get_lines() and min(counted, *column("none", "probe_test")) > 0.5
plt.show()

# %% [markdown]
# **How to read it.** Each dot is one seed, the bar their mean; farther right is better. The dotted line is counting.
#
# Before the ranking, look at how much a figure moves for no reason: with the seed, and with the choice of the 2,000
# test sentences ($\sqrt{p(1-p)/2000}$, about one point, with $p$ the share that is right).

# %%
for key, title in titles.items():
    means = {name: 100 * column(name, key).mean() for name in runs}
    moves = max(np.ptp(100 * column(name, key)) for name in runs)
    best = max(means, key=means.get)
    print(f"{title}: best {best!r}, {means[best] - means['none']:.1f} points", end=" ")
    print(f"above no pretraining; seeds differ by up to {moves:.1f}")
    assert max(means.values()) < 100 * counted
    assert means[best] - means["none"] < 3  # points: not clearly better
assert max(means, key=means.get) == "none"  # fine-tuned
low = min(runs.keys() - {"none"}, key=lambda n: column(n, "pretrain_loss").mean())
print("lowest loss:", low)
unsorted = column("deshuffling", "pretrain_loss").mean()
print(f"deshuffling: {unsorted:.1f} nats, by the rule alone {price['shuffling']:.1f}")
assert unsorted > price["shuffling"] + 0.5

# %% [markdown]
# Not what one hopes for. After so little text no probe is clearly above that of an encoder drawn at random, and after
# fine-tuning all four are *behind* it. Counting words does better than all of them. BERT's pretraining went through 128
# billion tokens, a million batches of 128,000 (Devlin et al. 2019, appendix A.2). Weights that have half settled on
# another question can be a worse start than fresh ones, and one learning rate and two passes over the labels served
# all five alike, which may suit one better than another. So the table crowns no winner. It shows how to look for one:
#
# - Without the row "none" and the dotted line, each row would have looked like a success: "pretrained, then 70 % right".
# - The losses lie within a few tenths and say nothing about which dot lies farthest to the right. Deshuffling's is among the lowest, and yet
#   far *above* what the rule alone is worth: after these steps the model has not even learned that every answer stands in its input.
# - Look for what else differs. The two encoders with a decoder never read `[CLS]` in pretraining, yet every probed sentence begins
#   with it and the mean counts it in: that may be part of their low probe.
# - The probe and fine-tuning are two questions, and need not agree.
#
# Larger comparisons, in section 11, do find differences.
#
# ## 7 One cell of it in miniature
#
# The pretraining behind the table took more than 20 minutes of processor time. Its pipeline fits into seconds if everything is smaller: an encoder of 2 blocks of
# width 64, 80 steps of masked tokens, a probe on 2,000 labelled sentences and 1,000 to measure on.


# %%
def states_of(encoder, texts):
    """The mean hidden state of each text, (N, D)."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    states = np.zeros((len(texts), encoder.config.d_model))
    for start in range(0, len(texts), 100):  # texts of like length together
        index = order[start : start + 100]
        batch = tokenizer.batch([texts[i] for i in index], max_seq_len=64)
        with torch.no_grad():
            h = encoder(batch.ids, batch.mask)
        states[index] = mean_pool(h, batch.mask).double().numpy()
    return states


def probe_score(encoder):
    """Validation sentences that a linear probe gets right."""
    x = states_of(encoder, films.train.texts[:2000])
    scale = StandardScaler().fit(x)
    line = LogisticRegression(C=0.01, max_iter=1000)
    line.fit(scale.transform(x), films.train.labels[:2000])
    new = scale.transform(states_of(encoder, films.validation.texts))
    return line.score(new, films.validation.labels)


# %%
seed_everything(0)
config = BertConfig(
    vocab_size=V,
    max_seq_len=64,
    d_model=64,
    n_layers=2,
    n_heads=4,
    n_segments=0,
    pooler=False,
    pre_norm=True,
    norm_eps=1e-5,
    positions="rope",
)
small, untrained = BertForPretraining(config), Bert(config)
read = pack_sentences(learned[-8000:], 64, **ends)
optimizer, curve = AdamW(small.parameters(), lr=5e-3), []

# %%
for step in tqdm(range(1, 81), disable="CI" in os.environ):
    (ids,) = next(batches(read, batch_size=32, seed=0, step=step - 1))
    inputs, targets = masked_tokens(ids, generator=generator_at(0, step), **hide)
    asked = targets != IGNORE_INDEX
    h = small.bert(inputs, inputs != vocab["[PAD]"])[asked]  # (n_asked, D)
    loss = cross_entropy(small.fill_in(h), targets[asked])
    optimizer.zero_grad()
    loss.backward()
    optimizer.lr = cosine_schedule(step, lr=5e-3, max_steps=80, warmup_steps=8)
    optimizer.step()
    curve.append(loss.item())

# %% tags=["nbval-ignore-output"]
before, trained = probe_score(untrained), probe_score(small.bert)
print(f"loss {curve[0]:.1f} -> {np.mean(curve[-10:]):.1f}")
print(f"probe: untrained {before:.2f}, after 80 steps {trained:.2f}")
assert curve[0] > 8 and np.mean(curve[-10:]) < 6.8
assert abs(trained - before) < 0.08

# %% [markdown]
# The loss fell by two nats, and the probe has hardly moved (with a thousand sentences, chance alone moves
# it by one or two points). The first thing that any model learns is how frequent each token is
# (section 5: 6.1 nats), and that is of no use to the task. The loss has not even come down to that.

# %% [markdown]
# ## 8 What each can do afterwards
#
# **Causal: it writes.** The objective is the use. Chapter 09's model:

# %%
gpt, gpt_tokenizer = load_gpt(RESULTS / "gpt_course")
gpt = gpt.double().eval()
how = {"sampling": Sampling(top_p=0.9), "generator": torch.Generator().manual_seed(1)}
print(generate_text(gpt, gpt_tokenizer, "\n\nVIOLA.\n", 40, **how))

# %% [markdown]
# **Masked: it fills in.** It looks to both sides, which a causal model cannot. Change what stands *behind* the hole:


# %%
def fill_in(text, n=4):
    """BERT's best words for the hole in a text."""
    batch = tokenizer.batch([text], allowed_special={"[MASK]"})
    with torch.no_grad():
        logits = bert(batch.ids, batch.mask)[batch.ids == tokenizer.mask_id][0]
    best = logits.softmax(-1).topk(n)
    return [(word(int(i)), round(float(p), 2)) for p, i in zip(*best, strict=True)]


# %%
guesses = {}
for behind in ("israel", "this camera"):
    guesses[behind] = fill_in(f"the [MASK] of {behind} .")
    print(f"the [MASK] of {behind}:", *(f"{w} {p:.2f}," for w, p in guesses[behind]))
assert guesses["israel"][0][0] == "children" != guesses["this camera"][0][0]

# %%
hole = [
    gpt_tokenizer.encode(f"The word {behind}") for behind in ("of the lord", "is bad")
]
at = len(gpt_tokenizer.encode("The"))  # the logits for the word behind "The"
with torch.no_grad():
    first, second = (gpt(torch.tensor([ids]))[0, at - 1] for ids in hole)
print("GPT's guess for the second word changed:", not torch.allclose(first, second))
assert torch.allclose(first, second, atol=1e-10)

# %% [markdown]
# Can BERT write? Give it a `[MASK]` at the end, take its best word, and again.

# %%
written = "the word of the lord came"
for _ in range(8):
    written += " " + fill_in(f"{written} [MASK]", 1)[0][0]
print(written)
assert len({*written.split()[6:]}) < 5

# %% [markdown]
# A full stop, and then quotation marks for ever. Behind the hole stands `[SEP]`, which in training ended a sentence: so the model
# says how sentences end. It was never asked to go on with a text. One *can* draw text from
# BERT, by hiding and redrawing places many times over (Wang and Cho 2019), at many passes a sentence.
#
# **Encoder and decoder: gaps of any length.** BERT's hole has the size of one token. A T5 says for each
# sentinel as many tokens as it wants. Whole sentences need more training than fits here, so this is T5's
# objective on something smaller: the letters of words. A few letters are cut out of words that the model has never
# seen.

# %%
LETTERS = "abcdefghijklmnopqrstuvwxyz"
CUTS, END, PAD, START = range(26, 30), 30, 31, 32


def long_words(documents):
    """How often each word of 7 to 12 letters occurs."""
    text = " ".join(chain.from_iterable(documents)).lower()
    return Counter(re.findall(r"\b[a-z]{7,12}\b", text))


known = long_words(english.train)
frequent = sorted(w for w, n in known.items() if n > 1)
new = sorted(w for w in long_words(english.test) if w not in known)
print(f"{len(frequent)} words to learn from, {len(new)} new ones")


# %%
def cut_words(words, generator):
    """Words with letters cut out, as a batch for an encoder and decoder."""
    how = {"sentinel_ids": CUTS, "end_id": END, "rate": 0.3, "mean_span": 2.0}
    spelt = [torch.tensor([LETTERS.index(c) for c in w]) for w in words]
    pairs = [corrupt_spans(ids, generator=generator, **how) for ids in spelt]
    return pad_pairs(pairs, pad_id=PAD, start_id=START)


# %%
seed_everything(0)
t5 = T5(T5Config(vocab_size=33, max_seq_len=16, d_model=64, n_layers=1, d_ff=128))
optimizer, draw = AdamW(t5.parameters(), lr=5e-3), np.random.default_rng(0)

# %%
for step in tqdm(range(1, 151), disable="CI" in os.environ):
    batch = cut_words(draw.choice(frequent, 32), generator_at(0, step))
    logits = t5(batch.source_ids, batch.ids, batch.source_lengths)
    loss = cross_entropy(logits, batch.targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.lr = cosine_schedule(step, lr=5e-3, max_steps=150, warmup_steps=20)
    optimizer.step()


# %%
@torch.no_grad()
def write(source, longest=10):
    """What the decoder writes for one source, best letter by best letter."""
    state, token, written = t5.encode(source[None]), START, []
    while token != END and len(written) < longest:
        output = t5.decode(torch.tensor([[token]]), state)
        state, token = output.state, int(output.logits[0, -1].argmax())
        written.append(token)
    return written


def spell(ids):
    """Letters, with sentinels as digits."""
    return "".join((LETTERS + "0123")[i] for i in ids if i < 30)


# %% tags=["nbval-ignore-output"]
batch, right, formed = cut_words(new, generator_at(1)), 0, 0
for i, word_ in enumerate(new[:100]):
    source = batch.source_ids[i, : batch.source_lengths[i]]
    answer = write(source)
    filled = spell(fill_spans(source.tolist(), answer, sentinel_ids=CUTS, end_id=END))
    right += filled == word_
    wanted = [int(t) for t in batch.targets[i] if t in CUTS]
    formed += [t for t in answer if t in CUTS] == wanted
    if i % 20 == 0:
        print(
            f"{spell(source.tolist()):>12} writes {spell(answer):>8} -> {filled} ({word_})"
        )
print(f"of 100: {formed} in the right form, {right} words right")
assert formed > 80

# %% [markdown]
# The form is right almost always: each sentinel of the source once, in order. What it fills in is
# an ordinary ending, much the same everywhere, and now and then that is right. Endings are what it was asked for most: the
# last letters are cut out of *every* word (section 4).
#
# | after training with | it can | it cannot, as it stands |
# |---|---|---|
# | next token | write, score a text, be prompted | look behind a hole |
# | hidden tokens | fill holes of known size, give states made from both sides | write |
# | spans, gaps, orders (encoder and decoder) | fill holes of any size, write one text from another | go on with a text freely, before more training on that (Lester et al. 2021, section 2.2) |
#
# ## 9 What is an autoencoder?
#
# BART's paper calls it "a denoising autoencoder". What is that?
#
# **Number.** A picture of a digit, 8 × 8 = 64 numbers. Squeeze it into 8 numbers, and ask for the 64 again.

# %%
digits = torch.tensor(load_digits().data / 16)  # (1797, 64), from 0 to 1
train_set, test_set = digits[:1500], digits[1500:]
mean = train_set.mean(0)


class Autoencoder(nn.Module):
    """From D numbers to a code of width K, and back."""

    def __init__(self, width):
        super().__init__()
        self.encoder = nn.Linear(64, width, dtype=torch.float64)
        self.decoder = nn.Linear(width, 64, dtype=torch.float64)

    def forward(self, x):
        return self.decoder(self.encoder(x))


# %%
def learn(model, damage, lr=2e-2, steps=300):
    """Train a model to give back what was there before the damage."""
    optimizer = Adam(model.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(0)
    for step in range(1, steps + 1):
        loss = ((model(damage(train_set, generator)) - train_set) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.lr = cosine_schedule(step, lr=lr, max_steps=steps)
        optimizer.step()
    return model


def missing(given, wanted):
    """Squared error as a share of the pictures' variance."""
    return (((given - wanted) ** 2).sum() / ((wanted - mean) ** 2).sum()).item()


# %% [markdown]
# **Code.** An **autoencoder** (自编码器) has an **encoder** that makes a **code** (编码), and a **decoder** that makes
# the input again. Its target is its input. How good can 8 numbers be? With linear maps the
# answer is known: on the data it is fitted to, no code of 8 numbers beats the first 8 principal components (主成分; Baldi and Hornik 1989).


# %%
def whole(x, generator):
    return x


torch.manual_seed(0)
narrow = learn(Autoencoder(8), whole)
_, _, directions = torch.linalg.svd(train_set - mean, full_matrices=False)
best = mean + (test_set - mean) @ directions[:8].T @ directions[:8]
with torch.no_grad():
    lost = missing(narrow(test_set), test_set), missing(best, test_set)
print(
    f"8 numbers: {lost[0]:.2f} of the variance lost, by principal components {lost[1]:.2f}"
)
assert 0.3 < lost[1] < lost[0] < lost[1] + 0.05

# %% [markdown]
# **Equation.** With encoder $f$ and decoder $g$: minimise $\lVert g(f(\mathbf{x})) - \mathbf{x} \rVert^2$. The narrow code, the
# **bottleneck** (瓶颈), is all that makes it interesting. **Predict.** What does it learn if the code has 64 numbers?


# %%
def punch(x, generator):
    """Set each number to 0 with a chance of one in three."""
    return x * (torch.rand(x.shape, generator=generator) > 1 / 3)


torch.manual_seed(0)
wide = learn(Autoencoder(64), whole)
holes = punch(test_set, torch.Generator().manual_seed(1))
with torch.no_grad():
    print(f"whole digits: {missing(wide(test_set), test_set):.2f} lost")
    print(f"digits with holes: {missing(wide(holes), holes):.2f} lost")
    assert missing(wide(test_set), test_set) < 0.04
    assert missing(wide(holes), holes) < 0.15

# %% [markdown]
# It learns to copy. Punch holes into the digits, and it gives back the holes, nearly as exactly. Little about digits
# was needed.
#
# There is a second way to make copying useless: damage the input and ask for the undamaged one. That is a **denoising autoencoder**
# (去噪自编码器; Vincent et al. 2008):
#
# $$\min_{f, g} \; \mathbb{E} \lVert g(f(\tilde{\mathbf{x}})) - \mathbf{x} \rVert^2, \qquad \tilde{\mathbf{x}} = \text{damage}(\mathbf{x}).$$
#
# It needs no bottleneck: here the code is *wider* than the input, 96 numbers. A third of the pixels is set to 0. (A share
# lost above 1 is worse than giving the mean digit every time.)


# %%
def deep(width):
    """Two layers with a ReLU between them."""
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 64)).double()


torch.manual_seed(0)
denoiser = learn(deep(96), punch, lr=1e-2, steps=200)
with torch.no_grad():
    mended = denoiser(holes)
share = missing(holes, test_set), missing(mended, test_set)
print(f"lost with holes {share[0]:.1f}, mended {share[1]:.1f}")
assert share[1] < 0.5 * share[0]

# %% alt="Three rows of eight small pictures of digits: as they are, with a third of the pixels black, and mended by the network, where the digits are readable again though blurred."
figure, panels = new_plots(3, 8, height=4.2, width=9.0)
for row, (name, pictures) in enumerate(
    {"digit": test_set, "with holes": holes, "mended": mended}.items()
):
    for column_, panel in enumerate(panels[8 * row : 8 * row + 8]):
        panel.imshow(pictures[column_].view(8, 8), vmin=0, vmax=1)
        panel.set(xticks=[], yticks=[])
        panel.grid(visible=False)
    panels[8 * row].set_ylabel(name)
figure.suptitle("Asked for what was there, it fills the holes")
assert len(panels) == 24 and mended.shape == (297, 64)
plt.show()

# %% [markdown]
# **How to read it.** One digit a column, none of them seen in training.
#
# Put tokens in place of pixels, `[MASK]` in place of 0, and the middle row is section 2. BERT, T5 and BART *are*
# denoising autoencoders, or close relatives. The word says that they mend. It does not say that they compress.

# %% [markdown]
# ## 10 Two common misconceptions
#
# ### "The core of a large language model is an autoencoder"
#
# You may read that. Test it on the two models we have. An autoencoder gives back what it reads. Show each model ordinary
# text and count the positions at which its best guess is the token that stands there.

# %%
play = gpt_tokenizer.encode(course_corpus().validation[:6000])[:1024]
play = torch.tensor(play).view(8, 128)
with torch.no_grad():
    by_gpt = (gpt(play).argmax(-1) == play).double().mean().item()
    real = ~torch.isin(rows, torch.tensor(tokenizer.special_ids))
    by_bert = (bert(rows, rows != vocab["[PAD]"]).argmax(-1) == rows)[real]
by_bert = by_bert.double().mean().item()
print(f"gives back the token it reads: GPT {by_gpt:.1%}, BERT {by_bert:.0%}")
assert by_gpt < 0.1 and by_bert > 0.8

# %%
row_bits, state_numbers = 64 * math.log2(V), 64 * bert.config.d_model
print(
    f"64 tokens hold at most {row_bits:.0f} bits; BERT's states {state_numbers} numbers"
)
assert row_bits == 768 and state_numbers > 10 * row_bits

# %% [markdown]
# - **GPT** is no autoencoder: it is **autoregressive** (自回归). It is asked for the *next* token, and the token
#   that it has read is hardly ever its best guess. (What its states still hold of it is another
#   question; its answer is not its input.)
# - **BERT** is a denoising one. It gives back what it sees, and was trained to mend the rest. (Devlin et al. 2019, section 3.1,
#   note one difference: it is asked for the hidden tokens alone, not for the whole input.)
# - **BART** writes the whole undamaged text: a denoising autoencoder to the letter. **T5** writes what is missing.
#
# None squeezes a text through a bottleneck: the states between have more numbers than the text has bits. (A model
# with one exists: a sequence-to-sequence model whose decoder sees a single vector, chapter 06's wall.)
#
# ### "RLM: shuffle the text, and predict the original"
#
# You may meet a list of pretraining methods that has, beside MLM (masked language modelling) and NSP (next-sentence prediction), an "RLM" ("Revenue Language Model"): shuffle the text,
# let the model predict the original. No method of that name was ever published, as far as a search finds. ("RLM" has been used for
# a *reverse* language model, which predicts the token before: Yin et al. 2025.) But the idea was published, several times:
#
# | where | what is shuffled | what is asked |
# |---|---|---|
# | T5 (Raffel et al. 2020, section 3.3.1): "deshuffling" | all tokens | the text |
# | BART (Lewis et al. 2020, section 2.2): sentence permutation | whole sentences | the text |
# | StructBERT (Wang et al. 2020, "word structural objective") | 5 % of the runs of three tokens | each token, at its place |
# | PERT (Cui et al. 2022) | a share of the tokens | each one's place |
#
# What does it teach? Run it small. The first 8 tokens of a sentence in random order go in, and for each token its place is asked:
# eight choices, so no decoder is needed.

# %%
LENGTH = 8
first_8 = {
    side: torch.tensor([s[:LENGTH] for s in sentences if len(s) >= LENGTH])
    for side, sentences in (("learn", learned), ("test", unread))
}


def shuffled(rows, generator):
    """Rows in random orders, and for each token the place where it stood."""
    places = torch.arange(LENGTH)
    order = [shuffle_tokens(places, generator=generator)[0] for _ in rows]
    return rows.gather(1, torch.stack(order)), torch.stack(order)


# %%
inputs, places = shuffled(first_8["test"], generator_at(1))
print(len(first_8["test"]), "beginnings of sentences; one of them:")
show("goes in", map(word, inputs[0].tolist()))
print(f"{'asked':>16}  {places[0].tolist()}")

# %%
seed_everything(0)
sorter = nn.Module()
sorter.encoder = Bert(config.replace(max_seq_len=LENGTH))
sorter.head = nn.Linear(config.d_model, LENGTH)
optimizer = AdamW(sorter.parameters(), lr=4e-3)
for step in tqdm(range(1, 251), disable="CI" in os.environ):
    (ids,) = next(batches(first_8["learn"], batch_size=64, seed=0, step=step - 1))
    x, y = shuffled(ids, generator_at(0, step))
    loss = cross_entropy(sorter.head(sorter.encoder(x)), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.lr = cosine_schedule(step, lr=4e-3, max_steps=250, warmup_steps=20)
    optimizer.step()

# %% [markdown]
# Two yardsticks: chance, and for each token its usual place in the training text, counted.

# %%
usual = torch.full((V, LENGTH), 0.1)
for place in range(LENGTH):
    usual[:, place] += torch.bincount(first_8["learn"][:, place], minlength=V)
with torch.no_grad():
    scores = sorter.head(sorter.encoder(inputs))  # (N, 8 tokens, 8 places)
share = {
    "chance": 1 / LENGTH,
    "usual place": (usual[inputs].argmax(-1) == places).double().mean().item(),
    "trained": (scores.argmax(-1) == places).double().mean().item(),
}

# %% tags=["nbval-ignore-output"]
print({name: f"{value:.1%}" for name, value in share.items()})
expected = (scores.softmax(-1) * torch.arange(LENGTH)).sum(-1)  # a mean place each
sorted_ids = inputs.gather(1, expected.argsort(-1))
for i in range(0, 60, 12):
    show("given", map(word, inputs[i].tolist()))
    show("put in order", map(word, sorted_ids[i].tolist()))
    show("original", map(word, first_8["test"][i].tolist()))
assert share["trained"] > share["usual place"] + 0.02 > 0.2

# %% [markdown]
# It learns something that counting single tokens does not: each answer may use the other seven. But look at what is *not*
# asked. All the words are given. In the last example someone says something to someone; who to whom, the words do not
# tell, so the answer can only be guessed. And which word might fill a gap, or what two words have in common, is never needed. Local
# grammar is enough.
#
# ## 11 What larger comparisons found
#
# T5's authors put the question of section 6 to a model of 220 million parameters, with 34 billion tokens of
# pretraining and a suite of tasks; BART's authors asked the same of their model. (The upper panel is the mean score on the GLUE tasks of language understanding; the lower one F1,
# the overlap with the right answer, on SQuAD: finding answers in a text.)

# %%
# Raffel et al. 2020, tables 4 to 6 (GLUE average); Lewis et al. 2020, table 1 (SQuAD F1)
t5_glue = {
    "hidden tokens, writes all": 82.96,
    "writes the second half": 80.69,
    "deshuffling": 73.17,
    "spans by sentinels": 83.28,
    "spans, 50 % hidden, not 15 %": 81.27,
}
bart_squad = {
    "language model": 76.7,
    "masked tokens, BART": 90.4,
    "deleted tokens": 90.4,
    "text infilling": 90.8,
    "sentence permutation": 85.4,
    "infilling and permutation": 90.8,
}

# %% alt="Two rows of dots. T5, GLUE average: objectives that hide tokens between 81 and 83, second half 81, deshuffling lowest at 73. BART, SQuAD F1: masking, deletion and infilling at 90 to 91, sentence permutation alone 85, language model lowest at 77."
figure, panels = new_plots(2, 1, height=5.2, width=8.0)
for panel, (title, xlabel, scores) in zip(
    panels,
    (
        ("T5: order alone is the worst question", "GLUE average", t5_glue),
        ("BART: order alone is worse than gaps", "SQuAD F1", bart_squad),
    ),
    strict=True,
):
    panel.plot(list(scores.values()), list(scores), "o", markersize=10)
    panel.set(title=title, xlabel=xlabel, xlim=(70, 95))
    panel.invert_yaxis()
assert min(t5_glue, key=t5_glue.get) == "deshuffling"
assert bart_squad["sentence permutation"] < bart_squad["text infilling"]
plt.show()

# %% [markdown]
# **How to read it.** Farther right is better. Published figures, one model each, so differences of a few tenths mean little.
#
# - Deshuffling lost by a distance to all that T5's authors set beside it. "RLM" as a method for its own sake is not one.
# - Order *beside* gaps can help a little: BART's final recipe joins infilling with sentence permutation, and
#   StructBERT adds its order objective to masking.
# - Among the objectives that hide tokens the differences are small; T5's authors chose spans with short targets,
#   not least because they are cheap. Rates between 10 and 25 % made little difference to them, 50 % did harm (their table 6). Wettig et al. (2023) found 40 % better than 15 for
#   large encoders.
# - In BART's table a language model is the poorest *reader* of these on SQuAD, below sentence permutation, and the best on one of
#   the writing tasks (ELI5, long answers): which objective is best depends on what is asked afterwards.
#
# ## 12 Two pitfalls
#
# **Too few sentinels.** A long text needs many. The next cell fails on purpose.

# %% tags=["raises-exception"]
corrupt_spans(
    torch.arange(512), sentinel_ids=range(1000, 1008), generator=generator_at(0)
)

# %% [markdown]
# T5's vocabulary has 100. Without the check, a sentinel would be used twice or a span dropped in silence, and the text could not be
# put together again.
#
# **The same holes for ever.** A generator that is made anew from the same seed at each step hides the same
# places at each step. The first BERT was trained nearly so: ten versions of each text, made once and read again and again. RoBERTa hides anew each time
# ("dynamic masking", 动态掩码; Liu et al. 2019, section 4.1).

# %%
asked = {"same seed each step": set(), "seed and step": set()}
for step in range(40):
    for name, generator in zip(
        asked, (generator_at(0), generator_at(0, step)), strict=True
    ):
        _, targets = masked_tokens(first_128[:, :100], generator=generator, **hide)
        asked[name] |= {*(targets[0] != IGNORE_INDEX).nonzero().flatten().tolist()}
for name, ever in asked.items():
    print(f"{name:>20}: {len(ever)} of 100 places asked in 40 steps")
assert len(asked["same seed each step"]) == 15 < 95 < len(asked["seed and step"])

# %% [markdown]
# With the bug, 85 of 100 tokens are never asked for. The loss would still fall, since the same answers come back: the training curve does not show the bug.
#
# ## Summary
#
# - An objective is a rule for what goes in, what is asked, and what may be seen at each answer. All share one loss.
# - Causal: an answer for every token read. Masked: one for seven. Span corruption: short targets, nothing in sight.
# - An answer in sight is a leak, unless a mask in the model hides it, or its place is the question. Part of a word can leak the rest.
# - Losses of different objectives do not compare: ignorance alone costs 0.03 nats in one and 6 in another. Even one
#   objective's loss moves with its rate.
# - One downstream task, equal size, steps and text, several seeds: that compares. Look at the spread before the ranking.
# - An autoencoder gives back its input, and learns something where copying is made hard: by a bottleneck or by damage. BERT and
#   BART are denoising ones; GPT is none.
# - "Shuffle and predict the original" is deshuffling: published, measured, and alone the worst in T5's comparison.
#
# ## Exercises
#
# Conceptual
#
# 1. A masked model has a loss of 2.1 nats, a span-corruption model of 1.8, on the same text. Which is better?
# 2. Why may BART's decoder be asked for tokens that stand in its encoder's input, and BERT not?
# 3. Someone gives causal pairs to an encoder without a causal mask and reports a loss of 0.01. What has it learned?
#
# Coding
#
# 4. Write `rotate(tokens, generator)`, BART's document rotation: the text begins at a random token. Test that nothing is lost.
# 5. Which spans does span corruption cut from 64 tokens? Count how often each place is cut in 2,000 draws, and explain
#    the ends.
# 6. Show that `infill_text` sometimes puts a `[MASK]` where nothing is missing, and say how often.
#
# Open
#
# 7. T5 kept BERT's 15 %. With `benchmarks/pretraining_objectives.py` as a start, measure
#    masked tokens at 15 and 40 %, three seeds each. How large must a difference be before you believe it?
#
# ## Answers
#
# <details><summary>1</summary>
#
# Nobody can say. The second is also asked for sentinels, which are easy, and its decoder sees earlier tokens of the same span. Compare
# both on a task.
# </details>
#
# <details><summary>2</summary>
#
# BART's decoder has to find out *where* each token belongs, how long gaps are, and what they hold; copying the rest is part of the task and
# costs little. For BERT a token in sight at its own place is an answer that needs no context.
# </details>
#
# <details><summary>3</summary>
#
# To look one place to the right. The answer stands there (section 3).
# </details>
#
# **4.**


# %%
def rotate(tokens, generator):
    """The text from a random token on, then what stood before it; and the text."""
    start = int(torch.randint(len(tokens), (), generator=generator))
    return torch.cat([tokens[start:], tokens[:start]]), tokens.clone()


for seed in range(50):
    inputs, targets = rotate(numbers, generator_at(seed))
    assert sorted(inputs.tolist()) == targets.tolist() == numbers.tolist()
    assert all((inputs[1:] - inputs[:-1]).abs() > 0)

# %% [markdown]
# **5.**

# %%
times = torch.zeros(64)
for seed in range(2000):
    cut = cut_out(numbers, generator_at(seed))[1]
    times[cut[cut < 74] - 10] += 1
print("cut in % of the draws:", (times[[0, 1, 20, 40, 61, 62, 63]] / 20).int().tolist())
assert (
    times[0] == 0
    and times[63] == 2000
    and abs(times[10:50].mean() / 2000 - 0.11) < 0.02
)

# %% [markdown]
# Never the first token, always the last; those just before the end often, since the last span lies there. In the middle about 11 %,
# less than the 15 % of the whole.
#
# **6.**

# %%
empty = 0
for seed in range(200):
    inputs, _ = infill_text(numbers, mask_id=1, generator=generator_at(seed))
    places = [i for i, token in enumerate(inputs.tolist()) if token == 1]
    padded = [9, *inputs.tolist(), 74]
    empty += sum(padded[i + 2] - padded[i] == 1 for i in places)
print(f"{empty / 200:.2f} empty gaps a text of 64")
assert 0.1 < empty / 200 < 0.7

# %% [markdown]
# $e^{-3} \approx 5\,\%$ of all Poisson lengths with mean 3 are 0, and a text of 64 tokens has between six and seven gaps.
#
# **7.** No answer is given; a hint: with 2,000 test sentences, chance alone moves an accuracy of 70 % by a point either way.
#
# ## References
#
# - J. Devlin et al., "BERT: pre-training of deep bidirectional transformers", *NAACL* (2019), section 3.1, appendices A.1 and A.2.
# - Y. Sun et al., "ERNIE: enhanced representation through knowledge integration", arXiv 1904.09223 (2019), section 3.2.
# - M. Joshi et al., "SpanBERT", *TACL* 8 (2020), section 3.1.
# - Y. Liu et al., "RoBERTa", arXiv 1907.11692 (2019), section 4.
# - C. Raffel et al., "Exploring the limits of transfer learning with a unified text-to-text Transformer", *JMLR* 21 (2020), section 3.3, tables 4 to 6 (T5).
# - M. Lewis et al., "BART: denoising sequence-to-sequence pre-training", *ACL* (2020), section 2.2 and table 1.
# - W. Wang et al., "StructBERT: incorporating language structures into pre-training", *ICLR* (2020).
# - Y. Cui et al., "PERT: pre-training BERT with permuted language model", arXiv 2203.06906 (2022).
# - X. Yin et al., "Ledom: an open and fundamental reverse language model", arXiv 2507.01335 (2025).
# - A. Wettig et al., "Should you mask 15 % in masked language modeling?", *EACL* (2023).
# - Z. Lan et al., "ALBERT", *ICLR* (2020), section 3.1.
# - B. Lester et al., "The power of scale for parameter-efficient prompt tuning", *EMNLP* (2021), section 2.2: T5 made to go on with text.
# - A. Wang and K. Cho, "BERT has a mouth, and it must speak", arXiv 1902.04094 (2019).
# - P. Vincent et al., "Extracting and composing robust features with denoising autoencoders", *ICML* (2008).
# - P. Baldi and K. Hornik, "Neural networks and principal component analysis", *Neural Networks* 2 (1989).
# - C. Hutto and E. Gilbert, "VADER", *ICWSM* (2014): the rated sentences.
#
# **Lab:** [Lab 6, Pretrain a small language model](../labs/06_pretraining/lab.ipynb).
#
# **Next:** [13 Fine-tuning](13_fine_tuning.ipynb): a pretrained encoder becomes a model of your own task. (Chapter 12, on scaling, is being written.)
