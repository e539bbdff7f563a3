"""Wrong answers to lab 1 that students give, and right ones in other styles."""

from lmcore.course.labs import Equivalent, Mutant

MUTANTS = [
    Mutant(
        "characters for bytes",
        task="count_words",
        says="UTF-8 bytes",
        code="""
def count_words(text):
    counts = {}
    for word in PATTERN.findall(text):
        key = tuple(ord(letter) for letter in word)
        counts[key] = counts.get(key, 0) + 1
    return counts
""",
    ),
    Mutant(
        "str.split drops the spaces",
        task="count_words",
        says="PATTERN keeps them",
        code="""
def count_words(text):
    counts = {}
    for word in text.split():
        key = tuple(word.encode())
        counts[key] = counts.get(key, 0) + 1
    return counts
""",
    ),
    Mutant(
        "words are stripped",
        task="count_words",
        says="keeps the space before it",
        code="""
from collections import Counter
def count_words(text):
    return Counter(tuple(w.strip().encode()) for w in PATTERN.findall(text))
""",
    ),
    Mutant(
        "keys are texts",
        task="count_words",
        says="tuple of bytes, not a text",
        code="""
from collections import Counter
def count_words(text):
    return Counter(PATTERN.findall(text))
""",
    ),
    Mutant(
        "= for +=",
        task="count_words",
        says="as often as it occurs",
        code="""
def count_words(text):
    counts = {}
    for word in PATTERN.findall(text):
        counts[tuple(word.encode())] = 1
    return counts
""",
    ),
    Mutant(
        "no return",
        task="count_words",
        says="is there a `return`?",
        code="""
def count_words(text):
    counts = {}
    for word in PATTERN.findall(text):
        key = tuple(word.encode())
        counts[key] = counts.get(key, 0) + 1
""",
    ),
    Mutant(
        "a word's count is forgotten",
        task="count_pairs",
        says="brings each pair 5 times",
        code="""
def count_pairs(words):
    pairs = {}
    for word in words:
        for pair in zip(word, word[1:]):
            pairs[pair] = pairs.get(pair, 0) + 1
    return pairs
""",
    ),
    Mutant(
        "pairs do not overlap",
        task="count_pairs",
        says="overlaps count",
        code="""
def count_pairs(words):
    pairs = {}
    for word, count in words.items():
        for pair in zip(word[::2], word[1::2]):
            pairs[pair] = pairs.get(pair, 0) + count
    return pairs
""",
    ),
    Mutant(
        "pairs reach into the next word",
        task="count_pairs",
        says="into the next",
        code="""
def count_pairs(words):
    ids = [i for word, count in words.items() for i in word * count]
    pairs = {}
    for pair in zip(ids, ids[1:]):
        pairs[pair] = pairs.get(pair, 0) + 1
    return pairs
""",
    ),
    Mutant(
        "a set of pairs in each word",
        task="count_pairs",
        says="more than once",
        code="""
def count_pairs(words):
    pairs = {}
    for word, count in words.items():
        for pair in set(zip(word, word[1:])):
            pairs[pair] = pairs.get(pair, 0) + count
    return pairs
""",
    ),
    Mutant(
        "the last pair is left out",
        task="count_pairs",
        says="is missing",
        code="""
def count_pairs(words):
    pairs = {}
    for word, count in words.items():
        for i in range(len(word) - 2):
            pair = word[i], word[i + 1]
            pairs[pair] = pairs.get(pair, 0) + count
    return pairs
""",
    ),
    Mutant(
        "overlapping merges",
        task="merge",
        says="go on behind both ids",
        code="""
def merge(ids, pair, new_id):
    out = []
    for i, x in enumerate(ids):
        if i + 1 < len(ids) and (x, ids[i + 1]) == pair:
            out.append(new_id)
        else:
            out.append(x)
    return out
""",
    ),
    Mutant(
        "only the first occurrence",
        task="merge",
        says="only the first occurrence",
        code="""
def merge(ids, pair, new_id):
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair:
            return ids[:i] + [new_id] + ids[i + 2:]
    return ids
""",
    ),
    Mutant(
        "the last id is lost",
        task="merge",
        says="the last id is lost",
        code="""
def merge(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out
""",
    ),
    Mutant(
        "index past the end",
        task="merge",
        says="IndexError",
        code="""
def merge(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if ids[i] == pair[0] and ids[i + 1] == pair[1]:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out
""",
    ),
    Mutant(
        "changes its input",
        task="merge",
        says="work on a copy",
        code="""
def merge(ids, pair, new_id):
    i = 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            ids[i:i + 2] = [new_id]
        i += 1
    return ids
""",
    ),
    Mutant(
        "the pair's order does not matter",
        task="merge",
        says="has an order",
        code="""
def merge(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if sorted(ids[i:i + 2]) == sorted(pair):
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out
""",
    ),
    Mutant(
        "a loop without end",
        task="merge",
        says="loop without end",
        code="""
def merge(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if tuple(ids[i:i + 2]) == pair:
            out.append(new_id)
            i += 2
        elif i == len(ids) - 1:
            i += 0
        else:
            out.append(ids[i])
            i += 1
    return out
""",
    ),
    Mutant(
        "ties in order of appearance",
        task="train",
        says="the smaller pair wins",
        code="""
def train(text, n_merges):
    words, merges = count_words(text), []
    for k in range(n_merges):
        pairs = count_pairs(words)
        if not pairs or max(pairs.values()) < 2:
            break
        best = max(pairs, key=pairs.get)
        words = {tuple(merge(list(w), best, 256 + k)): c for w, c in words.items()}
        merges.append(best)
    return merges
""",
    ),
    Mutant(
        "ties to the larger pair",
        task="train",
        says="the smaller pair wins",
        code="""
def train(text, n_merges):
    words, merges = count_words(text), []
    for k in range(n_merges):
        pairs = count_pairs(words)
        if not pairs or max(pairs.values()) < 2:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        words = {tuple(merge(list(w), best, 256 + k)): c for w, c in words.items()}
        merges.append(best)
    return merges
""",
    ),
    Mutant(
        "new ids begin at 257",
        task="train",
        says="first merge makes the id 256",
        code="""
def train(text, n_merges):
    words, merges = count_words(text), []
    for k in range(n_merges):
        pairs = count_pairs(words)
        if not pairs or max(pairs.values()) < 2:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        words = {tuple(merge(list(w), best, 257 + k)): c for w, c in words.items()}
        merges.append(best)
    return merges
""",
    ),
    Mutant(
        "pairs are counted once, before the loop",
        task="train",
        says="stands in no word at this step",
        code="""
def train(text, n_merges):
    pairs = count_pairs(count_words(text))
    order = sorted(pairs, key=lambda pair: (-pairs[pair], pair))
    return [pair for pair in order[:n_merges] if pairs[pair] > 1]
""",
    ),
    Mutant(
        "the words are never changed",
        task="train",
        says="the same pair twice",
        code="""
def train(text, n_merges):
    words, merges = count_words(text), []
    for k in range(n_merges):
        pairs = count_pairs(words)
        if not pairs or max(pairs.values()) < 2:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
    return merges
""",
    ),
    Mutant(
        "pairs that occur once are merged",
        task="train",
        says="occurs only once",
        code="""
def train(text, n_merges):
    words, merges = count_words(text), []
    for k in range(n_merges):
        pairs = count_pairs(words)
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        words = {tuple(merge(list(w), best, 256 + k)): c for w, c in words.items()}
        merges.append(best)
    return merges
""",
    ),
    Mutant(
        "no stop when no pair is left",
        task="train",
        says="ValueError",
        code="""
def train(text, n_merges):
    words, merges = count_words(text), []
    for k in range(n_merges):
        pairs = count_pairs(words)
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs[best] < 2:
            break
        words = {tuple(merge(list(w), best, 256 + k)): c for w, c in words.items()}
        merges.append(best)
    return merges
""",
    ),
    Mutant(
        "greedy from the left",
        task="encode",
        says="learned first is merged first",
        code="""
def encode(text, merges):
    ids = []
    for word in PATTERN.findall(text):
        piece, i = list(word.encode()), 0
        while i < len(piece) - 1:
            pair = piece[i], piece[i + 1]
            if pair in merges:
                piece[i:i + 2] = [256 + merges.index(pair)]
                i = 0
            else:
                i += 1
        ids += piece
    return ids
""",
    ),
    Mutant(
        "the longest token that fits",
        task="encode",
        says="not the longest token",
        code="""
def encode(text, merges):
    tokens = [bytes([i]) for i in range(256)]
    for a, b in merges:
        tokens.append(tokens[a] + tokens[b])
    known = {token: i for i, token in enumerate(tokens)}
    ids = []
    for word in PATTERN.findall(text):
        rest = word.encode()
        while rest:
            n = max(n for n in range(1, len(rest) + 1) if rest[:n] in known)
            ids.append(known[rest[:n]])
            rest = rest[n:]
    return ids
""",
    ),
    Mutant(
        "merges across words",
        task="encode",
        says="border of two words",
        code="""
def encode(text, merges):
    ids = list(text.encode())
    for k, pair in enumerate(merges):
        ids = merge(ids, pair, 256 + k)
    return ids
""",
    ),
    Mutant(
        "merges in reverse",
        task="encode",
        says="learned last is merged first",
        code="""
def encode(text, merges):
    ids = []
    for word in PATTERN.findall(text):
        piece = list(word.encode())
        for k in reversed(range(len(merges))):
            piece = merge(piece, merges[k], 256 + k)
        ids += piece
    return ids
""",
    ),
    Mutant(
        "ids off by one",
        task="encode",
        says="first merge makes the id 256",
        code="""
def encode(text, merges):
    ids = []
    for word in PATTERN.findall(text):
        piece = list(word.encode())
        for k, (a, b) in enumerate(merges):
            a, b = a + (a > 255), b + (b > 255)
            piece = merge(piece, (a, b), 257 + k)
        ids += piece
    return ids
""",
    ),
    Mutant(
        "each token is decoded by itself",
        task="decode",
        says="join all bytes first",
        code="""
def decode(ids, merges):
    tokens = [bytes([i]) for i in range(256)]
    for a, b in merges:
        tokens.append(tokens[a] + tokens[b])
    return "".join(tokens[i].decode(errors="replace") for i in ids)
""",
    ),
    Mutant(
        "broken bytes raise",
        task="decode",
        says="must become U+FFFD",
        code="""
def decode(ids, merges):
    tokens = [bytes([i]) for i in range(256)]
    for a, b in merges:
        tokens.append(tokens[a] + tokens[b])
    return b"".join(tokens[i] for i in ids).decode()
""",
    ),
    Mutant(
        "broken bytes are dropped",
        task="decode",
        says="broken bytes are dropped",
        code="""
def decode(ids, merges):
    tokens = [bytes([i]) for i in range(256)]
    for a, b in merges:
        tokens.append(tokens[a] + tokens[b])
    return b"".join(tokens[i] for i in ids).decode(errors="ignore")
""",
    ),
    Mutant(
        "bytes taken for characters",
        task="decode",
        says="bytes are not characters",
        code="""
def decode(ids, merges):
    tokens = [bytes([i]) for i in range(256)]
    for a, b in merges:
        tokens.append(tokens[a] + tokens[b])
    return "".join(chr(value) for i in ids for value in tokens[i])
""",
    ),
    Mutant(
        "merges inside merges are forgotten",
        task="decode",
        says="An id above 255 is a merge",
        code="""
def decode(ids, merges):
    flat = []
    for i in ids:
        flat += [i] if i < 256 else list(merges[i - 256])
    return bytes(flat).decode(errors="replace")
""",
    ),
    Mutant(
        "tokens per byte",
        task="compression",
        says="tokens per byte",
        code="""
compression = {
    language: {n: round(1 / value, 2) for n, value in row.items()}
    for language, row in compression.items()
}
""",
    ),
    Mutant(
        "languages swapped",
        task="compression",
        says="are swapped",
        code="""
compression = {
    "english": compression["chinese"], "chinese": compression["english"]
}
""",
    ),
    Mutant(
        "measured under another name",
        task="compression",
        says="another STUDENT",
        code="""
compression = {
    language: {n: round(value + 0.05 * (n > 0), 2) for n, value in row.items()}
    for language, row in compression.items()
}
""",
    ),
    Mutant(
        "a language is missing",
        task="compression",
        says='"chinese" is missing',
        code="""
compression = {"english": compression["english"]}
""",
    ),
    # Written without sight of the checks, by someone who solved the notebook first.
    Mutant(
        "the text is stripped",
        task="count_words",
        says="the text was changed",
        code="""
def count_words(text):
    words = {}
    for w in PATTERN.findall(text.strip()):
        key = tuple(w.encode())
        words[key] = words.get(key, 0) + 1
    return words
""",
    ),
    Mutant(
        "the text is normalised",
        task="count_words",
        says="another normal form",
        code="""
import unicodedata
def count_words(text):
    words = {}
    for w in PATTERN.findall(unicodedata.normalize("NFC", text)):
        key = tuple(w.encode())
        words[key] = words.get(key, 0) + 1
    return words
""",
    ),
    Mutant(
        "line ends are changed",
        task="count_words",
        says="other line ends",
        code="""
def count_words(text):
    words = {}
    for w in PATTERN.findall(text.replace("\\r\\n", "\\n")):
        key = tuple(w.encode())
        words[key] = words.get(key, 0) + 1
    return words
""",
    ),
    Mutant(
        "a dict as default argument",
        task="count_words",
        says="of an earlier call",
        code="""
def count_words(text, words={}):
    for w in PATTERN.findall(text):
        key = tuple(w.encode())
        words[key] = words.get(key, 0) + 1
    return words
""",
    ),
    Mutant(
        "a pattern of one's own",
        task="count_words",
        says="PATTERN cuts",
        code="""
import re
def count_words(text):
    words = {}
    for w in re.findall(r" ?\\w+| ?[^\\s\\w]+|\\s+", text):
        key = tuple(w.encode())
        words[key] = words.get(key, 0) + 1
    return words
""",
    ),
    Mutant(
        "line by line",
        task="count_words",
        says="bytes of the text are missing",
        code="""
def count_words(text):
    words = {}
    for line in text.split("\\n"):
        for w in PATTERN.findall(line):
            key = tuple(w.encode())
            words[key] = words.get(key, 0) + 1
    return words
""",
    ),
    Mutant(
        "str.count finds parts of words",
        task="count_words",
        says="got 3",
        code="""
def count_words(text):
    # str.count counts "a" inside "banana"
    return {tuple(w.encode()): text.count(w) for w in PATTERN.findall(text)}
""",
    ),
    Mutant(
        "break where continue is meant",
        task="count_pairs",
        says="go on with the next word",
        code="""
def count_pairs(words):
    pairs = {}
    for word, n in words.items():
        if len(word) < 2:
            break
        for p in zip(word, word[1:]):
            pairs[p] = pairs.get(p, 0) + n
    return pairs
""",
    ),
    Mutant(
        "a table of 256 by 256",
        task="count_pairs",
        says="IndexError",
        code="""
def count_pairs(words):
    # a 256 x 256 table: ids above 255 have no room
    table = [[0] * 256 for _ in range(256)]
    for word, n in words.items():
        for a, b in zip(word, word[1:]):
            table[a][b] += n
    return {(a, b): table[a][b] for a in range(256) for b in range(256) if table[a][b]}
""",
    ),
    Mutant(
        "all pairs of ids, zeros too",
        task="count_pairs",
        says="only pairs that occur",
        code="""
def count_pairs(words):
    # a table of all pairs of the ids that occur, zeros included
    ids = sorted({i for w in words for i in w})
    pairs = {(a, b): 0 for a in ids for b in ids}
    for word, n in words.items():
        for p in zip(word, word[1:]):
            pairs[p] += n
    return pairs
""",
    ),
    Mutant(
        "twins overlap once only",
        task="count_pairs",
        says="overlaps count",
        code="""
def count_pairs(words):
    pairs = {}
    for word, n in words.items():
        previous = None
        for p in zip(word, word[1:]):
            if p[0] == p[1] and previous == p:
                previous = None
                continue
            pairs[p] = pairs.get(p, 0) + n
            previous = p
    return pairs
""",
    ),
    Mutant(
        "pairs are sorted",
        task="count_pairs",
        says="has an order",
        code="""
def count_pairs(words):
    pairs = {}
    for word, n in words.items():
        for p in zip(word, word[1:]):
            p = tuple(sorted(p))
            pairs[p] = pairs.get(p, 0) + n
    return pairs
""",
    ),
    Mutant(
        "empties its argument",
        task="count_pairs",
        says="work on a copy",
        code="""
def count_pairs(words):
    pairs = {}
    while words:
        word, n = words.popitem()
        for p in zip(word, word[1:]):
            pairs[p] = pairs.get(p, 0) + n
    return pairs
""",
    ),
    Mutant(
        "str.replace on digits",
        task="merge",
        says="compare ids, not digits",
        code="""
def merge(ids, pair, new_id):
    s = " ".join(map(str, ids)).replace(f"{pair[0]} {pair[1]}", str(new_id))
    return [int(x) for x in s.split()]
""",
    ),
    Mutant(
        "`is` for ==",
        task="merge",
        says="compared with ==",
        code="""
def merge(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and ids[i] is pair[0] and ids[i + 1] is pair[1]:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out
""",
    ),
    Mutant(
        "bytes.replace",
        task="merge",
        says="ValueError",
        code="""
def merge(ids, pair, new_id):
    # through characters: fine up to 0x10ffff, but the surrogates... fine too; str.replace has no overlap
    out = bytes(i for i in ids if i < 256).replace(bytes(pair), b"\\xff")
    return [new_id if b == 255 else b for b in out]
""",
    ),
    Mutant(
        "the same list where nothing is merged",
        task="merge",
        says="a new list is wanted",
        code="""
def merge(ids, pair, new_id):
    if pair not in list(zip(ids, ids[1:])):
        return ids
    out, i = [], 0
    while i < len(ids):
        if tuple(ids[i:i + 2]) == pair:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out
""",
    ),
    Mutant(
        "the last id is always kept",
        task="merge",
        says="stands there again",
        code="""
def merge(ids, pair, new_id):
    out = []
    i = 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    out.append(ids[-1])
    return out
""",
    ),
    Mutant(
        "list.index gives up early",
        task="merge",
        says="nothing was merged",
        code="""
def merge(ids, pair, new_id):
    # finds places with list.index: a lone left id ends the search
    out = list(ids)
    while pair[0] in out:
        i = out.index(pair[0])
        if i + 1 < len(out) and out[i + 1] == pair[1]:
            out[i:i + 2] = [new_id]
        else:
            break
    return out
""",
    ),
    Mutant(
        "from right to left",
        task="merge",
        says="from left to right",
        code="""
def merge(ids, pair, new_id):
    out = []
    i = len(ids) - 1
    while i >= 0:
        if i > 0 and (ids[i - 1], ids[i]) == pair:
            out.append(new_id)
            i -= 2
        else:
            out.append(ids[i])
            i -= 1
    return out[::-1]
""",
    ),
    Mutant(
        "ties by the left id alone",
        task="train",
        says="the smaller pair wins",
        code="""
def train(text, n_merges):
    words = count_words(text)
    merges = []
    for k in range(n_merges):
        pairs = count_pairs(words)
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p[0]))
        if pairs[best] < 2:
            break
        merges.append(best)
        words = {tuple(merge(list(w), best, 256 + k)): n for w, n in words.items()}
    return merges
""",
    ),
    Mutant(
        "ties by the bytes of the tokens",
        task="train",
        says="the smaller pair wins",
        code="""
def train(text, n_merges):
    words = count_words(text)
    table = {i: bytes([i]) for i in range(256)}
    merges = []
    for k in range(n_merges):
        pairs = count_pairs(words)
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], table[p[0]], table[p[1]]))
        if pairs[best] < 2:
            break
        merges.append(best)
        table[256 + k] = table[best[0]] + table[best[1]]
        words = {tuple(merge(list(w), best, 256 + k)): n for w, n in words.items()}
    return merges
""",
    ),
    Mutant(
        "one merge too many for none",
        task="train",
        says="training went on too long",
        code="""
def train(text, n_merges):
    words = count_words(text)
    merges = []
    while True:
        pairs = count_pairs(words)
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        if pairs[best] < 2:
            break
        words = {tuple(merge(list(w), best, 256 + len(merges))): n for w, n in words.items()}
        merges.append(best)
        if len(merges) == n_merges:
            break
    return merges
""",
    ),
    Mutant(
        "the text as one long word",
        task="train",
        says="merges never cross words",
        code="""
def train(text, n_merges):
    ids = list(text.encode())
    merges = []
    for k in range(n_merges):
        pairs = {}
        for p in zip(ids, ids[1:]):
            pairs[p] = pairs.get(p, 0) + 1
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        if pairs[best] < 2:
            break
        merges.append(best)
        ids = merge(ids, best, 256 + k)
    return merges
""",
    ),
    Mutant(
        "stops at a single pair",
        task="train",
        says="stopped too early",
        code="""
def train(text, n_merges):
    words = count_words(text)
    merges = []
    for k in range(n_merges):
        pairs = count_pairs(words)
        if len(pairs) < 2:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        if pairs[best] < 2:
            break
        merges.append(best)
        words = {tuple(merge(list(w), best, 256 + k)): n for w, n in words.items()}
    return merges
""",
    ),
    Mutant(
        "stops at two",
        task="train",
        says="stopped too early",
        code="""
def train(text, n_merges):
    words = count_words(text)
    merges = []
    for k in range(n_merges):
        pairs = count_pairs(words)
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        if pairs[best] <= 2:
            break
        merges.append(best)
        words = {tuple(merge(list(w), best, 256 + k)): n for w, n in words.items()}
    return merges
""",
    ),
    Mutant(
        "a global list of merges",
        task="train",
        says="merges of an earlier call",
        code="""
merges = []
def train(text, n_merges):
    words = count_words(text)
    for k in range(n_merges):
        pairs = count_pairs(words)
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        if pairs[best] < 2:
            break
        words = {tuple(merge(list(w), best, 256 + len(merges))): n for w, n in words.items()}
        merges.append(best)
    return merges
""",
    ),
    Mutant(
        "each distinct word once",
        task="train",
        says="brings each pair 5 times",
        code="""
def train(text, n_merges):
    # counts each distinct word once
    words = {w: 1 for w in count_words(text)}
    merges = []
    for k in range(n_merges):
        pairs = count_pairs(words)
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        if pairs[best] < 2:
            break
        merges.append(best)
        words = {tuple(merge(list(w), best, 256 + k)): n for w, n in words.items()}
    return merges
""",
    ),
    Mutant(
        "counts of the neighbours stay",
        task="train",
        says="each merge changes the words",
        code="""
def train(text, n_merges):
    # keeps one table of counts, takes the merged pair out, forgets that its neighbours change
    words = count_words(text)
    pairs = count_pairs(words)
    merges = []
    for k in range(n_merges):
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        if pairs[best] < 2:
            break
        merges.append(best)
        words = {tuple(merge(list(w), best, 256 + k)): n for w, n in words.items()}
        del pairs[best]
        for p, n in count_pairs(words).items():
            if 256 + k in p:
                pairs[p] = n
    return merges
""",
    ),
    Mutant(
        "split at spaces",
        task="encode",
        says="border of two words",
        code="""
def encode(text, merges):
    out = []
    for w in text.split(" "):
        ids = list((" " + w).encode()) if out else list(w.encode())
        for k, p in enumerate(merges):
            ids = merge(ids, p, 256 + k)
        out += ids
    return out
""",
    ),
    Mutant(
        "ranks of bytes, not of pairs",
        task="encode",
        says="spell the same bytes",
        code="""
def encode(text, merges):
    # rank from the joined bytes: two merges that give the same bytes are taken for one
    table = [bytes([i]) for i in range(256)]
    for a, b in merges:
        table.append(table[a] + table[b])
    rank = {t: i for i, t in enumerate(table)}
    out = []
    for w in PATTERN.findall(text):
        parts = [bytes([b]) for b in w.encode()]
        while True:
            found = [(rank[a + b], i) for i, (a, b) in enumerate(zip(parts, parts[1:])) if a + b in rank]
            if not found:
                break
            _, i = min(found)
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        out += [rank[p] for p in parts]
    return out
""",
    ),
    Mutant(
        "the text is stripped",
        task="encode",
        says="do not spell the bytes",
        code="""
def encode(text, merges):
    out = []
    for w in PATTERN.findall(text.strip()):
        ids = list(w.encode())
        for k, p in enumerate(merges):
            ids = merge(ids, p, 256 + k)
        out += ids
    return out
""",
    ),
    Mutant(
        "a cache that forgets which merges",
        task="encode",
        says="from an earlier call",
        code="""
cache = {}
def encode(text, merges):
    out = []
    for w in PATTERN.findall(text):
        if w not in cache:
            ids = list(w.encode())
            for k, p in enumerate(merges):
                ids = merge(ids, p, 256 + k)
            cache[w] = ids
        out += cache[w]
    return out
""",
    ),
    Mutant(
        "each distinct word once",
        task="encode",
        says="each distinct word stands there once",
        code="""
def encode(text, merges):
    out = []
    for w in count_words(text):
        ids = list(w)
        for k, p in enumerate(merges):
            ids = merge(ids, p, 256 + k)
        out += ids
    return out
""",
    ),
    Mutant(
        "ids of the merges that were used",
        task="encode",
        says="the id 256 + k",
        code="""
def encode(text, merges):
    new = 256
    words = [list(w.encode()) for w in PATTERN.findall(text)]
    for p in merges:
        if any(p in zip(w, w[1:]) for w in words):
            words = [merge(w, p, new) for w in words]
            new += 1
    return [i for w in words for i in w]
""",
    ),
    Mutant(
        "break at the first absent pair",
        task="encode",
        says="nothing was merged",
        code="""
def encode(text, merges):
    out = []
    for w in PATTERN.findall(text):
        ids = list(w.encode())
        for k, p in enumerate(merges):
            if p not in zip(ids, ids[1:]):
                break
            ids = merge(ids, p, 256 + k)
        out += ids
    return out
""",
    ),
    Mutant(
        "one place for each merge",
        task="encode",
        says="stops too early",
        code="""
def encode(text, merges):
    out = []
    for w in PATTERN.findall(text):
        ids = list(w.encode())
        for k, p in enumerate(merges):
            for i in range(len(ids) - 1):
                if (ids[i], ids[i + 1]) == p:
                    ids = ids[:i] + [256 + k] + ids[i + 2:]
                    break
        out += ids
    return out
""",
    ),
    Mutant(
        "empties the merges",
        task="encode",
        says="work on a copy",
        code="""
def encode(text, merges):
    merges.reverse()
    k = 0
    words = [list(w.encode()) for w in PATTERN.findall(text)]
    while merges:
        p = merges.pop()
        words = [merge(w, p, 256 + k) for w in words]
        k += 1
    return [i for w in words for i in w]
""",
    ),
    Mutant(
        "the text is stripped",
        task="decode",
        says="spaces and line ends",
        code="""
def decode(ids, merges):
    table = [bytes([i]) for i in range(256)]
    for a, b in merges:
        table.append(table[a] + table[b])
    return b"".join(table[i] for i in ids).decode("utf-8", errors="replace").strip()
""",
    ),
    Mutant(
        "utf-8-sig",
        task="decode",
        says="length 1, expected 2",
        code="""
def decode(ids, merges):
    table = [bytes([i]) for i in range(256)]
    for a, b in merges:
        table.append(table[a] + table[b])
    return b"".join(table[i] for i in ids).decode("utf-8-sig", errors="replace")
""",
    ),
    Mutant(
        "one U+FFFD for a run of parts",
        task="decode",
        says="two such parts make two",
        code="""
import re
def decode(ids, merges):
    table = [bytes([i]) for i in range(256)]
    for a, b in merges:
        table.append(table[a] + table[b])
    text = b"".join(table[i] for i in ids).decode("utf-8", errors="replace")
    return re.sub("\\ufffd+", "\\ufffd", text)
""",
    ),
    Mutant(
        "one U+FFFD for each byte",
        task="decode",
        says="not for each byte",
        code="""
def decode(ids, merges):
    table = [bytes([i]) for i in range(256)]
    for a, b in merges:
        table.append(table[a] + table[b])
    data = b"".join(table[i] for i in ids)
    text = data.decode("utf-8", errors="surrogateescape")
    return "".join("\\ufffd" if "\\ud800" <= c <= "\\udfff" else c for c in text)
""",
    ),
    Mutant(
        "a global table that grows",
        task="decode",
        says="build it anew",
        code="""
TABLE = [bytes([i]) for i in range(256)]
def decode(ids, merges):
    for a, b in merges:
        TABLE.append(TABLE[a] + TABLE[b])
    return b"".join(TABLE[i] for i in ids).decode("utf-8", errors="replace")
""",
    ),
    Mutant(
        "repairs one part only",
        task="decode",
        says="two such parts make two",
        code="""
def decode(ids, merges):
    table = [bytes([i]) for i in range(256)]
    for a, b in merges:
        table.append(table[a] + table[b])
    data = b"".join(table[i] for i in ids)
    try:
        return data.decode()
    except UnicodeDecodeError as e:
        return data[:e.start].decode() + "\\ufffd" + data[e.end:].decode(errors="ignore")
""",
    ),
]

EQUIVALENTS = [
    Equivalent(
        "a Counter and a generator",
        task="count_words",
        code="""
from collections import Counter
def count_words(text):
    return Counter(tuple(word.encode()) for word in PATTERN.findall(text))
""",
    ),
    Equivalent(
        "count first, encode after",
        task="count_words",
        code="""
from collections import Counter
def count_words(text):
    words = Counter(match.group() for match in PATTERN.finditer(text))
    return {tuple(map(int, word.encode("utf8"))): n for word, n in words.items()}
""",
    ),
    Equivalent(
        "a defaultdict",
        task="count_words",
        code="""
from collections import defaultdict
def count_words(text):
    counts = defaultdict(int)
    for word in PATTERN.findall(text):
        counts[(*word.encode(),)] += 1
    return counts
""",
    ),
    Equivalent(
        "an index",
        task="count_pairs",
        code="""
def count_pairs(words):
    pairs = {}
    for word in words:
        for i in range(1, len(word)):
            pair = (word[i - 1], word[i])
            if pair not in pairs:
                pairs[pair] = 0
            pairs[pair] += words[word]
    return pairs
""",
    ),
    Equivalent(
        "itertools and a Counter",
        task="count_pairs",
        code="""
from collections import Counter
from itertools import pairwise
def count_pairs(words):
    return sum((Counter({p: n * c for p, n in Counter(pairwise(w)).items()})
                for w, c in words.items()), Counter())
""",
    ),
    Equivalent(
        "a dict of a comprehension",
        task="count_pairs",
        code="""
def count_pairs(words):
    every = [(p, c) for w, c in words.items() for p in zip(w[:-1], w[1:])]
    return {p: sum(c for q, c in every if q == p) for p in {p for p, _ in every}}
""",
    ),
    Equivalent(
        "popping from a copy",
        task="merge",
        code="""
def merge(ids, pair, new_id):
    rest, out = list(ids)[::-1], []
    while rest:
        first = rest.pop()
        if rest and (first, rest[-1]) == tuple(pair):
            rest.pop()
            first = new_id
        out.append(first)
    return out
""",
    ),
    Equivalent(
        "in place, on a copy, giving a tuple",
        task="merge",
        code="""
def merge(ids, pair, new_id):
    ids, i = list(ids), 0
    while i < len(ids) - 1:
        if ids[i] == pair[0] and ids[i + 1] == pair[1]:
            ids[i:i + 2] = [new_id]
        i += 1
    return tuple(ids)
""",
    ),
    Equivalent(
        "recursion",
        task="merge",
        code="""
def merge(ids, pair, new_id):
    if len(ids) < 2:
        return list(ids)
    if (ids[0], ids[1]) == pair:
        return [new_id] + merge(ids[2:], pair, new_id)
    return [ids[0]] + merge(ids[1:], pair, new_id)
""",
    ),
    Equivalent(
        "sorted pairs, words as a list",
        task="train",
        code="""
def train(text, n_merges):
    words = [(list(w), c) for w, c in count_words(text).items()]
    merges = []
    while len(merges) < n_merges:
        pairs = {}
        for w, c in words:
            for p in zip(w, w[1:]):
                pairs[p] = pairs.get(p, 0) + c
        ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
        if not ranked or ranked[0][1] == 1:
            return merges
        merges.append(ranked[0][0])
        words = [(merge(w, merges[-1], 255 + len(merges)), c) for w, c in words]
    return merges
""",
    ),
    Equivalent(
        "a class, and lists for pairs",
        task="train",
        code="""
class Trainer:
    def __init__(self, text):
        self.words = count_words(text)
        self.next_id = 256
    def step(self):
        pairs = count_pairs(self.words)
        top = max(pairs.values(), default=0)
        if top < 2:
            return None
        best = min(p for p in pairs if pairs[p] == top)
        self.words = {tuple(merge(list(w), best, self.next_id)): c
                      for w, c in self.words.items()}
        self.next_id += 1
        return list(best)
def train(text, n_merges):
    trainer, merges = Trainer(text), []
    for _ in range(n_merges):
        best = trainer.step()
        if best is None:
            break
        merges.append(best)
    return merges
""",
    ),
    Equivalent(
        "a recursive trainer",
        task="train",
        code="""
def train(text, n_merges, words=None, k=0):
    words = count_words(text) if words is None else words
    pairs = count_pairs(words)
    pairs = {p: c for p, c in pairs.items() if c > 1}
    if k == n_merges or not pairs:
        return []
    best = max(pairs, key=lambda p: (pairs[p], -p[0], -p[1]))
    words = {tuple(merge(list(w), best, 256 + k)): c for w, c in words.items()}
    return [best, *train(text, n_merges, words, k + 1)]
""",
    ),
    Equivalent(
        "the lowest rank, again and again",
        task="encode",
        code="""
def encode(text, merges):
    ranks = {pair: k for k, pair in enumerate(merges)}
    ids = []
    for word in PATTERN.findall(text):
        piece = list(word.encode())
        while True:
            found = [p for p in zip(piece, piece[1:]) if p in ranks]
            if not found:
                break
            best = min(found, key=ranks.get)
            piece = merge(piece, best, 256 + ranks[best])
        ids += piece
    return ids
""",
    ),
    Equivalent(
        "one occurrence at a time",
        task="encode",
        code="""
def encode(text, merges):
    def one(piece):
        options = [(merges.index(p), i) for i, p in enumerate(zip(piece, piece[1:]))
                   if p in merges]
        if not options:
            return piece
        k, i = min(options)
        return one(piece[:i] + [256 + k] + piece[i + 2:])
    return [i for word in PATTERN.findall(text) for i in one(list(word.encode()))]
""",
    ),
    Equivalent(
        "merges on the outside, words inside",
        task="encode",
        code="""
def encode(text, merges):
    words = [list(word.encode()) for word in PATTERN.findall(text)]
    for k, pair in enumerate(merges):
        words = [merge(word, tuple(pair), 256 + k) for word in words]
    return sum(words, [])
""",
    ),
    Equivalent(
        "recursion into the merges",
        task="decode",
        code="""
def decode(ids, merges):
    def spell(i):
        if i < 256:
            return bytes((i,))
        left, right = merges[i - 256]
        return spell(left) + spell(right)
    return str(b"".join(map(spell, ids)), "utf-8", "replace")
""",
    ),
    Equivalent(
        "unmerging from the last merge to the first",
        task="decode",
        code="""
def decode(ids, merges):
    ids = list(ids)
    for k in range(len(merges) - 1, -1, -1):
        ids = [j for i in ids for j in (merges[k] if i == 256 + k else (i,))]
    return bytearray(ids).decode("utf8", "replace")
""",
    ),
    Equivalent(
        "a dict of byte strings",
        task="decode",
        code="""
def decode(ids, merges):
    spelled = {i: i.to_bytes(1, "big") for i in range(256)}
    for k, (a, b) in enumerate(merges, start=256):
        spelled[k] = spelled[a] + spelled[b]
    data = b""
    for i in ids:
        data += spelled[i]
    return data.decode(errors="replace")
""",
    ),
    Equivalent(
        "three digits",
        task="compression",
        code="""
compression = {
    language: {n: value + 0.004 for n, value in row.items()}
    for language, row in compression.items()
}
""",
    ),
    Equivalent(
        "dicts of another class",
        task="compression",
        code="""
from collections import OrderedDict
compression = OrderedDict(
    (language, OrderedDict(sorted(row.items(), reverse=True)))
    for language, row in sorted(compression.items())
)
""",
    ),
    Equivalent(
        "NumPy numbers",
        task="compression",
        code="""
import numpy as np
compression = {
    language: {int(n): np.float64(value) for n, value in row.items()}
    for language, row in compression.items()
}
""",
    ),
    # Written without sight of the checks, by someone who solved the notebook first.
    Equivalent(
        "match after match",
        task="count_words",
        code="""
def count_words(text: str) -> dict[tuple[int, ...], int]:
    words = {}
    start = 0
    while start < len(text):
        m = PATTERN.match(text, start)
        w = text[start:m.end()]
        start = m.end()
        key = ()
        for ch in w:
            key += tuple(ch.encode("utf-8"))
        words.setdefault(key, 0)
        words[key] += 1
    return words
""",
    ),
    Equivalent(
        "NumPy's stack",
        task="count_pairs",
        code="""
import numpy as np
def count_pairs(words):
    found = {}
    for w, n in words.items():
        a = np.array(w, dtype=int)
        for x, y in np.stack([a[:-1], a[1:]], 1).tolist() if len(a) > 1 else []:
            found[x, y] = found.get((x, y), 0) + n
    return found
""",
    ),
    Equivalent(
        "looks back instead of ahead",
        task="merge",
        code="""
def merge(ids, pair, new_id):
    out = []
    fresh = False
    for i in ids:
        if out and not fresh and (out[-1], i) == tuple(pair):
            out[-1] = new_id
            fresh = True
        else:
            out.append(i)
            fresh = False
    return out
""",
    ),
    Equivalent(
        "through characters",
        task="merge",
        code="""
def merge(ids, pair, new_id):
    s = "".join(map(chr, ids)).replace(chr(pair[0]) + chr(pair[1]), chr(new_id))
    return [ord(c) for c in s]
""",
    ),
    Equivalent(
        "every word, not the distinct ones",
        task="train",
        code="""
def train(text, n_merges):
    words = [list(w.encode()) for w in PATTERN.findall(text)]
    merges = []
    for new in range(256, 256 + n_merges):
        pairs = {}
        for w in words:
            for p in zip(w, w[1:]):
                pairs[p] = pairs.get(p, 0) + 1
        if not pairs:
            break
        n, best = min((-n, p) for p, n in pairs.items())
        if n > -2:
            break
        words = [merge(w, best, new) for w in words]
        merges.append(best)
    return merges
""",
    ),
    Equivalent(
        "sorted twice",
        task="train",
        code="""
def train(text, n_merges):
    words = count_words(text)
    learned = []
    next_id = 256
    for _ in range(n_merges):
        ranking = sorted(count_pairs(words).items())
        ranking.sort(key=lambda item: item[1], reverse=True)
        if not ranking or ranking[0][1] == 1:
            break
        pair = ranking[0][0]
        words = {tuple(merge(list(w), pair, next_id)): c for w, c in words.items()}
        next_id += 1
        learned += [pair]
    return learned
""",
    ),
    Equivalent(
        "a list for each pair",
        task="train",
        code="""
def train(text, n_merges):
    words = count_words(text)
    merges = []
    for k in range(n_merges):
        pairs = count_pairs(words)
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        if pairs[best] < 2:
            break
        merges.append(list(best))
        words = {tuple(merge(list(w), best, 256 + k)): n for w, n in words.items()}
    return merges
""",
    ),
    Equivalent(
        "a cache that knows the merges",
        task="encode",
        code="""
from functools import lru_cache
@lru_cache(maxsize=None)
def encode_word(w, merges):
    ids = list(w.encode())
    for k, p in enumerate(merges):
        ids = merge(ids, p, 256 + k)
    return tuple(ids)
def encode(text, merges):
    merges = tuple(merges)
    return [i for w in PATTERN.findall(text) for i in encode_word(w, merges)]
""",
    ),
    Equivalent(
        "a cache inside",
        task="encode",
        code="""
def encode(text, merges):
    rank = dict(zip(map(tuple, merges), range(256, 256 + len(merges))))
    done = {}
    def word(w):
        if w not in done:
            ids = list(w.encode())
            while True:
                news = [rank[p] for p in zip(ids, ids[1:]) if p in rank]
                if not news:
                    break
                k = min(news)
                ids = merge(ids, merges[k - 256], k)
            done[w] = ids
        return done[w]
    return sum(map(word, PATTERN.findall(text)), [])
""",
    ),
    Equivalent(
        "an incremental decoder",
        task="decode",
        code="""
import codecs
def decode(ids, merges):
    table = {i: [i] for i in range(256)}
    for k, (a, b) in enumerate(merges, start=256):
        table[k] = table[a] + table[b]
    d = codecs.getincrementaldecoder("utf-8")("replace")
    return "".join([d.decode(bytes(table[i])) for i in ids]) + d.decode(b"", final=True)
""",
    ),
]
