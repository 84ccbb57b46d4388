"""An open-addressing map of uint64 to uint64 whose keys are hashes already."""

import numpy as np
from numba import int64, njit, uint64

MISSING = 0xFFFFFFFFFFFFFFFF
"""Value given for a key that is not in the map; never stored."""

SIGNATURE_GET = int64(uint64[::1], uint64[:, ::1], uint64[::1])
SIGNATURE_PUT = int64(uint64[::1], uint64[::1], uint64[:, ::1])
SIGNATURE_DROP = int64(uint64[::1], uint64[:, ::1])


@njit([SIGNATURE_GET], nogil=True, cache=True, error_model="numpy")
def k_u64_map_get(keys, table, values):
    """Write the value of each key into `values`, MISSING where unknown; return how many miss.

    `table` is uint64[capacity, 2] of (key, value), capacity a power of two, key 0 an empty place.
    Key and value share a cache line; look-ups are independent, so that their misses overlap.
    """
    mask = np.uint64(len(table) - 1)
    n_missing = 0
    for row in range(len(keys)):
        key = keys[row]
        place = key & mask
        while table[place, 0] != key and table[place, 0] != 0:
            place = (place + np.uint64(1)) & mask
        if table[place, 0] == key and key != 0:
            values[row] = table[place, 1]
        else:
            values[row] = np.uint64(MISSING)
            n_missing += 1
    return n_missing


@njit([SIGNATURE_PUT], nogil=True, cache=True, error_model="numpy")
def k_u64_map_put(keys, values, table):
    """Store each (key, value), keys not 0; return how many keys are new. The caller keeps room."""
    mask = np.uint64(len(table) - 1)
    n_new = 0
    for row in range(len(keys)):
        key = keys[row]
        place = key & mask
        while table[place, 0] != key and table[place, 0] != 0:
            place = (place + np.uint64(1)) & mask
        if table[place, 0] == 0:
            table[place, 0] = key
            n_new += 1
        table[place, 1] = values[row]
    return n_new


@njit([SIGNATURE_DROP], nogil=True, cache=True, error_model="numpy")
def k_u64_map_drop(keys, table):
    """Remove each key that is there; return how many were.

    Linear probing with backward shift (Knuth, TAOCP vol. 3, 6.4, algorithm R): no tombstones, so
    that churn does not slow look-ups down.
    """
    mask = np.uint64(len(table) - 1)
    one = np.uint64(1)
    n_dropped = 0
    for row in range(len(keys)):
        key = keys[row]
        hole = key & mask
        while table[hole, 0] != key and table[hole, 0] != 0:
            hole = (hole + one) & mask
        if key == 0 or table[hole, 0] == 0:
            continue
        n_dropped += 1
        place = (hole + one) & mask
        while table[place, 0] != 0:
            home = table[place, 0] & mask
            # Move the entry into the hole unless its home lies cyclically in (hole, place].
            if ((place - home) & mask) >= ((place - hole) & mask):
                table[hole, 0] = table[place, 0]
                table[hole, 1] = table[place, 1]
                hole = place
            place = (place + one) & mask
        table[hole, 0] = 0
        table[hole, 1] = 0
    return n_dropped
