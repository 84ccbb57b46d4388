"""The kernels of the newest rows against their plain twins, and the precision they promise."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aiops.domain.samples import STALE_BITS
from aiops.store.kernels.head import (
    BASE_TS,
    BEFORE_BITS,
    BEFORE_TS,
    GROUP_SLOTS,
    N_ROWS,
    OFFSET_MAX,
    k_head_append,
    k_head_take,
    k_head_unpack,
)
from tests.naive.store import NEVER, naive_head_append, naive_head_take, naive_head_unpack

CHUNK_ROWS = 4
N_SLOTS = 2 * GROUP_SLOTS
SLOTS = [0, 1, GROUP_SLOTS - 1, GROUP_SLOTS]  # two groups, first and last member
LIMITS = [2, CHUNK_ROWS]

of_interest = st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, 5e-324, 1e-300, 1e308, -1e308, math.inf, -math.inf, math.nan]
)
numbers = st.one_of(of_interest, st.floats(-1e6, 1e6), st.floats())
any_bits = st.one_of(st.integers(0, 2**64 - 1), st.just(STALE_BITS))
steps = st.one_of(st.integers(1, 60_000), st.sampled_from([OFFSET_MAX, OFFSET_MAX + 1, 2**40]))
rows_of_batch = st.lists(
    st.tuples(
        st.sampled_from(SLOTS), steps, any_bits, numbers, numbers, numbers, numbers, st.booleans()
    ),
    max_size=24,
)


class Both:
    """The kernels' arrays beside the twins' lists, driven by the same calls."""

    def __init__(self) -> None:
        self.rows = np.zeros((N_SLOTS, CHUNK_ROWS, 2), np.uint64)
        self.meta = np.zeros((N_SLOTS, 4), np.int64)
        self.meta[:, BEFORE_TS] = -1
        self.limits = np.array(LIMITS, np.int32)
        self.plain = [{"rows": [], "before": NEVER} for _ in range(N_SLOTS)]
        self.plain_limits = list(LIMITS)

    def append(self, batch, start: int) -> int:
        columns = list(zip(*batch, strict=True)) or [()] * 8
        kinds = [np.int32, np.int64, np.uint64, *[np.float64] * 4, np.uint8]
        arrays = [np.array(c, kind) for c, kind in zip(columns, kinds, strict=True)]
        slots, ts, bits, features, scores, expected, half, marks = arrays
        judged = (features, scores, expected, half, marks)
        at = k_head_append(start, slots, ts, bits, *judged, self.rows, self.meta, self.limits)
        args = (start, batch, self.plain, self.plain_limits, GROUP_SLOTS)
        assert at == naive_head_append(*args)
        return at

    def take(self, group: int) -> None:
        members = slice(group * GROUP_SLOTS, (group + 1) * GROUP_SLOTS)
        before = self.meta[members].copy()
        n_rows = int(before[:, N_ROWS].sum())
        out_rows = np.empty((n_rows, 2), np.uint64)
        out_meta = np.empty((GROUP_SLOTS, 4), np.int64)
        assert k_head_take(group, self.rows, self.meta, out_rows, out_meta) == n_rows
        assert out_rows.tolist() == [list(row) for row in self.taken(group)]
        np.testing.assert_array_equal(out_meta, before)
        self.limits[group] = self.plain_limits[group] = CHUNK_ROWS

    def taken(self, group: int):
        return naive_head_take(group, self.plain, GROUP_SLOTS)

    def check(self) -> None:
        for slot, state in enumerate(self.plain):
            n_rows = int(self.meta[slot, N_ROWS])
            assert n_rows == len(state["rows"])
            got = self.rows[slot, :n_rows].tolist()
            assert got == [[bits, word] for _, bits, word in state["rows"]]
            if n_rows:
                assert self.meta[slot, BASE_TS] == state["rows"][0][0]
            before_bits = int(self.meta[slot, BEFORE_BITS]) & 2**64 - 1
            assert (int(self.meta[slot, BEFORE_TS]), before_bits) == state["before"]


def with_times(rows):
    """Return rows whose steps became times that grow slot by slot."""
    now = dict.fromkeys(SLOTS, 1_700_000_000_000)
    batch = []
    for slot, step, *rest in rows:
        now[slot] += step
        batch.append((slot, now[slot], *rest))
    return batch


@given(rows_of_batch)
@settings(max_examples=300, derandomize=True)
def test_append_and_take_equal_their_twins_over_any_sequence_of_rows(rows):
    both, batch, at = Both(), with_times(rows), 0
    while (at := both.append(batch, at)) < len(batch):
        both.check()
        both.take(batch[at][0] // GROUP_SLOTS)
    both.check()
    for group in range(2):
        both.take(group)
    both.check()


half_codes = st.one_of(st.just(0), st.integers(16, 16 * 255 - 1))  # finite and not denormal
words = st.builds(
    lambda offset, mark, half, rest: offset << 33 | mark << 32 | half << 20 | rest,
    st.integers(0, OFFSET_MAX),
    st.integers(0, 1),
    half_codes,
    st.integers(0, 2**20 - 1),
)


@given(st.lists(st.tuples(any_bits, words), max_size=20))
@settings(max_examples=300, derandomize=True)
def test_unpack_equals_its_twin_on_all_that_append_writes(rows):
    got = unpacked(rows, 1_700_000_000_000)
    wanted = naive_head_unpack(rows, 1_700_000_000_000)
    for column, plain in zip(got, zip(*wanted, strict=True), strict=bool(rows)):
        np.testing.assert_array_equal(column, np.array(plain, column.dtype))


def unpacked(rows, base_ts):
    """Return columns: time, bits, score, half-width, deviation, in anomaly."""
    n = len(rows)
    out = [np.empty(n, kind) for kind in (np.int64, np.uint64, *[np.float64] * 3, np.uint8)]
    k_head_unpack(np.array(rows, np.uint64).reshape(n, 2), base_ts, *out)
    return out


def test_no_rows_are_appended_taken_and_unpacked():
    both = Both()
    assert both.append([], 0) == 0
    both.take(1)
    both.check()
    assert [len(column) for column in unpacked([], 0)] == [0] * 6


def test_a_row_too_far_from_the_first_asks_for_a_seal():
    both = Both()
    row = (1, 0, 1.0, 1.0, 1.0, 1.0, False)
    assert both.append([(40, 1000, *row[1:])], 0) == 1
    assert both.append([(40, 1000 + OFFSET_MAX, *row[1:])], 0) == 1
    assert both.append([(40, 1001 + OFFSET_MAX, *row[1:])], 0) == 0


def judged_once(feature=0.0, score=0.0, expected=0.0, half=1.0):
    """Return what is read back of one row: score, half-width, deviation."""
    both = Both()
    both.append([(0, 1000, 0, feature, score, expected, half, False)], 0)
    _, _, *judged, _ = unpacked(both.rows[0, :1].tolist(), 1000)
    return tuple(float(column[0]) for column in judged)


@given(st.floats(1e-37, 3e38))
@settings(max_examples=500, derandomize=True)
def test_half_width_comes_back_within_a_sixteenth(half):
    _, back, _ = judged_once(half=half)
    assert abs(back - half) <= half / 16


@given(st.floats(2.0**-15, 65000.0), st.sampled_from([1.0, -1.0]))
@settings(max_examples=500, derandomize=True)
def test_deviation_comes_back_within_a_64th_and_with_its_sign(size, sign):
    _, _, back = judged_once(feature=sign * size)
    assert abs(back - sign * size) <= size / 64


@given(st.floats(-1.0, 31.875))
@settings(max_examples=500, derandomize=True)
def test_score_comes_back_within_a_sixteenth(score):
    back, _, _ = judged_once(score=score)
    assert abs(back - max(score, 0.0)) <= 1 / 16


@given(numbers)
@settings(max_examples=200, derandomize=True)
def test_a_larger_score_never_reads_smaller(score):
    assume(not math.isnan(score))
    assert judged_once(score=score)[0] <= judged_once(score=score + 1)[0]


def test_no_band_reads_as_none():
    for half in (0.0, -1.0, math.nan):
        score, back, deviation = judged_once(feature=5.0, score=1.0, half=half)
        assert math.isnan(back)
        assert (score, deviation) == (1.0, 0.0)


def test_what_is_out_of_range_reads_as_the_nearest_that_can_be_told():
    assert judged_once(feature=math.inf)[2] == 65024.0
    assert judged_once(feature=-1e300)[2] == -65024.0
    assert judged_once(feature=1e-9)[2] == 0.0
    assert judged_once(half=math.inf)[1] == pytest.approx(3e38, rel=1 / 16)
    assert judged_once(score=math.inf)[0] == 31.875
    assert judged_once(score=math.nan)[0] == 0.0


def test_a_strided_column_is_refused_rather_than_compiled_anew():
    with pytest.raises(TypeError):
        k_head_take(
            0, np.zeros((64, 4, 2), np.uint64)[::2], np.zeros((32, 4), np.int64), *[np.empty(0)] * 2
        )
