import math

import pytest

from aiops.query import Window, encode_instant, encode_range
from tests.unit.query.query_fakes import MemoryReader, rows_of, run_query

ROWS = (
    rows_of("cpu", {60.0: 1.0}, job="a", host="x"),
    rows_of("cpu", {60.0: 2.0}, job="a", host="y"),
    rows_of("cpu", {60.0: 4.0}, job="b", host="x"),
    rows_of("mem", {60.0: 8.0}, host="x"),
)


def instant(text, rows=ROWS):
    value = run_query(text, MemoryReader(rows), Window(60_000, 60_000))
    found = encode_instant(value, 60_000).data["result"]
    return {tuple(sorted(one["metric"].items())): one["value"][1] for one in found}


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("sum", "7"),
        ("avg", "2.3333333333333335"),
        ("min", "1"),
        ("max", "4"),
        ("count", "3"),
    ],
)
def test_each_aggregation_yields_one_series_without_labels(operator, value):
    assert instant(f"{operator}(cpu)") == {(): value}


def test_by_keeps_the_labels_named_and_leaves_missing_ones_out():
    assert instant('sum by (job, nosuch) ({host=~"x|y"})') == {
        (("job", "a"),): "3",
        (("job", "b"),): "4",
        (): "8",
    }


def test_by_can_keep_the_metric_name():
    assert instant('count by (__name__) ({host="x"})') == {
        (("__name__", "cpu"),): "2",
        (("__name__", "mem"),): "1",
    }


def test_without_drops_the_labels_named_and_the_metric_name():
    assert instant('sum without (job) ({host=~"x|y"})') == {
        (("host", "x"),): "13",
        (("host", "y"),): "2",
    }


def test_an_aggregation_over_nothing_is_empty():
    assert instant("sum(nosuch)") == {}
    assert instant("count(cpu > 100)") == {}


def test_sums_are_compensated():
    rows = [rows_of("v", {60.0: v}, i=str(i)) for i, v in enumerate([1e100, 1.0, -1e100])]
    assert instant("sum(v)", rows) == {(): "1"}


def test_nan_yields_to_numbers_in_min_and_max_only():
    rows = [rows_of("v", {60.0: v}, i=str(i)) for i, v in enumerate([math.nan, 1.0, 3.0])]
    assert instant("min(v)", rows) == {(): "1"}
    assert instant("max(v)", rows) == {(): "3"}
    assert instant("sum(v)", rows) == {(): "NaN"}
    assert instant("max(v)", rows[:1]) == {(): "NaN"}


def test_infinite_members_keep_the_sum_infinite():
    rows = [rows_of("v", {60.0: v}, i=str(i)) for i, v in enumerate([math.inf, 1.0, 3.0])]
    assert instant("sum(v)", rows) == {(): "+Inf"}


def test_at_each_step_only_present_series_count():
    rows = [rows_of("v", {60.0: 1.0}, i="1"), rows_of("v", {300.0: 1.0, 480.0: 5.0}, i="2")]
    window = Window(60_000, 480_000, 60_000)
    value = run_query("sum(v)", MemoryReader(rows), window)
    found = encode_range(value, window.times_ms()).data["result"]
    assert [v for _, v in found[0]["values"]] == ["1", "1", "1", "1", "2", "1", "1", "5"]
