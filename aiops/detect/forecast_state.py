"""State of the watched series: a row each for trends, pending forecasts and what came of them."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from aiops.detect.arrays import grown
from aiops.detect.kernels import forecast as layout
from aiops.domain.samples import F64, I32, I64
from aiops.errors import SnapshotError

HORIZONS_MS = (300_000, 3_600_000, 21_600_000, 86_400_000)
"""Chosen: from the time a person needs to act to a day, the longest season worth waiting for."""

PENDING = 6
"""Chosen: forecasts of a horizon on their way at once; more differ too little to teach more."""

UNITS_START = (0.845, 1.606, 2.457)
"""Quantiles of a normal error's size in mean sizes, 0.674, 1.282 and 1.960 over sqrt(2 / pi)."""

_ROWS_MIN = 64
_PREFIX = "forecast."

Arrays = dict[str, npt.NDArray[np.generic]]


class ForecastState:
    """Rows of arrays, handed out to slots that are watched.

    Parameters
    ----------
    series_max
        Rows that may be handed out; slots beyond are refused and counted.
    capacity
        Number of slots.
    """

    def __init__(self, series_max: int, capacity: int) -> None:
        self._series_max = series_max
        self.refused_total = 0
        self.row_of: I32 = np.zeros(capacity, np.int32)
        """Row of each slot plus one, 0 for those that are not watched."""
        self.slot_of: I32 = np.full(_ROWS_MIN, -1, np.int32)
        """Slot of each row, -1 for a free one."""
        n_horizons = len(HORIZONS_MS)
        self.rows: F64 = np.zeros((_ROWS_MIN, layout.ROW_SIZE))
        self.targets: I64 = np.zeros((_ROWS_MIN, n_horizons, PENDING), np.int64)
        self.pending: F64 = np.zeros((_ROWS_MIN, n_horizons, PENDING, layout.CANDIDATES))
        self.errors: F64 = np.zeros((_ROWS_MIN, n_horizons, layout.CANDIDATES))
        self.units: F64 = np.zeros((_ROWS_MIN, n_horizons, layout.LEVELS))
        self.counts: F64 = np.zeros((_ROWS_MIN, n_horizons))
        self.next_ms: I64 = np.zeros((_ROWS_MIN, n_horizons), np.int64)
        """When the next forecast of each horizon is due to be made."""
        self.turns: I64 = np.zeros((_ROWS_MIN, n_horizons), np.int64)
        """Place among the pending ones that the next forecast of each horizon takes."""
        self._free = list(range(_ROWS_MIN - 1, -1, -1))

    @property
    def n_watched(self) -> int:
        """How many slots are watched."""
        return len(self.slot_of) - len(self._free)

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots."""
        self.row_of = grown(self.row_of, capacity)

    def watch(self, slot: int) -> bool:
        """Give a slot a fresh row; return False when all are taken."""
        if self.row_of[slot]:
            return True
        if self.n_watched >= self._series_max:
            self.refused_total += 1
            return False
        if not self._free:
            self._more_rows(2 * len(self.slot_of))
        row = self._free.pop()
        self.row_of[slot] = row + 1
        self.slot_of[row] = slot
        self._clear(np.array([row], np.int32))
        return True

    def release(self, slot: int) -> None:
        """Take a slot's row back."""
        row = int(self.row_of[slot]) - 1
        if row >= 0:
            self.row_of[slot] = 0
            self.slot_of[row] = -1
            self._free.append(row)

    def reset(self, slots: I32) -> None:
        """Forget what is known of watched slots; they go on being watched."""
        rows = self.row_of[slots]
        self._clear(rows[rows > 0] - np.int32(1))

    def owners(self) -> I32:
        """Return the slots that are watched, in their order."""
        return np.flatnonzero(self.row_of).astype(np.int32)

    def state(self) -> Arrays:
        """Return the arrays of a snapshot, rows in the order of slots."""
        owners = self.owners()
        rows = self.row_of[owners] - 1
        arrays = {name: array[rows] for name, array in self._columns().items()}
        own: Arrays = {"slots": owners, "refused": np.array([self.refused_total], np.int64)}
        return {_PREFIX + name: array for name, array in (own | arrays).items()}

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over a snapshot into this fresh state.

        Raises
        ------
        SnapshotError
            When a column is missing or has another layout.
        """
        slots = arrays[_PREFIX + "slots"]
        n_rows = len(slots)
        self._more_rows(max(n_rows, _ROWS_MIN))
        for name, column in self._columns().items():
            saved = arrays.get(_PREFIX + name)
            if saved is None or saved.dtype != column.dtype or len(saved) != n_rows:
                raise SnapshotError(f"saved forecasts lack {name!r} or have another layout")
            if saved.shape[1:] != column.shape[1:]:
                raise SnapshotError(f"saved forecasts have {name!r} of another shape")
            column[:n_rows] = saved
        if n_rows and not 0 <= int(slots.min()) <= int(slots.max()) < len(self.row_of):
            raise SnapshotError("saved forecasts name slots out of range")
        self.slot_of[:n_rows] = slots
        self.row_of[self.slot_of[:n_rows]] = np.arange(1, n_rows + 1, dtype=np.int32)
        self._free = list(range(len(self.slot_of) - 1, n_rows - 1, -1))
        self.refused_total = int(arrays[_PREFIX + "refused"][0])

    def bytes_per_series(self) -> int:
        """Return the bytes a watched series takes; one that is not takes four."""
        return sum(int(column[0].nbytes) for column in self._columns().values())

    def _columns(self) -> Arrays:
        return {
            "rows": self.rows,
            "targets": self.targets,
            "pending": self.pending,
            "errors": self.errors,
            "units": self.units,
            "counts": self.counts,
            "next_ms": self.next_ms,
            "turns": self.turns,
        }

    def _clear(self, rows: I32) -> None:
        for column in self._columns().values():
            column[rows] = 0
        self.units[rows] = UNITS_START

    def _more_rows(self, n_rows: int) -> None:
        present = len(self.slot_of)
        if n_rows <= present:
            return
        for name, column in self._columns().items():
            setattr(self, name, grown(column, n_rows))
        self.slot_of = np.concatenate(
            [self.slot_of, np.full(n_rows - present, -1, np.int32)]
        ).astype(np.int32)
        self._free = [*range(n_rows - 1, present - 1, -1), *self._free]
