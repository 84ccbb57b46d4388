"""What evaluation works on: columns over series and evaluation times."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.domain.labels import Labels, without_name
from aiops.domain.samples import F64, I64
from aiops.errors import QueryExecutionError

Mask = npt.NDArray[np.bool_]

SAMPLES_MAX = 50_000_000
"""Prometheus' default query.max-samples; bounds rows fetched and cells computed per query."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number per evaluation time; `values` is float64 of shape (n_times,)."""

    values: F64


@dataclass(frozen=True, slots=True)
class StringValue:
    """A string, the same at all times."""

    text: str


@dataclass(frozen=True, slots=True)
class Vector:
    """Series over evaluation times.

    `values` and `present` have shape (n_series, n_times); where `present` is False the series
    has no sample and the value means nothing. NaN is an ordinary value.
    """

    labels: tuple[Labels, ...]
    values: F64
    present: Mask


@dataclass(frozen=True, slots=True)
class RangeSeries:
    """The raw samples one series has within a range."""

    labels: Labels
    ts_ms: I64
    values: F64


@dataclass(frozen=True, slots=True)
class Matrix:
    """What a range selector yields at one evaluation time."""

    series: tuple[RangeSeries, ...]


Value = Scalar | StringValue | Vector | Matrix


def check_samples(n: int) -> None:
    """Raise QueryExecutionError when a query needs more than SAMPLES_MAX samples."""
    if n > SAMPLES_MAX:
        raise QueryExecutionError(
            "query processing would load too many samples into memory in query execution"
        )


def drop_names(vector: Vector) -> Vector:
    """Return the vector without metric names, as every computation on values yields it.

    Series that become equal are joined when they are never present at the same time.

    Raises
    ------
    QueryExecutionError
        When two series that become equal are present at the same time.
    """
    labels = tuple(without_name(one) for one in vector.labels)
    bare = Vector(labels, vector.values, vector.present)
    return bare if len(set(labels)) == len(labels) else _join_equal(bare)


def _join_equal(vector: Vector) -> Vector:
    rows: dict[Labels, int] = {}
    values, present = vector.values.copy(), vector.present.copy()
    for row, labels in enumerate(vector.labels):
        first = rows.setdefault(labels, row)
        if first == row:
            continue
        if bool(np.any(present[first] & present[row])):
            raise QueryExecutionError("vector cannot contain metrics with the same labelset")
        values[first] = np.where(present[row], values[row], values[first])
        present[first] |= present[row]
    kept = list(rows.values())
    return Vector(tuple(rows), values[kept], present[kept])
