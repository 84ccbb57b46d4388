"""Incidents, a store called in place, and a recording HTTP server for the notification tests."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from aiohttp import web
from aiohttp.test_utils import TestServer

from aiops.config import ReceiverConfig
from aiops.domain.alert import Alert
from aiops.domain.anomaly import Anomaly
from aiops.domain.effects import IncidentEffect
from aiops.domain.incident import (
    Incident,
    IncidentChange,
    IncidentEventKind,
    IncidentState,
    Severity,
    TimelineEvent,
)
from aiops.domain.labels import Labels, labels_from
from aiops.notify.plan import plan_notifications
from aiops.notify.rules import ReceiverRule
from aiops.store.base import StateAccess, StateStore

T0_MS = 1_700_000_000_000
URL = "http://aiops.example:9800"
T = TypeVar("T")


async def run_in_place(call: Callable[[], T]) -> T:
    return call()


def access(store: StateStore) -> StateAccess:
    return StateAccess(store, run_in_place)


def anomaly(labels: Labels, *, score: float = 9.0) -> Anomaly:
    return Anomaly("a1", 1, labels, "level", T0_MS - 9, T0_MS, 0, score, 5.0, 1.0, 0.5, 1.5)


def alert(labels: Labels, *, is_firing: bool = True) -> Alert:
    notes = labels_from({"summary": "too slow"})
    return Alert("f" * 16, labels, notes, is_firing, T0_MS - 20, 0)


def incident(**changes: object) -> Incident:
    labels = labels_from({"service": "cart", "team": "shop"})
    made = Incident(
        incident_id="inc-1",
        state=IncidentState.OPEN,
        severity=Severity.WARNING,
        title="cart is slow",
        labels=labels,
        opened_ms=T0_MS,
        updated_ms=T0_MS,
        resolved_ms=0,
        acknowledged_by="",
        anomalies=(anomaly(labels),),
        alerts=(),
        timeline=(TimelineEvent(T0_MS, IncidentEventKind.OPENED, "opened"),),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def resolved(**changes: object) -> Incident:
    state = IncidentState.RESOLVED
    return incident(**({"state": state, "resolved_ms": T0_MS + 60_000} | changes))


def plan(
    store: StateStore, rule: ReceiverRule, event: IncidentEventKind, version: Incident
) -> None:
    """Let a change of an incident into the store, as the core does."""
    seq = store.high_water()[0] + 1
    notes = plan_notifications(
        IncidentChange(event, version), [rule], seq=seq, k=0, external_url=URL
    )
    store.apply([IncidentEffect(seq, 0, version, notes)])


def config(name: str, kind: str, url: str, **more: object) -> ReceiverConfig:
    fields = {"name": name, "kind": kind, "url": url} | more
    return ReceiverConfig.model_validate(fields)


@dataclass
class Recorder:
    """What a server was sent, and the answers it gives: one each, 200 when none is left."""

    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.seen.append((request.path_qs, dict(request.headers), await request.read()))
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, text="said so", headers=self.headers)


@asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    server = TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url("")).rstrip("/")
    finally:
        await server.close()
