"""The evidence of one class of series: how often it would open anomalies, and the level for it."""

import math
from dataclasses import dataclass, field, fields

import numpy as np

from aiops.detect.episodes import LEVEL_DEFAULT
from aiops.detect.kernels.episodes import GRID_SIZE
from aiops.detect.tail_level import Openings, fit_tail, is_burst
from aiops.domain.samples import F64, I64

LEVEL_MIN = 3.0
"""One in a thousand: below it hardly any series has tails of which the detector knows nothing."""

LEVEL_MAX = 14.0
"""A million series each second, one false anomaly in ten days, calibrated: 11.5. The rest is room
for tails that are not."""

LEVEL_START = LEVEL_DEFAULT
"""Until the rate of rows is known; all series are in their warm-up then."""

LEVEL_PER_DAY_MAX = 2.4
"""Chosen: 0.1 an hour, so that an hour of anything at all changes little."""

SETTLE_DAYS = 1 / 24
"""Chosen: within the first hour the level follows at once; few series are past warm-up by then."""

MEMORY_DAYS = (1.0, 7.0)
MEMORY_SHARE = 1 / 3
"""Chosen: as long as a third of the class's age, a day at least and a week at most. Young series
open several times as often, and what they did must fade faster than the mean over the class's life
would have it; a week holds every weekday."""

THEORY_DAYS = 0.02
"""Chosen: what theory weighs against what was counted: half an hour. It foretells about ten times
as many openings as there are, so it is a tenth after five hours, and soon nothing."""

RATE_DAYS = 0.25
"""Chosen: time over which the number of rows a day is averaged."""

BURST_SHARE_MAX = 0.25
"""Chosen: when more of the time than this is bursts, they are the state of things and count."""

HISTORY_FULL = 2000.0
"""Chosen: samples a series after which scores are taken at their word; 1.4 days at 60 s."""

YOUNG_MARGIN = 0.5
"""Chosen: how much stricter for each factor of ten that is missing. n samples show tails down to
1/n, and what lies beyond is extrapolation; but scores of young series have a ceiling, and the
level should not lie above it."""

REACH = 4.5
"""Chosen: half below what the clearest fault scores after n samples, log10(n) + 5. A fleet too
young for its budget opens too much for a while, rather than nothing at all."""


@dataclass(slots=True)
class ClassBudget:
    """Turns what a class showed into its level; one span of time after another.

    Parameters
    ----------
    open_samples, clear_score
        As the episodes are made.
    """

    open_samples: int
    clear_score: float
    counts: F64 = field(default_factory=lambda: np.zeros(GRID_SIZE))
    n_rows: float = 0.0
    """Rows that `counts` come from; both forget."""
    n_rows_week: float = 0.0
    rows_per_day: float = 0.0
    age_days: float = 0.0
    burst_share: float = 0.0
    level: float = LEVEL_START

    def learn(self, tally: I64, *, n_rows: int, n_fresh: int, span_days: float) -> None:
        """Take over what happened in a span: openings by level, all rows, and those not late.

        Late rows tell as much about openings, but a backlog nothing about the rows of a day.
        """
        self.age_days += span_days
        self._learn_rate(n_fresh or n_rows, span_days)
        self.n_rows_week = self.n_rows_week * math.exp(-span_days / MEMORY_DAYS[1]) + n_rows
        has_burst = is_burst(tally, self._openings().rates(), n_rows)
        self.burst_share += (float(has_burst) - self.burst_share) * -math.expm1(-span_days)
        if has_burst and self.burst_share <= BURST_SHARE_MAX:
            return  # a span that tells nothing: neither its openings count nor its rows
        memory_days = min(max(MEMORY_SHARE * self.age_days, MEMORY_DAYS[0]), MEMORY_DAYS[1])
        kept = math.exp(-span_days / memory_days)
        # A series that rose in a span that was left out, and on in this one, is in the tally of the
        # upper levels only; but what reached a level reached all below.
        counts = self.counts * kept + tally
        self.counts = np.maximum.accumulate(counts[::-1])[::-1].copy()
        self.n_rows = self.n_rows * kept + n_rows

    def move(self, false_per_day: float, n_series: int, span_days: float) -> None:
        """Move the level towards where `false_per_day` openings are left."""
        if self.rows_per_day <= 0.0:
            return
        wanted_rate = false_per_day / self.rows_per_day
        tail = fit_tail(self._openings(), wanted_rate=wanted_rate, level_min=self._level_min())
        target = tail.level_at(wanted_rate)
        n_samples = max(self.n_rows_week / max(n_series, 1), 1.0)
        margin = YOUNG_MARGIN * max(0.0, math.log10(HISTORY_FULL / n_samples))
        highest = min(math.log10(n_samples) + REACH, LEVEL_MAX)
        target = max(min(target + margin, highest), LEVEL_MIN)
        step = LEVEL_PER_DAY_MAX * span_days if self.age_days > SETTLE_DAYS else LEVEL_MAX
        self.level += min(max(target - self.level, -step), step)

    def false_per_day(self) -> float:
        """Return how many false openings a day the level leaves, by the same estimate."""
        if self.rows_per_day <= 0.0:
            return 0.0
        tail = fit_tail(
            self._openings(), wanted_rate=0.0, level_min=self._level_min(), level_max=self.level
        )
        return tail.rate_at(self.level) * self.rows_per_day

    def numbers(self) -> list[float]:
        """Return all that changes besides `counts`, for a snapshot."""
        return [getattr(self, name) for name in NUMBERS]

    def restore(self, counts: F64, numbers: list[float]) -> None:
        """Take over what `counts` and `numbers` gave."""
        self.counts = counts.copy()
        for name, number in zip(NUMBERS, numbers, strict=True):
            setattr(self, name, number)

    def _learn_rate(self, n_rows: int, span_days: float) -> None:
        known_days = min(self.age_days, RATE_DAYS)
        weight = -math.expm1(-span_days / known_days) if self.rows_per_day > 0.0 else 1.0
        self.rows_per_day += (n_rows / span_days - self.rows_per_day) * weight

    def _openings(self) -> Openings:
        # The first span is judged by its own number of rows: no other is known.
        n_theory = THEORY_DAYS * self.rows_per_day
        return Openings(self.counts, self.n_rows, n_theory, self.open_samples)

    def _level_min(self) -> float:
        # Runs begin at the clear score: how many would open below it nobody counted.
        return min(self.clear_score, self.level - 1.0)


NUMBERS = tuple(
    item.name
    for item in fields(ClassBudget)
    if item.name not in ("open_samples", "clear_score", "counts")
)
