"""The life of an incident as pure functions: states, what moves it on, what matters most."""

from enum import StrEnum

from aiops.domain.incident import IncidentEventKind, IncidentState


class Trigger(StrEnum):
    """What can move an incident to another state."""

    SIGNAL = "signal"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"
    QUIET = "quiet"


Step = tuple[IncidentState, IncidentEventKind]

_STEPS: dict[tuple[IncidentState, Trigger], Step] = {
    (IncidentState.OPEN, Trigger.ACKNOWLEDGE): (
        IncidentState.ACKNOWLEDGED,
        IncidentEventKind.ACKNOWLEDGED,
    ),
    (IncidentState.OPEN, Trigger.RESOLVE): (IncidentState.RESOLVED, IncidentEventKind.RESOLVED),
    (IncidentState.OPEN, Trigger.QUIET): (IncidentState.RESOLVED, IncidentEventKind.RESOLVED),
    (IncidentState.ACKNOWLEDGED, Trigger.RESOLVE): (
        IncidentState.RESOLVED,
        IncidentEventKind.RESOLVED,
    ),
    (IncidentState.ACKNOWLEDGED, Trigger.QUIET): (
        IncidentState.RESOLVED,
        IncidentEventKind.RESOLVED,
    ),
    (IncidentState.RESOLVED, Trigger.SIGNAL): (IncidentState.OPEN, IncidentEventKind.REOPENED),
}

_IMPORTANCE = {
    IncidentEventKind.OPENED: 5,
    IncidentEventKind.REOPENED: 4,
    IncidentEventKind.RESOLVED: 3,
    IncidentEventKind.SEVERITY_RAISED: 2,
    IncidentEventKind.ACKNOWLEDGED: 1,
}


def next_step(state: IncidentState, trigger: Trigger) -> Step | None:
    """Return the state a trigger leads to and the event that tells of it, None if it has none."""
    return _STEPS.get((state, trigger))


def more_important(one: IncidentEventKind, other: IncidentEventKind) -> IncidentEventKind:
    """Return the event people should hear of when both happened at once; `one` among equals."""
    return other if _IMPORTANCE.get(other, 0) > _IMPORTANCE.get(one, 0) else one
