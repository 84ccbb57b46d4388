"""Answers in Prometheus' envelope and its plain-text errors."""

from collections.abc import Awaitable, Callable
from functools import wraps

import orjson
from aiohttp import web

from aiops.errors import (
    AiopsError,
    OverloadError,
    QueryError,
    QueryExecutionError,
    StoreError,
    UnsupportedQueryError,
)

CUT_WARNING = "results truncated due to limit"

Handler = Callable[[web.Request], Awaitable[web.Response]]


def success(data: object, *, is_cut: bool = False) -> web.Response:
    """Return a 200 with the data; cut data carries Prometheus' warning."""
    body: dict[str, object] = {"status": "success", "data": data}
    if is_cut:
        body["warnings"] = [CUT_WARNING]
    return web.Response(body=orjson.dumps(body), content_type="application/json")


def failure(status: int, kind: str, text: str) -> web.Response:
    """Return an error in the envelope, `kind` being Prometheus' errorType."""
    body = {"status": "error", "errorType": kind, "error": text}
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")


def plain(status: int, text: str, *, allow: str = "") -> web.Response:
    """Return a plain-text error as Go's HTTP server writes it."""
    headers = {"X-Content-Type-Options": "nosniff"}
    if allow:
        headers["Allow"] = allow
    return web.Response(
        status=status, text=text, headers=headers, content_type="text/plain", charset="utf-8"
    )


def with_envelope(handler: Handler) -> Handler:
    """Return the handler with the errors of queries and stores answered in the envelope."""

    @wraps(handler)
    async def guarded(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except TimeoutError:
            return failure(503, "timeout", "query timed out in expression evaluation")
        except AiopsError as error:
            status, kind = _status(error)
            return failure(status, kind, str(error))

    return guarded


def _status(error: AiopsError) -> tuple[int, str]:
    if isinstance(error, QueryError):
        return 400, "bad_data"
    if isinstance(error, UnsupportedQueryError | QueryExecutionError):
        return 422, "execution"
    if isinstance(error, StoreError | OverloadError):
        return 503, "unavailable"
    raise error
