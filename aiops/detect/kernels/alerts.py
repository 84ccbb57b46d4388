"""Kernel of the alert score: whether a row is news, or the like was seen before.

Two things are added up: by how much the evidence exceeds what is left of the latest peak, and
whether the last hours look like any stretch that is remembered. `aiops.detect.banks.alerts` tells
the method, `tests/naive/alerts.py` repeats it plainly.
"""

import math

import numpy as np

from aiops.detect.columns import U8, U64
from aiops.detect.kernels.compile import helper, kernel
from aiops.domain.samples import F64, I32, I64

# marks: rows seen, epoch ms of the newest, what is left of the latest peak at that time
ROWS, SEEN, PEAK = range(3)
# the step under way: epoch ms of its begin, sum and count of its values
STEP_MS, SUM, COUNT = range(3, 6)
# steps in which the range is learnt; then less than 0: -1 less the steps since; the ends of the
# range, steps outside of it in a row
STEPS, LOW, HIGH, OUTSIDE = range(6, 10)
REMEMBERED = 10  # windows kept
MARKS_SIZE = 11

WINDOW = 26  # steps in a window: two hours and ten minutes of 5-minute means
BINS = 8
MEMORY = 39  # chosen: windows remembered, by room: 1 KiB a series in all
STEP_MIN_MS = 300_000.0
RANGE_STEPS, RANGE_MS = 250.0, 259_200_000.0  # chosen: ten windows, and three of each hour
RANGE_PAD = 0.5  # chosen: half the range seen, on each side
NOVEL = 18.475  # 1 % quantile of chi-squared with BINS - 1 degrees of freedom
NOVEL_GAIN, NOVEL_MAX = 2.0, 3.0  # chosen: a new window weighs as much as two decades and more

PEAK_SHARE = 0.8  # chosen: what is much like the last peak is no news
PEAK_SPAN_MS, PEAK_ROWS = 43_200_000.0, 20.0  # it fades within half a day
LIFE_SHARE, LIFE_ROWS = 0.7, 300.0  # the rarest of n rows grows by a decade with every decade of n

_LOGS = np.array([math.log(max(k, 0.5 / BINS)) for k in range(WINDOW + 1)])


@helper
def _damped(mark: F64, ts_ms: int, evidence: float, interval_ms: float) -> float:
    """Return by how much evidence exceeds the latest peak and the longest record; note the row."""
    fade_ms = max(PEAK_SPAN_MS, PEAK_ROWS * interval_ms)
    passed_ms = max(float(ts_ms) - mark[SEEN], 0.0)  # a clock set back must not raise a peak
    left = mark[PEAK] * math.exp(-passed_ms / fade_ms) if mark[ROWS] else 0.0
    mark[ROWS] += 1.0
    mark[SEEN] = float(ts_ms)
    mark[PEAK] = max(left, evidence)
    news: float = evidence - PEAK_SHARE * left
    if news <= 0.0 or mark[ROWS] <= LIFE_ROWS:
        return max(news, 0.0)
    return max(news - LIFE_SHARE * math.log10(mark[ROWS] / LIFE_ROWS), 0.0)


@helper
def _step_over(mark: F64, ts_ms: int, value: float, interval_ms: float) -> bool:
    """Add a value to the step under way; return whether that was its last."""
    if mark[COUNT] == 0.0:
        mark[STEP_MS], mark[SUM] = float(ts_ms), 0.0
    mark[SUM] += value
    mark[COUNT] += 1.0
    step_ms = max(STEP_MIN_MS, interval_ms)
    passed_ms: float = float(ts_ms) - mark[STEP_MS] + 1.5 * interval_ms
    return passed_ms >= step_ms


@helper
def _learn_range(mark: F64, mean: float, wanted: float) -> None:
    if mark[STEPS] == 1.0:
        mark[LOW], mark[HIGH], mark[REMEMBERED], mark[OUTSIDE] = mean, mean, 0.0, 0.0
    mark[LOW] = min(mark[LOW], mean)
    mark[HIGH] = max(mark[HIGH], mean)
    if mark[STEPS] >= wanted:
        width = max(mark[HIGH] - mark[LOW], 1e-9 * abs(mean) + 1e-12)
        mark[LOW] -= RANGE_PAD * width
        mark[HIGH] += RANGE_PAD * width
        mark[STEPS] = -1.0


@helper
def _bin_of(mark: F64, mean: float, wanted: float) -> int:
    """Return the bin of a mean; begin anew if the series has left its range for good."""
    place = (mean - mark[LOW]) / (mark[HIGH] - mark[LOW])
    mark[OUTSIDE] = 0.0 if 0.0 <= place < 1.0 else mark[OUTSIDE] + 1.0
    if mark[OUTSIDE] >= wanted:
        mark[STEPS] = 0.0
    return int(min(max(place, 0.0) * BINS, BINS - 1.0))


@helper
def _nearest(memory: U8, n_kept: int, counts: U8) -> tuple[int, float]:
    """Return the remembered window nearest to the present one, and the G statistic between."""
    own = 0.0
    for k in range(BINS):
        own += counts[k] * _LOGS[counts[k]]
    best, best_idx = math.inf, -1
    for kept in range(n_kept):
        shared = 0.0
        for k in range(BINS):
            shared += counts[k] * _LOGS[memory[kept, k]]
        statistic = 2.0 * (own - shared)
        if statistic < best:
            best, best_idx = statistic, kept
    return best_idx, best


@helper
def _note_use(uses: U8, kept: int) -> None:
    if uses[kept] == 255:
        for k in range(MEMORY):
            uses[k] >>= 1
    uses[kept] += 1


@helper
def _remember(mark: F64, memory: U8, uses: U8, counts: U8) -> None:
    """Keep the present window, in place of the least used one if need be."""
    kept = int(mark[REMEMBERED])
    if kept < MEMORY:
        mark[REMEMBERED] += 1.0
    else:
        kept = 0
        for k in range(1, MEMORY):
            if uses[k] < uses[kept]:
                kept = k
    uses[kept] = 1
    for k in range(BINS):
        memory[kept, k] = counts[k]


@helper
def _novelty(mark: F64, memory: U8, uses: U8, ring: U8, mean: float, wanted: float) -> float:
    """Return what the window that this step ends is worth as news."""
    if mark[STEPS] >= 0.0:
        mark[STEPS] += 1.0
        _learn_range(mark, mean, wanted)
        return 0.0
    counts = ring[WINDOW:]
    taken = int(-mark[STEPS]) - 1
    mark[STEPS] -= 1.0
    place = taken % WINDOW
    if taken == 0:
        for k in range(BINS):
            counts[k] = 0
    if taken >= WINDOW:
        counts[ring[place]] -= 1
    ring[place] = _bin_of(mark, mean, wanted)
    counts[ring[place]] += 1
    if taken < WINDOW - 1 or mark[STEPS] == 0.0:
        return 0.0
    n_kept = int(mark[REMEMBERED])
    kept, statistic = _nearest(memory, n_kept, counts)
    if n_kept > 0 and statistic <= NOVEL:
        _note_use(uses, kept)
        return 0.0
    _remember(mark, memory, uses, counts)
    return NOVEL_GAIN * math.sqrt(min(statistic / NOVEL, NOVEL_MAX)) if n_kept > 0 else 0.0


@kernel(
    "void(f8[:,::1],u1[:,:,::1],u1[:,::1],u1[:,::1],i4[::1],i8[::1],f8[::1],f8[::1],f8[::1],u8[::1])"
)
def k_alert_score(
    marks: F64,
    memory: U8,
    uses: U8,
    rings: U8,
    slots: I32,
    ts_ms: I64,
    features: F64,
    intervals: F64,
    alerts: F64,
    parts: U64,
) -> None:
    """Turn each row's evidence in `alerts` into its alert score; add novelty to its parts.

    `intervals` are the usual intervals in ms, as they were at each row.
    """
    for i in range(len(slots)):
        value = features[i]
        if math.isnan(value):
            continue
        slot = slots[i]
        mark = marks[slot]
        interval_ms = intervals[i]
        alert = _damped(mark, ts_ms[i], alerts[i], interval_ms)
        novelty = 0.0
        if _step_over(mark, ts_ms[i], min(max(value, -1e150), 1e150), interval_ms):
            wanted = max(RANGE_STEPS, RANGE_MS / max(STEP_MIN_MS, interval_ms))
            mean = mark[SUM] / mark[COUNT]
            mark[COUNT] = 0.0
            novelty = _novelty(
                mark, memory[slot], uses[slot], rings[slot], mean, math.floor(wanted)
            )
        alerts[i] = alert + novelty
        parts[i] |= np.uint64(min(16.0 * novelty + 0.5, 255.0)) << np.uint64(32)
