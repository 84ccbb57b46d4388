"""The kernel of forecasts against its plain twin."""

import math

import numpy as np
import pytest

from aiops.detect.forecast import lines_of
from aiops.detect.forecast_state import HORIZONS_MS, PENDING, UNITS_START
from aiops.detect.kernels import forecast as layout
from aiops.detect.kernels.forecast import k_forecast_learn
from tests.naive.forecast import NaiveForecastSeries, NaiveHorizon, naive_forecast_learn

T0_MS = 1_700_000_000_000
HORIZONS = np.array(HORIZONS_MS[:2], np.int64)


class Row:
    """State of one watched series, as the bank has it."""

    def __init__(self) -> None:
        n = len(HORIZONS)
        self.rows = np.zeros((1, layout.ROW_SIZE))
        self.targets = np.zeros((1, n, PENDING), np.int64)
        self.pending = np.zeros((1, n, PENDING, layout.CANDIDATES))
        self.errors = np.zeros((1, n, layout.CANDIDATES))
        self.units = np.tile(np.array(UNITS_START), (1, n, 1))
        self.counts = np.zeros((1, n))
        self.plain = NaiveForecastSeries([NaiveHorizon(int(h)) for h in HORIZONS])

    def expect(self, h: int, target_ms: int, forecasts: list[float]) -> None:
        """Put a forecast on its way on both sides, where there is room."""
        free = np.flatnonzero(self.targets[0, h] == 0)
        if len(free):
            self.targets[0, h, free[0]] = target_ms
            self.pending[0, h, free[0]] = forecasts
            self.plain.horizons[h].pending.append((target_ms, forecasts))
            due = self.rows[0, layout.DUE]
            self.rows[0, layout.DUE] = min(due, target_ms) if due else target_ms

    def learn(self, ts_ms: int, value: float) -> None:
        k_forecast_learn(
            self.rows,
            self.targets,
            self.pending,
            self.errors,
            self.units,
            self.counts,
            HORIZONS,
            np.zeros(1, np.int32),
            np.array([ts_ms], np.int64),
            np.array([value]),
        )
        naive_forecast_learn(self.plain, ts_ms, value)

    def assert_equal(self) -> None:
        plain = self.plain
        for h, horizon in enumerate(plain.horizons):
            assert self.counts[0, h] == horizon.n
            assert self.errors[0, h] == pytest.approx(horizon.errors, rel=1e-9)
            assert self.units[0, h] == pytest.approx(horizon.units, rel=1e-9)
        if plain.n == 0:
            return
        level, slope = lines_of(self.rows)
        scale = abs(plain.last) + abs(plain.base) + 1e-290
        for k, trend in enumerate(plain.trends):
            expected = trend.line(plain.seen_ms / 1000, plain.n)
            assert level[0, k] == pytest.approx(expected[0], rel=1e-6, abs=1e-9 * scale)
            assert slope[0, k] == pytest.approx(expected[1], rel=1e-5, abs=1e-7 * scale)


def drive(values, *, step_ms: int = 60_000, seed: int = 1) -> Row:
    """Feed values with jitter and gaps; forecasts near the values are made every few samples."""
    rng = np.random.default_rng(seed)
    row, ts_ms = Row(), T0_MS
    for i, value in enumerate(values):
        ts_ms += step_ms * (20 if rng.random() < 0.01 else 1) + int(rng.integers(0, step_ms // 4))
        row.learn(ts_ms, float(value))
        if i > 10 and i % 3 == 0 and math.isfinite(value):
            spread = abs(float(value)) * 0.1 + 1e-3
            for h, horizon_ms in enumerate(HORIZONS.tolist()):
                forecasts = (float(value) + spread * rng.normal(size=5)).tolist()
                row.expect(h, ts_ms + horizon_ms, forecasts)
    return row


def noise(n: int):
    return np.random.default_rng(7).normal(size=n)


CASES = {
    "noise": 10 + noise(300),
    "trend": 1e9 - 1e6 * np.arange(300) + 1e5 * noise(300),
    "jump against the trend": np.where(np.arange(300) < 200, 500, 900)
    - np.arange(300)
    + noise(300),
    "lone outliers": np.where(np.arange(300) % 50 == 49, 1e4, 0.0) + noise(300),
    "turns round": np.abs(np.arange(300) - 150.0) + 0.1 * noise(300),
    "constant": np.full(200, 7.0),
    "absent": np.where(np.arange(200) % 7 == 0, np.nan, noise(200)),
    "huge": 1e149 * noise(200),
    "denormal": 1e-310 * noise(200),
    "one sample": [3.0],
    "none": [],
}


@pytest.mark.parametrize("name", CASES)
def test_kernel_and_twin_agree(name):
    drive(CASES[name]).assert_equal()


def test_forecasts_resolve_at_all_in_these_cases():
    assert drive(CASES["noise"]).counts.min() > 5


def test_a_batch_gives_what_single_samples_give():
    values = 50 - 0.1 * np.arange(200) + noise(200)
    ts_ms = T0_MS + 60_000 * np.arange(200)
    one, all_at_once = Row(), Row()
    for at_ms, value in zip(ts_ms.tolist(), values.tolist(), strict=True):
        one.learn(at_ms, value)
    state = all_at_once
    k_forecast_learn(
        state.rows,
        state.targets,
        state.pending,
        state.errors,
        state.units,
        state.counts,
        HORIZONS,
        np.zeros(200, np.int32),
        ts_ms,
        values,
    )
    assert one.rows.tobytes() == all_at_once.rows.tobytes()


def test_a_jump_against_a_clear_trend_keeps_the_slope():
    row = drive(CASES["jump against the trend"][:215])
    _, slope = lines_of(row.rows)
    per_sample = slope[0, 0] * 60_000 * 1.125 / layout.MEMORY_MS
    assert per_sample == pytest.approx(-1.0, rel=0.3)


def test_a_series_that_turned_round_gets_a_new_slope():
    row = drive(CASES["turns round"])
    _, slope = lines_of(row.rows)
    assert slope[0, 0] > 0.0
