"""An anomaly in one plain sentence, for humans.

What was seen, what was expected, how odd that is, and whether the data can be believed.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from aiops.domain.absence import absence_text
from aiops.domain.anomaly import Anomaly, AnomalyKind
from aiops.domain.forecast import forecast_text
from aiops.domain.labels import METRIC_NAME, label_value
from aiops.domain.quality import FLAG_TEXTS, VETO_TEXTS
from aiops.domain.quantity import format_alike, format_exactly

MEMBERS_MAX = 5
"""Chosen: what fits a line; all are in the evidence."""

_SCALES = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"), (1e3, "thousand"))
_SCORE_MAX = 15.0
"""Chosen: beyond a thousand trillion the number says no more, and tails are not known so well."""

_FLAGS = {flag.value: text for flag, text in FLAG_TEXTS.items()}
_VETOES = {reason.value: text for reason, text in VETO_TEXTS.items()}
_SEASONS = {"day": "daily season", "week": "weekly season"}


def explain(anomaly: Anomaly) -> str:
    """Return the anomaly as a sentence that names its metric.

    Examples
    --------
    `http_requests_total 812/s, expected 340/s to 420/s on Tuesday 14:05 UTC (daily season); one in
    10 million (score 7.0); shift 7.9 and residual 5.2; data fine`
    """
    return f"{subject(anomaly)} {explanation(anomaly)}"


def subject(anomaly: Anomaly) -> str:
    """Return what the anomaly is of: its metric, or where several are meant, its labels' values."""
    whose = "/".join(value for name, value in anomaly.labels if name != METRIC_NAME)
    return label_value(anomaly.labels, METRIC_NAME) or whose or "anomaly"


def explanation(anomaly: Anomaly) -> str:
    """Return `explain` without the name in front."""
    parts = [seen(anomaly), _odds(anomaly), _streams(anomaly), _data(anomaly)]
    return "; ".join(part for part in parts if part)


def seen(anomaly: Anomaly) -> str:
    """Return what was seen, and what was expected in its place."""
    of_kind = _seen_of_kind(anomaly)
    if of_kind:
        return of_kind
    expected = "peers" if anomaly.kind is AnomalyKind.PEER else "expected"
    if math.isfinite(anomaly.lower) and math.isfinite(anomaly.upper):
        figures = (anomaly.value, anomaly.lower, anomaly.upper)
        value, lower, upper = format_alike(figures, anomaly.unit)
        return f"{value}, {expected} {lower} to {upper}{_season(anomaly)}"
    if math.isnan(anomaly.expected):
        return format_alike((anomaly.value,), anomaly.unit)[0]
    value, middle = format_alike((anomaly.value, anomaly.expected), anomaly.unit)
    return f"{value}, {expected} {middle}{_season(anomaly)}"


def _seen_of_kind(anomaly: Anomaly) -> str:
    """Return what was seen of a kind that has words of its own, "" for the others."""
    if anomaly.absence is not None:
        return absence_text(anomaly.absence, anomaly.value, anomaly.expected)
    if anomaly.forecast is not None:
        return forecast_text(anomaly.forecast, anomaly.value, anomaly.unit)
    if anomaly.kind is AnomalyKind.GROUP:
        return _unusual_together(anomaly)
    return _beyond_threshold(anomaly) if anomaly.kind is AnomalyKind.THRESHOLD else ""


def _beyond_threshold(anomaly: Anomaly) -> str:
    """Tell which bound was passed; that of a rule that has changed since is not known any more."""
    is_above = anomaly.value > anomaly.upper
    bound = anomaly.upper if is_above else anomaly.lower
    if math.isnan(bound):
        return f"{format_alike((anomaly.value,), anomaly.unit)[0]}, beyond its threshold"
    value = format_alike((anomaly.value, bound), anomaly.unit)[0]
    side = "above" if is_above else "below"
    return f"{value}, {side} the threshold of {format_exactly(bound, anomaly.unit)}"


def _unusual_together(anomaly: Anomaly) -> str:
    """Tell of an entity which of its metrics made it unusual, each once."""
    names = dict.fromkeys(series.partition("{")[0] or series for series, _ in anomaly.members)
    told = ", ".join([*names][:MEMBERS_MAX])
    return "unusual as a whole" + (f": {told}" if told else "")


def _season(anomaly: Anomaly) -> str:
    season = _SEASONS.get(anomaly.season)
    if season is None:
        return ""
    at = datetime.fromtimestamp(anomaly.peak_ms / 1000, UTC)
    return f" on {at:%A %H:%M} UTC ({season})"


def _odds(anomaly: Anomaly) -> str:
    """Return how seldom chance does that; of an absence the score is no such probability."""
    if anomaly.kind is AnomalyKind.THRESHOLD:
        return ""  # that it was passed is all there is to say
    if anomaly.forecast is not None:
        return ""  # the interval says it
    if anomaly.absence is not None or not anomaly.score > 0:
        return f"score {anomaly.score:.1f}"
    return f"{_once_in(anomaly.score)} (score {anomaly.score:.1f})"


def _once_in(score: float) -> str:
    if score > _SCORE_MAX:
        return "beyond one in 1,000 trillion"
    once_in = float(f"{10.0**score:.2g}")
    for factor, name in _SCALES:
        if once_in >= factor:
            return f"one in {once_in / factor:,.3g} {name}"
    return f"one in {once_in:.3g}"


def _streams(anomaly: Anomaly) -> str:
    told = [f"{name} {score:.1f}" for name, score in anomaly.parts]
    return " and ".join(part for part in (", ".join(told[:-1]), *told[-1:]) if part)


def _data(anomaly: Anomaly) -> str:
    if anomaly.kind not in (AnomalyKind.DEVIATION, AnomalyKind.THRESHOLD):
        return ""  # nobody looked
    if anomaly.is_vetoed:
        return f"vetoed, {_words(_VETOES, anomaly.veto_reason)}"
    told = [_words(_FLAGS, flag) for flag in anomaly.quality]
    return f"data: {', '.join(told)}" if told else "data fine"


def _words(texts: Mapping[str, str], name: str) -> str:
    """Return the words for a name; one of a newer release stands for itself."""
    return texts.get(name, name)
