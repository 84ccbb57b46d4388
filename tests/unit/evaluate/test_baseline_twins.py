"""Every kernel of the rivals against its plain twin, on seeded and on hostile data."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aiops.evaluate.baselines import _initial_tail
from aiops.evaluate.kernels.baselines import k_ewma_score, k_holt_winters_score, k_spot_score
from tests.naive.evaluate import naive_ewma_score, naive_holt_winters_score, naive_spot_score

IS_COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
N = 700
START = 200
RATES = (0.1, 0.01, 0.15)


def noisy(_rng):
    values = _rng.normal(10, 1, N)
    values[400:420] += 15
    return values


SERIES = {
    "noise with a jump": noisy,
    "constant": lambda _rng: np.full(N, 7.0),
    "heavy tail": lambda rng: rng.standard_t(2, N),
    "absent rows": lambda rng: np.where(rng.random(N) < 0.2, math.nan, rng.normal(size=N)),
    "huge": lambda rng: 1e100 * rng.normal(size=N),
    "denormal": lambda rng: np.where(rng.random(N) < 0.5, 5e-324, 0.0),
    "counts": lambda rng: rng.poisson(0.3, N).astype(float),
    "empty": lambda _rng: np.empty(0),
    "one": lambda _rng: np.array([3.0]),
}


def series(name):
    return SERIES[name](np.random.default_rng(5))


@pytest.mark.parametrize("name", SERIES)
def test_k_ewma_score_is_naive_ewma_score(name):
    values = series(name)
    out = np.full(len(values), -1.0)
    k_ewma_score(values, 0.02, out)
    np.testing.assert_allclose(out, naive_ewma_score(values.tolist(), 0.02), rtol=1e-9)


@pytest.mark.parametrize("name", SERIES)
def test_k_holt_winters_score_is_naive_holt_winters_score(name):
    values = series(name)
    places = (np.arange(len(values)) % 24).astype(np.int32)
    out = np.full(len(values), -1.0)
    k_holt_winters_score(values, places, np.zeros(24), np.zeros(24, np.uint8), np.array(RATES), out)
    wanted = naive_holt_winters_score(values.tolist(), places.tolist(), 24, RATES)
    np.testing.assert_allclose(out, wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in SERIES if name not in ("empty", "one")])
def test_k_spot_score_is_naive_spot_score(name):
    values = series(name)
    first = values[:START][~np.isnan(values[:START])]
    tails = np.array([_initial_tail(first), _initial_tail(-first)])
    out = np.full(len(values), -1.0)
    k_spot_score(values, START, len(first), tails, out)
    np.testing.assert_allclose(out, naive_spot_score(values.tolist(), START), rtol=1e-6)


@pytest.mark.skipif(not IS_COMPILED, reason="this is the run without the compiler")
def test_kernels_equal_their_twins_without_the_compiler():
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
