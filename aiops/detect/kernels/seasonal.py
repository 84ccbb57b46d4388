"""Kernels of the seasonal bank: forecast, compare, calibrate, then learn or hold.

A slot has a row of `hot` (columns below), a row of `profile` (values of 96 bins of the UTC day,
relative to BASE) and a row of `cold`, touched only while the slot holds its baseline.
`aiops.detect.banks.seasonal` describes the method, `tests/naive/detect.py` repeats it plainly.
"""

import math

import numpy as np

from aiops.detect.columns import F32
from aiops.detect.kernels.compile import helper, kernel
from aiops.domain.samples import F64, I32, I64

# hot: samples learnt, epoch ms of the first, its value (keeps the float32 profile near zero)
N, BORN, BASE = range(3)
# the forecasts: last value, fast and slow level, fast and slow offset to the profile
LAST, FAST, SLOW, OFFSET_FAST, OFFSET_SLOW = range(3, 8)
ERROR = 8  # recent absolute errors of these five: columns 8 to 12
# mean absolute residual, slow and fast; smoothed residual and its mean absolute value
SCALE, SCALE_FAST, SHIFT, SHIFT_SIZE = range(13, 17)
POINT_TAIL, SHIFT_TAIL = 17, 20  # three columns: threshold, mean excess, mean squared excess
# flagged samples nearly in a row (> 0: baseline held); 1 after day one; 1 after a large residual
RUN, READY, BEYOND, HOT_SIZE = 23, 24, 25, 26

# cold: epoch ms at which the hold began, flagged samples, level and mean deviation of these
SINCE, HELD, HELD_LEVEL, HELD_SPREAD = range(4)
PEAK, SHIFT_PEAK = 4, 5  # largest residual held, and largest shift in units of its scale
ENDED, RETURNS = 6, 7  # end of the hold before; holds in succession, never an hour apart
COLD_SIZE = 8

DAY_MS = 86_400_000
BINS = 96
BIN_MS = 900_000.0
FIRST_DAY_MS = 85_500_000.0  # the day less one bin, so that no bin is met twice

VALUE_MAX = 1e150  # chosen: sums and ratios of two such values stay finite
PROFILE_MAX = 1e30  # chosen: well inside float32
UNIT_MAX = 1e6  # chosen: beyond a million scales there is nothing left to tell apart
TINY = 1e-300

# Rates per sample, chosen by their memory (1 / rate); benchmark: quality_detection.
RATE_FAST = 0.3
RATE_SLOW = 0.02
RATE_OFFSET_FAST = 0.1
RATE_OFFSET_SLOW = 0.01
RATE_ERROR = 0.005
RATE_SCALE = 0.003
RATE_SCALE_FAST = 0.05
RATE_SHIFT = 0.05
RATE_SHIFT_BACK = 0.15  # chosen: the shift of an ended fault fades in about ten samples
RATE_PROFILE = 0.29  # a bin moves 25 % of its way a day: -ln(0.75)
RATE_PROFILE_FIRST = 3.0  # during the first day a bin comes within exp(-3) of its mean
FREE_SAMPLES = 20.0  # until then residuals are measured with an unripe scale, and not ranked

# least scale: share of the steady forecast's error (chosen), of its level, and at level zero
FLOOR_STEADY, FLOOR_LEVEL, FLOOR_ZERO = 0.05, 1e-9, 1e-12

TAIL_Q = 0.02  # share of samples beyond the tail threshold (chosen: 1 in 50 is soon learnt)
TAIL_BASE = 1.6989700043360187  # -log10(TAIL_Q)
TAIL_START = 2.5  # mean absolute residuals: a normal sample's 2 % quantile is 2.9
TAIL_LEAST = 1.0
SHAPE_MAX = 0.4  # chosen: keeps the generalised Pareto tail's variance finite
LOG10_E = 0.4342944819032518
BAND = 2.995732273553991  # ln(0.02 / 0.001): the band holds all but one sample in a thousand
CAP = 4.5  # decades a score may exceed log10(n): what n samples and a fitted tail support

HOLD_SCORE = 4.0  # chosen: one false hold in 10,000 samples, over with the next sample
HOLD_SHIFT = 3.5  # chosen: shifts come 1 / RATE_SHIFT samples at a time, so less is as rare
HOLD_YOUNG = 0.8  # log10(n) + this if less: a young series would learn a fault too soon
HOLD_LEAST = 2.1  # no warm-up is shorter than 20 samples
HOLD_SAMPLES, HOLD_MS = 240.0, 1_800_000.0  # a lasting shift is adopted after both
ISOLATED = 2.0  # so few held samples were noise, and are learnt in full
RETURNS_MAX, RETURN_MS = 10.0, 3_600_000.0  # chosen: so often, never so long apart: a habit


@kernel("f8(f8[::1], i8, f8)")
def k_tail_score(row: F64, column: int, unit: float) -> float:
    """Return -log10 P(residual >= unit) by the tail at `column`: generalised Pareto, by moments."""
    threshold: float = row[column]
    excess: float = row[column + 1]
    if unit <= threshold:
        return TAIL_BASE * unit / threshold
    spread: float = max(row[column + 2] - excess * excess, 0.05 * excess * excess)
    shape = min(max(0.5 * (1.0 - excess * excess / spread), 0.0), SHAPE_MAX)
    beyond = (unit - threshold) / (excess * (1.0 - shape))
    if shape < 1e-4:
        return TAIL_BASE + beyond * LOG10_E
    return TAIL_BASE + math.log(1.0 + shape * beyond) / shape * LOG10_E


@kernel("void(f8[::1], i8, f8, f8)")
def k_tail_learn(row: F64, column: int, unit: float, n: float) -> None:
    """Move the threshold towards its quantile and the moments towards this excess."""
    threshold = row[column]
    step = 3.0 * max(0.002, 1.0 / (0.3 * n + 1.0))
    if unit <= threshold:
        row[column] = max(threshold - step * TAIL_Q, TAIL_LEAST)
        return
    beyond = unit - threshold
    rate = max(0.02, 1.0 / (TAIL_Q * n + 5.0))  # five samples' weight for the start values
    row[column] = threshold + step * (1.0 - TAIL_Q)
    row[column + 1] = max(row[column + 1] + rate * (beyond - row[column + 1]), 0.2)
    row[column + 2] = max(row[column + 2] + rate * (beyond * beyond - row[column + 2]), 0.04)


@helper
def _start(row: F64, ts_ms: int, value: float) -> None:
    for column in range(HOT_SIZE):
        row[column] = 0.0
    row[N] = 1.0
    row[BORN] = float(ts_ms)
    for column in range(BASE, SLOW + 1):
        row[column] = value
    for column in (POINT_TAIL, SHIFT_TAIL):
        row[column] = TAIL_START
        row[column + 1] = 1.0  # the tail of a Laplace sample, until better is known
        row[column + 2] = 2.0


@helper
def _place(ts_ms: int) -> tuple[int, int, float]:
    """Return the two bins whose centres enclose a time, and the share of the second."""
    position = float(ts_ms % DAY_MS) / BIN_MS + 0.5
    above = int(position)
    part = position - float(above)
    return (above - 1 if above > 0 else BINS - 1), (above if above < BINS else 0), part


@helper
def _mix(row: F64, seasonal: float, count: int) -> float:
    """Return the mean of the forecasts, weighted by the eighth power of their precision."""
    best = row[ERROR]
    for k in range(1, count):
        best = min(best, row[ERROR + k])
    weights = 0.0
    total = 0.0
    for k in range(count):
        ratio = (best + TINY) / (row[ERROR + k] + TINY)
        ratio *= ratio
        ratio *= ratio
        ratio *= ratio
        forecast = row[LAST + k]
        if k > 2:
            forecast += seasonal
        weights += ratio
        total += ratio * forecast
    return total / weights


@helper
def _aged(row: F64, cold: F64, scale: float, steady_error: float) -> float:
    """Return the scale of a held baseline.

    Where the last value used to be the far better forecast the series wanders, and its distance
    from a held level grows with the root of time, as that of a random walk does.
    """
    scale = max(scale, steady_error)
    wander = 1.0 - 2.0 * row[ERROR] / (steady_error + TINY)
    if wander > 0.0:
        scale *= math.sqrt(1.0 + 2.0 * RATE_SLOW * wander * cold[HELD])
    return scale


@helper
def _score(row: F64, unit: float, shift: float) -> tuple[float, bool]:
    """Return about the cube root of the sum of both scores' cubes, and if that is flagged."""
    n = row[N]
    point = k_tail_score(row, POINT_TAIL, unit)
    drift = k_tail_score(row, SHIFT_TAIL, shift)
    high, low = max(point, drift), min(point, drift)
    if low > 1.0:
        high += 0.26 * low * (low / high) * (low / high)
    if high > CAP:
        high = min(high, math.log10(n) + CAP)
    is_flagged = high >= HOLD_SCORE or drift >= HOLD_SHIFT
    if high >= HOLD_LEAST and not is_flagged:
        is_flagged = high >= math.log10(n) + HOLD_YOUNG
    return high, is_flagged


@helper
def _learn(row: F64, value: float, seasonal: float, residual: float, floor: float) -> None:
    """Learn a sample that was not flagged: forecasts, their errors, and the scale."""
    n = row[N]
    inverse = 1.0 / n
    scale = row[SCALE]
    rate = max(RATE_ERROR, inverse)
    for k in range(5):
        forecast = row[LAST + k]
        if k > 2:
            forecast += seasonal
        error = row[ERROR + k]
        seen = abs(value - forecast)
        if n > FREE_SAMPLES:
            seen = min(seen, 10.0 * (error + scale) + floor)
        row[ERROR + k] = error + rate * (seen - error)
    row[LAST] = value
    row[FAST] += RATE_FAST * (value - row[FAST])
    row[SLOW] += max(RATE_SLOW, inverse) * (value - row[SLOW])
    offset = value - seasonal
    row[OFFSET_FAST] += max(RATE_OFFSET_FAST, inverse) * (offset - row[OFFSET_FAST])
    row[OFFSET_SLOW] += max(RATE_OFFSET_SLOW, inverse) * (offset - row[OFFSET_SLOW])
    row[SCALE] = scale + max(RATE_SCALE, inverse) * (residual - scale)
    scale_fast = row[SCALE_FAST]
    row[SCALE_FAST] = scale_fast + max(RATE_SCALE_FAST, inverse) * (residual - scale_fast)
    size = row[SHIFT_SIZE]
    row[SHIFT_SIZE] = size + max(RATE_SCALE, inverse) * (abs(row[SHIFT]) - size)


@helper
def _learn_tails(row: F64, unit: float, shift: float, was_beyond: bool) -> None:
    """Learn both streams; of residuals beyond the threshold in a row only the first."""
    n = row[N]
    if n > FREE_SAMPLES:
        if not (was_beyond and unit > row[POINT_TAIL]):
            k_tail_learn(row, POINT_TAIL, unit, n)
        k_tail_learn(row, SHIFT_TAIL, shift, n)


@helper
def _move_bin(bins: F32, column: int, gap: float) -> None:
    bins[column] = min(max(np.float64(bins[column]) + gap, -PROFILE_MAX), PROFILE_MAX)


@helper
def _fill_profile(row: F64, bins: F32, near: int, age_ms: float, value: float) -> None:
    """During the first day, move the nearest bin towards its own mean."""
    rate = min(RATE_PROFILE_FIRST * age_ms / (BIN_MS * row[N]), 1.0)
    _move_bin(bins, near, rate * (value - row[BASE] - np.float64(bins[near])))
    if age_ms >= FIRST_DAY_MS:
        _close_day(row, bins, near)


@helper
def _close_day(row: F64, bins: F32, newest: int) -> None:
    """Take the first day's trend out of the profile and let it forecast from now on.

    The newest bin lies beside the oldest, so what they differ by is trend, not season. Errors
    seen while the profile was filled are too kind; it starts as good as the levels are.
    """
    oldest = (newest + 1) % BINS
    rise = np.float64(bins[newest]) - np.float64(bins[oldest])
    for k in range(BINS):
        _move_bin(bins, (oldest + k) % BINS, -rise * k / (BINS - 1.0))
    row[ERROR + 3] = max(row[ERROR + 3], row[ERROR + 1])
    row[ERROR + 4] = max(row[ERROR + 4], row[ERROR + 2])
    row[OFFSET_FAST] += rise
    row[OFFSET_SLOW] += rise
    row[READY] = 1.0


@helper
def _hold(row: F64, cold: F64, ts_ms: int, value: float, residual: float, shift: float) -> None:
    """Count a flagged sample and remember where the series is now; learn nothing else."""
    if row[RUN] == 0.0:
        cold[SINCE], cold[HELD] = float(ts_ms), 0.0
        cold[HELD_LEVEL], cold[HELD_SPREAD] = value, 0.0
        cold[PEAK], cold[SHIFT_PEAK] = 0.0, 0.0
    row[RUN] += 1.0
    held = cold[HELD] + 1.0
    cold[HELD] = held
    rate = max(RATE_SLOW, 1.0 / held)
    away = value - cold[HELD_LEVEL]
    cold[HELD_LEVEL] += rate * away
    cold[HELD_SPREAD] += rate * (abs(away) - cold[HELD_SPREAD])
    cold[PEAK] = max(cold[PEAK], residual)
    cold[SHIFT_PEAK] = max(cold[SHIFT_PEAK], shift)


@helper
def _adopt(row: F64, cold: F64, value: float, seasonal: float) -> None:
    """Take the level and spread of the held samples for the new baseline."""
    level = cold[HELD_LEVEL]
    row[LAST], row[FAST], row[SLOW] = value, level, level
    row[OFFSET_FAST], row[OFFSET_SLOW] = level - seasonal, level - seasonal
    for column in range(ERROR, SHIFT):
        row[column] = max(row[column], cold[HELD_SPREAD])
    row[SHIFT], row[RUN] = 0.0, 0.0


@helper
def _release(row: F64, cold: F64, ts_ms: int, floor: float) -> None:
    """End a hold: what was isolated or keeps coming back is learnt, a fault is not."""
    if cold[HELD] > ISOLATED:
        if float(ts_ms) - cold[ENDED] > RETURN_MS:
            cold[RETURNS] = 0.0
        cold[ENDED] = float(ts_ms)
        cold[RETURNS] += 1.0
        if cold[RETURNS] <= RETURNS_MAX:
            return
    n, peak = row[N], cold[PEAK]
    for column in range(ERROR, SCALE):
        row[column] += max(RATE_ERROR, 1.0 / n) * max(peak - row[column], 0.0)
    row[SCALE] += max(RATE_SCALE, 1.0 / n) * max(peak - row[SCALE], 0.0)
    unit = min(peak / (row[SCALE] + floor), UNIT_MAX)
    k_tail_learn(row, POINT_TAIL, unit, n)
    k_tail_learn(row, SHIFT_TAIL, cold[SHIFT_PEAK], n)


@helper
def _move_shift(row: F64, away: float, rate: float, scale: float, steady_error: float) -> float:
    """Smooth the distance from the steady forecast; return its size in units of its scale."""
    limit = 6.0 * scale
    shift: float = row[SHIFT]
    shift += rate * (min(max(away, -limit), limit) - shift)
    row[SHIFT] = shift
    # White noise smoothed at RATE_SHIFT keeps 0.16 of its size; few samples tell less still.
    size: float = max(row[SHIFT_SIZE], 0.16 * scale) + 5.0 / row[N] * steady_error
    return min(abs(shift) / (size + TINY), UNIT_MAX)


@helper
def _score_learn_one(
    row: F64, cold: F64, bins: F32, ts_ms: int, value: float, warmup: float
) -> tuple[float, float, float]:
    """Score one sample, learn or hold it; return score, expected and half band."""
    if row[N] == 0.0:
        _start(row, ts_ms, value)
        return 0.0, math.nan, math.nan
    n = row[N] + 1.0
    row[N] = n
    left, right, part = _place(ts_ms)
    seasonal = row[BASE] + np.float64(bins[left]) * (1.0 - part) + np.float64(bins[right]) * part
    is_ready = row[READY] > 0.0
    run = row[RUN]
    steady = row[SLOW]
    steady_error = row[ERROR + 2]
    if is_ready and row[ERROR + 4] < steady_error:
        steady = row[OFFSET_SLOW] + seasonal
        steady_error = row[ERROR + 4]
    floor = FLOOR_STEADY * steady_error + FLOOR_LEVEL * abs(steady) + FLOOR_ZERO
    scale = max(0.7 * row[SCALE] + 0.3 * row[SCALE_FAST], floor)
    if run > 0.0:
        expected = steady
        scale = _aged(row, cold, scale, steady_error)
    else:
        expected = _mix(row, seasonal, 5 if is_ready else 3)
    residual = abs(value - expected)
    unit = min(residual / scale, UNIT_MAX)
    rate = RATE_SHIFT_BACK if run > 0.0 and residual < scale else RATE_SHIFT
    shift = _move_shift(row, value - steady, rate, scale, steady_error)
    half = scale * (row[POINT_TAIL] + BAND * row[POINT_TAIL + 1])
    was_beyond = row[BEYOND] > 0.0
    row[BEYOND] = 1.0 if unit > row[POINT_TAIL] else 0.0
    score, is_flagged = _score(row, unit, shift) if n > warmup else (0.0, False)
    if is_flagged:
        row[N] = n - 1.0  # what is not learnt supports no higher score
        _hold(row, cold, ts_ms, value, residual, shift)
        if cold[HELD] >= HOLD_SAMPLES and float(ts_ms) - cold[SINCE] >= HOLD_MS:
            _adopt(row, cold, value, seasonal)
    else:
        if run > 0.0:
            row[RUN] = math.floor(0.5 * run)
            if run < 2.0:
                _release(row, cold, ts_ms, floor)
        _learn(row, value, seasonal, residual, floor)
        _learn_tails(row, unit, shift, was_beyond)
    age_ms = max(float(ts_ms) - row[BORN], 0.0)
    if not is_ready:
        near = left if part < 0.5 else right
        _fill_profile(row, bins, near, age_ms, steady if is_flagged else value)
    elif not is_flagged:
        gap = min(RATE_PROFILE * age_ms / (BIN_MS * n), 0.25) * (
            value - seasonal - row[OFFSET_SLOW]
        )
        _move_bin(bins, left, (1.0 - part) * gap)
        _move_bin(bins, right, part * gap)
    if n <= warmup:
        return 0.0, math.nan, math.nan
    return score, expected, half


@kernel("void(f8[:,::1],f8[:,::1],f4[:,::1],i4[::1],i8[::1],f8[::1],f8,f8[::1],f8[::1],f8[::1])")
def k_seasonal_score(
    hot: F64,
    cold: F64,
    profile: F32,
    slots: I32,
    ts_ms: I64,
    features: F64,
    warmup: float,
    out_scores: F64,
    out_expected: F64,
    out_half: F64,
) -> None:
    """Score every row against its slot and let the slot learn it, in the order of rows."""
    for i in range(len(slots)):
        value = features[i]
        if math.isnan(value):
            out_scores[i] = 0.0
            out_expected[i] = math.nan
            out_half[i] = math.nan
            continue
        value = min(max(value, -VALUE_MAX), VALUE_MAX)
        slot = slots[i]
        out_scores[i], out_expected[i], out_half[i] = _score_learn_one(
            hot[slot], cold[slot], profile[slot], ts_ms[i], value, warmup
        )
