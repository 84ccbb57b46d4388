"""Records to rows of `state.db` and back."""

import sqlite3

import orjson

from aiops.domain.action import (
    ActionMode,
    ActionOutcome,
    Notification,
    OutcomeStatus,
    PlannedAction,
)
from aiops.domain.audit import AuditRow
from aiops.domain.incident import Incident
from aiops.domain.incident_json import incident_from_json, incident_to_json
from aiops.errors import DecodeError, StoreError


def incident_row(incident: Incident) -> tuple[str, str, str, int, int, int, bytes]:
    """Return the columns of table `incidents` in their order."""
    return (
        incident.incident_id,
        incident.state.value,
        incident.severity.value,
        incident.opened_ms,
        incident.updated_ms,
        incident.resolved_ms,
        orjson.dumps(incident_to_json(incident)),
    )


def incident_from_row(row: sqlite3.Row) -> Incident:
    """Return the incident whose JSON a row holds. Raises StoreError when it is damaged."""
    try:
        return incident_from_json(orjson.loads(row["json"]))
    except (orjson.JSONDecodeError, DecodeError) as error:
        raise StoreError(f"a stored incident is damaged: {error}; restore a backup") from error


def notification_from_row(row: sqlite3.Row) -> Notification:
    """Return the message of an `outbox` row."""
    return Notification(
        key=row["key"],
        receiver=row["receiver"],
        event=row["event"],
        incident_id=row["incident_id"],
        body=row["body"],
    )


def action_from_row(row: sqlite3.Row) -> PlannedAction:
    """Return the planned action of an `actions` row."""
    return PlannedAction(
        key=row["key"],
        playbook=row["playbook"],
        action=row["action"],
        incident_id=row["incident_id"],
        mode=ActionMode(row["mode"]),
        method=row["method"],
        url=row["url"],
        body=row["body"],
        reason=row["reason"],
    )


def outcome_from_row(row: sqlite3.Row) -> ActionOutcome:
    """Return how the action of an ended `actions` row came out."""
    return ActionOutcome(
        key=row["key"],
        incident_id=row["incident_id"],
        playbook=row["playbook"],
        action=row["action"],
        status=OutcomeStatus(row["outcome"]),
        detail=row["detail"],
    )


def audit_from_row(row: sqlite3.Row) -> AuditRow:
    """Return the record of an `audit` row."""
    return AuditRow(
        audit_id=row["id"],
        at_ms=row["at_ms"],
        kind=row["kind"],
        key=row["key"],
        detail=row["detail"],
        prev_hash=row["prev_hash"],
        hash=row["hash"],
    )
