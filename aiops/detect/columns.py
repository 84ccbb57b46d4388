"""The columns a bank writes its verdicts into, allocated once and reused for every batch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.domain.samples import F64

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ScoreColumns:
    """What a detector said about the rows of a batch; the first n rows of each column count.

    Parameters
    ----------
    scores
        -log10 of the tail probability, 0 where the row was not judged.
    expected, half
        Baseline and half the width of its band, in the unit of the feature; NaN where the row
        was not judged.
    features
        What the detector read, NaN for an absent sample.
    """

    scores: F64
    expected: F64
    half: F64
    features: F64

    @classmethod
    def allocate(cls, capacity: int) -> "ScoreColumns":
        """Return columns for batches of up to `capacity` rows."""
        return cls(*(np.zeros(capacity) for _ in range(4)))

    @property
    def capacity(self) -> int:
        """The most rows a batch may have."""
        return len(self.scores)
