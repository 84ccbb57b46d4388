"""Journal records: every accepted input, in one order, as the core consumes it."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from aiops.domain.action import ActionOutcome
from aiops.domain.alert import Alert
from aiops.domain.samples import MetricMetadata, SampleBatch


class RecordKind(IntEnum):
    """The kind of a journal record; the numbers are part of the file format."""

    SAMPLES = 1
    METADATA = 2
    ALERTS = 3
    COMMAND = 4
    OUTCOME = 5
    TICK = 6
    EVICT = 7


class CommandVerb(StrEnum):
    """What an operator can order."""

    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True)
class MetadataBatch:
    """Family types and help texts from one request."""

    entries: tuple[MetricMetadata, ...]


@dataclass(frozen=True, slots=True)
class AlertBatch:
    """The alerts of one webhook delivery, already de-duplicated within it."""

    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """An operator's order about one incident."""

    verb: CommandVerb
    incident_id: str
    author: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """The passing of time, so that quiet has an effect and replay knows when."""


@dataclass(frozen=True, slots=True)
class Evict:
    """Series to forget, unless they were seen again since `idle_before_ms`."""

    fingerprints: tuple[int, ...]
    idle_before_ms: int


Body = SampleBatch | MetadataBatch | AlertBatch | Command | ActionOutcome | Tick | Evict


@dataclass(frozen=True, slots=True)
class Record:
    """One journal entry: `seq` grows by one, `accepted_ms` is the receiver's wall time."""

    seq: int
    accepted_ms: int
    body: Body
