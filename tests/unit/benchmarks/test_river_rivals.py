"""The comparison with River is of what was measured, and of detectors that work."""

import pytest

from benchmarks import river_rivals
from benchmarks.river_rivals import BATCH, CASES, GAUSSIAN, HALF_SPACE_TREES, comparison


def records(**costs):
    named = {name: 100.0 for name, _ in CASES} | costs
    return [{"kernel": name, "cpu_ns_per_row": cost} for name, cost in named.items()]


@pytest.mark.parametrize("name", dict(CASES))
def test_each_contender_scores_the_stream(name):
    assert dict(CASES)[name](1).is_right()


def test_a_detector_that_answers_at_random_is_found_out():
    answers = iter(range(10**6))
    case = river_rivals._one_by_one(lambda: lambda _x: float(next(answers)), river_rivals.stream())
    assert not case.is_right()


def test_ratios_are_to_the_bank_in_a_batch_and_beside_the_goals():
    told = comparison(records(**{BATCH: 200.0, HALF_SPACE_TREES: 20_000.0, GAUSSIAN: 1_000.0}))
    assert told["times_the_cost_of_the_batch"][HALF_SPACE_TREES] == 100.0
    assert told["goals_met"] == {HALF_SPACE_TREES: True, GAUSSIAN: False}


def test_nothing_is_compared_unless_all_were_measured():
    assert comparison(records()[:-1]) == {}
