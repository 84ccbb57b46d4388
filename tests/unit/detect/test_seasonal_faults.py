"""What the default bank reports and what it learns: faults, shifts, seasons, and quiet series."""

import numpy as np
import pytest
from series_data import NULLS, START_MS, episodes_of, latency, of_days, score_series, times

from aiops.domain.anomaly import AnomalyChange

DAY = 288
"""Samples a day at five minutes."""
DAY_MS = 86_400_000
RARE = 6.0
"""One in a million, the level at which episodes open here."""


def opened(events):
    return [e for e in events if e.change is AnomalyChange.OPENED]


@pytest.mark.parametrize("name", sorted(set(NULLS) - {"slow", "walk"}))
def test_a_null_series_raises_no_alarm(name):
    n_opened = 0
    for seed in range(4):
        values = np.ascontiguousarray(NULLS[name](np.random.default_rng(seed), 4000), float)
        n_opened += len(opened(episodes_of(values, times(4000, 15))[0]))
    assert n_opened == 0


@pytest.mark.parametrize("name", ["slow", "walk"])
def test_a_series_that_never_returns_to_a_level_raises_hardly_an_alarm(name):
    n_opened = 0
    for seed in range(20):
        values = NULLS[name](np.random.default_rng(seed), 4000)
        n_opened += len(opened(episodes_of(values, times(4000, 15))[0]))
    assert n_opened <= 4


@pytest.mark.parametrize("warmup", [62, 300, 3000])
def test_threefold_latency_opens_within_fifteen_samples_and_closes_after_the_fault(warmup):
    values = latency(warmup + 900, seed=warmup)
    values[warmup : warmup + 600] *= 3
    events, mask = episodes_of(values, times(len(values)))
    assert [e.change for e in events] == [AnomalyChange.OPENED, AnomalyChange.CLOSED]
    assert mask[warmup + 15 : warmup + 600].all()
    assert not mask[warmup + 660 :].any()
    assert events[0].onset_ms - START_MS - warmup * 1000 <= 5000
    assert 0 <= events[1].end_ms - START_MS - (warmup + 600) * 1000 <= 40_000
    assert events[1].value > events[1].upper > events[1].expected > events[1].lower


def test_a_fault_is_as_rare_at_its_end_as_at_its_beginning():
    values = latency(4000)
    values[3000:3200] *= 3
    scores = score_series(values, times(4000)).scores[3000:3200]
    assert scores.min() > 0.9 * scores[0] > RARE


@pytest.mark.parametrize("level", [0.0, 1e-6, 5.0])
def test_a_constant_series_that_jumps_opens_at_once(level):
    values = np.full(300, level)
    values[100:200] += 0.05
    events, _ = episodes_of(values, times(300))
    assert [e.change for e in events] == [AnomalyChange.OPENED, AnomalyChange.CLOSED]
    assert events[0].onset_ms == START_MS + 100_000


@pytest.mark.parametrize("level", [0.0, 5.0])
def test_a_spike_in_a_constant_series_is_one_row(level):
    values = np.full(1000, level)
    values[700] += 1
    scores = score_series(values, times(1000, 60)).scores
    assert np.flatnonzero(scores > 3).tolist() == [700]


def test_a_series_that_drops_to_zero_opens():
    values = np.random.default_rng(4).normal(200, 20, 3000)
    values[2000:2300] = 0.0
    events, mask = episodes_of(values, times(3000))
    assert len(opened(events)) == 1 and mask[2020:2300].all()


def test_a_lasting_shift_of_a_fast_series_is_adopted_after_an_hour():
    values = latency(8000)
    values[1000:] += 0.2
    events, mask = episodes_of(values, times(8000))
    assert len(events) == 2
    assert mask[1010:4590].all() and not mask[4700:].any()


def test_a_lasting_shift_of_a_slow_series_is_adopted_after_240_samples():
    values = latency(1500)
    values[500:] += 0.2
    _, mask = episodes_of(values, times(1500, 60))
    assert mask[510:735].all() and not mask[800:].any()


def test_the_way_back_from_a_fault_is_no_anomaly():
    values = latency(3000)
    values[1000:1600] *= 4
    events, _ = episodes_of(values, times(3000))
    assert len(opened(events)) == 1


def test_a_fault_that_comes_again_still_ranks_among_the_rarest_rows():
    values, starts = latency(6000), (1000, 2500, 4000)
    is_fault = np.zeros(6000, bool)
    for start in starts:
        values[start : start + 120] *= 3
        is_fault[start : start + 120] = True
    scores = score_series(values, times(6000)).scores
    quiet = np.sort(scores[60:][~is_fault[60:]])[-6]  # each way back may be a row or two
    assert all(np.median(scores[start : start + 120]) > max(4.0, quiet) for start in starts)


def test_bursts_that_keep_coming_back_become_less_rare():
    values = latency(40_000)
    for start in range(500, 40_000, 500):
        values[start : start + 5] = 1.0
    scores = score_series(values, times(40_000)).scores
    assert scores[39_500:39_505].max() < scores[500:505].max() - 1


def test_a_lone_outlier_opens_nothing_and_leaves_the_baseline():
    values = latency(400)
    values[200] = 10.0
    events, _ = episodes_of(values, times(400))
    out = score_series(values, times(400))
    assert events == [] and out.scores[200] > RARE
    assert out.scores[201:].max() < 3
    assert abs(out.expected[202:] - 0.1).max() < 0.02


def of_noon_peaks(n_days):
    minutes = np.arange(n_days * 1440)
    noise = np.random.default_rng(3).normal(size=len(minutes)) * 0.5
    return 10 + 30 * np.exp(-(((minutes % 1440 - 720) / 60) ** 2)) + noise


def test_a_peak_that_comes_every_day_is_expected():
    values = of_noon_peaks(4)
    events, _ = episodes_of(values, times(len(values), 60))
    out = score_series(values, times(len(values), 60))
    assert [e for e in events if e.onset_ms > START_MS + 2 * DAY_MS] == []
    assert np.abs(values - out.expected)[-1440:].mean() < 0.8


def test_the_night_level_at_noon_is_an_anomaly():
    values = of_noon_peaks(4)
    noon = 3 * 1440 + 720
    values[noon - 20 : noon + 20] = 10.0
    out = score_series(values, times(len(values), 60))
    assert out.scores[noon - 20] > RARE
    assert (out.scores[noon - 20 : noon + 20] > 4).all()
    assert (out.scores[2 * 1440 : noon - 20] < 4).all()


def test_a_weekend_is_expected_after_some_weeks():
    values = of_days(36)
    out = score_series(values, times(len(values), 300))
    off = np.abs(values - out.expected)
    weekend = (times(len(values), 300) // DAY_MS + 3) % 7 >= 5
    last = np.arange(len(values)) >= 29 * DAY
    assert off[last & weekend].mean() < 0.5
    assert out.scores[last].max() < RARE - 1


@pytest.mark.parametrize("apart_ms", [10, 1000])
def test_two_first_samples_a_moment_apart_do_not_blind_the_bank_to_what_follows(apart_ms):
    values, ts_ms = latency(400), times(400, 60)
    ts_ms[1:] -= 60_000 - apart_ms
    values[120:140] *= 3
    assert (score_series(values, ts_ms).scores[121:140] > RARE).all()


def gap_of(values, ts_ms, start, end):
    keep = np.ones(len(values), bool)
    keep[start:end] = False
    return values[keep], ts_ms[keep]


def test_the_first_samples_after_a_long_gap_are_no_anomaly():
    values, ts_ms = of_days(10), times(10 * DAY, 300)
    values, ts_ms = gap_of(values, ts_ms, 7 * DAY, 7 * DAY + 130)
    assert score_series(values, ts_ms).scores[7 * DAY : 7 * DAY + 50].max() < 4


def test_a_shift_during_a_gap_is_found_with_the_samples_after_it():
    values, ts_ms = np.random.default_rng(1).normal(10, 1, 4000), times(4000, 60)
    values[2000:] += 40
    values, ts_ms = gap_of(values, ts_ms, 2000, 2700)
    assert (score_series(values, ts_ms).scores[2001:2050] > 4).all()


@pytest.mark.parametrize("what", ["fault", "gap"])
def test_a_first_day_with_hours_missing_still_gives_a_profile(what):
    values, ts_ms = of_days(5, weekend=0.0), times(5 * DAY, 300)
    if what == "gap":
        values, ts_ms = gap_of(values, ts_ms, 24, 108)
    else:
        values[24:108] += 40
    out = score_series(values, ts_ms)
    later = ts_ms > START_MS + 3 * DAY_MS
    assert np.abs(values - out.expected)[later].mean() < 0.4
    assert out.scores[ts_ms > START_MS + 1.5 * DAY_MS].max() < 4.5
