"""What the default bank promises of its columns and its state, on one series and on many."""

import numpy as np
import pytest
from series_data import (
    NULLS,
    START_MS,
    columns_of,
    fleet,
    latency,
    of_days,
    score_fleet,
    score_series,
    times,
)

from aiops.config import DetectConfig
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.parts import parts_of, season_of
from aiops.errors import SnapshotError

ZERO = np.zeros(1, np.int32)
RARE = 6.0
"""One in a million."""


def state_bytes(bank, n_slots):
    return {name: array.tobytes() for name, array in bank.state(n_slots).items()}


def seasonal_fleet(n_slots=6, n_days=6):
    """Series with days of their own, jittered times and some samples absent."""
    rng = np.random.default_rng(2)
    n_rounds = n_days * 144
    slots = np.tile(np.arange(n_slots, dtype=np.int32), n_rounds)
    ts_ms = START_MS + np.repeat(np.arange(n_rounds) * 600_000, n_slots)
    ts_ms += rng.integers(0, 60_000, len(ts_ms))
    features = (of_days(n_days, 144).repeat(n_slots) * (1 + slots)).astype(float)
    features[rng.random(len(features)) < 0.02] = np.nan
    return slots, ts_ms, features


@pytest.mark.parametrize("make", [lambda: fleet(4, 200), seasonal_fleet])
def test_a_batch_gives_to_the_bit_what_single_calls_give(make):
    slots, ts_ms, features = make()
    n, n_slots = len(slots), int(slots.max()) + 1
    whole, single = SeasonalBank(DetectConfig(), n_slots), SeasonalBank(DetectConfig(), n_slots)
    out, one, told = ScoreColumns.allocate(n), ScoreColumns.allocate(1), []
    whole.score_learn(slots, ts_ms, features, out)
    for i in range(n):
        row = slice(i, i + 1)
        single.score_learn(slots[row].copy(), ts_ms[row].copy(), features[row].copy(), one)
        told.append([column[0].tobytes() for column in columns_of(one, 1)])
    assert [
        [value.tobytes() for value in row] for row in zip(*columns_of(out, n), strict=True)
    ] == told
    assert state_bytes(whole, n_slots) == state_bytes(single, n_slots)


def test_a_seasonal_fleet_has_fine_profiles_so_that_the_tests_with_it_mean_something():
    slots, ts_ms, features = seasonal_fleet()
    bank = SeasonalBank(DetectConfig(), 6)
    score_fleet(bank, slots, ts_ms, features)
    assert len(bank.state(6)["season_owners"]) == 6


def test_a_later_sample_never_changes_an_earlier_score():
    values = latency(500)
    values[300:400] *= 3
    whole = score_series(values, times(500))
    part = score_series(values[:350], times(350))
    for mine, theirs in zip(columns_of(whole, 350), columns_of(part, 350), strict=True):
        assert mine.tobytes() == theirs.tobytes()


def test_slots_do_not_influence_one_another():
    slots, ts_ms, features = seasonal_fleet()
    out = score_fleet(SeasonalBank(DetectConfig(), 6), slots, ts_ms, features)
    for slot in range(6):
        mine = slots == slot
        alone = score_series(features[mine], ts_ms[mine])
        for together, single in zip(
            columns_of(out, len(slots)), columns_of(alone, int(mine.sum())), strict=True
        ):
            assert together[mine].tobytes() == single.tobytes()


def test_nothing_is_judged_during_warm_up():
    values = latency(100)
    values[40] = 50.0
    out = score_series(values, times(100), DetectConfig(warmup_samples=80))
    for column in (out.scores, out.severities, out.alerts, out.parts):
        assert (column[:80] == 0).all()
    assert np.isnan(out.expected[:80]).all()
    assert np.isfinite(out.expected[80:]).all() and (out.half[80:] > 0).all()


def test_an_absent_sample_scores_nothing_and_teaches_nothing():
    values = latency(200)
    with_gaps = np.insert(values, [70, 71, 150], np.nan)
    ts_ms = np.insert(times(200), [70, 71, 150], START_MS)
    gaps = np.isnan(with_gaps)
    out = score_series(with_gaps, ts_ms)
    plain = score_series(values, times(200))
    for column in (out.scores, out.severities, out.alerts, out.parts):
        assert (column[gaps] == 0).all()
    assert np.isnan(out.half[gaps]).all()
    assert out.scores[~gaps].tobytes() == plain.scores.tobytes()
    assert out.alerts[~gaps].tobytes() == plain.alerts.tobytes()


def test_the_band_holds_nearly_all_of_a_normal_series():
    values = np.random.default_rng(2).normal(10, 1, 5000)
    out = score_series(values, times(5000, 15))
    inside = np.abs(values - out.expected)[60:] <= out.half[60:]
    assert 0.995 < inside.mean() < 1.0
    assert np.median(out.half[1000:]) < 5.0


def test_scores_of_a_normal_series_are_the_tail_probabilities_they_claim_to_be():
    values = np.random.default_rng(2).normal(10, 1, 100_000)
    out = score_series(values, times(len(values), 15))
    for level in (2.0, 3.0):
        assert 0.3 < (out.scores[1000:] >= level).mean() / 10**-level < 2.0
    assert 0.3 < (out.severities[1000:] >= 3.0).mean() / 1e-3 < 2.0
    assert (out.scores[1000:] < 1.0).mean() > 0.8


def test_severity_keeps_what_is_left_of_a_spike_but_never_as_rare_as_one_in_a_thousand():
    values = latency(600)
    values[500] = 1.0
    out = score_series(values, times(600, 60))
    assert out.severities[500] > RARE
    assert 2.5 < out.severities[501] < 3.0
    assert (out.severities >= out.scores).all()


def test_no_score_exceeds_what_the_history_supports():
    values = latency(200)
    values[100:110] = 1e12
    out = score_series(values, times(200))
    supported = np.log10(np.arange(1, 201)) + 5.0
    # Two streams, each at its limit, are a cube root of 2 as high together.
    assert (out.scores <= supported * 2 ** (1 / 3)).all()
    assert out.scores.max() > RARE


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1.7e308, -1.7e308, 5e-324])
def test_state_stays_finite_and_recovers_after_extreme_values(value):
    values = latency(800)
    values[100:103] = value
    bank = SeasonalBank(DetectConfig(), 1)
    out = score_series(values, times(800), bank=bank)
    assert all(np.isfinite(array).all() for array in bank.state(1).values())
    assert np.isfinite(out.scores).all() and np.isfinite(out.alerts).all()
    assert out.scores[700:].max() < RARE


@pytest.mark.parametrize("interval_s", [1, 3600])
def test_a_series_is_judged_alike_whether_samples_come_each_second_or_each_hour(interval_s):
    values = np.random.default_rng(3).normal(100, 5, 1500)
    values[1200:1210] = 200
    out = score_series(values, times(1500, interval_s))
    assert (out.scores[60:1200] < RARE - 1).all() and (out.scores[1200:1210] > RARE - 1).all()


def test_a_clock_set_back_by_years_leaves_scores_and_alerts_finite():
    values, ts_ms = latency(400), times(400)
    values[150], ts_ms[200:] = 5.0, times(200)
    ts_ms[:200] += 10 * 365 * 86_400_000
    out = score_series(values, ts_ms)
    assert np.isfinite(out.alerts).all() and np.isfinite(out.scores).all()


def test_parts_say_which_streams_made_the_score_and_which_season_was_expected():
    values = of_days(8)
    spike = 7 * 288 + 100
    values[spike] += 50
    out = score_series(values, times(len(values), 300))
    name, strength = parts_of(int(out.parts[spike]))[0]
    assert name == "residual" and 5 < strength < 16
    assert {season_of(int(word)) for word in out.parts[6 * 288 :]} <= {"day", "week"}
    assert all(season_of(int(word)) == "" for word in out.parts[:200])


def test_a_series_that_stays_away_is_explained_by_its_shift_and_not_by_its_residual():
    values = latency(700)
    values[500:] += 1
    words = [dict(parts_of(int(word))) for word in score_series(values, times(700)).parts[500:]]
    assert "residual" in words[0] and "shift" not in words[0]
    assert all("shift" in word and "residual" not in word for word in words[2:100])


def test_growing_in_the_middle_changes_nothing():
    slots, ts_ms, features = seasonal_fleet()
    plain, growing = SeasonalBank(DetectConfig(), 6), SeasonalBank(DetectConfig(), 6)
    half = len(slots) // 2
    out = score_fleet(plain, slots, ts_ms, features)
    for capacity, rows in ((64, slice(0, half)), (8, slice(half, None))):
        other = score_fleet(growing, slots[rows], ts_ms[rows], features[rows])
        growing.grow(capacity)
        assert other.scores.tobytes() == out.scores[rows].tobytes()
        assert other.alerts.tobytes() == out.alerts[rows].tobytes()
    assert state_bytes(plain, 6) == state_bytes(growing, 6)
    score_fleet(growing, ZERO + 63, times(1), np.ones(1))


def test_a_reset_slot_is_as_new_and_the_others_go_on():
    slots, ts_ms, features = seasonal_fleet()
    bank, fresh = SeasonalBank(DetectConfig(), 6), SeasonalBank(DetectConfig(), 6)
    score_fleet(bank, slots, ts_ms, features)
    before = state_bytes(bank, 1)
    bank.reset(np.arange(1, 6, dtype=np.int32))
    assert state_bytes(bank, 1) == before
    bank.reset(ZERO)
    assert state_bytes(bank, 6) == state_bytes(fresh, 6)
    again, first = (score_fleet(b, slots, ts_ms, features) for b in (bank, fresh))
    assert again.scores.tobytes() == first.scores.tobytes()
    assert again.alerts.tobytes() == first.alerts.tobytes()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_restored_bank_goes_on_to_the_bit(share):
    slots, ts_ms, features = seasonal_fleet()
    cut = int(share * len(slots))
    whole, first, second = (SeasonalBank(DetectConfig(), 6) for _ in range(3))
    out = score_fleet(whole, slots, ts_ms, features)
    score_fleet(first, slots[:cut], ts_ms[:cut], features[:cut])
    saved = {name: array.copy() for name, array in first.state(6).items()}
    second.grow(10)
    second.restore(saved, 6)
    other = score_fleet(second, slots[cut:], ts_ms[cut:], features[cut:])
    for mine, theirs in zip(
        columns_of(out, len(slots)), columns_of(other, len(slots) - cut), strict=True
    ):
        assert mine[cut:].tobytes() == theirs.tobytes()
    assert state_bytes(whole, 6) == state_bytes(second, 6)


def test_a_state_of_another_layout_is_refused():
    bank = SeasonalBank(DetectConfig(), 2)
    saved = dict(bank.state(2))
    for name, array in saved.items():
        with pytest.raises(SnapshotError):
            bank.restore({key: kept for key, kept in saved.items() if key != name}, 2)
        with pytest.raises(SnapshotError):
            bank.restore(saved | {name: array.astype(np.int16)}, 2)
    with pytest.raises(SnapshotError):
        bank.restore(saved | {"hot": np.zeros((2, 3))}, 2)
    with pytest.raises(SnapshotError):
        bank.restore(saved, 3)


@pytest.mark.parametrize("slot", [-1, 2])
def test_a_slot_out_of_range_is_a_bug_and_not_a_crash(slot):
    bank = SeasonalBank(DetectConfig(), 2)
    with pytest.raises(RuntimeError, match="BUG"):
        bank.score_learn(ZERO + slot, times(1), np.ones(1), ScoreColumns.allocate(1))


def test_more_rows_than_outputs_are_a_bug():
    bank = SeasonalBank(DetectConfig(), 2)
    with pytest.raises(RuntimeError, match="BUG"):
        bank.score_learn(np.zeros(2, np.int32), times(2), np.ones(2), ScoreColumns.allocate(1))


def test_read_only_columns_are_scored():
    values = latency(100)
    values.flags.writeable = False
    assert np.isfinite(score_series(values, times(100)).expected[-1])


def test_a_series_costs_a_kibibyte_and_with_a_season_two_and_a_half():
    plain, seasonal = SeasonalBank(DetectConfig(), 5).bytes_per_series()
    assert plain <= 1024 and seasonal <= 2560


def test_a_column_of_another_dtype_is_refused_and_not_compiled_for():
    bank = SeasonalBank(DetectConfig(), 1)
    with pytest.raises(TypeError):
        bank.score_learn(ZERO, times(1), np.ones(1, np.float32), ScoreColumns.allocate(1))


def test_strided_columns_are_refused():
    bank = SeasonalBank(DetectConfig(), 1)
    with pytest.raises(TypeError):
        bank.score_learn(np.zeros(2, np.int32), times(2), np.ones(4)[::2], ScoreColumns.allocate(2))


@pytest.mark.parametrize("name", sorted(NULLS))
def test_the_alert_score_of_a_null_series_is_mostly_nothing(name):
    values = np.ascontiguousarray(NULLS[name](np.random.default_rng(1), 3000), float)
    out = score_series(values, times(3000, 60))
    assert (out.alerts < 3).mean() > 0.99
