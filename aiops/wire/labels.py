"""Label blocks: the canonical bytes of a label set, and what senders may put into one.

The canonical block is the protobuf encoding of remote write 1.0's repeated `labels` field, sorted
by name. A sender that sorts its labels, as the specification asks, sends canonical blocks.
"""

import re
from dataclasses import dataclass

from aiops.domain.labels import METRIC_NAME, Labels
from aiops.errors import DecodeError

_NAME = re.compile(rb"[a-zA-Z_][a-zA-Z0-9_]*")
_METRIC = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*")
_METRIC_NAME_BYTES = METRIC_NAME.encode()


@dataclass(frozen=True, slots=True)
class LabelLimits:
    """Bounds on the labels of one series, in counts and bytes."""

    labels_max: int
    name_bytes_max: int
    value_bytes_max: int
    block_bytes_max: int


LABEL_REASONS = (
    "labels_too_large",
    "too_many_labels",
    "label_too_long",
    "bad_label_name",
    "bad_metric_name",
    "bad_utf8",
    "duplicate_label",
    "no_metric_name",
)
"""Every `reason` of a LabelError."""


class LabelError(DecodeError):
    """A series is refused for its labels; `reason` is one of LABEL_REASONS."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def encode_labels(labels: Labels) -> bytes:
    """Return the canonical block of a label set that is already sorted by name."""
    return b"".join(_encode_pair(name.encode(), value.encode()) for name, value in labels)


def decode_labels(block: bytes) -> Labels:
    """Return the label set of a canonical block.

    Raises
    ------
    DecodeError
        When the bytes are no label block.
    """
    return tuple((name.decode(), value.decode()) for name, value in split_block(block))


def canonical_block(raw: bytes, limits: LabelLimits) -> bytes:
    """Return the canonical block of labels as a sender wrote them: checked, sorted, no empties.

    Raises
    ------
    LabelError
        When the labels break the data model or a limit; the sender must change them.
    """
    if len(raw) > limits.block_bytes_max:
        raise LabelError("labels_too_large", f"labels take {len(raw)} bytes")
    pairs = [(name, value) for name, value in split_block(raw) if value]
    if len(pairs) > limits.labels_max:
        raise LabelError("too_many_labels", f"{len(pairs)} labels on one series")
    for name, value in pairs:
        _check_pair(name, value, limits)
    pairs.sort()
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise LabelError("duplicate_label", "a label name occurs twice")
    if _METRIC_NAME_BYTES not in names:
        raise LabelError("no_metric_name", "a series without __name__")
    return b"".join(_encode_pair(name, value) for name, value in pairs)


def split_block(block: bytes) -> list[tuple[bytes, bytes]]:
    """Return the (name, value) pairs of a block in the order they stand there.

    Raises
    ------
    DecodeError
        When a length runs over the end, or something else stands among the labels.
    """
    pairs = []
    position = 0
    while position < len(block):
        if block[position] != 0x0A:
            raise DecodeError("unexpected field among labels", offset=position)
        length, start = read_varint(block, position + 1)
        position = start + length
        if position > len(block):
            raise DecodeError("label runs over its end", offset=start)
        pairs.append(_split_pair(block, start, position))
    return pairs


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Return (value, next position) of a protobuf varint.

    Raises
    ------
    DecodeError
        When it is cut short or longer than ten bytes.
    """
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise DecodeError("broken varint", offset=position)


def write_varint(value: int) -> bytes:
    """Return the protobuf varint of a number that is not negative."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _split_pair(block: bytes, position: int, end: int) -> tuple[bytes, bytes]:
    name = value = b""
    while position < end:
        tag = block[position]
        length, start = read_varint(block, position + 1)
        position = start + length
        if position > end or tag & 0x87 != 2:
            raise DecodeError("malformed label", offset=start)
        if tag == 0x0A:
            name = block[start:position]
        elif tag == 0x12:
            value = block[start:position]
    return name, value


def _check_pair(name: bytes, value: bytes, limits: LabelLimits) -> None:
    if len(name) > limits.name_bytes_max or len(value) > limits.value_bytes_max:
        raise LabelError("label_too_long", f"label {name[:64]!r} is too long")
    if not _NAME.fullmatch(name):
        raise LabelError("bad_label_name", f"label name {name[:64]!r} is not allowed")
    if name == _METRIC_NAME_BYTES and not _METRIC.fullmatch(value):
        raise LabelError("bad_metric_name", f"metric name {value[:64]!r} is not allowed")
    try:
        value.decode()
    except UnicodeDecodeError as error:
        raise LabelError("bad_utf8", f"value of {name[:64]!r} is not UTF-8") from error


def _encode_pair(name: bytes, value: bytes) -> bytes:
    inner = b"\x0a" + write_varint(len(name)) + name + b"\x12" + write_varint(len(value)) + value
    return b"\x0a" + write_varint(len(inner)) + inner
