"""Derived series: what histograms show, as series of their own beside those that were sent.

Goes in: which series are new, and the kept rows of a batch. Comes out: rows of derived series,
which then take the way of all rows, and series that are judged no more since others speak for
them. A derived series lives as long as what it is made of.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.config_derived import DerivedConfig
from aiops.domain.labels import METRIC_NAME, Labels, labels_from
from aiops.domain.samples import I32, I64, STALE_BITS, U64
from aiops.series.histograms import BUCKET_SUFFIX, Histograms, Key, Signals, split_bucket
from aiops.series.kernels import intake
from aiops.series.table import DERIVED, PART, RAW, SeriesTable
from aiops.series.u64_map import MISSING
from aiops.wire.labels import encode_labels

KIN_SUFFIXES = ("_count", "_sum")
"""OpenMetrics 1.0, section "Histogram": what a histogram shows beside its buckets."""

_REFUSED = -1

Arrays = dict[str, npt.NDArray[np.generic]]
Former = dict[int, int]
"""Slot -> kind before, of series that are now judged otherwise."""


@dataclass(frozen=True, slots=True)
class DerivedRows:
    """Rows of derived series, in order; `new_slots` were given to some of these just now."""

    slot_values: U64
    ts_ms: I64
    bits: U64
    new_slots: I32


class DerivedWatch:
    """Makes series of what `Histograms` says, and keeps their parts from being judged singly.

    Parameters
    ----------
    config
        What is derived, and how much at most.
    table
        Gets the derived series, and the roles of all.
    capacity
        Number of slots.

    Notes
    -----
    The series is named as recording rules are, operation last: `X:p95`, with the labels that all
    buckets share. Its fingerprint is a hash of these labels and thus the same after a restart, an
    eviction and on replay; it is not keyed, so one that is taken already is refused, and counted.

    `X_count` and `X_sum` of a histogram are its parts as well: `X:rate` says what they would.

    *Limits.* If a sender has series with the very names and labels, there are two of each.
    """

    def __init__(self, config: DerivedConfig, table: SeriesTable, capacity: int) -> None:
        self._is_enabled = config.histograms.enabled
        self._table = table
        n_signals = 1 + len(config.histograms.quantiles)
        self.histograms = Histograms(config.histograms, config.series_max // n_signals, capacity)
        self.rows_total = 0
        self.refused_total = 0
        self._made: I32 = np.zeros((0, n_signals), np.int32)
        self._kin: dict[Key, list[int]] = {}

    @property
    def n_live(self) -> int:
        """Derived series."""
        return int(np.count_nonzero(self._made > 0))

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots."""
        self.histograms.grow(capacity)

    def admit(self, slots: I32) -> Former:
        """Look for histograms in new series; return what else had rows and is now judged no more.

        That is the count of a histogram of which a sender showed the buckets later.
        """
        table = self._table
        if not self._is_enabled:
            return {}
        counters = slots[table.track[slots, intake.KIND] == intake.COUNTER]
        parts, keys = [], []
        for slot in counters.tolist():
            name = table.index.value(slot, METRIC_NAME)
            if name.endswith(KIN_SUFFIXES):
                key = _kin_key(table.labels(slot))
                self._kin.setdefault(key, []).append(slot)
                keys.append(key)
            elif name.endswith(BUCKET_SUFFIX):
                labels = table.labels(slot)
                if self.histograms.join(slot, labels):
                    parts.append(slot)
                    keys.append(_bucket_key(labels))
        self._make_room()
        for key in keys:
            if self.histograms.has(key):
                parts += self._kin.get(key, ())
        fresh: I32 = np.array(parts, np.int32)
        former = table.set_roles(np.unique(fresh[table.roles[fresh] == RAW]), PART)
        return {s: k for s, k in former.items() if table.track[s, intake.PHASE] != intake.EMPTY}

    def follow(self, slots: I32, ts_ms: I64, bits: U64, now_ms: int) -> Iterator[DerivedRows]:
        """Take in kept rows of a batch; yield the rows of derived series that follow from them.

        The columns must stay as they are until the last was yielded.
        """
        seen_ms = self._table.seen_ms
        for signals in self.histograms.take(slots, ts_ms, bits, now_ms=now_ms, seen_ms=seen_ms):
            new_slots = self._make(signals, now_ms)
            made = self._made[signals.families, signals.numbers]
            is_made = made > 0
            slot_values = (made[is_made] - 1).astype(np.uint64)
            self.rows_total += len(slot_values)
            yield DerivedRows(slot_values, signals.ts_ms[is_made], signals.bits[is_made], new_slots)

    def with_derived(self, slots: I32) -> I32:
        """Return these slots and those of series that are derived from them."""
        families = self.histograms.families_of(slots)
        return _joined(slots, self._made[families])

    def forget(self, slots: I32) -> tuple[I32, Former]:
        """Take series out that are about to be evicted; return them with those that go along.

        Second comes what had been part of a histogram that is gone, and is judged itself again.
        """
        self._made[np.isin(self._made, slots + 1)] = 0
        table, gone, keys = self._table, [], []
        for slot in slots.tolist():
            if table.index.value(slot, METRIC_NAME).endswith(KIN_SUFFIXES):
                self._drop_kin(slot)
            family = self.histograms.leave(slot, table.labels)
            if family >= 0:
                gone.append(family)
                keys.append(_bucket_key(table.labels(slot)))
        together = _joined(slots, self._made[gone])
        self._made[gone] = 0
        kin: I32 = np.array([s for key in keys for s in self._kin.get(key, ())], np.int32)
        return together, table.set_roles(kin, RAW)

    def state(self, n_slots: int) -> Arrays:
        """Return the arrays of a snapshot, as live views; none when nothing is derived."""
        if not self._is_enabled:
            return {}
        return {
            **self.histograms.state(n_slots),
            "derived.made": self._made,
            "derived.totals": np.array([self.rows_total, self.refused_total], np.int64),
        }

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]], live: I32) -> None:
        """Take over a snapshot; one that derived nothing, or otherwise, begins anew."""
        table = self._table
        if not self._is_enabled or not self.histograms.is_known_to(arrays):
            table.set_roles(live[table.roles[live] != RAW], RAW)
            self.admit(live)
            return
        self.histograms.restore(arrays, table.labels)
        self._made = np.array(arrays["derived.made"], np.int32)
        self.rows_total, self.refused_total = arrays["derived.totals"].tolist()
        for slot in live.tolist():
            if table.index.value(slot, METRIC_NAME).endswith(KIN_SUFFIXES):
                self._kin.setdefault(_kin_key(table.labels(slot)), []).append(slot)

    def _make(self, signals: Signals, now_ms: int) -> I32:
        """Give a slot to each signal that has none; return the slots that are new."""
        missing = self._made[signals.families, signals.numbers] == 0
        missing &= signals.bits != np.uint64(STALE_BITS)
        if not missing.any():
            return np.empty(0, np.int32)
        wanted = np.unique(
            signals.families[missing].astype(np.int64) << 8 | signals.numbers[missing]
        )
        places = [(code >> 8, code & 0xFF) for code in wanted.tolist()]
        blocks = [self._block(family, number) for family, number in places]
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

    def _block(self, family: int, number: int) -> bytes:
        labels = self.histograms.key(family, self._table.labels)
        operation = self.histograms.operations[number]
        renamed = ((k, f"{v}:{operation}" if k == METRIC_NAME else v) for k, v in labels)
        return encode_labels(tuple(renamed))

    def _make_room(self) -> None:
        n_families = self.histograms.n_families
        if n_families > len(self._made):
            grown = np.zeros((n_families, self._made.shape[1]), np.int32)
            grown[: len(self._made)] = self._made
            self._made = grown

    def _drop_kin(self, slot: int) -> None:
        key = _kin_key(self._table.labels(slot))
        if slot in self._kin.get(key, ()):
            self._kin[key].remove(slot)
            if not self._kin[key]:
                del self._kin[key]


def _joined(slots: I32, made: I32) -> I32:
    """Return slots, and those that are kept as slot + 1, each once in order."""
    joined: I32 = np.unique(np.concatenate([slots, made[made > 0] - np.int32(1)]))
    return joined


def _kin_key(labels: Labels) -> Key:
    """Return the family whose count or sum a series is."""
    pairs = dict(labels)
    pairs[METRIC_NAME] = pairs[METRIC_NAME].rpartition("_")[0]
    return labels_from(pairs)


def _bucket_key(labels: Labels) -> Key:
    """Return the family that a bucket belongs to."""
    split = split_bucket(labels)
    assert split is not None, "only buckets are asked for"
    return split[0]


def _fingerprint(block: bytes) -> int:
    digest = hashlib.blake2b(block, digest_size=8, person=b"aiops-derived").digest()
    # 0 and MISSING mean something else in the map
    return min(max(int.from_bytes(digest, "little"), 1), MISSING - 1)
