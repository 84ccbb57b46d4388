"""Detectors over several series at once: entities as a whole, and replicas among their peers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from aiops.config import DetectConfig
from aiops.detect.banks.group import GroupBank
from aiops.detect.banks.peers import PeerBank
from aiops.detect.episodes import LEVEL_DEFAULT, EpisodeEvent
from aiops.detect.group import EntityGroups, GroupFinding
from aiops.detect.peers import PeerGroups
from aiops.domain.anomaly import Anomaly, AnomalyChange, AnomalyEvent, AnomalyKind
from aiops.domain.labels import Labels
from aiops.domain.samples import F64, I32, I64
from aiops.series.table import SeriesTable

SLOTS_MIN = 1024

Arrays = dict[str, npt.NDArray[np.generic]]


class GroupWatch:
    """Entities and replicas over the engine's slots; their episodes come out as anomalies.

    Parameters
    ----------
    config
        `group`, `peers`, and thresholds of episodes.
    table
        Names the series; only read.
    rows_max
        Most rows handed to `judge` at once.

    Notes
    -----
    Anomalies of groups have no budget of their own: there are too few to learn a tail from. They
    open at the level of the fleet's budget, but never below `LEVEL_DEFAULT`, for which the scores
    of these detectors are calibrated; so a fleet that has to be strict is strict with them too.
    """

    def __init__(self, config: DetectConfig, table: SeriesTable, rows_max: int) -> None:
        self._table = table
        self._has_fixed_level = config.alarm_score is not None
        self.entities = EntityGroups(config, SLOTS_MIN, rows_max)
        self.peers = PeerGroups(config, SLOTS_MIN, rows_max)

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots."""
        self.entities.grow(capacity)
        self.peers.grow(capacity)

    def admit(self, slots: I32) -> None:
        """Let new series join their entity and their siblings."""
        self.entities.admit(slots, self._table.labels)
        self.peers.admit(slots, self._table.labels)

    def judge(self, slots: I32, ts_ms: I64, features: F64, scores: F64) -> Iterator[AnomalyEvent]:
        """Take in a batch with the scores of the series' own bank; yield what it brought."""
        found = self.entities.judge(slots, ts_ms, features, scores, self._table.labels)
        yield from self._of_entities(found)
        yield from self._of_replicas(self.peers.judge(slots, ts_ms, features))

    def follow_budget(self, fleet_level: float) -> None:
        """Open anomalies at the level of the fleet from now on, if that is stricter."""
        if not self._has_fixed_level:
            level = max(fleet_level, LEVEL_DEFAULT)
            self.entities.set_level(level)
            self.peers.set_level(level)

    def close(self, slots: I32, now_ms: int) -> Iterator[AnomalyEvent]:
        """Close the anomalies of series that ended, and of entities with no other evidence."""
        yield from self._of_entities(self.entities.end(slots, now_ms, self._table.labels))
        yield from self._of_replicas(self.peers.close(slots, now_ms))

    def reset(self, slots: I32) -> None:
        """Learn these series anew; `close` has been called for them."""
        self.entities.reset(slots)
        self.peers.reset(slots)

    def forget(self, slots: I32, now_ms: int) -> Iterator[AnomalyEvent]:
        """Take series out of their groups; `reset` has been called for them."""
        self.peers.forget(slots)
        yield from self._of_entities(self.entities.forget(slots, now_ms, self._table.labels))

    def state(self, n_slots: int) -> Arrays:
        """Return the arrays of a snapshot, as live views."""
        return self.entities.state(n_slots) | self.peers.state(n_slots)

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]], live: I32) -> None:
        """Take over a snapshot; what it does not know of begins anew."""
        self.entities.restore(arrays, live, self._table.labels)
        self.peers.restore(arrays, live, self._table.labels)

    def _of_entities(self, findings: Sequence[GroupFinding]) -> Iterator[AnomalyEvent]:
        for finding in findings:
            event, fingerprint = finding.event, finding.fingerprint
            anomaly = _anomaly(event, fingerprint, finding.labels, AnomalyKind.GROUP)
            yield AnomalyEvent(event.change, replace(anomaly, members=finding.parts))

    def _of_replicas(self, events: Sequence[EpisodeEvent]) -> Iterator[AnomalyEvent]:
        for event in events:
            fingerprint = int(self._table.fingerprints[event.slot])
            labels = self._table.labels(event.slot)
            anomaly = _anomaly(event, fingerprint, labels, AnomalyKind.PEER)
            yield AnomalyEvent(event.change, anomaly)


def _anomaly(event: EpisodeEvent, fingerprint: int, labels: Labels, kind: AnomalyKind) -> Anomaly:
    detector = GroupBank.name if kind is AnomalyKind.GROUP else PeerBank.name
    return Anomaly(
        anomaly_id=f"{fingerprint:016x}-{detector}-{event.onset_ms}",
        fingerprint=fingerprint,
        labels=labels,
        detector=detector,
        onset_ms=event.onset_ms,
        peak_ms=event.peak_ms,
        end_ms=event.end_ms if event.change is AnomalyChange.CLOSED else 0,
        score=event.score,
        value=event.value,
        expected=event.expected,
        lower=event.lower,
        upper=event.upper,
        kind=kind,
    )
