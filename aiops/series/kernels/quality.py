"""What was wrong with the samples of each series a short while ago, row by row."""

import numpy as np
from numba import float32, int64, njit, uint8, uint64, void

# Fates of rows, as `kernels.intake` numbers them; a test holds them equal.
KEPT, UNKNOWN, DUPLICATE, OUT_OF_ORDER, CONFLICT, STALE, RESET = range(7)

# Flags of a row; bit k is `domain.quality.ROW_FLAGS[k]`, a test holds it.
FLAG_GAP = 1
FLAG_LATE = 2
FLAG_RESET = 4
FLAG_DUPLICATE = 8
FLAG_CONFLICT = 16
FLAG_OUT_OF_ORDER = 32
FLAG_STALE = 64
FLAG_BACKFILL = 128

# Columns of `rhythms`, in s.
INTERVAL = 0
LAG = 1

# Indices into `counts`.
N_GAP = 0
N_LATE = 1
N_BACKFILL = 2
COUNTS_SIZE = 3

GAP_INTERVALS = 3.5
"""Chosen: one or two scrapes missed are everyday and change little; from the third on it tells."""

INTERVAL_RATE = 0.05  # chosen: the running median then remembers about 20 samples
LATE_S = 60.0
LATE_INTERVALS = 5.0
"""Chosen: beyond a minute and five samples more than usual nobody reads it as live any more."""

LAG_RISE = 0.05  # chosen: in intervals a row; a constant lag of 10 min at 15 s is usual after 3 h
LAG_FALL = 0.1  # chosen: a sender that caught up is believed after some ten rows
BACKFILL_SPEED = 2.0  # chosen: arriving twice as fast as it was taken, a backlog is on its way

_LOW_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)
_TOP_BITS = np.uint64(0x8080808080808080)
_BYTE = np.uint64(255)
_SEVEN = np.uint64(7)
_NOTHING = np.uint64(0)
_OWN_SHIFT = np.uint64(48)

SIGNATURE_NOTE = void(
    uint64[::1],
    int64[::1],
    uint8[::1],
    int64,
    int64,
    int64[::1],
    int64[::1],
    uint64[::1],
    float32[:, ::1],
    uint64[::1],
    int64[::1],
)


@njit(inline="always")
def _with_flag(window, flag_bits, rows):
    """Return the window with these flags seen just now: a byte a flag, the rows it stays."""
    for bit in range(8):
        if flag_bits >> bit & 1:
            shift = np.uint64(8 * bit)
            window = (window & ~(_BYTE << shift)) | (np.uint64(rows) << shift)
    return window


@njit(inline="always")
def _aged(window):
    """Return the window one row later: every byte that is not 0 less one; bytes are below 128."""
    return window - (((window + _LOW_BITS) & _TOP_BITS) >> _SEVEN)


@njit(inline="always")
def _bits_of(window):
    """Return which bytes are not 0."""
    tops = ((window + _LOW_BITS) & _TOP_BITS) >> _SEVEN
    found = 0
    for bit in range(8):
        found |= np.int64((tops >> np.uint64(8 * bit)) & np.uint64(1)) << bit
    return found


@njit(inline="always")
def _left_out(fate):
    if fate == DUPLICATE:
        return FLAG_DUPLICATE
    return FLAG_CONFLICT if fate == CONFLICT else FLAG_OUT_OF_ORDER


@njit(inline="always")
def _rhythm_flags(rhythm, span_s, lag_s, arrival_s):
    """Learn interval and lag of a series from a row; return what is odd about them."""
    interval = np.float64(rhythm[INTERVAL])
    usual = np.float64(rhythm[LAG])
    if interval <= 0.0:
        rhythm[INTERVAL] = span_s
        rhythm[LAG] = lag_s
        return 0
    found = FLAG_GAP if span_s > GAP_INTERVALS * interval else 0
    if lag_s - usual > max(LATE_S, LATE_INTERVALS * interval):
        found |= FLAG_LATE
        if BACKFILL_SPEED * arrival_s < span_s:
            found |= FLAG_BACKFILL
    if span_s > interval:
        rhythm[INTERVAL] = min(span_s, interval * (1.0 + INTERVAL_RATE))
    else:
        rhythm[INTERVAL] = max(span_s, interval / (1.0 + INTERVAL_RATE))
    if lag_s > usual:
        rhythm[LAG] = usual + min(lag_s - usual, LAG_RISE * interval)
    else:
        rhythm[LAG] = usual + LAG_FALL * (lag_s - usual)
    return found


@njit([SIGNATURE_NOTE], nogil=True, cache=True, error_model="numpy")
def k_quality_note(
    slot_values,
    ts_ms,
    fates,
    now_ms,
    window_rows,
    seen_ms,
    last_ms,
    windows,
    rhythms,
    out_words,
    counts,
):
    """Note what is wrong with each row, and say for the kept ones what was, a while back.

    Parameters
    ----------
    slot_values, ts_ms, fates
        The rows as they came, after `k_intake_prepare` judged them.
    now_ms
        When they arrived.
    window_rows
        Kept rows for which a flag stays in the window, 1 to 127.
    seen_ms
        When each slot last got a row that was kept; read and updated.
    last_ms
        int64[slots]: time of the newest row, negative once a marker ended the series, 0: none.
    windows
        uint64[slots]: a byte a flag, for how many more rows it was seen lately.
    rhythms
        float32[slots, 2]: running median of the interval, and usual lag of arrival, in s.
    out_words
        For each kept row its own flags in byte 6, and those of the window in byte 7.
    counts
        Rows with a gap before them, late, and back-filled.

    Notes
    -----
    A row is late when its lag of arrival exceeds the usual one; a lag that stays becomes usual.
    A counter reset, a marker's end and all about rhythm are the row's own; rows left out only
    show in the window.
    """
    counts[:] = 0
    kept = 0
    for row in range(len(ts_ms)):
        fate = fates[row]
        if fate == UNKNOWN:
            continue
        slot = np.int64(slot_values[row])
        if fate == DUPLICATE or fate == CONFLICT or fate == OUT_OF_ORDER:
            windows[slot] = _with_flag(windows[slot], _left_out(fate), window_rows)
            continue
        own = FLAG_RESET if fate == RESET else 0
        before_ms = last_ms[slot]
        if before_ms < 0:
            own |= FLAG_STALE
            before_ms = -before_ms
        if before_ms != 0 and fate != STALE:
            span_s = np.float64(ts_ms[row] - before_ms) / 1000.0
            lag_s = np.float64(max(now_ms - ts_ms[row], 0)) / 1000.0
            arrival_s = np.float64(now_ms - seen_ms[slot]) / 1000.0
            own |= _rhythm_flags(rhythms[slot], span_s, lag_s, arrival_s)
            counts[N_GAP] += own & FLAG_GAP != 0
            counts[N_LATE] += own & FLAG_LATE != 0
            counts[N_BACKFILL] += own & FLAG_BACKFILL != 0
        seen_ms[slot] = now_ms
        last_ms[slot] = -ts_ms[row] if fate == STALE else ts_ms[row]
        word = _NOTHING
        if own != 0 or windows[slot] != _NOTHING:
            windows[slot] = _with_flag(_aged(windows[slot]), own, window_rows)
            word = np.uint64(own | _bits_of(windows[slot]) << 8) << _OWN_SHIFT
        out_words[kept] = word
        kept += 1
