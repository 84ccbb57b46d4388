"""Which live series carry which labels: interned pairs, postings, matchers to slots."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from aiops.domain.labels import Labels
from aiops.domain.matchers import Matcher, Matchers, MatchOp
from aiops.domain.samples import I32

Mask = npt.NDArray[np.bool_]


class SeriesIndex:
    """Inverted index over slots; label pairs are stored once however many series carry them.

    A series costs about 75 bytes plus 4 a label. Cost of a matcher: one mask over all slots, plus,
    for regular expressions, one test for each distinct value of the label.
    """

    def __init__(self) -> None:
        self._pair_ids: dict[bytes, int] = {}
        self._raw: list[bytes] = []
        self._pairs: list[tuple[str, str]] = []
        self._free_pairs: list[int] = []
        self._postings: list[array[int]] = []
        self._names: dict[str, dict[str, int]] = {}
        self._series: list[bytes] = []
        self._alive = np.zeros(1024, np.bool_)

    def add(self, slot: int, block: bytes) -> None:
        """Enter a series by its canonical label block; the slot must be free."""
        find, postings = self._pair_ids.get, self._postings
        ids = array("I")
        position = 0
        while position < len(block):  # the one loop in Python a new series pays for
            size = block[position + 1]
            end = position + 2 + size if size < 0x80 else _end_of_long_field(block, position)
            field = block[position:end]
            position = end
            pair_id = find(field)
            if pair_id is None:
                pair_id = self._intern(field)
            postings[pair_id].append(slot)
            ids.append(pair_id)
        while len(self._series) <= slot:
            self._series.append(b"")
        self._series[slot] = ids.tobytes()
        self._reserve(slot + 1)
        self._alive[slot] = True

    def remove(self, slots: I32) -> None:
        """Forget series; one pass over the postings they were in, however many they are."""
        touched = {pair_id for slot in slots.tolist() for pair_id in self._ids(slot)}
        for pair_id in touched:
            entries = np.frombuffer(self._postings[pair_id], np.uint32)
            kept = entries[~np.isin(entries, slots)]
            self._postings[pair_id] = array("I", kept.tobytes())
            if len(kept) == 0:
                self._forget_pair(pair_id)
        for slot in slots.tolist():
            self._series[slot] = b""
        self._alive[slots] = False

    def labels(self, slot: int) -> Labels:
        """Return the label set of a live series."""
        return tuple(self._pairs[pair_id] for pair_id in self._ids(slot))

    def block(self, slot: int) -> bytes:
        """Return the canonical label block of a live series."""
        ids = self._ids(slot)
        return b"".join(self._raw[pair_id] for pair_id in ids)

    def value(self, slot: int, name: str) -> str:
        """Return one label's value of a live series, "" when it has none."""
        for pair_id in self._ids(slot):
            if self._pairs[pair_id][0] == name:
                return self._pairs[pair_id][1]
        return ""

    def with_pair(self, name: str, value: str) -> list[int]:
        """Return the slots that carry exactly this pair."""
        pair_id = self._names.get(name, {}).get(value)
        return [] if pair_id is None else self._postings[pair_id].tolist()

    def select(self, matcher_sets: tuple[Matchers, ...]) -> I32:
        """Return the slots that match any of the sets (all live ones when there is none)."""
        if not matcher_sets:
            return np.flatnonzero(self._alive).astype(np.int32)
        found = np.zeros(len(self._alive), np.bool_)
        for matchers in matcher_sets:
            found |= self._match(matchers)
        return np.flatnonzero(found).astype(np.int32)

    def names(self, slots: I32 | None) -> list[str]:
        """Return the sorted label names on these slots (on all when None)."""
        return sorted(name for name in self._names if any(self._values(name, slots)))

    def values(self, name: str, slots: I32 | None) -> list[str]:
        """Return the sorted values of a label on these slots (on all when None)."""
        return sorted(self._values(name, slots))

    def _values(self, name: str, slots: I32 | None) -> Iterator[str]:
        wanted = None if slots is None else self._mask(slots)
        for value, pair_id in self._names.get(name, {}).items():
            entries = np.frombuffer(self._postings[pair_id], np.uint32)
            if len(entries) and (wanted is None or wanted[entries].any()):
                yield value

    def _match(self, matchers: Matchers) -> Mask:
        found = self._alive.copy()
        for matcher in matchers:
            found &= self._match_one(matcher)
        return found

    def _match_one(self, matcher: Matcher) -> Mask:
        values = self._names.get(matcher.name, {})
        if matcher.op is MatchOp.EQUAL and matcher.value:
            pair_id = values.get(matcher.value)
            return self._union([] if pair_id is None else [pair_id])
        hits = [pair_id for value, pair_id in values.items() if matcher.is_match(value)]
        found = self._union(hits)
        if matcher.is_match(""):
            found |= ~self._union(values.values())
        return found

    def _union(self, pair_ids: Iterable[int]) -> Mask:
        mask = np.zeros(len(self._alive), np.bool_)
        for pair_id in pair_ids:
            mask[np.frombuffer(self._postings[pair_id], np.uint32)] = True
        return mask

    def _mask(self, slots: I32) -> Mask:
        mask = np.zeros(len(self._alive), np.bool_)
        mask[slots] = True
        return mask

    def _ids(self, slot: int) -> array[int]:
        return array("I", self._series[slot])

    def _intern(self, pair: bytes) -> int:
        name, value = _decode_pair(pair)
        if self._free_pairs:
            pair_id = self._free_pairs.pop()
            self._raw[pair_id], self._pairs[pair_id] = pair, (name, value)
        else:
            pair_id = len(self._pairs)
            self._raw.append(pair)
            self._pairs.append((name, value))
            self._postings.append(array("I"))
        self._pair_ids[pair] = pair_id
        self._names.setdefault(name, {})[value] = pair_id
        return pair_id

    def _forget_pair(self, pair_id: int) -> None:
        name, value = self._pairs[pair_id]
        del self._pair_ids[self._raw[pair_id]]
        del self._names[name][value]
        if not self._names[name]:
            del self._names[name]
        self._free_pairs.append(pair_id)

    def _reserve(self, n_slots: int) -> None:
        if n_slots > len(self._alive):
            grown = np.zeros(max(n_slots, 2 * len(self._alive)), np.bool_)
            grown[: len(self._alive)] = self._alive
            self._alive = grown


def _end_of_long_field(block: bytes, position: int) -> int:
    length, start = _length(block, position + 1)
    return start + length


def _decode_pair(field: bytes) -> tuple[str, str]:
    _, start = _length(field, 1)
    name_length, name_start = _length(field, start + 1)
    value_at = name_start + name_length
    value_length, value_start = _length(field, value_at + 1)
    return field[name_start:value_at].decode(), field[value_start:][:value_length].decode()


def _length(block: bytes, position: int) -> tuple[int, int]:
    """Return (length, next position); the edge has checked that labels stay below 256 KiB."""
    length = block[position]
    if length < 0x80:
        return length, position + 1
    length = length & 0x7F | block[position + 1] << 7
    if length < 0x4000:
        return length, position + 2
    return length & 0x3FFF | block[position + 2] << 14, position + 3
