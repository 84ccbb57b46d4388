import asyncio
import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import orjson
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from aiops.clock import ManualClock
from aiops.domain.records import AlertBatch, Record
from aiops.journal.memory import MemoryJournal
from aiops.serve.alertmanager import PATH, AlertmanagerDoor

BODY_BYTES_MAX = 2000
NOW_MS = 1_700_000_000_000


@dataclass
class Answer:
    """What came back, read to the end."""

    status: int
    body: dict
    headers: dict = field(default_factory=dict)


@dataclass
class Bench:
    """A door before a journal in memory, with what the journal handed on."""

    journal: MemoryJournal
    records: list[Record] = field(default_factory=list)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def metric(self, name: str, **labels: str) -> float:
        value = self.registry.get_sample_value(name, labels)
        assert value is not None, f"no series {name} {labels}"
        return value

    def run(self, talk: Callable[[TestClient], Awaitable[ClientResponse]]) -> Answer:
        return asyncio.run(self._run(talk))

    def post(self, body: object, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.run(lambda client: client.post(PATH, data=body, headers=sent))

    async def _run(self, talk) -> Answer:
        door = AlertmanagerDoor(self.journal, ManualClock(NOW_MS), BODY_BYTES_MAX, self.registry)
        app = web.Application()
        app.add_routes(door.routes())
        server = TestServer(app)
        await server.start_server(auto_decompress=False)
        async with TestClient(server, auto_decompress=False) as client:
            response = await talk(client)
            return Answer(response.status, orjson.loads(await response.read()), response.headers)


def bench(**settings) -> Bench:
    made = Bench(MemoryJournal(**settings))
    made.journal.start(made.records.extend)
    return made


def delivery(*alerts: dict, **payload) -> bytes:
    return orjson.dumps({"version": "4", "alerts": list(alerts)} | payload)


def firing(name: str = "a") -> dict:
    return {"status": "firing", "labels": {"alertname": name}, "fingerprint": name}


def test_alerts_are_in_the_journal_before_the_answer():
    subject = bench()
    answer = subject.post(delivery(firing("a"), firing("b"), {"status": "firing"}))
    assert (answer.status, answer.body) == (200, {"accepted": 2, "rejected": 1})
    (record,) = subject.records
    assert record.accepted_ms == NOW_MS
    assert isinstance(record.body, AlertBatch)
    assert [alert.fingerprint for alert in record.body.alerts] == ["a", "b"]


def test_what_was_taken_and_skipped_is_counted():
    subject = bench()
    subject.post(delivery(firing("a"), {"labels": {}}, truncatedAlerts=4))
    assert subject.metric("aiops_serve_alerts_received_total") == 1
    assert subject.metric("aiops_serve_alerts_rejected_total", reason="no_labels") == 1
    assert subject.metric("aiops_serve_alerts_truncated_total") == 4


def test_every_reason_has_a_series_before_anything_is_rejected():
    subject = bench()
    subject.post(delivery(firing()))
    for reason in ("no_labels", "bad_time", "duplicate", "unreadable_body"):
        assert subject.metric("aiops_serve_alerts_rejected_total", reason=reason) == 0


@pytest.mark.parametrize("body", [delivery(), delivery({"labels": {}})])
def test_a_delivery_without_a_usable_alert_does_not_reach_the_journal(body):
    subject = bench()
    assert subject.post(body).status == 200
    assert subject.records == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"alerts":1}'])
def test_an_unreadable_body_is_a_400_that_says_why(body):
    subject = bench()
    answer = subject.post(body)
    assert answer.status == 400
    assert "not" in answer.body["error"]
    assert subject.metric("aiops_serve_alerts_rejected_total", reason="unreadable_body") == 1


def test_a_closed_journal_is_a_503_and_counts_nothing():
    subject = bench()
    subject.journal.close()
    answer = subject.post(delivery(firing()))
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert subject.metric("aiops_serve_alerts_received_total") == 0


def test_a_full_journal_is_a_503_with_the_wait_it_asks_for():
    answer = bench(records_max=0).post(delivery(firing()))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", " gzip "])
def test_gzip_is_understood(encoding):
    subject = bench()
    answer = subject.post(gzip.compress(delivery(firing())), Content_Encoding=encoding)
    assert answer.body == {"accepted": 1, "rejected": 0}


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip"])
def test_other_encodings_are_a_415(encoding):
    answer = bench().post(delivery(firing()), Content_Encoding=encoding)
    assert answer.status == 415


@pytest.mark.parametrize(
    "body",
    [
        b"no gzip at all",
        gzip.compress(delivery(firing()))[:-9],
        gzip.compress(delivery(firing())) + b"tail",
        b"",
    ],
)
def test_broken_gzip_is_a_400(body):
    answer = bench().post(body, Content_Encoding="gzip")
    assert answer.status == 400
    assert "gzip" in answer.body["error"]


def test_a_body_of_exactly_the_limit_passes():
    body = delivery(firing())
    assert bench().post(body + b" " * (BODY_BYTES_MAX - len(body))).status == 200


def test_a_body_announced_too_large_is_refused_unread():
    answer = bench().post(b"x" * (BODY_BYTES_MAX + 1))
    assert answer.status == 400
    assert "server.body_bytes_max" in answer.body["error"]


def test_a_body_without_length_is_counted_as_it_comes():
    async def chunks():
        for _ in range(5):
            yield b" " * 500

    answer = bench().post(chunks())
    assert answer.status == 400
    assert "server.body_bytes_max" in answer.body["error"]


def test_a_small_gzip_body_that_grows_beyond_the_limit_is_refused():
    bomb = gzip.compress(b" " * 1_000_000)
    assert len(bomb) < BODY_BYTES_MAX
    answer = bench().post(bomb, Content_Encoding="gzip")
    assert answer.status == 400
    assert "server.body_bytes_max" in answer.body["error"]


def test_a_body_that_breaks_off_is_not_taken():
    async def talk(host: str, port: int) -> bytes:
        reader, writer = await asyncio.open_connection(host, port)
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode() + b'5\r\n{"al\r\nnonsense\r\n')
        await writer.drain()
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return answer

    async def run() -> bytes:
        app = web.Application()
        door = AlertmanagerDoor(subject.journal, ManualClock(), BODY_BYTES_MAX, subject.registry)
        app.add_routes(door.routes())
        async with TestServer(app) as server:
            return await talk(server.host, server.port)

    subject = bench()
    assert b" 400 " in asyncio.run(run())
    assert subject.records == []
