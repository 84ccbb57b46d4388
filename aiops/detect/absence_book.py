"""The open absences: opened, brought up to date and closed, each by whom it is about."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import orjson

from aiops.domain.absence import AbsenceEnd, AbsenceFacts, AbsenceReason
from aiops.domain.anomaly import Anomaly, AnomalyChange, AnomalyEvent, AnomalyKind
from aiops.domain.incident_json import anomaly_from_json, anomaly_to_json
from aiops.domain.labels import Labels

DETECTOR = "absence"


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one sweep has to say of an absence: whom it concerns, and by how much.

    `span_ms` is from the last sign of life until now, or by how much samples are late;
    `usual_ms` the typical gap and the longest silence borne.
    """

    fingerprint: int
    labels: Labels
    facts: AbsenceFacts
    now_ms: int
    span_ms: int
    usual_ms: tuple[float, float]
    score: float


class AbsenceBook:
    """Open absences by owner: a slot, or -1 - group.

    Parameters
    ----------
    open_max
        Absences open at once; newcomers beyond are counted in `shed_total` and may open later.
    """

    def __init__(self, open_max: int) -> None:
        self._open_max = open_max
        self._open: dict[int, Anomaly] = {}
        self.shed_total = 0

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, owner: int) -> bool:
        return owner in self._open

    def owners(self) -> list[int]:
        """Return who is absent, longest first."""
        return list(self._open)

    def reason(self, owner: int) -> AbsenceReason:
        """Return how an open absence is."""
        facts = self._open[owner].absence
        assert facts is not None, "BUG: an open absence without facts"
        return facts.reason

    def note(self, owner: int, seen: Sighting) -> AnomalyEvent | None:
        """Open an absence, or tell what became of it; None where no more may be open."""
        known = self._open.get(owner)
        if known is None and len(self._open) >= self._open_max:
            self.shed_total += 1
            return None
        if known is None:
            anomaly = _anomaly(seen)
        else:
            anomaly = replace(
                known,
                peak_ms=seen.now_ms,
                value=seen.span_ms / 1000,
                score=max(known.score, seen.score),
                absence=seen.facts,
            )
        self._open[owner] = anomaly
        return AnomalyEvent(AnomalyChange.OPENED, anomaly)

    def close(self, owner: int, end_ms: int, end: AbsenceEnd) -> AnomalyEvent:
        """Close an open absence as of the first sign of life."""
        anomaly = self._open.pop(owner)
        assert anomaly.absence is not None, "BUG: an open absence without facts"
        end_ms = max(end_ms, anomaly.onset_ms)
        is_late = anomaly.absence.reason is AbsenceReason.LATE
        closed = replace(
            anomaly,
            end_ms=end_ms,
            value=anomaly.value if is_late else (end_ms - anomaly.onset_ms) / 1000,
            absence=replace(anomaly.absence, ended_by=end),
        )
        return AnomalyEvent(AnomalyChange.CLOSED, closed)

    def dump(self) -> npt.NDArray[np.uint8]:
        """Return the open absences as JSON text."""
        rows = [[owner, anomaly_to_json(anomaly)] for owner, anomaly in self._open.items()]
        return np.frombuffer(orjson.dumps(rows), np.uint8)

    def load(self, text: npt.NDArray[np.generic]) -> None:
        """Take over what `dump` returned."""
        rows = orjson.loads(text.tobytes())
        self._open = {int(owner): anomaly_from_json(data) for owner, data in rows}


def _anomaly(seen: Sighting) -> Anomaly:
    is_late = seen.facts.reason is AbsenceReason.LATE
    onset_ms = seen.now_ms if is_late else seen.now_ms - seen.span_ms
    typical_ms, longest_ms = seen.usual_ms
    return Anomaly(
        anomaly_id=f"{seen.fingerprint:016x}-{DETECTOR}-{onset_ms}",
        fingerprint=seen.fingerprint,
        labels=seen.labels,
        detector=DETECTOR,
        onset_ms=onset_ms,
        peak_ms=seen.now_ms,
        end_ms=0,
        score=seen.score,
        value=seen.span_ms / 1000,
        expected=typical_ms / 1000,
        lower=0.0,
        upper=longest_ms / 1000,
        kind=AnomalyKind.ABSENCE,
        absence=seen.facts,
    )
