"""Cases of the kernels that keep the newest rows of every series in memory."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from aiops.config import StoreConfig
from aiops.domain.samples import F64, I32, I64, U8, U64
from aiops.store.kernels.head import (
    BASE_TS,
    BEFORE_BITS,
    BEFORE_TS,
    GROUP_SLOTS,
    N_ROWS,
    OFFSET_SHIFT,
    k_head_append,
)
from benchmarks.kernel_cases import SEED, START_MS, STEP_MS, Case, Kernel, requests_of
from tests.naive.store import NEVER, naive_head_append, naive_head_take, naive_head_unpack

Slot = dict[str, Any]
"""A slot as the twins keep it."""

CHUNK_ROWS: int = StoreConfig().chunk_rows
SLOTS_MAX = 50_000
"""Chosen: 96 MB of rows are far more than any cache, and more only takes longer to fill."""
N_CHECKED_SLOTS, N_CHECKED_ROWS = 2 * GROUP_SLOTS, 5


def head_append(kernel: Kernel, n_slots: int) -> Case:
    """k_head_append: one judged sample of every slot, request by request."""
    n_slots = min(n_slots, SLOTS_MAX)
    head, batch = _Head.empty(n_slots), _Batch.random(n_slots)

    def call() -> int:
        return sum(head.append(kernel, batch, part) for part in requests_of(n_slots))

    def reset() -> None:
        batch.ts_ms[:] += STEP_MS
        if head.meta[0, N_ROWS] == CHUNK_ROWS:
            head.meta[:, N_ROWS] = 0

    return Case(n_slots, call, lambda: _is_append_right(kernel), reset, {"head_slots": n_slots})


def head_take(kernel: Kernel, n_slots: int) -> Case:
    """k_head_take: every group, all of them full."""
    n_groups = min(n_slots, SLOTS_MAX) // GROUP_SLOTS
    head = _filled(n_groups * GROUP_SLOTS, CHUNK_ROWS)
    out_rows = np.zeros((GROUP_SLOTS * CHUNK_ROWS, 2), np.uint64)
    out_meta = np.zeros((GROUP_SLOTS, 4), np.int64)

    def call() -> int:
        groups = range(n_groups)
        return sum(kernel(group, head.rows, head.meta, out_rows, out_meta) for group in groups)

    def reset() -> None:
        head.meta[:, N_ROWS] = CHUNK_ROWS

    n_rows = n_groups * GROUP_SLOTS * CHUNK_ROWS
    facts = {"rows_per_call": GROUP_SLOTS * CHUNK_ROWS}
    return Case(n_rows, call, lambda: _is_take_right(kernel), reset, facts)


def head_unpack(kernel: Kernel, n_slots: int) -> Case:
    """k_head_unpack: full chunks, one series a call, as a query reads them."""
    n_series = min(n_slots, 5_000)
    head, out = _filled(n_series, CHUNK_ROWS), _unpacked_columns(CHUNK_ROWS)

    def call() -> None:
        for slot in range(n_series):
            kernel(head.rows[slot], START_MS, *out)

    n_rows = n_series * CHUNK_ROWS
    facts = {"rows_per_call": CHUNK_ROWS}
    return Case(n_rows, call, lambda: _is_unpack_right(kernel), facts=facts)


@dataclass(frozen=True, slots=True)
class _Batch:
    """One judged sample of every slot."""

    slots: I32
    ts_ms: I64
    bits: U64
    features: F64
    scores: F64
    expected: F64
    half: F64
    in_anomaly: U8

    @classmethod
    def random(cls, n_slots: int) -> "_Batch":
        rng = np.random.default_rng(SEED)
        features = rng.normal(10.0, 1.0, n_slots)
        return cls(
            np.arange(n_slots, dtype=np.int32),
            np.full(n_slots, START_MS, np.int64),
            features.view(np.uint64),
            features,
            rng.exponential(0.5, n_slots),
            np.full(n_slots, 10.0),
            rng.uniform(2.0, 4.0, n_slots),
            (rng.random(n_slots) < 0.01).astype(np.uint8),
        )

    def rows(self) -> list[tuple[float, ...]]:
        columns = (self.slots, self.ts_ms, self.bits, self.features, self.scores, self.expected)
        lists = (column.tolist() for column in (*columns, self.half, self.in_anomaly))
        return list(zip(*lists, strict=True))


@dataclass(frozen=True, slots=True)
class _Head:
    """The arrays of a head whose groups may all be filled to the brim."""

    rows: U64
    meta: I64
    limits: I32

    @classmethod
    def empty(cls, n_slots: int) -> "_Head":
        meta = np.zeros((n_slots, 4), np.int64)
        meta[:, BEFORE_TS] = -1
        limits = np.full(-(-n_slots // GROUP_SLOTS), CHUNK_ROWS, np.int32)
        return cls(np.zeros((n_slots, CHUNK_ROWS, 2), np.uint64), meta, limits)

    def append(self, kernel: Kernel, batch: _Batch, part: slice) -> int:
        judged = (batch.features, batch.scores, batch.expected, batch.half, batch.in_anomaly)
        columns = (batch.slots, batch.ts_ms, batch.bits, *judged)
        cut = (column[part] for column in columns)
        return int(kernel(0, *cut, self.rows, self.meta, self.limits))


def _filled(n_slots: int, n_rows: int, kernel: Kernel = k_head_append) -> _Head:
    """Return a head with `n_rows` rows in every slot."""
    head, batch = _Head.empty(n_slots), _Batch.random(n_slots)
    for _ in range(n_rows):
        head.append(kernel, batch, slice(None))
        batch.ts_ms[:] += STEP_MS
    return head


def _unpacked_columns(n: int) -> tuple[np.ndarray, ...]:
    dtypes = (np.int64, np.uint64, np.float64, np.float64, np.float64, np.uint8)
    return tuple(np.zeros(n, dtype) for dtype in dtypes)


def _is_append_right(kernel: Kernel) -> bool:
    head, batch = _Head.empty(N_CHECKED_SLOTS), _Batch.random(N_CHECKED_SLOTS)
    slots: list[Slot] = [{"rows": [], "before": NEVER} for _ in range(N_CHECKED_SLOTS)]
    limits = head.limits.tolist()
    for _ in range(N_CHECKED_ROWS):
        batch.ts_ms[:] += STEP_MS
        told = head.append(kernel, batch, slice(None))
        if told != naive_head_append(0, batch.rows(), slots, limits, GROUP_SLOTS):
            return False
    kept = [[row[1:] for row in slot["rows"]] for slot in slots]
    return bool(
        head.rows[:, :N_CHECKED_ROWS].tolist() == [[list(row) for row in rows] for rows in kept]
        and (head.meta[:, N_ROWS] == N_CHECKED_ROWS).all()
        and (head.meta[:, BASE_TS] == START_MS + STEP_MS).all()
    )


def _is_take_right(kernel: Kernel) -> bool:
    """Slots hold different numbers of rows, some none."""
    head = _filled(N_CHECKED_SLOTS, N_CHECKED_ROWS)
    counts = np.arange(N_CHECKED_SLOTS) % (N_CHECKED_ROWS + 1)
    head.meta[:, N_ROWS] = counts
    slots = [_as_slot(head, slot) for slot in range(N_CHECKED_SLOTS)]
    before = head.meta.copy()
    out_rows = np.zeros((GROUP_SLOTS * CHUNK_ROWS, 2), np.uint64)
    out_meta = np.zeros((GROUP_SLOTS, 4), np.int64)
    taken = kernel(1, head.rows, head.meta, out_rows, out_meta)
    wanted = naive_head_take(1, slots, GROUP_SLOTS)
    seams = [
        (ts_ms, bits % 2**64) for ts_ms, bits in head.meta[:, [BEFORE_TS, BEFORE_BITS]].tolist()
    ]
    return bool(
        taken == len(wanted)
        and [tuple(row) for row in out_rows[:taken].tolist()] == wanted
        and np.array_equal(out_meta, before[GROUP_SLOTS:])
        and head.meta[:, N_ROWS].tolist() == [len(slot["rows"]) for slot in slots]
        and seams == [slot["before"] for slot in slots]
    )


def _as_slot(head: _Head, slot: int) -> Slot:
    rows = head.rows[slot, : head.meta[slot, N_ROWS]].tolist()
    base_ms = int(head.meta[slot, BASE_TS])
    packed = [(base_ms + (word >> OFFSET_SHIFT), bits, word) for bits, word in rows]
    return {"rows": packed, "before": NEVER}


def _is_unpack_right(kernel: Kernel) -> bool:
    rng = np.random.default_rng(SEED)
    rows = rng.integers(0, 2**64, (N_CHECKED_SLOTS, 2), np.uint64)
    half_codes = rng.integers(4 << 4, 254 << 4, N_CHECKED_SLOTS, np.uint64)  # no denormals
    rows[:, 1] = rows[:, 1] & ~np.uint64(0xFFF << 20) | half_codes << np.uint64(20)
    rows[0, 1] = 0
    out = _unpacked_columns(N_CHECKED_SLOTS)
    kernel(rows, START_MS, *out)
    wanted = naive_head_unpack([tuple(row) for row in rows.tolist()], START_MS)
    is_same = partial(np.array_equal, equal_nan=True)
    return all(
        is_same(told, true) for told, true in zip(out, zip(*wanted, strict=True), strict=True)
    )
