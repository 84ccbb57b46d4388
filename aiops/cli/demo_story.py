"""The demo's incidents in words: what happened between two readings, and what was done."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from aiops.cli.terminal import printable
from aiops.domain.incident import Incident, IncidentEventKind, IncidentState, TimelineEvent
from aiops.domain.labels import label_value

ACTIONS_MAX = 4
"""Chosen: the latest few; the live view has to fit a terminal of 40 lines."""


def action_lines(incidents: Iterable[Incident]) -> list[str]:
    """Return the latest actions of all incidents, newest first, a line each."""
    found = [event for incident in incidents for event in actions_of(incident)]
    found.sort(key=lambda event: event.at_ms, reverse=True)
    return [_action_text(event) for event in found[:ACTIONS_MAX]]


def strongest_service(incident: Incident) -> str:
    """Return the service of the anomaly that stands out most, "?" when there is none."""
    scored = max(incident.anomalies, key=lambda anomaly: anomaly.score, default=None)
    return printable(label_value(scored.labels, "service")) if scored else "?"


def actions_of(incident: Incident) -> list[TimelineEvent]:
    """Return what playbooks did, or would have done, about an incident.

    The line that stands for those left out of a long time line has no playbook as its actor.
    """
    is_action = IncidentEventKind.ACTION
    return [e for e in incident.timeline if e.kind is is_action and e.actor != "aiops"]


def with_lost_actions(before: Incident | None, after: Incident) -> Incident:
    """Return an incident with the actions that an earlier reading had and a storm pushed out."""
    now = actions_of(after)
    lost = [event for event in actions_of(before) if event not in now] if before else []
    return replace(after, timeline=(*lost, *after.timeline)) if lost else after


def incident_events(before: Incident | None, after: Incident) -> Iterator[str]:
    """Yield a line for each thing that happened to an incident between two readings."""
    state = before.state if before else None
    if before is None:
        where = strongest_service(after)
        yield f"incident opened [{after.severity}], strongest at {where}: {printable(after.title)}"
    elif state is not after.state and after.state is IncidentState.OPEN:
        yield f"incident reopened: {printable(after.title)}"
    if state is not after.state and after.state is IncidentState.RESOLVED:
        lasted_s = (after.resolved_ms - after.opened_ms) // 1000
        yield f"incident resolved after {lasted_s} s: {printable(after.title)}"
    known = actions_of(before) if before else []
    for event in actions_of(after):
        if event not in known:
            yield f"action {_action_text(event, with_time=False)}"


def format_time(ts_ms: int) -> str:
    """Return a time of day in UTC, as the service's log has it."""
    return datetime.fromtimestamp(ts_ms / 1000, UTC).strftime("%H:%M:%S")


def _action_text(event: TimelineEvent, *, with_time: bool = True) -> str:
    text = printable(f"by {event.actor}: {event.text}")
    return f"{format_time(event.at_ms)} {text}" if with_time else text
