"""What the shell fetched for a query, and how selectors find their series in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from aiops.domain.incident import Incident
from aiops.domain.samples import F64, SeriesRows
from aiops.query.columns import Column, SampleColumn
from aiops.query.derived import derived_column, incident_columns, select
from aiops.query.plan import RowsFetch, base_fetch, stored_fetch
from aiops.query.rates import RangeFunction, apply_windows
from aiops.query.tree import Selector, Window
from aiops.query.values import Mask, Matrix, RangeSeries, Vector, check_samples


@dataclass(frozen=True, slots=True)
class Fetched:
    """The answers to a plan's fetches; arrays are only read."""

    rows: Mapping[RowsFetch, list[SeriesRows]]
    incidents: list[Incident]


def read_vector(selector: Selector, window: Window, fetched: Fetched) -> Vector:
    """Return what a vector selector yields at each evaluation time; empty series left out."""
    times_ms = selector.times_ms(window)

    def read(column: Column) -> tuple[F64, Mask]:
        return column.at(times_ms, window.lookback_span_ms)

    return _stacked(_columns(selector, window, fetched), len(times_ms), read)


def read_windows(
    function: RangeFunction, selector: Selector, window: Window, fetched: Fetched
) -> Vector:
    """Return a function of each window of a range selector, names kept."""
    times_ms, span_ms = selector.times_ms(window), selector.range_span_ms
    first_ms, last_ms = selector.reach_ms(window)

    def read(column: Column) -> tuple[F64, Mask]:
        return apply_windows(function, column.between(first_ms - 1, last_ms), times_ms, span_ms)

    return _stacked(_columns(selector, window, fetched), len(times_ms), read)


def read_matrix(selector: Selector, window: Window, fetched: Fetched) -> Matrix:
    """Return what a range selector yields at the one time of an instant query."""
    until_ms = int(selector.times_ms(window)[0])
    found = []
    for column in _columns(selector, window, fetched):
        ts_ms, values = column.between(until_ms - selector.range_span_ms, until_ms)
        if len(ts_ms):
            found.append(RangeSeries(column.labels, ts_ms, values))
    check_samples(sum(len(one.ts_ms) for one in found))
    return Matrix(tuple(found))


def _stacked(
    columns: list[Column], n_times: int, read: Callable[[Column], tuple[F64, Mask]]
) -> Vector:
    shape = (len(columns), n_times)
    check_samples(shape[0] * shape[1])
    values, present = np.empty(shape), np.empty(shape, dtype=np.bool_)
    for row, column in enumerate(columns):
        values[row], present[row] = read(column)
    kept = np.flatnonzero(present.any(axis=1))
    labels = tuple(columns[row].labels for row in kept)
    return Vector(labels, values[kept], present[kept])


def _columns(selector: Selector, window: Window, fetched: Fetched) -> list[Column]:
    selection = select(selector.matchers)
    columns: list[Column] = []
    if stored := stored_fetch(selector, window):
        for rows in fetched.rows[stored]:
            columns.append(SampleColumn(rows.ref.labels, rows.ts_ms, rows.values))
    if base := base_fetch(selector, window):
        for rows in fetched.rows[base]:
            columns.extend(derived_column(rows, name) for name in selection.names)
    if selection.has_incidents:
        columns.extend(incident_columns(fetched.incidents, selection.matchers))
    return columns
