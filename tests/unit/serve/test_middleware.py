import asyncio
import logging
from collections.abc import Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from prometheus_client import CollectorRegistry

from aiops.clock import ManualClock
from aiops.serve.middleware import ALWAYS_OPEN, RequestBorder, readiness_gate
from aiops.serve.routes import build_application


def answer(path: str, *middlewares, handler=None, method: str = "GET") -> web.StreamResponse:
    """Return what an application with these middlewares answers, routing included."""

    async def ok(request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def run() -> web.StreamResponse:
        routes = [web.get(one, handler or ok) for one in ("/x/{id}", *sorted(ALWAYS_OPEN))]
        application = build_application(routes, middlewares, body_bytes_max=10)
        application.freeze()
        return await application._handle(make_mocked_request(method, path, app=application))

    return asyncio.run(run())


def border(clock: ManualClock | None = None) -> tuple[RequestBorder, CollectorRegistry]:
    registry = CollectorRegistry()
    return RequestBorder(clock or ManualClock(), registry), registry


def requests(registry: CollectorRegistry, route: str, status: str) -> float | None:
    labels = {"route": route, "status": status}
    return registry.get_sample_value("aiops_serve_requests_total", labels)


def raising(error: Exception) -> Callable:
    async def handler(request: web.Request) -> web.Response:
        raise error

    return handler


def test_until_ready_only_the_service_itself_answers():
    gate = readiness_gate(lambda: False)
    closed = answer("/x/1", gate)
    assert (closed.status, closed.headers["Retry-After"]) == (503, "5")
    assert [answer(path, gate).status for path in sorted(ALWAYS_OPEN)] == [200, 200, 200]


def test_readiness_is_asked_at_every_request():
    state = {"ready": False}
    gate = readiness_gate(lambda: state["ready"])
    assert answer("/x/1", gate).status == 503
    state["ready"] = True
    assert answer("/x/1", gate).status == 200


def test_an_unforeseen_error_is_a_logged_503_without_its_text(caplog):
    subject, registry = border()
    with caplog.at_level(logging.ERROR):
        response = answer("/x/1", subject.middleware, handler=raising(KeyError("token=abc")))
    assert (response.status, response.headers["Retry-After"]) == (503, "5")
    assert "token" not in response.text
    assert [record.getMessage() for record in caplog.records] == ["request.failed"]
    assert requests(registry, "/x/{id}", "503") == 1


def test_requests_are_counted_by_route_and_never_by_path():
    subject, registry = border()
    for path in ("/x/1", "/x/2"):
        answer(path, subject.middleware)
    assert requests(registry, "/x/{id}", "200") == 2


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/no", 404), ("PUT", "/x/1", 405)])
def test_what_no_route_serves_is_counted_under_one_name(method, path, status):
    subject, registry = border()
    with pytest.raises(web.HTTPException) as caught:
        answer(path, subject.middleware, method=method)
    assert caught.value.status == status
    assert requests(registry, "unknown", str(status)) == 1


def test_an_http_error_a_handler_raises_keeps_its_status(caplog):
    subject, registry = border()
    with pytest.raises(web.HTTPConflict):
        answer("/x/1", subject.middleware, handler=raising(web.HTTPConflict()))
    assert requests(registry, "/x/{id}", "409") == 1
    assert caplog.records == []


def test_the_time_to_answer_is_observed():
    clock = ManualClock()
    subject, registry = border(clock)

    async def slow(request: web.Request) -> web.Response:
        clock.advance(1500)
        return web.Response()

    answer("/x/1", subject.middleware, handler=slow)
    labels = {"route": "/x/{id}"}
    assert registry.get_sample_value("aiops_serve_request_seconds_sum", labels) == 1.5


def test_a_cancelled_request_stays_cancelled():
    async def handler(request: web.Request) -> web.Response:
        raise asyncio.CancelledError

    subject, registry = border()
    with pytest.raises(asyncio.CancelledError):
        answer("/x/1", subject.middleware, handler=handler)
    assert requests(registry, "/x/{id}", "503") == 1


def test_browsers_are_told_not_to_guess_types():
    subject, _ = border()
    assert answer("/x/1", subject.middleware).headers["X-Content-Type-Options"] == "nosniff"


def test_a_handlers_own_word_on_types_is_kept():
    async def handler(request: web.Request) -> web.Response:
        return web.Response(headers={"X-Content-Type-Options": "own"})

    subject, _ = border()
    response = answer("/x/1", subject.middleware, handler=handler)
    assert response.headers["X-Content-Type-Options"] == "own"
