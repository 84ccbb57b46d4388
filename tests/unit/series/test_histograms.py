"""Classic histograms: their buckets together, and the kernel against its plain twin."""

import math
from itertools import chain

import numpy as np
import pytest

from aiops.config_derived import HistogramsConfig
from aiops.domain.labels import labels_from
from aiops.domain.samples import STALE_BITS
from aiops.errors import SnapshotError
from aiops.series.histograms import Histograms, split_bucket
from tests.naive.histograms import STALE, NaiveFamily, naive_histograms_take, naive_quantile

T0_MS = 1_700_000_000_000
STEP_MS = 15_000
BOUNDS = (0.1, 0.5, 1.0, math.inf)
RATE, P50 = 0, 1
STALE_VALUE = np.array([STALE_BITS], np.uint64).view(np.float64)[0]
WIDE = HistogramsConfig(quantiles=(0.5, 0.9), tail_observations_min=2, window_s=60)


def bucket_labels(bound: float, family: str = "x"):
    text = "+Inf" if math.isinf(bound) else str(bound)
    return labels_from({"__name__": f"{family}_bucket", "job": "web", "le": text})


def joined(bounds=BOUNDS, config=WIDE, families=("x",)) -> Histograms:
    """Return histograms whose buckets have slots in order of families and bounds."""
    histograms = Histograms(config, 100, 64)
    slot = 0
    for family in families:
        for bound in bounds:
            assert histograms.join(slot, bucket_labels(bound, family))
            slot += 1
    return histograms


def take(histograms: Histograms, rows, now_ms: int | None = None, seen_ms=None):
    """rows: [(slot, ts, value)]; returns [(family, signal, ts, value or STALE)]."""
    slots, ts_ms, values = (np.array(column) for column in zip(*rows, strict=True))
    if seen_ms is None:
        seen_ms = np.full(64, T0_MS)
    told = []
    bits = values.astype(np.float64).view(np.uint64)
    arrived_ms = int(now_ms or ts_ms.max())
    columns = (slots.astype(np.int32), ts_ms.astype(np.int64), bits)
    for block in histograms.take(*columns, now_ms=arrived_ms, seen_ms=seen_ms):
        shown = block.bits.view(np.float64).tolist()
        stale = block.bits == np.uint64(STALE_BITS)
        values_told = [STALE if s else v for s, v in zip(stale, shown, strict=True)]
        keys = (block.families.tolist(), block.numbers.tolist(), block.ts_ms.tolist())
        told += zip(*keys, values_told, strict=True)
    return told


def scrape(step: int, counts, first_slot: int = 0):
    return [(first_slot + k, T0_MS + step * STEP_MS, count) for k, count in enumerate(counts)]


def test_a_bucket_needs_the_suffix_and_a_bound():
    assert split_bucket(bucket_labels(0.5)) == (labels_from({"__name__": "x", "job": "web"}), 0.5)
    assert split_bucket(labels_from({"__name__": "x_bucket"})) is None
    assert split_bucket(labels_from({"__name__": "x", "le": "1"})) is None
    assert split_bucket(labels_from({"__name__": "x_bucket", "le": "tall"})) is None
    assert split_bucket(labels_from({"__name__": "x_bucket", "le": "NaN"})) is None


def test_the_second_scrape_tells_what_came_since_the_first():
    histograms = joined()
    assert take(histograms, scrape(0, (5, 6, 7, 8))) == []
    told = take(histograms, scrape(1, (15, 26, 27, 28)))
    at_ms = T0_MS + STEP_MS
    # 20 observations, 10 up to 0.1 and 20 up to 0.5: rank 10 is the end of the first bucket
    assert told == [(0, RATE, at_ms, 20 / 15), (0, P50, at_ms, 0.1), (0, 2, at_ms, 0.1 + 0.4 * 0.8)]


def test_buckets_in_any_order_and_in_several_requests_are_one_scrape():
    histograms = joined()
    take(histograms, scrape(0, (0, 0, 0, 0)))
    rows = scrape(1, (10, 20, 20, 20))
    assert take(histograms, [rows[3], rows[1]]) == []
    assert [number for _, number, _, _ in take(histograms, [rows[0], rows[2]])] == [0, 1, 2]


def test_samples_of_several_scrapes_series_by_series_make_one_window():
    histograms = joined()
    take(histograms, scrape(0, (0, 0, 0, 0)))
    scrapes = [scrape(step, (10 * step, 20 * step, 20 * step, 20 * step)) for step in (1, 2, 3)]
    told = take(histograms, [rows[k] for k in range(4) for rows in scrapes])
    assert told[0] == (0, RATE, T0_MS + 3 * STEP_MS, 60 / 45)


def test_a_quantile_waits_for_enough_observations_over_several_scrapes():
    histograms = joined()  # the median needs 4
    take(histograms, scrape(0, (0, 0, 0, 0)))
    numbers = [
        [number for _, number, _, _ in take(histograms, scrape(step, (0, step, step, step)))]
        for step in (1, 2, 3, 4)
    ]
    assert numbers == [[RATE], [RATE], [RATE], [RATE, P50]]


def test_observations_too_old_do_not_count_with_new_ones():
    histograms = joined()  # windows of 60 s are four scrapes
    take(histograms, scrape(0, (0, 0, 0, 0)))
    for step in range(1, 5):
        take(histograms, scrape(step, (3, 3, 3, 3)))
    told = take(histograms, scrape(5, (3, 6, 6, 6)))
    assert [number for _, number, _, _ in told] == [RATE]


@pytest.mark.parametrize("n", [0, 1])
def test_a_rate_of_few_observations_is_told(n):
    histograms = joined()
    take(histograms, scrape(0, (0, 0, 0, 0)))
    assert take(histograms, scrape(1, (0, 0, 0, n))) == [(0, RATE, T0_MS + STEP_MS, n / 15)]


def test_a_counter_reset_begins_the_windows_anew():
    histograms = joined()
    take(histograms, scrape(0, (50, 100, 100, 100)))
    assert take(histograms, scrape(1, (60, 70, 70, 70))) == []
    assert take(histograms, scrape(2, (70, 80, 80, 80)))[0] == (
        (0, RATE, T0_MS + 2 * STEP_MS, 10 / 15)
    )


def test_a_histogram_ends_with_its_last_bucket():
    histograms = joined()
    take(histograms, scrape(0, (0, 0, 0, 0)))
    rows = scrape(1, [STALE_VALUE] * 4)
    assert take(histograms, rows[:3]) == []
    at_ms = T0_MS + STEP_MS
    assert take(histograms, rows[3:]) == [(0, number, at_ms, STALE) for number in range(3)]
    assert take(histograms, [(0, at_ms + STEP_MS, STALE_VALUE)]) == []


def test_a_bucket_that_ended_is_not_waited_for():
    histograms = joined()
    take(histograms, scrape(0, (0, 0, 0, 0)))
    take(histograms, [(1, T0_MS + STEP_MS, STALE_VALUE)])
    rest = [(0, 10), (2, 20), (3, 20)]
    take(histograms, [(slot, T0_MS + STEP_MS, 0) for slot, _ in rest])
    take(histograms, [(slot, T0_MS + 2 * STEP_MS, value) for slot, value in rest])
    told = take(histograms, [(slot, T0_MS + 3 * STEP_MS, 2 * value) for slot, value in rest])
    assert told[1] == (0, P50, T0_MS + 3 * STEP_MS, 0.1)
    assert told[2][3] == pytest.approx(0.1 + 0.9 * 0.8)  # no bound at 0.5 any more


def test_a_bucket_without_samples_for_five_minutes_is_not_waited_for():
    histograms = joined()
    take(histograms, scrape(0, (0, 0, 0, 0)))
    seen_ms = np.full(64, T0_MS)
    told = []
    for step in range(1, 30):
        now_ms = T0_MS + step * STEP_MS
        seen_ms[1:4] = now_ms
        rows = scrape(step, (10 * step, 20 * step, 20 * step), first_slot=1)
        told.append(take(histograms, rows, now_ms, seen_ms))
    assert told[19] == []
    assert told[22][0] == (0, RATE, T0_MS + 23 * STEP_MS, 20 / 15)


def test_without_a_last_bucket_nothing_is_told():
    histograms = joined(bounds=(0.1, 0.5))
    take(histograms, scrape(0, (0, 0)))
    assert take(histograms, scrape(1, (100, 200))) == []


def test_a_new_bucket_takes_its_place_by_its_bound():
    histograms = joined(bounds=(math.inf, 0.1))
    histograms.join(2, bucket_labels(0.5))
    take(histograms, scrape(0, (0, 0, 0)))
    assert take(histograms, scrape(1, (100, 0, 100)))[1][3] == pytest.approx(0.1 + 0.4 / 2)


def test_a_family_goes_with_its_last_bucket_and_its_number_is_used_again():
    histograms = joined()
    labels = {slot: bucket_labels(bound) for slot, bound in enumerate(BOUNDS)}
    assert [histograms.leave(slot, labels.__getitem__) for slot in (1, 3, 0, 2)] == [-1, -1, -1, 0]
    assert histograms.n_live == 0
    assert histograms.leave(0, labels.__getitem__) == -1
    histograms.join(7, bucket_labels(1.0, "y"))
    assert histograms.families_of(np.array([7, 0], np.int32)).tolist() == [0]


def test_families_beyond_the_bound_are_refused_and_counted():
    histograms = Histograms(WIDE, 1, 64)
    assert histograms.join(0, bucket_labels(0.1))
    assert histograms.join(1, bucket_labels(0.1, "y"))
    assert (histograms.n_live, histograms.refused_total) == (1, 1)


def test_names_of_operations_follow_the_quantiles():
    config = HistogramsConfig(quantiles=(0.5, 0.05, 0.999, 0.9))
    assert Histograms(config, 1, 1).operations == ("rate", "p50", "p05", "p999", "p90")


def test_quantiles_must_differ_where_their_names_do():
    with pytest.raises(ValueError, match="must differ"):
        HistogramsConfig(quantiles=(0.95, 0.950_001))


@pytest.mark.parametrize("quantile", [0.0, 1.0, 0.9999, math.nan])
def test_a_quantile_out_of_range_is_refused(quantile):
    with pytest.raises(ValueError, match="is not from"):
        HistogramsConfig(quantiles=(quantile,))


def test_a_snapshot_with_other_quantiles_is_not_known_and_one_with_a_part_is_refused():
    histograms = joined()
    state = histograms.state(8)
    assert histograms.is_known_to(state)
    assert not Histograms(HistogramsConfig(), 1, 1).is_known_to(state)
    assert not histograms.is_known_to({})
    with pytest.raises(SnapshotError, match="lack"):
        histograms.is_known_to({"histograms.links": state["histograms.links"]})


def random_rows(rng, n_steps: int, n_slots: int):
    """Yield arrivals of rows: requests cut at random, resets, ends, gaps, odd values."""
    values = np.zeros(n_slots)
    arrivals = []
    for step in range(1, n_steps):
        values += rng.integers(0, 4, n_slots)
        if rng.random() < 0.05:
            values[:] = 0
        order = rng.permutation(n_slots)
        rows = []
        for slot in order[rng.random(n_slots) > 0.03].tolist():
            value = values[slot]
            draw = rng.random()
            if draw < 0.02:
                value = STALE_VALUE
            elif draw < 0.04:
                value = rng.choice([math.nan, math.inf, 1e308, 5e-324, -1.0])
            rows.append((slot, T0_MS + step * STEP_MS, value))
        cut = int(rng.integers(0, len(rows) + 1))
        arrivals += [part for part in (rows[:cut], rows[cut:]) if part]
    if rng.random() < 0.5:  # a backlog, series by series
        cuts = range(0, len(arrivals), 4)
        return [sorted(chain.from_iterable(arrivals[k : k + 4])) for k in cuts]
    return arrivals


def as_naive(value: float):
    return STALE if np.float64(value).view(np.uint64) == STALE_BITS else float(value)


@pytest.mark.parametrize("seed", range(30))
def test_the_kernel_tells_what_its_twin_does(seed):
    """k_histograms_take beside naive_histograms_take."""
    rng = np.random.default_rng(seed)
    histograms = joined(families=("x", "y"))
    n = len(BOUNDS)
    families = {f: NaiveFamily({f * n + k: b for k, b in enumerate(BOUNDS)}) for f in (0, 1)}
    signals = [(math.nan, 0, 60_000), (0.5, 4, 60_000), (0.9, 20, 60_000)]
    seen_ms = np.full(64, T0_MS)
    n_told = 0
    for rows in random_rows(rng, 60, 2 * n + 1):
        now_ms = max(ts for _, ts, _ in rows) + int(rng.integers(0, 2) * 400_000)
        seen_ms[[slot for slot, _, _ in rows]] = now_ms
        told = take(histograms, rows, now_ms, seen_ms)
        plain = [(slot, ts, as_naive(value)) for slot, ts, value in rows]
        wanted = naive_histograms_take(families, plain, now_ms, seen_ms.tolist(), signals)
        assert told == wanted
        n_told += len(told)
    assert n_told > 10


def test_a_small_output_is_filled_and_the_rest_is_told_on_the_next_call():
    histograms = joined()
    take(histograms, scrape(0, (0, 0, 0, 0)))
    histograms._out_ts = histograms._out_ts[:3]
    rows = [row for step in range(1, 9) for row in scrape(step, [10 * step] * 4)]
    told = take(histograms, rows)
    assert [at_ms for _, number, at_ms, _ in told if number == RATE] == [
        T0_MS + step * STEP_MS for step in range(1, 9)
    ]


@pytest.mark.parametrize(
    ("buckets", "quantile", "wanted"),
    [
        # worked by hand after promql/quantile.go, BucketQuantile
        ([(0.1, 5), (0.2, 7), (math.inf, 12)], 0.5, 0.15),
        ([(0.1, 5), (0.2, 7), (math.inf, 12)], 0.2, 0.048),
        ([(0.1, 5), (0.2, 7), (math.inf, 12)], 0.8, 0.2),
        ([(-0.2, 1), (-0.1, 2), (0.3, 4), (math.inf, 4)], 0.2, -0.2),
    ],
)
def test_quantiles_of_the_twin_are_those_worked_by_hand(buckets, quantile, wanted):
    assert naive_quantile(quantile, buckets) == pytest.approx(wanted)
