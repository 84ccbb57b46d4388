"""`state.db`: incidents, outbox, actions and audit trail in one SQLite file.

Threads: all writers are called from one thread at a time (the shell's state thread); there is no
lock. Readers may be called from any thread, each call on a connection of its own.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from aiops.clock import Clock, SystemClock
from aiops.domain.action import ActionMode, ActionOutcome, Notification, PlannedAction
from aiops.domain.audit import AuditRow, outcome_detail, planned_detail
from aiops.domain.effects import IncidentEffect
from aiops.domain.incident import Incident, IncidentState
from aiops.errors import ConflictError, NotFoundError, StoreError
from aiops.store.base import PRUNE_MAX, StateStore
from aiops.store.state_effects import append_audit, write_effect
from aiops.store.state_rows import (
    action_from_row,
    audit_from_row,
    incident_from_row,
    notification_from_row,
    outcome_from_row,
)
from aiops.store.state_schema import BUSY_TIMEOUT_S, open_reader, open_writer

Value = str | int | bytes

_DUE = """
SELECT * FROM outbox AS later
WHERE status = 'pending' AND next_at_ms <= ? AND receiver {which} AND NOT EXISTS(
    SELECT 1 FROM outbox AS earlier WHERE earlier.status = 'pending'
    AND earlier.receiver = later.receiver AND earlier.incident_id = later.incident_id
    AND earlier.n < later.n)
ORDER BY n LIMIT ?"""

_DONE_INCIDENTS = """
SELECT id FROM incidents WHERE state = 'resolved' AND resolved_ms < ?
AND NOT EXISTS(SELECT 1 FROM outbox WHERE incident_id = id AND outbox.status = 'pending')
AND NOT EXISTS(SELECT 1 FROM actions WHERE incident_id = id AND (
    actions.status IN ('planned','begun') OR (actions.status = 'ended' AND reported = 0)))
ORDER BY resolved_ms LIMIT ?"""


class SqliteStateStore(StateStore):
    """Keeps incidents with their messages and actions; every writer is one durable transaction.

    After a StoreError nothing of the call was written and the store stays usable: when a full
    disk has room again, the same call succeeds.

    Parameters
    ----------
    path
        The database file; made when missing.
    clock
        Tells the time of audit records about messages given up.
    bytes_max
        Size of the file beyond which writes are refused; 0 means until the disk is full.
    busy_timeout_s
        How long a writer waits for another program that holds the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock | None = None,
        bytes_max: int = 0,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> None:
        self._path = path
        self._open = partial(open_writer, path, bytes_max=bytes_max, busy_timeout_s=busy_timeout_s)
        self._clock = clock if clock is not None else SystemClock()
        self._db: sqlite3.Connection | None = self._open()
        self._is_closed = False

    def close(self) -> None:
        """Close the file; the write-ahead log is folded in when nobody else reads."""
        self._is_closed = True
        self._drop_writer()

    def high_water(self) -> tuple[int, int]:
        """Return (seq, k) of the last effect applied, (0, 0) for a new store."""
        row = self._read("SELECT seq, k FROM high_water")[0]
        return int(row["seq"]), int(row["k"])

    def apply(self, effects: Sequence[IncidentEffect]) -> None:
        """Write incidents with their outbox rows and actions; skip effects already applied."""
        with self._transaction() as db:
            mark = tuple(db.execute("SELECT seq, k FROM high_water").fetchone())
            for effect in effects:
                if (effect.seq, effect.k) > mark:
                    mark = (effect.seq, effect.k)
                    write_effect(db, effect)
            db.execute("UPDATE high_water SET seq = ?, k = ? WHERE (seq, k) != (?, ?)", mark + mark)

    def incident(self, incident_id: str) -> Incident:
        """Return one incident. Raises NotFoundError."""
        rows = self._read("SELECT json FROM incidents WHERE id = ?", incident_id)
        if not rows:
            raise NotFoundError(f"no incident {incident_id!r}")
        return incident_from_row(rows[0])

    def incidents(
        self, states: tuple[IncidentState, ...], *, limit: int, offset: int = 0
    ) -> list[Incident]:
        """Return incidents in these states (all when empty), newest first."""
        wanted = states or tuple(IncidentState)
        marks = ",".join("?" * len(wanted))
        rows = self._read(
            f"SELECT json FROM incidents WHERE state IN ({marks})"  # noqa: S608 - only "?,?"
            " ORDER BY opened_ms DESC, id DESC LIMIT ? OFFSET ?",
            *wanted,
            limit,
            offset,
        )
        return [incident_from_row(row) for row in rows]

    def incidents_between(self, start_ms: int, end_ms: int) -> list[Incident]:
        """Return incidents that were open at some time within the span, newest first."""
        rows = self._read(
            "SELECT json FROM incidents WHERE opened_ms <= ?"
            " AND (state != 'resolved' OR resolved_ms >= ?) ORDER BY opened_ms DESC, id DESC",
            end_ms,
            start_ms,
        )
        return [incident_from_row(row) for row in rows]

    def due_notifications(
        self, now_ms: int, *, limit: int, receiver: str = ""
    ) -> list[tuple[Notification, int]]:
        """Return the oldest undelivered message of each incident and receiver, if it is time."""
        query = _DUE.format(which="= ?" if receiver else "!= ?")  # no receiver is called ""
        rows = self._read(query, now_ms, receiver, limit)
        return [(notification_from_row(row), int(row["attempts"])) for row in rows]

    def next_notification_ms(self, receiver: str) -> int | None:
        """Return when the next message to a receiver is or was due, None when none waits."""
        heads = (
            "SELECT min(n) FROM outbox WHERE status = 'pending' AND receiver = ?"
            " GROUP BY incident_id"
        )
        query = f"SELECT min(next_at_ms) AS at_ms FROM outbox WHERE n IN ({heads})"  # noqa: S608 - constants only
        at_ms = self._read(query, receiver)[0]["at_ms"]
        return None if at_ms is None else int(at_ms)

    def notifications_of(self, incident_id: str, receiver: str) -> list[Notification]:
        """Return every message planned for a receiver about an incident, oldest first."""
        query = "SELECT * FROM outbox WHERE incident_id = ? AND receiver = ? ORDER BY n"
        return [notification_from_row(row) for row in self._read(query, incident_id, receiver)]

    def outbox_pending(self) -> dict[str, int]:
        """Return how many messages wait for each receiver that has any."""
        rows = self._read(
            "SELECT receiver, count(*) AS n_rows FROM outbox WHERE status = 'pending'"
            " GROUP BY receiver"
        )
        return {row["receiver"]: int(row["n_rows"]) for row in rows}

    def mark_delivered(self, key: str, now_ms: int) -> None:
        """Note that a message reached its receiver."""
        with self._transaction() as db:
            db.execute(
                "UPDATE outbox SET status = 'delivered', attempts = attempts + 1, last_error = '',"
                " delivered_ms = ? WHERE key = ? AND status = 'pending'",
                (now_ms, key),
            )

    def mark_failed(self, key: str, *, error: str, retry_at_ms: int | None) -> None:
        """Note a failed attempt; `retry_at_ms` None gives the message up, with an audit record."""
        status = "failed" if retry_at_ms is None else "pending"
        with self._transaction() as db:
            changed = db.execute(
                "UPDATE outbox SET status = ?, attempts = attempts + 1, last_error = ?,"
                " next_at_ms = ? WHERE key = ? AND status = 'pending'",
                (status, error, retry_at_ms or 0, key),
            ).rowcount
            if changed and retry_at_ms is None:
                detail = {"error": error}
                append_audit(db, self._clock.now_ms(), "notification.given_up", key, detail)

    def due_actions(self, *, limit: int) -> list[PlannedAction]:
        """Return planned actions that were never started, oldest first."""
        query = "SELECT * FROM actions WHERE status = 'planned' ORDER BY n LIMIT ?"
        return [action_from_row(row) for row in self._read(query, limit)]

    def begin_action(self, action: PlannedAction, now_ms: int) -> None:
        """Write the audit row that an action is about to run, before it runs."""
        with self._transaction() as db:
            changed = db.execute(
                "UPDATE actions SET status = 'begun', begun_ms = ?"
                " WHERE key = ? AND status = 'planned'",
                (now_ms, action.key),
            ).rowcount
            if not changed:
                _check_planned(db, action.key)
                raise ConflictError(f"action {action.key} was begun before")
            append_audit(db, now_ms, "action.begun", action.key, planned_detail(action))

    def end_action(self, outcome: ActionOutcome, now_ms: int) -> None:
        """Write the audit row of how an action ended, begun or not; a second end is ignored."""
        with self._transaction() as db:
            changed = db.execute(
                "UPDATE actions SET status = 'ended', ended_ms = ?, outcome = ?, detail = ?"
                " WHERE key = ? AND status IN ('planned','begun')",
                (now_ms, outcome.status.value, outcome.detail, outcome.key),
            ).rowcount
            if changed:
                append_audit(db, now_ms, "action.ended", outcome.key, outcome_detail(outcome))
            else:
                _check_planned(db, outcome.key)

    def interrupted_actions(self) -> list[PlannedAction]:
        """Return actions begun but not ended: the process died in between."""
        rows = self._read("SELECT * FROM actions WHERE status = 'begun' ORDER BY n")
        return [action_from_row(row) for row in rows]

    def actions_begun_since(self, since_ms: int) -> int:
        """Return how many actions (dry runs not counted) began at or after a time."""
        query = "SELECT count(*) AS n_rows FROM actions WHERE mode = ? AND begun_ms >= ?"
        query += " AND begun_ms > 0"
        return int(self._read(query, ActionMode.AUTO.value, since_ms)[0]["n_rows"])

    def playbook_begun_ms(self, playbook: str) -> int | None:
        """Return when a playbook last began an action (no dry run), None if it never did."""
        query = (
            "SELECT max(begun_ms) AS at_ms FROM actions"
            " WHERE mode = ? AND begun_ms > 0 AND playbook = ?"
        )
        at_ms = self._read(query, ActionMode.AUTO.value, playbook)[0]["at_ms"]
        return None if at_ms is None else int(at_ms)

    def unreported_outcomes(self, *, limit: int) -> list[ActionOutcome]:
        """Return ends of actions that were not yet handed on to the journal, oldest first."""
        query = "SELECT * FROM actions WHERE status = 'ended' AND reported = 0 ORDER BY n LIMIT ?"
        return [outcome_from_row(row) for row in self._read(query, limit)]

    def mark_reported(self, key: str) -> None:
        """Note that the journal has the outcome of an action."""
        with self._transaction() as db:
            db.execute("UPDATE actions SET reported = 1 WHERE key = ?", (key,))

    def audit_rows(self, *, after_id: int, limit: int) -> list[AuditRow]:
        """Return audit records behind `after_id`, oldest first."""
        query = "SELECT * FROM audit WHERE id > ? ORDER BY id LIMIT ?"
        return [audit_from_row(row) for row in self._read(query, after_id, limit)]

    def prune(self, before_ms: int) -> int:
        """Delete incidents resolved before a time whose messages and actions are done."""
        with self._transaction() as db:
            ids = [tuple(row) for row in db.execute(_DONE_INCIDENTS, (before_ms, PRUNE_MAX))]
            db.executemany("DELETE FROM outbox WHERE incident_id = ?", ids)
            db.executemany("DELETE FROM actions WHERE incident_id = ?", ids)
            db.executemany("DELETE FROM incidents WHERE id = ?", ids)
        return len(ids)

    def _read(self, query: str, *values: Value) -> list[sqlite3.Row]:
        """Return the rows of one query, read on a connection of its own."""
        try:
            db = open_reader(self._path)
            try:
                return db.execute(query, values).fetchall()
            finally:
                db.close()
        except sqlite3.Error as error:
            raise StoreError(f"cannot read {self._path}: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the writer inside a transaction that is durable when the block ends well."""
        db = self._writer()
        try:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(
                f"cannot write {self._path}: {error}; free disk space or check the device,"
                " nothing of this call was kept"
            ) from error
        finally:
            self._abandon(db)

    def _writer(self) -> sqlite3.Connection:
        if self._is_closed:
            raise StoreError(f"{self._path} is closed")
        if self._db is None:  # dropped after a roll-back that failed
            self._db = self._open()
        return self._db

    def _abandon(self, db: sqlite3.Connection) -> None:
        """Roll back what is left of a transaction; SQLite may have done so by itself."""
        if not db.in_transaction:
            return
        try:
            db.execute("ROLLBACK")
        except sqlite3.Error:
            self._drop_writer()  # closing rolls back; the next writer opens the file anew

    def _drop_writer(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


def _check_planned(db: sqlite3.Connection, key: str) -> None:
    if db.execute("SELECT 1 FROM actions WHERE key = ?", (key,)).fetchone() is None:
        raise NotFoundError(f"no action {key!r} was planned")
