from collections.abc import Callable
from dataclasses import dataclass, replace

from correlate_signals import T0, S, alert, anomaly, batch, config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiops.correlate import Correlator
from aiops.correlate.timeline import HEAD_LINES, TAIL_LINES
from aiops.domain.action import ActionOutcome, OutcomeStatus
from aiops.domain.anomaly import AnomalyChange, AnomalyEvent
from aiops.domain.incident import IncidentChange, IncidentState
from aiops.domain.records import Command, CommandVerb

SMALL = config(members_max=3, incidents_open_max=3, window_s=20, quiet_s=10, reopen_s=30)


@dataclass(frozen=True)
class Step:
    """One call on the correlator, `wait_s` after the one before."""

    wait_s: int
    call: Callable[[Correlator, int, int], list[IncidentChange]]
    text: str

    def __repr__(self) -> str:
        return f"+{self.wait_s}s {self.text}"


names = st.sampled_from(["checkout", "cart", "mail", "search", "pay", ""])
waits = st.integers(0, 40)
anomaly_events = st.builds(
    lambda n, service, score, is_open: AnomalyEvent(
        AnomalyChange.OPENED if is_open else AnomalyChange.CLOSED,
        anomaly(
            f"a{n}",
            service=service,
            score=float(score),
            fingerprint=n % 4,
            end_ms=0 if is_open else T0,
        ),
    ),
    st.integers(0, 11),
    names,
    st.integers(6, 13),
    st.booleans(),
)
alerts = st.builds(
    lambda n, start, severity, is_firing: alert(
        f"f{n}",
        service=["checkout", "cart", "mail", "search", "pay", ""][n % 6],
        severity=severity,
        is_firing=is_firing,
        starts_at_ms=T0 + start * 100 * S,
        ends_at_ms=0 if is_firing else T0 + (start * 100 + 50) * S,
    ),
    st.integers(0, 11),
    st.integers(0, 3),
    st.sampled_from(["critical", "warning", "info"]),
    st.booleans(),
)
commands = st.builds(
    Command,
    st.sampled_from(CommandVerb),
    st.builds("inc-{}-{}".format, st.integers(1, 12), st.integers(0, 2)),
    st.just("ada"),
)


def anomalies_step(wait_s, events):
    def call(correlator, seq, now_ms):
        return correlator.on_anomalies(events, seq=seq, now_ms=now_ms)

    return Step(wait_s, call, f"anomalies {events}")


def alerts_step(wait_s, items):
    def call(correlator, seq, now_ms):
        return correlator.on_alerts(batch(*items), seq=seq, now_ms=now_ms)

    return Step(wait_s, call, f"alerts {items}")


def command_step(wait_s, command):
    def call(correlator, seq, now_ms):
        return correlator.on_command(command, now_ms=now_ms)

    return Step(wait_s, call, f"{command}")


def outcome_step(wait_s, incident_id):
    outcome = ActionOutcome("k", incident_id, "p", "a", OutcomeStatus.SUCCEEDED, "")

    def call(correlator, seq, now_ms):
        return correlator.on_outcome(outcome, now_ms=now_ms)

    return Step(wait_s, call, f"{outcome}")


def tick_step(wait_s):
    def call(correlator, seq, now_ms):
        return correlator.on_tick(now_ms=now_ms)

    return Step(wait_s, call, "tick")


steps = st.lists(
    st.one_of(
        st.builds(anomalies_step, waits, st.lists(anomaly_events, min_size=1, max_size=6)),
        st.builds(alerts_step, waits, st.lists(alerts, min_size=1, max_size=6)),
        st.builds(command_step, waits, commands),
        st.builds(outcome_step, waits, st.just("inc-1-0")),
        st.builds(tick_step, waits),
    ),
    max_size=25,
)
thoroughly = settings(
    derandomize=True, max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def run(correlator, plan, *, after_each=lambda correlator: None):
    """Return everything the correlator answered; `after_each` may look at it or exchange it."""
    now_ms, answers = T0, []
    for seq, step in enumerate(plan, start=1):
        now_ms += step.wait_s * S
        answers.append(step.call(correlator, seq, now_ms))
        correlator = after_each(correlator) or correlator
    return answers, correlator


def check_bounds(correlator):
    incidents = correlator.open_incidents()
    assert len(incidents) <= SMALL.incidents_open_max + 1
    assert sum(i.title.startswith("overflow") for i in incidents) <= 1
    for incident in incidents:
        assert len(incident.anomalies) <= SMALL.members_max
        assert len(incident.alerts) <= SMALL.members_max
        assert len(incident.timeline) <= HEAD_LINES + 1 + TAIL_LINES
        assert incident.state is not IncidentState.RESOLVED
        evidence = [item.labels for item in (*incident.anomalies, *incident.alerts)]
        assert all(set(incident.labels) <= set(labels) for labels in evidence)


def check_one_home(correlator):
    incidents = correlator.open_incidents()
    anomaly_ids = [a.anomaly_id for i in incidents for a in i.anomalies if a.end_ms == 0]
    fingerprints = [a.fingerprint for i in incidents for a in i.alerts if a.is_firing]
    assert len(anomaly_ids) == len(set(anomaly_ids))
    assert len(fingerprints) == len(set(fingerprints))


@thoroughly
@given(steps)
def test_bounds_hold_whatever_comes(plan):
    run(Correlator(SMALL), plan, after_each=check_bounds)


@thoroughly
@given(steps)
def test_every_open_anomaly_and_alert_is_in_at_most_one_open_incident(plan):
    run(Correlator(SMALL), plan, after_each=check_one_home)


@thoroughly
@given(steps)
def test_an_incident_changes_at_most_once_a_call_and_ids_never_come_again(plan):
    answers, _ = run(Correlator(SMALL), plan)
    opened = set()
    for changes in answers:
        ids = [change.incident.incident_id for change in changes]
        assert len(ids) == len(set(ids))
        new = {c.incident.incident_id for c in changes if c.event.value == "opened"}
        assert not new & opened
        opened |= new
        assert set(ids) <= opened


@thoroughly
@given(steps)
def test_the_same_input_gives_the_same_answers_and_the_same_state(plan):
    one, two = run(Correlator(SMALL), plan), run(Correlator(SMALL), plan)
    assert one[0] == two[0]
    assert one[1].dump() == two[1].dump()


@thoroughly
@given(steps)
def test_a_restart_from_the_dump_after_every_call_makes_no_difference(plan):
    def restart(correlator):
        successor = Correlator(SMALL)
        successor.load(correlator.dump())
        assert successor.dump() == correlator.dump()
        return successor

    plain, restarted = (
        run(Correlator(SMALL), plan),
        run(Correlator(SMALL), plan, after_each=restart),
    )
    assert plain[0] == restarted[0]
    assert plain[1].dump() == restarted[1].dump()


@thoroughly
@given(steps)
def test_all_is_resolved_and_forgotten_once_everything_has_ended(plan):
    _, correlator = run(Correlator(SMALL), plan)
    later_ms = T0 + 10_000 * S
    ends = [
        AnomalyEvent(AnomalyChange.CLOSED, anomaly(f"a{n}", end_ms=later_ms)) for n in range(12)
    ]
    correlator.on_anomalies(ends, seq=1000, now_ms=later_ms)
    over = [
        replace(alert(f"f{n}"), is_firing=False, starts_at_ms=later_ms, ends_at_ms=later_ms)
        for n in range(12)
    ]
    correlator.on_alerts(batch(*over), seq=1001, now_ms=later_ms)
    correlator.on_tick(now_ms=later_ms + SMALL.quiet_s * S)
    assert correlator.open_incidents() == ()
    correlator.on_tick(now_ms=later_ms + (SMALL.quiet_s + SMALL.reopen_s) * S)
    assert b'"incidents":[]' in correlator.dump()
