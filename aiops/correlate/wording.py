"""What an incident and its signals are called: short, plain, useful at three in the morning."""

import re

from aiops.domain.alert import Alert
from aiops.domain.anomaly import Anomaly, AnomalyKind
from aiops.domain.explain import explanation, seen
from aiops.domain.labels import METRIC_NAME, format_series, label_value
from aiops.domain.quantity import format_alike

HEADLINE_CHARS_MAX = 140
"""Chosen: fits one line of a pager or a chat message together with the prefix."""

WHOSE_CHARS_MAX = 70
"""Chosen: leaves half of a headline for what is wrong."""

SERIES_CHARS_MAX = 200
"""Chosen: a spelt-out series in the time line; the full labels are in the evidence."""


def anomaly_headline(anomaly: Anomaly) -> str:
    """Return the anomaly in a few words: `latency_seconds 0.31, expected 0.10`."""
    if anomaly.kind is AnomalyKind.GROUP:
        whose = "/".join(value for _, value in anomaly.labels)
        return shorten(f"{whose} {seen(anomaly)}", HEADLINE_CHARS_MAX)
    if anomaly.absence is not None:
        whose = shorten(format_series(anomaly.labels), WHOSE_CHARS_MAX)
        whose = whose if anomaly.labels else "every series"
        return shorten(f"{whose}: {seen(anomaly)}", HEADLINE_CHARS_MAX)
    name = label_value(anomaly.labels, METRIC_NAME) or "anomaly"
    return shorten(f"{name} {_seen_and_expected(anomaly)}", HEADLINE_CHARS_MAX)


def alert_headline(alert: Alert) -> str:
    """Return the alert's own summary, or its name where it has none."""
    text = label_value(alert.annotations, "summary") or label_value(alert.labels, "alertname")
    return shorten(text or "alert without a name", HEADLINE_CHARS_MAX)


def anomaly_line(anomaly: Anomaly) -> str:
    """Return the anomaly as a time line tells it, its series spelt out."""
    series = shorten(format_series(anomaly.labels), SERIES_CHARS_MAX)
    return f"{series} {explanation(anomaly)}"


def alert_line(alert: Alert) -> str:
    """Return the alert as a time line tells it: name, then summary."""
    name = label_value(alert.labels, "alertname")
    headline = alert_headline(alert)
    return headline if name in ("", headline) else f"{shorten(name, 80)}: {headline}"


def incident_title(prefix: str, headline: str, n_signals: int) -> str:
    """Return the title: whom it concerns, the strongest signal, and how many more there are."""
    is_named = not prefix or re.search(rf"(?<!\w){re.escape(prefix)}(?!\w)", headline)
    title = headline if is_named else f"{shorten(prefix, 60)}: {headline}"
    more = n_signals - 1
    return title if more < 1 else f"{title} ({more} more signal{'s' if more > 1 else ''})"


def shorten(text: str, chars_max: int) -> str:
    """Return `text` on one line, cut at `chars_max` with an ellipsis."""
    line = " ".join(text[: 4 * chars_max].split())
    return line if len(line) <= chars_max else line[: chars_max - 1].rstrip() + "…"


def _seen_and_expected(anomaly: Anomaly) -> str:
    if anomaly.kind in (AnomalyKind.THRESHOLD, AnomalyKind.FORECAST):
        return seen(anomaly)
    value, expected = format_alike((anomaly.value, anomaly.expected), anomaly.unit)
    return f"{value}, expected {expected}"
