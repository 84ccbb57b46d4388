"""Runs of labelled rows, as first and last row."""

import numpy as np
import numpy.typing as npt

from aiops.domain.samples import I64

Labels = npt.NDArray[np.bool_]
"""True where a row is labelled anomalous."""


def segments_of(labels: Labels) -> tuple[I64, I64]:
    """Return the first and the last row of every run of true labels."""
    edges = np.diff(np.asarray(labels, np.int8), prepend=0, append=0)
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
