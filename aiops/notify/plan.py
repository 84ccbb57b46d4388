"""Which messages a change of an incident calls for: a pure decision, with its reasons."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from aiops.domain.action import Notification
from aiops.domain.incident import (
    SEVERITY_RANK,
    Incident,
    IncidentChange,
    IncidentEventKind,
)
from aiops.domain.incident_labels import matched_labels
from aiops.domain.labels import Labels, without_name
from aiops.domain.matchers import match_all
from aiops.domain.verdict import Verdict, allow, refuse
from aiops.notify.bodies import MessageFacts, alertmanager_body, webhook_body
from aiops.notify.rules import ReceiverRule

TOLD_EVENTS = frozenset(
    {
        IncidentEventKind.OPENED,
        IncidentEventKind.REOPENED,
        IncidentEventKind.SEVERITY_RAISED,
        IncidentEventKind.ACKNOWLEDGED,
        IncidentEventKind.RESOLVED,
    }
)
"""Changes that people should hear of; the rest is on the incident's time line."""

_ENDINGS = frozenset({IncidentEventKind.ACKNOWLEDGED, IncidentEventKind.RESOLVED})


def plan_notifications(
    change: IncidentChange,
    receivers: Sequence[ReceiverRule],
    *,
    seq: int,
    k: int,
    external_url: str,
) -> tuple[Notification, ...]:
    """Return one message for each receiver that is to hear of this change.

    Parameters
    ----------
    seq, k
        Position of the change in the journal; it makes the message's key unique and the same
        again when the journal is replayed.
    external_url
        Address of this service for links, without a slash at its end.
    """
    position = f"{seq}-{k}"
    return tuple(
        _message(change, rule, position=position, external_url=external_url)
        for rule in receivers
        if judge(change, rule).is_allowed
    )


def judge(change: IncidentChange, rule: ReceiverRule) -> Verdict:
    """Return whether a receiver is told about a change, and why or why not."""
    if change.event not in TOLD_EVENTS:
        return refuse(f"{change.event} is for the time line only")
    if rule.kind == "alertmanager" and change.event is IncidentEventKind.ACKNOWLEDGED:
        return refuse("Alertmanager does not know acknowledgement")
    if match_all(rule.matchers, matched_labels(change.incident)):
        return allow("the incident matches")
    if change.event in _ENDINGS and _matched_before(change.incident, rule):
        return allow("the incident matched when the receiver was told of it")
    return refuse(f"the incident does not match what {rule.name} wants")


def _matched_before(incident: Incident, rule: ReceiverRule) -> bool:
    """Tell whether an earlier version of the incident, as far as it can be told, matched.

    An incident's labels shrink to what its evidence shares and its severity rises, so that a
    receiver told of the opening might otherwise never hear of the end.
    """
    return any(match_all(rule.matchers, labels) for labels in _earlier_labels(incident))


def _earlier_labels(incident: Incident) -> Iterator[Labels]:
    was_raised = any(e.kind is IncidentEventKind.SEVERITY_RAISED for e in incident.timeline)
    rank_min = 0 if was_raised else SEVERITY_RANK[incident.severity]
    for severity, rank in SEVERITY_RANK.items():
        if rank_min <= rank <= SEVERITY_RANK[incident.severity]:
            for labels in (incident.labels, _first_labels(incident)):
                yield matched_labels(replace(incident, severity=severity, labels=labels))


def _first_labels(incident: Incident) -> Labels:
    """Return the labels of the earliest evidence still kept, which opened the incident."""
    starts = [(a.onset_ms, without_name(a.labels)) for a in incident.anomalies]
    starts += [(a.starts_at_ms, a.labels) for a in incident.alerts]
    return min(starts)[1] if starts else incident.labels


def _message(
    change: IncidentChange, rule: ReceiverRule, *, position: str, external_url: str
) -> Notification:
    incident_id = change.incident.incident_id
    key = f"{incident_id}:{change.event}:{position}:{rule.name}"
    facts = MessageFacts(change=change, key=key, external_url=external_url.rstrip("/"))
    body = webhook_body(facts) if rule.kind == "webhook" else alertmanager_body(facts)
    return Notification(key, rule.name, change.event.value, incident_id, body)
