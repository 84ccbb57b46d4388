"""Other ways to one score for all metrics of a machine, which the group bank is measured against.

All are online: a round is scored before it is learnt. They are written for the comparison, in
numpy, not for speed.
"""

from collections.abc import Callable

import numpy as np
from river import anomaly

from aiops.detect.calibrate import TailCalibrator
from aiops.domain.samples import F64

SEED = 1
HOLD = 0.97  # of the group bank, so that rivals do not lose for want of it
RATE = 1 / 20_000  # of means and covariances: about two weeks of minutes
WARMUP = 300
CLIP = 5.0  # spreads that a round may teach
RIDGE = 0.1  # of a unit variance: metrics that hardly vary alone say nothing
RANK = 6  # of the subspace
INVERT_EVERY = 60  # rounds


def held(columns: F64) -> F64:
    """Return each column's scores fading as the bank's evidence does."""
    out = np.zeros_like(columns)
    left = np.zeros(columns.shape[1:])
    for k, row in enumerate(columns):
        left = np.maximum(HOLD * left, row)
        out[k] = left
    return out


def mean(_values: F64, scores: F64) -> F64:
    """Mean of the series' scores: Fisher's combination of their probabilities."""
    return scores.mean(axis=1)


def mean_of_top_3(_values: F64, scores: F64) -> F64:
    """Mean of the three highest scores."""
    return np.sort(scores, axis=1)[:, -3:].mean(axis=1)


def held_mean(_values: F64, scores: F64) -> F64:
    """Mean of the series' held scores."""
    return held(scores).mean(axis=1)


def half_space_trees(values: F64, _scores: F64) -> F64:
    """River's half-space trees on all metrics, scaled by what was seen so far."""
    low, high = np.minimum.accumulate(values), np.maximum.accumulate(values)
    scaled = (values - low) / np.maximum(high - low, 1e-9)
    trees = anomaly.HalfSpaceTrees(n_trees=25, height=8, window_size=250, seed=SEED)
    told = np.zeros(len(values))
    for k, row in enumerate(scaled.tolist()):
        x = dict(enumerate(row))
        told[k] = trees.score_one(x)
        trees.learn_one(x)
    return told


def mahalanobis(values: F64, _scores: F64) -> F64:
    """Held tail score of the Mahalanobis distance from all that was seen."""
    units = _units(values)
    n, n_series = units.shape
    covariance, precision = np.eye(n_series), np.eye(n_series)
    told = np.zeros(n)
    for k, unit in enumerate(units):
        told[k] = unit @ precision @ unit / n_series if k > WARMUP else 0.0
        learnt = np.clip(unit, -CLIP, CLIP)
        rate = max(RATE, 1 / (k + 20))
        covariance += rate * (np.outer(learnt, learnt) - covariance)
        if k % INVERT_EVERY == 0:
            precision = np.linalg.inv(covariance + RIDGE * np.eye(n_series))
    return _ranked(told)


def subspace(values: F64, _scores: F64) -> F64:
    """Held tail score of the residual off a subspace that follows the data (Oja's rule)."""
    units = _units(values)
    n, n_series = units.shape
    basis = np.eye(n_series, RANK)
    told = np.zeros(n)
    for k, unit in enumerate(units):
        residual = unit - basis @ (basis.T @ unit)
        told[k] = np.sqrt(np.mean(residual**2)) if k > WARMUP else 0.0
        learnt = np.clip(unit, -CLIP, CLIP)
        inside = basis.T @ learnt
        rate = max(1 / 5000, 1 / (k + 20))
        basis += rate * np.outer(learnt - basis @ inside, inside) / (1 + rate * inside @ inside)
        if k % 20 == 0:
            basis = np.linalg.qr(basis)[0]
    return _ranked(told)


RIVALS: dict[str, Callable[[F64, F64], F64]] = {
    "mean": mean,
    "mean_of_top_3": mean_of_top_3,
    "held_mean": held_mean,
    "river_half_space_trees": half_space_trees,
    "mahalanobis": mahalanobis,
    "subspace": subspace,
}


def _units(values: F64) -> F64:
    """Return distances from the running mean in running mean distances."""
    level, spread = values[0].copy(), np.zeros(values.shape[1])
    units = np.zeros_like(values)
    for k in range(1, len(values)):
        away = values[k] - level
        scale = np.maximum(spread, 1e-4 * np.abs(level) + 1e-6)
        units[k] = np.clip(away / scale, -2 * CLIP, 2 * CLIP)
        rate = max(RATE, 1 / (k + 1))
        if k > WARMUP:
            away = np.clip(away, -4 * scale, 4 * scale)
        level += rate * away
        spread += rate * (np.abs(away) - spread)
    return units


def _ranked(raw: F64) -> F64:
    calibrator = TailCalibrator(WARMUP)
    scores = np.array([calibrator.score_learn(value) for value in raw.tolist()])
    return held(scores[:, None])[:, 0]
