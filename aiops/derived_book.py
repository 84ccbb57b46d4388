"""The book of derived series: which slot each value goes to, made when there is a first one."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.domain.labels import Labels
from aiops.domain.samples import I32, I64, STALE_BITS, U64
from aiops.series.derived import Signals, with_rows
from aiops.series.table import DERIVED, SeriesTable
from aiops.series.u64_map import MISSING
from aiops.wire.labels import encode_labels

_REFUSED = -1

LabelsOf = Callable[[int, int], Labels]
"""Labels of a derived series, by its family and number."""


@dataclass(frozen=True, slots=True)
class DerivedRows:
    """Rows of derived series, in order; `new_slots` were given to some of these just now."""

    slot_values: U64
    ts_ms: I64
    bits: U64
    new_slots: I32


class DerivedBook:
    """Slots of derived series by family and number.

    Parameters
    ----------
    table
        Gets the series.
    prefix
        Of the names in a snapshot.
    n_numbers
        Series a family has at most.

    Notes
    -----
    The fingerprint is a hash of the labels and thus the same after a restart, an eviction and on
    replay; it is not keyed, so one that is taken already is refused, and counted.
    """

    def __init__(self, table: SeriesTable, prefix: str, n_numbers: int) -> None:
        self.rows_total = 0
        self.refused_total = 0
        self._table = table
        self._prefix = prefix
        self._made: I32 = np.zeros((0, n_numbers), np.int32)

    @property
    def n_live(self) -> int:
        """Derived series."""
        return int(np.count_nonzero(self._made > 0))

    def make_room(self, n_families: int) -> None:
        """Make room for families with numbers below that."""
        self._made = with_rows(self._made, n_families)

    def rows(self, signals: Signals, labels_of: LabelsOf, now_ms: int) -> DerivedRows:
        """Return values as rows of their series, which get a slot if they have none."""
        new_slots = self._make(signals, labels_of, now_ms)
        made = self._made[signals.families, signals.numbers]
        is_made = made > 0
        slot_values = (made[is_made] - 1).astype(np.uint64)
        self.rows_total += len(slot_values)
        return DerivedRows(slot_values, signals.ts_ms[is_made], signals.bits[is_made], new_slots)

    def slots(self) -> I32:
        """Return the slots of all derived series."""
        slots: I32 = self._made[self._made > 0] - np.int32(1)
        return slots

    def slots_of(self, families: Iterable[int]) -> I32:
        """Return the slots of these families' series."""
        made = self._made[np.fromiter(families, np.int64)]
        slots: I32 = made[made > 0] - np.int32(1)
        return slots

    def drop(self, families: Iterable[int]) -> None:
        """Forget the series of families that are gone."""
        self._made[np.fromiter(families, np.int64)] = 0

    def forget(self, slots: I32) -> None:
        """Forget those of these slots that are in the book; they are evicted."""
        self._made[np.isin(self._made, slots + 1)] = 0

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays of a snapshot, as live views."""
        totals = np.array([self.rows_total, self.refused_total], np.int64)
        return {f"{self._prefix}.made": self._made, f"{self._prefix}.totals": totals}

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over a snapshot."""
        self._made = np.array(arrays[f"{self._prefix}.made"], np.int32)
        self.rows_total, self.refused_total = arrays[f"{self._prefix}.totals"].tolist()

    def _make(self, signals: Signals, labels_of: LabelsOf, now_ms: int) -> I32:
        families, numbers = signals.families.astype(np.int64), signals.numbers
        is_missing = self._made[families, numbers] == 0
        is_missing &= signals.bits != np.uint64(STALE_BITS)
        if not is_missing.any():
            return np.empty(0, np.int32)
        wanted = np.unique(families[is_missing] << 8 | numbers[is_missing])
        places = [(code >> 8, code & 0xFF) for code in wanted.tolist()]
        blocks = [encode_labels(labels_of(family, number)) for family, number in places]
        fingerprints = [_fingerprint(block) for block in blocks]
        table = self._table
        new_slots = table.add(fingerprints, blocks, now_ms)
        slot_values = np.empty(len(blocks), np.uint64)
        table.find(np.array(fingerprints, np.uint64), slot_values)
        for place, block, slot in zip(places, blocks, slot_values.tolist(), strict=True):
            is_own = table.block(slot) == block
            self._made[place] = slot + 1 if is_own else _REFUSED
            self.refused_total += not is_own
        own = self._made[tuple(zip(*places, strict=True))]
        table.set_roles(own[own > 0] - np.int32(1), DERIVED)
        return new_slots


def _fingerprint(block: bytes) -> int:
    digest = hashlib.blake2b(block, digest_size=8, person=b"aiops-derived").digest()
    # 0 and MISSING mean something else in the map
    return min(max(int.from_bytes(digest, "little"), 1), MISSING - 1)
