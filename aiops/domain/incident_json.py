"""Incidents as JSON and back: one spelling for the state store, the API, messages and snapshots.

Times stay integers in epoch milliseconds and label sets become objects. Two things differ from
the records because JSON readers are not Python: a series' 64-bit fingerprint is 16 hex digits
(JavaScript keeps 53 bits), and a float that JSON cannot spell is the text "NaN", "+Inf" or "-Inf".
"""

import math
from collections.abc import Mapping
from typing import TypedDict, cast

from aiops.domain.absence import absence_from_json, absence_to_json
from aiops.domain.alert import Alert
from aiops.domain.anomaly import Anomaly, AnomalyKind
from aiops.domain.forecast import forecast_from_json, forecast_to_json
from aiops.domain.incident import (
    Incident,
    IncidentEventKind,
    IncidentState,
    Severity,
    TimelineEvent,
)
from aiops.domain.labels import Labels
from aiops.errors import DecodeError

Json = Mapping[str, object]


def incident_to_json(incident: Incident) -> dict[str, object]:
    """Return the JSON object of an incident, complete and ready for `orjson.dumps`."""
    return {
        "incident_id": incident.incident_id,
        "state": incident.state.value,
        "severity": incident.severity.value,
        "title": incident.title,
        "labels": dict(incident.labels),
        "opened_ms": incident.opened_ms,
        "updated_ms": incident.updated_ms,
        "resolved_ms": incident.resolved_ms,
        "acknowledged_by": incident.acknowledged_by,
        "anomalies": [anomaly_to_json(anomaly) for anomaly in incident.anomalies],
        "alerts": [_alert_to_json(alert) for alert in incident.alerts],
        "timeline": [_event_to_json(event) for event in incident.timeline],
        "dropped": incident.dropped,
    }


def incident_from_json(data: Json) -> Incident:
    """Return the incident that `incident_to_json` made `data` of; unknown keys are ignored.

    Raises
    ------
    DecodeError
        When a field is missing or has the wrong type.
    """
    try:
        return _incident_from_json(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DecodeError(f"not an incident: {type(error).__name__} {error}") from error


def _incident_from_json(data: Json) -> Incident:
    return Incident(
        incident_id=_text(data, "incident_id"),
        state=IncidentState(_text(data, "state")),
        severity=Severity(_text(data, "severity")),
        title=_text(data, "title"),
        labels=_labels(data, "labels"),
        opened_ms=_whole(data, "opened_ms"),
        updated_ms=_whole(data, "updated_ms"),
        resolved_ms=_whole(data, "resolved_ms"),
        acknowledged_by=_text(data, "acknowledged_by"),
        anomalies=tuple(anomaly_from_json(item) for item in _objects(data, "anomalies")),
        alerts=tuple(_alert_from_json(item) for item in _objects(data, "alerts")),
        timeline=tuple(_event_from_json(item) for item in _objects(data, "timeline")),
        dropped=_whole(data, "dropped"),
    )


def anomaly_to_json(anomaly: Anomaly) -> dict[str, object]:
    """Return the JSON object of an anomaly."""
    return {
        "anomaly_id": anomaly.anomaly_id,
        "fingerprint": f"{anomaly.fingerprint:016x}",
        "labels": dict(anomaly.labels),
        "detector": anomaly.detector,
        "onset_ms": anomaly.onset_ms,
        "peak_ms": anomaly.peak_ms,
        "end_ms": anomaly.end_ms,
        "score": _spell(anomaly.score),
        "value": _spell(anomaly.value),
        "expected": _spell(anomaly.expected),
        "lower": _spell(anomaly.lower),
        "upper": _spell(anomaly.upper),
        "quality": list(anomaly.quality),
        "kind": anomaly.kind.value,
        "absence": absence_to_json(anomaly.absence),
        "forecast": forecast_to_json(anomaly.forecast),
        "members": [
            {"series": series, "evidence": _spell(evidence)} for series, evidence in anomaly.members
        ],
        "alert": _spell(anomaly.alert),
        "p_value": _spell(anomaly.p_value),
        "parts": [{"stream": stream, "score": _spell(score)} for stream, score in anomaly.parts],
        "season": anomaly.season,
        "unit": anomaly.unit,
        "detector_version": anomaly.detector_version,
        "is_vetoed": anomaly.is_vetoed,
        "veto_reason": anomaly.veto_reason,
    }


def anomaly_from_json(data: Json) -> Anomaly:
    """Return the anomaly that `anomaly_to_json` made `data` of.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        When a field is missing or has the wrong type.
    """
    return Anomaly(
        anomaly_id=_text(data, "anomaly_id"),
        fingerprint=int(_text(data, "fingerprint"), 16),
        labels=_labels(data, "labels"),
        detector=_text(data, "detector"),
        onset_ms=_whole(data, "onset_ms"),
        peak_ms=_whole(data, "peak_ms"),
        end_ms=_whole(data, "end_ms"),
        score=_number(data, "score"),
        value=_number(data, "value"),
        expected=_number(data, "expected"),
        lower=_number(data, "lower"),
        upper=_number(data, "upper"),
        quality=tuple(_checked(flag) for flag in cast(list[object], data["quality"])),
        # incidents of older releases knew one kind and did not name it
        kind=AnomalyKind(_checked(data.get("kind", AnomalyKind.DEVIATION.value))),
        absence=absence_from_json(data.get("absence")),
        forecast=forecast_from_json(data.get("forecast")),
        members=tuple(
            (_text(item, "series"), _number(item, "evidence"))
            for item in (_objects(data, "members") if "members" in data else ())
        ),
        **_explanation(data),
    )


class _Explanation(TypedDict, total=False):
    alert: float
    parts: tuple[tuple[str, float], ...]
    season: str
    unit: str
    detector_version: str
    is_vetoed: bool
    veto_reason: str


def _explanation(data: Json) -> _Explanation:
    """Return what explains an anomaly; those of older releases have none of it."""
    if "parts" not in data:
        return {}
    return {
        "alert": _number(data, "alert"),
        "parts": tuple(
            (_text(item, "stream"), _number(item, "score")) for item in _objects(data, "parts")
        ),
        "season": _text(data, "season"),
        "unit": _text(data, "unit"),
        "detector_version": _text(data, "detector_version"),
        "is_vetoed": data["is_vetoed"] is True,
        "veto_reason": _text(data, "veto_reason"),
    }


def _alert_to_json(alert: Alert) -> dict[str, object]:
    return {
        "fingerprint": alert.fingerprint,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "is_firing": alert.is_firing,
        "starts_at_ms": alert.starts_at_ms,
        "ends_at_ms": alert.ends_at_ms,
        "generator_url": alert.generator_url,
        "group_key": alert.group_key,
    }


def _alert_from_json(data: Json) -> Alert:
    return Alert(
        fingerprint=_text(data, "fingerprint"),
        labels=_labels(data, "labels"),
        annotations=_labels(data, "annotations"),
        is_firing=data["is_firing"] is True,
        starts_at_ms=_whole(data, "starts_at_ms"),
        ends_at_ms=_whole(data, "ends_at_ms"),
        generator_url=_text(data, "generator_url"),
        group_key=_text(data, "group_key"),
    )


def _event_to_json(event: TimelineEvent) -> dict[str, object]:
    return {
        "at_ms": event.at_ms,
        "kind": event.kind.value,
        "text": event.text,
        "actor": event.actor,
    }


def _event_from_json(data: Json) -> TimelineEvent:
    return TimelineEvent(
        at_ms=_whole(data, "at_ms"),
        kind=IncidentEventKind(_text(data, "kind")),
        text=_text(data, "text"),
        actor=_text(data, "actor"),
    )


def _spell(value: float) -> float | str:
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _number(data: Json, key: str) -> float:
    value = data[key]
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"{key} is not a number")
    return float(value)


def _whole(data: Json, key: str) -> int:
    value = data[key]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{key} is not a whole number")
    return value


def _text(data: Json, key: str) -> str:
    return _checked(data[key])


def _checked(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _labels(data: Json, key: str) -> Labels:
    pairs = cast(Mapping[str, object], data[key])
    return tuple(sorted((name, _checked(value)) for name, value in pairs.items()))


def _objects(data: Json, key: str) -> list[Json]:
    items = data[key]
    if not isinstance(items, list):
        raise TypeError(f"{key} is not a list")
    return items
