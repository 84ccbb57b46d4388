"""Incidents, messages and actions for the state store's tests."""

from aiops.domain.action import (
    ActionMode,
    ActionOutcome,
    Notification,
    OutcomeStatus,
    PlannedAction,
)
from aiops.domain.anomaly import Anomaly
from aiops.domain.effects import IncidentEffect
from aiops.domain.incident import (
    Incident,
    IncidentEventKind,
    IncidentState,
    Severity,
    TimelineEvent,
)
from aiops.domain.labels import labels_from

T0_MS = 1_700_000_000_000


def incident(
    incident_id: str,
    *,
    state: IncidentState = IncidentState.OPEN,
    opened_ms: int = T0_MS,
    resolved_ms: int = 0,
) -> Incident:
    labels = labels_from({"service": "cart", "job": "kube"})
    anomaly = Anomaly(
        anomaly_id=f"a-{incident_id}",
        fingerprint=2**64 - 7,
        labels=labels,
        detector="level",
        onset_ms=opened_ms - 5_000,
        peak_ms=opened_ms,
        end_ms=0,
        score=12.5,
        value=0.1,
        expected=float("inf"),
        lower=-1.0,
        upper=1e300,
        quality=("late",),
    )
    return Incident(
        incident_id=incident_id,
        state=state,
        severity=Severity.WARNING,
        title="cart: latency ✓",
        labels=labels,
        opened_ms=opened_ms,
        updated_ms=opened_ms,
        resolved_ms=resolved_ms,
        acknowledged_by="",
        anomalies=(anomaly,),
        alerts=(),
        timeline=(TimelineEvent(opened_ms, IncidentEventKind.OPENED, "opened"),),
        dropped=3,
    )


def note(incident_id: str, event: str, receiver: str = "chat", *, at: str = "1-0") -> Notification:
    key = f"{incident_id}:{event}:{at}:{receiver}"
    return Notification(key, receiver, event, incident_id, b'{"event":"%s"}' % event.encode())


def planned(key: str, incident_id: str, mode: ActionMode = ActionMode.AUTO) -> PlannedAction:
    return PlannedAction(
        key=key,
        playbook="restart",
        action="http",
        incident_id=incident_id,
        mode=mode,
        method="POST",
        url="http://127.0.0.1:9/restart",
        body=b'{"service":"cart"}',
        reason="matched",
    )


def outcome(
    action: PlannedAction, status: OutcomeStatus = OutcomeStatus.SUCCEEDED
) -> ActionOutcome:
    return ActionOutcome(
        action.key, action.incident_id, action.playbook, action.action, status, "200"
    )


def effect(seq: int, k: int) -> IncidentEffect:
    """An incident of its own with one message and one action, all named by (seq, k)."""
    incident_id = f"i{seq}-{k}"
    return IncidentEffect(
        seq=seq,
        k=k,
        incident=incident(incident_id),
        notifications=(note(incident_id, "opened", at=f"{seq}-{k}"),),
        actions=(planned(f"act-{seq}-{k}", incident_id),),
    )
