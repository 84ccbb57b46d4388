"""The columns a bank writes its verdicts into, allocated once and reused for every batch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.domain.samples import F64

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class ScoreColumns:
    """What a detector said about the rows of a batch; the first n rows of each column count.

    Parameters
    ----------
    scores
        -log10 of the tail probability, 0 where the row was not judged. Episodes open by it.
    expected, half
        Baseline and half the width of its band, in the unit of the feature; NaN where the row
        was not judged.
    features
        What the detector read, NaN for an absent sample.
    severities
        The score with all evidence, also such that lasts for days once it is there, as a level
        never seen before does, and what is left of the rows before: for ranking and for adding up
        many series.
    alerts
        How much a person should be told of the row now: novel, and not soon after the last time.
        On the scale of `scores`, used for paging and evaluation; episodes do not open by it.
    parts
        What made up the score, eight bytes. Byte k, from the lowest, is min(255, round(16 x
        score)) of the streams residual, shift, spread, level and novelty; byte 5 is the season
        that was used: 0 none, 1 day, 2 week. A bank leaves the rest 0: the high bits of byte 5
        belong to `detect.rules`, bytes 6 and 7 to the quality of the data.
    """

    scores: F64
    expected: F64
    half: F64
    features: F64
    severities: F64
    alerts: F64
    parts: U64

    @classmethod
    def allocate(cls, capacity: int) -> "ScoreColumns":
        """Return columns for batches of up to `capacity` rows."""
        scores, expected, half, features, severities, alerts = (
            np.zeros(capacity) for _ in range(6)
        )
        parts = np.zeros(capacity, np.uint64)
        return cls(scores, expected, half, features, severities, alerts, parts)

    @property
    def capacity(self) -> int:
        """The most rows a batch may have."""
        return len(self.scores)
