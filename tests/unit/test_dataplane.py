"""One batch of samples through series, detectors and memory."""

import numpy as np
import pytest

from aiops.clock import DAY_MS
from aiops.config import Config
from aiops.dataplane import BATCH_ROWS_MAX, DataPlane
from aiops.domain.anomaly import AnomalyChange
from aiops.domain.labels import labels_from
from aiops.domain.records import Evict, MetadataBatch
from aiops.domain.samples import STALE_BITS, MetricMetadata, SampleBatch
from aiops.series.kernels import intake
from aiops.store.kernels.head import N_ROWS
from aiops.wire.labels import decode_labels, encode_labels

T0_MS = 1_700_000_000_000
DAY_START_MS = T0_MS // DAY_MS * DAY_MS
OF_ARRIVAL = ("absence.", "quality.")
"""State that depends on when rows came, and not only on what they say."""
STALE = float(np.array([STALE_BITS], np.uint64).view(np.float64)[0])


def plane(**detect) -> DataPlane:
    quick = {
        "warmup_samples": 60,
        "alarm_score": 5.0,
        "clear_score": 3.0,
        "open_samples": 2,
        "close_samples": 2,
    }
    return DataPlane(
        Config.model_validate({"store": {"chunk_rows": 16}, "detect": {**quick, **detect}})
    )


def series_labels(number: int):
    return labels_from({"__name__": f"m{number}"})


def batch(rows, new=()) -> SampleBatch:
    """rows: [(series number, time, value)]; new: numbers of series announced with them."""
    numbers, ts_ms, values = zip(*rows, strict=True) if rows else ((), (), ())
    return SampleBatch(
        np.array(numbers, np.uint64),
        np.array(ts_ms, np.int64),
        np.array(values, np.float64),
        tuple(new),
        tuple(encode_labels(series_labels(number)) for number in new),
    )


def feed(data: DataPlane, number: int, values, *, start_ms: int = T0_MS, step_ms: int = 1000):
    """Feed one series one row a batch; return all events and sealed blocks."""
    events, sealed = [], []
    for n, value in enumerate(values):
        at_ms = start_ms + n * step_ms
        outcome = data.take(batch([(number, at_ms, value)], [number]), at_ms)
        events += outcome.events
        sealed += outcome.sealed
    return events, sealed


def noise(n: int, seed: int = 1):
    return 10 + np.random.default_rng(seed).normal(size=n)


def with_anomaly() -> DataPlane:
    data = plane()
    events, _ = feed(data, 1, [*noise(200), *[500.0] * 3])
    assert [event.change for event in events] == [AnomalyChange.OPENED]
    return data


def test_a_sample_of_an_unannounced_series_is_counted_and_left_out():
    data = plane()
    data.take(batch([(1, T0_MS, 1.0)]), T0_MS)
    assert data.counts[intake.N_UNKNOWN] == 1
    assert data.counts[intake.N_KEPT] == 0


def test_a_batch_larger_than_the_scratch_columns_is_taken_whole():
    data = plane()
    n = BATCH_ROWS_MAX + 5
    rows = [(1, T0_MS + k, 1.0) for k in range(n)]
    sealed = data.take(batch(rows, [1]), T0_MS).sealed
    assert data.counts[intake.N_KEPT] == n
    assert sum(len(block.sealed.rows) for block in sealed) + data.head.meta[0, N_ROWS] == n


def test_an_empty_batch_changes_nothing():
    data = plane()
    outcome = data.take(batch([]), T0_MS)
    assert (outcome.events, outcome.sealed) == ([], [])


def test_an_anomaly_names_its_series_and_its_onset():
    events, _ = feed(plane(), 1, [*noise(200), *[500.0] * 3])
    (event,) = events
    anomaly = event.anomaly
    assert anomaly.labels == series_labels(1)
    assert anomaly.onset_ms == T0_MS + 200_000
    assert anomaly.anomaly_id == f"{1:016x}-seasonal-{anomaly.onset_ms}"
    assert (anomaly.value, anomaly.end_ms) == (500.0, 0)
    assert anomaly.lower < anomaly.expected < anomaly.upper < 500.0


def test_an_anomaly_ends_with_the_same_id_when_its_series_ends():
    data = with_anomaly()
    events, _ = feed(data, 1, [STALE], start_ms=T0_MS + 210_000)
    (event,) = events
    assert event.change is AnomalyChange.CLOSED
    assert event.anomaly.anomaly_id == f"{1:016x}-seasonal-{T0_MS + 200_000}"
    assert event.anomaly.end_ms == T0_MS + 210_000


def test_an_ignored_series_is_kept_and_never_judged():
    data = plane(ignore=['{__name__="m1"}'])
    events, sealed = feed(data, 1, [*noise(200), *[500.0] * 3])
    assert events == []
    assert sum(len(block.sealed.rows) for block in sealed) > 0


def test_a_forgotten_series_gives_up_rows_anomaly_and_slot():
    data = with_anomaly()
    outcome = data.evict(Evict((1,), T0_MS + 300_000), T0_MS + 400_000)
    assert [event.change for event in outcome.events] == [AnomalyChange.CLOSED]
    assert sum(len(block.sealed.rows) for block in outcome.sealed) > 0
    assert data.episodes.open_now == 0
    assert data.table.n_series == 0
    assert data.head.meta[0].tolist() == [0, 0, -1, 0]


def test_a_series_seen_since_the_order_stays():
    data = with_anomaly()
    seen_ms = T0_MS + 202_000
    outcome = data.evict(Evict((1, 2, 2**64 - 3), seen_ms), T0_MS + 200_000)
    assert (outcome.events, outcome.sealed) == ([], [])
    assert data.table.n_series == 1


def test_a_newcomer_in_a_used_slot_learns_from_nothing():
    data, fresh = with_anomaly(), plane()
    data.evict(Evict((1,), T0_MS + 300_000), T0_MS + 400_000)
    later_ms = T0_MS + 500_000
    assert feed(data, 2, noise(100), start_ms=later_ms)[0] == []
    feed(fresh, 2, noise(100), start_ms=later_ms)
    state, wanted = data.state(), fresh.state()
    for name in ("hot", "cold", "coarse", "alert_marks", "alert_memory", "alert_rings"):
        assert state[name].tobytes() == wanted[name].tobytes()


def test_a_changed_kind_ends_the_anomaly_and_learns_anew():
    data = with_anomaly()
    entry = MetricMetadata("m1", "counter")
    outcome = data.learn_metadata(MetadataBatch((entry,)), T0_MS + 100_000)
    assert [event.change for event in outcome.events] == [AnomalyChange.CLOSED]
    assert data.state()["hot"].any() == np.False_
    again = data.learn_metadata(MetadataBatch((entry,)), T0_MS + 100_000)
    assert (again.events, again.sealed) == ([], [])


def test_rows_before_a_changed_kind_are_sealed_with_the_former_one():
    data = plane()
    feed(data, 1, noise(5))
    outcome = data.learn_metadata(MetadataBatch((MetricMetadata("m1", "counter"),)), T0_MS)
    assert [int(block.kinds[0]) for block in outcome.sealed] == [intake.GAUGE]
    assert data.table.track[0, intake.KIND] == intake.COUNTER


def named_in(sealed):
    """Return, for each block, the names of members told with it and its last row's day."""
    return [
        (
            [decode_labels(label)[0][1] for label in block.labels if label],
            block.sealed.span_ms[1] // DAY_MS - DAY_START_MS // DAY_MS,
        )
        for block in sealed
    ]


def test_labels_are_told_once_for_each_day_file_and_again_for_newcomers():
    data = plane()
    _, sealed = feed(data, 1, noise(40), start_ms=DAY_START_MS)
    assert named_in(sealed)[:2] == [(["m1"], 0), ([], 0)]
    feed(data, 2, noise(1), start_ms=DAY_START_MS + 60_000)
    _, sealed = feed(data, 1, noise(40), start_ms=DAY_START_MS + 60_000)
    assert named_in(sealed)[:2] == [(["m1", "m2"], 0), ([], 0)]


def test_a_block_that_reaches_into_a_day_brings_its_labels_there():
    """It lies in the file of its latest row, which may be the only one the series ever has."""
    data = plane()
    start_ms = DAY_START_MS + DAY_MS - 40_000
    _, sealed = feed(data, 1, noise(60), start_ms=start_ms)
    told = named_in(sealed)
    assert {day for _, day in told} == {0, 1}
    for day in (0, 1):
        assert next(names for names, at in told if at == day) == ["m1"]


@pytest.mark.parametrize("n_series", [0, 1, 33])
def test_state_holds_the_slots_in_use_only(n_series):
    data = plane()
    rows = [(number, T0_MS, 1.0) for number in range(1, n_series + 1)]
    data.take(batch(rows, range(1, n_series + 1)), T0_MS)
    state = data.state()
    assert len(state["hot"]) == len(state["phases"]) == len(state["labels.lengths"]) == n_series
    fresh = plane()
    fresh.restore(state, MetadataBatch(()))
    assert {name: array.tobytes() for name, array in fresh.state().items()} == {
        name: array.tobytes() for name, array in state.items()
    }


def test_equal_batches_leave_equal_bits():
    one, other = plane(), plane()
    for data in (one, other):
        feed(data, 1, [*noise(200), *[500.0] * 3])
        feed(data, 2, noise(60, seed=2))
    for name, array in one.state().items():
        assert array.tobytes() == other.state()[name].tobytes()


def test_many_rows_at_once_give_the_same_as_one_by_one():
    one, many = plane(), plane()
    values = noise(100)
    events, sealed = feed(one, 1, values)
    rows = [(1, T0_MS + 1000 * n, value) for n, value in enumerate(values)]
    outcome = many.take(batch(rows, [1]), T0_MS + 99_000)
    assert outcome.events == events
    assert [block.sealed.rows.tolist() for block in outcome.sealed] == [
        block.sealed.rows.tolist() for block in sealed
    ]
    for name, array in one.state().items():
        if not name.startswith(OF_ARRIVAL):
            assert array.tobytes() == many.state()[name].tobytes(), name


def budgeted_plane() -> DataPlane:
    budgets = [{"match": '{__name__="m2"}', "false_per_day": 0.001}]
    alarms = {"false_per_day": 50, "budgets": budgets}
    return DataPlane(Config.model_validate({"alarms": alarms}))


def feed_minutes(data: DataPlane, n: int, *, start: int = 0):
    """Feed two series for n minutes, noisy enough to have some openings counted."""
    rng = np.random.default_rng(start)
    for minute in range(start, start + n):
        at_ms = T0_MS + 60_000 * minute
        values = rng.standard_t(1.5, 2)
        rows = [(number, at_ms, value) for number, value in zip((1, 2), values, strict=True)]
        data.take(batch(rows, [1, 2]), at_ms)


def test_levels_follow_the_alarm_budget_of_each_series():
    data = budgeted_plane()
    feed_minutes(data, 600)
    levels = data.budget.levels()
    assert levels['{__name__="m2"}'] > levels["fleet"] + 1.0
    assert data.episodes.classes[:2].tolist() == [0, 1]


def test_a_restored_plane_goes_on_with_its_alarm_budget_bit_for_bit():
    data, other = budgeted_plane(), budgeted_plane()
    feed_minutes(data, 605)
    saved = {name: array.copy() for name, array in data.state().items()}
    other.restore(saved, MetadataBatch(()))
    for part in (data, other):
        feed_minutes(part, 100, start=605)
    assert data.budget.levels() == other.budget.levels()
    for name, array in data.state().items():
        assert array.tobytes() == other.state()[name].tobytes(), name
