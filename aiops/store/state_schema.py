"""The tables of `state.db`, and how the file is opened, checked and told apart from others."""

import sqlite3
from pathlib import Path

from aiops.errors import StoreError

SCHEMA_VERSION = 1
"""Kept in `user_version`; grows with every change of the tables below."""

APPLICATION_ID = 0x61696F70
"""Kept in `application_id`: "aiop" in ASCII, the file's magic."""

BUSY_TIMEOUT_S = 5.0
"""Chosen: longer than any transaction of ours; a backup tool may hold the file for a moment."""

WAL_BYTES_MAX = 64 * 1024 * 1024
"""Chosen: the write-ahead log is cut back to this after a checkpoint."""

TABLES = """
CREATE TABLE incidents(
    id TEXT PRIMARY KEY, state TEXT NOT NULL, severity TEXT NOT NULL,
    opened_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, resolved_ms INTEGER NOT NULL,
    json BLOB NOT NULL);
CREATE INDEX incidents_by_opened ON incidents(opened_ms, id);
CREATE INDEX incidents_by_state ON incidents(state, opened_ms, id);

CREATE TABLE outbox(
    n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, receiver TEXT NOT NULL, event TEXT NOT NULL,
    incident_id TEXT NOT NULL, body BLOB NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    next_at_ms INTEGER NOT NULL DEFAULT 0, last_error TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL DEFAULT 'pending' CHECK(status IN ('pending','delivered','failed')),
    delivered_ms INTEGER NOT NULL DEFAULT 0, seq INTEGER NOT NULL, k INTEGER NOT NULL);
CREATE INDEX outbox_pending ON outbox(receiver, incident_id, n) WHERE status = 'pending';
CREATE INDEX outbox_by_incident ON outbox(incident_id, receiver, n);

CREATE TABLE actions(
    n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, playbook TEXT NOT NULL, action TEXT NOT NULL,
    incident_id TEXT NOT NULL, mode TEXT NOT NULL, method TEXT NOT NULL, url TEXT NOT NULL,
    body BLOB NOT NULL, reason TEXT NOT NULL,
    status TEXT NOT NULL CHECK(status IN ('planned','refused','begun','ended')),
    begun_ms INTEGER NOT NULL DEFAULT 0, ended_ms INTEGER NOT NULL DEFAULT 0,
    outcome TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '',
    reported INTEGER NOT NULL DEFAULT 0, seq INTEGER NOT NULL, k INTEGER NOT NULL);
CREATE INDEX actions_unfinished ON actions(n) WHERE status IN ('planned','begun');
CREATE INDEX actions_unreported ON actions(n) WHERE status = 'ended' AND reported = 0;
CREATE INDEX actions_by_begin ON actions(mode, begun_ms);
CREATE INDEX actions_by_incident ON actions(incident_id);

CREATE TABLE audit(
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
    detail TEXT NOT NULL, prev_hash TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;

CREATE TABLE high_water(one INTEGER PRIMARY KEY CHECK(one = 1), seq INTEGER NOT NULL,
    k INTEGER NOT NULL);
INSERT INTO high_water VALUES(1, 0, 0);
"""


def open_writer(
    path: Path, *, bytes_max: int = 0, busy_timeout_s: float = BUSY_TIMEOUT_S
) -> sqlite3.Connection:
    """Return the one connection that writes, with tables made and checked.

    Parameters
    ----------
    bytes_max
        Size the file may reach before writes are refused; 0 means until the disk is full.

    Raises
    ------
    StoreError
        When the file cannot be opened, is damaged, is not ours, or is of a newer version.
    """
    wal = path.with_name(path.name + "-wal")
    was_unclean = wal.exists() and wal.stat().st_size > 0
    try:
        db = _connect(path, mode="rwc", busy_timeout_s=busy_timeout_s)
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be opened: {error}; check the folder's rights") from error
    try:
        _prepare(db, path, bytes_max=bytes_max)
        if was_unclean:
            _check_pages(db, path)
    except sqlite3.DatabaseError as error:
        db.close()
        raise StoreError(f"{path} is unusable: {error}; {_REMEDY}") from error
    except StoreError:
        db.close()
        raise
    return db


def open_reader(path: Path) -> sqlite3.Connection:
    """Return a connection that only reads; close it soon, it holds back checkpoints."""
    # not "ro": a WAL reader must be able to write the -shm file
    db = _connect(path, mode="rw", busy_timeout_s=BUSY_TIMEOUT_S)
    db.execute("PRAGMA query_only=1")
    return db


_REMEDY = "set it and its -wal aside and restore a backup, or start without it"


def _connect(path: Path, *, mode: str, busy_timeout_s: float) -> sqlite3.Connection:
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,  # transactions are begun and ended by hand
        check_same_thread=False,  # opened in one thread, written from one other
    )
    db.row_factory = sqlite3.Row
    return db


def _prepare(db: sqlite3.Connection, path: Path, *, bytes_max: int) -> None:
    db.execute("PRAGMA page_size=4096")
    _check_identity(db, path)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(f"PRAGMA journal_size_limit={WAL_BYTES_MAX}")
    if bytes_max:
        db.execute(f"PRAGMA max_page_count={max(1, bytes_max // 4096)}")
    if _pragma(db, "user_version") == 0:
        _create(db)


def _check_identity(db: sqlite3.Connection, path: Path) -> None:
    version = _pragma(db, "user_version")
    if version == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        return
    if _pragma(db, "application_id") != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program; choose another data_dir")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema version {version}, this release knows up to {SCHEMA_VERSION};"
            " start the newer release again or restore a backup made before the upgrade"
        )


def _create(db: sqlite3.Connection) -> None:
    # one script in one transaction: a crash leaves an empty file, never half the tables
    db.executescript(
        f"BEGIN IMMEDIATE; {TABLES} PRAGMA application_id={APPLICATION_ID};"
        f" PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
    )


def _check_pages(db: sqlite3.Connection, path: Path) -> None:
    found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok":
        raise StoreError(f"{path} is damaged: {found}; {_REMEDY}")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])
