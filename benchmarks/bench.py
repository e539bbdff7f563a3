"""lmcore beside the libraries that a reader would use instead: the whole table.

    python run.py bench                      all of it, about 13 minutes of one core
    python benchmarks/bench.py --only LSTM   some pairs, without writing anything

Writes results/bench.json and results/bench.md, and says which ratios fell by more than
a fifth against the table that was there. Each pair runs in a process of its own, its
runners in turn (``side_by_side``); peak memory is that of a fresh process in which one
runner alone works twice. The column "AVX2" is the same once more with
ONEDNN_MAX_CPU_ISA=AVX2 (and the like for torch's own and MKL's kernels): what a machine
without AVX-512 and AMX would show.
"""

import argparse
import json
import os
import subprocess
import sys
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from pairs import PAIRS
from side_by_side import measure, own_peak_mib

from lmcore.course.notebooks import describe_machine

RESULTS = Path(__file__).parents[1] / "results"
PATH = RESULTS / "bench.json"
LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "tiktoken",
    "nltk",
    "gensim",
)
AVX2 = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
WITHOUT_TORCH = {"BPE training", "BPE encoding", "WordPiece encoding", "Skip-gram"}
WITHOUT_TORCH |= {"n-gram counts", "n-gram scores"}
FALL = 0.2  # a smaller change of a ratio is the machine's noise


def child(environment: dict[str, str], *arguments: str) -> object:
    """What this script prints as its last line in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def measure_all(names: list[str], rounds: int) -> dict[str, dict]:
    """Every pair: time, ratio, memory, and the ratio without AVX-512."""
    measured = {}
    for name in names:
        runners = child({}, "--pair", name, "--rounds", str(rounds))
        for runner, row in runners.items():
            row["peak_mib"] = round(child({}, "--pair", name, "--memory", runner))
        if name not in WITHOUT_TORCH:
            again = child(AVX2, "--pair", name, "--rounds", str(rounds))
            for runner, row in again.items():
                runners[runner]["avx2"] = row
        measured[name] = {"what": PAIRS[name].what, "runners": runners}
        print(table({name: measured[name]}), flush=True)
    return measured


def table(measured: dict[str, dict]) -> str:
    """The figures as a table in Markdown."""
    lines = []
    for name, pair in measured.items():
        for runner, row in pair["runners"].items():
            low, high = row["ratio_spread"]
            ratio = f"{row['ratio']:.2f} ({low:.2f}–{high:.2f})"
            avx2 = f"{row['avx2']['ratio']:.2f}" if "avx2" in row else "–"
            if low == high == 1:  # the one that the others are compared with
                ratio, avx2 = "1", "1" if "avx2" in row else "–"
            cells = (name, runner, f"{row['seconds'] * 1000:,.4g}", ratio, avx2)
            lines.append(f"| {' | '.join(cells)} | {row['peak_mib']:,} |")
            name = ""
    return "\n".join(lines)


def falls(before: dict[str, dict], now: dict[str, dict]) -> list[str]:
    """Where lmcore's ratio fell by more than a fifth."""
    found = []
    for name in before.keys() & now.keys():
        for runner, row in now[name]["runners"].items():
            old = before[name]["runners"].get(runner)
            ours = runner.startswith("lmcore")
            if ours and old and row["ratio"] < (1 - FALL) * old["ratio"]:
                found.append(f"{name}, {runner}: {old['ratio']} -> {row['ratio']}")
    return sorted(found)


def page(record: dict) -> str:
    """results/bench.md: the table, and how it came about."""
    versions = ", ".join(f"{n} {v}" for n, v in record["versions"].items())
    load = record["load_before"][0]
    works = "\n".join(f"- {n}: {p['what']}" for n, p in record["measured"].items())
    return f"""# lmcore beside other libraries

Made by `{record["command"]}` on {record["date"]}: {record["machine"]}; {versions}.

One thread, processor time, medians of {record["rounds"]} rounds in one process, in
which the runners take turns; the machine's load was {load} when it began. Ratio: the
other library's time / this runner's, with the smallest and largest of the rounds; above
1 this runner is faster. AVX2: the ratio with ONEDNN_MAX_CPU_ISA=AVX2 and torch's and
MKL's kernels limited alike. MiB: the peak memory of a fresh process.

| work | runner | ms | ratio | AVX2 | MiB |
|---|---|---:|---:|---:|---:|
{table(record["measured"])}

{works}

No accelerator was at hand when this table was made, so it has no column for one;
`tests/gpu` and these benchmarks take one where there is.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PAIRS, default=[])
    parser.add_argument("--pair", choices=PAIRS, help=argparse.SUPPRESS)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.memory:
        work = PAIRS[args.pair].runners[args.memory]()
        work(), work()
        print(json.dumps(own_peak_mib()))
        return
    if args.pair:
        print(json.dumps(measure(PAIRS[args.pair], args.rounds)))
        return
    measured = measure_all(args.only or list(PAIRS), args.rounds)
    before = json.loads(PATH.read_text("utf-8"))["measured"] if PATH.exists() else {}
    fallen = falls(before, measured)
    if not args.only:
        record = {
            "command": f"python benchmarks/bench.py --rounds {args.rounds}",
            "date": date.today().isoformat(),
            "machine": describe_machine(),
            "clock": "processor seconds, one thread",
            "rounds": args.rounds,
            "load_before": [round(x, 1) for x in os.getloadavg()],
            "versions": {name: find_version(name) for name in LIBRARIES},
            "measured": measured,
        }
        PATH.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "bench.md").write_text(page(record), encoding="utf-8")
    print("\n".join(["ratios that fell by over 20 %:", *fallen] if fallen else []))


def find_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main()
