"""From counts of openings at many levels to the level at which a given rate of them is left.

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

COUNT_MIN = 20
"""Chosen: openings beyond the base of a fitted tail, whose slope is known to 1/sqrt(20) then."""

PRIOR_SLOPE = math.log(10.0)
"""Slope of a calibrated tail: one unit of -log10 p is a factor of ten."""

PRIOR_COUNT = 4.0
"""Chosen: openings that the calibrated slope weighs as much as, a fifth of a fit's least."""

BULK_FACTOR = 10.0
"""Chosen: the bulk is where openings come ten times as often as wanted: mostly false ones."""

BULK_BAND = GRID_PER_UNIT
"""Chosen: two bands one unit wide show how steep the bulk is, and nothing beyond them matters."""

BULK_SLOPE_MIN = 0.5
"""Chosen: tails flatter than this are no tails of false alarms: 100 of them would be a day's one
only nine units further out."""

BULK_SLACK = 1.5
"""Chosen: how much further out than the bulk foretells the level may lie. On null fleets tails
flatten by about so much from ten openings a day down to one (benchmark: quality_budget)."""

BURST_SIGMAS = 4.0
BURST_STEP = GRID_PER_UNIT // 2
"""Chosen: a Poisson count exceeds mean + 4 sqrt(mean) + 1 in fewer than one in a thousand spans,
looked at on every half unit of the grid."""


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


def rates_of(counts: F64, n_rows: float, *, n_rows_theory: float, open_samples: int) -> F64:
    """Return openings a row at each level: what was counted, with so many rows of theory."""
    theory = n_rows_theory * theory_rates(open_samples)
    rates: F64 = (counts + theory) / max(n_rows + n_rows_theory, 1.0)
    return rates


def fit_tail(counts: F64, rates: F64, *, wanted_rate: float, base_min: float) -> Tail:
    """Return the tail of openings around the level where `wanted_rate` of them is left.

    Parameters
    ----------
    counts
        Openings at each level of the grid or beyond.
    rates
        The same a row, see `rates_of`.
    wanted_rate
        Openings a row of interest.
    base_min
        Counts below this level mean nothing.

    Notes
    -----
    Peaks over threshold with an exponential tail, fitted by its mean excess (Coles 2001,
    doi:10.1007/978-1-4471-3675-0, section 4.3). The base is the highest level that still has more
    than the wanted rate and `COUNT_MIN` openings beyond: a fleet mixes tails of many slopes, so
    the fit is made as near to the level as data allow. As in Storey's estimate of the share of
    true nulls (doi:10.1111/1467-9868.00346), what is false is judged from where false ones
    prevail, not from the far tail, where the true ones are.
    """
    is_meant = base_min <= GRID
    first = int(np.argmax(is_meant)) if is_meant.any() else GRID_SIZE - 1
    usable = np.flatnonzero(is_meant & (counts >= COUNT_MIN) & (rates >= wanted_rate))
    k = int(usable[-1]) if len(usable) else first
    n = float(counts[k])
    excess = (n / 2 + float(counts[k + 1 :].sum())) / GRID_PER_UNIT
    slope = (n + PRIOR_COUNT) / (excess + PRIOR_COUNT / PRIOR_SLOPE)
    return Tail(float(GRID[k]), float(rates[k]), slope)


def level_of_bulk(counts: F64, n_rows: float, *, wanted_rate: float, base_min: float) -> float:
    """Return the highest level that the bulk of openings can justify.

    Where true anomalies come more often than the budget, each on its own, they are the far tail and
    nothing tells them from false ones but this: they are not its continuation. So the steepness
    comes from the bulk alone, going up from the base until openings get as rare as `BULK_FACTOR`
    times the wanted rate; those more than two units further out do not count.
    """
    in_bands = counts[: -2 * BULK_BAND] - counts[2 * BULK_BAND :]
    first = int(np.searchsorted(GRID[: len(in_bands) - 1], base_min))
    is_rare = in_bands[first:] < BULK_FACTOR * wanted_rate * max(n_rows, 1.0)
    k = first + max(int(np.argmax(is_rare)) - 1, 0)
    # The prior is a calibrated tail: a factor of ten from one band to the next.
    near = counts[k] - counts[k + BULK_BAND] + PRIOR_COUNT * 0.9
    far = counts[k + BULK_BAND] - counts[k + 2 * BULK_BAND] + PRIOR_COUNT * 0.09
    slope = max(math.log(near / far), BULK_SLOPE_MIN)
    rate = float(in_bands[k]) / max(n_rows, 1.0) / -math.expm1(-2.0 * slope)
    return float(GRID[k]) + math.log(max(rate / wanted_rate, 1.0)) / slope + BULK_SLACK


def rate_beyond(level: float, counts: F64, rates: F64, *, base_min: float) -> float:
    """Return the openings a row at a level or beyond: as counted, by the tail if too few were."""
    place = min(max((level - GRID_START) * GRID_PER_UNIT, 0.0), GRID_SIZE - 1.001)
    k, share = int(place), place % 1.0
    if counts[k] >= COUNT_MIN:
        return float(rates[k] ** (1.0 - share) * rates[k + 1] ** share)
    return fit_tail(counts, rates, wanted_rate=0.0, base_min=base_min).rate_at(level)


def is_burst(tally: I64, rates: F64, n_rows: int) -> bool:
    """Tell whether a span of `n_rows` rows has more openings at some level than chance brings.

    Rows that are false alarms are spread evenly; what goes wrong does so on many series at once.
    """
    means = n_rows * rates[::BURST_STEP]
    return bool(np.any(tally[::BURST_STEP] > means + BURST_SIGMAS * np.sqrt(means) + 1.0))
