"""What the core asks the shell to do, in an order that makes repeats harmless."""

from dataclasses import dataclass

from aiops.domain.action import Notification, PlannedAction
from aiops.domain.incident import Incident


@dataclass(frozen=True, slots=True)
class IncidentEffect:
    """Write this version of an incident with its messages and actions, all or nothing.

    (`seq`, `k`) is the journal position and the ordinal within that record; the state store
    applies each pair once, by high-water mark, so replay after a crash repeats nothing.
    """

    seq: int
    k: int
    incident: Incident
    notifications: tuple[Notification, ...] = ()
    actions: tuple[PlannedAction, ...] = ()
