"""The fleet in which nothing goes wrong is what it says, and the same for the same seed."""

import numpy as np
import pytest

from aiops.evaluate.null_fleet import BATCH_SPAN_MS, KINDS, ORDINARY, START_MS, NullFleet

N_SERIES = 10 * len(KINDS)


def first_day(seed=1, kinds=tuple(KINDS)):
    return list(NullFleet(seed, N_SERIES, kinds).batches(1))


def values_of(batches, slots):
    rows = [batch.features[np.isin(batch.slots, slots)] for batch in batches]
    return np.concatenate(rows)


def test_the_same_seed_gives_the_same_samples_and_another_gives_others():
    one, same, other = first_day(), first_day(), first_day(seed=2)
    for a, b in zip(one, same, strict=True):
        assert a.features.tobytes() == b.features.tobytes()
    assert not np.array_equal(one[0].features, other[0].features)


def test_batches_follow_each_other_and_hold_only_their_own_time():
    batches = first_day()
    assert len(batches) == 144
    for n, batch in enumerate(batches):
        assert batch.now_ms == START_MS + (n + 1) * BATCH_SPAN_MS
        assert batch.ts_ms.min() == batch.now_ms - BATCH_SPAN_MS
        assert batch.ts_ms.max() < batch.now_ms


def test_rows_are_sorted_by_slot_and_then_by_time():
    batch = first_day()[5]
    order = np.lexsort((batch.ts_ms, batch.slots))
    assert np.array_equal(order, np.arange(len(order)))


def test_of_ten_series_eight_come_each_minute_one_each_15_s_one_each_5_min():
    slots = first_day()[0].slots
    assert np.bincount(slots)[:10].tolist() == [10] * 8 + [40, 2]


def test_every_kind_is_there_and_finite():
    fleet = NullFleet(1, N_SERIES, tuple(KINDS))
    kinds = [fleet.kind_of(slot) for slot in range(N_SERIES)]
    assert set(kinds) == set(KINDS)
    assert all(np.isfinite(batch.features).all() for batch in fleet.batches(1))


@pytest.mark.parametrize(
    ("kind", "is_so"),
    [
        ("constant", lambda x: np.ptp(x) == 0),
        ("ratio", lambda x: x.min() >= 0 and x.max() <= 1),
        ("sparse", lambda x: 0.9 < np.mean(x == 0) < 1),
        ("low counts", lambda x: np.array_equal(x, np.round(x)) and x.min() == 0),
        ("lognormal", lambda x: np.mean(x) > np.median(x)),
        ("autoregressive .9", lambda x: 0.85 < np.corrcoef(x[1:], x[:-1])[0, 1] < 0.95),
        ("stable", lambda x: abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 0.1),
        ("random walk", lambda x: np.corrcoef(x[1:], x[:-1])[0, 1] > 0.97),
    ],
)
def test_a_kind_is_what_its_name_says(kind, is_so):
    fleet = NullFleet(3, N_SERIES, tuple(KINDS))
    slot = next(slot for slot in range(N_SERIES) if fleet.kind_of(slot) == kind)
    assert is_so(values_of(fleet.batches(1), [slot]))


def test_a_weekly_series_swings_less_on_weekends_and_is_no_ordinary_one():
    fleet = NullFleet(1, 10, ("weekly",))
    values = values_of(fleet.batches(7), [0]).reshape(7, -1)
    swings = np.ptp(values, axis=1)
    assert swings[5:].max() < swings[:5].min()
    assert "weekly" not in ORDINARY


def test_too_few_series_are_refused():
    with pytest.raises(ValueError, match="at least 150 series"):
        NullFleet(1, 20)
