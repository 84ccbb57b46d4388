"""The door to the detector: what it refuses, what it promises about what it returns."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops import evaluate
from aiops.config import Config, DetectConfig, RiverRule
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.errors import ConfigError
from aiops.evaluate import Scores, arrays, score_array, score_matrix

START_MS = 1_700_000_000_000
COLUMNS = tuple(Scores.__dataclass_fields__)
TREES = "river.preprocessing.MinMaxScaler | river.anomaly.HalfSpaceTrees"
DETECTORS = ("default", "river.anomaly.LocalOutlierFactor", TREES)


def times(n, step_ms=60_000):
    return START_MS + step_ms * np.arange(n)


def noise(n, seed=1):
    return np.random.default_rng(seed).normal(10, 1, n)


def assert_same_bits(found, wanted):
    for name in COLUMNS:
        assert getattr(found, name).tobytes() == getattr(wanted, name).tobytes(), name


@st.composite
def hostile_series(draw):
    """A noisy series with gaps in time, absent rows, jumps, stuck values and infinities."""
    n = draw(st.integers(1, 320))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps = np.full(n, draw(st.sampled_from([1000, 60_000, 3_600_000])))
    values = rng.normal(draw(st.sampled_from([0.0, 1e6])), 1, n)
    for _ in range(draw(st.integers(0, 4))):
        at, length = draw(st.integers(0, n - 1)), draw(st.integers(1, 60))
        kind = draw(st.sampled_from(["gap", "absent", "jump", "stuck", "infinite"]))
        if kind == "gap":
            steps[at] *= 1 + length
        elif kind == "jump":
            values[at : at + length] += 10.0**length
        else:
            filler = {"absent": math.nan, "stuck": values[at], "infinite": math.inf}[kind]
            values[at : at + length] = filler
    return START_MS + np.cumsum(steps), values


@pytest.mark.parametrize("detector", DETECTORS)
def test_the_scores_of_a_prefix_are_the_prefix_of_the_scores(detector):
    @settings(max_examples=40 if detector == "default" else 8, deadline=None)
    @given(hostile_series(), st.floats(0, 1))
    def check(series, share):
        ts_ms, values = series
        cut = int(share * len(values))
        whole = score_array(ts_ms, values, detector)
        part = score_array(ts_ms[:cut], values[:cut], detector)
        assert_same_bits(part, Scores(**{name: getattr(whole, name)[:cut] for name in COLUMNS}))

    check()


def test_chance_in_a_river_detector_is_the_same_in_every_call():
    whole = score_array(times(700), noise(700), TREES)
    part = score_array(times(600), noise(700)[:600], TREES)
    assert part.severity.max() > 1
    assert_same_bits(part, Scores(**{name: getattr(whole, name)[:600] for name in COLUMNS}))


@settings(max_examples=30, deadline=None)
@given(hostile_series(), st.integers(1, 50))
def test_one_call_gives_what_the_service_gives_batch_by_batch(series, batch_rows):
    ts_ms, values = series
    whole = score_array(ts_ms, values)
    bank = SeasonalBank(DetectConfig(), 1)
    severity, alert, expected = [], [], []
    for start in range(0, len(values), batch_rows):
        part = np.ascontiguousarray(values[start : start + batch_rows])
        out = ScoreColumns.allocate(len(part))
        slots, part_ms = np.zeros(len(part), np.int32), ts_ms[start : start + batch_rows]
        bank.score_learn(slots, part_ms, part, out)
        severity += out.severities.tolist()
        alert += out.alerts.tolist()
        expected += out.expected.tolist()
    assert whole.severity.tolist() == severity
    assert whole.alert.tolist() == alert
    np.testing.assert_array_equal(whole.expected, expected)


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_matrix_gives_what_its_columns_give_alone(detector):
    values = np.stack([noise(150, seed) * 10.0**seed for seed in range(4)], axis=1)
    values[70:80, 2] = math.nan
    together = score_matrix(times(150), values, detector)
    for k in range(4):
        alone = score_array(times(150), values[:, k], detector)
        assert_same_bits(Scores(**{n: getattr(together, n)[:, k] for n in COLUMNS}), alone)


def test_many_series_are_cut_into_banks_of_bounded_size(monkeypatch):
    values = np.stack([noise(100, seed) for seed in range(7)], axis=1)
    whole = score_matrix(times(100), values)
    monkeypatch.setattr(arrays, "BATCH_ROWS", 250)
    assert len(list(arrays._blocks(values))) == 4
    assert_same_bits(score_matrix(times(100), values), whole)


def test_the_columns_fit_together():
    values = noise(500)
    values[300] = 60.0
    scores = score_array(times(500), values)
    judged = ~np.isnan(scores.expected)
    assert judged[60:].all() and not judged[:59].any()
    assert (scores.lower[judged] <= scores.expected[judged]).all()
    np.testing.assert_allclose(scores.p_value, 10.0**-scores.severity)
    np.testing.assert_allclose((scores.lower + scores.upper)[judged], 2 * scores.expected[judged])
    assert scores.severity[300] > 4 and values[300] > scores.upper[300]


def test_absent_rows_score_nothing_and_have_no_band():
    values = noise(200)
    values[[100, 150]] = math.nan
    scores = score_array(times(200), values)
    assert (scores.severity[[100, 150]] == 0).all() and (scores.p_value[[100, 150]] == 1).all()
    for column in (scores.expected, scores.lower, scores.upper):
        assert np.isnan(column[[100, 150]]).all()


def test_infinite_values_are_huge_ones():
    values = noise(200)
    values[150] = math.inf
    scores = score_array(times(200), values)
    assert scores.severity[150] > 4
    assert np.isfinite(scores.severity).all()


def test_results_cannot_be_written_and_the_input_is_left_alone():
    values = noise(100)
    before = values.copy()
    scores = score_array(times(100), values)
    assert not any(getattr(scores, name).flags.writeable for name in COLUMNS)
    np.testing.assert_array_equal(values, before)


def test_lists_strided_and_read_only_arrays_are_taken():
    values = noise(300)[::3]
    frozen = values.copy()
    frozen.setflags(write=False)
    wanted = score_array(times(100), values.copy())
    for given_values in (values, frozen, values.tolist()):
        assert_same_bits(score_array(times(100).tolist(), given_values), wanted)


@pytest.mark.parametrize("shape", [(0,), (0, 0), (0, 3), (5, 0)])
def test_nothing_in_nothing_out(shape):
    score = score_array if len(shape) == 1 else score_matrix
    assert score(times(shape[0]), np.empty(shape)).severity.shape == shape


@pytest.mark.parametrize(
    ("ts_ms", "values", "reason"),
    [
        ([1, 2, 3], [1.0, 2.0], "3 times, but values for 2 rows"),
        ([1, 2], [[1.0], [2.0]], "one dimension, not 2"),
        ([[1, 2]], [1.0, 2.0], "ts_ms must have one dimension, not 2"),
        ([1, 5, 5, 6], [1.0] * 4, r"row 2 \(5\) is not later than row 1 \(5\)"),
        ([1, 5, 4, 6], [1.0] * 4, r"row 2 \(4\)"),
        ([1.5, 2.5], [1.0, 2.0], "must be integers"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_place(ts_ms, values, reason):
    with pytest.raises(ValueError, match=reason):
        score_array(ts_ms, values)


def test_a_matrix_needs_two_dimensions():
    with pytest.raises(ValueError, match="two dimensions"):
        score_matrix([1, 2], [1.0, 2.0])


def test_a_configured_rule_is_meant_by_its_name():
    rule = RiverRule(name="trees", match="{}", detector=TREES, params={"window_size": 50})
    config = Config(detect=DetectConfig(river=(rule,)))
    named = score_array(times(400), noise(400), "trees", config)
    plain = score_array(times(400), noise(400), TREES)
    early = slice(120, 300)  # after its own window, not after River's
    assert named.severity[early].max() > 0 == plain.severity[early].max()


def test_the_bound_on_watched_series_is_the_services_own():
    rule = RiverRule(
        name="one", match="{}", detector="river.anomaly.LocalOutlierFactor", series_max=1
    )
    config = Config(detect=DetectConfig(river=(rule,)))
    values = np.stack([noise(150)] * 2, axis=1)
    severity = score_matrix(times(150), values, "one", config).severity
    assert severity[:, 0].tolist() == severity[:, 1].tolist() and severity.max() > 0


def test_the_configuration_decides_the_warm_up():
    config = Config(detect=DetectConfig(warmup_samples=200))
    scores = score_array(times(300), noise(300), config=config)
    assert np.isnan(scores.expected[:199]).all() and np.isfinite(scores.expected[200:]).all()


@pytest.mark.parametrize(
    ("detector", "reason"),
    [
        ("no_such", "'no_such' is unknown; give 'default'"),
        ("river.anomaly.NoSuch", "does not exist"),
        ("river.preprocessing.StandardScaler", "is no anomaly detector"),
        ("river.anomaly.X; import os", "is unknown"),
    ],
)
def test_unknown_detectors_are_refused_before_any_work(detector, reason):
    with pytest.raises(ConfigError, match=reason):
        score_array([], [], detector)


def test_the_package_exports_the_door_and_nothing_else():
    assert evaluate.score_array is arrays.score_array
    with pytest.raises(AttributeError, match="no attribute 'score_arrays'"):
        evaluate.score_arrays  # noqa: B018 - the look-up is what is tested
