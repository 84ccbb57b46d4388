"""Entities: which series make one up, how unusual it is as a whole, and its episodes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.config import DetectConfig
from aiops.detect.arrays import grown, under
from aiops.detect.banks.group import GroupBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.episodes import EpisodeEvent, Episodes
from aiops.detect.membership import GroupSlots, fingerprint_of, key_of, picked
from aiops.domain.anomaly import AnomalyChange
from aiops.domain.labels import Labels, format_series
from aiops.domain.samples import F64, I32, I64, U8

PARTS_MAX = 5
"""Chosen: series named as what an anomaly of an entity is made of; more is no explanation."""

Arrays = dict[str, npt.NDArray[np.generic]]
LabelsOf = Callable[[int], Labels]


@dataclass(frozen=True, slots=True)
class GroupFinding:
    """An episode of an entity that opened or closed; `event.slot` is the entity's slot.

    `parts` are the series with the most evidence when it opened, without the entity's labels,
    and their evidence in decades.
    """

    event: EpisodeEvent
    fingerprint: int
    labels: Labels
    parts: tuple[tuple[str, float], ...]


class EntityGroups:
    """Judges the entities that series form by equal values of some labels.

    Parameters
    ----------
    config
        `group` says by which labels and how many entities; the rest is for episodes.
    capacity
        Number of series slots.
    rows_max
        Most rows of one batch.

    Notes
    -----
    Series that lack one of the labels are in no entity. The state is part of a snapshot and
    comes back bit for bit; when the labels to group by have changed since, entities start anew.
    """

    def __init__(self, config: DetectConfig, capacity: int, rows_max: int) -> None:
        self._by = tuple(sorted(config.group.by))
        self._slots = GroupSlots(config.group.entities_max)
        self._bank = GroupBank(
            capacity if self._by else 1,
            warmup_samples=config.warmup_samples,
            members_min=config.group.members_min,
            rows_max=rows_max if self._by else 0,
        )
        self._episodes = Episodes(config, 1, GroupBank.name)
        self._out = ScoreColumns.allocate(rows_max if self._by else 0)
        self._marks: U8 = np.zeros(rows_max if self._by else 0, np.uint8)
        self._labels: dict[int, Labels] = {}
        # slot + 1 of the series that opened an entity's episode, and their evidence then
        self._top: I32 = np.zeros((1, PARTS_MAX), np.int32)
        self._top_evidence: F64 = np.zeros((1, PARTS_MAX))

    @property
    def n_entities(self) -> int:
        """Entities with at least one series."""
        return len(self._slots)

    @property
    def refused_total(self) -> int:
        """Series that are in no entity because there are too many entities."""
        return self._slots.refused_total

    @property
    def open_now(self) -> int:
        """Open anomalies of entities."""
        return self._episodes.open_now

    @property
    def level(self) -> float:
        """The score that opens an anomaly."""
        return self._episodes.levels[0]

    def set_level(self, level: float) -> None:
        """Open anomalies at this score from the next round on; open ones stay."""
        self._episodes.set_level(0, level)

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` series."""
        if self._by:
            self._bank.grow(capacity)

    def admit(self, slots: I32, labels_of: LabelsOf) -> None:
        """Let new series join the entity that their labels name."""
        for slot in slots.tolist() if self._by else ():
            labels = picked(labels_of(slot), self._by)
            entity = self._slots.find(key_of(labels)) if labels else -1
            if entity >= 0:
                self._bank.join(slot, entity)
                self._labels[entity] = labels
                self._reserve(entity + 1)

    def judge(
        self, slots: I32, ts_ms: I64, features: F64, scores: F64, labels_of: LabelsOf
    ) -> list[GroupFinding]:
        """Take in a batch with the scores of the series' own bank; return what it brought."""
        if not self._slots:
            return []
        rounds = self._bank.score_learn(slots, ts_ms, features, scores, self._out)
        n = len(rounds.entities)
        if n == 0:
            return []
        evidence = self._out.features[:n]
        events = self._episodes.step(
            rounds.entities, rounds.ts_ms, evidence, self._out, self._marks
        )
        for event in events:
            if event.change is AnomalyChange.OPENED:
                self._note_parts(event.slot)
        return [self._finding(event, labels_of) for event in events]

    def end(self, slots: I32, now_ms: int, labels_of: LabelsOf) -> list[GroupFinding]:
        """Take note of series that ended; close the anomalies of entities with nothing else."""
        if not self._slots:
            return []
        self._bank.quieten(slots)
        entities = sorted({self._bank.entity_of(slot) for slot in slots.tolist()} - {-1})
        calm = [entity for entity in entities if not self._has_evidence(entity)]
        return self._close(calm, now_ms, labels_of)

    def reset(self, slots: I32) -> None:
        """Learn anew what these series are like; they stay in their entities."""
        if self._by:
            self._bank.reset(slots)

    def forget(self, slots: I32, now_ms: int, labels_of: LabelsOf) -> list[GroupFinding]:
        """Take series out of their entities; return anomalies of entities that are gone by it."""
        findings: list[GroupFinding] = []
        for slot in slots.tolist() if self._slots else ():
            last_of = self._bank.entity_of(slot)
            if last_of >= 0 and self._bank.leave(slot) >= 0:
                findings += self._close([last_of], now_ms, labels_of)
                self._episodes.reset(np.array([last_of], np.int32))
                self._top[last_of] = 0
                self._slots.drop(last_of)
                del self._labels[last_of]
        self._top[np.isin(self._top, slots + 1)] = 0
        return findings

    def state(self, n_slots: int) -> Arrays:
        """Return the arrays of a snapshot, as live views."""
        if not self._by:
            return {}
        n = self._slots.n_slots
        keys, free = self._slots.saved()
        arrays: Arrays = {
            "by": np.frombuffer("\n".join(self._by).encode(), np.uint8),
            "keys": np.frombuffer(keys, np.uint8),
            "free": np.array(free, np.int32),
            "top": self._top[:n],
            "top_evidence": self._top_evidence[:n],
            **self._bank.state(n_slots, n),
        }
        for name, array in self._episodes.state().items():
            arrays[f"episodes.{name}"] = array if name == "totals" else array[:n]
        return {f"group.{name}": array for name, array in arrays.items()}

    def restore(
        self, arrays: Mapping[str, npt.NDArray[np.generic]], live: I32, labels_of: LabelsOf
    ) -> None:
        """Take over a snapshot; one grouped otherwise leaves the live series to begin anew."""
        own = under("group.", arrays)
        if not own or own["by"].tobytes().decode() != "\n".join(self._by):
            self.admit(live, labels_of)
            return
        self._slots.restore(own["keys"].tobytes(), own["free"].tolist())
        n = self._slots.n_slots
        self._bank.restore(own, len(arrays["series.fingerprints"]), n)
        self._reserve(n)
        self._top[:n] = own["top"]
        self._top_evidence[:n] = own["top_evidence"]
        self._episodes.restore(under("episodes.", own), n)
        for slot in live.tolist():
            entity = self._bank.entity_of(slot)
            if entity >= 0 and entity not in self._labels:
                self._labels[entity] = picked(labels_of(slot), self._by)

    def _reserve(self, n_entities: int) -> None:
        if n_entities > len(self._top):
            self._top = grown(self._top, 2 * n_entities)
            self._top_evidence = grown(self._top_evidence, 2 * n_entities)
            self._episodes.grow(2 * n_entities)

    def _has_evidence(self, entity: int) -> bool:
        return any(self._bank.evidence_of(member) > 0 for member in self._bank.members(entity))

    def _note_parts(self, entity: int) -> None:
        ranked = sorted(
            ((self._bank.evidence_of(member), member) for member in self._bank.members(entity)),
            key=lambda each: (-each[0], each[1]),
        )
        self._top[entity] = 0
        for k, (evidence, member) in enumerate(ranked[:PARTS_MAX]):
            self._top[entity, k] = member + 1 if evidence > 0 else 0
            self._top_evidence[entity, k] = evidence

    def _close(
        self, entities: Sequence[int], now_ms: int, labels_of: LabelsOf
    ) -> list[GroupFinding]:
        events = self._episodes.close_stale(np.array(entities, np.int32), now_ms)
        return [self._finding(event, labels_of) for event in events]

    def _finding(self, event: EpisodeEvent, labels_of: LabelsOf) -> GroupFinding:
        labels = self._labels[event.slot]
        tops = self._top[event.slot].tolist(), self._top_evidence[event.slot].tolist()
        parts = tuple(
            (format_series(tuple(pair for pair in labels_of(top - 1) if pair not in labels)), value)
            for top, value in zip(*tops, strict=True)
            if top
        )
        return GroupFinding(event, fingerprint_of(labels), labels, parts)
