"""How long reading rows back takes, through the parts and through the service's reader."""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry

from aiops.clock import SystemClock
from aiops.domain.effects import IncidentEffect
from aiops.domain.matchers import Matcher, MatchOp
from aiops.domain.samples import F64, SeriesRef, SeriesRows
from aiops.engine import Engine
from aiops.pipeline import Core
from aiops.reader import LiveReader
from aiops.store.sample_reader import Runs, SampleReader, UnpackedRows, unpack
from aiops.store.samples import SampleStore
from benchmarks.harness import BenchmarkError, Timings
from benchmarks.store_workload import SERIES_A_QUERY, StoreWorkload

NEWEST_ROWS = 240
"""An hour at 15 s: what a panel shows first."""


@dataclass(frozen=True, slots=True)
class Query:
    """A read: matching series by one label, the newest `n_rows` of each."""

    label: str
    value: str
    series: tuple[int, ...]
    n_rows: int


class NoEffects:
    """Takes incidents and forgets them."""

    def put(self, _seq: int, _effects: tuple[IncidentEffect, ...]) -> None:
        """Take the effects of one record."""


class Rows:
    """A running engine with its files, read from as the service reads.

    Parameters
    ----------
    core
        Has applied all records; its memory holds the newest rows.
    folder
        Has the day files of what `core` sealed.
    """

    def __init__(self, core: Core, folder: Path, samples: SampleStore, engine: Engine) -> None:
        self.core = core
        self.files = SampleReader(folder)
        self.live = LiveReader(engine, samples, SampleReader(folder))

    def close(self) -> None:
        """Release files and the reader's thread."""
        self.live.close()
        self.files.close()


@contextlib.contextmanager
def open_rows(core: Core, folder: Path) -> Iterator[Rows]:
    """Start an engine over a core that has done its work, and give the way to read from it."""
    registry = CollectorRegistry()
    samples = SampleStore(folder, retention_days=30, registry=registry)
    samples.start()
    engine = Engine(
        core, NoEffects(), samples, clock=SystemClock(), failed=_fail, registry=registry
    )
    engine.start()
    rows = Rows(core, folder, samples, engine)
    try:
        yield rows
    finally:
        rows.close()
        engine.close()
        samples.close()


def _fail(error: BaseException) -> None:
    raise error


def one_series(_work: StoreWorkload, i: int) -> Query:
    """Return the query for the newest hour of one series."""
    return Query("series", str(i), (i,), NEWEST_ROWS)


def neighbours(work: StoreWorkload, k: int) -> Query:
    """Return the query for all rows of a hundred series that lie side by side."""
    first = k * SERIES_A_QUERY
    return Query("block", str(k), tuple(range(first, first + SERIES_A_QUERY)), work.n_scrapes)


def far_apart(work: StoreWorkload, k: int) -> Query:
    """Return the query for all rows of a hundred series that lie far apart."""
    n_stripes = work.n_series // SERIES_A_QUERY
    return Query("stripe", str(k), tuple(range(k, work.n_series, n_stripes)), work.n_scrapes)


def time_service(rows: Rows, work: StoreWorkload, queries: Sequence[Query], values: F64) -> Timings:
    """Return the times of queries through `LiveReader`; each answer is checked first."""

    async def read(query: Query) -> list[SeriesRows]:
        start_ms, end_ms = span_of(work, query)
        matchers = (Matcher(query.label, MatchOp.EQUAL, query.value),)
        return await rows.live.rows(matchers, start_ms=start_ms, end_ms=end_ms)

    async def run() -> Timings:
        timings = Timings()
        for query in queries:
            check_answer(work, query, await read(query), values)
            started_s = time.perf_counter()
            await read(query)
            timings.latency_s.append(time.perf_counter() - started_s)
        return timings

    return asyncio.run(run())


def time_files(rows: Rows, work: StoreWorkload, queries: Sequence[Query], values: F64) -> Timings:
    """Return the times of reading and unpacking sealed rows alone, series already found."""
    timings = Timings()
    for query in queries:
        refs = [_ref(work, i) for i in query.series]
        span = span_of(work, query)
        _check_sealed(rows, work, query, values)
        started_s = time.perf_counter()
        runs = rows.files.runs(refs, (), *span)
        for ref in refs:
            _unpacked(ref, runs)
        timings.latency_s.append(time.perf_counter() - started_s)
    return timings


def span_of(work: StoreWorkload, query: Query) -> tuple[int, int]:
    """Return the times of the first and the last row a query asks for."""
    last = work.n_scrapes - 1
    return work.ts_ms(last - query.n_rows + 1), work.ts_ms(last)


def check_answer(
    work: StoreWorkload, query: Query, answer: Sequence[SeriesRows], values: F64
) -> None:
    """Compare an answer with what was written, times and values to the bit.

    Raises
    ------
    BenchmarkError
        When a series is missing or a row is another.
    """
    fingerprints = work.fingerprints()
    found = {series.ref.fingerprint: series for series in answer}
    wanted_ms = [work.ts_ms(work.n_scrapes - query.n_rows + k) for k in range(query.n_rows)]
    if len(found) != len(query.series):
        raise BenchmarkError(f"{query.label}={query.value} gave {len(found)} series")
    for i in query.series:
        series = found.get(int(fingerprints[i]))
        wanted = values[work.n_scrapes - query.n_rows :, i]
        if series is None or series.ts_ms.tolist() != wanted_ms:
            raise BenchmarkError(f"series {i} does not come back with all its rows")
        if series.values.tobytes() != np.ascontiguousarray(wanted).tobytes():
            raise BenchmarkError(f"series {i} comes back with other values")


def _check_sealed(rows: Rows, work: StoreWorkload, query: Query, values: F64) -> None:
    """Compare the sealed rows of a query with what was written, those in memory left out."""
    refs = [_ref(work, i) for i in query.series]
    start_ms, end_ms = span_of(work, query)
    runs = rows.files.runs(refs, (), start_ms, end_ms)
    for i, ref in zip(query.series, refs, strict=True):
        found = _unpacked(ref, runs)
        scrapes = (found.ts_ms - work.ts_ms(0)) // (work.ts_ms(1) - work.ts_ms(0))
        is_whole = len(scrapes) and np.array_equal(np.diff(scrapes), np.ones(len(scrapes) - 1))
        if not is_whole or not np.array_equal(found.bits, values[scrapes, i].view(np.uint64)):
            raise BenchmarkError(f"sealed rows of series {i} come back otherwise")


def _unpacked(ref: SeriesRef, runs: Runs) -> UnpackedRows:
    by_key = runs[ref.fingerprint]
    return unpack(ref, [by_key[key] for key in sorted(by_key)])


def _ref(work: StoreWorkload, i: int) -> SeriesRef:
    return SeriesRef(int(work.fingerprints()[i]), i, work.labels(i))
