"""False alarms as a ratio to what a score promises: 1 is honest, 10 cries wolf ten times."""

from dataclasses import dataclass

import numpy as np

from aiops.domain.samples import F64
from aiops.evaluate.scorers.segments import Labels

P_LEVELS = (1e-3, 1e-4)
"""Tail probabilities at which alarms are counted."""


@dataclass(frozen=True, slots=True)
class AlarmRatios:
    """Share of normal rows in alarm divided by the nominal share; NaN without rows."""

    at_1e3: float
    at_1e4: float


@dataclass(frozen=True, slots=True)
class AlarmTally:
    """Counts over normal rows; tallies of several series add up."""

    n_rows: int = 0
    n_at_1e3: int = 0
    n_at_1e4: int = 0

    def __add__(self, other: "AlarmTally") -> "AlarmTally":
        return AlarmTally(
            self.n_rows + other.n_rows,
            self.n_at_1e3 + other.n_at_1e3,
            self.n_at_1e4 + other.n_at_1e4,
        )

    def ratios(self) -> AlarmRatios:
        """Return how often rows were in alarm, as a ratio to nominal."""
        if self.n_rows == 0:
            return AlarmRatios(np.nan, np.nan)
        counts = (self.n_at_1e3, self.n_at_1e4)
        pairs = zip(counts, P_LEVELS, strict=True)
        return AlarmRatios(*(count / self.n_rows / p for count, p in pairs))


def tally_alarms(
    scores: F64, labels: Labels, levels: tuple[float, float], *, warmup_rows: int
) -> AlarmTally:
    """Return the alarms among the rows labelled normal, after the first `warmup_rows`.

    Parameters
    ----------
    scores, labels
        Of one series, or of several, one a column, that share times and labels.
    levels
        Scores that stand for a tail probability of 1e-3 and of 1e-4.
    """
    judged = scores[warmup_rows:][~labels[warmup_rows:]]
    at_1e3, at_1e4 = (int(np.count_nonzero(judged >= level)) for level in levels)
    return AlarmTally(judged.size, at_1e3, at_1e4)
