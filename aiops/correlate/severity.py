"""How urgent a signal is for humans."""

from aiops.domain.alert import Alert
from aiops.domain.anomaly import Anomaly, AnomalyKind
from aiops.domain.incident import SEVERITY_RANK, Severity
from aiops.domain.labels import label_value

CRITICAL_SCORE = 12.0
"""Chosen: one in 10^12 is not chance on any fleet; a single series may then wake somebody."""

CRITICAL_SERIES = 3
"""Chosen: three series anomalous at once are a disturbance, not the oddity of one metric."""

_OF_ALERT = {
    "critical": Severity.CRITICAL,
    "page": Severity.CRITICAL,
    "warning": Severity.WARNING,
    "warn": Severity.WARNING,
    "info": Severity.INFO,
}


def alert_severity(alert: Alert) -> Severity:
    """Return what the alert's `severity` label asks for; warning when it says nothing known."""
    return _OF_ALERT.get(label_value(alert.labels, "severity").lower(), Severity.WARNING)


def anomaly_severity(anomaly: Anomaly) -> Severity:
    """Return critical for an anomaly beyond all chance, else warning; no bound tells chance."""
    if anomaly.kind is AnomalyKind.THRESHOLD:
        return Severity.WARNING
    return Severity.CRITICAL if anomaly.score >= CRITICAL_SCORE else Severity.WARNING


def crowd_severity(n_series: int) -> Severity:
    """Return what the number of distinct series that are anomalous now asks for."""
    return Severity.CRITICAL if n_series >= CRITICAL_SERIES else Severity.INFO


def worst(*severities: Severity) -> Severity:
    """Return the most urgent of `severities`."""
    return max(severities, key=SEVERITY_RANK.__getitem__)
