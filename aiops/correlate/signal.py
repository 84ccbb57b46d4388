"""One piece of evidence as the grouping sees it, be it an anomaly or an alert."""

import math
from dataclasses import dataclass

from aiops.correlate.severity import alert_severity, anomaly_severity
from aiops.correlate.wording import alert_headline, alert_line, anomaly_headline, anomaly_line
from aiops.domain.alert import Alert
from aiops.domain.anomaly import Anomaly
from aiops.domain.incident import SEVERITY_RANK, IncidentEventKind, Severity
from aiops.domain.labels import Labels

SCORE_MAX = 1e6
"""Chosen: an infinite score must stay a number that JSON can spell; no real one comes near."""

Strength = tuple[float, float, float]
"""Severity rank, alert (1) before anomaly (0), score: compared in this order."""


@dataclass(frozen=True, slots=True)
class Signal:
    """An anomaly or alert with what grouping needs to know of it.

    `member_id` is unique over both kinds. `source` names what is disturbed: the series of an
    anomaly, so that several anomalies of one series count once.
    """

    item: Anomaly | Alert
    member_id: str
    source: str
    labels: Labels
    is_open: bool
    severity: Severity

    def strength(self) -> Strength:
        """Return how strongly this signal asks to be named in the title."""
        rank = float(SEVERITY_RANK[self.severity])
        if isinstance(self.item, Alert):
            return (rank, 1.0, 0.0)
        return (rank, 0.0, anomaly_keep(self.item))

    def headline(self) -> str:
        """Return the signal in a few words, for a title."""
        item = self.item
        return alert_headline(item) if isinstance(item, Alert) else anomaly_headline(item)

    def line(self) -> str:
        """Return the signal in a sentence part, for a time line."""
        item = self.item
        return alert_line(item) if isinstance(item, Alert) else anomaly_line(item)

    def at_ms(self, now_ms: int) -> int:
        """Return when this began or ended by its own account, `now_ms` if it does not say."""
        item = self.item
        if isinstance(item, Alert):
            return (item.starts_at_ms if self.is_open else item.ends_at_ms) or now_ms
        return (item.onset_ms if self.is_open else item.end_ms) or now_ms

    def kind(self) -> IncidentEventKind:
        """Return the kind of event this signal is to an incident that has it."""
        if isinstance(self.item, Alert):
            added, ended = IncidentEventKind.ALERT_ADDED, IncidentEventKind.ALERT_RESOLVED
        else:
            added, ended = IncidentEventKind.ANOMALY_ADDED, IncidentEventKind.ANOMALY_ENDED
        return added if self.is_open else ended


def anomaly_signal(anomaly: Anomaly, *, is_open: bool) -> Signal:
    """Return an anomaly as a signal."""
    return Signal(
        item=anomaly,
        member_id=anomaly_member_id(anomaly),
        source=f"{anomaly.fingerprint:x}",
        labels=anomaly.labels,
        is_open=is_open,
        severity=anomaly_severity(anomaly),
    )


def alert_signal(alert: Alert) -> Signal:
    """Return an alert as a signal."""
    return Signal(
        item=alert,
        member_id=alert_member_id(alert),
        source=alert.fingerprint,
        labels=alert.labels,
        is_open=alert.is_firing,
        severity=alert_severity(alert),
    )


def anomaly_member_id(anomaly: Anomaly) -> str:
    """Return what an anomaly is known by, whatever its version."""
    return f"anomaly/{anomaly.anomaly_id}"


def alert_member_id(alert: Alert) -> str:
    """Return what an alert is known by, whatever its status."""
    return f"alert/{alert.fingerprint}"


def anomaly_keep(anomaly: Anomaly) -> float:
    """Return how much an anomaly deserves to be kept as evidence: its peak score."""
    return 0.0 if math.isnan(anomaly.score) else min(anomaly.score, SCORE_MAX)


def alert_keep(alert: Alert) -> float:
    """Return how much an alert deserves to be kept: firing first, then by severity."""
    return SEVERITY_RANK[alert_severity(alert)] + (10.0 if alert.is_firing else 0.0)


def is_news(alert: Alert, known: Alert) -> bool:
    """Tell whether a delivery of an alert changes what the version we know says.

    Repeats are not news, nor is a firing copy that comes after its own end (the other peer of a
    pair, late), nor the end of an earlier episode. Alertmanager may move a start back when it
    merges alerts, so an end counts if it lies behind the start we know.
    """
    if not alert.is_firing:
        ends_ours = max(alert.starts_at_ms, alert.ends_at_ms) >= known.starts_at_ms
        return known.is_firing and ends_ours
    has_no_start = alert.starts_at_ms == 0 and not known.is_firing
    return has_no_start or alert.starts_at_ms > known.starts_at_ms
