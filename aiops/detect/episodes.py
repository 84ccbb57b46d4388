"""Episodes: hysteresis over scores, so that a disturbance is one anomaly with a beginning and end.

Rows with scores go in; opened and closed episodes come out, with a mark on every row inside one.
How often rows would have opened one at other levels is counted along the way (`tally`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.config import DetectConfig
from aiops.detect.arrays import check_rows, grown, restored, writable
from aiops.detect.columns import U8, ScoreColumns
from aiops.detect.kernels import episodes as layout
from aiops.detect.kernels.episodes import k_episodes_step
from aiops.domain.anomaly import AnomalyChange
from aiops.domain.samples import F64, I32, I64

LEVEL_DEFAULT = 6.0
"""Chosen: one in a million. The level of detectors without a budget, unless the config has one."""

_CHANGES = {
    layout.CHANGE_OPENED: AnomalyChange.OPENED,
    layout.CHANGE_CLOSED: AnomalyChange.CLOSED,
}


@dataclass(frozen=True, slots=True)
class EpisodeEvent:
    """An episode of one slot that opened or closed; `end_ms` is 0 while it lasts.

    `score` is the highest so far; `value`, `expected`, `lower`, `upper` and `parts` were seen
    with it. `alert` is the highest so far of its own. `parts` is told in `ScoreColumns`.
    """

    change: AnomalyChange
    slot: int
    onset_ms: int
    peak_ms: int
    end_ms: int
    score: float
    alert: float
    value: float
    expected: float
    lower: float
    upper: float
    parts: int


class Episodes:
    """Opens and closes the episodes of one detector over many slots.

    Parameters
    ----------
    config
        `alarm_score` (all levels, until others are set), `clear_score`, `open_samples`,
        `close_samples` and the bound `anomalies_open_max`.
    capacity
        Number of slots.
    detector
        Name of the detector whose scores come in.
    n_classes
        Slots are of one class each, 0 unless told otherwise; each class has its level.

    Notes
    -----
    A run begins with a row that scores at least the clear score, and ends with the
    `close_samples`-th row in a row that scores less (the third, if that is later and no episode is
    open). It becomes an episode with the first row at or above the level that is the
    `open_samples`-th such among the last `open_samples` + 2 rows of the run. The onset is the first
    of these rows, back to where more than two rows below the level came before; the end is the
    first of the rows that closed it. Absent samples count neither way. The clear score is never
    above the level - 1. While `anomalies_open_max` episodes are open,
    newcomers are not opened and counted in `shed_total`; they may open later if they last.
    About 6 ns a row on a fleet of ordinary series, quiet ones 3.
    """

    def __init__(
        self, config: DetectConfig, capacity: int, detector: str, n_classes: int = 1
    ) -> None:
        self.detector = detector
        self.classes: U8 = np.zeros(capacity, np.uint8)
        """Class of each slot; whoever sets levels writes it."""
        self.tally: I64 = np.zeros((n_classes, layout.GRID_SIZE), np.int64)
        """How many series would have opened an episode at each level of the grid, by class; a
        series counts once a UTC day and level. Whoever reads it sets it back to 0."""
        self._phases: U8 = np.zeros(capacity, np.uint8)
        self._marks: I64 = np.zeros((capacity, layout.MARKS_SIZE), np.int64)
        self._peaks: F64 = np.zeros((capacity, layout.PEAKS_SIZE))
        self._windows: F64 = np.zeros((capacity, config.open_samples + layout.MISSES_MAX))
        self._totals: I64 = np.zeros(2, np.int64)
        self._limits = np.array([config.close_samples, config.anomalies_open_max], np.int64)
        self._events: I64 = np.empty((0, layout.EVENT_SIZE), np.int64)
        self._event_peaks: F64 = np.empty((0, layout.PEAKS_SIZE))
        self._clear_score = config.clear_score
        self._levels: F64 = np.zeros((n_classes, layout.LEVELS_SIZE))
        for k in range(n_classes):
            self.set_level(k, config.alarm_score or LEVEL_DEFAULT)

    @property
    def open_now(self) -> int:
        """How many episodes are open."""
        return int(self._totals[layout.OPEN_NOW])

    @property
    def shed_total(self) -> int:
        """How many times an episode was not opened because the bound was met."""
        return int(self._totals[layout.SHED_TOTAL])

    @property
    def levels(self) -> tuple[float, ...]:
        """The level of each class: the score that opens an episode."""
        return tuple(self._levels[:, layout.LEVEL].tolist())

    def set_level(self, class_idx: int, level: float) -> None:
        """Open episodes of a class at this score from the next row on; open ones stay."""
        # Below 2 a whole unit less would leave next to nothing that is quiet.
        clear = min(self._clear_score, max(level - 1.0, level / 2))
        self._levels[class_idx] = (level, clear)

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots; what is known of the present ones stays."""
        self.classes = grown(self.classes, capacity)
        self._phases = grown(self._phases, capacity)
        self._marks = grown(self._marks, capacity)
        self._peaks = grown(self._peaks, capacity)
        self._windows = grown(self._windows, capacity)

    def step(
        self, slots: I32, ts_ms: I64, features: F64, out: ScoreColumns, in_anomaly: U8
    ) -> list[EpisodeEvent]:
        """Return the episodes that opened or closed in this batch, in the order of rows.

        Parameters
        ----------
        slots, ts_ms, features
            The batch as the bank scored it.
        out
            The bank's verdicts on it.
        in_anomaly
            Gets 1 for each row inside an open episode; the others stay as they are.
        """
        n = check_rows(slots, ts_ms, features, len(self._phases), out.capacity)
        assert len(in_anomaly) >= n, "BUG: in_anomaly is shorter than the batch"
        if len(self._events) < n:
            self._events = np.empty((n, layout.EVENT_SIZE), np.int64)
            self._event_peaks = np.empty((n, layout.PEAKS_SIZE))
        n_events = k_episodes_step(
            self._phases,
            self.classes,
            self._marks,
            self._peaks,
            self._windows,
            self._totals,
            self.tally,
            self._levels,
            self._limits,
            writable(slots),
            writable(ts_ms),
            writable(features),
            out.scores,
            out.expected,
            out.half,
            out.alerts,
            out.parts,
            in_anomaly,
            self._events,
            self._event_peaks,
        )
        return [
            _event(self._events[k].tolist(), self._event_peaks[k].tolist()) for k in range(n_events)
        ]

    def close_stale(self, slots: I32, now_ms: int) -> list[EpisodeEvent]:
        """Close the episodes of series that ended, as of `now_ms`; return them."""
        return self._forget(slots, now_ms)

    def reset(self, slots: I32) -> list[EpisodeEvent]:
        """Forget these slots; return their open episodes, closed as of their last row."""
        events = self._forget(slots, None)
        self._marks[slots] = 0
        return events

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the live arrays, open episodes included, for a snapshot.

        Levels, classes and tally belong to whoever sets and reads them.
        """
        return {
            "phases": self._phases,
            "marks": self._marks,
            "peaks": self._peaks,
            "windows": self._windows,
            "totals": self._totals,
        }

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]], n_slots: int) -> None:
        """Take over the first `n_slots` slots of a saved state; the others are forgotten.

        Raises
        ------
        SnapshotError
            When an array is missing or has another shape or type.
        """
        self._phases = restored(state, "phases", self._phases, n_slots)
        self._marks = restored(state, "marks", self._marks, n_slots)
        self._peaks = restored(state, "peaks", self._peaks, n_slots)
        self._windows = restored(state, "windows", self._windows, n_slots)
        self._totals = restored(state, "totals", self._totals, len(self._totals))
        self._totals[layout.OPEN_NOW] = np.count_nonzero(self._phases == layout.OPEN)

    def _forget(self, slots: I32, now_ms: int | None) -> list[EpisodeEvent]:
        events = []
        for slot in slots[self._phases[slots] != layout.IDLE].tolist():
            if self._phases[slot] == layout.OPEN:
                events.append(self._closed(slot, now_ms))
                self._totals[layout.OPEN_NOW] -= 1
            self._phases[slot] = layout.IDLE
        return events

    def _closed(self, slot: int, now_ms: int | None) -> EpisodeEvent:
        marks = self._marks[slot].tolist()
        end_ms = marks[layout.LAST_MS] if now_ms is None else now_ms
        onset_ms, peak_ms = marks[layout.ONSET_MS], marks[layout.PEAK_MS]
        row = [layout.CHANGE_CLOSED, slot, onset_ms, peak_ms, end_ms, marks[layout.PARTS]]
        return _event(row, self._peaks[slot].tolist())


def _event(marks: list[int], peaks: list[float]) -> EpisodeEvent:
    change, slot, onset_ms, peak_ms, end_ms, parts = marks
    score, alert, value, expected, lower, upper = peaks
    return EpisodeEvent(
        _CHANGES[change],
        slot,
        onset_ms,
        peak_ms,
        end_ms,
        score=score,
        alert=alert,
        value=value,
        expected=expected,
        lower=lower,
        upper=upper,
        parts=parts,
    )
