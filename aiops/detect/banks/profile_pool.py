"""Fine profiles for those series that have shown a season, handed out as kernels ask for them."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from aiops.detect.arrays import copy_rows, grown, restored
from aiops.detect.columns import F32
from aiops.detect.kernels.profile import FINE_SIZE
from aiops.domain.samples import I32, I64
from aiops.errors import SnapshotError

_ROWS_MIN = 64


class ProfilePool:
    """Rows of fine profiles and which slot has which; row 0 belongs to those without.

    Parameters
    ----------
    capacity
        Number of slots.

    Notes
    -----
    Pages of rows that were never handed out take no memory, so there may be many.
    """

    def __init__(self, capacity: int) -> None:
        self.fine: F32 = np.zeros((_ROWS_MIN, FINE_SIZE), np.float32)
        """Row 0 stays zero: kernels read it for slots that have none."""
        self.fine_of: I32 = np.zeros(capacity, np.int32)
        self.free: I32 = np.arange(_ROWS_MIN - 1, 0, -1, dtype=np.int32)
        """Stack of rows nobody uses, the next one last."""
        self.left: I64 = np.array([len(self.free)], np.int64)
        """Height of the stack."""

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots."""
        self.fine_of = grown(self.fine_of, capacity)

    def make_room(self, n_rows: int) -> None:
        """Have as many free rows as a batch of `n_rows` may ask for."""
        left = int(self.left[0])
        wanted = min(n_rows, len(self.fine_of))
        if left >= wanted:
            return
        present = len(self.fine)
        size = max(2 * present, present + wanted)
        fresh: I32 = np.arange(size - 1, present - 1, -1, dtype=np.int32)
        self.free = np.concatenate([fresh, self.free[:left], np.zeros(present - left, np.int32)])
        self.left[0] = left + len(fresh)
        self.fine = grown(self.fine, size)

    def release(self, slots: I32) -> None:
        """Take back the rows of slots."""
        rows = self.fine_of[slots]
        rows = np.unique(rows[rows > 0])
        left = int(self.left[0])
        self.fine[rows] = 0
        self.free[left : left + len(rows)] = rows
        self.left[0] = left + len(rows)
        self.fine_of[slots] = 0

    def copy_from(self, other: "ProfilePool") -> None:
        """Become equal to another pool of the same capacity."""
        if self._is_untouched and other._is_untouched and len(self.fine) == len(other.fine):
            return  # as with nearly every series: it saves half of the time
        if len(self.fine) != len(other.fine):
            self.fine, self.free = np.zeros_like(other.fine), np.zeros_like(other.free)
        else:
            self.fine[self.fine_of] = 0  # rows that only this pool gave away go back empty
        copy_rows(
            (
                (self.fine_of, other.fine_of),
                (self.free, other.free),
                (self.left, other.left),
            )
        )
        self.fine[self.fine_of] = other.fine[self.fine_of]

    def state(self, n_slots: int) -> dict[str, npt.NDArray[np.generic]]:
        """Return which slots have rows, and these rows in the order of slots."""
        owners = np.flatnonzero(self.fine_of[:n_slots]).astype(np.int32)
        return {"season_owners": owners, "season_fine": self.fine[self.fine_of[owners]]}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]], n_slots: int) -> None:
        """Take over the rows of the first `n_slots` slots of a saved state.

        Raises
        ------
        SnapshotError
            When an array is missing or has another shape or type.
        """
        n_owners = len(state.get("season_owners", ()))
        owners = restored(state, "season_owners", np.zeros(n_owners, np.int32), n_owners)
        fine = restored(state, "season_fine", np.zeros((n_owners, FINE_SIZE), np.float32), n_owners)
        if n_owners and not 0 <= int(owners.min()) <= int(owners.max()) < n_slots:
            raise SnapshotError("saved detector state 'season_owners' names slots out of range")
        size = max(_ROWS_MIN, 2 * (n_owners + 1))
        self.fine = np.zeros((size, FINE_SIZE), np.float32)
        self.fine[1 : n_owners + 1] = fine
        self.fine_of[:] = 0
        self.fine_of[owners] = np.arange(1, n_owners + 1, dtype=np.int32)
        self.free = np.zeros(size - 1, np.int32)
        fresh = np.arange(size - 1, n_owners, -1, dtype=np.int32)
        self.free[: len(fresh)] = fresh
        self.left = np.array([len(fresh)], np.int64)

    @property
    def _is_untouched(self) -> bool:
        """Whether all rows are free, in the order they began in."""
        return bool(self.left[0] == len(self.free)) and int(self.free[-1]) == 1
