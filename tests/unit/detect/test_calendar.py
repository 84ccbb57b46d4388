"""Civil time of a place: days, weeks, holidays, and clocks that are set."""

from datetime import UTC, date, datetime

import numpy as np
import pytest
from series_data import of_days, score_series, times

from aiops.config import DetectConfig
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.calendar import DAY_MS, WEEK_MS, Calendar
from aiops.detect.parts import season_of

HOUR_MS = 3_600_000


def at_ms(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def civil(calendar, *texts):
    days, weeks = calendar.civil(np.array([at_ms(text) for text in texts], np.int64))
    return (days / HOUR_MS).tolist(), (weeks / HOUR_MS).tolist()


def test_weeks_begin_on_monday_at_midnight():
    days, weeks = civil(Calendar(), "2024-01-01T00:00", "2024-01-07T23:30", "2024-01-08T01:00")
    assert days == [0.0, 23.5, 1.0]
    assert weeks == [0.0, 167.5, 1.0]


def test_a_place_has_its_own_midnight_before_and_after_its_clocks_are_set():
    berlin = Calendar("Europe/Berlin")
    days, _ = civil(berlin, "2024-03-30T23:00", "2024-03-31T00:59", "2024-03-31T01:00")
    assert days == pytest.approx([0.0, 1 + 59 / 60, 3.0])
    days, _ = civil(berlin, "2024-10-27T00:59", "2024-10-27T01:00")
    assert days == pytest.approx([2 + 59 / 60, 2.0])


def test_a_time_zone_of_three_quarters_of_an_hour_is_followed():
    days, weeks = civil(Calendar("Asia/Kathmandu"), "2024-01-06T18:30")
    assert days == [0.25] and weeks == [144.25]


def test_a_holiday_counts_as_sunday_from_midnight_to_midnight_of_the_place():
    calendar = Calendar("Europe/Berlin", [date(2024, 5, 1)])
    texts = ("2024-04-30T21:59", "2024-04-30T22:00", "2024-05-01T21:59", "2024-05-01T22:00")
    _, weeks = civil(calendar, *texts)
    assert weeks == pytest.approx([24 + 24 - 1 / 60, 144.0, 168 - 1 / 60, 72.0])


def test_the_order_of_times_and_what_was_asked_before_do_not_matter():
    ts_ms = at_ms("2024-03-25T00:00") + np.arange(20_000, dtype=np.int64) * 1_234_567
    used, fresh = Calendar("America/New_York"), Calendar("America/New_York")
    shuffled = np.random.default_rng(1).permutation(len(ts_ms))
    days, weeks = used.civil(ts_ms[shuffled])
    for part in np.array_split(np.arange(len(ts_ms)), 7):
        used.civil(ts_ms[part] + 90 * DAY_MS)
    again = used.civil(ts_ms[shuffled])
    wanted = fresh.civil(ts_ms)
    assert (days == wanted[0][shuffled]).all() and (weeks == wanted[1][shuffled]).all()
    assert (again[0] == days).all() and (again[1] == weeks).all()


def test_no_times_have_no_places():
    days, weeks = Calendar("Europe/Berlin", [date(2024, 1, 1)]).civil(np.zeros(0, np.int64))
    assert len(days) == len(weeks) == 0


def test_times_before_1970_lie_in_their_day_and_week():
    days, weeks = Calendar().civil(np.array([-1, -4 * DAY_MS], np.int64))
    assert days.tolist() == [DAY_MS - 1, 0]
    assert ((weeks >= 0) & (weeks < WEEK_MS)).all()


def of_berlin(n_days):
    """An office's load from Monday 2024-02-05 on: 8 to 17 by Berlin's clock, none on weekends."""
    ts_ms = at_ms("2024-02-04T23:00") + times(n_days * 288, 300) - times(1)[0]
    days_ms, weeks_ms = Calendar("Europe/Berlin").civil(ts_ms)
    is_open = (days_ms >= 8 * HOUR_MS) & (days_ms < 17 * HOUR_MS) & (weeks_ms < 5 * DAY_MS)
    noise = np.random.default_rng(5).normal(size=len(ts_ms))
    return ts_ms, 10.0 + 20 * is_open + noise


def test_an_office_that_opens_by_the_clock_is_expected_when_clocks_are_set():
    ts_ms, values = of_berlin(59)
    after = ts_ms >= at_ms("2024-03-31T22:00")  # the first Monday of summer time
    by_clock = score_series(values, ts_ms, DetectConfig(time_zone="Europe/Berlin"))
    by_utc = score_series(values, ts_ms, DetectConfig())
    off = [np.abs(values - out.expected)[after].mean() for out in (by_clock, by_utc)]
    assert off[0] < 0.8 * off[1]


def test_a_holiday_is_expected_to_be_a_sunday_if_the_config_says_so():
    ts_ms, values = of_berlin(52)
    holiday = date(2024, 3, 27)  # a Wednesday
    is_holiday = (ts_ms >= at_ms("2024-03-26T23:00")) & (ts_ms < at_ms("2024-03-27T23:00"))
    values[is_holiday] = 10 + np.random.default_rng(6).normal(size=int(is_holiday.sum()))
    told = DetectConfig(time_zone="Europe/Berlin", holidays=(holiday,))
    untold = DetectConfig(time_zone="Europe/Berlin")
    knowing, ignorant = (score_series(values, ts_ms, config) for config in (told, untold))
    assert ignorant.scores[is_holiday].max() > knowing.scores[is_holiday].max()
    assert knowing.scores[is_holiday].max() < 4
    assert {season_of(int(word)) for word in knowing.parts[is_holiday]} == {"week"}


@pytest.mark.parametrize(
    ("number", "seasons"), [(0, {"", "day", "week"}), (1, {""}), (2, {"", "day"})]
)
def test_a_series_follows_no_season_beyond_its_limit(number, seasons):
    bank = SeasonalBank(DetectConfig(), 1)
    bank.limit_seasons(np.zeros(1, np.int32), np.array([number], np.uint8))
    out = score_series(of_days(20), times(20 * 288, 300), bank=bank)
    assert {season_of(int(word)) for word in out.parts} == seasons


def test_the_config_refuses_a_time_zone_nobody_knows_and_names_it():
    with pytest.raises(ValueError, match="Europe/Atlantis"):
        DetectConfig(time_zone="Europe/Atlantis")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/localtime", ""])
def test_the_config_reads_no_file_that_is_no_time_zone(name):
    with pytest.raises(ValueError, match="time zone"):
        DetectConfig(time_zone=name)


def test_the_config_takes_holidays_as_dates_of_iso_8601_and_refuses_others():
    config = DetectConfig.model_validate({"holidays": ["2024-12-25", "2025-01-01"]})
    assert config.holidays == (date(2024, 12, 25), date(2025, 1, 1))
    with pytest.raises(ValueError, match="holidays"):
        DetectConfig.model_validate({"holidays": ["25.12.2024"]})
