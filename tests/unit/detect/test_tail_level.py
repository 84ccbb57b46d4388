"""The level at which a wanted rate of openings is left, against tails whose truth is known."""

import math

import numpy as np
import pytest

from aiops.detect.kernels.episodes import GRID_SIZE
from aiops.detect.tail_level import (
    GRID,
    fit_tail,
    is_burst,
    level_of_bulk,
    rate_beyond,
    rates_of,
    theory_rates,
)

N_ROWS = 1e6


def counts_of(*parts):
    """Openings at each level or beyond; parts: (openings beyond 3, slope)."""
    return sum(n * np.exp(-slope * (GRID - 3.0)) for n, slope in parts)


def rates(counts, n_rows=N_ROWS, n_rows_theory=0.0):
    return rates_of(counts, n_rows, n_rows_theory=n_rows_theory, open_samples=3)


def level_for(counts, wanted):
    tail = fit_tail(counts, rates(counts), wanted_rate=wanted / N_ROWS, base_min=3.0)
    return tail.level_at(wanted / N_ROWS)


@pytest.mark.parametrize("slope", [0.7, 1.5, math.log(10)])
@pytest.mark.parametrize("wanted", [1.0, 10.0, 50.0])
def test_an_exponential_tail_is_continued_beyond_what_was_seen(slope, wanted):
    truth = 3.0 + math.log(1000 / wanted) / slope
    found = level_for(counts_of((1000, slope)), wanted)
    assert found == pytest.approx(truth, abs=0.4 / slope)


def test_the_fit_is_made_near_the_level_where_tails_are_mixed():
    counts = counts_of((1000, 2.3), (60, 0.5))
    truth = float(np.interp(-15.0, -counts, GRID))
    assert level_for(counts, 15.0) == pytest.approx(truth, abs=0.3)


def test_without_rows_the_rate_is_the_theory():
    none = np.zeros(GRID_SIZE)
    assert np.allclose(rates(none, 0.0, 1000.0), theory_rates(3))
    assert theory_rates(3)[0] == pytest.approx(1e-3 / 3)


def test_theory_fades_as_rows_come_without_the_openings_it_foretells():
    none = np.zeros(GRID_SIZE)
    assert np.allclose(rates(none, 9000.0, 1000.0), theory_rates(3) / 10)


def test_counts_below_the_base_mean_nothing():
    counts = counts_of((1000, 1.0))
    counts[:16] = 1e6
    tail = fit_tail(counts, rates(counts), wanted_rate=1e-3, base_min=5.0)
    assert tail.base >= 5.0 and tail.rate < 1e-3


def test_a_rate_is_as_counted_where_enough_was_and_follows_the_tail_beyond():
    counts = counts_of((1000, 1.0))
    for level in (3.0, 4.05, 6.0, 8.0, 10.0):
        found = rate_beyond(level, counts, rates(counts), base_min=3.0) * N_ROWS
        assert found == pytest.approx(1000 * math.exp(3.0 - level), rel=0.3)


@pytest.mark.parametrize("slope", [0.7, 1.0, 2.0])
def test_the_bulk_alone_foretells_the_level_of_a_tail_without_anomalies(slope):
    found = bulk_level(counts_of((1000, slope)))
    assert 3.0 + math.log(1000) / slope < found < 3.0 + math.log(1000) / slope + 1.6 / slope + 1.5


def test_true_anomalies_far_out_do_not_change_what_the_bulk_foretells():
    alone = np.where(GRID < 9.0, 200.0, 0.0)
    counts = counts_of((1000, 2.0))
    assert bulk_level(counts + alone) == pytest.approx(bulk_level(counts), abs=0.1)


def bulk_level(counts):
    return level_of_bulk(counts, N_ROWS, wanted_rate=1 / N_ROWS, base_min=3.0)


def test_chance_makes_no_bursts_and_many_openings_at_once_do():
    rng = np.random.default_rng(1)
    mean = rates(counts_of((1000, 1.0)), 1e6)
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
