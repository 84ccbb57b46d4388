"""How well intervals of forecasts hold what they say, measured on whole series as they come."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aiops.config import DetectConfig
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.forecast import LEVELS, Forecast, ForecastBank
from aiops.domain.samples import F64, I64

MINUTES = (5, 60, 360, 1440)
"""Horizons that are measured, in minutes."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What became of the forecasts of one horizon.

    Parameters
    ----------
    horizon_s, n_forecasts
        How far ahead they were, and how many were compared.
    held_ratio
        For each of `LEVELS` the share of values within the interval.
    error, naive_error
        Mean absolute error, and that of the newest value as a forecast.
    width
        Mean width of the interval that is to hold 80 %.
    """

    horizon_s: int
    n_forecasts: int
    held_ratio: tuple[float, ...]
    error: float
    naive_error: float
    width: float


def coverage(
    ts_ms: I64, values: F64, *, is_watched: bool = True, every: int = 40, warmup: float = 0.3
) -> tuple[Coverage, ...]:
    """Return for each horizon how forecasts of one series compared with what came.

    Strictly causal: each forecast is made from the rows before its time alone, and is compared
    with the row nearest to the time it was for.

    Parameters
    ----------
    ts_ms, values
        The series in order of time; NaN is absent.
    is_watched
        Whether the errors of earlier forecasts are learnt, as with a rule that watches it.
    every, warmup
        A forecast is made at each so many-th row, after this share of the rows.
    """
    seasonal = SeasonalBank(DetectConfig(), 1)
    bank = ForecastBank(1, 1, seasonal)
    if is_watched:
        bank.state.watch(0)
    out, slots = ScoreColumns.allocate(1), np.zeros(1, np.int32)
    horizons_ms: I64 = np.array(MINUTES, np.int64) * 60_000
    made: list[tuple[int, Forecast]] = []
    for i in range(len(values)):
        row = slice(i, i + 1)
        seasonal.score_learn(slots, ts_ms[row], values[row], out)
        bank.learn(slots, ts_ms[row], values[row])
        if i >= warmup * len(values) and i % every == 0:
            forecast = bank.forecast(0, ts_ms[i] + horizons_ms)
            if forecast is not None:
                made.append((i, forecast))
    return tuple(_compare(ts_ms, values, made, h) for h in range(len(MINUTES)))


def _compare(ts_ms: I64, values: F64, made: Sequence[tuple[int, Forecast]], h: int) -> Coverage:
    """Return what became of the forecasts for horizon number `h`."""
    rows = []
    for i, forecast in made:
        at = _nearest(ts_ms, int(forecast.ts_ms[h]))
        near_ms = 15_000 * MINUTES[h]  # a quarter of the horizon
        if at <= i or abs(int(ts_ms[at]) - int(forecast.ts_ms[h])) > near_ms:
            continue
        seen, lower, upper = values[at], forecast.lower[:, h], forecast.upper[:, h]
        held = ((lower <= seen) & (seen <= upper)).astype(float)
        error, naive = abs(seen - forecast.expected[h]), abs(seen - values[i])
        rows.append([*held, error, naive, upper[1] - lower[1]])
    means = np.nanmean(rows, axis=0).tolist() if rows else [float("nan")] * (len(LEVELS) + 3)
    held_ratio = tuple(means[: len(LEVELS)])
    return Coverage(60 * MINUTES[h], len(rows), held_ratio, *means[len(LEVELS) :])


def _nearest(ts_ms: I64, at_ms: int) -> int:
    """Return the row nearest to a time."""
    above = int(np.searchsorted(ts_ms, at_ms))
    below = max(above - 1, 0)
    if above == len(ts_ms) or at_ms - ts_ms[below] < ts_ms[above] - at_ms:
        return below
    return above
