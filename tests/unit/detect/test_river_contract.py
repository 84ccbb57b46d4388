"""Every check that River has for anomaly detectors, by name, and what River's users do with one."""

import copy
import functools
import inspect
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
from river import anomaly, base, checks, compose, evaluate, metrics, preprocessing
from river.checks import common
from river_data import DETECTORS, payments, run

from aiops.detect.river import GroupDetector, PeerDetector, SeriesDetector
from aiops.errors import SnapshotError

IS_COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
N_SHORT = 480 if IS_COMPILED else 40

NOT_FOR_DETECTORS = {
    "check_debug_one": "pipelines alone have debug_one; run on ours below",
    "check_has_tag": "takes a tag, for estimators that have one",
    "check_learn_many_matches_learn_one": "River has no mini-batches of anomaly detectors",
    "check_mutable_attributes_exist": "for estimators whose parameters may change while they run",
    "check_predict_many_matches_predict_one": "River has no mini-batches of anomaly detectors",
    "check_predict_proba_many_matches_predict_proba_one": "for classifiers",
    "check_seeding_is_idempotent": "for what draws random numbers; run all the same below",
    "check_transform_many_matches_transform_one": "for transformers",
    "check_transform_one": "for transformers",
    "check_wrapper_accepts_kwargs": "for estimators that wrap another",
}
"""Checks that River does not run on anomaly detectors, and why."""

ALL_CHECKS = {
    name: check
    for name, check in inspect.getmembers(common, inspect.isfunction)
    if name.startswith("check_")
}
CHECKS = {name: check for name, check in ALL_CHECKS.items() if name not in NOT_FOR_DETECTORS}


def on_our_stream(check, model):
    """Run one of River's checks; those on data get ours, for River's own set is a download."""
    random.seed(1)
    if "dataset" not in inspect.signature(check).parameters:
        check(model)
        return
    is_long = check is common.check_bounded_memory_growth
    check(model, payments(2000 if is_long else 600))


def learnt(model):
    """What a detector, or the one that ends a pipeline, saves of what it learnt."""
    state = getattr(model, "_last_step", model).__getstate__()
    arrays = {name: (a.dtype, a.shape, a.tobytes()) for name, a in state["arrays"].items()}
    return state["params"], state["names"], state["next_ms"], arrays


@pytest.mark.skipif(not IS_COMPILED, reason="hours without the compiler")
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", DETECTORS)
def test_every_check_of_river_passes(name, check):
    on_our_stream(CHECKS[check], DETECTORS[name]().clone())


def test_checks_that_are_not_run_exist_and_are_named_in_what_river_runs_on_others():
    assert set(NOT_FOR_DETECTORS) < set(ALL_CHECKS)
    source = inspect.getsource(checks.yield_checks)
    for name in CHECKS:
        assert f"common.{name}" in source


def test_our_detectors_ask_river_to_skip_nothing():
    for detector in (SeriesDetector(), GroupDetector(), PeerDetector()):
        assert detector._unit_test_skips() == set()
        assert all(type(detector)(**params) for params in detector._unit_test_params())


@pytest.mark.parametrize("name", ["scaled series", "scaled group"])
def test_a_pipeline_explains_itself(name):
    common.check_debug_one(DETECTORS[name](), payments(30))


@pytest.mark.parametrize("name", DETECTORS)
def test_the_same_samples_give_the_same_scores(name):
    common.check_seeding_is_idempotent(DETECTORS[name](), payments(N_SHORT))


@pytest.mark.parametrize("name", DETECTORS)
def test_scores_change_nothing_whether_asked_for_or_not(name):
    asked, silent = DETECTORS[name](), DETECTORS[name]()
    stream = payments(N_SHORT)
    for k, (x, _) in enumerate(stream):
        before = learnt(asked)
        assert asked.score_one(x) == asked.score_one(dict(reversed(x.items())))
        asked.score_one(stream[k // 2][0])  # of another sample than the one learnt next
        if k % 3:
            asked.score_one(x)
        assert learnt(asked) == before
        asked.learn_one(x)
        silent.learn_one(x)
    assert learnt(asked) == learnt(silent)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("name", DETECTORS)
def test_a_copy_goes_on_to_the_bit(name, copied):
    stream = payments(N_SHORT, step_ms=None if name.startswith("scaled") else 60_000)
    model = DETECTORS[name]()
    half = N_SHORT * 3 // 4
    run(model, stream[:half])
    model.score_one(stream[half][0])
    second = copied(model)
    assert learnt(model) == learnt(second)
    scores = run(model, stream[half:])
    assert scores == run(second, stream[half:])
    assert max(scores) > 0 or not IS_COMPILED
    assert learnt(model) == learnt(second)


def test_a_pickle_is_small():
    detector = SeriesDetector()
    run(detector, [({"value": float(k)}, False) for k in range(100)])
    assert len(pickle.dumps(detector)) < 4096


def test_what_another_version_saved_is_refused():
    detector = SeriesDetector()
    state = detector.__getstate__()
    with pytest.raises(SnapshotError, match="another version of SeriesDetector"):
        SeriesDetector().__setstate__(state | {"layout": 0})
    with pytest.raises(SnapshotError, match="'hot' is missing"):
        SeriesDetector().__setstate__(state | {"arrays": {}})


@pytest.mark.parametrize("name", DETECTORS)
def test_a_clone_has_the_parameters_and_learnt_nothing(name):
    model = DETECTORS[name]()
    run(model, payments(30))
    clone = model.clone()
    assert clone._get_params() == model._get_params()
    assert isinstance(clone, base.AnomalyDetector)
    assert learnt(clone) == learnt(DETECTORS[name]())


@pytest.mark.skipif(not IS_COMPILED, reason="slow without the compiler")
@pytest.mark.parametrize("name", ["series", "group", "peers", "scaled group"])
def test_filters_tell_odd_samples_and_keep_the_detector_from_learning_them(name):
    make = {"threshold": functools.partial(anomaly.ThresholdFilter, threshold=4.0)}
    make["quantile"] = functools.partial(anomaly.QuantileFilter, q=0.97)
    for kind, wrap in make.items():
        model, told = wrap(DETECTORS[name]()), []
        plain = DETECTORS[name]()
        for x, is_odd in payments(1500):
            told.append((model.classify(model.score_one(x)), is_odd))
            model.learn_one(x)
            plain.learn_one(x)
        found = [is_told for is_told, is_odd in told if is_odd]
        false = [is_told for is_told, is_odd in told[401:] if not is_odd]
        assert sum(found) > 0.5 * len(found), kind
        assert sum(false) < 0.05 * len(false), kind
        assert learnt(model.anomaly_detector) != learnt(plain), kind


@pytest.mark.skipif(not IS_COMPILED, reason="slow without the compiler")
@pytest.mark.parametrize("name", DETECTORS)
def test_river_evaluates_them(name):
    # `checks.anomaly.check_roc_auc`, which needs scikit-learn, asks for 0.5. River's ROCAUC looks
    # at thresholds from 0 to 1 only, its rolling twin at the scores themselves.
    metric = metrics.RollingROCAUC(window_size=1500)
    found = evaluate.progressive_val_score(payments(1500), DETECTORS[name](), metric)
    assert found.get() > 0.8


@pytest.mark.skipif(not IS_COMPILED, reason="slow without the compiler")
def test_river_evaluates_a_filter_around_a_pipeline():
    # The other way round, a pipeline that ends in a filter, has no `classify` in River.
    scaled = preprocessing.StandardScaler() | SeriesDetector(feature="Amount")
    model = anomaly.ThresholdFilter(scaled, threshold=2.5)
    found = evaluate.progressive_val_score(payments(1500), model, metrics.ROCAUC())
    assert found.get() > 0.9


def test_a_pipeline_picks_the_features_of_a_detector():
    model = compose.Select("V1", "V2", "V3") | GroupDetector(20)
    run(model, payments(N_SHORT))
    assert model["GroupDetector"]._now.names() == ["V1", "V2", "V3"]


@pytest.mark.skipif(not IS_COMPILED, reason="this is the run without the compiler")
def test_the_contract_is_kept_without_the_compiler():
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
