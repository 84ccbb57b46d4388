"""An incident: one disturbance, its evidence and its time line."""

from dataclasses import dataclass
from enum import StrEnum

from aiops.domain.alert import Alert
from aiops.domain.anomaly import Anomaly
from aiops.domain.labels import Labels


class IncidentState(StrEnum):
    """Where an incident stands; `reopened` is an event, the state is open again."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """Urgency for humans."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


SEVERITY_RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


class IncidentEventKind(StrEnum):
    """What a line of the time line tells."""

    OPENED = "opened"
    ANOMALY_ADDED = "anomaly_added"
    ANOMALY_ENDED = "anomaly_ended"
    ANOMALY_VETOED = "anomaly_vetoed"
    """An anomaly that its data explains: told here, and no evidence."""
    ALERT_ADDED = "alert_added"
    ALERT_RESOLVED = "alert_resolved"
    SEVERITY_RAISED = "severity_raised"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    ACTION = "action"
    LINES_CUT = "lines_cut"


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One line of an incident's story. `actor` is a person's name, a playbook or `aiops`."""

    at_ms: int
    kind: IncidentEventKind
    text: str
    actor: str = "aiops"


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident as of its last change.

    `labels` are those all its evidence shares. `anomalies` and `alerts` are bounded by the
    config; `dropped` counts evidence that no longer fitted.
    """

    incident_id: str
    state: IncidentState
    severity: Severity
    title: str
    labels: Labels
    opened_ms: int
    updated_ms: int
    resolved_ms: int
    acknowledged_by: str
    anomalies: tuple[Anomaly, ...]
    alerts: tuple[Alert, ...]
    timeline: tuple[TimelineEvent, ...]
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """A new version of an incident and what brought it about.

    `event` is OPENED, REOPENED, RESOLVED, ACKNOWLEDGED or SEVERITY_RAISED when people should
    hear of it, and the kind of the evidence otherwise.
    """

    event: IncidentEventKind
    incident: Incident
