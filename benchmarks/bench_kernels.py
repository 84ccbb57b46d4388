"""What does each kernel cost per row? One JSON line a kernel, CPU time of this process.

`python -m benchmarks.bench_kernels [--slots N] [--only NAME]`. A kernel joins the table `CASES`
with one function that sets its data up and returns the call to be timed. The first call warms up
and is checked; the median of `REPEATS` is reported.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aiops.config import DetectConfig
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.episodes import Episodes
from aiops.detect.kernels.seasonal import k_tail_learn, k_tail_score
from benchmarks.harness import describe_machine, median, spread

REPEATS = 7
SEED = 1
START_MS = 1_700_000_000_000
WARM_ROUNDS = 70  # past the warm-up of 60 samples, so that every row is judged


@dataclass(frozen=True, slots=True)
class Case:
    """A call that handles `n_rows` rows, and a check of what it did."""

    n_rows: int
    call: Callable[[], object]
    check: Callable[[], bool]


class Fleet:
    """A warmed-up fleet of noisy series; each round is one sample of every slot."""

    def __init__(self, n_slots: int) -> None:
        rng = np.random.default_rng(SEED)
        config = DetectConfig()
        self.bank = SeasonalBank(config, n_slots)
        self.episodes = Episodes(config, n_slots, SeasonalBank.name)
        self.out = ScoreColumns.allocate(n_slots)
        self.in_anomaly = np.zeros(n_slots, np.uint8)
        self.slots = np.arange(n_slots, dtype=np.int32)
        self._values = rng.normal(10.0, 1.0, (16, n_slots))
        self._round = 0
        for _ in range(WARM_ROUNDS):
            self.score_learn()

    def score_learn(self) -> None:
        self._round += 1
        features = self._values[self._round % len(self._values)]
        ts_ms = np.full(len(self.slots), START_MS + 15_000 * self._round)
        self.bank.score_learn(self.slots, ts_ms, features, self.out)

    def step(self) -> None:
        ts_ms = np.full(len(self.slots), START_MS + 15_000 * self._round)
        features = self.out.features
        self.episodes.step(self.slots, ts_ms, features, self.out, self.in_anomaly)

    def is_judged(self) -> bool:
        return bool(np.isfinite(self.out.expected).all() and (self.out.scores < 3).mean() > 0.99)


def seasonal_score(n_slots: int) -> Case:
    """k_seasonal_score: one sample of every slot, in slot order."""
    fleet = Fleet(n_slots)
    return Case(n_slots, fleet.score_learn, fleet.is_judged)


def seasonal_score_shuffled(n_slots: int) -> Case:
    """k_seasonal_score: the same in random order, so that every row misses the caches."""
    fleet = Fleet(n_slots)
    fleet.slots = np.random.default_rng(SEED).permutation(fleet.slots)
    return Case(n_slots, fleet.score_learn, fleet.is_judged)


def episodes_step(n_slots: int) -> Case:
    """k_episodes_step: one verdict of every slot, nearly all quiet."""
    fleet = Fleet(n_slots)
    return Case(n_slots, fleet.step, lambda: fleet.episodes.open_now < n_slots / 100)


def score_and_step(n_slots: int) -> Case:
    """k_seasonal_score and k_episodes_step, as the pipeline runs them."""
    fleet = Fleet(n_slots)

    def call() -> None:
        fleet.score_learn()
        fleet.step()

    return Case(n_slots, call, fleet.is_judged)


def tail_calls(_n_slots: int) -> Case:
    """k_tail_score and k_tail_learn called from Python, as the River bank does."""
    units = np.abs(np.random.default_rng(SEED).normal(size=20_000)).tolist()
    row = np.array([2.5, 1.0, 2.0])

    def call() -> None:
        for n, unit in enumerate(units):
            k_tail_score(row, 0, unit)
            k_tail_learn(row, 0, unit, n + 1.0)

    return Case(len(units), call, lambda: math.isfinite(k_tail_score(row, 0, 10.0)))


CASES: tuple[tuple[str, Callable[[int], Case]], ...] = (
    ("k_seasonal_score", seasonal_score),
    ("k_seasonal_score, shuffled", seasonal_score_shuffled),
    ("k_episodes_step", episodes_step),
    ("k_seasonal_score + k_episodes_step", score_and_step),
    ("k_tail_score + k_tail_learn", tail_calls),
)


def measure(name: str, setup: Callable[[int], Case], n_slots: int) -> dict[str, object]:
    """Return the record of one case."""
    case = setup(n_slots)
    case.call()
    if not case.check():
        raise SystemExit(f"{name}: the result is wrong, so its cost means nothing")
    cpu, wall = [], []
    for _ in range(REPEATS):
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        case.call()
        cpu.append((time.process_time() - cpu_s) / case.n_rows * 1e9)
        wall.append((time.perf_counter() - wall_s) / case.n_rows * 1e9)
    return {
        "benchmark": "kernels",
        "kernel": name,
        "slots": n_slots,
        "rows": case.n_rows,
        "seed": SEED,
        "repeats": REPEATS,
        "cpu_ns_per_row": round(median(cpu), 1),
        "cpu_ns_per_row_range": [round(value, 1) for value in spread(cpu)],
        "wall_ns_per_row": round(median(wall), 1),
    }


def main() -> None:
    """Measure the kernels and print their records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=200_000, help="series in the fleet")
    parser.add_argument("--only", default="", help="measure cases whose name contains this")
    options = parser.parse_args()
    machine = describe_machine()
    for name, setup in CASES:
        if options.only in name:
            print(json.dumps(measure(name, setup, options.slots) | machine), flush=True)


if __name__ == "__main__":
    main()
