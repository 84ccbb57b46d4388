"""A long series as columns of pixels: what a line through every row would paint, with gaps open."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.domain.samples import F64, I64
from aiops.evaluate.arrays import Scores
from aiops.evaluate.datasets import LabelledSeries

Times = npt.NDArray[np.datetime64]

COLUMNS_MAX = 1600
"""Chosen: about one for each pixel of the width; more rows are drawn as their extremes."""
GAP_STEPS = 10
"""Chosen: a line over a gap of more than ten usual steps would claim rows nobody sent."""


@dataclass(frozen=True, slots=True)
class PlotColumns:
    """One entry a column; in a gap there is one of NaN, which breaks lines and areas.

    Parameters
    ----------
    least, greatest
        Extremes of the finite values. Infinite ones have no place on an axis.
    lower, upper, expected
        Extremes of the band, and the expected value of the column's first row.
    severity, alert
        The highest.
    """

    times: Times
    least: F64
    greatest: F64
    lower: F64
    upper: F64
    expected: F64
    severity: F64
    alert: F64


def plot_columns(
    series: LabelledSeries, scores: Scores, *, columns_max: int = COLUMNS_MAX
) -> PlotColumns:
    """Return the columns of a series that has at least one row."""
    ts_ms = series.ts_ms
    after_gap = _rows_after_gaps(ts_ms)
    starts = np.union1d(_even_starts(len(ts_ms), columns_max), after_gap)
    breaks = np.searchsorted(starts, after_gap)
    finite = np.where(np.isfinite(series.values), series.values, np.nan)

    def broken(column: F64) -> F64:
        return np.insert(column, breaks, np.nan)

    middles = (ts_ms[after_gap] + ts_ms[after_gap - 1]) // 2
    return PlotColumns(
        times=np.insert(ts_ms[starts], breaks, middles).astype("datetime64[ms]"),
        least=broken(np.fmin.reduceat(finite, starts)),
        greatest=broken(np.fmax.reduceat(finite, starts)),
        lower=broken(np.fmin.reduceat(scores.lower, starts)),
        upper=broken(np.fmax.reduceat(scores.upper, starts)),
        expected=broken(scores.expected[starts]),
        severity=broken(np.maximum.reduceat(scores.severity, starts)),
        alert=broken(np.maximum.reduceat(scores.alert, starts)),
    )


def _even_starts(n_rows: int, columns_max: int) -> I64:
    """Return the first row of each column: every row if there are few."""
    n_columns = min(n_rows, columns_max)
    return np.arange(n_columns, dtype=np.int64) * n_rows // n_columns


def _rows_after_gaps(ts_ms: I64) -> I64:
    steps_ms = np.diff(ts_ms)
    if len(steps_ms) == 0:
        return np.empty(0, np.int64)
    return np.flatnonzero(steps_ms > GAP_STEPS * np.median(steps_ms)) + 1
