"""What the core decided to send or do, before anything was sent or done."""

from dataclasses import dataclass
from enum import StrEnum


class ActionMode(StrEnum):
    """How far an action may go; the default everywhere is dry-run."""

    OFF = "off"
    DRY_RUN = "dry-run"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Notification:
    """A message about an incident for one receiver.

    `key` is the idempotency key: equal keys mean the same message, however often it is sent.
    `body` is the complete JSON text, fixed when it was planned.
    """

    key: str
    receiver: str
    event: str
    incident_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """One HTTP action a playbook wants for an incident, with the decision and its reason."""

    key: str
    playbook: str
    action: str
    incident_id: str
    mode: ActionMode
    method: str
    url: str
    body: bytes
    reason: str


class OutcomeStatus(StrEnum):
    """How an action ended; `unknown` means the process died between call and answer."""

    DRY_RUN = "dry-run"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """What came of a planned action; fed back to the core through the journal."""

    key: str
    incident_id: str
    playbook: str
    action: str
    status: OutcomeStatus
    detail: str
