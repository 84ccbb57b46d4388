"""Coverage of forecasts is measured causally, against what came."""

import numpy as np
import pytest

from aiops.evaluate.forecasts import MINUTES, coverage

TS_MS = 1_700_006_400_000 + 60_000 * np.arange(2000)


def noise(seed: int):
    return np.random.default_rng(seed).normal(10, 1, len(TS_MS))


def test_noise_is_covered_as_often_as_said():
    five_min, hour, *_ = coverage(TS_MS, noise(1), every=5)
    for found in (five_min, hour):
        assert found.n_forecasts > 200
        assert found.held_ratio[1] == pytest.approx(0.8, abs=0.1)
        assert found.error < found.naive_error


def test_a_jump_is_foreseen_by_no_forecast_made_before_it():
    values = noise(1)[:1004]
    values[1000:] += 1000.0
    five_min = coverage(TS_MS[:1004], values, every=1, warmup=996 / 1004)[0]
    assert five_min.n_forecasts == 4
    assert five_min.held_ratio == (0.0, 0.0, 0.0)
    assert five_min.error > 900


def test_a_horizon_beyond_the_series_has_no_figures():
    day = coverage(TS_MS[:600], noise(1)[:600])[MINUTES.index(1440)]
    assert day.n_forecasts == 0
    assert np.isnan(day.error)
