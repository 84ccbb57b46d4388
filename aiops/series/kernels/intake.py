"""Order, duplicates, staleness and counter resets: accepted rows to the detector's feature."""

import numpy as np
from numba import float64, int32, int64, njit, uint8, uint64, void

# Columns of the `track` array, one row a slot.
LAST_TS = 0
LAST_BITS = 1
KIND = 2
PHASE = 3

# Kinds of a series.
GAUGE = 0
COUNTER = 1
IGNORED = 2
PART = 3  # of a histogram: not judged alone, yet missed when it does not come

# Phases of a slot.
EMPTY = 0
LIVE = 1
STALE = 2

# Indices into `counts`.
N_KEPT = 0
N_UNKNOWN = 1
N_DUPLICATE = 2
N_OUT_OF_ORDER = 3
N_CONFLICT = 4
N_STALE = 5
N_RESET = 6
COUNTS_SIZE = 7

_STALE_BITS = 0x7FF0000000000002

SIGNATURE_PREPARE = void(
    uint64[::1],
    int64[::1],
    uint64[::1],
    int64[:, ::1],
    int32[::1],
    int64[::1],
    uint64[::1],
    float64[::1],
    uint8[::1],
    uint8[::1],
    int64[::1],
)
SIGNATURE_FEATURE = void(int64, int64[::1], uint64[::1], int64, uint64, float64[::1])


@njit(inline="always")
def _as_float(bits):
    return np.uint64(bits).view(np.float64)


@njit(inline="always")
def _feature(kind, ts_ms, bits, last_ts, last_bits, has_last):
    """Return what a detector reads of one sample: value, per-second rate, or NaN."""
    value = _as_float(bits)
    if kind == GAUGE:
        return value
    if kind == COUNTER and has_last:
        last = _as_float(last_bits)
        span_s = np.float64(ts_ms - last_ts) / 1000.0
        if value >= last:
            return (value - last) / span_s
        return value / span_s
    return np.nan


@njit([SIGNATURE_PREPARE], nogil=True, cache=True, error_model="numpy")
def k_intake_prepare(
    slot_values,
    ts_ms,
    bits,
    track,
    out_slots,
    out_ts,
    out_bits,
    out_features,
    out_flags,
    fates,
    counts,
):
    """Keep the rows that extend their series; compact them and compute their feature.

    Parameters
    ----------
    slot_values
        uint64 slots as the map gave them; MISSING for a series nobody announced.
    ts_ms, bits
        Epoch ms and the value's bits, in arrival order.
    track
        int64[slots, 4]: last time, last bits, kind, phase. Read and updated.
    out_slots, out_ts, out_bits, out_features, out_flags
        The kept rows; flag 1 marks a counter reset, 2 a staleness marker.
    fates
        What became of each row that came in, by the indices above: kept as it was, or as a
        staleness marker or counter reset, or left out.
    counts
        Rows by fate, by the indices above.

    Notes
    -----
    A repeat of the newest sample with the same bits is a duplicate, with others a conflict; both
    and anything older are left out, as Prometheus does. A staleness marker ends the series: the
    next sample starts it afresh, and a counter has no rate across it. A counter that falls was
    reset to 0 in between (Prometheus' `rate`).
    """
    counts[:] = 0
    kept = 0
    n_slots = np.uint64(len(track))
    for row in range(len(ts_ms)):
        if slot_values[row] >= n_slots:
            counts[N_UNKNOWN] += 1
            fates[row] = N_UNKNOWN
            continue
        slot = np.int64(slot_values[row])
        phase = track[slot, PHASE]
        last_ts = track[slot, LAST_TS]
        last_bits = np.uint64(track[slot, LAST_BITS])
        if phase != EMPTY and ts_ms[row] <= last_ts:
            fate = N_CONFLICT
            if ts_ms[row] < last_ts:
                fate = N_OUT_OF_ORDER
            elif bits[row] == last_bits:
                fate = N_DUPLICATE
            counts[fate] += 1
            fates[row] = fate
            continue
        flag = 0
        fates[row] = N_KEPT
        feature = np.nan
        if bits[row] == np.uint64(_STALE_BITS):
            track[slot, PHASE] = STALE
            counts[N_STALE] += 1
            fates[row] = N_STALE
            flag = 2
        else:
            kind = track[slot, KIND]
            feature = _feature(kind, ts_ms[row], bits[row], last_ts, last_bits, phase == LIVE)
            if kind == COUNTER and phase == LIVE and _as_float(bits[row]) < _as_float(last_bits):
                counts[N_RESET] += 1
                fates[row] = N_RESET
                flag = 1
            track[slot, PHASE] = LIVE
        track[slot, LAST_TS] = ts_ms[row]
        track[slot, LAST_BITS] = np.int64(bits[row])
        out_slots[kept] = slot
        out_ts[kept] = ts_ms[row]
        out_bits[kept] = bits[row]
        out_features[kept] = feature
        out_flags[kept] = flag
        kept += 1
    counts[N_KEPT] = kept


@njit([SIGNATURE_FEATURE], nogil=True, cache=True, error_model="numpy")
def k_intake_features(kind, ts_ms, bits, before_ts, before_bits, features):
    """Recompute the feature of stored rows of one series, as `k_intake_prepare` did.

    `before_ts` and `before_bits` are the row before the first; `before_ts` -1 means there is none.
    """
    last_ts = before_ts
    last_bits = before_bits
    has_last = before_ts >= 0 and before_bits != np.uint64(_STALE_BITS)
    for row in range(len(ts_ms)):
        if bits[row] == np.uint64(_STALE_BITS):
            features[row] = np.nan
            has_last = False
        else:
            features[row] = _feature(kind, ts_ms[row], bits[row], last_ts, last_bits, has_last)
            has_last = True
        last_ts = ts_ms[row]
        last_bits = bits[row]
