"""The embedded journal: one SQLite file, group commit on its own thread."""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from aiops.config import JournalConfig
from aiops.domain.records import Body, Record, Tick
from aiops.errors import JournalError
from aiops.journal.base import CommittedCallback
from aiops.journal.codec import decode_record, encode_record
from aiops.telemetry import log_event

_LOG = logging.getLogger(__name__)

_LOST_BEFORE = "an earlier record could not be written; send again"

GROUP_MAX = 256
"""Chosen: records in one commit; at 100 KiB each a commit stays near 25 MiB."""

_TRIM_STEP = 2000
"""Chosen: records deleted in one transaction, so that appends wait at most some ms for it."""

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class _Append:
    body: Body
    accepted_ms: int
    data: bytes
    done: asyncio.Future[int]
    loop: asyncio.AbstractEventLoop


@dataclass(frozen=True, slots=True)
class _Trim:
    up_to_seq: int


@dataclass(frozen=True, slots=True)
class _Resume:
    """All callers know of the failure; what comes behind this relies on nothing that was lost."""


class SqliteJournal:
    """Ordered, durable records in `journal.db`.

    Appends that come while a commit is under way share the next one. With `sync: full` a record is
    fsynced before `append` returns; with `os` it is in the operating system's hands and survives
    the process, not the machine. After a failed commit everything is refused until all callers
    have learnt of it; then the next append tries the disk again.

    Parameters
    ----------
    path
        The database file.
    config
        `sync` and `bytes_max`.
    registry
        Takes the journal's own metrics.
    """

    def __init__(self, path: Path, config: JournalConfig, registry: CollectorRegistry) -> None:
        self._path = path
        self._bytes_max = config.bytes_max
        self._connection = _open(path, is_full=config.sync == "full")
        self._last_seq = int(self._connection.execute("SELECT seq FROM position").fetchone()[0])
        self._inbox: queue.SimpleQueue[_Append | _Trim | _Resume | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._committed: CommittedCallback | None = None
        self._is_closed = False
        self._n_waiting = 0  # event loop only, as the next one
        self._settled = asyncio.Event()
        self._settled.set()
        self._is_suspended = False
        self._is_broken = False  # journal thread only
        self.is_healthy = True
        self._register(registry)

    def _register(self, registry: CollectorRegistry) -> None:
        self._commits = Histogram(
            "aiops_journal_commit_seconds",
            "Time of a group commit",
            registry=registry,
            buckets=_BUCKETS,
        )
        self._records = Counter("aiops_journal_records_total", "Records kept", registry=registry)
        self._failures = Counter(
            "aiops_journal_failures_total", "Failed commits", registry=registry
        )
        size = Gauge("aiops_journal_bytes", "Size of the journal in use", registry=registry)
        size.set_function(lambda: self._used_bytes)
        self._used_bytes = self._measure()

    async def append(self, body: Body, *, accepted_ms: int) -> int:
        """Make a record durable and return its `seq`; see `Journal.append`."""
        if self._is_closed or self._committed is None:
            raise JournalError("the journal is closed")
        if self._used_bytes > self._bytes_max:
            raise JournalError(
                "the journal is full: raise journal.bytes_max, or see why snapshots fail"
            )
        if self._is_suspended:
            raise JournalError(_LOST_BEFORE)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        data = encode_record(body, accepted_ms=accepted_ms)
        self._n_waiting += 1
        self._settled.clear()
        self._inbox.put(_Append(body, accepted_ms, data, done, loop))
        return await done

    async def settle(self) -> None:
        """Wait until every append begun so far is durable and handed on, or refused."""
        await self._settled.wait()

    def replay(self, after_seq: int) -> Iterator[Record]:
        """Yield every record behind `after_seq`, oldest first; before `start` only."""
        expected = None
        for seq, data in self._stored(after_seq):
            if expected is not None and seq != expected:
                raise JournalError(
                    f"journal lacks record {expected}; restore it or remove the file"
                )
            expected = seq + 1
            yield decode_record(seq, data)

    def fill(self, first_seq: int, last_seq: int, *, at_ms: int) -> None:
        """Put ticks where records were lost; see `Journal.fill`."""
        data = encode_record(Tick(), accepted_ms=at_ms)
        try:
            self._insert([(seq, data) for seq in range(first_seq, last_seq + 1)], last_seq)
        except sqlite3.Error as error:
            raise JournalError(f"the journal cannot be written: {error}") from error
        self._last_seq = last_seq

    def start(self, committed: CommittedCallback) -> None:
        """Begin to take appends and hand committed records on."""
        self._committed = committed
        self._thread.start()

    def trim(self, up_to_seq: int) -> None:
        """Forget records up to and including `up_to_seq`, some time soon."""
        self._inbox.put(_Trim(up_to_seq))

    def last_seq(self) -> int:
        """Return the `seq` of the newest durable record, 0 for an empty journal."""
        return self._last_seq

    def close(self) -> None:
        """Commit what waits, refuse what comes, release the file."""
        self._is_closed = True
        if self._committed is not None:
            self._inbox.put(None)
            self._thread.join()
        self._connection.close()

    def _stored(self, after_seq: int) -> Iterator[tuple[int, bytes]]:
        query = "SELECT seq, data FROM log WHERE seq > ? ORDER BY seq"
        try:
            yield from self._connection.execute(query, (after_seq,))
        except sqlite3.Error as error:
            raise JournalError(f"the journal cannot be read: {error}") from error

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except Exception as error:  # the thread's border: nobody may wait for an answer for ever
            log_event(_LOG, logging.CRITICAL, "journal.stopped", exc_info=error)
            self._failures.inc()
            self._is_closed, self.is_healthy = True, False
            while not self._inbox.empty():
                item = self._inbox.get()
                if isinstance(item, _Append):
                    self._settle(item, JournalError("the journal has stopped"))

    def _step(self) -> bool:
        """Commit what waits in the inbox together; tell whether more may come."""
        group: list[_Append] = []
        item = self._inbox.get()
        while True:
            match item:
                case None:
                    self._commit(group)
                    return False
                case _Append() if self._is_broken:
                    self._settle(item, JournalError(_LOST_BEFORE))
                case _Append():
                    group.append(item)
                case _Trim():
                    self._try_trim(item.up_to_seq)
                case _Resume():
                    self._is_broken = False
            if len(group) >= GROUP_MAX or self._inbox.empty():
                break
            item = self._inbox.get()
        self._commit(group)
        return True

    def _commit(self, group: list[_Append]) -> None:
        if not group:
            return
        first = self._last_seq + 1
        try:
            with self._commits.time():
                rows = [(first + k, item.data) for k, item in enumerate(group)]
                self._insert(rows, rows[-1][0])
        except sqlite3.Error as error:
            self._fail(group, error)
            return
        self._note_health(is_healthy=True, error="")
        self._last_seq += len(group)
        self._records.inc(len(group))
        self._hand_on(
            [Record(first + k, item.accepted_ms, item.body) for k, item in enumerate(group)], group
        )

    def _insert(self, rows: list[tuple[int, bytes]], last_seq: int) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany("INSERT INTO log VALUES(?, ?)", rows)
            self._connection.execute("UPDATE position SET seq = ?", (last_seq,))
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            # After a failed COMMIT the transaction may be over already; then this is a no-op.
            self._connection.rollback()
            raise
        self._used_bytes += sum(len(data) for _, data in rows)

    def _hand_on(self, records: list[Record], group: list[_Append]) -> None:
        assert self._committed is not None
        outcomes: list[int | JournalError] = [record.seq for record in records]
        try:
            self._committed(records)
        except BaseException:
            outcomes = [JournalError("the record is durable but was not taken over")] * len(group)
            raise
        finally:
            for item, outcome in zip(group, outcomes, strict=True):
                self._settle(item, outcome)

    def _fail(self, group: list[_Append], error: sqlite3.Error) -> None:
        self._failures.inc()
        self._note_health(is_healthy=False, error=str(error))
        self._is_broken = True
        for item in group:
            self._settle(item, JournalError(f"the journal cannot be written: {error}"))

    def _settle(self, item: _Append, outcome: int | JournalError) -> None:
        try:
            item.loop.call_soon_threadsafe(self._resolve, item, outcome)
        except RuntimeError:
            # The loop is gone: the process is stopping, nobody waits for this answer any more.
            return

    def _resolve(self, item: _Append, outcome: int | JournalError) -> None:
        """Answer a caller (on the event loop)."""
        self._n_waiting -= 1
        if self._n_waiting == 0:
            self._settled.set()
        if isinstance(outcome, JournalError):
            self._is_suspended = True
            if not item.done.done():
                item.done.set_exception(outcome)
        elif not item.done.done():
            item.done.set_result(outcome)
        if self._is_suspended and self._n_waiting == 0:
            item.loop.call_soon(self._resume)  # behind the callers, which were woken just now

    def _resume(self) -> None:
        self._is_suspended = False
        self._inbox.put(_Resume())

    def _try_trim(self, up_to_seq: int) -> None:
        try:
            while self._trim_step(up_to_seq):
                pass
            self._used_bytes = self._measure()
        except sqlite3.Error as error:
            log_event(_LOG, logging.WARNING, "journal.trim_failed", error=str(error))

    def _trim_step(self, up_to_seq: int) -> bool:
        query = (
            "DELETE FROM log WHERE seq IN (SELECT seq FROM log WHERE seq <= ? ORDER BY seq LIMIT ?)"
        )
        return self._connection.execute(query, (up_to_seq, _TRIM_STEP)).rowcount == _TRIM_STEP

    def _measure(self) -> int:
        pages, free, size = (
            int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def _note_health(self, *, is_healthy: bool, error: str) -> None:
        if is_healthy != self.is_healthy:
            level = logging.INFO if is_healthy else logging.ERROR
            event = "journal.recovered" if is_healthy else "journal.failed"
            log_event(_LOG, level, event, error=error)
        self.is_healthy = is_healthy


def _open(path: Path, *, is_full: bool) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _SCHEMA_VERSION):
            connection.close()
            raise JournalError(f"{path.name} has schema {version}: made by a newer aiops; update")
        _prepare(connection, is_full=is_full)
    except sqlite3.Error as error:
        raise JournalError(f"{path} cannot be opened: {error}") from error
    return connection


def _prepare(connection: sqlite3.Connection, *, is_full: bool) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={'FULL' if is_full else 'NORMAL'}")
    connection.execute("PRAGMA wal_autocheckpoint=4096")  # 16 MiB: fewer, larger write-backs
    connection.execute(
        "CREATE TABLE IF NOT EXISTS log(seq INTEGER PRIMARY KEY, data BLOB NOT NULL)"
    )
    connection.execute("CREATE TABLE IF NOT EXISTS position(seq INTEGER NOT NULL)")
    connection.execute("INSERT INTO position SELECT 0 WHERE NOT EXISTS (SELECT * FROM position)")
    connection.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
