"""Plain twins of the kernels in `aiops.store.kernels`, written from their descriptions.

A row is a dict; a slot is a list of rows with the one before them; packing is done on integers.
"""

import math
import struct

NEVER = (-1, 0)
"""The row before the first: its time and bits."""

OFFSET_MAX = 2**31 - 1


def as_float32(value: float) -> float:
    return struct.unpack("<f", struct.pack("<f", value))[0]


def naive_pack_half_width(value: float) -> int:
    """8 bits of exponent, 4 of mantissa, to the nearest; 0 when there is no band."""
    if math.isnan(value) or value <= 0.0:
        return 0
    mantissa, exponent = math.frexp(as_float32(min(max(value, 1e-37), 3e38)))
    return (exponent + 126) * 16 + math.floor((2 * mantissa - 1) * 16 + 0.5)


def naive_unpack_half_width(code: int) -> float:
    if code == 0:
        return math.nan
    return math.ldexp(1 + code % 16 / 16, code // 16 - 127)


def naive_pack_deviation(value: float) -> int:
    """Sign, 5 bits of exponent from 2^-16 on, 6 of mantissa, to the nearest."""
    sign = 0x800 if value < 0.0 else 0
    size = abs(value)
    if math.isnan(size) or size < 2.0**-16:
        return sign
    mantissa, exponent = math.frexp(as_float32(min(size, 65000.0)))
    return sign + (exponent + 15) * 64 + math.floor((2 * mantissa - 1) * 64 + 0.5)


def naive_unpack_deviation(code: int) -> float:
    size_code = code % 0x800
    if size_code == 0:
        return 0.0
    size = math.ldexp(1 + size_code % 64 / 64, size_code // 64 - 16)
    return -size if code >= 0x800 else size


def naive_pack_score(value: float) -> int:
    """Eighths, to the nearest, up to 31.875."""
    if math.isnan(value) or value <= 0.0:
        return 0
    return math.floor(min(value * 8 + 0.5, 255.0))


def naive_word(offset, feature, score, expected, half, in_anomaly) -> int:
    deviation = 0.0
    if half > 0.0:
        with_sign = feature - expected
        deviation = math.nan if math.isinf(with_sign) and math.isinf(half) else with_sign / half
    word = offset << 33 | (in_anomaly & 1) << 32
    word |= naive_pack_half_width(half) << 20
    return word | naive_pack_deviation(deviation) << 8 | naive_pack_score(score)


def naive_head_append(start, batch, slots, limits, group_slots):
    """batch: [(slot, ts, bits, feature, score, expected, half, in_anomaly)].

    slots: [{"rows": [(ts, bits, word)], "before": (ts, bits)}], changed in place.
    """
    for row in range(start, len(batch)):
        slot, ts_ms, bits, *judged = batch[row]
        rows = slots[slot]["rows"]
        offset = ts_ms - rows[0][0] if rows else 0
        if rows and (len(rows) >= limits[slot // group_slots] or offset > OFFSET_MAX):
            return row
        rows.append((ts_ms, bits, naive_word(offset, *judged)))
    return len(batch)


def naive_head_take(group, slots, group_slots):
    """Return the (bits, word) of all rows of a group, slot after slot, and leave it empty."""
    taken = []
    for state in slots[group * group_slots : (group + 1) * group_slots]:
        if state["rows"]:
            taken += [(bits, word) for _, bits, word in state["rows"]]
            state["before"] = state["rows"][-1][:2]
            state["rows"] = []
    return taken


def naive_head_unpack(rows, base_ts):
    """rows: [(bits, word)]; returns [(ts, bits, score, half, deviation, in_anomaly)]."""
    return [
        (
            base_ts + (word >> 33),
            bits,
            (word & 0xFF) / 8,
            naive_unpack_half_width(word >> 20 & 0xFFF),
            naive_unpack_deviation(word >> 8 & 0xFFF),
            word >> 32 & 1,
        )
        for bits, word in rows
    ]
