"""What the rest of the product may ask of a store, independent of where it keeps things."""

from collections.abc import Sequence
from typing import Protocol

from aiops.domain.action import ActionOutcome, Notification, PlannedAction
from aiops.domain.effects import IncidentEffect
from aiops.domain.incident import Incident, IncidentState
from aiops.domain.labels import Labels
from aiops.domain.matchers import Matchers
from aiops.domain.samples import MetricMetadata, SeriesRows


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

    def due_notifications(self, now_ms: int, *, limit: int) -> list[tuple[Notification, int]]:
        """Return undelivered messages whose time has come, with the attempts made so far."""
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
        """Write the audit row that an action is about to run, before it runs."""
        ...

    def end_action(self, outcome: ActionOutcome, now_ms: int) -> None:
        """Write the audit row of how an action ended."""
        ...

    def interrupted_actions(self) -> list[PlannedAction]:
        """Return actions begun but not ended: the process died in between."""
        ...

    def actions_begun_since(self, since_ms: int) -> int:
        """Return how many actions began at or after a time, for the rate limit."""
        ...
