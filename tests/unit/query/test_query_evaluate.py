import math

import numpy as np
import pytest

from aiops.errors import QueryError, QueryExecutionError, UnsupportedQueryError
from aiops.query import (
    Fetched,
    Window,
    encode_instant,
    encode_range,
    evaluate,
    parse_query,
    plan_query,
)
from tests.unit.query.query_fakes import STALE, MemoryReader, rows_of, run_query

MINUTELY = {60.0 * k: float(k) for k in range(1, 11)}
UP = rows_of("up", MINUTELY, job="node", instance="a")
DOWN = rows_of("up", {60.0 * k: -float(k) for k in range(1, 11)}, job="om", instance="b")


def instant(text, rows=(UP, DOWN), *, at_s=600.0):
    at_ms = round(at_s * 1000)
    value = run_query(text, MemoryReader(rows), Window(at_ms, at_ms))
    return encode_instant(value, at_ms).data["result"]


def ranged(text, rows=(UP, DOWN), *, start_s, end_s, step_s):
    window = Window(round(start_s * 1000), round(end_s * 1000), round(step_s * 1000))
    value = run_query(text, MemoryReader(rows), window)
    return encode_range(value, window.times_ms()).data["result"]


def values_by_job(text, **at):
    return {one["metric"].get("job"): one["value"][1] for one in instant(text, **at)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1+1", "2"),
        ("-7 % 3", "-1"),
        ("1/0", "+Inf"),
        ("-1/0", "-Inf"),
        ("0/0", "NaN"),
        ("2^10", "1024"),
        ("-2^2", "-4"),
        ("1 ^ NaN", "1"),
        ("(-8)^(1/3)", "NaN"),
        ("1 > bool 2", "0"),
        ("NaN != bool NaN", "1"),
        ("NaN == bool NaN", "0"),
        ("0 atan2 -1", "3.141592653589793"),
        ("time()", "600"),
        ("-time()", "-600"),
        ("5m", "300"),
        ("1e21", "1000000000000000000000"),
        ("1e-7", "0.0000001"),
        ("-0", "-0"),
    ],
)
def test_scalar_expressions_yield_what_prometheus_yields(text, expected):
    assert instant(text) == [600, expected]


def test_a_string_literal_is_its_own_answer():
    assert instant('"x"') == [600, "x"]


@pytest.mark.parametrize(
    ("selector", "jobs"),
    [
        ('up{job="node"}', {"node"}),
        ('up{job!="node"}', {"om"}),
        ('up{job=~"n.*|x"}', {"node"}),
        ('up{job=~"n"}', set()),
        ('up{job!~"n.*"}', {"om"}),
        ('{job="om"}', {"om"}),
        ('{__name__=~"u."}', {"node", "om"}),
        ('up{missing=""}', {"node", "om"}),
    ],
)
def test_a_selector_finds_the_series_its_matchers_describe(selector, jobs):
    assert set(values_by_job(selector)) == jobs


@pytest.mark.parametrize(
    ("at_s", "is_found"),
    [(600, True), (599.999, True), (899.999, True), (900, False), (59.999, False), (60, True)],
)
def test_look_back_reaches_five_minutes_and_leaves_its_start_out(at_s, is_found):
    assert bool(instant('up{job="node"}', at_s=at_s)) is is_found


def test_the_newest_sample_within_look_back_counts():
    assert values_by_job("up", at_s=299) == {"node": "4", "om": "-4"}


def test_offset_looks_at_earlier_or_later_times_but_keeps_the_query_time():
    assert instant('up{job="node"} offset 5m')[0]["value"] == [600, "5"]
    assert instant('up{job="node"} offset -5m', at_s=300)[0]["value"] == [300, "10"]


@pytest.mark.parametrize(
    ("modifier", "values"),
    [("@ 180", ["3"] * 3), ("@ start()", ["4"] * 3), ("@ end()", ["6"] * 3)],
)
def test_the_at_modifier_pins_every_step(modifier, values):
    found = ranged(f'up{{job="node"}} {modifier}', start_s=240, end_s=360, step_s=60)
    assert [value for _, value in found[0]["values"]] == values


def test_the_at_modifier_and_offset_combine():
    assert instant('up{job="node"} @ 300 offset 1m')[0]["value"] == [600, "4"]


def test_an_at_time_before_1970_finds_nothing():
    assert instant("up @ -1.5") == []


def test_a_staleness_marker_ends_a_series_at_once():
    ended = rows_of("up", {60.0: 1.0, 120.0: STALE, 240.0: 5.0}, job="node")
    assert instant("up", [ended], at_s=119.0)[0]["value"] == [119, "1"]
    assert instant("up", [ended], at_s=120.0) == []
    assert instant("up", [ended], at_s=240.0)[0]["value"] == [240, "5"]


def test_an_ordinary_nan_is_a_value():
    assert instant("up", [rows_of("up", {60.0: math.nan})], at_s=61.0)[0]["value"] == [61, "NaN"]


def test_a_range_selector_returns_samples_in_a_left_open_range_without_markers():
    row = rows_of("up", {10.0: 1.0, 20.0: 2.0, 25.0: STALE, 30.5: 3.0, 31.0: 4.0})
    found = instant("up[20s]", [row], at_s=30.5)
    assert found == [{"metric": {"__name__": "up"}, "values": [(20, "2"), (30.5, "3")]}]


def test_a_range_selector_leaves_series_without_samples_out():
    assert instant("up[30s]", [rows_of("up", {10.0: 1.0})], at_s=100.0) == []


def test_arithmetic_with_a_scalar_drops_the_metric_name():
    assert instant('up{job="node"} * 2 + 1') == [
        {"metric": {"instance": "a", "job": "node"}, "value": [600, "21"]}
    ]
    assert values_by_job("1 - up") == {"node": "-9", "om": "11"}


def test_a_comparison_filters_and_keeps_name_and_value():
    assert instant("up > 3") == [
        {"metric": {"__name__": "up", "instance": "a", "job": "node"}, "value": [600, "10"]}
    ]
    assert values_by_job("3 > up") == {"om": "-10"}


def test_a_bool_comparison_keeps_all_series_without_names():
    assert values_by_job("up > bool 3") == {"node": "1", "om": "0"}
    assert all("__name__" not in one["metric"] for one in instant("up > bool 3"))


def test_unary_minus_drops_the_metric_name():
    assert instant('-up{job="om"}')[0] == {
        "metric": {"instance": "b", "job": "om"},
        "value": [600, "10"],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abs(vector(-1.5))", "1.5"),
        ("ceil(vector(1.2))", "2"),
        ("floor(vector(-1.2))", "-2"),
        ("round(vector(2.5))", "3"),
        ("round(vector(-2.5))", "-2"),
        ("round(vector(7.26), 0.1)", "7.3"),
        ("round(vector(7), 0)", "NaN"),
        ("clamp_min(vector(1), 3)", "3"),
        ("clamp_max(vector(5), 3)", "3"),
        ("clamp_min(vector(NaN), 3)", "NaN"),
        ("vector(time())", "600"),
        ("vector(1e21)", "1e+21"),
        ("vector(1)/0", "+Inf"),
    ],
)
def test_functions_yield_what_prometheus_yields(text, expected):
    assert instant(text) == [{"metric": {}, "value": [600, expected]}]


def test_functions_drop_the_metric_name():
    assert instant('abs(up{job="om"})')[0]["metric"] == {"instance": "b", "job": "om"}


def test_scalar_is_nan_unless_exactly_one_series_is_present():
    assert instant('scalar(up{job="om"})') == [600, "-10"]
    assert instant("scalar(up)") == [600, "NaN"]
    assert instant("scalar(nosuch)") == [600, "NaN"]


def test_a_range_query_evaluates_on_its_grid_only_where_samples_are():
    row = rows_of("up", {100.0: 1.0, 700.0: 2.0})
    assert ranged("up", [row], start_s=50, end_s=750, step_s=100)[0]["values"] == [
        (150, "1"),
        (250, "1"),
        (350, "1"),
        (750, "2"),
    ]


def test_a_range_query_over_a_scalar_is_one_series_without_labels():
    assert ranged("time()", start_s=1, end_s=2.5, step_s=0.5) == [
        {"metric": {}, "values": [(1, "1"), (1.5, "1.5"), (2, "2"), (2.5, "2.5")]}
    ]


def test_a_comparison_in_a_range_query_filters_each_step():
    found = ranged("up >= 9", start_s=480, end_s=600, step_s=60)
    assert [one["values"] for one in found] == [[(540, "9"), (600, "10")]]


def test_two_series_made_equal_by_dropping_names_are_an_error():
    rows = [rows_of("a", {60.0: 1.0}, job="x"), rows_of("b", {60.0: 2.0}, job="x")]
    with pytest.raises(QueryExecutionError, match="same labelset"):
        instant('{job="x"} + 1', rows, at_s=60.0)


def test_series_made_equal_at_different_times_become_one():
    rows = [rows_of("a", {60.0: 1.0}, job="x"), rows_of("b", {600.0: 2.0}, job="x")]
    found = ranged('{job="x"} + 1', rows, start_s=60, end_s=660, step_s=300)
    assert found == [{"metric": {"job": "x"}, "values": [(60, "2"), (660, "3")]}]


def test_results_are_sorted_by_labels_and_cut_to_the_limit():
    rows = [rows_of("up", {60.0: 1.0}, job=job) for job in "cab"]
    window = Window(60_000, 60_000)
    encoded = encode_instant(run_query("up", MemoryReader(rows), window), 60_000, limit=2)
    assert [one["metric"]["job"] for one in encoded.data["result"]] == ["a", "b"]
    assert encoded.is_cut


def test_a_plan_asks_for_look_back_offset_and_range_exactly():
    window = Window(1_000_000, 1_065_000, 10_000)
    plan = plan_query(parse_query("up + 1 > bool scalar(up offset 1m)"), window)
    assert [(one.start_ms, one.end_ms) for one in plan.rows] == [
        (700_001, 1_060_000),
        (640_001, 1_000_000),
    ]


def test_a_plan_fetches_equal_selectors_once():
    assert len(plan_query(parse_query("up * scalar(up)"), Window(0, 0)).rows) == 1


def test_a_series_too_many_for_the_grid_is_refused_before_memory_is_taken():
    row = rows_of("up", {60.0: 1.0})
    tree, window = parse_query("up"), Window(0, 11_000_000, 1000)
    fetched_rows = {one: [row] * 5000 for one in plan_query(tree, window).rows}
    with pytest.raises(QueryExecutionError, match="would load too many samples"):
        evaluate(tree, window, Fetched(fetched_rows, []))


@pytest.mark.parametrize(
    ("text", "construct"),
    [
        ("deriv(up[5m])", "function deriv is not supported yet"),
        ("rate(up[5m:1m])", "subquery is not supported yet"),
        ("stddev by (job) (up)", "aggregation stddev is not supported yet"),
        ("topk(3, up)", "aggregation topk is not supported yet"),
        ("up + up", "binary operation between two vectors (+) is not supported yet"),
        ("up and up", "binary operation between two vectors (and) is not supported yet"),
        ("up[5m:1m]", "subquery is not supported yet"),
        ("1 + abs(histogram_quantile(0.9, up))", "function histogram_quantile is not"),
    ],
)
def test_what_is_not_evaluated_is_refused_by_name(text, construct):
    with pytest.raises(UnsupportedQueryError) as caught:
        parse_query(text)
    assert construct in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "up{",
        "1 > 2",
        '"a" + 1',
        "-up[5m]",
        "{}",
        "foo(1)",
        "up @ NaN",
        'up{a="x" or b="y"}',
        'up{a=~"("}',
        "up[10000000y]",
        "up offset 10000000y",
        "up offset NaN",
        "up[NaN]",
        "up offset 1e30",
        "up[1e30]",
        "1" + "+1" * 600,
    ],
)
def test_malformed_queries_are_bad_data(text):
    with pytest.raises(QueryError):
        parse_query(text)


@pytest.mark.parametrize("text", ["1" + "+1" * 199, "abs(" * 198 + "up" + ")" * 198])
def test_the_deepest_query_allowed_is_evaluated(text):
    assert instant(text)


@pytest.mark.parametrize(
    "text", ["1" + "+1" * 200, "1" + "+1" * 510, "abs(" * 250 + "up" + ")" * 250]
)
def test_a_deeper_query_is_refused_and_not_a_crash(text):
    with pytest.raises(QueryError, match="deeper than 200 levels"):
        parse_query(text)


def test_times_far_out_do_not_overflow():
    at_ms = 2**53
    for text in ("up[1000y] offset -1000y", "up @ 1e15", "up offset 1000y", "aiops_incident_open"):
        for edge_ms in (-at_ms, at_ms):
            assert not encode_instant(
                run_query(text, MemoryReader([UP]), Window(edge_ms, edge_ms)), edge_ms
            ).data["result"]


def test_fetched_arrays_are_not_changed_by_evaluation():
    before = UP.values.copy()
    instant("abs(up * -1) > 0")
    assert np.array_equal(UP.values, before)
