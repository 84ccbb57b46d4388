"""The engine thread: applies journal records to the core, in order, and hands the results on.

Nobody else touches the core while the thread runs. Reads and snapshots come as calls that are
served between two records, so that they see whole records only.
"""

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from aiops.clock import Clock
from aiops.domain.effects import IncidentEffect
from aiops.domain.records import Record
from aiops.domain.samples import SampleBatch
from aiops.lifecycle.snapshot import write_snapshot
from aiops.pipeline import Applied, Core
from aiops.store.head import SealedBlock
from aiops.telemetry import log_event
from aiops.worker import Worker, fulfil

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

_LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class EffectSink(Protocol):
    """Takes what records asked for, in order; blocks while it is too far behind."""

    def put(self, seq: int, effects: tuple[IncidentEffect, ...]) -> None:
        """Take the effects of one record."""
        ...


class RowSink(Protocol):
    """Takes rows that left memory; blocks while it is too far behind."""

    def put(self, blocks: tuple[SealedBlock, ...]) -> None:
        """Take sealed rows."""
        ...


class Engine(Worker):
    """Runs the core on its own thread.

    Parameters
    ----------
    core
        Restored and replayed; owned by this thread from `start` on.
    effects, rows
        Where results go.
    clock
        Tells the age of what is applied, for the lag metric only.
    failed
        Called once, on this thread, when a record cannot be applied: the process must end, since
        going on would make state that no replay gives again.
    """

    def __init__(
        self,
        core: Core,
        effects: EffectSink,
        rows: RowSink,
        *,
        clock: Clock,
        failed: Callable[[BaseException], None],
        registry: CollectorRegistry,
    ) -> None:
        super().__init__("engine")
        self._core = core
        self._effects = effects
        self._rows = rows
        self._clock = clock
        self._failed = failed
        self._records: deque[Record] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._has_failed = False
        self._samples = Counter("aiops_engine_samples_total", "Samples applied", registry=registry)
        self._lag = Histogram(
            "aiops_engine_lag_seconds",
            "From acceptance of a record until it is scored",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        queued = Gauge("aiops_engine_queue_rows", "Samples waiting to be scored", registry=registry)
        queued.set_function(lambda: self.queued_rows)
        self.queued_rows = 0
        """Samples committed and not yet scored; read by the edge to refuse in time."""

    def submit(self, records: list[Record]) -> None:
        """Take records just made durable, in order (journal thread)."""
        n_rows = sum(_row_count(record) for record in records)
        with self._changed:
            self._records.extend(records)
            self.queued_rows += n_rows
            self._changed.notify_all()

    def call(self, work: Callable[[Core], T]) -> Future[T]:
        """Run `work(core)` between two records; the future has what it returned or raised."""
        future: Future[T] = Future()

        def ask() -> T:
            if self._has_failed:
                raise RuntimeError("the engine has stopped")
            return work(self._core)

        with self._changed:
            if self._is_closing:
                future.set_exception(RuntimeError("the engine is stopping"))
            else:
                self._calls.append(partial(fulfil, future, ask))
                self._changed.notify_all()
        return future

    def write_snapshot(self, directory: Path) -> Future[tuple[Path, int]]:
        """Write the core's state aside, straight from its arrays; give path and position.

        Scoring stands still meanwhile (about 0.5 s a GiB); appends do not.
        """

        def work(core: Core) -> tuple[Path, int]:
            arrays, facts = core.state()
            return write_snapshot(directory, core.applied_seq, arrays, facts), core.applied_seq

        return self.call(work)

    def drain(self, timeout_s: float) -> bool:
        """Wait until everything committed is applied; tell whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._records, timeout_s)

    def _step(self) -> bool:
        """Serve one call, then one record; tell whether there is more to come."""
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._records or self._is_closing)
            call = self._calls.popleft() if self._calls else None
            record = self._records[0] if self._records else None
        if call is not None:
            call()
        if record is not None:
            self._apply(record)
            with self._changed:
                self._records.popleft()
                self._changed.notify_all()
        return call is not None or record is not None

    def _stopped(self, error: Exception | None) -> None:
        self._has_failed = error is not None
        with self._changed:
            calls = list(self._calls)
            self._calls.clear()
        for call in calls:
            call()  # tells those who wait that nothing comes any more
        if error is not None:
            log_event(_LOG, logging.CRITICAL, "engine.failed", exc_info=error)
            self._failed(error)

    def _apply(self, record: Record) -> None:
        deliver(record, self._core.apply(record), self._effects, self._rows)
        n_rows = _row_count(record)
        if n_rows:
            self._samples.inc(n_rows)
            self._lag.observe(max(0, self._clock.now_ms() - record.accepted_ms) / 1000.0)
            with self._changed:
                self.queued_rows -= n_rows


def deliver(record: Record, applied: Applied, effects: EffectSink, rows: RowSink) -> None:
    """Hand on what came of a record: rows first, since effects may point at them."""
    if applied.sealed:
        rows.put(applied.sealed)
    effects.put(record.seq, applied.effects)


def _row_count(record: Record) -> int:
    return len(record.body) if isinstance(record.body, SampleBatch) else 0
