"""One series as a River detector: its scores are the bank's, and what it reads of a sample."""

import math
import random

import numpy as np
import pytest
from river import base, compose, preprocessing
from series_data import START_MS, score_series, times

from aiops.config import DetectConfig
from aiops.detect.river import TIME_KEY, SeriesDetector


def feed(detector, values, step_ms=1000):
    """Scores of samples with times, each scored twice and then learnt."""
    scores = []
    for i, value in enumerate(values.tolist()):
        x = {"value": value, TIME_KEY: START_MS + step_ms * i}
        scores.append(detector.score_one(x))
        assert detector.score_one(x) == scores[-1]
        detector.learn_one(x)
    return scores


def test_scores_equal_those_of_the_bank_whether_asked_for_or_not():
    values = np.random.default_rng(1).normal(size=200)
    values[150:160] += 30
    out = score_series(values, times(200))
    asked, silent = SeriesDetector(), SeriesDetector()
    assert feed(asked, values) == out.scores.tolist()
    for i, value in enumerate(values.tolist()):
        silent.learn_one({"value": value, TIME_KEY: START_MS + 1000 * i})
    last = {"value": 3.0, TIME_KEY: START_MS + 200_000}
    assert asked.score_one(last) == silent.score_one(last)


def test_scores_equal_those_of_the_bank_over_weeks_with_a_profile_of_its_own():
    n, step_ms, zone = 3 * 672, 900_000, "America/New_York"
    rng = np.random.default_rng(2)
    values = 50 + 30 * np.sin(np.arange(n) * 2 * np.pi / 96) + rng.normal(size=n)
    values[rng.random(n) < 0.01] = math.nan
    values[[700, 1500]] += 40
    config = DetectConfig(warmup_samples=20, time_zone=zone)
    out = score_series(values, times(n, step_ms / 1000), config)
    detector = SeriesDetector(20, time_zone=zone)
    assert feed(detector, values, step_ms) == out.scores.tolist()
    assert len(detector._now.state()["season_owners"]) == 1
    assert out.scores[1500] > 3


def test_scoring_another_sample_leaves_no_trace_when_the_profile_gets_its_room():
    n, step_ms = 2 * 672, 900_000
    values = 50 + 30 * np.sin(np.arange(n) * 2 * np.pi / 96)
    asked, silent = SeriesDetector(), SeriesDetector()
    for i, value in enumerate(values.tolist()):
        x = {"value": value, TIME_KEY: START_MS + step_ms * i}
        asked.score_one({"value": -value, TIME_KEY: START_MS + step_ms * (i + 3)})
        asked.learn_one(x)
        silent.learn_one(x)
    saved = [detector.__getstate__()["arrays"] for detector in (asked, silent)]
    assert all((saved[0][name] == saved[1][name]).all() for name in saved[0])
    assert len(saved[0]["season_owners"]) == 1


def test_parameters_are_kept_under_their_names_and_reach_a_clone():
    detector = SeriesDetector(warmup_samples=30, interval_s=5.0, feature="rate")
    assert detector.clone()._get_params() == detector._get_params()
    assert detector._get_params()["warmup_samples"] == 30


def test_it_ends_a_river_pipeline():
    pipeline = preprocessing.StandardScaler() | SeriesDetector(warmup_samples=20)
    assert isinstance(pipeline, base.AnomalyDetector)
    rng = random.Random(3)
    for _ in range(200):
        pipeline.learn_one({"value": rng.gauss(0, 1)})
    assert pipeline.score_one({"value": 100.0}) > 6 > pipeline.score_one({"value": 0.1})


def test_without_a_time_samples_are_an_interval_apart():
    explicit, assumed = SeriesDetector(), SeriesDetector(interval_s=900)
    rng = random.Random(4)
    for i in range(300):
        value = rng.gauss(i % 96, 1)
        explicit.learn_one({"value": value, "ts_ms": 900_000 * i})
        assumed.learn_one({"value": value})
    x = {"value": 50.0}
    assert assumed.score_one(x) == explicit.score_one(x | {"ts_ms": 900_000 * 300})


def test_a_missing_feature_is_absent():
    detector = SeriesDetector(feature="rate")
    assert detector.score_one({"other": 1.0}) == 0.0
    detector.learn_one({"other": 1.0})


def test_two_values_without_a_named_feature_are_an_error():
    with pytest.raises(ValueError, match="name the feature"):
        SeriesDetector().learn_one({"a": 1.0, "b": 2.0})


@pytest.mark.parametrize("absent", [None, math.nan])
def test_an_absent_value_scores_nothing_and_only_takes_its_time(absent):
    detector, other = SeriesDetector(), SeriesDetector()
    rng = random.Random(5)
    for i in range(200):
        value = rng.gauss(0, 1)
        x = {"value": absent if i % 7 == 0 else value}
        if i % 7 == 0:
            assert detector.score_one(x) == 0.0
        else:
            other.learn_one({"value": value, TIME_KEY: 60_000 * i})
        detector.learn_one(x)
    assert detector.score_one({"value": 9.0, TIME_KEY: 12_000_000}) == other.score_one(
        {"value": 9.0, TIME_KEY: 12_000_000}
    )


def test_a_time_that_a_scaler_has_changed_is_an_error_that_tells_how_to_avoid_it():
    scaled = preprocessing.StandardScaler() | SeriesDetector()
    with pytest.raises(ValueError, match="scalers before the detector must not see it"):
        feed(scaled, np.arange(5.0))
    past = compose.Select(TIME_KEY) + (compose.Discard(TIME_KEY) | preprocessing.StandardScaler())
    assert len(feed(past | SeriesDetector(), np.arange(5.0))) == 5


def test_too_short_a_warmup_is_an_error():
    with pytest.raises(ValueError, match="warmup_samples"):
        SeriesDetector(warmup_samples=5)
