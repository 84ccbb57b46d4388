"""Incidents, playbooks and a recording HTTP server for the remediation tests."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from aiohttp import web
from aiohttp.test_utils import TestServer

from aiops.config import RemediateConfig
from aiops.domain.incident import (
    Incident,
    IncidentChange,
    IncidentEventKind,
    IncidentState,
    Severity,
)
from aiops.domain.labels import labels_from
from aiops.remediate.playbook import Playbook

T0_MS = 1_700_000_000_000


def incident(**changes: object) -> Incident:
    made = Incident(
        incident_id="inc-1",
        state=IncidentState.OPEN,
        severity=Severity.CRITICAL,
        title="cart is slow",
        labels=labels_from({"service": "cart", "team": "shop"}),
        opened_ms=T0_MS,
        updated_ms=T0_MS,
        resolved_ms=0,
        acknowledged_by="",
        anomalies=(),
        alerts=(),
        timeline=(),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def change(event: str = "opened", **changes: object) -> IncidentChange:
    return IncidentChange(IncidentEventKind(event), incident(**changes))


def playbook(**changes: object) -> Playbook:
    """A playbook that may act; `url`, `body`, `headers`, `method` go to its action."""
    http = {"url": "http://deploy:8080/restart"}
    http |= {k: changes.pop(k) for k in ("url", "body", "headers", "method") if k in changes}
    fields = {"name": "restart", "mode": "auto", "action": {"http": http}} | changes
    return Playbook.model_validate(fields)


def settings(**changes: object) -> RemediateConfig:
    fields = {"mode": "auto", "url_allow": ("deploy:8080",)} | changes
    return RemediateConfig.model_validate(fields)


@dataclass
class Recorder:
    """What a server was sent, and the answers it gives: one each, 200 when none is left."""

    answers: list[int] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.seen.append((request.method, request.raw_path, dict(request.headers), body))
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, text="said so", headers={"Location": "/elsewhere"})


@asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    """Serve on loopback and yield host:port."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    server = TestServer(app)
    await server.start_server()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.close()
