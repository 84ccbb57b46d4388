"""Trends and the errors of forecasts once more, in plain Python and without columns.

A series keeps all its samples with their weights, so that a line is the textbook's weighted least
squares and not a recursion.
"""

import math
from dataclasses import dataclass, field

MEMORIES_S = (900.0, 7200.0, 57_600.0)
SHARES = (0.5, 0.8, 0.95)


@dataclass
class NaiveTrend:
    """One line: samples as (time in s, value less the anchor, samples that moved with a jump)."""

    memory_s: float
    samples: list[list[float]] = field(default_factory=list)
    size: float = 0.0
    lone: float = 0.0
    jumped: int = 0

    def line(self, now_s: float, n: int) -> tuple[float, float]:
        """Return level now and slope a memory."""
        weights = [math.exp((at - now_s) / self.memory_s) for at, _ in self.samples]
        past = [(at - now_s) / self.memory_s for at, _ in self.samples]
        values = [value for _, value in self.samples]
        total = sum(weights)
        mean_s = sum(w * s for w, s in zip(weights, past, strict=True)) / total
        mean_y = sum(w * y for w, y in zip(weights, values, strict=True)) / total
        spread = sum(w * (s - mean_s) ** 2 for w, s in zip(weights, past, strict=True))
        if n < 10 or spread <= 1e-9 * total:
            return mean_y, 0.0
        both = sum(
            w * (s - mean_s) * (y - mean_y) for w, s, y in zip(weights, past, values, strict=True)
        )
        slope = both / spread
        return mean_y - slope * mean_s, slope

    def see(self, now_s: float, value: float, base: float, n: int) -> None:
        """Learn a value, unless it is a lone outlier."""
        level, slope = self.line(now_s, n) if self.samples else (value, 0.0)
        gap = value - level
        floor = 1e-12 * (abs(value) + abs(base)) + 1e-300
        limit = 6.0 * (self.size + floor)
        side = 1.0 if gap > 0.0 else -1.0
        if n >= 10 and abs(gap) > limit:
            if self.lone != side:
                self.lone = side
                self.size += 0.02 * (limit - self.size)
                return
            if side * slope < -limit and n > self.jumped + 30:
                self.jumped = n
                for sample in self.samples:
                    sample[1] += gap
                gap = 0.0
        self.lone = 0.0
        self.samples.append([now_s, value])
        self.size += max(0.02, 1.0 / n) * (abs(gap) - self.size)


@dataclass
class NaiveHorizon:
    """Forecasts on their way for one horizon, and what came of those before."""

    horizon_ms: int
    pending: list[tuple[int, list[float]]] = field(default_factory=list)
    errors: list[float] = field(default_factory=lambda: [0.0] * 5)
    units: list[float] = field(default_factory=lambda: [0.845, 1.606, 2.457])
    n: int = 0

    def resolve(self, seen: float, forecasts: list[float]) -> None:
        """Learn how far off the forecasts for one time were."""
        best = self.errors.index(min(self.errors))
        if self.n >= 1:
            unit = abs(seen - forecasts[best]) / (self.errors[best] + 1e-300)
            rate = max(0.04, 1.0 / (self.n + 4.0))
            for k, share in enumerate(SHARES):
                held = 1.0 if unit <= self.units[k] else 0.0
                moved = self.units[k] * math.exp(rate * (share - held))
                self.units[k] = min(max(moved, 0.1), 50.0)
        usual = max(self.errors)
        rate = max(0.04, 1.0 / (self.n + 1.0))
        for c, forecast in enumerate(forecasts):
            error = abs(seen - forecast)
            if self.n > 5 and usual > 0.0:
                error = min(error, 6.0 * usual)
            self.errors[c] += rate * (error - self.errors[c])
        self.n += 1


@dataclass
class NaiveForecastSeries:
    """A watched series."""

    horizons: list[NaiveHorizon]
    trends: list[NaiveTrend] = field(
        default_factory=lambda: [NaiveTrend(memory_s) for memory_s in MEMORIES_S]
    )
    base: float = 0.0
    last: float = 0.0
    seen_ms: int = 0
    n: int = 0


def naive_forecast_learn(series: NaiveForecastSeries, ts_ms: int, value: float) -> None:
    """Resolve the forecasts that come due with a sample, then learn it."""
    if math.isnan(value):
        return
    value = min(max(value, -1e150), 1e150)
    if series.n == 0:
        series.base, series.seen_ms = value, ts_ms
    for horizon in series.horizons:
        for target_ms, forecasts in list(horizon.pending):
            if target_ms > ts_ms:
                continue
            horizon.pending.remove((target_ms, forecasts))
            before_ms, after_ms = target_ms - series.seen_ms, ts_ms - target_ms
            if min(before_ms, after_ms) <= horizon.horizon_ms / 4:
                seen = value if after_ms <= before_ms else series.last
                horizon.resolve(seen, forecasts)
    series.n += 1
    series.seen_ms, series.last = max(ts_ms, series.seen_ms), value
    for trend in series.trends:
        trend.see(ts_ms / 1000, value - series.base, series.base, series.n)
