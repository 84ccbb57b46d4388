"""Snapshots: one safetensors file of arrays with a JSON header, written aside and renamed.

The file is plain safetensors (8 bytes header length, JSON header, raw little-endian arrays), so
that any safetensors library reads it. It is written by our own hand straight from the live
arrays: the library would first copy all of them.
"""

import logging
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import orjson
from safetensors import SafetensorError, safe_open

from aiops import __version__
from aiops.errors import SnapshotError
from aiops.telemetry import log_event

_LOG = logging.getLogger(__name__)

Arrays = dict[str, npt.NDArray[np.generic]]

HEADER_BYTES_MAX = 16 * 1024 * 1024
"""Chosen: a header names some thirty arrays in a few KiB; read before anything is believed."""

KEPT = 2
"""Generations kept: if the newest is damaged, the one before it and the journal's tail serve."""

_DTYPES = {
    np.dtype(np.float64): "F64",
    np.dtype(np.float32): "F32",
    np.dtype(np.int64): "I64",
    np.dtype(np.int32): "I32",
    np.dtype(np.uint64): "U64",
    np.dtype(np.uint32): "U32",
    np.dtype(np.uint16): "U16",
    np.dtype(np.uint8): "U8",
    np.dtype(np.bool_): "BOOL",
}
_SUFFIX = ".safetensors"


def write_snapshot(
    directory: Path,
    seq: int,
    arrays: Mapping[str, npt.NDArray[np.generic]],
    facts: dict[str, object],
) -> Path:
    """Write a snapshot aside and return its path; `publish_snapshot` makes it count.

    Raises
    ------
    OSError
        When the disk fails; nothing of an earlier snapshot is touched.
    """
    path = directory / f"snapshot-{seq:020d}.partial"
    header = _header(arrays, {**facts, "aiops": __version__})
    try:
        with path.open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            crc = 0
            for array in arrays.values():
                crc = _write_array(file, array, crc)
        # safetensors forbids bytes behind the data, so the checksum stands in a file of its own.
        path.with_suffix(".crc").write_text(f"{zlib.crc32(header, crc):08x}\n")
    except OSError:
        discard_snapshot(path)
        raise
    return path


def discard_snapshot(path: Path) -> None:
    """Remove a snapshot that was written and not published."""
    path.unlink(missing_ok=True)
    path.with_suffix(".crc").unlink(missing_ok=True)


def discard_leftovers(directory: Path) -> None:
    """Remove what a crash left of snapshots that were never published or not wholly deleted."""
    for path in directory.glob("snapshot-*"):
        is_orphan = path.suffix == ".crc32" and not path.with_suffix(_SUFFIX).exists()
        if is_orphan or path.suffix in (".partial", ".crc"):
            path.unlink(missing_ok=True)


def publish_snapshot(path: Path) -> None:
    """Make a written snapshot durable and visible, and drop the oldest generations."""
    for part in (path.with_suffix(".crc"), path):
        with part.open("rb") as file:
            os.fsync(file.fileno())
    path.with_suffix(".crc").rename(path.with_suffix(".crc32"))
    path.rename(path.with_suffix(_SUFFIX))
    _sync_directory(path.parent)
    for old in snapshots_present(path.parent)[KEPT:]:
        old.unlink(missing_ok=True)
        old.with_suffix(".crc32").unlink(missing_ok=True)


def snapshots_present(directory: Path) -> list[Path]:
    """Return the published snapshots, newest first."""
    return sorted(directory.glob(f"snapshot-*{_SUFFIX}"), reverse=True)


def seq_of(path: Path) -> int:
    """Return the journal position a snapshot stands for."""
    return int(path.stem.removeprefix("snapshot-"))


def read_snapshot(path: Path) -> tuple[Arrays, dict[str, object]]:
    """Return the arrays and facts of a snapshot.

    Raises
    ------
    SnapshotError
        When it is damaged or incomplete.
    """
    try:
        expected = path.with_suffix(".crc32").read_text().strip()
        if f"{_checksum(path):08x}" != expected:
            raise SnapshotError(f"{path.name} is damaged (crc32)")
        with safe_open(str(path), framework="numpy") as file:
            facts = orjson.loads(file.metadata()["facts"])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118  # no mapping
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise SnapshotError(f"{path.name} cannot be read: {error}") from error


def read_newest(directory: Path) -> tuple[Arrays, dict[str, object]] | None:
    """Return the newest snapshot that is whole, None when there is none; log the broken ones."""
    for path in snapshots_present(directory):
        try:
            return read_snapshot(path)
        except SnapshotError as error:
            log_event(_LOG, logging.ERROR, "snapshot.rejected", error=str(error))
    return None


def _header(arrays: Mapping[str, npt.NDArray[np.generic]], facts: dict[str, object]) -> bytes:
    fields: dict[str, object] = {"__metadata__": {"facts": orjson.dumps(facts).decode()}}
    offset = 0
    for name, array in arrays.items():
        span = [offset, offset + array.nbytes]
        offset = span[1]
        fields[name] = {
            "dtype": _DTYPES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": span,
        }
    text = orjson.dumps(fields)
    return text + b" " * (-len(text) % 8)


def _write_array(file: BinaryIO, array: npt.NDArray[np.generic], crc: int) -> int:
    data = np.ascontiguousarray(array).data.cast("B") if array.size else memoryview(b"")
    file.write(data)
    return zlib.crc32(data, crc)


def _checksum(path: Path) -> int:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > HEADER_BYTES_MAX:
            raise SnapshotError(f"{path.name} is damaged: header of {length} bytes")
        header = file.read(length)
        crc = 0
        while chunk := file.read(1 << 22):
            crc = zlib.crc32(chunk, crc)
    return zlib.crc32(header, crc)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
