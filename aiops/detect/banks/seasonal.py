"""The seasonal bank: the detector every series gets, without any configuration."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from aiops.config import DetectConfig
from aiops.detect.arrays import check_rows, copy_rows, grown, restored, writable
from aiops.detect.banks.alerts import AlertBank
from aiops.detect.banks.outlook import Outlook, look_out
from aiops.detect.banks.profile_pool import ProfilePool
from aiops.detect.calendar import Calendar
from aiops.detect.columns import F32, U8, ScoreColumns
from aiops.detect.kernels.baseline import COLD_SIZE, HOT_SIZE
from aiops.detect.kernels.profile import HOURS
from aiops.detect.kernels.seasonal import k_seasonal_score
from aiops.domain.samples import F64, I32, I64


class SeasonalBank:
    """Scores samples against a robust, adaptive baseline with daily and weekly profiles.

    Parameters
    ----------
    config
        `warmup_samples` (so many samples of a slot are learnt before one is judged), `time_zone`
        and `holidays` are used.
    capacity
        Number of slots.

    Notes
    -----
    *Forecast.* Last value, a fast and a slow exponential level; after the first day the day's
    profile with a fast and a slow offset: first of 24 bins, and once errors with it are below 0.8
    of those without, of 96; a week after that a profile of the 168 hours of the week on top. Days
    are civil days of the time zone; holidays count as Sundays. The forecasts are mixed by the
    eighth power of their recent precision. The best of the slow ones is the steady one.

    *Evidence.* Three streams, each -log10 of a tail probability. (1) The residual of the mix in
    units of its mean size, never less than 5 % of the usual range. (2) Spread: how far the mean
    size of some minutes lies from that of some hours, either way. Both are linear up to a running
    98 % quantile, beyond it a generalised Pareto tail fitted by moments (Hosking and Wallis 1987,
    doi:10.1080/00401706.1987.10488243, section 2). (3) Level: the same tail, over the whole past,
    of the value itself on each side (after Siffer et al. 2017, SPOT, doi:10.1145/3097983.3098144);
    only what exceeds four decades counts, and 3.5 times, less for series that wander. The
    severity is the cube root of the sum of cubes less log10(1.5), for several chances; the score
    counts the level for 2.5 at most, since records come in runs, and the alert score not at all.
    What is left of the severest samples, 3 % less with each sample, counts as severity up to
    2.9: metrics that one fault disturbs peak at different times, and so their severities meet.
    n samples support no residual or spread above log10(n) + 5.

    *Learning.* A sample that scores 3.5 is flagged. It starts a hold: the steady forecast stays
    the baseline, and samples farther than three mean residuals from it are compared with it
    alone, so that an anomaly neither ends because it was got used to, nor begins once more on the
    way back. Two samples near the baseline end the hold, and only then the residual that began it
    is learnt, so that a fault makes itself no less rare. A lasting shift is adopted after 240
    samples and an hour, whichever is later. Levels and profiles do not learn while the series is
    away; scales learn flagged samples at 0.3, and levels seen once in 10,000 samples at 0.01.

    *Time.* A window has as many samples as its rate says, yet never spans less time than stated
    in `kernels.baseline`; samples weigh as the time since the one before, up to four intervals.
    After a gap a random walk may have moved by its square root.

    *Limits.* A first weekend differs from what was learnt and is reported. Ramps too slow to be
    flagged are followed within some 50 samples. Noise that is heavy-tailed and correlated at once
    is reported now and then; the alarm budget counts these (benchmark: quality_budget).

    About 250 ns a sample, and 30 ns for the alert score (benchmark: bench_kernels).
    """

    name = "seasonal"
    version = 2

    def __init__(self, config: DetectConfig, capacity: int) -> None:
        self._warmup = float(config.warmup_samples)
        self._calendar = Calendar(config.time_zone, config.holidays)
        self._hot: F64 = np.zeros((capacity, HOT_SIZE))
        self._cold: F64 = np.zeros((capacity, COLD_SIZE))
        self._coarse: F32 = np.zeros((capacity, HOURS), np.float32)
        self._seasons: U8 = np.zeros(capacity, np.uint8)
        self._pool = ProfilePool(capacity)
        self._alerts = AlertBank(capacity)
        self._intervals: F64 = np.zeros(0)  # of the rows of a batch, no state

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots; what the present ones learnt stays."""
        self._hot = grown(self._hot, capacity)
        self._cold = grown(self._cold, capacity)
        self._coarse = grown(self._coarse, capacity)
        self._seasons = grown(self._seasons, capacity)
        self._pool.grow(capacity)
        self._alerts.grow(capacity)

    def reset(self, slots: I32) -> None:
        """Forget everything about these slots."""
        for array in (self._hot, self._cold, self._coarse):
            array[slots] = 0
        self._pool.release(slots)
        self._alerts.reset(slots)

    def limit_seasons(self, slots: I32, numbers: U8) -> None:
        """Say which season slots may follow: 0 what the data shows, 1 none, 2 day, 3 week."""
        self._seasons[slots] = numbers

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
        slots, ts_ms, features = writable(slots), writable(ts_ms), writable(features)
        days_ms, weeks_ms = self._calendar.civil(ts_ms)
        self._pool.make_room(n)
        self._intervals = grown(self._intervals, n)
        k_seasonal_score(
            self._hot,
            self._cold,
            self._coarse,
            self._pool.fine,
            self._pool.fine_of,
            self._pool.free,
            self._pool.left,
            self._seasons,
            slots,
            ts_ms,
            days_ms,
            weeks_ms,
            features,
            self._warmup,
            out.scores,
            out.severities,
            out.alerts,
            out.expected,
            out.half,
            out.parts,
            self._intervals,
        )
        self._alerts.score(slots, ts_ms, features, self._intervals, out)

    def copy_from(self, other: "SeasonalBank") -> None:
        """Become equal to another bank of the same capacity, without new arrays."""
        copy_rows(
            (
                (self._hot, other._hot),
                (self._cold, other._cold),
                (self._coarse, other._coarse),
                (self._seasons, other._seasons),
            )
        )
        self._pool.copy_from(other._pool)
        self._alerts.copy_from(other._alerts)

    def outlook(self, slots: I32, ts_ms: I64) -> Outlook:
        """Return what is expected of slots at times to come, a row for each pair."""
        profiles = self._coarse[slots], self._pool.fine[self._pool.fine_of[slots]]
        civil_ms = self._calendar.civil(ts_ms)
        return look_out(self._hot[slots], profiles, self._seasons[slots], ts_ms, civil_ms)

    def state(self, n_slots: int) -> dict[str, npt.NDArray[np.generic]]:
        """Return the live arrays of the first `n_slots` slots, for a snapshot."""
        return {
            "hot": self._hot[:n_slots],
            "cold": self._cold[:n_slots],
            "coarse": self._coarse[:n_slots],
            **self._pool.state(n_slots),
            **self._alerts.state(n_slots),
        }

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]], n_slots: int) -> None:
        """Take over the first `n_slots` slots of a saved state; the others are forgotten.

        Raises
        ------
        SnapshotError
            When an array is missing or has another shape or type.
        """
        self._hot = restored(state, "hot", self._hot, n_slots)
        self._cold = restored(state, "cold", self._cold, n_slots)
        self._coarse = restored(state, "coarse", self._coarse, n_slots)
        self._pool.restore(state, n_slots)
        self._alerts.restore(state, n_slots)

    def bytes_per_series(self) -> tuple[int, int]:
        """Return the bytes of state a slot takes without and with a season of its own."""
        arrays = (self._hot, self._cold, self._coarse, self._seasons, self._pool.fine_of)
        plain = sum(int(array.itemsize * array[0].size) for array in arrays)
        plain += self._alerts.bytes_per_series()
        return plain, plain + int(self._pool.fine[0].nbytes) + self._pool.free.itemsize
