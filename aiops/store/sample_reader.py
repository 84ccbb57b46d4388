"""Rows of series out of day files, pending blocks and memory, put together in time order."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aiops.clock import day_of
from aiops.domain.samples import F64, I64, U8, U64, SeriesRef, SeriesRows
from aiops.errors import StoreError
from aiops.store.chunks import GroupBlock, decode_block
from aiops.store.day_files import day_path, days_present, open_for_reading
from aiops.store.head import SealedBlock, block_key
from aiops.store.kernels.head import (
    BASE_TS,
    BEFORE_BITS,
    BEFORE_TS,
    GROUP_SLOTS,
    N_ROWS,
    OFFSET_MAX,
    k_head_unpack,
)

_OPEN_DAYS_MAX = 32
_MASK_64 = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True, slots=True)
class RowRun:
    """Packed rows of one series in one piece: from a block or from memory.

    `before_ts` -1 means no row before the first is known.
    """

    kind: int
    base_ts: int
    before_ts: int
    before_bits: int
    rows: U64


Runs = dict[int, dict[int, RowRun]]
"""Fingerprint -> key of a block -> the run of that series in that block."""


@dataclass(frozen=True, slots=True)
class UnpackedRows:
    """Columns of one series in time order; `features` are still to be derived by kind."""

    ref: SeriesRef
    ts_ms: I64
    bits: U64
    scores: F64
    half: F64
    deviations: F64
    in_anomaly: U8
    runs: tuple[tuple[int, RowRun], ...] = field(default=())
    """(index of the first row, run) for each run, so that features can be recomputed."""


class SampleReader:
    """Reads day files; used from one reader thread, which owns its connections."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._connections: dict[int, sqlite3.Connection] = {}

    def runs(
        self, refs: Sequence[SeriesRef], pending: Sequence[SealedBlock], start_ms: int, end_ms: int
    ) -> Runs:
        """Return the sealed runs of each series by fingerprint and block, within a span.

        A series that came back after it was forgotten has a reference for each of its slots.

        Raises
        ------
        StoreError
            When a file or a block cannot be read.
        """
        found: Runs = {ref.fingerprint: {} for ref in refs}
        for group in sorted({ref.slot // GROUP_SLOTS for ref in refs}):
            for key, data in self._blocks(group, start_ms, end_ms):
                _collect_stored(key, decode_block(data), found)
        for sealed in pending:
            _collect_pending(sealed, found)
        return found

    def catalogue(self, start_ms: int, end_ms: int) -> dict[tuple[int, int], bytes]:
        """Return (fingerprint, slot) -> label block of series in the files of a span.

        Raises
        ------
        StoreError
            When a file cannot be read.
        """
        known: dict[tuple[int, int], bytes] = {}
        query = "SELECT fingerprint, slot, labels FROM series"
        for signed, slot, block in self._rows(start_ms, end_ms, query, ()):
            known[signed & _MASK_64, slot] = block
        return known

    def close(self) -> None:
        """Release the files."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _blocks(self, group: int, start_ms: int, end_ms: int) -> Iterable[tuple[int, bytes]]:
        query = (
            "SELECT key, block FROM chunks WHERE key BETWEEN ? AND ? "
            "AND last_ms >= ? AND first_ms <= ? ORDER BY key"
        )
        bounds = (block_key(group, 0), block_key(group + 1, 0) - 1, start_ms, end_ms)
        return self._rows(start_ms, end_ms, query, bounds)

    def _rows(
        self, start_ms: int, end_ms: int, query: str, values: tuple[int, ...]
    ) -> Iterator[Any]:
        """Yield what a query finds in the files that may have blocks with rows in a span.

        A block lies in the file of its latest row's day; with slow series that is weeks later.
        """
        first, last = day_of(start_ms), day_of(end_ms + OFFSET_MAX)
        for day in days_present(self._directory):
            if not first <= day <= last:
                continue
            try:
                connection = self._connection(day)
                if connection is not None:
                    yield from connection.execute(query, values)
            except sqlite3.Error as error:
                name = day_path(self._directory, day).name
                raise StoreError(f"{name} cannot be read: {error}") from error

    def _connection(self, day: int) -> sqlite3.Connection | None:
        if day not in self._connections:
            connection = open_for_reading(self._directory, day)
            if connection is None:
                return None
            if len(self._connections) >= _OPEN_DAYS_MAX:
                self._connections.pop(min(self._connections)).close()
            self._connections[day] = connection
        return self._connections[day]


def unpack(ref: SeriesRef, runs: Sequence[RowRun]) -> UnpackedRows:
    """Return the rows of consecutive runs as columns."""
    n = sum(len(run.rows) for run in runs)
    out = UnpackedRows(
        ref,
        np.empty(n, np.int64),
        np.empty(n, np.uint64),
        np.empty(n),
        np.empty(n),
        np.empty(n),
        np.empty(n, np.uint8),
        tuple(zip(np.cumsum([0, *(len(r.rows) for r in runs[:-1])]).tolist(), runs, strict=True))
        if runs
        else (),
    )
    for first, run in out.runs:
        part = slice(first, first + len(run.rows))
        k_head_unpack(
            run.rows,
            run.base_ts,
            out.ts_ms[part],
            out.bits[part],
            out.scores[part],
            out.half[part],
            out.deviations[part],
            out.in_anomaly[part],
        )
    return out


def judged(unpacked: UnpackedRows, features: F64, *, start_ms: int, end_ms: int) -> SeriesRows:
    """Return the rows within a span with the band put back around the detector's feature."""
    kept = np.flatnonzero((unpacked.ts_ms >= start_ms) & (unpacked.ts_ms <= end_ms))
    if np.any(np.diff(unpacked.ts_ms[kept]) < 0):
        # A series that was forgotten may come back with samples older than its former ones.
        kept = kept[np.argsort(unpacked.ts_ms[kept], kind="stable")]
    half = unpacked.half[kept]
    expected = features[kept] - unpacked.deviations[kept] * half
    return SeriesRows(
        ref=unpacked.ref,
        ts_ms=unpacked.ts_ms[kept],
        values=unpacked.bits[kept].view(np.float64),
        scores=unpacked.scores[kept],
        expected=expected,
        lower=expected - half,
        upper=expected + half,
        is_anomalous=unpacked.in_anomaly[kept].astype(np.bool_),
    )


def _collect_stored(key: int, block: GroupBlock, found: Runs) -> None:
    for member, fingerprint in enumerate(block.fingerprints.tolist()):
        rows = block.rows[block.starts[member] : block.starts[member + 1]]
        if fingerprint in found and len(rows):
            found[fingerprint][key] = run_of(int(block.kinds[member]), block.meta[member], rows)


def _collect_pending(block: SealedBlock, found: Runs) -> None:
    sealed, end = block.sealed, 0
    for member, fingerprint in enumerate(block.fingerprints.tolist()):
        start, end = end, end + int(sealed.meta[member, N_ROWS])
        if fingerprint in found and start < end:
            run = run_of(int(block.kinds[member]), sealed.meta[member], sealed.rows[start:end])
            found[fingerprint][sealed.key] = run


def run_of(kind: int, meta: I64, rows: U64) -> RowRun:
    """Return the run of one member; `meta` is its row as in the head."""
    before_bits = int(meta[BEFORE_BITS]) & _MASK_64
    return RowRun(kind, int(meta[BASE_TS]), int(meta[BEFORE_TS]), before_bits, rows)
