"""Plain twins of the detection kernels, one series at a time, in words before symbols.

The method is the one `aiops.detect.banks.seasonal` describes; the figures are repeated here on
purpose, so that a kernel's constant cannot change unnoticed.
"""

import math
from dataclasses import dataclass, field

DAY_MS = 86_400_000


@dataclass
class NaiveTail:
    threshold: float = 2.5
    excess: float = 1.0
    square: float = 2.0


def naive_tail_score(tail: NaiveTail, unit: float) -> float:
    """-log10 of the share of samples beyond `unit`; 2 % lie beyond the threshold."""
    if unit <= tail.threshold:
        return -math.log10(0.02) * unit / tail.threshold
    variance = max(tail.square - tail.excess**2, 0.05 * tail.excess**2)
    shape = 0.5 * (1 - tail.excess**2 / variance)
    shape = min(max(shape, 0.0), 0.4)
    scale = tail.excess * (1 - shape)
    beyond = (unit - tail.threshold) / scale
    if shape < 1e-4:
        survival_log = -beyond
    else:
        survival_log = -math.log(1 + shape * beyond) / shape
    return -math.log10(0.02) - survival_log / math.log(10)


def naive_tail_learn(tail: NaiveTail, unit: float, n: float) -> None:
    step = 3 * max(0.002, 1 / (0.3 * n + 1))
    if unit <= tail.threshold:
        tail.threshold = max(tail.threshold - 0.02 * step, 1.0)
        return
    excess = unit - tail.threshold
    rate = max(0.02, 1 / (0.02 * n + 5))
    tail.threshold += 0.98 * step
    tail.excess = max(tail.excess + rate * (excess - tail.excess), 0.2)
    tail.square = max(tail.square + rate * (excess**2 - tail.square), 0.04)


@dataclass
class NaiveHold:
    since_ms: float = 0.0
    samples: int = 0
    level: float = 0.0
    spread: float = 0.0
    peak: float = 0.0
    shift_peak: float = 0.0


@dataclass
class NaiveSeries:
    warmup: int = 60
    n: int = 0
    born_ms: float = 0.0
    base: float = 0.0
    last: float = 0.0
    fast: float = 0.0
    slow: float = 0.0
    offset_fast: float = 0.0
    offset_slow: float = 0.0
    errors: list[float] = field(default_factory=lambda: [0.0] * 5)
    scale: float = 0.0
    scale_fast: float = 0.0
    shift: float = 0.0
    shift_size: float = 0.0
    point_tail: NaiveTail = field(default_factory=NaiveTail)
    shift_tail: NaiveTail = field(default_factory=NaiveTail)
    run: int = 0
    was_beyond: bool = False
    is_ready: bool = False
    profile: list[float] = field(default_factory=lambda: [0.0] * 96)
    hold: NaiveHold = field(default_factory=NaiveHold)
    ended_ms: float = 0.0
    returns: int = 0


def _float32(value: float) -> float:
    import numpy as np

    return float(np.float32(min(max(value, -1e30), 1e30)))


def _seasonal(series: NaiveSeries, ts_ms: int) -> tuple[float, int, int, float]:
    position = (ts_ms % DAY_MS) / 900_000 + 0.5  # bin k has its centre at k + 0.5, bin -1 is 95
    whole = math.floor(position)
    part = position - whole
    left, right = (whole - 1) % 96, whole % 96
    value = series.base + series.profile[left] * (1 - part) + series.profile[right] * part
    return value, left, right, part


def _forecasts(series: NaiveSeries, seasonal: float) -> list[float]:
    return [
        series.last,
        series.fast,
        series.slow,
        series.offset_fast + seasonal,
        series.offset_slow + seasonal,
    ]


def naive_seasonal_score(  # noqa: PLR0912, PLR0915 - read from top to bottom, as the method is told
    series: NaiveSeries, ts_ms: int, feature: float
) -> tuple[float, float, float]:
    """Score, expected and half band of one sample; the series has learnt it afterwards."""
    if math.isnan(feature):
        return 0.0, math.nan, math.nan
    value = min(max(feature, -1e150), 1e150)
    series.n += 1
    if series.n == 1:
        series.born_ms = ts_ms
        series.base = series.last = series.fast = series.slow = value
        return 0.0, math.nan, math.nan
    seasonal = _seasonal(series, ts_ms)[0]
    forecasts = _forecasts(series, seasonal)
    steady, steady_error = series.slow, series.errors[2]
    if series.is_ready and series.errors[4] < steady_error:
        steady, steady_error = forecasts[4], series.errors[4]
    floor = 0.05 * steady_error + 1e-9 * abs(steady) + 1e-12
    scale = max(0.7 * series.scale + 0.3 * series.scale_fast, floor)
    was_holding = series.run > 0
    if was_holding:
        expected = steady
        scale = max(scale, steady_error)
        wander = 1 - 2 * series.errors[0] / (steady_error + 1e-300)
        if wander > 0:
            scale *= math.sqrt(1 + 0.04 * wander * series.hold.samples)
    else:
        count = 5 if series.is_ready else 3
        best = min(series.errors[:count])
        weights = [((best + 1e-300) / (e + 1e-300)) ** 8 for e in series.errors[:count]]
        pairs = zip(weights, forecasts[:count], strict=True)
        expected = sum(w * f for w, f in pairs) / sum(weights)
    residual = abs(value - expected)
    unit = min(residual / scale, 1e6)
    away = min(max(value - steady, -6 * scale), 6 * scale)
    series.shift += (0.15 if was_holding and residual < scale else 0.05) * (away - series.shift)
    shift_size = max(series.shift_size, 0.16 * scale) + 5 / series.n * steady_error
    shift = min(abs(series.shift) / (shift_size + 1e-300), 1e6)
    half = scale * (series.point_tail.threshold + math.log(20) * series.point_tail.excess)
    is_beyond = unit > series.point_tail.threshold
    is_first_beyond = is_beyond and not series.was_beyond
    series.was_beyond = is_beyond
    score, is_flagged = 0.0, False
    if series.n > series.warmup:
        point = naive_tail_score(series.point_tail, unit)
        drift = naive_tail_score(series.shift_tail, shift)
        high, low = max(point, drift), min(point, drift)
        score = high + 0.26 * low**3 / high**2 if low > 1 else high
        score = min(score, math.log10(series.n) + 4.5)
        is_flagged = score >= min(4.0, math.log10(series.n) + 0.8) or drift >= 3.5
    is_judged = series.n > series.warmup
    if is_flagged:
        series.n -= 1
        _naive_hold(series, ts_ms, value, residual, shift)
        if series.hold.samples >= 240 and ts_ms - series.hold.since_ms >= 1_800_000:
            _naive_adopt(series, value, seasonal)
    else:
        if was_holding:
            series.run //= 2
            if series.run == 0:
                _naive_release(series, ts_ms, floor)
        _naive_learn(series, value, seasonal, residual, floor)
        if series.n > 20:
            if is_first_beyond or not is_beyond:
                naive_tail_learn(series.point_tail, unit, series.n)
            naive_tail_learn(series.shift_tail, shift, series.n)
    _naive_profile(series, ts_ms, value=steady if is_flagged else value, is_learnt=not is_flagged)
    return (score, expected, half) if is_judged else (0.0, math.nan, math.nan)


def _naive_learn(
    series: NaiveSeries, value: float, seasonal: float, residual: float, floor: float
) -> None:
    first = 1 / series.n
    for k, forecast in enumerate(_forecasts(series, seasonal)):
        seen = abs(value - forecast)
        if series.n > 20:
            seen = min(seen, 10 * (series.errors[k] + series.scale) + floor)
        series.errors[k] += max(0.005, first) * (seen - series.errors[k])
    series.last = value
    series.fast += 0.3 * (value - series.fast)
    series.slow += max(0.02, first) * (value - series.slow)
    series.offset_fast += max(0.1, first) * (value - seasonal - series.offset_fast)
    series.offset_slow += max(0.01, first) * (value - seasonal - series.offset_slow)
    series.scale += max(0.003, first) * (residual - series.scale)
    series.scale_fast += max(0.05, first) * (residual - series.scale_fast)
    series.shift_size += max(0.003, first) * (abs(series.shift) - series.shift_size)


def _naive_profile(series: NaiveSeries, ts_ms: int, *, value: float, is_learnt: bool) -> None:
    seasonal, left, right, part = _seasonal(series, ts_ms)
    age_ms = max(ts_ms - series.born_ms, 0)
    per_bin = 900_000 * series.n  # n / (samples in a bin) * age
    profile = series.profile
    if not series.is_ready:
        near = left if part < 0.5 else right
        rate = min(3 * age_ms / per_bin, 1.0)
        profile[near] = _float32(profile[near] + rate * (value - series.base - profile[near]))
        if age_ms >= DAY_MS - 900_000:
            _naive_close_day(series, near)
    elif is_learnt:
        gap = min(0.29 * age_ms / per_bin, 0.25) * (value - seasonal - series.offset_slow)
        profile[left] = _float32(profile[left] + (1 - part) * gap)
        profile[right] = _float32(profile[right] + part * gap)


def _naive_close_day(series: NaiveSeries, newest: int) -> None:
    oldest = (newest + 1) % 96
    rise = series.profile[newest] - series.profile[oldest]
    for k in range(96):
        column = (oldest + k) % 96
        series.profile[column] = _float32(series.profile[column] - rise * k / 95)
    series.errors[3] = max(series.errors[3], series.errors[1])
    series.errors[4] = max(series.errors[4], series.errors[2])
    series.offset_fast += rise
    series.offset_slow += rise
    series.is_ready = True


def _naive_hold(
    series: NaiveSeries, ts_ms: int, value: float, residual: float, shift: float
) -> None:
    if series.run == 0:
        series.hold = NaiveHold(since_ms=ts_ms, level=value)
    series.run += 1
    hold = series.hold
    hold.samples += 1
    rate = max(0.02, 1 / hold.samples)
    away = value - hold.level
    hold.level += rate * away
    hold.spread += rate * (abs(away) - hold.spread)
    hold.peak = max(hold.peak, residual)
    hold.shift_peak = max(hold.shift_peak, shift)


def _naive_adopt(series: NaiveSeries, value: float, seasonal: float) -> None:
    level, spread = series.hold.level, series.hold.spread
    series.last, series.fast, series.slow = value, level, level
    series.offset_fast = series.offset_slow = level - seasonal
    series.errors = [max(error, spread) for error in series.errors]
    series.scale = max(series.scale, spread)
    series.scale_fast = max(series.scale_fast, spread)
    series.shift = 0.0
    series.run = 0


def _naive_release(series: NaiveSeries, ts_ms: int, floor: float) -> None:
    hold = series.hold
    if hold.samples > 2:
        if ts_ms - series.ended_ms > 3_600_000:
            series.returns = 0
        series.ended_ms = ts_ms
        series.returns += 1
        if series.returns <= 10:
            return
    for k in range(5):
        series.errors[k] += max(0.005, 1 / series.n) * max(hold.peak - series.errors[k], 0.0)
    series.scale += max(0.003, 1 / series.n) * max(hold.peak - series.scale, 0.0)
    naive_tail_learn(series.point_tail, min(hold.peak / (series.scale + floor), 1e6), series.n)
    naive_tail_learn(series.shift_tail, hold.shift_peak, series.n)


@dataclass
class NaiveEpisode:
    """What one slot went through; `run` holds the scores since the first that was not quiet."""

    phase: str = "idle"
    run: list[float] = field(default_factory=list)
    misses: int = 3
    quiet: list[int] = field(default_factory=list)
    onset_ms: int = 0
    peak: tuple[float, int, float, float, float, float, int] = (0.0, 0, 0.0, 0.0, 0.0, 0.0, 0)
    alert: float = 0.0
    reached: dict[int, float] = field(default_factory=dict)
    """The highest level it would have opened at, by day; far beyond its own level counts not."""


def naive_episodes_step(
    episodes: dict[int, NaiveEpisode],
    rows: list[tuple[int, int, float, float, float, float, float, int]],
    *,
    alarm: float,
    clear: float,
    open_samples: int,
    close_samples: int,
) -> tuple[list[tuple], list[int]]:
    """Events and mask of (slot, ts_ms, feature, score, expected, half, alert, parts) rows."""
    events, mask = [], []
    for slot, ts_ms, feature, score, expected, half, alert, parts in rows:
        episode = episodes.setdefault(slot, NaiveEpisode())
        if math.isnan(feature) or (episode.phase == "idle" and score < clear):
            mask.append(int(episode.phase == "open"))
            continue
        if episode.phase == "idle":
            episode.phase, episode.run, episode.quiet, episode.misses = "restless", [], [], 3
        episode.run.append(score)
        window = sorted(episode.run[-(open_samples + 2) :], reverse=True)
        opening = window[open_samples - 1] if len(window) >= open_samples else 0.0
        if opening < alarm + 3:
            day = ts_ms // 86_400_000
            episode.reached[day] = max(episode.reached.get(day, 0.0), opening)
        if episode.phase == "restless":
            if score >= alarm and episode.misses > 2:
                episode.onset_ms, episode.peak, episode.alert = ts_ms, NaiveEpisode.peak, 0.0
            episode.misses = 0 if score >= alarm else episode.misses + 1
        if episode.phase == "open" or episode.misses <= 2:
            episode.alert = max(episode.alert, alert)
            if score > episode.peak[0]:
                band = (expected, expected - half, expected + half)
                episode.peak = (score, ts_ms, feature, *band, parts)
        episode.quiet = [*episode.quiet, ts_ms] if score < clear else []
        told = (slot, episode.onset_ms)
        if episode.phase == "open" and len(episode.quiet) >= close_samples:
            episode.phase = "idle"
            events.append(("closed", *told, episode.quiet[0], *episode.peak, episode.alert))
        elif episode.phase == "restless" and len(episode.quiet) >= max(close_samples, 3):
            episode.phase = "idle"
        elif episode.phase == "restless" and score >= alarm and opening >= alarm:
            episode.phase = "open"
            events.append(("opened", *told, 0, *episode.peak, episode.alert))
        mask.append(int(episode.phase == "open"))
    return events, mask


def naive_tally(episodes: dict[int, NaiveEpisode]) -> list[int]:
    """How many (slot, day) pairs reached each level 3, 3 1/8, ... 17 7/8."""
    reached = [top for episode in episodes.values() for top in episode.reached.values()]
    return [sum(top >= 3 + k / 8 for top in reached) for k in range(120)]
