"""The rivals our detector is measured against: what a team would try first, strictly causal.

Settings are those of the literature or of the library, the same for every set. Each turns times
and values of several series (one a column) into scores of the same shape, row by row from what
came before. Scores of different rivals are not on one scale; `levels` says where the rival itself
claims tail probabilities of 1e-3 and 1e-4, if it claims any.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from river import anomaly, base, compose, preprocessing

from aiops.clock import DAY_MS
from aiops.domain.samples import F64, I64
from aiops.evaluate.kernels.baselines import k_ewma_score, k_holt_winters_score, k_spot_score

ScoreSeries = Callable[[I64, F64], F64]
"""Times and values of one series to its scores."""

NORMAL_LEVELS = (3.2905, 3.8906)
"""Two-sided quantiles of the normal distribution at 1e-3 and 1e-4."""

EWMA_RATE = 0.02
"""Chosen: a memory of 50 rows, as our own slow level."""
HOLT_RATES = (0.02, 0.001, 0.15)
"""Level, trend, season. Chosen: of six tried on the development halves best in most columns; a
faster level takes the day for a trend and leaves the season nothing."""
HOLT_BINS_MIN, HOLT_BINS_MAX = 2, 2880
"""Places in a day: one a step, none longer than half a day or shorter than 30 s."""
STEP_ROWS = 60
"""Rows from which a series' step is learnt; they are over before anything is judged."""
SPOT_ROWS = 500
"""Rows of the initial threshold; the paper takes 1,000, longer than some of the series have."""
SPOT_LEVEL = 0.98
"""Quantile that begins the tail, as in the paper (Siffer et al., doi:10.1145/3097983.3098144)."""
GAUSSIAN_LEVELS = (0.999, 0.9999)
"""River's GaussianScorer answers a probability: one less the two-sided tail."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A rival detector.

    Parameters
    ----------
    warmup_rows
        First rows of a series whose scores are set to 0: what it says there is noise.
    levels
        Scores by which it claims a tail of 1e-3 and of 1e-4; None if it claims none.
    is_slow
        Whether it takes tens of microseconds a row, so that it is measured on a subset.
    """

    name: str
    score_series: ScoreSeries
    warmup_rows: int
    levels: tuple[float, float] | None
    is_slow: bool = False

    def score(self, ts_ms: I64, values: F64) -> F64:
        """Return the scores of m series that share times; values and result are (n, m)."""
        columns = np.ascontiguousarray(values.T)
        scores = np.empty_like(columns)
        for k, column in enumerate(columns):
            scores[k] = self.score_series(ts_ms, column)
        scores[:, : self.warmup_rows] = 0.0
        return scores.T


def ewma_z(_ts_ms: I64, values: F64) -> F64:
    """Return the distance from an exponential mean, in exponential standard deviations."""
    out = np.empty_like(values)
    k_ewma_score(values, EWMA_RATE, out)
    return out


def holt_winters_z(ts_ms: I64, values: F64) -> F64:
    """Return the residual of additive Holt-Winters with a season of one day, as a z score."""
    out = np.empty_like(values)
    step_ms = float(np.median(np.diff(ts_ms[:STEP_ROWS]))) if len(ts_ms) > 1 else math.inf
    n_bins = round(min(max(DAY_MS / step_ms, HOLT_BINS_MIN), HOLT_BINS_MAX))
    places = (ts_ms % DAY_MS * n_bins // DAY_MS).astype(np.int32)
    season, is_seen = np.zeros(n_bins), np.zeros(n_bins, np.uint8)
    k_holt_winters_score(values, places, season, is_seen, np.array(HOLT_RATES), out)
    return out


def spot(_ts_ms: I64, values: F64) -> F64:
    """Return -log10 of the generalised Pareto tail of the values themselves, both sides (SPOT)."""
    out = np.zeros_like(values)
    first = values[:SPOT_ROWS]
    present = first[~np.isnan(first)]
    if len(values) > SPOT_ROWS and len(present):
        tails = np.array([_initial_tail(present), _initial_tail(-present)])
        k_spot_score(values, SPOT_ROWS, len(present), tails, out)
    return out


def _initial_tail(values: F64) -> tuple[float, float, float, float]:
    threshold = np.sort(values)[int(SPOT_LEVEL * len(values))]
    excess = values[values > threshold] - threshold
    return float(threshold), float(len(excess)), float(excess.sum()), float((excess**2).sum())


def river_absolute_deviation(_ts_ms: I64, values: F64) -> F64:
    """Return River's StandardAbsoluteDeviation, with its defaults."""
    return _river_target_scores(anomaly.StandardAbsoluteDeviation(), values)


def river_gaussian(_ts_ms: I64, values: F64) -> F64:
    """Return River's GaussianScorer over all that came before, with its defaults.

    It answers 1, certain alarm, to every row of a series that was constant so far.
    """
    return _river_target_scores(anomaly.GaussianScorer(), values)  # type: ignore[no-untyped-call] # River's own


def _river_target_scores(detector: base.SupervisedAnomalyDetector, values: F64) -> F64:
    """Return the raw scores of a detector that watches a target."""
    scores = np.zeros(len(values))
    for i, value in enumerate(values.tolist()):
        if math.isfinite(value):
            scores[i] = detector.score_one({}, value)
            detector.learn_one({}, value)
    return scores


def river_half_space_trees(_ts_ms: I64, values: F64) -> F64:
    """Return River's HalfSpaceTrees behind a MinMaxScaler, which it needs, with its defaults."""
    detector = compose.Pipeline(preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=1))
    scores = np.zeros(len(values))
    for i, value in enumerate(values.tolist()):
        if math.isfinite(value):
            x = {"value": value}
            scores[i] = detector.score_one(x)
            detector.learn_one(x)
    return scores


BASELINES: tuple[Baseline, ...] = (
    Baseline("EWMA z", ewma_z, 20, NORMAL_LEVELS),
    Baseline("Holt-Winters (day) z", holt_winters_z, 50, NORMAL_LEVELS),
    Baseline("SPOT (moments)", spot, SPOT_ROWS, (3.0, 4.0)),
    Baseline("River GaussianScorer", river_gaussian, 100, GAUSSIAN_LEVELS),
    Baseline("River StandardAbsoluteDeviation", river_absolute_deviation, 20, NORMAL_LEVELS),
    Baseline("River HalfSpaceTrees", river_half_space_trees, 250, None, is_slow=True),
)
