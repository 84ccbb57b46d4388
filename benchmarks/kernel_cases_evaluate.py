"""Cases of the kernels of the rival detectors."""

import numpy as np

from aiops.domain.samples import F64
from benchmarks.kernel_cases import SEED, Case, Kernel
from tests.naive.evaluate import naive_ewma_score, naive_holt_winters_score, naive_spot_score

N_CHECKED = 800
START = 500
N_PLACES = 96
RATES = (0.1, 0.01, 0.15)
RATE = 0.02


def ewma_score(score: Kernel, n_rows: int) -> Case:
    """k_ewma_score: one series of as many rows."""

    def run(values: F64) -> F64:
        out = np.empty_like(values)
        score(values, RATE, out)
        return out

    checked, timed = _values(N_CHECKED), _values(n_rows)
    return Case(
        n_rows,
        lambda: run(timed),
        lambda: np.allclose(run(checked), naive_ewma_score(checked.tolist(), RATE), rtol=1e-9),
    )


def holt_winters_score(score: Kernel, n_rows: int) -> Case:
    """k_holt_winters_score: one series, a season of 96 places."""

    def run(values: F64) -> F64:
        out = np.empty_like(values)
        season, is_seen = np.zeros(N_PLACES), np.zeros(N_PLACES, np.uint8)
        score(values, _places(len(values)), season, is_seen, np.array(RATES), out)
        return out

    checked, timed = _values(N_CHECKED), _values(n_rows)
    wanted = naive_holt_winters_score(
        checked.tolist(), _places(N_CHECKED).tolist(), N_PLACES, RATES
    )
    return Case(
        n_rows,
        lambda: run(timed),
        lambda: np.allclose(run(checked), wanted, rtol=1e-9),
    )


def spot_score(score: Kernel, n_rows: int) -> Case:
    """k_spot_score: one series, the first 500 rows begin the tails."""

    def run(values: F64) -> F64:
        out = np.empty_like(values)
        tails = np.array([_tail(values[:START]), _tail(-values[:START])])
        score(values, START, START, tails, out)
        return out

    checked, timed = _values(N_CHECKED), _values(START + n_rows)
    wanted = naive_spot_score(checked.tolist(), START)
    return Case(
        len(timed), lambda: run(timed), lambda: np.allclose(run(checked), wanted, rtol=1e-9)
    )


def _values(n: int) -> F64:
    return np.random.default_rng(SEED).normal(10.0, 1.0, n)


def _places(n: int) -> np.ndarray:
    return (np.arange(n) % N_PLACES).astype(np.int32)


def _tail(values: F64) -> tuple[float, float, float, float]:
    threshold = np.sort(values)[int(0.98 * len(values))]
    excess = values[values > threshold] - threshold
    return float(threshold), float(len(excess)), float(excess.sum()), float((excess**2).sum())
