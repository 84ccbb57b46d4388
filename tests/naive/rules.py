"""The detection rules, one row at a time, as `SeriesRule` describes its settings."""

import math
from dataclasses import dataclass, field

from aiops.config_rules import SeriesRule


@dataclass
class NaiveRuled:
    """One series with its rule, and what is counted for the rule."""

    rule: SeriesRule | None
    window_rows: int = 4
    n_rows: int = 0
    rows_since_invalid: int | None = None
    counts: dict[str, int] = field(default_factory=lambda: {"invalid": 0, "sifted": 0, "beyond": 0})


def naive_rules_prepare(series: NaiveRuled, feature: float) -> tuple[float, float, bool]:
    """Return the feature, what the bank may see of it, and whether bad data came before."""
    rule = series.rule
    if rule is None:
        return feature, feature, False
    is_low = rule.valid_min is not None and feature < rule.valid_min
    is_high = rule.valid_max is not None and feature > rule.valid_max
    if is_low or is_high:
        series.counts["invalid"] += 1
        series.rows_since_invalid = 0
        return math.nan, math.nan, False
    has_invalid_before = False
    if series.rows_since_invalid is not None:
        series.rows_since_invalid += 1
        has_invalid_before = series.rows_since_invalid <= series.window_rows
    judged = feature if rule.detector == "default" else math.nan
    return feature, judged, has_invalid_before


def naive_rules_apply(
    series: NaiveRuled, feature: float, score: float, alert: float, expected: float
) -> tuple[float, float, str]:
    """Return score and alert as the rule lets them be, and the threshold that was passed."""
    rule = series.rule
    if rule is None or math.isnan(feature):
        return score, alert, ""
    series.n_rows += 1
    if series.n_rows <= (rule.warmup_samples or 0) or not is_wanted(rule, feature, expected):
        series.counts["sifted"] += score >= 3 or alert >= 3
        score = alert = 0.0
    side, bound = "", 0.0
    if rule.threshold_above is not None and feature > rule.threshold_above:
        side, bound = "above", rule.threshold_above
    elif rule.threshold_below is not None and feature < rule.threshold_below:
        side, bound = "below", rule.threshold_below
    if side:
        series.counts["beyond"] += 1
        excess = abs(feature - bound)
        share = 1.0 if math.isinf(excess) else excess / (excess + abs(bound))
        score, alert = max(score, 20.0 + share), max(alert, 20.0 + share)
    return score, alert, side


def is_wanted(rule: SeriesRule, feature: float, expected: float) -> bool:
    """Tell whether a deviation goes the right way and is large enough."""
    if math.isnan(expected):
        return True
    if rule.direction == "up" and feature < expected:
        return False
    if rule.direction == "down" and feature > expected:
        return False
    size = abs(feature - expected)
    if math.isnan(size):  # an infinite value of an infinite baseline
        return True
    if rule.deviation_min is not None and size < rule.deviation_min:
        return False
    ratio = rule.deviation_ratio_min
    return ratio is None or not size < ratio * abs(expected)
