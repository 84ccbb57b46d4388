"""Plain twin of the seasonal bank's kernels, one series at a time, in words before symbols.

The method is the one `aiops.detect.banks.seasonal` describes; the figures are repeated here on
purpose, so that a kernel's constant cannot change unnoticed.
"""

import math
from dataclasses import dataclass, field

from tests.naive.profiles import NaiveProfile, naive_civil
from tests.naive.tails import (
    NaiveSide,
    NaiveTail,
    learn_side,
    naive_tail_learn,
    naive_tail_score,
    side_rarity,
)

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
WEEK_MS = 7 * 24 * HOUR_MS

NOTHING = (0.0, 0.0, 0.0, math.nan, math.nan, 0)
"""What is said of a sample that is not judged."""


@dataclass
class NaiveHold:
    """A held baseline: the steady forecast less its season, and what came meanwhile."""

    since_ms: float
    season: int
    offset: float
    width: float
    level: float
    unit: float
    spread: float = 0.0
    samples: float = 0.0
    near: int = 0


@dataclass
class NaiveSeries:
    """One series; forecasts are last, fast, slow, two offsets to the day, two to the week."""

    warmup: int = 60
    limit: int = 0
    n: int = 0
    born_ms: float = 0.0
    seen_ms: float = 0.0
    interval_ms: float = 0.0
    levels: list[float] = field(default_factory=lambda: [0.0] * 7)
    errors: list[float] = field(default_factory=lambda: [0.0] * 7)
    scale: float = 0.0
    scale_fast: float = 0.0
    recent: float = 0.0
    usual: float = 0.0
    mean: float = 0.0
    range: float = 0.0
    point_tail: NaiveTail = field(default_factory=NaiveTail)
    spread_tail: NaiveTail = field(default_factory=NaiveTail)
    level_mean: float = 0.0
    level_width: float = 0.0
    level_n: float = 0.0
    sides: list[NaiveSide] = field(default_factory=list)
    hold: NaiveHold | None = None
    kept: float = 0.0
    profile: NaiveProfile = field(default_factory=NaiveProfile)


def naive_seasonal_score(
    series: NaiveSeries, ts_ms: int, feature: float, civil: tuple[int, int] | None = None
) -> tuple[float, float, float, float, float, int]:
    """Score, severity, evidence, expected, half band and parts of a sample, which is then learnt.

    `civil` is where in its day and week the sample lies, by UTC if not given.
    """
    if math.isnan(feature):
        return NOTHING
    value = min(max(feature, -1e150), 1e150)
    series.n += 1
    if series.n == 1:
        _start(series, ts_ms, value)
        return NOTHING
    civil = civil or naive_civil(ts_ms)
    streams, verdict, scale = _judge_and_learn(series, ts_ms, value, *series.profile.seasons(civil))
    if scale is not None:
        _learn_profile(series, ts_ms, value, civil, scale)
    if series.profile.stage == "coarse" and series.errors[4] < 0.8 * series.errors[2]:
        series.profile.refine(ts_ms)
    if series.n <= series.warmup:
        return NOTHING
    point, shift, spread, level = streams
    return (
        _combine(max(point, shift), spread, min(level, 2.5)),
        _keep(series, _combine(point, spread, level)),
        _combine(point, spread, 0.0),
        *verdict,
    )


def _start(series: NaiveSeries, ts_ms: int, value: float) -> None:
    series.born_ms = series.seen_ms = float(ts_ms)
    series.profile.base = series.mean = series.level_mean = value
    series.levels = [value] * 7
    series.level_n = 1.0
    series.sides = [NaiveSide(value), NaiveSide(-value)]


def _judge_and_learn(  # noqa: PLR0915 - read from top to bottom, as the method is told
    series: NaiveSeries, ts_ms: int, value: float, day: float, week: float
) -> tuple[tuple[float, float, float, float], tuple[float, float, int], float | None]:
    """Streams, (expected, half band, parts), and the scale unless the profile must not learn."""
    passed = _pass_time(series, ts_ms)
    pace = min(max(passed, 0.25), 4.0)
    added = [0.0, 0.0, 0.0, day, day, week, week]
    count = _forecasts_in_use(series, ts_ms)
    best = _steady(series, count)
    floor = 0.05 * series.range + 1e-9 * abs(series.mean) + 1e-12
    scale = max(0.7 * series.scale + 0.3 * series.scale_fast, floor)
    width = scale
    if passed > 1.5:
        width = max(scale, series.errors[0] * math.sqrt(passed))
    expected = _mix(series, added, count)
    residual = abs(value - expected)
    is_away, firm = False, width
    if series.hold is not None:
        held = series.hold.offset + (0.0, day, week)[series.hold.season]
        is_away, held_width = _is_away(series, series.hold, abs(value - held))
        if is_away:
            expected, firm, residual = held, held_width, abs(value - held)
        else:
            residual = min(residual, abs(value - held))
    unit = min(residual / max(width, firm), 1e6) if series.n > 6 else 0.0
    point, spread = _point_and_spread(series, unit, floor)
    level = _level_stream(series, value, floor)
    half = firm * (series.point_tail.threshold + math.log(20) * series.point_tail.excess)
    shift = 0.0
    if is_away:
        shift = naive_tail_score(series.point_tail, min(residual / firm, 1e6))
        shift = min(shift, math.log10(series.n) + 5)
    is_flagged = _combine(point, spread, level) >= 3.5
    if not (is_flagged if series.hold is None else is_away):
        _learn_unit(series, unit)
    if series.hold is not None:
        if is_away and _note_held(series, series.hold, value):
            _learn_unit(series, series.hold.unit)
            _adopt(series, series.hold, day, week)
            is_away = is_flagged = False
        elif not is_away and series.hold.near >= 2:
            _learn_unit(series, series.hold.unit)
            series.levels[1], series.levels[3] = value, value - day
            series.levels[5] = value - week
            series.hold = None
    elif is_flagged:
        steady_width = max(scale, series.errors[2 + 2 * best])
        offset = series.levels[2 + 2 * best]
        series.hold = NaiveHold(float(ts_ms), best, offset, steady_width, value, unit)
    is_frozen = series.hold is not None and (is_away or is_flagged)
    if series.hold is None:
        _learn_errors(series, value, added, scale, pace)
    series.levels[0] = value
    if not is_frozen:
        _learn_levels(series, value, day, week, scale, pace)
    _learn_sizes(series, value, residual, scale, 0.3 if is_flagged else 1.0, pace)
    parts = _parts((0.0 if is_away else point, shift, spread, level), best)
    return (point, shift, spread, level), (expected, half, parts), None if is_frozen else scale


def _pass_time(series: NaiveSeries, ts_ms: int) -> float:
    span_ms = max(ts_ms - series.seen_ms, 1.0)
    usual_ms = series.interval_ms
    series.seen_ms = float(ts_ms)
    if usual_ms == 0:
        series.interval_ms = span_ms
        return 1.0
    if series.n < 20:
        series.interval_ms += 0.5 * (min(span_ms, 4 * usual_ms) - usual_ms)
    else:
        series.interval_ms += 0.02 * (min(span_ms, 2 * usual_ms) - usual_ms)
    return span_ms / usual_ms


def _weight(series: NaiveSeries, rate: float, span_ms: float, pace: float) -> float:
    """A window of 1 / rate samples, or of `span_ms` where that is longer."""
    windowed = min(rate, series.interval_ms / span_ms) * pace
    return min(max(windowed, 1 / series.n), 1.0)


def _forecasts_in_use(series: NaiveSeries, ts_ms: int) -> int:
    if series.profile.stage == "first day" or series.limit == 1:
        return 3
    is_week_known = (
        series.profile.stage == "fine" and ts_ms - series.profile.fine_since_ms > WEEK_MS
    )
    return 7 if is_week_known and series.limit != 2 else 5


def _steady(series: NaiveSeries, count: int) -> int:
    best = 0
    if count > 4 and series.errors[4] < series.errors[2]:
        best = 1
    if count > 6 and series.errors[6] < series.errors[2 + 2 * best]:
        best = 2
    return best


def _mix(series: NaiveSeries, added: list[float], count: int) -> float:
    errors = [error + 1e-300 for error in series.errors[:count]]
    weights = [(((min(errors) / error) ** 2) ** 2) ** 2 for error in errors]
    total = sum(weights[k] * (series.levels[k] + added[k]) for k in range(count))
    return total / sum(weights)


def _wandering(series: NaiveSeries) -> float:
    return max(0.0, 1 - 2 * series.errors[0] / (series.errors[2] + 1e-300))


def _is_away(series: NaiveSeries, hold: NaiveHold, distance: float) -> tuple[bool, float]:
    width, wandering = hold.width, _wandering(series)
    if wandering > 0:
        grown = math.sqrt(1 + 2 * 0.02 * wandering * hold.samples)
        width = max(width, series.errors[2]) * grown
    is_away = distance > 3 * width
    hold.samples += 1
    hold.near = 0 if is_away else hold.near + 1
    return is_away, width


def _learn_unit(series: NaiveSeries, unit: float) -> None:
    if series.n > 20:
        naive_tail_learn(series.point_tail, unit, series.n - 20)


def _point_and_spread(series: NaiveSeries, unit: float, floor: float) -> tuple[float, float]:
    limit, n = math.log10(series.n) + 5, series.n
    half = 0.5 * floor
    spread = min(abs(math.log((series.recent + half) / (series.usual + half))) / 0.16, 1e6)
    point = wide = 0.0
    if n > 20:
        point = min(naive_tail_score(series.point_tail, unit), limit)
    if n > 60:
        wide = min(naive_tail_score(series.spread_tail, spread), limit)
        naive_tail_learn(series.spread_tail, spread, n - 60, least=2.5)
    return point, wide


def _level_stream(series: NaiveSeries, value: float, floor: float) -> float:
    n, width = series.level_n, max(series.level_width, floor)
    rare = 0.0
    if series.n > 200:
        rare = min(max(side_rarity(series.sides, value)), math.log10(n + 1) + 4.5)
    weight = 0.01 if rare > 4 else 1.0
    series.level_n = n + weight
    for side, seen in zip(series.sides, (value, -value), strict=True):
        learn_side(side, seen, series.level_n, width, weight)
    away = value - series.level_mean
    if series.n > 20:
        away = min(max(away, -8 * width), 8 * width)
    rate = weight / (series.level_n + 1)
    series.level_mean += rate * away
    series.level_width += rate * (abs(away) - series.level_width)
    return min(3.5 * max(rare - 4, 0.0), 16.0) * (1 - _wandering(series)) ** 2


def _combine(point: float, spread: float, level: float) -> float:
    cubes = point * point * point + spread * spread * spread + level * level * level
    return max(cubes ** (1 / 3) - 0.18, 0.0)


def _keep(series: NaiveSeries, severity: float) -> float:
    """What is left of the severest samples counts, but never as one in a thousand."""
    rate = min(0.03, series.interval_ms / (30 * MINUTE_MS))
    series.kept = max(severity, series.kept * (1 - rate))
    return max(severity, min(series.kept, 2.9))


def _parts(streams: tuple[float, ...], season: int) -> int:
    parts = sum(int(min(16 * score + 0.5, 255)) << 8 * k for k, score in enumerate(streams))
    return parts + (season << 40)


def _note_held(series: NaiveSeries, hold: NaiveHold, value: float) -> bool:
    rate = max(0.02, 1 / (hold.samples + 1))
    gap = value - hold.level
    hold.level += rate * gap
    hold.spread += rate * (abs(gap) - hold.spread)
    return hold.samples >= 240 and series.seen_ms - hold.since_ms >= HOUR_MS


def _adopt(series: NaiveSeries, hold: NaiveHold, day: float, week: float) -> None:
    added = [0.0, 0.0, day, day, week, week]
    series.levels[1:] = [hold.level - season for season in added]
    series.errors = [max(error, hold.spread) for error in series.errors]
    series.scale = max(series.scale, hold.spread)
    series.scale_fast = max(series.scale_fast, hold.spread)
    series.recent = max(series.recent, hold.spread)
    series.usual = max(series.usual, hold.spread)
    series.hold = None


def _learn_errors(
    series: NaiveSeries, value: float, added: list[float], scale: float, pace: float
) -> None:
    rate = _weight(series, 0.005, HOUR_MS, pace)
    for k, error in enumerate(series.errors):
        seen = abs(value - (series.levels[k] + added[k]))
        if series.n > 20:
            seen = min(seen, 10 * (error + scale))
        series.errors[k] += rate * (seen - error)


def _learn_levels(
    series: NaiveSeries, value: float, day: float, week: float, scale: float, pace: float
) -> None:
    levels = series.levels
    levels[1] += _weight(series, 0.3, 10_000, pace) * (value - levels[1])
    limit = 8 * scale + abs(levels[1] - levels[2])
    rate = _weight(series, 0.02, 10 * MINUTE_MS, pace)
    levels[2] += rate * _clipped(series, value - levels[2], limit)
    fast = _weight(series, 0.1, MINUTE_MS, pace)
    slow = _weight(series, 0.01, 20 * MINUTE_MS, pace)
    for k, season in ((3, day), (5, week)):
        levels[k] += fast * (value - season - levels[k])
        levels[k + 1] += slow * _clipped(series, value - season - levels[k + 1], 10 * scale)


def _clipped(series: NaiveSeries, gap: float, limit: float) -> float:
    return gap if series.n <= 20 else min(max(gap, -limit), limit)


def _learn_sizes(
    series: NaiveSeries, value: float, residual: float, scale: float, weight: float, pace: float
) -> None:
    def cut(times: float) -> float:
        return residual if series.n <= 20 else min(residual, times * scale)

    rate = weight * _weight(series, 0.003, HOUR_MS, pace)
    series.scale += rate * (cut(6) - series.scale)
    rate = _weight(series, 0.05, 5 * MINUTE_MS, pace)
    series.scale_fast += rate * (cut(20) - series.scale_fast)
    rate = _weight(series, 0.08, 3 * MINUTE_MS, pace)
    series.recent += rate * (cut(4) - series.recent)
    rate = weight * _weight(series, 0.004, HOUR_MS, pace)
    series.usual += rate * (cut(4) - series.usual)
    rate = _weight(series, 0.002, 2 * HOUR_MS, pace)
    away = _clipped(series, value - series.mean, 20 * (series.range + scale))
    series.mean += 0.5 * rate * away
    series.range += rate * (abs(away) - series.range)


def _learn_profile(
    series: NaiveSeries, ts_ms: int, value: float, civil: tuple[int, int], scale: float
) -> None:
    profile = series.profile
    if profile.stage != "first day":
        slow = (series.levels[4], series.levels[6])
        profile.learn(value, slow, civil, series.interval_ms, 6 * scale)
        return
    profile.fill_first_day(value, civil[0], series.interval_ms)
    if ts_ms - series.born_ms < 23 * HOUR_MS:
        return
    rise = profile.end_first_day(civil[0] // HOUR_MS)
    for k in range(3, 7):
        series.levels[k] += rise
        series.errors[k] = max(series.errors[k], series.errors[1 if k in (3, 5) else 2])
