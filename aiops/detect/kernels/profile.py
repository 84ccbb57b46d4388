"""Seasonal profiles: what a series does at this time of the day and of the week.

A slot has a `coarse` row, one value an hour of the civil day, and once that one is seen to help, a
`fine` row with a value every quarter of an hour and, behind these, one for each hour of the week,
relative to the day. Values are relative to the first sample, so that float32 will do.
"""

import numpy as np

from aiops.detect.columns import F32
from aiops.detect.kernels.compile import helper

DAY_MS = 86_400_000
HOUR_MS = 3_600_000.0
QUARTER_MS = 900_000.0
HOURS, QUARTERS, WEEK_HOURS = 24, 96, 168
FINE_SIZE = QUARTERS + WEEK_HOURS

PROFILE_MAX = 1e30  # chosen: well inside float32
RATE_PROFILE = 0.29  # a bin moves 25 % of its way a visit: -ln(0.75)
RATE_MAX = 0.25


@helper
def place(time_ms: int, bin_ms: float, count: int) -> tuple[int, int, float]:
    """Return the two bins whose centres enclose a time of day or week, and the second's share."""
    position = float(time_ms) / bin_ms + 0.5
    above = int(position)
    part = position - float(above)
    return (above - 1 if above > 0 else count - 1), (above if above < count else 0), part


@helper
def between(bins: F32, start: int, left: int, right: int, part: float) -> float:
    """Return the profile's value between two bins."""
    low = np.float64(bins[start + left])
    return low + part * (np.float64(bins[start + right]) - low)


@helper
def move_bin(bins: F32, column: int, gap: float) -> None:
    """Move a bin, within what float32 holds."""
    bins[column] = min(max(np.float64(bins[column]) + gap, -PROFILE_MAX), PROFILE_MAX)


@helper
def move_between(bins: F32, start: int, left: int, right: int, part: float, gap: float) -> None:
    """Move two bins, each by its share of a gap."""
    move_bin(bins, start + left, (1.0 - part) * gap)
    move_bin(bins, start + right, part * gap)


@helper
def fill_first_day(bins: F32, seen: int, day_ms: int, value: float, interval_ms: float) -> int:
    """Let the hour's bin be the mean of the hour's samples so far; return the hours `seen`.

    Bit k of `seen` is hour k. The first sample of an hour stands for what was missed of it.
    """
    hour = min(int(float(day_ms) / HOUR_MS), HOURS - 1)
    into_ms = float(day_ms) - hour * HOUR_MS
    share = 1.0 / (1.0 + into_ms / interval_ms) if seen >> hour & 1 else 1.0
    move_bin(bins, hour, (value - np.float64(bins[hour])) * share)
    return seen | 1 << hour


@helper
def fill_unseen(bins: F32, seen: int, newest: int) -> None:
    """Draw lines over hours without a sample, in the order of time; `newest` has one."""
    before = 0
    for k in range(1, HOURS + 1):
        hour = (newest + k) % HOURS
        if not seen >> hour & 1:
            continue
        after = np.float64(bins[hour])
        first = np.float64(bins[(newest + before) % HOURS]) if before > 0 else after
        for j in range(before + 1, k):
            bins[(newest + j) % HOURS] = first + (j - before) / (k - before) * (after - first)
        before = k


@helper
def take_trend_out(bins: F32, newest: int) -> float:
    """Take the first day's trend out of the coarse profile; return what it rose by.

    The newest bin lies beside the oldest, so what they differ by is trend, not season.
    """
    oldest = (newest + 1) % HOURS
    rise = np.float64(bins[newest]) - np.float64(bins[oldest])
    for k in range(HOURS):
        move_bin(bins, (oldest + k) % HOURS, -rise * k / (HOURS - 1.0))
    return rise


@helper
def refine(coarse: F32, fine: F32) -> None:
    """Start the fine profile as the coarse one says, and the week as every day alike."""
    for k in range(QUARTERS):
        centre_ms = int((k + 0.5) * QUARTER_MS)
        left, right, part = place(centre_ms, HOUR_MS, HOURS)
        fine[k] = between(coarse, 0, left, right, part)
    for k in range(QUARTERS, FINE_SIZE):
        fine[k] = 0.0
