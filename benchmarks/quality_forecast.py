"""Do intervals of forecasts hold as much as they say? One JSON line a set and horizon.

`python -m benchmarks.quality_forecast [--data DIR] [--series N] [--rows N]`. Simulated series come
first; DIR (default: the variable AIOPS_DATA, else `../shared/data`) holds `detection/` with public
sets, of which the first N rows of the first N series each are taken; what is labelled as anomalous
counts like everything else. How it is measured stands in `aiops.evaluate.forecasts`.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aiops.domain.samples import F64, I64
from aiops.evaluate.datasets import DatasetError, load_set, set_names
from aiops.evaluate.forecasts import MINUTES, Coverage, coverage
from benchmarks.harness import describe_machine
from benchmarks.quality_detection import autoregressive

SEED = 1
START_MS = 1_700_006_400_000
STEP_MS = 60_000
ROWS = 5 * 1440
SERIES = 6


def saw_tooth(rng: np.random.Generator, n: int) -> F64:
    """Return a disk that fills unevenly and is cleaned up at a tenth of its room."""
    values, left = np.empty(n), 100.0
    for i in range(n):
        left -= 0.1 * rng.gamma(1.0)
        if left < 10.0:
            left = 90.0
        values[i] = left
    return values


SIMULATED: dict[str, Callable[[np.random.Generator, int], F64]] = {
    "stable": lambda rng, n: rng.normal(10, 1, n),
    "autocorrelated_0.9": lambda rng, n: autoregressive(rng, n, 0.9),
    "autocorrelated_0.99": lambda rng, n: autoregressive(rng, n, 0.99),
    "random_walk": lambda rng, n: np.cumsum(rng.normal(size=n)),
    "trend": lambda rng, n: 1e6 - 30.0 * np.arange(n) + rng.normal(0, 100, n),
    "daily": lambda rng, n: 10 + 5 * np.sin(np.arange(n) * 2 * np.pi / 1440) + rng.normal(size=n),
    "saw_tooth": saw_tooth,
}


def simulated(n_series: int) -> Iterator[tuple[str, list[tuple[I64, F64]]]]:
    """Yield each kind of simulated series."""
    ts_ms: I64 = START_MS + STEP_MS * np.arange(ROWS)
    for name, make in SIMULATED.items():
        rng = np.random.default_rng(SEED)
        yield name, [(ts_ms, make(rng, ROWS)) for _ in range(n_series)]


def public(data: Path, n_series: int, n_rows: int) -> Iterator[tuple[str, list[tuple[I64, F64]]]]:
    """Yield the public sets in a folder, each cut to a few rows of a few series."""
    for name in set_names(data):
        dataset = load_set(data, name)
        series = [(one.ts_ms[:n_rows], one.values[:n_rows]) for one in dataset.series[:n_series]]
        for machine in dataset.machines[:n_series]:
            columns = machine.values[:n_rows].T[:: max(machine.values.shape[1] // 2, 1)]
            series += [(machine.ts_ms[:n_rows], np.ascontiguousarray(c)) for c in columns]
        yield name, series


def records(name: str, series: list[tuple[I64, F64]], is_watched: bool) -> Iterator[object]:
    """Yield a record a horizon, the median over the series of a set."""
    every = [coverage(ts_ms, values, is_watched=is_watched) for ts_ms, values in series]
    for h, minutes in enumerate(MINUTES):
        found: list[Coverage] = [each[h] for each in every if each[h].n_forecasts >= 10]
        if not found:
            continue
        held = np.array([each.held_ratio for each in found])
        gain = [each.error / each.naive_error for each in found if each.naive_error > 0]
        yield {
            "benchmark": "quality_forecast",
            "set": name,
            "watched": is_watched,
            "horizon_min": minutes,
            "series": len(found),
            "held_mean": [round(float(x), 3) for x in held.mean(axis=0)],
            "held_80_range": [round(float(x), 3) for x in np.quantile(held[:, 1], (0.1, 0.9))],
            "error_to_newest_median": round(float(np.median(gain)), 3) if gain else None,
        }


def main() -> int:
    """Measure and print; 0 when done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--series", type=int, default=SERIES)
    parser.add_argument("--rows", type=int, default=ROWS)
    options = parser.parse_args()
    data = options.data or Path(os.environ.get("AIOPS_DATA", "../shared/data"))
    sets = [*simulated(options.series)]
    try:
        sets += public(data, options.series, options.rows)
    except DatasetError as error:
        print(f"public sets left out: {error}", file=sys.stderr)
    print(json.dumps({"machine": describe_machine(), "seed": SEED}))
    for name, series in sets:
        for is_watched in (True, False):
            for record in records(name, series, is_watched):
                print(json.dumps(record), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
