"""From rows to explained anomalies: what the data plane says of its anomalies and their data."""

from collections.abc import Iterable

import numpy as np
import pytest

from aiops.config import Config
from aiops.dataplane import DataPlane
from aiops.domain.anomaly import Anomaly, AnomalyChange, AnomalyEvent
from aiops.domain.labels import labels_from
from aiops.domain.quality import VetoReason
from aiops.domain.records import Evict, MetadataBatch
from aiops.domain.samples import SampleBatch
from aiops.errors import SnapshotError
from aiops.wire.labels import encode_labels

T0_MS = 1_700_000_000_000
STEP_MS = 15_000
N_QUIET = 300
RATE = 10.0
OPENED, CLOSED = AnomalyChange.OPENED, AnomalyChange.CLOSED


def plane(**detect) -> DataPlane:
    """A plane whose anomalies open and close with the first row that says so."""
    quick = {"warmup_samples": 60, "alarm_score": 5.0, "clear_score": 3.0}
    quick |= {"open_samples": 1, "close_samples": 3}
    absence = {"enabled": False}
    return DataPlane(Config.model_validate({"detect": {**quick, "absence": absence, **detect}}))


def block(number: int, name: str, **labels: str) -> bytes:
    return encode_labels(labels_from({"__name__": name, "number": str(number), **labels}))


def take(data: DataPlane, rows, *, name: str = "requests_total", now_ms: int | None = None):
    """rows: [(series number, time, value)] that arrive at once; return the events."""
    numbers, ts_ms, values = zip(*rows, strict=True)
    new = tuple(dict.fromkeys(numbers))
    columns = (np.array(numbers, np.uint64), np.array(ts_ms, np.int64), np.array(values, float))
    blocks = tuple(block(number, name, instance="h1") for number in new)
    return data.take(SampleBatch(*columns, new, blocks), now_ms or max(ts_ms)).events


def feed(data: DataPlane, rows: Iterable[tuple[int, float]], **options) -> list[AnomalyEvent]:
    """Feed series 1 one row a batch."""
    return [event for at_ms, value in rows for event in take(data, [(1, at_ms, value)], **options)]


def times(n: int, start_ms: int) -> list[int]:
    return [start_ms + STEP_MS * k for k in range(n)]


def counted(rates, start: float = 1e6) -> list[float]:
    """The values of a counter that goes at these rates."""
    return (start + np.cumsum(np.array(rates) * STEP_MS / 1000)).tolist()


def noisy(n: int, level: float = RATE, seed: int = 1):
    return level + 0.3 * np.random.default_rng(seed).normal(size=n)


def steady_counter(data: DataPlane) -> tuple[int, float]:
    """Feed a counter for a while; return its last time and value."""
    rows = list(zip(times(N_QUIET, T0_MS), counted(noisy(N_QUIET)), strict=True))
    assert feed(data, rows) == []
    return rows[-1]


def after_fall(last: tuple[int, float], rates) -> list[tuple[int, float]]:
    """Rows of a counter that is corrected a little downwards, and then goes at these rates."""
    at_ms, value = last
    fallen = [value - 10.0, *counted(rates, value - 10.0)]
    return list(zip(times(len(fallen), at_ms + STEP_MS), fallen, strict=True))


def the_only(events: list[AnomalyEvent], change: AnomalyChange) -> Anomaly:
    (anomaly,) = [event.anomaly for event in events if event.change is change]
    return anomaly


def test_a_counter_that_is_corrected_downwards_makes_no_page():
    data = plane()
    events = feed(data, after_fall(steady_counter(data), noisy(60, seed=2)))
    for change in (OPENED, CLOSED):
        anomaly = the_only(events, change)
        assert (anomaly.is_vetoed, anomaly.veto_reason) == (True, "counter_reset")
        assert anomaly.quality == ("reset",)
    assert data.notes.vetoes.totals[VetoReason.COUNTER_RESET] == 1
    assert data.notes.vetoes.held_now == 0


def test_a_restart_that_does_harm_is_told_two_rows_later():
    data = plane()
    rows = after_fall(steady_counter(data), [0.0] * 8)
    events = feed(data, rows)
    first, second = [event.anomaly for event in events if event.change is OPENED][:2]
    assert first.is_vetoed
    assert not second.is_vetoed
    assert second.anomaly_id == first.anomaly_id
    assert second.quality == ("reset",)
    held = plane()
    assert [e.anomaly.is_vetoed for e in feed(held, after_fall(steady_counter(held), [0.0]))] == [
        True
    ]
    assert data.notes.vetoes.released_total == 1


def test_a_fault_that_a_restart_only_follows_is_told_at_once():
    data = plane()
    at_ms, value = steady_counter(data)
    faulty = counted([500.0, 600.0], value)
    events = feed(data, zip(times(2, at_ms + STEP_MS), faulty, strict=True))
    assert not the_only(events, OPENED).is_vetoed
    events = feed(data, after_fall((at_ms + 2 * STEP_MS, faulty[-1]), noisy(60, seed=2)))
    assert not the_only(events, CLOSED).is_vetoed


def test_a_rate_over_missing_samples_makes_no_page_and_a_gauge_after_a_gap_does():
    for name, reason in (("requests_total", "rate_over_gap"), ("queue_length", "")):
        data = plane()
        is_counter = name == "requests_total"
        quiet = noisy(N_QUIET)
        values = counted(quiet) if is_counter else quiet.tolist()
        assert feed(data, zip(times(N_QUIET, T0_MS), values, strict=True), name=name) == []
        at_ms = T0_MS + (N_QUIET + 40) * STEP_MS
        odd = values[-1] + (200.0 * 41 * STEP_MS / 1000 if is_counter else 100.0)
        anomaly = the_only(feed(data, [(at_ms, odd)], name=name), OPENED)
        assert anomaly.veto_reason == reason
        assert anomaly.is_vetoed is bool(reason)
        assert "gap" in anomaly.quality


def backlog(n: int, *, seed: int = 3):
    """Values of a gauge that is far off in the middle of its backlog."""
    values = noisy(n, seed=seed)
    values[n // 2 : n // 2 + 5] += 100.0
    return values


def test_what_was_over_when_its_backlog_came_makes_no_page():
    data = plane()
    assert feed(data, zip(times(N_QUIET, T0_MS), noisy(N_QUIET), strict=True), name="q") == []
    start_ms = T0_MS + N_QUIET * STEP_MS
    rows = [(1, at, x) for at, x in zip(times(60, start_ms), backlog(60), strict=True)]
    events = take(data, rows, name="q", now_ms=rows[-1][1] + 1_800_000)
    anomaly = the_only(events, OPENED)
    assert anomaly.veto_reason == "backfill"
    assert {"late", "backfill"} <= set(anomaly.quality)


def test_what_still_goes_on_after_its_backlog_is_told():
    data = plane()
    assert feed(data, zip(times(N_QUIET, T0_MS), noisy(N_QUIET), strict=True), name="q") == []
    start_ms = T0_MS + N_QUIET * STEP_MS
    values = noisy(60, seed=3)
    values[55:] += 100.0
    rows = [(1, at, x) for at, x in zip(times(60, start_ms), values, strict=True)]
    now_ms = rows[-1][1] + 1_800_000
    assert the_only(take(data, rows, name="q", now_ms=now_ms), OPENED).is_vetoed
    live = [(now_ms + STEP_MS * k, 110.0) for k in range(2)]
    assert not the_only(feed(data, live, name="q"), OPENED).is_vetoed


@pytest.mark.parametrize("n_silent", [0, 4])
def test_an_anomaly_says_when_its_instance_was_only_partly_seen(n_silent):
    data = plane()
    rng = np.random.default_rng(5)
    for n in range(N_QUIET):
        numbers = range(1, 11 if n < N_QUIET - 10 else 11 - n_silent)
        at_ms = T0_MS + n * STEP_MS
        take(data, [(k, at_ms, 10 + rng.normal()) for k in numbers], name="q")
    anomaly = the_only(feed(data, [(T0_MS + N_QUIET * STEP_MS, 500.0)], name="q"), OPENED)
    assert ("partial" in anomaly.quality) is (n_silent > 0)
    assert not anomaly.is_vetoed


def test_an_anomaly_is_explained_by_streams_unit_alert_and_version():
    data = plane()
    quiet = zip(times(N_QUIET, T0_MS), noisy(N_QUIET), strict=True)
    assert feed(data, quiet, name="wait_seconds") == []
    odd = [(T0_MS + N_QUIET * STEP_MS, 500.0)]
    anomaly = the_only(feed(data, odd, name="wait_seconds"), OPENED)
    assert anomaly.unit == "s"
    assert anomaly.detector_version == str(data.bank.version)
    assert anomaly.alert > 0
    assert anomaly.parts == tuple(sorted(anomaly.parts, key=lambda part: -part[1]))
    assert all(score >= 1.0 for _, score in anomaly.parts)
    assert anomaly.quality == ()


def test_a_stop_in_the_middle_of_a_veto_changes_nothing():
    whole, cut = plane(), plane()
    rows = after_fall(steady_counter(whole), [0.0] * 8)
    assert after_fall(steady_counter(cut), [0.0] * 8) == rows
    wanted = feed(whole, rows)
    told = feed(cut, rows[:2])
    resumed = plane()
    saved = {name: array.copy() for name, array in cut.state().items()}
    resumed.restore(saved, MetadataBatch(()))
    assert told + feed(resumed, rows[2:]) == wanted
    for name, array in whole.state().items():
        assert array.tobytes() == resumed.state()[name].tobytes(), name


def test_a_snapshot_of_a_release_that_knew_no_quality_is_taken_over():
    data, fresh = plane(), plane()
    steady_counter(data)
    saved = {k: array.copy() for k, array in data.state().items() if not k.startswith("quality.")}
    fresh.restore(saved, MetadataBatch(()))
    assert not fresh.state()["quality.last_ms"].any()


@pytest.mark.parametrize("part", ["last_ms", "windows", "rhythms", "open"])
def test_a_snapshot_that_lacks_a_part_of_the_quality_is_refused(part):
    data, fresh = plane(), plane()
    steady_counter(data)
    saved = {k: array.copy() for k, array in data.state().items() if k != f"quality.{part}"}
    with pytest.raises(SnapshotError, match="quality"):
        fresh.restore(saved, MetadataBatch(()))


def test_a_newcomer_in_a_used_slot_has_no_past():
    data = plane()
    last_ms, _ = steady_counter(data)
    data.evict(Evict((1,), last_ms + 1), last_ms + 1)
    for name in ("last_ms", "windows", "rhythms"):
        assert not data.state()[f"quality.{name}"].any()
