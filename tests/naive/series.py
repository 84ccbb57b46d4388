"""Plain twins of the kernels in `aiops.series.kernels`, written from their descriptions."""

import math
import struct

from aiops.domain.samples import STALE_BITS


def naive_u64_map_get(mapping: dict[int, int], keys: list[int]) -> list[int]:
    return [mapping.get(key, 2**64 - 1) for key in keys]


def naive_u64_map_put(mapping: dict[int, int], keys: list[int], values: list[int]) -> int:
    before = len(mapping)
    mapping.update(zip(keys, values, strict=True))
    return len(mapping) - before


def naive_u64_map_drop(mapping: dict[int, int], keys: list[int]) -> int:
    return sum(mapping.pop(key, None) is not None for key in keys)


def bits_of(value: float) -> int:
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def float_of(bits: int) -> float:
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def naive_intake_features(kind, rows, before):
    """rows: [(ts, bits)]; before: (ts, bits) or None."""
    features = []
    last = before if before is not None and before[1] != STALE_BITS else None
    for ts, bits in rows:
        if bits == STALE_BITS:
            features.append(math.nan)
            last = None
            continue
        value = float_of(bits)
        if kind == 0:
            features.append(value)
        elif kind == 1 and last is not None:
            old = float_of(last[1])
            increase = value - old if value >= old else value
            features.append(increase / ((ts - last[0]) / 1000.0))
        else:
            features.append(math.nan)
        last = (ts, bits)
    return features


def naive_intake_prepare(rows, kinds):
    """rows: [(slot or None, ts, bits)]; returns (kept [(slot, ts, bits)], counts by fate)."""
    newest: dict[int, tuple[int, int]] = {}
    kept = []
    fate = {"unknown": 0, "duplicate": 0, "out_of_order": 0, "conflict": 0, "stale": 0}
    for slot, ts, bits in rows:
        if slot is None or slot >= len(kinds):
            fate["unknown"] += 1
        elif slot in newest and ts < newest[slot][0]:
            fate["out_of_order"] += 1
        elif slot in newest and ts == newest[slot][0]:
            fate["duplicate" if bits == newest[slot][1] else "conflict"] += 1
        else:
            newest[slot] = (ts, bits)
            fate["stale"] += bits == STALE_BITS
            kept.append((slot, ts, bits))
    return kept, fate
