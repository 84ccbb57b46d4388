"""The audit trail: append-only records, each sealed with the hash of the one before it.

Changing, removing or reordering a record breaks every hash behind it. Cutting off the newest
records does not show in the chain itself; compare the head hash with one noted elsewhere.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from aiops.domain.action import ActionOutcome, PlannedAction
from aiops.domain.verdict import Verdict, allow, refuse

GENESIS_HASH = "0" * 64
"""Chosen: what the first record of a trail names as its predecessor."""

BODY_CHARS_MAX = 4096
"""Chosen: a body quoted in a record is cut here; its sha256 covers all of it."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One record: what happened to `key`, when, and its place in the chain.

    `detail` is canonical JSON text; hashes are 64 hex digits.
    """

    audit_id: int
    at_ms: int
    kind: str
    key: str
    detail: str
    prev_hash: str
    hash: str


def next_row(
    last: AuditRow | None, *, at_ms: int, kind: str, key: str, detail: dict[str, str]
) -> AuditRow:
    """Return the record that follows `last` (None: the first one of a trail)."""
    audit_id = 1 if last is None else last.audit_id + 1
    prev_hash = GENESIS_HASH if last is None else last.hash
    text = _canonical(detail)
    sealed = _seal(prev_hash, (audit_id, at_ms, kind, key, text))
    return AuditRow(audit_id, at_ms, kind, key, text, prev_hash, sealed)


def check_chain(rows: Iterable[AuditRow], *, after: AuditRow | None = None) -> Verdict:
    """Tell whether records follow each other unaltered, and if not, at which the chain breaks.

    `after` is the record before the first of `rows` when they are not the whole trail.
    """
    audit_id = 0 if after is None else after.audit_id
    last_hash = GENESIS_HASH if after is None else after.hash
    for row in rows:
        if row.audit_id != audit_id + 1:
            return refuse(f"record {audit_id + 1} is missing")
        if row.prev_hash != last_hash:
            return refuse(f"record {row.audit_id} does not follow the one before it")
        facts = (row.audit_id, row.at_ms, row.kind, row.key, row.detail)
        if row.hash != _seal(row.prev_hash, facts):
            return refuse(f"record {row.audit_id} was altered")
        audit_id, last_hash = row.audit_id, row.hash
    return allow(f"{audit_id} records, head {last_hash}")


def planned_detail(action: PlannedAction) -> dict[str, str]:
    """Return what a record about a planned action tells: the whole call, and why."""
    return {
        "playbook": action.playbook,
        "action": action.action,
        "incident_id": action.incident_id,
        "mode": action.mode.value,
        "method": action.method,
        "url": action.url,
        "body": action.body.decode(errors="replace")[:BODY_CHARS_MAX],
        "body_sha256": hashlib.sha256(action.body).hexdigest(),
        "reason": action.reason,
    }


def outcome_detail(outcome: ActionOutcome) -> dict[str, str]:
    """Return what a record about the end of an action tells."""
    return {
        "playbook": outcome.playbook,
        "action": outcome.action,
        "incident_id": outcome.incident_id,
        "status": outcome.status.value,
        "detail": outcome.detail,
    }


def _seal(prev_hash: str, facts: tuple[int, int, str, str, str]) -> str:
    return hashlib.sha256(f"{prev_hash}\n{_canonical(facts)}".encode()).hexdigest()


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
