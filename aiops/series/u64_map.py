"""A growing map of uint64 keys to uint64 values, worked on by the batch."""

import numpy as np

from aiops.domain.samples import U64
from aiops.series.kernels.u64_map import MISSING, k_u64_map_drop, k_u64_map_get, k_u64_map_put

__all__ = ["MISSING", "U64Map"]

_CAPACITY_MIN = 1024


class U64Map:
    """Hash map in one array, at most half full; one writer, no locks.

    Keys must be well mixed and not 0; values must not be `MISSING`. About 32-64 bytes a key.
    """

    def __init__(self) -> None:
        self._table = np.zeros((_CAPACITY_MIN, 2), np.uint64)
        self._n_keys = 0

    def __len__(self) -> int:
        return self._n_keys

    def get(self, keys: U64, values: U64) -> int:
        """Write the value of each key into `values` (MISSING if unknown); return how many miss."""
        return int(k_u64_map_get(keys, self._table, values))

    def get_one(self, key: int) -> int:
        """Return the value of one key, or MISSING."""
        value = np.empty(1, np.uint64)
        self.get(np.array([key], np.uint64), value)
        return int(value[0])

    def put(self, keys: U64, values: U64) -> int:
        """Store each key with its value; return how many keys were new."""
        self._reserve(self._n_keys + len(keys))
        n_new = int(k_u64_map_put(keys, values, self._table))
        self._n_keys += n_new
        return n_new

    def drop(self, keys: U64) -> int:
        """Remove the keys that are there; return how many were."""
        n_dropped = int(k_u64_map_drop(keys, self._table))
        self._n_keys -= n_dropped
        return n_dropped

    def entries(self) -> tuple[U64, U64]:
        """Return copies of all keys and their values, in no particular order."""
        used = self._table[self._table[:, 0] != 0]
        return used[:, 0].copy(), used[:, 1].copy()

    def _reserve(self, n_keys: int) -> None:
        capacity = len(self._table)
        while capacity < 2 * n_keys:
            capacity *= 2
        if capacity > len(self._table):
            keys, values = self.entries()
            self._table = np.zeros((capacity, 2), np.uint64)
            k_u64_map_put(keys, values, self._table)
