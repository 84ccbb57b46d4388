"""Plain twins of the tails: how rare a value is beyond a running quantile of its own past."""

import math
from dataclasses import dataclass


@dataclass
class NaiveTail:
    threshold: float = 2.5
    excess: float = 0.0
    square: float = 0.0
    count: float = 0.0


def naive_tail_score(tail: NaiveTail, unit: float) -> float:
    """-log10 of the share of samples beyond `unit`; 2 % lie beyond the threshold."""
    at_threshold = -math.log10(0.02)
    if unit <= tail.threshold:
        return at_threshold * unit / tail.threshold
    if tail.count < 3:
        return at_threshold + (unit - tail.threshold) / tail.threshold
    return at_threshold + _rarity(unit - tail.threshold, tail.excess, tail.square, 0.0)


def naive_tail_learn(tail: NaiveTail, unit: float, n: float, least: float = 1.0) -> None:
    step = 3 * max(0.002, 1 / (0.3 * n + 1))
    if unit <= tail.threshold:
        tail.threshold = max(tail.threshold - 0.02 * step, least)
        return
    beyond = min(unit - tail.threshold, 6 * (tail.excess + 0.3))
    rate = max(0.02, 1 / (tail.count + 1))
    tail.threshold += 0.98 * step
    tail.excess = max(tail.excess + rate * (beyond - tail.excess), 0.2 * least)
    tail.square = max(tail.square + rate * (beyond**2 - tail.square), 0.04 * least**2)
    tail.count += 1


def _rarity(beyond: float, mean: float, square: float, shape_min: float) -> float:
    """Decades that a generalised Pareto tail with these moments leaves beyond an excess."""
    variance = max(square - mean * mean, 0.05 * mean * mean)
    shape = min(max(0.5 * (1 - mean * mean / variance), shape_min), 0.4)
    scaled = beyond / (mean * (1 - shape))
    if abs(shape) < 1e-4:
        return scaled / math.log(10)
    if 1 + shape * scaled <= 1e-12:
        return 12.0  # beyond the end of a tail that has one
    return math.log(1 + shape * scaled) / shape / math.log(10)


@dataclass
class NaiveSide:
    """Values above (or, mirrored, below) a threshold that 2 % of the whole past exceed."""

    threshold: float
    excess: float = 0.0
    square: float = 0.0
    weight: float = 0.0


def side_rarity(sides: list[NaiveSide], value: float) -> list[float]:
    """How rare a value so high, and so low, has been, in decades; 0 is always among them."""
    rare = [0.0]
    for side, seen in zip(sides, (value, -value), strict=True):
        if seen > side.threshold and side.weight >= 3:
            beyond = seen - side.threshold
            rare.append(-math.log10(0.02) + _rarity(beyond, side.excess, side.square, -0.2))
    return rare


def learn_side(side: NaiveSide, seen: float, n: float, width: float, weight: float) -> None:
    """Learn a value, of `n` so far; `width` is its mean deviation, `weight` its share."""
    beyond = seen - side.threshold
    step = 3 * weight / (n + 1) * width
    if beyond <= 0:
        side.threshold -= 0.02 * step
        return
    side.threshold += 0.98 * step
    if side.weight >= 3:
        beyond = min(beyond, 20 * (side.excess + width))
    rate = weight / (side.weight + weight + 2)
    side.weight += weight
    side.excess += rate * (beyond - side.excess)
    side.square += rate * (beyond * beyond - side.square)
