"""Which actions a change calls for, and that no value breaks out of its place."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from remediate_samples import change, playbook, settings

from aiops.domain.action import ActionMode, PlannedAction
from aiops.domain.incident import IncidentChange, Severity
from aiops.domain.labels import labels_from
from aiops.remediate.plan import event_of, judge, plan_actions
from aiops.remediate.playbook import Playbook


def plan(book: Playbook, event: IncidentChange | None = None, **config: object) -> PlannedAction:
    [action] = plan_actions(event or change(), [book], settings(**config), seq=7, k=2)
    return action


def test_a_called_for_action_is_planned_whole() -> None:
    book = playbook(
        url="http://deploy:8080/s/{label:service}/restart?by={incident_id}",
        body={"why": "{title} is {severity}", "n": 1, "deep": [{"x": "{event}"}]},
    )
    action = plan(book)
    assert action.key == "inc-1:restart:opened:7-2"
    assert event_of(action.key) == "opened"
    assert (action.playbook, action.action, action.incident_id) == ("restart", "http", "inc-1")
    assert (action.mode, action.method) == (ActionMode.AUTO, "POST")
    assert action.url == "http://deploy:8080/s/cart/restart?by=inc-1"
    assert json.loads(action.body) == {
        "why": "cart is slow is critical",
        "n": 1,
        "deep": [{"x": "opened"}],
    }
    assert "deploy:8080 is in url_allow" in action.reason


def test_planning_again_gives_the_same_action() -> None:
    assert plan(playbook()) == plan(playbook())


@pytest.mark.parametrize(
    ("fields", "config", "reason"),
    [
        ({"mode": "off"}, {}, "mode is off"),
        ({}, {"mode": "off"}, "mode is off"),
        ({"events": ["resolved"]}, {}, "not among its events"),
        ({"match": '{service="mail"}'}, {}, "does not match"),
        ({"match": '{severity="warning"}'}, {}, "does not match"),
    ],
)
def test_what_is_not_called_for_plans_nothing(
    fields: dict[str, object], config: dict[str, object], reason: str
) -> None:
    book = playbook(**fields)
    assert plan_actions(change(), [book], settings(**config), seq=1, k=0) == ()
    assert reason in judge(change(), book, settings(**config)).reason


@pytest.mark.parametrize(
    ("own", "general", "expected"),
    [("auto", "dry-run", "dry-run"), ("dry-run", "auto", "dry-run"), ("auto", "auto", "auto")],
)
def test_both_modes_must_allow(own: str, general: str, expected: str) -> None:
    assert plan(playbook(mode=own), mode=general).mode.value == expected


def test_a_playbook_acts_by_default_only_on_paper() -> None:
    http = {"url": "http://deploy:8080/"}
    book = Playbook.model_validate({"name": "x", "action": {"http": http}})
    assert plan(book).mode is ActionMode.DRY_RUN


@pytest.mark.parametrize(
    ("fields", "labels", "reason"),
    [
        ({"url": "http://other:1/"}, {}, "other:1 is not in remediate.url_allow"),
        ({"url": "http://deploy:8080/{label:pod}"}, {}, "has no label:pod"),
        ({"body": {"x": ["{label:pod}"]}}, {}, "has no label:pod"),
        ({"url": "http://deploy:8080/{label:p}/x"}, {"p": ".."}, "contains . or .."),
        ({"url": "http://deploy:8080/{label:p}{label:p}/x"}, {"p": "."}, "contains . or .."),
        ({"url": "http://deploy:8080/{label:p}"}, {"p": "x" * 5000}, "longer than 4096"),
        ({"body": {"x": "{label:p}"}}, {"p": "x" * 70_000}, "larger than 65536"),
    ],
)
def test_a_refused_action_is_planned_as_off_with_the_reason(
    fields: dict[str, object], labels: dict[str, str], reason: str
) -> None:
    action = plan(playbook(**fields), change(labels=labels_from(labels)))
    assert action.mode is ActionMode.OFF
    assert reason in action.reason


def test_a_metadata_address_is_refused_even_when_listed() -> None:
    target = "169.254.169.254:80"
    action = plan(playbook(url=f"http://{target}/latest"), url_allow=(target,))
    assert action.mode is ActionMode.OFF
    assert "metadata" in action.reason


@given(value=st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])))
def test_no_value_breaks_out_of_a_body_or_a_url(value: str) -> None:
    book = playbook(
        url="http://deploy:8080/a/{label:v}/b?q={label:v}", body={"k": "<{label:v}>", "z": 1}
    )
    action = plan(book, change(labels=(("v", value),)))
    if action.mode is ActionMode.OFF:
        assert value in (".", "..") or len(action.url) > 4096
        return
    assert json.loads(action.body) == {"k": f"<{value}>", "z": 1}
    scheme, _, host, a, v, rest = action.url.split("/")
    assert (scheme, host, a) == ("http:", "deploy:8080", "a")
    assert rest.startswith("b?q=")
    assert set(v) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~%")


def test_a_value_that_looks_like_a_placeholder_stays_text() -> None:
    labels = labels_from({"a": "{label:b}", "b": "secret"})
    action = plan(playbook(body={"x": "{label:a}"}), change(labels=labels))
    assert json.loads(action.body) == {"x": "{label:b}"}


@pytest.mark.parametrize(
    "text", ["{}", "{incident}", "{incident_id!r}", "{severity:>9}", "{label:}", "{0.__class__}"]
)
def test_other_placeholders_are_refused_when_read(text: str) -> None:
    with pytest.raises(ValidationError, match="is not a placeholder"):
        playbook(body={"x": text})
    with pytest.raises(ValidationError, match="is not a placeholder"):
        playbook(url=f"http://deploy:8080/{text}")


@pytest.mark.parametrize(
    "url",
    [
        "deploy:8080/x",
        "file:///etc/passwd",
        "http://{label:host}/x",
        "http://deploy:{label:port}/x",
        "http://user:pw@deploy/x",
        "http://deploy/x#y",
        "http://deploy/a b",
        "http://deploy:0/",
        "http://deploy:99999/",
        "http://deploy/\r\nX: y",
        "http:///x",
    ],
)
def test_a_url_must_have_a_fixed_and_plain_host(url: str) -> None:
    with pytest.raises(ValidationError):
        playbook(url=url)


@pytest.mark.parametrize(
    "headers",
    [{"Host": "x"}, {"idempotency-key": "x"}, {"X y": "1"}, {"X": "a\r\nB: c"}, {"X": "ü"}],
)
def test_headers_that_steer_the_request_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        playbook(headers=headers)


def test_severity_is_matched_as_a_label() -> None:
    book = playbook(match='{severity="warning"}')
    assert judge(change(severity=Severity.WARNING), book, settings()).is_allowed
