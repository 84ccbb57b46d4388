"""An incident while it is worked on: mutable inside, frozen records out.

Only the correlator holds these. A frozen `Incident` is built once per call and incident, however
many signals the call brought, which is what keeps a storm of alerts cheap.
"""

from dataclasses import dataclass, field

from aiops.correlate.evidence import Evidence
from aiops.correlate.incident import Trigger, next_step
from aiops.correlate.severity import (
    CRITICAL_SERIES,
    alert_severity,
    anomaly_severity,
    crowd_severity,
    worst,
)
from aiops.correlate.signal import Signal, Strength, alert_keep, anomaly_keep
from aiops.correlate.timeline import Timeline
from aiops.correlate.wording import incident_title, shorten
from aiops.domain.alert import Alert
from aiops.domain.anomaly import Anomaly
from aiops.domain.incident import (
    SEVERITY_RANK,
    Incident,
    IncidentEventKind,
    IncidentState,
    Severity,
    TimelineEvent,
)
from aiops.domain.labels import Labels, label_value, without_name

Identity = tuple[str, str]
"""A label pair that ties signals together; the name is empty for a whole label set."""

LINE_CHARS_MAX = 500
"""Chosen: a comment of a few sentences fits; 201 such lines stay below 100 KiB."""

OVERFLOW_TITLE = "overflow: too many open incidents"


@dataclass(slots=True)
class WorkingIncident:
    """One incident with everything its next version depends on.

    `order` is the (seq, k) it was opened at; `active_ms` when evidence last came or ended;
    `identities` the pairs by which newcomers find it.
    """

    incident_id: str
    order: tuple[int, int]
    opened_ms: int
    active_ms: int
    labels: Labels
    anomalies: Evidence[Anomaly]
    alerts: Evidence[Alert]
    severity: Severity = Severity.INFO
    state: IncidentState = IncidentState.OPEN
    updated_ms: int = 0
    resolved_ms: int = 0
    acknowledged_by: str = ""
    headline: str = ""
    headline_strength: Strength = (-1.0, 0.0, 0.0)
    is_overflow: bool = False
    timeline: Timeline = field(default_factory=Timeline)
    identities: dict[Identity, None] = field(default_factory=dict)

    def is_open(self) -> bool:
        """Tell whether the incident still wants attention (acknowledged ones do)."""
        return self.state is not IncidentState.RESOLVED

    def is_firing(self) -> bool:
        """Tell whether any evidence has not ended."""
        return bool(self.anomalies.open or self.alerts.open)

    def is_active(self, now_ms: int, window_ms: int) -> bool:
        """Tell whether newcomers may still join."""
        return self.is_open() and (self.is_firing() or now_ms - self.active_ms <= window_ms)

    def has_open(self, member_id: str) -> bool:
        """Tell whether this very anomaly or alert is known and has not ended."""
        return member_id in self.anomalies.open or member_id in self.alerts.open

    def has_kept(self, member_id: str) -> bool:
        """Tell whether this very anomaly or alert is among the evidence kept in full."""
        return member_id in self.anomalies.kept or member_id in self.alerts.kept

    def take(self, signal: Signal, now_ms: int) -> list[str]:
        """Add or update evidence; return the ids of members forgotten for it."""
        self.active_ms = now_ms
        self.labels = shared_labels(self.labels, signal.labels)
        strength = signal.strength()
        if strength > self.headline_strength:
            self.headline, self.headline_strength = signal.headline(), strength
        return self._keep(signal)

    def move_out(self, member_id: str) -> None:
        """Give a member up that is at home in another incident from now on."""
        self.anomalies.move_out(member_id)
        self.alerts.move_out(member_id)

    def refresh(self, alert: Alert, member_id: str) -> None:
        """Keep the newest wording of an alert that is otherwise as it was."""
        if member_id in self.alerts.kept:
            self.alerts.kept[member_id] = alert

    def asked_severity(self, signal: Signal) -> Severity:
        """Return what a signal, and the crowd it joined, ask for."""
        return worst(signal.severity, crowd_severity(self.anomalies.n_sources(CRITICAL_SERIES)))

    def firing_severity(self) -> Severity:
        """Return what all kept evidence that has not ended asks for."""
        anomalies, alerts = self.anomalies, self.alerts
        asked = [anomaly_severity(anomalies.kept[i]) for i in anomalies.open if i in anomalies.kept]
        asked += [alert_severity(alerts.kept[i]) for i in alerts.open if i in alerts.kept]
        return worst(crowd_severity(anomalies.n_sources(CRITICAL_SERIES)), *asked)

    def raise_severity(self, severity: Severity) -> bool:
        """Raise the severity if `severity` is more urgent; tell whether it was."""
        if SEVERITY_RANK[severity] <= SEVERITY_RANK[self.severity]:
            return False
        self.severity = severity
        return True

    def step(self, trigger: Trigger, now_ms: int) -> IncidentEventKind | None:
        """Move on to the state a trigger leads to; return the event, None if it leads nowhere."""
        step = next_step(self.state, trigger)
        if step is None:
            return None
        self.state, event = step
        self.resolved_ms = now_ms if event is IncidentEventKind.RESOLVED else 0
        if event is IncidentEventKind.REOPENED:
            self.acknowledged_by = ""
        return event

    def note(self, kind: IncidentEventKind, text: str, *, at_ms: int, actor: str = "aiops") -> None:
        """Add a line to the time line."""
        self.timeline.add(TimelineEvent(at_ms, kind, shorten(text, LINE_CHARS_MAX), actor))

    def freeze(self, title_labels: tuple[str, ...]) -> Incident:
        """Return the incident as a record; its title names the first of `title_labels` it has."""
        return Incident(
            incident_id=self.incident_id,
            state=self.state,
            severity=self.severity,
            title=self._title(title_labels),
            labels=self.labels,
            opened_ms=self.opened_ms,
            updated_ms=self.updated_ms,
            resolved_ms=self.resolved_ms,
            acknowledged_by=self.acknowledged_by,
            anomalies=tuple(self.anomalies.kept.values()),
            alerts=tuple(self.alerts.kept.values()),
            timeline=self.timeline.lines(),
            dropped=self.anomalies.dropped + self.alerts.dropped,
        )

    def _keep(self, signal: Signal) -> list[str]:
        item, member_id = signal.item, signal.member_id
        if isinstance(item, Alert):
            return self.alerts.put(member_id, item, source=signal.source, is_open=signal.is_open)
        return self.anomalies.put(member_id, item, source=signal.source, is_open=signal.is_open)

    def _title(self, title_labels: tuple[str, ...]) -> str:
        values = (label_value(self.labels, name) for name in title_labels)
        prefix = OVERFLOW_TITLE if self.is_overflow else next(filter(None, values), "")
        return incident_title(prefix, self.headline, self.anomalies.n_ever() + self.alerts.n_ever())


def new_incident(
    signal: Signal, *, order: tuple[int, int], now_ms: int, members_max: int
) -> WorkingIncident:
    """Return an open incident without evidence yet, with labels and severity of its first."""
    return WorkingIncident(
        incident_id=f"inc-{order[0]}-{order[1]}",
        order=order,
        severity=signal.severity,
        opened_ms=now_ms,
        active_ms=now_ms,
        labels=without_name(signal.labels),
        anomalies=Evidence(members_max=members_max, keep=anomaly_keep),
        alerts=Evidence(members_max=members_max, keep=alert_keep),
    )


def shared_labels(labels: Labels, others: Labels) -> Labels:
    """Return the pairs of `labels` that `others` has as well."""
    if labels == others:
        return labels
    wanted = set(others)
    return tuple(pair for pair in labels if pair in wanted)
