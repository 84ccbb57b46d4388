"""Are as many anomalies false as the alarm budget says, and are true ones found? One JSON line.

`python -m benchmarks.quality_budget [--seeds N]`. For each seed a fleet of 2,000 series of all
ordinary kinds lives through a fortnight in which nothing goes wrong; what opens after the first
three days is false. Then 800 series live through eight days with incidents of several sizes and
rates, which last twenty minutes each: how far the level moved from where it is without them, and
what share of the struck series opened an anomaly in time on the last two days. Weekly series are
measured apart: a first weekend nobody can know, so their figure is no promise.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aiops.evaluate.alarm_rate import (
    Incident,
    Measured,
    disturbed,
    found_share,
    measure,
    plan_incidents,
)
from aiops.evaluate.null_fleet import NullFleet
from benchmarks.harness import describe_machine

BUDGETS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
N_SERIES, N_DAYS, WARM_DAYS = 2000, 14, 3

STRUCK_SERIES, STRUCK_DAYS, STRUCK_BUDGETS = 800, 8, (1.0, 3.0, 10.0)
INCIDENTS = ((3, 1), (30, 1), (8, 3), (8, 10), (5, 160))
"""Incidents a day, and series that each strikes."""


@dataclass(frozen=True, slots=True)
class Fortnight:
    """What a fleet without faults opened a day, by budget: after the warm days, and in them."""

    seed: int
    false_per_day: list[float]
    first_days: list[float]
    levels: list[float]
    cpu_s: float


def null_fortnight(seed: int) -> Fortnight:
    """Return what each budget led to in a fleet in which nothing goes wrong."""
    fleet = NullFleet(seed, N_SERIES)
    started_s = time.process_time()
    measured = measure(fleet.batches(N_DAYS), N_SERIES, BUDGETS)
    cpu_s = time.process_time() - started_s
    return Fortnight(
        seed,
        false_per_day=[round(m.per_day(WARM_DAYS), 2) for m in measured],
        first_days=[round(sum(m.daily()[:WARM_DAYS]) / WARM_DAYS, 2) for m in measured],
        levels=[round(m.levels[-1], 2) for m in measured],
        cpu_s=round(cpu_s, 1),
    )


def weekly(seed: int) -> list[float]:
    """Return false anomalies a day of a fleet of weekly series alone."""
    measured = measure(NullFleet(seed, 200, ("weekly",)).batches(N_DAYS), 200, BUDGETS)
    return [round(m.per_day(WARM_DAYS), 2) for m in measured]


def struck(seed: int) -> list[dict[str, object]]:
    """Return what incidents of each size and rate did to the level, and how many were found."""
    calm = [m.levels[-1] for m in _week(seed, per_day=0, n_struck=0)[0]]
    rows: list[dict[str, object]] = []
    for per_day, n_struck in INCIDENTS:
        measured, incidents = _week(seed, per_day=per_day, n_struck=n_struck)
        rows += [
            {
                "per_day": per_day,
                "series": n_struck,
                "budget": m.false_per_day,
                "level_moved": round(m.levels[-1] - level, 2),
                "found": round(found_share(m, incidents, STRUCK_DAYS - 2), 3),
            }
            for m, level in zip(measured, calm, strict=True)
        ]
    return rows


def _week(seed: int, *, per_day: int, n_struck: int) -> tuple[list[Measured], list[Incident]]:
    incidents = plan_incidents(
        seed,
        STRUCK_SERIES,
        n_days=STRUCK_DAYS,
        per_day=per_day,
        share=n_struck / STRUCK_SERIES,
    )
    batches = disturbed(
        NullFleet(seed, STRUCK_SERIES).batches(STRUCK_DAYS), incidents, STRUCK_SERIES
    )
    return measure(batches, STRUCK_SERIES, STRUCK_BUDGETS), incidents


def main() -> int:
    """Measure and print the record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, default=3, help="fleets to simulate")
    seeds = range(1, 1 + parser.parse_args().seeds)
    fleets = [null_fortnight(seed) for seed in seeds]
    ratios = [
        round(median(fleet.false_per_day[k] for fleet in fleets) / budget, 2)
        for k, budget in enumerate(BUDGETS)
    ]
    record = {
        "benchmark": "quality_budget",
        "budgets": BUDGETS,
        "median_ratio": ratios,
        "fleets": [asdict(fleet) for fleet in fleets],
        "weekly_200_series": weekly(1),
        "incidents": struck(1),
    }
    print(json.dumps(record | describe_machine()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
