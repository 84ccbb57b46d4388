"""Time to a bound: when a watched series reaches it, if its trend is one that has held so far."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr, ndtri

from aiops.detect.forecast import (
    FIRST_LINE,
    MEMORIES_MS,
    NEWEST,
    STEADY,
    ForecastBank,
    growth,
    lines_of,
)
from aiops.detect.forecast_state import HORIZONS_MS
from aiops.detect.kernels import forecast as layout
from aiops.domain.forecast import INTERVAL_LEVEL
from aiops.domain.samples import F64, I32, I64

TREND_GAIN = 0.7
"""Chosen: a line is a trend where it was off by so much less than what knows no trend."""

RESOLVED_MIN = 12.0
"""Chosen: forecasts resolved before a trend counts: two horizons, and one to wait for the first."""

STRETCH = 4.0
"""Chosen: a trend that held for a horizon is believed for four and down to a fourth, so that
horizons meet (they are 12, 6 and 4 times the one before)."""

FAR_MAX = 3.0
"""Chosen: what may as well be three times as far away is not worth a person's time."""

SCORE_MAX = 10.0
"""Chosen: below what is critical for one series (`correlate.severity`), since nothing happened."""

Mask = npt.NDArray[np.bool_]

_GRID = 160
_GRID_SPAN = 20.0
"""Chosen: ends of an interval are sought up to so many times the expected time, in steps of 4 %."""

_HORIZONS: F64 = np.array(HORIZONS_MS, float)
_LEVEL_Z = float(ndtri((1.0 + INTERVAL_LEVEL) / 2.0))
_LEVEL = 1
"""Place of INTERVAL_LEVEL among the quantiles that are learnt."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What watched rows must not reach, a row each.

    Parameters
    ----------
    bounds, signs
        The bound, and 1 where it is reached from below or -1 from above.
    within_ms
        How far ahead is looked.
    """

    bounds: F64
    signs: F64
    within_ms: F64


@dataclass(frozen=True, slots=True)
class Reach:
    """When a row reaches its bound.

    Parameters
    ----------
    row, value
        The watched row and its newest value.
    eta_ms, near_ms, far_ms
        Time from the newest sample until the expected course is there, and both ends of the 80 %
        interval; the far end may be infinite. 0 for what is there.
    slope_per_s, expected
        The trend, and the value it has at the end of the time looked ahead.
    score
        -log10 of the probability that the bound is not reached within that time.
    """

    row: int
    value: float
    eta_ms: float
    near_ms: float
    far_ms: float
    slope_per_s: float
    expected: float
    score: float


@dataclass(frozen=True, slots=True)
class _Course:
    """A line that is believed: level now, slope a ms, and which candidate at which horizon."""

    level: float
    speed: float
    horizon: int
    candidate: int


def find_reaches(bank: ForecastBank, rows: I32, wanted: Bounds) -> list[Reach]:
    """Return which rows reach their bound in time by a trend, in the order given.

    Notes
    -----
    A line counts as a trend at a horizon when there, over earlier forecasts, its mean error was
    below 0.7 of the errors of newest value and steady forecast; so noise, seasons and random walks
    have none. Of several horizons the one nearest to the time it tells decides. The far end of the
    interval must lie within three times the expected time.
    """
    if not len(rows):
        return []
    level, slope = lines_of(bank.state.rows[rows])
    level = level + bank.state.rows[rows, layout.BASE, None]
    line, is_trend = _trends(bank, rows)
    speed = np.take_along_axis(slope / MEMORIES_MS, line, 1)
    start = np.take_along_axis(level, line, 1)
    eta_ms = _eta(start, speed, wanted)
    chosen = _nearest(np.where(is_trend, eta_ms, np.inf))
    each = np.arange(len(rows))
    is_in_time = (chosen >= 0) & (eta_ms[each, chosen] <= wanted.within_ms)
    found = []
    for k in np.flatnonzero(is_in_time).tolist():
        h = int(chosen[k])
        candidate = FIRST_LINE + int(line[k, h])
        course = _Course(float(start[k, h]), float(speed[k, h]), h, candidate)
        aim = float(wanted.bounds[k]), float(wanted.signs[k]), float(wanted.within_ms[k])
        found.append(_reach(bank, int(rows[k]), course, float(eta_ms[k, h]), aim))
    return [reach for reach in found if reach.far_ms <= FAR_MAX * max(reach.eta_ms, 60_000.0)]


def _trends(bank: ForecastBank, rows: I32) -> tuple[I64, Mask]:
    """Return the best line of each row and horizon, and whether it is a trend there."""
    errors = bank.state.errors[rows]
    lines = errors[:, :, FIRST_LINE:]
    line = np.argmin(lines, axis=2)
    best = np.take_along_axis(lines, line[:, :, None], 2)[:, :, 0]
    plain = np.minimum(errors[:, :, NEWEST], errors[:, :, STEADY])
    return line, (bank.state.counts[rows] >= RESOLVED_MIN) & (best < TREND_GAIN * plain)


def _eta(start: F64, speed: F64, wanted: Bounds) -> F64:
    """Return the time until lines reach the bound: 0 when they are there, infinite if never."""
    signs = wanted.signs[:, None]
    left = signs * (wanted.bounds[:, None] - start)
    towards = signs * speed
    is_nearing = towards > 0.0
    eta_ms = np.maximum(left, 0.0) / np.where(is_nearing, towards, 1.0)
    return np.where(is_nearing, eta_ms, np.inf)


def _nearest(eta_ms: F64) -> I64:
    """Return the horizon nearest to the time that is told by it, -1 where none may tell it."""
    least = _HORIZONS / STRETCH
    least[0] = 0.0  # what is about to happen is nearest to the shortest one
    may_tell = (eta_ms >= least) & (eta_ms <= STRETCH * _HORIZONS)
    misfit = np.abs(np.log(np.clip(eta_ms, 1.0, STRETCH * _HORIZONS) / _HORIZONS))
    chosen: I64 = np.argmin(np.where(may_tell, misfit, np.inf), axis=1)
    return np.where(may_tell.any(axis=1), chosen, -1)


def _reach(
    bank: ForecastBank, row: int, course: _Course, eta_ms: float, aim: tuple[float, float, float]
) -> Reach:
    """Return when a believed line reaches its bound, with the interval by its errors."""
    bound, sign, within_ms = aim
    half = float(bank.halves(row, (INTERVAL_LEVEL,))[0, course.horizon, course.candidate])
    base_ms = max(eta_ms, 1000.0)
    grid = np.append(np.geomspace(base_ms / _GRID_SPAN, base_ms * _GRID_SPAN, _GRID), within_ms)
    passed = sign * (course.level + course.speed * grid - bound)
    width = half * growth(grid / _HORIZONS[course.horizon], course.candidate)
    near, far = (passed + width)[:-1], (passed - width)[:-1]
    sure = float(passed[-1] / max(width[-1] / _LEVEL_Z, layout.TINY))
    score = -float(log_ndtr(-sure)) / math.log(10.0)
    return Reach(
        row,
        float(bank.state.rows[row, layout.LAST]),
        eta_ms,
        min(_first_ms(grid, near), eta_ms),
        max(_first_ms(grid, far), eta_ms),
        1000.0 * course.speed,
        course.level + course.speed * within_ms,
        min(max(score, 0.0), SCORE_MAX),
    )


def _first_ms(grid: F64, passed: F64) -> float:
    """Return the first time of a grid at which something has passed, infinite if never."""
    at = np.flatnonzero(passed >= 0.0)
    return float(grid[at[0]]) if len(at) else float("inf")
