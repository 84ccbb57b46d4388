import itertools

import pytest

from aiops.evaluate.faults import DURATION_S, GAP_S, Fault, FaultKind, FaultSchedule

START_MS = 1_700_000_000_000
SERVICES = tuple(f"service-{k}" for k in range(8))


def faults(seed: int, *, hours: int = 2) -> tuple[Fault, ...]:
    schedule = FaultSchedule(seed, SERVICES, first_ms=START_MS)
    return schedule.due(START_MS + hours * 3_600_000)


def test_a_fault_is_active_from_its_start_until_before_its_end():
    fault = Fault(FaultKind.LATENCY, "cart", START_MS, 40_000)
    assert [fault.is_active(START_MS + ms) for ms in (-1, 0, 39_999, 40_000)] == [
        False,
        True,
        True,
        False,
    ]


def test_progress_runs_from_nought_to_one():
    fault = Fault(FaultKind.MEMORY_LEAK, "cart", START_MS, 40_000)
    assert [fault.progress(START_MS + ms) for ms in (-5, 0, 10_000, 40_000, 90_000)] == [
        0.0,
        0.0,
        0.25,
        1.0,
        1.0,
    ]


def test_the_first_fault_starts_when_told():
    assert faults(1)[0].start_ms == START_MS


@pytest.mark.parametrize("seed", range(5))
def test_gaps_and_durations_stay_within_their_ranges(seed: int):
    found = faults(seed)
    assert len(found) > 50
    for before, after in itertools.pairwise(found):
        assert GAP_S[0] * 1000 <= after.start_ms - before.start_ms <= GAP_S[1] * 1000
        assert DURATION_S[0] * 1000 <= before.duration_ms <= DURATION_S[1] * 1000
        assert before.end_ms <= after.start_ms


@pytest.mark.parametrize("seed", range(5))
def test_kinds_alternate_and_all_occur(seed: int):
    kinds = [fault.kind for fault in faults(seed)]
    assert all(before is not after for before, after in itertools.pairwise(kinds))
    assert set(kinds[:5]) == set(FaultKind)


def test_every_service_has_its_turn_before_one_comes_again():
    assert {fault.service for fault in faults(3)[: len(SERVICES)]} == set(SERVICES)


def test_equal_seeds_give_equal_faults_and_others_differ():
    assert faults(4) == faults(4)
    assert faults(4) != faults(5)


def test_a_fault_is_due_once():
    schedule = FaultSchedule(1, SERVICES, first_ms=START_MS)
    assert schedule.due(START_MS - 1) == ()
    first = schedule.due(START_MS)
    assert len(first) == 1
    assert schedule.due(START_MS) == ()
    assert schedule.upcoming().start_ms > START_MS
