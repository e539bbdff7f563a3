"""The table of benchmarks: made from its figures, and falls are told from noise."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    pytest.importorskip("transformers")
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import bench
    finally:
        sys.path.pop(0)
    return bench


@pytest.fixture(scope="module")
def record() -> dict:
    return json.loads((RESULTS / "bench.json").read_text(encoding="utf-8"))


def test_the_page_is_made_from_the_figures(bench: ModuleType, record: dict) -> None:
    assert (RESULTS / "bench.md").read_text(encoding="utf-8") == bench.page(record)


def test_every_pair_is_measured_with_all_its_runners(
    bench: ModuleType, record: dict
) -> None:
    measured = {name: set(row["runners"]) for name, row in record["measured"].items()}
    assert measured == {name: set(pair.runners) for name, pair in bench.PAIRS.items()}


@pytest.mark.parametrize(
    ("ratio", "told"), [(0.5, True), (0.79, True), (0.81, False), (2.0, False)]
)
def test_a_fall_by_over_a_fifth_is_told(
    bench: ModuleType, ratio: float, told: bool
) -> None:
    def table(value: float) -> dict:
        return {
            "LSTM": {"runners": {"lmcore": {"ratio": value}, "torch": {"ratio": 9}}}
        }

    found = bench.falls(table(1.0), table(ratio))
    assert found == ([f"LSTM, lmcore: 1.0 -> {ratio}"] if told else [])


def test_a_ratio_belongs_to_one_round(bench: ModuleType) -> None:
    from side_by_side import Pair, measure

    pair = Pair(
        "adding numbers",
        {"lmcore": lambda: lambda: sum(range(2_000)), "peer": lambda: slow_sum},
        lambda results: None,
        calls=20,
    )
    assert pair.peer == "peer"
    found = measure(pair, rounds=3)
    assert found["peer"]["ratio"] == 1.0
    low, high = found["lmcore"]["ratio_spread"]
    assert 1 < low <= found["lmcore"]["ratio"] <= high


def slow_sum() -> int:
    return sum(range(60_000))
