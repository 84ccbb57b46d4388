"""What derived series have in common: columns of their values, arrays that grow and are saved."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from aiops.domain.samples import I32, I64, U64
from aiops.errors import SnapshotError

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Signals:
    """What derived series showed, a row a value; views, valid until the next are asked for.

    `families` and `numbers` say whose and which, `bits` are those of the value, or a staleness
    marker where the derived series ended.
    """

    families: I32
    numbers: I32
    ts_ms: I64
    bits: U64


def with_rows(old: npt.NDArray[Scalar], n_rows: int) -> npt.NDArray[Scalar]:
    """Return a zeroed array with `n_rows` rows that begins with those of `old`, or `old` itself."""
    if n_rows <= len(old):
        return old
    grown = np.zeros((n_rows, *old.shape[1:]), old.dtype)
    grown[: len(old)] = old
    return grown


def is_saved(
    names: Iterable[str], arrays: Mapping[str, npt.NDArray[np.generic]], what: str
) -> bool:
    """Tell whether a snapshot has these arrays, all of them.

    Raises
    ------
    SnapshotError
        When it has only some.
    """
    wanted = list(names)
    missing = [name for name in wanted if name not in arrays]
    if missing and len(missing) < len(wanted):
        raise SnapshotError(f"saved {what} lack {missing[0]!r}")
    return not missing
