"""Prometheus remote write 1.0 as a sender encodes it: label blocks and columns to bytes.

The service itself never sends this; the demo, the benchmarks and the tests do. Labels are given
as canonical label blocks (`wire.labels.encode_labels`), made once per series, so that a request
costs only its samples.
"""

from collections.abc import Iterable, Sequence

import cramjam
import numpy as np
import numpy.typing as npt

from aiops.domain.samples import F64, I64, MetricMetadata
from aiops.wire.labels import write_varint

REMOTE_WRITE_HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
    "User-Agent": "aiops-sender",
}
"""What Prometheus 2.42 sends with every request, its own name aside."""

METADATA_TYPES = (
    "unknown",
    "counter",
    "gauge",
    "histogram",
    "gaugehistogram",
    "summary",
    "info",
    "stateset",
)
"""MetricMetadata.MetricType of prompb/types.proto: the position is the number on the wire."""

TS_MS_MIN, TS_MS_END = 1 << 35, 1 << 42
"""Times (years 1971 to 2109) whose varint takes exactly six bytes, so that samples have one size
and can be written as a matrix."""

_UINT64_MAX = (1 << 64) - 1  # protobuf writes negative times as two's complement
_SAMPLE_SIZE = 18
"""Tag and length of the sample (2), tag and double (9), tag and six-byte varint (7)."""
_VALUE_AT, _TS_AT = 3, 12
_SHIFTS = np.arange(6, dtype=np.int64) * 7
_MORE_FLAGS = np.array([0x80] * 5 + [0], dtype=np.uint8)
_SERIES_TAG, _METADATA_TAG = b"\x0a", b"\x1a"


def encode_write_request(series: Iterable[tuple[bytes, I64, F64]]) -> bytes:
    """Return an uncompressed `prometheus.WriteRequest`.

    Parameters
    ----------
    series
        One item a time series: its canonical label block, its times in epoch milliseconds and
        its values, parallel. The bits of values (staleness markers) are kept.
    """
    return b"".join(
        _frame(_SERIES_TAG, block + _encode_samples(ts_ms, values))
        for block, ts_ms, values in series
    )


def encode_metadata_request(entries: Iterable[MetricMetadata]) -> bytes:
    """Return an uncompressed request that carries metadata and no series, as Prometheus does.

    Raises
    ------
    ValueError
        When a `kind` is none of `METADATA_TYPES`.
    """
    return b"".join(_frame(_METADATA_TAG, _encode_metadata(entry)) for entry in entries)


def encode_snappy(body: bytes) -> bytes:
    """Return the body in the snappy block format that remote write wants (never framed)."""
    return bytes(cramjam.snappy.compress_raw(body))


class ScrapeEncoder:
    """Encodes request after request for the same series, one sample each, at one time.

    The request is laid out once; each call writes times and values into the known places, which
    costs about 40 ns a sample where `encode_write_request` takes 2 us. Not safe for use from two
    threads at once.

    Parameters
    ----------
    blocks
        Canonical label blocks of the series, in the order values will come.
    """

    def __init__(self, blocks: Sequence[bytes]) -> None:
        blank = bytes((0x12, _SAMPLE_SIZE - 2, 0x09, *[0] * 8, 0x10, *[0] * 6))
        frames = [_frame(_SERIES_TAG, block + blank) for block in blocks]
        sizes = np.fromiter((len(frame) for frame in frames), np.int64, len(frames))
        starts = np.cumsum(sizes) - _SAMPLE_SIZE
        self._layout = np.frombuffer(b"".join(frames), np.uint8).copy()
        self._value_idx = (starts[:, None] + _VALUE_AT) + np.arange(8)
        self._ts_idx = (starts[:, None] + _TS_AT) + np.arange(6)

    def encode(self, ts_ms: int, values: F64) -> bytes:
        """Return the uncompressed request that gives each series its value at `ts_ms`."""
        if not TS_MS_MIN <= ts_ms < TS_MS_END:
            raise ValueError(f"time {ts_ms} ms is outside the years 1971 to 2109")
        raw = np.ascontiguousarray(values, "<f8").view(np.uint8)
        self._layout[self._value_idx] = raw.reshape(-1, 8)
        self._layout[self._ts_idx] = _six_byte_varints(np.array([ts_ms], np.int64))
        return self._layout.tobytes()


def _frame(tag: bytes, payload: bytes) -> bytes:
    return tag + write_varint(len(payload)) + payload


def _encode_samples(ts_ms: I64, values: F64) -> bytes:
    if len(ts_ms) != len(values):
        raise ValueError(f"{len(ts_ms)} times beside {len(values)} values")
    if not len(ts_ms):
        return b""
    if len(ts_ms) == 1 or ts_ms.min() < TS_MS_MIN or ts_ms.max() >= TS_MS_END:
        pairs = zip(ts_ms.tolist(), values, strict=True)
        return b"".join(_encode_sample(ts, value) for ts, value in pairs)
    rows = np.empty((len(ts_ms), _SAMPLE_SIZE), np.uint8)
    rows[:, :_VALUE_AT] = (0x12, _SAMPLE_SIZE - 2, 0x09)
    rows[:, _VALUE_AT : _VALUE_AT + 8] = (
        np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(-1, 8)
    )
    rows[:, _TS_AT - 1] = 0x10
    rows[:, _TS_AT:] = _six_byte_varints(ts_ms)
    return rows.tobytes()


def _encode_sample(ts_ms: int, value: np.float64) -> bytes:
    # numpy's bytes, not struct.pack: the latter may quieten a signalling NaN on some machines.
    bits = value.astype("<f8").tobytes()
    return _frame(b"\x12", b"\x09" + bits + b"\x10" + write_varint(ts_ms & _UINT64_MAX))


def _six_byte_varints(ts_ms: I64) -> npt.NDArray[np.uint8]:
    groups = (ts_ms[:, None] >> _SHIFTS) & 0x7F
    return groups.astype(np.uint8) | _MORE_FLAGS


def _encode_metadata(entry: MetricMetadata) -> bytes:
    if entry.kind not in METADATA_TYPES:
        raise ValueError(f"metadata type {entry.kind!r} is none of {', '.join(METADATA_TYPES)}")
    kind = METADATA_TYPES.index(entry.kind)
    texts = ((b"\x12", entry.family), (b"\x22", entry.help), (b"\x2a", entry.unit))
    fields = [_frame(tag, text.encode()) for tag, text in texts if text]
    return (bytes((0x08, kind)) if kind else b"") + b"".join(fields)
