"""One SQLite file a day of sealed rows: names, schema, connections, retention."""

import datetime
import re
import sqlite3
from pathlib import Path

from aiops.errors import StoreError

DAY_MS = 86_400_000
_NAME = re.compile(r"samples-(\d{4}-\d{2}-\d{2})\.db")
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS chunks(
    key INTEGER PRIMARY KEY, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
    block BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS series(
    fingerprint INTEGER PRIMARY KEY, slot INTEGER NOT NULL, labels BLOB NOT NULL);
"""


def day_of(ts_ms: int) -> int:
    """Return the UTC day a time falls in, counted from the epoch."""
    return ts_ms // DAY_MS


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
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, _SCHEMA_VERSION):
        connection.close()
        raise StoreError(f"{path.name} has schema {version}: made by a newer aiops; update")
    connection.executescript(_SCHEMA)
    connection.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
    return connection


def open_for_reading(directory: Path, day: int) -> sqlite3.Connection | None:
    """Return a read-only connection to a day's file, None when there is none."""
    path = day_path(directory, day)
    if not path.exists():
        return None
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)


def drop_days_before(directory: Path, first_kept: int) -> int:
    """Delete whole days older than `first_kept`; return how many went."""
    doomed = [day for day in days_present(directory) if day < first_kept]
    for day in doomed:
        path = day_path(directory, day)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    return len(doomed)
