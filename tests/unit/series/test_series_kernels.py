"""The kernels of series state against their plain twins."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.domain.samples import STALE_BITS
from aiops.series.kernels import intake
from aiops.series.kernels.intake import k_intake_features, k_intake_prepare
from aiops.series.kernels.u64_map import k_u64_map_drop, k_u64_map_get, k_u64_map_put
from tests.naive.series import (
    bits_of,
    naive_intake_features,
    naive_intake_prepare,
    naive_u64_map_drop,
    naive_u64_map_get,
    naive_u64_map_put,
)

# Keys that collide in a table of 64 places, so that probing and shifting are exercised.
crowded_keys = st.integers(1, 40).map(lambda n: (n % 5) + 64 * n)
steps = st.lists(st.tuples(st.sampled_from(["put", "drop"]), st.lists(crowded_keys, max_size=6)))
values_of_interest = st.sampled_from([0.0, 1.0, 5.0, 2.5, -0.0, math.inf, 1e308, 5e-324])
any_bits = st.one_of(
    values_of_interest.map(bits_of), st.just(STALE_BITS), st.just(bits_of(math.nan))
)


@given(steps)
@settings(max_examples=300, derandomize=True)
def test_map_kernels_equal_a_dict(operations):
    table = np.zeros((64, 2), np.uint64)
    mapping: dict[int, int] = {}
    for name, keys in operations:
        columns = np.array(keys, np.uint64)
        if name == "put" and len(mapping) + len(keys) < 60:
            values = columns + np.uint64(7)
            assert k_u64_map_put(columns, values, table) == naive_u64_map_put(
                mapping, keys, values.tolist()
            )
        elif name == "drop":
            assert k_u64_map_drop(columns, table) == naive_u64_map_drop(mapping, keys)
    wanted = [n % 5 + 64 * n for n in range(1, 41)]
    out = np.empty(len(wanted), np.uint64)
    n_missing = k_u64_map_get(np.array(wanted, np.uint64), table, out)
    assert out.tolist() == naive_u64_map_get(mapping, wanted)
    assert n_missing == sum(key not in mapping for key in wanted)


def run_prepare(rows, kinds):
    n = len(rows)
    track = np.zeros((len(kinds), 4), np.int64)
    track[:, intake.KIND] = kinds
    slots = np.array([2**64 - 1 if slot is None else slot for slot, _, _ in rows], np.uint64)
    out = (
        np.empty(n, np.int32),
        np.empty(n, np.int64),
        np.empty(n, np.uint64),
        np.empty(n, np.float64),
        np.empty(n, np.uint8),
    )
    fates = np.full(n, 99, np.uint8)
    counts = np.zeros(intake.COUNTS_SIZE, np.int64)
    k_intake_prepare(
        slots,
        np.array([r[1] for r in rows], np.int64),
        np.array([r[2] for r in rows], np.uint64),
        track,
        *out,
        fates,
        counts,
    )
    n_left_out = np.count_nonzero((fates >= intake.N_UNKNOWN) & (fates <= intake.N_CONFLICT))
    assert n_left_out == n - counts[intake.N_KEPT]
    for fate in range(intake.N_UNKNOWN, intake.COUNTS_SIZE):
        assert np.count_nonzero(fates == fate) == counts[fate]
    return out, counts


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 2, None]), st.integers(1, 30), any_bits), max_size=40)
)
@settings(max_examples=300, derandomize=True)
def test_prepare_keeps_what_extends_a_series_and_features_follow(rows):
    kinds = [intake.GAUGE, intake.COUNTER, intake.IGNORED]
    (slots, ts, bits, features, _), counts = run_prepare(rows, kinds)
    kept, fate = naive_intake_prepare(rows, kinds)
    n = int(counts[intake.N_KEPT])
    assert list(zip(slots[:n].tolist(), ts[:n].tolist(), bits[:n].tolist(), strict=True)) == kept
    assert counts[intake.N_UNKNOWN] == fate["unknown"]
    assert counts[intake.N_DUPLICATE] == fate["duplicate"]
    assert counts[intake.N_OUT_OF_ORDER] == fate["out_of_order"]
    assert counts[intake.N_CONFLICT] == fate["conflict"]
    assert counts[intake.N_STALE] == fate["stale"]
    for slot, kind in enumerate(kinds):
        own = [row for row in range(n) if slots[row] == slot]
        wanted = naive_intake_features(kind, [(ts[r], bits[r]) for r in own], None)
        np.testing.assert_array_equal(features[own], np.array(wanted))


@given(
    st.sampled_from([intake.GAUGE, intake.COUNTER]),
    st.lists(any_bits, min_size=1, max_size=20),
    st.integers(0, 19),
)
@settings(max_examples=200, derandomize=True)
def test_features_recomputed_from_any_cut_equal_the_whole(kind, series_bits, cut):
    ts = np.arange(1, len(series_bits) + 1, dtype=np.int64) * 1000
    bits = np.array(series_bits, np.uint64)
    cut = min(cut, len(bits) - 1)
    before = (ts[cut - 1], bits[cut - 1]) if cut else (np.int64(-1), np.uint64(0))
    features = np.empty(len(bits) - cut)
    k_intake_features(kind, ts[cut:], bits[cut:], *before, features)
    whole = naive_intake_features(kind, list(zip(ts.tolist(), series_bits, strict=True)), None)
    np.testing.assert_array_equal(features, np.array(whole[cut:]))


def test_a_counter_reset_gives_the_rate_since_zero():
    rows = [(0, 1000, bits_of(100.0)), (0, 3000, bits_of(4.0))]
    (_, _, _, features, flags), counts = run_prepare(rows, [intake.COUNTER])
    assert features[1] == 2.0
    assert flags[1] == 1
    assert counts[intake.N_RESET] == 1


def test_a_strided_column_is_refused_rather_than_compiled_anew():
    with pytest.raises(TypeError):
        k_u64_map_get(
            np.zeros(8, np.uint64)[::2], np.zeros((8, 2), np.uint64), np.zeros(4, np.uint64)
        )
