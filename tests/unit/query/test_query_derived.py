import numpy as np
import pytest

from aiops.domain.incident import IncidentState, Severity
from aiops.domain.matchers import Matcher, MatchOp
from aiops.errors import QueryExecutionError
from aiops.query import Window, encode_instant, encode_range
from aiops.query.derived import select
from tests.unit.query.query_fakes import STALE, MemoryReader, incident_of, rows_of, run_query

LOAD = rows_of(
    "load",
    {60.0: 5.0, 120.0: 6.0, 180.0: 90.0},
    expected=[np.nan, 6.0, 7.0],
    scores=[0.0, 0.5, 9.0],
    anomalous=(180.0,),
    job="node",
)
OTHER = rows_of("disk", {60.0: 1.0}, expected=[1.0], job="om")


def instant(text, rows=(LOAD, OTHER), *, at_s=180.0, incidents=()):
    at_ms = round(at_s * 1000)
    value = run_query(text, MemoryReader(rows, incidents), Window(at_ms, at_ms))
    return {
        _key(one["metric"]): one["value"][1] for one in encode_instant(value, at_ms).data["result"]
    }


def _key(metric):
    return (metric.get("__name__"), metric.get("series_name"), metric.get("job"))


def ranged(text, *, end_s, incidents=()):
    window = Window(0, end_s * 1000, 60_000)
    value = run_query(text, MemoryReader([LOAD], incidents), window)
    return [one["values"] for one in encode_range(value, window.times_ms()).data["result"]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aiops_score", "9"),
        ("aiops_expected", "7"),
        ("aiops_lower", "6"),
        ("aiops_upper", "8"),
        ("aiops_anomaly", "1"),
    ],
)
def test_each_derived_name_reads_its_column(name, value):
    assert instant(f'{name}{{series_name="load"}}') == {(name, "load", "node"): value}


def test_derived_series_exist_for_every_stored_series():
    assert set(instant("aiops_score")) == {
        ("aiops_score", "load", "node"),
        ("aiops_score", "disk", "om"),
    }


def test_matchers_on_series_name_and_labels_select_the_base():
    assert set(instant('aiops_score{series_name=~"l.*"}')) == {("aiops_score", "load", "node")}
    assert set(instant('aiops_score{series_name!="load"}')) == {("aiops_score", "disk", "om")}
    assert set(instant('aiops_score{job="om"}')) == {("aiops_score", "disk", "om")}


def test_rows_before_warm_up_are_absent_from_the_band():
    assert ranged("aiops_expected", end_s=180) == [[(120, "6"), (180, "7")]]
    assert ranged("aiops_score", end_s=180) == [[(60, "0"), (120, "0.5"), (180, "9")]]


def test_a_staleness_marker_ends_derived_series_too():
    ended = rows_of("load", {60.0: 5.0, 120.0: STALE}, expected=[5.0, np.nan], scores=[1.0, 0.0])
    for name in ("aiops_score", "aiops_expected", "aiops_anomaly"):
        assert instant(name, [ended], at_s=119.0)
        assert instant(name, [ended], at_s=120.0) == {}


def test_an_ordinary_name_or_no_name_never_finds_derived_series():
    assert set(instant("load")) == {("load", None, "node")}
    assert set(instant('{job="node"}')) == {("load", None, "node")}
    assert set(instant('{__name__!="disk",job=~".+"}')) == {("load", None, "node")}


def test_a_regex_on_the_name_finds_stored_and_derived_series():
    assert set(instant('{__name__=~"aiops_(score|upper)|load"}')) == {
        ("load", None, "node"),
        ("aiops_score", "load", "node"),
        ("aiops_score", "disk", "om"),
        ("aiops_upper", "load", "node"),
        ("aiops_upper", "disk", "om"),
    }


def test_a_negative_matcher_beside_the_regex_narrows_derived_names():
    names = {name for name, _, _ in instant('{__name__=~"aiops_.*",__name__!~".*er"}')}
    assert names == {"aiops_score", "aiops_expected", "aiops_anomaly"}


def test_stored_series_with_a_reserved_name_are_hidden_behind_it():
    stored = rows_of("aiops_score", {60.0: 42.0}, job="x")
    assert ("aiops_score", None, "x") not in instant("aiops_score", [stored])
    assert ("aiops_score", None, "x") not in instant('{__name__=~"aiops.*"}', [stored])


def test_several_derived_names_share_one_fetch():
    reader = MemoryReader([LOAD])
    run_query('{__name__=~"aiops_score|aiops_upper",job="node"}', reader, Window(0, 0))
    assert (Matcher("job", MatchOp.EQUAL, "node"),) in [asked[0] for asked in reader.asked]
    assert len(reader.asked) == 2


def test_a_derived_range_selector_returns_raw_rows():
    value = run_query("aiops_upper[5m]", MemoryReader([LOAD]), Window(180_000, 180_000))
    assert encode_instant(value, 180_000).data["result"][0]["values"] == [(120, "7"), (180, "8")]


def test_derived_values_enter_expressions_like_any_other():
    assert instant("aiops_score > 5") == {("aiops_score", "load", "node"): "9"}
    assert instant("aiops_anomaly == bool 1") == {
        (None, "load", "node"): "1",
        (None, "disk", "om"): "0",
    }


def test_an_exact_reserved_name_asks_for_no_stored_series():
    assert select((Matcher("__name__", MatchOp.EQUAL, "aiops_incident_open"),)).stored is None


def test_an_incident_is_one_while_it_is_open():
    incidents = [incident_of("i1", opened_s=60, resolved_s=180), incident_of("i2", opened_s=120)]
    assert ranged('aiops_incident_open{incident_id="i1"}', end_s=240, incidents=incidents) == [
        [(60, "1"), (120, "1")]
    ]
    assert ranged('aiops_incident_open{incident_id="i2"}', end_s=240, incidents=incidents) == [
        [(120, "1"), (180, "1"), (240, "1")]
    ]


def test_an_incident_carries_its_facts_and_shared_labels():
    incident = incident_of(
        "i1",
        opened_s=60,
        labels=(("job", "node"), ("severity", "page")),
        severity=Severity.CRITICAL,
        state=IncidentState.ACKNOWLEDGED,
    )
    value = run_query("aiops_incident_open", MemoryReader([], [incident]), Window(90_000, 90_000))
    assert encode_instant(value, 90_000).data["result"][0]["metric"] == {
        "__name__": "aiops_incident_open",
        "incident_id": "i1",
        "job": "node",
        "severity": "critical",
        "state": "acknowledged",
        "title": "i1 is odd",
    }


def test_a_range_over_incidents_has_one_sample_a_minute():
    incident = incident_of("i1", opened_s=90, resolved_s=240)
    value = run_query(
        "aiops_incident_open[5m]", MemoryReader([], [incident]), Window(300_000, 300_000)
    )
    assert encode_instant(value, 300_000).data["result"][0]["values"] == [(120, "1"), (180, "1")]


def test_an_endless_range_over_an_incident_is_refused_before_memory_is_taken():
    reader = MemoryReader([], [incident_of("i1", opened_s=60)])
    with pytest.raises(QueryExecutionError, match="too many samples"):
        run_query("aiops_incident_open[290000y]", reader, Window(2**53, 2**53))
