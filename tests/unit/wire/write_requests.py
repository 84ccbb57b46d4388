"""Remote-write bodies put together field by field, right or wrong as a test wants them."""

import struct
from collections.abc import Iterable, Mapping

import cramjam

STALE_BITS = 0x7FF0000000000002
NOW_MS = 1_700_000_000_000


def varint(value: int) -> bytes:
    out = bytearray()
    value &= 2**64 - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def framed(tag: int, payload: bytes) -> bytes:
    return varint(tag) + varint(len(payload)) + payload


def label(name: str | bytes, value: str | bytes) -> bytes:
    name, value = (part.encode() if isinstance(part, str) else part for part in (name, value))
    return framed(0x0A, framed(0x0A, name) + framed(0x12, value))


def bits_of(value: float) -> int:
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def sample(ts_ms: int, value: float = 1.0, *, bits: int | None = None) -> bytes:
    raw = struct.pack("<Q", bits_of(value) if bits is None else bits)
    return framed(0x12, b"\x09" + raw + b"\x10" + varint(ts_ms))


def exemplar() -> bytes:
    return framed(0x1A, label("trace_id", "abc") + b"\x11" + struct.pack("<d", 0.5))


def histogram() -> bytes:
    return framed(0x22, b"\x08\x05\x19" + struct.pack("<d", 7.0))


def series(labels: Mapping[str, str] | Iterable[tuple], *fields: bytes) -> bytes:
    """One TimeSeries field; the labels come first, in the order given."""
    pairs = labels.items() if isinstance(labels, Mapping) else labels
    return message(*(label(name, value) for name, value in pairs), *fields)


def message(*fields: bytes) -> bytes:
    """One TimeSeries field of any fields in any order."""
    return framed(0x0A, b"".join(fields))


def metadata(family: str, kind: int = 1, help_text: str = "", unit: str = "") -> bytes:
    texts = ((0x12, family), (0x22, help_text), (0x2A, unit))
    fields = b"".join(framed(tag, text.encode()) for tag, text in texts)
    return framed(0x1A, b"\x08" + varint(kind) + fields)


def snappy(*parts: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(b"".join(parts)))
