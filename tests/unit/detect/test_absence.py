"""Absences through the data plane: what is kept, what is bounded, what settings do."""

import numpy as np
import pytest

from aiops.config import Config
from aiops.dataplane import DataPlane
from aiops.detect.absence_verdict import silence_score
from aiops.domain.anomaly import AnomalyChange, AnomalyEvent
from aiops.domain.labels import labels_from
from aiops.domain.records import MetadataBatch
from aiops.domain.samples import SampleBatch
from aiops.wire.labels import encode_labels

T0_MS = 1_700_000_000_000
STEP_MS = 15_000
N_SERIES = 6
"""Of each of three instances of one job."""


def plane(**absence) -> DataPlane:
    return DataPlane(Config.model_validate({"detect": {"absence": absence}}))


def instance_of(number: int) -> int:
    return number // N_SERIES


def send(data: DataPlane, numbers: list[int], now_ms: int) -> list[AnomalyEvent]:
    blocks = []
    for number in numbers:
        pairs = {"__name__": f"m{number}", "job": "a", "instance": f"i{instance_of(number)}"}
        blocks.append(encode_labels(labels_from(pairs)))
    keys = [number + 1 for number in numbers]
    batch = SampleBatch(
        np.array(keys, np.uint64),
        np.full(len(keys), now_ms, np.int64),
        np.ones(len(keys)),
        tuple(keys),
        tuple(blocks),
    )
    return data.take(batch, now_ms).events


def go_on(data: DataPlane, rounds: range, gone: frozenset[int] = frozenset()) -> list[AnomalyEvent]:
    """Let rounds of samples come, of all series but those gone, and time pass between them."""
    events = []
    numbers = [number for number in range(3 * N_SERIES) if number not in gone]
    for round_ in rounds:
        now_ms = T0_MS + round_ * STEP_MS
        events += send(data, numbers, now_ms) if numbers else []
        for part in range(3):
            events += data.tick(now_ms + part * 5000).events
    return events


def instances(*numbers: int) -> frozenset[int]:
    return frozenset(n for n in range(3 * N_SERIES) if instance_of(n) in numbers)


def restored(data: DataPlane, **absence) -> DataPlane:
    fresh = plane(**absence)
    fresh.restore({k: v.copy() for k, v in data.state().items()}, MetadataBatch(()))
    return fresh


def told(events: list[AnomalyEvent]) -> list[tuple[str, str, str]]:
    return [
        (event.change.value, event.anomaly.absence.reason.value, str(dict(event.anomaly.labels)))
        for event in events
        if event.anomaly.absence is not None
    ]


OLD, GONE, BACK = range(0, 100), range(100, 115), range(115, 120)


@pytest.mark.parametrize("cut", [2, 8, 9, 10, 14])
def test_a_restart_at_any_round_changes_nothing(cut):
    whole, torn = plane(), plane()
    gone = instances(1) | {0}
    events = go_on(whole, OLD) + go_on(whole, GONE, gone) + go_on(whole, BACK)
    parts = go_on(torn, OLD) + go_on(torn, range(100, 100 + cut), gone)
    torn = restored(torn)
    parts += go_on(torn, range(100 + cut, 115), gone) + go_on(torn, BACK)
    assert parts == events
    assert len(told(events)) == 4
    for name, array in whole.state().items():
        assert array.tobytes() == torn.state()[name].tobytes(), name


def test_a_closed_absence_has_the_id_and_onset_it_opened_with():
    data = plane()
    go_on(data, OLD)
    opened, closed = go_on(data, GONE, instances(1)) + go_on(data, BACK)
    assert (opened.change, closed.change) == (AnomalyChange.OPENED, AnomalyChange.CLOSED)
    assert opened.anomaly.anomaly_id == closed.anomaly.anomaly_id
    assert opened.anomaly.onset_ms == closed.anomaly.onset_ms == T0_MS + 99 * STEP_MS
    assert closed.anomaly.end_ms == T0_MS + 115 * STEP_MS


def test_nothing_is_watched_when_it_is_off():
    data = plane(enabled=False)
    assert go_on(data, OLD) + go_on(data, GONE, instances(0, 1, 2)) == []


def test_switching_it_off_closes_what_was_open():
    data = plane()
    go_on(data, OLD)
    go_on(data, GONE, instances(1))
    off = restored(data, enabled=False)
    (event,) = off.tick(T0_MS + 116 * STEP_MS).events
    assert event.change is AnomalyChange.CLOSED
    assert off.absence.open_now == 0


def test_groups_by_other_labels_begin_anew_and_close_the_former_ones():
    data = plane()
    go_on(data, OLD)
    go_on(data, GONE, instances(1))
    other = restored(data, group_by=["instance"])
    events = go_on(other, range(115, 120), instances(1))
    labels = "{'instance': 'i1', 'job': 'a'}"
    assert told(events)[0] == ("closed", "silent", labels)


def test_a_snapshot_of_a_release_without_absences_is_taken():
    data = plane()
    go_on(data, OLD)
    state = {k: v for k, v in data.state().items() if not k.startswith("absence.")}
    fresh = plane()
    fresh.restore(state, MetadataBatch(()))
    assert told(go_on(fresh, range(100, 150))) == []
    assert told(go_on(fresh, range(150, 165), instances(2))) == [
        ("opened", "silent", "{'instance': 'i2', 'job': 'a'}")
    ]


def test_without_groups_series_are_absent_by_themselves():
    data = plane(group_by=[], series_per_group_max=10)
    go_on(data, OLD)
    events = go_on(data, GONE, instances(1))
    assert len(events) == N_SERIES
    assert {event.anomaly.fingerprint for event in events} == {n + 1 for n in instances(1)}


def test_absences_of_series_can_be_switched_off():
    data = plane(series_per_group_max=0)
    go_on(data, OLD)
    assert go_on(data, GONE, frozenset({0})) == []


def test_absences_beyond_the_bound_are_counted_and_open_later():
    config = Config.model_validate(
        {
            "detect": {
                "anomalies_open_max": 10,
                "absence": {"group_by": [], "series_per_group_max": 100},
            }
        }
    )
    data = DataPlane(config)
    go_on(data, OLD)
    assert len(go_on(data, GONE, frozenset(range(12)))) == 10
    assert data.absence.open_now == 10
    assert data.absence.shed_total > 0
    returned = go_on(data, range(115, 117), frozenset(range(5, 12)))
    assert [event.change.value for event in returned] == ["closed"] * 5 + ["opened"] * 2


def test_a_series_needs_its_gaps_before_it_counts():
    data = plane(min_gaps=50)
    go_on(data, range(0, 40))
    assert go_on(data, range(40, 55), instances(1)) == []


def test_an_ignored_series_is_never_absent():
    config = Config.model_validate({"detect": {"ignore": ['{instance="i1"}']}})
    data = DataPlane(config)
    go_on(data, OLD)
    assert go_on(data, GONE, instances(1)) == []


def test_a_longer_silence_scores_higher_and_a_steadier_series_too():
    steady = [silence_score(span_s, 15.0, 15.0) for span_s in (15, 60, 120)]
    assert steady == sorted(steady) and steady[0] < 2 < steady[-1]
    assert silence_score(120, 15.0, 40.0) < silence_score(120, 15.0, 20.0)
