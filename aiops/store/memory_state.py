"""A state store in memory, for tests, simulation and replay: same answers, nothing on disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aiops.clock import Clock, SystemClock
from aiops.domain.action import ActionMode, ActionOutcome, Notification, PlannedAction
from aiops.domain.audit import AuditRow, next_row, outcome_detail, planned_detail
from aiops.domain.effects import IncidentEffect
from aiops.domain.incident import Incident, IncidentState
from aiops.errors import ConflictError, NotFoundError
from aiops.store.base import PRUNE_MAX, StateStore


@dataclass(frozen=True, slots=True)
class _Message:
    note: Notification
    status: str = "pending"
    attempts: int = 0
    next_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class _Action:
    planned: PlannedAction
    status: str
    begun_ms: int = 0
    outcome: ActionOutcome | None = None
    is_reported: bool = False


class MemoryStateStore(StateStore):
    """Keeps the state of one process run; `clock` tells the time of given-up messages.

    Records are replaced, never altered, and reads copy a table in one step, so that readers in
    other threads see whole records.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock if clock is not None else SystemClock()
        self._mark = (0, 0)
        self._incidents: dict[str, Incident] = {}
        self._outbox: dict[str, _Message] = {}
        self._actions: dict[str, _Action] = {}
        self._audit: list[AuditRow] = []

    def close(self) -> None:
        """Do nothing; there is nothing to release."""

    def high_water(self) -> tuple[int, int]:
        """Return (seq, k) of the last effect applied, (0, 0) for a new store."""
        return self._mark

    def apply(self, effects: Sequence[IncidentEffect]) -> None:
        """Take over incidents with their messages and actions; skip effects already applied."""
        for effect in effects:
            if (effect.seq, effect.k) > self._mark:
                self._take(effect)
                self._mark = (effect.seq, effect.k)

    def incident(self, incident_id: str) -> Incident:
        """Return one incident. Raises NotFoundError."""
        if incident_id not in self._incidents:
            raise NotFoundError(f"no incident {incident_id!r}")
        return self._incidents[incident_id]

    def incidents(
        self, states: tuple[IncidentState, ...], *, limit: int, offset: int = 0
    ) -> list[Incident]:
        """Return incidents in these states (all when empty), newest first."""
        wanted = states or tuple(IncidentState)
        found = self._newest_first(lambda incident: incident.state in wanted)
        return found[offset : offset + limit]

    def incidents_between(self, start_ms: int, end_ms: int) -> list[Incident]:
        """Return incidents that were open at some time within the span, newest first."""
        return self._newest_first(
            lambda incident: (
                incident.opened_ms <= end_ms
                and (
                    incident.state is not IncidentState.RESOLVED or incident.resolved_ms >= start_ms
                )
            )
        )

    def due_notifications(
        self, now_ms: int, *, limit: int, receiver: str = ""
    ) -> list[tuple[Notification, int]]:
        """Return the oldest undelivered message of each incident and receiver, if it is time."""
        due = [m for m in self._heads(receiver) if m.next_at_ms <= now_ms]
        return [(message.note, message.attempts) for message in due[:limit]]

    def next_notification_ms(self, receiver: str) -> int | None:
        """Return when the next message to a receiver is or was due, None when none waits."""
        return min((message.next_at_ms for message in self._heads(receiver)), default=None)

    def notifications_of(self, incident_id: str, receiver: str) -> list[Notification]:
        """Return every message planned for a receiver about an incident, oldest first."""
        notes = [message.note for message in list(self._outbox.values())]
        return [n for n in notes if (n.incident_id, n.receiver) == (incident_id, receiver)]

    def outbox_pending(self) -> dict[str, int]:
        """Return how many messages wait for each receiver that has any."""
        counts: dict[str, int] = {}
        for message in list(self._outbox.values()):
            if message.status == "pending":
                counts[message.note.receiver] = counts.get(message.note.receiver, 0) + 1
        return counts

    def mark_delivered(self, key: str, now_ms: int) -> None:  # noqa: ARG002 - kept on disk only
        """Note that a message reached its receiver."""
        message = self._outbox.get(key)
        if message is not None and message.status == "pending":
            attempts = message.attempts + 1
            self._outbox[key] = replace(message, status="delivered", attempts=attempts)

    def mark_failed(self, key: str, *, error: str, retry_at_ms: int | None) -> None:
        """Note a failed attempt; `retry_at_ms` None gives the message up, with an audit record."""
        message = self._outbox.get(key)
        if message is None or message.status != "pending":
            return
        message = replace(message, attempts=message.attempts + 1, next_at_ms=retry_at_ms or 0)
        if retry_at_ms is None:
            message = replace(message, status="failed")
            self._note(self._clock.now_ms(), "notification.given_up", key, {"error": error})
        self._outbox[key] = message

    def due_actions(self, *, limit: int) -> list[PlannedAction]:
        """Return planned actions that were never started, oldest first."""
        return [entry.planned for entry in self._actions_in("planned")][:limit]

    def begin_action(self, action: PlannedAction, now_ms: int) -> None:
        """Note that an action is about to run."""
        entry = self._planned(action.key)
        if entry.status != "planned":
            raise ConflictError(f"action {action.key} was begun before")
        self._actions[action.key] = replace(entry, status="begun", begun_ms=now_ms)
        self._note(now_ms, "action.begun", action.key, planned_detail(action))

    def end_action(self, outcome: ActionOutcome, now_ms: int) -> None:
        """Note how an action ended, begun or not; a second end is ignored."""
        entry = self._planned(outcome.key)
        if entry.status in ("planned", "begun"):
            self._actions[outcome.key] = replace(entry, status="ended", outcome=outcome)
            self._note(now_ms, "action.ended", outcome.key, outcome_detail(outcome))

    def interrupted_actions(self) -> list[PlannedAction]:
        """Return actions begun but not ended."""
        return [entry.planned for entry in self._actions_in("begun")]

    def actions_begun_since(self, since_ms: int) -> int:
        """Return how many actions (dry runs not counted) began at or after a time."""
        return sum(entry.begun_ms >= since_ms for entry in self._begun_for_real())

    def playbook_begun_ms(self, playbook: str) -> int | None:
        """Return when a playbook last began an action (no dry run), None if it never did."""
        begun = [e.begun_ms for e in self._begun_for_real() if e.planned.playbook == playbook]
        return max(begun, default=None)

    def unreported_outcomes(self, *, limit: int) -> list[ActionOutcome]:
        """Return ends of actions that were not yet handed on to the journal, oldest first."""
        ended = [e for e in self._actions_in("ended") if not e.is_reported]
        return [e.outcome for e in ended if e.outcome is not None][:limit]

    def mark_reported(self, key: str) -> None:
        """Note that the journal has the outcome of an action."""
        if key in self._actions:
            self._actions[key] = replace(self._actions[key], is_reported=True)

    def audit_rows(self, *, after_id: int, limit: int) -> list[AuditRow]:
        """Return audit records behind `after_id`, oldest first."""
        return self._audit[after_id : after_id + limit]

    def prune(self, before_ms: int) -> int:
        """Delete incidents resolved before a time whose messages and actions are done."""
        gone = [i for i in self._resolved_before(before_ms) if not self._is_busy(i)][:PRUNE_MAX]
        self._incidents = {i: v for i, v in self._incidents.items() if i not in gone}
        self._outbox = {k: m for k, m in self._outbox.items() if m.note.incident_id not in gone}
        self._actions = {
            k: a for k, a in self._actions.items() if a.planned.incident_id not in gone
        }
        return len(gone)

    def _take(self, effect: IncidentEffect) -> None:
        self._incidents[effect.incident.incident_id] = effect.incident
        for note in effect.notifications:
            self._outbox.setdefault(note.key, _Message(note))
        for action in effect.actions:
            if action.key in self._actions:
                continue
            status = "refused" if action.mode is ActionMode.OFF else "planned"
            self._actions[action.key] = _Action(action, status)
            at_ms = effect.incident.updated_ms
            self._note(at_ms, f"action.{status}", action.key, planned_detail(action))

    def _note(self, at_ms: int, kind: str, key: str, detail: dict[str, str]) -> None:
        last = self._audit[-1] if self._audit else None
        self._audit.append(next_row(last, at_ms=at_ms, kind=kind, key=key, detail=detail))

    def _newest_first(self, is_wanted: Callable[[Incident], bool]) -> list[Incident]:
        found = [incident for incident in list(self._incidents.values()) if is_wanted(incident)]
        return sorted(found, key=lambda i: (i.opened_ms, i.incident_id), reverse=True)

    def _heads(self, receiver: str) -> list[_Message]:
        heads: dict[tuple[str, str], _Message] = {}
        for message in list(self._outbox.values()):
            if message.status == "pending" and receiver in ("", message.note.receiver):
                heads.setdefault((message.note.receiver, message.note.incident_id), message)
        return list(heads.values())

    def _actions_in(self, status: str) -> list[_Action]:
        return [entry for entry in list(self._actions.values()) if entry.status == status]

    def _begun_for_real(self) -> list[_Action]:
        entries = list(self._actions.values())
        return [e for e in entries if e.begun_ms > 0 and e.planned.mode is ActionMode.AUTO]

    def _planned(self, key: str) -> _Action:
        if key not in self._actions:
            raise NotFoundError(f"no action {key!r} was planned")
        return self._actions[key]

    def _resolved_before(self, before_ms: int) -> list[str]:
        resolved = [i for i in self._incidents.values() if i.state is IncidentState.RESOLVED]
        resolved.sort(key=lambda incident: incident.resolved_ms)
        return [i.incident_id for i in resolved if i.resolved_ms < before_ms]

    def _is_busy(self, incident_id: str) -> bool:
        is_pending = any(
            message.status == "pending" and message.note.incident_id == incident_id
            for message in self._outbox.values()
        )
        is_acting = any(
            entry.status in ("planned", "begun")
            or (entry.status == "ended" and not entry.is_reported)
            for entry in self._actions.values()
            if entry.planned.incident_id == incident_id
        )
        return is_pending or is_acting
