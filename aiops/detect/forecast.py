"""Forecasts with intervals: where a series will be, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.forecast_state import HORIZONS_MS, PENDING, UNITS_START, ForecastState
from aiops.detect.kernels import forecast as layout
from aiops.detect.kernels.forecast import k_forecast_learn
from aiops.domain.samples import F64, I32, I64

LEVELS = (0.5, 0.8, 0.95)
"""Shares of values that the intervals are to hold unless others are asked for."""

LEARNT = 6.0
"""Chosen: forecasts resolved before a horizon's errors count; a horizon's worth of them."""

MEMORIES_MS: F64 = np.array(
    [layout.MEMORY_MS * layout.MEMORY_STEP**k for k in range(layout.MEMORIES)]
)
NEWEST, STEADY, FIRST_LINE = range(3)
"""Candidates, see `ForecastBank`."""

_HORIZONS: I64 = np.array(HORIZONS_MS, np.int64)
_PARTS_Z: F64 = ndtri((1.0 + np.array(LEVELS)) / 2.0).astype(np.float64)
_SHORTER = {NEWEST: 0.5, STEADY: 0.0}
_LONGER = {NEWEST: 0.5, STEADY: 0.0}
"""How errors grow with the horizon where none was seen: a random walk's with the root of time,
those of a level not at all, those of a slope with time, but not nearer than was seen."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of a series.

    Parameters
    ----------
    ts_ms, expected
        Times, and the value expected at each.
    levels, lower, upper
        Shares, and for each share and time the bounds between which values lie that often.
    is_learnt
        Whether the errors of earlier forecasts of this series were there to go by.
    """

    ts_ms: I64
    expected: F64
    levels: tuple[float, ...]
    lower: F64
    upper: F64
    is_learnt: bool


class ForecastBank:
    """Forecasts of any slot; those of watched ones are better, and know how good they are.

    Parameters
    ----------
    series_max
        Slots that may be watched.
    capacity
        Number of slots.
    bank
        Knows levels, seasons and errors of all slots; has learnt a batch before this does.

    Notes
    -----
    *Candidates.* The newest value; the steady forecast of the seasonal bank; and three lines, by
    least squares with weights that fall by e in 15 min, 2 h and 16 h. A lone outlier moves no
    line, and a jump against a clear trend keeps its slope.

    *Errors.* Of a watched slot six forecasts by each candidate are on their way at a time for each
    of the horizons 5 min, 1 h, 6 h and a day. When a time comes, the sample nearest to it says how
    far off they were. The candidate with the least mean error forecasts that horizon; between
    horizons two are blended. Quantiles of its errors, in mean errors, are followed by their share
    of hits, which is what makes intervals hold as much as they say (after Gibbs and Candes 2021,
    arXiv 2106.00263). Nothing is assumed of the series.

    *A slot that is not watched* is forecast by newest value and steady forecast, with errors that
    grow as `banks.outlook.error_ahead` says; a trend is not seen.

    *Limits.* Intervals are symmetric. After a change errors of the past count for some four
    horizons. Forecasts are made by the newest sample of a batch, so their times depend on how
    rows are batched, what they say does not. Changes of the clock (summer time) within a horizon
    count as errors. A line needs some half an hour to show a new trend. Some 600 ns a sample of a
    watched slot, forecasts included, and 2 ns of any other (benchmark: bench_kernels); 1.7 KiB and
    4 bytes.
    """

    def __init__(self, series_max: int, capacity: int, bank: SeasonalBank) -> None:
        self.state = ForecastState(series_max, capacity)
        self._bank = bank

    def learn(self, slots: I32, ts_ms: I64, features: F64) -> None:
        """Learn a batch that the seasonal bank has learnt, and make the forecasts that are due."""
        if not self.state.n_watched:
            return
        members = self.state.row_of[slots]
        at = np.flatnonzero(members)
        if not len(at):
            return
        state = self.state
        rows: I32 = members[at] - np.int32(1)
        k_forecast_learn(
            state.rows,
            state.targets,
            state.pending,
            state.errors,
            state.units,
            state.counts,
            _HORIZONS,
            rows,
            ts_ms[at],
            features[at],
        )
        self._make(np.unique(rows))

    def forecast(self, slot: int, ts_ms: I64, levels: Sequence[float] = LEVELS) -> Forecast | None:
        """Return what is expected of a slot at times after its newest sample; None: nothing known.

        Parameters
        ----------
        ts_ms
            Epoch ms; times before the newest sample count as just after it.
        levels
            Shares, each within (0, 1).
        """
        row = int(self.state.row_of[slot]) - 1
        if row >= 0 and self.state.rows[row, layout.N] > 0:
            known = np.flatnonzero(self.state.counts[row] >= LEARNT)
            if len(known):
                return self._learnt(row, known, ts_ms, levels)
        return self._plain(slot, ts_ms, levels)

    def candidates(self, rows: I32, ts_ms: I64) -> F64:
        """Return what each candidate expects of watched rows at times, as (rows, candidates)."""
        state = self.state.rows[rows]
        base, newest = state[:, layout.BASE], state[:, layout.LAST]
        steady = self._bank.outlook(self.state.slot_of[rows], ts_ms).steady
        ahead_ms = np.maximum(ts_ms - state[:, layout.SEEN], 0.0)
        level, slope = lines_of(state)
        lines = base[:, None] + level + slope * (ahead_ms[:, None] / MEMORIES_MS)
        steady = np.where(np.isnan(steady), newest, steady)
        return np.column_stack([newest, steady, lines])

    def halves(self, row: int, levels: Sequence[float]) -> F64:
        """Return half the width of the interval of each candidate, as (levels, horizons, cand.)."""
        parts = [quantile_at(self.state.units[row], level) for level in levels]
        halves: F64 = np.array(parts)[:, :, None] * self.state.errors[row][None]
        return halves

    def _make(self, rows: I32) -> None:
        """Make the forecasts that are due for rows."""
        state = self.state
        seen_ms = state.rows[rows, layout.SEEN].astype(np.int64)
        is_ripe = state.rows[rows, layout.N] >= layout.TREND_SAMPLES
        # a line that has seen a fraction of its horizon would spoil the errors for days
        fresh, unset = np.nonzero(state.next_ms[rows] == 0)
        state.next_ms[rows[fresh], unset] = seen_ms[fresh] + _HORIZONS[unset] // PENDING
        is_due = is_ripe[:, None] & (seen_ms[:, None] >= state.next_ms[rows])
        which, horizons = np.nonzero(is_due)
        if not len(which):
            return
        members = rows[which]
        targets_ms = seen_ms[which] + _HORIZONS[horizons]
        turns = state.turns[members, horizons]
        state.pending[members, horizons, turns] = self.candidates(members, targets_ms)
        state.targets[members, horizons, turns] = targets_ms
        state.turns[members, horizons] = (turns + 1) % PENDING
        state.next_ms[members, horizons] = seen_ms[which] + _HORIZONS[horizons] // PENDING
        touched = np.unique(members)
        waiting = state.targets[touched].reshape(len(touched), -1).astype(np.float64)
        state.rows[touched, layout.DUE] = np.where(waiting == 0.0, np.inf, waiting).min(axis=1)

    def _learnt(self, row: int, known: I64, ts_ms: I64, levels: Sequence[float]) -> Forecast:
        times: I64 = np.maximum(ts_ms, int(self.state.rows[row, layout.SEEN]) + 1)
        ahead_ms = times - self.state.rows[row, layout.SEEN]
        best = np.argmin(self.state.errors[row, known], axis=1)
        expected_by = self.candidates(np.full(len(times), row, np.int32), times)
        share = _shares(ahead_ms, _HORIZONS[known])
        expected = (expected_by[:, best] * share).sum(axis=1)
        halves = self.halves(row, levels)[:, known, best]
        half = np.stack([_half_at(ahead_ms, known, best, each) for each in halves])
        return Forecast(times, expected, tuple(levels), expected - half, expected + half, True)

    def _plain(self, slot: int, ts_ms: I64, levels: Sequence[float]) -> Forecast | None:
        outlook = self._bank.outlook(np.full(len(ts_ms), slot, np.int32), ts_ms)
        if not len(ts_ms) or np.isnan(outlook.steady).any():
            return None
        expected = outlook.share * outlook.newest + (1.0 - outlook.share) * outlook.steady
        parts = [quantile_at(np.array([UNITS_START]), level)[0] for level in levels]
        half = np.array(parts)[:, None] * outlook.error
        return Forecast(ts_ms, expected, tuple(levels), expected - half, expected + half, False)


def lines_of(rows: F64) -> tuple[F64, F64]:
    """Return level, less the anchor, and slope a memory of each trend, as `line_of` does."""
    first = layout.TRENDS + layout.TREND_SIZE * np.arange(layout.MEMORIES)
    weight, ws, wss = (rows[:, first + k] for k in (layout.W, layout.WS, layout.WSS))
    wy, wsy = rows[:, first + layout.WY], rows[:, first + layout.WSY]
    spread = weight * wss - ws * ws
    is_line = (rows[:, layout.N, None] >= layout.TREND_SAMPLES) & (spread > 1e-9 * weight * weight)
    slope = np.where(is_line, (weight * wsy - ws * wy) / np.where(is_line, spread, 1.0), 0.0)
    newest = (rows[:, layout.LAST] - rows[:, layout.BASE])[:, None]
    level = (wy - slope * ws) / np.where(weight > 0.0, weight, 1.0)
    return np.where(weight > 0.0, level, newest), slope


def quantile_at(units: F64, level: float) -> F64:
    """Return the quantile at a share of errors, in mean errors, from those that are learnt.

    Between and beyond them it goes as a normal distribution's.
    """
    ordered = np.maximum.accumulate(units, axis=-1)
    z = float(ndtri((1.0 + level) / 2.0))
    if z >= _PARTS_Z[-1]:
        beyond: F64 = ordered[..., -1] * (z / _PARTS_Z[-1])
        return beyond
    nodes = np.concatenate([[0.0], _PARTS_Z])
    above = int(np.searchsorted(nodes, z, side="right"))
    low = ordered[..., above - 2] if above > 1 else np.zeros_like(ordered[..., 0])
    part = (z - nodes[above - 1]) / (nodes[above] - nodes[above - 1])
    value: F64 = low + part * (ordered[..., above - 1] - low)
    return value


def growth(ratio: F64, candidate: int) -> F64:
    """Return by how much the error of a candidate grows when it looks `ratio` times as far."""
    return np.where(
        ratio < 1.0, ratio ** _SHORTER.get(candidate, 0.0), ratio ** _LONGER.get(candidate, 1.0)
    )


def _shares(ahead_ms: F64, horizons_ms: I64) -> F64:
    """Return how much each learnt horizon has to say at times ahead, as (times, horizons)."""
    places = np.interp(np.log(ahead_ms), np.log(horizons_ms), np.arange(len(horizons_ms)))
    return np.maximum(1.0 - np.abs(places[:, None] - np.arange(len(horizons_ms))), 0.0)


def _half_at(ahead_ms: F64, known: I64, best: npt.NDArray[np.intp], halves: F64) -> F64:
    """Return half an interval at times ahead from those of the learnt horizons."""
    horizons_ms = _HORIZONS[known]
    logs = np.log(np.maximum(halves, layout.TINY))
    within = np.exp(np.interp(np.log(ahead_ms), np.log(horizons_ms), logs))
    nearer = growth(np.minimum(ahead_ms / horizons_ms[0], 1.0), int(best[0]))
    farther = growth(np.maximum(ahead_ms / horizons_ms[-1], 1.0), int(best[-1]))
    half: F64 = within * nearer * farther
    return half
