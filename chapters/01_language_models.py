# %% [markdown]
# # 01 · Language models
#
# **Question.** What is a language model, how do you tell a good one from a bad one, and how far does counting get you?
#
# **Prerequisites.** [00 Preliminaries](00_preliminaries.ipynb): arrays, probability.
#
# **Time.** 90 minutes to read; 20–60 s to run on two CPU cores.

# %% [markdown]
# After this chapter you can
#
# - write the probability of a text as a product of next-token probabilities, and say why one adds logarithms instead;
# - show that relative frequencies are the probabilities that make a text most likely, and that this is the same as the smallest cross-entropy;
# - convert between nats, bits, perplexity and bits per byte, and say which of them may be compared between two models;
# - build an n-gram model with Kneser-Ney smoothing and explain each part of its formula with a count;
# - name the wall that every n-gram model runs into, with a measured figure.

# %%
import inspect
import itertools
import json
import math
import re
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from lmcore.course.scoreboard import read_scoreboard, scoreboard_table
from lmcore.data import course_corpus
from lmcore.metrics import bits_per_byte, cross_entropy_nats, perplexity
from lmcore.models.ngram import NGram
from lmcore.models.ngram_counts import NGramCounts
from lmcore.models.ngram_discounting import kneser_ney
from lmcore.plotting import new_plot, new_plots, plt

splits = course_corpus()
train, test = splits.train.encode(), splits.test.encode()
print(f"training text {len(train):,} bytes, test text {len(test):,} bytes")

# %% [markdown]
# The **corpus** (语料库) is Shakespeare: 42 plays and poems in the public domain, 5 MB of English. It is
# split by whole works into three texts: 32 works to learn from (the training text), 5 to choose settings on
# (validation) and 5 to report on at the end (test). *Macbeth* is in the test text, and no line of it is in the
# training text. Every language model in this book is measured on that test text. You will see the same table,
# the scoreboard, grow from chapter to chapter.
#
# ## 1 A game with a score
#
# Cover a text and let someone guess it, byte by byte. A player who knows nothing spreads the bet evenly
# over the 256 possible bytes. Each byte then costs $\log_2 256 = 8$ **bits** (比特). A player who knows
# English does better.
#
# **Predict.** A general-purpose compressor such as `zlib` stores a text in fewer bits when it can foresee
# it. How many bits per byte will it need for the plays: 7, 5, 3 or 1?

# %%
zlib_bits = 8 * len(zlib.compress(test, level=9)) / len(test)
print(f"zlib: {zlib_bits:.1f} bits per byte")
assert 3 < zlib_bits < 3.3

# %% [markdown]
# About three. Claude Shannon had people play this game in 1951 and estimated that a person needs between
# 0.6 and 1.3 bits per letter, given the hundred letters before it (27 signs, no capitals, another book: so
# the comparison is rough). That is the scale: 8 for knowing nothing, about 1 for a person. By the end of this
# chapter, counting alone will stand between `zlib` and the person.
#
# A **language model** (语言模型) is a player in this game: a rule that gives every possible text a
# probability.
#
# ## 2 The probability of a text
#
# **Number.** Take one famous line and count its words.

# %%
line = "to be or not to be that is the question"
words = line.split()
pairs = Counter(itertools.pairwise(words))
print(pairs.most_common(3))
print("'to' is followed by:", {b: n for (a, b), n in pairs.items() if a == "to"})

# %% [markdown]
# In this line "to" is always followed by "be", and "be" is followed once by "or" and once by "that". So,
# as far as ten words can tell, $p(\text{be} \mid \text{to}) = 1$ and $p(\text{or} \mid \text{be}) = 1/2$.
# The bar reads "given". From here on $c(\cdot)$ is a count in the training text, and a dot • stands for "any
# token": $c(\text{to}\,\bullet)$ is how often "to" was followed by anything.
#
# **Code.** Given its first word, the probability of a text is then a product: each next word, given the one
# before it.


# %%
def next_word_prob(previous, word):
    """c(previous word) / c(previous •), counted in the line above."""
    return pairs[previous, word] / sum(
        n for (a, _), n in pairs.items() if a == previous
    )


def text_prob(text):
    """The chain of next-word probabilities; the first word is given."""
    tokens = text.split()
    steps = itertools.pairwise(tokens)
    return math.prod(next_word_prob(a, b) for a, b in steps)


for text in ["to be or not to be", "to be that is the question", "be to question"]:
    print(f"{text_prob(text):.2f}  {text}")
assert text_prob("to be or not to be") == 0.5
assert text_prob("be to question") == 0

# %% [markdown]
# **Equation.** Let $w_1, \dots, w_T$ be the **tokens** (词元) of a text: words, letters or bytes, whatever
# the model is told to work on. The **chain rule** (链式法则) of probability holds for any distribution:
#
# $$p(w_1, \dots, w_T) = \prod_{t=1}^{T} p(w_t \mid w_1, \dots, w_{t-1}).$$
#
# It is exact. What our code did is an approximation: it dropped all of the **context** (上下文)
# $w_1, \dots, w_{t-1}$ but its last word. An **n-gram model** (N 元语法模型) keeps the last $n-1$ tokens; ours
# had $n = 2$, a *bigram* (二元) model. A GPT uses the same chain rule and keeps thousands of tokens. Everything
# between is a better estimate of $p(w_t \mid \dots)$.
#
# The code's version is $p(w_2, \dots, w_T \mid w_1)$ with $n = 2$.
#
# Because of the chain rule, a model of the next token is a model of whole texts. To see it, add up the
# probabilities of *all* texts of four words that begin with "to", likely or not. (We let "question" be followed
# by "to", as if the line were said again and again; otherwise nothing at all may follow it.) They come to 1.

# %%
pairs["question", "to"] = 1
vocabulary = sorted(set(words))
following = {("to",): 1.0}
for _ in range(3):
    following = {
        (*text, word): p * next_word_prob(text[-1], word)
        for text, p in following.items()
        for word in vocabulary
    }
total, possible = sum(following.values()), sum(p > 0 for p in following.values())
print(f"{len(following)} texts, {possible} possible, probabilities add up to {total}")
assert total == 1 and len(following) == 8**3

# %% [markdown]
# Texts of every length together add up to 1 only if the model can also say "the text ends here". Real models
# have a token for it (chapter 02).
# One practical point before real text. A product of 500,000 probabilities is smaller than any float.
# Logarithms turn it into a sum.

# %%
p_each = 0.2
product, log_sum = p_each**500, 500 * math.log(p_each)
print(f"product {product}, sum of logarithms {log_sum:.0f}")
assert product == 0 and round(log_sum) == -805

# %% [markdown]
# ## 3 Counting is the best you can do on the text you counted
#
# Why divide counts? Other numbers could stand in the table. **Number.** The line has 10 words; "to" and
# "be" come twice, six others once. Give each word the probability $p_w$ and measure how surprised the table
# is, on average, when the line is read to it:
#
# $$H = -\frac{1}{T} \sum_{t=1}^{T} \log p_{w_t}.$$
#
# $T$ is the number of tokens and $w_t$ the $t$-th of them. $H$ is the **cross-entropy** (交叉熵), in **nats**
# (奈特) since the logarithm is natural, as always in this book when no base is written.

# %%
counts = np.array([Counter(words)[w] for w in vocabulary])
frequencies = counts / counts.sum()


def cross_entropy_of(p):
    """-(1/T) Σ c(w) ln p(w), over the words of the line."""
    return -(counts * np.log(p)).sum() / counts.sum()


rng = np.random.default_rng(0)
others = [cross_entropy_of(p) for p in rng.dirichlet(5 * counts, size=10_000)]
print(
    f"frequencies {cross_entropy_of(frequencies):.4f}, best of 10,000 others {min(others):.4f}"
)
assert cross_entropy_of(frequencies) < min(others)

# %% [markdown]
# None of ten thousand random tables beats the frequencies. **Equation.** It is no accident. Write $f_w = c(w)/T$
# for the frequencies. A table $p$ then costs $H(p) = -\sum_w f_w \log p_w$, and the difference to the frequencies'
# own cost is
#
# $$H(p) - H(f) = -\sum_w f_w \log \frac{p_w}{f_w} \;\ge\; -\sum_w f_w \Big(\frac{p_w}{f_w} - 1\Big)
#   = -\sum_w p_w + \sum_w f_w = -1 + 1 = 0,$$
#
# because $\log x \le x - 1$, with equality only at $x = 1$. So no table costs less than the frequencies, and only
# they cost so little. The line's probability is $\prod_w p_w^{c(w)}$, with the logarithm $-T\,H(p)$: the table with
# the smallest cross-entropy is the one under which the text is most probable, the **maximum likelihood**
# (最大似然) table. The same holds for each row $p(\cdot \mid h)$ of a table with contexts $h$.
#
# When a neural network is trained "by cross-entropy" later in this book, this is what it does: it makes
# the training text as likely as it can. The network replaces the table.

# %% [markdown]
# ## 4 Four units for one quantity
#
# **Number.** Predict each byte of the test text from how often it stands in the training text, no context
# at all ($n = 1$).

# %%
byte_frequencies = np.bincount(np.frombuffer(train, np.uint8), minlength=256) / len(
    train
)
log_p = np.log(byte_frequencies[np.frombuffer(test, np.uint8)])
nats = cross_entropy_nats(log_p)
print(
    f"{nats:.2f} nats = {nats / math.log(2):.2f} bits per byte, perplexity {perplexity(nats):.1f}"
)
assert round(nats / math.log(2), 1) == 4.8 and 27 < perplexity(nats) < 28

# %% [markdown]
# **Equation.** With $T$ tokens and $H$ in nats:
#
# | unit | formula | meaning |
# |---|---|---|
# | nats per token | $H$ | what training minimises |
# | bits per token | $H / \log 2$ | yes/no questions per token |
# | **perplexity** (困惑度) | $e^{H}$ | as unsure as among so many equally likely tokens |
# | bits per byte | $T H / (\log 2 \cdot \text{bytes})$ | the whole text's cost, spread over its bytes |
#
# Letter frequencies alone leave as much doubt as a fair choice among 27 bytes.
#
# ### A common misconception about perplexity
#
# "Of two models of a text, the one with the lower perplexity is better." Test it. Read the test text two bytes at a time: each pair of bytes is one token, so there are half as many
# tokens and 65,536 possible ones. Again no context, only frequencies, with every pair counted 0.01 times
# more than it was seen so that none is impossible.
#
# **Predict.** Will the perplexity go up or down? Which of the two models knows more about the text?

# %%
train_pairs, test_pairs = (
    np.frombuffer(b[: len(b) // 2 * 2], "<u2") for b in (train, test)
)
pair_counts = np.bincount(train_pairs, minlength=2**16) + 0.01
pair_log_p = np.log(pair_counts / pair_counts.sum())[test_pairs]
pair_nats = cross_entropy_nats(pair_log_p)
print(f"pairs: perplexity {perplexity(pair_nats):.0f}")
for name, values in [("bytes", log_p), ("pairs", pair_log_p)]:
    print(f"{name}: {bits_per_byte(-values.sum(), len(test)):.1f} bits per byte")
assert 340 < perplexity(pair_nats) < 360
assert round(bits_per_byte(-pair_log_p.sum(), len(test)), 1) == 4.2

# %% [markdown]
# The perplexity is more than twelve times higher, and the model is better: 4.2 bits per byte instead of 4.8. A larger
# token is harder to guess and says more. Perplexities may be compared only between models with the same
# tokens on the same text. **Bits per byte** (每字节比特数) may be compared between all models of one text, whatever
# their tokens, and are this book's score.
#
# ## 5 Longer contexts on real text
#
# One byte of context is a table with a row for each byte. Most rows hedge: they spread the bet over vowels, or over
# the end of the word. A few are nearly certain. Here is the part for letters and the space.

# %% alt="A heat map of 27 by 27 cells: rows are a letter or space, columns the next one. The row of q has one dark cell, at u; most rows are spread over vowels and space."
letters = " abcdefghijklmnopqrstuvwxyz"
position = np.full(256, -1)
position[np.frombuffer(letters.encode(), np.uint8)] = np.arange(27)
text = position[np.frombuffer(splits.train.lower().encode(), np.uint8)]
a, b = text[:-1], text[1:]
table = np.zeros((27, 27))
np.add.at(table, (a[(a >= 0) & (b >= 0)], b[(a >= 0) & (b >= 0)]), 1)
table /= table.sum(1, keepdims=True)
figure, axes = new_plot(
    "After q comes u", "next character", "character", width=7, height=6
)
image = axes.imshow(table**0.5, vmin=0, vmax=1, cmap="Blues")
axes.set_xticks(range(27), list("␣" + letters[1:]), fontsize=11)
axes.set_yticks(range(27), list("␣" + letters[1:]), fontsize=11)
axes.grid(False)
bar = figure.colorbar(image, label="probability")
bar.set_ticks([0, 0.1**0.5, 0.5, 1], labels=["0", "0.1", "0.25", "1"])
assert table[letters.index("q"), letters.index("u")] > 0.99
assert np.allclose(table.sum(1), 1)
plt.show()

# %% [markdown]
# **How to read it.** Each row adds up to 1 and is the model's bet after that character; darker is more.
#
# Longer contexts need larger tables, so we keep the rows that occur, in a dictionary.


# %%
def count_ngrams_loop(ids, order):
    """How often each token follows each context of `order - 1` tokens."""
    followers = {}
    for t in range(order - 1, len(ids)):
        context = ids[t - order + 1 : t]
        followers.setdefault(context, Counter())[ids[t]] += 1
    return followers


sample = train[:500_000]
trigrams = count_ngrams_loop(sample, 3)
print({chr(w): n for w, n in trigrams[b"th"].most_common(4)})
assert trigrams[b"th"].most_common(1)[0][0] == ord("e")

# %% [markdown]
# A longer context should give a better bet. **Predict.** Count n-grams in the first 500,000 bytes of the
# training text and read the first 50,000 bytes of the test text with them. For which orders will the cross-entropy
# be lowest: 1, 3, 5 or 7?

# %%
for order in (1, 3, 5, 7):
    followers = count_ngrams_loop(sample, order)
    new = [
        test[t] not in followers.get(test[t - order + 1 : t], ())
        for t in range(order - 1, 50_000)
    ]
    print(f"order {order}: {np.mean(new):6.2%} of the test n-grams are new")
assert 0.4 < np.mean(new) < 0.6

# %% [markdown]
# From order 3 on it is infinite. A new n-gram has probability 0, and $-\log 0 = \infty$; one is enough. The longer
# the context, the better the table fits the text it was counted on, and the less it is worth on another. This is
# **overfitting** (过拟合) in its purest form.
#
# `lmcore`'s model has the same tables, counted with sorted arrays instead of dictionaries, so that 4 MB
# take seconds. It reports the infinity honestly.

# %%
small = NGram.train(sample, order=3, smoothing="maximum_likelihood")
context, follower = b"th", trigrams[b"th"]
for w, n in follower.items():
    assert math.isclose(small.prob(context, w), n / follower.total())
print("perplexity on the test text:", small.perplexity(test))
assert small.perplexity(test) == math.inf

# %% [markdown]
# ## 6 Room for the unseen
#
# **Smoothing** (平滑) moves some probability from what was seen to what was not. The question is how much,
# and to whom.
# First a function to measure a model with, for the rest of the chapter.
#
# **Pretend.** The oldest idea adds $k$ to every count (Laplace's rule has $k = 1$):
#
# $$p(w \mid h) = \frac{c(hw) + k}{c(h\,\bullet) + kV},$$
#
# with $h$ the context, $c(h\,\bullet)$ how often it occurred and $V$ the size of the vocabulary (词表). It cures the
# infinity. But a context seen 10 times then has $256$ pretended observations against 10 real ones.


# %%
def bits_on_test(model):
    """Bits per byte on the whole test text."""
    return bits_per_byte(-model.log_probs(test).sum(), len(test))


counts = NGramCounts(train, order=5, vocab_size=256)
for k in (1.0, 0.01):
    model = NGram.from_counts(counts, "add_k", k=k)
    print(f"order 5, add {k}: {bits_on_test(model):.1f} bits per byte")
assert 2.3 < bits_on_test(model) < 2.6

# %% [markdown]
# **Mix.** If "tion" says little about the next byte, ask "ion", then "on". *Interpolation* (插值) mixes all
# lengths: $p(w \mid h) = \lambda\, c(hw)/c(h\,\bullet) + (1 - \lambda)\, p(w \mid h')$, where $h'$ is $h$
# without its first token. The weights $\lambda$ (one per length, between 0 and 1) are chosen on the validation (验证)
# works, text that neither the counts nor the test has seen (Jelinek and Mercer 1980).
#
# **Discount.** How much should a count lose? Ask the data. Split the training text in halves and look at
# 5-grams that occur exactly $r$ times in the first half. How often do they occur in the second? (Church and Gale
# did this in 1991, with 22 million words.)

# %%
half = len(train) // 2
first = Counter(train[i : i + 5] for i in range(half))
second = Counter(train[i : i + 5] for i in range(half, 2 * half))
losses = []
for r in range(1, 7):
    again = np.mean([second[gram] for gram, n in first.items() if n == r])
    losses.append(r - again)
    print(f"seen {r} times, then {again:.1f} times: a loss of {losses[-1]:.1f}")
assert losses[0] > 0.1 and losses[-1] < 0.6 and losses[-1] < 3 * losses[0]

# %% [markdown]
# The loss grows far more slowly than the count: a count six times as large loses not even three times as much. One
# constant $D$ for all counts is a good first approximation: take it off every count and give what is saved to the
# shorter context. That is *absolute discounting* (绝对折扣). Three constants, for counts of 1, of 2 and of 3 or
# more, follow the growth better; that is the *modified* version below.
#
# **Kinds.** One idea is missing. Count words for a moment. "morrow" is frequent, but where does it stand?

# %%
all_words = [w.lower() for w in re.findall(r"[A-Za-z']+", splits.train)]
word_counts = Counter(all_words)
left_kinds = Counter(b for a, b in set(itertools.pairwise(all_words)))
for word in ("morrow", "stand"):
    print(
        f"{word}: {word_counts[word]} times, after {left_kinds[word]} different words"
    )
assert left_kinds["morrow"] < 15 < 100 < left_kinds["stand"]

# %% [markdown]
# After "good" or "to", longer contexts foresee "morrow" already. What the shorter context adds is needed most
# where the longer one knows little, and there "morrow" is unlikely. What counts is *after how many different words*
# it stood, not how often. Kneser and Ney (1995) put this **continuation count** (接续计数) $N_{1+}(\bullet\, w)$ in
# place of the count, for all but the longest contexts. Interpolated (Chen and Goodman 1999), for $n = 2$:
#
# $$p(w \mid h) = \frac{\max(c(hw) - D,\, 0)}{c(h\,\bullet)}
#  + \frac{D\, N_{1+}(h\,\bullet)}{c(h\,\bullet)} \; p_{\text{cont}}(w),$$
#
# $$p_{\text{cont}}(w) = \frac{\max(N_{1+}(\bullet\,w) - D,\, 0)}{N_{1+}(\bullet\,\bullet)}
#  + \frac{D\, N_{1+}(\bullet)}{N_{1+}(\bullet\,\bullet)} \cdot \frac{1}{V}.$$
#
# $N_{1+}(h\,\bullet)$ is the number of different tokens seen after $h$, $N_{1+}(\bullet\,\bullet)$ the number of
# different pairs, $N_{1+}(\bullet)$ that of tokens that end one. The fraction before $p_{\text{cont}}$ is exactly what
# the discount saved, so each row adds up to 1. After a context that was never seen, $p = p_{\text{cont}}$.


# %%
def kneser_ney_bigram(ids, discount, vocab_size):
    """p(w | h) for all pairs by the formula above: a (V, V) table."""
    c = np.zeros((vocab_size, vocab_size))
    np.add.at(c, (ids[:-1], ids[1:]), 1)
    left = (c > 0).sum(0)  # N1+(• w)
    saved_cont = discount * (left > 0).sum() / left.sum()
    p_cont = np.maximum(left - discount, 0) / left.sum() + saved_cont / vocab_size
    p = np.tile(p_cont, (vocab_size, 1))
    seen = c.sum(1) > 0
    total = c[seen].sum(1, keepdims=True)  # c(h •)
    saved = discount * (c[seen] > 0).sum(1, keepdims=True) / total
    p[seen] = np.maximum(c[seen] - discount, 0) / total + saved * p_cont
    return p


ids = np.frombuffer(sample[:20_000], np.uint8).astype(int)
naive = kneser_ney_bigram(ids, 0.75, 256)
model = NGram.train(ids, order=2, smoothing="kneser_ney", discount=0.75)
difference = max(np.abs(naive[h] - model.probs([h])).max() for h in range(256))
print("rows add up to 1:", np.allclose(naive.sum(1), 1))
print("equal to lmcore's:", difference < 1e-12)
assert np.allclose(naive.sum(1), 1) and difference < 1e-12

# %% [markdown]
# `lmcore`'s version does this for any order and estimates $D$ from the counts, as $n_1/(n_1 + 2n_2)$, with $n_r$ the
# number of n-grams seen $r$ times (Ney, Essen and Kneser 1994). Here is its heart, one loop over the lengths $k$:
# `adjusted` are the continuation counts (for the longest length, the counts), `taken` is $D$, `saved` what it
# saves. The tests compare it with nltk's and with a slow version written from the paper
# (`tests/unit/test_ngram_formulas.py`).

# %%
print(inspect.getsource(kneser_ney).split('"""')[2])

# %% [markdown]
# ## 7 Which smoothing, and how long a context?
#
# The same text, every method, every length from 1 to 7. That takes some minutes, so the table is read from
# `results/`, where the command that made it stands. One of its cells is computed again right here. You know
# `add_one`, `add_k`, `jelinek_mercer` ("mix") and `kneser_ney`. Of the others, `witten_bell` mixes as well, with
# weights from how many different tokens followed a context, and `backoff` asks the shorter context only where the
# longer one has never seen the token.

# %%
saved = json.loads(Path("../results/ngram_smoothing.json").read_text())
print(saved["command"])
print(f"{'order':22}" + "".join(f"{n:7}" for n in saved["orders"]))
for method, figures in saved["bits_per_byte"].items():
    cells = [f"{math.inf if b is None else b:7.2f}" for b in figures["test"]]
    print(f"{method:22}" + "".join(cells))
here = bits_on_test(NGram.from_counts(counts))
assert round(here, 4) == saved["bits_per_byte"]["kneser_ney"]["test"][4]

# %% [markdown]
# Read it downwards, from order 3 on. Adding $k$ (even the best $k$ that the validation works could find) is the worst
# cure. **Modified** Kneser-Ney is the best from order 2 on; plain Kneser-Ney is overtaken by well-chosen weights
# (`jelinek_mercer`) at order 7.
#
# Read it from left to right. `add_one` turns around after order 4, `add_k` after 5, Witten-Bell and backoff after 6:
# more context, worse bets. The best method gains half a bit from order 3 to 4, and a fiftieth from 6 to 7.

# %%
by_method = {name: figures["test"] for name, figures in saved["bits_per_byte"].items()}
best = [min(v[n] for v in by_method.values() if v[n] is not None) for n in range(1, 7)]
assert best == by_method["modified_kneser_ney"][1:]
assert by_method["jelinek_mercer"][6] < by_method["kneser_ney"][6]
turns = ("add_one", "add_k", "witten_bell", "backoff")
assert [int(np.argmin(by_method[name])) + 1 for name in turns] == [4, 5, 6, 6]
steps = -np.diff(by_method["modified_kneser_ney"])
assert 0.4 < steps[2] < 0.6 and 0 < steps[5] < 0.03

# %% [markdown]
# Why does it stop?
#
# ## 8 The wall
#
# Because longer contexts are seldom met again. For each order, ask how many of the test text's n-grams stand in the
# training text at all.

# %% alt="Left: bits per byte of modified Kneser-Ney against order fall from 4.8 to 2.1 and flatten after order 5. Right: the share of test n-grams never seen; for words it rises from 3 percent to 99 percent at order 6, for bytes to 81 percent at order 12."
figure, (left, right) = new_plots(1, 2, width=9.5, height=3.8)
left.plot(saved["orders"], by_method["modified_kneser_ney"], marker="o")
left.set(title="Each byte gains less", xlabel="order n (bytes)", ylabel="bits per byte")
unseen = {unit: saved[unit]["unseen_share"] for unit in ("bytes", "words")}
for unit, shares in unseen.items():
    right.plot(range(1, len(shares) + 1), shares, marker="o", label=unit)
right.set(title="Long n-grams are new", xlabel="order n", ylabel="share never seen")
right.legend()
assert 0.2 < unseen["bytes"][6] < 0.25 and unseen["bytes"][11] > 0.8
assert 0.6 < unseen["words"][2] < 0.7 and unseen["words"][4] > 0.95
plt.show()

# %% [markdown]
# **How to read it.** Left: lower is better. Right: of the 7-grams of bytes nearly a quarter are new; of word
# trigrams two thirds, although the model has read 900,000 words and signs of the same author; of word 5-grams
# hardly any was seen.
#
# And to have been seen once is not enough. A context that occurred twice gives two examples to bet on. Count how
# often the contexts of the test text occurred in the training text.


# %%
def times_seen(length):
    """For each context of the test text, how often it stands in the training text."""
    windows = np.lib.stride_tricks.sliding_window_view
    powers = 256 ** np.arange(length, dtype=np.uint64)
    packed = [
        windows(np.frombuffer(b, np.uint8), length) @ powers for b in (train, test)
    ]
    known, n = np.unique(packed[0], return_counts=True)
    at = np.searchsorted(known, packed[1]).clip(max=len(known) - 1)
    return np.where(known[at] == packed[1], n[at], 0)


seldom = {}
for order in (3, 5, 7):
    seldom[order] = (times_seen(order - 1) < 10).mean()
    print(
        f"order {order}: {seldom[order]:4.0%} of the contexts were seen fewer than 10 times"
    )
assert seldom[3] < 0.01 and 0.25 < seldom[7] < 0.5
assert 850_000 < saved["words"]["train_words"] < 950_000

# %% [markdown]
# A table can only count what it has met. "The king is dead" teaches it nothing about "the queen is dead", since
# it does not know that kings and queens are alike. More text helps: eight times as much halved the share of new
# 7-grams between section 5 and here. But each further token multiplies the possible contexts by $V$. This is the
# **curse of dimensionality** (维数灾难), and the reason for word vectors and neural networks.
#
# ## 9 Writing with a table
#
# A model that can bet can also write: draw the next byte from $p(\cdot \mid \text{context})$, append it, go on.
#
# **Predict.** Order 1, 3 and 5: which will be the first to spell mostly real words? Which will make sense?

# %%
prompt = b"\n\nMACBETH.\n"
for order in (1, 3, 5):
    model = NGram.train(train, order=order) if order < 5 else NGram.from_counts(counts)
    drawn = model.sample(prompt, max_new_tokens=160, seed=2)
    print(f"--- order {order}\n{bytes(drawn.tolist()).decode(errors='replace')}\n")

# %% [markdown]
# Order 3 has the sound of English, order 5 has words, names and line breaks. None has a thought: four bytes of
# context are not enough to remember who is speaking.
#
# **Temperature** (温度) sharpens or flattens the bet before the draw: each probability is raised to $1/\tau$ and
# the row normalised again, with $\tau > 0$ the temperature (exercise 5). At $\tau \to 0$ the likeliest byte is always taken, and an n-gram model falls into
# a loop: once the same context returns, so does everything after it.

# %%
greedy = bytes(model.sample(prompt, max_new_tokens=120, temperature=0).tolist())
print(greedy.decode())
assert greedy[-30:] in greedy[:-30]

# %% [markdown]
# ## 10 The other road: grammars
#
# Linguistics in the 1950s took another road: not counts but rules. A **context-free grammar** (上下文无关文法)
# rewrites symbols until only words are left.

# %%
GRAMMAR = {
    "S": ["ONE is MOOD", "MANY are MOOD"],
    "ONE": ["the king", "the king near NP"],
    "MANY": ["the kings", "the kings near NP"],
    "NP": ["ONE", "MANY"],
    "MOOD": ["glad", "sad"],
}


def expand(symbol, rng):
    """Rewrite a symbol until only words are left, each rule equally likely."""
    if symbol not in GRAMMAR:
        return [symbol]
    rule = GRAMMAR[symbol][rng.integers(len(GRAMMAR[symbol]))]
    return [word for part in rule.split() for word in expand(part, rng)]


rng = np.random.default_rng(0)
sentences = [expand("S", rng) for _ in range(20_000)]
for sentence in sentences[:4]:
    print(" ".join(sentence))

# %% [markdown]
# With a probability for each rule the grammar is a language model too: "the king is glad" takes three choices
# of two, so its probability is 1/8.

# %%
share = np.mean([sentence == ["the", "king", "is", "glad"] for sentence in sentences])
print(f"drawn {share:.3f} of the time, 1/8 = {1 / 8}")
assert abs(share - 1 / 8) < 0.01

# %% [markdown]
# The grammar knows something that no n-gram model knows for all its sentences: the verb agrees with the first noun,
# however many others stand between. **Predict.** Train n-gram models on 19,000 of these sentences. How often will a bigram model
# prefer the right verb if one other noun stands between? And if none does?

# %%
lexicon = sorted({word for sentence in sentences for word in sentence})
number = {word: i for i, word in enumerate(lexicon)}
coded = [[number[word] for word in sentence] for sentence in sentences]


def agreement(model, between):
    """How often the right verb is preferred, with this many nouns in between."""
    right = []
    for words, ids in zip(sentences[19_000:], coded[19_000:], strict=True):
        at = 2 + 3 * between
        if at < len(words) and words[at] in ("is", "are"):
            wrong = number["are" if words[at] == "is" else "is"]
            p = model.probs(ids[:at])
            right.append(p[ids[at]] > p[wrong])
    return np.mean(right)


results = {}
for order in (2, 5, 8):
    model = NGram.train(
        coded[:19_000], order, vocab_size=len(lexicon), smoothing="witten_bell"
    )
    results[order] = [agreement(model, between) for between in range(4)]
    print(f"order {order}:", *(f"{share:.2f}" for share in results[order]))
assert results[2][0] == 1 and results[2][1] < 0.65
assert results[5][1] == 1 and results[5][2] < 0.7 and results[8][2] == 1

# %% [markdown]
# Columns: 0, 1, 2, 3 nouns in between (the last column rests on some sixty sentences). Each noun in between costs
# three more tokens of context; past its window, the model is left with the habits of the words it sees. No order is
# long enough for all sentences, while ten rules are. (Witten-Bell smoothing here: Kneser-Ney counts what stood
# *before* a token, and at the beginning of a sentence nothing does.)
#
# A short program could do what these rules do. The case for grammars rests on nesting: *if … then* inside *either …
# or*, to any depth, each pair closed in the right order (Chomsky 1957, chapter 3).
#
# Then why is this book not about grammars? Because nobody has written one for real text. Ours knows eight
# words and not one line of the test plays. What was wanted is a model that learns from counts, as the n-gram
# does, and reaches as far as the grammar does. The LSTM and the Transformer of the later chapters do that.

# %%
test_lines = [re.findall(r"[a-z]+", line.lower()) for line in splits.test.splitlines()]
inside = [line for line in test_lines if len(line) > 2 and set(line) <= set(lexicon)]
print(f"{len(inside)} of {len(test_lines):,} lines of the test text use only its words")
assert len(inside) == 0

# %% [markdown]
# ## 11 Two ways to fool yourself
#
# **Scores that are no probabilities.** "Stupid backoff" takes the relative frequency if the n-gram was seen,
# and 0.4 times the shorter context's score if not. It served Google's translation in 2007 and needs no
# normalising. Its scores do not add up to 1, so a perplexity computed from them would mean nothing.
# `lmcore` refuses; the next cell fails on purpose.

# %% tags=["raises-exception"]
stupid = NGram.train(sample, order=3, smoothing="stupid_backoff")
print(f"the scores after 'th' add up to {stupid.probs(b'th').sum():.2f}")
stupid.perplexity(test)

# %% [markdown]
# **A test that was read before.** Put the test text into the training text and measure again.

# %%
honest = NGram.train(train[:1_000_000], order=5)
leaky = NGram.train(train[:1_000_000] + test, order=5)
for name, model in [("honest", honest), ("leaky", leaky)]:
    print(f"{name}: {bits_on_test(model):.1f} bits per byte")
assert bits_on_test(honest) - bits_on_test(leaky) > 0.5
assert bits_on_test(leaky) < min(best)

# %% [markdown]
# The leak gains more than any method of section 7, and nothing was learned. Large corpora from the web contain many
# benchmark texts; that is why the makers of GPT-3 searched theirs for such *contamination* (数据污染; Brown et al.
# 2020, section 4).
#
# ## 12 The scoreboard
#
# From here on, every model of the book is measured on the same five works, in bits per byte.

# %%
rows = [row for row in read_scoreboard() if row.chapter[:2] <= "01"]
print(scoreboard_table(rows))

# %% [markdown]
# "train s" is the time by the clock on two CPU cores, reading the text included; "parameters" are the numbers in the
# model, here one per n-gram and one per context. A Kneser-Ney model is a strong opponent. Several neural networks of the coming chapters will lose to it at
# first, and you will see what it takes to win.
#
# ## Summary
#
# - A language model gives every text a probability. The chain rule turns that into a bet on the next token.
# - Relative frequencies make the training text most likely; maximum likelihood and minimal cross-entropy are
#   the same thing.
# - Nats, bits and perplexity depend on what a token is. Bits per byte do not.
# - The best table for the training text gives new text an infinite loss: what was not seen has probability 0.
# - Smoothing moves probability to the unseen. A count is worth about a constant less than it says; shorter
#   contexts are best asked for *kinds*, not for counts. That is Kneser-Ney.
# - Longer contexts help until most of them were seen too seldom to say anything. That is the wall: the table has no
#   notion that two contexts are alike.
# - Grammars reach any distance and cover no real text.
#
# ## Exercises
#
# Conceptual
#
# 1. A model says that tomorrow's text has perplexity 1. What does it claim, and when is that a bad claim?
# 2. Model A has perplexity 20 on words, model B perplexity 3 on bytes, on the same text with 5.5 bytes per
#    word (spaces counted). Which is better?
# 3. Why must the weights of an interpolation not be chosen on the training text?
#
# Coding
#
# 4. Write `entropy_rate(ids, order)`: the cross-entropy in bits of a maximum-likelihood model on its *own*
#    training text. Run it on `sample` for orders 1 to 5 and explain why, from order 4
#    on, it falls below every figure of the table in section 7.
# 5. Write the temperature of section 9 as a function of a probability vector and $\tau$. Check that
#    $\tau = 1$ changes nothing and that $\tau = 0.01$ leaves (nearly) one byte.
# 6. Draw 1,000 bytes from the order-5 model and let `zlib` compress them. Is the number of bits per byte
#    nearer to that of real text or to that of random bytes?
#
# Open
#
# 7. Train the order-5 model on the source code of Python's standard library (`lmcore.data.python_stdlib`), half
#    of its files, and measure it on the other half. Is code easier than Shakespeare? Find out which tokens
#    cost most.
#
# ## Answers
#
# <details><summary>1</summary>
#
# That every token of it is certain. If any of them turns out otherwise, the loss is infinite: the model must
# never say it about text it has not seen.
# </details>
#
# <details><summary>2</summary>
#
# A: log2(20) = 4.32 bits per word, 4.32 / 5.5 = 0.79 bits per byte. B: log2(3) = 1.58 bits per byte. A is
# better by a factor of two, though its perplexity is higher.
# </details>
#
# <details><summary>3</summary>
#
# On its own training text the longest context is always right: every n-gram was seen, and its relative
# frequency is the best table there (section 3). The weight of the longest context would go to 1, and the
# infinity would be back.
# </details>
#
# **4.**


# %%
def entropy_rate(ids, order):
    """Bits per token of a maximum-likelihood model on the text it was counted on."""
    model = NGram.train(ids, order=order, smoothing="maximum_likelihood")
    return -model.log_probs(ids).mean() / math.log(2)


rates = [entropy_rate(sample, order) for order in range(1, 6)]
print(*(f"{rate:.1f}" for rate in rates))
assert rates == sorted(rates, reverse=True) and rates[3] < min(best)
assert entropy_rate(sample[:50_000], 20) < 0.1

# %% [markdown]
# With longer contexts the model remembers its text instead of learning English; at order 20, on 50,000 bytes, the
# figure is close to 0. It is a training loss, and says little about new text.
#
# **5.**


# %%
def with_temperature(p, tau):
    """p^(1/tau), normalised; the largest is scaled to 1 first, against underflow."""
    powered = (p / p.max()) ** (1 / tau)
    return powered / powered.sum()


p = np.array([0.5, 0.3, 0.2])
print(with_temperature(p, 2.0).round(2), with_temperature(p, 0.01).round(2))
assert np.allclose(with_temperature(p, 1), p) and with_temperature(p, 0.01)[0] > 0.999

# %% [markdown]
# **6.**

# %%
drawn = bytes(NGram.from_counts(counts).sample(b"\n", 1000, seed=0).tolist())
noise = np.random.default_rng(0).integers(0, 256, 1000, dtype=np.uint8).tobytes()
for name, data in [("drawn", drawn), ("real", test[5000:6000]), ("noise", noise)]:
    print(f"{name}: {8 * len(zlib.compress(data, 9)) / len(data):.1f} bits per byte")
assert len(zlib.compress(drawn, 9)) < 0.75 * len(zlib.compress(noise, 9))

# %% [markdown]
# Much nearer to real text: to `zlib`, which sees repeated strings and letter frequencies, four bytes of
# context look like English. It takes a better player to tell them apart.
#
# ## References
#
# - C. E. Shannon, "A Mathematical Theory of Communication", *Bell System Technical Journal* 27 (1948),
#   sections 2–3 and 7; "Prediction and Entropy of Printed English", *BSTJ* 30 (1951), sections 3–4.
# - F. Jelinek and R. L. Mercer, "Interpolated estimation of Markov source parameters from sparse data" (1980).
# - K. W. Church and W. A. Gale, "A comparison of the enhanced Good-Turing and deleted estimation methods for
#   estimating probabilities of English bigrams", *Computer Speech & Language* 5 (1991).
# - H. Ney, U. Essen and R. Kneser, "On structuring probabilistic dependences in stochastic language modelling",
#   *Computer Speech & Language* 8 (1994).
# - R. Kneser and H. Ney, "Improved backing-off for m-gram language modeling", *ICASSP* (1995).
# - S. F. Chen and J. Goodman, "An empirical study of smoothing techniques for language modeling", *Computer
#   Speech & Language* 13 (1999), sections 2–3.
# - T. Brants et al., "Large language models in machine translation", *EMNLP* (2007), section 4.
# - T. B. Brown et al., "Language models are few-shot learners", *NeurIPS* (2020), section 4.
# - N. Chomsky, *Syntactic Structures* (1957), chapters 3–5.
#
# **Next:** [02 Text into tokens](02_text_into_tokens.ipynb): bytes were a choice of convenience; what should a
# token be?
