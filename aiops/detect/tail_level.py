"""From counts of openings at many levels to the level at which a given rate of false ones is left.

Pure functions over the grid of `kernels.episodes`. A rate is openings a row, so that a fleet that
doubles its rows keeps its estimate.
"""

import math
from dataclasses import dataclass

import numpy as np

from aiops.detect.kernels.episodes import GRID_PER_UNIT, GRID_SIZE, GRID_START
from aiops.domain.samples import F64, I64

GRID: F64 = GRID_START + np.arange(GRID_SIZE) / GRID_PER_UNIT
"""Levels at which openings are counted."""

BAND_STEPS = 10
BAND = BAND_STEPS / GRID_PER_UNIT
"""Chosen: 1.25. What exceeds a level by less is taken for false. Nine in ten false ones do where
tails are nearly calibrated (benchmark: quality_budget), but few true ones: most lie far beyond."""

COUNT_MIN = 20
"""Chosen: openings in the lowest band of a fitted tail, known to 1/sqrt(20) then."""

PRIOR_SLOPE = math.log(10.0)
"""Slope of a calibrated tail: one unit of -log10 p is a factor of ten."""

PRIOR_COUNT = 4.0
"""Chosen: openings that the calibrated slope weighs as much as, a fifth of a fit's least."""

SLOPE_MIN, SLOPE_MAX = 0.5, 6.0
"""Chosen: tails flatter than the first are no tails of false alarms: 100 of them would be a day's
one only nine units further out. A tail steeper than the second ends within one band."""

SLOPE_HALVINGS = 20
"""Chosen: they narrow the slope down to 1e-5, far below what counts can tell."""

BURST_SIGMAS = 4.0
BURST_STEP = GRID_PER_UNIT // 2
"""Chosen: a Poisson count exceeds mean + 4 sqrt(mean) + 1 in fewer than one in a thousand spans,
looked at on every half unit of the grid."""


@dataclass(frozen=True, slots=True)
class Openings:
    """What was counted: at each level of the grid or beyond, in so many rows.

    `n_rows_theory` rows more behaved as theory says, with `open_samples` rows to an opening.
    """

    counts: F64
    n_rows: float
    n_rows_theory: float
    open_samples: int

    def rates(self) -> F64:
        """Return openings a row at each level or beyond, false and true ones alike."""
        return self.per_row(self.counts)

    def in_bands(self) -> F64:
        """Return the openings that exceeded each level by less than `BAND`."""
        in_bands = self.counts.copy()
        in_bands[:-BAND_STEPS] -= self.counts[BAND_STEPS:]
        return in_bands

    def per_row(self, counts: F64) -> F64:
        """Return counts at each level or beyond as openings a row, with those of theory."""
        theory = self.n_rows_theory * theory_rates(self.open_samples)
        rates: F64 = (counts + theory) / max(self.n_rows + self.n_rows_theory, 1.0)
        return rates


@dataclass(frozen=True, slots=True)
class Tail:
    """Rates of openings beyond `base`: `rate` x exp(-`slope` x (level - base)) a row."""

    base: float
    rate: float
    slope: float

    def rate_at(self, level: float) -> float:
        """Return the rate of openings at this level or beyond, a row."""
        return self.rate * math.exp(-self.slope * (level - self.base))

    def level_at(self, rate: float) -> float:
        """Return the level beyond which so many openings a row are left."""
        return self.base + math.log(self.rate / rate) / self.slope


def theory_rates(open_samples: int) -> F64:
    """Return the most openings a row that calibrated scores can give at each level of the grid.

    10^-s of all rows score s, and an opening takes `open_samples` of them: there are no more, and
    as many only if rows that score high always come together.
    """
    rates: F64 = 10.0**-GRID / open_samples
    return rates


def fit_tail(
    openings: Openings, *, wanted_rate: float, level_min: float, level_max: float = math.inf
) -> Tail:
    """Return the tail of false openings around the level where `wanted_rate` of them is left.

    Parameters
    ----------
    openings
        What was counted.
    wanted_rate
        Openings a row of interest.
    level_min, level_max
        The tail begins between these: counts below the first mean nothing.

    Notes
    -----
    Peaks over threshold with an exponential tail (Coles 2001, doi:10.1007/978-1-4471-3675-0,
    section 4.3), of which only the `BAND` next to the threshold is looked at. As in Storey's
    estimate of the share of true nulls (doi:10.1111/1467-9868.00346), how many are false is judged
    from where false ones prevail, and what lies beyond follows from the slope; true ones lie
    there, and must not count. Going up from the lowest level, the tail begins at the last one
    with more than the wanted rate and `COUNT_MIN` openings next to it: a fleet mixes tails of many
    slopes, so the fit is made as near to the level as data allow.
    """
    first = min(int(np.searchsorted(GRID, level_min)), GRID_SIZE - 1)
    last = int(np.searchsorted(GRID, level_max, side="right")) - 1
    in_bands = openings.in_bands()
    is_enough = (in_bands >= COUNT_MIN) & (openings.per_row(in_bands) >= wanted_rate)
    k = first + max(int(np.argmin(is_enough[first:])) - 1, 0)
    k = max(min(k, last), first)
    slope = _slope_of(openings.counts[max(k - BAND_STEPS, first) : k + BAND_STEPS + 1])
    # In theory all openings are false, whichever band they are in.
    seen = in_bands / -math.expm1(-slope * BAND)
    return Tail(float(GRID[k]), float(openings.per_row(seen)[k]), slope)


def is_burst(tally: I64, rates: F64, n_rows: int) -> bool:
    """Tell whether a span of `n_rows` rows has more openings at some level than chance brings.

    Rows that are false alarms are spread evenly; what goes wrong does so on many series at once.
    """
    means = n_rows * rates[::BURST_STEP]
    return bool(np.any(tally[::BURST_STEP] > means + BURST_SIGMAS * np.sqrt(means) + 1.0))


def _slope_of(counts: F64) -> float:
    """Return the likeliest slope of the openings between the first and the last of these levels.

    The mean of an exponential tail cut off at `width` is 1 / slope - width / (e^(slope width) - 1),
    which falls with the slope.
    """
    width = (len(counts) - 1) / GRID_PER_UNIT
    at_steps = -np.diff(counts)
    n = float(at_steps.sum())
    total = float(at_steps @ (np.arange(len(at_steps)) + 0.5)) / GRID_PER_UNIT
    mean = (total + PRIOR_COUNT * _mean_excess(PRIOR_SLOPE, width)) / (n + PRIOR_COUNT)
    low, high = SLOPE_MIN, SLOPE_MAX
    for _ in range(SLOPE_HALVINGS):
        middle = (low + high) / 2
        if _mean_excess(middle, width) > mean:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _mean_excess(slope: float, width: float) -> float:
    return 1.0 / slope - width / math.expm1(slope * width)
