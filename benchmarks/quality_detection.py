"""How well does the seasonal bank detect, and how often does it cry wolf? One JSON line.

`python -m benchmarks.quality_detection [--data DIR]`. DIR (default: the variable AIOPS_DATA, else
`../shared/data`) holds `detection/` with the development halves of public sets and their loaders
and scorers: NAB, and KPI of the AIOps Challenge 2018. The bank runs causally, each series once
from its first sample, with its defaults; one threshold serves a whole set. Without the data only
the null fleet is measured, which is simulated here.

NAB is scored on the onset: the score less 0.8 of its largest predecessor, which fades within half
a day, because NAB counts a lasting disturbance as one page. The threshold is NAB's own
optimum over the corpus. KPI counts each labelled segment once, hit within 7 rows of its start;
the threshold is chosen on first halves and applied to second halves. Point-adjusted F1 is not
reported: random scores do well at it (arXiv 2109.05257).
"""

import argparse
import importlib
import json
import os
import sys
import time
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
from benchmarks.harness import describe_machine

F64 = np.ndarray[Any, np.dtype[np.float64]]
Generator = Callable[[np.random.Generator, int], F64]

SEED = 1
START_MS = 1_700_000_000_000
ONSET_SHARE = 0.8  # of the prototype's onset damping, not tuned
ONSET_SPAN_S = 43_200.0
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


def onset(scores: F64, step_s: float) -> F64:
    """Return by how much each score exceeds what is left of the largest one before it."""
    fade = np.exp(-step_s / max(ONSET_SPAN_S, 20 * step_s))
    left = 0.0
    onsets = np.empty(len(scores))
    for i, value in enumerate(scores.tolist()):
        onsets[i] = max(value - ONSET_SHARE * left, 0.0)
        left = max(left * fade, value)
    return onsets


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


def public_sets(folder: Path) -> dict[str, object]:
    """Return the scores on the development halves, and the cost a sample."""
    sys.path.insert(0, str(folder))  # by their own names: Numba's cache of the scorers needs them
    load, metrics, nab = map(importlib.import_module, ("load", "metrics", "score_nab"))
    cpu_s, n_rows = 0.0, 0
    scored: dict[str, tuple[list[Any], list[F64]]] = {}
    for name in ("kpi_prelim_dev", "nab_dev"):
        series = load.univariate(name)
        columns = []
        for each in series:
            before_s = time.process_time()
            columns.append(score(each.x, each.ts * 1000).scores)
            cpu_s += time.process_time() - before_s
            n_rows += len(each.x)
        scored[name] = series, columns
    series, columns = scored["kpi_prelim_dev"]
    labels = [each.y for each in series]
    event = metrics.kpi_event_f1(columns, labels)
    series, nab_columns = scored["nab_dev"]
    onsets = [
        onset(scores, float(np.median(np.diff(each.ts))))
        for each, scores in zip(series, nab_columns, strict=True)
    ]
    files = [(len(each.x), each.windows) for each in series]
    return {
        "kpi_event_f1": round(event["f1"], 4),
        "kpi_event_precision": round(event["precision"], 4),
        "kpi_event_recall": round(event["recall"], 4),
        "kpi_event_threshold": round(event["thr"], 3),
        "kpi_row_f1": round(metrics.kpi_delay_f1(columns, labels)["f1"], 4),
        "nab_standard_onset": round(nab.score_corpus(onsets, files)["score"], 2),
        "nab_standard_raw": round(nab.score_corpus(nab_columns, files)["score"], 2),
        "rows": n_rows,
        "cpu_us_per_sample": round(cpu_s / n_rows * 1e6, 4),
    }


def main() -> int:
    """Measure and print the record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    default = os.environ.get("AIOPS_DATA") or Path(__file__).resolve().parents[2] / "shared/data"
    parser.add_argument("--data", type=Path, default=Path(default), help="folder with detection/")
    folder = parser.parse_args().data / "detection"
    record: dict[str, object] = {"benchmark": "quality_detection", "seed": SEED}
    needed = ("load.py", "metrics.py", "score_nab.py", "kpi_prelim_dev.npz", "nab_dev.npz")
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        print(
            f"no public sets: {folder} lacks {', '.join(missing)}; name the folder that holds "
            "detection/ by --data or AIOPS_DATA. Measuring the null fleet alone.",
            file=sys.stderr,
        )
    else:
        record["public"] = public_sets(folder)
    record["null"] = null_fleet()
    print(json.dumps(record | describe_machine()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
