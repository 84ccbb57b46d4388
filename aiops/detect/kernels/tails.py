"""Tail probabilities: how rare a value is beyond a running quantile of its own past.

Leaf functions that several kernels share.
"""

import math

from aiops.detect.kernels.compile import helper, kernel
from aiops.domain.samples import F64

TAIL_Q = 0.02  # share of samples beyond the tail threshold (chosen: 1 in 50 is soon learnt)
TAIL_BASE = 1.6989700043360187  # -log10(TAIL_Q)
TAIL_START = 2.5  # mean absolute residuals: a normal sample's 2 % quantile is 2.9
SHAPE_MAX = 0.4  # chosen: keeps the generalised Pareto tail's variance finite
SHAPE_MIN = -0.2  # of values, which often have an end: what exceeds it is all but impossible
RATE_TAIL = 0.002  # chosen: a quantile of 2 % then rests on ten excesses
RATE_EXCESS = 0.02
LOG10_E = 0.4342944819032518
CAP = 5.0  # decades a score may exceed log10(n): 100 samples may say one in ten million
LEVEL_CAP = 4.5  # the same of a level, whose samples tell less

# columns of one side of a level: threshold, mean excess, mean squared excess, weight of excesses
LEVEL_THRESHOLD, LEVEL_EXCESS, LEVEL_SQUARE, LEVEL_WEIGHT = range(4)
LEVEL_SIDE = 4
LEVEL_FLAG = 4.0  # chosen: levels rarer than one in 10,000 are learnt at LEVEL_LEARN
LEVEL_LEARN = 0.01  # chosen: a level held for a day at 1 min counts as 14 samples, and wears off


@helper
def decades(beyond: float, mean: float, square: float, shape_min: float) -> float:
    """Return -log10 of the share of excesses larger than `beyond`: generalised Pareto, moments."""
    variance = max(square - mean * mean, 0.05 * mean * mean)
    shape = min(max(0.5 * (1.0 - mean * mean / variance), shape_min), SHAPE_MAX)
    part = beyond / (mean * (1.0 - shape))
    if abs(shape) < 1e-4:
        return part * LOG10_E
    inside = 1.0 + shape * part
    if inside <= 1e-12:
        return 12.0
    return math.log(inside) / shape * LOG10_E


@helper
def tail_score(unit: float, threshold: float, mean: float, square: float) -> float:
    """Return -log10 P(size >= unit): linear up to the threshold, beyond it by its excesses."""
    if unit <= threshold:
        return TAIL_BASE * unit / threshold
    return TAIL_BASE + decades(unit - threshold, mean, square, 0.0)


@kernel("f8(f8[::1], i8, f8)")
def k_tail_score(row: F64, column: int, unit: float) -> float:
    """Return -log10 P(a sample's size >= unit) by the tail at `column`, four columns wide."""
    threshold: float = row[column]
    if unit > threshold and row[column + 3] < 3.0:
        return TAIL_BASE + (unit - threshold) / threshold
    return tail_score(unit, threshold, row[column + 1], row[column + 2])


@kernel("void(f8[::1], i8, f8, f8, f8)")
def k_tail_learn(row: F64, column: int, unit: float, n: float, least: float) -> None:
    """Move the threshold towards its quantile, never below `least`, and learn the excess."""
    threshold = row[column]
    step = 3.0 * max(RATE_TAIL, 1.0 / (0.3 * n + 1.0))
    if unit <= threshold:
        row[column] = max(threshold - step * TAIL_Q, least)
        return
    mean = row[column + 1]
    beyond = min(unit - threshold, 6.0 * (mean + 0.3))
    rate = max(RATE_EXCESS, 1.0 / (row[column + 3] + 1.0))
    row[column] = threshold + step * (1.0 - TAIL_Q)
    row[column + 1] = max(mean + rate * (beyond - mean), 0.2 * least)
    row[column + 2] = max(
        row[column + 2] + rate * (beyond * beyond - row[column + 2]), 0.04 * least * least
    )
    row[column + 3] += 1.0


@helper
def level_score(row: F64, column: int, value: float, n: float) -> float:
    """Return how rare a value as high (or, of the second side, as low) has been, in decades."""
    score = 0.0
    for side in range(2):
        first = column + side * LEVEL_SIDE
        beyond = (value if side == 0 else -value) - row[first + LEVEL_THRESHOLD]
        if beyond > 0.0 and row[first + LEVEL_WEIGHT] >= 3.0:
            rare = decades(beyond, row[first + LEVEL_EXCESS], row[first + LEVEL_SQUARE], SHAPE_MIN)
            score = max(score, TAIL_BASE + rare)
    return score if score <= LEVEL_CAP else min(score, math.log10(n + 1.0) + LEVEL_CAP)


@helper
def level_learn(row: F64, column: int, value: float, size: float, weight: float) -> None:
    """Learn a value on both sides; `size` is its mean deviation, `weight` its share of all."""
    n = row[column - 1]
    step = 3.0 * weight / (n + 1.0) * size
    for side in range(2):
        first = column + side * LEVEL_SIDE
        beyond = (value if side == 0 else -value) - row[first + LEVEL_THRESHOLD]
        if beyond <= 0.0:
            row[first + LEVEL_THRESHOLD] -= step * TAIL_Q
            continue
        row[first + LEVEL_THRESHOLD] += step * (1.0 - TAIL_Q)
        seen = row[first + LEVEL_WEIGHT]
        mean = row[first + LEVEL_EXCESS]
        if seen >= 3.0:
            beyond = min(beyond, 20.0 * (mean + size))
        rate = weight / (seen + weight + 2.0)
        row[first + LEVEL_WEIGHT] = seen + weight
        row[first + LEVEL_EXCESS] = mean + rate * (beyond - mean)
        row[first + LEVEL_SQUARE] += rate * (beyond * beyond - row[first + LEVEL_SQUARE])
