"""Rows of series out of day files, pending blocks and memory, put together in time order."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aiops.domain.samples import F64, I64, U8, U64, SeriesRef, SeriesRows
from aiops.store.chunks import decode_block
from aiops.store.day_files import day_of, days_present, open_for_reading
from aiops.store.head import SealedBlock
from aiops.store.kernels.head import BASE_TS, BEFORE_BITS, BEFORE_TS, GROUP_SLOTS, k_head_unpack

_OPEN_DAYS_MAX = 32


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
    ) -> dict[int, list[RowRun]]:
        """Return the sealed runs of each series by fingerprint, oldest first, within a span."""
        wanted = {ref.fingerprint for ref in refs}
        found: dict[int, dict[int, RowRun]] = {fingerprint: {} for fingerprint in wanted}
        for group in sorted({ref.slot // GROUP_SLOTS for ref in refs}):
            for key, data in self._blocks(group, start_ms, end_ms):
                block = decode_block(data)
                starts = block.starts
                for member in range(GROUP_SLOTS):
                    fingerprint = int(block.fingerprints[member])
                    if fingerprint in wanted and starts[member] < starts[member + 1]:
                        rows = block.rows[starts[member] : starts[member + 1]]
                        kind = int(block.kinds[member])
                        found[fingerprint][key] = _run(kind, block.meta[member], rows)
        for sealed in pending:
            _collect_pending(sealed, found)
        return {fp: [runs[key] for key in sorted(runs)] for fp, runs in found.items()}

    def catalogue(self, start_ms: int, end_ms: int) -> dict[int, tuple[int, bytes]]:
        """Return fingerprint -> (slot, label block) of every series with sealed rows in a span."""
        known: dict[int, tuple[int, bytes]] = {}
        for day in self._days(start_ms, end_ms):
            connection = self._connection(day)
            if connection is not None:
                query = "SELECT fingerprint, slot, labels FROM series"
                for signed, slot, block in connection.execute(query):
                    known[signed & 0xFFFFFFFFFFFFFFFF] = (slot, block)
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
        bounds = (group << 24, (group + 1 << 24) - 1, start_ms, end_ms)
        for day in self._days(start_ms, end_ms):
            connection = self._connection(day)
            if connection is not None:
                yield from connection.execute(query, bounds)

    def _days(self, start_ms: int, end_ms: int) -> list[int]:
        # A block lies in the file of its latest row's day, which may be the day after `end_ms`.
        first, last = day_of(start_ms), day_of(end_ms) + 1
        return [day for day in days_present(self._directory) if first <= day <= last]

    def _connection(self, day: int) -> sqlite3.Connection | None:
        if day not in self._connections:
            if len(self._connections) >= _OPEN_DAYS_MAX:
                self._connections.pop(min(self._connections)).close()
            connection = open_for_reading(self._directory, day)
            if connection is None:
                return None
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
    kept = slice(
        int(np.searchsorted(unpacked.ts_ms, start_ms, "left")),
        int(np.searchsorted(unpacked.ts_ms, end_ms, "right")),
    )
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


def _collect_pending(sealed: SealedBlock, found: dict[int, dict[int, RowRun]]) -> None:
    position = 0
    for member, fingerprint in enumerate(sealed.fingerprints.tolist()):
        n_rows = int(sealed.sealed.meta[member, 0])
        rows = sealed.sealed.rows[position : position + n_rows]
        position += n_rows
        if fingerprint in found and n_rows:
            run = _run(int(sealed.kinds[member]), sealed.sealed.meta[member], rows)
            found[fingerprint][sealed.sealed.key] = run


def _run(kind: int, meta: I64, rows: U64) -> RowRun:
    before_bits = int(meta[BEFORE_BITS]) & 0xFFFFFFFFFFFFFFFF
    return RowRun(kind, int(meta[BASE_TS]), int(meta[BEFORE_TS]), before_bits, rows)
