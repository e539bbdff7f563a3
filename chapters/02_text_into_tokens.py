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
import pydoc
import re
import unicodedata
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import torch
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from snowballstemmer import stemmer

from lmcore.assets import fetch
from lmcore.course.scoreboard import read_scoreboard, scoreboard_table
from lmcore.data import batches, chinese_novel, course_corpus, next_token_pairs
from lmcore.metrics import bits_per_byte
from lmcore.models.ngram import NGram
from lmcore.plotting import new_plot, new_plots, plt
from lmcore.tokenizers import ByteBPETokenizer, bpe_train
from lmcore.tokenizers.patterns import Splitter
from lmcore.tokenizers.wordpiece import WordPieceTokenizer

splits = course_corpus()
print(f"{len(splits.train):,} characters of Shakespeare to learn from")

# %% [markdown]
# Say the same thing three times, and let the vocabulary of GPT-2 cut each version into **tokens** (词元), the pieces
# that become numbers. (A **tokenizer**, 分词器, does this; by the end of the chapter you will have built one.)

# %%
gpt2 = ByteBPETokenizer.from_ranks(fetch("gpt2-ranks"))
same_thing = [
    "For each number from one to ten, print its square.",
    "对从一到十的每个数，打印它的平方。",
    "for n in range(1, 11): print(n**2)",
]
for text in same_thing:
    print(f"{len(text):3} characters, {len(gpt2.encode(text)):3} tokens: {text}")
assert [len(gpt2.encode(text)) for text in same_thing] == [12, 31, 15]

# %% [markdown]
# Twelve tokens in English, fifteen in Python, thirty-one in Chinese. A model reads a limited number of tokens, and
# services charge by the token. So this choice, made before a model is trained, decides what it costs to whom. Where
# do the pieces come from?
#
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
# Much of the text that language models learn from are web pages. Here is a real one: Python can write its own
# documentation as HTML, and this is the page on its module `json`.

# %%
page = pydoc.html.page("json", pydoc.html.document(json))
start = page.index("Encoding&nbsp;basic")
print(page[start - 30 : start + 250])
assert page.count("<") > 1000 and page.count("&nbsp;") > 1000

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
print(f"less than half of the page is text: {len(visible) / len(page) < 0.5}")
assert "<br" not in visible and "</a" not in visible and len(visible) < 0.5 * len(page)
assert html.unescape("&nbsp;") == "\xa0" and "\xa0" in visible

# %% [markdown]
# The rest is about characters that look alike and are not. **Predict.** The next cell prints five strings that a
# reader would all take for "café". How many different ones are there?

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


print("NFC: ", sorted({clean(s) for s in looks}))
print("NFKC:", sorted({clean(s, "NFKC") for s in looks}))
print("NFKC also does this:", clean("x² ≠ ½ ﬁ", "NFKC"))
assert {clean(s, "NFKC") for s in looks} == {"café"}
assert len({clean(s) for s in looks}) == 2 and clean("x²", "NFKC") == "x2"
print("and this:", clean("if x:\n    return 1").splitlines(), len(clean("👩\u200d🌾")))
assert clean("    return 1") == " return 1" and clean("👩\u200d🌾") == "👩🌾"

# %% [markdown]
# Every cleaning step is a loss that cannot be undone. NFKC turns x² into x2. Our function, harmless as it looks, also
# folded the indentation of a Python program into one space, and took the farmer apart into a woman and an ear of rice,
# by dropping the joiner U+200D between them. So: decide by what the model will have to *write*. BERT's uncased model
# takes off accents and capitals, and can never write them; GPT-2's tokenizer changes nothing.
#
# ## 2 Stop words and stems, and why language models keep them
#
# Older recipes go on: drop **stop words** (停用词), the most frequent words such as "the" and "not", then cut
# words to their **stem** (词干). **Predict.** What will be left of "To be, or not to be: that is the question"?

# %%
stem = stemmer("english").stemWord


def search_terms(text):
    """What a search engine of the old school keeps of a text."""
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
assert 0.45 < stop_share < 0.55 and 0.58 < n_stems / n_words < 0.67

# %% [markdown]
# Half of the words are gone, and four in ten of the different ones. But a language model must write the text back,
# every "not" and every ending. So it drops neither, and the tokenizer below loses nothing at all.
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
# the same `[UNK]`, for "unknown", and is lost: the **out-of-vocabulary** (未登录词) problem. And what would a word be
# in Chinese, which writes no spaces?
#
# **Characters.** No word is unknown, and the **vocabulary** (词表), the list of all tokens, is tiny. But the text is
# long: a model that can look back 1,000 tokens sees 1,000 words and signs in one case, 240 in the other.

# %%
n_tokens = {
    "words": len(re.findall(r"\w+|[^\w\s]", splits.test)),
    "characters": len(splits.test),
}
print(n_tokens, f"ratio {n_tokens['characters'] / n_tokens['words']:.1f}")
assert 235 < 1000 * n_tokens["words"] / n_tokens["characters"] < 245

# %% [markdown]
# **Subwords** (子词) are the compromise: frequent words whole, rare words in pieces, down to single bytes if
# need be. The question is which pieces. One answer began as a way to compress files (Gage 1994), came to translation
# (Sennrich et al. 2016) and then to GPT-2, on bytes. (Another, used by T5, starts from many pieces and drops the least
# useful ones: the *unigram* tokenizer of Kudo 2018.)
#
# ## 4 Byte-pair encoding, step by step
#
# **Byte-pair encoding** (BPE, 字节对编码): begin with single bytes. Find the pair of neighbours that occurs most
# often. Make it a new token: a **merge** (合并). Repeat.
#
# Before that, the text is cut into words, and no merge crosses the border of a word. (This is *pre-tokenisation*,
# 预分词; it keeps "dog", "dog." and "dog!" from becoming three unrelated tokens.) A space belongs to the word after it.
#
# **Number.** The text is "she sells sea shells by the sea shore". **Predict.** Which two neighbours, spaces included,
# stand together most often?

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
# A space followed by "s": five times. **Code.** Make it token 256, count again, and so on.


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


# %% [markdown]
# `train_bpe_loop` returns the merges in the order in which they were learned, and the words as they are then
# coded. To read the result, put the bytes of each token into a table.


# %%
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
# so $n$ steps give a vocabulary of $256 + n$ tokens. (Among equals we take the pair with the smallest ids.) It is
# greedy: each step takes what looks best at the moment, and none is taken back.
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
# the places of every pair and visits those alone. On 20,000 real characters both must agree, merge by merge. Below is
# its loop. `heap` gives the pair with the highest count; `table` knows where each pair stands.

# %%
sample = splits.train[100_000:120_000]
naive, _ = train_bpe_loop(coded_words(sample), n_merges=60)
coded = [(list(ids), n) for ids, n in coded_words(sample).items()]
print("equal:", naive == bpe_train.train_merges(coded, 60, first_id=256))
assert naive == bpe_train.train_merges(coded, 60, first_id=256)
print(inspect.getsource(bpe_train.train_merges).split('"""')[2])

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
# ### A common misconception about pieces
#
# "The tokens are the meaningful parts of words: *un-happi-ness*." **Predict.** How will this vocabulary cut
# "unhappiness"? And "kingdoms"?

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
# get rarer, and a model learns little about a token that it seldom sees.


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
    rare.append(sum(seen[i] < 100 for i in range(size)) / size)
figure, (left, right) = new_plots(1, 2, width=9, height=3.6)
left.plot(sizes, lengths, marker="o")
left.set(
    title="Tokens get longer …", xlabel="vocabulary size", ylabel="bytes per token"
)
right.plot(sizes, rare, marker="o")
right.set(
    title="… and most of them rare",
    xlabel="vocabulary size",
    ylabel="tokens seen < 100 times",
)
for axes in (left, right):
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, sizes)
assert lengths == sorted(lengths) and 2.5 < lengths[-1] < 3.5
assert rare[1] < 0.6 and 0.85 < rare[-1] < 0.99
plt.show()

# %% [markdown]
# **How to read it.** Each point is one vocabulary, measured on the same half megabyte. Left: higher means shorter texts.
# Right: the share of the vocabulary that has little to learn from. (At 256 it is high for another reason: most single
# bytes never occur in English.)
#
# There is a price in parameters too. A model keeps one vector of `d_model` numbers for each token, its *embedding table*
# (嵌入表, chapter 05). For GPT-2's smallest model, with 50,257 tokens and `d_model` = 768 (Radford et al. 2019, table 2),
# that is about a third of everything.

# %%
embedding = 50_257 * 768
print(f"{embedding:,} of 124,439,808 parameters, {embedding / 124_439_808:.0%}")
assert 0.3 < embedding / 124_439_808 < 0.34

# %% [markdown]
# ## 7 Who pays: fertility
#
# Back to the three sentences of the beginning. GPT-2's vocabulary was learned mostly from English web pages. (`lmcore`
# reads the published file and gives the same ids as OpenAI's own library; `tests/parity/` proves it.) Compare longer
# texts: an English play, *Romance of the Three Kingdoms* (三国演义) from the 14th century, and Python source code.
# **Predict.** How many tokens per character in each?

# %%
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
# The number of tokens that a text needs, per character or per word, is the vocabulary's **fertility** (平均切分数). A
# Chinese character costs GPT-2 about two tokens and an English letter a third of one. Chinese says more per character,
# but by the sentences of the beginning it still pays two and a half times as much.
#
# One cause is UTF-8, which writes three bytes for a Chinese character and one for a letter. The other is the text that
# the vocabulary was learned from. Learn one of 4,096 tokens from later chapters of the same novel:

# %%
novel = chinese_novel().text
chinese = ByteBPETokenizer.train(novel[200_000:], vocab_size=4096)
for name, text in texts.items():
    print(f"{name:14} {len(chinese.encode(text)) / len(text):.2f} tokens per character")
assert len(chinese.encode(texts["Chinese novel"])) < 0.45 * len(
    gpt2.encode(texts["Chinese novel"])
)

# %% [markdown]
# A vocabulary a twelfth the size of GPT-2's needs two fifths of its tokens, and is poor at English. (The comparison
# flatters it: it was made for this very novel.)
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
# BERT's family uses **WordPiece** instead of BPE. It merges the pair that makes the training text most likely, and cuts a
# word from the left into the longest pieces it knows; `##` marks a piece that does not begin a word. It also puts small
# letters for capitals and takes off accents. And it can fail: a word with an unknown character becomes `[UNK]`.
# (Google never published its trainer; `lmcore`'s follows the description in the papers.)

# %%
wordpiece = WordPieceTokenizer.train(splits.train[:300_000], vocab_size=2000)
for text in ["The kingdom's undoing", "naïve 国王"]:
    ids = wordpiece.encode(text)
    print([wordpiece.pieces[i] for i in ids], "→", wordpiece.decode(ids))
assert "[UNK]" in wordpiece.decode(wordpiece.encode("naïve 国王"))

# %% [markdown]
# ## 9 Four traps
#
# **A leading space is part of the token.** A prompt that ends in a space asks for a word without one, and so for another
# token than the model has seen in that place.

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
# **Some tokens were never learned.** The vocabulary of GPT-2, which GPT-3 shares, contains the name of a user of a web forum
# as one token. Probably it was frequent in the text that the vocabulary was made from and nearly absent from the text
# that the models were trained on, so that its vector stayed near its random start. GPT-3 models asked to repeat such a
# *glitch token* (故障词元) answered with insults or evasions (Rumbelow and Watkins 2023).

# %%
glitch = gpt2.encode(" SolidGoldMagikarp")
print(
    glitch,
    "GPT-2 token",
    "| our tokenizer:",
    len(tokenizer.encode(" SolidGoldMagikarp")),
)
assert len(glitch) == 1 and len(tokenizer.encode(" SolidGoldMagikarp")) > 8

# %% [markdown]
# **A token need not be a whole character.** The next cell decodes the three parts of one Chinese character, one by one:
# each gives the replacement character. Whoever prints a model's answer token by token must wait until a character is
# complete. Then the cell asks for a token that does not exist, which fails on purpose.

# %% tags=["raises-exception"]
ids = gpt2.encode("麒")
print(ids, gpt2.decode(ids), "but", [gpt2.decode([i]) for i in ids])
assert len(ids) > 1 and "\ufffd" in gpt2.decode(ids[:1])
gpt2.decode([50_257])

# %% [markdown]
# ## 10 From ids to batches
#
# The last two steps. A text of ids becomes **windows** (窗口) of equal length; the **targets** (目标) are the
# same ids, moved by one, since at every position the model is asked for the next token. With $N$ ids and windows of $T$
# there are $\lfloor (N-1)/T \rfloor$ windows.

# %%
ids = torch.tensor(tokenizer.encode(splits.train[:200_000]))
inputs, targets = next_token_pairs(ids, seq_len=8)
print("inputs ", [tokenizer.decode([i]) for i in inputs[40].tolist()])
print("targets", [tokenizer.decode([i]) for i in targets[40].tolist()])
assert torch.equal(inputs[:, 1:], targets[:, :-1])
assert inputs.shape == ((len(ids) - 1) // 8, 8)

# %% [markdown]
# Windows are shuffled and stacked into **batches** (批) of shape (B, T), B windows of T tokens. The order depends on the seed and the
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
# Back to the scoreboard's question. Train the model of chapter 01, modified Kneser-Ney, on tokens instead of bytes, with
# vocabularies of 256 (bytes) to 8,192 tokens and three amounts of training text. Each has the order that is best on the
# validation works. Bits per byte compare them fairly. That takes some minutes, so the figures are read from `results/`;
# one of them is computed again here.
#
# **Predict.** Will more tokens help, or bytes win? Will the answer depend on how much text there is?

# %% alt="Bits per byte on the test works against vocabulary size from 256 to 8192, three curves. With 0.25 and 1 megabyte of training text the curves rise from the left end; with 4 megabytes the lowest point is at 512 tokens."
saved = json.loads(Path("../results/ngram_tokens.json").read_text())
figure, axes = new_plot(
    "More training text favours larger tokens", "vocabulary size", "bits per byte"
)
curves = {}
for row in saved["rows"]:
    curves.setdefault(row["train_bytes"], {})[row["vocab_size"]] = row["test"]
for n_bytes, curve in curves.items():
    label = f"{n_bytes / 1e6:g} MB of training text"
    axes.plot(list(curve), list(curve.values()), marker="o", label=label)
axes.set_xscale("log", base=2)
axes.set_xticks(list(curve), list(curve))
axes.legend()
best = {n_bytes: min(curve, key=curve.get) for n_bytes, curve in curves.items()}
assert best == {250_000: 256, 1_000_000: 256, 4_000_000: 512}
plt.show()

# %% [markdown]
# **How to read it.** Each curve is one amount of training text; lower is better. Up to 1 MB bytes win, and every larger
# vocabulary costs. With 4 MB the low point has moved to 512 tokens.

# %%
row = saved["rows"][1]
assert curves[4_000_000][256] - curves[4_000_000][512] > 0.015
tok = ByteBPETokenizer.train(splits.train[: row["train_bytes"]], row["vocab_size"])
model = NGram.train(
    tok.encode(splits.train[: row["train_bytes"]]),
    row["order"],
    tok.vocab_size,
    smoothing="modified_kneser_ney",
)
log_p = model.log_probs(tok.encode(splits.test))
here = bits_per_byte(-log_p.sum(), len(splits.test.encode()))
print(f"{row['vocab_size']} tokens, order {row['order']}: {here:.2f} bits per byte")
assert round(here, 4) == row["test"]

# %% [markdown]
# The gain at 4 MB is two hundredths of a bit, but the direction is clear, and it is the trade of section 6: a larger token
# is worth having once there is text enough to meet it often. The publishers of large models have read that sign: GPT-2's
# 50,257 tokens went with 40 GB of text, and Llama 3's 128,256 with 15 trillion tokens. For neural networks there is a
# second reason, which this experiment does not see: half as many tokens are half as many steps to compute.
#
# The model with 512 tokens takes the lead on the scoreboard.

# %%
rows = [row for row in read_scoreboard() if row.chapter[:2] <= "02"]
print(scoreboard_table(rows))
assert rows[0].chapter == "02_text_into_tokens"

# %% [markdown]
# ## Summary
#
# - Cleaning cannot be undone. NFC changes little; NFKC, lower case and dropped characters are choices.
# - Stop words and stems were for search. A language model needs every word it is to write.
# - Words leave words unknown, characters make texts long. Subwords leave nothing unknown and texts of middling length.
# - BPE merges the most frequent pair, again and again; encoding repeats the merges in order. Byte-level BPE can
#   write every string.
# - A larger vocabulary means shorter texts and rarer tokens.
# - Fertility differs between languages: by the bytes that a script takes, and by the text the vocabulary was made from.
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
assert 150 < sum("\ufffd" in s for s in strings) < 250

# %% [markdown]
# Names and fixed phrases such as "said:", with the punctuation around them: the frequent strings of this
# novel. Some 200 of the 500 begin or end inside a character and are no unit that a reader would name.
#
# **6.**

# %%
tokens = [gpt2.token_bytes(i) for i in range(50_256)]
letters = [token for token in tokens if token.strip().isalpha()]
print(len(max(tokens, key=len)), "bytes:", max(tokens, key=len)[:20], "…")
print(max(letters, key=len))
assert len(max(tokens, key=len)) == 128

# %% [markdown]
# The longest is 32 times "ÃÂ", what an accented letter becomes when UTF-8 is read as Latin-1 and written again, over and
# over: dirt of the web, kept for ever. The longest in letters looks like the buttons of a page, read without spaces.
#
# ## References
#
# - P. Gage, "A new algorithm for data compression", *The C Users Journal* 12 (1994).
# - R. Sennrich, B. Haddow and A. Birch, "Neural machine translation of rare words with subword units", *ACL*
#   (2016), section 3.2.
# - A. Radford et al., "Language models are unsupervised multitask learners" (2019), section 2.2.
# - T. Kudo, "Subword regularization", *ACL* (2018), section 3.2.
# - M. Schuster and K. Nakajima, "Japanese and Korean voice search", *ICASSP* (2012), section 4.
# - J. Devlin et al., "BERT", *NAACL* (2019), section 3.
# - A. Petrov et al., "Language model tokenizers introduce unfairness between languages", *NeurIPS* (2023).
# - J. Rumbelow and M. Watkins, "SolidGoldMagikarp (plus, prompt generation)" (2023); S. Land and M. Bartolo,
#   "Fishing for Magikarp", *EMNLP* (2024).
# - M. F. Porter, "An algorithm for suffix stripping", *Program* 14 (1980).
#
# - A. Grattafiori et al., "The Llama 3 herd of models" (2024), sections 2 and 3.2.
#
# **Lab:** [Lab 1, Build a byte-level tokenizer](../labs/01_tokenizer/lab.ipynb).
#
# **Next:** [03 Activations](03_activations.ipynb): the numbers are ready; now for a network that reads them.
