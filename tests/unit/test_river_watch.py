"""River detectors beside the built-in one."""

import numpy as np
import pytest

from aiops.config import DetectConfig
from aiops.detect.columns import ScoreColumns
from aiops.detect.rules import DetectionRules
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


def config(*river, rules=()) -> DetectConfig:
    return DetectConfig.model_validate(
        {
            "warmup_samples": 20,
            "alarm_score": 5.0,
            "clear_score": 3.5,
            "open_samples": 1,
            "close_samples": 2,
            "river": river or [RULE],
            "rules": rules,
        }
    )


def fresh(cfg: DetectConfig | None = None) -> RiverWatches:
    """Watches over both series, to which no series was admitted yet."""
    cfg = cfg or config()
    rules = DetectionRules(cfg, 4, rows_max=4, window_rows=4)
    rules.admit(BOTH, LABELS.__getitem__)
    return RiverWatches(cfg, rules.columns, LABELS.__getitem__, 4)


def watches(cfg: DetectConfig | None = None) -> RiverWatches:
    made = fresh(cfg)
    made.admit(BOTH)
    return made


def restored(arrays, cfg: DetectConfig | None = None) -> RiverWatches:
    made = fresh(cfg)
    made.restore(arrays, BOTH)
    return made


WORD = 5 << 48
"""Quality flags of each row."""


def judge(made: RiverWatches, values, start_ms=0, slot=0, champion=False):
    """Feed one row at a time; return the events and the marks of rows inside an anomaly."""
    events, marks = [], []
    for n, value in enumerate(values):
        mark = np.full(1, champion, np.uint8)
        row = (np.array([slot], np.int32), np.array([start_ms + 1000 * n]), np.array([value]))
        built_in = ScoreColumns.allocate(1)
        built_in.parts[0] = WORD | 7
        for name, told in made.judge(*row, built_in, mark):
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
    assert events[-1].parts == WORD  # of the data, and not of the built-in score
    return made


def saved(made: RiverWatches):
    arrays = {name: array.copy() for name, array in made.state(2).items()}
    return {**arrays, "series.fingerprints": np.array([11, 12], np.uint64)}


def test_only_series_that_match_are_watched():
    made = watches()
    assert judge(made, [*quiet(200), 5.0], slot=1) == ([], [0] * 201)


def test_an_anomaly_that_was_open_at_a_stop_still_ends():
    again = restored(saved(with_open_anomaly()))
    assert list(again.settle()) == [("svm", [])]
    events, marks = judge(again, quiet(3), start_ms=300_000)
    assert [event.change for event in events] == [AnomalyChange.CLOSED]
    assert marks == [1, 0, 0]


def test_restored_series_are_watched_by_their_labels():
    again = restored(saved(watches()))
    assert judge(again, [*quiet(200), 5.0])[0] != []
    assert judge(again, [*quiet(200), 5.0], slot=1)[0] == []


def test_a_rule_the_snapshot_does_not_know_starts_afresh():
    again = restored({"series.fingerprints": np.array([11, 12], np.uint64)})
    assert judge(again, [*quiet(200), 5.0])[0] != []


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


OTHER = {**RULE, "name": "other"}


@pytest.mark.parametrize(
    "cfg",
    [
        config(OTHER),
        config({**RULE, "match": '{job="nobody"}'}),
        config({**RULE, "alarming": False}),
        config(rules=[{"match": "{}", "detector": "off"}]),
    ],
    ids=["removed", "matches others", "a challenger now", "switched off by a rule"],
)
def test_an_anomaly_of_what_is_not_watched_any_more_ends_after_a_restart(cfg):
    again = restored(saved(with_open_anomaly()), cfg)
    told = [(name, event) for name, events in again.settle() for event in events]
    ((name, event),) = told
    assert (name, event.change, event.slot) == ("svm", AnomalyChange.CLOSED, 0)
    assert (event.onset_ms, event.end_ms) == (200_000, 200_000)
    assert list(again.settle()) == []


def test_a_stop_before_the_first_record_still_lets_a_former_anomaly_end():
    once = restored(saved(with_open_anomaly()), config(OTHER))
    twice = restored(saved(once), config(OTHER))
    assert [len(events) for _, events in twice.settle()] == [1, 0]
    assert not any(name.startswith("river.svm.") for name in twice.state(2))


CHALLENGER = {**RULE, "alarming": False}


def test_a_challenger_opens_and_marks_nothing():
    made = watches(config(CHALLENGER))
    assert judge(made, [*quiet(200), 5.0, 5.0]) == ([], [0] * 202)
    (told,) = made.comparisons()
    assert (told.name, told.tally.n_own, told.tally.n_own_rows) == ("svm", 1, 2)
    (would_be,) = told.would_be
    assert would_be.series == '{job="watched"}'
    assert (would_be.onset_ms, would_be.end_ms, would_be.is_shared) == (200_000, 0, False)


def test_a_challenger_goes_on_after_a_restart_where_it_was():
    made = watches(config(CHALLENGER))
    judge(made, [*quiet(200), 5.0, 5.0], champion=True)
    arrays = saved(made)
    again = restored(arrays, config(CHALLENGER))
    list(again.settle())
    assert again.comparisons() == made.comparisons()
    assert {n: a.tobytes() for n, a in saved(again).items()} == {
        n: a.tobytes() for n, a in arrays.items()
    }
    judge(again, quiet(3), start_ms=300_000)
    (would_be,) = again.comparisons()[0].would_be
    assert (would_be.end_ms, would_be.is_shared) == (300_000, True)


def test_a_would_be_anomaly_ends_with_its_series():
    made = watches(config(CHALLENGER))
    judge(made, [*quiet(200), 5.0], champion=True)
    assert list(made.close(BOTH, 900_000)) == []
    (would_be,) = made.comparisons()[0].would_be
    assert would_be.end_ms == 900_000
    judge(made, quiet(5), start_ms=950_000)
    assert made.comparisons()[0].tally.n_own == 1


def test_challengers_see_the_marks_of_every_detector_that_decides():
    """Although they come first in the configuration."""
    made = watches(config({**CHALLENGER, "name": "shadow"}, RULE))
    judge(made, [*quiet(200), 5.0, 5.0])
    tally = made.comparisons()[0].tally
    assert (tally.n_champion, tally.n_shared_rows) == (1, 2)


BY_NAME = {**RULE, "match": None}


def test_a_rule_brings_a_detector_to_series_that_its_own_match_does_not_name():
    rules = [{"match": '{job="other"}', "detector": "svm"}]
    made = watches(config(BY_NAME, rules=rules))
    assert judge(made, [*quiet(200), 5.0], slot=0)[0] == []
    assert judge(made, [*quiet(200), 5.0], slot=1)[0] != []


def test_the_scores_of_a_detector_that_a_rule_names_are_those_of_the_rows():
    made = watches(config(BY_NAME, rules=[{"match": "{}", "detector": "svm"}]))
    judge(made, quiet(200))
    built_in = ScoreColumns.allocate(1)
    row = (np.array([0], np.int32), np.array([200_000]), np.array([5.0]))
    (told,) = made.judge(*row, built_in, np.zeros(1, np.uint8))
    assert built_in.scores[0] == told[1][0].score > 5.0


def test_the_scores_of_a_detector_beside_the_built_in_one_are_not_those_of_the_rows():
    made = watches()
    judge(made, quiet(200))
    built_in = ScoreColumns.allocate(1)
    row = (np.array([0], np.int32), np.array([200_000]), np.array([5.0]))
    assert len(list(made.judge(*row, built_in, np.zeros(1, np.uint8)))) == 1
    assert built_in.scores[0] == 0.0
