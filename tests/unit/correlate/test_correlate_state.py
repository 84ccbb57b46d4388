import orjson
import pytest
from correlate_signals import T0, alert, batch, config, opened

from aiops.correlate import Correlator
from aiops.errors import SnapshotError


def busy() -> Correlator:
    correlator = Correlator(config())
    correlator.on_anomalies([opened("a1")], seq=1, now_ms=T0)
    correlator.on_alerts(batch(alert("f1", service="cart")), seq=2, now_ms=T0)
    return correlator


@pytest.mark.parametrize(
    "state",
    [b"", b"[]", b"{", b'{"version":1}', b'{"version":1,"seq":1,"k_next":0,"incidents":[{}]}'],
)
def test_a_damaged_state_is_refused_and_the_present_one_stays(state):
    correlator = busy()
    before = correlator.dump()
    with pytest.raises(SnapshotError, match="damaged"):
        correlator.load(state)
    assert correlator.dump() == before


def test_a_state_of_another_version_is_refused_by_name():
    data = orjson.loads(busy().dump()) | {"version": 2}
    with pytest.raises(SnapshotError, match="version 2, not 1"):
        Correlator(config()).load(orjson.dumps(data))


def test_every_field_of_the_state_matters():
    data = orjson.loads(busy().dump())
    for key in data["incidents"][0]:
        broken = orjson.loads(busy().dump())
        del broken["incidents"][0][key]
        with pytest.raises(SnapshotError):
            Correlator(config()).load(orjson.dumps(broken))


def test_a_loaded_state_replaces_what_was_there():
    correlator = Correlator(config())
    correlator.on_anomalies([opened("old", service="mail")], seq=9, now_ms=T0)
    correlator.load(busy().dump())
    assert [i.incident_id for i in correlator.open_incidents()] == ["inc-1-0", "inc-2-0"]
    assert correlator.on_anomalies([opened("a1")], seq=10, now_ms=T0) == []
