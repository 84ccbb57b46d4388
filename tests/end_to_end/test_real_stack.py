"""Prometheus, Alertmanager and the service together: from a fault to its end, in real time."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from e2e_exporter import LATENCY_S, Shop, shop_exporter
from e2e_hook import Hook, hook_endpoint
from e2e_programs import programs, tell, wait_until
from e2e_stack import PROGRAMS, RULE_ALERT, Stack, start_stack

from tests.programs import need

SECRET = b"only this test and the service know it"
SEED = 20
SERIES = 'shop_latency_seconds{job="shop",service="checkout"}'
SCORE = 'aiops_score{series_name="shop_latency_seconds",job="shop",service="checkout"}'
WARM_UP_SCRAPES = 85
"""detect.warmup_samples, the seconds Prometheus takes until it sends, and some to settle."""

DETECTED_WITHIN_S = 60.0
RESOLVED_WITHIN_S = 60.0


@contextmanager
def shop_under_watch(folder: Path) -> Iterator[tuple[Stack, Shop, Hook]]:
    """Yield everything running, with the shop's series past warm-up."""
    with (
        hook_endpoint(SECRET) as hook,
        shop_exporter(SEED) as (shop, shop_url),
        programs(folder) as running,
    ):
        stack = start_stack(running, shop_url=shop_url, hook=hook, secret=SECRET)
        # counted at the exporter: asking the service all the time would disturb what it scrapes
        wait_until(lambda: shop.n_scrapes >= WARM_UP_SCRAPES, 120.0, "the shop was scraped enough")
        yield stack, shop, hook


def _checkout_incidents(stack: Stack, *states: str) -> list[dict[str, Any]]:
    found = stack.aiops.incidents(*states)
    return [one for one in found if _is_about_checkout(one)]


def _is_about_checkout(incident: dict[str, Any]) -> bool:
    evidence = [*incident["anomalies"], *incident["alerts"]]
    return any(item["labels"].get("service") == "checkout" for item in evidence)


def _report_others(stack: Stack, when: str) -> None:
    """Print what was found besides the injected fault: real series, so real false alarms."""
    others = [one for one in stack.aiops.incidents() if not _is_about_checkout(one)]
    n_series = stack.aiops.metric("aiops_series_live")
    anomalies = [anomaly for one in others for anomaly in one["anomalies"]]
    tell(
        f"{when}: {len(others)} other incidents, {len(anomalies)} other anomalies"
        f" on {n_series:.0f} series"
    )
    names = Counter(f"{a['labels']['job']} {a['labels']['__name__']}" for a in anomalies)
    for name, n_anomalies in sorted(names.items()):
        tell(f"  {n_anomalies} {name}")


@pytest.mark.timeout(240)
def test_a_fault_is_found_told_and_closed_across_the_whole_stack(tmp_path: Path) -> None:
    need(*PROGRAMS)
    with shop_under_watch(tmp_path) as (stack, shop, hook):
        _report_others(stack, "before the fault")
        assert _checkout_incidents(stack) == []

        fault_s = time.time()
        shop.is_slow = True
        incident_id = _check_found(stack, fault_s)
        _check_told(stack, hook, incident_id)
        _check_readable(stack, fault_s)
        _check_only_dry_run(stack, hook, incident_id)
        stack.aiops.cli("ack", incident_id, "--author", "ada", "--comment", "on it")
        wait_until(
            lambda: hook.of_incident(incident_id, "acknowledged"), 10.0, "the hook heard of ack"
        )

        shop.is_slow = False
        _check_closed(stack, hook, incident_id)
        _report_others(stack, "at the end")


def _check_found(stack: Stack, fault_s: float) -> str:
    """Return the id of the one incident that names the series at fault."""
    [incident] = wait_until(
        lambda: _checkout_incidents(stack, "open"), DETECTED_WITHIN_S, "an incident of checkout"
    )
    tell(f"incident after {time.time() - fault_s:.1f} s: {incident['title']}")
    assert incident["labels"]["service"] == "checkout"
    [anomaly] = incident["anomalies"]
    assert anomaly["labels"]["__name__"] == "shop_latency_seconds"
    assert anomaly["labels"]["service"] == "checkout"
    assert anomaly["onset_ms"] >= fault_s * 1000 - 1000
    assert anomaly["lower"] < LATENCY_S["checkout"] < anomaly["upper"] < anomaly["value"]
    return str(incident["incident_id"])


def _check_told(stack: Stack, hook: Hook, incident_id: str) -> None:
    """Alertmanager and the hook know of the incident, and the rule's alert has joined it."""
    own = (f"incident_id={incident_id}", "alertname=AiopsIncident")
    wait_until(lambda: stack.alerts(*own), 10.0, "our alert stands in Alertmanager")
    wait_until(lambda: stack.alerts(f"alertname={RULE_ALERT}"), 30.0, "the rule's alert fires")

    def alerts() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = stack.aiops.get(f"/api/v1/incidents/{incident_id}")["alerts"]
        return found

    wait_until(alerts, 15.0, "the rule's alert is evidence of the incident")
    assert [alert["labels"]["alertname"] for alert in alerts()] == [RULE_ALERT]
    assert len(_checkout_incidents(stack)) == 1
    opened = hook.of_incident(incident_id, "opened")
    assert [call.is_signed for call in opened] == [True]
    assert len(stack.alerts(*own)) == 1


def _check_readable(stack: Stack, fault_s: float) -> None:
    """`promtool` reads the raw series, the score and the open incident."""
    span = {"start_s": fault_s - 30, "end_s": time.time()}
    [raw] = stack.range_of(SERIES, **span)
    assert raw["metric"]["__name__"] == "shop_latency_seconds"
    before = [float(value) for at_s, value in raw["values"] if float(at_s) < fault_s]
    peak = max(float(value) for _, value in raw["values"])
    assert len(before) >= 25
    assert peak > 3 * max(before)
    [score] = stack.range_of(SCORE, **span)
    scores = [(float(at_s), float(value)) for at_s, value in score["values"]]
    assert max(value for at_s, value in scores if at_s < fault_s) < 6.0
    assert max(value for at_s, value in scores if at_s > fault_s) >= 6.0
    [is_open] = stack.vector_of('aiops_incident_open{service="checkout"}')
    assert is_open["value"][1] == "1"


def _check_only_dry_run(stack: Stack, hook: Hook, incident_id: str) -> None:
    """The playbook's action was decided upon and written down, not done."""

    def actions() -> list[str]:
        timeline = stack.aiops.get(f"/api/v1/incidents/{incident_id}")["timeline"]
        return [event["text"] for event in timeline if event["kind"] == "action"]

    [text] = wait_until(actions, 10.0, "the action is on the time line")
    assert "dry-run" in text
    assert not [call for call in hook.calls() if call.path.startswith("/restart")]


def _check_closed(stack: Stack, hook: Hook, incident_id: str) -> None:
    """The incident, both alerts and the hook see the end, each exactly once."""
    started_s = time.time()
    wait_until(
        lambda: _checkout_incidents(stack, "resolved"), RESOLVED_WITHIN_S, "the incident resolves"
    )
    tell(f"resolved {time.time() - started_s:.1f} s after the fault")
    wait_until(lambda: hook.of_incident(incident_id, "resolved"), 10.0, "the hook heard of the end")
    wait_until(lambda: not stack.alerts("service=checkout"), 15.0, "no alert of checkout is left")
    [incident] = _checkout_incidents(stack)
    assert incident["acknowledged_by"] == "ada"
    assert [anomaly["end_ms"] > 0 for anomaly in incident["anomalies"]] == [True]
    assert [alert["is_firing"] for alert in incident["alerts"]] == [False]
    for event in ("opened", "acknowledged", "resolved"):
        calls = hook.of_incident(incident_id, event)
        assert [(call.path, call.is_signed) for call in calls] == [("/incidents", True)], event
    assert len({call.key for call in hook.calls()}) == len(hook.calls())
    assert orjson.loads(hook.of_incident(incident_id, "resolved")[0].body)["incident"]["state"] == (
        "resolved"
    )
    # our own alert came back by Alertmanager's webhook and was recognised
    assert stack.aiops.metric('aiops_serve_alerts_rejected_total{reason="own_alert"}') >= 1
