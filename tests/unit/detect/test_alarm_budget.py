"""The alarm budget over classes of series: who belongs where, what is saved, what is fixed."""

import numpy as np
import pytest
from series_data import times

from aiops.config import DetectConfig
from aiops.config_alarms import AlarmBudgetRule, AlarmsConfig
from aiops.detect.budget import FLEET, SPAN_MS, AlarmBudget, default_false_per_day
from aiops.detect.columns import ScoreColumns
from aiops.domain.labels import labels_from
from aiops.errors import SnapshotError

N_SLOTS = 40
NODE, DISK = '{job="node"}', '{disk=~"sd."}'


def labels_of(slot):
    jobs = ("node", "shop")
    return labels_from({"__name__": "m", "job": jobs[slot % 2], "disk": "sda"})


def budget_of(*rules, false_per_day=5.0, **detect):
    budgets = tuple(AlarmBudgetRule(match=match, false_per_day=n) for match, n in rules)
    alarms = AlarmsConfig(false_per_day=false_per_day, budgets=budgets)
    budget = AlarmBudget(alarms, DetectConfig(**detect), N_SLOTS, "seasonal")
    budget.admit(all_slots(), labels_of)
    return budget


def all_slots():
    return np.arange(N_SLOTS, dtype=np.int32)


def feed(budget, n_spans, *, seed=1, start=0):
    """Feed quiet rows and some that nearly open, ten a span and slot."""
    rng = np.random.default_rng(seed)
    out = ScoreColumns.allocate(10 * N_SLOTS)
    slots = np.repeat(all_slots(), 10)
    for n in range(start, start + n_spans):
        out.scores[:] = rng.exponential(0.8, 10 * N_SLOTS)
        ts_ms = np.tile(times(10, 60) + n * SPAN_MS, N_SLOTS)
        budget.episodes.step(slots, ts_ms, out.features, out, np.zeros(len(slots), np.uint8))
        budget.advance(slots, ts_ms, int(ts_ms[-1]), all_slots)
    return budget.levels()


def test_the_first_budget_that_matches_is_the_class_of_a_series():
    budget = budget_of((NODE, 1.0), (DISK, 2.0))
    assert budget.episodes.classes[:4].tolist() == [1, 2, 1, 2]
    assert set(budget.levels()) == {FLEET, NODE, DISK}


def test_a_series_that_matches_none_shares_the_budget_of_the_fleet():
    assert budget_of((NODE, 1.0)).episodes.classes[:4].tolist() == [1, 0, 1, 0]


def test_a_smaller_budget_makes_a_stricter_level_for_its_class_alone():
    levels = feed(budget_of((NODE, 0.01)), 30)
    assert levels[NODE] > levels[FLEET] + 1.0


def test_nothing_moves_before_a_span_is_over():
    budget = budget_of()
    before = budget.levels()
    assert feed(budget, 1) == before
    assert feed(budget, 1, start=1) != before


def test_a_fixed_level_stays_and_what_it_costs_is_still_told():
    budget = budget_of(alarm_score=4.0, false_per_day=None)
    assert feed(budget, 30) == {FLEET: 4.0}
    assert budget.false_per_day()[FLEET] > 0.0


@pytest.mark.parametrize(
    ("n_series", "wanted"), [(0, 0.01), (10, 0.1), (100, 1), (5000, 1), (10_000, 1), (100_000, 10)]
)
def test_without_a_stated_budget_it_follows_the_size_of_the_fleet(n_series, wanted):
    assert default_false_per_day(n_series) == pytest.approx(wanted)


def test_a_restored_budget_goes_on_bit_for_bit():
    budget, other = budget_of((NODE, 1.0)), budget_of((NODE, 1.0))
    feed(budget, 20)
    saved = {name: array.copy() for name, array in budget.state().items()}
    other.restore(saved, all_slots(), labels_of)
    other.episodes.restore(budget.episodes.state(), N_SLOTS)
    for part in (budget, other):
        feed(part, 20, seed=2, start=20)
    for name, array in budget.state().items():
        assert array.tobytes() == other.state()[name].tobytes(), name


def test_a_changed_budget_keeps_what_the_others_learnt():
    budget, other = budget_of((NODE, 1.0), (DISK, 2.0)), budget_of((DISK, 2.0))
    levels = feed(budget, 30)
    other.restore(budget.state(), all_slots(), labels_of)
    assert other.levels() == {FLEET: levels[FLEET], DISK: levels[DISK]}
    assert set(other.episodes.classes.tolist()) == {1}


def test_a_saved_state_of_another_layout_is_refused():
    budget = budget_of()
    state = {**budget.state(), "budget.counts": np.zeros((1, 3))}
    with pytest.raises(SnapshotError, match="alarm budget"):
        budget.restore(state, all_slots(), labels_of)
