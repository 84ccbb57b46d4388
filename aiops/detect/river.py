"""One slot of the seasonal bank as a River anomaly detector, usable in any River pipeline."""

import math

import numpy as np
from river import base

from aiops.config import DetectConfig
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns

TIME_KEY = "ts_ms"
"""Feature that is the time of the sample, epoch milliseconds, not a value to judge."""

_SLOTS = np.zeros(1, np.int32)


class SeriesDetector(base.AnomalyDetector):
    """Scores one series against a robust, adaptive baseline with a daily profile.

    The score is -log10 of the probability that a normal sample is as unusual: 3 is one in a
    thousand, 6 one in a million. It is 0 during warm-up. The method and where it fails are told
    in `aiops.detect.banks.seasonal`. A sample without the feature, or with NaN, is absent: it
    scores 0 and is not learnt. About 10 us a call; use the bank for more than a few series.

    Parameters
    ----------
    warmup_samples
        Samples learnt before one is judged, at least 20.
    interval_s
        Time from one sample to the next when `x` has no key "ts_ms".
    feature
        Key to judge. Without it, `x` must have one key besides "ts_ms".

    Examples
    --------
    >>> import random
    >>> from aiops.detect.river import SeriesDetector
    >>> rng = random.Random(42)
    >>> detector = SeriesDetector(interval_s=15)
    >>> for _ in range(500):
    ...     detector.learn_one({"latency": rng.gauss(100, 5)})
    >>> detector.score_one({"latency": 101}) < 1
    True
    >>> detector.score_one({"latency": 200}) > 6
    True
    """

    def __init__(
        self, warmup_samples: int = 60, interval_s: float = 60.0, feature: str | None = None
    ) -> None:
        self.warmup_samples = warmup_samples
        self.interval_s = interval_s
        self.feature = feature
        self._bank = SeasonalBank(DetectConfig(warmup_samples=warmup_samples), 1)
        self._out = ScoreColumns.allocate(1)
        self._next_ms = 0

    def score_one(self, x: dict[base.typing.FeatureName, float]) -> float:
        """Return the score of a sample; nothing is learnt."""
        saved = {name: array.copy() for name, array in self._bank.state(1).items()}
        score = self._score_learn(x)
        self._bank.restore(saved, 1)
        return score

    def learn_one(self, x: dict[base.typing.FeatureName, float]) -> None:
        """Learn a sample."""
        self._score_learn(x)
        self._next_ms = self._time_ms(x) + round(self.interval_s * 1000)

    def _score_learn(self, x: dict[base.typing.FeatureName, float]) -> float:
        ts_ms = np.array([self._time_ms(x)], np.int64)
        value = np.array([self._value(x)])
        self._bank.score_learn(_SLOTS, ts_ms, value, self._out)
        return float(self._out.scores[0])

    def _time_ms(self, x: dict[base.typing.FeatureName, float]) -> int:
        return int(x.get(TIME_KEY, self._next_ms))

    def _value(self, x: dict[base.typing.FeatureName, float]) -> float:
        if self.feature is not None:
            return float(x.get(self.feature, math.nan))
        values = [value for key, value in x.items() if key != TIME_KEY]
        if len(values) > 1:
            raise ValueError(f"name the feature to judge, one of {sorted(map(str, x))}")
        return float(values[0]) if values else math.nan
