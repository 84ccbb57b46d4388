"""What is learnt of each series' gaps, and the walks over all of them: columns, one row a slot."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.config import AbsenceConfig
from aiops.detect.absence_groups import AbsenceGroups
from aiops.detect.arrays import grown, restored, writable
from aiops.detect.kernels import absence as layout
from aiops.detect.kernels.absence import (
    k_absence_count,
    k_absence_fall,
    k_absence_hear,
    k_absence_judge,
)
from aiops.domain.samples import I32, I64, U8, U64

TOGETHER_MS = 120_000
"""Chosen: two common scrape intervals; all instances of a job that is stopped end within it."""

REPLACED_SPAN_MS = 900_000
"""Chosen: a rollout brings the new one up to a quarter of an hour before the old one goes."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one walk over all slots has seen.

    `times` and `tally` have one row a group, columns as in the kernels; `own` are the slots that
    are overdue or late while their own group lives on, `fell` those silent from now on.
    """

    now_ms: int
    track: I64
    times: I64
    tally: I64
    own: I32
    fell: I32


class AbsenceSlots:
    """The columns of all slots: 30 bytes each.

    Parameters
    ----------
    config
        How long silence may last.
    capacity
        Number of slots.
    """

    def __init__(self, config: AbsenceConfig, capacity: int) -> None:
        self._floor_ms = 1000 * config.floor_s
        self._rules = np.zeros(layout.RULES_SIZE)
        self._rules[layout.FLOOR_MS] = self._floor_ms
        self._rules[layout.FACTOR] = config.factor
        self._rules[layout.MIN_GAPS] = config.min_gaps
        self._rules[layout.TOGETHER_MS] = TOGETHER_MS
        self._rules[layout.REPLACED_MS] = REPLACED_SPAN_MS
        self.heard_ms: I64 = np.zeros(capacity, np.int64)
        self.gaps = np.zeros((capacity, layout.GAPS_SIZE), np.float32)
        self.n_gaps: U8 = np.zeros(capacity, np.uint8)
        self.phases: U8 = np.zeros(capacity, np.uint8)
        self.groups_of: I32 = np.full(capacity, -1, np.int32)
        self._returned: I64 = np.empty((0, 2), np.int64)

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots."""
        n = len(self.groups_of)
        if capacity > n:
            self.heard_ms = grown(self.heard_ms, capacity)
            self.gaps = grown(self.gaps, capacity)
            self.n_gaps = grown(self.n_gaps, capacity)
            self.phases = grown(self.phases, capacity)
            self.groups_of = grown(self.groups_of, capacity)
            self.groups_of[n:] = -1

    def hear(
        self, rows: tuple[U64, I64], now_ms: int, track: I64, groups: AbsenceGroups
    ) -> list[tuple[int, int]]:
        """Learn from rows (slot values, times); return slot and time of series that came back."""
        slot_values, ts_ms = rows
        if len(self._returned) < len(ts_ms):
            self._returned = np.empty((len(ts_ms), 2), np.int64)
        n_returned = k_absence_hear(
            slot_values,
            writable(ts_ms),
            now_ms,
            track,
            self.heard_ms,
            self.gaps,
            self.n_gaps,
            self.phases,
            self.groups_of,
            groups.parents,
            groups.watched,
            groups.first_ms,
            self._returned,
        )
        returned = [(slot, first_ms) for slot, first_ms in self._returned[:n_returned].tolist()]
        for slot, _ in returned:
            self.phases[slot] = 0
        return returned

    def look(
        self, clock: tuple[int, int], late_from_ms: int, track: I64, groups: AbsenceGroups
    ) -> Look:
        """Walk over the slots that `track` has; note which groups resumed since the last walk.

        Parameters
        ----------
        clock
            Now, and since when we listen without a break.
        late_from_ms
            Before that time nothing is late.
        """
        now_ms, listen_ms = clock
        self._rules[layout.LATE_FROM_MS] = late_from_ms
        n_slots = len(track)
        times: I64 = np.empty((groups.n_rows, layout.TIMES_SIZE), np.int64)
        tally: I64 = np.empty((groups.n_rows, layout.TALLY_SIZE), np.int64)
        groups_of, fell = self.groups_of[:n_slots], np.empty(n_slots, np.int32)
        k_absence_count(
            track,
            self.heard_ms,
            self.gaps,
            self.n_gaps,
            groups_of,
            groups.parents,
            self._rules,
            times,
            tally,
        )
        self._note_resumed(times, groups)
        n_fell = k_absence_fall(
            now_ms,
            listen_ms,
            track,
            self.heard_ms,
            self.gaps,
            self.n_gaps,
            self.phases,
            groups_of,
            groups.parents,
            self._rules,
            times,
            groups.resumed_ms,
            fell,
        )
        own = np.empty(n_slots, np.int32)
        n_own = k_absence_judge(
            now_ms,
            listen_ms,
            track,
            self.heard_ms,
            self.gaps,
            self.n_gaps,
            groups_of,
            groups.parents,
            self._rules,
            times,
            groups.resumed_ms,
            groups.newborn_ms,
            tally,
            own,
        )
        return Look(now_ms, track, times, tally, own[:n_own], fell[:n_fell])

    def rhythm_ms(self, slot: int) -> tuple[float, float]:
        """Return the typical and the high gap of a series."""
        gaps = self.gaps[slot]
        return 1000 * float(gaps[layout.TYPICAL]), 1000 * float(gaps[layout.HIGH])

    def put_back(self, now_ms: int) -> None:
        """Forget that anything was heard after `now_ms`: the receiver's clock was set back."""
        np.minimum(self.heard_ms, now_ms, out=self.heard_ms)

    def forget(self, slots: I32) -> None:
        """Empty these slots for other series."""
        self.heard_ms[slots], self.gaps[slots], self.n_gaps[slots] = 0, 0.0, 0
        self.phases[slots], self.groups_of[slots] = 0, -1

    def state(self, n_slots: int) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays of a snapshot, as live views."""
        return {
            "absence.heard_ms": self.heard_ms[:n_slots],
            "absence.gaps": self.gaps[:n_slots],
            "absence.n_gaps": self.n_gaps[:n_slots],
            "absence.phases": self.phases[:n_slots],
            "absence.groups_of": self.groups_of[:n_slots],
        }

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]], n_slots: int) -> None:
        """Take over the first `n_slots` slots of a saved state; the others are forgotten.

        Raises
        ------
        SnapshotError
            When an array is missing or has another shape or type.
        """
        self.heard_ms = restored(arrays, "absence.heard_ms", self.heard_ms, n_slots)
        self.gaps = restored(arrays, "absence.gaps", self.gaps, n_slots)
        self.n_gaps = restored(arrays, "absence.n_gaps", self.n_gaps, n_slots)
        self.phases = restored(arrays, "absence.phases", self.phases, n_slots)
        self.groups_of = restored(arrays, "absence.groups_of", self.groups_of, n_slots)
        self.groups_of[n_slots:] = -1

    def _note_resumed(self, times: I64, groups: AbsenceGroups) -> None:
        heard_ms, clock_ms = times[:, layout.HEARD_MS], groups.clock_ms[: groups.n_rows]
        pause_ms = np.maximum(self._floor_ms // 2, 2 * times[:, layout.PACE_MS])
        resumed = (clock_ms > 0) & (heard_ms - clock_ms > pause_ms)
        groups.resumed_ms[: groups.n_rows][resumed] = heard_ms[resumed]
        clock_ms[:] = heard_ms
