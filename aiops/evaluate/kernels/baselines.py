"""Kernels of the rival detectors: one series a call, each row scored before it is learnt.

`aiops.evaluate.baselines` says what they are and where their settings come from,
`tests/naive/evaluate.py` repeats them plainly. A NaN row is absent: it scores 0 and is not learnt.
"""

import math

from aiops.detect.columns import U8
from aiops.detect.kernels.compile import helper, kernel
from aiops.domain.samples import F64, I32

SCORE_MAX = 1e3  # chosen: a z score beyond it tells nothing more, and infinity sorts badly
FREE_ROWS = 20  # chosen: rows before the running variance is used at all
RELATIVE_FLOOR = 1e-12  # of the squared level: rounding noise of a constant series is no deviation

HOLT_CLIP_ROWS = 50  # chosen: residuals are clipped once the variance has settled
HOLT_CLIP = 4.0  # standard deviations; a spike must not become the level
HOLT_VARIANCE_CLIP = 25.0  # variances a squared residual may count for
HOLT_VARIANCE_RATE = 0.005  # memory of 200 rows

THRESHOLD, N_BEYOND, SUM, SQUARES = range(4)  # columns of a tail
SPOT_SHAPE_MIN, SPOT_SHAPE_MAX = -0.2, 0.45  # chosen: moments of the tail have to exist
SPOT_ANOMALY = 4.0  # -log10 p; such a row is reported and not learnt
SPOT_SCORE_MAX = 50.0  # chosen: beyond the end of a bounded tail a score must stay finite
SPOT_BEYOND_END = 12.0  # decades added beyond the end of a bounded tail
SPOT_UNKNOWN = 3.0  # score of an excess while fewer than three were seen
LOG_10 = 2.302585092994046


@helper
def _z(residual: float, variance: float, level: float) -> float:
    return min(
        abs(residual) / math.sqrt(variance + RELATIVE_FLOOR * (1.0 + level * level)), SCORE_MAX
    )


@kernel("void(f8[::1], f8, f8[::1])")
def k_ewma_score(values: F64, rate: float, out: F64) -> None:
    """Score by the distance from an exponential mean, in exponential standard deviations."""
    n = 0
    mean = 0.0
    variance = 0.0
    for i in range(len(values)):
        out[i] = 0.0
        value = values[i]
        if math.isnan(value):
            continue
        if n == 0:
            mean = value
        away = value - mean
        if n > FREE_ROWS:
            out[i] = _z(away, variance, mean)
        mean += rate * away
        variance = (1.0 - rate) * (variance + rate * away * away)
        n += 1


@kernel("void(f8[::1], i4[::1], f8[::1], u1[::1], f8[::1], f8[::1])")
def k_holt_winters_score(
    values: F64, places: I32, season: F64, is_seen: U8, rates: F64, out: F64
) -> None:
    """Score by the residual of an additive Holt-Winters forecast, in standard deviations.

    `season` and `is_seen` are zeroed scratch, one entry for each place in the season; `places`
    names the one of each row; `rates` are those of level, trend and season.
    """
    alpha, beta, gamma = rates[0], rates[1], rates[2]
    n = 0
    level = 0.0
    trend = 0.0
    variance = 0.0
    for i in range(len(values)):
        out[i] = 0.0
        value = values[i]
        if math.isnan(value):
            continue
        if n == 0:
            level = value
        place = places[i]
        residual = value - (level + trend + season[place])
        if n > FREE_ROWS:
            out[i] = _z(residual, variance, level)
        learnt = residual
        if n > HOLT_CLIP_ROWS:
            limit = HOLT_CLIP * math.sqrt(variance)
            learnt = min(max(residual, -limit), limit)
        level_next = level + trend + alpha * learnt
        trend += alpha * beta * learnt
        if is_seen[place] == 0:
            season[place] = 0.5 * (value - level_next)
            is_seen[place] = 1
        else:
            season[place] += gamma * (1.0 - alpha) * learnt
        level = level_next
        square = residual * residual
        if n > HOLT_CLIP_ROWS:
            square = min(square, HOLT_VARIANCE_CLIP * variance + 1e-30)
        rate = max(HOLT_VARIANCE_RATE, 1.0 / (n + 1.0))
        variance = (1.0 - rate) * variance + rate * square
        n += 1


@helper
def _tail_score(tail: F64, excess: float, n: float) -> float:
    """Return -log10 of the generalised Pareto tail at an excess, fitted by moments."""
    n_beyond: float = tail[N_BEYOND]
    if n_beyond < 3.0:
        return SPOT_UNKNOWN
    base = -math.log10(n_beyond / n)
    mean: float = tail[SUM] / n_beyond
    variance: float = max(tail[SQUARES] / n_beyond - mean * mean, 1e-300)
    shape = 0.5 * (1.0 - mean * mean / variance)
    shape = min(max(shape, SPOT_SHAPE_MIN), SPOT_SHAPE_MAX)
    scale = mean * (1.0 - shape)
    if abs(shape) < 1e-6:
        return base + excess / scale / LOG_10
    inner = 1.0 + shape * excess / scale
    if inner <= 1e-12:
        return base + SPOT_BEYOND_END
    return base + math.log(inner) / shape / LOG_10


@kernel("void(f8[::1], i8, i8, f8[:, ::1], f8[::1])")
def k_spot_score(values: F64, start: int, n_seen: int, tails: F64, out: F64) -> None:
    """Score the rows from `start` on by the tail they lie in; rows between both tails score 0.

    `tails` has a row each for high values and for low ones (negated): threshold, number, sum and
    sum of squares of the excesses among the `n_seen` values before `start`. It is updated.
    """
    n = float(n_seen)
    for i in range(len(values)):
        out[i] = 0.0
        if i < start or math.isnan(values[i]):
            continue
        score = 0.0
        for side in range(2):
            excess = (values[i] if side == 0 else -values[i]) - tails[side, THRESHOLD]
            if excess > 0.0:
                found = _tail_score(tails[side], excess, n)
                score = max(score, found)
                if found < SPOT_ANOMALY:
                    tails[side, N_BEYOND] += 1.0
                    tails[side, SUM] += excess
                    tails[side, SQUARES] += excess * excess
        out[i] = min(score, SPOT_SCORE_MAX)
        n += 1.0
