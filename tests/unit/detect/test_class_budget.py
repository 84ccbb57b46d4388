"""How the level of one class of series moves with what it shows."""

import numpy as np
import pytest

from aiops.detect.class_budget import (
    LEVEL_MAX,
    LEVEL_MIN,
    LEVEL_PER_DAY_MAX,
    ClassBudget,
)
from aiops.detect.kernels.episodes import GRID_SIZE
from aiops.detect.kernels.tails import CAP
from aiops.detect.tail_level import GRID, theory_rates

SPAN_DAYS = 1 / 144
N_SERIES = 2000
ROWS_A_SPAN = 20_000


def openings(rng, mean, slope=1.0):
    """A span's openings at each level, `mean` of them beyond 3."""
    tops = 3.0 + rng.exponential(1 / slope, rng.poisson(mean))
    return np.sum(tops[:, None] >= GRID, axis=0).astype(np.int64)


def run(budget, n_spans, *, mean=1.0, slope=1.0, wanted=10.0, extra=lambda _n: 0, rows=ROWS_A_SPAN):
    rng = np.random.default_rng(1)
    levels = []
    for n in range(n_spans):
        tally = openings(rng, mean, slope) + extra(n)
        budget.learn(tally, n_rows=rows, n_fresh=rows, span_days=SPAN_DAYS)
        budget.move(wanted, N_SERIES, SPAN_DAYS)
        levels.append(budget.level)
    return levels


def learn_nothing(budget, n_rows=ROWS_A_SPAN, n_fresh=ROWS_A_SPAN):
    none = np.zeros(GRID_SIZE, np.int64)
    budget.learn(none, n_rows=n_rows, n_fresh=n_fresh, span_days=SPAN_DAYS)


def settled(*, n_days=10, **settings):
    budget = ClassBudget(3, 3.0)
    run(budget, 144 * n_days, **settings)
    return budget


def true_rate(level, mean=1.0):
    return 144 * mean * np.exp(3.0 - level)


def storm(n_openings, top, every):
    tally = np.where(top >= GRID, n_openings, 0)
    return lambda n: tally if n % every == 0 else 0


def test_a_new_fleet_begins_with_the_level_of_theory_made_stricter_for_its_youth():
    budget = ClassBudget(3, 3.0)
    learn_nothing(budget)
    budget.move(10.0, N_SERIES, SPAN_DAYS)
    in_theory = np.interp(-10.0, -theory_rates(3) * ROWS_A_SPAN * 144, GRID)
    assert in_theory < budget.level < in_theory + 1.5


def test_youth_makes_no_difference_once_series_have_a_long_history():
    young, old = ClassBudget(3, 3.0), ClassBudget(3, 3.0)
    for budget, n_samples in ((young, 100), (old, 10_000)):
        learn_nothing(budget)
        budget.move(10.0, ROWS_A_SPAN // n_samples, SPAN_DAYS)
    assert young.level > old.level + 0.5


def test_a_fleet_too_young_for_its_budget_is_not_blind():
    budget = ClassBudget(3, 3.0)
    learn_nothing(budget)
    budget.move(0.001, ROWS_A_SPAN // 100, SPAN_DAYS)
    clearest_score = np.log10(100) + CAP
    assert budget.level == pytest.approx(clearest_score - 0.5)


@pytest.mark.parametrize("wanted", [2.0, 10.0, 50.0])
def test_the_level_settles_where_the_budget_is_spent(wanted):
    budget = settled(n_days=21, wanted=wanted)  # a memory of a whole week
    assert wanted / 1.5 < true_rate(budget.level) < wanted * 1.5
    assert budget.false_per_day() == pytest.approx(wanted, rel=0.35)


def test_a_fleet_that_doubles_its_rows_is_judged_more_strictly_at_once():
    budget = settled()
    before = budget.level
    run(budget, 72, mean=2.0, rows=2 * ROWS_A_SPAN)
    assert before + 0.4 < budget.level < before + 1.0


def test_storms_of_openings_on_many_series_leave_the_level_alone():
    calm, stormy = settled(), settled(extra=storm(400, 8.0, 24))
    assert abs(stormy.level - calm.level) < 0.2
    assert stormy.burst_share < 0.1


def lone_faults(per_day):
    """Openings of single series that are struck at random times, far out most of them."""
    rng = np.random.default_rng(2)

    def extra(_n):
        tops = rng.uniform(4.0, 10.0, rng.poisson(per_day / 144))
        return np.sum(tops[:, None] >= GRID, axis=0).astype(np.int64)

    return extra


@pytest.mark.parametrize("per_day", [10, 30])
def test_faults_of_single_series_move_the_level_by_half_a_unit_at_most(per_day):
    calm, struck = settled(slope=2.0), settled(slope=2.0, extra=lone_faults(per_day))
    assert abs(struck.level - calm.level) < 0.5


def test_what_a_fleet_did_when_it_was_young_is_soon_forgotten():
    calm, other = settled(n_days=4), ClassBudget(3, 3.0)
    run(other, 144, mean=5.0)
    run(other, 144 * 4)
    assert abs(other.level - calm.level) < 0.5


def test_storms_that_never_end_are_the_state_of_things():
    calm, stormy = settled(), settled(extra=storm(5, 6.0, 2))
    assert stormy.level > calm.level + 0.5


@pytest.mark.parametrize("n_fresh", [ROWS_A_SPAN, 0])
def test_a_backlog_is_not_taken_for_the_rows_of_a_day(n_fresh):
    budget = ClassBudget(3, 3.0)
    learn_nothing(budget, n_rows=ROWS_A_SPAN + 100_000, n_fresh=n_fresh)
    # Where all rows are late, they are the only ones to go by.
    wanted = (n_fresh or ROWS_A_SPAN + 100_000) * 144
    assert budget.rows_per_day == pytest.approx(wanted)


def test_the_level_moves_slowly_whatever_happens():
    budget = settled()
    levels = run(budget, 144, mean=50.0, extra=storm(3, 12.0, 1))
    steps = np.abs(np.diff(levels))
    assert steps.max() <= LEVEL_PER_DAY_MAX * SPAN_DAYS * 1.001


def test_the_level_stays_within_its_bounds():
    assert settled(mean=0.0, wanted=1e6).level == LEVEL_MIN
    assert settled(mean=30.0, wanted=1e-3, extra=storm(9, 13.0, 1)).level <= LEVEL_MAX


def test_what_long_ago_was_otherwise_is_forgotten():
    budget = settled(mean=5.0)
    run(budget, 144 * 21)
    assert 10.0 / 1.5 < true_rate(budget.level) < 15.0


def test_a_restored_class_goes_on_the_same():
    budget, other = settled(), ClassBudget(3, 3.0)
    other.restore(budget.counts, budget.numbers())
    assert run(budget, 50) == run(other, 50)
    assert budget.numbers() == other.numbers()
