import logging
import math
import re

import numpy as np
import pytest
from pydantic import ValidationError
from river import anomaly, compose
from series_data import times

from aiops.config import DetectConfig, RiverRule
from aiops.detect.banks.river_bank import RiverBank
from aiops.detect.calibrate import TailCalibrator
from aiops.detect.columns import ScoreColumns
from aiops.detect.river_build import build_detector, river_problems
from aiops.errors import ConfigError

SPACES = "river.preprocessing.MinMaxScaler | river.anomaly.HalfSpaceTrees"


def rule(detector=SPACES, **settings):
    return RiverRule(name="trees", match="{}", detector=detector, **settings)


def bank_of(**settings):
    return RiverBank(rule(**settings), DetectConfig(), 50)


def feed(bank, values, slot=0, rows_max=10_000):
    n = len(values)
    out = ScoreColumns.allocate(n)
    slots = np.full(n, slot, np.int32)
    bank.score_learn(slots, times(n), np.array(values, float), out, rows_max=rows_max)
    return out


def test_a_pipeline_is_built_with_parameters_for_its_last_step():
    detector = build_detector(rule(params={"n_trees": 3, "seed": 7}))
    assert isinstance(detector, compose.Pipeline)
    assert detector["HalfSpaceTrees"].n_trees == 3


@pytest.mark.parametrize(
    ("detector", "reason"),
    [
        ("river.anomaly.NoSuchThing", "does not exist"),
        ("river.nowhere.HalfSpaceTrees", "does not exist"),
        ("river.checks.yield_checks", "no River estimator"),
        ("river.anomaly.HalfSpaceTree", "did you mean HalfSpaceTrees?"),
        ("river.base.AnomalyDetector", "only the base of others"),
        ("river.preprocessing.StandardScaler", "StandardScaler is no anomaly detector"),
        ("river.linear_model.LinearRegression", "LinearRegression is no anomaly detector"),
        ("river.preprocessing.StandardScaler | river.anomaly.GaussianScorer", "name it alone"),
        ("river.anomaly.HalfSpaceTrees | river.anomaly.HalfSpaceTrees", "no transformer"),
        ("river.anomaly.QuantileFilter", "needs anomaly_detector, q as well"),
        ("river.feature_extraction.TFIDF | river.anomaly.OneClassSVM", "fails on a plain sample"),
    ],
)
def test_what_is_no_detector_is_refused_with_the_reason(detector, reason):
    with pytest.raises(ConfigError, match=reason):
        build_detector(rule(detector))


@pytest.mark.parametrize(
    "path", ["os.system", "riverx.anomaly.X", "river", "river.a|os.b", "river.a | os.system"]
)
def test_a_path_outside_river_does_not_pass_the_schema(path):
    with pytest.raises(ValidationError):
        rule(path)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"no_such": 1}, "'no_such' is no parameter of HalfSpaceTrees; it takes n_trees, height"),
        ({"n_trees": "many"}, "fails on a plain sample: TypeError"),
        ({"StandardScaler.with_std": True}, "no step is called StandardScaler"),
        ({"MinMaxScale.x": 1}, "did you mean MinMaxScaler?"),
        ({"MinMaxScaler.x": 1}, "'x' is no parameter of MinMaxScaler; it takes "),
    ],
)
def test_parameters_that_do_not_fit_are_refused(params, reason):
    with pytest.raises(ConfigError, match=re.escape(reason)):
        build_detector(rule(params=params))


def test_each_step_of_a_pipeline_can_have_parameters():
    path = "river.preprocessing.StandardScaler | river.anomaly.HalfSpaceTrees"
    built = build_detector(rule(path, params={"StandardScaler.with_std": False, "n_trees": 3}))
    assert built["StandardScaler"].with_std is False
    assert built["HalfSpaceTrees"].n_trees == 3


@pytest.mark.parametrize("name", ["GaussianScorer", "StandardAbsoluteDeviation"])
def test_a_supervised_detector_judges_the_value_of_the_sample(name):
    values = np.random.default_rng(1).normal(10, 1, 400)
    values[300] = 60.0
    out = feed(bank_of(detector=f"river.anomaly.{name}"), values)
    assert out.scores[300] > 5 > np.delete(out.scores, 300).max()
    other = feed(bank_of(detector=f"river.anomaly.{name}"), values, slot=3)
    assert other.scores.tolist() == out.scores.tolist()


def test_half_space_trees_find_what_leaves_the_range_known_so_far():
    values = np.random.default_rng(1).normal(0.3, 0.05, 1500)
    values[1200:1210] += 0.65
    out = feed(bank_of(detector="river.anomaly.HalfSpaceTrees", params={"seed": 1}), values)
    assert out.scores[1200] > 4 > out.scores[600:1200].max() + 0.5


def test_every_faulty_rule_is_told_with_its_place():
    faulty = rule("river.anomaly.NoSuchThing"), rule(), rule(params={"n_trees": "many"})
    places = [problem.split(": ")[0] for problem in river_problems(faulty)]
    assert places == ["detect.river[0].detector", "detect.river[2].params"]


def test_every_detector_of_river_can_be_named_or_is_refused_for_what_it_needs():
    made, refused = set(), {}
    for name in anomaly.__all__:
        try:
            build_detector(rule(f"river.anomaly.{name}"))
            made.add(name)
        except ConfigError as error:
            refused[name] = str(error)
    assert made >= {"HalfSpaceTrees", "LocalOutlierFactor", "OneClassSVM", "GaussianScorer"}
    assert set(refused) == {"PredictiveAnomalyDetection", "QuantileFilter", "ThresholdFilter"}
    assert "needs anomaly_detector" in refused["QuantileFilter"]


def test_wild_answers_to_the_first_samples_do_not_spoil_the_scale():
    values = np.random.default_rng(1).normal(10, 1, 400)
    values[300] = 60.0
    out = feed(bank_of(detector="river.anomaly.StandardAbsoluteDeviation"), values)
    assert out.scores[300] > 5 > out.scores[:300].max()


def test_an_outlier_scores_high_and_ordinary_samples_do_not():
    values = np.random.default_rng(1).normal(10, 1, 400)
    values[300:305] = 60.0
    out = feed(bank_of(detector="river.anomaly.LocalOutlierFactor"), values)
    assert (out.scores[:60] == 0).all()
    assert out.scores[300] > 6 > out.scores[100:300].max()
    assert np.isnan(out.expected).all() and np.isnan(out.half).all()


def test_the_constant_a_detector_answers_at_first_is_no_history():
    values = np.random.default_rng(1).normal(10, 1, 800)
    out = feed(bank_of(params={"seed": 1}), values)
    assert out.scores.max() < 6


def test_each_slot_has_its_own_detector():
    bank = bank_of(params={"seed": 1})
    values = np.random.default_rng(2).normal(size=100)
    alone = feed(bank_of(params={"seed": 1}), values)
    feed(bank, values * 50, slot=1)
    assert feed(bank, values, slot=2).scores.tolist() == alone.scores.tolist()


def test_slots_beyond_the_bound_are_refused_until_one_is_forgotten():
    bank = bank_of(series_max=1)
    feed(bank, [1.0, 2.0], slot=4)
    feed(bank, [1.0, 2.0, 3.0], slot=5)
    assert bank.rows_refused_total == 3
    bank.reset(np.array([4], np.int32))
    feed(bank, [1.0], slot=5)
    assert bank.rows_refused_total == 3


def test_rows_beyond_the_limit_of_a_call_are_shed_and_counted():
    bank = bank_of()
    out = feed(bank, np.ones(10), rows_max=4)
    assert bank.rows_shed_total == 6
    assert out.scores.tolist() == [0.0] * 10


def test_absent_samples_are_not_learnt():
    bank = bank_of(params={"seed": 1})
    values = np.random.default_rng(3).normal(size=200)
    gaps = np.insert(values, [80, 150], [math.nan, math.inf])
    judged = np.isfinite(gaps)
    out = feed(bank, gaps)
    assert (out.scores[~judged] == 0).all()
    assert out.scores[judged].tolist() == feed(bank_of(params={"seed": 1}), values).scores.tolist()


def test_a_detector_that_raises_costs_its_row_and_is_logged_once(caplog):
    bank = bank_of(detector="river.anomaly.OneClassSVM")

    class Broken:
        def score_one(self, x):
            raise ZeroDivisionError

    feed(bank, [1.0])
    bank._watches[0].detector = Broken()
    with caplog.at_level(logging.WARNING):
        out = feed(bank, [1.0, 2.0])
    assert bank.rows_failed_total == 2 and out.scores.tolist() == [0.0, 0.0]
    assert [record.message for record in caplog.records] == ["detector.failed"]


def test_nothing_is_saved_and_restoring_begins_anew():
    bank = bank_of(series_max=1)
    feed(bank, [1.0], slot=1)
    assert bank.state() == {}
    bank.restore({}, 0)
    feed(bank, [1.0], slot=2)
    assert bank.rows_refused_total == 0
    assert bank.bytes_per_series() > 0


def test_calibrated_scores_keep_their_promise_on_any_scale():
    for scale in (1e-9, 1.0, 1e9):
        rng = np.random.default_rng(5)
        calibrator = TailCalibrator(60)
        scores = np.array(
            [calibrator.score_learn(float(v)) for v in scale * rng.gamma(2, 1, 20_000)]
        )
        share = (scores[1000:] >= 3).mean()
        assert 2e-4 < share < 5e-3
        assert calibrator.score_learn(scale * 1000) > 6


def test_a_calibrator_survives_constants_and_extremes():
    calibrator = TailCalibrator(20)
    raws = [0.5] * 100 + [math.inf, -math.inf, 1e308, 5e-324] + [0.5] * 50
    scores = [calibrator.score_learn(raw) for raw in raws]
    assert all(math.isfinite(score) for score in scores)
    assert max(scores[:100]) == 0.0
