"""Plain twins of the rival detectors' kernels, one value at a time, figures repeated on purpose."""

import math


def naive_ewma_score(values, rate):
    """West's recursion for mean and variance, weights falling by 1 - rate a value."""
    scores, past, mean, variance = [], 0, 0.0, 0.0
    for value in values:
        if math.isnan(value):
            scores.append(0.0)
            continue
        if past == 0:
            mean = value
        deviation = math.sqrt(variance + 1e-12 * (1 + mean**2))
        scores.append(min(abs(value - mean) / deviation, 1000) if past > 20 else 0.0)
        distance = value - mean
        mean = mean + rate * distance
        variance = (1 - rate) * (variance + rate * distance**2)
        past += 1
    return scores


def naive_holt_winters_score(values, places, n_places, rates):
    """Additive Holt-Winters in its error-correction form, large errors clipped."""
    alpha, beta, gamma = rates
    season = dict.fromkeys(range(n_places), 0.0)
    seen = set()
    scores, past, level, trend, variance = [], 0, 0.0, 0.0, 0.0
    for value, place in zip(values, places, strict=True):
        if math.isnan(value):
            scores.append(0.0)
            continue
        if past == 0:
            level = value
        error = value - (level + trend + season[place])
        deviation = math.sqrt(variance + 1e-12 * (1 + level**2))
        scores.append(min(abs(error) / deviation, 1000) if past > 20 else 0.0)
        limit = 4 * math.sqrt(variance) if past > 50 else math.inf
        clipped = math.copysign(min(abs(error), limit), error)
        level = level + trend + alpha * clipped
        trend = trend + alpha * beta * clipped
        if place in seen:
            season[place] += gamma * (1 - alpha) * clipped
        else:
            season[place] = (value - level) / 2
        seen.add(place)
        square = error**2
        if past > 50:
            square = min(square, 25 * variance + 1e-30)
        weight = max(0.005, 1 / (past + 1))
        variance = (1 - weight) * variance + weight * square
        past += 1
    return scores


def naive_spot_score(values, start):
    """Peaks over the 98 % quantile of the first values and below their 2 % quantile."""
    first = [value for value in values[:start] if not math.isnan(value)]
    sides = []
    for sign in (1, -1):
        signed = sorted(sign * value for value in first)
        threshold = signed[int(0.98 * len(signed))]
        sides.append((sign, threshold, [v - threshold for v in signed if v > threshold]))
    scores, n = [], len(first)
    for i, value in enumerate(values):
        score = 0.0
        if i >= start and not math.isnan(value):
            for sign, threshold, excesses in sides:
                excess = sign * value - threshold
                if excess > 0:
                    found = _spot_tail(excesses, excess, n)
                    score = max(score, found)
                    if found < 4:
                        excesses.append(excess)
            n += 1
        scores.append(min(score, 50.0))
    return scores


def _spot_tail(excesses, excess, n):
    if len(excesses) < 3:
        return 3.0
    mean = sum(excesses) / len(excesses)
    variance = max(sum(e**2 for e in excesses) / len(excesses) - mean**2, 1e-300)
    shape = min(max((1 - mean**2 / variance) / 2, -0.2), 0.45)
    scale = mean * (1 - shape)
    beyond = -math.log10(len(excesses) / n)
    if abs(shape) < 1e-6:
        return beyond + excess / scale / math.log(10)
    inner = 1 + shape * excess / scale
    if inner <= 1e-12:
        return beyond + 12
    return beyond + math.log(inner) / shape / math.log(10)
