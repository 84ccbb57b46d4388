import logging
import math

import numpy as np
import pytest
from pydantic import ValidationError
from river import compose
from series_data import times

from aiops.config import DetectConfig, RiverRule
from aiops.detect.banks.river_bank import RiverBank, build_detector
from aiops.detect.calibrate import TailCalibrator
from aiops.detect.columns import ScoreColumns
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
        ("river.preprocessing.StandardScaler", "does not end in"),
        ("river.anomaly.GaussianScorer", "does not end in"),
        ("river.anomaly.HalfSpaceTrees | river.anomaly.HalfSpaceTrees", "no transformer"),
        ("river.anomaly.QuantileFilter", "refused its parameters"),
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


def test_unknown_parameters_are_refused():
    with pytest.raises(ConfigError, match="refused its parameters"):
        build_detector(rule(params={"no_such": 1}))


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
