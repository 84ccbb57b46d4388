"""What the rest of the product may ask of a store, independent of where it keeps things."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from aiops.domain.action import ActionOutcome, Notification, PlannedAction
from aiops.domain.audit import AuditRow
from aiops.domain.effects import IncidentEffect
from aiops.domain.incident import Incident, IncidentState
from aiops.domain.labels import Labels
from aiops.domain.matchers import Matchers
from aiops.domain.samples import MetricMetadata, SeriesRows

PRUNE_MAX = 500
"""Chosen: one call stays well below 100 ms, so that writers behind it do not wait long."""

T = TypeVar("T")


class StateRunner(Protocol):
    """Runs a blocking call on the store's thread and returns what it returned."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]:
        """Return an awaitable of `call()`; errors come through unchanged."""
        ...


class SeriesReader(Protocol):
    """Reads series and their rows, newest ones in memory included, without tearing.

    All times are epoch milliseconds, both ends included. An empty tuple of `matcher_sets` means
    every series; several sets are a union.
    """

    async def series(
        self, matcher_sets: tuple[Matchers, ...], *, start_ms: int, end_ms: int, limit: int = 0
    ) -> list[Labels]:
        """Return the label sets that match; `limit` 0 means all."""
        ...

    async def rows(self, matchers: Matchers, *, start_ms: int, end_ms: int) -> list[SeriesRows]:
        """Return the rows of every series that matches, each in time order."""
        ...

    async def label_names(self, matcher_sets: tuple[Matchers, ...]) -> list[str]:
        """Return the sorted names of labels on matching series."""
        ...

    async def label_values(self, name: str, matcher_sets: tuple[Matchers, ...]) -> list[str]:
        """Return the sorted values `name` takes on matching series."""
        ...

    async def metadata(self) -> list[MetricMetadata]:
        """Return what senders told about metric families, sorted by family."""
        ...


class IncidentReader(Protocol):
    """Reads incidents from the event loop; the shell runs the state store on a worker for it."""

    async def incidents_between(self, start_ms: int, end_ms: int) -> list[Incident]:
        """Return incidents that were open at some time within the span, both ends included."""
        ...


class StateStore(Protocol):
    """Keeps incidents, the outbox, planned actions and the audit trail.

    Synchronous: the shell calls writers from the one writer thread and readers from a worker.
    Every writer is one transaction, durable on return.
    """

    def high_water(self) -> tuple[int, int]:
        """Return (seq, k) of the last effect applied, (0, 0) for a new store."""
        ...

    def apply(self, effects: Sequence[IncidentEffect]) -> None:
        """Write incidents with their outbox rows and actions; skip effects already applied."""
        ...

    def incident(self, incident_id: str) -> Incident:
        """Return one incident. Raises NotFoundError."""
        ...

    def incidents(
        self, states: tuple[IncidentState, ...], *, limit: int, offset: int = 0
    ) -> list[Incident]:
        """Return incidents in these states (all when empty), newest first."""
        ...

    def incidents_between(self, start_ms: int, end_ms: int) -> list[Incident]:
        """Return incidents that were open at some time within the span."""
        ...

    def due_notifications(
        self, now_ms: int, *, limit: int, receiver: str = ""
    ) -> list[tuple[Notification, int]]:
        """Return undelivered messages whose time has come, with the attempts made so far.

        Of each incident and receiver only the oldest undelivered one is due, so that a later
        event cannot overtake it. An empty `receiver` means all.
        """
        ...

    def next_notification_ms(self, receiver: str) -> int | None:
        """Return when the next message to a receiver is or was due, None when none waits."""
        ...

    def notifications_of(self, incident_id: str, receiver: str) -> list[Notification]:
        """Return every message planned for a receiver about an incident, oldest first."""
        ...

    def outbox_pending(self) -> dict[str, int]:
        """Return how many messages wait for each receiver that has any."""
        ...

    def mark_delivered(self, key: str, now_ms: int) -> None:
        """Note that a message reached its receiver."""
        ...

    def mark_failed(self, key: str, *, error: str, retry_at_ms: int | None) -> None:
        """Note a failed attempt; `retry_at_ms` None gives the message up."""
        ...

    def due_actions(self, *, limit: int) -> list[PlannedAction]:
        """Return planned actions that were never started."""
        ...

    def begin_action(self, action: PlannedAction, now_ms: int) -> None:
        """Write the audit row that an action is about to run, before it runs.

        Raises ConflictError when it was begun or ended before, NotFoundError when never planned.
        """
        ...

    def end_action(self, outcome: ActionOutcome, now_ms: int) -> None:
        """Write the audit row of how an action ended, begun or not; a second end is ignored.

        Raises NotFoundError when it was never planned.
        """
        ...

    def interrupted_actions(self) -> list[PlannedAction]:
        """Return actions begun but not ended: the process died in between."""
        ...

    def actions_begun_since(self, since_ms: int) -> int:
        """Return how many actions (dry runs not counted) began at or after a time."""
        ...

    def playbook_begun_ms(self, playbook: str) -> int | None:
        """Return when a playbook last began an action (no dry run), None if it never did."""
        ...

    def unreported_outcomes(self, *, limit: int) -> list[ActionOutcome]:
        """Return ends of actions that were not yet handed on to the journal, oldest first."""
        ...

    def mark_reported(self, key: str) -> None:
        """Note that the journal has the outcome of an action."""
        ...

    def audit_rows(self, *, after_id: int, limit: int) -> list[AuditRow]:
        """Return audit records behind `after_id`, oldest first."""
        ...

    def prune(self, before_ms: int) -> int:
        """Delete incidents resolved before a time whose messages and actions are done.

        At most `PRUNE_MAX` go in one call; returns how many went. The audit trail stays.
        """
        ...

    def close(self) -> None:
        """Release what the store holds open."""
        ...


@dataclass(frozen=True, slots=True)
class StateAccess:
    """The state store and the way to call it from the event loop.

    `await state.run(lambda: state.store.high_water())` runs the call on the store's thread.
    """

    store: StateStore
    run: StateRunner
