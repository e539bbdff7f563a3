# %% [markdown]
# # Lab 1 · Build a byte-level tokenizer
#
# **Goal.** You write the tokenizer that GPT-2 and most models after it use: byte-level
# byte-pair encoding (字节对编码), training included. At the end you measure how much it
# shortens English and Chinese text.
#
# **Time.** 60–120 minutes. All of it runs in under a minute.
#
# **Given.** The pattern that cuts a text into words, and the texts. Chapter 02,
# *Text into tokens*, explains the idea; you need Python's dicts, tuples and `bytes`.
#
# **How it works.** Each task has a description, a cell to write in, and a cell that
# checks it at once. `hint("merge", 1)` gives a hint, up to level 3. Your teacher's
# grader runs the same checks with other inputs.
#
# | task | you write | points |
# |---|---|---|
# | 1 | `count_words`: text to words as bytes | 2 |
# | 2 | `count_pairs`: neighbours and how often they occur | 2 |
# | 3 | `merge`: replace one pair in one word | 3 |
# | 4 | `train`: learn the merges | 4 |
# | 5 | `encode`: text to ids | 4 |
# | 6 | `decode`: ids to text, broken ones too | 3 |
# | 7 | `compression`: your measurements | 4 |
# | 8 | a written analysis | 6 |
# | stretch | a better tokenizer than the course's | the board |
#
# Write your name first. Your texts for task 7 depend on it.

# %%
STUDENT = "your name"

# %%
import regex

from lmcore.course.labs import open_lab

lab = open_lab("01_tokenizer")
check, hint, progress = lab.check, lab.hint, lab.progress

PATTERN = regex.compile(
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
)
print(PATTERN.findall("I'll read 2 books, 你好!"))

# %% [markdown]
# This is GPT-2's pattern. It cuts a text into **words** (pre-tokenisation, 预分词):
# letters, digits or signs, each with the space before it. Nothing is lost: the words
# joined are the text again. Merges will never reach over the border of a word.
#
# ## Task 1 · Words as bytes (2 points)
#
# `count_words(text)` gives a dict: for each distinct word the number of times it stands
# in the text. A word is a **tuple of its UTF-8 bytes**, ints from 0 to 255.
#
# `count_words("a a b")` is `{(97,): 1, (32, 97): 1, (32, 98): 1}`: the second `a` has a
# space (byte 32) before it, so it is another word.


# %% task="count_words"
def count_words(text):
    """Count the words of a text.

    text: str
    returns: dict from tuple of bytes to count
    """
    ### BEGIN SOLUTION
    counts = {}
    for word in PATTERN.findall(text):
        key = tuple(word.encode("utf-8"))
        counts[key] = counts.get(key, 0) + 1
    return counts
    ### END SOLUTION


# %% check="count_words"
check(count_words)

# %% [markdown]
# ## Task 2 · Count pairs (2 points)
#
# `count_pairs(words)` takes what `count_words` gives. It counts every **pair of
# neighbours** (相邻对) inside the words, as often as the words occur.
#
# `count_pairs({(1, 2, 3): 5, (2, 3): 2})` is `{(1, 2): 5, (2, 3): 7}`.


# %% task="count_pairs"
def count_pairs(words):
    """Count the neighbouring ids inside words.

    words: dict from tuple of ids to count
    returns: dict from pair of ids to count
    """
    ### BEGIN SOLUTION
    pairs = {}
    for word, count in words.items():
        for pair in zip(word, word[1:]):  # noqa: B905
            pairs[pair] = pairs.get(pair, 0) + count
    return pairs
    ### END SOLUTION


# %% check="count_pairs"
check(count_pairs)

# %% [markdown]
# ## Task 3 · Merge one pair (3 points)
#
# `merge(ids, pair, new_id)` gives a **new list** in which each occurrence of the pair is
# replaced by the new id, from left to right. An id belongs to one merge at most:
# `merge([5, 5, 5], (5, 5), 256)` is `[256, 5]`. The input stays as it was.
#
# **Predict.** What is `merge([1, 2, 1, 2, 1], (1, 2), 256)`? Decide before you run it.


# %% task="merge"
def merge(ids, pair, new_id):
    """Replace a pair of neighbouring ids by one id.

    ids: list of ints
    pair: tuple of two ints
    new_id: int
    returns: a new list
    """
    ### BEGIN SOLUTION
    merged, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged
    ### END SOLUTION


# %% check="merge"
check(merge)

# %% [markdown]
# ## Task 4 · Train (4 points)
#
# `train(text, n_merges)` learns the merges (Sennrich et al. 2016, algorithm 1). In each
# step it takes the pair that occurs most often, gives it the next free id, and replaces
# it in every word. The bytes have the ids 0 to 255, so the first merge makes 256, the
# second 257, and so on.
#
# - **Ties:** among pairs with the same count the smallest pair wins, left id first:
#   `(97, 98)` before `(97, 99)` before `(98, 97)`.
# - **Stop early** if no pair is left, or if the best one occurs only once.
#
# It gives the list of pairs in the order in which they were learned.
# `train("low low lower lowest", 2)` is `[(108, 111), (256, 119)]`: first `lo`, then
# `lo` with `w`. (`lo` and `ow` occur four times each; `lo` is the smaller pair.)


# %% task="train"
def train(text, n_merges):
    """Learn merges from a text.

    text: str
    n_merges: how many to learn at most
    returns: list of pairs of ids, first learned first
    """
    ### BEGIN SOLUTION
    words = count_words(text)
    merges = []
    for step in range(n_merges):
        pairs = count_pairs(words)
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs[best] < 2:
            break
        smaller = {}
        for word, count in words.items():
            if best[0] in word:
                word = tuple(merge(word, best, 256 + step))
            smaller[word] = smaller.get(word, 0) + count
        words = smaller
        merges.append(best)
    return merges
    ### END SOLUTION


# %% check="train"
check(train)

# %% [markdown]
# ## Task 5 · Encode (4 points)
#
# `encode(text, merges)` gives the ids of a text. Each word of `PATTERN` is encoded on its
# own: it starts as bytes, and then pairs are merged **in the order in which they were
# learned** (the rank, 秩). Of all pairs that stand in the word, the one that was learned
# first goes first, wherever it stands, until none is left that was learned.
#
# With `merges = [(98, 99), (97, 98)]` the text `abc` gives `[97, 256]`, not `[257, 99]`.


# %% task="encode"
def encode(text, merges):
    """Turn a text into ids.

    text: str
    merges: list of pairs of ids, first learned first; the k-th makes the id 256 + k
    returns: list of ids
    """
    ### BEGIN SOLUTION
    known = {}
    ids = []
    for word in PATTERN.findall(text):
        if word not in known:
            piece = list(word.encode("utf-8"))
            for rank, pair in enumerate(merges):
                if len(piece) > 1 and pair[0] in piece:
                    piece = merge(piece, pair, 256 + rank)
            known[word] = piece
        ids.extend(known[word])
    return ids
    ### END SOLUTION


# %% check="encode"
check(encode)

# %% [markdown]
# ## Task 6 · Decode (3 points)
#
# `decode(ids, merges)` gives the text. A language model may stop in the middle of a
# character, or write bytes that are no UTF-8 at all. Then each broken part becomes
# U+FFFD (the replacement character, 替换字符), and nothing is raised:
# `decode([97, 228, 189, 98], [])` is `"a\ufffdb"`. A part is what Python's own decoder
# takes for one: here 228 and 189 begin one character, which does not go on, so they are
# one part; a byte that can begin nothing is a part of its own.


# %% task="decode"
def decode(ids, merges):
    """Turn ids into a text.

    ids: list of ids
    merges: as for encode
    returns: str
    """
    ### BEGIN SOLUTION
    tokens = [bytes([value]) for value in range(256)]
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    return b"".join(tokens[i] for i in ids).decode("utf-8", errors="replace")
    ### END SOLUTION


# %% check="decode"
check(decode)

# %% [markdown]
# ## Task 7 · Measure (4 points)
#
# How many bytes does a token stand for? You train on 100 kB of a play of Shakespeare's
# and on 100 kB of *Romance of the Three Kingdoms* (三国演义), and measure on other parts
# that training has not seen. Which parts depends on your name.
#
# **Predict.** After 64 merges, which language has more bytes a token, and after 512? Write
# your guess down, then run the cell. It trains once a language, with 512 merges, and takes
# the first 0, 64, 256 and 512 of them.

# %% tags=["experiment"]
texts = lab.checks.own_texts(STUDENT)
measured = {}
for language, (training_text, held_out) in texts.items():
    learned = train(training_text, 512)
    n_bytes = len(held_out.encode("utf-8"))
    measured[language] = {
        n: round(n_bytes / len(encode(held_out, learned[:n])), 2)
        for n in (0, 64, 256, 512)
    }
for language, row in measured.items():
    print(f'    "{language}": {row},')

# %% [markdown]
# Type the eight numbers into the next cell: a dict called `compression`, which holds the
# two printed lines between its braces, `{"english": {0: 1.0, ...}, "chinese": {...}}`.
# (The grader does not run the experiment; it measures your texts itself, and compares.)

# %% task="compression"
### BEGIN SOLUTION
compression = {
    "english": {0: 1.0, 64: 1.48, 256: 1.9, 512: 2.15},
    "chinese": {0: 1.0, 64: 1.48, 256: 1.94, 512: 2.33},
}
### END SOLUTION

# %% check="compression"
check(compression, "compression")

# %% tags=["experiment"]
import matplotlib.pyplot as plt

from lmcore.plotting import new_plot

figure, axes = new_plot("How merges shorten a text", "merges", "bytes per token")
for language, row in compression.items():
    axes.plot(list(row), list(row.values()), marker="o", label=language)
axes.legend()
plt.show()

# %% [markdown]
# ## Task 8 · Analysis (6 points, marked by your teacher)
#
# In about 150 words, with numbers from your own table:
#
# 1. Bytes per token are close in the two languages. How many *characters* does a token
#    stand for in each, after 512 merges? Who pays more for the same text, if the price is
#    per token? (2 points)
# 2. What happens to the gain per merge as the vocabulary grows? Give two rows. (2 points)
# 3. Name one cost of a larger vocabulary in a language model, and one of a smaller one.
#    (2 points)

# %% [markdown] written="analysis"
# ### BEGIN SOLUTION
# An English character is one byte, so 512 merges give 2.15 characters a token. A Chinese
# character takes three bytes: 2.33 bytes are 0.78 characters, so a token is less than one
# character. Per character the Chinese reader pays almost three times as many tokens, and
# per idea less than that, since a Chinese character says more than an English letter.
#
# The gain per merge falls in both: the most frequent pair goes first, and every later
# one is rarer. English: 0.48 bytes from the first 64, 0.25 from the last 256.
#
# A larger vocabulary costs rows of the embedding and of the softmax, and its rare tokens
# are seldom trained. A smaller one makes sequences longer, so that attention costs more
# and a window of the same length holds less text.
# ### END SOLUTION

# %% [markdown]
# ## Stretch · Beat the course's tokenizer
#
# BPE with 1,024 merges is a good code, and not the best one. Write `make_vocabulary(text)`,
# which gives at most 1,024 tokens of two or more bytes (a list of `bytes`), and
# `cut(text, vocabulary)`, which cuts a text into tokens of that vocabulary and single
# bytes (a list of `bytes`). The pieces joined must be the text's bytes. The figure is bytes
# per token on a play that nobody trains on: higher is better.
#
# Nothing else is prescribed: how tokens are chosen, whether they reach over spaces, and
# how a text is cut. Earns no points; the board shows the course's own figure.

# %% tags=["experiment"]
print(f"the course's own: {lab.checks.course_figure():.3f} bytes per token")


# %% task="cut"
### BEGIN SOLUTION
def make_vocabulary(text):
    """Take what BPE learns in 1,024 merges."""
    return bpe_tokens(train(text, 1_024))


def bpe_tokens(merges):
    """The bytes that each merge makes."""
    made = [bytes([value]) for value in range(256)]
    for left, right in merges:
        made.append(made[left] + made[right])
    return made[256:]


def cut(text, vocabulary):
    """Find the cut with the fewest tokens, from left to right."""
    data, known = text.encode("utf-8"), set(vocabulary)
    longest = max(map(len, known), default=1)
    fewest, starts = [0], [0]
    for end in range(1, len(data) + 1):
        options = [
            (fewest[start] + 1, start)
            for start in range(max(0, end - longest), end)
            if end - start == 1 or data[start:end] in known
        ]
        count, start = min(options)
        fewest.append(count)
        starts.append(start)
    pieces, end = [], len(data)
    while end > 0:
        pieces.append(data[starts[end] : end])
        end = starts[end]
    return pieces[::-1]


### END SOLUTION


# %% check="cut"
check(cut)

# %%
progress()
