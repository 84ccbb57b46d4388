"""Civil time: where in the day and the week of a place a moment lies."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np

from aiops.domain.samples import I64

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS

_EPOCH_WEEKDAY_MS = 3 * DAY_MS  # 1970-01-01 was a Thursday, weeks begin on Monday
_QUARTER_MS = 900_000  # clocks are moved on the quarter of an hour
_OFFSETS_MAX = 10_000  # chosen: a hundred days of quarters
_EPOCH_DAY = date(1970, 1, 1).toordinal()


class Calendar:
    """Turns epoch milliseconds into milliseconds since midnight and since Monday.

    Parameters
    ----------
    time_zone
        IANA name; its clock changes are followed.
    holidays
        Days that count as Sundays.
    """

    def __init__(self, time_zone: str = "UTC", holidays: Sequence[date] = ()) -> None:
        self._zone = None if time_zone == "UTC" else ZoneInfo(time_zone)
        self._holidays: I64 = np.array(
            sorted(day.toordinal() - _EPOCH_DAY for day in holidays), np.int64
        )
        self._offsets: dict[int, int] = {}

    def civil(self, ts_ms: I64) -> tuple[I64, I64]:
        """Return, for each time, the milliseconds since midnight and those since Monday."""
        local = ts_ms if self._zone is None else ts_ms + self._offset_ms(ts_ms)
        days_ms: I64 = local % DAY_MS
        weeks_ms: I64 = (local + _EPOCH_WEEKDAY_MS) % WEEK_MS
        if len(self._holidays):
            is_holiday = np.isin(local // DAY_MS, self._holidays)
            weeks_ms[is_holiday] = days_ms[is_holiday] + 6 * DAY_MS
        return days_ms, weeks_ms

    def _offset_ms(self, ts_ms: I64) -> I64:
        quarters, places = np.unique(ts_ms // _QUARTER_MS, return_inverse=True)
        known = self._offsets
        if len(known) + len(quarters) > _OFFSETS_MAX:
            known.clear()
        for quarter in quarters.tolist():
            if quarter not in known:
                moment = datetime.fromtimestamp(quarter * (_QUARTER_MS // 1000), UTC)
                span = moment.astimezone(self._zone).utcoffset()
                known[quarter] = 0 if span is None else round(span.total_seconds() * 1000)
        offsets: I64 = np.array([known[quarter] for quarter in quarters.tolist()], np.int64)
        shifts: I64 = offsets[places]
        return shifts
