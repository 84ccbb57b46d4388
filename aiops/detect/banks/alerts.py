"""The alert score: evidence that is news, for those who page people or compare detectors."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from aiops.detect.arrays import copy_rows, grown, restored
from aiops.detect.columns import U8, ScoreColumns
from aiops.detect.kernels.alerts import BINS, MARKS_SIZE, MEMORY, WINDOW, k_alert_score
from aiops.domain.samples import F64, I32, I64


class AlertBank:
    """Turns the evidence of each row into how much somebody should be told of it.

    Parameters
    ----------
    capacity
        Number of slots.

    Notes
    -----
    *Refractory.* From the evidence 0.8 of what is left of the latest peak is taken, which fades
    within half a day, and 0.7 log10(n / 300): of n samples the rarest is that much rarer by
    chance.

    *Novelty.* Five-minute means (or samples, if these come more seldom) of the last 26 steps make
    a histogram of 8 bins over the range of the first three days and half as much on each side.
    It is compared with 39 remembered ones by the G statistic, 2 sum c log(c / expected), which is
    chi-squared with 7 degrees of freedom for windows of the same source (Sokal and Rohlf 1981,
    Biometry, section 17.2; as a detector: Wang, Viswanathan, Choudur, Talwar, Satterfield and
    Schwan 2011, doi:10.1109/INM.2011.5990537). If even the nearest differs by more than its 1 %
    quantile, the window is news worth 2 to 3.5 decades, and is remembered in place of the least
    used one. A series that stays outside of its range for three days learns it anew.

    473 bytes a series.
    """

    def __init__(self, capacity: int) -> None:
        self._marks: F64 = np.zeros((capacity, MARKS_SIZE))
        self._memory: U8 = np.zeros((capacity, MEMORY, BINS), np.uint8)
        self._uses: U8 = np.zeros((capacity, MEMORY), np.uint8)
        self._rings: U8 = np.zeros((capacity, WINDOW + BINS), np.uint8)

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots."""
        self._marks = grown(self._marks, capacity)
        self._memory = grown(self._memory, capacity)
        self._uses = grown(self._uses, capacity)
        self._rings = grown(self._rings, capacity)

    def reset(self, slots: I32) -> None:
        """Forget everything about these slots."""
        for array in (self._marks, self._memory, self._uses, self._rings):
            array[slots] = 0

    def score(
        self, slots: I32, ts_ms: I64, features: F64, intervals: F64, out: ScoreColumns
    ) -> None:
        """Turn the evidence in `out.alerts` into alert scores, and add novelty to `out.parts`.

        `intervals` are the usual intervals in ms as they were at each row; the other columns as
        in `SeasonalBank.score_learn`, already checked.
        """
        k_alert_score(
            self._marks,
            self._memory,
            self._uses,
            self._rings,
            slots,
            ts_ms,
            features,
            intervals,
            out.alerts,
            out.parts,
        )

    def copy_from(self, other: "AlertBank") -> None:
        """Become equal to another bank of the same capacity."""
        copy_rows(
            (
                (self._marks, other._marks),
                (self._memory, other._memory),
                (self._uses, other._uses),
                (self._rings, other._rings),
            )
        )

    def state(self, n_slots: int) -> dict[str, npt.NDArray[np.generic]]:
        """Return the live arrays of the first `n_slots` slots, for a snapshot."""
        return {
            "alert_marks": self._marks[:n_slots],
            "alert_memory": self._memory[:n_slots],
            "alert_uses": self._uses[:n_slots],
            "alert_rings": self._rings[:n_slots],
        }

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]], n_slots: int) -> None:
        """Take over the first `n_slots` slots of a saved state; the others are forgotten."""
        self._marks = restored(state, "alert_marks", self._marks, n_slots)
        self._memory = restored(state, "alert_memory", self._memory, n_slots)
        self._uses = restored(state, "alert_uses", self._uses, n_slots)
        self._rings = restored(state, "alert_rings", self._rings, n_slots)

    def bytes_per_series(self) -> int:
        """Return the bytes of state a slot takes."""
        return sum(int(array.nbytes) for array in self.state(1).values())
