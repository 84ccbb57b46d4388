"""Replicas of one thing as one River anomaly detector."""

from collections.abc import Iterator

import numpy as np

from aiops.detect.banks.peers import PeerBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.kernels.peers import PEERS_MAX
from aiops.detect.river.detector import Arrays, BankDetector, Features, Name, Values, present
from aiops.detect.river.roster import Roster
from aiops.domain.samples import F64, I32

_GROUP = 0
_NOBODY: I32 = np.zeros(0, np.int32)
_NO_SCORES: F64 = np.zeros(0)


class PeerDetector(BankDetector["_Engine"]):
    """Scores how unlike its siblings the oddest of several replicas is.

    Every feature of a sample is one replica's value of the same metric. Each is compared with the
    median of them all, as `aiops.detect.banks.peers` tells; the score is that of the oddest,
    -log10 of a tail probability, and `score_each` has those of all. Since it is the highest of
    several, it is beyond a level as many times as often as there are replicas. A replica that is
    missing, None or NaN is not compared. The score is 0 during warm-up, while fewer than
    `peers_min` others are there, and for a sample that is not later than the one before.

    Up to 64 replicas are known. A new one beyond takes the place of the one missing for longest;
    of a sample with more the rest is not judged, see `values_refused_total`.

    Parameters
    ----------
    warmup_samples
        Samples of a replica before it is judged.
    interval_s
        Time from one sample to the next when `x` has no key "ts_ms".
    peers_min
        Other replicas in the same sample that a verdict needs.

    Examples
    --------
    >>> import random
    >>> from aiops.detect.river import PeerDetector
    >>> rng = random.Random(42)
    >>> detector = PeerDetector()
    >>> for _ in range(200):
    ...     load = rng.gauss(100, 20)  # that of all replicas rises and falls
    ...     detector.learn_one({f"pod-{k}": load + rng.gauss(0, 1) for k in range(6)})
    >>> x = {f"pod-{k}": 250 + rng.gauss(0, 1) for k in range(6)}
    >>> detector.score_one(x) < 3
    True
    >>> scores = detector.score_each(x | {"pod-3": 230.0})
    >>> max(scores, key=scores.get), scores["pod-3"] > 4
    ('pod-3', True)
    """

    def __init__(
        self, warmup_samples: int = 60, interval_s: float = 60.0, peers_min: int = 4
    ) -> None:
        self.warmup_samples = warmup_samples
        self.interval_s = interval_s
        self.peers_min = peers_min
        now, ahead = (_Engine(warmup_samples, peers_min) for _ in range(2))
        self._start(now, ahead, interval_s)

    @property
    def values_refused_total(self) -> int:
        """Values learnt of nothing, since samples had more than 64 replicas."""
        return self._now.roster.refused_total

    def score_each(self, x: Features) -> dict[Name, float]:
        """Return the score of each replica that a sample judges; nothing is learnt."""
        self.score_one(x)
        return self._ahead.scores() if present(x) else {}

    def _values(self, x: Features) -> Values:
        return present(x)

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, object]]:
        yield {}


class _Engine:
    """A peer bank whose replicas are all in one group."""

    def __init__(self, warmup_samples: int, peers_min: int) -> None:
        self._judged, self._scores = _NOBODY, _NO_SCORES
        self.roster = Roster(PEERS_MAX)
        self._bank = PeerBank(
            PEERS_MAX, warmup_rounds=warmup_samples, peers_min=peers_min, rows_max=PEERS_MAX
        )
        self._out = ScoreColumns.allocate(self._bank.rows_out_max)

    def score_learn(self, ts_ms: int, values: Values) -> float:
        slots = self._seat(values)
        features = np.fromiter(values.values(), float, len(values))
        slots, features = slots[slots >= 0], features[slots >= 0]
        times = np.full(len(slots), ts_ms, np.int64)
        self._judged, self._scores = _NOBODY, _NO_SCORES
        with self._bank.expecting(_GROUP, len(slots)):
            for judged in self._bank.score_learn(slots, times, features, self._out):
                own = judged.ts_ms == ts_ms  # others are of a round that this sample ended late
                self._judged = judged.slots[own]
                self._scores = self._out.scores[: len(own)][own]
        return float(self._scores.max(initial=0.0))

    def scores(self) -> dict[Name, float]:
        """Return the score of each replica judged in the latest sample."""
        names = (self.roster.name_of(slot) for slot in self._judged.tolist())
        return dict(zip(names, self._scores.tolist(), strict=True))

    def copy_from(self, other: "_Engine") -> None:
        self.roster.copy_from(other.roster)
        self._bank.copy_from(other._bank)

    def names(self) -> list[Name]:
        return self.roster.names()

    def state(self) -> Arrays:
        return self.roster.state() | self._bank.state(self.roster.n_slots, 1)

    def restore(self, names: list[Name], arrays: Arrays) -> None:
        self.roster.restore(names, arrays)
        self._bank.restore(arrays, len(names), 1)

    def _seat(self, values: Values) -> I32:
        slots, fresh = self.roster.seat(values)
        for slot in fresh:
            self._bank.leave(slot)
            self._bank.join(slot, _GROUP)
        return slots
