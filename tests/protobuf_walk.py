"""Protobuf's wire format walked plainly, independent of the code under test."""

from collections.abc import Iterator


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return (value, next position)."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (field number, value): an int for a varint, else the field's bytes."""
    at = 0
    while at < len(message):
        tag, at = read_varint(message, at)
        match tag & 7:
            case 0:
                value, at = read_varint(message, at)
                yield tag >> 3, value
            case 1:
                yield tag >> 3, message[at : at + 8]
                at += 8
            case 2:
                size, at = read_varint(message, at)
                assert at + size <= len(message)
                yield tag >> 3, message[at : at + size]
                at += size
            case other:
                raise AssertionError(f"wire type {other}")
