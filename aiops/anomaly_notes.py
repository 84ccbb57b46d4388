"""Episodes of one series become anomalies here: named, explained, and judged by their data."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from aiops.detect.episodes import EpisodeEvent
from aiops.detect.parts import (
    has_invalid_before,
    is_beyond_threshold,
    own_flags,
    parts_of,
    season_of,
    window_flags,
)
from aiops.detect.rules import DetectionRules
from aiops.detect.veto import Vetoes
from aiops.domain.anomaly import Anomaly, AnomalyChange, AnomalyEvent, AnomalyKind
from aiops.domain.quality import QualityFlag, flags_of
from aiops.domain.samples import F64, I32, I64, U64
from aiops.series.kernels import intake
from aiops.series.quality import QualityState
from aiops.series.table import SeriesTable

INSTANCE_LABEL = "instance"
"""What names the source of a series (Prometheus, "Jobs and instances")."""


class AnomalyNotes:
    """Writes anomalies of the detectors that watch one series each.

    Parameters
    ----------
    table
        Names the series; only read.
    quality
        What was wrong with their rows; only read.
    rules
        Thresholds that operators have set; only read.
    """

    def __init__(self, table: SeriesTable, quality: QualityState, rules: DetectionRules) -> None:
        self.vetoes = Vetoes()
        self._table = table
        self._quality = quality
        self._rules = rules

    def tell(
        self, events: Sequence[EpisodeEvent], detector: str, version: int
    ) -> list[AnomalyEvent]:
        """Return the anomalies that these episodes of one detector are."""
        partial: dict[str, bool] = {}
        return [self._tell_one(event, detector, version, partial) for event in events]

    def release(self, slots: I32, ts_ms: I64, features: F64, words: U64) -> list[AnomalyEvent]:
        """Return anomalies that were vetoed and turn out to last, after these rows."""
        return self.vetoes.release(slots, ts_ms, features, words)

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays of a snapshot."""
        return self.vetoes.state()

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over a snapshot."""
        self.vetoes.restore(arrays)

    def _tell_one(
        self, event: EpisodeEvent, detector: str, version: int, partial: dict[str, bool]
    ) -> AnomalyEvent:
        slot, table = event.slot, self._table
        fingerprint = int(table.fingerprints[slot])
        is_counter = int(table.track[slot, intake.KIND]) == intake.COUNTER
        kind, bounds = self._kind(event)
        anomaly = Anomaly(
            anomaly_id=f"{fingerprint:016x}-{detector}-{event.onset_ms}",
            fingerprint=fingerprint,
            labels=table.labels(slot),
            detector=detector,
            onset_ms=event.onset_ms,
            peak_ms=event.peak_ms,
            end_ms=event.end_ms if event.change is AnomalyChange.CLOSED else 0,
            score=event.score,
            value=event.value,
            expected=event.expected,
            lower=bounds[0],
            upper=bounds[1],
            quality=self._flags(event, partial),
            kind=kind,
            alert=event.alert,
            parts=parts_of(event.parts),
            season=season_of(event.parts),
            unit=table.unit(slot),
            detector_version=str(version),
        )
        told = AnomalyEvent(event.change, anomaly)
        flags = own_flags(event.parts)
        judged = self.vetoes.judge(told, slot, flags, is_counter=is_counter)
        return AnomalyEvent(event.change, judged)

    def _kind(self, event: EpisodeEvent) -> tuple[AnomalyKind, tuple[float, float]]:
        """Return what sort of thing is wrong, and the bounds that were passed at the peak."""
        if is_beyond_threshold(event.parts):
            return AnomalyKind.THRESHOLD, self._rules.threshold(event.slot)
        return AnomalyKind.DEVIATION, (event.lower, event.upper)

    def _flags(self, event: EpisodeEvent, partial: dict[str, bool]) -> tuple[str, ...]:
        """Return the flags seen up to the peak; whether the source was whole is asked once."""
        seen = flags_of(window_flags(event.parts))
        if has_invalid_before(event.parts):
            seen = (*seen, QualityFlag.INVALID.value)
        if event.change is AnomalyChange.CLOSED:
            return seen
        instance = self._table.index.value(event.slot, INSTANCE_LABEL)
        if instance and instance not in partial:
            slots = self._table.index.with_pair(INSTANCE_LABEL, instance)
            partial[instance] = self._quality.is_partial(slots)
        return (*seen, QualityFlag.PARTIAL.value) if partial.get(instance) else seen
