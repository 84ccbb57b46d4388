"""What the seasonal bank expects later on: its steady forecast, season included, at any time."""

from dataclasses import dataclass

import numpy as np

from aiops.detect.columns import F32, U8
from aiops.detect.kernels.baseline import (
    BASE,
    ERROR,
    FINE_SINCE,
    INTERVAL,
    LAST,
    RANGE,
    SEASON,
    SEEN,
    SLOW,
    TINY,
    WEEK_MS,
    N,
)
from aiops.detect.kernels.profile import (
    HOUR_MS,
    HOURS,
    QUARTER_MS,
    QUARTERS,
    WEEK_HOURS,
)
from aiops.domain.samples import F64, I32, I64

WANDERING = 0.3
"""Chosen: `kernels.baseline.wander` is 0 for noise, 0.15 where a tenth of a value's distance goes
in a sample, and 0.6 for a random walk."""

RANGE_SAMPLES = 500.0
"""`kernels.baseline.RATE_RANGE`: samples that the usual range has seen."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the bank knows of slots at times to come, a row for each.

    Parameters
    ----------
    newest, steady
        Newest value, and the steady forecast with its season; NaN for a slot without samples.
    error
        Mean absolute error to expect.
    share
        How far the newest value counts, the steady forecast has the rest.
    """

    newest: F64
    steady: F64
    error: F64
    share: F64


def look_out(
    hot: F64,
    profiles: tuple[F32, F32],
    seasons: U8,
    ts_ms: I64,
    civil_ms: tuple[I64, I64],
) -> Outlook:
    """Return what the bank knows of slots at times; parameters as for `steady_at`."""
    steady, season = steady_at(hot, profiles, seasons, ts_ms, civil_ms)
    error, share = error_ahead(hot, season, np.maximum(ts_ms - hot[:, SEEN], 1.0))
    is_known = hot[:, N] > 0.0
    return Outlook(hot[:, LAST], np.where(is_known, steady, np.nan), error, share)


def steady_at(
    hot: F64,
    profiles: tuple[F32, F32],
    seasons: U8,
    ts_ms: I64,
    civil_ms: tuple[I64, I64],
) -> tuple[F64, I32]:
    """Return the steady forecast of slots at times, and its season: 0 none, 1 day, 2 week.

    Parameters
    ----------
    hot, profiles, seasons
        State of each slot in turn: a row of the bank, coarse and fine profile, permitted season.
    ts_ms, civil_ms
        The time that each is asked for; the same as milliseconds of the day and of the week.
    """
    season = _season_of(hot, seasons, ts_ms)
    day, week = _added(hot, profiles, civil_ms)
    level = np.take_along_axis(hot, SLOW + 2 * season[:, None].astype(np.int64), 1)[:, 0]
    added = np.where(season == 2, week, np.where(season == 1, day, 0.0))
    return level + added, season


def error_ahead(hot: F64, season: I32, ahead_ms: F64) -> tuple[F64, F64]:
    """Return the mean absolute error to expect so far ahead, and how far the newest value counts.

    Parameters
    ----------
    hot, season
        Rows of the bank; season of their steady forecast.
    ahead_ms
        How far ahead, each above 0.

    Notes
    -----
    A sample ahead the error is that of the newest value; from there it grows with the root of
    time, as a random walk's does, up to the error of the steady forecast. That is where it ends
    for what has a season, or returns to its level; what wanders goes on to its usual range, which
    is as far as the bank has looked, and from there by the root of time. The newest value counts
    in full (1) as long as its error is the smaller one, and for what wanders always.
    """
    newest, steady = hot[:, ERROR], hot[np.arange(len(hot)), ERROR + 2 + 2 * season]
    steps = np.maximum(ahead_ms / np.maximum(hot[:, INTERVAL], 1.0), 1.0)
    grown = newest * np.sqrt(steps)
    is_wandering = (season == 0) & (1.0 - 2.0 * newest / (steady + TINY) > WANDERING)
    widest = np.maximum(steady, hot[:, RANGE]) * np.sqrt(np.maximum(steps / RANGE_SAMPLES, 1.0))
    bound = np.where(is_wandering, widest, steady)
    return np.minimum(grown, bound), ((grown < steady) | is_wandering).astype(np.float64)


def _season_of(hot: F64, seasons: U8, ts_ms: I64) -> I32:
    """Return the best of the slow forecasts, as the kernels' `steady` does of those in use."""
    has_day = (hot[:, SEASON] > 0.0) & (seasons != 1)
    has_week = has_day & (hot[:, SEASON] == 2.0) & (seasons != 2)
    has_week &= ts_ms - hot[:, FINE_SINCE] > WEEK_MS
    plain, day, week = hot[:, ERROR + 2], hot[:, ERROR + 4], hot[:, ERROR + 6]
    is_day = has_day & (day < plain)
    is_week = has_week & (week < np.where(is_day, day, plain))
    season: I32 = np.where(is_week, 2, is_day.astype(np.int32)).astype(np.int32)
    return season


def _added(hot: F64, profiles: tuple[F32, F32], civil_ms: tuple[I64, I64]) -> tuple[F64, F64]:
    """Return what the day, and day and week together, add to a level."""
    coarse, fine = profiles
    rough = _between(coarse, 0, HOURS, civil_ms[0] / HOUR_MS)
    exact = _between(fine, 0, QUARTERS, civil_ms[0] / QUARTER_MS)
    day: F64 = hot[:, BASE] + np.where(hot[:, SEASON] < 2.0, rough, exact)
    weekly = _between(fine, QUARTERS, WEEK_HOURS, civil_ms[1] / HOUR_MS)
    return day, np.where(hot[:, SEASON] < 2.0, day, day + weekly)


def _between(bins: F32, start: int, count: int, times: F64) -> F64:
    """Return a profile's value between the two bins whose centres enclose a time, in bins."""
    position = times + 0.5
    above = position.astype(np.int64)
    each = np.arange(len(bins))
    low = bins[each, start + (above - 1) % count].astype(np.float64)
    high = bins[each, start + above % count].astype(np.float64)
    value: F64 = low + (position - above) * (high - low)
    return value
