"""The calibrated tail against scipy's generalised Pareto distribution."""

import math

import numpy as np
import pytest
from scipy.stats import genpareto

from aiops.detect.kernels.tails import k_tail_learn, k_tail_score

Q = 0.02
THRESHOLD = 3.0


def tail(*, shape: float, sigma: float) -> np.ndarray:
    """Return tail columns that hold exactly the moments of a generalised Pareto excess."""
    mean, variance = genpareto.stats(shape, scale=sigma, moments="mv")
    return np.array([THRESHOLD, float(mean), float(variance + mean * mean), 50.0])


@pytest.mark.parametrize("shape", [0.0, 0.05, 0.2, 0.39])
@pytest.mark.parametrize("unit", [3.0001, 4.0, 8.0, 30.0])
def test_the_score_is_the_survival_function_of_a_generalised_pareto_tail(shape, unit):
    sigma = 1.3
    survival = Q * genpareto.sf(unit - THRESHOLD, shape, scale=sigma)
    score = k_tail_score(tail(shape=shape, sigma=sigma), 0, unit)
    assert score == pytest.approx(-math.log10(survival), rel=1e-6)


def test_a_tail_learnt_from_exponential_residuals_ranks_them_rightly():
    rng = np.random.default_rng(7)
    units = rng.exponential(1.0, 60_000)
    row = np.array([2.5, 0.0, 0.0, 0.0])
    scores = np.empty(len(units))
    for n, unit in enumerate(units.tolist()):
        scores[n] = k_tail_score(row, 0, unit)
        k_tail_learn(row, 0, unit, float(n), 1.0)
    ripe = scores[10_000:]
    for level in (2.0, 3.0):
        share = float((ripe >= level).mean())
        assert 0.5 < share / 10**-level < 2.0
