"""What makes a data directory one installation: its lock and the key of its label hash."""

import fcntl
import hashlib
import os
from pathlib import Path
from typing import IO

import numpy as np

from aiops.domain.samples import U64
from aiops.errors import ConfigError

_KEY_FILE = "fingerprint.key"
_KEY_BYTES = 32


def lock_directory(directory: Path) -> IO[bytes]:
    """Make the directory if missing and hold it until the returned file is closed.

    Raises
    ------
    ConfigError
        When it cannot be written, or another process holds it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / "lock").open("wb")
    except OSError as error:
        raise ConfigError((f"data_dir {directory}: cannot be written: {error}",)) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise ConfigError(
            (f"data_dir {directory}: another aiops uses it; stop that one or choose another",)
        ) from error
    return file


def hash_secrets(directory: Path) -> U64:
    """Return the four uint64 that key this installation's label hash, made at the first start.

    Losing the file makes every known series a new one; it is a secret only in so far as who knows
    it can build label sets with equal fingerprints.

    Raises
    ------
    ConfigError
        When the file is damaged.
    """
    path = directory / _KEY_FILE
    if not path.exists():
        _create(path)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise ConfigError((f"{path}: is damaged; restore it, or remove the whole data_dir",))
    digest = hashlib.blake2b(key, digest_size=32, person=b"aiops-labels").digest()
    return np.frombuffer(digest, "<u8").copy()


def _create(path: Path) -> None:
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.urandom(_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
