import math
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.domain.alert import Alert
from aiops.domain.anomaly import Anomaly, AnomalyKind
from aiops.domain.forecast import ForecastFacts
from aiops.domain.incident import (
    Incident,
    IncidentEventKind,
    IncidentState,
    Severity,
    TimelineEvent,
)
from aiops.domain.incident_json import incident_from_json, incident_to_json
from aiops.domain.labels import labels_from
from aiops.errors import DecodeError

texts = st.text(st.characters(codec="utf-8"), max_size=20)
labels = st.dictionaries(texts, texts, max_size=4).map(labels_from)
times_ms = st.integers(-(2**53), 2**53)
floats = st.floats(allow_nan=False)
anomalies = st.builds(
    Anomaly,
    anomaly_id=texts,
    fingerprint=st.integers(0, 2**64 - 1),
    labels=labels,
    detector=texts,
    onset_ms=times_ms,
    peak_ms=times_ms,
    end_ms=times_ms,
    score=floats,
    value=floats,
    expected=floats,
    lower=floats,
    upper=floats,
    quality=st.lists(texts, max_size=3).map(tuple),
    kind=st.sampled_from(AnomalyKind),
    alert=floats,
    parts=st.lists(st.tuples(texts, floats), max_size=3).map(tuple),
    members=st.lists(st.tuples(texts, floats), max_size=3).map(tuple),
    season=texts,
    unit=texts,
    detector_version=texts,
    is_vetoed=st.booleans(),
    veto_reason=texts,
    forecast=st.none()
    | st.builds(
        ForecastFacts,
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        *[st.floats(0, 1e9)] * 2,
        st.floats(0),
        st.floats(-1e9, 1e9),
    ),
)
alerts = st.builds(
    Alert,
    fingerprint=texts,
    labels=labels,
    annotations=labels,
    is_firing=st.booleans(),
    starts_at_ms=times_ms,
    ends_at_ms=times_ms,
    generator_url=texts,
    group_key=texts,
)
events = st.builds(
    TimelineEvent,
    at_ms=times_ms,
    kind=st.sampled_from(IncidentEventKind),
    text=texts,
    actor=texts,
)
incidents = st.builds(
    Incident,
    incident_id=texts,
    state=st.sampled_from(IncidentState),
    severity=st.sampled_from(Severity),
    title=texts,
    labels=labels,
    opened_ms=times_ms,
    updated_ms=times_ms,
    resolved_ms=times_ms,
    acknowledged_by=texts,
    anomalies=st.lists(anomalies, max_size=3).map(tuple),
    alerts=st.lists(alerts, max_size=3).map(tuple),
    timeline=st.lists(events, max_size=3).map(tuple),
    dropped=st.integers(0, 10**9),
)


def small_incident(**changes) -> Incident:
    fields = {
        "incident_id": "inc-1-0",
        "state": IncidentState.OPEN,
        "severity": Severity.WARNING,
        "title": "t",
        "labels": (("job", "a"),),
        "opened_ms": 1,
        "updated_ms": 2,
        "resolved_ms": 0,
        "acknowledged_by": "",
        "anomalies": (),
        "alerts": (),
        "timeline": (),
    }
    return Incident(**(fields | changes))


def small_anomaly(**changes) -> Anomaly:
    fields = {"anomaly_id": "a", "fingerprint": 2**64 - 1, "labels": (), "detector": "d"}
    fields |= {"onset_ms": 1, "peak_ms": 2, "end_ms": 0, "score": 7.0, "value": 1.0}
    return Anomaly(**(fields | {"expected": 0.0, "lower": 0.0, "upper": 0.5} | changes))


@settings(derandomize=True, max_examples=150)
@given(incidents)
def test_an_incident_survives_the_way_to_json_text_and_back(incident):
    text = orjson.dumps(incident_to_json(incident))
    assert incident_from_json(orjson.loads(text)) == incident


def test_labels_become_an_object_and_times_stay_whole_numbers():
    data = incident_to_json(small_incident())
    assert data["labels"] == {"job": "a"}
    assert data["opened_ms"] == 1


def test_a_64_bit_fingerprint_is_hex_so_that_javascript_keeps_it():
    (anomaly,) = incident_to_json(small_incident(anomalies=(small_anomaly(),)))["anomalies"]
    assert anomaly["fingerprint"] == "ffffffffffffffff"


def test_not_a_number_does_not_become_null_or_zero():
    incident = small_incident(anomalies=(small_anomaly(expected=math.nan, upper=math.inf),))
    text = orjson.dumps(incident_to_json(incident))
    (back,) = incident_from_json(orjson.loads(text)).anomalies
    assert math.isnan(back.expected) and back.upper == math.inf


def test_an_anomaly_of_a_release_without_kinds_reads_as_a_deviation():
    data = incident_to_json(small_incident(anomalies=(small_anomaly(),)))
    del data["anomalies"][0]["kind"]
    (back,) = incident_from_json(data).anomalies
    assert back.kind is AnomalyKind.DEVIATION


EXPLANATION = ("alert", "p_value", "parts", "season", "unit")
EXPLANATION += ("detector_version", "is_vetoed", "veto_reason")


def test_an_anomaly_of_a_release_without_explanations_reads_as_one_that_has_none():
    plain = small_anomaly()
    told = replace(plain, alert=3.0, parts=(("shift", 2.0),), is_vetoed=True)
    data = incident_to_json(small_incident(anomalies=(told,)))
    for key in EXPLANATION:
        del data["anomalies"][0][key]
    assert incident_from_json(data).anomalies == (plain,)


def test_the_p_value_is_told_beside_the_score_it_follows_from():
    data = incident_to_json(small_incident(anomalies=(small_anomaly(score=7.0),)))
    assert data["anomalies"][0]["p_value"] == pytest.approx(1e-7)


def test_an_anomaly_of_an_unknown_kind_is_a_decode_error():
    data = incident_to_json(small_incident(anomalies=(small_anomaly(),)))
    data["anomalies"][0]["kind"] = "omen"
    with pytest.raises(DecodeError, match="omen"):
        incident_from_json(data)


def test_unknown_keys_are_ignored():
    data = incident_to_json(small_incident()) | {"future": 1}
    assert incident_from_json(data) == small_incident()


@pytest.mark.parametrize(
    "broken",
    [{"title": 1}, {"opened_ms": "1"}, {"state": "odd"}, {"labels": 5}, {"alerts": {}}],
)
def test_a_wrong_type_is_a_decode_error(broken):
    with pytest.raises(DecodeError, match="not an incident"):
        incident_from_json(incident_to_json(small_incident()) | broken)


def test_a_missing_field_is_a_decode_error():
    data = incident_to_json(small_incident())
    del data["title"]
    with pytest.raises(DecodeError, match="title"):
        incident_from_json(data)
