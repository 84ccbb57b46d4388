"""The newest rows of every series in memory, until a group of neighbours is sealed together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.domain.samples import F64, I32, I64, U8, U64
from aiops.store.kernels.head import (
    BASE_TS,
    BEFORE_TS,
    GROUP_SLOTS,
    N_ROWS,
    k_head_append,
    k_head_take,
)

_SLOTS_MIN = 1024
_STAGGER = 61
"""A prime, so that first limits spread evenly over every length a chunk may have."""


@dataclass(frozen=True, slots=True)
class SealedGroup:
    """The rows of neighbouring slots, ready to be compressed.

    `meta` is int64[GROUP_SLOTS, 4] as `k_head_take` gives it, `rows` uint64[n, 2] by slot. `seal`
    numbers the seals of a group: with `group` it names the block, the same on every replay.
    """

    group: int
    seal: int
    meta: I64
    rows: U64

    @property
    def key(self) -> int:
        """Return the block's name in a day file."""
        return self.group << 24 | self.seal


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """A sealed group with the identity of its members, as the store keeps it.

    `labels` has the canonical label block of the members, empty where they were told before.
    """

    sealed: SealedGroup
    fingerprints: U64
    kinds: I64
    labels: tuple[bytes, ...]

    @property
    def span_ms(self) -> tuple[int, int]:
        """Return the times of the earliest and the latest row."""
        used = self.sealed.meta[:, N_ROWS] > 0
        first = int(self.sealed.meta[used, BASE_TS].min())
        position, last = 0, first
        for member in range(GROUP_SLOTS):
            position += int(self.sealed.meta[member, N_ROWS])
            if used[member]:
                offset = int(self.sealed.rows[position - 1, 1]) >> 33
                last = max(last, int(self.sealed.meta[member, BASE_TS]) + offset)
        return first, last


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """Columns of rows with what the detector said; views, valid during the call they are given to.

    `bits` are the raw values, `features`, `expected` and `half` in the detector's unit.
    """

    slots: I32
    ts_ms: I64
    bits: U64
    features: F64
    scores: F64
    expected: F64
    half: F64
    in_anomaly: U8


class Head:
    """Rows in memory: 16 bytes each, `chunk_rows` a series; the engine is the one writer.

    Values and times are exact. The band's half-width keeps 4 bits of mantissa, the deviation 6,
    the score eighths of a decade up to 31.875.
    """

    def __init__(self, chunk_rows: int) -> None:
        self._chunk_rows = chunk_rows
        self.rows = np.zeros((_SLOTS_MIN, chunk_rows, 2), np.uint64)
        self.meta = np.zeros((_SLOTS_MIN, 4), np.int64)
        self.meta[:, BEFORE_TS] = -1
        self._limits = self._first_limits(0, _SLOTS_MIN)
        self._seals = np.zeros(_SLOTS_MIN // GROUP_SLOTS, np.int32)

    def grow(self, n_slots: int) -> None:
        """Make room for at least `n_slots` slots."""
        old = len(self.rows)
        if n_slots <= old:
            return
        capacity = -(-max(n_slots, 2 * old) // GROUP_SLOTS) * GROUP_SLOTS
        rows = np.zeros((capacity, self._chunk_rows, 2), np.uint64)
        rows[:old] = self.rows
        meta = np.zeros((capacity, 4), np.int64)
        meta[:, BEFORE_TS] = -1
        meta[:old] = self.meta
        seals = np.zeros(capacity // GROUP_SLOTS, np.int32)
        seals[: len(self._seals)] = self._seals
        limits = self._first_limits(len(self._limits) * GROUP_SLOTS, capacity)
        self._limits = np.concatenate([self._limits, limits])
        self.rows, self.meta, self._seals = rows, meta, seals

    def append(self, batch: JudgedRows) -> Iterator[SealedGroup]:
        """Append rows in order; yield the groups that had to be sealed to make room."""
        n, row = len(batch.ts_ms), 0
        while True:
            row = k_head_append(
                row,
                batch.slots,
                batch.ts_ms,
                batch.bits,
                batch.features,
                batch.scores,
                batch.expected,
                batch.half,
                batch.in_anomaly,
                self.rows,
                self.meta,
                self._limits,
            )
            if row == n:
                return
            yield self.seal(int(batch.slots[row]) // GROUP_SLOTS)

    def seal(self, group: int) -> SealedGroup:
        """Take all rows of a group out of memory."""
        first = group * GROUP_SLOTS
        n_rows = int(self.meta[first : first + GROUP_SLOTS, N_ROWS].sum())
        rows = np.empty((n_rows, 2), np.uint64)
        meta = np.empty((GROUP_SLOTS, 4), np.int64)
        k_head_take(group, self.rows, self.meta, rows, meta)
        seal = int(self._seals[group])
        self._seals[group] += 1
        self._limits[group] = self._chunk_rows
        return SealedGroup(group, seal, meta, rows)

    def forget(self, slots: I32) -> None:
        """Empty these slots for another series; their groups must have been sealed before."""
        self.meta[slots] = 0
        self.meta[slots, BEFORE_TS] = -1

    def state(self, n_slots: int) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays of a snapshot as live views of the groups in use."""
        n_groups = -(-n_slots // GROUP_SLOTS)
        return {
            "head.rows": self.rows[: n_groups * GROUP_SLOTS],
            "head.meta": self.meta[: n_groups * GROUP_SLOTS],
            "head.limits": self._limits[:n_groups],
            "head.seals": self._seals[:n_groups],
        }

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over a snapshot made with the same `chunk_rows`."""
        n_groups = len(state["head.seals"])
        n_slots = n_groups * GROUP_SLOTS
        self.grow(n_slots)
        self.rows[:n_slots] = state["head.rows"]
        self.meta[:n_slots] = state["head.meta"]
        self._limits[:n_groups] = state["head.limits"]
        self._seals[:n_groups] = state["head.seals"]

    def _first_limits(self, first_slot: int, end_slot: int) -> I32:
        groups = np.arange(first_slot // GROUP_SLOTS, end_slot // GROUP_SLOTS)
        return (1 + groups * _STAGGER % self._chunk_rows).astype(np.int32)
