"""Incidents as tables for a terminal."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table

from aiops.cli.terminal import cell
from aiops.domain.alert import Alert
from aiops.domain.anomaly import Anomaly
from aiops.domain.explain import explanation, subject
from aiops.domain.incident import Incident, IncidentState, Severity, TimelineEvent
from aiops.domain.labels import Labels, format_series, label_value

_SEVERITY_STYLE = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: ""}
_STATE_STYLE = {
    IncidentState.OPEN: "bold",
    IncidentState.ACKNOWLEDGED: "cyan",
    IncidentState.RESOLVED: "dim",
}


def incident_list(incidents: Sequence[Incident]) -> RenderableType:
    """Return one row for each incident."""
    table = _table("id", "state", "severity", "opened", "evidence", "title")
    for incident in incidents:
        table.add_row(
            cell(incident.incident_id),
            cell(incident.state, _STATE_STYLE[incident.state]),
            cell(incident.severity, _SEVERITY_STYLE[incident.severity]),
            format_time(incident.opened_ms),
            _evidence(incident),
            cell(incident.title),
        )
    return table


def incident_details(incident: Incident) -> RenderableType:
    """Return everything about one incident: facts, anomalies, alerts, time line."""
    parts: list[RenderableType] = [_facts(incident)]
    if incident.anomalies:
        parts += ["", _anomalies(incident.anomalies), "", _explanations(incident.anomalies)]
    if incident.alerts:
        parts += ["", _alerts(incident.alerts)]
    return Group(*parts, "", _timeline(incident.timeline))


def format_time(at_ms: int) -> str:
    """Return a time in UTC to the second, `-` for 0 (not yet)."""
    if not at_ms:
        return "-"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _facts(incident: Incident) -> Table:
    table = Table.grid(padding=(0, 2))
    severity = cell(incident.severity, _SEVERITY_STYLE[incident.severity])
    table.add_row("incident", cell(incident.incident_id, "bold"))
    table.add_row("title", cell(incident.title))
    table.add_row("state", cell(incident.state, _STATE_STYLE[incident.state]))
    table.add_row("severity", severity)
    table.add_row("labels", cell(_pairs(incident.labels)))
    table.add_row("opened", format_time(incident.opened_ms))
    table.add_row("updated", format_time(incident.updated_ms))
    table.add_row("resolved", format_time(incident.resolved_ms))
    table.add_row("acknowledged by", cell(incident.acknowledged_by or "-"))
    table.add_row("evidence", _evidence(incident))
    return table


def _anomalies(anomalies: Sequence[Anomaly]) -> Table:
    table = _table("anomaly", "onset", "end", "score", "value", "expected", "band", "quality")
    for anomaly in anomalies:
        table.add_row(
            cell(format_series(anomaly.labels)),
            format_time(anomaly.onset_ms),
            format_time(anomaly.end_ms),
            f"{anomaly.score:.1f}",
            f"{anomaly.value:.6g}",
            f"{anomaly.expected:.6g}",
            f"{anomaly.lower:.6g} … {anomaly.upper:.6g}",
            cell(", ".join(anomaly.quality) or "-"),
        )
    return table


def _explanations(anomalies: Sequence[Anomaly]) -> Table:
    table = _table("anomaly", "explained")
    for anomaly in anomalies:
        table.add_row(cell(subject(anomaly)), cell(explanation(anomaly)))
    return table


def _alerts(alerts: Sequence[Alert]) -> Table:
    table = _table("alert", "state", "since", "until", "labels")
    for alert in alerts:
        table.add_row(
            cell(label_value(alert.labels, "alertname") or alert.fingerprint),
            "firing" if alert.is_firing else "resolved",
            format_time(alert.starts_at_ms),
            format_time(alert.ends_at_ms),
            cell(_pairs(alert.labels)),
        )
    return table


def _timeline(events: Sequence[TimelineEvent]) -> Table:
    table = _table("at", "event", "by", "what")
    for event in events:
        table.add_row(
            format_time(event.at_ms), cell(event.kind), cell(event.actor), cell(event.text)
        )
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _pairs(labels: Labels) -> str:
    return ", ".join(f"{name}={value}" for name, value in labels) or "-"


def _evidence(incident: Incident) -> str:
    text = f"{len(incident.anomalies)} anomalies, {len(incident.alerts)} alerts"
    return f"{text}, {incident.dropped} dropped" if incident.dropped else text
