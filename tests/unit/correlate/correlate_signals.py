"""Small builders of signals for the tests of this folder."""

from aiops.config import CorrelateConfig
from aiops.domain.alert import Alert
from aiops.domain.anomaly import Anomaly, AnomalyChange, AnomalyEvent
from aiops.domain.labels import labels_from
from aiops.domain.records import AlertBatch

T0 = 1_700_000_000_000
S = 1000


def config(**settings) -> CorrelateConfig:
    return CorrelateConfig(**settings)


def anomaly(anomaly_id: str = "a1", *, service: str = "checkout", **fields) -> Anomaly:
    labels = fields.pop("labels", None)
    if labels is None:
        labels = {"__name__": "latency_seconds", "service": service}
    known = {
        "anomaly_id": anomaly_id,
        "fingerprint": sum(anomaly_id.encode()),
        "labels": labels_from(labels),
        "detector": "level",
        "onset_ms": T0 - 20 * S,
        "peak_ms": T0 - 10 * S,
        "end_ms": 0,
        "score": 8.0,
        "value": 0.31,
        "expected": 0.1,
        "lower": 0.05,
        "upper": 0.15,
    }
    return Anomaly(**(known | fields))


def opened(*args, **fields) -> AnomalyEvent:
    return AnomalyEvent(AnomalyChange.OPENED, anomaly(*args, **fields))


def closed(*args, end_ms: int = T0 + 30 * S, **fields) -> AnomalyEvent:
    return AnomalyEvent(AnomalyChange.CLOSED, anomaly(*args, end_ms=end_ms, **fields))


def alert(fingerprint: str = "f1", *, service: str = "checkout", **fields) -> Alert:
    labels = fields.pop("labels", None)
    if labels is None:
        labels = {"alertname": "HighLatency", "service": service}
        labels["severity"] = fields.pop("severity", "warning")
    known = {
        "fingerprint": fingerprint,
        "labels": labels_from(labels),
        "annotations": (),
        "is_firing": True,
        "starts_at_ms": T0,
        "ends_at_ms": 0,
    }
    return Alert(**(known | fields))


def resolved_alert(*args, **fields) -> Alert:
    return alert(*args, **({"is_firing": False, "ends_at_ms": T0 + 30 * S} | fields))


def batch(*alerts: Alert) -> AlertBatch:
    return AlertBatch(alerts)
