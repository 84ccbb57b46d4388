"""Histograms in the data plane: series of their own, in place of buckets that nobody judges."""

import math

import numpy as np
import pytest

from aiops.config import Config
from aiops.dataplane import DataPlane
from aiops.domain.anomaly import AnomalyChange
from aiops.domain.labels import METRIC_NAME, label_value, labels_from
from aiops.domain.records import Evict, MetadataBatch
from aiops.domain.samples import STALE_BITS, MetricMetadata, SampleBatch
from aiops.domain.selector import parse_selector
from aiops.series.kernels import intake
from aiops.series.table import DERIVED, PART, RAW
from aiops.wire.labels import encode_labels

RATIO = {
    "name": "shop:error_ratio",
    "numerator": 'requests_total{code=~"5.."}',
    "denominator": "requests_total",
    "by": ["service"],
}

T0_MS = 1_700_000_000_000
STEP_MS = 15_000
BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, math.inf)
STALE = float(np.array([STALE_BITS], np.uint64).view(np.float64)[0])
DERIVED_NAMES = {"x_seconds:rate", "x_seconds:p50", "x_seconds:p95"}


def plane(*, alarm_score: float = 5.0, ignore=(), **derived) -> DataPlane:
    detect = {"warmup_samples": 60, "alarm_score": alarm_score, "open_samples": 2}
    sections = {"detect": {**detect, "ignore": ignore}, "derived": derived}
    return DataPlane(Config.model_validate({**sections, "store": {"chunk_rows": 16}}))


class Target:
    """A process with one histogram, scraped every 15 s."""

    def __init__(self, *, pod: str = "a", first: int = 1, seed: int = 1) -> None:
        self.rng = np.random.default_rng(seed)
        self.counts = np.zeros(len(BOUNDS) + 2)  # buckets, count, sum
        self.first = first
        names = [("x_seconds_bucket", "+Inf" if math.isinf(b) else str(b)) for b in BOUNDS]
        names += [("x_seconds_count", ""), ("x_seconds_sum", "")]
        self.labels = [
            labels_from({METRIC_NAME: n, "job": "web", "pod": pod, "le": le}) for n, le in names
        ]

    @property
    def fingerprints(self) -> tuple[int, ...]:
        return tuple(range(self.first, self.first + len(self.labels)))

    def serve(self, n_requests: int, *, seconds: float = 0.2) -> None:
        """Add requests of about that duration."""
        took = self.rng.gamma(4.0, seconds / 4.0, n_requests)
        self.counts[: len(BOUNDS)] += [(took <= bound).sum() for bound in BOUNDS]
        self.counts[len(BOUNDS) :] += [n_requests, took.sum()]

    def scrape(self, at_ms: int, rows=slice(None), values=None) -> SampleBatch:
        """Return the samples of a scrape, or of some of its series."""
        shown = self.counts if values is None else np.full(len(self.counts), values)
        fingerprints, labels = self.fingerprints[rows], self.labels[rows]
        return SampleBatch(
            np.array(fingerprints, np.uint64),
            np.full(len(fingerprints), at_ms),
            shown[rows].copy(),
            fingerprints,
            tuple(encode_labels(own) for own in labels),
        )


def run(data: DataPlane, target: Target, steps, *, n_requests: int = 600, seconds: float = 0.2):
    """Scrape a busy target at these steps; return all events."""
    events = []
    for step in steps:
        target.serve(n_requests, seconds=seconds)
        at_ms = T0_MS + step * STEP_MS
        events += data.take(target.scrape(at_ms), at_ms).events
    return events


def slots_with(data: DataPlane, role: int) -> list[int]:
    live = data.table.index.select(()).tolist()
    return [slot for slot in live if data.table.roles[slot] == role]


def names(data: DataPlane, role: int) -> set[str]:
    return {label_value(data.table.labels(slot), METRIC_NAME) for slot in slots_with(data, role)}


def slot_of(data: DataPlane, name: str) -> int:
    (slot,) = data.table.index.with_pair(METRIC_NAME, name)
    return slot


def newest(data: DataPlane, name: str) -> float:
    bits = data.table.track[slot_of(data, name), intake.LAST_BITS]
    return float(np.int64(bits).view(np.float64))


def same_bits(one: DataPlane, other: DataPlane) -> bool:
    left, right = one.state(), other.state()
    assert left.keys() == right.keys()
    return all(array.tobytes() == right[name].tobytes() for name, array in left.items())


def restored(data: DataPlane, **derived) -> DataPlane:
    saved = {name: array.copy() for name, array in data.state().items()}
    other = plane(**derived)
    other.restore(saved, MetadataBatch(tuple(data.table.metadata())))
    return other


def test_a_histogram_becomes_three_series_with_the_labels_its_buckets_share():
    data = plane()
    run(data, Target(), range(3))
    assert names(data, DERIVED) == DERIVED_NAMES
    wanted = {"job": "web", "pod": "a", METRIC_NAME: "x_seconds:p95"}
    assert dict(data.table.labels(slot_of(data, "x_seconds:p95"))) == wanted
    assert newest(data, "x_seconds:rate") == 600 / 15
    assert 0.15 < newest(data, "x_seconds:p50") < 0.25 < newest(data, "x_seconds:p95") < 0.5


def test_buckets_count_and_sum_are_stored_and_not_judged():
    data = plane()
    run(data, Target(), range(3))
    parts = slots_with(data, PART)
    assert len(parts) == len(BOUNDS) + 2
    assert (data.table.track[parts, intake.KIND] == intake.PART).all()
    assert data.counts[intake.N_KEPT] == 3 * len(parts)
    assert newest(data, "x_seconds_count") == 1800


def test_derived_series_can_be_selected_like_any():
    data = plane()
    run(data, Target(), range(3))
    matchers = parse_selector('{__name__=~"x_seconds:.+", pod="a"}')
    assert len(data.table.index.select((matchers,))) == 3


def test_slow_answers_are_an_anomaly_of_the_quantiles_alone():
    data, target = plane(), Target()
    assert run(data, target, range(240)) == []
    events = run(data, target, range(240, 248), seconds=1.0)
    opened = [e.anomaly for e in events if e.change is AnomalyChange.OPENED]
    told = {label_value(anomaly.labels, METRIC_NAME): anomaly for anomaly in opened}
    assert set(told) <= {"x_seconds:p50", "x_seconds:p95", ""}
    assert "x_seconds:p50" in told
    assert told["x_seconds:p50"].unit == "s"


def test_with_two_observations_a_scrape_no_quantile_is_judged_at_each():
    data, target = plane(), Target()
    run(data, target, range(40), n_requests=2)
    assert data.table.n_series == len(target.labels) + 2  # rate and median, no p95
    rows = data.derived.rows_total
    run(data, target, range(40, 50), n_requests=2)
    assert data.derived.rows_total - rows == 10 + 2


def test_a_derived_series_has_the_same_fingerprint_wherever_it_is_made():
    one, other = plane(), plane()
    run(one, Target(), range(3))
    run(other, Target(first=500, pod="b", seed=2), range(2))
    run(other, Target(first=900, seed=3), range(2))
    wanted = one.table.fingerprints[slots_with(one, DERIVED)].tolist()
    assert set(wanted) < set(other.table.fingerprints[slots_with(other, DERIVED)].tolist())


def test_a_restored_plane_goes_on_with_its_histograms_bit_for_bit():
    data, target = plane(), Target()
    run(data, target, range(80), n_requests=7)
    target.serve(20)
    half = slice(0, 3)  # in the middle of a scrape
    data.take(target.scrape(T0_MS + 80 * STEP_MS, half), T0_MS + 80 * STEP_MS)
    other = restored(data)
    assert same_bits(data, other)
    other_target = Target()
    other_target.counts[:], other_target.rng = target.counts, np.random.default_rng(9)
    target.rng = np.random.default_rng(9)
    assert run(data, target, range(81, 160), n_requests=7) == run(
        other, other_target, range(81, 160), n_requests=7
    )
    assert same_bits(data, other)


def test_a_snapshot_without_histograms_begins_them_anew():
    data, target = plane(histograms={"enabled": False}), Target()
    run(data, target, range(3))
    assert names(data, DERIVED) == set()
    assert names(data, PART) == set()
    other = restored(data)
    assert len(slots_with(other, PART)) == len(target.labels)
    run(other, target, range(3, 6))
    assert names(other, DERIVED) == DERIVED_NAMES


def test_switched_off_after_a_snapshot_buckets_are_judged_again():
    data, target = plane(), Target()
    run(data, target, range(3))
    other = restored(data, histograms={"enabled": False})
    assert names(other, PART) == names(other, DERIVED) == set()
    bucket = other.table.index.with_pair(METRIC_NAME, "x_seconds_bucket")
    assert (other.table.track[bucket, intake.KIND] == intake.COUNTER).all()
    again = restored(other)
    run(again, target, range(3, 6))
    assert names(again, DERIVED) == DERIVED_NAMES
    assert again.table.n_series == len(target.labels) + 3


def test_other_quantiles_after_a_snapshot_are_made_and_the_former_left_to_idle():
    data, target = plane(), Target()
    run(data, target, range(3))
    other = restored(data, histograms={"quantiles": [0.5, 0.9]})
    run(other, target, range(3, 6))
    assert names(other, DERIVED) == {"x_seconds:rate", "x_seconds:p50", "x_seconds:p90"}
    left = slot_of(other, "x_seconds:p95")
    assert other.table.roles[left] == RAW
    assert other.table.fingerprints[left] in other.table.idle(T0_MS + 9 * STEP_MS)


def test_derived_series_are_evicted_with_their_histogram_and_never_alone():
    data, target = plane(), Target()
    run(data, target, range(3))
    late_ms = T0_MS + 100 * STEP_MS
    assert set(data.table.idle(late_ms).tolist()) == set(target.fingerprints)
    assert set(data.table.sent_fingerprints().tolist()) == set(target.fingerprints)
    data.evict(Evict(target.fingerprints[1:], late_ms), late_ms)
    assert names(data, DERIVED) == DERIVED_NAMES  # a bucket is left
    data.evict(Evict(target.fingerprints, late_ms), late_ms)
    assert data.table.n_series == data.derived.n_live == data.derived.histograms.n_live == 0
    run(data, target, range(200, 203))
    assert names(data, DERIVED) == DERIVED_NAMES


def test_a_count_whose_buckets_are_gone_is_judged_itself_again():
    data, target = plane(), Target()
    run(data, target, range(3))
    late_ms = T0_MS + 100 * STEP_MS
    data.evict(Evict(target.fingerprints[: len(BOUNDS)], late_ms), late_ms)
    assert data.table.track[slot_of(data, "x_seconds_count"), intake.KIND] == intake.COUNTER
    assert names(data, PART) == set()


def test_a_count_that_came_before_its_buckets_is_judged_no_more():
    data, target = plane(), Target()
    kin = slice(len(BOUNDS), None)
    data.take(target.scrape(T0_MS, kin), T0_MS)
    slot = slot_of(data, "x_seconds_count")
    assert data.table.track[slot, intake.KIND] == intake.COUNTER
    data.take(target.scrape(T0_MS + STEP_MS), T0_MS + STEP_MS)
    assert data.table.track[slot, intake.KIND] == intake.PART


def test_the_count_of_a_summary_is_judged_as_ever():
    data, target = plane(), Target()
    kin = slice(len(BOUNDS), None)
    for step in range(3):
        data.take(target.scrape(T0_MS + step * STEP_MS, kin), T0_MS + step * STEP_MS)
    assert names(data, PART) == names(data, DERIVED) == set()


def test_metadata_leaves_the_roles_as_they_are():
    data = plane()
    run(data, Target(), range(3))
    entry = MetricMetadata("x_seconds", "histogram", unit="seconds")
    outcome = data.learn_metadata(MetadataBatch((entry,)), T0_MS + 3 * STEP_MS)
    assert (outcome.events, outcome.sealed) == ([], [])
    assert len(slots_with(data, PART)) == len(BOUNDS) + 2
    assert data.table.unit(slot_of(data, "x_seconds:p50")) == "s"
    assert data.table.unit(slot_of(data, "x_seconds:rate")) == "/s"


def test_the_end_of_a_target_ends_the_anomaly_of_its_quantile():
    data, target = plane(), Target()
    run(data, target, range(240))
    opened = run(data, target, range(240, 246), seconds=1.0)
    assert any(event.change is AnomalyChange.OPENED for event in opened)
    end_ms = T0_MS + 246 * STEP_MS
    data.take(target.scrape(end_ms, values=STALE), end_ms)
    assert data.episodes.open_now == 0
    derived = slots_with(data, DERIVED)
    assert (data.table.track[derived, intake.PHASE] == intake.STALE).all()


def test_a_silent_target_ends_the_anomaly_of_its_quantile():
    data, target = plane(), Target()
    run(data, target, range(240))
    run(data, target, range(240, 246), seconds=1.0)
    assert data.episodes.open_now > 0
    for second in range(900):
        data.tick(T0_MS + 246 * STEP_MS + 1000 * second)
    assert data.episodes.open_now == 0


def test_beyond_the_bound_no_histogram_is_derived_and_the_buckets_are_counted():
    data = plane(series_max=3)
    run(data, Target(), range(3))
    other = Target(pod="b", first=100)
    run(data, other, range(3, 6))
    assert len(slots_with(data, DERIVED)) == 3
    assert data.derived.histograms.refused_total == len(BOUNDS)


def test_a_fingerprint_that_is_taken_is_refused_and_counted():
    one, data, target = plane(), plane(), Target()
    run(one, target, range(3))
    taken = int(one.table.fingerprints[slot_of(one, "x_seconds:p50")])
    block = encode_labels(labels_from({METRIC_NAME: "other"}))
    columns = (np.array([taken], np.uint64), np.array([T0_MS]), np.array([1.0]))
    data.take(SampleBatch(*columns, (taken,), (block,)), T0_MS)
    run(data, target, range(3, 6))
    assert names(data, DERIVED) == DERIVED_NAMES - {"x_seconds:p50"}
    assert data.derived.refused_total == 1
    assert newest(data, "other") == 1.0


def test_ignored_buckets_have_no_derived_series():
    data = plane(ignore=['{__name__="x_seconds_bucket"}'])
    run(data, Target(), range(3))
    assert names(data, DERIVED) == set()
    assert data.table.track[slot_of(data, "x_seconds_count"), intake.KIND] == intake.COUNTER


@pytest.mark.parametrize("n_pods", [1, 40])
def test_derived_rows_reach_memory_and_the_sealed_blocks(n_pods):
    data = plane()
    targets = [Target(pod=str(n), first=1 + 100 * n, seed=n) for n in range(n_pods)]
    sealed = []
    for step in range(60):
        for target in targets:
            target.serve(300)
            at_ms = T0_MS + step * STEP_MS
            sealed += data.take(target.scrape(at_ms), at_ms).sealed
    n_rows = sum(len(block.sealed.rows) for block in sealed)
    n_rows += int(data.head.meta[: data.table.n_slots, 0].sum())
    assert data.derived.rows_total == n_pods * 59 * 3
    assert n_rows == data.counts[intake.N_KEPT] + data.derived.rows_total


class Shop:
    """Requests of one service by status code, scraped every minute."""

    labels = tuple(
        labels_from({METRIC_NAME: "requests_total", "code": code, "service": "cart"})
        for code in ("200", "500")
    )

    def __init__(self) -> None:
        self.rng = np.random.default_rng(4)
        self.counts = np.zeros(2)

    def scrape(self, minute: int, n_requests: int, *, error_ratio: float = 0.01) -> SampleBatch:
        """Serve requests for a minute; return the samples then."""
        n_errors = self.rng.binomial(n_requests, error_ratio)
        self.counts += [n_requests - n_errors, n_errors]
        blocks = tuple(encode_labels(own) for own in self.labels)
        at_ms = np.full(2, T0_MS + 60_000 * minute)
        return SampleBatch(np.array([1, 2], np.uint64), at_ms, self.counts.copy(), (1, 2), blocks)


def run_shop(data: DataPlane, shop: Shop, minutes, n_requests: int, *, error_ratio: float = 0.01):
    """Return the names of what opened."""
    told = []
    for minute in minutes:
        batch = shop.scrape(minute, n_requests, error_ratio=error_ratio)
        events = data.take(batch, int(batch.ts_ms[0])).events
        told += [e.anomaly.labels for e in events if e.change is AnomalyChange.OPENED]
    return [label_value(labels, METRIC_NAME) for labels in told]


def test_a_ratio_is_a_series_with_the_labels_it_is_made_by():
    data = plane(ratios=[RATIO])
    run_shop(data, Shop(), range(4), 1000)
    assert names(data, DERIVED) == {"shop:error_ratio"}
    slot = slot_of(data, "shop:error_ratio")
    assert dict(data.table.labels(slot)) == {METRIC_NAME: "shop:error_ratio", "service": "cart"}
    assert 0.0 < newest(data, "shop:error_ratio") < 0.03
    assert (data.table.track[:2, intake.KIND] == intake.COUNTER).all()  # judged all the same


def test_a_rise_of_errors_is_an_anomaly_of_the_ratio():
    data, shop = plane(ratios=[RATIO]), Shop()
    assert run_shop(data, shop, range(300), 1000) == []
    assert "shop:error_ratio" in run_shop(data, shop, range(300, 306), 1000, error_ratio=0.2)


def test_one_error_of_two_requests_at_night_is_no_anomaly_of_the_ratio():
    data, shop = plane(ratios=[RATIO]), Shop()
    run_shop(data, shop, range(300), 1000)
    told = run_shop(data, shop, range(300, 420), 2, error_ratio=0.5)
    assert "shop:error_ratio" not in told


def test_a_restored_plane_goes_on_with_its_ratios_bit_for_bit():
    data, shop = plane(ratios=[RATIO]), Shop()
    run_shop(data, shop, range(100), 70)
    other, other_shop = restored(data, ratios=[RATIO]), Shop()
    assert same_bits(data, other)
    other_shop.counts, other_shop.rng = shop.counts.copy(), np.random.default_rng(8)
    shop.rng = np.random.default_rng(8)
    for part, own in ((data, shop), (other, other_shop)):
        run_shop(part, own, range(100, 200), 70)
    assert same_bits(data, other)


def test_a_ratio_that_is_new_in_the_configuration_begins_after_a_snapshot():
    data, shop = plane(), Shop()
    run_shop(data, shop, range(3), 1000)
    other = restored(data, ratios=[RATIO])
    run_shop(other, shop, range(3, 6), 1000)
    assert names(other, DERIVED) == {"shop:error_ratio"}
    left = restored(other)
    assert names(left, DERIVED) == set()


def test_a_ratio_is_evicted_with_its_series():
    data = plane(ratios=[RATIO])
    run_shop(data, Shop(), range(4), 1000)
    late_ms = T0_MS + 10_000_000
    data.evict(Evict((1,), late_ms), late_ms)
    assert data.table.n_series == 2
    data.evict(Evict((2,), late_ms), late_ms)
    assert data.table.n_series == data.derived.n_live == data.derived.ratios.n_live == 0


def test_a_ratio_whose_name_ends_like_a_counter_is_none():
    data = plane(ratios=[{**RATIO, "name": "shop:error_total"}])
    run_shop(data, Shop(), range(4), 1000)
    assert data.table.track[slot_of(data, "shop:error_total"), intake.KIND] == intake.GAUGE
