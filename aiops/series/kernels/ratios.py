"""Sums of increases over the series of a ratio.

A series has a row of `newest` and begins a chain of `members` (columns below), one for each group
and side it counts for. `aiops.series.ratios` describes the method. Places in chains are kept as
place + 1, so that 0 means none.
"""

import math

import numpy as np
from numba import float64, int32, int64, njit, uint64, void

# members: group, column of its sums, next member of the same series
GROUP, SIDE, NEXT, MEMBERS_SIZE = range(4)
# sums: increases of the numerator and of the denominator since the window began
NUMERATOR, DENOMINATOR, SUMS_SIZE = range(3)
# groups: members that report, members at all, newest sample, start of the window (0: none yet)
N_LIVE, N_MEMBERS, NEWEST_MS, START_MS, GROUPS_SIZE = range(5)

_STALE_BITS = 0x7FF0000000000002

SIGNATURE_ADD = void(
    int32[::1],
    int64[::1],
    uint64[::1],
    int32[::1],
    float64[::1],
    int32[:, ::1],
    float64[:, ::1],
    int64[:, ::1],
)


@njit([SIGNATURE_ADD], nogil=True, cache=True, error_model="numpy")
def k_ratios_add(slots, ts_ms, bits, heads, newest, members, sums, groups):
    """Add the increases of kept rows to the sums of their groups.

    Parameters
    ----------
    slots, ts_ms, bits
        Rows as `k_intake_prepare` keeps them.
    heads, newest
        Of each slot: its first member, and its newest value, NaN for none to go on from.
    members, sums, groups
        State, by the columns above.

    Notes
    -----
    A counter that falls was reset to 0 in between. A staleness marker ends a series.
    """
    for row in range(len(slots)):
        slot = slots[row]
        if heads[slot] == 0:
            continue
        last = newest[slot]
        is_end = bits[row] == np.uint64(_STALE_BITS)
        value = np.nan if is_end else np.uint64(bits[row]).view(np.float64)
        if (not is_end and not math.isfinite(value)) or (is_end and math.isnan(last)):
            continue
        newest[slot] = value
        increase = 0.0
        change = 0
        if math.isnan(last):
            change = 1
        elif is_end:
            change = -1
        else:
            increase = value - last if value >= last else value
        member = heads[slot]
        while member > 0:
            group = members[member - 1, GROUP]
            groups[group, N_LIVE] += change
            groups[group, NEWEST_MS] = max(groups[group, NEWEST_MS], ts_ms[row])
            if groups[group, START_MS] == 0:
                groups[group, START_MS] = ts_ms[row]
            sums[group, members[member - 1, SIDE]] += increase
            member = members[member - 1, NEXT]
