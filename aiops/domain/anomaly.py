"""An anomaly: an interval of one series in which its score exceeded the threshold."""

from dataclasses import dataclass
from enum import StrEnum

from aiops.domain.absence import AbsenceFacts
from aiops.domain.labels import Labels


class AnomalyChange(StrEnum):
    """What happened to an anomaly just now."""

    OPENED = "opened"
    CLOSED = "closed"


class AnomalyKind(StrEnum):
    """What sort of thing is wrong; it says how to read an anomaly's numbers."""

    DEVIATION = "deviation"
    """A series left what its detector expected."""
    ABSENCE = "absence"
    """Samples of a series or of a group of series stay away, or come late."""
    FORECAST = "forecast"
    """A series is on its way to a bound."""
    GROUP = "group"
    """Several series of one entity are unusual together."""
    PEER = "peer"
    """A series behaves unlike its peers."""
    THRESHOLD = "threshold"
    """A series passed a bound that an operator has set."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One disturbance of one series or group, from onset to end.

    `score` is the peak -log10 p; `value`, `expected`, `lower`, `upper` were seen at the peak, in
    the unit of the detector's feature. `end_ms` is 0 while the anomaly lasts. Of an absence,
    `value` is the silence, `expected` the usual gap and `upper` the longest borne, all in s; it
    may be one of a group, and then has the labels the group is made by.
    """

    anomaly_id: str
    fingerprint: int
    labels: Labels
    detector: str
    onset_ms: int
    peak_ms: int
    end_ms: int
    score: float
    value: float
    expected: float
    lower: float
    upper: float
    quality: tuple[str, ...] = ()
    kind: AnomalyKind = AnomalyKind.DEVIATION
    absence: AbsenceFacts | None = None


@dataclass(frozen=True, slots=True)
class AnomalyEvent:
    """An anomaly together with what changed about it."""

    change: AnomalyChange
    anomaly: Anomaly
