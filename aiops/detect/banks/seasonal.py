"""The seasonal bank: the detector every series gets, without any configuration."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from aiops.config import DetectConfig
from aiops.detect.arrays import check_rows, grown, restored, writable
from aiops.detect.columns import F32, ScoreColumns
from aiops.detect.kernels.seasonal import BINS, COLD_SIZE, HOT_SIZE, k_seasonal_score
from aiops.domain.samples import F64, I32, I64


class SeasonalBank:
    """Scores samples against a robust, adaptive baseline with a daily profile.

    Parameters
    ----------
    config
        `warmup_samples` is used: so many samples of a slot are learnt before one is judged.
    capacity
        Number of slots.

    Notes
    -----
    *Forecast.* Last value, a fast and a slow exponential level and, after the first day, a
    profile of 96 bins of the UTC day with a fast and a slow offset. They are mixed by the eighth
    power of their recent precision. The better of slow level and slow offset is the steady one.

    *Score.* Two streams are ranked against their own past: the residual of the mix, and the
    smoothed distance from the steady forecast (a shift). Each is divided by its mean size and
    turned into -log10 of its tail probability: linear up to a running 98 % quantile, beyond it a
    generalised Pareto tail fitted by moments (Hosking and Wallis, doi:10.1080/00401706.1987.
    10488243, section 2). The larger counts, raised a little by the other. n samples support no
    more than log10(n) + 4.5.

    *Learning.* Of residuals beyond the quantile in a row only the first enters the tail (runs
    declustering: Coles 2001, doi:10.1007/978-1-4471-3675-0, section 5.3). A sample is flagged
    if it scores 4 (a young series: log10(n) + 0.8) or its shift alone 3.5; any other is learnt
    in full. A flagged one starts or prolongs a hold: the baseline is the steady forecast and
    stays frozen, so an anomaly neither closes because it was got used to, nor opens once more
    on the way back. A hold ends as soon as samples fit again. Up to two held samples were noise
    and are learnt then; longer disturbances only once they came back ten times, never more than
    an hour apart. A lasting shift is adopted after 240 held samples or 30 minutes, whichever is
    later.

    *Limits.* Time matters for the profile only; levels go by samples, so a gap does not age them.
    There is no weekly or civil-time profile. Deviations too small to be flagged are followed
    within about 50 samples, so slow ramps are never reported. The first day has no profile: a
    fault's end hours later can look like a second fault if the season moved meanwhile. The tail
    is conservative while it is young: after 60 samples a lone sample must lie about ten standard
    deviations off, or four for some twenty samples. Noise that is heavy-tailed and correlated at
    once is reported now and then, and bursts of three or more samples ten times before they
    count as a habit (benchmark: quality_detection).

    656 bytes a series and about 95 ns a sample (benchmark: bench_kernels).
    """

    name = "seasonal"
    version = 1

    def __init__(self, config: DetectConfig, capacity: int) -> None:
        self._warmup = float(config.warmup_samples)
        self._hot: F64 = np.zeros((capacity, HOT_SIZE))
        self._cold: F64 = np.zeros((capacity, COLD_SIZE))
        self._profile: F32 = np.zeros((capacity, BINS), np.float32)

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots; what the present ones learnt stays."""
        self._hot = grown(self._hot, capacity)
        self._cold = grown(self._cold, capacity)
        self._profile = grown(self._profile, capacity)

    def reset(self, slots: I32) -> None:
        """Forget everything about these slots."""
        for array in (self._hot, self._cold, self._profile):
            array[slots] = 0

    def score_learn(self, slots: I32, ts_ms: I64, features: F64, out: ScoreColumns) -> None:
        """Score each row against its slot as it was before the row, then learn the row.

        Parameters
        ----------
        slots, ts_ms, features
            Parallel columns of n rows in arrival order; rows of one slot are in time order. A
            NaN feature is absent: it scores 0 and nothing is learnt.
        out
            Gets the verdicts in its first n rows, and the features beside them.
        """
        n = check_rows(slots, ts_ms, features, len(self._hot), out.capacity)
        np.copyto(out.features[:n], features)
        k_seasonal_score(
            self._hot,
            self._cold,
            self._profile,
            writable(slots),
            writable(ts_ms),
            writable(features),
            self._warmup,
            out.scores,
            out.expected,
            out.half,
        )
        np.copyto(out.alerts[:n], out.scores[:n])
        out.parts[:n] = 0

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the live arrays, for a snapshot."""
        return {"hot": self._hot, "cold": self._cold, "profile": self._profile}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]], n_slots: int) -> None:
        """Take over the first `n_slots` slots of a saved state; the others are forgotten.

        Raises
        ------
        SnapshotError
            When an array is missing or has another shape or type.
        """
        self._hot = restored(state, "hot", self._hot, n_slots)
        self._cold = restored(state, "cold", self._cold, n_slots)
        self._profile = restored(state, "profile", self._profile, n_slots)

    def bytes_per_series(self) -> int:
        """Return the bytes of state a slot takes once all its pages are touched."""
        arrays = (self._hot, self._cold, self._profile)
        return sum(int(array.itemsize * array[0].size) for array in arrays)
