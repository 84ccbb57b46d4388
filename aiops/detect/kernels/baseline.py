"""The baseline of a slot: its layout, forecasts, what they learn, and holding it.

Leaf functions of `seasonal.py`.
"""

import math

from aiops.detect.columns import F32
from aiops.detect.kernels.compile import helper
from aiops.detect.kernels.profile import (
    HOUR_MS,
    HOURS,
    QUARTER_MS,
    QUARTERS,
    RATE_MAX,
    RATE_PROFILE,
    WEEK_HOURS,
    between,
    fill_first_day,
    fill_unseen,
    move_between,
    place,
    take_trend_out,
)
from aiops.detect.kernels.tails import LEVEL_SIDE, TAIL_START
from aiops.domain.samples import F64

# hot: samples seen, epoch ms of the first, its value, epoch ms of the newest, usual interval
N, BORN, BASE, SEEN, INTERVAL = range(5)
# forecasts: last value, fast and slow level, fast and slow offset to day, and to day and week
LAST, FAST, SLOW, DAY_FAST, DAY_SLOW, WEEK_FAST, WEEK_SLOW = range(5, 12)
ERROR, FORECASTS = 12, 7  # recent absolute errors of these seven
# mean absolute residual: slow, fast, of some minutes, of some hours
SCALE, SCALE_FAST, RECENT, USUAL = range(19, 23)
MEAN, RANGE = 23, 24  # long mean, and mean absolute distance from it
POINT_TAIL, SPREAD_TAIL = 25, 29  # four columns each: threshold, mean excess, square, count
LEVEL_MEAN, LEVEL_WIDTH, LEVEL_N = range(33, 36)
LEVEL = 36  # two sides of four columns, see `tails.py`; the column before it counts
HOLDING = LEVEL + 2 * LEVEL_SIDE  # while the baseline is held 1 and the number of its season
SEASON = HOLDING + 1  # 0 on the first day, 1 coarse, 2 fine profile
FINE_SINCE = HOLDING + 2  # epoch ms; on the first day a bit for each hour that had samples
KEPT = HOLDING + 3  # what is left of the severest samples
HOT_SIZE = HOLDING + 4

# cold: epoch ms of the hold's begin, its samples, those near the baseline in a row
SINCE, HELD, NEAR = range(3)
# baseline less its season (0 none, 1 day, 2 week), width, level meanwhile and its spread, and the
# residual in scales that began the hold
HELD_OFFSET, HELD_WIDTH, HELD_LEVEL, HELD_SPREAD, HELD_UNIT = range(3, 8)
COLD_SIZE = 8

FIRST_DAY_MS = 82_800_000.0  # the day less one hour, so that no bin is met twice
WEEK_MS = 604_800_000.0

TINY = 1e-300

# Windows: so many samples, yet never less time than (ms) is given; chosen by their memory, the
# times so that they matter below some 30 s only. Benchmark: quality_detection.
RATE_FAST, SPAN_FAST = 0.3, 10_000.0
RATE_SLOW, SPAN_SLOW = 0.02, 600_000.0
RATE_DAY_FAST, SPAN_DAY_FAST = 0.1, 60_000.0
RATE_DAY_SLOW, SPAN_DAY_SLOW = 0.01, 1_200_000.0
RATE_ERROR, SPAN_ERROR = 0.005, 3_600_000.0
RATE_SCALE, SPAN_SCALE = 0.003, 3_600_000.0
RATE_SCALE_FAST, SPAN_SCALE_FAST = 0.05, 300_000.0
RATE_RECENT, SPAN_RECENT = 0.08, 180_000.0
RATE_USUAL, SPAN_USUAL = 0.004, 3_600_000.0
RATE_RANGE, SPAN_RANGE = 0.002, 7_200_000.0
RATE_KEPT, SPAN_KEPT = 0.03, 1_800_000.0
RATE_INTERVAL = 0.02
RATE_INTERVAL_FIRST = 0.5  # chosen: two first samples a moment apart are forgotten in ten more

FREE_SAMPLES = 20.0  # until then residuals are measured with an unripe scale, and not ranked


SPREAD_CLIP = 4.0  # chosen: one sample alone does not make a spread

HOLD_NEAR = 3.0  # chosen: mean absolute residuals from the held baseline that count as back
HOLD_SAMPLES, HOLD_MS = 240.0, 3_600_000.0  # a lasting shift is adopted after both


@helper
def start(row: F64, ts_ms: int, value: float) -> None:
    """Begin a slot with its first sample."""
    for column in range(HOT_SIZE):
        row[column] = 0.0
    row[N] = 1.0
    row[BORN], row[SEEN] = float(ts_ms), float(ts_ms)
    row[BASE] = value
    for column in range(LAST, WEEK_SLOW + 1):
        row[column] = value
    row[MEAN], row[LEVEL_MEAN] = value, value
    row[LEVEL], row[LEVEL + LEVEL_SIDE] = value, -value
    row[LEVEL_N] = 1.0
    for column in (POINT_TAIL, SPREAD_TAIL):
        row[column] = TAIL_START


@helper
def pass_time(row: F64, ts_ms: int) -> float:
    """Learn the usual interval; return how many of them passed."""
    span_ms = max(float(ts_ms) - row[SEEN], 1.0)
    row[SEEN] = float(ts_ms)
    usual_ms = row[INTERVAL]
    if usual_ms == 0.0:
        row[INTERVAL] = span_ms
        return 1.0
    if row[N] < FREE_SAMPLES:
        row[INTERVAL] = usual_ms + RATE_INTERVAL_FIRST * (min(span_ms, 4.0 * usual_ms) - usual_ms)
    else:
        row[INTERVAL] = usual_ms + RATE_INTERVAL * (min(span_ms, 2.0 * usual_ms) - usual_ms)
    passed: float = span_ms / usual_ms
    return passed


@helper
def weight_of(row: F64, rate: float, span_ms: float, pace: float) -> float:
    """Return the weight of this sample in a window of `1 / rate` samples or `span_ms`."""
    interval_ms = row[INTERVAL]
    # Divisions are dear, and seldom needed.
    weight: float = pace * (rate if interval_ms >= rate * span_ms else interval_ms / span_ms)
    if weight * row[N] < 1.0:
        weight = 1.0 / row[N]
    return min(weight, 1.0)


@helper
def mix(row: F64, day: float, week: float, count: int) -> float:
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
        weights += ratio
        total += ratio * (row[LAST + k] + (week if k > 4 else (day if k > 2 else 0.0)))
    return total / weights


@helper
def steady(row: F64, count: int) -> int:
    """Return the best of the slow forecasts: 0 level, 1 with the day, 2 with day and week."""
    season = 0
    if count > 4 and row[ERROR + 4] < row[ERROR + 2]:
        season = 1
    if count > 6 and row[ERROR + 6] < row[ERROR + 2 + 2 * season]:
        season = 2
    return season


@helper
def wander(row: F64) -> float:
    """Return 0 for a series that returns to its level up to 1 for one that never does."""
    returning: float = 2.0 * row[ERROR] / (row[ERROR + 2] + TINY)
    return max(0.0, 1.0 - returning)


@helper
def away(row: F64, cold: F64, distance: float) -> tuple[bool, float]:
    """Return whether a held series is still away, and the width it is measured by.

    A series that wanders moves from a held level as the root of time, as a random walk does.
    """
    width = cold[HELD_WIDTH]
    wandering = wander(row)
    if wandering > 0.0:
        width = max(width, row[ERROR + 2]) * math.sqrt(
            1.0 + 2.0 * RATE_SLOW * wandering * cold[HELD]
        )
    is_off = distance > HOLD_NEAR * width
    cold[HELD] += 1.0
    cold[NEAR] = 0.0 if is_off else cold[NEAR] + 1.0
    return is_off, width


@helper
def learn_errors(
    row: F64, value: float, day: float, week: float, scale: float, pace: float
) -> None:
    """Learn how far off each forecast was."""
    rate = weight_of(row, RATE_ERROR, SPAN_ERROR, pace)
    for k in range(FORECASTS):
        forecast = row[LAST + k] + (week if k > 4 else (day if k > 2 else 0.0))
        seen = abs(value - forecast)
        error = row[ERROR + k]
        if row[N] > FREE_SAMPLES:
            seen = min(seen, 10.0 * (error + scale))
        row[ERROR + k] = error + rate * (seen - error)


@helper
def clipped(row: F64, gap: float, limit: float) -> float:
    """Return a gap no larger than the limit, once that means something."""
    return gap if row[N] <= FREE_SAMPLES else min(max(gap, -limit), limit)


@helper
def learn_levels(
    row: F64, value: float, day: float, week: float, scale: float, pace: float
) -> None:
    """Learn what the forecasts stand on; large steps of the slow ones are cut."""
    fast = weight_of(row, RATE_FAST, SPAN_FAST, pace)
    row[FAST] += fast * (value - row[FAST])
    gap = value - row[SLOW]
    limit = 8.0 * scale + abs(row[FAST] - row[SLOW])
    row[SLOW] += weight_of(row, RATE_SLOW, SPAN_SLOW, pace) * clipped(row, gap, limit)
    fast = weight_of(row, RATE_DAY_FAST, SPAN_DAY_FAST, pace)
    slow = weight_of(row, RATE_DAY_SLOW, SPAN_DAY_SLOW, pace)
    row[DAY_FAST] += fast * (value - day - row[DAY_FAST])
    row[DAY_SLOW] += slow * clipped(row, value - day - row[DAY_SLOW], 10.0 * scale)
    row[WEEK_FAST] += fast * (value - week - row[WEEK_FAST])
    row[WEEK_SLOW] += slow * clipped(row, value - week - row[WEEK_SLOW], 10.0 * scale)


@helper
def learn_sizes(
    row: F64, value: float, residual: float, scale: float, weight: float, pace: float
) -> None:
    """Learn scales and range, the slow ones at a weight."""
    size = residual if row[N] <= FREE_SAMPLES else min(residual, 6.0 * scale)
    rate = weight * weight_of(row, RATE_SCALE, SPAN_SCALE, pace)
    row[SCALE] += rate * (size - row[SCALE])
    quick = residual if row[N] <= FREE_SAMPLES else min(residual, 20.0 * scale)
    rate = weight_of(row, RATE_SCALE_FAST, SPAN_SCALE_FAST, pace)
    row[SCALE_FAST] += rate * (quick - row[SCALE_FAST])
    size = residual if row[N] <= FREE_SAMPLES else min(residual, SPREAD_CLIP * scale)
    row[RECENT] += weight_of(row, RATE_RECENT, SPAN_RECENT, pace) * (size - row[RECENT])
    row[USUAL] += weight * weight_of(row, RATE_USUAL, SPAN_USUAL, pace) * (size - row[USUAL])
    rate = weight_of(row, RATE_RANGE, SPAN_RANGE, pace)
    away = clipped(row, value - row[MEAN], 20.0 * (row[RANGE] + scale))
    row[MEAN] += 0.5 * rate * away
    row[RANGE] += rate * (abs(away) - row[RANGE])


@helper
def learn_season(
    row: F64, coarse: F32, fine: F32, value: float, day_ms: int, week_ms: int, scale: float
) -> None:
    """Move the profile in use towards what it failed to tell."""
    limit = 6.0 * scale
    interval_ms = row[INTERVAL]
    if row[SEASON] < 2.0:
        left, right, part = place(day_ms, HOUR_MS, HOURS)
        day = row[BASE] + between(coarse, 0, left, right, part)
        gap = min(max(value - day - row[DAY_SLOW], -limit), limit)
        rate = min(RATE_PROFILE * interval_ms / HOUR_MS, RATE_MAX)
        move_between(coarse, 0, left, right, part, rate * gap)
        return
    left, right, part = place(day_ms, QUARTER_MS, QUARTERS)
    day = row[BASE] + between(fine, 0, left, right, part)
    gap = min(max(value - day - row[DAY_SLOW], -limit), limit)
    rate = min(RATE_PROFILE * interval_ms / QUARTER_MS, RATE_MAX)
    move_between(fine, 0, left, right, part, rate * gap)
    left, right, part = place(week_ms, HOUR_MS, WEEK_HOURS)
    week = day + between(fine, QUARTERS, left, right, part)
    gap = min(max(value - week - row[WEEK_SLOW], -limit), limit)
    rate = min(RATE_PROFILE * interval_ms / HOUR_MS, RATE_MAX)
    move_between(fine, QUARTERS, left, right, part, rate * gap)


@helper
def first_day(row: F64, coarse: F32, value: float, ts_ms: int, day_ms: int) -> None:
    """Fill the coarse profile; at the end of the day let it forecast.

    Errors seen while it was filled are too kind; it starts as good as the levels are.
    """
    seen = fill_first_day(coarse, int(row[FINE_SINCE]), day_ms, value - row[BASE], row[INTERVAL])
    row[FINE_SINCE] = float(seen)
    if float(ts_ms) - row[BORN] < FIRST_DAY_MS:
        return
    newest = min(int(float(day_ms) / HOUR_MS), HOURS - 1)
    fill_unseen(coarse, seen, newest)
    rise = take_trend_out(coarse, newest)
    for k in range(4):
        row[DAY_FAST + k] += rise
        row[ERROR + 3 + k] = max(row[ERROR + 3 + k], row[ERROR + 1 + k % 2])
    row[SEASON] = 1.0


@helper
def hold(row: F64, cold: F64, value: float, unit: float, season: int, width: float) -> None:
    """Begin to hold the steady forecast, which is a season and its slow level."""
    row[HOLDING] = 1.0 + season
    cold[SINCE], cold[HELD], cold[NEAR] = row[SEEN], 0.0, 0.0
    cold[HELD_OFFSET], cold[HELD_WIDTH] = row[SLOW + 2 * season], width
    cold[HELD_LEVEL], cold[HELD_SPREAD], cold[HELD_UNIT] = value, 0.0, unit


@helper
def note_held(row: F64, cold: F64, value: float) -> bool:
    """Learn where a held series is now; return whether that has lasted long enough to adopt."""
    rate = max(RATE_SLOW, 1.0 / (cold[HELD] + 1.0))
    gap = value - cold[HELD_LEVEL]
    cold[HELD_LEVEL] += rate * gap
    cold[HELD_SPREAD] += rate * (abs(gap) - cold[HELD_SPREAD])
    return bool(cold[HELD] >= HOLD_SAMPLES and row[SEEN] - cold[SINCE] >= HOLD_MS)


@helper
def adopt(row: F64, cold: F64, day: float, week: float) -> None:
    """Take the level and spread seen meanwhile for the new baseline."""
    level = cold[HELD_LEVEL]
    row[FAST], row[SLOW] = level, level
    row[DAY_FAST], row[DAY_SLOW] = level - day, level - day
    row[WEEK_FAST], row[WEEK_SLOW] = level - week, level - week
    for column in range(ERROR, USUAL + 1):
        row[column] = max(row[column], cold[HELD_SPREAD])
    row[HOLDING] = 0.0


@helper
def release(row: F64, value: float, day: float, week: float) -> None:
    """End a hold: the series is back, and the fast forecasts begin there."""
    row[FAST], row[DAY_FAST], row[WEEK_FAST] = value, value - day, value - week
    row[HOLDING] = 0.0
