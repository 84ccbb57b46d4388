"""Journal records to bytes and back: columns as they are, everything else as JSON."""

import struct
import zlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import orjson

from aiops.domain.action import ActionOutcome, OutcomeStatus
from aiops.domain.alert import Alert
from aiops.domain.labels import Labels
from aiops.domain.records import (
    AlertBatch,
    Body,
    Command,
    CommandVerb,
    Evict,
    MetadataBatch,
    Record,
    RecordKind,
    Tick,
)
from aiops.domain.samples import MetricMetadata, SampleBatch
from aiops.errors import JournalError

_PREFIX = struct.Struct("<IBq")  # crc32 of what follows it, kind, accepted_ms
_COLUMNS = struct.Struct("<IIqB")  # rows, new series, base time, bytes a time takes (4 or 8)
_OFFSET_MAX = 0x7FFFFFFF

Json: TypeAlias = dict[str, Any]  # foreign in form only: this module wrote it


_KINDS = {
    Command: RecordKind.COMMAND,
    ActionOutcome: RecordKind.OUTCOME,
    Evict: RecordKind.EVICT,
}


def encode_record(body: Body, *, accepted_ms: int) -> bytes:
    """Return the bytes of one record, checksum first."""
    kind, payload = _encode_body(body)
    tail = _PREFIX.pack(0, kind, accepted_ms)[4:]
    return zlib.crc32(payload, zlib.crc32(tail)).to_bytes(4, "little") + tail + payload


def decode_record(seq: int, data: bytes) -> Record:
    """Return the record that `encode_record` wrote.

    Raises
    ------
    JournalError
        When the checksum does not fit: the file is damaged; or a newer release wrote the record.
    """
    if len(data) < _PREFIX.size:
        raise JournalError(f"journal record {seq} is cut short")
    crc, kind, accepted_ms = _PREFIX.unpack_from(data)
    if zlib.crc32(data[4:]) != crc:
        raise JournalError(f"journal record {seq} is damaged (crc32)")
    payload = memoryview(data)[_PREFIX.size :]
    if kind == RecordKind.SAMPLES:
        return Record(seq, accepted_ms, _decode_samples(payload))
    decode = _DECODERS.get(kind)
    if decode is None:
        raise JournalError(f"journal record {seq} is of kind {kind}: made by a newer aiops; update")
    return Record(seq, accepted_ms, decode(orjson.loads(payload)))


def _encode_body(body: Body) -> tuple[RecordKind, bytes]:
    match body:
        case SampleBatch():
            return RecordKind.SAMPLES, _encode_samples(body)
        case MetadataBatch():
            rows = [[e.family, e.kind, e.help, e.unit] for e in body.entries]
            return RecordKind.METADATA, orjson.dumps({"entries": rows})
        case AlertBatch():
            return RecordKind.ALERTS, orjson.dumps({"alerts": body.alerts})
        case Command() | ActionOutcome() | Evict():
            return _KINDS[type(body)], orjson.dumps(body)
        case Tick():
            return RecordKind.TICK, b"{}"


def _encode_samples(batch: SampleBatch) -> bytes:
    n = len(batch)
    base_ms = int(batch.ts_ms.min()) if n else 0
    offsets = batch.ts_ms - base_ms
    # an offset that wraps around is negative; as 64 bits it comes back all the same
    is_narrow = n == 0 or (int(offsets.max()) <= _OFFSET_MAX and int(offsets.min()) >= 0)
    times = offsets.astype(np.int32 if is_narrow else np.int64)
    parts = [
        _COLUMNS.pack(n, len(batch.new_blocks), base_ms, 4 if is_narrow else 8),
        batch.fingerprints.tobytes(),
        batch.values.tobytes(),
        times.tobytes(),
    ]
    if batch.new_blocks:
        parts.append(np.array(batch.new_fingerprints, np.uint64).tobytes())
        parts.append(np.array([len(b) for b in batch.new_blocks], np.uint32).tobytes())
        parts.extend(batch.new_blocks)
    return b"".join(parts)


def _decode_samples(payload: memoryview) -> SampleBatch:
    # Columns are copied: kernels take neither read-only nor unaligned arrays.
    n, n_new, base_ms, time_size = _COLUMNS.unpack_from(payload)
    position = _COLUMNS.size
    fingerprints = np.frombuffer(payload, np.uint64, n, position).copy()
    position += 8 * n
    values = np.frombuffer(payload, np.float64, n, position).copy()
    position += 8 * n
    times = np.frombuffer(payload, np.int32 if time_size == 4 else np.int64, n, position)
    position += time_size * n
    new_fingerprints = np.frombuffer(payload, np.uint64, n_new, position).tolist()
    position += 8 * n_new
    blocks = []
    lengths = np.frombuffer(payload, np.uint32, n_new, position).tolist()
    position += 4 * n_new
    for length in lengths:
        blocks.append(bytes(payload[position : position + length]))
        position += length
    return SampleBatch(
        fingerprints,
        times.astype(np.int64) + base_ms,
        values,
        tuple(new_fingerprints),
        tuple(blocks),
    )


def _decode_metadata(data: Json) -> MetadataBatch:
    return MetadataBatch(tuple(MetricMetadata(*row) for row in data["entries"]))


def _decode_alerts(data: Json) -> AlertBatch:
    return AlertBatch(tuple(_decode_alert(alert) for alert in data["alerts"]))


def _decode_alert(data: Json) -> Alert:
    return Alert(
        **{**data, "labels": _pairs(data["labels"]), "annotations": _pairs(data["annotations"])}
    )


def _decode_command(data: Json) -> Command:
    return Command(**{**data, "verb": CommandVerb(data["verb"])})


def _decode_outcome(data: Json) -> ActionOutcome:
    return ActionOutcome(**{**data, "status": OutcomeStatus(data["status"])})


def _decode_evict(data: Json) -> Evict:
    return Evict(tuple(data["fingerprints"]), data["idle_before_ms"])


def _pairs(rows: list[list[str]]) -> Labels:
    return tuple((name, value) for name, value in rows)


_DECODERS: dict[int, Callable[[Json], Body]] = {
    RecordKind.METADATA: _decode_metadata,
    RecordKind.ALERTS: _decode_alerts,
    RecordKind.COMMAND: _decode_command,
    RecordKind.OUTCOME: _decode_outcome,
    RecordKind.TICK: lambda _: Tick(),
    RecordKind.EVICT: _decode_evict,
}
