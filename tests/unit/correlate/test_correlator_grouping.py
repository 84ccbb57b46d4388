from correlate_signals import T0, S, alert, batch, closed, config, opened, resolved_alert

from aiops.correlate import Correlator
from aiops.domain.incident import IncidentEventKind
from aiops.domain.records import Command, CommandVerb

SHOP = {"__name__": "errors", "app": "shop", "job": "node"}


def members(correlator: Correlator) -> list[tuple[list[str], list[str]]]:
    return [
        ([a.anomaly_id for a in i.anomalies], [a.fingerprint for a in i.alerts])
        for i in correlator.open_incidents()
    ]


def test_anomaly_and_alert_of_one_service_share_an_incident():
    correlator = Correlator(config())
    correlator.on_anomalies([opened("a1")], seq=1, now_ms=T0)
    (change,) = correlator.on_alerts(batch(alert("f1")), seq=2, now_ms=T0 + S)
    assert change.event is IncidentEventKind.ALERT_ADDED
    assert members(correlator) == [(["a1"], ["f1"])]
    assert "(same service=checkout)" in change.incident.timeline[-1].text


def test_different_services_have_different_incidents():
    correlator = Correlator(config())
    events = [opened("a1", service="checkout"), opened("a2", service="cart")]
    changes = correlator.on_anomalies(events, seq=7, now_ms=T0)
    assert [c.incident.incident_id for c in changes] == ["inc-7-0", "inc-7-1"]
    assert all(c.event is IncidentEventKind.OPENED for c in changes)


def test_ids_differ_over_several_calls_for_one_record():
    correlator = Correlator(config())
    correlator.on_anomalies([opened("a1", service="x")], seq=7, now_ms=T0)
    (change,) = correlator.on_anomalies([opened("a2", service="y")], seq=7, now_ms=T0)
    assert change.incident.incident_id == "inc-7-1"


def test_the_first_configured_label_decides_before_the_second():
    correlator = Correlator(config())
    by_app = {"__name__": "m", "app": "shop"}
    correlator.on_anomalies([opened("a1", labels=by_app)], seq=1, now_ms=T0)
    correlator.on_anomalies([opened("a2", service="checkout")], seq=2, now_ms=T0)
    both = {"__name__": "m", "app": "shop", "service": "checkout"}
    correlator.on_anomalies([opened("a3", labels=both)], seq=3, now_ms=T0)
    assert members(correlator) == [(["a1"], []), (["a2", "a3"], [])]


def test_a_weaker_label_ties_when_one_side_lacks_the_stronger():
    correlator = Correlator(config())
    correlator.on_anomalies([opened("a1", labels=SHOP)], seq=1, now_ms=T0)
    correlator.on_anomalies(
        [opened("a2", labels={"__name__": "up", "job": "node"})], seq=2, now_ms=T0
    )
    assert members(correlator) == [(["a1", "a2"], [])]


def test_a_weaker_label_does_not_tie_what_a_stronger_tells_apart():
    correlator = Correlator(config())
    correlator.on_anomalies([opened("a1", labels=SHOP)], seq=1, now_ms=T0)
    other = SHOP | {"app": "warehouse"}
    correlator.on_anomalies([opened("a2", labels=other)], seq=2, now_ms=T0)
    assert members(correlator) == [(["a1"], []), (["a2"], [])]


def test_without_any_configured_label_the_whole_label_set_groups():
    correlator = Correlator(config())
    host = {"host": "a", "zone": "1"}
    correlator.on_anomalies([opened("a1", labels=host | {"__name__": "x"})], seq=1, now_ms=T0)
    correlator.on_anomalies([opened("a2", labels=host | {"__name__": "y"})], seq=2, now_ms=T0)
    other = {"host": "b", "zone": "1", "__name__": "x"}
    correlator.on_anomalies([opened("a3", labels=other)], seq=3, now_ms=T0)
    assert members(correlator) == [(["a1", "a2"], []), (["a3"], [])]


def test_an_incident_with_firing_evidence_takes_newcomers_however_old_it_is():
    correlator = Correlator(config(window_s=300))
    correlator.on_anomalies([opened("a1")], seq=1, now_ms=T0)
    correlator.on_anomalies([opened("a2")], seq=2, now_ms=T0 + 5000 * S)
    assert members(correlator) == [(["a1", "a2"], [])]


def test_an_incident_quiet_for_longer_than_the_window_takes_no_newcomers():
    correlator = Correlator(config(window_s=10, quiet_s=1000))
    correlator.on_alerts(batch(alert("f1")), seq=1, now_ms=T0)
    correlator.on_alerts(batch(resolved_alert("f1")), seq=2, now_ms=T0 + 30 * S)
    correlator.on_alerts(batch(alert("f2")), seq=3, now_ms=T0 + 41 * S)
    assert members(correlator) == [([], ["f1"]), ([], ["f2"])]


def test_a_known_alert_stays_in_its_incident_when_it_fires_again():
    correlator = Correlator(config(window_s=10, quiet_s=1000))
    correlator.on_alerts(batch(alert("f1")), seq=1, now_ms=T0)
    correlator.on_alerts(batch(resolved_alert("f1")), seq=2, now_ms=T0 + 30 * S)
    again = alert("f1", starts_at_ms=T0 + 60 * S)
    (change,) = correlator.on_alerts(batch(again), seq=3, now_ms=T0 + 61 * S)
    assert change.incident.incident_id == "inc-1-0"
    assert change.event is IncidentEventKind.ALERT_ADDED


def test_labels_are_those_all_evidence_shares_without_the_metric_name():
    correlator = Correlator(config())
    one = {"__name__": "x", "service": "checkout", "zone": "1", "pod": "a"}
    two = {"__name__": "y", "service": "checkout", "zone": "1", "pod": "b"}
    (first,) = correlator.on_anomalies([opened("a1", labels=one)], seq=1, now_ms=T0)
    assert first.incident.labels == (("pod", "a"), ("service", "checkout"), ("zone", "1"))
    (second,) = correlator.on_anomalies([opened("a2", labels=two)], seq=2, now_ms=T0)
    assert second.incident.labels == (("service", "checkout"), ("zone", "1"))


def test_several_signals_in_one_call_give_one_change_with_the_most_important_event():
    correlator = Correlator(config())
    alerts = batch(alert("f1"), alert("f2", severity="critical"), alert("f3"))
    (change,) = correlator.on_alerts(alerts, seq=1, now_ms=T0)
    assert change.event is IncidentEventKind.OPENED
    assert len(change.incident.alerts) == 3


def test_beyond_the_bound_signals_share_one_overflow_incident():
    correlator = Correlator(config(incidents_open_max=2))
    events = [opened(f"a{i}", service=f"s{i}") for i in range(5)]
    changes = correlator.on_anomalies(events, seq=1, now_ms=T0)
    assert len(changes) == 3
    overflow = changes[-1].incident
    assert overflow.title.startswith("overflow: too many open incidents")
    assert overflow.title.endswith("(2 more signals)")
    assert [a.anomaly_id for a in overflow.anomalies] == ["a2", "a3", "a4"]
    assert correlator.overflow_signals == 3


def test_the_overflow_incident_does_not_attract_once_there_is_room():
    correlator = Correlator(config(incidents_open_max=1, quiet_s=1))
    correlator.on_alerts(
        batch(alert("f1", service="x"), alert("f2", service="y")), seq=1, now_ms=T0
    )
    correlator.on_alerts(batch(resolved_alert("f1", service="x")), seq=2, now_ms=T0 + S)
    correlator.on_tick(now_ms=T0 + 3 * S)
    (change,) = correlator.on_alerts(batch(alert("f3", service="y")), seq=3, now_ms=T0 + 4 * S)
    assert change.event is IncidentEventKind.OPENED
    assert change.incident.title == "y: HighLatency"


def test_members_beyond_the_bound_drop_the_weakest_anomaly_first():
    correlator = Correlator(config(members_max=2))
    events = [opened("a1", score=9.0), opened("a2", score=7.0), opened("a3", score=8.0)]
    (change,) = correlator.on_anomalies(events, seq=1, now_ms=T0)
    assert [a.anomaly_id for a in change.incident.anomalies] == ["a1", "a3"]
    assert change.incident.dropped == 1


def test_a_shed_anomaly_holds_its_incident_open_until_it_ends():
    correlator = Correlator(config(members_max=1, quiet_s=1))
    events = [opened("a1", score=9.0), opened("a2", score=7.0)]
    correlator.on_anomalies(events, seq=1, now_ms=T0)
    correlator.on_anomalies([closed("a1", score=9.0)], seq=2, now_ms=T0 + S)
    assert correlator.on_tick(now_ms=T0 + 60 * S) == []
    assert correlator.on_anomalies([closed("a2", score=7.0)], seq=3, now_ms=T0 + 60 * S) == []
    (change,) = correlator.on_tick(now_ms=T0 + 61 * S)
    assert change.event is IncidentEventKind.RESOLVED


def test_ten_thousand_alerts_into_a_thousand_incidents_keep_to_one_change_each():
    correlator = Correlator(config())
    alerts = [alert(f"f{i}", service=f"s{i % 1000}") for i in range(10_000)]
    changes = correlator.on_alerts(batch(*alerts), seq=1, now_ms=T0)
    assert len(changes) == 1000
    assert {len(change.incident.alerts) for change in changes} == {10}


def test_an_alert_that_moved_on_no_longer_holds_its_former_incident_open():
    correlator = Correlator(config(incidents_open_max=2, quiet_s=1))
    correlator.on_alerts(batch(alert("f1", service="x")), seq=1, now_ms=T0)
    resolve = Command(CommandVerb.RESOLVE, "inc-1-0", "ada")
    correlator.on_command(resolve, now_ms=T0 + S)
    others = batch(alert("g1", service="y"), alert("h1", service="z"))
    correlator.on_alerts(others, seq=2, now_ms=T0 + 2 * S)
    again = alert("f1", service="x", starts_at_ms=T0 + 3 * S)
    (change,) = correlator.on_alerts(batch(again), seq=3, now_ms=T0 + 3 * S)
    assert change.incident.title.startswith("overflow")

    correlator.on_command(Command(CommandVerb.RESOLVE, "inc-2-0", "ada"), now_ms=T0 + 4 * S)
    (change,) = correlator.on_alerts(batch(alert("f2", service="x")), seq=4, now_ms=T0 + 5 * S)
    assert change.event is IncidentEventKind.REOPENED
    assert [a.fingerprint for a in change.incident.alerts] == ["f2"]
    assert change.incident.dropped == 1
    ended = resolved_alert("f2", service="x")
    correlator.on_alerts(batch(ended), seq=5, now_ms=T0 + 31 * S)
    (change,) = correlator.on_tick(now_ms=T0 + 40 * S)
    assert change.event is IncidentEventKind.RESOLVED


def test_no_more_resolved_incidents_are_remembered_than_may_be_open():
    correlator = Correlator(config(incidents_open_max=2))
    for i in range(4):
        correlator.on_alerts(batch(alert(f"f{i}", service=f"s{i}")), seq=i + 1, now_ms=T0 + i)
        resolve = Command(CommandVerb.RESOLVE, f"inc-{i + 1}-0", "ada")
        correlator.on_command(resolve, now_ms=T0 + 10 - i)
    known = [correlator.find(f"inc-{i + 1}-0") is not None for i in range(4)]
    assert known == [True, True, False, False]
