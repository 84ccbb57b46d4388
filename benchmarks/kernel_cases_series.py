"""Cases of the kernels that find series and make features of their samples."""

from collections.abc import Iterator

import numpy as np

from aiops.domain.quality import QualityFlag, flag_bit
from aiops.domain.samples import F64, I64, STALE_BITS, U64
from aiops.series.kernels import intake, quality
from aiops.series.kernels.u64_map import MISSING, k_u64_map_drop, k_u64_map_put
from benchmarks.kernel_cases import SEED, START_MS, STEP_MS, Case, Kernel, requests_of
from tests.naive.series import (
    naive_intake_features,
    naive_intake_prepare,
    naive_quality_note,
    naive_u64_map_drop,
    naive_u64_map_get,
    naive_u64_map_put,
)

N_CHECKED = 300
WINDOW_ROWS = 10
FATES = ("kept", "unknown", "duplicate", "out_of_order", "conflict", "stale", "reset")
"""Names of rows' fates by their numbers in `series.kernels.quality`."""

ROWS_PER_SERIES = 1_440
"""Six hours at 15 s, what a dashboard asks for."""


def u64_map_get(kernel: Kernel, n_keys: int) -> Case:
    """k_u64_map_get: every key of the map once, in another order than they were put."""
    keys, table = _keys(n_keys), _empty_table(n_keys)
    k_u64_map_put(keys, keys, table)
    wanted = np.random.default_rng(SEED).permutation(keys)
    values = np.empty(n_keys, np.uint64)
    facts = {"keys": n_keys, "table_bytes": table.nbytes}
    return Case(
        n_keys, lambda: kernel(wanted, table, values), lambda: _is_get_right(kernel), facts=facts
    )


def u64_map_put(kernel: Kernel, n_keys: int) -> Case:
    """k_u64_map_put: fills an empty map, half full in the end."""
    keys, table = _keys(n_keys), _empty_table(n_keys)
    return Case(
        n_keys,
        lambda: kernel(keys, keys, table),
        lambda: _is_put_right(kernel),
        lambda: k_u64_map_drop(keys, table),
        {"keys": n_keys, "table_bytes": table.nbytes},
    )


def u64_map_drop(kernel: Kernel, n_keys: int) -> Case:
    """k_u64_map_drop: empties a half full map."""
    keys, table = _keys(n_keys), _empty_table(n_keys)
    return Case(
        n_keys,
        lambda: kernel(keys, table),
        lambda: _is_drop_right(kernel),
        lambda: k_u64_map_put(keys, keys, table),
        {"keys": n_keys, "table_bytes": table.nbytes},
    )


def intake_prepare(kernel: Kernel, n_slots: int) -> Case:
    """k_intake_prepare: one sample of every slot, half of them counters, request by request."""
    rng = np.random.default_rng(SEED)
    track = np.zeros((n_slots, 4), np.int64)
    track[:, intake.KIND] = np.arange(n_slots) % 2
    slots = np.arange(n_slots, dtype=np.uint64)
    ts_ms, levels = np.full(n_slots, START_MS), rng.lognormal(6.0, 1.5, n_slots)
    out, counts = _out_columns(n_slots), np.zeros(intake.COUNTS_SIZE, np.int64)
    fates = np.zeros(n_slots, np.uint8)

    def call() -> None:
        for part in requests_of(n_slots):
            bits = levels[part].view(np.uint64)
            kernel(slots[part], ts_ms[part], bits, track, *out, fates, counts)

    def reset() -> None:
        ts_ms[:] += STEP_MS
        levels[:] += 1.0

    return Case(n_slots, call, lambda: _is_prepare_right(kernel), reset)


def quality_note(kernel: Kernel, n_slots: int) -> Case:
    """k_quality_note: one sample of every slot, all as it should be, request by request."""
    slots, ts_ms = np.arange(n_slots, dtype=np.uint64), np.full(n_slots, START_MS)
    fates, words = np.zeros(n_slots, np.uint8), np.zeros(n_slots, np.uint64)
    state, counts = _quality_state(n_slots), np.zeros(quality.COUNTS_SIZE, np.int64)

    def call() -> None:
        now_ms = int(ts_ms[0])
        for part in requests_of(n_slots):
            rows = (slots[part], ts_ms[part], fates[part])
            kernel(*rows, now_ms, WINDOW_ROWS, *state, words, counts)

    def reset() -> None:
        ts_ms[:] += STEP_MS

    facts = {"state_bytes_per_slot": sum(a.nbytes for a in state[1:]) // n_slots}
    return Case(n_slots, call, lambda: _is_quality_right(kernel), reset, facts)


def intake_features(kernel: Kernel, n_slots: int) -> Case:
    """k_intake_features: stored rows of counters, one series a call, as a query reads them."""
    n_series = min(n_slots, 200)
    ts_ms, bits = _stored_counter(ROWS_PER_SERIES)
    features = np.empty(ROWS_PER_SERIES)

    def call() -> None:
        for _ in range(n_series):
            kernel(intake.COUNTER, ts_ms, bits, -1, np.uint64(0), features)

    n_rows = n_series * ROWS_PER_SERIES
    facts = {"rows_per_call": ROWS_PER_SERIES}
    return Case(n_rows, call, lambda: _are_features_right(kernel), facts=facts)


def _keys(n_keys: int) -> U64:
    return np.random.default_rng(SEED).integers(1, 2**64, n_keys, np.uint64)


def _empty_table(n_keys: int) -> U64:
    """Return a table of the size that `U64Map` would give it."""
    return np.zeros((max(1024, 1 << (2 * n_keys - 1).bit_length()), 2), np.uint64)


def _is_get_right(kernel: Kernel) -> bool:
    keys, table = _keys(N_CHECKED), _empty_table(N_CHECKED)
    known = keys[: N_CHECKED // 2]
    k_u64_map_put(known, known + np.uint64(7), table)
    values = np.zeros(N_CHECKED, np.uint64)
    n_missing = kernel(keys, table, values)
    mapping = {key: (key + 7) % 2**64 for key in known.tolist()}
    wanted = naive_u64_map_get(mapping, keys.tolist())
    return values.tolist() == wanted and n_missing == wanted.count(MISSING)


def _is_put_right(kernel: Kernel) -> bool:
    keys, table = _keys(N_CHECKED), _empty_table(N_CHECKED)
    mapping: dict[int, int] = {}
    for part in (keys[:200], keys[100:]):  # some are put twice
        values = part ^ np.uint64(len(mapping))
        n_new = kernel(part, values, table)
        if n_new != naive_u64_map_put(mapping, part.tolist(), values.tolist()):
            return False
    return _entries(table) == mapping


def _is_drop_right(kernel: Kernel) -> bool:
    keys, table = _keys(N_CHECKED), _empty_table(N_CHECKED)
    known, doomed = keys[:200], keys[100:]  # some are not there
    k_u64_map_put(known, known, table)
    mapping = dict(zip(known.tolist(), known.tolist(), strict=True))
    n_dropped = kernel(doomed, table)
    return n_dropped == naive_u64_map_drop(mapping, doomed.tolist()) and _entries(table) == mapping


def _entries(table: U64) -> dict[int, int]:
    return {key: value for key, value in table.tolist() if key}


def _out_columns(n: int) -> tuple[np.ndarray, ...]:
    dtypes = (np.int32, np.int64, np.uint64, np.float64, np.uint8)
    return tuple(np.zeros(n, dtype) for dtype in dtypes)


def _is_prepare_right(kernel: Kernel) -> bool:
    kinds = [intake.GAUGE, intake.COUNTER, intake.IGNORED]
    rows = list(_mixed_rows(len(kinds)))
    track = np.zeros((len(kinds), 4), np.int64)
    track[:, intake.KIND] = kinds
    slots = np.array([MISSING if slot is None else slot for slot, _, _ in rows], np.uint64)
    ts_ms, bits = (np.array([row[k] for row in rows]) for k in (1, 2))
    out, counts = _out_columns(len(rows)), np.zeros(intake.COUNTS_SIZE, np.int64)
    fates = np.zeros(len(rows), np.uint8)
    kernel(slots, ts_ms.astype(np.int64), bits.astype(np.uint64), track, *out, fates, counts)
    kept, fate = naive_intake_prepare(rows, kinds)
    told = list(zip(*(column[: counts[intake.N_KEPT]].tolist() for column in out[:3]), strict=True))
    fates = ("unknown", "duplicate", "out_of_order", "conflict", "stale")
    if told != kept or counts[1:6].tolist() != [fate[name] for name in fates]:
        return False
    return all(_is_feature_column_right(out, slot, kinds[slot], kept) for slot in range(len(kinds)))


def _quality_state(n_slots: int) -> tuple[np.ndarray, ...]:
    return (
        np.zeros(n_slots, np.int64),
        np.zeros(n_slots, np.int64),
        np.zeros(n_slots, np.uint64),
        np.zeros((n_slots, 2), np.float32),
    )


def _is_quality_right(kernel: Kernel) -> bool:
    """Rows in arrivals of seven, some of which come late or again."""
    n_slots, known = 3, {}
    state, counts = _quality_state(n_slots), np.zeros(quality.COUNTS_SIZE, np.int64)
    rng = np.random.default_rng(SEED)
    for arrival in range(N_CHECKED // 7):
        now_ms = START_MS + STEP_MS * arrival
        ts_ms = now_ms + np.arange(7) - 120_000 * rng.integers(0, 2)
        slots = rng.integers(0, n_slots, 7).astype(np.uint64)
        fates, words = rng.integers(0, 7, 7).astype(np.uint8), np.zeros(7, np.uint64)
        kernel(slots, ts_ms, fates, now_ms, WINDOW_ROWS, *state, words, counts)
        names = [FATES[fate] for fate in fates.tolist()]
        rows = list(zip(slots.tolist(), ts_ms.tolist(), names, strict=True))
        told, _ = naive_quality_note(known, rows, now_ms, WINDOW_ROWS)
        wanted = [(_bits(own) << 48) + (_bits(window) << 56) for own, window in told]
        if words[: len(wanted)].tolist() != wanted:
            return False
    return True


def _bits(flags: set[str]) -> int:
    return sum(flag_bit(QualityFlag(flag)) for flag in flags)


def _is_feature_column_right(
    out: tuple[np.ndarray, ...], slot: int, kind: int, kept: list[tuple[int, int, int]]
) -> bool:
    own = [row for row, item in enumerate(kept) if item[0] == slot]
    wanted = naive_intake_features(kind, [kept[row][1:] for row in own], None)
    return np.array_equal(out[3][own], wanted, equal_nan=True)


def _mixed_rows(n_slots: int) -> Iterator[tuple[int | None, int, int]]:
    """Yield (slot, ts, bits) with repeats, late ones, unknown slots and staleness markers."""
    rng = np.random.default_rng(SEED)
    for step in range(N_CHECKED):
        slot = int(rng.integers(0, n_slots + 1))
        ts_ms = START_MS + 1000 * (step // 4) - int(rng.integers(0, 2)) * 1000
        value = np.float64(rng.integers(0, 4))
        bits = STALE_BITS if rng.random() < 0.05 else int(value.view(np.uint64))
        yield (None if slot == n_slots else slot), ts_ms, bits


def _stored_counter(n: int) -> tuple[I64, U64]:
    rng = np.random.default_rng(SEED)
    values: F64 = np.cumsum(rng.integers(0, 50, n)).astype(np.float64)
    values[n // 2 :] -= values[n // 2]  # a reset
    return START_MS + STEP_MS * np.arange(n, dtype=np.int64), values.view(np.uint64)


def _are_features_right(kernel: Kernel) -> bool:
    ts_ms, bits = _stored_counter(N_CHECKED)
    features = np.zeros(N_CHECKED - 1)
    kernel(intake.COUNTER, ts_ms[1:], bits[1:], ts_ms[0], bits[0], features)
    rows = list(zip(ts_ms.tolist(), bits.tolist(), strict=True))
    wanted = naive_intake_features(intake.COUNTER, rows[1:], rows[0])
    return np.array_equal(features, wanted, equal_nan=True)
