"""Around every request: not before the service is ready, no stack trace to a stranger, counted."""

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CollectorRegistry, Counter, Histogram

from aiops.clock import Clock
from aiops.serve.admission import RETRY_AFTER_S
from aiops.telemetry import log_event

_LOG = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ALWAYS_OPEN = frozenset({"/-/healthy", "/-/ready", "/metrics"})
"""Routes that answer while the journal is replayed."""

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


def readiness_gate(is_ready: Callable[[], bool]) -> Middleware:
    """Return a middleware that answers 503 until the service can do what it is asked."""

    @web.middleware
    async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in ALWAYS_OPEN or is_ready():
            return await handler(request)
        return _not_now("starting\n")

    return gate


class RequestBorder:
    """Counts and times requests; turns what nobody expected into a logged 503.

    A 500 would be dropped by OTLP senders and repeated without pause by others (contract of all
    doors); 503 is the one answer every client takes for "not now".
    """

    def __init__(self, clock: Clock, registry: CollectorRegistry) -> None:
        self._clock = clock
        self._requests = Counter(
            "aiops_serve_requests_total",
            "Requests answered.",
            ["route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "aiops_serve_request_seconds",
            "Time to answer.",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )

    @property
    def middleware(self) -> Middleware:
        """Return the middleware."""

        @web.middleware
        async def border(request: web.Request, handler: Handler) -> web.StreamResponse:
            started_s = self._clock.monotonic_s()
            status = 503
            try:
                response = await handler(request)
                status = response.status
                response.headers.setdefault("X-Content-Type-Options", "nosniff")
                return response
            except web.HTTPException as error:
                status = error.status
                raise
            except Exception as error:
                log_event(_LOG, logging.ERROR, "request.failed", exc_info=error)
                return _not_now("internal fault, see the log\n")
            finally:
                self._note(request, status, self._clock.monotonic_s() - started_s)

        return border

    def _note(self, request: web.Request, status: int, seconds: float) -> None:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "unknown"
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)


def _not_now(text: str) -> web.Response:
    return web.Response(status=503, text=text, headers={"Retry-After": str(RETRY_AFTER_S)})
