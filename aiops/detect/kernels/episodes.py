"""Kernel of the episode machine: scores in, opened and closed episodes out.

A slot is idle, suspect (some rows alarmed) or open. `marks` and `peaks` are touched only while
it is not idle, so that quiet series cost one byte each.
"""

import math

from aiops.detect.columns import U8, U64
from aiops.detect.kernels.compile import helper, kernel
from aiops.domain.samples import F64, I32, I64

IDLE, SUSPECT, OPEN = range(3)
# marks: rows that alarmed, that did not, quiet rows in a row; first row, peak, first quiet, last;
# parts of the peak's score
HITS, MISSES, QUIET, ONSET_MS, PEAK_MS, QUIET_MS, LAST_MS, PARTS = range(8)
MARKS_SIZE = 8
# the highest alert need not be that of the row with the highest score
PEAK_SCORE, PEAK_ALERT, PEAK_VALUE, PEAK_EXPECTED, PEAK_LOWER, PEAK_UPPER = range(6)
PEAKS_SIZE = 6
OPEN_NOW, SHED_TOTAL = range(2)  # totals
ALARM, CLEAR = range(2)  # thresholds
OPEN_SAMPLES, CLOSE_SAMPLES, OPEN_MAX = range(3)  # limits
# columns of an event
EVENT_CHANGE, EVENT_SLOT, EVENT_ONSET_MS, EVENT_PEAK_MS, EVENT_END_MS, EVENT_PARTS = range(6)
EVENT_SIZE = 6
CHANGE_OPENED, CHANGE_CLOSED = range(2)

MISSES_MAX = 2  # chosen: rows that may stay below the alarm score among those that open


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
def _suspect(phase: int, marks: I64, peaks: F64, ts_ms: int, limits: I64, is_alarm: bool) -> int:
    """Count a row before an episode is open; return the new phase."""
    if phase == IDLE:
        marks[HITS], marks[MISSES], marks[QUIET] = 0, 0, 0
        marks[ONSET_MS] = ts_ms
        peaks[PEAK_SCORE], peaks[PEAK_ALERT] = 0.0, 0.0
    if not is_alarm:
        marks[MISSES] += 1
        return IDLE if marks[MISSES] > MISSES_MAX else SUSPECT
    marks[HITS] += 1
    return OPEN if marks[HITS] >= limits[OPEN_SAMPLES] else SUSPECT


@helper
def _settle(marks: I64, ts_ms: int, close_samples: int, is_quiet: bool) -> int:
    """Count a row of an open episode; return the new phase."""
    marks[LAST_MS] = ts_ms
    if not is_quiet:
        marks[QUIET] = 0
        return OPEN
    if marks[QUIET] == 0:
        marks[QUIET_MS] = ts_ms
    marks[QUIET] += 1
    return IDLE if marks[QUIET] >= close_samples else OPEN


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
    "i8(u1[::1],i8[:,::1],f8[:,::1],i8[::1],f8[::1],i8[::1],i4[::1],i8[::1],f8[::1],f8[::1],"
    "f8[::1],f8[::1],f8[::1],u8[::1],u1[::1],i8[:,::1],f8[:,::1])"
)
def k_episodes_step(
    phases: U8,
    marks: I64,
    peaks: F64,
    totals: I64,
    thresholds: F64,
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
    for i in range(len(slots)):
        slot = slots[i]
        phase = phases[slot]
        score = scores[i]
        value = features[i]
        is_alarm = score >= thresholds[ALARM]
        if phase == OPEN and math.isnan(value):
            in_anomaly[i] = 1
        if math.isnan(value) or (phase == IDLE and not is_alarm):
            continue
        if phase == OPEN:
            is_quiet = score < thresholds[CLEAR]
            after = _settle(marks[slot], ts_ms[i], limits[CLOSE_SAMPLES], is_quiet)
        else:
            after = _suspect(phase, marks[slot], peaks[slot], ts_ms[i], limits, is_alarm)
        peaks[slot, PEAK_ALERT] = max(peaks[slot, PEAK_ALERT], alerts[i])
        _raise_peak(
            marks[slot], peaks[slot], ts_ms[i], score, value, expected[i], half[i], parts[i]
        )
        change = -1
        if phase == OPEN and after == IDLE:
            totals[OPEN_NOW] -= 1
            change = CHANGE_CLOSED
        elif phase != OPEN and after == OPEN and totals[OPEN_NOW] >= limits[OPEN_MAX]:
            totals[SHED_TOTAL] += 1
            after = IDLE
        elif phase != OPEN and after == OPEN:
            totals[OPEN_NOW] += 1
            marks[slot, LAST_MS] = ts_ms[i]
            change = CHANGE_OPENED
        phases[slot] = after
        if after == OPEN:
            in_anomaly[i] = 1
        if change >= 0:
            _tell(change, slot, marks[slot], peaks[slot], events[n_events], event_peaks[n_events])
            n_events += 1
    return n_events
