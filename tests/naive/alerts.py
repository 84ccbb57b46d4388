"""Plain twin of the alert score, one series at a time, in words before symbols.

The method is the one `aiops.detect.banks.alerts` describes; the figures are repeated on purpose.
"""

import math
from dataclasses import dataclass, field

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


@dataclass
class NaiveWindow:
    """A remembered histogram of 26 steps in 8 bins, and how often it was met again."""

    counts: list[int]
    uses: int = 1


@dataclass
class NaiveAlerts:
    rows: int = 0
    seen_ms: float = 0.0
    peak: float = 0.0
    step_ms: float = 0.0
    step_values: list[float] = field(default_factory=list)
    range_means: list[float] = field(default_factory=list)
    low: float | None = None
    high: float = 0.0
    outside: int = 0
    recent: list[int] = field(default_factory=list)
    windows: list[NaiveWindow] = field(default_factory=list)


def naive_alert_score(
    series: NaiveAlerts, ts_ms: int, feature: float, evidence: float, interval_ms: float
) -> tuple[float, float]:
    """Alert score of a row, and how much of it is novelty."""
    if math.isnan(feature):
        return evidence, 0.0
    news = _damped(series, ts_ms, evidence, interval_ms)
    if not series.step_values:
        series.step_ms = ts_ms
    series.step_values.append(min(max(feature, -1e150), 1e150))
    step_ms = max(5 * MINUTE_MS, interval_ms)
    if ts_ms - series.step_ms + 1.5 * interval_ms < step_ms:
        return news, 0.0
    total = 0.0
    for value in series.step_values:
        total += value
    mean = total / len(series.step_values)
    series.step_values = []
    wanted = math.floor(max(250, 3 * 24 * HOUR_MS / step_ms))
    novelty = _novelty(series, mean, wanted)
    return news + novelty, novelty


def _damped(series: NaiveAlerts, ts_ms: int, evidence: float, interval_ms: float) -> float:
    fade_ms = max(12 * HOUR_MS, 20 * interval_ms)
    passed_ms = max(ts_ms - series.seen_ms, 0.0)
    left = series.peak * math.exp(-passed_ms / fade_ms)
    series.rows += 1
    series.seen_ms = float(ts_ms)
    series.peak = max(left, evidence)
    record = 0.7 * math.log10(max(series.rows / 300, 1.0))
    return max(evidence - 0.8 * left - record, 0.0)


def _novelty(series: NaiveAlerts, mean: float, wanted: int) -> float:
    if series.low is None:
        series.range_means.append(mean)
        if len(series.range_means) == wanted:
            _end_range(series, mean)
        return 0.0
    place = (mean - series.low) / (series.high - series.low)
    series.outside = 0 if 0 <= place < 1 else series.outside + 1
    if series.outside >= wanted:
        _begin_anew(series)
        return 0.0
    series.recent = [*series.recent, int(min(max(place, 0.0) * 8, 7))][-26:]
    if len(series.recent) < 26:
        return 0.0
    return _compare(series, [series.recent.count(k) for k in range(8)])


def _end_range(series: NaiveAlerts, mean: float) -> None:
    """Take half as much as was seen on each side."""
    low, high = min(series.range_means), max(series.range_means)
    pad = 0.5 * max(high - low, 1e-9 * abs(mean) + 1e-12)
    series.low, series.high = low - pad, high + pad


def _begin_anew(series: NaiveAlerts) -> None:
    series.low, series.outside = None, 0
    series.range_means, series.recent, series.windows = [], [], []


def _compare(series: NaiveAlerts, counts: list[int]) -> float:
    """G statistic between the window and the nearest one remembered; new ones are remembered."""
    own = _shared(counts, counts)
    differences = [2 * (own - _shared(counts, window.counts)) for window in series.windows]
    if differences and min(differences) <= 18.475:
        _meet_again(series, series.windows[differences.index(min(differences))])
        return 0.0
    if len(series.windows) == 39:
        least = min(window.uses for window in series.windows)
        place = [window.uses for window in series.windows].index(least)
        series.windows[place] = NaiveWindow(counts)
    else:
        series.windows.append(NaiveWindow(counts))
    if not differences:
        return 0.0
    return 2 * math.sqrt(min(min(differences) / 18.475, 3))


def _shared(counts: list[int], other: list[int]) -> float:
    """Sum of c log(other); an empty bin counts as half a sample spread over all."""
    total = 0.0
    for mine, theirs in zip(counts, other, strict=True):
        total += mine * math.log(max(theirs, 0.5 / 8))
    return total


def _meet_again(series: NaiveAlerts, window: NaiveWindow) -> None:
    """Count in one byte: all are halved before one overflows."""
    if window.uses == 255:
        for other in series.windows:
            other.uses //= 2
    window.uses += 1
