"""Writes sealed groups into day files from its own thread, and keeps them readable meanwhile."""

import contextlib
import itertools
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge

from aiops.clock import day_of
from aiops.errors import StoreError
from aiops.store.chunks import encode_block
from aiops.store.day_files import (
    drop_days_before,
    is_damaged,
    open_for_writing,
    set_aside,
)
from aiops.store.head import SealedBlock
from aiops.store.kernels.head import GROUP_SLOTS
from aiops.telemetry import log_event
from aiops.worker import Worker

_LOG = logging.getLogger(__name__)

PENDING_MAX = 4096
"""Chosen: groups waiting for the disk, 60 KiB each when full; beyond, the engine waits."""

_BATCH_MAX = 64
LINGER_S = 0.5
"""Measured (bench_store): beside the encoding a transaction a block costs 140 ns a row, mostly for
rewriting the same tree pages; 64 blocks in one cost 60 ns."""

RETRY_S = 1.0
"""Chosen: a full disk is noticed as mended within a second, at no load to speak of."""

_OPEN_DAYS_MAX = 3
_CACHE_KIB = 2048


class SampleStore(Worker):
    """Day files of sealed rows; one writer thread, every block written at most once a key.

    Parameters
    ----------
    directory
        Where `samples-DAY.db` files live.
    retention_days
        Whole days kept; older files are deleted.
    registry
        Takes the store's own metrics.
    linger_s
        How long the first block of a transaction waits for more.
    retry_s
        Time between attempts while the disk does not take blocks.
    """

    def __init__(
        self,
        directory: Path,
        *,
        retention_days: int,
        registry: CollectorRegistry,
        linger_s: float = LINGER_S,
        retry_s: float = RETRY_S,
    ) -> None:
        super().__init__("sample-writer")
        self._directory = directory
        self._retention_days = retention_days
        self._linger_s = linger_s
        self._retry_s = retry_s
        self._connections: dict[int, sqlite3.Connection] = {}
        self._catalogued: dict[int, set[tuple[int, int]]] = {}
        self._unsynced: set[int] = set()
        self._pending: deque[SealedBlock] = deque()
        self._syncs_wanted = 0
        self._syncs_done = 0
        self._first_kept = 0
        self._pruned_to = 0
        self._rows = Counter("aiops_store_rows_total", "Rows sealed to disk", registry=registry)
        self._bytes = Counter(
            "aiops_store_bytes_total", "Bytes of blocks written", registry=registry
        )
        self._errors = Counter("aiops_store_errors_total", "Failed writes", registry=registry)
        pending = Gauge("aiops_store_pending_groups", "Groups waiting for disk", registry=registry)
        pending.set_function(lambda: len(self._pending))
        self.is_healthy = True

    def put(self, blocks: Sequence[SealedBlock]) -> None:
        """Hand blocks over; waits while the disk is too far behind (engine thread only)."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._pending) < PENDING_MAX or self._is_closing)
            self._pending.extend(blocks)
            self._changed.notify_all()

    def pending(self) -> list[SealedBlock]:
        """Return the blocks not yet in a day file."""
        with self._changed:
            return list(self._pending)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all is written and survives a power cut; tell whether it is so."""
        with self._changed:
            self._syncs_wanted += 1
            wanted = self._syncs_wanted
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._syncs_done >= wanted, timeout_s)

    def prune(self, now_ms: int) -> None:
        """Have days beyond retention deleted."""
        with self._changed:
            self._first_kept = day_of(now_ms) - self._retention_days
            self._changed.notify_all()

    def _step(self) -> bool:
        """Write one batch; tell whether there is more to come."""
        with self._changed:
            self._changed.wait_for(self._has_work)
            self._changed.wait_for(self._is_pressed, self._linger_s)
            batch = list(itertools.islice(self._pending, _BATCH_MAX))
            is_last = len(batch) == len(self._pending)
            wanted = self._syncs_wanted if is_last else self._syncs_done
        is_done = self._attempt(lambda: self._work(batch, wanted))
        with self._changed:
            if is_done:
                for _ in batch:
                    self._pending.popleft()
                self._syncs_done = wanted
                self._changed.notify_all()
                return not self._is_closing or bool(self._pending)
            # When closing with a broken disk, the journal still has these rows.
            self._changed.wait_for(lambda: self._is_closing, self._retry_s)
            return not self._is_closing

    def _stopped(self, error: Exception | None) -> None:
        if error is None:
            self._attempt(self._close_days)
        else:
            log_event(_LOG, logging.CRITICAL, "store.stopped", exc_info=error)
            self._errors.inc()
            self.is_healthy = False

    def _has_work(self) -> bool:
        is_behind = self._syncs_wanted > self._syncs_done or self._first_kept > self._pruned_to
        return bool(self._pending) or is_behind or self._is_closing

    def _is_pressed(self) -> bool:
        """Tell whether more blocks should not be waited for."""
        is_wanted = self._syncs_wanted > self._syncs_done
        return len(self._pending) >= _BATCH_MAX or is_wanted or self._is_closing

    def _attempt(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except (sqlite3.Error, StoreError, OSError) as error:
            self._errors.inc()
            if self.is_healthy:
                log_event(_LOG, logging.ERROR, "store.write_failed", error=str(error))
            self.is_healthy = False
            self._drop_connections()
            return False
        if not self.is_healthy:
            log_event(_LOG, logging.INFO, "store.recovered")
        self.is_healthy = True
        return True

    def _work(self, batch: list[SealedBlock], syncs_wanted: int) -> None:
        self._write(batch)
        if syncs_wanted > self._syncs_done:
            for day in sorted(self._unsynced):
                self._sync(day)
        if self._first_kept > self._pruned_to:
            for day in [day for day in self._connections if day < self._first_kept]:
                self._close_day(day)
            drop_days_before(self._directory, self._first_kept)
            self._unsynced = {day for day in self._unsynced if day >= self._first_kept}
            self._pruned_to = self._first_kept

    def _write(self, batch: list[SealedBlock]) -> None:
        by_day: dict[int, list[SealedBlock]] = {}
        for block in batch:
            by_day.setdefault(day_of(block.sealed.span_ms[1]), []).append(block)
        for day, blocks in by_day.items():
            try:
                self._write_day(day, blocks)
            except sqlite3.DatabaseError as error:
                if is_damaged(error):
                    self._drop_connections()
                    self._unsynced.discard(day)
                    path = set_aside(self._directory, day)
                    log_event(_LOG, logging.ERROR, "store.set_aside", path=path, error=str(error))
                raise
        self._rows.inc(sum(len(block.sealed.rows) for block in batch))

    def _write_day(self, day: int, blocks: list[SealedBlock]) -> None:
        rows = [
            (b.sealed.key, *b.sealed.span_ms, encode_block(b.sealed, b.fingerprints, b.kinds))
            for b in blocks
        ]
        connection = self._connection(day)
        newcomers = self._newcomers(day, blocks)
        connection.execute("BEGIN")
        try:
            connection.executemany("INSERT OR REPLACE INTO chunks VALUES(?,?,?,?)", rows)
            connection.executemany("INSERT OR REPLACE INTO series VALUES(?,?,?)", newcomers)
            connection.execute("COMMIT")
            self._unsynced.add(day)
        except sqlite3.Error:
            connection.rollback()
            raise
        self._catalogued[day].update((fingerprint, slot) for fingerprint, slot, _ in newcomers)
        self._bytes.inc(sum(len(row[3]) for row in rows))

    def _newcomers(self, day: int, batch: list[SealedBlock]) -> list[tuple[int, int, bytes]]:
        """Return catalogue rows of series in slots they are not yet known by in this file."""
        known = self._catalogued.setdefault(day, set())
        rows = []
        for block in batch:
            signed = block.fingerprints.view("int64").tolist()
            for member, labels in enumerate(block.labels):
                slot = block.sealed.group * GROUP_SLOTS + member
                if labels and (signed[member], slot) not in known:
                    rows.append((signed[member], slot, labels))
        return rows

    def _connection(self, day: int) -> sqlite3.Connection:
        if day not in self._connections:
            if len(self._connections) >= _OPEN_DAYS_MAX:
                self._close_day(min(self._connections))
            self._connections[day] = open_for_writing(self._directory, day)
            self._connections[day].execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        return self._connections[day]

    def _close_day(self, day: int) -> None:
        """Close a day's file, with all that was written to it on the disk for good."""
        self._sync(day)
        self._catalogued.pop(day, None)
        self._connections.pop(day).close()

    def _sync(self, day: int) -> None:
        self._connection(day).execute("PRAGMA wal_checkpoint(FULL)").fetchall()
        self._unsynced.discard(day)

    def _close_days(self) -> None:
        for day in list(self._connections):
            self._close_day(day)

    def _drop_connections(self) -> None:
        """Let go of all files, so that the next attempt opens them anew."""
        for connection in self._connections.values():
            with contextlib.suppress(sqlite3.Error):  # the failure was told of already
                connection.close()
        self._connections.clear()
        self._catalogued.clear()
