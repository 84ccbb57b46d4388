"""What receivers put on the wire, and how they take answers."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from notify_samples import (
    T0_MS,
    Recorder,
    access,
    config,
    incident,
    plan,
    resolved,
    serving,
)
from prometheus_client import CollectorRegistry

from aiops.clock import ManualClock
from aiops.config import NotifyConfig
from aiops.domain.action import Notification
from aiops.domain.incident import IncidentEventKind, Severity
from aiops.domain.labels import labels_from
from aiops.errors import ConfigError
from aiops.notify.build import build_notify
from aiops.notify.metrics import NotifyMetrics
from aiops.notify.receivers.alertmanager import AlertmanagerKeeper, AlertmanagerReceiver
from aiops.notify.receivers.base import DeliveryError
from aiops.notify.receivers.http import open_session
from aiops.notify.receivers.webhook import WebhookReceiver
from aiops.notify.rules import ReceiverRule
from aiops.notify.signing import verify
from aiops.store.memory_state import MemoryStateStore

MESSAGE = Notification("inc-1:opened:1-0:hook", "hook", "opened", "inc-1", b'{"a":1}')
MANAGER = ReceiverRule("am", "alertmanager")
Kind = IncidentEventKind


async def send(url: str, *, secret: bytes | None = None, timeout_s: float = 10.0) -> None:
    async with open_session() as session:
        settings = config("hook", "webhook", f"{url}/in?x=1", timeout_s=timeout_s)
        receiver = WebhookReceiver(settings, session, ManualClock(T0_MS), secret=secret)
        await receiver.deliver(MESSAGE)


def test_a_webhook_posts_the_body_with_its_key() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        async with serving(recorder.handle) as url:
            await send(url)
        [(path, headers, body)] = recorder.seen
        assert (path, body) == ("/in?x=1", b'{"a":1}')
        assert headers["Content-Type"] == "application/json"
        assert headers["Idempotency-Key"] == headers["X-Aiops-Delivery"] == MESSAGE.key
        assert "X-Aiops-Signature" not in headers

    asyncio.run(scenario())


def test_a_webhook_with_a_secret_signs_what_it_sends() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        async with serving(recorder.handle) as url:
            await send(url, secret=b"k3y")
        [(_, headers, body)] = recorder.seen
        header = headers["X-Aiops-Signature"]
        assert verify(b"k3y", body, header, now_s=T0_MS // 1000).is_allowed

    asyncio.run(scenario())


@pytest.mark.parametrize("status", [302, 400, 401, 404, 408, 410, 425, 429, 500, 503])
def test_an_answer_tells_whether_another_try_may_help(status: int) -> None:
    async def scenario() -> None:
        recorder = Recorder([status], headers={"Location": "/elsewhere", "Retry-After": "7"})
        async with serving(recorder.handle) as url:
            with pytest.raises(DeliveryError, match=f"HTTP {status} said so") as caught:
                await send(url)
        assert caught.value.retryable is (status not in (400, 401, 404, 410))
        assert caught.value.retry_after_s == 7.0
        assert len(recorder.seen) == 1

    asyncio.run(scenario())


def test_no_answer_in_time_is_retryable() -> None:
    async def scenario() -> None:
        gate = asyncio.Event()

        async def hang(request: web.Request) -> web.Response:
            await gate.wait()
            return web.Response()

        async with serving(hang) as url:
            with pytest.raises(DeliveryError, match=r"within 0.1 s") as caught:
                await send(url, timeout_s=0.1)
            gate.set()
        assert caught.value.retryable

    asyncio.run(scenario())


def test_a_refused_connection_is_retryable() -> None:
    async def scenario() -> None:
        async with serving(Recorder().handle) as url:
            pass  # closed again: nobody listens there now
        with pytest.raises(DeliveryError) as caught:
            await send(url)
        assert caught.value.retryable

    asyncio.run(scenario())


def test_an_endless_error_answer_is_not_read() -> None:
    async def scenario() -> None:
        async def flood(request: web.Request) -> web.StreamResponse:
            answer = web.StreamResponse(status=400)
            await answer.prepare(request)
            try:
                while True:
                    await answer.write(b"x" * 65536)
            except ConnectionError:
                return answer

        async with serving(flood) as url:
            with pytest.raises(DeliveryError) as caught:
                await send(url)
        assert len(str(caught.value)) < 600

    asyncio.run(scenario())


class Manager:
    """An Alertmanager receiver over a recording server, with its store and clock."""

    def __init__(self, url: str, session: object) -> None:
        self.clock = ManualClock(T0_MS)
        self.store = MemoryStateStore(clock=self.clock)
        settings = config("am", "alertmanager", f"{url}/", resend_interval_s=60)
        self.receiver = AlertmanagerReceiver(
            settings, session, self.clock, state=access(self.store)
        )

    def plan(self, event: IncidentEventKind, version: object) -> None:
        plan(self.store, MANAGER, event, version)

    async def deliver_due(self) -> None:
        while due := self.store.due_notifications(self.clock.now_ms(), limit=1):
            await self.receiver.deliver(due[0][0])
            self.store.mark_delivered(due[0][0].key, self.clock.now_ms())


def with_manager(scenario: Callable[[Manager, Recorder], Awaitable[None]]) -> None:
    async def outer() -> None:
        recorder = Recorder()
        async with serving(recorder.handle) as url, open_session() as session:
            await scenario(Manager(url, session), recorder)

    asyncio.run(outer())


def posts(recorder: Recorder) -> list[list[dict[str, object]]]:
    assert {path for path, _, _ in recorder.seen} <= {"/api/v2/alerts"}
    return [orjson.loads(body) for _, _, body in recorder.seen]


def brief(alerts: list[dict[str, object]]) -> list[tuple[str, object]]:
    return [(alert["labels"]["severity"], alert["endsAt"]) for alert in alerts]


def test_an_opened_incident_fires_until_four_resends_are_missing() -> None:
    async def scenario(manager: Manager, recorder: Recorder) -> None:
        manager.plan(Kind.OPENED, incident())
        await manager.deliver_due()
        assert [brief(post) for post in posts(recorder)] == [
            [("warning", "2023-11-14T22:17:20.000Z")]
        ]

    with_manager(scenario)


def test_a_raised_severity_ends_the_alert_sent_before() -> None:
    async def scenario(manager: Manager, recorder: Recorder) -> None:
        manager.plan(Kind.OPENED, incident())
        await manager.deliver_due()
        manager.clock.advance(30_000)
        manager.plan(Kind.SEVERITY_RAISED, incident(severity=Severity.CRITICAL))
        await manager.deliver_due()
        assert brief(posts(recorder)[1]) == [
            ("critical", "2023-11-14T22:17:50.000Z"),
            ("warning", "2023-11-14T22:13:50.000Z"),
        ]

    with_manager(scenario)


def test_a_resolve_ends_every_label_set_the_incident_had() -> None:
    async def scenario(manager: Manager, recorder: Recorder) -> None:
        manager.plan(Kind.OPENED, incident())
        manager.plan(Kind.SEVERITY_RAISED, incident(severity=Severity.CRITICAL))
        fewer = labels_from({"service": "cart"})
        manager.clock.advance(90_000)
        manager.plan(Kind.RESOLVED, resolved(severity=Severity.CRITICAL, labels=fewer))
        await manager.deliver_due()
        last = posts(recorder)[-1]
        assert [(a["labels"].get("team"), a["labels"]["severity"]) for a in last] == [
            (None, "critical"),
            ("shop", "warning"),
            ("shop", "critical"),
        ]
        assert all(alert["endsAt"] <= "2023-11-14T22:14:50.000Z" for alert in last)
        assert all(alert["startsAt"] <= alert["endsAt"] for alert in last)

    with_manager(scenario)


def test_a_resend_repeats_open_incidents_with_the_labels_sent_last() -> None:
    async def scenario(manager: Manager, recorder: Recorder) -> None:
        manager.plan(Kind.OPENED, incident())
        manager.plan(Kind.OPENED, incident(incident_id="inc-2"))
        manager.plan(Kind.RESOLVED, resolved(incident_id="inc-2"))
        # evidence joined without an event: the stored labels have shrunk, the alert's have not
        manager.plan(Kind.ANOMALY_ADDED, incident(labels=labels_from({"service": "cart"})))
        manager.clock.advance(60_000)
        assert await manager.receiver.resend_open() == 1
        [[alert]] = posts(recorder)
        assert (alert["labels"]["incident_id"], alert["labels"]["team"]) == ("inc-1", "shop")
        assert alert["endsAt"] == "2023-11-14T22:18:20.000Z"

    with_manager(scenario)


def test_a_resend_with_nothing_open_posts_nothing() -> None:
    async def scenario(manager: Manager, recorder: Recorder) -> None:
        assert await manager.receiver.resend_open() == 0
        assert recorder.seen == []

    with_manager(scenario)


def test_many_open_incidents_go_in_several_posts() -> None:
    async def scenario(manager: Manager, recorder: Recorder) -> None:
        for n in range(205):
            manager.plan(Kind.OPENED, incident(incident_id=f"inc-{n}"))
        assert await manager.receiver.resend_open() == 205
        assert [len(post) for post in posts(recorder)] == [100, 100, 5]

    with_manager(scenario)


def test_the_keeper_resends_every_interval_and_survives_failures() -> None:
    async def scenario(manager: Manager, recorder: Recorder) -> None:
        manager.plan(Kind.OPENED, incident())
        recorder.answers = [200, 503, 200]
        registry = CollectorRegistry()
        slept: list[float] = []

        async def sleep(span_s: float) -> None:
            slept.append(span_s)
            if len(slept) == 3:
                raise asyncio.CancelledError

        keeper = AlertmanagerKeeper(
            manager.receiver, NotifyMetrics(registry), manager.clock, interval_s=60, sleep=sleep
        )
        with pytest.raises(asyncio.CancelledError):
            await keeper.run()
        assert slept == [60, 60, 60]

        def count(outcome: str) -> float | None:
            labels = {"receiver": "am", "outcome": outcome}
            return registry.get_sample_value("aiops_notify_resends_total", labels)

        assert (count("sent"), count("failed")) == (2, 1)

    with_manager(scenario)


def test_parts_are_built_from_the_config(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k3y\n")
    settings = NotifyConfig(
        receivers=(
            config("hook", "webhook", "http://h", secret={"file": tmp_path / "key"}),
            config("am", "alertmanager", "http://a"),
        )
    )

    async def scenario() -> None:
        async with open_session() as session:
            parts = build_notify(
                settings,
                session=session,
                state=access(MemoryStateStore()),
                clock=ManualClock(),
                registry=CollectorRegistry(),
            )
        assert len(parts.keepers) == 1

    asyncio.run(scenario())


def test_every_unreadable_secret_is_reported(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    secrets = [{"file": tmp_path / "absent"}, {"file": tmp_path / "empty"}, {"env": "NOT_SET_X"}]
    receivers = tuple(
        config(f"hook{n}", "webhook", "http://h", secret=secret) for n, secret in enumerate(secrets)
    )

    async def scenario() -> None:
        async with open_session() as session:
            build_notify(
                NotifyConfig(receivers=receivers),
                session=session,
                state=access(MemoryStateStore()),
                clock=ManualClock(),
                registry=CollectorRegistry(),
            )

    with pytest.raises(ConfigError) as caught:
        asyncio.run(scenario())
    assert [p.split(":")[0] for p in caught.value.problems] == [
        f"notify.receivers hook{n}" for n in range(3)
    ]
