"""An anomaly: an interval of one series in which its score exceeded the threshold."""

from dataclasses import dataclass
from enum import StrEnum

from aiops.domain.absence import AbsenceFacts
from aiops.domain.forecast import ForecastFacts
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
    may be one of a group, and then has the labels the group is made by. Of an entity (kind group),
    `value` is the mean evidence of its series in decades, and `members` names those that were most
    unusual when it opened, each with its evidence. Of a threshold, `lower` and `upper` are the
    bounds an operator has set, NaN for none, and `score` says that one was passed (20 or more). Of
    a forecast they are the bound that is about to be reached, NaN for none, `expected` is what the
    trend comes to within the time looked ahead, and `score` is -log10 of the chance that the bound
    is not reached by then; `forecast` says when it is.

    `alert` is the highest alert score. `parts` are the streams whose own score was 1 or more at
    the peak, strongest first; `season` is the one its expectation came from: "day", "week" or "".
    `quality` names what happened to the data between shortly before the onset and the peak
    (`domain.quality`). Where that explains the anomaly it `is_vetoed`, for `veto_reason`: it is
    recorded, and opens no incident. `unit` is that of `value`, "" when it is not known.
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
    members: tuple[tuple[str, float], ...] = ()
    alert: float = 0.0
    parts: tuple[tuple[str, float], ...] = ()
    season: str = ""
    unit: str = ""
    detector_version: str = ""
    is_vetoed: bool = False
    veto_reason: str = ""
    forecast: ForecastFacts | None = None

    @property
    def p_value(self) -> float:
        """How likely a score at least so high is when nothing is wrong."""
        return float(10.0 ** min(-self.score, 0.0))


@dataclass(frozen=True, slots=True)
class AnomalyEvent:
    """An anomaly together with what changed about it."""

    change: AnomalyChange
    anomaly: Anomaly
