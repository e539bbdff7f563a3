"""Checks of lab 1: byte-level BPE. The reference is lmcore's own tokenizer.

A student may read this file: it holds inputs, common mistakes and hints, and no
solution. The grader runs its own copy, with inputs drawn from a secret.
"""

from collections import Counter
from functools import cache, lru_cache
from random import Random
from unicodedata import normalize

from lmcore.course.labs import Raised, Student, Written, task
from lmcore.data import chinese_novel, shakespeare_split
from lmcore.tokenizers import ByteBPETokenizer
from lmcore.tokenizers.bpe_merge import merge_word
from lmcore.tokenizers.bpe_train import PairTable, train_merges
from lmcore.tokenizers.patterns import Splitter

LAB = "01_tokenizer"

Pair = tuple[int, int]

SAMPLES = (
    "low, low lower",
    "It's 2024: naïve café, 你好 你好!",
    "one  two\n\nthree   four\tfive",
    " a line\r\n\r\nand its end \n",
    "cafe\u0301 ＡＢ ①",
    "",
)
SYLLABLES = (
    "ba",
    "na",
    "an",
    "aa",
    "lo",
    "low",
    "er",
    "é",
    "你",
    "好",
    "🙂",
    "'s",
    "7",
)

# --------------------------------------------------------------- the reference


def random_text(rng: Random, n_words: int = 40) -> str:
    """A text that repeats itself and holds characters of one to four bytes."""
    words = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(12)]
    return " ".join(rng.choices(words, k=n_words))


def coded(text: str) -> dict[tuple[int, ...], int]:
    """Each word's bytes, with the number of times it stands in a text."""
    tally: Counter[bytes] = Counter()
    for word in Splitter("gpt2").split(text):
        tally[word.encode()] += 1
    return {tuple(word): count for word, count in tally.items()}


def true_merges(text: str, n_merges: int) -> list[Pair]:
    """What training must learn."""
    words = [(list(word), count) for word, count in coded(text).items()]
    return train_merges(words, n_merges, first_id=256, min_count=2)


def true_ids(text: str, merges: list[Pair]) -> list[int]:
    """What encoding must give."""
    found: list[int] = []
    for word in Splitter("gpt2").split(text):
        found += merged_whole(list(word.encode()), merges)
    return found


def merged_whole(ids: list[int], merges: list[Pair]) -> list[int]:
    """Ids merged in the order of learning, whatever words they belong to."""
    made = list(range(256, 256 + len(merges)))
    return merge_word(ids, {pair: k for k, pair in enumerate(merges)}, made)


def course_tokenizer(merges: list[Pair]) -> ByteBPETokenizer:
    """lmcore's tokenizer with these merges."""

    @cache
    def spelled(i: int) -> bytes:
        if i < 256:
            return bytes([i])
        return b"".join(map(spelled, merges[i - 256]))

    pairs = [(spelled(left), spelled(right)) for left, right in merges]
    vocabulary = {spelled(i): i for i in range(256 + len(merges))}
    return ByteBPETokenizer(vocabulary, pairs)


# ------------------------------------------------------------------- the tasks


@task(
    "count_words",
    points=2,
    hints=(
        "Two steps: cut the text into words, then turn each word into numbers.",
        "PATTERN.findall(text) gives the words, spaces included. A word's UTF-8 bytes "
        "are word.encode(), and a bytes object is a sequence of numbers below 256.",
        "Go through the words in a loop. Make each one a tuple of its bytes and add 1 "
        "to that tuple's entry in a dict (a Counter starts every entry at 0).",
    ),
)
def check_count_words(student: Student) -> None:
    """Words as tuples of bytes, with their counts."""
    earlier: set[tuple[int, ...]] = set()
    for text in (*SAMPLES, random_text(student.rng)):
        got = student.call("count_words", text)
        before = earlier - set(coded(text))
        earlier |= set(coded(text))
        words = Splitter("gpt2").split(text)
        student.expect(
            got,
            coded(text),
            causes={
                "a key must be a tuple of bytes, not a text": lambda got: any(
                    isinstance(key, str | bytes) for key in got
                ),
                "ord() gives characters; the tokenizer works on UTF-8 bytes": Counter(
                    tuple(map(ord, word)) for word in words
                ),
                "split() throws the spaces away; PATTERN keeps them": Counter(
                    tuple(word.encode()) for word in text.split()
                ),
                "the spaces are gone; a word keeps the space before it": Counter(
                    tuple(word.strip().encode()) for word in words
                ),
                "each word counts as often as it occurs, not once": dict.fromkeys(
                    coded(text), 1
                ),
                "the text was changed before it was cut (lower case, strip, other line "
                "ends, another normal form?)": lambda got: any(
                    got == coded(changed) for changed in _changed(text)
                ),
                "words of an earlier call are still counted: begin each call with an "
                "empty dict": lambda got: bool(before & set(got)),
                "bytes of the text are missing: each stands in some word, spaces and "
                "line ends too": lambda got: (
                    sum(len(word) * n for word, n in got.items()) < len(text.encode())
                ),
                "other words than those that PATTERN cuts": lambda got: (
                    sum(len(word) * n for word, n in got.items()) == len(text.encode())
                ),
            },
        )


@task(
    "count_pairs",
    points=2,
    hints=(
        "In a word of n ids there are n - 1 pairs of neighbours.",
        "zip(word, word[1:]) walks over the neighbours. A word that occurs 5 times "
        "brings each of its pairs 5 times.",
        "Two loops: over words.items(), and inside it over the neighbours of one word; "
        "add the word's count, not 1, to the pair's entry.",
    ),
)
def check_count_pairs(student: Student) -> None:
    """Neighbours inside words, weighted by the words' counts."""
    cases = [
        {(1, 2, 3): 5, (2, 3): 2},
        {(1, 2, 1, 2): 3},
        {(7, 7, 7): 1},
        {(9,): 4, (1, 2): 3},
        {(300, 256, 300): 2},
        {},
        coded(random_text(student.rng)),
    ]
    for words in cases:
        got = student.call("count_pairs", words)
        flat = [i for word in words for i in word]
        table = [(list(word), count) for word, count in words.items()]
        counts = dict(PairTable(table).counts)
        student.expect(
            got,
            counts,
            causes={
                "only pairs that occur have an entry": lambda got: (
                    {pair: count for pair, count in got.items() if count} == counts
                ),
                "a word that occurs 5 times brings each pair 5 times": dict(
                    PairTable([(word, 1) for word, _ in table]).counts
                ),
                "in (7, 7, 7) the pair (7, 7) stands twice: overlaps count": _apart(
                    words
                ),
                "a pair may stand in one word more than once": _once(words),
                "pairs never reach from one word into the next": lambda got: any(
                    pair in set(zip(flat, flat[1:], strict=False))
                    and pair not in counts
                    for pair in got
                ),
                "a pair has an order: (2, 1) is not (1, 2)": lambda got: (
                    set(got) == {tuple(sorted(pair)) for pair in counts}
                ),
                "a word of one byte has no pairs; go on with the next word": (
                    lambda got: any(len(word) < 2 for word in words)
                ),
            },
        )


@task(
    "merge",
    points=3,
    hints=(
        "Walk from left to right with an index of your own, and build a new list.",
        "At each place there are two cases: the pair starts here, then the new id goes "
        "into the list and the index moves by 2; or it does not, then the old id goes "
        "in and the index moves by 1. Mind the last id: it has no right neighbour.",
        "while i < len(ids): compare the slice of two ids at i with the pair (as a "
        "tuple or a list, on both sides). A slice at the end is shorter than two, so "
        "it never equals the pair, and needs no case of its own.",
    ),
)
def check_merge(student: Student) -> None:
    """One pair replaced, left to right, no overlaps."""
    rng = student.rng
    cases = [
        ([1, 2, 3, 1, 2], (1, 2), 256),
        ([5, 5, 5], (5, 5), 256),
        ([5, 5, 5, 5, 5, 5, 5], (5, 5), 300),
        ([2, 1, 2, 1], (1, 2), 256),
        ([1, 2, 3], (8, 9), 256),
        ([4], (4, 4), 256),
        ([], (1, 2), 256),
        ([15, 5, 51, 5, 5], (5, 5), 256),
        ([97, 300, 301, 300, 301], (300, 301), 302),
    ]
    cases += [(rng.choices([1, 2, 3], k=30), (1, rng.randint(1, 2)), 400) for _ in "ab"]
    for ids, pair, new_id in cases:
        got = student.call("merge", ids, pair, new_id)
        student.expect(
            got,
            merge_word(ids, {pair: 0}, [new_id]),
            causes={
                "only the first occurrence is replaced": _first_only(ids, pair, new_id),
                "an id is used by two merges: after a merge, go on behind both ids": (
                    _overlapping(ids, pair, new_id)
                ),
                "the last id is lost": merge_word(ids, {pair: 0}, [new_id])[:-1],
                "the last id stands there again, though a merge took it": (
                    merge_word(ids, {pair: 0}, [new_id]) + ids[-1:]
                ),
                "the pair has an order: (2, 1) is not (1, 2)": _either_order(
                    ids, pair, new_id
                ),
                "the merge goes from left to right": merge_word(
                    ids[::-1], {pair[::-1]: 0}, [new_id]
                )[::-1],
                "the new id must be the one that was given": lambda got: (
                    len(got) == len(merge_word(ids, {pair: 0}, [new_id]))
                    and new_id not in got
                ),
                "as a text, 5 stands in 15 too: compare ids, not digits": (
                    lambda got: got == _as_text(ids, pair, new_id)
                ),
                "nothing was merged; are ids compared with ==? (`is` asks whether two "
                "are the same object, which holds for small ints alone)": (
                    lambda got: got == ids and min(pair) > 256
                ),
                "nothing was merged": ids,
            },
        )
    student.call("merge", [1, 2], (3, 4), 256)
    student.demand(
        not student.gave_back,
        "gives back the very list that it was given: a new list is wanted, also where "
        "there is nothing to merge",
    )


@task(
    "train",
    points=4,
    needs=("count_words", "count_pairs", "merge"),
    hints=(
        "Repeat: count all pairs, choose one, merge it in every word, remember it.",
        "Ties: of the pairs with the largest count, the smallest pair wins, so compare "
        "(-count, pair). The first merge makes the id 256, the next one 257. Stop early "
        "when the best pair occurs only once.",
        "Start with what count_words gives. In a loop over k in range(n_merges): count "
        "the pairs; stop if there are none; take the min over pairs by the key "
        "(-count, pair); stop if its count is below 2; rebuild words as a dict with "
        "each word merged to a tuple with the id 256 + k; append the pair.",
    ),
)
def check_train(student: Student) -> None:
    """The merges that training learns, in order."""
    own = random_text(student.rng, 80)
    cases = [
        ("low low lower lowest", 2),
        ("ox ox ox ox ca cab", 1),
        ("abab cdcd abab", 1),
        ("ba ba ab ab", 1),
        ("ac,ac,ab,ab", 1),
        ("a, b, c, d", 4),
        ("aaaaaaaa", 5),
        ("low low", 0),
        ("xy xyz xyzw", 6),
        ("", 3),
        ("hug pug pun bun hugs hug hugs", 50),
        ("你好 你好 你们", 4),
        (own, 25),
    ]
    earlier: list[Pair] = []
    for text, n_merges in cases:
        got = student.call("train", text, n_merges)
        expected = true_merges(text, n_merges)
        causes = {
            "merges of an earlier call are still there: begin with an empty list": (
                lambda got: len(got) > 0 and got[: len(earlier)] == earlier != []
            ),
            _why_not(got, expected, text): lambda got: True,
        }
        student.expect(got, expected, causes=causes)
        earlier = expected


@task(
    "encode",
    points=4,
    needs=("count_words", "merge"),
    hints=(
        "Each word on its own: bytes first, then merges, until none fits.",
        "The order is that of learning, not that of the text: of all pairs that stand "
        "in the word and can be merged, the one learned first is merged first.",
        "For each word of PATTERN.findall(text): ids = list of its bytes; then go "
        "through the merges in order, k from 0, and call merge with the id 256 + k. "
        "(Why is one pass enough? A pair with a new id is learned later.)",
    ),
)
def check_encode(student: Student) -> None:
    """Ids by merges in the order of learning."""
    rng = student.rng
    b, c = ord("b"), ord("c")
    learned = true_merges(random_text(rng, 120), 30)
    cases = [
        ("abcd", [(c, ord("d")), (ord("a"), b), (b, c)]),
        ("abc", [(b, c), (ord("a"), b)]),
        ("low lower", true_merges("low low lower lowest", 3)),
        ("abcbc", [(b, c), (256, 256), (ord("a"), 257)]),
        ("abc", [(ord("a"), b), (b, c)]),
        ("abc", [(b, c), (ord("a"), b), (257, c)]),
        ("aaaaa", [(97, 97), (256, 256), (256, 97)]),
        ("to to", [(ord("o"), 32), (ord("t"), ord("o"))]),
        ("don't", [(ord("n"), ord("'")), (ord("'"), ord("t"))]),
        ("low low\n", [(ord("l"), ord("o"))]),
        ("\tlow ", []),
        ("", [(97, 98)]),
        ("naïve 你好🙂", []),
        (random_text(rng), learned),
        (random_text(rng), true_merges("low lower 你好 你好 baba baba", 12)),
    ]
    earlier: list[Pair] = []
    for text, merges in cases:
        got = student.call("encode", text, merges)
        right = true_ids(text, merges)
        student.expect(
            got,
            right,
            causes={
                "one flat list of ids is wanted": lambda got: any(
                    isinstance(i, list | tuple) for i in got
                ),
                "a merge reaches over the border of two words: cut the text into "
                "words with PATTERN first": merged_whole(list(text.encode()), merges),
                "a merge takes the pair of ids that was learned, not any two tokens "
                "that spell the same bytes": lambda got: (
                    len(got) < len(right) and _bytes_of(got, merges) == text.encode()
                ),
                "the pair learned first is merged first, wherever it stands; not the "
                "first pair from the left, and not the longest token": (
                    lambda got: (
                        got == _leftmost(text, merges) or got == _longest(text, merges)
                    )
                ),
                "the pair learned last is merged first; it should be the one learned "
                "first": _reversed(text, merges),
                "nothing was merged": list(text.encode()),
                "words are remembered from an earlier call, which had other merges": (
                    lambda got: got == true_ids(text, earlier)
                ),
                "ord() gives characters; begin with UTF-8 bytes": [*map(ord, text)],
                "each distinct word stands there once; a text is encoded with all its "
                "words, in its order": [
                    i for word in coded(text) for i in merged_whole(list(word), merges)
                ],
                "the first merge makes the id 256, the next one 257": [
                    i + (i > 255) for i in right
                ],
                "the k-th merge makes the id 256 + k, also where earlier ones do not "
                "occur in the text": lambda got: (
                    len(got) == len(right)
                    and all(i <= j for i, j in zip(got, right, strict=True))
                ),
                "merging stops too early: go on until no pair fits": lambda got: (
                    len(got) > len(right) and _bytes_of(got, merges) == text.encode()
                ),
                "these ids do not spell the bytes of the text: all of its UTF-8 bytes "
                "are wanted, spaces and line ends too": lambda got: (
                    _bytes_of(got, merges) != text.encode()
                ),
                "of all pairs that stand in the word, the one that was learned first is "
                "merged first": lambda got: True,
            },
        )
        earlier = merges


@task(
    "decode",
    points=3,
    hints=(
        "Build the bytes of every token first: 256 single bytes, then one by one the "
        "tokens that the merges make out of earlier ones.",
        "Join the bytes of all ids, and only then turn them into text: a character may "
        "be spread over several tokens.",
        "tokens = a list of 256 bytes objects; for each merge append the bytes of left "
        "plus those of right. bytes.decode has an argument errors= that says what to do "
        "with bytes that are no UTF-8; look up the one that puts in U+FFFD.",
    ),
)
def check_decode(student: Student) -> None:
    """Text from ids, also from ids that are no whole text."""
    rng = student.rng
    text = random_text(rng)
    learned = true_merges(random_text(rng, 120), 20)
    hello = true_merges("你好 你好 你好", 3)
    cases = [
        ([72, 105], []),
        (list("é你".encode()), []),
        ([97, 0xE4, 0xBD, 98], []),
        ([0xFF, 0xFE, 65], []),
        (true_ids("你好", hello)[:1], hello),
        ([0xE4, 0xBD, 0xE4, 0xBD], []),
        ([258, 256], [(97, 98), (256, 99), (257, 257)]),
        ([256], [(120, 121)]),
        (list(b" low\n"), []),
        ([0xEF, 0xBB, 0xBF, 97], []),
        ([], []),
        (true_ids(text, learned), learned),
        ([rng.randrange(256) for _ in range(20)], []),
    ]
    pile: list[bytes] = [bytes([i]) for i in range(256)]
    for ids, merges in cases:
        got = student.call("decode", ids, merges, raises=True)
        pile += [_bytes_of([256 + k], merges) for k in range(len(merges))]
        piled = b"".join(pile[i] for i in ids)
        tokenizer = course_tokenizer(merges)
        data = tokenizer.decode_bytes(ids)
        if isinstance(got, Raised):
            about = ""
            if got.type_name == "UnicodeDecodeError":
                about = ". Bytes that are no UTF-8 must become U+FFFD, not an error"
            elif got.type_name == "ValueError" and "bytes must be" in got.message:
                about = ". An id above 255 is a merge: look up its bytes"
            student.fail(f"raised {got.type_name}: {got.message}{about}")
        single = [tokenizer.decode([i]) for i in ids]
        student.expect(
            got,
            tokenizer.decode(ids),
            causes={
                "one U+FFFD for each broken part: 228, 189 begin one character, so "
                "they are one part; two such parts make two": lambda got: (
                    got != tokenizer.decode(ids)
                    and got.replace("\ufffd", "")
                    == tokenizer.decode(ids).replace("\ufffd", "")
                    and "\ufffd" in got
                    and got != "".join(single)
                ),
                "one U+FFFD for each broken part, not for each byte: 228, 189 begin one "
                "character, so they are one part": lambda got: (
                    not merges and ids[0] < 128 and got == "".join(single)
                ),
                "merges of an earlier call are still in the table: build it anew": (
                    lambda got: got == piled.decode("utf-8", "replace")
                ),
                "a character may be spread over tokens: join all bytes first, then "
                "decode once": "".join(single),
                "broken bytes are dropped; they must become U+FFFD": data.decode(
                    "utf-8", "ignore"
                ),
                "spaces and line ends belong to the text": lambda got: (
                    got == tokenizer.decode(ids).strip()
                ),
                "bytes are not characters: decode them as UTF-8": data.decode(
                    "latin-1"
                ),
                "bytes, and a str is wanted": data,
                "a token may be made of tokens that are merges themselves": lambda got: (
                    max(ids, default=0) > 256
                ),
            },
        )


# -------------------------------------------------------------- the measurement

SIZES = (0, 64, 256, 512)
TRAIN_BYTES, HELD_OUT_BYTES = 100_000, 30_000


def first_bytes(text: str, n: int) -> str:
    """The longest beginning of a text that takes at most n bytes."""
    return text.encode()[:n].decode("utf-8", errors="ignore")


@lru_cache
def own_texts(name: str) -> dict[str, tuple[str, str]]:
    """A student's own texts: to train on and to measure on, in English and Chinese.

    Args:
        name: What ``STUDENT`` says.

    Returns:
        For ``"english"`` and ``"chinese"`` a pair of texts.
    """
    rng = Student(lambda request: {}, name, "compression").own_rng("texts of lab 1")
    texts = {}
    long = [t for t in shakespeare_split()[0].parts.values() if len(t) > TRAIN_BYTES]
    first, second = rng.sample(long, 2)
    texts["english"] = first, second
    chapters = list(chinese_novel().parts.values())
    start = rng.randrange(len(chapters) - 20)
    texts["chinese"] = (
        "".join(chapters[start : start + 12]),
        "".join(chapters[start + 12 : start + 20]),
    )
    return {
        language: (first_bytes(a, TRAIN_BYTES), first_bytes(b, HELD_OUT_BYTES))
        for language, (a, b) in texts.items()
    }


@lru_cache
def true_compression(name: str) -> dict[str, dict[int, float]]:
    """Bytes per token on a student's held-out texts, by language and merges."""
    table: dict[str, dict[int, float]] = {}
    for language, (text, held_out) in own_texts(name).items():
        merges = true_merges(text, max(SIZES))
        table[language] = {
            n: len(held_out.encode())
            / len(course_tokenizer(merges[:n]).encode(held_out))
            for n in SIZES
        }
    return table


@task(
    "compression",
    points=4,
    needs=("train", "encode"),
    hints=(
        "Run the experiment's cell and copy its eight numbers.",
        "Bytes per token: the bytes of the held-out text, divided by the number of ids "
        "that encode gives for it. STUDENT must be your name before you measure.",
        'The form is {"english": {0: 1.0, 64: ..., 256: ..., 512: ...}, "chinese": '
        "{...}}, with two digits after the point.",
    ),
)
def check_compression(student: Student) -> None:
    """The student's eight measurements, on texts of their own."""
    got = student.get("compression")
    expected = true_compression(student.name)
    text = own_texts(student.name)
    chars = {
        language: {
            n: v * len(text[language][1]) / len(text[language][1].encode())
            for n, v in row.items()
        }
        for language, row in expected.items()
    }
    swapped = {"english": expected["chinese"], "chinese": expected["english"]}
    upside_down = {
        language: {n: 1 / v for n, v in row.items()}
        for language, row in expected.items()
    }
    for language, row in expected.items():  # no right figure in a message: they are
        student.demand(  # to be measured
            isinstance(got, dict) and isinstance(got.get(language), dict),
            f'must be a dict with a dict for each language; "{language}" is missing',
        )
        sizes = list(got[language])
        student.demand(
            sorted(sizes, key=repr) == sorted(row, key=repr),
            f'"{language}" must have the keys {", ".join(map(str, row))} (ints), '
            f"got {sizes}",
        )
        for n, value in got[language].items():
            student.demand(
                isinstance(value, int | float) and not isinstance(value, bool),
                f'"{language}" after {n} merges must be a number, got {value!r:.40}',
            )
    wrong = next(
        (
            (language, n)
            for language, row in expected.items()
            for n, value in row.items()
            if not abs(got[language][n] - value) <= 0.011
        ),
        None,
    )
    if wrong is None:
        return
    language, n = wrong
    causes = {
        "These are tokens per byte; bytes per token is wanted.": upside_down,
        "These are characters per token; bytes per token is wanted.": chars,
        "The two languages are swapped.": swapped,
    }
    about = [text for text, table in causes.items() if _near(got, table)] or [
        "Without a merge each byte is a token."
        if n == 0
        else "Copy the figure with two digits. If it is as printed: was it measured "
        "with another STUDENT, on the text that was trained on, or before `train` and "
        "`encode` were right?"
    ]
    student.fail(
        f'"{language}" after {n} merges: {got[language][n]} is not what your texts '
        f"give. {about[0]}"
    )


def _near(got: dict, table: dict[str, dict[int, float]]) -> bool:
    return all(
        abs(got[language][n] - value) < 0.011
        for language, row in table.items()
        for n, value in row.items()
    )


analysis = Written(
    "analysis",
    points=6,
    rubric=(
        "2 points: turns bytes into characters per token in both languages (a Chinese "
        "character is three bytes, so a token is less than one), and says who pays more.",
        "2 points: explains why the gain per merge falls in both languages, with two "
        "rows of the own table.",
        "2 points: names one cost of a larger vocabulary in a language model (rows of "
        "the embedding, the softmax, rare tokens), and one of a smaller one (longer "
        "sequences).",
    ),
)

# -------------------------------------------------------------------- the stretch

STRETCH_TOKENS = 1_024


@lru_cache
def stretch_texts() -> tuple[str, str]:
    """The stretch task's texts, the same for everybody: to learn from, to measure on."""
    train, validation, _ = shakespeare_split()
    first = first_bytes(next(iter(train.parts.values())), 120_000)
    return first, first_bytes(next(iter(validation.parts.values())), 40_000)


def course_figure() -> float:
    """Bytes per token of lmcore's own BPE with 1,024 merges."""
    text, held_out = stretch_texts()
    tokenizer = ByteBPETokenizer.train(text, 256 + STRETCH_TOKENS)
    return len(held_out.encode()) / len(tokenizer.encode(held_out))


@task(
    "cut",
    points=0,
    stretch=True,
    needs=("train", "encode"),
    hints=(
        "What in BPE could be better? How a text is cut with the vocabulary you have, "
        "which tokens are in it, and what PATTERN forbids.",
        "For a given vocabulary, BPE's order of merges does not give the fewest tokens. "
        "The fewest can be found exactly, byte by byte from left to right.",
        "best[i] = the fewest tokens for the first i bytes = 1 + the smallest best[j] "
        "over those j for which the bytes from j to i are a token. And nobody says that "
        "a token may not reach over a space.",
    ),
)
def check_cut(student: Student) -> float:
    """Exact, within the vocabulary; gives bytes per token."""
    text, held_out = stretch_texts()
    vocabulary = student.call("make_vocabulary", text)
    student.demand(
        isinstance(vocabulary, list) and all(type(t) is bytes for t in vocabulary),
        "must give a list of bytes objects",
    )
    tokens = {token for token in vocabulary if len(token) > 1}
    student.demand(
        len(tokens) <= STRETCH_TOKENS,
        f"gave {len(tokens)} tokens of two or more bytes, and at most "
        f"{STRETCH_TOKENS} are allowed",
    )
    pieces = student.call("cut", held_out, vocabulary)
    student.demand(
        isinstance(pieces, list) and all(type(p) is bytes for p in pieces),
        "must give a list of bytes objects",
    )
    unknown = next((p for p in pieces if len(p) != 1 and p not in tokens), None)
    student.demand(unknown is None, f"{unknown!r} is no token of the vocabulary")
    student.called = "cut(held_out, vocabulary)"
    student.expect(b"".join(pieces), held_out.encode())
    return len(held_out.encode()) / len(pieces)


# ------------------------------------- common mistakes, to say what went wrong


def _changed(text: str) -> list[str]:
    """A text as it is after steps that no tokenizer may take."""
    forms = [normalize(form, text) for form in ("NFC", "NFD", "NFKC")]
    return [text.lower(), text.strip(), text.replace("\r\n", "\n"), *forms]


def _bytes_of(ids: list[int], merges: list[Pair]) -> bytes:
    """What ids spell; nothing for those that there are not."""
    tokenizer = course_tokenizer(merges)
    return tokenizer.decode_bytes([i for i in ids if 0 <= i < 256 + len(merges)])


def _apart(words: dict[tuple[int, ...], int]) -> dict[Pair, int]:
    """Pairs that do not overlap."""
    tally: Counter[Pair] = Counter()
    for word, count in words.items():
        for i in range(0, len(word) - 1, 2):
            tally[word[i], word[i + 1]] += count
    return dict(tally)


def _once(words: dict[tuple[int, ...], int]) -> dict[Pair, int]:
    """Each pair at most once a word."""
    tally: Counter[Pair] = Counter()
    for word, count in words.items():
        for pair in {(word[i], word[i + 1]) for i in range(len(word) - 1)}:
            tally[pair] += count
    return dict(tally)


def _first_only(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair:
            return [*ids[:i], new_id, *ids[i + 2 :]]
    return ids


def _either_order(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    """Takes (b, a) for (a, b)."""
    if set(ids[:2]) == set(pair) and len(ids) > 1:
        return [new_id, *_either_order(ids[2:], pair, new_id)]
    return [ids[0], *_either_order(ids[1:], pair, new_id)] if ids else []


def _as_text(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    """Replaces digits in a text."""
    text = " ".join(map(str, ids)).replace(f"{pair[0]} {pair[1]}", str(new_id))
    return [int(part) for part in text.split()]


def _overlapping(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    """Forgets to step over the second id of a pair."""
    starts = [(a, b) == pair for a, b in zip(ids, [*ids, -1][1:], strict=True)]
    return [new_id if start else old for start, old in zip(starts, ids, strict=True)]


def _leftmost(text: str, merges: list[Pair]) -> list[int]:
    """Merges the first pair from the left that is any merge."""
    found: list[int] = []
    for word in Splitter("gpt2").split(text):
        ids, i = list(word.encode()), 0
        while i < len(ids) - 1:
            pair = ids[i], ids[i + 1]
            if pair in merges:
                ids[i : i + 2] = [256 + merges.index(pair)]
                i = 0
            else:
                i += 1
        found += ids
    return found


def _longest(text: str, merges: list[Pair]) -> list[int]:
    """Takes the longest token that fits, from the left."""
    tokenizer = course_tokenizer(merges)
    found: list[int] = []
    for word in Splitter("gpt2").split(text):
        rest = word.encode()
        while rest:
            sizes = range(len(rest), 0, -1)
            token = next(rest[:n] for n in sizes if rest[:n] in tokenizer.vocab)
            found.append(tokenizer.vocab[token])
            rest = rest[len(token) :]
    return found


def _reversed(text: str, merges: list[Pair]) -> list[int]:
    """Merges what was learned last first."""
    found: list[int] = []
    made = [256 + k for k in reversed(range(len(merges)))]
    ranks = {pair: k for k, pair in enumerate(reversed(merges))}
    for word in Splitter("gpt2").split(text):
        found += merge_word(list(word.encode()), ranks, made)
    return found


def _why_not(got: object, expected: list[Pair], text: str) -> str:
    """What a list of merges that differs from the right one may come from."""
    if not isinstance(got, list) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in got
    ):
        return "a list of pairs of ids is wanted"
    mine = [tuple(pair) for pair in got]
    k = 0
    while k < min(len(mine), len(expected)) and mine[k] == expected[k]:
        k += 1
    words = [(list(word), count) for word, count in coded(text).items()]
    table = PairTable(words)
    for step, pair in enumerate(expected[:k]):
        table.merge(pair, 256 + step)
    crossing = (
        "stands in no word at this step: merges never cross words, and each merge "
        "changes the words"
    )
    if k < len(mine) and mine[k] in mine[:k]:
        return "the same pair twice: after a choice, merge it in every word"
    if k == len(mine) == len(expected):
        return "the pairs must be ints"
    if k == len(expected) and max(mine[k]) < 256 + k and not table.counts.get(mine[k]):
        return f"{mine[k]} {crossing}"
    if k == len(expected):
        return (
            "training went on too long: stop after n_merges, or when the best pair "
            "occurs only once"
        )
    if k == len(mine):
        return "training stopped too early"
    if any(i >= 256 + k for i in mine[k]) or (k and 255 in mine[k]):
        return "the first merge makes the id 256, the next one 257"
    if table.counts.get(mine[k], 0) == table.counts[expected[k]]:
        return f"{mine[k]} and {expected[k]} occur equally often; the smaller pair wins"
    unweighted = PairTable([(word, 1) for word, _ in words]).counts
    if k == 0 and unweighted[mine[0]] == max(unweighted.values()):
        return "a word that occurs 5 times brings each pair 5 times"
    if table.counts.get(mine[k], 0) == 0:
        return f"{mine[k]} {crossing}"
    return f"{mine[k]} is not the most frequent pair at step {k}"
