"""River detectors as the README shows them: from configuration and rows to their anomalies."""

import numpy as np
import pytest

from aiops.config import Config
from aiops.dataplane import DataPlane
from aiops.domain.anomaly import AnomalyChange
from aiops.domain.labels import labels_from
from aiops.domain.samples import SampleBatch
from aiops.errors import ConfigError
from aiops.wire.labels import encode_labels

T0_MS = 1_700_000_000_000
STEP_MS = 15_000
TREES = {"name": "trees", "match": '{job="node"}', "detector": "river.anomaly.HalfSpaceTrees"}
GAUSSIAN = "river.anomaly.GaussianScorer"
SCALED = "river.preprocessing.MinMaxScaler | river.anomaly.HalfSpaceTrees"


def plane(**river) -> DataPlane:
    seeded = {} if river.get("detector") == GAUSSIAN else {"params": {"seed": 1}}
    detect = {"river": [TREES | seeded | river], "absence": {"enabled": False}}
    detect |= {"alarm_score": 4.0, "clear_score": 2.0, "open_samples": 2}
    return DataPlane(Config.model_validate({"detect": detect}))


def feed(data, values, job="node"):
    block = encode_labels(labels_from({"__name__": "load", "job": job, "instance": "i"}))
    events = []
    for k, value in enumerate(values):
        columns = np.array([1], np.uint64), np.array([T0_MS + STEP_MS * k]), np.array([value])
        batch = SampleBatch(*columns, (1,), (block,))
        events += data.take(batch, T0_MS + STEP_MS * k).events
    return [event for event in events if event.anomaly.detector == "trees"]


def values(fault=0.0):
    """Noise around a half, with ten samples that a fault shifts, after two windows of the trees."""
    noise = np.random.default_rng(1).normal(0.3, 0.05, 1300)
    noise[1200:1210] += fault
    return noise


@pytest.mark.parametrize("detector", [TREES["detector"], GAUSSIAN])
def test_river_detectors_open_an_anomaly_where_the_series_leaves_its_past(detector):
    data = plane(detector=detector)
    opened, *rest = feed(data, values(fault=0.65))
    assert opened.change is AnomalyChange.OPENED
    assert 1200 <= (opened.anomaly.onset_ms - T0_MS) // STEP_MS < 1210
    assert [event.change for event in rest] == [AnomalyChange.CLOSED]


@pytest.mark.parametrize("detector", [TREES["detector"], GAUSSIAN, SCALED])
def test_river_detectors_say_nothing_of_noise_or_of_series_they_do_not_watch(detector):
    assert feed(plane(detector=detector), values()) == []
    assert feed(plane(detector=detector), values(fault=0.65), job="other") == []


def test_the_plane_of_a_detector_that_cannot_be_made_is_refused():
    with pytest.raises(ConfigError, match=r"detect.river\[trees\].detector: .* did you mean"):
        plane(detector="river.anomaly.HalfSpaceTree")
