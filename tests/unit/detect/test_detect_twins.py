"""The seasonal bank, with its alert scores, and the tails against their plain twins.

k_seasonal_score and k_alert_score run through their owner, the bank. Data are ordinary, hostile
and long; `test_episode_twins.py` follows the episodes. The same file is run once more with the
compiler switched off.
"""

import math
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from series_data import NULLS, START_MS, of_days, of_stretches, score_series, times, with_faults

from aiops.config import DetectConfig
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.calendar import Calendar
from aiops.detect.kernels.tails import k_tail_learn, k_tail_score
from aiops.detect.parts import season_of
from tests.naive.alerts import NaiveAlerts, naive_alert_score
from tests.naive.profiles import naive_civil
from tests.naive.seasonal import NaiveSeries, naive_seasonal_score
from tests.naive.tails import NaiveTail, naive_tail_learn, naive_tail_score

IS_COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
N_LONG = 6000 if IS_COMPILED else 800
N_DAYS = 24 if IS_COMPILED else 3
PER_DAY = 288
"""Samples a day at five minutes."""

AUCKLAND = DetectConfig(time_zone="Pacific/Auckland", holidays=(date(2024, 4, 1),))


def hostile(name, n=400):
    rng = np.random.default_rng(5)
    values = rng.normal(size=n)
    special = {
        "nan": math.nan,
        "infinite": math.inf,
        "negative infinite": -math.inf,
        "huge": 1.7e308,
        "denormal": 5e-324,
    }
    values[rng.random(n) < 0.1] = special[name]
    return values


def told_by_twin(values, ts_ms, config, limit=0):
    """Return the columns the twins give, parts included, and the twins themselves."""
    series, alerts = NaiveSeries(config.warmup_samples, limit), NaiveAlerts()
    rows, parts = [], []
    for at_ms, value in zip(ts_ms.tolist(), values.tolist(), strict=True):
        civil = naive_civil(at_ms, config.time_zone, config.holidays)
        score, severity, evidence, expected, half, word = naive_seasonal_score(
            series, at_ms, value, civil
        )
        alert, novelty = naive_alert_score(alerts, at_ms, value, evidence, series.interval_ms)
        rows.append((score, severity, alert, expected, half))
        parts.append(word + (int(min(16 * novelty + 0.5, 255)) << 32))
    columns = np.array(rows).reshape(-1, 5)
    return columns, np.array(parts, np.uint64), series, alerts


def compare(values, ts_ms, config=None, limit=0):
    """Hold that bank and twins say the same; return what was said, and the twins."""
    config = config or DetectConfig()
    bank, n = SeasonalBank(config, 1), len(values)
    bank.limit_seasons(np.zeros(1, np.int32), np.array([limit], np.uint8))
    out = score_series(values, ts_ms, config, bank)
    wanted, wanted_parts, series, alerts = told_by_twin(values, ts_ms, config, limit)
    told = np.stack([out.scores, out.severities, out.alerts, out.expected, out.half], axis=1)
    np.testing.assert_allclose(told[:n], wanted, rtol=1e-9, atol=1e-9)
    bytes_told, bytes_wanted = (w.view(np.uint8) for w in (out.parts[:n], wanted_parts))
    # A byte is rounded from a score that may differ in its last bits.
    assert (np.abs(bytes_told.astype(int) - bytes_wanted.astype(int)) <= 1).all()
    assert all(np.isfinite(array).all() for array in bank.state(1).values())
    return out, series, alerts


@pytest.mark.parametrize("name", sorted(NULLS))
def test_the_bank_equals_its_twin_on_ordinary_series(name):
    values = np.ascontiguousarray(NULLS[name](np.random.default_rng(3), 500), float)
    compare(values, times(500, 15))


@pytest.mark.parametrize("name", ["nan", "infinite", "negative infinite", "huge", "denormal"])
def test_the_bank_equals_its_twin_on_hostile_values(name):
    compare(hostile(name), times(400))


@pytest.mark.parametrize("n", [0, 1, 2, 30])
def test_the_bank_equals_its_twin_on_hardly_any_samples(n):
    compare(np.arange(n, dtype=float), times(n), DetectConfig(warmup_samples=20))


@pytest.mark.parametrize("interval_s", [2, 60, 3600])
def test_the_bank_equals_its_twin_through_faults_and_a_lasting_shift(interval_s):
    _, series, _ = compare(with_faults(N_LONG), times(N_LONG, interval_s))
    assert series.hold is None or not IS_COMPILED


def test_the_bank_equals_its_twin_at_irregular_and_backward_times():
    rng = np.random.default_rng(9)
    steps = rng.choice([-500, 0, 1000, 60_000, 40_000_000], 600, p=[0.1, 0.1, 0.4, 0.3, 0.1])
    compare(rng.normal(size=600), START_MS + np.cumsum(steps))


def test_the_bank_equals_its_twin_over_weeks_with_gaps_and_faults():
    n = N_DAYS * PER_DAY
    values = of_days(N_DAYS)
    values[n // 2 : n // 2 + 100] *= 3
    is_present = np.ones(n, bool)
    is_present[n // 3 : n // 3 + 200] = False
    out, _, _ = compare(values[is_present], times(n, 300)[is_present])
    seasons = {season_of(word) for word in out.parts.tolist()}
    assert not IS_COMPILED or seasons == {"", "day", "week"}, "not all of it was put to the test"


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_bank_equals_its_twin_where_rules_limit_the_season(limit):
    compare(of_days(N_DAYS), times(N_DAYS * PER_DAY, 300), limit=limit)


def test_the_bank_equals_its_twin_where_clocks_are_set_back_after_a_holiday():
    n = N_DAYS * PER_DAY
    compare(of_days(N_DAYS), times(n, 300) + since_start_ms(2024, 3, 28), AUCKLAND)


def since_start_ms(*day):
    return int(datetime(*day, tzinfo=UTC).timestamp() * 1000) - START_MS


def test_the_calendar_equals_its_twin_around_a_holiday_and_a_set_clock():
    ts_ms = times(14 * 96, 900) + since_start_ms(2024, 3, 28)
    told = Calendar(AUCKLAND.time_zone, AUCKLAND.holidays).civil(ts_ms)
    wanted = [naive_civil(t, AUCKLAND.time_zone, AUCKLAND.holidays) for t in ts_ms.tolist()]
    assert list(zip(*(column.tolist() for column in told), strict=True)) == wanted


@pytest.mark.skipif(not IS_COMPILED, reason="takes a minute without the compiler")
def test_the_bank_equals_its_twin_when_the_memory_of_windows_is_full_and_the_range_moves():
    values, ts_ms = of_stretches(14_000), times(14_000, 300)
    _, _, before = compare(values, ts_ms)
    assert len(before.windows) == 39, "the memory is not full"
    values[12_000:] += 1e4
    _, _, alerts = compare(values, ts_ms)
    assert len(alerts.windows) > 0 and alerts.low > 1e3, "the range was not learnt anew"


def test_the_tail_kernels_equal_their_twins():
    row, tail = np.array([2.5, 0.0, 0.0, 0.0]), NaiveTail()
    units = np.abs(np.random.default_rng(1).standard_t(3, 2000))
    for n, unit in enumerate([*units.tolist(), 0.0, 5e-324, 1e6]):
        assert k_tail_score(row, 0, unit) == pytest.approx(naive_tail_score(tail, unit), rel=1e-9)
        k_tail_learn(row, 0, unit, float(n + 1), 1.0)
        naive_tail_learn(tail, unit, n + 1)
    wanted = [tail.threshold, tail.excess, tail.square, tail.count]
    assert row.tolist() == pytest.approx(wanted, rel=1e-9)


@pytest.mark.skipif(not IS_COMPILED, reason="this is the run without the compiler")
@pytest.mark.parametrize("name", ["test_detect_twins.py", "test_episode_twins.py"])
def test_kernels_equal_their_twins_without_the_compiler(name):
    path = Path(__file__).with_name(name)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        command, cwd=path.parents[3], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
