import orjson
import pytest

from aiops.domain.incident import (
    Incident,
    IncidentChange,
    IncidentEventKind,
    IncidentState,
    Severity,
)
from aiops.notify.bodies import MessageFacts, alertmanager_body
from aiops.wire.alertmanager import WebhookAlerts, decode_webhook


def sent_alert() -> dict:
    """Return the alert an incident is told to Alertmanager as."""
    incident = Incident(
        incident_id="inc-7-0",
        state=IncidentState.OPEN,
        severity=Severity.WARNING,
        title="checkout: slow",
        labels=(("service", "checkout"),),
        opened_ms=1_700_000_000_000,
        updated_ms=1_700_000_000_000,
        resolved_ms=0,
        acknowledged_by="",
        anomalies=(),
        alerts=(),
        timeline=(),
    )
    change = IncidentChange(IncidentEventKind.OPENED, incident)
    [alert] = orjson.loads(alertmanager_body(MessageFacts(change, "key", "http://aiops:9800")))
    return alert


def delivered(*alerts: dict) -> WebhookAlerts:
    return decode_webhook(orjson.dumps({"version": "4", "alerts": alerts}))


@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_our_own_incident_coming_back_is_no_evidence(status):
    other = {"status": status, "labels": {"alertname": "CheckoutSlow", "service": "checkout"}}
    decoded = delivered(sent_alert() | {"status": status}, other)
    assert [dict(alert.labels)["alertname"] for alert in decoded.batch.alerts] == ["CheckoutSlow"]
    assert decoded.rejected == (("own_alert", 1),)


@pytest.mark.parametrize("label", ["alertname", "incident_id"])
def test_an_alert_that_looks_like_ours_only_in_part_is_taken(label):
    labels = {name: value for name, value in sent_alert()["labels"].items() if name != label}
    assert len(delivered({"status": "firing", "labels": labels}).batch.alerts) == 1
