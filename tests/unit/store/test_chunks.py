"""Sealed groups to bytes and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.domain.samples import STALE_BITS
from aiops.errors import StoreError
from aiops.store.chunks import decode_block, encode_block
from aiops.store.head import SealedGroup
from aiops.store.kernels.head import BASE_TS, BEFORE_TS, GROUP_SLOTS, N_ROWS

NAN_WITH_PAYLOAD = 0x7FF80000DEADBEEF
BITS = [0, 1 << 63, 1, STALE_BITS, NAN_WITH_PAYLOAD, 0x7FF0 << 48, 0xFFF0 << 48, 2**64 - 1]

lengths = st.lists(st.integers(0, 4), min_size=GROUP_SLOTS, max_size=GROUP_SLOTS).filter(any)


def sealed_group(n_rows_each, rng, bits=None) -> SealedGroup:
    meta = rng.integers(-(2**62), 2**62, (GROUP_SLOTS, 4))
    meta[:, N_ROWS] = n_rows_each
    n = int(sum(n_rows_each))
    rows = rng.integers(0, 2**64, (n, 2), np.uint64)
    if bits is not None:
        rows[:, 0] = rng.choice(np.array(bits, np.uint64), n)
    start = 0
    for count in n_rows_each:  # times grow within a series, from 0 on
        offsets = np.sort(rng.choice(2**31, count, replace=False)) if count else np.empty(0)
        offsets[:1] = 0
        word = rows[start : start + count, 1] & np.uint64(2**33 - 1)
        rows[start : start + count, 1] = word | offsets.astype(np.uint64) << np.uint64(33)
        start += count
    return SealedGroup(7, 3, meta, rows)


def identity(rng):
    return rng.integers(0, 2**64, GROUP_SLOTS, np.uint64), rng.integers(0, 3, GROUP_SLOTS)


@given(lengths, st.integers(0, 2**32))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_any_rows_come_back_bit_for_bit(n_rows_each, seed):
    rng = np.random.default_rng(seed)
    sealed = sealed_group(n_rows_each, rng, BITS if seed % 2 else None)
    fingerprints, kinds = identity(rng)
    block = decode_block(encode_block(sealed, fingerprints, kinds))
    assert block.rows.tolist() == sealed.rows.tolist()
    assert block.meta.tolist() == sealed.meta.tolist()
    assert block.fingerprints.tolist() == fingerprints.tolist()
    assert block.kinds.tolist() == kinds.tolist()
    assert block.starts.tolist() == [0, *np.cumsum(n_rows_each).tolist()]


def test_every_changed_byte_is_noticed():
    rng = np.random.default_rng(1)
    data = encode_block(sealed_group([2] * GROUP_SLOTS, rng), *identity(rng))
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(StoreError):
            decode_block(bytes(damaged))


@pytest.mark.parametrize("n_missing", [1, 10, 1000])
def test_a_cut_block_is_refused(n_missing):
    rng = np.random.default_rng(1)
    data = encode_block(sealed_group([2] * GROUP_SLOTS, rng), *identity(rng))
    with pytest.raises(StoreError):
        decode_block(data[:-n_missing])


@pytest.mark.parametrize("data", [b"", b"AGB1", b"SQLite format 3\0" * 200])
def test_foreign_bytes_are_refused(data):
    with pytest.raises(StoreError, match="not a sample block"):
        decode_block(data)


def realistic_group(rng, n_rows):
    """Thirty-two series as a fleet has them: counters, small gauges, ratios, sizes, full floats."""
    ts = np.arange(n_rows) * 15_000
    rows = []
    for member in range(GROUP_SLOTS):
        jitter = rng.integers(-3, 4, n_rows)
        noise = rng.normal(size=n_rows)
        values = [
            np.cumsum(rng.poisson(40, n_rows)).astype(float),
            np.round(20 + 2 * noise, 2),
            np.round(4096 * np.round(200_000 + 300 * noise)),
            np.full(n_rows, float(member)),
            np.round(0.2 + 0.01 * noise, 4),
            np.exp(noise),
        ][member % 6]
        offsets = np.maximum.accumulate(np.maximum(ts + jitter, 0))
        offsets[0] = 0
        half = rng.integers(1000, 1006, n_rows)
        deviation = rng.integers(0, 2, n_rows) << 11 | rng.integers(850, 1000, n_rows)
        score = np.round(8 * rng.exponential(0.43, n_rows)).astype(int)
        word = offsets << 33 | half << 20 | deviation << 8 | score
        rows.append(np.stack([values.view(np.uint64), word.astype(np.uint64)], axis=1))
    meta = np.zeros((GROUP_SLOTS, 4), np.int64)
    meta[:, N_ROWS], meta[:, BASE_TS], meta[:, BEFORE_TS] = n_rows, 1_700_000_000_000, -1
    return SealedGroup(0, 0, meta, np.concatenate(rows))


def test_realistic_rows_take_less_than_nine_bytes():
    rng = np.random.default_rng(1)
    sealed = realistic_group(rng, 120)
    n_bytes = len(encode_block(sealed, *identity(rng)))
    assert n_bytes / len(sealed.rows) < 9.0  # 7.14 when this was written


def test_the_key_of_a_block_names_group_and_seal():
    assert sealed_group([0] * GROUP_SLOTS, np.random.default_rng(1)).key == 7 << 24 | 3


def test_the_span_of_a_block_is_that_of_its_rows_only():
    meta = np.zeros((GROUP_SLOTS, 4), np.int64)
    meta[0, BASE_TS] = 5  # an emptied slot keeps its last base
    meta[3, N_ROWS], meta[3, BASE_TS] = 2, 1000
    meta[9, N_ROWS], meta[9, BASE_TS] = 1, 900
    rows = np.array([[0, 0], [0, 70 << 33], [0, 0]], np.uint64)
    assert SealedGroup(0, 0, meta, rows).span_ms == (900, 1070)
