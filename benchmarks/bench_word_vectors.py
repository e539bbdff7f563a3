"""Word vectors, measured: ours beside gensim's, and the published GloVe vectors.

    python benchmarks/bench_word_vectors.py skipgram    # about 4 minutes of one core
    python benchmarks/bench_word_vectors.py cbow        # about 4 minutes
    python benchmarks/bench_word_vectors.py glove       # 2 minutes
    python benchmarks/bench_word_vectors.py fasttext    # 3 minutes
    python benchmarks/bench_word_vectors.py published   # 400,000 vectors; 1 minute

skipgram, cbow: lmcore and gensim in turn, in one process, on the same sentences (all 42
works of Shakespeare), with the same vocabulary and settings, one thread each, over
several seeds. Speed is in words of the corpus per second of processor time, so that
another program on the machine disturbs it less. Each part writes its own section of
results/word_vectors.json. Spearman's rho is over the pairs whose words both occur
``min_count`` times; the same pairs on both sides.
"""

import argparse
import json
import statistics
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch

from lmcore.assets import fetch
from lmcore.course.notebooks import describe_machine
from lmcore.data.corpora import shakespeare
from lmcore.models.fasttext import FastText, FastTextConfig
from lmcore.models.glove import GloVe, GloVeConfig
from lmcore.models.word2vec import Word2Vec, Word2VecConfig
from lmcore.models.word_corpus import Vocabulary, split_sentences
from lmcore.models.word_evaluation import (
    association_per_word,
    association_test,
    evaluate_analogies,
    evaluate_similarity,
    find_word,
    read_analogies,
    read_pairs,
)
from lmcore.models.word_vectors import WordVectors

PATH = Path(__file__).parents[1] / "results" / "word_vectors.json"
TESTS = {"WordSim-353": "wordsim353.tsv", "SimLex-999": "simlex999.txt"}
ONE_RUN = {"glove": "GloVe", "fasttext": "FastText"}  # together under "others"
SETTINGS = {  # lmcore's names and gensim's, which are given the same values
    "d_model": ("vector_size", 100),
    "window": ("window", 5),
    "n_negatives": ("negative", 5),
    "min_count": ("min_count", 5),
    "subsample": ("sample", 1e-3),
    "n_epochs": ("epochs", 5),
    "lr": ("alpha", 0.025),
    "min_lr": ("min_alpha", 1e-4),
}

# Word lists of Caliskan, Bryson & Narayanan (2017), supplementary material.
MALE_NAMES = "John Paul Mike Kevin Steve Greg Jeff Bill"
FEMALE_NAMES = "Amy Joan Lisa Sarah Diana Kate Ann Donna"
CAREER = "executive management professional corporation salary office business career"
FAMILY = "home parents children family cousins marriage wedding relatives"
MATHS = "math algebra geometry calculus equations computation numbers addition"
ARTS = "poetry art dance literature novel symphony drama sculpture"
MALE = "male man boy brother he him his son"
FEMALE = "female woman girl sister she her hers daughter"
OCCUPATIONS = (
    "technician accountant supervisor engineer worker educator clerk counselor "
    "inspector mechanic manager therapist administrator salesperson receptionist "
    "librarian advisor pharmacist janitor psychologist physician carpenter nurse "
    "investigator bartender specialist electrician officer pathologist teacher lawyer "
    "planner practitioner plumber instructor surgeon veterinarian paramedic examiner "
    "chemist machinist appraiser nutritionist architect hairdresser baker programmer "
    "paralegal hygienist scientist"
)


def write_section(name: str, command: str, measured: dict) -> None:
    """Put one section into the results file, beside the rest."""
    record = json.loads(PATH.read_text("utf-8")) if PATH.exists() else {}
    section = record.setdefault("others", {}) if name in ONE_RUN else record
    section[ONE_RUN.get(name, name)] = {
        "command": command,
        "machine": describe_machine(),
        "threads": torch.get_num_threads(),
        "date": date.today().isoformat(),
        "torch": torch.__version__,
        **measured,
    }
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", "utf-8")
    print(json.dumps(section[ONE_RUN.get(name, name)], indent=1))


def similarity(table: WordVectors) -> dict:
    """Spearman's rho and coverage on both tests."""
    measured = {}
    for name, file in TESTS.items():
        result = evaluate_similarity(table, read_pairs(fetch("word-relations") / file))
        measured[name] = {
            "spearman": round(result.spearman, 4),
            "pairs": result.n_pairs,
            "of": result.n_total,
        }
    return measured


def timed(train) -> tuple[object, dict]:
    """What ``train()`` returns, and its seconds by the processor and by the clock."""
    clock, processor = time.perf_counter(), time.process_time()
    model = train()
    return model, {
        "processor_seconds": round(time.process_time() - processor, 1),
        "clock_seconds": round(time.perf_counter() - clock, 1),
    }


def gensim_model(sentences: list[list[str]], cbow: bool, seed: int):
    from gensim.models import Word2Vec as GensimWord2Vec

    settings = dict(SETTINGS.values())
    return GensimWord2Vec(
        sentences, sg=0 if cbow else 1, seed=seed, workers=1, **settings
    )


def bench_word2vec(architecture: str, seeds: int) -> dict:
    """Ours and gensim's in turn, seed by seed."""
    sentences = split_sentences(shakespeare().text)
    n_words = sum(map(len, sentences))
    vocabulary = Vocabulary.count(sentences, SETTINGS["min_count"][1])
    values = {name: value for name, (_, value) in SETTINGS.items()}
    runs: dict[str, list[dict]] = {}

    def add(name: str, table: WordVectors, seconds: dict) -> None:
        if set(table.words) != set(vocabulary.words):
            raise SystemExit(f"{name}: another vocabulary")
        words = n_words * values["n_epochs"] / seconds["processor_seconds"]
        run = {**similarity(table), **seconds, "words_per_second": round(words)}
        runs.setdefault(name, []).append(run)
        print(name, len(runs[name]), json.dumps(run), flush=True)

    cbow = architecture == "cbow"
    # Ours has the exact gradient of CBOW's mean, which wants a larger rate.
    rates = (0.025, 0.075) if cbow else (0.025,)
    for seed in range(seeds):
        model, seconds = timed(
            lambda seed=seed: gensim_model(sentences, cbow, seed + 1)
        )
        add("gensim", WordVectors(model.wv.index_to_key, model.wv.vectors), seconds)
        for lr in rates:
            config = Word2VecConfig(
                architecture=architecture, seed=seed, **{**values, "lr": lr}
            )
            model, seconds = timed(
                lambda config=config: Word2Vec.train(sentences, config)
            )
            add(f"lmcore, lr {lr}", model.vectors(), seconds)
    return {
        "corpus": "lmcore.data.corpora.shakespeare(), split_sentences",
        "corpus_words": n_words,
        "vocab_size": len(vocabulary),
        "settings": values,
        "gensim": version("gensim"),
        "summary": {name: summary(of_model) for name, of_model in runs.items()},
        "runs": runs,
    }


def summary(runs: list[dict]) -> dict:
    """Mean, smallest and largest of each figure over the seeds."""
    figures = {test: [run[test]["spearman"] for run in runs] for test in TESTS}
    figures["words_per_second"] = [run["words_per_second"] for run in runs]
    return {
        name: {
            "mean": round(statistics.mean(of_seeds), 4),
            "min": min(of_seeds),
            "max": max(of_seeds),
        }
        for name, of_seeds in figures.items()
    }


def bench_glove() -> dict:
    """GloVe on the same corpus."""
    sentences = split_sentences(shakespeare().text)
    model, seconds = timed(lambda: GloVe.train(sentences, GloVeConfig()))
    return {
        "config": GloVeConfig().to_dict(),
        "losses": [round(loss, 5) for loss in model.losses],
        "nearest to king": model.vectors().nearest("king", 5),
        **similarity(model.vectors()),
        **seconds,
    }


def bench_fasttext() -> dict:
    """FastText on the same corpus, gensim's beside it; then on words it never saw."""
    from gensim.models import FastText as GensimFastText

    sentences = split_sentences(shakespeare().text)
    config = FastTextConfig()
    model, seconds = timed(lambda: FastText.train(sentences, config))
    theirs, gensim_seconds = timed(
        lambda: GensimFastText(
            sentences,
            sg=1,
            workers=1,
            seed=1,
            bucket=config.n_buckets,
            min_n=config.min_n,
            max_n=config.max_n,
            **dict(SETTINGS.values()),
        )
    )
    asked = {
        word.lower()
        for file in TESTS.values()
        for a, b, _ in read_pairs(fetch("word-relations") / file)
        for word in (a, b)
    }
    unseen = sorted(asked - set(model.vocabulary.words))
    return {
        "config": config.to_dict(),
        "losses": [round(loss, 5) for loss in model.losses],
        "nearest to king": model.vectors().nearest("king", 5),
        "nearest to kinglike": model.vectors().nearest(model.vector("kinglike"), 5),
        **similarity(model.vectors()),
        **seconds,
        "gensim": {
            **similarity(WordVectors(theirs.wv.index_to_key, theirs.wv.vectors)),
            **gensim_seconds,
        },
        "unseen words": len(unseen),
        "with unseen words": similarity(
            model.vectors_of([*model.vocabulary.words, *unseen])
        ),
    }


def bench_published() -> dict:
    """The 400,000 GloVe vectors: similarity, all analogies, bias."""
    table, seconds = timed(lambda: WordVectors.load_glove(fetch("glove")))
    sections = read_analogies(fetch("word-relations") / "questions-words.txt")
    results, analogy_seconds = timed(lambda: evaluate_analogies(table, sections))
    n_right = sum(result.n_right for result in results.values())
    n_asked = sum(result.n_asked for result in results.values())
    groups = {
        name: [find_word(table, word) for word in words.split()]
        for name, words in {
            "male names": MALE_NAMES,
            "female names": FEMALE_NAMES,
            "career": CAREER,
            "family": FAMILY,
            "maths": MATHS,
            "arts": ARTS,
            "male": MALE,
            "female": FEMALE,
            "occupations": OCCUPATIONS,
        }.items()
    }
    missing = [name for name, words in groups.items() if None in words]
    if missing:
        raise SystemExit(f"words without a vector in {missing}")
    leaning = association_per_word(
        table, groups["occupations"], groups["female"], groups["male"]
    )
    return {
        "vectors": "glove.6B.50d, 400,000 words",
        "load": seconds,
        **similarity(table),
        "analogies": {
            "rule": "3CosAdd over all 400,000 words, a, b and c left out",
            "right": n_right,
            "asked": n_asked,
            "of": sum(result.n_total for result in results.values()),
            "accuracy": round(n_right / n_asked, 4),
            **analogy_seconds,
            "sections": {
                name: {
                    "right": result.n_right,
                    "asked": result.n_asked,
                    "accuracy": round(result.accuracy, 4),
                }
                for name, result in results.items()
            },
        },
        "bias": {
            "reference": "Caliskan, Bryson & Narayanan (2017): lists and effect sizes",
            "WEAT 6, names and career or family": effect(
                table, groups, "male names", "female names", "career", "family"
            ),
            "WEAT 7, maths or arts and gender": effect(
                table, groups, "maths", "arts", "male", "female"
            ),
            "occupations, towards female above 0": {
                word: round(float(value), 3)
                for word, value in zip(groups["occupations"], leaning, strict=True)
            },
        },
        "nearest to king": table.nearest("king", 5),
        "man : king = woman : ?": table.analogy("man", "king", "woman", 5),
    }


def effect(table: WordVectors, groups: dict, x: str, y: str, a: str, b: str) -> dict:
    d = association_test(table, groups[x], groups[y], groups[a], groups[b])
    return {"x": x, "y": y, "a": a, "b": b, "effect_size": round(d, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "part", choices=("skipgram", "cbow", "glove", "fasttext", "published")
    )
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    command = f"python benchmarks/bench_word_vectors.py {args.part}"
    if args.part in ("skipgram", "cbow"):
        command += f" --seeds {args.seeds}"
        measured = bench_word2vec(args.part, args.seeds)
    else:
        parts = {
            "glove": bench_glove,
            "fasttext": bench_fasttext,
            "published": bench_published,
        }
        measured = parts[args.part]()
    write_section(args.part, command, measured)


if __name__ == "__main__":
    main()
