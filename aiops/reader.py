"""Reads series for queries: the engine's memory, blocks on their way to disk, and day files."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from aiops.dataplane import DataPlane
from aiops.domain.incident import Incident
from aiops.domain.labels import Labels
from aiops.domain.matchers import Matchers, match_all
from aiops.domain.samples import I32, MetricMetadata, SeriesRef, SeriesRows
from aiops.engine import Engine
from aiops.errors import QueryError
from aiops.series.kernels import intake
from aiops.series.kernels.intake import k_intake_features
from aiops.store.base import StateAccess
from aiops.store.kernels.head import BASE_TS, BEFORE_BITS, BEFORE_TS, N_ROWS
from aiops.store.sample_reader import RowRun, SampleReader, UnpackedRows, judged, unpack
from aiops.store.samples import SampleStore
from aiops.wire.labels import decode_labels

T = TypeVar("T")

SERIES_PER_QUERY_MAX = 50_000
"""Chosen: beyond this a query asks for more than anybody can look at; Grafana stops at 40,000."""

_MASK_64 = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Found:
    """A series with the rows it has in memory."""

    ref: SeriesRef
    kind: int
    newest: RowRun


class LiveReader:
    """The `SeriesReader` of a running service.

    Selection and newest rows are read on the engine's thread between two records, day files on a
    reader thread; neither stands in the way of the event loop.

    Parameters
    ----------
    engine, samples, files
        Memory, blocks not yet written, and day files.
    """

    def __init__(self, engine: Engine, samples: SampleStore, files: SampleReader) -> None:
        self._engine = engine
        self._samples = samples
        self._files = files
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sample-reader")

    async def series(
        self, matcher_sets: tuple[Matchers, ...], *, start_ms: int, end_ms: int, limit: int = 0
    ) -> list[Labels]:
        """Return the label sets that match, live ones and those with sealed rows in the span."""
        live = await self._ask(lambda data: _live_labels(data, matcher_sets))
        past = await self._in_thread(lambda: self._past(matcher_sets, start_ms, end_ms))
        merged = {**{ref.fingerprint: ref.labels for ref in past}, **live}
        found = sorted(merged.values())
        return found[:limit] if limit else found

    async def rows(self, matchers: Matchers, *, start_ms: int, end_ms: int) -> list[SeriesRows]:
        """Return the rows of every series that matches, each in time order."""
        found = await self._ask(lambda data: _newest(data, matchers))
        return await self._in_thread(lambda: self._assemble(found, matchers, start_ms, end_ms))

    async def label_names(self, matcher_sets: tuple[Matchers, ...]) -> list[str]:
        """Return the sorted names of labels on matching live series."""
        return await self._ask(
            lambda data: data.table.index.names(
                _slots(data, matcher_sets) if matcher_sets else None
            )
        )

    async def label_values(self, name: str, matcher_sets: tuple[Matchers, ...]) -> list[str]:
        """Return the sorted values `name` takes on matching live series."""
        return await self._ask(
            lambda data: data.table.index.values(
                name, _slots(data, matcher_sets) if matcher_sets else None
            )
        )

    async def metadata(self) -> list[MetricMetadata]:
        """Return what senders told about metric families, sorted by family."""
        return await self._ask(lambda data: data.table.metadata())

    def close(self) -> None:
        """Stop the reader thread and release the files."""
        self._thread.submit(self._files.close).result()
        self._thread.shutdown()

    async def _ask(self, work: Callable[[DataPlane], T]) -> T:
        return await asyncio.wrap_future(self._engine.call(lambda core: work(core.data)))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _past(
        self, matcher_sets: tuple[Matchers, ...], start_ms: int, end_ms: int
    ) -> list[SeriesRef]:
        """Return series of the catalogue that match, whether they live or not."""
        refs = []
        for fingerprint, (slot, block) in self._files.catalogue(start_ms, end_ms).items():
            labels = decode_labels(block)
            if not matcher_sets or any(match_all(m, labels) for m in matcher_sets):
                refs.append(SeriesRef(fingerprint, slot, labels))
        return refs

    def _assemble(
        self, found: list[_Found], matchers: Matchers, start_ms: int, end_ms: int
    ) -> list[SeriesRows]:
        live = {item.ref.fingerprint: item for item in found}
        refs = {item.ref.fingerprint: item.ref for item in found}
        oldest_ms = min((_first_ms(item.newest) for item in found), default=0)
        sealed: dict[int, list[RowRun]] = {}
        if not found or start_ms < oldest_ms or self._samples.has_pending():
            past = {ref.fingerprint: ref for ref in self._past((matchers,), start_ms, end_ms)}
            refs = {**past, **refs}
            pending = self._samples.pending()
            sealed = self._files.runs(list(refs.values()), pending, start_ms, end_ms)
        rows = []
        for fingerprint, ref in refs.items():
            runs = list(sealed.get(fingerprint, ()))
            if fingerprint in live and len(live[fingerprint].newest.rows):
                runs.append(live[fingerprint].newest)
            unpacked = unpack(ref, runs)
            series = judged(unpacked, _features(unpacked), start_ms=start_ms, end_ms=end_ms)
            if len(series.ts_ms):
                rows.append(series)
        return rows


class IncidentHistory:
    """The `IncidentReader` of a running service.

    Parameters
    ----------
    state
        The state store and the way to call it.
    """

    def __init__(self, state: StateAccess) -> None:
        self._state = state

    async def incidents_between(self, start_ms: int, end_ms: int) -> list[Incident]:
        """Return incidents that were open at some time within the span, both ends included."""
        store = self._state.store
        return await self._state.run(lambda: store.incidents_between(start_ms, end_ms))


def _slots(data: DataPlane, matcher_sets: tuple[Matchers, ...]) -> I32:
    return data.table.index.select(matcher_sets)


def _live_labels(data: DataPlane, matcher_sets: tuple[Matchers, ...]) -> dict[int, Labels]:
    return {
        int(data.table.fingerprints[slot]): data.table.labels(slot)
        for slot in _slots(data, matcher_sets).tolist()
    }


def _newest(data: DataPlane, matchers: Matchers) -> list[_Found]:
    slots = _slots(data, (matchers,)).tolist()
    if len(slots) > SERIES_PER_QUERY_MAX:
        raise QueryError(
            f"the selector matches {len(slots)} series, {SERIES_PER_QUERY_MAX} at most"
        )
    return [_found(data, slot) for slot in slots]


def _found(data: DataPlane, slot: int) -> _Found:
    table, head = data.table, data.head
    ref = SeriesRef(int(table.fingerprints[slot]), slot, table.labels(slot))
    kind = int(table.track[slot, intake.KIND])
    meta = head.meta[slot].tolist()
    run = RowRun(
        kind,
        meta[BASE_TS],
        meta[BEFORE_TS],
        meta[BEFORE_BITS] & _MASK_64,
        head.rows[slot, : meta[N_ROWS]].copy(),
    )
    return _Found(ref, kind, run)


def _first_ms(run: RowRun) -> int:
    """Return the time from which on memory has all rows of a series."""
    if run.before_ts < 0:
        return 0
    return run.base_ts if len(run.rows) else run.before_ts + 1


def _features(unpacked: UnpackedRows) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Recompute the detector's feature over the runs; a run knows the row before its first."""
    features = np.empty(len(unpacked.ts_ms))
    for first, run in unpacked.runs:
        part = slice(first, first + len(run.rows))
        k_intake_features(
            run.kind,
            unpacked.ts_ms[part],
            unpacked.bits[part],
            run.before_ts,
            np.uint64(run.before_bits),
            features[part],
        )
    return features
