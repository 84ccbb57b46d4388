"""The alert score: what is news, and what was seen before."""

import numpy as np
from series_data import START_MS, of_stretches, times

from aiops.detect.banks.alerts import AlertBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.parts import parts_of

STEP_S = 300
NOVELTY = "novelty"


def alerts_of(evidence, values=None, interval_s=STEP_S, bank=None, ts_ms=None):
    n = len(evidence)
    out = ScoreColumns.allocate(n)
    np.copyto(out.alerts, evidence)
    values = np.zeros(n) if values is None else np.ascontiguousarray(values, float)
    ts_ms = times(n, interval_s) if ts_ms is None else ts_ms
    intervals = np.full(n, interval_s * 1000.0)
    bank = bank or AlertBank(1)
    bank.score(np.zeros(n, np.int32), ts_ms, values, intervals, out)
    return out


def novelty_of(out):
    return np.array([dict(parts_of(int(word))).get(NOVELTY, 0.0) for word in out.parts])


def test_the_second_of_two_like_peaks_is_much_less_news_than_the_first():
    evidence = np.zeros(200)
    evidence[[100, 110]] = 8.0
    alerts = alerts_of(evidence).alerts
    assert alerts[100] == 8.0
    assert 1.0 < alerts[110] < 2.5


def test_half_a_day_later_a_like_peak_is_news_again():
    evidence = np.zeros(600)
    evidence[[100, 500]] = 8.0
    alerts = alerts_of(evidence).alerts
    assert alerts[500] > 5.0


def test_a_higher_peak_soon_after_is_told_by_what_it_exceeds():
    evidence = np.zeros(200)
    evidence[100], evidence[101] = 4.0, 9.0
    alerts = alerts_of(evidence).alerts
    assert 5.5 < alerts[101] < 6.0


def test_the_longer_the_record_the_rarer_a_row_must_be():
    evidence = np.zeros(40_000)
    evidence[[100, 39_999]] = 6.0
    alerts = alerts_of(evidence, interval_s=15).alerts
    assert alerts[100] - alerts[39_999] > 1.4


def test_an_absent_sample_keeps_its_place_and_marks_nothing():
    evidence, values = np.zeros(50), np.zeros(50)
    evidence[20], values[20] = 9.0, np.nan
    evidence[21] = 5.0
    assert alerts_of(evidence, values).alerts[21] == 5.0


def test_a_window_unlike_any_before_is_news_and_the_same_again_is_not():
    rng = np.random.default_rng(1)
    values = rng.normal(size=4000)
    values[2000:2040] += 6
    values[3000:3040] += 6
    told = novelty_of(alerts_of(np.zeros(4000), values))
    assert (told[864 + 60 : 2000] > 0).mean() < 0.02
    assert 2.0 <= told[2000:2066].max() <= 3.5
    assert told[3000:3066].max() <= told[2000:2066].max()
    assert (told[3000:3066] > 0).sum() < (told[2000:2066] > 0).sum()


def test_novelty_is_added_to_the_alert_and_to_its_parts():
    values = np.random.default_rng(1).normal(size=2100)
    values[2000:2040] += 6
    out = alerts_of(np.zeros(2100), values)
    told = novelty_of(out)
    np.testing.assert_allclose(out.alerts, told, atol=1 / 32)
    assert told.max() > 2


def test_samples_within_five_minutes_make_one_step():
    values = np.random.default_rng(1).normal(size=864 * 5 + 400)
    values[864 * 5 + 200 :] += 9
    told = novelty_of(alerts_of(np.zeros(len(values)), values, interval_s=60))
    steps = np.flatnonzero(told > 0)
    assert len(steps) > 0 and (np.diff(steps) % 5 == 0).all()


def test_a_series_that_leaves_its_range_for_good_learns_another():
    values = np.random.default_rng(1).normal(size=6000)
    values[2000:] += 1000
    bank = AlertBank(1)
    told = novelty_of(alerts_of(np.zeros(6000), values, bank=bank))
    low, high = bank.state(1)["alert_marks"][0, 7:9]
    assert told[2000:2100].max() > 2 and (told[2200:] > 0).mean() < 0.02
    assert 900 < low < 1000 < high < 1100


def test_rows_of_one_batch_count_their_own_interval_as_single_calls_do():
    values, ts_ms = of_stretches(3000), times(3000, 60)
    intervals = np.linspace(60_000.0, 900_000.0, 3000)
    batch, single = AlertBank(1), AlertBank(1)
    out, one, told = ScoreColumns.allocate(3000), ScoreColumns.allocate(1), []
    batch.score(np.zeros(3000, np.int32), ts_ms, values, intervals, out)
    for i in range(3000):
        row = slice(i, i + 1)
        one.alerts[0], one.parts[0] = 0.0, 0
        columns = ts_ms[row].copy(), values[row].copy(), intervals[row].copy()
        single.score(np.zeros(1, np.int32), *columns, one)
        told.append(one.alerts[0])
    assert out.alerts.tolist() == told


def test_a_clock_set_back_by_years_leaves_the_peak_as_it_is():
    evidence = np.zeros(20)
    evidence[[5, 15]] = 6.0
    ts_ms = times(20) + 20 * 365 * 86_400_000
    ts_ms[10:] = START_MS
    alerts = alerts_of(evidence, ts_ms=ts_ms).alerts
    assert np.isfinite(alerts).all() and 1.0 < alerts[15] < 1.3


def test_a_restored_bank_goes_on_to_the_bit_and_a_reset_one_from_the_start():
    values = of_stretches(3000)
    whole, first, second = AlertBank(2), AlertBank(2), AlertBank(2)
    wanted = alerts_of(np.zeros(3000), values, bank=whole).alerts
    alerts_of(np.zeros(2000), values[:2000], bank=first)
    second.restore({name: array.copy() for name, array in first.state(2).items()}, 2)
    rest = times(3000, STEP_S)[2000:]
    assert alerts_of(np.zeros(1000), values[2000:], bank=second, ts_ms=rest).alerts.tobytes() == (
        wanted[2000:].tobytes()
    )
    second.reset(np.zeros(1, np.int32))
    assert alerts_of(np.zeros(3000), values, bank=second).alerts.tobytes() == wanted.tobytes()


def test_bytes_per_series_is_what_the_state_takes():
    assert AlertBank(3).bytes_per_series() == sum(a.nbytes for a in AlertBank(3).state(1).values())
