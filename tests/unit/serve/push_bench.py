"""A remote-write door behind the real runner and middlewares, before a journal in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from aiohttp import ClientSession, web
from prometheus_client import CollectorRegistry

from aiops.clock import ManualClock
from aiops.config import Config
from aiops.domain.labels import Labels
from aiops.domain.records import Body, MetadataBatch, Record
from aiops.domain.samples import SampleBatch
from aiops.journal.memory import MemoryJournal
from aiops.serve.admission import Admission, Condition
from aiops.serve.middleware import RequestBorder, readiness_gate
from aiops.serve.push import PATH, RemoteWriteDoor
from aiops.serve.routes import build_application, build_runner
from aiops.wire.labels import decode_labels
from aiops.wire.remote_write import RemoteWriteDecoder
from tests.unit.wire.write_requests import NOW_MS, snappy

HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
SECRETS = np.array([11, 22, 33, 44], np.uint64)
Talk = Callable[[ClientSession, str], Awaitable[object]]


@dataclass
class Answer:
    """What came back, read to the end."""

    status: int
    text: str
    headers: dict

    @property
    def written(self) -> int:
        return int(self.headers["X-Prometheus-Remote-Write-Samples-Written"])


class FaultyJournal(MemoryJournal):
    """Fails with `error` while there is one, and lets others run before it answers."""

    def __init__(self, *, turns: int = 0, **settings: object) -> None:
        super().__init__(**settings)
        self.error: Exception | None = None
        self.turns = turns
        self.n_good = 0

    async def append(self, body: Body, *, accepted_ms: int) -> int:
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if self.error is not None and self.n_good == 0:
            raise self.error
        self.n_good = max(0, self.n_good - 1)
        return await super().append(body, accepted_ms=accepted_ms)


@dataclass
class Bench:
    """One door for as many requests as a test sends."""

    door: RemoteWriteDoor
    journal: FaultyJournal
    clock: ManualClock
    admission: Admission
    registry: CollectorRegistry
    records: list[Record]
    is_ready: bool = True
    is_overloaded: bool = False
    extra_routes: list[web.RouteDef] = field(default_factory=list)

    def metric(self, name: str, **labels: str) -> float:
        value = self.registry.get_sample_value(name, labels)
        assert value is not None, f"no series {name} {labels}"
        return value

    def post(self, *parts: bytes, **headers: str | None) -> Answer:
        """Send one request of these fields, packed and labelled as Prometheus does."""
        return self.post_raw(snappy(*parts), **headers)

    def post_raw(self, body: object, **headers: str | None) -> Answer:
        """Send a body as it is; a header given as None is left out."""
        return self.run(partial(send, body=body, **headers))

    def run(self, talk: Talk):
        return asyncio.run(self._run(talk))

    async def _run(self, talk: Talk):
        async with self.served() as url, ClientSession(auto_decompress=False) as client:
            return await talk(client, url)

    @asynccontextmanager
    async def served(self):
        border = RequestBorder(self.clock, CollectorRegistry())
        application = build_application(
            [*self.door.routes(), *self.extra_routes],
            [border.middleware, readiness_gate(lambda: self.is_ready)],
            body_bytes_max=1024,
        )
        runner = build_runner(application, drain_timeout_s=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    def batches(self) -> list[SampleBatch]:
        return [one.body for one in self.records if isinstance(one.body, SampleBatch)]

    def metadata(self) -> list[MetadataBatch]:
        return [one.body for one in self.records if isinstance(one.body, MetadataBatch)]

    def announced(self) -> list[tuple[int, Labels]]:
        return [
            (fingerprint, decode_labels(block))
            for batch in self.batches()
            for fingerprint, block in zip(batch.new_fingerprints, batch.new_blocks, strict=True)
        ]

    def rows(self) -> list[tuple[Labels, int, int]]:
        """Return (labels, ts_ms, value bits) of all rows in the journal, as a replay sees them."""
        names: dict[int, Labels] = {}
        rows = []
        for batch in self.batches():
            for fingerprint, block in zip(batch.new_fingerprints, batch.new_blocks, strict=True):
                names[fingerprint] = decode_labels(block)
            bits = batch.values.view(np.uint64).tolist()
            for fingerprint, ts_ms, one in zip(
                batch.fingerprints.tolist(), batch.ts_ms.tolist(), bits, strict=True
            ):
                rows.append((names[fingerprint], ts_ms, one))
        return rows


async def send(client: ClientSession, url: str, *, body: object, **headers: str | None) -> Answer:
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {name: value for name, value in (HEADERS | changed).items() if value is not None}
    skipped = [name for name, value in changed.items() if value is None]
    async with client.post(
        url + PATH, data=body, headers=sent, skip_auto_headers=[*skipped, "Accept-Encoding"]
    ) as response:
        text = (await response.read()).decode()
        return Answer(response.status, text, dict(response.headers))


def bench(
    *, rows_per_slice: int = 32_768, turns: int = 0, server: dict | None = None, **limits: object
) -> Bench:
    config = Config(server=server or {}, limits=limits)
    journal = FaultyJournal(turns=turns)
    clock = ManualClock(NOW_MS)
    registry = CollectorRegistry()
    conditions = (Condition("scoring is behind", lambda: made.is_overloaded),)
    admission = Admission(bytes_max=config.server.body_bytes_in_flight_max, conditions=conditions)
    door = RemoteWriteDoor(
        config, SECRETS, journal=journal, admission=admission, clock=clock, registry=registry
    )
    door._decoder = RemoteWriteDecoder(SECRETS, rows_per_slice=rows_per_slice)
    made = Bench(door, journal, clock, admission, registry, [])
    journal.start(made.records.extend)
    return made
