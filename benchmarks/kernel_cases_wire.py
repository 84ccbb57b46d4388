"""Cases of the kernels that read remote write, over the label sets of the ingest benchmark."""

import functools
from typing import cast

import numpy as np
from numba import njit

from aiops.config import LimitsConfig
from aiops.domain.samples import F64, I64, U8, U64
from aiops.evaluate.remote_write_encode import ScrapeEncoder
from aiops.wire.kernels import remote_write as walk
from aiops.wire.kernels.hashing import k_block_hash
from aiops.wire.labels import encode_labels
from benchmarks.ingest_workload import Workload
from benchmarks.kernel_cases import PER_REQUEST, SEED, START_MS, Case, Kernel, requests_of
from tests.naive.wire import (
    Room,
    naive_block_hash,
    naive_label_blocks_check,
    naive_remote_write_walk,
)

FUTURE_MS = START_MS + 600_000
N_CHECKED = 64


def block_hash(kernel: Kernel, n_series: int) -> Case:
    """k_block_hash: the label block of every series, called from compiled code as the walk does."""
    body, spans = _joined(_blocks(n_series))
    secrets, digests = _secrets(), np.empty(n_series, np.uint64)
    return Case(
        n_series,
        lambda: _HASH_ALL(body, spans, secrets, digests),
        lambda: _is_hash_right(kernel),
        facts=_block_facts(n_series),
    )


def label_blocks_check(kernel: Kernel, n_series: int) -> Case:
    """k_label_blocks_check: the label block of every series, all of them canonical."""
    body, spans = _joined(_blocks(n_series))
    rows, is_canonical = np.arange(n_series), np.empty(n_series, np.uint8)

    def call() -> None:
        for part in requests_of(n_series):
            kernel(body, spans, rows[part], _limits(), is_canonical[part])

    return Case(n_series, call, lambda: _is_check_right(kernel), facts=_block_facts(n_series))


def remote_write_walk(kernel: Kernel, n_series: int) -> Case:
    """k_remote_write_walk: uncompressed requests with one sample of every series."""
    bodies = _bodies(n_series)
    secrets, columns = _secrets(), _Columns()

    def call() -> None:
        for body in bodies:
            columns.walk(kernel, body, secrets)

    facts = _block_facts(n_series) | {"bytes_per_row": sum(map(len, bodies)) / n_series}
    return Case(n_series, call, lambda: _is_walk_right(kernel), facts=facts)


class _Columns:
    """What a walk writes into."""

    def __init__(self) -> None:
        self.keys = np.zeros(PER_REQUEST, np.uint64)
        self.spans = np.zeros((PER_REQUEST, 2), np.int64)
        self.irregular = np.zeros(PER_REQUEST, np.uint8)
        self.row_series = np.zeros(PER_REQUEST, np.int32)
        self.row_ts = np.zeros(PER_REQUEST, np.int64)
        self.row_bits = np.zeros(PER_REQUEST, np.uint64)
        self.metadata = np.zeros((1, 2), np.int64)
        self.info = np.zeros(walk.INFO_SIZE, np.int64)

    def walk(self, kernel: Kernel, body: U8, secrets: U64) -> None:
        rows = (self.row_series, self.row_ts, self.row_bits)
        series = (self.keys, self.spans, self.irregular)
        kernel(body, FUTURE_MS, secrets, 0, *series, *rows, self.metadata, self.info)


def _hash_loop(body: U8, spans: I64, secrets: U64, digests: U64) -> None:
    for row in range(len(spans)):
        digests[row] = k_block_hash(body, spans[row, 0], spans[row, 1], secrets)


_HASH_ALL = cast(Kernel, njit(nogil=True, error_model="numpy")(_hash_loop))


@functools.lru_cache(maxsize=2)  # of all series, and of the few that are checked
def _blocks(n_series: int) -> list[bytes]:
    work = _workload(n_series)
    return [encode_labels(work.labels(i)) for i in range(n_series)]


@functools.lru_cache(maxsize=1)
def _bodies(n_series: int) -> list[U8]:
    blocks, values = _blocks(n_series), next(_workload(n_series).values())
    return [_request(blocks[part], values[part]) for part in requests_of(n_series)]


def _request(blocks: list[bytes], values: F64) -> U8:
    return np.frombuffer(ScrapeEncoder(blocks).encode(START_MS, values), np.uint8)


def _workload(n_series: int) -> Workload:
    return Workload(n_series, PER_REQUEST, n_rounds=1, end_ms=START_MS, seed=SEED)


def _joined(blocks: list[bytes]) -> tuple[U8, I64]:
    """Return blocks behind one another, and the span of each."""
    ends = np.cumsum([len(block) for block in blocks], dtype=np.int64)
    spans = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1)
    return np.frombuffer(b"".join(blocks), np.uint8), np.ascontiguousarray(spans)


def _block_facts(n_series: int) -> dict[str, float]:
    blocks = _blocks(n_series)
    return {"label_bytes_per_row": round(sum(map(len, blocks)) / len(blocks), 1)}


def _secrets() -> U64:
    return np.random.default_rng(SEED).integers(1, 2**64, 4, np.uint64)


def _limits() -> I64:
    limits = LimitsConfig()
    return np.array(
        [
            limits.labels_per_series_max,
            limits.label_name_bytes_max,
            limits.label_value_bytes_max,
            limits.label_block_bytes_max,
        ],
        np.int64,
    )


def _is_hash_right(kernel: Kernel) -> bool:
    secrets = _secrets()
    blocks = [*_blocks(N_CHECKED), *(bytes(range(length)) for length in range(40))]
    body, spans = _joined(blocks)
    told = [int(kernel(body, start, end, secrets)) for start, end in spans.tolist()]
    return told == [naive_block_hash(block, secrets.tolist()) for block in blocks]


def _is_check_right(kernel: Kernel) -> bool:
    """Every second block gets a fault of another sort, so that both answers occur."""
    faults = (lambda b: b[::-1], lambda b: b[:-1], lambda b: b.replace(b"shop", b"sh\xf6p"))
    blocks = [
        faults[i // 2 % 3](block) if i % 2 else block for i, block in enumerate(_blocks(N_CHECKED))
    ]
    body, spans = _joined(blocks)
    is_canonical = np.full(N_CHECKED, 2, np.uint8)
    kernel(body, spans, np.arange(N_CHECKED), _limits(), is_canonical)
    labels_max, name_max, value_max, block_max = _limits().tolist()
    wanted = naive_label_blocks_check(blocks, (labels_max, name_max, value_max, block_max))
    return is_canonical.tolist() == wanted


def _is_walk_right(kernel: Kernel) -> bool:
    """The twin must agree, and the values must be those that were encoded."""
    secrets, columns = _secrets(), _Columns()
    values = next(_workload(N_CHECKED).values())
    body = _request(_blocks(N_CHECKED), values)
    columns.walk(kernel, body, secrets)
    room = Room(PER_REQUEST, PER_REQUEST, 1, FUTURE_MS)
    twin = naive_remote_write_walk(body.tobytes(), secrets.tolist(), 0, room)
    n_series, n_rows = columns.info[[walk.N_SERIES, walk.N_ROWS]]
    rows = (columns.row_series, columns.row_ts, columns.row_bits)
    return (
        columns.keys[:n_series].tolist() == twin.keys
        and [tuple(span) for span in columns.spans[:n_series].tolist()] == twin.spans
        and list(zip(*(column[:n_rows].tolist() for column in rows), strict=True)) == twin.rows
        and columns.info[walk.NEXT_OFFSET] == twin.next_offset == len(body)
        and np.array_equal(columns.row_bits[:n_rows], values.view(np.uint64))
    )
