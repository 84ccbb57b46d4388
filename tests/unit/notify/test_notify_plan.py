"""Which messages a change calls for, and what they say."""

import orjson
import pytest
from notify_samples import T0_MS, URL, alert, anomaly, config, incident, resolved

from aiops.domain.incident import (
    Incident,
    IncidentChange,
    IncidentEventKind,
    IncidentState,
    Severity,
    TimelineEvent,
)
from aiops.domain.incident_json import incident_from_json
from aiops.domain.labels import labels_from
from aiops.domain.selector import parse_selector
from aiops.errors import ConfigError
from aiops.notify.bodies import alert_labels, describe
from aiops.notify.plan import judge, plan_notifications
from aiops.notify.rules import ReceiverRule, receiver_rules

TOLD = {"opened", "reopened", "severity_raised", "acknowledged", "resolved"}
HOOK = ReceiverRule("hook", "webhook")
MANAGER = ReceiverRule("am", "alertmanager")


def change(event: str, version: Incident | None = None) -> IncidentChange:
    return IncidentChange(IncidentEventKind(event), version or incident())


def rule(selector: str) -> ReceiverRule:
    return ReceiverRule("hook", "webhook", parse_selector(selector))


def alert_of(event: str, version: Incident) -> dict[str, object]:
    [note] = plan_notifications(change(event, version), [MANAGER], seq=7, k=2, external_url=URL)
    [found] = orjson.loads(note.body)
    return found


@pytest.mark.parametrize("event", list(IncidentEventKind))
def test_only_events_for_people_become_messages(event: IncidentEventKind) -> None:
    notes = plan_notifications(change(event), [HOOK], seq=1, k=0, external_url=URL)
    assert bool(notes) == (event.value in TOLD)


def test_the_key_names_incident_event_position_and_receiver() -> None:
    [note] = plan_notifications(change("opened"), [HOOK], seq=7, k=2, external_url=URL)
    assert note.key == "inc-1:opened:7-2:hook"
    assert (note.receiver, note.event, note.incident_id) == ("hook", "opened", "inc-1")


def test_planning_again_gives_the_same_bytes() -> None:
    first = plan_notifications(change("opened"), [HOOK, MANAGER], seq=7, k=2, external_url=URL)
    again = plan_notifications(change("opened"), [HOOK, MANAGER], seq=7, k=2, external_url=URL)
    assert first == again


def test_a_webhook_body_holds_the_whole_incident() -> None:
    [note] = plan_notifications(change("opened"), [HOOK], seq=7, k=2, external_url=URL + "/")
    body = orjson.loads(note.body)
    assert incident_from_json(body.pop("incident")) == incident()
    assert body == {
        "version": "1",
        "event": "opened",
        "key": note.key,
        "sent_for": "incident",
        "url": f"{URL}/api/v1/incidents/inc-1",
    }


@pytest.mark.parametrize(
    ("selector", "is_told"),
    [
        ("{}", True),
        ('{service="cart"}', True),
        ('{service="mail"}', False),
        ('{severity=~"warning|critical",team!=""}', True),
        ('{severity="critical"}', False),
        ('{state="open"}', True),
        ('{state="resolved"}', False),
    ],
)
def test_a_receiver_hears_of_incidents_it_matches(selector: str, is_told: bool) -> None:
    verdict = judge(change("opened"), rule(selector))
    assert verdict.is_allowed is is_told
    assert verdict.reason


def test_the_incidents_severity_hides_a_label_of_that_name() -> None:
    version = incident(labels=labels_from({"severity": "page"}))
    assert judge(change("opened", version), rule('{severity="warning"}')).is_allowed


def test_the_end_is_told_although_the_labels_have_shrunk() -> None:
    opened_on = labels_from({"service": "cart", "pod": "cart-1"})
    version = resolved(labels=labels_from({"service": "cart"}), anomalies=(anomaly(opened_on),))
    assert judge(change("resolved", version), rule('{pod="cart-1"}')).is_allowed
    assert not judge(change("severity_raised", version), rule('{pod="cart-1"}')).is_allowed


def test_the_end_is_told_although_the_severity_has_risen() -> None:
    raised = TimelineEvent(T0_MS, IncidentEventKind.SEVERITY_RAISED, "to critical")
    always = resolved(severity=Severity.CRITICAL)
    risen = resolved(severity=Severity.CRITICAL, timeline=(raised,))
    wants = rule('{severity="warning"}')
    assert judge(change("resolved", risen), wants).is_allowed
    assert not judge(change("resolved", always), wants).is_allowed


def test_alertmanager_is_not_told_of_acknowledgement() -> None:
    verdict = judge(change("acknowledged"), MANAGER)
    assert not verdict.is_allowed
    assert "acknowledge" in verdict.reason


def test_an_alert_carries_identity_and_shared_labels() -> None:
    found = alert_of("opened", incident())
    assert found["labels"] == {
        "alertname": "AiopsIncident",
        "incident_id": "inc-1",
        "service": "cart",
        "severity": "warning",
        "team": "shop",
    }
    assert found["startsAt"] == "2023-11-14T22:13:20.000Z"
    assert "endsAt" not in found
    assert found["generatorURL"] == f"{URL}/api/v1/incidents/inc-1"
    assert found["annotations"]["summary"] == "cart is slow"


def test_a_resolve_carries_start_and_end() -> None:
    found = alert_of("resolved", resolved())
    assert found["startsAt"] == "2023-11-14T22:13:20.000Z"
    assert found["endsAt"] == "2023-11-14T22:14:20.000Z"


def test_an_end_before_the_start_is_moved_to_the_start() -> None:
    found = alert_of("resolved", resolved(resolved_ms=T0_MS - 1))
    assert found["endsAt"] == found["startsAt"]


def test_label_names_are_made_fit_for_prometheus() -> None:
    pairs = {
        "k8s.pod": "dot",
        "k8s_pod": "exact",
        "1st": "digit",
        "alertname": "Slow",
        "severity": "page",
        "__name__": "up",
        "größe": "x",
    }
    made = alert_labels(incident(labels=labels_from(pairs)))
    assert made["k8s_pod"] == "exact"
    assert made["_1st"] == "digit"
    assert made["exported_alertname"] == "Slow"
    assert made["exported_severity"] == "page"
    assert made["gr__e"] == "x"
    assert made["alertname"] == "AiopsIncident"
    assert "__name__" not in made


def test_the_description_shows_the_strongest_evidence_and_counts_the_rest() -> None:
    labels = labels_from({"__name__": "latency", "pod": "a"})
    anomalies = tuple(anomaly(labels, score=float(n)) for n in range(1, 9))
    alerts = (alert(labels_from({"alertname": "Slow"})), alert(labels, is_firing=False))
    lines = describe(incident(anomalies=anomalies, alerts=alerts, dropped=4)).splitlines()
    assert lines[0] == "Slow: too slow"
    told = "5.0, expected 0.5 to 1.5; one in 100 million (score 8.0); data fine"
    assert lines[1] == f'latency{{pod="a"}}: {told}'
    assert len(lines) == 6
    assert lines[-1] == "and 9 more"


def test_rules_come_from_the_config_with_parsed_selectors() -> None:
    [made] = receiver_rules([config("chat", "webhook", "http://x", match='{team="shop"}')])
    assert (made.name, made.kind) == ("chat", "webhook")
    assert judge(change("opened"), made).is_allowed


def test_every_bad_selector_is_reported() -> None:
    bad = [config(name, "webhook", "http://x", match=f"{{{name}") for name in ("one", "two")]
    with pytest.raises(ConfigError) as caught:
        receiver_rules(bad)
    assert len(caught.value.problems) == 2
    assert "notify.receivers[1].match: '{two'" in caught.value.problems[1]


def test_the_state_label_is_the_present_one() -> None:
    acknowledged = incident(state=IncidentState.ACKNOWLEDGED)
    assert judge(change("acknowledged", acknowledged), rule('{state="acknowledged"}')).is_allowed
