# %% [markdown]
# # 02 · Text into tokens
#
# **Question.** A model reads numbers. Which pieces of a text should the numbers stand for, and what does the choice cost?
#
# **Prerequisites.** [01 Language models](01_language_models.ipynb): tokens, bits per byte, n-gram models.
#
# **Time.** 90 minutes to read; 20–60 s to run on two CPU cores.

# %% [markdown]
# After this chapter you can
#
# - clean raw text step by step and say what each step destroys;
# - explain why search engines drop stop words and word endings, and language models do not;
# - train byte-pair encoding by hand on a line of text, and read its merges;
# - measure what a vocabulary costs: sequence length, rare tokens, and fairness between languages;
# - turn a text into batches of inputs and targets, the form every later chapter trains on.

# %%
import html
import inspect
import json
import math
import pydoc
import re
import unicodedata
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

import torch
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from snowballstemmer import stemmer

from lmcore.assets import fetch
from lmcore.data import batches, chinese_novel, course_corpus, next_token_pairs
from lmcore.metrics import bits_per_byte
from lmcore.models.ngram import NGram
from lmcore.plotting import new_plots, plt
from lmcore.tokenizers import ByteBPETokenizer, bpe_train
from lmcore.tokenizers.patterns import Splitter
from lmcore.tokenizers.wordpiece import WordPieceTokenizer

splits = course_corpus()
print(f"{len(splits.train):,} characters of Shakespeare to learn from")

# %% [markdown]
# The way from a text to what a model trains on has four steps. This chapter walks it from left to right.
#
# ```mermaid
# flowchart LR
#     A["raw text<br/>HTML, odd characters"] -->|clean| B["text"]
#     B -->|tokenizer| C["ids<br/>[464, 5822, ...]"]
#     C -->|cut| D["windows<br/>inputs, targets"]
#     D -->|shuffle, stack| E["batches<br/>(B, T)"]
# ```
#
# ## 1 Cleaning, and what it destroys
#
# Web pages are the largest source of text there is. Here is a real one: Python can write its own
# documentation as HTML, and this is the page on its module `json`.

# %%
page = pydoc.html.page("json", pydoc.html.document(json))
start = page.index("Encoding&nbsp;basic")
print(page[start - 30 : start + 250])
print(
    f"\n{len(page):,} characters, {page.count('<'):,} tags, {page.count('&'):,} entities"
)

# %% [markdown]
# Tags are no text, and `&nbsp;` is a space. A parser from the standard library keeps what a reader would see.


# %%
class VisibleText(HTMLParser):
    """Collects the text of a page, without tags, styles and scripts."""

    def __init__(self):
        super().__init__(convert_charrefs=True)  # &nbsp; becomes U+00A0
        self.parts, self.hidden = [], 0

    def handle_starttag(self, tag, attrs):
        self.hidden += tag in ("script", "style", "title")
        self.parts.append("\n" if tag in ("p", "br", "tr", "dl") else "")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("script", "style", "title")

    def handle_data(self, data):
        self.parts.append("" if self.hidden else data)


parser = VisibleText()
parser.feed(page)
visible = "".join(parser.parts)
print(f"{len(visible) / len(page):.0%} of the page is text")
assert "<" not in visible.replace("<http", "").replace("<https", "")[:500]
assert html.unescape("&nbsp;") == "\xa0" and "\xa0" in visible

# %% [markdown]
# The rest is about characters that look alike and are not. **Predict.** How many different strings are these?

# %%
looks = ["café", "cafe\u0301", "\ufeffcafé", "caf\u00e9\u200b", "ｃａｆé"]
print(looks, "→", len(set(looks)), "strings of lengths", [len(s) for s in looks])
assert len(set(looks)) == 5

# %% [markdown]
# Five. The second writes é as e and a combining accent, the third begins with a byte order mark, the fourth
# ends with a space of no width, the last uses the full-width letters of Chinese typography. A model would
# have to learn each spelling apart. **Unicode normalisation** (Unicode 规范化) merges the forms: NFC composes
# accents; NFKC also replaces compatibility characters such as full-width letters.


# %%
def clean(text, form="NFC"):
    """Normalise, drop control and format characters, keep line breaks and tabs."""
    text = unicodedata.normalize(form, text.replace("\r\n", "\n"))
    kept = (
        c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf")
    )
    return re.sub(r"[ \xa0]+", " ", "".join(kept))


print({clean(s) for s in looks}, {clean(s, "NFKC") for s in looks})
print("NFKC also does this:", clean("x² ≠ ½ ﬁ", "NFKC"))
assert {clean(s, "NFKC") for s in looks} == {"café"}
assert len({clean(s) for s in looks}) == 2 and clean("x²", "NFKC") == "x2"

# %% [markdown]
# Every cleaning step is a loss that cannot be undone. NFKC turns x² into x2, and dropping format characters
# breaks emoji families and Persian spelling, which need the joiner U+200D or U+200C. So: decide by what the
# model will have to *write*. GPT-2 was trained on text that was hardly normalised; BERT's uncased model even
# takes off accents and capitals, and can never write them.
#
# ## 2 Stop words and stems, and why language models keep them
#
# Older recipes go on: drop **stop words** (停用词), the most frequent words such as "the" and "not", then cut
# words to their **stem** (词干). **Predict.** What will be left of this line?

# %%
stem = stemmer("english").stemWord


def search_terms(text):
    """What a search engine of the 1990s would keep."""
    words = re.findall(r"[a-z]+", text.lower())
    return [stem(word) for word in words if word not in ENGLISH_STOP_WORDS]


for line in [
    "To be, or not to be: that is the question",
    "This film is not good",
    "the witness has wit",
]:
    print(f"{line!r} → {search_terms(line)}")
assert search_terms("To be, or not to be: that is the question") == ["question"]
assert search_terms("This film is not good") == search_terms("The film is good")

# %% [markdown]
# "Not good" and "good" become equal, and so do the wit and the witness. For search that is often
# right: a query for "films" should find "film", and "the" finds everything. It makes the table smaller, too:

# %%
words = re.findall(r"[a-z]+", splits.train.lower())
stop_share = sum(word in ENGLISH_STOP_WORDS for word in words) / len(words)
n_words, n_stems = len(set(words)), len({stem(word) for word in set(words)})
print(f"{stop_share:.0%} of the words are stop words")
print(f"{n_words:,} different words, {n_stems:,} different stems")
assert 0.4 < stop_share < 0.6 and n_stems < 0.75 * n_words

# %% [markdown]
# A language model must write the text back, every "not" and every ending. What these steps throw away is
# grammar, and grammar is what it learns first. So modern models drop neither; the tokenizer below loses
# nothing at all.
#
# ## 3 Words, characters, or something between
#
# **Words.** Every different word gets a number. **Predict.** After 4 MB of Shakespeare, how many of the words
# in his other plays are new?

# %%
vocabulary = set(words)
test_words = re.findall(r"[a-z]+", splits.test.lower())
unknown = [word for word in test_words if word not in vocabulary]
print(
    f"{len(vocabulary):,} words known, {len(unknown) / len(test_words):.1%} of the test words new"
)
print("for instance", sorted(set(unknown))[1000:1006])
assert 0.03 < len(unknown) / len(test_words) < 0.05

# %% [markdown]
# One word in twenty-five, from the same author, with all capitals and signs removed already. Each must become
# the same `[UNK]`, and is lost: the **out-of-vocabulary** (未登录词) problem. Names, typing errors, Chinese
# (which writes no spaces) and code are worse.
#
# **Characters.** No word is unknown, and the vocabulary is tiny. But the text is long: a model that can look
# back 1,000 tokens sees 1,000 words in one case and fewer than 200 in the other.

# %%
n_tokens = {
    "words": len(re.findall(r"\w+|[^\w\s]", splits.test)),
    "characters": len(splits.test),
}
print(n_tokens, f"ratio {n_tokens['characters'] / n_tokens['words']:.1f}")
assert 4 < n_tokens["characters"] / n_tokens["words"] < 5

# %% [markdown]
# **Subwords** (子词) are the compromise: frequent words whole, rare words in pieces, down to single bytes if
# need be. The question is which pieces. The answer used by GPT-2 and nearly all models after it was found
# by a compression algorithm of 1994.
#
# ## 4 Byte-pair encoding, step by step
#
# **Byte-pair encoding** (BPE, 字节对编码): begin with single bytes. Find the pair of neighbours that occurs most
# often. Make it a new token. Repeat.
#
# **Number.** Before you run the cell: which pair is the most frequent one in this line?

# %%
toy = "she sells sea shells by the sea shore"
print(Splitter("gpt2").split(toy))


def coded_words(text):
    """Each different word as its bytes, with how often it occurs."""
    return Counter(tuple(word.encode()) for word in Splitter("gpt2").split(text))


def count_pairs(words):
    """How often each pair of neighbours stands in the text; never across words."""
    pairs = Counter()
    for ids, n in words.items():
        for pair in pairwise(ids):
            pairs[pair] += n
    return pairs


for pair, n in count_pairs(coded_words(toy)).most_common(4):
    print(n, bytes(pair))

# %% [markdown]
# First the text is cut into words; a space belongs to the word that it precedes, and no merge crosses a
# border. A space followed by "s" leads, with five. **Code.** Make it token 256, count again, and so on.


# %%
def join_pair(ids, pair, new):
    """Replace each occurrence of the pair by the new id, from left to right."""
    joined, i = [], 0
    while i < len(ids):
        found = ids[i : i + 2] == pair
        joined.append(new if found else ids[i])
        i += 2 if found else 1
    return tuple(joined)


def train_bpe_loop(words, n_merges):
    """Byte-pair encoding by counting everything anew for each merge."""
    merges = []
    for new in range(256, 256 + n_merges):
        pairs = count_pairs(words)
        pair = max(pairs, key=lambda pair: (pairs[pair], -pair[0], -pair[1]))
        merges.append(pair)
        words = Counter({join_pair(ids, pair, new): n for ids, n in words.items()})
    return merges, words


def token_table(merges):
    """The bytes of every token: 256 single ones, then the merges."""
    table = [bytes([b]) for b in range(256)]
    for left, right in merges:
        table.append(table[left] + table[right])
    return table


merges, words = train_bpe_loop(coded_words(toy), n_merges=6)
table = token_table(merges)
print("new tokens:", [token.decode() for token in table[256:]])
for ids, n in words.items():
    print(n, [table[i].decode() for i in ids])
assert table[256] == b" s" and len(table) == 262

# %% [markdown]
# **Equation.** With $c(a, b)$ the number of times token $a$ stands directly before token $b$, each step adds
#
# $$ab, \qquad (a, b) = \arg\max_{(a, b)} c(a, b),$$
#
# so $n$ steps give a vocabulary of $256 + n$. (Among equals we take the pair with the smallest ids.) It is
# greedy: each step takes the largest saving in length, and none is taken back.
#
# To **encode** (编码) a new word, apply the merges in the order in which they were learned. "shell" was never
# in the text, yet it gets a short code:

# %%
ids = tuple(b" shell")
for new, pair in enumerate(merges, start=256):
    ids = join_pair(ids, pair, new)
print([table[i].decode() for i in ids])
assert len(ids) < 6 and b"".join(table[i] for i in ids) == b" shell"

# %% [markdown]
# `lmcore` learns the same merges without counting anew: a merge changes only the pairs beside it, so it keeps
# the places of every pair and visits those alone. On 20,000 real characters both must agree, merge by merge.

# %%
sample = splits.train[100_000:120_000]
naive, _ = train_bpe_loop(coded_words(sample), n_merges=60)
coded = [(list(ids), n) for ids, n in coded_words(sample).items()]
print("equal:", naive == bpe_train.train_merges(coded, 60, first_id=256))
assert naive == bpe_train.train_merges(coded, 60, first_id=256)
print(inspect.getsource(bpe_train).split('"""')[1])

# %% [markdown]
# ## 5 A real vocabulary
#
# One megabyte of Shakespeare, 3,840 merges, so 4,096 tokens.

# %%
tokenizer = ByteBPETokenizer.train(splits.train[:1_000_000], vocab_size=4096)
for first in (256, 1000, 4000):
    print(first, [tokenizer.decode([i]) for i in range(first, first + 8)])
ids = tokenizer.encode("Wherefore art thou discombobulated?")
print([tokenizer.decode([i]) for i in ids])
assert tokenizer.decode(ids) == "Wherefore art thou discombobulated?"

# %% [markdown]
# The first merges are letter pairs, the last ones whole words. "Wherefore" and "thou" are frequent here; a word
# that Shakespeare never wrote falls into pieces, and nothing is lost. That holds for any string at all, since
# every string is bytes:

# %%
for text in [
    "naïve café",
    "国王万岁",
    "🤷🏽‍♀️",
    "\x00\t\r\n  \n",
    "def f(x): return x**2",
]:
    assert tokenizer.decode(tokenizer.encode(text)) == text
    print(f"{len(text):3} characters, {len(tokenizer.encode(text)):3} tokens: {text!r}")

# %% [markdown]
# ### Misconception: "tokens are the meaningful parts of words"
#
# **Predict.** How will the vocabulary cut "unhappiness", "kingdoms" and "undone"?

# %%
for word in [" unhappiness", " kingdoms", " undone", " understand"]:
    print([tokenizer.decode([i]) for i in tokenizer.encode(word)])
unhappy = [tokenizer.decode([i]) for i in tokenizer.encode(" unhappiness")]
assert unhappy != [" un", "happi", "ness"]

# %% [markdown]
# Some cuts look like grammar, others do not. The algorithm knows counts, not prefixes. Where a piece means
# something, it is because meaningful pieces are frequent.
#
# ## 6 How large should the vocabulary be?
#
# BPE has a handy property: the first $k$ merges *are* the vocabulary of size $256 + k$. So one training gives
# every size. Two things pull in opposite directions. Tokens get longer, so texts get shorter. But tokens also
# get rarer, and a model learns nothing about a token that it seldom sees.


# %% alt="Two panels against vocabulary size on a logarithmic axis. Left: bytes per token rise from 1 to about 3, more and more slowly. Right: the share of tokens seen fewer than 100 times rises steeply."
def first_tokens(tokenizer, vocab_size):
    """The same tokenizer as it was when it had learned only so many tokens."""
    vocab = {token: i for token, i in tokenizer.vocab.items() if i < vocab_size}
    return ByteBPETokenizer(vocab, tokenizer.merges[: vocab_size - 256])


sizes = [256, 512, 1024, 2048, 4096]
text = splits.train[1_000_000:1_500_000]
lengths, rare = [], []
for size in sizes:
    seen = Counter(first_tokens(tokenizer, size).encode(text))
    lengths.append(len(text) / seen.total())
    used = [n for n in seen.values()]
    rare.append(sum(n < 100 for n in used) / len(used))
figure, (left, right) = new_plots(1, 2, width=9, height=3.6)
left.plot(sizes, lengths, marker="o")
left.set(title="Tokens get longer", xlabel="vocabulary size", ylabel="bytes per token")
right.plot(sizes, rare, marker="o")
right.set(title="and rarer", xlabel="vocabulary size", ylabel="share seen < 100 times")
for axes in (left, right):
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, sizes)
assert lengths == sorted(lengths) and 2.5 < lengths[-1] < 3.5
assert 0.6 < rare[-1] < 0.95
plt.show()

# %% [markdown]
# **How to read it.** Each point is one vocabulary on the same half megabyte. Left, higher is shorter text;
# right, higher is more tokens with little to learn from.
#
# GPT-2 chose 50,257, Llama 3 128,256: with more training text, rare tokens are less rare. There is a price in
# parameters too. Each token has a vector of width $d$ in the model: for GPT-2's smallest model ($d = 768$)
# that table takes 31 % of all parameters.

# %%
embedding = 50_257 * 768
print(f"{embedding:,} of 124,439,808 parameters, {embedding / 124_439_808:.0%}")
assert round(embedding / 124_439_808, 2) == 0.31

# %% [markdown]
# ## 7 Who pays: fertility
#
# GPT-2's vocabulary was learned mostly from English web pages. `lmcore` reads its published file and gives the
# same ids as OpenAI's own library (`tests/parity/`). Compare three real texts: an English play, a Chinese
# novel of the 14th century, and Python source code. **Predict.** How many tokens per character in each?

# %%
gpt2 = ByteBPETokenizer.from_ranks(fetch("gpt2-ranks"))
texts = {
    "English play": splits.test[100_000:120_000],
    "Chinese novel": chinese_novel().text[100_000:120_000],
    "Python code": "\n".join(inspect.getsource(module) for module in (json, html, re))[
        :20_000
    ],
}
fertility = {}
for name, text in texts.items():
    ids = gpt2.encode(text)
    fertility[name] = len(ids) / len(text)
    print(
        f"{name:14} {fertility[name]:.2f} tokens per character; 1,024 tokens hold {1024 / fertility[name]:5.0f}"
    )
assert fertility["Chinese novel"] > 5 * fertility["English play"]

# %% [markdown]
# The number of tokens that a text needs, per character or per word, is the vocabulary's **fertility**. But a
# Chinese character says more than a letter does. So say the same thing three times:

# %%
for text in [
    "For each number from one to ten, print its square.",
    "对从一到十的每个数，打印它的平方。",
    "for n in range(1, 11): print(n**2)",
]:
    print(f"{len(text):3} characters, {len(gpt2.encode(text)):3} tokens: {text}")
assert len(gpt2.encode("对从一到十的每个数，打印它的平方。")) == 31

# %% [markdown]
# A third of the characters, and more than twice the tokens. A window of 1,024 tokens holds that much less
# Chinese, and whoever pays per token pays that much more. The cause is the text that the vocabulary was
# learned from, nothing else:

# %%
novel = chinese_novel().text
chinese = ByteBPETokenizer.train(novel[200_000:], vocab_size=4096)
for name, text in texts.items():
    print(f"{name:14} {len(chinese.encode(text)) / len(text):.2f} tokens per character")
assert len(chinese.encode(texts["Chinese novel"])) < 0.6 * len(
    gpt2.encode(texts["Chinese novel"])
)

# %% [markdown]
# A vocabulary a twelfth the size of GPT-2's, learned from Chinese, needs about half the tokens for Chinese, and
# is poor at English.
#
# ## 8 Special tokens
#
# A model must know where one document ends and the next begins. For that there are **special tokens**
# (特殊词元), ids that no text can spell. GPT-2 has one.

# %%
end = gpt2.special_tokens["<|endoftext|>"]
harmless = gpt2.encode("Ignore this: <|endoftext|>")
print(end, end in harmless)
print([gpt2.decode([i]) for i in harmless])
assert end == 50_256 and end not in harmless
assert end in gpt2.encode("one<|endoftext|>two", allowed_special="all")

# %% [markdown]
# Text from a stranger that contains the letters `<|endoftext|>` must stay text. Otherwise anyone could end a
# document, or later in this book a chat turn, in the middle of theirs. So `encode` makes special tokens only
# where it is told to.
#
# BERT's family uses **WordPiece** instead of BPE. It picks the pair whose merge makes the training text most
# likely, cuts words greedily from the left into the longest known pieces, marks word ends with `##`, and
# knows `[CLS]`, `[SEP]`, `[MASK]`. And it can fail: a word with an unknown character becomes `[UNK]`.

# %%
wordpiece = WordPieceTokenizer.train(splits.train[:300_000], vocab_size=2000)
for text in ["The kingdom's undoing", "naïve 国王"]:
    ids = wordpiece.encode(text)
    print([wordpiece.pieces[i] for i in ids], "→", wordpiece.decode(ids))
assert "[UNK]" in wordpiece.decode(wordpiece.encode("naïve 国王"))

# %% [markdown]
# ## 9 Four traps
#
# **A leading space is part of the token.** A prompt that ends in a space asks for a token that begins without
# one, which is rare.

# %%
for text in ["king", " king", "King", " KING"]:
    print(repr(text), gpt2.encode(text))
assert gpt2.encode("the king") == gpt2.encode("the") + gpt2.encode(" king")
assert gpt2.encode("the king") != gpt2.encode("the ") + gpt2.encode("king")

# %% [markdown]
# **Numbers are cut by frequency.** A model that is to add them sees digits grouped without a system. (Later
# tokenizers cut digits one by one, or in threes.)

# %%
for number in ["1984", "1985", "12345", "123456", "3141592"]:
    print(number, [gpt2.decode([i]) for i in gpt2.encode(number)])
assert len(gpt2.encode("1984")) == 1

# %% [markdown]
# **Some tokens were never learned.** GPT-2's vocabulary contains the name of a user of a web forum as one token.
# It was frequent in the text the vocabulary was made from and nearly absent from the text the model was trained
# on, so its vector stayed near its random start. Models asked to repeat such a *glitch token* answered with
# insults or evasions (Rumbelow and Watkins 2023).

# %%
glitch = gpt2.encode(" SolidGoldMagikarp")
print(
    glitch,
    "GPT-2 token",
    "| our tokenizer:",
    len(tokenizer.encode(" SolidGoldMagikarp")),
)
assert len(glitch) == 1

# %% [markdown]
# **A token need not be a character.** The next cell cuts a Chinese character in two and decodes one part: it shows
# the replacement character. Streams of tokens must be decoded with care. Then it asks for a token that does not
# exist, which fails on purpose.

# %% tags=["raises-exception"]
ids = gpt2.encode("麒")
print(ids, gpt2.decode(ids), "but", [gpt2.decode([i]) for i in ids])
assert len(ids) > 1 and "\ufffd" in gpt2.decode(ids[:1])
gpt2.decode([50_257])

# %% [markdown]
# ## 10 From ids to batches
#
# The last two steps. A text of ids becomes **windows** (窗口) of equal length; the **targets** (目标) are the
# same ids, moved by one, since at every position the model is asked for the next token.

# %%
ids = torch.tensor(tokenizer.encode(splits.train[:200_000]))
inputs, targets = next_token_pairs(ids, seq_len=8)
print("inputs ", [tokenizer.decode([i]) for i in inputs[40].tolist()])
print("targets", [tokenizer.decode([i]) for i in targets[40].tolist()])
assert torch.equal(inputs[:, 1:], targets[:, :-1])

# %% [markdown]
# Windows are shuffled and stacked into **batches** (批) of shape (B, T). The order depends on the seed and the
# step alone: a training that was stopped goes on with the very batch it would have seen.

# %%
stream = batches(inputs, targets, batch_size=32, seed=0)
for _ in range(3):
    x, y = next(stream)
print(tuple(x.shape), tuple(y.shape))
resumed, _ = next(batches(inputs, targets, batch_size=32, seed=0, step=2))
assert x.shape == (32, 8) and torch.equal(x, resumed)

# %% [markdown]
# ## 11 Do better tokens make a better model?
#
# Back to the scoreboard's question. Train the same kind of model, Kneser-Ney, on the same 1.5 MB: once on
# bytes, once on tokens. Bits per byte compare them fairly. **Predict.** Which wins?

# %%
text = splits.train[:1_500_000]
scores = {}
for name, tok, order in [
    ("bytes, order 5", first_tokens(tokenizer, 256), 5),
    ("bytes, order 7", first_tokens(tokenizer, 256), 7),
    ("512 tokens, order 4", first_tokens(tokenizer, 512), 4),
    ("4,096 tokens, order 3", tokenizer, 3),
]:
    model = NGram.train(tok.encode(text), order=order, vocab_size=tok.vocab_size)
    log_p = model.log_probs(tok.encode(splits.test))
    scores[name] = bits_per_byte(-log_p.sum(), len(splits.test.encode()))
    print(
        f"{name:22} {scores[name]:.2f} bits per byte, perplexity {math.exp(-log_p.mean()):.0f}"
    )
assert min(scores, key=scores.get) == "512 tokens, order 4"

# %% [markdown]
# Bytes have the lowest perplexity and lose. 512 tokens win: four of them reach about as far as seven bytes, and
# frequent strings are counted whole. With 4,096 tokens the gain is gone. Most of those tokens are too
# rare for a table of 1.5 MB, the very wall of chapter 01. The right size depends on how much text there is.
#
# ## Summary
#
# - Cleaning cannot be undone. NFC is safe; NFKC, lower case and dropped characters are choices.
# - Stop words and stems were for search. A language model needs every word it is to write.
# - Words leave words unknown, characters make texts long. Subwords do neither.
# - BPE merges the most frequent pair, again and again; encoding repeats the merges in order. Byte-level BPE can
#   write every string.
# - A larger vocabulary means shorter texts and rarer tokens.
# - Fertility differs between languages, because the vocabulary's training text did.
# - Special tokens mark what text cannot say; a stranger's text must never become one.
#
# ## Exercises
#
# Conceptual
#
# 1. Two tokenizers give the same number of tokens on English. One has a vocabulary of 50,000, the other of
#    100,000. Name one reason for each to prefer it.
# 2. Why does GPT-2's pre-tokenisation stop merges at the border of a word? What would the vocabulary look like
#    without it?
# 3. A model's API charges per token. How would you estimate, before translating a handbook into Chinese, what
#    a query about it will cost?
#
# Coding
#
# 4. Write `encode_loop(text, merges)` that encodes a text with the merges of `train_bpe_loop`, and check that it
#    gives the ids of `lmcore` on 2,000 characters.
# 5. Train a vocabulary on the Chinese novel *without* pre-tokenisation (`pattern="none"`), 500 merges on 50,000
#    characters. Print its longest tokens. What are they?
# 6. Find the token of GPT-2's vocabulary with the most bytes, and the longest one made of letters.
#
# Open
#
# 7. Take a text you know well, in a language other than English. Measure GPT-2's fertility on it, sentence by
#    sentence against a translation. Which constructions cost most?
#
# ## Answers
#
# <details><summary>1</summary>
#
# The smaller one: half the embedding table, and each token seen more often. The larger one: it spends its
# additional tokens on something other than English, perhaps your language or your code.
# </details>
#
# <details><summary>2</summary>
#
# So that "dog", "dog." and "dog!" share a token. Without it frequent word pairs and endings with punctuation
# (" of the", ", and") would take up tokens, and the same word would have many codes.
# </details>
#
# <details><summary>3</summary>
#
# Take a few pages that exist in both languages, encode both, and use the ratio of tokens; the ratio of
# characters misleads, as section 7 shows.
# </details>
#
# **4.**


# %%
def encode_loop(text, merges):
    """Apply every merge, in order, to every word of the text."""
    ids = []
    for word in Splitter("gpt2").split(text):
        word_ids = tuple(word.encode())
        for new, pair in enumerate(merges, start=256):
            word_ids = join_pair(word_ids, pair, new)
        ids += word_ids
    return ids


small = ByteBPETokenizer.train(sample, vocab_size=256 + 60)
print(encode_loop(sample[:2000], naive) == small.encode(sample[:2000]))
assert encode_loop(sample[:2000], naive) == small.encode(sample[:2000])

# %% [markdown]
# **5.**

# %%
free = ByteBPETokenizer.train(novel[:50_000], vocab_size=256 + 500, pattern="none")
strings = [free.decode([i]) for i in range(256, free.vocab_size)]
print(sorted((s for s in strings if "\ufffd" not in s), key=len)[-8:])
print(sum("\ufffd" in s for s in strings), "tokens begin or end inside a character")
assert any("玄德" in s for s in strings)

# %% [markdown]
# Names and fixed phrases such as "said:", with the punctuation around them: the frequent strings of this
# novel. Many other tokens are parts of characters, three bytes each, that no reader would call a unit.
#
# **6.**

# %%
tokens = [gpt2.token_bytes(i) for i in range(50_256)]
letters = [token for token in tokens if token.strip().isalpha()]
print(len(max(tokens, key=len)), "bytes:", max(tokens, key=len)[:20], "…")
print(max(letters, key=len))
assert len(max(tokens, key=len)) == 128

# %% [markdown]
# ## References
#
# - P. Gage, "A new algorithm for data compression", *The C Users Journal* 12 (1994).
# - R. Sennrich, B. Haddow and A. Birch, "Neural machine translation of rare words with subword units", *ACL*
#   (2016), section 3.2.
# - A. Radford et al., "Language models are unsupervised multitask learners" (2019), section 2.2.
# - M. Schuster and K. Nakajima, "Japanese and Korean voice search", *ICASSP* (2012), section 3.
# - J. Devlin et al., "BERT", *NAACL* (2019), section 3.
# - A. Petrov et al., "Language model tokenizers introduce unfairness between languages", *NeurIPS* (2023).
# - J. Rumbelow and M. Watkins, "SolidGoldMagikarp (plus, prompt generation)" (2023); S. Land and M. Bartolo,
#   "Fishing for Magikarp", *EMNLP* (2024).
# - M. F. Porter, "An algorithm for suffix stripping", *Program* 14 (1980).
#
# **Next:** [03 Activations](03_activations.ipynb): the numbers are ready; now for a network that reads them.
