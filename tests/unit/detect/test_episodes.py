import numpy as np
import pytest
from series_data import START_MS, times

from aiops.config import DetectConfig
from aiops.detect.columns import ScoreColumns
from aiops.detect.episodes import Episodes
from aiops.domain.anomaly import AnomalyChange

OPENED, CLOSED = AnomalyChange.OPENED, AnomalyChange.CLOSED


def run(machine, scores, slot=0, start=0, values=None, alerts=None):
    n = len(scores)
    features = np.arange(n, dtype=float) if values is None else np.array(values, float)
    out = ScoreColumns(
        np.array(scores, float),
        np.full(n, 2.0),
        np.full(n, 0.5),
        features,
        np.array(scores, float),
        np.array(scores if alerts is None else alerts, float),
        np.arange(start, start + n, dtype=np.uint64) * 1000,
    )
    mask = np.zeros(n, np.uint8)
    slots = np.full(n, slot, np.int32)
    events = machine.step(slots, times(n) + start * 1000, features, out, mask)
    return events, mask.tolist()


def machine_of(**settings):
    return Episodes(DetectConfig(**settings), 4, "seasonal")


def seconds(ms):
    return (ms - START_MS) // 1000


@pytest.mark.parametrize(
    "scores", [[7, 7, 7], [7, 0, 7, 0, 7], [7, 7, 0, 0, 7], [0, 0, 6, 5.9, 6, 6]]
)
def test_three_alarms_among_five_rows_open(scores):
    events, mask = run(machine_of(), scores)
    assert [e.change for e in events] == [OPENED]
    assert mask[-1] == 1 and not any(mask[:-1])
    assert seconds(events[0].onset_ms) == next(i for i, s in enumerate(scores) if s >= 6)


@pytest.mark.parametrize("scores", [[7, 7], [7, 0, 0, 0, 7, 7], [5.9] * 10])
def test_fewer_alarms_open_nothing(scores):
    assert run(machine_of(), scores) == ([], [0] * len(scores))


def test_one_sample_is_enough_where_the_config_says_so():
    events, mask = run(machine_of(open_samples=1), [0, 7])
    assert len(events) == 1 and mask == [0, 1]


def test_it_closes_after_quiet_rows_in_a_row_and_ends_at_the_first_of_them():
    events, mask = run(machine_of(), [9, 9, 9, 1, 1, 1, 4, 1, 1, 1, 1, 1, 1])
    assert [e.change for e in events] == [OPENED, CLOSED]
    assert seconds(events[1].end_ms) == 7
    assert mask == [0, 0] + [1] * 9 + [0, 0]


def test_the_peak_is_the_row_of_the_highest_score():
    events, _ = run(machine_of(), [7, 8, 7, 12, 7, 0, 0, 0, 0, 0])
    assert (events[0].score, events[0].value, seconds(events[0].peak_ms)) == (8, 1, 1)
    assert (events[1].score, events[1].value, seconds(events[1].peak_ms)) == (12, 3, 3)
    assert (events[1].expected, events[1].lower, events[1].upper) == (2.0, 1.5, 2.5)
    assert events[0].end_ms == 0


def test_parts_are_those_of_the_highest_score_and_the_alert_is_the_highest_of_its_own():
    scores, alerts = [7, 9, 7, 8, 0, 0, 0, 0, 0], [1, 0, 2, 5, 4, 0, 0, 0, 0]
    opened, closed = run(machine_of(), scores, alerts=alerts)[0]
    assert (opened.alert, opened.parts) == (2.0, 1000)
    assert (closed.alert, closed.parts) == (5.0, 1000)


def test_a_new_episode_knows_nothing_of_the_last_ones_alert():
    machine = machine_of()
    run(machine, [7, 7, 7, 0, 0, 0, 0, 0], alerts=[9] * 8)
    assert run(machine, [7, 7, 7], start=8, alerts=[1, 1, 3])[0][0].alert == 3.0


def test_absent_samples_count_neither_way():
    nan = float("nan")
    machine = machine_of()
    events, mask = run(machine, [7, 0, 0, 7, 7], values=[1, nan, nan, 1, 1])
    assert len(events) == 1 and mask[-1] == 1
    events, mask = run(machine, [0] * 9, start=5, values=[nan] * 9)
    assert events == [] and mask == [1] * 9


def test_rows_marked_by_another_detector_stay_marked():
    machine = machine_of()
    out = ScoreColumns.allocate(3)
    mask = np.ones(3, np.uint8)
    machine.step(np.zeros(3, np.int32), times(3), np.ones(3), out, mask)
    assert mask.tolist() == [1, 1, 1]


def test_slots_have_their_own_episodes():
    machine = machine_of()
    run(machine, [7, 7], slot=1)
    assert run(machine, [7, 7, 7], slot=2, start=2)[0][0].slot == 2
    assert [e.slot for e in run(machine, [7], slot=1, start=5)[0]] == [1]
    assert machine.open_now == 2


def test_beyond_the_bound_newcomers_are_shed_and_counted_until_there_is_room():
    machine = Episodes(DetectConfig(anomalies_open_max=10), 12, "seasonal")
    for slot in range(11):
        run(machine, [7, 7, 7], slot=slot)
    assert (machine.open_now, machine.shed_total) == (10, 1)
    run(machine, [0] * 5, slot=0, start=3)
    events, _ = run(machine, [7, 7, 7], slot=10, start=8)
    assert [e.change for e in events] == [OPENED]
    assert (machine.open_now, machine.shed_total) == (10, 1)


def test_a_series_that_ended_closes_now():
    machine = machine_of()
    run(machine, [7, 9, 7], slot=1)
    events = machine.close_stale(np.array([0, 1, 2], np.int32), START_MS + 60_000)
    assert [(e.change, e.slot, e.score) for e in events] == [(CLOSED, 1, 9)]
    assert seconds(events[0].end_ms) == 60
    assert machine.open_now == 0
    assert machine.close_stale(np.array([1], np.int32), START_MS) == []


def test_a_reset_slot_closes_as_of_its_last_row_and_forgets_suspicion():
    machine = machine_of()
    run(machine, [7, 7, 7, 7, 0], slot=1)
    run(machine, [7, 7], slot=2)
    events = machine.reset(np.array([1, 2], np.int32))
    assert [(e.change, e.slot, seconds(e.end_ms)) for e in events] == [(CLOSED, 1, 4)]
    assert run(machine, [7], slot=2, start=2)[0] == []


def test_growing_keeps_open_episodes():
    machine = machine_of()
    run(machine, [7, 7, 7], slot=3)
    machine.grow(100)
    machine.grow(50)
    assert run(machine, [0] * 5, slot=3, start=3)[0][0].change is CLOSED
    run(machine, [0], slot=99)


def test_a_restored_machine_goes_on_with_its_open_episodes():
    machine, other = machine_of(), machine_of()
    run(machine, [7, 11, 7, 1, 1], slot=1)
    run(machine, [7, 7], slot=2)
    saved = {name: array.copy() for name, array in machine.state().items()}
    other.restore(saved, 4)
    assert other.open_now == 1
    for slot in (1, 2):
        rest = [1, 1, 1, 7, 7]
        assert run(machine, rest, slot=slot, start=5) == run(other, rest, slot=slot, start=5)


def test_restoring_fewer_slots_forgets_the_episodes_of_the_others():
    machine, other = machine_of(), machine_of()
    run(machine, [7, 7, 7], slot=1)
    other.restore(machine.state(), 1)
    assert other.open_now == 0


def test_a_batch_gives_the_events_of_single_rows():
    scores = np.random.default_rng(1).choice([0.0, 4.0, 7.0], 300, p=[0.7, 0.1, 0.2]).tolist()
    whole, single = machine_of(open_samples=2), machine_of(open_samples=2)
    events = run(whole, scores, values=[1] * 300)[0]
    told = [e for i, s in enumerate(scores) for e in run(single, [s], start=i, values=[1])[0]]
    assert told == events and len(events) > 5
