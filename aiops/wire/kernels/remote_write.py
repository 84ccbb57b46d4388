"""The walk over a remote-write 1.0 body: protobuf bytes to columns, without an object a sample."""

import numpy as np
from numba import int32, int64, njit, uint8, uint64, void

from aiops.wire.kernels.bits import load_u8, load_u64
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

# What a helper returns in place of a position.
_MALFORMED = -1
_FULL = -2

# Tags: field number and wire type in one byte.
_SERIES = 0x0A
_METADATA = 0x1A
_LABEL = 0x0A
_SAMPLE = 0x12
_EXEMPLAR = 0x1A
_HISTOGRAM = 0x22
_VALUE = 0x09
_TIME = 0x10

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


@njit(nogil=True, error_model="numpy")
def _read_long_varint(body, position, end):
    value = np.uint64(0)
    shift = 0
    while position < end and shift < 70:
        byte = np.uint64(load_u8(body, position))
        position += 1
        value |= (byte & np.uint64(0x7F)) << np.uint64(shift)
        if byte < np.uint64(0x80):
            return value, position
        shift += 7
    return np.uint64(0), np.int64(_MALFORMED)


@njit(inline="always")
def _read_varint(body, position, end):
    """Return (value, next position); the position is negative when the varint runs over `end`."""
    # One byte is the rule for lengths, which are what the walk waits for (measured: a fifth of
    # its time).
    if position < end:
        byte = load_u8(body, position)
        if byte < 0x80:
            return np.uint64(byte), position + 1
    return _read_long_varint(body, position, end)


@njit(inline="always")
def _read_frame(body, position, end):
    """Return [start, end) of the bytes whose length stands at `position`; negative if malformed."""
    length, start = _read_varint(body, position, end)
    if start < 0 or length > np.uint64(end - start):
        return np.int64(_MALFORMED), np.int64(_MALFORMED)
    return start, start + np.int64(length)


@njit(nogil=True, error_model="numpy")
def _skip_field(body, position, end):
    """Return the position behind a field of no interest whose tag stands at `position`."""
    is_long = load_u8(body, position) >= 0x80
    tag, position = _read_varint(body, position, end)
    # No field has number 0 or a tag beyond 32 bits, and none of ours may hide in a longer tag.
    is_tag = np.uint64(8) <= tag <= np.uint64(0xFFFFFFFF)
    if position < 0 or not is_tag or (is_long and tag < np.uint64(0x80)):
        return np.int64(_MALFORMED)
    wire_type = np.int64(tag & np.uint64(7))
    if wire_type == 2:
        _, position = _read_frame(body, position, end)
        return position
    if wire_type == 0:
        _, position = _read_varint(body, position, end)
        return position
    if wire_type == 1:
        position += 8
    elif wire_type == 5:
        position += 4
    else:
        return np.int64(_MALFORMED)
    return position if position <= end else np.int64(_MALFORMED)


@njit(inline="always")
def _labels_end(body, position, end, info):
    """Return the end of the run of labels that starts at `position`."""
    while position < end and load_u8(body, position) == _LABEL:
        start, after = _read_frame(body, position + 1, end)
        if start < 0:
            info[ERROR_OFFSET] = position
            return np.int64(_MALFORMED)
        position = after
    return position


@njit(inline="always")
def _read_sample(body, position, end):
    """Return (value bits, ts_ms, end) of the Sample field whose tag stands at `position`."""
    bits = np.uint64(0)
    ts_ms = np.int64(0)
    position, sample_end = _read_frame(body, position + 1, end)
    while 0 <= position < sample_end:
        tag = load_u8(body, position)
        if tag == _VALUE and position + 9 <= sample_end:
            bits = load_u64(body, position + 1)
            position += 9
        elif tag == _TIME:
            raw, position = _read_varint(body, position + 1, sample_end)
            ts_ms = np.uint64(raw).view(np.int64)
        else:
            position = _skip_field(body, position, sample_end)
    return bits, ts_ms, position


@njit(inline="always")
def _note_series(body, start, end, labels, secrets, keys, spans, irregular, info):
    """Write the identity columns of one series; `labels` is the span of its labels or negative."""
    row = info[N_SERIES]
    if labels[0] >= 0:
        keys[row] = k_block_hash(body, labels[0], labels[1], secrets)
        spans[row, 0] = labels[0]
        spans[row, 1] = labels[1]
        irregular[row] = 0
    else:
        keys[row] = 0
        spans[row, 0] = start
        spans[row, 1] = end
        irregular[row] = 1
    info[N_SERIES] = row + 1


@njit(inline="always")
def _take_series(
    body,
    position,
    end,
    future_ms,
    secrets,
    keys,
    spans,
    irregular,
    row_series,
    row_ts,
    row_bits,
    info,
):
    """Return the end of the TimeSeries field at `position`, its columns written.

    Nothing of it is counted when it is malformed (then `info[ERROR_OFFSET]` says where) or when
    its rows do not fit.
    """
    start, series_end = _read_frame(body, position + 1, end)
    n_rows = info[N_ROWS]
    n_exemplars = 0
    n_histograms = 0
    n_future = 0
    labels_start = np.int64(-1)
    labels_end = np.int64(-1)
    is_whole = True
    place = start
    while place < series_end:
        field = place
        tag = load_u8(body, place)
        if tag == _LABEL:
            is_whole = labels_start < 0
            labels_start = field
            place = _labels_end(body, place, series_end, info)
            labels_end = place
        elif tag == _SAMPLE:
            bits, ts_ms, place = _read_sample(body, place, series_end)
            if place >= 0:
                if ts_ms > future_ms:
                    n_future += 1
                elif n_rows == len(row_ts):
                    return np.int64(_FULL)
                else:
                    row_series[n_rows] = info[N_SERIES]
                    row_ts[n_rows] = ts_ms
                    row_bits[n_rows] = bits
                    n_rows += 1
        else:
            n_exemplars += tag == _EXEMPLAR
            n_histograms += tag == _HISTOGRAM
            place = _skip_field(body, place, series_end)
        if place < 0:
            if info[ERROR_OFFSET] < 0:
                info[ERROR_OFFSET] = field
            return np.int64(_MALFORMED)
    info[N_EXEMPLARS] += n_exemplars
    info[N_HISTOGRAMS] += n_histograms
    info[N_FUTURE] += n_future
    if n_rows > info[N_ROWS]:
        labels = (labels_start if is_whole else np.int64(-1), labels_end)
        _note_series(body, start, series_end, labels, secrets, keys, spans, irregular, info)
        info[N_ROWS] = n_rows
    return series_end


@njit(inline="always")
def _take_metadata(body, position, end, metadata_spans, info):
    """Return the end of the MetricMetadata field at `position`, its span noted."""
    row = info[N_METADATA]
    if row == len(metadata_spans):
        return np.int64(_FULL)
    start, metadata_end = _read_frame(body, position + 1, end)
    if start >= 0:
        metadata_spans[row, 0] = start
        metadata_spans[row, 1] = metadata_end
        info[N_METADATA] = row + 1
    return metadata_end


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
    position = np.int64(offset)
    while position < n:
        tag = load_u8(body, position)
        if tag == _SERIES:
            after = np.int64(_FULL)
            if info[N_SERIES] < len(keys):
                after = _take_series(
                    body,
                    position,
                    n,
                    future_ms,
                    secrets,
                    keys,
                    spans,
                    irregular,
                    row_series,
                    row_ts,
                    row_bits,
                    info,
                )
        elif tag == _METADATA:
            after = _take_metadata(body, position, n, metadata_spans, info)
        else:
            after = _skip_field(body, position, n)
        if after == _MALFORMED and info[ERROR_OFFSET] < 0:
            info[ERROR_OFFSET] = position
        if after < 0:
            break
        position = after
    info[NEXT_OFFSET] = position
