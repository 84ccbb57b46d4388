"""The data-quality verdict: what was wrong with the samples themselves, a series at a time.

Rows that intake has judged go in; a word a kept row comes out, with the flags of the row and those
seen on its series a short while before.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from aiops.domain.samples import I32, I64, U8, U64
from aiops.errors import SnapshotError
from aiops.series.kernels import quality as layout
from aiops.series.kernels.quality import k_quality_note

Scalar = TypeVar("Scalar", bound=np.generic)

WINDOW_ROWS_MAX = 127
"""Follows: a byte a flag, of which the kernel needs the highest bit."""

LOST_INTERVALS = 40.0
"""Chosen: ten minutes at 15 s. What was silent for longer is not lost just now; it is gone."""

PARTIAL_RATIO_MIN = 0.2
"""Chosen: one series in five. Below that it is the series that end in the normal course of things,
labels that change and the like."""

PARTIAL_SERIES_MIN = 5
"""Chosen: of fewer series one that is late would already be a fifth."""


class QualityState:
    """What is known of each slot's rhythm, and what was odd about its rows a short while ago.

    Parameters
    ----------
    window_rows
        Kept rows for which a flag counts as seen a short while ago, at most `WINDOW_ROWS_MAX`.
    capacity
        Number of slots.

    Notes
    -----
    24 bytes a slot, about 7 ns a row. `counts` has rows with a gap before them, late rows and
    back-filled ones since start, by the indices in `series.kernels.quality`.
    """

    def __init__(self, window_rows: int, capacity: int) -> None:
        self.counts: I64 = np.zeros(layout.COUNTS_SIZE, np.int64)
        self._window_rows = min(window_rows, WINDOW_ROWS_MAX)
        self._last_ms: I64 = np.zeros(capacity, np.int64)
        self._windows: U64 = np.zeros(capacity, np.uint64)
        self._rhythms = np.zeros((capacity, 2), np.float32)
        self._counts: I64 = np.zeros(layout.COUNTS_SIZE, np.int64)

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots."""
        if capacity > len(self._last_ms):
            self._last_ms = _begun_with(self._last_ms, capacity)
            self._windows = _begun_with(self._windows, capacity)
            self._rhythms = _begun_with(self._rhythms, capacity)

    def reset(self, slots: I32) -> None:
        """Forget these slots."""
        self._last_ms[slots] = 0
        self._windows[slots] = 0
        self._rhythms[slots] = 0.0

    def note(self, rows: tuple[U64, I64, U8], now_ms: int, seen_ms: I64, out_words: U64) -> None:
        """Take in the rows of an arrival as intake judged them.

        Parameters
        ----------
        rows
            Slots as the map gave them, times, and fates (`k_intake_prepare`).
        seen_ms
            When each slot last got a row; brought up to date.
        out_words
            For each kept row its own flags in byte 6 and those of the window in byte 7, as
            `domain.quality.ROW_FLAGS` numbers them.
        """
        slot_values, ts_ms, fates = rows
        k_quality_note(
            slot_values,
            ts_ms,
            fates,
            now_ms,
            self._window_rows,
            seen_ms,
            self._last_ms,
            self._windows,
            self._rhythms,
            out_words,
            self._counts,
        )
        self.counts += self._counts

    def is_partial(self, slots: Sequence[int]) -> bool:
        """Tell whether a good part of these series, of one source, fell silent just now.

        Those count as silent that miss samples as of the newest row of any of them, were heard a
        short while before, and did not end by a staleness marker.
        """
        last_ms = self._last_ms[list(slots)]
        interval_ms = 1000.0 * self._rhythms[list(slots), layout.INTERVAL]
        is_known = (last_ms > 0) & (interval_ms > 0)
        if np.count_nonzero(is_known) < PARTIAL_SERIES_MIN:
            return False
        silence = (last_ms.max() - last_ms[is_known]) / interval_ms[is_known]
        n_live = np.count_nonzero(silence <= LOST_INTERVALS)
        n_present = np.count_nonzero(silence <= layout.GAP_INTERVALS)
        return bool(n_live - n_present >= PARTIAL_RATIO_MIN * n_live)

    def state(self, n_slots: int) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays of a snapshot, as live views."""
        return {
            "quality.last_ms": self._last_ms[:n_slots],
            "quality.windows": self._windows[:n_slots],
            "quality.rhythms": self._rhythms[:n_slots],
        }

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]], n_slots: int) -> None:
        """Take over a snapshot; of a release that noted nothing, it begins anew.

        Raises
        ------
        SnapshotError
            When a part is missing.
        """
        self.grow(n_slots)
        missing = [name for name in self.state(0) if name not in arrays]
        if len(missing) == len(self.state(0)):
            return
        if missing:
            raise SnapshotError(f"saved data quality lacks {missing[0]!r}")
        self._last_ms[:n_slots] = arrays["quality.last_ms"][:n_slots]
        self._windows[:n_slots] = arrays["quality.windows"][:n_slots]
        self._rhythms[:n_slots] = arrays["quality.rhythms"][:n_slots]


def _begun_with(old: npt.NDArray[Scalar], capacity: int) -> npt.NDArray[Scalar]:
    grown = np.zeros((capacity, *old.shape[1:]), old.dtype)
    grown[: len(old)] = old
    return grown
