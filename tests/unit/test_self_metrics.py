"""The core's numbers as metrics."""

import numpy as np
from prometheus_client import CollectorRegistry

from aiops.config import Config
from aiops.domain.labels import labels_from
from aiops.domain.records import Record
from aiops.domain.samples import SampleBatch
from aiops.pipeline import Core
from aiops.self_metrics import register_core_metrics
from aiops.wire.labels import encode_labels

T0_MS = 1_700_000_000_000
SHADOW = {"name": "shadow", "detector": "river.anomaly.OneClassSVM", "alarming": False}


def core(**detect) -> Core:
    config = Config.model_validate({"detect": detect})
    return Core(config, receivers=(), playbooks=(), external_url="http://aiops")


def feed(subject: Core, values) -> None:
    for n, value in enumerate(values, 1):
        columns = (np.array([7], np.uint64), np.array([T0_MS + 1000 * n]), np.array([value]))
        blocks = (encode_labels(labels_from({"__name__": "up"})),)
        subject.apply(Record(n, T0_MS + 1000 * n, SampleBatch(*columns, (7,), blocks)))


def shown(subject: Core) -> CollectorRegistry:
    registry = CollectorRegistry()
    register_core_metrics(subject, registry)
    return registry


def test_each_rule_is_shown_by_its_place_with_what_it_did():
    subject = core(rules=[{"match": "up", "valid_max": 5, "threshold_above": 3}])
    feed(subject, [1.0, 9.0, 9.0, 4.0])
    registry = shown(subject)
    rule = {"rule": "detect.rules[0]"}
    assert registry.get_sample_value("aiops_detect_rule_series", rule) == 1
    rows = {
        fate: registry.get_sample_value("aiops_detect_rule_rows_total", {**rule, "fate": fate})
        for fate in ("invalid", "sifted", "beyond")
    }
    assert rows == {"invalid": 2, "sifted": 0, "beyond": 1}


def test_a_challenger_is_shown_with_its_anomalies_and_those_of_who_decides():
    rules = [{"match": "up", "challenger": "shadow", "threshold_above": 50}]
    subject = core(rules=rules, river=[SHADOW], warmup_samples=20, alarm_score=5, open_samples=1)
    feed(subject, [*np.random.default_rng(1).uniform(0.0, 0.1, 200), 100.0])
    registry = shown(subject)
    for by in ("challenger", "champion"):
        labels = {"detector": "shadow", "by": by}
        for name in ("anomalies_total", "anomalies_shared_total"):
            value = registry.get_sample_value(f"aiops_detect_challenger_{name}", labels)
            assert value == 1, (name, by)
    rows = registry.get_sample_value("aiops_detect_challenger_rows_total", {"detector": "shadow"})
    assert 100 < rows <= 201
