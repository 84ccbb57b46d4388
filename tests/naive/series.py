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


def naive_quality_note(slots, rows, now_ms, window_rows):
    """rows: [(slot or None, ts, fate)], one arrival; slots: what is known of each, by number.

    Returns [(own flags, flags of the window)] of the kept rows, and rows by oddity.
    """
    told = []
    odd = {"gap": 0, "late": 0, "backfill": 0}
    for slot, ts, fate in rows:
        if fate == "unknown":
            continue
        known = slots.setdefault(slot, {"n": 0, "seen": {}, "last": None, "seen_ms": 0})
        if fate in ("duplicate", "conflict", "out_of_order"):
            known["seen"][fate] = known["n"]
            continue
        own = {"reset"} if fate == "reset" else set()
        own |= {"stale"} if known.get("ended") else set()
        if known["last"] is not None and fate != "stale":
            own |= _naive_rhythm(known, ts, now_ms)
        for name in odd:
            odd[name] += name in own
        known["n"] += 1
        known.update(seen_ms=now_ms, last=ts, ended=fate == "stale")
        known["seen"] |= dict.fromkeys(own, known["n"])
        window = {flag for flag, n in known["seen"].items() if known["n"] - n < window_rows}
        told.append((own, window))
    return told, odd


def _naive_rhythm(known, ts, now_ms):
    span_s = (ts - known["last"]) / 1000
    lag_s = max(now_ms - ts, 0) / 1000
    if "interval" not in known:
        known.update(interval=single(span_s), lag=single(lag_s))
        return set()
    interval, lag = known["interval"], known["lag"]
    found = set()
    if span_s > 3.5 * interval:
        found.add("gap")
    if lag_s - lag > 60 and lag_s - lag > 5 * interval:
        found.add("late")
        if 2 * (now_ms - known["seen_ms"]) / 1000 < span_s:
            found.add("backfill")
    upper, lower = interval * 1.05, interval / 1.05
    known["interval"] = single(sorted([lower, span_s, upper])[1])
    step = min(lag_s - lag, 0.05 * interval) if lag_s > lag else 0.1 * (lag_s - lag)
    known["lag"] = single(lag + step)
    return found


def single(value: float) -> float:
    """The value as a float of 32 bits holds it."""
    return struct.unpack("<f", struct.pack("<f", value))[0]
