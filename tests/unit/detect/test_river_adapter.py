import inspect
import random

import numpy as np
import pytest
from river import base, checks, preprocessing
from river.checks import common
from series_data import START_MS, score_series, times

from aiops.detect.river import SeriesDetector

DATASET_CHECKS = (
    common.check_learn_one,
    common.check_predict_one_pure,
    common.check_shuffle_features_no_impact,
    common.check_emerging_features,
    common.check_disappearing_features,
    common.check_radically_disappearing_features,
    common.check_bounded_memory_growth,
    common.check_pickling,
    common.check_clone_is_independent,
    common.check_predict_one_before_any_learn,
    common.check_no_state_aliasing_with_input,
    common.check_seeding_is_idempotent,
)
MODEL_CHECKS = tuple(
    check
    for name, check in inspect.getmembers(common, inspect.isfunction)
    if name.startswith("check_") and list(inspect.signature(check).parameters) == ["model"]
)


def with_times(n=300, seed=1):
    rng = random.Random(seed)
    return [({"value": rng.gauss(5, 1), "ts_ms": START_MS + 1000 * i}, False) for i in range(n)]


def plain(n=300, seed=2):
    rng = random.Random(seed)
    return [({"value": rng.gauss(5, 1)}, False) for _ in range(n)]


@pytest.mark.parametrize("check", MODEL_CHECKS, ids=lambda check: check.__name__)
def test_river_general_checks_pass(check):
    check(SeriesDetector())


@pytest.mark.parametrize("dataset", [plain, with_times], ids=lambda data: data.__name__)
@pytest.mark.parametrize("check", DATASET_CHECKS, ids=lambda check: check.__name__)
def test_river_data_checks_pass(check, dataset):
    random.seed(1)
    check(SeriesDetector(feature="value"), dataset())


def test_river_has_checks():
    assert len(MODEL_CHECKS) > 10 and callable(checks.yield_checks)


def test_scores_equal_those_of_the_bank_whether_asked_for_or_not():
    values = np.random.default_rng(1).normal(size=200)
    values[150:160] += 30
    out = score_series(values, times(200))
    asked, silent = SeriesDetector(interval_s=1), SeriesDetector(interval_s=1)
    for i, value in enumerate(values.tolist()):
        x = {"value": value, "ts_ms": START_MS + 1000 * i}
        assert asked.score_one(x) == asked.score_one(x) == out.scores[i]
        asked.learn_one(x)
        silent.learn_one(x)
    last = {"value": 3.0, "ts_ms": START_MS + 200_000}
    assert asked.score_one(last) == silent.score_one(last)


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
