import pytest
from correlate_signals import T0, S, alert, batch, closed, config, opened, resolved_alert

from aiops.correlate import Correlator
from aiops.domain.action import ActionOutcome, OutcomeStatus
from aiops.domain.incident import IncidentEventKind, IncidentState, Severity
from aiops.domain.records import Command, CommandVerb


def with_alert(**settings) -> Correlator:
    correlator = Correlator(config(**settings))
    correlator.on_alerts(batch(alert("f1")), seq=1, now_ms=T0)
    return correlator


def order(verb: CommandVerb, incident_id: str = "inc-1-0") -> Command:
    return Command(verb, incident_id, "ada", "looking")


def resolve(correlator: Correlator, *, now_ms: int) -> None:
    (change,) = correlator.on_command(order(CommandVerb.RESOLVE), now_ms=now_ms)
    assert change.event is IncidentEventKind.RESOLVED


def test_an_incident_resolves_itself_after_quiet_and_not_before():
    correlator = with_alert(quiet_s=120)
    correlator.on_alerts(batch(resolved_alert("f1")), seq=2, now_ms=T0 + 30 * S)
    assert correlator.on_tick(now_ms=T0 + 149 * S) == []
    (change,) = correlator.on_tick(now_ms=T0 + 150 * S)
    assert change.event is IncidentEventKind.RESOLVED
    assert change.incident.resolved_ms == T0 + 150 * S
    assert change.incident.timeline[-1].actor == "aiops"


def test_firing_evidence_holds_an_incident_open():
    correlator = with_alert()
    correlator.on_anomalies([opened("a1")], seq=2, now_ms=T0)
    correlator.on_alerts(batch(resolved_alert("f1")), seq=3, now_ms=T0 + S)
    assert correlator.on_tick(now_ms=T0 + 9999 * S) == []


def test_a_signal_soon_after_reopens_the_incident():
    correlator = with_alert(reopen_s=600)
    correlator.on_command(order(CommandVerb.ACKNOWLEDGE), now_ms=T0 + S)
    correlator.on_alerts(batch(resolved_alert("f1")), seq=2, now_ms=T0 + 30 * S)
    correlator.on_tick(now_ms=T0 + 150 * S)
    (change,) = correlator.on_anomalies([opened("a1")], seq=3, now_ms=T0 + 749 * S)
    assert change.event is IncidentEventKind.REOPENED
    assert change.incident.incident_id == "inc-1-0"
    assert change.incident.state is IncidentState.OPEN
    assert change.incident.resolved_ms == 0 and change.incident.acknowledged_by == ""


@pytest.mark.parametrize("is_tick_in_time", [True, False])
def test_a_signal_long_after_opens_a_new_incident(is_tick_in_time):
    correlator = with_alert(reopen_s=600)
    correlator.on_alerts(batch(resolved_alert("f1")), seq=2, now_ms=T0 + 30 * S)
    correlator.on_tick(now_ms=T0 + 150 * S)
    if is_tick_in_time:
        correlator.on_tick(now_ms=T0 + 750 * S)
        assert correlator.find("inc-1-0") is None
    again = alert("f1", starts_at_ms=T0 + 749 * S)
    (change,) = correlator.on_alerts(batch(again), seq=3, now_ms=T0 + 751 * S)
    assert change.event is IncidentEventKind.OPENED
    assert change.incident.incident_id == "inc-3-0"


def test_reopening_starts_from_the_severity_of_what_fires_now():
    correlator = Correlator(config())
    correlator.on_alerts(batch(alert("f1", severity="critical")), seq=1, now_ms=T0)
    correlator.on_alerts(batch(resolved_alert("f1", severity="critical")), seq=2, now_ms=T0 + S)
    correlator.on_tick(now_ms=T0 + 200 * S)
    (change,) = correlator.on_alerts(batch(alert("f2")), seq=3, now_ms=T0 + 201 * S)
    assert change.event is IncidentEventKind.REOPENED
    assert change.incident.severity is Severity.WARNING


def test_an_operator_resolves_while_evidence_still_fires_and_only_news_reopens():
    correlator = Correlator(config())
    correlator.on_anomalies([opened("a1")], seq=1, now_ms=T0)
    correlator.on_alerts(batch(alert("f1")), seq=2, now_ms=T0)
    resolve(correlator, now_ms=T0 + S)
    assert correlator.on_alerts(batch(alert("f1")), seq=3, now_ms=T0 + 2 * S) == []
    assert correlator.on_anomalies([opened("a1")], seq=4, now_ms=T0 + 2 * S) == []
    (worse,) = correlator.on_anomalies([opened("a1", score=11.0)], seq=5, now_ms=T0 + 3 * S)
    assert worse.incident.state is IncidentState.RESOLVED
    (change,) = correlator.on_anomalies([opened("a2")], seq=6, now_ms=T0 + 4 * S)
    assert change.event is IncidentEventKind.REOPENED


def test_the_end_of_evidence_after_an_operators_resolve_is_still_recorded():
    correlator = with_alert()
    resolve(correlator, now_ms=T0 + S)
    (change,) = correlator.on_alerts(batch(resolved_alert("f1")), seq=2, now_ms=T0 + 40 * S)
    assert change.event is IncidentEventKind.ALERT_RESOLVED
    assert change.incident.state is IncidentState.RESOLVED
    assert change.incident.resolved_ms == T0 + S
    assert not change.incident.alerts[0].is_firing


def test_acknowledging_keeps_the_name_and_the_comment():
    correlator = with_alert()
    (change,) = correlator.on_command(order(CommandVerb.ACKNOWLEDGE), now_ms=T0 + S)
    assert change.event is IncidentEventKind.ACKNOWLEDGED
    assert change.incident.state is IncidentState.ACKNOWLEDGED
    assert change.incident.acknowledged_by == "ada"
    assert (change.incident.timeline[-1].actor, change.incident.timeline[-1].text) == (
        "ada",
        "looking",
    )


def test_commands_on_unknown_incidents_or_in_the_wrong_state_change_nothing():
    correlator = with_alert()
    assert correlator.on_command(order(CommandVerb.RESOLVE, "inc-9-9"), now_ms=T0) == []
    correlator.on_command(order(CommandVerb.ACKNOWLEDGE), now_ms=T0)
    assert correlator.on_command(order(CommandVerb.ACKNOWLEDGE), now_ms=T0) == []
    correlator.on_command(order(CommandVerb.RESOLVE), now_ms=T0)
    before = correlator.find("inc-1-0")
    assert correlator.on_command(order(CommandVerb.RESOLVE), now_ms=T0 + S) == []
    assert correlator.on_command(order(CommandVerb.ACKNOWLEDGE), now_ms=T0 + S) == []
    assert correlator.find("inc-1-0") == before


def test_an_acknowledged_incident_resolves_itself_too():
    correlator = with_alert(quiet_s=1)
    correlator.on_command(order(CommandVerb.ACKNOWLEDGE), now_ms=T0)
    correlator.on_alerts(batch(resolved_alert("f1")), seq=2, now_ms=T0 + S)
    (change,) = correlator.on_tick(now_ms=T0 + 2 * S)
    assert change.event is IncidentEventKind.RESOLVED
    assert change.incident.acknowledged_by == "ada"


def test_the_outcome_of_an_action_is_a_line_of_the_time_line():
    correlator = with_alert()
    outcome = ActionOutcome(
        "k", "inc-1-0", "restart-checkout", "restart", OutcomeStatus.FAILED, "HTTP 500"
    )
    (change,) = correlator.on_outcome(outcome, now_ms=T0 + S)
    assert change.event is IncidentEventKind.ACTION
    line = change.incident.timeline[-1]
    assert (line.actor, line.text) == ("restart-checkout", "restart: failed, HTTP 500")
    lost = ActionOutcome("k", "inc-9-9", "p", "a", OutcomeStatus.SUCCEEDED, "")
    assert correlator.on_outcome(lost, now_ms=T0) == []


def test_redelivery_of_an_alert_changes_nothing():
    correlator = with_alert()
    before = correlator.find("inc-1-0")
    assert correlator.on_alerts(batch(alert("f1")), seq=2, now_ms=T0 + 60 * S) == []
    assert correlator.find("inc-1-0") == before
    correlator.on_alerts(batch(resolved_alert("f1")), seq=3, now_ms=T0 + 61 * S)
    assert correlator.on_alerts(batch(resolved_alert("f1")), seq=4, now_ms=T0 + 62 * S) == []


def test_a_late_firing_copy_after_the_end_does_not_fire_again():
    correlator = with_alert()
    correlator.on_alerts(batch(resolved_alert("f1")), seq=2, now_ms=T0 + 31 * S)
    assert correlator.on_alerts(batch(alert("f1")), seq=3, now_ms=T0 + 32 * S) == []


def test_a_newer_start_fires_again_even_if_the_end_was_never_told():
    correlator = with_alert()
    again = alert("f1", starts_at_ms=T0 + 60 * S)
    (change,) = correlator.on_alerts(batch(again), seq=2, now_ms=T0 + 61 * S)
    assert change.event is IncidentEventKind.ALERT_ADDED
    assert change.incident.alerts == (again,)


def test_the_end_of_an_earlier_episode_does_not_end_the_present_one():
    correlator = Correlator(config())
    correlator.on_alerts(batch(alert("f1", starts_at_ms=T0 + 60 * S)), seq=1, now_ms=T0 + 60 * S)
    assert correlator.on_alerts(batch(resolved_alert("f1")), seq=2, now_ms=T0 + 61 * S) == []


def test_an_end_counts_when_alertmanager_moved_the_start_back():
    correlator = with_alert()
    end = resolved_alert("f1", starts_at_ms=T0 - 60 * S, ends_at_ms=T0 + 30 * S)
    (change,) = correlator.on_alerts(batch(end), seq=2, now_ms=T0 + 31 * S)
    assert change.event is IncidentEventKind.ALERT_RESOLVED


def test_an_alert_absent_from_a_delivery_is_not_resolved():
    correlator = Correlator(config(quiet_s=1))
    correlator.on_alerts(batch(alert("f1"), alert("f2")), seq=1, now_ms=T0)
    correlator.on_alerts(batch(resolved_alert("f2")), seq=2, now_ms=T0 + 40 * S)
    assert correlator.on_tick(now_ms=T0 + 9999 * S) == []


def test_newer_annotations_of_a_repeat_are_kept_without_a_change():
    correlator = with_alert()
    newer = alert("f1", annotations=(("summary", "now 98 %"),))
    assert correlator.on_alerts(batch(newer), seq=2, now_ms=T0 + S) == []
    assert correlator.find("inc-1-0").alerts == (newer,)


def test_ends_of_unknown_anomalies_and_alerts_are_ignored():
    correlator = Correlator(config())
    assert correlator.on_anomalies([closed("a1")], seq=1, now_ms=T0) == []
    assert correlator.on_alerts(batch(resolved_alert("f1")), seq=2, now_ms=T0) == []
    assert correlator.open_incidents() == ()


def test_the_time_line_tells_the_signals_own_times_and_the_incident_lives_by_ours():
    correlator = Correlator(config())
    correlator.on_anomalies([opened("a1")], seq=1, now_ms=T0)
    (change,) = correlator.on_anomalies([closed("a1")], seq=2, now_ms=T0 + 50 * S)
    assert change.event is IncidentEventKind.ANOMALY_ENDED
    assert [event.at_ms for event in change.incident.timeline] == [
        T0,
        T0 - 20 * S,
        T0 + 30 * S,
    ]
    assert (change.incident.opened_ms, change.incident.updated_ms) == (T0, T0 + 50 * S)


def test_severity_rises_with_the_third_series_and_does_not_fall():
    correlator = Correlator(config())
    events = [opened("a1"), opened("a2")]
    correlator.on_anomalies(events, seq=1, now_ms=T0)
    same = opened("a3", fingerprint=events[0].anomaly.fingerprint)
    (change,) = correlator.on_anomalies([same], seq=2, now_ms=T0)
    assert change.incident.severity is Severity.WARNING
    (change,) = correlator.on_anomalies([opened("a4")], seq=3, now_ms=T0)
    assert change.event is IncidentEventKind.SEVERITY_RAISED
    assert change.incident.severity is Severity.CRITICAL
    (change,) = correlator.on_anomalies([closed("a4")], seq=4, now_ms=T0)
    assert change.incident.severity is Severity.CRITICAL


def test_severity_is_raised_by_a_signal_there_was_no_room_to_keep():
    correlator = Correlator(config(members_max=1))
    correlator.on_alerts(batch(alert("f1", severity="info")), seq=1, now_ms=T0)
    events = [opened("a1", score=20.0), opened("a2", score=13.0)]
    (change,) = correlator.on_anomalies(events, seq=2, now_ms=T0)
    assert change.event is IncidentEventKind.SEVERITY_RAISED
    assert change.incident.severity is Severity.CRITICAL
    assert change.incident.dropped == 1


def test_a_flood_of_lines_keeps_the_beginning_and_the_newest():
    correlator = with_alert()
    for i in range(300):
        outcome = ActionOutcome(f"k{i}", "inc-1-0", "p", f"try{i}", OutcomeStatus.FAILED, "")
        correlator.on_outcome(outcome, now_ms=T0 + i)
    timeline = correlator.find("inc-1-0").timeline
    assert len(timeline) == 201
    assert timeline[0].kind is IncidentEventKind.OPENED
    assert timeline[50].text == "102 lines left out up to here"
    assert timeline[-1].text == "try299: failed"
