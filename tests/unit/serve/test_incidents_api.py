"""The incident API: reading in pages, commands with their effect, faults in words."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import orjson
import pytest
from aiohttp import ClientSession, web

from aiops.domain.effects import IncidentEffect
from aiops.domain.incident import Incident, IncidentState, Severity
from aiops.domain.incident_json import incident_from_json
from aiops.domain.labels import labels_from
from aiops.domain.records import Command, CommandVerb
from aiops.errors import ConflictError, JournalError, OverloadError
from aiops.serve.incidents import IncidentApi
from aiops.serve.routes import build_application, build_runner
from aiops.store.base import StateAccess
from aiops.store.memory_state import MemoryStateStore

T0_MS = 1_700_000_000_000


def incident(incident_id: str, state: str = "open", opened_ms: int = T0_MS) -> Incident:
    return Incident(
        incident_id=incident_id,
        state=IncidentState(state),
        severity=Severity.WARNING,
        title="<script>alert(1)</script>",
        labels=labels_from({"service": "cart"}),
        opened_ms=opened_ms,
        updated_ms=opened_ms,
        resolved_ms=0,
        acknowledged_by="",
        anomalies=(),
        alerts=(),
        timeline=(),
    )


class Bench:
    """The API over a store in memory, with a core that applies commands at once."""

    def __init__(self) -> None:
        self.store = MemoryStateStore()
        self.commands: list[Command] = []
        self.fault: Exception | None = None
        self.api = IncidentApi(StateAccess(self.store, self.run_in_place), self.submit)
        self.base = ""
        self.session: ClientSession

    async def run_in_place(self, call):
        return call()

    def put(self, *incidents: Incident) -> None:
        for made in incidents:
            seq = self.store.high_water()[0] + 1
            self.store.apply([IncidentEffect(seq, 0, made)])

    async def submit(self, command: Command) -> None:
        if self.fault is not None:
            raise self.fault
        self.commands.append(command)
        before = self.store.incident(command.incident_id)
        if command.verb is CommandVerb.RESOLVE:
            self.put(replace(before, state=IncidentState.RESOLVED))
        else:
            acknowledged = IncidentState.ACKNOWLEDGED
            self.put(replace(before, state=acknowledged, acknowledged_by=command.author))

    async def call(self, method: str, path: str, **more: object) -> tuple[int, dict, dict]:
        async with self.session.request(method, self.base + path, **more) as answer:
            assert answer.content_type == "application/json"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            return answer.status, orjson.loads(await answer.read()), dict(answer.headers)


def with_bench(scenario: Callable[[Bench], Awaitable[None]]) -> None:
    async def outer() -> None:
        bench = Bench()
        app = build_application(bench.api.routes(), [], body_bytes_max=1 << 20)
        runner = build_runner(app, drain_timeout_s=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        bench.base = f"http://{host}:{port}"
        try:
            async with ClientSession() as bench.session:
                await scenario(bench)
        finally:
            await runner.cleanup()

    asyncio.run(outer())


async def listed(bench: Bench, query: str) -> list[str]:
    status, body, _ = await bench.call("GET", f"/api/v1/incidents{query}")
    assert status == 200
    return [item["incident_id"] for item in body["incidents"]]


def test_incidents_are_listed_newest_first_by_state_and_page() -> None:
    async def scenario(bench: Bench) -> None:
        states = ("open", "acknowledged", "resolved", "open")
        bench.put(*(incident(f"i{n}", state, T0_MS + n) for n, state in enumerate(states)))
        assert await listed(bench, "") == ["i3", "i2", "i1", "i0"]
        assert await listed(bench, "?state=open") == ["i3", "i0"]
        assert await listed(bench, "?state=open,acknowledged") == ["i3", "i1", "i0"]
        assert await listed(bench, "?state=open&state=resolved") == ["i3", "i2", "i0"]
        assert await listed(bench, "?limit=2&offset=1") == ["i2", "i1"]
        assert await listed(bench, "?state=") == ["i3", "i2", "i1", "i0"]

    with_bench(scenario)


def test_an_incident_is_read_whole() -> None:
    async def scenario(bench: Bench) -> None:
        bench.put(incident("a/b c"))
        status, body, _ = await bench.call("GET", "/api/v1/incidents/a%2Fb%20c")
        assert status == 200
        assert incident_from_json(body) == incident("a/b c")

    with_bench(scenario)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("state=closed", "open, acknowledged, resolved"),
        ("state=open,closed", "closed"),
        ("limit=0", "limit '0' is not a whole number from 1 to 1000"),
        ("limit=1001", "1001"),
        ("limit=ten", "limit 'ten'"),
        ("limit=%C2%B2", "limit"),
        ("offset=-1", "offset '-1' is not a whole number from 0"),
        ("offset=" + "9" * 5000, "offset"),
    ],
)
def test_a_bad_parameter_is_named_with_what_is_allowed(query: str, named: str) -> None:
    async def scenario(bench: Bench) -> None:
        status, body, _ = await bench.call("GET", f"/api/v1/incidents?{query}")
        assert status == 400
        assert named in body["error"]

    with_bench(scenario)


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/ack"), ("POST", "/resolve")])
def test_an_unknown_incident_is_404(method: str, path: str) -> None:
    async def scenario(bench: Bench) -> None:
        status, body, _ = await bench.call(method, f"/api/v1/incidents/nope{path}")
        assert (status, "nope" in body["error"]) == (404, True)
        assert bench.commands == []

    with_bench(scenario)


def test_acknowledging_answers_with_the_incident_as_it_is_then() -> None:
    async def scenario(bench: Bench) -> None:
        bench.put(incident("i"))
        said = {"author": " ada ", "comment": "on it"}
        status, body, _ = await bench.call("POST", "/api/v1/incidents/i/ack", json=said)
        assert (status, body["state"], body["acknowledged_by"]) == (200, "acknowledged", "ada")
        assert bench.commands == [Command(CommandVerb.ACKNOWLEDGE, "i", "ada", "on it")]

    with_bench(scenario)


def test_resolving_needs_no_body() -> None:
    async def scenario(bench: Bench) -> None:
        bench.put(incident("i", "acknowledged"))
        status, body, _ = await bench.call("POST", "/api/v1/incidents/i/resolve")
        assert (status, body["state"]) == (200, "resolved")
        assert bench.commands == [Command(CommandVerb.RESOLVE, "i", "operator", "")]

    with_bench(scenario)


@pytest.mark.parametrize("verb", ["ack", "resolve"])
def test_a_resolved_incident_takes_no_commands(verb: str) -> None:
    async def scenario(bench: Bench) -> None:
        bench.put(incident("i", "resolved"))
        status, body, _ = await bench.call("POST", f"/api/v1/incidents/i/{verb}")
        assert (status, "resolved already" in body["error"]) == (409, True)
        assert bench.commands == []

    with_bench(scenario)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"author":1}', "author is not a text"),
        (b'{"author":null}', "author is not a text"),
        (b'{"comment":["x"]}', "comment is not a text"),
        (b'{"autor":"x"}', "'autor' is not a field"),
        (b'{"author":"a\\u0000"}', "control characters"),
        (b'{"author":"' + b"x" * 201 + b'"}', "at most 200"),
        (b'{"comment":"' + b"x" * 2001 + b'"}', "at most 2000"),
        (b" " * 4097, "larger than 4096 bytes"),
    ],
)
def test_a_bad_body_is_400_and_orders_nothing(body: bytes, named: str) -> None:
    async def scenario(bench: Bench) -> None:
        bench.put(incident("i"))
        headers = {"Content-Type": "application/json"}
        status, answer, _ = await bench.call(
            "POST", "/api/v1/incidents/i/ack", data=body, headers=headers
        )
        assert (status, named in answer["error"]) == (400, True)
        assert bench.commands == []

    with_bench(scenario)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_another_media_type_is_415(headers: dict[str, str]) -> None:
    async def scenario(bench: Bench) -> None:
        bench.put(incident("i"))
        status, _, _ = await bench.call(
            "POST", "/api/v1/incidents/i/ack", data=b"{}", headers=headers
        )
        assert status == 415
        assert bench.commands == []

    with_bench(scenario)


@pytest.mark.parametrize(
    ("fault", "status", "retry_after"),
    [
        (ConflictError("resolved meanwhile"), 409, None),
        (OverloadError("queue full", retry_after_s=9), 503, "9"),
        (JournalError("disk full"), 503, "5"),
    ],
)
def test_a_command_that_was_not_taken_says_so(
    fault: Exception, status: int, retry_after: str | None
) -> None:
    async def scenario(bench: Bench) -> None:
        bench.put(incident("i"))
        bench.fault = fault
        found, body, headers = await bench.call("POST", "/api/v1/incidents/i/ack")
        assert (found, body["error"]) == (status, str(fault))
        assert headers.get("Retry-After") == retry_after

    with_bench(scenario)
