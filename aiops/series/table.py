"""The engine's table: a slot for every live series, and what intake knows about it."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from aiops.domain.labels import METRIC_NAME, Labels
from aiops.domain.matchers import Matchers, match_all
from aiops.domain.samples import I32, U8, U64, MetricMetadata
from aiops.series.index import SeriesIndex
from aiops.series.kernels import intake
from aiops.series.u64_map import MISSING, U64Map
from aiops.series.units import unit_of

Scalar = TypeVar("Scalar", bound=np.generic)

_SLOTS_MIN = 1024
_COUNTER_SUFFIXES = ("_total", "_count", "_sum", "_bucket")
"""OpenMetrics 1.0, section "Suffixes": samples of counters, histograms and summaries."""

_CUMULATIVE_KINDS = {
    "counter": ("", "_total"),
    "histogram": ("_bucket", "_count", "_sum"),
    "summary": ("_count", "_sum"),
}
RAW, PART, DERIVED = range(3)
"""Roles of a series: judged itself; stored, and judged together with others; made by the core."""

METADATA_MAX = 50_000
"""Chosen: metric families remembered; a large Kubernetes cluster shows about 5,000."""


class SeriesTable:
    """Slots of live series: identity, labels, last sample and kind; the engine is its one writer.

    Parameters
    ----------
    ignore
        Matcher sets of series that are stored but not judged.
    capacity
        Slots to begin with; more are made as needed.
    """

    def __init__(self, ignore: Sequence[Matchers] = (), capacity: int = _SLOTS_MIN) -> None:
        self.index = SeriesIndex()
        self.n_slots = 0
        self.fingerprints = np.zeros(capacity, np.uint64)
        self.track = np.zeros((capacity, 4), np.int64)
        self.seen_ms = np.zeros(capacity, np.int64)
        self.roles: U8 = np.zeros(capacity, np.uint8)
        self._map = U64Map()
        self._free: list[int] = []
        self._ignore = tuple(ignore)
        self._metadata: dict[str, MetricMetadata] = {}
        self._kinds: dict[str, int] = {}

    @property
    def capacity(self) -> int:
        """Slots the arrays have room for."""
        return len(self.fingerprints)

    @property
    def n_series(self) -> int:
        """Live series."""
        return len(self._map)

    def add(self, fingerprints: Sequence[int], blocks: Sequence[bytes], now_ms: int) -> I32:
        """Give slots to those series that have none yet; return the slots given."""
        wanted = np.array(fingerprints, np.uint64)
        slot_values = np.empty(len(wanted), np.uint64)
        self._map.get(wanted, slot_values)
        missing = np.flatnonzero(slot_values == np.uint64(MISSING)).tolist()
        fresh = {fingerprints[row]: blocks[row] for row in missing}
        slots = self._allocate(len(fresh))
        added = np.fromiter(fresh, np.uint64, len(fresh))
        self._map.put(added, slots.astype(np.uint64))
        self.fingerprints[slots] = added
        self.seen_ms[slots] = now_ms
        self.track[slots] = 0
        for slot, block in zip(slots.tolist(), fresh.values(), strict=True):
            self.index.add(slot, block)
            kind = self._kind_of(slot)
            if kind != intake.GAUGE:
                self.track[slot, intake.KIND] = kind
        return slots

    def find(self, fingerprints: U64, slot_values: U64) -> None:
        """Write the slot of each fingerprint, MISSING for unknown ones."""
        self._map.get(fingerprints, slot_values)

    def evict(self, fingerprints: Sequence[int], idle_before_ms: int) -> I32:
        """Free the slots of those series that were not seen since; return these slots."""
        slot_values = np.empty(len(fingerprints), np.uint64)
        self._map.get(np.array(fingerprints, np.uint64), slot_values)
        slots = slot_values[slot_values != np.uint64(MISSING)].astype(np.int32)
        gone: I32 = np.unique(slots[self.seen_ms[slots] < idle_before_ms])
        self._map.drop(self.fingerprints[gone])
        self.index.remove(gone)
        self.fingerprints[gone] = 0
        self.track[gone] = 0
        self.roles[gone] = RAW
        self._free.extend(gone.tolist())
        return gone

    def set_roles(self, slots: I32, role: int) -> dict[int, int]:
        """Give series a role; return slot -> former kind where that changed it, by slot."""
        self.roles[slots] = role
        former = {}
        for slot in sorted(slots.tolist()):
            kind = self._kind_of(slot)
            if self.track[slot, intake.KIND] != kind:
                former[slot] = int(self.track[slot, intake.KIND])
                self.track[slot, intake.KIND] = kind
        return former

    def idle(self, idle_before_ms: int) -> U64:
        """Return the fingerprints of live series, of those sent to us, not seen since a time."""
        used = self.fingerprints[: self.n_slots]
        is_sent = (used != 0) & (self.roles[: self.n_slots] != DERIVED)
        idle: U64 = used[is_sent & (self.seen_ms[: self.n_slots] < idle_before_ms)]
        return idle

    def sent_fingerprints(self) -> U64:
        """Return the fingerprints of all live series that were sent to us."""
        used = self.fingerprints[: self.n_slots]
        sent: U64 = used[(used != 0) & (self.roles[: self.n_slots] != DERIVED)]
        return sent

    def live_fingerprints(self) -> U64:
        """Return the fingerprints of all live series."""
        used = self.fingerprints[: self.n_slots]
        live: U64 = used[used != 0]
        return live

    def learn_metadata(self, entries: Sequence[MetricMetadata]) -> dict[int, int]:
        """Remember families; return slot -> former kind where it changed, in order of slots."""
        former: dict[int, int] = {}
        for entry in entries:
            if len(self._metadata) < METADATA_MAX or entry.family in self._metadata:
                self._metadata[entry.family] = entry
                former = self._apply_kind(entry) | former
        return dict(sorted(former.items()))

    def metadata(self) -> list[MetricMetadata]:
        """Return what is known about families, sorted by name."""
        return [self._metadata[family] for family in sorted(self._metadata)]

    def labels(self, slot: int) -> Labels:
        """Return the label set of a live slot."""
        return self.index.labels(slot)

    def unit(self, slot: int) -> str:
        """Return the unit of what a detector reads of a live slot, "" when it is not known."""
        name = self.index.value(slot, METRIC_NAME)
        if self.roles[slot] == DERIVED:
            return self._derived_unit(name)
        entry = self._metadata.get(name.removesuffix("_total").removesuffix("_sum"))
        entry = entry or self._metadata.get(name)
        is_rate = int(self.track[slot, intake.KIND]) == intake.COUNTER
        return unit_of(name, entry.unit if entry else "", is_rate=is_rate)

    def block(self, slot: int) -> bytes:
        """Return the canonical label block of a slot, empty for a free one."""
        return self.index.block(slot) if self.fingerprints[slot] else b""

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays of a snapshot, as live views; labels are saved apart."""
        return {
            "series.fingerprints": self.fingerprints[: self.n_slots],
            "series.track": self.track[: self.n_slots],
            "series.seen_ms": self.seen_ms[: self.n_slots],
            "series.roles": self.roles[: self.n_slots],
            "series.free": np.array(self._free, np.int32),
        }

    def restore(
        self,
        state: Mapping[str, npt.NDArray[np.generic]],
        blocks: Sequence[bytes],
        metadata: Sequence[MetricMetadata],
    ) -> None:
        """Take over a snapshot; `blocks` has one canonical block a slot, empty for free ones."""
        self.n_slots = len(blocks)
        self._reserve(self.n_slots)
        self.fingerprints[: self.n_slots] = state["series.fingerprints"]
        self.track[: self.n_slots] = state["series.track"]
        self.seen_ms[: self.n_slots] = state["series.seen_ms"]
        self.roles[: self.n_slots] = state["series.roles"]
        self._free = state["series.free"].tolist()
        live = np.flatnonzero(self.fingerprints[: self.n_slots])
        self._map.put(self.fingerprints[live], live.astype(np.uint64))
        for slot in live.tolist():
            self.index.add(slot, blocks[slot])
        self._metadata = {entry.family: entry for entry in metadata}

    def _allocate(self, n_wanted: int) -> I32:
        n_reused = min(n_wanted, len(self._free))
        reused = [self._free.pop() for _ in range(n_reused)]
        first = self.n_slots
        self.n_slots += n_wanted - n_reused
        self._reserve(self.n_slots)
        return np.array([*reused, *range(first, self.n_slots)], np.int32)

    def _derived_unit(self, name: str) -> str:
        stem, _, operation = name.rpartition(":")
        entry = self._metadata.get(stem)
        is_rate = operation == "rate"
        told = entry.unit if entry and not is_rate else ""
        return unit_of(f"{stem}_count" if is_rate else stem, told, is_rate=is_rate)

    def _kind_of(self, slot: int) -> int:
        if self.roles[slot] == PART:
            return intake.PART
        if self._ignore:
            labels = self.labels(slot)
            if any(match_all(matchers, labels) for matchers in self._ignore):
                return intake.IGNORED
        if self.roles[slot] == DERIVED:
            return intake.GAUGE
        name = self.index.value(slot, METRIC_NAME)
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds[name] = _kind_of_name(name, self._metadata)
        return kind

    def _apply_kind(self, entry: MetricMetadata) -> dict[int, int]:
        suffixes = _CUMULATIVE_KINDS.get(entry.kind, ("",))
        self._kinds.clear()
        former = {}
        for suffix in suffixes:
            for slot in self.index.with_pair(METRIC_NAME, entry.family + suffix):
                kind = self._kind_of(slot)
                if self.track[slot, intake.KIND] != kind:
                    former[slot] = int(self.track[slot, intake.KIND])
                    self.track[slot, intake.KIND] = kind
        return former

    def _reserve(self, n_slots: int) -> None:
        if n_slots > self.capacity:
            capacity = max(n_slots, 2 * self.capacity)
            self.fingerprints = _grown(self.fingerprints, capacity)
            self.track = _grown(self.track, capacity)
            self.seen_ms = _grown(self.seen_ms, capacity)
            self.roles = _grown(self.roles, capacity)


def _kind_of_name(name: str, metadata: Mapping[str, MetricMetadata]) -> int:
    for kind, suffixes in _CUMULATIVE_KINDS.items():
        for suffix in suffixes:
            entry = metadata.get(name.removesuffix(suffix))
            if entry is not None and entry.kind == kind and name.endswith(suffix):
                return intake.COUNTER
    entry = metadata.get(name)
    if entry is not None and entry.kind == "gauge":
        return intake.GAUGE
    return intake.COUNTER if name.endswith(_COUNTER_SUFFIXES) else intake.GAUGE


def _grown(old: npt.NDArray[Scalar], capacity: int) -> npt.NDArray[Scalar]:
    grown = np.zeros((capacity, *old.shape[1:]), old.dtype)
    grown[: len(old)] = old
    return grown
