"""The walk over a remote-write 1.0 body: protobuf bytes to columns, without an object a sample."""

import numpy as np
from numba import int32, int64, njit, uint8, uint64, void

from aiops.wire.kernels.bits import load_u64
from aiops.wire.kernels.hashing import BODY, k_block_hash

# Indices into the `info` array of counts that the walk fills.
NEXT_OFFSET = 0
N_SERIES = 1
N_ROWS = 2
N_METADATA = 3
N_EXEMPLARS = 4
N_HISTOGRAMS = 5
N_FUTURE = 6
ERROR_OFFSET = 7
INFO_SIZE = 8

_OVERFLOW = -2
_MALFORMED = -1

SIGNATURE_WALK = void(
    BODY,
    int64,
    uint64[::1],
    int64,
    uint64[::1],
    int64[:, ::1],
    uint8[::1],
    int32[::1],
    int64[::1],
    uint64[::1],
    int64[:, ::1],
    int64[::1],
)


@njit(inline="always")
def _read_varint(body, position, end):
    """Return (value, next position); the position is -1 when the varint runs over `end`."""
    value = np.uint64(0)
    shift = 0
    while position < end and shift < 70:
        byte = np.uint64(body[position])
        position += 1
        value |= (byte & np.uint64(0x7F)) << np.uint64(min(shift, 63))
        if byte < np.uint64(128):
            return value, position
        shift += 7
    return np.uint64(0), np.int64(-1)


@njit(inline="always")
def _skip_field(body, wire_type, position, end):
    """Return the position behind a field of no interest, or -1 when it is malformed."""
    if wire_type == 0:
        _, position = _read_varint(body, position, end)
        return position
    if wire_type == 1:
        return position + 8 if position + 8 <= end else np.int64(-1)
    if wire_type == 5:
        return position + 4 if position + 4 <= end else np.int64(-1)
    if wire_type == 2:
        length, position = _read_varint(body, position, end)
        if position < 0 or length > np.uint64(end - position):
            return np.int64(-1)
        return position + np.int64(length)
    return np.int64(-1)


@njit(inline="always")
def _read_sample(body, position, end):
    """Return (value bits, ts_ms, ok) of one Sample message."""
    bits = np.uint64(0)
    ts_ms = np.int64(0)
    while position < end:
        tag = body[position]
        position += 1
        if tag == 0x09 and position + 8 <= end:
            bits = load_u64(body, position)
            position += 8
        elif tag == 0x10:
            raw, position = _read_varint(body, position, end)
            if position < 0:
                return bits, ts_ms, False
            ts_ms = np.int64(raw)
        else:
            if tag == 0x09 or tag >= 0x80:
                return bits, ts_ms, False
            position = _skip_field(body, tag & 7, position, end)
            if position < 0:
                return bits, ts_ms, False
    return bits, ts_ms, True


@njit(inline="always")
def _scan_series(
    body, position, end, future_ms, n_series, n_rows, row_series, row_ts, row_bits, info
):
    """Read one TimeSeries message; return (n_rows, labels start, labels end, in one piece).

    n_rows is _MALFORMED with `info[ERROR_OFFSET]` set, or _OVERFLOW when the rows do not fit.
    """
    labels_start = np.int64(-1)
    labels_end = np.int64(-1)
    is_whole = True
    while position < end:
        field_start = position
        tag = body[position]
        position += 1
        if tag != 0x0A and tag != 0x12:
            if tag == 0x1A:
                info[N_EXEMPLARS] += 1
            elif tag == 0x22:
                info[N_HISTOGRAMS] += 1
            position = _skip_field(body, tag & 7, position, end) if tag < 0x80 else np.int64(-1)
            if position < 0:
                info[ERROR_OFFSET] = field_start
                return np.int64(_MALFORMED), labels_start, labels_end, is_whole
            continue
        length, position = _read_varint(body, position, end)
        if position < 0 or length > np.uint64(end - position):
            info[ERROR_OFFSET] = field_start
            return np.int64(_MALFORMED), labels_start, labels_end, is_whole
        field_end = position + np.int64(length)
        if tag == 0x0A:
            if labels_start < 0:
                labels_start = field_start
            elif labels_end != field_start:
                is_whole = False
            labels_end = field_end
        else:
            bits, ts_ms, ok = _read_sample(body, position, field_end)
            if not ok:
                info[ERROR_OFFSET] = field_start
                return np.int64(_MALFORMED), labels_start, labels_end, is_whole
            if ts_ms > future_ms:
                info[N_FUTURE] += 1
            elif n_rows == len(row_ts):
                return np.int64(_OVERFLOW), labels_start, labels_end, is_whole
            else:
                row_series[n_rows] = n_series
                row_ts[n_rows] = ts_ms
                row_bits[n_rows] = bits
                n_rows += 1
        position = field_end
    return n_rows, labels_start, labels_end, is_whole


@njit(inline="always")
def _note_series(
    body, start, end, labels_start, labels_end, is_whole, secrets, row, keys, spans, irregular
):
    """Write the identity columns of one series."""
    if is_whole and labels_start >= 0:
        keys[row] = k_block_hash(body, labels_start, labels_end, secrets)
        spans[row, 0] = labels_start
        spans[row, 1] = labels_end
        irregular[row] = 0
    else:
        keys[row] = 0
        spans[row, 0] = start
        spans[row, 1] = end
        irregular[row] = 1


@njit([SIGNATURE_WALK], nogil=True, cache=True, error_model="numpy")
def k_remote_write_walk(
    body,
    future_ms,
    secrets,
    offset,
    keys,
    spans,
    irregular,
    row_series,
    row_ts,
    row_bits,
    metadata_spans,
    info,
):
    """Fill columns from a decompressed WriteRequest, from `offset` until the end or a bound.

    Parameters
    ----------
    body
        uint8, the whole decompressed message; not kept.
    future_ms
        Samples later than this are counted in `info[N_FUTURE]` and left out.
    secrets
        Four uint64, see `k_block_hash`.
    offset
        Where to start: 0, or `info[NEXT_OFFSET]` of the call before, to go on in slices.
    keys, spans, irregular
        A row per TimeSeries with samples: hash of its label block (uint64), [start, end) of the
        block, and 1 where labels are not in one piece; then key is 0 and the span is the message.
    row_series, row_ts, row_bits
        A row per sample: index into `keys`, epoch ms, the value's bits as uint64.
    metadata_spans
        [start, end) of each MetricMetadata message.
    info
        Counts of this call by the indices above. `info[ERROR_OFFSET]` is -1 or the first byte
        that cannot be read; columns hold what came before it. `info[NEXT_OFFSET]` is where the
        walk stopped because a column was full, or the length of the body; it equals `offset`
        when one series alone does not fit.

    Notes
    -----
    Message layout: prometheus/prompb/remote.proto, version 1.0 of the remote-write
    specification. Every length is checked against the enclosing message before it is used.
    """
    n = len(body)
    info[:] = 0
    info[ERROR_OFFSET] = -1
    position = offset
    n_series = np.int64(0)
    n_rows = np.int64(0)
    n_metadata = 0
    while position < n:
        start = position
        tag = body[position]
        position += 1
        if tag != 0x0A and tag != 0x1A:
            position = _skip_field(body, tag & 7, position, n) if tag < 0x80 else np.int64(-1)
            if position < 0:
                info[ERROR_OFFSET] = start
                break
            continue
        length, position = _read_varint(body, position, n)
        if position < 0 or length > np.uint64(n - position):
            info[ERROR_OFFSET] = start
            break
        end = position + np.int64(length)
        if tag == 0x1A:
            if n_metadata == len(metadata_spans):
                position = start
                break
            metadata_spans[n_metadata, 0] = position
            metadata_spans[n_metadata, 1] = end
            n_metadata += 1
            position = end
            continue
        if n_series == len(keys):
            position = start
            break
        n_exemplars = info[N_EXEMPLARS]
        n_histograms = info[N_HISTOGRAMS]
        n_future = info[N_FUTURE]
        n_after, labels_start, labels_end, is_whole = _scan_series(
            body, position, end, future_ms, n_series, n_rows, row_series, row_ts, row_bits, info
        )
        if n_after < 0:
            if n_after == _OVERFLOW:
                info[N_EXEMPLARS] = n_exemplars
                info[N_HISTOGRAMS] = n_histograms
                info[N_FUTURE] = n_future
                position = start
            break
        if n_after > n_rows:
            _note_series(
                body,
                position,
                end,
                labels_start,
                labels_end,
                is_whole,
                secrets,
                n_series,
                keys,
                spans,
                irregular,
            )
            n_series += 1
            n_rows = n_after
        position = end
    info[NEXT_OFFSET] = position
    info[N_SERIES] = n_series
    info[N_ROWS] = n_rows
    info[N_METADATA] = n_metadata
