"""What runs beside the requests: ticks, snapshots, eviction, retention."""

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge

from aiops.clock import DAY_MS, Clock
from aiops.config import Config
from aiops.domain.records import Evict, Tick
from aiops.engine import Engine
from aiops.errors import JournalError, OverloadError, StoreError
from aiops.journal.base import Journal
from aiops.lifecycle.snapshot import (
    discard_snapshot,
    publish_snapshot,
    seq_of,
    snapshots_present,
)
from aiops.series.directory import SeriesDirectory
from aiops.store.base import StateAccess
from aiops.store.samples import SampleStore
from aiops.store.state_writer import StateWriter
from aiops.telemetry import LogOnChange, log_event

_LOG = logging.getLogger(__name__)

EVICT_INTERVAL_S = 60.0
"""Chosen: idle series are few a minute even under churn, and nothing waits for their slot."""

EVICT_MAX = 50_000
"""Chosen: series forgotten by one record; the rest follows a minute later."""

RETENTION_INTERVAL_S = 600.0
FLUSH_TIMEOUT_S = 120.0
"""Chosen: a slow disk may take this long; the next snapshot comes anyway."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that background work moves."""

    config: Config
    clock: Clock
    journal: Journal
    engine: Engine
    samples: SampleStore
    state: StateAccess
    state_writer: StateWriter
    directory: SeriesDirectory
    registry: CollectorRegistry


class Background:
    """Periodic work, each piece a coroutine that runs until it is cancelled."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._failures = LogOnChange(_LOG, parts.clock)
        registry = parts.registry
        self._snapshots = Counter("aiops_snapshot_total", "Snapshots published", registry=registry)
        self._seconds = Gauge("aiops_snapshot_seconds", "Time of the last one", registry=registry)
        self._evicted = Counter("aiops_series_evicted_total", "Idle series", registry=registry)

    async def tick(self) -> None:
        """Let time pass for the core."""
        while True:
            await asyncio.sleep(self._parts.config.engine.tick_interval_s)
            await self._append(Tick(), "tick.refused")

    async def evict(self) -> None:
        """Forget series that fell silent, first here, then through the journal in the core."""
        while True:
            await asyncio.sleep(EVICT_INTERVAL_S)
            await self.evict_once()

    async def evict_once(self) -> int:
        """Order idle series out and return how many."""
        parts = self._parts
        idle_before_ms = parts.clock.now_ms() - parts.config.engine.series_idle_s * 1000
        idle = await asyncio.wrap_future(
            parts.engine.call(lambda core: core.data.table.idle(idle_before_ms)[:EVICT_MAX])
        )
        if len(idle) == 0:
            return 0
        # From here on a returning series is announced anew, in a record behind the order.
        parts.directory.forget(idle)
        order = Evict(tuple(idle.tolist()), idle_before_ms)
        if not await self._append(order, "evict.refused"):
            parts.directory.announce(idle)
            return 0
        self._evicted.inc(len(idle))
        return len(idle)

    async def snapshot(self) -> None:
        """Save the core's state every interval."""
        while True:
            await asyncio.sleep(self._parts.config.snapshot.interval_s)
            await self.snapshot_once()

    async def snapshot_once(self, *, flush_timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
        """Save the core's state now; tell whether it was published.

        Parameters
        ----------
        flush_timeout_s
            How long incidents, and then rows, may take to reach the disk before it is given up.
        """
        parts = self._parts
        started_s = parts.clock.monotonic_s()
        try:
            path, seq = await asyncio.wrap_future(
                parts.engine.write_snapshot(parts.config.data_dir)
            )
            await asyncio.to_thread(self._publish, path, seq, flush_timeout_s)
        except (OSError, StoreError, RuntimeError) as error:
            self._failures.failed("snapshot.failed", str(error))
            return False
        self._failures.recovered("snapshot.failed")
        self._trim()
        self._snapshots.inc()
        self._seconds.set(parts.clock.monotonic_s() - started_s)
        log_event(_LOG, logging.INFO, "snapshot.published", seq=seq, bytes=_size(path))
        return True

    async def retain(self) -> None:
        """Delete what is older than its retention."""
        parts = self._parts
        while True:
            await asyncio.sleep(RETENTION_INTERVAL_S)
            now_ms = parts.clock.now_ms()
            parts.samples.prune(now_ms)
            before_ms = now_ms - parts.config.store.retention_days * DAY_MS
            try:
                await parts.state.run(partial(parts.state.store.prune, before_ms))
            except StoreError as error:
                self._failures.failed("retention.failed", str(error))

    def _publish(self, path: Path, seq: int, timeout_s: float) -> None:
        """Publish once all that the journal will no longer repeat is on disk elsewhere."""
        is_written = self._parts.state_writer.wait_written(seq, timeout_s)
        if not is_written or not self._parts.samples.flush(timeout_s):
            discard_snapshot(path)
            raise StoreError("rows or incidents before the snapshot are not on disk yet")
        publish_snapshot(path)

    def _trim(self) -> None:
        """Trim the journal behind the older snapshot: should the newest be damaged, it serves."""
        kept = snapshots_present(self._parts.config.data_dir)
        if len(kept) > 1:
            self._parts.journal.trim(seq_of(kept[-1]))

    async def _append(self, body: Tick | Evict, event: str) -> bool:
        try:
            await self._parts.journal.append(body, accepted_ms=self._parts.clock.now_ms())
        except (JournalError, OverloadError) as error:
            self._failures.failed(event, str(error))
            return False
        self._failures.recovered(event)
        return True


def _size(path: Path) -> int:
    published = path.with_suffix(".safetensors")
    return published.stat().st_size if published.exists() else 0
