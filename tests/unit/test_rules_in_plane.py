"""Detection rules at work: from configuration and rows to anomalies."""

import numpy as np
import pytest

from aiops.config import Config
from aiops.dataplane import DataPlane
from aiops.detect.rules import BEYOND_SCORE
from aiops.domain.anomaly import AnomalyChange, AnomalyKind
from aiops.domain.explain import explain
from aiops.domain.labels import labels_from
from aiops.domain.records import Evict, MetadataBatch
from aiops.domain.samples import SampleBatch
from aiops.wire.labels import encode_labels

T0_MS = 1_700_000_000_000
STEP_MS = 15_000
N_QUIET = 300
OPENED, CLOSED = AnomalyChange.OPENED, AnomalyChange.CLOSED
RIVER = {"name": "svm", "detector": "river.anomaly.OneClassSVM", "params": {"nu": 0.1}}


def plane(*rules, **detect) -> DataPlane:
    """A plane whose anomalies open and close with the first rows that say so."""
    quick = {"warmup_samples": 60, "alarm_score": 5.0, "clear_score": 3.0}
    quick |= {"open_samples": 1, "close_samples": 3, "absence": {"enabled": False}}
    config = {"detect": {**quick, "rules": rules, **detect}}
    return DataPlane(Config.model_validate(config))


def feed(data: DataPlane, values, *, name: str = "load", start: int = 0, fingerprint: int = 1):
    """Feed one series one row a batch; return the events."""
    events = []
    block = encode_labels(labels_from({"__name__": name, "job": "j", "instance": "i"}))
    for k, value in enumerate(values, start):
        at_ms = T0_MS + STEP_MS * k
        columns = (np.array([fingerprint], np.uint64), np.array([at_ms]), np.array([value], float))
        events += data.take(SampleBatch(*columns, (fingerprint,), (block,)), at_ms).events
    return events


def noise(n: int = N_QUIET, level: float = 10.0):
    return level + 0.3 * np.random.default_rng(1).normal(size=n)


def fault(value: float, n: int = 5) -> list[float]:
    return [*noise(), *[value] * n]


def changes(events):
    return [event.change for event in events]


@pytest.mark.parametrize(("direction", "value"), [("up", 2.0), ("down", 18.0)])
def test_only_deviations_in_the_direction_asked_for_open_an_anomaly(direction, value):
    assert changes(feed(plane(), fault(value))) == [OPENED]
    assert feed(plane({"match": "load", "direction": direction}), fault(value)) == []
    assert changes(feed(plane({"match": "load", "direction": direction}), fault(20 - value))) == [
        OPENED
    ]


@pytest.mark.parametrize("setting", [{"deviation_min": 9.0}, {"deviation_ratio_min": 0.9}])
def test_deviations_smaller_than_asked_for_open_none(setting):
    rule = {"match": "load", **setting}
    assert feed(plane(rule), fault(18.0)) == []
    assert changes(feed(plane(rule), fault(28.0))) == [OPENED]


def test_other_series_are_judged_as_ever():
    rule = {"match": "load", "direction": "down"}
    assert changes(feed(plane(rule), fault(18.0), name="other")) == [OPENED]


def test_values_out_of_the_valid_range_are_neither_judged_nor_learnt():
    rule = {"match": "load", "valid_min": 0.0}
    data, clean = plane(rule), plane(rule)
    values = noise(400)
    spoilt = [value for k, value in enumerate(values) for value in ([value, -1.0][: 1 + (k > 60)])]
    assert feed(data, spoilt) == []
    feed(clean, [value if value >= 0 else np.nan for value in spoilt])
    for name in ("hot", "cold", "coarse"):
        assert data.state()[name].tobytes() == clean.state()[name].tobytes()
    assert next(data.rules.counts()).n_invalid == 339


def test_an_anomaly_just_after_invalid_values_says_so():
    events = feed(plane({"match": "load", "valid_max": 1e6}), [*noise(), 1e9, 18.0])
    (event,) = events
    assert event.anomaly.quality == ("invalid",)
    assert "invalid values before" in explain(event.anomaly)


def test_a_value_beyond_a_threshold_is_an_anomaly_that_says_which():
    rule = {"match": "load", "threshold_above": 10.5, "detector": "off"}
    data = plane(rule)
    events = feed(data, [*[10.0] * 5, 10.6, 12.0, *[10.0] * 3])
    assert changes(events) == [OPENED, CLOSED]
    anomaly = events[-1].anomaly
    assert anomaly.kind is AnomalyKind.THRESHOLD
    assert anomaly.anomaly_id == events[0].anomaly.anomaly_id
    assert (anomaly.value, anomaly.upper) == (12.0, 10.5)
    assert BEYOND_SCORE < anomaly.score < BEYOND_SCORE + 1
    assert explain(anomaly) == "load 12, above the threshold of 10.5; data fine"


def test_within_its_thresholds_a_series_is_still_judged():
    rule = {"match": "load", "threshold_below": 1.0}
    (event,) = feed(plane(rule), fault(18.0))
    assert event.anomaly.kind is AnomalyKind.DEVIATION


def test_a_deviation_that_goes_on_beyond_a_threshold_stays_one_anomaly():
    rule = {"match": "load", "threshold_above": 30.0}
    events = feed(plane(rule), [*fault(18.0), 35.0, *noise(20)])
    assert changes(events) == [OPENED, CLOSED]
    kinds = [event.anomaly.kind for event in events]
    assert kinds == [AnomalyKind.DEVIATION, AnomalyKind.THRESHOLD]
    assert len({event.anomaly.anomaly_id for event in events}) == 1


def test_a_threshold_of_a_counter_is_one_of_its_rate():
    rule = {"match": "requests_total", "threshold_above": 5.0}
    data = plane(rule)
    counted = (STEP_MS / 1000 * np.cumsum([*[1.0] * 5, 6.0])).tolist()
    (event,) = feed(data, counted, name="requests_total")
    assert event.anomaly.value == pytest.approx(6.0)


def test_a_series_without_a_detector_teaches_nobody():
    data = plane({"match": "load", "detector": "off"})
    assert feed(data, fault(500.0)) == []
    assert data.state()["hot"].any() == np.False_
    assert data.groups.state(1)["group.series"].any() == np.False_


def test_an_ignored_series_has_no_thresholds_either():
    rule = {"match": "load", "threshold_above": 1.0}
    assert feed(plane(rule, ignore=["load"]), fault(500.0)) == []


def test_metrics_of_the_service_itself_open_nothing_and_up_does():
    assert feed(plane(), fault(500.0), name="aiops_detect_anomalies_open") == []
    assert changes(feed(plane(), [*[1.0] * N_QUIET, *[0.0] * 5], name="up")) == [OPENED]


def test_a_rule_can_make_the_warm_up_longer():
    values = [*noise(100), *[18.0] * 5]
    assert changes(feed(plane(), values))[:1] == [OPENED]
    assert feed(plane({"match": "load", "warmup_samples": 200}), values) == []


@pytest.mark.parametrize(("season", "told"), [("auto", "day"), ("day", "day"), ("none", "")])
def test_a_rule_says_which_season_the_expected_value_may_follow(season, told):
    data = plane({"match": "load", "season": season})
    n = 5 * 288
    waves = 10 + 5 * np.sin(np.arange(n) * 2 * np.pi / 288) + noise(n, level=0.0)
    numbers, ts_ms = np.full(n + 5, 1, np.uint64), T0_MS + 300_000 * np.arange(n + 5)
    block = encode_labels(labels_from({"__name__": "load"}))
    values = np.array([*waves, *[100.0] * 5])
    events = data.take(SampleBatch(numbers, ts_ms, values, (1,), (block,)), int(ts_ms[-1])).events
    assert events[-1].anomaly.value == 100.0
    assert events[-1].anomaly.season == told


def test_a_changed_kind_begins_the_warm_up_anew():
    data = plane({"match": "load", "warmup_samples": 100})
    feed(data, noise(50))
    assert data.state()["rules.seen"].tolist() == [50]
    data.rules.reset(np.array([0], np.int32))
    assert data.state()["rules.seen"].tolist() == [0]


def test_a_newcomer_in_a_used_slot_has_its_own_rule():
    data = plane({"match": "load", "detector": "off"})
    feed(data, noise(5))
    data.evict(Evict((1,), T0_MS + 10**9), T0_MS + 10**9)
    events = feed(data, fault(18.0), name="other", start=10**6, fingerprint=2)
    assert changes(events) == [OPENED]


def test_a_river_detector_that_a_rule_names_judges_in_place_of_the_built_in_one():
    rule = {"match": "load", "detector": "svm"}
    data = plane(rule, river=[RIVER])
    events = feed(data, fault(500.0))
    assert {event.anomaly.detector for event in events} == {"svm"}
    assert data.state()["hot"].any() == np.False_


def test_a_challenger_is_compared_and_opens_nothing():
    rule = {"match": "load", "challenger": "svm"}
    data = plane(rule, river=[{**RIVER, "alarming": False}])
    events = feed(data, fault(500.0))
    assert {event.anomaly.detector for event in events} == {"seasonal"}
    (told,) = data.challengers()
    assert told.tally.n_champion == 1
    assert told.tally.n_own == told.tally.n_own_shared == 1
    assert told.would_be[0].series == 'load{instance="i", job="j"}'
    assert data.challenger_tallies()["svm"] == told.tally


def test_an_anomaly_of_a_detector_that_was_removed_ends_with_the_first_record_after_a_restart():
    data = plane(river=[{**RIVER, "match": "load"}])
    opened = [e for e in feed(data, fault(500.0)) if e.anomaly.detector == "svm"]
    assert changes(opened) == [OPENED]
    other = plane()
    other.restore({name: a.copy() for name, a in data.state().items()}, MetadataBatch(()))
    closed = [e for e in other.tick(T0_MS + 10**7).events if e.anomaly.detector == "svm"]
    assert changes(closed) == [CLOSED]
    assert closed[0].anomaly.anomaly_id == opened[0].anomaly.anomaly_id
    assert not any(name.startswith("river.") for name in other.state())


def test_a_restored_plane_goes_on_with_its_rules_bit_for_bit():
    rules = (
        {"match": "load", "valid_max": 1e3, "warmup_samples": 200, "threshold_above": 50.0},
        {"match": "other", "direction": "up"},
    )
    data, other = plane(*rules), plane(*rules)
    feed(data, [*noise(150), 1e6])
    feed(data, noise(150), name="other", fingerprint=2)
    other.restore({name: a.copy() for name, a in data.state().items()}, MetadataBatch(()))
    told = []
    for each in (data, other):
        told.append(feed(each, [*noise(100), *[60.0] * 3, 18.0, 18.0], start=151))
    assert told[0] == told[1] != []
    for name, array in data.state().items():
        assert array.tobytes() == other.state()[name].tobytes(), name
