"""The texts of messages: our own webhook JSON, and Alertmanager's v2 alerts."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import orjson

from aiops.domain.alert import INCIDENT_LABEL, OWN_ALERTNAME, Alert
from aiops.domain.anomaly import Anomaly
from aiops.domain.explain import explanation
from aiops.domain.incident import Incident, IncidentChange, IncidentEventKind
from aiops.domain.incident_json import incident_to_json
from aiops.domain.labels import format_series, label_value, labels_from, without_name

WEBHOOK_VERSION = "1"
"""Grows when a field of the webhook body changes its meaning or goes away."""

EVIDENCE_MAX = 5
"""Chosen: what fits a chat message; the rest is behind the link."""

_NOT_IN_LABEL_NAME = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """What a message is about: the change, the message's key, and where the service is found."""

    change: IncidentChange
    key: str
    external_url: str


def webhook_body(facts: MessageFacts) -> bytes:
    """Return the JSON object a webhook is sent: event, key and the whole incident."""
    incident = facts.change.incident
    return orjson.dumps(
        {
            "version": WEBHOOK_VERSION,
            "event": facts.change.event.value,
            "key": facts.key,
            "sent_for": "incident",
            "incident": incident_to_json(incident),
            "url": incident_url(incident, facts.external_url),
        }
    )


def alertmanager_body(facts: MessageFacts) -> bytes:
    """Return the array of one alert that stands for the incident (Alertmanager v2 API).

    A firing alert has no end; the receiver adds one that lies beyond the next resend.
    """
    incident = facts.change.incident
    alert: dict[str, object] = {
        "labels": alert_labels(incident),
        "annotations": {"summary": incident.title, "description": describe(incident)},
        "startsAt": rfc3339(incident.opened_ms),
        "generatorURL": incident_url(incident, facts.external_url),
    }
    if facts.change.event is IncidentEventKind.RESOLVED:
        # not before startsAt: Alertmanager refuses that with 400
        alert["endsAt"] = rfc3339(max(incident.resolved_ms, incident.opened_ms))
    return orjson.dumps([alert])


def alert_labels(incident: Incident) -> dict[str, str]:
    """Return the labels Alertmanager knows an incident by: ours, and what its evidence shares.

    Names are made fit for Prometheus (`k8s.pod` becomes `k8s_pod`); evidence labels that would
    hide ours are kept as `exported_NAME`, as Prometheus does on a clash.
    """
    own = {
        "alertname": OWN_ALERTNAME,
        INCIDENT_LABEL: incident.incident_id,
        "severity": incident.severity.value,
    }
    shared: dict[str, str] = {}
    for name, value in without_name(incident.labels):
        fit = label_name(name)
        shared.setdefault(f"exported_{fit}" if fit in own else fit, value)
    exact = {name: value for name, value in incident.labels if name in shared}
    return dict(labels_from(shared | exact | own))


def label_name(text: str) -> str:
    """Return the text as a classic Prometheus label name."""
    fit = _NOT_IN_LABEL_NAME.sub("_", text)
    return f"_{fit}" if fit[:1].isdigit() else fit


def incident_url(incident: Incident, external_url: str) -> str:
    """Return the address of an incident at this service."""
    return f"{external_url}/api/v1/incidents/{quote(incident.incident_id, safe='')}"


def describe(incident: Incident) -> str:
    """Return the strongest evidence, one line each."""
    alerts = [_alert_line(alert) for alert in incident.alerts if alert.is_firing]
    strongest = sorted(incident.anomalies, key=lambda anomaly: -anomaly.score)
    lines = alerts[:EVIDENCE_MAX] + [_anomaly_line(anomaly) for anomaly in strongest]
    shown = lines[:EVIDENCE_MAX]
    n_more = len(incident.anomalies) + len(incident.alerts) + incident.dropped - len(shown)
    return "\n".join(shown + ([f"and {n_more} more"] if n_more else []))


def rfc3339(at_ms: int) -> str:
    """Return epoch milliseconds as RFC 3339 text in UTC."""
    text = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _alert_line(alert: Alert) -> str:
    summary = label_value(alert.annotations, "summary")
    name = label_value(alert.labels, "alertname") or "alert"
    return f"{name}: {summary}" if summary else name


def _anomaly_line(anomaly: Anomaly) -> str:
    return f"{format_series(anomaly.labels)}: {explanation(anomaly)}"
