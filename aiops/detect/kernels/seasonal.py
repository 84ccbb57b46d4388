"""Kernel of the seasonal bank: forecast, compare, rank, then learn or hold.

`aiops.detect.banks.seasonal` describes the method, `tests/naive/seasonal.py` repeats it plainly.
"""

import math

import numpy as np

from aiops.detect.columns import F32, U8, U64
from aiops.detect.kernels.baseline import (
    BASE,
    ERROR,
    FINE_SINCE,
    FREE_SAMPLES,
    HELD_OFFSET,
    HELD_UNIT,
    HOLDING,
    INTERVAL,
    KEPT,
    LAST,
    LEVEL,
    LEVEL_MEAN,
    LEVEL_N,
    LEVEL_WIDTH,
    MEAN,
    NEAR,
    POINT_TAIL,
    RANGE,
    RATE_KEPT,
    RECENT,
    SCALE,
    SCALE_FAST,
    SEASON,
    SPAN_KEPT,
    SPREAD_TAIL,
    USUAL,
    WEEK_MS,
    N,
    adopt,
    away,
    first_day,
    hold,
    learn_errors,
    learn_levels,
    learn_season,
    learn_sizes,
    mix,
    note_held,
    pass_time,
    release,
    start,
    steady,
    wander,
)
from aiops.detect.kernels.compile import helper, kernel
from aiops.detect.kernels.profile import (
    HOUR_MS,
    HOURS,
    QUARTER_MS,
    QUARTERS,
    WEEK_HOURS,
    between,
    place,
    refine,
)
from aiops.detect.kernels.tails import (
    CAP,
    LEVEL_FLAG,
    LEVEL_LEARN,
    k_tail_learn,
    k_tail_score,
    level_learn,
    level_score,
)
from aiops.domain.samples import F64, I32, I64

VALUE_MAX = 1e150  # chosen: sums and ratios of two such values stay finite
UNIT_MAX = 1e6  # chosen: beyond a million scales there is nothing left to tell apart
GAP_MAX = 4.0  # chosen: after a gap one sample counts as so many at most
GAP_WIDER = 1.5  # chosen: jitter is no gap
FIRST_SAMPLES = 6.0  # until then there is no scale at all
RIPE_SAMPLES = 60.0  # until then there are too few to compare recent with usual size
LEVEL_SAMPLES = 200.0  # chosen: four values lie beyond a quantile of 2 %
# least scale: share of the usual range (chosen), of the level, and at level zero
FLOOR_RANGE, FLOOR_LEVEL, FLOOR_ZERO = 0.05, 1e-9, 1e-12
BAND = 2.995732273553991  # ln(0.02 / 0.001): the band holds all but one sample in a thousand
SPREAD_UNIT = 0.16  # spread of log mean |x| over the 25 samples RATE_RECENT amounts to
SPREAD_LEAST = 2.5  # its 1 % quantile; a calm past does not make less unusual
STREAMS = 0.18  # log10(1.5): two dependent streams count as one and a half tests
LEVEL_FREE = 4.0  # chosen: a level seen once in 10,000 samples tells nothing by itself
LEVEL_GAIN = 3.5  # chosen: makes up for what LEVEL_FREE took, from 5.6 decades on more than that
LEVEL_ALONE = 2.5  # chosen: records come in runs and last, so that they alone open nothing
KEPT_MAX = 2.9  # chosen: what is over is never as rare as one in a thousand
LEVEL_MAX = 16.0  # chosen: with the other streams below what a static threshold scores, 20
HOLD_SCORE = 3.5  # chosen: one false hold in 3,000 samples, over with the second one after it
HOLD_CUBES = (HOLD_SCORE + STREAMS) ** 3.0  # what the cubes add up to then
HOLD_BACK = 2.0  # samples back in a row that end a hold
HOLD_LEARN = 0.3  # chosen: weight of a flagged sample in the scales
SEASON_GAIN = 0.8  # chosen: the profile is worth its room if errors with it are so much smaller


@helper
def _level_stream(row: F64, value: float, floor: float) -> float:
    """Return the evidence that a value was rarely so high or low ever before; learn the value."""
    rare = 0.0
    n = row[LEVEL_N]
    if row[N] > LEVEL_SAMPLES:
        rare = level_score(row, LEVEL, value, n)
    weight = LEVEL_LEARN if rare > LEVEL_FLAG else 1.0
    row[LEVEL_N] = n + weight
    width = row[LEVEL_WIDTH]
    level_learn(row, LEVEL, value, max(width, floor), weight)
    gap = value - row[LEVEL_MEAN]
    if row[N] > FREE_SAMPLES:
        limit = 8.0 * max(width, floor)
        gap = min(max(gap, -limit), limit)
    rate = weight / (n + weight + 1.0)
    row[LEVEL_MEAN] += rate * gap
    row[LEVEL_WIDTH] = width + rate * (abs(gap) - width)
    evidence = min(LEVEL_GAIN * max(rare - LEVEL_FREE, 0.0), LEVEL_MAX)
    # New extremes are what a wandering series is made of.
    back = 1.0 - wander(row)
    return evidence * back * back


@helper
def _spread_unit(row: F64, floor: float) -> float:
    """Return how far the recent size of residuals is from the usual one."""
    half = 0.5 * floor
    return min(abs(math.log((row[RECENT] + half) / (row[USUAL] + half))) / SPREAD_UNIT, UNIT_MAX)


@helper
def _capped(score: float, n: float) -> float:
    """Return a score, cut where n samples support no more."""
    return score if score <= CAP else min(score, math.log10(n) + CAP)


@helper
def _point_and_spread(row: F64, unit: float, spread: float) -> tuple[float, float]:
    """Rank both streams against their own past; learn the spread."""
    n = row[N]
    point, wide = 0.0, 0.0
    if n > FREE_SAMPLES:
        point = _capped(k_tail_score(row, POINT_TAIL, unit), n)
    if n > RIPE_SAMPLES:
        wide = _capped(k_tail_score(row, SPREAD_TAIL, spread), n)
        k_tail_learn(row, SPREAD_TAIL, spread, n - RIPE_SAMPLES, SPREAD_LEAST)
    return point, wide


@helper
def _learn_point(row: F64, unit: float) -> None:
    if row[N] > FREE_SAMPLES:
        k_tail_learn(row, POINT_TAIL, unit, row[N] - FREE_SAMPLES, 1.0)


@helper
def _shift(row: F64, unit: float) -> float:
    """Return how rare the distance from a held baseline is, in units of its own width."""
    return _capped(k_tail_score(row, POINT_TAIL, min(unit, UNIT_MAX)), row[N])


@helper
def _cubes(point: float, wide: float, level: float) -> float:
    return point * point * point + wide * wide * wide + level * level * level


@helper
def _combine(point: float, wide: float, level: float) -> float:
    """Return the cube root of the sum of cubes, less what several chances are worth."""
    root: float = np.cbrt(_cubes(point, wide, level))
    return max(root - STREAMS, 0.0)


@helper
def _keep(row: F64, severity: float) -> float:
    """Return a severity, or what is left of those before it if that is more, up to a limit.

    Metrics that one fault disturbs peak at different times; kept a while, their severities meet.
    """
    rate = min(RATE_KEPT, row[INTERVAL] / SPAN_KEPT)
    row[KEPT] = max(severity, row[KEPT] * (1.0 - rate))
    kept: float = min(row[KEPT], KEPT_MAX)
    return max(severity, kept)


@helper
def _part(score: float, place: int) -> np.uint64:
    return np.uint64(min(16.0 * score + 0.5, 255.0)) << np.uint64(8 * place)


@helper
def _season_values(
    row: F64, coarse: F32, fine: F32, day_ms: int, week_ms: int
) -> tuple[float, float]:
    """Return what the day, and day and week together, add to a level."""
    if row[SEASON] < 2.0:
        left, right, part = place(day_ms, HOUR_MS, HOURS)
        day = row[BASE] + between(coarse, 0, left, right, part)
        return day, day
    left, right, part = place(day_ms, QUARTER_MS, QUARTERS)
    day = row[BASE] + between(fine, 0, left, right, part)
    left, right, part = place(week_ms, HOUR_MS, WEEK_HOURS)
    return day, day + between(fine, QUARTERS, left, right, part)


@helper
def _forecasts_in_use(row: F64, ts_ms: int, seasons: int) -> int:
    """Return how many forecasts count: 3 without a season, 5 with the day, 7 with the week."""
    if row[SEASON] == 0.0 or seasons == 1:
        return 3
    is_week_known = row[SEASON] == 2.0 and float(ts_ms) - row[FINE_SINCE] > WEEK_MS
    return 7 if is_week_known and seasons != 2 else 5


@helper
def _added(season: float, day: float, week: float) -> float:
    """Return what a season adds to its level: 0 none, 1 day, 2 day and week."""
    if season <= 0.0:
        return 0.0
    return day if season == 1.0 else week


@helper
def _compare_held(
    row: F64, cold: F64, value: float, added: float, expected: float, width: float
) -> tuple[bool, float, float, float]:
    """Compare with a held baseline; return if the series is away, expected, residual and width.

    The width of a series that is away is that of its baseline, whatever came since.
    """
    residual = abs(value - expected)
    if row[HOLDING] == 0.0:
        return False, expected, residual, width
    held = cold[HELD_OFFSET] + added
    distance = abs(value - held)
    is_away, held_width = away(row, cold, distance)
    if is_away:
        return True, held, distance, held_width
    return False, expected, min(residual, distance), width


@helper
def _end_hold(row: F64, cold: F64, value: float, day: float, week: float, is_away: bool) -> bool:
    """End a hold whose series is back, or has stayed away for long; return if it was adopted."""
    if is_away:
        if note_held(row, cold, value):
            adopt(row, cold, day, week)
            _learn_point(row, cold[HELD_UNIT])
            return True
    elif cold[NEAR] >= HOLD_BACK:
        release(row, value, day, week)
        _learn_point(row, cold[HELD_UNIT])
    return False


@helper
def _learn(
    row: F64,
    value: float,
    residual: float,
    day: float,
    week: float,
    scale: float,
    pace: float,
    is_frozen: bool,
    is_flagged: bool,
) -> None:
    """Learn a sample: errors unless the baseline is held, levels unless it is away from it."""
    if row[HOLDING] == 0.0:
        learn_errors(row, value, day, week, scale, pace)
    row[LAST] = value
    if not is_frozen:
        learn_levels(row, value, day, week, scale, pace)
    learn_sizes(row, value, residual, scale, HOLD_LEARN if is_flagged else 1.0, pace)


@helper
def _score_learn_one(
    row: F64, cold: F64, ts_ms: int, value: float, day: float, week: float, seasons: int
) -> tuple[float, float, float, float, float, float, np.uint64, float]:
    """Score one sample, learn or hold it.

    Returns the streams point, shift, spread and level, expected, half band, parts, and the scale of
    residuals if the profiles may learn the sample, else 0.
    """
    gap = pass_time(row, ts_ms)
    pace = min(max(gap, 1.0 / GAP_MAX), GAP_MAX)
    count = _forecasts_in_use(row, ts_ms, seasons)
    season = steady(row, count)
    floor = FLOOR_RANGE * row[RANGE] + FLOOR_LEVEL * abs(row[MEAN]) + FLOOR_ZERO
    scale = max(0.7 * row[SCALE] + 0.3 * row[SCALE_FAST], floor)
    width = max(scale, row[ERROR] * math.sqrt(gap)) if gap > GAP_WIDER else scale
    is_away, expected, residual, firm = _compare_held(
        row, cold, value, _added(row[HOLDING] - 1.0, day, week), mix(row, day, week, count), width
    )
    unit = min(residual / max(width, firm), UNIT_MAX) if row[N] > FIRST_SAMPLES else 0.0
    point, wide = _point_and_spread(row, unit, _spread_unit(row, floor))
    level = _level_stream(row, value, floor)
    half = firm * (row[POINT_TAIL] + BAND * row[POINT_TAIL + 1])
    shift = _shift(row, residual / firm) if is_away else 0.0
    is_flagged = _cubes(point, wide, level) >= HOLD_CUBES
    if row[HOLDING] > 0.0:
        if not is_away:
            _learn_point(row, unit)
        if _end_hold(row, cold, value, day, week, is_away):
            is_flagged, is_away = False, False
    elif is_flagged:
        steady_width = max(scale, row[ERROR + 2 + 2 * season])
        hold(row, cold, value, unit, season, steady_width)
    else:
        _learn_point(row, unit)
    is_frozen = row[HOLDING] > 0.0 and (is_away or is_flagged)
    _learn(row, value, residual, day, week, scale, pace, is_frozen, is_flagged)
    parts = _part(0.0 if is_away else point, 0) | _part(shift, 1) | _part(wide, 2) | _part(level, 3)
    parts |= np.uint64(season) << np.uint64(40)
    return point, shift, wide, level, expected, half, parts, 0.0 if is_frozen else scale


@kernel(
    "void(f8[:,::1],f8[:,::1],f4[:,::1],f4[:,::1],i4[::1],i4[::1],i8[::1],u1[::1],i4[::1],i8[::1],"
    "i8[::1],i8[::1],f8[::1],f8,f8[::1],f8[::1],f8[::1],f8[::1],f8[::1],u8[::1],f8[::1])"
)
def k_seasonal_score(
    hot: F64,
    cold: F64,
    coarse: F32,
    fine: F32,
    fine_of: I32,
    fine_free: I32,
    fine_left: I64,
    seasons: U8,
    slots: I32,
    ts_ms: I64,
    days_ms: I64,
    weeks_ms: I64,
    features: F64,
    warmup: float,
    out_scores: F64,
    out_severities: F64,
    out_alerts: F64,
    out_expected: F64,
    out_half: F64,
    out_parts: U64,
    out_intervals: F64,
) -> None:
    """Score every row against its slot and let the slot learn it, in the order of rows.

    `fine_free` is a stack of rows of `fine` nobody uses, `fine_left` its height: at least one for
    each row of the batch. `out_intervals` gets the usual interval in ms as it is after the row.
    """
    for i in range(len(slots)):
        out_scores[i], out_severities[i], out_alerts[i] = 0.0, 0.0, 0.0
        out_expected[i], out_half[i] = math.nan, math.nan
        out_parts[i] = np.uint64(0)
        out_intervals[i] = 0.0
        value = features[i]
        if math.isnan(value):
            continue
        value = min(max(value, -VALUE_MAX), VALUE_MAX)
        slot = slots[i]
        row = hot[slot]
        if row[N] == 0.0:
            start(row, ts_ms[i], value)
            continue
        row[N] += 1.0
        day, week = _season_values(row, coarse[slot], fine[fine_of[slot]], days_ms[i], weeks_ms[i])
        point, shift, wide, level, expected, half, parts, scale = _score_learn_one(
            row, cold[slot], ts_ms[i], value, day, week, seasons[slot]
        )
        out_intervals[i] = row[INTERVAL]
        if scale > 0.0 and row[SEASON] == 0.0:
            first_day(row, coarse[slot], value, ts_ms[i], days_ms[i])
        elif scale > 0.0:
            profiles = coarse[slot], fine[fine_of[slot]]
            learn_season(row, profiles[0], profiles[1], value, days_ms[i], weeks_ms[i], scale)
        if row[SEASON] == 1.0 and row[ERROR + 4] < SEASON_GAIN * row[ERROR + 2]:
            fine_left[0] -= 1
            fine_of[slot] = fine_free[fine_left[0]]
            refine(coarse[slot], fine[fine_of[slot]])
            row[SEASON], row[FINE_SINCE] = 2.0, float(ts_ms[i])
        if row[N] > warmup:
            alert = _combine(point, wide, 0.0)
            out_alerts[i], out_scores[i] = alert, alert
            if level > 0.0 or shift > point:
                out_scores[i] = _combine(max(point, shift), wide, min(level, LEVEL_ALONE))
            severity = _combine(point, wide, level) if level > 0.0 else alert
            out_severities[i] = _keep(row, severity)
            out_expected[i], out_half[i], out_parts[i] = expected, half, parts
