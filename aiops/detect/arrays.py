"""State arrays of the banks: growing, restoring, and the one check before a kernel runs."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from aiops.domain.samples import F64, I32, I64
from aiops.errors import SnapshotError

Scalar = TypeVar("Scalar", bound=np.generic)


def grown(array: npt.NDArray[Scalar], capacity: int) -> npt.NDArray[Scalar]:
    """Return a zeroed array with `capacity` rows that begins with those of `array`.

    An array that is long enough is returned itself.
    """
    if capacity <= len(array):
        return array
    larger = np.zeros((capacity, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


def restored(
    state: Mapping[str, npt.NDArray[np.generic]],
    name: str,
    like: npt.NDArray[Scalar],
    n_rows: int,
) -> npt.NDArray[Scalar]:
    """Return a zeroed array shaped as `like` whose first `n_rows` rows are the saved ones.

    Raises
    ------
    SnapshotError
        When the saved array is missing, too short, or of another width or type.
    """
    saved = state.get(name)
    if saved is None or saved.dtype != like.dtype or saved.shape[1:] != like.shape[1:]:
        raise SnapshotError(f"saved detector state {name!r} is missing or has another layout")
    if len(saved) < n_rows or len(like) < n_rows:
        raise SnapshotError(f"saved detector state {name!r} does not hold {n_rows} slots")
    fresh = np.zeros(like.shape, like.dtype)  # zeros_like would touch every page of room to grow
    fresh[:n_rows] = saved[:n_rows]
    return fresh


def under(
    prefix: str, arrays: Mapping[str, npt.NDArray[np.generic]]
) -> dict[str, npt.NDArray[np.generic]]:
    """Return the arrays of a snapshot whose names begin with a prefix, without it."""
    found = arrays.items()
    return {name.removeprefix(prefix): a for name, a in found if name.startswith(prefix)}


def copy_rows(pairs: Iterable[tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]]) -> None:
    """Copy the second array of each pair into the first.

    Raises
    ------
    RuntimeError
        When two differ in shape: numpy would repeat one row over all others.
    """
    for array, source in pairs:
        if array.shape != source.shape:
            raise RuntimeError(f"BUG: {source.shape} copied into {array.shape}; grow it first")
        np.copyto(array, source)


def check_rows(slots: I32, ts_ms: I64, features: F64, n_slots: int, n_rows_max: int) -> int:
    """Return the number of rows of a batch; kernels check nothing themselves.

    Raises
    ------
    RuntimeError
        When columns differ in length, do not fit the outputs, or name a slot out of range.
    """
    n = len(slots)
    if not n == len(ts_ms) == len(features) <= n_rows_max:
        raise RuntimeError(f"BUG: batch of {n} rows, outputs for {n_rows_max}")
    if n and (int(slots.min()) < 0 or int(slots.max()) >= n_slots):
        raise RuntimeError(f"BUG: slot out of range, capacity is {n_slots}")
    return n


def writable(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """Return the array, or a copy if it is read-only: kernels are typed for writable ones."""
    return array if array.flags.writeable else array.copy()
