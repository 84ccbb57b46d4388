"""Entities and replicas inside the data plane: labels to groups, anomalies, snapshots, eviction."""

import numpy as np
import pytest

from aiops.config import Config
from aiops.dataplane import DataPlane
from aiops.detect.episodes import LEVEL_DEFAULT
from aiops.domain.anomaly import AnomalyChange, AnomalyKind
from aiops.domain.labels import labels_from
from aiops.domain.records import Evict, MetadataBatch
from aiops.domain.samples import STALE_BITS, SampleBatch
from aiops.wire.labels import encode_labels

T0_MS = 1_700_000_000_000
STEP_MS = 15_000
STALE = float(np.array([STALE_BITS], np.uint64).view(np.float64)[0])
METRICS = ("cpu", "load", "memory", "disk")
N_HOSTS = 6
FAULT_ROUND = 450
"""Past both warm-ups: 60 samples, then 300 rounds."""


def plane(alarms=None, **detect) -> DataPlane:
    # no series alone opens an anomaly here, so that what comes out comes from groups
    return DataPlane(
        Config.model_validate(
            {
                "detect": {"group": {"by": ["job", "instance"]}, **detect},
                "store": {"chunk_rows": 16},
                "alarms": alarms or {},
            }
        )
    )


def fleet(n_hosts=N_HOSTS, **more):
    """Label sets by fingerprint: four metrics on each host."""
    numbered = enumerate(((host, name) for host in range(n_hosts) for name in METRICS), start=1)
    return {
        number: labels_from(
            {"__name__": name, "job": "node", "instance": f"h{host}", "zone": "a", **more}
        )
        for number, (host, name) in numbered
    }


def batch(labels, round_, values) -> SampleBatch:
    n = len(labels)
    return SampleBatch(
        np.fromiter(labels, np.uint64, n),
        np.full(n, T0_MS + STEP_MS * round_, np.int64),
        np.asarray(values, float),
        tuple(labels),
        tuple(encode_labels(each) for each in labels.values()),
    )


def values_of(round_, n, *, hit=()):
    values = 10 + np.random.default_rng([7, round_]).normal(size=n)
    if FAULT_ROUND <= round_ < FAULT_ROUND + 12:
        values[list(hit)] += 40
    return values


def run(data, labels, rounds, *, hit=()):
    """Feed rounds; return the anomaly events of groups and peers."""
    events = []
    for round_ in rounds:
        values = values_of(round_, len(labels), hit=hit)
        events += data.take(batch(labels, round_, values), T0_MS + STEP_MS * round_).events
    return [event for event in events if event.anomaly.kind is not AnomalyKind.DEVIATION]


def of_kind(events, kind):
    return [event for event in events if event.anomaly.kind is kind]


def with_open_group() -> tuple[DataPlane, dict]:
    data, labels = plane(), fleet()
    events = run(data, labels, range(FAULT_ROUND + 10), hit=(4, 5, 6, 7))
    assert [event.change for event in events] == [AnomalyChange.OPENED]
    return data, labels


def test_a_host_whose_metrics_are_unusual_together_is_one_anomaly_of_kind_group():
    events = run(plane(), fleet(), range(FAULT_ROUND + 200), hit=(4, 5, 6, 7))
    assert [event.change for event in events] == [AnomalyChange.OPENED, AnomalyChange.CLOSED]
    opened, closed = (event.anomaly for event in events)
    assert opened.kind is AnomalyKind.GROUP
    assert opened.labels == (("instance", "h1"), ("job", "node"))
    assert opened.anomaly_id == closed.anomaly_id
    assert abs(opened.onset_ms - (T0_MS + STEP_MS * FAULT_ROUND)) <= 2 * STEP_MS
    assert closed.end_ms > closed.onset_ms
    assert opened.expected < opened.upper < opened.value


def test_an_anomaly_of_an_entity_names_its_most_unusual_series():
    events = run(plane(), fleet(), range(FAULT_ROUND + 200), hit=(4, 5, 6))
    for event in events:
        names = [series for series, _ in event.anomaly.members]
        assert set(names[:3]) == {'cpu{zone="a"}', 'load{zone="a"}', 'memory{zone="a"}'}
        evidence = [value for _, value in event.anomaly.members]
        assert evidence == sorted(evidence, reverse=True)
    assert events


@pytest.mark.parametrize("false_per_day", [50.0, 0.001])
def test_entities_heed_the_budget_of_the_fleet_where_it_asks_for_more(false_per_day):
    data = plane(alarms={"false_per_day": false_per_day})
    run(data, fleet(), range(FAULT_ROUND + 10))
    fleet_level = data.budget.levels()["fleet"]
    assert (fleet_level > LEVEL_DEFAULT) == (false_per_day < 1.0)
    assert data.groups.entities.level == max(fleet_level, LEVEL_DEFAULT)


@pytest.mark.parametrize(("level", "wanted"), [(3.0, LEVEL_DEFAULT), (7.5, 7.5)])
def test_the_level_of_groups_is_the_fleets_but_never_below_their_own(level, wanted):
    watch = plane().groups
    watch.follow_budget(level)
    assert (watch.entities.level, watch.peers.level) == (wanted, wanted)


def test_a_level_fixed_for_all_detectors_is_not_moved_by_a_budget():
    watch = plane(alarm_score=5.0).groups
    watch.follow_budget(9.0)
    assert (watch.entities.level, watch.peers.level) == (5.0, 5.0)


def test_restored_groups_have_the_level_they_had():
    strict = {"false_per_day": 0.001}
    data, other = plane(alarms=strict), plane(alarms=strict)
    run(data, fleet(), range(100))
    other.restore(data.state(), MetadataBatch(()))
    assert other.groups.entities.level == data.groups.entities.level > LEVEL_DEFAULT


def test_series_that_lack_a_label_to_group_by_are_in_no_entity():
    data = plane(group={"by": ["job", "cluster"]})
    assert run(data, fleet(), range(FAULT_ROUND + 20), hit=(4, 5, 6, 7)) == []
    assert data.groups.entities.n_entities == 0


def test_no_labels_to_group_by_means_no_entities_and_no_state():
    data = plane(group={"by": []})
    run(data, fleet(), range(3))
    assert not [name for name in data.state() if name.startswith(("group.", "peers."))]


def test_entities_beyond_the_bound_are_refused_and_counted():
    data = plane(group={"entities_max": 2})
    run(data, fleet(), range(1))
    assert data.groups.entities.n_entities == 2
    assert data.groups.entities.refused_total == (N_HOSTS - 2) * len(METRICS)


def test_a_replica_unlike_its_siblings_is_an_anomaly_of_kind_peer():
    data = plane(group={"by": []}, peers={"replica_labels": ["instance"]})
    events = run(data, fleet(), range(FAULT_ROUND + 60), hit=(8,))
    opened = [e.anomaly for e in of_kind(events, AnomalyKind.PEER) if e.change == "opened"]
    assert [anomaly.labels for anomaly in opened] == [fleet()[9]]
    assert opened[0].lower < opened[0].expected < opened[0].upper < opened[0].value


def test_of_many_replicas_all_are_compared_in_groups_of_64():
    data = plane(group={"by": []}, peers={"replica_labels": ["instance"]})
    run(data, fleet(n_hosts=130), range(1))
    assert data.groups.peers.n_groups == 3 * len(METRICS)
    assert data.groups.peers.refused_total == 0


def test_replicas_are_not_compared_unless_their_labels_are_given():
    data = plane(group={"by": []})
    assert run(data, fleet(), range(FAULT_ROUND + 60), hit=(8,)) == []
    assert data.groups.peers.n_groups == 0


def test_evicted_series_free_their_entity_and_close_its_anomaly():
    data, labels = with_open_group()
    host = [number for number in labels if labels[number][1] == ("instance", "h1")]
    later_ms = T0_MS + 100_000_000
    events = data.evict(Evict(tuple(host), later_ms), later_ms).events
    closed = of_kind(events, AnomalyKind.GROUP)
    assert [event.change for event in closed] == [AnomalyChange.CLOSED]
    assert closed[0].anomaly.labels == (("instance", "h1"), ("job", "node"))
    assert data.groups.entities.n_entities == N_HOSTS - 1
    assert data.groups.entities.open_now == 0


def test_an_entity_whose_series_all_end_has_no_open_anomaly_any_more():
    data, labels = with_open_group()
    at = FAULT_ROUND + 11
    events = data.take(batch(labels, at, [STALE] * len(labels)), T0_MS + STEP_MS * at).events
    assert [e.change for e in of_kind(events, AnomalyKind.GROUP)] == [AnomalyChange.CLOSED]


def test_slots_that_are_used_again_start_in_their_new_entity():
    data, labels = with_open_group()
    later_ms = T0_MS + 100_000_000
    data.evict(Evict(tuple(labels), later_ms), later_ms)
    others = {number + 100: each for number, each in fleet(job="web").items()}
    start = 10_000
    assert run(data, others, range(start, start + 420)) == []
    assert data.groups.entities.n_entities == N_HOSTS


@pytest.mark.parametrize("cut", [30, FAULT_ROUND + 4])
def test_a_restored_plane_judges_groups_and_peers_to_the_bit(cut):
    settings = {"peers": {"replica_labels": ["instance"]}}
    data, labels = plane(**settings), fleet()
    run(data, labels, range(cut), hit=(4, 5, 6, 7, 8))
    saved = {name: array.copy() for name, array in data.state().items()}
    other = plane(**settings)
    other.restore(saved, MetadataBatch(()))
    rest = range(cut, FAULT_ROUND + 60)
    told = [run(each, labels, rest, hit=(4, 5, 6, 7, 8)) for each in (data, other)]
    assert told[0] == told[1]
    assert told[0] or cut > FAULT_ROUND
    ours, theirs = data.state(), other.state()
    assert ours.keys() == theirs.keys()
    for name in (name for name in ours if name.startswith(("group.", "peers."))):
        assert ours[name].tobytes() == theirs[name].tobytes(), name


def test_a_snapshot_grouped_by_other_labels_lets_entities_start_anew():
    data, labels = plane(), fleet()
    run(data, labels, range(5))
    other = plane(group={"by": ["zone"]}, peers={"replica_labels": ["instance"]})
    other.restore(data.state(), MetadataBatch(()))
    assert other.groups.entities.n_entities == 1
    assert other.groups.peers.n_groups == len(METRICS)
