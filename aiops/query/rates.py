"""rate, increase and irate over the windows of a range selector.

Notes
-----
Arithmetic and its order follow Prometheus 3 (promql/functions.go, extrapolatedRate and
instantValue), so that results agree to the last bit. A window is (time - range, time]. Windows
of one series are computed together; only those with a counter reset are summed one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aiops.domain.samples import F64, I64
from aiops.query.values import Mask

EXTRAPOLATION_FACTOR = 1.1
"""Prometheus: a window's edge is reached when it is at most 10 % beyond the usual spacing."""


@dataclass(frozen=True, slots=True)
class Windows:
    """The samples of one series and where each window lies among them.

    Parameters
    ----------
    ts_ms, values
        The samples, staleness markers left out.
    first, last
        Positions of each window's first and last sample; only windows of two or more samples.
    start_ms, end_ms
        The windows' bounds.
    """

    ts_ms: I64
    values: F64
    first: I64
    last: I64
    start_ms: I64
    end_ms: I64


RangeFunction = Callable[[Windows], F64]


def apply_windows(
    function: RangeFunction, samples: tuple[I64, F64], times_ms: I64, range_span_ms: int
) -> tuple[F64, Mask]:
    """Return a function's value at each time and whether there is one (two samples needed)."""
    ts_ms, values = samples
    start_ms = times_ms - range_span_ms
    first = np.searchsorted(ts_ms, start_ms, side="right")
    last = np.searchsorted(ts_ms, times_ms, side="right") - 1
    present = last - first >= 1
    found = np.zeros(len(times_ms))
    windows = Windows(
        ts_ms, values, first[present], last[present], start_ms[present], times_ms[present]
    )
    with np.errstate(all="ignore"):
        found[present] = function(windows)
    return found, present


def _rate(windows: Windows) -> F64:
    return _extrapolated(windows, (windows.end_ms - windows.start_ms) / 1000.0)


def _increase(windows: Windows) -> F64:
    return _extrapolated(windows, np.ones(len(windows.first)))


def _irate(windows: Windows) -> F64:
    values, last = windows.values, windows.last
    newest, before = values[last], values[last - 1]
    rise = np.where(newest < before, newest, newest - before)  # a reset starts from zero
    return rise / ((windows.ts_ms[last] - windows.ts_ms[last - 1]) / 1000.0)


RANGE_FUNCTIONS: dict[str, RangeFunction] = {
    "rate": _rate,
    "increase": _increase,
    "irate": _irate,
}
"""Every function over a range selector that is evaluated."""


def _extrapolated(windows: Windows, per_s: F64) -> F64:
    """Return each window's growth stretched to its edges, divided by `per_s`."""
    first_ms, last_ms = windows.ts_ms[windows.first], windows.ts_ms[windows.last]
    growth = _growth(windows)
    sampled_s = (last_ms - first_ms) / 1000.0
    spacing_s = sampled_s / (windows.last - windows.first)
    to_start_s = _to_edge((first_ms - windows.start_ms) / 1000.0, spacing_s)
    to_end_s = _to_edge((windows.end_ms - last_ms) / 1000.0, spacing_s)
    first_values = windows.values[windows.first]
    has_zero = (growth > 0) & (first_values >= 0)
    to_zero_s = np.where(has_zero, sampled_s * (first_values / growth), to_start_s)
    # a counter is never negative: nothing is extrapolated to before it was zero
    to_start_s = np.where(to_zero_s < to_start_s, to_zero_s, to_start_s)
    factor: F64 = (sampled_s + to_start_s + to_end_s) / sampled_s / per_s
    return growth * factor


def _to_edge(distance_s: F64, spacing_s: F64) -> F64:
    """Return how far to extrapolate: to the edge if it is near, else half a spacing."""
    return np.where(distance_s >= spacing_s * EXTRAPOLATION_FACTOR, spacing_s / 2, distance_s)


def _growth(windows: Windows) -> F64:
    """Return last minus first of each window plus what counter resets took away."""
    values = windows.values
    resets = np.flatnonzero(values[1:] < values[:-1])
    growth = values[windows.last] - values[windows.first]
    low = np.searchsorted(resets, windows.first, side="left")
    high = np.searchsorted(resets, windows.last, side="left")
    for row in np.flatnonzero(high > low):
        for position in resets[low[row] : high[row]]:
            growth[row] += values[position]
    return growth
