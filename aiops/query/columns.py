"""Reading a series at given times: look-back, ranges, staleness."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from aiops.domain.labels import Labels
from aiops.domain.samples import F64, I64, STALE_BITS, U64
from aiops.query.values import Mask, check_samples

INCIDENT_STEP_SPAN_MS = 60_000
"""Chosen: an open incident has one sample a minute in a range, as a scraped gauge would."""


class Column(Protocol):
    """One series as evaluation reads it."""

    @property
    def labels(self) -> Labels:
        """Return the labels of the series."""
        ...

    def at(self, times_ms: I64, lookback_span_ms: int, /) -> tuple[F64, Mask]:
        """Return the value at each time and whether there is one."""
        ...

    def between(self, after_ms: int, until_ms: int) -> tuple[I64, F64]:
        """Return the samples in (after_ms, until_ms], staleness markers left out."""
        ...


@dataclass(frozen=True, slots=True)
class SampleColumn:
    """A series of stored samples; `values` keeps the bits of staleness markers."""

    labels: Labels
    ts_ms: I64
    values: F64

    def at(self, times_ms: I64, lookback_span_ms: int, /) -> tuple[F64, Mask]:
        """Return the newest sample in (time - look-back, time], unless it is a marker."""
        if len(self.ts_ms) == 0:
            return np.zeros(len(times_ms)), np.zeros(len(times_ms), dtype=np.bool_)
        found = np.searchsorted(self.ts_ms, times_ms, side="right") - 1
        idx = np.maximum(found, 0)
        values = self.values[idx]
        is_fresh = self.ts_ms[idx] > times_ms - lookback_span_ms
        return values, (found >= 0) & is_fresh & ~is_stale(values)

    def between(self, after_ms: int, until_ms: int) -> tuple[I64, F64]:
        """Return the samples in (after_ms, until_ms], staleness markers left out."""
        first, last = np.searchsorted(self.ts_ms, (after_ms, until_ms), side="right")
        ts_ms, values = self.ts_ms[first:last], self.values[first:last]
        keep = ~is_stale(values)
        return ts_ms[keep], values[keep]


@dataclass(frozen=True, slots=True)
class IncidentColumn:
    """An incident as a series of ones from `opened_ms` until before `resolved_ms` (0 = open)."""

    labels: Labels
    opened_ms: int
    resolved_ms: int

    def at(self, times_ms: I64, _: int, /) -> tuple[F64, Mask]:
        """Return 1 wherever the incident is open; look-back does not matter here."""
        is_open = times_ms >= self.opened_ms
        if self.resolved_ms:
            is_open = is_open & (times_ms < self.resolved_ms)
        return np.ones(len(times_ms)), is_open

    def between(self, after_ms: int, until_ms: int) -> tuple[I64, F64]:
        """Return ones at each full minute of (after_ms, until_ms] while it was open."""
        first_ms = max(after_ms + 1, self.opened_ms)
        last_ms = min(until_ms, self.resolved_ms - 1) if self.resolved_ms else until_ms
        step_ms = INCIDENT_STEP_SPAN_MS
        check_samples((last_ms - first_ms) // step_ms)  # before memory is taken for them
        grid_ms = np.arange(-(-first_ms // step_ms) * step_ms, last_ms + 1, step_ms, dtype=np.int64)
        return grid_ms, np.ones(len(grid_ms))


def is_stale(values: F64) -> Mask:
    """Return where values are staleness markers; the bits are compared, NaN is a value."""
    bits: U64 = values.view(np.uint64)
    return np.equal(bits, STALE_BITS)
