"""Prometheus 2.42's own answers, replayed: same status, type, envelope and text from us."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from aiops.clock import ManualClock
from aiops.domain.samples import MetricMetadata
from aiops.serve.prometheus_api import PrometheusApi
from tests.unit.query.query_fakes import MemoryReader, incident_of, rows_of

CAPTURES = Path(__file__).parent
NOW_MS = 1795487358600

SAME_BODY = [
    "bad-step",
    "bad-time",
    "empty",
    "end-before-start",
    "exemplars",
    "exemplars-test",
    "health-1plus1",
    "label-values",
    "label-values-bad",
    "labels-match",
    "matrix-instant",
    "metadata",
    "metadata-limit",
    "notfound",
    "parse_query",
    "post-metadata",
    "range",
    "range-nan-inf",
    "range-pos-inf",
    "scalar",
    "series",
    "series-nomatch",
    "string",
    "timeout",
    "too-many-points",
    "vector",
]
"""Answers that do not depend on data, or on the two `up` series and metadata rebuilt below."""

OTHER_WORDING = ["dup-output", "no-query", "parse-error"]
"""Parse errors: our parser words them differently and knows no line and column."""

NOT_EVALUATED = {
    "exec-error": "binary operation between two vectors",
    "many-to-many": "binary operation between two vectors",
}
"""Constructs outside our subset."""

SAME_SHAPE = ["alerts", "buildinfo", "labels", "rules"]
"""Answers about the server itself: compared by the names and types of their fields."""


@pytest.mark.parametrize("name", SAME_BODY)
def test_the_answer_equals_prometheus(name):
    capture = load(name)
    status, content_type, text = replay(capture)
    assert (status, content_type) == (capture["status"], capture["content_type"])
    if content_type == "application/json":
        assert json.loads(text) == json.loads(capture["body"])
    else:
        assert text == capture["body"]


@pytest.mark.parametrize("name", OTHER_WORDING)
def test_a_parse_error_has_prometheus_envelope_and_prefix(name):
    capture = load(name)
    status, content_type, text = replay(capture)
    ours, theirs = json.loads(text), json.loads(capture["body"])
    assert (status, content_type) == (capture["status"], capture["content_type"])
    assert (ours["status"], ours["errorType"]) == (theirs["status"], theirs["errorType"])
    for error in (ours["error"], theirs["error"]):
        assert error.startswith('invalid parameter "query": ')
        assert "parse error: " in error


@pytest.mark.parametrize("name", NOT_EVALUATED)
def test_a_construct_outside_the_subset_is_an_execution_error(name):
    status, content_type, text = replay(load(name))
    answer = json.loads(text)
    assert (status, content_type) == (422, "application/json")
    assert (answer["status"], answer["errorType"]) == ("error", "execution")
    assert NOT_EVALUATED[name] in answer["error"]


@pytest.mark.parametrize("name", SAME_SHAPE)
def test_the_answer_has_the_shape_prometheus_gives_it(name):
    capture = load(name)
    status, content_type, text = replay(capture)
    assert (status, content_type) == (capture["status"], capture["content_type"])
    assert_same_shape(json.loads(text), json.loads(capture["body"]))


def test_every_capture_is_replayed():
    replayed = {*SAME_BODY, *OTHER_WORDING, *NOT_EVALUATED, *SAME_SHAPE}
    assert replayed == {path.stem for path in CAPTURES.glob("*.json")}


def load(name):
    return json.loads((CAPTURES / f"{name}.json").read_text())


def replay(capture):
    """Send the captured request to our routes over the rebuilt data, at the captured time."""
    request = capture["request"]
    options = {"data" if request["method"] == "POST" else "params": request["params"]}

    async def ask():
        reader = captured_world()
        app = web.Application()
        clock = ManualClock(captured_now_ms(capture["body"]))
        app.add_routes(PrometheusApi(reader, reader, clock, "0.0.0").routes())
        async with TestClient(TestServer(app)) as client:
            resp = await client.request(request["method"], request["path"], **options)
            return resp.status, resp.headers["Content-Type"], await resp.text()

    status, content_type, text = asyncio.run(ask())
    return status, content_type.replace("application/json; charset=utf-8", "application/json"), text


def captured_now_ms(body):
    """Return the time the captured query was evaluated at, where its answer tells it."""
    if not body.startswith("{"):
        return NOW_MS
    data = json.loads(body).get("data")
    result = data.get("result") if isinstance(data, dict) else None
    match result:
        case [int() | float() as at_s, str()]:
            return round(at_s * 1000)
        case [{"value": [at_s, str()]}, *_]:
            return round(at_s * 1000)
    return NOW_MS


def captured_world():
    """Rebuild what the captured Prometheus had scraped, as far as the answers show it."""
    seconds = range(1795487299, 1795487360)
    return MemoryReader(
        [
            rows_of("up", {s + offset_s: 1.0 for s in seconds}, job=job, instance=instance)
            for job, instance, offset_s in (
                ("node", "127.0.0.1:19100", 0.658),
                ("om", "127.0.0.1:19101", 0.779),
            )
        ]
        + [
            rows_of(
                "rpc_requests_total",
                {s + 0.779: 5.0 * (s - 1795487000) for s in seconds},
                job="om",
                instance="127.0.0.1:19101",
                method="get",
            )
        ],
        [incident_of("i1", opened_s=1795487300)],
        [
            MetricMetadata("node_filefd_maximum", "gauge", "File descriptor statistics: maximum."),
            MetricMetadata(
                "node_sockstat_FRAG6_inuse", "gauge", "Number of FRAG6 sockets in state inuse."
            ),
            MetricMetadata("rpc_requests", "counter", "RPCs"),
        ],
    )


def assert_same_shape(ours, theirs):
    """Check fields and types; lists by their first item, labels and annotations not within."""
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert set(ours) == set(theirs)
        for name in set(ours) - {"labels", "annotations"}:
            assert_same_shape(ours[name], theirs[name])
    if isinstance(ours, list) and ours and theirs:
        assert_same_shape(ours[0], theirs[0])
