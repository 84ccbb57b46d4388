"""Bounds that series are about to reach, in the data plane."""

from itertools import pairwise

import numpy as np
import pytest

from aiops.config import Config
from aiops.config_forecast import ForecastRule
from aiops.dataplane import DataPlane
from aiops.domain.anomaly import AnomalyChange, AnomalyKind
from aiops.domain.explain import explain
from aiops.domain.labels import labels_from
from aiops.domain.records import Evict, MetadataBatch
from aiops.domain.samples import STALE_BITS, SampleBatch
from aiops.errors import ConfigError
from aiops.wire.labels import encode_labels

T0_MS = 1_700_006_400_000
MINUTE_MS = 60_000
DAY = 1440
RULE = {"match": '{__name__="disk"}', "below": 0.0}
STALE = float(np.array([STALE_BITS], np.uint64).view(np.float64)[0])


def plane(*rules, **forecast) -> DataPlane:
    forecast = {"rules": [dict(rule) for rule in rules or (RULE,)], **forecast}
    return DataPlane(Config.model_validate({"detect": {"forecast": forecast, "group": {"by": []}}}))


class World:
    """A data plane that is fed a row of each series a minute, and ticks."""

    def __init__(self, data: DataPlane, n_series: int, name: str = "disk") -> None:
        self.data = data
        self.fingerprints = np.arange(1, n_series + 1).astype(np.uint64)
        self.blocks = tuple(
            encode_labels(labels_from({"__name__": name, "n": str(n)})) for n in range(n_series)
        )
        self.now_ms = T0_MS
        self.events = []

    def feed(self, rows) -> "World":
        for row in rows:
            self.now_ms += MINUTE_MS
            ts_ms = np.full(len(row), self.now_ms)
            fingerprints = tuple(self.fingerprints.tolist())
            batch = SampleBatch(
                self.fingerprints, ts_ms, np.array(row, float), fingerprints, self.blocks
            )
            self.note(self.data.take(batch, self.now_ms).events)
            self.note(self.data.tick(self.now_ms).events)
        return self

    def note(self, events) -> None:
        self.events += [(self.now_ms, e) for e in events if e.anomaly.kind is AnomalyKind.FORECAST]

    def minutes(self, change: AnomalyChange) -> list[float]:
        """Return when anomalies changed so, each once, in minutes since the first sample."""
        first = {}
        for at_ms, event in self.events:
            if event.change is change:
                first.setdefault(event.anomaly.anomaly_id, (at_ms - T0_MS) / MINUTE_MS - 1)
        return list(first.values())


def filling(n: int, *, start: int, hours: float, seed: int = 1):
    """A disk with 100 left and some noise that is full so many hours after `start`."""
    t = np.arange(n)
    noise = 0.05 * np.random.default_rng(seed).normal(size=n)
    left = 100 + noise - 100 * np.maximum(t - start, 0) / (60 * hours)
    return np.maximum(left, 0.0)[:, None]


def opened(hours: float = 12.0, **forecast) -> World:
    """A world in which a disk that fills is an anomaly."""
    world = World(plane(**forecast), 1).feed(filling(1000, start=300, hours=hours)[:960])
    assert world.data.forecasts.open_now == 1
    return world


@pytest.mark.parametrize("hours", [6.0, 12.0, 24.0])
def test_a_disk_that_fills_is_told_in_time_with_the_time_left(hours):
    full = 600 + 60 * hours
    world = World(plane(), 1).feed(filling(int(full) - 5, start=600, hours=hours))
    at = world.minutes(AnomalyChange.OPENED)
    assert len(at) == 1
    assert 90 < full - at[0] <= 361
    anomaly = world.events[0][1].anomaly
    facts = anomaly.forecast
    assert facts.eta_s / 60 == pytest.approx(full - at[0], rel=0.15)
    assert facts.eta_near_s <= facts.eta_s <= facts.eta_far_s
    assert (facts.bound, facts.is_above) == (0.0, False)
    assert anomaly.lower == 0.0 and np.isnan(anomaly.upper)


def test_the_anomaly_says_when_in_words():
    told = explain(opened().events[0][1].anomaly)
    assert told.startswith("disk ") and "at 0 in " in told and "at the present trend" in told


def test_an_open_anomaly_is_told_again_as_time_runs_out():
    world = opened().feed(filling(1100, start=300, hours=12)[960:])
    left = [event.anomaly.forecast.eta_s for _, event in world.events]
    assert len(left) >= 3
    assert all(later <= 0.5 * sooner for sooner, later in pairwise(left))
    assert len({event.anomaly.anomaly_id for _, event in world.events}) == 1


def test_it_closes_once_there_is_room_again():
    world = opened().feed(np.full((30, 1), 90.0))
    assert world.data.forecasts.open_now == 0
    assert world.events[-1][1].change is AnomalyChange.CLOSED
    assert world.events[-1][1].anomaly.end_ms > world.events[-1][1].anomaly.onset_ms


def test_a_full_disk_stays_an_anomaly():
    world = opened().feed(filling(1400, start=300, hours=12)[960:])
    assert world.data.forecasts.open_now == 1
    assert world.minutes(AnomalyChange.CLOSED) == []


def test_a_bound_above_is_risen_to():
    world = World(plane({"match": "disk", "above": 100.0, "within_s": 7200}), 1)
    world.feed(100 - filling(1000, start=300, hours=12)[:960])
    (at,) = world.minutes(AnomalyChange.OPENED)
    assert 60 < 1020 - at <= 121
    assert world.events[0][1].anomaly.upper == 100.0


NULLS = {
    "stable": lambda rng, t: 5 + rng.normal(size=t.shape),
    "constant": lambda _rng, t: np.full(t.shape, 3.0),
    "random walk": lambda rng, t: 100 + np.cumsum(rng.normal(size=t.shape), axis=0),
    "counts": lambda rng, t: 1.0 + rng.poisson(3, t.shape),
    "rotated daily": lambda rng, t: 100 - 80 * ((t + 500) % DAY) / DAY + rng.normal(size=t.shape),
    "full in a week": lambda rng, t: 100 - t / 100.8 + 0.05 * rng.normal(size=t.shape),
    "stairs": lambda rng, t: 50.0 - np.floor(t / 700),
}


def test_series_without_a_way_to_the_bound_raise_nothing():
    rng, t = np.random.default_rng(11), np.tile(np.arange(2 * DAY)[:, None], (1, 8))
    values = np.hstack([make(rng, t) for make in NULLS.values()])
    world = World(plane(), values.shape[1]).feed(values)
    assert {event.anomaly.labels for _, event in world.events} == set()


def test_what_turns_round_every_time_is_told_twice_at_most():
    rng, t = np.random.default_rng(2), np.arange(3 * DAY)
    season = 10 + 8 * np.sin(2 * np.pi * t / DAY) + 0.01 * rng.normal(size=len(t))
    teeth = 100 - 90 * (t % 60) / 60 + 0.1 * rng.normal(size=len(t))
    world = World(plane(), 2).feed(np.column_stack([season, teeth]))
    names = [name for name, _ in {(e.anomaly.labels, e.anomaly.onset_ms) for _, e in world.events}]
    assert all(names.count(name) <= 2 for name in names)


def test_a_rule_without_a_bound_learns_and_raises_nothing():
    world = World(plane({"match": "disk"}), 1).feed(filling(1000, start=300, hours=12))
    assert world.data.forecasts.n_watched == 1
    assert world.events == []


def test_the_first_rule_that_matches_counts():
    world = World(plane({"match": "disk"}, RULE), 1).feed(filling(960, start=300, hours=12))
    assert world.events == []


def test_file_systems_and_volumes_are_watched_by_default():
    data = DataPlane(Config())
    world = World(data, 1, "kubelet_volume_stats_available_bytes").feed([[1e9]])
    assert world.data.forecasts.n_watched == 1


def test_other_series_are_not_watched():
    world = World(plane(), 3, "other").feed(np.full((30, 3), 5.0))
    assert world.data.forecasts.n_watched == 0


def test_switched_off_nothing_is_watched():
    world = World(plane(enabled=False), 1).feed(filling(960, start=300, hours=12))
    assert world.data.forecasts.n_watched == 0
    assert world.events == []


def test_series_beyond_the_bound_are_refused_and_counted():
    world = World(plane(series_max=2), 5).feed(np.full((3, 5), 5.0))
    assert world.data.forecasts.n_watched == 2
    assert world.data.forecasts.refused_total == 3


def test_a_staleness_marker_closes():
    world = opened().feed([[STALE]])
    assert world.data.forecasts.open_now == 0


def test_a_forgotten_series_closes_and_makes_room():
    world = opened(series_max=1)
    outcome = world.data.evict(Evict((1,), world.now_ms + 1), world.now_ms)
    closed = [e for e in outcome.events if e.anomaly.kind is AnomalyKind.FORECAST]
    assert [event.change for event in closed] == [AnomalyChange.CLOSED]
    assert world.data.forecasts.n_watched == 0


def test_one_that_nobody_hears_any_more_closes():
    world = opened()
    for _ in range(30):
        world.now_ms += MINUTE_MS
        world.note(world.data.tick(world.now_ms).events)
    assert world.data.forecasts.open_now == 0


def restored(world: World, *rules, **forecast) -> World:
    other = World(plane(*rules, **forecast), len(world.blocks))
    arrays = {name: array.copy() for name, array in world.data.state().items()}
    other.data.restore(arrays, MetadataBatch(()))
    other.now_ms = world.now_ms
    return other


def test_after_a_restart_all_goes_on_alike():
    values = np.hstack([filling(1100, start=300, hours=12, seed=k) for k in (1, 2, 3)])
    first = World(plane(), 3).feed(values[:955])
    second = restored(first)
    first.events.clear()
    first.feed(values[955:])
    second.feed(values[955:])
    assert repr(first.events) == repr(second.events)  # NaN is unequal to itself
    saved, again = first.data.forecasts.state(), second.data.forecasts.state()
    assert all(saved[name].tobytes() == again[name].tobytes() for name in saved)


def test_an_anomaly_of_a_rule_that_is_gone_closes_after_the_restart():
    world = restored(opened(), {"match": "other", "below": 0.0})
    assert world.data.forecasts.n_watched == 0
    world.feed(filling(1000, start=300, hours=12)[960:970])
    assert world.data.forecasts.open_now == 0


def test_series_of_a_new_rule_are_watched_after_the_restart():
    before = World(plane({"match": "other", "below": 0.0}), 2).feed(np.full((3, 2), 5.0))
    assert restored(before, RULE).data.forecasts.n_watched == 2


def test_a_snapshot_of_a_release_without_forecasts_begins_anew():
    before = World(plane(), 2).feed(np.full((3, 2), 5.0))
    arrays = {k: v for k, v in before.data.state().items() if not k.startswith("forecast.")}
    data = plane()
    data.restore(arrays, MetadataBatch(()))
    assert data.forecasts.n_watched == 2


def test_forecasts_are_told_of_any_series_that_has_samples():
    world = World(plane(), 2, "other").feed(np.random.default_rng(1).normal(5, 1, (200, 2)))
    slots = np.arange(2, dtype=np.int32)
    told = world.data.forecasts.forecasts(slots, 60_000, 3)
    assert [dict(each.labels)["n"] for each in told] == ["0", "1"]
    assert told[0].forecast.ts_ms.tolist() == [world.now_ms + k * 60_000 for k in (1, 2, 3)]
    assert told[0].forecast.expected == pytest.approx(5.0, abs=1.5)


def test_both_bounds_in_one_rule_are_refused():
    with pytest.raises(ValueError, match="two rules"):
        ForecastRule(match="disk", below=0.0, above=1.0)


def test_a_match_that_is_no_selector_is_refused_by_its_place():
    with pytest.raises(ConfigError, match=r"detect.forecast.rules\[0\].match"):
        plane({"match": "{", "below": 0.0})
