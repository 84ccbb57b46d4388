import asyncio
import json

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from aiops.clock import ManualClock
from aiops.domain.samples import MetricMetadata
from aiops.errors import StoreError
from aiops.serve.prometheus_api import PrometheusApi
from tests.programs import program
from tests.unit.query.query_fakes import MemoryReader, incident_of, rows_of

NOW_S = 1_700_000_000
MINUTES = [NOW_S - 60.0 * k for k in range(10, -1, -1)]


def reader_with_two_series():
    return MemoryReader(
        [
            rows_of("up", dict.fromkeys(MINUTES, 1.0), expected=np.ones(11), job="node"),
            rows_of("load", dict.fromkeys(MINUTES, 7.0), job="om"),
        ],
        [
            incident_of("i1", opened_s=NOW_S - 120, labels=(("zone", "z1"),)),
            incident_of("i2", opened_s=NOW_S - 500, resolved_s=NOW_S - 300),
        ],
        [MetricMetadata("up", "gauge", "Is it up", ""), MetricMetadata("load", "gauge")],
    )


def app_over(reader):
    clock = ManualClock(NOW_S * 1000)
    app = web.Application()
    app.router.add_post("/api/v1/write", theirs)
    app.add_routes(PrometheusApi(reader, reader, clock, "1.2.3").routes())
    app.router.add_get("/api/v1/incidents", theirs)
    return app


async def theirs(_):
    return web.Response(text="theirs")


def call(path, params=(), *, method="GET", reader=None, data=None):
    """Ask a fresh server once; return status, parsed body, and the response."""

    async def ask():
        app = app_over(reader or reader_with_two_series())
        async with TestClient(TestServer(app)) as client:
            resp = await client.request(method, path, params=list(params), data=data)
            return resp, await resp.text()

    resp, text = asyncio.run(ask())
    return resp, json.loads(text) if resp.content_type == "application/json" else text


def data_of(path, *params, **options):
    resp, body = call(f"/api/v1/{path}", params, **options)
    assert (resp.status, body["status"]) == (200, "success")
    return body["data"]


def error_of(path, *params, **options):
    resp, body = call(f"/api/v1/{path}", params, **options)
    assert body["status"] == "error"
    return resp.status, body["errorType"], body["error"]


def test_a_query_without_time_is_evaluated_now():
    found = data_of("query", ("query", 'up{job="node"}'))
    assert found["result"][0]["value"] == [NOW_S, "1"]


def test_form_parameters_win_over_the_url():
    assert data_of("query", ("query", "1"), ("time", "4"), method="POST", data={"query": "7"}) == {
        "resultType": "scalar",
        "result": [4, "7"],
    }


def test_an_unreadable_form_is_bad_data():
    async def ask():
        async with TestClient(TestServer(app_over(reader_with_two_series()))) as client:
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            resp = await client.post("/api/v1/query", data=b"query=\xff", headers=form)
            return resp.status, await resp.json()

    status, body = asyncio.run(ask())
    assert (status, body["errorType"]) == (400, "bad_data")


def test_a_range_query_of_a_derived_series_draws_the_band():
    found = data_of(
        "query_range",
        ("query", 'aiops_upper{series_name="up"}'),
        ("start", NOW_S - 60),
        ("end", NOW_S),
        ("step", "60s"),
    )
    assert found["result"][0]["values"] == [[NOW_S - 60, "2"], [NOW_S, "2"]]


def test_unsupported_constructs_are_422_naming_them():
    assert error_of("query", ("query", "histogram_quantile(0.9, up)")) == (
        422,
        "execution",
        "function histogram_quantile is not supported yet",
    )


@pytest.mark.parametrize(("text", "kind"), [("up[5m]", "range vector"), ('"x"', "string")])
def test_a_range_query_takes_scalars_and_vectors_only(text, kind):
    status, error_type, error = error_of(
        "query_range", ("query", text), ("start", 1), ("end", 2), ("step", 1)
    )
    assert (status, error_type) == (400, "bad_data")
    assert error == (
        f'invalid expression type "{kind}" for range query, must be Scalar or instant Vector'
    )


def test_a_limit_cuts_with_a_warning():
    _, body = call("/api/v1/query", [("query", '{job=~".+"}'), ("limit", 1)])
    assert len(body["data"]["result"]) == 1
    assert body["warnings"] == ["results truncated due to limit"]
    _, body = call("/api/v1/labels", [("limit", 2)])
    assert (len(body["data"]), len(body["warnings"])) == (2, 1)
    assert "warnings" not in call("/api/v1/labels", [("limit", 0)])[1]


def test_a_slow_store_is_a_timeout():
    reader = reader_with_two_series()
    reader.delay_s = 30.0
    assert error_of("query", ("query", "up"), ("timeout", "10ms"), reader=reader)[:2] == (
        503,
        "timeout",
    )


def test_no_time_at_all_is_a_timeout():
    assert error_of("query", ("query", "1"), ("timeout", "0"))[:2] == (503, "timeout")


def test_a_failing_store_is_unavailable():
    reader = reader_with_two_series()
    reader.error = StoreError("disk is gone")
    assert error_of("query", ("query", "up"), reader=reader) == (
        503,
        "unavailable",
        "disk is gone",
    )


def test_the_sample_limit_is_an_execution_error():
    class Endless(MemoryReader):
        async def rows(self, matchers, *, start_ms, end_ms):
            return [self._rows[0]] * 5_000_000

    reader = Endless([rows_of("up", dict.fromkeys(MINUTES, 1.0))])
    status, kind, text = error_of("query", ("query", "aiops_score"), reader=reader)
    assert (status, kind) == (422, "execution")
    assert text.startswith("query processing would load too many samples")


@pytest.mark.parametrize("edge", ["-inf", "+Inf", "1e300", "-9223372036854775808"])
def test_times_at_the_ends_are_answered(edge):
    assert data_of("query", ("query", "up"), ("time", edge))["result"] == []
    bounds = (("start", "-inf"), ("end", edge))
    assert isinstance(data_of("series", ("match[]", "up"), *bounds), list)
    assert isinstance(data_of("labels", *bounds), list)
    assert isinstance(data_of("label/job/values", *bounds), list)


def test_series_lists_stored_derived_and_incident_series():
    assert data_of("series", ("match[]", '{__name__=~"up|aiops_(score|incident_open)"}')) == [
        {"__name__": "aiops_incident_open", "incident_id": "i1", "severity": "warning"}
        | {"state": "open", "title": "i1 is odd", "zone": "z1"},
        {"__name__": "aiops_incident_open", "incident_id": "i2", "severity": "warning"}
        | {"state": "resolved", "title": "i2 is odd"},
        {"__name__": "aiops_score", "job": "node", "series_name": "up"},
        {"__name__": "aiops_score", "job": "om", "series_name": "load"},
        {"__name__": "up", "job": "node"},
    ]


def test_series_unites_selectors_without_repeats():
    found = data_of("series", ("match[]", "up"), ("match[]", '{job=~"node|om"}'))
    assert [one["__name__"] for one in found] == ["load", "up"]


def test_labels_include_those_of_derived_series_and_incidents():
    names = ["__name__", "incident_id", "job", "series_name", "severity", "state", "title", "zone"]
    assert data_of("labels") == names
    assert data_of("labels", method="POST", data={"match[]": "up"}) == ["__name__", "job"]
    assert data_of("labels", ("match[]", 'aiops_score{series_name="up"}')) == [
        "__name__",
        "job",
        "series_name",
    ]


def test_label_values_include_derived_names_once_there_are_series():
    names = data_of("label/__name__/values")
    assert names == sorted(names)
    assert {"up", "load", "aiops_score", "aiops_anomaly", "aiops_incident_open"} <= set(names)
    assert data_of("label/__name__/values", reader=MemoryReader()) == []


def test_label_values_follow_match():
    assert data_of("label/series_name/values") == ["load", "up"]
    assert data_of("label/series_name/values", ("match[]", 'aiops_score{job="om"}')) == ["load"]
    assert data_of("label/job/values", ("match[]", 'aiops_score{series_name="up"}')) == ["node"]
    assert data_of("label/job/values", ("match[]", "up")) == ["node"]
    assert data_of("label/__name__/values", ("match[]", '{__name__=~".*score"}')) == ["aiops_score"]
    assert data_of("label/title/values", ("match[]", "aiops_incident_open")) == [
        "i1 is odd",
        "i2 is odd",
    ]


def test_label_values_take_escaped_names():
    reader = MemoryReader([rows_of("up", {1.0: 1.0}, **{"b-d": "x"})])
    assert data_of("label/U__b_2d_d/values", reader=reader) == ["x"]


def test_metadata_is_grouped_by_family_and_filtered():
    assert data_of("metadata", ("metric", "up")) == {
        "up": [{"type": "gauge", "help": "Is it up", "unit": ""}]
    }
    assert list(data_of("metadata", ("limit", 1))) == ["load"]
    assert error_of("metadata", ("limit", "x")) == (400, "bad_data", "limit must be a number")


def test_open_incidents_are_firing_alerts():
    assert data_of("alerts") == {
        "alerts": [
            {
                "labels": {
                    "alertname": "i1 is odd",
                    "incident_id": "i1",
                    "severity": "warning",
                    "zone": "z1",
                },
                "annotations": {"summary": "i1 is odd"},
                "state": "firing",
                "activeAt": "2023-11-14T22:11:20.000Z",
                "value": "1e+00",
            }
        ]
    }


def test_rules_are_empty():
    assert data_of("rules") == {"groups": []}


def test_buildinfo_has_no_features_so_that_grafana_sees_prometheus():
    found = data_of("status/buildinfo")
    assert found["version"].startswith("3.") and "1.2.3" in found["revision"]
    assert "features" not in found


@pytest.mark.parametrize("path", ["/api/v1/nope", "/api/v1/status/flags", "/api/v1/label/job"])
def test_unknown_paths_are_404_in_plain_text(path):
    for method in ("GET", "POST", "DELETE"):
        resp, text = call(path, method=method)
        assert (resp.status, text) == (404, "404 page not found\n")
        assert resp.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "metadata"), ("PUT", "query"), ("POST", "label/job/values"), ("GET", "write")],
)
def test_wrong_methods_are_405_with_what_is_allowed(method, path):
    resp, text = call(f"/api/v1/{path}", method=method)
    assert (resp.status, text) == (405, "Method Not Allowed\n")
    assert method not in resp.headers["Allow"]


def test_routes_mounted_by_others_keep_working():
    assert call("/api/v1/incidents")[1] == "theirs"
    assert call("/api/v1/write", method="POST")[0].status == 200


PROMTOOL = [
    (["instant", "--time=1700000000", "{url}", "up"], 'up{job="node"} => 1'),
    (["range", "--start=1699999880", "--end=1700000000", "--step=60s", "{url}", "load"], "7 @["),
    (["series", "--match=aiops_score", "--start=1699999000", "{url}"], 'series_name="up"'),
    (["labels", "{url}", "job"], "node\nom"),
]


@pytest.mark.parametrize(("arguments", "expected"), PROMTOOL)
def test_promtool_reads_our_answers(arguments, expected):
    promtool = program("promtool")

    async def ask():
        server = TestServer(app_over(reader_with_two_series()))
        async with server:
            url = str(server.make_url("")).rstrip("/")
            filled = [one.format(url=url) for one in arguments]
            process = await asyncio.create_subprocess_exec(
                promtool, "query", *filled, stdout=-1, stderr=-1
            )
            out, err = await asyncio.wait_for(process.communicate(), 30)
            return process.returncode, out.decode(), err.decode()

    code, out, err = asyncio.run(ask())
    assert (code, err) == (0, "")
    assert expected in out
