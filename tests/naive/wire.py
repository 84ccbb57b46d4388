"""Plain twins of the kernels in `aiops.wire.kernels`, written from their descriptions."""

import itertools
import re
from dataclasses import dataclass, field

MASK_64 = 2**64 - 1


def naive_block_hash(data: bytes, secrets: list[int]) -> int:
    length = len(data)
    state = secrets[0] ^ fold(secrets[1] ^ length, secrets[2])
    if length >= 16:
        steps = range(0, length - 16, 16)
        for step in steps:
            state = fold(word(data[step : step + 8]) ^ secrets[1], word(data[step + 8 :]) ^ state)
        first, second = word(data[-16:]), word(data[-8:])
    else:
        first, second = word(data[:8]), word(data[8:])
    state = fold(first ^ secrets[1], second ^ state)
    return fold(secrets[3] ^ length, state ^ secrets[2]) or 1


def fold(left: int, right: int) -> int:
    product = left * right
    return (product >> 64) ^ (product & MASK_64)


def word(data: bytes) -> int:
    return int.from_bytes(data[:8], "little")


class MalformedError(Exception):
    def __init__(self, offset: int) -> None:
        super().__init__(f"at {offset}")
        self.offset = offset


class FullError(Exception):
    pass


@dataclass
class Walk:
    """What one walk writes; `rows` are (index of the series, ts_ms, value bits)."""

    keys: list[int] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    irregular: list[int] = field(default_factory=list)
    rows: list[tuple[int, int, int]] = field(default_factory=list)
    metadata: list[tuple[int, int]] = field(default_factory=list)
    exemplars: int = 0
    histograms: int = 0
    future: int = 0
    error_offset: int = -1
    next_offset: int = 0


@dataclass
class Room:
    """Sizes of the columns, and the latest time that is taken."""

    series: int
    rows: int
    metadata: int
    future_ms: int


def naive_remote_write_walk(body: bytes, secrets: list[int], offset: int, room: Room) -> Walk:
    walk = Walk(next_offset=offset)
    try:
        while walk.next_offset < len(body):
            at = walk.next_offset
            # What there is no room for is not looked at: the next slice finds what is wrong in it.
            if body[at] == 0x0A and len(walk.keys) == room.series:
                break
            if body[at] == 0x1A and len(walk.metadata) == room.metadata:
                break
            number, wire, start, end = read_field(body, at, len(body))
            if (number, wire) == (1, 2):
                take_series(body, (start, end), secrets, walk, room)
            elif (number, wire) == (3, 2):
                walk.metadata.append((start, end))
            walk.next_offset = end
    except MalformedError as error:
        walk.error_offset = error.offset
    except FullError:
        pass
    return walk


def take_series(
    body: bytes, span: tuple[int, int], secrets: list[int], walk: Walk, room: Room
) -> None:
    at, series_end = span
    labels: list[tuple[int, int]] = []
    rows: list[tuple[int, int, int]] = []
    counts = {3: 0, 4: 0}
    future = 0
    while at < series_end:
        number, wire, start, end = read_field(body, at, series_end)
        if (number, wire) == (1, 2):
            labels.append((at, end))
        elif (number, wire) == (2, 2):
            ts_ms, bits = read_sample(body, start, end, at)
            if ts_ms > room.future_ms:
                future += 1
            elif len(walk.rows) + len(rows) == room.rows:
                raise FullError
            else:
                rows.append((len(walk.keys), ts_ms, bits))
        elif wire == 2 and number in counts:
            counts[number] += 1
        at = end
    walk.exemplars += counts[3]
    walk.histograms += counts[4]
    walk.future += future
    if not rows:
        return
    walk.rows += rows
    in_one_piece = all(one[1] == two[0] for one, two in itertools.pairwise(labels))
    if labels and in_one_piece:
        start, end = labels[0][0], labels[-1][1]
        walk.keys.append(naive_block_hash(body[start:end], secrets))
        walk.spans.append((start, end))
        walk.irregular.append(0)
    else:
        walk.keys.append(0)
        walk.spans.append(span)
        walk.irregular.append(1)


def read_sample(body: bytes, at: int, sample_end: int, field_at: int) -> tuple[int, int]:
    bits = ts_ms = 0
    try:
        while at < sample_end:
            number, wire, start, end = read_field(body, at, sample_end)
            if (number, wire) == (1, 1):
                bits = word(body[start:end])
            elif (number, wire) == (2, 0):
                raw, _ = read_varint(body, start, sample_end)
                ts_ms = raw - 2**64 if raw >= 2**63 else raw
            at = end
    except MalformedError:
        raise MalformedError(field_at) from None
    return ts_ms, bits


def read_field(body: bytes, at: int, limit: int) -> tuple[int, int, int, int]:
    """Return (field number, wire type, payload start, payload end) of the field at `at`."""
    try:
        tag, start = read_varint(body, at, limit)
        length, start = payload_length(body, tag & 7, start, limit)
    except MalformedError:
        raise MalformedError(at) from None
    is_padded = body[at] >= 0x80 and tag < 0x80
    if tag >> 3 == 0 or tag >= 2**32 or is_padded or start + length > limit:
        raise MalformedError(at)
    return tag >> 3, tag & 7, start, start + length


def payload_length(body: bytes, wire: int, start: int, limit: int) -> tuple[int, int]:
    """Return (length, start) of a field's payload behind its tag."""
    if wire == 0:
        _, end = read_varint(body, start, limit)
        return end - start, start
    if wire == 1:
        return 8, start
    if wire == 2:
        return read_varint(body, start, limit)
    if wire == 5:
        return 4, start
    raise MalformedError(start)


def read_varint(body: bytes, at: int, limit: int) -> tuple[int, int]:
    value = 0
    for count, byte in enumerate(body[at : min(limit, at + 10)]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value & MASK_64, at + count + 1
    raise MalformedError(at)


def naive_label_blocks_check(blocks: list[bytes], limits: tuple[int, int, int, int]) -> list[bool]:
    return [is_plain_and_canonical(block, limits) for block in blocks]


def is_plain_and_canonical(block: bytes, limits: tuple[int, int, int, int]) -> bool:
    labels_max, name_max, value_max, block_max = limits
    if len(block) > block_max:
        return False
    try:
        pairs = [
            (name.decode("ascii"), value.decode("ascii"))
            for name, value in (split_label(label) for label in split_short(block, b"\x0a"))
        ]
    except ValueError:
        return False
    names = [name for name, _ in pairs]
    return (
        names == sorted(set(names))
        and "__name__" in names
        and len(pairs) <= labels_max
        and all(is_plain_pair(name, value, name_max, value_max) for name, value in pairs)
    )


def is_plain_pair(name: str, value: str, name_max: int, value_max: int) -> bool:
    if len(name) > name_max or not 0 < len(value) <= value_max:
        return False
    if name == "__name__" and not re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", value):
        return False
    return re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) is not None


def split_label(label: bytes) -> tuple[bytes, bytes]:
    name, value = split_short(label, b"\x0a\x12")
    return name, value


def split_short(data: bytes, tags: bytes) -> list[bytes]:
    """Return the payloads of fields with these tags (the last repeats), each of < 128 bytes."""
    payloads = []
    while data:
        wanted = tags[min(len(payloads), len(tags) - 1)]
        if len(data) < 2 or data[0] != wanted or data[1] >= 0x80 or len(data) < 2 + data[1]:
            raise ValueError("not a plain field")
        payloads.append(data[2 : 2 + data[1]])
        data = data[2 + data[1] :]
    return payloads
