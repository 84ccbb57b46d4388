"""The engine's table of live series."""

import numpy as np
import pytest

from aiops.domain.labels import labels_from
from aiops.domain.samples import MetricMetadata
from aiops.domain.selector import parse_selector
from aiops.series.kernels import intake
from aiops.series.table import METADATA_MAX, SeriesTable
from aiops.series.u64_map import MISSING
from aiops.wire.labels import encode_labels

NOW_MS = 1_700_000_000_000


def block(name: str, **labels: str) -> bytes:
    return encode_labels(labels_from({"__name__": name, **labels}))


def filled(*names: str, ignore=(), now_ms: int = NOW_MS) -> SeriesTable:
    """Return a table in which the n-th name has the fingerprint n and slot n - 1."""
    table = SeriesTable([parse_selector(text) for text in ignore])
    table.add(range(1, len(names) + 1), [block(name) for name in names], now_ms)
    return table


def slots_of(table: SeriesTable, *fingerprints: int) -> list[int]:
    values = np.empty(len(fingerprints), np.uint64)
    table.find(np.array(fingerprints, np.uint64), values)
    return values.tolist()


def kinds_of(table: SeriesTable) -> list[int]:
    return table.track[: table.n_slots, intake.KIND].tolist()


def copied(table: SeriesTable) -> SeriesTable:
    blocks = [table.block(slot) for slot in range(table.n_slots)]
    again = SeriesTable()
    again.restore(table.state(), blocks, table.metadata())
    return again


def test_series_get_slots_in_order_and_are_found():
    table = filled("a", "b")
    assert slots_of(table, 2, 1, 9) == [1, 0, MISSING]
    assert table.n_series == 2
    assert table.labels(1) == labels_from({"__name__": "b"})


def test_announcing_a_series_again_changes_nothing():
    table = filled("a", "b")
    slots = table.add([2, 3, 3], [block("b"), block("c"), block("c")], NOW_MS + 5)
    assert slots.tolist() == [2]
    assert table.n_series == 3
    assert table.seen_ms[:3].tolist() == [NOW_MS, NOW_MS, NOW_MS + 5]


def test_idle_series_are_those_not_seen_since():
    table = filled("a", "b", "c")
    table.seen_ms[1] = NOW_MS + 10
    assert table.idle(NOW_MS).tolist() == []
    assert table.idle(NOW_MS + 1).tolist() == [1, 3]


def test_evicting_frees_slots_of_idle_series_only():
    table = filled("a", "b", "c")
    table.seen_ms[1] = NOW_MS + 10
    assert table.evict([1, 2, 1, 99], NOW_MS + 1).tolist() == [0]
    assert table.live_fingerprints().tolist() == [2, 3]
    assert slots_of(table, 1) == [MISSING]
    assert table.block(0) == b""


def test_freed_slots_are_used_before_new_ones():
    table = filled("a", "b", "c")
    table.evict([1, 3], NOW_MS + 1)
    slots = table.add([11, 12, 13], [block("x"), block("y"), block("z")], NOW_MS)
    assert sorted(slots.tolist()) == [0, 2, 3]
    assert table.track[0].tolist() == [0, 0, 0, 0]


def test_arrays_grow_with_the_series_and_keep_what_they_had():
    table = SeriesTable(capacity=4)
    for number in range(1, 40):
        table.add([number], [block(f"m{number}")], NOW_MS + number)
    assert table.capacity >= 39
    assert table.fingerprints[:39].tolist() == list(range(1, 40))
    assert table.seen_ms[:39].tolist() == [NOW_MS + number for number in range(1, 40)]
    assert slots_of(table, *range(1, 40)) == list(range(39))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("heat", intake.GAUGE),
        ("requests_total", intake.COUNTER),
        ("latency_bucket", intake.COUNTER),
        ("latency_sum", intake.COUNTER),
        ("latency_count", intake.COUNTER),
        ("total", intake.GAUGE),
    ],
)
def test_without_metadata_the_name_tells_the_kind(name, kind):
    assert kinds_of(filled(name)) == [kind]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("counter", [intake.COUNTER, intake.GAUGE, intake.COUNTER]),
        ("gauge", [intake.GAUGE, intake.GAUGE, intake.COUNTER]),
        ("histogram", [intake.GAUGE, intake.GAUGE, intake.COUNTER]),
        ("unknown", [intake.GAUGE, intake.GAUGE, intake.COUNTER]),
    ],
)
def test_metadata_before_the_series_tells_the_kind(kind, expected):
    table = SeriesTable()
    table.learn_metadata([MetricMetadata("jobs", kind)])
    table.add([1, 2, 3], [block("jobs"), block("jobs_other"), block("jobs_sum")], NOW_MS)
    assert kinds_of(table) == expected


def test_metadata_after_the_series_gives_the_slots_that_changed_with_their_former_kind():
    table = filled("jobs", "heat", "jobs_total")
    assert table.learn_metadata([MetricMetadata("jobs", "counter")]) == {0: intake.GAUGE}
    assert kinds_of(table) == [intake.COUNTER, intake.GAUGE, intake.COUNTER]
    assert table.learn_metadata([MetricMetadata("jobs", "counter")]) == {}


def test_a_kind_told_twice_in_one_batch_keeps_the_first_former_one():
    table = filled("jobs")
    told = [MetricMetadata("jobs", "counter"), MetricMetadata("jobs", "gauge")]
    assert table.learn_metadata(told) == {0: intake.GAUGE}
    assert kinds_of(table) == [intake.GAUGE]


def test_changed_slots_come_in_order_whatever_order_the_series_came_in():
    table = filled("a", "jobs", "b")
    table.evict([1], NOW_MS + 1)
    table.add([9], [block("jobs", pod="x")], NOW_MS)
    assert list(table.learn_metadata([MetricMetadata("jobs", "counter")])) == [0, 1]


def test_ignored_series_stay_ignored_whatever_metadata_says():
    table = filled("jobs", ignore=['{__name__="jobs"}'])
    assert kinds_of(table) == [intake.IGNORED]
    assert table.learn_metadata([MetricMetadata("jobs", "counter")]) == {}
    assert kinds_of(table) == [intake.IGNORED]


def test_metadata_is_bounded_and_known_families_still_change():
    table = SeriesTable()
    table.learn_metadata([MetricMetadata(f"m{n}", "gauge") for n in range(METADATA_MAX + 5)])
    assert len(table.metadata()) == METADATA_MAX
    table.learn_metadata([MetricMetadata("m7", "counter", "changed")])
    assert MetricMetadata("m7", "counter", "changed") in table.metadata()


def test_a_restored_table_gives_the_same_slots_to_the_same_newcomers():
    table = filled("a", "b", "c", "d")
    table.evict([4, 2], NOW_MS + 1)
    table.evict([1], NOW_MS + 1)
    again = copied(table)
    newcomers = ([21, 22, 23, 24], [block(name) for name in "wxyz"], NOW_MS)
    assert again.add(*newcomers).tolist() == table.add(*newcomers).tolist()


def test_a_restored_table_has_the_same_series_and_metadata():
    table = filled("a", "requests_total")
    table.learn_metadata([MetricMetadata("a", "counter", "help", "unit")])
    again = copied(table)
    assert slots_of(again, 1, 2) == [0, 1]
    assert again.metadata() == table.metadata()
    assert [again.labels(slot) for slot in (0, 1)] == [table.labels(slot) for slot in (0, 1)]
    assert kinds_of(again) == kinds_of(table)


def test_a_table_whose_last_slots_are_free_can_be_saved_again_after_a_restart():
    table = filled("a", "b", "c")
    table.evict([2, 3], NOW_MS + 1)
    assert [copied(copied(table)).block(slot) for slot in range(3)] == [block("a"), b"", b""]
