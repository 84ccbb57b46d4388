"""Deliveries recorded from Alertmanager 0.25, posted with their own headers."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from aiops.clock import ManualClock
from aiops.config import CorrelateConfig
from aiops.correlate import Correlator
from aiops.domain.alert import Alert
from aiops.domain.incident import IncidentEventKind
from aiops.journal.memory import MemoryJournal
from aiops.serve.alertmanager import PATH, AlertmanagerDoor

HERE = Path(__file__).parent
CAPTURES = sorted(path.parent.name for path in HERE.glob("*/body.bin"))
DISK_FULL_STORY = ("g2-firing", "g2-one-resolved", "g2-resolved")


def replay(*names: str) -> tuple[list[dict], MemoryJournal]:
    """Post captures in order to one door; return the answers and the journal behind it."""
    journal = MemoryJournal()
    journal.start(lambda records: None)
    answers = asyncio.run(_post_all([f"alertmanager-webhook-{name}" for name in names], journal))
    return answers, journal


async def _post_all(names: list[str], journal: MemoryJournal) -> list[dict]:
    app = web.Application()
    door = AlertmanagerDoor(journal, ManualClock(), 1 << 20, CollectorRegistry())
    app.add_routes(door.routes())
    server = TestServer(app)
    await server.start_server(auto_decompress=False)
    answers = []
    async with TestClient(server) as client:
        for name in names:
            sent = json.loads((HERE / name / "headers.json").read_text())
            body = (HERE / name / "body.bin").read_bytes()
            response = await client.post(PATH, data=body, headers=dict(sent["headers"]))
            assert response.status == 200, await response.text()
            answers.append(await response.json())
    return answers


def alerts_of(name: str) -> tuple[Alert, ...]:
    _, journal = replay(name)
    (record,) = journal.records()
    return record.body.alerts


def test_all_six_captures_are_here():
    assert len(CAPTURES) == 6


@pytest.mark.parametrize("name", [name.removeprefix("alertmanager-webhook-") for name in CAPTURES])
def test_every_alert_of_every_capture_is_accepted(name):
    body = json.loads((HERE / f"alertmanager-webhook-{name}" / "body.bin").read_bytes())
    answers, journal = replay(name)
    assert answers == [{"accepted": len(body["alerts"]), "rejected": 0}]
    (record,) = journal.records()
    for sent, alert in zip(body["alerts"], record.body.alerts, strict=True):
        assert dict(alert.labels) == sent["labels"]
        assert dict(alert.annotations) == sent["annotations"]
        assert alert.fingerprint == sent["fingerprint"]
        assert alert.is_firing == (sent["status"] == "firing")
        assert alert.generator_url == sent["generatorURL"]
        assert alert.group_key == body["groupKey"]


def test_firing_alerts_have_no_end_though_the_wire_names_year_one():
    assert [alert.ends_at_ms for alert in alerts_of("firing-group")] == [0, 0]


def test_a_group_that_fires_may_hold_a_resolved_alert():
    alerts = alerts_of("g2-one-resolved")
    assert [alert.is_firing for alert in alerts] == [False, True]
    assert alerts[0].ends_at_ms - alerts[0].starts_at_ms == 5001


def test_quotes_newlines_and_nanoseconds_survive():
    (alert,) = alerts_of("special-chars")
    assert dict(alert.labels) == {"alertname": 'Ünï\n"q"', "k": "v,{}="}
    assert alert.starts_at_ms % 60_000 == 26


def test_the_story_of_a_group_is_one_incident_from_start_to_end():
    _, journal = replay(*DISK_FULL_STORY, "g2-resolved")
    correlator = Correlator(CorrelateConfig(quiet_s=60))
    events = []
    for record in journal.records():
        changes = correlator.on_alerts(record.body, seq=record.seq, now_ms=record.seq * 1000)
        events.append([(change.event, change.incident.incident_id) for change in changes])
    assert events == [
        [(IncidentEventKind.OPENED, "inc-1-0")],
        [(IncidentEventKind.ALERT_RESOLVED, "inc-1-0")],
        [(IncidentEventKind.ALERT_RESOLVED, "inc-1-0")],
        [],
    ]
    (change,) = correlator.on_tick(now_ms=63_000)
    assert change.event is IncidentEventKind.RESOLVED
    assert change.incident.title == "node: disk of a ≥ 95 % second line (1 more signal)"
    assert [alert.is_firing for alert in change.incident.alerts] == [False, False]


def test_alerts_cut_off_by_the_sender_are_not_resolved_by_their_absence():
    _, journal = replay("firing-group", "truncated-max3", "firing-group")
    correlator = Correlator(CorrelateConfig())
    for record in journal.records():
        correlator.on_alerts(record.body, seq=record.seq, now_ms=record.seq * 1000)
    (incident,) = correlator.open_incidents()
    assert len(incident.alerts) == 3
    assert all(alert.is_firing for alert in incident.alerts)
