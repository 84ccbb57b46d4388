"""The core as one function of the journal."""

import pytest

from aiops.config import Config
from aiops.domain.action import ActionOutcome, OutcomeStatus
from aiops.domain.alert import Alert
from aiops.domain.incident import IncidentState
from aiops.domain.labels import labels_from
from aiops.domain.records import AlertBatch, Command, CommandVerb, MetadataBatch, Record, Tick
from aiops.domain.samples import MetricMetadata
from aiops.errors import SnapshotError
from aiops.pipeline import Core
from tests.simulation.workload import T0_MS, small_config, small_core


def alert(number: int = 1, *, is_firing: bool = True, service: str = "cart") -> Alert:
    pairs = {"alertname": f"A{number}", "service": service, "severity": "critical"}
    return Alert(
        fingerprint=f"{number:016x}",
        labels=labels_from(pairs),
        annotations=(),
        is_firing=is_firing,
        starts_at_ms=T0_MS,
        ends_at_ms=0 if is_firing else T0_MS + 1000,
    )


def with_incident() -> tuple[Core, str]:
    core = small_core(small_config())
    (effect,) = core.apply(Record(1, T0_MS, AlertBatch((alert(),)))).effects
    return core, effect.incident.incident_id


def test_effects_carry_the_position_of_their_record_and_their_ordinal():
    core = small_core(small_config())
    alerts = AlertBatch((alert(1), alert(2, service="search")))
    effects = core.apply(Record(7, T0_MS, alerts)).effects
    assert [(effect.seq, effect.k) for effect in effects] == [(7, 0), (7, 1)]
    assert core.applied_seq == 7


def test_a_new_incident_brings_messages_for_all_receivers_and_its_playbooks_action():
    core = small_core(small_config())
    (effect,) = core.apply(Record(1, T0_MS, AlertBatch((alert(),)))).effects
    assert [message.receiver for message in effect.notifications] == ["chat", "am"]
    assert [action.playbook for action in effect.actions] == ["restart"]
    assert effect.actions[0].url == "http://deploy.internal/restart/cart"


def test_an_operators_order_reaches_the_incident():
    core, incident_id = with_incident()
    order = Command(CommandVerb.ACKNOWLEDGE, incident_id, "ada")
    (effect,) = core.apply(Record(2, T0_MS, order)).effects
    assert effect.incident.state is IncidentState.ACKNOWLEDGED
    assert effect.incident.acknowledged_by == "ada"


def test_the_outcome_of_an_action_is_told_on_the_time_line():
    core, incident_id = with_incident()
    outcome = ActionOutcome("k", incident_id, "restart", "http", OutcomeStatus.SUCCEEDED, "200")
    (effect,) = core.apply(Record(2, T0_MS, outcome)).effects
    assert "succeeded" in effect.incident.timeline[-1].text


def test_time_resolves_an_incident_whose_evidence_has_ended():
    core, incident_id = with_incident()
    core.apply(Record(2, T0_MS, AlertBatch((alert(is_firing=False),))))
    assert core.apply(Record(3, T0_MS + 29_000, Tick())).effects == ()
    (effect,) = core.apply(Record(4, T0_MS + 30_000, Tick())).effects
    assert effect.incident.incident_id == incident_id
    assert effect.incident.state is IncidentState.RESOLVED


def test_metadata_outlives_a_restart():
    core = small_core(small_config())
    entry = MetricMetadata("latency", "histogram", "how long \u00e9", "seconds")
    core.apply(Record(1, T0_MS, MetadataBatch((entry,))))
    fresh = small_core(small_config())
    fresh.restore(*core.state())
    assert fresh.data.table.metadata() == [entry]


def test_a_storm_of_incidents_leaves_the_header_of_a_snapshot_small():
    core = small_core(Config())
    annotation = labels_from({"description": "x" * 2000})
    for seq in range(1, 101):
        told = [
            Alert(f"{seq:08x}{n:08x}", labels_from({"a": f"{seq}-{n}"}), annotation, True, 1, 0)
            for n in range(10)
        ]
        core.apply(Record(seq, T0_MS, AlertBatch(tuple(told))))
    arrays, header = core.state()
    assert arrays["correlator.json"].nbytes > 2_000_000
    assert len(repr(header)) < 200


@pytest.mark.parametrize("name", ["correlator.json", "metadata.json"])
def test_damaged_text_in_a_snapshot_is_refused(name):
    core, _ = with_incident()
    arrays, header = core.state()
    cut = {**arrays, name: arrays[name][:-1]}
    with pytest.raises(SnapshotError):
        small_core(small_config()).restore(cut, header)
