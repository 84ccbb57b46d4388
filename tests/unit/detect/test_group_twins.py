"""The kernels over several series against their plain twins, on seeded and on hostile data.

k_group_judge and k_peers_judge run through their banks. The same file is run once more with the
compiler switched off.
"""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from group_data import group_bank, judge_group, judge_peers, peer_bank, rows_of

from tests.naive.group import (
    NaiveEntity,
    NaiveMember,
    NaivePeers,
    NaiveReplica,
    naive_group_judge,
    naive_peers_judge,
)

IS_COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
N_LONG = 2500 if IS_COMPILED else 1000

HOSTILE = {
    "nan": math.nan,
    "infinite": math.inf,
    "negative infinite": -math.inf,
    "huge": 1.7e308,
    "denormal": 5e-324,
}


def faulty(n, n_series, seed=3):
    rng = np.random.default_rng(seed)
    values = 10 + rng.normal(size=(n, n_series))
    values[n // 2 : n // 2 + 40] += 30
    values[3 * n // 4 :, 0] += 200
    return values


def own_scores(n_rows, seed=4):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n_rows) < 0.05, rng.uniform(1, 9, n_rows), rng.random(n_rows))


def compare_groups(values, *, lost=0.0):
    n_series = values.shape[1]
    slots, ts_ms, features = rows_of(values, lost=lost)
    scores = own_scores(len(slots))
    told = judge_group(group_bank(n_series), slots, ts_ms, features, scores)
    entity = NaiveEntity({slot: NaiveMember() for slot in range(n_series)})
    columns = (slots, ts_ms, features, scores)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    expected = np.array(naive_group_judge(entity, rows)).reshape(-1, 5)
    np.testing.assert_allclose(told, expected, rtol=1e-9, atol=1e-9)
    assert np.isfinite(told).all()
    return told


def compare_peers(values, *, lost=0.0):
    n_series = values.shape[1]
    columns = rows_of(values, lost=lost)
    told = judge_peers(peer_bank(n_series), *columns)
    peers = NaivePeers({slot: NaiveReplica() for slot in range(n_series)})
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    expected = np.array(naive_peers_judge(peers, rows)).reshape(-1, 6)
    np.testing.assert_allclose(told, expected, rtol=1e-9, atol=1e-9)
    return told


@pytest.mark.parametrize("lost", [0.0, 0.3])
def test_group_judge_equals_its_twin_through_faults_and_losses(lost):
    told = compare_groups(faulty(N_LONG, 5), lost=lost)
    assert told[:, 1].max() > 3


def test_group_judge_equals_its_twin_through_a_disturbance_that_stays():
    values = faulty(N_LONG, 5)
    values[N_LONG // 2 :] += 50
    told = compare_groups(values)
    assert told[-1, 1] < 3 < told[:, 1].max()


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_group_judge_equals_its_twin_on_hostile_values(name):
    values = faulty(450, 4)
    values[np.random.default_rng(5).random(values.shape) < 0.1] = HOSTILE[name]
    compare_groups(values)


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (2, 1), (400, 1), (400, 2)])
def test_group_judge_equals_its_twin_where_there_is_little_to_judge(shape):
    assert len(compare_groups(np.ones(shape))) == 0


def test_group_judge_equals_its_twin_at_times_that_run_backwards():
    n, rng = 600, np.random.default_rng(9)
    slots = rng.integers(0, 4, 4 * n).astype(np.int32)
    ts_ms = rng.integers(0, 50_000_000, 4 * n)
    features = rng.normal(size=4 * n)
    scores = own_scores(4 * n)
    told = judge_group(group_bank(4, warmup=20), slots, ts_ms, features, scores)
    entity = NaiveEntity({slot: NaiveMember() for slot in range(4)}, warmup=20)
    columns = (slots, ts_ms, features, scores)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    expected = np.array(naive_group_judge(entity, rows)).reshape(-1, 5)
    np.testing.assert_allclose(told, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("lost", [0.0, 0.3])
@pytest.mark.parametrize("n_series", [5, 8])
def test_peers_judge_equals_its_twin_through_faults_and_losses(lost, n_series):
    told = compare_peers(faulty(N_LONG, n_series), lost=lost)
    assert told[:, 2].max() > 4


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_peers_judge_equals_its_twin_on_hostile_values(name):
    values = faulty(300, 7)
    values[np.random.default_rng(5).random(values.shape) < 0.1] = HOSTILE[name]
    compare_peers(values)


@pytest.mark.parametrize("shape", [(0, 5), (1, 5), (300, 1), (300, 4)])
def test_peers_judge_equals_its_twin_where_there_is_little_to_judge(shape):
    assert (compare_peers(np.ones(shape))[:, 2] == 0).all()


@pytest.mark.skipif(not IS_COMPILED, reason="this is the run without the compiler")
def test_kernels_over_groups_equal_their_twins_without_the_compiler():
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
