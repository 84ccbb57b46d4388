"""Raw scores of any detector to -log10 of their tail probability, learnt as they come."""

import math

import numpy as np

from aiops.detect.kernels.baseline import FREE_SAMPLES, RATE_SCALE
from aiops.detect.kernels.seasonal import UNIT_MAX
from aiops.detect.kernels.tails import CAP, TAIL_START, k_tail_learn, k_tail_score

_RAW_MAX = 1e150  # chosen: differences of two such scores stay finite
_TAIL = 0  # the one tail of a row: threshold, mean excess, mean square, count


class TailCalibrator:
    """Ranks a stream of raw scores (high = unusual) against its own past.

    Parameters
    ----------
    warmup_samples
        Raw scores learnt before the first is ranked.

    Notes
    -----
    The excess of a raw score over its running mean, in units of the mean absolute deviation, is
    ranked by the same tail as the seasonal bank's residuals. Scores beyond the threshold plus
    four mean excesses are learnt as if they were there, so that an anomaly raises the tail
    slowly. The constant that many detectors answer at first counts as one score. About 2 us.
    """

    def __init__(self, warmup_samples: int) -> None:
        self._warmup = warmup_samples
        self._n = 0
        self._level = 0.0
        self._spread = 0.0
        self._tail = np.array([TAIL_START, 0.0, 0.0, 0.0])

    def score_learn(self, raw: float) -> float:
        """Return -log10 of the probability of a score at least this high, then learn it."""
        raw = min(max(raw, -_RAW_MAX), _RAW_MAX)
        if self._n == 0 or (self._n == 1 and raw == self._level):
            self._n = 1
            self._level = raw
            return 0.0
        self._n += 1
        least = 1e-9 * abs(self._level) + 1e-12
        spread = max(self._spread, least)
        unit = min(max(raw - self._level, 0.0) / spread, UNIT_MAX)
        score = 0.0
        if self._n > self._warmup:
            score = min(k_tail_score(self._tail, _TAIL, unit), math.log10(self._n) + CAP)
        self._learn(raw, unit, spread)
        return score

    def _learn(self, raw: float, unit: float, spread: float) -> None:
        rate = max(RATE_SCALE, 1.0 / self._n)
        if self._n > FREE_SAMPLES:
            threshold, excess = float(self._tail[0]), float(self._tail[1])
            limit = threshold + 4.0 * max(excess, 1.0)
            k_tail_learn(self._tail, _TAIL, min(unit, limit), float(self._n), 1.0)
            raw = min(raw, self._level + limit * spread)
        away = raw - self._level
        self._level += rate * away
        self._spread += rate * (abs(away) - self._spread)
