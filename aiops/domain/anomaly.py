"""An anomaly: an interval of one series in which its score exceeded the threshold."""

from dataclasses import dataclass
from enum import StrEnum

from aiops.domain.labels import Labels


class AnomalyChange(StrEnum):
    """What happened to an anomaly just now."""

    OPENED = "opened"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One disturbance of one series, from onset to end.

    `score` is the peak -log10 p; `value`, `expected`, `lower`, `upper` were seen at the peak, in
    the unit of the detector's feature. `end_ms` is 0 while the anomaly lasts.
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


@dataclass(frozen=True, slots=True)
class AnomalyEvent:
    """An anomaly together with what changed about it."""

    change: AnomalyChange
    anomaly: Anomaly
