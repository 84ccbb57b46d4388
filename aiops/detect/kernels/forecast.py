"""Kernel of forecasts: trends over three memories, and how far off earlier forecasts were.

`aiops.detect.forecast` describes the method, `tests/naive/forecast.py` repeats it plainly.
"""

import math

from aiops.detect.kernels.compile import helper, kernel
from aiops.domain.samples import F64, I32, I64

# columns of a watched row: samples seen, epoch ms of the newest, anchor, newest value, and the
# epoch ms of the first pending forecast that comes due, 0 for none
N, SEEN, BASE, LAST, DUE = range(5)
TRENDS = 5  # three blocks of TREND_SIZE columns, shortest memory first
MEMORIES = 3
# one trend: discounted sums of 1, s, s^2, y, s*y, where s is the time before now in memories and
# y the value less the anchor; mean absolute distance from the line; side of a lone outlier, and
# samples seen when the line last jumped
W, WS, WSS, WY, WSY, SIZE, LONE, JUMPED = range(8)
TREND_SIZE = 8
ROW_SIZE = TRENDS + MEMORIES * TREND_SIZE

MEMORY_MS = 900_000.0  # chosen: a disk that is full in an hour has a trend in a quarter of one
MEMORY_STEP = 8.0  # chosen: 15 min, 2 h, 16 h; each sees what the one before takes for level
TREND_SAMPLES = 10.0  # chosen: a line through fewer samples is mostly noise

CANDIDATES = 2 + MEMORIES  # newest value, steady forecast of the bank, one line a memory
LEVELS = 3  # shares of errors whose quantiles are learnt: 0.5, 0.8, 0.95
LEVEL_FIRST, LEVEL_SECOND, LEVEL_THIRD = 0.5, 0.8, 0.95

HORIZON_NEAR = 0.25  # chosen: a sample so close to a target, in horizons, stands for it
RATE_ERROR = 0.04  # chosen: 25 forecasts, about four horizons
ERROR_CLIP, ERROR_FREE = 6.0, 5.0  # chosen: one level shift does not make a horizon unknown
RATE_UNIT, UNIT_FREE = 0.04, 4.0  # chosen: quantiles move by a few percent a forecast
UNIT_MIN, UNIT_MAX = 0.1, 50.0  # chosen: beyond these they are not learnt from but made up
OUTLIER = 6.0  # chosen: mean distances from the line; normal noise is there once in 10^6
JUMP_SAMPLES = 30.0  # chosen: what jumps more often has turned round, and a new trend is learnt
RATE_SIZE = 0.02  # chosen: about fifty samples, as the bank's levels
FLOOR = 1e-12  # relative: what float64 leaves of a sum of values
TINY = 1e-300
VALUE_MAX = 1e150  # chosen: sums and products of two such values stay finite


@helper
def line_of(row: F64, first: int) -> tuple[float, float]:
    """Return level now, less the anchor, and slope a memory of the trend at a column."""
    weight = row[first + W]
    if weight <= 0.0:
        return row[LAST] - row[BASE], 0.0
    spread = weight * row[first + WSS] - row[first + WS] * row[first + WS]
    if row[N] < TREND_SAMPLES or spread <= 1e-9 * weight * weight:
        return row[first + WY] / weight, 0.0
    slope = (weight * row[first + WSY] - row[first + WS] * row[first + WY]) / spread
    return (row[first + WY] - slope * row[first + WS]) / weight, slope


@helper
def _pass(row: F64, first: int, passed: float) -> None:
    """Let time pass: what was seen weighs less and lies farther back."""
    kept = math.exp(-passed)
    weight, ws, wy = row[first + W], row[first + WS], row[first + WY]
    row[first + WSS] = kept * (row[first + WSS] - 2.0 * passed * ws + passed * passed * weight)
    row[first + WS] = kept * (ws - passed * weight)
    row[first + WSY] = kept * (row[first + WSY] - passed * wy)
    row[first + W] = kept * weight
    row[first + WY] = kept * wy


@helper
def _see(row: F64, first: int, value: float) -> None:
    """Learn a value, less the anchor, unless it is a lone outlier.

    A second sample on the same side is none. A jump against a trend that stands out then moves
    the line with its slope, for a disk that was cleaned up fills as before; all else is learnt.
    """
    level, slope = line_of(row, first)
    gap = value - level
    size = row[first + SIZE]
    floor = FLOOR * (abs(value) + abs(row[BASE])) + TINY
    side = 1.0 if gap > 0.0 else -1.0
    if row[N] >= TREND_SAMPLES and abs(gap) > OUTLIER * (size + floor):
        if row[first + LONE] != side:
            row[first + LONE] = side
            row[first + SIZE] = size + RATE_SIZE * (OUTLIER * (size + floor) - size)
            return
        is_clear = side * slope < -OUTLIER * (size + floor)
        if is_clear and row[N] > row[first + JUMPED] + JUMP_SAMPLES:
            row[first + JUMPED] = row[N]
            row[first + WY] += gap * row[first + W]
            row[first + WSY] += gap * row[first + WS]
            gap = 0.0
    row[first + LONE] = 0.0
    row[first + W] += 1.0
    row[first + WY] += value
    rate = max(RATE_SIZE, 1.0 / row[N])
    row[first + SIZE] = size + rate * (abs(gap) - size)


@helper
def _quantile(units: F64, k: int, share: float, unit: float, rate: float) -> None:
    """Move a quantile of errors, in mean errors, by the share of them it should hold."""
    held = 1.0 if unit <= units[k] else 0.0
    units[k] = min(max(units[k] * math.exp(rate * (share - held)), UNIT_MIN), UNIT_MAX)


@helper
def _resolve(value: float, forecasts: F64, errors: F64, units: F64, counts: F64, h: int) -> None:
    """Learn how far off the forecasts of a horizon were, and how the best one's errors spread."""
    n = counts[h]
    best = 0
    for c in range(1, CANDIDATES):
        if errors[c] < errors[best]:
            best = c
    if n >= 1.0:
        unit = abs(value - forecasts[best]) / (errors[best] + TINY)
        rate = max(RATE_UNIT, 1.0 / (n + UNIT_FREE))
        _quantile(units, 0, LEVEL_FIRST, unit, rate)
        _quantile(units, 1, LEVEL_SECOND, unit, rate)
        _quantile(units, 2, LEVEL_THIRD, unit, rate)
    rate = max(RATE_ERROR, 1.0 / (n + 1.0))
    usual = errors[0]
    for c in range(1, CANDIDATES):
        usual = max(usual, errors[c])
    for c in range(CANDIDATES):
        seen = abs(value - forecasts[c])
        if n > ERROR_FREE and usual > 0.0:
            seen = min(seen, ERROR_CLIP * usual)
        errors[c] += rate * (seen - errors[c])
    counts[h] = n + 1.0


@helper
def _come_due(
    row: F64,
    targets: I64,
    pending: F64,
    errors: F64,
    units: F64,
    counts: F64,
    horizons_ms: I64,
    now_ms: float,
    value: float,
) -> None:
    """Compare the forecasts for times that have come with the sample nearest to each."""
    due_ms = 0.0
    for h in range(len(horizons_ms)):
        near_ms = HORIZON_NEAR * float(horizons_ms[h])
        for p in range(targets.shape[1]):
            target_ms = float(targets[h, p])
            if target_ms == 0.0:
                continue
            if target_ms > now_ms:
                due_ms = target_ms if due_ms == 0.0 else min(due_ms, target_ms)
                continue
            targets[h, p] = 0
            before_ms, after_ms = target_ms - row[SEEN], now_ms - target_ms
            if min(before_ms, after_ms) <= near_ms:
                seen = value if after_ms <= before_ms else row[LAST]
                _resolve(seen, pending[h, p], errors[h], units[h], counts, h)
    row[DUE] = due_ms


@kernel(
    "void(f8[:,::1],i8[:,:,::1],f8[:,:,:,::1],f8[:,:,::1],f8[:,:,::1],f8[:,::1],i8[::1],"
    "i4[::1],i8[::1],f8[::1])"
)
def k_forecast_learn(
    rows: F64,
    targets: I64,
    pending: F64,
    errors: F64,
    units: F64,
    counts: F64,
    horizons_ms: I64,
    members: I32,
    ts_ms: I64,
    features: F64,
) -> None:
    """Resolve the forecasts that come due with each sample, then learn the sample.

    Parameters
    ----------
    rows
        (watched, ROW_SIZE), the trends.
    targets, pending
        (watched, horizons, pending): epoch ms a forecast is for, 0 for none; and, with
        CANDIDATES behind, what was forecast.
    errors, units, counts
        (watched, horizons, CANDIDATES), (watched, horizons, LEVELS), (watched, horizons): mean
        absolute errors, quantiles of the best one's in mean errors, and forecasts resolved.
    horizons_ms
        The horizons.
    members, ts_ms, features
        Rows of the batch in order of time; NaN is absent.
    """
    for i in range(len(members)):
        value = features[i]
        if math.isnan(value):
            continue
        value = min(max(value, -VALUE_MAX), VALUE_MAX)
        m = members[i]
        row = rows[m]
        now_ms = float(ts_ms[i])
        if row[N] == 0.0:
            row[BASE], row[SEEN] = value, now_ms
        if row[DUE] > 0.0 and now_ms >= row[DUE]:
            _come_due(
                row,
                targets[m],
                pending[m],
                errors[m],
                units[m],
                counts[m],
                horizons_ms,
                now_ms,
                value,
            )
        row[N] += 1.0
        passed_ms = max(now_ms - row[SEEN], 0.0)
        row[SEEN], row[LAST] = now_ms, value
        memory_ms = MEMORY_MS
        for k in range(MEMORIES):
            first = TRENDS + k * TREND_SIZE
            _pass(row, first, passed_ms / memory_ms)
            _see(row, first, value - row[BASE])
            memory_ms *= MEMORY_STEP
