"""Replicas: which series are siblings, which of them is unlike the others, and its episodes."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from aiops.config import DetectConfig
from aiops.detect.arrays import under
from aiops.detect.banks.peers import PeerBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.episodes import EpisodeEvent, Episodes
from aiops.detect.membership import GroupSlots, key_of
from aiops.domain.labels import Labels
from aiops.domain.samples import F64, I32, I64, U8

GROUPS_EACH_MAX = 16
"""Chosen: with 64 replicas a group, 1,024 replicas of one thing are compared in sixteen groups."""

Arrays = dict[str, npt.NDArray[np.generic]]
LabelsOf = Callable[[int], Labels]


class PeerGroups:
    """Judges series against those that differ from them in replica labels only.

    Parameters
    ----------
    config
        `peers` says which labels tell replicas apart and how many groups; the rest is for
        episodes.
    capacity
        Number of series slots.
    rows_max
        Most rows of one batch.

    Notes
    -----
    A series without any replica label has no siblings. Of more than 64 replicas those that came in
    succession are compared with each other; beyond 1,024 they are left out and counted. The state
    is part of a snapshot and comes back bit for bit; when the replica labels have changed since,
    groups start anew.
    """

    def __init__(self, config: DetectConfig, capacity: int, rows_max: int) -> None:
        self._replica_labels = frozenset(config.peers.replica_labels)
        is_on = bool(self._replica_labels)
        self._slots = GroupSlots(config.peers.groups_max)
        self._crowded_total = 0
        self._capacity = capacity if is_on else 1
        self._bank = PeerBank(
            self._capacity,
            warmup_rounds=config.warmup_samples,
            peers_min=config.peers.peers_min,
            rows_max=rows_max if is_on else 0,
        )
        self._episodes = Episodes(config, self._capacity, PeerBank.name)
        self._out = ScoreColumns.allocate(self._bank.rows_out_max if is_on else 0)
        self._marks: U8 = np.zeros(self._out.capacity, np.uint8)

    @property
    def n_groups(self) -> int:
        """Groups of replicas, those too small to be judged included."""
        return len(self._slots)

    @property
    def refused_total(self) -> int:
        """Series that are not compared because of a bound: too many groups, or a full one."""
        return self._slots.refused_total + self._crowded_total

    @property
    def open_now(self) -> int:
        """Open anomalies of replicas."""
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
        if self._replica_labels:
            self._capacity = max(self._capacity, capacity)
            self._bank.grow(capacity)
            self._episodes.grow(capacity)

    def admit(self, slots: I32, labels_of: LabelsOf) -> None:
        """Let new series join their siblings."""
        for slot in slots.tolist() if self._replica_labels else ():
            labels = labels_of(slot)
            shared = tuple(pair for pair in labels if pair[0] not in self._replica_labels)
            if len(shared) < len(labels):
                self._join(slot, shared)

    def judge(self, slots: I32, ts_ms: I64, features: F64) -> list[EpisodeEvent]:
        """Take in a batch; return the episodes of replicas that opened or closed."""
        events: list[EpisodeEvent] = []
        if self._slots:
            for judged in self._bank.score_learn(slots, ts_ms, features, self._out):
                values = self._out.features[: len(judged.slots)]
                events += self._episodes.step(
                    judged.slots, judged.ts_ms, values, self._out, self._marks
                )
        return events

    def close(self, slots: I32, now_ms: int) -> list[EpisodeEvent]:
        """Close the episodes of series that ended."""
        return self._episodes.close_stale(slots, now_ms) if self._replica_labels else []

    def reset(self, slots: I32) -> None:
        """Learn anew what these series are like; their episodes have been closed."""
        if self._replica_labels:
            self._bank.reset(slots)
            self._episodes.reset(slots)

    def forget(self, slots: I32) -> None:
        """Take series out of their groups; `close` and `reset` have been called for them."""
        for slot in slots.tolist() if self._slots else ():
            group = self._bank.leave(slot)
            if group >= 0:
                self._slots.drop(group)

    def state(self, n_slots: int) -> Arrays:
        """Return the arrays of a snapshot, as live views."""
        if not self._replica_labels:
            return {}
        keys, free = self._slots.saved()
        arrays: Arrays = {
            "by": self._spelt(),
            "keys": np.frombuffer(keys, np.uint8),
            "free": np.array(free, np.int32),
            **self._bank.state(n_slots, self._slots.n_slots),
        }
        for name, array in self._episodes.state().items():
            part = array[:n_slots] if len(array) == self._capacity else array
            arrays[f"episodes.{name}"] = part
        return {f"peers.{name}": array for name, array in arrays.items()}

    def restore(
        self, arrays: Mapping[str, npt.NDArray[np.generic]], live: I32, labels_of: LabelsOf
    ) -> None:
        """Take over a snapshot; one with other replica labels lets the series begin anew."""
        own = under("peers.", arrays)
        if not own or own["by"].tobytes() != self._spelt().tobytes():
            self.admit(live, labels_of)
            return
        n_slots = len(arrays["series.fingerprints"])
        self._slots.restore(own["keys"].tobytes(), own["free"].tolist())
        self._bank.restore(own, n_slots, self._slots.n_slots)
        self._episodes.restore(under("episodes.", own), n_slots)

    def _join(self, slot: int, shared: Labels) -> None:
        for number in range(GROUPS_EACH_MAX):
            group = self._slots.find(key_of((*shared, ("", str(number)))))
            if group < 0 or self._bank.join(slot, group):
                return
        self._crowded_total += 1

    def _spelt(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer("\n".join(sorted(self._replica_labels)).encode(), np.uint8)
