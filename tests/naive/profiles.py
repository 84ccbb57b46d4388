"""Plain twin of civil time and of the seasonal profiles, one series at a time."""

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np

HOUR_MS = 3_600_000
QUARTER_MS = HOUR_MS // 4
DAY_MS = 24 * HOUR_MS


def naive_civil(ts_ms: int, zone: str = "UTC", holidays: Collection[date] = ()) -> tuple[int, int]:
    """Milliseconds since midnight and since Monday on a wall clock; a holiday is a Sunday."""
    local = datetime.fromtimestamp(ts_ms // 1000, UTC).astimezone(ZoneInfo(zone))
    into_s = local.hour * 3600 + local.minute * 60 + local.second
    day_ms = into_s * 1000 + ts_ms % 1000
    weekday = 6 if local.date() in holidays else local.weekday()
    return day_ms, weekday * DAY_MS + day_ms


@dataclass
class NaiveProfile:
    """What a day, and a week on top of it, add to a level; bins are kept as float32."""

    base: float = 0.0
    stage: str = "first day"
    fine_since_ms: float = 0.0
    seen: set[int] = field(default_factory=set)
    coarse: list[float] = field(default_factory=lambda: [0.0] * 24)
    quarters: list[float] = field(default_factory=lambda: [0.0] * 96)
    week: list[float] = field(default_factory=lambda: [0.0] * 168)

    def seasons(self, civil: tuple[int, int]) -> tuple[float, float]:
        """What the day adds to a level, and what day and week add."""
        day_ms, week_ms = civil
        if self.stage != "fine":
            day = self.base + _at(self.coarse, _place(day_ms, HOUR_MS, 24))
            return day, day
        day = self.base + _at(self.quarters, _place(day_ms, QUARTER_MS, 96))
        return day, day + _at(self.week, _place(week_ms, HOUR_MS, 168))

    def fill_first_day(self, value: float, day_ms: int, interval_ms: float) -> None:
        """Let the hour's bin be the mean of its samples so far, relative to the first sample.

        The first sample of an hour stands for what was missed of it.
        """
        hour, into_ms = divmod(day_ms, HOUR_MS)
        share = 1 / (1 + into_ms / interval_ms) if hour in self.seen else 1.0
        _move(self.coarse, hour, (value - self.base - self.coarse[hour]) * share)
        self.seen.add(hour)

    def end_first_day(self, newest: int) -> float:
        """Take out the trend, as the newest hour lies beside the oldest; return the rise.

        Hours without a sample lie on lines between those around; before the first of all as it.
        """
        order = [(newest + 1 + k) % 24 for k in range(24)]
        places = [k for k, hour in enumerate(order) if hour in self.seen]
        known = [self.coarse[order[k]] for k in places]
        for k, hour in enumerate(order):
            self.coarse[hour] = float(np.float32(np.interp(k, places, known)))
        rise = self.coarse[newest] - self.coarse[(newest + 1) % 24]
        for k in range(24):
            _move(self.coarse, (newest + 1 + k) % 24, -rise * k / 23)
        self.stage = "coarse"
        return rise

    def refine(self, ts_ms: int) -> None:
        """Begin the fine profile as the coarse one says."""
        for k in range(96):
            place = _place(int((k + 0.5) * QUARTER_MS), HOUR_MS, 24)
            self.quarters[k] = float(np.float32(_at(self.coarse, place)))
        self.stage, self.fine_since_ms = "fine", float(ts_ms)

    def learn(
        self,
        value: float,
        levels: tuple[float, float],
        civil: tuple[int, int],
        interval_ms: float,
        limit: float,
    ) -> None:
        """Move the profile in use towards what it failed to tell over the slow levels."""
        day_level, week_level = levels
        day_ms, week_ms = civil
        if self.stage == "coarse":
            place = _place(day_ms, HOUR_MS, 24)
            gap = value - (self.base + _at(self.coarse, place)) - day_level
            _teach(self.coarse, place, _cut(gap, limit), interval_ms / HOUR_MS)
            return
        place = _place(day_ms, QUARTER_MS, 96)
        day = self.base + _at(self.quarters, place)
        gap = _cut(value - day - day_level, limit)
        _teach(self.quarters, place, gap, interval_ms / QUARTER_MS)
        place = _place(week_ms, HOUR_MS, 168)
        gap = _cut(value - (day + _at(self.week, place)) - week_level, limit)
        _teach(self.week, place, gap, interval_ms / HOUR_MS)


def _cut(gap: float, limit: float) -> float:
    return min(max(gap, -limit), limit)


Place = tuple[int, int, float]


def _place(time_ms: int, bin_ms: int, count: int) -> Place:
    """Bins around a time and the share of the later one; bin k has its centre at k + 0.5."""
    position = time_ms / bin_ms + 0.5
    whole = math.floor(position)
    return (whole - 1) % count, whole % count, position - whole


def _at(bins: list[float], place: Place) -> float:
    left, right, part = place
    return bins[left] + part * (bins[right] - bins[left])


def _move(bins: list[float], k: int, gap: float) -> None:
    """Profiles are kept as float32."""
    bins[k] = float(np.float32(min(max(bins[k] + gap, -1e30), 1e30)))


def _teach(bins: list[float], place: Place, gap: float, visit: float) -> None:
    """Move two bins by a share of the gap, a quarter of the way a visit."""
    left, right, part = place
    gap = min(0.29 * visit, 0.25) * gap
    _move(bins, left, (1 - part) * gap)
    _move(bins, right, part * gap)
