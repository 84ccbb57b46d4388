"""The level that leaves a wanted rate of false openings, against tails whose truth is known."""

import math

import numpy as np
import pytest

from aiops.detect.kernels.episodes import GRID_SIZE
from aiops.detect.tail_level import (
    BAND,
    GRID,
    SLOPE_MIN,
    Openings,
    fit_tail,
    is_burst,
    theory_rates,
)

N_ROWS = 1e6
NONE = np.zeros(GRID_SIZE)


def counts_of(*parts):
    """Openings at each level or beyond; parts: (openings beyond 3, slope)."""
    return sum(n * np.exp(-slope * (GRID - 3.0)) for n, slope in parts)


def humps(n_openings, low, high):
    """So many openings, spread evenly over the levels between."""
    return n_openings * np.clip((high - GRID) / (high - low), 0.0, 1.0)


def openings(counts, n_rows=N_ROWS, n_rows_theory=0.0):
    return Openings(counts, n_rows, n_rows_theory, open_samples=3)


def level_for(counts, wanted):
    wanted_rate = wanted / N_ROWS
    return fit_tail(openings(counts), wanted_rate=wanted_rate, level_min=3.0).level_at(wanted_rate)


@pytest.mark.parametrize("slope", [0.7, 1.5, math.log(10), 4.0])
@pytest.mark.parametrize("wanted", [1.0, 10.0, 50.0])
def test_an_exponential_tail_is_continued_beyond_what_was_seen(slope, wanted):
    truth = 3.0 + math.log(1000 / wanted) / slope
    assert level_for(counts_of((1000, slope)), wanted) == pytest.approx(truth, abs=0.6 / slope)


@pytest.mark.parametrize("n_true", [100, 1000])
def test_true_anomalies_beyond_the_band_change_nothing_however_many_there_are(n_true):
    calm = counts_of((1000, 2.0))
    level = level_for(calm, 10.0)
    struck = calm + humps(n_true, level + BAND + 0.5, 12.0)
    assert level_for(struck, 10.0) == pytest.approx(level, abs=0.01)


def test_true_anomalies_spread_over_all_levels_three_times_the_budget_move_the_level_little():
    calm = counts_of((1000, 2.0))
    assert level_for(calm, 10.0) < level_for(calm + humps(30, 3.0, 9.0), 10.0)
    assert level_for(calm + humps(30, 3.0, 9.0), 10.0) < level_for(calm, 10.0) + 0.4


def test_the_fit_is_made_near_the_level_where_tails_are_mixed():
    counts = counts_of((1000, 2.3), (60, 1.0))
    truth = float(np.interp(-25.0, -counts, GRID))
    assert level_for(counts, 25.0) == pytest.approx(truth, abs=0.3)


def test_tails_are_never_taken_to_be_flatter_than_the_least_slope():
    tail = fit_tail(openings(counts_of((1000, 0.1))), wanted_rate=1e-6, level_min=3.0)
    assert tail.slope == pytest.approx(SLOPE_MIN, abs=1e-4)


def test_without_rows_the_tail_is_that_of_theory():
    wanted_rate = float(theory_rates(3)[24])
    tail = fit_tail(openings(NONE, 0.0, 1000.0), wanted_rate=wanted_rate, level_min=3.0)
    assert tail.level_at(wanted_rate) == pytest.approx(6.0, abs=0.01)


def test_theory_fades_as_rows_come_without_the_openings_it_foretells():
    assert np.allclose(openings(NONE, 9000.0, 1000.0).rates(), theory_rates(3) / 10)


def test_counts_below_the_least_level_mean_nothing():
    counts = counts_of((1000, 1.0))
    counts[:16] = 1e6
    tail = fit_tail(openings(counts), wanted_rate=1e-3, level_min=5.0)
    assert tail.base >= 5.0 and tail.rate < 1e-3


@pytest.mark.parametrize("level", [3.0, 4.05, 6.0, 8.0, 10.0])
def test_up_to_a_level_the_rate_is_as_counted_and_beyond_the_data_the_tail_is_followed(level):
    tail = fit_tail(
        openings(counts_of((1000, 1.0))), wanted_rate=0.0, level_min=3.0, level_max=level
    )
    assert tail.base <= level
    assert tail.rate_at(level) * N_ROWS == pytest.approx(1000 * math.exp(3.0 - level), rel=0.3)


def test_chance_makes_no_bursts_and_many_openings_at_once_do():
    rng = np.random.default_rng(1)
    mean = openings(counts_of((1000, 1.0))).rates()
    found = [is_burst(_spans(rng), mean, 10_000) for _ in range(1000)]
    assert sum(found) < 10
    together = np.zeros(GRID_SIZE, np.int64)
    together[:40] = 3  # three series reach level 8 in a span that has 0.07 such on average
    assert is_burst(together, mean, 10_000)
    assert not is_burst(together, mean, 1_000_000)


def _spans(rng):
    """Openings of a span that ten of a thousand openings beyond 3 fall into, on average."""
    tops = 3.0 + rng.exponential(1.0, rng.poisson(10))
    return np.sum(tops[:, None] >= GRID, axis=0).astype(np.int64)
