"""Derived series: what histograms and ratios come to, beside the series that were sent.

Goes in: which series are new, and the kept rows of a batch. Comes out: rows of derived series,
which then take the way of all rows, and series that are judged no more since others speak for
them. A derived series lives as long as what it is made of.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from aiops.config_derived import DerivedConfig
from aiops.derived_book import DerivedBook, DerivedRows
from aiops.domain.labels import METRIC_NAME, Labels, labels_from
from aiops.domain.samples import I32, I64, U64
from aiops.series.histograms import BUCKET_SUFFIX, Histograms, Key, split_bucket
from aiops.series.kernels import intake
from aiops.series.ratios import Ratios
from aiops.series.table import DERIVED, PART, RAW, SeriesTable

KIN_SUFFIXES = ("_count", "_sum")
"""OpenMetrics 1.0, section "Histogram": what a histogram shows beside its buckets."""

RATIO_SHARE = 10
"""Chosen: one derived series in ten is for ratios, of which there are few beside histograms."""

Arrays = dict[str, npt.NDArray[np.generic]]
Former = dict[int, int]
"""Slot -> kind before, of series that are now judged otherwise."""


class DerivedWatch:
    """Makes series of what `Histograms` and `Ratios` say, and keeps buckets from being judged.

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
    The series of a histogram is named as recording rules are, operation last: `X:p95`, with the
    labels that all buckets share. `X_count` and `X_sum` are parts of the histogram as well, since
    `X:rate` says what they would. What a ratio is made of is judged itself all the same.

    *Limits.* If a sender has series with the very names and labels, there are two of each.
    """

    def __init__(self, config: DerivedConfig, table: SeriesTable, capacity: int) -> None:
        self._is_enabled = config.histograms.enabled
        self._has_ratios = bool(config.ratios)
        self._table = table
        n_ratios = config.series_max // RATIO_SHARE if config.ratios else 0
        n_signals = 1 + len(config.histograms.quantiles)
        families_max = (config.series_max - n_ratios) // n_signals
        self.histograms = Histograms(config.histograms, families_max, capacity)
        self.ratios = Ratios(config.ratios, n_ratios, capacity)
        self._of_histograms = DerivedBook(table, "histograms", n_signals)
        self._of_ratios = DerivedBook(table, "ratios", 1)
        self._kin: dict[Key, list[int]] = {}

    @property
    def n_live(self) -> int:
        """Derived series."""
        return self._of_histograms.n_live + self._of_ratios.n_live

    @property
    def rows_total(self) -> int:
        """Rows of derived series."""
        return self._of_histograms.rows_total + self._of_ratios.rows_total

    @property
    def refused_total(self) -> int:
        """Derived series that were not made, since their fingerprint was taken."""
        return self._of_histograms.refused_total + self._of_ratios.refused_total

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots."""
        self.histograms.grow(capacity)
        self.ratios.grow(capacity)

    def admit(self, slots: I32) -> Former:
        """Look into new series; return what else had rows and is now judged no more.

        That is the count of a histogram of which a sender showed the buckets later.
        """
        if self._has_ratios:
            self._join_ratios(slots)
        return self._admit_histograms(slots) if self._is_enabled else {}

    def follow(self, slots: I32, ts_ms: I64, bits: U64, now_ms: int) -> Iterator[DerivedRows]:
        """Take in kept rows of a batch; yield the rows of derived series that follow from them.

        The columns must stay as they are until the last was yielded.
        """
        seen_ms = self._table.seen_ms
        for signals in self.histograms.take(slots, ts_ms, bits, now_ms=now_ms, seen_ms=seen_ms):
            yield self._of_histograms.rows(signals, self._histogram_labels, now_ms)
        ratios = self.ratios.take(slots, ts_ms, bits)
        if ratios is not None and len(ratios.bits):
            yield self._of_ratios.rows(ratios, self._ratio_labels, now_ms)

    def with_derived(self, slots: I32) -> I32:
        """Return these slots and those of series that are derived from them."""
        of_histograms = self._of_histograms.slots_of(self.histograms.families_of(slots))
        of_ratios = self._of_ratios.slots_of(self.ratios.families_of(slots))
        joined: I32 = np.unique(np.concatenate([slots, of_histograms, of_ratios]))
        return joined

    def forget(self, slots: I32) -> tuple[I32, Former]:
        """Take series out that are about to be evicted; return them with those that go along.

        Second comes what had been part of a histogram that is gone, and is judged itself again.
        """
        self._of_histograms.forget(slots)
        self._of_ratios.forget(slots)
        families, keys, ratios = [], [], []
        for slot in slots.tolist():
            self._drop_kin(slot)
            ratios += self.ratios.leave(slot)
            family = self.histograms.leave(slot, self._table.labels)
            if family >= 0:
                families.append(family)
                keys.append(_bucket_key(self._table.labels(slot)))
        orphans = (self._of_histograms.slots_of(families), self._of_ratios.slots_of(ratios))
        self._of_histograms.drop(families)
        self._of_ratios.drop(ratios)
        kin: I32 = np.array([s for key in keys for s in self._kin.get(key, ())], np.int32)
        together: I32 = np.unique(np.concatenate([slots, *orphans]))
        return together, self._table.set_roles(kin, RAW)

    def state(self, n_slots: int) -> Arrays:
        """Return the arrays of a snapshot, as live views; none of what is not derived."""
        arrays: Arrays = {}
        if self._is_enabled:
            arrays |= self.histograms.state(n_slots) | self._of_histograms.state()
        if self._has_ratios:
            arrays |= self.ratios.state(n_slots) | self._of_ratios.state()
        return arrays

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]], live: I32) -> None:
        """Take over a snapshot; what it derived not, or otherwise, begins anew."""
        table = self._table
        has_histograms = self._is_enabled and self.histograms.is_known_to(arrays)
        has_ratios = self._has_ratios and self.ratios.is_known_to(arrays)
        if has_histograms:
            self.histograms.restore(arrays, table.labels)
            self._of_histograms.restore(arrays)
        if has_ratios:
            self.ratios.restore(arrays)
            self._of_ratios.restore(arrays)
        known = np.concatenate([self._of_histograms.slots(), self._of_ratios.slots()])
        is_left = (table.roles[live] == DERIVED) & ~np.isin(live, known)
        table.set_roles(live[is_left], RAW)  # nobody writes them any more: they idle out
        if has_histograms:
            for slot in live.tolist():
                self._note_kin(slot)
        else:
            table.set_roles(live[table.roles[live] == PART], RAW)
            if self._is_enabled:
                self._admit_histograms(live)
        if self._has_ratios and not has_ratios:
            self._join_ratios(live)

    def _join_ratios(self, slots: I32) -> None:
        for slot in slots[self._table.roles[slots] != DERIVED].tolist():
            self.ratios.join(slot, self._table.labels(slot))
        self._of_ratios.make_room(self.ratios.n_families)

    def _admit_histograms(self, slots: I32) -> Former:
        table = self._table
        counters = slots[table.track[slots, intake.KIND] == intake.COUNTER]
        parts, keys = [], []
        for slot in counters.tolist():
            name = table.index.value(slot, METRIC_NAME)
            if name.endswith(BUCKET_SUFFIX):
                labels = table.labels(slot)
                if self.histograms.join(slot, labels):
                    parts.append(slot)
                    keys.append(_bucket_key(labels))
            else:
                keys += self._note_kin(slot)
        self._of_histograms.make_room(self.histograms.n_families)
        for key in keys:
            if self.histograms.has(key):
                parts += self._kin.get(key, ())
        found: I32 = np.unique(np.array(parts, np.int32))
        former = table.set_roles(found[table.roles[found] == RAW], PART)
        return {s: k for s, k in former.items() if table.track[s, intake.PHASE] != intake.EMPTY}

    def _histogram_labels(self, family: int, number: int) -> Labels:
        operation = self.histograms.operations[number]
        pairs = dict(self.histograms.key(family, self._table.labels))
        return labels_from({**pairs, METRIC_NAME: f"{pairs[METRIC_NAME]}:{operation}"})

    def _ratio_labels(self, family: int, _number: int) -> Labels:
        return self.ratios.labels(family)

    def _note_kin(self, slot: int) -> list[Key]:
        if not self._table.index.value(slot, METRIC_NAME).endswith(KIN_SUFFIXES):
            return []
        key = _kin_key(self._table.labels(slot))
        self._kin.setdefault(key, []).append(slot)
        return [key]

    def _drop_kin(self, slot: int) -> None:
        if not self._table.index.value(slot, METRIC_NAME).endswith(KIN_SUFFIXES):
            return
        key = _kin_key(self._table.labels(slot))
        if slot in self._kin.get(key, ()):
            self._kin[key].remove(slot)
            if not self._kin[key]:
                del self._kin[key]


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
