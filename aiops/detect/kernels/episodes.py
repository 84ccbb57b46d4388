"""Kernel of the episode machine: scores in, opened and closed episodes out.

A slot is idle, restless (a run of rows that are not all quiet) or open (a run that became an
episode). The arrays of a slot are touched only during a run, so that quiet series cost one byte.
"""

import math

from aiops.detect.columns import U8, U64
from aiops.detect.kernels.compile import helper, kernel
from aiops.domain.samples import F64, I32, I64

IDLE, RESTLESS, OPEN = range(3)
# marks: rows of the run, misses since the last hit, quiet rows in a row; times of first hit, peak,
# first quiet, last row; parts of the peak's score; grid levels counted, and on which day
(
    ROWS,
    MISSES,
    QUIET,
    ONSET_MS,
    PEAK_MS,
    QUIET_MS,
    LAST_MS,
    PARTS,
    TOP,
    TOP_DAY,
) = range(10)
MARKS_SIZE = 10
# the highest alert need not be that of the row with the highest score
PEAK_SCORE, PEAK_ALERT, PEAK_VALUE, PEAK_EXPECTED, PEAK_LOWER, PEAK_UPPER = range(6)
PEAKS_SIZE = 6
OPEN_NOW, SHED_TOTAL = range(2)  # totals
LEVEL, CLEAR = range(2)  # columns of levels: opens, quiet below
LEVELS_SIZE = 2
CLOSE_SAMPLES, OPEN_MAX = range(2)  # limits
# columns of an event
EVENT_CHANGE, EVENT_SLOT, EVENT_ONSET_MS, EVENT_PEAK_MS, EVENT_END_MS, EVENT_PARTS = range(6)
EVENT_SIZE = 6
CHANGE_OPENED, CHANGE_CLOSED = range(2)

MISSES_MAX = 2
"""Chosen: rows that may stay below the level among those that open."""

GRID_START = 3.0
GRID_PER_UNIT = 8
GRID_SIZE = 120
"""Levels at which openings are counted, 3 to 18 in steps of 1/8: chosen, a step changes the rate of
a tail as steep as probabilities are by a third, which interpolation bridges."""

DAY_MS = 86_400_000  # definition of a UTC day in epoch time


@helper
def _begin(marks: I64, window: F64) -> None:
    marks[ROWS], marks[QUIET] = 0, 0
    marks[MISSES] = MISSES_MAX + 1
    window[:] = 0.0


@helper
def _opening(marks: I64, window: F64, score: float) -> float:
    """Take a row into the window; return the highest level at which it would open now.

    The window has `open_samples` and `MISSES_MAX` rows, so it is its third smallest score.
    """
    window[marks[ROWS] % len(window)] = score
    marks[ROWS] += 1
    first = second = third = math.inf
    for k in range(len(window)):
        x = window[k]
        if x < first:
            first, second, third = x, first, second
        elif x < second:
            second, third = x, second
        elif x < third:
            third = x
    return third


@helper
def _count(marks: I64, tally: I64, ts_ms: int, opening: float) -> None:
    """Count the grid levels that this series would have opened at and did not yet that day."""
    if opening < GRID_START:
        return
    day = ts_ms // DAY_MS
    if marks[TOP_DAY] != day:
        marks[TOP_DAY], marks[TOP] = day, 0
    top = min(int((opening - GRID_START) * GRID_PER_UNIT) + 1, GRID_SIZE)
    for k in range(marks[TOP], top):
        tally[k] += 1
    marks[TOP] = max(marks[TOP], top)


@helper
def _hit_or_miss(marks: I64, peaks: F64, ts_ms: int, is_hit: bool) -> bool:
    """Count a row before an episode is open; tell whether it may belong to one."""
    if not is_hit:
        marks[MISSES] += 1
        return bool(marks[MISSES] <= MISSES_MAX)
    if marks[MISSES] > MISSES_MAX:
        marks[ONSET_MS] = ts_ms
        peaks[PEAK_SCORE], peaks[PEAK_ALERT] = 0.0, 0.0
    marks[MISSES] = 0
    return True


@helper
def _settle(marks: I64, ts_ms: int, n_close: int, is_quiet: bool) -> bool:
    """Count quiet rows; tell whether they are the `n_close` in a row that end the run."""
    marks[LAST_MS] = ts_ms
    if not is_quiet:
        marks[QUIET] = 0
        return False
    if marks[QUIET] == 0:
        marks[QUIET_MS] = ts_ms
    marks[QUIET] += 1
    return bool(marks[QUIET] >= n_close)


@helper
def _n_close(phase: int, limits: I64) -> int:
    """Return how many quiet rows end a run; before it opens, misses may still precede a hit."""
    if phase == OPEN:
        return int(limits[CLOSE_SAMPLES])
    return max(int(limits[CLOSE_SAMPLES]), MISSES_MAX + 1)


@helper
def _phase_after(phase: int, is_over: bool, may_open: bool, totals: I64, open_max: int) -> int:
    if is_over:
        totals[OPEN_NOW] -= 1 if phase == OPEN else 0
        return IDLE
    if phase == OPEN:
        return OPEN
    if not may_open:
        return RESTLESS
    if totals[OPEN_NOW] >= open_max:
        totals[SHED_TOTAL] += 1
        return RESTLESS
    totals[OPEN_NOW] += 1
    return OPEN


@helper
def _raise_peak(
    marks: I64,
    peaks: F64,
    ts_ms: int,
    score: float,
    value: float,
    expected: float,
    half: float,
    parts: int,
) -> None:
    if score <= peaks[PEAK_SCORE]:
        return
    marks[PEAK_MS] = ts_ms
    marks[PARTS] = parts
    peaks[PEAK_SCORE] = score
    peaks[PEAK_VALUE] = value
    peaks[PEAK_EXPECTED] = expected
    peaks[PEAK_LOWER] = expected - half
    peaks[PEAK_UPPER] = expected + half


@helper
def _tell(change: int, slot: int, marks: I64, peaks: F64, event: I64, event_peaks: F64) -> None:
    event[EVENT_CHANGE] = change
    event[EVENT_SLOT] = slot
    event[EVENT_ONSET_MS] = marks[ONSET_MS]
    event[EVENT_PEAK_MS] = marks[PEAK_MS]
    event[EVENT_END_MS] = marks[QUIET_MS] if change == CHANGE_CLOSED else 0
    event[EVENT_PARTS] = marks[PARTS]
    for column in range(PEAKS_SIZE):
        event_peaks[column] = peaks[column]


@kernel(
    "i8(u1[::1],u1[::1],i8[:,::1],f8[:,::1],f8[:,::1],i8[::1],i8[:,::1],f8[:,::1],i8[::1],i4[::1],"
    "i8[::1],f8[::1],f8[::1],f8[::1],f8[::1],f8[::1],u8[::1],u1[::1],i8[:,::1],f8[:,::1])"
)
def k_episodes_step(
    phases: U8,
    classes: U8,
    marks: I64,
    peaks: F64,
    windows: F64,
    totals: I64,
    tally: I64,
    levels: F64,
    limits: I64,
    slots: I32,
    ts_ms: I64,
    features: F64,
    scores: F64,
    expected: F64,
    half: F64,
    alerts: F64,
    parts: U64,
    in_anomaly: U8,
    events: I64,
    event_peaks: F64,
) -> int:
    """Move every row's slot one step on; return how many events were written."""
    n_events = 0
    least = math.inf  # below it a row is quiet in every class: most rows need no look at theirs
    for k in range(len(levels)):
        least = min(least, levels[k, CLEAR])
    for i in range(len(slots)):
        slot = slots[i]
        phase = phases[slot]
        score = scores[i]
        value = features[i]
        if phase == OPEN and math.isnan(value):
            in_anomaly[i] = 1
        if math.isnan(value) or (phase == IDLE and score < least):
            continue
        bounds = levels[classes[slot]]
        is_quiet = score < bounds[CLEAR]
        if phase == IDLE:
            if is_quiet:
                continue
            _begin(marks[slot], windows[slot])
        opening = _opening(marks[slot], windows[slot], score)
        _count(marks[slot], tally[classes[slot]], ts_ms[i], opening)
        is_hit = score >= bounds[LEVEL]
        if phase == OPEN or _hit_or_miss(marks[slot], peaks[slot], ts_ms[i], is_hit):
            peaks[slot, PEAK_ALERT] = max(peaks[slot, PEAK_ALERT], alerts[i])
            _raise_peak(
                marks[slot], peaks[slot], ts_ms[i], score, value, expected[i], half[i], parts[i]
            )
        is_over = _settle(marks[slot], ts_ms[i], _n_close(phase, limits), is_quiet)
        may_open = is_hit and opening >= bounds[LEVEL]
        after = _phase_after(phase, is_over, may_open, totals, limits[OPEN_MAX])
        if may_open and after == RESTLESS:
            _begin(marks[slot], windows[slot])  # shed: it has to last to be tried again
        phases[slot] = after
        if after == OPEN:
            in_anomaly[i] = 1
        if after == OPEN and phase != OPEN:
            change = CHANGE_OPENED
        elif phase == OPEN and after == IDLE:
            change = CHANGE_CLOSED
        else:
            continue
        _tell(change, slot, marks[slot], peaks[slot], events[n_events], event_peaks[n_events])
        n_events += 1
    return n_events
