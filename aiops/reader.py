"""Reads series for queries: the engine's memory, blocks on their way to disk, and day files."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from aiops.dataplane import DataPlane
from aiops.detect.challenger import Comparison
from aiops.domain.incident import Incident
from aiops.domain.labels import Labels
from aiops.domain.matchers import Matchers, match_all
from aiops.domain.samples import I32, U64, MetricMetadata, SeriesRef, SeriesRows
from aiops.engine import Engine
from aiops.errors import QueryError
from aiops.forecast_watch import SeriesForecast
from aiops.series.kernels import intake
from aiops.series.kernels.intake import k_intake_features
from aiops.store.base import StateAccess
from aiops.store.head import block_key
from aiops.store.kernels.head import GROUP_SLOTS, N_ROWS
from aiops.store.sample_reader import (
    RowRun,
    Runs,
    SampleReader,
    UnpackedRows,
    judged,
    run_of,
    unpack,
)
from aiops.store.samples import SampleStore
from aiops.wire.labels import decode_labels

T = TypeVar("T")

Catalogue = dict[tuple[int, int], bytes]
"""(fingerprint, slot) -> label block."""

SERIES_PER_QUERY_MAX = 50_000
"""Chosen: beyond this a query asks for more than anybody can look at; Grafana stops at 40,000."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A series with the rows it has in memory."""

    ref: SeriesRef
    newest: RowRun
    newest_key: int
    """Name of the block these rows will be sealed in; it and later ones may exist by now."""


@dataclass(frozen=True, slots=True)
class _Memory:
    """What memory tells about a selector, at one moment.

    `known` are the fingerprints of all live series; nothing when no forgotten series has rows in
    the span, which then need not be looked for.
    """

    found: list[_Found]
    known: U64 | None


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
        live, known = await self._ask(
            lambda data: (_live_labels(data, matcher_sets), _known(data, start_ms))
        )
        past: list[SeriesRef] = []
        if known is not None:
            past = await self._in_thread(
                lambda: _forgotten(self._catalogue((start_ms, end_ms)), matcher_sets, known)
            )
        found = sorted(live | {ref.labels for ref in past})
        return found[:limit] if limit else found

    async def rows(self, matchers: Matchers, *, start_ms: int, end_ms: int) -> list[SeriesRows]:
        """Return the rows of every series that matches, each in time order."""
        memory = await self._ask(
            lambda data: _Memory(_newest(data, matchers), _known(data, start_ms))
        )
        return await self._in_thread(lambda: self._assemble(memory, matchers, start_ms, end_ms))

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

    async def challengers(self) -> tuple[Comparison, ...]:
        """Return how the challengers compare with the detectors that decide."""
        return await self._ask(lambda data: data.challengers())

    async def forecasts(
        self, matchers: Matchers, *, step_ms: int, n_points: int, series_max: int
    ) -> tuple[list[SeriesForecast], int]:
        """Return what is expected of the first live series that match, and how many match."""

        def look(data: DataPlane) -> tuple[list[SeriesForecast], int]:
            slots = _slots(data, (matchers,))
            found = data.forecasts.forecasts(slots[:series_max], step_ms, n_points)
            return found, len(slots)

        return await self._ask(look)

    def close(self) -> None:
        """Stop the reader thread and release the files."""
        self._thread.submit(self._files.close).result()
        self._thread.shutdown()

    async def _ask(self, work: Callable[[DataPlane], T]) -> T:
        return await asyncio.wrap_future(self._engine.call(lambda core: work(core.data)))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _catalogue(self, span_ms: tuple[int, int]) -> Catalogue:
        """Return the catalogue with the series of blocks on their way to it."""
        pending = self._samples.pending()  # before the files: what left here is there
        catalogue = self._files.catalogue(*span_ms)
        for block in pending:
            for slot, labels in enumerate(block.labels, block.sealed.group * GROUP_SLOTS):
                if labels:
                    catalogue[int(block.fingerprints[slot % GROUP_SLOTS]), slot] = labels
        return catalogue

    def _assemble(
        self, memory: _Memory, matchers: Matchers, start_ms: int, end_ms: int
    ) -> list[SeriesRows]:
        refs = [item.ref for item in memory.found]
        whole_from_ms = max((_first_ms(item.newest) for item in memory.found), default=start_ms)
        if memory.known is not None:
            catalogue = self._catalogue((start_ms, end_ms))
            refs += _former(catalogue, memory.found)
            refs += _forgotten(catalogue, (matchers,), memory.known)
        sealed: Runs = {}
        if memory.known is not None or start_ms < whole_from_ms:
            # Rows go from memory to pending to files; read in that order none is missed.
            sealed = self._files.runs(refs, self._samples.pending(), start_ms, end_ms)
        newest = {item.ref.fingerprint: item for item in memory.found}
        rows = []
        for ref in {ref.fingerprint: ref for ref in refs}.values():
            runs = _in_order(sealed.get(ref.fingerprint, {}), newest.get(ref.fingerprint))
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


def _live_labels(data: DataPlane, matcher_sets: tuple[Matchers, ...]) -> set[Labels]:
    return {data.table.labels(slot) for slot in _slots(data, matcher_sets).tolist()}


def _known(data: DataPlane, start_ms: int) -> U64 | None:
    return data.table.live_fingerprints() if data.forgotten_ms >= start_ms else None


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
    rows = head.rows[slot, : head.meta[slot, N_ROWS]].copy()
    run = run_of(kind, head.meta[slot], rows)
    return _Found(ref, run, head.next_key(slot))


def _forgotten(
    catalogue: Catalogue, matcher_sets: tuple[Matchers, ...], known: U64
) -> list[SeriesRef]:
    """Return the series of a catalogue that match and are not live any more."""
    live = set(known.tolist())
    refs = []
    for (fingerprint, slot), block in catalogue.items():
        if fingerprint not in live:
            labels = decode_labels(block)
            if not matcher_sets or any(match_all(m, labels) for m in matcher_sets):
                refs.append(SeriesRef(fingerprint, slot, labels))
    return refs


def _former(catalogue: Catalogue, found: list[_Found]) -> list[SeriesRef]:
    """Return live series in the slots they had before they were forgotten and came back."""
    labels = {item.ref.fingerprint: item.ref.labels for item in found}
    return [
        SeriesRef(fingerprint, slot, labels[fingerprint])
        for fingerprint, slot in catalogue
        if fingerprint in labels
    ]


def _in_order(sealed: dict[int, RowRun], newest: _Found | None) -> list[RowRun]:
    """Return the runs of a series by time, without rows that left memory after it was read."""
    runs = [
        run
        for key, run in sealed.items()
        if newest is None or not _is_later(key, newest.newest_key)
    ]
    if newest is not None and len(newest.newest.rows):
        runs.append(newest.newest)
    return sorted(runs, key=lambda run: run.base_ts)


def _is_later(key: int, newest_key: int) -> bool:
    """Tell whether a block is of the same group as the rows in memory and not older."""
    return newest_key <= key < block_key(newest_key // block_key(1, 0) + 1, 0)


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
