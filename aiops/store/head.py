"""The newest rows of every series in memory, until a group of neighbours is sealed together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.domain.samples import F64, I32, I64, U8, U64
from aiops.errors import SnapshotError
from aiops.store.kernels.head import (
    BASE_TS,
    BEFORE_TS,
    GROUP_SLOTS,
    N_ROWS,
    OFFSET_SHIFT,
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
        return block_key(self.group, self.seal)

    @property
    def span_ms(self) -> tuple[int, int]:
        """Return the times of the earliest and the latest row; there must be one."""
        used = self.meta[:, N_ROWS] > 0
        ends = np.cumsum(self.meta[used, N_ROWS])
        offsets = (self.rows[ends - 1, 1] >> np.uint64(OFFSET_SHIFT)).astype(np.int64)
        bases = self.meta[used, BASE_TS]
        return int(bases.min()), int((bases + offsets).max())


def block_key(group: int, seal: int) -> int:
    """Return the name of a group's block; later blocks of a group have greater ones."""
    return group << 24 | seal


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """A sealed group with the identity of its members, as the store keeps it.

    `labels` has the canonical label block of the members, empty where they were told before.
    """

    sealed: SealedGroup
    fingerprints: U64
    kinds: I64
    labels: tuple[bytes, ...]


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

    def __init__(self, chunk_rows: int, capacity: int = _SLOTS_MIN) -> None:
        self._chunk_rows = chunk_rows
        n_groups = -(-capacity // GROUP_SLOTS)
        n_slots = n_groups * GROUP_SLOTS
        self.rows = np.zeros((n_slots, chunk_rows, 2), np.uint64)
        self.meta = np.zeros((n_slots, 4), np.int64)
        self.meta[:, BEFORE_TS] = -1
        self._limits = self._first_limits(0, n_slots)
        self._seals = np.zeros(n_groups, np.int32)

    def grow(self, n_slots: int) -> None:
        """Make room for at least `n_slots` slots."""
        old = len(self.rows)
        if n_slots <= old:
            return
        capacity = -(-max(n_slots, 2 * old) // GROUP_SLOTS) * GROUP_SLOTS
        rows = np.zeros((capacity, *self.rows.shape[1:]), np.uint64)
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

    def next_key(self, slot: int) -> int:
        """Return the name of the block that the rows a slot holds now will be sealed in."""
        group = slot // GROUP_SLOTS
        return block_key(group, int(self._seals[group]))

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
        """Take over a snapshot into this fresh head, also one made with other `chunk_rows`.

        Raises
        ------
        SnapshotError
            When the arrays do not belong together, or another release grouped slots differently.
        """
        saved, n_groups = state["head.rows"], len(state["head.seals"])
        n_slots = n_groups * GROUP_SLOTS
        if len(saved) != n_slots or len(state["head.meta"]) != n_slots:
            raise SnapshotError(f"saved rows are not in {n_groups} groups of {GROUP_SLOTS} slots")
        n_rows = saved.shape[1]
        if n_rows > self.rows.shape[1]:
            # Rows beyond a lowered chunk_rows stay where they are; the limits seal them soon.
            self.rows = np.zeros((len(self.rows), n_rows, 2), np.uint64)
        self.grow(n_slots)
        self.rows[:n_slots, :n_rows] = saved
        self.meta[:n_slots] = state["head.meta"]
        self._limits[:n_groups] = np.minimum(state["head.limits"], np.int32(self._chunk_rows))
        self._seals[:n_groups] = state["head.seals"]

    def _first_limits(self, first_slot: int, end_slot: int) -> I32:
        groups = np.arange(first_slot // GROUP_SLOTS, end_slot // GROUP_SLOTS)
        return (1 + groups * _STAGGER % self._chunk_rows).astype(np.int32)
