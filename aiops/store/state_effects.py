"""Writing one effect into `state.db`: the incident, its messages, its actions, their records."""

import sqlite3

from aiops.domain.action import ActionMode, PlannedAction
from aiops.domain.audit import next_row, planned_detail
from aiops.domain.effects import IncidentEffect
from aiops.store.state_rows import audit_from_row, incident_row


def write_effect(db: sqlite3.Connection, effect: IncidentEffect) -> None:
    """Write one effect inside the transaction under way."""
    db.execute(
        "INSERT OR REPLACE INTO incidents VALUES(?, ?, ?, ?, ?, ?, ?)",
        incident_row(effect.incident),
    )
    for note in effect.notifications:
        db.execute(
            "INSERT OR IGNORE INTO outbox(key, receiver, event, incident_id, body, seq, k)"
            " VALUES(?, ?, ?, ?, ?, ?, ?)",
            (
                note.key,
                note.receiver,
                note.event,
                note.incident_id,
                note.body,
                effect.seq,
                effect.k,
            ),
        )
    for action in effect.actions:
        _write_planned(db, action, effect)


def _write_planned(db: sqlite3.Connection, action: PlannedAction, effect: IncidentEffect) -> None:
    status = "refused" if action.mode is ActionMode.OFF else "planned"
    names = (action.key, action.playbook, action.action, action.incident_id, action.mode.value)
    call = (action.method, action.url, action.body, action.reason)
    changed = db.execute(
        "INSERT OR IGNORE INTO actions(key, playbook, action, incident_id, mode, method, url,"
        " body, reason, status, seq, k) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*names, *call, status, effect.seq, effect.k),
    ).rowcount
    if changed:
        at_ms = effect.incident.updated_ms
        append_audit(db, at_ms, f"action.{status}", action.key, planned_detail(action))


def append_audit(
    db: sqlite3.Connection, at_ms: int, kind: str, key: str, detail: dict[str, str]
) -> None:
    """Seal a record to the end of the audit trail, inside the transaction under way."""
    last = db.execute("SELECT * FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    row = next_row(
        None if last is None else audit_from_row(last),
        at_ms=at_ms,
        kind=kind,
        key=key,
        detail=detail,
    )
    db.execute(
        "INSERT INTO audit VALUES(?, ?, ?, ?, ?, ?, ?)",
        (row.audit_id, row.at_ms, row.kind, row.key, row.detail, row.prev_hash, row.hash),
    )
