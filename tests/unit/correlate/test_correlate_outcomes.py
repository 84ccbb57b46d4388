from correlate_signals import T0, S, config, opened

from aiops.correlate import Correlator
from aiops.domain.action import ActionOutcome, OutcomeStatus
from aiops.domain.incident import IncidentEventKind


def with_incident() -> Correlator:
    correlator = Correlator(config())
    correlator.on_anomalies([opened("a1")], seq=1, now_ms=T0)
    return correlator


def outcome(key: str) -> ActionOutcome:
    return ActionOutcome(key, "inc-1-0", "restart", "http", OutcomeStatus.DRY_RUN, "would send")


def told(correlator: Correlator) -> int:
    incident = correlator.find("inc-1-0")
    assert incident is not None
    return sum(event.kind is IncidentEventKind.ACTION for event in incident.timeline)


def test_an_outcome_handed_on_again_after_a_crash_is_told_once():
    correlator = with_incident()
    correlator.on_outcome(outcome("k1"), now_ms=T0 + S)
    assert correlator.on_outcome(outcome("k1"), now_ms=T0 + 2 * S) == []
    assert told(correlator) == 1


def test_a_repeated_outcome_is_known_across_a_snapshot():
    before, after = with_incident(), Correlator(config())
    before.on_outcome(outcome("k1"), now_ms=T0 + S)
    after.load(before.dump())
    assert after.on_outcome(outcome("k1"), now_ms=T0 + 2 * S) == []
    assert told(after) == 1


def test_two_actions_that_end_alike_are_two_lines():
    correlator = with_incident()
    for key in ("k1", "k2"):
        correlator.on_outcome(outcome(key), now_ms=T0 + S)
    assert told(correlator) == 2
