"""Binary operators on scalars and on a vector with a scalar."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from aiops.domain.samples import F64
from aiops.query.values import Mask, Scalar, Vector, drop_names

ARITHMETIC: dict[str, Callable[[F64, F64], F64]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,  # Go's math.Mod: the sign is the dividend's
    "^": np.power,
    "atan2": np.arctan2,
}

COMPARISON: dict[str, Callable[[F64, F64], npt.NDArray[np.bool_]]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}


def combine_scalars(operator: str, left: Scalar, right: Scalar) -> Scalar:
    """Return the result of an operator on scalars; a comparison yields 1 or 0."""
    return Scalar(_compute(operator, left.values, right.values))


def combine_vector(
    operator: str, left: Vector | Scalar, right: Vector | Scalar, *, is_bool: bool
) -> Vector:
    """Return the result of an operator of which exactly one side is a vector.

    A comparison without `bool` keeps the vector's series, values and names where it holds;
    everything else replaces the values and drops the names.
    """
    vector = left if isinstance(left, Vector) else right
    assert isinstance(vector, Vector)
    if operator in COMPARISON and not is_bool:
        with np.errstate(all="ignore"):
            holds: Mask = COMPARISON[operator](left.values, right.values)
        return _filtered(vector, vector.present & holds)
    return drop_names(
        Vector(vector.labels, _compute(operator, left.values, right.values), vector.present)
    )


def negate(value: Scalar | Vector) -> Scalar | Vector:
    """Return the value with its sign changed, a vector without names."""
    if isinstance(value, Scalar):
        return Scalar(-value.values)
    return drop_names(Vector(value.labels, -value.values, value.present))


def _compute(operator: str, left: F64, right: F64) -> F64:
    with np.errstate(all="ignore"):
        if operator in COMPARISON:
            return COMPARISON[operator](left, right).astype(np.float64)
        return ARITHMETIC[operator](left, right)


def _filtered(vector: Vector, present: Mask) -> Vector:
    kept = np.flatnonzero(present.any(axis=1))
    labels = tuple(vector.labels[row] for row in kept)
    return Vector(labels, vector.values[kept], present[kept])
