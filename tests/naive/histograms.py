"""Plain twin of the kernel of histograms, written from the description of `Histograms`."""

import math
from dataclasses import dataclass, field

LOST_SPAN_MS = 300_000
STALE = "stale"


@dataclass
class NaiveFamily:
    """A family of buckets by upper bound; windows begin with the last whole scrape they used."""

    bounds: dict[int, float]  # slot -> upper bound
    newest: dict[int, float] = field(default_factory=dict)  # buckets that report
    scrape_ms: int = 0
    reported: int = 0
    is_broken: bool = False
    windows: list[tuple[int, dict[int, float]]] = field(default_factory=list)  # start, increases


def naive_histograms_take(families, rows, now_ms, seen_ms, signals):
    """rows: [(slot, ts, value or STALE)]; returns [(family, signal, ts, value or STALE)]."""
    told = []
    for slot, ts, value in rows:
        name = next((n for n, family in families.items() if slot in family.bounds), None)
        if name is None:
            continue
        for number, shown in naive_row(families[name], (slot, ts, value), now_ms, seen_ms, signals):
            told.append((name, number, ts, shown))
    return told


def naive_row(family, row, now_ms, seen_ms, signals):
    slot, ts, value = row
    if value == STALE:
        if family.newest.pop(slot, None) is None:
            return []
        family.is_broken = True
        return [] if family.newest else [(number, STALE) for number in range(len(signals))]
    if not math.isfinite(value):
        return []
    naive_report(family, slot, value)
    if not naive_is_whole(family, ts, now_ms, seen_ms):
        return []
    if family.is_broken:
        family.is_broken = False
        family.windows = [(ts, {}) for _ in signals]
        return []
    return list(naive_signals(family, ts, signals))


def naive_report(family, slot, value):
    if slot not in family.newest or value < family.newest[slot]:
        family.is_broken = True
    else:
        for _, increases in family.windows:
            increases[slot] = increases.get(slot, 0.0) + (value - family.newest[slot])
    family.newest[slot] = value


def naive_is_whole(family, ts, now_ms, seen_ms):
    if ts > family.scrape_ms:
        if family.reported < len(family.newest):
            for other in [s for s in family.newest if now_ms - seen_ms[s] > LOST_SPAN_MS]:
                del family.newest[other]
                family.is_broken = True
        family.scrape_ms, family.reported = ts, 0
    if ts < family.scrape_ms:
        return False
    family.reported += 1
    return family.reported == len(family.newest)


def naive_signals(family, ts, signals):
    for number, (quantile, least, longest_ms) in enumerate(signals):
        start_ms, increases = family.windows[number]
        buckets = sorted((family.bounds[slot], increases.get(slot, 0.0)) for slot in family.newest)
        value = math.nan
        if buckets and math.isinf(buckets[-1][0]):
            n = max(count for _, count in buckets)
            if n >= least:
                is_rate = math.isnan(quantile)
                value = (
                    n / ((ts - start_ms) / 1000) if is_rate else naive_quantile(quantile, buckets)
                )
        if not math.isnan(value):
            yield number, value
        if not math.isnan(value) or ts - start_ms >= longest_ms:
            family.windows[number] = (ts, {})


def naive_quantile(quantile, buckets):
    """Prometheus' classic `BucketQuantile` over [(upper bound, cumulative count)]."""
    if len(buckets) < 2:
        return math.nan
    counts = [max(count for _, count in buckets[: k + 1]) for k in range(len(buckets))]
    rank = quantile * counts[-1]
    at = next(k for k, count in enumerate(counts) if count >= rank)
    if at == len(buckets) - 1:
        return buckets[-2][0]
    if at == 0 and buckets[0][0] <= 0:
        return buckets[0][0]
    lower, below = (buckets[at - 1][0], counts[at - 1]) if at else (0.0, 0.0)
    return lower + (buckets[at][0] - lower) * (rank - below) / (counts[at] - below)
