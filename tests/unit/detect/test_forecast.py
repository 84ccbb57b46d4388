"""Forecasts with intervals: they hold what they say, and cost nobody else anything."""

import numpy as np
import pytest

from aiops.config import DetectConfig
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.forecast import LEVELS, ForecastBank, quantile_at
from aiops.detect.forecast_state import UNITS_START

T0_MS = 1_700_006_400_000
MINUTE_MS = 60_000
DAY = 1440
HORIZONS = np.array([5, 60, 360])


def autoregressive(rng, shape, memory: float):
    values, noise = np.zeros(shape), rng.normal(size=shape)
    for i in range(1, shape[0]):
        values[i] = memory * values[i - 1] + noise[i]
    return values


def saw_tooth(rng, shape):
    values, left = np.zeros(shape), np.full(shape[1], 100.0)
    for i in range(shape[0]):
        left = left - 0.1 * rng.gamma(1.0, size=shape[1])
        left = np.where(left < 10.0, 90.0, left)
        values[i] = left
    return values


KINDS = {
    "stable": lambda rng, shape: rng.normal(10, 1, shape),
    "autocorrelated": lambda rng, shape: autoregressive(rng, shape, 0.9),
    "slowly autocorrelated": lambda rng, shape: autoregressive(rng, shape, 0.99),
    "random walk": lambda rng, shape: np.cumsum(rng.normal(size=shape), axis=0),
    "trend": lambda rng, shape: 1e6 - 30 * np.arange(shape[0])[:, None] + rng.normal(0, 99, shape),
    "season": lambda rng, shape: (
        rng.normal(size=shape) + 5 * np.sin(2 * np.pi * np.arange(shape[0]) / DAY)[:, None]
    ),
    "saw tooth": saw_tooth,
}


def values_of(kind: str, n: int = 3 * DAY, n_series: int = 12):
    return KINDS[kind](np.random.default_rng(3), (n, n_series))


class World:
    """Banks over a few series, fed a row of each at a time."""

    def __init__(self, n_series: int, watched=None) -> None:
        self.seasonal = SeasonalBank(DetectConfig(), n_series)
        self.bank = ForecastBank(1000, n_series, self.seasonal)
        for slot in range(n_series) if watched is None else watched:
            self.bank.state.watch(slot)
        self.slots = np.arange(n_series, dtype=np.int32)
        self.out = ScoreColumns.allocate(n_series)
        self.now_ms = T0_MS

    def feed(self, row) -> None:
        self.now_ms += MINUTE_MS
        ts_ms, features = np.full(len(row), self.now_ms), np.array(row, float)
        self.seasonal.score_learn(self.slots, ts_ms, features, self.out)
        self.bank.learn(self.slots, ts_ms, features)

    def forecast(self, slot: int, minutes, levels=LEVELS):
        return self.bank.forecast(slot, self.now_ms + MINUTE_MS * np.asarray(minutes), levels)


def fed(values, watched=None) -> World:
    world = World(values.shape[1], watched)
    for row in values:
        world.feed(row)
    return world


def held_ratios(values, *, is_watched: bool = True):
    """Return the share of values within each interval, as (levels, horizons)."""
    world = World(values.shape[1], None if is_watched else ())
    held, n_each = np.zeros((len(LEVELS), len(HORIZONS))), np.zeros(len(HORIZONS))
    for i, row in enumerate(values):
        world.feed(row)
        if i < 0.4 * len(values) or i % 37:
            continue
        inside = i + HORIZONS < len(values)
        for slot in range(len(row)):
            forecast = world.forecast(slot, HORIZONS[inside])
            seen = values[i + HORIZONS[inside], slot]
            held[:, inside] += (forecast.lower <= seen) & (seen <= forecast.upper)
        n_each[inside] += len(row)
    return held / n_each


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("saw tooth", "season")])
def test_intervals_of_watched_series_hold_what_they_say(kind):
    _, eighty, ninety_five = held_ratios(values_of(kind))
    assert eighty == pytest.approx(0.8, abs=0.1)
    assert ninety_five == pytest.approx(0.95, abs=0.06)


@pytest.mark.parametrize("kind", ["saw tooth", "season"])
def test_intervals_hold_what_they_say_up_to_an_hour_and_are_not_too_narrow_beyond(kind):
    _, eighty, _ = held_ratios(values_of(kind))
    assert eighty[:2] == pytest.approx(0.8, abs=0.1)
    assert eighty[2] > 0.65


@pytest.mark.parametrize("kind", ["stable", "autocorrelated", "random walk", "season"])
def test_intervals_of_other_series_are_nearly_as_good_without_a_trend(kind):
    _, eighty, _ = held_ratios(values_of(kind), is_watched=False)
    assert eighty[:2] == pytest.approx(0.8, abs=0.1)
    assert eighty[2] == pytest.approx(0.8, abs=0.17)


def test_a_trend_is_carried_on():
    world = fed(values_of("trend", DAY, 2))
    forecast = world.forecast(0, [60, 360])
    assert forecast.is_learnt
    expected = 1e6 - 30 * (DAY - 1 + np.array([60, 360]))
    assert forecast.expected == pytest.approx(expected, abs=150)


def test_a_season_is_carried_on():
    world = fed(values_of("season", 3 * DAY, 2))
    forecast = world.forecast(0, [360, 1080])
    assert forecast.expected == pytest.approx([5.0, -5.0], abs=1.5)


def test_intervals_of_a_random_walk_widen_by_the_root_of_time():
    world = fed(values_of("random walk", 2 * DAY, 12))
    widths = []
    for slot in range(12):
        forecast = world.forecast(slot, [5, 60])
        widths.append(forecast.upper[1] - forecast.lower[1])
    near, far = np.mean(widths, axis=0)
    assert far / near == pytest.approx(12**0.5, rel=0.35)


def test_intervals_lie_inside_each_other():
    world = fed(values_of("autocorrelated", DAY, 1))
    forecast = world.forecast(0, range(1, 2000, 50), (0.1, 0.5, 0.7, 0.8, 0.95, 0.99))
    assert np.all(np.diff(forecast.upper, axis=0) >= 0)
    assert np.all(np.diff(forecast.lower, axis=0) <= 0)
    assert np.all(np.isfinite(forecast.upper))


def test_nothing_is_told_of_a_slot_without_samples():
    world = World(2)
    assert world.forecast(0, [5]) is None


def test_a_young_series_is_forecast_by_its_bank():
    world = fed(values_of("stable", 15, 1))
    forecast = world.forecast(0, [5])
    assert not forecast.is_learnt
    assert forecast.expected[0] == pytest.approx(10, abs=2)


def test_a_constant_is_certain():
    world = fed(np.full((DAY, 1), 7.0))
    forecast = world.forecast(0, [5, 360])
    assert forecast.expected == pytest.approx([7.0, 7.0])
    assert forecast.upper - forecast.lower == pytest.approx(0.0, abs=1e-9)


def test_absent_samples_are_no_samples():
    values = values_of("stable", 400, 1)
    with_gaps = values.copy()
    with_gaps[::5] = np.nan
    state = fed(with_gaps).bank.state
    assert np.isfinite(state.rows).all()
    assert np.isfinite(state.errors).all()


def test_nobody_else_is_learnt():
    world = fed(values_of("stable", 60, 3), watched=[1])
    assert world.bank.state.n_watched == 1
    assert world.bank.state.rows[:, 0].sum() == 60


def test_beyond_the_bound_series_are_refused_and_counted():
    bank = ForecastBank(2, 8, SeasonalBank(DetectConfig(), 8))
    assert [bank.state.watch(slot) for slot in (5, 6, 7)] == [True, True, False]
    assert bank.state.refused_total == 1
    bank.state.release(5)
    assert bank.state.watch(7)


def test_more_rows_are_made_as_they_are_asked_for():
    bank = ForecastBank(500, 500, SeasonalBank(DetectConfig(), 500))
    assert all(bank.state.watch(slot) for slot in range(300))
    rows = bank.state.row_of[:300]
    assert len(set(rows.tolist())) == 300
    assert bank.state.units[rows - 1] == pytest.approx(np.tile(UNITS_START, (300, 4, 1)))


def test_a_released_row_is_fresh_for_the_next_one():
    world = fed(values_of("stable", 500, 2), watched=[0])
    world.bank.state.release(0)
    world.bank.state.watch(1)
    row = world.bank.state.row_of[1] - 1
    assert world.bank.state.rows[row].sum() == 0
    assert world.bank.state.counts[row].sum() == 0


def test_state_comes_back_bit_for_bit_and_goes_on_alike():
    values = values_of("trend", 900, 5)
    first = fed(values[:600], watched=[4, 0, 2])
    second = World(5, watched=())
    second.now_ms = first.now_ms
    second.seasonal.restore(first.seasonal.state(5), 5)
    second.bank.state.restore(first.bank.state.state())
    for world in (first, second):
        for row in values[600:]:
            world.feed(row)
    saved, again = first.bank.state.state(), second.bank.state.state()
    assert saved.keys() == again.keys()
    assert all(saved[name].tobytes() == again[name].tobytes() for name in saved)


@pytest.mark.parametrize(("level", "expected"), [(0.5, 1.0), (0.8, 2.0), (0.95, 4.0)])
def test_learnt_quantiles_are_returned_as_they_are(level, expected):
    assert quantile_at(np.array([1.0, 2.0, 4.0]), level) == pytest.approx(expected)


def test_quantiles_between_and_beyond_follow_the_normal_shape():
    units = np.array(UNITS_START)
    assert quantile_at(units, 0.6827) == pytest.approx((np.pi / 2) ** 0.5, rel=0.01)
    assert quantile_at(units, 0.9973) == pytest.approx(3 * (np.pi / 2) ** 0.5, rel=0.01)
    assert quantile_at(units, 0.1) < quantile_at(units, 0.5)
