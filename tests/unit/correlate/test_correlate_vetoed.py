"""Vetoed anomalies: told where they belong, and no evidence."""

import pytest
from correlate_signals import T0, S, alert, batch, closed, config, opened, resolved_alert

from aiops.correlate import Correlator
from aiops.domain.incident import IncidentEventKind, IncidentState

VETO = {"is_vetoed": True, "veto_reason": "counter_reset", "quality": ("reset",)}


def with_incident(**settings) -> Correlator:
    correlator = Correlator(config(**settings))
    correlator.on_alerts(batch(alert("f1", severity="info")), seq=1, now_ms=T0)
    return correlator


@pytest.mark.parametrize("score", [8.0, 99.0])
def test_a_vetoed_anomaly_opens_no_incident(score):
    correlator = Correlator(config())
    for event in (opened("a1", score=score, **VETO), closed("a1", score=score, **VETO)):
        assert correlator.on_anomalies([event], seq=1, now_ms=T0) == []
    assert correlator.open_incidents() == ()


def test_an_incident_it_would_have_joined_tells_of_it_and_is_otherwise_as_before():
    correlator = with_incident()
    (before,) = correlator.open_incidents()
    (change,) = correlator.on_anomalies(
        [opened("a1", score=99.0, **VETO)], seq=2, now_ms=T0 + 60 * S
    )
    assert change.event is IncidentEventKind.ANOMALY_VETOED
    after, (*lines, line) = change.incident, change.incident.timeline
    assert "vetoed, the counter was reset" in line.text
    assert tuple(lines) == before.timeline
    for name in ("severity", "title", "labels", "anomalies", "alerts", "dropped", "state"):
        assert getattr(after, name) == getattr(before, name)


def test_a_vetoed_anomaly_neither_prolongs_nor_reopens_an_incident():
    correlator = with_incident(quiet_s=120, reopen_s=600)
    correlator.on_alerts(batch(resolved_alert("f1")), seq=2, now_ms=T0 + 30 * S)
    correlator.on_anomalies([opened("a1", **VETO)], seq=3, now_ms=T0 + 100 * S)
    (change,) = correlator.on_tick(now_ms=T0 + 150 * S)
    assert change.event is IncidentEventKind.RESOLVED
    assert correlator.on_anomalies([opened("a2", **VETO)], seq=4, now_ms=T0 + 160 * S) == []
    assert correlator.open_incidents() == ()


def test_a_vetoed_anomaly_does_not_count_towards_a_crowd():
    correlator = with_incident()
    events = [opened(f"a{n}", **VETO) for n in range(9)]
    (change,) = correlator.on_anomalies(events, seq=2, now_ms=T0)
    assert change.incident.severity.value == "info"


def test_an_anomaly_that_lasted_beyond_its_veto_opens_an_incident_as_any_other():
    correlator = Correlator(config())
    assert correlator.on_anomalies([opened("a1", **VETO)], seq=1, now_ms=T0) == []
    (change,) = correlator.on_anomalies([opened("a1", quality=("reset",))], seq=2, now_ms=T0)
    assert change.event is IncidentEventKind.OPENED
    assert change.incident.state is IncidentState.OPEN
    (change,) = correlator.on_anomalies([closed("a1", quality=("reset",))], seq=3, now_ms=T0)
    assert change.event is IncidentEventKind.ANOMALY_ENDED


def test_what_was_told_of_a_vetoed_anomaly_survives_a_stop():
    correlator, other = with_incident(), Correlator(config())
    correlator.on_anomalies([opened("a1", **VETO)], seq=2, now_ms=T0)
    other.load(correlator.dump())
    assert other.open_incidents() == correlator.open_incidents()
    assert other.dump() == correlator.dump()


def test_an_explained_anomaly_survives_a_stop_with_all_that_was_said_of_it():
    correlator, other = Correlator(config()), Correlator(config())
    told = opened("a1", parts=(("shift", 7.5),), season="day", unit="s", alert=6.0)
    correlator.on_anomalies([told], seq=1, now_ms=T0)
    other.load(correlator.dump())
    assert other.open_incidents()[0].anomalies == (told.anomaly,)
