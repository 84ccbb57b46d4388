import contextlib

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.errors import DecodeError
from aiops.wire.alertmanager import (
    ALERTS_MAX,
    FINGERPRINT_CHARS_MAX,
    LABELS_MAX,
    REASONS,
    TEXT_BYTES_MAX,
    decode_webhook,
    fingerprint_of,
)

START = "2026-11-24T02:24:00.026276517Z"
START_MS = 1_795_487_040_026
ZERO = "0001-01-01T00:00:00Z"


def item(**fields) -> dict:
    known = {
        "status": "firing",
        "labels": {"alertname": "HighLatency", "job": "node"},
        "annotations": {"summary": "slow"},
        "startsAt": START,
        "endsAt": ZERO,
        "generatorURL": "http://prom.example/graph",
        "fingerprint": "8f4ddcaba1e1b217",
    }
    return {key: value for key, value in (known | fields).items() if value is not ...}


def decode(*items: object, **payload):
    return decode_webhook(orjson.dumps({"version": "4", "alerts": list(items)} | payload))


def only(*items: object, **payload):
    (alert,) = decode(*items, **payload).batch.alerts
    return alert


def test_a_firing_alert_has_no_end():
    alert = only(item(), groupKey='{}:{alertname="HighLatency"}')
    assert alert.is_firing and alert.ends_at_ms == 0
    assert alert.starts_at_ms == START_MS
    assert alert.labels == (("alertname", "HighLatency"), ("job", "node"))
    assert alert.annotations == (("summary", "slow"),)
    assert alert.group_key == '{}:{alertname="HighLatency"}'
    assert alert.generator_url == "http://prom.example/graph"


def test_a_firing_alert_has_no_end_even_if_the_sender_names_a_future_one():
    assert only(item(endsAt="2026-11-24T02:28:00Z")).ends_at_ms == 0


def test_each_alert_is_judged_by_its_own_status():
    ended = item(status="resolved", fingerprint="b", endsAt="2026-11-24T02:25:00Z")
    alerts = decode(item(), ended, status="firing").batch.alerts
    assert [alert.is_firing for alert in alerts] == [True, False]
    assert alerts[1].ends_at_ms == 1_795_487_100_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        (START, START_MS),
        ("2026-11-24T04:24:00.026+02:00", START_MS),
        ("2026-11-23T20:54:00.0262-05:30", START_MS),
        ("2026-11-24T02:24:00z", START_MS - 26),
        ("1969-12-31T23:59:59.9995Z", -1),
        ("", 0),
        (ZERO, 0),
        ("0001-01-01T00:00:00+02:00", 0),
        (..., 0),
        (None, 0),
    ],
)
def test_times_become_epoch_milliseconds(text, ms):
    assert only(item(startsAt=text)).starts_at_ms == ms


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"startsAt": "yesterday"}, "bad_time"),
        ({"startsAt": "2026-11-24T02:24:00"}, "bad_time"),
        ({"startsAt": 17}, "bad_time"),
        ({"endsAt": "0000-01-01T00:00:00Z"}, "bad_time"),
        ({"status": "suppressed"}, "bad_status"),
        ({"status": 1}, "bad_status"),
        ({"status": ["firing"]}, "bad_status"),
        ({"labels": ...}, "no_labels"),
        ({"labels": {}}, "no_labels"),
        ({"labels": {"a": ""}}, "no_labels"),
        ({"labels": {"a": 1}}, "bad_labels"),
        ({"labels": ["a"]}, "bad_labels"),
        ({"labels": {f"l{i}": "x" for i in range(LABELS_MAX + 1)}}, "too_many_labels"),
        ({"labels": {"a": "x" * (TEXT_BYTES_MAX + 1)}}, "label_too_long"),
        ({"labels": {"a": "ü" * (TEXT_BYTES_MAX // 2 + 1)}}, "label_too_long"),
        ({"labels": {"x" * (TEXT_BYTES_MAX + 1): "a"}}, "label_too_long"),
    ],
)
def test_a_bad_alert_is_counted_by_reason_and_the_others_are_kept(fields, reason):
    decoded = decode(item(**fields), item(fingerprint="good"))
    assert [alert.fingerprint for alert in decoded.batch.alerts] == ["good"]
    assert decoded.rejected == ((reason, 1),)
    assert reason in REASONS


def test_an_alert_that_is_no_object_is_counted():
    decoded = decode(None, "x", [], item())
    assert decoded.rejected == (("not_an_object", 3),)
    assert decoded.n_rejected() == 3


def test_bounds_are_inclusive():
    full = {f"l{i}": "x" * TEXT_BYTES_MAX for i in range(LABELS_MAX)}
    assert len(only(item(labels=full)).labels) == LABELS_MAX


def test_only_labels_must_be_there():
    alert = only({"labels": {"a": "b"}})
    assert alert.is_firing and alert.starts_at_ms == 0
    assert alert.annotations == () and alert.generator_url == "" and alert.group_key == ""


def test_without_a_status_the_end_decides():
    assert only(item(status=...)).is_firing
    assert not only(item(status=..., endsAt="2026-11-24T02:25:00Z")).is_firing


def test_unknown_fields_are_ignored():
    alert = only(item(routeLabels={"a": 1}), notification_reason="x", version="5", commonLabels=7)
    assert alert.fingerprint == "8f4ddcaba1e1b217"


@pytest.mark.parametrize("fingerprint", [..., "", None, 7, "x" * (FINGERPRINT_CHARS_MAX + 1)])
def test_a_missing_fingerprint_is_computed_from_the_labels(fingerprint):
    one = only(item(fingerprint=fingerprint, startsAt=START))
    two = only(item(fingerprint=fingerprint, startsAt="2026-11-24T03:00:00Z"))
    assert one.fingerprint == two.fingerprint == "3e1e2150d84185e2"


def test_computed_fingerprints_do_not_confuse_where_one_text_ends():
    assert fingerprint_of((("a", "bc"),)) != fingerprint_of((("ab", "c"),))
    assert fingerprint_of((("a", "b"), ("c", "d"))) != fingerprint_of((("a", "bcd"),))


def test_long_annotations_are_cut_rather_than_costing_the_alert():
    long = {"description": "ü" * TEXT_BYTES_MAX, "summary": "slow", "n": 5}
    annotations = dict(only(item(annotations=long)).annotations)
    assert annotations == {"description": "ü" * (TEXT_BYTES_MAX // 2), "summary": "slow"}


def test_repeats_within_a_delivery_are_taken_once():
    ended = item(status="resolved", endsAt="2026-11-24T02:25:00Z")
    decoded = decode(item(), item(), ended, item())
    assert [alert.is_firing for alert in decoded.batch.alerts] == [True, False]
    assert decoded.rejected == (("duplicate", 2),)


def test_alerts_beyond_the_bound_are_counted():
    items = [item(fingerprint=f"{i}") for i in range(ALERTS_MAX + 2)]
    decoded = decode(*items)
    assert len(decoded.batch.alerts) == ALERTS_MAX
    assert decoded.rejected == (("too_many_alerts", 2),)


def test_what_the_sender_cut_off_is_told():
    assert decode(item(), truncatedAlerts=3).truncated == 3
    assert decode(item(), truncatedAlerts="3").truncated == 0


@pytest.mark.parametrize("empty", [[], None])
def test_a_delivery_without_alerts_is_readable(empty):
    assert decode_webhook(orjson.dumps({"alerts": empty})).batch.alerts == ()


@pytest.mark.parametrize(
    ("body", "offset"),
    [
        (b"", 0),
        (b'{"alerts":[', 11),
        ('{"é":x'.encode(), 6),
        (b'{"alerts":["\xff"]}', 12),
        (b"[]", -1),
        (b"{}", -1),
        (b'{"alerts":{}}', -1),
        (b"[" * 5000, 1025),
    ],
)
def test_an_unreadable_body_is_refused_with_the_first_bad_byte(body, offset):
    with pytest.raises(DecodeError) as caught:
        decode_webhook(body)
    assert caught.value.offset == offset


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
odd_items = st.dictionaries(
    st.sampled_from(["status", "labels", "annotations", "startsAt", "endsAt", "fingerprint"]),
    json_values | st.sampled_from(["firing", "resolved", START, ZERO]),
)


@settings(derandomize=True, max_examples=300)
@given(st.lists(odd_items | json_values, max_size=5))
def test_every_alert_of_any_json_is_either_kept_or_counted(items):
    decoded = decode(*items)
    assert len(decoded.batch.alerts) + decoded.n_rejected() == len(items)
    assert {reason for reason, _ in decoded.rejected} <= set(REASONS)


@settings(derandomize=True, max_examples=200)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_decode_error(body):
    with contextlib.suppress(DecodeError):
        decode_webhook(body)
