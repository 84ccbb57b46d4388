import numpy as np
import pytest
from series_data import NULLS, START_MS, episodes_of, score_series, times

from aiops.config import DetectConfig
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.domain.anomaly import AnomalyChange
from aiops.errors import SnapshotError

ZERO = np.zeros(1, np.int32)


def fleet(n_slots, n_rounds, seed=1):
    rng = np.random.default_rng(seed)
    slots = np.tile(np.arange(n_slots, dtype=np.int32), n_rounds)
    ts_ms = START_MS + np.repeat(np.arange(n_rounds) * 15_000, n_slots)
    features = rng.normal(10 * (1 + slots), 1.0)
    features[rng.random(len(features)) < 0.03] = np.nan
    features[slots == 1] *= np.where(ts_ms[slots == 1] > ts_ms[len(ts_ms) // 2], 3, 1)
    return slots, ts_ms, features


def columns_of(out, n):
    return np.stack([out.scores, out.expected, out.half, out.features])[:, :n]


def latency(n, seed=0, spread=0.1):
    return np.random.default_rng(seed).normal(0.1, 0.1 * spread, n)


def opened(events):
    return [e for e in events if e.change is AnomalyChange.OPENED]


def closed(events):
    return [e for e in events if e.change is AnomalyChange.CLOSED]


def test_a_batch_gives_to_the_bit_what_single_calls_give():
    slots, ts_ms, features = fleet(4, 200)
    n = len(slots)
    whole, single = SeasonalBank(DetectConfig(), 4), SeasonalBank(DetectConfig(), 4)
    out, one, told = ScoreColumns.allocate(n), ScoreColumns.allocate(1), []
    whole.score_learn(slots, ts_ms, features, out)
    for i in range(n):
        row = slice(i, i + 1)
        single.score_learn(slots[row].copy(), ts_ms[row].copy(), features[row].copy(), one)
        told.append(columns_of(one, 1)[:, 0])
    assert columns_of(out, n).tobytes() == np.array(told).T.copy().tobytes()
    for name, array in whole.state().items():
        assert array.tobytes() == single.state()[name].tobytes()


def test_a_later_sample_never_changes_an_earlier_score():
    values = latency(500)
    values[300:400] *= 3
    whole = score_series(values, times(500))
    part = score_series(values[:350], times(350))
    assert whole.scores[:350].tobytes() == part.scores[:350].tobytes()


def test_slots_do_not_influence_one_another():
    slots, ts_ms, features = fleet(4, 200)
    bank, out = SeasonalBank(DetectConfig(), 4), ScoreColumns.allocate(len(slots))
    bank.score_learn(slots, ts_ms, features, out)
    for slot in range(4):
        mine = slots == slot
        alone = score_series(features[mine], ts_ms[mine])
        assert out.scores[mine].tobytes() == alone.scores.tobytes()


def test_nothing_is_judged_during_warm_up():
    values = latency(100)
    values[40] = 50.0
    out = score_series(values, times(100), DetectConfig(warmup_samples=80))
    assert (out.scores[:80] == 0).all() and np.isnan(out.expected[:80]).all()
    assert np.isfinite(out.expected[80:]).all() and (out.half[80:] > 0).all()


def test_an_absent_sample_scores_nothing_and_teaches_nothing():
    values = latency(200)
    with_gaps = np.insert(values, [70, 71, 150], np.nan)
    ts_ms = np.insert(times(200), [70, 71, 150], START_MS)
    gaps = np.isnan(with_gaps)
    out = score_series(with_gaps, ts_ms)
    plain = score_series(values, times(200))
    assert (out.scores[gaps] == 0).all() and np.isnan(out.half[gaps]).all()
    assert out.scores[~gaps].tobytes() == plain.scores.tobytes()


def test_the_band_holds_nearly_all_of_a_normal_series():
    values = np.random.default_rng(2).normal(10, 1, 5000)
    out = score_series(values, times(5000, 15))
    inside = np.abs(values - out.expected)[60:] <= out.half[60:]
    assert 0.995 < inside.mean() < 1.0
    assert np.median(out.half[1000:]) < 5.0


@pytest.mark.parametrize("name", sorted(NULLS))
def test_a_null_series_raises_no_alarm(name):
    n_opened = 0
    for seed in range(4):
        values = np.ascontiguousarray(NULLS[name](np.random.default_rng(seed), 4000), float)
        n_opened += len(opened(episodes_of(values, times(4000, 15))[0]))
    assert n_opened == 0


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


@pytest.mark.parametrize("level", [0.0, 1e-6, 5.0])
def test_a_constant_series_that_jumps_opens_at_once(level):
    values = np.full(300, level)
    values[100:200] += 0.05
    events, _ = episodes_of(values, times(300))
    assert [e.change for e in events] == [AnomalyChange.OPENED, AnomalyChange.CLOSED]
    assert events[0].onset_ms == START_MS + 100_000


def test_a_series_that_drops_to_zero_opens():
    values = np.random.default_rng(4).normal(200, 20, 3000)
    values[2000:2300] = 0.0
    events, mask = episodes_of(values, times(3000))
    assert len(opened(events)) == 1 and mask[2020:2300].all()


def test_a_lasting_shift_stays_open_for_half_an_hour_and_is_then_adopted():
    values = latency(6000)
    values[1000:] += 0.2
    events, mask = episodes_of(values, times(6000))
    assert len(events) == 2
    assert mask[1010:2790].all()
    assert not mask[2900:].any()


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


def test_a_repeated_fault_is_found_again():
    values = latency(6000)
    for start in (1000, 2500, 4000):
        values[start : start + 120] *= 3
    assert len(opened(episodes_of(values, times(6000))[0])) == 3


@pytest.mark.parametrize("seed", range(4))
def test_a_modest_fault_that_comes_back_every_quarter_of_an_hour_is_found_each_time(seed):
    values = np.random.default_rng(seed).normal(size=8000)
    starts = range(1000, 8000, 900)
    for start in starts:
        values[start : start + 120] += 5
    events, mask = episodes_of(values, times(8000))
    assert all(mask[start + 30 : start + 120].any() for start in starts)
    assert len(opened(events)) == len(starts)


def test_bursts_that_keep_coming_back_become_normal():
    values = latency(40_000)
    for start in range(500, 40_000, 500):
        values[start : start + 5] = 1.0
    starts = [e.onset_ms for e in opened(episodes_of(values, times(40_000))[0])]
    assert 1 <= len(starts) <= 20
    assert max(starts) < START_MS + 15_000_000


def test_a_lone_outlier_opens_nothing_and_leaves_the_baseline():
    values = latency(400)
    values[200] = 10.0
    events, _ = episodes_of(values, times(400))
    out = score_series(values, times(400))
    assert events == [] and out.scores[200] > 6
    assert abs(out.expected[201:] - 0.1).max() < 0.02


def daily(n_days):
    minutes = np.arange(n_days * 1440)
    noise = np.random.default_rng(3).normal(size=len(minutes)) * 0.5
    return 10 + 30 * np.exp(-(((minutes % 1440 - 720) / 60) ** 2)) + noise


def test_a_peak_that_comes_every_day_is_expected():
    values = daily(4)
    events, _ = episodes_of(values, times(len(values), 60))
    out = score_series(values, times(len(values), 60))
    assert [e for e in events if e.onset_ms > START_MS + 2 * 86_400_000] == []
    assert np.abs(values - out.expected)[-1440:].mean() < 0.8


def test_the_night_level_at_noon_is_an_anomaly():
    values = daily(4)
    noon = 3 * 1440 + 720
    values[noon - 20 : noon + 20] = 10.0
    events, mask = episodes_of(values, times(len(values), 60))
    assert len(opened([e for e in events if e.onset_ms > START_MS + 2 * 86_400_000])) == 1
    assert mask[noon - 10 : noon + 20].all()


def test_no_score_exceeds_what_the_history_supports():
    values = latency(200)
    values[100:110] = 1e12
    out = score_series(values, times(200))
    assert out.scores.max() <= np.log10(201) + 4.5


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1.7e308, -1.7e308, 5e-324])
def test_state_stays_finite_and_recovers_after_extreme_values(value):
    values = latency(800)
    values[100:103] = value
    bank = SeasonalBank(DetectConfig(), 1)
    out = score_series(values, times(800), bank=bank)
    assert all(np.isfinite(array).all() for array in bank.state().values())
    assert np.isfinite(out.scores).all()
    assert out.scores[700:].max() < 6


def test_growing_keeps_what_was_learnt_and_never_shrinks():
    slots, ts_ms, features = fleet(4, 100)
    plain, growing = SeasonalBank(DetectConfig(), 4), SeasonalBank(DetectConfig(), 4)
    out, other = ScoreColumns.allocate(len(slots)), ScoreColumns.allocate(len(slots))
    for bank, columns in ((plain, out), (growing, other)):
        bank.score_learn(slots, ts_ms, features, columns)
    growing.grow(64)
    growing.grow(8)
    plain.score_learn(slots, ts_ms + 10**7, features, out)
    growing.score_learn(slots, ts_ms + 10**7, features, other)
    assert out.scores.tobytes() == other.scores.tobytes()
    growing.score_learn(ZERO + 63, times(1), np.ones(1), other)


def test_a_reset_slot_learns_anew_and_the_others_do_not():
    slots, ts_ms, features = fleet(2, 150)
    bank, out = SeasonalBank(DetectConfig(), 2), ScoreColumns.allocate(len(slots))
    bank.score_learn(slots, ts_ms, features, out)
    bank.reset(np.array([1], np.int32))
    bank.score_learn(np.array([0, 1], np.int32), ts_ms[-2:] + 1, np.array([10.0, 20.0]), out)
    assert np.isfinite(out.expected[0]) and np.isnan(out.expected[1])


def test_a_restored_bank_goes_on_to_the_bit():
    slots, ts_ms, features = fleet(3, 300)
    half = len(slots) // 2
    whole, first, second = (SeasonalBank(DetectConfig(), 3) for _ in range(3))
    out, other = ScoreColumns.allocate(len(slots)), ScoreColumns.allocate(len(slots))
    whole.score_learn(slots, ts_ms, features, out)
    first.score_learn(slots[:half], ts_ms[:half], features[:half], other)
    saved = {name: array.copy() for name, array in first.state().items()}
    second.grow(10)
    second.restore(saved, 3)
    rest = slice(half, None)
    second.score_learn(slots[rest], ts_ms[rest], features[rest], other)
    assert other.scores[: len(slots) - half].tobytes() == out.scores[rest].tobytes()


def test_a_state_of_another_layout_is_refused():
    bank = SeasonalBank(DetectConfig(), 2)
    saved = dict(bank.state())
    with pytest.raises(SnapshotError):
        bank.restore(saved | {"hot": np.zeros((2, 3))}, 2)
    with pytest.raises(SnapshotError):
        bank.restore({"hot": saved["hot"], "cold": saved["cold"]}, 2)
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


def test_a_series_costs_less_than_a_kibibyte():
    assert SeasonalBank(DetectConfig(), 5).bytes_per_series() == 656


def test_a_column_of_another_dtype_is_refused_and_not_compiled_for():
    bank = SeasonalBank(DetectConfig(), 1)
    with pytest.raises(TypeError):
        bank.score_learn(ZERO, times(1), np.ones(1, np.float32), ScoreColumns.allocate(1))


def test_strided_columns_are_refused():
    bank = SeasonalBank(DetectConfig(), 1)
    with pytest.raises(TypeError):
        bank.score_learn(np.zeros(2, np.int32), times(2), np.ones(4)[::2], ScoreColumns.allocate(2))
