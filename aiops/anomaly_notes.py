"""Episodes of one series become anomalies here: named, explained, and judged by their data."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from aiops.detect.episodes import EpisodeEvent
from aiops.detect.parts import own_flags, parts_of, season_of, window_flags
from aiops.detect.veto import Vetoes
from aiops.domain.anomaly import Anomaly, AnomalyChange, AnomalyEvent
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
    """

    def __init__(self, table: SeriesTable, quality: QualityState) -> None:
        self.vetoes = Vetoes()
        self._table = table
        self._quality = quality

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
            lower=event.lower,
            upper=event.upper,
            quality=self._flags(event, partial),
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

    def _flags(self, event: EpisodeEvent, partial: dict[str, bool]) -> tuple[str, ...]:
        """Return the flags seen up to the peak; whether the source was whole is asked once."""
        seen = flags_of(window_flags(event.parts))
        if event.change is AnomalyChange.CLOSED:
            return seen
        instance = self._table.index.value(event.slot, INSTANCE_LABEL)
        if instance and instance not in partial:
            slots = self._table.index.with_pair(INSTANCE_LABEL, instance)
            partial[instance] = self._quality.is_partial(slots)
        return (*seen, QualityFlag.PARTIAL.value) if partial.get(instance) else seen
