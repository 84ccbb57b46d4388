"""How well does the seasonal bank detect, and how often does it cry wolf? One JSON line.

`python -m benchmarks.quality_detection [--data DIR] [--baselines]`. DIR (default: the variable
AIOPS_DATA, else `../shared/data`) holds `detection/` with labelled sets, as `aiops evaluate` reads
them; how each is judged stands in `aiops.evaluate.quality`. Severity and alert have a record
each, and so has every rival with `--baselines`. Without the data only the null fleet is measured,
which is simulated here.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aiops.config import DetectConfig
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.episodes import Episodes
from aiops.domain.anomaly import AnomalyChange
from aiops.evaluate.contenders import our_detector, rivals
from aiops.evaluate.datasets import DatasetError, load_set, set_names
from aiops.evaluate.quality import measure
from benchmarks.harness import describe_machine

F64 = np.ndarray[Any, np.dtype[np.float64]]
Generator = Callable[[np.random.Generator, int], F64]

SEED = 1
START_MS = 1_700_000_000_000
NULL_STEPS_S = (1, 15, 60)
NULL_ROWS = 20_000
NULL_SERIES = 10  # of each kind and step
DAY_S = 86_400


def autoregressive(rng: np.random.Generator, n: int, memory: float) -> F64:
    """Return n values of unit variance whose correlation falls by `memory` a sample."""
    noise = rng.normal(size=n) * np.sqrt(1 - memory**2)
    values = np.empty(n)
    last = 0.0
    for i in range(n):
        last = memory * last + noise[i]
        values[i] = last
    return values


NULLS: dict[str, Generator] = {
    "stable": lambda rng, n: rng.normal(10, 1, n),
    "constant": lambda _rng, n: np.full(n, 7.0),
    "sparse": lambda rng, n: (rng.random(n) < 0.01) * rng.exponential(5, n),
    "rare": lambda rng, n: (rng.random(n) < 0.001) * 1.0,
    "low_counts": lambda rng, n: rng.poisson(0.3, n).astype(float),
    "counts": lambda rng, n: rng.poisson(20, n).astype(float),
    "lognormal": lambda rng, n: np.exp(rng.normal(size=n)),
    "student_t2": lambda rng, n: rng.standard_t(2, n),
    "autocorrelated_0.7": lambda rng, n: autoregressive(rng, n, 0.7),
    "autocorrelated_0.99": lambda rng, n: autoregressive(rng, n, 0.99),
    "heavy_autocorrelated": lambda rng, n: np.exp(autoregressive(rng, n, 0.9)),
    "random_walk": lambda rng, n: np.cumsum(rng.normal(size=n)),
    "ramp": lambda rng, n: 0.1 * np.arange(n) + rng.normal(size=n),
    "daily": lambda rng, n: 10 + 5 * np.sin(np.arange(n) * 2 * np.pi / 1440) + rng.normal(size=n),
}


def score(values: F64, ts_ms: F64) -> ScoreColumns:
    """Return the verdicts of a fresh bank on one series."""
    n = len(values)
    out = ScoreColumns.allocate(n)
    features = np.ascontiguousarray(values, float)
    SeasonalBank(DetectConfig(), 1).score_learn(
        np.zeros(n, np.int32), np.asarray(ts_ms, np.int64), features, out
    )
    return out


def count_opened(out: ScoreColumns, ts_ms: F64) -> int:
    """Return how many episodes the default thresholds open."""
    n = out.capacity
    events = Episodes(DetectConfig(), 1, SeasonalBank.name).step(
        np.zeros(n, np.int32), ts_ms, out.features, out, np.zeros(n, np.uint8)
    )
    return sum(event.change is AnomalyChange.OPENED for event in events)


def null_fleet() -> dict[str, object]:
    """Return false anomalies a series and day, and false-alarm ratios, of series without faults."""
    kinds: dict[str, float] = {}
    n_opened, days, judged = 0, 0.0, []
    for name, generate in NULLS.items():
        kind_opened, kind_days = 0, 0.0
        for step_s in NULL_STEPS_S:
            ts_ms = START_MS + 1000 * step_s * np.arange(NULL_ROWS)
            for series in range(NULL_SERIES):
                values = generate(np.random.default_rng([SEED, series]), NULL_ROWS)
                out = score(values, ts_ms)
                judged.append(out.scores[np.isfinite(out.expected)])
                kind_opened += count_opened(out, ts_ms)
                kind_days += NULL_ROWS * step_s / DAY_S
        kinds[name] = round(kind_opened / kind_days, 4)
        n_opened, days = n_opened + kind_opened, days + kind_days
    scores = np.concatenate(judged)
    return {
        "false_anomalies": n_opened,
        "series_days": round(days, 1),
        "rows": len(scores),
        "false_anomalies_per_series_day": round(n_opened / days, 4),
        "false_anomalies_per_series_day_by_kind": kinds,
        "ratio_at_1e-3": round(float((scores >= 3).mean() / 1e-3), 2),
        "ratio_at_1e-4": round(float((scores >= 4).mean() / 1e-4), 2),
    }


def public_sets(data: Path, *, has_rivals: bool) -> list[dict[str, object]]:
    """Return the figures of severity, of alert, and of each rival if asked for."""
    datasets = [load_set(data, name) for name in set_names(data)]
    contenders = (our_detector(), *(rivals() if has_rivals else ()))
    return [row.as_record() for each in contenders for row in measure(each, datasets)]


def main() -> int:
    """Measure and print the record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    default = os.environ.get("AIOPS_DATA") or Path(__file__).resolve().parents[2] / "shared/data"
    parser.add_argument("--data", type=Path, default=Path(default), help="folder with detection/")
    parser.add_argument("--baselines", action="store_true", help="measure rivals as well")
    options = parser.parse_args()
    record: dict[str, object] = {"benchmark": "quality_detection", "seed": SEED}
    try:
        record["public"] = public_sets(options.data, has_rivals=options.baselines)
    except DatasetError as error:
        print(f"{error}. Measuring the null fleet alone.", file=sys.stderr)
    record["null"] = null_fleet()
    print(json.dumps(record | describe_machine()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
