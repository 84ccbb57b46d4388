"""Quantiles and rates of classic histograms from the increases of their buckets.

A bucket has a row of `links` and of `counts`, a family (the buckets of one label set without `le`)
a row of `families` (columns below). `aiops.series.histograms` describes the method. Slots in
`links` and `families` are kept as slot + 1, families as family + 1, so that 0 means none.
"""

import math

import numpy as np
from numba import float64, int32, int64, njit, uint64, void

# links: family, next bucket of it by upper bound
FAMILY, NEXT, LINKS_SIZE = range(3)
# counts: upper bound, newest value (NaN: none to go on from), then an increase a signal
BOUND, LAST, WINDOW = range(3)
# families: first bucket, buckets that report, time of the present scrape, how many reported in it,
# whether the windows begin anew, then the start of the window of each signal
FIRST, MEMBERS, NEWEST_MS, N_REPORTED, IS_BROKEN, START_MS = range(6)
# progress: next row, rows written
ROW, N_OUT, PROGRESS_SIZE = range(3)

LOST_SPAN_MS = 300_000
"""Prometheus, "Staleness": a series without a sample for five minutes is not there any more."""

_STALE_BITS = 0x7FF0000000000002

SIGNATURE_TAKE = void(
    int64[::1],
    int32[::1],
    int64[::1],
    uint64[::1],
    int64,
    int64[::1],
    int32[:, ::1],
    float64[:, ::1],
    int64[:, ::1],
    float64[:, ::1],
    int32[:, ::1],
    int64[::1],
    uint64[::1],
)


@njit(nogil=True, error_model="numpy")
def _drop_lost(own, links, counts, seen_ms, now_ms):
    """Wait no longer for buckets that nobody sends any more."""
    member = own[FIRST]
    while member > 0:
        slot = member - 1
        if not math.isnan(counts[slot, LAST]) and now_ms - seen_ms[slot] > LOST_SPAN_MS:
            counts[slot, LAST] = np.nan
            own[MEMBERS] -= 1
            own[IS_BROKEN] = 1
        member = links[slot, NEXT]


@njit(nogil=True, error_model="numpy")
def _empty(own, links, counts, column):
    """Begin a window anew: no bucket has increased in it."""
    member = own[FIRST]
    while member > 0:
        counts[member - 1, column] = 0.0
        member = links[member - 1, NEXT]


@njit(nogil=True, error_model="numpy")
def _observations(own, links, counts, column):
    """Return how many observations came in a window, NaN without a bucket `+Inf`."""
    total = 0.0
    bound = 0.0
    member = own[FIRST]
    while member > 0:
        slot = member - 1
        if not math.isnan(counts[slot, LAST]):
            total = max(total, counts[slot, column])
            bound = counts[slot, BOUND]
        member = links[slot, NEXT]
    return total if bound == np.inf else np.nan


@njit(nogil=True, error_model="numpy")
def _quantile(own, links, counts, column, rank):
    """Return the value at a rank (0 < rank <= observations) by linear interpolation."""
    n_below = 0.0
    n_up_to = 0.0
    lower = np.nan
    member = own[FIRST]
    while member > 0:
        slot = member - 1
        member = links[slot, NEXT]
        if math.isnan(counts[slot, LAST]):
            continue
        bound = counts[slot, BOUND]
        n_up_to = max(n_up_to, counts[slot, column])
        if bound == np.inf:
            return lower
        if n_up_to >= rank:
            if math.isnan(lower):
                if bound <= 0.0:
                    return bound
                lower = 0.0
            return lower + (bound - lower) * (rank - n_below) / (n_up_to - n_below)
        lower = bound
        n_below = n_up_to
    return np.nan


@njit(nogil=True, error_model="numpy")
def _report(own, slot, value, counts):
    """Take one value of a bucket into the windows."""
    last = counts[slot, LAST]
    counts[slot, LAST] = value
    if math.isnan(last):
        own[MEMBERS] += 1
        own[IS_BROKEN] = 1
    elif value < last:
        own[IS_BROKEN] = 1
    else:
        for column in range(WINDOW, counts.shape[1]):
            counts[slot, column] += value - last


@njit(nogil=True, error_model="numpy")
def _leave(own, slot, counts):
    """Take a bucket that ended out of its scrape; tell whether it was the last one."""
    if math.isnan(counts[slot, LAST]):
        return False
    counts[slot, LAST] = np.nan
    own[MEMBERS] -= 1
    own[IS_BROKEN] = 1
    return own[MEMBERS] == 0


@njit(nogil=True, error_model="numpy")
def _is_whole(own, links, counts, seen_ms, at_ms, now_ms):
    """Count a bucket's row in its scrape; tell whether all buckets have one of this time now."""
    if at_ms < own[NEWEST_MS]:
        return False
    if at_ms == own[NEWEST_MS]:
        own[N_REPORTED] += 1
    else:
        if own[N_REPORTED] < own[MEMBERS]:
            _drop_lost(own, links, counts, seen_ms, now_ms)
        own[NEWEST_MS] = at_ms
        own[N_REPORTED] = 1
    return own[N_REPORTED] == own[MEMBERS]


@njit(nogil=True, error_model="numpy")
def _begin(own, links, counts, n_signals, at_ms):
    """Begin all windows anew at a whole scrape: what came before it does not belong together."""
    for number in range(n_signals):
        _empty(own, links, counts, WINDOW + number)
        own[START_MS + number] = at_ms
    own[IS_BROKEN] = 0


@njit(nogil=True, error_model="numpy")
def _write(out_keys, out_ts, n_out, family, number, at_ms):
    """Write whose value comes next, and of when it is."""
    out_keys[n_out, 0] = family
    out_keys[n_out, 1] = number
    out_ts[n_out] = at_ms


@njit(nogil=True, error_model="numpy")
def _signal(own, links, counts, signals, number, ts_ms):
    """Return the value of a signal at a whole scrape, NaN for none; begin its window anew."""
    column = WINDOW + number
    span_ms = ts_ms - own[START_MS + number]
    n_observations = _observations(own, links, counts, column)
    value = np.nan
    if n_observations >= signals[number, 1]:
        quantile = signals[number, 0]
        if math.isnan(quantile):
            value = n_observations / (span_ms / 1000.0)
        else:
            value = _quantile(own, links, counts, column, quantile * n_observations)
    if not math.isnan(value) or span_ms >= signals[number, 2]:
        _empty(own, links, counts, column)
        own[START_MS + number] = ts_ms
    return value


@njit([SIGNATURE_TAKE], nogil=True, cache=True, error_model="numpy")
def k_histograms_take(
    progress,
    slots,
    ts_ms,
    bits,
    now_ms,
    seen_ms,
    links,
    counts,
    families,
    signals,
    out_keys,
    out_ts,
    out_bits,
):
    """Take kept rows into the windows of their histograms; write the signals they complete.

    Parameters
    ----------
    progress
        int64[2]: the row to go on from, and how many rows were written; the second starts at 0.
        Returns early, with rows left, when the outputs may not hold another scrape.
    slots, ts_ms, bits
        Rows as `k_intake_prepare` keeps them: a series has one at a time, in order.
    now_ms, seen_ms
        Time of arrival of these rows, and of the newest row of each slot, these included.
    links, counts, families
        State, by the columns above; links run from the least bound to the greatest.
    signals
        float64[n, 3]: quantile (NaN: observations a second), least observations, longest window
        in ms, by number of the signal.
    out_keys, out_ts, out_bits
        Family and number of the signal (int32[n, 2]), its time and the bits of its value; a
        staleness marker where the last bucket of a family ended.
    """
    n_signals = len(signals)
    n_out = 0
    row = progress[ROW]
    while row < len(slots) and n_out + n_signals <= len(out_ts):
        slot = slots[row]
        at_ms = ts_ms[row]
        row_bits = bits[row]
        row += 1
        family = links[slot, FAMILY] - 1
        if family < 0:
            continue
        own = families[family]
        if row_bits == np.uint64(_STALE_BITS):
            if _leave(own, slot, counts):
                for number in range(n_signals):
                    _write(out_keys, out_ts, n_out, family, number, at_ms)
                    out_bits[n_out] = np.uint64(_STALE_BITS)
                    n_out += 1
            continue
        value = np.uint64(row_bits).view(np.float64)
        if not math.isfinite(value):
            continue
        _report(own, slot, value, counts)
        if not _is_whole(own, links, counts, seen_ms, at_ms, now_ms):
            continue
        if own[IS_BROKEN]:
            _begin(own, links, counts, n_signals, at_ms)
            continue
        for number in range(n_signals):
            result = _signal(own, links, counts, signals, number, at_ms)
            if not math.isnan(result):
                _write(out_keys, out_ts, n_out, family, number, at_ms)
                out_bits[n_out] = np.float64(result).view(np.uint64)
                n_out += 1
    progress[ROW] = row
    progress[N_OUT] = n_out
