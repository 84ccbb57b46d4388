"""Prometheus remote write 1.0: a decompressed body to columns.

Each `TimeSeries` yields a key, the keyed hash of its label block, and its samples. Nothing is
looked up here: who a key is, the series directory knows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aiops.domain.samples import I32, I64, U8, U64, MetricMetadata
from aiops.errors import DecodeError, LimitError
from aiops.wire.kernels import remote_write as walk
from aiops.wire.labels import read_varint

ROWS_PER_SLICE = 32_768
"""Chosen: one slice of the walk takes about 4 ms, the longest the event loop is held."""

METADATA_PER_SLICE = 4096
METADATA_TEXT_BYTES_MAX = 1024
_FIXED_SIZES = {1: 8, 5: 4}
"""Bytes of protobuf's fixed-size wire types (protobuf encoding, "Message Structure")."""

_KINDS = {
    1: "counter",
    2: "gauge",
    3: "histogram",
    4: "gaugehistogram",
    5: "summary",
    6: "info",
    7: "stateset",
}


@dataclass(frozen=True, slots=True)
class WriteSlice:
    """Columns of one slice of a request; views into the decoder, valid until anybody's next slice.

    `keys`, `spans`, `irregular` have a row per series (see `k_remote_write_walk`); `row_series`,
    `row_ts`, `row_bits` a row per sample.
    """

    keys: U64
    spans: I64
    irregular: U8
    row_series: I32
    row_ts: I64
    row_bits: U64
    metadata: tuple[MetricMetadata, ...]
    n_metadata_malformed: int
    n_exemplars: int
    n_histograms: int
    n_future: int


class RemoteWriteDecoder:
    """Decodes requests one after another into columns that are allocated once.

    Parameters
    ----------
    secrets
        Four uint64 that key the label hash.
    rows_per_slice
        Samples in one slice at most.
    """

    def __init__(self, secrets: U64, *, rows_per_slice: int = ROWS_PER_SLICE) -> None:
        self._secrets = secrets
        self._keys = np.empty(rows_per_slice, np.uint64)
        self._spans = np.empty((rows_per_slice, 2), np.int64)
        self._irregular = np.empty(rows_per_slice, np.uint8)
        self._row_series = np.empty(rows_per_slice, np.int32)
        self._row_ts = np.empty(rows_per_slice, np.int64)
        self._row_bits = np.empty(rows_per_slice, np.uint64)
        self._metadata_spans = np.empty((METADATA_PER_SLICE, 2), np.int64)
        self._info = np.zeros(walk.INFO_SIZE, np.int64)

    def slices(self, body: U8, *, future_ms: int) -> Iterator[WriteSlice]:
        """Yield the request in slices of at most `rows_per_slice` samples.

        Raises
        ------
        DecodeError
            At the first byte that is no protobuf of this message; slices before it were good.
        LimitError
            When one series carries more samples than a slice holds.
        """
        offset = 0
        while offset < len(body) or offset == 0:
            self._walk(body, future_ms, offset)
            # Another request may use this decoder while the caller holds the slice: keep nothing
            # in `self` across the yield.
            error_offset = int(self._info[walk.ERROR_OFFSET])
            next_offset = int(self._info[walk.NEXT_OFFSET])
            yield self._slice(body)
            if error_offset >= 0:
                raise DecodeError("malformed WriteRequest", offset=error_offset)
            if len(body) == 0:
                return
            if next_offset == offset:
                raise LimitError(
                    f"more than {len(self._row_ts)} samples in one series of a request",
                    setting="the number of requests",
                )
            offset = next_offset

    def _walk(self, body: U8, future_ms: int, offset: int) -> None:
        walk.k_remote_write_walk(
            body,
            future_ms,
            self._secrets,
            offset,
            self._keys,
            self._spans,
            self._irregular,
            self._row_series,
            self._row_ts,
            self._row_bits,
            self._metadata_spans,
            self._info,
        )

    def _slice(self, body: U8) -> WriteSlice:
        info = self._info
        n_series, n_rows = int(info[walk.N_SERIES]), int(info[walk.N_ROWS])
        spans = self._metadata_spans[: info[walk.N_METADATA]].tolist()
        entries = [_try_metadata(body[start:end].tobytes()) for start, end in spans]
        metadata = tuple(entry for entry in entries if entry is not None)
        return WriteSlice(
            keys=self._keys[:n_series],
            spans=self._spans[:n_series],
            irregular=self._irregular[:n_series],
            row_series=self._row_series[:n_rows],
            row_ts=self._row_ts[:n_rows],
            row_bits=self._row_bits[:n_rows],
            metadata=metadata,
            n_metadata_malformed=len(entries) - len(metadata),
            n_exemplars=int(info[walk.N_EXEMPLARS]),
            n_histograms=int(info[walk.N_HISTOGRAMS]),
            n_future=int(info[walk.N_FUTURE]),
        )


def label_bytes(message: bytes) -> bytes:
    """Return only the label fields of a TimeSeries message whose labels are not in one piece.

    Raises
    ------
    DecodeError
        When the message is malformed.
    """
    kept = bytearray()
    position = 0
    while position < len(message):
        tag, start = read_varint(message, position)
        _, end = _field_span(message, tag, start)
        if tag == 0x0A:
            kept += message[position:end]
        position = end
    return bytes(kept)


def _field_span(message: bytes, tag: int, position: int) -> tuple[int, int]:
    """Return [start, end) of a field's payload; its tag ends at `position`."""
    wire_type = tag & 7
    start = position
    if wire_type == 0:
        _, end = read_varint(message, position)
    elif wire_type == 2:
        length, start = read_varint(message, position)
        end = start + length
    elif wire_type in _FIXED_SIZES:
        end = position + _FIXED_SIZES[wire_type]
    else:
        raise DecodeError(f"wire type {wire_type}", offset=position)
    if end > len(message):
        raise DecodeError("field runs over its end", offset=position)
    return start, end


def _try_metadata(message: bytes) -> MetricMetadata | None:
    try:
        return _decode_metadata(message)
    except DecodeError:
        return None


def _decode_metadata(message: bytes) -> MetricMetadata:
    kind, texts, position = 0, {0x12: b"", 0x22: b"", 0x2A: b""}, 0
    while position < len(message):
        tag, position = read_varint(message, position)
        start, end = _field_span(message, tag, position)
        if tag == 0x08:
            kind, _ = read_varint(message, start)
        elif tag in texts:
            texts[tag] = message[start : min(end, start + METADATA_TEXT_BYTES_MAX)]
        position = end
    family, help_text, unit = (texts[tag].decode(errors="replace") for tag in (0x12, 0x22, 0x2A))
    return MetricMetadata(family, _KINDS.get(kind, "unknown"), help_text, unit)
