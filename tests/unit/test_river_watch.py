"""River detectors beside the built-in one."""

import numpy as np

from aiops.config import DetectConfig
from aiops.domain.anomaly import AnomalyChange
from aiops.domain.labels import labels_from
from aiops.river_watch import RiverWatches

RULE = {
    "name": "svm",
    "match": '{job="watched"}',
    "detector": "river.anomaly.OneClassSVM",
    "params": {"nu": 0.1},
}
LABELS = {0: labels_from({"job": "watched"}), 1: labels_from({"job": "other"})}
BOTH = np.array([0, 1], np.int32)


def config() -> DetectConfig:
    return DetectConfig.model_validate(
        {
            "warmup_samples": 20,
            "alarm_score": 5.0,
            "clear_score": 3.5,
            "open_samples": 1,
            "close_samples": 2,
            "river": [RULE],
        }
    )


def watches() -> RiverWatches:
    made = RiverWatches(config(), 4)
    made.admit(BOTH, LABELS.__getitem__)
    return made


WORD = 5 << 48
"""Quality flags of each row."""


def judge(made: RiverWatches, values, start_ms=0, slot=0):
    """Feed one row at a time; return the events and the marks of rows inside an anomaly."""
    events, marks = [], []
    for n, value in enumerate(values):
        mark = np.zeros(1, np.uint8)
        row = (np.array([slot], np.int32), np.array([start_ms + 1000 * n]), np.array([value]))
        for name, told in made.judge(*row, np.array([WORD], np.uint64), mark):
            assert name == "svm"
            events += told
        marks.append(int(mark[0]))
    return events, marks


def quiet(n, seed=1):
    return np.random.default_rng(seed).uniform(0.0, 0.1, n)


def with_open_anomaly() -> RiverWatches:
    made = watches()
    events, marks = judge(made, [*quiet(200), 5.0])
    assert [event.change for event in events[-1:]] == [AnomalyChange.OPENED]
    assert marks[-1] == 1
    return made


def saved(made: RiverWatches):
    arrays = {name: array.copy() for name, array in made.state(2).items()}
    return {**arrays, "series.fingerprints": np.array([11, 12], np.uint64)}


def test_only_series_that_match_are_watched():
    made = watches()
    assert judge(made, [*quiet(200), 5.0], slot=1) == ([], [0] * 201)


def test_an_anomaly_that_was_open_at_a_stop_still_ends():
    restored = RiverWatches(config(), 4)
    restored.restore(saved(with_open_anomaly()), BOTH, LABELS.__getitem__)
    events, marks = judge(restored, quiet(3), start_ms=300_000)
    assert [event.change for event in events] == [AnomalyChange.CLOSED]
    assert marks == [1, 0, 0]


def test_restored_series_are_watched_by_their_labels():
    restored = RiverWatches(config(), 4)
    restored.restore(saved(watches()), BOTH, LABELS.__getitem__)
    assert judge(restored, [*quiet(200), 5.0])[0] != []
    assert judge(restored, [*quiet(200), 5.0], slot=1)[0] == []


def test_a_rule_the_snapshot_does_not_know_starts_afresh():
    restored = RiverWatches(config(), 4)
    fingerprints = np.array([11, 12], np.uint64)
    restored.restore({"series.fingerprints": fingerprints}, BOTH, LABELS.__getitem__)
    assert judge(restored, [*quiet(200), 5.0])[0] != []


def test_a_reset_series_stays_watched_and_a_forgotten_one_does_not():
    made = watches()
    made.reset(BOTH)
    assert judge(made, [*quiet(200), 5.0])[0] != []
    made.reset(BOTH)
    made.forget(BOTH)
    assert judge(made, [*quiet(200), 5.0])[0] == []


def test_the_anomaly_of_a_series_that_ended_is_closed():
    made = with_open_anomaly()
    told = [(name, [e.change for e in events]) for name, events in made.close(BOTH, 900_000)]
    assert told == [("svm", [AnomalyChange.CLOSED])]


def test_growing_keeps_what_is_watched_and_open():
    made = with_open_anomaly()
    made.grow(5000)
    assert [e.change for e in judge(made, quiet(3), start_ms=300_000)[0]] == [AnomalyChange.CLOSED]
