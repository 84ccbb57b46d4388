"""Which group a series belongs to: slots for groups, found by key, bounded in number."""

from collections.abc import Sequence
from hashlib import blake2b

from aiops.domain.labels import Labels, label_value

KEY_SIZE = 16
"""Chosen: bytes of a key; two of a billion groups share one with a chance below 1e-20."""


class GroupSlots:
    """Gives slots to groups by key, and takes them back once the last member left.

    Parameters
    ----------
    n_max
        Groups there may be; members of further ones are in none, and counted in `refused_total`.
    """

    def __init__(self, n_max: int) -> None:
        self.refused_total = 0
        self._n_max = n_max
        self._slots: dict[bytes, int] = {}
        self._keys: list[bytes] = []
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def n_slots(self) -> int:
        """Slots ever given; all are below it."""
        return len(self._keys)

    def find(self, key: bytes) -> int:
        """Return the slot of a group, a new one if need be, -1 when there are too many."""
        slot = self._slots.get(key, -1)
        if slot >= 0:
            return slot
        if len(self._slots) >= self._n_max:
            self.refused_total += 1
            return -1
        if self._free:
            slot = self._free.pop()
            self._keys[slot] = key
        else:
            slot = len(self._keys)
            self._keys.append(key)
        self._slots[key] = slot
        return slot

    def drop(self, slot: int) -> None:
        """Free the slot of a group without members."""
        del self._slots[self._keys[slot]]
        self._keys[slot] = b""
        self._free.append(slot)

    def saved(self) -> tuple[bytes, list[int]]:
        """Return all keys in order of slots, zeros for free ones, and the free slots in order."""
        empty = bytes(KEY_SIZE)
        return b"".join(key or empty for key in self._keys), list(self._free)

    def restore(self, keys: bytes, free: Sequence[int]) -> None:
        """Take over what `saved` returned."""
        cuts = range(0, len(keys), KEY_SIZE)
        self._free = list(free)
        self._keys = [keys[cut : cut + KEY_SIZE] for cut in cuts]
        for slot in self._free:
            self._keys[slot] = b""
        self._slots = {key: slot for slot, key in enumerate(self._keys) if key}


def key_of(labels: Labels) -> bytes:
    """Return the key of a label set: equal for equal sets, on every machine."""
    return blake2b(_spelt(labels), digest_size=KEY_SIZE).digest()


def fingerprint_of(labels: Labels) -> int:
    """Return a 64-bit identity of a label set that is not a series', the same on every machine."""
    return int.from_bytes(blake2b(_spelt(labels), digest_size=8).digest(), "big")


def picked(labels: Labels, names: Sequence[str]) -> Labels:
    """Return these labels of a set, sorted; empty when one of them is missing."""
    pairs = tuple((name, label_value(labels, name)) for name in sorted(names))
    return pairs if all(value for _, value in pairs) else ()


def _spelt(labels: Labels) -> bytes:
    # 0xff occurs in no UTF-8 text, so no two sets are spelt alike
    return b"\xff".join(text.encode() for pair in labels for text in pair)
