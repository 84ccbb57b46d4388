"""Functions over scalars and instant vectors, each with what it returns."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aiops.domain.samples import F64
from aiops.query.tree import ValueType
from aiops.query.values import Scalar, Value, Vector, drop_names


@dataclass(frozen=True, slots=True)
class Function:
    """What a function returns and how it computes.

    `compute` is given the evaluation times in seconds and the values of the arguments, whose
    types the parser has checked.
    """

    returns: ValueType
    compute: Callable[[F64, tuple[Value, ...]], Value]


def _time(times_s: F64, _: tuple[Value, ...]) -> Value:
    return Scalar(times_s)


def _vector(_: F64, arguments: tuple[Value, ...]) -> Value:
    values = _scalar_values(arguments[0]).reshape(1, -1)
    return Vector(((),), values, np.ones(values.shape, dtype=np.bool_))


def _scalar(times_s: F64, arguments: tuple[Value, ...]) -> Value:
    """Return the value of the only series present at each time, NaN with none or several."""
    vector = _as_vector(arguments[0])
    if not vector.labels:
        return Scalar(np.full(len(times_s), np.nan))
    is_single = vector.present.sum(axis=0) == 1
    row = vector.present.argmax(axis=0)
    values = vector.values[row, np.arange(len(times_s))]
    return Scalar(np.where(is_single, values, np.nan))


def _mapped(compute: Callable[[F64], F64]) -> Function:
    def apply(_: F64, arguments: tuple[Value, ...]) -> Value:
        return _with_values(_as_vector(arguments[0]), compute)

    return Function(ValueType.VECTOR, apply)


def _clamped(limit: Callable[[F64, F64], F64]) -> Function:
    def apply(_: F64, arguments: tuple[Value, ...]) -> Value:
        bound = _scalar_values(arguments[1])
        return _with_values(_as_vector(arguments[0]), lambda values: limit(values, bound))

    return Function(ValueType.VECTOR, apply)


def _round(times_s: F64, arguments: tuple[Value, ...]) -> Value:
    nearest = _scalar_values(arguments[1]) if len(arguments) > 1 else np.ones(len(times_s))
    with np.errstate(all="ignore"):
        inverse = 1.0 / nearest  # as Prometheus does: exact for 0.1, 0.01
    return _with_values(
        _as_vector(arguments[0]), lambda values: np.floor(values * inverse + 0.5) / inverse
    )


FUNCTIONS: dict[str, Function] = {
    "time": Function(ValueType.SCALAR, _time),
    "vector": Function(ValueType.VECTOR, _vector),
    "scalar": Function(ValueType.SCALAR, _scalar),
    "abs": _mapped(np.abs),
    "ceil": _mapped(np.ceil),
    "floor": _mapped(np.floor),
    "round": Function(ValueType.VECTOR, _round),
    "clamp_min": _clamped(np.maximum),  # NaN stays NaN, as with Go's math.Max
    "clamp_max": _clamped(np.minimum),
}
"""Every function over scalars and vectors that is evaluated."""


def _with_values(vector: Vector, compute: Callable[[F64], F64]) -> Vector:
    with np.errstate(all="ignore"):
        return drop_names(Vector(vector.labels, compute(vector.values), vector.present))


def _scalar_values(value: Value) -> F64:
    assert isinstance(value, Scalar)
    return value.values


def _as_vector(value: Value) -> Vector:
    assert isinstance(value, Vector)
    return value
