"""Which rule a series has, and what of it lives on."""

import math

import numpy as np
import pytest

from aiops.config import DetectConfig
from aiops.detect.columns import ScoreColumns
from aiops.detect.rules import BEYOND_SCORE, DetectionRules, RuleCounts, chief_of, claims_of
from aiops.domain.labels import labels_from

NAMES = ("node_load1", "aiops_engine_lag_seconds", "up", "scrape_series_added", "node_temp")
SLOTS = np.arange(len(NAMES), dtype=np.int32)
RIVER = "river.anomaly.OneClassSVM"


def labels_of(slot: int):
    return labels_from({"__name__": NAMES[slot]})


def config(*rules, **detect) -> DetectConfig:
    return DetectConfig.model_validate({"rules": rules, **detect})


def made(*rules, capacity: int = 8, **detect) -> DetectionRules:
    subject = DetectionRules(config(*rules, **detect), capacity, rows_max=64, window_rows=3)
    subject.admit(SLOTS, labels_of)
    return subject


def judged(subject: DetectionRules, slot: int, values) -> list[float]:
    """Return the scores of rows of one series that a bank gave 7 each, against 0."""
    n = len(values)
    slots = np.full(n, slot, np.int32)
    out = ScoreColumns.allocate(n)
    out.scores[:], out.expected[:] = 7.0, 0.0
    features = np.array(values, float)
    subject.prepare(slots, features, np.zeros(n, np.uint64))
    subject.apply(slots, features, out)
    return out.scores.tolist()


UP = {"match": '{__name__=~"node_.+"}', "direction": "up"}


DOWN = {"match": "node_temp", "direction": "down"}


def test_the_first_rule_that_matches_counts_alone():
    assert judged(made(UP, DOWN), 4, [1.0, -1.0]) == [7.0, 0.0]
    assert judged(made(DOWN, UP), 4, [1.0, -1.0]) == [0.0, 7.0]


def test_metrics_of_the_service_and_of_scraping_have_no_detector_and_up_has_the_usual_one():
    numbers = made().columns.numbers[SLOTS].tolist()
    assert numbers == [0, 1, 0, 2, 0]
    assert [r.detector for r in config().default_rules] == ["off", "off"]


def test_own_rules_come_before_those_of_the_product():
    subject = made({"match": '{__name__=~"aiops_.+"}'})
    assert subject.columns.numbers[SLOTS].tolist() == [0, 1, 0, 3, 0]
    features = np.array([1.0, 1.0])
    seen = subject.prepare(np.array([1, 3], np.int32), features, np.zeros(2, np.uint64))
    assert seen[0] == 1.0
    assert math.isnan(seen[1])


def test_a_deviation_counts_if_it_is_large_enough_in_both_ways():
    subject = made({"match": "up", "deviation_min": 2.0, "deviation_ratio_min": 0.1})
    slots = np.full(3, 2, np.int32)
    out = ScoreColumns.allocate(3)
    out.scores[:], out.expected[:] = 7.0, [10.0, 100.0, 100.0]
    subject.apply(slots, np.array([11.5, 105.0, 88.0]), out)
    assert out.scores.tolist() == [0.0, 0.0, 7.0]


def test_what_lies_farther_beyond_a_threshold_scores_higher():
    scores = judged(made({"match": "up", "threshold_above": 90.0}), 2, [90.0, 91.0, 99.0])
    assert scores[0] == 7.0
    assert BEYOND_SCORE < scores[1] < scores[2] < BEYOND_SCORE + 1


def test_a_threshold_is_above_any_fixed_level():
    subject = made({"match": "up", "threshold_below": 1.0}, alarm_score=40.0)
    assert judged(subject, 2, [0.0])[0] > 40.0


def test_a_threshold_counts_in_the_warm_up_of_its_rule():
    subject = made({"match": "up", "threshold_above": 9.0, "warmup_samples": 60})
    scores = judged(subject, 2, [*[1.0] * 58, 10.0, 1.0, 1.0])
    assert scores[:58] == [0.0] * 58
    assert scores[58] > BEYOND_SCORE
    assert scores[59:] == [0.0, 7.0]


def test_thresholds_are_told_where_there_are_any():
    subject = made({"match": "up", "threshold_above": 9.0})
    assert subject.threshold(2)[1] == 9.0
    assert all(map(math.isnan, (subject.threshold(2)[0], *subject.threshold(0))))


def test_each_rule_counts_what_it_did():
    subject = made({"match": "up", "valid_max": 5.0, "direction": "down", "threshold_above": 4.0})
    judged(subject, 2, [6.0, 1.0, 4.5, -1.0])
    counts = next(subject.counts())
    assert counts == RuleCounts("detect.rules[0]", 1, n_invalid=1, n_sifted=2, n_beyond=1)
    assert [c.place for c in subject.counts()][1:] == [
        "detect.default_rules[0]",
        "detect.default_rules[1]",
    ]


def test_rows_after_bad_data_are_marked_for_a_while():
    subject = made({"match": "up", "valid_max": 5.0})
    slots, words = np.full(6, 2, np.int32), np.zeros(6, np.uint64)
    subject.prepare(slots, np.array([1.0, 9.0, 1.0, 1.0, 1.0, 1.0]), words)
    assert (words > 0).tolist() == [False, False, True, True, True, False]


def test_without_a_ruled_series_columns_pass_untouched():
    subject = made({"match": "nothing", "detector": "off"}, default_rules=[])
    features = np.array([1.0])
    assert subject.prepare(np.array([0], np.int32), features, np.zeros(1, np.uint64)) is features
    assert judged(subject, 0, [1.0]) == [7.0]


def test_a_forgotten_series_leaves_no_rule_in_its_slot():
    subject = made(UP)
    subject.reset(SLOTS)
    subject.forget(SLOTS)
    assert subject.columns.numbers.tolist() == [0] * 8
    assert [c.n_series for c in subject.counts()] == [0, 0, 0]


def test_seasons_are_told_to_banks_a_slot_at_a_time():
    subject = made({"match": "up", "season": "week"}, {"match": "node_temp", "season": "none"})
    assert subject.columns.seasons[SLOTS].tolist() == [0, 0, 3, 0, 1]


RESTORED = {"match": "up", "valid_max": 5.0, "warmup_samples": 60}


def test_a_restored_series_goes_on_with_its_warm_up_and_its_marks():
    one, other = made(RESTORED), DetectionRules(config(RESTORED), 8, rows_max=64, window_rows=3)
    judged(one, 2, [*[1.0] * 40, 9.0])
    other.restore({name: a.copy() for name, a in one.state(5).items()}, SLOTS, labels_of)
    for subject in (one, other):
        assert judged(subject, 2, [1.0] * 21) == [0.0] * 20 + [7.0]
    for name, array in one.state(5).items():
        assert array.tobytes() == other.state(5)[name].tobytes()


def test_a_snapshot_from_before_there_were_rules_is_taken():
    subject = DetectionRules(config(UP), 8, rows_max=64, window_rows=3)
    subject.restore({}, SLOTS, labels_of)
    assert subject.columns.numbers[SLOTS].tolist() == [1, 2, 0, 3, 1]


def test_growing_keeps_rules_and_warm_ups():
    subject = made(RESTORED)
    judged(subject, 2, [1.0] * 59)
    subject.grow(100)
    subject.admit(np.array([99], np.int32), lambda _: labels_of(2))
    assert judged(subject, 2, [1.0, 1.0]) == [0.0, 7.0]
    assert judged(subject, 99, [1.0]) == [0.0]


@pytest.mark.parametrize(
    ("rule", "of_champion", "of_challenger"),
    [
        ({"detector": "svm"}, True, None),
        ({"detector": "off"}, False, False),
        ({"detector": "other"}, False, None),
        ({"challenger": "shadow"}, None, True),
        ({"detector": "off", "challenger": "shadow"}, False, True),
        ({"direction": "up"}, None, None),
    ],
)
def test_a_rule_says_which_river_detectors_look_on(rule, of_champion, of_challenger):
    river = [{"name": name, "detector": RIVER} for name in ("svm", "other")]
    river.append({"name": "shadow", "detector": RIVER, "alarming": False})
    cfg = config({"match": "{}", **rule}, river=river, default_rules=[])
    assert claims_of(cfg, "svm") == (None, of_champion)
    assert claims_of(cfg, "shadow") == (None, of_challenger)
    assert chief_of(cfg, "svm") == (False, rule.get("detector") == "svm")
