"""Several series of one entity as one River anomaly detector."""

from collections.abc import Iterator

import numpy as np

from aiops.config import DetectConfig
from aiops.detect.arrays import under
from aiops.detect.banks.group import GroupBank
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.river.detector import Arrays, BankDetector, Features, Name, Values, present
from aiops.detect.river.roster import Roster
from aiops.domain.samples import I32

_ENTITY = 0


class GroupDetector(BankDetector["_Engine"]):
    """Scores how much of the unusual the features of a sample show together.

    Every feature is a series with its own detector (`SeriesDetector`); what they find unusual is
    pooled and ranked against the past of the whole, as `aiops.detect.banks.group` tells. The
    score is -log10 of a tail probability. It is 0 until `warmup_samples` of the features and 300
    more samples have been learnt, for a sample without any feature, and for one that is not
    later than the one before. A feature that is missing, None or NaN is absent: what is left of
    its evidence fades.

    Parameters
    ----------
    warmup_samples
        Samples of a feature before it counts as evidence, at least 20.
    interval_s
        Time from one sample to the next when `x` has no key "ts_ms".
    members_min
        Features past their warm-up that a sample needs to be judged, at least 2.
    features_max
        Features known at most. A new one beyond takes the place of the one missing for longest;
        of a sample with more features the rest is not judged, see `values_refused_total`.
    time_zone
        IANA name of the place whose days and weeks the series follow.

    Examples
    --------
    >>> import random
    >>> from aiops.detect.river import GroupDetector
    >>> rng = random.Random(42)
    >>> def sample(shift=0.0):
    ...     return {name: rng.gauss(shift, 1) for name in ("cpu", "load", "errors", "latency")}
    >>> detector = GroupDetector()
    >>> for _ in range(500):
    ...     detector.learn_one(sample())
    >>> detector.score_one(sample()) < 3 < detector.score_one(sample(shift=8.0))
    True
    """

    def __init__(
        self,
        warmup_samples: int = 60,
        interval_s: float = 60.0,
        members_min: int = 3,
        features_max: int = 256,
        time_zone: str = "UTC",
    ) -> None:
        self.warmup_samples = warmup_samples
        self.interval_s = interval_s
        self.members_min = members_min
        self.features_max = features_max
        self.time_zone = time_zone
        config = DetectConfig(warmup_samples=warmup_samples, time_zone=time_zone)
        now, ahead = (_Engine(config, members_min, features_max) for _ in range(2))
        self._start(now, ahead, interval_s)

    @property
    def values_refused_total(self) -> int:
        """Values learnt of nothing, since samples had more features than `features_max`."""
        return self._now.roster.refused_total

    def _values(self, x: Features) -> Values:
        return present(x)

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, object]]:
        yield {}
        yield {"features_max": 20}


class _Engine:
    """A seasonal bank with a slot for each feature, and a group bank with all of them in one."""

    def __init__(self, config: DetectConfig, members_min: int, features_max: int) -> None:
        if not 2 <= members_min <= features_max:
            raise ValueError(f"members_min is {members_min}, give 2 to {features_max}")
        self.roster = Roster(features_max)
        self._series = SeasonalBank(config, 1)
        self._group = GroupBank(
            1,
            warmup_samples=config.warmup_samples,
            members_min=members_min,
            rows_max=features_max,
        )
        self._out = ScoreColumns.allocate(features_max)
        self._verdicts = ScoreColumns.allocate(features_max)

    def score_learn(self, ts_ms: int, values: Values) -> float:
        slots = self._seat(values)
        features = np.fromiter(values.values(), float, len(values))
        slots, features = slots[slots >= 0], features[slots >= 0]
        times = np.full(len(slots), ts_ms, np.int64)
        self._series.score_learn(slots, times, features, self._out)
        scores, verdicts = self._out.scores, self._verdicts
        with self._group.expecting(_ENTITY, len(slots)):
            rounds = self._group.score_learn(slots, times, features, scores, verdicts)
        n = len(rounds.ts_ms)
        # A sample as late as the one before does not end a round, but the next one ends two.
        is_judged = n > 0 and int(rounds.ts_ms[-1]) == ts_ms
        return float(verdicts.scores[n - 1]) if is_judged else 0.0

    def copy_from(self, other: "_Engine") -> None:
        self._grow(other.roster.n_slots)
        other._grow(self.roster.n_slots)
        self.roster.copy_from(other.roster)
        self._series.copy_from(other._series)
        self._group.copy_from(other._group)

    def names(self) -> list[Name]:
        return self.roster.names()

    def state(self) -> Arrays:
        n = self.roster.n_slots
        group = {f"group.{name}": array for name, array in self._group.state(n, 1).items()}
        return self.roster.state() | self._series.state(n) | group

    def restore(self, names: list[Name], arrays: Arrays) -> None:
        n = len(names)
        self._grow(n)
        self.roster.restore(names, arrays)
        self._series.restore(arrays, n)
        self._group.restore(under("group.", arrays), n, 1)

    def _seat(self, values: Values) -> I32:
        slots, fresh = self.roster.seat(values)
        if fresh:
            self._grow(self.roster.n_slots)
            self._series.reset(np.array(fresh, np.int32))
        for slot in fresh:
            self._group.leave(slot)
            self._group.join(slot, _ENTITY)
        return slots

    def _grow(self, n_slots: int) -> None:
        self._series.grow(n_slots)
        self._group.grow(n_slots)
