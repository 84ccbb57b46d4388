"""Our alerts in a real Alertmanager: fired, renamed and resolved as it understands them."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from aiohttp import ClientSession
from state_samples import incident

from aiops.clock import SystemClock
from aiops.config import ReceiverConfig
from aiops.domain.effects import IncidentEffect
from aiops.domain.incident import (
    Incident,
    IncidentChange,
    IncidentEventKind,
    IncidentState,
    Severity,
)
from aiops.domain.labels import labels_from
from aiops.notify.plan import plan_notifications
from aiops.notify.receivers.alertmanager import AlertmanagerReceiver
from aiops.notify.receivers.http import open_session
from aiops.notify.rules import ReceiverRule
from aiops.store.base import StateAccess
from aiops.store.memory_state import MemoryStateStore
from tests.programs import program

CONFIG = "route: {receiver: none}\nreceivers: [{name: none}]\n"


@contextmanager
def alertmanager(folder: Path) -> Iterator[str]:
    """Run an Alertmanager on a free loopback port and yield its address."""
    (folder / "am.yml").write_text(CONFIG)
    flags = [f"--config.file={folder / 'am.yml'}", f"--storage.path={folder / 'data'}"]
    flags += ["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="]
    process = subprocess.Popen(
        [program("prometheus-alertmanager"), *flags], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        found = None
        while found is None:
            line = process.stderr.readline()
            assert line, "Alertmanager ended before it listened"
            found = re.search(r"[Ll]istening.*?(127\.0\.0\.1:[1-9]\d*)", line)
        yield f"http://{found[1]}"
    finally:
        process.kill()
        process.stderr.close()
        process.wait()


class Bench:
    """A receiver over the real thing, fed the way core and dispatcher do."""

    def __init__(self, url: str, session: ClientSession) -> None:
        self.url = url
        self.session = session
        self.clock = SystemClock()
        self.store = MemoryStateStore()
        config = ReceiverConfig(name="am", kind="alertmanager", url=url)
        state = StateAccess(self.store, self.run_in_place)
        self.receiver = AlertmanagerReceiver(config, session, self.clock, state=state)

    async def run_in_place(self, call):
        return call()

    async def tell(self, event: IncidentEventKind, version: Incident) -> None:
        seq = self.store.high_water()[0] + 1
        rules = [ReceiverRule("am", "alertmanager")]
        change = IncidentChange(event, version)
        notes = plan_notifications(change, rules, seq=seq, k=0, external_url="http://aiops:9800")
        self.store.apply([IncidentEffect(seq, 0, version, notes)])
        for note in notes:
            await self.receiver.deliver(note)
            self.store.mark_delivered(note.key, self.clock.now_ms())

    async def active(self) -> list[dict[str, str]]:
        async with self.session.get(f"{self.url}/api/v2/alerts") as answer:
            return [alert["labels"] for alert in await answer.json()]


def test_an_incident_is_one_active_alert_from_opening_to_resolve(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        async with open_session() as session:
            bench = Bench(url, session)
            now_ms = bench.clock.now_ms()
            labels = labels_from({"service": "cart", "k8s.pod": "cart-1", "größe": "✓\n"})
            opened = replace(incident("inc-1", opened_ms=now_ms - 60_000), labels=labels)
            await bench.tell(IncidentEventKind.OPENED, opened)
            [alert] = await bench.active()
            assert alert == {
                "alertname": "AiopsIncident",
                "incident_id": "inc-1",
                "severity": "warning",
                "service": "cart",
                "k8s_pod": "cart-1",
                "gr__e": "✓\n",
            }

            raised = replace(opened, severity=Severity.CRITICAL)
            await bench.tell(IncidentEventKind.SEVERITY_RAISED, raised)
            assert [a["severity"] for a in await bench.active()] == ["critical"]
            assert await bench.receiver.resend_open() == 1
            assert [a["severity"] for a in await bench.active()] == ["critical"]

            resolved = replace(
                raised, state=IncidentState.RESOLVED, resolved_ms=now_ms, labels=labels[1:]
            )
            await bench.tell(IncidentEventKind.RESOLVED, resolved)
            assert await bench.active() == []

            await bench.tell(IncidentEventKind.REOPENED, raised)
            assert [a["severity"] for a in await bench.active()] == ["critical"]

    with alertmanager(tmp_path) as url:
        asyncio.run(scenario(url))


def test_an_incident_that_opens_in_the_future_is_taken(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        async with open_session() as session:
            bench = Bench(url, session)
            ahead_ms = bench.clock.now_ms() + 600_000
            opened = incident("inc-2", opened_ms=ahead_ms)
            await bench.tell(IncidentEventKind.OPENED, opened)
            resolved = replace(opened, state=IncidentState.RESOLVED, resolved_ms=ahead_ms - 5)
            await bench.tell(IncidentEventKind.RESOLVED, resolved)

    with alertmanager(tmp_path) as url:
        asyncio.run(scenario(url))
