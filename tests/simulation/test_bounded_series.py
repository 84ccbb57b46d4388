"""Series that cannot leave 0..1, on 14 simulated days: what is told of them, and what is found."""

from functools import cache

import numpy as np
import pytest

from aiops.config import Config
from aiops.dataplane import DataPlane
from aiops.domain.anomaly import AnomalyChange
from aiops.domain.labels import label_value, labels_from
from aiops.domain.samples import F64, SampleBatch
from aiops.wire.labels import encode_labels
from tests.simulation.bounded_fleet import KINDS, MINUTES_PER_DAY

N_DAYS, N_SERIES = 14, 10
T0_MS = 1_699_920_000_000
MINUTES_PER_BATCH = 10
FAULT_MINUTES = 5
FOUND_WITHIN = 8
"""Minutes from the start of a fault to an onset that counts: it lasts five, three open."""

NAMES = [kind for kind in KINDS for _ in range(N_SERIES)]

Opening = tuple[int, int]
"""Series and minute of onset."""


def values_of(seed: int) -> F64:
    rng = np.random.default_rng(seed)
    n_minutes = N_DAYS * MINUTES_PER_DAY
    return np.concatenate([kind(rng, n_minutes, N_SERIES) for kind in KINDS.values()], axis=1)


def fault_starts(seed: int) -> list[int]:
    """Return a minute of the last four days for each series."""
    minutes = np.random.default_rng(seed + 1).integers(0, 4 * MINUTES_PER_DAY - 60, len(NAMES))
    return (10 * MINUTES_PER_DAY + minutes).tolist()


def openings(values: F64) -> list[Opening]:
    config = {"detect": {"absence": {"enabled": False}, "group": {"by": []}}}
    data = DataPlane(Config.model_validate(config))
    fingerprints = tuple(range(1, len(NAMES) + 1))
    labels = [labels_from({"__name__": name, "n": str(n)}) for n, name in enumerate(NAMES)]
    blocks = tuple(encode_labels(own) for own in labels)
    found = []
    for first in range(0, len(values), MINUTES_PER_BATCH):
        part = values[first : first + MINUTES_PER_BATCH]
        ts_ms = T0_MS + 60_000 * np.repeat(np.arange(first, first + len(part)), len(NAMES))
        columns = (np.tile(np.array(fingerprints, np.uint64), len(part)), ts_ms, part.ravel())
        new = (fingerprints, blocks) if first == 0 else ()
        for event in data.take(SampleBatch(*columns, *new), int(ts_ms[-1])).events:
            if event.change is AnomalyChange.OPENED:
                minute = (event.anomaly.onset_ms - T0_MS) // 60_000
                found.append((int(label_value(event.anomaly.labels, "n")), minute))
    return found


@cache
def quiet_openings(seed: int) -> tuple[Opening, ...]:
    return tuple(openings(values_of(seed)))


@cache
def found_of(level: float, seed: int = 1) -> dict[str, int]:
    """Return of how many series of each kind five minutes at a level were found."""
    values, starts = values_of(seed), fault_starts(seed)
    for series, start in enumerate(starts):
        values[start : start + FAULT_MINUTES, series] = level
    told = openings(values)
    found = dict.fromkeys(KINDS, 0)
    for series, start in enumerate(starts):
        found[NAMES[series]] += any(
            own == series and start <= minute < start + FOUND_WITHIN for own, minute in told
        )
    return found


def per_day(kind: str, seed: int, first_day: int) -> float:
    """Return the anomalies a series and day of a kind from a day on, without any fault."""
    told = quiet_openings(seed)
    n = sum(NAMES[own] == kind and minute >= first_day * MINUTES_PER_DAY for own, minute in told)
    return n / N_SERIES / (N_DAYS - first_day)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_after_two_days_no_kind_of_bounded_series_takes_more_than_three_shares_of_the_budget(
    kind, seed
):
    assert per_day(kind, seed, 2) <= 0.03  # the budget of so small a fleet is 0.01 a series


@pytest.mark.parametrize("seed", [1, 2])
def test_after_two_days_bounded_series_keep_within_the_budget(seed):
    assert sum(per_day(kind, seed, 2) for kind in KINDS) / len(KINDS) <= 0.01


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", ["steady_one", "saturated", "jittering"])
def test_constants_and_a_touched_bound_are_never_reported(kind, seed):
    assert per_day(kind, seed, 0) == 0.0


@pytest.mark.parametrize("seed", [1, 2])
def test_dips_of_a_single_sample_are_hardly_ever_reported(seed):
    assert per_day("dipping", seed, 0) <= 0.01


@pytest.mark.parametrize("level", [0.5, 0.0])
@pytest.mark.parametrize("kind", ["steady_one", "dipping", "many_requests", "saturated"])
def test_five_minutes_at_half_or_none_of_the_availability_are_found(kind, level):
    assert found_of(level)[kind] == N_SERIES


@pytest.mark.parametrize("kind", ["few_errors", "daily"])
def test_five_minutes_at_the_upper_bound_are_found(kind):
    assert found_of(1.0)[kind] == N_SERIES


def test_a_share_of_few_requests_says_little():
    """Half of two requests fail now and then; five minutes of it are no news of such a series."""
    assert found_of(0.5)["few_requests"] <= N_SERIES // 2


RATIO = {
    "name": "shop:error_ratio",
    "numerator": 'requests_total{code="500"}',
    "denominator": "requests_total",
    "by": ["n"],
}


@cache
def derived_openings(fault_day: int) -> tuple[Opening, ...]:
    """Return what opened of derived ratios over quiet nights, with five bad minutes a fault day.

    Ten services with 2 to 400 requests a minute, of which one in a hundred fails; of the five
    largest half fail in the bad minutes.
    """
    detect = {"absence": {"enabled": False}, "group": {"by": []}, "ignore": ["requests_total"]}
    data = DataPlane(Config.model_validate({"detect": detect, "derived": {"ratios": [RATIO]}}))
    rng, n = np.random.default_rng(3), N_SERIES
    pairs = [(str(k), code) for code in ("200", "500") for k in range(n)]
    labels = [labels_from({"__name__": "requests_total", "n": k, "code": c}) for k, c in pairs]
    fingerprints = tuple(range(1, 2 * n + 1))
    new = (fingerprints, tuple(encode_labels(own) for own in labels))
    counts, found = np.zeros((2, n)), []
    for minute in range(N_DAYS * MINUTES_PER_DAY):
        day, of_day = divmod(minute, MINUTES_PER_DAY)
        busy = 1.0 - 0.9 * np.cos(2 * np.pi * (of_day - 180) / MINUTES_PER_DAY)
        n_requests = rng.poisson(np.geomspace(2, 400, n) * busy)
        is_bad = day >= fault_day and 900 <= of_day < 900 + FAULT_MINUTES
        shares = np.where(is_bad & (np.arange(n) >= n // 2), 0.5, 0.01)
        n_errors = rng.binomial(n_requests, shares)
        counts += [n_requests - n_errors, n_errors]
        at_ms = T0_MS + 60_000 * minute
        columns = (np.array(fingerprints, np.uint64), np.full(2 * n, at_ms), counts.ravel().copy())
        batch = SampleBatch(*columns, *(new if minute == 0 else ()))
        for event in data.take(batch, at_ms).events:
            if event.change is AnomalyChange.OPENED:
                opened = (event.anomaly.onset_ms - T0_MS) // 60_000
                found.append((int(label_value(event.anomaly.labels, "n")), opened))
    return tuple(found)


def test_derived_ratios_of_busy_and_of_idle_services_are_quiet_by_day_and_night():
    assert len(derived_openings(N_DAYS)) <= 0.01 * N_SERIES * N_DAYS


def test_five_minutes_in_which_half_of_the_requests_fail_are_found():
    told = derived_openings(10)
    days = range(10, N_DAYS)
    for service in range(N_SERIES // 2, N_SERIES):
        for day in days:
            start = day * MINUTES_PER_DAY + 900
            is_found = any(own == service and 0 <= at - start < FOUND_WITHIN for own, at in told)
            assert is_found, (service, day)
