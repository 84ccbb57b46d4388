"""Values to the `data` part of Prometheus' answers, sorted by labels."""

from dataclasses import dataclass

import numpy as np

from aiops.domain.labels import Labels
from aiops.domain.samples import F64, I64
from aiops.query.numbers import format_sample, format_samples, format_scalar, json_time
from aiops.query.tree import ValueType
from aiops.query.values import Matrix, RangeSeries, Scalar, StringValue, Value, Vector

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Encoded:
    """An answer's data, and whether `limit` cut series from it."""

    data: Json
    is_cut: bool = False


def encode_instant(value: Value, time_ms: int, *, limit: int = 0) -> Encoded:
    """Return the answer to an instant query; `limit` 0 keeps every series."""
    at = json_time(time_ms)
    match value:
        case Scalar():
            return Encoded(_data(ValueType.SCALAR, [at, format_scalar(float(value.values[0]))]))
        case StringValue():
            return Encoded(_data(ValueType.STRING, [at, value.text]))
        case Vector():
            return _limited(ValueType.VECTOR, _vector_items(value, at), limit)
        case Matrix():
            return _limited(ValueType.MATRIX, [_range_item(one) for one in value.series], limit)


def encode_range(value: Scalar | Vector, times_ms: I64, *, limit: int = 0) -> Encoded:
    """Return the answer to a range query; a scalar becomes one series without labels."""
    if isinstance(value, Scalar):
        items = [_range_item(RangeSeries((), times_ms, value.values))]
    else:
        items = [_range_item(one) for one in _present_series(value, times_ms)]
    return _limited(ValueType.MATRIX, items, limit)


def _limited(kind: ValueType, items: list[Json], limit: int) -> Encoded:
    items.sort(key=_sort_key)
    is_cut = 0 < limit < len(items)
    return Encoded(_data(kind, items[:limit] if is_cut else items), is_cut)


def _data(kind: ValueType, result: object) -> Json:
    return {"resultType": kind.value, "result": result}


def _vector_items(vector: Vector, at: int | float) -> list[Json]:
    rows = np.flatnonzero(vector.present[:, 0])
    values: F64 = vector.values[:, 0]
    return [
        {"metric": dict(vector.labels[row]), "value": [at, format_sample(float(values[row]))]}
        for row in rows
    ]


def _present_series(vector: Vector, times_ms: I64) -> list[RangeSeries]:
    found = []
    for labels, values, present in zip(vector.labels, vector.values, vector.present, strict=True):
        if present.any():
            found.append(RangeSeries(labels, times_ms[present], values[present]))
    return found


def _range_item(series: RangeSeries) -> Json:
    times = [json_time(ms) for ms in series.ts_ms.tolist()]
    pairs = list(zip(times, format_samples(series.values), strict=True))
    return {"metric": dict(series.labels), "values": pairs}


def _sort_key(item: Json) -> Labels:
    metric = item["metric"]
    assert isinstance(metric, dict)
    return tuple(metric.items())
