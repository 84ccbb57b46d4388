import math

import pytest
from correlate_signals import T0, alert, anomaly, batch, config, opened

from aiops.correlate import Correlator
from aiops.correlate.wording import (
    alert_headline,
    alert_line,
    anomaly_headline,
    anomaly_line,
    incident_title,
    shorten,
)
from aiops.domain.anomaly import AnomalyKind


@pytest.mark.parametrize(
    ("value", "expected", "text"),
    [
        (0.31, 0.1, "0.31, expected 0.10"),
        (0.0, 1.0, "0.0, expected 1.0"),
        (1234567.0, 1000.0, "1,234,567, expected 1,000"),
        (100.2, 100.1, "100.2, expected 100.1"),
        (math.nan, 5.0, "unknown, expected 5.0"),
        (0.0, 0.0, "0, expected 0"),
        (3e-9, 1e-9, "3e-09, expected 1e-09"),
        (5e-324, math.inf, "4.94e-324, expected infinite"),
        (1e300, -1e300, "1e+300, expected -1e+300"),
    ],
)
def test_numbers_read_alike_and_never_read_equal_when_they_differ(value, expected, text):
    assert anomaly_headline(anomaly(value=value, expected=expected)) == f"latency_seconds {text}"


def test_an_alert_speaks_by_its_summary_else_by_its_name():
    with_summary = alert(annotations=(("summary", "disk of a\nis full"),))
    assert alert_headline(with_summary) == "disk of a is full"
    assert alert_line(with_summary) == "HighLatency: disk of a is full"
    assert alert_headline(alert()) == "HighLatency"
    assert alert_headline(alert(labels={})) == "alert without a name"


def test_the_title_names_whom_it_concerns_unless_the_headline_does():
    assert incident_title("checkout", "latency 3", 3) == "checkout: latency 3 (2 more signals)"
    assert incident_title("checkout", "checkout is slow", 2) == "checkout is slow (1 more signal)"
    assert incident_title("y", "HighLatency", 1) == "y: HighLatency"
    assert incident_title("", "latency 3", 1) == "latency 3"


def test_long_text_is_cut_to_one_line():
    assert shorten("a\n\n b" + "x" * 100, 10) == "a bxxxxxx…"


def test_the_title_follows_the_strongest_signal_of_the_incident():
    correlator = Correlator(config())
    (change,) = correlator.on_anomalies([opened("a1")], seq=1, now_ms=T0)
    assert change.incident.title == "checkout: latency_seconds 0.31, expected 0.10"
    stronger = opened("a2", score=9.0, value=0.5)
    (change,) = correlator.on_anomalies([stronger], seq=2, now_ms=T0)
    assert change.incident.title == (
        "checkout: latency_seconds 0.50, expected 0.10 (1 more signal)"
    )
    told = alert("f1", annotations=(("summary", "customers cannot pay"),))
    (change,) = correlator.on_alerts(batch(told), seq=3, now_ms=T0)
    assert change.incident.title == "checkout: customers cannot pay (2 more signals)"
    (change,) = correlator.on_anomalies([opened("a3")], seq=4, now_ms=T0)
    assert change.incident.title == "checkout: customers cannot pay (3 more signals)"


def test_an_entity_is_told_by_its_labels_and_its_most_unusual_metrics():
    item = anomaly(
        labels={"instance": "h1", "job": "node"},
        kind=AnomalyKind.GROUP,
        score=7.25,
        members=(('cpu{mode="user"}', 9.0), ('cpu{mode="idle"}', 8.0), ("load", 5.0)),
    )
    assert anomaly_headline(item) == "h1/node unusual as a whole: cpu, load"
    line = '{instance="h1", job="node"} unusual as a whole: cpu, load; one in 18 million'
    assert anomaly_line(item) == f"{line} (score 7.2)"
