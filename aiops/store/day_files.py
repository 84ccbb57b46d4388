"""One SQLite file a day of sealed rows: names, schema, connections, retention."""

import datetime
import re
import sqlite3
from pathlib import Path

from aiops.errors import StoreError

_NAME = re.compile(r"samples-(\d{4}-\d{2}-\d{2})\.db")
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS chunks(
    key INTEGER PRIMARY KEY, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
    block BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS series(
    fingerprint INTEGER NOT NULL, slot INTEGER NOT NULL, labels BLOB NOT NULL,
    PRIMARY KEY(fingerprint, slot));
"""


def day_path(directory: Path, day: int) -> Path:
    """Return the file of a day."""
    date = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
    return directory / f"samples-{date.isoformat()}.db"


def days_present(directory: Path) -> list[int]:
    """Return the days that have a file, oldest first."""
    found = []
    for path in directory.glob("samples-*.db"):
        match = _NAME.fullmatch(path.name)
        if match:
            date = datetime.date.fromisoformat(match[1])
            found.append((date - datetime.date(1970, 1, 1)).days)
    return sorted(found)


def open_for_writing(directory: Path, day: int) -> sqlite3.Connection:
    """Return a connection that may write a day's file, made if missing.

    Raises
    ------
    StoreError
        When the file was made by a newer version of this product.
    sqlite3.Error
        When the disk fails.
    """
    path = day_path(directory, day)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        _check_version(connection, path)
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
    except (sqlite3.Error, StoreError):
        connection.close()
        raise
    return connection


def open_for_reading(directory: Path, day: int) -> sqlite3.Connection | None:
    """Return a read-only connection to a day's file, None when there is none to be read yet.

    Raises
    ------
    sqlite3.Error
        When the file is damaged or the disk fails.
    """
    path = day_path(directory, day)
    if not path.exists():
        return None
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        is_ready = _version(connection) == _SCHEMA_VERSION  # it is set last
    except sqlite3.Error:
        connection.close()
        raise
    if not is_ready:
        connection.close()
        return None
    return connection


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version not in (0, _SCHEMA_VERSION):
        raise StoreError(f"{path.name} has schema {version}: made by a newer aiops; update")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_damaged(error: sqlite3.Error) -> bool:
    """Tell whether an error says that the file itself is broken, so that no retry will help."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def set_aside(directory: Path, day: int) -> Path:
    """Rename a damaged file so that the day begins anew; return where it is now."""
    path = day_path(directory, day)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return path.replace(path.with_name(path.name + ".damaged"))


def drop_days_before(directory: Path, first_kept: int) -> int:
    """Delete whole days older than `first_kept`; return how many went."""
    doomed = [day for day in days_present(directory) if day < first_kept]
    for day in doomed:
        path = day_path(directory, day)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    return len(doomed)
