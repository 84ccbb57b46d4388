"""sum, avg, min, max and count over a vector's series, grouped by labels."""

from collections.abc import Callable

import numpy as np

from aiops.domain.labels import METRIC_NAME, Labels
from aiops.domain.samples import F64
from aiops.query.values import Mask, Vector

Aggregation = Callable[[F64, Mask], F64]
"""From (n_series, n_times) values and presence to (n_times,) values."""


def aggregate(
    operator: str, vector: Vector, labels: tuple[str, ...], *, is_without: bool
) -> Vector:
    """Return one series per group; at each time only series that are present count.

    Parameters
    ----------
    operator
        A key of AGGREGATIONS.
    labels
        The labels kept in a group's name, or with `is_without` those dropped from it together
        with the metric name.
    """
    groups: dict[Labels, list[int]] = {}
    for row, one in enumerate(vector.labels):
        groups.setdefault(_group(one, frozenset(labels), is_without=is_without), []).append(row)
    shape = (len(groups), vector.values.shape[1])
    values, present = np.zeros(shape), np.zeros(shape, dtype=np.bool_)
    with np.errstate(all="ignore"):
        for row, members in enumerate(groups.values()):
            ok = vector.present[members]
            values[row] = AGGREGATIONS[operator](vector.values[members], ok)
            present[row] = ok.any(axis=0)
    return Vector(tuple(groups), values, present)


def _group(labels: Labels, names: frozenset[str], *, is_without: bool) -> Labels:
    if is_without:
        return tuple(p for p in labels if p[0] not in names and p[0] != METRIC_NAME)
    return tuple(pair for pair in labels if pair[0] in names)


def _sum(values: F64, present: Mask) -> F64:
    """Return the sum with Neumaier's compensation, as Prometheus 3 adds."""
    total = np.zeros(values.shape[1])
    lost = np.zeros(values.shape[1])
    for row, ok in zip(values, present, strict=True):
        added = np.where(ok, row, 0.0)
        new = total + added
        is_larger = np.abs(total) >= np.abs(added)
        rest = np.where(is_larger, (total - new) + added, (added - new) + total)
        lost = np.where(np.isinf(new), 0.0, lost + rest)
        total = new
    summed: F64 = total + lost
    return summed


def _avg(values: F64, present: Mask) -> F64:
    """Return the mean; unlike Prometheus, a sum beyond float64 gives Inf."""
    mean: F64 = _sum(values, present) / _count(values, present)
    return mean


def _min(values: F64, present: Mask) -> F64:
    least: F64 = np.fmin.reduce(np.where(present, values, np.nan), axis=0)
    return least  # NaN only where there is no number


def _max(values: F64, present: Mask) -> F64:
    greatest: F64 = np.fmax.reduce(np.where(present, values, np.nan), axis=0)
    return greatest


def _count(_: F64, present: Mask) -> F64:
    return np.asarray(present.sum(axis=0), dtype=np.float64)


AGGREGATIONS: dict[str, Aggregation] = {
    "sum": _sum,
    "avg": _avg,
    "min": _min,
    "max": _max,
    "count": _count,
}
"""Every aggregation that is evaluated."""
