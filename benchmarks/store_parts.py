"""What the parts of the store cost a row: memory, blocks, and a real file."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from aiops.domain.samples import U64
from aiops.store.chunks import decode_block, encode_block
from aiops.store.head import Head, JudgedRows, SealedBlock, SealedGroup
from aiops.store.kernels.head import GROUP_SLOTS, N_ROWS
from aiops.store.samples import LINGER_S, SampleStore
from benchmarks.harness import BenchmarkError, median, spread, temporary_folder
from benchmarks.kernel_cases import STEP_MS
from benchmarks.store_workload import KINDS
from benchmarks.timing import REPEATS, Cost, time_calls

FLUSH_TIMEOUT_S = 60.0
SLEEP_S = 0.0002
"""Chosen: a fifth of what a block takes; waiting then costs next to no CPU."""


@dataclass(frozen=True, slots=True)
class FileCost:
    """What writing blocks into a day file took; one figure a run."""

    cpu_ns_per_row: tuple[float, ...]
    rows_per_s: tuple[float, ...]
    file_bytes_per_row: float

    def figures(self) -> dict[str, Any]:
        """Return medians and spreads for the record."""
        return {
            "cpu_ns_per_row": round(median(self.cpu_ns_per_row), 1),
            "cpu_ns_per_row_range": [round(v, 1) for v in spread(self.cpu_ns_per_row)],
            "rows_per_s": round(median(self.rows_per_s)),
            "rows_per_s_range": [round(v) for v in spread(self.rows_per_s)],
            "bytes_per_row": round(self.file_bytes_per_row, 3),
        }


def append_cost(scrapes: Sequence[JudgedRows], chunk_rows: int) -> Cost:
    """Return the cost a row of keeping scrapes in memory, taking out full groups included."""
    n_series = len(scrapes[0].slots)
    head = Head(chunk_rows)
    head.grow(n_series)
    later = {"ms": 0}

    def call() -> None:
        for scrape in scrapes:
            moved = replace(scrape, ts_ms=scrape.ts_ms + later["ms"])
            for _ in head.append(moved):
                pass

    def reset() -> None:
        later["ms"] += len(scrapes) * STEP_MS

    check_append(scrapes[:8], chunk_rows)
    return time_calls(call, n_series * len(scrapes), reset=reset)


def check_append(
    scrapes: Sequence[JudgedRows], chunk_rows: int, head_type: type[Head] = Head
) -> None:
    """Fill a fresh head and compare every value in memory and in sealed groups with what went in.

    Raises
    ------
    BenchmarkError
        When a value is missing or changed.
    """
    head = head_type(chunk_rows)
    n_series = len(scrapes[0].slots)
    head.grow(n_series)
    kept: dict[int, list[int]] = {slot: [] for slot in range(n_series)}
    for scrape in scrapes:
        for sealed in head.append(scrape):
            _collect(sealed, kept)
    for group in range(-(-n_series // GROUP_SLOTS)):
        _collect(head.seal(group), kept)
    for slot, bits in kept.items():
        if bits != [int(scrape.bits[slot]) for scrape in scrapes]:
            raise BenchmarkError(f"the head does not give back the values of slot {slot}")


def _collect(sealed: SealedGroup, kept: dict[int, list[int]]) -> None:
    bits, position = sealed.rows[:, 0].tolist(), 0
    for member, n_rows in enumerate(sealed.meta[:, N_ROWS].tolist()):
        if n_rows:
            kept[sealed.group * GROUP_SLOTS + member] += bits[position : position + n_rows]
        position += n_rows


def encode_cost(blocks: Sequence[SealedBlock]) -> Cost:
    """Return the cost a row of `encode_block`."""
    check_blocks(blocks)
    n_rows = sum(len(block.sealed.rows) for block in blocks)
    return time_calls(lambda: encoded(blocks), n_rows)


def decode_cost(blocks: Sequence[SealedBlock]) -> Cost:
    """Return the cost a block of `decode_block`, groups with a full chunk in each slot."""
    data = encoded(blocks)

    def call() -> None:
        for each in data:
            decode_block(each)

    check_blocks(blocks)
    return time_calls(call, len(blocks))


def encoded(blocks: Sequence[SealedBlock]) -> list[bytes]:
    """Return the bytes of each block."""
    return [encode_block(block.sealed, block.fingerprints, block.kinds) for block in blocks]


def check_blocks(blocks: Sequence[SealedBlock]) -> None:
    """Compare what decoded blocks hold with what was encoded, to the bit.

    Raises
    ------
    BenchmarkError
        When a block does not give back its rows.
    """
    for block, data in zip(blocks, encoded(blocks), strict=True):
        if not is_equal(block, data):
            raise BenchmarkError(f"block {block.sealed.key} does not give back its rows")


def is_equal(block: SealedBlock, data: bytes) -> bool:
    """Tell whether a block's bytes give back its rows and its members."""
    found = decode_block(data)
    return (
        np.array_equal(found.rows, block.sealed.rows)
        and np.array_equal(found.meta, block.sealed.meta)
        and np.array_equal(found.fingerprints, block.fingerprints)
        and np.array_equal(found.kinds, block.kinds)
    )


def block_bytes_per_row(blocks: Sequence[SealedBlock]) -> float:
    """Return the size of blocks, file overhead aside, over their rows."""
    n_rows = sum(len(block.sealed.rows) for block in blocks)
    return sum(map(len, encoded(blocks))) / n_rows


def block_bytes_by_kind(blocks: Sequence[SealedBlock]) -> dict[str, float]:
    """Return the bytes a row of blocks that hold one kind of values only, verdicts included.

    Members of blocks change places so that equal kinds meet; neighbours take turns in the kinds.
    """
    by_kind: dict[str, list[tuple[SealedBlock, int]]] = {kind: [] for kind in KINDS}
    for block in blocks:
        for member in range(GROUP_SLOTS):
            slot = block.sealed.group * GROUP_SLOTS + member
            by_kind[KINDS[slot % len(KINDS)]].append((block, member))
    return {
        kind: block_bytes_per_row([_regrouped(members[:GROUP_SLOTS])])
        for kind, members in by_kind.items()
        if len(members) >= GROUP_SLOTS
    }


def _regrouped(members: Sequence[tuple[SealedBlock, int]]) -> SealedBlock:
    rows: list[U64] = []
    for block, member in members:
        ends = np.cumsum(block.sealed.meta[:, N_ROWS])
        rows.append(
            block.sealed.rows[ends[member] - block.sealed.meta[member, N_ROWS] : ends[member]]
        )
    meta = np.array([block.sealed.meta[member] for block, member in members])
    fingerprints = np.array([block.fingerprints[member] for block, member in members])
    kinds = np.array([block.kinds[member] for block, member in members])
    return SealedBlock(SealedGroup(0, 0, meta, np.concatenate(rows)), fingerprints, kinds, ())


def file_cost(
    blocks: Sequence[SealedBlock],
    *,
    write: Callable[[Path, Sequence[SealedBlock]], None],
    repeats: int = REPEATS,
) -> FileCost:
    """Return the cost of writing blocks through `SampleStore` into a fresh file, synced.

    Parameters
    ----------
    write
        `write_blocks`, or `write_one_by_one`.
    """
    n_rows = sum(len(block.sealed.rows) for block in blocks)
    cpu, speeds, n_bytes = [], [], 0
    for turn in range(repeats + 1):
        with temporary_folder() as folder:
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            write(folder, blocks)
            wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
            n_bytes = sum(path.stat().st_size for path in folder.glob("samples-*"))
        if turn:  # the first warms up
            cpu.append(cpu_s / n_rows * 1e9)
            speeds.append(n_rows / wall_s)
    return FileCost(tuple(cpu), tuple(speeds), n_bytes / n_rows)


def write_blocks(folder: Path, blocks: Sequence[SealedBlock]) -> None:
    """Write blocks into day files and wait until a power cut cannot take them.

    Raises
    ------
    BenchmarkError
        When the disk does not follow.
    """
    with _open_store(folder, LINGER_S) as store:
        store.put(blocks)


def write_one_by_one(folder: Path, blocks: Sequence[SealedBlock]) -> None:
    """Do the same with a transaction a block.

    Raises
    ------
    BenchmarkError
        When the disk does not follow.
    """
    with _open_store(folder, 0.0) as store:
        for block in blocks:
            store.put((block,))
            while store.pending():
                time.sleep(SLEEP_S)


@contextmanager
def _open_store(folder: Path, linger_s: float) -> Iterator[SampleStore]:
    registry = CollectorRegistry()
    store = SampleStore(folder, retention_days=30, registry=registry, linger_s=linger_s)
    store.start()
    with closing(store):
        yield store
        if not store.flush(FLUSH_TIMEOUT_S):
            raise BenchmarkError(f"blocks not on disk in {FLUSH_TIMEOUT_S:.0f} s")


def full_blocks(blocks: Sequence[SealedBlock], chunk_rows: int) -> list[SealedBlock]:
    """Return the blocks with a full chunk in every slot; the first of each group are shorter."""
    return [block for block in blocks if (block.sealed.meta[:, N_ROWS] == chunk_rows).all()]
