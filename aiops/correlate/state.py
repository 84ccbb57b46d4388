"""The correlator's complete state as versioned JSON, for snapshots."""

from dataclasses import dataclass
from typing import Any

import orjson

from aiops.correlate.evidence import Evidence
from aiops.correlate.signal import (
    alert_keep,
    alert_member_id,
    anomaly_keep,
    anomaly_member_id,
)
from aiops.correlate.timeline import Timeline
from aiops.correlate.working import WorkingIncident
from aiops.domain.incident_json import incident_from_json, incident_to_json
from aiops.errors import DecodeError, SnapshotError

VERSION = 1


@dataclass(frozen=True, slots=True)
class Saved:
    """What a correlator is made of.

    The incidents are in the order they were opened, the keys of outcomes in that they came in.
    """

    seq: int
    k_next: int
    overflow_signals: int
    outcome_keys: tuple[str, ...]
    incidents: tuple[WorkingIncident, ...]


def write_state(saved: Saved, title_labels: tuple[str, ...]) -> bytes:
    """Return the state as JSON."""
    incidents = [_incident_to_json(incident, title_labels) for incident in saved.incidents]
    return orjson.dumps(
        {
            "version": VERSION,
            "seq": saved.seq,
            "k_next": saved.k_next,
            "overflow_signals": saved.overflow_signals,
            "outcome_keys": saved.outcome_keys,
            "incidents": incidents,
        }
    )


def read_state(state: bytes, *, members_max: int) -> Saved:
    """Return what `write_state` wrote.

    Raises
    ------
    SnapshotError
        When it is damaged or of another version.
    """
    try:
        data = orjson.loads(state)
        if data["version"] != VERSION:
            raise SnapshotError(f"correlator state of version {data['version']}, not {VERSION}")
        return Saved(
            seq=int(data["seq"]),
            k_next=int(data["k_next"]),
            overflow_signals=int(data["overflow_signals"]),
            outcome_keys=tuple(str(key) for key in data["outcome_keys"]),
            incidents=tuple(_incident_from_json(item, members_max) for item in data["incidents"]),
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, DecodeError) as error:
        raise SnapshotError(f"correlator state is damaged: {error!r}") from error


def _incident_to_json(
    incident: WorkingIncident, title_labels: tuple[str, ...]
) -> dict[str, object]:
    return {
        "incident": incident_to_json(incident.freeze(title_labels)),
        "order": incident.order,
        "active_ms": incident.active_ms,
        "headline": incident.headline,
        "headline_strength": incident.headline_strength,
        "is_overflow": incident.is_overflow,
        "identities": list(incident.identities),
        "lines_cut": incident.timeline.n_cut,
        "open": [incident.anomalies.open, incident.alerts.open],
        "dropped": [incident.anomalies.dropped, incident.alerts.dropped],
    }


def _incident_from_json(data: dict[str, Any], members_max: int) -> WorkingIncident:
    frozen = incident_from_json(data["incident"])
    anomalies = Evidence(members_max=members_max, keep=anomaly_keep)
    alerts = Evidence(members_max=members_max, keep=alert_keep)
    anomalies.restore(
        ((anomaly_member_id(item), item) for item in frozen.anomalies),
        open_ids=data["open"][0],
        dropped=data["dropped"][0],
    )
    alerts.restore(
        ((alert_member_id(item), item) for item in frozen.alerts),
        open_ids=data["open"][1],
        dropped=data["dropped"][1],
    )
    seq, k = data["order"]
    rank, is_alert, score = data["headline_strength"]
    return WorkingIncident(
        incident_id=frozen.incident_id,
        order=(seq, k),
        opened_ms=frozen.opened_ms,
        active_ms=data["active_ms"],
        labels=frozen.labels,
        anomalies=anomalies,
        alerts=alerts,
        severity=frozen.severity,
        state=frozen.state,
        updated_ms=frozen.updated_ms,
        resolved_ms=frozen.resolved_ms,
        acknowledged_by=frozen.acknowledged_by,
        headline=data["headline"],
        headline_strength=(float(rank), float(is_alert), float(score)),
        is_overflow=data["is_overflow"],
        timeline=Timeline.restored(frozen.timeline, data["lines_cut"]),
        identities=dict.fromkeys((name, value) for name, value in data["identities"]),
    )
